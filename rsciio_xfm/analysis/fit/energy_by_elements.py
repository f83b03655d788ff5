"""Energies of channels from elements alone: which peaks are their lines is found out."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rsciio_xfm.analysis.fit.excitation import one_energy
from rsciio_xfm.analysis.fit.known_lines import (
    DETECTOR,
    LEAST_KEV,
    MOST_ZERO,
    NARROWEST,
    WIDEST,
    Axis,
    Calibration,
    Line,
    draw_peaks,
    fit_axis,
    list_channels,
    matched,
    seen_energies,
    telling_lines,
    usual_width,
)
from rsciio_xfm.analysis.fit.lines import SHELLS, atomic_number, group
from rsciio_xfm.analysis.fit.peaks import Peaks, Width, find_peaks, gaussian_width
from rsciio_xfm.analysis.fit.response import FWHM, PAIR_KEV

_ANY = one_energy("monochromatic", 100.0)
_NEAR_START = (0.1, 0.1)  # relative to gain, and to the energies of the spectrum
_N_PEAKS, _N_TRIED, _N_REFINED = 24, 80, 6
_APART, _FAR_APART = 0.7, 2.0  # sigma of a peak, between hypotheses and between answers
_MOST_AREA = 10.0  # of a peak in a rough score, in medians: more counts as that
# By which the best answer has to be better than the next, relative, and its least score; two
# lines lie on some axis anyway, so that an answer with no more of them has to be better.
_CLEAR, _CLEAR_OF_TWO = 0.1, 0.35
_LEAST_SCORE, _LEAST_OF_TWO = 0.08, 0.3
_BESIDE, _ERRORS = 0.35, 2.0  # sigma of a peak, and of its place, that a line may be off
_N_FITS = 3
_ROUND_EV = np.array([2.5, 5.0, 10.0, 12.5, 20.0, 25.0, 40.0, 50.0])  # a channel, usually
_FAR_FROM_ROUND = 0.05  # relative
_OF_MISSING = 0.4  # taken off if no element is there, or has a peak of its own
_SEEN = 16.0  # square of the standard deviations of elements that are there
_MODEL_ERROR = 0.1  # of the counts of a peak, within _BLUR sigma of it
_BLUR = 2.0


@dataclass(frozen=True, eq=False)
class _Search:
    """What hypotheses are tried on.

    Attributes
    ----------
    elements, lines
        That are in the spectrum, and the lines that they are recognised by.
    peaks
        Of the spectrum.
    net, roots
        The peaks as a spectrum without background and noise, and roots of its weights.
    width
        Of peaks, by channel.
    """

    elements: list[str]
    lines: list[Line]
    peaks: Peaks
    net: np.ndarray
    roots: np.ndarray
    width: Width

    def sigma(self, channel: float) -> float:
        """Return the standard deviation of a peak, channels."""
        return float(self.width(np.array(channel)))


@dataclass(frozen=True)
class _Hypothesis:
    """An axis, how good it is, and what share of the peaks which elements explain with it."""

    axis: Axis
    score: float
    explained: float = 0.0
    seen: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Answer:
    """A hypothesis whose axis was fitted to lines and their peaks."""

    calibration: Calibration
    score: float


def calibrate_by_elements(
    counts: np.ndarray, names: Sequence[str], start: Axis | None
) -> Calibration:
    """Find zero and gain from elements that are in a spectrum.

    Parameters
    ----------
    counts
        float64, shape (channels,).
    names
        Symbols of elements.
    start
        Zero and gain as they are now, if about known.

    Raises
    ------
    ValueError
        A name is no element, or the elements match the peaks in no way, or in several.
    """
    for name in names:
        atomic_number(name)
    search = _prepare(counts, list(dict.fromkeys(names)))
    tried = [_try(search, axis) for axis in _pairs(search, start)]
    tried.sort(key=lambda one: -one.score)
    reach = float(search.peaks.channels[-1])
    chosen = _distinct(np.array([one.axis for one in tried]), reach, search, _N_REFINED)
    judged = [_judge(search, _improve(search, tried[k])) for k in chosen]
    answers = [one for one in judged if one is not None]
    return _choose(sorted(answers, key=lambda one: -one.score), search)


def _prepare(counts: np.ndarray, elements: list[str]) -> _Search:
    from scipy.ndimage import maximum_filter1d

    peaks = find_peaks(counts)
    if not len(peaks):
        raise ValueError(
            "There is no peak in the spectrum that elements could be matched to."
        )
    width = gaussian_width(counts)
    each = np.stack([peaks.channels, width(peaks.channels), peaks.areas], axis=1)
    net = draw_peaks(each, np.zeros(len(each), dtype=int), counts.size)[0]
    # Sides of peaks are as little to be relied on as their tops, however many counts.
    blur = 2 * math.ceil(_BLUR * float(np.median(each[:, 1]))) + 1
    error = _MODEL_ERROR * maximum_filter1d(net, blur)
    roots = 1 / np.sqrt(counts.clip(0) + error**2 + 1)
    return _Search(elements, list(telling_lines(elements)), peaks, net, roots, width)


def _pairs(search: _Search, start: Axis | None) -> list[Axis]:
    """Return the axes by two lines on two peaks that are worth a try."""
    peaks = search.peaks.strongest(_N_PEAKS)
    energies = np.sort([line.energy for line in search.lines])
    i, j = np.triu_indices(len(energies), 1)
    p, q = np.triu_indices(len(peaks), 1)
    gains = (energies[j] - energies[i])[:, None] / (peaks.channels[q] - peaks.channels[p])
    zeros = energies[i][:, None] - gains * peaks.channels[p]
    axes = np.stack([zeros.ravel(), gains.ravel()], axis=1)
    last = float(peaks.channels[-1])
    if start is not None:
        axes = axes[_are_near(axes, start, last)]
    else:
        usual = usual_width(0.5 * (energies[i] + energies[j]))[:, None]
        ratios = FWHM * gains * 0.5 * (peaks.sigmas[p] + peaks.sigmas[q]) / usual
        is_usual = (ratios > NARROWEST) & (ratios < WIDEST) & (np.abs(zeros) < MOST_ZERO)
        axes = axes[is_usual.ravel()]
    axes = axes[np.argsort(-_rough_scores(axes, peaks, search.lines))]
    chosen = _distinct(axes, last, search, _N_TRIED)
    return [(float(zero), float(gain)) for zero, gain in axes[chosen]]


def _distinct(axes: np.ndarray, last: float, search: _Search, n_most: int) -> list[int]:
    """Return the numbers of the first axes that differ somewhere up to a channel."""
    sigma = float(np.median(search.peaks.sigmas))
    chosen: list[int] = []
    ends = np.zeros((0, 2))
    for k, (zero, gain) in enumerate(axes):
        own = zero + gain * np.array([0.0, last])
        if (np.abs(ends - own).max(axis=1) > _APART * gain * sigma).all():
            chosen.append(k)
            ends = np.vstack([ends, own])
        if len(chosen) == n_most:
            break
    return chosen


def _are_near(axes: np.ndarray, start: Axis, last: float) -> np.ndarray:
    """Tell which axes are near to the start, up to the last peak."""
    zeros, gains = axes.T
    near_gain, near = _NEAR_START
    off = np.maximum(
        np.abs(zeros - start[0]),
        np.abs(zeros + gains * last - start[0] - start[1] * last),
    )
    return (np.abs(gains / start[1] - 1) < near_gain) & (off < near * start[1] * last)


def _rough_scores(axes: np.ndarray, peaks: Peaks, lines: Sequence[Line]) -> np.ndarray:
    """Score axes by how much of the peaks' areas, as roots, shells of lines make up.

    A shell is as strong as its lines and the peaks that they are on agree on; where there is
    no peak it is weaker for that.
    """
    energies = np.array([line.energy for line in lines])
    strengths = np.array([line.strength for line in lines]) ** 0.5
    areas = np.minimum(peaks.areas, _MOST_AREA * np.median(peaks.areas))
    shells = [(line.element, line.letters[0]) for line in lines]
    found = np.zeros((len(axes), len(peaks)))
    for shell in dict.fromkeys(shells):
        of = np.array([s == shell for s in shells])
        channels = (energies[of] - axes[:, :1]) / axes[:, 1:]
        off = (channels[:, :, None] - peaks.channels) / peaks.sigmas
        claimed = (np.exp(-0.5 * off**2) * strengths[of][:, None]).sum(axis=1)
        amount = claimed @ np.sqrt(areas) / (strengths[of] ** 2).sum()
        found += (claimed * amount[:, None]) ** 2
    return np.minimum(found, areas).sum(axis=1)


def _try(search: _Search, axis: Axis) -> _Hypothesis:
    """Score an axis by what the elements' groups of lines explain with it."""
    columns, owners, areas = _fit_groups(search, axis)
    if not len(columns):
        return _Hypothesis(axis, -math.inf)
    fitted, net, weights = areas @ columns, search.net, search.roots**2
    left = weights @ (net - fitted) ** 2 / (weights @ net**2)
    evidence = areas**2 * (columns**2 @ weights)
    each = zip(owners, evidence, strict=True)
    seen = frozenset(owner for owner, e in each if owner and e > _SEEN)
    counted = np.minimum(fitted, net).sum() / net.sum()
    over = (fitted - net).clip(0).sum() / net.sum()
    explained = max(0.0, 0.5 * (1 - left) + 0.5 * (counted - over))
    missing = 1 - len(seen) / len(search.elements)
    score = explained - _OF_MISSING * missing - _penalty(search, axis)
    return _Hypothesis(axis, float(score), float(explained), seen)


def _penalty(search: _Search, axis: Axis) -> float:
    """Return what is taken off for an unusual zero, gain or width of peaks.

    Zero is near 0, and the gain about a round number. Squares of widths grow with energy by
    the Fano factor times the energy of a pair, whatever the detector.
    """
    zero, gain = axis
    energies = np.array([line.energy for line in search.lines])
    channels = (energies - zero) / gain
    inside = (channels > 0) & (channels < search.net.size)
    if not inside.any():
        return 1.0
    ratio = FWHM * gain * search.width(channels[inside]) / usual_width(energies[inside])
    unusual = max(0.0, abs(math.log(np.median(ratio)) - 0.15) - 0.25)
    expected = DETECTOR.fano * PAIR_KEV["Si"] / gain
    off = (search.width.slope / expected - 1) / math.hypot(
        0.35, search.width.slope_error / expected
    )
    far = min(1.0, abs(zero) / 0.5) + abs(zero)
    uneven = np.abs(np.log(1000 * gain / _ROUND_EV)).min() / _FAR_FROM_ROUND
    usual = 0.02 * far + 0.06 * min(1.0, uneven)
    return usual + 0.05 * unusual + 0.05 * min(6.0, off**2)


def _fit_groups(search: _Search, axis: Axis) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return spectra of the elements' shells and of 0 keV, whose they are, and their areas."""
    from scipy.optimize import nnls

    shapes = list(_shapes(search, axis))
    owners = [owner for owner, _ in shapes]
    if not any(owners):
        return np.zeros((0, search.net.size)), [], np.zeros(0)
    rows = np.repeat(np.arange(len(shapes)), [len(peaks) for _, peaks in shapes])
    columns = draw_peaks(np.concatenate([p for _, p in shapes]), rows, search.net.size)
    areas, _ = nnls((columns * search.roots).T, search.net * search.roots)
    return columns, owners, areas


def _shapes(search: _Search, axis: Axis) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the peaks of each shell within the spectrum, and its element."""
    zero, gain = axis
    for element, shell in itertools.product(search.elements, SHELLS):
        lines = group(element, shell, _ANY)
        if lines is None or lines.energy <= LEAST_KEV:
            continue
        if not 0 < (lines.energy - zero) / gain < search.net.size:
            continue
        channels = (lines.energies - zero) / gain
        seen = lines.weights * DETECTOR.efficiency(lines.energies)
        each = [channels, search.width(channels), seen / seen.sum()]
        yield element, np.stack(each, axis=1)
    nought = -zero / gain
    if 0 < nought < search.net.size:  # a peak that some electronics record at 0 keV
        yield "", np.array([[nought, search.sigma(nought), 1.0]])


def _improve(search: _Search, found: _Hypothesis) -> _Hypothesis:
    """Move a hypothesis to where its score is best nearby."""
    from scipy.optimize import minimize

    zero, gain = found.axis
    middle = 0.5 * search.net.size
    step = search.sigma(middle) * gain

    def moved(values: np.ndarray) -> Axis:
        more = values[1] * step / middle
        return zero + values[0] * step - more * 0.5 * middle, gain + more

    result = minimize(
        lambda values: -_try(search, moved(values)).score,
        np.zeros(2),
        method="Nelder-Mead",
        options={"maxfev": 60, "initial_simplex": [[0, 0], [0.3, 0], [0, 0.3]]},
    )
    return _try(search, moved(result.x))


def _judge(search: _Search, found: _Hypothesis) -> _Answer | None:
    """Fit the axis to the lines that are peaks of their own, and lower the score for others.

    Who names elements sees their peaks. The strongest one may be of an element that is not
    named, and a hypothesis that takes it for a line of theirs explains much of the spectrum,
    but leaves the other lines without peaks, or beside them.
    """
    axis = found.axis
    for _ in range(_N_FITS):
        pairs = list(_lines_on_peaks(search, axis))
        if not pairs or not axis[1] > 0:
            return None
        lines = [line for line, _ in pairs]
        peaks = search.peaks.choose(np.array([number for _, number in pairs]))
        energies = seen_energies(lines, peaks, axis)
        axis = fit_axis(peaks, energies, lines, axis if len(pairs) == 1 else None)
    own = {line.element for line in lines}
    calibration = Calibration(
        *axis,
        matched(lines, peaks, energies, axis),
        "elements",
        tuple(name for name in search.elements if name not in own),
        found.explained,
    )
    off = np.abs(axis[0] + axis[1] * peaks.channels - energies) / axis[1]
    worst = float((off / (_BESIDE * peaks.sigmas + _ERRORS * peaks.errors)).max())
    hidden = len(found.seen - own) / len(search.elements)
    lost = _OF_MISSING * (hidden + min(1.0, max(0.0, worst - 1)))
    return _Answer(calibration, found.score - lost)


def _choose(answers: list[_Answer], search: _Search) -> Calibration:
    """Return the best answer, if it is clearly better than all others."""
    is_sure = bool(answers) and len(answers[0].calibration.lines) > 2
    named = ", ".join(search.elements)
    if not answers or answers[0].score < (_LEAST_SCORE if is_sure else _LEAST_OF_TWO):
        raise ValueError(
            f"The lines of {named} fit the peaks in no way that is sure: the strongest are at "
            f"channels {list_channels(search.peaks.strongest(8).channels)}. Give two lines "
            f"and their channels, like {_as_given({'Fe_Ka': 640, 'Ca_Ka': 369})}, or all "
            "elements that have strong peaks."
        )
    best = answers[0]
    clear = _CLEAR if is_sure else _CLEAR_OF_TWO
    for other in answers[1:]:
        is_close = best.score - other.score < clear * best.score
        if is_close and not _are_same(best.calibration, other.calibration, search):
            raise ValueError(
                f"The lines of {named} fit the peaks in several ways: "
                f"{_describe(best.calibration)}; or {_describe(other.calibration)}. Give the "
                "lines and channels of the right one, or name more elements."
            )
    return best.calibration


def _are_same(one: Calibration, other: Calibration, search: _Search) -> bool:
    middle = np.array([0.3, 0.7]) * search.net.size
    sigma = one.gain * float(search.width(middle).mean())
    apart = abs((other.zero - one.zero) + (other.gain - one.gain) * middle)
    return bool(apart.max() < _FAR_APART * sigma)


def _describe(one: Calibration) -> str:
    lines = {line.name: round(line.channel, 1) for line in one.lines}
    return f"{one.zero:.3f} keV + {1000 * one.gain:.3f} eV x channel, {_as_given(lines)}"


def _as_given(lines: dict[str, float]) -> str:
    """Return lines and channels as a user gives them."""
    pairs = ",".join(f"{name}={channel:g}" for name, channel in lines.items())
    return f"{lines} (in a terminal {pairs})"


def _lines_on_peaks(search: _Search, axis: Axis) -> Iterator[tuple[Line, int]]:
    """Yield lines with the peaks that are mostly theirs, strong lines first."""
    columns, owners, areas = _fit_groups(search, axis)
    zero, gain = axis
    taken: set[int] = set()
    for line in sorted(search.lines, key=lambda one: -one.strength):
        channel = (line.energy - zero) / gain
        if not 0 < channel < search.net.size - 1:
            continue
        off = np.abs(search.peaks.channels - channel) / search.peaks.sigmas
        number = int(off.argmin())
        heights = areas * columns[:, round(channel)]
        own = heights[[owner == line.element for owner in owners]].sum()
        is_own = own > 0.6 * heights.sum() and own > 0.4 * search.net[round(channel)]
        if off[number] < 1.2 and is_own and number not in taken:
            taken.add(number)
            yield line, number
