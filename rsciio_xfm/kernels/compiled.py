"""Compilation of kernels, cached on disk wherever that is possible."""

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable, **options: Any) -> Callable:
    """Compile a kernel when it is first called, without the GIL.

    The machine code is cached on disk, so that only the first call after installation
    waits for the compiler. numba refuses to cache where neither the package's folder nor
    the user's cache folder can be written: then each process compiles for itself.

    Parameters
    ----------
    function
        A function that numba can compile in nopython mode.
    **options
        Of :func:`numba.njit`.
    """
    try:
        return numba.njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:  # "cannot cache function: no locator available"
        return numba.njit(nogil=True, **options)(function)
