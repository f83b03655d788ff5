"""Raw scans: every way that a ``.rpl`` file can say it, and what becomes of them."""

import importlib
import os
import subprocess
import sys
import warnings

import dask
import hyperspy.api as hs
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from matplotlib.image import imread
from scipy.ndimage import gaussian_filter1d

from rsciio_xfm import datastack
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from rsciio_xfm.formats.ripple.rpl import parse_rpl
from rsciio_xfm.kernels.smooth import smooth_spectra
from tests.builders import datastack as builder
from tests.builders.ripple import BRUKER
from tests.conftest import DATA
from tests.io.test_datastack import FORMATS, zarr_arrays
from tests.io.test_datastack_damaged import little_memory

QUIET = {"show_progressbar": False}


def convert(raw, rpl, dst=None, **kwds):
    return datastack.convert(raw, rpl, dst, **QUIET | kwds)


def read_cube(path):
    return datastack.read(path, "maxrf_cube")


@pytest.fixture
def pair(tmp_path):
    return builder.write_raw(tmp_path)


# Smoothing.


@pytest.mark.parametrize("n_channels", [1, 2, 7, 60, 1000])
@pytest.mark.parametrize("sigma", [0.2, 1, 2.5, 7, 40])
def test_smoothing_is_scipys(n_channels, sigma):
    rng = np.random.default_rng(0)
    for dtype in ("u1", "u2", "u4", "i2", "f4", "f8"):
        spectra = rng.poisson(5, (4, n_channels)).astype(dtype)
        spectra[2] = 0
        expected = gaussian_filter1d(spectra.astype(float), sigma, axis=1)
        found = smooth_spectra(spectra, sigma)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * spectra.max())


def test_real_scan(tmp_path):
    raw, rpl = (DATA / "datastack" / f"painting_12x9.{e}" for e in ("raw", "rpl"))
    if not raw.is_file():
        pytest.skip(f"{raw} is not there")
    counts = np.fromfile(raw, "<u2").reshape(12, 9, 1024)
    path = convert(raw, rpl, tmp_path / "made.datastack")
    # what maxrf4u made of it
    theirs = raw.with_name("painting_12x9_zarr3.datastack")
    for name in ("maxrf_cube", "maxrf_maxspectrum", "maxrf_sumspectrum"):
        ours, expected = datastack.read(path, name), datastack.read(theirs, name)
        assert ours.dtype == expected.dtype and ours.shape == expected.shape
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)
    signal = hs.load(path, lazy=True)
    assert signal.metadata.Signal.smoothing_sigma == 7
    assert signal.metadata.General.title == "made (smoothed)"
    exact = convert(raw, rpl, tmp_path / "exact.datastack", sigma=0, keep_integers=True)
    assert read_cube(exact).dtype == np.uint16
    np.testing.assert_array_equal(read_cube(exact), counts)


# What is converted.


@pytest.mark.parametrize("sigma", [0, 7, 1.5])
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True)])
def test_convert(pair, sigma, zarr_format, flips):
    path = convert(
        *pair,
        sigma=sigma,
        zarr_format=zarr_format,
        flip_horizontal=flips[0],
        flip_vertical=flips[1],
    )
    assert path == pair[0].with_suffix(".datastack")
    counts = builder.make_counts()[:: -1 if flips[1] else 1, :: -1 if flips[0] else 1]
    expected = counts.astype(float)
    if sigma:
        expected = gaussian_filter1d(expected, sigma, axis=2)
    found = zarr_arrays(path) if zarr_format in FORMATS else None
    found = found or {n: datastack.read(path, n) for n in datastack.tree(path)}
    assert set(found) == {"maxrf_cube", "maxrf_maxspectrum", "maxrf_sumspectrum"}
    assert {array.dtype.name for array in found.values()} == {"float32"}
    np.testing.assert_allclose(found["maxrf_cube"], expected, rtol=1e-5, atol=1e-6)
    # maxrf4u looks for the pixels that have just this maximum
    np.testing.assert_array_equal(
        found["maxrf_maxspectrum"], found["maxrf_cube"].max((0, 1))
    )
    np.testing.assert_allclose(
        found["maxrf_sumspectrum"], expected.mean((0, 1)), rtol=1e-5
    )


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8", "u8"])
@pytest.mark.parametrize("order", ["little-endian", "big-endian"])
@pytest.mark.parametrize("record", ["vector", "image"])
@pytest.mark.parametrize("offset", [0, 13])
def test_every_layout(tmp_path, dtype, order, record, offset):
    counts = builder.make_counts().astype(dtype)
    if counts.dtype.kind != "u":
        counts -= 3
    pair = builder.write_raw(tmp_path, counts, order=order, record=record, offset=offset)
    for chunks in ("auto", (2, 3, 20)):
        path = convert(*pair, sigma=0, chunks=chunks, flip_vertical=True, overwrite=True)
        np.testing.assert_array_equal(read_cube(path), counts[::-1])
        smooth = convert(*pair, tmp_path / "smooth.datastack", overwrite=True)
        expected = gaussian_filter1d(counts.astype(float), 7, axis=2)
        np.testing.assert_allclose(read_cube(smooth), expected, rtol=1e-5, atol=2e-5)
    found = datastack.preview(*pair)
    np.testing.assert_array_equal(found.max_spectrum, counts.max((0, 1)))
    np.testing.assert_array_equal(found.sum_spectrum, counts.sum((0, 1)))
    assert found.channel == counts.max((0, 1)).argmax()
    if counts.dtype.kind in "ui":
        exact = convert(*pair, tmp_path / "i.datastack", sigma=0, keep_integers=True)
        assert read_cube(exact).dtype == counts.dtype
        np.testing.assert_array_equal(read_cube(exact), counts)


SPACES = """width {width}
 Height   {height}
DEPTH: {depth}
offset = {offset}

; a comment
data-length {length} ; bytes
Data-Type {kind}
byte-order {order}
record-by {record}
"""
INCA = """(MLX::LISPIX
(MLX::WIDTH : {width})
(MLX::HEIGHT : {height})
(MLX::DEPTH : {depth})
(MLX::OFFSET : {offset})
(MLX::DATA-LENGTH : {length})
(MLX::DATA-TYPE : {kind})
(MLX::BYTE-ORDER : {order})
(MLX::RECORD-BY : MLX::{record}))
"""
COMMENTS = """# made by hand
width {width} ; pixels
height {height}
depth {depth}
data-length {length}
byte-order {order}
offset {offset}
record-by {record}
title a;b (c)
date 2026
date 2027
\x1a"""


@pytest.mark.parametrize("text", [builder.RPL, SPACES, INCA, COMMENTS])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_spelling(tmp_path, text, ending, mark):
    raw, rpl = builder.write_raw(tmp_path, order="big-endian", offset=7, text=text)
    rpl.write_bytes((mark + rpl.read_text()).replace("\n", ending).encode("utf-8"))
    np.testing.assert_array_equal(
        read_cube(convert(raw, rpl, sigma=0)), builder.make_counts()
    )


def test_keys_that_are_others(tmp_path):
    """The format's separator is the tab: what is before it is the key."""
    more = "\nWidth (mm)\t12\nDepth profile\tyes\nDate/Time\t2020\n[x]\ty\n*a\tb"
    more += "\ntitle\tSample #3 left; more\noffset angle\t3\nheight\t5\tpixels"
    raw, rpl = builder.write_raw(tmp_path, more=more)
    ripple = parse_rpl(rpl)
    assert ripple.shape == builder.SHAPE
    assert ripple.fields["title"] == "Sample #3 left"
    assert ripple.fields["date/time"] == "2020" and "date" not in ripple.fields
    np.testing.assert_array_equal(
        read_cube(convert(raw, rpl, sigma=0)), builder.make_counts()
    )


def test_defaults_of_maxrf4u(tmp_path):
    """It knows four keys, and takes the others for granted."""
    text = "width\t{width}\nheight\t{height}\ndepth\t{depth}\ndata-Length\t{length}"
    pair = builder.write_raw(tmp_path, text=text)
    np.testing.assert_array_equal(
        read_cube(convert(*pair, sigma=0)), builder.make_counts()
    )


@pytest.mark.parametrize(
    ("more", "scale", "offset"),
    [
        ("\nev-per-chan\t10", 0.01, 0),
        ("\ndepth-scale\t0.02\ndepth-origin\t-0.5\ndepth-units\tkeV", 0.02, -0.5),
        ("\ndepth-scale\t20\ndepth-origin\t-500\ndepth-units\teV", 0.02, -0.5),
        ("\n" + BRUKER, 0.010002, -0.956),
    ],
)
def test_calibration(tmp_path, more, scale, offset):
    pair = builder.write_raw(
        tmp_path, more=more.rstrip() + "\ntitle\tSaint\nbeam-energy\t50"
    )
    signal = hs.load(convert(*pair))
    axis = signal.axes_manager[-1]
    assert (axis.scale, axis.offset) == (pytest.approx(scale), pytest.approx(offset))
    assert axis.units == "keV"
    assert signal.metadata.General.title == "Saint (smoothed)"
    assert signal.metadata.Acquisition_instrument.SEM.beam_energy == 50


def test_calibration_of_pixels(tmp_path):
    more = "\nwidth-scale\t0.5\nwidth-units\tmm\nwidth-origin\t3"
    more += "\nheight-scale\t0.25\nheight-units\tmm\nheight-origin\t7"
    pair = builder.write_raw(tmp_path, more=more)
    signal = hs.load(convert(*pair, flip_vertical=True))
    x, y = signal.axes_manager.navigation_axes
    assert (x.scale, x.offset, x.units) == (0.5, 3, "mm")
    assert (y.scale, y.offset, y.units) == (0.25, 0, "mm")


def test_pair_of_hyperspy(tmp_path):
    """With all that RosettaSciIO's writer puts into the text, in Latin-1."""
    signal = hs.signals.Signal1D(builder.make_counts())
    signal.set_signal_type("EDS_SEM")
    x, energy = signal.axes_manager[0], signal.axes_manager[-1]
    x.scale, x.units = 0.5, "µm"
    energy.scale, energy.offset, energy.units = 0.02, -0.1, "keV"
    signal.save(tmp_path / "scan.rpl")
    again = hs.load(convert(tmp_path / "scan.raw", tmp_path / "scan.rpl", sigma=0))
    np.testing.assert_array_equal(again.data, builder.make_counts())
    assert (again.axes_manager[0].scale, again.axes_manager[0].units) == (0.5, "µm")
    found = again.axes_manager[-1]
    assert (found.scale, found.units) == (pytest.approx(0.02), "keV")
    assert found.offset == pytest.approx(-0.1)


def test_calibration_without_units(tmp_path):
    pair = builder.write_raw(tmp_path, more="\nev-per-chan\t10\ndepth-origin\t-0.9")
    with pytest.warns(UserWarning, match="depth-origin without depth-units"):
        path = convert(*pair)
    assert datastack.read(path, "maxrf_energies")[:2].tolist() == [0, 0.01]


def test_calibration_that_is_none(tmp_path):
    pair = builder.write_raw(tmp_path, more="\nev-per-chan\tten")
    with pytest.warns(UserWarning, match="calibration.*ten"):
        path = convert(*pair)
    assert "maxrf_energies" not in datastack.tree(path)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("width\t7", "", "key width is missing"),
        ("height\t5", "height\tfive", "height is 'five', expected an integer"),
        ("depth\t64", "depth\t-64", "depth is '-64'"),
        ("depth\t64", "depth\t1", "depth is 1"),
        ("depth\t64", "depth\t99999999999999999999", "depth is"),
        ("width\t7", "width\t7\nwidth\t8", "width is '8' in line 3.*'7' before"),
        ("data-Length\t2", "data-Length\t3", "data-length is 3"),
        ("unsigned", "float", "data-length is 2 and data-type float"),
        ("vector", "vector\nrecord-by\timage", "record-by is 'image' in line 10"),
        ("unsigned", "complex", "data-type is 'complex', expected signed or"),
        ("little", "middle", "byte-order is 'middle-endian'"),
        ("vector", "dont-care", "record-by is 'dont-care', expected vector or image"),
        ("offset\t0", "offset\t-1", "offset is '-1'"),
        ("offset\t0", "???", "line 5 is '\\?\\?\\?'"),
        ("key\tvalue", "\0", "no text"),
    ],
)
def test_contradictions(pair, old, new, text):
    raw, rpl = pair
    assert old in rpl.read_text()
    rpl.write_text(rpl.read_text().replace(old, new))
    for function in (convert, datastack.preview):
        with pytest.raises(FileFormatError, match=text) as caught:
            function(raw, rpl)
        assert str(rpl) in str(caught.value)
    assert sorted(p.name for p in raw.parent.iterdir()) == ["scan.raw", "scan.rpl"]


@pytest.mark.parametrize("record", ["vector", "image"])
def test_too_long(tmp_path, record):
    raw, rpl = builder.write_raw(tmp_path, record=record)
    with raw.open("ab") as file:
        file.write(b"\x01" * 127)
    with pytest.warns(UserWarning, match="4607 bytes, expected 4480.*ignored"):
        path = convert(raw, rpl, sigma=0)
    np.testing.assert_array_equal(read_cube(path), builder.make_counts())
    with raw.open("ab") as file:
        file.write(b"\x01")
    with pytest.raises(CorruptFileError, match="4608 bytes, expected 4480"):
        convert(raw, rpl, sigma=0, overwrite=True)


def test_too_short(tmp_path):
    raw, rpl = builder.write_raw(tmp_path)
    os.truncate(raw, 3 * 7 * 128 + 5)
    with pytest.warns(UserWarning, match="3 rows are there; the others are zeros"):
        path = convert(raw, rpl, sigma=0, flip_vertical=True)
    expected = builder.make_counts()
    expected[3:] = 0
    np.testing.assert_array_equal(read_cube(path), expected[::-1])
    with pytest.warns(UserWarning, match="3 rows are there"):
        found = datastack.preview(raw, rpl)
    np.testing.assert_array_equal(found.max_spectrum, expected.max((0, 1)))
    os.truncate(raw, 7 * 128 - 1)
    with pytest.raises(TruncatedFileError, match=r"ends at byte 895, expected 4480"):
        convert(raw, rpl, overwrite=True)
    raw, rpl = builder.write_raw(tmp_path, record="image")
    os.truncate(raw, 4479)
    with pytest.raises(TruncatedFileError, match="ordered as images"):
        convert(raw, rpl, overwrite=True)


def test_lying_sizes_take_no_memory(tmp_path):
    raw, rpl = builder.write_raw(tmp_path)
    rpl.write_text(rpl.read_text().replace("height\t5", "height\t16000000"))
    with little_memory(), pytest.raises(TruncatedFileError):
        convert(raw, rpl)


@pytest.mark.parametrize(
    ("kwds", "text"),
    [
        ({"sigma": -1}, "sigma is -1"),
        ({"sigma": np.nan}, "sigma is nan"),
        ({"sigma": "7"}, "sigma is '7'"),
        ({"keep_integers": True}, "expected sigma=0"),
        ({"chunks": (1, 2)}, "expected 'auto' or 3 sizes"),
        ({"compressor": "bzip"}, "compressor is"),
        ({"zarr_format": "3"}, "zarr_format is '3'"),
    ],
)
def test_wrong_arguments(pair, kwds, text):
    with pytest.raises(ValueError, match=text):
        convert(*pair, **kwds)
    assert len(list(pair[0].parent.iterdir())) == 2


def test_other_extension(pair):
    with pytest.raises(ValueError, match=r"expected \.datastack"):
        convert(*pair, pair[0].with_suffix(".zip"))
    with pytest.raises(FileFormatError, match="exchanged"):
        builder.write_raw(pair[0].parent, np.zeros((2, 2, 9), np.uint16), name="zeros")
        convert(pair[1], pair[0].with_name("zeros.raw"))


def test_destination(pair, tmp_path):
    path = convert(*pair)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        convert(*pair)
    assert path.read_bytes() == before
    same = pair[0].rename(tmp_path / "raw.datastack")
    with pytest.raises(ValueError, match="the file that is read"):
        convert(same, pair[1], same, overwrite=True)
    same.rename(pair[0])
    with pytest.raises(FileNotFoundError):
        convert(*pair, tmp_path / "nowhere" / "x.datastack")
    with pytest.raises(FileNotFoundError):
        convert(tmp_path / "no.raw", pair[1])
    # an error on the way leaves nothing
    raw = pair[0]
    with pytest.raises(OverflowError):
        builder.write_raw(tmp_path, np.full((2, 2, 8), 2**31, np.uint32), name="large")
        convert(tmp_path / "large.raw", tmp_path / "large.rpl", sigma=0)
    assert {p.suffix for p in raw.parent.iterdir()} == {".raw", ".rpl", ".datastack"}


def test_disk_full(pair, monkeypatch):
    path = convert(*pair)
    before = path.read_bytes()
    from rsciio_xfm.formats.datastack import write

    def refuse(archive, name, data):
        if name.endswith("/0/0/0"):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(write, "put", refuse)
    with pytest.raises(OSError, match="No space left") as caught:
        convert(*pair, overwrite=True)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 3


def test_memory_does_not_depend_on_the_size(tmp_path):
    """Of a sparse file of 512 MiB, in a process whose peak is known."""
    raw, rpl = tmp_path / "big.raw", tmp_path / "big.rpl"
    rpl.write_text(
        builder.RPL.format(
            width=512,
            height=128,
            depth=4096,
            offset=0,
            length=2,
            kind="unsigned",
            order="little-endian",
            record="vector",
        )
    )
    with raw.open("wb") as file:
        file.truncate(512 * 128 * 4096 * 2)
    code = """
import sys, resource
from rsciio_xfm import datastack
from rsciio_xfm.formats.ripple.rpl import parse_rpl
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
import numcodecs.blosc, scipy.ndimage, dask.array, zipfile, rsciio_xfm.kernels.smooth
before = peak()
datastack.convert(*sys.argv[1:3], show_progressbar=False)
print(peak() - before)
"""
    result = subprocess.run(
        [sys.executable, "-c", code, raw, rpl],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(result.stdout) < 350


def test_threads_and_synchronous_agree(pair, tmp_path):
    first = convert(*pair, chunks=(1, 2, 9))
    with dask.config.set(scheduler="synchronous", num_workers=1):
        second = convert(*pair, tmp_path / "two.datastack", chunks=(1, 2, 9))
    for name in datastack.tree(first):
        np.testing.assert_array_equal(
            datastack.read(first, name), datastack.read(second, name)
        )


@hypothesis.given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(2, 40)),
    chunks=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40)),
    flips=st.tuples(st.booleans(), st.booleans()),
    record=st.sampled_from(["vector", "image"]),
)
@hypothesis.settings(max_examples=25)
def test_any_chunks(tmp_path, shape, chunks, flips, record):
    counts = builder.make_counts(shape)
    pair = builder.write_raw(tmp_path, counts, record=record)
    path = convert(
        *pair,
        sigma=0,
        chunks=chunks,
        flip_horizontal=flips[0],
        flip_vertical=flips[1],
        keep_integers=True,
        overwrite=True,
    )
    expected = counts[:: -1 if flips[1] else 1, :: -1 if flips[0] else 1]
    np.testing.assert_array_equal(read_cube(path), expected)


# The picture.


def equalize(image):
    """Formula of histogram equalisation, pixel by pixel."""
    numbers, edges = np.histogram(image, bins=256)
    centres = (edges[1:] + edges[:-1]) / 2
    return np.interp(image, centres, np.cumsum(numbers) / image.size)


@pytest.mark.parametrize("is_guess_right", [True, False])
def test_preview(tmp_path, monkeypatch, is_guess_right):
    _preview = importlib.import_module("rsciio_xfm.formats.datastack.preview")

    counts = builder.make_counts((40, 30, 64))
    counts[33, 7, 41] = 200  # higher than all, in one pixel
    if is_guess_right:
        monkeypatch.setattr(_preview, "_guess_peak", lambda source: 38)
    raw, rpl = builder.write_raw(tmp_path, counts)
    found = datastack.preview(raw, rpl, flip_horizontal=True)
    assert found.channel == 41
    np.testing.assert_array_equal(found.max_spectrum, counts.max((0, 1)))
    np.testing.assert_array_equal(found.sum_spectrum, counts.sum((0, 1)))
    expected = equalize(counts[:, :, 31:51].sum(-1))[:, ::-1]
    np.testing.assert_allclose(found.image, expected)
    assert found.path == tmp_path / "scan.raw_preview.png"
    picture = imread(found.path)
    assert picture.shape[:2] == (40, 30)
    np.testing.assert_allclose(picture[..., 0], expected, atol=1 / 128)


def test_preview_of_numbers_that_are_none(tmp_path):
    counts = builder.make_counts((6, 7, 40)).astype("f4")
    counts[2, 3, 5], counts[4, 4, 20] = np.nan, np.inf
    found = datastack.preview(*builder.write_raw(tmp_path, counts))
    assert np.isfinite(found.image).all() and found.channel not in (5,)


def test_preview_at_the_edge_and_empty(tmp_path):
    counts = np.zeros((3, 4, 30), dtype=np.uint16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = datastack.preview(*builder.write_raw(tmp_path, counts))
    assert found.channel == 0 and np.isfinite(found.image).all()
    counts[..., 2] = np.arange(12).reshape(3, 4)
    found = datastack.preview(*builder.write_raw(tmp_path, counts))
    np.testing.assert_allclose(found.image, equalize(counts[..., 2]))
    with pytest.raises(FileExistsError):
        datastack.preview(tmp_path / "scan.raw", tmp_path / "scan.rpl", overwrite=False)


def test_the_pair_is_read_by_chunks_and_processes(tmp_path):
    """As it is, without being converted, in workers too."""
    counts = builder.make_counts((40, 30, 64))
    _, rpl = builder.write_raw(tmp_path, counts)
    code = """
import pickle, sys
import hyperspy.api as hs
import numpy as np
if __name__ == "__main__":
    chunks = (7, 30, 64)
    signal = hs.load(sys.argv[1], lazy=True, signal_type="EDS_XFM", chunks=chunks)
    print(len(pickle.dumps(signal.data)))
    np.save(sys.argv[2], signal.data.compute(scheduler="processes"))
"""
    script, target = tmp_path / "script.py", tmp_path / "counts.npy"
    script.write_text(code)
    printed = subprocess.run(
        [sys.executable, "-W", "ignore", script, rpl, target],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert int(printed) < counts.nbytes / 4
    np.testing.assert_array_equal(np.load(target), counts)


def test_parsed(pair):
    ripple = parse_rpl(pair[1])
    assert ripple.shape == builder.SHAPE and ripple.dtype == np.dtype("<u2")
    assert ripple.fields["record-by"] == "vector"
