"""The signals: exspy's EDS spectra that carry a dead-time map and sum fast.

What a method computes is in :mod:`rsciio_xfm.analysis`; here it is applied to a signal.
"""

from typing import Any

import numpy as np
from exspy.signals import LazyEDSSEMSpectrum
from exspy.utils.eds import take_off_angle
from hyperspy.signal import BaseSignal

from rsciio_xfm import _dead_time as maps
from rsciio_xfm._carrying import CarriesDeadTime
from rsciio_xfm._io import writers
from rsciio_xfm._io.metadata import (
    EDS_DETECTOR,
    INSTRUMENT,
    REAL_TIME,
    SIGNAL_TYPE,
    drop_dead_time,
)
from rsciio_xfm.analysis.deadtime import live_time
from rsciio_xfm.analysis.sums import can_sum, sum_map, sum_spectrum

__all__ = ["EDSXFMSpectrum", "LazyEDSXFMSpectrum"]


def __dir__() -> list[str]:
    return sorted(__all__)


class EDSXFMSpectrum(CarriesDeadTime):
    """X-ray spectra of a map, with the dead time of each pixel and detector.

    Every method of :class:`exspy.signals.EDSSEMSpectrum` works. Beyond these, the signal
    carries a dead-time map, ``metadata.Acquisition_instrument.SEM.Detector.EDS.dead_time``,
    that is cropped, summed, rebinned and transposed with the spectra. After any operation
    it either fits the spectra or is gone, and live and real time with it.
    """

    _signal_type = SIGNAL_TYPE

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
        maps.copy_axes(self, dead_time)
        return dead_time

    def get_live_time(self) -> BaseSignal:
        """Return the live time of each spectrum.

        Returns
        -------
        hyperspy.api.signals.BaseSignal
            Seconds, real time x (1 - dead time / 100), added over the detectors that were
            summed; zero where nothing was measured. Its navigation axes are those of the
            spectra, so that ``s / s.get_live_time()`` are counts per second of live time.
            Lazy if the spectra are.

        Raises
        ------
        ValueError
            The signal carries no dead-time map, or its real time is not known.

        Notes
        -----
        Live time = dwell x (1 - dead time / 100) for each pixel and detector.
        """
        dead_time = self.get_dead_time()
        real_time = self.metadata.get_item(REAL_TIME)
        if real_time is None:
            raise ValueError(
                f"The real time of the spectra is not known; set metadata.{REAL_TIME} "
                "(s, all summed detectors together)."
            )
        result, detector_axis = dead_time, None
        if maps.has_detectors(dead_time):
            detectors = dead_time.axes_manager.navigation_axes[-1]
            detector_axis = detectors.index_in_array
            result = dead_time.max(detectors.index_in_axes_manager)
        seconds = live_time(dead_time.data, real_time, detector_axis)
        result.data = np.atleast_1d(seconds)
        result.metadata.General.title = "Live time"
        result.metadata.Signal = {"quantity": "Live time (s)", "signal_type": ""}
        if not self._lazy:
            return result
        # As an array in memory it would make HyperSpy compute a whole lazy map.
        chunks = getattr(self.data, "chunks", None)
        same_axes = result.data.shape == self.data.shape[:-1]
        return result.as_lazy(chunks=chunks[:-1] if chunks and same_axes else None)

    def save(
        self,
        filename: Any = None,
        overwrite: bool | None = None,
        extension: str | None = None,
        file_format: str | None = None,
        **kwds: Any,
    ) -> None:
        """Save the signal; see :meth:`hyperspy.api.signals.BaseSignal.save`.

        Some of RosettaSciIO's writers know exspy's signal types only: they are given a copy
        in a form that they know.
        """
        prepare = writers.find_preparation(self, filename, extension, file_format)
        signal = self
        if prepare is not None:
            signal = self._deepcopy_with_new_data(self.data)
            drop_dead_time(signal._metadata)
            prepare(signal)
            signal.tmp_parameters = self.tmp_parameters  # where it was saved
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

    # Sums by kernels.

    def _apply_function_on_data_and_remove_axis(
        self, function: Any, axes: Any, out: Any = None, **kwargs: Any
    ) -> Any:
        """Sum over all navigation axes, or over the energy, with a kernel."""
        if function is np.sum:
            reduced = self.axes_manager[axes]
            reduced = reduced if np.iterable(reduced) else (reduced,)
            total = self._sum_with_kernel({axis.index_in_array for axis in reduced})
            if total is not None and out is None:
                result = self._deepcopy_with_new_data(total)
                result._remove_axis([axis.index_in_axes_manager for axis in reduced])
                return result
            if total is not None and out.data.shape == total.shape:
                if out._lazy:
                    out.data = total
                else:
                    out.data[...] = total
                out.events.data_changed.trigger(obj=out)
                return None
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
