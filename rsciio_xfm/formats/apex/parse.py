"""What an ``.edaxh5`` file holds, and the records in it."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.hdf5.links import Dataset, Group, get
from rsciio_xfm.core.hdf5.sizes import check_size
from rsciio_xfm.core.hdf5.small import MOST_SMALL, text_of
from rsciio_xfm.core.hdf5.stored import check_filters, number_type, shape_of
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.apex.layout import (
    COMPANY,
    EDAX,
    HEIGHT,
    KINDS,
    RECORD,
    SPECTRA,
    SUM,
    WIDTH,
)

_MOST_DEPTH = 6
_MOST_ITEMS = 4096  # of a group
_MOST_GROUPS = 2**16
_MOST_RECORD = 2**20  # bytes
_NUMBERS = "biuf"


@dataclass(frozen=True)
class Item:
    """A map, a line scan or a spectrum.

    Attributes
    ----------
    path
        Of the file.
    kind
        ``"map"``, ``"line"`` or ``"spectrum"``.
    name
        Of its group, from the project on.
    group, parent
        Itself, and the area that it is in.
    record, own
        Fields and attributes of SPC, and attributes of the spectra, by their names in small
        letters.
    assumed
        What whoever read it could not know, in words; more is added by :meth:`assume`.
    """

    path: Path
    kind: str
    name: str
    group: Group
    parent: Group
    record: dict[str, Any] = field(repr=False)
    own: dict[str, Any] = field(repr=False)
    assumed: list[str] = field(default_factory=list, repr=False)

    def assume(self, text: str) -> None:
        """Note what is assumed, for the warning."""
        self.assumed.append(f"{self.name}: {text}")

    @property
    def where(self) -> str:
        """File and group, for messages."""
        return f"{self.path}: {self.name}"

    @property
    def byte(self) -> str:
        """Where the group is in the file, for messages."""
        return f"(byte {h5py.h5o.get_info(self.group.id).addr})"

    @property
    def spectra(self) -> Dataset | None:
        """All spectra of a map or a line."""
        found = get(self.group, SPECTRA[self.kind]) if self.kind in SPECTRA else None
        return found if isinstance(found, Dataset) else None

    @property
    def total(self) -> np.ndarray | None:
        """The spectrum of SPC."""
        found = self.record.get(SUM.lower())
        is_spectrum = isinstance(found, np.ndarray) and found.ndim == 1 and found.size > 1
        return found if is_spectrum else None

    def has(self, *names: str) -> bool:
        """Tell whether one of some numbers is there, whatever it is."""
        return any(name in self.record or name in self.own for name in names)

    def number(self, *names: str) -> float | None:
        """Return the first of some numbers that is there."""
        both = self.record | self.own
        found = (meta.number(both.get(name)) for name in names)
        return next((value for value in found if value is not None), None)


def find_items(path: Path, root: Group) -> list[Item]:
    """Return the maps, line scans and spectra of a file.

    Parameters
    ----------
    path, root
        The file, from :func:`rsciio_xfm.core.hdf5.links.open_checked`.

    Raises
    ------
    FileFormatError
        It is no file of APEX.
    """
    projects = [(name, item) for name, item in _groups(root) if _is_of_edax(item)]
    if not projects:
        raise FileFormatError(
            f"{path}: no group has the attribute {COMPANY} of {EDAX}, expected one of an "
            ".edaxh5 file of APEX (byte 0, the whole file). Of other HDF5 files, hs.load(..., "
            'file_format="ESRF") reads maps.'
        )
    count = itertools.count()
    return [
        item for name, group in projects for item in _walk(path, group, name, 0, count)
    ]


def _is_of_edax(group: Group) -> bool:
    return text_of(group.attrs.get(COMPANY)).startswith(EDAX)


def _walk(
    path: Path, group: Group, name: str, depth: int, count: Iterator[int]
) -> Iterator[Item]:
    for key, inner in _groups(group):
        if next(count) > _MOST_GROUPS:
            raise FileFormatError(
                f"{path}: the file has more than {_MOST_GROUPS} groups, expected fewer (byte "
                "0, the whole file)."
            )
        kinds = [kind for kind, pattern in KINDS.items() if pattern.fullmatch(key)]
        own = f"{name}/{key}"
        if kinds:
            record = fields_of(path, get(inner, RECORD))
            said = attributes_of(get(inner, SPECTRA.get(kinds[0], RECORD)))
            yield Item(path, kinds[0], own, inner, group, record, said)
        if depth < _MOST_DEPTH:
            yield from _walk(path, inner, own, depth + 1, count)


def _groups(group: Group) -> Iterator[tuple[str, Group]]:
    for name in itertools.islice(group, _MOST_ITEMS):
        item = get(group, name) if isinstance(name, str) else None
        if isinstance(item, Group):
            yield name, item


def fields_of(path: Path, item: Any) -> dict[str, Any]:
    """Return the fields of a record, and its attributes, by name in small letters."""
    if not isinstance(item, Dataset) or item.shape is None or item.size != 1:
        return {}
    found: dict[str, Any] = {}
    if item.dtype.names and item.dtype.itemsize <= _MOST_RECORD:
        check_size(path, item)
        check_filters(path, item)
        record = np.ravel(item[()])[0]
        found = {name.lower(): _value(record[name]) for name in item.dtype.names}
    found |= attributes_of(item)
    return {name: value for name, value in found.items() if value is not None}


def attributes_of(item: Any) -> dict[str, Any]:
    """Return attributes of a dataset that are numbers or texts, by name in small letters."""
    if not isinstance(item, Dataset):
        return {}
    pairs = ((name, item.attrs.get(name)) for name in itertools.islice(item.attrs, 256))
    found = {name.lower(): _value(value) for name, value in pairs}
    return {name: value for name, value in found.items() if value is not None}


def _value(value: Any) -> Any:
    """Return a number, a text or an array of numbers; None of anything else."""
    array = np.asarray(value)
    if array.dtype.kind in _NUMBERS:
        return array.ravel()[0].item() if array.size == 1 else array
    return text_of(value) or None


def image_of(path: Path, item: Any, shape: tuple[int, ...] = ()) -> np.ndarray | None:
    """Return an image, rows first; None if it is none.

    Parameters
    ----------
    path, item
        The file, and perhaps a dataset.
    shape
        Rows and columns that it has to have; by default those that it says, or is stored in.
    """
    if not isinstance(item, Dataset) or item.shape is None:
        return None
    is_small = number_type(item).kind in _NUMBERS and item.nbytes <= MOST_SMALL
    if not shape:
        sizes = attributes_of(item)
        said = [meta.number(sizes.get(name.lower())) or 0 for name in (HEIGHT, WIDTH)]
        shape = tuple(map(int, said)) if min(said) > 0 else shape_of(item)
    if not is_small or len(shape) != 2 or 0 in shape or math.prod(shape) != item.size:
        return None
    check_size(path, item)
    check_filters(path, item)
    data = np.asarray(item[()]).reshape(shape)
    return data.astype(data.dtype.newbyteorder("="), copy=False)
