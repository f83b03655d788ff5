"""Signals of what is in HDF5 files."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.checks import check_number_of
from rsciio_xfm.core.eds import (
    build_axis,
    clean_units,
    keep_dead_time_with_its_class,
    order_axes,
)
from rsciio_xfm.core.hdf5.extra import has_extra, read_extra
from rsciio_xfm.core.hdf5.links import get
from rsciio_xfm.core.hdf5.sizes import check_size, is_numeric
from rsciio_xfm.core.hdf5.small import text_of
from rsciio_xfm.core.hdf5.stored import Arrangement, make_source
from rsciio_xfm.core.scan import Grid
from rsciio_xfm.core.to_dask import load
from rsciio_xfm.core.xrf import ELAPSED, LIVE, PRESET, line_of_positions
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.hdf5_maps.axes import (
    DETECTOR,
    POINT,
    find_axes,
    order_of,
    take_detector,
)
from rsciio_xfm.formats.hdf5_maps.axes import detector_axis as axis_of_detectors
from rsciio_xfm.formats.hdf5_maps.bliss import Detector, Scan, grid_of, read_counter
from rsciio_xfm.formats.hdf5_maps.find import IMAGE, Found, listed_axes
from rsciio_xfm.formats.hdf5_maps.known import read_known
from rsciio_xfm.formats.hdf5_maps.options import Options
from rsciio_xfm.formats.hdf5_maps.programs import read_map

_TOLD = ("saved", "map")  # layouts whose axes are known


def read_dataset(
    path: Path, found: Found, scans: dict[int, Scan], options: Options
) -> list[dict[str, Any]]:
    """Read a dataset as a signal, or one for each of its detectors.

    Parameters
    ----------
    path
        Of the file.
    found
        From :func:`rsciio_xfm.formats.hdf5_maps.find.choose`.
    scans
        Those that other datasets are of: what belongs to several is read once.
    options
        What its axes are, which detector is read, and how.

    Raises
    ------
    FileFormatError
        It holds no numbers, or too few axes; nothing tells what its axes are.
    ValueError
        Axes are given for what says itself what it is; there is no such detector.
    """
    axes = options.axes
    is_told = found.layout in _TOLD
    if found.match is not None:
        is_free = POINT in found.match.roles
        is_told = axes is not None and not is_free
        has_detectors = DETECTOR in (axes or found.match.roles)
        is_told |= options.detector is not None and not has_detectors
        if not is_told:
            _check_kind(path, found, axes)
            return read_known(path, found, options)
    if axes is None and options.detector is None:
        known = _read_known(path, found, options)
        if known is not None:
            return [known]
    elif is_told:
        raise ValueError(
            f"{path}: {'axes' if axes is not None else 'detector'} is given, expected None "
            f"for {found.name}: its axes are known, and detectors are datasets of their own."
        )
    _check_kind(path, found, axes)
    check_size(path, found.dataset)
    return _read_spectra(path, found, scans, options)


def _read_known(path: Path, found: Found, options: Options) -> dict[str, Any] | None:
    """Read what says itself what it is; None if there is more to find out."""
    lazy, chunks = options.lazy, options.chunks
    if found.layout == "saved":
        (saved,) = (group for group in found.parents if has_extra(group))
        signal = read_extra(path, saved, found.dataset.shape)
        if signal is not None:
            return _restore(path, found, signal, lazy, chunks)
    if _is_counter(found):
        return read_counter(path, found, options.navigation_shape)
    reader = read_map if found.layout == "map" else None
    if reader is None and found.interpretation in IMAGE:
        reader = _read_image
    if reader is None:
        return None
    _check_kind(path, found)
    check_size(path, found.dataset)
    return reader(path, found, lazy, chunks)


def _restore(
    path: Path, found: Found, signal: dict[str, Any], lazy: bool, chunks: Any
) -> dict[str, Any]:
    """Read a signal that was saved here."""
    source = make_source(path, found.dataset)
    return signal | {
        "data": load(source, path, lazy, chunks),
        "post_process": [keep_dead_time_with_its_class],
    }


def _is_counter(found: Found) -> bool:
    """Tell whether a dataset is a number for each point of a scan."""
    dataset = found.dataset
    is_measured = found.entry is not None and found.interpretation != "spectrum"
    return is_measured and is_numeric(dataset) and dataset.ndim == 1 and dataset.size > 0


def _check_kind(path: Path, found: Found, axes: tuple[str, ...] | None = None) -> None:
    """Refuse what is no array of numbers with channels or pixels."""
    dataset = found.dataset
    where = f"{path}: {found.name}"
    place = f"(byte {h5py.h5o.get_info(dataset.id).addr})"
    if not is_numeric(dataset):
        kind = "empty" if dataset.shape is None else f"of type {dataset.dtype}"
        raise FileFormatError(f"{where} is {kind}, expected numbers {place}.")
    if dataset.ndim == 0:
        raise FileFormatError(
            f"{where} is a single number, expected at least two axes: points and channels "
            f"{place}."
        )
    if 0 in dataset.shape:
        raise FileFormatError(
            f"{where} is {dataset.shape}, expected no axis of 0 {place}."
        )
    if dataset.ndim == 1 and found.interpretation != "spectrum" and axes is None:
        raise FileFormatError(
            f"{where} has one axis of {dataset.shape[0]} numbers, expected at least two, "
            f"points and channels, or a counter of a scan {place}."
        )


def _read_spectra(
    path: Path, found: Found, scans: dict[int, Scan], options: Options
) -> list[dict[str, Any]]:
    """Read spectra of a scan, or of a NeXus file, of one detector or several."""
    dataset, where = found.dataset, f"{path}: {found.name}"
    scan = None
    if found.entry is not None:
        scan = scans.setdefault(id(found.entry), Scan(path, found.entry))
    roles = find_axes(path, found, options.axes)
    order, detector_axis = order_of(roles), axis_of_detectors(roles)
    *sizes, n_channels = (dataset.shape[i] for i in order)
    shape = options.navigation_shape
    grid, axes = _navigation(found, where, scan, (tuple(sizes), order), shape)
    detector = Detector(path, found, scan)
    energy = meta.energy_axis(where, n_channels, *detector.calibration(n_channels))
    real_time = _real_time(where, detector)
    label = scan.label(detector.name) if scan is not None else f"{path.stem} {found.name}"
    signals = []
    for i in _choose_detectors(where, dataset, detector_axis, options.detector):
        find = _finder(detector, roles, i)
        dead_time, origin = _dead_times(find, tuple(sizes), grid)
        signal = meta.build_map(
            path,
            label if i is None else f"{label} {i}",
            [*(dict(axis) for axis in axes), dict(energy)],
            dead_time,
            real_time,
            instrument=_instrument(found, scan, i, origin),
            beam_energy=None if scan is None else scan.beam_energy(),
            date=None if scan is None else scan.date(),
            live_time=meta.mean_time(find(LIVE)),
        )
        taken = () if i is None else (i,)
        lies = Arrangement(order, grid, detector_axis, taken)
        source = make_source(path, dataset, lies)
        signal["data"] = load(source, path, options.lazy, options.chunks)
        signal["original_metadata"] = {} if scan is None else scan.tree()
        signals.append(signal)
    return signals


def _navigation(
    found: Found,
    where: str,
    scan: Scan | None,
    pixels: tuple[tuple[int, ...], tuple[int, ...]],
    navigation_shape: tuple[int, ...] | None,
) -> tuple[Grid | None, list[dict[str, Any]]]:
    """Return where the points of a scan are, if it is one, and the axes of pixels."""
    sizes, order = pixels
    is_scan = scan is not None and len(sizes) == 1
    if navigation_shape is None and not is_scan:
        return None, _named_axes(found, sizes, order)
    if len(sizes) != 1:
        raise ValueError(
            f"{where} is {found.dataset.shape}: navigation_shape is for points and channels "
            "only, expected None."
        )
    grid = grid_of(where, scan, sizes[0], navigation_shape)
    return grid, [dict(axis) for axis in grid.axes]


def _real_time(where: str, detector: Detector) -> float | None:
    """Return the mean of the times of all spectra, those that were asked for if need be."""
    elapsed = detector.time(ELAPSED)
    if elapsed is None:
        elapsed = detector.time(PRESET)
    if elapsed is None:
        meta.warn_of_uneven(where, detector.time(LIVE), is_live=True)
    meta.warn_of_uneven(where, elapsed)
    return meta.mean_time(elapsed)


def _instrument(
    found: Found, scan: Scan | None, detector: int | None, origin: str
) -> dict[str, Any]:
    """Return what is kept of where spectra are from, and their dead times."""
    instrument: dict[str, Any] = {"dataset": found.name}
    if detector is not None:
        instrument["detector"] = detector
    if origin:
        instrument["dead_time_from"] = origin
    if scan is not None and scan.title:
        instrument["command"] = scan.title
    return instrument


def _choose_detectors(
    where: str, dataset: h5py.Dataset, axis: int | None, number: int | None
) -> Sequence[int | None]:
    """Return which detectors are read; one of None where there is no axis of them."""
    if axis is None:
        if number is not None:
            raise FileFormatError(
                f"{where} has no axis of detectors and detector is given, expected of these "
                "all other options of HDF5 only: detectors are datasets of their own. Say "
                "with axes if one of its axes is that of detectors."
            )
        return [None]
    n = dataset.shape[axis]
    if number is None:
        return range(n)
    return [check_number_of(where, "detector", number, n)]


def _finder(
    detector: Detector, roles: tuple[str, ...], number: int | None
) -> Callable[[tuple[str, ...]], np.ndarray | None]:
    """Make what finds the values of a counter at each pixel, in their order."""
    shape = detector.found.dataset.shape
    n_points = math.prod(shape[i] for i in order_of(roles)[:-1])

    def find(keys: tuple[str, ...]) -> np.ndarray | None:
        found = detector.time(keys)
        if found is None:
            return None
        values = take_detector(found, roles, shape, number)
        is_shared = keys in (ELAPSED, PRESET)
        if values.size == 1 and n_points > 1:
            # Times of a whole scan are not those of each point, but what was asked for is.
            return np.full(n_points, values.ravel()[0]) if is_shared else None
        if number is not None and values.ndim != len(roles) - 2 and not is_shared:
            return None  # of which detector it is open
        if values.ndim == 1 and values.size <= n_points:
            # Of a scan that was stopped, spectra may be kept for all points.
            return np.pad(values, (0, n_points - values.size), constant_values=np.nan)
        return values.ravel() if values.size == n_points else None

    return find


def _dead_times(
    find: Callable[[tuple[str, ...]], np.ndarray | None],
    sizes: tuple[int, ...],
    grid: Grid | None,
) -> tuple[np.ndarray | None, str]:
    """Return dead times in the shape of the map."""
    dead_time, origin = meta.find_dead_time(find)
    if dead_time is None:
        return None, ""
    if grid is not None:
        return grid.place(dead_time), origin
    return dead_time.reshape(sizes), origin


def _named_axes(
    found: Found, sizes: tuple[int, ...], order: tuple[int, ...]
) -> list[dict[str, Any]]:
    """Make navigation axes from what lies beside the spectra."""
    defaults = ("x", "y", "z")
    axes = []
    for n, size in enumerate(sizes):
        i = order[n]  # in the dataset
        place = len(sizes) - 1 - n
        name = defaults[place] if place < len(defaults) else f"axis{n}"
        axis = build_axis(name, size, None, None)
        values = None
        for group in found.parents:
            listed = listed_axes(group)
            key = listed[i] if i < len(listed) else ""
            for candidate in (key, f"dim{i}", f"map/dim{i}"):
                item = get(group, candidate) if candidate not in ("", ".") else None
                if isinstance(item, h5py.Dataset) and item.shape == (size,):
                    values = item
                    if candidate == key:
                        axis["name"] = key
                    break
            if values is not None:
                break
        if values is not None and is_numeric(values):
            line = line_of_positions(values[()].astype(float))
            units = clean_units(text_of(values.attrs.get("units")))
            axis |= line | ({"units": units} if line else {})
        axes.append(axis)
    return axes


def _read_image(path: Path, found: Found, lazy: bool, chunks: Any) -> dict[str, Any]:
    """Read images; RGB and RGBA stay as their numbers, along a third axis."""
    dataset = found.dataset
    n_signal = min(dataset.ndim, 3 if "rgb" in found.interpretation else 2)
    labels = ["y", "x", "colour"][:n_signal] if n_signal > 1 else ["x"]
    n_outer = dataset.ndim - n_signal
    axes = [
        build_axis(f"frame{i}" if n_outer > 1 else "frame", size, None, None)
        for i, size in enumerate(dataset.shape[:n_outer])
    ]
    axes += [
        build_axis(label, size, None, None, navigate=False)
        for label, size in zip(labels, dataset.shape[n_outer:], strict=True)
    ]
    source = make_source(path, dataset)
    return {
        "data": load(source, path, lazy, chunks),
        "axes": order_axes(axes),
        "metadata": {
            "General": meta.build_general(path, f"{path.stem} {found.name}", None),
            "Signal": {"signal_type": ""},
        },
        "original_metadata": {},
    }
