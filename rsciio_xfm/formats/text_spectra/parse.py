"""The dialects of spectra as text: which one a file is in."""

from codecs import BOM_UTF8
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rsciio_xfm.core.source import open_unbuffered
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.spec.api import is_spec
from rsciio_xfm.formats.text_spectra import amptek, axil, columns, epics, layout, msa
from rsciio_xfm.formats.text_spectra.numbers import SHOWN
from rsciio_xfm.formats.text_spectra.spectrum import Spectrum

# More is no spectrum: 2^24 channels of one digit.
_MOST_BYTES = 2**25
_USUAL_BYTES = 2**16
# What DOS ends a file with, and what a file that was not copied whole ends with.
_PADDING = b"\x1a\0"


@dataclass(frozen=True)
class Dialect:
    """One way to write a spectrum.

    Attributes
    ----------
    name
        As errors and metadata have it.
    is_like
        Tells it by the first bytes of a file.
    parse
        Reads it.
    """

    name: str
    is_like: Callable[[bytes], bool]
    parse: Callable[[Path, bytes], Spectrum]


def read_spectrum(path: Path) -> Spectrum:
    """Read a file of any dialect.

    Parameters
    ----------
    path
        Of the file.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        It is of none of them.
    rsciio_xfm.exceptions.CorruptFileError
        Something else stands in place of a number.
    rsciio_xfm.exceptions.TruncatedFileError
        It ends before its first number.
    """
    content = read_text(path)
    return find_dialect(path, content).parse(path, content)


def read_text(path: Path) -> bytes:
    """Read a file, but none that is larger than any spectrum."""
    with open_unbuffered(path) as file:
        content = file.read(_USUAL_BYTES)
        if len(content) == _USUAL_BYTES:
            content += file.read(_MOST_BYTES + 1 - _USUAL_BYTES)
    if len(content) > _MOST_BYTES:
        raise FileFormatError(
            f"{path}: the file has more than {_MOST_BYTES} bytes, expected a spectrum as "
            "text, which has less (byte 0)."
        )
    content = content.removeprefix(BOM_UTF8).rstrip(_PADDING)
    return content if b"\n" in content else content.replace(b"\r", b"\n")


def find_dialect(path: Path, content: bytes) -> Dialect:
    """Tell by its content how a file is written.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        In no way that is known.
    """
    found = _find_dialect(content)
    if found is not None:
        return found
    if not content.strip():
        said = f"the file is empty ({len(content)} bytes)"
    else:
        said = f"the file begins with {content[:SHOWN]!r}"
    names = ", ".join(f"{d.name} ({_BEGINNINGS[d.name]})" for d in DIALECTS)
    raise FileFormatError(
        f"{path}: {said}, expected a spectrum as text: {names} (byte 0)."
    )


def _find_dialect(content: bytes) -> Dialect | None:
    start = content.lstrip()
    return next((dialect for dialect in DIALECTS if dialect.is_like(start)), None)


def recognizes(filename: str | Path) -> bool:
    """Tell by its content whether a file is a spectrum as text, or else can be nothing other.

    Parameters
    ----------
    filename
        Path of the file. Of one that cannot be opened, and of a SPEC file, the answer is no;
        of others that are called ``.mca`` or ``.spe`` it is yes.

    Examples
    --------
    >>> from rsciio_xfm import text_spectra
    >>> text_spectra.recognizes("point.mca")
    True
    """
    try:
        with open_unbuffered(filename) as file:
            content = file.read(_USUAL_BYTES)
    except (OSError, ValueError):
        return False
    content = content.removeprefix(BOM_UTF8)
    if is_spec(content):
        return False
    is_called_so = Path(filename).suffix.lower() in layout.OWN_EXTENSIONS
    return is_called_so or _find_dialect(content) is not None


DIALECTS = (
    Dialect("Amptek", lambda start: start.startswith(layout.AMPTEK), amptek.parse),
    Dialect("EPICS", lambda start: start.startswith(layout.EPICS), epics.parse),
    Dialect("AXIL", lambda start: start.startswith(layout.AXIL), axil.parse),
    Dialect("MSA", lambda start: start[:8].upper().startswith(layout.MSA), msa.parse),
    Dialect("columns", columns.is_columns, columns.parse),
)
_BEGINNINGS = {
    "Amptek": "<<PMCA SPECTRUM>>",
    "EPICS": "VERSION:",
    "AXIL": "$SPEC_ID: or another $ keyword",
    "MSA": "#FORMAT",
    "columns": "lines of numbers",
}
