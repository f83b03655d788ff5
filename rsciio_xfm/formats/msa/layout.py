"""What the standard has: its keywords, their units, and where HyperSpy has them.

Source: ISO 22029:2022 and R. F. Egerton, C. E. Fiori, J. A. Hunt, M. S. Isaacson, E. J.
Kirkland, N. J. Zaluzec, "EMSA/MAS standard file format for spectral data exchange", EMSA
Bulletin 21 (1991) 35. Where keywords go in the metadata is as RosettaSciIO has it.
"""

FORMAT = "EMSA/MAS Spectral Data File"
SPECTRUM = "SPECTRUM"
END = "ENDOFDATA"
# Those that the standard requires, in its order.
REQUIRED = (
    "FORMAT",
    "VERSION",
    "TITLE",
    "DATE",
    "TIME",
    "OWNER",
    "NPOINTS",
    "NCOLUMNS",
    "XUNITS",
    "YUNITS",
    "DATATYPE",
    "XPERCHAN",
    "OFFSET",
)
# They may go on in lines that begin with the keyword again.
IN_SEVERAL_LINES = ("TITLE", "COMMENT")
LINE_LENGTH = 64
OTHER_TEXTS = (
    "SIGNALTYPE",
    "XLABEL",
    "YLABEL",
    "COMMENT",
    "OPERMODE",
    "ELSDET",
    "EDSDET",
)
NUMBERS = (
    "NPOINTS",
    "NCOLUMNS",
    "XPERCHAN",
    "OFFSET",
    "CHOFFSET",
    "BEAMKV",
    "EMISSION",
    "PROBECUR",
    "BEAMDIAM",
    "MAGCAM",
    "CONVANGLE",
    "THICKNESS",
    "XTILTSTGE",
    "YTILTSTGE",
    "XPOSITION",
    "YPOSITION",
    "ZPOSITION",
    "INTEGTIME",
    "DWELLTIME",
    "COLLANGLE",
    "ELEVANGLE",
    "AZIMANGLE",
    "SOLIDANGLE",
    "LIVETIME",
    "REALTIME",
    "FWHMMNKA",
    "TBEWIND",
    "TAUWIND",
    "TDEADLYR",
    "TACTLYR",
    "TALWIND",
    "TPYWIND",
    "TBNWIND",
    "TDIWIND",
    "THCWIND",
)
KNOWN = {*REQUIRED, *OTHER_TEXTS, *NUMBERS}
# Within ``Acquisition_instrument.TEM`` (or ``.SEM``).
OF_INSTRUMENT = {
    "BEAMKV": "beam_energy",
    "PROBECUR": "beam_current",
    "CONVANGLE": "convergence_angle",
    "XTILTSTGE": "Stage.tilt_alpha",
    "INTEGTIME": "Detector.EELS.exposure",
    "DWELLTIME": "Detector.EELS.dwell_time",
    "COLLANGLE": "Detector.EELS.collection_angle",
    "ELEVANGLE": "Detector.EDS.elevation_angle",
    "AZIMANGLE": "Detector.EDS.azimuth_angle",
    "SOLIDANGLE": "Detector.EDS.solid_angle",
    "LIVETIME": "Detector.EDS.live_time",
    "REALTIME": "Detector.EDS.real_time",
    "FWHMMNKA": "Detector.EDS.energy_resolution_MnKa",
    "EDSDET": "Detector.EDS.EDS_det",
}
THICKNESS, THICKNESS_PATH = "THICKNESS", "Sample.thickness"
# The units of the standard, of keywords whose numbers go to metadata in these.
UNITS = {
    "BEAMKV": "kV",
    "PROBECUR": "nA",
    "INTEGTIME": "ms",
    "DWELLTIME": "ms",
    "LIVETIME": "s",
    "REALTIME": "s",
    "FWHMMNKA": "eV",
    "THICKNESS": "nm",
}
# HyperSpy's types of signals, and the standard's.
SIGNAL_TYPES = {"ELS": "EELS", "CLS": "CL"}
KNOWN_SIGNAL_TYPES = ("EDS", "WDS", "ELS", "AES", "PES", "XRF", "CLS", "GAM")
# Above, a beam is that of a transmission microscope, unless the file says more.
MOST_OF_SEM = 30  # kV

# Keywords of the user begin with ##. These are ours: what the standard has no place for, so
# that what was saved comes back as it was.
OWN = "XFM_"
OWN_SIGNAL, OWN_DTYPE, OWN_DATE, OWN_TIME, OWN_AXIS = (
    OWN + name for name in ("SIGNAL", "DTYPE", "DATE", "TIME", "AXIS")
)
UNEVEN = "uneven"
