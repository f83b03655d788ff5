"""Where the caches of maps lie, and which of them are kept: folders, and room on the disk.

A cache is a folder with the files ``index``, ``data`` and ``meta.json``. While it is made, its
name ends in ``.part``.
"""

import contextlib
import errno
import json
import math
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import dask.utils

from rsciio_xfm.core import cache
from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.atomic import locked, replacing
from rsciio_xfm.core.config import (
    CUBE_BYTES,
    CUBE_FREE_BYTES,
    CUBE_KEPT_S,
    CUBE_MAP_BYTES,
    CUBE_TOUCHED_S,
)
from rsciio_xfm.core.stream import RecordStream
from rsciio_xfm.explore.cube_border import plain_of
from rsciio_xfm.explore.cube_chunks import DATA, INDEX
from rsciio_xfm.explore.cube_identity import Identity, are_current
from rsciio_xfm.explore.cube_layout import Layout

SWITCH = "RSCIIO_XFM_CUBES"
BUDGET = "RSCIIO_XFM_CUBE_BYTES"
_FOLDER = "cubes"
_META, _PART = "meta.json", ".part"
_SLOWER = 4  # times as long as numbers take records to be read, of as many bytes
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class CubeError(RuntimeError):
    """A map has no cache: it does not suit one, or the user wants none."""


class CacheFullError(CubeError):
    """There is no room for the cache of a map, on the disk or within its budget."""


class CacheLostError(CubeError):
    """The cache of a map is damaged or was deleted; it is to be made anew."""


# Settings ---------------------------------------------------------------------------------


def is_off() -> bool:
    """Tell whether the user wants no caches of maps, or none at all."""
    switches = (os.environ.get(name, "") for name in (SWITCH, cache.SWITCH))
    return any(switch.lower() in cache.OFF for switch in switches)


def budget() -> int:
    """Return how many bytes the caches of maps may take up together.

    Raises
    ------
    CubeError
        The user's setting is no size.
    """
    chosen = os.environ.get(BUDGET)
    if not chosen:
        return CUBE_BYTES
    try:
        return int(dask.utils.parse_bytes(chosen))
    except ValueError as exc:
        raise CubeError(
            f"The environment variable {BUDGET} is {chosen!r}, expected a size: 20 GB."
        ) from exc


def folder() -> Path:
    """Return the folder of the caches of maps."""
    return cache.folder() / _FOLDER


def is_suited(source: FileArray) -> bool:
    """Tell whether a map is one of counts, with two axes besides the energy."""
    return source.ndim == 3 and source.dtype.kind == "u" and 0 not in source.shape


def unsuited(source: FileArray) -> str:
    """Return why a map cannot have a cache, nothing if it can.

    Parameters
    ----------
    source
        The map.
    """
    if not is_suited(source):
        return "Only maps of counts, with two axes besides the energy, are cached."
    if is_off():
        return f"The environment variable {SWITCH} or {cache.SWITCH} switches caches off."
    return ""


def is_small(source: FileArray) -> bool:
    """Tell whether answers from the file of a map are as fast as those from a cache.

    Parameters
    ----------
    source
        The map.
    """
    n_bytes = math.prod(source.shape) * source.dtype.itemsize
    if isinstance(source, RecordStream):
        n_bytes = min(n_bytes, _SLOWER * source.file_bytes())
    return n_bytes < CUBE_MAP_BYTES


# Folders ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """Where the cache of a map lies, or will lie.

    Attributes
    ----------
    identity
        Of the map.
    layout
        Of the cache.
    """

    identity: Identity
    layout: Layout

    @classmethod
    def of(cls, source: FileArray) -> "Place":
        """Return the place of a map; see :meth:`Identity.of`."""
        height, width, n_channels = source.shape
        shape = (int(height), int(width), int(n_channels))
        # Where spectra lie as they are, those at a border are read as fast from the file.
        keeps_pixels = plain_of(source)[0] is None
        dtype = source.dtype
        layout = Layout.of(shape, dtype.name, dtype.itemsize, keeps_pixels)
        return cls(Identity.of(source), layout)

    @property
    def folder(self) -> Path:
        """Of the finished cache."""
        return folder() / self.identity.name

    @property
    def part(self) -> Path:
        """Of the cache while it is made."""
        return folder() / f"{self.identity.name}{_PART}"

    def is_finished(self) -> bool:
        """Tell whether the cache is there, whole as far as sizes tell, and of this map."""
        found = read_meta(self.folder)
        if found is None:
            return False
        sizes = found.pop("sizes", None)
        return (
            found == self.identity.stamp(self.layout)
            and isinstance(sizes, dict)
            and sizes == sizes_of(self.folder)
        )

    @contextlib.contextmanager
    def claimed(self) -> Iterator[bool]:
        """Claim the folder of a cache that is made, or say that another makes it.

        What is there of another file, or of another version of this package, is deleted.
        On Windows, where a folder with open files cannot be renamed, nothing keeps two apart;
        they write the same.
        """
        if os.name != "posix":
            self._clear_others()
            yield True
            return
        with contextlib.ExitStack() as stack:
            is_mine = False
            # It may be locked, or be finished by another a moment ago.
            with contextlib.suppress(BlockingIOError, FileNotFoundError):
                file = stack.enter_context(locked(self.part / INDEX, "ab"))
                is_mine = _is_same(file, self.part / INDEX)
                if is_mine:
                    self._clear_others()
            yield is_mine

    def _clear_others(self) -> None:
        """Delete what is there of another map."""
        stamp = self.identity.stamp(self.layout)
        if read_meta(self.part) != stamp:
            for name in (DATA, INDEX):
                (self.part / name).open("ab").close()
                os.truncate(self.part / name, 0)
            write_meta(self.part, stamp)

    def finish(self) -> None:
        """Put a cache that is complete in its place.

        Raises
        ------
        CubeError
            The system does not let it.
        """
        stamp = self.identity.stamp(self.layout)
        write_meta(self.part, {**stamp, "sizes": sizes_of(self.part)})
        # Where there are no locks, another may have finished it a moment ago.
        if self.folder.exists() and not self.is_finished():
            discard(self.folder)
        try:
            os.rename(self.part, self.folder)
        except OSError as exc:
            if not self.is_finished():
                raise CubeError(
                    f"The cache cannot be moved in its place: {exc}."
                ) from exc
            discard(self.part)


def _is_same(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def read_meta(place: Path) -> dict[str, Any] | None:
    """Return what is written with a cache; None if it is not there, or damaged."""
    try:
        found = json.loads((place / _META).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def write_meta(place: Path, meta: dict[str, Any]) -> None:
    """Write what is kept with a cache."""
    with replacing(place / _META) as file:
        file.write(json.dumps(meta).encode())


def sizes_of(place: Path) -> dict[str, int]:
    """Return the sizes of the files of a cache, in bytes."""
    sizes = {}
    for name in (INDEX, DATA):
        with contextlib.suppress(OSError):
            sizes[name] = (place / name).stat().st_size
    return sizes


def discard(place: Path) -> None:
    """Delete a cache; whoever reads it finds it gone, not half of it."""
    away = place.with_name(f"{place.name}.{secrets.token_hex(4)}.old")
    with contextlib.suppress(OSError):
        os.rename(place, away)
        shutil.rmtree(away, ignore_errors=True)


def touch(place: Path) -> None:
    """Say that a cache is in use, now and then: others are deleted before it."""
    with contextlib.suppress(OSError):
        if time.time() - _last_used(place) > CUBE_TOUCHED_S:
            os.utime(place / _META)


def make_room(kept: str, n_bytes: int) -> None:
    """Delete the caches that were used longest ago, so that another fits the budget.

    Parameters
    ----------
    kept
        Name of the one that is made.
    n_bytes
        How large it is, or will be.
    """
    others = []
    for place in _listing():
        name = place.name.removesuffix(_PART)
        if place.suffix == ".old":
            shutil.rmtree(place, ignore_errors=True)
        elif name != kept and place.is_dir():
            used = _last_used(place)
            is_left = place.suffix == _PART and time.time() - used > CUBE_KEPT_S
            is_replaced = name[:16] == kept[:16] and not _is_of_file(place)
            if is_left or is_replaced:
                discard(place)
            else:
                others.append((used, sum(sizes_of(place).values()), place))
    left = budget() - n_bytes
    for _, size, place in sorted(others, reverse=True):
        left -= size
        if left < 0:
            discard(place)


def _listing() -> list[Path]:
    try:
        return list(folder().iterdir())
    except OSError:
        return []


def _last_used(place: Path) -> float:
    times = [0.0]
    for name in (_META, DATA):
        with contextlib.suppress(OSError):
            times.append((place / name).stat().st_mtime)
    return max(times)


def _is_of_file(place: Path) -> bool:
    """Tell whether the files that a cache was made of are still the same."""
    meta = read_meta(place)
    return meta is not None and are_current(meta.get("files", ()))


class Room:
    """Watches that a cache that is made fits the disk and the budget.

    Parameters
    ----------
    place
        Of the cache.
    """

    def __init__(self, place: Place) -> None:
        self.place, self.most = place, budget()
        self.is_made = False

    def check(self, n_done: int, n_bytes: int) -> None:
        """Look after each cell whether the rest will fit.

        Parameters
        ----------
        n_done
            How many cells are done.
        n_bytes
            That are written so far.

        Raises
        ------
        CacheFullError
            It will not.
        """
        n_all = self.place.layout.n_cells
        is_known = n_done and 8 * n_done >= n_all
        expected = n_bytes * n_all // n_done if is_known else n_bytes
        if expected > self.most:
            raise CacheFullError(
                f"The cache of the map takes about {expected / 1e9:.1f} GB, expected at most "
                f"{self.most / 1e9:.1f} GB: set {BUDGET} to more."
            )
        free = shutil.disk_usage(self.place.part).free
        if free - (expected - n_bytes) < CUBE_FREE_BYTES:
            raise self.full(free)
        if is_known and not self.is_made:
            make_room(self.place.identity.name, expected)
            self.is_made = True

    @staticmethod
    def full(free: int = 0) -> CacheFullError:
        """Return the error of a disk that is full."""
        return CacheFullError(
            f"The disk of the folder {folder()} has {free / 1e9:.1f} GB of room, too little "
            f"for the cache of the map, expected {CUBE_FREE_BYTES / 1e9:.1f} GB beside it: "
            f"delete files, or set {cache.FOLDER} to a folder of another disk."
        )


def is_full(error: OSError) -> bool:
    """Tell whether an error is that of a disk, or of a quota, that is full."""
    return error.errno in _FULL
