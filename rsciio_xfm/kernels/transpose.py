"""Numbers in another order."""

import numpy as np

from rsciio_xfm.kernels.compiled import kernel
from rsciio_xfm.kernels.turn import turn

# Types of the kernel: numbers of other sizes are left to numpy.
_AS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


@kernel
def transpose(source, target):
    """Copy columns to rows, in squares that stay in the cache."""
    n_rows, n_columns = source.shape
    for column in range(0, n_columns, 32):
        for row in range(0, n_rows, 32):
            for i in range(row, min(n_rows, row + 32)):
                for j in range(column, min(n_columns, column + 32)):
                    target[j, i] = source[i, j]


@kernel
def _copy_planes(source, target):
    """Copy planes whose rows follow each other in one array, whose columns in the other."""
    n_planes, n_rows, n_columns = source.shape
    for plane in range(n_planes):
        for column in range(0, n_columns, 32):
            for row in range(0, n_rows, 32):
                for i in range(row, min(n_rows, row + 32)):
                    for j in range(column, min(n_columns, column + 32)):
                        target[plane, i, j] = source[plane, i, j]


def copy(source: np.ndarray, target: np.ndarray) -> None:
    """Copy an array to one of the same shape, fast if their axes lie in another order.

    Parameters
    ----------
    source, target
        Of any strides; numbers of the same kind, perhaps of another byte order.
    """
    rows, columns = _fastest(target), _fastest(source)
    is_kernel = source.dtype == target.dtype and target.itemsize in _AS
    if rows == columns or rows is None or columns is None or not is_kernel:
        target[...] = source
        return
    kind = _AS[target.itemsize]
    others = [i for i in range(source.ndim) if i not in (rows, columns)]
    # The longest of the other axes is gone along in the kernel.
    others.sort(key=lambda axis: source.shape[axis])
    order = (*others, rows, columns)
    source, target = source.transpose(order), target.transpose(order)
    if source.ndim == 2:
        source, target = source[np.newaxis], target[np.newaxis]
    for index in np.ndindex(source.shape[:-3]):
        _turn_planes(source[index].view(kind), target[index].view(kind))


def _turn_planes(source: np.ndarray, target: np.ndarray) -> None:
    """Copy planes: whole words of them, and what is left at their edges."""
    rows, columns = turn(source, target.transpose(0, 2, 1))
    for edge in (np.s_[:, rows:], np.s_[:, :rows, columns:]):
        if source[edge].size:
            _copy_planes(source[edge], target[edge])


def _fastest(array: np.ndarray) -> int | None:
    """Return the axis along which numbers follow each other."""
    for axis in reversed(range(array.ndim)):
        if array.shape[axis] > 1 and array.strides[axis] == array.itemsize:
            return axis
    return None


@kernel
def unshuffle(source, target):  # pragma: no cover
    """Put the bytes of numbers together again: first all first ones, then all second ones."""
    width, n = source.shape
    for start in range(0, n, 4096):
        stop = min(n, start + 4096)
        for j in range(width):
            for i in range(start, stop):
                target[i, j] = source[j, i]
