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
    state, i = found.state, 0
    for k in range(values.size):
        kind, value = values[k] >> KIND_SHIFT, values[k] & VALUE
        found.kinds[kind] += 1
        if kind == EVENT:
            _index_event(found, value, base + k * _BYTES)
        elif kind == X:
            state[_COLUMN] = found.columns[value]
            found.last[i] = value
        elif kind == Y:
            i += 1
            state[_ROW], state[_COLUMN] = found.rows[value], NOWHERE
            found.start[i] = base + k * _BYTES
            found.position[i] = value
        elif kind in (REAL, LIVE) and value == 0:
            found.ticks[i, kind - REAL] += np.uint32(1)
        elif kind != IMAGE:
            if found.strange.sum() == 0:
                state[_FIRST_STRANGE] = base + k * _BYTES
            found.strange[kind] += 1


@kernel
def _index_event(found, channel, byte):
    """Count an X-ray, or note that it has no place in the map."""
    state = found.state
    row, column = state[_ROW], state[_COLUMN]
    if row >= 0 and column >= 0:
        found.total[channel] += np.uint64(1)
        found.pixels[row, column] += np.uint32(1)
        return
    if state[LOST] == 0:
        state[_FIRST_LOST] = byte
    state[LOST] += 1


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
    """Return place and row of a run in a box, by how much it is moved, and its column so far.

    The column of a run that goes on in the next block is kept with it, as one more than it is.
    """
    plane = runs[i, PLANE]
    place, row = box.places[plane], runs[i, ROW] - box.first_row
    column = runs[i, COLUMN] - 1
    return place, row, box.shifts[plane, 0], box.shifts[plane, 1], column


@kernel
def _column_of(word, box, moved):
    """Return the column of a box that a word of position means, NOWHERE if it has none."""
    column = box.columns[word & VALUE]
    if column == NOWHERE:
        return np.int64(NOWHERE)
    column += moved
    if not box.first_column <= column < box.last_column:
        return np.int64(NOWHERE)
    return np.int64(column - box.first_column)


@kernel
def _bins_of(box):
    """Return the bin of each channel of the file, counted from the first that is wanted."""
    bins = np.empty(N_CHANNELS, np.int64)
    for channel in range(N_CHANNELS):
        bins[channel] = channel // box.rebin - box.first_channel // box.rebin
    return bins


@kernel
def _keep_column(runs, i, block, column):
    """Note the column of a run that goes on in the next block."""
    if runs[i, END] > block.base + block.n_bytes:
        runs[i, COLUMN] = column + 1


@kernel
def _decode(words, block, box, dense, is_clear, limit):
    """Add events to a block (place, y, x, E)."""
    values, runs = words[0], block.runs
    bins, n_bins = _bins_of(box), box.n_wanted // box.rebin
    one, most = dense.dtype.type(1), dense.dtype.type(limit)
    for i in range(len(runs)):
        place, row, moved, lifted, column = _place_of(runs, i, box)
        start, stop = _part_of(block, i)
        for k in range(start, stop):
            kind = values[k] >> KIND_SHIFT
            if kind == X:
                column = _column_of(values[k], box, moved)
            elif kind == EVENT and column >= 0:
                channel = bins[values[k] & VALUE] + lifted
                if 0 <= channel < n_bins:
                    spectrum = dense[place, row, column]
                    if not is_clear[place, row, column]:
                        is_clear[place, row, column] = True
                        spectrum[:] = 0
                    if spectrum[channel] == most:
                        return k * _BYTES, OVERFLOW
                    spectrum[channel] += one
        _keep_column(runs, i, block, column)
    return block.n_bytes, DONE


@kernel
def _sum_spectra(words, block, box, total):
    """Add events of all pixels to one spectrum."""
    values, runs = words[0], block.runs
    bins, n_bins = _bins_of(box), total.size
    for i in range(len(runs)):
        _, _, moved, lifted, column = _place_of(runs, i, box)
        start, stop = _part_of(block, i)
        for k in range(start, stop):
            kind = values[k] >> KIND_SHIFT
            if kind == X:
                column = _column_of(values[k], box, moved)
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
    for i in range(len(runs)):
        place, row, moved, lifted, column = _place_of(runs, i, box)
        start, stop = _part_of(block, i)
        for k in range(start, stop):
            kind = values[k] >> KIND_SHIFT
            if kind == X:
                column = _column_of(values[k], box, moved)
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
    for i in range(len(runs)):
        place, row, moved, _, column = _place_of(runs, i, box)
        start, stop = _part_of(block, i)
        for k in range(start, stop):
            kind = values[k] >> KIND_SHIFT
            if kind == X:
                column = _column_of(values[k], box, moved)
            elif kind == IMAGE and column >= 0:
                dense[place, row, column] += np.uint64(values[k] & VALUE)
        _keep_column(runs, i, block, column)
    return block.n_bytes, DONE


@kernel
def sum_ticks(words, block, box, dense):
    """Add the ticks of real and live time to a map of pixels (place, y, x, 2)."""
    values, runs = words[0], block.runs
    for i in range(len(runs)):
        place, row, moved, _, column = _place_of(runs, i, box)
        start, stop = _part_of(block, i)
        for k in range(start, stop):
            kind = values[k] >> KIND_SHIFT
            if kind == X:
                column = _column_of(values[k], box, moved)
            elif column >= 0 and values[k] & VALUE == 0:
                if kind == REAL:
                    dense[place, row, column, 0] += np.uint64(1)
                elif kind == LIVE:
                    dense[place, row, column, 1] += np.uint64(1)
        _keep_column(runs, i, block, column)
    return block.n_bytes, DONE


KERNELS = Kernels(
    types=(np.uint16,),
    check=_check,
    decode=_decode,
    sum_spectra=_sum_spectra,
    sum_channels=_sum_channels,
)
