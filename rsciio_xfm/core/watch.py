"""What is being done, for somebody who waits for it and may stop it.

Some analyses take many passes over a map and much work between them. Who waits for one says so
with :func:`watched`; what is done under it is told, and ends when it is not wanted any more.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from rsciio_xfm.exceptions import PassCancelledError


@dataclass(frozen=True)
class Watch:
    """Who waits.

    Attributes
    ----------
    doing
        Is called with what begins now, in words.
    progress
        Is called as ``progress(done, of)`` while a pass over the map goes on.
    cancel
        A callable that returns True, or an event, when all is to stop.
    """

    doing: Callable[[str], Any] | None = None
    progress: Callable[[int, int], Any] | None = None
    cancel: Any = None

    def is_over(self) -> bool:
        """Tell whether all is to stop."""
        asks = getattr(self.cancel, "is_set", self.cancel)
        return asks is not None and bool(asks())


_NOBODY = Watch()
_WATCH: ContextVar[Watch] = ContextVar("watch", default=_NOBODY)


@contextlib.contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Tell somebody what is done in the ``with`` block, by this thread.

    Parameters
    ----------
    watch
        Who waits. Passes over maps ask it as they ask what they are given themselves, see
        :func:`rsciio_xfm.core.reduce.run`.

    Examples
    --------
    >>> from rsciio_xfm.core.watch import Watch, begin, watched
    >>> told = []
    >>> with watched(Watch(told.append)):
    ...     begin("adding up the spectra")
    >>> told
    ['adding up the spectra']
    """
    token = _WATCH.set(watch)
    try:
        yield
    finally:
        _WATCH.reset(token)


def who_waits() -> Watch:
    """Return who waits for what this thread does; a watch of nothing if nobody does."""
    return _WATCH.get()


def begin(doing: str) -> None:
    """Tell who waits what begins now.

    Raises
    ------
    rsciio_xfm.exceptions.PassCancelledError
        It is not wanted any more.
    """
    go_on()
    watch = who_waits()
    if watch.doing is not None:
        watch.doing(doing)


def go_on() -> None:
    """Do nothing, as long as what is done is wanted.

    Raises
    ------
    rsciio_xfm.exceptions.PassCancelledError
        It is not wanted any more.
    """
    if who_waits().is_over():
        raise PassCancelledError("It was stopped, as it is not wanted any more.")
