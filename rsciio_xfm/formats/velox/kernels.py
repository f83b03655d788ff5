"""What the streams of a Velox file say: kernels on their values.

A value is a count in a channel, or the mark that moves on to the next pixel. There are but a
few values between two marks, and nobody can guess how many, so that a branch on the mark
costs more than all else: these loops have none.
"""

import numpy as np

from rsciio_xfm.core.stream import (
    BEGIN,
    CHANGED,
    COLUMN,
    DONE,
    END,
    OVERFLOW,
    PLANE,
    ROW,
    START,
    SUM,
    Kernels,
)
from rsciio_xfm.formats.velox.layout import MARK, VALUE
from rsciio_xfm.kernels.compiled import kernel

_BYTES = VALUE.itemsize
_MARK = np.uint32(MARK)
# Values whose marks are counted together, without looking at each.
_STEP = 64
# Pixels of a row whose spectra stay in the cache of a processor while all frames add to them.
_TILE = 16
# A product of a value and a place below this has 32 bits.
_SPAN = 2**16


@kernel
def checksum(values, base):
    """Return the checksum of values of a stream, the first of which is the one at `base`.

    The sum, modulo 2**64, of each value times its place, from 1 on: that of neighbouring
    parts is the sum of theirs, and it is another one if two values, pixels or rows change
    places.
    """
    total = np.uint64(0)
    for start in range(0, values.size, _SPAN):
        part = values[start : start + _SPAN]
        plain = np.uint64(0)
        weighted = np.uint64(0)
        for i in range(part.size):
            plain += np.uint64(part[i])
            weighted += np.uint64(np.uint32(part[i]) * np.uint32(i))
        total += plain * np.uint64(base + start + 1) + weighted
    return total


@kernel
def count_marks(values):
    """Count the marks among values."""
    n = 0
    for i in range(values.size):
        n += values[i] == MARK
    return n


@kernel
def skip_marks(values, at, stop, n):
    """Return the place behind the n-th mark from a place on, and how many are missing."""
    while n > 0 and at + _STEP <= stop:
        found = count_marks(values[at : at + _STEP])
        if found >= n:
            break
        n -= found
        at += _STEP
    while n > 0 and at < stop:
        n -= values[at] == MARK
        at += 1
    return at, n


@kernel
def count_values(values, histogram):
    """Count how often each value occurs, in two parts, as neighbours are often alike.

    `histogram` is uint32, shape (2, 65536).
    """
    n = values.size // 2
    for i in range(n):
        histogram[0, values[2 * i]] += np.uint32(1)
        histogram[1, values[2 * i + 1]] += np.uint32(1)
    if values.size % 2:
        histogram[0, values[-1]] += np.uint32(1)


@kernel
def _part_of(block, i):
    """Return the values of a run that are in a block, as start and stop."""
    start = max(block.runs[i, BEGIN] - block.base, 0)
    stop = min(block.runs[i, END] - block.base, block.n_bytes)
    return start // _BYTES, stop // _BYTES


@kernel
def _check(words, block, longest):
    """Compare the checksums of runs, see :class:`rsciio_xfm.core.stream.Kernels`."""
    values = words[0]
    runs = block.runs
    for i in range(len(runs)):
        start, stop = _part_of(block, i)
        place = (runs[i, START] - runs[i, BEGIN] + block.base) // _BYTES + start
        runs[i, SUM] -= np.int64(checksum(values[start:stop], place))
        if runs[i, END] <= block.base + block.n_bytes and runs[i, SUM] != 0:
            return 0
    return block.n_bytes


@kernel
def _decode(words, block, box, dense, is_clear, limit):
    """Add events to a block (frame, y, x, E).

    A few pixels at a time, of all frames in the block: their spectra stay in the cache.
    """
    values, counts = words[0], dense.reshape(-1)
    _, n_rows, n_pixels, n_bins = dense.shape
    order, firsts = _by_row(block, box)
    at = np.empty(len(order), np.int64)
    column = block.runs[:, COLUMN].copy()
    for row in range(n_rows):
        runs = order[firsts[row] : firsts[row + 1]]
        for k in runs:
            start, stop = _part_of(block, k)
            at[k], left = skip_marks(values, start, stop, box.first_column - column[k])
            column[k] = max(column[k], box.first_column) - max(left, 0)
        for tile in range(box.first_column, box.last_column, _TILE):
            last = min(tile + _TILE, box.last_column)
            for k in runs:
                _, stop = _part_of(block, k)
                if at[k] == stop or column[k] >= last:
                    continue
                place = box.places[block.runs[k, PLANE]]
                x = tile - box.first_column
                line = (place * n_rows + row) * n_pixels - box.first_column
                if not is_clear[place, row, x]:
                    is_clear[place, row, x : last - box.first_column] = True
                    counts[(line + tile) * n_bins : (line + last) * n_bins] = 0
                pixels = (line + column[k], line + last)
                at[k], pixel, is_over = _add_events(
                    values[:stop], at[k], pixels, counts, box, counts.dtype.type(limit)
                )
                column[k] = pixel - line
                if is_over:
                    return at[k] * _BYTES - _BYTES, OVERFLOW
        if box.last_column == box.n_columns:
            for k in runs:
                if at[k] < _part_of(block, k)[1]:
                    return at[k] * _BYTES, CHANGED
    _keep_column(values, block)
    return block.n_bytes, DONE


@kernel
def _by_row(block, box):
    """Return the numbers of the runs ordered by row, and where each row begins in them."""
    rows = block.runs[:, ROW] - box.first_row
    firsts = np.zeros(box.last_row - box.first_row + 1, np.int64)
    for i in range(len(rows)):
        firsts[rows[i] + 1] += 1
    firsts = np.cumsum(firsts)
    following = firsts.copy()
    order = np.empty(len(rows), np.int64)
    for i in range(len(rows)):
        order[following[rows[i]]] = i
        following[rows[i]] += 1
    return order, firsts


@kernel
def _keep_column(values, block):
    """Note how many columns are done of a run that goes on in the next block."""
    i = len(block.runs) - 1
    if block.runs[i, END] > block.base + block.n_bytes:
        start, stop = _part_of(block, i)
        block.runs[i, COLUMN] += count_marks(values[start:stop])


@kernel
def _add_events(values, at, pixels, counts, box, limit):
    """Add the events of a few pixels, from a place on, to their spectra.

    Return the place behind them, the pixel that comes next, and whether a sum is above the
    limit. What is not to be counted, marks too, adds 0 to the first channel.
    """
    n_bins = np.int64(box.n_wanted // box.rebin)
    first, n_wanted = np.uint32(box.first_channel), np.uint32(box.n_wanted)
    rebin = np.uint32(box.rebin)
    origin, stop = pixels[0] * n_bins, pixels[1] * n_bins
    is_over = False
    while at < values.size and origin < stop:
        value = np.uint32(values[at])
        channel = np.uint32(value - first)  # wraps around below the window
        is_wanted = channel < n_wanted
        channel = channel if is_wanted else np.uint32(0)
        place = origin + np.int64(channel if rebin == 1 else channel // rebin)
        before = counts[place]
        is_over |= is_wanted & (before == limit)
        counts[place] = before + is_wanted
        origin += n_bins if value == _MARK else 0
        at += 1
    return at, origin // n_bins, is_over


@kernel
def _sum_spectra(words, block, box, total):
    """Add events of some columns to one spectrum."""
    values = words[0]
    partial = np.zeros((2, box.n_wanted + 1), np.uint32)
    if box.first_column == 0 and box.last_column == box.n_columns:
        _count_wanted(values[: block.n_bytes // _BYTES], box, partial)
    else:
        for i in range(len(block.runs)):
            start, stop = _part_of(block, i)
            column = block.runs[i, COLUMN]
            start, left = skip_marks(values, start, stop, box.first_column - column)
            n_columns = box.last_column - max(column, box.first_column)
            if left <= 0 and n_columns > 0:
                stop, _ = skip_marks(values, start, stop, n_columns)
                _count_wanted(values[start:stop], box, partial)
        _keep_column(values, block)
    for i in range(total.size):
        for channel in range(i * box.rebin, (i + 1) * box.rebin):
            total[i] += np.uint64(partial[0, channel]) + np.uint64(partial[1, channel])
    return block.n_bytes, DONE


@kernel
def _count_wanted(values, box, partial):
    """Count the values of a window, all others behind it."""
    first, n_wanted = np.uint32(box.first_channel), np.uint32(box.n_wanted)
    n = values.size // 2
    for i in range(n):
        one = min(np.uint32(values[2 * i]) - first, n_wanted)
        other = min(np.uint32(values[2 * i + 1]) - first, n_wanted)
        partial[0, np.uint64(one)] += np.uint32(1)
        partial[1, np.uint64(other)] += np.uint32(1)
    for i in range(2 * n, values.size):
        partial[0, np.uint64(min(np.uint32(values[i]) - first, n_wanted))] += np.uint32(1)


@kernel
def _sum_channels(words, block, box, dense):
    """Add the number of events of each pixel to a map (frame, y, x)."""
    values = words[0]
    first, n_wanted = np.uint32(box.first_channel), np.uint32(box.n_wanted)
    ends = np.empty(box.n_columns + 1, np.uint64)
    for i in range(len(block.runs)):
        start, stop = _part_of(block, i)
        part = values[start:stop]
        column = block.runs[i, COLUMN]
        if column + count_marks(part) > box.n_columns:
            return start * _BYTES, CHANGED
        # Written in any case, once for each value: the last one is that of the whole pixel.
        pixel = np.uint64(column)
        n = np.uint64(0)
        for k in range(part.size):
            value = np.uint32(part[k])
            n += np.uint64(value - first < n_wanted)
            ends[pixel] = n
            pixel += np.uint64(value == _MARK)
        before = np.uint64(0)
        is_open = part.size > 0 and part[-1] != MARK
        place = box.places[block.runs[i, PLANE]]
        row = block.runs[i, ROW] - box.first_row
        for x in range(column, min(np.int64(pixel) + is_open, box.last_column)):
            if x >= box.first_column:
                dense[place, row, x - box.first_column] += ends[x] - before
            before = ends[x]
    _keep_column(values, block)
    return block.n_bytes, DONE


KERNELS = Kernels(
    types=(np.uint16,),
    check=_check,
    decode=_decode,
    sum_spectra=_sum_spectra,
    sum_channels=_sum_channels,
)
