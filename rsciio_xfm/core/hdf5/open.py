"""The one place that opens HDF5 files for reading, and looks at what HDF5 trusts in them.

HDF5 goes round for ever in a heap with an object of no bytes, and makes room for as long a
text as an attribute claims to have, up to 4 GiB, before it looks for it. Both pass by a
:class:`GuardedFile` on their way.

The layouts are those of the HDF5 File Format Specification, version 3.0: superblocks (II.A),
global heaps (III.E), object headers (IV.A.1), variable-length types (IV.A.2.d), attribute
messages (IV.A.2.m).
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from rsciio_xfm.core.source import (
    advise_on_zeros,
    check_regular,
    check_unchanged,
    identify,
)
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_HEAP, _HEADER, _CONTINUED = b"GCOL", b"OHDR", b"OCHK"
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ATTRIBUTE, _CONTINUATION = 0x0C, 0x10  # messages
_FILL_VALUES = (0x04, 0x05)
_VARIABLE_LENGTH = 9  # class of types
_COMPOSED = (6, 10)  # of others
_SHARED = 2  # flag of messages that stand elsewhere
# Byte at which the base of addresses is, by the version of the superblock; the end of the file
# is the third address from there.
_BASE = {0: 24, 1: 28, 2: 12}
_MOST_KEPT = 2**16  # places that are remembered
# Superblocks of version 3 have file consistency flags, at byte 11 (II.A).
_MARKING, _FLAGS, _OPEN, _SWMR = 3, 11, 1, 4
# What is raised of damaged files, among it what others raise too.
DAMAGED = (KeyError, OSError, OverflowError, RuntimeError, TypeError, ValueError)
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# How HDF5's errors begin, and h5py's of types that are damaged.
_CANNOT = (
    "Unable to",
    "Can't",
    "Couldn't",
    "Insufficient precision",
    "data type",
    "No NumPy equivalent",
    "Unknown string encoding",
    "Python int too large",
    "Zero-sized dimension",
)


class GuardedFile(io.FileIO):
    """A file opened for reading, for :class:`h5py.File`.

    Parameters
    ----------
    filename
        Path of the file.

    Attributes
    ----------
    expected_size
        Bytes that the file has by its own account, if it can be told.
    is_marked_open, is_marked_swmr
        Whether the file says that it is open for writing, and that others may read it
        meanwhile (single writer, multiple readers).

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The path is that of a folder, a device or a pipe.
    rsciio_xfm.exceptions.CorruptFileError
        While it is read: a heap is damaged, or an attribute claims to be longer than the file.
    """

    def __init__(self, filename: str | Path) -> None:
        check_regular(filename)
        super().__init__(filename)
        self._path, self._size, self._at = filename, 0, 0
        self._size = self.seek(0, io.SEEK_END)
        self._base, self._offset_size, self._length_size = 0, 0, 0
        self.is_marked_open = self.is_marked_swmr = False
        self.expected_size = self._size
        self._read_superblock()
        # Where messages go on, by whether those of version 2 have an order.
        self._continued: dict[int, int] = {}
        self._heaps: set[int] = set()
        self.seek(0)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in the file, where HDF5 reads next."""
        if whence == io.SEEK_SET and offset > self._size:
            self._refuse(
                offset, "something it needs beyond the end", f"in {self._size} bytes"
            )
        self._at = super().seek(offset, whence)
        return self._at

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read into a buffer, and look at what came."""
        at = self._at
        n_read = super().readinto(buffer)
        self._at += n_read
        view = memoryview(buffer)
        if n_read >= 16 and self._offset_size:
            head = bytes(view[:4])
            if head == _HEAP:
                self._check_heap(at, bytes(view[:n_read]))
            elif head == _HEADER or head[:2] == b"\1\0" or at in self._continued:
                self._check_header(at, bytes(view[:n_read]))
        return n_read

    def why_damaged(self) -> str:
        """Say why HDF5 cannot read the file, and what to do: a sentence or two."""
        if not self.is_marked_open and not self._is_locked():
            return "It is damaged, or was not written to its end."
        way = " (SWMR)" if self.is_marked_swmr else ""
        text = f"A program has it open for writing{way}: load it when it is closed."
        if self.is_marked_open:
            text += (
                " If no program writes it any more, it was never closed: `h5clear -s` takes "
                "the mark from a copy of it."
            )
        return text

    def _is_locked(self) -> bool:
        """Tell whether a program holds the lock with which HDF5 writes a file."""
        if fcntl is None:
            return False
        try:
            fcntl.flock(self, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            return False
        fcntl.flock(self, fcntl.LOCK_UN)
        return False

    def check_references(self, raw: bytes, name: str, at: int) -> None:
        """Refuse texts or lists that claim more than the file has.

        Parameters
        ----------
        raw
            References to the global heap, as they stand in the file.
        name, at
            What they are of, and the byte at which they stand, for the error.

        Raises
        ------
        CorruptFileError
            A length is larger than the file; the heap that it points to is damaged.
        """
        width = self._offset_size
        dtype = np.dtype([("length", "<u4"), ("heap", f"<u{width}"), ("index", "<u4")])
        found = np.frombuffer(raw, dtype, len(raw) // dtype.itemsize)
        most = int(found["length"].max(initial=0))
        if most > self._size:
            raise CorruptFileError(
                f"{self._path}: {name} claims {most} bytes or values, expected at most the "
                f"{self._size} that the file has (byte {at})."
            )
        for address in np.unique(found["heap"][found["length"] > 0]).tolist():
            place = self._base + address
            if place not in self._heaps and place + 16 <= self._size:
                head = self._peek(place, 8 + self._length_size)
                if head[:4] == _HEAP:
                    size = self._number(head, 8, self._length_size)
                    self._check_heap(place, self._peek(place, min(size, self._size)))

    def _peek(self, at: int, n_bytes: int) -> bytes:
        """Read without moving on."""
        here = self.tell()
        buffer = bytearray(n_bytes)
        self.seek(at)
        n_read = super().readinto(buffer)
        self.seek(here)
        return bytes(buffer[:n_read])

    @staticmethod
    def _number(raw: bytes, at: int, n_bytes: int) -> int:
        return int.from_bytes(raw[at : at + n_bytes], "little")

    def _read_superblock(self) -> None:
        """Find the base of addresses, the sizes of addresses and lengths, and the end."""
        at = 0
        while at + 64 <= self._size:
            head = self._peek(at, 64)
            if head.startswith(_SIGNATURE):
                if head[8] == _MARKING:
                    flags = head[_FLAGS]
                    self.is_marked_swmr = bool(flags & _SWMR)
                    self.is_marked_open = bool(flags & (_OPEN | _SWMR))
                version = min(head[8], 2)
                sizes = head[9:11] if version == 2 else head[13:15]
                if set(sizes) <= {4, 8}:  # numpy has types for these
                    self._base, (self._offset_size, self._length_size) = at, sizes
                    end = _BASE[version] + 2 * sizes[0]
                    self.expected_size = at + self._number(head, end, sizes[0])
                return
            at = max(512, 2 * at)

    def _check_heap(self, at: int, raw: bytes) -> None:
        """Go through the objects of a heap, as far as they were read."""
        head = -(-(8 + self._length_size) // 8) * 8  # of the heap, and of each object
        size = self._number(raw, 8, self._length_size)
        place = head
        if not head <= size <= self._size - at:
            self._refuse(at, f"a heap of {size} bytes", f"at most {self._size - at}")
        stop = min(size, len(raw))
        while place + head <= stop:
            index = self._number(raw, place, 2)
            n_bytes = self._number(raw, place + 8, self._length_size)
            # What is free is counted with its head.
            needed = head + -(-n_bytes // 8) * 8 if index else n_bytes
            if not head <= needed <= size - place:
                expected = f"{0 if index else head} to {size - place}"
                self._refuse(at + place, f"{n_bytes} bytes in a heap", expected)
            place += needed
        if len(raw) >= size and len(self._heaps) < _MOST_KEPT:
            self._heaps.add(at)

    def _check_header(self, at: int, raw: bytes) -> None:
        """Go through the messages of an object, as far as they were read."""
        for kind, place, stop in self._messages(at, raw):
            if kind == _CONTINUATION and len(self._continued) < _MOST_KEPT:
                begin = self._base + self._number(raw, place, self._offset_size)
                self._continued[begin] = self._continued.get(at, 0)
                if raw.startswith(_HEADER):
                    self._continued[begin] = raw[5] & 4
            elif kind == _ATTRIBUTE:
                self._check_attribute(at, raw, place, stop)
            elif kind in _FILL_VALUES and stop - place >= 8 + self._offset_size:
                self._scan_references(raw[place:stop], "a fill value", at + place)

    def _messages(self, at: int, raw: bytes) -> Iterator[tuple[int, int, int]]:
        """Give kind, begin and end of each message that stands here."""
        is_new = raw[:4] in (_HEADER, _CONTINUED)
        if raw.startswith(_HEADER):
            flags = raw[5]
            place = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            width = 1 << (flags & 3)
            stop = place + width + self._number(raw, place, width)
            place += width
            head = 6 if flags & 4 else 4
        elif is_new:
            place, stop = 4, len(raw) - 4
            head = 6 if self._continued.get(at) else 4
        elif at in self._continued:
            place, stop, head = 0, len(raw), 8
        else:
            place, stop, head = 16, 16 + self._number(raw, 8, 4), 8
        stop = min(stop, len(raw))
        while place + head <= stop:
            kind = raw[place] if is_new else self._number(raw, place, 2)
            size = self._number(raw, place + (1 if is_new else 2), 2)
            flags = raw[place + (3 if is_new else 4)]
            place += head
            if place + size <= stop and not flags & _SHARED:
                yield kind, place, place + size
            place += size

    def _check_attribute(self, at: int, raw: bytes, place: int, stop: int) -> None:
        version, flags = raw[place : place + 2]
        if stop - place < 9 or not 1 <= version <= 3:
            return
        is_shared = version > 1 and bool(flags & 1)
        sizes = [self._number(raw, place + 2 + 2 * i, 2) for i in range(3)]
        place += 9 if version == 3 else 8
        padded = [-(-size // 8) * 8 if version == 1 else size for size in sizes]
        kind, data = place + padded[0], place + sum(padded)
        if data >= stop:
            return
        name = raw[place : place + sizes[0]].rstrip(b"\0").decode("utf-8", "replace")
        name = f"the attribute {name!r:.99}"
        if is_shared or raw[kind] & 15 in _COMPOSED:
            self._scan_references(raw[data:stop], name, at + data)
        elif raw[kind] & 15 == _VARIABLE_LENGTH:
            self.check_references(raw[data:stop], name, at + data)

    def _scan_references(self, raw: bytes, name: str, at: int) -> None:
        """Check what looks like a reference to a heap, wherever it stands."""
        width = 8 + self._offset_size
        for shift in range(min(width, len(raw) - width + 1)):
            dtype = np.dtype([("", "V4"), ("heap", f"<u{self._offset_size}"), ("", "V4")])
            heaps = np.frombuffer(raw, dtype, (len(raw) - shift) // width, shift)["heap"]
            for i in np.flatnonzero((heaps > 0) & (heaps < self._size)).tolist():
                if self._peek(self._base + int(heaps[i]), 4) == _HEAP:
                    begin = shift + i * width
                    self.check_references(raw[begin : begin + width], name, at + begin)

    def _refuse(self, at: int, found: str, expected: str) -> None:
        raise CorruptFileError(
            f"{self._path}: HDF5 cannot read it: {found}, expected {expected} (byte {at}). "
            f"{self.why_damaged()}"
        )


@contextmanager
def open_hdf5(
    filename: str | Path,
    identity: tuple[int, ...] | None = None,
    by_name: bool = False,
    says_if_written: bool = False,
    **options: Any,
) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, through a :class:`GuardedFile`.

    Parameters
    ----------
    filename
        Path of the file.
    identity
        From :func:`rsciio_xfm.core.source.identify`, if it has to be the file that was opened
        before.
    by_name
        Whether HDF5 opens the file itself, past the guard. Only then it finds other files
        that the data lie in, and it follows links to any file.
    says_if_written
        Whether to warn of a file that is open for writing, or longer than when it was closed.
    **options
        Of :class:`h5py.File`.

    Yields
    ------
    h5py.File
        Open for reading. Links are followed by :class:`rsciio_xfm.core.hdf5.links.Group`.

    Raises
    ------
    FileFormatError
        The file is no HDF5 file.
    CorruptFileError
        HDF5 cannot read what it points to, now or within the ``with`` block; or the file is
        not the one that was opened before.
    """
    with GuardedFile(filename) as raw:
        if says_if_written:
            _warn_of_writing(filename, raw)
        found = raw.read(len(_SIGNATURE))
        size = identify(raw)[0]
        if identity is not None:
            check_unchanged(raw, filename, identity)
        # Of files with a block for the user before it, the signature is at a power of 2.
        if found != _SIGNATURE and not h5py.is_hdf5(filename):
            raise FileFormatError(
                f"{filename}: the file begins with {found!r}, expected {_SIGNATURE!r}, the "
                f"signature of HDF5 (byte 0; the file has {size} bytes)."
            )
        try:
            # Given a file rather than its name, HDF5 does not share with others of this
            # process what it read of it before it was changed, and does not ask for a lock.
            given = filename if by_name else raw
            options = {"locking": False} | options if by_name else options
            with h5py.File(given, "r", **options) as file:
                yield file
        except FileFormatError:
            raise
        except DAMAGED as exc:
            if not _is_of_hdf5(exc):
                raise
            raise CorruptFileError(
                f"{filename}: HDF5 cannot read it: {exc} (the file has {size} bytes, expected "
                f"a whole HDF5 file from byte 0). {raw.why_damaged()}"
                + advise_on_zeros(filename)
            ) from exc


def _warn_of_writing(path: str | Path, file: GuardedFile) -> None:
    """Say that the file is being written, or that there are more bytes than HDF5 wrote.

    If there are fewer, HDF5 itself says so.
    """
    size, expected = identify(file)[0], file.expected_size
    if file.is_marked_open:
        way = " (SWMR)" if file.is_marked_swmr else ""
        warn(
            f"{path}: the file says that a program has it open for writing{way}: what is read "
            "is what had been written so far, and an array that is computed later may find "
            "the file changed. Load it again when it is closed. If no program writes it any "
            "more, it was never closed."
        )
    elif size > expected:
        warn(
            f"{path}: the file has {size} bytes, expected {expected} by its header: it is "
            "being written, or was not closed, or bytes were inserted, as by a transfer as "
            "text, and then what is read can be wrong."
        )


@contextmanager
def open_dataset(
    path: str, identity: tuple[int, ...], name: str, **options: Any
) -> Iterator[h5py.Dataset]:
    """Open a dataset whose links, and parts in other files, were checked before.

    Parameters
    ----------
    path, identity
        The file that it is in.
    name
        Its path in the file, without links.
    **options
        Of :class:`h5py.File`.

    Raises
    ------
    CorruptFileError
        See :func:`open_hdf5`.
    """
    with open_hdf5(path, identity, **options) as file:
        dataset = file[name]
        if not is_elsewhere(dataset):
            yield dataset
            return
    with open_hdf5(path, identity, by_name=True, **options) as file:
        yield file[name]


def is_elsewhere(dataset: h5py.Dataset) -> bool:
    """Tell whether the numbers of a dataset are in other files, or in other datasets."""
    return dataset.is_virtual or bool(dataset.external)


def _is_of_hdf5(exc: Exception) -> bool:
    """Tell what HDF5 says of a file from the system's errors, which have a number."""
    if isinstance(exc, OSError):
        return exc.errno is None
    text = str(exc.args[0]) if exc.args else ""
    return isinstance(exc, RuntimeError | UnicodeDecodeError) or text.startswith(_CANNOT)
