"""Checks of arguments that several functions have."""

from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np


def is_whole(value: Any) -> TypeGuard[int]:
    """Tell whether a value is a whole number; True and False are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_whole(name: str, value: Any, least: int = 1) -> None:
    """Refuse a number that is not whole, or too small.

    Parameters
    ----------
    name, value
        Of an argument.
    least
        That it may be.

    Raises
    ------
    ValueError
        It names the argument, and what it is.
    """
    if not is_whole(value) or value < least:
        raise ValueError(
            f"{name} is {value!r}, expected a whole number, at least {least}."
        )


def check_number_of(where: str, name: str, value: Any, n: int, more: str = "") -> int:
    """Return the number of one of several things, which count from 0.

    Parameters
    ----------
    where
        Path of the file, for the message.
    name, value
        Of an argument.
    n
        How many things there are.
    more
        What the message ends with.

    Raises
    ------
    ValueError
        It names the argument, and what it may be.

    Examples
    --------
    >>> check_number_of("map.h5", "detector", 3, 4)
    3
    """
    if not is_whole(value) or not 0 <= value < n:
        raise ValueError(
            f"{where}: {name} is {value!r:.40}, expected 0 to {n - 1}{more}."
        )
    return int(value)


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Refuse a value that is none of some.

    Parameters
    ----------
    name, value
        Of an argument.
    choices
        What it may be.

    Raises
    ------
    ValueError
        It names the argument, and what it may be.

    Examples
    --------
    >>> check_choice("select_type", "image", (None, "image"))
    """
    if value not in choices:
        known = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} is {value!r:.40}, expected {known}.")
