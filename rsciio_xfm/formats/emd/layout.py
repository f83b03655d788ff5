"""Names and numbers of the EMD formats.

Velox: facts measured on files of format versions 11 and 13, and what a developer of Velox
says of the stream and of the frame table in hyperspy/hyperspy#1662.

NCEM: the EMD specification 0.2, https://emdatasets.com/format/, and the files that
RosettaSciIO writes.
"""

import numpy as np

# Velox.
STREAMS = "Data/SpectrumStream"
SPECTRA = "Data/Spectrum"
IMAGES = "Data/Image"
SPECTRUM_IMAGES = "Data/SpectrumImage"
EELS = "Data/EelsSpectrumImage"
FORMATS = ("Velox", "DevelopersKit")
# A value of the stream is a count in the channel of this number; the highest one, the mark,
# moves on to the next pixel.
VALUE = np.dtype("<u2")
MARK = np.iinfo(VALUE).max

# NCEM.
VERSION = ("0", "2")
SIGNALS = "signals"
UNNAMED = "__unnamed__"
GROUP_TYPE = "emd_group_type"
# Of the root, as the specification has them, with what belongs there as attributes.
ROOT_GROUPS = ("microscope", "sample", "user", "comments")
