"""The cache of the explorer beside numpy and analysis.maps, and what can go wrong."""

import errno
import importlib
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsciio_xfm._register import read_specifications
from rsciio_xfm.analysis.maps import region_spectra, summarise, window_images
from rsciio_xfm.core.array import CountedArray
from rsciio_xfm.core.chunks import ChunkedArray, Table
from rsciio_xfm.core.source import LocalFile, Memory, Source
from rsciio_xfm.core.to_dask import from_source, source_of, take
from rsciio_xfm.exceptions import CorruptFileError, PassCancelledError
from rsciio_xfm.explore import (
    cube_chunks,
    cube_identity,
    cube_layout,
    cube_making,
    cube_pixels,
    cube_store,
)
from rsciio_xfm.explore.cube import (
    CacheFullError,
    CacheLostError,
    CubeError,
    find,
    is_small,
    is_suited,
    make,
    unsuited,
)
from rsciio_xfm.explore.cube_layout import Layout, change_window, split_window
from tests.explore.asking import LONG

SHAPE = (70, 50, 33)
NOTHING = Memory.of(b"")
SETTINGS = settings(max_examples=8)
BUILDERS = {"datastack": "write_stack", "emd": "write_ncem", "esrf": "write_line"}
# Whose builder makes a map of counts with two navigation axes.
MAPS = {"bruker", "edax", "emd", "geopixe", "oxford", "ripple"}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Make several cells of small maps, and do not wait for files to settle."""
    monkeypatch.setattr(cube_layout, "STRIP_BYTES", 16 * 50 * 33)
    monkeypatch.setattr(cube_identity, "SETTLED_S", 0)
    monkeypatch.setattr(cube_making, "CUBE_POLL_SECONDS", 0.01)
    monkeypatch.delenv("RSCIIO_XFM_CUBES", raising=False)
    monkeypatch.delenv("RSCIIO_XFM_CUBE_BYTES", raising=False)


def make_counts(shape=SHAPE, dtype="u1", seed=0):
    return np.random.default_rng(seed).poisson(1.5, shape).astype(dtype)


def array_of(source, counts):
    table = Table.of_run(source, 0, counts.shape, counts.dtype)
    return ChunkedArray(table)


def in_memory(counts):
    return array_of(Memory.of(counts.tobytes()), counts)


def on_disk(path, counts):
    path.write_bytes(counts.tobytes())
    return array_of(LocalFile.of(path), counts)


@pytest.fixture
def counts():
    return make_counts()


@pytest.fixture
def source(tmp_path, counts):
    return on_disk(tmp_path / "map.raw", counts)


def folders():
    place = cube_store.folder()
    return sorted(path.name for path in place.iterdir()) if place.exists() else []


def check(cube, source, counts, masks=(), windows=()):
    """Compare with what the file gives, bit for bit."""
    for first, stop in windows:
        image, expected = cube.image(first, stop), window_images(counts, [(first, stop)])
        assert image.dtype == expected.dtype
        np.testing.assert_array_equal(image, expected[0])
    for mask in masks:
        spectrum, expected = cube.spectrum(mask, source), region_spectra(counts, [mask])
        assert spectrum.dtype == expected.dtype
        np.testing.assert_array_equal(spectrum, expected[0])
    image, total, highest = cube.overview()
    expected = summarise(counts)
    for found, name in ((image, "counts"), (total, "sum"), (highest, "max")):
        assert found.dtype == expected[name].dtype
        np.testing.assert_array_equal(found, expected[name])


def disc(shape=SHAPE[:2], radius=0.4):
    y, x = np.ogrid[: shape[0], : shape[1]]
    distance = ((y - shape[0] / 2) / shape[0]) ** 2 + ((x - shape[1] / 2) / shape[1]) ** 2
    return distance < radius**2


# What is in it ---------------------------------------------------------------------------


@st.composite
def maps(draw):
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 90), st.integers(1, 150)))
    if draw(st.integers(0, 5)) == 0:
        shape = (1, *shape[1:])
    dtype = draw(st.sampled_from(["u1", "u2", "u4", "u8"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    counts = rng.poisson(draw(st.sampled_from([0.01, 1, 30])), shape).astype(dtype)
    if draw(st.booleans()):
        n = draw(st.integers(1, 5))
        most = min(np.iinfo(dtype).max, 2**40 - 1)
        places = tuple(rng.integers(0, size, n) for size in shape)
        counts[places] = draw(st.integers(0, most))
    return counts, rng


STRIPS = st.sampled_from([1, 1000, 20000, 2**26])
MOST = st.sampled_from([1, 30000, 2**28])


@pytest.mark.thorough
@SETTINGS
@given(maps(), STRIPS, MOST)
def test_random_maps(monkeypatch, found, strip, most):
    check_random(monkeypatch, found, strip, most)


@settings(SETTINGS, max_examples=150)
@given(maps(), STRIPS, MOST)
def test_many_random_maps_in_memory(monkeypatch, found, strip, most):
    check_random(monkeypatch, found, strip, most)


def check_random(monkeypatch, found, strip, most):
    counts, rng = found
    monkeypatch.setattr(cube_layout, "STRIP_BYTES", strip)
    monkeypatch.setattr(cube_layout, "MOST_STRIP_BYTES", most)
    source = in_memory(counts)
    cube = make(source)
    assert find(source) == cube
    height, width, n_channels = counts.shape
    edges = np.sort(rng.integers(0, n_channels + 1, (8, 2)), axis=1)
    windows = [(int(a), int(b)) for a, b in edges if a < b] + [(0, n_channels)]
    top, bottom = np.sort(rng.integers(0, height + 1, 2))
    left, right = np.sort(rng.integers(0, width + 1, 2))
    box = np.zeros((height, width), dtype=bool)
    box[top:bottom, left:right] = True
    speckles = rng.random((height, width)) < rng.random()
    masks = [box, ~box, speckles, box ^ speckles, box & disc(box.shape)]
    check(cube, source, counts, masks, windows)
    shutil.rmtree(cube.folder)


def test_shares(source, counts):
    """A region of whole blocks is exact; of others the sum of the counts is near."""
    cube = make(source)
    mask = np.zeros(SHAPE[:2], dtype=bool)
    mask[8:56, 16:] = True
    found = cube.spectrum(mask, None, exact=False)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, counts[mask].sum(axis=0, dtype=np.float64))
    mask = disc()
    found = cube.spectrum(mask, None, exact=False)
    shares = np.zeros(SHAPE[:2])
    for y in range(0, SHAPE[0], 8):
        for x in range(0, SHAPE[1], 8):
            shares[y : y + 8, x : x + 8] = mask[y : y + 8, x : x + 8].mean()
    np.testing.assert_allclose(found, np.tensordot(shares, counts, 2), rtol=1e-12)


def test_line_of_spectra():
    counts = make_counts((1, 1000, 20))
    source = in_memory(counts)
    cube = make(source)
    mask = np.zeros((1, 1000), dtype=bool)
    mask[0, 100:901] = True
    check(cube, source, counts, [mask], [(3, 9)])


@pytest.mark.parametrize("window", [(0, 0), (5, 4), (-1, 3), (30, 34)])
def test_window_beyond(source, window):
    with pytest.raises(ValueError, match="0 and 33, the number of channels"):
        make(source).image(*window)


def test_region_of_another_map(source):
    cube = make(source)
    with pytest.raises(ValueError, match=r"shape \(50, 70\), expected a boolean one"):
        cube.spectrum(np.zeros((50, 70), dtype=bool), source)
    with pytest.raises(ValueError, match="int64"):
        cube.spectrum(np.zeros(SHAPE[:2], dtype=int), source)
    with pytest.raises(ValueError, match="needs the source"):
        cube.spectrum(disc())


def test_large_counts_late(monkeypatch):
    """The type of what is kept grows with the counts, in the middle of a strip too."""
    monkeypatch.setattr(cube_layout, "STRIP_BYTES", 2**26)
    counts = make_counts(dtype="u4")
    for i, value in enumerate((255, 256, 65535, 65536, 2**32 - 1)):
        counts[10 * i + 5, i, i] = value
    source = PieceByRow(counts)
    check(make(source), source, counts, [disc()], [(0, 5), (0, 33), (2, 3)])


@dataclass(frozen=True, eq=False)
class PieceByRow(CountedArray):
    """An array of which pieces are single rows, and those of zeros are left out."""

    counts: np.ndarray
    source: Source = NOTHING

    @property
    def shape(self):
        return self.counts.shape

    @property
    def dtype(self):
        return self.counts.dtype

    def read(self, ranges):
        return np.ascontiguousarray(self.counts[tuple(slice(*r) for r in ranges)])

    def pieces(self, ranges):
        for row in range(*ranges[0]):
            held = ((row, row + 1), *ranges[1:])
            block = self.read(held)
            if block.any():
                yield held, block

    def row_axis(self):
        return 0

    def file_bytes(self):
        return self.counts.nbytes


def test_rows_left_out():
    counts = make_counts()
    counts[3:40] = 0
    source = PieceByRow(counts)
    check(make(source), source, counts, [disc()], [(3, 20)])


# Pixels of blocks -------------------------------------------------------------------------


def kept_of(cube):
    """Tell of each cell whether the pixels of its blocks were kept."""
    with cube.opened() as reader:
        cells = range(cube.layout.n_cells)
        return [reader.has_pixels(cube.layout, cell) for cell in cells]


@dataclass(frozen=True, eq=False)
class Unreadable(PieceByRow):
    """The same array, of which nobody may read anything any more."""

    def read(self, ranges):
        raise AssertionError("The file is read.")


@pytest.mark.thorough
@SETTINGS
@given(maps(), STRIPS, MOST)
def test_random_maps_with_pixels(monkeypatch, found, strip, most):
    """Exact regions of a map whose pixels are kept need no file."""
    counts, rng = found
    monkeypatch.setattr(cube_layout, "STRIP_BYTES", strip)
    monkeypatch.setattr(cube_layout, "MOST_STRIP_BYTES", most)
    monkeypatch.setattr(cube_pixels, "MOST_SHARE", 1000)
    monkeypatch.setattr(cube_making, "_LEAST_PIXELS", 0)
    cube = make(PieceByRow(counts))
    assert all(kept_of(cube))
    shape = counts.shape[:2]
    speckles = rng.random(shape) < rng.random()
    masks = [disc(shape), ~disc(shape), speckles, speckles & disc(shape)]
    check(cube, Unreadable(counts), counts, masks)
    shutil.rmtree(cube.folder)


def test_many_random_maps_with_pixels_in_memory(monkeypatch):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        shape = tuple(rng.integers(1, (30, 150, 70)).tolist())
        counts = rng.poisson(rng.choice([0.02, 2, 300, 70000]), shape).astype("u4")
        monkeypatch.setattr(cube_layout, "STRIP_BYTES", int(rng.integers(1, 2**18)))
        monkeypatch.setattr(cube_pixels, "MOST_SHARE", 1000)
        cube = make(PieceByRow(counts))
        assert all(kept_of(cube))
        check(cube, Unreadable(counts), counts, [rng.random(shape[:2]) < 0.4])
        shutil.rmtree(cube.folder)


def test_pixels_kept_as_long_as_there_is_room(monkeypatch):
    """Of cells that would become too large there are none: these are read from the file."""
    counts = make_counts(dtype="u2")
    counts[:32] *= np.random.default_rng(1).integers(1, 500, SHAPE, dtype="u2")[:32]
    monkeypatch.setattr(cube_pixels, "MOST_SHARE", 1.5)
    source = PieceByRow(counts)
    cube = make(source)
    kept = kept_of(cube)
    assert any(kept)
    assert not all(kept)
    cells = [0] * len(kept)
    index = np.fromfile(cube.folder / "index", dtype=cube_chunks._ENTRY)
    ends = index["offset"][cube.layout.end :: cube.layout.n_chunks][: len(kept)]
    cells = np.diff(ends.astype(int), prepend=0)
    for cell, size in enumerate(cells):
        most = cube_pixels.most_bytes(source, cube.layout.place(cell))
        assert size <= most or not kept[cell]
    check(cube, source, counts, [disc(), ~disc()], [(3, 20)])


def test_pixels_that_need_the_smaller_codec(monkeypatch):
    """Fast to decode is what has room for it; what has not may have room if it is small."""
    counts = np.random.default_rng(0).poisson(0.1, (64, 64, 400)).astype("u2")
    monkeypatch.setattr(cube_layout, "STRIP_BYTES", 2**26)
    sizes = []
    for share in (0, 1000):
        monkeypatch.setattr(cube_pixels, "MOST_SHARE", share)
        cube = make(PieceByRow(counts))
        assert kept_of(cube) == [share > 0] * cube.layout.n_cells
        sizes.append((cube.folder / "data").stat().st_size)
        shutil.rmtree(cube.folder)
    share = (0.1 * sizes[0] + 0.9 * sizes[1]) / counts.nbytes
    monkeypatch.setattr(cube_pixels, "MOST_SHARE", share)
    cube = make(PieceByRow(counts))
    assert all(kept_of(cube))
    assert (cube.folder / "data").stat().st_size <= share * counts.nbytes
    check(cube, Unreadable(counts), counts, [disc((64, 64))])


def test_pixels_of_plain_files_are_not_kept(source):
    cube = make(source)
    assert not cube.layout.keeps_pixels
    assert not any(kept_of(cube))


def made_of_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(cube_pixels, "MOST_SHARE", 1000)
    path = tmp_path / "pieces.raw"
    path.write_bytes(b"any")
    return PieceByRow(make_counts(), LocalFile.of(path))


def test_pixels_interrupted(tmp_path, monkeypatch):
    """What is made in two goes is byte for byte what is made in one."""
    source = made_of_pieces(tmp_path, monkeypatch)
    cube = make(source)
    contents = [(cube.folder / name).read_bytes() for name in ("data", "index")]
    shutil.rmtree(cube.folder)
    with pytest.raises(PassCancelledError):
        make(source, **cancel_after(2))
    (part,) = cube_store.folder().iterdir()
    with (part / "data").open("ab") as file:  # of a cell that was not finished
        file.write(b"pixels" * 100)
    cells = count_cells(monkeypatch)
    cube = make(source)
    assert len(cells) == 3
    assert all(kept_of(cube))
    assert contents == [(cube.folder / name).read_bytes() for name in ("data", "index")]
    check(cube, Unreadable(source.counts), source.counts, [disc()], [(3, 20)])


def test_pixels_of_a_changed_file(tmp_path, monkeypatch):
    source = made_of_pieces(tmp_path, monkeypatch)
    cube = make(source)
    os.utime(tmp_path / "pieces.raw", ns=(0, 10**18))
    with pytest.raises(CorruptFileError, match="changed since its map was cached"):
        cube.spectrum(disc(), source)


def test_pixels_damaged(tmp_path, monkeypatch):
    """Wherever it is damaged: the answer is right, or the cache is thrown away."""
    source = made_of_pieces(tmp_path, monkeypatch)
    cube = make(source)
    kept = cube.folder.with_name("kept")
    shutil.copytree(cube.folder, kept)
    rng = np.random.default_rng(0)
    mask = rng.random(SHAPE[:2]) < 0.5  # of every block some pixels
    expected = source.counts[mask].sum(axis=0)
    n_lost = 0
    for name in ("data", "index"):
        size = (kept / name).stat().st_size
        for position in rng.integers(0, size, 40).tolist():
            shutil.rmtree(cube.folder, ignore_errors=True)
            shutil.copytree(kept, cube.folder)
            content = bytearray((kept / name).read_bytes())
            content[position] ^= 1 << int(rng.integers(8))
            (cube.folder / name).write_bytes(content)
            try:
                np.testing.assert_array_equal(cube.spectrum(mask, source), expected)
            except CacheLostError:
                n_lost += 1
    assert n_lost > 10


def test_cache_of_another_version(source, counts):
    """One of a version that had no pixels is not used, and made anew."""
    cube = make(source)
    meta = cube_store.read_meta(cube.folder)
    cube_store.write_meta(cube.folder, {**meta, "kind": "cube-1"})
    assert find(source) is None
    assert make(source) == cube == find(source)
    check(cube, source, counts, [disc()], [(3, 20)])
    assert folders() == [cube.folder.name]


def test_processor_time_of_pixels_of_a_geopixe_file(tmp_path, monkeypatch):
    """They make exact regions fast, and the cache at most 30 % of the file."""
    from rsciio_xfm import data

    monkeypatch.setattr(cube_layout, "STRIP_BYTES", 2**25)
    path = data.thin_section(tmp_path / "map.GeoPIXE", (64, 128)).path
    geopixe = importlib.import_module("rsciio_xfm.formats.geopixe")
    lazy = geopixe.file_reader(path, lazy=True)[0]["data"]
    source = source_of(lazy)
    cube = make(source)
    assert all(kept_of(cube))
    assert cube.n_bytes < 0.3 * path.stat().st_size
    mask = np.zeros((64, 128), dtype=bool)
    mask[3:60, 5:118] = True
    np.testing.assert_array_equal(
        cube.spectrum(mask, source), region_spectra(lazy, [mask])[0]
    )
    cached = processor_time(lambda: cube.spectrum(mask, source))
    assert 3 * cached < processor_time(lambda: region_spectra(lazy, [mask]))


def test_nothing_measured():
    counts = np.zeros(SHAPE, dtype=np.uint16)
    source = in_memory(counts)
    check(make(source), source, counts, [disc()], [(3, 20)])


def test_counts_that_would_not_fit():
    counts = make_counts(dtype="u8")
    counts[40, 3, 3] = 2**40
    with pytest.raises(CubeError, match="1099511627776 counts"):
        make(in_memory(counts))
    assert not folders()


@pytest.mark.filterwarnings("ignore:.*experimental. Hold:UserWarning")
@pytest.mark.parametrize("specification", read_specifications(), ids=lambda s: s["name"])
def test_formats(specification, tmp_path):
    name = specification["api"].rsplit(".", 1)[-1]
    builder = importlib.import_module(f"tests.builders.{name}")
    extension = specification["file_extensions"][specification["default_extension"]]
    write = getattr(builder, BUILDERS.get(name, "write_map"), None)
    if write is None:  # of single spectra
        return
    path = write(tmp_path / f"map.{extension}")
    n_cached = 0
    for found in importlib.import_module(specification["api"]).file_reader(
        path, lazy=True
    ):
        source = source_of(found["data"])
        if source is None or source.ndim != 3 or source.dtype.kind != "u":
            continue
        counts = found["data"].compute()
        n_channels = counts.shape[-1]
        masks = [disc(counts.shape[:2], r) for r in (0.2, 0.5)]
        windows = [(0, n_channels), (1, n_channels // 2), (n_channels // 3, n_channels)]
        cube = make(source)
        assert {Path(file[0]).stem for file in cube.files} == {path.stem}
        check(cube, source, counts, masks, windows)
        n_cached += 1
    assert n_cached or name not in MAPS


@pytest.mark.parametrize("n_channels", [1, 7, 8, 9, 63, 64, 65, 100, 513])
def test_planes_of_windows(n_channels):
    """Of any window there are few planes, and together they are the window."""
    layout = Layout.of((8, 8, n_channels), "uint8", 1)
    rng = np.random.default_rng(0)
    for first, stop in np.sort(rng.integers(0, n_channels + 1, (60, 2)), axis=1).tolist():
        if first == stop:
            continue
        planes = split_window(layout, first, stop)
        times = times_of(layout, planes)
        expected = np.zeros(n_channels, dtype=int)
        expected[first:stop] = 1
        assert times.tolist() == expected.tolist()
        assert len(planes) <= 16 + n_channels // 128


@pytest.mark.parametrize("n_channels", [9, 64, 100, 513])
def test_planes_of_a_window_from_another(n_channels):
    """They are what one window has more than the other, and less."""
    layout = Layout.of((8, 8, n_channels), "uint8", 1)
    rng = np.random.default_rng(0)
    for ends in np.sort(rng.integers(0, n_channels + 1, (200, 4)), axis=1).tolist():
        outer, inner = (ends[0], ends[3]), (ends[1], ends[2])
        left, right = (ends[0], ends[2]), (ends[1], ends[3])
        pairs = ((outer, inner), (inner, outer), (left, right), (right, left))
        for made, wanted in pairs if ends[1] < ends[2] else ():
            times = times_of(layout, change_window(layout, made, wanted))
            times += times_of(layout, split_window(layout, *made))
            assert (
                times.tolist()
                == times_of(layout, [(k, 1) for k in range(*wanted)]).tolist()
            )


def times_of(layout, planes):
    """How often planes have each channel."""
    n_channels = layout.shape[2]
    (_, end), (eights, more), (sixties, last) = layout.levels
    times = np.zeros(n_channels, dtype=int)
    for plane, sign in planes:
        if plane < end:
            times[plane] += sign
        elif plane < more:
            times[8 * (plane - eights) :][:8] += sign
        elif plane < last:
            times[64 * (plane - sixties) :][:64] += sign
        else:
            times += sign
    return times


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
@pytest.mark.parametrize("shape", [(48, 64, 90), (45, 50, 90), (33, 200, 90)])
@pytest.mark.parametrize("most", [2**28, 64 * 70])
def test_images_in_blocks(monkeypatch, dtype, shape, most):
    """Of blocks of any size, of whole and of cut rows, from another window and not."""
    monkeypatch.setattr(cube_layout, "STRIP_BYTES", 16 * 64 * 90)
    monkeypatch.setattr(cube_layout, "MOST_STRIP_BYTES", most)
    counts = make_counts(shape, dtype)
    counts[20, 3, 50] = np.iinfo(dtype).max
    cube = make(in_memory(counts))
    for step in (1, 2, 3, 4, 7, 64):
        made = None
        for window in (
            (3, 40),
            (10, 44),
            (10, 12),
            (11, 90),
            (0, 90),
            (20, 21),
            (60, 70),
        ):
            found = cube.image(*window, None, step, made)
            np.testing.assert_array_equal(found, blocks_of(counts, window, step))
            made = window, found


def blocks_of(counts, window, step):
    image = counts[:, :, slice(*window)].sum(axis=2, dtype=np.uint64)
    height, width = (-(-n // step) * step for n in image.shape)
    padded = np.zeros((height, width), dtype=np.uint64)
    padded[: image.shape[0], : image.shape[1]] = image
    shape = height // step, step, width // step, step
    return padded.reshape(shape).sum(axis=(1, 3), dtype=np.uint64)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
@pytest.mark.parametrize("is_plain", [True, False])
def test_planes_added_bit_by_bit(monkeypatch, dtype, is_plain):
    """Where 64 pixels fill words, all planes but those of high counts are."""
    monkeypatch.setattr(cube_layout, "STRIP_BYTES", 16 * 64 * 300)
    counts = make_counts((48, 64, 300), dtype)
    counts[:, :, 100:120] *= 40
    if dtype != "u1":
        counts[20, 3, 50] = 60000
    if dtype == "u4":
        counts[20, 3, 51] = 70000  # the planes that it is in are added as numbers
    source = in_memory(counts) if is_plain else PieceByRow(counts)
    cube = make(source)
    windows = [(3, 4), (40, 60), (50, 51), (7, 251), (90, 119), (0, 300)]
    decoded, original = [], cube_chunks.ChunkReader.decode

    def decode(self, raw, shape):
        decoded.append(shape)
        return original(self, raw, shape)

    monkeypatch.setattr(cube_chunks.ChunkReader, "decode", decode)
    for first, stop in windows:
        expected = window_images(counts, [(first, stop)])[0]
        np.testing.assert_array_equal(cube.image(first, stop), expected)
    n_planes = sum(len(split_window(cube.layout, *w)) for w in windows)
    assert len(decoded) <= (4 if dtype == "u4" else 0)
    monkeypatch.setattr(cube_chunks, "_VERSION", 0)  # Blosc's format were another one
    for first, stop in windows:
        expected = window_images(counts, [(first, stop)])[0]
        np.testing.assert_array_equal(cube.image(first, stop), expected)
    assert len(decoded) >= n_planes * cube.layout.n_cells


# While it is made ------------------------------------------------------------------------


def test_overview_strip_by_strip(source, counts):
    calls, steps = [], []
    make(source, overview=lambda *c: calls.append(c), progress=lambda *p: steps.append(p))
    assert len(calls) > 3
    assert steps == [(i + 1, len(calls)) for i in range(len(calls))]
    done = 0
    for n_rows, image, total, highest in calls:
        np.testing.assert_array_equal(image, counts[done:n_rows].sum(axis=2))
        np.testing.assert_array_equal(total, counts[:n_rows].sum(axis=(0, 1)))
        np.testing.assert_array_equal(highest, counts[:n_rows].max(axis=(0, 1)))
        assert highest.dtype == counts.dtype
        done = n_rows
    assert done == SHAPE[0]
    again = []
    make(source, overview=lambda *c: again.append(c))  # of what is there already
    assert [c[0] for c in again] == [c[0] for c in calls]
    np.testing.assert_array_equal(again[-1][2], calls[-1][2])


def count_cells(monkeypatch):
    """Return a list that gets an item for each cell that is read."""
    cells, original = [], cube_making._gather

    def gather(*arguments):
        cells.append(arguments[1])
        return original(*arguments)

    monkeypatch.setattr(cube_making, "_gather", gather)
    return cells


def cancel_after(n_cells):
    """Return the arguments that cancel a pass after some cells."""
    event = threading.Event()
    return {
        "cancel": event,
        "progress": lambda done, _: event.set() if done == n_cells else None,
    }


def test_cancelled_and_gone_on_with(source, counts, monkeypatch):
    cells = count_cells(monkeypatch)
    with pytest.raises(PassCancelledError, match="2 of 5 parts"):
        make(source, **cancel_after(2))
    assert find(source) is None
    assert [name[-5:] for name in folders()] == [".part"]
    calls = []
    cube = make(source, overview=lambda *c: calls.append(c))
    assert len(cells) == len(set(cells)) == 5
    np.testing.assert_array_equal(calls[-1][2], counts.sum(axis=(0, 1)))
    assert len(calls) == 5
    check(cube, source, counts, [disc()], [(3, 20)])
    assert folders() == [cube.folder.name]


def test_cancelled_by_a_function(source):
    with pytest.raises(PassCancelledError):
        make(source, cancel=lambda: True)


def test_error_of_the_caller(source, counts):
    """What the overview raises ends the pass, and what was made is gone on with."""

    def fail(n_rows, *_):
        if n_rows > 20:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make(source, overview=fail)
    check(make(source), source, counts, [disc()], [(3, 20)])


def test_interrupted_and_cut(source, counts, monkeypatch):
    """Of cells whose data did not reach the disk nothing is believed."""
    with pytest.raises(PassCancelledError):
        make(source, **cancel_after(4))
    (part,) = cube_store.folder().iterdir()
    size = (part / "data").stat().st_size
    os.truncate(part / "data", size // 2)
    cells = count_cells(monkeypatch)
    cube = make(source)
    assert 1 < len(cells) <= 5
    check(cube, source, counts, [disc()], [(3, 20)])


@pytest.mark.parametrize("name", ["data", "index", "meta.json"])
def test_interrupted_and_zeroed(source, counts, name):
    """Of what was made before the power went zeros may be left: then all is made anew."""
    with pytest.raises(PassCancelledError):
        make(source, **cancel_after(4))
    (part,) = cube_store.folder().iterdir()
    file = part / name
    file.write_bytes(bytes(file.stat().st_size))
    check(make(source), source, counts, [disc()], [(3, 20)])


def make_slowly(path, ready):
    """Make a cache in a process of its own until it is killed."""

    def wait(done, _):
        if done == 3:
            ready.set()
            time.sleep(600)

    cube_layout.STRIP_BYTES, cube_identity.SETTLED_S = 16 * 50 * 33, 0
    source = array_of(LocalFile.of(path), make_counts())
    make(source, progress=wait)


def test_killed_process(source, counts, monkeypatch, tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=make_slowly, args=(tmp_path / "map.raw", ready))
    process.start()
    assert ready.wait(LONG)
    cells = count_cells(monkeypatch)
    seen = []
    with ThreadPoolExecutor(1) as pool:  # this one waits for the other, and sees its rows
        made = pool.submit(make, source, overview=lambda n, *_: seen.append(n))
        while len(seen) < 3:
            time.sleep(0.01)
        assert not made.done() and not cells
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        cube = made.result(LONG)
    assert len(cells) == 2
    assert seen == [16, 32, 48, 64, 70]
    check(cube, source, counts, [disc()], [(3, 20)])


def test_cancelled_while_another_makes_it(source):
    begun, go_on = threading.Event(), threading.Event()

    def wait(*_):
        begun.set()
        go_on.wait(LONG)

    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(make, source, progress=wait)
        assert begun.wait(LONG)
        with pytest.raises(PassCancelledError):
            make(source, cancel=lambda: True)
        go_on.set()
        assert made.result(LONG) == find(source)


def test_many_threads_make_one(source, counts, monkeypatch):
    cells = count_cells(monkeypatch)
    calls = [[] for _ in range(6)]

    def ask(seen):
        return make(source, overview=lambda n, *_: seen.append(n))

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(ask, calls))
    assert len(cells) == 5
    assert len(set(found)) == 1
    assert calls == [[16, 32, 48, 64, 70]] * 6
    check(found[0], source, counts, [disc()], [(3, 20)])


def make_in_process(path):
    cube_layout.STRIP_BYTES, cube_identity.SETTLED_S = 16 * 50 * 33, 0
    source = array_of(LocalFile.of(path), make_counts())
    cube = make(source)
    return cube, cube.image(3, 20), cube.spectrum(disc(), source)


def test_several_processes(source, counts, tmp_path):
    context = multiprocessing.get_context("spawn")
    with context.Pool(3) as pool:
        found = pool.map(make_in_process, [tmp_path / "map.raw"] * 3)
    for cube, image, spectrum in found:
        assert cube == find(source)
        np.testing.assert_array_equal(image, counts[..., 3:20].sum(axis=2))
        np.testing.assert_array_equal(spectrum, counts[disc()].sum(axis=0))
    assert folders() == [found[0][0].folder.name]


def test_without_locks(source, counts, monkeypatch):
    """Where the system has none, those who make the same write the same."""
    monkeypatch.setattr("rsciio_xfm.core.atomic.fcntl", None)
    with ThreadPoolExecutor(3) as pool:
        made = [pool.submit(make, source) for _ in range(3)]
    cubes = [
        m.result() for m in made if not isinstance(m.exception(), CubeError | OSError)
    ]
    for cube in cubes[:1]:
        check(cube, source, counts, [disc()], [(3, 20)])
    check(make(source), source, counts, [disc()], [(3, 20)])


# Afterwards ------------------------------------------------------------------------------


def test_pickled_and_in_threads(source, counts):
    cube = pickle.loads(pickle.dumps(make(source)))
    assert cube == find(source)

    def ask(k):
        mask = disc(radius=0.1 + 0.03 * k)
        return cube.image(k, k + 9), cube.spectrum(mask, source), mask

    with ThreadPoolExecutor(8) as pool:
        for k, (image, spectrum, mask) in enumerate(pool.map(ask, range(12))):
            np.testing.assert_array_equal(image, counts[..., k : k + 9].sum(axis=2))
            np.testing.assert_array_equal(spectrum, counts[mask].sum(axis=0))


def ask_all(cube, source, counts):
    """Ask for nearly all that a cache has; compare what it answers."""
    windows = [(k, k + 1) for k in range(SHAPE[2])] + [(0, 8), (16, 33), (0, 33)]
    whole = np.ones(SHAPE[:2], dtype=bool)
    check(cube, source, counts, [disc(), whole], windows)


@pytest.mark.parametrize("name", ["data", "index"])
@pytest.mark.parametrize("share", [0, 0.3, 0.6])
def test_damage(source, counts, name, share):
    cube = make(source)
    path = cube.folder / name
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 16
    path.write_bytes(content)
    assert find(source) == cube  # nothing is read yet
    with pytest.raises(CacheLostError, match="damaged or was deleted"):
        ask_all(cube, source, counts)
    assert find(source) is None
    assert not folders()
    ask_all(make(source), source, counts)


def test_flipped_bits(source, counts):
    """Whichever byte is another one: the answers are right, or the cache is thrown away."""
    cube = make(source)
    kept = cube.folder.with_name("kept")
    shutil.copytree(cube.folder, kept)
    rng = np.random.default_rng(0)
    n_lost = 0
    for name in ("data", "index", "meta.json"):
        size = (kept / name).stat().st_size
        for position in rng.integers(0, size, 60).tolist():
            shutil.rmtree(cube.folder, ignore_errors=True)
            shutil.copytree(kept, cube.folder)
            content = bytearray((kept / name).read_bytes())
            content[position] ^= 1 << int(rng.integers(8))
            (cube.folder / name).write_bytes(content)
            found = find(source)
            try:
                if found is not None:
                    ask_all(found, source, counts)
            except CacheLostError:
                n_lost += 1
    assert n_lost > 50


@pytest.mark.parametrize("name", ["data", "index", "meta.json"])
def test_cut_short(source, counts, name):
    """As a disk that was full leaves it: it is not found, and made anew."""
    cube = make(source)
    path = cube.folder / name
    os.truncate(path, path.stat().st_size - 1)
    assert find(source) is None
    check(make(source), source, counts, [disc()], [(3, 20)])


def test_damage_is_found_while_it_is_told(source, counts):
    cube = make(source)
    path = cube.folder / "data"
    path.write_bytes(bytes(path.stat().st_size))
    calls = []
    cube = make(source, overview=lambda *c: calls.append(c))
    assert [c[0] for c in calls] == [16, 32, 48, 64, 70]
    check(cube, source, counts, [disc()], [(3, 20)])


def test_deleted_while_it_is_used(source):
    cube = make(source)
    shutil.rmtree(cube.folder)
    for ask in (
        lambda: cube.image(0, 3),
        lambda: cube.spectrum(np.ones(SHAPE[:2], dtype=bool), source),
        cube.overview,
    ):
        with pytest.raises(CacheLostError):
            ask()
    assert find(source) is None


def test_replaced_file(source, counts, tmp_path):
    cube = make(source)
    assert cube.is_current()
    path = tmp_path / "map.raw"
    os.utime(path, ns=(0, 10**18))
    assert not cube.is_current()
    assert find(source) is None
    with pytest.raises(CorruptFileError, match="changed since it was opened"):
        make(source)
    with pytest.raises(CorruptFileError):
        cube.spectrum(disc(), source)
    other = make_counts(seed=1)
    new = on_disk(path, other)
    assert find(new) is None
    cube = make(new)
    check(cube, new, other, [disc()], [(3, 20)])
    assert folders() == [cube.folder.name]  # that of the old file is deleted


def test_contents_changed_and_time_set_back(source, tmp_path):
    make(source)
    path = tmp_path / "map.raw"
    before = path.stat()
    time.sleep(0.02)
    path.write_bytes(make_counts(seed=1).tobytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert find(array_of(LocalFile.of(path), make_counts())) is None


def test_replaced_while_it_is_made(source, tmp_path):
    def replace(done, _):
        if done == 2:
            os.utime(tmp_path / "map.raw", ns=(0, 10**18))

    with pytest.raises(CorruptFileError, match="changed"):
        make(source, progress=replace)
    assert not folders()


def test_replaced_at_the_end(source, tmp_path):
    """All is read, and then the file is touched: nobody knows of what the cache is."""

    def touch(done, of):
        if done == of:
            time.sleep(0.02)
            os.chmod(tmp_path / "map.raw", 0o600)

    with pytest.raises(CorruptFileError, match="while its map was cached"):
        make(source, progress=touch)
    assert not folders()


def test_file_of_now_is_waited_for(tmp_path, counts, monkeypatch):
    waited = []
    monkeypatch.setattr(cube_identity, "SETTLED_S", 2)
    monkeypatch.setattr(cube_identity.time, "sleep", waited.append)
    source = on_disk(tmp_path / "map.raw", counts)
    os.utime(tmp_path / "map.raw")
    source = array_of(LocalFile.of(tmp_path / "map.raw"), counts)
    make(source)
    assert 1 < waited[0] <= 2


# Room ------------------------------------------------------------------------------------


def test_budget_of_one(source, monkeypatch):
    monkeypatch.setenv("RSCIIO_XFM_CUBE_BYTES", "20 kB")
    with pytest.raises(
        CacheFullError, match=r"at most 0\.0 GB: set RSCIIO_XFM_CUBE_BYTES"
    ):
        make(source)
    assert not folders()


def test_budget_of_several(tmp_path, monkeypatch):
    """Those that were used longest ago are deleted."""
    sources = [on_disk(tmp_path / f"{k}.raw", make_counts(seed=k)) for k in range(4)]
    cubes = [make(source) for source in sources[:3]]
    for k, cube in enumerate(cubes):
        for path in (*cube.folder.iterdir(), cube.folder):
            os.utime(path, ns=(0, (k + 1) * 10**17))
    assert find(sources[0]) == cubes[0]  # it is used now
    monkeypatch.setenv("RSCIIO_XFM_CUBE_BYTES", str(int(2.9 * cubes[0].n_bytes)))
    cube = make(sources[3])
    assert folders() == sorted(c.folder.name for c in (cubes[0], cube))


def test_what_was_left_is_deleted(source, tmp_path):
    """What was interrupted is kept for a week, what is half deleted not at all."""
    for name in ("a" * 16 + "-1.part", "b" * 16 + "-1.part", "c" * 16 + "-1.0123.old"):
        place = cube_store.folder() / name
        place.mkdir(parents=True)
        (place / "data").write_bytes(b"1")
    os.utime(cube_store.folder() / ("a" * 16 + "-1.part") / "data", ns=(0, 10**18))
    cube = make(source)
    assert folders() == sorted([cube.folder.name, "b" * 16 + "-1.part"])


def test_setting_that_is_no_size(source, monkeypatch):
    monkeypatch.setenv("RSCIIO_XFM_CUBE_BYTES", "plenty")
    with pytest.raises(CubeError, match="'plenty', expected a size: 20 GB"):
        make(source)


def test_little_room_on_the_disk(source, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(
        cube_store.shutil, "disk_usage", lambda _: usage._replace(free=2 * 2**30 + 50000)
    )
    with pytest.raises(CacheFullError, match=r"has 2\.1 GB of room, too little"):
        make(source)
    assert not folders()


@pytest.mark.parametrize("n_written", [0, 3, 100])
def test_full_disk(source, counts, monkeypatch, n_written):
    original, calls = cube_chunks.ChunkWriter._write, []

    def write(self, *arguments):
        calls.append(arguments)
        if len(calls) > n_written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(self, *arguments)

    monkeypatch.setattr(cube_chunks.ChunkWriter, "_write", write)
    with pytest.raises(CacheFullError, match=r"RSCIIO_XFM_CACHE_DIR"):
        make(source)
    assert not folders()
    monkeypatch.undo()


def write_too_much(path, folder):
    import resource

    os.environ["RSCIIO_XFM_CACHE_DIR"] = folder
    cube_layout.STRIP_BYTES, cube_identity.SETTLED_S = 16 * 50 * 33, 0
    source = array_of(LocalFile.of(path), make_counts())
    resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000))
    try:
        make(source)
    except CacheFullError:
        return folders()
    return None


def test_process_that_may_write_no_more(source, tmp_path):
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        own = (tmp_path / "map.raw", str(tmp_path / "cache"))
        assert pool.apply(write_too_much, own) == []


def test_folder_that_cannot_be_made(source, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("RSCIIO_XFM_CACHE_DIR", str(tmp_path / "file"))
    assert find(source) is None
    with pytest.raises(CubeError, match="cannot be written"):
        make(source)


@pytest.mark.parametrize("name", ["RSCIIO_XFM_CUBES", "RSCIIO_XFM_CACHE"])
def test_switched_off(source, monkeypatch, name):
    make(source)
    monkeypatch.setenv(name, "off")
    assert name in unsuited(source)
    assert find(source) is None
    with pytest.raises(CubeError, match=name):
        make(source)


def test_which_maps_have_one(source, monkeypatch):
    assert is_suited(source)
    assert is_small(source)
    monkeypatch.setattr(cube_store, "CUBE_MAP_BYTES", 1000)
    assert not is_small(source)
    records = importlib.import_module("tests.builders.geopixe").write_map
    path = records(source.table.sources[0].name + ".GeoPIXE")
    geopixe = importlib.import_module("rsciio_xfm.formats.geopixe")
    sparse = source_of(geopixe.file_reader(path, lazy=True)[0]["data"])
    assert not is_small(sparse)
    monkeypatch.setattr(cube_store, "CUBE_MAP_BYTES", 5 * sparse.file_bytes())
    assert is_small(sparse)
    for counts in (make_counts(dtype="f4"), make_counts(dtype="i2"), make_counts()[0]):
        assert not is_suited(in_memory(counts))
        with pytest.raises(CubeError, match="maps of counts"):
            make(in_memory(counts))


def test_damage_of_what_was_replaced(source):
    """Whoever still reads an old cache does not throw the new one away."""
    cube = make(source)
    with pytest.raises(CacheLostError), cube.opened():
        cube_store.discard(cube.folder)
        make(source)
        raise cube_chunks.DamagedError("of the old one")
    assert find(source) is not None
    with pytest.raises(CacheLostError), cube.opened():
        raise cube_chunks.DamagedError("of the new one")
    assert find(source) is None


def test_without_numcodecs(source, monkeypatch):
    monkeypatch.setitem(sys.modules, "numcodecs", None)
    monkeypatch.setitem(sys.modules, "numcodecs.blosc", None)
    with pytest.raises(ImportError, match=r"rsciio-xfm\[explore\]"):
        make(source)


def test_few_bytes(tmp_path, monkeypatch):
    """Of a map as they are measured it takes up less than 15 % of an .spd."""
    from rsciio_xfm import data

    joint = data.sem_map(tmp_path / "joint.spd", (64, 160))
    (found,) = importlib.import_module("rsciio_xfm.formats.edax").file_reader(
        joint.path, lazy=True
    )
    monkeypatch.setattr(cube_layout, "STRIP_BYTES", 2**24)
    cube = make(source_of(found["data"]))
    assert cube.n_bytes < 0.15 * Path(joint.path).stat().st_size


def test_folder_deleted_while_it_is_made(source, counts):
    """It is begun anew, and told once."""
    seen = []

    def delete(done, _):
        seen.append(done)
        if len(seen) == 2:
            shutil.rmtree(cube_store.folder())

    cube = make(source, progress=delete)
    assert seen == [1, 2, 3, 4, 5]
    check(cube, source, counts, [disc()], [(3, 20)])


def test_place_of_another_kind(source):
    """Something has the name of a file of the cache: the map goes on without one."""
    place = cube_store.Place.of(source).part
    (place / "data").mkdir(parents=True)
    with pytest.raises(CubeError, match="cannot be written"):
        make(source)


def test_view_of_a_map(source, counts):
    """A block of a map has a cache of its own, and its border is read from the file."""
    lazy = take(from_source(source), (slice(9, 62), slice(5, 47), slice(None)))
    view = source_of(lazy)
    cube = make(view)
    assert cube.folder != make(source).folder
    block = np.ascontiguousarray(counts[9:62, 5:47])
    masks = [disc(block.shape[:2], r) for r in (0.2, 0.45)]
    check(cube, view, block, masks, [(3, 20)])
    fewer = source_of(take(from_source(source), (..., slice(5, 30))))
    block = np.ascontiguousarray(counts[..., 5:30])
    check(make(fewer), fewer, block, [disc()], [(3, 20)])


def test_answers_cancelled(source):
    cube = make(source)
    with pytest.raises(PassCancelledError, match="answer was cancelled"):
        cube.image(3, 20, cancel=lambda: True)
    stop = threading.Event()
    whole = np.ones(SHAPE[:2], dtype=bool)
    stop.set()
    assert cube.spectrum(whole, source, cancel=stop).any()  # there is no border to read
    with pytest.raises(PassCancelledError):
        cube.spectrum(disc(), source, cancel=stop)
    assert find(source) == cube


def processor_time(action):
    action()
    times = []
    for _ in range(7):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)  # other threads take some too


def test_processor_time_and_memory_beside_the_file(tmp_path, monkeypatch):
    """Answers take a third of the time from the cache; making it, of a hundred images."""
    from rsciio_xfm import data

    monkeypatch.setattr(cube_layout, "STRIP_BYTES", 2**24)
    joint = data.sem_map(tmp_path / "joint.spd", (256, 512))
    edax = importlib.import_module("rsciio_xfm.formats.edax")
    lazy = edax.file_reader(joint.path, lazy=True)[0]["data"]
    source = source_of(lazy)
    make(in_memory(make_counts()))  # the kernels are there
    start = time.process_time()
    before = peak_memory(reset=True)
    cube = make(source)
    took = time.process_time() - start
    assert peak_memory() - before < 4 * 2**24 + 2**25
    assert took < 100 * processor_time(lambda: window_images(lazy, [(300, 310)]))
    mask = np.zeros((256, 512), dtype=bool)
    mask[30:231, 53:254] = True
    pairs = (
        (lambda: cube.image(300, 314), lambda: window_images(lazy, [(300, 314)])[0]),
        (lambda: cube.spectrum(mask, source), lambda: region_spectra(lazy, [mask])[0]),
    )
    for cached, from_file in pairs:
        np.testing.assert_array_equal(cached(), from_file())
        assert 3 * processor_time(cached) < processor_time(from_file)


def peak_memory(reset=False):
    """Return the peak of resident memory, in bytes; 0 where the system does not tell."""
    place = Path("/proc/self")
    if not place.exists():
        return 0
    if reset:
        (place / "clear_refs").write_text("5")
    (line,) = [s for s in (place / "status").read_text().splitlines() if "VmHWM" in s]
    return int(line.split()[1]) * 1024
