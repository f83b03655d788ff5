"""The counts of a ``.GeoPIXE`` map as an array-like over the file."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from rsciio_xfm.core.array import FileArray, Range
from rsciio_xfm.core.source import (
    BLOCK_BYTES,
    check_unchanged,
    little_endian,
    open_unbuffered,
    read_into,
    scratch,
)
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.formats.geopixe.index import (
    DETECTOR_WORD,
    ENTRY_BYTES,
    LENGTH_WORD,
    MARK_WORD,
    RECORD_BYTES,
    WORD,
    X_WORD,
    Y_WORD,
    Index,
)
from rsciio_xfm.formats.geopixe.layout import ENTRY, RECORD, RECORD_MARK
from rsciio_xfm.formats.geopixe.parse import Header
from rsciio_xfm.kernels.compiled import kernel

_DONE, _CHANGED, _CHANNEL, _OVERFLOW = range(4)

_WIDER = {"uint8": "uint16", "uint16": "uint32", "uint32": "uint64"}
_MAX_COUNTS = np.iinfo(ENTRY["counts"]).max
# An entry as one 32-bit number: kernels load it at once.
_CHANNEL_BITS = np.uint32(0xFFFF)
_COUNTS_SHIFT = np.uint32(8 * ENTRY.fields["counts"][1])


@dataclass(frozen=True)
class GeoPIXEArray(FileArray):
    """Counts of a map: ``(y, x, E)``, or ``(detector, y, x, E)`` if not summed.

    Attributes
    ----------
    path
        The file.
    identity
        Of the file when it was indexed, see :func:`rsciio_xfm.core.source.identify`.
    run_start, run_length, row_pointer
        Where the records are, see :class:`rsciio_xfm.formats.geopixe.index.Index`.
    n_rows, n_columns, n_channels
        Size of the map in the file.
    detector_axis
        For each detector of the file its place along the detector axis, -1 to leave it
        out.
    is_summed
        Whether the detector axis is left out of the shape, its detectors being summed.
    rebin_energy
        How many channels of the file make one of the array.
    n_bins
        Channels of the array.
    dtype
        An unsigned integer.
    """

    path: str
    identity: tuple[int, ...]
    run_start: np.ndarray
    run_length: np.ndarray
    row_pointer: np.ndarray
    n_rows: int
    n_columns: int
    n_channels: int
    detector_axis: tuple[int, ...]
    is_summed: bool
    rebin_energy: int
    n_bins: int
    dtype: np.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """``(y, x, E)`` or ``(detector, y, x, E)``."""
        shape = (self.n_rows, self.n_columns, self.n_bins)
        return shape if self.is_summed else (max(self.detector_axis) + 1, *shape)

    def row_axis(self) -> int:
        """Return the axis of y."""
        return self.ndim - 3

    def by_detector(self) -> "GeoPIXEArray | None":
        """Return the same, not summed."""
        if not self.is_summed:
            return None
        places = np.cumsum(np.array(self.detector_axis) >= 0) - 1
        places[np.array(self.detector_axis) < 0] = -1
        return replace(self, detector_axis=tuple(places.tolist()), is_summed=False)

    def file_bytes(self) -> int:
        """Return the size of the file."""
        return self.identity[0]

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Decode a block of the map; see :meth:`FileArray.read`."""
        shape = tuple(stop - start for start, stop in ranges)
        counts = np.empty(shape, dtype=self.dtype)
        dense = counts[np.newaxis] if self.is_summed else counts
        is_clear = np.zeros(dense.shape[:-1], dtype=np.bool_)
        limit = np.uint64(np.iinfo(self.dtype).max)
        self._run(_decode, dense, ranges, is_clear, limit)
        dense[~is_clear] = 0  # spectra without a record
        return counts

    def sum_navigation(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum spectra straight from the records; see :meth:`FileArray.sum_navigation`."""
        start, stop = ranges[-1]
        counts = np.zeros(stop - start, dtype=np.uint64)
        self._run(_sum_spectra, counts, ranges)
        return counts

    def sum_signal(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum channels straight from the records; see :meth:`FileArray.sum_signal`."""
        shape = tuple(stop - start for start, stop in ranges[:-1])
        counts = np.zeros(shape, dtype=np.uint64)
        dense = counts[np.newaxis] if self.is_summed else counts
        self._run(_sum_channels, dense, ranges)
        return counts

    def _run(
        self,
        function: Callable,
        counts: np.ndarray,
        ranges: tuple[Range, ...],
        *arguments: Any,
    ) -> None:
        """Run a kernel over the records of a block; it adds to `counts`."""
        if any(stop <= start for start, stop in ranges):
            return
        detectors = np.array(self.detector_axis, dtype=np.int64)
        if not self.is_summed:
            start, stop = ranges[0]
            inside = (detectors >= start) & (detectors < stop)
            detectors = np.where(inside, detectors - start, -1)
        (first_row, last_row), _, (first, last) = ranges[-3:]
        box = np.array(ranges[-3:-1], dtype=np.int64).ravel()
        rebin = self.rebin_energy
        window = np.array(
            [first * rebin, (last - first) * rebin, rebin, self.n_channels],
            dtype=np.uint32,
        )
        for raw, position in self.blocks(first_row, last_row):
            words, entries = little_endian(raw, np.uint16), little_endian(raw, np.uint32)
            at, status = function(
                words, entries, raw.size, counts, box, detectors, window, *arguments
            )
            if status != _DONE:
                self._raise(status, position + at)

    def blocks(self, first_row: int, last_row: int) -> Iterator[tuple[np.ndarray, int]]:
        """Yield the records of some rows, in the order of the file.

        Parameters
        ----------
        first_row, last_row
            Half-open range of rows.

        Yields
        ------
        raw : numpy.ndarray
            uint8, whole records, valid until the next ones are asked for.
        position : int
            Byte offset of the first.

        Raises
        ------
        CorruptFileError
            The file is not the one that was indexed, or no longer: whatever its size and
            time say, records of just these rows have to be where they were.
        """
        longest = RECORD_BYTES + ENTRY_BYTES * self.n_channels
        with open_unbuffered(self.path) as file, scratch(BLOCK_BYTES + longest) as buffer:
            check_unchanged(file, self.path, self.identity)
            starts, stops, rows = self._runs(first_row, last_row)
            run = np.zeros(1, dtype=np.int64)
            for start, stop in _join(starts, stops):
                position = start
                while position < stop:
                    wanted = min(buffer.size, stop - position)
                    n_bytes = read_into(file, position, buffer, wanted)
                    words = little_endian(buffer, np.uint16)
                    whole = _whole_records(
                        words, n_bytes, longest, position, stops, rows, run
                    )
                    if whole == 0:
                        self._raise(_CHANGED, position)
                    yield buffer[:whole], position
                    position += whole
            # What was written to in the meantime may be old here and new there.
            check_unchanged(file, self.path, self.identity)

    def count_bytes(self, first_row: int, last_row: int) -> int:
        """Return how many bytes the records of some rows take up."""
        runs = slice(self.row_pointer[first_row], self.row_pointer[last_row])
        return int(self.run_length[runs].sum(dtype=np.int64))

    def _runs(
        self, first_row: int, last_row: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return starts, stops (bytes) and rows of the runs of some rows, in file order."""
        pointer = self.row_pointer[first_row : last_row + 1]
        runs = slice(pointer[0], pointer[-1])
        order = np.argsort(self.run_start[runs], kind="stable")
        starts = self.run_start[runs][order]
        stops = starts + self.run_length[runs][order]
        rows = np.repeat(np.arange(first_row, last_row), np.diff(pointer))[order]
        return starts, stops, rows

    def _raise(self, status: int, position: int) -> NoReturn:
        if status == _OVERFLOW:
            raise OverflowError(
                f"{self.path}: the counts of a channel, summed over detectors or "
                f"channels, are above {np.iinfo(self.dtype).max}, the most that "
                f"{self.dtype} holds (record at byte {position}). Load the map with "
                f"dtype={_WIDER[self.dtype.name]!r}."
            )
        if status == _CHANNEL:
            found, at = _find_wrong_channel(self.path, position, self.n_channels)
            raise CorruptFileError(
                f"{self.path}: the channels of a record are {found}, expected ascending "
                f"channels less than {self.n_channels}, the header's Chan (byte {at}). "
                "The file is damaged."
            )
        raise CorruptFileError(
            f"{self.path}: no record of the map that was indexed is here, or one of another "
            f"row (byte {position}). The file was changed since it was indexed; load it again "
            "with cache=False."
        )


def geopixe_array(
    filename: str | Path,
    header: Header,
    index: Index,
    detectors: tuple[int, ...],
    is_summed: bool,
    rebin_energy: int,
    n_bins: int,
    dtype: np.dtype,
) -> GeoPIXEArray:
    """Make the array-like over an indexed file.

    Parameters
    ----------
    filename, header, index
        The file, its header and its index.
    detectors
        Those to read.
    is_summed
        Sum them, or keep them along the first axis.
    rebin_energy, n_bins, dtype
        See :class:`GeoPIXEArray`.
    """
    places = [-1] * header.n_detectors
    for place, detector in enumerate(detectors):
        places[detector] = 0 if is_summed else place
    return GeoPIXEArray(
        # Workers and later calls may have another working folder.
        path=os.path.abspath(filename),
        identity=header.identity,
        run_start=index.run_start,
        run_length=index.run_length,
        row_pointer=index.row_pointer,
        n_rows=header.n_rows,
        n_columns=header.n_columns,
        n_channels=header.n_channels,
        detector_axis=tuple(places),
        is_summed=is_summed,
        rebin_energy=rebin_energy,
        n_bins=n_bins,
        dtype=np.dtype(dtype),
    )


def whole_array(
    filename: str | Path,
    header: Header,
    index: Index,
    detectors: tuple[int, ...] | None = None,
) -> GeoPIXEArray:
    """Make the array-like over all that a file holds, detector by detector.

    Parameters
    ----------
    filename, header, index
        The file, its header and its index.
    detectors
        Those to read; None is all.
    """
    if detectors is None:
        detectors = tuple(range(header.n_detectors))
    return geopixe_array(
        filename,
        header,
        index,
        detectors=detectors,
        is_summed=False,
        rebin_energy=1,
        n_bins=header.n_channels,
        dtype=np.dtype(np.uint16),
    )


def _find_wrong_channel(path: str, position: int, n_channels: int) -> tuple[str, int]:
    """Return what is wrong with the channels of a record, and at which byte."""
    length = np.fromfile(path, dtype=RECORD, count=1, offset=position)["length"][0]
    at = position + RECORD_BYTES
    n_entries = (int(length) - RECORD_BYTES) // ENTRY_BYTES
    entries = np.fromfile(path, dtype=ENTRY, count=n_entries, offset=at)
    channels = entries["channel"].astype(np.int64)
    is_wrong = (channels >= n_channels) | (np.diff(channels, prepend=-1) <= 0)
    wrong = np.flatnonzero(is_wrong)[0]
    found = ", ".join(str(c) for c in channels[max(0, wrong - 1) : wrong + 1])
    return f"..., {found}, ...", at + int(wrong) * ENTRY_BYTES


def _join(starts: np.ndarray, stops: np.ndarray) -> list[Range]:
    """Return the byte ranges of runs, those that lie together as one."""
    gaps = np.flatnonzero(starts[1:] != stops[:-1])
    firsts = starts[np.concatenate(([0], gaps + 1))] if starts.size else starts
    lasts = stops[np.concatenate((gaps, [-1]))] if starts.size else stops
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


@kernel
def _whole_records(words, n_bytes, longest, position, stops, rows, run):
    """Return how many bytes of a block are whole records, 0 if anything else is there.

    Anything else is also a record that is not of the row that was indexed at its place, or
    that does not end where the run of that row ends; `run` is the number of the first run.
    """
    at = 0
    i = run[0]
    while at + RECORD_BYTES <= n_bytes:
        word = at // WORD
        length = np.int64(words[word + LENGTH_WORD]) | (
            np.int64(words[word + LENGTH_WORD + 1]) << 16
        )
        if words[word + MARK_WORD] != RECORD_MARK:
            return 0
        if length < RECORD_BYTES or length > longest or length % ENTRY_BYTES:
            return 0
        if np.int64(words[word + Y_WORD]) != rows[i]:
            return 0
        if at + length > n_bytes:
            break
        at += length
        if position + at >= stops[i]:
            if position + at > stops[i]:
                return 0
            i += 1
    run[0] = i
    return at


@kernel
def next_record(words, at, box, detectors):
    """Return the end of a record and its place (detector, y, x) in a block, or -1."""
    word = at // WORD
    length = np.int64(words[word + LENGTH_WORD]) | (
        np.int64(words[word + LENGTH_WORD + 1]) << 16
    )
    x = np.int64(words[word + X_WORD])
    y = np.int64(words[word + Y_WORD])
    detector = np.int64(words[word + DETECTOR_WORD])
    place = np.int64(-1)
    if detector < detectors.size and box[0] <= y < box[1] and box[2] <= x < box[3]:
        place = detectors[detector]
    return at + length, place, y - box[0], x - box[2]


@kernel
def _are_channels_valid(entries, n_channels):
    """Tell whether the channels of a record's entries ascend and are within the map.

    The difference of two channels has its highest bit set if the second is larger; a
    loop without branches, which the compiler makes one of vectors.
    """
    order = np.uint32(0xFFFFFFFF)
    for i in range(entries.size - 1):
        order &= (entries[i] & _CHANNEL_BITS) - (entries[i + 1] & _CHANNEL_BITS)
    is_ascending = order >> np.uint32(31) == 1
    return entries.size == 0 or (
        is_ascending and (entries[-1] & _CHANNEL_BITS) < n_channels
    )


@kernel
def _add_entries(entries, spectrum, window):
    """Add the entries of a record to a spectrum that begins at the window's channel.

    Return all sums, combined bit by bit: as no sum is tested by itself, the loop has no
    branch for it.
    """
    first, span, rebin, _ = window
    sums = np.uint64(0)
    for i in range(entries.size):
        channel = (entries[i] & _CHANNEL_BITS) - first  # wraps around below the window
        if channel < span:
            bin_ = np.uint64(channel if rebin == 1 else channel // rebin)
            counts = np.uint64(spectrum[bin_]) + np.uint64(entries[i] >> _COUNTS_SHIFT)
            sums |= counts
            spectrum[bin_] = counts
    return sums


@kernel
def _decode(words, entries, n_bytes, dense, box, detectors, window, is_clear, limit):
    """Add the counts of whole records to a block (detector, y, x, E).

    A spectrum is cleared when its first record comes, while it is on its way to the
    cache anyway; that is a third faster than a block of zeros.
    """
    at = 0
    while at < n_bytes:
        stop, place, row, column = next_record(words, at, box, detectors)
        if place >= 0:
            record = entries[(at + RECORD_BYTES) // ENTRY_BYTES : stop // ENTRY_BYTES]
            if not _are_channels_valid(record, window[3]):
                return at, _CHANNEL
            spectrum = dense[place, row, column]
            if not is_clear[place, row, column]:
                is_clear[place, row, column] = True
                spectrum[:] = 0
            sums = _add_entries(record, spectrum, window)
            if sums > limit:  # limit is 2**n - 1: only a sum above it has a higher bit
                return at, _OVERFLOW
        at = stop
    return at, _DONE


@kernel
def _sum_spectra(words, entries, n_bytes, total, box, detectors, window):
    """Add the counts of whole records to one spectrum.

    They are added up as 32-bit numbers, which fit the cache better, and moved to the
    total before one more record could overflow them.
    """
    partial = np.zeros(total.size, dtype=np.uint32)
    most = np.int64(2**32 - 1) - np.int64(window[3]) * _MAX_COUNTS
    at = 0
    while at < n_bytes:
        stop, place, _, _ = next_record(words, at, box, detectors)
        if place >= 0:
            record = entries[(at + RECORD_BYTES) // ENTRY_BYTES : stop // ENTRY_BYTES]
            if not _are_channels_valid(record, window[3]):
                return at, _CHANNEL
            sums = _add_entries(record, partial, window)
            if np.int64(sums) > most:
                total += partial
                partial[:] = 0
        at = stop
    total += partial
    return at, _DONE


@kernel
def _sum_channels(words, entries, n_bytes, dense, box, detectors, window):
    """Add the counts of whole records to a map (detector, y, x)."""
    first_channel, span, _, n_channels = window
    at = 0
    while at < n_bytes:
        stop, place, row, column = next_record(words, at, box, detectors)
        if place >= 0:
            record = entries[(at + RECORD_BYTES) // ENTRY_BYTES : stop // ENTRY_BYTES]
            if not _are_channels_valid(record, n_channels):
                return at, _CHANNEL
            counts = np.uint64(0)
            for i in range(record.size):
                if (record[i] & _CHANNEL_BITS) - first_channel < span:
                    counts += np.uint64(record[i] >> _COUNTS_SHIFT)
            dense[place, row, column] += counts
        at = stop
    return at, _DONE
