"""Sums of planes of the cache: images of windows."""

from dataclasses import dataclass

import numpy as np

from rsciio_xfm.explore.cube_store import ChunkReader
from rsciio_xfm.kernels.cubes import add_bits, add_numbers, add_plane, take_plane

_BYTES = 3  # of sums of planes that are added bit by bit
_MOST_PLANES = 256  # of two bytes each, whose sum fits
_PIXELS = 64  # of a word


@dataclass
class _Sum:
    """A sum of planes by its bits: shape (bits, words)."""

    bits: np.ndarray
    carry: np.ndarray
    is_empty: bool = True

    @classmethod
    def of(cls, n_words: int) -> "_Sum":
        bits = np.zeros((8 * _BYTES, n_words), dtype=np.uint64)
        return cls(bits, np.empty(n_words, dtype=np.uint64))

    def add(self, words: np.ndarray) -> bool:
        is_added: bool = add_bits(words, self.bits, self.carry)
        self.is_empty &= not is_added
        return is_added

    def put(self, total: np.ndarray, is_less: bool) -> None:
        """Add the sum to numbers, or take it away, and begin anew."""
        if self.is_empty:
            return
        for first in range(0, 8 * _BYTES, 8):
            add_numbers(self.bits, first, is_less, total)
        self.bits[:] = 0
        self.is_empty = True


class PlaneAdder:
    """Adds planes of one cell after the other.

    They are added as they lie in the cache, 64 pixels at a time, bit by bit, and turned to
    numbers once for all planes, where that goes; others one by one.

    Parameters
    ----------
    reader
        Of the cache.
    planes
        Number of each within a cell, and 1 to add it or -1 to take it away.
    """

    def __init__(self, reader: ChunkReader, planes: list[tuple[int, int]]) -> None:
        self._reader = reader
        self._planes = sorted(planes)
        self._sums: dict[int, tuple[_Sum, _Sum]] = {}

    def add(self, first: int, image: np.ndarray) -> None:
        """Add the planes of a cell to its part of an image.

        Parameters
        ----------
        first
            Number of the first chunk of the cell.
        image
            uint32 or uint64.
        """
        sums = self._sums_for(image)
        numbers = [first + plane for plane, _ in self._planes]
        for (_, sign), raw in zip(self._planes, self._reader.raws(numbers), strict=True):
            if raw is None:
                continue
            words = None if sums is None else self._reader.words(raw, image.size)
            if sums is None or words is None or not sums[sign < 0].add(words):
                counts = self._reader.decode(raw, image.shape)
                (add_plane if sign > 0 else take_plane)(counts, image)
        for is_less, total in enumerate(sums or ()):
            total.put(image.reshape(-1), bool(is_less))

    def _sums_for(self, image: np.ndarray) -> tuple[_Sum, _Sum] | None:
        """Return sums of planes to add and to take away; None where pixels fill no words."""
        n_words, rest = divmod(image.size, _PIXELS)
        if rest or not image.flags.c_contiguous or len(self._planes) > _MOST_PLANES:
            return None
        if n_words not in self._sums:
            self._sums[n_words] = _Sum.of(n_words), _Sum.of(n_words)
        return self._sums[n_words]
