"""The counts of a Velox map as an array-like over its streams."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from rsciio_xfm.core.array import FileArray, Range
from rsciio_xfm.core.hdf5.values import Values
from rsciio_xfm.core.source import BLOCK_BYTES, scratch
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.formats.velox.index import Index, check_values
from rsciio_xfm.formats.velox.layout import MARK, VALUE
from rsciio_xfm.kernels.compiled import kernel

_BLOCK_VALUES = BLOCK_BYTES // VALUE.itemsize
_RUNS = 4096  # of values that are read before they are decoded
_DONE, _OVERFLOW, _CHANGED = range(3)
_OUTSIDE = -1
_GOES_ON = 2**31


@dataclass(frozen=True, eq=False)
class VeloxArray(FileArray):
    """Counts of a map, ``(y, x, E)``, or with its frames, ``(frame, y, x, E)``.

    Attributes
    ----------
    streams
        Where the values of each detector are, the value at which each row starts, and the
        checksum of all before it, see :class:`rsciio_xfm.formats.velox.index.StreamIndex`.
    frames
        Half-open range of the frames that are read.
    n_rows, n_columns, n_channels
        Of a frame.
    has_frames
        Whether the frames are an axis, rather than summed.
    rebin_energy
        How many channels are summed into one.
    dtype
        Of the counts.
    total
        uint64, the sum of all spectra, if it is known.
    """

    streams: tuple[tuple[Values, np.ndarray, np.ndarray], ...]
    frames: Range
    n_rows: int
    n_columns: int
    n_channels: int
    has_frames: bool
    rebin_energy: int
    dtype: np.dtype
    total: np.ndarray | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        n_bins = self.n_channels // self.rebin_energy
        shape = (self.n_rows, self.n_columns, n_bins)
        return (self.frames[1] - self.frames[0], *shape) if self.has_frames else shape

    def row_axis(self) -> int:
        """Return the axis of y."""
        return self.ndim - 3

    def file_bytes(self) -> int:
        """Return how many bytes the frames that are read take up."""
        first, last = (frame * self.n_rows for frame in self.frames)
        values = sum(int(starts[last] - starts[first]) for _, starts, _ in self.streams)
        return values * VALUE.itemsize

    def known_total(self) -> np.ndarray | None:
        """Return the sum of all spectra: the index counted them."""
        return self.total

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Decode a block of the map; see :meth:`FileArray.read`."""
        counts = np.zeros([stop - start for start, stop in ranges], dtype=self.dtype)
        dense = counts if self.has_frames else counts[np.newaxis]
        limit = self.dtype.type(np.iinfo(self.dtype).max)
        self._run(_decode, ranges, self._bins(ranges[-1]), dense, limit)
        return counts

    def sum_navigation(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum spectra straight from the streams; see :meth:`FileArray.sum_navigation`."""
        start, stop = ranges[-1]
        total = np.zeros(stop - start, dtype=np.uint64)
        is_whole = ranges[-2] == (0, self.n_columns)
        kernel_of = _sum_values if is_whole else _sum_spectra
        self._run(kernel_of, ranges, self._bins(ranges[-1]), total)
        return total

    def sum_signal(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum channels straight from the streams; see :meth:`FileArray.sum_signal`."""
        counts = np.zeros([stop - start for start, stop in ranges[:-1]], dtype=np.uint64)
        dense = counts if self.has_frames else counts[np.newaxis]
        # The channels of the window are one.
        bins = np.minimum(self._bins(ranges[-1]), 0)
        self._run(_decode, ranges, bins, dense[..., np.newaxis], np.uint64(2**64 - 1))
        return counts

    def _run(
        self,
        function: Callable,
        ranges: tuple[Range, ...],
        bins: np.ndarray,
        *outputs: Any,
    ) -> None:
        """Run a kernel over the values of a block; it adds to the first of `outputs`."""
        if any(stop <= start for start, stop in ranges):
            return
        frames, rows = self.frames, ranges[-3]
        if self.has_frames:
            frames = (frames[0] + ranges[0][0], frames[0] + ranges[0][1])
        place = np.array([self.n_columns, *ranges[-2], rows[1] - rows[0]], np.int64)
        state = np.zeros(2, np.int64)
        # Filled from the start of one frame of a stream to the end of another.
        stops = np.empty(_RUNS, np.int64)
        outs = np.empty(_RUNS, np.int64)
        with scratch(BLOCK_BYTES) as raw:
            buffer = raw.view(VALUE)
            for values, *rows_of_stream in self.streams:
                with values.opened() as read:
                    for n_runs in self._runs(
                        read, values, *rows_of_stream, frames, rows, buffer, stops, outs
                    ):
                        status = function(
                            buffer, stops[:n_runs], outs, place, bins, state, *outputs
                        )
                        self._check(status, values)

    def _runs(
        self,
        read: Callable[[int, int, np.ndarray], None],
        values: Values,
        row_start: np.ndarray,
        row_sum: np.ndarray,
        frames: Range,
        rows: Range,
        buffer: np.ndarray,
        stops: np.ndarray,
        outs: np.ndarray,
    ) -> Iterator[int]:
        """Fill the buffer with the values of some rows of each frame, again and again.

        Yields
        ------
        int
            How many runs of values are in the buffer: `stops` has where each ends there,
            `outs` the frame it goes to, less 2**31 if it goes on with the last pixel.

        Raises
        ------
        CorruptFileError
            The values are not those that were indexed, whatever the file's size and time say.
        """
        filled = n_runs = 0
        for frame in range(*frames):
            first = frame * self.n_rows
            ends = [first + rows[0], first + rows[1]]
            at, end = row_start[ends].tolist()
            before, expected = row_sum[ends].tolist()
            out = frame - frames[0] if self.has_frames else 0
            is_new = True
            while at < end:
                n = min(end - at, len(buffer) - filled)
                part = buffer[filled : filled + n]
                read(at, at + n, part)
                before += check_values(part, at)
                filled += n
                at += n
                stops[n_runs], outs[n_runs] = filled, out if is_new else out - _GOES_ON
                n_runs += 1
                is_new = False
                if filled == len(buffer) or n_runs == len(stops):
                    yield n_runs
                    filled = n_runs = 0
            if before % 2**64 != expected:
                self._raise_changed(values, int(row_start[ends[0]]))
        if n_runs:
            yield n_runs

    def _bins(self, window: Range) -> np.ndarray:
        """Return for each value where its counts go within a window of the channels."""
        channels = np.arange(MARK + 1)
        bins = channels // self.rebin_energy - window[0]
        outside = (bins < 0) | (bins >= window[1] - window[0])
        bins[outside | (channels >= self.n_channels)] = _OUTSIDE
        return bins.astype(np.int32)

    def _check(self, status: int, values: Values) -> None:
        if status == _OVERFLOW:
            raise OverflowError(
                f"{values.path}: the counts of a channel, summed over frames, detectors or "
                f"channels, are above {np.iinfo(self.dtype).max}, the most that {self.dtype} "
                f"holds. Load the map with SI_dtype='uint32', or 'uint64'."
            )
        if status == _CHANGED:
            self._raise_changed(values, 0)

    def _raise_changed(self, values: Values, position: int) -> NoReturn:
        raise CorruptFileError(
            f"{values.path}: the values of {values.name} from {position} on are not those of "
            f"the rows that were indexed there (byte {values.byte_of(position)}). The file "
            "was changed since it was indexed; load it again with cache=False."
        )


def velox_array(
    index: Index,
    n_channels: int,
    detectors: tuple[int, ...],
    frames: Range,
    has_frames: bool,
    rebin_energy: int,
    dtype: np.dtype,
) -> VeloxArray:
    """Make the array-like over indexed streams.

    Parameters
    ----------
    index
        Of the file.
    n_channels
        Of the spectra.
    detectors
        Streams to add up.
    frames, has_frames, rebin_energy, dtype
        See :class:`VeloxArray`.
    """
    streams = [index.streams[i] for i in detectors]
    n_frames, n_rows, n_columns = index.shape
    total = None
    # Values beyond the map's last pixel were counted too.
    if frames == (0, n_frames) and all(s.row_start[-1] == s.values.size for s in streams):
        counted = sum(s.histogram[:n_channels] for s in streams)
        total = counted.reshape(-1, rebin_energy).sum(axis=1).astype(np.uint64)
    return VeloxArray(
        streams=tuple((s.values, s.row_start, s.row_sum) for s in streams),
        frames=frames,
        n_rows=n_rows,
        n_columns=n_columns,
        n_channels=n_channels,
        has_frames=has_frames,
        rebin_energy=rebin_energy,
        dtype=np.dtype(dtype),
        total=total,
    )


@kernel
def _decode(values, stops, outs, place, bins, state, dense, limit):
    """Add events to a block (frame, y, x, E)."""
    n_columns, first, last, n_rows = place
    column, row = state
    start = 0
    for run in range(stops.size):
        out = outs[run]
        if out < 0:
            out += _GOES_ON
        else:
            column, row = 0, 0
        for i in range(start, stops[run]):
            value = values[i]
            if value == MARK:
                column += 1
                if column == n_columns:
                    column = 0
                    row += 1
            elif first <= column < last and bins[value] >= 0:
                if row >= n_rows:
                    return _CHANGED
                spectrum = dense[out, row, column - first]
                if spectrum[bins[value]] == limit:
                    return _OVERFLOW
                spectrum[bins[value]] += 1
        start = stops[run]
    state[0] = column
    state[1] = row
    return _DONE


@kernel
def _sum_values(values, stops, outs, place, bins, state, total):
    """Add events of whole rows to one spectrum."""
    for i in range(stops[-1]):
        bin_ = bins[values[i]]
        if bin_ >= 0:
            total[bin_] += 1
    return _DONE


@kernel
def _sum_spectra(values, stops, outs, place, bins, state, total):
    """Add events of some columns to one spectrum."""
    n_columns, first, last, _ = place
    column = state[0]
    start = 0
    for run in range(stops.size):
        if outs[run] >= 0:
            column = 0
        for i in range(start, stops[run]):
            value = values[i]
            if value == MARK:
                column += 1
                if column == n_columns:
                    column = 0
            elif first <= column < last:
                bin_ = bins[value]
                if bin_ >= 0:
                    total[bin_] += 1
        start = stops[run]
    state[0] = column
    return _DONE
