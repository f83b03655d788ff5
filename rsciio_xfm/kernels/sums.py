"""Sums and maxima of spectra."""

import dask.array as da
import numpy as np

from rsciio_xfm.kernels.compiled import kernel


def is_counts(data: np.ndarray | da.Array) -> bool:
    """Tell whether kernels take numbers: unsigned integers of at most 32 bits."""
    # Not by its name, which numpy makes anew each time: this is asked for each piece of a map.
    return data.dtype.kind == "u" and data.dtype.itemsize <= 4 and data.dtype.isnative


@kernel
def add_windows(spectra, windows, total):
    """Sum each spectrum over several windows of channels, ``total[window, spectrum]``."""
    for i in range(spectra.shape[0]):
        for k in range(windows.shape[0]):
            window = spectra[i, windows[k, 0] : windows[k, 1]]
            counts = np.uint64(0)
            for j in range(window.size):
                counts += np.uint64(window[j])
            total[k, i] = counts


@kernel
def add_rows(spectra, total):
    """Add spectra to a total, four at a time: it is loaded and stored less often."""
    n_fours = spectra.shape[0] // 4
    for i in range(n_fours):
        a, b = spectra[4 * i], spectra[4 * i + 1]
        c, d = spectra[4 * i + 2], spectra[4 * i + 3]
        for j in range(total.size):
            total[j] += (
                np.uint64(a[j]) + np.uint64(b[j]) + np.uint64(c[j]) + np.uint64(d[j])
            )
    for i in range(4 * n_fours, spectra.shape[0]):
        row = spectra[i]
        for j in range(total.size):
            total[j] += np.uint64(row[j])


@kernel
def raise_to(spectra, first, highest):
    """Raise each channel of a spectrum to the highest of several, if that is more."""
    for i in range(spectra.shape[0]):
        spectrum = spectra[i, first : first + highest.size]
        for j in range(highest.size):
            highest[j] = max(highest[j], spectrum[j])
