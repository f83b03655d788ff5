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
