"""What the signals can do with their dead times."""

from typing import Any

import dask.array as da
import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.dead_time import summarise_dead_time
from rsciio_xfm.analysis.fill_dead_time import fill_dead_time
from rsciio_xfm.core.dead_time import (
    SATURATION,
    combine_dead_time,
    is_recorded,
    live_time,
)
from rsciio_xfm.core.eds import DETECTOR_AXIS, INSTRUMENT, PER_KEV, REAL_TIME, XRF
from rsciio_xfm.core.sums import can_sum, sum_map
from rsciio_xfm.core.to_dask import from_source, source_of
from rsciio_xfm.core.warning import warn
from rsciio_xfm.signals import plots, times
from rsciio_xfm.signals.carrying import CarriesDeadTime
from rsciio_xfm.signals.checks import check_axes, progress, steps_of
from rsciio_xfm.signals.times import Times, give, live_of, times_of

FILL = f"{XRF}.dead_time_fill"


class HasDeadTime(CarriesDeadTime):
    """EDS spectra whose dead times can be looked at, filled in and corrected for."""

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
        >>> s = hs.load("map.GeoPIXE", lazy=True)
        >>> s.get_dead_time().mean("detector").T.plot()
        """
        return times.map_of_dead_times(self, self._require_times())

    def set_dead_time(self, dead_time: Any) -> None:
        """Set the dead times, and the live time that they give.

        Live time = real time x (1 - dead time / 100) for each spectrum; of spectra that are
        sums of detectors, the mean of the detectors' live fractions. Sums, regions, pixels and
        what is saved have live times by these dead times from then on.

        Parameters
        ----------
        dead_time
            Percent, 0 to 100, NaN where nothing was measured. A number: of all spectra, and of
            each of their detectors. An array of the shape of the map (rows first), or, if the
            spectra are sums of detectors, with an axis of detectors before these. A signal
            with the navigation axes of the spectra, as :meth:`get_dead_time` returns it.

        Raises
        ------
        ValueError
            They are no numbers within 0 and 100 or NaN, or of another shape.

        See Also
        --------
        fill_dead_time : dead times for those that were not recorded

        Notes
        -----
        Where the real time of the spectra is not known the live time stays as it is.

        Examples
        --------
        >>> s.set_dead_time(33.0)
        >>> dead_time = s.get_dead_time()
        >>> dead_time.data[dead_time.data > 90] = 90
        >>> s.set_dead_time(dead_time)
        """
        own = times_of(self)
        dead, detectors = times.read_dead_time(self, dead_time, own)
        give(self, times.with_dead_time(own, dead, detectors))

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
        own = self._require_times()
        if own.real is None:
            raise ValueError(
                f"The real time of the spectra is not known; set metadata.{REAL_TIME} "
                "(s, all summed detectors together)."
            )
        result = times.map_of_spectra(
            self, live_of(own, own.real), "Live time", "Live time (s)"
        )
        if not self._lazy:
            return result
        # As an array in memory it would make HyperSpy compute a whole lazy map.
        chunks = getattr(self.data, "chunks", None)
        same_axes = result.data.shape == self.data.shape[:-1]
        return result.as_lazy(chunks=chunks[:-1] if chunks and same_axes else None)

    def fill_dead_time(
        self,
        model: str = "fit",
        value: float | None = None,
        coefficients: Any = "cubic",
        show_progressbar: bool | None = None,
    ) -> BaseSignal:
        """Fill in the dead times that were not recorded.

        Parameters
        ----------
        model
            ``"fit"``: learn, for each detector, from the spectra whose dead time is known.
            ``"constant"``: a value. ``"polynomial"``: of the counts per ms of dwell.
        value
            The constant, percent.
        coefficients
            Of the polynomial, for percent, that of power 0 first; or ``"cubic"`` or
            ``"linear"``, which were published for detectors with a time constant of 0.5 us.
        show_progressbar
            Of lazy signals; None is HyperSpy's preference, on a terminal.

        Returns
        -------
        EDSXFMSpectrum
            The same spectra, not copied, with a new dead-time map and the live time that it
            gives. ``metadata.Acquisition_instrument.XRF.dead_time_fill`` says for each
            detector which ``model`` was used, ``n_filled`` and ``n_known``; of a fit also the
            median absolute ``error``, in percent points, of spectra that were left out of it.

        Raises
        ------
        ValueError
            The signal carries no dead-time map, or the model or its value is none.

        Warns
        -----
        UserWarning
            Too few dead times are known for a fit: says what is used instead. Or the spectra
            are sums of detectors, in memory, so that the sum has to stand for each.

        See Also
        --------
        rsciio_xfm.analysis.fill_dead_time.fill_dead_time : what the models are
        rsciio_xfm.geopixe.fill_dead_time : the same for a file, without loading it

        Notes
        -----
        A dead time is missing if it is 0, NaN, or beyond 0 to 100 %. Where it is NaN and there
        are no counts, nothing was measured, and it stays NaN; so it does wherever the spectra
        are sums of detectors that cannot be read apart.

        Examples
        --------
        >>> filled = s.fill_dead_time()
        >>> filled.metadata.Acquisition_instrument.XRF.dead_time_fill
        ├── detector_0
        │   ├── error = 0...
        │   ├── model = fit
        │   ├── n_filled = 1613
        │   └── n_known = 13747
        ...
        """
        check_axes(self)
        own = self._require_times()
        axis = self._detector_axis(own)
        values = np.moveaxis(own.dead, axis or 0, 0)
        data = self._data_of(own)
        is_sum = own.detectors is not None and data is self.data and len(values) > 1
        if is_sum and model != "constant":
            warn(
                "The spectra are sums of detectors that cannot be read apart: the sum stands "
                "for each of them. Load the map lazily, or with sum_detectors=False."
            )
        real_time = own.real
        if real_time is not None and data is not self.data:
            real_time /= len(values)  # of one detector
        if data is self.data and axis:
            data = (
                da.moveaxis(data, axis, 0) if self._lazy else np.moveaxis(data, axis, 0)
            )
        with progress(self, show_progressbar):
            missing = ~is_recorded(values)
            if is_sum:  # nothing tells which of the detectors measured
                missing &= ~np.isnan(values)
            else:
                missing &= ~_not_measured(values, data)
            filled, report = fill_dead_time(
                data,
                values,
                missing,
                model,
                has_detectors=axis is not None,
                value=value,
                coefficients=coefficients,
                dwell_ms=None if real_time is None else 1000 * real_time,
                tube_channel=self._tube_channel(),
            )
        result = self._deepcopy_with_new_data(self.data)
        filled = np.ascontiguousarray(np.moveaxis(filled, 0, axis or 0))
        share = 1.0 if own.share is None else own.share
        give(result, times.made(own, filled, share, own.detectors))
        if result._metadata.has_item(FILL):
            del result._metadata.get_item(XRF).dead_time_fill
        for name, entry in zip(self._detector_names(own), report, strict=True):
            for key, item in entry.items():
                # HyperSpy does not show names that begin with an underscore.
                shown = f"_{key}" if isinstance(item, np.ndarray) else key
                node = name.lower().replace(" ", "_")
                result._metadata.set_item(f"{FILL}.{node}.{shown}", item)
        return result

    def apply_live_time_correction(self) -> BaseSignal:
        """Return the counts that a detector without dead time would have had.

        Returns
        -------
        EDSXFMSpectrum
            Counts / live fraction of each spectrum, float32, lazy if the signal is. It
            carries no dead times any more; its live time is its real time. NaN where there is
            no live time: where nothing was measured, or the dead time is 100 %.

        Raises
        ------
        ValueError
            The signal carries no dead-time map: there is none, or it was corrected before.

        Warns
        -----
        UserWarning
            Some dead times were not recorded, or leave no live time; says how many.

        Notes
        -----
        Live fraction = 1 - dead time / 100; of spectra that are the sum of detectors, the mean
        of theirs. Where the dead times of detectors differ much, load them apart
        (``sum_detectors=False``), correct, and then ``sum("detector")``.

        Examples
        --------
        >>> rate = s.fill_dead_time().apply_live_time_correction()
        """
        check_axes(self)
        own = self._require_times()
        n_unknown = np.count_nonzero(own.dead <= 0)
        if n_unknown:
            warn(
                f"{n_unknown} of {own.dead.size} dead times are not recorded (0 or less): "
                "these counts are taken as they are. Use fill_dead_time first."
            )
        live = live_time(own.dead, 1.0, None if own.detectors is None else 0)
        if own.share is not None:
            live[own.share == 0] = 1.0  # left out by a mask: there are no counts
        n_dead = np.count_nonzero(live == 0)
        if n_dead:
            warn(f"{n_dead} of {live.size} spectra have no live time: they become NaN.")
        with np.errstate(divide="ignore"):
            factor = (1 / live).astype(np.float32)
        factor[live == 0] = np.nan
        if isinstance(self.data, da.Array):
            factor = da.from_array(factor, chunks=self.data.chunks[:-1])
        corrected = self.data.astype(np.float32) * factor[..., np.newaxis]
        result = self._deepcopy_with_new_data(corrected)
        live = own.live if own.real is None else own.real
        give(result, Times(own.real, live, share=own.share))
        return result

    def get_dead_time_statistics(
        self, saturation: float = SATURATION
    ) -> dict[str, dict[str, int | float]]:
        """Return the statistics of the dead times of each detector.

        Parameters
        ----------
        saturation
            Percent from which a spectrum counts as saturated: from about 65 % on, detectors
            count fewer photons the more arrive.

        Returns
        -------
        dict
            For each detector (``"Detector 0"``) what
            :func:`rsciio_xfm.analysis.dead_time.summarise_dead_time` returns: ``n_spectra``,
            ``n_recorded``, ``mean``, ``median``, ``min``, percentiles, ``max``,
            ``n_saturated``.

        Raises
        ------
        ValueError
            The signal carries no dead-time map.

        Examples
        --------
        >>> s.get_dead_time_statistics()["Detector 0"]["median"]
        17.97...
        """
        return {
            name: summarise_dead_time(values, saturation)
            for name, values in self._dead_times().items()
        }

    def plot_dead_time(self) -> np.ndarray:
        """Draw the dead times of each detector as a map.

        Returns
        -------
        numpy.ndarray
            matplotlib's axes, one for each detector.

        Raises
        ------
        ValueError
            The signal carries no dead-time map, or is no map of x and y.

        Examples
        --------
        >>> axes = s.plot_dead_time()
        """
        dead_times, steps = self._dead_times(), steps_of(self)
        shape = next(iter(dead_times.values())).shape
        axes = plots.new_axes(len(dead_times), shape)
        for ax, (name, values) in zip(axes, dead_times.items(), strict=True):
            plots.draw_map(ax, values, steps, f"{name}: dead time", "%", vmin=0)
        return axes

    def plot_dead_time_histogram(self, ax: Any = None) -> Any:
        """Draw how often each dead time occurs, for each detector.

        Parameters
        ----------
        ax
            Where to; None makes a figure.

        Returns
        -------
        matplotlib.axes.Axes
            The axes.

        Raises
        ------
        ValueError
            The signal carries no dead-time map.

        Examples
        --------
        >>> ax = s.plot_dead_time_histogram()
        """
        found = self._dead_times()
        ax = plots.new_axes()[0] if ax is None else ax
        return plots.draw_histogram(ax, list(found.values()), list(found))

    def plot_dead_time_against_counts(
        self, ax: Any = None, show_progressbar: bool | None = None
    ) -> Any:
        """Draw the dead time of each spectrum against its counts, for each detector.

        Parameters
        ----------
        ax
            Where to; None makes a figure.
        show_progressbar
            Of lazy signals, whose counts are summed for this; None is HyperSpy's preference,
            on a terminal.

        Returns
        -------
        matplotlib.axes.Axes
            The axes. Where detectors were summed, and their spectra cannot be read apart, the
            mean of their dead times is drawn against the counts of both.

        Raises
        ------
        ValueError
            The signal carries no dead-time map.

        Examples
        --------
        >>> ax = s.plot_dead_time_against_counts()
        """
        check_axes(self)
        own = self._require_times()
        data = self._data_of(own)
        with progress(self, show_progressbar):
            counts = _counts_of(data)
        found, axis = self._dead_times(), self._detector_axis(own)
        if counts.ndim < own.dead.ndim:
            found = {"Sum": combine_dead_time(own.dead, axis=(0,))}
            axis = None
        counts = counts[np.newaxis] if axis is None else np.moveaxis(counts, axis, 0)
        ax = plots.new_axes()[0] if ax is None else ax
        return plots.draw_against_counts(ax, list(found.values()), counts, list(found))

    def plot_detector_difference(self) -> np.ndarray:
        """Draw how the dead times of the detectors differ, as a map.

        Returns
        -------
        numpy.ndarray
            matplotlib's axes. Of two detectors it is one: the first less the second. Of more
            it is each of them less the mean of all.

        Raises
        ------
        ValueError
            The signal has no dead times of several detectors, or is no map of x and y.

        Examples
        --------
        >>> axes = s.plot_detector_difference()
        """
        found, steps = self._dead_times(), steps_of(self)
        if len(found) == 1:
            raise ValueError(
                "The dead times are those of one detector, expected several to compare."
            )
        names, values = list(found), np.stack(list(found.values())).astype(float)
        if len(names) == 2:
            images = {f"{names[0]} - {names[1]}": values[0] - values[1]}
        else:
            mean = values.mean(axis=0)
            images = {f"{n} - mean": v - mean for n, v in zip(names, values, strict=True)}
        axes = plots.new_axes(len(images), values.shape[1:])
        for ax, (name, image) in zip(axes, images.items(), strict=True):
            limit = plots.difference_limit(image)
            options = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
            title = f"Dead time: {name}"
            plots.draw_map(ax, image, steps, title, "% points", **options)
        return axes

    def plot_filled_dead_time(self, ax: Any = None) -> Any:
        """Draw what a fit gives for spectra whose dead time is known, against it.

        Parameters
        ----------
        ax
            Where to; None makes a figure.

        Returns
        -------
        matplotlib.axes.Axes
            The axes. Each point is a spectrum that was left out of the fit that predicted it.

        Raises
        ------
        ValueError
            The dead times were not filled in by a fit, see :meth:`fill_dead_time`.

        Examples
        --------
        >>> ax = s.fill_dead_time().plot_filled_dead_time()
        """
        report = self.metadata.get_item(FILL)
        entries = {} if report is None else report.as_dictionary()
        fits = {n: e for n, e in entries.items() if "_predicted" in e}
        if not fits:
            raise ValueError(
                "No dead times of this signal were filled in by a fit: use fill_dead_time "
                "first, if any are missing."
            )
        ax = plots.new_axes()[0] if ax is None else ax
        return plots.draw_predicted(
            ax,
            [np.asarray(e["_measured"]) for e in fits.values()],
            [np.asarray(e["_predicted"]) for e in fits.values()],
            [name.replace("_", " ").capitalize() for name in fits],
        )

    def _require_times(self) -> Times:
        own = times_of(self)
        if own.dead is None:
            raise ValueError(
                "This signal carries no dead-time map: its file has none (EDAX's have one "
                "live time for all, in the metadata), it was lost in an operation that dead "
                "times cannot follow, or the counts are corrected already. Set dead times "
                "with set_dead_time."
            )
        return own

    def _detector_axis(self, own: Times) -> int | None:
        """Return which axis of the map's array are detectors, summed or not."""
        if own.detectors is not None:
            return 0
        names = [axis.name for axis in times.navigating(self)]
        is_map = DETECTOR_AXIS in names and len(names) > 1
        return names.index(DETECTOR_AXIS) if is_map else None

    def _detector_names(self, own: Times) -> list[str]:
        """Return the names of detectors, with the numbers that they have in the file."""
        index = self._detector_axis(own)
        if index is None:
            numbers = self.metadata.get_item(f"{XRF}.detectors")
            is_one = numbers is not None and len(numbers) == 1
            return [f"Detector {numbers[0] if is_one else 0}"]
        axes = times.map_of_dead_times(self, own).axes_manager._axes
        return [f"Detector {number:g}" for number in axes[index].axis]

    def _dead_times(self) -> dict[str, np.ndarray]:
        """Return the dead times of each detector, by its name."""
        own = self._require_times()
        values, axis = own.dead, self._detector_axis(own)
        values = values[np.newaxis] if axis is None else np.moveaxis(values, axis, 0)
        return dict(zip(self._detector_names(own), values, strict=True))

    def _data_of(self, own: Times) -> Any:
        """Return the spectra of each detector if they can be had, else those of the signal."""
        if own.detectors is not None:
            source = source_of(self.data)
            parts = None if source is None else source.by_detector()
            if parts is not None and parts.shape[0] == len(own.dead):
                return from_source(parts)
        return self.data

    def _tube_channel(self) -> int | None:
        """Return the first channel above the energy of the beam."""
        beam_energy = self.metadata.get_item(f"{INSTRUMENT}.beam_energy")
        energy = self.axes_manager.signal_axes[0]
        if beam_energy is None or energy.units not in PER_KEV:
            return None
        beam_energy = beam_energy * PER_KEV[energy.units]
        if not energy.is_uniform:
            return int(np.searchsorted(energy.axis, beam_energy, side="right"))
        return int((beam_energy - energy.offset) / energy.scale) + 1


def _not_measured(values: np.ndarray, data: Any) -> np.ndarray:
    """Tell where there is neither a dead time nor a count."""
    is_nan = np.isnan(values)
    if is_nan.any():
        is_nan &= _counts_of(data) == 0
    return is_nan


def _counts_of(data: Any) -> np.ndarray:
    return np.asarray(sum_map(data) if can_sum(data) else data.sum(axis=-1))
