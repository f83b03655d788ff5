"""Windows, regions and summaries against numpy's sums, of arrays of every kind."""

import dask
import dask.array as da
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from rsciio_xfm import edax, geopixe
from rsciio_xfm._io import lazy, passes
from rsciio_xfm.analysis.maps import region_spectra, summarise, window_images
from tests.builders import edax as edax_builder
from tests.builders import geopixe as geopixe_builder

WINDOWS = [(0, 32), (3, 9), (5, 6), (31, 32), (0, 1), (3, 9)]


@pytest.fixture(
    params=["uint8", "uint16", "uint32", "uint64", "int16", "float32", ">u2", "bool"]
)
def counts(request):
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 200, (5, 7, 32))
    return (counts - 100 * (request.param in ("int16", "float32"))).astype(request.param)


def check(data, counts):
    wide = {"u": "u8", "b": "u8", "i": "i8", "f": "f8"}[counts.dtype.kind]
    images = window_images(data, WINDOWS)
    assert images.shape == (len(WINDOWS), *counts.shape[:-1])
    for image, (start, stop) in zip(images, WINDOWS, strict=True):
        expected = counts[..., start:stop].sum(axis=-1, dtype=wide)
        np.testing.assert_array_equal(image, expected)
    axes = tuple(range(counts.ndim - 1))
    summary = summarise(data)
    assert set(summary) == {"sum", "max", "counts"}
    np.testing.assert_array_equal(summary["sum"], counts.sum(axis=axes, dtype=wide))
    np.testing.assert_array_equal(summary["max"], counts.max(axis=axes))
    np.testing.assert_array_equal(summary["counts"], counts.sum(axis=-1, dtype=wide))
    rng = np.random.default_rng(1)
    regions = [rng.random(counts.shape[:-1]) < p for p in (0.0, 0.1, 0.5, 1.0)]
    corner = np.zeros(counts.shape[:-1], dtype=bool)
    corner[-1:, ...] = True
    regions.append(corner)
    for chosen in (regions, regions[-1:], regions[:1]):
        spectra = region_spectra(data, chosen)
        for spectrum, region in zip(spectra, chosen, strict=True):
            expected = counts[region].sum(axis=0, dtype=wide)
            np.testing.assert_array_equal(spectrum, expected)
    if counts.dtype.kind == "u":
        assert spectra.dtype == summary["sum"].dtype == np.uint64


@pytest.mark.parametrize("piece_bytes", [1, 500, 2**22])
def test_arrays(counts, monkeypatch, piece_bytes):
    monkeypatch.setattr(passes, "PIECE_BYTES", piece_bytes)
    check(counts, counts)
    check(np.asfortranarray(counts), counts)
    check(counts[::-1, ::2], counts[::-1, ::2])


@pytest.mark.parametrize("chunks", [(5, 7, 32), (2, 3, 32), (3, 7, 5), (1, 1, 1)])
def test_dask(counts, chunks):
    check(da.from_array(counts, chunks=chunks), counts)


@pytest.mark.parametrize("shape", [(6, 32), (2, 3, 4, 32), (1, 1, 1, 1, 32)])
def test_any_number_of_axes(shape):
    counts = np.random.default_rng(0).integers(0, 99, shape).astype("uint16")
    check(counts, counts)
    check(da.from_array(counts, chunks=2), counts)


@pytest.mark.parametrize("task_bytes", [1, 200, 2**25])
@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_files(tmp_path, monkeypatch, task_bytes, scheduler):
    monkeypatch.setattr(lazy, "_SUM_FILE_BYTES", (task_bytes, task_bytes))
    spd = edax_builder.write_map(tmp_path / "a.spd", (5, 7, 32), 2)
    pixe = geopixe_builder.write_map(tmp_path / "a.GeoPIXE")
    with dask.config.set(scheduler=scheduler):
        for data in (
            edax.file_reader(spd, lazy=True)[0]["data"],
            edax.file_reader(spd, lazy=True, chunks=(2, 3, 4))[0]["data"],
            geopixe.file_reader(pixe, lazy=True)[0]["data"],
            geopixe.file_reader(pixe, lazy=True, sum_detectors=False)[0]["data"],
        ):
            check(data, data.compute())
            key = (..., slice(1, 4), slice(2, 6), slice(None))
            check(lazy.take(data, key), data.compute()[key])


def test_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "_SUM_FILE_BYTES", (200, 200))
    spd = edax_builder.write_map(tmp_path / "a.spd", (5, 7, 32), 2)
    pixe = geopixe_builder.write_map(tmp_path / "a.GeoPIXE")
    for data in (
        edax.file_reader(spd, lazy=True)[0]["data"],
        geopixe.file_reader(pixe, lazy=True, sum_detectors=False)[0]["data"],
    ):
        with dask.config.set(scheduler="processes"):
            images, summary = window_images(data, [(3, 20)]), summarise(data)
        counts = data.compute().astype(np.uint64)
        np.testing.assert_array_equal(images[0], counts[..., 3:20].sum(axis=-1))
        np.testing.assert_array_equal(summary["counts"], counts.sum(axis=-1))
        np.testing.assert_array_equal(
            summary["max"], counts.max(axis=tuple(range(counts.ndim - 1)))
        )


def test_part_of_the_channels_of_a_file(tmp_path):
    """A view of channels, whose pieces may hold more of them."""
    path = edax_builder.write_map(tmp_path / "a.spd", (5, 7, 32), 1)
    data = edax.file_reader(path, lazy=True)[0]["data"]
    part, counts = lazy.take(data, (..., slice(4, 20))), data.compute()[..., 4:20]
    images = window_images(part, [(0, 16), (2, 5)])
    np.testing.assert_array_equal(images[0], counts.sum(axis=-1))
    np.testing.assert_array_equal(images[1], counts[..., 2:5].sum(axis=-1))
    summary = summarise(part)
    np.testing.assert_array_equal(summary["max"], counts.max(axis=(0, 1)))
    np.testing.assert_array_equal(summary["counts"], counts.sum(axis=-1))
    np.testing.assert_array_equal(summary["sum"], counts.sum(axis=(0, 1)))
    mask = counts[..., 0] > 100
    np.testing.assert_array_equal(
        region_spectra(part, [mask])[0], counts[mask].sum(axis=0)
    )


def test_one_pass_over_the_file(tmp_path, monkeypatch):
    """Each byte is read once, whatever is asked, and only rows of the regions are."""
    from rsciio_xfm._io import raw_map as _data

    read = []

    def count(file, offset, buffer, n_bytes, original=_data.read_into):
        read.append(n_bytes)
        return original(file, offset, buffer, n_bytes)

    monkeypatch.setattr(_data, "read_into", count)
    path = edax_builder.write_map(tmp_path / "a.spd", (5, 7, 32), 2)
    data = edax.file_reader(path, lazy=True)[0]["data"]
    size = 5 * 7 * 32 * 2
    for action in (
        lambda: window_images(data, WINDOWS),
        lambda: summarise(data),
        lambda: region_spectra(data, [np.ones((5, 7), dtype=bool)] * 3),
    ):
        read.clear()
        action()
        assert sum(read) == size
    read.clear()
    mask = np.zeros((5, 7), dtype=bool)
    mask[2, 3:5] = mask[3, 4] = True
    region_spectra(data, [mask])
    assert sum(read) == 2 * 2 * 32 * 2


@hypothesis.given(
    windows=st.lists(
        st.tuples(st.integers(0, 31), st.integers(1, 32)).filter(lambda w: w[0] < w[1]),
        min_size=1,
    )
)
def test_any_windows(windows):
    counts = np.random.default_rng(0).integers(0, 2**32, (3, 2, 32), dtype=np.uint32)
    images = window_images(counts, windows)
    for image, (start, stop) in zip(images, windows, strict=True):
        np.testing.assert_array_equal(image, counts[..., start:stop].sum(axis=-1))


def test_largest_counts():
    """Sums of the largest numbers, as 32-bit ones where these hold them."""
    data = np.full((70000, 1, 4), 65535, dtype=np.uint16)
    images = window_images(data, [(0, 4)])
    assert images.dtype == np.uint32 and (images == 4 * 65535).all()
    assert (summarise(data)["sum"] == 70000 * 65535).all()
    assert (region_spectra(data, [np.ones((70000, 1), bool)]) == 70000 * 65535).all()
    wide = np.full((1, 70000), 65535, dtype=np.uint16)
    assert window_images(wide, [(0, 70000)])[0, 0] == 70000 * 65535


@pytest.mark.parametrize("windows", [[], [(3, 3)], [(5, 2)], [(-1, 4)], [(0, 33)]])
def test_wrong_windows(windows):
    with pytest.raises(ValueError, match="window"):
        window_images(np.zeros((2, 3, 32), dtype="u1"), windows)


@pytest.mark.parametrize(
    "regions",
    [
        [],
        [np.ones((3, 2), dtype=bool)],
        [np.ones((2, 3))],
        [np.ones(2, dtype=bool)],
        [np.ones((2, 3), dtype=bool), np.ones((2, 3), dtype=int)],
    ],
)
def test_wrong_regions(regions):
    with pytest.raises(ValueError, match="region"):
        region_spectra(np.zeros((2, 3, 32), dtype="u1"), regions)


def test_empty_map():
    with pytest.raises(ValueError, match="empty"):
        summarise(np.zeros((0, 3, 4), dtype="u1"))
    assert window_images(np.zeros((0, 3, 4), dtype="u1"), [(0, 2)]).shape == (1, 0, 3)
