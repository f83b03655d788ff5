"""Where the points of a map lie whose layout is known, and its axes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.eds import build_axis, clean_units
from rsciio_xfm.core.hdf5.links import get
from rsciio_xfm.core.hdf5.sizes import check_size, is_numeric
from rsciio_xfm.core.hdf5.small import MOST_SMALL, read_small, text_of
from rsciio_xfm.core.scan import Grid, Planned, make_grid, parse_command
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.hdf5_maps.axes import POINT
from rsciio_xfm.formats.hdf5_maps.find import Found, listed_axes
from rsciio_xfm.formats.hdf5_maps.match import group_at
from rsciio_xfm.formats.hdf5_maps.options import Options
from rsciio_xfm.formats.hdf5_maps.parts import LEAST_TICKS, Part, Whole


def find_places(
    path: Path, found: Found, whole: Whole, roles: tuple[str, ...], options: Options
) -> tuple[Grid | None, list[dict[str, Any]]]:
    """Return where points are in the map, if they are points, and the axes of pixels."""
    where, shape = f"{path}: {found.name}", options.navigation_shape
    if POINT in roles:
        if len(whole.parts) == 1:
            _warn_of_point(where, whole.first)
        grid = _grid(where, path, found, whole, shape)
        return grid, [dict(axis) for axis in grid.axes]
    if shape is not None:
        raise ValueError(
            f"{where} is {found.dataset.shape}: navigation_shape is for points and channels "
            "only, expected None."
        )
    sizes = (whole.size, *whole.first.sources[0].shape[1:-1])
    names = [role for role in ("z", "y", "x") if role in roles]
    axes = []
    for name, size in zip(names, sizes, strict=True):
        axis = build_axis(name, size, None, None)
        for item in _positions(found, name):
            if item.shape == (size,):
                check_size(path, item)
                line = meta.line_of_positions(item[()].astype(float))
                units = clean_units(text_of(item.attrs.get("units")))
                axis |= line | ({"units": units} if line else {})
                break
        axes.append(axis)
    return None, axes


def _warn_of_point(where: str, part: Part) -> None:
    """Say what was done with a point too many, or one too few, of a single part."""
    if part.start:
        warn(
            f"{where}: the first frame has fewer than {LEAST_TICKS} ticks of the clock: it "
            "is left out."
        )
    if part.size > part.stop - part.start:
        warn(
            f"{where}: there is one spectrum less than there are counters: the last point is "
            "zeros without dead time."
        )


def _grid(
    where: str, path: Path, found: Found, whole: Whole, shape: tuple[int, ...] | None
) -> Grid:
    """Find how points lie in a map."""
    n, command = whole.size, find_command(found)
    positions = {}
    for axis in "xy":
        for item in _positions(found, axis):
            if item.ndim == 1 and item.size > 1 and item.nbytes <= MOST_SMALL:
                check_size(path, item)
                name = item.name.rsplit("/", 1)[-1]
                units = text_of(item.attrs.get("units")) or None
                positions[name] = (item[()].astype(float), units)
                if "*" not in str(found.known.layout.positions):
                    break
    if whole.width:
        positions = {k: v for k, v in positions.items() if len(v[0]) == n}
        fast, slow = ([*positions, "x", "y"] if len(positions) == 2 else ["x", "y"])[:2]
        planned = [
            Planned(slow, 0.0, 0.0, None, n // whole.width, False),
            Planned(fast, 0.0, 0.0, None, whole.width, False),
        ]
        return make_grid(where, n, positions=positions, planned=planned)
    positions = {k: v for k, v in positions.items() if len(v[0]) >= n}
    for planned_axis in parse_command(command):
        # Of motors sx and sy, positions x and y are kept.
        motor = planned_axis.motor
        if motor not in positions and motor[-1:] in positions:
            positions = {motor: positions[motor[-1:]]} | positions
    return make_grid(where, n, command, positions, navigation_shape=shape)


def find_command(found: Found) -> str:
    """Return the command of the scan, where the layout keeps one."""
    matched = found.known
    for place in matched.layout.command:
        name, _, attribute = matched.fill(place).partition("@")
        item = group_at(found, name)
        if not isinstance(item, h5py.Dataset):
            continue
        if attribute:
            text = text_of(item.attrs.get(attribute))
        elif item.size == 1 and item.dtype.kind in "SO":
            text = text_of(item[()])
        else:
            text = ""
        if text:
            return text.lstrip("%")
    return ""


def _positions(found: Found, name: str) -> Iterator[h5py.Dataset]:
    """Yield where the positions along an axis may be, x or y."""
    matched = found.known
    if matched.layout.positions is None or name not in "xy":
        return
    for place in matched.layout.positions["xy".index(name)]:
        group, is_named, _ = matched.fill(place).partition("@axes")
        items: list[Any]
        if is_named:
            parent = group_at(found, group)
            listed = listed_axes(parent) if isinstance(parent, h5py.Group) else []
            items = [get(parent, one) for one in listed["xy".index(name) :][:1]]
        elif "*" in group:
            before, after = group.split("*")
            parent = group_at(found, before)
            keys = [*parent] if isinstance(parent, h5py.Group) else []
            items = [get(parent, f"{key}{after}") for key in keys if isinstance(key, str)]
        else:
            items = [group_at(found, group)]
        for item in items:
            if isinstance(item, h5py.Dataset) and is_numeric(item):
                yield item


def energy_axis(path: Path, found: Found, n_channels: int) -> dict[str, Any]:
    """Make the energy axis from what lies beside the spectra."""
    where, layout = f"{path}: {found.name}", found.known.layout
    groups = [found.dataset.parent, *found.parents]
    calibration = None
    for group in groups:
        for key in layout.calibration:
            values = read_small(path, group, key, ((3,), (3, 1), (2,)))
            calibration = calibration or (
                None if values is None else tuple(values.ravel())
            )
        for key in layout.energies:
            item = get(group, key)
            values = read_small(path, group, key, ((n_channels,),))
            if values is not None and calibration is None:
                calibration = meta.calibration_of(values)
            elif values is None and isinstance(item, h5py.Dataset) and item.ndim == 1:
                warn(
                    f"{where}: {key} beside the spectra has {item.size} values, expected "
                    f"{n_channels}, as many as there are channels: it is not used."
                )
        if calibration is not None:
            break
    return meta.energy_axis(where, n_channels, calibration)
