"""The files of a project: an ``.asw`` file is a tree that names them, view by view."""

import os
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

import numpy as np

from rsciio_xfm.core.fields import read_fields
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.jeol import layout
from rsciio_xfm.formats.jeol.header_tree import read_tree
from rsciio_xfm.formats.jeol.parse import find

_MOST_BYTES = 2**24


class Member(NamedTuple):
    """A file of a project.

    Attributes
    ----------
    path
        Where it should be.
    described
        What the project says of it.
    """

    path: Path
    described: dict[str, Any]


def read_project(path: Path) -> tuple[dict[str, Any], list[Member]]:
    """Read a project.

    Parameters
    ----------
    path
        Of the ``.asw`` file.

    Returns
    -------
    tree : dict
        All that it says.
    members : list of Member
        Its files, in its order.

    Raises
    ------
    FileFormatError
        It is none, or names a file outside of its folder.

    Warns
    -----
    UserWarning
        It names no files.
    """
    source = LocalFile.of(path)
    (magic,) = read_fields(source, 0, np.dtype("<u4"))
    if magic != layout.MAGIC_ASW or source.size > _MOST_BYTES:
        raise FileFormatError(
            f"Not a valid JEOL asw format '{path}': it begins with {magic} and has "
            f"{source.size} bytes, expected {layout.MAGIC_ASW} and at most {_MOST_BYTES} "
            "(byte 0). It is no project of Analysis Station."
        )
    start = layout.TREE_START
    n_bytes = max(0, source.size - start)
    raw = read_fields(source, start, np.dtype("u1"), n_bytes).tobytes()
    tree = read_tree(str(path), raw, start, n_bytes)
    members = [
        Member(_path_of(path, described), described) for described in _find_members(tree)
    ]
    if not members:
        warn(f"{path}: the project has no views, or no files in them (byte {start}).")
    return tree, members


def _find_members(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for sample in _groups(tree.get("SampleInfo")):
        for view in _groups(sample.get("ViewInfo")):
            yield from _groups(view.get("ViewData"))


def _groups(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield from (group for group in tree.values() if isinstance(group, dict))


def _path_of(path: Path, described: dict[str, Any]) -> Path:
    name = find(described, "Filename")
    relative = PureWindowsPath(name) if isinstance(name, str) else PureWindowsPath("..")
    if (
        relative.anchor
        or ".." in relative.parts
        or not relative.name
        or "\0" in str(name)
    ):
        raise FileFormatError(
            f"{path}: a file of the project is {name!r:.80}, expected one below its folder "
            f"(byte {layout.TREE_START})."
        )
    return Path(os.path.abspath(path)).parent.joinpath(*relative.parts)
