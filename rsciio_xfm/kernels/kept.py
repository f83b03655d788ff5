"""Machine code of kernels on disk: numba's cache, of which nothing damaged is used."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

from rsciio_xfm.kernels.compiled import Kernel

not_kept: list[OSError] = []  # why kernels that this process compiled are not on disk
# What unpickling raises where a class is no longer where it was.
_MOVED = (AttributeError, ImportError)


def compile_kept(kernel: Kernel) -> Any:
    """Let numba compile a kernel when it is called, and keep it."""
    function = kernel.compilable()
    compiled: Any = numba.njit(nogil=True, **kernel.options)(function)
    if hasattr(compiled, "_cache"):  # not if NUMBA_DISABLE_JIT is set
        # "cannot cache function: no locator available"
        with contextlib.suppress(RuntimeError):
            compiled._cache = CheckedCache(function, kernel.files())
    return compiled


class CheckedCache(FunctionCache):
    """numba's cache on disk, which takes no kernel of other types than those asked for.

    Two processes that compile one kernel for different types at the same time may give both
    results one name, and the index of the cache then has the wrong one. Nor does it take one
    that was made before the file of a kernel that it calls was changed.

    What cannot be kept, since the disk is full, is used nevertheless.
    """

    def __init__(self, function: Callable, files: set[str]) -> None:
        super().__init__(function)
        stamp = self._impl.locator.get_source_stamp(), *map(_stamp, sorted(files))
        self._cache_file = CheckedFile(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig: tuple, target_context: Any) -> Any:
        """Return what was kept for these types, or None."""
        found = super().load_overload(sig, target_context)
        return None if found is None or found.signature.args != sig else found

    def save_overload(self, sig: tuple, data: Any) -> None:
        """Keep what was compiled."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            not_kept.append(error)


class CheckedFile(IndexDataCacheFile):
    """Files of the cache, each with a digest of itself at its end.

    One that is not as it was written, since a computer lost its power, is as if it were not
    there. numba would unpickle it, and run the machine code in it.
    """

    def _load_index(self) -> dict:
        if _is_whole(self._index_path):
            with contextlib.suppress(*_MOVED):
                return super()._load_index()
        return {}

    def _load_data(self, name: str) -> Any:
        path = self._data_path(name)
        if _is_whole(path):
            with contextlib.suppress(*_MOVED):
                return super()._load_data(name)
        raise OSError(f"{path}: not as it was written")  # which numba takes for no file

    @contextlib.contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[BinaryIO]:
        with super()._open_for_write(filepath) as file:
            yield file
            file.flush()
            # Unpickling ends before it.
            file.write(_digest(Path(file.name).read_bytes()))


def _stamp(file: str) -> tuple[int, ...]:
    try:
        found = Path(file).stat()
    except OSError:  # of a program that was packed without its source
        return ()
    return found.st_mtime_ns, found.st_size


def _is_whole(path: str) -> bool:
    try:
        content = Path(path).read_bytes()
    except OSError:
        return False
    n = hashlib.sha256().digest_size
    return content[-n:] == _digest(content[:-n])


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
