"""Calibration, energy of the beam and names of counters from the text file of MAPS."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from errno import ENOENT
from pathlib import Path

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.source import read_head
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.mda.layout import (
    BEAM,
    MOST_OVERRIDE_BYTES,
    N_DETECTORS,
    OVERRIDE,
    OVERRIDE_COUNTERS,
    TERMS,
)


@dataclass(frozen=True)
class Override:
    """What the file says.

    Attributes
    ----------
    path
        Of it; None if there is none.
    terms
        a, b, c of E = a + b channel + c channel squared, keV; None if it does not say.
    beam_energy
        keV.
    counters
        Names of process variables by what they count: ELT1, ERT1, ICR1, OCR1, ELT2, ...
    """

    path: Path | None = None
    terms: tuple[float, ...] | None = None
    beam_energy: float | None = None
    counters: dict[str, str] = field(default_factory=dict)


def find_override(
    path: Path, chosen: str | Path | None, numbers: Sequence[int], n: int
) -> Override:
    """Find and read the file.

    Parameters
    ----------
    path
        Of the scan.
    chosen
        The file, if the user names it; None to look for it beside the scan.
    numbers
        Of the detectors that are read. XRF-Maps has a file for each of them, with its number
        behind the extension, which is taken of a single one.
    n
        How many detectors the scan has.

    Raises
    ------
    FileNotFoundError
        There is no such file, and the user names it.
    """
    if chosen is not None:
        own = Path(chosen)
        if not own.is_file():
            raise FileNotFoundError(
                ENOENT, "calibration is no file, expected one", str(own)
            )
        return _read(own, n)
    candidates = [path.with_name(OVERRIDE)]
    if len(numbers) == 1:
        candidates.insert(0, path.with_name(f"{OVERRIDE}{numbers[0]}"))
    for i, own in enumerate(candidates):
        if own.is_file():
            is_own = i == 0 and len(candidates) == 2
            return _read(own, None if is_own else n)
    return Override()


def _read(path: Path, n: int | None) -> Override:
    """Read a file; of `n` detectors, unless it is of one alone."""
    source, raw = read_head(path, MOST_OVERRIDE_BYTES + 1)
    if source.size > MOST_OVERRIDE_BYTES:
        raise FileFormatError(
            f"{path}: the file has {source.size} bytes, expected at most "
            f"{MOST_OVERRIDE_BYTES} of a text with {TERMS[0]} (byte 0)."
        )
    found: dict[str, str] = {}
    for line in raw.decode("latin-1").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip(), value.strip())
    claimed = _number(path, found, N_DETECTORS)
    if n is not None and claimed is not None and claimed != n:
        warn(
            f"{path}: {N_DETECTORS} is {claimed:g}, expected {n}, as the scan has: its "
            "energies are taken for all of them. Check them, or name another file with "
            "calibration=..."
        )
    terms = tuple(_number(path, found, name) for name in TERMS)
    counters = {
        name: value
        for name, value in found.items()
        if name.startswith(OVERRIDE_COUNTERS) and name[3:].isdecimal()
    }
    known = (
        None
        if terms[0] is None or terms[1] is None
        else (terms[0], terms[1], terms[2] or 0.0)
    )
    if known is None:
        warn(
            f"{path}: {TERMS[0]} and {TERMS[1]} are not there, expected keV of channels."
        )
    return Override(path, known, _number(path, found, BEAM), counters)


def _number(path: Path, found: dict[str, str], name: str) -> float | None:
    """Return a number, with a point or a comma; None, with a warning, for anything else."""
    if name not in found:
        return None
    value = meta.number(found[name].replace(",", "."))
    if value is None:
        warn(f"{path}: {name} is {found[name]!r:.40}, expected a number: it is not used.")
    return value
