"""Kernels of the explorer, which are there before somebody drags.

They are compiled by another process, whose memory is given back, and only loaded in this one.
"""

import threading
import time
from collections.abc import Callable

from rsciio_xfm.kernels import ahead

QUESTIONS = "explorer"  # what answers from a cache call
_FIRST = ("explorer uint8", "explorer uint16")  # what most caches are made with
_MOST_WAIT = 20.0  # seconds; then they are compiled here, when they are called
_POLL = 0.05
_lock = threading.Lock()
_begun: set[str] = set()


def begin() -> None:
    """Compile and load what most answers call, in the background, once in a process."""
    with _lock:
        if ahead.is_off() or QUESTIONS in _begun:
            return
        _begun.add(QUESTIONS)
    threading.Thread(target=_begin, name="kernels", daemon=True).start()


def _begin() -> None:
    ahead.compile_ahead(*_FIRST, QUESTIONS)
    get([QUESTIONS])


def get(names: list[str], is_unwanted: Callable[[], bool] = lambda: False) -> None:
    """Wait until kernels are compiled, and load them.

    Parameters
    ----------
    names
        Of parts of the list of :mod:`rsciio_xfm.kernels.ahead`; others are ignored.
    is_unwanted
        Tells that nobody waits any more.
    """
    wanted = [name for name in names if name in ahead.parts()]
    if ahead.is_off():
        return
    end = time.monotonic() + _MOST_WAIT
    ahead.compile_ahead(*wanted)
    while not all(map(ahead.is_compiled, wanted)):
        if is_unwanted() or not ahead.is_compiling() or time.monotonic() > end:
            break
        time.sleep(_POLL)
    for _ in ahead.compile_now(name for name in wanted if ahead.is_compiled(name)):
        if is_unwanted():
            break
