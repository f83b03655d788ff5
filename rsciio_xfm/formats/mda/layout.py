"""The layout of ``.mda`` files: what comes after what, and names of process variables.

All is big-endian, and as XDR has it: whole numbers and float32 have 4 bytes, texts their
length twice (once, if it is 0) and bytes up to a multiple of 4. Positions are bytes of the
file, in 32 bits with a sign.

- File: float32 version; int32 number of the scan, rank, size along each axis (outermost first,
  as planned), whether it is regular, position of further variables (0: none); the outermost
  scan.
- Scan: int32 rank, points, points that are done; of a rank above 1 the position of the scan of
  each point (0: not done); texts name and time; int32 numbers of positioners, detectors,
  triggers; each of them; for each positioner a float64, for each detector a float32 of each
  point.
- Positioner: int32 number; texts name, description, step mode, unit; name, description, unit
  of what is read back. Detector: int32 number; texts name, description, unit. Trigger: int32
  number; text name; float32 command.
- Further variables: int32 how many; of each texts name and description, int32 type; a text, or
  int32 count, text unit and the values.

A map of spectra has a rank more than axes: the innermost scan has no positioners, its points
are channels and its detectors those of X-rays.

Source: EPICS' saveData (synApps, module sscan, ``saveData_fileFormat.txt``); files of the
Advanced Photon Source, beamline 2-ID-E, which mdaviz 1.4.2 reads alike.
"""

import re

import numpy as np

VERSIONS = (1.0, 2.0)  # 1.2 to 1.4 are known
MOST_RANK = 8
HEAD_BYTES = 24
VERSION = np.dtype(">f4")
POSITION, VALUE = np.dtype(">f8"), np.dtype(">f4")
INNER = np.dtype(">i4")
N_TEXTS = {"positioner": 7, "detector": 3, "trigger": 1}
TEXT = 0
# Of further variables, by their type: as numbers are stored; short and char in 4 bytes each.
TYPES = {29: ">i4", 30: ">f4", 32: ">i4", 33: ">i4", 34: ">f8"}
# Above this, float32 does not hold every whole number.
MOST_EXACT = 2**24

# Arrays of an MCA, as dxpXMAP:mca1.VAL or XSP3:MCA2:ArrayData. What a scaler or an ADC records
# during a fly scan has the same record, and its points are pixels.
SPECTRUM = re.compile(
    r"(?P<prefix>.*?)mca(?P<number>\d*)(\.VAL|:ArrayData)?", re.I | re.S
)
NO_SPECTRUM = re.compile(r"[:_](mcs|adc|sis|scaler)\w*:", re.I)
# Beside it, counters of such a detector for each pixel.
LIVE, REAL = "{prefix}mca{number}.ELTM", "{prefix}mca{number}.ERTM"
INPUT = "{prefix}dxp{number}:InputCountRate"
OUTPUT = "{prefix}dxp{number}:OutputCountRate"
ELAPSED = "{prefix}ElapsedReal"  # of all detectors
# In a scan around it, a, b and c of its energies, keV.
CALIBRATION = (
    "{prefix}mca{number}.CALO",
    "{prefix}mca{number}.CALS",
    "{prefix}mca{number}.CALQ",
)

# The text file of MAPS and XRF-Maps beside a scan: NAME: VALUE, the first of each counts.
OVERRIDE = "maps_fit_parameters_override.txt"
TERMS = ("CAL_OFFSET_[E_OFFSET]", "CAL_SLOPE_[E_LINEAR]", "CAL_QUAD_[E_QUADRATIC]")
N_DETECTORS, BEAM = "DETECTOR_ELEMENTS", "COHERENT_SCT_ENERGY"  # BEAM in keV
# What it calls the counters of its first, second, ... detector.
OVERRIDE_COUNTERS = ("ELT", "ERT", "ICR", "OCR")
MOST_OVERRIDE_BYTES = 2**20
