"""The layout of a toymap file: a header, the size of each row, and the rows.

Source: made up for the documentation. Rows follow each other, each compressed by zlib; one
that was not measured has no bytes.
"""

import numpy as np

from rsciio_xfm.core.fields import Bounds

MARK = b"TOYMAP01"
SIZES = ("n_rows", "n_columns", "n_channels")
HEADER = np.dtype(
    [("mark", "S8"), *((name, "<u4") for name in SIZES), ("ev_per_channel", "<f4")]
)
BOUNDS: Bounds = {
    **dict.fromkeys(SIZES, (1, 2**16)),
    "mark": MARK,
    "ev_per_channel": (0.01, 1000),
}
ROW_BYTES = np.dtype("<u4")
COUNTS = np.dtype("<u2")
MAX_RATIO = 1032  # to which zlib compresses at best
