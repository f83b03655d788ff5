"""Arithmetic of signals; what an operand is to times: nothing, a mask, or the same pixels."""

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.signals import times
from rsciio_xfm.signals.time_maps import has_same_name, is_same_axis
from rsciio_xfm.signals.timekeeping import give, is_ours, times_of
from rsciio_xfm.signals.times import Times, navigating, shape_of

_NUMBERS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")
_OPERATORS = (*_NUMBERS, "lshift", "rshift", "and", "or", "xor")
_INPLACE = {f"__i{name}__": f"__{name}__" for name in _OPERATORS}
# Python's operators whose left side is an array.
_REFLECTED = {np.add: "__add__", np.multiply: "__mul__"}
_NEUTRAL = {"__add__": 0, "__mul__": 1, "__truediv__": 1}


def operate(signal: BaseSignal, method: Callable, other: Any, op_name: str) -> Any:
    """Apply one of Python's operators by HyperSpy's method.

    Times stay if nothing changes, those of a mask are of what is left, and those of the same
    pixels add up; else there are none: counts / live time would not be a rate any more.
    """
    own, operation = times_of(signal), _INPLACE.get(op_name, op_name)
    is_inplace = op_name in _INPLACE
    mask = mask_of(signal, other) if operation == "__mul__" else None
    if mask is not None:
        return _leave_out(signal, mask, is_inplace)
    kept = own if is_neutral(operation, other) else Times()
    if operation == "__add__" and is_same_place(signal, other):
        kept = times.together(own, times_of(other))
    if is_inplace and isinstance(signal.data, da.Array):  # dask has no such operators
        signal.data, result = method(other, operation).data, signal
    else:
        result = method(other, op_name)
    if isinstance(result, BaseSignal):
        give(result, kept)
    return result


def apply_ufunc(
    signal: BaseSignal, ufunc: Any, method: str, inputs: tuple, kwds: dict[str, Any]
) -> Any:
    """Apply one of numpy's functions; an array + or x a signal as a signal + or x an array.

    That is lazy if the signal is, where numpy would compute it. Everything else is as if
    signals had no ``__array_ufunc__``.
    """
    if ufunc in _REFLECTED and method == "__call__" and not kwds:
        first, second = inputs
        if second is signal and not isinstance(first, BaseSignal):
            return signal._binary_operator_ruler(first, _REFLECTED[ufunc])
    return getattr(ufunc, method)(
        *map(_as_plain, inputs),
        **{name: _as_plain(value) for name, value in kwds.items()},
    )


def is_neutral(operation: str, other: Any) -> bool:
    """Tell whether an operand leaves the counts as they are: + 0, x 1, / 1."""
    if operation not in _NEUTRAL or isinstance(other, BaseSignal) or np.ndim(other):
        return False
    return bool(other == _NEUTRAL[operation])


def mask_of(signal: BaseSignal, other: Any) -> np.ndarray | None:
    """Return which spectra a factor keeps, if it has a boolean, 0 or 1 for each; or None."""
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
    if not isinstance(other, np.ndarray | da.Array) or other.shape != shape:
        return None
    return other.reshape(shape_of(signal))


def is_same_place(signal: BaseSignal, other: Any) -> bool:
    """Tell whether another of our signals has spectra of the same pixels."""
    if not isinstance(other, BaseSignal) or not is_ours(other):
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


def _leave_out(signal: BaseSignal, mask: np.ndarray, is_inplace: bool) -> BaseSignal:
    """Set the counts outside of a mask, of the shape of the navigation axes, to zero."""
    signal_axes = [a.index_in_array for a in signal.axes_manager.signal_axes]
    own = times.masked(times_of(signal), mask)
    data, is_in = signal.data, np.expand_dims(mask, signal_axes)
    zero = data.dtype.type(0)
    if isinstance(data, da.Array):
        chunks = [1 if i in signal_axes else c for i, c in enumerate(data.chunks)]
        data = da.where(da.from_array(is_in, chunks=tuple(chunks)), data, zero)
    elif is_inplace:
        np.copyto(data, zero, where=~is_in)
    else:
        data = np.where(is_in, data, zero)
    result = signal if is_inplace else signal._deepcopy_with_new_data(data)
    result.data = data
    give(result, own)
    return result


class _Plain:
    """A signal as numpy's functions take those that have no ``__array_ufunc__``."""

    def __init__(self, signal: BaseSignal) -> None:
        self.signal = signal

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.signal, dtype=dtype)

    def __array_wrap__(
        self, array: np.ndarray, context: Any = None, return_scalar: bool = False
    ) -> Any:
        if context is not None:
            ufunc, inputs, number = context
            inputs = [i.signal if isinstance(i, _Plain) else i for i in inputs]
            context = ufunc, inputs, number
        return self.signal.__array_wrap__(array, context)


def _as_plain(value: Any) -> Any:
    """Return an argument of numpy's functions with the signals in it as they take them."""
    if isinstance(value, tuple):  # several to write to
        return tuple(map(_as_plain, value))
    is_signal = isinstance(value, BaseSignal) and is_ours(value)
    return _Plain(value) if is_signal else value
