"""The layout of ``.datastack`` files: arrays of zarr in a zip file, and maxrf4u's names.

Sources: PKWARE's APPNOTE 6.3 (zip), the specifications of zarr's formats 2 and 3
(https://zarr-specs.readthedocs.io), and files that maxrf4u 0.1.27 wrote.
"""

import numpy as np

# maxrf4u's names. Of an array that was written again, the newest has most underscores.
CUBE = "maxrf_cube"
MAX_SPECTRUM = "maxrf_maxspectrum"
SUM_SPECTRUM = "maxrf_sumspectrum"  # the mean spectrum, in spite of its name
ENERGIES = "maxrf_energies"  # keV
PADDING = -9999  # fills the rows of ragged lists

# What this package keeps beside the cube: attributes of the array, and arrays.
ATTRIBUTES = "rsciio_xfm"
ATTRIBUTES_VERSION = 1
MISSING = "missing_chunks"  # how many there were when a damaged file was mended
EXTRA_ARRAY = "rsciio_xfm_metadata_"

ROOT = {2: ".zgroup", 3: "zarr.json"}
ARRAY = {2: ".zarray", 3: "zarr.json"}
ATTRIBUTES_OF_2 = ".zattrs"
GATHERED = (".zmetadata",)  # descriptions of all arrays of a store, of format 2

# What comes before each file in a zip, without its name and extra field.
LOCAL_HEADER = np.dtype(
    [
        ("signature", "S4"),
        ("version", "<u2"),
        ("flags", "<u2"),
        ("method", "<u2"),
        ("time", "<u2"),
        ("date", "<u2"),
        ("crc", "<u4"),
        ("size", "<u4"),  # as it is stored
        ("n_bytes", "<u4"),  # as it was
        ("name_length", "<u2"),
        ("extra_length", "<u2"),
    ]
)
# An entry of the directory.
ENTRY = np.dtype(
    [
        ("signature", "S4"),
        ("made_by", "<u2"),
        ("version", "<u2"),
        ("flags", "<u2"),
        ("method", "<u2"),
        ("time", "<u2"),
        ("date", "<u2"),
        ("crc", "<u4"),
        ("size", "<u4"),
        ("n_bytes", "<u4"),
        ("name_length", "<u2"),
        ("extra_length", "<u2"),
        ("comment_length", "<u2"),
        ("disk", "<u2"),
        ("internal", "<u2"),
        ("external", "<u4"),
        ("offset", "<u4"),  # of the header
    ]
)
LOCAL_SIGNATURE = b"PK\x03\x04"
STORED, DEFLATED = 0, 8
IS_ENCRYPTED, HAS_DESCRIPTOR, IS_UTF8 = 1, 8, 2048  # flags
LARGE = 2**32 - 1  # the true size is in the extra field
LARGE_FIELD = 1

# Records of the directory, by signature: their fixed size, and at which bytes of it the
# lengths of what follows are. They stand at the end, and where arrays were appended after
# the end, before these too.
END_SIGNATURE = b"PK\x05\x06"
ENTRY_SIGNATURE = b"PK\x01\x02"
LARGE_SIGNATURE = b"PK\x06\x06"
PLACE_SIGNATURE = b"PK\x06\x07"  # of the large record
DIRECTORY_RECORDS = {
    ENTRY_SIGNATURE: (46, (28, 30, 32)),
    END_SIGNATURE: (22, (20,)),
    LARGE_SIGNATURE: (56, ()),
    PLACE_SIGNATURE: (20, ()),
}
