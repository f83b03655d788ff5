"""Dead-time maps as HyperSpy signals: what keeps them in line with the spectra.

A map has the navigation axes of the spectra, in their order; where the spectra are sums
over detectors, a further one, ``detector``, and says so. Maps are shared between signals
and never changed in place.
"""

from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm._io.metadata import DEAD_TIME, HAS_DETECTORS
from rsciio_xfm.analysis.deadtime import (
    combine_dead_time,
    live_fraction,
    mean_live_fraction,
)

_MEAN = "_rsciio_xfm_mean_live_fraction"


def has_detectors(dead_time: BaseSignal) -> bool:
    """Tell whether the last axis are detectors whose spectra were summed."""
    return bool(dead_time.metadata.get_item(HAS_DETECTORS, False))


def fits(dead_time: BaseSignal, axes_manager: Any) -> bool:
    """Tell whether a map has the navigation axes of spectra, as far as sizes tell."""
    ours = [axis.size for axis in axes_manager.navigation_axes]
    theirs = [axis.size for axis in dead_time.axes_manager.navigation_axes]
    if has_detectors(dead_time):
        theirs.pop()
    # HyperSpy leaves an axis of size 1 where there would be none.
    return theirs == ours or (not ours and theirs == [1])


def copy_axes(signal: BaseSignal, dead_time: BaseSignal) -> None:
    """Give the dead times the names and calibration that the signal's axes have now."""
    theirs = dead_time.axes_manager.navigation_axes
    for axis, other in zip(signal.axes_manager.navigation_axes, theirs, strict=False):
        is_uniform = axis.is_uniform and other.is_uniform
        for attribute in ("name", "units", *(("scale", "offset") if is_uniform else ())):
            setattr(other, attribute, getattr(axis, attribute))


def mean_live(dead_time: BaseSignal) -> float:
    """Return the mean live fraction of a map; it is kept, as a map does not change."""
    if not hasattr(dead_time, _MEAN):
        setattr(dead_time, _MEAN, mean_live_fraction(np.asarray(dead_time.data)))
    return getattr(dead_time, _MEAN)


def reorder(dead_time: BaseSignal, order: list[int]) -> BaseSignal:
    """Return the dead times with their navigation axes in another order."""
    own = range(len(order), len(dead_time.axes_manager.navigation_axes))
    return dead_time.transpose(navigation_axes=[*order, *own], signal_axes=[])


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
    in_array = tuple(navigation_axes[i].index_in_array for i in axes)
    # HyperSpy's sum leaves the right axes; its values are replaced.
    combined = dead_time.sum(tuple(axes))
    combined.data = np.atleast_1d(combine_dead_time(dead_time.data, in_array))
    return combined


def combine_detectors(dead_time: BaseSignal) -> BaseSignal:
    """Return the dead times of spectra whose detectors are added up: they stay apart."""
    combined = dead_time.deepcopy()
    combined.metadata.set_item(HAS_DETECTORS, True)
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


def combine_unmasked(dead_time: BaseSignal, is_unmasked: np.ndarray) -> BaseSignal:
    """Return the dead times of spectra that are added up, some of them left out.

    Parameters
    ----------
    dead_time
        Of the spectra, percent.
    is_unmasked
        Which spectra are added up, in the shape of the navigation axes' data.
    """
    pixels = np.flatnonzero(is_unmasked)
    return combine_pixels(dead_time, pixels, combine_all(dead_time))


def combine_all(dead_time: BaseSignal) -> BaseSignal:
    """Return the dead times of the sum of all spectra; detectors that were summed stay."""
    n_axes = len(dead_time.axes_manager.navigation_axes) - has_detectors(dead_time)
    return combine(dead_time, list(range(n_axes)))


def combine_pixels(
    dead_time: BaseSignal, pixels: np.ndarray, like: BaseSignal
) -> BaseSignal:
    """Return the dead times of some of the spectra, added up.

    Parameters
    ----------
    dead_time
        Of the spectra, percent.
    pixels
        Their positions in the flattened map.
    like
        The dead times of all spectra, added up: of the axes of those of any part.
    """
    shape = dead_time.data.shape[has_detectors(dead_time) :]
    values = dead_time.data[(..., *np.unravel_index(pixels, shape))]
    if pixels.size == 0:
        return like._deepcopy_with_new_data(np.full(like.data.shape, np.nan))
    combined = combine_dead_time(values, (values.ndim - 1,))
    return like._deepcopy_with_new_data(np.atleast_1d(combined))


def attach(metadata: Any, dead_time: BaseSignal) -> None:
    """Put a map into metadata."""
    metadata.set_item(DEAD_TIME, dead_time)
