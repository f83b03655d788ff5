"""``rsciio-xfm convert``, ``preview``, ``tree`` and ``repack``."""

import numpy as np
import pytest
from matplotlib.image import imread

from rsciio_xfm import datastack
from tests.builders import datastack as builder


@pytest.fixture
def pair(tmp_path):
    return builder.write_raw(tmp_path)


def test_convert(run, pair, tmp_path):
    raw, rpl = pair
    text = run("convert", raw)
    path = raw.with_suffix(".datastack")
    assert f"{path}: 7 x 5 pixels, 64 channels" in text
    expected = datastack.convert(
        raw, rpl, tmp_path / "x.datastack", show_progressbar=False
    )
    for name in datastack.tree(expected):
        np.testing.assert_array_equal(
            datastack.read(path, name), datastack.read(expected, name)
        )
    assert "exists; use --overwrite" in run("convert", rpl, code=1)
    options = ["--sigma", 0, "--integers", "--flip-vertical", "--flip-horizontal"]
    options += ["--compressor", "none", "--zarr-format", 2, "--overwrite"]
    run("--workers", 1, "convert", rpl, *options)
    counts = datastack.read(path, "maxrf_cube")
    assert counts.dtype == np.uint16
    np.testing.assert_array_equal(counts, builder.make_counts()[::-1, ::-1])
    assert datastack.tree(path)["maxrf_cube"]["compression"] == "none"
    run("convert", raw, "-o", tmp_path / "y.datastack")
    assert "maxrf_cube" in run("info", tmp_path / "y.datastack")


def test_calibration(run, pair):
    raw, _ = pair
    run("convert", raw, "--kev-per-channel", 0.1, "--kev-of-channel-0", -0.5)
    path = raw.with_suffix(".datastack")
    energies = datastack.read(path, "maxrf_energies")
    np.testing.assert_allclose(energies, -0.5 + 0.1 * np.arange(64))
    run("image", path, "--line", "Ca_Ka", "-o", raw.with_suffix(".tif"))
    text = run("convert", raw, "--kev-of-channel-0", 1, "--overwrite", code=1)
    assert "needs --kev-per-channel" in text


def test_preview(run, pair):
    raw, _ = pair
    text = run("preview", raw, "--flip-vertical")
    picture = raw.with_name("scan.raw_preview.png")
    assert f"{picture}: 7 x 5 pixels around channel" in text
    assert imread(picture).shape[:2] == (5, 7)
    assert "exists" in run("preview", raw, code=1)
    assert "expected .png" in run("preview", raw, "-o", raw.with_suffix(".jpg"), code=1)


def test_tree_and_repack(run, pair):
    raw, _ = pair
    run("convert", raw)
    path = raw.with_suffix(".datastack")
    datastack.append(np.arange(3), "mine", path)
    datastack.append(np.arange(4), "mine", path)
    lines = run("tree", path).splitlines()
    assert lines[0].split() == [
        "name", "shape", "type", "chunks", "size", "in", "the", "file", "compression"
    ]  # fmt: skip
    assert len(lines) == 6
    assert ["mine", "(older)", "3"] in [line.split()[:3] for line in lines]
    assert any("5 x 7 x 64" in line and "blosc" in line for line in lines)
    other = path.with_name("other.datastack")
    assert "mine;" in run("repack", path, "--select", "mine", "-o", other)
    assert list(datastack.tree(other)) == ["mine"]
    assert "exists" in run("repack", path, "-o", other, code=1)
    assert "mine" in run("repack", path)
    assert len(run("tree", path).splitlines()) == 5
    assert "no 'yours'" in run("repack", path, "--select", "yours", code=1)


def test_wrong_files(run, pair, tmp_path):
    raw, rpl = pair
    assert "expected .raw or .rpl" in run("convert", run_other(tmp_path), code=1)
    assert "expected .datastack" in run("tree", raw, code=1)
    assert "--rpl is for a .raw file" in run("convert", rpl, "--rpl", rpl, code=1)
    assert "expected sigma=0" in run("convert", raw, "--integers", code=1)
    rpl.rename(tmp_path / "other.rpl")
    assert "scan.rpl is not there" in run("convert", raw, code=1)
    run("convert", raw, "--rpl", tmp_path / "other.rpl")
    raw.write_bytes(b"")
    text = run("convert", raw, "--rpl", tmp_path / "other.rpl", "--overwrite", code=1)
    assert "ends at byte 0" in text and "Traceback" not in text


def run_other(tmp_path):
    path = tmp_path / "map.txt"
    path.write_text("text")
    return path


def test_damaged(run, pair):
    raw, _ = pair
    run("convert", raw)
    path = raw.with_suffix(".datastack")
    path.write_bytes(path.read_bytes()[:-30])
    assert "repack" in run("tree", path, code=1)
    run("repack", path)
    assert "Warning" not in run("tree", path)
