"""What is made of a map in the background: its overview, and the cache that is fast."""

import importlib
import importlib.util
import threading
from typing import Any

import numpy as np

from rsciio_xfm.core.config import CACHED_FILE_BYTES
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.exceptions import FileFormatError, PassCancelledError
from rsciio_xfm.explore.opened import Opened, overview_entry, smallest

_CUBE = "rsciio_xfm.explore.cube"


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
        self.cube: Any = None
        self.state, self.progress, self.why = "none", 0.0, ""

    def said(self) -> dict[str, Any]:
        """Return what the page is told."""
        return {"state": self.state, "progress": self.progress, "why": self.why}

    def off(self, why: str) -> None:
        """Say that there is none."""
        self.state, self.why = "off", why

    def ready(self, cube: Any) -> None:
        """Say that it is there."""
        self.cube, self.state, self.progress = cube, "ready", 1.0


def cube_module() -> Any:
    """Return the module of the cache; None if what it needs is not installed."""
    if importlib.util.find_spec(_CUBE) is None:
        return None
    if importlib.util.find_spec("numcodecs") is None:
        return None
    return importlib.import_module(_CUBE)


def prepare(opened: Opened, cache: Cache, is_cached: bool) -> None:
    """Make the overview of a map, and its cache where that pays."""
    seen = opened.overview
    try:
        _make(opened, cache, is_cached)
    except PassCancelledError:
        seen.finish("The map was closed while it was read.")
    except (FileFormatError, OSError, MemoryError, ValueError, TypeError) as error:
        seen.finish(str(error) or type(error).__name__)
    else:
        seen.finish()


def _make(opened: Opened, cache: Cache, is_cached: bool) -> None:
    entry, seen = overview_entry(opened), opened.overview
    module = _eligible(opened, cache, is_cached)
    if module is None:
        seen.make(entry)
        return
    cube = module.find(opened.source)
    if cube is not None:
        cache.ready(cube)
        seen.make(entry)
        return
    cache.state = "making"

    def count(done: int, of: int) -> None:
        cache.progress = done / max(of, 1)

    def show(rows_done: int, counts: np.ndarray, total: Any, highest: Any) -> None:
        seen.put(rows_done, counts, total, highest)

    try:
        cube = module.make(opened.source, progress=count, cancel=seen.stop, overview=show)
    except module.CacheFullError as error:
        cache.off(str(error))
        seen.make(entry)
        return
    cache.ready(cube)
    if seen.rows_done < seen.rows:
        seen.make(entry)
    else:
        seen.put(seen.rows, smallest(seen.counts), seen.total, seen.highest)
        seen.keep(entry)


def _eligible(opened: Opened, cache: Cache, is_cached: bool) -> Any:
    """Return the module of the cache if this map gets one."""
    source = opened.source
    if not is_cached:
        cache.off("It was switched off.")
    elif source is None or source.ndim != 3 or source.dtype.kind != "u":
        cache.off("Only maps of counts with rows and columns have one.")
    elif _file_bytes(opened) < CACHED_FILE_BYTES:
        cache.off("The map is small enough without.")
    else:
        module = cube_module()
        if module is None:
            cache.off('It needs numcodecs: pip install "rsciio_xfm[explore]".')
        return module
    return None


def _file_bytes(opened: Opened) -> int:
    file: LocalFile | None = opened.file
    return opened.data.nbytes if file is None else file.size


def start(opened: Opened, cache: Cache, is_cached: bool) -> threading.Thread:
    """Prepare a map in a thread of its own."""
    thread = threading.Thread(
        target=prepare, args=(opened, cache, is_cached), name="prepare", daemon=True
    )
    thread.start()
    return thread
