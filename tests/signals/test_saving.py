"""What is saved is whole, or the old file; what was measured is never replaced unasked."""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import dask.array as da
import h5py
import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import datastack, esrf, geopixe
from rsciio_xfm.core.atomic import replacing, replacing_in
from tests.builders import datastack as datastack_builder
from tests.builders import emd as emd_builder
from tests.builders import esrf as esrf_builder
from tests.builders import geopixe as builder
from tests.test_cli_geopixe import run

COUNTS = np.random.default_rng(0).poisson(2, (5, 7, 32)).astype(np.uint16)


@pytest.fixture
def raw(tmp_path):
    """A map of the instrument."""
    return builder.write_map(tmp_path / "raw.GeoPIXE")


def only(folder, *names):
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)


def refused(path, **options):
    """The save of a part of a map over a file: what the error says; the file is as it was."""
    before = path.read_bytes()
    with pytest.raises(ValueError, match="was not written here") as caught:
        part_of_a_map().save(path, overwrite=True, **options)
    assert path.read_bytes() == before
    return str(caught.value)


def part_of_a_map():
    s = hs.signals.Signal1D(COUNTS[:2])
    s.set_signal_type("EDS_XFM")
    return s


class TestOriginals:
    """Whatever the way there."""

    def cropped(self, raw):
        s = hs.load(raw, lazy=True)
        s.crop("x", 0, 3)
        return s

    @pytest.mark.parametrize("options", [{}, {"file_format": "GeoPIXE"}])
    def test_without_a_name(self, raw, options):
        before = raw.read_bytes()
        with pytest.raises(ValueError, match=r"raw\.GeoPIXE: the file was not written.*"
                           r"Save as .*raw_new\.GeoPIXE\..*replace_original"):  # fmt: skip
            self.cropped(raw).save(overwrite=True, **options)
        assert raw.read_bytes() == before
        only(raw.parent, "raw.GeoPIXE")

    @pytest.mark.parametrize(
        "spell",
        [str, Path, lambda p: "./raw.GeoPIXE", lambda p: "../d/raw.GeoPIXE",
         lambda p: "link.GeoPIXE", lambda p: "hard.GeoPIXE", lambda p: ".",
         lambda p: "raw"],
    )  # fmt: skip
    @pytest.mark.filterwarnings("ignore:The 'extension' parameter:FutureWarning")
    def test_spellings_of_its_name(self, tmp_path, monkeypatch, spell):
        folder = tmp_path / "d"
        folder.mkdir()
        raw = builder.write_map(folder / "raw.GeoPIXE")
        (folder / "link.GeoPIXE").symlink_to(raw)
        os.link(raw, folder / "hard.GeoPIXE")
        monkeypatch.chdir(folder)
        before = raw.read_bytes()
        name = spell(raw)
        options = {"extension": "GeoPIXE"} if name == "raw" else {}
        with pytest.raises(ValueError, match="was not written here"):
            self.cropped(raw).save(name, overwrite=True, **options)
        assert raw.read_bytes() == (folder / "hard.GeoPIXE").read_bytes() == before

    def test_in_another_format(self, raw):
        """Under its name, with a writer of RosettaSciIO's."""
        assert "raw_new.GeoPIXE" in refused(raw, file_format="HSPY")

    def test_insisting(self, raw):
        self.cropped(raw).save(raw, overwrite=True, replace_original=True)
        assert hs.load(raw).data.shape == (5, 3, 32)
        self.cropped(raw).save(raw, True, None, "HSPY", True)  # written here by now
        assert h5py.is_hdf5(raw)

    def test_what_was_written_here_may_be_replaced(self, raw, tmp_path):
        for name in ("a.GeoPIXE", "a.emd", "a.datastack", "a.hspy", "a.h5"):
            s = hs.load(raw)
            options = {"file_format": "ESRF"} if name == "a.h5" else {}
            s.save(tmp_path / name, **options)
            reader = {"reader": "ESRF"} if name == "a.h5" else {}
            for n_columns in (5, 3):
                s = hs.load(tmp_path / name, **reader)
                s.crop("x", 0, n_columns)
                s.save(overwrite=True, **options)
                assert hs.load(tmp_path / name, **reader).data.shape == (5, n_columns, 32)

    @pytest.mark.parametrize("name", ["whole", "part", "filled"])
    def test_copies_of_records(self, raw, tmp_path, name):
        """The instrument's file is not replaced by them, and they may be."""
        other = builder.write_map(tmp_path / "other.GeoPIXE", seed=1)
        if name != "filled":
            box = {"x": (0, 3)} if name == "part" else {}
            geopixe.crop(raw, tmp_path / "c.GeoPIXE", **box)
        else:
            geopixe.fill_dead_time(raw, tmp_path / "c.GeoPIXE", "constant", value=3.0)
        for write in (geopixe.crop, geopixe.fill_dead_time):
            with pytest.raises(ValueError, match="was not written here"):
                write(other, raw, overwrite=True)
        geopixe.crop(other, tmp_path / "c.GeoPIXE", y=(0, 2), overwrite=True)

    def test_damaged_header(self, raw):
        raw.write_bytes(raw.read_bytes().replace(b'"Dets": 2', b'"Dets": ,'))
        refused(raw)

    def test_velox(self, tmp_path):
        path = tmp_path / "map.emd"
        emd_builder.write_map(path)
        refused(path)
        refused(path, file_format="HSPY")

    def test_edf(self, tmp_path):
        path = tmp_path / "frames.edf"
        esrf_builder.write_edf_images(path, COUNTS[:2])
        image = hs.signals.Signal2D(COUNTS[0])
        before = path.read_bytes()
        with pytest.raises(ValueError, match="was not written here"):
            image.save(path, overwrite=True)
        assert path.read_bytes() == before
        image.save(path, overwrite=True, replace_original=True)
        image.save(path, overwrite=True)  # that was written here

    def test_rows_of_a_map(self, tmp_path):
        esrf_builder.write_xia(tmp_path)
        first = min(tmp_path.rglob("*_xia00_*.edf"))
        before = {path: path.read_bytes() for path in tmp_path.rglob("*.edf")}
        s = hs.load(first, lazy=True)
        s = s[0] if isinstance(s, list) else s
        with pytest.raises((TypeError, ValueError)):
            s.inav[:2].save(overwrite=True)
        with pytest.raises(ValueError, match="was not written here"):
            hs.signals.Signal2D(COUNTS[0]).save(first, overwrite=True)
        assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.edf")}

    def test_edax(self, tmp_path):
        path = tmp_path / "map.spd"
        path.write_bytes(b"MAPSPECTRA_DATA" + bytes(100))
        refused(path, file_format="HSPY")

    def test_bruker(self, tmp_path):
        """A format that nothing writes."""
        path = tmp_path / "map.bcf"
        path.write_bytes(b"AAMVHFSS")
        refused(path, file_format="HSPY")

    @pytest.mark.filterwarnings("ignore:.*the zip is damaged:UserWarning")
    def test_datastack(self, tmp_path):
        stack = tmp_path / "map.datastack"
        chunks = {"chunks": (2, 3, 32)}
        datastack_builder.write_stack(stack, {"maxrf_cube": COUNTS}, **chunks)
        raw, rpl = datastack_builder.write_raw(tmp_path, COUNTS[:3], name="scan")
        with pytest.raises(ValueError, match="was not written here"):
            datastack.convert(raw, rpl, stack, overwrite=True)
        refused(stack)
        stack.write_bytes(stack.read_bytes()[:-30])  # cut
        refused(stack)

    def test_rpl(self, tmp_path):
        """Saving writes both files, so both are looked at."""
        raw, rpl = datastack_builder.write_raw(tmp_path, COUNTS, name="scan")
        before = Path(raw).read_bytes()
        refused(Path(rpl))
        Path(rpl).unlink()
        with pytest.raises(FileExistsError, match=r"scan\.rpl is not"):
            part_of_a_map().save(tmp_path / "scan.rpl")
        assert Path(raw).read_bytes() == before
        part_of_a_map().save(tmp_path / "saved.rpl")
        part_of_a_map().save(tmp_path / "saved.rpl", overwrite=True)

    def test_hdf5_by_convert(self, tmp_path):
        scans = [{"kind": "mesh", "shape": (3, 4)}]
        path = esrf_builder.write_spec(tmp_path / "scan.dat", scans)
        path = tmp_path / "scan.dat"
        esrf_builder.write_bliss(tmp_path / "scan.h5")
        with pytest.raises(ValueError, match="was not written here"):
            esrf.convert(path, overwrite=True)
        esrf.convert(path, tmp_path / "b.h5")
        esrf.convert(path, tmp_path / "b.h5", overwrite=True)

    def test_command_line(self, raw, tmp_path):
        other = builder.write_map(tmp_path / "other.GeoPIXE", seed=1)
        before = raw.read_bytes()
        for command in (
            ["crop", "--x", 0, 3],
            ["export", "--x", 0, 3],
            ["fill-dead-time"],
        ):
            said = run(*command, other, "-o", raw, "--overwrite", code=1)
            assert "was not written here" in said and "raw_new.GeoPIXE" in said
            said = run(*command, raw, "-o", raw, "--overwrite", code=1)
            assert "is the map itself" in said
        assert raw.read_bytes() == before

    def test_name_of_a_format_that_is_only_read(self, raw):
        bcf = shutil.copy(raw, raw.with_suffix(".bcf"))
        with pytest.raises(ValueError, match=r"Save as .*raw_new\.hspy\."):
            self.cropped(raw).save(bcf, overwrite=True)

    def test_free_name(self, raw):
        shutil.copy(raw, raw.with_stem("raw_new"))
        raw.with_stem("raw_new_2").symlink_to("nothing")
        assert "Save as" in (said := refused(raw)) and "raw_new_3.GeoPIXE" in said


class TestWhole:
    """Formats of RosettaSciIO, whose writers write over the file that is there."""

    def failing(self, error):
        def fail(block, block_info=None):
            if block_info[0]["chunk-location"][0]:
                raise error
            return block

        data = da.from_array(COUNTS, chunks=(1, -1, -1)).map_blocks(
            fail, dtype=COUNTS.dtype
        )
        s = hs.signals.Signal1D(data).as_lazy()
        s.set_signal_type("EDS_XFM")
        return s

    @pytest.mark.parametrize("name", ["a.hspy", "a.nxs"])
    @pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("damaged")])
    def test_interrupted(self, tmp_path, name, error):
        options = {"file_format": "Nexus"} if name == "a.nxs" else {}
        part_of_a_map().save(tmp_path / name, **options)
        before = (tmp_path / name).read_bytes()
        with pytest.raises(type(error)):
            self.failing(error).save(tmp_path / name, overwrite=True, **options)
        assert (tmp_path / name).read_bytes() == before
        only(tmp_path, name)

    def test_ripple_that_fails(self, tmp_path):
        part_of_a_map().save(tmp_path / "a.rpl")
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises((AttributeError, ValueError)):
            self.failing(ValueError("damaged")).save(tmp_path / "a.rpl", overwrite=True)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no limits of the size of files")
    def test_no_space(self, tmp_path):
        """The error names the file; the old one is as it was, and nothing else is left."""
        part_of_a_map().save(tmp_path / "a.hspy")
        before = (tmp_path / "a.hspy").read_bytes()
        script = """
import resource, signal, sys, numpy as np, hyperspy.api as hs
s = hs.signals.Signal1D(np.random.default_rng(0).integers(0, 65535, (99, 99, 99)))
s.set_signal_type("EDS_XFM")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, 10**5))
try:
    s.save(sys.argv[1], overwrite=True)
except OSError as exc:
    print("said", exc, flush=True)
"""
        done = subprocess.run(
            [sys.executable, "-c", script, tmp_path / "a.hspy"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"said [Errno 27] File too large: '{tmp_path / 'a.hspy'}'" in done.stdout
        assert (tmp_path / "a.hspy").read_bytes() == before
        only(tmp_path, "a.hspy")

    def test_lazily_over_its_own_file(self, tmp_path):
        part_of_a_map().save(tmp_path / "a.hspy")
        s = hs.load(tmp_path / "a.hspy", lazy=True)
        s.inav[:3].save(tmp_path / "a.hspy", overwrite=True)
        np.testing.assert_array_equal(hs.load(tmp_path / "a.hspy").data, COUNTS[:2, :3])
        np.testing.assert_array_equal(s.data.compute(), COUNTS[:2])  # the file as it was
        s.close_file()

    def test_metadata_only(self, tmp_path):
        s = part_of_a_map()
        s.save(tmp_path / "a.hspy")
        s.metadata.General.title = "second"
        s.axes_manager[0].name = "columns"
        s.metadata.General.title = ""
        s.save(tmp_path / "a.hspy", overwrite=True, write_dataset=False)
        again = hs.load(tmp_path / "a.hspy")
        assert again.axes_manager[0].name == "columns"
        np.testing.assert_array_equal(again.data, COUNTS[:2])

    def test_where_it_was_saved(self, tmp_path):
        s = part_of_a_map()
        s.save(tmp_path / "new" / "a")
        assert s.tmp_parameters.folder == tmp_path / "new"
        s.save(overwrite=True)
        only(tmp_path / "new", "a.hspy")

    @pytest.mark.parametrize(("overwrite", "answer"), [(False, None), (None, "n")])
    def test_not_replaced(self, tmp_path, monkeypatch, overwrite, answer):
        monkeypatch.setattr("builtins.input", lambda text: answer)
        (tmp_path / "a.hspy").write_bytes(b"old")
        part_of_a_map().save(tmp_path / "a.hspy", overwrite)
        assert (tmp_path / "a.hspy").read_bytes() == b"old"

    def test_no_bar_unasked(self, tmp_path, capfd, monkeypatch):
        monkeypatch.setattr("rsciio_xfm.core.progress._DELAY", 0)
        s = part_of_a_map().as_lazy()
        s.save(tmp_path / "a.hspy")
        assert capfd.readouterr() == ("", "")
        s.save(tmp_path / "a.hspy", overwrite=True, show_progressbar=True)
        assert "Writing a.hspy: 100%" in capfd.readouterr().err

    def test_zspy(self, tmp_path):
        zarr = pytest.importorskip("zarr")
        if int(zarr.__version__.split(".")[0]) < 3:
            part_of_a_map().save(tmp_path / "a.zspy")
            part_of_a_map().save(tmp_path / "a.zspy", overwrite=True)
            assert hs.load(tmp_path / "a.zspy").data.shape == (2, 7, 32)
        else:
            with pytest.raises(ImportError, match=r"needs zarr 2.*rosettasciio\[zspy\].*"
                               r"a\.hspy.*a\.emd"):  # fmt: skip
                part_of_a_map().save(tmp_path / "a.zspy")
            only(tmp_path)

    def test_folders(self, tmp_path):
        """As .zspy are: the old one is there until the new one is whole."""
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "old").touch()
        with pytest.raises(KeyboardInterrupt), replacing_in(tmp_path) as temporary:
            (temporary / "a").mkdir()
            raise KeyboardInterrupt
        only(tmp_path / "a", "old")
        with replacing_in(tmp_path) as temporary:
            (temporary / "a").mkdir()
            (temporary / "a" / "new").touch()
        only(tmp_path / "a", "new")
        only(tmp_path, "a")
        with (
            pytest.raises(ValueError, match="a folder has this name"),
            replacing_in(tmp_path) as temporary,
        ):
            (temporary / "a").touch()
        only(tmp_path / "a", "new")


@pytest.mark.parametrize("name", ["a.GeoPIXE", "a.emd", "a.hspy", "a.msa"])
def test_write_protected(tmp_path, name):
    """Renaming asks for no permission to write the file; the administrator needs none."""
    path = tmp_path / name
    s = part_of_a_map()
    s = s.inav[0, 0] if name == "a.msa" else s
    s.save(path)
    path.chmod(0o444)
    before = path.read_bytes()
    with pytest.raises(PermissionError, match=f"may only be read.*{name}"):
        s.save(path, overwrite=True)
    assert path.read_bytes() == before
    only(tmp_path, name)


class TestInterruptBehindTheMove:
    """The new file is there, whole: nothing has failed."""

    @pytest.mark.parametrize("how", ["signal", "raised"])
    def test_nothing_is_reported(self, tmp_path, monkeypatch, how):
        (tmp_path / "a").write_bytes(b"old")
        move = os.replace

        def interrupt(*arguments):
            move(*arguments)
            if how == "raised":
                raise KeyboardInterrupt
            import signal

            signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(os, "replace", interrupt)
        with replacing(tmp_path / "a") as file:
            file.write(b"new")
        assert (tmp_path / "a").read_bytes() == b"new"
        only(tmp_path, "a")

    def test_before_it_the_old_file_stays(self, tmp_path, monkeypatch):
        (tmp_path / "a").write_bytes(b"old")

        def interrupt(*arguments):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "replace", interrupt)
        with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a") as file:
            file.write(b"new")
        assert (tmp_path / "a").read_bytes() == b"old"
        only(tmp_path, "a")


def test_mark_in_a_header_without_room(tmp_path, raw):
    """The longest headers go without it."""
    s = hs.load(raw)
    s.original_metadata.set_item("Note", "x" * 64000)
    s.save(tmp_path / "a.GeoPIXE")
    (length,) = struct.unpack_from("<H", (tmp_path / "a.GeoPIXE").read_bytes())
    s.original_metadata.set_item("Note", "x" * (64000 + 65535 - length + 5))
    s.save(tmp_path / "b.GeoPIXE")
    assert b"Written by" in (tmp_path / "a.GeoPIXE").read_bytes()
    assert b"Written by" not in (tmp_path / "b.GeoPIXE").read_bytes()
