"""Spectra with fewer channels."""

import numpy as np

from rsciio_xfm.kernels.compiled import kernel


@kernel
def add_bins(spectra, first, rebin, binned):
    """Sum so many channels each from the first on, into shape (spectra, bins)."""
    for i in range(spectra.shape[0]):
        for k in range(binned.shape[1]):
            total = np.uint64(0)
            for j in range(first + k * rebin, first + (k + 1) * rebin):
                total += np.uint64(spectra[i, j])
            binned[i, k] = total
