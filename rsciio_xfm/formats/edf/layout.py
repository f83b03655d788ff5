"""Keys in the headers of EDF images.

Sources: the EDF header as fabio reads it; the keys that PyMca 5.9 looks for.
"""

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
# Texts in headers of CBF and TIFF, and what fabio says there of how the numbers are stored.
CBF_TEXT, TIFF_TEXT = "_array_data.header_contents", "imageDescription"
TEXTS = ("header_contents", TIFF_TEXT)  # as HyperSpy has them, how they end
STORAGE_WORDS = ("edf_", "content-", "x-binary-")
STORAGE_KEYS |= {
    "bits",
    "colormap",
    "compression_type",
    "conversions",
    "info",
    "nbits",
    "ncolumns",
    "nrows",
    "photometricinterpretation",
    "rowsperstrip",
    "sampleformat",
    "software",
    "stripbytecounts",
    "stripoffsets",
}
# Bytes of what this package keeps of a signal in the header of its first frame: fabio gives
# a header up after a limit of its own, 512 blocks of 512 bytes.
MOST_EXTRA = 128 * 1024
