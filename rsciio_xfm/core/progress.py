"""Progress bars, where somebody looks: on a terminal, or where they were asked for."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

_DELAY = 2  # seconds
_is_shown = ContextVar("is_shown", default=False)


@contextmanager
def shown() -> Iterator[None]:
    """Show the progress bars of what is done inside, if it takes long, on a terminal."""
    token = _is_shown.set(True)
    try:
        yield
    finally:
        _is_shown.reset(token)


def is_wanted(show_progressbar: bool | None, is_preferred: bool = True) -> bool:
    """Tell whether a function that a user calls shows its progress.

    Parameters
    ----------
    show_progressbar
        What the user said; None shows it if standard error is a terminal.
    is_preferred
        What holds instead of None, on a terminal.
    """
    if show_progressbar is not None:
        return bool(show_progressbar)
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    return is_terminal and is_preferred


def bar_options() -> dict[str, Any]:
    """Return the options of every bar.

    Returns
    -------
    dict
        For :class:`tqdm.tqdm`: silent outside of :func:`shown`, for the first two seconds,
        and where standard error is no terminal.
    """
    return {"delay": _DELAY, "disable": None if _is_shown.get() else True}


def bytes_bar(total: int, description: str, is_shown: bool | None = None) -> tqdm:
    """Make a bar for the bytes of a file.

    Parameters
    ----------
    total
        Size of the file.
    description
        What is done.
    is_shown
        Whether the user asked for it; None leaves it to :func:`shown`.
    """
    options = bar_options()
    if is_shown is not None:
        options["disable"] = not is_shown
    return tqdm(total=total, desc=description, unit="B", unit_scale=True, **options)
