"""Where the maps are in an HDF5 file, through all links."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from errno import ENOENT
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.hdf5.extra import has_extra
from rsciio_xfm.core.hdf5.links import Dataset, Group, get, get_each, link_of
from rsciio_xfm.core.hdf5.sizes import is_numeric
from rsciio_xfm.core.hdf5.small import text_of
from rsciio_xfm.core.names import natural
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.hdf5_maps.layout import (
    INSTRUMENT,
    INTERPRETATION,
    MEASUREMENT,
    SPECTRA,
    XRM_ROOTS,
)
from rsciio_xfm.formats.hdf5_maps.layouts import MASTER_ROWS
from rsciio_xfm.formats.hdf5_maps.match import Match, match

IMAGE = ("image", "rgb-image", "rgba-image")
_MOST_DEPTH = 32
_MOST_OBJECTS = 2**20
_MOST_OPENED = 256  # objects beside a dataset that is named
_UNREADABLE = "what HDF5 cannot read"
_SHOWN = 12
_MOST_LINKED = 32  # rows that a master links to and that are opened together
_SAVED = "biufc"  # kinds of numbers that are written here


@dataclass
class Found:
    """A dataset of numbers, wherever it was found.

    Attributes
    ----------
    name
        Path of it, the first that was found.
    dataset
        Itself.
    parents
        The groups that it is in, through links too.
    entry
        The scan that it belongs to, if any.
    layout
        ``"scan"``, ``"nexus"``, ``"map"`` (PyXRF, xraylarch), ``"saved"`` (here), the name of
        one of :data:`rsciio_xfm.formats.hdf5_maps.layouts.LAYOUTS`, or ``""``.
    root
        The file that was opened first.
    match
        How it is one of `LAYOUTS`.
    rows
        Of a master, the parts of the map: by what tells them apart, None if not there.
    """

    name: str
    dataset: h5py.Dataset
    parents: list[h5py.Group] = field(default_factory=list)
    entry: h5py.Group | None = None
    layout: str = ""
    root: Group | None = None
    match: Match | None = None
    rows: dict[str, "Found | Link | None"] = field(default_factory=dict)

    @property
    def known(self) -> Match:
        """Its layout in the table; an error for spectra that have none."""
        if self.match is None:
            raise ValueError(f"{self.name} is of no layout, expected one of the table.")
        return self.match

    @property
    def interpretation(self) -> str:
        """What its attribute says that it is, or that of an NXdata whose signal it is."""
        own = text_of(self.dataset.attrs.get(INTERPRETATION))
        name = self.name.rsplit("/", 1)[-1]
        for group in () if own else self.parents:
            if text_of(group.attrs.get("signal")) == name:
                own = own or text_of(group.attrs.get(INTERPRETATION))
        return own


@dataclass(frozen=True)
class Link:
    """A row that a master links to, in a file that was not opened.

    Attributes
    ----------
    group, name
        The link.
    path
        Of the spectra, from where it leads.
    """

    group: Group
    name: str
    path: str


@dataclass
class Contents:
    """What was found in a file.

    Attributes
    ----------
    datasets
        All datasets, by an identity that does not depend on links.
    entries
        Scans, by the path of their group.
    missing
        By the path of a link, what it points to and is not there.
    unopened
        By the path of the link to a row of a map, the group that it is in: of many, one is
        opened.
    """

    datasets: dict[tuple[int, int], Found] = field(default_factory=dict)
    entries: dict[str, h5py.Group] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    unopened: dict[str, Group] = field(default_factory=dict)

    def maps(self) -> list[Found]:
        """Return the maps of spectra, in order of their paths."""
        return [found for found in self.datasets.values() if found.layout]


def listed_axes(group: h5py.Group) -> list[str]:
    """Return the names of axes that an NXdata gives."""
    listed = group.attrs.get("axes", ())
    if isinstance(listed, str | bytes):
        listed = [listed]
    return [text_of(name) for name in listed] if np.iterable(listed) else []


def find_contents(file: Group, wanted: list[str] | None = None) -> Contents:
    """Go through a file and all files that it links to, every object once.

    Parameters
    ----------
    file
        The file.
    wanted
        Paths. If all of them exist, only the groups of the root that they are in are gone
        through: a file may hold hundreds of scans. If all are datasets, large groups are not
        gone through but for what leads to these: a scan may hold thousands of counters.
    """
    contents = Contents()
    groups, ways = _where_to_begin(file, wanted)
    seen = {_identity(group) for _, group, _, _ in groups}
    # Breadth first, so that the shortest path is the name of an object.
    for name, group, outer, depth in groups:
        entry, measurement = outer, get(group, MEASUREMENT)
        if isinstance(measurement, h5py.Group):
            entry = group
            contents.entries[name] = group
        keys = _ordered(group if ways is None else ways.keys(group, measurement))
        if ways is None and MASTER_ROWS.fullmatch(name) and len(keys) > _MOST_LINKED:
            keys = _leave_rows(contents, name, group, keys)
        for key, item in get_each(group, keys):
            path = f"{name}/{key}" if name else key
            if item is None:
                contents.missing[path] = _target(group, key)
            elif isinstance(item, h5py.Dataset):
                _add(contents, path, item, group, entry)
                contents.datasets[_identity(item)].root = file
            elif isinstance(item, h5py.Group) and depth < _MOST_DEPTH:
                identity = _identity(item)
                if identity not in seen and len(seen) < _MOST_OBJECTS:
                    seen.add(identity)
                    groups.append((path, item, entry, depth + 1))
    for found in contents.datasets.values():
        found.layout = _layout_of(found)
    return contents


def _leave_rows(
    contents: Contents, name: str, group: Group, keys: list[str]
) -> list[str]:
    """Return all names but those of rows after the first one that is there."""
    rows = [key for key in keys if isinstance(link_of(group, key), h5py.ExternalLink)]
    rows.sort(key=natural)
    n = next((i for i, key in enumerate(rows) if get(group, key) is not None), len(rows))
    left = rows[n + 1 :]
    contents.unopened |= {f"{name}/{key}": group for key in left}
    return [key for key in keys if key not in set(left)]


def join_rows(contents: Contents, chosen: list[Found]) -> list[Found]:
    """Put the parts of maps that masters link to together.

    Parameters
    ----------
    contents
        The file; links to what is missing are parts as well.
    chosen
        Datasets.

    Returns
    -------
    list of Found
        One for each map and detector, with its `rows`.
    """
    joined: dict[tuple, Found] = {}
    others = []
    for found in chosen:
        if found.match is None or "row" not in found.match.groups:
            others.append(found)
            continue
        # What comes before it is of all parts.
        row = found.match.groups["row"]
        matched = re.fullmatch(found.match.layout.spectra, found.name)
        place = found.name[: matched.start("row")] if matched else found.name
        joined.setdefault((found.layout, place), found).rows[row] = found
    for (_, place), first in joined.items():
        gone = [n[len(place) :] for n in contents.missing if n.startswith(place)]
        first.rows |= {name: None for name in gone if "/" not in name}
        rest = first.name[len(place) :].split("/", 1)[-1]
        for path, group in contents.unopened.items():
            if path.startswith(place):
                name = path[len(place) :]
                first.rows[name] = Link(group, name, rest)
        first.rows = {key: first.rows[key] for key in sorted(first.rows, key=natural)}
    return [*others, *joined.values()]


def _where_to_begin(
    file: Group, wanted: list[str] | None
) -> tuple[list[tuple[str, Group, Group | None, int]], "_Ways | None"]:
    """Return the groups to go through (name, group, scan, depth), and ways to datasets."""
    parts = [split_path(name) for name in wanted or ()]
    roots = list(dict.fromkeys(part[0] for part in parts if part))
    items = [get(file, "/".join(part)) for part in parts]
    are_groups = all(isinstance(get(file, root), h5py.Group) for root in roots)
    if not parts or not all(parts) or not are_groups or None in items:
        return [("", file, None, 0)], None
    ways = None
    if all(isinstance(item, h5py.Dataset) for item in items):
        ways = _Ways()
        for part, item in zip(parts, items, strict=True):
            ways.add(item)
            for n in range(1, len(part)):
                ways.add(get(file, "/".join(part[:n])))
    return [(root, file[root], None, 1) for root in roots], ways


class _Ways:
    """Datasets that are named, and the groups on the ways to them.

    What a link leads to is told by the address or the path that it gives, without opening it.
    """

    def __init__(self) -> None:
        self._places: set[tuple[int, int]] = set()
        self._paths: set[bytes] = set()
        self._n_left = _MOST_OPENED

    def add(self, item: Group | Dataset) -> None:
        """Add an object, and the groups that it is in."""
        while _identity(item) not in self._places:
            self._places.add(_identity(item))
            self._paths.add(h5py.h5i.get_name(item.id))
            item = item.parent

    def keys(self, group: Group, measurement: Any) -> Iterable[str]:
        """Return the names in a group that are gone through."""
        if isinstance(measurement, h5py.Group):
            self.add(measurement)
        n_links = group.id.get_num_objs()
        self._n_left -= n_links
        if self._n_left >= 0:
            return group
        self._n_left += n_links
        return self._leading(group)

    def _leading(self, group: Group) -> list[str]:
        """Return the names in a group of links to what is on the way."""
        links: list[tuple[bytes, int, int]] = []
        # HDF5 fills in the same description for each of them.
        group.id.links.iterate(
            lambda name, info: links.append((name, info.type, info.u)), info=True
        )
        fileno = h5py.h5o.get_info(group.id).fileno
        own = h5py.h5i.get_name(group.id).rstrip(b"/") + b"/"
        texts = self._paths | {path.removeprefix(own) for path in self._paths}
        sizes = {len(text) + 1 for text in texts}
        values = {
            name: group.id.links.get_val(name)
            for name, kind, size in links
            if kind == h5py.h5l.TYPE_SOFT and size in sizes
        }
        return [
            name.decode("utf-8", "replace")
            for name, kind, address in links
            if values.get(name) in texts
            or (kind == h5py.h5l.TYPE_HARD and (fileno, address) in self._places)
        ]


def split_path(name: Any) -> list[str]:
    """Return the parts of a path in a file."""
    return [part for part in str(name).split("/") if part not in ("", ".")]


def _ordered(names: Iterable[str]) -> list[str]:
    """Sort the names in a group; measured values come first, under their usual names."""
    # A name that is no text is damaged.
    keys = sorted((key for key in names if isinstance(key, str)), key=natural)
    if MEASUREMENT in keys:
        keys.remove(MEASUREMENT)
        keys.insert(0, MEASUREMENT)
    return keys


def _identity(item: h5py.Group | h5py.Dataset) -> tuple[int, int]:
    info = h5py.h5o.get_info(item.id)
    return info.fileno, info.addr


def _target(group: h5py.Group, key: str) -> str:
    """Say what a link points to."""
    link = link_of(group, key)
    if isinstance(link, h5py.ExternalLink):
        return f"{link.path} of the file {link.filename}"
    return link.path if isinstance(link, h5py.SoftLink) else _UNREADABLE


def _add(
    contents: Contents,
    path: str,
    dataset: h5py.Dataset,
    group: h5py.Group,
    entry: h5py.Group | None,
) -> None:
    identity = _identity(dataset)
    if identity not in contents.datasets:
        if len(contents.datasets) >= _MOST_OBJECTS:
            return
        contents.datasets[identity] = Found(path, dataset, entry=entry)
    found = contents.datasets[identity]
    found.parents.append(group)
    found.entry = found.entry or entry


def _layout_of(found: Found) -> str:
    """Return where spectra are from; '' if they are none."""
    dataset, name = found.dataset, found.name
    if dataset.shape is None or dataset.ndim == 0 or 0 in dataset.shape:
        return ""
    is_data = dataset.dtype.kind in _SAVED and name.rsplit("/", 1)[-1] == "data"
    if is_data and sum(has_extra(group) for group in found.parents) == 1:
        return "saved"
    if not is_numeric(dataset) or dataset.ndim < 2:
        return ""
    found.match = match(found)
    if found.match is not None:
        return found.match.layout.name
    root, *rest = name.split("/")
    if root in XRM_ROOTS:
        is_counts = dataset.ndim == 3 and len(rest) == 2 and rest[1] == "counts"
        return "map" if is_counts and not rest[0].startswith("xrd") else ""
    kind = found.interpretation
    if kind and kind != "spectrum":
        return ""
    if dataset.shape[-1] < 2:
        return ""
    *_, parent, own = ("", *name.split("/"))
    is_of_mca = parent.startswith("mca") and own in SPECTRA
    is_named = kind == "spectrum" or own.startswith("mca") or is_of_mca
    if found.entry is not None and dataset.ndim == 2:
        # Of other groups than those that hold what was measured: results.
        is_measured = any(part in (MEASUREMENT, INSTRUMENT) for part in name.split("/"))
        return "scan" if is_named or is_measured else ""
    return "nexus" if is_named else ""


def choose(
    path: Path, contents: Contents, wanted: list[str] | None, file: h5py.File
) -> list[Found]:
    """Return the datasets that are read.

    Parameters
    ----------
    path, contents, file
        The file.
    wanted
        Paths of datasets, or of groups whose maps are all wanted; None is all maps, or all
        images of a file without maps.

    Raises
    ------
    FileNotFoundError
        A path does not exist, or what it points to.
    FileFormatError
        There is no map.
    """
    maps = contents.maps()
    if wanted is None:
        _warn_missing(path, contents, bool(maps))
        if not maps:
            maps = [
                found
                for found in contents.datasets.values()
                if found.interpretation in IMAGE and is_numeric(found.dataset)
            ]
        if not maps:
            raise FileFormatError(
                f"{path}: the file holds no map of X-ray spectra that is known here: "
                f"{_list_all(contents)}. Choose one with dataset_path (byte 0, the whole "
                "file)."
            )
        return maps
    chosen: list[Found] = []
    for name in wanted:
        clean = "/".join(split_path(name))
        item = get(file, clean) if clean else file
        if item is None:
            gone = [
                k for k in contents.missing if clean == k or clean.startswith(f"{k}/")
            ]
            if gone:
                raise FileNotFoundError(
                    ENOENT,
                    f"{gone[0]} is a link to {contents.missing[gone[0]]}, which is not "
                    "there, expected beside it",
                    str(path),
                )
            raise FileNotFoundError(
                ENOENT,
                f"The file has no {name!r}, expected as dataset_path: {_list_all(contents)}",
                str(path),
            )
        if isinstance(item, h5py.Dataset):
            found = contents.datasets.get(_identity(item))
            chosen.append(found or Found(clean, item, [item.parent]))
            continue
        inside = [f for f in maps if not clean or f.name.startswith(f"{clean}/")]
        if not inside:
            raise FileFormatError(
                f"{path}: the group {name!r} holds no map of X-ray spectra that is known "
                f"here: {_list_all(contents)} (byte 0, the whole file)."
            )
        chosen += inside
    # What is named twice is read once.
    return list({_identity(found.dataset): found for found in chosen}.values())


def _warn_missing(path: Path, contents: Contents, has_maps: bool) -> None:
    """Name links to files that are not there, and what is damaged."""
    damaged = [name for name, to in contents.missing.items() if to == _UNREADABLE]
    if damaged:
        warn(
            f"{path}: HDF5 cannot read {', '.join(damaged[:_SHOWN])}"
            f"{' ...' if len(damaged) > _SHOWN else ''}: the file is damaged. They are left "
            "out."
        )
    gone = {name: to for name, to in contents.missing.items() if " of the file " in to}
    if not gone:
        return
    first = [f"{name} is {to}" for name, to in list(gone.items())[:_SHOWN]]
    text = (
        f"{path}: {len(gone)} links point to what is not there: {'; '.join(first)}"
        f"{' ...' if len(gone) > _SHOWN else ''}"
    )
    if not has_maps:
        raise FileNotFoundError(ENOENT, text.removeprefix(f"{path}: "), str(path))
    warn(f"{text}. They are left out.")


def _list_all(contents: Contents) -> str:
    """Name maps, or else all datasets of numbers of two axes and more."""
    found = [f.name for f in contents.maps()]
    if not found:
        found = [
            f"{f.name} {f.dataset.shape}"
            for f in contents.datasets.values()
            if is_numeric(f.dataset) and f.dataset.ndim > 1
        ]
    if not found:
        found = [f.name for f in contents.datasets.values()]
    shown = ", ".join(found[:_SHOWN]) or "no dataset"
    rest = len(found) - _SHOWN
    return f"found {shown}{f' and {rest} more' if rest > 0 else ''}"
