"""The signals: exspy's EDS spectra that carry a dead-time map and sum fast.

What a method computes is in :mod:`rsciio_xfm.analysis`; here it is applied to a signal.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from dask.diagnostics import ProgressBar
from exspy.signals import LazyEDSSEMSpectrum
from exspy.utils.eds import take_off_angle
from hyperspy.api import preferences
from hyperspy.signal import BaseSignal
from hyperspy.signals import Signal1D, Signal2D

from rsciio_xfm import _dead_time as maps
from rsciio_xfm._carrying import CarriesDeadTime
from rsciio_xfm._io import writers
from rsciio_xfm._io.metadata import (
    EDS_DETECTOR,
    INSTRUMENT,
    REAL_TIME,
    SIGNAL_TYPE,
    drop_dead_time,
    drop_times,
)
from rsciio_xfm._selections import is_line, resolve_regions, resolve_windows
from rsciio_xfm.analysis.deadtime import live_time
from rsciio_xfm.analysis.maps import region_spectra, summarise, window_images
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
                "This signal carries no dead-time map: its file has none (EDAX's have one "
                "live time for all, in the metadata), or it was lost in an operation that "
                "dead times cannot follow."
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

    def get_window_images(
        self,
        windows: Any = None,
        integration_windows: float = 2.0,
        show_progressbar: bool | None = None,
    ) -> dict[str, BaseSignal]:
        """Sum the counts in energy windows for each pixel, all in one pass over the file.

        Parameters
        ----------
        windows
            X-ray lines (``"Fe_Ka"``), elements (``"Fe"``: the line that exspy chooses), pairs
            ``(start, stop)`` as ``isig`` takes them (numbers with a point are energies,
            whole numbers channels), in a list; or in a dictionary that gives them names.
            None: the lines, or else elements, of the metadata.
        integration_windows
            Width of the window of a line, in multiples of its full width at half maximum.
        show_progressbar
            Of lazy signals; None is HyperSpy's preference.

        Returns
        -------
        dict of str to hyperspy.api.signals.BaseSignal
            An image for each window, counts as uint32 or uint64, in memory, with x and y as
            signal axes: it can be plotted as it is, saved as TIFF with its counts, or with
            ``save("image.png", scalebar=True, output_size=800)`` as a picture.

        Raises
        ------
        ValueError
            A window is no line, element or pair, or is not within the spectra.

        Examples
        --------
        >>> s = hs.load("map.spd", lazy=True)  # doctest: +SKIP
        >>> images = s.get_window_images(["Fe_Ka", "Ca", (6.3, 6.5)])  # doctest: +SKIP
        >>> images["Fe_Ka"].plot()  # doctest: +SKIP
        """
        self._check_axes()
        resolved = resolve_windows(self, windows, integration_windows)
        with self._progress(show_progressbar):
            images = window_images(self.data, list(resolved.values()))
        return {
            name: self._make_image(image, name)
            for name, image in zip(resolved, images, strict=True)
        }

    def get_region_spectra(
        self, regions: Any, show_progressbar: bool | None = None
    ) -> dict[str, BaseSignal]:
        """Sum the spectra of regions, all in one pass over the file.

        Parameters
        ----------
        regions
            Boolean maps (arrays, rows first, or signals), lists of pixels ``(x, y)``, or
            HyperSpy's ROIs; in a list, or in a dictionary that gives them names. They may
            overlap.
        show_progressbar
            Of lazy signals; None is HyperSpy's preference.

        Returns
        -------
        dict of str to EDSXFMSpectrum
            The sum of each region, in memory, with its own live and dead time. Without
            names they are ``"0"``, ``"1"``, ...

        Raises
        ------
        ValueError
            A region is none of these, or has no pixel.
        IndexError
            A pixel is not in the map.

        Examples
        --------
        >>> images = s.get_window_images(["Fe_Ka"])  # doctest: +SKIP
        >>> iron = images["Fe_Ka"].data > 100  # doctest: +SKIP
        >>> spectra = s.get_region_spectra(
        ...     {"iron": iron, "rest": ~iron, "spot": [(10, 20), (11, 20)]}
        ... )  # doctest: +SKIP
        >>> spectra["iron"].save("iron.msa")  # doctest: +SKIP
        """
        self._check_axes()
        masks = resolve_regions(self, regions)
        with self._progress(show_progressbar):
            totals = region_spectra(self.data, list(masks.values()))
        spectra = {}
        for (name, mask), total in zip(masks.items(), totals, strict=True):
            spectra[name] = self._make_spectrum(total, name)
            dead_time = self._dead_time()
            if dead_time is not None:
                dead_time = maps.combine_unmasked(dead_time, mask)
            self._carry(spectra[name], dead_time, float(np.count_nonzero(mask)))
        return spectra

    def get_summary(self, show_progressbar: bool | None = None) -> dict[str, BaseSignal]:
        """Return sum, mean and maximum of all spectra and the map of all counts.

        They are made in one pass over the file.

        Parameters
        ----------
        show_progressbar
            Of lazy signals; None is HyperSpy's preference.

        Returns
        -------
        dict of str to hyperspy.api.signals.BaseSignal
            ``"sum"``, ``"mean"`` and ``"max"``, spectra; the first two with their live
            times. ``"counts"``, an image. In memory.

        Examples
        --------
        >>> summary = s.get_summary()  # doctest: +SKIP
        >>> summary["max"].plot()  # doctest: +SKIP
        """
        self._check_axes()
        with self._progress(show_progressbar):
            found = summarise(self.data)
        axes = self._navigation_axes_of(None)
        dead_time = self._combined_dead_time(axes)
        n_spectra = int(np.prod([axis.size for axis in axes]))
        data = {
            "sum": found["sum"],
            "mean": found["sum"] / n_spectra,
            "max": found["max"],
        }
        result = {name: self._make_spectrum(d, name) for name, d in data.items()}
        self._carry(result["sum"], dead_time, float(n_spectra))
        self._carry(result["mean"], dead_time)
        # No time is that of a spectrum whose channels come from different pixels.
        drop_dead_time(result["max"]._metadata)
        drop_times(result["max"]._metadata)
        return result | {"counts": self._make_image(found["counts"], "counts")}

    def _check_axes(self) -> None:
        last = self.data.ndim - 1
        in_array = [axis.index_in_array for axis in self.axes_manager.signal_axes]
        if in_array != [last] or not self.axes_manager.navigation_dimension:
            raise ValueError(
                f"The signal is {self}, expected spectra with axes to navigate, and their "
                "channels last in the array."
            )

    def _progress(self, show_progressbar: bool | None) -> AbstractContextManager:
        if show_progressbar is None:
            show_progressbar = preferences.General.show_progressbar
        return ProgressBar() if show_progressbar and self._lazy else nullcontext()

    def _make_spectrum(self, data: np.ndarray, name: str) -> BaseSignal:
        result = self._deepcopy_with_new_data(data)
        result._lazy = False
        navigation_axes = self.axes_manager.navigation_axes
        result._remove_axis([axis.index_in_axes_manager for axis in navigation_axes])
        result._assign_subclass()
        result._metadata.General.title = f"{self._title()}{name}"
        return result

    def _make_image(self, data: np.ndarray, name: str) -> BaseSignal:
        axes = [axis.get_axis_dictionary() for axis in self.axes_manager._axes]
        for axis in axes[: data.ndim][-2:]:
            axis["navigate"] = False
        metadata = {
            "General": {"title": f"{self._title()}{name}"},
            "Signal": {"quantity": "X-rays (Counts)"},
        }
        if is_line(name):
            element, _ = name.split("_", 1)
            metadata["Sample"] = {"elements": [element], "xray_lines": [name]}
        kind = Signal1D if data.ndim == 1 else Signal2D
        return kind(data, axes=axes[: data.ndim], metadata=metadata)

    def _title(self) -> str:
        title = self.metadata.get_item("General.title", "")
        return f"{title}: " if title else ""

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
        n_saved = writers.count_operations(signal)
        super(EDSXFMSpectrum, signal).save(
            filename, overwrite, extension, file_format, **kwds
        )
        # Unless the user did not want it overwritten:
        if prepare is writers.prepare_msa and writers.count_operations(signal) > n_saved:
            writers.write_counts_of_msa(signal, **kwds)

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
