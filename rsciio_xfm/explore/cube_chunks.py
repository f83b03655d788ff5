"""The chunks of a cache: how they lie in its files, how they are written and read.

The file ``data`` has the chunks one after the other. The file ``index`` says of each number
where its chunk is, how many bytes it has, and a checksum that also tells which one it is.
"""

import contextlib
import math
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rsciio_xfm.core.extras import require
from rsciio_xfm.core.source import open_unbuffered, read_into
from rsciio_xfm.explore.cube_layout import Layout

_EXTRA = "explore"
INDEX, DATA = "index", "data"  # the files
_ENTRY = np.dtype([("offset", "<u8"), ("size", "<u4"), ("check", "<u4")])
_WHERE = struct.Struct("<QII")  # the same
_AS_IT_IS, _BITSHUFFLE = 0, 2
FAST, SMALL = (b"lz4", 9), (b"zstd", 1)  # codecs and levels; a chunk says which it has
_FINISHED, _WITH_PIXELS = 1, 2  # of the mark of a cell
_HEADER = 16  # bytes of Blosc's
# Version of its format, of its codec, flags, bytes of a number, bytes of all and of a part.
_HEAD = struct.Struct("<4B2I")
_VERSION = 2  # of Blosc's format
_HOW, _BITS_SORTED = 0b111, 0b100  # flags: bytes sorted, stored as it is, bits sorted
_NEAR = 256  # chunks, whose entries are read together
Codec = tuple[bytes, int]
_WIDTHS = {width: np.dtype(f"u{width}") for width in (1, 2, 4, 8)}


class DamagedError(Exception):
    """A chunk is not what was written."""


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
        self._blosc = require("numcodecs.blosc", _EXTRA)
        self.n_done, self.n_bytes = 0, 0
        self._layout, self._place = layout, place
        self._entries = np.zeros(layout.n_chunks, dtype=_ENTRY)

    def __enter__(self) -> "ChunkWriter":
        self._data = open(self._place / DATA, "r+b", buffering=2**20)
        self._index = open(self._place / INDEX, "r+b", buffering=0)
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
        self._blosc = require("numcodecs.blosc", _EXTRA)
        self._place = place
        self._known: tuple[int, int, int] | None = None
        self._raw = np.empty(2**17, dtype=np.uint8)
        self._plain = np.empty(2**18, dtype=np.uint8)
        self._near = np.empty(_NEAR * _ENTRY.itemsize, dtype=np.uint8)

    def __enter__(self) -> "ChunkReader":
        with contextlib.ExitStack() as stack:
            self._index = stack.enter_context(open_unbuffered(self._place / INDEX))
            self._data = stack.enter_context(open_unbuffered(self._place / DATA))
            self._files = stack.pop_all()
        self._n_data, self._known = 0, _known_by(os.fstat(self._index.fileno()))
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def is_replaced(self) -> bool:
        """Tell whether there is another cache by now than the one that was opened."""
        try:
            there = _known_by(os.stat(self._place / INDEX))
        except OSError:
            return False
        return self._known is not None and there != self._known

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


def _known_by(found: os.stat_result) -> tuple[int, int, int]:
    """Return what tells a file from another one of its name."""
    return found.st_dev, found.st_ino, found.st_mtime_ns


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
