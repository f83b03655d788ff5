"""Names: of results that people give, and of files whose names have numbers."""

import re
from collections.abc import Iterable
from pathlib import Path

from rsciio_xfm.exceptions import FileFormatError


def unique(names: Iterable[str], joined_by: str = "_") -> list[str]:
    """Return names, with a number behind those that repeat.

    Examples
    --------
    >>> unique(["left", "right", "left"])
    ['left', 'right', 'left_2']
    """
    found: list[str] = []
    for name in names:
        n, one = 1, name
        while one in found:
            n += 1
            one = f"{name}{joined_by}{n}"
        found.append(one)
    return found


def natural(name: str) -> list[tuple[bool, int, str]]:
    """Return a key that sorts names by the numbers in them.

    Examples
    --------
    >>> sorted(["row_10", "row_2", "row_1b"], key=natural)
    ['row_1b', 'row_2', 'row_10']
    """
    parts = re.findall("([0-9]+)|([^0-9]+)", name)
    # Without zeros before them, the longer of two numbers is the larger one.
    numbers = ((digits.lstrip("0"), text) for digits, text in parts)
    return [(bool(text), len(number), number or text) for number, text in numbers]


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
