"""Sums of several windows of channels of each spectrum."""

import numpy as np

from rsciio_xfm.kernels.compiled import kernel
from rsciio_xfm.kernels.sums import add_windows

_TOUCHED_AT_ONCE = 16  # spectra
_LEAST_SAVED = 64  # channels for each piece, to sum pieces of windows that overlap


def sum_windows(spectra, windows, sums):
    """Sum each spectrum over windows of channels.

    Parameters
    ----------
    spectra
        Unsigned integers, shape (spectra, channels), C-contiguous.
    windows
        ``(start, stop)``, half-open, in any order; they may overlap.
    sums
        Shape (windows, spectra); what they are is put there.

    Examples
    --------
    >>> import numpy as np
    >>> sums = np.zeros((2, 1), dtype=np.uint32)
    >>> sum_windows(np.array([[1, 2, 3, 4]], dtype=np.uint8), [(0, 3), (2, 4)], sums)
    >>> sums.tolist()
    [[6], [7]]
    """
    windows = np.asarray(windows, dtype=np.int64).reshape(-1, 2)
    if len(windows) == 1:
        add_windows(spectra, windows, sums)
        return
    edges = np.unique(windows)
    pieces = np.stack([edges[:-1], edges[1:]], axis=1)
    starts, stops = windows.T[..., np.newaxis]
    is_wanted = ((starts <= pieces[:, 0]) & (pieces[:, 1] <= stops)).any(axis=0)
    pieces = pieces[is_wanted]
    n_wanted, n_summed = int(np.diff(windows).sum()), int(np.diff(pieces).sum())
    if n_wanted > n_summed and n_wanted >= _LEAST_SAVED * len(pieces):
        # Each window is a run of pieces.
        _sum_runs(spectra, pieces, np.searchsorted(pieces[:, 0], windows), sums)
    elif 2 * n_summed > edges[-1] - edges[0]:
        add_windows(spectra, windows, sums)
    else:
        _sum_each(spectra, windows, sums)


@kernel
def _sum_each(spectra, windows, sums):
    """Sum windows that are far apart, after a look at their ends in a few spectra."""
    seen = np.uint64(0)
    for start in range(0, spectra.shape[0], _TOUCHED_AT_ONCE):
        stop = min(spectra.shape[0], start + _TOUCHED_AT_ONCE)
        # The processor waits for memory once, and not for each window of each spectrum.
        for i in range(start, stop):
            for k in range(windows.shape[0]):
                seen += np.uint64(spectra[i, windows[k, 0]])
                seen += np.uint64(spectra[i, windows[k, 1] - 1])
        for i in range(start, stop):
            for k in range(windows.shape[0]):
                window = spectra[i, windows[k, 0] : windows[k, 1]]
                counts = np.uint64(0)
                for j in range(window.size):
                    counts += np.uint64(window[j])
                sums[k, i] = counts
    return seen  # or it would be left out


@kernel
def _sum_runs(spectra, pieces, runs, sums):
    """Sum pieces of the channels that follow each other, and runs of pieces from these."""
    so_far = np.zeros(pieces.shape[0] + 1, dtype=np.uint64)
    for i in range(spectra.shape[0]):
        for k in range(pieces.shape[0]):
            piece = spectra[i, pieces[k, 0] : pieces[k, 1]]
            counts = np.uint64(0)
            for j in range(piece.size):
                counts += np.uint64(piece[j])
            so_far[k + 1] = so_far[k] + counts
        for k in range(runs.shape[0]):
            sums[k, i] = so_far[runs[k, 1]] - so_far[runs[k, 0]]
