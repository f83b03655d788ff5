"""Columns of numbers, with a header of words or without one."""

import itertools
import re
from pathlib import Path

import numpy as np

from rsciio_xfm.core.xrf import nearest_line
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.text_spectra.kernels import DECIMAL, DIVIDES
from rsciio_xfm.formats.text_spectra.numbers import (
    BYTES_OF_NUMBER,
    LINE,
    read_block,
    strange,
)
from rsciio_xfm.formats.text_spectra.spectrum import Spectrum, number, sound_times

# Also what stands in the place of a number, and is refused there.
_LIKE_A_NUMBER = re.compile(
    BYTES_OF_NUMBER.pattern + rb"|[+-]?(?:nan|inf|infinity)", re.IGNORECASE
)
# By which a file of another dialect is told whose beginning is damaged.
_MARKS = re.compile(
    rb"<<DATA>>|(?:^|[\r\n])(?:DATA:|[ \t]*\$DATA|#SPECTRUM)", re.IGNORECASE
)
_COMMAS = bytes.maketrans(b",;\t", b"   ")
_TIMES = {
    "live": re.compile(r"\blive[ _]?time\b[^\d\r\n+-]*([\d.,]+)\s*(ms)?", re.I),
    "real": re.compile(r"\breal[ _]?time\b[^\d\r\n+-]*([\d.,]+)\s*(ms)?", re.I),
}


def is_columns(start: bytes) -> bool:
    """Tell whether numbers follow, behind lines of words at most.

    Parameters
    ----------
    start
        The first bytes of a file.
    """
    head = start[: 2**16]
    if b"\0" in head or _MARKS.search(head) is not None:
        return False
    return _find_columns(head) is not None


def _find_columns(content: bytes) -> int | None:
    """Return the byte at which the first line begins that is of numbers only."""
    for line in LINE.finditer(content):
        words = line[0].translate(_COMMAS).split()
        if words and all(_LIKE_A_NUMBER.fullmatch(word) for word in words):
            return line.start()
    return None


def parse(path: Path, content: bytes) -> Spectrum:
    """Read a spectrum in columns: counts, or channels or energies and counts.

    Parameters
    ----------
    path
        Of the file.
    content
        All of it, from :func:`rsciio_xfm.formats.text_spectra.parse.read_text`.

    Raises
    ------
    rsciio_xfm.exceptions.CorruptFileError
        Something else stands in place of a number.
    rsciio_xfm.exceptions.FileFormatError
        There are more columns, or the first one is no axis.
    """
    start = _find_columns(content)
    if start is None:  # beyond where it was looked for
        raise FileFormatError(f"{path}: the file has no line of numbers (byte 0).")
    comma = _meaning_of_comma(content[start : start + 2**16])
    found = read_block(path, content, start, len(content), comma)
    if not found.is_done:
        raise strange(path, content, found.at)
    if found.ragged >= 0:
        raise strange(path, content, found.ragged, f"{found.width} numbers in a line")
    table = found.values.reshape(-1, found.width)
    header = content[:start].decode("latin-1")
    comments = [line.strip() for line in header.splitlines() if line.strip()]
    times = {name: _time_in(header, pattern) for name, pattern in _TIMES.items()}
    spectrum = Spectrum(
        "columns",
        table,
        times["live"],
        times["real"],
        keywords=lambda: {"comments": comments} if comments else {},
    )
    if not content[-1:].isspace():
        spectrum.problems.append(
            f"the file ends with its last number, which may have been longer (byte "
            f"{len(content)})"
        )
    if found.width > 1:
        _take_second_column(path, spectrum, start)
    return spectrum


def _meaning_of_comma(text: bytes) -> int:
    """Tell whether commas divide numbers, or their decimals.

    Where numbers are divided by something else, a comma is a decimal point; else it divides,
    if what is before it counts up.
    """
    lines = [line.strip() for line in LINE.findall(text)[:64]]
    if not any(b"," in line for line in lines):
        return DIVIDES
    if any(re.search(rb"\d,?[ \t]+\d|;", line) for line in lines):
        is_followed = any(re.search(rb",[ \t]", line) for line in lines)
        return DIVIDES if is_followed else DECIMAL
    if any(line.count(b",") > 1 or b"." in line for line in lines):
        return DIVIDES
    before = [number(line.split(b",")[0].decode("latin-1")) for line in lines]
    known = [value for value in before if value is not None]
    steps = {b - a for a, b in itertools.pairwise(known)}
    return DIVIDES if len(steps) == 1 and steps != {0.0} else DECIMAL


def _time_in(text: str, pattern: re.Pattern[str]) -> list[float]:
    found = pattern.search(text[: 2**16])
    value = number(found[1]) if found else None
    if value is None or found is None:
        return []
    return sound_times([value / 1000 if found[2] else value])


def _take_second_column(path: Path, spectrum: Spectrum, start: int) -> None:
    """Take the second of two columns for the counts, the first for channels or energies."""
    x = spectrum.counts[:, 0]
    steps = np.diff(x)
    is_axis = bool((steps > 0).all()) and len(x) > 1
    if spectrum.counts.shape[1] != 2 or not is_axis:
        raise FileFormatError(
            f"{path}: the file has {spectrum.counts.shape[1]} columns of numbers, expected "
            f"one of counts, or two of which the first rises: channels or energies (byte "
            f"{start})."
        )
    spectrum.counts = spectrum.counts[:, 1:]
    if (steps == 1).all() and x[0] == np.floor(x[0]):
        spectrum.first = float(x[0])
        return
    if steps.min() == 1 and (x == np.floor(x)).all():
        gap = int(np.argmax(steps > 1))
        raise FileFormatError(
            f"{path}: the first column counts channels, and {x[gap + 1]:g} follows on "
            f"{x[gap]:g}, expected each channel (byte {start})."
        )
    zero, gain, bent = nearest_line(x)
    off = bent * gain / steps.min()
    if off > 1:
        raise FileFormatError(
            f"{path}: the energies are up to {off:.2g} channels off a straight line, expected "
            f"steps of one size (byte {start})."
        )
    spectrum.calibrations = [(zero, gain, 0.0)]
