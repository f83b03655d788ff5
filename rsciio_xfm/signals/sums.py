"""Sums and means of a signal, by kernels where there are some, and their times."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.core.eds import DETECTOR_AXIS
from rsciio_xfm.core.sums import can_sum, sum_map, sum_spectrum
from rsciio_xfm.core.wide import is_wide, sum_exactly
from rsciio_xfm.signals import times
from rsciio_xfm.signals.axes import navigating, shape_of
from rsciio_xfm.signals.timekeeping import called, give, times_of
from rsciio_xfm.signals.times import Times

# Functions after which the methods of the same name see to the times.
_KEEPING = (np.sum, np.mean, np.nansum, np.nanmean)


def add_up(
    signal: BaseSignal, method: Callable, axis: Any, out: Any, rechunk: Any
) -> BaseSignal | None:
    """Sum over axes by HyperSpy's method; real and live times add up."""
    own = times_of_sum(signal, axis)
    axis = signal.axes_manager.navigation_axes if axis is None else axis
    return called(method, own, out, axis=axis, rechunk=rechunk)


def average(
    signal: BaseSignal, method: Callable, axis: Any, out: Any, rechunk: Any
) -> BaseSignal | None:
    """Average over axes by HyperSpy's method; so are real and live times."""
    own = times_of_sum(signal, axis, is_mean=True)
    return called(method, own, out, axis=axis, rechunk=rechunk)


def without_nan(
    signal: BaseSignal, methods: tuple[Callable, Callable], *arguments: Any, is_mean: bool
) -> BaseSignal | None:
    """Sum or average without NaN; the times are those of the spectra that are none.

    Parameters
    ----------
    signal
        The signal.
    methods
        For spectra that cannot have NaN, and for others.
    *arguments
        `axis`, `out` and `rechunk`.
    is_mean
        Whether they average.
    """
    if signal.data.dtype.kind != "f":
        return methods[0](*arguments)
    axis, out, rechunk = arguments
    # A mask covers whole spectra: one channel tells.
    is_in = ~np.isnan(np.asarray(signal._data_aligned_with_axes[..., 0]))
    own = times_of_sum(signal, axis, is_mean, is_in)
    return called(methods[1], own, out, axis=axis, rechunk=rechunk)


def reduce(
    signal: BaseSignal,
    method: Callable,
    function: Callable,
    axes: Any,
    out: Any,
    **kwds: Any,
) -> BaseSignal | None:
    """Apply a function that removes axes: sums of counts by kernels, or HyperSpy's method."""
    total = _sum_with_kernel(signal, axes) if function is np.sum else None
    if total is not None and out is None:
        return _without_axes(signal, total, axes)
    if total is not None and out.data.shape == total.shape:
        if out._lazy:
            out.data = total
        else:
            out.data[...] = total
        out.events.data_changed.trigger(obj=out)
        return None
    result = method(function, axes, out=out, **kwds)
    if function not in _KEEPING:
        # Of a maximum over pixels, say, no time is that of all channels.
        own = Times() if _summed_axes(signal, axes) else times_of(signal)
        give(result if out is None else out, own)
    return result


def times_of_sum(
    signal: BaseSignal, axis: Any, is_mean: bool = False, is_in: np.ndarray | None = None
) -> Times:
    """Return the times of a sum over axes, or of a mean, perhaps of some spectra.

    Parameters
    ----------
    signal
        The signal.
    axis
        As HyperSpy's methods have it; None for all navigation axes.
    is_mean
        Whether it is a mean.
    is_in
        Which of the spectra, shape of the navigation axes; None for all.
    """
    own, axes = times_of(signal), navigating(signal)
    shape = tuple(a.size for a in axes)
    summed = _summed_axes(signal, axis)
    is_in = np.ones(shape, dtype=bool) if is_in is None and is_mean else is_in
    if is_in is not None:
        own = times.masked(own, is_in)
    count = np.maximum(is_in.sum(axis=tuple(summed)), 1) if is_mean else 1
    for i in [i for i in summed if axes[i].name == DETECTOR_AXIS][:1]:
        apart = times.detectors_added_up(own, i, axes[i].get_axis_dictionary())
        if apart is not None:
            own, shape = apart, shape[:i] + shape[i + 1 :]
            summed = [j - (j > i) for j in summed if j != i]
    if is_mean and not summed:
        return times.divided(own, np.max(count))
    return times.added_up(own, shape, summed, count)


def times_of_regions(signal: BaseSignal, regions: list[np.ndarray]) -> list[Times]:
    """Return the times of the sums of regions, as :func:`resolve_regions` returns them."""
    own, shape = times_of(signal), shape_of(signal)
    return [times.of_region(own, shape, region) for region in regions]


def _axes_in(signal: BaseSignal, axes: Any) -> tuple[Any, ...]:
    """Return axes as HyperSpy's methods have them."""
    found = signal.axes_manager[axes]
    return tuple(found) if np.iterable(found) else (found,)


def _summed_axes(signal: BaseSignal, axis: Any) -> list[int]:
    """Return the positions of those of the given axes that navigate."""
    ours = navigating(signal)
    axes = ours[::-1] if axis is None else _axes_in(signal, axis)
    return [ours.index(a) for a in axes if a.navigate]


def _without_axes(signal: BaseSignal, total: Any, axes: Any) -> BaseSignal:
    result = signal._deepcopy_with_new_data(total)
    positions = [axis.index_in_axes_manager for axis in _axes_in(signal, axes)]
    result._remove_axis(positions)
    return result


def _sum_with_kernel(signal: BaseSignal, axes: Any) -> Any:
    """Return the sum over all navigation axes or the energy; None if HyperSpy has to."""
    data, last = signal.data, signal.data.ndim - 1
    summed = {axis.index_in_array for axis in _axes_in(signal, axes)}
    signal_axes = [axis.index_in_array for axis in signal.axes_manager.signal_axes]
    if signal_axes == [last] and can_sum(data):
        if summed == {last}:
            return sum_map(data)
        if summed == set(range(last)):
            return sum_spectrum(data)
    meta = data._meta if signal._lazy else data
    if summed and type(meta) is np.ndarray and is_wide(data.dtype):
        return np.atleast_1d(sum_exactly(data, tuple(sorted(summed))))
    return None
