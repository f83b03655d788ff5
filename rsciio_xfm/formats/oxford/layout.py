"""Names in ``.h5oina`` files.

Source: Oxford Instruments, "H5OINA File Format Specification", versions 1.0 to 8.0
(https://github.com/oinanoanalysis/h5oina). It gives values of one number the shape (1, 1) and
those of pixels (size, 1); files have (1,) and (size,) too.
"""

import re

VERSION, MANUFACTURER, SOFTWARE = "Format Version", "Manufacturer", "Software Version"
OF_FILE = (MANUFACTURER, SOFTWARE, VERSION)
OXFORD = "Oxford Instruments"
FIRST_WITH_SPECTRA = "7.0"  # that of AZtec 6.2

# Groups of a slice: a map, or a feature of a particle analysis. EBSD is another reader's.
EDS = re.compile(r"EDS\d{0,9}", re.ASCII)
IMAGES, EBSD = "Electron Image", "EBSD"
DATA, HEADER = "Data", "Header"
DETECTORS_OF_IMAGES = ("SE", "BSE", "FSE")

# Of Data: a row for each pixel, x fastest.
SPECTRUM, LIVE, REAL, X, FIELDS = (
    "Spectrum",  # counts of each channel
    "Live Time",  # s
    "Real Time",  # s
    "X",  # µm
    "LAM Field Index",  # of a montage
)
# Groups of Data that have a value of each pixel for every line or element, by `select_type`.
TABLES = {
    "window_integral": ("Window Integral", "Window integral (cps)"),
    "peak_area": ("Peak Area", "Peak area (cps)"),
    "composition": ("Composition", "Composition (wt%)"),
}
ATOMIC_NUMBER = "Atomic Number"  # attribute of them

# Of Header.
CELLS, STEPS = ("Y Cells", "X Cells"), ("Y Step", "X Step")  # slowest axis first
UNIT = "Unit"  # attribute
CHANNELS, WIDTH, START, RANGE = (
    "Number Channels",
    "Channel Width",  # eV
    "Start Channel",  # eV of channel 0
    "Energy Range",  # keV
)
BEAM, DATE, SPECIMEN = "Beam Voltage", "Acquisition Date", "Specimen Label"  # BEAM in kV
TILT, STAGE, POSITIONS = "Tilt Angle", "Stage Position", ("X", "Y", "Z")  # rad, mm
MAGNIFICATION, DISTANCE = "Magnification", "Working Distance"  # DISTANCE in mm
ANGLES = {  # rad
    "azimuth_angle": "Detector Azimuth",
    "elevation_angle": "Detector Elevation",
}
# What is kept of an acquisition in metadata.Acquisition_instrument.XRF.
KEPT = {
    "process_time": "Process Time",
    "n_frames": "Number Frames",
    "detector_serial_number": "Detector Serial Number",
    "strobe_fwhm": "Strobe FWHM",  # eV
    "binning": "Binning",
    "site": "Site Label",
    "analysis": "Analysis Label",
    "project": "Project Label",
}
DETECTOR_TYPE, NAME = "Detector Type Id", "Name"  # NAME is an attribute of it
