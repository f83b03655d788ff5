"""Keys of a ``.rpl`` file beyond those that say where the numbers are.

Source: RosettaSciIO's description of the format, which lists those of Lispix and what HyperSpy
adds; Bruker's are from files of an M6 Jetstream.
"""

AXES = ("height", "width", "depth")
INTEGERS = ("width", "height", "depth", "offset")
# Below ``Acquisition_instrument.TEM`` or ``.SEM``. The last that is there counts:
# HyperSpy wrote energy-resolution before it found the format's own key.
INSTRUMENT = {
    "beam-energy": "beam_energy",
    "convergence-angle": "convergence_angle",
    "tilt-stage": "Stage.tilt_alpha",
    "collection-angle": "Detector.EELS.collection_angle",
    "elevation-angle": "Detector.EDS.elevation_angle",
    "azimuth-angle": "Detector.EDS.azimuth_angle",
    "energy-resolution": "Detector.EDS.energy_resolution_MnKa",
    "detector-peak-width-ev": "Detector.EDS.energy_resolution_MnKa",
    "live-time": "Detector.EDS.live_time",
}
NUMBERS = (
    "ev-per-chan",
    *(f"{axis}-{item}" for axis in AXES for item in ("origin", "scale")),
    *INSTRUMENT,
)
TEXTS = ("date", "time", "signal", "title")
# Values of "signal" that mean X-rays; what a TEM measured stays EDS_TEM.
XRAY_SIGNALS = ("EDS", "EDX", "XRF", "EDS_SEM", "EDS_XFM")
# Only X-ray detectors have these.
XRAY_KEYS = (
    "detector-peak-width-ev",
    "energy-resolution",
    "elevation-angle",
    "azimuth-angle",
)
UNDEFINED = "<undefined>"  # units, as HyperSpy writes that there are none
