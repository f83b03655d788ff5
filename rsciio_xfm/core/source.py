"""The one place that opens a file for its counts.

A :class:`Source` says which file an array-like reads, as it was when its header was read. It
holds no open file; whoever reads asks it for a :class:`Reader` for as long as a block takes.
"""

import io
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from rsciio_xfm.core import faults
from rsciio_xfm.core.config import (
    BLOCK_BYTES,
    MOST_OPEN,
    RAW_BYTES,
    TAIL_BYTES,
)
from rsciio_xfm.core.workplace import scratch
from rsciio_xfm.exceptions import FileFormatError

_KINDS = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}

_HAS_PREADV = hasattr(os, "preadv")  # not on Windows


class Reader(ABC):
    """A source that is open: ranges of its bytes.

    Attributes
    ----------
    name
        Of the source, for messages.
    descriptor
        Of a local file: kernels read from it, and its ranges are mapped. None of any other
        source, which is read through :meth:`read` only.
    """

    name: str
    descriptor: int | None = None

    @abstractmethod
    def read_into(self, offset: int, buffer: np.ndarray) -> int:
        """Read bytes into a buffer.

        Parameters
        ----------
        offset
            Of the first byte in the source.
        buffer
            uint8, C-contiguous.

        Returns
        -------
        int
            How many were read: fewer than fit the buffer only at the end.
        """

    def read(self, offset: int, buffer: np.ndarray) -> None:
        """Fill a buffer.

        Parameters
        ----------
        offset, buffer
            As of :meth:`read_into`.

        Raises
        ------
        CorruptFileError
            The source ends before.
        """
        n_read = self.read_into(offset, buffer)
        if n_read < buffer.size:
            raise faults.ends_early(self.name, offset + n_read, buffer.size - n_read)


@dataclass(frozen=True)
class Source(ABC):
    """A file as it was when its header was read: what an object store could fill too.

    Attributes
    ----------
    name
        Its path or address.
    version
        Size in bytes first, and what else changes when it is written again.
    """

    name: str
    version: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.version[0]

    @abstractmethod
    def open(self) -> AbstractContextManager[Reader]:
        """Open it, if it is still the same.

        Raises
        ------
        CorruptFileError
            It was written again or replaced.
        """


@dataclass(frozen=True)
class LocalFile(Source):
    """A file that the system opens by its path, which is absolute.

    Attributes
    ----------
    may_grow
        Whether more may be appended to it while it is read.
    """

    may_grow: bool = False

    @classmethod
    def of(cls, path: str | Path) -> "LocalFile":
        """Identify a file.

        Parameters
        ----------
        path
            Of a regular file, see :func:`open_unbuffered`.
        """
        with open_unbuffered(path) as file:
            return cls(os.path.abspath(path), identify(file))

    @contextmanager
    def open(self) -> Iterator[Reader]:
        """Open it; see :meth:`Source.open`."""
        with open_unbuffered(self.name) as file:
            if not self.may_grow:
                check_unchanged(file, self.name, self.version)
            elif identify(file)[0] < self.size:
                raise faults.changed(self.name, identify(file), self.version)
            yield _LocalReader(self.name, file)


class Readers:
    """Sources that are open, the last few of them, and memory that they are read into.

    Parameters
    ----------
    sources
        All of them; they are opened when they are needed, and closed with the ``with`` block.
    """

    def __init__(self, sources: tuple[Source, ...]) -> None:
        self._sources = sources
        self._open: dict[int, tuple[ExitStack, Reader]] = {}
        self._memory, self._lent = np.empty(0, dtype=np.uint8), ExitStack()

    def __enter__(self) -> "Readers":
        return self

    def __exit__(self, *_: object) -> None:
        self._lent.close()
        while self._open:
            self._open.popitem()[1][0].close()

    def __getitem__(self, number: int) -> Reader:
        if number not in self._open:
            while len(self._open) >= MOST_OPEN:
                self._open.pop(next(iter(self._open)))[0].close()
            stack = ExitStack()
            reader = stack.enter_context(self._sources[number].open())
            self._open[number] = stack, reader
        return self._open[number][1]

    def fetch(self, number: int, offset: int, n_bytes: int) -> np.ndarray:
        """Read bytes into memory that the next ones are read into.

        Parameters
        ----------
        number
            Of the source.
        offset, n_bytes
            Where they begin, and how many they are.

        Returns
        -------
        numpy.ndarray
            uint8, shape (`n_bytes`,).

        Raises
        ------
        CorruptFileError
            The source ends before.
        """
        if self._memory.size < n_bytes:
            self._lent.close()
            self._memory = self._lent.enter_context(scratch(max(n_bytes, RAW_BYTES)))
        found = self._memory[:n_bytes]
        self[number].read(offset, found)
        return found


def read_head(filename: str | Path, n_bytes: int) -> tuple[LocalFile, bytes]:
    """Read the first bytes of a file, and identify it in one go.

    Parameters
    ----------
    filename
        Path of a regular file, see :func:`open_unbuffered`.
    n_bytes
        How many bytes; fewer are read if the file ends before.
    """
    with open_unbuffered(filename) as file:
        return LocalFile(os.path.abspath(filename), identify(file)), file.read(n_bytes)


class _LocalReader(Reader):
    def __init__(self, name: str, file: BinaryIO) -> None:
        self.name, self._file, self.descriptor = name, file, file.fileno()

    def read_into(self, offset: int, buffer: np.ndarray) -> int:
        return read_into(self._file, offset, buffer, buffer.size)


@dataclass(frozen=True)
class Memory(Source):
    """Bytes in memory: the example of a source that is no file."""

    content: bytes = b""

    @classmethod
    def of(cls, content: bytes, name: str = "memory") -> "Memory":
        """Make a source of bytes.

        Parameters
        ----------
        content
            The bytes.
        name
            For messages.
        """
        return cls(name, (len(content),), content)

    @contextmanager
    def open(self) -> Iterator[Reader]:
        """Give what reads the bytes; see :meth:`Source.open`."""
        yield _MemoryReader(self.name, self.content)


class _MemoryReader(Reader):
    def __init__(self, name: str, content: bytes) -> None:
        self.name, self._content = name, content

    def read_into(self, offset: int, buffer: np.ndarray) -> int:
        found = np.frombuffer(self._content, dtype=np.uint8)[offset:][: buffer.size]
        buffer[: found.size] = found
        return found.size


def open_unbuffered(filename: str | Path) -> BinaryIO:
    """Open a regular file for :func:`read_into`, without Python's own buffer.

    Parameters
    ----------
    filename
        Path of the file.

    Raises
    ------
    FileFormatError
        The path is that of a folder, a device or a pipe, which could wait for ever.
    """
    check_regular(filename)
    return open(filename, "rb", buffering=0)


def check_regular(filename: str | Path) -> None:
    """Refuse what is no regular file, see :func:`open_unbuffered`.

    Parameters
    ----------
    filename
        A path.

    Raises
    ------
    FileFormatError
        See :func:`open_unbuffered`.
    """
    kind = os.stat(filename).st_mode
    if not stat.S_ISREG(kind):
        raise FileFormatError(
            f"{filename}: the path is that of a {_KINDS.get(stat.S_IFMT(kind), 'device')}, "
            "expected a file (byte 0)."
        )


def is_file(entry: os.DirEntry[str]) -> bool:
    """Tell whether what a folder lists is a file: a link that leads to itself is none."""
    try:
        return entry.is_file()
    except OSError:
        return False


def find_beside(path: Path, extension: str) -> Path:
    """Return the name of the other file of a pair, in capitals or not.

    Parameters
    ----------
    path
        Of one of them.
    extension
        Of the other, in small letters: the name has it if no such file is there.
    """
    names = [
        path.with_suffix(spelled)
        for spelled in (extension, extension.upper(), extension.title())
    ]
    return next((name for name in names if name.is_file()), names[0])


def pair_of(path: Path, extensions: Iterable[str]) -> tuple[Path, Path]:
    """Return the names of both files of a pair: that which is given, and that of the other.

    Parameters
    ----------
    path
        Of one of them.
    extensions
        Of both, in small letters; see :func:`find_beside`.
    """
    first, second = (
        path if path.suffix.lower() == extension else find_beside(path, extension)
        for extension in extensions
    )
    return first, second


def identify(file: BinaryIO) -> tuple[int, ...]:
    """Return what changes when a file is written again or replaced.

    Not its number on the disk: by way of another mount, of SMB or of FUSE the same file has
    another one.

    Parameters
    ----------
    file
        An open file.

    Returns
    -------
    tuple of int
        Size in bytes, modification time in ns.
    """
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def change_time(filename: str | Path) -> int:
    """Return when the system last saw a file change, in any way: nobody can set it back.

    Who writes into a file and then sets its modification time back (``rsync --inplace -t``,
    a restore from a backup) changes this time. So does who changes its mode or its links:
    use it to tell whether something kept of the file may be used again, not to refuse it.

    Parameters
    ----------
    filename
        Path of the file.

    Returns
    -------
    int
        In ns; on Windows, the time when the file was made.
    """
    return os.stat(filename).st_ctime_ns


def check_unchanged(file: BinaryIO, path: str | Path, identity: tuple[int, ...]) -> None:
    """Refuse a file that is not the one that was opened before.

    Parameters
    ----------
    file
        An open file.
    path
        Its path.
    identity
        From :func:`identify`, when it was opened before.

    Raises
    ------
    CorruptFileError
        The file was written again or replaced.
    """
    now = identify(file)
    if now != identity:
        raise faults.changed(path, now, identity)


def read_into(file: BinaryIO, offset: int, buffer: np.ndarray, n_bytes: int) -> int:
    """Read bytes of a file into the start of a buffer.

    Parameters
    ----------
    file
        From :func:`open_unbuffered`.
    offset
        Of the first byte in the file.
    buffer
        uint8, shape (at least `n_bytes`,).
    n_bytes
        How many to read.

    Returns
    -------
    int
        How many were read: fewer than `n_bytes` only at the end of the file.
    """
    view, done = buffer.data[:n_bytes], 0
    while done < n_bytes:
        read = _read_once(file, offset + done, view[done:])
        if not read:
            break
        done += read
    return done


def _read_once(file: BinaryIO, offset: int, view: memoryview) -> int:
    if _HAS_PREADV:
        return os.preadv(file.fileno(), [view], offset)
    file.seek(offset)
    return cast(io.RawIOBase, file).readinto(view) or 0  # it has no buffer


def find_zeros(file: BinaryIO, first: int = 0) -> int:
    """Return the byte from which on a file is zeros; its size if it does not end in one.

    Parameters
    ----------
    file
        From :func:`open_unbuffered`.
    first
        Byte before which not to look.
    """
    stop, n_bytes = identify(file)[0], TAIL_BYTES
    while stop > first:
        start = max(first, stop - n_bytes)
        block = np.empty(stop - start, dtype=np.uint8)
        others = np.flatnonzero(block[: read_into(file, start, block, block.size)])
        if len(others):
            return start + int(others[-1]) + 1
        stop, n_bytes = start, BLOCK_BYTES
    return stop


def advise_on_zeros(filename: str | Path) -> str:
    """Return what to do if a file that cannot be read is zeros to its end, else nothing.

    Parameters
    ----------
    filename
        Path of the file.
    """
    with open_unbuffered(filename) as file:
        n_zeros = identify(file)[0] - find_zeros(file)
    if n_zeros <= TAIL_BYTES:  # as are at the end of many a file that is whole
        return ""
    return (
        f" Its last {n_zeros} bytes are zeros, as of a copy that was interrupted: copy it "
        "again."
    )


def little_endian(buffer: np.ndarray, dtype: type[np.generic]) -> np.ndarray:
    """View little-endian bytes as numbers that kernels can read.

    Parameters
    ----------
    buffer
        uint8, C-contiguous; bytes after the last whole number are left out.
    dtype
        Of the numbers.

    Returns
    -------
    numpy.ndarray
        A view; on a big-endian machine a copy.
    """
    native = np.dtype(dtype)
    whole = buffer[: buffer.size // native.itemsize * native.itemsize]
    return whole.view(native.newbyteorder("<")).astype(native, copy=False)
