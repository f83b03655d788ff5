"""Where all of an HDF5 file points to, and whether that may be read.

For who hands a file to a reader that follows whatever it finds, or wants to know before
anything of it is read. What is read here is checked on the way: see
:mod:`rsciio_xfm.core.hdf5.links`.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import h5py

from rsciio_xfm.core.hdf5.links import Allowed, find
from rsciio_xfm.core.hdf5.open import DAMAGED, GuardedFile
from rsciio_xfm.core.source import advise_on_zeros, change_time, identify, open_unbuffered
from rsciio_xfm.exceptions import CorruptFileError


def check_links(path: str | Path, allow_outside: bool = False, advice: str = "") -> None:
    """Refuse a file if anything in it leads out of its folder, or to a damaged file.

    Every object of the file, and of all files that it leads to, is looked at.

    Parameters
    ----------
    path
        Of an HDF5 file.
    allow_outside
        Whether other folders may be read.
    advice
        How to allow it, for the error.

    Raises
    ------
    FileFormatError
        A file that is there is outside of the folder, or is no file.
    CorruptFileError
        What HDF5 trusts in one of the files is damaged; see
        :class:`rsciio_xfm.core.hdf5.open.GuardedFile`. Files that stand alone are not looked
        at here: they are read through it.
    """
    start = os.path.abspath(path)
    allowed = Allowed(start, allow_outside, advice)
    waiting, seen = [start], {start}
    while waiting:
        own = waiting.pop()
        with open_unbuffered(own) as file:
            identity = identify(file)
        found = _names_in(own, (*identity, change_time(own)))
        if found.damage and (found.names or own != start):
            raise CorruptFileError(found.damage)
        if found.unlisted and not allow_outside:
            raise CorruptFileError(
                f"{own}: HDF5 cannot list all that is in it: {found.unlisted}. So it cannot "
                "be told where links lead, expected a whole file (byte unknown). "
                + f"{advice}{advise_on_zeros(own)}".strip()
            )
        for name, kind in found.names:
            for target in find(own, name, kind):
                allowed.check(own, name, target)
                real = os.path.realpath(target)
                if real not in seen:
                    seen.add(real)
                    waiting.append(target)


class _Found(NamedTuple):
    """What was found in a file.

    Attributes
    ----------
    names
        Of other files, each with what leads there: ``"link"``, ``"virtual"`` or ``"bytes"``.
    damage
        What is damaged of what HDF5 trusts, if anything.
    unlisted
        Why not all of what is in the file could be listed, if so.
    """

    names: tuple[tuple[str, str], ...]
    damage: str
    unlisted: str


@lru_cache(maxsize=1024)
def _names_in(path: str, _: tuple[int, ...]) -> _Found:
    """Return names of other files in a file."""
    damage: list[str] = []
    names: dict[tuple[str, str], None] = {}
    unlisted = ""
    # A file that cannot be opened at all is left to whoever reads it, and so is no HDF5 file.
    with GuardedFile(path) as raw, _noting(damage), h5py.File(raw, "r") as file:
        try:
            for found in _walk(file, damage):
                names[found] = None
        except DAMAGED as exc:
            unlisted = str(exc)
    return _Found(tuple(names), damage[0] if damage else "", unlisted)


def _walk(file: h5py.File, damage: list[str]) -> Iterator[tuple[str, str]]:
    """Give the name of a file for each link and source that leads to one.

    Objects that cannot be opened are passed by. Where a group cannot be listed, what is in it
    could still be opened by its name.
    """
    groups, seen = [file], set()
    while groups:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield link.filename, "link"
            if not isinstance(link, h5py.HardLink):
                continue
            item = None
            with _noting(damage):
                item = group[name]
            if isinstance(item, h5py.Dataset):
                yield from _sources(item)
            elif isinstance(item, h5py.Group):
                place = h5py.h5o.get_info(item.id).addr
                if place not in seen:
                    seen.add(place)
                    groups.append(item)


class _noting(suppress):  # noqa: N801
    """Pass by what cannot be read; note what was refused before HDF5 saw it."""

    def __init__(self, damage: list[str]) -> None:
        super().__init__(*DAMAGED)
        self._damage = damage

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if isinstance(exc, CorruptFileError):
            self._damage.append(str(exc))
        return super().__exit__(kind, exc, trace)


def _sources(dataset: h5py.Dataset) -> Iterator[tuple[str, str]]:
    if dataset.is_virtual:
        # "." is the file itself; it is then opened by its name, too.
        for source in dataset.virtual_sources():
            yield source.file_name, "virtual"
    for name, *_ in dataset.external or ():
        yield os.fsdecode(name), "bytes"
