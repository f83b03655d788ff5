"""Which bytes of which file hold which chunk of an array."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from rsciio_xfm.core.array import Range
from rsciio_xfm.core.source import Source

NO_CHUNK = -1  # in place of an offset

Ranges = tuple[Range, ...]


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
