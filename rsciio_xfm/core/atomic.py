"""Files that are written whole or not at all, and never over what was measured."""

import contextlib
import errno
import itertools
import os
import secrets
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

CREATOR = "rsciio_xfm"  # by which files tell that they were written here
_WRITABLE = 0o222  # by anybody; the system lets a folder's owner replace any file in it


def check_destination(
    filename: str | Path,
    destination: str | Path,
    overwrite: bool,
    is_original: Callable[[Path], bool] | None = None,
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
    is_original
        As of :func:`refuse_original`; None where the format is none of instruments.

    Raises
    ------
    ValueError
        Both are one file, the destination is no file, or it was not written here.
    FileExistsError
        The destination is there.
    """
    destination = Path(destination)
    if not destination.exists():
        return
    check_replaceable(destination)
    if destination.samefile(filename):
        raise ValueError(
            f"{destination}: the destination is the file that is read, expected another."
        )
    if not overwrite:
        raise FileExistsError(
            f"{destination}: the destination exists; use overwrite=True to replace it."
        )
    if is_original is not None:
        refuse_original(destination, is_original)


def refuse_half(path: Path, other: Path) -> None:
    """Refuse to replace the other file of a pair: who asks was asked for the named one only.

    Raises
    ------
    FileExistsError
        The other one is there, and this one is not.
    """
    if other.exists() and not path.exists():
        raise FileExistsError(
            f"{other}: the file is there and {path.name} is not, expected both or none: it "
            "belongs to something else. Choose another name, or delete it."
        )


def refuse_original(
    filename: str | Path,
    is_original: Callable[[Path], bool],
    replace_original: bool | None = None,
    extension: str | None = None,
) -> None:
    """Refuse to replace a file that was not written here: it could be what was measured.

    Parameters
    ----------
    filename
        Path of the file that will be written, however it is spelled.
    is_original
        Tells of a file that is there whether it is one of the format and lacks the mark that
        the writers here leave.
    replace_original
        True replaces it nevertheless; None if the user has no such option.
    extension
        Of the name to save under, if the file is of a format that nothing writes.

    Raises
    ------
    ValueError
        It was not written here; the message says under which name to save.
    """
    path = Path(filename)
    if replace_original or not path.is_file() or not is_original(path):
        return
    insist = " or use replace_original=True" if replace_original is not None else ""
    free = _free_name(path if extension is None else path.with_suffix(extension))
    raise ValueError(
        f"{path}: the file was not written here, expected another name: it could be what was "
        f"measured, and hold more than what is saved. Save as {free}. If the old one may go, "
        f"delete it first{insist}."
    )


def _free_name(path: Path) -> Path:
    """Return a name beside a file that nothing has yet."""
    numbers = itertools.chain(["new"], (f"new_{i}" for i in itertools.count(2)))
    names = (path.with_stem(f"{path.stem}_{number}") for number in numbers)
    return next(name for name in names if not os.path.lexists(name))


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

    Notes
    -----
    An interrupt (Ctrl-C) before the move leaves the old file. From the move on the new one
    is whole and in its place: then nothing has failed, and nothing is raised.
    """
    # A link stays one: what it points to is replaced.
    path = Path(os.path.realpath(filename))
    check_replaceable(path)
    temporary = _temporary(path)
    with _naming(filename, temporary):
        try:
            # Not tempfile's: the permissions of a new file are those that the user chose.
            yield temporary
            with holding_interrupts():
                _move(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def replacing_in(
    folder: str | Path, filename: str | Path | None = None
) -> Iterator[Path]:
    """Give a temporary folder, for files that are moved to another one when all are whole.

    This is for writers of others, which write under the name that they are given, and
    perhaps beside it.

    Parameters
    ----------
    folder
        Where the files go. Those that are there stay as they are until the new ones are
        complete, and whatever happens before.
    filename
        What is written, for errors; by default the folder.

    Yields
    ------
    pathlib.Path
        Of the temporary folder, which lies in the other one. What is in it when the block is
        left, files or folders, takes the place of what has the same name.

    Raises
    ------
    OSError
        A file cannot be written, as when the disk is full; it names what is written.

    Examples
    --------
    >>> with replacing_in(".") as temporary:
    ...     n_bytes = (temporary / "notes.txt").write_bytes(b"...")
    """
    folder = Path(os.path.realpath(folder))
    temporary = _temporary(folder / Path(filename or "results").name)
    with _naming(filename or folder, temporary):
        temporary.mkdir()
        try:
            yield temporary
            with holding_interrupts():
                for new in sorted(temporary.iterdir()):
                    _move(new, folder / new.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _temporary(path: Path) -> Path:
    """Return a name beside a file that is hidden and nobody has."""
    name = path.name.encode("utf-8", "ignore")[:200].decode("utf-8", "ignore")
    return path.with_name(f".{name}.{secrets.token_hex(4)}.part")


@contextlib.contextmanager
def _naming(filename: str | Path, temporary: Path) -> Iterator[None]:
    """Let errors of the system name the file that is written, not the temporary one."""
    try:
        yield
    except OSError as exc:
        # Of the file itself, not of what the caller reads from.
        is_own = exc.filename is None or str(exc.filename).startswith(str(temporary))
        if not is_own or exc.errno is None:
            raise
        # HDF5's says in what it failed, at length, and names the file once more.
        text = exc.strerror or ""
        text = os.strerror(exc.errno) if temporary.name in text else text
        raise type(exc)(exc.errno, text, str(filename)) from exc


def _move(new: Path, path: Path) -> None:
    """Move a file or folder to its place; of a folder, the old one is away for a moment."""
    if not new.is_dir():
        check_replaceable(path)
        if path.exists():
            shutil.copymode(path, new)
        try:
            os.replace(new, path)
        except KeyboardInterrupt:  # of a thread that does not hold them
            if new.exists():
                raise
        return
    old = _temporary(path)
    if path.exists():
        os.rename(path, old)
    try:
        os.rename(new, path)
    except BaseException:
        if old.exists():
            os.rename(old, path)
        raise
    if old.is_dir():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.unlink(missing_ok=True)


@contextlib.contextmanager
def holding_interrupts() -> Iterator[list[tuple]]:
    """Hold Ctrl-C off until the block is over.

    Yields
    ------
    list of tuple
        The arguments that the handler would have been called with, for the caller to decide.
    """
    held: list[tuple] = []
    before = signal.getsignal(signal.SIGINT)
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or before is None:  # others are not interrupted
        yield held
        return
    signal.signal(signal.SIGINT, lambda *arguments: held.append(arguments))
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, before)


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
        yield cast(BinaryIO, file)


@contextlib.contextmanager
def locked_if_there(filename: str | Path) -> Iterator[None]:
    """Lock a file that will be replaced, if there is one, and if that does not hinder it."""
    # Without locks (on Windows), what is open cannot be replaced either.
    if fcntl is None or not Path(filename).is_file():
        yield
        return
    with locked(filename):
        yield


def check_replaceable(path: Path) -> None:
    """Refuse to replace what is no file, or may only be read.

    Raises
    ------
    ValueError
        It is a folder, a pipe or a device.
    PermissionError
        It may only be read.
    """
    if path.exists() and not path.is_file():
        raise ValueError(
            f"{path}: a {'folder' if path.is_dir() else 'device or pipe'} has this name, "
            "expected a file or none."
        )
    if path.is_file() and not path.stat().st_mode & _WRITABLE:
        raise PermissionError(errno.EACCES, "it may only be read", str(path))
