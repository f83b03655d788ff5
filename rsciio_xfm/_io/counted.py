"""Sums of a map of counts that is read piece by piece."""

import numpy as np

from rsciio_xfm._io.lazy import FileArray, Range, place_in
from rsciio_xfm.analysis.sums import add_channels, add_spectra


class CountedArray(FileArray):
    """Counts in a file whose sums are made of its pieces.

    Pieces hold the channels that are asked for, and no others.
    """

    def sum_navigation(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the spectra of a block; see :meth:`FileArray.sum_navigation`."""
        total = np.zeros(ranges[-1][1] - ranges[-1][0], dtype=np.uint64)
        for _, block in self.pieces(ranges):
            add_spectra(block.reshape(-1, block.shape[-1]), total)
        return total

    def sum_signal(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the channels of a block; see :meth:`FileArray.sum_signal`."""
        total = np.zeros([stop - start for start, stop in ranges[:-1]], dtype=np.uint64)
        for held, block in self.pieces(ranges):
            sums = add_channels(block.reshape(-1, block.shape[-1]), 0, block.shape[-1])
            total[place_in(held, ranges)] = sums.reshape(block.shape[:-1])
        return total
