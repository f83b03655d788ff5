"""Arrays that are added to a ``.datastack`` file, read from it, and left out of it."""

import contextlib
import json
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import dask.array as da
import numpy as np

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from rsciio_xfm._io.atomic import replacing
from rsciio_xfm._io.binary import check_unchanged, open_unbuffered
from rsciio_xfm._io.progress import bytes_bar
from rsciio_xfm.datastack._api import check_names
from rsciio_xfm.datastack._data import (
    Stack,
    find_members,
    first_version,
    read_stack,
    stack_array,
)
from rsciio_xfm.datastack._index import read_member
from rsciio_xfm.datastack._layout import CUBE, EXTRA_ARRAY, PADDING, ROOT
from rsciio_xfm.datastack._parse import group_text
from rsciio_xfm.datastack._write import put, write_array
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError

# Not those that zarr keeps for itself, nor what would be a folder.
_NAME = re.compile(r"(?!__)[A-Za-z0-9_][A-Za-z0-9_. -]{0,199}")
_LIST_AXES = 2


def append(
    array: np.ndarray | da.Array, name: str, path: str | Path, compressor: Any = "blosc"
) -> str:
    """Add an array to a ``.datastack`` file.

    Parameters
    ----------
    array
        Numbers of any shape; a lazy array is computed chunk by chunk.
    name
        Of the array. If the file has it, an underscore is put behind the newest version's.
    path
        Of the file.
    compressor
        See :func:`convert`.

    Returns
    -------
    str
        The name that it got.

    Raises
    ------
    TypeError
        The array is masked, or holds no numbers.
    ValueError
        The name is none.
    rsciio_xfm.exceptions.CorruptFileError
        The file is damaged; :func:`repack` makes a sound one of it.
    OSError
        The file cannot be written.

    Notes
    -----
    What is in the file is not touched: the array is written behind it, with a new directory
    of the zip. If that fails, the file is cut to what it was; if the process is killed,
    :func:`file_reader` and :func:`repack` find all that was there before.

    Examples
    --------
    >>> from rsciio_xfm import datastack
    >>> datastack.append(energies, "maxrf_energies", "scan.datastack")  # doctest: +SKIP
    'maxrf_energies'
    """
    array = array if isinstance(array, da.Array) else np.asanyarray(array)
    is_masked = isinstance(getattr(array, "_meta", array), np.ma.MaskedArray)
    if is_masked or array.dtype.kind not in "biufc" or array.dtype.itemsize > 16:
        raise TypeError(
            f"{path}: the array {name!r:.80} is {'masked' if is_masked else array.dtype}, "
            "expected a plain one of numbers."
        )
    if any(np.isnan(size) for size in array.shape):
        raise ValueError(
            f"{path}: the sizes of the chunks of {name!r:.80} are unknown, expected known "
            "ones: use the array's compute_chunk_sizes method."
        )
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"{path}: the name of the array is {name!r:.80}, expected letters, digits, "
            "underscores, hyphens, dots and spaces, at most 200."
        )
    stack = read_stack(path)
    if stack.directory.fault is not None:
        raise CorruptFileError(
            f"{path}: the zip is damaged: {stack.directory.fault}. Expected a sound one to "
            "append to: make one with rsciio_xfm.datastack.repack."
        )
    if name in stack.arrays:
        name = stack.latest(name) + "_"
    with _behind(path, stack) as archive:
        write_array(archive, name, array, stack.zarr_format, compressor)
    return name


@contextlib.contextmanager
def _behind(path: str | Path, stack: Stack) -> Iterator[zipfile.ZipFile]:
    """Open a zip to write behind its end; cut it to what it was if that fails."""
    size = stack.directory.identity[0]
    file = open(path, "r+b")  # noqa: SIM115
    try:
        _lock(file, path)
        check_unchanged(file, path, stack.directory.identity)
    except BaseException:
        file.close()
        raise
    try:
        with zipfile.ZipFile(file, "a") as archive:
            # Not over the directory, as zipfile would: until the new one is written, the
            # old one is all that tells where the arrays are.
            archive.start_dir = size
            yield archive
        file.close()
    except BaseException as exc:
        with contextlib.suppress(OSError):
            file.close()  # with what is in its buffer, before the file is cut
        os.truncate(path, size)
        if isinstance(exc, OSError) and exc.filename is None and exc.errno:
            raise type(exc)(exc.errno, exc.strerror, str(path)) from exc
        raise


def _lock(file: BinaryIO, path: str | Path) -> None:
    """Keep other processes from appending at the same time, where the system can."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        text = "another process is appending to the file"
        raise BlockingIOError(exc.errno, text, str(path)) from exc
    except OSError:  # some network drives have no locks
        return


def append_list(
    ragged: Sequence[Sequence[int]],
    name: str,
    path: str | Path,
    compressor: Any = "blosc",
) -> str:
    """Add a list of lists of integers to a ``.datastack`` file.

    Parameters
    ----------
    ragged
        Lists of any length; none of them may hold -9999.
    name, path, compressor
        See :func:`append`.

    Returns
    -------
    str
        The name that it got.

    Raises
    ------
    TypeError
        There is something else than integers.
    ValueError
        There is no list, or -9999 in one.

    Notes
    -----
    It is stored as maxrf4u does: int64, a row for each list, filled up with -9999.

    Examples
    --------
    >>> from rsciio_xfm import datastack
    >>> datastack.append_list([[1, 2], [3]], "peaks", "scan.datastack")  # doctest: +SKIP
    'peaks'
    """
    rows = [np.asarray(row) for row in ragged]
    if not rows:
        raise ValueError(f"{path}: {name!r:.80} is empty, expected at least one list.")
    for row in rows:
        is_integer = row.dtype.kind in "iu" or not row.size
        if row.ndim != 1 or not is_integer or row.max(initial=0) > np.iinfo(np.int64).max:
            raise TypeError(
                f"{path}: {name!r:.80} holds {row.dtype} of shape {row.shape}, expected lists "
                "of integers of 64 bits."
            )
        if (row == PADDING).any():
            raise ValueError(
                f"{path}: {name!r:.80} holds {PADDING}, which marks the end of a list."
            )
    padded = np.full((len(rows), max(len(row) for row in rows)), PADDING, dtype=np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return append(padded, name, path, compressor)


def read(path: str | Path, name: str, latest: bool = True) -> np.ndarray:
    """Read an array of a ``.datastack`` file into memory.

    Parameters
    ----------
    path, name
        Of the file and of the array.
    latest
        Read its newest version, that with most underscores.

    Raises
    ------
    FileNotFoundError
        There is no such array.

    Examples
    --------
    >>> from rsciio_xfm import datastack
    >>> datastack.read("scan.datastack", "maxrf_energies")  # doctest: +SKIP
    array([-0.96,  -0.95, ..., 39.98])
    """
    stack = read_stack(path)
    check_names(path, stack, [name])
    source = stack_array(stack, stack.latest(name) if latest else name)
    return source.read(tuple((0, size) for size in source.shape))


def read_list(path: str | Path, name: str, latest: bool = True) -> list[list[int]]:
    """Read a list of lists that :func:`append_list` or maxrf4u wrote.

    Parameters
    ----------
    path, name, latest
        See :func:`read`.

    Raises
    ------
    FileNotFoundError
        There is no such array.
    rsciio_xfm.exceptions.FileFormatError
        It is no array of integers with two axes.

    Examples
    --------
    >>> from rsciio_xfm import datastack
    >>> datastack.read_list("scan.datastack", "peaks")  # doctest: +SKIP
    [[1, 2], [3]]
    """
    padded = read(path, name, latest)
    if padded.ndim != _LIST_AXES or padded.dtype.kind not in "iu":
        raise FileFormatError(
            f"{path}: {name!r} is {padded.dtype} of shape {padded.shape}, expected integers "
            f"with two axes, rows of which are filled up with {PADDING} (in the zip, {name}/)."
        )
    return [row[row != PADDING].tolist() for row in padded]


def latest(path: str | Path, name: str) -> str:
    """Return the name of the newest version of an array: that with most underscores.

    Parameters
    ----------
    path, name
        Of the file and of the array.

    Raises
    ------
    FileNotFoundError
        There is no such array.

    Examples
    --------
    >>> from rsciio_xfm import datastack
    >>> datastack.latest("scan.datastack", "maxrf_energies")  # doctest: +SKIP
    'maxrf_energies__'
    """
    stack = read_stack(path)
    check_names(path, stack, [name])
    return stack.latest(name)


def repack(
    path: str | Path,
    select: Sequence[str] | None = None,
    dst: str | Path | None = None,
    show_progressbar: bool = True,
) -> list[str]:
    """Write a ``.datastack`` file anew, with the newest version of each array only.

    Parameters
    ----------
    path
        Of the file. It may be damaged: what is whole is kept.
    select
        Names of the arrays to keep, the newest version of each; None keeps all.
    dst
        Path of the new file; None replaces the old one.
    show_progressbar
        Show a bar on standard error, if it takes longer than two seconds.

    Returns
    -------
    list of str
        Names of the arrays, without the underscores of later versions.

    Raises
    ------
    FileNotFoundError
        There is no such array.
    rsciio_xfm.exceptions.CorruptFileError
        A chunk of an array is damaged: leave the array out by `select`.
    ValueError
        `select` is empty; `dst` is a folder, or a device.
    OSError
        The file cannot be written; what was there is as it was.

    Notes
    -----
    Chunks are copied as they are. The old file stays until the new one is whole.

    Examples
    --------
    >>> from rsciio_xfm import datastack
    >>> datastack.repack("scan.datastack", ["maxrf_cube", "maxrf_energies"])  # doctest: +SKIP
    ['maxrf_cube', 'maxrf_energies']
    """
    stack = read_stack(path)
    names = stack.newest()
    if select is not None:
        wanted = [select] if isinstance(select, str) else list(select)
        if not wanted:
            raise ValueError(f"{path}: select is empty, expected at least one name.")
        check_names(path, stack, wanted)
        names = list(dict.fromkeys(stack.latest(name) for name in wanted))
        if any(first_version(name) == CUBE for name in names):
            # What was saved with the map.
            names += [n for n in stack.arrays if n.startswith(EXTRA_ARRAY)]
    new_names = [first_version(name) for name in names]
    directory = stack.directory
    copied = [
        (member, new + member[len(old) :])
        for old, new in zip(names, new_names, strict=True)
        for member in find_members(directory, old)
    ]
    n_bytes = sum(directory.members[name].size for name, _ in copied)
    with (
        open_unbuffered(path) as source,
        replacing(path if dst is None else dst) as file,
        zipfile.ZipFile(file, "w") as archive,
        bytes_bar(n_bytes, f"Repacking {Path(path).name}", show_progressbar) as bar,
    ):
        check_unchanged(source, path, directory.identity)
        put(archive, ROOT[stack.zarr_format], _root_text(source, stack))
        for name, new_name in copied:
            member = directory.members[name]
            put(archive, new_name, read_member(source, str(path), name, member).tobytes())
            bar.update(member.size)
    return new_names


def _root_text(source: BinaryIO, stack: Stack) -> bytes:
    """Return the description of the root, with the attributes that it has."""
    name = ROOT[stack.zarr_format]
    text = group_text(stack.zarr_format)[name]
    member = stack.directory.members.get(name)
    if member is None:
        return text
    # Without what zarr may have gathered there of arrays that are left out.
    held = json.loads(read_member(source, stack.directory.path, name, member).tobytes())
    tree = json.loads(text)
    if "attributes" in tree:
        tree["attributes"] = held.get("attributes", {})
    return json.dumps(tree).encode("utf-8")
