"""Files of a series: those that match a pattern, or whose names differ in a number."""

import os
import re
from pathlib import Path

from rsciio_xfm.core.names import natural
from rsciio_xfm.core.source import is_file
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError

# The last number before the extension, or the extension itself, as in xsp3.0001.
_NUMBERED = re.compile(
    r"(?P<prefix>.*?)(?P<number>\d{1,18})(?P<suffix>\D*?(\.[A-Za-z]\w*)?)"
)


def find_matching(path: Path, pattern: str) -> list[Path]:
    """Return the files beside one whose names match a pattern, sorted by their numbers.

    Parameters
    ----------
    path
        Of the file.
    pattern
        As of a shell, ``"row_*.h5"``: the argument ``series`` of readers.

    Raises
    ------
    ValueError
        It is an absolute path.
    rsciio_xfm.exceptions.FileFormatError
        No file matches.
    """
    if Path(pattern).is_absolute():
        raise ValueError(
            f"{path}: series is {pattern!r}, expected a pattern for files beside it."
        )
    found = [p for p in path.parent.glob(pattern) if p.is_file()]
    if not found:
        raise FileFormatError(
            f"{path}: no file beside it matches the pattern {pattern!r}, expected some."
        )
    return sorted(found, key=lambda p: natural(p.name))


def split_number(name: str) -> tuple[str, int, str] | None:
    """Divide the name of a file at its last number that is not in its extension.

    Returns
    -------
    tuple of (str, int, str) or None
        What is before the number, the number, what is behind it; None if there is none.

    Examples
    --------
    >>> split_number("det2_0017.hdf5")
    ('det2_', 17, '.hdf5')
    >>> split_number("map.h5") is None
    True
    """
    found = _NUMBERED.fullmatch(name)
    if found is None:
        return None
    prefix, suffix = found["prefix"], found["suffix"]
    if not suffix and "." in prefix and not prefix.endswith("."):
        return None
    return prefix, int(found["number"]), suffix


def list_numbered(path: Path) -> dict[int, Path]:
    """Return the files whose names differ from that of one in the last number only.

    Returns
    -------
    dict
        By number, in their order; empty if the name has none.

    Warns
    -----
    UserWarning
        Names have the same number, with zeros before it and without: one of them is taken,
        the file itself if it is among them.
    """
    own = split_number(path.name)
    if own is None:
        return {}
    found: dict[int, list[str]] = {}
    with os.scandir(path.parent) as entries:
        for entry in entries:
            parts = split_number(entry.name)
            if parts is None or parts[::2] != own[::2] or not is_file(entry):
                continue
            found.setdefault(parts[1], []).append(entry.name)
    chosen = {}
    for number, names in sorted(found.items()):
        names.sort(key=lambda name: (name != path.name, name))
        chosen[number] = path.parent / names[0]
        if len(names) > 1:
            warn(
                f"{path}: {' and '.join(names)} have the same number, expected one file of "
                f"each: {names[0]} is taken."
            )
    return chosen


def no_number(path: Path, example: str) -> FileFormatError:
    """Make the error of a file that is to be one of a series by its name, and is not."""
    return FileFormatError(
        f"{path}: its name has no number before the extension, expected one as in "
        f"{example} for series=True."
    )
