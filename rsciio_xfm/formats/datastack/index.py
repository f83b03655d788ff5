"""Where the files of a zip lie in it, even if its end is missing, and their bytes."""

import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from rsciio_xfm.core.source import BLOCK_BYTES, identify, open_unbuffered, read_into
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.datastack.layout import (
    DEFLATED,
    DIRECTORY_RECORDS,
    END_SIGNATURE,
    ENTRY,
    ENTRY_SIGNATURE,
    HAS_DESCRIPTOR,
    IS_ENCRYPTED,
    IS_UTF8,
    LARGE,
    LARGE_FIELD,
    LARGE_N_FILES,
    LARGE_SIGNATURE,
    LOCAL_HEADER,
    LOCAL_SIGNATURE,
    N_FILES,
    PLACE_OF_LARGE,
    PLACE_SIGNATURE,
    STORED,
)

_EXTRA_BYTES = 64  # of an extra field, read with the header
_MOST_NAME = 2**12


class Member(NamedTuple):
    """One file in a zip."""

    offset: int
    """Byte of its header."""
    size: int
    """Bytes that it takes up, without the header."""
    n_bytes: int
    """Bytes that it has when it is inflated."""
    crc: int
    """CRC-32 of these."""
    is_deflated: bool


@dataclass(frozen=True)
class Directory:
    """The files in a zip.

    Attributes
    ----------
    path
        Of the zip, absolute.
    identity
        See :func:`rsciio_xfm.core.source.identify`.
    members
        By name; of several with one name, the last.
    fault
        What is wrong with the zip if it is damaged or cut; then the members are those that
        were found whole.
    end
        Byte behind the directory. What follows was left by a program that was killed while it
        appended.
    is_complete
        Whether all of what the directory, or older ones, list was found.
    """

    path: str
    identity: tuple[int, ...]
    members: dict[str, Member]
    fault: str | None
    end: int
    is_complete: bool = True


def read_directory(filename: str | Path) -> Directory:
    """Read which files are in a zip.

    Parameters
    ----------
    filename
        Path of the zip.

    Returns
    -------
    Directory
        If the zip's own cannot be read, it is made of the headers of the files.

    Raises
    ------
    FileFormatError
        The file is no zip.
    """
    with open_unbuffered(filename) as file:
        identity = identify(file)
        path = os.path.abspath(filename)
        try:
            end, n_listed = _read_end(file, identity[0])
            members = _read_members(file, filename, identity[0], n_listed)
            return Directory(path, identity, members, None, end)
        except FileFormatError:
            raise
        # Whatever a damaged directory does to zipfile.
        except (
            zipfile.BadZipFile,
            EOFError,
            NotImplementedError,
            OSError,
            ValueError,
            LookupError,
            struct.error,
        ) as exc:
            if getattr(exc, "errno", None) is not None:
                raise
            fault = str(exc)
        return _search(file, filename, identity, fault)


def check_names(directory: Directory) -> Directory:
    """Compare the names in a directory with those before the files.

    That takes a look at each file, and is for a zip in which something seems to be missing.

    Parameters
    ----------
    directory
        From :func:`read_directory`.

    Returns
    -------
    Directory
        If a name differs, it is made of the headers of the files.
    """
    with open_unbuffered(directory.path) as file:
        memory = np.empty(LOCAL_HEADER.itemsize + _MOST_NAME, dtype=np.uint8)
        for name, member in directory.members.items():
            n_read = read_into(file, member.offset, memory, memory.size)
            held = _name_of(memory[:n_read].tobytes())
            is_same = held == name
            if held and len(name) > _MOST_NAME:
                is_same = name.startswith(held)
            if not is_same:
                fault = (
                    f"its directory has {name!r:.80} where {held!r:.80} is (byte "
                    f"{member.offset})"
                )
                return _search(file, directory.path, directory.identity, fault)
    return directory


def _search(
    file: BinaryIO, filename: str | Path, identity: tuple[int, ...], fault: str
) -> Directory:
    """Make a directory of the headers of the files."""
    members, end, is_complete = _scan(file, identity[0])
    if not members:
        raise FileFormatError(
            f"{filename}: the file is no zip: {fault}. It begins with "
            f"{_begin(file)!r}, expected {LOCAL_SIGNATURE!r} and a whole file of a zip "
            "(byte 0)."
        )
    fault = f"{fault}; files of the zip were found up to byte {end} of {identity[0]}"
    path = os.path.abspath(filename)
    return Directory(path, identity, members, fault, end, is_complete)


def read_member(
    file: BinaryIO, path: str, name: str, member: Member, memory: np.ndarray | None = None
) -> np.ndarray:
    """Read the bytes of a file in a zip.

    Parameters
    ----------
    file, path
        From :func:`rsciio_xfm.core.source.open_unbuffered`, and its path.
    name, member
        Of the file.
    memory
        uint8, to read into; if it is too small, or None, there will be new memory.

    Returns
    -------
    numpy.ndarray
        uint8, read-only if `memory` is None; checked against the zip's checksum.

    Raises
    ------
    CorruptFileError
        It is not as the directory says, or its checksum is another.
    """
    name_bytes = name.encode("utf-8")
    head = LOCAL_HEADER.itemsize + len(name_bytes) + _EXTRA_BYTES
    if memory is None or memory.size < head + member.size:
        memory = np.empty(head + member.size, dtype=np.uint8)
    n_read = read_into(file, member.offset, memory, head + member.size)
    header = None
    if n_read >= LOCAL_HEADER.itemsize:
        header = memory[: LOCAL_HEADER.itemsize].view(LOCAL_HEADER)[0].copy()
    if header is None or header["signature"] != LOCAL_SIGNATURE:
        raise CorruptFileError(
            f"{path}: {name} is not where it was: found {memory[:4].tobytes()!r}, expected "
            f"{LOCAL_SIGNATURE!r} (byte {member.offset}). Was the file replaced? Load it "
            "again."
        )
    first = LOCAL_HEADER.itemsize + int(header["name_length"])
    first += int(header["extra_length"])
    held = _name_of(memory[: min(first, n_read)].tobytes())
    if held != name:
        raise CorruptFileError(
            f"{path}: {held!r:.80} is where the directory of the zip has {name} (byte "
            f"{member.offset}): it is damaged, or the file was replaced."
        )
    if first + member.size > n_read:
        n_read = read_into(file, member.offset + first, memory, member.size)
        first = 0
    if n_read < first + member.size:
        raise CorruptFileError(
            f"{path}: the file ends in {name}, expected "
            f"{first + member.size - n_read} bytes more (byte {member.offset + n_read})."
        )
    raw = memory[first : first + member.size]
    if member.is_deflated:
        raw = _inflate(path, name, member, raw)
    crc = zlib.crc32(raw)
    if crc != member.crc:
        raise CorruptFileError(
            f"{path}: the checksum of {name} is {crc:08x}, expected {member.crc:08x}: its "
            f"{member.size} bytes were damaged or replaced (byte {member.offset})."
        )
    return raw


def _read_end(file: BinaryIO, file_size: int) -> tuple[int, int | None]:
    """Return the byte behind the last record of the directory, as zipfile finds it.

    And how many files the directory has, None if the record has no room for the number.
    """
    size, (at,) = DIRECTORY_RECORDS[END_SIGNATURE]
    n_bytes = min(file_size, size + 2**16)
    memory = np.empty(n_bytes, dtype=np.uint8)
    read_into(file, file_size - n_bytes, memory, n_bytes)
    tail = memory.tobytes()
    first = tail.rfind(END_SIGNATURE)
    comment = _number(tail, first + at, 2)
    end = min(file_size, file_size - n_bytes + first + size + comment)
    n_listed: int | None = _number(tail, first + N_FILES, 2)
    if n_listed == 2**16 - 1:
        n_listed = _read_large(file, tail[:first])
    return end, n_listed if first >= 0 else None


def _read_large(file: BinaryIO, before_end: bytes) -> int | None:
    """Return how many files the large record of a directory tells, None if it is not there."""
    place = before_end[-DIRECTORY_RECORDS[PLACE_SIGNATURE][0] :]
    memory = np.empty(DIRECTORY_RECORDS[LARGE_SIGNATURE][0], dtype=np.uint8)
    if not place.startswith(PLACE_SIGNATURE):
        return None
    at = _number(place, PLACE_OF_LARGE, 8)
    n_read = read_into(file, at, memory, memory.size) if at < 2**63 else 0
    record = memory[:n_read].tobytes()
    is_there = n_read == memory.size and record.startswith(LARGE_SIGNATURE)
    return _number(record, LARGE_N_FILES, 8) if is_there else None


def _number(raw: bytes, at: int, n_bytes: int) -> int:
    return int.from_bytes(raw[at : at + n_bytes], "little")


def _name_of(raw: bytes) -> str | None:
    """Return the name in the header of a file, None if there is none."""
    if len(raw) < LOCAL_HEADER.itemsize or raw[:4] != LOCAL_SIGNATURE:
        return None
    header = np.frombuffer(raw, LOCAL_HEADER, 1)[0]
    first = LOCAL_HEADER.itemsize
    encoding = "utf-8" if header["flags"] & IS_UTF8 else "cp437"
    return raw[first : first + int(header["name_length"])].decode(encoding, "replace")


def _begin(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(8)


def _read_members(
    file: BinaryIO, path: str | Path, file_size: int, n_listed: int | None
) -> dict[str, Member]:
    """Read the zip's own directory."""
    with zipfile.ZipFile(file) as archive:
        found = archive.infolist()
    if n_listed is not None and len(found) != n_listed:
        raise zipfile.BadZipFile(
            f"the directory has {len(found)} files, expected {n_listed} by its last record"
        )
    members = {}
    for entry in found:
        head = LOCAL_HEADER.itemsize
        if entry.header_offset < 0 or entry.header_offset + head > file_size:
            raise zipfile.BadZipFile(
                f"the directory has {entry.filename!r:.80} at byte {entry.header_offset}, "
                f"the file {file_size} bytes"
            )
        if entry.header_offset + head + entry.compress_size > file_size:
            raise zipfile.BadZipFile(
                f"the directory has {entry.compress_size} bytes for {entry.filename!r:.80} "
                f"from byte {entry.header_offset} on, the file {file_size} bytes"
            )
        if entry.compress_type not in (STORED, DEFLATED) or (
            entry.flag_bits & IS_ENCRYPTED
        ):
            raise FileFormatError(
                f"{path}: {entry.filename!r:.80} is compressed with method "
                f"{entry.compress_type} or encrypted, expected method {STORED} or {DEFLATED} "
                f"(byte {entry.header_offset})."
            )
        members[entry.filename] = Member(
            entry.header_offset,
            entry.compress_size,
            entry.file_size,
            entry.CRC,
            entry.compress_type == DEFLATED,
        )
    return members


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
    memory = np.empty(LOCAL_HEADER.itemsize + _MOST_NAME, dtype=np.uint8)
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
        if is_new and _name_of(_read_at(file, member.offset, memory)) == name:
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
    name = _name_of(raw)
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
    return Member(offset, size, n_bytes, int(header["crc"]), is_deflated)


def _inflate(path: str, name: str, member: Member, raw: np.ndarray) -> np.ndarray:
    """Inflate no more than the directory says."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(raw, max(1, member.n_bytes))
    except zlib.error as exc:
        raise CorruptFileError(
            f"{path}: {name} cannot be inflated: {exc} (byte {member.offset})."
        ) from exc
    return np.frombuffer(inflated, dtype=np.uint8)
