"""Sums of planes of the cache: images of windows."""

from dataclasses import dataclass

import numpy as np

from rsciio_xfm.explore.cube_chunks import ChunkReader
from rsciio_xfm.explore.cube_layout import Layout
from rsciio_xfm.kernels.cubes import add_bits, add_numbers, add_plane

_BITS = 24  # of sums of planes that are added bit by bit
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
        bits = np.zeros((_BITS, n_words), dtype=np.uint64)
        return cls(bits, np.empty(n_words, dtype=np.uint64))

    def add(self, words: np.ndarray) -> bool:
        is_added: bool = add_bits(words, self.bits, self.carry)
        self.is_empty &= not is_added
        return is_added


class PlaneAdder:
    """Adds planes of one cell after the other to an image.

    They are added as they lie in the cache, 64 pixels at a time, bit by bit, and turned to
    numbers once for all planes, where that goes; others one by one.

    Parameters
    ----------
    reader
        Of the cache.
    layout
        Of the cache.
    planes
        Number of each within a cell, and 1 to add it or -1 to take it away.
    image
        To which they are added, uint32 or uint64.
    step
        Pixels along a side of a block: the image has one number for each.
    """

    def __init__(
        self,
        reader: ChunkReader,
        layout: Layout,
        planes: list[tuple[int, int]],
        image: np.ndarray,
        step: int,
    ) -> None:
        self._reader, self._layout = reader, layout
        self._planes = sorted(planes)
        self._image, self._step = image, step
        self._sums: dict[int, tuple[_Sum, _Sum]] = {}

    def add(self, cell: int) -> None:
        """Add the planes of a cell to its part of the image."""
        (top, bottom), (left, right) = self._layout.place(cell)
        size = bottom - top, right - left
        n_pixels, first = size[0] * size[1], cell * self._layout.n_chunks
        sums = self._sums_for(n_pixels)
        numbers = [first + plane for plane, _ in self._planes]
        for (_, sign), raw in zip(self._planes, self._reader.raws(numbers), strict=True):
            if raw is None:
                continue
            words = None if sums is None else self._reader.words(raw, n_pixels)
            if sums is None or words is None or not sums[sign < 0].add(words):
                counts = self._reader.decode(raw, size)
                add_plane(counts, sign < 0, (top, left, self._step), self._image)
        for is_less, total in enumerate(sums or ()):
            if not total.is_empty:
                place = top, left, size[1], self._step
                add_numbers(total.bits, bool(is_less), place, self._image)
                total.is_empty = True

    def _sums_for(self, n_pixels: int) -> tuple[_Sum, _Sum] | None:
        """Return sums of planes to add and to take away; None where pixels fill no words."""
        n_words, rest = divmod(n_pixels, _PIXELS)
        if rest or len(self._planes) > _MOST_PLANES:
            return None
        if n_words not in self._sums:
            self._sums[n_words] = _Sum.of(n_words), _Sum.of(n_words)
        return self._sums[n_words]
