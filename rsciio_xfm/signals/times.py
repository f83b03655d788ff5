"""Real, live and dead times of spectra, and what operations make of them.

``real_time`` and ``live_time`` are means over the spectra, so that time x number of spectra is
the total. How they are spread over the spectra, two maps say: the dead times, and, where real
times differ, the share of each spectrum. One that a mask left out has no share; it counts with
no time, whatever is done with the map afterwards.

Maps are shared between signals and never changed in place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.core.dead_time import (
    combine_dead_time,
    live_fraction,
    live_time,
    mean_live_fraction,
)


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
    mean_live
        Live time of all spectra / their real time, as the dead times have it: calculated
        from these if it is NaN.
    n_pixels
        How many pixels of a map were added up in each spectrum; None if that is not known.
    """

    real: float | None = None
    live: float | None = None
    dead: np.ndarray | None = None
    share: np.ndarray | None = None
    detectors: dict[str, Any] | None = None
    mean_live: float = math.nan
    n_pixels: float | None = None

    def __post_init__(self) -> None:
        if math.isnan(self.mean_live):
            object.__setattr__(self, "mean_live", _mean_live(self))


def _mean_live(times: Times) -> float:
    if times.dead is None:
        return 1.0
    if times.share is None:
        return mean_live_fraction(times.dead)
    return float(np.mean(live_of(times, 1.0))) if times.share.size else 0.0


def live_of(times: Times, real: float) -> np.ndarray:
    """Return the live time of each spectrum, for a mean real time, by the dead times."""
    if times.dead is None:
        raise ValueError("The times of the spectra have no dead times, expected a map.")
    live = live_time(times.dead, real, None if times.detectors is None else 0)
    return live if times.share is None else live * times.share


def with_seconds(times: Times, real: float | None, live: float | None) -> Times:
    """Return the times with others in seconds, spread over the spectra as they are."""
    if (times.real, times.live) == (real, live):
        return times
    return replace(times, real=real, live=live)


def with_dead_time(
    times: Times, dead: np.ndarray, detectors: dict[str, Any] | None
) -> Times:
    """Return the times that other dead times give: live = real x (1 - dead / 100)."""
    changed = replace(times, dead=dead, detectors=detectors, mean_live=math.nan)
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
    places: tuple[Any, ...] = (..., *at)
    dead = None if times.dead is None else times.dead[places]
    real = 1.0 if times.share is None else times.share[at]
    return added_up(made(times, dead, real, times.detectors), (flat.size,), (0,))


def divided(times: Times, by: float) -> Times:
    """Return the times of spectra that are divided by a number, as averages are."""
    by = max(by, 1)
    real, live, n_pixels = (
        None if number is None else number / by
        for number in (times.real, times.live, times.n_pixels)
    )
    return replace(with_seconds(times, real, live), n_pixels=n_pixels)


def in_a_line(parts: Sequence[Times]) -> Times:
    """Return the times of single spectra that are put along an axis."""
    live, real = (
        None if None in seconds else np.array(seconds, dtype=np.float64)
        for seconds in ([p.live for p in parts], [p.real for p in parts])
    )
    maps = [part.dead for part in parts if part.dead is not None]
    dead = np.stack(maps, axis=-1) if len(maps) == len(parts) else None
    line = made(Times(), dead, 1.0 if real is None else real, parts[0].detectors)
    means = (
        None if seconds is None else float(seconds.mean()) for seconds in (real, live)
    )
    sizes = {part.n_pixels for part in parts}
    n_pixels = sizes.pop() if len(sizes) == 1 else None
    return replace(with_seconds(line, *means), n_pixels=n_pixels)


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
        new = replace(new, dead=dead, detectors=detectors, mean_live=math.nan)
    return with_seconds(new, *(None if t is None else sum(t) for t in in_seconds))


def fits(times: Times, shape: tuple[int, ...]) -> bool:
    """Tell whether maps of times have the shape of spectra."""
    maps = [times.share]
    if times.dead is not None:
        maps.append(times.dead if times.detectors is None else times.dead[0])
    return all(m is None or m.shape == shape for m in maps)


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


# The spectra that times belong to.


def navigating(signal: BaseSignal) -> list[Any]:
    """Return the navigation axes in the order of the array."""
    return [axis for axis in signal.axes_manager._axes if axis.navigate]


def shape_of(signal: BaseSignal) -> tuple[int, ...]:
    """Return the shape of the navigation axes in the order of the array."""
    return tuple(axis.size for axis in navigating(signal))
