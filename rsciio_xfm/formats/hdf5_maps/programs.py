"""Maps of PyXRF, xraylarch, MAPS and XRF-Maps."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.eds import build_axis
from rsciio_xfm.core.hdf5.links import get
from rsciio_xfm.core.hdf5.sizes import check_size, is_numeric
from rsciio_xfm.core.hdf5.small import MOST_SMALL, read_small, text_of
from rsciio_xfm.core.hdf5.stored import Arrangement, make_source
from rsciio_xfm.core.to_dask import load
from rsciio_xfm.core.xrf import ELAPSED, LIVE, line_of_positions
from rsciio_xfm.formats.hdf5_maps.find import Found
from rsciio_xfm.formats.hdf5_maps.layout import MAPS, SCALERS, XRM_ROOTS

_US = 1e-6


def read_map(path: Path, found: Found, lazy: bool, chunks: Any) -> dict[str, Any]:
    """Read a map of PyXRF or xraylarch: counts (y, x, E) of one detector, or of their sum."""
    dataset, where = found.dataset, f"{path}: {found.name}"
    group = found.parents[0]
    root = group.parent
    n_rows, n_columns, n_channels = dataset.shape
    n_rows = _count_rows(root, n_rows)
    times = _xrm_times(path, group, dataset.shape[:2], n_rows)
    instrument: dict[str, Any] = {"dataset": found.name}
    if dataset.dtype.kind == "f" and "energy" in group:
        # The sum of xraylarch is of counts that were corrected for the dead time.
        times.pop(LIVE, None)
        instrument["dead_time_corrected"] = True
    energies = read_small(path, group, "energy", ((n_channels,),))
    calibration = None if energies is None else meta.calibration_of(energies)
    axes = _axes_of_positions(path, root, (n_rows, n_columns))
    axes.append(meta.energy_axis(where, n_channels, calibration))
    title = f"{path.stem} {found.name.split('/')[-2]}"
    signal = _build(path, title, axes, times, instrument)
    source = make_source(path, dataset, Arrangement(n_rows=n_rows))
    signal["data"] = load(source, path, lazy, chunks)
    attributes = get(root, "scan_metadata")
    tree = {}
    if isinstance(attributes, h5py.Group):
        tree = {key: _plain(value) for key, value in attributes.attrs.items()}
    signal["original_metadata"] = meta.clean({"scan_metadata": tree} if tree else {})
    return signal


def _xrm_times(
    path: Path, group: h5py.Group, shape: tuple[int, ...], n_rows: int
) -> dict[tuple[str, ...], np.ndarray]:
    """Return real times and live times in s, as far as xraylarch keeps them.

    Its livetime is that of the fast channel: the live time is real time / dtfactor.
    """
    keys = ("realtime", "dtfactor", "livetime", "inpcounts", "outcounts")
    real, factor, trigger, arrived, counted = (
        read_small(path, group, k, (shape,)) for k in keys
    )
    if real is None:
        return {}
    if trigger is not None and arrived is not None and counted is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = arrived * real / (counted * trigger) if factor is None else factor
    times: dict[tuple[str, ...], np.ndarray] = {ELAPSED: _US * real[:n_rows]}
    if factor is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            times[LIVE] = times[ELAPSED] / factor[:n_rows]
    return times


def _build(
    path: Path,
    title: str,
    axes: list[dict[str, Any]],
    times: dict[tuple[str, ...], np.ndarray],
    instrument: dict[str, Any],
) -> dict[str, Any]:
    """Describe a map of another program."""
    dead_time, origin = meta.find_dead_time(times.get)
    elapsed, where = times.get(ELAPSED), f"{path}: {instrument['dataset']}"
    meta.warn_of_uneven(
        where, elapsed, kept="beside the spectra: dataset_path reads them"
    )
    return meta.build_map(
        path,
        title,
        axes,
        dead_time,
        meta.mean_time(elapsed),
        instrument=instrument | ({"dead_time_from": origin} if origin else {}),
        live_time=meta.mean_time(times.get(LIVE)),
    )


def _axes_of_positions(
    path: Path, root: h5py.Group, shape: tuple[int, int]
) -> list[dict[str, Any]]:
    """Make y and x from the positions of two motors at each pixel."""
    axes = [build_axis("y", shape[0], None, None), build_axis("x", shape[1], None, None)]
    positions = get(root, "positions/pos")
    if not isinstance(positions, h5py.Dataset) or positions.ndim != 3:
        return axes
    if not is_numeric(positions) or positions.nbytes > MOST_SMALL:
        return axes
    check_size(path, positions)
    values = positions[()].astype(float)
    # The motors are the first axis (PyXRF) or the last one (xraylarch).
    if "Last_Row" not in root.attrs:
        values = np.moveaxis(values, 0, -1)
    values = values[: shape[0], : shape[1]]
    if values.shape[:2] == shape and values.shape[-1] > 1:
        axes[1] |= line_of_positions(values[..., 0].mean(axis=0))
        axes[0] |= line_of_positions(values[..., 1].mean(axis=1))
    return axes


def read_scalers(path: Path, file: h5py.File) -> list[dict[str, Any]]:
    """Read what else was counted at each pixel of a map, as a stack of images.

    Returns
    -------
    list of dict
        One signal; none if the file is of no such program, or has no scalers.
    """
    for root_name in (*XRM_ROOTS, MAPS):
        root = get(file, root_name)
        if not isinstance(root, h5py.Group):
            continue
        counters = _find_scalers(path, root)
        if counters:
            shape = next(iter(counters.values())).shape
            axes = _axes_of_positions(path, root, shape)
            signal = meta.build_counters(path, f"{path.stem} counters", counters, axes)
            return [signal] if signal is not None else []
    return []


def _find_scalers(path: Path, root: h5py.Group) -> dict[str, np.ndarray]:
    """Return images of scalers by name."""
    # Names and one array: along its last axis in PyXRF, along its first in MAPS.
    for labels, values, axis in SCALERS:
        listed, item = get(root, labels), get(root, values)
        is_there = isinstance(listed, h5py.Dataset) and isinstance(item, h5py.Dataset)
        if not is_there or item.ndim != 3 or not is_numeric(item):
            continue
        if listed.shape != (item.shape[axis],) or item.nbytes > MOST_SMALL:
            continue
        check_size(path, item)
        check_size(path, listed)
        images = np.moveaxis(item[()], axis, 0)
        return _by_name([text_of(label) for label in listed[()]], images)
    group = get(root, "scalars")  # of xraylarch, a dataset each
    if not isinstance(group, h5py.Group):
        return {}
    found = {}
    for key in group:
        item = get(group, key)
        if isinstance(item, h5py.Dataset) and item.ndim == 2 and is_numeric(item):
            check_size(path, item)
            found[key] = item[: _count_rows(root, item.shape[0])]
    shapes = {image.shape for image in found.values()}
    return found if len(shapes) == 1 else {}


def _by_name(labels: list[str], images: np.ndarray) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for label, image in zip(labels, images, strict=True):
        found[meta.new_name(label, found)] = image
    return found


def _count_rows(root: h5py.Group, n_rows: int) -> int:
    """Return how many rows were measured: xraylarch makes them before."""
    last = meta.number(text_of(root.attrs.get("Last_Row")) or root.attrs.get("Last_Row"))
    return int(last) + 1 if last is not None and 0 <= last < n_rows else n_rows


def _plain(value: Any) -> Any:
    """Turn the value of an attribute into what HyperSpy shows."""
    text = text_of(value)
    if text:
        return text
    if isinstance(value, np.generic):
        return value.item()
    return value.tolist() if isinstance(value, np.ndarray) else value
