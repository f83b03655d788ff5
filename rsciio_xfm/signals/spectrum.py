"""The signals: exspy's EDS spectra that carry a dead-time map and sum fast.

What a method computes is in :mod:`rsciio_xfm.analysis`; here it is applied to a signal.
"""

from typing import Any

import numpy as np
from cycler import cycler
from exspy.signals import LazyEDSSEMSpectrum
from exspy.utils.eds import take_off_angle
from matplotlib import rc_context, rcParams
from matplotlib.colors import to_hex

from rsciio_xfm.core.eds import EDS_DETECTOR, INSTRUMENT, SIGNAL_TYPE
from rsciio_xfm.core.sums import can_sum, sum_map, sum_spectrum
from rsciio_xfm.core.wide import is_wide, sum_exactly
from rsciio_xfm.signals import classify as _classify
from rsciio_xfm.signals import saving
from rsciio_xfm.signals.dead_time import HasDeadTime
from rsciio_xfm.signals.maps import MakesMaps
from rsciio_xfm.signals.times import Times, give, times_of

__all__ = ["EDSXFMSpectrum", "LazyEDSXFMSpectrum"]


def __dir__() -> list[str]:
    return sorted(__all__)


class EDSXFMSpectrum(HasDeadTime, MakesMaps):
    """X-ray spectra of a map, with the dead time of each pixel and detector.

    Every method of :class:`exspy.signals.EDSSEMSpectrum` works. Beyond these, the signal
    carries a dead-time map, ``metadata.Acquisition_instrument.SEM.Detector.EDS.dead_time``,
    that is cropped, summed, rebinned and transposed with the spectra. After any operation
    it either fits the spectra or is gone, and live and real time with it.
    """

    _signal_type = SIGNAL_TYPE

    # Functions of signals of any type, here as methods.
    pca = _classify.pca
    umap = _classify.umap
    kmeans = _classify.kmeans
    classify = _classify.classify
    estimate_n_classes = _classify.estimate_n_classes

    def save(
        self,
        filename: Any = None,
        overwrite: bool | None = None,
        extension: str | None = None,
        file_format: str | None = None,
        replace_original: bool = False,
        **kwds: Any,
    ) -> None:
        """Save the signal; see :meth:`hyperspy.api.signals.BaseSignal.save`.

        Parameters
        ----------
        filename, overwrite, extension, file_format
            As of HyperSpy's method.
        replace_original
            Replace a file that was not written here, such as the instrument's own, too. That
            is refused otherwise, even with ``overwrite=True``: it could hold more than what
            is saved.
        **kwds
            Of the format's writer.

        Raises
        ------
        ValueError
            The file that is there was not written here; the message says under which name to
            save.
        OSError
            The file cannot be written; what was there is as it was.

        Notes
        -----
        Whatever the format, a file is written under a temporary name beside and moved in place
        when it is whole. Some of RosettaSciIO's writers know exspy's signal types only: they
        are given a copy in a form that they know.

        Examples
        --------
        >>> s = hs.load("map.GeoPIXE", lazy=True)
        >>> s.inav[20:40, 10:30].save("part.hspy")
        """
        signal = self
        path = saving.find_path(self, filename, extension, file_format)
        if path is not None and saving.needs_known_type(path, file_format):
            signal, own = self._deepcopy_with_new_data(self.data), times_of(self)
            give(signal, Times(own.real, own.live))  # they take no maps of times
            signal._metadata.Signal.signal_type = "EDS_SEM"
            signal.tmp_parameters = self.tmp_parameters  # where it was saved
        saving.save(
            signal,
            filename,
            overwrite,
            extension,
            file_format,
            replace_original,
            super(EDSXFMSpectrum, signal).save,
            **kwds,
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

    def _plot_xray_lines(self, *args: Any, **kwargs: Any) -> None:
        # exspy sorts the colours of the cycle as text; matplotlib 3.11 has them as numbers.
        cycle = rcParams["axes.prop_cycle"].by_key().get("color", ["C0"])
        with rc_context({"axes.prop_cycle": cycler(color=[to_hex(c) for c in cycle])}):
            super()._plot_xray_lines(*args, **kwargs)

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
        """Return the sum over some of the array's axes, or None if it is left to HyperSpy."""
        last = self.data.ndim - 1
        signal_axes = [axis.index_in_array for axis in self.axes_manager.signal_axes]
        if signal_axes == [last] and can_sum(self.data):
            if axes == {last}:
                return sum_map(self.data)
            if axes == set(range(last)):
                return sum_spectrum(self.data)
        is_plain = type(getattr(self.data, "_meta", self.data)) is np.ndarray
        if axes and is_plain and is_wide(self.data.dtype):
            return np.atleast_1d(sum_exactly(self.data, tuple(sorted(axes))))
        return None


class LazyEDSXFMSpectrum(EDSXFMSpectrum, LazyEDSSEMSpectrum):
    """Lazy :class:`EDSXFMSpectrum`: the spectra are read when they are needed."""

    def rechunk(self, *args: Any, **kwargs: Any) -> Any:
        """Rechunk; see :meth:`hyperspy.api.signals.BaseSignal.rechunk`."""
        return self._keeping(super().rechunk(*args, **kwargs))
