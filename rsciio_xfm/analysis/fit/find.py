"""Which elements are in a spectrum, how sure that is, and what else it could be."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rsciio_xfm.analysis.fit.basis import DETECTION
from rsciio_xfm.analysis.fit.calibrate import (
    approach,
    calibrate,
    calibrate_again,
    finish,
)
from rsciio_xfm.analysis.fit.candidates import (
    make_candidates,
)
from rsciio_xfm.analysis.fit.doubt import (
    FINE,
    ROUGH,
    Doubted,
    fit_doubted,
)
from rsciio_xfm.analysis.fit.excitation import Excitation
from rsciio_xfm.analysis.fit.found import (
    SURE,
    Found,
    compare_maps,
    count_in_parts,
    describe,
    telling,
)
from rsciio_xfm.analysis.fit.lines import Group
from rsciio_xfm.analysis.fit.model import Model, calibrated
from rsciio_xfm.analysis.fit.parameters import apply_values, held_ratios, values_of
from rsciio_xfm.analysis.fit.parts import find_in_parts, make_parts
from rsciio_xfm.analysis.fit.peaks import check_spectrum
from rsciio_xfm.analysis.fit.pool import Pool
from rsciio_xfm.analysis.fit.problem import (
    SIGNIFICANT,
    chi2_of,
    less_sure,
    make_problem,
    minimise,
    significances,
    solve_at,
)
from rsciio_xfm.analysis.fit.response import Response
from rsciio_xfm.analysis.fit.scale import range_of, scaled
from rsciio_xfm.analysis.fit.scatter import make_scatter
from rsciio_xfm.analysis.fit.sum_peaks import choose_sum_peaks
from rsciio_xfm.analysis.fit.widths import too_wide
from rsciio_xfm.core.one_thread import one_thread

_KNOWN_FACTOR = 1.1  # on the evidence for another shell of an element that is there
_WEAK = 0.4  # evidence, relative to the clearest, below which sum peaks come first
_LIKELY = 10.0  # sigma: what the calibration begins with
_MOST = 40  # groups
_REFINED = ("zero", "gain", "noise")
_TOLERANCE = 1e-2
_MOST_MOVED = (0.04, 0.01)  # zero in keV, and gain, in one step
# By the end of the name of a ratio: how far it is off three times what tables differ, and
# how near lines are that hide one another, keV. M1 to M3 tell nothing: their excitation is
# hardly known. M lines are many, and hide what is between them.
_HIDING = {"_L L1": (0.05, 0.05), "_L L2": (0.05, 0.05), "_M M4": (0.1, 0.15)}
# Root of chi2 per channel near a line of which nothing is believed. In phantoms and a steel it
# is up to 1.6 beside what is there, in spectra of pure metals up to 3.5.
_MOST_OFF = 5.0
_MOST_SHELL = 3.0  # times what a thin sample has beside another shell, as tables differ
_FAIR = 1.5  # chi2 per channel of parameters that have not run away
_WORSE = 1.5  # times chi2: so much no group may take along that is dropped


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
    would have to be seen as well and is not. With all that is likely, 10 sigma, the model is
    calibrated, with sum peaks; ratios of lines are held at the tables until all elements were
    tried, or As would be taken for Pb L, and Mn for K-beta of Cr. Under electrons other shells
    of what was found are fitted beside what may have taken their place. Then all is free, and
    an element that L lines may hide is tried once more. Backward: what is below 5 sigma beside
    all others goes.
    """
    counts = check_spectrum(spectrum)
    energy_range, last = range_of(counts, excitation, response)
    wide = (energy_range[0], max(last, energy_range[1]))
    candidates = make_candidates(excitation, response, wide, elements, exclude)
    scatter = make_scatter(excitation, energy_range, set())
    model = Model(excitation, response, (), energy_range, len(counts), scatter)
    if not any(c.group.energy < energy_range[1] for c in candidates):
        return [], model
    with one_thread():
        within = [one for one in candidates if one.group.energy < energy_range[1]]
        model = replace(model, response=scaled(model, counts, within))
        pool = Pool.of(candidates, model, counts)
        model = _add_sure(model, counts, pool)
        shells: tuple[str, ...] = ()
        is_near = bool(model.groups)  # or nothing has told the energies yet
        if is_near:
            near = _drop_weak(approach(model, counts, held_ratios(model)), counts, pool)
            model, shells = _with_shells(near, counts, pool, model)
        model = _drop_weak(_add_all(model, counts, pool), counts, pool, shells)
        parts = make_parts(blocks, len(counts))
        in_parts = find_in_parts(model, counts, parts, pool)
        groups = (*model.groups, *(candidates[k].group for k in in_parts))
        if not groups:
            return [], model
        model = replace(model, groups=groups, fit=None)
        model = (calibrate_again if is_near else calibrate)(model, counts)
        model, hidden = _with_hidden(model, counts, pool)
        names: dict[str, tuple[int | None, float]] = {**hidden, **_clear(model, shells)}
        names |= {candidates[k].group.name: found for k, found in in_parts.items()}
        model = _drop_again(model, counts, pool, names)
        if elements is None:  # or peaks beside those that are named may widen them
            model = _drop_wide(model, counts, pool, names)
        if not model.groups:
            return [], model
        found = describe(model, counts, pool, names)
        return compare_maps(count_in_parts(found, model, parts), model, parts), model


# Forward.


def _add_sure(model: Model, counts: np.ndarray, pool: Pool) -> Model:
    """Add groups of more than 10 sigma, and move the scale as they come.

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


def _best(doubted: Doubted, model: Model, pool: Pool) -> tuple[int, float] | None:
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
    problem = replace(
        less_sure(problem, state, ROUGH.error_of(problem.start["gain"])), names=_REFINED
    )
    found = minimise(problem, values, _TOLERANCE)
    moved = abs(found["zero"] - values["zero"]), abs(found["gain"] / values["gain"] - 1)
    # It runs away while strong elements are missing.
    is_sound = moved[0] < _MOST_MOVED[0] and moved[1] < _MOST_MOVED[1]
    return apply_values(model, found) if is_sound else model


def _add_all(model: Model, counts: np.ndarray, pool: Pool) -> Model:
    """Add the others to a model that is calibrated."""
    n_summed = 0
    while len(model.groups) < _MOST:
        best = _best(fit_doubted(model, counts, FINE), model, pool)
        if best is None:
            break
        group = pool.candidates[best[0]].group
        model = replace(model, groups=(*model.groups, group), fit=None)
        if best[1] > SURE and n_summed < len(model.groups) - 3:
            n_summed = len(model.groups)
            model = _with_sum_peaks(model, counts)
    return model


# What others have taken the place of.


def _with_shells(
    model: Model, counts: np.ndarray, pool: Pool, start: Model
) -> tuple[Model, tuple[str, ...]]:
    """Return a model with the other shells of its elements where they help, and their names.

    N K takes the place of Sn M, F K that of Mn L, and S K most of Pb M, if it is first; Cu L,
    moved and widened, takes Zn L along. So all shells that have to be seen, as the one that
    was found is, are fitted beside those at once, and what is needless then goes. Of an
    element that is there anyway, what is wrong with other lines is no reason against them.
    Without them the parameters may have run away: those of `start` are tried then. Of
    photons air and windows leave few such lines, which are found one by one.
    """
    beam = model.excitation
    if beam is None or beam.kind != "electrons":
        return model, ()
    most = _missing_shells(model, counts, pool)
    if not most:
        return model, ()
    more = [one.group for one in pool.candidates if one.group.name in most]
    groups = (*model.groups, *more)
    trial = _approached(model, groups, counts)
    if _misfit(trial, counts) > _FAIR:
        other = _approached(start, groups, counts)
        trial = min(trial, other, key=lambda one: _misfit(one, counts))
    kept = _clear_groups(trial, counts, most)
    if not kept:
        return model, ()
    names = tuple(group.name for group in kept)
    trial = replace(trial, groups=(*model.groups, *kept))
    trial = _drop_weak(trial, counts, pool, names)
    is_better = _misfit(trial, counts) < _misfit(model, counts)
    return (trial, names) if is_better else (model, ())


def _clear_groups(
    model: Model, counts: np.ndarray, most: Mapping[str, float]
) -> list[Group]:
    """Return those of the last groups that are clear, and have no more counts than allowed."""
    values, n = values_of(model), len(model.groups)
    problem = make_problem(model, counts, values)
    state = solve_at(problem, values)
    first = n - len(most)
    clear = significances(less_sure(problem, state), state, range(first, n))
    areas = state.solution.areas[first:n]
    each = zip(model.groups[first:], clear, areas, strict=True)
    return [g for g, one, area in each if one > SIGNIFICANT and area < most[g.name]]


def _approached(model: Model, groups: tuple[Group, ...], counts: np.ndarray) -> Model:
    """Return a model with other groups, its parameters about right."""
    trial = replace(model, groups=groups, fit=None)
    return approach(trial, counts, held_ratios(trial))


def _missing_shells(model: Model, counts: np.ndarray, pool: Pool) -> dict[str, float]:
    """Return groups that have to be seen, as others of their elements say, and most counts."""
    fitted = fit_doubted(model, counts, FINE)
    sizes = np.linalg.norm(pool.columns(fitted) * fitted.roots, axis=1)
    place = {one.name: k for k, one in enumerate(model.groups)}
    shares: dict[str, float] = {}  # counts, relative to the strength of lines
    for one in pool.candidates:
        if one.group.name in place:
            share = fitted.areas[place[one.group.name]] / one.strength
            shares[one.group.element] = max(shares.get(one.group.element, 0.0), share)
    found = {}
    each = zip(pool.candidates, pool.is_new(model), pool.needed, sizes, strict=True)
    for one, is_new, needed, size in each:
        expected = shares.get(one.group.element, 0.0) * one.strength
        if is_new and expected * size > needed:
            found[one.group.name] = _MOST_SHELL * expected
    return found


def _clear(model: Model, names: Iterable[str]) -> dict[str, tuple[None, float]]:
    """Return those groups of some names that are clear in a calibrated model, and how much."""
    areas = calibrated(model).areas
    evidence = {name: areas[name][0] / areas[name][1] for name in names}
    return {name: (None, own) for name, own in evidence.items() if own > SIGNIFICANT}


def _misfit(model: Model, counts: np.ndarray) -> float:
    """Return chi2 per channel of a model with its parameters as they are."""
    values = values_of(model)
    problem = make_problem(model, counts, values)
    return chi2_of(problem, solve_at(problem, values))


# What lies under L and M lines.


def _with_hidden(
    model: Model, counts: np.ndarray, pool: Pool
) -> tuple[Model, dict[str, tuple[None, float]]]:
    """Return a calibrated model with an element under L or M lines, its name and evidence.

    As K-alpha is Pb L-alpha, and S K-alpha is beside Bi M-alpha. If lines have other ratios
    than in tables, by more than these differ, what explains the spectrum better is kept, all
    ratios being free: the element, if there are more than 5 sigma of it then, or the ratios.
    """
    own = {one.group.name: one.group for one in pool.candidates}
    lines = _lines_off_tables(model)
    for one, is_new in zip(pool.candidates, pool.is_new(model), strict=True):
        near = [abs(one.group.energy - line) < reach for line, reach in lines]
        if not is_new or one.group.shell != "K" or one.factor < 1 or not any(near):
            continue
        groups = (*(own[group.name] for group in model.groups), one.group)
        trial = calibrate_again(
            replace(model, groups=groups, ratios={}, fit=None), counts
        )
        area, sigma = calibrated(trial).areas[one.group.name]
        is_better = calibrated(trial).chi2 < calibrated(model).chi2
        if is_better and area > one.needed * sigma:
            return trial, {one.group.name: (None, area / sigma)}
    return model, {}


def _lines_off_tables(model: Model) -> list[tuple[float, float]]:
    """Return lines of groups whose ratios are not those of tables, and what they hide, keV."""
    reach = {}
    for name, ratio in model.ratios.items():
        for end, (most, near) in _HIDING.items():
            if name.endswith(end) and abs(ratio - 1) > most:
                reach[name.split()[0]] = near
    return [
        (line, reach[group.name])
        for group in model.groups
        if group.name in reach
        for line in telling(group)
    ]


# Backward, and what is said of each.


def _drop_weak(
    model: Model, counts: np.ndarray, pool: Pool, kept: Iterable[str] = ()
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
    model: Model, counts: np.ndarray, pool: Pool, kept: Mapping[str, Any]
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
    left = finish(left, counts, 1, tuple(calibrated(model).parameters))
    # Where a model is wrong its doubts grow, and take up what is there.
    is_worse = calibrated(left).chi2 > _WORSE * calibrated(model).chi2
    return model if is_worse else left


def _drop_wide(
    model: Model, counts: np.ndarray, pool: Pool, kept: Mapping[str, Any]
) -> Model:
    """Drop weak groups whose peaks are no lines, and what needs these; parameters stay.

    Two groups may share one bump: with one of them gone, the other is where a model is wrong
    by far more than by what is doubted. Only the continuum of a tube is diffracted: lines
    that are in doubt for another reason stay.
    """
    left, beam = model, model.excitation
    if beam is None or beam.kind != "tube":
        return model
    while left.groups:
        fitted = fit_doubted(left, counts, FINE)
        n = len(left.groups)
        is_off = fitted.misfit_at(fitted.columns[:n], np.zeros(n)) > _MOST_OFF
        is_wide = (fitted.evidence(n) < SURE) & (too_wide(left, fitted) | is_off)
        each = zip(left.groups, is_wide, strict=True)
        groups = tuple(one for one, wide in each if one.name in kept or not wide)
        if groups == left.groups:
            break
        left = _drop_weak(replace(left, groups=groups, fit=None), counts, pool, kept)
    if left is model or not left.groups:
        return left
    left = finish(left, counts, 1, _names_left(model, left))
    return _drop_again(left, counts, pool, kept)


def _names_left(model: Model, left: Model) -> tuple[str, ...]:
    """Return the fitted parameters of a model that are still some with fewer groups."""
    groups = {group.name for group in left.groups}
    names = calibrated(model).parameters
    return tuple(n for n in names if " " not in n or n.split()[0] in groups)
