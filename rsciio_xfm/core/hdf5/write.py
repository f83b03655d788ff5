"""Writing HDF5 files whole or not at all, whatever happens meanwhile.

If a write fails, HDF5 cannot close its file, and ends the process later; what is raised within
it, by Ctrl-C say, is lost, and its file is wrong. So it writes to a file of ours that keeps
errors for later, and is not interrupted.
"""

import contextlib
import io
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from rsciio_xfm.core.atomic import CREATOR, holding_interrupts, replacing_path

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_FORMATS_OF_HYPERSPY = ("HyperSpy", "nexus")  # attributes of .hspy and of its .nxs


@contextlib.contextmanager
def replacing_hdf5(
    filename: str | Path, **options: Any
) -> Iterator[tuple[h5py.File, Callable[..., Any]]]:
    """Create an HDF5 file that is moved in place when it is whole.

    Parameters
    ----------
    filename
        Path of the file, see :func:`rsciio_xfm.core.atomic.replacing`.
    **options
        Of :class:`h5py.File`.

    Yields
    ------
    file : h5py.File
        Empty.
    do : callable
        ``do(function, *arguments)`` calls what writes to the file, and then raises what went
        wrong meanwhile. Everything that writes to the file goes through it.

    Raises
    ------
    OSError, ValueError
        See :func:`rsciio_xfm.core.atomic.replacing`.
    """
    with (
        replacing_path(filename) as temporary,
        open(temporary, "x+b", buffering=0) as raw,
    ):
        sink = _Sink(raw)

        def do(function: Callable, *arguments: Any, **keywords: Any) -> Any:
            # Of a disk that was full before, HDF5 says that addresses are wrong.
            try:
                with _uninterrupted():
                    return function(*arguments, **keywords)
            finally:
                sink.check()

        file = do(h5py.File, sink, "w", **options)
        try:
            do(file.attrs.__setitem__, "creator", CREATOR)
            yield file, do
        finally:
            do(file.close)


class _Sink(io.RawIOBase):
    """A file that HDF5 writes to, and that it never sees fail."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._error: BaseException | None = None

    def check(self) -> None:
        """Raise the error, if there was one."""
        if self._error is not None:
            raise self._error

    def _try(self, function: Callable, *arguments: Any) -> int:
        """Do something unless it failed before; what is done after that is of no use."""
        if self._error is None:
            try:
                return function(*arguments) or 0
            except BaseException as exc:  # HDF5 loses it: it is raised later, by check
                self._error = exc
        return 0

    def write(self, data: "ReadableBuffer", /) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and self._error is None:
            done += self._try(self._file.write, view[done:])
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        n_bytes = self._try(self._file.truncate, size)
        return n_bytes if size is None else size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._try(self._file.seek, offset, whence)

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        if self._error is not None:
            # HDF5 takes for read what was in memory, and crashes at it; zeros it refuses.
            view = memoryview(buffer).cast("B")
            view[:] = bytes(len(view))
        return self._try(self._file.readinto, buffer)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep Ctrl-C until the block is over, and let it interrupt then."""
    before = signal.getsignal(signal.SIGINT)
    with holding_interrupts() as held:
        yield
    if held and callable(before):
        before(*held[0])


def is_original_hdf5(path: Path) -> bool:
    """Tell whether a file is an HDF5 file that was not saved, here or by HyperSpy."""
    if not h5py.is_hdf5(path):
        return False
    try:
        with h5py.File(path, "r", locking=False) as file:
            marks = [file.attrs.get(name) for name in ("creator", "file_format")]
    except OSError:  # damaged, or of a newer kind
        return True
    return marks[0] != CREATOR and marks[1] not in _FORMATS_OF_HYPERSPY
