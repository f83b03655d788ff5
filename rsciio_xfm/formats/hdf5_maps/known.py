"""The one reader of all layouts in the table: spectra, their parts, counters, positions."""

import math
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.checks import is_whole
from rsciio_xfm.core.eds import build_axis, clean_units
from rsciio_xfm.core.hdf5.links import Group, get, open_checked
from rsciio_xfm.core.hdf5.sizes import check_size, is_numeric
from rsciio_xfm.core.hdf5.small import MOST_SMALL, read_small, text_of
from rsciio_xfm.core.hdf5.stored import Arrangement, make_source
from rsciio_xfm.core.scan import Grid, Planned, make_grid, parse_command
from rsciio_xfm.core.series import list_numbered
from rsciio_xfm.core.to_dask import load
from rsciio_xfm.core.views import Joined, Placed, with_detectors
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.xrf import ELAPSED, LIVE, TICKS
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.hdf5_maps.axes import DETECTOR, POINT, detector_axis, order_of
from rsciio_xfm.formats.hdf5_maps.find import Found, Link, listed_axes
from rsciio_xfm.formats.hdf5_maps.layouts import (
    FILES,
    PARTS,
    Counter,
    Match,
    child,
    group_at,
    match,
)
from rsciio_xfm.formats.hdf5_maps.series import find_rows

_LEAST_TICKS = 5  # of a frame that was measured: the first one of a row may be none
_SHOWN = 8
_MOST_GAP, _MOST_GAPS = 2**20, 100  # points that may be missing: at all, for each one
_KEPT = "beside the spectra: dataset_path reads them"

Times = dict[tuple[str, ...], np.ndarray]


class _OtherFileError(FileFormatError):
    """A file is of something else."""


@dataclass
class Part:
    """What a file, or a link of a master, holds of a map.

    Attributes
    ----------
    name
        For messages.
    sources
        The spectra of each detector: points or rows first, channels last.
    times
        What was counted at each of them, for each detector, without what is left out.
    start, stop, size
        Which entries are taken, and how many there should be.
    numbers
        The first and the last number of its points, where they are counted.
    """

    name: str
    sources: list[FileArray]
    times: list[Times]
    start: int
    stop: int
    size: int
    numbers: tuple[int, int] | None = None

    @property
    def place(self) -> tuple[int, int, int]:
        """For :class:`rsciio_xfm.core.views.Joined`."""
        return self.start, self.stop, self.size


@dataclass
class Whole:
    """All parts of a map.

    Attributes
    ----------
    parts
        In their order, None for those that are not there.
    width
        Points of a row, where parts are rows; 0 otherwise.
    """

    parts: list[Part | None]
    width: int = 0
    first: Part = field(init=False)

    def __post_init__(self) -> None:
        self.first = next(part for part in self.parts if part is not None)

    @property
    def size(self) -> int:
        """How many points, or rows, there are."""
        return sum(place[2] for place in self.places())

    def places(self) -> tuple[tuple[int, int, int], ...]:
        """Return what is taken of each part, and how large it is."""
        width = self.width or max(part.size for part in self.parts if part is not None)
        return tuple((0, 0, width) if p is None else p.place for p in self.parts)

    def source(self, i: int) -> FileArray:
        """Return the spectra of a detector."""
        first = self.first
        if len(self.parts) == 1 and first.place == (0, first.size, first.size):
            return first.sources[i]
        return Joined(
            tuple(None if p is None else p.sources[i] for p in self.parts), self.places()
        )

    def times(self, i: int) -> Times:
        """Return what was counted for a detector; NaN where it was not."""
        every = [{} if p is None else p.times[i] for p in self.parts]
        found: Times = {}
        for key in dict.fromkeys(key for times in every for key in times):
            inner = next(times[key] for times in every if key in times).shape[1:]
            values = [
                _fit(times.get(key, np.empty((0, *inner))), size)
                for times, (*_, size) in zip(every, self.places(), strict=True)
            ]
            found[key] = np.concatenate(values)
        return found


def _fit(values: np.ndarray, size: int) -> np.ndarray:
    """Make values as many as there are points; NaN for those that are missing."""
    values = values[:size]
    pad = [(0, size - len(values)), *[(0, 0)] * (values.ndim - 1)]
    return np.pad(values, pad, constant_values=np.nan)


def read_known(path: Path, found: Found, options: Any) -> list[dict[str, Any]]:
    """Read spectra whose layout is in the table.

    Parameters
    ----------
    path
        Of the file.
    found
        The spectra, with their match.
    options
        See :class:`rsciio_xfm.formats.hdf5_maps.spectra.Options`.

    Returns
    -------
    list of dict
        A signal for each detector.
    """
    matched, where = _matched(found), f"{path}: {found.name}"
    roles = options.axes or matched.roles
    if len(roles) != found.dataset.ndim:
        raise FileFormatError(
            f"{where} is {found.dataset.shape}, expected {len(roles)} axes, as axes is "
            f"{' '.join(roles)!r} (byte {h5py.h5o.get_info(found.dataset.id).addr})."
        )
    detectors = _choose(where, found, roles, options.detector)
    parts = _collect(path, found, roles, detectors, options)
    whole = Whole(parts)
    is_points = POINT in roles
    if is_points and (len(parts) > 1 and matched.layout.rows != PARTS):
        whole = _make_rows(where, parts, options.navigation_shape)
    elif not is_points:
        _check_alike(where, whole)
    grid, axes = _navigation(path, found, whole, roles, options)
    energy = _energy_axis(path, found, whole.first.sources[0].shape[-1])
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


def _matched(found: Found) -> Match:
    if found.match is None:
        raise ValueError(f"{found.name} is of no layout, expected one of the table.")
    return found.match


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
    if not is_whole(number) or not 0 <= number < n:
        raise ValueError(f"{where}: detector is {number!r}, expected 0 to {n - 1}.")
    return [int(number)]


# Parts --------------------------------------------------------------------------------


def _collect(
    path: Path,
    found: Found,
    roles: tuple[str, ...],
    detectors: list[int | None],
    options: Any,
) -> list[Part | None]:
    """Measure all parts of a map: files of a series, links of a master, or the file alone."""

    def measure(one: Found, name: str) -> Part:
        _check_like(path, found, one, name)
        return _measure(path, one, roles, detectors, name)

    layout = _matched(found).layout
    if found.rows:
        parts = [_follow(found, one, name, measure) for name, one in found.rows.items()]
        _warn_missing(path, found, [part is None for part in parts])
    elif options.series:
        if layout.rows not in (FILES, PARTS):
            raise FileFormatError(
                f"{path}: series is given, expected False for {found.name}: files of the "
                f"layout {layout.name} hold whole maps."
            )
        parts = []
        for file in find_rows(path, options.series):
            parts.append(
                None if file is None else _open(path, file, found, measure, options)
            )
    else:
        parts = [measure(found, path.name)]
        if layout.rows == PARTS and parts[0] is not None and parts[0].numbers:
            return _continue(path, found, parts[0], measure, options)
        if layout.rows == FILES and POINT in roles and options.navigation_shape is None:
            _tell_of_rows(path)
    if layout.rows == PARTS:
        return _in_sequence(path, parts)
    return parts


def _open(
    path: Path,
    file: Path,
    found: Found,
    measure: Callable[[Found, str], Part],
    options: Any,
) -> Part:
    """Measure another file of a series."""
    if file == path:
        return measure(found, path.name)
    with open_checked(file, None, options.allow_outside, options.advice) as root:
        dataset = get(root, found.name)
        if not isinstance(dataset, h5py.Dataset) or not is_numeric(dataset):
            raise _OtherFileError(
                f"{file}: {found.name} is not there, expected spectra as in {path}, whose "
                "row this file should be (byte 0, the whole file)."
            )
        way = found.name.rsplit("/", 1)
        parents = [get(root, way[0])] if len(way) > 1 else [root]
        one = Found(found.name, dataset, parents, None, found.layout, root)
        one.match = match(one) or replace(_matched(found))
        return measure(one, file.name)


def _check_like(path: Path, first: Found, one: Found, name: str) -> None:
    """Refuse parts of other detectors, channels or types."""
    shape, own = first.dataset.shape, one.dataset.shape
    roles = _matched(first).roles
    points = [i for i, role in enumerate(roles) if role in (POINT, "y")]
    alike = len(shape) == len(own) and all(
        a == b or i in points for i, (a, b) in enumerate(zip(shape, own, strict=True))
    )
    if not alike or first.dataset.dtype != one.dataset.dtype:
        raise FileFormatError(
            f"{path}: {first.name} of {name} is {own} of {one.dataset.dtype}, expected as in "
            f"the first part {shape} of {first.dataset.dtype}, but for the points (byte "
            f"{h5py.h5o.get_info(one.dataset.id).addr})."
        )
    if 0 in own:
        raise FileFormatError(
            f"{path}: {one.name} of {name} is {own}, expected no axis of 0 (byte "
            f"{h5py.h5o.get_info(one.dataset.id).addr})."
        )


def _follow(
    first: Found,
    one: Found | Link | None,
    name: str,
    measure: Callable[[Found, str], Part],
) -> Part | None:
    """Measure a row that a master links to, whose file may have to be opened."""
    if not isinstance(one, Link):
        return None if one is None else measure(one, name)
    with one.group.linked_briefly(one.name) as item:
        dataset = get(item, one.path) if isinstance(item, Group) else None
        if not isinstance(dataset, h5py.Dataset) or not is_numeric(dataset):
            return None
        parents = [dataset.parent]
        own = Found(first.name, dataset, parents, None, first.layout, first.root)
        own.match = first.match
        return measure(own, name)


def _warn_missing(path: Path, found: Found, is_gone: list[bool]) -> None:
    gone = [name for name, gone in zip(found.rows, is_gone, strict=True) if gone]
    if gone:
        warn(
            f"{path}: {len(gone)} of {len(found.rows)} parts of {found.layout} are not there: "
            f"{', '.join(gone[:_SHOWN])}{' ...' if len(gone) > _SHOWN else ''}. They are "
            "zeros without dead times."
        )


def _tell_of_rows(path: Path) -> None:
    """Say that files beside one that is a line may be rows of a map."""
    others = list_numbered(path)
    if len(others) > 1:
        warn(
            f"{path}: the spectra are a line, and the names of {len(others)} files differ in "
            "the last number only. If they are rows of one map, series=True reads it; if this "
            "is a whole map, navigation_shape=(x, y) gives its shape."
        )


def _continue(
    path: Path,
    found: Found,
    own: Part,
    measure: Callable[[Found, str], Part],
    options: Any,
) -> list[Part | None]:
    """Find the other parts of a scan, if the numbers of their points say that they are."""
    parts: list[Part | None] = []
    last = 0
    for file in list_numbered(path).values():
        try:
            part = own if file == path else _open(path, file, found, measure, options)
        except _OtherFileError:
            return [own]
        except (FileFormatError, OSError) as exc:
            warn(
                f"{path}: {file.name} beside it may hold more points of the scan, and cannot "
                f"be read with it: only the points of this file are read. {exc}"
            )
            return [own]
        if part.numbers is None or part.numbers[0] <= last:
            return [own]
        parts.append(part)
        last = part.numbers[1]
    return _in_sequence(path, parts or [own])


def _in_sequence(path: Path, parts: list[Part | None]) -> list[Part | None]:
    """Leave room for points whose numbers are missing, if points have numbers."""
    there = [part for part in parts if part is not None]
    if not all(part.numbers for part in there):
        return parts
    found: list[Part | None] = []
    last, n_missing, n_there = 0, 0, sum(part.size for part in there)
    for part in there:
        first, end = part.numbers or (0, 0)
        gap = first - 1 - last
        if gap < 0 or gap > max(_MOST_GAP, _MOST_GAPS * n_there):
            raise FileFormatError(
                f"{path}: the points of {part.name} are numbered {first} to {end}, expected "
                f"numbers from {last + 1} on, as {n_there} points are there (byte unknown)."
            )
        if gap:
            n_missing += gap
            times: list[Times] = [{} for _ in part.times]
            found.append(replace(part, times=times, start=0, stop=0, size=gap))
        found.append(part)
        last = end
    if n_missing:
        warn(
            f"{path}: {n_missing} points are in none of {len(there)} files, by their numbers: "
            "they are zeros without dead times."
        )
    return found


def _measure(
    path: Path,
    found: Found,
    roles: tuple[str, ...],
    detectors: list[int | None],
    name: str,
) -> Part:
    """Find where the spectra of a part are, and read what was counted at each of them."""
    dataset, matched = found.dataset, _matched(found)
    check_size(path, dataset)
    order, axis = order_of(roles), detector_axis(roles)
    taken = () if axis is None else (0,)
    lies = Arrangement(order, None, axis, taken, is_unsigned=matched.layout.is_unsigned)
    source = make_source(path, dataset, lies)
    sources = [source if i is None else with_detectors(source, (i,)) for i in detectors]
    pixels = source.shape[:-1]
    numbers = [matched.detector if i is None else i for i in detectors]
    times = [_read_times(path, found, pixels, number) for number in numbers]
    n = pixels[0]
    if len(pixels) > 1 or POINT not in roles:
        return Part(name, sources, times, 0, n, n)
    is_none = n > 1 and all(
        TICKS in own and own[TICKS].size and own[TICKS][0] < _LEAST_TICKS for own in times
    )
    start = int(is_none and bool(times))
    n_counted = max((len(v) for own in times for v in own.values()), default=0)
    size = (n + 1 if n_counted == n + 1 else n) - start
    for own in times:
        for key, values in own.items():
            own[key] = values[start:n]
    part = Part(name, sources, times, start, n, size)
    part.numbers = _read_numbers(path, found)
    return part


def _read_times(
    path: Path, found: Found, pixels: tuple[int, ...], number: int | None
) -> Times:
    """Read the counters of a detector: of each point, or in the shape of the pixels."""
    matched = _matched(found)
    groups = []
    for place in matched.layout.places:
        if place:
            groups.append(group_at(found, matched.fill(place)))
        else:
            groups += [found.dataset.parent, *found.parents]
    times: Times = {}
    for counter in matched.layout.counters:
        key = matched.fill(counter.name, number=(number or 0) + 1)
        for group in groups:
            item = child(group, key)
            values = _values(path, item, counter, pixels, number)
            if values is not None:
                times.setdefault(counter.meaning, values)
                break
    return times


def _values(
    path: Path, item: Any, counter: Counter, pixels: tuple[int, ...], number: int | None
) -> np.ndarray | None:
    if not isinstance(item, h5py.Dataset) or not is_numeric(item):
        return None
    if item.nbytes > MOST_SMALL or item.ndim == 0 or item.size == 0:
        return None
    check_size(path, item)
    values = item[()].astype(np.float64) * counter.scale
    if counter.is_of_all:
        if number is None or number >= len(values):
            return None
        values = values[number]
    if len(pixels) == 1:
        return values.ravel() if values.size == len(values) else None
    return values.reshape(pixels) if values.size == math.prod(pixels) else None


def _read_numbers(path: Path, found: Found) -> tuple[int, int] | None:
    """Read the numbers of the first and the last point of a part."""
    matched = _matched(found)
    if not matched.layout.sequence:
        return None
    item = group_at(found, matched.fill(matched.layout.sequence))
    n = found.dataset.shape[0]
    if not isinstance(item, h5py.Dataset) or not is_numeric(item) or item.shape != (n,):
        return None
    check_size(path, item)
    values = item[()].astype(np.float64)
    if not np.isfinite(values).all() or (np.diff(values) != 1).any() or values[0] < 1:
        return None
    return int(values[0]), int(values[-1])


# Rows ---------------------------------------------------------------------------------


def _make_rows(where: str, parts: list[Part | None], shape: Any) -> Whole:
    """Make parts as wide as most of them are; say which are not."""
    there = [part for part in parts if part is not None]
    sizes = Tally(part.size for part in there)
    width = max(sizes, key=lambda size: (sizes[size], size))
    if (
        shape is not None
        and len(shape) == 2
        and all(is_whole(n) and n > 0 for n in shape)
    ):
        width, n_rows = (int(n) for n in shape)
        if n_rows < len(parts):
            warn(
                f"{where}: {len(parts)} rows are there, navigation_shape {shape} has "
                f"{n_rows}: those after them are left out."
            )
        parts = [*parts[:n_rows], *[None] * (n_rows - len(parts))]
        there = [part for part in parts if part is not None]
    _warn_of_lengths(where, there, width)
    wide: list[Part | None] = []
    for part in parts:
        stop = 0 if part is None else min(part.stop, part.start + width)
        wide.append(None if part is None else replace(part, size=width, stop=stop))
    return Whole(wide, width)


def _warn_of_lengths(where: str, parts: list[Part], width: int) -> None:
    """Say which rows begin with a frame that was not measured, are short, or long."""
    kinds: dict[str, list[str]] = {
        f"begin with a frame of fewer than {_LEAST_TICKS} ticks of the clock, which is left "
        "out": [p.name for p in parts if p.start],
        f"have fewer than {width} points: the rest of them are zeros without dead times": [
            p.name for p in parts if p.stop - p.start < width
        ],
        f"have more than {width} points: those after them are left out": [
            p.name for p in parts if p.stop - p.start > width
        ],
    }
    for text, names in kinds.items():
        if names:
            shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
            warn(f"{where}: {len(names)} of {len(parts)} rows {text} ({shown}).")


def _check_alike(where: str, whole: Whole) -> None:
    """Refuse a series with gaps if its files have several rows: they may differ in number."""
    if any(part is None for part in whole.parts) and whole.first.size > 1:
        raise FileFormatError(
            f"{where}: files of {whole.first.size} rows are a series and some are missing, "
            "expected all (names of the files)."
        )


# Axes ---------------------------------------------------------------------------------


def _navigation(
    path: Path, found: Found, whole: Whole, roles: tuple[str, ...], options: Any
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
            f"{where}: the first frame has fewer than {_LEAST_TICKS} ticks of the clock: it "
            "is left out."
        )
    if part.size > part.stop - part.start:
        warn(
            f"{where}: there is one spectrum less than there are counters: the last point is "
            "zeros without dead time."
        )


def _grid(where: str, path: Path, found: Found, whole: Whole, shape: Any) -> Grid:
    """Find how points lie in a map."""
    n, command = whole.size, _command(found)
    positions = {}
    for axis in "xy":
        for item in _positions(found, axis):
            if item.ndim == 1 and item.size > 1 and item.nbytes <= MOST_SMALL:
                check_size(path, item)
                name = item.name.rsplit("/", 1)[-1]
                units = text_of(item.attrs.get("units")) or None
                positions[name] = (item[()].astype(float), units)
                if "*" not in str(_matched(found).layout.positions):
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


def _command(found: Found) -> str:
    """Return the command of the scan, where the layout keeps one."""
    matched = _matched(found)
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
    matched = _matched(found)
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


def _energy_axis(path: Path, found: Found, n_channels: int) -> dict[str, Any]:
    """Make the energy axis from what lies beside the spectra."""
    where, layout = f"{path}: {found.name}", _matched(found).layout
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


# Signals ------------------------------------------------------------------------------


def _build(
    path: Path,
    found: Found,
    times: Times,
    axes: list[dict[str, Any]],
    number: int | None,
) -> dict[str, Any]:
    """Describe a map of one detector, without its data."""
    matched, where = _matched(found), f"{path}: {found.name}"
    dead_time, origin = meta.find_dead_time(times.get, matched.layout.ways)
    elapsed = times.get(ELAPSED)
    meta.warn_of_uneven(where, elapsed, kept=_KEPT)
    instrument: dict[str, Any] = {"dataset": found.name, "layout": matched.layout.name}
    detector = number if number is not None else matched.detector
    if detector is not None:
        instrument["detector"] = detector
    if origin:
        instrument["dead_time_from"] = origin
    command = _command(found)
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
