"""What is whole in a damaged or cut zip, found without its directory, for ``repack``."""

import math
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rsciio_xfm.core.config import BLOCK_BYTES
from rsciio_xfm.core.source import LocalFile, open_unbuffered, read_into
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.datastack.data import Stack, make_stack, read_stack
from rsciio_xfm.formats.datastack.index import (
    MOST_NAME,
    DamagedZipError,
    Directory,
    Member,
    name_of,
    span_of,
)
from rsciio_xfm.formats.datastack.layout import (
    DEFLATED,
    DIRECTORY_RECORDS,
    ENTRY,
    ENTRY_SIGNATURE,
    HAS_DESCRIPTOR,
    IS_ENCRYPTED,
    IS_UTF8,
    LARGE,
    LARGE_FIELD,
    LOCAL_HEADER,
    LOCAL_SIGNATURE,
    STORED,
)


def read_or_salvage(filename: str | Path) -> Stack:
    """Read which arrays a ``.datastack`` file holds, of a damaged one those that are found.

    Raises
    ------
    FileFormatError
        The file is no zip, or no zarr store of format 2 or 3.

    Warns
    -----
    UserWarning
        The zip is damaged, or cut; chunks of an array are missing.
    """
    try:
        return read_stack(filename)
    except DamagedZipError as error:
        stack = make_stack(_search(filename, error.fault))
    _warn_of_damage(filename, stack)
    return stack


def _search(filename: str | Path, fault: str) -> Directory:
    """Make a directory of the headers of the files."""
    source = LocalFile.of(filename)
    with open_unbuffered(filename) as file:
        members, end, is_complete = _scan(file, source.size)
        begin = _read_at(file, 0, np.empty(8, dtype=np.uint8))
    if not members:
        raise FileFormatError(
            f"{filename}: the file is no zip: {fault}. It begins with {begin!r}, expected "
            f"{LOCAL_SIGNATURE!r} and a whole file of a zip (byte 0)."
        )
    fault = f"{fault}; files of the zip were found up to byte {end} of {source.size}"
    return Directory(source, members, fault, is_complete)


def _warn_of_damage(filename: str | Path, stack: Stack) -> None:
    text = "no chunk of these is missing"
    if stack.missing:
        text = "; ".join(
            f"{n} of {math.prod(stack.arrays[name].grid)} chunks of {name!r} are missing and "
            "become zeros"
            for name, n in stack.missing.items()
        )
    warn(
        f"{filename}: the zip is damaged: {stack.directory.fault}. What is whole is kept: "
        f"{', '.join(stack.arrays) or 'no array'}; {text}."
    )


def _scan(file: BinaryIO, file_size: int) -> tuple[dict[str, Member], int, bool]:
    """Find the files of a zip by their headers, and by old directories among them.

    Where there is neither, the next one is looked for.

    Returns
    -------
    members : dict of str to Member
        Of those that are whole; of several with one name, that which lies last.
    end : int
        Byte behind the last of them.
    is_complete : bool
        Whether there are old directories, and all of what they list was found.
    """
    members: dict[str, Member] = {}
    listed: dict[str, Member] = {}
    memory = np.empty(LOCAL_HEADER.itemsize + MOST_NAME, dtype=np.uint8)
    at: int | None = 0
    end = 0
    while at is not None:
        raw = _read_at(file, at, memory)
        if raw[:4] in DIRECTORY_RECORDS:
            size, lengths = DIRECTORY_RECORDS[raw[:4]]
            if raw[:4] == ENTRY_SIGNATURE and (entry := _read_entry(raw)) is not None:
                listed[entry[0]] = entry[1]
            at += size + sum(int.from_bytes(raw[i : i + 2], "little") for i in lengths)
            continue
        found = _read_local(raw, at, file_size)
        if found is not None and found[1].size == 0:
            # Until a file is whole, its header may say that it is empty.
            follows = _read_at(file, found[2], memory)[:4]
            if follows != LOCAL_SIGNATURE and follows not in DIRECTORY_RECORDS:
                found = None
        if found is None:
            at = _find_signature(file, at + 1)
            continue
        name, member, at = found
        end = at
        members[name] = member
    for name, member in listed.items():
        # Of these, headers do not say how long they are.
        is_whole = member.offset + LOCAL_HEADER.itemsize + member.size <= file_size
        is_new = is_whole and name not in members
        if is_new and name_of(_read_at(file, member.offset, memory)) == name:
            members[name] = member
    return members, end, bool(listed) and set(listed) <= set(members)


def _read_at(file: BinaryIO, at: int, memory: np.ndarray) -> bytes:
    return memory[: read_into(file, at, memory, memory.size)].tobytes()


def _find_signature(file: BinaryIO, at: int) -> int | None:
    """Return where the next header of a file, or record of a directory, may begin."""
    memory = np.empty(BLOCK_BYTES, dtype=np.uint8)
    known = (LOCAL_SIGNATURE, *DIRECTORY_RECORDS)
    while True:
        block = _read_at(file, at, memory)
        found = [i for i in (block.find(one) for one in known) if i >= 0]
        if found:
            return at + min(found)
        if len(block) < memory.size:
            return None
        at += memory.size - 3  # a signature may lie across the edge


def _read_local(raw: bytes, at: int, file_size: int) -> tuple[str, Member, int] | None:
    """Return name, place and end of a file from its header, None if it is not whole."""
    name = name_of(raw)
    if not name:
        return None
    header = np.frombuffer(raw, LOCAL_HEADER, 1)[0]
    first = LOCAL_HEADER.itemsize + int(header["name_length"])
    extra = raw[first : first + int(header["extra_length"])]
    if header["flags"] & (IS_ENCRYPTED | HAS_DESCRIPTOR):
        return None
    found = _read_sizes(header, extra, at)
    if found is None:
        return None
    end = at + first + int(header["extra_length"]) + found.size
    return None if end > file_size else (name, found, end)


def _read_entry(raw: bytes) -> tuple[str, Member] | None:
    """Return name and place of a file from its entry in a directory."""
    if len(raw) < ENTRY.itemsize:
        return None
    entry = np.frombuffer(raw, ENTRY, 1)[0]
    first = ENTRY.itemsize + int(entry["name_length"])
    extra = raw[first : first + int(entry["extra_length"])]
    encoding = "utf-8" if entry["flags"] & IS_UTF8 else "cp437"
    name = raw[ENTRY.itemsize : first].decode(encoding, "replace")
    found = _read_sizes(entry, extra, int(entry["offset"]))
    if not name or entry["flags"] & IS_ENCRYPTED or found is None:
        return None
    return name, found


def _read_sizes(header: np.void, extra: bytes, offset: int) -> Member | None:
    """Return a file by what its header, or its entry in a directory, says of it."""
    sizes = [int(header["n_bytes"]), int(header["size"]), offset]
    if LARGE in sizes:
        # In the order of those that do not fit.
        if int.from_bytes(extra[:2], "little") != LARGE_FIELD:
            return None
        rest = extra[4 : 4 + int.from_bytes(extra[2:4], "little")]
        for i, size in enumerate(sizes):
            if size == LARGE:
                if len(rest) < 8:
                    return None
                sizes[i], rest = int.from_bytes(rest[:8], "little"), rest[8:]
    n_bytes, size, offset = sizes
    is_deflated = bool(header["method"] == DEFLATED)
    if header["method"] not in (STORED, DEFLATED) or (
        size != n_bytes and not is_deflated
    ):
        return None
    span = span_of(offset, size, 2**63)
    return Member(offset, size, n_bytes, int(header["crc"]), is_deflated, span)
