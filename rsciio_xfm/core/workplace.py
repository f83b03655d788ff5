"""Places to work: how many tasks read at the same time, and memory that they read into."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

import numpy as np

from rsciio_xfm.core.config import BLOCK_BYTES, MOST_BUFFERS
from rsciio_xfm.core.later import cpu_count

# As many places to work as there are processors, each with a buffer. Each of many users that
# compute in threads of one process brings a pool of threads; if all worked at the same
# time, they would take the interpreter from each other, and twenty would take twice as
# long together as one after the other.
_places: SimpleQueue[list[np.ndarray]]
_n_places: int
_making: threading.Lock
_mine = threading.local()


def _set_up_places() -> None:
    """Start without places; after a fork too, as the threads that held some are not there."""
    global _places, _n_places, _making
    _places, _n_places, _making = SimpleQueue(), 0, threading.Lock()


_set_up_places()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_set_up_places)


def _take_place() -> list[np.ndarray]:
    """Take a place that is free, make one if there are fewer than may be, or wait."""
    global _n_places  # noqa: PLW0603
    with suppress(Empty):
        return _places.get_nowait()
    with _making:
        # Who reads alone does not ask for the number of processors, which imports dask.
        if _n_places == 0 or _n_places <= cpu_count():  # one waits for the interpreter
            _n_places += 1
            return []
    return _places.get()


@contextmanager
def workplace() -> Iterator[None]:
    """Wait for a place to work, and keep it for what one task reads."""
    if getattr(_mine, "place", None) is not None:  # within a task already
        yield
        return
    places = _places
    _mine.place = place = _take_place()
    try:
        yield
    finally:
        _mine.place = None
        places.put(place)


@contextmanager
def scratch(n_bytes: int) -> Iterator[np.ndarray]:
    """Lend memory to read into; that of a workplace is used again by later tasks.

    Parameters
    ----------
    n_bytes
        Its size.

    Yields
    ------
    numpy.ndarray
        uint8, shape (`n_bytes`,), whatever it held before.
    """
    place = getattr(_mine, "place", None)
    buffer = place.pop() if place else None
    if buffer is None or buffer.size < n_bytes:
        # At least a block, so that there is one size of them.
        buffer = np.empty(max(n_bytes, BLOCK_BYTES), dtype=np.uint8)
    try:
        yield buffer[:n_bytes]
    finally:
        is_kept = buffer.size <= 2 * BLOCK_BYTES
        if is_kept and place is not None and len(place) < MOST_BUFFERS:
            place.append(buffer)
