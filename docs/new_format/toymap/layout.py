"""The layout of a toymap file: a header, the size of each row, and the rows.

Source: made up for the documentation. Rows follow each other, each compressed by zlib; one
that was not measured has no bytes.
"""

import numpy as np

from rsciio_xfm.core.fields import Bounds

MARK = b"TOYMAP01"
FIELDS = [("mark", "S8"), ("n_rows", "<u4"), ("n_columns", "<u4"), ("n_channels", "<u4")]
HEADER = np.dtype([*FIELDS, ("ev_per_channel", "<f4")])
ROW_BYTES = np.dtype("<u4")
COUNTS = np.dtype("<u2")
MAX_RATIO = 1032  # to which zlib compresses at best
_SIZE = (1, 2**16)  # along an axis
BOUNDS: Bounds = {
    "mark": MARK,
    "n_rows": _SIZE,
    "n_columns": _SIZE,
    "n_channels": _SIZE,
    "ev_per_channel": (0.01, 1000),
}
