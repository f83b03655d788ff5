"""Compilation of kernels, cached on disk wherever that is possible."""

import contextlib
from collections.abc import Callable
from typing import Any

import numba
from numba.core.caching import FunctionCache

not_kept: list[OSError] = []  # why kernels that this process compiled are not on disk


class _CheckedCache(FunctionCache):
    """numba's cache on disk, which takes no kernel of other types than those asked for.

    Two processes that compile one kernel for different types at the same time may give both
    results one name, and the index of the cache then has the wrong one.

    What cannot be read, since a computer lost its power, is compiled anew; what cannot be
    kept, since the disk is full, is used nevertheless.
    """

    def load_overload(self, sig: tuple, target_context: Any) -> Any:
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # whatever pickle makes of a file that is not whole
            with contextlib.suppress(OSError):
                self.flush()
            return None
        return None if found is None or found.signature.args != sig else found

    def save_overload(self, sig: tuple, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            not_kept.append(error)


def kernel(function: Callable, **options: Any) -> Callable:
    """Compile a kernel when it is first called, without the GIL.

    The machine code is cached on disk, so that only the first call after installation
    waits for the compiler; :mod:`rsciio_xfm.kernels.ahead` compiles it before. numba refuses
    to cache where neither the package's folder nor the user's cache folder can be written:
    then each process compiles for itself.

    In a kernel that calls others, count from ``np.int64(0)``: of a plain 0, numba compiles
    what is called twice, for that constant and for any number.

    Parameters
    ----------
    function
        A function that numba can compile in nopython mode.
    **options
        Of :func:`numba.njit`.
    """
    compiled: Any = numba.njit(nogil=True, **options)(function)
    if hasattr(compiled, "_cache"):  # not if NUMBA_DISABLE_JIT is set
        try:
            compiled._cache = _CheckedCache(function)
        except RuntimeError:  # "cannot cache function: no locator available"
            return compiled
    return compiled
