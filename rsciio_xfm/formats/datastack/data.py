"""A ``.datastack`` file: which arrays are in it, and one of them as an array-like."""

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rsciio_xfm.core.chunks import NO_CHUNK, ChunkedArray, Table
from rsciio_xfm.core.source import open_unbuffered
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.datastack.codecs import ENTRY_OF_CHUNK, ZarrChunks, can_grow_to
from rsciio_xfm.formats.datastack.index import (
    Directory,
    Member,
    check_names,
    read_directory,
    read_member,
)
from rsciio_xfm.formats.datastack.layout import (
    ARRAY,
    ATTRIBUTES,
    ATTRIBUTES_OF_2,
    MISSING,
    ROOT,
)
from rsciio_xfm.formats.datastack.parse import Definition, parse_array

_MOST_TEXT, _LEAST_TEXT = 2**24, 2**20  # bytes of a description, whatever the file has
# Of an array that is not small, at least this share of the chunks has to be there: its
# shape may be a lie.
_EMPTY_BYTES = 64 * 2**20
_LEAST_SHARE = 0.001
_MANY_CHUNKS = 2**20


@dataclass(frozen=True)
class Stack:
    """What a ``.datastack`` file holds.

    Attributes
    ----------
    directory
        Of the zip.
    zarr_format
        Of the root, 2 or 3. Arrays of both formats can be beside each other.
    arrays
        By name, in the order of their names.
    chunks
        Those that are in the zip, by the name of the array and their number along each axis.
    faults
        Why an array cannot be read, by its name.
    formats
        Of zarr, by the name of the array.
    """

    directory: Directory
    zarr_format: int
    arrays: dict[str, Definition]
    chunks: dict[str, dict[tuple[int, ...], Member]]
    faults: dict[str, FileFormatError]
    formats: dict[str, int]

    @property
    def names(self) -> list[str]:
        """Of all arrays, those that cannot be read too."""
        return sorted(self.formats)

    @property
    def missing(self) -> dict[str, int]:
        """How many chunks are not there, by the name of the array.

        In a sound zip they are all equal to the fill value.
        """
        numbers = {
            name: math.prod(array.grid) - len(self.chunks[name])
            for name, array in self.arrays.items()
        }
        return {name: number for name, number in numbers.items() if number}

    def _age(self, name: str) -> tuple[int, int]:
        """Return what orders versions: what was added in format 3 came later."""
        return self.formats[name], len(name)

    def versions(self, name: str) -> list[str]:
        """Return the versions of an array, from the oldest to the newest."""
        found = [n for n in self.names if re.fullmatch(re.escape(name) + "_*", n)]
        return sorted(found, key=self._age)

    def latest(self, name: str) -> str:
        """Return the newest version of an array: that with most underscores.

        Of a damaged file, it is the newest of which all chunks are there, if there is one.
        """
        return self._newest_of(self.versions(name))

    def _newest_of(self, versions: list[str]) -> str:
        whole = versions
        if self.directory.fault is not None:
            missing = self.missing
            whole = [name for name in versions if name not in missing]
        return (whole or versions)[-1]

    def newest(self) -> list[str]:
        """Return the newest version of each array."""
        versions: dict[str, list[str]] = {}
        for name in sorted(self.names, key=self._age):
            versions.setdefault(first_version(name), []).append(name)
        return [self._newest_of(versions[name]) for name in sorted(versions)]


def first_version(name: str) -> str:
    """Return the name that an array had before it was written again."""
    return name.rstrip("_") or name


def read_stack(filename: str | Path) -> Stack:
    """Read which arrays a ``.datastack`` file holds.

    Raises
    ------
    FileFormatError
        The file is no zip, or no zarr store of format 2 or 3.
    rsciio_xfm.formats.datastack.index.DamagedZipError
        The zip is damaged, or cut.
    """
    directory = read_directory(filename)
    stack = make_stack(directory)
    tops = {name.split("/")[0] for name in directory.members if "/" in name}
    if stack.missing or tops - set(stack.formats):
        # zarr leaves out chunks of zeros; or a damaged directory names them otherwise.
        check_names(directory)
    return stack


def make_stack(directory: Directory) -> Stack:
    """Read what arrays there are among the files of a zip; see :func:`read_stack`."""
    members = directory.members
    names = {f: _names(members, text) for f, text in ARRAY.items()}
    # A root without description is as good as one with it.
    found = [f for f in ROOT if ROOT[f] in members] or [f for f in ROOT if names[f]]
    if not found:
        shown = ", ".join(repr(name) for name in list(members)[:5]) or "nothing"
        raise FileFormatError(
            f"{directory.path}: the zip is no zarr store: it holds {shown}, expected "
            f"{ROOT[2]} or {ROOT[3]} (byte 0, its directory)."
        )
    arrays: dict[str, Definition] = {}
    faults: dict[str, FileFormatError] = {}
    formats: dict[str, int] = {}
    with open_unbuffered(directory.path) as file:
        # Of two arrays of one name, that of format 3 was written later.
        for zarr_format in sorted(ARRAY):
            for name in names[zarr_format]:
                try:
                    array = _read_definition(file, directory, name, zarr_format)
                except FileFormatError as fault:
                    arrays.pop(name, None)
                    faults[name], formats[name] = fault, zarr_format
                    continue
                if array is not None:
                    faults.pop(name, None)
                    arrays[name], formats[name] = array, zarr_format
    arrays = dict(sorted(arrays.items()))
    chunks = _find_chunks(members, arrays)
    # zarr 3, and so maxrf4u, looks for a root of format 3 first.
    root = max([*found, *formats.values()])
    return Stack(directory, root, arrays, chunks, faults, formats)


def _read_definition(
    file: BinaryIO, directory: Directory, name: str, zarr_format: int
) -> Definition | None:
    text = _read_text(file, directory, f"{name}/{ARRAY[zarr_format]}")
    more, attributes = None, f"{name}/{ATTRIBUTES_OF_2}"
    if zarr_format == 2 and attributes in directory.members:
        more = _read_text(file, directory, attributes)
    return parse_array(directory.path, name, text, more)


def _names(members: dict[str, Member], text: str) -> list[str]:
    """Return the names of arrays in the root, by the description that each has."""
    names = []
    for member in members:
        name, slash, rest = member.rpartition("/")
        if slash and rest == text and "/" not in name:
            names.append(name)
    return sorted(names)


def _read_text(file: BinaryIO, directory: Directory, name: str) -> bytes:
    member = directory.members[name]
    # Small files hold no long texts but such as were made to fill the memory.
    most = min(_MOST_TEXT, max(_LEAST_TEXT, directory.source.size))
    if max(member.size, member.n_bytes) > most:
        raise CorruptFileError(
            f"{directory.path}: {name} has {member.n_bytes} bytes, expected a description of "
            f"at most {most} (byte {member.offset})."
        )
    return read_member(file, directory.path, name, member).tobytes()


def open_array(stack: Stack, name: str) -> ChunkedArray:
    """Make the array-like over an array of a stack; that of a single number has one axis.

    Raises
    ------
    FileFormatError
        It cannot be read, or hardly anything of it is there.
    """
    if name in stack.faults:
        raise stack.faults[name]
    array, members = stack.arrays[name], stack.chunks[name]
    _check_is_there(stack, array)
    own = array.attributes.get(ATTRIBUTES)
    if isinstance(own, dict) and MISSING in own:
        warn(
            f"{stack.directory.path}: {own[MISSING]} of the {math.prod(array.grid)} chunks of "
            f"{name!r} were missing when the file was mended: they are zeros."
        )
    shape, chunks = array.shape or (1,), array.chunks or (1,)
    offsets = np.full(array.grid or (1,), NO_CHUNK, dtype=np.int64)
    entries = np.zeros(offsets.shape, dtype=ENTRY_OF_CHUNK)
    for index, member in members.items():
        offsets[index or 0] = member.offset
        entries[index or 0] = member
    order: tuple[int, ...] = ()
    if array.order == "F":
        shape, chunks, offsets = shape[::-1], chunks[::-1], offsets.T
        order = tuple(range(len(shape)))[::-1]
    table = Table(
        (stack.directory.source,),
        shape,
        chunks,
        array.dtype,
        offsets,
        entries["span"].reshape(entries.shape).T if order else entries["span"],
        fill=array.fill_value,
    )
    return ChunkedArray(table, ZarrChunks(replace(array, attributes={}), entries), order)


def read_array(stack: Stack, name: str) -> np.ndarray:
    """Read an array of a stack into memory."""
    found = open_array(stack, name)
    return found.read(tuple((0, size) for size in found.shape)).reshape(
        stack.arrays[name].shape
    )


def _check_is_there(stack: Stack, array: Definition) -> None:
    """Refuse an array whose shape must be a lie, by what there is of it."""
    members = stack.chunks[array.name]
    n_chunks = math.prod(array.grid)
    n_stored = sum(member.size for member in members.values())
    is_large = array.n_bytes > _EMPTY_BYTES or n_chunks > _MANY_CHUNKS
    if is_large and not (
        len(members) >= _LEAST_SHARE * n_chunks
        and can_grow_to(array.codec, n_stored, len(members) * array.chunk_bytes)
    ):
        raise CorruptFileError(
            f"{stack.directory.path}: {len(members)} of the {n_chunks} chunks of "
            f"{array.name!r}, of shape {array.shape}, are there, {n_stored} bytes, expected "
            f"more for chunks of {array.chunk_bytes} bytes, and at least {_LEAST_SHARE:.1%} "
            f"of them (in the zip, {array.name}/)."
        )


def find_members(directory: Directory, name: str) -> list[str]:
    """Return the names of all that belongs to an array in the zip."""
    return [member for member in directory.members if member.startswith(f"{name}/")]


def _find_chunks(
    members: dict[str, Member], arrays: dict[str, Definition]
) -> dict[str, dict[tuple[int, ...], Member]]:
    """Find the chunks of arrays, by their number along each axis, in one pass."""
    found: dict[str, dict[tuple[int, ...], Member]] = {name: {} for name in arrays}
    for path, member in members.items():
        name, _, key = path.partition("/")
        array = arrays.get(name)
        index = None if array is None else array.index_of(key)
        if index is not None:
            found[name][index] = member
    return found
