"""Which bytes of which file hold which chunk of an array, and how parts of chunks are read.

That is of chunks whose bytes are the numbers as they are: only what is wanted of them is read.
"""

import contextlib
import itertools
import math
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np

from rsciio_xfm.core import faults
from rsciio_xfm.core.array import Range
from rsciio_xfm.core.config import (
    BLOCK_BYTES,
    GAP_BYTES,
    MAP_ALIGNMENT,
    MAP_BYTES,
    NARROW,
    NARROW_BYTES,
    STREAM_MOST_BYTES,
)
from rsciio_xfm.core.source import LocalFile, Reader, Source
from rsciio_xfm.core.workplace import scratch
from rsciio_xfm.kernels.sums import (
    can_stream,
    is_counts,
    spectra_at_once,
    stream_channels,
    stream_spectra,
)

NO_CHUNK = -1  # in place of an offset

Ranges = tuple[Range, ...]
_FEW = 16  # calls that do not matter
_MAP_LEAST_BYTES = 2**18
_LINE_BYTES = 64


@dataclass(frozen=True, eq=False)
class Table:
    """Which bytes of which source hold which chunk of an array.

    Attributes
    ----------
    sources
        The files.
    shape
        Of the array, in the order of its axes as it is stored.
    chunks
        Size of a chunk along each axis; those at the edges are as large as others, and what
        is beyond the edge is not looked at.
    dtype
        Of the numbers, as they are stored.
    offsets
        int64, one for each chunk along each axis: byte at which it begins; `NO_CHUNK` where
        there is none.
    n_bytes
        int64, that shape or one that is broadcast to it: bytes of each in the file.
    file
        int32, that shape: number of the source of each; None if there is one source.
    fill
        What stands where there is no chunk.
    """

    sources: tuple[Source, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype
    offsets: np.ndarray
    n_bytes: np.ndarray
    file: np.ndarray | None = None
    fill: int | float = 0

    @classmethod
    def of_run(
        cls,
        source: Source,
        offset: int,
        shape: tuple[int, ...],
        dtype: np.dtype,
        n_present: int | None = None,
    ) -> "Table":
        """Make the table of numbers that lie in a file one after the other.

        Parameters
        ----------
        source, offset
            The file, and the byte at which they begin.
        shape, dtype
            Of the array.
        n_present
            How many entries of the first axis are there, all of them if None; the rest
            are zeros.
        """
        n_rows = shape[0]
        n_there = n_rows if n_present is None else max(0, min(n_present, n_rows))
        # As many chunks as it takes to say that the first is all there is.
        step = n_there or max(1, n_rows)
        chunks = (step, *(max(1, size) for size in shape[1:]))
        offsets = np.full((-(-n_rows // step),) + (1,) * (len(shape) - 1), NO_CHUNK)
        if n_there:
            offsets[0] = offset
        n_bytes = np.array(math.prod(chunks) * dtype.itemsize)
        return cls((source,), tuple(shape), chunks, np.dtype(dtype), offsets, n_bytes)

    @cached_property
    def chunk_bytes(self) -> int:
        """Bytes of the numbers of a chunk."""
        return math.prod(self.chunks) * self.dtype.itemsize

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """Bytes from one number of a chunk to the next along each axis."""
        sizes = (*self.chunks[1:], 1)
        return tuple(self.bytes_of(sizes[i:]) for i in range(len(sizes)))

    @property
    def n_present(self) -> int:
        """How many entries of the first axis there are, up to the last chunk that is there."""
        others = tuple(range(1, self.offsets.ndim))
        there = np.flatnonzero((self.offsets != NO_CHUNK).any(axis=others))
        last = int(there[-1]) + 1 if there.size else 0
        return min(last * self.chunks[0], self.shape[0])

    @cached_property
    def has_gaps(self) -> bool:
        """Whether chunks are missing anywhere."""
        return bool((self.offsets == NO_CHUNK).any())

    def bytes_of(self, lengths: tuple[int, ...]) -> int:
        """Return how many bytes so many numbers along some axes have."""
        return math.prod(lengths) * self.dtype.itemsize

    @cached_property
    def stored_bytes(self) -> int:
        """How many bytes of the files all chunks take up."""
        there = self.offsets != NO_CHUNK
        return int(np.broadcast_to(self.n_bytes, there.shape)[there].sum())

    def cut(self, ranges: Ranges) -> Iterator["Cell"]:
        """Yield the part of each chunk that a block is made of.

        Parameters
        ----------
        ranges
            Of the block along each stored axis, none of them empty.
        """
        grid = self._grid(ranges)
        sizes = np.broadcast_to(self.n_bytes, self.offsets.shape)
        numbers = itertools.repeat(0) if self.file is None else self.file[grid].flat
        along = [_cut_axis(*pair) for pair in zip(ranges, self.chunks, strict=True)]
        # A block can have very many chunks: none of these calls Python for each of them.
        places = [itertools.product(*column) for column in zip(*along, strict=True)]
        where = self.offsets[grid].flat, sizes[grid].flat, numbers
        return map(Cell, *places, *(map(int, column) for column in where))

    def count(self, ranges: Ranges) -> tuple[int, int]:
        """Return how many chunks of a block there are not, and how many there should be."""
        offsets = self.offsets[self._grid(ranges)]
        return int(np.count_nonzero(offsets == NO_CHUNK)), offsets.size

    def _grid(self, ranges: Ranges) -> tuple[slice, ...]:
        """Return the numbers of the chunks of a block along each axis."""
        pairs = zip(ranges, self.chunks, strict=True)
        return tuple(slice(start // n, -(-stop // n)) for (start, stop), n in pairs)


class Cell(NamedTuple):
    """What a block has of a chunk.

    Attributes
    ----------
    index, corner
        Number of the chunk along each axis, and of its first entry in the array.
    part
        Ranges within the chunk.
    into
        Where it lies in the block.
    lengths
        Size of the part along each axis.
    offset, n_bytes, source
        Of the chunk in its source, and the number of the source.
    """

    index: tuple[int, ...]  # type: ignore[assignment]  # in place of tuple.index
    corner: tuple[int, ...]
    part: Ranges
    into: tuple[slice, ...]
    lengths: tuple[int, ...]
    offset: int
    n_bytes: int
    source: int

    @property
    def held(self) -> Ranges:
        """Ranges of the part in the array."""
        return shift(self.part, self.corner)

    def narrowed(self, part: Ranges) -> "Cell":
        """Return the same with less of the chunk."""
        return self._replace(part=part, lengths=tuple(b - a for a, b in part))


def _cut_axis(ends: Range, size: int) -> tuple[list, ...]:
    """Return number, corner, part, into and length (see Cell) of the chunks along an axis."""
    start, stop = ends
    numbers = [*range(start // size, -(-stop // size))]
    corners = [i * size for i in numbers]
    edges = [(max(start, low), min(stop, low + size)) for low in corners]
    pairs = [*zip(edges, corners, strict=True)]
    parts = [(first - low, last - low) for (first, last), low in pairs]
    into = [slice(first - start, last - start) for first, last in edges]
    return numbers, corners, parts, into, [last - first for first, last in edges]


def shift(ranges: Ranges, corner: tuple[int, ...]) -> Ranges:
    """Add a place to ranges."""
    return tuple((a + low, b + low) for (a, b), low in zip(ranges, corner, strict=True))


def slices(held: Ranges, ranges: Ranges) -> tuple[slice, ...]:
    """Return where a part lies in a block."""
    at = zip(held, ranges, strict=True)
    return tuple(slice(a - origin, b - origin) for (a, b), (origin, _) in at)


def split(ends: Range, step: int) -> list[Range]:
    """Cut a range at multiples of a step."""
    start, stop = ends
    edges = [start, *range((start // step + 1) * step, stop, step), stop]
    return list(itertools.pairwise(edges))


def is_narrow(n_wanted: int, n_all: int, itemsize: int) -> bool:
    """Tell whether so few bytes of a row of numbers are wanted that mapping it pays.

    Parameters
    ----------
    n_wanted, n_all
        Numbers.
    itemsize
        Bytes of one.
    """
    return n_wanted * NARROW <= n_all and n_all * itemsize >= NARROW_BYTES


def bytes_touched(channels: Sequence[Range], itemsize: int) -> int:
    """Return how many bytes of a row are looked at, for each range a cache line at least.

    Parameters
    ----------
    channels
        Ranges of its numbers, in any order.
    itemsize
        Bytes of a number.
    """
    n_bytes = last = 0
    for start, stop in sorted(channels):
        begin, end = start * itemsize, stop * itemsize
        end = max(end, begin + _LINE_BYTES)
        n_bytes += max(0, end - max(begin, last))
        last = max(last, end)
    return n_bytes


_without_mapping: list[object] = []  # those who asked for it


@contextlib.contextmanager
def mapping_left_out() -> Iterator[None]:
    """Read files, never map them, in all of this process as long as the block lasts.

    A mapped file that another program makes shorter ends the process (SIGBUS), which one
    that answers many people must not do; what is read is an error that can be told.
    """
    asked = object()
    _without_mapping.append(asked)
    try:
        yield
    finally:
        _without_mapping.remove(asked)


def can_map(table: Table) -> bool:
    """Tell whether chunks of whole rows can be mapped and looked at as they lie.

    Parameters
    ----------
    table
        Of plain chunks.
    """
    there = table.offsets[table.offsets != NO_CHUNK]
    return (
        not _without_mapping
        and table.dtype.isnative
        and table.chunk_bytes >= _MAP_LEAST_BYTES
        and table.strides[0] <= MAP_BYTES
        and all(isinstance(source, LocalFile) for source in table.sources)
        and not (there % table.dtype.itemsize).any()
    )


def map_parts(
    table: Table, cell: Cell, reader: Reader
) -> Iterator[tuple[Ranges, np.ndarray]]:
    """Yield whole rows of a chunk as they lie in the file, mapped while they are looked at.

    Parameters
    ----------
    table, cell, reader
        The part of a chunk that :func:`can_map`, and its source.
    """
    row_bytes = table.strides[0]
    n_at_once = max(1, MAP_BYTES // row_bytes)
    for first in range(*cell.part[0], n_at_once):
        last = min(first + n_at_once, cell.part[0][1])
        part = ((first, last), *cell.part[1:])
        n_bytes = (last - first) * row_bytes
        run = _Run(cell.offset + first * row_bytes, 1, n_bytes, n_bytes)
        for memory in _mapped(run, reader):
            yield part, np.ndarray((last - first, *table.chunks[1:]), table.dtype, memory)


def runs(table: Table, cell: Cell) -> tuple[int, Iterator[int]]:
    """Return how many bytes of a part follow each other, and where such runs begin.

    Parameters
    ----------
    table, cell
        The part of a chunk.
    """
    axis = len(table.chunks) - 1
    while axis > 0 and cell.lengths[axis] == table.chunks[axis]:
        axis -= 1
    run = cell.lengths[axis] * table.strides[axis]
    first = cell.offset + _at(table, cell.part)
    steps = (
        range(0, n * stride, stride)
        for n, stride in zip(cell.lengths[:axis], table.strides, strict=False)
    )
    return run, (first + sum(step) for step in itertools.product(*steps))


def _at(table: Table, part: Ranges) -> int:
    """Return the byte within a chunk at which a part of it begins."""
    return sum(start * n for (start, _), n in zip(part, table.strides, strict=True))


def read_directly(table: Table, cell: Cell, reader: Reader, flat: np.ndarray) -> bool:
    """Read a part to memory in which it lies as in the file.

    Parameters
    ----------
    table, cell, reader
        The part of a chunk, and its source.
    flat
        uint8, the memory.

    Returns
    -------
    bool
        False if nothing was read, since there are too many short runs of bytes.
    """
    run, offsets = runs(table, cell)
    if run < GAP_BYTES and flat.size > _FEW * run:
        return False
    for i, offset in enumerate(offsets):
        reader.read(offset, flat[i * run : (i + 1) * run])
    return True


def read_parts(
    table: Table, cell: Cell, reader: Reader
) -> Iterator[tuple[Ranges, np.ndarray]]:
    """Read a part some MiB at a time.

    Parameters
    ----------
    table, cell, reader
        The part of a chunk, and its source.

    Yields
    ------
    part : tuple of (int, int)
        Ranges within the chunk.
    numbers : numpy.ndarray
        As they are stored, of any strides; valid until the next ones.
    """
    lengths, strides = cell.lengths, table.strides
    axis = next((i for i, n in enumerate(lengths) if n > 1), len(lengths) - 1)
    span = _span(table, lengths[axis + 1 :])
    way = _choose(table, cell, axis, span, reader)
    if way is None:
        for i in range(*cell.part[axis]):
            inner = (*cell.part[:axis], (i, i + 1), *cell.part[axis + 1 :])
            yield from read_parts(table, cell.narrowed(inner), reader)
        return
    limit = MAP_BYTES if way is _mapped else BLOCK_BYTES
    step = span if way is _packed else strides[axis]
    n_at_once = max(1, limit // step)
    for first in range(*cell.part[axis], n_at_once):
        last = min(first + n_at_once, cell.part[axis][1])
        part = (*cell.part[:axis], (first, last), *cell.part[axis + 1 :])
        run = _Run(cell.offset + _at(table, part), last - first, strides[axis], span)
        shape = [b - a for a, b in part]
        for memory in way(run, reader):
            steps = (*strides[:axis], step, *strides[axis + 1 :])
            yield part, np.ndarray(shape, table.dtype, memory, strides=steps)


@dataclass(frozen=True)
class _Run:
    """So many spans of bytes, each so far from the one before."""

    start: int
    n: int
    stride: int
    span: int

    @property
    def n_bytes(self) -> int:
        return (self.n - 1) * self.stride + self.span


def _span(table: Table, lengths: tuple[int, ...]) -> int:
    """Return the bytes from the first to the last number of the innermost axes of a part."""
    inner = table.strides[len(table.strides) - len(lengths) :]
    return table.dtype.itemsize + sum(
        (n - 1) * stride for n, stride in zip(lengths, inner, strict=True)
    )


def _choose(
    table: Table, cell: Cell, axis: int, span: int, reader: Reader
) -> Callable[[_Run, Reader], Iterator[Any]] | None:
    """Choose how to read along the first axis of a part; None: each entry on its own."""
    is_mappable = (
        not _without_mapping and reader.descriptor is not None and span <= MAP_BYTES
    )
    if is_mappable and _is_sparse(table, cell):
        return _mapped
    has_inner = axis < len(table.chunks) - 1
    is_holey = span > 2 * table.bytes_of(cell.lengths[axis + 1 :]) + GAP_BYTES
    if has_inner and (span > BLOCK_BYTES or is_holey):
        return None
    return _packed if table.strides[axis] - span >= GAP_BYTES else _covered


def _is_sparse(table: Table, cell: Cell) -> bool:
    """Tell whether few bytes are wanted, in short runs far from each other."""
    run, _ = runs(table, cell)
    outer = [
        stride
        for n, stride in zip(cell.lengths, table.strides, strict=True)
        if n > 1 and stride >= run
    ]
    is_aligned = cell.offset % table.dtype.itemsize == 0
    is_narrow = bool(outer) and outer[-1] >= max(NARROW * run, NARROW_BYTES)
    return is_aligned and is_narrow and run < GAP_BYTES


def _covered(run: _Run, reader: Reader) -> Iterator[np.ndarray]:
    """Read spans, and what is between them."""
    with scratch(run.n_bytes) as memory:
        reader.read(run.start, memory)
        yield memory


def _packed(run: _Run, reader: Reader) -> Iterator[np.ndarray]:
    """Read spans one by one, so that they follow each other."""
    with scratch(run.n * run.span) as memory:
        for i in range(run.n):
            target = memory[i * run.span : (i + 1) * run.span]
            reader.read(run.start + i * run.stride, target)
        yield memory


def _mapped(run: _Run, reader: Reader) -> Iterator[np.ndarray]:
    """Map spans and what is between them: only pages that are looked at are read."""
    descriptor = cast(int, reader.descriptor)  # there is one, or `can_map` is False
    size = os.fstat(descriptor).st_size
    if run.start + run.n_bytes > size:
        raise faults.ends_early(reader.name, size, run.start + run.n_bytes - size)
    aligned = run.start // MAP_ALIGNMENT * MAP_ALIGNMENT
    n_before = run.start - aligned
    # Unmapped when the last view of it is gone.
    mapped = mmap.mmap(
        descriptor, n_before + run.n_bytes, access=mmap.ACCESS_READ, offset=aligned
    )
    yield np.frombuffer(mapped, np.uint8, run.n_bytes, n_before)


def stream_rows(
    table: Table, cell: Cell, reader: Reader, axis: int, window: Range | None
) -> np.ndarray | None:
    """Add rows of a part up as they are read, without the interpreter.

    Parameters
    ----------
    table, cell, reader
        The part of a chunk, and its source.
    axis
        From which on the chunk's numbers make a row: a whole spectrum, or a whole image.
    window
        Numbers of each row to add up; if None, the rows are added to each other.

    Returns
    -------
    numpy.ndarray or None
        uint64, for each row, or for each number of a row. None if no kernel can do it.
    """
    row = math.prod(table.chunks[axis:])
    row_bytes = row * table.dtype.itemsize
    is_taken = is_counts(np.empty(0, table.dtype)) and row_bytes <= STREAM_MOST_BYTES
    if not (can_stream and is_taken and reader.descriptor is not None):
        return None
    starts, (n_runs, stride), n_rows = _lay_out(table, cell, axis, row_bytes)
    n_at_once = min(n_rows, spectra_at_once(row_bytes))
    n_all = math.prod(cell.lengths[:axis])
    total = np.zeros(row if window is None else n_all, dtype=np.uint64)
    with scratch(n_at_once * row_bytes) as memory:
        buffer = memory.view(table.dtype).reshape(n_at_once, row)
        for i, start in enumerate(starts):
            where = (reader.descriptor, start, stride, n_runs, n_rows, buffer)
            if window is None:
                is_read = stream_spectra(*where, total)
            else:
                windows = np.array([window], dtype=np.int64)
                n = n_runs * n_rows
                sums = total[i * n : (i + 1) * n].reshape(1, n)
                is_read = stream_channels(*where, windows, sums)
            if not is_read:
                return None
    return total


def _lay_out(
    table: Table, cell: Cell, axis: int, row_bytes: int
) -> tuple[list[int], tuple[int, int], int]:
    """Return where groups of runs of rows begin, the runs of each, and the rows of a run."""
    merged: list[tuple[int, int]] = []
    for n, stride in zip(
        cell.lengths[:axis][::-1], table.strides[:axis][::-1], strict=True
    ):
        if merged and stride == math.prod(merged[-1]):
            merged[-1] = n * merged[-1][0], merged[-1][1]
        elif n > 1:
            merged.append((n, stride))
    # Rows follow each other only if they are as far from each other as they are long.
    follow = bool(merged) and merged[0][1] == row_bytes
    n_rows = merged.pop(0)[0] if follow else 1
    run = merged.pop(0) if merged else (1, 0)
    first = cell.offset + sum(
        start * n for (start, _), n in zip(cell.part[:axis], table.strides, strict=False)
    )
    steps = (range(0, n * stride, stride) for n, stride in merged[::-1])
    return [first + sum(step) for step in itertools.product(*steps)], run, n_rows
