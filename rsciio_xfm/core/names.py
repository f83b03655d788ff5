"""Names of results that people give."""

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
