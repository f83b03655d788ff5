"""Names and numbers of Velox's EMD files.

Facts measured on files of format versions 11 and 13, and what a developer of Velox says of the
stream and of the frame table in hyperspy/hyperspy#1662.
"""

import numpy as np

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
