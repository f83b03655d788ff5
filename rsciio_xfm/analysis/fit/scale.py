"""The energies in which lines are looked for, and a scale that is about right."""

import math
from dataclasses import replace

import numpy as np

from rsciio_xfm.analysis.fit.background import make_splines
from rsciio_xfm.analysis.fit.calibrate import (
    BLUR,
    GAINS,
    ZEROS,
)
from rsciio_xfm.analysis.fit.candidates import (
    Candidate,
)
from rsciio_xfm.analysis.fit.columns import gather_lines, make_spectra
from rsciio_xfm.analysis.fit.doubt import (
    ROUGH,
)
from rsciio_xfm.analysis.fit.excitation import Excitation
from rsciio_xfm.analysis.fit.model import Model
from rsciio_xfm.analysis.fit.parameters import values_of
from rsciio_xfm.analysis.fit.response import FWHM, Response
from rsciio_xfm.analysis.fit.scatter import make_scatter
from rsciio_xfm.analysis.fit.solve import solve

# Of lines, keV: K lines of Na are the first that photons give through air and windows, those
# of C the first that electrons do. The range begins at the lowest counts between these.
_LEAST_KEV, _FIRST_KEV = {"electrons": 0.2}, (0.8, 1.0)
_SEEN = 20.0  # counts in 1 keV: beyond the last such window nothing is looked for
BEYOND = 0.6  # keV above the last line of the source that are fitted
_STEP = 0.03  # keV, of the grid on which scales are compared
_N_FIRST = 5  # groups by which scales are compared
_BETTER = 0.9  # chi2, relative, that another scale than the given one needs


def range_of(
    counts: np.ndarray, excitation: Excitation, response: Response
) -> tuple[tuple[float, float], float]:
    """Return the energies in which lines are looked for, and the last of the spectrum.

    Beyond the lines of the source that are scattered there is pile-up of these, if anything.
    """
    width = max(1, round(1 / response.gain))
    sums = np.convolve(counts.clip(0), np.ones(width), mode="same")
    seen = np.flatnonzero(sums >= _SEEN)
    last = seen[-1] if len(seen) else len(counts) - 1
    end = response.zero + response.gain * (len(counts) - 1)
    high = min(
        response.zero + response.gain * (last + 1),
        end,
        excitation.highest * 1.02 + 0.3,
        _last_scattered(excitation, end) + BEYOND,
    )
    low = max(_first_energy(counts, excitation, response), response.zero)
    if high - low < 10 * response.gain:
        raise ValueError(
            f"Between {low:.3g} keV and the end of the spectrum, or what "
            f"{excitation.highest:g} keV excite, there are not {_SEEN:g} counts: nothing can "
            "be found."
        )
    return (low, high), end


def _first_energy(
    counts: np.ndarray, excitation: Excitation, response: Response
) -> float:
    """Return the energy from which on lines are looked for."""
    if excitation.kind in _LEAST_KEV:
        return _LEAST_KEV[excitation.kind]
    first, stop = (round((e - response.zero) / response.gain) for e in _FIRST_KEV)
    smooth = np.convolve(counts.clip(0), np.ones(5), mode="same")[max(first, 0) : stop]
    place = max(first, 0) + int(np.argmin(smooth)) if len(smooth) else max(first, 0)
    return response.zero + response.gain * place


def _last_scattered(excitation: Excitation, end: float) -> float:
    """Return the highest energy of K lines of a tube's anode, or of photons of one energy."""
    lines = make_scatter(excitation, (0.0, end), set()).rayleigh
    hard = [one.energies.max() for one in lines if one.shell in ("", "K")]
    return float(max(hard, default=math.inf))


def scaled(model: Model, counts: np.ndarray, candidates: list[Candidate]) -> Response:
    """Return the response with a scale such that a few groups explain the most."""
    own = model.response
    grid = np.arange(*model.energy_range, _STEP)
    columns, n_base = _blurred_columns(model, candidates, grid)
    factors = np.array([one.factor for one in candidates])
    found = {}
    for zero in ZEROS:
        for change in GAINS:
            trial = replace(own, zero=own.zero + zero, gain=own.gain * (1 + change))
            target = _blurred(counts, trial, grid)
            found[zero, float(change)] = _explain(columns, n_base, target, factors)
    best = min(found, key=lambda key: found[key])
    is_near = min(found[0.0, float(change)] for change in GAINS if abs(change) < 1e-9)
    if found[best] > _BETTER * is_near:
        return own
    return replace(own, zero=own.zero + best[0], gain=own.gain * (1 + best[1]))


def _blurred_columns(
    model: Model, candidates: list[Candidate], grid: np.ndarray
) -> tuple[np.ndarray, int]:
    """Return columns of background and scatter, then of candidates, on a grid of energies."""
    noise = float(np.hypot(model.response.noise, math.sqrt(2) * BLUR))
    scale = {"zero": float(grid[0]), "gain": _STEP, "noise": noise}
    values = values_of(model) | scale | {"tail": 0.0, "shelf": 0.0, "escape": 0.0}
    groups = [one.group for one in candidates]
    lines = gather_lines(groups, model.response, model.scatter, ())
    columns = make_spectra(lines, values, (0, len(grid)))
    base = np.concatenate([make_splines(grid), columns[len(groups) :]])
    return np.concatenate([base, columns[: len(groups)]]), len(base)


def _blurred(counts: np.ndarray, response: Response, grid: np.ndarray) -> np.ndarray:
    """Return a spectrum on a grid of energies, smoothed."""
    from scipy.ndimage import gaussian_filter1d

    edges = response.zero + response.gain * (np.arange(len(counts) + 1) - 0.5)
    total = np.concatenate([[0.0], np.cumsum(counts.clip(0))])
    bins = np.append(grid, grid[-1] + _STEP) - 0.5 * _STEP
    return gaussian_filter1d(
        np.diff(np.interp(bins, edges, total)), math.sqrt(2) * BLUR / FWHM / _STEP
    )


def _explain(
    columns: np.ndarray, n_base: int, target: np.ndarray, factors: np.ndarray
) -> float:
    """Return chi2 with the first few groups that are chosen greedily.

    Smoothing lessens the noise of counts and the error of the model alike: they are weighed
    against each other as those of a channel of the grid.
    """
    error = ROUGH.error_of(_STEP)
    roots = 1 / np.sqrt(np.maximum(target, 1) + (error * target) ** 2)
    weighted, goal = columns * roots, target * roots
    gram, right = weighted @ weighted.T, weighted @ goal
    chosen = list(range(n_base))
    left = np.array(factors)
    for k in range(_N_FIRST + 1):
        used = weighted[chosen]
        solution = solve(used, goal, np.zeros(len(used), dtype=bool))
        if k == min(_N_FIRST, len(factors)):
            break
        free = np.array(chosen)[solution.is_free]
        both = gram[n_base:, free]
        parts = _solve_symmetric(gram[np.ix_(free, free)], both.T).T
        squares = np.diag(gram)[n_base:] - np.einsum("ij,ij->i", both, parts)
        rest = right[n_base:] - parts @ right[free]
        is_told = squares > 1e-3 * np.diag(gram)[n_base:]
        gains = np.where(is_told, rest, 0.0) / np.sqrt(np.where(is_told, squares, 1.0))
        best = int(np.argmax(gains * left))
        chosen.append(n_base + best)
        left[best] = 0.0  # each of them once
    misfit = goal - solution.areas @ used
    return float(misfit @ misfit)


def _solve_symmetric(gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve normal equations, those of columns that depend on each other, too."""
    try:
        return np.linalg.solve(gram, right)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(gram, right, rcond=None)[0]
