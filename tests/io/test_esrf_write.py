"""EDF and HDF5 files that are written here, and those that are converted."""

import resource
import subprocess
import sys
import textwrap

import dask.array as da
import fabio
import h5py
import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import esrf
from rsciio_xfm.core.chunks import ChunkedArray
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.exceptions import FileFormatError
from tests.builders import esrf as build
from tests.builders import geopixe
from tests.io.esrf_common import read, read_one, values

FRAMES = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)


@pytest.fixture
def geopixe_map(tmp_path):
    return hs.load(geopixe.write_map(tmp_path / "map.GeoPIXE"), lazy=True)


class TestEDF:
    @pytest.mark.parametrize("lazy", [False, True])
    @pytest.mark.parametrize("dtype", ["u1", "i2", ">u2", "u4", "i8", "f4", "f8"])
    def test_stack(self, tmp_path, lazy, dtype):
        s = hs.signals.Signal2D(FRAMES.astype(dtype))
        s.metadata.General.title = "title; with = {odd} letters: é"
        s.metadata.set_item("Sample.note", np.arange(3))
        s.axes_manager.signal_axes[0].name = "x"
        s.axes_manager["x"].scale, s.axes_manager["x"].units = 0.5, "µm"
        path = tmp_path / "a.edf"
        if lazy:
            s = s.as_lazy()
            s.data = s.data.rechunk((2, 4, 3))
        s.save(path)
        with fabio.open(str(path)) as image:
            assert image.nframes == 5
            for i in range(5):
                np.testing.assert_array_equal(image.get_frame(i).data, FRAMES[i])
            assert image.header["PSize_1"] == "5e-07"
        for is_lazy in (False, True):
            again = hs.load(path, lazy=is_lazy)
            np.testing.assert_array_equal(np.asarray(again.data), FRAMES)
            assert again.data.dtype == np.dtype(dtype).newbyteorder("=")
            assert again.metadata.General.title == s.metadata.General.title
            assert again.metadata.Sample.note.tolist() == [0, 1, 2]
            assert again.axes_manager["x"].scale == 0.5
        assert list(tmp_path.iterdir()) == [path]

    def test_header_survives(self, tmp_path):
        own = [{"motor_pos": f"{i} -3 12.5"} for i in range(5)]
        build.write_edf_images(tmp_path / "a.edf", FRAMES, {"note": "a text"}, own)
        hs.load(tmp_path / "a.edf").save(tmp_path / "b.edf")
        with fabio.open(str(tmp_path / "b.edf")) as image:
            assert image.header["note"] == "a text"
            for i in range(5):
                assert image.get_frame(i).header["motor_pos"] == f"{i} -3 12.5"
        again = read_one(tmp_path / "b.edf")
        motors = again["metadata"]["Acquisition_instrument"]["ESRF"]["motors"]
        assert motors["sampy"].tolist() == [0, 1, 2, 3, 4]

    def test_damaged_metadata(self, tmp_path):
        path = tmp_path / "a.edf"
        hs.signals.Signal2D(FRAMES[0]).save(path)
        raw = path.read_bytes()
        at = raw.index(b"rsciio_xfm = ") + 40
        path.write_bytes(raw[:at] + b"AAAA" + raw[at + 4 :])
        with pytest.warns(UserWarning, match="rsciio_xfm in the header cannot be read"):
            (signal,) = esrf.file_reader(path)
        np.testing.assert_array_equal(signal["data"], FRAMES[0])

    def test_long_header(self, tmp_path):
        s = hs.signals.Signal2D(FRAMES[0])
        s.metadata.General.title = "x" * 300_000
        s.original_metadata.set_item("header", {f"key{i}": "y" * 4000 for i in range(50)})
        with pytest.warns(UserWarning, match="of the header cannot be written"):
            s.save(tmp_path / "a.edf")
        np.testing.assert_array_equal(values(read_one(tmp_path / "a.edf")), FRAMES[0])

    def test_long_metadata(self, tmp_path):
        s = hs.signals.Signal2D(FRAMES[0])
        s.metadata.set_item("a", np.random.default_rng(0).normal(size=40000))
        with pytest.warns(UserWarning, match="they are left out"):
            s.save(tmp_path / "a.edf")
        np.testing.assert_array_equal(values(read_one(tmp_path / "a.edf")), FRAMES[0])

    @pytest.mark.parametrize(
        ("signal", "error", "text"),
        [
            (hs.signals.Signal1D(FRAMES), ValueError, "EDF holds images"),
            (hs.signals.Signal2D(FRAMES[None]), ValueError, "2 axes to navigate"),
            (hs.signals.BaseSignal(FRAMES[0] > 3).as_signal2D((0, 1)), TypeError, "bool"),
            (hs.signals.Signal2D(FRAMES.astype(np.float16)), TypeError, "float16"),
            (hs.signals.Signal2D(np.ma.masked_less(FRAMES, 3)), TypeError, "masked"),
        ],
        ids=["spectra", "two axes", "bool", "float16", "masked"],
    )
    def test_what_it_does_not_take(self, tmp_path, signal, error, text):
        path = tmp_path / "a.edf"
        path.write_bytes(b"before")
        with pytest.raises(error, match=text):
            signal.save(path, overwrite=True)
        assert path.read_bytes() == b"before"

    def test_options(self, tmp_path):
        with pytest.raises(
            ValueError, match="compression given, expected none for images"
        ):
            hs.signals.Signal2D(FRAMES).save(tmp_path / "a.edf", compression="gzip")


class TestHDF5:
    @pytest.mark.parametrize(
        "options",
        [{}, {"compression": "gzip"}, {"chunks": (1, 3, 20)}, {"chunks": True}],
        ids=str,
    )
    def test_map(self, tmp_path, geopixe_map, options):
        path = tmp_path / "a.h5"
        geopixe_map.save(path, file_format="ESRF", **options)
        with h5py.File(path) as file:
            data = file["entry/instrument/mca00/data"]
            np.testing.assert_array_equal(data[()], geopixe_map.data.compute())
            assert data.attrs["interpretation"] == "spectrum"
            assert data.compression == options.get("compression")
            live = file["entry/instrument/mca00/live_time"][()]
            np.testing.assert_allclose(live, np.asarray(geopixe_map.get_live_time().data))
        again = hs.load(path, file_format="ESRF", lazy=True)
        assert type(again).__name__ == "LazyEDSXFMSpectrum"
        np.testing.assert_array_equal(again.data.compute(), geopixe_map.data.compute())
        np.testing.assert_array_equal(
            again.get_dead_time().data, geopixe_map.get_dead_time().data
        )
        for axis, other in zip(
            again.axes_manager._axes, geopixe_map.axes_manager._axes, strict=True
        ):
            assert (axis.name, axis.scale, axis.offset, axis.units) == (
                *(other.name, other.scale, other.offset, other.units),
            )
        assert again.metadata.General.title == geopixe_map.metadata.General.title
        source = source_of(again.data)
        assert isinstance(source, ChunkedArray)
        assert source.decoder.is_plain is ("compression" not in options)

    def test_silx_finds_the_map(self, tmp_path, geopixe_map):
        import silx.io
        import silx.io.nxdata

        path = tmp_path / "a.h5"
        geopixe_map.save(path, file_format="ESRF")
        with silx.io.open(str(path)) as file:
            found = silx.io.nxdata.get_default(file)
            assert found.interpretation == "spectrum"
            np.testing.assert_array_equal(found.signal[()], geopixe_map.data.compute())
            energy = geopixe_map.axes_manager[-1]
            np.testing.assert_allclose(found.axes[-1][()], energy.axis)

    def test_pymca_finds_the_map(self, tmp_path, geopixe_map):
        """Run by ``nox -s pymca``."""
        pytest.importorskip("PyMca5")
        from PyMca5.PyMcaCore import NexusTools
        from PyMca5.PyMcaIO import HDF5Stack1D

        path = tmp_path / "a.h5"
        geopixe_map.save(path, file_format="ESRF")
        with h5py.File(path) as file:
            found = NexusTools.getMcaList(file, "/entry")
            assert "/entry/instrument/mca00/data" in found
            beside = NexusTools.getMcaObjectPaths(file, "/entry/instrument/mca00/data")
            for name in ("live_time", "elapsed_time", "calibration", "channels"):
                assert beside[name] == f"/entry/instrument/mca00/{name}"
        stack = HDF5Stack1D.HDF5Stack1D([str(path)], {"y": ["/instrument/mca00/data"]})
        np.testing.assert_array_equal(stack.data, geopixe_map.data.compute())
        live = np.asarray(geopixe_map.get_live_time().data)
        np.testing.assert_allclose(stack.info["McaLiveTime"].reshape(live.shape), live)
        energy = geopixe_map.axes_manager[-1]
        np.testing.assert_allclose(
            stack.info["McaCalib"], [energy.offset, energy.scale, 0]
        )

    def test_others(self, tmp_path):
        for i, signal in enumerate(
            (
                hs.signals.Signal2D(FRAMES),
                hs.signals.Signal1D(FRAMES.astype(">f4")),
                hs.signals.BaseSignal(FRAMES).T,
                hs.signals.ComplexSignal1D(FRAMES * 1j),
                hs.signals.Signal1D(FRAMES[0, 0]),
                hs.signals.Signal2D(da.from_array(FRAMES, chunks=(2, 4, 3))).as_lazy(),
            )
        ):
            path = tmp_path / f"{i}.h5"
            signal.save(path, file_format="ESRF")
            again = hs.load(path, file_format="ESRF")
            np.testing.assert_array_equal(again.data, np.asarray(signal.data))
            assert type(again).__name__ == type(signal).__name__.replace("Lazy", "")
            roles = [a.navigate for a in again.axes_manager._axes]
            assert roles == [a.navigate for a in signal.axes_manager._axes]

    def test_what_was_measured_is_not_replaced(self, tmp_path):
        path = tmp_path / "scan.h5"
        build.write_bliss(path)
        before = path.read_bytes()
        s = hs.load(path, file_format="ESRF", lazy=True)[0]
        with pytest.raises(ValueError, match="the file was not written here"):
            s.save(path, file_format="ESRF", overwrite=True)
        assert path.read_bytes() == before
        # Over its own file, a map may be saved.
        s.save(tmp_path / "a.h5", file_format="ESRF")
        again = hs.load(tmp_path / "a.h5", file_format="ESRF", lazy=True)
        again.inav[:3].save(tmp_path / "a.h5", file_format="ESRF", overwrite=True)
        part = read_one(tmp_path / "a.h5")
        np.testing.assert_array_equal(values(part), s.inav[:3].data.compute())

    def test_extension(self, tmp_path):
        with pytest.raises(ValueError, match=r"the extension is '.dat', expected .edf"):
            hs.signals.Signal2D(FRAMES).save(tmp_path / "a.dat", file_format="ESRF")

    def test_damaged_metadata(self, tmp_path, geopixe_map):
        path = tmp_path / "a.h5"
        geopixe_map.save(path, file_format="ESRF")
        with h5py.File(path, "r+") as file:
            file["entry/instrument/mca00/rsciio_xfm/signal"][5] = 0
        with pytest.warns(UserWarning, match="cannot be read: its checksum is another"):
            (signal,) = esrf.file_reader(path)
        np.testing.assert_array_equal(signal["data"], geopixe_map.data.compute())
        assert signal["metadata"]["Signal"]["signal_type"] == "EDS_XFM"
        assert signal["axes"][2]["units"] == "keV"

    @pytest.mark.skipif(
        not hasattr(resource, "RLIMIT_FSIZE"), reason="not on this system"
    )
    @pytest.mark.parametrize("name", ["a.h5", "a.edf"])
    def test_full_disk(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"before")
        code = f"""
            import resource, signal
            import numpy as np, hyperspy.api as hs
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            s = hs.signals.Signal2D(np.ones((50, 100, 100)))
            try:
                s.save({name!r}, overwrite=True, file_format="ESRF")
            except OSError as error:
                print("refused:", error.filename)
        """
        result = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.stdout == f"refused: {tmp_path / name}\n", result.stderr
        assert [p.name for p in tmp_path.iterdir()] == [name]
        assert (tmp_path / name).read_bytes() == b"before"


class TestConvert:
    def test_spec(self, tmp_path):
        path = tmp_path / "a.dat"
        scans = ({"kind": "mesh"}, {"kind": "no-mca"})
        (truth, _) = build.write_spec(path, scans)
        assert esrf.convert(path) == tmp_path / "a.h5"
        signal = read_one(tmp_path / "a.h5")
        np.testing.assert_array_equal(values(signal), truth["counts"][0])
        assert len(read(tmp_path / "a.h5", select_type="counters")) == 2
        with pytest.raises(FileExistsError, match="use overwrite=True"):
            esrf.convert(path)
        esrf.convert(path, overwrite=True, compression="gzip")

    def test_images(self, tmp_path):
        build.write_edf_images(tmp_path / "a.edf", FRAMES)
        esrf.convert(tmp_path / "a.edf", tmp_path / "b.h5")
        with h5py.File(tmp_path / "b.h5") as file:
            np.testing.assert_array_equal(file["scan_0/image/data"][()], FRAMES)
            motors = file["scan_0/instrument/positioners"]
            assert np.unique(motors["sampy"][()]) == 10.5
        np.testing.assert_array_equal(values(read_one(tmp_path / "b.h5")), FRAMES)

    def test_map(self, tmp_path):
        truth = build.write_xia(tmp_path / "xia", calibration="mca")
        path = tmp_path / "xia" / "zap_xia00_0001_0000_0000.edf"
        esrf.convert(path, tmp_path / "map.h5", compression="gzip")
        old, new = read_one(path), read_one(tmp_path / "map.h5")
        np.testing.assert_array_equal(values(new), truth["counts"].sum(0))
        assert new["axes"] == old["axes"]
        dead, again = (
            s["metadata"]["Acquisition_instrument"]["SEM"]["Detector"]["EDS"][
                "_sig_dead_time"
            ]["data"]
            for s in (old, new)
        )
        np.testing.assert_array_equal(dead, again)

    def test_what_it_does_not_take(self, tmp_path):
        build.write_bliss(tmp_path / "a.h5")
        with pytest.raises(FileFormatError, match="is an HDF5 file already"):
            esrf.convert(tmp_path / "a.h5", tmp_path / "b.h5")
        (tmp_path / "a.edf").write_bytes(b"nonsense")
        with pytest.raises(FileFormatError, match="fabio cannot read it"):
            esrf.convert(tmp_path / "a.edf", tmp_path / "b.h5")
        with pytest.raises(ValueError, match=r"the extension is '.dat'"):
            esrf.convert(tmp_path / "a.edf", tmp_path / "b.dat")
        assert {p.name for p in tmp_path.iterdir()} == {"a.h5", "a.edf"}
