"""Dead times of a signal, drawn."""

from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.core.dead_time import combine_dead_time
from rsciio_xfm.core.progress import progress
from rsciio_xfm.drawing.dead_times import (
    draw_against_counts,
    draw_histogram,
    draw_predicted,
)
from rsciio_xfm.drawing.maps import draw_maps
from rsciio_xfm.drawing.page import new_axes
from rsciio_xfm.drawing.panels import DIFFERENCE, Panel
from rsciio_xfm.signals.checks import check_axes, steps_of
from rsciio_xfm.signals.dead_time import (
    FILL,
    counts_of,
    data_of,
    dead_times_of,
    detector_axis,
    require_times,
)


def plot_dead_time(signal: BaseSignal) -> np.ndarray:
    """Draw the dead times of each detector as a map.

    Parameters
    ----------
    signal
        Spectra of the type EDS_XFM: those carry dead times.

    Returns
    -------
    numpy.ndarray
        matplotlib's axes, one for each detector.

    Raises
    ------
    ValueError
        The signal carries no dead-time map, or is no map of x and y.

    Examples
    --------
    >>> axes = s.plot_dead_time()
    """
    dead_times, steps = dead_times_of(signal), steps_of(signal)
    panels = [
        Panel(f"{name}: dead time", values, steps, "%")
        for name, values in dead_times.items()
    ]
    return draw_maps(panels)


def plot_dead_time_histogram(signal: BaseSignal, ax: Any = None) -> Any:
    """Draw how often each dead time occurs, for each detector.

    Parameters
    ----------
    signal
        Spectra of the type EDS_XFM: those carry dead times.
    ax
        Where to; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.

    Raises
    ------
    ValueError
        The signal carries no dead-time map.

    Examples
    --------
    >>> ax = s.plot_dead_time_histogram()
    """
    found = dead_times_of(signal)
    ax = new_axes() if ax is None else ax
    return draw_histogram(ax, list(found.values()), list(found))


def plot_dead_time_against_counts(
    signal: BaseSignal, ax: Any = None, show_progressbar: bool | None = None
) -> Any:
    """Draw the dead time of each spectrum against its counts, for each detector.

    Parameters
    ----------
    signal
        Spectra of the type EDS_XFM: those carry dead times.
    ax
        Where to; None makes a figure.
    show_progressbar
        Of lazy signals, whose counts are summed for this; None is HyperSpy's preference,
        on a terminal or in a notebook.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. Where detectors were summed, and their spectra cannot be read apart, the
        mean of their dead times is drawn against the counts of both.

    Raises
    ------
    ValueError
        The signal carries no dead-time map.

    Examples
    --------
    >>> ax = s.plot_dead_time_against_counts()
    """
    check_axes(signal)
    own, dead = require_times(signal)
    data = data_of(signal, own)
    with progress(show_progressbar, "counting each pixel"):
        counts = counts_of(data)
    found, axis = dead_times_of(signal), detector_axis(signal, own)
    if counts.ndim < dead.ndim:
        found = {"Sum": combine_dead_time(dead, axis=(0,))}
        axis = None
    counts = counts[np.newaxis] if axis is None else np.moveaxis(counts, axis, 0)
    ax = new_axes() if ax is None else ax
    return draw_against_counts(ax, list(found.values()), counts, list(found))


def plot_detector_difference(signal: BaseSignal) -> np.ndarray:
    """Draw how the dead times of the detectors differ, as a map.

    Parameters
    ----------
    signal
        Spectra of the type EDS_XFM: those carry dead times.

    Returns
    -------
    numpy.ndarray
        matplotlib's axes. Of two detectors it is one: the first less the second. Of more
        it is each of them less the mean of all.

    Raises
    ------
    ValueError
        The signal has no dead times of several detectors, or is no map of x and y.

    Examples
    --------
    >>> axes = s.plot_detector_difference()
    """
    found, steps = dead_times_of(signal), steps_of(signal)
    if len(found) == 1:
        raise ValueError(
            "The dead times are those of one detector, expected several to compare."
        )
    names, values = list(found), np.stack(list(found.values())).astype(float)
    if len(names) == 2:
        images = {f"{names[0]} - {names[1]}": values[0] - values[1]}
    else:
        mean = values.mean(axis=0)
        images = {f"{n} - mean": v - mean for n, v in zip(names, values, strict=True)}
    panels = [
        Panel(f"Dead time: {name}", image, steps, "% points", DIFFERENCE)
        for name, image in images.items()
    ]
    return draw_maps(panels)


def plot_filled_dead_time(signal: BaseSignal, ax: Any = None) -> Any:
    """Draw what a fit gives for spectra whose dead time is known, against it.

    Parameters
    ----------
    signal
        Spectra of the type EDS_XFM: those carry dead times.
    ax
        Where to; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. Each point is a spectrum that was left out of the fit that predicted it.

    Raises
    ------
    ValueError
        The dead times were not filled in by a fit, see :meth:`fill_dead_time`.

    Examples
    --------
    >>> ax = s.fill_dead_time().plot_filled_dead_time()
    """
    report = signal.metadata.get_item(FILL)
    entries = {} if report is None else report.as_dictionary()
    fits = {n: e for n, e in entries.items() if "_predicted" in e}
    if not fits:
        raise ValueError(
            "No dead times of this signal were filled in by a fit: use fill_dead_time "
            "first, if any are missing."
        )
    ax = new_axes() if ax is None else ax
    return draw_predicted(
        ax,
        [np.asarray(e["_measured"]) for e in fits.values()],
        [np.asarray(e["_predicted"]) for e in fits.values()],
        [name.replace("_", " ").capitalize() for name in fits],
    )
