"""The layout of a toy map.

Source: made up for the documentation. In a real format: the vendor's document and page, or
the file and the program's version in which it was observed.
"""

import numpy as np

MARK = b"TOYMAP01"
HEADER = np.dtype(
    [
        ("mark", "S8"),
        ("n_rows", "<u4"),
        ("n_columns", "<u4"),
        ("n_channels", "<u4"),
        ("ev_per_channel", "<f4"),
        ("beam_kv", "<f4"),
    ]
)
COUNTS = np.dtype("<u2")
MAX_SIZE = 2**16  # along an axis
