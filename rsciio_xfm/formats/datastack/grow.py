"""Arrays that are added to a ``.datastack`` file, read from it, and left out of it."""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rsciio_xfm.core.atomic import check_destination, locked, locked_if_there, replacing
from rsciio_xfm.core.later import da
from rsciio_xfm.core.progress import bytes_bar
from rsciio_xfm.core.source import check_unchanged
from rsciio_xfm.core.writers import check_plain
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.datastack.api import check_names
from rsciio_xfm.formats.datastack.copy import copy, plan_copy, root_attributes
from rsciio_xfm.formats.datastack.data import (
    Stack,
    first_version,
    read_array,
    read_stack,
)
from rsciio_xfm.formats.datastack.layout import (
    ARRAY,
    CUBE,
    DIRECTORY_RECORDS,
    END_SIGNATURE,
    EXTRA_ARRAY,
    GATHERED,
    PADDING,
    ROOT,
)
from rsciio_xfm.formats.datastack.parse import DTYPES, group_text, read_json
from rsciio_xfm.formats.datastack.salvage import read_or_salvage
from rsciio_xfm.formats.datastack.write import (
    Store,
    is_original,
    make_codec,
    put,
    write_array,
    write_root,
)

# Not those that zarr keeps for itself, nor what would be a folder.
_NAME = re.compile(r"(?!__)(?=.*[A-Za-z0-9])[A-Za-z0-9_][A-Za-z0-9_. -]{0,199}")
_LIST_AXES = 2


def append(
    array: np.ndarray | da.Array,
    name: str,
    filename: str | Path,
    compressor: Any = "blosc",
) -> str:
    """Add an array to a ``.datastack`` file.

    Parameters
    ----------
    array
        Numbers of any shape; a lazy array is computed chunk by chunk.
    name
        Of the array. If the file has it, an underscore is put behind the newest version's.
    filename
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
    :func:`repack` finds all that was there before. A second process that appends or repacks
    at the same time gets an error.

    Examples
    --------
    >>> from rsciio_xfm import datastack
    >>> energies = -0.5 + 0.025 * np.arange(1024)
    >>> datastack.append(energies, "maxrf_energies", "painting.datastack")
    'maxrf_energies_'
    """
    if not isinstance(name, str):
        raise TypeError(
            f"{filename}: name is of type {type(name).__name__}, expected text: the order "
            "is append(array, name, filename)."
        )
    array = array if isinstance(array, da.Array) else np.asanyarray(array)
    check_plain(filename, array)
    if array.dtype.name not in DTYPES:
        raise TypeError(
            f"{filename}: the array {name!r:.80} is {array.dtype}, expected one of numbers."
        )
    if not _NAME.fullmatch(name) or name in (*ROOT.values(), *ARRAY.values()):
        raise ValueError(
            f"{filename}: the name of the array is {name!r:.80}, expected letters, digits, "
            "underscores, hyphens, dots and spaces, at most 200."
        )
    if name.startswith(EXTRA_ARRAY):
        raise ValueError(
            f"{filename}: the name {name!r:.80} is kept for what is saved with a map, "
            "expected another."
        )
    codec = make_codec(compressor)
    with locked(filename, "r+b") as file:
        stack = read_stack(filename)
        check_unchanged(file, filename, stack.directory.source.version)
        if versions := stack.versions(name):
            name = versions[-1] + "_"
        while name in stack.names:
            name += "_"
        with _behind(file, filename) as archive:
            write_array(Store(archive, stack.zarr_format, codec), name, array)
        if not os.path.samestat(os.stat(filename), os.fstat(file.fileno())):
            raise CorruptFileError(
                f"{filename}: the file was replaced by another while {name!r} was appended: "
                "it is not in the new one, expected the file as it was (byte 0). "
                "Append it again."
            )
    return name


@contextlib.contextmanager
def _behind(file: BinaryIO, path: str | Path) -> Iterator[zipfile.ZipFile]:
    """Write behind the end of a zip; cut it to what it was if that fails."""
    # What follows the directory is of a program that was killed.
    size = _find_end(file)
    descriptor = os.dup(file.fileno())
    try:
        with zipfile.ZipFile(file, "a") as archive:
            # Not over the directory, as zipfile would: until the new one is written, the
            # old one is all that tells where the arrays are.
            archive.start_dir = size
            _forget_gathered(archive)
            yield archive
        file.truncate()
        file.flush()
    except BaseException as exc:
        with contextlib.suppress(OSError):
            file.close()  # with what is in its buffer, before the file is cut
        os.ftruncate(descriptor, size)
        if isinstance(exc, OSError) and exc.filename is None and exc.errno:
            raise type(exc)(exc.errno, exc.strerror, str(path)) from exc
        raise
    finally:
        os.close(descriptor)


def _find_end(file: BinaryIO) -> int:
    """Return the byte behind the last record of a zip's directory, as zipfile finds it."""
    record, (at,) = DIRECTORY_RECORDS[END_SIGNATURE]
    start = max(0, file.seek(0, os.SEEK_END) - record - 2**16)
    file.seek(start)
    tail = file.read()
    first = tail.rfind(END_SIGNATURE)
    comment = int.from_bytes(tail[first + at : first + at + 2], "little")
    return start + min(len(tail), first + record + comment)


def _forget_gathered(archive: zipfile.ZipFile) -> None:
    """Leave out what zarr may have gathered of all descriptions: it lacks the new array."""
    old = [name for name in GATHERED if name in archive.NameToInfo]
    texts: dict[str, bytes] = {}
    root = ROOT[3]
    if root in archive.NameToInfo:
        held = read_json(archive.read(root))
        if held.get("consolidated_metadata") is not None:
            texts = group_text(3, held.get("attributes"))
            old.append(root)
    for name in old:
        archive.filelist = [i for i in archive.filelist if i.filename != name]
        del archive.NameToInfo[name]
    for name, text in texts.items():
        put(archive, name, text)


def append_list(
    ragged: Sequence[Sequence[int]],
    name: str,
    filename: str | Path,
    compressor: Any = "blosc",
) -> str:
    """Add a list of lists of integers to a ``.datastack`` file.

    Parameters
    ----------
    ragged
        Lists of any length; none of them may hold -9999.
    name, filename, compressor
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
    >>> datastack.append_list([[1, 2], [3]], "peaks", "painting.datastack")
    'peaks'
    """
    rows = [np.asarray(row) for row in ragged]
    if not rows:
        raise ValueError(
            f"{filename}: {name!r:.80} is empty, expected at least one list."
        )
    for row in rows:
        is_integer = row.dtype.kind in "iu" or not row.size
        if row.ndim != 1 or not is_integer or row.max(initial=0) > np.iinfo(np.int64).max:
            raise TypeError(
                f"{filename}: {name!r:.80} holds {row.dtype} of shape {row.shape}, expected "
                "lists of integers of 64 bits."
            )
        if (row == PADDING).any():
            raise ValueError(
                f"{filename}: {name!r:.80} holds {PADDING}, which marks the end of a list."
            )
    padded = np.full((len(rows), max(len(row) for row in rows)), PADDING, dtype=np.int64)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return append(padded, name, filename, compressor)


def read(filename: str | Path, name: str, latest: bool = True) -> np.ndarray:
    """Read an array of a ``.datastack`` file into memory.

    Parameters
    ----------
    filename, name
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
    >>> datastack.read("painting.datastack", "maxrf_energies")[:4]
    array([-0.5  , -0.475, -0.45 , -0.425])
    """
    stack = read_stack(filename)
    check_names(filename, stack, [name], latest)
    return read_array(stack, stack.latest(name) if latest else name)


def read_list(filename: str | Path, name: str, latest: bool = True) -> list[list[int]]:
    """Read a list of lists that :func:`append_list` or maxrf4u wrote.

    Parameters
    ----------
    filename, name, latest
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
    >>> datastack.read_list("painting.datastack", "hotmax_peak_idxs_list")
    [[12, 15], [7]]
    """
    padded = read(filename, name, latest)
    if padded.ndim != _LIST_AXES or padded.dtype.kind not in "iu":
        raise FileFormatError(
            f"{filename}: {name!r} is {padded.dtype} of shape {padded.shape}, expected "
            f"integers with two axes, rows of which are filled up with {PADDING} "
            f"(in the zip, {name}/)."
        )
    return [row[row != PADDING].tolist() for row in padded]


def latest(filename: str | Path, name: str) -> str:
    """Return the name of the newest version of an array: that with most underscores.

    Parameters
    ----------
    filename, name
        Of the file and of the array.

    Raises
    ------
    FileNotFoundError
        There is no such array.

    Examples
    --------
    >>> from rsciio_xfm import datastack
    >>> datastack.latest("painting.datastack", "maxrf_energies")
    'maxrf_energies'
    """
    stack = read_stack(filename)
    check_names(filename, stack, [name])
    return stack.latest(name)


def repack(
    filename: str | Path,
    select: Sequence[str] | None = None,
    destination: str | Path | None = None,
    show_progressbar: bool | None = None,
    *,
    overwrite: bool = False,
) -> list[str]:
    """Write a ``.datastack`` file anew, with the newest version of each array only.

    Parameters
    ----------
    filename
        Of the file. It may be damaged: what is whole is kept. Of arrays of which a part is
        missing, that part is zeros from now on, and there is a warning when they are read.
    select
        Names of the arrays to keep, the newest version of each; None keeps all, and what
        else there is in the zip.
    destination
        Path of the new file; None replaces the old one.
    show_progressbar
        Say how far it is, if it takes longer than two seconds; None is HyperSpy's
        preference, on a terminal or in a notebook.
    overwrite
        Replace `destination` if it is there.

    Returns
    -------
    list of str
        Names of the arrays, without the underscores of later versions.

    Raises
    ------
    FileNotFoundError
        There is no such array.
    rsciio_xfm.exceptions.CorruptFileError
        A chunk of an array is damaged: leave the array out by `select`. Or less than half of
        a damaged file was found, and `destination` is None.
    rsciio_xfm.exceptions.FileFormatError
        Arrays of zarr's formats 2 and 3 are beside each other, and one of format 2 has a
        compressor that format 3 has not.
    FileExistsError
        `destination` exists.
    ValueError
        `select` is empty; `destination` is the file itself, a folder, a device, or a stack
        that was not written here.
    OSError
        The file cannot be written; what was there is as it was.

    Notes
    -----
    Chunks are copied as they are. The old file stays until the new one is whole. Where a
    program that uses zarr 3 added arrays to a file of format 2, all become format 3: zarr
    does not see the others any more.

    Examples
    --------
    >>> from rsciio_xfm import datastack
    >>> datastack.repack("painting.datastack", ["maxrf_cube", "maxrf_energies"])
    ['maxrf_cube', 'maxrf_energies']
    """
    if destination is not None:
        check_destination(filename, destination, overwrite, is_original)
    target = filename if destination is None else destination
    with (
        locked_if_there(filename),
        locked_if_there(target) if destination else nullcontext(),
    ):
        stack = read_or_salvage(filename)
        names = stack.newest() if select is None else _select(filename, stack, select)
        _check_is_found(filename, stack, destination)
        names = [name for name in names if not _is_lost(stack, name)]
        plan = plan_copy(filename, stack, names, stack.zarr_format, select is None)
        n_bytes = sum(stack.directory.members[name].size for name, _ in plan[1])
        with (
            replacing(target) as file,
            zipfile.ZipFile(file, "w") as archive,
            bytes_bar(
                n_bytes, f"Repacking {Path(filename).name}", show_progressbar
            ) as bar,
        ):
            root = root_attributes(filename, stack)
            write_root(
                Store(archive, stack.zarr_format, None),
                root,
                is_ours=destination is not None,
            )
            copy(filename, stack, plan, archive, bar.update)
    return [first_version(name) for name in names]


def _is_lost(stack: Stack, name: str) -> bool:
    """Tell whether nothing but the description of an array was found in a damaged file."""
    if stack.directory.fault is None or name not in stack.arrays:
        return False
    return not stack.chunks[name] and name in stack.missing


def _check_is_found(
    path: str | Path, stack: Stack, destination: str | Path | None
) -> None:
    """Refuse to replace a damaged file of which little was found."""
    directory = stack.directory
    n_found = sum(member.size for member in directory.members.values())
    is_little = not directory.is_complete and n_found < directory.source.size / 2
    if destination is None and is_little:
        raise CorruptFileError(
            f"{path}: {n_found} of {directory.source.size} bytes are in files that are whole: "
            f"{directory.fault}. Expected at least half of them, to replace the file: give "
            "destination, and keep it."
        )


def _select(path: str | Path, stack: Stack, select: Sequence[str]) -> list[str]:
    """Return the newest versions of some arrays, and what belongs to them."""
    wanted = [select] if isinstance(select, str) else list(select)
    if not wanted:
        raise ValueError(f"{path}: select is empty, expected at least one name.")
    check_names(path, stack, wanted)
    names = [stack.latest(name) for name in wanted]
    if any(first_version(name) == CUBE for name in names):
        # What was saved with the map.
        names += [name for name in stack.names if name.startswith(EXTRA_ARRAY)]
    return list(dict.fromkeys(names))
