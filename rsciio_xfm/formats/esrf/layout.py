"""Names in files of the ESRF and other synchrotrons.

Sources: the data policy and documentation of Bliss (https://bliss.gitlab-pages.esrf.fr), the
files that ewoksfluo 1.3 simulates, PyMca 5.9 (XIA EDF, SPEC, NeXus), PyXRF 1.0, xraylarch
2026.3 (XRM), XRF-Maps; the EDF header as fabio reads it.
"""

import re

# One EDF file a row and detector, as in zap_xia00_0001_0000_0003.edf: number of the detector
# or "st" for statistics, scan, a number that is 0 in maps, row.
XIA = re.compile(
    r"(?P<prefix>.*)_xia(?P<kind>\d\d|st|ct|s\d|sn)_(?P<scan>\d{4,})_(?P<part>\d{4,})"
    r"_(?P<row>\d{4,})\.edf(?P<packed>\.gz|\.bz2)?",
    re.IGNORECASE,
)
# A single acquisition: channel numbers, then the spectrum of each detector.
XIA_SINGLE = re.compile(r".*_xiact_.*\.edf(\.gz|\.bz2)?", re.IGNORECASE)
# For each detector in a row of statistics; rates in 1/s.
XIA_STATISTICS = (
    "detector",
    "events",
    "input_rate",
    "output_rate",
    "trigger_live_time",  # ms, of the fast channel
    "dead_time",  # %
)
XIA_CORRECTED = 3  # bits of xcorr: dead time is corrected for, live time is
CALIBRATION_KEYS = ("MCA a", "MCA b", "MCA c")
CALIBRATION_LIST = "McaCalib"
FIRST_CHANNEL = "MCA start ch"

# In the header of EDF images: names and values.
PAIRS = {"motors": ("motor_mne", "motor_pos"), "counters": ("counter_mne", "counter_pos")}
PIXEL_SIZES = ("PSize_1", "PSize_2")  # m, of the axes of Dim_1 and Dim_2
# What fabio writes of its own, or only describes how the numbers are stored.
STORAGE_KEYS = {
    "byteorder",
    "compression",
    "datatype",
    "dim_1",
    "dim_2",
    "dim_3",
    "dim_4",
    "headerid",
    "image",
    "size",
    "visualisation",
}
# What this package keeps of a signal in the header of its first frame.
EXTRA = "rsciio_xfm"
EXTRA_VERSION = 1

# Names of counters of a detector, in the order in which they are looked for. Times in s,
# rates in 1/s. trigger_live_time is that of the fast channel, and no live time.
ELAPSED = ("elapsed_time", "real_time", "realtime")
LIVE = ("live_time", "livetime", "energy_live_time")
INPUT_RATE = ("trigger_count_rate", "input_rate", "icr")
OUTPUT_RATE = ("event_count_rate", "output_rate", "ocr")
INPUT_EVENTS = ("triggers",)
OUTPUT_EVENTS = ("events",)
TRIGGER_LIVE = ("trigger_live_time", "trigger_livetime")
DEAD_FRACTION = ("fractional_dead_time",)  # from 0 to 1
PRESET = ("preset_time",)

MOST_SMALL = 2**26  # bytes of a counter, or of positions
MEASUREMENT = "measurement"
INSTRUMENT = "instrument"
FSCAN = "fscan_parameters"
INTERPRETATION = "interpretation"
# Of MAPS and what reads its files: channels are the first axis.
CHANNELS_FIRST = "mca_arr"
# Values of an NXdetector that are its spectra.
SPECTRA = ("data", "spectrum", "counts")

# Of other programs: the group that gives each of them away.
XRM_ROOTS = ("xrmmap", "xrfmap")
MAPS = "MAPS"
# Names of scalers, their values, and the axis along which they are.
SCALERS = (
    ("scalers/name", "scalers/val", 2),
    ("Scalers/Names", "Scalers/Values", 0),
    ("scaler_names", "scalers", 0),
)
MAPS_SPECTRA = ("MAPS/Spectra/mca_arr", "MAPS/mca_arr")
# As measured, before XRF-Maps: a dataset for each detector, channels first.
MAPS_RAW = re.compile(r"MAPS_RAW/data_[a-z]")
