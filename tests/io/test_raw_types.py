"""Raw numbers of every type, of two to four axes: sums, windows and regions as numpy's."""

import gc

import dask
import exspy.signals
import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm.analysis.maps import region_spectra, summarise, window_images
from rsciio_xfm.core import array, to_dask
from rsciio_xfm.core.chunks import ChunkedArray, Table
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.core.sums import can_sum, sum_map
from rsciio_xfm.core.wide import add_channels, add_exactly, add_spectra, sum_exactly
from rsciio_xfm.signals import EDSXFMSpectrum, LazyEDSXFMSpectrum
from tests.builders import ripple as builder

SHAPES = [(9, 16), (5, 7, 16), (3, 5, 7, 16)]
WIDE = {"u": "u8", "i": "i8", "f": "f8"}


def write_array(path, shape, kind, order, offset=5):
    """Write numbers, and return their array-like and what it should read."""
    n = int(np.prod(shape))
    numbers = builder.make_numbers(n, kind)
    if kind[1] == "8" and kind[0] != "f":  # the extreme ones do not fit a sum
        numbers[0], numbers[-1] = 2**61, 2**61 + 7
    record = {"little-endian": "<", "big-endian": ">"}[order]
    builder.write_pair(path, (1, 1, n), kind, order=order, offset=offset, numbers=numbers)
    raw = path.with_suffix(".raw")
    dtype = np.dtype(f"{record}{kind}")
    source = ChunkedArray(Table.of_run(LocalFile.of(raw), offset, shape, dtype))
    return source, np.array(numbers, dtype=kind).reshape(shape)


@pytest.fixture(params=builder.CODES)
def kind(request):
    return request.param


@pytest.fixture(params=["little-endian", "big-endian"])
def order(request):
    return request.param


@pytest.fixture(params=SHAPES, ids=len)
def made(request, tmp_path, kind, order):
    return write_array(tmp_path / "a.rpl", request.param, kind, order)


def check(found, expected):
    """Equal, and of a type that holds it: never unsigned of what is signed or real."""
    found = np.asarray(found)
    assert found.dtype.kind == expected.dtype.kind
    np.testing.assert_array_equal(found, expected)


def test_blocks(made):
    source, numbers = made
    data = to_dask.from_source(source, chunks=2)
    check(data, numbers)
    check(to_dask.read_all(source, "a"), numbers)
    for key in (
        (slice(1, 2),),
        (..., slice(3, 9)),
        (..., slice(1, 3), slice(None)),
        (slice(None, None, -1), slice(1, None), ...),
        (1, ..., 4),
        (..., slice(2, 2)),
    ):
        check(source[key], numbers[key])
    whole = tuple((0, n) for n in numbers.shape)
    found = np.zeros_like(numbers)
    for held, block in source.pieces(whole):
        found[tuple(slice(*r) for r in held)] = block
    check(found, numbers)


def test_sums(made, monkeypatch):
    monkeypatch.setattr(
        to_dask, "SUM_FILE_BYTES", (1, 1)
    )  # as many tasks as there are rows
    source, numbers = made
    wide = WIDE[numbers.dtype.kind]
    axes = tuple(range(numbers.ndim - 1))
    windows = [(0, 16), (3, 5), (15, 16)]
    regions = [np.zeros(numbers.shape[:-1], dtype=bool) for _ in range(2)]
    regions[0][...], regions[1][1:] = True, True
    for data in (numbers, to_dask.from_source(source), to_dask.from_source(source, 2)):
        images = window_images(data, windows)
        for image, (start, stop) in zip(images, windows, strict=True):
            check(image, numbers[..., start:stop].sum(-1, dtype=wide))
        for spectrum, region in zip(region_spectra(data, regions), regions, strict=True):
            check(spectrum, numbers[region].sum(0, dtype=wide))
        summary = summarise(data)
        check(summary["sum"], numbers.sum(axes, dtype=wide))
        check(summary["counts"], numbers.sum(-1, dtype=wide))
        check(summary["max"], numbers.max(axes))


@pytest.mark.parametrize("is_lazy", [False, True])
def test_sums_of_signals(made, is_lazy):
    """As of a signal of another package, which knows numpy's sums only."""
    source, numbers = made
    if is_lazy:
        s = LazyEDSXFMSpectrum(to_dask.from_source(source))
    else:
        s = EDSXFMSpectrum(to_dask.read_all(source, "a"))
    other = exspy.signals.EDSSEMSpectrum(numbers)
    axes = [axis.index_in_axes_manager for axis in s.axes_manager.signal_axes]
    for asked in (None, axes, 0):
        found, expected = s.sum(axis=asked), other.sum(axis=asked)
        assert found.data.shape == expected.data.shape
        check(found.data, expected.data)
    crop, other = s.isig[2:9], other.isig[2:9]
    check(crop.sum().data, other.sum().data)
    crop, other = crop.inav[1:], other.inav[1:]
    check(crop.sum(axis=axes).data, other.sum(axis=axes).data)


def test_from_a_file(tmp_path, kind, order):
    """The same through ``hs.load``, of a map and of images of its channels."""
    shape = (5, 7, 16)
    for record in ("vector", "image"):
        path = builder.write_map(
            tmp_path / "a.rpl", shape, kind=kind, order=order, record=record,
            numbers=[3] * 559 + [100],
        )  # fmt: skip
        s, eager = hs.load(path, lazy=True), hs.load(path)
        assert s._signal_type == "EDS_XFM"
        check(s.data, eager.data)
        for axis in (None, "Energy", "x"):
            check(s.sum(axis).data, eager.sum(axis).data)
            assert s.sum(axis).data.dtype == eager.sum(axis).data.dtype
        assert eager.sum("Energy").data.sum() == 3 * 559 + 100
        (image,) = s.get_window_images([(2, 9)]).values()
        assert image.data.sum() == 3 * 245
        assert isinstance(to_dask.source_of(s.data), array.FileArray)


@pytest.mark.parametrize("is_lazy", [False, True])
@pytest.mark.parametrize("record", ["vector", "image"])
@pytest.mark.parametrize(
    ("kind", "largest"), [("u8", 2**64 - 1), ("i8", 2**63 - 1), ("i8", -(2**63))]
)
def test_sums_that_do_not_fit(tmp_path, kind, largest, record, is_lazy):
    """Of 64-bit integers numpy's would wrap round."""
    numbers = np.zeros((4, 5, 6), dtype=kind)
    numbers[0, 1, 1:3] = numbers[2, 0, 1] = largest
    stored = numbers.transpose(2, 0, 1) if record == "image" else numbers
    options = {"numbers": stored.ravel().tolist(), "more": "signal\tXRF"}
    path = builder.write_pair(tmp_path / "a.rpl", numbers.shape, kind, record, **options)
    s = hs.load(path, lazy=is_lazy)
    for sum_ in (
        lambda: s.sum().data,
        lambda: s.sum("Energy").data,
        lambda: s.sum(["x", "Energy"]).data,
        lambda: window_images(s.data, [(0, 6)]),
        lambda: region_spectra(s.data, [np.ones((4, 5), dtype=bool)]),
        lambda: summarise(s.data),
    ):
        with pytest.raises(OverflowError, match="expected one that fits"):
            np.asarray(sum_())
    gc.collect()  # what was read when the sum failed
    check(s.inav[:, 1:2].sum().data, numbers[1:2].sum((0, 1)))


def test_sums_that_just_fit():
    for dtype, largest in (("u8", 2**64 - 1), ("i8", 2**63 - 1), ("i8", -(2**63))):
        numbers = np.zeros((3, 4), dtype)
        numbers[:, 1] = (largest - 1 * (largest > 0), 1 * (largest > 0), 0)
        check(sum_exactly(numbers, 0), np.array([0, largest, 0, 0], dtype))
        total = numbers[0].copy()
        add_exactly(total, numbers[1], "a")
        check(total, np.array([0, largest, 0, 0], dtype))
        with pytest.raises(OverflowError, match="a: a sum is about"):
            add_exactly(total, total.copy(), "a")


@pytest.mark.parametrize("dtype", ["i1", "i4", "i8", "f4", "f8"])
def test_kernels_refuse_what_is_not_unsigned(tmp_path, dtype):
    spectra = np.full((3, 4), -1, dtype=dtype)
    total = np.zeros(4, dtype=np.uint64)
    with pytest.raises(TypeError, match="expected unsigned integers"):
        add_spectra(spectra, total)
    with pytest.raises(TypeError, match="expected unsigned integers"):
        add_channels(spectra, 0, 4)
    source, _ = write_array(tmp_path / "a.rpl", (5, 16), dtype, "little-endian")
    whole = ((0, 5), (0, 16))
    for sum_ in (source.sum_navigation, source.sum_signal):
        with pytest.raises(TypeError, match="expected unsigned integers"):
            sum_(whole)
    assert can_sum(to_dask.from_source(source)) == (dtype == "i8")


def test_part_of_four_axes_is_there(tmp_path):
    source, numbers = write_array(
        tmp_path / "a.rpl", (3, 5, 7, 16), "u2", "little-endian"
    )
    (file,) = source.table.sources
    table = Table.of_run(file, 5, source.shape, source.table.dtype, 2)
    part = ChunkedArray(table)
    numbers[2:] = 0
    check(part[...], numbers)
    data = to_dask.from_source(part)
    check(summarise(data)["counts"], numbers.sum(-1, dtype="u8"))
    whole = tuple((0, n) for n in numbers.shape)
    check(part.sum_navigation(whole), numbers.sum((0, 1, 2), dtype="u8"))
    check(part.sum_signal(whole), numbers.sum(-1, dtype="u8"))


def test_four_axes_in_processes(tmp_path):
    source, numbers = write_array(tmp_path / "a.rpl", (3, 5, 7, 16), "u4", "big-endian")
    data = to_dask.from_source(source)
    with dask.config.set(scheduler="processes", num_workers=2):
        check(sum_map(data), numbers.sum(-1, dtype="u8"))
        check(data[1:, 2:4], numbers[1:, 2:4])
    assert data.name == to_dask.from_source(source).name
