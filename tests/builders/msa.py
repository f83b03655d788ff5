"""MSA files line by line, as text; nothing here imports the package."""

import numpy as np

KEYWORDS = {
    "FORMAT": "EMSA/MAS Spectral Data File",
    "VERSION": "1.0",
    "TITLE": "t",
    "DATE": "01-OCT-1991",
    "TIME": "12:00",
    "OWNER": "o",
    "NPOINTS": "4",
    "NCOLUMNS": "1",
    "XUNITS": "keV",
    "YUNITS": "counts",
    "DATATYPE": "Y",
    "XPERCHAN": "0.01",
    "OFFSET": "-0.2",
    "SIGNALTYPE": "EDS",
    "BEAMKV": "20.0",
    "LIVETIME": "10",
}
BODY = "1.\n2.\n3.\n4.\n"
START, END = "#SPECTRUM    : Spectral Data Starts Here", "#ENDOFDATA   : "


def make_text(body=BODY, start=START, end=END, without=(), lines=(), **keywords):
    """A file as text; keywords replace values, or are added, and lines follow them."""
    pairs = {k: v for k, v in (KEYWORDS | keywords).items() if k not in without}
    header = [f"#{name:12s}: {value}" for name, value in pairs.items()]
    return "\n".join([*header, *lines, start, body + end])


def make_counts(n, seed=0):
    return np.random.default_rng(seed).integers(0, 100_000, n)


def write_spectrum(path, n=64, newline="\r\n"):
    """Counts with what was saved here: name of the axis, and type of the numbers."""
    text = make_text(
        "".join(f"{count}, \n" for count in make_counts(n)),
        NPOINTS=str(n),
        TITLE=path.stem,
        lines=["#XLABEL      : Energy", "##XFM_DTYPE  : uint32"],
    )
    path.write_bytes(text.replace("\n", newline).encode())
    return path
