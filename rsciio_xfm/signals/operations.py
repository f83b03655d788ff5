"""HyperSpy's operations on a signal, with its times: slices, sums, bins, folds and orders.

Most call HyperSpy's method, which the class hands them as `method`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np
from hyperspy.misc.utils import iterable_not_string
from hyperspy.signal import BaseSignal

from rsciio_xfm.core.eds import DETECTOR_AXIS
from rsciio_xfm.core.sums import can_sum, sum_map, sum_spectrum
from rsciio_xfm.core.to_dask import take
from rsciio_xfm.core.wide import is_wide, sum_exactly
from rsciio_xfm.signals import times
from rsciio_xfm.signals.checks import check_uniform
from rsciio_xfm.signals.timekeeping import called, give, given, is_ours, times_of
from rsciio_xfm.signals.times import Times, navigating, shape_of

# Functions after which the methods of the same name see to the times.
_KEEPING = (np.sum, np.mean, np.nansum, np.nanmean)


def cut(
    signal: BaseSignal,
    method: Callable,
    slices: Any,
    is_navigation: bool | None,
    out: Any,
) -> BaseSignal | None:
    """Slice as ``inav`` and ``isig`` do; spectra of a file before they are read."""
    key = signal._get_array_slices(slices, is_navigation)
    own = times_of(signal)
    if is_navigation is not False:
        of_spectra = tuple(key[axis.index_in_array] for axis in navigating(signal))
        own = times.sliced(own, of_spectra)
    with given(out, own):
        result = method(slices, is_navigation, out=out)
    if out is None:
        if signal._lazy:
            data = take(signal.data, key)
            if data.shape == result.data.shape:
                result.data = data
        give(result, own)
    return result


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
    """Sum or average without NaN, by the first method if there can be none; times follow."""
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
    count: np.ndarray | int = 1
    if is_mean and is_in is not None:
        count = np.maximum(is_in.sum(axis=tuple(summed)), 1)
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
    found = [times.of_region(own, shape, region) for region in regions]
    sizes = [count_pixels(signal, region) for region in regions]
    return [replace(t, n_pixels=n) for t, n in zip(found, sizes, strict=True)]


def with_n_pixels(spectrum: BaseSignal, n_pixels: int) -> BaseSignal:
    """Note in a spectrum how many pixels were added up in it, and return it."""
    give(spectrum, replace(times_of(spectrum), n_pixels=n_pixels))
    return spectrum


def count_pixels(signal: BaseSignal, region: np.ndarray) -> int:
    """Return how many pixels a region has; the detectors of a pixel count once.

    Parameters
    ----------
    signal
        A map.
    region
        As :func:`rsciio_xfm.signals.selections.resolve_regions` returns it.
    """
    is_mask, names = region.dtype == bool, [axis.name for axis in navigating(signal)]
    if DETECTOR_AXIS not in names:
        return int(np.count_nonzero(region)) if is_mask else region.size
    where = region
    if not is_mask:
        where = np.zeros(shape_of(signal), dtype=bool)
        where.flat[region] = True
    return int(np.count_nonzero(where.any(axis=names.index(DETECTOR_AXIS))))


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
    meta = data._meta if isinstance(data, da.Array) else data
    if summed and type(meta) is np.ndarray and is_wide(data.dtype):
        return np.atleast_1d(sum_exactly(data, tuple(sorted(summed))))
    return None


def times_of_crop(signal: BaseSignal, axis: Any, start: Any, end: Any) -> Times:
    """Return the times of a signal that is cropped along an axis."""
    own, cropped = times_of(signal), signal.axes_manager[axis]
    if not cropped.navigate:
        return own
    kept = slice(cropped._get_index(start), cropped._get_index(end))
    return times.sliced(own, _key(signal, {cropped.index_in_array: kept}))


def flip(signal: BaseSignal, axis: Any) -> BaseSignal:
    """Mirror the map along navigation axes, the dead times too.

    The axes keep their calibration, as of ``numpy.flip`` (``s.inav[::-1]`` turns it).

    Parameters
    ----------
    signal
        Spectra, of any type.
    axis
        Name or index of a navigation axis, or several in a tuple.

    Returns
    -------
    hyperspy.api.signals.BaseSignal
        Mirrored, of the same type; lazy if the signal is.

    Raises
    ------
    ValueError
        An axis does not navigate, or is not uniform.

    Examples
    --------
    >>> mirrored = s.flip("x")
    >>> bool((mirrored.inav[0, 0].data == s.inav[-1, 0].data).all())
    True
    """
    axes = signal.axes_manager[axis]
    axes = axes if isinstance(axes, tuple | list) else (axes,)
    for flipped in axes:
        if not flipped.navigate:
            raise ValueError(
                f"axis is {flipped.name}, expected uniform navigation axes; "
                "s.isig[::-1] turns an axis with its values."
            )
    check_uniform(axes)
    turned = {flipped.index_in_array: slice(None, None, -1) for flipped in axes}
    key = tuple(turned.get(i, slice(None)) for i in range(signal.data.ndim))
    data = take(signal.data, key) if signal._lazy else signal.data[key]
    result = signal._deepcopy_with_new_data(data)
    give(result, times.sliced(times_of(signal), _key(signal, turned)))
    return result


def rebin(
    signal: BaseSignal, method: Callable, out: Any, crop: bool, **arguments: Any
) -> BaseSignal | None:
    """Rebin a signal by HyperSpy's method; live and real times of binned pixels add up."""
    factors = signal._validate_rebin_args_and_get_factors(
        arguments["new_shape"], arguments["scale"]
    )
    axes = signal.axes_manager._axes
    check_uniform(axis for axis in axes if factors[axis.index_in_array] != 1)
    by = [float(factors[axis.index_in_array]) for axis in navigating(signal)]
    own = times.rebinned(times_of(signal), shape_of(signal), by, crop)
    return called(method, own, out, crop=crop, **arguments)


def squeeze(signal: BaseSignal, method: Callable) -> BaseSignal:
    """Remove axes of one pixel by HyperSpy's method."""
    result = method()
    key = tuple(0 if size == 1 else slice(None) for size in shape_of(signal))
    give(result, times.sliced(times_of(signal), key))
    return result


def get_current_signal(
    signal: BaseSignal, method: Callable, *args: Any, **kwds: Any
) -> Any:
    """Return the spectrum at the current indices by HyperSpy's method."""
    result = method(*args, **kwds)
    key = tuple(int(i) for i in signal.axes_manager.indices[::-1])
    give(result, times.sliced(times_of(signal), key))
    return result


def unfold(signal: BaseSignal, method: Callable) -> bool:
    """Unfold the navigation axes by HyperSpy's method."""
    own, in_array = times_of(signal), [a.index_in_array for a in navigating(signal)]
    unfolded = method()
    if unfolded:
        is_block = in_array == list(range(in_array[0], in_array[-1] + 1))
        shape = shape_of(signal)
        give(signal, times.reshaped(own, shape) if is_block else Times())
    return unfolded


def fold(signal: BaseSignal, method: Callable) -> None:
    """Fold a signal back by HyperSpy's method."""
    own, shape = times_of(signal), shape_of(signal)
    method()
    if shape_of(signal) != shape:
        give(signal, times.reshaped(own, shape_of(signal)))


def times_of_interpolation(signal: BaseSignal, axis: Any) -> Times:
    """Return the times of a signal that is interpolated along an axis: along a map's, none."""
    return Times() if signal.axes_manager[axis].navigate else times_of(signal)


def transposed(
    signal: BaseSignal, result: BaseSignal, axes: tuple[Any, Any]
) -> BaseSignal:
    """Give a signal that was transposed its times; `axes` of signal and navigation."""
    return _with_reordered(signal, result, _navigation_after(signal, *axes))


def swapped(signal: BaseSignal, result: BaseSignal, axis1: Any, axis2: Any) -> BaseSignal:
    """Give a signal two axes of which were swapped its times."""
    order = list(signal.axes_manager._axes)
    i, j = (signal.axes_manager[axis].index_in_array for axis in (axis1, axis2))
    order[i], order[j] = order[j], order[i]
    return _with_reordered(signal, result, _at_navigation(result, order))


def rolled(signal: BaseSignal, result: BaseSignal, axis: Any, to_axis: Any) -> BaseSignal:
    """Give a signal an axis of which was rolled its times."""
    order = list(signal.axes_manager._axes)
    i, j = (signal.axes_manager[a].index_in_array for a in (axis, to_axis))
    order.insert(j, order.pop(i))
    return _with_reordered(signal, result, _at_navigation(result, order))


def _with_reordered(
    signal: BaseSignal, result: BaseSignal, order: list[Any]
) -> BaseSignal:
    """Give a result whose navigation axes are these the times in their order."""
    ours = navigating(signal)
    if not is_ours(result):
        return result
    is_same = len(order) == len(ours) and all(axis in ours for axis in order)
    by = [ours.index(axis) for axis in order] if is_same else None
    give(result, Times() if by is None else times.reordered(times_of(signal), by))
    return result


def _key(signal: BaseSignal, of_axes: dict[int, slice]) -> tuple:
    """Return what slices the spectra, of slices by the axes' positions in the array."""
    return tuple(of_axes.get(a.index_in_array, slice(None)) for a in navigating(signal))


def _at_navigation(result: BaseSignal, order: list[Any]) -> list[Any]:
    """Return those of the axes that are where a result's navigation axes are."""
    theirs = result.axes_manager._axes
    return [axis for axis, its in zip(order, theirs, strict=True) if its.navigate]


def _navigation_after(
    signal: BaseSignal, signal_axes: Any, navigation_axes: Any
) -> list[Any]:
    """Return the axes that navigate after a transposition, in the order of the array.

    What the arguments mean is as in :meth:`hyperspy.api.signals.BaseSignal.transpose`.
    """
    manager = signal.axes_manager
    axes = manager._axes
    if iterable_not_string(navigation_axes):
        return [manager[axis] for axis in navigation_axes][::-1]
    if iterable_not_string(signal_axes):
        others = [manager[axis] for axis in signal_axes]
        return [axis for axis in axes if axis not in others]
    if navigation_axes is not None:
        return list(axes[:navigation_axes])
    if signal_axes is not None:
        return list(axes[: len(axes) - signal_axes])
    return list(manager.signal_axes)[::-1]
