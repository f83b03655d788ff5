"""Rows to columns, eight bytes at a time: square blocks are turned within 64-bit words."""

import numpy as np

from rsciio_xfm.kernels.compiled import kernel

_WORD = 8  # bytes
_STRIP = (
    2  # words of a row that are gone along before the next rows: these stay in the cache
)
_SHORT_BYTES = 2048  # of a row of the target
_SQUARE = 16  # numbers of four bytes that fill a line of the cache
_HALVES = np.uint64(32), np.uint64(0x00000000FFFFFFFF)
_QUARTERS = np.uint64(16), np.uint64(0x0000FFFF0000FFFF)
_EIGHTHS = np.uint64(8), np.uint64(0x00FF00FF00FF00FF)


@kernel
def _swap(a, b, step):
    """Exchange the upper parts of each pair of numbers of a word with the lower of another."""
    shift, mask = step
    changed = ((a >> shift) ^ b) & mask
    return a ^ (changed << shift), b ^ changed


@kernel
def _turn_bytes(source, target):
    n_planes, n_rows, n_words = source.shape
    for plane in range(n_planes):
        a, b = source[plane], target[plane]
        for first in range(0, n_words, _STRIP):
            for row in range(0, n_rows, 8):
                for word in range(first, min(n_words, first + _STRIP)):
                    a0, a4 = _swap(a[row, word], a[row + 4, word], _HALVES)
                    a1, a5 = _swap(a[row + 1, word], a[row + 5, word], _HALVES)
                    a2, a6 = _swap(a[row + 2, word], a[row + 6, word], _HALVES)
                    a3, a7 = _swap(a[row + 3, word], a[row + 7, word], _HALVES)
                    a0, a2 = _swap(a0, a2, _QUARTERS)
                    a1, a3 = _swap(a1, a3, _QUARTERS)
                    a4, a6 = _swap(a4, a6, _QUARTERS)
                    a5, a7 = _swap(a5, a7, _QUARTERS)
                    column, at = 8 * word, row // 8
                    b[column, at], b[column + 1, at] = _swap(a0, a1, _EIGHTHS)
                    b[column + 2, at], b[column + 3, at] = _swap(a2, a3, _EIGHTHS)
                    b[column + 4, at], b[column + 5, at] = _swap(a4, a5, _EIGHTHS)
                    b[column + 6, at], b[column + 7, at] = _swap(a6, a7, _EIGHTHS)


@kernel
def _turn_pairs(source, target):
    n_planes, n_rows, n_words = source.shape
    for plane in range(n_planes):
        a, b = source[plane], target[plane]
        for first in range(0, n_words, _STRIP):
            for row in range(0, n_rows, 4):
                for word in range(first, min(n_words, first + _STRIP)):
                    a0, a2 = _swap(a[row, word], a[row + 2, word], _HALVES)
                    a1, a3 = _swap(a[row + 1, word], a[row + 3, word], _HALVES)
                    column, at = 4 * word, row // 4
                    b[column, at], b[column + 1, at] = _swap(a0, a1, _QUARTERS)
                    b[column + 2, at], b[column + 3, at] = _swap(a2, a3, _QUARTERS)


@kernel
def _turn_fours(source, target):
    n_planes, n_rows, n_words = source.shape
    for plane in range(n_planes):
        a, b = source[plane], target[plane]
        for first in range(0, n_words, _STRIP):
            for row in range(0, n_rows, 2):
                for word in range(first, min(n_words, first + _STRIP)):
                    column, at = 2 * word, row // 2
                    b[column, at], b[column + 1, at] = _swap(
                        a[row, word], a[row + 1, word], _HALVES
                    )


@kernel
def _turn_fours_to_short(source, target):
    """Turn squares of lines of the cache, where rows of the target are near each other."""
    n_planes, n_rows, n_words = source.shape
    for plane in range(n_planes):
        a, b = source[plane], target[plane]
        for top in range(0, n_rows, _SQUARE):
            for first in range(0, n_words, _SQUARE // 2):
                for row in range(top, min(n_rows, top + _SQUARE), 2):
                    for word in range(first, min(n_words, first + _SQUARE // 2)):
                        column, at = 2 * word, row // 2
                        b[column, at], b[column + 1, at] = _swap(
                            a[row, word], a[row + 1, word], _HALVES
                        )


_KERNELS = {1: _turn_bytes, 2: _turn_pairs, 4: _turn_fours}


def turn(source: np.ndarray, target: np.ndarray) -> tuple[int, int]:
    """Copy the rows of planes to the columns of others, as far as whole words go.

    Parameters
    ----------
    source, target
        Shapes (planes, rows, columns) and (planes, columns, rows), of one type, numbers along
        the last axis next to each other.

    Returns
    -------
    tuple of int
        How many rows and columns were copied: none if words do not begin at multiples of
        eight bytes, or the numbers are longer.
    """
    function = _KERNELS.get(source.itemsize)
    if function is None or not (_in_words(source) and _in_words(target)):
        return 0, 0
    grain = _WORD // source.itemsize
    rows, columns = (size // grain * grain for size in source.shape[1:])
    if function is _turn_fours and abs(target.strides[1]) <= _SHORT_BYTES:
        function = _turn_fours_to_short
    if rows and columns:
        function(
            source[:, :rows, :columns].view(np.uint64),
            target[:, :columns, :rows].view(np.uint64),
        )
    return rows, columns


def _in_words(array: np.ndarray) -> bool:
    steps = zip(array.strides[:-1], array.shape[:-1], strict=True)
    places = [array.__array_interface__["data"][0], *(step for step, n in steps if n > 1)]
    return not any(place % _WORD for place in places)
