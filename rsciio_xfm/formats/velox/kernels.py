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
_TILE = 64
# Events of which the places are written down before they are counted.
_HELD = 4096
# Values of which places are written down before their end is asked for.
_AT_ONCE = np.uint64(8)
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
    order, firsts = _by_row(block, box)
    held = np.empty(_HELD, np.uint32)
    at = np.empty(len(order), np.int64)
    column = block.runs[:, COLUMN].copy()
    for row in range(dense.shape[1]):
        runs = order[firsts[row] : firsts[row + 1]]
        for k in runs:
            start, stop = _part_of(block, k)
            at[k], left = skip_marks(values, start, stop, box.first_column - column[k])
            column[k] = max(column[k], box.first_column) - max(left, 0)
        for first in range(box.first_column, box.last_column, _TILE):
            tile = (row, first, min(first + _TILE, box.last_column))
            at_tile = (values, block, box, tile, runs, at, column)
            if not _decode_tile(at_tile, held, counts, is_clear, limit):
                return 0, OVERFLOW
        if box.last_column == box.n_columns:
            for k in runs:
                if at[k] < _part_of(block, k)[1]:
                    return at[k] * _BYTES, CHANGED
    _keep_column(values, block)
    return block.n_bytes, DONE


@kernel
def _decode_tile(at_tile, held, counts, is_clear, limit):
    """Add the events of a few pixels of a row, from where each run is; return if they fit.

    Where they go is written down first, and counted then: a count that waits for that of
    the value before it costs three times as much.
    """
    values, block, box, (row, first, last), runs, at, column = at_tile
    n_bins = box.n_wanted // box.rebin
    x = first - box.first_column
    n = 0
    spectra = counts[:0]
    previous = np.int64(-1)
    for k in runs:
        _, stop = _part_of(block, k)
        while at[k] < stop and column[k] < last:
            place = box.places[block.runs[k, PLANE]]
            if place != previous or n == held.size:
                if not _count_held(held[:n], spectra, limit):
                    return False
                n = 0
                previous = place
                line = (place * is_clear.shape[1] + row) * is_clear.shape[2] + x
                spectra = counts[line * n_bins : (line + last - first) * n_bins]
                if not is_clear[place, row, x]:
                    is_clear[place, row, x : x + last - first] = True
                    spectra[:] = 0
            at[k], column[k], n = _locate(
                values[:stop], at[k], (first, column[k], last), box, held, n
            )
    return _count_held(held[:n], spectra, limit)


@kernel
def _locate(values, at, columns, box, held, n):
    """Write down where events of a few pixels go among their spectra.

    Return the place behind them, the column that comes next, and how many are written down.
    What is not to be counted, marks too, is written and then written over.
    """
    n_bins = np.uint32(box.n_wanted // box.rebin)
    first, n_wanted = np.uint32(box.first_channel), np.uint32(box.n_wanted)
    window = first, n_wanted, np.uint32(box.rebin), n_bins
    origin = np.uint32((columns[1] - columns[0]) * n_bins)
    stop = np.uint32((columns[2] - columns[0]) * n_bins)
    # Numbers without a sign: of others it is asked whether they count from the end.
    i, m = np.uint64(at), np.uint64(n)
    last = np.uint64(min(values.size, at + held.size - n))
    # As long as they could all be marks, the end is asked for after several.
    longest = np.uint32(_AT_ONCE) * n_bins
    while i + _AT_ONCE <= last and origin + longest <= stop:
        for j in range(_AT_ONCE):
            m, origin = _note(np.uint32(values[i + j]), window, origin, held, m)
        i += _AT_ONCE
    while i < last and origin < stop:
        m, origin = _note(np.uint32(values[i]), window, origin, held, m)
        i += np.uint64(1)
    return np.int64(i), columns[0] + np.int64(origin // n_bins), np.int64(m)


@kernel
def _note(value, window, origin, held, m):
    """Write down where a value goes; return how many are there, and where the next one is."""
    first, n_wanted, rebin, n_bins = window
    channel = np.uint32(value - first)  # wraps around below the window
    held[m] = origin + (channel if rebin == 1 else channel // rebin)
    m += np.uint64(channel < n_wanted)
    return m, origin + (n_bins if value == _MARK else np.uint32(0))


@kernel
def _count_held(held, spectra, limit):
    """Count what was written down; return whether all sums are within the limit."""
    limit = spectra.dtype.type(limit)
    is_over = False
    for i in range(held.size):
        before = spectra[held[i]]
        is_over |= before == limit
        spectra[held[i]] = before + spectra.dtype.type(1)
    return not is_over


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
