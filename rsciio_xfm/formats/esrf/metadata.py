"""Metadata of maps: dead times, times, energies; values of headers as HyperSpy takes them."""

import math
from collections.abc import Callable, Container, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.analysis.dead_time import (
    dead_time_of_rates,
    dead_time_of_times,
    mean_live_fraction,
)
from rsciio_xfm.core.eds import (
    SIGNAL_TYPE,
    build_axis,
    build_dead_time,
    keep_dead_time_with_its_class,
    order_axes,
)
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.esrf import layout as names

_STRAIGHT = 0.5  # channels by which energies may bend without a warning
_MOST_KEV = 500.0  # of the last channel: more is in eV
_MOST_TIME = 1e9  # s
_UNEVEN = 0.1  # by which times may differ from their mean without a warning
_UNEVEN_LIVE = 0.2  # where they are all there is: dead times vary
_MOST_BEAM_KEV = 1000.0
_MOST_KEPT = 4096  # numbers of an array in original_metadata
_DATES = ("%a %b %d %H:%M:%S %Y", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%d-%b-%Y")

Find = Callable[[tuple[str, ...]], np.ndarray | None]


def find_dead_time(find: Find) -> tuple[np.ndarray | None, str]:
    """Compute dead times from what a detector's counters say.

    Parameters
    ----------
    find
        Returns the values of the first counter of some names, None if there is none.

    Returns
    -------
    dead_time : numpy.ndarray or None
        Percent, in the shape of the counters; NaN where nothing tells.
    source : str
        From what, in words.

    Notes
    -----
    Live time / elapsed time; where the live time is missing, OCR / ICR; where that is, the
    fraction that the electronics give. The live time of the trigger (the fast channel) is
    none of the spectrum.
    """
    elapsed, live = find(names.ELAPSED), find(names.LIVE)
    input_rate = find(names.INPUT_RATE)
    output_rate = find(names.OUTPUT_RATE)
    if input_rate is None:
        input_rate = _ratio(find(names.INPUT_EVENTS), find(names.TRIGGER_LIVE))
    if output_rate is None:
        output_rate = _ratio(find(names.OUTPUT_EVENTS), elapsed)
    fraction = find(names.DEAD_FRACTION)
    ways = []
    if live is not None and elapsed is not None:
        ways.append(("live time / elapsed time", dead_time_of_times(live, elapsed)))
    if input_rate is not None and output_rate is not None:
        ways.append(("OCR / ICR", dead_time_of_rates(input_rate, output_rate)))
    if fraction is not None:
        is_fraction = (fraction > 0) & (fraction <= 1)  # 0 where there are no rates
        ways.append(
            ("fractional dead time", np.where(is_fraction, 100.0 * fraction, np.nan))
        )
    found, used = None, []
    for source, values in ways:
        if found is None:
            found, is_new = values, ~np.isnan(values)
        else:
            is_new = np.isnan(found) & ~np.isnan(values)
            found = np.where(is_new, values, found)
        if is_new.any():
            used.append(source)
    return found, ", else ".join(used)


def _ratio(counts: np.ndarray | None, times: np.ndarray | None) -> np.ndarray | None:
    if counts is None or times is None:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(times > 0, counts / np.where(times > 0, times, 1), np.nan)


def mean_time(values: np.ndarray | None) -> float | None:
    """Return the mean of times in s that were measured, None if there are none."""
    if values is None:
        return None
    known = values[np.isfinite(values) & (values > 0) & (values < _MOST_TIME)]
    return float(known.mean()) if known.size else None


def warn_of_uneven(
    where: str,
    times: np.ndarray | None,
    is_live: bool = False,
    kept: str = 'counters: select_type="counters"',
) -> None:
    """Say that spectra took different times, of which the metadata hold the mean."""
    mean = mean_time(times)
    if mean is None:
        return
    known = times[np.isfinite(times) & (times > 0)]
    off = float(np.abs(known - mean).max() / mean)
    kind, most = ("live", _UNEVEN_LIVE) if is_live else ("elapsed", _UNEVEN)
    if off > most:
        warn(
            f"{where}: the {kind} times of points differ from their mean, {mean:.4g} s, by "
            f"up to {off:.0%}: real and live times are computed with the mean. Those of each "
            f"point are {kept}."
        )


def clean_units(units: str | None) -> str | None:
    """Return units as they are written here, None for no text."""
    return "µm" if units in ("um", "μm", "micron", "microns") else units or None


def energy_axis(
    where: str,
    n_channels: int,
    calibration: Iterable[float] | None,
    first: float = 0.0,
    step: float = 1.0,
) -> dict[str, Any]:
    """Make the energy axis from a calibration.

    Parameters
    ----------
    where
        Named in warnings.
    n_channels
        Size.
    calibration
        a, b, c of E = a + b channel + c channel squared, in keV (in eV where the last channel
        would be above 500 keV); None if there is none.
    first, step
        Number of the first channel that is stored, and of channels from one to the next.

    Returns
    -------
    dict
        See :func:`rsciio_xfm.core.eds.build_axis`; uncalibrated for 0, 1, 0: the numbers
        of the channels, without units.

    Warns
    -----
    UserWarning
        The energies bend by more than half a channel: the axis is the straight line nearest
        to them.
    """
    axis = build_axis("Energy", n_channels, None, None, navigate=False)
    axis |= {"offset": float(first), "scale": float(step)}
    if calibration is None:
        return axis
    terms = [*(float(term) for term in calibration), 0.0, 0.0, 0.0][:3]
    a, b, c = terms
    channels = first + step * np.arange(n_channels)
    energies = a + b * channels + c * channels**2
    is_default = terms == [0.0, 1.0, 0.0]
    ascends = n_channels < 2 or (np.diff(energies) > 0).all()
    if is_default or not np.isfinite(energies).all() or not ascends or not b:
        if not is_default and any(terms):
            warn(f"{where}: the calibration {terms} does not ascend: it is not used.")
        return axis
    scale, offset = step * b, a + b * first
    if c:
        scale, offset = np.polyfit(np.arange(n_channels), energies, 1)
        straight = offset + scale * np.arange(n_channels)
        bent = np.abs(straight - energies).max() / scale
        if bent > _STRAIGHT:
            warn(
                f"{where}: the energies bend by {bent:.2g} channels (calibration {terms}), "
                "expected a uniform axis: the nearest straight line is used."
            )
    unit = 1e-3 if energies[-1] > _MOST_KEV else 1.0
    return axis | {
        "offset": float(offset) * unit,
        "scale": float(scale) * unit,
        "units": "keV",
    }


def line_of(energies: np.ndarray) -> tuple[float, ...] | None:
    """Return a calibration from the energy of each channel, None if it is no energy axis."""
    energies = np.asarray(energies, dtype=float).ravel()
    if energies.size < 2 or not np.isfinite(energies).all():
        return None
    steps = np.diff(energies)
    if (steps <= 0).any() or np.array_equal(energies, np.arange(energies.size)):
        return None
    if np.ptp(steps) > 1e-6 * steps.mean():
        c, b, a = np.polyfit(np.arange(energies.size), energies, 2)
    else:
        return float(energies[0]), float((energies[-1] - energies[0]) / steps.size), 0.0
    return float(a), float(b), float(c)


def build_map(
    path: Path,
    title: str,
    axes: list[dict[str, Any]],
    dead_time: np.ndarray | None = None,
    real_time: float | None = None,
    n_detectors: int = 0,
    instrument: dict[str, Any] | None = None,
    beam_energy: float | None = None,
    date: datetime | None = None,
    live_time: float | None = None,
) -> dict[str, Any]:
    """Describe a map of X-ray spectra, without its data.

    Parameters
    ----------
    path, title
        Of the file and the map.
    axes
        Slowest first, energy last.
    dead_time
        Percent, with the navigation axes; before them the detectors, if they are summed.
    real_time
        Of one spectrum of one detector in s, if it is known.
    n_detectors
        How many were summed; 0 if the spectra are no sums.
    instrument
        Kept as ``Acquisition_instrument.XRF``.
    beam_energy
        keV.
    date
        When it was measured.
    live_time
        Of one spectrum of one detector in s, where dead times do not give it.

    Returns
    -------
    dict
        ``axes``, ``metadata``, ``post_process``.
    """
    eds: dict[str, Any] = {}
    if dead_time is not None and len(axes) > 1 and not np.isnan(dead_time).all():
        own = axes[:-1]
        if n_detectors > 1:
            own = [build_axis("detector", n_detectors, None, None), *own]
        elif dead_time.ndim > len(own):
            dead_time = dead_time[0]
        eds["_sig_dead_time"] = build_dead_time(
            np.ascontiguousarray(dead_time), [dict(axis) for axis in own], n_detectors > 1
        )
    if real_time is not None:
        eds["real_time"] = real_time * max(1, n_detectors)
        if "_sig_dead_time" in eds:
            # What was not measured counts as dead, as in all that is made of the map.
            eds["live_time"] = eds["real_time"] * mean_live_fraction(dead_time)
    if live_time is not None and "live_time" not in eds:
        eds["live_time"] = live_time * max(1, n_detectors)
    sem: dict[str, Any] = {"Detector": {"EDS": eds}} if eds else {}
    if beam_energy is not None and 0 < beam_energy < _MOST_BEAM_KEV:
        sem["beam_energy"] = beam_energy
    nodes = {"SEM": sem, "XRF": clean(instrument or {})}
    return {
        "axes": order_axes(axes),
        "metadata": {
            "General": build_general(path, title, date),
            "Signal": {"signal_type": SIGNAL_TYPE, "quantity": "X-rays (Counts)"},
            "Acquisition_instrument": {key: node for key, node in nodes.items() if node},
        },
        "post_process": [keep_dead_time_with_its_class],
    }


def build_counters(
    path: Path,
    title: str,
    counters: dict[str, np.ndarray],
    axes: list[dict[str, Any]],
    instrument: dict[str, Any] | None = None,
    date: datetime | None = None,
) -> dict[str, Any] | None:
    """Describe the counters of a scan as a stack of images, or of lines.

    Parameters
    ----------
    path, title, instrument, date
        As of :func:`build_map`.
    counters
        By name, each in the shape of the axes.
    axes
        Slowest first.

    Returns
    -------
    dict or None
        A signal: float64, first axis ``counter``; their names in ``General.counters`` of the
        metadata. None if there are no counters.
    """
    if not counters:
        return None
    signal_axes = [axis | {"navigate": False} for axis in axes]
    first = build_axis("counter", len(counters), None, None)
    general = build_general(path, title, date) | {"counters": list(counters)}
    return {
        "data": np.stack([np.asarray(v, dtype=np.float64) for v in counters.values()]),
        "axes": order_axes([first, *signal_axes]),
        "metadata": {
            "General": general,
            "Signal": {"signal_type": ""},
            "Acquisition_instrument": {"XRF": clean(instrument or {})},
        },
        "original_metadata": {},
    }


def build_general(path: Path, title: str, date: datetime | None) -> dict[str, Any]:
    """Make ``metadata.General``."""
    general: dict[str, Any] = {"title": title, "original_filename": path.name}
    if date is not None:
        general["date"] = date.date().isoformat()
        general["time"] = date.time().isoformat("seconds")
        if date.tzinfo is not None:
            general["time_zone"] = str(date.tzinfo)
    return general


def parse_date(text: Any) -> datetime | None:
    """Read a date as SPEC, EDF or Bliss write it; None if it is none."""
    if not isinstance(text, str):
        return None
    text = text.strip()
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        pass
    for form in _DATES:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def number(value: Any) -> float | None:
    """Return a finite number, None for anything else."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def new_name(name: str, taken: Container[str]) -> str:
    """Return a name that is not taken: as it is, or with underscores behind it."""
    name = name or "unnamed"
    while name in taken:
        name += "_"
    return name


def clean(tree: dict[str, Any]) -> dict[str, Any]:
    """Return a tree whose keys HyperSpy takes as they are: it makes signals of some."""
    cleaned = {}
    for key, value in tree.items():
        name = new_name(str(key).lstrip("_"), cleaned)
        cleaned[name] = clean(value) if isinstance(value, dict) else value
    return cleaned


def is_small(value: Any) -> bool:
    """Tell whether a value can be kept in original metadata."""
    return np.size(value) <= _MOST_KEPT


def line_of_positions(values: np.ndarray | None) -> dict[str, Any]:
    """Fit an axis to the position of each of its pixels.

    Parameters
    ----------
    values
        Positions, or None.

    Returns
    -------
    dict
        ``offset``, ``scale`` and ``units`` (None) of the axis; empty if there is no line.
    """
    if values is None or values.size < 2 or not np.isfinite(values).all():
        return {}
    scale, offset = (
        float(np.round(v, 12)) for v in np.polyfit(np.arange(values.size), values, 1)
    )
    return {"offset": offset, "scale": scale, "units": None} if scale else {}
