"""What counting the streams of a Velox file shows to be wrong with it."""

from pathlib import Path

import numpy as np

from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.formats.velox.count import Index, StreamIndex, find_channel
from rsciio_xfm.formats.velox.layout import MARK
from rsciio_xfm.formats.velox.parse import Stream, VeloxHeader


def marks_of(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Return how many marks a whole stream has; the last one may be absent."""
    n_pixels = int(np.prod(shape, dtype=np.int64))
    return n_pixels, n_pixels - 1


def find_more(
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
    whole = [shape for shape in frames if n_marks in marks_of(shape)]
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


def check_channels(path: Path, described: Stream, stream: StreamIndex) -> None:
    """Refuse a stream with channels that its spectra do not have."""
    beyond = np.flatnonzero(stream.histogram[described.n_channels : MARK])
    if not len(beyond):
        return
    position = find_channel(stream.values, described.n_channels)
    raise CorruptFileError(
        f"{path}: {stream.histogram[described.n_channels : MARK].sum()} values of "
        f"{described.name} are channels above the last, the first of them value {position}, "
        f"expected 0 to {described.n_channels - 1}, or {MARK} for the next pixel (byte "
        f"{stream.values.byte_of(position)}). The file is damaged."
    )


def warn_of(path: Path, header: VeloxHeader, index: Index) -> None:
    """Warn of streams that end early or late, or are not what the file says of them."""
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
