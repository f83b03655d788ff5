"""Where the records of each row lie, and what they say together: one pass over a stream.

The pass decodes every record: the counts around 0 keV of each pixel, of which its live time is
made, are among them, and the highest count of any channel tells which type of integer holds
all of them. So a map is never read as a type that its counts do not fit.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import numpy as np

from rsciio_xfm.core.array import Range
from rsciio_xfm.core.cache import Entry
from rsciio_xfm.core.config import BLOCK_BYTES
from rsciio_xfm.core.fields import check_fields
from rsciio_xfm.core.progress import bytes_bar
from rsciio_xfm.core.runs import Runs
from rsciio_xfm.core.source import Memory
from rsciio_xfm.core.stream import DAMAGED, DONE
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from rsciio_xfm.formats.bruker import layout
from rsciio_xfm.formats.bruker.container import InflatedBytes, StoredBytes, read_part
from rsciio_xfm.formats.bruker.kernels import (
    PACKING_AT,
    RECORD_BYTES,
    SIZE_AT,
    SPARE,
    WRONG_CHANNEL,
    WRONG_COUNTS,
    WRONG_PACKING,
    WRONG_SIZE,
    has_added,
    record_stop,
    stored_stop,
    u2,
    u4,
    unpack,
)
from rsciio_xfm.kernels.compiled import kernel

Data = StoredBytes | InflatedBytes

# To be changed whenever an index of an older version must not be used.
_CACHE_KIND = "bruker-2"
NOT_STORED = -1  # counts of a pixel without a record
_LINE_BYTES = layout.LINE.itemsize
# What the kernel stopped at, beside what is wrong within a record.
END_OF_BLOCK = DONE
WRONG_LINE, OUTSIDE, REPEATED, TOO_LONG = range(DAMAGED + 4, DAMAGED + 8)
# The state of the pass: row, its records that are still to come, highest count, bytes of the
# longest record, records, and those of which `partial` is the sum.
_ROW, _LEFT, _HIGHEST, _LONGEST, _RECORDS, _HELD = range(6)
_MOST_COUNTS = 2**31 - 2**16  # of `partial`, so that those of any record fit as well


@dataclass(frozen=True)
class Shape:
    """Size of a map as its stream has it; its electronics' channels."""

    n_rows: int
    n_columns: int
    n_channels: int


@dataclass(frozen=True, eq=False)
class Index:
    """The records of a stream.

    Attributes
    ----------
    start, length
        int64, shape (n_rows,): bytes at which the records of each row begin, and how many
        there are.
    pulses
        Smallest signed integers that hold them, shape (n_rows, n_columns): counts around
        0 keV, -1 where nothing is stored.
    total
        uint64, shape (channels,): the sum of all spectra.
    n_records, highest, longest
        How many records there are, the highest count, the most bytes of a record.
    n_rows
        That are whole.
    stop
        Byte at which the last whole record ends.
    """

    start: np.ndarray
    length: np.ndarray
    pulses: np.ndarray
    total: np.ndarray
    n_records: int
    highest: int
    longest: int
    n_rows: int
    stop: int

    def runs(self, downsample: int = 1) -> Runs:
        """Return where the records are of so many rows at a time."""
        if downsample == 1:
            return Runs(self.start, self.length)
        n_rows = len(self.start)
        n_lines = -(-n_rows // downsample)
        pointer = np.minimum(np.arange(n_lines + 1) * downsample, n_rows)
        return Runs(self.start, self.length, pointer)


def read_shape(data: Data, what: str) -> Shape:
    """Read the size of a map from the beginning of its stream.

    Raises
    ------
    FileFormatError
        It cannot be that of a map, or the file ends before the first row.
    """
    name = data.source.name
    if data.present < layout.FIRST_LINE:
        raise TruncatedFileError(
            f"{name}: {what} has {data.present} bytes, expected at least "
            f"{layout.FIRST_LINE} (byte {data.byte_of(0)}). The file is cut, or damaged."
        )
    head = read_part(data, 0, layout.STREAM.itemsize).view(layout.STREAM)[0]
    # Of a compressed stream, fields have no byte of the file: that of their block is named.
    check_fields(Memory.of(b"", name), head, layout.STREAM_BOUNDS, data.byte_of(0))
    shape = Shape(*(int(head[key]) for key in ("n_rows", "n_columns", "n_channels")))
    n_bytes = shape.n_rows * shape.n_columns * np.dtype(np.int64).itemsize
    # A map of which little was measured is small: 64 MiB are granted to any.
    least = max(16 * data.source.size, 64 * 2**20)
    if n_bytes > least or data.present == data.size < layout.FIRST_LINE + _LINE_BYTES:
        raise FileFormatError(
            f"{name}: {what} is of {shape.n_rows} x {shape.n_columns} pixels, expected at "
            f"most {least // 8} in a file of {data.source.size} bytes (byte "
            f"{data.byte_of(0)}). The file is damaged, or nearly all of it is missing."
        )
    return shape


def read_index(data: Data, what: str, shape: Shape, window: Range, cache: bool) -> Index:
    """Index the records of a stream, or take the index that was kept of it.

    Parameters
    ----------
    data
        The stream.
    what
        Its name in the container.
    shape
        From :func:`read_shape`.
    window
        Channels around 0 keV, see :func:`rsciio_xfm.formats.bruker.times.zero_peak`.
    cache
        Whether an index may be taken from, and kept in, the user's cache.

    Raises
    ------
    CorruptFileError
        A record contradicts the format, lies outside the map, or stands twice.

    Warns
    -----
    UserWarning
        The stream ends before its last row, or goes on behind it.
    """
    if cache:
        entry = Entry.of(f"{_CACHE_KIND}-{what.rsplit('/', 1)[-1]}", data.source, *window)
        index = entry.get_or_make(
            lambda: build_index(data, what, shape, window),
            vars,
            lambda found: _unpack_index(found, data, shape),
        )
    else:
        index = build_index(data, what, shape, window)
    _warn_missing(index, data, what, shape)
    return index


def _unpack_index(found: dict[str, np.ndarray], data: Data, shape: Shape) -> Index | None:
    """Make an index of what was kept, unless it cannot be that of the stream."""
    names = ("n_records", "highest", "longest", "n_rows", "stop")
    kept: dict[str, Any] = found | {name: int(found[name]) for name in names}
    index = Index(**kept)
    expected = {
        "start": (np.int64, (shape.n_rows,)),
        "length": (np.int64, (shape.n_rows,)),
        "pulses": (index.pulses.dtype, (shape.n_rows, shape.n_columns)),
        "total": (np.uint64, (shape.n_channels,)),
    }
    if index.pulses.dtype.kind != "i":
        return None
    for name, (dtype, size) in expected.items():
        held = getattr(index, name)
        if held.dtype != dtype or held.shape != size:
            return None
    is_sound = index.runs().is_sound(shape.n_rows, 0, data.present)
    return index if is_sound else None


class _Found(NamedTuple):
    """What is known so far, see :class:`Index`.

    `spectrum` is that of a record; `partial` the sum of so many as 32 bits hold.
    """

    start: np.ndarray
    length: np.ndarray
    pulses: np.ndarray
    total: np.ndarray
    spectrum: np.ndarray
    partial: np.ndarray
    state: np.ndarray


def build_index(data: Data, what: str, shape: Shape, window: Range) -> Index:
    """Index the records of a stream in one pass of bounded memory; see :func:`read_index`."""
    size = shape.n_rows, shape.n_columns
    found = _Found(
        np.zeros(shape.n_rows, dtype=np.int64),
        np.zeros(shape.n_rows, dtype=np.int64),
        np.full(size, NOT_STORED, dtype=np.int64),
        np.zeros(shape.n_channels, dtype=np.uint64),
        np.zeros(shape.n_channels + SPARE, dtype=np.uint32),
        np.zeros(shape.n_channels, dtype=np.uint32),
        np.zeros(6, dtype=np.int64),
    )
    at, end = layout.FIRST_LINE, data.present
    raw = np.empty(BLOCK_BYTES, dtype=np.uint8)
    held = 0  # bytes of a record that is not whole yet, at the start of the buffer
    with (
        data.opened() as read,
        bytes_bar(end, f"Indexing {what}") as bar,
    ):
        while at + held < end and found.state[_ROW] < shape.n_rows:
            part = raw[held : held + end - at - held]
            begin = at + held
            read(np.array([begin]), np.array([begin + part.size]), part)
            block = raw[: held + part.size]
            done, status = _index_block(block, at, np.array(window), found)
            if status != END_OF_BLOCK:
                _raise_damage(data, what, status, block[done:], at + done, shape)
            bar.update(done)
            at, held = at + done, block.size - done
            raw[:held] = block[done:].copy()
            if held == raw.size:  # no record is as long
                _raise_damage(data, what, TOO_LONG, raw, at, shape)
    _flush(found)
    row, _, highest, longest, n_records, _ = found.state.tolist()
    found.start[row + (found.length[row : row + 1] > 0).sum() :] = at
    smallest = np.min_scalar_type(-1 - max(0, int(found.pulses.max())))
    return Index(
        found.start,
        found.length,
        found.pulses.astype(smallest),
        found.total,
        n_records=n_records,
        highest=highest,
        longest=max(longest, RECORD_BYTES),
        n_rows=row,
        stop=at,
    )


@kernel
def _index_block(
    raw: np.ndarray, base: int, window: np.ndarray, found: _Found
) -> tuple[int, int]:
    """Index the lines and records that are whole in a block; return bytes used, a status."""
    state, n_columns = found.state, found.pulses.shape[1]
    at: Any = np.int64(0)
    while state[_ROW] < found.start.size:
        row = state[_ROW]
        if state[_LEFT] == 0:
            if at + _LINE_BYTES > raw.size:
                return at, END_OF_BLOCK
            n = u4(raw, at)
            if n > n_columns:
                return at, WRONG_LINE
            at += _LINE_BYTES
            found.start[row] = base + at
            state[_LEFT] = n
            state[_ROW] += n == 0
            continue
        stop = _end_of_record(raw, at)
        if stop - at > layout.MAX_RECORD_BYTES:
            return at, TOO_LONG
        if stop > raw.size:
            return at, END_OF_BLOCK
        status = _index_record(raw, at, stop, window, found)
        if status != DONE:
            return at, status
        found.length[row] += stop - at
        at = stop
        state[_LEFT] -= 1
        state[_ROW] += state[_LEFT] == 0
    return at, END_OF_BLOCK


@kernel
def _end_of_record(raw: np.ndarray, at: int) -> int:
    """Return where a record ends, or a byte behind the block if that is not known there."""
    if at + RECORD_BYTES > raw.size:
        return raw.size + 1
    stop = stored_stop(raw, at)
    if stop > raw.size:
        return stop
    return record_stop(raw, at)


@kernel
def _index_record(
    raw: np.ndarray, at: int, stop: int, window: np.ndarray, found: _Found
) -> int:
    """Decode a record, and keep what it says."""
    state, spectrum = found.state, found.spectrum
    x = u4(raw, at)
    if x >= found.pulses.shape[1]:
        return OUTSIDE
    if found.pulses[state[_ROW], x] != NOT_STORED:
        return REPEATED
    top, status = unpack(raw, at, stop, spectrum, spectrum.size)
    if status != DONE:
        return status
    pulses = np.int64(0)
    for i in range(window[0], min(top, window[1])):
        pulses += spectrum[i]
    found.pulses[state[_ROW], x] = pulses
    highest = _move(spectrum, found.partial, top)
    state[_HIGHEST] = max(state[_HIGHEST], np.int64(highest))
    state[_LONGEST] = max(state[_LONGEST], stop - at)
    state[_RECORDS] += 1
    state[_HELD] += 1
    if state[_HELD] * state[_HIGHEST] > _MOST_COUNTS:
        _flush(found)
    return DONE


@kernel
def _move(spectrum: np.ndarray, partial: np.ndarray, top: int) -> np.unsignedinteger:
    """Add a spectrum to the sum, and set it to zero; return its highest count."""
    highest = np.uint32(0)
    for channel in range(top):
        i = np.uint64(channel)
        highest = max(highest, spectrum[i])
        partial[i] += spectrum[i]
        spectrum[i] = 0
    return highest


@kernel
def _flush(found: _Found) -> None:
    """Add the sum of some records to the total."""
    for i in range(found.total.size):
        found.total[i] += np.uint64(found.partial[i])
    found.partial[:] = 0
    found.state[_HELD] = 0


def describe_record(raw: np.ndarray, status: int, n_channels: int) -> str:
    """Return what is wrong with a record, of which these are the first bytes."""
    if status == WRONG_PACKING:
        return (
            f"a record is packed in way {u2(raw, PACKING_AT)}, or an instruction in it is "
            f"none, expected {layout.EVENTS_16} to {layout.INSTRUCTIONS_TOO}, and sizes of "
            "0, 1, 2, 4 or 8"
        )
    size = u4(raw, SIZE_AT)
    text = {
        WRONG_SIZE: f"a record has {size} bytes, expected as many as are packed in it",
        WRONG_CHANNEL: f"a record has counts in a channel beyond {n_channels - 1}, expected "
        f"fewer than the {n_channels} of the electronics",
        WRONG_COUNTS: "a record has more than 2147483647 counts in a channel, expected fewer",
    }
    return text[status]


def _raise_damage(
    data: Data, what: str, status: int, raw: np.ndarray, position: int, shape: Shape
) -> NoReturn:
    found = u4(raw, 0)
    if status == WRONG_LINE:
        problem = f"a row has {found} pixels, expected 0 to {shape.n_columns}"
    elif status == OUTSIDE:
        problem = f"a record is of column {found}, expected 0 to {shape.n_columns - 1}"
    elif status == REPEATED:
        problem = f"a record of column {found} stands twice in its row, expected one"
    elif status == TOO_LONG:
        n_bytes = u4(raw, SIZE_AT)
        problem = (
            f"a record has {n_bytes} bytes{' and events' * bool(has_added(raw, 0))}, expected "
            f"less than {layout.MAX_RECORD_BYTES}"
        )
    else:
        problem = describe_record(raw, status, shape.n_channels)
    raise CorruptFileError(
        f"{data.source.name}: {problem} ({what}, byte {position} of it; byte "
        f"{data.byte_of(position)}). The file is damaged."
    )


def _warn_missing(index: Index, data: Data, what: str, shape: Shape) -> None:
    """Say that a stream ends early, or goes on."""
    name = data.source.name
    if index.n_rows < shape.n_rows:
        missing = shape.n_rows - index.n_rows
        warn(
            f"{name}: {what} ends early: {missing} of {shape.n_rows} rows are missing or not "
            f"whole (from byte {data.byte_of(index.stop)} on). The counts of pixels that are "
            "missing are zero, their dead times NaN."
        )
    elif index.stop < data.size or _is_cut(data):
        warn(
            f"{name}: {data.size - index.stop} bytes follow the {shape.n_rows} rows of "
            f"{what}, expected none (byte {data.byte_of(index.stop)}). They are not read."
        )


def _is_cut(data: Data) -> bool:
    return isinstance(data, InflatedBytes) and data.is_cut
