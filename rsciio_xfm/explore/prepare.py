"""What is made of a map in the background: its overview, and the cache that is fast."""

import importlib.util
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from rsciio_xfm.exceptions import FileFormatError, PassCancelledError
from rsciio_xfm.explore import cube
from rsciio_xfm.explore.opened import Opened, overview_entry, smallest


class Cache:
    """The cache of a map, as far as it is.

    Attributes
    ----------
    cube
        What answers fast; None as long as it is not there.
    state
        ``"none"``, ``"making"``, ``"ready"`` or ``"off"``.
    progress
        0 to 1.
    why
        There is none, in words.
    """

    def __init__(self) -> None:
        self.cube: cube.Cube | None = None
        self.state, self.progress, self.why = "none", 0.0, ""

    def said(self) -> dict[str, Any]:
        """Return what the page is told."""
        return {"state": self.state, "progress": self.progress, "why": self.why}

    def off(self, why: str) -> None:
        """Say that there is none."""
        self.cube, self.state, self.why = None, "off", why

    def making(self) -> None:
        """Say that it is made."""
        self.cube, self.state, self.progress = None, "making", 0.0

    def ready(self, found: cube.Cube) -> None:
        """Say that it is there."""
        self.cube, self.state, self.progress = found, "ready", 1.0

    def count(self, done: int, of: int) -> None:
        """Take how far it is."""
        self.progress = done / max(of, 1)


def start(opened: Opened, cache: Cache, is_cached: bool) -> threading.Thread:
    """Make the overview of a map, and its cache where that pays, in a thread."""
    return _thread(lambda: _make(opened, cache, is_cached), opened)


def start_again(opened: Opened, cache: Cache) -> None:
    """Make a cache that was lost once more, in a thread."""
    if cache.state == "ready":
        cache.making()
        _thread(lambda: _make_cube(opened, cache, None), opened)


def _thread(make: Callable[[], Any], opened: Opened) -> threading.Thread:
    def run() -> None:
        seen = opened.overview
        try:
            make()
        except PassCancelledError:
            seen.finish("The map was closed while it was read.")
        except (FileFormatError, OSError, MemoryError, ValueError, TypeError) as error:
            seen.finish(str(error) or type(error).__name__)
        else:
            seen.finish()

    thread = threading.Thread(target=run, name="prepare", daemon=True)
    thread.start()
    return thread


def _make(opened: Opened, cache: Cache, is_cached: bool) -> None:
    entry, seen = overview_entry(opened), opened.overview
    why = _why_not(opened, is_cached)
    if why:
        cache.off(why)
        seen.make(entry)
        return

    def show(rows_done: int, counts: np.ndarray, total: Any, highest: Any) -> None:
        seen.put_rows(rows_done, counts, total, highest)

    if seen.take(entry):
        _make_cube(opened, cache, None)
        return
    cache.making()
    if not _make_cube(opened, cache, show) or seen.rows_done < seen.rows:
        seen.make(entry)
        return
    seen.put(seen.rows, smallest(seen.counts), seen.total, seen.highest)
    seen.keep(entry)


def _make_cube(opened: Opened, cache: Cache, show: Callable[..., None] | None) -> bool:
    """Find or make the cache; tell whether it is there."""
    source = opened.source
    assert source is not None
    try:
        found = cube.find(source) if show is None else None
        if found is None:
            if show is None:
                opened.overview.finish()
            cache.making()
            found = cube.make(
                source, progress=cache.count, cancel=opened.overview.stop, overview=show
            )
    except cube.CubeError as error:
        cache.off(str(error))
        return False
    cache.ready(found)
    return True


def _why_not(opened: Opened, is_cached: bool) -> str:
    """Return why a map gets no cache; nothing if it gets one."""
    source = opened.source
    if not is_cached:
        return "It was switched off."
    if source is None or source.ndim != 3:
        return "Only maps in files, with rows and columns, have one."
    if importlib.util.find_spec("numcodecs") is None:
        return 'It needs numcodecs: pip install "rsciio_xfm[explore]".'
    return cube.why_not(source)
