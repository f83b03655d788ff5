"""The binary layout of a ``.bcf`` file; all of it is little-endian.

Source: RosettaSciIO's reader (P. Jokubauskas, who found it out), checked on eight files that
Esprit wrote from 2016 to 2018. Bruker has published nothing.

A ``.bcf`` file is a container, AidAim's Single File System, of chunks of one size: after
``CHUNK_START``, chunk k begins at k times that size with ``CHUNK_HEAD``, of which only the
number of the next chunk of a table is known. The payload follows. A file within is listed in
the table of ``ITEM``, and its own table tells which chunks it has. It is compressed if it
begins with ``COMPRESSED``: blocks of zlib, each with a ``BLOCK_HEAD``, from
``FIRST_BLOCK`` on.
"""

import numpy as np

from rsciio_xfm.core.fields import Bounds

MAGIC = b"AAMVHFSS"
CHUNK_START = 0x118
CHUNK_HEAD_BYTES = 32
CONTAINER = np.dtype(
    {
        "names": ["magic", "version", "chunk_bytes", "table", "n_items", "n_chunks"],
        "formats": ["S8", "<f4", "<u4", "<u4", "<u4", "<u4"],
        "offsets": [0, 0x124, 0x128, 0x140, 0x144, 0x148],
        "itemsize": 0x14C,
    }
)
ITEM = np.dtype(
    [
        ("pointers", "<i4"),  # chunk of its table of chunks
        ("size", "<u8"),  # bytes
        ("created", "<u8"),
        ("modified", "<u8"),
        ("accessed", "<u8"),
        ("permissions", "<u4"),
        ("parent", "<i4"),  # -1 for the root
        ("unknown", "V176"),
        ("is_folder", "?"),
        ("padding", "V3"),
        ("name", "S256"),
        ("end", "V32"),
    ]
)
MAX_CHUNK_BYTES = 2**26
BOUNDS: Bounds = {
    "magic": MAGIC,
    "chunk_bytes": (ITEM.itemsize + CHUNK_HEAD_BYTES, MAX_CHUNK_BYTES),
    "n_items": (1, 2**16),
}
NUMBER = np.dtype("<u4")  # of a chunk

COMPRESSED = int.from_bytes(b"AACS", "little")
COMPRESSION = np.dtype(
    [("mark", "<u4"), ("block_bytes", "<u4"), ("unknown", "<u4"), ("n_blocks", "<u4")]
)
FIRST_BLOCK = 0x80
BLOCK_HEAD = np.dtype([("size", "<u4"), ("unknown", "V12")])
MAX_BLOCK_BYTES = 2**26

# The files within.
FOLDER = "EDSDatabase"
HEADER = f"{FOLDER}/HeaderData"
SPECTRA = f"{FOLDER}/SpectrumData"  # and a number

# The stream of the spectra of a map. From FIRST_LINE on, for each row: LINE, how many pixels
# are stored, 0 where nothing was measured; and that many records, RECORD and what it packs.
STREAM = np.dtype(
    [("n_rows", "<i4"), ("n_columns", "<i4"), ("n_channels", "<u4"), ("one", "<u4")]
)
STREAM_BOUNDS: Bounds = {
    "n_rows": (1, 2**16),
    "n_columns": (1, 2**16),
    "n_channels": (1, 2**16),
}
FIRST_LINE = 0x1A0
LINE = np.dtype("<i4")
RECORD = np.dtype(
    [
        ("x", "<u4"),
        ("highest", "<u2"),  # channel, + 1
        ("n_packed", "<u2"),  # channels that are packed, from 0 on
        ("unknown", "<u4"),
        ("packing", "<u2"),
        ("about", "<u2"),
        ("n_events", "<u2"),
        ("size", "<u4"),  # bytes that follow; not those of ADDED
    ]
)
# Packings. Events are numbers of channels, of 16 bits or of 12 (in big-endian pairs of bytes).
EVENTS_16, EVENTS_12, INSTRUCTIONS, INSTRUCTIONS_TOO = range(4)
# Instructions are a size and how many channels; zeros (0), or a number of that size that is
# added to each of the counts that follow, of half that size (1: four bits). They end with the
# number of bytes of further events, of 16 bits, which come behind the record.
ADDED = np.dtype("<u4")
# Longer than any record can be: 65 536 channels of 14 bytes.
MAX_RECORD_BYTES = 2**20
