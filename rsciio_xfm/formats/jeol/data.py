"""The counts of a ``.pts`` map as an array-like over the file."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from rsciio_xfm.core.array import Range
from rsciio_xfm.core.stream import Kernels, Nouns, RecordStream
from rsciio_xfm.formats.jeol.kernels import KERNELS, ShiftedBox, sum_image, sum_ticks
from rsciio_xfm.formats.jeol.layout import N_VALUES, WORD


@dataclass(frozen=True, eq=False)
class JEOLArray(RecordStream):
    """Counts of a map, ``(y, x, E)``, or with its frames, ``(Frame, y, x, E)``.

    Attributes
    ----------
    columns
        int32, shape (4096,): column of the array of each position, -1 outside of it.
    shifts
        int64, shape (planes, 2): by how many columns and channels each plane is moved.
    """

    kernels: ClassVar[Kernels] = KERNELS
    nouns: ClassVar[Nouns] = Nouns(
        summed_over="frames, pixels or channels",
        dtype="SI_dtype",
        record="row of the map",
    )

    columns: np.ndarray = field(default_factory=lambda: np.zeros(N_VALUES, np.int32))
    shifts: np.ndarray = field(default_factory=lambda: np.zeros((1, 2), np.int64))

    def longest_record(self) -> int:
        """Return the size of a word."""
        return WORD.itemsize

    def box(self, ranges: tuple[Range, ...] | None = None) -> Any:
        """Return a part of the map as kernels want it, and what its positions mean."""
        return ShiftedBox(*super().box(ranges), self.columns, self.shifts)  # type: ignore[call-arg]

    def read_image(self) -> np.ndarray:
        """Sum the electron signal of each pixel: uint64, shape ``(y, x)`` or with frames."""
        return self._count(sum_image)

    def read_ticks(self) -> np.ndarray:
        """Count the ticks of each pixel: uint64, shape ``(y, x, 2)`` or with frames."""
        return self._count(sum_ticks, 2)

    def _count(self, kernel: Any, *more: int) -> np.ndarray:
        found = np.zeros((*self.shape[:-1], *more), dtype=np.uint64)
        ranges = tuple((0, size) for size in self.shape)
        self._run(kernel, ranges, found[np.newaxis] if self.is_summed else found)
        return found
