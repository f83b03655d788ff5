"""Sums of the spectra of regions."""

import numpy as np

from rsciio_xfm.kernels.compiled import kernel


@kernel
def add_regions(spectra, first, pairs, channels, totals):
    """Add spectra to the totals of the regions that they are in.

    Parameters
    ----------
    spectra
        Unsigned integers, shape (spectra, channels).
    first
        Channel of the first one of the totals.
    pairs
        Numbers of spectra, and of the region of each.
    channels
        Start and stop of those of the totals that are added to.
    totals
        uint64, shape (regions, channels).
    """
    spectrum, owner = pairs
    start, stop = channels
    for i in range(spectrum.size):
        total = totals[owner[i], start:stop]
        counts = spectra[spectrum[i], first + start : first + stop]
        for j in range(total.size):
            total[j] += np.uint64(counts[j])
