"""Dead-time maps as HyperSpy signals: what keeps them in line with the spectra.

A map has the navigation axes of the spectra, in their order; where the spectra are sums
over detectors, a further one, ``detector``. Maps are shared between signals and never
changed in place.
"""

from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm._io.metadata import DEAD_TIME, DETECTOR_AXIS, drop_dead_time
from rsciio_xfm.analysis.deadtime import combine_dead_time, live_fraction


def has_own_detectors(dead_time: BaseSignal, signal: BaseSignal) -> bool:
    """Tell whether dead times have a detector axis that the spectra do not have."""
    return _has_detectors(dead_time) and not _has_detectors(signal)


def _has_detectors(signal: BaseSignal) -> bool:
    return DETECTOR_AXIS in [axis.name for axis in signal.axes_manager.navigation_axes]


def copy_axes(signal: BaseSignal, dead_time: BaseSignal) -> None:
    """Give the dead times the calibration that the signal's axes have now."""
    theirs = dead_time.axes_manager.navigation_axes
    for axis, other in zip(signal.axes_manager.navigation_axes, theirs, strict=False):
        for attribute in ("name", "scale", "offset", "units"):
            setattr(other, attribute, getattr(axis, attribute))


def fit(metadata: Any, axes_manager: Any) -> None:
    """Order the axes of the dead-time map as those of the spectra, or drop the map."""
    dead_time = metadata.get_item(DEAD_TIME)
    ours = {axis.name: axis.size for axis in axes_manager.navigation_axes}
    theirs = {axis.name: axis.size for axis in dead_time.axes_manager.navigation_axes}
    detectors = {} if DETECTOR_AXIS in ours else _pop(theirs, DETECTOR_AXIS)
    if list(theirs.items()) == list(ours.items()):
        return
    others = [size for name, size in theirs.items() if name not in ours]
    if theirs | ours == theirs and set(others) <= {1}:
        # The same axes, transposed or without those of one pixel.
        order = [*ours, *detectors]
        if order:
            metadata.set_item(DEAD_TIME, _take_axes(dead_time, order))
    elif list(theirs.values()) != list(ours.values()):
        drop_dead_time(metadata)
    # Otherwise the axes were renamed.


def _pop(axes: dict[str, int], name: str) -> dict[str, int]:
    return {name: axes.pop(name)} if name in axes else {}


def _take_axes(dead_time: BaseSignal, names: list[str]) -> BaseSignal:
    """Return the dead times with their axes in this order; others have one pixel."""
    for axis in dead_time.axes_manager.navigation_axes:
        if axis.name not in names:
            dead_time = dead_time.sum(axis.name)
    return dead_time.transpose(navigation_axes=names, signal_axes=[])


def combine(dead_time: BaseSignal, axes: list[int]) -> BaseSignal:
    """Return the dead times of spectra that are added up over navigation axes.

    Parameters
    ----------
    dead_time
        Of the spectra, percent.
    axes
        Positions of the axes among the navigation axes; none leaves the map as it is.
    """
    if not axes:
        return dead_time
    navigation_axes = dead_time.axes_manager.navigation_axes
    combined = dead_time.sum(tuple(axes))
    combined.data = np.atleast_1d(
        combine_dead_time(
            dead_time.data, tuple(navigation_axes[i].index_in_array for i in axes)
        )
    )
    return combined


def rebin(dead_time: BaseSignal, by: list[float], crop: bool) -> BaseSignal:
    """Return the dead times of pixels that are added up, in equal real times."""
    extra = len(dead_time.axes_manager.navigation_axes) - len(by)
    scale = [*by, *[1.0] * extra]
    values = dead_time.data

    def add_up(data: np.ndarray) -> BaseSignal:
        signal = dead_time._deepcopy_with_new_data(data)
        return signal.rebin(scale=scale, crop=crop)

    rebinned = add_up(live_fraction(values))
    is_measured = add_up((~np.isnan(values)).astype(np.float64)).data > 0
    percent = 100 * (1 - rebinned.data / np.prod(by))
    rebinned.data = np.where(is_measured, percent, np.nan)
    return rebinned
