"""Metadata of maps: dead times, times, energies; values of headers as HyperSpy takes them."""

import math
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.dead_time import (
    dead_time_of_rates,
    dead_time_of_times,
    mean_live_fraction,
)
from rsciio_xfm.core.detectors import SummedMaps
from rsciio_xfm.core.eds import (
    SIGNAL_TYPE,
    build_axis,
    build_dead_time,
    keep_dead_time_with_its_class,
    order_axes,
)
from rsciio_xfm.core.to_dask import load, source_of
from rsciio_xfm.core.views import add_detectors
from rsciio_xfm.core.warning import warn

_STRAIGHT = 0.5  # channels by which energies may bend without a warning
_EVEN = 1e-6  # channels by which those of an even axis may
_MOST_KEV = 500.0  # of the last channel: more is in eV
_MOST_TIME = 1e9  # s
_UNEVEN = 0.1  # by which times may differ from their mean without a warning
_UNEVEN_LIVE = 0.2  # where they are all there is: dead times vary
_MOST_BEAM_KEV = 1000.0
_MOST_KEPT = 4096  # numbers of an array in original_metadata
_MOST_UNDERSCORES = 8  # behind a name that is taken
_LEAST_TICKS = 10  # of a spectrum that was measured
_USUAL_WIDTH = 6.0  # ticks that an event takes, where it is not said

Find = Callable[[tuple[str, ...]], np.ndarray | None]
# Names of counters of a detector, in the order in which they are looked for. Times in s,
# rates in 1/s. trigger_live_time is that of the fast channel, and no live time.
ELAPSED = ("elapsed_time", "real_time", "realtime")
LIVE = ("live_time", "livetime", "energy_live_time")
INPUT_RATE = ("trigger_count_rate", "input_rate", "icr")
OUTPUT_RATE = ("event_count_rate", "output_rate", "ocr")
INPUT_EVENTS = ("triggers",)
OUTPUT_EVENTS = ("events",)
TRIGGER_LIVE = ("trigger_live_time", "trigger_livetime")
DEAD_FRACTION = ("fractional_dead_time",)  # from 0 to 1
PRESET = ("preset_time",)
# Of Xspress3, as areaDetector and others keep them.
FACTOR = ("dead_time_factor",)  # real time / live time
PERCENT = ("dead_time_percent",)
TICKS = ("clock_ticks",)
RESET_TICKS = ("reset_ticks",)
ALL_EVENTS = ("all_events",)
EVENT_WIDTH = ("event_width",)  # ticks - 1
DEAD_TICKS = ("dead_time_ticks",)
WAYS = ("factor", "percent", "ticks", "times", "rates", "fraction")
COUNTERS = (
    *ELAPSED,
    *LIVE,
    *INPUT_RATE,
    *OUTPUT_RATE,
    *INPUT_EVENTS,
    *OUTPUT_EVENTS,
    *TRIGGER_LIVE,
    *DEAD_FRACTION,
    *PRESET,
)


def find_dead_time(
    find: Find, ways: Iterable[str] = WAYS
) -> tuple[np.ndarray | None, str]:
    """Compute dead times from what a detector's counters say.

    Parameters
    ----------
    find
        Returns the values of the first counter of some names, None if there is none.
    ways
        Of those in `WAYS`, in the order in which they are tried for each spectrum.

    Returns
    -------
    dead_time : numpy.ndarray or None
        Percent, in the shape of the counters; NaN where nothing tells.
    source : str
        From what, in words.

    Notes
    -----
    By default the factor or percentage that the electronics give; ticks of the clock that
    were dead; live time / elapsed time; where the live time is missing, OCR / ICR; where that
    is, the fraction that the electronics give. The live time of the trigger (the fast channel)
    is none of the spectrum.
    """
    found, used = None, []
    for way in ways:
        source, values = _WAYS[way](find)
        if values is None:
            continue
        if found is None:
            found, is_new = values, ~np.isnan(values)
        else:
            is_new = np.isnan(found) & ~np.isnan(values)
            found = np.where(is_new, values, found)
        if is_new.any():
            used.append(source)
    return found, ", else ".join(used)


Way = tuple[str, np.ndarray | None]


def _by_factor(find: Find) -> Way:
    factor = find(FACTOR)
    if factor is None:
        return "", None
    is_factor = np.isfinite(factor) & (factor >= 1)
    dead_time = 100 * (1 - 1 / np.where(is_factor, factor, 1))
    return "dead-time factor", np.where(is_factor, dead_time, np.nan)


def _by_percent(find: Find) -> Way:
    percent = find(PERCENT)
    if percent is None:
        return "", None
    is_percent = (percent >= 0) & (percent <= 100)
    return "dead-time percentage", np.where(is_percent, percent, np.nan)


def _by_ticks(find: Find) -> Way:
    """Compare ticks of a clock, as xraylarch does (``larch/io/xsp3_hdf5.py``)."""
    ticks, dead, events = find(TICKS), find(DEAD_TICKS), find(ALL_EVENTS)
    if dead is None and events is not None:
        width, resets = find(EVENT_WIDTH), find(RESET_TICKS)
        dead = events * (_USUAL_WIDTH if width is None else width + 1)
        dead = dead if resets is None else dead + resets
    if ticks is None or dead is None:
        return "", None
    is_known = (ticks >= _LEAST_TICKS) & (dead >= 0) & (dead < ticks)
    part = np.where(is_known, dead, 0) / np.where(is_known, ticks, 1)
    return "clock ticks", np.where(is_known, 100 * part, np.nan)


def _by_times(find: Find) -> Way:
    elapsed, live = find(ELAPSED), find(LIVE)
    if live is None or elapsed is None:
        return "", None
    return "live time / elapsed time", dead_time_of_times(live, elapsed)


def _by_rates(find: Find) -> Way:
    input_rate, output_rate = find(INPUT_RATE), find(OUTPUT_RATE)
    if input_rate is None:
        input_rate = _ratio(find(INPUT_EVENTS), find(TRIGGER_LIVE))
    if output_rate is None:
        output_rate = _ratio(find(OUTPUT_EVENTS), find(ELAPSED))
    if input_rate is None or output_rate is None:
        return "", None
    return "OCR / ICR", dead_time_of_rates(input_rate, output_rate)


def _by_fraction(find: Find) -> Way:
    fraction = find(DEAD_FRACTION)
    if fraction is None:
        return "", None
    is_fraction = (fraction > 0) & (fraction <= 1)  # 0 where there are no rates
    return "fractional dead time", np.where(is_fraction, 100.0 * fraction, np.nan)


_WAYS: dict[str, Callable[[Find], Way]] = {
    "factor": _by_factor,
    "percent": _by_percent,
    "ticks": _by_ticks,
    "times": _by_times,
    "rates": _by_rates,
    "fraction": _by_fraction,
}


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
    if mean is None or times is None:
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
        offset, scale, bent = nearest_line(energies)
        warn_of_bent(f"{where} (calibration {terms})", bent)
    unit = 1e-3 if energies[-1] > _MOST_KEV else 1.0
    return axis | {
        "offset": float(offset) * unit,
        "scale": float(scale) * unit,
        "units": "keV",
    }


def nearest_line(energies: np.ndarray) -> tuple[float, float, float]:
    """Return the straight line nearest to the energies of channels.

    Parameters
    ----------
    energies
        Of two channels or more.

    Returns
    -------
    offset, scale : float
        Of the line.
    bent : float
        By how many channels the energies are off it at most.

    Examples
    --------
    >>> import numpy as np
    >>> nearest_line(np.array([1.0, 3.0, 5.0]))
    (1.0, 2.0, 0.0)
    """
    numbers = np.arange(energies.size)
    step = rounded((energies[-1] - energies[0]) / (energies.size - 1))
    offset, scale = rounded(energies[0]), step
    bent = _bent(energies, offset, scale)
    if bent > _EVEN:
        scale, offset = (float(v) for v in np.polyfit(numbers, energies, 1))
        bent = _bent(energies, offset, scale)
    return offset, scale, bent


def _bent(energies: np.ndarray, offset: float, scale: float) -> float:
    off = np.abs(offset + scale * np.arange(energies.size) - energies).max()
    return float(off / abs(scale)) if scale else math.inf


def rounded(value: float) -> float:
    """Return a number without the noise of sums and differences."""
    return float(f"{value:.12g}")


def warn_of_bent(where: str, bent: float) -> None:
    """Say that energies are off their line by more than half a channel."""
    if bent > _STRAIGHT:
        warn(
            f"{where}: the energies bend by {bent:.2g} channels, expected a uniform axis: the "
            "nearest straight line is used."
        )


def warn_of_calibrations(
    where: str, calibrations: Iterable[tuple[float, ...]], n_channels: int
) -> None:
    """Say that detectors that become one map differ in energy, by more than half a channel.

    Parameters
    ----------
    where
        Named in the warning.
    calibrations
        Offset and width of channels, of each of them; what comes after is not looked at.
    n_channels
        That they have.
    """
    first, *others = [*calibrations] or [(0.0, 1.0)]
    scale = abs(first[1]) or math.inf
    ends = (abs(c[0] - first[0] + (c[1] - first[1]) * n_channels) for c in others)
    apart = max(ends, default=0.0) / scale
    if apart > _STRAIGHT:
        warn(
            f"{where}: the calibrations of the detectors differ by up to {apart:.2g} "
            "channels, expected the same: that of the first one is used. Use detector=... for "
            "one."
        )


def calibration_of(energies: np.ndarray) -> tuple[float, ...] | None:
    """Return a, b and c of a calibration from the energy of each channel.

    Parameters
    ----------
    energies
        keV, one for each channel.

    Returns
    -------
    tuple of float or None
        See :func:`energy_axis`; None if they do not ascend, or only number the channels.
    """
    energies = np.asarray(energies, dtype=float).ravel()
    if energies.size < 2 or not np.isfinite(energies).all():
        return None
    steps = np.diff(energies)
    if (steps <= 0).any() or np.array_equal(energies, np.arange(energies.size)):
        return None
    if np.ptp(steps) <= 1e-6 * steps.mean():
        return float(energies[0]), float((energies[-1] - energies[0]) / steps.size), 0.0
    c, b, a = np.polyfit(np.arange(energies.size), energies, 2)
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
        if dead_time is not None and "_sig_dead_time" in eds:
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


def number(value: Any) -> float | None:
    """Return a finite number, None for anything else."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def new_name(name: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: as it is, or with underscores behind it.

    Where there are many, a number follows: names that grow with each would take forever.
    """
    name = name or "unnamed"
    for _ in range(_MOST_UNDERSCORES):
        if name not in taken:
            return name
        name += "_"
    number = len(taken)
    while f"{name}{number}" in taken:
        number += 1
    return f"{name}{number}"


def clean(tree: dict[str, Any]) -> dict[str, Any]:
    """Return a tree whose keys HyperSpy takes as they are: it makes signals of some."""
    cleaned: dict[str, Any] = {}
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


def add_maps(
    path: Path, title: str, parts: list[dict[str, Any]], lazy: bool, chunks: Any
) -> dict[str, Any]:
    """Add up the lazy maps of the detectors of one scan.

    Parameters
    ----------
    path, title
        Of the file and the scan.
    parts
        Signals, of one detector each.
    lazy, chunks
        See :func:`rsciio_xfm.esrf.file_reader`.

    Raises
    ------
    ValueError
        They are not of integers, or of several sizes.
    """
    shapes = {part["data"].shape for part in parts}
    if len(shapes) > 1:
        raise ValueError(
            f"{path}: sum_detectors is True and the detectors have the shapes "
            f"{', '.join(map(str, sorted(shapes)))}, expected one."
        )
    xrf = [part["metadata"]["Acquisition_instrument"]["XRF"] for part in parts]
    names = [
        found.get("dataset") or str(found.get("mark", found.get("mca"))) for found in xrf
    ]
    sources: list[FileArray] = []
    for name, part in zip(names, parts, strict=True):
        source = source_of(part["data"])
        if source is None or source.dtype.kind not in "iu":
            raise ValueError(
                f"{path}: sum_detectors is True and {name} is of {part['data'].dtype}, "
                "expected integers, in a map of points."
            )
        sources.append(source)
    eds = [
        part["metadata"]["Acquisition_instrument"]
        .get("SEM", {})
        .get("Detector", {})
        .get("EDS", {})
        for part in parts
    ]
    carried = [
        found["_sig_dead_time"]["data"] for found in eds if "_sig_dead_time" in found
    ]
    if 0 < len(carried) < len(parts):
        warn(
            f"{path}: only {len(carried)} of {len(parts)} detectors have dead times: none of "
            "them is used."
        )
    has_dead_times = len(carried) == len(parts)
    real = [found["real_time"] for found in eds if "real_time" in found]
    first = parts[0]
    signal = build_map(
        path,
        f"{title} {len(parts)} detectors" if len(parts) > 1 else title,
        [dict(axis) for axis in first["axes"]],
        np.stack(carried) if has_dead_times else None,
        sum(real) / len(real) if len(real) == len(parts) else None,
        n_detectors=len(parts) if len(parts) > 1 else 0,
        instrument=_instrument_of_sum(xrf[0], names),
        beam_energy=first["metadata"]["Acquisition_instrument"]
        .get("SEM", {})
        .get("beam_energy"),
    )
    for key in ("date", "time", "time_zone"):
        if key in first["metadata"]["General"]:
            signal["metadata"]["General"][key] = first["metadata"]["General"][key]
    source = add_detectors(sources) or SummedMaps(tuple(sources), str(path))
    signal["data"] = load(source, path, lazy, chunks)
    signal["original_metadata"] = first["original_metadata"]
    return signal


def _instrument_of_sum(first: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Return what is kept of the instrument: of the first detector, but for its name."""
    kept = {k: v for k, v in first.items() if k not in ("mca", "mark", "detector")}
    if "dataset" in first:
        return kept | {"dataset": ", ".join(dict.fromkeys(names))}
    return kept | {"detectors": names}
