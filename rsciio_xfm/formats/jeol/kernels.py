"""What the words of a ``.pts`` stream say: kernels on its 16-bit words."""

from collections import namedtuple
from typing import Any

import numpy as np

from rsciio_xfm.core.stream import (
    BEGIN,
    COLUMN,
    DONE,
    END,
    OVERFLOW,
    PLANE,
    ROW,
    SUM,
    Box,
    Kernels,
)
from rsciio_xfm.formats.jeol.layout import (
    EVENT,
    IMAGE,
    KIND_SHIFT,
    LIVE,
    N_CHANNELS,
    N_VALUES,
    REAL,
    VALUE,
    WORD,
    X,
    Y,
)
from rsciio_xfm.kernels.compiled import kernel

_BYTES = WORD.itemsize
NOWHERE = -1
# The state of the pass that makes an index: row, column, X-rays without a place, byte of the
# first of them, byte of the first word that is not known.
_ROW, _COLUMN, LOST, _FIRST_LOST, _FIRST_STRANGE = range(5)

# The part that is asked for; columns (int32, shape (4096,)) says which column of the array a
# position is, NOWHERE outside of it, and shifts (int64, shape (planes, 2)) by how many columns
# and channels of the array a plane is moved.
_NAMES = (*Box._fields, "columns", "shifts")
ShiftedBox: Any = namedtuple("ShiftedBox", _NAMES)  # type: ignore[misc]


@kernel
def index_block(values, base, found):
    """Count the words of a block, and note where rows begin.

    Parameters
    ----------
    values
        uint16.
    base
        Byte of the file at which they begin.
    found
        What is known so far, see :mod:`rsciio_xfm.formats.jeol.index`; its first row is the
        one that is not over yet.
    """
    # What is called in a loop costs ten times as much, for the arrays that it is given.
    state, total, pixels = found.state, found.total, found.pixels
    kinds, ticks, last, columns = found.kinds, found.ticks, found.last, found.columns
    row, column, i = state[_ROW], state[_COLUMN], 0
    for k in range(values.size):
        word = np.int64(values[k])
        kind, value = word >> KIND_SHIFT, word & VALUE
        kinds[kind] += 1
        if kind == EVENT:
            if row >= 0 and column >= 0:
                total[value] += np.uint64(1)
                pixels[row, column] += np.uint32(1)
            else:
                if state[LOST] == 0:
                    state[_FIRST_LOST] = base + k * _BYTES
                state[LOST] += 1
        elif kind == X:
            column = np.int64(columns[value])
            last[i] = value
        elif kind == Y:
            i += 1
            row, column = np.int64(found.rows[value]), np.int64(NOWHERE)
            found.start[i] = base + k * _BYTES
            found.position[i] = value
        elif LIVE >= kind >= REAL and value == 0:
            ticks[i, kind - REAL] += np.uint32(1)
        elif kind != IMAGE:
            if found.strange.sum() == 0:
                state[_FIRST_STRANGE] = base + k * _BYTES
            found.strange[kind] += 1
    state[_ROW], state[_COLUMN] = row, column


@kernel
def _part_of(block, i):
    """Return the words of a run that are in a block, as start and stop."""
    start = max(block.runs[i, BEGIN] - block.base, 0)
    stop = min(block.runs[i, END] - block.base, block.n_bytes)
    return start // _BYTES, stop // _BYTES


@kernel
def _check(words, block, longest):
    """Tell whether each row begins with the word that it was indexed by, and has no other.

    See :class:`rsciio_xfm.core.stream.Kernels`. That word stands where other formats have a
    checksum.
    """
    values, runs = words[0], block.runs
    for i in range(len(runs)):
        start, stop = _part_of(block, i)
        if runs[i, BEGIN] >= block.base and start < stop:
            if values[start] != runs[i, SUM]:
                return 0
            start += 1
        for k in range(start, stop):
            if values[k] >> KIND_SHIFT == Y:
                return 0
    return block.n_bytes


@kernel
def _place_of(runs, i, box):
    """Return place, row in a box, and plane of a run."""
    plane = runs[i, PLANE]
    return box.places[plane], runs[i, ROW] - box.first_row, plane


@kernel
def _table_of(box, moved):
    """Return the column of a box that each position is, NOWHERE outside of it.

    A table, as functions that are called for each word cost more than all else.
    """
    table = np.empty(N_VALUES, np.int64)
    for position in range(N_VALUES):
        column = box.columns[position] + moved
        is_within = box.first_column <= column < box.last_column
        if box.columns[position] == NOWHERE or not is_within:
            column = NOWHERE + box.first_column
        table[position] = column - box.first_column
    return table


@kernel
def _bins_of(box):
    """Return the bin of each channel of the file, counted from the first that is wanted."""
    bins = np.empty(N_CHANNELS, np.int64)
    for channel in range(N_CHANNELS):
        bins[channel] = channel // box.rebin - box.first_channel // box.rebin
    return bins


@kernel
def _keep_column(runs, i, block, column):
    """Note the column of a run that goes on in the next block, as one more than it is."""
    if runs[i, END] > block.base + block.n_bytes:
        runs[i, COLUMN] = column + 1


@kernel
def _decode(words, block, box, dense, is_clear, limit):
    """Add events to a block (place, y, x, E)."""
    values, runs = words[0], block.runs
    bins, n_bins = _bins_of(box), box.n_wanted // box.rebin
    one, most = dense.dtype.type(1), dense.dtype.type(limit)
    table, moved = _table_of(box, 0), 0
    for i in range(len(runs)):
        place, row, plane = _place_of(runs, i, box)
        if box.shifts[plane, 0] != moved:
            moved = box.shifts[plane, 0]
            table = _table_of(box, moved)
        lifted = box.shifts[plane, 1]
        column = runs[i, COLUMN] - 1
        start, stop = _part_of(block, i)
        for k in range(start, stop):
            kind = values[k] >> KIND_SHIFT
            if kind == X:
                column = table[values[k] & VALUE]
            elif kind == EVENT and column >= 0:
                channel = bins[values[k] & VALUE] + lifted
                if 0 <= channel < n_bins:
                    if not is_clear[place, row, column]:
                        is_clear[place, row, column] = True
                        dense[place, row, column] = 0
                    if dense[place, row, column, channel] == most:
                        return k * _BYTES, OVERFLOW
                    dense[place, row, column, channel] += one
        _keep_column(runs, i, block, column)
    return block.n_bytes, DONE


@kernel
def _sum_spectra(words, block, box, total):
    """Add events of all pixels to one spectrum."""
    values, runs = words[0], block.runs
    bins, n_bins = _bins_of(box), box.n_wanted // box.rebin
    table, moved = _table_of(box, 0), 0
    for i in range(len(runs)):
        plane = runs[i, PLANE]
        if box.shifts[plane, 0] != moved:
            moved = box.shifts[plane, 0]
            table = _table_of(box, moved)
        lifted = box.shifts[plane, 1]
        column = runs[i, COLUMN] - 1
        start, stop = _part_of(block, i)
        for k in range(start, stop):
            kind = values[k] >> KIND_SHIFT
            if kind == X:
                column = table[values[k] & VALUE]
            elif kind == EVENT and column >= 0:
                channel = bins[values[k] & VALUE] + lifted
                if 0 <= channel < n_bins:
                    total[channel] += np.uint64(1)
        _keep_column(runs, i, block, column)
    return block.n_bytes, DONE


@kernel
def _sum_channels(words, block, box, dense):
    """Add the number of events of each pixel to a map (place, y, x)."""
    values, runs = words[0], block.runs
    bins, n_bins = _bins_of(box), box.n_wanted // box.rebin
    table, moved = _table_of(box, 0), 0
    for i in range(len(runs)):
        place, row, plane = _place_of(runs, i, box)
        if box.shifts[plane, 0] != moved:
            moved = box.shifts[plane, 0]
            table = _table_of(box, moved)
        lifted = box.shifts[plane, 1]
        column = runs[i, COLUMN] - 1
        start, stop = _part_of(block, i)
        for k in range(start, stop):
            kind = values[k] >> KIND_SHIFT
            if kind == X:
                column = table[values[k] & VALUE]
            elif kind == EVENT and column >= 0:
                channel = bins[values[k] & VALUE] + lifted
                if 0 <= channel < n_bins:
                    dense[place, row, column] += np.uint64(1)
        _keep_column(runs, i, block, column)
    return block.n_bytes, DONE


@kernel
def sum_image(words, block, box, dense):
    """Add the intensities of the electron signal to an image (place, y, x)."""
    values, runs = words[0], block.runs
    table, moved = _table_of(box, 0), 0
    for i in range(len(runs)):
        place, row, plane = _place_of(runs, i, box)
        if box.shifts[plane, 0] != moved:
            moved = box.shifts[plane, 0]
            table = _table_of(box, moved)
        column = runs[i, COLUMN] - 1
        start, stop = _part_of(block, i)
        for k in range(start, stop):
            kind = values[k] >> KIND_SHIFT
            if kind == X:
                column = table[values[k] & VALUE]
            elif kind == IMAGE and column >= 0:
                dense[place, row, column] += np.uint64(values[k] & VALUE)
        _keep_column(runs, i, block, column)
    return block.n_bytes, DONE


@kernel
def sum_ticks(words, block, box, dense):
    """Add the ticks of real and live time to a map of pixels (place, y, x, 2)."""
    values, runs = words[0], block.runs
    table, moved = _table_of(box, 0), 0
    for i in range(len(runs)):
        place, row, plane = _place_of(runs, i, box)
        if box.shifts[plane, 0] != moved:
            moved = box.shifts[plane, 0]
            table = _table_of(box, moved)
        column = runs[i, COLUMN] - 1
        start, stop = _part_of(block, i)
        for k in range(start, stop):
            kind = values[k] >> KIND_SHIFT
            if kind == X:
                column = table[values[k] & VALUE]
            elif column >= 0 and LIVE >= kind >= REAL and values[k] & VALUE == 0:
                dense[place, row, column, kind - REAL] += np.uint64(1)
        _keep_column(runs, i, block, column)
    return block.n_bytes, DONE


KERNELS = Kernels(
    types=(np.uint16,),
    check=_check,
    decode=_decode,
    sum_spectra=_sum_spectra,
    sum_channels=_sum_channels,
)
