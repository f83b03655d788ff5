"""Compilation of kernels, cached on disk wherever that is possible."""

from collections.abc import Callable

import numba


def kernel(function: Callable) -> Callable:
    """Compile a kernel when it is first called, without the GIL.

    The machine code is cached on disk, so that only the first call after installation
    waits for the compiler. numba refuses to cache where neither the package's folder nor
    the user's cache folder can be written: then each process compiles for itself.

    Parameters
    ----------
    function
        A function that numba can compile in nopython mode.
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # "cannot cache function: no locator available"
        return numba.njit(nogil=True)(function)


@kernel
def transpose(source, target):
    """Copy columns to rows, in squares that stay in the cache."""
    n_rows, n_columns = source.shape
    for column in range(0, n_columns, 32):
        for row in range(0, n_rows, 32):
            for i in range(row, min(n_rows, row + 32)):
                for j in range(column, min(n_columns, column + 32)):
                    target[j, i] = source[i, j]
