"""Signals in NCEM's EMD files: those that were saved here, and maps of X-rays."""

import math
import traceback
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.eds import keep_dead_time_with_its_class
from rsciio_xfm.core.faults import UPSTREAM
from rsciio_xfm.core.hdf5.extra import has_extra, read_extra
from rsciio_xfm.core.hdf5.links import Group, get
from rsciio_xfm.core.hdf5.sizes import check_size
from rsciio_xfm.core.hdf5.stored import Arrangement, make_source
from rsciio_xfm.core.to_dask import (
    align_chunks,
    default_chunks,
    from_source,
    in_memory,
    read_all,
)
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.formats.ncem.layout import GROUP_TYPE

KINDS = "biufcV"  # of numbers, and of colours, that are read and written here
_EDS = "EDS"
_MANY_CHUNKS = 10_000
# Of data whose description is damaged, and that are not stored.
_MOST_UNKNOWN_BYTES = 2**22


def find_signals(
    file: Group, names: list[str] | None = None
) -> tuple[dict[str, Group], list[str]]:
    """Find the signals of an EMD file.

    Parameters
    ----------
    file
        The file.
    names
        Paths of data, which are there; None is all.

    Returns
    -------
    own : dict of str to Group
        By the path of their data, those that are read here: signals that were saved here, maps
        that RosettaSciIO saved.
    others : list of str
        Paths of the data of others.
    """
    own: dict[str, Group] = {}
    others: list[str] = []
    for name, group in _groups_of(file, names):
        data: Any = get(group, "data") if GROUP_TYPE in group.attrs else None
        is_data = isinstance(data, h5py.Dataset) and name.endswith("/data")
        if is_data and data.shape is not None and (has_extra(group) or _is_map(group)):
            own[name] = group
        elif is_data or names is not None:
            others.append(name)
    return own, others


def _groups_of(file: Group, names: list[str] | None) -> list[tuple[str, Group]]:
    """Return the groups of data that are named, or all groups, with the path of their data."""
    if names is not None:
        return [(name, file[name].parent) for name in names]
    found: list[tuple[str, Group]] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, Group):
            found.append((f"{name}/data", item))

    file.visititems(visit)
    return found


def read_signal(
    path: Path, group: Group, lazy: bool, chunks: Any
) -> dict[str, Any] | None:
    """Read one signal of an EMD file.

    Returns
    -------
    dict or None
        None if what was saved beside the data is damaged.

    Raises
    ------
    CorruptFileError
        The data claim to be larger than what is stored of them.
    """
    dataset = group["data"]
    if has_extra(group):
        signal = _read_saved(path, group)
    else:
        signal = _read_map_of_rosettasciio(path, dataset)
    if signal is None:  # RosettaSciIO reads it, in as many tasks as it has chunks
        check_size(path, dataset, _MOST_UNKNOWN_BYTES)
        return None
    order = tuple(range(dataset.ndim))[::-1]
    source = make_source(path, dataset, Arrangement(order))
    navigates = [axis["navigate"] for axis in signal["axes"]]
    is_map = dataset.ndim > 1 and navigates == [True] * (dataset.ndim - 1) + [False]
    data: Any
    if lazy and dataset.ndim > 1:
        data = from_source(source, _choose_chunks(source, chunks, is_map))
    elif lazy:
        data = in_memory(dataset[()], chunks)
    else:
        data = read_all(source, str(path), _choose_chunks(source, "auto", is_map))
    return signal | {"data": data, "post_process": [keep_dead_time_with_its_class]}


def _choose_chunks(source: FileArray, chunks: Any, is_map: bool) -> Any:
    """Return chunks that hold whole chunks of the file; of maps, whole rows of pixels."""
    if not (isinstance(chunks, str) and chunks == "auto"):
        return chunks
    row_axis = max(0, source.ndim - 3) if is_map else 0
    stored = source.stored_chunks
    if stored is None:
        return default_chunks(source.shape, source.dtype, row_axis)
    grid = zip(source.shape, stored, strict=True)
    is_few = math.prod(-(-size // chunk) for size, chunk in grid) <= _MANY_CHUNKS
    if is_few and not is_map:
        return stored
    return align_chunks(source.shape, source.dtype, row_axis, stored)


# What was saved here.


def _read_saved(path: Path, group: h5py.Group) -> dict[str, Any] | None:
    """Read axes and metadata as they were saved; None, with a warning, if they are not."""
    signal = read_extra(path, group, group["data"].shape[::-1])
    if signal is None:
        return None
    try:
        for axis in signal["axes"]:
            _check_calibration(path, group, axis)
    except (KeyError, TypeError, ValueError) as exc:
        warn(
            f"{path}: the coordinates of {group.name} cannot be read: {exc}. Expected what "
            "was saved with the data: signal type, axes and metadata are those of the EMD "
            "file alone."
        )
        return None
    return signal


def _check_calibration(path: Path, group: h5py.Group, axis: dict[str, Any]) -> None:
    """Take the calibration of an axis from the file, if another program changed it there."""
    name = f"dim{group['data'].ndim - axis['index_in_array']}"
    offset, second = (float(value) for value in group[name][:2])
    expected = axis["offset"], axis["offset"] + axis["scale"]
    if not np.allclose(
        (offset, second), expected, rtol=1e-9, atol=1e-9 * abs(axis["scale"])
    ):
        warn(
            f"{path}: {group.name}/{name} begins with {offset} and {second}, when it was "
            f"saved with {expected[0]} and {expected[1]}: it was changed since, and is used."
        )
        axis["offset"], axis["scale"] = offset, second - offset


# Maps that RosettaSciIO saved.


def _is_map(group: h5py.Group) -> bool:
    """Tell whether RosettaSciIO saved X-ray spectra: it writes the type, and reads none."""
    kind = group.attrs.get("signal_type", "")
    data = group["data"]
    return (
        isinstance(kind, str)
        and kind.startswith(_EDS)
        and data.dtype.kind in KINDS
        and all(f"dim{i + 1}" in group for i in range(data.ndim))
    )


def _read_map_of_rosettasciio(path: Path, dataset: h5py.Dataset) -> dict[str, Any]:
    """Read all but the data with RosettaSciIO, and give the axes their roles."""
    from rsciio.emd import file_reader

    name = dataset.name.strip("/")
    # Lazily, so that the data are not read; they are let go.
    try:
        (signal,) = file_reader(str(path), lazy=True, dataset_path=[name])
    except UPSTREAM as exc:
        if getattr(exc, "errno", None) is not None:
            raise
        traceback.clear_frames(exc.__traceback__)  # they keep the file open
        raise CorruptFileError(
            f"{path}: RosettaSciIO cannot read the axes of {name}: {exc!r}. Expected an EMD "
            f"file as it writes them (byte {h5py.h5o.get_info(dataset.id).addr})."
        ) from exc
    del signal["data"]
    for axis in signal["axes"]:
        axis["navigate"] = axis["index_in_array"] != dataset.ndim - 1
    signal["metadata"]["Signal"]["signal_type"] = dataset.parent.attrs["signal_type"]
    return signal
