"""Detectors of one map, apart or added up exactly."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from rsciio_xfm.core.array import CountedArray, FileArray, Pieces, Range, read_rows
from rsciio_xfm.core.table import slices as place_of
from rsciio_xfm.core.table import split
from rsciio_xfm.core.wide import add_exactly, add_in_place, is_wide

Ranges = tuple[Range, ...]

_CACHED_BYTES = 2**19


def sum_dtype(dtype: np.dtype, n: int) -> np.dtype:
    """Return the type for sums of detectors: of one or two bytes they may not fit.

    Parameters
    ----------
    dtype
        Of the counts, in the byte order of this machine.
    n
        How many detectors there are.
    """
    if n > 1 and dtype.itemsize < 4 and dtype.kind in "iu":
        return np.dtype(f"{dtype.kind}4")
    return dtype


def add_to(total: np.ndarray, part: np.ndarray, where: str) -> None:
    """Add counts to others in place.

    Parameters
    ----------
    total, part
        Of the same shape.
    where
        Named in the error.

    Raises
    ------
    OverflowError
        A sum does not fit the type.
    """
    if not add_in_place(total, part):
        raise OverflowError(
            f"{where}: the sum of the detectors does not fit {total.dtype}, expected at most "
            f"{np.iinfo(total.dtype).max}: load with sum_detectors=False, or one detector."
        )


@dataclass(frozen=True, eq=False)
class SummedMaps(CountedArray):
    """The sum of maps of counts of the same pixels.

    Attributes
    ----------
    parts
        The maps, of one shape.
    where
        Named in errors.
    """

    parts: tuple[FileArray, ...]
    where: str

    @property
    def shape(self) -> tuple[int, ...]:
        """That of each of them."""
        return self.parts[0].shape

    @property
    def dtype(self) -> np.dtype:
        """Of the sums."""
        common = np.result_type(*(part.dtype for part in self.parts))
        return sum_dtype(common, len(self.parts))

    def row_axis(self) -> int:
        """Return that of the maps."""
        return self.parts[0].row_axis()

    def row_step(self) -> int:
        """Return how many rows are read as well as one from each of the maps."""
        return math.lcm(*(part.row_step() for part in self.parts))

    def file_bytes(self) -> int:
        """Return the size of all of them."""
        return sum(part.file_bytes() for part in self.parts)

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Read a block of the sum; see :meth:`FileArray.read`."""
        total = self.parts[0].read(ranges).astype(self.dtype, copy=False)
        if total.size == 0:
            return total
        axis = self.row_axis()
        step = self.row_step()
        row_bytes = total.nbytes // total.shape[axis]
        # What is added stays in the cache of a processor.
        for rows in split(
            ranges[axis], step * max(1, _CACHED_BYTES // (step * row_bytes))
        ):
            held = (*ranges[:axis], rows, *ranges[axis + 1 :])
            for part in self.parts[1:]:
                add_to(total[place_of(held, ranges)], part.read(held), self.where)
        return total

    def sum_navigation(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the spectra of each of them; see :meth:`FileArray.sum_navigation`."""
        return self._add(part.sum_navigation(ranges) for part in self.parts)

    def sum_signal(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the channels of each of them; see :meth:`FileArray.sum_signal`."""
        return self._add(part.sum_signal(ranges) for part in self.parts)

    def _add(self, sums: Iterator[np.ndarray]) -> np.ndarray:
        total = next(sums)
        for part in sums:
            add_exactly(total, part, self.where)
        return total

    def by_detector(self) -> "StackedMaps":
        """Return the maps along a first axis."""
        return StackedMaps(self.parts)


@dataclass(frozen=True, eq=False)
class StackedMaps(CountedArray):
    """Maps of the same pixels along a first axis.

    Attributes
    ----------
    parts
        The maps, of one shape and type.
    """

    parts: tuple[FileArray, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Their number, and the shape of each."""
        return (len(self.parts), *self.parts[0].shape)

    @property
    def dtype(self) -> np.dtype:
        """Of the counts."""
        return np.result_type(*(part.dtype for part in self.parts))

    def row_axis(self) -> int:
        """Return that of the maps, behind the first axis."""
        return self.parts[0].row_axis() + 1

    def file_bytes(self) -> int:
        """Return the size of all of them."""
        return sum(part.file_bytes() for part in self.parts)

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Read a block; see :meth:`FileArray.read`."""
        block = np.empty([stop - start for start, stop in ranges], dtype=self.dtype)
        for i, part in enumerate(self.parts[slice(*ranges[0])]):
            block[i] = part.read(ranges[1:])
        return block


@dataclass(frozen=True, eq=False)
class Detectors(CountedArray):
    """A detector of an array that has them along its first axis, or the sum of several.

    Attributes
    ----------
    source
        All detectors.
    numbers
        Which, one after the other.
    where
        Named in errors.
    """

    source: FileArray
    numbers: tuple[int, ...]
    where: str = ""

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """That of a detector."""
        return self.source.shape[1:]

    @cached_property
    def dtype(self) -> np.dtype:
        """Of the counts; of sums of short ones, of 32 bits."""
        return sum_dtype(self.source.dtype, len(self.numbers))

    @cached_property
    def stored_chunks(self) -> tuple[int, ...] | None:
        """Those of the detectors."""
        stored = self.source.stored_chunks
        return None if stored is None else stored[1:]

    @property
    def _all(self) -> Range:
        return self.numbers[0], self.numbers[-1] + 1

    def row_axis(self) -> int:
        """Return the first axis."""
        return 0

    def row_step(self) -> int:
        """Return how many rows a chunk has."""
        stored = self.stored_chunks
        return 1 if stored is None else stored[0]

    def file_bytes(self) -> int:
        """Estimate the share of these detectors."""
        return math.ceil(
            self.source.file_bytes() * len(self.numbers) / self.source.shape[0]
        )

    def by_detector(self) -> FileArray | None:
        """Return the same with the detectors apart."""
        if len(self.numbers) < 2:
            return None
        return StackedMaps(tuple(replace(self, numbers=(i,)) for i in self.numbers))

    def read(self, ranges: Ranges) -> np.ndarray:
        """Read a block; see :meth:`ArrayLike.read`."""
        total = None
        for group in self._groups():
            for part in self.source.read((group, *ranges)):
                if total is None:
                    total = part.astype(self.dtype, copy=False)
                else:
                    add_to(total, part, self.where)
        return np.ascontiguousarray(total)

    def _groups(self) -> Iterator[Range]:
        """Yield the detectors that are read together: those of a chunk of the file."""
        first, stop = self._all
        stored = self.source.stored_chunks
        step = 1 if stored is None else stored[0]
        while first < stop:
            end = min(stop, (first // step + 1) * step)
            yield first, end
            first = end

    def pieces(self, ranges: Ranges) -> Pieces:
        """Read a block piece by piece, each chunk once; see :meth:`FileArray.pieces`."""
        if len(self.numbers) == 1:
            for held, counts in self.source.pieces((self._all, *ranges)):
                yield held[1:], counts[0]
        else:
            yield from read_rows(self, ranges, self.row_step())

    def sum_navigation(self, ranges: Ranges) -> np.ndarray:
        """Sum the spectra of a block; see :meth:`FileArray.sum_navigation`."""
        if not self._is_exact:
            return super().sum_navigation(ranges)
        sums = self.source.sum_navigation((self._all, *ranges))
        return sums if self._fit(sums) else super().sum_navigation(ranges)

    def sum_signal(self, ranges: Ranges) -> np.ndarray:
        """Sum the channels of a block; see :meth:`FileArray.sum_signal`."""
        if not self._is_exact:
            return super().sum_signal(ranges)
        sums = self.source.sum_signal((self._all, *ranges)).sum(axis=0, dtype=np.uint64)
        return sums if self._fit(sums) else super().sum_signal(ranges)

    @property
    def _is_exact(self) -> bool:
        """Whether sums of all detectors are as exact as of one."""
        return len(self.numbers) == 1 or not is_wide(self.dtype)

    def _fit(self, sums: np.ndarray) -> bool:
        """Tell whether no sum of the detectors can be too large for its type.

        None is larger than what it is added to.
        """
        is_one = (
            len(self.numbers) == 1 or self.source.dtype.itemsize < self.dtype.itemsize
        )
        return is_one or int(sums.max(initial=0)) <= np.iinfo(self.dtype).max
