"""RosettaSciIO as an independent witness: its reader, and its own tests of EDAX files."""

import ast
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from rsciio.edax import file_reader as upstream_reader

from rsciio_xfm.formats.edax import file_reader
from tests.builders import edax as builder

UPSTREAM_TESTS = Path(upstream_reader.__globals__["__file__"]).parents[1] / "tests"


@pytest.mark.parametrize("count_bytes", [1, 2, 4])
@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("load_all_spc", [False, True])
def test_same_as_upstream(tmp_path, count_bytes, endianness, lazy, load_all_spc):
    path = builder.write_map(
        tmp_path / "map.spd",
        (5, 7, 33),
        count_bytes,
        endianness,
        fName=b"map.bmp",
        dataOffset=1100,
    )
    options = {"endianness": endianness, "load_all_spc": load_all_spc}
    # 33 channels in the map, 33 in the spectrum: nothing to warn of
    (ours,) = file_reader(path, lazy=lazy, **options)
    # eagerly, upstream ignores the byte order
    (theirs,) = upstream_reader(str(path), lazy=True, **options)
    assert ours["data"].dtype == theirs["data"].dtype.newbyteorder("=")
    np.testing.assert_array_equal(np.asarray(ours["data"]), theirs["data"].compute())
    for mine, other in zip(ours["axes"], theirs["axes"], strict=True):
        for key in ("name", "size", "scale", "offset", "units", "navigate"):
            assert mine[key] == other[key], key
    instrument = ours["metadata"]["Acquisition_instrument"]["SEM"]
    expected = theirs["metadata"]["Acquisition_instrument"]["SEM"]
    assert instrument["beam_energy"] == expected["beam_energy"]
    assert instrument["Stage"] == expected["Stage"]
    for key, value in expected["Detector"]["EDS"].items():
        assert instrument["Detector"]["EDS"][key] == value
    assert ours["metadata"]["Sample"]["elements"] == ["Al", "Fe", "O"]
    assert ours["metadata"]["Sample"] == theirs["metadata"]["Sample"]
    for part, fields in theirs["original_metadata"].items():
        for key, value in fields.items():
            if not key.startswith("filler"):
                np.testing.assert_array_equal(ours["original_metadata"][part][key], value)


@pytest.mark.parametrize("load_all_spc", [False, True])
def test_same_spectrum_as_upstream(tmp_path, load_all_spc):
    path = builder.write_spc(tmp_path / "one.spc", 100)
    (ours,) = file_reader(path, load_all_spc=load_all_spc)
    (theirs,) = upstream_reader(str(path), load_all_spc=load_all_spc)
    assert ours["data"].dtype == theirs["data"].dtype
    np.testing.assert_array_equal(ours["data"], theirs["data"])
    for key in ("name", "size", "scale", "offset", "units", "navigate"):
        assert ours["axes"][0][key] == theirs["axes"][0][key]


def test_same_line_as_upstream(tmp_path):
    path = builder.write_line(tmp_path / "line.lsd")
    (ours,), (theirs,) = file_reader(path), upstream_reader(str(path))
    np.testing.assert_array_equal(ours["data"], theirs["data"])
    for mine, other in zip(ours["axes"], theirs["axes"], strict=True):
        for key in ("name", "size", "scale", "offset", "units", "navigate"):
            assert mine[key] == other[key], key
    found, expected = (o["original_metadata"]["csv_header"] for o in (ours, theirs))
    assert dict(expected) == found


# Upstream's own tests, on files made of what they expect: the originals are a download.

SPC_XRF = {
    "evPerChan": 10,
    "detReso": 137.92946,
    "liveTime": 2561.0,
    "tilt": 0.0,
    "azimuth": 45.0,
    "elevation": 35.0,
    "kV": 30.0,
    "numElem": 10,
    "at": (13, 20, 17, 24, 26, 19, 12, 25, 14, 39, *[0] * 38),
    "collectDateYear": 2013,
    "collectDateMon": 9,
    "collectDateDay": 26,
    "analyzerType": 4,
}
SPC_EDS = {
    "detReso": 129.31299,
    "liveTime": 50.000004,
    "tilt": 0.0,
    "azimuth": 0.0,
    "elevation": 34.0,
    "numElem": 8,
    "at": (13, 6, 58, 29, 9, 67, 12, 8, *[0] * 40),
    "xRayTubeZ": 0,
    "longFileName": b"C:\\ProgramData\\EDAX\\jtaillon\\Cole\\Mapping\\Lsm\\GFdCr\\950\\Area 1"
    b"\\spectrum20160419153851427_0.spc",
}
SPC_MAP = {
    "evPerChan": 5,
    "detReso": 126.60252,
    "liveTime": 2621.4399,
    "tilt": 0.0,
    "azimuth": 0.0,
    "elevation": 34.0,
    "numElem": 9,
    "at": (58, 27, 24, 26, 64, 57, 12, 8, 38, *[0] * 39),
}
SPC_LINE = {
    "detReso": 127.8103,
    "liveTime": 0.06,
    "tilt": 15.0,
    "azimuth": 0.0,
    "elevation": 0.0,
    "kV": 300.0,
    "numElem": 5,
    "at": (6, 27, 29, 26, 31, *[0] * 43),
}


def expected_counts(tree, class_name):
    """The counts that a class of upstream's tests looks for, as it lists them."""
    (found,) = [n for n in tree.body if getattr(n, "name", "") == class_name]
    (method,) = [n for n in found.body if getattr(n, "name", "") == "test_data"]
    lists = [
        node.test.left
        for node in method.body
        if isinstance(node, ast.Assert) and isinstance(node.test.left, ast.List)
    ]
    return np.array(ast.literal_eval(lists[-1]))


def write_spectrum(path, counts, n_channels, **fields):
    builder.write_spc(path, n_channels, **fields)
    raw = bytearray(path.read_bytes())
    raw[3840 : 3840 + 4 * n_channels] = bytes(4 * n_channels)
    raw[3840 : 3840 + 4 * len(counts)] = counts.astype("<u4").tobytes()
    path.write_bytes(raw)


def write_big_map(path, shape, counts, image_name):
    data = np.zeros(shape, dtype="<u2")
    data[15:20, 15:20, 15:20] = counts
    path.write_bytes(builder.spd_header(shape, 2, fName=image_name) + data.tobytes())


def make_files(folder, tree):
    folder.mkdir()
    xrf = folder / "spc0_61-ipr333_xrf.spc"
    write_spectrum(
        xrf,
        expected_counts(tree, "TestSpcSpectrum_v061_xrf"),
        4000,
        version=0.61,
        **SPC_XRF,
    )
    counts = expected_counts(tree, "TestSpdMap_061_xrf")
    write_big_map(xrf.with_suffix(".spd"), (200, 256, 2000), counts, b"garnet1.bmp")
    # without load_all_spc upstream wants 4 bytes more than version 0.61 has
    builder.write_ipr(folder / "garnet1.ipr", 565.1920166015625, 565.1920166015625, 333)
    counts = expected_counts(tree, "TestSpcSpectrum_v070_eds")
    write_spectrum(folder / "single_spect.spc", counts, 4096, **SPC_EDS)
    counts = expected_counts(tree, "TestSpdMap_070_eds")
    write_big_map(folder / "spd_map.spd", (200, 256, 2500), counts, b"spd_map.bmp")
    builder.write_spc(folder / "spd_map.spc", 4096, **SPC_MAP)
    builder.write_ipr(folder / "spd_map.ipr", 0.014235896058380602, 0.014227345585823057)
    counts = np.zeros((1, 3, 4096), dtype="<u4")
    counts[0, :, 15:20] = expected_counts(tree, "TestLsdLineScan")
    header = builder.spd_header(counts.shape, 4)
    (folder / "line_scan.lsd").write_bytes(header + counts.tobytes())
    builder.write_spc(folder / "line_scan.spc", 4096, **SPC_LINE)
    builder.write_csv(folder / "line_scan.csv", [0.0, 212.0, 424.0])


def test_upstream_suite(tmp_path):
    """All of it passes against our reader but for the signal type's name."""
    pytest.importorskip("requests")
    source = UPSTREAM_TESTS / "test_edax.py"
    if not source.is_file():
        pytest.skip(f"{source} is not installed")
    text = source.read_text(encoding="utf-8")
    make_files(tmp_path / "files", ast.parse(text))
    (tmp_path / "data" / "edax").mkdir(parents=True)
    archive = tmp_path / "data" / "edax" / "edax_files.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:
        for path in (tmp_path / "files").iterdir():
            zipped.write(path, path.name)
            path.unlink()
    changed = text.replace(
        "from rsciio.edax import", "from rsciio_xfm.formats.edax import"
    )
    assert changed != text
    changed = changed.replace('"EDS_SEM" == signal_dict', '"EDS_XFM" == signal_dict')
    (tmp_path / "test_edax.py").write_text(changed, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_edax.py"],
        cwd=tmp_path,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    archive.unlink()
    assert result.returncode == 0, result.stdout[-5000:]
    last = result.stdout.splitlines()[-1]
    assert "passed" in last and "skipped" not in last and "failed" not in last
