"""Warnings that point to the line of the user."""

import contextlib
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from contextvars import ContextVar

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

_NAMES_AND_NUMBERS = re.compile(r"\S*[/\d]\S*")
_SAME = "So it is, with numbers of their own,"
_SHOWN = 4
_TURN = threading.RLock()  # of who changes filters
_COLLECTED: ContextVar[list[str] | None] = ContextVar("collected", default=None)


@contextlib.contextmanager
def collected() -> Iterator[list[str]]:
    """Collect the warnings of this thread in the ``with`` block: nobody else is told them.

    Python's :class:`warnings.catch_warnings` changes what all threads do.

    Yields
    ------
    list of str
        Their texts, as they come.
    """
    texts: list[str] = []
    token = _COLLECTED.set(texts)
    try:
        yield texts
    finally:
        _COLLECTED.reset(token)


@contextlib.contextmanager
def told_together() -> Iterator[None]:
    """Say once what is found of several detectors or files, however many there are.

    Warnings in the ``with`` block are told when it ends. Of those that differ in numbers and
    in names with a slash only, the first is told, and of how many others the same holds.
    """
    try:
        with collected() as texts:
            yield
    finally:
        alike: dict[str, list[str]] = {}
        for text in dict.fromkeys(texts):
            alike.setdefault(_NAMES_AND_NUMBERS.sub("", text), []).append(text)
        for first, *others in alike.values():
            rest = f" {_SAME} {_elsewhere(first, others)}." if others else ""
            warn(f"{first}{rest}")


def _elsewhere(first: str, others: list[str]) -> str:
    """Return of which others a warning holds, by the names that tell them from the first."""
    words = [{word.rstrip(":,.") for word in text.split()} for text in others]
    known = set(first.replace(":", " ").split())
    names = [sorted(w for w in own - known if "/" in w) for own in words]
    if not all(len(own) == 1 for own in names):
        return f"in {len(others)} more places"
    shown = ", ".join(name for (name,) in names[:_SHOWN])
    n_more = len(names) - _SHOWN
    return f"of {shown}{f' and {n_more} more' if n_more > 0 else ''}"


@contextlib.contextmanager
def left_out(
    text: str, category: type[Warning] = UserWarning, module: str = ""
) -> Iterator[None]:
    """Leave out a warning of another package, of which no user can make anything.

    Parameters
    ----------
    text, category, module
        As of :func:`warnings.filterwarnings`: regular expressions of how the text and the name
        of the module begin.

    Notes
    -----
    Python's filters belong to all threads: those that leave out something take turns, as the
    last of several at once would bring back filters of the first.
    """
    with _TURN, warnings.catch_warnings():
        warnings.filterwarnings("ignore", text, category, module)
        yield


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn from the first line outside of this package and of those that call it.

    Notes
    -----
    How many calls lie between differs: through :func:`hyperspy.api.load` there are more than
    through a reader, and no level that the caller gives would suit. In a thread of its own
    nothing of the user is there: the outermost line is taken.
    """
    texts = _COLLECTED.get()
    if texts is not None:
        texts.append(text)
        return
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
