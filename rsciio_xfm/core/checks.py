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
