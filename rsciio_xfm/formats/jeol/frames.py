"""Frames of a ``.pts`` map: which are whole, which are read, and where their rows lie."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rsciio_xfm.core.checks import is_whole
from rsciio_xfm.core.runs import Runs
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.jeol.index import Index
from rsciio_xfm.formats.jeol.layout import KIND_SHIFT, N_VALUES, Y
from rsciio_xfm.formats.jeol.parse import Header

_LEAST_LINES = 2**22  # rows of all frames that any file may have
_MOST_TIMES = 64  # a larger array may have so many times the rows that are stored
_ALL = "only_valid_data=False"


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of a stream.

    Attributes
    ----------
    first
        int64, shape (frames + 1,): number of the first row of each, and of all rows.
    is_whole
        bool: whether each of them came to its last row.
    """

    first: np.ndarray
    is_whole: np.ndarray

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.is_whole)


@dataclass(frozen=True, eq=False)
class Chosen:
    """The frames that are read.

    Attributes
    ----------
    numbers
        int64, of the frames; one that stands twice counts twice.
    shifts
        int64, shape (frames, 3): by how many rows, columns and channels of the array each is
        moved; 0 and less, but channels.
    origin
        int64, shape (2,): rows and columns by which the first pixel lies beyond that of a
        frame that is not moved.
    given
        Whether the user chose frames.
    """

    numbers: np.ndarray
    shifts: np.ndarray
    origin: np.ndarray
    given: bool

    @property
    def is_moved(self) -> bool:
        """Whether any frame is."""
        return bool(self.shifts.any())

    @property
    def crop(self) -> tuple[int, int]:
        """Rows and columns that not all frames have."""
        if not len(self.shifts):
            return 0, 0
        rows, columns = -self.shifts.min(axis=0)[:2]
        return int(rows), int(columns)


def find_frames(header: Header, index: Index) -> Frames:
    """Find the frames: each begins where a row lies above the one before it.

    Notes
    -----
    As RosettaSciIO has it: a frame is whole if it came to the last row of what was scanned
    and, where the electron signal of each pixel is there to tell, to its last column.
    """
    position = index.position.astype(np.int64)
    if not len(position):
        return Frames(np.zeros(1, np.int64), np.zeros(0, bool))
    begins = np.flatnonzero(np.diff(position, prepend=N_VALUES) < 0)
    first = np.append(begins, len(position))
    ends = first[1:] - 1
    *_, right, bottom = header.area
    is_whole_frame = index.rows[position[ends]] >= bottom
    if index.has_image:
        last = index.last[ends].astype(np.int64)
        is_whole_frame &= (last >= 0) & (index.columns[last] >= right)
    return Frames(first, is_whole_frame)


def choose_frames(
    header: Header,
    frames: Frames,
    frame_list: Any,
    frame_shifts: Any,
    only_valid_data: bool,
) -> Chosen:
    """Choose the frames to read.

    Parameters
    ----------
    header, frames
        Of the file.
    frame_list, frame_shifts, only_valid_data
        Of the reader.

    Raises
    ------
    ValueError
        A list is none of frames, or of shifts.

    Warns
    -----
    UserWarning
        Frames are not there, or not whole and left out.
    """
    name = header.source.name
    asked_for = _as_numbers(name, frame_list)
    given = len(asked_for) > 0
    numbers = asked_for if given else np.arange(frames.n)
    shifts = _as_shifts(name, frame_shifts)
    n_known = frames.n if shifts is None else min(frames.n, len(shifts))
    is_there = (numbers >= 0) & (numbers < n_known)
    if given and not is_there.all():
        missing = np.unique(numbers[~is_there])[:10].tolist()
        moved = "" if shifts is None else f" and {len(shifts)} frame_shifts"
        warn(
            f"{name}: frames {missing} are left out, expected 0 to {n_known - 1}: the file "
            f"has {frames.n} frames{moved}."
        )
    elif not given:
        left = np.flatnonzero(~is_there & (frames.is_whole | (not only_valid_data)))
        if len(left):
            warn(
                f"{name}: frames {left[:10].tolist()} are left out, as there are {n_known} "
                f"frame_shifts, expected one for each of the {frames.n} frames."
            )
    numbers = numbers[is_there]
    if only_valid_data:
        numbers = _whole_only(name, header, frames, numbers)
    moved_by = np.zeros((frames.n, 3), np.int64) if shifts is None else shifts
    moved_by = moved_by[numbers]
    origin = moved_by.max(axis=0)[:2] if len(moved_by) else np.zeros(2, np.int64)
    moved_by[:, :2] -= origin
    return Chosen(numbers, moved_by, origin, given)


def _whole_only(
    name: str, header: Header, frames: Frames, numbers: np.ndarray
) -> np.ndarray:
    is_whole_frame = frames.is_whole[numbers]
    left_out = np.unique(numbers[~is_whole_frame])
    if len(left_out) == 1 and left_out[0] == frames.n - 1:
        what = "the last frame is"
    else:
        what = f"{len(left_out)} frames, {left_out[:10].tolist()}, are"
    if len(left_out):
        whole = f"{frames.is_whole.sum()} of {frames.n}"
        warn(
            f"{name}: {what} not whole and left out; {whole} frames are whole (byte "
            f"{header.start}). {_ALL} reads them."
        )
    return numbers[is_whole_frame]


def _as_numbers(name: str, frame_list: Any) -> np.ndarray:
    """Return the numbers of the frames that are asked for: none if nothing is said."""
    wrong = f"{name}: frame_list is {frame_list!r:.60}, expected numbers of frames."
    try:
        found = [] if frame_list is None else list(frame_list)
    except TypeError as exc:
        raise ValueError(wrong) from exc
    if not all(is_whole(n) and abs(n) < 2**31 for n in found):
        raise ValueError(wrong)
    return np.array(found, dtype=np.int64)


def _as_shifts(name: str, frame_shifts: Any) -> np.ndarray | None:
    if frame_shifts is None:
        return None
    wrong = (
        f"{name}: frame_shifts is {frame_shifts!r:.60}, expected whole numbers of rows, "
        "columns and, if need be, channels for each frame."
    )
    try:
        found = np.asarray(frame_shifts)
    except ValueError as exc:  # frames have different numbers of them
        raise ValueError(wrong) from exc
    is_list = found.ndim == 2 and found.shape[1] in (2, 3) and len(found) > 0
    if not is_list or found.dtype.kind not in "iuf":
        raise ValueError(wrong)
    if np.any(found != np.round(found)) or np.any(abs(found) > N_VALUES):
        raise ValueError(wrong)
    shifts = np.zeros((len(found), 3), dtype=np.int64)
    shifts[:, : found.shape[1]] = found
    return shifts


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of the array, and what is stored of each.

    Attributes
    ----------
    runs
        Where it is: of each row, or, if planes are kept apart, of each row of each plane.
    ticks
        int64, shape (planes, n_rows, 2): ticks of real and live time.
    n_scans
        float64, shape (planes, n_rows): how many rows of frames are in it; that in which a
        frame was cut off counts as far as it goes.
    """

    runs: Runs
    ticks: np.ndarray
    n_scans: np.ndarray


def find_rows(
    header: Header,
    index: Index,
    frames: Frames,
    chosen: Chosen,
    downsample: int,
    keep_frames: bool,
) -> Rows:
    """Find where the rows of the array are.

    Parameters
    ----------
    header, index, frames
        Of the file.
    chosen
        The frames that are read.
    downsample
        How many rows are one of the array.
    keep_frames
        Whether frames are planes of the array, and not summed.

    Raises
    ------
    FileFormatError
        There would be far more rows than are stored.
    """
    n_rows = header.n_rows // downsample - chosen.crop[0]
    n_planes = len(chosen.numbers) if keep_frames or chosen.is_moved else 1
    if n_planes * n_rows > max(_LEAST_LINES, _MOST_TIMES * len(index.start)):
        raise FileFormatError(
            f"{header.source.name}: the {n_planes} frames would have {n_planes * n_rows} "
            f"rows, and {len(index.start)} are stored, expected more (byte {header.start}). "
            "Sum the frames."
        )
    ids, plane = _stored_rows(frames, chosen)
    row = index.rows[index.position[ids]].astype(np.int64)
    is_there = row >= 0
    row = row // downsample + chosen.shifts[plane, 0]
    is_there &= (row >= 0) & (row < n_rows)
    line = (plane * n_rows if n_planes > 1 else 0) + row
    ids, line = ids[is_there], line[is_there]
    order = np.lexsort((index.start[ids], line))
    ids, line = ids[order], line[order]

    def added(values: np.ndarray | None) -> np.ndarray:
        return np.bincount(line, values, n_planes * n_rows)

    runs = Runs(
        index.start[ids],
        index.length[ids],
        np.concatenate(([0], np.cumsum(added(None)))),
        # No checksum, but what the row begins with, see kernels.py.
        checksum=Y << KIND_SHIFT | index.position[ids].astype(np.uint64),
    )
    ticks = [added(index.ticks[ids, i]) for i in (0, 1)]
    return Rows(
        runs,
        np.stack(ticks, axis=-1).astype(np.int64).reshape(n_planes, n_rows, 2),
        added(_shares(header, index, frames)[ids]).reshape(n_planes, n_rows),
    )


def _stored_rows(frames: Frames, chosen: Chosen) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the rows of the frames that are read, and of which each is."""
    firsts = frames.first[chosen.numbers]
    counts = np.diff(frames.first)[chosen.numbers]
    plane = np.repeat(np.arange(len(counts)), counts)
    before = np.cumsum(counts) - counts
    return np.arange(len(plane)) + (firsts - before)[plane], plane


def _shares(header: Header, index: Index, frames: Frames) -> np.ndarray:
    """Return how much of each row was scanned: all of it, unless a frame was cut off in it."""
    shares = np.ones(len(index.start))
    ends = frames.first[1:][~frames.is_whole] - 1
    last = index.last[ends].astype(np.int64)
    columns = np.where(last >= 0, index.columns[last] + 1, 0)
    shares[ends] = columns / header.n_columns
    return shares
