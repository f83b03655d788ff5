"""Where each row of each frame starts in the streams of a Velox file: one pass over them.

The pass counts every value, so that the sum spectrum is known afterwards, and with it
whether a stream is what Velox counted. Frames are indexed at the same time where the file's
table says where they start; what the table says is checked by counting the marks.
"""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rsciio_xfm.core.config import BLOCK_BYTES
from rsciio_xfm.core.hdf5.values import Values
from rsciio_xfm.core.later import cpu_count
from rsciio_xfm.core.progress import Bar, bytes_bar
from rsciio_xfm.core.runs import DatasetBytes, Runs
from rsciio_xfm.core.source import little_endian
from rsciio_xfm.formats.velox import kernels
from rsciio_xfm.formats.velox.kernels import checksum, skip_marks
from rsciio_xfm.formats.velox.layout import MARK, VALUE
from rsciio_xfm.formats.velox.parse import VeloxHeader
from rsciio_xfm.kernels.compiled import kernel

_BLOCK_VALUES = BLOCK_BYTES // VALUE.itemsize
_TASKS_EACH = 4  # of a stream for each processor: each has a histogram
_TASK_VALUES = 2**22
_MOST_VALUES = 2**31  # that are counted as 32-bit numbers


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
        uint64, shape (frames * rows,): checksum of each row, see
        :func:`rsciio_xfm.formats.velox.kernels.checksum`.
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
    def runs(self) -> Runs:
        """Where the rows are in the stream, in bytes."""
        start, width = self.row_start * VALUE.itemsize, VALUE.itemsize
        return Runs(start[:-1], np.diff(self.row_start) * width, checksum=self.row_sum)

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


class _Task(NamedTuple):
    """A part of a stream that is counted at a time: half-open ranges of frames and values."""

    first_frame: int
    last_frame: int
    start: int
    stop: int


def count_streams(
    path: Path, header: VeloxHeader, values: list[Values], shape: tuple[int, int, int]
) -> Index:
    """Count all streams, their frames at the same time where a table says where they are."""
    total = sum(v.size for v in values) * VALUE.itemsize
    with (
        bytes_bar(total, f"Indexing {path.name}") as bar,
        ThreadPoolExecutor(cpu_count()) as executor,
    ):
        plans = [
            _plan(stream.frame_table, stream.n_values, shape) for stream in header.streams
        ]
        running = [
            [executor.submit(_count, v, shape, bar, task) for task in plan]
            for v, plan in zip(values, plans, strict=True)
        ]
        done = [[task.result() for task in tasks] for tasks in running]
        streams = []
        for v, tasks in zip(values, done, strict=True):
            parts = tasks
            if not all(is_exact for *_, is_exact in tasks[:-1]):
                parts = [_count(v, shape, bar, _Task(0, shape[0], 0, v.size))]
            starts = [starts[:-1] for starts, *_ in parts] + [parts[-1][0][-1:]]
            row_start = np.concatenate(starts)
            row_sum = np.concatenate([part[1] for part in parts])
            histogram = np.sum([part[2] for part in parts], axis=0)
            streams.append((v, row_start, row_sum, histogram))
    tables = (s.frame_table for s in header.streams)
    return Index(
        shape,
        [
            StreamIndex(*counted, _agrees(table, counted[1], shape))
            for counted, table in zip(streams, tables, strict=True)
        ],
    )


def _plan(table: np.ndarray, n_values: int, shape: tuple[int, int, int]) -> list["_Task"]:
    """Split a stream into tasks."""
    n_frames = shape[0]
    if not is_possible(table, n_frames):
        return [_Task(0, n_frames, 0, n_values)]
    n_tasks = min(n_frames, _TASKS_EACH * cpu_count(), max(1, n_values // _TASK_VALUES))
    frames = [n_frames * i // n_tasks for i in range(n_tasks)]
    places = [*(min(int(table[f]), n_values) for f in frames), n_values]
    runs = zip(
        itertools.pairwise([*frames, n_frames]), itertools.pairwise(places), strict=True
    )
    return [_Task(*run, *place) for run, place in runs]


def is_possible(table: np.ndarray, n_frames: int) -> bool:
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
    values: Values, shape: tuple[int, int, int], bar: Bar, task: _Task
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
    n_rows = (task.last_frame - task.first_frame) * shape[1]
    row_start = np.full(n_rows + 1, task.stop, np.int64)
    row_start[0] = task.start
    row_sum = np.zeros(n_rows, np.uint64)
    histogram = np.zeros(MARK + 1, np.int64)
    partial = np.zeros((2, MARK + 1), np.uint32)
    state = np.zeros(2, np.int64)  # column and row of the pixel
    n_held = 0
    for at, block in blocks_of(values, task.start, task.stop):
        if n_held + len(block) > _MOST_VALUES:
            histogram += partial.sum(axis=0, dtype=np.int64)
            partial[:] = n_held = 0
        n_held += len(block)
        kernels.count_values(block, partial)
        _find_rows(block, at, shape[2], row_start, row_sum, state)
        bar.update(block.nbytes)
    histogram += partial.sum(axis=0, dtype=np.int64)
    return row_start, row_sum, histogram, state[0] == 0 and state[1] == n_rows


def blocks_of(
    values: Values, start: int, stop: int, backwards: bool = False
) -> Iterator[tuple[int, np.ndarray]]:
    """Read values block by block.

    Parameters
    ----------
    values
        Of a stream.
    start, stop
        Half-open range of them.
    backwards
        From the last block on.

    Yields
    ------
    at : int
        Number of the first value of the block.
    block : numpy.ndarray
        Valid until the next one is asked for.
    """
    buffer = np.empty(min(_BLOCK_VALUES, stop - start), VALUE)
    firsts = range(start, stop, _BLOCK_VALUES)
    with DatasetBytes(values).opened() as read:
        for at in reversed(firsts) if backwards else firsts:
            block = buffer[: min(_BLOCK_VALUES, stop - at)]
            ends = np.array([[at], [at + len(block)]]) * VALUE.itemsize
            read(ends[0], ends[1], block.view(np.uint8))
            yield at, little_endian(block.view(np.uint8), np.uint16)


@kernel
def _find_rows(
    values: np.ndarray,
    base: int,
    n_columns: int,
    row_start: np.ndarray,
    row_sum: np.ndarray,
    state: np.ndarray,
) -> None:
    """Note at which of the values the rows start, and the checksum of each."""
    column, row = state
    at: Any = np.int64(0)
    while at < values.size:
        stop, left = skip_marks(values, at, values.size, n_columns - column)
        if row < row_sum.size:
            row_sum[row] += checksum(values[at:stop], base + at)
        column = n_columns - left
        if left == 0:
            column = 0
            row += 1
            if row < row_start.size:
                row_start[row] = base + stop
        at = stop
    state[0] = column
    state[1] = row


def count_marks(values: Values, stop: int) -> int:
    """Count the marks of a stream up to a value."""
    return sum(kernels.count_marks(block) for _, block in blocks_of(values, 0, stop))


def count_zeros(values: Values) -> int:
    """Count the zeros that end a stream."""
    for at, block in blocks_of(values, 0, values.size, backwards=True):
        others = np.flatnonzero(block)
        if len(others):
            return values.size - at - int(others[-1]) - 1
    return values.size


def find_channel(values: Values, n_channels: int) -> int:
    """Return the position of the first value that is no channel and no mark."""
    for at, block in blocks_of(values, 0, values.size):
        found = np.flatnonzero((block >= n_channels) & (block < MARK))
        if len(found):
            return at + int(found[0])
    return 0
