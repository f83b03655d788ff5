"""Real, live and dead times of spectra: what becomes of them, and where signals keep them.

``real_time`` and ``live_time`` of a signal's metadata are means over its spectra, so that
time x number of spectra is the total. How they are spread over the spectra, two maps beside
them say: the dead times, and, where real times differ, the share of each spectrum. One that a
mask left out has no share; it counts with no time, whatever is done with the map afterwards.

Maps are shared between signals and never changed in place.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.core.dead_time import (
    combine_dead_time,
    live_fraction,
    live_time,
    mean_live_fraction,
)
from rsciio_xfm.core.eds import (
    DEAD_TIME,
    DETECTOR_AXIS,
    EDS_DETECTOR,
    HAS_DETECTORS,
    LIVE_TIME,
    MAP_LIVE_TIME,
    MAP_REAL_TIME,
    MAP_SPECTRA,
    REAL_TIME,
    SHARE,
    drop_dead_time,
    drop_times,
    gives_times_of_map,
    times_of_spectrum,
)
from rsciio_xfm.core.warning import warn


@dataclass(frozen=True)
class Times:
    """The times of a signal's spectra.

    Attributes
    ----------
    real, live
        Seconds, the means over the spectra; None if they are not known.
    dead
        Percent, the shape of the navigation axes in the array, behind an axis of detectors if
        the spectra are their sums; NaN where nothing was measured. None without such a map.
    share
        Real time of each spectrum / `real`, the shape of the navigation axes; None if all
        are 1.
    detectors
        Description of the axis of the detectors that were summed, as HyperSpy has it.
    """

    real: float | None = None
    live: float | None = None
    dead: np.ndarray | None = None
    share: np.ndarray | None = None
    detectors: dict[str, Any] | None = None

    @cached_property
    def mean_live(self) -> float:
        """Live time of all spectra / their real time, as the dead times have it."""
        if self.dead is None:
            return 1.0
        if self.share is None:
            return mean_live_fraction(self.dead)
        return float(np.mean(live_of(self, 1.0))) if self.share.size else 0.0


def live_of(times: Times, real: float) -> np.ndarray:
    """Return the live time of each spectrum, for a mean real time, by the dead times."""
    live = live_time(times.dead, real, None if times.detectors is None else 0)
    return live if times.share is None else live * times.share


def with_seconds(times: Times, real: float | None, live: float | None) -> Times:
    """Return the times with others in seconds, spread over the spectra as they are."""
    if (times.real, times.live) == (real, live):
        return times
    changed = replace(times, real=real, live=live)
    if "mean_live" in times.__dict__:
        changed.__dict__["mean_live"] = times.mean_live
    return changed


def with_dead_time(
    times: Times, dead: np.ndarray, detectors: dict[str, Any] | None
) -> Times:
    """Return the times that other dead times give: live = real x (1 - dead / 100)."""
    changed = replace(times, dead=dead, detectors=detectors)
    if times.real is None:
        return changed
    return with_seconds(changed, times.real, times.real * changed.mean_live)


def made(
    times: Times,
    dead: np.ndarray | None,
    real: np.ndarray | float = 1.0,
    detectors: dict[str, Any] | None = None,
) -> Times:
    """Return the times of spectra that are made of others.

    Live times of metadata are scaled as the dead times say, so that those that a user set are
    kept.

    Parameters
    ----------
    times
        Of the others.
    dead
        Dead times of the new ones.
    real
        Real time of each new one, in units of the mean real time of the others.
    detectors
        See `Times`.
    """
    real = np.asarray(real, dtype=np.float64)
    factor = float(real.mean()) if real.size else 1.0
    is_even = not real.ndim or not factor or np.ptp(real) <= 1e-12 * real.max()
    new = Times(dead=dead, share=None if is_even else real / factor, detectors=detectors)
    ratio = new.mean_live / times.mean_live if times.mean_live > 0 else 1.0
    return with_seconds(
        new,
        None if times.real is None else times.real * factor,
        None if times.live is None else times.live * factor * ratio,
    )


# What operations make of times. Axes are positions in the shape of the spectra.


def sliced(times: Times, key: tuple) -> Times:
    """Return the times of a slice, `key` for the axes of the spectra in the array."""
    if all(k == slice(None) for k in key) or _is_even(times):
        return times
    dead, share = times.dead, times.share
    if dead is not None:
        dead = dead[(slice(None),) * _n_leading(times) + key]
    real = 1.0 if share is None else share[key]
    return made(times, dead, real, times.detectors)


def added_up(
    times: Times,
    shape: tuple[int, ...],
    axes: Sequence[int],
    divided_by: np.ndarray | float = 1.0,
) -> Times:
    """Return the times of spectra that are added up over axes: real and live times add up.

    Parameters
    ----------
    times
        Of the spectra.
    shape
        Of the spectra.
    axes
        That are summed over.
    divided_by
        Of averages: the number of spectra in each.
    """
    axes = tuple(axes)
    if not axes:
        return times
    if times.share is None:
        real = np.prod([shape[i] for i in axes])
    else:
        real = times.share.sum(axis=axes)
    dead = times.dead
    if dead is not None:
        in_array = tuple(i + _n_leading(times) for i in axes)
        dead = combine_dead_time(dead, in_array, times.share)
    return made(times, dead, real / divided_by, times.detectors)


def detectors_added_up(
    times: Times, axis: int, detectors: dict[str, Any]
) -> Times | None:
    """Return the times of spectra whose detectors are added up: dead times stay apart.

    Parameters
    ----------
    times
        Of the spectra.
    axis
        Of the detectors.
    detectors
        Its description.

    Returns
    -------
    Times or None
        None if they cannot stay apart: the real times of the detectors differ.
    """
    if times.dead is None or times.detectors is not None:
        return None
    share, n_detectors = times.share, times.dead.shape[axis]
    if share is not None:
        if not np.array_equal(share, np.roll(share, 1, axis)):
            return None
        share = share.take(0, axis)
    moved = Times(dead=np.moveaxis(times.dead, axis, 0), share=share, detectors=detectors)
    seconds = (times.real, times.live)
    return with_seconds(moved, *(None if t is None else t * n_detectors for t in seconds))


def masked(times: Times, mask: np.ndarray) -> Times:
    """Return the times of spectra some of which are left out: of these there are none."""
    if mask.all():
        return times
    share = mask if times.share is None else times.share * mask
    dead = None if times.dead is None else np.where(mask, times.dead, np.nan)
    return made(times, dead, share, times.detectors)


def of_region(times: Times, shape: tuple[int, ...], where: np.ndarray) -> Times:
    """Return the times of some spectra that are added up.

    Parameters
    ----------
    times
        Of all spectra.
    shape
        Of the spectra.
    where
        bool, of this shape: which; or their positions in the flat array.
    """
    flat = np.flatnonzero(where) if where.dtype == bool else where
    at = np.unravel_index(flat, shape)
    dead = None if times.dead is None else times.dead[(..., *at)]
    real = 1.0 if times.share is None else times.share[at]
    return added_up(made(times, dead, real, times.detectors), (flat.size,), (0,))


def divided(times: Times, by: float) -> Times:
    """Return the times of spectra that are divided by a number, as averages are."""
    seconds = (None if t is None else t / max(by, 1) for t in (times.real, times.live))
    return with_seconds(times, *seconds)


def in_a_line(parts: Sequence[Times]) -> Times:
    """Return the times of single spectra that are put along an axis."""
    live, real = (
        None if None in seconds else np.array(seconds, dtype=np.float64)
        for seconds in ([p.live for p in parts], [p.real for p in parts])
    )
    dead = [part.dead for part in parts]
    dead = None if any(d is None for d in dead) else np.stack(dead, axis=-1)
    line = made(Times(), dead, 1.0 if real is None else real, parts[0].detectors)
    means = (
        None if seconds is None else float(seconds.mean()) for seconds in (real, live)
    )
    return with_seconds(line, *means)


def rebinned(
    times: Times, shape: tuple[int, ...], scale: Sequence[float], crop: bool
) -> Times:
    """Return the times of spectra that are rebinned, `scale` for each axis of theirs."""
    if set(scale) <= {1.0}:
        return times
    share = np.ones(shape) if times.share is None else times.share
    dead = np.empty((0, *shape)) if times.dead is None else times.dead
    dead = dead if _n_leading(times) or times.dead is None else dead[np.newaxis]
    is_measured = ~np.isnan(dead) & (share > 0)
    parts = np.concatenate([share[np.newaxis], live_fraction(dead) * share, is_measured])
    parts = BaseSignal(parts).rebin(scale=[*scale[::-1], 1], crop=crop).data
    real, (live, is_measured) = parts[0], np.split(parts[1:], 2)
    if times.dead is None:
        return made(times, None, real)
    with np.errstate(invalid="ignore", divide="ignore"):
        dead = np.where(is_measured > 0, 100 * (1 - live / real), np.nan)
    dead = dead if _n_leading(times) else dead[0]
    return made(times, dead, real, times.detectors)


def reordered(times: Times, order: Sequence[int]) -> Times:
    """Return the times of spectra whose axes come in another order."""
    dead, share, n = times.dead, times.share, _n_leading(times)
    if dead is not None:
        dead = dead.transpose([*range(n), *(i + n for i in order)])
    if share is not None:
        share = share.transpose(order)
    return made(times, dead, 1.0 if share is None else share, times.detectors)


def reshaped(times: Times, shape: tuple[int, ...]) -> Times:
    """Return the times of spectra that are unfolded or folded."""
    dead, share = times.dead, times.share
    if dead is not None:
        dead = dead.reshape(dead.shape[: _n_leading(times)] + shape)
    if share is not None:
        share = share.reshape(shape)
    return made(times, dead, 1.0 if share is None else share, times.detectors)


def together(first: Times, second: Times) -> Times:
    """Return the times of spectra that are added one to one: they add up for each.

    Without dead times of its own a spectrum has the mean of the map. What is known of one of
    the two only is gone, and all of it if detectors were summed in one of them only.
    """
    maps = [t.dead for t in (first, second) if t.dead is not None]
    same_detectors = len({m.shape for m in maps}) < 2
    in_seconds = [_seconds(first, second, name) for name in ("real", "live")]
    weights = in_seconds[0] or in_seconds[1]
    if weights is None or not same_detectors:
        return Times()
    shares = [1.0 if t.share is None else t.share for t in (first, second)]
    real = [weight * share for weight, share in zip(weights, shares, strict=True)]
    new = made(Times(), None, real[0] + real[1])
    if maps:
        dead = _dead_time_together((first, second), real)
        if dead is None:
            return Times()
        detectors = first.detectors or second.detectors
        new = replace(new, dead=dead, detectors=detectors)
    return with_seconds(new, *(None if t is None else sum(t) for t in in_seconds))


def _seconds(first: Times, second: Times, name: str) -> tuple[float, float] | None:
    found = getattr(first, name), getattr(second, name)
    return None if None in found else found


def _dead_time_together(both: tuple[Times, Times], real: list[Any]) -> np.ndarray | None:
    """Return the mean of two maps of dead times, in the ratio of the real times."""
    live, is_measured = 0.0, False
    for times, seconds in zip(both, real, strict=True):
        dead = times.dead
        if dead is None:
            if not times.real or times.live is None:
                return None
            dead = np.asarray(100 * (1 - times.live / times.real))
        live = live + live_fraction(dead) * seconds
        is_measured = is_measured | (~np.isnan(dead) & (np.asarray(seconds) > 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(is_measured, 100 * (1 - live / (real[0] + real[1])), np.nan)


def _n_leading(times: Times) -> int:
    return 0 if times.detectors is None else 1


def _is_even(times: Times) -> bool:
    return times.dead is None and times.share is None


# Where a signal keeps its times.


def navigating(signal: BaseSignal) -> list[Any]:
    """Return the navigation axes in the order of the array."""
    return [axis for axis in signal.axes_manager._axes if axis.navigate]


def shape_of(signal: BaseSignal) -> tuple[int, ...]:
    """Return the shape of the navigation axes in the order of the array."""
    return tuple(axis.size for axis in navigating(signal))


def times_of(signal: BaseSignal) -> Times:
    """Return the times of one of our signals; none if its maps do not fit its axes."""
    notice(signal)
    tree, data, times = signal._carried
    shape = shape_of(signal)
    if not fits(times, shape):
        return Times()
    seconds = times_of_spectrum(signal._metadata)
    found = with_seconds(times, *seconds)
    if found is not times:
        signal._carried = (tree, data, found)  # as it keeps the mean of its live times
    return found


def give(signal: BaseSignal, times: Times) -> None:
    """Put times into the metadata of a signal, instead of those that it had.

    Signals of other classes would not keep the maps in line: they get seconds only.
    """
    metadata = signal._metadata
    drop_dead_time(metadata)
    drop_times(metadata)
    for path, seconds in ((REAL_TIME, times.real), (LIVE_TIME, times.live)):
        if seconds is not None:
            metadata.set_item(path, float(seconds))
            if gives_times_of_map(metadata):
                metadata.set_item(MAP_SPECTRA, 1)
    if "_carried" not in signal.__dict__:
        return
    dead = None
    if times.share is not None:
        share = _build(signal, times.share, "Share of the real time", "Share", None)
        metadata.set_item(SHARE, share)
    if times.dead is not None:
        found = _build(signal, times.dead, "Dead time", "Dead time (%)", times.detectors)
        metadata.set_item(DEAD_TIME, found)
        dead = found.data
    signal._carried = (metadata, dead, times)


@contextmanager
def given(out: BaseSignal | None, times: Times) -> Iterator[None]:
    """Give a signal its times while an operation gives it other axes.

    Whoever listens to its events sees them in time; if the operation fails, it has what it had
    before.
    """
    if not isinstance(out, BaseSignal):
        yield
        return
    before = out._metadata.get_item(EDS_DETECTOR)
    before = None if before is None else dict(before.__dict__)
    carried = out.__dict__.get("_carried")
    give(out, times)
    try:
        yield
    except BaseException:
        if before is not None:
            node = out._metadata.get_item(EDS_DETECTOR)
            node.__dict__.clear()
            node.__dict__.update(before)
        if carried is not None:
            out._carried = carried
        raise
    give(out, times)


def adopt(signal: BaseSignal, is_file: bool) -> None:
    """Take over the maps that a signal was made with, if they are those of its axes.

    Parameters
    ----------
    signal
        Newly made.
    is_file
        Whether it was saved and loaded: says so if the axes are others.
    """
    metadata = signal._metadata
    signal._carried = (metadata, None, Times())
    found, share = metadata.get_item(DEAD_TIME), metadata.get_item(SHARE)
    others = [own for own in (found, share) if not isinstance(own, BaseSignal | None)]
    if others:
        drop_dead_time(metadata)
        warn(
            f"dead_time in the metadata is {others[0]!r:.40}, expected a map: it is dropped. "
            "Use set_dead_time."
        )
        return
    for own in (found, share):
        if own is not None and own._lazy:  # loaded lazily from a .hspy file
            own.compute(show_progressbar=False)
    maps = [own for own in (found, share) if own is not None]
    if all(_has_axes_of(signal, own) for own in maps):
        dead, detectors = (None, None) if found is None else _read(signal, found)
        if share is not None:
            share = share.data.reshape(shape_of(signal))
        times = Times(dead=dead, share=share, detectors=detectors)
        signal._carried = (metadata, None if found is None else found.data, times)
        return
    give(signal, Times())
    if is_file:
        warn(
            f"{metadata.get_item('General.title', '')}: the dead times that were saved with "
            "the spectra are those of other axes: the map was cut, turned or calibrated "
            "without them. They are left out, and live and real time too."
        )


def notice(signal: BaseSignal) -> None:
    """Take over what a user did to the times in the metadata of a signal."""
    tree, data, times = signal._carried
    metadata = signal._metadata
    if metadata is not tree:  # those of another signal, as in a stack
        give(signal, Times())
        return
    mark_times_of_map(signal)
    found = metadata.get_item(DEAD_TIME)
    if (getattr(found, "data", found) if found is not None else None) is data:
        return
    if found is None:
        signal._carried = (tree, None, replace(times, dead=None, detectors=None))
        return
    dead = _read(signal, found) if isinstance(found, BaseSignal) else None
    signal._carried = (tree, None, replace(times, dead=None, detectors=None))
    if dead is None or _count_wrong(dead[0]):
        drop_dead_time(metadata)
        give(signal, Times())
        warn(
            f"The dead times that were put into the metadata {_describe(found)}, expected a "
            f"map of numbers from 0 to 100 of the shape {shape_of(signal)}, that of the "
            "spectra: they are dropped, and live and real time too. Use set_dead_time."
        )
        return
    seconds = times_of_spectrum(metadata)
    times = with_seconds(signal._carried[2], *seconds)
    give(signal, with_dead_time(times, *dead))


def _count_wrong(dead: np.ndarray) -> int:
    """Return how many dead times are none; NaN is one that was not measured."""
    if dead.dtype.kind not in "iuf":
        return dead.size
    return int(np.count_nonzero(~((dead >= 0) & (dead <= 100)) & ~np.isnan(dead)))


def _describe(found: Any) -> str:
    """Return what is wrong with dead times that a user gave."""
    if not isinstance(found, BaseSignal):
        return f"are {found!r:.40}"
    data = np.asarray(found.data)
    n_wrong = _count_wrong(data)
    return f"have the shape {data.shape}" + (
        f", and {n_wrong} of them are no percentages" if n_wrong else ""
    )


def mark_times_of_map(signal: BaseSignal) -> None:
    """Note beside times that are those of a whole map that they are, as soon as that is known.

    What a user sets then differs from what is noted, and is that of one spectrum.
    """
    metadata = signal._metadata
    if "_is_marked" in signal.__dict__ or not metadata.has_item("General.FileIO"):
        return
    signal._is_marked = True
    is_map = gives_times_of_map(metadata) and not metadata.has_item(MAP_SPECTRA)
    for path, of_map in ((REAL_TIME, MAP_REAL_TIME), (LIVE_TIME, MAP_LIVE_TIME)):
        if is_map and metadata.has_item(path):
            metadata.set_item(of_map, metadata.get_item(path))
            metadata.set_item(MAP_SPECTRA, int(np.prod(shape_of(signal))))


def completed(dictionary: dict[str, Any], signal: BaseSignal) -> dict[str, Any]:
    """Return a signal's dictionary whose maps have the axes that the signal has now."""
    times, node = signal._carried[2], dictionary["metadata"]
    for name in EDS_DETECTOR.split("."):
        node = node.get(name, {})
    for name in ("_sig_dead_time", "_sig_relative_real_time"):
        if name in node:
            detectors = times.detectors if name == "_sig_dead_time" else None
            shape = np.shape(node[name]["data"])
            node[name]["axes"] = _axes_of(signal, shape, detectors)
    return dictionary


def map_of_spectra(
    signal: BaseSignal, values: np.ndarray, title: str, quantity: str
) -> BaseSignal:
    """Return one value for each spectrum as a signal with the axes of the spectra."""
    return _build(signal, values, title, quantity, None)


def map_of_dead_times(signal: BaseSignal, times: Times) -> BaseSignal:
    """Return dead times as a signal of one's own, with the axes of the spectra."""
    values = np.array(times.dead)
    return _build(signal, values, "Dead time", "Dead time (%)", times.detectors)


def read_dead_time(
    signal: BaseSignal, dead_time: Any, times: Times
) -> tuple[np.ndarray, dict[str, Any] | None]:
    """Return the dead times that a user gives, and the axis of detectors that were summed.

    Parameters
    ----------
    signal
        Whose they will be.
    dead_time
        See :meth:`rsciio_xfm.signals.EDSXFMSpectrum.set_dead_time`.
    times
        Of the signal so far.

    Raises
    ------
    ValueError
        They are no numbers from 0 to 100 or NaN, or have another shape than the spectra.
    """
    shape, detectors = shape_of(signal), None
    if isinstance(dead_time, BaseSignal):
        axes = dead_time.axes_manager._axes
        detectors = axes[0].get_axis_dictionary() if len(axes) > len(shape) else None
        dead_time = dead_time.data
    values = np.asarray(dead_time)
    if values.dtype.kind not in "iuf":
        raise ValueError(f"dead_time is {dead_time!r:.60}, expected numbers (percent).")
    values = values if values.dtype.kind == "f" else values.astype(np.float32)
    if _count_wrong(values):
        wrong = ~((values >= 0) & (values <= 100)) & ~np.isnan(values)
        raise ValueError(
            f"{np.count_nonzero(wrong)} of {values.size} dead times are not within 0 and "
            f"100 %; the first is {values[wrong][0]:g}."
        )
    if not values.ndim:
        expected = shape if times.dead is None else times.dead.shape
        return np.full(expected, values), times.detectors
    if values.shape == shape or (not shape and values.shape == (1,)):
        return np.array(values).reshape(shape), None
    if values.shape[1:] == shape and values.size:
        if detectors is None and times.detectors is not None:
            detectors = times.detectors if len(times.dead) == len(values) else None
        return np.array(values), detectors or _detectors(len(values))
    raise ValueError(
        f"dead_time has the shape {values.shape}, expected one number, or {shape}, that of "
        "the spectra (rows first), or with an axis of detectors before these."
    )


def _detectors(size: int) -> dict[str, Any]:
    return {"size": size, "name": DETECTOR_AXIS, "navigate": True}


def fits(times: Times, shape: tuple[int, ...]) -> bool:
    """Tell whether maps of times have the shape of spectra."""
    maps = [times.share]
    if times.dead is not None:
        maps.append(times.dead if times.detectors is None else times.dead[0])
    return all(m is None or m.shape == shape for m in maps)


def _read(
    signal: BaseSignal, found: BaseSignal
) -> tuple[np.ndarray, dict[str, Any] | None] | None:
    """Return the dead times of a map, and the axis of its detectors, if it fits."""
    data, shape, detectors = np.asarray(found.data), shape_of(signal), None
    if found.metadata.get_item(HAS_DETECTORS, False):
        detectors = found.axes_manager._axes[0].get_axis_dictionary()
    elif not shape and data.shape == (1,):  # HyperSpy has no signals without axes
        data = data.reshape(shape)
    has_shape = (data.shape if detectors is None else data.shape[1:]) == shape
    return (data, detectors) if has_shape else None


def _has_axes_of(signal: BaseSignal, found: BaseSignal) -> bool:
    """Tell whether a map that was saved has the axes of the spectra."""
    ours, theirs = navigating(signal), list(found.axes_manager._axes)
    if found.metadata.get_item(HAS_DETECTORS, False):
        theirs = theirs[1:]
    if not ours:
        return [axis.size for axis in theirs] in ([], [1])
    is_same = (is_same_axis(*pair) for pair in zip(ours, theirs, strict=False))
    return len(ours) == len(theirs) and all(is_same)


def is_same_axis(axis: Any, other: Any) -> bool:
    """Tell whether two axes have one size, calibration and, if they have one, name."""
    if axis.size != other.size or not has_same_name(axis, other):
        return False
    tolerance = 1e-6 * (abs(np.ptp(axis.axis)) or 1.0) / max(axis.size - 1, 1)
    return bool(np.allclose(axis.axis, other.axis, rtol=1e-9, atol=tolerance))


def has_same_name(axis: Any, other: Any) -> bool:
    """Tell whether two axes have one name, as far as they have any."""
    names = {a.name for a in (axis, other) if isinstance(a.name, str) and a.name}
    return len(names) < 2


def _build(
    signal: BaseSignal,
    values: np.ndarray,
    title: str,
    quantity: str,
    detectors: dict[str, Any] | None,
) -> BaseSignal:
    """Return a map as a signal."""
    entries = {"quantity": quantity, "signal_type": ""}
    if title == "Dead time":
        entries["has_detectors"] = detectors is not None
    return BaseSignal(
        values,
        axes=_axes_of(signal, values.shape, detectors),
        metadata={"General": {"title": title}, "Signal": entries},
    )


def _axes_of(
    signal: BaseSignal, shape: tuple[int, ...], detectors: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """Describe the axes of a map; without names while a signal is given other axes."""
    ours = [axis.get_axis_dictionary() for axis in navigating(signal)]
    ours = ours if detectors is None else [detectors, *ours]
    has_shape = shape[len(shape) - len(shape_of(signal)) :] == shape_of(signal)
    if (
        not shape or not has_shape or len(ours) != len(shape)
    ):  # as HyperSpy's of one number
        ours = [{"size": size} for size in (shape or (1,))]
    return [axis | {"navigate": True, "is_binned": False} for axis in ours]
