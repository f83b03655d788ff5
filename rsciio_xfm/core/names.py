"""Names that people give: of results, of files."""

import re
from collections.abc import Iterable


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
