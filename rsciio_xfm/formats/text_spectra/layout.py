"""How each dialect of spectra as text begins, and what its keywords are.

Source: Amptek's DPPMCA and files that it wrote; GSECARS' ``epicsMCA`` files and xraylarch's
reader of them (``larch/io/gse_mcafile.py``); AXIL's and QXAS' ``.spe`` as PyMca reads it
(``PyMcaIO/specfilewrapper.py``), which gamma spectroscopy uses too; ``colonneXrighe.txt`` and
``config.cfg`` of XISMuS (``Engine/SpecRead.py``).
"""

AMPTEK = b"<<PMCA SPECTRUM>>"
AMPTEK_DATA, AMPTEK_END = b"<<DATA>>", b"<<END>>"
AMPTEK_CALIBRATION = b"<<CALIBRATION>>"
EPICS = b"VERSION:"
AXIL = b"$"
MSA = b"#FORMAT"

# Files beside the spectra that say how many rows and columns there are, in Italian.
SHAPE_FILE = "colonneXrighe.txt"
ROWS, COLUMNS = "righe", "colonne"
CONFIG_FILE = "config.cfg"
SNAKE = ("pingpong", "snake")

# Of files that are nothing else, if they are no SPEC files.
OWN_EXTENSIONS = (".mca", ".spe")
# Of files that can be spectra of a folder.
EXTENSIONS = (".mca", ".spe", ".msa", ".emsa", ".txt", ".dat", ".asc", ".csv")
