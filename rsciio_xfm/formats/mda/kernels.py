"""Counts that are stored as big-endian float32."""

from typing import Any

import numpy as np

from rsciio_xfm.formats.mda.layout import MOST_EXACT
from rsciio_xfm.kernels.compiled import kernel


@kernel
def add_counts(words, rows, out):
    """Add spectra up, of which no number may be too large for float32 to be exact.

    Parameters
    ----------
    words
        uint32, (detectors, channels): bytes of the numbers as they are stored.
    rows
        int64: which detectors.
    out
        uint32, (channels,): the sums.

    Returns
    -------
    bool
        False if some number is none of counts, or too large; `out` is of no use then.
    """
    n = out.size
    swapped = np.empty(n, np.uint32)
    numbers = swapped.view(np.float32)
    n_odd: Any = 0
    out[:] = 0
    for row in rows:
        for c in range(n):
            word = words[row, c]
            swapped[c] = (
                (word >> np.uint32(24))
                | ((word >> np.uint32(8)) & np.uint32(0xFF00))
                | ((word << np.uint32(8)) & np.uint32(0xFF0000))
                | (word << np.uint32(24))
            )
        for c in range(n):
            number = numbers[c]
            count = np.int32(number)
            # Added, not branched on: five times as fast.
            n_odd += np.float32(count) != number or count < 0 or count > MOST_EXACT
            out[c] += np.uint32(count)
    return n_odd == 0
