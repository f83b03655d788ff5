"""Maps that are kept as records, one behind the other: sparse spectra, lists of events.

A format of this kind is an index (:class:`rsciio_xfm.core.runs.Runs`, where the records of
each row of the map lie) and a few kernels (:class:`Kernels`, what the records say).
:class:`RecordStream` makes an array-like of them: it reads the records of the rows that are
asked for, block by block, has each block checked, and lets a kernel add its counts to a block
of the map or to a sum.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, NoReturn, Self

import numpy as np

from rsciio_xfm.core.array import FileArray, Matrices, Range
from rsciio_xfm.core.config import BLOCK_BYTES
from rsciio_xfm.core.runs import Read, Runs, Stream
from rsciio_xfm.core.source import little_endian
from rsciio_xfm.core.workplace import scratch
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.kernels.project import multiply_sparse

# Runs of which the places are in memory at a time.
_MOST_RUNS = 2**18
# What a kernel stopped at; a format's own reasons follow.
DONE, OVERFLOW, CHANGED, SCATTERED, DAMAGED = range(5)
# Columns of a table of runs: where each begins and ends among the bytes that are read, where
# it begins in the stream, of which plane and row it is, how many of its columns are already
# done, and what is still missing of its checksum.
BEGIN, END, START, PLANE, ROW, COLUMN, SUM = range(7)
# Bytes of records for each channel of a spectrum, up to which products are made faster of
# records than of decoded spectra.
_SPARSE_BYTES = 1.0
_WIDER = {1: "uint16", 2: "uint32", 4: "uint64", 8: "uint64"}


class Block(NamedTuple):
    """Records that were read, as a kernel gets them.

    Attributes
    ----------
    n_bytes
        How many bytes of them there are.
    base
        Of the first byte among all that is read, as in ``runs``.
    runs
        int64, shape (n, 7): the runs that have bytes in the block, see :data:`BEGIN` and what
        follows. Kernels change ``COLUMN`` and ``SUM`` of a run that goes on in the next block.
    """

    n_bytes: int
    base: int
    runs: np.ndarray


class Box(NamedTuple):
    """The part of a map that is asked for, as a kernel gets it.

    Attributes
    ----------
    places
        int64: for each plane of the file, where it goes along the first axis; -1 to leave it
        out.
    first_row, last_row, first_column, last_column
        Half-open ranges of the pixels.
    first_channel, n_wanted
        First channel of the file, and how many.
    rebin
        How many channels of the file make one of the array.
    n_columns, n_channels
        Of the whole map in the file.
    """

    places: np.ndarray
    first_row: int
    last_row: int
    first_column: int
    last_column: int
    first_channel: int
    n_wanted: int
    rebin: int
    n_columns: int
    n_channels: int


@dataclass(frozen=True)
class Kernels:
    """What the records of a format mean; each is compiled by numba and adds to its output.

    `words` are the bytes of a block as numbers of the types that are named here. All but the
    first return the byte of the block that they came to, and :data:`DONE`, :data:`OVERFLOW`,
    :data:`CHANGED` or a reason of the format's own, from :data:`DAMAGED` on.

    Attributes
    ----------
    types
        Of the numbers in `words`.
    check
        ``(words, block, longest)``: return how many bytes from the start are whole records of
        the rows that were indexed here, 0 if anything else is there. `longest` is the most
        that one record can have.
    decode
        ``(words, block, box, dense, is_clear, limit)``: add counts to `dense` (place, row,
        column, channel), whose spectra hold anything until they are set to zero, and their
        `is_clear` (place, row, column) to True. No sum may be above `limit`.
    sum_spectra
        ``(words, block, box, total)``: add counts of all pixels to `total` (channel), uint64.
    sum_channels
        ``(words, block, box, dense)``: add counts of all channels to `dense` (place, row,
        column), uint64.
    multiply
        ``(words, block, box, matrices, pixel, out)``: put the products of spectra with
        matrices into `out`, see :meth:`RecordStream.multiply`; `pixel` (:class:`Pixel`) is the
        spectrum that is not whole yet, from one block to the next. All records of a pixel
        follow each other, or :data:`SCATTERED` is returned. None if a format has none.
    """

    types: tuple[type[np.generic], ...]
    check: Callable
    decode: Callable
    sum_spectra: Callable
    sum_channels: Callable
    multiply: Callable | None = None


class Pixel(NamedTuple):
    """A spectrum whose records are added up, as a kernel gets it.

    Attributes
    ----------
    counts
        uint32, shape (bins,).
    bins
        int64: the bin of each channel of the file that is wanted.
    filled
        int64: its bins that are not zero.
    state
        int64: how many these are, and place, row and column of the pixel; -1 before the first.
    is_done
        bool, shape (place, row, column): the pixels that are whole.
    """

    counts: np.ndarray
    bins: np.ndarray
    filled: np.ndarray
    state: np.ndarray
    is_done: np.ndarray


@dataclass(frozen=True)
class Nouns:
    """What messages of a format call its things.

    Attributes
    ----------
    summed_over
        What is summed: ``"detectors or channels"``.
    dtype
        The reader's parameter for the type of the counts.
    record
        What is not where it was indexed: ``"record of the map"``.
    """

    summed_over: str
    dtype: str
    record: str


@dataclass(frozen=True)
class Grid:
    """Size of the maps that a file holds.

    Attributes
    ----------
    n_rows, n_columns, n_channels
        Of each plane.
    """

    n_rows: int
    n_columns: int
    n_channels: int


@dataclass(frozen=True, eq=False)
class RecordStream(FileArray):
    """Counts of a map, ``(y, x, E)``, or with its planes, ``(plane, y, x, E)``.

    A format provides a subclass with its :attr:`kernels` and :attr:`nouns`, and what its
    records can have and be damaged by.

    Attributes
    ----------
    streams
        The records; counts of several streams are added up.
    grid
        Size of the map.
    places
        For each plane of the file where it goes along the first axis, -1 to leave it out.
    is_summed
        Whether the planes are summed, and the first axis left out.
    rebin_energy
        How many channels of the file make one of the array.
    n_bins
        Channels of the array.
    dtype
        An integer.
    total
        uint64, the sum of all spectra, if it is known.
    """

    kernels: ClassVar[Kernels]
    nouns: ClassVar[Nouns]

    streams: tuple[Stream, ...]
    grid: Grid
    places: tuple[int, ...]
    is_summed: bool
    rebin_energy: int
    n_bins: int
    dtype: np.dtype
    total: np.ndarray | None = None

    @abstractmethod
    def longest_record(self) -> int:
        """Return how many bytes a record can have at most."""

    def describe_damage(self, stream: Stream, status: int, position: int) -> str:
        """Return what is wrong with the record at a byte of a stream.

        Parameters
        ----------
        stream
            One of the streams.
        status
            A kernel's own reason.
        position
            Byte of the stream.
        """
        raise NotImplementedError(status)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(y, x, E)`` or ``(plane, y, x, E)``."""
        shape = (self.grid.n_rows, self.grid.n_columns, self.n_bins)
        return shape if self.is_summed else (max(self.places) + 1, *shape)

    def row_axis(self) -> int:
        """Return the axis of y."""
        return self.ndim - 3

    def file_bytes(self) -> int:
        """Return how many bytes the records of all planes that are read take up."""
        return self.count_bytes((0, self.grid.n_rows))

    def count_bytes(self, rows: Range) -> int:
        """Return how many bytes the records of some rows take up."""
        places = np.array(self.places)
        return sum(
            int(stream.runs.length[ids].sum(dtype=np.int64))
            for stream in self.streams
            for ids, _ in [stream.runs.of_lines(self._lines(stream.runs, rows, places))]
        )

    def known_total(self) -> np.ndarray | None:
        """Return the sum of all spectra, if the index counted them."""
        return self.total

    def unsummed(self) -> Self:
        """Return the same with its planes along the first axis."""
        is_read = np.array(self.places) >= 0
        places = np.where(is_read, np.cumsum(is_read) - 1, -1)
        return replace(self, places=tuple(places.tolist()), is_summed=False)

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Decode a block of the map; see :meth:`FileArray.read`."""
        counts = np.empty([stop - start for start, stop in ranges], dtype=self.dtype)
        dense = counts[np.newaxis] if self.is_summed else counts
        is_clear = np.zeros(dense.shape[:-1], dtype=np.bool_)
        limit = np.uint64(np.iinfo(self.dtype).max)
        self._run(self.kernels.decode, ranges, dense, is_clear, limit)
        dense[~is_clear] = 0  # spectra without a record
        return counts

    def sum_navigation(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum spectra straight from the records; see :meth:`FileArray.sum_navigation`."""
        start, stop = ranges[-1]
        total = np.zeros(stop - start, dtype=np.uint64)
        self._run(self.kernels.sum_spectra, ranges, total)
        return total

    def sum_signal(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum channels straight from the records; see :meth:`FileArray.sum_signal`."""
        counts = np.zeros([stop - start for start, stop in ranges[:-1]], dtype=np.uint64)
        dense = counts[np.newaxis] if self.is_summed else counts
        self._run(self.kernels.sum_channels, ranges, dense)
        return counts

    def multiply(
        self, ranges: tuple[Range, ...], matrices: Matrices
    ) -> np.ndarray | None:
        """Multiply spectra straight from the records; see :meth:`FileArray.multiply`."""
        kernel, n_numbers = self.kernels.multiply, matrices.products.shape[1]
        if kernel is None or len(self.streams) > 1 or not self._is_sparse:
            return None
        box = self.box(ranges)
        shape = [stop - start for start, stop in ranges[:-1]]
        out = np.zeros((*shape, n_numbers + 1), dtype=np.float32)
        dense = out[np.newaxis] if self.is_summed else out
        n_bins = len(matrices.products)
        pixel = Pixel(
            np.zeros(n_bins, dtype=np.uint32),
            matrices.bins[np.arange(box.n_wanted) // box.rebin],
            np.empty(n_bins + 1, dtype=np.int64),
            np.array([0, -1, -1, -1]),
            np.zeros(dense.shape[:-1], dtype=np.bool_),
        )
        (stream,) = self.streams
        for _, words, block in self._blocks(stream, ranges[-3], box.places):
            at, status = kernel(words, block, box, matrices, pixel, dense)
            if status == SCATTERED:
                return None
            if status != DONE:
                self._raise(stream, status, _position(block, at))
        n_filled, *place = pixel.state.tolist()
        if n_filled:
            last = pixel.counts, pixel.filled[:n_filled]
            multiply_sparse(*last, *matrices[:2], dense[tuple(place)])
        return out

    @cached_property
    def _is_sparse(self) -> bool:
        """Whether there are few bytes of records for each channel of a spectrum."""
        n_channels = self.grid.n_channels * math.prod(self.shape[:-1])
        return self.file_bytes() < _SPARSE_BYTES * n_channels

    def _run(self, kernel: Callable, ranges: tuple[Range, ...], *outputs: Any) -> None:
        """Run a kernel over the records of a part; it adds to the first of `outputs`."""
        if any(stop <= start for start, stop in ranges):
            return
        box = self.box(ranges)
        for stream in self.streams:
            for _, words, block in self._blocks(stream, ranges[-3], box.places):
                at, status = kernel(words, block, box, *outputs)
                if status != DONE:
                    self._raise(stream, status, _position(block, at))

    def box(self, ranges: tuple[Range, ...] | None = None) -> Box:
        """Return a part of the map, or all of it, as kernels want it."""
        ranges = ranges or tuple((0, size) for size in self.shape)
        places = np.array(self.places, dtype=np.int64)
        if not self.is_summed:
            start, stop = ranges[0]
            is_within = (places >= start) & (places < stop)
            places = np.where(is_within, places - start, -1)
        (first, last), rebin = ranges[-1], self.rebin_energy
        window = first * rebin, (last - first) * rebin, rebin
        return Box(
            places,
            *ranges[-3],
            *ranges[-2],
            *window,
            self.grid.n_columns,
            self.grid.n_channels,
        )

    def blocks(self, rows: Range) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, ...]]]:
        """Yield the records of some rows, in the order of the file.

        Yields
        ------
        raw : numpy.ndarray
            uint8, whole records, valid until the next ones are asked for.
        words : tuple of numpy.ndarray
            The same as numbers, see :attr:`Kernels.types`.

        Raises
        ------
        CorruptFileError
            The file is not the one that was indexed, or no longer: whatever its size and
            time say, records of just these rows have to be where they were.
        """
        for stream in self.streams:
            for raw, words, _ in self._blocks(stream, rows, np.array(self.places)):
                yield raw, words

    def _blocks(
        self, stream: Stream, rows: Range, places: np.ndarray
    ) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, ...], Block]]:
        """Read the records of some rows, checked, as kernels want them."""
        longest = self.longest_record()
        room = BLOCK_BYTES + longest - BLOCK_BYTES % longest
        with stream.data.opened() as read, scratch(room) as buffer:
            for table in self._tables(stream.runs, rows, places):
                base, stop = 0, int(table[-1, END])
                while base < stop:
                    block = _fill(read, table, base, buffer[: stop - base])
                    raw = buffer[: block.n_bytes]
                    words = tuple(little_endian(raw, t) for t in self.kernels.types)
                    n_whole = self.kernels.check(words, block, longest)
                    if n_whole == 0:
                        self._raise(stream, CHANGED, _position(block, 0))
                    yield raw[:n_whole], words, Block(n_whole, base, block.runs)
                    base += n_whole
        # What was written to in the meantime may be old here and new there.
        with stream.data.source.open():
            pass

    def _tables(
        self, runs: Runs, rows: Range, places: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Yield tables of the runs of some rows, in the order in which they are read."""
        n_runs = len(runs.of_lines(self._lines(runs, rows, places))[0])
        n_at_once = max(1, (rows[1] - rows[0]) * _MOST_RUNS // max(1, n_runs))
        for first in range(*rows, n_at_once):
            part = (first, min(first + n_at_once, rows[1]))
            lines = self._lines(runs, part, places)
            ids, which = runs.of_lines(lines)
            is_there = runs.length[ids] > 0
            ids, which = ids[is_there], which[is_there]
            order = np.argsort(runs.start[ids], kind="stable")
            ids, lines = ids[order], lines[which[order]]
            if not len(ids):
                continue
            table = np.zeros((len(ids), 7), np.int64)
            table[:, END] = np.cumsum(runs.length[ids], dtype=np.int64)
            table[1:, BEGIN] = table[:-1, END]
            table[:, START] = runs.start[ids]
            table[:, PLANE], table[:, ROW] = np.divmod(lines, self.grid.n_rows)
            if runs.checksum is not None:
                table[:, SUM] = runs.checksum[ids].view(np.int64)
            yield table

    def _lines(self, runs: Runs, rows: Range, places: np.ndarray) -> np.ndarray:
        """Return the lines of some rows; of the planes with a place, if the runs tell them."""
        n_rows = self.grid.n_rows
        lines = np.arange(*rows)
        if runs.n_lines == n_rows:
            return lines
        return (np.flatnonzero(places >= 0)[:, np.newaxis] * n_rows + lines).ravel()

    def _raise(self, stream: Stream, status: int, position: int) -> NoReturn:
        path, byte, nouns = (
            stream.data.source.name,
            stream.data.byte_of(position),
            self.nouns,
        )
        if status == OVERFLOW:
            raise OverflowError(
                f"{path}: the counts of a channel, summed over {nouns.summed_over}, are above "
                f"{np.iinfo(self.dtype).max}, the most that {self.dtype} holds (byte {byte}). "
                f"Load the map with {nouns.dtype}={_WIDER[self.dtype.itemsize]!r}."
            )
        if status == CHANGED:
            raise CorruptFileError(
                f"{path}: no {nouns.record} that was indexed is here, or one of another row "
                f"(byte {byte}). The file was changed since it was indexed; load it again "
                "with cache=False."
            )
        raise CorruptFileError(
            f"{path}: {self.describe_damage(stream, status, position)}. The file is damaged."
        )


def _fill(read: Read, table: np.ndarray, base: int, buffer: np.ndarray) -> Block:
    """Read what follows a byte into a buffer, as far as it goes."""
    stop = base + len(buffer)
    first = int(np.searchsorted(table[:, END], base, side="right"))
    last = int(np.searchsorted(table[:, END], stop, side="left")) + 1
    runs = table[first:last]
    starts = runs[:, START].copy()
    stops = starts + runs[:, END] - runs[:, BEGIN]
    starts[0] += base - runs[0, BEGIN]
    stops[-1] -= runs[-1, END] - stop
    # Runs that lie together are read together.
    is_new = np.concatenate(([True], starts[1:] != stops[:-1]))
    firsts = np.flatnonzero(is_new)
    lasts = np.append(firsts[1:], len(starts)) - 1
    read(starts[firsts], stops[lasts], buffer)
    return Block(len(buffer), base, runs)


def _position(block: Block, at: int) -> int:
    """Return the byte of the stream at which a byte of a block is."""
    place = block.base + at
    i = int(np.searchsorted(block.runs[:, END], place, side="right"))
    run = block.runs[min(i, len(block.runs) - 1)]
    return int(run[START] + place - run[BEGIN])
