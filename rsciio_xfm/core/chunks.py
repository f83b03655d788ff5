"""An array whose chunks lie anywhere in one or more files: raw, HDF5, zip, rows as files.

A format says which bytes of which file hold which chunk (:class:`Table`) and how they become
numbers (:class:`~rsciio_xfm.core.codecs.Decoder`). :class:`ChunkedArray` does the rest.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from rsciio_xfm.core.array import CountedArray, Pieces, Range
from rsciio_xfm.core.codecs import PLAIN, Decoder, Place
from rsciio_xfm.core.config import BLOCK_BYTES, GAP_BYTES, PIECE_BYTES, RAW_BYTES
from rsciio_xfm.core.source import Readers
from rsciio_xfm.core.table import (
    NO_CHUNK,
    Cell,
    Ranges,
    Table,
    bytes_touched,
    can_map,
    is_narrow,
    map_parts,
    read_directly,
    read_parts,
    shift,
    slices,
    split,
    stream_rows,
)
from rsciio_xfm.core.wide import (
    add_channels,
    add_exactly,
    add_spectra,
    check_unsigned,
    is_wide,
)
from rsciio_xfm.core.workplace import scratch
from rsciio_xfm.kernels.transpose import copy

__all__ = ["NO_CHUNK", "ChunkedArray", "Table"]

_SMALL_BYTES = 2**16  # of chunks that are put together before they are added up


@dataclass(frozen=True, eq=False)
class ChunkedArray(CountedArray):
    """An array whose chunks are read from files, and decoded, one by one.

    Attributes
    ----------
    table
        Where they are.
    decoder
        What turns their bytes into numbers.
    order
        The stored axis of each axis of the array; as they are stored if empty.

    Examples
    --------
    >>> import numpy as np
    >>> from rsciio_xfm.core.source import Memory
    >>> numbers = np.arange(24, dtype="<u2").reshape(2, 3, 4)  # images, channels first
    >>> table = Table.of_run(Memory.of(numbers.tobytes()), 0, (2, 3, 4), numbers.dtype)
    >>> ChunkedArray(table, order=(1, 2, 0))[0, 0]
    array([ 0, 12], dtype=uint16)
    """

    table: Table
    decoder: Decoder = PLAIN
    order: tuple[int, ...] = ()

    @cached_property
    def axes(self) -> tuple[int, ...]:
        """The stored axis of each axis of the array."""
        return self.order or tuple(range(len(self.table.shape)))

    @cached_property
    def is_as_stored(self) -> bool:
        """Whether the axes are in the order in which they are stored."""
        return self.axes == tuple(range(len(self.axes)))

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return tuple(self.table.shape[axis] for axis in self.axes)

    @cached_property
    def dtype(self) -> np.dtype:
        """Of the numbers, in the byte order of this machine."""
        return self.table.dtype.newbyteorder("=")

    @property
    def _channel_axis(self) -> int:
        """The stored axis of the channels."""
        return self.axes[-1]

    @property
    def _is_channels_last(self) -> bool:
        return self._channel_axis == len(self.axes) - 1

    @cached_property
    def _is_of_small_chunks(self) -> bool:
        """Whether chunks are put together before they are added up."""
        return self.table.offsets.size > 1 and self.table.chunk_bytes < _SMALL_BYTES

    @cached_property
    def _is_cut_freely(self) -> bool:
        """Whether chunks need not be read as a whole."""
        is_run = self.table.offsets.size == 1  # what lies in the file without chunks
        return self.decoder.is_plain and (is_run or self.table.chunk_bytes > PIECE_BYTES)

    @cached_property
    def stored_chunks(self) -> tuple[int, ...] | None:
        """Size of a chunk along each axis; None if there is nothing to gain from it."""
        if self._is_cut_freely:
            return None
        return tuple(self.table.chunks[axis] for axis in self.axes)

    def as_stored(self) -> "ChunkedArray":
        """Return the same with its axes in the order in which they are stored."""
        return replace(self, order=())

    def row_axis(self) -> int:
        """Return the first axis."""
        return 0

    def row_step(self) -> int:
        """Return how many rows a chunk has."""
        stored = self.stored_chunks
        return 1 if stored is None else stored[0]

    def file_bytes(self) -> int:
        """Return how many bytes there are to read or, if that is more, to decode."""
        return max(self.table.stored_bytes, math.prod(self.shape) * self.dtype.itemsize)

    def read(self, ranges: Ranges) -> np.ndarray:
        """Read a block; see :meth:`ArrayLike.read`."""
        block = np.empty([stop - start for start, stop in ranges], dtype=self.dtype)
        with Readers(self.table.sources) as readers:
            self._read_to(block, ranges, readers)
        return block

    def _read_to(self, block: np.ndarray, ranges: Ranges, readers: Readers) -> None:
        """Read a block into memory that is there."""
        if block.size == 0:
            return
        stored = self._as_stored(ranges)
        target = block
        if not self.is_as_stored:
            target = block.transpose(np.argsort(self.axes))
        if self.table.has_gaps and self.table.count(stored)[0]:
            block[...] = self.table.fill
        cells = (cell for cell in self.table.cut(stored) if cell.offset != NO_CHUNK)
        if self.decoder.is_plain:
            for cell in cells:
                self._read_plain(cell, target[cell.into], readers)
        else:
            for run in _runs(cells):
                self._decode_run(run, target, readers)

    def _read_plain(self, cell: Cell, part: np.ndarray, readers: Readers) -> None:
        """Read a part of a plain chunk to its place, at once if its bytes lie there alike."""
        if part.flags.c_contiguous:
            reader, flat = readers[cell.source], part.reshape(-1).view(np.uint8)
            if read_directly(self.table, cell, reader, flat):
                self._make_native(part)
                return
        for held, found in self._parts(cell, readers):
            copy(found, part[slices(held, cell.held)])

    def _decode_run(self, run: list[Cell], target: np.ndarray, readers: Readers) -> None:
        """Read chunks that follow each other, and decode them to their places if they fit."""
        cells = [(cell, target[cell.into]) for cell in run]
        first, last = run[0], run[-1]
        n_bytes = last.offset + last.n_bytes - first.offset
        raw = readers.fetch(first.source, first.offset, n_bytes)
        whole = []
        for cell, part in cells:
            low = cell.offset - first.offset
            own = raw[low : low + cell.n_bytes]
            if cell.lengths == self.table.chunks and part.flags.c_contiguous:
                whole.append((own, part.reshape(-1).view(np.uint8), self._place(cell)))
                continue
            with scratch(self.table.chunk_bytes) as memory:
                self.decoder.decode(own, memory, self._place(cell))
                copy(self._wanted(cell, memory), part)
        self.decoder.decode_each(whole)
        for _, flat, _ in whole:
            self._make_native(flat.view(self.table.dtype))

    def _make_native(self, numbers: np.ndarray) -> None:
        """Turn the bytes round of numbers that were read as they are stored."""
        if not self.table.dtype.isnative:
            numbers.byteswap(inplace=True)

    def _place(self, cell: Cell) -> Place:
        """Return where a chunk is, for messages."""
        return Place(self.table.sources[cell.source].name, cell.index, cell.offset)

    def _wanted(self, cell: Cell, memory: np.ndarray) -> np.ndarray:
        """Return what is wanted of the numbers of a whole chunk."""
        chunk = memory.view(self.table.dtype).reshape(self.table.chunks)
        return self._native(chunk[tuple(slice(*r) for r in cell.part)])

    def _parts(self, cell: Cell, readers: Readers) -> Iterator[tuple[Ranges, np.ndarray]]:
        """Yield what is wanted of a chunk, as it is stored, and its ranges.

        Of a plain one, some MiB at a time; valid until the next one.
        """
        if cell.offset == NO_CHUNK:
            yield cell.held, np.full(cell.lengths, self.table.fill, dtype=self.dtype)
        elif self.decoder.is_plain:
            for part, found in read_parts(self.table, cell, readers[cell.source]):
                yield shift(part, cell.corner), self._native(found)
        else:
            with scratch(self.table.chunk_bytes) as memory:
                raw = readers.fetch(cell.source, cell.offset, cell.n_bytes)
                self.decoder.decode(raw, memory, self._place(cell))
                yield cell.held, self._wanted(cell, memory)

    def _native(self, numbers: np.ndarray) -> np.ndarray:
        return numbers.astype(self.dtype, copy=False)

    def _as_stored(self, ranges: Ranges) -> Ranges:
        """Return ranges in the order of the stored axes."""
        if self.is_as_stored:
            return ranges
        return tuple(ranges[self.axes.index(axis)] for axis in range(len(ranges)))

    def pieces(self, ranges: Ranges) -> Pieces:
        """Read a block piece by piece, no chunk twice; see :meth:`FileArray.pieces`."""
        if any(stop <= start for start, stop in ranges):
            return
        with Readers(self.table.sources) as readers:
            for part in self._cut_pieces(ranges):
                if self.table.fill == 0 and self._is_empty(part):
                    continue
                shape = [stop - start for start, stop in part]
                with scratch(math.prod(shape) * self.dtype.itemsize) as memory:
                    block = memory.view(self.dtype).reshape(shape)
                    self._read_to(block, part, readers)
                    yield part, block

    def pieces_for(self, ranges: Ranges, looked_at: Sequence[Range]) -> Pieces:
        """Read a block, mapped if few channels are looked at, however far apart they are."""
        if any(stop <= start for start, stop in ranges):
            return
        if not self._can_map(ranges, looked_at):
            yield from self.pieces(ranges)
            return
        ranges = (*ranges[:-1], (0, self.shape[-1]))
        with Readers(self.table.sources) as readers:
            for cell in self.table.cut(ranges):
                if cell.offset == NO_CHUNK:
                    continue
                for part, block in map_parts(self.table, cell, readers[cell.source]):
                    yield shift(part, cell.corner), block

    def _can_map(self, ranges: Ranges, looked_at: Sequence[Range]) -> bool:
        """Tell whether few bytes of whole rows are wanted: others need not be copied."""
        table = self.table
        spectrum_bytes = table.bytes_of(table.chunks[-1:])
        return (
            self.decoder.is_plain
            and self.is_as_stored
            and self.ndim > 1
            and table.fill == 0
            and table.chunks[1:] == table.shape[1:]
            and ranges[1:-1] == tuple((0, size) for size in table.shape[1:-1])
            and is_narrow(
                bytes_touched(looked_at, table.dtype.itemsize), spectrum_bytes, 1
            )
            and can_map(table)
        )

    def _is_empty(self, ranges: Ranges) -> bool:
        if not self.table.has_gaps:
            return False
        n_missing, n_chunks = self.table.count(self._as_stored(ranges))
        return n_missing == n_chunks

    def _cut_pieces(self, ranges: Ranges) -> Iterator[Ranges]:
        """Cut a block into pieces along the navigation axes, of whole chunks if possible."""
        grain = self.stored_chunks or (1,) * len(ranges)
        channels, limit = ranges[-1], PIECE_BYTES
        if self._is_read_whole(channels):
            channels, limit = (0, self.shape[-1]), BLOCK_BYTES
        unit = (channels[1] - channels[0]) * math.prod(grain[:-1]) * self.dtype.itemsize
        n_units, cuts = max(1, limit // unit), []
        for (start, stop), size in reversed([*zip(ranges, grain, strict=True)][:-1]):
            n = min(n_units, -(-stop // size) - start // size)
            n_units = max(1, n_units // n)
            cuts.append(split((start, stop), n * size))
        for held in itertools.product(*cuts[::-1]):
            yield (*held, channels)

    def _is_read_whole(self, channels: Range) -> bool:
        """Tell whether spectra are read as they lie, whichever channels are wanted."""
        n_all = self.shape[-1]
        return (
            self.decoder.is_plain
            and self.is_as_stored
            and self.table.chunks[-1] == n_all
            and not is_narrow(channels[1] - channels[0], n_all, self.dtype.itemsize)
        )

    def sum_navigation(self, ranges: Ranges) -> np.ndarray:
        """Sum the spectra of a block along its chunks as they lie."""
        check_unsigned(self.dtype)
        if self._is_of_small_chunks:
            return super().sum_navigation(ranges)
        total = np.zeros(ranges[-1][1] - ranges[-1][0], dtype=np.uint64)
        for cell, readers in self._cells(ranges):
            axis = self._channel_axis
            low = cell.corner[axis] - ranges[-1][0]
            part = cell.part[axis]
            sums = self._stream_spectra(cell, readers)
            if sums is not None:
                self._add(total[part[0] + low : part[1] + low], sums)
                continue
            for held, numbers in self._parts(cell, readers):
                place = slice(*(edge - ranges[-1][0] for edge in held[axis]))
                _add_spectra(numbers, axis, total[place])
        return total

    def _stream_spectra(self, cell: Cell, readers: Readers) -> np.ndarray | None:
        """Add the spectra of a part up in a kernel that reads them, if there is one."""
        axis = self._channel_axis
        if axis == 0 and not self._is_channels_last and cell.offset != NO_CHUNK:
            pixels = self._neighbours(cell)
            if pixels is None:
                return None
            return stream_rows(self.table, cell, readers[cell.source], 1, pixels)
        if not self._can_stream(cell):
            return None
        sums = stream_rows(self.table, cell, readers[cell.source], axis, None)
        return None if sums is None else sums[slice(*cell.part[axis])]

    def _neighbours(self, cell: Cell) -> Range | None:
        """Return which numbers of its images a part has, if they follow each other."""
        chunks, (start, stop) = self.table.chunks, cell.part[1]
        n = math.prod(chunks[2:])
        is_run = self.decoder.is_plain and cell.lengths[2:] == chunks[2:]
        # Images are read as a whole.
        return (
            (start * n, stop * n) if is_run and 4 * (stop - start) >= chunks[1] else None
        )

    def _can_stream(self, cell: Cell) -> bool:
        """Tell whether a part is of whole spectra, or of whole images."""
        if cell.offset == NO_CHUNK or not self.decoder.is_plain:
            return False
        if self._is_channels_last:
            n_all = self.table.chunks[-1]
            return not is_narrow(cell.lengths[-1], n_all, self.dtype.itemsize)
        is_first = self._channel_axis == 0
        return is_first and cell.lengths[1:] == self.table.chunks[1:]

    def sum_signal(self, ranges: Ranges) -> np.ndarray:
        """Sum the channels of a block along its chunks as they lie."""
        check_unsigned(self.dtype)
        # Mapped, the spectra lie as kernels take them: a part of each would be copied first.
        if self._is_of_small_chunks or self._can_map(ranges, ranges[-1:]):
            return super().sum_signal(ranges)
        total = np.zeros([stop - start for start, stop in ranges[:-1]], dtype=np.uint64)
        axis = self._channel_axis
        stored = self._as_stored(ranges)
        # The pixels as they are stored, so that those of a part are a block of them.
        order = [i for i in self.axes if i != axis]
        pixels = total.transpose(np.argsort(order))
        for cell, readers in self._cells(ranges):
            sums = self._stream_channels(cell, readers)
            if sums is not None:
                place = _without(cell.into, axis)
                self._add(
                    pixels[(*place, ...)], sums.reshape(_without(cell.lengths, axis))
                )
                continue
            for held, numbers in self._parts(cell, readers):
                place = _without(slices(held, stored), axis)
                self._add(pixels[(*place, ...)], _sum_channels(numbers, axis))
        return total

    def _stream_channels(self, cell: Cell, readers: Readers) -> np.ndarray | None:
        """Add the channels of a part up in a kernel that reads them, if there is one."""
        if not self._can_stream(cell):
            return None
        axis, reader = self._channel_axis, readers[cell.source]
        if self._is_channels_last:
            return stream_rows(self.table, cell, reader, axis, cell.part[axis])
        return stream_rows(self.table, cell, reader, 1, None)

    def _cells(self, ranges: Ranges) -> Iterator[tuple[Cell, Readers]]:
        """Yield what a block has of each chunk that adds to a sum."""
        if any(stop <= start for start, stop in ranges):
            return
        with Readers(self.table.sources) as readers:
            for cell in self.table.cut(self._as_stored(ranges)):
                if cell.offset != NO_CHUNK or self.table.fill != 0:
                    yield cell, readers

    def _add(self, total: np.ndarray, sums: np.ndarray) -> None:
        if is_wide(self.dtype):
            add_exactly(total, sums, self.table.sources[0].name)
        else:
            total += sums


def _runs(cells: Iterable[Cell]) -> Iterator[list[Cell]]:
    """Put chunks together that follow each other in a file, to be read at once."""
    run: list[Cell] = []
    for cell in cells:
        if run:
            last = run[-1]
            gap = cell.offset - last.offset - last.n_bytes
            is_next = cell.source == last.source and 0 <= gap <= GAP_BYTES
            if not is_next or cell.offset + cell.n_bytes - run[0].offset > RAW_BYTES:
                yield run
                run = []
        run.append(cell)
    if run:
        yield run


def _without(items: tuple, axis: int) -> tuple:
    """Leave out what is along one axis."""
    return items[:axis] + items[axis + 1 :]


def _add_spectra(numbers: np.ndarray, axis: int, total: np.ndarray) -> None:
    """Add spectra up, whose channels are along an axis of any number."""
    n_channels = numbers.shape[axis]
    if axis == 0 and numbers.ndim > 1:
        rows = np.ascontiguousarray(numbers).reshape(n_channels, -1)
        sums = add_channels(rows, 0, rows.shape[1])
        if is_wide(numbers.dtype):
            add_exactly(total, sums)
        else:
            total += sums
        return
    add_spectra(_channels_last(numbers, axis).reshape(-1, n_channels), total)


def _sum_channels(numbers: np.ndarray, axis: int) -> np.ndarray:
    """Sum the channels of each pixel, which are along an axis of any number."""
    shape = _without(numbers.shape, axis)
    if axis == 0:
        rows = np.ascontiguousarray(numbers).reshape(len(numbers), -1)
        total = np.zeros(rows.shape[1], dtype=np.uint64)
        add_spectra(rows, total)
        return total.reshape(shape)
    spectra = _channels_last(numbers, axis).reshape(-1, numbers.shape[axis])
    return add_channels(spectra, 0, spectra.shape[1]).reshape(shape)


def _channels_last(numbers: np.ndarray, axis: int) -> np.ndarray:
    """Return numbers C-contiguous, with an axis behind all others."""
    turned = np.moveaxis(numbers, axis, -1)
    if turned.flags.c_contiguous:
        return turned
    spectra = np.empty(turned.shape, dtype=turned.dtype)
    copy(turned, spectra)
    return spectra
