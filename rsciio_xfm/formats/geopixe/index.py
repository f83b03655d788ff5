"""Where the records of each row lie: one pass over the record headers of a file.

The pass checks every header and keeps, for each row of the map, the runs of bytes that
hold its records. A file in raster order (as all files seen) has one run a row, so the
index is next to nothing whatever the map's size. A file in any other order is read as
well, at 12 bytes a run (18 while it is built). The dead times are kept too: 4 bytes a
record.
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from rsciio_xfm.core.cache import Entry
from rsciio_xfm.core.config import BLOCK_BYTES
from rsciio_xfm.core.fields import field_offset
from rsciio_xfm.core.progress import bytes_bar
from rsciio_xfm.core.runs import Runs
from rsciio_xfm.core.source import (
    check_unchanged,
    find_zeros,
    little_endian,
    open_unbuffered,
    read_into,
)
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.formats.geopixe.kernels import (
    DETECTOR_WORD,
    ENTRY_BYTES,
    MARK_WORD,
    RECORD_BYTES,
    WORD,
    X_WORD,
    Y_WORD,
    record_length,
)
from rsciio_xfm.formats.geopixe.layout import ENTRY, RECORD, RECORD_MARK
from rsciio_xfm.formats.geopixe.parse import Header
from rsciio_xfm.kernels.compiled import kernel

DEAD_TIME_FLOAT = field_offset(RECORD, "dead_time") // RECORD["dead_time"].itemsize

# To be changed whenever an index of an older version must not be used.
_CACHE_KIND = "geopixe-2"

_RUNS_PER_PART = 2**16
_MAX_RUN_BYTES = 2**32 - 1  # run lengths are kept as uint32

# What a kernel stopped at.
(
    END_OF_BLOCK,
    WRONG_MARK,
    WRONG_LENGTH,
    OUTSIDE,
    REPEATED,
    PAST_END,
    RUNS_FULL,
) = range(7)


@dataclass(frozen=True)
class Index:
    """The records of a file, by row of the map.

    Attributes
    ----------
    run_start, run_length
        Byte offset (int64) and length in bytes (uint32) of each run of records of one
        row, ordered by row, then by offset.
    row_pointer
        int64, shape (n_rows + 1,): row y has the runs
        ``row_pointer[y]:row_pointer[y + 1]``.
    dead_time
        float32, shape (n_detectors, n_rows, n_columns), percent as the file has it, NaN
        where the file has no record.
    n_records
        int64, shape (n_detectors,): records that are whole.
    n_missing_pixels
        Pixels of which a record is missing.
    stop
        Byte offset where the last whole record ends.
    end
        Byte offset from which on the file is zeros that are no record, or its size.
    """

    run_start: np.ndarray
    run_length: np.ndarray
    row_pointer: np.ndarray
    dead_time: np.ndarray
    n_records: np.ndarray
    n_missing_pixels: int
    stop: int
    end: int

    @property
    def runs(self) -> Runs:
        """Where the records are."""
        return Runs(self.run_start, self.run_length, self.row_pointer)


def read_index(filename: str | Path, header: Header, cache: bool = True) -> Index:
    """Index the records of a file, or take the index that was kept of it.

    Parameters
    ----------
    filename
        Path of the file.
    header
        Its header, from :func:`rsciio_xfm.formats.geopixe.parse.read_header`.
    cache
        Whether an index may be taken from, and kept in, the user's cache.

    Raises
    ------
    CorruptFileError
        A record has a wrong mark or length, lies outside the map, or stands twice.

    Warns
    -----
    UserWarning
        Records are missing; says how many spectra and pixels.
    """
    path = Path(filename)
    if cache:
        index = _entry(header).get_or_make(
            lambda: build_index(path, header), vars, lambda found: _unpack(found, header)
        )
    else:
        index = build_index(path, header)
    if index.n_missing_pixels or index.end < header.file_size:
        _warn_missing(index, path, header)
    return index


def cached_at(header: Header) -> Path | None:
    """Return where the index of a file is kept, None if it is not."""
    return _entry(header).find()


def _entry(header: Header) -> Entry:
    text = hashlib.sha256(header.text.encode("utf-8")).hexdigest()
    return Entry.of(_CACHE_KIND, header.source, text)


def _unpack(found: dict[str, np.ndarray], header: Header) -> Index | None:
    """Make an index of what was kept, unless it cannot be that of the file."""
    numbers = {name: int(found[name]) for name in ("n_missing_pixels", "stop", "end")}
    kept: dict[str, Any] = found | numbers
    index = Index(**kept)
    expected = {
        "run_start": (np.int64, index.run_start.shape),
        "run_length": (np.uint32, index.run_start.shape),
        "row_pointer": (np.int64, (header.n_rows + 1,)),
        "dead_time": (np.float32, header.map_shape),
        "n_records": (np.int64, (header.n_detectors,)),
    }
    for name, (dtype, shape) in expected.items():
        held = getattr(index, name)
        if held.dtype != dtype or held.shape != shape:
            return None
    is_sound = index.runs.is_sound(header.n_rows, header.data_offset, header.file_size)
    return index if is_sound else None


def build_index(filename: str | Path, header: Header) -> Index:
    """Index the records of a file in one pass of bounded memory.

    Returns
    -------
    Index
        Every record in it is whole, within the map, and the only one of its pixel and
        detector.

    Raises
    ------
    CorruptFileError
        A record has a wrong mark or length, lies outside the map, or stands twice.
    """
    path = Path(filename)
    found = _Found(
        np.zeros((math.prod(header.map_shape) + 7) // 8, dtype=np.uint8),
        np.full(header.map_shape, np.nan, dtype=np.float32),
        np.zeros(header.n_detectors, dtype=np.int64),
    )
    longest = RECORD_BYTES + ENTRY_BYTES * header.n_channels
    parts = [_new_part()]
    buffer = np.empty(BLOCK_BYTES, dtype=np.uint8)
    index_block = _index_block.for_steps(math.prod(header.map_shape))
    position = header.data_offset
    with (
        open_unbuffered(path) as file,
        bytes_bar(header.file_size, f"Indexing {path.name}") as bar,
    ):
        check_unchanged(file, path, header.source.version)
        end = _find_end(file, header)
        bar.update(position)
        while position < end:
            n_bytes = read_into(file, position, buffer, min(BLOCK_BYTES, end - position))
            if n_bytes < RECORD_BYTES:
                _check_cut_header(buffer[:n_bytes], path, position)
                break
            consumed, status = index_block(
                little_endian(buffer, np.uint16),
                little_endian(buffer, np.float32),
                _Piece(n_bytes, position, end, longest),
                found,
                parts[-1],
            )
            position += consumed
            bar.update(consumed)
            if status == RUNS_FULL:
                parts.append(_new_part())
            elif status == PAST_END:
                _check_cut_record(file, path, position, end, header)
                break
            elif status != END_OF_BLOCK:
                _raise_corrupt(status, buffer[consumed:], path, position, header)
    return Index(
        *_sort_runs(parts, header),
        dead_time=found.dead_time,
        n_records=found.n_records,
        n_missing_pixels=_count_missing(found),
        stop=position,
        end=end,
    )


def _count_missing(found: "_Found") -> int:
    """Return of how many pixels a record is missing."""
    n_spectra = found.dead_time.size
    if found.n_records.sum() == n_spectra:
        return 0
    is_there = np.unpackbits(found.seen, count=n_spectra, bitorder="little")
    whole = is_there.reshape(len(found.n_records), -1).all(axis=0)
    return whole.size - int(np.count_nonzero(whole))


def _find_end(file: BinaryIO, header: Header) -> int:
    """Return where the zeros begin that end a file, if they are too many for a record.

    A copy that was interrupted can leave a file of full size whose rest are zeros. Nothing
    tells a zero that was copied from one that was not, so that a record that ends in one
    (its last counts are below 256) is not known to be whole.
    """
    end = find_zeros(file, header.data_offset)
    return end if header.file_size - end >= RECORD_BYTES else header.file_size


@kernel
def _index_block(
    words: np.ndarray,
    floats: np.ndarray,
    piece: "_Piece",
    found: "_Found",
    part: "_Part",
) -> tuple[int, int]:
    """Index the records that begin in a block; return the bytes used and a status.

    A block begins at a record. The lengths of records are multiples of 4, so each
    record of the block is aligned.
    """
    state = part.state
    n_detectors, n_rows, n_columns = found.dead_time.shape
    at: Any = np.int64(0)
    while at + RECORD_BYTES <= piece.n_bytes:
        word = at // WORD
        if words[word + MARK_WORD] != RECORD_MARK:
            return at, WRONG_MARK
        length = record_length(words, at)
        if length < RECORD_BYTES or length > piece.longest or length % ENTRY_BYTES:
            return at, WRONG_LENGTH
        x = np.int64(words[word + X_WORD])
        y = np.int64(words[word + Y_WORD])
        detector = np.int64(words[word + DETECTOR_WORD])
        if x >= n_columns or y >= n_rows or detector >= n_detectors:
            return at, OUTSIDE
        if piece.base + at + length > piece.end:
            return at, PAST_END
        spectrum = (detector * n_rows + y) * n_columns + x
        bit = np.uint8(1 << (spectrum & 7))
        if found.seen[spectrum >> 3] & bit:
            return at, REPEATED
        run = state[0] - 1
        if y != state[1] or part.length[run] + length > _MAX_RUN_BYTES:
            run += 1
            if run == part.length.size:
                return at, RUNS_FULL
            part.length[run] = 0
            part.row[run] = y
            state[0] = run + 1
            state[1] = y
        part.length[run] += length
        found.seen[spectrum >> 3] |= bit
        found.dead_time[detector, y, x] = floats[at // 4 + DEAD_TIME_FLOAT]
        found.n_records[detector] += 1
        at += length
    return at, END_OF_BLOCK


class _Piece(NamedTuple):
    """What is indexed at a time: its bytes, where it begins, where the file ends.

    `longest` is the most bytes that a record can have.
    """

    n_bytes: int
    base: int
    end: int
    longest: int


class _Found(NamedTuple):
    """What is known of each spectrum: a bit for its record, its dead time; and how many."""

    seen: np.ndarray
    dead_time: np.ndarray
    n_records: np.ndarray


class _Part(NamedTuple):
    """Lengths and rows of some runs in the file's order.

    `state` is how many there are, and the row of the last record.
    """

    length: np.ndarray
    row: np.ndarray
    state: np.ndarray


def _new_part() -> _Part:
    """Make room for some runs."""
    return _Part(
        np.empty(_RUNS_PER_PART, dtype=np.uint32),
        np.empty(_RUNS_PER_PART, dtype=np.uint16),
        np.array([0, -1], dtype=np.int64),
    )


def _sort_runs(
    parts: list[_Part], header: Header
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Order the runs by row; each starts where the one before it in the file ends."""
    row_pointer = np.zeros(header.n_rows + 1, dtype=np.int64)
    for part in parts:
        rows = part.row[: part.state[0]]
        row_pointer[1:] += np.bincount(rows, minlength=header.n_rows)
    np.cumsum(row_pointer, out=row_pointer)
    run_start = np.empty(row_pointer[-1], dtype=np.int64)
    run_length = np.empty(row_pointer[-1], dtype=np.uint32)
    next_slot = row_pointer[:-1].copy()
    start = header.data_offset
    place_runs = _place_runs.for_steps(len(run_start))
    for part in parts:
        lengths, rows = (values[: part.state[0]] for values in part[:2])
        start = place_runs(lengths, rows, start, next_slot, run_start, run_length)
    return run_start, run_length, row_pointer


@kernel
def _place_runs(
    lengths: np.ndarray,
    rows: np.ndarray,
    start: Any,
    next_slot: np.ndarray,
    run_start: np.ndarray,
    run_length: np.ndarray,
) -> int:
    """Put the runs of a part where their rows are; return where the last one ends."""
    for i in range(lengths.size):
        slot = next_slot[rows[i]]
        next_slot[rows[i]] += 1
        run_start[slot] = start
        run_length[slot] = lengths[i]
        start += np.int64(lengths[i])  # of 32 bits
    return start


def _raise_corrupt(
    status: int, found: np.ndarray, path: Path, position: int, header: Header
) -> None:
    record = found[:RECORD_BYTES].view(RECORD)[0]
    raw = found[:RECORD_BYTES].tobytes()
    limits = (
        f"x < {header.n_columns}, y < {header.n_rows}, detector < {header.n_detectors}"
    )
    place = f"x={record['x']}, y={record['y']}, detector={record['detector']}"
    problem = {
        WRONG_MARK: f"the mark of a record is {raw[:2]!r}, expected b'DP'",
        WRONG_LENGTH: (
            f"the length of a record is {record['length']}, expected {RECORD_BYTES} plus "
            f"{ENTRY_BYTES} for each of at most {header.n_channels} channels"
        ),
        OUTSIDE: f"a record is at {place}, expected {limits}",
        REPEATED: f"the record at {place} stands twice, expected one",
    }[status]
    raise CorruptFileError(
        f"{path}: {problem} (byte {position}). The file is damaged, or its header is not "
        "its own."
    )


def _check_cut_header(rest: np.ndarray, path: Path, position: int) -> None:
    """Accept the start of a record header at the end of the file, nothing else."""
    mark = RECORD_MARK.to_bytes(2, "little")
    found = rest.tobytes()
    if found[:2] != mark[: len(found)]:
        raise CorruptFileError(
            f"{path}: the mark of a record is {found[:2]!r}, expected {mark!r} (byte "
            f"{position}). {len(found)} bytes that are no record follow the last one."
        )


def _check_cut_record(
    file: BinaryIO, path: Path, position: int, end: int, header: Header
) -> None:
    """Tell a record that is cut off by the end of the file from a wrong length.

    What is there of a record that is cut off is a list of ascending channels.
    """
    rest = np.empty(end - position, dtype=np.uint8)
    n_bytes = read_into(file, position, rest, rest.size)
    whole = (n_bytes - RECORD_BYTES) // ENTRY_BYTES
    entries = rest[RECORD_BYTES : RECORD_BYTES + whole * ENTRY_BYTES].view(ENTRY)
    channels = entries["channel"].astype(np.int64)
    if np.any(np.diff(channels) <= 0) or np.any(channels >= header.n_channels):
        length = rest[:RECORD_BYTES].view(RECORD)[0]["length"]
        raise CorruptFileError(
            f"{path}: the length of a record is {length}, expected at most the "
            f"{n_bytes} bytes to the end of the file (byte {position}), and what follows "
            "is not one record that was cut off."
        )


def _warn_missing(index: Index, path: Path, header: Header) -> None:
    n_pixels = header.n_rows * header.n_columns
    n_zeros = header.file_size - index.end
    how = ""
    if n_zeros:
        how = (
            f", and zeros in its last {n_zeros} bytes (from byte {index.end} on), as of a "
            "copy that was interrupted"
        )
    elif header.file_size > index.stop:
        how = f" and ends within a record (byte {index.stop})"
    warn(
        f"{path}: {index.n_missing_pixels} of {n_pixels} pixels are missing or incomplete: "
        f"the file holds {index.n_records.sum()} of {math.prod(header.map_shape)} spectra"
        f"{how}. The counts of the missing spectra are zero, their dead times NaN."
    )
