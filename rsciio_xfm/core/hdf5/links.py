"""Where HDF5 files point to others, and whether these may be read.

HDF5 follows three kinds of names out of a file: external links, sources of virtual datasets,
and files with the bytes of a dataset. It looks for them in the order that
:func:`_candidates` has (HDF5 Reference Manual, H5Lcreate_external, H5Pset_virtual,
H5Pset_external).
"""

import glob
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import h5py

from rsciio_xfm.core.hdf5.safety import GuardedFile
from rsciio_xfm.core.source import advise_on_zeros, change_time, identify, open_unbuffered
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError

# What is raised of damaged files, among it what others raise too.
DAMAGED = (KeyError, OSError, OverflowError, RuntimeError, TypeError, ValueError)
_PREFIXES = ("HDF5_EXT_PREFIX", "HDF5_VDS_PREFIX", "HDF5_EXTFILE_PREFIX")


def stands_alone(path: str | Path, identity: tuple[int, ...]) -> bool:
    """Tell whether nothing in a file is in another one.

    HDF5 looks for that by the way the file was opened: in a file without a name, in itself.

    Parameters
    ----------
    path, identity
        Of an HDF5 file, see :func:`rsciio_xfm.core.source.identify`.
    """
    own = os.path.abspath(path)
    return not _names_in(own, (*identity, change_time(own))).names


def check_links(path: str | Path, allow_outside: bool, advice: str = "") -> None:
    """Refuse a file that leads HDF5 out of its folder, or to a damaged one.

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
        :class:`rsciio_xfm.core.hdf5.safety.GuardedFile`. Files that stand alone are not looked
        at here: they are read through it.

    Warns
    -----
    UserWarning
        The file is open for writing, or longer than it was when it was closed.
    """
    start = os.path.abspath(path)
    _check_end(path)
    folders = {os.path.dirname(start), os.path.dirname(os.path.realpath(start))}
    folders = {os.path.realpath(folder) for folder in folders}
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
            for target in _find(own, name, kind):
                real = os.path.realpath(target)
                if not allow_outside and not any(_is_within(real, f) for f in folders):
                    raise FileFormatError(
                        f"{own}: a link or a dataset leads to {name!r:.300}, which is {real}, "
                        "expected a file in the folder of the file, "
                        f"{os.path.dirname(start)} (byte unknown). {advice}"
                    )
                if real not in seen:
                    seen.add(real)
                    waiting.append(target)


def _check_end(path: str | Path) -> None:
    """Say that the file is being written, or that there are more bytes than HDF5 wrote.

    If there are fewer, HDF5 itself says so.
    """
    with GuardedFile(path) as file:
        size, expected = identify(file)[0], file.expected_size
    if file.is_marked_open:
        way = " (SWMR)" if file.is_marked_swmr else ""
        warn(
            f"{path}: the file says that a program has it open for writing{way}: what is read "
            "is what had been written so far, and an array that is computed later may find "
            "the file changed. Load it again when it is closed. If no program writes it any "
            "more, it was never closed."
        )
    elif size > expected:
        warn(
            f"{path}: the file has {size} bytes, expected {expected} by its header: it is "
            "being written, or was not closed, or bytes were inserted, as by a transfer as "
            "text, and then what is read can be wrong."
        )


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
        self, kind: type | None, exc: BaseException | None, trace: object
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


def _find(own: str, name: str, kind: str) -> list[str]:
    """Return what HDF5 may open for a name in a file."""
    if name == "." and kind == "virtual":
        return [own]
    there = [path for path in _candidates(own, name, kind) if os.path.exists(path)]
    # The first one it can open is taken.
    if there and (kind == "bytes" or h5py.is_hdf5(there[0])):
        there = there[:1]
    if kind == "virtual" and "%" in name:  # numbered: see H5Pset_virtual
        pattern = "*".join(map(glob.escape, re.split(r"%\d*b", name)))
        pattern = pattern.replace("%%", "%")
        there += [p for c in _candidates(own, pattern, kind) for p in glob.glob(c)]
    return there


def _candidates(own: str, name: str, kind: str) -> Iterator[str]:
    if os.path.isabs(name):
        yield name
        name = os.path.basename(name)
    folders = [f for key in _PREFIXES for f in os.environ.get(key, "").split(":") if f]
    if kind != "bytes":  # these are looked for in the working folder only
        folders += [os.path.dirname(own), os.path.dirname(os.path.realpath(own))]
    yield from (os.path.join(folder, name) for folder in [*folders, ""])


def _is_within(path: str, folder: str) -> bool:
    return Path(path).is_relative_to(folder)
