"""Views of arrays over files: blocks, points in their places of a map, parts joined."""

import bisect
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from rsciio_xfm.core.array import (
    CountedArray,
    FileArray,
    Matrices,
    Pieces,
    Range,
    read_rows,
)
from rsciio_xfm.core.detectors import Detectors, StackedMaps
from rsciio_xfm.core.wide import add_exactly, check_unsigned
from rsciio_xfm.exceptions import CorruptFileError

Ranges = tuple[Range, ...]


@dataclass(frozen=True)
class View(FileArray):
    """A block of a :class:`FileArray`, itself one.

    Attributes
    ----------
    source
        The whole.
    ranges
        ``(start, stop)`` of the block for each axis.
    """

    source: FileArray
    ranges: Ranges

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Size of the block."""
        return tuple(stop - start for start, stop in self.ranges)

    @cached_property
    def dtype(self) -> np.dtype:
        """Of the counts."""
        return self.source.dtype

    def shifted(self, ranges: Ranges) -> Ranges:
        """Turn ranges within the view into those of the whole."""
        return tuple(
            (origin + start, origin + stop)
            for (origin, _), (start, stop) in zip(self.ranges, ranges, strict=True)
        )

    def read(self, ranges: Ranges) -> np.ndarray:
        """Read a block of the view."""
        return self.source.read(self.shifted(ranges))

    def sum_navigation(self, ranges: Ranges) -> np.ndarray:
        """Sum the spectra of a block of the view."""
        return self.source.sum_navigation(self.shifted(ranges))

    def sum_signal(self, ranges: Ranges) -> np.ndarray:
        """Sum the channels of a block of the view for each pixel."""
        return self.source.sum_signal(self.shifted(ranges))

    def multiply(self, ranges: Ranges, matrices: Matrices) -> np.ndarray | None:
        """Multiply the spectra of a block of the view."""
        return self.source.multiply(self.shifted(ranges), matrices)

    def pieces(self, ranges: Ranges) -> Pieces:
        """Read a block of the view piece by piece."""
        return self._own(self.source.pieces(self.shifted(ranges)))

    def pieces_for(self, ranges: Ranges, looked_at: Sequence[Range]) -> Pieces:
        """Read a block of the view for somebody who looks at some of its channels only."""
        first = self.ranges[-1][0]
        channels = [(start + first, stop + first) for start, stop in looked_at]
        return self._own(self.source.pieces_for(self.shifted(ranges), channels))

    def _own(self, pieces: Pieces) -> Pieces:
        for held, counts in pieces:
            own = zip(held, self.ranges, strict=True)
            yield tuple((a - origin, b - origin) for (a, b), (origin, _) in own), counts

    def known_total(self) -> np.ndarray | None:
        """Return the total of the whole, if the view leaves no pixel out."""
        total = self.source.known_total()
        whole = tuple((0, size) for size in self.source.shape[:-1])
        if total is None or self.ranges[:-1] != whole:
            return None
        return total[slice(*self.ranges[-1])]

    def by_detector(self) -> FileArray | None:
        """Return the same block of each detector."""
        source = self.source.by_detector()
        if source is None:
            return None
        return View(source, ((0, source.shape[0]), *self.ranges))

    def row_axis(self) -> int:
        """Return the axis along which the file can be read piece by piece."""
        return self._row_axis

    @cached_property
    def _row_axis(self) -> int:
        return self.source.row_axis()

    def row_step(self) -> int:
        """Return the step of the whole, if the view begins at one."""
        step = self.source.row_step()
        return step if self.ranges[self._row_axis][0] % step == 0 else 1

    def file_bytes(self) -> int:
        """Estimate the bytes in the file of the rows of the view."""
        axis = self._row_axis
        whole = self.source.shape[axis]
        return math.ceil(self.source.file_bytes() * self.shape[axis] / whole)


@dataclass(frozen=True, eq=False)
class Placed(CountedArray):
    """Points in the order of a scan, in their places of the map.

    Attributes
    ----------
    source
        The points, along its first axis.
    grid
        Shape of the map, slowest axis first.
    n_points
        How many of them there are; the rest of the map is zeros.
    is_reversed
        Of a map of two axes, the rows that were measured from their end.
    """

    source: FileArray
    grid: tuple[int, ...]
    n_points: int
    is_reversed: tuple[bool, ...] = ()

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """That of the map, and of what a point holds."""
        return (*self.grid, *self.source.shape[1:])

    @cached_property
    def dtype(self) -> np.dtype:
        """Of the points."""
        return self.source.dtype

    @property
    def _width(self) -> int:
        """Points of an entry of the first axis."""
        return math.prod(self.grid[1:])

    @cached_property
    def stored_chunks(self) -> tuple[int, ...] | None:
        """Those of the points, of a line."""
        return self.source.stored_chunks if len(self.grid) == 1 else None

    def row_axis(self) -> int:
        """Return the first axis."""
        return 0

    def file_bytes(self) -> int:
        """Return that of the points."""
        return self.source.file_bytes()

    def by_detector(self) -> FileArray | None:
        """Return the same with the detectors apart."""
        stack = self.source.by_detector()
        if not isinstance(stack, StackedMaps):
            return None
        return StackedMaps(tuple(replace(self, source=part) for part in stack.parts))

    def read(self, ranges: Ranges) -> np.ndarray:
        """Read a block; see :meth:`ArrayLike.read`."""
        block = np.zeros([stop - start for start, stop in ranges], dtype=self.dtype)
        n = len(self.grid)
        if block.size and (self._is_whole(ranges) or self._is_joined()):
            rows = self._read_rows(ranges)
            block[...] = rows[(slice(None), *(slice(*r) for r in ranges[1:n]))]
        elif block.size:
            self._read_runs(ranges, block)
        return block

    def _is_whole(self, ranges: Ranges) -> bool:
        """Tell whether a block is of whole rows."""
        n = len(self.grid)
        return ranges[1:n] == tuple((0, size) for size in self.grid[1:])

    def _is_joined(self) -> bool:
        """Tell whether chunks hold more than a row: they would be read once for each."""
        return len(self.grid) == 2 and self.source.row_step() > self.grid[-1]

    def _points(self, rows: Range) -> Range:
        """Return the points that are there of some entries of the first axis."""
        start, stop = (min(row * self._width, self.n_points) for row in rows)
        return start, stop

    def _read_rows(self, ranges: Ranges) -> np.ndarray:
        """Read whole rows, with their points in order."""
        points = self._points(ranges[0])
        return self._place(self.source.read((points, *self._inner(ranges))), ranges[0])

    def _place(self, found: np.ndarray, rows: Range) -> np.ndarray:
        """Put what was found of the points of some rows to its places."""
        n_rows = rows[1] - rows[0]
        n_missing = n_rows * self._width - len(found)
        if n_missing:
            missing = np.zeros((n_missing, *found.shape[1:]), dtype=found.dtype)
            found = np.concatenate([found, missing])
        placed = found.reshape(n_rows, *self.grid[1:], *found.shape[1:])
        turned = [i for i in range(n_rows) if self._turns(rows[0] + i)]
        if turned:
            placed[turned] = placed[turned, ::-1]
        return placed

    def _turns(self, row: int) -> bool:
        return bool(self.is_reversed) and self.is_reversed[row]

    def _read_runs(self, ranges: Ranges, block: np.ndarray) -> None:
        """Read parts of rows, one after the other."""
        n, (left, right) = len(self.grid), ranges[len(self.grid) - 1]
        for index in np.ndindex(block.shape[: n - 1]):
            place = [start + i for i, (start, _) in zip(index, ranges, strict=False)]
            first, last = left, right
            if n == 2 and self._turns(place[0]):
                first, last = self.grid[1] - right, self.grid[1] - left
            start = int(np.ravel_multi_index((*place, first), self.grid))
            stop = min(start + last - first, self.n_points)
            if stop > start:
                points = self.source.read(((start, stop), *ranges[n:]))
                if n == 2 and self._turns(place[0]):
                    block[index][right - left - len(points) :] = points[::-1]
                else:
                    block[index][: len(points)] = points

    def pieces(self, ranges: Ranges) -> Pieces:
        """Read a block piece by piece, each chunk once; see :meth:`FileArray.pieces`."""
        yield from read_rows(self, ranges, self._row_step)

    @cached_property
    def _row_step(self) -> int:
        """How many rows the chunks have of which a row is made."""
        return max(1, self.source.row_step() // self._width)

    def sum_navigation(self, ranges: Ranges) -> np.ndarray:
        """Sum the spectra of a block; see :meth:`FileArray.sum_navigation`."""
        if not self._is_whole(ranges):
            return super().sum_navigation(ranges)
        return self.source.sum_navigation((self._points(ranges[0]), *self._inner(ranges)))

    def sum_signal(self, ranges: Ranges) -> np.ndarray:
        """Sum the channels of a block; see :meth:`FileArray.sum_signal`."""
        if not self._is_whole(ranges):
            return super().sum_signal(ranges)
        inner = self._inner(ranges)
        sums = self.source.sum_signal((self._points(ranges[0]), *inner))
        return self._place(sums, ranges[0])

    def _inner(self, ranges: Ranges) -> Ranges:
        return ranges[len(self.grid) :]


@dataclass(frozen=True, eq=False)
class Joined(CountedArray):
    """Arrays one after the other along their first axis, as rows or parts of a map in files.

    Attributes
    ----------
    parts
        The arrays, of one type and alike in their other axes; None is not there.
    places
        ``(start, stop, size)`` of each: which of its entries are taken, and how many it is
        given. What it lacks of these, at the end, is zeros.
    """

    parts: tuple[FileArray | None, ...]
    places: tuple[tuple[int, int, int], ...]

    @cached_property
    def _first(self) -> FileArray:
        return next(part for part in self.parts if part is not None)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """All entries, and what an entry is."""
        return (self._edges[-1], *self._first.shape[1:])

    @cached_property
    def _edges(self) -> tuple[int, ...]:
        return (0, *itertools.accumulate(size for *_, size in self.places))

    @cached_property
    def dtype(self) -> np.dtype:
        """Of the parts."""
        return self._first.dtype

    @cached_property
    def stored_chunks(self) -> tuple[int, ...] | None:
        """Those of a part: they begin anew with each."""
        stored = self._first.stored_chunks
        return None if stored is None else (1, *stored[1:])

    def row_axis(self) -> int:
        """Return the first axis."""
        return 0

    def file_bytes(self) -> int:
        """Return the size of all parts."""
        return sum(part.file_bytes() for part in self.parts if part is not None)

    def by_detector(self) -> FileArray | None:
        """Return the same with the detectors apart."""
        stacks = [None if part is None else part.by_detector() for part in self.parts]
        found = [stack for stack in stacks if stack is not None]
        is_each = len(found) == sum(part is not None for part in self.parts)
        if not is_each or not all(isinstance(stack, StackedMaps) for stack in found):
            return None
        every = [None if s is None else s.parts for s in stacks]  # type: ignore[attr-defined]
        n = len(next(parts for parts in every if parts is not None))
        return StackedMaps(
            tuple(
                replace(self, parts=tuple(None if p is None else p[i] for p in every))
                for i in range(n)
            )
        )

    def _cut(self, rows: Range) -> Iterator[tuple[FileArray, Range, int]]:
        """Yield what there is of some entries: part, its entries, and where they begin."""
        first = bisect.bisect_right(self._edges, rows[0]) - 1
        for i in range(first, len(self.parts)):
            edge, (start, stop, _) = self._edges[i], self.places[i]
            if edge >= rows[1]:
                break
            low = max(rows[0], edge)
            high = min(rows[1], edge + min(stop - start, self.places[i][2]))
            part = self.parts[i]
            if part is not None and low < high:
                yield part, (start + low - edge, start + high - edge), low

    def read(self, ranges: Ranges) -> np.ndarray:
        """Read a block; see :meth:`ArrayLike.read`."""
        block = np.zeros([stop - start for start, stop in ranges], dtype=self.dtype)
        for part, own, at in self._cut(ranges[0]):
            low = at - ranges[0][0]
            block[low : low + own[1] - own[0]] = part.read((own, *ranges[1:]))
        return block

    def pieces(self, ranges: Ranges) -> Pieces:
        """Read a block piece by piece; see :meth:`FileArray.pieces`."""
        for part, own, at in self._cut(ranges[0]):
            for ((start, stop), *inner), counts in part.pieces((own, *ranges[1:])):
                shift = at - own[0]
                yield ((start + shift, stop + shift), *inner), counts

    def sum_navigation(self, ranges: Ranges) -> np.ndarray:
        """Sum the spectra of a block; see :meth:`FileArray.sum_navigation`."""
        check_unsigned(self.dtype)
        total = np.zeros(ranges[-1][1] - ranges[-1][0], dtype=np.uint64)
        for part, own, _ in self._cut(ranges[0]):
            add_exactly(total, part.sum_navigation((own, *ranges[1:])))
        return total

    def sum_signal(self, ranges: Ranges) -> np.ndarray:
        """Sum the channels of a block; see :meth:`FileArray.sum_signal`."""
        check_unsigned(self.dtype)
        total = np.zeros([stop - start for start, stop in ranges[:-1]], dtype=np.uint64)
        for part, own, at in self._cut(ranges[0]):
            low = at - ranges[0][0]
            sums = part.sum_signal((own, *ranges[1:]))
            total[low : low + own[1] - own[0]] = sums
        return total


@dataclass(frozen=True, eq=False)
class Unsigned(CountedArray):
    """Counts that are stored as signed integers, of which none may be negative.

    Attributes
    ----------
    source
        The integers.
    where
        Named in errors.
    """

    source: FileArray
    where: str

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """That of the integers."""
        return self.source.shape

    @cached_property
    def dtype(self) -> np.dtype:
        """Of as many bytes."""
        return np.dtype(f"u{self.source.dtype.itemsize}")

    @property
    def stored_chunks(self) -> tuple[int, ...] | None:
        """Those of the integers."""
        return self.source.stored_chunks

    def row_axis(self) -> int:
        """Return that of the integers."""
        return self.source.row_axis()

    def row_step(self) -> int:
        """Return that of the integers."""
        return self.source.row_step()

    def file_bytes(self) -> int:
        """Return that of the integers."""
        return self.source.file_bytes()

    def read(self, ranges: Ranges) -> np.ndarray:
        """Read a block; see :meth:`ArrayLike.read`."""
        return self._checked(self.source.read(ranges))

    def pieces(self, ranges: Ranges) -> Pieces:
        """Read a block piece by piece; see :meth:`FileArray.pieces`."""
        for held, counts in self.source.pieces(ranges):
            yield held, self._checked(counts)

    def _checked(self, counts: np.ndarray) -> np.ndarray:
        least = counts.min(initial=0)
        if least < 0:
            raise CorruptFileError(
                f"{self.where} holds {least}, expected counts, 0 or more (byte unknown: of "
                "those that were read now)."
            )
        return counts.view(self.dtype)


def with_detectors(source: FileArray, numbers: tuple[int, ...]) -> FileArray:
    """Return the same of other detectors.

    Parameters
    ----------
    source
        :class:`Detectors`, or such that are :class:`Joined`.
    numbers
        Which, one after the other.
    """
    if isinstance(source, Detectors):
        return replace(source, numbers=numbers)
    if not isinstance(source, Joined):
        return source
    parts = (None if p is None else with_detectors(p, numbers) for p in source.parts)
    return replace(source, parts=tuple(parts))


def add_detectors(sources: Sequence[FileArray]) -> FileArray | None:
    """Return the sum of detectors of one array, so that its chunks are read once.

    Returns
    -------
    FileArray or None
        None if they are of several arrays, or do not follow each other.
    """
    first = sources[0]
    if isinstance(first, Placed):
        placed = [s for s in sources if isinstance(s, Placed)]
        alike = {replace(s, source=first.source)._token for s in placed}
        if len(placed) < len(sources) or len(alike) > 1:
            return None
        source = add_detectors([s.source for s in placed])
        return None if source is None else replace(first, source=source)
    if isinstance(first, Joined):
        joined = [s for s in sources if isinstance(s, Joined)]
        if len(joined) < len(sources) or len({s.places for s in joined}) > 1:
            return None
        each = [_add_parts(same) for same in zip(*(s.parts for s in joined), strict=True)]
        is_summed = any(each) and all(
            (a is None) == (b is None) for a, b in zip(each, first.parts, strict=True)
        )
        return replace(first, parts=tuple(each)) if is_summed else None
    parts = [s for s in sources if isinstance(s, Detectors)]
    if len(parts) < max(2, len(sources)) or len({s.source._token for s in parts}) > 1:
        return None
    numbers = tuple(number for part in parts for number in part.numbers)
    is_range = numbers == tuple(range(numbers[0], numbers[0] + len(numbers)))
    return replace(parts[0], numbers=numbers) if is_range else None


def _add_parts(parts: tuple[FileArray | None, ...]) -> FileArray | None:
    found = [part for part in parts if part is not None]
    return add_detectors(found) if found and len(found) == len(parts) else None
