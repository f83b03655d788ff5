"""The part of the signals that keeps their times in line with the spectra.

Whatever makes a signal of another starts without times (``_deepcopy_with_new_data``); each
method here says what they are. What becomes of them is in :mod:`rsciio_xfm.signals.times`.
"""

import copy
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
from exspy.signals import EDSSEMSpectrum, EDSSpectrum
from hyperspy.misc.utils import iterable_not_string
from hyperspy.signal import BaseSignal

from rsciio_xfm.core.eds import (
    DETECTOR_AXIS,
    EDS_DETECTOR,
    SIGNAL_TYPE,
    drop_dead_time,
    times_of_spectrum,
)
from rsciio_xfm.core.to_dask import take
from rsciio_xfm.signals import times
from rsciio_xfm.signals.arithmetic import is_neutral, is_same_place, mask_of
from rsciio_xfm.signals.times import Times, give, given, navigating, shape_of, times_of

# Functions after which the methods of the same name see to the times.
_KEEPING = (np.sum, np.mean, np.nansum, np.nanmean)
# Python's operators whose left side is an array.
_REFLECTED = {np.add: "__add__", np.multiply: "__mul__"}
_INPLACE = {f"__i{op}__" for op in ("add", "sub", "mul", "truediv", "floordiv", "mod")}
_TIMES = ("_sig_dead_time", "_sig_relative_real_time", "real_time", "live_time")


class CarriesDeadTime(EDSSEMSpectrum):
    """EDS spectra with a dead-time map in their metadata.

    After any operation the map either fits the spectra or is gone, and live and real time
    with it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        is_new = kwargs.get("full_initialisation", True)
        if is_new:
            self._carried = None  # in the making
        super().__init__(*args, **kwargs)
        if is_new:
            times.adopt(self, is_file="package" in kwargs)
        elif "_carried" not in self.__dict__:
            # A signal of another class becomes one of this: nothing kept a map that it may
            # have in line with its spectra.
            drop_dead_time(self._metadata)
            self._carried = (self._metadata, None, Times())

    @property
    def metadata(self) -> Any:
        """The metadata. Dead times that were put into them give the live time."""
        if self.__dict__.get("_carried") is not None:
            times.notice(self)
        return self._metadata

    def get_calibration_from(self, ref: BaseSignal, nb_pix: int = 1) -> None:
        """Copy calibration and metadata of a reference; dead and live times stay one's own.

        Parameters
        ----------
        ref
            The reference.
        nb_pix
            Without dead times of one's own, the reference's live and real time are taken,
            divided by this.
        """
        own = times_of(self)
        self._carried = None
        super().get_calibration_from(ref, nb_pix=1)
        seconds = times_of_spectrum(self._metadata)
        self._carried = (self._metadata, None, Times())
        if own.dead is None:
            own = Times(*(None if t is None else t / nb_pix for t in seconds))
        give(self, own)

    # Copies.

    def _deepcopy_with_new_data(
        self,
        data: Any = None,
        copy_variance: bool = False,
        copy_navigator: bool = False,
        copy_learning_results: bool = False,
    ) -> Any:
        # HyperSpy's takes the data off this signal meanwhile, and other threads find none.
        metadata = self._metadata.as_dictionary()
        _forget(metadata, EDS_DETECTOR, _TIMES)
        if not copy_variance:
            _forget(metadata, "Signal", ("Noise_properties",))
        if not copy_navigator:
            _forget(metadata, "_HyperSpy", ("navigator", "_sig_navigator"))
        dictionary = {
            "data": data,
            "axes": self.axes_manager._get_axes_dicts(),
            "metadata": copy.deepcopy(metadata),
            "original_metadata": copy.deepcopy(self.original_metadata.as_dictionary()),
            "attributes": {"_lazy": self._lazy, "ragged": self.axes_manager._ragged},
        }
        if copy_learning_results:
            results = copy.deepcopy(self.learning_results.__dict__)
            dictionary["learning_results"] = results
        return type(self)(**dictionary)

    def _to_dictionary(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return times.completed(super()._to_dictionary(*args, **kwargs), self)

    def __copy__(self) -> Any:
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __reduce__(self) -> tuple:
        return _from_dictionary, (type(self), self._to_dictionary())

    def _assign_subclass(self, chunks: Any = False) -> None:
        is_ours = self._metadata.get_item("Signal.signal_type") == SIGNAL_TYPE
        if not is_ours and self._carried is not None:
            # Another class would carry maps along without cropping them, and multiply the
            # live time of a whole map.
            own = times_of(self)
            give(self, Times(own.real, own.live))
        manager = self.axes_manager
        is_channel = [a.size for a in manager._axes if not a.navigate] == [1]
        if is_ours and is_channel:
            # To HyperSpy one channel is no dimension; a spectrum it is all the same.
            manager._signal_dimension = 1
        super()._assign_subclass(chunks=chunks)
        if is_channel:
            manager._signal_dimension = 0
        if not isinstance(self, CarriesDeadTime):
            drop_dead_time(self._metadata)
            self.__dict__.pop("_carried", None)

    def as_lazy(self, *args: Any, **kwargs: Any) -> Any:
        """Return a lazy copy; see :meth:`hyperspy.api.signals.BaseSignal.as_lazy`."""
        return self._keeping(super().as_lazy(*args, **kwargs))

    def map(self, function: Callable, *args: Any, **kwargs: Any) -> Any:
        """Apply a function to each spectrum; the times stay.

        See :meth:`hyperspy.api.signals.BaseSignal.map`.
        """
        return self._keeping(super().map(function, *args, **kwargs))

    def _keeping(self, result: BaseSignal | None) -> BaseSignal | None:
        """Give a result the times of this signal, if it has its spectra."""
        if result is not None and shape_of(result) == shape_of(self):
            give(result, times_of(self))
        return result

    # Arithmetic.

    def _binary_operator_ruler(self, other: Any, op_name: str) -> Any:
        own, is_inplace = times_of(self), op_name in _INPLACE
        operation = op_name.replace("__i", "__") if is_inplace else op_name
        mask = mask_of(self, other) if operation == "__mul__" else None
        if mask is not None:
            return self._left_out(mask, is_inplace)
        kept = own if is_neutral(operation, other) else Times()
        if operation == "__add__" and is_same_place(self, other):
            kept = times.together(own, times_of(other))
        if is_inplace and isinstance(self.data, da.Array):  # dask has no such operators
            made = super()._binary_operator_ruler(other, operation)
            self.data, result = made.data, self
        else:
            result = super()._binary_operator_ruler(other, op_name)
        if isinstance(result, BaseSignal):
            give(result, kept)
        return result

    def _left_out(self, mask: np.ndarray, is_inplace: bool) -> Any:
        """Set the counts outside of a mask, of the shape of the navigation axes, to zero."""
        signal_axes = [a.index_in_array for a in self.axes_manager.signal_axes]
        own = times.masked(times_of(self), mask)
        is_in, zero = np.expand_dims(mask, signal_axes), self.data.dtype.type(0)
        if isinstance(self.data, da.Array):
            chunks = [
                1 if i in signal_axes else c for i, c in enumerate(self.data.chunks)
            ]
            is_in = da.from_array(is_in, chunks=tuple(chunks))
            data = da.where(is_in, self.data, zero)
        elif is_inplace:
            data = self.data
            np.copyto(data, zero, where=~is_in)
        else:
            data = np.where(is_in, self.data, zero)
        result = self if is_inplace else self._deepcopy_with_new_data(data)
        result.data = data
        give(result, own)
        return result

    def __radd__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, BaseSignal) else self + other

    def __rmul__(self, other: Any) -> Any:
        if isinstance(other, BaseSignal) and mask_of(self, other) is None:
            return NotImplemented
        return self * other

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        # An array x a lazy signal is lazy; numpy would compute it.
        if ufunc in _REFLECTED and method == "__call__" and not kwargs:
            first, second = inputs
            if second is self and not isinstance(first, BaseSignal):
                return self._binary_operator_ruler(first, _REFLECTED[ufunc])
        # Everything else as without this method.
        return getattr(ufunc, method)(
            *map(_as_plain, inputs), **{k: _as_plain(v) for k, v in kwargs.items()}
        )

    # Operations that times follow.

    def _slicer(
        self, slices: Any, isNavigation: bool | None = None, out: Any = None
    ) -> Any:
        key = self._get_array_slices(slices, isNavigation)
        own = times_of(self)
        if isNavigation is not False:
            own = times.sliced(
                own, tuple(key[a.index_in_array] for a in navigating(self))
            )
        with given(out, own):
            result = super()._slicer(slices, isNavigation, out=out)
        if out is None:
            if self._lazy:
                data = take(self.data, key)
                if data.shape == result.data.shape:
                    result.data = data
            give(result, own)
        return result

    def crop(
        self, axis: Any, start: Any = None, end: Any = None, convert_units: bool = False
    ) -> None:
        """Crop in place along an axis, the dead times too.

        See :meth:`hyperspy.api.signals.BaseSignal.crop`.
        """
        own, cropped = times_of(self), self.axes_manager[axis]
        if cropped.navigate:
            kept = slice(cropped._get_index(start), cropped._get_index(end))
            own = times.sliced(own, _key(self, {cropped.index_in_array: kept}))
        with given(self, own):
            super().crop(axis, start=start, end=end, convert_units=convert_units)

    def flip(self, axis: Any) -> Any:
        """Mirror the map along navigation axes, the dead times too.

        The axes keep their calibration, as of ``numpy.flip`` (``s.inav[::-1]`` turns it).

        Parameters
        ----------
        axis
            Name or index of a navigation axis, or several in a tuple.

        Returns
        -------
        EDSXFMSpectrum
            Mirrored; lazy if the signal is.

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
        axes = self.axes_manager[axis]
        axes = axes if isinstance(axes, tuple | list) else (axes,)
        for flipped in axes:
            if not flipped.navigate or not flipped.is_uniform:
                raise ValueError(
                    f"axis is {flipped.name}, expected uniform navigation axes; "
                    "s.inav[::-1] turns an axis with its values."
                )
        turned = {flipped.index_in_array: slice(None, None, -1) for flipped in axes}
        key = tuple(turned.get(i, slice(None)) for i in range(self.data.ndim))
        data = take(self.data, key) if self._lazy else self.data[key]
        result = self._deepcopy_with_new_data(data)
        give(result, times.sliced(times_of(self), _key(self, turned)))
        return result

    def sum(self, axis: Any = None, out: Any = None, rechunk: Any = False) -> Any:
        """Sum over axes, all navigation axes if none is given.

        Counts are added up exactly, as 64-bit integers. Live and real times add up. See
        :meth:`hyperspy.api.signals.BaseSignal.sum` for the parameters.
        """
        own = self._times_of_sum(axis)
        axis = self.axes_manager.navigation_axes if axis is None else axis
        with given(out, own):
            # exspy's own sum only multiplies the live time; that is done here.
            result = super(EDSSpectrum, self).sum(axis=axis, out=out, rechunk=rechunk)
        return self._given(result, own)

    def mean(self, axis: Any = None, out: Any = None, rechunk: Any = False) -> Any:
        """Average over axes, all navigation axes if none is given.

        Live and real time become those of the average spectrum: their means. See
        :meth:`hyperspy.api.signals.BaseSignal.mean` for the parameters.
        """
        own = self._times_of_sum(axis, is_mean=True)
        with given(out, own):
            result = super().mean(axis=axis, out=out, rechunk=rechunk)
        return self._given(result, own)

    def nansum(self, axis: Any = None, out: Any = None, rechunk: Any = False) -> Any:
        """Sum over axes without NaN, as circular and polygonal ROIs leave outside.

        Live and real times are those of the spectra that are not NaN. See
        :meth:`hyperspy.api.signals.BaseSignal.nansum` for the parameters.
        """
        if self.data.dtype.kind != "f":
            return self.sum(axis=axis, out=out, rechunk=rechunk)
        own = self._times_of_sum(axis, is_in=self._is_no_nan())
        with given(out, own):
            result = super().nansum(axis=axis, out=out, rechunk=rechunk)
        return self._given(result, own)

    def nanmean(self, axis: Any = None, out: Any = None, rechunk: Any = False) -> Any:
        """Average over axes without NaN; see :meth:`nansum`."""
        if self.data.dtype.kind != "f":
            return self.mean(axis=axis, out=out, rechunk=rechunk)
        own = self._times_of_sum(axis, is_mean=True, is_in=self._is_no_nan())
        with given(out, own):
            result = super().nanmean(axis=axis, out=out, rechunk=rechunk)
        return self._given(result, own)

    def _given(self, result: BaseSignal | None, own: Times) -> BaseSignal | None:
        if result is not None and result is not self:
            give(result, own)
        return result

    def _is_no_nan(self) -> np.ndarray:
        # A mask covers whole spectra: one channel tells.
        return ~np.isnan(np.asarray(self._data_aligned_with_axes[..., 0]))

    def _times_of_sum(
        self, axis: Any, is_mean: bool = False, is_in: np.ndarray | None = None
    ) -> Times:
        """Return the times of a sum over axes, or of a mean, perhaps of some spectra."""
        own, shape = times_of(self), shape_of(self)
        summed = self._summed_axes(axis)
        is_in = np.ones(shape, dtype=bool) if is_in is None and is_mean else is_in
        if is_in is not None:
            own = times.masked(own, is_in)
        count = np.maximum(is_in.sum(axis=tuple(summed)), 1) if is_mean else 1
        for i in summed:
            described = navigating(self)[i].get_axis_dictionary()
            if described["name"] == DETECTOR_AXIS:
                apart = times.detectors_added_up(own, i, described)
                if apart is not None:
                    own = apart
                    shape = shape[:i] + shape[i + 1 :]
                    summed = [j - (j > i) for j in summed if j != i]
                    break
        if is_mean and not summed:
            return times.divided(own, np.max(count))
        return times.added_up(own, shape, summed, count)

    def _summed_axes(self, axis: Any) -> list[int]:
        """Return the positions of those of the given axes that navigate."""
        axes = self.axes_manager.navigation_axes
        axes = axes if axis is None else self.axes_manager[axis]
        axes = axes if np.iterable(axes) else (axes,)
        ours = navigating(self)
        return [ours.index(a) for a in axes if a.navigate]

    def _apply_function_on_data_and_remove_axis(
        self, function: Callable, axes: Any, out: Any = None, **kwargs: Any
    ) -> Any:
        result = super()._apply_function_on_data_and_remove_axis(
            function, axes, out=out, **kwargs
        )
        if function in _KEEPING:
            return result
        # Of a maximum over pixels, say, no time is that of all channels.
        changed = result if out is None else out
        give(changed, Times() if self._summed_axes(axes) else times_of(self))
        return result

    def rebin(
        self,
        new_shape: Any = None,
        scale: Any = None,
        crop: bool = True,
        dtype: Any = None,
        out: Any = None,
    ) -> Any:
        """Rebin, the dead times too; live and real times of binned pixels add up.

        See :meth:`hyperspy.api.signals.BaseSignal.rebin` for the parameters.
        """
        factors = self._validate_rebin_args_and_get_factors(new_shape, scale)
        for rebinned in self.axes_manager._axes:
            if not rebinned.is_uniform and factors[rebinned.index_in_array] != 1:
                raise NotImplementedError(
                    f"The axis {rebinned.name} is not uniform, expected equal steps to rebin. "
                    "Use interpolate_on_axis first."
                )
        by = [float(factors[axis.index_in_array]) for axis in navigating(self)]
        arguments = {"new_shape": new_shape, "scale": scale, "crop": crop, "dtype": dtype}
        # exspy's own rebin only multiplies the times; that is done here.
        rebin = super(EDSSpectrum, self).rebin
        if out is None:
            result = rebin(**arguments)
            give(result, times.rebinned(times_of(self), shape_of(self), by, crop))
            return result
        own = times.rebinned(times_of(self), shape_of(self), by, crop)
        with given(out, own):
            return rebin(**arguments, out=out)

    def squeeze(self) -> BaseSignal:
        """Remove axes of one pixel; see :meth:`hyperspy.api.signals.BaseSignal.squeeze`."""
        result = super().squeeze()
        key = tuple(0 if size == 1 else slice(None) for size in shape_of(self))
        give(result, times.sliced(times_of(self), key))
        return result

    def get_current_signal(self, *args: Any, **kwargs: Any) -> Any:
        """Return the spectrum at the current indices, with its own dead times.

        See :meth:`hyperspy.api.signals.BaseSignal.get_current_signal`.
        """
        result = super().get_current_signal(*args, **kwargs)
        key = tuple(int(i) for i in self.axes_manager.indices[::-1])
        give(result, times.sliced(times_of(self), key))
        return result

    def unfold_navigation_space(self) -> bool:
        """Unfold the navigation axes, of the dead times too.

        See :meth:`hyperspy.api.signals.BaseSignal.unfold_navigation_space`.
        """
        own, in_array = times_of(self), [a.index_in_array for a in navigating(self)]
        unfolded = super().unfold_navigation_space()
        if unfolded:
            is_block = in_array == list(range(in_array[0], in_array[-1] + 1))
            give(self, times.reshaped(own, shape_of(self)) if is_block else Times())
        return unfolded

    def fold(self) -> None:
        """Fold the signal back after it was unfolded, the dead times too."""
        own = times_of(self)
        shape = shape_of(self)
        super().fold()
        if shape_of(self) != shape:
            give(self, times.reshaped(own, shape_of(self)))

    def get_dimensions_from_data(self) -> None:
        """Take the sizes of axes from the data; dead times of other sizes are gone.

        See :meth:`hyperspy.api.signals.BaseSignal.get_dimensions_from_data`.
        """
        super().get_dimensions_from_data()
        if self._carried is not None and not times.fits(self._carried[2], shape_of(self)):
            give(self, Times())

    def interpolate_on_axis(
        self, new_axis: Any, axis: Any = 0, inplace: bool = False, degree: int = 1
    ) -> Any:
        """Interpolate along an axis; along one of the map's, the times are gone.

        See :meth:`hyperspy.api.signals.BaseSignal.interpolate_on_axis`.
        """
        navigates, own = self.axes_manager[axis].navigate, times_of(self)
        result = super().interpolate_on_axis(new_axis, axis, inplace, degree)
        give(self if inplace else result, Times() if navigates else own)
        return result

    def transpose(
        self, signal_axes: Any = None, navigation_axes: Any = None, optimize: bool = False
    ) -> Any:
        """Transpose; dead times follow if the same axes navigate.

        See :meth:`hyperspy.api.signals.BaseSignal.transpose`.
        """
        result = super().transpose(signal_axes, navigation_axes, optimize)
        order = _navigation_after(self, signal_axes, navigation_axes)
        return self._with_reordered(result, order)

    def swap_axes(self, axis1: Any, axis2: Any, optimize: bool = False) -> Any:
        """Swap two axes; dead times follow if the same axes navigate.

        See :meth:`hyperspy.api.signals.BaseSignal.swap_axes`.
        """
        result = super().swap_axes(axis1, axis2, optimize)
        order = list(self.axes_manager._axes)
        i, j = (self.axes_manager[axis].index_in_array for axis in (axis1, axis2))
        order[i], order[j] = order[j], order[i]
        return self._with_reordered(result, _at_navigation(result, order))

    def rollaxis(self, axis: Any, to_axis: Any, optimize: bool = False) -> Any:
        """Roll an axis; dead times follow if the same axes navigate.

        See :meth:`hyperspy.api.signals.BaseSignal.rollaxis`.
        """
        result = super().rollaxis(axis, to_axis, optimize)
        order = list(self.axes_manager._axes)
        i, j = (self.axes_manager[a].index_in_array for a in (axis, to_axis))
        order.insert(j, order.pop(i))
        return self._with_reordered(result, _at_navigation(result, order))

    def _with_reordered(self, result: BaseSignal, order: list[Any]) -> BaseSignal:
        """Give a result whose navigation axes are these the times in their order."""
        ours = navigating(self)
        if not isinstance(result, CarriesDeadTime):
            return result
        is_same = len(order) == len(ours) and all(axis in ours for axis in order)
        by = [ours.index(axis) for axis in order] if is_same else None
        give(result, times.reordered(times_of(self), by) if is_same else Times())
        return result


_INPLACE |= {f"__i{op}__" for op in ("pow", "lshift", "rshift", "and", "or", "xor")}
_TIMES += ("real_time_of_map", "live_time_of_map", "n_spectra_of_map")


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
    return _Plain(value) if isinstance(value, CarriesDeadTime) else value


def _from_dictionary(kind: type, dictionary: dict[str, Any]) -> CarriesDeadTime:
    """Return a signal that was pickled."""
    return kind(**dictionary)


def _forget(metadata: dict[str, Any], path: str, names: tuple[str, ...]) -> None:
    """Delete entries of metadata in a dictionary."""
    for part in path.split("."):
        metadata = metadata.get(part, {})
    for name in names:
        metadata.pop(name, None)


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
