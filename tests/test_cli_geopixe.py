"""Each option of the commands for GeoPIXE maps, through the installed command."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest
from PIL import Image

from rsciio_xfm import data, geopixe
from tests.builders import edax as edax_builder
from tests.builders import geopixe as builder
from tests.io.test_geopixe_copy import header_of, records_of

COMMAND = Path(sys.executable).with_name("rsciio-xfm")


def run(*arguments, code=0, env=None):
    """Run the installed command; return what it says."""
    result = subprocess.run(
        [COMMAND, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | (env or {}),
    )
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout + result.stderr


@pytest.fixture
def path(tmp_path):
    return builder.write_map(tmp_path / "map.GeoPIXE")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.GeoPIXE"


@pytest.fixture
def unrecorded(tmp_path):
    """A map of which every third dead time is not recorded."""
    records = [
        r if i % 3 else r[:12] + bytes(4) + r[16:]
        for i, r in enumerate(builder.random_records())
    ]
    return builder.write(tmp_path / "unrecorded.GeoPIXE", builder.header_tree(), records)


class TestIndex:
    def test_kept(self, tmp_path):
        path = tmp_path / "large.GeoPIXE"
        data.thin_section(path, (72, 160))  # 70 MB
        moment = time.time() - 60
        os.utime(path, (moment, moment))
        env = {"RSCIIO_XFM_CACHE_DIR": str(tmp_path / "cache")}
        said = run("--no-cache", "index", path, env=env)
        assert "160 x 72 pixels, 2 detectors, 23040 of 23040 spectra" in said
        assert "not kept" in said
        assert not (tmp_path / "cache").exists()
        assert ".npz: the index" in run("index", path, env=env)
        assert len(list((tmp_path / "cache").iterdir())) == 1
        env["RSCIIO_XFM_CACHE"] = "off"
        assert "not kept" in run("index", path, env=env)

    def test_small(self, path):
        assert "small (less than 64 MiB)" in run("index", path)

    def test_other_formats(self, tmp_path):
        path = edax_builder.write_map(tmp_path / "map.spd")
        assert "expected .GeoPIXE" in run("index", path, code=1)


class TestCrop:
    def test_ranges(self, path, out, tmp_path):
        said = run("crop", path, "--x", 2, 6, "--y", 1, 3, "-o", out)
        assert "4 x 2 pixels, 2 detectors" in said
        geopixe.crop(path, tmp_path / "c.GeoPIXE", x=(2, 6), y=(1, 3))
        assert out.read_bytes() == (tmp_path / "c.GeoPIXE").read_bytes()

    def test_whole(self, path, out):
        run("crop", path, "-o", out)
        assert builder.unmarked(out) == path.read_bytes()
        assert "use --overwrite" in run("crop", path, "-o", out, code=1)
        run("crop", path, "-o", out, "--overwrite", "--detector", 1)
        assert len(records_of(out)) == 35
        assert header_of(out).count('"Detector"') == 1

    def test_detectors(self, tmp_path, out):
        path = builder.write_map(tmp_path / "map.GeoPIXE", n_detectors=3)
        run("crop", path, "--detector", 0, "--detector", 2, "-o", out)
        assert len(records_of(out)) == 70

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            (["--x", 6, 2], "7 columns (x) and 5 rows (y)"),
            (["--y", 0, 9], "y is (0, 9)"),
            (["--detector", 5], "the map has 2 detectors"),
        ],
    )
    def test_wrong(self, path, out, arguments, match):
        assert match in run("crop", path, *arguments, "-o", out, code=1)
        assert not out.exists()

    def test_onto_itself_and_other_extensions(self, path, tmp_path):
        said = run("crop", path, "-o", path, "--overwrite", code=1)
        assert "is the map itself" in said
        said = run("crop", path, "-o", tmp_path / "out.npy", code=1)
        assert "expected .GeoPIXE" in said


@pytest.mark.thorough
class TestFill:
    def test_value(self, unrecorded, out):
        said = run("fill-dead-time", unrecorded, "--value", 33, "-o", out)
        assert "Detector 0  12 dead times filled in by constant, 23 known" in said
        assert sum(r[12:16] == np.float32(33).tobytes() for r in records_of(out)) == 24

    def test_models(self, unrecorded, out, tmp_path):
        other = tmp_path / "other.GeoPIXE"
        for arguments, options in (
            (["--model", "constant", "--value", 5], {"model": "constant", "value": 5}),
            (["--preset", "linear"], {"model": "polynomial", "coefficients": "linear"}),
            (["--model", "polynomial"], {"model": "polynomial"}),
            (
                ["--coefficient", 1, "--coefficient", 2.5],
                {"model": "polynomial", "coefficients": [1, 2.5]},
            ),
        ):
            run("fill-dead-time", unrecorded, *arguments, "-o", out, "--overwrite")
            geopixe.fill_dead_time(unrecorded, other, **options, overwrite=True)
            assert out.read_bytes() == other.read_bytes()

    def test_fit(self, unrecorded, out, tmp_path):
        said = run("fill-dead-time", unrecorded, "-o", out)
        assert "fewer than the 25 that a fit needs" in said  # 23 of each detector
        assert "fit of all detectors" in said
        assert "median error of known ones left out" in said
        assert "use --overwrite" in run("fill-dead-time", unrecorded, "-o", out, code=1)

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            (["--value", 120], "value is 120.0"),
            (["--model", "constant"], "value is None"),
            (["--model", "fit", "--value", 3], "model is 'fit'"),
            (["--model", "fit", "--preset", "cubic"], "--model is fit"),
            (["--preset", "cubic", "--coefficient", 2], "both given"),
        ],
    )
    def test_wrong(self, unrecorded, out, arguments, match):
        assert match in run("fill-dead-time", unrecorded, *arguments, "-o", out, code=1)
        assert not out.exists()


@pytest.mark.thorough
class TestExport:
    def test_npy(self, path, tmp_path):
        out = tmp_path / "out.npy"
        run("export", path, "-o", out)
        expected = hs.load(path).data
        np.testing.assert_array_equal(np.load(out, mmap_mode="r"), expected)
        run(
            "--workers", 1, "--chunk-size", 0.001, "export", path, "--x", 1, 4, "--y", 2, 5,
            "--separate-detectors", "-o", out, "--overwrite",
        )  # fmt: skip
        expected = hs.load(path, sum_detectors=False).data[:, 2:5, 1:4]
        np.testing.assert_array_equal(np.load(out), expected)

    def test_other_formats_of_hyperspy(self, path, tmp_path):
        out = tmp_path / "out.hspy"
        run("export", path, "--detector", 1, "--x", 0, 2, "-o", out)
        s = hs.load(path, detector=1).inav[:2]
        again = hs.load(out)
        np.testing.assert_array_equal(again.data, s.data)
        np.testing.assert_array_equal(again.get_dead_time().data, s.get_dead_time().data)
        run("export", path, "-o", tmp_path / "out.emd")
        assert hs.load(tmp_path / "out.emd").data.sum() == hs.load(path).data.sum()

    def test_zspy(self, path, tmp_path):
        try:
            from zarr.storage import NestedDirectoryStore  # noqa: F401
        except ImportError:  # of zarr 2 only
            said = run("export", path, "-o", tmp_path / "out.zspy", code=1)
            assert "pip install 'rosettasciio[zspy]'" in said
            return
        run("export", path, "-o", tmp_path / "out.zspy")
        assert hs.load(tmp_path / "out.zspy").data.sum() == hs.load(path).data.sum()

    def test_geopixe(self, path, out):
        run("export", path, "--separate-detectors", "-o", out)
        assert builder.unmarked(out) == path.read_bytes()

    @pytest.mark.filterwarnings("ignore:.*not recorded:UserWarning")
    @pytest.mark.filterwarnings("ignore:.*stay unknown:UserWarning")
    def test_edax_to_geopixe(self, tmp_path, out):
        path = edax_builder.write_map(tmp_path / "map.spd", (5, 7, 32), 2)
        run("export", path, "-o", out)
        again, s = hs.load(out), hs.load(path)
        np.testing.assert_array_equal(again.data, s.data)
        assert again.axes_manager["x"].scale == pytest.approx(
            s.axes_manager["x"].scale / 1000
        )  # µm and mm

    def test_table(self, path, tmp_path):
        out = tmp_path / "out.csv"
        run("export", path, "-o", out)
        with out.open(newline="") as file:
            assert sum(1 for _ in csv.DictReader(file)) == 70

    @pytest.mark.parametrize(
        ("arguments", "name", "match"),
        [
            (["--x", 0, 2], "o.csv", "use crop"),
            (["--separate-detectors", "--detector", 1], "o.npy", "are given"),
            (["--detector", 5], "o.npy", "detector is 5"),
            ([], "o.xyz", "expected .npy or .csv"),
            ([], "o", "no extension"),
            (["--y", 0, 6], "o.npy", "5 pixels along y"),
        ],
    )
    def test_wrong(self, path, tmp_path, arguments, name, match):
        assert match in run("export", path, *arguments, "-o", tmp_path / name, code=1)
        assert not (tmp_path / name).exists()

    def test_of_another_format(self, tmp_path):
        path = edax_builder.write_map(tmp_path / "map.spd", (5, 7, 32), 2)
        for arguments, name in ((["--separate-detectors"], "o.npy"), ([], "o.csv")):
            said = run("export", path, *arguments, "-o", tmp_path / name, code=1)
            assert "GeoPIXE" in said


@pytest.mark.thorough
class TestAnalyse:
    @pytest.mark.filterwarnings("ignore:.*not recorded:UserWarning")
    def test_all(self, tmp_path):
        """Enough known dead times for a fit, and some that are missing."""
        records = [
            r if i % 5 else r[:12] + bytes(4) + r[16:]
            for i, r in enumerate(builder.random_records(12, 10))
        ]
        path = builder.write(tmp_path / "m.GeoPIXE", builder.header_tree(12, 10), records)
        folder = tmp_path / "results"
        said = run(
            "--workers", 2, "analyse", path, "--table", "--saturation", 50, "-o", folder
        )
        names = {
            "info.txt", "sum.msa", "spectra.csv", "spectra.png", "counts.png", "records.csv",
            "colours_linear.png", "colours_log.png", "dead_time.csv", "dead_time_map.png",
            "dead_time_histogram.png", "dead_time_against_counts.png",
            "detector_difference.png", "filled_against_measured.png",
        }  # fmt: skip
        assert {p.name for p in folder.iterdir()} == names
        assert all(f"Wrote  {folder / name}" in said for name in names)
        for name in names:
            if name.endswith(".png"):
                with Image.open(folder / name) as picture:
                    assert min(picture.size) > 200
                    assert len(set(picture.convert("L").tobytes())) > 10
        s = hs.load(path)
        np.testing.assert_array_equal(
            hs.load(folder / "sum.msa", signal_type="EDS_XFM").data,
            s.data.sum(axis=(0, 1)),
        )
        spectra = np.genfromtxt(folder / "spectra.csv", delimiter=",", names=True)
        np.testing.assert_array_equal(spectra["max"], s.data.max(axis=(0, 1)))
        np.testing.assert_allclose(spectra["energy_keV"], s.axes_manager[-1].axis)
        with (folder / "dead_time.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        expected = s.get_dead_time_statistics(50)
        for row, (name, entry) in zip(rows, expected.items(), strict=True):
            assert row["detector"] == name[-1]
            for key, value in entry.items():
                assert float(row[key]) == pytest.approx(value, rel=1e-5)
        assert (
            "Dead" in (folder / "info.txt").read_text()
            or "dead time" in (folder / "info.txt").read_text()
        )
        assert "use --overwrite" in run("analyse", path, "-o", folder, code=1)
        run("analyse", path, "-o", folder, "--overwrite", "--detector", 1)
        with (folder / "dead_time.csv").open(newline="") as file:
            assert [row["detector"] for row in csv.DictReader(file)] == ["1"]

    def test_without_dead_times(self, tmp_path):
        path = edax_builder.write_map(tmp_path / "map.spd", (5, 7, 32), 2)
        run("analyse", path, "-o", tmp_path / "r")
        names = {p.name for p in (tmp_path / "r").iterdir()}
        assert {"counts.png", "spectra.png", "colours_log.png", "info.txt"} <= names
        assert not any(name.startswith("dead_time") for name in names)
        said = run("analyse", path, "-o", tmp_path / "q", "--table", code=1)
        assert "--table is for .GeoPIXE" in said

    def test_real_file(self, real_geopixe, tmp_path):
        run("analyse", real_geopixe, "-o", tmp_path / "r")
        assert len(list((tmp_path / "r").iterdir())) == 12


def test_header_is_not_shown_twice(path):
    said = run("info", path)
    assert said.count("X-ray Source") == 1
    assert json.loads(header_of(path))["File Header"]["Timestamp"] in said
