"""Spectra that lie in a file one after the other, as an array-like over the file."""

import itertools
import math
import mmap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np

from rsciio_xfm.core.array import FileArray, Range, place_in
from rsciio_xfm.core.source import (
    BLOCK_BYTES,
    check_unchanged,
    open_unbuffered,
    read_into,
    scratch,
)
from rsciio_xfm.core.wide import (
    add_channels,
    add_exactly,
    add_spectra,
    check_unsigned,
    is_wide,
)
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.kernels.pread import (
    can_stream,
    spectra_at_once,
    stream_channels,
    stream_spectra,
)

# Of windows of a quarter of the channels and less, at most a cache line of each spectrum is
# looked at: mapping the file leaves the rest where it is, and is up to four times faster
# than reading it. Mapped ranges begin where the system can map large pages.
_NARROW = 4
_NARROW_BYTES = 1024
_LINE_BYTES = 64
_MAP_BYTES = 32 * 2**20
_MAP_ALIGNMENT = 2 * 2**20


@dataclass(frozen=True)
class RawMap(FileArray):
    """Numbers of a map, ``(y, x, E)``, of a line scan, ``(x, E)``, or of several maps.

    Attributes
    ----------
    path
        The file.
    identity
        Of the file when its header was read, see
        :func:`rsciio_xfm.core.source.identify`.
    data_offset
        Byte at which the counts begin.
    n_rows_present
        Rows that are in the file; the rest are zeros.
    shape
        Of the array.
    stored_dtype
        Of the counts in the file.
    """

    path: str
    identity: tuple[int, ...]
    data_offset: int
    n_rows_present: int
    shape: tuple[int, ...]
    stored_dtype: np.dtype

    @property
    def dtype(self) -> np.dtype:
        """Of the counts, in the byte order of this machine."""
        return self.stored_dtype.newbyteorder("=")

    @property
    def spectrum_bytes(self) -> int:
        """Bytes of a spectrum in the file."""
        return self.shape[-1] * self.dtype.itemsize

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in the file."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def row_axis(self) -> int:
        """Return the first axis."""
        return 0

    def file_bytes(self) -> int:
        """Return the size of the file."""
        return self.identity[0]

    def _parts(
        self, ranges: tuple[Range, ...]
    ) -> Iterator[tuple[tuple[int, ...], "RawMap"]]:
        """Yield the index of each map of a block of more than three axes, and the map."""
        outer = [range(*r) for r in ranges[:-3]]
        shape = self.shape[-3:]
        map_bytes = math.prod(shape) * self.dtype.itemsize
        for index in itertools.product(*outer):
            if index[0] < self.n_rows_present:
                at = int(np.ravel_multi_index(index, self.shape[:-3]))
                offset = self.data_offset + at * map_bytes
                kept = {"n_rows_present": shape[0], "shape": shape}
                yield index, replace(self, data_offset=offset, **kept)

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Read a block of the map; see :meth:`FileArray.read`."""
        if len(ranges) > 3:
            counts = np.zeros([stop - start for start, stop in ranges], dtype=self.dtype)
            for index, part in self._parts(ranges):
                counts[_place(index, ranges)] = part.read(ranges[-3:])
            return counts
        counts = np.empty([stop - start for start, stop in ranges], dtype=self.dtype)
        rows = ranges[0]
        n_present = max(0, min(rows[1], self.n_rows_present) - rows[0])
        counts[n_present:] = 0
        if counts[:n_present].size and ranges[-1] == (0, self.shape[-1]):
            with self._open() as file:
                self._fill(file, (rows[0], rows[0] + n_present), ranges[1:-1], counts)
            return counts
        for held, block in self.pieces(ranges):
            first = ranges[-1][0] - held[-1][0]
            wanted = slice(first, first + counts.shape[-1])
            counts[place_in(held, ranges)] = block[..., wanted]
        return counts

    def pieces(
        self, ranges: tuple[Range, ...]
    ) -> Iterator[tuple[tuple[Range, ...], np.ndarray]]:
        """Read a block piece by piece, whole spectra; see :meth:`FileArray.pieces`."""
        return self.pieces_for(ranges, (ranges[-1],))

    def pieces_for(
        self, ranges: tuple[Range, ...], looked_at: Sequence[Range]
    ) -> Iterator[tuple[tuple[Range, ...], np.ndarray]]:
        """Read a block, mapped if few channels are looked at, however far apart they are."""
        if len(ranges) > 3:
            for index, part in self._parts(ranges):
                outer = tuple((i, i + 1) for i in index)
                for held, block in part.pieces_for(ranges[-3:], looked_at):
                    yield (*outer, *held), block[(np.newaxis,) * len(index)]
            return
        first_row, last_row = ranges[0][0], min(ranges[0][1], self.n_rows_present)
        if last_row <= first_row or any(stop <= start for start, stop in ranges):
            return
        if self._can_map(ranges, looked_at):
            yield from self._map_pieces((first_row, last_row), ranges[1:-1])
            return
        n_channels = self.shape[-1]
        spectrum_bytes = self.spectrum_bytes
        n_at_once = max(1, BLOCK_BYTES // spectrum_bytes)  # spectra
        # One column for a line scan, whose rows are its spectra.
        columns = ranges[1] if len(ranges) > 2 else (0, 1)
        width = min(n_at_once, columns[1] - columns[0])
        height = min(max(1, n_at_once // width), last_row - first_row)
        n_bytes = height * width * spectrum_bytes
        with self._open() as file, scratch(n_bytes) as memory:
            buffer = memory.view(self.dtype)
            for row in range(first_row, last_row, height):
                rows = (row, min(row + height, last_row))
                for column in range(*columns, width):
                    part = (column, min(column + width, columns[1]))
                    shape = (rows[1] - rows[0], part[1] - part[0], n_channels)
                    block = buffer[: math.prod(shape)].reshape(shape)
                    inner = (part,) if len(ranges) > 2 else ()
                    block = block if inner else block[:, 0]
                    self._fill(file, rows, inner, block)
                    yield (rows, *inner, (0, n_channels)), block

    def _can_map(self, ranges: tuple[Range, ...], looked_at: Sequence[Range]) -> bool:
        """Tell whether few bytes of whole rows are wanted: others need not be copied."""
        wanted = _bytes_touched(looked_at, self.dtype.itemsize)
        return (
            self.stored_dtype.isnative
            and self.data_offset % self.dtype.itemsize == 0
            and ranges[1:-1] == tuple((0, size) for size in self.shape[1:-1])
            and wanted * _NARROW <= self.spectrum_bytes
            and self.spectrum_bytes >= _NARROW_BYTES
            and self.row_bytes <= _MAP_BYTES
        )

    def _map_pieces(
        self, rows: Range, inner: tuple[Range, ...]
    ) -> Iterator[tuple[tuple[Range, ...], np.ndarray]]:
        """Yield whole rows as they lie in the file, mapped while they are looked at."""
        per_row = self.shape[1:]
        row_bytes = self.row_bytes
        n_at_once = max(1, _MAP_BYTES // row_bytes)
        with self._open() as file:
            for row in range(rows[0], rows[1], n_at_once):
                last = min(row + n_at_once, rows[1])
                start = self.data_offset + row * row_bytes
                aligned = start // _MAP_ALIGNMENT * _MAP_ALIGNMENT
                n_bytes = (last - row) * row_bytes
                # Unmapped when the last view of it is gone.
                mapped = mmap.mmap(
                    file.fileno(),
                    start - aligned + n_bytes,
                    access=mmap.ACCESS_READ,
                    offset=aligned,
                )
                raw = np.frombuffer(mapped, np.uint8, n_bytes, start - aligned)
                block = np.ndarray((last - row, *per_row), self.dtype, raw)
                del mapped, raw
                yield ((row, last), *inner, (0, per_row[-1])), block

    def sum_navigation(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the spectra of a block piece by piece."""
        check_unsigned(self.dtype)
        start, stop = ranges[-1]
        if len(ranges) > 3:
            total = np.zeros(stop - start, dtype=np.uint64)
            for _, part in self._parts(ranges):
                add_exactly(total, part.sum_navigation(ranges[-3:]), self.path)
            return total
        total = np.zeros(self.shape[-1], dtype=np.uint64)
        if not self._stream(stream_spectra, ranges, total):
            total[:] = 0
            for _, block in self.pieces(ranges):
                add_spectra(block.reshape(-1, block.shape[-1]), total)
        return total[start:stop]

    def sum_signal(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the channels of a block for each pixel, piece by piece."""
        check_unsigned(self.dtype)
        total = np.zeros([stop - start for start, stop in ranges[:-1]], dtype=np.uint64)
        if len(ranges) > 3:
            for index, part in self._parts(ranges):
                total[_place(index, ranges)] = part.sum_signal(ranges[-3:])
            return total
        window = np.array([ranges[-1]], dtype=np.int64)
        rest = (window, total.reshape(1, -1))
        if self._can_map(ranges, ranges[-1:]) or not self._stream(
            stream_channels, ranges, *rest
        ):
            for held, block in self.pieces(ranges):
                sums = add_channels(block.reshape(-1, block.shape[-1]), *ranges[-1])
                total[place_in(held, ranges)] = sums.reshape(block.shape[:-1])
        return total

    def _stream(self, function: Callable, ranges: tuple[Range, ...], *rest: Any) -> bool:
        """Run a kernel that reads the spectra of a block; return False if it cannot."""
        first_row, last_row = ranges[0][0], min(ranges[0][1], self.n_rows_present)
        if any(stop <= start for start, stop in ((first_row, last_row), *ranges[1:])):
            return True  # nothing to add
        is_native = self.stored_dtype.isnative and not is_wide(self.dtype)
        if not can_stream or not is_native:
            return False
        row_bytes, spectrum_bytes = self.row_bytes, self.spectrum_bytes
        (first, last) = ranges[1] if len(ranges) > 2 else (0, 1)
        n_runs, n_spectra = last_row - first_row, last - first
        if n_spectra * spectrum_bytes == row_bytes:  # whole rows follow each other
            n_runs, n_spectra = 1, n_runs * n_spectra
        n_at_once = min(n_spectra, spectra_at_once(spectrum_bytes))
        start = self.data_offset + first_row * row_bytes + first * spectrum_bytes
        with self._open() as file, scratch(n_at_once * spectrum_bytes) as memory:
            buffer = memory.view(self.dtype).reshape(n_at_once, self.shape[-1])
            where = (file.fileno(), start, row_bytes, n_runs, n_spectra)
            return function(*where, buffer, *rest)

    def _open(self) -> BinaryIO:
        file = open_unbuffered(self.path)
        try:
            check_unchanged(file, self.path, self.identity)
        except BaseException:
            file.close()
            raise
        return file

    def _fill(
        self,
        file: BinaryIO,
        rows: Range,
        columns: tuple[Range, ...],
        counts: np.ndarray,
    ) -> None:
        """Read whole spectra of some rows into the start of an array."""
        row_bytes, spectrum_bytes = self.row_bytes, self.spectrum_bytes
        start = self.data_offset + rows[0] * row_bytes
        flat = counts.reshape(-1).view(np.uint8)
        if not columns or columns[0] == (0, self.shape[1]):
            self._read(file, start, flat, (rows[1] - rows[0]) * row_bytes)
        else:
            (first, last) = columns[0]
            n_bytes = (last - first) * spectrum_bytes
            start += first * spectrum_bytes
            for i in range(rows[1] - rows[0]):
                part = flat[i * n_bytes : (i + 1) * n_bytes]
                self._read(file, start + i * row_bytes, part, n_bytes)
        if not self.stored_dtype.isnative:
            counts.byteswap(inplace=True)

    def _read(
        self, file: BinaryIO, offset: int, buffer: np.ndarray, n_bytes: int
    ) -> None:
        n_read = read_into(file, offset, buffer, n_bytes)
        if n_read < n_bytes:
            raise CorruptFileError(
                f"{self.path}: the file ends here, expected {n_bytes - n_read} bytes more "
                f"(byte {offset + n_read}). It was cut since it was opened; load it again."
            )


def _bytes_touched(channels: Sequence[Range], itemsize: int) -> int:
    """Return how many bytes of a spectrum are looked at, in cache lines where they are few."""
    n_bytes = last = 0
    for start, stop in sorted(channels):
        begin, end = start * itemsize, stop * itemsize
        n_bytes += max(0, max(end, begin + _LINE_BYTES) - max(begin, last))
        last = max(last, end, begin + _LINE_BYTES)
    return n_bytes


def _place(index: tuple[int, ...], ranges: tuple[Range, ...]) -> tuple[int, ...]:
    """Return where a map of a block of more than three axes lies in it."""
    return tuple(i - start for i, (start, _) in zip(index, ranges, strict=False))
