"""Kernels: loops over arrays that numba compiles when they are first called.

numba takes half a second of processor time before its first kernel runs, and is imported only
then: who looks at a file often needs none.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any

# Steps that Python has done before numba is imported and its first kernel runs.
_FEW = 10_000


class Kernel:
    """A function that numba compiles, see :func:`kernel`.

    Attributes
    ----------
    function
        As it was written.
    options
        Of numba.
    """

    __qualname__: str
    _compiled: Any

    def __init__(self, function: Callable, options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self.function: Any = function
        self.options = options

    def __call__(self, *arguments: Any) -> Any:
        """Call what was compiled."""
        return self.compiled(*arguments)

    def __reduce__(self) -> str:
        return self.__qualname__  # another process imports it

    @property
    def compiled(self) -> Any:
        """The dispatcher of numba; the function itself if ``NUMBA_DISABLE_JIT`` is set."""
        if "_compiled" not in self.__dict__:
            from rsciio_xfm.kernels.kept import compile_kept

            # Of two threads that come here at the same time, both take the same.
            self.__dict__.setdefault("_compiled", compile_kept(self))
        return self._compiled

    @functools.cached_property
    def plain(self) -> Callable:
        """The function as it was written, which calls those of other kernels."""
        return self._calling({name: other.plain for name, other in self._called()})

    def compilable(self) -> Callable:
        """Return the function, which calls dispatchers: numba knows nothing of this class."""
        return self._calling({name: other.compiled for name, other in self._called()})

    def _calling(self, others: dict[str, Callable]) -> Callable:
        made = self.function
        held = made.__globals__ | others
        return types.FunctionType(
            made.__code__, held, made.__name__, made.__defaults__, made.__closure__
        )

    def files(self) -> set[str]:
        """Return the files that this and the kernels that it calls are written in."""
        own = {self.function.__code__.co_filename}
        return own.union(*(other.files() for _, other in self._called()))

    def _called(self) -> list[tuple[str, Kernel]]:
        """Return the kernels that are called by their names, not as attributes of modules."""
        known = self.function.__globals__
        named = [(name, known.get(name)) for name in self.function.__code__.co_names]
        return [(name, other) for name, other in named if isinstance(other, Kernel)]

    def is_worth(self, n: int) -> bool:
        """Tell whether this is done sooner than by Python, if numba is not there yet.

        Parameters
        ----------
        n
            How many steps the loops have at most.
        """
        return n > _FEW or "numba" in sys.modules

    def for_steps(self, n: int) -> Callable:
        """Return what is done sooner for so many steps: this, or the plain function.

        Only for a kernel that names the types of what it adds up: a number of 32 bits and one
        that has no type are 64 bits in what is compiled, and 32 in Python.
        """
        return self.compiled if self.is_worth(n) else self.plain


def kernel(function: Callable, **options: Any) -> Kernel:
    """Compile a function when it is first called, without the GIL.

    The machine code is cached on disk, so that only the first call after installation
    waits for the compiler; :mod:`rsciio_xfm.kernels.ahead` compiles it before. numba refuses
    to cache where neither the package's folder nor the user's cache folder can be written:
    then each process compiles for itself.

    In a kernel that calls others, count from ``np.int64(0)``: of a plain 0, numba compiles
    what is called twice, for that constant and for any number.

    Parameters
    ----------
    function
        That numba can compile in nopython mode.
    **options
        Of :func:`numba.njit`.
    """
    return Kernel(function, options)
