"""The command line with EDF, SPEC and HDF5 files."""

import h5py
import numpy as np
import pytest

from rsciio_xfm import datastack, esrf
from tests.builders import esrf as build
from tests.builders import geopixe
from tests.io.esrf_common import read_one, values


@pytest.fixture
def scan(tmp_path):
    return tmp_path / "scan.h5", build.write_bliss(tmp_path / "scan.h5")


@pytest.fixture
def xia(tmp_path):
    truth = build.write_xia(tmp_path, calibration="mca", coefficients=(0, 0.02, 0))
    return tmp_path / "zap_xia00_0001_0000_0000.edf", truth


def test_tree(run, scan, xia, tmp_path):
    path, _ = scan
    lines = run("tree", path).splitlines()
    assert lines[0].split() == [
        "name",
        "kind",
        "shape",
        "type",
        "size",
        "scan",
        "or",
        "link",
    ]
    assert lines[1].startswith("1.1/measurement/fx1_det0  ")
    assert "map      35 x 64  uint32   9 KiB" in lines[1]
    assert "amesh sampy 10 22 6" in lines[1]
    build.write_spec(tmp_path / "a.dat")
    text = run("tree", tmp_path / "a.dat")
    assert "1.1   scan  35" in text and "0.1 (35 spectra)" in text
    assert "5 of 5 rows" in run("tree", xia[0])
    (tmp_path / "a.spec").write_bytes(b"nonsense")
    assert "fabio cannot read it" in run("tree", tmp_path / "a.spec", code=1)
    text = run("tree", tmp_path / "a.raw", code=2)
    assert "does not exist" in text


def test_one_of_several_maps(run, scan, tmp_path):
    path, truth = scan
    text = run("spectrum", path, "-o", tmp_path / "a.msa", code=1)
    assert "2 of them maps of X-ray spectra, not one: choose with --dataset" in text
    chosen = ("--dataset", "1.1/measurement/fx1_det1")
    text = run("spectrum", path, *chosen, "-o", tmp_path / "a.msa")
    assert f"{truth['counts'][1].sum()} counts of 7 x 5 pixels" in text
    assert "Beside it" not in run("info", path, *chosen)
    text = run("info", path, "--dataset", "a", code=1)
    assert text.startswith(
        f"Error: {path}: The file has no 'a', expected as dataset_path"
    )
    assert "choose with --dataset" in run("demo", path, "-o", tmp_path / "out", code=1)
    text = run("export", path, *chosen, "--y", 1, 3, "-o", tmp_path / "b.h5")
    np.testing.assert_array_equal(
        values(read_one(tmp_path / "b.h5")), truth["counts"][1, 1:3]
    )
    run("export", path, *chosen, "-o", tmp_path / "b.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), truth["counts"][1])


def test_dataset_of_one_map(run, tmp_path):
    path = geopixe.write_map(tmp_path / "map.GeoPIXE")
    text = run("info", path, "--dataset", "a", code=1)
    assert "--dataset is for files of several maps" in text


def test_info_of_a_map_of_files(run, xia):
    text = run("info", xia[0])
    assert "Counts      uint32, 9 KiB if dense" in text
    assert "Energy      64 from 0 to 1.26, step 0.02 keV" in text
    assert "Detector 1  35 spectra; dead time" in text


def test_detector(run, xia, tmp_path):
    path, truth = xia
    run("export", path, "--detector", 1, "-o", tmp_path / "a.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), truth["counts"][1])
    run("export", path, "--separate-detectors", "-o", tmp_path / "b.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), truth["counts"])
    (tmp_path / "b.npy").unlink()
    text = run("export", path, "--detector", 7, "-o", tmp_path / "b.npy", code=1)
    assert "detector is 7, expected one of 0, 1" in text


def test_convert(run, xia, tmp_path):
    path, truth = xia
    text = run("convert", path, "-o", tmp_path / "map.h5")
    assert text.startswith(f"{tmp_path / 'map.h5'}: ")
    np.testing.assert_array_equal(
        values(read_one(tmp_path / "map.h5")), truth["counts"].sum(0)
    )
    build.write_spec(tmp_path / "a.dat")
    run("convert", tmp_path / "a.dat")
    assert "1.1/measurement/mca_0/data" in esrf.tree(tmp_path / "a.h5")
    assert "exists; use --overwrite" in run("convert", tmp_path / "a.dat", code=1)
    run("convert", tmp_path / "a.dat", "--overwrite")
    text = run("convert", tmp_path / "a.dat", "--sigma", 3, "--overwrite", code=1)
    assert "--sigma is for .raw and .rpl" in text
    assert "is an HDF5 file already" in run("convert", tmp_path / "a.h5", code=1)
    text = run("convert", path, "-o", tmp_path / "a.zspy", code=1)
    assert "expected .h5 or .hdf5 or .nxs" in text


def test_convert_to_a_datastack(run, xia, tmp_path):
    """Any map is converted to one that is called so, HDF5 too."""
    path, truth = xia
    run("convert", path, "-o", tmp_path / "map.h5")
    for file in (path, tmp_path / "map.h5"):
        output = tmp_path / "map.datastack"
        options = ("--sigma", 0, "--integers", "--overwrite")
        run("convert", file, *options, "-o", output)
        np.testing.assert_array_equal(
            datastack.read(output, "maxrf_cube"), truth["counts"].sum(0)
        )


def test_pictures(run, xia, tmp_path):
    path, _ = xia
    run("analyse", path, "-o", tmp_path / "out")
    assert (tmp_path / "out" / "dead_time_map.png").stat().st_size > 5000


def test_axes(run, scan, tmp_path):
    counts = np.arange(60 * 4 * 128, dtype=np.uint32).reshape(60, 4, 128)
    path = tmp_path / "points.h5"
    with h5py.File(path, "w") as file:
        file["spectra"] = counts
    chosen = ("--dataset", "spectra")
    text = run("info", path, *chosen, code=1)
    assert "(60, 4, 128) and nothing tells" in text
    assert "--axes on the command line" in text
    chosen = (*chosen, "--axes", "point detector channel")
    text = run("info", path, *chosen)
    assert (
        "Counts      uint32" in text and "Beside it   points spectra 3, 128 x 60" in text
    )
    run("export", path, *chosen, "--detector", 3, "-o", tmp_path / "a.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), counts[:, 3])
    text = run("export", path, *chosen, "-o", tmp_path / "b.npy", code=1)
    assert "choose with --dataset or --detector" in text
    run("export", path, *chosen, "--detector", "sum", "-o", tmp_path / "d.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "d.npy"), counts.sum(axis=1))
    text = run("export", path, *chosen, "--detector", "all", "-o", "e.npy", code=2)
    assert "'all' is neither a number nor 'sum'" in text
    axes = ("--axes", "x y channel")
    run("export", path, "--dataset", "spectra", *axes, "-o", tmp_path / "c.npy")
    np.testing.assert_array_equal(
        np.load(tmp_path / "c.npy"), counts.transpose((1, 0, 2))
    )
    text = run("info", path, *chosen[:2], "--axes", "x y", code=1)
    assert "axes is 'x y', expected one text with the names of the array's axes" in text
    geopixe_map = geopixe.write_map(tmp_path / "map.GeoPIXE")
    text = run("info", geopixe_map, "--axes", "y x channel", code=1)
    assert "--axes is for HDF5 files" in text


def test_tree_of_hdf5_by_content(run, tmp_path):
    with h5py.File(tmp_path / "map.edaxh5", "w") as file:
        file["Project/Sample 1/SPD"] = np.zeros((2, 3, 4), np.uint16)
        file["Project/SPC"] = np.zeros(1, [(f"Field{i}", "f4") for i in range(99)])
    text = run("tree", tmp_path / "map.edaxh5")
    assert "Project/Sample 1/SPD" in text and "[('Field0', '<f4'), " in text
    assert max(map(len, text.splitlines())) < 120
    (tmp_path / "map.spd").write_bytes(bytes(9))
    said = run("tree", tmp_path / "map.spd", code=1)
    assert "expected .datastack, or an EDF, SPEC or HDF5" in said and "info" in said
