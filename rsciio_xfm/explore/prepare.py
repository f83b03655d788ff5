"""What is made of a map in the background: its overview, and the cache that is fast."""

import contextlib
import importlib.util
import threading
from collections.abc import Callable, Iterator
from typing import Any

from rsciio_xfm.exceptions import FileFormatError, PassCancelledError
from rsciio_xfm.explore import cube, ready
from rsciio_xfm.explore.coarse import smallest
from rsciio_xfm.explore.opened import Opened
from rsciio_xfm.kernels.ahead import of_source

# Each pass uses all processors: more of them would be none the faster, and need memory.
_CUBES, _PASSES = threading.Semaphore(1), threading.Semaphore(2)
_POLL = 0.1  # seconds


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
        There is none, in words for people who can do something about it; else nothing.
    thread
        That reads the map for its overview and this.
    beginning
        Is held by who begins such a thread, or says that none is to be begun any more.
    """

    def __init__(self) -> None:
        self.cube: cube.Cube | None = None
        self.state, self.progress, self.why = "none", 0.0, ""
        self.thread: threading.Thread | None = None
        self.beginning = threading.Lock()

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


def start(opened: Opened, cache: Cache, is_cached: bool) -> None:
    """Make the overview of a map, and its cache where that pays, in a thread."""
    _thread(lambda: _make(opened, cache, is_cached), opened, cache)


def start_again(opened: Opened, cache: Cache, lost: cube.Cube) -> None:
    """Make a cache that was lost once more, in a thread: once, whoever finds it lost."""
    with cache.beginning:
        if cache.cube is lost and not opened.overview.stop.is_set():
            cache.making()
            _thread(lambda: _make_cube(opened, cache), opened, cache)


def stop(opened: Opened, cache: Cache) -> None:
    """Stop what is made of a map; nothing is begun any more."""
    with cache.beginning:
        opened.overview.stop.set()


def _thread(make: Callable[[], None], opened: Opened, cache: Cache) -> None:
    before = cache.thread

    def run() -> None:
        if before is not None:  # It may still write what it made of the map.
            before.join()
        try:
            make()
        except PassCancelledError:
            _fail(opened, cache, "The map was closed while it was read.")
        except (FileFormatError, OSError, MemoryError, ValueError, TypeError) as error:
            _fail(opened, cache, str(error) or type(error).__name__)

    cache.thread = threading.Thread(target=run, name="prepare", daemon=True)
    cache.thread.start()


def _fail(opened: Opened, cache: Cache, why: str) -> None:
    """Say what went wrong: without a cache the map can be explored all the same."""
    cache.off(why)
    if not opened.overview.is_done:
        opened.overview.finish(why)


def _make(opened: Opened, cache: Cache, is_cached: bool) -> None:
    seen, why = opened.overview, _why_not(opened, is_cached)
    if why is not None:
        cache.off(why)
        _make_overview(opened)
        return
    assert opened.source is not None
    found = cube.find(opened.source)
    if found is not None and _take(opened, cache, found):
        return
    entry = opened.overview_entry()
    if seen.take(entry) or not _CUBES.acquire(blocking=False):
        # Somebody else's cache is being made: pictures come first.
        _make_overview(opened)
        _make_cube(opened, cache)
        return
    try:
        is_made = _fill(opened, cache, seen.put_rows)
    finally:
        _CUBES.release()
    if is_made and seen.rows_done == seen.rows:
        seen.put(seen.rows, smallest(seen.counts), seen.total, seen.highest)
        seen.keep(entry)
        seen.finish()
    else:
        _make_overview(opened)


def _take(opened: Opened, cache: Cache, found: cube.Cube) -> bool:
    """Take a finished cache, and what it knows; tell whether it is whole."""
    seen = opened.overview
    try:
        counts, total, highest = found.overview()
    except cube.CacheLostError:
        return False
    cache.ready(found)
    seen.put(seen.rows, smallest(counts), total, highest)
    seen.finish()
    return True


def _make_overview(opened: Opened) -> None:
    seen, entry = opened.overview, opened.overview_entry()
    if not seen.take(entry):
        _load_kernels(opened)
        with _turn(_PASSES, seen.stop):
            seen.make(entry)
    seen.finish()


def _load_kernels(opened: Opened) -> None:
    """Wait for the kernels of a pass, which another process compiles."""
    if opened.source is not None:
        own = of_source(opened.source)
        names = [f"explorer {opened.source.dtype}"]
        if own.startswith("formats."):  # which decodes spectra in a way of its own
            names.append(own)
        ready.get(names, opened.overview.stop.is_set)


def _make_cube(opened: Opened, cache: Cache) -> None:
    """Make the cache of a map whose overview is known."""
    cache.making()
    with _turn(_CUBES, opened.overview.stop):
        _fill(opened, cache, None)


@contextlib.contextmanager
def _turn(places: threading.Semaphore, stop: threading.Event) -> Iterator[None]:
    """Wait for one of a few places, or until it is not wanted any more."""
    while not places.acquire(timeout=_POLL):
        if stop.is_set():
            raise PassCancelledError("The map was closed before it was its turn.")
    try:
        yield
    finally:
        places.release()


def _fill(opened: Opened, cache: Cache, show: Callable[..., None] | None) -> bool:
    """Make the cache; tell whether it is there."""
    source = opened.source
    assert source is not None
    cache.making()
    _load_kernels(opened)
    try:
        found = cube.make(
            source, progress=cache.count, cancel=opened.overview.stop, overview=show
        )
    except cube.CubeError as error:
        cache.off(str(error))
        return False
    cache.ready(found)
    return True


def _why_not(opened: Opened, is_cached: bool) -> str | None:
    """Return why a map gets no cache, nothing if nobody can help it; None if it gets one."""
    source = opened.source
    if source is None or not cube.is_suited(source) or cube.is_small(source):
        return ""
    if not is_cached:
        return "The cache was switched off."
    if importlib.util.find_spec("numcodecs") is None:
        return 'A cache needs numcodecs: pip install "rsciio_xfm[explore]".'
    return cube.unsuited(source) or None
