"""Warnings that point to the line of the user."""

import sys
import warnings

# Packages whose functions lie between a line of the user and what warns: those that call us,
# and of Python itself what runs context managers and imports.
_BETWEEN = frozenset(
    [
        "rsciio_xfm",
        "rsciio",
        "hyperspy",
        "exspy",
        "dask",
        "click",
        "contextlib",
        "importlib",
    ]
)


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn from the first line outside of this package and of those that call it.

    Notes
    -----
    How many calls lie between differs: through :func:`hyperspy.api.load` there are more than
    through a reader, and no level that the caller gives would suit. In a thread of its own
    nothing of the user is there: the outermost line is taken.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_between(frame.f_globals.get("__name__")):
        frame = frame.f_back
    names = frame.f_globals
    warnings.warn_explicit(
        text,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        names.get("__name__"),
        names.setdefault("__warningregistry__", {}),
    )


def _is_between(module: str | None) -> bool:
    return module is not None and module.partition(".")[0] in _BETWEEN
