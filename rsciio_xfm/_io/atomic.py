"""Files that are written whole or not at all."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def check_destination(
    filename: str | Path, destination: str | Path, overwrite: bool
) -> None:
    """Refuse to write a file over the one it is made from, or over any other unasked.

    Parameters
    ----------
    filename
        What is read.
    destination
        What will be written.
    overwrite
        Whether it may be there.

    Raises
    ------
    ValueError
        Both are one file, or the destination is no file.
    FileExistsError
        The destination is there.
    """
    destination = Path(destination)
    if not destination.exists():
        return
    _check_kind(destination)
    if destination.samefile(filename):
        raise ValueError(
            f"{destination}: the destination is the file that is read, expected another."
        )
    if not overwrite:
        raise FileExistsError(
            f"{destination}: the destination exists; use overwrite=True to replace it."
        )


@contextlib.contextmanager
def replacing(filename: str | Path) -> Iterator[BinaryIO]:
    """Open a file to be written under a temporary name and moved in place when it is whole.

    Parameters
    ----------
    filename
        Path of the file. If it is there, it stays as it is until the new one is complete,
        and whatever happens before.

    Yields
    ------
    binary file
        What is written in large pieces passes its buffer by.

    Raises
    ------
    OSError
        The file cannot be written, as when the disk is full; it names the file.
    ValueError
        What is there is a folder, a pipe or a device.

    Examples
    --------
    >>> with replacing("notes.txt") as file:
    ...     n_bytes = file.write(b"...")
    """
    with replacing_path(filename) as temporary, open(temporary, "xb") as file:
        yield file


@contextlib.contextmanager
def replacing_path(filename: str | Path) -> Iterator[Path]:
    """Give a temporary name, for a file that is moved in place when it is whole.

    Parameters
    ----------
    filename
        Path of the file. If it is there, it stays as it is until the new one is complete,
        and whatever happens before.

    Yields
    ------
    pathlib.Path
        Where to write; the file has to be closed when the block is left.

    Raises
    ------
    OSError, ValueError
        See :func:`replacing`.
    """
    # A link stays one: what it points to is replaced.
    path = Path(os.path.realpath(filename))
    _check_kind(path)
    name = path.name.encode("utf-8", "ignore")[:200].decode("utf-8", "ignore")
    temporary = path.with_name(f".{name}.{secrets.token_hex(4)}.part")
    try:
        try:
            # Not tempfile's: the permissions of a new file are those that the user chose.
            yield temporary
            if path.exists():
                shutil.copymode(path, temporary)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except OSError as exc:
        # Of the file itself, not of what the caller reads from.
        is_own = exc.filename in (None, str(temporary)) and exc.errno is not None
        if not is_own:
            raise
        raise type(exc)(exc.errno, exc.strerror, str(filename)) from exc


@contextlib.contextmanager
def locked(filename: str | Path, mode: str = "rb") -> Iterator[BinaryIO]:
    """Open a file that is changed or replaced, by one process at a time.

    Parameters
    ----------
    filename
        Path of the file.
    mode
        In which it is opened.

    Raises
    ------
    BlockingIOError
        Another process, or another thread, has it open so. Where the system has no locks
        (Windows, some network drives) nothing keeps them apart.
    """
    with open(filename, mode) as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                text = "another process is writing to the file"
                raise BlockingIOError(exc.errno, text, str(filename)) from exc
            except OSError:  # the drive has no locks
                pass
        yield file


@contextlib.contextmanager
def locked_if_there(filename: str | Path) -> Iterator[None]:
    """Lock a file that will be replaced, if there is one, and if that does not hinder it."""
    # Without locks (on Windows), what is open cannot be replaced either.
    if fcntl is None or not Path(filename).is_file():
        yield
        return
    with locked(filename):
        yield


def _check_kind(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise ValueError(
            f"{path}: a {'folder' if path.is_dir() else 'device or pipe'} has this name, "
            "expected a file or none."
        )
