"""What is in a pair of ``.hmsa`` and ``.xml`` files.

Source: the specification of the MSA, MAS and AMAS (version 1.0, ISO 5820) as pyhmsa 0.2.0
reads and writes it, on files of CSIRO and on made ones of which x and y differ.

The ``.hmsa`` file is the unique number of the pair, then the numbers of each set of data,
little-endian. The ``.xml`` file says where they are and what they mean. The axes of a datum
(the channels of a spectrum) vary fastest, then those of the collection; of X and Y, and of U
and V, the first varies faster, in whatever order they are listed.
"""

import re

import numpy as np

ROOT, VERSION = "MSAHyperDimensionalDataFile", "1.0"
UID_BYTES = 8
EXTENSIONS = (".hmsa", ".xml")  # numbers, text

TYPES: dict[str, np.dtype] = {
    "byte": np.dtype("<u1"),
    "int16": np.dtype("<i2"),
    "uint16": np.dtype("<u2"),
    "int32": np.dtype("<i4"),
    "uint32": np.dtype("<u4"),
    "int64": np.dtype("<i8"),
    "float": np.dtype("<f4"),
    "double": np.dtype("<f8"),
}
# Types that hold all that another holds, which the format has not.
WIDER = {"int8": "int16", "bool": "byte", "float16": "float"}

# Names of dimensions, fastest first.
FASTEST = ("Channel", "U", "V", "W", "X", "Y", "Z", "Analysis", "T")
CHANNEL, ANALYSIS = "Channel", "Analysis"
# Of an image: rows and columns as HyperSpy has them.
IMAGE = ("U", "V")

# Kinds of data by the axes of the collection and of the datum.
KINDS = {
    (0, 1): ("Analysis", "1D"),
    (0, 2): ("Analysis", "2D"),
    (1, 1): ("AnalysisList", "1D"),
    (1, 2): ("AnalysisList", "2D"),
    (2, 0): ("ImageRaster", "2D"),
    (2, 1): ("ImageRaster", "2D/Spectral"),
    (2, 2): ("ImageRaster", "2D/Hyperimage"),
}
DATA = tuple(dict.fromkeys(kind for kind, _ in KINDS.values()))

# Signal types by the SignalType of a detector; those of X-rays are EDS.
XRAYS = ("EDS", "XRF")
SIGNAL_TYPES = {"ELS": "EELS", "CLS": "CL", "WDS": "WDS"}
XEDS = "Spectrometer/XEDS"
ELECTRON_PROBES = ("EM", "TEM", "EM/TEM")

# Parts of units: of powers of ten, and of angles in degrees.
PREFIXES = {
    "G": 1e9, "M": 1e6, "k": 1e3, "": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6,
    "n": 1e-9, "p": 1e-12,
}  # fmt: skip
DEGREES = {
    "°": 1.0,
    "deg": 1.0,
    "degree": 1.0,
    "degrees": 1.0,
    "rad": 57.29577951308232,
    "mrad": 0.05729577951308232,
}

# Of a calibration: without one of these the axis of a spectrum is not described.
UNITS = re.compile(r"[GMkmunpfµ]?(eV|m|s|Hz|rad)([+-]?\d)?|degrees")

# Where exspy looks below Acquisition_instrument.SEM: tag, unit.
OF_PROBE = {
    "beam_energy": ("BeamVoltage", "kV"),
    "beam_current": ("BeamCurrent", "nA"),
    "magnification": ("ScanMagnification", ""),
    "working_distance": ("WorkingDistance", "mm"),
}
OF_DETECTOR = {
    "azimuth_angle": ("Azimuth", "degrees"),
    "elevation_angle": ("Elevation", "degrees"),
}
OF_POSITION = {
    "x": ("X", "mm"),
    "y": ("Y", "mm"),
    "z": ("Z", "mm"),
    "rotation": ("R", "degrees"),
    "tilt_alpha": ("T", "degrees"),
}
OF_TIMES = {"real_time": ("DwellTime", "s"), "live_time": ("DwellTime_Live", "s")}
# What is kept of a detector in Acquisition_instrument.XRF.
KEPT = {
    "manufacturer": "Manufacturer",
    "model": "Model",
    "serial_number": "SerialNumber",
    "technology": "Technology",
}
# Bytes of axes and metadata as they were saved here, in the header.
MOST_EXTRA = 2**24
