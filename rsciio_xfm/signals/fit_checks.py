"""What a user is told of spectra, fits and maps that are not as they should be."""

import inspect
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rsciio_xfm.analysis.fit.matrix import dead_channels
from rsciio_xfm.analysis.fit.model import Fit, Model, calibrated, floored
from rsciio_xfm.analysis.fit.project import Projected
from rsciio_xfm.analysis.fit.suits import Comparison, Move, find_move
from rsciio_xfm.analysis.fit.unexplained import unexplained
from rsciio_xfm.core.reduce import run
from rsciio_xfm.core.warning import warn

# Root mean square, of the counts: no model of these spectra, or not of this map's.
_MOST_MISFIT, _MOST_OF_MAPS = 0.5, 0.2
_BAD_CHI2, _MOST_PEAKS = 10.0, 3  # times that of a good fit; peaks that are told
# Of a map that a model was not fitted to: what it leaves at least, of the counts, and times
# what it left where it was fitted; and of what it leaves, which part moved peaks explain.
_LEAST_OF_MAP, _WORSE, _LEAST_EXPLAINED = 0.03, 1.5, 0.5
_MOST_SHIFT, _MOST_WIDER = 0.03, 0.06  # of peaks, mean, of their width
_CLEAR, _BIAS = 5, 0.02  # standard errors of a mean, and what it may be off
_MOST_SHOWN = 5
# Relative, of lines and background: tables, shapes of peaks and phases of a sample differ from
# any model by 1 to 3 %.
_MODEL_ERROR = 0.02
_LEAST_NOISE = 0.2  # of what counts have
_PER_COMPONENT = 5  # channels at least, if noise is looked at
_WIDEST_KEV = 0.15  # a channel, beyond which areas are off by more than sigma
_QUESTION = (
    "Are the elements all there are, energies, excitation and energy_range right, and the "
    "spectra counts? What is found is wrong if not."
)


def warn_of_fit(model: Model) -> None:
    """Warn of what makes the counts of a model that is fitted doubtful.

    Warns
    -----
    UserWarning
        Channels are dead or wider than peaks, the model does not describe the spectrum, or
        it has less noise than counts have.
    """
    fit = calibrated(model)
    if model.response.gain > _WIDEST_KEV:
        warn(
            f"A channel is {1000 * model.response.gain:.0f} eV wide, expected at most "
            f"{1000 * _WIDEST_KEV:.0f}: peaks are narrower, and counts of elements may be off "
            "by more than their sigma."
        )
    dead = np.flatnonzero(dead_channels(fit.basis, fit.spectrum))
    if dead.size:
        warn(
            f"There are no counts in channels {_ranges(dead)}, where there are many beside "
            "them or in the fit: they are left out."
        )
    misfit, left = _misfit_of(fit), _left_of(model)
    if misfit > _MOST_MISFIT or left:
        warn(
            f"The model does not describe the spectrum: chi2/n is {fit.chi2:.4g}, and they "
            f"differ by some {100 * misfit:.0f} %{left}. {_QUESTION}"
        )
    noise = _noise_of(fit)
    if noise < _LEAST_NOISE:
        warn(
            f"The spectrum, of up to {fit.spectrum.max():.4g} in a channel, has {noise:.2g} "
            "times the variance that counts have, as if it were scaled or smoothed: sigma and "
            "detection limits, which are those of counts, are wrong."
        )


def _left_of(model: Model) -> str:
    """Say where the peaks are that a fit leaves, if it is far from a good one."""
    if not is_bad(calibrated(model)):
        return ""
    above = [(e, what) for e, sigma, what in unexplained(model) if sigma > 0]
    peaks = [f"{e:.2f} keV{f' ({what})' * bool(what)}" for e, what in above[:_MOST_PEAKS]]
    return f"; most is left at {', '.join(peaks)}" if peaks else ""


def is_bad(fit: Fit) -> bool:
    """Tell whether a fit is so far from a good one that its counts are wrong."""
    return fit.chi2 > _BAD_CHI2 * fair_chi2(fit)


def show_chi2(fit: Fit) -> str:
    """Return chi2/n, and beside that of a bad fit how much a good one has."""
    good = f", expected about {fair_chi2(fit):.1f}" if is_bad(fit) else ""
    return f"{fit.chi2:.2f}{good}"


def fair_chi2(fit: Fit) -> float:
    """Return chi2 per channel of a good fit: a model is wrong by 2 % where it is right.

    If each of n channels is off by a share e of its counts y, chi2 is larger than n by the sum
    of (e y)^2 / y: chi2/n is 1 + e^2 N / n, with N counts in all. Of 1e5 counts nothing is
    seen of that, of 1e7 in 2000 channels it is 3.
    """
    expected = fit.basis.expected
    return 1 + _MODEL_ERROR**2 * max(0.0, float(expected.sum())) / len(expected)


def _noise_of(fit: Fit) -> float:
    """Return the variance of what a fit leaves, relative to that of counts."""
    n_channels, n_components = fit.basis.columns.shape
    if n_channels < _PER_COMPONENT * n_components:
        return 1.0
    spectrum = fit.spectrum[fit.basis.first : fit.basis.stop]
    return float(((spectrum - fit.basis.expected) ** 2).sum() / np.abs(spectrum).sum())


def used_channels(model: Model, compared: Comparison | None = None) -> np.ndarray | None:
    """Return which channels maps are made of: all but dead ones; None: all.

    Parameters
    ----------
    model
        Fitted.
    compared
        With the sum of some spectra of the map, if the model is of another one.

    Warns
    -----
    UserWarning
        Channels are dead in the map that were not in the spectra that the model is of.
    """
    fit = calibrated(model)
    dead = dead_channels(fit.basis, fit.spectrum)
    if compared is not None:
        new = np.flatnonzero(compared.dead & ~dead)
        if new.size:
            warn(
                f"There are no counts in channels {_ranges(new)} of the map, where there are "
                "many beside them or by the model: they are left out."
            )
        dead[new] = True
    return ~dead if dead.any() else None


def warn_of_another_map(
    models: Sequence[Model],
    spectra: Sequence[np.ndarray],
    compared: Sequence[Comparison],
) -> bool:
    """Warn, once, of a map that models which were fitted to other spectra do not suit.

    Parameters
    ----------
    models
        Of each detector.
    spectra
        Sums of some spectra of each.
    compared
        Them with the models.

    Returns
    -------
    bool
        Whether there is something wrong.

    Warns
    -----
    UserWarning
        Peaks lie elsewhere or are wider than the model's, or the model does not describe
        the spectra, by far more than noise and what it lacks where it was fitted.
    """
    for i, (model, own) in enumerate(zip(models, compared, strict=True)):
        known = _misfit_of(calibrated(model))
        noise = _CLEAR * math.sqrt(2 * own.n_channels)
        if own.excess < noise or own.misfit < max(_LEAST_OF_MAP, _WORSE * known):
            continue
        words = _words_of(find_move(model, spectra[i], 1, own.excess))
        if words:
            detector = f"detector {i} of the map" if len(models) > 1 else "the map"
            warn(f"The model does not suit {detector}: {words}")
            return True
    return False


def _words_of(move: Move) -> str:
    """Say what is wrong with a model, if it is the peaks, or very much is left."""
    wrong = []
    if move.share > _MOST_SHIFT:
        wrong.append(
            f"its peaks are off by {100 * move.share:.0f} % of their width on average, "
            f"expected at most {100 * _MOST_SHIFT:.0f} %: that at {move.energy:.2f} keV is "
            f"{1000 * move.shift:+.1f} eV from where the model has it"
        )
    if abs(move.wider) > _MOST_WIDER:
        kind = "wider" if move.wider > 0 else "narrower"
        wrong.append(
            f"its peaks are {100 * abs(move.wider):.0f} % {kind} than the model's"
        )
    if move.explained > _LEAST_EXPLAINED and wrong:
        return (
            f"{', and '.join(wrong)}. Counts of elements are wrong by that, as with a model "
            "of another instrument or another day. Fit it to this map, model.fit(s); if the "
            "energy axis is off too, calibrate it first, s.calibrate_energy(...)."
        )
    left = _left_of(move.model)
    if not left:
        return ""
    return (
        f"chi2/n is {show_chi2(calibrated(move.model))}{left}. Has it other elements than "
        "the model? What is found is wrong then: make a model for this map, "
        "s.create_element_model(...)."
    )


def _misfit_of(fit: Fit) -> float:
    """Return by how much a fit is off, of the counts, what noise does left aside."""
    first, stop = fit.basis.first, fit.basis.stop
    spectrum, expected = fit.spectrum[first:stop], fit.basis.expected
    is_used = ~dead_channels(fit.basis, fit.spectrum)[first:stop]
    squares = (spectrum - expected)[is_used] ** 2 / floored(expected[is_used])
    excess = float(squares.sum()) - len(squares)
    total = float(np.abs(spectrum).sum())
    return math.sqrt(max(0.0, excess) / total) if total else 0.0


def warn_of_maps(projected: Projected, is_new: bool) -> None:
    """Warn of maps whose spectra are not what the model is of.

    Parameters
    ----------
    projected
        The maps.
    is_new
        Whether the model has been fitted to other spectra.

    Warns
    -----
    UserWarning
        Pixels are no numbers, or their spectra differ from the model by more than noise.
    """
    n_wrong = int(np.count_nonzero(~np.isfinite(projected.counts)))
    if n_wrong:
        warn(
            f"Spectra of {n_wrong} of {projected.counts.size} pixels have NaN or infinite "
            "numbers, expected counts: their pixels are none in the maps, and sums that have "
            "them in it are NaN."
        )
    if is_new:
        _warn_of_misfit(projected)


def _warn_of_misfit(projected: Projected) -> None:
    known = np.isfinite(projected.chi2) & np.isfinite(projected.counts)
    chi2, counts = (a[known].astype(float) for a in (projected.chi2, projected.counts))
    if chi2.size < 2 or not counts.sum() > 0:
        return
    excess = chi2.mean() - 1
    is_clear = excess > _CLEAR * chi2.std() / math.sqrt(chi2.size) + _BIAS
    n_bins = max(own.weights.shape[1] for own in projected.projections)
    misfit = math.sqrt(max(0.0, excess) * n_bins / counts.mean())
    if is_clear and misfit > _MOST_OF_MAPS:
        warn(
            f"The model does not describe the spectra of the map: chi2/n of a pixel is "
            f"{chi2.mean():.4g} on average, expected about 1. {_QUESTION} See maps.chi2."
        )


def check_watch(watch: Mapping[str, Any]) -> None:
    """Refuse options that a pass does not have, before it begins.

    Raises
    ------
    TypeError
        It names the option, and those that there are.
    """
    known = [
        name
        for name, one in inspect.signature(run).parameters.items()
        if one.kind is one.KEYWORD_ONLY
    ]
    for name in watch:
        if name not in known:
            raise TypeError(
                f"get_element_maps() has no option {name!r}, expected model, excitation, "
                f"energy_range, regions, classes, nonnegative, {', '.join(known)}."
            )


def _ranges(channels: np.ndarray) -> str:
    """Return channels as text: ``"3, 7 to 9"``.

    Examples
    --------
    >>> _ranges(np.array([3, 7, 8, 9]))
    '3, 7 to 9'
    """
    groups = itertools.groupby(
        enumerate(channels.tolist()), lambda pair: pair[1] - pair[0]
    )
    found = [[channel for _, channel in group] for _, group in groups]
    words = [f"{a[0]} to {a[-1]}" if len(a) > 1 else f"{a[0]}" for a in found]
    more = [f"{len(words) - _MOST_SHOWN} more"] * (len(words) > _MOST_SHOWN)
    return ", ".join([*words[:_MOST_SHOWN], *more])
