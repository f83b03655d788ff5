"""Names in ``.HDF5`` files of CRONO.

The scanner measures a spectrum at each step of its motors, back and forth, and its program
chooses one of them for each pixel of a regular map.

Source: the notebooks of cronomaxrf 0.0.12 (https://github.com/fligt/cronomaxrf), which list
what is in a file of 2021.
"""

SPECTRA = "XRF/Spectra"  # (spectra, channels) uint16, in the order of time
SELECTED = "XRF/SpectraSelectedIndex"  # (y, x, 1) uint64: of each pixel, the spectrum
ENERGIES = "XRF/EnergyVector"  # (channels,) keV
POINTS = "XRF/CalibrationPoints"  # (2, 2): channel, keV
LIVE, REAL = "XRF/LiveTimes", "XRF/RealTimes"  # (spectra,) µs
US = 1e-6  # s
# (spectra,): kcps, events of the fast channel, resets.
COUNTERS = {
    "output_rate": "XRF/OutputCountRates",
    "detected": "XRF/Detected",
    "resets": "XRF/ResetCounterValue",
}
MOTORS = "XRF/MotorsPositions"  # (spectra, 3): x, y, z in steps
AXES = ("x", "y", "z")
# (y, x, 1) mm, NaN where it was not computed.
COORDINATES = {"x": "XRF/XComputedMapsCoordinate", "y": "XRF/YComputedMapsCoordinate"}
IMAGES = "XRF/Maps/ComputedMaps"  # (y, x, windows)
WINDOWS, NAMES = "XRF/ROIs/ROIsEnergies", "XRF/ROIs/ROIsNames"  # (windows, 2) keV; texts
TEXTS = {
    "created": "CreatedDateTime",
    "software": "CreatedWithSoftwareVersion",
    "structure": "FileStructureVersion",
}
# Blobs, never read, whose attributes say when, and how warm the tube was.
STATUS = ("InitialSystemStatus", "FinalSystemStatus")
DATE = "DateTime"
