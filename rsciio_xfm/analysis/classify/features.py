"""Spectra as features: a window of channels, rebinned and scaled, in whole steps.

Features are never kept: each pass over the map makes them again, piece by piece. They are
whole multiples of a step, so small that it drowns in counting noise. Sums of their products
are then sums of whole numbers below 2**53: exact in float64, and so the same whatever the
chunks, the scheduler and the order of work. (Of spectra that are floats the weights of the
features come from sums that are not exact; they are rounded to 32 bits.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rsciio_xfm.core.checks import is_whole
from rsciio_xfm.core.later import da
from rsciio_xfm.core.reduce import Images, Part, Piece, by_type, run
from rsciio_xfm.core.to_dask import take
from rsciio_xfm.core.warning import warn
from rsciio_xfm.kernels.bins import add_bins

SCALINGS = ("poisson", "sqrt", "log", "none")
MAX_FEATURES = 512  # that "auto" rebins to
_EXACT_BITS = 53  # of float64
_FEATURE_BITS = 16
# Of a step, in standard deviations of the features. What is then beyond the highest multiple
# of the step, at least 500 of them, is cut off: it is a fault, not a phase.
_MOST_STEP = 1 / 16


@dataclass(frozen=True)
class Features:
    """How the spectra of a map become features; see :func:`prepare`.

    Attributes
    ----------
    data
        The spectra, channels along the last axis.
    used
        bool, shape of the navigation axes: False for what is masked.
    start, rebin, n_features
        First channel, channels that make a feature, how many features.
    scaling
        Of :data:`SCALINGS`.
    weights
        float64, shape (n_features,): what a feature is multiplied by after scaling.
    step, limit
        What the features are whole multiples of, and the highest multiple.
    """

    data: Any
    used: np.ndarray
    start: int
    rebin: int
    n_features: int
    scaling: str
    weights: np.ndarray
    step: float
    limit: float

    @property
    def n_used(self) -> int:
        """How many spectra are not masked."""
        return int(np.count_nonzero(self.used))

    def bare(self) -> Features:
        """Return the features without the map, which a task is given in pieces."""
        return replace(self, data=None)


def prepare(
    data: np.ndarray | da.Array,
    channels: tuple[int, int] | None = None,
    rebin: int | str = "auto",
    scaling: str = "poisson",
    navigation_mask: np.ndarray | None = None,
    min_counts: float = 1,
) -> Features:
    """Choose features of the spectra of a map, in one pass.

    Parameters
    ----------
    data
        Spectra, channels along the last axis.
    channels
        Window of channels, half-open; None takes all.
    rebin
        How many channels make one feature; ``"auto"`` makes at most 512 features. Channels
        that are left over at the end are left out.
    scaling
        ``"poisson"``: divided by the square root of their mean, so that counting noise is the
        same in all features; ``"sqrt"`` of the counts, so that it is the same in all
        spectra too; ``"log"`` of 1 + counts; or ``"none"``.
    navigation_mask
        bool, shape of the navigation axes; True leaves a spectrum out.
    min_counts
        Spectra with fewer counts in the window are left out, and those with any NaN or
        infinity.

    Returns
    -------
    Features
        What the other functions need to go through the map.

    Raises
    ------
    ValueError
        An argument does not suit the map, or all spectra are masked.

    Examples
    --------
    >>> import numpy as np
    >>> features = prepare(np.array([[4, 1, 0], [0, 0, 0]], dtype=np.uint8), scaling="sqrt")
    >>> features.used.tolist(), features.n_features
    ([True, False], 3)
    """
    start, rebin, n_features = _check_features(data, channels, rebin, scaling, min_counts)
    used = _check_mask(data, navigation_mask)
    blank = Features(
        data=take(data, (..., slice(start, start + n_features * rebin))),
        used=used,
        start=start,
        rebin=rebin,
        n_features=n_features,
        scaling=scaling,
        weights=np.ones(n_features),
        step=1.0,
        limit=1.0,
    )
    survey = _Survey(blank.bare(), min_counts)
    ((total, squares, peak, counts),) = run(blank.data, survey)
    used = used & (counts >= min_counts)
    n_used = int(np.count_nonzero(used))
    if not n_used:
        raise ValueError(
            f"All {used.size} spectra are masked, empty or have fewer counts than "
            f"{min_counts} in channels {start} to {start + n_features * rebin - 1}, expected "
            "some to classify."
        )
    moments = total / n_used, squares / n_used, peak
    weights, step, limit = _choose_steps(blank, n_used, *moments)
    return replace(blank, used=used, weights=weights, step=step, limit=limit)


def _check_features(
    data: np.ndarray | da.Array,
    channels: tuple[int, int] | None,
    rebin: int | str,
    scaling: str,
    min_counts: float,
) -> tuple[int, int, int]:
    """Return the first channel, how many make a feature, and how many features there are."""
    if data.dtype.kind not in "biuf":
        raise ValueError(f"The spectra are {data.dtype}, expected real numbers.")
    if not isinstance(min_counts, int | float | np.number) or isinstance(
        min_counts, bool
    ):
        raise ValueError(f"min_counts is {min_counts!r}, expected a number.")
    if scaling not in SCALINGS:
        raise ValueError(
            f"scaling is {scaling!r}, expected one of {', '.join(SCALINGS)}."
        )
    start, stop = (0, data.shape[-1]) if channels is None else channels
    if not 0 <= start < stop <= data.shape[-1]:
        raise ValueError(
            f"channels is ({start}, {stop}), expected start < stop within 0 and "
            f"{data.shape[-1]}, the number of channels."
        )
    if rebin == "auto":
        rebin = max(1, math.ceil((stop - start) / MAX_FEATURES))
    if not is_whole(rebin) or not 1 <= rebin <= stop - start:
        raise ValueError(
            f"rebin is {rebin!r}, expected 'auto' or a whole number from 1 to {stop - start}."
        )
    return int(start), int(rebin), int((stop - start) // rebin)


def _check_mask(data: np.ndarray | da.Array, navigation_mask: Any) -> np.ndarray:
    """Return which spectra may be used."""
    used = np.ones(data.shape[:-1], dtype=bool)
    if navigation_mask is not None:
        mask = np.asarray(navigation_mask)
        if mask.dtype != bool or mask.shape != used.shape:
            raise ValueError(
                f"navigation_mask is a map of {mask.dtype}, shape {mask.shape}, expected a "
                f"boolean one of shape {used.shape}."
            )
        used &= ~mask
    if data.dtype.kind == "f":  # NaN and infinity, in the window or not
        with np.errstate(all="ignore"):
            used &= np.isfinite(np.asarray(data.sum(axis=-1)))
    return used


def _choose_steps(
    features: Features,
    n_used: int,
    mean: np.ndarray,
    mean_square: np.ndarray,
    peak: np.ndarray,
) -> tuple[np.ndarray, float, float]:
    """Return weights, step and limit of the features, from their moments and maxima."""
    scaling, kind = features.scaling, features.data.dtype.kind
    variance = np.maximum(mean_square - mean**2, 0)
    bits = min(_FEATURE_BITS, (_EXACT_BITS - math.ceil(math.log2(n_used + 1))) // 2)
    limit = 2.0**bits - 1
    weights = np.ones(features.n_features)
    if scaling == "poisson":
        weights = _weights(mean, variance, kind == "f", n_used)
    highest = peak.copy()
    _scale(highest, scaling)
    step = max(float((highest * weights).max()), 1e-300) / limit
    if scaling in ("poisson", "none"):  # one hot pixel must not make the steps coarse
        spread = np.sqrt(variance) * weights
        spread = spread[spread > 0]
        if spread.size:
            noise = np.percentile(spread, 50 if scaling == "poisson" else 95)
            step = min(step, _MOST_STEP * float(noise))
    if scaling == "none" and kind in "biu":
        step = max(step, 1.0)  # counts are whole numbers already
    # Whatever the order in which floats were added up.
    return weights, float(np.float32(step)), limit


def _weights(
    mean: np.ndarray, variance: np.ndarray, is_float: bool, n_spectra: int
) -> np.ndarray:
    """Return what gives all features the same counting noise.

    Numbers that are no counts have noise of another origin too. The least variance of a
    feature is about that; where the mean does not stand out, the variance is the noise.
    """
    noise = mean
    if is_float:
        error = np.sqrt(variance / n_spectra)
        if (mean < -5 * error).any():
            warn(
                "The means of spectra are below 0, which counts are not: for what is left "
                "after a subtraction use scaling='none'."
            )
        there = variance > 1e-12 * variance.max(initial=0.0)
        floor = variance[there].min(initial=np.inf)
        noise = np.where(mean > 5 * error, np.maximum(mean, floor), variance)
        noise = np.where(there, noise, 0) if there.any() else mean
    is_there = noise > 0
    weights = np.where(is_there, 1 / np.sqrt(np.where(is_there, noise, 1)), 0)
    # Whatever the order in which floats were added up.
    return weights.astype(np.float32).astype(np.float64)


@dataclass(frozen=True)
class _Survey(Images):
    """Sum, sum of squares and maximum of each feature, and each spectrum's counts."""

    features: Features
    min_counts: float

    def kind(self, dtype: np.dtype) -> tuple[int, np.dtype]:
        return 1, np.dtype(float)

    def begin(self, part: Part) -> Any:
        return np.zeros((3, self.features.n_features)), super().begin(part)

    def add(self, state: Any, piece: Piece) -> Any:
        (total, squares, peak), counts = moments, _ = state
        binned = _bin(piece.rows, piece.first, self.features)
        sums = binned.sum(axis=1)
        super().put(counts, piece, sums)
        inside = self.features.used[piece.place].ravel()
        wanted = binned[inside & (sums >= self.min_counts)]
        if len(wanted):
            total += wanted.sum(axis=0)
            squares += np.einsum("ij,ij->j", wanted, wanted)
            np.maximum(peak, wanted.max(axis=0), out=peak)
        return moments, counts

    def merge(self, states: list[Any]) -> Any:
        moments, counts = zip(*states, strict=True)
        totals, squares, peaks = zip(*moments, strict=True)
        sums = np.sum(totals, axis=0), np.sum(squares, axis=0)
        return (*sums, np.max(peaks, axis=0)), super().merge(list(counts))

    def finish(self, state: Any, whole: Part) -> Any:
        moments, counts = state
        return *moments, super().finish(counts, whole)[0]


def in_steps(spectra: np.ndarray, first: int, features: Features) -> np.ndarray:
    """Return the features as whole numbers of steps, float64."""
    values = _bin(spectra, first, features)
    _scale(values, features.scaling)
    values *= features.weights / features.step
    np.clip(values, -features.limit, features.limit, out=values)
    return np.rint(values, out=values)


def _bin(spectra: np.ndarray, first: int, features: Features) -> np.ndarray:
    """Return the counts of each feature, float64."""
    binned = np.empty((len(spectra), features.n_features))
    _add_bins(spectra, first, features.rebin, binned)
    return binned


def _add_bins_of_others(
    spectra: np.ndarray, first: int, rebin: int, binned: np.ndarray
) -> None:
    wanted = spectra[:, first : first + binned.shape[1] * rebin]
    wanted = wanted.reshape((*binned.shape, rebin))
    wanted.sum(axis=2, dtype=float, out=binned)


_add_bins = by_type(add_bins, _add_bins_of_others)


def _scale(values: np.ndarray, scaling: str) -> None:
    if scaling == "sqrt":
        np.sqrt(np.maximum(values, 0, out=values), out=values)
    elif scaling == "log":
        np.log1p(np.maximum(values, 0, out=values), out=values)
