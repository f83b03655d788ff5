"""Small datasets of an HDF5 file: text, and numbers that are read whole."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.hdf5.links import get
from rsciio_xfm.core.hdf5.sizes import check_size, is_numeric

MOST_SMALL = 2**26  # bytes of a counter, or of positions
_MOST_TEXT = 2**16


def text_of(value: Any) -> str:
    """Return text that HDF5 holds in one of its ways; '' for anything else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def read_text(path: Path, group: h5py.Group, name: str) -> str:
    """Return the text of a small dataset; '' if there is none."""
    item = get(group, name)
    if not isinstance(item, h5py.Dataset) or item.shape is None or item.size != 1:
        return ""
    if item.dtype.kind not in "SO" or item.dtype.itemsize > _MOST_TEXT:
        return ""
    check_size(path, item)
    return text_of(item[()])


def read_small(
    path: Path, group: h5py.Group, name: str, shapes: tuple[tuple[int, ...], ...]
) -> np.ndarray | None:
    """Read a small dataset of numbers.

    Returns
    -------
    numpy.ndarray or None
        float64; None if there are no numbers of such a shape.
    """
    item = get(group, name)
    if not isinstance(item, h5py.Dataset) or item.shape not in shapes:
        return None
    if not is_numeric(item) or item.nbytes > MOST_SMALL:
        return None
    check_size(path, item)
    return item[()].astype(np.float64)
