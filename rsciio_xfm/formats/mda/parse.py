"""Headers of ``.mda`` files, each number held against the file's size."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.source import LocalFile, Reader
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from rsciio_xfm.formats.mda.layout import (
    HEAD_BYTES,
    INNER,
    MOST_RANK,
    N_TEXTS,
    POSITION,
    TEXT,
    TYPES,
    VALUE,
    VERSION,
    VERSIONS,
)

_BLOCK_BYTES = 2**14
_MOST_TEXT = 4096
_MOST_KEPT = 64  # numbers of a further variable
_LEAST_ITEM_BYTES = 12  # of positioners, detectors and further variables


@dataclass(frozen=True)
class Variable:
    """A positioner or a detector: name of the process variable, description, unit."""

    name: str
    description: str
    units: str


@dataclass(frozen=True, eq=False)
class Scan:
    """The header of a scan.

    Attributes
    ----------
    at
        Its first byte.
    rank, n_points, n_done
        As the file has them.
    inner
        int64, shape (points,): where the scan of each point begins, 0 if nowhere; empty
        of rank 1.
    name, time
        Texts.
    positioners, detectors
        In the order of their values.
    data
        Byte at which values begin.
    head
        All bytes before the values.
    """

    at: int
    rank: int
    n_points: int
    n_done: int
    inner: np.ndarray
    name: str
    time: str
    positioners: tuple[Variable, ...]
    detectors: tuple[Variable, ...]
    data: int
    time_at: tuple[int, int]
    head: bytes = field(repr=False)

    @property
    def end(self) -> int:
        """The byte behind its values."""
        return self.position_at(len(self.positioners)) + (
            len(self.detectors) * self.n_points * VALUE.itemsize
        )

    def position_at(self, i: int) -> int:
        """Return where the values of a positioner begin."""
        return self.data + i * self.n_points * POSITION.itemsize

    def value_at(self, i: int) -> int:
        """Return where the values of a detector begin."""
        start = self.position_at(len(self.positioners))
        return start + i * self.n_points * VALUE.itemsize


@dataclass(frozen=True, eq=False)
class File:
    """A file that is open.

    Attributes
    ----------
    source, reader
        The file.
    version, number, shape, extra
        What its header says: version of the format, number of the scan, planned sizes, and
        where further variables begin.
    scan
        The outermost one.
    """

    source: LocalFile
    reader: Reader
    version: float
    number: int
    shape: tuple[int, ...]
    extra: int
    scan: Scan

    def numbers(self, at: int, n: int, dtype: np.dtype) -> np.ndarray:
        """Read numbers, of this machine's byte order."""
        raw = np.empty(n * dtype.itemsize, dtype=np.uint8)
        self.reader.read(at, raw)
        return raw.view(dtype).astype(dtype.newbyteorder("="))


@contextmanager
def opened(path: Path) -> Iterator[File]:
    """Open a file, and read its header and that of the outermost scan.

    Raises
    ------
    FileFormatError, TruncatedFileError
        It is no such file, or ends within them.
    """
    source = LocalFile.of(path)
    with source.open() as reader:
        cursor = _Cursor(source, reader, 0)
        if source.size < HEAD_BYTES:
            raise TruncatedFileError(
                f"{path}: the file has {source.size} bytes, expected at least {HEAD_BYTES} "
                f"(byte {source.size})."
            )
        version = float(np.frombuffer(cursor.take(4), VERSION)[0])
        if not VERSIONS[0] <= version < VERSIONS[1]:
            raise FileFormatError(
                f"{path}: version is {version:.6g}, expected {VERSIONS[0]} to {VERSIONS[1]}, "
                "as of .mda files (byte 0)."
            )
        number = cursor.whole("number of the scan", -(2**31), 2**31)
        rank = cursor.whole("rank", 1, MOST_RANK)
        shape = tuple(cursor.whole("planned size", 0, 2**31) for _ in range(rank))
        cursor.whole("regular", -(2**31), 2**31)
        extra = cursor.whole("position of further variables", 0, 2**31)
        scan = read_scan(source, reader, cursor.at, rank)
        yield File(source, reader, version, number, shape, extra, scan)


class _Cursor:
    """Takes whole numbers and texts one after the other, some kilobytes read at a time."""

    def __init__(self, source: LocalFile, reader: Reader, at: int) -> None:
        self._source, self._reader = source, reader
        self.start = self.at = at
        self._block = b""  # the bytes from `start` on

    def read_from_start(self) -> bytes:
        """Return all that was taken."""
        return self._block[: self.at - self.start]

    def take(self, n: int) -> bytes:
        """Take bytes."""
        low, missing = self.at - self.start, self.at + n - self.start - len(self._block)
        if self.at + n > self._source.size:
            raise TruncatedFileError(
                f"{self._source.name}: the file has {self._source.size} bytes, expected at "
                f"least {self.at + n} (byte {self._source.size})."
            )
        if missing > 0:
            have = self.start + len(self._block)
            n_more = min(max(missing, _BLOCK_BYTES), self._source.size - have)
            more = np.empty(n_more, dtype=np.uint8)
            self._reader.read(have, more)
            self._block += more.tobytes()
        self.at += n
        return self._block[low : low + n]

    def whole(self, name: str, least: int, most: int) -> int:
        """Take a whole number, and check it."""
        value = int.from_bytes(self.take(4), "big", signed=True)
        if not least <= value <= most:
            raise FileFormatError(
                f"{self._source.name}: {name} is {value}, expected {least} to {most} (byte "
                f"{self.at - 4})."
            )
        return value

    def count(self, name: str, n_bytes: int) -> int:
        """Take a number of things that have some bytes each at least."""
        most = (self._source.size - self.at) // n_bytes
        return self.whole(name, 0, max(0, most))

    def text(self) -> str:
        """Take a text."""
        n = self.whole("length of a text", 0, _MOST_TEXT)
        if n == 0:
            return ""
        again = self.whole("length of a text", 0, _MOST_TEXT)
        return self.take(again + -again % 4)[:again].decode("latin-1").rstrip("\0")


def read_scan(source: LocalFile, reader: Reader, at: int, rank: int) -> Scan:
    """Read the header of a scan.

    Parameters
    ----------
    source, reader
        The file.
    at
        Where it begins.
    rank
        That it has to have.

    Raises
    ------
    FileFormatError, TruncatedFileError
        There is none.
    """
    cursor = _Cursor(source, reader, at)
    cursor.whole(f"rank of the scan at byte {at}", rank, rank)
    point_bytes = INNER.itemsize if rank > 1 else 1
    n_points = cursor.count("number of points", point_bytes)
    n_done = cursor.whole("number of points that are done", 0, n_points)
    inner = np.empty(0, np.int64)
    if rank > 1:
        raw = cursor.take(n_points * INNER.itemsize)
        inner = np.frombuffer(raw, INNER).astype(np.int64)
    name = cursor.text()
    start = cursor.at
    time = cursor.text()
    stop = cursor.at
    counts = {
        kind: cursor.count(f"number of {kind}s", _LEAST_ITEM_BYTES) for kind in N_TEXTS
    }
    positioners = [_read_item(cursor, "positioner") for _ in range(counts["positioner"])]
    detectors = [_read_item(cursor, "detector") for _ in range(counts["detector"])]
    for _ in range(counts["trigger"]):
        _read_item(cursor, "trigger")
        cursor.take(4)
    return Scan(
        at, rank, n_points, n_done, inner, name, time,
        tuple(Variable(own[0], own[1], own[3]) for own in positioners),
        tuple(Variable(*own) for own in detectors),
        cursor.at, (start - at, stop - at), cursor.read_from_start(),
    )  # fmt: skip


def _read_item(cursor: _Cursor, kind: str) -> list[str]:
    cursor.whole(f"number of a {kind}", -(2**31), 2**31)
    return [cursor.text() for _ in range(N_TEXTS[kind])]


def read_alike(file: File, at: int, first: Scan) -> Scan:
    """Read the header of a scan that is mostly one like `first`, which is faster then."""
    n_bytes = len(first.head)
    if at + n_bytes <= file.source.size:
        raw = np.empty(n_bytes, dtype=np.uint8)
        file.reader.read(at, raw)
        head = raw.tobytes()
        fixed = _fixed(first)
        if head[:8] == first.head[:8] and all(
            head[part] == first.head[part] for part in fixed
        ):
            n_done = int.from_bytes(head[8:12], "big", signed=True)
            if 0 <= n_done <= first.n_points:
                inner = np.frombuffer(head, INNER, len(first.inner), 12)
                start, stop = first.time_at
                time = head[start + 8 : stop].decode("latin-1").rstrip("\0")
                return replace(
                    first,
                    at=at,
                    n_done=n_done,
                    inner=inner.astype(np.int64),
                    time=time,
                    data=at + n_bytes,
                    head=head,
                )
    return read_scan(file.source, file.reader, at, first.rank)


def _fixed(scan: Scan) -> tuple[slice, slice, slice]:
    """Return the bytes of a header that are alike in all scans of a kind."""
    start, stop = scan.time_at
    names = 12 + scan.inner.size * INNER.itemsize
    return slice(names, start), slice(start, start + 8), slice(stop, None)


def check_positions(name: str | Path, outer: Scan, positions: np.ndarray) -> None:
    """Refuse positions of scans that are none, or twice the same.

    Parameters
    ----------
    name
        Of the file.
    outer
        The scan that has them, or the first of them.
    positions
        0 for none.
    """
    known = positions[positions > 0]
    if (positions < 0).any() or np.unique(known).size < known.size:
        raise CorruptFileError(
            f"{name}: positions of the scans of points are negative, or twice the same, "
            f"expected each once (byte {outer.at + 12})."
        )


def find_inner(file: File, outer: Scan) -> list[Scan | None]:
    """Return the scan of each point of another; None where there is none.

    Raises
    ------
    CorruptFileError
        A position is none within the file, or two points have the same.
    """
    positions = outer.inner
    check_positions(file.source.name, outer, positions)
    found: list[Scan | None] = []
    first = None
    for at in positions.tolist():
        scan = None
        if at and at < file.source.size:
            try:
                scan = (
                    read_scan(file.source, file.reader, at, outer.rank - 1)
                    if first is None
                    else read_alike(file, at, first)
                )
            except TruncatedFileError as exc:
                warn(f"{exc} The scan that begins at byte {at} is left out.")
        first = first or scan
        found.append(scan)
    return found


def read_extra(file: File) -> dict[str, Any]:
    """Read the further variables; those after something that cannot be are left out."""
    found: dict[str, Any] = {}
    if not file.extra:
        return found
    cursor = _Cursor(file.source, file.reader, file.extra)
    try:
        for _ in range(cursor.count("number of further variables", _LEAST_ITEM_BYTES)):
            name, _, value = cursor.text(), cursor.text(), _read_value(cursor)
            found[name] = value
    except FileFormatError as exc:
        warn(f"{exc} Further variables from there on are left out.")
    return found


def _read_value(cursor: _Cursor) -> Any:
    kind = cursor.whole("type of a further variable", -1, 64)
    if kind == TEXT:
        return cursor.text()
    if kind not in TYPES:
        raise FileFormatError(
            f"type of a further variable is {kind}, expected one of 0, "
            f"{', '.join(map(str, TYPES))} (byte {cursor.at - 4})."
        )
    dtype = np.dtype(TYPES[kind])
    n = cursor.count("number of values", dtype.itemsize)
    units = cursor.text()
    values = np.frombuffer(cursor.take(n * dtype.itemsize), dtype)[:_MOST_KEPT]
    if kind == 32:  # char: a text, mostly
        text = values.astype(np.uint8).tobytes().split(b"\0")[0]
        return text.decode("latin-1")
    plain: Any = values.tolist()
    plain = plain[0] if len(plain) == 1 else plain
    is_odd = isinstance(plain, float) and not math.isfinite(plain)
    return plain if is_odd or not units else f"{plain} {units}"
