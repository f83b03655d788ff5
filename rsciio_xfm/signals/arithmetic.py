"""What an operand of the signals' arithmetic is: nothing, a mask, or the same pixels."""

from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.signals.times import has_same_name, is_same_axis, navigating, shape_of

_NEUTRAL = {"__add__": 0, "__mul__": 1, "__truediv__": 1}


def is_neutral(operation: str, other: Any) -> bool:
    """Tell whether an operand leaves the counts as they are: + 0, x 1, / 1."""
    if operation not in _NEUTRAL or isinstance(other, BaseSignal) or np.ndim(other):
        return False
    return bool(other == _NEUTRAL[operation])


def mask_of(signal: BaseSignal, other: Any) -> np.ndarray | None:
    """Return which spectra a factor keeps, if it is a mask.

    Parameters
    ----------
    signal
        Spectra.
    other
        What they are multiplied by.

    Returns
    -------
    numpy.ndarray or None
        bool, shape of the navigation axes in the array. None if `other` is no mask: not one
        boolean, 0 or 1 for each spectrum.
    """
    values = _one_for_each(signal, other)
    if values is None or values.dtype.kind not in "biu" or np.ma.isMaskedArray(values):
        return None
    values = np.asarray(values)
    if values.dtype.kind != "b" and not np.isin(values, (0, 1)).all():
        return None
    return values.astype(bool)


def _one_for_each(signal: BaseSignal, other: Any) -> Any:
    """Return the values of an operand that has one for each spectrum."""
    if isinstance(other, BaseSignal):
        theirs = [a.size for a in other.axes_manager._axes if not a.navigate]
        fits = shape_of(other) == shape_of(signal) and theirs in ([], [1])
        is_data = other.data.size == np.prod(shape_of(signal), dtype=int)
        if not fits or not is_data:
            return None
        return other._data_aligned_with_axes.reshape(shape_of(signal))
    shape = tuple(a.size if a.navigate else 1 for a in signal.axes_manager._axes)
    if not hasattr(other, "dtype") or np.shape(other) != shape:
        return None
    return other.reshape(shape_of(signal))


def is_same_place(signal: BaseSignal, other: Any) -> bool:
    """Tell whether another of our signals has spectra of the same pixels."""
    if not isinstance(other, BaseSignal) or "_carried" not in other.__dict__:
        return False
    managers = (signal.axes_manager, other.axes_manager)
    if managers[0].signal_shape != managers[1].signal_shape:
        return False
    ours, theirs = navigating(signal), navigating(other)
    if len(ours) != len(theirs):
        return False
    return all(_may_be_same(*pair) for pair in zip(ours, theirs, strict=True))


def _may_be_same(axis: Any, other: Any) -> bool:
    """Tell whether two axes are not known to differ; without units one is not calibrated."""
    units = [a.units for a in (axis, other) if isinstance(a.units, str) and a.units]
    if len(units) == 2:
        return units[0] == units[1] and is_same_axis(axis, other)
    return axis.size == other.size and has_same_name(axis, other)
