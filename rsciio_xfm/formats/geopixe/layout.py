"""The binary layout of a ``.GeoPIXE`` file; all of it is little-endian.

Source: the instrument vendor's format note, checked against a file measured on an IXRF
Atlas (2022). The file is

1. ``HEADER_LENGTH``, the length of the JSON header in bytes,
2. the JSON header, UTF-8,
3. to the end of the file, one record for each pixel and detector: ``RECORD``, then an
   ``ENTRY`` for each channel that has counts. Channels ascend.
"""

import numpy as np

HEADER_LENGTH = np.dtype("<u2")

RECORD = np.dtype(
    [
        ("mark", "<u2"),
        ("length", "<u4"),  # bytes, these 16 included
        ("x", "<u2"),
        ("y", "<u2"),
        ("detector", "<u2"),
        ("dead_time", "<f4"),  # percent; 0 where it was not recorded
    ]
)
RECORD_MARK = int.from_bytes(b"DP", "little")

ENTRY = np.dtype([("channel", "<u2"), ("counts", "<u2")])

# x, y, detector and channel are 16-bit numbers.
MAX_INDEX = 2**16
