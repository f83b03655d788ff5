"""Scans as Bliss writes them in HDF5 files."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from errno import ENOENT
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.dates import parse_datetime
from rsciio_xfm.core.eds import order_axes
from rsciio_xfm.core.hdf5.links import get, linked
from rsciio_xfm.core.hdf5.sizes import check_size, is_numeric
from rsciio_xfm.core.hdf5.small import MOST_SMALL, read_small, read_text, text_of
from rsciio_xfm.core.scan import Grid, Planned, make_grid
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.hdf5_maps.find import Contents, Found, listed_axes, split_path
from rsciio_xfm.formats.hdf5_maps.layout import FSCAN, INSTRUMENT, MEASUREMENT, SPECTRA

_SHOWN = 12
_COUNTERS = (*meta.COUNTERS, "calibration", "channels")
_TIME_UNIT = {"ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


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

    @cached_property
    def title(self) -> str:
        """The command."""
        return read_text(self.path, self.entry, "title")

    @property
    def name(self) -> str:
        """Path of the group."""
        return (self.entry.name or "").strip("/")

    def label(self, detector: str) -> str:
        """Return a title for a signal."""
        return " ".join(part for part in (self.path.stem, self.name, detector) if part)

    def date(self) -> Any:
        """Return when it began."""
        return parse_datetime(read_text(self.path, self.entry, "start_time"))

    @cached_property
    def planned(self) -> tuple[list[Planned], bool]:
        """The axes that the parameters of a continuous scan give, slowest first.

        And whether every other row is measured backwards.
        """
        group = get(self.entry, f"{INSTRUMENT}/{FSCAN}")
        if not isinstance(group, h5py.Group):
            return [], False
        planned = []
        for prefix in ("slow1_", "slow2_", "slow_", "fast_", ""):
            motor = read_text(self.path, group, f"{prefix}motor")
            values = [
                read_small(self.path, group, f"{prefix}{key}", ((), (1,)))
                for key in ("start_pos", "step_size", "npoints")
            ]
            found = [value for value in values if value is not None]
            if not motor or len(found) < len(values):
                continue
            start, step, n = (float(value.ravel()[0]) for value in found)
            if n >= 1 and n == int(n):
                planned.append(Planned(motor, start, step, None, int(n), False))
        mode = read_text(self.path, group, "fast_motor_mode").upper()
        return planned, mode == "ZIGZAG"

    @property
    def positions(self) -> "Motors":
        """The positions of motors at each point, and their units."""
        return Motors(self.path, get(self.entry, INSTRUMENT))

    def beam_energy(self) -> float | None:
        """Return the energy of the beam in keV."""
        for place in ("positioners_start", "start_positioners"):
            item = get(self.entry, f"{INSTRUMENT}/{place}/energy")
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
            value = read_text(self.path, self.entry, key)
            if value:
                tree[key] = value
        for place in ("positioners_start", "start_positioners"):
            group = get(self.entry, f"{INSTRUMENT}/{place}")
            if isinstance(group, h5py.Group):
                values = {}
                for key in group:
                    item = get(group, key)
                    is_one = isinstance(item, h5py.Dataset) and item.shape == ()
                    if is_one and is_numeric(item):
                        values[key] = float(item[()])
                tree["positioners_start"] = values
                break
        return meta.clean(tree)

    def counters(self) -> Iterator[tuple[str, h5py.Dataset]]:
        """Yield what was measured at each point: one number of each counter."""
        measurement = get(self.entry, MEASUREMENT)
        for key in measurement:
            item = get(measurement, key)
            if isinstance(item, h5py.Dataset) and is_numeric(item) and item.ndim == 1:
                yield key, item


@dataclass(frozen=True)
class Motors(Mapping[str, tuple[np.ndarray, str | None]]):
    """The positions of motors at each point of a scan, and their units, by name.

    Attributes
    ----------
    path, instrument
        The file, and the group of the instrument, if there is one.
    """

    path: Path
    instrument: h5py.Group | None

    def __getitem__(self, name: str) -> tuple[np.ndarray, str | None]:
        found = None
        for item in self._datasets(name):
            units = text_of(item.attrs.get("units")) or None
            if units is not None or found is None:
                found = item, units
        if found is None:
            raise KeyError(name)
        item, units = found
        check_size(self.path, item)
        return item[()].astype(float), units

    def _datasets(self, name: str) -> Iterator[h5py.Dataset]:
        """Yield where the positions of a motor are."""
        if not isinstance(self.instrument, h5py.Group) or not name:
            return
        items = [get(self.instrument, f"positioners/{name}")]
        if self._is_motor(name):
            items.append(get(self.instrument, f"{name}/value"))
        for item in items:
            is_there = isinstance(item, h5py.Dataset) and is_numeric(item)
            is_small = is_there and item.ndim == 1 and item.nbytes <= MOST_SMALL
            if is_small and item.shape[0] > 1:
                yield item

    def _is_motor(self, name: str) -> bool:
        group = None if self.instrument is None else get(self.instrument, name)
        if not isinstance(group, h5py.Group):
            return False
        return text_of(group.attrs.get("NX_class")) == "NXpositioner"

    def __iter__(self) -> Iterator[str]:
        if not isinstance(self.instrument, h5py.Group):
            return
        positioners = get(self.instrument, "positioners")
        names = list(positioners) if isinstance(positioners, h5py.Group) else []
        names += [name for name in self.instrument if self._is_motor(name)]
        for name in dict.fromkeys(names):
            if next(self._datasets(name), None) is not None:
                yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)


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
        return parent if own in SPECTRA else own

    @cached_property
    def groups(self) -> list[tuple[h5py.Group, str]]:
        """Return where its counters may be, and what comes before their names."""
        places = []
        if self.scan is not None:
            own = get(self.scan.entry, f"{INSTRUMENT}/{self.name}")
            if isinstance(own, h5py.Group):
                places.append((own, ""))
            measurement = get(self.scan.entry, MEASUREMENT)
            if isinstance(measurement, h5py.Group):
                places.append((measurement, f"{self.name}_"))
        for parent in self.found.parents:
            name = (parent.name or "").rsplit("/", 1)[-1]
            if name != MEASUREMENT:
                places.append((parent, ""))
                info = get(parent, "info")
                if isinstance(info, h5py.Group):
                    places.append((info, ""))
        return places

    def _find(self, keys: tuple[str, ...]) -> h5py.Dataset | None:
        for key in keys:
            for group, prefix, names in self._linked:
                item = get(group, prefix + key) if prefix + key in names else None
                if isinstance(item, h5py.Dataset) and is_numeric(item):
                    return item
        return None

    @cached_property
    def _linked(self) -> list[tuple[h5py.Group, str, set[str]]]:
        """The groups of its counters, what comes before their names, and which are there."""
        return [
            (group, prefix, linked(group, [prefix + name for name in _COUNTERS]))
            for group, prefix in self.groups
        ]

    def time(self, keys: tuple[str, ...]) -> np.ndarray | None:
        """Return a counter, times in s."""
        item = self._find(keys)
        if item is None or item.nbytes > MOST_SMALL or item.size == 0:
            return None
        check_size(self.path, item)
        unit = _TIME_UNIT.get(text_of(item.attrs.get("units")), 1.0)
        return np.atleast_1d(item[()]).astype(np.float64) * unit

    def calibration(
        self, n_channels: int
    ) -> tuple[tuple[float, ...] | None, float, float]:
        """Return the calibration a, b, c, the number of the first channel, and the step.

        None if there is no calibration. That of energies is of channels from 0 on.
        """
        item = self._find(("calibration",))
        if item is not None and item.size in (2, 3):
            terms = tuple(float(value) for value in np.ravel(item[()]))
            return terms, *self._channels(n_channels)
        for group in self.found.parents:
            listed = listed_axes(group)
            key = listed[-1] if len(listed) > 1 else "energy"
            values = read_small(self.path, group, key, ((n_channels,),)) if key else None
            if values is not None:
                unit = text_of(group[key].attrs.get("units")).lower()
                line = meta.calibration_of(values)
                if line is not None and unit in ("kev", "ev", ""):
                    scale = 1e-3 if unit == "ev" else 1.0
                    return tuple(scale * term for term in line), 0.0, 1.0
        return None, *self._channels(n_channels)

    def _channels(self, n_channels: int) -> tuple[float, float]:
        """Return the number of the first channel, and the step: 0 and 1 if unknown."""
        item = self._find(("channels",))
        if item is None or item.shape != (n_channels,):
            return 0.0, 1.0
        check_size(self.path, item)
        numbers = item[()].astype(np.float64)
        steps = np.diff(numbers)
        if not np.isfinite(numbers).all() or (steps != steps[:1]).any():
            warn(
                f"{self.path}: {item.name} beside {self.found.name} goes up unevenly, "
                "expected numbers of channels in even steps: it is not used."
            )
            return 0.0, 1.0
        return float(numbers[0]), float(steps[0]) if steps.size and steps[0] else 1.0


def grid_of(
    where: str,
    scan: Scan | None,
    n_points: int,
    navigation_shape: tuple[int, ...] | None,
) -> Grid:
    """Find how the points of a scan lie in a map."""
    if scan is None:
        return make_grid(where, n_points, navigation_shape=navigation_shape)
    planned, is_zigzag = scan.planned
    return make_grid(
        where,
        n_points,
        scan.title,
        scan.positions,
        planned,
        is_zigzag,
        navigation_shape,
    )


def read_counter(
    path: Path, found: Found, navigation_shape: tuple[int, ...] | None
) -> dict[str, Any]:
    """Read what was counted at each point of a scan as an image, or a line."""
    check_size(path, found.dataset)
    values = found.dataset[()]
    scan = Scan(path, found.entry)
    grid = grid_of(f"{path}: {found.name}", scan, len(values), navigation_shape)
    name = found.name.rsplit("/", 1)[-1]
    command = {"command": scan.title} if scan.title else {}
    counters = {name: grid.place(values.astype(float))}
    signal: dict[str, Any] = (
        meta.build_counters(path, scan.label(name), counters, grid.axes, command) or {}
    )
    signal["data"], (_, *axes) = signal["data"][0], signal["axes"]
    del signal["metadata"]["General"]["counters"]
    return signal | {"axes": order_axes(axes), "original_metadata": scan.tree()}


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
        chosen = ["/".join(split_path(name)) for name in wanted]
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
            if dataset.nbytes <= MOST_SMALL and dataset.shape[0]:
                check_size(path, dataset)
                counters[key] = dataset[()].astype(float)
        if not counters:
            continue
        n_points = min(len(values) for values in counters.values())
        where = f"{path}: {name}"
        grid = grid_of(where, scan, n_points, navigation_shape)
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
