"""Peaks of one spectrum: where they are, and how wide."""

import math
from dataclasses import dataclass

import numpy as np

_LEAST_SIGMA = 0.8  # channels, of a peak
_N_SCALES = 16  # at which peaks are looked for
_BROADEST = 1 / 25  # of the channels
_SIGNIFICANT = 4.5  # of a peak, in standard deviations
_MODEL_ERROR = 0.01  # of a smooth curve: less of it is no peak, however many counts
_N_WIDTHS = 12  # strongest peaks that the widths are measured on
_REACH = 1.6  # of a fit on both sides of a peak, in its standard deviations
_APART = 5.0  # standard deviations, beyond which peaks are fitted one by one
_MOST_TOGETHER = 6
_FLOOR = 0.05  # counts of the variance of a channel without any


@dataclass(frozen=True, eq=False)
class Peaks:
    """Peaks of a spectrum, ascending; all are float64 of shape (peaks,).

    Attributes
    ----------
    channels
        Centres.
    errors
        Standard deviations of the centres.
    areas
        Counts above the background.
    sigmas
        Standard deviations of the peaks, channels.
    evidence
        Of each, in standard deviations of the counts.
    """

    channels: np.ndarray
    errors: np.ndarray
    areas: np.ndarray
    sigmas: np.ndarray
    evidence: np.ndarray

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.channels)

    def strongest(self, n: int) -> "Peaks":
        """Return those with the most evidence, ascending."""
        return self.choose(np.sort(np.argsort(-self.evidence)[:n]))

    def choose(self, which: np.ndarray) -> "Peaks":
        """Return some of them."""
        return Peaks(
            self.channels[which],
            self.errors[which],
            self.areas[which],
            self.sigmas[which],
            self.evidence[which],
        )


def check_spectrum(spectrum: np.ndarray) -> np.ndarray:
    """Return a spectrum as float64.

    Parameters
    ----------
    spectrum
        Counts, shape (channels,).

    Raises
    ------
    ValueError
        It is none: of another shape, not finite, or without counts.
    """
    found = np.asarray(spectrum, dtype=np.float64)
    if found.ndim != 1 or found.size < 16:
        raise ValueError(
            f"The spectrum is of shape {np.shape(spectrum)}, expected one of 16 channels or "
            "more."
        )
    n_wrong = int(np.count_nonzero(~np.isfinite(found)))
    if n_wrong:
        raise ValueError(
            f"The spectrum has {n_wrong} channels that are not finite, expected counts: crop "
            "these channels, or fill them."
        )
    if not found.max() > 0:
        raise ValueError("The spectrum has no counts, expected some: nothing is in it.")
    return found


def find_peaks(spectrum: np.ndarray, sigma: float | None = None) -> Peaks:
    """Find the peaks of a spectrum, whatever their width.

    Parameters
    ----------
    spectrum
        Counts, shape (channels,).
    sigma
        Standard deviation of peaks in channels, about; None measures it on the strongest.

    Returns
    -------
    Peaks
        Those that stand out by 4.5 standard deviations and 1 % of the counts, each with its
        place by a fit of a Gaussian on a line.

    Raises
    ------
    ValueError
        It is no spectrum, or has no counts.

    Notes
    -----
    The second derivative of the spectrum, smoothed by Gaussians of several widths, over its
    standard deviation (Mariscotti, Nucl. Instrum. Methods 50 (1967) 309). The width is the
    one that fits of the strongest peaks agree on, growing with the channel as that of a
    detector does.

    Examples
    --------
    >>> import numpy as np
    >>> channels = np.arange(1000)
    >>> spectrum = 20 + 500 * np.exp(-0.5 * ((channels - 640.3) / 6) ** 2)
    >>> find_peaks(np.round(spectrum)).channels.round(1).tolist()
    [640.3]
    """
    counts = check_spectrum(spectrum)
    width = _measure_width(counts) if sigma is None else _constant(sigma)
    if width is None:
        return _no_peaks()
    places, evidence = _stand_out(counts, width)
    return _refine(counts, places, evidence, width)


@dataclass(frozen=True)
class Width:
    """Standard deviation of peaks in channels: the root of a line, within limits.

    Attributes
    ----------
    start, slope
        Of its square at channel 0, and by channel.
    low, high
        Limits of the standard deviation.
    slope_error
        Standard deviation of `slope`; infinite if it was not fitted.
    """

    start: float
    slope: float
    low: float
    high: float
    slope_error: float = math.inf

    def __call__(self, channels: np.ndarray) -> np.ndarray:
        """Return the standard deviation at some channels."""
        square = self.start + self.slope * np.maximum(channels, 0)
        return np.clip(np.sqrt(square), self.low, self.high)


def _constant(sigma: float) -> Width:
    return Width(float(sigma) ** 2, 0.0, float(sigma), float(sigma))


def _no_peaks() -> Peaks:
    return Peaks(*np.zeros((5, 0)))


def _curvature(counts: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much the channels stand out, and the variance of that."""
    reach = math.ceil(4.5 * sigma) + 1
    x = np.arange(-reach, reach + 1) / sigma
    kernel = (1 - x**2) * np.exp(-0.5 * x**2)
    kernel -= kernel.mean()
    padded = np.pad(counts, reach, mode="reflect" if counts.size > reach else "edge")
    response = np.convolve(padded, kernel, mode="valid")
    noise = np.maximum(padded, 0) + _FLOOR
    return response, np.convolve(noise, kernel**2, mode="valid")


def _local_maxima(values: np.ndarray, least: float) -> np.ndarray:
    inner = values[1:-1]
    is_top = (inner > values[:-2]) & (inner >= values[2:]) & (inner > least)
    return np.flatnonzero(is_top) + 1


def gaussian_width(counts: np.ndarray) -> Width:
    """Return the standard deviation of peaks in channels, a function of the channel.

    Parameters
    ----------
    counts
        float64, shape (channels,).
    """
    return _measure_width(counts) or _constant(3.0)


def _measure_width(counts: np.ndarray) -> Width | None:
    """Return the width of peaks by channel, from fits of the strongest; None without any."""
    scales = np.geomspace(_LEAST_SIGMA, max(2.0, _BROADEST * counts.size), _N_SCALES)
    curves = [_curvature(counts, scale) for scale in scales]
    evidence = np.array([response / np.sqrt(noise) for response, noise in curves])
    chosen: list[tuple[int, float]] = []
    for place, _ in _by_evidence(evidence, scales):
        scale = _best_scale(evidence, scales, place)
        if all(abs(place - other) > 2.5 * max(scale, s) for other, s in chosen):
            chosen.append((place, scale))
        if len(chosen) == _N_WIDTHS:
            break
    fits = [fit_one(counts, place, scale) for place, scale in chosen]
    known = np.array([fit for fit in fits if fit is not None])
    if not len(known):
        return _constant(chosen[0][1]) if chosen else None
    return _fit_width(*known.T)


def _by_evidence(evidence: np.ndarray, scales: np.ndarray) -> list[tuple[int, float]]:
    """Return places that stand out at some scale, and the scale, the clearest first."""
    found = []
    for of_scale, scale in zip(evidence, scales, strict=True):
        found += [
            (of_scale[place] / np.sqrt(scale), int(place), float(scale))
            for place in _local_maxima(of_scale, _SIGNIFICANT)
        ]
    return [(place, scale) for _, place, scale in sorted(found, reverse=True)]


def _best_scale(evidence: np.ndarray, scales: np.ndarray, place: int) -> float:
    """Return about the width of a peak: beyond it the evidence grows no more."""
    heights = []
    for of_scale, scale in zip(evidence, scales, strict=True):
        reach = math.ceil(0.7 * scale)
        near = of_scale[max(0, place - reach) : place + reach + 1]
        heights.append(near.max() / scale if near.max() > 3 else 0.0)
    return float(scales[int(np.argmax(heights))])


def _fit_width(channels: np.ndarray, sigmas: np.ndarray, errors: np.ndarray) -> Width:
    """Fit the squares of widths by a line that does not fall; blends and scatter are wider."""
    spread = np.maximum(errors, 0.04 * sigmas)
    middle = _weighted_median(sigmas, 1 / spread)
    near = np.abs(np.log(sigmas / middle)) < 0.45
    c, s, e = channels[near], sigmas[near], spread[near]
    if len(c) < 4 or np.ptp(c) < 10 * middle:
        return _constant(middle)
    from scipy.optimize import nnls

    weights = 1 / (2 * s * e)
    for _ in range(8):
        matrix = np.stack([np.ones_like(c), c], axis=1) * weights[:, None]
        (start, slope), _rest = nnls(matrix, s**2 * weights)
        fitted = np.sqrt(start + slope * c)
        weights = 1 / (2 * s * e * np.where(s > 1.1 * fitted, 6.0, 1.0))
    off = (s**2 - start - slope * c) * weights
    variance = np.linalg.inv(matrix.T @ matrix)[1, 1]
    # Blends are wide, and few peaks tell little.
    error = math.sqrt(variance * max(4.0, off @ off / (len(c) - 2)))
    return Width(float(start), float(slope), 0.5 * middle, 2.5 * middle, error)


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(share, 0.5)])


def fit_one(
    counts: np.ndarray, place: float, sigma: float
) -> tuple[float, float, float] | None:
    """Fit a Gaussian on a line to a peak.

    Parameters
    ----------
    counts
        float64, shape (channels,).
    place, sigma
        About its centre and its standard deviation, channels.

    Returns
    -------
    tuple of float or None
        Centre, standard deviation, and the error of that; None if there is none.
    """
    from scipy.optimize import least_squares

    low = max(0, math.floor(place - _REACH * sigma - 1))
    high = min(counts.size, math.ceil(place + _REACH * sigma + 2))
    x, y = np.arange(low, high, dtype=float), counts[low:high]
    if len(x) < 6:
        return None
    weight = 1 / np.sqrt(np.maximum(y, 0) + (_MODEL_ERROR * y) ** 2 + 1)

    def linear(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        peak = np.exp(-0.5 * ((x - place - values[0] * sigma) / np.exp(values[1])) ** 2)
        columns = np.stack([peak, np.ones_like(x), (x - place) / len(x)], axis=1)
        areas, *_ = np.linalg.lstsq(columns * weight[:, None], y * weight, rcond=None)
        return columns @ areas, areas

    fit = least_squares(
        lambda values: (linear(values)[0] - y) * weight,
        [0.0, math.log(sigma)],
        bounds=([-1.0, math.log(sigma / 3)], [1.0, math.log(sigma * 2)]),
        max_nfev=30,
    )
    height = linear(fit.x)[1][0]
    is_bound = fit.active_mask.any()
    if is_bound or height <= 0:
        return None
    information = fit.jac.T @ fit.jac
    try:
        spread = math.sqrt(max(np.linalg.inv(information)[1, 1], 0.0))
    except np.linalg.LinAlgError:
        return None
    found = math.exp(fit.x[1])
    return place + fit.x[0] * sigma, found, spread * found


def _stand_out(counts: np.ndarray, width: Width) -> tuple[np.ndarray, np.ndarray]:
    """Return channels of peaks of a known width, and the evidence for each."""
    sigmas = width(np.arange(counts.size))
    scales = np.unique(np.round(np.geomspace(sigmas.min(), sigmas.max(), 5), 3))
    tops = []
    for scale in scales:
        response, variance = _curvature(counts, scale)
        model = _MODEL_ERROR * math.sqrt(2 * math.pi) * scale * np.maximum(counts, 0)
        tops.append(
            np.stack([response, variance, response / np.hypot(variance**0.5, model)])
        )
    stacked = np.array(tops)
    nearest = np.abs(np.log(scales[:, None] / sigmas)).argmin(axis=0)
    response, variance, tested = stacked[nearest, :, np.arange(counts.size)].T
    places = _local_maxima(response, 0.0)
    places = places[tested[places] > _SIGNIFICANT]
    return places, (response / np.sqrt(variance))[places]


def _refine(
    counts: np.ndarray, places: np.ndarray, evidence: np.ndarray, width: Width
) -> Peaks:
    """Fit each peak with those that are near."""
    sigmas = width(places)
    rows = []
    start = 0
    for i in range(1, len(places) + 1):
        is_end = i == len(places) or places[i] - places[i - 1] > _APART * sigmas[i]
        if is_end or i - start == _MOST_TOGETHER:
            rows += _fit_together(counts, places[start:i], sigmas[start:i])
            start = i
    if not rows:
        return _no_peaks()
    centres, errors, areas, fitted = np.array(rows).T
    order = np.argsort(centres)
    found = Peaks(centres, errors, areas, fitted, evidence.astype(float)).choose(order)
    return _without_doubles(found.choose(found.areas > 0))


def _without_doubles(found: Peaks) -> Peaks:
    """Leave out peaks that were fitted to where a clearer one is."""
    kept: list[int] = []
    for i in np.argsort(-found.evidence * np.sqrt(found.areas)):
        apart = np.abs(found.channels[kept] - found.channels[i])
        if (apart > found.sigmas[i]).all():
            kept.append(int(i))
    return found.choose(np.sort(np.array(kept, dtype=int)))


def _fit_together(
    counts: np.ndarray, places: np.ndarray, sigmas: np.ndarray
) -> list[tuple[float, float, float, float]]:
    """Fit Gaussians of one factor on their widths, and a line."""
    from scipy.optimize import least_squares, nnls

    low = max(0, math.floor(places[0] - _REACH * sigmas[0] - 1))
    high = min(counts.size, math.ceil(places[-1] + _REACH * sigmas[-1] + 2))
    x, y = np.arange(low, high, dtype=float), counts[low:high]
    weight = 1 / np.sqrt(np.maximum(y, 0) + (_MODEL_ERROR * y) ** 2 + 1)
    ramp = (x - low) / len(x)

    def linear(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = sigmas * np.exp(values[-1])
        centres = places + values[:-1] * sigmas
        peaks = np.exp(-0.5 * ((x[:, None] - centres) / own) ** 2)
        columns = np.column_stack([peaks, 1 - ramp, ramp])
        heights, _ = nnls(columns * weight[:, None], y.clip(0) * weight)
        return columns @ heights, heights

    bounds = np.full(len(places) + 1, 0.8)
    bounds[-1] = math.log(1.6)
    fit = least_squares(
        lambda values: (linear(values)[0] - y) * weight,
        np.zeros(len(places) + 1),
        bounds=(-bounds, bounds),
        max_nfev=25,
    )
    heights = linear(fit.x)[1][: len(places)]
    information = fit.jac.T @ fit.jac + 1e-9 * np.eye(len(fit.x))
    errors = np.sqrt(np.diag(np.linalg.inv(information)))[:-1] * sigmas
    own = sigmas * math.exp(fit.x[-1])
    centres = places + fit.x[:-1] * sigmas
    areas = heights * own * math.sqrt(2 * math.pi)
    return list(zip(centres, np.minimum(errors, sigmas), areas, own, strict=True))
