"""Signals that are made of others: their maps, images and spectra."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from hyperspy.signals import Signal1D, Signal2D


def _navigation_axes(signal: BaseSignal) -> list[dict[str, Any]]:
    axes = [axis.get_axis_dictionary() for axis in signal.axes_manager._axes]
    n = signal.axes_manager.navigation_dimension
    return axes[:n]


def title_of(signal: BaseSignal, what: str) -> str:
    """Return the title of what is made of a signal: the signal's, and what it is."""
    own = signal._metadata.get_item("General.title", "")
    return f"{own}: {what}" if own else what


def blank_of(axes: list[dict[str, Any]], title: str) -> BaseSignal:
    """Return a signal with axes to navigate and nothing in it."""
    shape = tuple(axis["size"] for axis in axes)
    blank = np.broadcast_to(np.uint8(0), (*shape, 1))
    axes = [*axes, {"size": 1, "name": "none", "navigate": False}]
    return Signal1D(blank, axes=axes, metadata={"General": {"title": title}})


def map_of(
    signal: BaseSignal, used: np.ndarray, points: np.ndarray, what: str
) -> BaseSignal:
    """Return points, shape (pixels that are used, components), as a map; NaN elsewhere."""
    data = np.full((*used.shape, points.shape[1]), np.nan, dtype=np.float32)
    data[used] = points
    axes = [axis | {"navigate": True} for axis in _navigation_axes(signal)]
    axes.append({"size": points.shape[1], "name": "component", "navigate": False})
    return Signal1D(
        data, axes=axes, metadata={"General": {"title": title_of(signal, what)}}
    )


def image_of(signal: BaseSignal, data: np.ndarray, what: str) -> BaseSignal:
    """Return an image whose signal axes are x and y; of a line, a Signal1D."""
    axes = _navigation_axes(signal)
    for axis in axes[-2:]:
        axis["navigate"] = False
    kind = Signal1D if data.ndim == 1 else Signal2D
    return kind(data, axes=axes, metadata={"General": {"title": title_of(signal, what)}})


def picture_of(signal: BaseSignal, colours: np.ndarray, what: str) -> Signal1D:
    """Return a picture, uint8 of shape (y, x, 3), over the axes of a signal's map."""
    axes = [axis | {"navigate": True} for axis in _navigation_axes(signal)]
    axes.append({"size": 3, "navigate": False, "name": "RGB"})
    picture = Signal1D(colours, axes=axes)
    picture.change_dtype("rgb8")
    picture.metadata.General.title = title_of(signal, what)
    return picture


def spectrum_of(signal: BaseSignal, data: np.ndarray, what: str) -> BaseSignal:
    """Return one spectrum of the type of a signal, in memory, with its metadata."""
    result = signal._deepcopy_with_new_data(data)
    result._lazy = False
    axes = signal.axes_manager.navigation_axes
    result._remove_axis([axis.index_in_axes_manager for axis in axes])
    result._assign_subclass()
    result._metadata.set_item("General.title", title_of(signal, what))
    return result


class Signals(Mapping[str, BaseSignal]):
    """Signals that are made when they are asked for, by the name of the component."""

    def __init__(self, names: Sequence[str], make: Callable[[str], BaseSignal]) -> None:
        self._names, self._make = tuple(names), make

    def __getitem__(self, name: str) -> BaseSignal:
        return self._make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
