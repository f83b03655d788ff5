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
from collections.abc import Hashable
from pathlib import Path

import numpy as np

from rsciio_xfm.core.atomic import replacing
from rsciio_xfm.core.source import change_time

SWITCH = "RSCIIO_XFM_CACHE"
FOLDER = "RSCIIO_XFM_CACHE_DIR"
_OFF = ("0", "off", "no", "false")
# Files of less than this are indexed as fast as the cache is read.
MIN_FILE_BYTES = 64 * 2**20
# What is used longest ago is deleted beyond this.
MAX_BYTES = 4 * 2**30
# A file that was written within this time before it was read could be written again without
# its time of modification changing.
_SETTLED_S = 2.0
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


def key_of(path: str | Path, identity: tuple[int, ...], *others: Hashable) -> tuple:
    """Return what tells a file from any other that had its path, for the functions below.

    To be made before what is kept is read from the file: if that changes meanwhile, the key
    is of a file that is not there any more, and nobody will find it.

    Parameters
    ----------
    path, identity
        Of the file, see :func:`rsciio_xfm.core.source.identify`.
    *others
        What was read of it: a hash of the header.

    Returns
    -------
    tuple
        Size (bytes), times of modification and of change (ns), the others.
    """
    return (*identity, change_time(path), *others)


def load(kind: str, path: str | Path, key: tuple) -> dict[str, np.ndarray] | None:
    """Return what was kept of a file.

    Parameters
    ----------
    kind
        What it is, with a version: ``"geopixe-1"``.
    path
        Of the file.
    key
        What it has to agree with, see :func:`key_of`.

    Returns
    -------
    dict of str to numpy.ndarray or None
        None if there is nothing, or what is there is damaged or of another file.
    """
    entry = _entry(kind, path)
    if entry is None or not _is_large(key):
        return None
    try:
        with entry.open("rb") as file, np.load(file, allow_pickle=False) as held:
            if str(held[_STAMP]) != _stamp(kind, path, key):
                return None
            found = {name: held[name] for name in held.files if name != _STAMP}
        with contextlib.suppress(OSError):  # of a cache that may only be read
            os.utime(entry)  # it is in use: others are deleted before it
    except _DAMAGED:
        return None
    return found


def save(
    kind: str, path: str | Path, key: tuple, arrays: dict[str, np.ndarray]
) -> Path | None:
    """Keep something of a file, if it is large and the cache can be written.

    Parameters
    ----------
    kind, path, key
        As for :func:`load`.
    arrays
        What is kept.

    Returns
    -------
    pathlib.Path or None
        Where it is; None if it was not kept.
    """
    entry = _entry(kind, path)
    if entry is None or not _is_large(key) or time.time() - key[1] / 1e9 < _SETTLED_S:
        return None
    try:
        entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(entry) as file:
            np.savez(file, **arrays, **{_STAMP: np.array(_stamp(kind, path, key))})
        _delete_oldest(entry.parent)
    except (OSError, ValueError):
        return None  # the index is in memory all the same
    return entry


def find(kind: str, path: str | Path, key: tuple) -> Path | None:
    """Return where something is kept of a file, None if it is not, or not of this one.

    Parameters
    ----------
    kind, path, key
        As for :func:`load`.
    """
    entry = _entry(kind, path)
    if entry is None or not _is_large(key):
        return None
    try:
        with entry.open("rb") as file, np.load(file, allow_pickle=False) as held:
            return entry if str(held[_STAMP]) == _stamp(kind, path, key) else None
    except _DAMAGED:
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


def _is_large(key: tuple) -> bool:
    return key[0] >= MIN_FILE_BYTES


def _entry(kind: str, path: str | Path) -> Path | None:
    """One for each path, so that a new index takes the place of an old one."""
    if os.environ.get(SWITCH, "").lower() in _OFF:
        return None
    with contextlib.suppress(OSError, RuntimeError):  # there may be no home
        name = hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()
        return folder() / f"{kind}-{name[:32]}.npz"
    return None


def _stamp(kind: str, path: str | Path, key: tuple) -> str:
    return repr((kind, os.path.abspath(path), *key))


def _delete_oldest(within: Path) -> None:
    entries = sorted(
        ((e.stat().st_mtime_ns, e.stat().st_size, e) for e in within.glob("*.npz")),
        reverse=True,
    )
    total = 0
    for _, size, entry in entries:
        total += size
        if total > MAX_BYTES:
            entry.unlink(missing_ok=True)
