"""The cache of a map is made: one pass over the file, cell by cell."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rsciio_xfm.core.array import FileArray, Range, channels_in, place_in
from rsciio_xfm.core.config import CUBE_POLL_SECONDS
from rsciio_xfm.core.workplace import workplace
from rsciio_xfm.exceptions import PassCancelledError
from rsciio_xfm.explore.cube_chunks import FAST, SMALL, ChunkReader, ChunkWriter, narrow
from rsciio_xfm.explore.cube_layout import GROUP, Layout
from rsciio_xfm.explore.cube_pixels import most_bytes, put_pixels
from rsciio_xfm.explore.cube_store import CubeError, Place, Room
from rsciio_xfm.kernels.cubes import add_blocks, sum_planes
from rsciio_xfm.kernels.transpose import copy

# Sums of so many counts in a map would not fit 64 bits for certain.
_MOST_COUNTS = 2**40
# Pixels of blocks take up at least such a share of what all else does.
_LEAST_PIXELS = 0.6
_TYPES = [np.dtype(t) for t in ("u1", "u2", "u4", "u8")]


@dataclass
class Watch:
    """What is called while a cache is made.

    Attributes
    ----------
    layout
        Of the cache.
    progress
        Called as ``progress(done, of)``, cells.
    cancel
        A callable that returns True, or an event with ``is_set()``, to stop.
    overview
        See :func:`rsciio_xfm.explore.cube.make`.
    """

    layout: Layout
    progress: Callable[[int, int], Any] | None = None
    cancel: Any = None
    overview: Callable[..., Any] | None = None
    n_rows: int = 0
    total: np.ndarray = field(init=False)
    highest: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.total = np.zeros(self.layout.shape[2], dtype=np.uint64)
        self.highest = np.zeros(self.layout.shape[2], dtype=self.layout.dtype)
        self._parts: list[np.ndarray] = []
        self._n_seen = 0

    def check(self) -> None:
        """Raise an error if the pass is to stop."""
        if self.cancel is not None and getattr(self.cancel, "is_set", self.cancel)():
            raise PassCancelledError(
                f"Making the cache was cancelled, {self._n_seen} of {self.layout.n_cells} "
                "parts were done."
            )

    def wait(self) -> None:
        """Wait a little for another who makes the same."""
        self.check()
        time.sleep(CUBE_POLL_SECONDS)

    def see(self, reader: ChunkReader, n_done: int) -> None:
        """Look at cells that are finished, perhaps by another."""
        for cell in range(self._n_seen, n_done):
            if self.overview is not None:
                counts, spectra = read_summary(reader, self.layout, cell)
                self.finished(cell, counts, spectra)
            else:
                self.finished(cell, None, None)

    def finished(
        self, cell: int, counts: np.ndarray | None, spectra: np.ndarray | None
    ) -> None:
        """Say that a cell is finished, and what is in it."""
        if cell < self._n_seen:  # as another made it, and it was lost
            return
        self._n_seen = cell + 1
        if self.progress is not None:
            self.progress(cell + 1, self.layout.n_cells)
        if counts is not None and spectra is not None and self.overview is not None:
            self._add(counts, spectra)

    def _add(self, counts: np.ndarray, spectra: np.ndarray) -> None:
        self.total += spectra[0]
        np.maximum(self.highest, spectra[1].astype(self.highest.dtype), out=self.highest)
        self._parts.append(counts)
        if len(self._parts) == self.layout.grid[1] and self.overview is not None:
            rows = np.concatenate(self._parts, axis=1)
            self._parts = []
            self.n_rows += len(rows)
            self.overview(self.n_rows, rows, self.total.copy(), self.highest.copy())


def read_summary(
    reader: ChunkReader, layout: Layout, cell: int
) -> tuple[np.ndarray, np.ndarray]:
    """Read the counts image of a cell, and the sum and the maximum of its spectra.

    Returns
    -------
    counts : numpy.ndarray
        uint64, shape of the cell.
    spectra : numpy.ndarray
        uint64, shape (2, channels).
    """
    first, size = cell * layout.n_chunks, layout.size(cell)
    found = []
    shapes = ((layout.counts, size), (layout.spectra, (2, layout.shape[2])))
    for number, shape in shapes:
        chunk = reader.chunk(first + number, shape)
        found.append(np.zeros(shape, "u8") if chunk is None else chunk.astype(np.uint64))
    return found[0], found[1]


def fill(source: FileArray, place: Place, watch: Watch) -> None:
    """Make what a cache lacks: all of it, or what is left since it was interrupted."""
    layout, memory, room = place.layout, _Memory(), Room(place)
    with ChunkWriter(place.part, layout) as writer, ChunkReader(place.part) as reader:
        watch.see(reader, writer.n_done)
        for cell in range(writer.n_done, layout.n_cells):
            room.check(writer.n_done, writer.n_bytes)
            counts, spectra = _make_cell(source, writer, memory, watch)
            watch.finished(cell, counts, spectra)
            watch.check()
        room.check(writer.n_done, writer.n_bytes)
        _make_fields(layout, writer, reader)


class _Memory:
    """Memory of a cell, used again for the next one."""

    def __init__(self) -> None:
        self._held = np.empty(0, dtype=np.uint8)

    def planes(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        n_bytes = int(np.prod(shape)) * dtype.itemsize
        if self._held.size < n_bytes:
            self._held = np.empty(n_bytes, dtype=np.uint8)
        planes = self._held[:n_bytes].view(dtype).reshape(shape)
        planes.fill(0)
        return planes


def _make_cell(
    source: FileArray, writer: ChunkWriter, memory: _Memory, watch: Watch
) -> tuple[np.ndarray, np.ndarray]:
    layout, place = watch.layout, watch.layout.place(writer.n_done)
    before = writer.n_bytes
    with workplace():
        planes, blocks = _gather(source, place, memory, watch)
    total = blocks.sum(axis=(0, 1), dtype=np.uint64)
    highest = np.zeros(layout.shape[2], dtype=planes.dtype)
    counts = _put_planes(planes, highest, writer, watch)
    for number, rows, columns in layout.tile_blocks(writer.n_done):
        writer.put(number, blocks[slice(*rows), slice(*columns)])
    spectra = np.stack([total, highest.astype(np.uint64)])
    writer.put(layout.spectra, spectra)
    has_pixels = False
    if layout.keeps_pixels:
        n_bytes = writer.n_bytes - before
        most = most_bytes(source, place) - n_bytes
        n_bits = int(highest.max()).bit_length()
        if most > _LEAST_PIXELS * n_bytes:
            has_pixels = put_pixels(planes, n_bits, writer, layout, most)
    writer.finish_cell(has_pixels)
    return counts, spectra


def _gather(
    source: FileArray, place: tuple[Range, Range], memory: _Memory, watch: Watch
) -> tuple[np.ndarray, np.ndarray]:
    """Read a cell: planes of channels, and the spectra of its blocks."""
    layout = watch.layout
    ranges = (*place, (0, layout.shape[2]))
    size = [stop - start for start, stop in place]
    shape = (layout.shape[2], *size)
    dtype = source.dtype if source.dtype.itemsize <= 2 else _TYPES[1]
    planes = memory.planes(shape, dtype)
    n_blocks = [-(-n // m) for n, m in zip(size, layout.block, strict=True)]
    blocks = np.zeros((*n_blocks, layout.shape[2]), dtype=_sum_type(dtype))
    for held, piece in source.pieces(ranges):
        watch.check()
        counts = _fit(channels_in(piece, held, ranges), planes.dtype)
        if counts.itemsize > planes.itemsize:
            planes = planes.astype(counts.dtype)
            blocks = blocks.astype(_sum_type(counts.dtype))
        rows, columns = place_in(held, ranges)
        copy(counts, planes[:, rows, columns].transpose(1, 2, 0))
        add_blocks(counts, (rows.start, columns.start), layout.block, blocks)
    return planes, blocks


def _fit(counts: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return counts of a type, or of a wider one where that is needed."""
    if counts.itemsize <= dtype.itemsize <= 2:
        return counts
    high = int(counts.max())
    if high >= _MOST_COUNTS:
        raise CubeError(
            f"The map has {high} counts in a channel, expected fewer than {_MOST_COUNTS} "
            "for a cache."
        )
    narrowest = narrow(counts, high)
    return counts.astype(max(narrowest.dtype, dtype, key=lambda d: d.itemsize))


def _sum_type(dtype: np.dtype) -> np.dtype:
    """Return the type of the sum of 64 numbers."""
    return _TYPES[2] if dtype.itemsize <= 2 else _TYPES[3]


def _put_planes(
    planes: np.ndarray, highest: np.ndarray, writer: ChunkWriter, watch: Watch
) -> np.ndarray:
    """Write planes of channels and of their sums; return that of all."""
    n_channels, *size = planes.shape
    flat = planes.reshape(n_channels, -1)
    _, (eights, _), (more, _) = watch.layout.levels
    kind = _sum_type(planes.dtype)
    codec = SMALL if watch.layout.keeps_pixels else FAST  # to make room for these
    wide = np.zeros(flat.shape[1], dtype=kind)
    counts = np.zeros(flat.shape[1], dtype=np.uint64)
    for start in range(0, n_channels, GROUP):
        watch.check()
        group, high = flat[start : start + GROUP], highest[start : start + GROUP]
        total = np.zeros(flat.shape[1], dtype=kind)
        sum_planes(group, total, high)
        for k, plane in enumerate(group):
            writer.put(start + k, plane, int(high[k]), codec)
        writer.put(eights + start // GROUP, total)
        wide += total
        if (start // GROUP + 1) % GROUP == 0 or start + GROUP >= n_channels:
            writer.put(more + start // GROUP**2, wide)
            counts += wide
            wide[:] = 0
    image = counts.reshape(size)
    writer.put(watch.layout.counts, image)
    return image


def _make_fields(layout: Layout, writer: ChunkWriter, reader: ChunkReader) -> None:
    """Sum the spectra of 8 x 8 blocks, from what was written of these."""
    totals = np.zeros((layout.fields[1], layout.shape[2]), dtype=np.uint64)
    now = -1
    for number, row, columns in layout.field_chunks():
        if row != now:
            now = row
            totals[:] = 0
            _add_fields(layout, reader, row, totals)
        writer.put_field(number, totals[slice(*columns)])


def _add_fields(
    layout: Layout, reader: ChunkReader, row: int, totals: np.ndarray
) -> None:
    """Add the blocks of a row of fields."""
    down, across = layout.cell_blocks
    first, stop = GROUP * row, min(GROUP * (row + 1), layout.blocks[0])
    cells = range(first // down * layout.grid[1], -(-stop // down) * layout.grid[1])
    for cell in cells:
        top, left = cell // layout.grid[1] * down, cell % layout.grid[1] * across
        for number, rows, columns in layout.tile_blocks(cell):
            shape = (rows[1] - rows[0], columns[1] - columns[0], layout.shape[2])
            if (top + rows[0]) // GROUP != row:
                continue
            spectra = reader.chunk(cell * layout.n_chunks + number, shape)
            if spectra is not None:
                corner = (top + rows[0] - first, left + columns[0])
                add_blocks(spectra, corner, (GROUP, GROUP), totals[np.newaxis])
