"""Random operations on maps of every format, followed by a model in numpy.

A walk is a list of steps, each the name of an operation and a seed from which it draws its
arguments. What it does to a signal is done to a :class:`Model` by numpy alone; after each
step the two are compared. A walk that fails is made as short as it can be and still fail.

``python -m tests.robustness.walks GeoPIXE --lazy --seed 3`` repeats one.
"""

import argparse
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import hyperspy.api as hs
import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.signals import EDSXFMSpectrum
from tests.builders import bruker as bruker_builder
from tests.builders import crono as crono_builder
from tests.builders import datastack as datastack_builder
from tests.builders import edax as edax_builder
from tests.builders import emd as emd_builder
from tests.builders import esrf as esrf_builder
from tests.builders import geopixe as geopixe_builder
from tests.builders import hmsa as hmsa_builder
from tests.builders import mda as mda_builder
from tests.builders import oxford as oxford_builder

EDS = "Acquisition_instrument.SEM.Detector.EDS"
NODES = (EDS, EDS.replace("SEM", "TEM"))
N_STEPS = 7

# The model ------------------------------------------------------------------------------


class Axis(NamedTuple):
    """An axis of the array; what is None is not compared."""

    name: str | None
    scale: float | None
    offset: float | None
    navigates: bool = True
    is_calibrated: bool = True

    def sliced(self, size: int, key: slice) -> "Axis":
        if self.scale is None:
            return self
        start, _, step = key.indices(size)
        offset = self.offset + start * self.scale
        return self._replace(scale=self.scale * step, offset=offset)

    def binned(self, by: int) -> "Axis":
        if self.scale is None:
            return self
        offset = self.offset + (by - 1) * self.scale / 2
        return self._replace(scale=self.scale * by, offset=offset)


@dataclass(frozen=True)
class Times:
    """Real and live times in s, each of (detectors that were summed, navigation axes).

    Attributes
    ----------
    real, live
        None if the file does not tell.
    has_map
        Whether the signal carries dead times of pixels.
    may_be_gone
        They are right, or gone; otherwise they have to be there.
    """

    real: np.ndarray | None
    live: np.ndarray | None
    has_map: bool = False
    may_be_gone: bool = False

    def apply(self, function: Callable[[np.ndarray], np.ndarray]) -> "Times":
        real, live = (
            None if times is None else function(times) for times in (self.real, self.live)
        )
        return replace(self, real=real, live=live)


@dataclass(frozen=True)
class Model:
    """What a signal has to be.

    Attributes
    ----------
    counts
        In the order and type of the signal's array.
    axes
        Of the array, slowest first; those that navigate come first.
    times
        None if they have to be gone.
    folded
        What it was before it was unfolded, if it can be folded now.
    """

    counts: np.ndarray
    axes: tuple[Axis, ...]
    times: Times | None
    folded: "Model | None" = None

    @property
    def n_navigation(self) -> int:
        return sum(axis.navigates for axis in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the navigation axes."""
        return self.counts.shape[: self.n_navigation]

    @property
    def are_spectra(self) -> bool:
        """Whether the last axis, and no other, is that of energies."""
        names = [axis.name for axis in self.axes if not axis.navigates]
        return names == ["Energy"]

    def number(self, i: int) -> int:
        """Return what HyperSpy calls an axis of the array: x first, then the energy."""
        n = self.n_navigation
        return n - 1 - i if i < n else n + self.counts.ndim - 1 - i

    def changed(self, **changes: Any) -> "Model":
        """Return another model, which was not unfolded."""
        return replace(self, folded=None, **changes)

    def with_times(self, function: Callable[[np.ndarray], np.ndarray]) -> Times | None:
        return None if self.times is None else self.times.apply(function)

    def doubtful(self) -> "Model":
        """Return a model whose times are right, or gone."""
        if self.times is None:
            return self
        return replace(self, times=replace(self.times, may_be_gone=True))


def uniform(shape: Sequence[int], real: float | None, live: float | None) -> Times | None:
    """Return times of which the file tells the mean only."""
    if real is None and live is None:
        return None
    values = [None if t is None else np.full((1, *shape), t) for t in (real, live)]
    return Times(*values)


# What differs ---------------------------------------------------------------------------


class DiffersError(AssertionError):
    """A signal is not what the model says."""


def check(signal: BaseSignal, model: Model) -> None:
    """Raise DiffersError if a signal is not that of the model."""
    _check_counts(signal, model)
    _check_axes(signal, model)
    if model.are_spectra and not isinstance(signal, EDSXFMSpectrum):
        _expect("type", type(signal).__name__, "EDSXFMSpectrum")
    if model.times is None:
        _check_gone(signal)
    elif not (model.times.may_be_gone and not _items(signal)):
        _check_times(signal, model)


def _expect(what: str, found: Any, expected: Any) -> None:
    raise DiffersError(f"{what} is {found}, expected {expected}")


def _check_counts(signal: BaseSignal, model: Model) -> None:
    expected = model.counts
    if signal.data.shape != expected.shape:
        _expect("shape", signal.data.shape, expected.shape)
    found = np.asarray(signal.data)
    if found.dtype != expected.dtype or signal.data.dtype != expected.dtype:
        _expect("type of counts", f"{signal.data.dtype} ({found.dtype})", expected.dtype)
    if found.dtype.kind == "f":
        is_same = np.isclose(found, expected, rtol=1e-5, equal_nan=True)
    else:
        is_same = found == expected
    if not np.all(is_same):
        at = tuple(int(i) for i in np.argwhere(~is_same)[0])
        _expect(f"count {at}, one of {np.sum(~is_same)},", found[at], expected[at])


def _check_axes(signal: BaseSignal, model: Model) -> None:
    found = signal.axes_manager._axes
    if len(found) != max(len(model.axes), 1):
        _expect("number of axes", len(found), len(model.axes))
    for i, (axis, expected) in enumerate(zip(found, model.axes, strict=False)):
        if (axis.size, axis.navigate) != (model.counts.shape[i], expected.navigates):
            _expect(f"axis {i}", axis, (model.counts.shape[i], expected))
        for attribute in ("scale", "offset"):
            value, wanted = getattr(axis, attribute), getattr(expected, attribute)
            if wanted is not None and not np.isclose(value, wanted, atol=1e-9):
                _expect(f"{attribute} of axis {i} ({axis.name})", value, wanted)


def _items(signal: BaseSignal) -> dict[str, Any]:
    """Return what the metadata say of times."""
    items: dict[str, Any] = {}
    for node in NODES:
        eds = signal.metadata.get_item(node)
        for name in ("real_time", "live_time", "dead_time"):
            if eds is not None and eds.has_item(name):
                items[name] = eds.get_item(name)
    return items


def _check_gone(signal: BaseSignal) -> None:
    if items := _items(signal):
        _expect("times", {name: str(item) for name, item in items.items()}, "gone")


def _check_times(signal: BaseSignal, model: Model) -> None:
    times, items = model.times, _items(signal)
    n_spectra = int(np.prod(model.shape))
    # EDAX's live time stays that of the whole map as long as it was not touched.
    eds = signal.metadata.get_item(EDS)
    is_whole = eds.get_item("live_time") == eds.get_item("live_time_of_map", "none")
    for name, expected in (("real_time", times.real), ("live_time", times.live)):
        found = items.get(name)
        if (found is None) != (expected is None):
            _expect(name, found, expected)
        if found is None:
            continue
        is_of_map = is_whole and name == "live_time"
        total = found * n_spectra / (eds.n_spectra_of_map if is_of_map else 1)
        if not np.isclose(total, expected.sum(), rtol=1e-4, atol=1e-9):
            _expect(f"{name}, of all spectra,", total, expected.sum())
    has_map = "dead_time" in items
    if times.has_map and not has_map and not times.may_be_gone:
        _expect("dead times", "gone", "there")
    if has_map:
        _check_map(signal, model)


def _check_map(signal: BaseSignal, model: Model) -> None:
    """Compare live times of each spectrum, and dead times of each detector."""
    real, live = model.times.real, model.times.live
    found = np.asarray(signal.get_live_time().data)
    expected = live.sum(axis=0).reshape(found.shape)
    if not np.allclose(found, expected, rtol=1e-4, atol=1e-9):
        _expect("get_live_time()", found, expected)
    dead = signal.get_dead_time().data
    with np.errstate(invalid="ignore", divide="ignore"):
        if dead.size == live.size:
            expected, dead = 100 * (1 - live / real), dead.reshape(live.shape)
        else:
            expected = 100 * (1 - live.sum(axis=0) / real.sum(axis=0))
            dead = dead.reshape(-1, *expected.shape).mean(axis=0)
    is_known = np.isfinite(expected) & np.isfinite(dead)  # not where nothing was measured
    if not np.allclose(dead[is_known], expected[is_known], atol=0.01):
        _expect("get_dead_time()", dead, expected)


# Formats --------------------------------------------------------------------------------

Start = tuple[Callable[[bool], BaseSignal], Model]
FORMATS: dict[str, Callable[[Path], Start]] = {}


def _format(name: str) -> Callable:
    def add(make: Callable) -> Callable:
        FORMATS[name] = make
        return make

    return add


def _loader(path: Path, index: int | None = None, **options: Any) -> Callable:
    def load(lazy: bool) -> BaseSignal:
        signals = hs.load(path, lazy=lazy, **options)
        return signals if index is None else signals[index]

    return load


def _axes(
    *axes: tuple[str, float, float],
    energy: tuple[float, float],
    is_calibrated: bool = True,
) -> tuple[Axis, ...]:
    navigating = [Axis(*axis, is_calibrated=is_calibrated) for axis in axes]
    return (*navigating, Axis("Energy", *energy, navigates=False))


def _write_geopixe(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return counts and live times (detector, y, x, ...)."""
    size = {"n_columns": 6, "n_rows": 4, "n_detectors": 2, "n_channels": 12}
    geopixe_builder.write_map(path, **size)
    counts = np.zeros((2, 4, 6, 12), np.uint16)
    live = np.zeros((2, 4, 6))
    for (x, y, d), (raw, spectrum) in geopixe_builder.decode(path).items():
        live[d, y, x] = 0.1 * (1 - np.frombuffer(raw, "<f4")[0] / 100)
        for channel, n in spectrum.items():
            counts[d, y, x, channel] = n
    return counts, live


_PIXELS = (("y", 1.0, 0.0), ("x", 1.0, 0.0))
_GEOPIXE_AXES = (("y", 0.25, 0.0), ("x", 0.7 / 6, 0.0))


@_format("GeoPIXE")
def _geopixe(folder: Path) -> Start:
    counts, live = _write_geopixe(folder / "map.GeoPIXE")
    times = Times(np.full(live.shape, 0.1), live, has_map=True)
    axes = _axes(*_GEOPIXE_AXES, energy=(0.01, 0.0))
    total = counts.sum(axis=0, dtype=np.uint16)
    return _loader(folder / "map.GeoPIXE"), Model(total, axes, times)


@_format("GeoPIXE, detectors apart")
def _geopixe_apart(folder: Path) -> Start:
    counts, live = _write_geopixe(folder / "map.GeoPIXE")
    times = Times(np.full((1, *live.shape), 0.1), live[np.newaxis], has_map=True)
    axes = _axes(("detector", 1.0, 0.0), *_GEOPIXE_AXES, energy=(0.01, 0.0))
    load = _loader(folder / "map.GeoPIXE", sum_detectors=False)
    return load, Model(counts, axes, times)


@_format("EDAX .spd")
def _spd(folder: Path) -> Start:
    edax_builder.write_map(folder / "map.spd", shape=(4, 5, 12), count_bytes=1)
    counts = np.array(edax_builder.make_counts(240), np.uint8).reshape(4, 5, 12)
    axes = _axes(("y", 0.25, 0.0), ("x", 0.5, 0.0), energy=(0.01, 0.0))
    return _loader(folder / "map.spd"), Model(
        counts, axes, uniform((4, 5), None, 70 / 20)
    )


@_format("EDAX .lsd")
def _lsd(folder: Path) -> Start:
    edax_builder.write_line(folder / "line.lsd", n_spectra=6, n_channels=12)
    counts = np.array(edax_builder.make_counts(72, 4), np.uint32).reshape(6, 12)
    axes = _axes(("x", 212.0, 0.0), energy=(0.01, 0.0))
    return _loader(folder / "line.lsd"), Model(counts, axes, uniform((6,), None, 70.0))


@_format("EMD, Velox")
def _velox(folder: Path) -> Start:
    counts = emd_builder.make_counts((2, 3, 4, 5, 12))
    emd_builder.write_velox(folder / "map.emd", counts)
    options = {"select_type": "spectrum_image", "signal_type": "EDS_XFM"}
    axes = _axes(("y", 3.6, -32.4), ("x", 3.6, -39.6), energy=(0.01, -0.25))
    total = counts.sum(axis=(0, 1), dtype=np.uint16)
    times = uniform((4, 5), 0.003, 0.00255)
    return _loader(folder / "map.emd", **options), Model(total, axes, times)


@_format("EMD, NCEM")
def _ncem(folder: Path) -> Start:
    counts = emd_builder.make_counts((4, 5, 12))
    emd_builder.write_ncem(folder / "map.emd", counts)
    axes = _axes(("y", 3.0, 7.0), ("x", 2.0, 5.0), energy=(0.01, 0.1))
    load = _loader(folder / "map.emd", signal_type="EDS_XFM")
    return load, Model(counts, axes, None)


@_format("datastack")
def _datastack(folder: Path) -> Start:
    arrays = datastack_builder.make_arrays((4, 5, 64))
    datastack_builder.write_stack(folder / "map.datastack", arrays)
    axes = _axes(*_PIXELS, energy=(0.1, -0.5), is_calibrated=False)
    return _loader(folder / "map.datastack"), Model(arrays["maxrf_cube"], axes, None)


@_format("raw and rpl")
def _raw(folder: Path) -> Start:
    counts = datastack_builder.make_counts((4, 5, 32))
    _, path = datastack_builder.write_raw(folder, counts)
    axes = _axes(*_PIXELS, energy=(1.0, 0.0), is_calibrated=False)
    return _loader(path, signal_type="EDS_XFM"), Model(counts, axes, None)


@_format("EDF, XIA")
def _xia(folder: Path) -> Start:
    truth = esrf_builder.write_xia(folder, shape=(4, 5), n_channels=12)
    live = truth["live_time"]
    times = Times(np.full(live.shape, 0.1), live, has_map=True)
    axes = _axes(*_PIXELS, energy=(1.0, 0.0), is_calibrated=False)
    counts = truth["counts"].sum(axis=0, dtype=np.uint32)
    path = folder / "zap_xia00_0001_0000_0001.edf"
    return _loader(path), Model(counts, axes, times)


@_format("SPEC")
def _spec(folder: Path) -> Start:
    scan = {"kind": "mesh", "shape": (4, 5), "n_channels": 12}
    (truth,) = esrf_builder.write_spec(folder / "map.dat", [scan])
    counts = truth["counts"][0].astype(np.uint16)
    axes = _axes(("sampz", 0.5, -3.0), ("sampy", 2.0, 10.0), energy=(1.0, 0.0))
    return _loader(folder / "map.dat", file_format="ESRF"), Model(counts, axes, None)


@_format("HDF5, Bliss")
def _bliss(folder: Path) -> Start:
    truth = esrf_builder.write_bliss(folder / "map.h5", shape=(4, 5), n_channels=12)
    real = np.full((1, 4, 5), truth["elapsed_time"][1].mean())
    share = truth["live_time"][1] / truth["elapsed_time"][1]
    axes = _axes(("sampz", 0.5, -3.0), ("sampy", 2.0, 10.0), energy=(1.0, 0.0))
    load = _loader(folder / "map.h5", 1, file_format="ESRF")
    return load, Model(truth["counts"][1], axes, Times(real, real * share, has_map=True))


@_format("Bruker")
def _bruker(folder: Path) -> Start:
    shape = (4, 5, 256)
    path = bruker_builder.write_map(folder / "map.bcf", shape)
    counts = np.array(bruker_builder.all_counts(shape), np.uint8)
    # The pulses are all counts around 0 keV.
    real = np.full((1, 4, 5), 1e-6 * bruker_builder.DWELL)
    live = counts[np.newaxis, ..., bruker_builder.ZERO] / bruker_builder.FREQUENCY
    axes = _axes(("height", 0.25, 0.0), ("width", 0.5, 0.0), energy=(0.01, -0.48))
    load = _loader(path, select_type="spectrum_image", signal_type="EDS_XFM")
    return load, Model(counts, axes, Times(real, live, has_map=True))


@_format("HMSA")
def _hmsa(folder: Path) -> Start:
    path = hmsa_builder.write_map(folder / "map.hmsa", (4, 5, 12))
    counts = hmsa_builder.read_counts(path, (4, 5, 12))
    axes = _axes(("y", 0.25, 0.0), ("x", 0.5, 0.0), energy=(0.01, -0.1))
    times = np.full((1, 4, 5), 0.25), np.full((1, 4, 5), 0.2)
    return _loader(path), Model(counts, axes, Times(*times, has_map=False))


@_format("H5OINA")
def _oxford(folder: Path) -> Start:
    """Of two detectors, with real times that differ from pixel to pixel."""
    real = np.linspace(0.01, 0.05, 20)
    live = real * np.linspace(0.9, 0.5, 20)
    path = oxford_builder.write_map(
        folder / "map.h5oina", (4, 5, 12), n_detectors=2, times=(live, real)
    )
    counts = sum(oxford_builder.read_spectra(path, n) for n in ("EDS1", "EDS2"))
    axes = _axes(("y", 0.25, 0.0), ("x", 0.5, 0.0), energy=(0.01, -0.2))
    times = (np.tile(values.reshape(4, 5), (2, 1, 1)) for values in (real, live))
    return _loader(path), Model(
        counts.astype(np.uint32), axes, Times(*times, has_map=True)
    )


@_format("MDA")
def _mda(folder: Path) -> Start:
    """Of two detectors, back and forth, with the rates of each pixel."""
    shape = (4, 5, 12)
    path = mda_builder.write_map(folder / "map.mda", shape, is_snake=True)
    counts = mda_builder.make_counts(shape, 2).sum(axis=2).astype(np.uint32)
    icr, ocr = (np.moveaxis(one, 2, 0) for one in mda_builder.make_rates(shape, 2))
    live = 0.5 * ocr.astype(float) / icr
    counts[1::2] = counts[1::2, ::-1].copy()
    live[:, 1::2] = live[:, 1::2, ::-1].copy()
    axes = _axes(("y", 0.2, 2.5), ("x", 0.1, -1.5), energy=(0.02, -0.1))
    times = Times(np.full_like(live, 0.5), live, has_map=True)
    return _loader(path), Model(counts, axes, times)


@_format("CRONO")
def _crono(folder: Path) -> Start:
    path = crono_builder.write_map(folder / "map.HDF5", (4, 5, 12))
    index = crono_builder.make_index((4, 5), 28).astype(int)
    real, live = (1e-6 * one[index][np.newaxis] for one in crono_builder.make_times(28))
    counts = crono_builder.make_spectra(28, 12)[index].astype(np.uint16)
    axes = _axes(("y", 0.25, 20.0), ("x", 0.5, 10.0), energy=(0.02, -1.17))
    load = _loader(path, file_format="CRONO")
    return load, Model(counts, axes, Times(real, live, has_map=True))


# Operations -----------------------------------------------------------------------------
# Each takes a generator of random numbers and the model of a signal `s`, and returns the
# code that changes `s` and the model of what comes out; or None if it cannot be done now.

Done = tuple[str, Model] | None
OPERATIONS: dict[str, Callable[[random.Random, Model], Done]] = {}


def _operation(function: Callable) -> Callable:
    OPERATIONS[function.__name__.strip("_")] = function
    return function


def _text(value: Any) -> str:
    """Write keys and masks as one types them."""
    if isinstance(value, np.ndarray):
        return f"np.array({value.astype(int).tolist()}, bool)"
    if isinstance(value, slice):
        start, stop, step = (
            "" if part is None else repr(part)
            for part in (value.start, value.stop, value.step)
        )
        return f"{start}:{stop}" + (f":{step}" if step else "")
    return ", ".join(_text(v) for v in value) if isinstance(value, list) else repr(value)


# Parts of the map .......................................................................


def _draw_part(rng: random.Random, size: int) -> slice:
    start = rng.randrange(size)
    return slice(start, rng.randrange(start, size) + 1)


def _draw_slice(rng: random.Random, size: int) -> slice:
    """Draw a slice of at least one pixel, backwards too."""
    start = rng.randrange(size)
    kinds = [
        slice(None),
        _draw_part(rng, size),
        slice(start, None, rng.choice([2, 3])),
        slice(None, None, rng.choice([-1, -1, -2])),
        slice(start, None, -1),
        slice(start - size, None),
    ]
    return rng.choice(kinds)


def _take(model: Model, keys: Sequence[Any]) -> Model:
    """Return the model of a slice, by keys of the first axes of the array."""
    keys = [*keys, *[slice(None)] * (model.counts.ndim - len(keys))]
    axes = [
        axis.sliced(size, key)
        for axis, size, key in zip(model.axes, model.counts.shape, keys, strict=True)
        if isinstance(key, slice)
    ]
    navigating = tuple(keys[: model.n_navigation])
    return model.changed(
        counts=model.counts[tuple(keys)],
        axes=tuple(axes),
        times=model.with_times(lambda t: t[(slice(None), *navigating)]),
    )


@_operation
def inav(rng: random.Random, m: Model) -> Done:
    if not m.n_navigation:
        return None
    keys: list[Any] = [_draw_slice(rng, size) for size in m.shape]
    if rng.random() < 0.25:
        i = rng.randrange(len(keys))
        keys[i] = rng.randrange(-m.shape[i], m.shape[i])
    return f"s = s.inav[{_text(keys[::-1])}]", _take(m, keys)


@_operation
def isig(rng: random.Random, m: Model) -> Done:
    keys = [_draw_slice(rng, size) for size in m.counts.shape[m.n_navigation :]]
    if not keys:
        return None
    model = _take(m, [*[slice(None)] * m.n_navigation, *keys])
    return f"s = s.isig[{_text(keys[::-1])}]", model


@_operation
def values(rng: random.Random, m: Model) -> Done:
    """Slice by values on the axes, as rectangular ROIs do."""
    axes = m.axes[: m.n_navigation]
    if not axes or any(axis.scale is None or axis.scale < 0 for axis in axes):
        return None
    keys = [_draw_part(rng, size) for size in m.shape]
    edges = [
        slice(axis.offset + key.start * axis.scale, axis.offset + key.stop * axis.scale)
        for axis, key in zip(axes, keys, strict=True)
    ]
    return f"s = s.inav[{_text(edges[::-1])}]", _take(m, keys)


@_operation
def crop(rng: random.Random, m: Model) -> Done:
    i = rng.randrange(m.counts.ndim)
    key = _draw_part(rng, m.counts.shape[i])
    model = _take(m, [*[slice(None)] * i, key])
    return f"s.crop({m.number(i)}, {key.start}, {key.stop})", model


@_operation
def split(rng: random.Random, m: Model) -> Done:
    if not m.n_navigation:
        return None
    i = rng.randrange(m.n_navigation)
    size = m.counts.shape[i]
    n = rng.randrange(1, min(size, 3) + 1)
    part = rng.randrange(n)
    width = size // n
    key = part if n == size else slice(part * width, (part + 1) * width)
    code = f"s = s.split(axis={m.number(i)}, number_of_parts={n})[{part}]"
    return code, _take(m, [*[slice(None)] * i, key]).doubtful()


@_operation
def squeeze(rng: random.Random, m: Model) -> Done:
    if 1 not in m.shape or 1 in m.counts.shape[m.n_navigation :]:
        return None
    return "s = s.squeeze()", _take(m, [0 if n == 1 else slice(None) for n in m.shape])


# Spectra that are added up ..............................................................


def _reduce(m: Model, axes: Sequence[int], is_mean: bool = False) -> Model:
    """Return the model of a sum or mean over navigation axes of the array."""
    axes = tuple(axes)
    n = int(np.prod([m.counts.shape[i] for i in axes])) if is_mean else 1

    def reduce_times(times: np.ndarray) -> np.ndarray:
        # Detectors stay apart, if they are apart and the last to navigate.
        if 0 in axes and m.axes[0].name == "detector":
            times = np.swapaxes(times, 0, 1)
        return times.sum(axis=tuple(i + 1 for i in axes)) / n

    counts = m.counts.mean(axis=axes) if is_mean else m.counts.sum(axis=axes)
    kept = tuple(axis for i, axis in enumerate(m.axes) if i not in axes)
    return m.changed(counts=counts, axes=kept, times=m.with_times(reduce_times))


def _sum_or_mean(rng: random.Random, m: Model, name: str) -> Done:
    if not m.n_navigation:
        return None
    axes = rng.sample(range(m.n_navigation), rng.choice([1, 1, m.n_navigation]))
    is_all = len(axes) == m.n_navigation and rng.random() < 0.5
    given = "" if is_all else tuple(m.number(i) for i in axes)
    return f"s = s.{name}({given})", _reduce(m, axes, name.endswith("mean"))


@_operation
def sum_(rng: random.Random, m: Model) -> Done:
    return _sum_or_mean(rng, m, rng.choice(["sum", "sum", "nansum"]))


@_operation
def mean(rng: random.Random, m: Model) -> Done:
    return _sum_or_mean(rng, m, rng.choice(["mean", "nanmean"]))


@_operation
def maximum(rng: random.Random, m: Model) -> Done:
    if not m.n_navigation or rng.random() < 0.7:  # nothing but counts is left
        return None
    i = rng.randrange(m.n_navigation)
    axes = (*m.axes[:i], *m.axes[i + 1 :])
    model = m.changed(counts=m.counts.max(axis=i), axes=axes, times=None)
    return f"s = s.max({m.number(i)})", model


@_operation
def rebin(rng: random.Random, m: Model) -> Done:
    by = [min(rng.choice([1, 1, 2, 3]), size) for size in m.counts.shape]
    if m.counts.dtype == bool or set(by) == {1}:
        return None
    counts, code = _add_blocks(m.counts, by), ""
    if any(size % f for size, f in zip(m.counts.shape, by, strict=True)):
        # HyperSpy makes floats of them, and refuses lazy ones.
        counts, code = (
            counts.astype(float),
            "s._lazy and s.compute(show_progressbar=False); ",
        )
    axes = tuple(axis.binned(f) for axis, f in zip(m.axes, by, strict=True))
    own = [1, *by[: m.n_navigation]]
    times = m.with_times(lambda t: _add_blocks(t, own))
    scale = tuple(by[i] for i in sorted(range(len(by)), key=m.number))
    model = m.changed(counts=counts, axes=axes, times=times)
    return f"{code}s = s.rebin(scale={scale})", model


def _add_blocks(array: np.ndarray, by: Sequence[int]) -> np.ndarray:
    """Add up blocks; what does not fill one at the end is left out."""
    kept = [size // f * f for size, f in zip(array.shape, by, strict=True)]
    split = [n for size, f in zip(kept, by, strict=True) for n in (size // f, f)]
    blocks = array[tuple(map(slice, kept))].reshape(split)
    return blocks.sum(axis=tuple(range(1, 2 * array.ndim, 2)))


@_operation
def region(rng: random.Random, m: Model) -> Done:
    if not m.are_spectra or not m.n_navigation:
        return None
    mask = _draw_mask(rng, m.shape)
    masked = _mask(m, mask)
    if m.counts.dtype.kind == "f":  # they are added up as float64
        masked = replace(masked, counts=masked.counts.astype(float))
    code = f"{{'m': {_text(mask)}}}, show_progressbar=False"
    model = _reduce(masked, range(m.n_navigation))
    return f"s = s.get_region_spectra({code})['m']", model


# Other axes .............................................................................


@_operation
def transpose(rng: random.Random, m: Model) -> Done:
    """Shuffle the axes; other ones may navigate afterwards."""
    numbers = list(range(m.counts.ndim))
    signal_axes = numbers[m.n_navigation :]
    if m.n_navigation and rng.random() < 0.2:
        signal_axes = [rng.choice(numbers)]
    navigating = [i for i in numbers if i not in signal_axes]
    rng.shuffle(navigating)
    order = [*navigating, *signal_axes]
    is_same = sorted(navigating) == numbers[: m.n_navigation]
    model = m.changed(
        counts=m.counts.transpose(order),
        axes=tuple(m.axes[i]._replace(navigates=i in navigating) for i in order),
        times=m.with_times(lambda t: t.transpose([0, *(i + 1 for i in navigating)]))
        if is_same
        else None,
    )
    given = [[m.number(i) for i in axes[::-1]] for axes in (signal_axes, navigating)]
    return "s = s.transpose(signal_axes={}, navigation_axes={})".format(*given), model


@_operation
def swap_axes(rng: random.Random, m: Model) -> Done:
    if m.n_navigation < 2:
        return None
    i, j = rng.sample(range(m.n_navigation), 2)
    axes = list(m.axes)
    axes[i], axes[j] = axes[j], axes[i]
    model = m.changed(
        counts=m.counts.swapaxes(i, j),
        axes=tuple(axes),
        times=m.with_times(lambda t: t.swapaxes(i + 1, j + 1)),
    )
    return f"s = s.swap_axes({m.number(i)}, {m.number(j)})", model


@_operation
def flip(rng: random.Random, m: Model) -> Done:
    """Mirror the map; the axes stay."""
    if not m.are_spectra or not m.n_navigation:
        return None
    i = rng.randrange(m.n_navigation)
    times = m.with_times(lambda t: np.flip(t, i + 1))
    model = m.changed(counts=np.flip(m.counts, i), times=times)
    return f"s = s.flip({m.number(i)})", model


@_operation
def unfold(rng: random.Random, m: Model) -> Done:
    if m.n_navigation < 2 or not m.are_spectra or 1 in m.counts.shape:
        return None
    n = int(np.prod(m.shape))
    axes = (Axis("unfolded", None, None), m.axes[-1])
    times = m.with_times(lambda t: t.reshape(len(t), n))
    model = Model(m.counts.reshape(n, -1), axes, times, folded=m)
    return "s.unfold_navigation_space()", model.doubtful()


@_operation
def fold(rng: random.Random, m: Model) -> Done:
    return ("s.fold()", m.folded) if m.folded is not None else None


@_operation
def unfold_and_fold(rng: random.Random, m: Model) -> Done:
    return ("with s.unfolded(): pass", m) if m.folded is None else None


# Arithmetic .............................................................................


def _draw_mask(rng: random.Random, shape: Sequence[int]) -> np.ndarray:
    mask = np.array([rng.random() < 0.6 for _ in range(int(np.prod(shape)))])
    mask[rng.randrange(mask.size)] = True
    return mask.reshape(shape)


def _mask(m: Model, mask: np.ndarray) -> Model:
    spread = mask.reshape(mask.shape + (1,) * (m.counts.ndim - mask.ndim))
    counts = np.where(spread, m.counts, 0).astype(m.counts.dtype)
    return m.changed(counts=counts, times=m.with_times(lambda t: t * mask))


AS_SIGNAL = (
    "hs.signals.BaseSignal(mask, axes=[a.get_axis_dictionary() "
    "for a in s.axes_manager._axes if a.navigate])"
)


@_operation
def mask(rng: random.Random, m: Model) -> Done:
    """Multiply with a mask: an array or a signal, on either side, in place."""
    if not m.are_spectra or not m.n_navigation:
        return None
    kept = _draw_mask(rng, m.shape)
    kind = rng.choice(["bool", "bool", "uint8", "int64"])
    form = rng.choice(["mask[..., np.newaxis]", AS_SIGNAL])
    code = rng.choice(["s = s * mask", "s = mask * s", "s *= mask"])
    return f"mask = {_text(kept)}.astype({kind!r}); mask = {form}; {code}", _mask(m, kept)


@_operation
def identity(rng: random.Random, m: Model) -> Done:
    form = rng.choice(["s + 0", "0 + s", "s * 1", "1 * s", "s / 1"])
    return f"s = {form}", m.changed(counts=eval(form, {"s": m.counts}))


@_operation
def no_rate(rng: random.Random, m: Model) -> Done:
    """Arithmetic after which counts / live time would be no rate."""
    if m.counts.dtype == bool or rng.random() < 0.5:  # nothing but counts is left
        return None
    forms = "s * 2", "2 * s", "s + 5", "s - s", "s / 2", "s > 3", "s * s", "np.sqrt(s)"
    form = rng.choice(forms)
    counts = eval(form, {"s": m.counts, "np": np})
    return f"s = {form}", m.changed(counts=counts, times=None)


def _draw_other(rng: random.Random, m: Model) -> tuple[str, Model]:
    """Draw a second signal: the same, or what a mask leaves of it."""
    if rng.random() < 0.5 or not m.n_navigation or not m.are_spectra:
        return "other = s.deepcopy()", m
    kept = _draw_mask(rng, m.shape)
    return f"other = s * {_text(kept)}[..., np.newaxis]", _mask(m, kept)


@_operation
def add(rng: random.Random, m: Model) -> Done:
    text, other = _draw_other(rng, m)
    form = rng.choice(["s = s + other", "s += other", "s = sum([s, other])"])
    times = _join(np.add, m.times, other.times)
    return f"{text}; {form}", m.changed(counts=m.counts + other.counts, times=times)


@_operation
def add_neighbours(rng: random.Random, m: Model) -> Done:
    """Add other pixels: their times are dropped where axes tell that they are others."""
    last = m.n_navigation - 1
    if last < 0 or m.counts.shape[last] < 2 or m.axes[last].scale is None:
        return None
    before = [slice(None)] * last
    first, second = (_take(m, [*before, k]) for k in (slice(1, None), slice(None, -1)))
    times = _join(np.add, first.times, second.times)
    model = replace(first, counts=first.counts + second.counts, times=times).doubtful()
    if m.axes[last].is_calibrated:
        model = replace(model, times=None)
    return "s = s.inav[1:] + s.inav[:-1]", model


@_operation
def add_to_all(rng: random.Random, m: Model) -> Done:
    """Add one spectrum to all."""
    if not m.n_navigation or not m.are_spectra or rng.random() < 0.5:
        return None
    zeros = [0] * m.n_navigation
    counts = m.counts + m.counts[tuple(zeros)]
    return f"s = s + s.inav[{_text(zeros)}]", m.changed(counts=counts, times=None)


def _join(function: Callable, a: Times | None, b: Times | None) -> Times | None:
    """Return the times of two signals in one."""
    if a is None or b is None:
        return None
    real, live = (
        None if one is None else function(one, two)
        for one, two in ((a.real, b.real), (a.live, b.live))
    )
    may_be_gone = a.may_be_gone or b.may_be_gone
    return replace(a, real=real, live=live, may_be_gone=may_be_gone)


@_operation
def stack(rng: random.Random, m: Model) -> Done:
    if rng.random() < 0.5:  # it is slow
        return None
    text, other = _draw_other(rng, m)
    i = rng.choice([None, *range(m.n_navigation)])
    joined = np.stack if i is None else np.concatenate
    axes = (Axis("stack_element", 1.0, 0.0), *m.axes) if i is None else m.axes
    at = i or 0
    model = m.changed(
        counts=joined([m.counts, other.counts], axis=at),
        axes=axes,
        times=_join(lambda a, b: joined([a, b], axis=at + 1), m.times, other.times),
    )
    axis = None if i is None else m.number(i)
    code = f"s = hs.stack([s, other], axis={axis}, show_progressbar=False)"
    return f"{text}; {code}", model.doubtful()


# The rest ...............................................................................


@_operation
def map_(rng: random.Random, m: Model) -> Done:
    """Turn each spectrum around."""
    if not m.are_spectra or m.counts.shape[-1] == 1:  # HyperSpy fails at one channel
        return None
    model = m.changed(counts=m.counts[..., ::-1])
    code = "s.map(lambda a: a[::-1], show_progressbar=False, inplace="
    return rng.choice([f"{code}True)", f"s = {code}False)"]), model


@_operation
def other_type(rng: random.Random, m: Model) -> Done:
    """Become spectra of another type and back: dead times of pixels are gone."""
    if not m.are_spectra:
        return None
    other = rng.choice(["EDS_SEM", "EDS_TEM", ""])
    times = m.with_times(lambda t: np.full((1, *t.shape[1:]), t.sum(axis=0).mean()))
    model = m.changed(times=times and replace(times, has_map=False))
    return f"s.set_signal_type({other!r}); s.set_signal_type('EDS_XFM')", model


@_operation
def copy(rng: random.Random, m: Model) -> Done:
    return "s = s.deepcopy()", m


@_operation
def lazily(rng: random.Random, m: Model) -> Done:
    return "s = s.as_lazy()", m


@_operation
def compute(rng: random.Random, m: Model) -> Done:
    return "s._lazy and s.compute(show_progressbar=False)", m


@_operation
def set_dead_time(rng: random.Random, m: Model) -> Done:
    """Give every spectrum the same dead time, as docs/coming_from.rst does, or in one."""
    times = m.times
    if times is None or not times.has_map or times.may_be_gone or not m.are_spectra:
        return None
    percent = float(rng.randrange(10, 90))
    code = (
        "dead_time = s.get_dead_time().deepcopy(); "
        f"dead_time.data = np.full_like(dead_time.data, {percent}); "
        f"s.metadata.set_item({EDS + '.dead_time'!r}, dead_time)"
    )
    model = replace(m, times=replace(times, live=times.real * (1 - percent / 100)))
    return rng.choice([code, f"s.set_dead_time({percent})"]), model


# Walks ----------------------------------------------------------------------------------

Step = tuple[str, int]  # name of an operation, and the seed from which it draws


@dataclass(frozen=True)
class Failure:
    """A walk that went wrong.

    Attributes
    ----------
    code
        What was done; the last of it failed.
    steps
        The same, so that they can be done again.
    error
        How it failed.
    """

    code: tuple[str, ...]
    steps: list[Step]
    error: Exception


def draw_steps(seed: int, without: Sequence[str] = ()) -> list[Step]:
    """Draw more steps than are done, as some cannot be done."""
    rng = random.Random(seed)
    names = [name for name in OPERATIONS if name not in without]
    return [(rng.choice(names), rng.randrange(2**32)) for _ in range(4 * N_STEPS)]


def walk(signal: BaseSignal, model: Model, steps: Sequence[Step]) -> Failure | None:
    """Do steps until one fails, or enough of them are done.

    Steps that cannot be done to what the signal is by then are left out.
    """
    names = {"s": signal, "np": np, "hs": hs}
    code: list[str] = []
    taken: list[Step] = []
    for name, seed in steps:
        done = OPERATIONS[name](random.Random(seed), model)
        if done is None:
            continue
        model = done[1]
        code.append(done[0])
        taken.append((name, seed))
        try:
            exec(done[0], names)
            check(names["s"], model)
        except Exception as error:  # whatever it is, it should not be
            return Failure(tuple(code), taken, error)
        if len(taken) == N_STEPS:
            break
    return None


def shorten(start: Callable[[], BaseSignal], model: Model, failure: Failure) -> Failure:
    """Leave out steps of a walk that fails as long as it fails."""
    i = 0
    while i < len(failure.steps):
        fewer = failure.steps[:i] + failure.steps[i + 1 :]
        shorter = walk(start(), model, fewer)
        failure, i = (failure, i + 1) if shorter is None else (shorter, 0)
    return failure


def describe(name: str, lazy: bool, seed: int, failure: Failure) -> str:
    """Return the lines that repeat a failure."""
    lines = [f"{name}, lazy={lazy}, seed {seed}:", *failure.code]
    error = f"{type(failure.error).__name__}: {failure.error}"
    return "\n    ".join([*lines, f"-> {error}"])


def run(
    name: str, lazy: bool, seeds: Sequence[int], folder: Path, without: Sequence[str] = ()
) -> list[str]:
    """Walk from the map of a format, once for each seed; return what failed."""
    load, model = FORMATS[name](folder)
    first = load(lazy)
    check(first, model)
    failures = []
    for seed in seeds:
        failure = walk(first.deepcopy(), model, draw_steps(seed, without))
        if failure is not None:
            failure = shorten(first.deepcopy, model, failure)
            failures.append(describe(name, lazy, seed, failure))
    check(first, model)  # nothing reached back to it
    return failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*", help=f"of {', '.join(FORMATS)}; default all")
    parser.add_argument("--lazy", action="store_true")
    parser.add_argument("--seed", type=int, help="of one walk")
    parser.add_argument("--walks", type=int, default=10)
    parser.add_argument("--without", action="append", default=[], choices=OPERATIONS)
    options = parser.parse_args()
    seeds = range(options.walks) if options.seed is None else [options.seed]
    for name in options.name or FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            found = run(name, options.lazy, seeds, Path(folder), options.without)
        print(*found, sep="\n", end="\n" if found else "", flush=True)


if __name__ == "__main__":
    main()
