"""The binary layout of EDAX's files.

Source: EDAX's descriptions of the ``.spd``, ``.spc`` (version 0.70) and ``.ipr`` (334)
files, which RosettaSciIO's documentation keeps. Field names are EDAX's. The dtypes are
little-endian, as all files seen; ``newbyteorder`` gives the other byte order.
"""

from typing import Literal

import numpy as np

ByteOrder = Literal["<", ">"]

# A map: this header, then counts (nLines, nPoints, nChannels) from dataOffset on. A line
# scan, ``.lsd``, has the same layout.
SPD_HEADER = np.dtype(
    [
        ("tag", "S16"),
        ("version", "<i4"),  # 1001 in files seen
        ("nSpectra", "<i4"),
        ("nPoints", "<i4"),  # pixels along x
        ("nLines", "<u4"),  # pixels along y
        ("nChannels", "<u4"),
        ("countBytes", "<u4"),
        ("dataOffset", "<u4"),
        ("nFrames", "<u4"),
        ("fName", "S120"),  # of the sample's image
        ("filler", "V900"),
    ]
)
SPD_TAG = b"MAPSPECTRA_DATA"
COUNT_BYTES = (1, 2, 4)

# The fields of a spectrum file that are used here; counts, 32-bit, begin at dataStart.
SPC_HEADER = np.dtype(
    {
        "names": [
            "fVersion",
            "collectDateYear",
            "collectDateDay",
            "collectDateMon",
            "collectTimeMin",
            "collectTimeHour",
            "collectTimeSec",
            "dataStart",
            "numPts",
            "evPerChan",
            "startEnergy",
            "endEnergy",
            "liveTime",
            "tilt",
            "detReso",
            "azimuth",
            "elevation",
            "kV",
            "numElem",
            "at",
        ],
        "formats": [
            "<f4",
            "<i2",
            "i1",
            "i1",
            "i1",
            "i1",
            "i1",
            "<i4",
            "<i2",
            "<i4",  # eV
            "<f4",  # keV
            "<f4",  # keV
            "<f4",  # s
            "<f4",  # degrees
            "<f4",  # eV
            "<f4",  # degrees
            "<f4",  # degrees
            "<f4",  # kV
            "<i2",
            "<48u2",  # atomic numbers; only the first numElem are set
        ],
        "offsets": [
            0,
            16,
            18,
            19,
            20,
            21,
            23,
            28,
            32,
            384,
            448,
            452,
            456,
            460,
            472,
            508,
            512,
            532,
            638,
            640,
        ],
        "itemsize": 3840,
    }
)
SPC_COUNTS = np.dtype("<u4")
# Bytes of the whole header, what stands after the counts included, before and from 0.70.
SPC_WHOLE_061 = 20736
SPC_WHOLE_070 = 20994

_IPR_333 = [
    ("version", "<u2"),
    ("imageType", "<u2"),
    ("label", "S8"),
    ("sMin", "<u2"),
    ("sMax", "<u2"),
    ("color", "<u2"),
    ("presetMode", "<u2"),
    ("presetTime", "<u4"),
    ("dataType", "<u2"),
    ("timeConstantOld", "<u2"),
    ("reserved1", "<i2"),
    ("roiStartChan", "<u2"),
    ("roiEndChan", "<u2"),
    ("userMin", "<i2"),
    ("userMax", "<i2"),
    ("iADC", "<u2"),
    ("reserved2", "<i2"),
    ("iBits", "<u2"),
    ("nReads", "<u2"),
    ("nFrames", "<u2"),
    ("fDwell", "<f4"),
    ("accV", "<u2"),  # 100 V
    ("tilt", "<i2"),
    ("takeoff", "<i2"),
    ("mag", "<u4"),
    ("wd", "<u2"),
    ("mppX", "<f4"),  # µm per pixel
    ("mppY", "<f4"),
    ("nTextLines", "<u2"),
    ("charText", "4S32"),
    ("reserved3", "<4f4"),
    ("nOverlayElements", "<u2"),
    ("overlayColors", "<16u2"),
]
IPR_333 = np.dtype(_IPR_333)
IPR_334 = np.dtype([*_IPR_333, ("timeConstantNew", "<f4"), ("reserved4", "<2f4")])
