"""The dead times of a signal's spectra: looked at, set, filled in, and corrected for."""

from typing import Any

import dask.array as da
import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis import fill_dead_time as models
from rsciio_xfm.analysis.dead_time import summarise_dead_time
from rsciio_xfm.core.dead_time import SATURATION, is_recorded, live_time
from rsciio_xfm.core.eds import DETECTOR_AXIS, INSTRUMENT, PER_KEV, REAL_TIME, XRF
from rsciio_xfm.core.progress import progress
from rsciio_xfm.core.sums import can_sum, sum_map
from rsciio_xfm.core.to_dask import from_source, source_of
from rsciio_xfm.core.warning import warn
from rsciio_xfm.signals import times
from rsciio_xfm.signals.checks import check_axes
from rsciio_xfm.signals.time_maps import map_of_dead_times, map_of_spectra, read_dead_time
from rsciio_xfm.signals.timekeeping import give, is_ours, times_of
from rsciio_xfm.signals.times import Times, live_of, navigating

FILL = f"{XRF}.dead_time_fill"


def get_dead_time(signal: BaseSignal) -> BaseSignal:
    """Return the dead time of each pixel and detector.

    Parameters
    ----------
    signal
        Spectra of the type EDS_XFM: those carry dead times.

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
    return map_of_dead_times(signal, require_times(signal)[0])


def set_dead_time(signal: BaseSignal, dead_time: Any) -> None:
    """Set the dead times, and the live time that they give.

    Live time = real time x (1 - dead time / 100) for each spectrum; of spectra that are
    sums of detectors, the mean of the detectors' live fractions. Sums, regions, pixels and
    what is saved have live times by these dead times from then on.

    Parameters
    ----------
    signal
        Spectra of the type EDS_XFM: those carry dead times.
    dead_time
        Percent, 0 to 100, NaN where nothing was measured. A number: of all spectra, and of
        each of their detectors. An array of the shape of the map (rows first), or, if the
        spectra are sums of detectors, with an axis of detectors before these. A signal
        with the navigation axes of the spectra, as :meth:`get_dead_time` returns it.

    Raises
    ------
    ValueError
        They are no numbers within 0 and 100 or NaN, or of another shape; or the signal is
        of another type.

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
    if not is_ours(signal):
        raise ValueError(
            f"The signal is {signal}, of the type {signal._signal_type!r}, expected EDS_XFM, "
            "which keeps dead times in line with its spectra: s.set_signal_type('EDS_XFM')."
        )
    own = times_of(signal)
    dead, detectors = read_dead_time(signal, dead_time, own)
    give(signal, times.with_dead_time(own, dead, detectors))


def get_live_time(signal: BaseSignal) -> BaseSignal:
    """Return the live time of each spectrum.

    Parameters
    ----------
    signal
        Spectra of the type EDS_XFM: those carry dead times.

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
    own, _ = require_times(signal)
    if own.real is None:
        raise ValueError(
            f"The real time of the spectra is not known; set metadata.{REAL_TIME} "
            "(s, all summed detectors together)."
        )
    result = map_of_spectra(signal, live_of(own, own.real), "Live time", "Live time (s)")
    if not signal._lazy:
        return result
    # As an array in memory it would make HyperSpy compute a whole lazy map.
    same_axes = result.data.shape == signal.data.shape[:-1]
    is_dask = isinstance(signal.data, da.Array)  # users put arrays in memory there
    return result.as_lazy(
        chunks=signal.data.chunks[:-1] if is_dask and same_axes else None
    )


def fill_dead_time(
    signal: BaseSignal,
    model: str = "fit",
    value: float | None = None,
    coefficients: Any = "cubic",
    show_progressbar: bool | None = None,
) -> BaseSignal:
    """Fill in the dead times that were not recorded.

    Parameters
    ----------
    signal
        Spectra of the type EDS_XFM: those carry dead times.
    model
        ``"fit"``: learn, for each detector, from the spectra whose dead time is known.
        ``"constant"``: a value. ``"polynomial"``: of the counts per ms of dwell.
    value
        The constant, percent.
    coefficients
        Of the polynomial, for percent, that of power 0 first; or ``"cubic"`` or
        ``"linear"``, which were published for detectors with a time constant of 0.5 us.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal or in a notebook.

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
    │   ├── n_filled = 1560
    │   └── n_known = 13800
    ...
    """
    check_axes(signal)
    own, dead = require_times(signal)
    axis = detector_axis(signal, own)
    values = np.moveaxis(dead, axis or 0, 0)
    data = data_of(signal, own)
    is_sum = own.detectors is not None and data is signal.data and len(values) > 1
    if is_sum and model != "constant":
        warn(
            "The spectra are sums of detectors that cannot be read apart: the sum stands "
            "for each of them. Load the map lazily, or with sum_detectors=False."
        )
    real_time = own.real
    if real_time is not None and data is not signal.data:
        real_time /= len(values)  # of one detector
    if data is signal.data and axis:
        data = (da if signal._lazy else np).moveaxis(data, axis, 0)
    with progress(show_progressbar, "filling in dead times"):
        filled, report = models.fill_dead_time(
            data,
            values,
            _missing(values, data, is_sum),
            model,
            has_detectors=axis is not None,
            value=value,
            coefficients=coefficients,
            dwell_ms=None if real_time is None else 1000 * real_time,
            tube_channel=_tube_channel(signal),
        )
    result = signal._deepcopy_with_new_data(signal.data)
    filled = np.ascontiguousarray(np.moveaxis(filled, 0, axis or 0))
    share = 1.0 if own.share is None else own.share
    give(result, times.made(own, filled, share, own.detectors))
    _put_report(result, dict(zip(_detector_names(signal, own), report, strict=True)))
    return result


def apply_live_time_correction(signal: BaseSignal) -> BaseSignal:
    """Return the counts that a detector without dead time would have had.

    Parameters
    ----------
    signal
        Spectra of the type EDS_XFM: those carry dead times.

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
    check_axes(signal)
    own, dead = require_times(signal)
    n_unknown = np.count_nonzero(dead <= 0)
    if n_unknown:
        warn(
            f"{n_unknown} of {dead.size} dead times are not recorded (0 or less): "
            "these counts are taken as they are. Use fill_dead_time first."
        )
    live = live_time(dead, 1.0, None if own.detectors is None else 0)
    if own.share is not None:
        live[own.share == 0] = 1.0  # left out by a mask: there are no counts
    n_dead = np.count_nonzero(live == 0)
    if n_dead:
        warn(f"{n_dead} of {live.size} spectra have no live time: they become NaN.")
    with np.errstate(divide="ignore"):
        factor = (1 / live).astype(np.float32)
    factor[live == 0] = np.nan
    if isinstance(signal.data, da.Array):
        factor = da.from_array(factor, chunks=signal.data.chunks[:-1])
    corrected = signal.data.astype(np.float32) * factor[..., np.newaxis]
    result = signal._deepcopy_with_new_data(corrected)
    seconds = own.live if own.real is None else own.real
    give(result, Times(own.real, seconds, share=own.share))
    return result


def get_dead_time_statistics(
    signal: BaseSignal, saturation: float = SATURATION
) -> dict[str, dict[str, int | float]]:
    """Return the statistics of the dead times of each detector.

    Parameters
    ----------
    signal
        Spectra of the type EDS_XFM: those carry dead times.
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
    17.95...
    """
    return {
        name: summarise_dead_time(values, saturation)
        for name, values in dead_times_of(signal).items()
    }


def require_times(signal: BaseSignal) -> tuple[Times, np.ndarray]:
    """Return the times of a signal, and its dead times; refuse one without these."""
    own = times_of(signal)
    if own.dead is None:
        raise ValueError(
            "This signal carries no dead-time map: its file has none (EDAX's have one "
            "live time for all, in the metadata), it was lost in an operation that dead "
            "times cannot follow, or the counts are corrected already. Set dead times "
            "with set_dead_time."
        )
    return own, own.dead


def detector_axis(signal: BaseSignal, own: Times) -> int | None:
    """Return which axis of the map's array are detectors, summed or not."""
    if own.detectors is not None:
        return 0
    names = [axis.name for axis in navigating(signal)]
    is_map = DETECTOR_AXIS in names and len(names) > 1
    return names.index(DETECTOR_AXIS) if is_map else None


def _detector_names(signal: BaseSignal, own: Times) -> list[str]:
    """Return the names of detectors, with the numbers that they have in the file."""
    index = detector_axis(signal, own)
    if index is None:
        numbers = signal.metadata.get_item(f"{XRF}.detectors")
        is_one = numbers is not None and len(numbers) == 1
        return [f"Detector {numbers[0] if is_one else 0}"]
    axes = map_of_dead_times(signal, own).axes_manager._axes
    return [f"Detector {number:g}" for number in axes[index].axis]


def dead_times_of(signal: BaseSignal) -> dict[str, np.ndarray]:
    """Return the dead times of each detector, by its name."""
    own, values = require_times(signal)
    axis = detector_axis(signal, own)
    values = values[np.newaxis] if axis is None else np.moveaxis(values, axis, 0)
    return dict(zip(_detector_names(signal, own), values, strict=True))


def data_of(signal: BaseSignal, own: Times) -> Any:
    """Return the spectra of each detector if they can be had, else those of the signal."""
    if own.detectors is not None and own.dead is not None:
        source = source_of(signal.data)
        parts = None if source is None else source.by_detector()
        if parts is not None and parts.shape[0] == len(own.dead):
            return from_source(parts)
    return signal.data


def _tube_channel(signal: BaseSignal) -> int | None:
    """Return the first channel above the energy of the beam."""
    beam_energy = signal.metadata.get_item(f"{INSTRUMENT}.beam_energy")
    energy = signal.axes_manager.signal_axes[0]
    if beam_energy is None or energy.units not in PER_KEV:
        return None
    beam_energy = beam_energy * PER_KEV[energy.units]
    if not energy.is_uniform:
        return int(np.searchsorted(energy.axis, beam_energy, side="right"))
    return int((beam_energy - energy.offset) / energy.scale) + 1


def _missing(values: np.ndarray, data: Any, is_sum: bool) -> np.ndarray:
    """Tell which dead times were not recorded, though something was measured.

    Without a dead time and a count nothing was. In a sum of detectors nothing tells which of
    them measured, if a dead time is NaN.
    """
    missing, is_nan = ~is_recorded(values), np.isnan(values)
    if is_nan.any() and not is_sum:
        is_nan &= counts_of(data) == 0
    return missing & ~is_nan


def _put_report(signal: BaseSignal, report: dict[str, dict[str, Any]]) -> None:
    """Put into metadata how the dead times of each detector were filled in."""
    metadata = signal._metadata
    if metadata.has_item(FILL):
        del metadata.get_item(XRF).dead_time_fill
    for name, entry in report.items():
        node = f"{FILL}.{name.lower().replace(' ', '_')}"
        for key, item in entry.items():
            # HyperSpy does not show names that begin with an underscore.
            shown = f"_{key}" if isinstance(item, np.ndarray) else key
            metadata.set_item(f"{node}.{shown}", item)


def counts_of(data: Any) -> np.ndarray:
    """Return the counts of each spectrum."""
    return np.asarray(sum_map(data) if can_sum(data) else data.sum(axis=-1))
