"""A ``.datastack`` file: which arrays are in it, and one of them as an array-like."""

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rsciio_xfm.core.array import PIECE_BYTES, ArrayLike, CountedArray, Range
from rsciio_xfm.core.source import identify, open_unbuffered, scratch
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.datastack.codecs import can_grow_to, decode_chunk
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
    LOCAL_HEADER,
    MISSING,
    ROOT,
)
from rsciio_xfm.formats.datastack.parse import Definition, parse_array

_MOST_TEXT, _LEAST_TEXT = 2**24, 2**20  # bytes of a description, whatever the file has
# Of an array that is not small, at least this share of the chunks has to be there: its
# shape may be a lie.
_EMPTY_BYTES = 64 * 2**20
_LEAST_SHARE = 0.001
_HEAD_BYTES = LOCAL_HEADER.itemsize + 2**10


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

    Parameters
    ----------
    filename
        Path of the file.

    Returns
    -------
    Stack
        Its arrays.

    Raises
    ------
    FileFormatError
        The file is no zip, or no zarr store of format 2 or 3.

    Warns
    -----
    UserWarning
        The zip is damaged, or cut; chunks of an array are missing.
    """
    directory = read_directory(filename)
    stack = _read_arrays(filename, directory)
    tops = {name.split("/")[0] for name in directory.members if "/" in name}
    if directory.fault is None and (stack.missing or tops - set(stack.formats)):
        # zarr leaves out chunks of zeros; or a damaged directory names them otherwise.
        directory = check_names(directory)
        if directory.fault is not None:
            stack = _read_arrays(filename, directory)
    if directory.fault is not None:
        _warn_of_damage(filename, stack)
    return stack


def _read_arrays(filename: str | Path, directory: Directory) -> Stack:
    members = directory.members
    names = {f: _names(members, text) for f, text in ARRAY.items()}
    # A root without description is as good as one with it.
    found = [f for f in ROOT if ROOT[f] in members] or [f for f in ROOT if names[f]]
    if not found:
        shown = ", ".join(repr(name) for name in list(members)[:5]) or "nothing"
        raise FileFormatError(
            f"{filename}: the zip is no zarr store: it holds {shown}, expected "
            f"{ROOT[2]} or {ROOT[3]} (byte 0, its directory)."
        )
    arrays: dict[str, Definition] = {}
    faults: dict[str, FileFormatError] = {}
    formats: dict[str, int] = {}
    with open_unbuffered(filename) as file:
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


def _warn_of_damage(filename: str | Path, stack: Stack) -> None:
    text = "no chunk of these is missing"
    if stack.missing:
        text = "; ".join(
            f"{n} of {math.prod(stack.arrays[name].grid)} chunks of {name!r} are missing and "
            "read as zeros"
            for name, n in stack.missing.items()
        )
    warn(
        f"{filename}: the zip is damaged: {stack.directory.fault}. What is whole is read: "
        f"{', '.join(stack.arrays) or 'no array'}; {text}. rsciio_xfm.datastack.repack makes "
        "a sound file of it."
    )


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
    most = min(_MOST_TEXT, max(_LEAST_TEXT, directory.identity[0]))
    if max(member.size, member.n_bytes) > most:
        raise CorruptFileError(
            f"{directory.path}: {name} has {member.n_bytes} bytes, expected a description of "
            f"at most {most} (byte {member.offset})."
        )
    return read_member(file, directory.path, name, member).tobytes()


@dataclass(frozen=True)
class StackArray(ArrayLike):
    """An array of a stack.

    Attributes
    ----------
    path, identity
        The file, see :func:`rsciio_xfm.core.source.identify`. Arrays may be appended to it in
        the meantime; each chunk is checked.
    array
        Of the stack.
    members
        Of the chunks that are in the zip, by their number along each axis.
    """

    path: str
    identity: tuple[int, ...]
    array: Definition
    members: dict[tuple[int, ...], Member]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        """Of the numbers, in the byte order of this machine."""
        return self.array.dtype.newbyteorder("=")

    def file_bytes(self) -> int:
        """Return how many bytes its chunks take up in the file."""
        return sum(member.size for member in self.members.values())

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Read a block; see :meth:`ArrayLike.read`."""
        block = np.empty([stop - start for start, stop in ranges], dtype=self.dtype)
        if block.size == 0:
            return block
        cells = [
            range(start // chunk, math.ceil(stop / chunk))
            for (start, stop), chunk in zip(ranges, self.array.chunks, strict=True)
        ]
        n_cells = math.prod(len(cell) for cell in cells)
        # There may be many more chunks by the description than there are.
        indices = (
            itertools.product(*cells) if n_cells < len(self.members) else self.members
        )
        present = [
            index
            for index in indices
            if index in self.members
            and all(i in cell for i, cell in zip(index, cells, strict=True))
        ]
        if len(present) < n_cells:
            block[...] = self.array.fill_value
        largest = max((self.members[index].size for index in present), default=0)
        with self._open() as file, scratch(_HEAD_BYTES + largest) as memory:
            for index in present:
                self._place(file, index, ranges, block, memory)
        return block

    def _open(self) -> BinaryIO:
        file = open_unbuffered(self.path)
        now = identify(file)
        if now[0] < self.identity[0]:
            file.close()
            raise CorruptFileError(
                f"{self.path}: the file was replaced since it was opened: {now[0]} bytes, "
                f"expected at least {self.identity[0]} (byte 0). Load it again."
            )
        return file

    def _place(
        self,
        file: BinaryIO,
        index: tuple[int, ...],
        ranges: tuple[Range, ...],
        block: np.ndarray,
        memory: np.ndarray,
    ) -> None:
        """Put what a chunk holds of a block into it."""
        array = self.array
        into, out_of, is_whole = [], [], True
        for i, (start, stop), chunk in zip(index, ranges, array.chunks, strict=True):
            first, last = max(start, i * chunk), min(stop, (i + 1) * chunk)
            into.append(slice(first - start, last - start))
            out_of.append(slice(first - i * chunk, last - i * chunk))
            is_whole &= last - first == chunk
        target = block[(*into, ...)]  # a view, even of no axes
        is_plain = array.order == "C" and array.dtype.isnative
        if is_whole and is_plain and target.flags.c_contiguous:
            self._decode(file, index, target, memory)
            return
        shape = array.chunks if array.order == "C" else array.chunks[::-1]
        chunk = np.empty(shape, dtype=array.dtype)
        self._decode(file, index, chunk, memory)
        chunk = chunk if array.order == "C" else chunk.transpose()
        target[...] = chunk[tuple(out_of)]

    def _decode(
        self,
        file: BinaryIO,
        index: tuple[int, ...],
        chunk: np.ndarray,
        memory: np.ndarray,
    ) -> None:
        name, member = self.array.key(index), self.members[index]
        # A little more than the chunk: what cannot be compressed grows.
        if member.n_bytes > 2 * self.array.chunk_bytes + 2**16:
            raise CorruptFileError(
                f"{self.path}: {name} has {member.n_bytes} bytes, expected those of a chunk "
                f"of {self.array.chunk_bytes} (byte {member.offset})."
            )
        raw = read_member(file, self.path, name, member, memory)
        decode_chunk(
            self.path, name, self.array.codec, raw, chunk.reshape(-1).view(np.uint8)
        )


class StackMap(StackArray, CountedArray):
    """An array of counts, channels along the last axis."""

    def row_axis(self) -> int:
        """Return the first axis."""
        return 0

    def row_step(self) -> int:
        """Return how many rows a chunk has."""
        return self.array.chunks[0]

    def pieces(
        self, ranges: tuple[Range, ...]
    ) -> Iterator[tuple[tuple[Range, ...], np.ndarray]]:
        """Read a block chunk by chunk, no chunk twice; see :meth:`FileArray.pieces`."""
        chunks = self.array.chunks
        n_at_once = max(1, PIECE_BYTES // (math.prod(chunks) * self.dtype.itemsize))
        steps = [chunks[0], *chunks[1:-1]]
        if len(steps) > 1:
            steps[-1] *= n_at_once
        parts = [_cut(r, step) for r, step in zip(ranges[:-1], steps, strict=True)]
        for held in itertools.product(*parts):
            yield (*held, ranges[-1]), self.read((*held, ranges[-1]))


def _cut(ends: Range, step: int) -> list[Range]:
    """Cut a range where chunks begin."""
    start, stop = ends
    edges = [start, *range((start // step + 1) * step, stop, step), stop]
    return list(itertools.pairwise(edges)) if stop > start else []


def stack_array(stack: Stack, name: str, is_map: bool = False) -> StackArray:
    """Make the array-like over an array of a stack.

    Parameters
    ----------
    stack, name
        The stack and one of its arrays.
    is_map
        Whether it is a map of counts.
    """
    if name in stack.faults:
        raise stack.faults[name]
    array, directory = stack.arrays[name], stack.directory
    members = stack.chunks[name]
    n_chunks = math.prod(array.grid)
    n_stored = sum(member.size for member in members.values())
    if array.n_bytes > _EMPTY_BYTES and not (
        len(members) >= _LEAST_SHARE * n_chunks
        and can_grow_to(array.codec, n_stored, len(members) * array.chunk_bytes)
    ):
        raise CorruptFileError(
            f"{directory.path}: {len(members)} of the {n_chunks} chunks of {name!r}, of shape "
            f"{array.shape}, are there, {n_stored} bytes, expected more for chunks of "
            f"{array.chunk_bytes} bytes, and at least {_LEAST_SHARE:.1%} of them (in the zip, "
            f"{name}/)."
        )
    own = array.attributes.get(ATTRIBUTES)
    if isinstance(own, dict) and MISSING in own:
        warn(
            f"{directory.path}: {own[MISSING]} of the {n_chunks} chunks of {name!r} were "
            "missing when the file was mended: they are zeros."
        )
    kind: Any = StackMap if is_map else StackArray
    return kind(directory.path, directory.identity, array, members)


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
