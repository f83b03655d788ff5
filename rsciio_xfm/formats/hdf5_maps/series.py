"""Files whose names differ in a number: rows, or parts, of one map."""

import os
import re
from pathlib import Path

from rsciio_xfm.core.names import find_matching
from rsciio_xfm.core.source import is_file
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError

# The last number before the extension, or the extension itself, as in xsp3.0001.
_NAME = re.compile(r"(?P<prefix>.*?)(?P<number>\d{1,18})(?P<suffix>\D*?(\.[A-Za-z]\w*)?)")
_MOST_GAPS = 100  # files that are missing for each one that is there
_SHOWN = 8


def list_numbered(path: Path) -> dict[int, Path]:
    """Return the files whose names differ from that of one in the last number only.

    Returns
    -------
    dict
        By number, in their order; empty if the name has none.

    Examples
    --------
    >>> _NAME.fullmatch("det2_0017.hdf5").groups()[:3]
    ('det2_', '0017', '.hdf5')
    """
    own = _match(path.name)
    if own is None:
        return {}
    found = {}
    with os.scandir(path.parent) as entries:
        for entry in entries:
            match = _match(entry.name)
            if match is None or not is_file(entry):
                continue
            if (match["prefix"], match["suffix"]) == (own["prefix"], own["suffix"]):
                found[int(match["number"])] = path.parent / entry.name
    return dict(sorted(found.items()))


def _match(name: str) -> re.Match | None:
    """Return the parts of a name; None if its only number is in its extension, as of .h5."""
    found = _NAME.fullmatch(name)
    if found is None or found["suffix"] or found["prefix"].endswith("."):
        return found
    return None if "." in found["prefix"] else found


def list_series(path: Path, series: bool | str) -> set[Path]:
    """Return the files of a series, whatever their order: see :func:`find_rows`."""
    found = (
        path.parent.glob(series)
        if isinstance(series, str)
        else list_numbered(path).values()
    )
    return set(found)


def find_rows(path: Path, series: bool | str) -> list[Path | None]:
    """Return the files of a series; None for those whose numbers are missing.

    Parameters
    ----------
    path, series
        See :func:`rsciio_xfm.esrf.file_reader`.

    Raises
    ------
    FileFormatError
        The name has no number, numbers are far apart, or no file matches a pattern.

    Warns
    -----
    UserWarning
        Numbers are missing.
    """
    if isinstance(series, str):
        return [*find_matching(path, series)]
    numbered = list_numbered(path)
    if not numbered:
        raise FileFormatError(
            f"{path}: its name has no number before the extension, expected one as in "
            "row_0001.h5 for series=True."
        )
    first, last = min(numbered), max(numbered)
    if last - first > _MOST_GAPS * len(numbered):
        raise FileFormatError(
            f"{path}: {len(numbered)} files are numbered {first} to {last}, expected at least "
            f"one of {_MOST_GAPS} of these (names of the files in {path.parent})."
        )
    gone = [n for n in range(first, last + 1) if n not in numbered]
    if gone:
        warn(
            f"{path}: of the files numbered {first} to {last}, {len(gone)} are not there: "
            f"{', '.join(map(str, gone[:_SHOWN]))}{' ...' if len(gone) > _SHOWN else ''}. "
            "Their rows are zeros without dead times."
        )
    return [numbered.get(n) for n in range(first, last + 1)]
