"""The one reader of all layouts in the table."""

from pathlib import Path
from typing import Any

import h5py

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.checks import check_number_of
from rsciio_xfm.core.scan import Grid
from rsciio_xfm.core.to_dask import load
from rsciio_xfm.core.views import Placed
from rsciio_xfm.core.xrf import ELAPSED, LIVE
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.hdf5_maps.axes import DETECTOR, POINT
from rsciio_xfm.formats.hdf5_maps.find import Found
from rsciio_xfm.formats.hdf5_maps.layouts import PARTS
from rsciio_xfm.formats.hdf5_maps.options import Options
from rsciio_xfm.formats.hdf5_maps.parts import Times, Whole
from rsciio_xfm.formats.hdf5_maps.places import energy_axis, find_command, find_places
from rsciio_xfm.formats.hdf5_maps.rows import check_alike, collect, make_rows

_KEPT = "beside the spectra: dataset_path reads them"


def read_known(path: Path, found: Found, options: Options) -> list[dict[str, Any]]:
    """Read spectra whose layout is in the table.

    Parameters
    ----------
    path
        Of the file.
    found
        The spectra, with their match.
    options
        See :class:`rsciio_xfm.formats.hdf5_maps.options.Options`.

    Returns
    -------
    list of dict
        A signal for each detector.
    """
    matched, where = found.known, f"{path}: {found.name}"
    roles = options.axes or matched.roles
    if len(roles) != found.dataset.ndim:
        raise FileFormatError(
            f"{where} is {found.dataset.shape}, expected {len(roles)} axes, as axes is "
            f"{' '.join(roles)!r} (byte {h5py.h5o.get_info(found.dataset.id).addr})."
        )
    detectors = _choose(where, found, roles, options.detector)
    parts = collect(path, found, roles, detectors, options)
    whole = Whole(parts)
    is_points = POINT in roles
    if is_points and (len(parts) > 1 and matched.layout.rows != PARTS):
        whole = make_rows(where, parts, options.navigation_shape)
    elif not is_points:
        check_alike(where, whole)
    grid, axes = find_places(path, found, whole, roles, options)
    energy = energy_axis(path, found, whole.first.sources[0].shape[-1])
    signals = []
    for i, number in enumerate(detectors):
        signal = _build(path, found, _at(whole.times(i), grid), [*axes, energy], number)
        source = whole.source(i)
        if grid is not None:
            source = _place(source, grid)
        signals.append(
            signal | {"data": load(source, path, options.lazy, options.chunks)}
        )
    return signals


def _place(source: FileArray, grid: Grid) -> FileArray:
    """Put points to their places, unless they are a line."""
    if grid.shape == source.shape[:1]:
        return source
    turned = tuple(grid.is_reversed.tolist()) if grid.is_reversed.any() else ()
    return Placed(source, grid.shape, grid.n_points, turned)


def _at(times: Times, grid: Grid | None) -> Times:
    if grid is None:
        return times
    return {key: grid.place(values) for key, values in times.items()}


def _choose(
    where: str, found: Found, roles: tuple[str, ...], number: Any
) -> list[int | None]:
    """Return which detectors are read: None of a dataset of one."""
    if DETECTOR not in roles:
        return [None]
    n = found.dataset.shape[roles.index(DETECTOR)]
    if number is None:
        return [*range(n)]
    return [check_number_of(where, "detector", number, n)]


def _build(
    path: Path,
    found: Found,
    times: Times,
    axes: list[dict[str, Any]],
    number: int | None,
) -> dict[str, Any]:
    """Describe a map of one detector, without its data."""
    matched, where = found.known, f"{path}: {found.name}"
    dead_time, origin = meta.find_dead_time(times.get, matched.layout.ways)
    elapsed = times.get(ELAPSED)
    meta.warn_of_uneven(where, elapsed, kept=_KEPT)
    instrument: dict[str, Any] = {"dataset": found.name, "layout": matched.layout.name}
    detector = number if number is not None else matched.detector
    if detector is not None:
        instrument["detector"] = detector
    if origin:
        instrument["dead_time_from"] = origin
    command = find_command(found)
    if command:
        instrument["command"] = command
    label = [path.stem, matched.fill(matched.layout.label)]
    label += [] if number is None else [str(number)]
    signal = meta.build_map(
        path,
        " ".join(part for part in label if part),
        [dict(axis) for axis in axes],
        dead_time,
        meta.mean_time(elapsed),
        instrument=instrument,
        live_time=meta.mean_time(times.get(LIVE)),
    )
    return signal | {"original_metadata": {}}


def check_kinds(path: Path, chosen: list[Found]) -> None:
    """Refuse a series of what is in no such layout.

    Raises
    ------
    FileFormatError
        It names the first of them.
    """
    for found in chosen:
        if found.match is None:
            raise FileFormatError(
                f"{path}: series is given, expected False for {found.name}, whose layout is "
                "not known: rows in files are known of areaDetector, MAPS_RAW and PETRA III."
            )
