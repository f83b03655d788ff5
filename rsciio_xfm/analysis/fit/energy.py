"""Energies of the channels of a spectrum, from lines that are known to be in it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rsciio_xfm.analysis.fit.energy_by_elements import calibrate_by_elements
from rsciio_xfm.analysis.fit.known_lines import (
    MOST_ZERO,
    NARROWEST,
    WIDEST,
    Axis,
    Calibration,
    Line,
    fit_axis,
    line_of,
    list_channels,
    matched,
    seen_energies,
    usual_width,
)
from rsciio_xfm.analysis.fit.peaks import Peaks, check_spectrum, find_peaks
from rsciio_xfm.analysis.fit.response import FWHM

_NEAR_ENERGY = 0.3  # of a line's energy: a number as near to it is an approximate energy
_FAR = 2.0  # FWHM that a peak may be from where it is said to be
_FAR_SHARE = 0.02  # or of its channel


def calibrate_energy(
    spectrum: np.ndarray,
    known: Mapping[str, float] | Sequence[str],
    start: Axis | None = None,
) -> Calibration:
    """Find the energies of the channels of a spectrum from lines that are in it.

    Parameters
    ----------
    spectrum
        Counts, shape (channels,).
    known
        Lines and about where they are: ``{"Fe_Ka": 640, "Ca_Ka": 369.5}``. If all numbers
        are within 30 % of the energies of their lines in keV, they are energies on the axis
        as it is now, else channels from 0 on. Or elements: peaks are matched.
    start
        Zero and gain as they are now, keV, if about known. Elements are matched within 10 %
        of it.

    Returns
    -------
    Calibration
        Zero and gain, the lines and what is left.

    Raises
    ------
    ValueError
        A name is no line or element, no peak is where a line is said to be, lines
        contradict each other, energies come without a start, or elements can be matched in
        several ways or in none. It says what was found.

    Notes
    -----
    Each peak's place is a fit of a Gaussian on a line; it is compared with the same fit to
    the line's transitions, so that doublets do no harm. With one line, `start`'s zero, or 0,
    is kept. Elements: two lines on two of the strongest peaks make a hypothesis. It is tried
    if peaks are as wide as a detector's can be, and scored by the share of the peaks' counts,
    and of what is significant in them, that the lines of the elements explain with ratios as
    tables have them. Elements without a peak of their own and lines beside their peaks lessen
    the score, and so do, a little, a zero far from 0 and a gain that is no round number.

    Examples
    --------
    >>> import numpy as np
    >>> channels = np.arange(1024)
    >>> peaks = [(640, 900), (705.8, 130), (369.1, 300), (401.3, 40)]
    >>> spectrum = sum(h * np.exp(-0.5 * ((channels - c) / 5.5) ** 2) for c, h in peaks)
    >>> found = calibrate_energy(np.round(spectrum + 5), {"Fe_Ka": 638, "Ca_Ka": 370})
    >>> round(found.gain, 4), found.taken_as
    (0.01, 'channels')
    """
    counts = check_spectrum(spectrum)
    if start is not None and not (start[1] > 0 and all(map(math.isfinite, start))):
        raise ValueError(
            f"The start is {start!r}, expected zero and gain in keV, the gain above 0."
        )
    if isinstance(known, str) or not isinstance(known, Iterable) or not len(known):
        raise ValueError(
            f"known is {known!r:.80}, expected lines and where they are, like "
            "{'Fe_Ka': 640}, or elements, like ['Fe', 'Ca']."
        )
    if isinstance(known, Mapping):
        return _calibrate_by_lines(counts, known, start)
    return calibrate_by_elements(counts, list(known), start)


def _calibrate_by_lines(
    counts: np.ndarray, known: Mapping[str, float], start: Axis | None
) -> Calibration:
    lines = [line_of(name) for name in known]
    channels, taken_as = _channels_of(known, lines, start)
    outside = (channels < 0) | (channels > counts.size - 1)
    if outside.any():
        raise ValueError(
            f"{_shown(known)}, taken as {taken_as}, {'is' if len(lines) == 1 else 'are'} not "
            f"all within the {counts.size} channels of the spectrum."
        )
    found = _peaks_of(find_peaks(counts), lines, channels)
    axis = fit_axis(found, np.array([line.energy for line in lines]), lines, start)
    for _ in range(2):
        energies = seen_energies(lines, found, axis)
        axis = fit_axis(found, energies, lines, start)
    _check_lines(lines, found, energies, axis)
    return Calibration(*axis, matched(lines, found, energies, axis), taken_as)


def _channels_of(
    known: Mapping[str, float], lines: Sequence[Line], start: Axis | None
) -> tuple[np.ndarray, str]:
    """Return where lines are said to be, in channels, and what the numbers were taken as."""
    given = np.array([_number(name, value) for name, value in known.items()])
    energies = np.array([line.energy for line in lines])
    is_energy = np.abs(given / energies - 1) < _NEAR_ENERGY
    if not is_energy.any():
        return given, "channels"
    if not is_energy.all():
        raise ValueError(
            f"{_shown(known)} are energies in keV and channels mixed, expected one of them."
        )
    if start is None:
        raise ValueError(
            f"{_shown(known)} are energies in keV, and the channels have none yet: "
            "give the channels of two lines, or elements alone."
        )
    return (given - start[0]) / start[1], "energies"


def _number(name: str, value: Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(
            f"The place of {name} is {value!r}, expected a channel, or an energy in keV."
        )
    return found


def _shown(known: Mapping[str, float]) -> str:
    return ", ".join(f"{name} at {value}" for name, value in known.items())


def _peaks_of(peaks: Peaks, lines: Sequence[Line], channels: np.ndarray) -> Peaks:
    """Return the peak of each line, near the channel where it is said to be."""
    places = [_peak_near(peaks, *of) for of in zip(lines, channels, strict=True)]
    if len(set(places)) < len(places):
        shared = max(set(places), key=places.count)
        each = zip(lines, places, strict=True)
        names = [line.name for line, place in each if places.count(place) > 1]
        raise ValueError(
            f"{' and '.join(names)} are at the same peak, channel "
            f"{peaks.channels[shared]:.1f}, expected one each."
        )
    return peaks.choose(np.array(places))


def _peak_near(peaks: Peaks, line: Line, place: float) -> int:
    """Return the number of the peak that is meant, the nearest within reach."""
    apart = np.abs(peaks.channels - place)
    reach = np.maximum(_FAR * FWHM * peaks.sigmas, _FAR_SHARE * place)
    near = np.flatnonzero(apart <= reach)
    if not near.size:
        others = peaks.channels[np.argsort(apart)[:4]]
        raise ValueError(
            f"There is no peak at channel {place:.6g}, where {line.name} is said to be. The "
            f"nearest are at {list_channels(sorted(others)) or 'no channel'}."
        )
    # Of those about as near as each other the strongest.
    close = near[apart[near] <= apart[near].min() + 1.5 * peaks.sigmas[near]]
    return int(close[np.argmax(peaks.evidence[close])])


def _check_lines(
    lines: Sequence[Line], found: Peaks, energies: np.ndarray, axis: Axis
) -> None:
    """Refuse lines that contradict each other, or what no detector does."""
    zero, gain = axis
    said = ", ".join(
        f"{line.name} at channel {channel:.1f}"
        for line, channel in zip(lines, found.channels, strict=True)
    )
    if not gain > 0:
        raise ValueError(
            f"{said}: the energy does not rise with the channel. Are lines exchanged?"
        )
    if zero < -MOST_ZERO:
        raise ValueError(
            f"{said}: channel 0 would be at {zero:.2f} keV, expected about 0, or more if "
            "it is not the first of the detector. Is one of the lines another?"
        )
    off = (zero + gain * found.channels - energies) / (gain * found.sigmas)
    if np.abs(off).max() > 1:
        worst = int(np.abs(off).argmax())
        by = 1000 * gain * abs(off[worst]) * found.sigmas[worst]
        raise ValueError(
            f"{said}: no straight line goes through these, {lines[worst].name} is off by "
            f"{by:.0f} eV. Is one of the lines another?"
        )
    width = FWHM * gain * found.sigmas
    ratio = width / usual_width(energies)
    if not (NARROWEST / 2 < np.median(ratio) < 3 * WIDEST):
        raise ValueError(
            f"{said}: peaks would be {1000 * np.median(width):.0f} eV wide, expected about "
            f"{1000 * np.median(usual_width(energies)):.0f} eV. Are these channels right?"
        )
