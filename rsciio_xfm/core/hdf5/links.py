"""Links of HDF5 files, followed here and not by HDF5: each is checked on the way.

HDF5 follows three kinds of names out of a file: external links, sources of virtual datasets,
and files with the bytes of a dataset. What is read is found through :class:`Group`, which
opens the files that are linked to itself, each through a guard, and looks at what a dataset is
made of before HDF5 does. What is not on the way to it is not looked at; that is done by
:func:`rsciio_xfm.core.hdf5.audit.check_links`.
"""

import glob
import itertools
import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from errno import EMFILE, ENFILE
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py

from rsciio_xfm.core.hdf5.open import open_hdf5
from rsciio_xfm.core.source import check_regular, identify, open_unbuffered
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError

_PREFIXES = ("HDF5_EXT_PREFIX", "HDF5_VDS_PREFIX", "HDF5_EXTFILE_PREFIX")
_MOST_LINKS = 16  # one after the other, as HDF5 follows them
Version = tuple[int, ...]


class RefusedLinkError(FileFormatError):
    """A link leads to where the user does not let it lead."""


class DamagedLinkError(CorruptFileError):
    """What a link leads to is damaged, or made of itself, for which HDF5 would never end."""


# What :func:`get` does not pass by.
_REFUSED = (RefusedLinkError, DamagedLinkError)


@dataclass(frozen=True)
class Allowed:
    """Where links of a file may lead: into its folder and below, or anywhere.

    Attributes
    ----------
    start
        Absolute path of the file that was opened first.
    outside
        Whether other folders may be read.
    advice
        How to allow it, for the error.
    """

    start: str
    outside: bool = False
    advice: str = ""

    @cached_property
    def folders(self) -> set[str]:
        """The folders that the file is in, by its name and in truth."""
        folders = (
            os.path.dirname(self.start),
            os.path.dirname(os.path.realpath(self.start)),
        )
        return {os.path.realpath(folder) for folder in folders}

    def check(self, own: str, name: str, target: str) -> None:
        """Refuse a name in a file that leads out of the folder.

        Parameters
        ----------
        own, name
            The file, and the name in it.
        target
            The file that HDF5 would open for it.

        Raises
        ------
        RefusedLinkError
            It is in another folder, or is no file.
        """
        real = os.path.realpath(target)
        inside = any(Path(real).is_relative_to(folder) for folder in self.folders)
        if not self.outside and not inside:
            raise RefusedLinkError(
                f"{own}: a link or a dataset leads to {name!r:.300}, which is {real}, "
                "expected a file in the folder of the file, "
                f"{os.path.dirname(self.start)} (byte unknown). {self.advice}"
            )
        try:
            check_regular(target)
        except FileFormatError as exc:
            raise RefusedLinkError(str(exc)) from exc


class Files:
    """The files that are open: the first one, and those that its links led to."""

    def __init__(self, allowed: Allowed, stack: ExitStack) -> None:
        self.allowed = allowed
        self._stack = stack
        self._places: dict[str, Place] = {}
        self._parts: dict[tuple[int, int], Parts] = {}

    def open(self, path: str, identity: Version | None = None, **options: Any) -> "Place":
        """Open a file, unless it is open, until all are closed."""
        real = os.path.realpath(path)
        if real not in self._places:
            file = self._stack.enter_context(open_hdf5(path, identity, **options))
            self._places[real] = Place(os.path.abspath(path), file, self)
        return self._places[real]

    def open_linked(self, path: str) -> "Place":
        """Open a file that a link leads to."""
        try:
            place = self.open(path)
            place.root  # noqa: B018
        except CorruptFileError as exc:
            raise DamagedLinkError(str(exc)) from exc
        return place

    @contextmanager
    def open_briefly(self, path: str) -> Iterator["Place"]:
        """Open a file, unless it is open: a dataset may be made of thousands."""
        real = os.path.realpath(path)
        if real in self._places:
            yield self._places[real]
            return
        with open_hdf5(path) as file:
            self._places[real] = Place(os.path.abspath(path), file, self)
            try:
                yield self._places[real]
            finally:
                del self._places[real]

    def open_by_name(self, path: str) -> h5py.File:
        """Open a file once more, so that HDF5 finds the other files of its datasets."""
        return self._stack.enter_context(open_hdf5(path, by_name=True))

    def parts_of(self, dataset: "Dataset") -> "Parts":
        """Check what a dataset is made of, once.

        Raises
        ------
        RefusedLinkError
            See :meth:`Allowed.check`.
        DamagedLinkError
            It is made of itself.
        """
        info = h5py.h5o.get_info(dataset.id)
        key = info.fileno, info.addr
        if key not in self._parts:
            self._parts[key] = Parts()
            self._parts[key] = _find_parts(dataset)
        elif not self._parts[key].is_known:
            raise DamagedLinkError(
                f"{dataset.place.path}: {dataset.name} is made of itself, expected other data "
                f"(byte {info.addr})."
            )
        return self._parts[key]


@dataclass(frozen=True)
class Parts:
    """What a dataset is made of.

    Attributes
    ----------
    files
        Path and identity of each file that is there.
    missing
        Files, or datasets in them, that are not there: HDF5 gives zeros for them.
    is_known
        False while it is looked for.
    """

    files: tuple[tuple[str, Version], ...] = ()
    missing: tuple[str, ...] = ()
    is_known: bool = False


def _find_parts(dataset: "Dataset") -> Parts:
    """Check the files of a dataset, and of the datasets that it is made of."""
    own, allowed = dataset.place.path, dataset.place.files.allowed
    for name, *_ in dataset.external or ():
        for target in find(own, os.fsdecode(name), "bytes"):
            allowed.check(own, os.fsdecode(name), target)
    files: dict[str, Version] = {}
    missing: list[str] = []
    sources = dataset.virtual_sources() if dataset.is_virtual else ()
    for file_name, name in {(s.file_name, s.dset_name): None for s in sources}:
        label = f"{name} of the file {file_name}"
        targets = find(own, file_name, "virtual")
        for target in targets:
            allowed.check(own, file_name, target)
        targets = [target for target in targets if h5py.is_hdf5(target)]
        for target in targets:
            with open_unbuffered(target) as raw:
                files[os.path.abspath(target)] = identify(raw)
            with dataset.place.files.open_briefly(target) as place:
                item = get(place.root, name)
                if isinstance(item, Dataset):
                    files |= dict(item.parts.files)
                    missing += item.parts.missing
                elif "%" not in name:  # of those that are numbered, some may be there
                    missing.append(label)
        if not targets and "%" not in file_name:
            missing.append(label)
    return Parts(tuple(files.items()), tuple(missing), True)


@dataclass(eq=False)
class Place:
    """A file that is open.

    Attributes
    ----------
    path
        Absolute.
    file
        Opened through the guard.
    files
        All that are open.
    """

    path: str
    file: h5py.File
    files: Files

    @cached_property
    def root(self) -> "Group":
        """Its first group."""
        return Group(self.file["/"].id, self)

    @cached_property
    def by_name(self) -> h5py.File:
        """The file as HDF5 opens it itself."""
        return self.files.open_by_name(self.path)

    def make(self, found: h5py.h5g.GroupID | h5py.h5d.DatasetID | h5py.h5t.TypeID) -> Any:
        """Make an object of h5py's that stays with its file."""
        if isinstance(found, h5py.h5g.GroupID):
            return Group(found, self)
        if not isinstance(found, h5py.h5d.DatasetID):
            return h5py.Datatype(found)
        dataset = Dataset(found, self)
        if dataset.is_virtual or dataset.external:
            parts = self.files.parts_of(dataset)
            dataset = Dataset(self.by_name[dataset.name].id, self)
            dataset.parts = parts
        return dataset


class Group(h5py.Group):
    """A group whose links are followed link by link, and checked."""

    def __init__(self, bind: h5py.h5g.GroupID, place: Place) -> None:
        super().__init__(bind)
        self.place = place

    def __getitem__(self, name: str | bytes) -> Any:
        # As bytes: what is no text is damaged, or of another program.
        path = name if isinstance(name, bytes) else name.encode("utf-8")
        return self._follow(path, itertools.count())

    def get(self, name: str | bytes, default: Any = None) -> Any:
        """Return what a path leads to, see :meth:`h5py.Group.get`."""
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str | bytes) and self.get(name) is not None

    @property
    def parent(self) -> "Group":
        """The group that it is in."""
        return self.place.root[posixpath.dirname(self.name)]

    def _follow(self, path: bytes, links: Iterator[int]) -> Any:
        """Go along a path; `links` counts those that were followed to get here."""
        found: Any = self.place.root if path.startswith(b"/") else self
        for part in path.split(b"/"):
            if part in (b"", b"."):
                continue
            if not isinstance(found, Group):
                raise KeyError(f"Unable to open {path!r}: {found.name} is no group")
            found = found._step(part, links)
        return found

    def _step(self, part: bytes, links: Iterator[int]) -> Any:
        if not self.id.links.exists(part):
            raise KeyError(f"Unable to open {part!r} of {self.name}: it is not there")
        kind = self.id.links.get_info(part).type
        if kind == h5py.h5l.TYPE_HARD:
            return self.place.make(h5py.h5o.open(self.id, part))
        if next(links) >= _MOST_LINKS:
            raise KeyError(f"Unable to open {part!r} of {self.name}: too many links")
        value = self.id.links.get_val(part)
        if kind == h5py.h5l.TYPE_SOFT:
            return self._follow(value, links)
        if kind != h5py.h5l.TYPE_EXTERNAL:
            raise KeyError(f"Unable to open {part!r} of {self.name}: a link of {kind}")
        place = self._open_linked(os.fsdecode(value[0]))
        return place.root._follow(value[1], links)

    def _open_linked(self, name: str) -> Place:
        """Open the file that an external link names."""
        target = self._find_linked(name)
        if target is None:
            raise KeyError(f"Unable to open the external file {name!r}")
        return self.place.files.open_linked(target)

    def _find_linked(self, name: str) -> str | None:
        """Return the path of the file that an external link names, None if there is none."""
        for target in candidates(self.place.path, name, "link"):
            if os.path.exists(target):
                self.place.files.allowed.check(self.place.path, name, target)
                if h5py.is_hdf5(target):
                    return target
                with open_unbuffered(target):  # too many files may be open
                    pass
        return None

    @contextmanager
    def linked_briefly(self, name: str) -> Iterator[Any]:
        """Follow an external link, and close its file afterwards: there may be thousands.

        Yields
        ------
        Group, Dataset or None
            None if nothing is there.
        """
        raw = name.encode("utf-8")
        file, path = self.id.links.get_val(raw)
        target = self._find_linked(os.fsdecode(file))
        if target is None:
            yield None
            return
        with self.place.files.open_briefly(target) as place:
            yield get(place.root, path.decode("utf-8", "replace"))


class Dataset(h5py.Dataset):
    """A dataset that knows the file it is in, and what it is made of.

    Attributes
    ----------
    place
        The file.
    parts
        Of one whose numbers are elsewhere, where.
    """

    def __init__(self, bind: h5py.h5d.DatasetID, place: Place) -> None:
        super().__init__(bind, readonly=True)
        self.place = place
        self.parts = Parts()

    @property
    def parent(self) -> Group:
        """The group that it is in."""
        return self.place.root[posixpath.dirname(self.name)]


@contextmanager
def open_checked(
    path: str | Path,
    identity: Version | None = None,
    allow_outside: bool = False,
    advice: str = "",
) -> Iterator[Group]:
    """Open an HDF5 file whose links are checked as they are followed.

    Parameters
    ----------
    path, identity
        The file, see :func:`rsciio_xfm.core.hdf5.open.open_hdf5`.
    allow_outside
        Whether links may lead to other folders than that of the file, and those below.
    advice
        How to allow it, for the error.

    Yields
    ------
    Group
        The first one. What is in it, and in the files that it links to, is found through it.

    Raises
    ------
    FileFormatError
        See :func:`rsciio_xfm.core.hdf5.open.open_hdf5`; or a link leads to another folder, or
        to what is no file.
    CorruptFileError
        See :func:`rsciio_xfm.core.hdf5.open.open_hdf5`; or a dataset is made of itself.

    Warns
    -----
    UserWarning
        The file is open for writing, or longer than it was when it was closed.
    """
    allowed = Allowed(os.path.abspath(path), allow_outside, advice)
    with ExitStack() as stack:
        files = Files(allowed, stack)
        yield files.open(str(path), identity, says_if_written=True).root


def get(group: Group, name: str) -> Any:
    """Return what a path in a group points to, None if there is nothing that can be read."""
    try:
        return group.get(name)
    except _REFUSED:
        raise
    except OSError as exc:
        if exc.errno in (EMFILE, ENFILE):  # it is there
            raise
        return None
    except (KeyError, RuntimeError, ValueError):
        return None


def get_each(group: Group, names: Iterable[str]) -> list[tuple[str, Any]]:
    """Return names in a group, with what each points to; see :func:`get`."""
    return [(name, get(group, name)) for name in names]


def linked(group: Group, names: Iterable[str]) -> set[str]:
    """Return which of some names a group has links of, wherever these lead."""
    try:
        return {name for name in names if group.id.links.exists(name.encode("utf-8"))}
    except (KeyError, OSError, RuntimeError, ValueError):  # it is damaged
        return set()


def link_of(group: h5py.Group, name: str) -> h5py.SoftLink | h5py.ExternalLink | None:
    """Return a link by what it says; None if it is a hard link."""
    raw = group._e(name)
    kind = group.id.links.get_info(raw).type
    if kind == h5py.h5l.TYPE_SOFT:
        return h5py.SoftLink(group._d(group.id.links.get_val(raw)))
    if kind == h5py.h5l.TYPE_EXTERNAL:
        filename, path = group.id.links.get_val(raw)
        return h5py.ExternalLink(os.fsdecode(filename), group._d(path))
    return None


def file_of(path: str | Path, dataset: h5py.Dataset) -> str:
    """Return the path of the file that a dataset is in, which links may have led to."""
    return dataset.place.path if isinstance(dataset, Dataset) else os.path.abspath(path)


def find(own: str, name: str, kind: str) -> list[str]:
    """Return what HDF5 may open for a name in a file.

    Parameters
    ----------
    own
        Path of the file.
    name
        That is in it.
    kind
        Of what: ``"link"``, ``"virtual"`` or ``"bytes"``.
    """
    if name == "." and kind == "virtual":
        return [own]
    there = [path for path in candidates(own, name, kind) if os.path.exists(path)]
    # The first one it can open is taken.
    if there and (kind == "bytes" or h5py.is_hdf5(there[0])):
        there = there[:1]
    if kind == "virtual" and "%" in name:  # numbered: see H5Pset_virtual
        pattern = "*".join(map(glob.escape, re.split(r"%\d*b", name)))
        pattern = pattern.replace("%%", "%")
        there += [p for c in candidates(own, pattern, kind) for p in glob.glob(c)]
    return there


def candidates(own: str, name: str, kind: str) -> Iterator[str]:
    """Yield where HDF5 looks for a name in a file, in its order.

    Source: HDF5 Reference Manual, H5Lcreate_external, H5Pset_virtual, H5Pset_external.

    Parameters
    ----------
    own, name, kind
        See :func:`find`.
    """
    if os.path.isabs(name):
        yield name
        name = os.path.basename(name)
    folders = [f for key in _PREFIXES for f in os.environ.get(key, "").split(":") if f]
    if kind != "bytes":  # these are looked for in the working folder only
        folders += [os.path.dirname(own), os.path.dirname(os.path.realpath(own))]
    yield from (os.path.join(folder, name) for folder in [*folders, ""])
