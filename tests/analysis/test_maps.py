"""Windows, regions and summaries against numpy's sums, of arrays of every kind."""

import pickle
import tracemalloc

import dask
import dask.array as da
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from rsciio_xfm import edax, geopixe
from rsciio_xfm.analysis import maps
from rsciio_xfm.analysis.maps import (
    pixels_of_labels,
    region_spectra,
    summarise,
    window_images,
)
from rsciio_xfm.core import reduce as passes
from rsciio_xfm.core import to_dask
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
    monkeypatch.setattr(to_dask, "SUM_FILE_BYTES", (task_bytes, task_bytes))
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
            check(to_dask.take(data, key), data.compute()[key])


def test_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(to_dask, "SUM_FILE_BYTES", (200, 200))
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
    part, counts = to_dask.take(data, (..., slice(4, 20))), data.compute()[..., 4:20]
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


class TestRegions:
    """Label images and lists of pixels, against boolean maps in numpy."""

    def check(self, data, counts, labels):
        wide = {"u": "u8", "b": "u8", "i": "i8", "f": "f8"}[counts.dtype.kind]
        found = region_spectra(data, labels)
        numbers = [k for k in np.unique(labels) if k > 0]
        assert len(found) == len(numbers)
        for spectrum, k in zip(found, numbers, strict=True):
            expected = counts[labels == k].sum(axis=0, dtype=wide)
            np.testing.assert_array_equal(spectrum, expected)
        # Lists that overlap, in any order, with boolean maps among them.
        regions = [
            np.flatnonzero(labels > 0),
            labels == numbers[0],
            np.flatnonzero(labels == numbers[-1])[::-1],
            np.array([3, 3, 0]),
            labels < 0,
        ]
        masks = [np.zeros(labels.shape, dtype=bool) for _ in regions]
        for mask, region in zip(masks, regions, strict=True):
            mask.flat[np.flatnonzero(region) if region.dtype == bool else region] = True
        for spectrum, mask in zip(region_spectra(data, regions), masks, strict=True):
            np.testing.assert_array_equal(spectrum, counts[mask].sum(axis=0, dtype=wide))

    @pytest.mark.parametrize("dtype", ["int64", "int16", "uint8", ">i4"])
    def test_arrays(self, counts, dtype, monkeypatch):
        monkeypatch.setattr(passes, "PIECE_BYTES", 500)
        labels = np.random.default_rng(2).choice([0, 5, 2, 9, 200 // 2], (5, 7))
        labels[0, :2] = -1 if np.dtype(dtype).kind == "i" else 0
        self.check(counts, counts, labels.astype(dtype))
        self.check(da.from_array(counts, chunks=(2, 3, 5)), counts, labels.astype(dtype))

    def test_files(self, tmp_path, monkeypatch):
        monkeypatch.setattr(to_dask, "SUM_FILE_BYTES", (200, 200))
        spd = edax_builder.write_map(tmp_path / "a.spd", (5, 7, 32), 2)
        pixe = geopixe_builder.write_map(tmp_path / "a.GeoPIXE")
        labels = np.random.default_rng(2).integers(0, 9, (5, 7))
        for path, reader in ((spd, edax), (pixe, geopixe)):
            data = reader.file_reader(path, lazy=True)[0]["data"]
            self.check(data, data.compute(), labels)
            part = to_dask.take(data, (slice(1, 4), slice(2, 6), slice(None)))
            self.check(part, data.compute()[1:4, 2:6], labels[1:4, 2:6])

    def test_processes(self, tmp_path, monkeypatch):
        """Other processes send what they have added up."""
        monkeypatch.setattr(to_dask, "SUM_FILE_BYTES", (200, 200))
        path = edax_builder.write_map(tmp_path / "a.spd", (5, 7, 32), 2)
        data = edax.file_reader(path, lazy=True)[0]["data"]
        labels = np.random.default_rng(2).integers(0, 9, (5, 7))
        with dask.config.set(scheduler="processes"):
            found = region_spectra(data, labels)
        np.testing.assert_array_equal(found, region_spectra(data.compute(), labels))

    def test_one_object_in_several_threads_of_another_process(self):
        """dask hands what it unpickled to every thread of a worker."""
        counts = np.random.default_rng(0).integers(0, 99, (4, 5, 70), dtype="u2")
        mask = np.arange(20).reshape(4, 5) % 3 == 0
        ranges = ((0, 4), (0, 5), (0, 70))
        regions = maps.Regions.of([mask], (4, 5))
        plan, _ = passes._make_plan(counts, [regions], True)
        plan = pickle.loads(pickle.dumps(plan))

        def pieces(meanwhile):
            yield ((0, 2), *ranges[1:]), counts[:2]
            meanwhile()
            yield ((2, 4), *ranges[1:]), counts[2:]

        expected, found = counts[mask].sum(axis=0), []
        first = plan(pieces(lambda: found.append(plan(pieces(int), ranges))), ranges)
        for ((_, totals),) in (first, *found):
            np.testing.assert_array_equal(totals[0], expected)

    @pytest.fixture(params=[0, 2**40], ids=["in turns", "each its own"])
    def shared(self, request, monkeypatch):
        """Whether threads add to the same totals, which of a few regions they do not."""
        monkeypatch.setattr(maps, "SHARED_BYTES", request.param)

    @pytest.mark.usefixtures("shared")
    @pytest.mark.parametrize("n_channels", [1, 63, 64, 130, 3000])
    def test_any_number_of_channels(self, n_channels):
        """Threads take turns in ranges of channels."""
        counts = np.random.default_rng(0).integers(0, 2**16, (4, 5, n_channels))
        labels = np.arange(20).reshape(4, 5) % 4
        self.check(counts.astype("u2"), counts.astype("u2"), labels)
        self.check(counts, counts, labels)

    @pytest.mark.usefixtures("shared")
    def test_threads_at_once(self):
        """Many pieces of few grains: all threads add to the same spectra."""
        counts = np.random.default_rng(0).integers(0, 2**8, (600, 64, 512), dtype="u1")
        labels = np.random.default_rng(1).integers(1, 4, (600, 64))
        lazily = da.from_array(counts, chunks=(2, 64, 512))
        with dask.config.set(scheduler="threads", num_workers=8):
            self.check(lazily, counts, labels)

    def test_memory(self, monkeypatch):
        """10 000 grains: one result, whatever the number of threads, and their pixels."""
        monkeypatch.setattr(passes, "PIECE_BYTES", 2**20)
        n, n_channels = 400, 512
        labels = np.arange(n)[:, np.newaxis] // 4 * 100 + np.arange(n) // 4 + 1
        data = np.ones((n, n, n_channels), dtype=np.uint8)
        region_spectra(data[:4], labels[:4])  # compiled
        tracemalloc.start()
        try:
            with dask.config.set(num_workers=8):
                found = region_spectra(data, labels)
            highest = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert found.shape == (10_000, n_channels) and (found == 16).all()
        # Masks would be 1.6 GB, totals of each of eight threads 330 MB.
        assert highest < found.nbytes + 60 * labels.size + 8 * 2 * 2**20

    def test_only_their_box_is_read(self, tmp_path, monkeypatch):
        from rsciio_xfm.core import source as opened

        read = []

        def count(file, offset, buffer, n_bytes, original=opened.read_into):
            read.append(n_bytes)
            return original(file, offset, buffer, n_bytes)

        monkeypatch.setattr(opened, "read_into", count)
        path = edax_builder.write_map(tmp_path / "a.spd", (5, 7, 32), 2)
        data = edax.file_reader(path, lazy=True)[0]["data"]
        labels = np.zeros((5, 7), dtype=int)
        labels[2, 3:5] = labels[3, 4] = 7
        region_spectra(data, labels)
        assert sum(read) == 2 * 2 * 32 * 2

    def test_where_labels_are(self):
        labels = np.array([[70000, -3, 0], [2, 70000, 2]])
        found = pixels_of_labels(labels)
        assert {k: v.tolist() for k, v in found.items()} == {2: [3, 5], 70000: [0, 4]}
        assert list(pixels_of_labels(labels, first=0)) == [0, 2, 70000]
        assert pixels_of_labels(np.zeros((2, 3), dtype=int)) == {}

    @pytest.mark.parametrize(
        "regions",
        [
            np.ones((3, 2), dtype=int),
            np.zeros((2, 3), dtype=int),
            [np.array([6])],
            [np.array([-1, 2])],
            [np.array([0.0])],
            [np.array(3)],
            [np.array([[0, 1]])],
        ],
    )
    def test_wrong(self, regions):
        with pytest.raises(ValueError, match="region"):
            region_spectra(np.zeros((2, 3, 32), dtype="u1"), regions)


def test_one_pass_over_the_file(tmp_path, monkeypatch):
    """Each byte is read once, whatever is asked, and only rows of the regions are."""
    from rsciio_xfm.core import source as opened

    read = []

    def count(file, offset, buffer, n_bytes, original=opened.read_into):
        read.append(n_bytes)
        return original(file, offset, buffer, n_bytes)

    monkeypatch.setattr(opened, "read_into", count)
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
