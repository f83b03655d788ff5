"""The binary layout of JEOL's files; all of it is little-endian.

Source: RosettaSciIO's reader, which its authors found out, checked on five ``.pts`` files that
Analysis Station wrote. What the words of the clock mean was found here: so many of them times
10 ms are the times of the header, in each of the files. JEOL has published nothing.

A ``.pts`` file begins with ``HEAD``; the tree of its header (see ``header_tree.py``) with
``TREE_START`` bytes in front of it at ``head``; the stream of 16-bit words is all that
follows ``data``. The four highest bits of a word are its kind, the others its value.
"""

import numpy as np

from rsciio_xfm.core.fields import Bounds

MAGIC_PTS, MAGIC_IMG, MAGIC_ASW = 304, 52, 0
HEAD = np.dtype(
    [
        ("magic", "<u4"),
        ("name", "S8"),
        ("unknown", "V8"),
        ("head", "<u4"),  # byte
        ("head_bytes", "<u4"),
        ("data", "<u4"),  # byte
        ("data_bytes", "<u4"),  # of the stream, or of the whole file
        ("group", "S128"),
        ("memo", "S132"),
        ("days", "<f8"),  # since EPOCH
    ]
)
HEAD_BOUNDS: Bounds = {"magic": (MAGIC_PTS, MAGIC_PTS), "name": b"PTTDFILE"}
EPOCH = 1899, 12, 30
TREE_START = 12  # bytes in front of any tree
IMG_DATA = 44  # byte at which an image says where its tree is

WORD = np.dtype("<u2")
KIND_SHIFT = 12
VALUE = 0xFFF
N_VALUES = 4096
N_CHANNELS = 4096
# Kinds of words.
REAL, LIVE = 6, 7  # so much of real and of live time is over; their value is 0
TICK_S = 0.01
X, Y = 8, 9  # position of what follows; from 0 to 4095, whatever the size of the map
IMAGE = 10  # intensity of the electron signal at this pixel
EVENT = 11  # an X-ray: its channel

# A single spectrum: where the number of its channels is, and the channels.
EDS_CHANNELS = 454
EDS_COUNTS = 458
