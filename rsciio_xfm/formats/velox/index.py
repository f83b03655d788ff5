"""The index of the streams of a Velox file, and the shape of its map that it shows."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from rsciio_xfm.core.cache import Entry
from rsciio_xfm.core.hdf5.values import Values, find_values
from rsciio_xfm.core.source import Source
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.velox.count import (
    Index,
    StreamIndex,
    count_marks,
    count_streams,
    count_zeros,
    is_possible,
)
from rsciio_xfm.formats.velox.faults import check_channels, find_more, marks_of, warn_of
from rsciio_xfm.formats.velox.layout import MARK, VALUE
from rsciio_xfm.formats.velox.parse import Stream, VeloxHeader

# To be changed whenever an index of an older version must not be used.
_CACHE_KIND = "emd-3"
# Counts in the first channel that end a stream in which marks are missing: nobody measures
# so many in one pixel, but a copy that was interrupted can leave zeros.
_MANY_ZEROS = 1024
_MANY_ROWS, _LEAST_ROW = 2**18, 8  # an index of as many rows as values would be larger


def read_index(
    path: Path, source: Source, header: VeloxHeader, file: h5py.File, cache: bool
) -> Index:
    """Index the streams of a file, or take the index that was kept of it.

    Parameters
    ----------
    path, source, header, file
        The file.
    cache
        Whether an index may be taken from, and kept in, the user's cache.

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

    def build() -> Index:
        names = [f"{stream.name}/Data" for stream in header.streams]
        found = [find_values(path, source.version, file, name) for name in names]
        return build_index(path, header, found)

    if cache:
        entry = Entry.of(
            _CACHE_KIND,
            source,
            tuple((s.name, s.n_values, s.n_channels) for s in header.streams),
            tuple(header.shapes),
            tuple(header.frame_counts),
        )
        index = entry.get_or_make(build, _pack, lambda f: _unpack(source, f, header))
    else:
        index = build()
    warn_of(path, header, index)
    return index


def build_index(path: Path, header: VeloxHeader, values: list[Values]) -> Index:
    """Index the streams of a file in one pass of bounded memory.

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
    index = count_streams(path, header, values, shapes[0])
    n_marks = max(s.n_marks for s in index.streams)
    if n_marks not in marks_of(index.shape):
        # Now that the marks are counted: perhaps another shape has as many.
        better = [shape for shape in shapes if n_marks in marks_of(shape)]
        if not better and n_marks > np.prod(index.shape, dtype=np.int64):
            better = find_more(path, header, index, n_marks)
        if better:
            index = count_streams(path, header, values, better[0])
    n_pixels = int(np.prod(index.shape, dtype=np.int64))
    for i, (stream, described) in enumerate(
        zip(index.streams, header.streams, strict=True)
    ):
        check_channels(path, described, stream)
        if stream.n_marks < n_pixels - 1:
            index.streams[i] = _leave_out_zeros(stream)
    return index


def _leave_out_zeros(stream: StreamIndex) -> StreamIndex:
    """Let a stream end where the zeros of a copy that was interrupted begin, if they do."""
    if stream.histogram[0] < _MANY_ZEROS:
        return stream
    n_zeros = count_zeros(stream.values)
    if n_zeros < _MANY_ZEROS:
        return stream
    histogram = stream.histogram.copy()
    histogram[0] -= n_zeros
    # Zeros change no checksum.
    row_start = np.minimum(stream.row_start, stream.values.size - n_zeros)
    return replace(stream, row_start=row_start, histogram=histogram, n_zeros=n_zeros)


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
    if len(header.shapes) > 1 and is_possible(table, 2):
        # Between the starts of two frames are the marks of one.
        n_pixels = count_marks(values[longest], min(int(table[1]), values[longest].size))
        shapes.sort(key=lambda s: s[1] * s[2] != n_pixels)  # keeps their order otherwise
    return shapes


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
    source: Source, found: dict[str, np.ndarray], header: VeloxHeader
) -> Index | None:
    """Make an index of what was kept, unless it cannot be that of the file."""
    shape = tuple(found["shape"].tolist())
    streams = [_unpack_stream(source, found, i, s) for i, s in enumerate(header.streams)]
    n_rows = shape[0] * shape[1] if len(shape) == 3 else -1
    is_sound = all(
        s.runs.is_sound(n_rows, 0, s.values.size * VALUE.itemsize)
        and s.row_start[0] == 0
        and s.histogram.shape == (MARK + 1,)
        for s in streams
    )
    return Index(shape, streams) if is_sound else None


def _unpack_stream(
    source: Source, found: dict[str, np.ndarray], i: int, described: Stream
) -> StreamIndex:
    chunk_size, fill, is_table_sound, n_zeros = found[f"numbers_{i}"].tolist()
    offsets = found[f"offsets_{i}"].astype(np.int64)
    name, size = f"{described.name}/Data", described.n_values
    if chunk_size < 0 or (chunk_size and len(offsets) != -(-size // chunk_size)):
        raise ValueError(chunk_size)
    return StreamIndex(
        Values(source.name, source.version, name, size, VALUE, chunk_size, offsets, fill),
        found[f"row_start_{i}"].astype(np.int64),
        found[f"row_sum_{i}"].astype(np.uint64),
        found[f"histogram_{i}"].astype(np.int64),
        bool(is_table_sound),
        n_zeros,
    )
