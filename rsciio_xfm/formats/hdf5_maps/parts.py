"""What each part of a map holds whose layout is known: spectra, and counters beside them."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.hdf5.sizes import check_size, is_numeric
from rsciio_xfm.core.hdf5.small import MOST_SMALL
from rsciio_xfm.core.hdf5.stored import Arrangement, make_source
from rsciio_xfm.core.views import Joined, with_detectors
from rsciio_xfm.core.xrf import TICKS
from rsciio_xfm.formats.hdf5_maps.axes import POINT, detector_axis, order_of
from rsciio_xfm.formats.hdf5_maps.find import Found
from rsciio_xfm.formats.hdf5_maps.layouts import Counter
from rsciio_xfm.formats.hdf5_maps.match import child, group_at

LEAST_TICKS = 5  # of a frame that was measured: the first one of a row may be none

Times = dict[tuple[str, ...], np.ndarray]


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
        """One of the `places` of :class:`rsciio_xfm.core.views.Joined`."""
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


def measure_part(
    path: Path,
    found: Found,
    roles: tuple[str, ...],
    detectors: list[int | None],
    name: str,
) -> Part:
    """Find where the spectra of a part are, and read what was counted at each of them."""
    dataset, matched = found.dataset, found.known
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
        TICKS in own and own[TICKS].size and own[TICKS][0] < LEAST_TICKS for own in times
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
    matched = found.known
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
    matched = found.known
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
