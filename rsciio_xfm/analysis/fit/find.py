"""Which elements are in a spectrum, how sure that is, and what else it could be."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rsciio_xfm.analysis.fit.background import make_splines
from rsciio_xfm.analysis.fit.basis import DETECTION
from rsciio_xfm.analysis.fit.calibrate import (
    BLUR,
    GAINS,
    ZEROS,
    approach,
    calibrate,
    finish,
)
from rsciio_xfm.analysis.fit.candidates import (
    Candidate,
    contradicted,
    make_candidates,
)
from rsciio_xfm.analysis.fit.columns import Lines, gather_lines, make_spectra
from rsciio_xfm.analysis.fit.doubt import (
    FINE,
    ROUGH,
    Doubted,
    fit_doubted,
)
from rsciio_xfm.analysis.fit.excitation import Excitation
from rsciio_xfm.analysis.fit.lines import SHELLS, Group
from rsciio_xfm.analysis.fit.matrix import make_projection, region_areas
from rsciio_xfm.analysis.fit.model import Model, calibrated
from rsciio_xfm.analysis.fit.parameters import apply_values, held_ratios, values_of
from rsciio_xfm.analysis.fit.peaks import check_spectrum
from rsciio_xfm.analysis.fit.problem import less_sure, make_problem, minimise, solve_at
from rsciio_xfm.analysis.fit.response import FWHM, Response
from rsciio_xfm.analysis.fit.scatter import Scatter, make_scatter
from rsciio_xfm.analysis.fit.solve import solve
from rsciio_xfm.analysis.fit.sum_peaks import choose_sum_peaks
from rsciio_xfm.core.one_thread import one_thread

# Of lines, keV: K lines of Na are the first that photons give through air and windows, those
# of C the first that electrons do. The range begins at the lowest counts between these.
_LEAST_KEV, _FIRST_KEV = {"electrons": 0.2}, (0.8, 1.0)
_SEEN = 20.0  # counts in 1 keV: beyond the last such window nothing is looked for
_KNOWN_FACTOR = 1.1  # on the evidence for another shell of an element that is there
# keV above the last line of the source that are fitted, and in which lines may be.
_BEYOND, _NEAR_LAST = 0.6, 0.1
_WEAK = 0.4  # evidence, relative to the clearest, below which sum peaks come first
_SURE = 30.0  # sigma: weaker elements have to wait for sum peaks
_LIKELY = 10.0  # sigma: what the calibration begins with
# Times the evidence that an outer shell needs whose element has an inner one to show.
_ALONE = 3.0
_MOST = 40  # groups
_REFINED = ("zero", "gain", "noise")
_TOLERANCE = 1e-2
_MOST_MOVED = (0.04, 0.01)  # zero in keV, and gain, in one step
_STEP = 0.03  # keV, of the grid on which scales are compared
_N_FIRST = 5  # groups by which scales are compared
_BETTER = 0.9  # chi2, relative, that another scale than the given one needs
_ALIKE = 0.75  # evidence, relative, of what it could be as well
_N_ALIKE = 3
_NEAR = 0.5  # cosine of columns of which one may explain what the other does
_TABLES_DIFFER, _UNDER = 0.05, 0.05  # relative; keV
_LEAST_BLOCK = 3000.0  # counts
# Lines of an outer shell in a part, relative to those of an inner one and to the whole, that
# nothing but the sample's absorption can make; and how clear it has to be, roots of counts.
_MARGIN = 3.0  # sigma
_MOST_OUTER, _LEAST_OUTER = 2.0, 10.0
# Maps that are compared: least blocks; chi2 of the share of another element, relative to that
# of an element that is everywhere, and by how much it is less.
_LEAST_PARTS, _LIKE, _BETTER_MAP = 8, 0.6, 9.0
_ALIKE_COLUMNS = 0.3  # of which the clearest is taken in a part
_ONE_LINE = 0.05  # keV
_TELLING = 0.2  # weight of lines, relative to the strongest, that are named


@dataclass(frozen=True)
class Found:
    """An element that was found, by one shell.

    Attributes
    ----------
    element, shell
        ``"Pb"`` and ``"L"``.
    lines
        Energies of those that tell, keV.
    evidence
        In sigma: the root of the loss of chi2 without it, with what the model may have wrong;
        in the part if it was found there.
    counts, sigma
        Of the group in the sum, and the standard deviation with the calibration's; in the
        part if it was found there.
    alternatives
        Names of other groups that explain at least three quarters of it.
    in_part
        Number of the block in which it was found, if it is not seen in the sum; else None.
    same_map
        Name of a strong group whose map explains much of how it varies from block to block, if
        it is weak: it goes with that element, or is a wrong shape of its lines. Else ``""``.
    """

    element: str
    shell: str
    lines: tuple[float, ...]
    evidence: float
    counts: float
    sigma: float
    alternatives: tuple[str, ...] = ()
    in_part: int | None = None
    same_map: str = ""

    @property
    def name(self) -> str:
        """``"Pb_L"``."""
        return f"{self.element}_{self.shell}"


def find_elements(
    spectrum: np.ndarray,
    excitation: Excitation,
    response: Response,
    blocks: np.ndarray | None = None,
    elements: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
) -> tuple[list[Found], Model]:
    """Find the elements of a spectrum, and of parts of a map that are not seen in its sum.

    Parameters
    ----------
    spectrum
        Counts of all pixels, shape (channels,).
    excitation
        What excites the sample.
    response
        Of the detector, where the calibration starts: up to 20 eV and 1 % off.
    blocks
        float64, shape (blocks, channels): spectra of parts of the map. Those of fewer than
        3000 counts are added to others.
    elements
        Those that may be there; None: all from sodium, or of electrons from carbon, to
        uranium.
    exclude
        Those that are not.

    Returns
    -------
    found
        The clearest first.
    model
        Calibrated on the spectrum, with these elements, scatter and sum peaks; without a fit
        if nothing was found.

    Raises
    ------
    ValueError
        It is no spectrum, or has no counts where lines may be; a name is no element.

    Notes
    -----
    Background and scatter are in from the start. Forward: the group whose column, orthogonal
    to all others, reduces chi2 most is added, the model's error being 3 % and then 1 % of the
    counts; energies and widths are fitted as groups come. Elements that are unlikely compete
    with a part of their evidence and need more of it, see
    :mod:`rsciio_xfm.analysis.fit.candidates`; a group is refused where another of its element
    would have to be seen as well and is not. Before an element of less than 30 sigma is
    believed the model is calibrated in full, with sum peaks. Backward: what is below 5 sigma
    beside all others goes.
    """
    counts = check_spectrum(spectrum)
    energy_range, last = _range(counts, excitation, response)
    wide = (energy_range[0], max(last, energy_range[1]))
    candidates = make_candidates(excitation, response, wide, elements, exclude)
    scatter = make_scatter(excitation, energy_range, set())
    model = Model(excitation, response, (), energy_range, len(counts), scatter)
    if not any(c.group.energy < energy_range[1] for c in candidates):
        return [], model
    with one_thread():
        within = [one for one in candidates if one.group.energy < energy_range[1]]
        model = replace(model, response=_scaled(model, counts, within))
        pool = _Pool.of(candidates, model, counts)
        model = _add_sure(model, counts, pool)
        if model.groups:
            model = _drop_weak(approach(model, counts, held_ratios(model)), counts, pool)
        model = _drop_weak(_add_all(model, counts, pool), counts, pool)
        parts = _parts(blocks, len(counts))
        in_parts = _find_in_parts(model, counts, parts, pool)
        groups = (*model.groups, *(candidates[k].group for k in in_parts))
        if not groups:
            return [], model
        if model.fit is None or in_parts:
            model = calibrate(replace(model, groups=groups), counts)
        names = {candidates[k].group.name: found for k, found in in_parts.items()}
        model, hidden = _with_hidden(model, counts, pool)
        names |= hidden
        model = _drop_again(model, counts, pool, names)
        if not model.groups:
            return [], model
        found = _describe(model, counts, pool, names)
        return _compare_maps(_count_in_parts(found, model, parts), model, parts), model


def _range(
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
        _last_scattered(excitation, end) + _BEYOND,
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


# The scale: energies of a map may be 1 % off.


def _scaled(model: Model, counts: np.ndarray, candidates: list[Candidate]) -> Response:
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
    """Return chi2 with the first few groups that are chosen greedily."""
    roots = 1 / np.sqrt(np.maximum(target, 1) + (ROUGH.error * target) ** 2)
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
        parts = np.linalg.solve(gram[np.ix_(free, free)], both.T).T
        squares = np.diag(gram)[n_base:] - np.einsum("ij,ij->i", both, parts)
        rest = right[n_base:] - parts @ right[free]
        is_told = squares > 1e-3 * np.diag(gram)[n_base:]
        gains = np.where(is_told, rest, 0.0) / np.sqrt(np.where(is_told, squares, 1.0))
        best = int(np.argmax(gains * left))
        chosen.append(n_base + best)
        left[best] = 0.0  # each of them once
    misfit = goal - solution.areas @ used
    return float(misfit @ misfit)


# Forward.


@dataclass(frozen=True, eq=False)
class _Pool:
    """Candidates and their lines, which do not change with the calibration.

    `outside` has areas and sigmas of those beyond the range that is fitted; else NaN.
    """

    candidates: list[Candidate]
    lines: Lines
    factors: np.ndarray
    needed: np.ndarray
    outside: np.ndarray

    @classmethod
    def of(cls, candidates: list[Candidate], model: Model, counts: np.ndarray) -> "_Pool":
        groups = [one.group for one in candidates]
        lines = gather_lines(groups, model.response, Scatter(), ())
        factors = np.array([one.factor for one in candidates])
        outside = np.array([_net(one, model, counts) for one in groups]).T
        needed = np.array([one.needed for one in candidates])
        needed = np.where(np.isnan(outside[0]), needed, np.inf)
        return cls(candidates, lines, factors, needed, outside)

    def needed_for(self, model: Model) -> np.ndarray:
        """Return the evidence that is needed: more where an inner shell is not seen."""
        there = {one.name for one in model.groups}
        inner = {
            (one.group.element, outer)
            for one in self.candidates
            if one.is_excited and one.group.name not in there
            for outer in SHELLS[SHELLS.index(one.group.shell) + 1 :]
        }
        alone = [(c.group.element, c.group.shell) in inner for c in self.candidates]
        return self.needed * np.where(alone, _ALONE, 1.0)

    def is_contradicted(self, areas: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
        is_inside = np.isnan(self.outside[0])
        areas = np.where(is_inside, areas, self.outside[0])
        sigmas = np.where(is_inside, sigmas, self.outside[1])
        return contradicted(self.candidates, areas, sigmas)

    def columns(self, fitted: Doubted) -> np.ndarray:
        """Return the spectra of all candidates in the channels of a fit."""
        values = fitted.values | {"shelf": 0.0, "escape": 0.0}
        return make_spectra(self.lines, values, fitted.channels)

    def is_new(self, model: Model) -> np.ndarray:
        known = {one.name for one in model.groups}
        return np.array([one.group.name not in known for one in self.candidates])


def _net(group: Group, model: Model, counts: np.ndarray) -> tuple[float, float]:
    """Return counts above the background of a line beyond what is fitted, and their sigma."""
    if group.energy < model.energy_range[1] - _BEYOND + _NEAR_LAST:
        return math.nan, math.nan
    own = model.response
    place = round((group.energy - own.zero) / own.gain)
    reach = max(
        1, round(1.2 * FWHM * float(own.sigma(np.array([group.energy]))[0]) / own.gain)
    )
    inner = counts[place - reach : place + reach + 1].clip(0)
    sides = [
        counts[place - 2 * reach : place - reach],
        counts[place + reach + 1 : place + 2 * reach + 1],
    ]
    outer = np.concatenate(sides).clip(0)
    if not len(inner) or not len(outer):
        return math.nan, math.inf
    scale = len(inner) / len(outer)
    return (
        float(inner.sum() - scale * outer.sum()),
        float(np.sqrt(inner.sum() + scale**2 * outer.sum() + 1)),
    )


def _add_sure(model: Model, counts: np.ndarray, pool: _Pool) -> Model:
    """Add groups of more than 30 sigma, and move the scale as they come.

    Pile-up is looked at before an element is believed that is far weaker than others.
    """
    n_refined, n_summed, strongest = 2, 0, 0.0
    while len(model.groups) < _MOST:
        best = _best(fit_doubted(model, counts, ROUGH), model, pool)
        if best is None or best[1] < _LIKELY:
            break
        if best[1] < _WEAK * strongest and n_summed < len(model.groups):
            n_summed = len(model.groups)
            model = _with_sum_peaks(model, counts)
            continue
        strongest = max(strongest, best[1])
        model = replace(model, groups=(*model.groups, pool.candidates[best[0]].group))
        if len(model.groups) >= 1.5 * n_refined:
            model = _refine(model, counts)
            n_refined = len(model.groups)
    return model


def _with_sum_peaks(model: Model, counts: np.ndarray) -> Model:
    peaks = choose_sum_peaks(model, counts, values_of(model))
    return replace(model, sum_peaks=peaks)


def _best(doubted: Doubted, model: Model, pool: _Pool) -> tuple[int, float] | None:
    """Return the candidate with the most evidence that is enough, and that, or None."""
    columns = pool.columns(doubted)
    gains, sigmas = doubted.gains(columns)
    areas = gains * np.where(np.isfinite(sigmas), sigmas, 0.0)
    place = {one.name: k for k, one in enumerate(model.groups)}
    for k, one in enumerate(pool.candidates):
        if one.group.name in place:
            areas[k] = doubted.areas[place[one.group.name]]
            sigmas[k] = max(abs(areas[k]) / 100, 1.0)
    is_enough = pool.is_new(model) & (gains > pool.needed_for(model))
    is_enough &= ~pool.is_contradicted(areas, sigmas)
    if not is_enough.any():
        return None
    elements = {one.element for one in model.groups}
    known = [one.group.element in elements for one in pool.candidates]
    factors = np.where(known, _KNOWN_FACTOR, pool.factors)
    best = int(np.argmax(np.where(is_enough, gains * factors, -np.inf)))
    return best, float(gains[best])


def _refine(model: Model, counts: np.ndarray) -> Model:
    """Fit zero, gain and width."""
    values = values_of(model)
    problem = make_problem(model, counts, values)
    state = solve_at(problem, values)
    problem = replace(less_sure(problem, state, ROUGH.error), names=_REFINED)
    found = minimise(problem, values, _TOLERANCE)
    moved = abs(found["zero"] - values["zero"]), abs(found["gain"] / values["gain"] - 1)
    # It runs away while strong elements are missing.
    is_sound = moved[0] < _MOST_MOVED[0] and moved[1] < _MOST_MOVED[1]
    return apply_values(model, found) if is_sound else model


def _add_all(model: Model, counts: np.ndarray, pool: _Pool) -> Model:
    """Add the others to a model that is calibrated."""
    n_summed = 0
    while len(model.groups) < _MOST:
        best = _best(fit_doubted(model, counts, FINE), model, pool)
        if best is None:
            break
        group = pool.candidates[best[0]].group
        model = replace(model, groups=(*model.groups, group), fit=None)
        if best[1] > _SURE and n_summed < len(model.groups) - 3:
            n_summed = len(model.groups)
            model = _with_sum_peaks(model, counts)
    return model


# Parts of the map.


def _parts(blocks: np.ndarray | None, n_channels: int) -> np.ndarray:
    """Return spectra of blocks of enough counts; poor ones are added to the next."""
    if blocks is None or not len(blocks):
        return np.zeros((0, n_channels))
    kept, rest = [], np.zeros(n_channels)
    for one in np.asarray(blocks, dtype=np.float64):
        rest = rest + one
        if rest.sum() >= _LEAST_BLOCK:
            kept.append(rest)
            rest = np.zeros(n_channels)
    return np.array(kept) if len(kept) > 1 else np.zeros((0, n_channels))


def _find_in_parts(
    model: Model, counts: np.ndarray, parts: np.ndarray, pool: _Pool
) -> dict[int, tuple[int, float]]:
    """Return candidates that are in a part only, in which, and the evidence."""
    if not len(parts):
        return {}
    whole = fit_doubted(model, counts, FINE)
    own = pool.columns(whole)
    # So many tries, so much more by chance.
    tries = len(parts) * len(pool.candidates)
    needed = np.sqrt(pool.needed_for(model) ** 2 + 2 * math.log(tries))
    needed[~pool.is_new(model)] = np.inf
    # A part has no more of an element than the whole.
    gains, sigmas = whole.gains(own)
    most = np.where(np.isfinite(sigmas), (gains + _MARGIN) * sigmas, np.inf)
    screened = whole.screen(parts, own)
    suspects = set(screened.argmax(axis=0)[screened.max(axis=0) > needed].tolist())
    found: dict[int, int] = {}
    clearest = np.zeros(len(pool.candidates))
    pairs = _outer_shells(model)
    for number in sorted(suspects):
        fitted = _without_excess(whole.of_part(parts[number]), whole, pairs)
        gains, sigmas = fitted.gains(own)
        areas = gains * np.where(np.isfinite(sigmas), sigmas, 0.0)
        is_enough = (gains > needed) & (areas < most)
        is_enough &= ~pool.is_contradicted(areas, sigmas)
        score = np.where(is_enough, gains * pool.factors, 0.0)
        for k in np.flatnonzero(score > clearest):
            clearest[k], found[int(k)] = score[k], number
    alone = _clearest_of_alike(found, clearest, own)
    return {k: (number, float(clearest[k])) for k, number in alone.items()}


def _outer_shells(model: Model) -> list[tuple[int, int]]:
    """Return the numbers of groups of an outer shell, and of an inner one of the element."""
    groups = list(enumerate(model.groups))
    return [
        (k, other)
        for k, one in groups
        for other, inner in groups
        if inner.element == one.element
        and SHELLS.index(inner.shell) < SHELLS.index(one.shell)
    ]


def _without_excess(
    fitted: Doubted, whole: Doubted, pairs: list[tuple[int, int]]
) -> Doubted:
    """Return the fit of a part with no more of outer shells than the inner ones allow.

    Where there is no Pb L, what looks like Pb M is S: a blend of both has been taken for the
    one in the sum, and its lines have the shape of the blend since.
    """
    most: dict[int, float] = {}
    for k, inner in pairs:
        if whole.areas[inner] > 0 and whole.areas[k] > 0:
            ratio = whole.areas[k] / whole.areas[inner]
            allowed = _MOST_OUTER * ratio * max(fitted.areas[inner], 0.0)
            if fitted.areas[k] > allowed + _LEAST_OUTER * math.sqrt(fitted.areas[k]):
                most[k] = max(most.get(k, 0.0), allowed)
    if not most:
        return fitted
    held = np.array(list(most))
    rest = fitted.spectrum - np.array(list(most.values())) @ fitted.columns[held]
    return replace(fitted, spectrum=rest).without(*most)


def _clearest_of_alike(
    found: dict[int, int], clearest: np.ndarray, own: np.ndarray
) -> dict[int, int]:
    """Return one of candidates whose columns are much the same."""
    sizes = np.sqrt(np.einsum("ij,ij->i", own, own))
    kept: dict[int, int] = {}
    for k in sorted(found, key=lambda k: -clearest[k]):
        alike = [own[k] @ own[j] / (sizes[k] * sizes[j]) for j in kept]
        if max(alike, default=0.0) < _ALIKE_COLUMNS:
            kept[k] = found[k]
    return kept


# What lies under L lines.


def _with_hidden(
    model: Model, counts: np.ndarray, pool: _Pool
) -> tuple[Model, dict[str, tuple[None, float]]]:
    """Return a calibrated model with an element under L lines, its name and evidence.

    As K-alpha is Pb L-alpha. If L lines have other ratios than in tables, by more than these
    differ, what explains the spectrum better is kept, all ratios being free: the element, if
    there are more than 5 sigma of it then, or the ratios.
    """
    moved = {
        name.split()[0]
        for name, ratio in model.ratios.items()
        if abs(ratio - 1) > _TABLES_DIFFER and "_L " in name
    }
    own = {one.group.name: one.group for one in pool.candidates}
    lines = [line for group in model.groups if group.name in moved
             for line in _telling(group)]  # fmt: skip
    for one, is_new in zip(pool.candidates, pool.is_new(model), strict=True):
        near = [abs(one.group.energy - line) < _UNDER for line in lines]
        if not is_new or one.group.shell != "K" or one.factor < 1 or not any(near):
            continue
        groups = (*(own[group.name] for group in model.groups), one.group)
        trial = calibrate(replace(model, groups=groups, ratios={}, fit=None), counts)
        area, sigma = calibrated(trial).areas[one.group.name]
        is_better = calibrated(trial).chi2 < calibrated(model).chi2
        if is_better and area > one.needed * sigma:
            return trial, {one.group.name: (None, area / sigma)}
    return model, {}


# Backward, and what is said of each.


def _drop_weak(
    model: Model, counts: np.ndarray, pool: _Pool, kept: Iterable[str] = ()
) -> Model:
    """Drop groups that are not needed, one by one, but those that are kept by name."""
    while model.groups:
        each = zip(pool.candidates, pool.needed_for(model), strict=True)
        needed = {one.group.name: least for one, least in each}
        needed |= dict.fromkeys(kept, -math.inf)
        short = fit_doubted(model, counts, FINE).evidence(len(model.groups))
        short -= [needed[group.name] for group in model.groups]
        weakest = int(np.argmin(short))
        if short[weakest] >= 0:
            break
        groups = model.groups[:weakest] + model.groups[weakest + 1 :]
        model = replace(model, groups=groups, fit=None)
    return model


def _drop_again(
    model: Model, counts: np.ndarray, pool: _Pool, kept: Mapping[str, Any]
) -> Model:
    """Drop what the last calibration has made needless; the parameters stay."""
    left = _drop_weak(model, counts, pool, kept)
    areas = calibrated(model).areas
    groups = tuple(
        group
        for group in left.groups
        if group.name in kept or areas[group.name][0] > DETECTION * areas[group.name][1]
    )
    if groups != left.groups:
        left = replace(left, groups=groups, fit=None)
    if left.groups == model.groups or not left.groups:
        return left
    return finish(left, counts, 1, tuple(calibrated(model).parameters))


def _describe(
    model: Model,
    counts: np.ndarray,
    pool: _Pool,
    in_parts: dict[str, tuple[int | None, float]],
) -> list[Found]:
    doubted = fit_doubted(model, counts, FINE)
    evidence = doubted.evidence(len(model.groups))
    columns = pool.columns(doubted)
    anyway = np.maximum(doubted.gains(columns)[0], 0.0)
    sizes, sizes_of = (np.linalg.norm(a, axis=1) for a in (columns, doubted.columns))
    areas = calibrated(model).areas
    found = []
    for k, group in enumerate(model.groups):
        area, sigma = areas[group.name]
        part, in_part = in_parts.get(group.name, (None, 0.0))
        near = np.flatnonzero(columns @ doubted.columns[k] > _NEAR * sizes * sizes_of[k])
        gains = np.zeros(len(columns))
        gains[near] = doubted.without(k).gains(columns[near])[0]
        # Not what another one explains elsewhere, with the group as without it.
        instead = np.sqrt(np.maximum(gains.clip(0) ** 2 - anyway**2, 0.0))
        alike = _alternatives(k, model, instead, pool)
        found.append(
            Found(
                group.element,
                group.shell,
                _telling(group),
                max(float(evidence[k]), in_part),
                area,
                sigma,
                alike,
                part,
            )
        )
    return sorted(found, key=lambda one: -one.evidence)


def _count_in_parts(found: list[Found], model: Model, parts: np.ndarray) -> list[Found]:
    """Give what was found in a part the counts that it has there."""
    if all(one.in_part is None for one in found):
        return found
    projection = make_projection(calibrated(model).basis)
    areas, sigma = region_areas(projection, parts)
    places = {one.name: (one.in_part, projection.names.index(one.name)) for one in found}
    return [
        one
        if one.in_part is None
        else replace(
            one,
            counts=float(areas[places[one.name]]),
            sigma=float(sigma[places[one.name]]),
        )
        for one in found
    ]


def _compare_maps(found: list[Found], model: Model, parts: np.ndarray) -> list[Found]:
    """Say of weak elements whether they vary over the map as a strong one does."""
    strong = [one.name for one in found if one.evidence > _SURE]
    if len(parts) < _LEAST_PARTS or not strong:
        return found
    projection = make_projection(calibrated(model).basis)
    spectra = parts[:, projection.first : projection.stop]
    areas, noise = spectra @ projection.gamma, spectra @ projection.gamma**2
    # Were it everywhere; were it a share of one of the strong ones.
    shapes = [spectra.sum(axis=1)]
    shapes += [areas[:, projection.names.index(name)] for name in strong]
    told = []
    for one in found:
        k = projection.names.index(one.name)
        chi2 = np.array([_misfit(areas[:, k], noise[:, k], shape) for shape in shapes])
        best = int(np.argmin(chi2[1:]))
        is_same = chi2[1 + best] < min(_LIKE * chi2[0], chi2[0] - _BETTER_MAP)
        is_weak = one.evidence <= _SURE
        same = strong[best] if is_weak and is_same else ""
        told.append(replace(one, same_map=same))
    return told


def _misfit(areas: np.ndarray, noise: np.ndarray, shape: np.ndarray) -> float:
    """Return chi2 of areas of parts as a constant share of those of another component."""
    weights = 1 / np.maximum(noise, 1.0)
    share = (weights * areas) @ shape / max((weights * shape) @ shape, 1e-300)
    return float(weights @ (areas - share * shape) ** 2)


def _telling(group: Group) -> tuple[float, ...]:
    """Return the energies of the stronger lines, those within 0.05 keV of another as one."""
    strong = group.weights > _TELLING * group.weights.max()
    energies, weights = group.energies[strong], group.weights[strong]
    told: list[float] = []
    for energy, _ in sorted(
        zip(energies, weights, strict=True), key=lambda pair: -pair[1]
    ):
        if all(abs(energy - other) > _ONE_LINE for other in told):
            told.append(float(energy))
    return tuple(told)


def _alternatives(
    k: int, model: Model, gains: np.ndarray, pool: _Pool
) -> tuple[str, ...]:
    """Return groups that explain most of what one group does, were it not there."""
    names = [one.group.name for one in pool.candidates]
    own = gains[names.index(model.groups[k].name)]
    taken = {group.element for group in model.groups}
    alike = [
        names[j]
        for j in np.argsort(-gains)
        if gains[j] * pool.factors[j] > _ALIKE * own > 0
        and pool.candidates[j].group.element not in taken
    ]
    return tuple(alike[:_N_ALIKE])
