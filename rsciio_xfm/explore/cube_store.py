"""Where the caches of maps lie: their files, their chunks, their room on the disk.

A cache is a folder with the files ``index``, ``data`` and ``meta.json``. While it is made, its
name ends in ``.part``. Each chunk has a checksum that also tells which one it is.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
import shutil
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import dask.utils
import numpy as np

from rsciio_xfm.core import cache, faults
from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.atomic import locked, replacing
from rsciio_xfm.core.config import (
    CUBE_BYTES,
    CUBE_FREE_BYTES,
    CUBE_KEPT_S,
    CUBE_MAP_BYTES,
    CUBE_TOUCHED_S,
    SETTLED_S,
)
from rsciio_xfm.core.extras import require
from rsciio_xfm.core.source import LocalFile, Source, open_unbuffered, read_into
from rsciio_xfm.core.stream import RecordStream
from rsciio_xfm.explore.cube_border import plain_of
from rsciio_xfm.explore.cube_layout import Layout

EXTRA = "explore"
SWITCH = "RSCIIO_XFM_CUBES"
BUDGET = "RSCIIO_XFM_CUBE_BYTES"
KIND = "cube-2"
_FOLDER = "cubes"
_INDEX, _DATA, _META, _PART = "index", "data", "meta.json", ".part"
_ENTRY = np.dtype([("offset", "<u8"), ("size", "<u4"), ("check", "<u4")])
_WHERE = struct.Struct("<QII")  # the same
_AS_IT_IS, _BITSHUFFLE = 0, 2
FAST, SMALL = (b"lz4", 9), (b"zstd", 1)  # codecs and levels; a chunk says which it has
_FINISHED, _WITH_PIXELS = 1, 2  # of the mark of a cell
_SLOWER = 4  # times as long as numbers take records to be read, of as many bytes
_HEADER = 16  # bytes of Blosc's
# Version of its format, of its codec, flags, bytes of a number, bytes of all and of a part.
_HEAD = struct.Struct("<4B2I")
_VERSION = 2  # of Blosc's format
_HOW, _BITS_SORTED = 0b111, 0b100  # flags: bytes sorted, stored as it is, bits sorted
_NEAR = 256  # chunks, whose entries are read together
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PLAIN = frozenset((str, bytes, bool, int, float, type(None)))
Codec = tuple[bytes, int]
_WIDTHS = {width: np.dtype(f"u{width}") for width in (1, 2, 4, 8)}


class CubeError(RuntimeError):
    """A map has no cache: it does not suit one, or the user wants none."""


class CacheFullError(CubeError):
    """There is no room for the cache of a map, on the disk or within its budget."""


class CacheLostError(CubeError):
    """The cache of a map is damaged or was deleted; it is to be made anew."""


class DamagedError(Exception):
    """A chunk is not what was written."""


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


def unsuited(source: FileArray) -> str:
    """Return why a map cannot have a cache, nothing if it can.

    Parameters
    ----------
    source
        The map.
    """
    if source.ndim != 3 or source.dtype.kind != "u" or 0 in source.shape:
        return "Only maps of counts, with two axes besides the energy, are cached."
    if is_off():
        return f"The environment variable {SWITCH} or {cache.SWITCH} switches caches off."
    return ""


def why_not(source: FileArray) -> str:
    """Return why a map gets no cache, nothing if it does well to have one.

    Parameters
    ----------
    source
        The map.
    """
    n_bytes = math.prod(source.shape) * source.dtype.itemsize
    if isinstance(source, RecordStream):
        n_bytes = min(n_bytes, _SLOWER * source.file_bytes())
    small = "A map as small as this one needs no cache."
    return unsuited(source) or (small if n_bytes < CUBE_MAP_BYTES else "")


# Which file it is of ----------------------------------------------------------------------


def sources_of(value: Any) -> Iterator[Source]:
    """Yield the files that are somewhere in the fields of an array."""
    if isinstance(value, Source):
        yield value
    elif isinstance(value, dict):
        yield from sources_of(tuple(value.values()))
    elif isinstance(value, tuple | list):
        if not _PLAIN.issuperset(map(type, value)):  # as large indices have them
            for item in value:
                yield from sources_of(item)
    elif is_dataclass(value) and not isinstance(value, type):
        found = getattr(value, "source", None)
        if isinstance(found, Source):
            yield found
        for field in fields(value):
            yield from sources_of(getattr(value, field.name))


@dataclass(frozen=True)
class Identity:
    """What tells a map, and the file that it is in, from any other.

    Attributes
    ----------
    token
        Of the array: of the paths of its files, their sizes and times, and what is read.
    files
        Name, size (bytes), and times of modification and of change (ns) of each file.
    """

    token: str
    files: tuple[tuple[str, int, int, int], ...]

    @classmethod
    def of(cls, source: FileArray) -> "Identity":
        """Identify the map of an array as its file is now.

        Raises
        ------
        CorruptFileError
            The file is not the one that was opened.
        OSError
            It is not there any more.
        """
        found = []
        for _, one in sorted({s.name: s for s in sources_of(source)}.items()):
            if isinstance(one, LocalFile):
                now = os.stat(one.name)
                identity = (now.st_size, now.st_mtime_ns)
                if identity != one.version[:2]:
                    raise faults.changed(one.name, identity, one.version)
                found.append((one.name, *identity, now.st_ctime_ns))
        return cls(source.__dask_tokenize__(), tuple(found))

    def wait_until_settled(self) -> None:
        """Wait while the file could be written again without its time changing."""
        newest = max((modified for _, _, modified, _ in self.files), default=0)
        left = newest / 1e9 + SETTLED_S - time.time()
        time.sleep(min(max(0.0, left), SETTLED_S))

    @cached_property
    def name(self) -> str:
        """Of the folder: one path's begin alike."""
        return f"{self._path_hash}-{self.token[:16]}"

    @property
    def _path_hash(self) -> str:
        path = self.files[0][0] if self.files else ""
        return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]

    def stamp(self, layout: Layout) -> dict[str, Any]:
        """Return what is written with the cache."""
        own = {"kind": KIND, "token": self.token, "files": self.files}
        return json.loads(json.dumps({**own, "layout": asdict(layout)}))


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
                file = stack.enter_context(locked(self.part / _INDEX, "ab"))
                is_mine = _is_same(file, self.part / _INDEX)
                if is_mine:
                    self._clear_others()
            yield is_mine

    def _clear_others(self) -> None:
        """Delete what is there of another map."""
        stamp = self.identity.stamp(self.layout)
        if read_meta(self.part) != stamp:
            for name in (_DATA, _INDEX):
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
    for name in (_INDEX, _DATA):
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
    for name in (_META, _DATA):
        with contextlib.suppress(OSError):
            times.append((place / name).stat().st_mtime)
    return max(times)


def _is_of_file(place: Path) -> bool:
    """Tell whether the files that a cache was made of are still the same."""
    meta = read_meta(place)
    return meta is not None and are_current(meta.get("files", ()))


def are_current(files: Iterable) -> bool:
    """Tell whether files are still those that they were.

    Parameters
    ----------
    files
        As of :class:`Identity`.
    """
    try:
        for name, *expected in files:
            now = os.stat(name)
            if [now.st_size, now.st_mtime_ns, now.st_ctime_ns] != expected:
                return False
    except (OSError, TypeError, ValueError):
        return False
    return True


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


# Chunks -----------------------------------------------------------------------------------


def _seed(number: int) -> int:
    return zlib.crc32(number.to_bytes(8, "little"))


def narrow(array: np.ndarray, highest: int | None = None) -> np.ndarray:
    """Return whole numbers as the narrowest type that holds them.

    Parameters
    ----------
    array
        Unsigned integers.
    highest
        The highest of them, if it is known.
    """
    high = int(array.max()) if highest is None else int(highest)
    width = next(w for w, d in _WIDTHS.items() if high <= np.iinfo(d).max)
    return array.astype(_WIDTHS[width], copy=False)


def _mark(entries: np.ndarray, cell: int) -> int:
    """Return the checksum of where the chunks of a cell are."""
    content = entries.copy()
    content["check"][-1] = 0
    return zlib.crc32(content.view(np.uint8).data, _seed(cell))


def _find_finished(index: BinaryIO, n_data: int, layout: Layout) -> tuple[int, int]:
    """Return how many cells are finished, of a cache that is made, and bytes of data."""
    n_done, n_bytes = 0, 0
    found = np.zeros(layout.n_chunks, dtype=_ENTRY)
    raw = found.view(np.uint8)
    while n_done < layout.n_cells:
        n_read = read_into(index, n_done * raw.size, raw, raw.size)
        end = found[-1]
        if n_read < raw.size or end["check"] != _mark(found, n_done):
            break
        if end["offset"] > n_data:
            break
        n_done, n_bytes = n_done + 1, int(end["offset"])
    return n_done, n_bytes


class ChunkWriter:
    """Writes the chunks of a cache, cell by cell, after those that are there.

    Parameters
    ----------
    place
        Its folder.
    layout
        Of the cache.
    """

    def __init__(self, place: Path, layout: Layout) -> None:
        self._blosc = require("numcodecs.blosc", EXTRA)
        self.n_done, self.n_bytes = 0, 0
        self._layout, self._place = layout, place
        self._entries = np.zeros(layout.n_chunks, dtype=_ENTRY)

    def __enter__(self) -> "ChunkWriter":
        self._data = open(self._place / _DATA, "r+b", buffering=2**20)
        self._index = open(self._place / _INDEX, "r+b", buffering=0)
        n_data = os.fstat(self._data.fileno()).st_size
        found = _find_finished(self._index, n_data, self._layout)
        self.n_done, self.n_bytes = found
        self._data.truncate(self.n_bytes)
        self._data.seek(self.n_bytes)
        return self

    def __exit__(self, *_: object) -> None:
        self._index.close()
        with contextlib.suppress(OSError):  # of a full disk, that was told already
            self._data.close()

    def put(
        self,
        number: int,
        array: np.ndarray,
        highest: int | None = None,
        codec: Codec = FAST,
    ) -> None:
        """Write a chunk of the cell that is under way.

        Parameters
        ----------
        number
            Within the cell.
        array
            Unsigned integers.
        highest
            The highest of them, if it is known; nothing is written of zeros.
        codec
            To be decoded fast, or small.
        """
        self.put_packed(number, self._pack(array, highest, codec))

    def put_packed(self, number: int, raw: bytes) -> None:
        """Write a chunk of the cell that is under way, which is compressed already."""
        first = self.n_done * self._layout.n_chunks
        self._entries[number] = self._write(first + number, raw)

    def _pack(
        self, array: np.ndarray, highest: int | None = None, codec: Codec = FAST
    ) -> bytes:
        high = int(array.max(initial=0)) if highest is None else int(highest)
        if high == 0:
            return b""
        array = np.ascontiguousarray(narrow(array, high))
        return bytes(self._blosc.compress(array, *codec, _BITSHUFFLE, 0))

    def pack_words(self, words: np.ndarray, codec: Codec) -> bytes:
        """Compress words whose bits are sorted already; nothing is left of none."""
        if not words.size:
            return b""
        raw = words.reshape(-1).view(np.uint8)
        return bytes(self._blosc.compress(raw, *codec, _AS_IT_IS, 0))

    def _write(self, number: int, raw: bytes) -> tuple[int, int, int]:
        self._data.write(raw)
        offset, self.n_bytes = self.n_bytes, self.n_bytes + len(raw)
        return offset, len(raw), zlib.crc32(raw, _seed(number))

    def finish_cell(self, has_pixels: bool = False) -> None:
        """Say that all chunks of the cell are written, perhaps pixels of blocks too."""
        self._data.flush()
        mark = _WITH_PIXELS if has_pixels else _FINISHED
        self._entries[-1] = (self.n_bytes, mark, 0)
        self._entries["check"][-1] = _mark(self._entries, self.n_done)
        self._write_index(self.n_done * self._layout.n_chunks, self._entries)
        self.n_done += 1
        self._entries = np.zeros(self._layout.n_chunks, dtype=_ENTRY)

    def put_field(self, number: int, array: np.ndarray) -> None:
        """Write a chunk of fields, after all cells."""
        entry = np.array([self._write(number, self._pack(array))], dtype=_ENTRY)
        self._data.flush()
        self._write_index(number, entry)

    def _write_index(self, first: int, entries: np.ndarray) -> None:
        self._index.seek(first * _ENTRY.itemsize)
        self._index.write(entries.view(np.uint8).data)


class ChunkReader:
    """Reads chunks of a cache, in one thread.

    Parameters
    ----------
    place
        Its folder.
    """

    def __init__(self, place: Path) -> None:
        self._blosc = require("numcodecs.blosc", EXTRA)
        self._place = place
        self._raw = np.empty(2**17, dtype=np.uint8)
        self._plain = np.empty(2**18, dtype=np.uint8)
        self._near = np.empty(_NEAR * _ENTRY.itemsize, dtype=np.uint8)

    def __enter__(self) -> "ChunkReader":
        with contextlib.ExitStack() as stack:
            self._index = stack.enter_context(open_unbuffered(self._place / _INDEX))
            self._data = stack.enter_context(open_unbuffered(self._place / _DATA))
            self._files = stack.pop_all()
        self._n_data = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def count_finished(self, layout: Layout) -> tuple[int, int]:
        """Return how many cells of a cache are finished, and how many bytes these have."""
        return _find_finished(self._index, os.fstat(self._data.fileno()).st_size, layout)

    def has_pixels(self, layout: Layout, cell: int) -> bool:
        """Tell whether the pixels of the blocks of a cell were kept."""
        (end,) = self._entries([cell * layout.n_chunks + layout.end])
        return end[1] == _WITH_PIXELS

    def _entries(self, numbers: list[int]) -> list[tuple[int, int, int]]:
        """Return where chunks are that are near each other, their sizes and checksums."""
        first, size = numbers[0], _ENTRY.itemsize
        n_bytes = (numbers[-1] - first + 1) * size
        if n_bytes > self._near.size:
            self._near = np.empty(n_bytes, dtype=np.uint8)
        if read_into(self._index, first * size, self._near, n_bytes) < n_bytes:
            raise DamagedError("the index ends early")
        near = self._near.data
        return [_WHERE.unpack_from(near, (number - first) * size) for number in numbers]

    def chunk(self, number: int, shape: tuple[int, ...]) -> np.ndarray | None:
        """Return a chunk, in memory that the next one is read into; None if it is zeros.

        Parameters
        ----------
        number
            Of the chunk.
        shape
            Of what it holds; its first size may be -1, as many as there are.

        Raises
        ------
        DamagedError
            It is not what was written.
        """
        (raw,) = self.raws([number])
        return None if raw is None else self.decode(raw, shape)

    def raws(self, numbers: list[int]) -> Iterator[np.ndarray | None]:
        """Yield chunks as they lie, in memory that is used again; None for zeros.

        Parameters
        ----------
        numbers
            Of the chunks, in ascending order.

        Raises
        ------
        DamagedError
            One is not what was written.
        """
        for run in _runs(numbers, _NEAR):
            entries = zip(run, self._entries(run), strict=True)
            found = [(number, *entry) for number, entry in entries]
            for group in _neighbours(found):
                offset, size = group[0][1], sum(size for _, _, size, _ in group)
                raw = self._read(offset, size)
                for number, at, n, check in group:
                    own = raw[at - offset : at - offset + n] if n else raw[:0]
                    if zlib.crc32(own.data, _seed(number)) != check:
                        raise DamagedError(f"chunk {number} is not what was written")
                    yield own if n else None

    def _read(self, offset: int, size: int) -> np.ndarray:
        if size and offset + size > self._n_data:
            self._n_data = os.fstat(self._data.fileno()).st_size  # it may be made now
            if offset + size > self._n_data:
                raise DamagedError("a chunk is beyond the end")
        if size > self._raw.size:
            self._raw = np.empty(size, dtype=np.uint8)
        raw = self._raw[:size]
        if size and read_into(self._data, offset, raw, size) != size:
            raise DamagedError("the data end early")
        return raw

    def decode(self, raw: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Decode a chunk; see :meth:`chunk`."""
        _, _, _, width, n_plain, _ = (
            _HEAD.unpack_from(raw.data) if raw.size >= _HEADER else (0,) * 6
        )
        if width not in _WIDTHS:
            raise DamagedError("a chunk is not of whole numbers")
        n_one = math.prod(shape[1:]) * width
        n = n_plain if shape[0] < 0 else shape[0] * n_one
        if n_plain != n or n % n_one:
            raise DamagedError("a chunk has another size")
        return self._decompress(raw, n).view(_WIDTHS[width]).reshape(shape)

    def words(self, raw: np.ndarray, n: int) -> np.ndarray | None:
        """Decode a chunk of numbers to their bits, as they are sorted in it.

        Parameters
        ----------
        raw
            The chunk.
        n
            How many numbers it has, a multiple of 64.

        Returns
        -------
        numpy.ndarray or None
            uint64, shape (bits, n / 64), from the lowest bits on; None if it is compressed
            in another way, or in several parts.
        """
        if raw.size < _HEADER:
            return None
        # See README_CHUNK_FORMAT of Blosc 1: its version, and what was done to the numbers.
        version, _, how, width, n_plain, n_part = _HEAD.unpack_from(raw.data)
        n_bytes = n * width
        is_one = width in _WIDTHS and n_plain == n_bytes <= n_part
        if not is_one or version != _VERSION or how & _HOW != _BITS_SORTED:
            return None
        raw[2] = how & ~_BITS_SORTED  # so that the bits are left as they are
        plain = self._decompress(raw, n_bytes)
        raw[2] = how
        return plain.view("<u8").reshape(8 * width, -1)

    def _decompress(self, raw: np.ndarray, n: int) -> np.ndarray:
        if n > self._plain.size:
            self._plain = np.empty(n, dtype=np.uint8)
        plain = self._plain[:n]
        try:
            self._blosc.decompress(raw, plain)
        except (RuntimeError, ValueError) as exc:
            raise DamagedError("a chunk cannot be decompressed") from exc
        return plain


def _runs(numbers: list[int], most: int) -> Iterator[list[int]]:
    """Put numbers together that are not far from each other."""
    run: list[int] = []
    for number in numbers:
        if run and number - run[-1] > most:
            yield run
            run = []
        run.append(number)
    if run:
        yield run


def _neighbours(
    entries: list[tuple[int, int, int, int]],
) -> Iterator[list[tuple[int, int, int, int]]]:
    """Put chunks together that follow each other in the file."""
    group: list[tuple[int, int, int, int]] = []
    for entry in entries:
        if group and entry[1] != group[-1][1] + group[-1][2]:
            yield group
            group = []
        group.append(entry)
    if group:
        yield group
