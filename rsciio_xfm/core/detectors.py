"""Detectors of one map added up, exactly."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rsciio_xfm.core.array import CountedArray, FileArray, Range
from rsciio_xfm.core.table import slices as place_of
from rsciio_xfm.core.table import split
from rsciio_xfm.core.wide import add_exactly, add_in_place

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
