"""Maps of X-ray spectra in HDF5 files: where they are, and what belongs to them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from errno import ENOENT
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm._io.hdf5 import check_size
from rsciio_xfm._io.hdf5_extra import has_extra, read_extra
from rsciio_xfm._io.metadata import (
    build_axis,
    keep_dead_time_with_its_class,
    order_axes,
)
from rsciio_xfm._io.warning import warn
from rsciio_xfm.esrf import _layout as names
from rsciio_xfm.esrf import _metadata as meta
from rsciio_xfm.esrf._data import is_numeric, load, make_source
from rsciio_xfm.esrf._scan import Grid, Planned, make_grid
from rsciio_xfm.exceptions import FileFormatError

_MOST_DEPTH = 32
_MOST_OBJECTS = 2**20
_MOST_SMALL = 2**26  # bytes of a counter
_MOST_TEXT = 2**16
_SHOWN = 12
_TIME_UNIT = {"ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_IMAGE = ("image", "rgb-image", "rgba-image")
_SAVED = "biufc"  # kinds of numbers that are written here
_US = 1e-6


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
        ``"scan"``, ``"nexus"``, ``"map"`` (PyXRF, xraylarch), ``"MAPS"``, ``"saved"`` (here)
        or ``""``.
    """

    name: str
    dataset: h5py.Dataset
    parents: list[h5py.Group] = field(default_factory=list)
    entry: h5py.Group | None = None
    layout: str = ""

    @property
    def interpretation(self) -> str:
        """What its attribute says that it is."""
        return text_of(self.dataset.attrs.get(names.INTERPRETATION))


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
    """

    datasets: dict[tuple[int, int], Found] = field(default_factory=dict)
    entries: dict[str, h5py.Group] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def maps(self) -> list[Found]:
        """Return the maps of spectra, in order of their paths."""
        return [found for found in self.datasets.values() if found.layout]


def text_of(value: Any) -> str:
    """Return text that HDF5 holds in one of its ways; '' for anything else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def read_text(group: h5py.Group, name: str) -> str:
    """Return the text of a small dataset; '' if there is none."""
    item = _get(group, name)
    if not isinstance(item, h5py.Dataset) or item.shape is None or item.size != 1:
        return ""
    if item.dtype.kind not in "SO" or item.dtype.itemsize > _MOST_TEXT:
        return ""
    return text_of(item[()])


def _get(group: h5py.Group, name: str) -> Any:
    """Return what a path points to, None if there is nothing."""
    try:
        return group.get(name)
    except (KeyError, OSError, RuntimeError, ValueError):
        return None


def find_contents(file: h5py.File) -> Contents:
    """Go through a file and all files that it links to, every object once.

    Parameters
    ----------
    file
        The file.

    Returns
    -------
    Contents
    """
    contents = Contents()
    groups: list[tuple[str, h5py.Group, h5py.Group | None, int]] = [("", file, None, 0)]
    seen = {_identity(file)}
    # Breadth first, so that the shortest path is the name of an object.
    for name, group, outer, depth in groups:
        entry = outer
        if isinstance(_get(group, names.MEASUREMENT), h5py.Group):
            entry = group
            contents.entries[name] = group
        for key in _ordered(group):
            path = f"{name}/{key}" if name else key
            item = _get(group, key)
            if item is None:
                contents.missing[path] = _target(group, key)
            elif isinstance(item, h5py.Dataset):
                _add(contents, path, item, group, entry)
            elif isinstance(item, h5py.Group) and depth < _MOST_DEPTH:
                identity = _identity(item)
                if identity not in seen and len(seen) < _MOST_OBJECTS:
                    seen.add(identity)
                    groups.append((path, item, entry, depth + 1))
    for found in contents.datasets.values():
        found.layout = _layout_of(found)
    return contents


def _ordered(group: h5py.Group) -> list[str]:
    """Return the names in a group; measured values come first, under their usual names."""
    # A name that is no text is damaged.
    keys = sorted((key for key in group if isinstance(key, str)), key=_natural)
    if names.MEASUREMENT in keys:
        keys.remove(names.MEASUREMENT)
        keys.insert(0, names.MEASUREMENT)
    return keys


def _natural(key: str) -> tuple:
    """Sort 2.1 before 10.1."""
    parts = key.replace("_", ".").split(".")
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts)


def _identity(item: h5py.Group | h5py.Dataset) -> tuple[int, int]:
    info = h5py.h5o.get_info(item.id)
    return info.fileno, info.addr


def _target(group: h5py.Group, key: str) -> str:
    """Say what a link points to."""
    link = group.get(key, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        return f"{link.path} of the file {link.filename}"
    return link.path if isinstance(link, h5py.SoftLink) else "what HDF5 cannot read"


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
    if name in names.MAPS_SPECTRA and dataset.ndim == 3:
        return "MAPS"
    root, *rest = name.split("/")
    if root in names.XRM_ROOTS:
        is_counts = dataset.ndim == 3 and len(rest) == 2 and rest[1] == "counts"
        return "map" if is_counts and not rest[0].startswith("xrd") else ""
    kind = found.interpretation
    if kind and kind != "spectrum":
        return ""
    if dataset.shape[-1] < 2:
        return ""
    *_, parent, own = ("", *name.split("/"))
    is_of_mca = parent.startswith("mca") and own in names.SPECTRA
    is_named = kind == "spectrum" or own.startswith("mca") or is_of_mca
    if found.entry is not None and dataset.ndim == 2:
        # Of other groups than those that hold what was measured: results.
        is_measured = any(
            part in (names.MEASUREMENT, names.INSTRUMENT) for part in name.split("/")
        )
        return "scan" if is_named or is_measured else ""
    return "nexus" if is_named else ""


# Describing what was found.


def choose(
    path: Path, contents: Contents, wanted: list[str] | None, file: h5py.File
) -> list[Found]:
    """Return the datasets that are read.

    Parameters
    ----------
    path, contents, file
        The file.
    wanted
        Paths of datasets, or of groups whose maps are all wanted; None is all maps.

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
            raise FileFormatError(
                f"{path}: the file holds no map of X-ray spectra that is known here: "
                f"{_list_all(contents)}. Choose one with dataset_path (byte 0, the whole "
                "file)."
            )
        return maps
    chosen: list[Found] = []
    for name in wanted:
        clean = "/".join(part for part in str(name).split("/") if part not in ("", "."))
        item = _get(file, clean) if clean else file
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
            chosen.append(contents.datasets[_identity(item)])
            continue
        inside = [f for f in maps if not clean or f.name.startswith(f"{clean}/")]
        if not inside:
            raise FileFormatError(
                f"{path}: the group {name!r} holds no map of X-ray spectra that is known "
                f"here: {_list_all(contents)} (byte 0, the whole file)."
            )
        chosen += inside
    return chosen


def _warn_missing(path: Path, contents: Contents, has_maps: bool) -> None:
    """Name links to files that are not there."""
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


def read_dataset(
    path: Path,
    found: Found,
    lazy: bool,
    chunks: Any,
    navigation_shape: tuple[int, ...] | None,
) -> dict[str, Any]:
    """Read a dataset as a signal.

    Parameters
    ----------
    path
        Of the file.
    found
        From :func:`choose`.
    lazy, chunks, navigation_shape
        See :func:`rsciio_xfm.esrf.file_reader`.

    Raises
    ------
    FileFormatError
        It holds no numbers, or too few axes.
    """
    if found.layout == "saved":
        (saved,) = (group for group in found.parents if has_extra(group))
        signal = read_extra(path, saved, found.dataset.shape)
        if signal is not None:
            return _restore(path, found, signal, lazy, chunks)
    _check_kind(path, found)
    check_size(path, found.dataset)
    if found.layout == "MAPS":
        return _read_maps(path, found, lazy, chunks)
    if found.layout == "map":
        return _read_map(path, found, lazy, chunks)
    if found.interpretation in _IMAGE:
        return _read_image(path, found, lazy, chunks)
    return _read_spectra(path, found, lazy, chunks, navigation_shape)


def _restore(
    path: Path, found: Found, signal: dict[str, Any], lazy: bool, chunks: Any
) -> dict[str, Any]:
    """Read a signal that was saved here."""
    roles = [axis["navigate"] for axis in signal["axes"]]
    source = make_source(
        path,
        found.dataset,
        found.dataset.shape,
        is_spectra=roles == [True] * (len(roles) - 1) + [False],
    )
    return signal | {
        "data": load(source, path, lazy, chunks),
        "post_process": [keep_dead_time_with_its_class],
    }


def _check_kind(path: Path, found: Found) -> None:
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
    if dataset.ndim == 1 and found.interpretation != "spectrum":
        hint = (
            '; select_type="counters" reads the counters of a scan' if found.entry else ""
        )
        raise FileFormatError(
            f"{where} has one axis of {dataset.shape[0]} numbers, expected at least two: "
            f"points and channels {place}{hint}."
        )


def _read_spectra(
    path: Path,
    found: Found,
    lazy: bool,
    chunks: Any,
    navigation_shape: tuple[int, ...] | None,
) -> dict[str, Any]:
    """Read spectra of a scan, or of a NeXus file."""
    dataset, where = found.dataset, f"{path}: {found.name}"
    scan = Scan(path, found.entry) if found.entry is not None else None
    *sizes, n_channels = dataset.shape
    grid = None
    if navigation_shape is not None or (scan is not None and len(sizes) == 1):
        if len(sizes) != 1:
            raise ValueError(
                f"{where} is {dataset.shape}: navigation_shape is for points and channels "
                "only, expected None."
            )
        grid = _grid_of(where, scan, sizes[0], navigation_shape)
        axes = [dict(axis) for axis in grid.axes]
    else:
        axes = _named_axes(found, tuple(sizes))
    shape = (*(axis["size"] for axis in axes), n_channels)
    detector = Detector(path, found, scan)
    dead_time, origin = _dead_times(detector, tuple(sizes), grid)
    energy = meta.energy_axis(where, n_channels, detector.calibration(where, n_channels))
    elapsed = detector.time(names.ELAPSED)
    if elapsed is None:
        elapsed = detector.time(names.PRESET)
    instrument: dict[str, Any] = {"dataset": found.name}
    if origin:
        instrument["dead_time_from"] = origin
    if scan is not None and scan.title:
        instrument["command"] = scan.title
    signal = meta.build_map(
        path,
        scan.label(detector.name) if scan is not None else found.name,
        [*axes, energy],
        dead_time,
        meta.mean_time(elapsed),
        instrument=instrument,
        beam_energy=None if scan is None else scan.beam_energy(),
        date=None if scan is None else scan.date(),
    )
    source = make_source(path, dataset, shape, grid)
    signal["data"] = load(source, path, lazy, chunks)
    signal["original_metadata"] = {} if scan is None else scan.tree()
    return signal


def _grid_of(
    where: str, scan: "Scan | None", n_points: int, navigation_shape: tuple | None
) -> Grid:
    if scan is None:
        return make_grid(where, n_points, navigation_shape=navigation_shape)
    planned, is_zigzag = scan.planned()
    return make_grid(
        where,
        n_points,
        scan.title,
        scan.positions(n_points),
        planned,
        is_zigzag,
        navigation_shape,
    )


def _dead_times(
    detector: "Detector", sizes: tuple[int, ...], grid: Grid | None
) -> tuple[np.ndarray | None, str]:
    """Return dead times in the shape of the map."""
    n_points = math.prod(sizes)

    def find(keys: tuple[str, ...]) -> np.ndarray | None:
        values = detector.time(keys)
        if values is None:
            return None
        if values.size == 1 and n_points > 1:
            # Times of a whole scan are not those of each point, but what was asked for is.
            is_shared = keys in (names.ELAPSED, names.PRESET)
            return np.full(n_points, values.ravel()[0]) if is_shared else None
        if values.ndim == 1 and values.size <= n_points:
            # Of a scan that was stopped, spectra may be kept for all points.
            return np.pad(values, (0, n_points - values.size), constant_values=np.nan)
        return values.ravel() if values.size == n_points else None

    dead_time, origin = meta.find_dead_time(find)
    if dead_time is None:
        return None, ""
    if grid is not None:
        return grid.place(dead_time), origin
    return dead_time.reshape(sizes), origin


def _named_axes(found: Found, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """Make navigation axes from what lies beside the spectra."""
    defaults = ("x", "y", "z")
    axes = []
    for i, size in enumerate(sizes):
        place = len(sizes) - 1 - i
        name = defaults[place] if place < len(defaults) else f"axis{i}"
        axis = build_axis(name, size, None, None)
        values = None
        for group in found.parents:
            listed = _listed_axes(group)
            key = listed[i] if i < len(listed) else ""
            for candidate in (key, f"dim{i}", f"map/dim{i}"):
                item = _get(group, candidate) if candidate not in ("", ".") else None
                if isinstance(item, h5py.Dataset) and item.shape == (size,):
                    values = item
                    if candidate == key:
                        axis["name"] = key
                    break
            if values is not None:
                break
        if values is not None and is_numeric(values):
            line = _line_of_positions(values[()].astype(float))
            units = text_of(values.attrs.get("units")) or None
            axis |= line | ({"units": units} if line else {})
        axes.append(axis)
    return axes


def _listed_axes(group: h5py.Group) -> list[str]:
    """Return the names of axes that an NXdata gives."""
    listed = group.attrs.get("axes", ())
    if isinstance(listed, str | bytes):
        listed = [listed]
    return [text_of(name) for name in listed] if np.iterable(listed) else []


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
    source = make_source(path, dataset, dataset.shape, is_spectra=False)
    return {
        "data": load(source, path, lazy, chunks),
        "axes": order_axes(axes),
        "metadata": {
            "General": meta.build_general(path, found.name, None),
            "Signal": {"signal_type": ""},
        },
        "original_metadata": {},
    }


# Maps of other programs.


def _read_map(path: Path, found: Found, lazy: bool, chunks: Any) -> dict[str, Any]:
    """Read a map of PyXRF or xraylarch: counts (y, x, E) of one detector, or of their sum."""
    dataset, where = found.dataset, f"{path}: {found.name}"
    group = found.parents[0]
    root = group.parent
    n_rows, n_columns, n_channels = dataset.shape
    last = meta.number(text_of(root.attrs.get("Last_Row")) or root.attrs.get("Last_Row"))
    if last is not None and 0 <= last < n_rows:
        n_rows = int(last) + 1  # rows are made before they are measured
    times = _xrm_times(path, group, dataset.shape[:2], n_rows)
    instrument: dict[str, Any] = {"dataset": found.name}
    if dataset.dtype.kind == "f" and "energy" in group:
        # The sum of xraylarch is of counts that were corrected for the dead time.
        times.pop(names.LIVE, None)
        instrument["dead_time_corrected"] = True
    energies = _small(path, group, "energy", ((n_channels,),))
    calibration = None if energies is None else meta.line_of(where, energies)
    axes = _axes_of_positions(path, root, (n_rows, n_columns))
    signal = _build(
        path,
        found.name.split("/")[-2],
        axes,
        n_channels,
        times,
        calibration,
        where,
        instrument,
    )
    source = make_source(path, dataset, (n_rows, n_columns, n_channels))
    signal["data"] = load(source, path, lazy, chunks)
    attributes = _get(root, "scan_metadata")
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
        _small(path, group, k, (shape,)) for k in keys
    )
    if real is None:
        return {}
    if factor is None and not any(v is None for v in (trigger, arrived, counted)):
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = arrived * real / (counted * trigger)
    times = {names.ELAPSED: _US * real[:n_rows]}
    if factor is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            times[names.LIVE] = times[names.ELAPSED] / factor[:n_rows]
    return times


def _build(
    path: Path,
    title: str,
    axes: list[dict[str, Any]],
    n_channels: int,
    times: dict[tuple[str, ...], np.ndarray],
    calibration: tuple[float, ...] | None,
    where: str,
    instrument: dict[str, Any],
) -> dict[str, Any]:
    """Describe a map of another program."""
    dead_time, origin = meta.find_dead_time(times.get)
    return meta.build_map(
        path,
        title,
        [*axes, meta.energy_axis(where, n_channels, calibration)],
        dead_time,
        meta.mean_time(times.get(names.ELAPSED)),
        instrument=instrument | ({"dead_time_from": origin} if origin else {}),
    )


def _axes_of_positions(
    path: Path, root: h5py.Group, shape: tuple[int, int]
) -> list[dict[str, Any]]:
    """Make y and x from the positions of two motors at each pixel."""
    axes = [build_axis("y", shape[0], None, None), build_axis("x", shape[1], None, None)]
    positions = _get(root, "positions/pos")
    if not isinstance(positions, h5py.Dataset) or positions.ndim != 3:
        return axes
    if not is_numeric(positions) or positions.nbytes > _MOST_SMALL:
        return axes
    check_size(path, positions)
    values = positions[()].astype(float)
    # The motors are the first axis (PyXRF) or the last one (xraylarch).
    if "Last_Row" not in root.attrs:
        values = np.moveaxis(values, 0, -1)
    values = values[: shape[0], : shape[1]]
    if values.shape[:2] == shape and values.shape[-1] > 1:
        axes[1] |= _line_of_positions(values[..., 0].mean(axis=0))
        axes[0] |= _line_of_positions(values[..., 1].mean(axis=1))
    return axes


def _line_of_positions(values: np.ndarray | None) -> dict[str, Any]:
    """Return offset and scale of an axis from the position of each of its pixels."""
    if values is None or values.size < 2 or not np.isfinite(values).all():
        return {}
    scale, offset = (
        float(np.round(v, 12)) for v in np.polyfit(np.arange(values.size), values, 1)
    )
    return {"offset": offset, "scale": scale, "units": None} if scale else {}


def _read_maps(path: Path, found: Found, lazy: bool, chunks: Any) -> dict[str, Any]:
    """Read a map of MAPS or XRF-Maps: channels are the first axis."""
    dataset, where = found.dataset, f"{path}: {found.name}"
    n_channels, *shape = dataset.shape
    root = dataset.file[names.MAPS]
    group = found.parents[0]  # of version 9 the root
    times = {}
    for key, aliases in (
        ("Elapsed_Livetime", names.LIVE),
        ("Elapsed_Realtime", names.ELAPSED),
        ("Input_Counts", names.INPUT_RATE),
        ("Output_Counts", names.OUTPUT_RATE),
    ):
        values = _small(path, group, key, (tuple(shape),))
        if values is not None:
            times[aliases] = values
    calibration = None
    for key in ("Energy_Calibration", "energy_calib"):
        values = _small(path, group, key, ((3,), (3, 1), (2,)))
        calibration = calibration if values is None else tuple(values.ravel())
    for key in ("Energy", "energy"):
        values = _small(path, group, key, ((n_channels,),))
        if values is not None and calibration is None:
            calibration = meta.line_of(where, values)
    axes = []
    for name, size in zip("yx", shape, strict=True):
        axis = build_axis(name, size, None, None)
        for key in (f"{name}_axis", f"Scan/{name}_axis"):
            axis |= _line_of_positions(_small(path, root, key, ((size,),)))
        axes.append(axis)
    instrument = {"dataset": found.name}
    signal = _build(
        path, path.stem, axes, n_channels, times, calibration, where, instrument
    )
    source = make_source(path, dataset, (*shape, n_channels), channels_first=True)
    signal["data"] = load(source, path, lazy, chunks)
    signal["original_metadata"] = {}
    return signal


def _small(
    path: Path, group: h5py.Group, name: str, shapes: tuple[tuple[int, ...], ...]
) -> np.ndarray | None:
    """Read numbers of a shape, None if there are none such."""
    item = _get(group, name)
    if not isinstance(item, h5py.Dataset) or item.shape not in shapes:
        return None
    if not is_numeric(item) or item.nbytes > _MOST_SMALL:
        return None
    check_size(path, item)
    return item[()].astype(np.float64)


def _plain(value: Any) -> Any:
    """Turn the value of an attribute into what HyperSpy shows."""
    text = text_of(value)
    if text:
        return text
    if isinstance(value, np.generic):
        return value.item()
    return value.tolist() if isinstance(value, np.ndarray) else value


# Scans.


@dataclass(frozen=True)
class Scan:
    """A scan, as Bliss writes it.

    Attributes
    ----------
    path, entry
        The file, and the group of the scan.
    """

    path: Path
    entry: h5py.Group

    @property
    def title(self) -> str:
        """The command."""
        return read_text(self.entry, "title")

    @property
    def name(self) -> str:
        """Path of the group."""
        return (self.entry.name or "").strip("/")

    def label(self, detector: str) -> str:
        """Return a title for a signal."""
        return " ".join(part for part in (self.path.stem, self.name, detector) if part)

    def date(self) -> Any:
        """Return when it began."""
        return meta.parse_date(read_text(self.entry, "start_time"))

    def planned(self) -> tuple[list[Planned], bool]:
        """Return the axes that the parameters of a continuous scan give, slowest first.

        Returns
        -------
        planned : list of Planned
            Empty if there are none.
        is_zigzag : bool
            Whether every other row is measured backwards.
        """
        group = _get(self.entry, f"{names.INSTRUMENT}/{names.FSCAN}")
        if not isinstance(group, h5py.Group):
            return [], False
        planned = []
        for prefix in ("slow1_", "slow2_", "slow_", "fast_", ""):
            motor = read_text(group, f"{prefix}motor")
            values = [
                _small(self.path, group, f"{prefix}{key}", ((), (1,)))
                for key in ("start_pos", "step_size", "npoints")
            ]
            if not motor or any(value is None for value in values):
                continue
            start, step, n = (float(value.ravel()[0]) for value in values)
            if n >= 1 and n == int(n):
                planned.append(Planned(motor, start, step, None, int(n), False))
        mode = read_text(group, "fast_motor_mode").upper()
        return planned, mode == "ZIGZAG"

    def positions(self, n_points: int) -> dict[str, tuple[np.ndarray, str | None]]:
        """Return the positions of motors at each point, and their units."""
        found: dict[str, tuple[np.ndarray, str | None]] = {}
        instrument = _get(self.entry, names.INSTRUMENT)
        if not isinstance(instrument, h5py.Group):
            return found
        positioners = _get(instrument, "positioners")
        places: list[tuple[str, Any]] = []
        if isinstance(positioners, h5py.Group):
            places += [(key, _get(positioners, key)) for key in positioners]
        for key in instrument:
            group = _get(instrument, key)
            is_motor = isinstance(group, h5py.Group) and (
                text_of(group.attrs.get("NX_class")) == "NXpositioner"
            )
            if is_motor:
                places.append((key, _get(group, "value")))
        for key, item in places:
            if not isinstance(item, h5py.Dataset) or not is_numeric(item):
                continue
            if item.ndim != 1 or item.nbytes > _MOST_SMALL or item.shape[0] < 2:
                continue
            check_size(self.path, item)
            units = text_of(item.attrs.get("units")) or None
            if units is not None or key not in found:
                found[key] = item[:n_points].astype(float), units
        return found

    def beam_energy(self) -> float | None:
        """Return the energy of the beam in keV."""
        for place in ("positioners_start", "start_positioners"):
            item = _get(self.entry, f"{names.INSTRUMENT}/{place}/energy")
            if isinstance(item, h5py.Dataset) and item.size == 1 and is_numeric(item):
                unit = {"kev": 1.0, "ev": 1e-3}.get(
                    text_of(item.attrs.get("units")).lower()
                )
                if unit is not None:
                    value = float(np.ravel(item[()])[0]) * unit
                    return value if math.isfinite(value) else None
        return None

    def tree(self) -> dict[str, Any]:
        """Return command, dates and the motors at the start, for original metadata."""
        tree: dict[str, Any] = {"scan": self.name}
        for key in ("title", "start_time", "end_time", "end_reason"):
            value = read_text(self.entry, key)
            if value:
                tree[key] = value
        for place in ("positioners_start", "start_positioners"):
            group = _get(self.entry, f"{names.INSTRUMENT}/{place}")
            if isinstance(group, h5py.Group):
                values = {}
                for key in group:
                    item = _get(group, key)
                    is_one = isinstance(item, h5py.Dataset) and item.shape == ()
                    if is_one and is_numeric(item):
                        values[key] = float(item[()])
                tree["positioners_start"] = values
                break
        return meta.clean(tree)

    def counters(self) -> Iterator[tuple[str, h5py.Dataset]]:
        """Yield what was measured at each point: one number of each counter."""
        measurement = _get(self.entry, names.MEASUREMENT)
        for key in measurement:
            item = _get(measurement, key)
            if isinstance(item, h5py.Dataset) and is_numeric(item) and item.ndim == 1:
                yield key, item


def read_counters(
    path: Path,
    contents: Contents,
    wanted: list[str] | None,
    navigation_shape: tuple[int, ...] | None,
) -> list[dict[str, Any]]:
    """Read the counters of each scan as a stack of images, or of lines.

    Parameters
    ----------
    path, contents
        The file.
    wanted
        Paths of scans; None is all.
    navigation_shape
        See :func:`rsciio_xfm.esrf.file_reader`.

    Raises
    ------
    FileNotFoundError
        There is no such scan.
    """
    chosen = list(contents.entries)
    if wanted is not None:
        chosen = [str(name).strip("/") for name in wanted]
        missing = [name for name in chosen if name not in contents.entries]
        if missing:
            raise FileNotFoundError(
                ENOENT,
                f"The file has no scan {missing[0]!r}, expected one of "
                f"{', '.join(list(contents.entries)[:_SHOWN]) or 'none'}",
                str(path),
            )
    signals = []
    for name in chosen:
        entry = contents.entries[name]
        scan = Scan(path, entry)
        counters = {}
        for key, dataset in scan.counters():
            if dataset.nbytes <= _MOST_SMALL and dataset.shape[0]:
                check_size(path, dataset)
                counters[key] = dataset[()].astype(float)
        if not counters:
            continue
        n_points = min(len(values) for values in counters.values())
        where = f"{path}: {name}"
        grid = _grid_of(where, scan, n_points, navigation_shape)
        placed = {key: grid.place(values[:n_points]) for key, values in counters.items()}
        signal = meta.build_counters(
            path,
            scan.label("counters"),
            placed,
            grid.axes,
            {"command": scan.title} if scan.title else {},
            scan.date(),
        )
        if signal is not None:
            signals.append(signal | {"original_metadata": scan.tree()})
    return signals


@dataclass(frozen=True)
class Detector:
    """What lies beside the spectra of a detector.

    Attributes
    ----------
    path, found, scan
        The file, the spectra, and their scan.
    """

    path: Path
    found: Found
    scan: Scan | None

    @property
    def name(self) -> str:
        """Its name."""
        *_, parent, own = ("", *self.found.name.split("/"))
        return parent if own in names.SPECTRA else own

    def groups(self) -> list[tuple[h5py.Group, str]]:
        """Return where its counters may be, and what comes before their names."""
        places = []
        if self.scan is not None:
            own = _get(self.scan.entry, f"{names.INSTRUMENT}/{self.name}")
            if isinstance(own, h5py.Group):
                places.append((own, ""))
            measurement = _get(self.scan.entry, names.MEASUREMENT)
            if isinstance(measurement, h5py.Group):
                places.append((measurement, f"{self.name}_"))
        for parent in self.found.parents:
            name = (parent.name or "").rsplit("/", 1)[-1]
            if name != names.MEASUREMENT:
                places.append((parent, ""))
                info = _get(parent, "info")
                if isinstance(info, h5py.Group):
                    places.append((info, ""))
        return places

    def _find(self, keys: tuple[str, ...]) -> h5py.Dataset | None:
        for key in keys:
            for group, prefix in self.groups():
                item = _get(group, prefix + key)
                if isinstance(item, h5py.Dataset) and is_numeric(item):
                    return item
        return None

    def time(self, keys: tuple[str, ...]) -> np.ndarray | None:
        """Return a counter, times in s."""
        item = self._find(keys)
        if item is None or item.nbytes > _MOST_SMALL or item.size == 0:
            return None
        check_size(self.path, item)
        unit = _TIME_UNIT.get(text_of(item.attrs.get("units")), 1.0)
        return np.atleast_1d(item[()]).astype(np.float64) * unit

    def calibration(self, where: str, n_channels: int) -> tuple[float, ...] | None:
        """Return the calibration a, b, c; None if there is none."""
        item = self._find(("calibration",))
        if item is not None and item.size in (2, 3):
            return tuple(float(value) for value in np.ravel(item[()]))
        for group in self.found.parents:
            listed = _listed_axes(group)
            key = listed[-1] if len(listed) > 1 else "energy"
            values = _small(self.path, group, key, ((n_channels,),)) if key else None
            if values is not None:
                unit = text_of(group[key].attrs.get("units")).lower()
                line = meta.line_of(where, values)
                if line is not None and unit in ("kev", "ev", ""):
                    scale = 1e-3 if unit == "ev" else 1.0
                    return tuple(scale * term for term in line)
        return None
