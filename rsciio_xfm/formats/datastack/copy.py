"""Arrays of a stack that go to another one as they are."""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from rsciio_xfm.core.source import check_unchanged, open_unbuffered
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.datastack.data import Stack, find_members, first_version
from rsciio_xfm.formats.datastack.index import read_member
from rsciio_xfm.formats.datastack.layout import (
    ATTRIBUTES,
    ATTRIBUTES_OF_2,
    GATHERED,
    MISSING,
    ROOT,
)
from rsciio_xfm.formats.datastack.parse import array_text, read_json, to_format_3
from rsciio_xfm.formats.datastack.write import put

Plan = tuple[dict[str, bytes], list[tuple[str, str]]]


def plan_copy(
    path: str | Path,
    stack: Stack,
    names: Collection[str],
    zarr_format: int,
    is_all: bool,
) -> Plan:
    """Plan what is written and what is copied, arrays under their first names.

    Parameters
    ----------
    path, stack
        Of the file that is read.
    names
        Of the arrays.
    zarr_format
        Of the new stack.
    is_all
        Whether what belongs to no array is copied too: groups, files of others.

    Returns
    -------
    written : dict of str to bytes
        Descriptions of arrays that come from format 2 into format 3, or of which chunks are
        missing: they say so.
    copied : list of (str, str)
        Names in the zip, and in the new one.

    Raises
    ------
    FileFormatError
        An array does not go into the new format.
    """
    written: dict[str, bytes] = {}
    copied: list[tuple[str, str]] = []
    for name in names:
        new_name, array = first_version(name), stack.arrays.get(name)
        lost = stack.missing.get(name) if stack.directory.fault else None
        if array is None or (array.zarr_format == zarr_format and not lost):
            copied += [
                (member, new_name + member[len(name) :])
                for member in find_members(stack.directory, name)
            ]
            continue
        if zarr_format < array.zarr_format:
            raise FileFormatError(
                f"{path}: {name!r} is of zarr's format {array.zarr_format}, expected "
                f"{zarr_format} to be kept as it is: use zarr_format={array.zarr_format}."
            )
        new = array if zarr_format == 2 else to_format_3(str(path), array)
        new = replace(new, name=new_name)
        if lost:
            own = new.attributes.get(ATTRIBUTES)
            own = (own if isinstance(own, dict) else {}) | {MISSING: lost}
            new = replace(new, attributes=new.attributes | {ATTRIBUTES: own})
        written |= array_text(new)
        indices = sorted(stack.chunks[name])
        copied += [(array.key(index), new.key(index)) for index in indices]
    if is_all:
        own = {*stack.names, *ROOT.values(), *GATHERED, ATTRIBUTES_OF_2}
        members = stack.directory.members
        copied += [(m, m) for m in members if m.split("/")[0] not in own]
    return written, copied


def copy(
    path: str | Path,
    stack: Stack,
    plan: Plan,
    archive: ZipFile,
    advance: Callable[[int], Any],
) -> None:
    """Write what :func:`plan_copy` planned into another zip.

    Raises
    ------
    CorruptFileError
        What is copied is damaged, or the file was changed meanwhile.
    """
    written, copied = plan
    for name, text in written.items():
        put(archive, name, text)
    with open_unbuffered(path) as source:
        check_unchanged(source, path, stack.directory.source.version)
        for name, new_name in copied:
            member = stack.directory.members[name]
            put(archive, new_name, read_member(source, str(path), name, member).tobytes())
            advance(member.size)


def root_attributes(path: str | Path, stack: Stack) -> dict[str, Any]:
    """Return the attributes of the root of a stack, of both formats."""
    found: dict[str, Any] = {}
    with open_unbuffered(path) as source:
        for name in (ATTRIBUTES_OF_2, ROOT[3]):
            member = stack.directory.members.get(name)
            if member is not None:
                raw = read_member(source, str(path), name, member).tobytes()
                tree = read_json(raw)
                attributes = tree if name == ATTRIBUTES_OF_2 else tree.get("attributes")
                found |= attributes if isinstance(attributes, dict) else {}
    return found
