"""Which files are in a zip, as its directory says, and their bytes."""

import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from rsciio_xfm.core.source import LocalFile, identify, open_unbuffered, read_into
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.datastack.layout import (
    DEFLATED,
    ENTRY_SIGNATURE,
    IS_ENCRYPTED,
    IS_UTF8,
    LOCAL_HEADER,
    LOCAL_SIGNATURE,
    STORED,
)

MOST_NAME = 2**12
_MOST_HEADER = 2**17  # bytes of a name and an extra field
# Whatever a damaged directory does to zipfile.
_FAULTS = (
    zipfile.BadZipFile,
    EOFError,
    NotImplementedError,
    OSError,
    ValueError,
    LookupError,
    struct.error,
)


class DamagedZipError(CorruptFileError):
    """The directory of a zip is not there, or not right."""

    fault = ""


def _damaged(filename: str | Path, fault: str, at: int = 0) -> DamagedZipError:
    error = DamagedZipError(
        f"{filename}: the file is no zip, or is damaged: {fault}, expected a zip that begins "
        f"with {LOCAL_SIGNATURE!r} and ends with its directory (byte {at}). If it was cut, "
        "rsciio_xfm.datastack.repack makes a sound file of what is whole."
    )
    error.fault = fault
    return error


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
    span: int
    """Bytes from its header on in which header and file are."""


@dataclass(frozen=True)
class Directory:
    """The files in a zip.

    Attributes
    ----------
    source
        The zip; arrays may be appended to it while it is read.
    members
        By name; of several with one name, the last.
    fault
        What is wrong with the zip, if the members are those that were found whole in a
        damaged one.
    is_complete
        Whether all of what the directory, or older ones, list was found.
    """

    source: LocalFile
    members: dict[str, Member]
    fault: str | None = None
    is_complete: bool = True

    @property
    def path(self) -> str:
        """Of the zip, absolute."""
        return self.source.name


def read_directory(filename: str | Path) -> Directory:
    """Read which files are in a zip.

    Raises
    ------
    FileFormatError
        The file is no zip, or one of a kind that is not read here.
    DamagedZipError
        Its directory cannot be read.
    """
    with open_unbuffered(filename) as file:
        source = LocalFile(os.path.abspath(filename), identify(file), may_grow=True)
        try:
            with zipfile.ZipFile(file) as archive:
                entries, start = archive.infolist(), archive.start_dir
            for entry in entries:
                _check_entry(filename, entry, source.size)
        except FileFormatError:
            raise
        except _FAULTS as exc:
            if getattr(exc, "errno", None) is not None:
                raise
            file.seek(0)
            begin = f"{exc}; it begins with {file.read(len(LOCAL_SIGNATURE))!r}"
            raise _damaged(filename, begin) from exc
    return Directory(source, _read_members(entries, start, source.size))


def _check_entry(filename: str | Path, entry: zipfile.ZipInfo, file_size: int) -> None:
    """Refuse what is not in the file, and what is not read here."""
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
    others = entry.orig_filename.encode("utf-8", "replace"), entry.extra, entry.comment
    if any(ENTRY_SIGNATURE in text for text in others):
        # A length that was damaged: zipfile takes the next files for a part of this one.
        raise zipfile.BadZipFile(
            f"the directory has entries within that of {entry.filename!r:.80}"
        )
    is_known = entry.compress_type in (STORED, DEFLATED)
    if not is_known or entry.flag_bits & IS_ENCRYPTED:
        raise FileFormatError(
            f"{filename}: {entry.filename!r:.80} is compressed with method "
            f"{entry.compress_type} or encrypted, expected method {STORED} or {DEFLATED} "
            f"(byte {entry.header_offset})."
        )


def _read_members(
    entries: list[zipfile.ZipInfo], start: int, file_size: int
) -> dict[str, Member]:
    """Return the members; each reaches at most to where the next one begins."""
    offsets = np.array([entry.header_offset for entry in entries], dtype=np.int64)
    ends = np.unique([*offsets.tolist(), start, file_size])
    ends = ends[np.minimum(np.searchsorted(ends, offsets, side="right"), len(ends) - 1)]
    return {
        entry.filename: Member(
            entry.header_offset,
            entry.compress_size,
            entry.file_size,
            entry.CRC,
            entry.compress_type == DEFLATED,
            span_of(entry.header_offset, entry.compress_size, end),
        )
        for entry, end in zip(entries, ends.tolist(), strict=True)
    }


def span_of(offset: int, size: int, end: int) -> int:
    """Return how many bytes to read from the header of a file on.

    Parameters
    ----------
    offset, size
        Byte of the header, and bytes of the file without it.
    end
        Byte at which the next one begins. Before it there may be a hole; or it is a lie, and
        the file ends behind it.
    """
    least = LOCAL_HEADER.itemsize + size
    return max(least, min(end - offset, least + _MOST_HEADER))


def check_names(directory: Directory) -> None:
    """Compare the names in a directory with those before the files.

    That takes a look at each file, and is for a zip in which something seems to be missing.

    Raises
    ------
    DamagedZipError
        A name differs.
    """
    with open_unbuffered(directory.path) as file:
        memory = np.empty(LOCAL_HEADER.itemsize + MOST_NAME, dtype=np.uint8)
        for name, member in directory.members.items():
            n_read = read_into(file, member.offset, memory, memory.size)
            held = name_of(memory[:n_read].tobytes())
            is_same = held == name
            if held and len(name) > MOST_NAME:
                is_same = name.startswith(held)
            if not is_same:
                fault = f"its directory has {name!r:.80} where {held!r:.80} is"
                raise _damaged(directory.path, fault, member.offset)


def name_of(raw: bytes) -> str | None:
    """Return the name in the header of a file, None if there is none."""
    if len(raw) < LOCAL_HEADER.itemsize or raw[:4] != LOCAL_SIGNATURE:
        return None
    header = np.frombuffer(raw, LOCAL_HEADER, 1)[0]
    first = LOCAL_HEADER.itemsize
    encoding = "utf-8" if header["flags"] & IS_UTF8 else "cp437"
    return raw[first : first + int(header["name_length"])].decode(encoding, "replace")


def read_member(file: BinaryIO, path: str, name: str, member: Member) -> np.ndarray:
    """Read the bytes of a file in a zip.

    Returns
    -------
    numpy.ndarray
        uint8; checked against the zip's checksum.

    Raises
    ------
    CorruptFileError
        It is not as the directory says, or its checksum is another.
    """
    raw = np.empty(member.span, dtype=np.uint8)
    return unwrap(
        raw[: read_into(file, member.offset, raw, raw.size)], path, name, member
    )


def unwrap(raw: np.ndarray, path: str, name: str, member: Member) -> np.ndarray:
    """Return the bytes of a file in a zip from those of its span.

    Parameters
    ----------
    raw
        uint8, from its header on.
    path, name, member
        As of :func:`read_member`.

    Raises
    ------
    CorruptFileError
        See :func:`read_member`.
    """
    head = raw[: LOCAL_HEADER.itemsize]
    if head.size < LOCAL_HEADER.itemsize or head[:4].tobytes() != LOCAL_SIGNATURE:
        raise CorruptFileError(
            f"{path}: {name} is not where it was: found {raw[:4].tobytes()!r}, expected "
            f"{LOCAL_SIGNATURE!r} (byte {member.offset}). Was the file replaced? Load it "
            "again."
        )
    header = head.view(LOCAL_HEADER)[0]
    name_end = LOCAL_HEADER.itemsize + int(header["name_length"])
    held = name_of(raw[:name_end].tobytes())
    if held != name:
        raise CorruptFileError(
            f"{path}: {held!r:.80} is where the directory of the zip has {name} (byte "
            f"{member.offset}): it is damaged, or the file was replaced."
        )
    first = name_end + int(header["extra_length"])
    missing = first + member.size - raw.size
    if missing > 0:
        raise CorruptFileError(
            f"{path}: {name} ends early, expected {missing} bytes more (byte "
            f"{member.offset + raw.size})."
        )
    content = raw[first : first + member.size]
    if member.is_deflated:
        content = _inflate(path, name, member, content)
    crc = zlib.crc32(content.data)
    if crc != member.crc:
        raise CorruptFileError(
            f"{path}: the checksum of {name} is {crc:08x}, expected {member.crc:08x}: its "
            f"{member.size} bytes were damaged or replaced (byte {member.offset})."
        )
    return content


def _inflate(path: str, name: str, member: Member, raw: np.ndarray) -> np.ndarray:
    """Inflate no more than the directory says."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(raw.data, max(1, member.n_bytes))
    except zlib.error as exc:
        raise CorruptFileError(
            f"{path}: {name} cannot be inflated: {exc} (byte {member.offset})."
        ) from exc
    return np.frombuffer(inflated, dtype=np.uint8)
