"""The part of the signals that keeps a dead-time map in line with the spectra."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from exspy.signals import EDSSEMSpectrum, EDSSpectrum
from hyperspy.signal import BaseSignal

from rsciio_xfm import _dead_time as maps
from rsciio_xfm._io.lazy import take
from rsciio_xfm._io.metadata import (
    DEAD_TIME,
    DETECTOR_AXIS,
    LIVE_TIME,
    MAP_LIVE_TIME,
    MAP_SPECTRA,
    REAL_TIME,
    SIGNAL_TYPE,
    drop_dead_time,
    drop_times,
    live_time_of_spectrum,
    settle_live_time,
)

# Functions after which the methods of the same name see to the times.
_KEEPING = (np.sum, np.mean, np.nansum, np.nanmean)


class CarriesDeadTime(EDSSEMSpectrum):
    """EDS spectra with a dead-time map in their metadata.

    After any operation the map either fits the spectra or is gone, and live and real time
    with it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not kwargs.get("full_initialisation", True):
            # A signal of another class becomes one of this. If it has a map, nothing kept
            # that in line with the spectra. (For our own see _assign_subclass.)
            drop_dead_time(self._metadata)

    @property
    def metadata(self) -> Any:
        """The metadata; a dead-time map that does not fit the spectra is not in them."""
        axes_manager = getattr(self, "axes_manager", None)
        if axes_manager is not None:
            self._check_dead_time(axes_manager)
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
        items = (DEAD_TIME, REAL_TIME, LIVE_TIME, MAP_LIVE_TIME, MAP_SPECTRA)
        own = {item: self.metadata.get_item(item) for item in items}
        super().get_calibration_from(ref, nb_pix=nb_pix)
        drop_dead_time(self._metadata)
        settle_live_time(self._metadata)
        if own[DEAD_TIME] is not None:
            for item, value in own.items():
                if value is not None:
                    self._metadata.set_item(item, value)
        elif self._metadata.has_item(REAL_TIME):
            self._metadata.set_item(
                REAL_TIME, self._metadata.get_item(REAL_TIME) / nb_pix
            )

    # The dead-time map.

    def _check_dead_time(self, axes_manager: Any) -> None:
        """Drop a map that does not fit, and the times with it; take one that is due."""
        dead_time = self._metadata.get_item(DEAD_TIME)
        if dead_time is None or maps.fits(dead_time, axes_manager):
            return
        due = self.__dict__.get("_due_dead_time")
        if due is None:
            drop_dead_time(self._metadata)
            drop_times(self._metadata)
        elif maps.fits(due, axes_manager):
            maps.attach(self._metadata, due)
        # Otherwise an operation is under way that will make the axes fit.

    def _dead_time(self) -> BaseSignal | None:
        dead_time = self.metadata.get_item(DEAD_TIME)
        if dead_time is not None and dead_time._lazy:  # loaded lazily from a .hspy file
            dead_time.compute(show_progressbar=False)
        return dead_time

    def _carry(
        self, result: BaseSignal, dead_time: BaseSignal | None, factor: float = 1.0
    ) -> None:
        """Give a result its dead times, and live and real times in line with them.

        Parameters
        ----------
        result
            Made from this signal.
        dead_time
            Of the result's spectra, None if they have none.
        factor
            Number of spectra of this signal that were added up in one of the result.
        """
        mine = self._dead_time()
        share = 1.0
        if mine is not None and dead_time is not None and maps.mean_live(mine) > 0:
            share = maps.mean_live(dead_time) / maps.mean_live(mine)
        real_time = self._metadata.get_item(REAL_TIME)
        live_time = live_time_of_spectrum(self._metadata)
        drop_times(result._metadata)
        if real_time is not None:
            result._metadata.set_item(REAL_TIME, float(real_time * factor))
        if live_time is not None:
            result._metadata.set_item(LIVE_TIME, float(live_time * factor * share))
        if isinstance(result, CarriesDeadTime):
            drop_dead_time(result._metadata)
            if dead_time is not None:
                maps.attach(result._metadata, dead_time)

    @contextmanager
    def _carry_into(
        self, out: BaseSignal | None, dead_time: BaseSignal | None, factor: float = 1.0
    ) -> Iterator[None]:
        """Give a signal its dead times while an operation gives it other axes.

        Whoever listens to its events sees them in time; if the operation fails, it has
        what it had before.
        """
        if not isinstance(out, BaseSignal):
            yield
            return
        items = (DEAD_TIME, REAL_TIME, LIVE_TIME, MAP_LIVE_TIME, MAP_SPECTRA)
        before = {item: out._metadata.get_item(item) for item in items}
        if isinstance(out, CarriesDeadTime) and dead_time is not None:
            out._due_dead_time = dead_time
        self._carry(out, dead_time, factor)
        try:
            yield
        except BaseException:
            for item, value in before.items():
                if value is not None:
                    out._metadata.set_item(item, value)
            raise
        finally:
            out.__dict__.pop("_due_dead_time", None)

    def _deepcopy_with_new_data(self, *args: Any, **kwds: Any) -> Any:
        # The map is shared, not copied: nothing changes it in place.
        dead_time = self._metadata.get_item(DEAD_TIME)
        drop_dead_time(self._metadata)
        try:
            result = super()._deepcopy_with_new_data(*args, **kwds)
        finally:
            if dead_time is not None:
                maps.attach(self._metadata, dead_time)
        if dead_time is not None:
            maps.attach(result._metadata, dead_time)
        return result

    def _assign_subclass(self, chunks: Any = False) -> None:
        # Another class would multiply the live time of a whole map.
        if self._metadata.get_item("Signal.signal_type") != SIGNAL_TYPE:
            settle_live_time(self._metadata)
        # Another class would carry the map along without cropping it.
        dead_time = self._metadata.get_item(DEAD_TIME)
        drop_dead_time(self._metadata)
        super()._assign_subclass(chunks=chunks)
        if dead_time is not None and isinstance(self, CarriesDeadTime):
            maps.attach(self._metadata, dead_time)

    # Operations that dead times follow.

    def _slicer(
        self, slices: Any, isNavigation: bool | None = None, out: Any = None
    ) -> Any:
        key = self._get_array_slices(slices, isNavigation)
        dead_time = self._dead_time()
        navigates = isNavigation is not False and self.axes_manager.navigation_dimension
        if dead_time is not None and navigates:
            axes = self.axes_manager.navigation_axes
            dead_time = dead_time.inav[tuple(key[a.index_in_array] for a in axes)]
        with self._carry_into(out, dead_time):
            result = super()._slicer(slices, isNavigation, out=out)
        if out is None:
            if self._lazy:
                data = take(self.data, key)
                if data.shape == result.data.shape:
                    result.data = data
            self._carry(result, dead_time)
        return result

    def crop(
        self, axis: Any, start: Any = None, end: Any = None, convert_units: bool = False
    ) -> None:
        """Crop in place along an axis, the dead times too.

        See :meth:`hyperspy.api.signals.BaseSignal.crop`.
        """
        dead_time, cropped = self._dead_time(), self.axes_manager[axis]
        if dead_time is not None and cropped.navigate:
            at = self.axes_manager.navigation_axes.index(cropped)
            kept = slice(cropped._get_index(start), cropped._get_index(end))
            dead_time = dead_time.inav[(slice(None),) * at + (kept,)]
        with self._carry_into(self, dead_time):
            super().crop(axis, start=start, end=end, convert_units=convert_units)
        if dead_time is not None:
            maps.attach(self._metadata, dead_time)

    def sum(self, axis: Any = None, out: Any = None, rechunk: Any = False) -> Any:
        """Sum over axes, all navigation axes if none is given.

        Counts are added up exactly, as 64-bit integers. Live and real times add up. See
        :meth:`hyperspy.api.signals.BaseSignal.sum` for the parameters.
        """
        axes = self._navigation_axes_of(axis)
        dead_time = self._combined_dead_time(axes)
        factor = float(np.prod([a.size for a in axes]))
        axis = self.axes_manager.navigation_axes if axis is None else axis
        with self._carry_into(out, dead_time, factor):
            # exspy's own sum only multiplies the live time; that is done here.
            result = super(EDSSpectrum, self).sum(axis=axis, out=out, rechunk=rechunk)
        if out is None and result is not self:
            self._carry(result, dead_time, factor)
        return result

    def mean(self, axis: Any = None, out: Any = None, rechunk: Any = False) -> Any:
        """Average over axes, all navigation axes if none is given.

        Live and real time become those of the average spectrum: their means. See
        :meth:`hyperspy.api.signals.BaseSignal.mean` for the parameters.
        """
        dead_time = self._combined_dead_time(self._navigation_axes_of(axis))
        with self._carry_into(out, dead_time):
            result = super().mean(axis=axis, out=out, rechunk=rechunk)
        if out is None and result is not self:
            self._carry(result, dead_time)
        return result

    def nansum(self, axis: Any = None, out: Any = None, rechunk: Any = False) -> Any:
        """Sum over axes without NaN, as circular and polygonal ROIs leave outside.

        Over all navigation axes, live and real times are those of the spectra that are not
        NaN; over some of them, they are gone. See
        :meth:`hyperspy.api.signals.BaseSignal.nansum` for the parameters.
        """
        if self.data.dtype.kind != "f":
            return self.sum(axis=axis, out=out, rechunk=rechunk)
        result = super().nansum(axis=axis, out=out, rechunk=rechunk)
        self._carry_unmasked(axis, result if out is None else out, is_sum=True)
        return result

    def nanmean(self, axis: Any = None, out: Any = None, rechunk: Any = False) -> Any:
        """Average over axes without NaN; see :meth:`nansum`."""
        if self.data.dtype.kind != "f":
            return self.mean(axis=axis, out=out, rechunk=rechunk)
        result = super().nanmean(axis=axis, out=out, rechunk=rechunk)
        self._carry_unmasked(axis, result if out is None else out, is_sum=False)
        return result

    def _apply_function_on_data_and_remove_axis(
        self, function: Callable, axes: Any, out: Any = None, **kwargs: Any
    ) -> Any:
        result = super()._apply_function_on_data_and_remove_axis(
            function, axes, out=out, **kwargs
        )
        # Of a maximum over pixels, say, no time is that of all channels.
        if function not in _KEEPING and self._navigation_axes_of(axes):
            changed = result if out is None else out
            if isinstance(changed, CarriesDeadTime):
                drop_dead_time(changed._metadata)
                drop_times(changed._metadata)
        return result

    def _carry_unmasked(self, axis: Any, result: BaseSignal, is_sum: bool) -> None:
        axes = self._navigation_axes_of(axis)
        if not axes or not isinstance(result, CarriesDeadTime):
            return
        if len(axes) < self.axes_manager.navigation_dimension:
            drop_dead_time(result._metadata)
            drop_times(result._metadata)
            return
        # A mask covers whole spectra: one channel tells.
        is_unmasked = ~np.isnan(np.asarray(self._data_aligned_with_axes[..., 0]))
        dead_time = self._dead_time()
        if dead_time is not None:
            dead_time = maps.combine_unmasked(dead_time, is_unmasked)
        factor = np.count_nonzero(is_unmasked) if is_sum else 1
        self._carry(result, dead_time, factor)

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
        axes = self.axes_manager.navigation_axes
        by = [float(factors[axis.index_in_array]) for axis in axes]
        factor = float(np.prod(by))
        arguments = {"new_shape": new_shape, "scale": scale, "crop": crop, "dtype": dtype}
        # exspy's own rebin only multiplies the times; that is done here.
        rebin = super(EDSSpectrum, self).rebin
        if out is None:
            result = rebin(**arguments)
            self._carry(result, self._rebinned_dead_time(by, crop), factor)
            return result
        with self._carry_into(out, self._rebinned_dead_time(by, crop), factor):
            return rebin(**arguments, out=out)

    def _rebinned_dead_time(self, by: list[float], crop: bool) -> BaseSignal | None:
        dead_time = self._dead_time()
        if dead_time is None or set(by) <= {1.0}:
            return dead_time
        return maps.rebin(dead_time, by, crop)

    def squeeze(self) -> BaseSignal:
        """Remove axes of one pixel; see :meth:`hyperspy.api.signals.BaseSignal.squeeze`."""
        result = super().squeeze()
        dead_time = self._dead_time()
        if isinstance(result, CarriesDeadTime):
            axes = self.axes_manager.navigation_axes
            inav = tuple(0 if axis.size == 1 else slice(None) for axis in axes)
            if dead_time is not None and 0 in inav:
                dead_time = dead_time.inav[inav]
            self._carry(result, dead_time)
        return result

    def get_current_signal(self, *args: Any, **kwargs: Any) -> Any:
        """Return the spectrum at the current indices, with its own dead times.

        See :meth:`hyperspy.api.signals.BaseSignal.get_current_signal`.
        """
        result = super().get_current_signal(*args, **kwargs)
        dead_time = self._dead_time()
        if isinstance(result, CarriesDeadTime):
            indices = tuple(int(i) for i in self.axes_manager.indices)
            if dead_time is not None and indices:
                dead_time = dead_time.inav[indices]
            self._carry(result, dead_time)
        return result

    def unfold_navigation_space(self) -> bool:
        """Unfold the navigation axes; the dead times come back with :meth:`fold`."""
        folded = self._dead_time()
        drop_dead_time(self._metadata)
        unfolded = super().unfold_navigation_space()
        if folded is not None:
            if unfolded:
                self._folded_dead_time = folded
            else:
                maps.attach(self._metadata, folded)
        return unfolded

    def fold(self) -> None:
        """Fold the signal back after it was unfolded, the dead times too."""
        super().fold()
        folded = self.__dict__.pop("_folded_dead_time", None)
        if folded is not None and self._dead_time() is None:
            maps.attach(self._metadata, folded)

    def interpolate_on_axis(
        self, new_axis: Any, axis: Any = 0, inplace: bool = False, degree: int = 1
    ) -> Any:
        """Interpolate along an axis; a dead-time map does not survive it on a map's axis.

        See :meth:`hyperspy.api.signals.BaseSignal.interpolate_on_axis`.
        """
        navigates = self.axes_manager[axis].navigate
        result = super().interpolate_on_axis(new_axis, axis, inplace, degree)
        if navigates:
            drop_dead_time((self if inplace else result)._metadata)
        return result

    def transpose(
        self, signal_axes: Any = None, navigation_axes: Any = None, optimize: bool = False
    ) -> Any:
        """Transpose; dead times follow if the same axes navigate.

        See :meth:`hyperspy.api.signals.BaseSignal.transpose`.
        """
        return self._follow_axes(
            super().transpose, signal_axes, navigation_axes, optimize
        )

    def swap_axes(self, axis1: Any, axis2: Any, optimize: bool = False) -> Any:
        """Swap two axes; dead times follow if the same axes navigate.

        See :meth:`hyperspy.api.signals.BaseSignal.swap_axes`.
        """
        return self._follow_axes(super().swap_axes, axis1, axis2, optimize)

    def rollaxis(self, axis: Any, to_axis: Any, optimize: bool = False) -> Any:
        """Roll an axis; dead times follow if the same axes navigate.

        See :meth:`hyperspy.api.signals.BaseSignal.rollaxis`.
        """
        return self._follow_axes(super().rollaxis, axis, to_axis, optimize)

    def _follow_axes(self, operation: Callable, *args: Any) -> BaseSignal:
        """Run an operation that reorders axes, and reorder the dead times likewise."""
        dead_time = self._dead_time()
        if dead_time is None:
            return operation(*args)
        axes = self.axes_manager._axes
        units = [axis.units for axis in axes]
        # HyperSpy copies the axes; a mark on each tells afterwards where it went.
        drop_dead_time(self._metadata)
        try:
            for i, axis in enumerate(axes):
                axis.trait_set(trait_change_notify=False, units=str(i))
            result = operation(*args)
        finally:
            for axis, unit in zip(axes, units, strict=True):
                axis.trait_set(trait_change_notify=False, units=unit)
            maps.attach(self._metadata, dead_time)
        came_from = [int(a.units) for a in result.axes_manager.navigation_axes]
        for axis in result.axes_manager._axes:
            axis.trait_set(trait_change_notify=False, units=units[int(axis.units)])
        mine = [axes.index(a) for a in self.axes_manager.navigation_axes]
        if isinstance(result, CarriesDeadTime) and sorted(came_from) == sorted(mine):
            order = [mine.index(i) for i in came_from]
            self._carry(result, maps.reorder(dead_time, order) if order else dead_time)
        elif isinstance(result, CarriesDeadTime):
            drop_times(result._metadata)
        return result

    def _navigation_axes_of(self, axis: Any) -> tuple:
        """Return those of the given axes that navigate."""
        if axis is None:
            return tuple(self.axes_manager.navigation_axes)
        axes = self.axes_manager[axis]
        axes = axes if np.iterable(axes) else (axes,)
        return tuple(a for a in axes if a.navigate)

    def _combined_dead_time(self, axes: tuple) -> BaseSignal | None:
        """Return the dead times of a sum over navigation axes."""
        dead_time = self._dead_time()
        if dead_time is None:
            return None
        # The dead times of detectors stay apart when their spectra are added.
        ours = list(self.axes_manager.navigation_axes)
        summed = [ours.index(axis) for axis in axes]
        last = len(ours) - 1
        if last in summed and ours[last].name == DETECTOR_AXIS:
            summed.remove(last)
            dead_time = maps.combine_detectors(dead_time)
        return maps.combine(dead_time, summed)
