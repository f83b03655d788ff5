"""Names in ``.edaxh5`` files.

Source: what SciFiReaders 0.12.7 (G. Duscher) and pynxtools-em look for in such files. EDAX has
published nothing, and no file could be had: whatever these two do not look for is not known.
"""

import re

COMPANY, EDAX = "Company", "EDAX"
# Groups below project, sample and area.
KINDS = {
    "map": re.compile(r"Live Map.*"),
    "line": re.compile(r"(ROI)?LineScan.*"),
    "spectrum": re.compile(r"(EDS Spot|Free Draw|Selected Area|Full Area).*"),
}
# Datasets in them. SPD and LSD are spectra, in elements that are arrays of the channels; SPC
# is a record of the sum spectrum and of what it was measured with.
SPECTRA = {"map": "SPD", "line": "LSD"}
RECORD = "SPC"
SUM = "SpectrumCounts"
# Images, with the datasets that hold their records.
IMAGES = {
    "MAPIMAGE": ("MAPIMAGEIPR", "MAPIMAGECOLLECTIONPARAMS"),
    "FOVIMAGE": ("FOVIPR", "FOVIMAGECOLLECTIONPARAMS"),
}
WINDOWS, WINDOW = "ROIs", ".dat"
HEIGHT, WIDTH = "PixelHeight", "PixelWidth"  # attributes of an image

# Names of fields and attributes are looked for without regard to capitals: those of APEX vary.
ROWS, COLUMNS, CHANNELS = "numberoflines", "numberofpoints", "numberofchannels"  # of SPD
N_SPECTRA = "numberofspectra"  # of LSD
STEPS = {"y": "micronperpixely", "x": "micronperpixelx"}  # µm, of SPD or SPC
IMAGE_STEPS = {"y": "micronsperpixely", "x": "micronsperpixelx"}
EV = ("evperchannel", "evpch")
OFFSET, N_POINTS = "evoffset", "numberofpoints"  # of SPC; OFFSET in eV
LIVE, BEAM = "livetime", "kv"  # s, kV
DETECTOR = {  # degrees, eV
    "elevation_angle": "takeoffangle",
    "azimuth_angle": "azimuthangle",
    "energy_resolution_MnKa": "detectorresoultion",  # sic
}
PEAKS = "atomicnumberofpeakids"
