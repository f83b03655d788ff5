"""Pixels at the border of a region, which are read from the map's file."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsciio_xfm.core.array import FileArray, Range, channels_in, place_in
from rsciio_xfm.core.chunks import ChunkedArray
from rsciio_xfm.core.stream import RecordStream
from rsciio_xfm.core.views import View
from rsciio_xfm.core.workplace import scratch, workplace
from rsciio_xfm.exceptions import PassCancelledError
from rsciio_xfm.kernels.regions import add_regions
from rsciio_xfm.kernels.sums import can_stream, is_counts, spectra_at_once, stream_runs

_ROWS = 64  # that are read together


def check_cancel(cancel: Any) -> None:
    """Raise an error if an answer is not wanted any more.

    Parameters
    ----------
    cancel
        A callable that returns True, or an event with ``is_set()``; None goes on.

    Raises
    ------
    PassCancelledError
        It said so.
    """
    if cancel is not None and getattr(cancel, "is_set", cancel)():
        raise PassCancelledError("The answer was cancelled.")


@dataclass
class Border:
    """The pixels that are added to the blocks of a region, and taken away.

    Attributes
    ----------
    mask
        Of the region.
    is_border, is_taken
        Of each block, whether it is at the border, and whether all of it was taken.
    block
        Rows and columns of a block.
    cancel
        See :func:`check_cancel`.
    """

    mask: np.ndarray
    is_border: np.ndarray
    is_taken: np.ndarray
    block: tuple[int, int]
    cancel: Any = None

    def runs(self, grain: tuple[int, int]) -> Iterator[tuple[Range, Range, np.ndarray]]:
        """Yield the rectangles to read: rows, columns, and 1, 0 or -1 of each pixel.

        Parameters
        ----------
        grain
            Rows and columns of what is best read together.
        """
        height = self.mask.shape[0]
        rows = np.flatnonzero(self.is_border.any(axis=1)) * self.block[0]
        ends = np.minimum(rows + self.block[0], height) - 1
        for band in np.unique(
            np.concatenate([rows // grain[0], ends // grain[0]])
        ).tolist():
            check_cancel(self.cancel)
            top, bottom = band * grain[0], min((band + 1) * grain[0], height)
            yield from self._runs_of_rows((top, bottom), grain[1])

    def _runs_of_rows(
        self, rows: Range, grain: int
    ) -> Iterator[tuple[Range, Range, np.ndarray]]:
        down, across = self.block
        own = slice(rows[0] // down, -(-rows[1] // down))
        blocks = np.flatnonzero(self.is_border[own].any(axis=0))
        if not blocks.size:
            return
        left = int(blocks[0]) * across
        right = min((int(blocks[-1]) + 1) * across, self.mask.shape[1])
        at = np.ix_(np.arange(*rows) // down, np.arange(left, right) // across)
        inside = self.mask[slice(*rows), left:right].view(np.int8)
        signs = (inside - self.is_taken[at].view(np.int8)) * self.is_border[at]
        columns = np.flatnonzero(signs.any(axis=0))
        if not columns.size:
            return
        cells = (columns + left) // grain
        for run in np.split(columns, np.flatnonzero(np.diff(cells) > 1) + 1):
            first, stop = int(run[0]), int(run[-1]) + 1
            found = np.flatnonzero(signs[:, first:stop].any(axis=1))
            low, high = int(found[0]), int(found[-1]) + 1
            place = (rows[0] + low, rows[0] + high), (left + first, left + stop)
            yield *place, signs[low:high, first:stop]


def _add_plain(source: FileArray, border: Border, total: np.ndarray) -> bool:
    """Add the pixels of spectra that lie in a file as they are, if they do.

    Each row of a border is some pixels long: a kernel reads them one after the other.
    """
    plain, corner = plain_of(source)
    if plain is None or not can_stream:
        return False
    table = plain.table
    sums = np.zeros((2, total.size), dtype=np.uint64)
    shape = (spectra_at_once(table.strides[1]), total.size)
    with workplace(), table.sources[0].open() as reader:
        if reader.descriptor is None:
            return False
        with scratch(math.prod(shape) * table.dtype.itemsize) as memory:
            buffer = memory.view(table.dtype).reshape(shape)
            for rows, columns, signs in border.runs((_ROWS, border.mask.shape[1])):
                runs = _runs_of(signs)
                place = (
                    runs[:, 0] + rows[0] + corner[0],
                    runs[:, 1] + columns[0] + corner[1],
                )
                at = int(table.offsets.flat[0]) + np.dot(table.strides[:2], place)
                runs = np.stack([at, runs[:, 2], runs[:, 3]], axis=1)
                if not stream_runs(reader.descriptor, runs, buffer, sums):
                    return False  # who reads in another way says what is wrong
    total += sums[0]
    total -= sums[1]
    return True


def plain_of(source: FileArray) -> tuple[ChunkedArray | None, tuple[int, int]]:
    """Return the array in whose file the spectra lie one after the other, and the corner."""
    corner = (0, 0)
    channels = (0, source.shape[-1])
    while isinstance(source, View):
        (top, _), (left, _), own = source.ranges
        corner = corner[0] + top, corner[1] + left
        channels = channels[0] + own[0], channels[1] + own[0]
        source = source.source
    is_plain = (
        isinstance(source, ChunkedArray)
        and source.decoder.is_plain
        and source.is_as_stored
        and channels == (0, source.shape[-1])
        and source.table.chunks == source.shape
        and not source.table.has_gaps
        and is_counts(np.empty(0, source.table.dtype))
    )
    return (source if is_plain and isinstance(source, ChunkedArray) else None), corner


def _runs_of(signs: np.ndarray) -> np.ndarray:
    """Return runs of pixels of one sign: row, column, length, and 0, or 1 if negative."""
    n = signs.shape[1] + 1
    ended = np.zeros((signs.shape[0], n), dtype=np.int8)  # no run goes on in the next row
    ended[:, :-1] = signs
    flat = ended.reshape(-1)
    edges = np.flatnonzero(np.diff(flat, prepend=0))
    starts, stops = edges[:-1], edges[1:]
    starts, stops = starts[flat[starts] != 0], stops[flat[starts] != 0]
    is_less = (flat[starts] < 0).astype(np.int64)
    return np.stack([starts // n, starts % n, stops - starts, is_less], axis=1)


def _grain_of(source: FileArray, block: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of what is best read together of a file."""
    while isinstance(source, View):
        source = source.source
    if isinstance(source, RecordStream):  # records are found by rows
        return _ROWS, source.shape[-2]
    stored = source.stored_chunks
    if stored is None or len(stored) != 3:
        return block
    rows, columns = stored[:2]
    return rows * max(1, block[0] // rows), max(block[1], columns)


def add_border(source: FileArray, border: Border, total: np.ndarray) -> None:
    """Add the pixels of a border to a sum of blocks, and take others away.

    Parameters
    ----------
    source
        The map, that they are read from.
    border
        Which pixels.
    total
        uint64, shape (channels,).
    """
    if _add_plain(source, border, total):
        return
    rows_of: dict[tuple[Range, int], Range] = {}
    for rows, columns, signs in border.runs(_grain_of(source, border.block)):
        sign = int(signs[0, 0])
        if sign == 0 or not (signs == sign).all():
            _add_pixels(source, (rows, columns), signs, total)
            continue
        before = rows_of.get((columns, sign))
        if before is not None and before[1] == rows[0]:
            rows_of[columns, sign] = before[0], rows[1]
            continue
        if before is not None:
            _add_rectangle(source, (before, columns), sign, total)
        rows_of[columns, sign] = rows
    for (columns, sign), rows in rows_of.items():
        _add_rectangle(source, (rows, columns), sign, total)


def _add_rectangle(
    source: FileArray, place: tuple[Range, Range], sign: int, total: np.ndarray
) -> None:
    with workplace():
        summed = source.sum_navigation((*place, (0, total.size)))
    if sign > 0:
        total += summed
    else:
        total -= summed


def _add_pixels(
    source: FileArray, place: tuple[Range, Range], signs: np.ndarray, total: np.ndarray
) -> None:
    ranges = (*place, (0, total.size))
    sums = np.zeros((2, total.size), dtype=np.uint64)
    with workplace():
        for held, piece in source.pieces(ranges):
            counts = channels_in(piece, held, ranges)
            own = signs[place_in(held, ranges)].reshape(-1)
            pixels = np.flatnonzero(own)
            pairs = pixels, (own[pixels] < 0).astype(np.int32)
            spectra = counts.reshape(-1, total.size)
            add_regions(spectra, 0, pairs, (0, total.size), sums)
    total += sums[0]
    total -= sums[1]
