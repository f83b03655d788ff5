"""Where the records of each row of a map lie, and how their bytes are read.

They lie in a file of their own (:class:`FileBytes`) or in a dataset of an HDF5 file
(:class:`DatasetBytes`); :mod:`rsciio_xfm.core.stream` makes an array-like of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rsciio_xfm.core.source import LocalFile, Reader, Source
from rsciio_xfm.kernels.sums import can_stream, pread_ranges

if TYPE_CHECKING:
    from rsciio_xfm.core.hdf5.values import Values

NOTHING = -1  # the place of a range that is not in the file

Read = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


class Bytes(ABC):
    """A stream of bytes in a file; a frozen dataclass that holds no open file.

    Attributes
    ----------
    source
        The file.
    """

    source: Source

    @abstractmethod
    def opened(self) -> AbstractContextManager[Read]:
        """Open the file.

        Yields
        ------
        callable
            ``read(starts, stops, out)`` fills `out` (uint8) with ranges of bytes (int64), one
            behind the other.

        Raises
        ------
        CorruptFileError
            The file was changed since it was indexed.
        """

    @abstractmethod
    def byte_of(self, position: int) -> int:
        """Return the byte of the file at which a byte of the stream is, -1 if unknown."""


@dataclass(frozen=True)
class FileBytes(Bytes):
    """All of a file.

    Attributes
    ----------
    source
        The file.
    """

    source: Source

    @contextmanager
    def opened(self) -> Iterator[Read]:
        """Open the file; see :class:`Bytes`."""
        with self.source.open() as reader:
            yield lambda starts, stops, out: read_ranges(
                reader, starts, stops - starts, out
            )

    def byte_of(self, position: int) -> int:
        """Return the position."""
        return position


@dataclass(frozen=True, eq=False)
class DatasetBytes(Bytes):
    """The numbers of a dataset of an HDF5 file; all ranges are of whole numbers.

    Attributes
    ----------
    values
        The numbers.
    """

    values: Values

    @property
    def source(self) -> Source:  # type: ignore[override]
        """The file."""
        return LocalFile(self.values.path, self.values.identity)

    @contextmanager
    def opened(self) -> Iterator[Read]:
        """Open the file; see :class:`Bytes`."""
        if self.values.chunk_size:
            with self.source.open() as reader:
                yield lambda starts, stops, out: self._read(reader, starts, stops, out)
        else:
            with self.values.opened() as read:
                yield lambda starts, stops, out: self._read_by_hdf5(
                    read, starts, stops, out
                )

    def byte_of(self, position: int) -> int:
        """Return the byte of the number at a byte of the stream."""
        return self.values.byte_of(position // self.values.dtype.itemsize)

    def _read(
        self, reader: Reader, starts: np.ndarray, stops: np.ndarray, out: np.ndarray
    ) -> None:
        offsets, sizes = self._places(starts, stops)
        if offsets.size and offsets.min() < 0:
            out.view(self.values.dtype)[:] = self.values.fill
        read_ranges(reader, offsets, sizes, out)

    def _places(
        self, starts: np.ndarray, stops: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return where ranges lie in the file, and how many bytes; -1 where nothing is."""
        n_bytes = self.values.chunk_size * self.values.dtype.itemsize
        firsts, lasts = starts // n_bytes, -(-stops // n_bytes)
        which = np.repeat(np.arange(len(starts)), lasts - firsts)
        before = np.cumsum(lasts - firsts) - lasts
        chunks = np.arange(len(which)) - before[which]
        begins = np.maximum(starts[which], chunks * n_bytes)
        sizes = np.minimum(stops[which], (chunks + 1) * n_bytes) - begins
        offsets = self.values.offsets[chunks]
        is_there = offsets >= 0
        offsets = np.where(is_there, offsets + begins - chunks * n_bytes, NOTHING)
        # Chunks that lie together are read together.
        is_next = (
            is_there[1:] & is_there[:-1] & (offsets[:-1] + sizes[:-1] == offsets[1:])
        )
        news = np.flatnonzero(np.concatenate(([True], ~is_next)[: len(offsets) + 1]))
        return offsets[news], np.add.reduceat(sizes, news) if len(news) else sizes

    def _read_by_hdf5(
        self, read: Callable, starts: np.ndarray, stops: np.ndarray, out: np.ndarray
    ) -> None:
        numbers, at = out.view(self.values.dtype), 0
        width = self.values.dtype.itemsize
        ranges = zip((starts // width).tolist(), (stops // width).tolist(), strict=True)
        for start, stop in ranges:
            read(start, stop, numbers[at : at + stop - start])
            at += stop - start


def read_ranges(
    reader: Reader, offsets: np.ndarray, sizes: np.ndarray, out: np.ndarray
) -> None:
    """Read ranges of a source, one behind the other.

    Parameters
    ----------
    reader
        The source.
    offsets, sizes
        int64, bytes; a range at :data:`NOTHING` is left out, its place in `out` as it was.
    out
        uint8.

    Raises
    ------
    CorruptFileError
        The source ends before one of them does.
    """
    n_done = 0
    is_local = reader.descriptor is not None and can_stream
    if is_local and pread_ranges.is_worth(len(offsets)):
        n_done = pread_ranges(reader.descriptor, offsets, sizes, out)
    # All that is left; the first of them tells what was wrong with it.
    ends = np.cumsum(sizes)
    for i in range(n_done, len(offsets)):
        if offsets[i] >= 0:
            reader.read(int(offsets[i]), out[ends[i] - sizes[i] : ends[i]])


@dataclass(frozen=True, eq=False)
class Runs:
    """Where the records of each row of each plane lie in a stream.

    A plane is a frame, a detector or whatever else the stream holds one behind the other; a
    stream whose records say themselves of which they are has one plane.

    Attributes
    ----------
    start, length
        Byte at which each run of records of one row begins (int64), and how many bytes it
        has, ordered by plane, row and start.
    pointer
        int64: row y of plane p has the runs from ``pointer[p * n_rows + y]`` to the next one.
        None if each row has one run.
    checksum
        uint64, of each run, for a format whose kernel compares it; None if it has none.
    """

    start: np.ndarray
    length: np.ndarray
    pointer: np.ndarray | None = None
    checksum: np.ndarray | None = None

    @property
    def n_lines(self) -> int:
        """How many rows there are, those of all planes."""
        return len(self.start) if self.pointer is None else len(self.pointer) - 1

    def is_sound(self, n_lines: int, first: int, last: int) -> bool:
        """Tell whether these, read from a cache, can be those of a stream.

        Parameters
        ----------
        n_lines
            Rows of all planes.
        first, last
            Bytes between which they have to lie.
        """
        pointer, start, length = self.pointer, self.start, self.length
        if start.shape != length.shape or start.ndim != 1 or self.n_lines != n_lines:
            return False
        if pointer is not None and not (
            pointer[0] == 0
            and pointer[-1] == len(start)
            and bool(np.all(np.diff(pointer) >= 0))
        ):
            return False
        if self.checksum is not None and self.checksum.shape != start.shape:
            return False
        is_within = np.all(start >= first) and np.all(length >= 0)
        return bool(is_within and np.all(start + length <= last))

    def of_lines(self, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of the runs of some lines, and which line each is of."""
        if self.pointer is None:
            return lines, np.arange(len(lines))
        firsts = self.pointer[lines]
        counts = self.pointer[lines + 1] - firsts
        which = np.repeat(np.arange(len(lines)), counts)
        before = np.cumsum(counts) - counts
        return np.arange(len(which)) + (firsts - before)[which], which


@dataclass(frozen=True, eq=False)
class Stream:
    """Records, and where those of each row are.

    Attributes
    ----------
    data
        What they are read from.
    runs
        Where they are in it.
    """

    data: Bytes
    runs: Runs
