"""Energies of the channels of a spectrum, from lines that are known to be in it."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsciio_xfm.analysis.fit.excitation import one_energy, xraylib
from rsciio_xfm.analysis.fit.lines import SHELLS, atomic_number, group
from rsciio_xfm.analysis.fit.peaks import (
    Peaks,
    Width,
    check_spectrum,
    find_peaks,
    fit_one,
    gaussian_width,
)
from rsciio_xfm.analysis.fit.response import FWHM, PAIR_KEV, Response
from rsciio_xfm.kernels.peaks import add_lines

# Lines by the names of Siegbahn, the transitions that they consist of, and about how strong
# they are, relative to the strongest of the shell.
_FAMILIES = {
    "Ka": ("KL3 KL2", 1.0),
    "Kb": ("KM3 KM2", 0.15),
    "La": ("L3M5 L3M4", 1.0),
    "Lb1": ("L2M4", 0.6),
    "Lb2": ("L3N5 L3N4", 0.2),
    "Lb3": ("L1M3", 0.06),
    "Lb4": ("L1M2", 0.04),
    "Lg1": ("L2N4", 0.1),
    "Lg3": ("L1N3", 0.02),
    "Ll": ("L3M1", 0.05),
    "Ln": ("L2M1", 0.02),
    "Ma": ("M5N7 M5N6", 1.0),
    "Mb": ("M4N6", 0.6),
    "Mg": ("M3N5", 0.05),
}
_LEAST_TOLD = 1.0  # keV, of lines that elements are matched by
_TOLD = 0.12  # relative strength of lines that elements are matched by
_NEAR_ENERGY = 0.3  # of a line's energy: a number as near to it is an approximate energy
_ANY = one_energy("monochromatic", 100.0)
# What peaks are compared with, and how many times as wide they are at least and most.
_DETECTOR = Response(noise=0.09)
_NARROWEST, _WIDEST = 0.7, 3.2
_MOST_ZERO = 2.0  # keV, of channel 0 without a start
_NEAR_START = (0.1, 0.1)  # relative to gain, and to the energies of the spectrum
_N_PEAKS, _N_TRIED, _N_REFINED = 24, 80, 6
_MOST_AREA = 10.0  # of a peak in a rough score, in medians: more counts as that
# By which the best hypothesis has to be better than the next, relative; of one element.
_CLEAR, _CLEAR_OF_ONE = 0.1, 0.35
_LEAST_SCORE = 0.12
_MODEL_ERROR = 0.1
_FAR = 2.0  # FWHM that a peak may be from where it is said to be
_FAR_SHARE = 0.02  # or of its channel
_LEAST_KEV = 0.2  # of lines


@dataclass(frozen=True)
class MatchedLine:
    """A line that was found in a spectrum.

    Attributes
    ----------
    name
        ``"Fe_Ka"``.
    energy
        Where its peak is by tables, keV.
    channel, error
        Where it is in the spectrum, and the standard deviation of that.
    residual
        Energy of that channel by the calibration, less `energy`, keV.
    """

    name: str
    energy: float
    channel: float
    error: float
    residual: float


@dataclass(frozen=True)
class Calibration:
    """Energies of the channels of a spectrum.

    Attributes
    ----------
    zero, gain
        Energy of channel 0 and width of a channel, keV.
    lines
        That they were fitted to.
    taken_as
        What the numbers given were taken as: ``"channels"``, ``"energies"``, or
        ``"elements"`` without any.
    missing
        Elements of which no line is a peak of its own.
    explained
        Share of the peaks that the lines of the elements explain, 0 to 1; None if lines were
        given.
    """

    zero: float
    gain: float
    lines: tuple[MatchedLine, ...]
    taken_as: str
    missing: tuple[str, ...] = ()
    explained: float | None = None

    def __str__(self) -> str:
        """Return a table of the lines."""
        rows = [
            f"Energy = {self.zero:.5g} keV + {1000 * self.gain:.6g} eV x channel, from "
            f"{len(self.lines)} lines ({_SAID[self.taken_as]})"
        ]
        rows += [
            f"  {line.name:<7} {line.energy:9.4f} keV at channel {line.channel:9.2f} "
            f"+- {line.error:.2f}, off by {1000 * line.residual:+.1f} eV"
            for line in self.lines
        ]
        if self.explained is not None:
            rows.append(
                f"  {self.explained:.0%} of the peaks are lines of these elements"
            )
        if self.missing:
            rows.append(f"  No peak of its own: {', '.join(self.missing)}")
        return "\n".join(rows)


_SAID = {
    "channels": "numbers taken as channels",
    "energies": "numbers taken as energies in keV on the axis as it was",
    "elements": "peaks matched to the elements",
}


def calibrate_energy(
    spectrum: np.ndarray,
    known: Mapping[str, float] | Sequence[str],
    start: tuple[float, float] | None = None,
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
    is kept. Elements: two lines on two of the strongest peaks make a hypothesis; it is tried
    if peaks are as wide as a detector's can be; and scored by the share of the peaks' counts,
    and of what is significant in them, that the lines of the elements explain with ratios as
    tables have them.

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
    return _calibrate_by_elements(counts, list(known), start)


# Lines that are said to be somewhere.


@dataclass(frozen=True, eq=False)
class _Line:
    name: str
    energies: np.ndarray
    weights: np.ndarray
    strength: float

    @property
    def energy(self) -> float:
        return float(self.energies @ self.weights)


def _make_line(name: str) -> _Line:
    """Return a line by its name; the error names those that are known."""
    element, _, letters = str(name).partition("_")
    letters = letters if letters not in SHELLS or not letters else f"{letters}a"
    z = atomic_number(element)
    if letters not in _FAMILIES:
        raise ValueError(
            f"{name!r} is no line that peaks are looked for, expected one like "
            f"{element}_Ka: {', '.join(_FAMILIES)}."
        )
    line = _family(element, z, letters)
    if line is None:
        raise ValueError(f"{name!r} is no line: {element} has none of this kind.")
    return line


def _family(element: str, z: int, letters: str) -> _Line | None:
    own = xraylib()
    transitions, strength = _FAMILIES[letters]
    found = []
    for transition in transitions.split():
        number = getattr(own, f"{transition}_LINE")
        try:
            found.append((own.LineEnergy(z, number), own.RadRate(z, number)))
        except ValueError:
            continue
    known = [(e, rate) for e, rate in found if e > _LEAST_KEV and rate > 0]
    if not known:
        return None
    energies, rates = np.array(known).T
    return _Line(f"{element}_{letters}", energies, rates / rates.sum(), strength)


def _calibrate_by_lines(
    counts: np.ndarray, known: Mapping[str, float], start: tuple[float, float] | None
) -> Calibration:
    lines = [_make_line(name) for name in known]
    given = np.array([_number(name, value) for name, value in known.items()])
    energies = np.array([line.energy for line in lines])
    is_energy = np.abs(given / energies - 1) < _NEAR_ENERGY
    if is_energy.all():
        if start is None:
            raise ValueError(
                f"{_shown(known)} are energies in keV, and the channels have none yet: "
                "give the channels of two lines, or elements alone."
            )
        given, taken = (given - start[0]) / start[1], "energies"
    elif is_energy.any():
        raise ValueError(
            f"{_shown(known)} are energies in keV and channels mixed, expected one of them."
        )
    else:
        taken = "channels"
    outside = (given < 0) | (given > counts.size - 1)
    if outside.any():
        raise ValueError(
            f"{_shown(known)}, taken as {taken}, {'is' if len(lines) == 1 else 'are'} not all "
            f"within the {counts.size} channels of the spectrum."
        )
    peaks = find_peaks(counts)
    places = [_peak_near(peaks, *of) for of in zip(lines, given, strict=True)]
    if len(set(places)) < len(places):
        twice = [
            line.name
            for line, at in zip(lines, places, strict=True)
            if places.count(at) > 1
        ]
        raise ValueError(
            f"{' and '.join(twice)} are at the same peak, channel "
            f"{peaks.channels[max(set(places), key=places.count)]:.1f}, expected one each."
        )
    found = peaks.choose(np.array(places))
    zero, gain = _solve(found, energies, lines, start)
    for _ in range(2):
        centres = np.array(
            [
                _centre(line, zero, gain, s)
                for line, s in zip(lines, found.sigmas, strict=True)
            ]
        )
        zero, gain = _solve(found, centres, lines, start)
    _check_lines(lines, found, centres, (zero, gain))
    return Calibration(zero, gain, _matched(lines, found, centres, (zero, gain)), taken)


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


def _peak_near(peaks: Peaks, line: _Line, place: float) -> int:
    """Return the number of the peak that is meant, the nearest within reach."""
    apart = np.abs(peaks.channels - place)
    reach = np.maximum(_FAR * FWHM * peaks.sigmas, _FAR_SHARE * place)
    near = np.flatnonzero(apart <= reach)
    if not near.size:
        others = peaks.channels[np.argsort(apart)[:4]]
        raise ValueError(
            f"There is no peak at channel {place:.6g}, where {line.name} is said to be. The "
            f"nearest are at {_list(sorted(others)) or 'no channel'}."
        )
    # Of those about as near as each other the strongest.
    close = near[apart[near] <= apart[near].min() + 1.5 * peaks.sigmas[near]]
    return int(close[np.argmax(peaks.evidence[close])])


def _list(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:.1f}" for number in numbers)


def _solve(
    found: Peaks,
    energies: np.ndarray,
    lines: Sequence[_Line],
    start: tuple[float, float] | None,
) -> tuple[float, float]:
    """Fit a line through energies by channel, or through one of them."""
    if len(found) == 1:
        zero = 0.0 if start is None else start[0]
        return zero, float((energies[0] - zero) / found.channels[0])
    strengths = np.array([line.strength for line in lines])
    # Strong lines are less in the way of others.
    weights = 1 / np.hypot(found.errors, (0.02 + 0.08 * (1 - strengths)) * found.sigmas)
    matrix = np.stack([np.ones(len(found)), found.channels], axis=1)
    (zero, gain), *_ = np.linalg.lstsq(
        matrix * weights[:, None], energies * weights, rcond=None
    )
    return float(zero), float(gain)


def _centre(line: _Line, zero: float, gain: float, sigma: float) -> float:
    """Return the energy at which a fit of a Gaussian sees a line of several transitions."""
    if len(line.energies) == 1 or not gain > 0:
        return line.energy
    channels = (line.energies - zero) / gain
    middle = float(channels @ line.weights)
    first = math.floor(middle - 8 * sigma)
    profile = np.zeros((1, math.ceil(16 * sigma) + 2))
    lines = np.stack(
        [channels - first, np.full(len(channels), sigma), 1e6 * line.weights], 1
    )
    add_lines(profile, 0.0, 1.0, lines, np.zeros(len(lines), dtype=int), 0.0, 1.0, 0.0)
    fit = fit_one(profile[0], middle - first, sigma)
    return line.energy if fit is None else zero + gain * (first + fit[0])


def _check_lines(
    lines: list[_Line],
    found: Peaks,
    energies: np.ndarray,
    calibration: tuple[float, float],
) -> None:
    """Refuse lines that contradict each other, or what no detector does."""
    zero, gain = calibration
    said = ", ".join(
        f"{line.name} at channel {channel:.1f}"
        for line, channel in zip(lines, found.channels, strict=True)
    )
    if not gain > 0:
        raise ValueError(
            f"{said}: the energy does not rise with the channel. Are lines exchanged?"
        )
    if zero < -_MOST_ZERO:
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
    ratio = width / _detector_width(energies)
    if not (_NARROWEST / 2 < np.median(ratio) < 3 * _WIDEST):
        raise ValueError(
            f"{said}: peaks would be {1000 * np.median(width):.0f} eV wide, expected about "
            f"{1000 * np.median(_detector_width(energies)):.0f} eV. Are these channels right?"
        )


def _detector_width(energies: np.ndarray) -> np.ndarray:
    return FWHM * _DETECTOR.sigma(energies)


def _matched(
    lines: Sequence[_Line],
    found: Peaks,
    energies: np.ndarray,
    calibration: tuple[float, float],
) -> tuple[MatchedLine, ...]:
    zero, gain = calibration
    rows = zip(lines, energies, found.channels, found.errors, strict=True)
    matched = [
        MatchedLine(line.name, float(e), float(c), float(s), float(zero + gain * c - e))
        for line, e, c, s in rows
    ]
    return tuple(sorted(matched, key=lambda line: line.energy))


# Elements alone.


@dataclass(frozen=True, eq=False)
class _Search:
    """What hypotheses are tried on: counts above the background and the elements' lines."""

    net: np.ndarray
    weights: np.ndarray
    width: Width
    elements: list[str]
    lines: list[_Line]


@dataclass(frozen=True, eq=False)
class _Hypothesis:
    zero: float
    gain: float
    score: float
    explained: float
    missing: tuple[str, ...]


def _calibrate_by_elements(
    counts: np.ndarray, names: list[str], start: tuple[float, float] | None
) -> Calibration:
    for name in names:
        atomic_number(name)
    elements = list(dict.fromkeys(names))
    peaks = find_peaks(counts)
    if not len(peaks):
        raise ValueError(
            "There is no peak in the spectrum that elements could be matched to."
        )
    width = gaussian_width(counts)
    net = _add_up(peaks, width, counts.size)
    weights = 1 / (counts.clip(0) + (_MODEL_ERROR * net) ** 2 + 1)
    lines = list(_telling_lines(elements))
    search = _Search(net, weights, width, elements, lines)
    tried = [_try(search, *of) for of in _pairs(peaks.strongest(_N_PEAKS), search, start)]
    tried = sorted(tried, key=lambda one: -one.score)[:_N_REFINED]
    tried = sorted((_improve(search, one) for one in tried), key=lambda one: -one.score)
    best = _choose(tried, search, peaks)
    return _by_matched_lines(best, search, peaks)


def _telling_lines(elements: list[str]) -> Iterator[_Line]:
    for element in elements:
        z = atomic_number(element)
        for letters, (_, strength) in _FAMILIES.items():
            line = _family(element, z, letters) if strength > _TOLD else None
            if line is not None and line.energy > _LEAST_TOLD:
                yield line


def _add_up(peaks: Peaks, width: Width, n_channels: int) -> np.ndarray:
    """Return a spectrum of peaks alone: without background, and without noise."""
    total = np.zeros((1, n_channels))
    lines = np.stack([peaks.channels, width(peaks.channels), peaks.areas], axis=1)
    add_lines(total, 0.0, 1.0, lines, np.zeros(len(lines), dtype=int), 0.0, 1.0, 0.0)
    return total[0]


def _pairs(
    peaks: Peaks, search: _Search, start: tuple[float, float] | None
) -> list[tuple[float, float]]:
    """Return zero and gain of all pairs of lines on pairs of peaks that are worth a try."""
    energies = np.sort([line.energy for line in search.lines])
    i, j = np.triu_indices(len(energies), 1)
    p, q = np.triu_indices(len(peaks), 1)
    steps = (energies[j] - energies[i])[:, None]
    gains = steps / (peaks.channels[q] - peaks.channels[p])
    zeros = energies[i][:, None] - gains * peaks.channels[p]
    usual = _detector_width(0.5 * (energies[i] + energies[j]))[:, None]
    ratios = FWHM * gains * 0.5 * (peaks.sigmas[p] + peaks.sigmas[q]) / usual
    tried = np.stack([zeros.ravel(), gains.ravel()], axis=1)
    if start is None:
        is_usual = (
            (ratios > _NARROWEST) & (ratios < _WIDEST) & (np.abs(zeros) < _MOST_ZERO)
        )
        tried = tried[is_usual.ravel()]
    else:
        tried = tried[_are_near(tried, start, peaks.channels[-1])]
    rough = _rough_scores(tried, peaks, search.lines)
    chosen: list[tuple[float, float]] = []
    span = np.array([0.0, peaks.channels[-1]])
    ends = np.zeros((0, 2))
    for k in np.argsort(-rough):
        own = tried[k, 0] + tried[k, 1] * span
        sigma = tried[k, 1] * np.median(peaks.sigmas)
        if (np.abs(ends - own).max(axis=1) > 0.7 * sigma).all():
            chosen.append((float(tried[k, 0]), float(tried[k, 1])))
            ends = np.vstack([ends, own])
        if len(chosen) == _N_TRIED:
            break
    return chosen


def _are_near(tried: np.ndarray, start: tuple[float, float], last: float) -> np.ndarray:
    """Tell which hypotheses are near to the start, up to the last peak."""
    zeros, gains = tried.T
    near_gain, near = _NEAR_START
    off = np.maximum(
        np.abs(zeros - start[0]),
        np.abs(zeros + gains * last - start[0] - start[1] * last),
    )
    return (np.abs(gains / start[1] - 1) < near_gain) & (off < near * start[1] * last)


def _rough_scores(tried: np.ndarray, peaks: Peaks, lines: Sequence[_Line]) -> np.ndarray:
    """Score hypotheses by how much of the peaks' areas, as roots, shells of lines make up.

    A shell is as strong as its lines and the peaks that they are on agree on; where there is
    no peak it is weaker for that.
    """
    if not len(tried):
        return np.zeros(0)
    energies = np.array([line.energy for line in lines])
    strengths = np.array([line.strength for line in lines]) ** 0.5
    areas = np.minimum(peaks.areas, _MOST_AREA * np.median(peaks.areas))
    roots = np.sqrt(areas)
    shells = [
        line.name.partition("_")[0] + line.name.partition("_")[2][0] for line in lines
    ]
    found = np.zeros((len(tried), len(peaks)))
    for shell in dict.fromkeys(shells):
        of = np.array([s == shell for s in shells])
        channels = (energies[of] - tried[:, :1]) / tried[:, 1:]
        off = (channels[:, :, None] - peaks.channels) / peaks.sigmas
        on_peak = np.exp(-0.5 * off**2) * strengths[of][:, None]
        claimed = on_peak.sum(axis=1)
        amount = claimed @ roots / (strengths[of] ** 2).sum()
        found += (claimed * amount[:, None]) ** 2
    return np.minimum(found, areas).sum(axis=1)


def _try(search: _Search, zero: float, gain: float) -> _Hypothesis:
    """Score a hypothesis by what the elements' groups of lines explain."""
    from scipy.optimize import nnls

    columns, owners = _columns(search, zero, gain)
    root = np.sqrt(search.weights)
    if not len(columns):
        return _Hypothesis(zero, gain, -math.inf, 0.0, tuple(search.elements))
    areas, _ = nnls((columns * root).T, search.net * root)
    fitted = areas @ columns
    total = search.weights @ search.net**2
    left = search.weights @ (search.net - fitted) ** 2
    evidence = areas**2 * ((columns**2) @ search.weights)
    seen = {owner for owner, e in zip(owners, evidence, strict=True) if e > 16}
    missing = tuple(e for e in search.elements if e not in seen)
    counted = np.minimum(fitted, search.net).sum() / search.net.sum()
    over = (fitted - search.net).clip(0).sum() / search.net.sum()
    explained = max(0.0, 0.5 * (1 - left / total) + 0.5 * (counted - over))
    score = explained - 0.6 * len(missing) / len(search.elements)
    score -= _penalty(search, zero, gain)
    return _Hypothesis(zero, gain, float(score), float(explained), missing)


def _penalty(search: _Search, zero: float, gain: float) -> float:
    """Return what is taken off for a zero far from 0, and for peaks of an unusual width.

    Peaks wider, or narrower, than usual; and squares of widths that grow with energy as those
    of no detector do: by the Fano factor times the energy of a pair.
    """
    energies = np.array([line.energy for line in search.lines])
    channels = (energies - zero) / gain
    inside = (channels > 0) & (channels < search.net.size)
    if not inside.any():
        return 1.0
    ratio = (
        FWHM * gain * search.width(channels[inside]) / _detector_width(energies[inside])
    )
    usual = max(0.0, abs(math.log(np.median(ratio)) - 0.15) - 0.25)
    expected = _DETECTOR.fano * PAIR_KEV["Si"] / gain
    off = (search.width.slope / expected - 1) / math.hypot(
        0.35, search.width.slope_error / expected
    )
    far = min(1.0, abs(zero) / 0.5) + abs(zero)
    return 0.04 * far + 0.05 * usual + 0.05 * min(6.0, off**2)


def _columns(search: _Search, zero: float, gain: float) -> tuple[np.ndarray, list[str]]:
    """Return spectra of the elements' shells and of 0 keV, and whose they are."""
    rows: list[np.ndarray] = []
    of: list[int] = []
    owners: list[str] = []
    highest = zero + gain * search.net.size
    for element, shell in itertools.product(search.elements, SHELLS):
        lines = group(element, shell, _ANY)
        if lines is None or not _LEAST_KEV < lines.energy < highest:
            continue
        channels = (lines.energies - zero) / gain
        if not 0 < (lines.energy - zero) / gain < search.net.size:
            continue
        seen = lines.weights * _DETECTOR.efficiency(lines.energies)
        rows.append(
            np.stack([channels, search.width(channels), seen / seen.sum()], axis=1)
        )
        of += [len(owners)] * len(channels)
        owners.append(element)
    nought = -zero / gain
    if owners and 0 < nought < search.net.size:  # that some electronics record at 0 keV
        rows.append(np.array([[nought, search.width(np.array(nought)), 1.0]]))
        of.append(len(owners))
        owners.append("")
    columns = np.zeros((len(owners), search.net.size))
    if owners:
        add_lines(columns, 0.0, 1.0, np.concatenate(rows), np.array(of), 0.0, 1.0, 0.0)
    return columns, owners


def _improve(search: _Search, found: _Hypothesis) -> _Hypothesis:
    """Move a hypothesis to where its score is best nearby."""
    from scipy.optimize import minimize

    middle = 0.5 * search.net.size
    step = float(np.median(search.width(np.arange(search.net.size)))) * found.gain

    def back(values: np.ndarray) -> tuple[float, float]:
        gain = found.gain + values[1] * step / middle
        return found.zero + values[0] * step - (gain - found.gain) * 0.5 * middle, gain

    result = minimize(
        lambda values: -_try(search, *back(values)).score,
        np.zeros(2),
        method="Nelder-Mead",
        options={"maxfev": 60, "initial_simplex": [[0, 0], [0.3, 0], [0, 0.3]]},
    )
    return _try(search, *back(result.x))


def _choose(tried: list[_Hypothesis], search: _Search, peaks: Peaks) -> _Hypothesis:
    """Return the best hypothesis, if it is clearly better than all others."""
    named = ", ".join(search.elements)
    at = _list(peaks.strongest(8).channels)
    if not tried or tried[0].score < _LEAST_SCORE:
        raise ValueError(
            f"The lines of {named} fit the peaks in no way: the strongest are at channels "
            f"{at}. Give lines and their channels, like {{'Fe_Ka': 640}} (in a terminal "
            "Fe_Ka=640), or other elements."
        )
    best = tried[0]
    clear = _CLEAR if len(search.elements) > 1 else _CLEAR_OF_ONE
    middle = np.array([0.3, 0.7]) * search.net.size
    sigma = best.gain * float(search.width(middle).mean())
    for other in tried[1:]:
        is_same = (
            abs((other.zero - best.zero) + (other.gain - best.gain) * middle).max()
            < 2 * sigma
        )
        if not is_same and best.score - other.score < clear * best.score:
            raise ValueError(
                f"The lines of {named} fit the peaks in several ways: "
                f"{_describe(best)}, or {_describe(other)}; the strongest peaks are at "
                f"channels {at}. Name more elements, or lines and their channels, like "
                "{'Fe_Ka': 640} (in a terminal Fe_Ka=640)."
            )
    return best


def _describe(one: _Hypothesis) -> str:
    return (
        f"{one.zero:.3f} keV + {1000 * one.gain:.3f} eV x channel "
        f"({one.explained:.0%} explained)"
    )


def _by_matched_lines(best: _Hypothesis, search: _Search, peaks: Peaks) -> Calibration:
    """Fit the calibration to the lines that are peaks of their own."""
    zero, gain = best.zero, best.gain
    for _ in range(3):
        pairs = list(_lines_on_peaks(search, peaks, zero, gain))
        if not pairs:
            break
        lines, numbers = zip(*pairs, strict=True)
        found = peaks.choose(np.array(numbers))
        centres = np.array(
            [
                _centre(line, zero, gain, s)
                for line, s in zip(lines, found.sigmas, strict=True)
            ]
        )
        anchor = (zero, gain) if len(pairs) == 1 else None
        zero, gain = _solve(found, centres, lines, anchor)
    if not pairs or not gain > 0:
        raise ValueError(
            f"No line of {', '.join(search.elements)} is a peak of its own: give lines and "
            "their channels, like {'Fe_Ka': 640} (in a terminal Fe_Ka=640)."
        )
    matched = _matched(lines, found, centres, (zero, gain))
    there = {line.name.partition("_")[0] for line in lines}
    missing = tuple(name for name in search.elements if name not in there)
    return Calibration(zero, gain, matched, "elements", missing, best.explained)


def _lines_on_peaks(
    search: _Search, peaks: Peaks, zero: float, gain: float
) -> Iterator[tuple[_Line, int]]:
    """Yield lines with their peaks, where the elements' others are less than a tenth."""
    columns, owners = _columns(search, zero, gain)
    from scipy.optimize import nnls

    root = np.sqrt(search.weights)
    areas, _ = nnls((columns * root).T, search.net * root)
    taken: set[int] = set()
    for line in sorted(search.lines, key=lambda one: -one.strength):
        channel = (line.energy - zero) / gain
        if not 0 < channel < search.net.size - 1:
            continue
        off = np.abs(peaks.channels - channel) / peaks.sigmas
        number = int(off.argmin())
        place = round(channel)
        heights = areas * columns[:, place]
        element = line.name.partition("_")[0]
        own = sum(h for h, o in zip(heights, owners, strict=True) if o == element)
        is_own = own > 0.6 * heights.sum() and own > 0.4 * search.net[place]
        if off[number] < 1.2 and is_own and number not in taken:
            taken.add(number)
            yield line, number
