"""What slices, detectors and images a file has, and their headers."""

import itertools
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.eds import build_axis, clean_units
from rsciio_xfm.core.hdf5.links import Dataset, Group, get, get_each, linked
from rsciio_xfm.core.hdf5.sizes import check_size, is_numeric
from rsciio_xfm.core.hdf5.small import read_small, read_text, text_of
from rsciio_xfm.core.hdf5.stored import check_filters
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.oxford.layout import (
    CELLS,
    DATA,
    EDS,
    HEADER,
    MANUFACTURER,
    OF_FILE,
    OXFORD,
    SPECTRUM,
    STEPS,
    UNIT,
    VERSION,
)

_MOST_CELLS = 2**31
_MOST_STEP = 1e6  # µm between pixels
_MOST_ITEMS = 1024  # of a header
_MOST_SLICES = 2**20
_MOST_DEPTH = 4
_NUMBER = re.compile(r"\d{1,9}$", re.ASCII)


@dataclass(frozen=True)
class Slice:
    """A map, or a feature of a particle analysis.

    Attributes
    ----------
    path
        Of the file.
    name
        Number of the slice, as the name of its group.
    group
        Itself.
    tree
        What the file says of itself.
    """

    path: Path
    name: str
    group: Group
    tree: dict[str, Any]

    def find_eds(self) -> list["Part"]:
        """Return what each EDS detector measured, in the order of their numbers."""
        names = sorted(filter(EDS.fullmatch, _names(self.group)), key=_number_of)
        _warn_of_gaps(f"{self.path}: {self.name}", names)
        parts = []
        for name in names:
            part = find_part(self, name)
            if part is None:
                warn(
                    f"{self.path}: {self.name}/{name} holds no group {DATA} that can be read: "
                    "this detector is left out."
                )
            else:
                parts.append(part)
        return parts

    def has(self, name: str) -> bool:
        """Tell whether there is something of a name, without looking at it."""
        return bool(linked(self.group, [name]))


def _warn_of_gaps(where: str, names: list[str]) -> None:
    """Say so if a detector is missing among those that are numbered."""
    numbers = [int(name[3:]) for name in names if name[3:]]
    if numbers and numbers[-1] > len(numbers):
        warn(
            f"{where} holds {', '.join(names):.100}, expected EDS1 to EDS{numbers[-1]}: what "
            "others measured is missing."
        )


@dataclass(frozen=True)
class Part:
    """What was measured by a detector, or the images, of a slice.

    Attributes
    ----------
    owner
        The slice.
    name
        Of its group.
    data, header
        The groups in it.
    tree
        Numbers and text of the header.
    """

    owner: Slice
    name: str
    data: Group
    header: Group | None
    tree: dict[str, Any] = field(repr=False)

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.owner.path

    @property
    def where(self) -> str:
        """File and group, for messages."""
        return f"{self.path}: {self.owner.name}/{self.name}"

    @property
    def byte(self) -> str:
        """Where the group is in the file, for messages."""
        return f"(byte {h5py.h5o.get_info(self.data.id).addr})"

    @property
    def spectra(self) -> Dataset | None:
        """All spectra, if they were exported."""
        found = get(self.data, SPECTRUM)
        return found if isinstance(found, Dataset) else None

    def number(self, name: str) -> float | None:
        """Return a number of the header, None if there is none."""
        return meta.number(self.tree.get(name))

    def text(self, name: str) -> str | None:
        """Return a text of the header, None if there is none."""
        value = self.tree.get(name)
        return value if isinstance(value, str) and value else None

    def shape(self) -> tuple[int, int]:
        """Return how many rows and columns of pixels there are.

        Raises
        ------
        FileFormatError
            The header does not tell, or cannot be true.
        """
        sizes = [self.number(name) for name in CELLS]
        for name, size in zip(CELLS, sizes, strict=True):
            if size is None or size < 1 or size % 1:
                found = "not there" if size is None else f"{size:g}"
                raise FileFormatError(
                    f"{self.where}: {name} is {found}, expected a whole number, at least 1 "
                    f"{self.byte}."
                )
        n_rows, n_columns = (int(size or 0) for size in sizes)
        if n_rows * n_columns > _MOST_CELLS:
            raise FileFormatError(
                f"{self.where}: {' and '.join(CELLS)} are {n_rows} and {n_columns}, expected "
                f"at most {_MOST_CELLS} pixels {self.byte}."
            )
        return n_rows, n_columns

    def axes(self, shape: tuple[int, int], *, navigate: bool = True) -> list[dict]:
        """Describe the axes y and x; x alone of a line."""
        names = [("y", STEPS[0]), ("x", STEPS[1])]
        axes = [
            build_axis(name, size, *self._step(step), navigate=navigate)
            for (name, step), size in zip(names, shape, strict=True)
        ]
        return axes[1:] if shape[0] == 1 else axes

    def _step(self, name: str) -> tuple[float | None, str | None]:
        """Return a step and its unit; None if it cannot be one."""
        step = self.number(name)
        if step is not None and step > _MOST_STEP:
            warn(
                f"{self.where}: {name} is {step:g}, expected µm: the axis counts pixels "
                f"{self.byte}."
            )
            return None, None
        if step is None or step <= 0 or self.header is None:
            return None, None
        item = get(self.header, name)
        return step, clean_units(text_of(item.attrs.get(UNIT))) or "µm"

    def values(self, name: str, n_pixels: int) -> np.ndarray | None:
        """Return float64 values of the pixels, one after the other; None if there are none."""
        shapes = ((n_pixels,), (n_pixels, 1))
        found = read_small(self.path, self.data, name, shapes)
        return None if found is None else found.ravel()


def find_slices(path: Path, root: Group) -> list[Slice]:
    """Return the slices of a file in the order of their numbers.

    Parameters
    ----------
    path, root
        The file, from :func:`rsciio_xfm.core.hdf5.links.open_checked`.

    Raises
    ------
    FileFormatError
        It is no such file, or has none.
    """
    tree = {name: _value(path, get(root, name)) for name in OF_FILE}
    if tree[VERSION] is None and tree[MANUFACTURER] != OXFORD:
        raise FileFormatError(
            f"{path}: {VERSION} is not there and {MANUFACTURER} is "
            f"{tree[MANUFACTURER]!r:.60}, expected them of a .h5oina file, and {OXFORD!r} "
            "(byte 0, the whole file). Of other HDF5 files, hs.load(..., "
            'file_format="ESRF") reads maps.'
        )
    tree = {name: value for name, value in tree.items() if value is not None}
    names = sorted(filter(_NUMBER.fullmatch, _names(root, _MOST_SLICES)), key=_number_of)
    pairs = ((name, get(root, name)) for name in names)
    found = [
        Slice(path, n, group, tree) for n, group in pairs if isinstance(group, Group)
    ]
    if not found:
        raise FileFormatError(
            f"{path}: the file has no slices, expected a group 1 (byte 0, the whole file)."
        )
    return found


def find_part(owner: Slice, name: str) -> Part | None:
    """Return what is in a group of a slice; None if there is no such group with data."""
    group = get(owner.group, name)
    data = get(group, DATA) if isinstance(group, Group) else None
    if not isinstance(data, Group):
        return None
    header = get(group, HEADER)
    if not isinstance(header, Group):
        return Part(owner, name, data, None, {})
    return Part(owner, name, data, header, _read_tree(owner.path, header))


def read_tables(part: Part, name: str, n_pixels: int) -> dict[str, np.ndarray]:
    """Return the values of the pixels that a group has for each line or element, by name."""
    group = part.data if not name else get(part.data, name)
    if not isinstance(group, Group):
        return {}
    own = Part(part.owner, part.name, group, part.header, part.tree)
    pairs = ((key, own.values(key, n_pixels)) for key in _names(group))
    return {key: values for key, values in pairs if values is not None}


def read_image(path: Path, item: Dataset, shape: tuple[int, int]) -> np.ndarray | None:
    """Return the pixels of an image, of the type that they are stored in.

    Returns
    -------
    numpy.ndarray or None
        None if it is not of so many numbers.
    """
    if not is_numeric(item) or item.size != math.prod(shape):
        return None
    check_size(path, item)
    check_filters(path, item)
    return item[()].astype(item.dtype.newbyteorder("="), copy=False).reshape(shape)


def _read_tree(path: Path, group: Group, depth: int = 0) -> dict[str, Any]:
    """Return numbers and text of a header, and of groups in it."""
    tree: dict[str, Any] = {}
    for name, item in get_each(group, _names(group)):
        if isinstance(item, Group) and depth < _MOST_DEPTH:
            tree[name] = _read_tree(path, item, depth + 1)
        elif (value := _value(path, item)) is not None:
            tree[name] = value
    return meta.clean(tree)


def _value(path: Path, item: Any) -> Any:
    """Return a number or a text; None of anything else."""
    if not isinstance(item, Dataset) or item.shape is None or item.size != 1:
        return None
    if not is_numeric(item):
        return read_text(path, item.parent, item.name.rsplit("/", 1)[-1]) or None
    check_size(path, item)
    check_filters(path, item)
    return item[()].ravel()[0].item() if item.shape else item[()].item()


def _names(group: Group, most: int = _MOST_ITEMS) -> list[str]:
    """Return the names in a group, no more than a file has that was not made to harm."""
    names: Iterable[Any] = itertools.islice(group, most)
    return [name for name in names if isinstance(name, str)]


def _number_of(name: str) -> int:
    """Return the number at the end of a name, 0 if there is none."""
    found = _NUMBER.search(name)
    return int(found[0]) if found else 0
