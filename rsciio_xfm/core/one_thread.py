"""Products of matrices in threads of this package: each of them on one processor."""

import functools
import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()
_held: list[Any] = []  # what restores the libraries' threads, once for each who is within


@contextmanager
def one_thread() -> Iterator[None]:
    """Leave the processors to the threads that multiply matrices, as each of dask's does.

    May be entered by any number of threads at once, and again by the same one. Libraries have
    their own number of threads again as soon as nobody is within.
    """
    libraries = _matrix_libraries()
    if libraries is None:
        yield
        return
    with _lock:
        _held.append(_held[0] if _held else libraries.limit(limits=1))
    try:
        yield
    finally:
        with _lock:
            limited = _held.pop()
            if not _held:
                limited.restore_original_limits()


@functools.cache
def _matrix_libraries() -> Any:
    """Return what sets their threads; to look for them for each piece would be slow."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:  # of an extra; slower without it
        return None
    # Those that are loaded later are not found: scipy has libraries of its own.
    importlib.import_module("scipy.linalg")
    return ThreadpoolController()
