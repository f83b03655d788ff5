"""Where each row of each frame starts in the streams of a Velox file: one pass over them.

The pass counts every value, so that the sum spectrum is known afterwards, and with it
whether a stream is what Velox counted. Frames are indexed at the same time where the file's
table says where they start; what the table says is checked by counting the marks.
"""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
from dask.system import CPU_COUNT
from tqdm import tqdm

from rsciio_xfm.core import cache as caches
from rsciio_xfm.core.hdf5.values import Values, find_values
from rsciio_xfm.core.progress import bytes_bar
from rsciio_xfm.core.source import BLOCK_BYTES
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.velox.layout import MARK, VALUE
from rsciio_xfm.formats.velox.parse import Stream, VeloxHeader
from rsciio_xfm.kernels.compiled import kernel

# To be changed whenever an index of an older version must not be used.
_CACHE_KIND = "emd-2"
_BLOCK_VALUES = BLOCK_BYTES // VALUE.itemsize
_MAX_TASKS = 4 * CPU_COUNT  # of a stream: each has a histogram
_TASK_VALUES = 2**22
# Counts in the first channel that end a stream in which marks are missing: nobody measures
# so many in one pixel, but a copy that was interrupted can leave zeros.
_MANY_ZEROS = 1024
_MANY_ROWS, _LEAST_ROW = 2**18, 8  # an index of as many rows as values would be larger


@dataclass(frozen=True, eq=False)
class StreamIndex:
    """A stream, counted.

    Attributes
    ----------
    values
        Where its values are in the file.
    row_start
        int64, shape (frames * rows + 1,): value at which each row starts, and where the last
        one ends. Rows that are missing start where the stream ends.
    row_sum
        uint64, shape of `row_start`: checksum of all values before each row, see
        :func:`check_values`.
    histogram
        int64, shape (65536,): how often each value occurs.
    is_table_sound
        Whether the file's table of frames is right, as far as it has one.
    n_zeros
        How many zeros end the stream that are no counts; they are not in the others.
    """

    values: Values
    row_start: np.ndarray
    row_sum: np.ndarray
    histogram: np.ndarray
    is_table_sound: bool
    n_zeros: int = 0

    @property
    def n_marks(self) -> int:
        """How many marks there are: one after each pixel, the last one perhaps not."""
        return int(self.histogram[MARK])


@dataclass(frozen=True)
class Index:
    """The streams of a file, counted.

    Attributes
    ----------
    shape
        (frames, rows, columns) of the map.
    streams
        One for each detector, in the order of the file.
    """

    shape: tuple[int, int, int]
    streams: list[StreamIndex]


def read_index(
    path: Path,
    identity: tuple[int, ...],
    header: VeloxHeader,
    file: h5py.File,
    cache: bool,
) -> Index:
    """Index the streams of a file, or take the index that was kept of it.

    Parameters
    ----------
    path, identity, header, file
        The file, see :func:`rsciio_xfm.core.source.identify`.
    cache
        Whether an index may be taken from, and kept in, the user's cache.

    Returns
    -------
    Index
        As of :func:`build_index`.

    Raises
    ------
    FileFormatError, CorruptFileError
        See :func:`build_index`.

    Warns
    -----
    UserWarning
        A stream is empty or ends early, its table of frames is wrong, or it is not what Velox
        counted.
    """
    key = caches.key_of(
        path,
        identity,
        tuple((s.name, s.n_values, s.n_channels) for s in header.streams),
        tuple(header.shapes),
        tuple(header.frame_counts),
    )
    found = caches.load(_CACHE_KIND, path, key) if cache else None
    index = None if found is None else _unpack(path, identity, found, header)
    if index is None:
        names = [f"{stream.name}/Data" for stream in header.streams]
        values = [find_values(path, identity, file, name) for name in names]
        index = build_index(path, header, values)
        if cache:
            caches.save(_CACHE_KIND, path, key, _pack(index))
    _warn(path, header, index)
    return index


def build_index(path: Path, header: VeloxHeader, values: list[Values]) -> Index:
    """Index the streams of a file in one pass of bounded memory.

    Parameters
    ----------
    path, header
        The file.
    values
        Of each stream.

    Returns
    -------
    Index
        The marks of the streams are as many as the map has pixels, or fewer.

    Raises
    ------
    FileFormatError
        Nothing in the file says how large the map is.
    CorruptFileError
        A channel is beyond the spectrum, or the streams hold more spectra than the map.
    """
    shapes = _choose_shapes(header, values)
    if not shapes:
        raise FileFormatError(
            f"{path}: nothing says how many pixels the map has, expected images, or Scan in "
            f"the metadata of {header.streams[0].name}, and no more rows than values in the "
            "stream (byte 0)."
        )
    index = _index_streams(path, header, values, shapes[0])
    n_marks = max(s.n_marks for s in index.streams)
    if n_marks not in _marks_of(index.shape):
        # Now that the marks are counted: perhaps another shape has as many.
        better = [shape for shape in shapes if n_marks in _marks_of(shape)]
        if not better and n_marks > np.prod(index.shape, dtype=np.int64):
            better = _find_more(path, header, index, n_marks)
        if better:
            index = _index_streams(path, header, values, better[0])
    n_pixels = int(np.prod(index.shape, dtype=np.int64))
    for i, (stream, described) in enumerate(
        zip(index.streams, header.streams, strict=True)
    ):
        _check_channels(path, described, stream)
        if stream.n_marks < n_pixels - 1:
            index.streams[i] = _leave_out_zeros(stream)
    return index


def _leave_out_zeros(stream: StreamIndex) -> StreamIndex:
    """Let a stream end where the zeros of a copy that was interrupted begin, if they do."""
    if stream.histogram[0] < _MANY_ZEROS:
        return stream
    n_zeros = _count_zeros(stream.values)
    if n_zeros < _MANY_ZEROS:
        return stream
    histogram = stream.histogram.copy()
    histogram[0] -= n_zeros
    # Zeros change no checksum.
    row_start = np.minimum(stream.row_start, stream.values.size - n_zeros)
    return replace(stream, row_start=row_start, histogram=histogram, n_zeros=n_zeros)


def _count_zeros(values: Values) -> int:
    """Count the zeros that end a stream."""
    stop = values.size
    buffer = np.empty(min(_BLOCK_VALUES, stop), VALUE)
    with values.opened() as read:
        while stop:
            start = max(0, stop - len(buffer))
            block = buffer[: stop - start]
            read(start, stop, block)
            others = np.flatnonzero(block)
            if len(others):
                return values.size - start - int(others[-1]) - 1
            stop = start
    return values.size


def _marks_of(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return how many marks a whole stream has; the last one may be absent."""
    n_pixels = int(np.prod(shape, dtype=np.int64))
    return n_pixels, n_pixels - 1


def _choose_shapes(
    header: VeloxHeader, values: list[Values]
) -> list[tuple[int, int, int]]:
    """Return shapes of the map that are possible, the likeliest first."""
    counts = header.frame_counts or [1]
    # A header may claim rows without end: there are values in each.
    most = max(_MANY_ROWS, max(s.n_stored for s in header.streams) // _LEAST_ROW)
    shapes = [(n, *s) for s in header.shapes for n in counts if n * s[0] <= most]
    longest = max(range(len(values)), key=lambda i: values[i].size)
    table = header.streams[longest].frame_table
    if len(header.shapes) > 1 and _is_possible(table, 2):
        # Between the starts of two frames are the marks of one.
        n_pixels = count_marks(values[longest], min(int(table[1]), values[longest].size))
        shapes.sort(key=lambda s: s[1] * s[2] != n_pixels)  # keeps their order otherwise
    return shapes


def count_marks(values: Values, stop: int) -> int:
    """Count the marks of a stream up to a value."""
    buffer = np.empty(min(_BLOCK_VALUES, stop), VALUE)
    n_marks = 0
    with values.opened() as read:
        for at in range(0, stop, _BLOCK_VALUES):
            block = buffer[: min(_BLOCK_VALUES, stop - at)]
            read(at, at + len(block), block)
            n_marks += int(np.count_nonzero(block == MARK))
    return n_marks


# The pass.


def _index_streams(
    path: Path, header: VeloxHeader, values: list[Values], shape: tuple[int, int, int]
) -> Index:
    """Count all streams, their frames at the same time where a table says where they are."""
    total = sum(v.size for v in values) * VALUE.itemsize
    with (
        bytes_bar(total, f"Indexing {path.name}") as bar,
        ThreadPoolExecutor(CPU_COUNT) as executor,
    ):
        plans = [
            _plan(stream.frame_table, stream.n_values, shape) for stream in header.streams
        ]
        running = [
            [executor.submit(_count, v, shape, bar, *task) for task in plan]
            for v, plan in zip(values, plans, strict=True)
        ]
        done = [[task.result() for task in tasks] for tasks in running]
        streams = []
        for v, tasks in zip(values, done, strict=True):
            parts = tasks
            if not all(is_exact for *_, is_exact in tasks[:-1]):
                parts = [_count(v, shape, bar, 0, shape[0], 0, v.size)]
            starts = [starts[:-1] for starts, *_ in parts] + [parts[-1][0][-1:]]
            row_start = np.concatenate(starts)
            sums = np.concatenate([np.zeros(1, np.uint64), *(part[1] for part in parts)])
            histogram = np.sum([part[2] for part in parts], axis=0)
            streams.append((v, row_start, np.cumsum(sums, dtype=np.uint64), histogram))
    tables = (s.frame_table for s in header.streams)
    return Index(
        shape,
        [
            StreamIndex(*counted, _agrees(table, counted[1], shape))
            for counted, table in zip(streams, tables, strict=True)
        ],
    )


def _plan(
    table: np.ndarray, n_values: int, shape: tuple[int, int, int]
) -> list[tuple[int, int, int, int]]:
    """Split a stream into runs: first frame, last frame, first value, last value."""
    n_frames = shape[0]
    if not _is_possible(table, n_frames):
        return [(0, n_frames, 0, n_values)]
    n_tasks = min(n_frames, _MAX_TASKS, max(1, n_values // _TASK_VALUES))
    frames = [n_frames * i // n_tasks for i in range(n_tasks)]
    places = [*(min(int(table[f]), n_values) for f in frames), n_values]
    runs = zip(
        itertools.pairwise([*frames, n_frames]), itertools.pairwise(places), strict=True
    )
    return [(*run, *place) for run, place in runs]


def _is_possible(table: np.ndarray, n_frames: int) -> bool:
    """Tell whether a table could be right, which only counting the marks shows."""
    table = table[:n_frames]
    return table.size == n_frames and table[0] == 0 and bool(np.all(np.diff(table) >= 0))


def _agrees(
    table: np.ndarray, row_start: np.ndarray, shape: tuple[int, int, int]
) -> bool:
    """Tell whether the file's table of frames says what was found."""
    if table.size == 0:
        return True
    starts = row_start[:-1].reshape(shape[0], shape[1])[:, 0]
    n = np.count_nonzero(starts[: table.size] < row_start[-1])
    return bool(np.array_equal(table[:n], starts[:n]))


def _count(
    values: Values,
    shape: tuple[int, int, int],
    bar: tqdm,
    first_frame: int,
    last_frame: int,
    start: int,
    stop: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
    """Count a run of frames.

    Returns
    -------
    row_start : numpy.ndarray
        int64, of each row, and where the last one ends; of rows that are missing, `stop`.
    row_sum : numpy.ndarray
        uint64, checksum of each row.
    histogram : numpy.ndarray
        int64, (65536,).
    is_exact : bool
        Whether it has just the marks of whole frames.
    """
    n_rows = (last_frame - first_frame) * shape[1]
    row_start = np.full(n_rows + 1, stop, np.int64)
    row_start[0] = start
    histogram = np.zeros(MARK + 1, np.int64)
    row_sum = np.zeros(n_rows, np.uint64)
    state = np.zeros(2, np.int64)  # column and row of the pixel
    buffer = np.empty(min(_BLOCK_VALUES, stop - start), VALUE)
    with values.opened() as read:
        for at in range(start, stop, _BLOCK_VALUES):
            block = buffer[: min(_BLOCK_VALUES, stop - at)]
            read(at, at + len(block), block)
            _count_values(block, at, shape[2], histogram, row_start, row_sum, state)
            bar.update(block.nbytes)
    return row_start, row_sum, histogram, state[0] == 0 and state[1] == n_rows


@kernel
def check_values(values, base):
    """Return the checksum of values of a stream, the first of which is the one at `base`.

    The sum, modulo 2**64, of each value times its place: that of neighbouring parts is the
    sum of theirs, and it is another one if two values, pixels or rows change places. It
    takes a twentieth of the time that it takes to decode the values.
    """
    total = np.uint64(0)
    first = np.uint64(base + 1)
    for i in range(values.size):
        total += np.uint64(values[i]) * (first + np.uint64(i))
    return total


@kernel
def _count_values(values, base, n_columns, histogram, row_start, row_sum, state):
    """Count values, and note at which of them the rows start, and the checksum of each."""
    column, row = state
    start = 0
    for i in range(values.size):
        value = values[i]
        histogram[value] += 1
        if value == MARK:
            column += 1
            if column == n_columns:
                column = 0
                if row < row_sum.size:
                    row_sum[row] += check_values(values[start : i + 1], base + start)
                start = i + 1
                row += 1
                if row < row_start.size:
                    row_start[row] = base + i + 1
    if row < row_sum.size:
        row_sum[row] += check_values(values[start:], base + start)
    state[0] = column
    state[1] = row


# What the pass shows to be wrong.


def _find_more(
    path: Path, header: VeloxHeader, index: Index, n_marks: int
) -> list[tuple[int, int, int]]:
    """Find the shape of a map of which the streams hold more than is said.

    Returns
    -------
    list of tuple
        Empty if each frame was seen to have its size: what follows them is no frame.

    Raises
    ------
    CorruptFileError
        No number of frames makes as many spectra.
    """
    confirmed = index.shape[0] > 1 and all(
        stream.is_table_sound and described.frame_table.size > 1
        for stream, described in zip(index.streams, header.streams, strict=True)
    )
    if confirmed:
        return []
    frames = [(-(-n_marks // (y * x)), y, x) for y, x in header.shapes]
    whole = [shape for shape in frames if n_marks in _marks_of(shape)]
    if whole:
        return whole
    known = ", ".join(f"{n} x {rows} x {columns}" for n, rows, columns in _all(header))
    raise CorruptFileError(
        f"{path}: the streams mark {n_marks} spectra, expected those of {known} frames, rows "
        "and columns, as the file describes the map (byte "
        f"{index.streams[0].values.byte_of(0)})."
    )


def _all(header: VeloxHeader) -> list[tuple[int, int, int]]:
    return [
        (n, *shape) for shape in header.shapes[:3] for n in header.frame_counts[:2] or [1]
    ]


def _check_channels(path: Path, described: Stream, stream: StreamIndex) -> None:
    """Refuse a stream with channels that its spectra do not have."""
    beyond = np.flatnonzero(stream.histogram[described.n_channels : MARK])
    if not len(beyond):
        return
    position = _find_channel(stream.values, described.n_channels)
    raise CorruptFileError(
        f"{path}: {stream.histogram[described.n_channels : MARK].sum()} values of "
        f"{described.name} are channels above the last, the first of them value {position}, "
        f"expected 0 to {described.n_channels - 1}, or {MARK} for the next pixel (byte "
        f"{stream.values.byte_of(position)}). The file is damaged."
    )


def _find_channel(values: Values, n_channels: int) -> int:
    """Return the position of the first value that is no channel and no mark."""
    buffer = np.empty(min(_BLOCK_VALUES, values.size), VALUE)
    with values.opened() as read:
        for at in range(0, values.size, _BLOCK_VALUES):
            block = buffer[: min(_BLOCK_VALUES, values.size - at)]
            read(at, at + len(block), block)
            found = np.flatnonzero((block >= n_channels) & (block < MARK))
            if len(found):
                return at + int(found[0])
    return 0


def _warn(path: Path, header: VeloxHeader, index: Index) -> None:
    n_pixels = int(np.prod(index.shape, dtype=np.int64))
    if header.frame_counts and index.shape[0] not in header.frame_counts:
        warn(
            f"{path}: the file says that it has {header.frame_counts[0]} frames, its streams "
            f"have {index.shape[0]}, which are read."
        )
    for described, stream in zip(header.streams, index.streams, strict=True):
        who = f"{path}: the stream of {described.detector}"
        if stream.values.size == 0:
            warn(f"{who} is empty: its counts are zero.")
            continue
        if not stream.is_table_sound:
            warn(
                f"{who} has a FrameLocationTable that is wrong: frames do not start where it "
                "says. It was made anew from the stream."
            )
        if stream.n_marks < n_pixels - 1:
            n_missing = n_pixels - 1 - stream.n_marks
            warn(
                f"{who} ends early: {n_missing} of {n_pixels} spectra are missing "
                f"({index.shape[0]} frames of {index.shape[1]} x {index.shape[2]} pixels). "
                "Their counts are zero, the last one's perhaps not whole."
                + _describe_zeros(stream)
            )
        elif stream.row_start[-1] < stream.values.size:
            n_left = stream.values.size - int(stream.row_start[-1])
            warn(
                f"{who} holds {n_left} values more than the {index.shape[0]} frames of "
                f"{index.shape[1]} x {index.shape[2]} pixels that the file describes. They "
                "are not read."
            )
        _warn_spectrum(who, header, described, stream)


def _describe_zeros(stream: StreamIndex) -> str:
    if not stream.n_zeros:
        return ""
    return (
        f" Its last {stream.n_zeros} values of {stream.values.size} are zeros, as of a copy "
        "that was interrupted: they are not read."
    )


def _warn_spectrum(
    who: str, header: VeloxHeader, described: Stream, stream: StreamIndex
) -> None:
    """Compare what was counted with what Velox counted, if it says so."""
    if described.detector not in header.spectra:
        return
    counted = stream.histogram[: described.n_channels]
    expected = header.spectra[described.detector][0].astype(np.int64)
    if not np.array_equal(counted, expected):
        warn(
            f"{who} has {counted.sum()} counts, its spectrum in the file {expected.sum()}: "
            "they should be equal, channel by channel. The stream is damaged, or was cut."
        )


# The cache.


def _pack(index: Index) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {"shape": np.array(index.shape, np.int64)}
    for i, stream in enumerate(index.streams):
        values = stream.values
        arrays |= {
            f"row_start_{i}": stream.row_start,
            f"row_sum_{i}": stream.row_sum,
            f"histogram_{i}": stream.histogram,
            f"offsets_{i}": values.offsets,
            f"numbers_{i}": np.array(
                [values.chunk_size, values.fill, stream.is_table_sound, stream.n_zeros],
                np.int64,
            ),
        }
    return arrays


def _unpack(
    path: Path,
    identity: tuple[int, ...],
    found: dict[str, np.ndarray],
    header: VeloxHeader,
) -> Index | None:
    """Make an index of what was kept, unless it cannot be that of the file."""
    try:
        shape = tuple(found["shape"].tolist())
        streams = [
            _unpack_stream(path, identity, found, i, s)
            for i, s in enumerate(header.streams)
        ]
    except (KeyError, TypeError, ValueError):
        return None
    n_rows = shape[0] * shape[1] + 1 if len(shape) == 3 else -1
    is_sound = all(
        s.row_start.shape == s.row_sum.shape == (n_rows,)
        and s.row_start[0] == 0
        and s.row_start[-1] <= s.values.size
        and np.all(np.diff(s.row_start) >= 0)
        and s.histogram.shape == (MARK + 1,)
        for s in streams
    )
    return Index(shape, streams) if is_sound else None


def _unpack_stream(
    path: Path,
    identity: tuple[int, ...],
    found: dict[str, np.ndarray],
    i: int,
    described: Stream,
) -> StreamIndex:
    chunk_size, fill, is_table_sound, n_zeros = found[f"numbers_{i}"].tolist()
    offsets = found[f"offsets_{i}"].astype(np.int64)
    name, size = f"{described.name}/Data", described.n_values
    if chunk_size < 0 or (chunk_size and len(offsets) != -(-size // chunk_size)):
        raise ValueError(chunk_size)
    return StreamIndex(
        Values(
            os.path.abspath(path), identity, name, size, VALUE, chunk_size, offsets, fill
        ),
        found[f"row_start_{i}"].astype(np.int64),
        found[f"row_sum_{i}"].astype(np.uint64),
        found[f"histogram_{i}"].astype(np.int64),
        bool(is_table_sound),
        n_zeros,
    )
