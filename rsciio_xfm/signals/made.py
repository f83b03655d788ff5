"""Signals that are made of others: copies, maps, images and spectra."""

import copy
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from hyperspy.signals import Signal1D, Signal2D

from rsciio_xfm.core.eds import EDS_DETECTOR, TIME_MAPS, TIMES


def copy_with(
    signal: BaseSignal,
    data: Any,
    copy_variance: bool,
    copy_navigator: bool,
    copy_learning_results: bool,
) -> BaseSignal:
    """Return a copy of a signal with other data, without times.

    HyperSpy's own method takes the data off the signal meanwhile, and other threads find none.
    """
    metadata = signal._metadata.as_dictionary()
    _forget(metadata, EDS_DETECTOR, (*TIMES, *(f"_sig_{name}" for name in TIME_MAPS)))
    if not copy_variance:
        _forget(metadata, "Signal", ("Noise_properties",))
    if not copy_navigator:
        _forget(metadata, "_HyperSpy", ("navigator", "_sig_navigator"))
    dictionary = {
        "data": data,
        "axes": signal.axes_manager._get_axes_dicts(),
        "metadata": copy.deepcopy(metadata),
        "original_metadata": copy.deepcopy(signal.original_metadata.as_dictionary()),
        "attributes": {"_lazy": signal._lazy, "ragged": signal.axes_manager._ragged},
    }
    if copy_learning_results:
        results = copy.deepcopy(signal.learning_results.__dict__)
        dictionary["learning_results"] = results
    return type(signal)(**dictionary)


def from_dictionary(kind: type, dictionary: dict[str, Any]) -> BaseSignal:
    """Return a signal that was pickled."""
    return kind(**dictionary)


def _forget(metadata: dict[str, Any], path: str, names: tuple[str, ...]) -> None:
    """Delete entries of metadata in a dictionary."""
    for part in path.split("."):
        metadata = metadata.get(part, {})
    for name in names:
        metadata.pop(name, None)


def _navigation_axes(signal: BaseSignal) -> list[dict[str, Any]]:
    axes = [axis.get_axis_dictionary() for axis in signal.axes_manager._axes]
    n = signal.axes_manager.navigation_dimension
    return axes[:n]


def title_of(signal: BaseSignal, what: str) -> str:
    """Return the title of what is made of a signal: the signal's, and what it is.

    Parameters
    ----------
    signal
        What it is made of.
    what
        It is.
    """
    own = signal.metadata.get_item("General.title", "")
    return f"{own}: {what}" if own else what


def map_of(
    signal: BaseSignal, used: np.ndarray, points: np.ndarray, what: str
) -> BaseSignal:
    """Return points, one for each pixel that is not masked, as a map of them.

    Parameters
    ----------
    signal
        What they are made of.
    used
        bool, shape of the navigation axes: where they belong; elsewhere is NaN.
    points
        Shape (pixels that are used, components).
    what
        It is.
    """
    data = np.full((*used.shape, points.shape[1]), np.nan, dtype=np.float32)
    data[used] = points
    axes = [axis | {"navigate": True} for axis in _navigation_axes(signal)]
    axes.append({"size": points.shape[1], "name": "component", "navigate": False})
    return Signal1D(
        data, axes=axes, metadata={"General": {"title": title_of(signal, what)}}
    )


def image_of(signal: BaseSignal, data: np.ndarray, what: str) -> BaseSignal:
    """Return an image whose signal axes are x and y; of a line, a Signal1D.

    Parameters
    ----------
    signal
        What it is made of.
    data
        Shape of the navigation axes.
    what
        It is.
    """
    axes = _navigation_axes(signal)
    for axis in axes[-2:]:
        axis["navigate"] = False
    kind = Signal1D if data.ndim == 1 else Signal2D
    return kind(data, axes=axes, metadata={"General": {"title": title_of(signal, what)}})


def spectrum_of(signal: BaseSignal, data: np.ndarray, what: str) -> BaseSignal:
    """Return one spectrum of the type of a signal, in memory, with its metadata.

    Parameters
    ----------
    signal
        What it is made of.
    data
        Shape (channels,).
    what
        It is.
    """
    result = signal._deepcopy_with_new_data(data)
    result._lazy = False
    axes = signal.axes_manager.navigation_axes
    result._remove_axis([axis.index_in_axes_manager for axis in axes])
    result._assign_subclass()
    result._metadata.set_item("General.title", title_of(signal, what))
    return result
