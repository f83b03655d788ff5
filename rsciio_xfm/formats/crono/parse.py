"""What is in a ``.HDF5`` file of CRONO, checked; what is opaque in it is never read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.hdf5.links import Dataset, Group, get, open_checked
from rsciio_xfm.core.hdf5.sizes import check_size, is_numeric
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.crono.layout import NAMES, SELECTED, SPECTRA, STATUS, TEXTS

_MOST_TEXT = 2**16
_MOST_NAMES = 4096
_S1 = np.dtype("S1")
_ADVICE = f'dataset_path="{SPECTRA}" reads all spectra in their order.'


@dataclass(frozen=True)
class File:
    """A file that is open.

    Attributes
    ----------
    path, root
        The file.
    spectra
        The dataset of all spectra, (spectra, channels).
    """

    path: Path
    root: Group
    spectra: Dataset

    def place(self, name: str) -> str:
        """Return where something is described in the file."""
        item = get(self.root, name)
        if not isinstance(item, Dataset | Group):
            return "(byte 0, the whole file)"
        return f"(byte {h5py.h5o.get_info(item.id).addr})"

    def numbers(self, name: str, *shapes: tuple[int, ...]) -> np.ndarray | None:
        """Read numbers of one of some shapes; None, with a warning, of another one."""
        item = get(self.root, name)
        if item is None:
            return None
        if (
            not isinstance(item, Dataset)
            or not is_numeric(item)
            or item.shape not in shapes
        ):
            found = (
                f"{item.shape} of {item.dtype}"
                if isinstance(item, Dataset)
                else "a group"
            )
            warn(
                f"{self.path}: {name} is {found}, expected numbers of the shape "
                f"{' or '.join(map(str, shapes))}: it is not used {self.place(name)}."
            )
            return None
        check_size(self.path, item)
        return np.asarray(item[()])

    def texts(self) -> dict[str, Any]:
        """Return texts of the file, and attributes of what says how the scanner was."""
        found: dict[str, Any] = {}
        for key, name in TEXTS.items():
            text = _text_of_dataset(self.path, get(self.root, name))
            if text:
                found[key] = text
        for key in STATUS:
            item = get(self.root, f"Configuration/{key}")
            attributes = {} if item is None else _attributes(item.attrs)
            if attributes:
                found[key] = attributes
        return found

    def names(self, n: int) -> list[str]:
        """Return the names of windows, their numbers where they have none."""
        item = get(self.root, NAMES)
        names: list[str] = []
        is_list = isinstance(item, Dataset) and item.shape == (n,) and n <= _MOST_NAMES
        if is_list and _is_text(item.dtype):
            check_size(self.path, item)
            names = [_join(value) for value in item[()]]
        return [name or f"window {i}" for i, name in enumerate(names or [""] * n)]


def is_crono(root: Group) -> bool:
    """Tell whether an HDF5 file is one of CRONO's."""
    return all(isinstance(get(root, name), Dataset) for name in (SPECTRA, SELECTED))


def recognizes(filename: str | Path) -> bool:
    """Tell by its content whether a file is one of CRONO's.

    Parameters
    ----------
    filename
        Path of any file.

    Examples
    --------
    >>> from rsciio_xfm.formats.crono import recognizes
    >>> recognizes("painting.HDF5")
    True
    """
    if not h5py.is_hdf5(filename):
        return False
    try:
        with open_checked(filename) as root:
            return is_crono(root)
    except (OSError, ValueError):
        return False


def find_spectra(path: Path, root: Group) -> File:
    """Find the spectra, and check what they are.

    Raises
    ------
    FileFormatError
        There are none.
    """
    item = get(root, SPECTRA)
    if not isinstance(item, Dataset):
        names = ", ".join(str(name) for name in list(root)[:8])
        raise FileFormatError(
            f"{path}: the file has no dataset {SPECTRA}, expected it of CRONO's (byte 0). "
            f'What is there: {names or "nothing"}. Other HDF5 files: file_format="ESRF".'
        )
    file = File(path, root, item)
    if item.ndim != 2 or item.dtype.kind not in "iu" or 0 in item.shape:
        raise FileFormatError(
            f"{path}: {SPECTRA} is {item.shape} of {item.dtype}, expected integers, a row of "
            f"channels for each spectrum {file.place(SPECTRA)}."
        )
    return file


def read_index(file: File) -> np.ndarray:
    """Read which spectrum each pixel has.

    Returns
    -------
    numpy.ndarray
        int64, (y, x).

    Raises
    ------
    FileFormatError
        It is not there, or of another shape.
    CorruptFileError
        A number is beyond the spectra.

    Warns
    -----
    UserWarning
        Many pixels have the spectrum 0, which may stand for none.
    """
    item = get(file.root, SELECTED)
    shape = item.shape if isinstance(item, Dataset) else None
    is_map = shape is not None and (
        len(shape) == 2 or (len(shape) == 3 and shape[2] == 1)
    )
    if not isinstance(item, Dataset) or not is_map or item.dtype.kind not in "iu":
        found = f"{shape} of {item.dtype}" if isinstance(item, Dataset) else "not there"
        raise FileFormatError(
            f"{file.path}: {SELECTED} is {found}, expected integers of the shape (y, x, 1) "
            f"{file.place(SELECTED)}. {_ADVICE}"
        )
    if 0 in item.shape:
        raise FileFormatError(
            f"{file.path}: {SELECTED} is {shape}, expected no axis of 0 "
            f"{file.place(SELECTED)}."
        )
    check_size(file.path, item)
    index = item[()].reshape(item.shape[:2])
    n = file.spectra.shape[0]
    is_wrong = (index < 0) | (index >= n) if index.dtype.kind == "i" else index >= n
    if is_wrong.any():
        y, x = (int(i) for i in np.unravel_index(int(is_wrong.argmax()), index.shape))
        raise CorruptFileError(
            f"{file.path}: {SELECTED} of pixel x {x}, y {y} is {index[y, x]}, expected 0 to "
            f"{n - 1}, the spectra that there are; {int(is_wrong.sum())} of {index.size} "
            f"pixels have such a number {file.place(SELECTED)}. {_ADVICE}"
        )
    n_first = int((index == 0).sum())
    if n_first > 2:
        warn(
            f"{file.path}: {SELECTED} is 0 at {n_first} of {index.size} pixels, expected each "
            "spectrum once or twice: they have the first spectrum, where perhaps nothing was "
            f"measured {file.place(SELECTED)}."
        )
    return index.astype(np.int64)


def _is_text(dtype: np.dtype) -> bool:
    """Tell whether numpy's objects are texts, or arrays of single letters."""
    return (
        h5py.check_vlen_dtype(dtype) == _S1 or h5py.check_string_dtype(dtype) is not None
    )


def _text_of_dataset(path: Path, item: Any) -> str:
    """Return the text of a dataset of letters; '' for anything else."""
    if not isinstance(item, Dataset) or not item.shape or item.size > _MOST_TEXT:
        return ""
    if item.dtype.kind != "S" and not _is_text(item.dtype):
        return ""
    if item.size * max(1, item.dtype.itemsize) > _MOST_TEXT:
        return ""
    check_size(path, item)
    return _join(item[()])


def _join(value: Any) -> str:
    """Return the text that is stored as an array of letters, or of such arrays."""
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        return " ".join(_join(part) for part in value.ravel())
    raw = value.tobytes() if isinstance(value, np.ndarray) else bytes(value)
    return raw.rstrip(b"\0").decode("utf-8", "replace").strip()


def _attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes that are numbers or texts; the others are not read."""
    found: dict[str, Any] = {}
    for name in list(attributes)[:_MOST_NAMES]:
        own = attributes.get_id(name)  # type: ignore[attr-defined]
        if own.dtype.kind not in "biufSU" and not _is_text(own.dtype):
            continue
        if own.get_storage_size() > _MOST_TEXT:
            continue
        value = attributes[name]
        if own.dtype.kind in "biuf":
            plain = np.asarray(value).tolist()
            found[name] = (
                plain[0] if isinstance(plain, list) and len(plain) == 1 else plain
            )
        else:
            found[name] = _join(value)
    return found
