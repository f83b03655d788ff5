"""Spectra that are chosen from all that were measured, as an array-like."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rsciio_xfm.core.array import CountedArray, FileArray, Range
from rsciio_xfm.core.config import PIECE_BYTES

_GAP_BYTES = 2**16  # that nobody wants, read rather than left out

Ranges = tuple[Range, ...]


@dataclass(frozen=True, eq=False)
class Selected(CountedArray):
    """A map of which each pixel has one of the spectra of a file, any of them.

    Attributes
    ----------
    source
        All spectra, (spectra, channels).
    index
        int64, (y, x): number of the spectrum of each pixel.
    """

    source: FileArray
    index: np.ndarray

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Of the map."""
        return (*self.index.shape, self.source.shape[1])

    @cached_property
    def dtype(self) -> np.dtype:
        """Of the counts."""
        return self.source.dtype

    def row_axis(self) -> int:
        """Return the first axis."""
        return 0

    def file_bytes(self) -> int:
        """Return the size of the map."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self, ranges: Ranges) -> np.ndarray:
        """Read a block, in the order of the file; see :meth:`ArrayLike.read`."""
        *pixels, channels = ranges
        block = np.empty([stop - start for start, stop in ranges], dtype=self.dtype)
        if block.size == 0:
            return block
        wanted = self.index[tuple(slice(*part) for part in pixels)].ravel()
        order = np.argsort(wanted, kind="stable")
        numbers = wanted[order]
        flat = block.reshape(len(order), -1)
        for first, last in self._runs(numbers):
            start, stop = int(numbers[first]), int(numbers[last - 1]) + 1
            found = self.source.read(((start, stop), channels))
            flat[order[first:last]] = found[numbers[first:last] - start]
        return block

    def _runs(self, numbers: np.ndarray) -> Iterator[Range]:
        """Yield ranges of sorted numbers that are read at once."""
        step = self.source.row_step()
        spectrum_bytes = self.shape[-1] * self.dtype.itemsize
        # Chunks of the file are not read twice: spectra of one are of one run.
        groups = numbers // step
        most = max(1, PIECE_BYTES // (spectrum_bytes * step))
        gap = max(1, _GAP_BYTES // (spectrum_bytes * step))
        starts = np.flatnonzero(np.diff(groups, prepend=groups[0] - 1))
        first = 0
        for begin, before in zip(starts[1:], starts, strict=False):
            is_far = groups[begin] - groups[before] > gap
            if is_far or groups[begin] - groups[first] >= most:
                yield first, int(begin)
                first = int(begin)
        yield first, len(numbers)
