"""``file_writer`` for ``.GeoPIXE`` maps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rsciio_xfm.core.atomic import refuse_original, replacing
from rsciio_xfm.core.eds import DETECTOR_AXIS, with_times_of_one_spectrum
from rsciio_xfm.core.fields import field_offset
from rsciio_xfm.core.later import cpu_count, da, dask
from rsciio_xfm.core.progress import bytes_bar
from rsciio_xfm.core.to_dask import default_chunks, take
from rsciio_xfm.core.writers import check_plain
from rsciio_xfm.formats.geopixe.describe import build_header, find_dead_time
from rsciio_xfm.formats.geopixe.header import (
    encode_header,
    is_original,
)
from rsciio_xfm.formats.geopixe.layout import ENTRY, MAX_INDEX, RECORD, RECORD_MARK
from rsciio_xfm.kernels.compiled import kernel

_MOST_CHANNELS = 2**16 - 1
_MOST_COUNTS = np.iinfo(ENTRY["counts"]).max
_COUNTS_BYTES = ENTRY["counts"].itemsize
_COUNTS_SHIFT = np.uint32(8 * field_offset(ENTRY, "counts"))
_LOW, _HALF = np.uint32(0xFFFF), np.uint32(16)
_RECORD_BYTES, _ENTRY_BYTES = RECORD.itemsize, ENTRY.itemsize

_SAME = 1e-6  # relative difference of numbers that say the same
_BATCH_EACH = 2  # chunks that are in work together, for each processor


def file_writer(
    filename: str | Path, signal: dict[str, Any], replace_original: bool = False
) -> None:
    """Write a map of X-ray spectra as ``.GeoPIXE``.

    Parameters
    ----------
    filename
        Path of the file. It is replaced when the new one is whole; until then it is as it was.
    signal
        Dictionary of a signal, as :meth:`hyperspy.api.signals.BaseSignal.save` passes it.
        ``data``: counts, ``(y, x, E)`` or ``(detector, y, x, E)``, integers, as a numpy
        or a dask array, which is computed chunk by chunk.
    replace_original
        Replace a map that was not written here, the instrument's own say, too.

    Raises
    ------
    TypeError
        The counts are no integers.
    ValueError
        The signal is something that the format cannot hold: other axes, an energy axis that
        does not start at 0, more than 65535 channels or 65536 pixels along an axis, negative
        counts or more than 65535 in a channel, a header of more than 65535 bytes. Or the file
        that is there was not written here.
    OSError
        The file cannot be written; what was there is as it was.

    Warns
    -----
    UserWarning
        An axis has units that the header cannot state; date and time are not understood; a
        live time is known, but no real time (EDAX's maps), and the format cannot hold it.

    Notes
    -----
    The header is that of the file that was loaded, in ``original_metadata``, character by
    character but for ``"Written by"``, by which a file that may be replaced is told from the
    instrument's own, and for what is different now: sizes, steps of the axes, real time of a
    spectrum, beam energy, date and time. Of other maps it is made from the metadata.

    Dead times are those of the map that the metadata carry; where detectors were summed, the
    mean, so that live times are right. Without such a map they are those of the live and real
    time of the metadata; without these 0, not recorded. A spectrum that has neither counts nor
    a dead time (NaN) gets no record. The header has one real time for all spectra: where a
    mask left some out, they get no record, and dead times keep the live times of the others.

    Source of the format: see ``layout.py``.

    Examples
    --------
    >>> s = hs.load("map.GeoPIXE", lazy=True, sum_detectors=False)
    >>> s.inav[20:40, 10:30].save("part.GeoPIXE")
    """
    path = Path(filename)
    data = signal["data"]
    signal = signal | {"metadata": with_times_of_one_spectrum(signal["metadata"])}
    is_smoothed = bool(signal["metadata"].get("Signal", {}).get("smoothed"))
    _check_counts(path, data, is_smoothed)
    axes = _check_axes(path, signal["axes"], data)
    refuse_original(path, is_original, replace_original)
    header = encode_header(build_header(path, signal, axes), path)
    data = data if data.ndim == 4 else data[np.newaxis]
    dead_time = find_dead_time(path, signal["metadata"], data.shape[:-1])
    with bytes_bar(data.nbytes, f"Writing {path.name}") as bar, replacing(path) as file:
        file.write(header)
        _write_records(file, path, data, dead_time, bar)


def _check_counts(path: Path, data: Any, is_smoothed: bool) -> None:
    """Refuse what are no counts."""
    if data.dtype.kind not in "iu":
        advice = "Convert them with the signal's change_dtype method, if they are whole."
        if is_smoothed:
            advice = "These were smoothed: take them from the scan, with sigma=0."
        raise TypeError(
            f"{path}: the counts are {data.dtype}, expected integers: the format holds "
            f"whole counts. {advice}"
        )
    check_plain(path, data)


def _check_axes(
    path: Path, axes: list[dict[str, Any]], data: Any
) -> list[dict[str, Any]]:
    """Return the axes in the array's order, if the format can hold them."""
    axes = sorted(axes, key=lambda axis: axis.get("index_in_array", 0))
    navigates = [axis["navigate"] for axis in axes]
    shape = tuple(axis["size"] for axis in axes)
    if data.ndim not in (3, 4) or navigates != [True] * (data.ndim - 1) + [False]:
        raise ValueError(
            f"{path}: the signal has {sum(navigates)} navigation axes (array {shape}), "
            "expected x and y, or x, y and detector, with the channels last. Of a line, "
            "s.inav[:, 3:4] is a map of one row."
        )
    names = [axis["name"] for axis in axes]
    if DETECTOR_AXIS in names[-3:]:
        raise ValueError(
            f"{path}: the axes of the array are {names}, expected {DETECTOR_AXIS!r} before y "
            "and x, or not there."
        )
    if data.ndim == 4 and names[0] != DETECTOR_AXIS:
        raise ValueError(
            f"{path}: the first axis of the array is {names[0]!r}, expected "
            f"{DETECTOR_AXIS!r}: the format has no other third axis."
        )
    if 0 in shape or max(shape[:-1]) > MAX_INDEX or shape[-1] > _MOST_CHANNELS:
        raise ValueError(
            f"{path}: the array is {shape}, expected 1 to {MAX_INDEX} pixels along each axis "
            f"and 1 to {_MOST_CHANNELS} channels."
        )
    energy = axes[-1]
    if abs(energy["offset"]) > _SAME * abs(energy["scale"]):
        raise ValueError(
            f"{path}: the energy of channel 0 is {energy['offset']:g} {energy['units']}, "
            "expected 0: the format has no offset. Load without rebin_energy; s.isig[0.0:] "
            "leaves out what is below 0 keV, and s.axes_manager[-1].offset = 0 the part of a "
            "channel that remains."
        )
    for axis in axes[-3:]:
        if not axis["scale"] > 0:
            raise ValueError(
                f"{path}: the step of {axis['name']} is {axis['scale']}, expected above 0."
            )
    return axes


# The records.


def _write_records(
    file: BinaryIO, path: Path, data: Any, dead_time: np.ndarray, bar: Any
) -> None:
    """Write the records in the order of y, x, detector, while the next are encoded."""
    if not isinstance(data, da.Array):
        chunks = default_chunks(data.shape, data.dtype, row_axis=1)
        data = da.from_array(data, chunks=chunks, name=False)
    with ThreadPoolExecutor(1) as writer:
        previous = None
        for rows, parts in _encode(path, data, dead_time):
            if previous is not None:
                previous.result()
            previous = writer.submit(_write_rows, file, parts)
            bar.update((rows[1] - rows[0]) * data.nbytes // data.shape[1])
        if previous is not None:
            previous.result()


def _write_rows(file: BinaryIO, parts: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Write some rows, each of them in parts from left to right."""
    for row in range(len(parts[0][1]) - 1):
        for encoded, ends in parts:
            file.write(encoded[ends[row] : ends[row + 1]].data)


def _encode(
    path: Path, data: da.Array, dead_time: np.ndarray
) -> Iterator[tuple[tuple[int, int], list[tuple[np.ndarray, np.ndarray]]]]:
    """Yield the encoded records of ranges of rows, several of them made at a time."""
    encode = dask.delayed(_encode_block)
    row_edges = np.cumsum((0, *data.chunks[1])).tolist()
    column_edges = np.cumsum((0, *data.chunks[2])).tolist()
    n_across = len(data.chunks[2])
    n_rows = max(1, _BATCH_EACH * cpu_count() // n_across)
    ranges = list(itertools.pairwise(row_edges))
    for start in range(0, len(ranges), n_rows):
        batch = ranges[start : start + n_rows]
        # Only this part of the graph is looked at.
        part = take(data, (slice(None), slice(batch[0][0], batch[-1][1])))
        part = part.rechunk(
            {0: -1, 1: tuple(b - a for a, b in batch), 2: data.chunks[2], 3: -1}
        )
        blocks = part.to_delayed()[0, :, :, 0]
        tasks = [
            encode(blocks[i, j], dead_time[:, a:b, c:d], (a, c), str(path))
            for i, (a, b) in enumerate(batch)
            for j, (c, d) in enumerate(itertools.pairwise(column_edges))
        ]
        done = dask.compute(*tasks)
        for i, rows in enumerate(batch):
            yield rows, list(done[i * n_across : (i + 1) * n_across])


def _encode_block(
    block: np.ndarray, dead_time: np.ndarray, origin: tuple[int, int], path: str
) -> tuple[np.ndarray, np.ndarray]:
    """Encode the records of a block (detector, y, x, E).

    Returns
    -------
    encoded : numpy.ndarray
        Little-endian uint32, the records.
    ends : numpy.ndarray
        Where each row begins in them, and where the last one ends.
    """
    block = _narrow(block, origin, path)
    heads = np.zeros(block.shape[:-1], dtype=RECORD)
    heads["mark"] = RECORD_MARK
    heads["detector"] = np.arange(block.shape[0])[:, np.newaxis, np.newaxis]
    heads["y"] = np.arange(origin[0], origin[0] + block.shape[1])[:, np.newaxis]
    heads["x"] = np.arange(origin[1], origin[1] + block.shape[2])
    heads["dead_time"] = dead_time
    # Everything is 4 bytes long or a multiple of it: numbers of 32 bits are written.
    quads = heads.view("<u4").astype(np.uint32).reshape(*heads.shape, -1)
    is_absent = np.isnan(dead_time)
    longest = quads.shape[-1] + block.shape[-1]
    encoded = np.empty(max(block.size // 8, longest), dtype=np.uint32)
    ends = np.zeros(block.shape[1] + 1, dtype=np.int64)
    place = np.zeros(2, dtype=np.int64)  # the next spectrum, and where its record begins
    while True:
        if _encode_spectra(block, quads, is_absent, encoded, ends, place):
            return encoded[: place[1]].astype("<u4"), ends
        larger = np.empty(2 * encoded.size + longest, dtype=np.uint32)
        larger[: place[1]] = encoded[: place[1]]
        encoded = larger


def _narrow(block: np.ndarray, origin: tuple[int, int], path: str) -> np.ndarray:
    """Return counts as numbers of 8 or 16 bits, if they are within the format's range."""
    if block.dtype.kind == "u" and block.dtype.itemsize <= _COUNTS_BYTES:
        return np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("="))
    if block.min() < 0 or block.max() > _MOST_COUNTS:
        wrong = np.argwhere((block < 0) | (block > _MOST_COUNTS))[0]
        detector, row, column, channel = wrong.tolist()
        raise ValueError(
            f"{path}: the counts of channel {channel} at x={origin[1] + column}, "
            f"y={origin[0] + row}, detector={detector} are {block[tuple(wrong)]}, expected 0 "
            f"to {_MOST_COUNTS}: the format cannot hold others."
        )
    return block.astype(np.uint16, order="C")


@kernel
def _encode_spectra(
    block: np.ndarray,
    heads: np.ndarray,
    is_absent: np.ndarray,
    encoded: np.ndarray,
    ends: np.ndarray,
    place: np.ndarray,
) -> bool:
    """Encode spectra, the detectors of a pixel together; return whether that was all.

    If not, there is no more room.
    """
    n_detectors, n_rows, n_columns, n_channels = block.shape
    n_head = heads.shape[-1]
    at = place[1]
    for spectrum in range(place[0], n_detectors * n_rows * n_columns):
        if at + n_head + n_channels > encoded.size:
            place[0], place[1] = spectrum, at
            return False
        pixel, detector = divmod(spectrum, n_detectors)
        row, column = divmod(pixel, n_columns)
        counts = block[detector, row, column]
        n = 0
        for channel in range(n_channels):
            # Written in any case, kept if it is not zero: no branch to be guessed.
            entry = np.uint32(channel) | np.uint32(counts[channel]) << _COUNTS_SHIFT
            encoded[at + n_head + n] = entry
            n += counts[channel] != 0
        if n > 0 or not is_absent[detector, row, column]:
            head = heads[detector, row, column]
            length = np.uint32(_RECORD_BYTES + _ENTRY_BYTES * n)
            for i in range(n_head):
                encoded[at + i] = head[i]
            # The length comes after the mark, and before x.
            encoded[at] = (head[0] & _LOW) | (length << _HALF)
            encoded[at + 1] = (head[1] & ~_LOW) | (length >> _HALF)
            at += n_head + n
        ends[row + 1] = at
    place[1] = at
    return True
