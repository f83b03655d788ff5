"""The signals: exspy's EDS spectra that carry a dead-time map and sum fast.

What a method computes is in :mod:`rsciio_xfm.analysis`; here it is applied to a signal.
"""

from typing import Any

import numpy as np
from exspy.signals import EDSSEMSpectrum, LazyEDSSEMSpectrum
from exspy.utils.eds import take_off_angle
from hyperspy.signal import BaseSignal

from rsciio_xfm._dead_time import combine, copy_axes, fit, has_own_detectors, rebin
from rsciio_xfm._io import msa
from rsciio_xfm._io.lazy import take
from rsciio_xfm._io.metadata import (
    DEAD_TIME,
    DETECTOR_AXIS,
    EDS_DETECTOR,
    INSTRUMENT,
    LIVE_TIME,
    REAL_TIME,
    SIGNAL_TYPE,
    drop_dead_time,
)
from rsciio_xfm.analysis.deadtime import live_fraction, mean_live_fraction
from rsciio_xfm.analysis.sums import can_sum, sum_map, sum_spectrum

__all__ = ["EDSXFMSpectrum", "LazyEDSXFMSpectrum"]


def __dir__() -> list[str]:
    return sorted(__all__)


class EDSXFMSpectrum(EDSSEMSpectrum):
    """X-ray spectra of a map, with the dead time of each pixel and detector.

    Every method of :class:`exspy.signals.EDSSEMSpectrum` works. Beyond these, the signal
    carries a dead-time map, ``metadata.Acquisition_instrument.SEM.Detector.EDS.dead_time``,
    that is cropped, summed, rebinned and transposed with the spectra. After any operation
    it either fits the spectra or is gone.
    """

    _signal_type = SIGNAL_TYPE

    @property
    def metadata(self) -> Any:
        """The metadata; a dead-time map that no longer fits the spectra is not in them."""
        metadata = self._metadata
        axes_manager = getattr(self, "axes_manager", None)
        if axes_manager is not None and metadata.has_item(DEAD_TIME):
            fit(metadata, axes_manager)
        return metadata

    def get_dead_time(self) -> BaseSignal:
        """Return the dead time of each pixel and detector.

        Returns
        -------
        hyperspy.api.signals.BaseSignal
            Percent. Its navigation axes are those of the spectra; where detectors were
            summed, they are a further one, ``detector``. NaN where nothing was measured.

        Raises
        ------
        ValueError
            The signal carries no dead-time map.

        Examples
        --------
        >>> s = hs.load("map.GeoPIXE", lazy=True)  # doctest: +SKIP
        >>> s.get_dead_time().mean("detector").T.plot()  # doctest: +SKIP
        """
        dead_time = self._dead_time()
        if dead_time is None:
            raise ValueError(
                "This signal carries no dead-time map: its file has none, or it was lost "
                "in an operation that dead times cannot follow."
            )
        dead_time = dead_time.deepcopy()
        copy_axes(self, dead_time)
        return dead_time

    def get_live_time(self) -> BaseSignal:
        """Return the live time of each spectrum.

        Returns
        -------
        hyperspy.api.signals.BaseSignal
            Seconds, real time x (1 - dead time / 100), added over the detectors that were
            summed; zero where nothing was measured. Its navigation axes are those of the
            spectra, so that ``s / s.get_live_time()`` are counts per second of live time.

        Raises
        ------
        ValueError
            The signal carries no dead-time map, or its real time is not known.

        Notes
        -----
        Live time = dwell x (1 - dead time / 100) for each pixel and detector.
        """
        live_time = self.get_dead_time()
        real_time = self.metadata.get_item(REAL_TIME)
        if real_time is None:
            raise ValueError(
                f"The real time of the spectra is not known; set metadata.{REAL_TIME} "
                "(s, all summed detectors together)."
            )
        live_time.data = live_fraction(live_time.data)
        if has_own_detectors(live_time, self):
            live_time = live_time.mean(DETECTOR_AXIS)
        live_time.data = live_time.data * real_time
        live_time.metadata.General.title = "Live time"
        live_time.metadata.Signal.quantity = "Live time (s)"
        return live_time

    def save(
        self,
        filename: Any = None,
        overwrite: bool | None = None,
        extension: str | None = None,
        file_format: str | None = None,
        **kwds: Any,
    ) -> None:
        """Save the signal; see :meth:`hyperspy.api.signals.BaseSignal.save`.

        RosettaSciIO's MSA writer knows only some signal types: the copy that it gets
        tells it signal type, beam energy, live and real time, date and time.
        """
        signal = self
        if msa.is_msa(filename, extension, file_format):
            signal = self._deepcopy_with_new_data(self.data)
            drop_dead_time(signal._metadata)
            msa.prepare(signal)
        super(EDSXFMSpectrum, signal).save(
            filename, overwrite, extension, file_format, **kwds
        )

    # What exspy and HyperSpy do, made to work with this type and its dead times.

    def _get_line_energy(self, Xray_line: str, FWHM_MnKa: Any = None) -> Any:
        if isinstance(FWHM_MnKa, str) and FWHM_MnKa == "auto":
            FWHM_MnKa = self.metadata.get_item(f"{EDS_DETECTOR}.energy_resolution_MnKa")
        return super()._get_line_energy(Xray_line, FWHM_MnKa)

    def get_take_off_angle(self) -> float:
        """Compute the take-off angle; see :class:`exspy.signals.EDSSEMSpectrum`.

        Returns
        -------
        float
            Degrees.
        """
        instrument = self.metadata.get_item(INSTRUMENT)
        return take_off_angle(
            instrument.get_item("Stage.tilt_alpha"),
            instrument.get_item("Detector.EDS.azimuth_angle"),
            instrument.get_item("Detector.EDS.elevation_angle"),
            instrument.get_item("Stage.tilt_beta", 0.0),
        )

    def get_calibration_from(self, ref: BaseSignal, nb_pix: int = 1) -> None:
        """Copy calibration and metadata of a reference; the dead times stay one's own.

        Parameters
        ----------
        ref
            The reference.
        nb_pix
            The live time of the reference is divided by it.
        """
        own = self._dead_time()
        super().get_calibration_from(ref, nb_pix=nb_pix)
        self._set_dead_time(own)

    def _dead_time(self) -> BaseSignal | None:
        dead_time = self.metadata.get_item(DEAD_TIME)
        if dead_time is not None and dead_time._lazy:  # loaded lazily from a .hspy file
            dead_time.compute(show_progressbar=False)
        return dead_time

    def _set_dead_time(self, dead_time: BaseSignal | None) -> None:
        """Carry a dead-time map, or none, and bring the live time in line with it."""
        drop_dead_time(self._metadata)
        if dead_time is None:
            return
        self._metadata.set_item(DEAD_TIME, dead_time)
        real_time = self._metadata.get_item(REAL_TIME)
        if real_time is not None and self._metadata.has_item(LIVE_TIME):
            mean = mean_live_fraction(np.asarray(dead_time.data))
            self._metadata.set_item(LIVE_TIME, float(real_time * mean))

    def _deepcopy_with_new_data(self, *args: Any, **kwds: Any) -> Any:
        # The map is shared, not copied: nothing changes it in place.
        dead_time = self._metadata.get_item(DEAD_TIME)
        drop_dead_time(self._metadata)
        try:
            result = super()._deepcopy_with_new_data(*args, **kwds)
        finally:
            if dead_time is not None:
                self._metadata.set_item(DEAD_TIME, dead_time)
        if dead_time is not None:
            result._metadata.set_item(DEAD_TIME, dead_time)
        return result

    def _assign_subclass(self, chunks: Any = False) -> None:
        # Another class would carry the map along without cropping it.
        dead_time = self._metadata.get_item(DEAD_TIME)
        drop_dead_time(self._metadata)
        super()._assign_subclass(chunks=chunks)
        if dead_time is not None and isinstance(self, EDSXFMSpectrum):
            self._metadata.set_item(DEAD_TIME, dead_time)

    def _slicer(
        self, slices: Any, isNavigation: bool | None = None, out: Any = None
    ) -> Any:
        key = self._get_array_slices(slices, isNavigation)
        result = super()._slicer(slices, isNavigation, out=out)
        sliced = result if out is None else out
        if self._lazy and out is None:
            data = take(self.data, key)
            if data.shape == sliced.data.shape:
                sliced.data = data
        dead_time = self._dead_time()
        if dead_time is not None and isNavigation is not False:
            axes = self.axes_manager.navigation_axes
            inav = tuple(key[axis.index_in_array] for axis in axes)
            sliced._set_dead_time(dead_time.inav[inav] if inav else dead_time)
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
        super().crop(axis, start=start, end=end, convert_units=convert_units)
        self._set_dead_time(dead_time)

    def sum(self, axis: Any = None, out: Any = None, rechunk: Any = False) -> Any:
        """Sum over axes, all navigation axes if none is given.

        Counts are added up exactly, as 64-bit integers. Live and real times add up. See
        :meth:`hyperspy.api.signals.BaseSignal.sum` for the parameters.
        """
        result = super().sum(axis=axis, out=out, rechunk=rechunk)
        summed = result if out is None else out
        axes = self._navigation_axes_of(axis)
        if axes and isinstance(summed, EDSXFMSpectrum):
            real_time = self.metadata.get_item(REAL_TIME)
            if real_time is not None:
                factor = np.prod([a.size for a in axes])
                summed._metadata.set_item(REAL_TIME, float(real_time * factor))
            summed._set_dead_time(self._combined_dead_time(axes))
        return result

    def mean(self, axis: Any = None, out: Any = None, rechunk: Any = False) -> Any:
        """Average over axes, all navigation axes if none is given.

        Live and real time become those of the average spectrum: their means. See
        :meth:`hyperspy.api.signals.BaseSignal.mean` for the parameters.
        """
        result = super().mean(axis=axis, out=out, rechunk=rechunk)
        average = result if out is None else out
        axes = self._navigation_axes_of(axis)
        if axes and isinstance(average, EDSXFMSpectrum):
            average._set_dead_time(self._combined_dead_time(axes))
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
        result = super().rebin(
            new_shape=new_shape, scale=scale, crop=crop, dtype=dtype, out=out
        )
        dead_time = self._dead_time()
        if dead_time is not None:
            axes = self.axes_manager.navigation_axes
            by = [float(factors[axis.index_in_array]) for axis in axes]
            rebinned = result if out is None else out
            rebinned._set_dead_time(rebin(dead_time, by, crop))
        return result

    def unfold_navigation_space(self) -> bool:
        """Unfold the navigation axes; the dead times come back with :meth:`fold`."""
        folded = self._dead_time()
        unfolded = super().unfold_navigation_space()
        if unfolded:
            self._folded_dead_time = folded
        return unfolded

    def fold(self) -> None:
        """Fold the signal back after it was unfolded, the dead times too."""
        super().fold()
        folded = self.__dict__.pop("_folded_dead_time", None)
        if folded is not None and self._dead_time() is None:
            self._metadata.set_item(DEAD_TIME, folded)

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
        return self._drop_if_other_axes(
            super().transpose(signal_axes, navigation_axes, optimize)
        )

    def swap_axes(self, axis1: Any, axis2: Any, optimize: bool = False) -> Any:
        """Swap two axes; dead times follow if the same axes navigate.

        See :meth:`hyperspy.api.signals.BaseSignal.swap_axes`.
        """
        return self._drop_if_other_axes(super().swap_axes(axis1, axis2, optimize))

    def rollaxis(self, axis: Any, to_axis: Any, optimize: bool = False) -> Any:
        """Roll an axis; dead times follow if the same axes navigate.

        See :meth:`hyperspy.api.signals.BaseSignal.rollaxis`.
        """
        return self._drop_if_other_axes(super().rollaxis(axis, to_axis, optimize))

    def _drop_if_other_axes(self, result: BaseSignal) -> BaseSignal:
        """Drop the dead times of a result that is navigated along other axes."""
        ours, theirs = (
            {axis.name for axis in signal.axes_manager.navigation_axes}
            for signal in (self, result)
        )
        if ours != theirs:
            drop_dead_time(result._metadata)
        return result

    def _navigation_axes_of(self, axis: Any) -> tuple:
        """Return those of the given axes that navigate."""
        if axis is None:
            return tuple(self.axes_manager.navigation_axes)
        axes = self.axes_manager[axis]
        axes = axes if isinstance(axes, tuple) else (axes,)
        return tuple(a for a in axes if a.navigate)

    def _combined_dead_time(self, axes: tuple) -> BaseSignal | None:
        """Return the dead times of a sum over navigation axes."""
        dead_time = self._dead_time()
        if dead_time is None:
            return None
        # The dead times of detectors stay apart when their spectra are added.
        ours = self.axes_manager.navigation_axes
        return combine(
            dead_time, [ours.index(a) for a in axes if a.name != DETECTOR_AXIS]
        )

    def _apply_function_on_data_and_remove_axis(
        self, function: Any, axes: Any, out: Any = None, **kwargs: Any
    ) -> Any:
        """Sum over all navigation axes, or over the energy, with a kernel."""
        if function is np.sum and out is None:
            reduced = self.axes_manager[axes]
            reduced = reduced if isinstance(reduced, tuple) else (reduced,)
            total = self._sum_with_kernel({axis.index_in_array for axis in reduced})
            if total is not None:
                result = self._deepcopy_with_new_data(total)
                result._remove_axis([axis.index_in_axes_manager for axis in reduced])
                return result
        return super()._apply_function_on_data_and_remove_axis(
            function, axes, out=out, **kwargs
        )

    def _sum_with_kernel(self, axes: set[int]) -> Any:
        last = self.data.ndim - 1
        signal_axes = [axis.index_in_array for axis in self.axes_manager.signal_axes]
        if signal_axes != [last] or not can_sum(self.data):
            return None
        if axes == {last}:
            return sum_map(self.data)
        return sum_spectrum(self.data) if axes == set(range(last)) else None


class LazyEDSXFMSpectrum(EDSXFMSpectrum, LazyEDSSEMSpectrum):
    """Lazy :class:`EDSXFMSpectrum`: the spectra are read when they are needed."""
