"""Indices of large files, kept for the next time that they are opened.

They are in the user's own cache folder, not beside the files: folders of measurements are
often read-only or shared. What is found there is used only if it was made from this very
file.
"""

import contextlib
import hashlib
import os
import struct
import sys
import time
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from rsciio_xfm.core.atomic import replacing
from rsciio_xfm.core.config import CACHE_BYTES, CACHED_FILE_BYTES, SETTLED_S
from rsciio_xfm.core.source import Source, change_time

T = TypeVar("T")

SWITCH = "RSCIIO_XFM_CACHE"
FOLDER = "RSCIIO_XFM_CACHE_DIR"
OFF = ("0", "off", "no", "false")
_STAMP = "identity"
# What reading an entry raises that is not there, or is damaged.
_DAMAGED = (
    EOFError,
    KeyError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Entry:
    """What is kept of a file.

    To be made before what is kept is read from the file: if that changes meanwhile, the key
    is of a file that is not there any more, and nobody will find it.

    Attributes
    ----------
    kind
        What it is, with a version: ``"geopixe-1"``.
    path
        Of the file.
    key
        What tells the file from any other that had its path: its size (bytes), times of
        modification and of change (ns), and what was read of it.
    """

    kind: str
    path: str
    key: tuple

    @classmethod
    def of(cls, kind: str, source: Source, *others: Hashable) -> Self:
        """Make the entry of a file.

        Parameters
        ----------
        kind
            See :class:`Entry`.
        source
            The file.
        *others
            What was read of it: a hash of the header.
        """
        key = (*source.version, change_time(source.name), *others)
        return cls(kind, source.name, key)

    def get_or_make(
        self,
        make: Callable[[], T],
        pack: Callable[[T], dict[str, np.ndarray]],
        unpack: Callable[[dict[str, np.ndarray]], T | None],
    ) -> T:
        """Return what is kept, or make it and keep it.

        Parameters
        ----------
        make
            Makes it from the file.
        pack, unpack
            Turn it into arrays, and arrays into it. Arrays that cannot be those of the file
            are a KeyError, TypeError, ValueError or None: then it is made.
        """
        found = self.load()
        if found is not None:
            with contextlib.suppress(KeyError, TypeError, ValueError):
                kept = unpack(found)
                if kept is not None:
                    return kept
        made = make()
        self.save(pack(made))
        return made

    def load(self) -> dict[str, np.ndarray] | None:
        """Return what was kept, None if it is not there, damaged, or of another file."""
        place = self._place()
        if place is None:
            return None
        try:
            with place.open("rb") as file, np.load(file, allow_pickle=False) as held:
                if str(held[_STAMP]) != self._stamp():
                    return None
                found = {name: held[name] for name in held.files if name != _STAMP}
            with contextlib.suppress(OSError):  # of a cache that may only be read
                os.utime(place)  # it is in use: others are deleted before it
        except _DAMAGED:
            return None
        return found

    def save(self, arrays: dict[str, np.ndarray]) -> Path | None:
        """Keep arrays, if the file is large and the cache can be written.

        Returns
        -------
        pathlib.Path or None
            Where they are; None if they were not kept.
        """
        place = self._place()
        if place is None or time.time() - self.key[1] / 1e9 < SETTLED_S:
            return None
        try:
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with replacing(place) as file:
                held: dict[str, Any] = {**arrays, _STAMP: np.array(self._stamp())}
                np.savez(file, **held)
            _delete_oldest(place.parent)
        except (OSError, ValueError):
            return None  # what was made is in memory all the same
        return place

    def find(self) -> Path | None:
        """Return where it is kept, None if it is not, or not of this very file."""
        place = self._place()
        if place is None:
            return None
        try:
            with place.open("rb") as file, np.load(file, allow_pickle=False) as held:
                return place if str(held[_STAMP]) == self._stamp() else None
        except _DAMAGED:
            return None

    def _stamp(self) -> str:
        return repr((self.kind, self.path, *self.key))

    def _place(self) -> Path | None:
        """Where it is: one place for each path, so that a new one replaces an old one.

        None if the file is small or the cache is off.
        """
        is_off = os.environ.get(SWITCH, "").lower() in OFF
        if is_off or self.key[0] < CACHED_FILE_BYTES:
            return None
        with contextlib.suppress(OSError, RuntimeError):  # there may be no home
            name = hashlib.sha256(os.fsencode(self.path)).hexdigest()
            return folder() / f"{self.kind}-{name[:32]}.npz"
        return None


def folder() -> Path:
    """Return the folder of the cache: ``RSCIIO_XFM_CACHE_DIR``, or the system's for users."""
    chosen = os.environ.get(FOLDER)
    if chosen:
        return Path(chosen)
    home = Path("~").expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or home / ".cache"
    return Path(base) / "rsciio_xfm"


def _delete_oldest(within: Path) -> None:
    entries = sorted(
        ((e.stat().st_mtime_ns, e.stat().st_size, e) for e in within.glob("*.npz")),
        reverse=True,
    )
    total = 0
    for _, size, entry in entries:
        total += size
        if total > CACHE_BYTES:
            entry.unlink(missing_ok=True)
