"""Names in HDF5 files of the ESRF and other synchrotrons.

Sources: the data policy and documentation of Bliss (https://bliss.gitlab-pages.esrf.fr), the
files that ewoksfluo 1.3 simulates, PyMca 5.9 (NeXus), PyXRF 1.0, xraylarch 2026.3 (XRM),
XRF-Maps.
"""

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
