"""The maps that are open, what was made of them, and who answers questions about them."""

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsciio_xfm.core import cache
from rsciio_xfm.core.config import EXPLORER_MIB
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.explore import prepare, ready
from rsciio_xfm.explore.cube_identity import sources_of
from rsciio_xfm.explore.listing import Listing, is_inside
from rsciio_xfm.explore.messages import QuestionError, file_is_gone, is_closed
from rsciio_xfm.explore.opened import Opened
from rsciio_xfm.explore.questions import Questions, Store
from rsciio_xfm.explore.tasks import Tasks

_SHARE_OF_MAPS, _SHARE_OF_WINDOWS = 0.5, 0.125
_QUICK_THREADS = 4
_MOST_WAIT = 10.0  # seconds, for what is read when all is closed


@dataclass
class OpenMap:
    """A map that is open, and what was made of it.

    Attributes
    ----------
    number
        Its id.
    opened
        The map.
    cache
        Its cache.
    """

    number: str
    opened: Opened
    cache: prepare.Cache = field(default_factory=prepare.Cache)

    @property
    def key(self) -> tuple[str, str]:
        """Tells what was made of this map from that of another in its place."""
        return self.number, self.opened.identity

    def needs_opening(self) -> bool:
        """Tell whether it does not suit its file any more, or could not be read."""
        opened = self.opened
        return opened.is_broken or bool(opened.overview.error) or opened.is_changed()

    def close(self) -> None:
        """Stop what is made of it."""
        prepare.stop(self.opened, self.cache)

    def is_read(self) -> bool:
        """Tell whether its file is read in the background."""
        return self.cache.thread is not None and self.cache.thread.is_alive()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until nothing is read in the background, or for so long."""
        if self.cache.thread is not None:
            self.cache.thread.join(seconds if seconds is None else max(seconds, 0.0))


class Explorer:
    """Answers questions about one map or those of a folder.

    Parameters
    ----------
    listing
        The files; or signals by number, as dictionaries, of maps that are in memory.
    memory
        Bytes that answers and maps may take; what fits and classes make may take as much
        again.
    n_threads
        How many questions are answered at a time; as many as there are processors if None.
    most_waiting
        Questions of one kind that a client may have in the queue.
    is_cached
        Whether large maps get a cache on disk.
    """

    def __init__(
        self,
        listing: Listing | Mapping[str, Opened],
        memory: int = int(EXPLORER_MIB * 2**20),
        n_threads: int | None = None,
        most_waiting: int = 1,
        is_cached: bool = True,
    ) -> None:
        self.listing, self.is_cached = listing, is_cached
        self.memory = memory
        self.windows = Store(int(memory * _SHARE_OF_WINDOWS))  # coarse images of windows
        self.store = Store(int(memory * (1 - _SHARE_OF_MAPS - _SHARE_OF_WINDOWS)))
        self.questions = Questions(n_threads, most_waiting)
        self.quick = Questions(_QUICK_THREADS, 8 * most_waiting)
        self.tasks = Tasks(memory)
        self._open: OrderedDict[str, OpenMap] = OrderedDict()
        self._closed: list[OpenMap] = []  # whose files may still be read
        self._opening: dict[str, threading.Lock] = {}
        self._is_closed = False
        self._lock = threading.Lock()
        ready.begin()

    # What there is.

    def list_maps(self) -> list[dict[str, Any]]:
        """Return number, name and size of each map, and the shape of those that are open."""
        if not isinstance(self.listing, Listing):
            return [
                {
                    "id": k,
                    "name": m.name,
                    "size_bytes": m.data.nbytes,
                    "shape": list(m.shape),
                }
                for k, m in self.listing.items()
            ]
        found = []
        for number, path in self.listing.files().items():
            try:
                size = self.listing.size(path)
            except OSError:
                continue
            held = self._open.get(number)
            shape = None if held is None else list(held.opened.shape)
            name = self.listing.name(path)
            found.append({"id": number, "name": name, "size_bytes": size, "shape": shape})
        return found

    def name_of(self, number: str) -> str:
        """Return what people call a map; nothing if there is none of this number."""
        if isinstance(self.listing, Listing):
            path = self.listing.files().get(number)
            return "" if path is None else self.listing.name(path)
        return self.listing[number].name if number in self.listing else ""

    def hide_paths(self, text: str) -> str:
        """Return a message without the folder that is served, and that of the cache."""
        if isinstance(self.listing, Listing):
            root = self.listing.root
            folder = root if self.listing.is_folder else root.parent
            for one in (folder, cache.folder()) if self.is_served else (folder,):
                text = text.replace(f"{one}/", "").replace(str(one), "")
        return text

    # What is open.

    def open(self, number: str, is_fresh: bool = False) -> OpenMap:
        """Return a map, opened if it was not, or anew if its file has changed.

        Parameters
        ----------
        number
            Its id.
        is_fresh
            Whether a map whose file has changed is opened again.

        Raises
        ------
        QuestionError
            There is none of this number, or all is closed.
        OSError, rsciio_xfm.exceptions.FileFormatError
            It cannot be read.
        """
        is_known = number in self._numbers()
        with self._lock:
            # What is only asked for is not remembered: there may be any number of it.
            lock = self._opening.get(number, threading.Lock())
            if is_known:
                self._opening.setdefault(number, lock)
        with lock:
            held = self._last_used(number)
            if held is not None and is_fresh and held.needs_opening():
                self._close(number)
                held = None
            if held is None:
                held = self._read(number)
                self._begin(held)
        self._forget()
        return held

    def _last_used(self, number: str) -> OpenMap | None:
        """Return a map that is open, as the one that was used last; None if it is not."""
        with self._lock:
            if number in self._open:
                self._open.move_to_end(number)
            return self._open.get(number)

    def _begin(self, held: OpenMap) -> None:
        """Take a map that was read, and begin what is made of it, unless all is closed."""
        with self._lock:
            if self._is_closed:
                raise is_closed()
            self._open[held.number] = held
            prepare.start(held.opened, held.cache, self.is_cached)

    def _numbers(self) -> Mapping[str, Any]:
        if isinstance(self.listing, Listing):
            return self.listing.files()
        return self.listing

    def _read(self, number: str) -> OpenMap:
        missing = file_is_gone(404, self.name_of(number))
        if not isinstance(self.listing, Listing):
            if number not in self.listing:
                raise missing
            opened = self.listing[number]
            if opened.overview.stop.is_set():  # it was closed, and is opened again
                opened = Opened(opened.signal, opened.name)
            return OpenMap(number, opened)
        path = self.listing.path(number)
        if path is None:
            raise missing
        return OpenMap(number, self._opened(path))

    def _close(self, number: str) -> None:
        with self._lock:
            held = self._open.pop(number, None)
            if held is not None:
                held.close()
                self._closed = [one for one in self._closed if one.is_read()] + [held]
        if held is not None:
            key = held.key
            self.store.drop(lambda one: one[0] == key)
            self.windows.drop(lambda one: one[0] == key)
            self.tasks.drop(lambda one: one[0] == key)

    def _forget(self) -> None:
        """Close the maps that nobody has asked about for longest, beyond the budget."""
        with self._lock:
            sizes = {number: held.opened.nbytes for number, held in self._open.items()}
        most = self.memory * _SHARE_OF_MAPS
        for number in list(sizes)[:-1]:
            if sum(sizes.values()) <= most:
                break
            del sizes[number]
            self._close(number)

    @property
    def is_served(self) -> bool:
        """Whether it is a folder, for others than who opened it."""
        return isinstance(self.listing, Listing) and self.listing.is_folder

    def peek(self, number: str) -> Opened:
        """Return a map for a look at it, without beginning anything in the background."""
        with self._lock:
            held = self._open.get(number)
        if held is not None:
            return held.opened
        if not isinstance(self.listing, Listing):
            return self.open(number).opened
        path = self.listing.path(number)
        if path is None:
            raise file_is_gone(404, self.name_of(number))
        return self._opened(path)

    def _opened(self, path: Path) -> Opened:
        """Open a file of the list; its counts may lie in others, which must not lead out."""
        assert isinstance(self.listing, Listing)
        opened = Opened.read(path, self.listing.options, self.listing.name(path))
        if self.is_served:
            files = (f for f in sources_of(opened.source) if isinstance(f, LocalFile))
            if not all(is_inside(Path(file.name), self.listing.root) for file in files):
                raise QuestionError(
                    404, f"{opened.name}: a link leads out of the folder that is shown."
                )
        return opened

    def close(self) -> None:
        """Stop all, and wait for it."""
        with self._lock:
            self._is_closed = True
            numbers = list(self._open)
        for number in numbers:
            self._close(number)
        self.questions.close()
        self.quick.close()
        self.tasks.close()
        end = time.monotonic() + _MOST_WAIT
        with self._lock:
            closed = self._closed
        for held in closed:
            held.wait(end - time.monotonic())
