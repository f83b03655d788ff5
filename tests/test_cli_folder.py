"""``rsciio-xfm convert`` of a folder of spectra."""

import hyperspy.api as hs
import numpy as np
import pytest

from tests.builders import text_spectra as builder


@pytest.fixture
def folder(tmp_path):
    builder.write_folder(tmp_path / "spectra")
    return tmp_path / "spectra"


def test_convert(run, folder, tmp_path):
    counts = builder.write_folder(folder)
    text = run("convert", folder, "-o", tmp_path / "a.h5", "--shape", "6x4", "--snake")
    assert text.startswith(f"{tmp_path / 'a.h5'}: ") and text.endswith(" s\n")
    counts[1::2] = counts[1::2, ::-1]
    s = hs.load(tmp_path / "a.h5", file_format="ESRF")
    np.testing.assert_array_equal(s.data, counts)
    text = run("info", tmp_path / "a.h5")
    assert "24 spectra; dead time 10.00 % on average" in text
    assert "exists; use --overwrite" in run(
        "convert", folder, "-o", tmp_path / "a.h5", "--shape", "6x4", code=1
    )


def test_datastack(run, folder, tmp_path):
    pytest.importorskip("numcodecs")
    folder = folder.rename(tmp_path / "spectra.v2")
    run("convert", folder, "--shape", "6X4", "--compressor", "none", "--integers")
    s = hs.load(tmp_path / "spectra.v2.datastack")
    assert s.data.dtype.kind == "u"
    text = run("convert", folder, "--shape", "6x4", "--sigma", 3, "--overwrite", code=1)
    assert "--sigma is not for a folder of spectra and .datastack" in text


def test_calibration(run, folder, tmp_path):
    run(
        "convert", folder, "--shape", "6x4", "-o", tmp_path / "a.hspy",
        "--kev-per-channel", 0.02, "--kev-of-channel-0", -0.1,
    )  # fmt: skip
    axis = hs.load(tmp_path / "a.hspy").axes_manager[-1]
    assert (axis.offset, axis.scale) == (-0.1, 0.02)
    text = run(
        "convert", folder, "--shape", "6x4", "-o", tmp_path / "b.hspy",
        "--calibrate", "Fe_Ka=20,Cu_Ka=25", code=1,
    )  # fmt: skip
    assert "--calibrate is not for a folder of spectra and .hspy" in text


def test_wrong(run, folder, tmp_path):
    for shape in ("6", "6x", "0x4", "6x4x2", "x"):
        text = run("convert", folder, "--shape", shape, code=2)
        assert "is no shape, expected columns and rows, 40x30" in text
    assert "possible are 6x4" in run("convert", folder, code=1)
    text = run("convert", folder, "--shape", "7x4", code=1)
    assert "24 files, expected as many" in text and "--unfinished" in text
    text = run(
        "convert", folder, "--shape", "7x4", "--unfinished", "-o", tmp_path / "a.h5"
    )
    assert "missing: scan_25.mca, scan_26.mca, scan_27.mca, scan_28.mca." in text
    text = run("convert", folder, "-o", tmp_path / "a.tif", code=1)
    assert "expected .datastack or .h5" in text
    raw = tmp_path / "a.raw"
    raw.write_bytes(b"")
    text = run("convert", raw, "--shape", "6x4", "--snake", code=1)
    assert "--shape, --snake is for folders of spectra" in text


def test_spectra(run, folder, tmp_path):
    """One spectrum is taken where a map is, by its content."""
    for name, content in (
        ("a.mca", builder.amptek(builder.make_counts())),
        ("a.spe", builder.axil(builder.make_counts())),
        ("a.dat", b"1\n2\n3\n"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        text = run("info", path)
        assert "Counts      uint32" in text
        assert ("live_time" in text) == (name != "a.dat")


def test_where_a_file_is_expected(run, folder):
    for command in ("info", "explore", "elements"):
        text = run(command, folder, code=2)
        assert "is a folder, expected a file" in text and "rsciio-xfm convert" in text
