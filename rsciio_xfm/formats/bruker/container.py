"""The container of a ``.bcf`` file: which files are in it, and where their bytes are."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rsciio_xfm.core.fields import check_fields, read_fields
from rsciio_xfm.core.runs import Bytes, Read, read_ranges
from rsciio_xfm.core.source import LocalFile, Reader, Source
from rsciio_xfm.exceptions import CorruptFileError, TruncatedFileError
from rsciio_xfm.formats.bruker import layout

_MOST_DEEP = 16  # folders; 1 in the files seen


@dataclass(frozen=True)
class Item:
    """A file in a container: chunk of its table, size in bytes, where it is listed."""

    table: int
    size: int
    byte: int


@dataclass(frozen=True)
class Container:
    """A container: the file, size of its chunks in bytes, and the files in it by path."""

    source: Source
    chunk_bytes: int
    items: dict[str, Item]

    @property
    def payload(self) -> int:
        """Bytes of a chunk that are a file's."""
        return self.chunk_bytes - layout.CHUNK_HEAD_BYTES


@dataclass(frozen=True, eq=False)
class StoredBytes(Bytes):
    """A file in a container, as it is stored.

    Attributes
    ----------
    source
        The container.
    offsets
        int64, byte at which the payload of each of its chunks begins.
    payload
        Bytes of a chunk.
    size
        Bytes of the file.
    present
        Bytes, from the first one on, that are there: fewer if the container was cut.
    """

    source: Source
    offsets: np.ndarray
    payload: int
    size: int
    present: int

    @contextmanager
    def opened(self) -> Iterator[Read]:
        """Open the container; see :class:`rsciio_xfm.core.runs.Bytes`."""
        with self.source.open() as reader:
            yield lambda starts, stops, out: self._read(reader, starts, stops, out)

    def byte_of(self, position: int) -> int:
        """Return the byte of the container at which a byte of the file is."""
        chunk, rest = divmod(position, self.payload)
        return int(self.offsets[chunk]) + rest if chunk < len(self.offsets) else -1

    def _read(
        self, reader: Reader, starts: np.ndarray, stops: np.ndarray, out: np.ndarray
    ) -> None:
        firsts, lasts = starts // self.payload, -(-stops // self.payload)
        which = np.repeat(np.arange(len(starts)), lasts - firsts)
        before = np.cumsum(lasts - firsts) - lasts
        chunks = np.arange(len(which)) - before[which]
        begins = np.maximum(starts[which], chunks * self.payload)
        ends = np.minimum(stops[which], (chunks + 1) * self.payload)
        offsets = self.offsets[chunks] + begins - chunks * self.payload
        read_ranges(reader, offsets, ends - begins, out)


@dataclass(frozen=True, eq=False)
class InflatedBytes(Bytes):
    """A file in a container that is stored as blocks of zlib.

    Attributes
    ----------
    stored
        As it is stored.
    starts, sizes
        int64, where each block is in that.
    block_bytes
        Of a block when it is decompressed; the last one may have less.
    size
        Of all of them, decompressed.
    is_cut
        Whether blocks are missing, as the container was cut.
    """

    stored: StoredBytes
    starts: np.ndarray
    sizes: np.ndarray
    block_bytes: int
    size: int
    is_cut: bool

    @property
    def source(self) -> Source:  # type: ignore[override]
        """The container."""
        return self.stored.source

    @property
    def present(self) -> int:
        """Bytes that are there."""
        return self.size

    @contextmanager
    def opened(self) -> Iterator[Read]:
        """Open the container; see :class:`rsciio_xfm.core.runs.Bytes`."""
        with self.stored.opened() as read:
            # The last block, which the next range begins in.
            held: dict[int, np.ndarray] = {}

            def block(number: int) -> np.ndarray:
                if number not in held:
                    held.clear()
                    held[number] = self._inflate(read, number)
                return held[number]

            yield lambda starts, stops, out: self._read(block, starts, stops, out)

    def byte_of(self, position: int) -> int:
        """Return the byte of the container at which the block of a byte begins."""
        number = position // self.block_bytes
        number = min(number, len(self.starts) - 1)
        return self.stored.byte_of(int(self.starts[number])) if number >= 0 else -1

    def _read(
        self,
        block: Callable[[int], np.ndarray],
        starts: np.ndarray,
        stops: np.ndarray,
        out: np.ndarray,
    ) -> None:
        at = 0
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            begin = start
            while begin < stop:
                number, first = divmod(begin, self.block_bytes)
                part = block(number)[first : first + stop - begin]
                out[at : at + part.size] = part
                at, begin = at + part.size, begin + part.size

    def _inflate(self, read: Read, number: int) -> np.ndarray:
        """Decompress a block; never more than it can have."""
        raw = np.empty(self.sizes[number], dtype=np.uint8)
        span = self.starts[number : number + 1]
        read(span, span + raw.size, raw)
        expected = min(self.block_bytes, self.size - number * self.block_bytes)
        return inflate(self, raw, number, expected, expected)


def inflate(
    data: InflatedBytes, raw: np.ndarray, number: int, least: int, most: int
) -> np.ndarray:
    """Decompress a block that has to have so many bytes.

    Raises
    ------
    CorruptFileError
        It is no zlib stream, or has fewer or more.
    """
    engine = zlib.decompressobj()
    try:
        found = engine.decompress(raw.data, most + 1)
    except zlib.error as exc:
        problem = f"cannot be decompressed ({exc})"
    else:
        if least <= len(found) <= most and engine.eof:
            return np.frombuffer(found, dtype=np.uint8)
        problem = f"has {len(found)} bytes or more"
    raise CorruptFileError(
        f"{data.source.name}: block {number} of compressed data {problem}, expected {least} "
        f"to {most} bytes of zlib (byte {data.byte_of(number * data.block_bytes)}). The "
        "file is damaged: copy it again."
    )


def read_container(filename: str | Path) -> Container:
    """Read which files are in a container.

    Parameters
    ----------
    filename
        Path of the ``.bcf`` file.

    Raises
    ------
    FileFormatError
        It is no container of this kind.
    CorruptFileError
        Its tables contradict themselves.
    """
    source = LocalFile.of(filename)
    (head,) = read_fields(source, 0, layout.CONTAINER)
    check_fields(source, head, layout.BOUNDS)
    chunk_bytes, n_items = int(head["chunk_bytes"]), int(head["n_items"])
    container = Container(source, chunk_bytes, {})
    n_at_once = container.payload // layout.ITEM.itemsize
    spans = _chain(container, int(head["table"]), -(-n_items // n_at_once))
    parts = [read_fields(source, at, layout.ITEM, n_at_once) for at in spans[:-1]]
    rest = n_items - n_at_once * len(parts)
    table = np.concatenate([*parts, read_fields(source, spans[-1], layout.ITEM, rest)])
    bytes_of = [at + i * layout.ITEM.itemsize for at in spans for i in range(n_at_once)]
    names = [name.decode("utf-8", "replace") for name in table["name"].tolist()]
    for i in range(n_items):
        path = _path_of(container, names, table["parent"], i, bytes_of[i])
        if not table["is_folder"][i]:
            item = Item(int(table["pointers"][i]), int(table["size"][i]), bytes_of[i])
            _check_size(container, path, item)
            container.items[path] = item
    return container


def _check_size(container: Container, path: str, item: Item) -> None:
    """Refuse a file that is larger than all of the container can be."""
    if item.size > container.source.size and item.size > container.payload:
        present = container.source.size
        raise TruncatedFileError(
            f"{container.source.name}: {path} has {item.size} bytes and the file {present}, "
            f"expected more than that (byte {item.byte + 4}). The file is cut, or damaged."
        )


def _path_of(
    container: Container, names: list[str], parents: np.ndarray, i: int, byte: int
) -> str:
    """Return the path of an item."""
    parts, parent = [names[i]], int(parents[i])
    while 0 <= parent < len(names) and len(parts) <= _MOST_DEEP:
        parts.append(names[parent])
        parent = int(parents[parent])
    if parent != -1:
        raise CorruptFileError(
            f"{container.source.name}: the folder of {names[i]!r:.60} is number {parent}, "
            f"expected -1 to {len(names) - 1} and at most {_MOST_DEEP} folders in each other "
            f"(byte {byte + 40}). The file is damaged."
        )
    return "/".join(reversed(parts))


def _chain(container: Container, first: int, n: int) -> list[int]:
    """Return the bytes at which the payloads of a chain of chunks begin."""
    source, chunk, found = container.source, first, []
    for _ in range(n):
        head = chunk * container.chunk_bytes + layout.CHUNK_START
        at = head + layout.CHUNK_HEAD_BYTES
        if chunk < 0 or at > source.size:
            raise TruncatedFileError(
                f"{source.name}: a table is in chunk {chunk}, expected one of the file's "
                f"{source.size // container.chunk_bytes} (byte {source.size}). The file is "
                "cut, or damaged."
            )
        if at in found:
            raise CorruptFileError(
                f"{source.name}: chunk {chunk} follows itself in a table, expected {n} "
                f"different chunks (byte {head}). The file is damaged."
            )
        found.append(at)
        if len(found) < n:
            chunk = int(read_fields(source, head, layout.NUMBER)[0])
    return found


def open_item(container: Container, path: str) -> StoredBytes | InflatedBytes:
    """Return the bytes of a file in a container.

    Parameters
    ----------
    container
        From :func:`read_container`.
    path
        One of its items.

    Raises
    ------
    CorruptFileError
        Its table contradicts itself.
    TruncatedFileError
        The container ends before its table, or its first bytes.
    """
    item = container.items[path]
    stored = StoredBytes(
        container.source, *_chunks_of(container, path, item), size=item.size, present=0
    )
    stored = replace(stored, present=_count_present(stored))
    n_head = layout.COMPRESSION.itemsize
    if item.size < n_head:
        return stored
    if stored.present < n_head:
        raise TruncatedFileError(
            f"{container.source.name}: {path} begins at byte {stored.byte_of(0)}, expected "
            f"it within the file's {container.source.size} bytes (byte "
            f"{container.source.size}). The file is cut."
        )
    (head,) = read_part(stored, 0, n_head).view(layout.COMPRESSION)
    return (
        _find_blocks(stored, path, head) if head["mark"] == layout.COMPRESSED else stored
    )


def _chunks_of(container: Container, path: str, item: Item) -> tuple[np.ndarray, int]:
    """Return where the chunks of a file begin, and how many bytes each has."""
    n_chunks = -(-item.size // container.payload)
    n_at_once = container.payload // layout.NUMBER.itemsize
    numbers, source = np.empty(n_chunks, dtype=np.int64), container.source
    spans = _chain(container, item.table, -(-n_chunks // n_at_once))
    for i, at in enumerate(spans):
        part = numbers[i * n_at_once : (i + 1) * n_at_once]
        part[:] = read_fields(source, at, layout.NUMBER, len(part))
    repeated = n_chunks - len(np.unique(numbers))
    if repeated:
        raise CorruptFileError(
            f"{source.name}: {repeated} of the {n_chunks} chunks of {path} stand twice in its "
            f"table, expected each once (byte {spans[0]}). The file is damaged."
        )
    start = layout.CHUNK_START + layout.CHUNK_HEAD_BYTES
    return numbers * container.chunk_bytes + start, container.payload


def _count_present(stored: StoredBytes) -> int:
    """Return how many bytes of a file, from the first on, are in the container."""
    n_wanted = np.full(len(stored.offsets), stored.payload)
    if len(n_wanted):
        n_wanted[-1] = stored.size - (len(n_wanted) - 1) * stored.payload
    left = stored.source.size - stored.offsets
    missing = np.flatnonzero(left < n_wanted)
    if not len(missing):
        return stored.size
    first = int(missing[0])
    return first * stored.payload + max(0, int(left[first]))


def _find_blocks(stored: StoredBytes, path: str, head: np.void) -> InflatedBytes:
    """Go through the heads of compressed blocks."""
    block_bytes, n_blocks = int(head["block_bytes"]), int(head["n_blocks"])
    most = stored.size // layout.BLOCK_HEAD.itemsize
    if not (0 < block_bytes <= layout.MAX_BLOCK_BYTES and 0 < n_blocks <= most):
        raise CorruptFileError(
            f"{stored.source.name}: {path} has {n_blocks} blocks of {block_bytes} bytes, "
            f"expected 1 to {most} of at most {layout.MAX_BLOCK_BYTES} (byte "
            f"{stored.byte_of(4)}). The file is damaged."
        )
    starts: list[int] = []
    sizes: list[int] = []
    at = layout.FIRST_BLOCK
    n_head = layout.BLOCK_HEAD.itemsize
    with stored.opened() as read:
        raw = np.empty(n_head, dtype=np.uint8)
        while len(starts) < n_blocks and at + n_head <= stored.present:
            read(np.array([at]), np.array([at + n_head]), raw)
            size = int(raw.view(layout.BLOCK_HEAD)["size"][0])
            at += n_head
            if at + size > stored.size:
                raise CorruptFileError(
                    f"{stored.source.name}: a compressed block of {path} has {size} bytes, "
                    f"expected at most the {stored.size - at} to its end (byte "
                    f"{stored.byte_of(at - n_head)}). The file is damaged."
                )
            if at + size > stored.present:
                break
            starts.append(at)
            sizes.append(size)
            at += size
    is_cut = len(starts) < n_blocks
    places = np.array(starts, dtype=np.int64), np.array(sizes, dtype=np.int64)
    data = InflatedBytes(stored, *places, block_bytes, len(starts) * block_bytes, is_cut)
    if is_cut or not starts:
        return data
    last = inflate(
        data, read_part(stored, starts[-1], sizes[-1]), n_blocks - 1, 0, block_bytes
    )
    return replace(data, size=(n_blocks - 1) * block_bytes + last.size)


def read_part(data: Bytes, start: int, n_bytes: int) -> np.ndarray:
    """Read some bytes of a file in a container."""
    raw = np.empty(n_bytes, dtype=np.uint8)
    with data.opened() as read:
        read(np.array([start]), np.array([start + n_bytes]), raw)
    return raw
