"""Which elements are in a spectrum, how sure that is, and what else it could be."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rsciio_xfm.analysis.fit.background import make_splines
from rsciio_xfm.analysis.fit.calibrate import calibrate
from rsciio_xfm.analysis.fit.candidates import (
    USUAL_EVIDENCE,
    Candidate,
    contradicted,
    make_candidates,
)
from rsciio_xfm.analysis.fit.columns import Lines, gather_lines, make_spectra
from rsciio_xfm.analysis.fit.excitation import Excitation
from rsciio_xfm.analysis.fit.lines import Group
from rsciio_xfm.analysis.fit.model import Model, calibrated
from rsciio_xfm.analysis.fit.parameters import apply_values, values_of
from rsciio_xfm.analysis.fit.peaks import check_spectrum
from rsciio_xfm.analysis.fit.problem import (
    Problem,
    State,
    make_problem,
    minimise,
    project_out,
    reweighted,
    solve_at,
)
from rsciio_xfm.analysis.fit.response import FWHM, Response
from rsciio_xfm.analysis.fit.scatter import Scatter, make_scatter
from rsciio_xfm.analysis.fit.solve import scaled_gram, solve

_LEAST_KEV = 0.95  # of lines: Na is the first
_SEEN = 20.0  # counts in 1 keV: beyond the last such window nothing is looked for
_ROUGH, _FINE = 0.03, 0.01  # error of the model, relative to the counts
_SURE = 30.0  # sigma: weaker elements have to wait for sum peaks
_MOST = 40  # groups
_TOLD = 0.03  # of the square of a column that others may not take up
_REFINED = ("zero", "gain", "noise")
_TOLERANCE = 1e-2
# The search for the scale: widths and steps in keV, changes that are tried.
_STEP, _BLUR = 0.03, 0.16
_GAINS = np.linspace(-0.012, 0.012, 9)
_ZEROS = (-0.02, 0.0, 0.02)
_N_FIRST = 5  # groups by which scales are compared
_BETTER = 0.9  # chi2, relative, that another scale than the given one needs
_ALIKE = 0.75  # evidence, relative, of what it could be as well
_N_ALIKE = 3
_LEAST_BLOCK = 3000.0  # counts
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
        In sigma: the root of the loss of chi2 without it, with a model error of 1 %.
    counts, sigma
        Of the group in the sum, and the standard deviation with the calibration's.
    alternatives
        Names of other groups that explain at least three quarters of it.
    in_part
        Number of the block in which it was found, if it is not seen in the sum; else None.
    """

    element: str
    shell: str
    lines: tuple[float, ...]
    evidence: float
    counts: float
    sigma: float
    alternatives: tuple[str, ...] = ()
    in_part: int | None = None

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
        Those that may be there; None: all from sodium to uranium.
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
    energy_range = _range(counts, excitation, response)
    candidates = make_candidates(excitation, response, energy_range, elements, exclude)
    scatter = make_scatter(excitation, energy_range, set())
    model = Model(excitation, response, (), energy_range, len(counts), scatter)
    if not candidates:
        return [], model
    model = replace(model, response=_scaled(model, counts, candidates))
    model = _add_sure(model, counts, candidates)
    if not model.groups and not _strongest(model, counts, candidates):
        return [], model
    model = _add_all(model, counts, candidates)
    if not model.groups:
        return [], model
    parts = _parts(blocks, len(counts))
    in_parts = _find_in_parts(model, parts, candidates)
    if in_parts:
        groups = (*model.groups, *(candidates[k].group for k in in_parts))
        model = calibrate(replace(model, groups=groups), counts)
    kept = {candidates[k].group.name: number for k, number in in_parts.items()}
    model, evidence = _drop_weak(model, counts, candidates, kept)
    return _describe(model, counts, candidates, evidence, kept), model


def _range(
    counts: np.ndarray, excitation: Excitation, response: Response
) -> tuple[float, float]:
    """Return the energies in which lines are looked for."""
    width = max(1, round(1 / response.gain))
    sums = np.convolve(counts.clip(0), np.ones(width), mode="same")
    seen = np.flatnonzero(sums >= _SEEN)
    last = seen[-1] if len(seen) else len(counts) - 1
    high = min(
        response.zero + response.gain * (last + 1),
        response.zero + response.gain * (len(counts) - 1),
        excitation.highest * 1.02 + 0.3,
    )
    low = max(_LEAST_KEV, response.zero + 2 * response.gain)
    if high - low < 10 * response.gain:
        raise ValueError(
            f"Between {low:.3g} keV and the end of the spectrum, or what "
            f"{excitation.highest:g} keV excite, there are not {_SEEN:g} counts: nothing can "
            "be found."
        )
    return low, high


# The scale: energies of a map may be 1 % off.


def _scaled(model: Model, counts: np.ndarray, candidates: list[Candidate]) -> Response:
    """Return the response with a scale such that a few groups explain the most."""
    own = model.response
    grid = np.arange(*model.energy_range, _STEP)
    columns, n_base = _blurred_columns(model, candidates, grid)
    factors = np.array([one.factor for one in candidates])
    found = {}
    for zero in _ZEROS:
        for change in _GAINS:
            trial = replace(own, zero=own.zero + zero, gain=own.gain * (1 + change))
            target = _blurred(counts, trial, grid)
            found[zero, float(change)] = _explain(columns, n_base, target, factors)
    best = min(found, key=lambda key: found[key])
    is_near = min(found[0.0, float(change)] for change in _GAINS if abs(change) < 1e-9)
    if found[best] > _BETTER * is_near:
        return own
    return replace(own, zero=own.zero + best[0], gain=own.gain * (1 + best[1]))


def _blurred_columns(
    model: Model, candidates: list[Candidate], grid: np.ndarray
) -> tuple[np.ndarray, int]:
    """Return columns of background and scatter, then of candidates, on a grid of energies."""
    noise = float(np.hypot(model.response.noise, math.sqrt(2) * _BLUR))
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
        np.diff(np.interp(bins, edges, total)), math.sqrt(2) * _BLUR / FWHM / _STEP
    )


def _explain(
    columns: np.ndarray, n_base: int, target: np.ndarray, factors: np.ndarray
) -> float:
    """Return chi2 with the first few groups that are chosen greedily."""
    roots = 1 / np.sqrt(np.maximum(target, 1) + (_ROUGH * target) ** 2)
    weighted, goal = columns * roots, target * roots
    chosen = list(range(n_base))
    for k in range(_N_FIRST + 1):
        used = weighted[chosen]
        solution = solve(used, goal, np.zeros(len(used), dtype=bool))
        residual = goal - solution.areas @ used
        if k == _N_FIRST:
            break
        rest = _without(used[solution.is_free], weighted[n_base:])
        gains = _gains(rest, weighted[n_base:], residual)[0] * factors
        chosen.append(n_base + int(np.argmax(gains)))
    return float(residual @ residual)


def _without(used: np.ndarray, spectra: np.ndarray) -> np.ndarray:
    """Return weighted spectra without what others can take up."""
    gram, scale = scaled_gram(used)
    parts = np.linalg.solve(gram, (used @ spectra.T) / scale[:, None])
    return spectra - parts.T @ (used / scale[:, None])


def _gains(
    rest: np.ndarray, columns: np.ndarray, residual: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return evidence for columns, in sigma, and the sigma of their areas."""
    squares = np.einsum("ij,ij->i", rest, rest)
    whole = np.einsum("ij,ij->i", columns, columns)
    is_told = squares > _TOLD * whole
    sizes = np.sqrt(np.where(is_told, squares, 1.0))
    gains = np.where(is_told, rest @ residual / sizes, 0.0)
    return gains, np.where(is_told, 1 / sizes, np.inf)


# Forward.


@dataclass(frozen=True, eq=False)
class _Trial:
    """A model on a spectrum, and what each candidate would add to it."""

    problem: Problem
    state: State
    gains: np.ndarray
    sigmas: np.ndarray
    allowed: np.ndarray

    @property
    def chi2(self) -> float:
        misfit = (self.problem.spectrum - self.state.expected) * self.problem.roots
        return float(misfit @ misfit)


def _tried(
    model: Model, counts: np.ndarray, candidates: list[Candidate], error: float
) -> _Trial:
    values = values_of(model)
    problem = make_problem(model, counts, values)
    state = solve_at(problem, values)
    problem = _less_sure(reweighted(problem, state), state, error)
    state = solve_at(problem, values)
    columns = _columns_of(candidates, model, problem.channels) * problem.roots
    rest = project_out(problem, state, columns)
    residual = (problem.spectrum - state.expected) * problem.roots
    gains, sigmas = _gains(rest, columns, residual)
    areas = gains * np.where(np.isfinite(sigmas), sigmas, 0.0)
    place = {one.name: k for k, one in enumerate(model.groups)}
    for k, one in enumerate(candidates):
        if one.group.name in place:
            areas[k] = state.solution.areas[place[one.group.name]]
            sigmas[k] = max(abs(areas[k]) / 100, 1.0)
    is_new = np.array([one.group.name not in place for one in candidates])
    allowed = is_new & ~contradicted(candidates, areas, sigmas)
    return _Trial(problem, state, gains, sigmas, allowed)


def _less_sure(problem: Problem, state: State, error: float) -> Problem:
    variance = np.maximum(state.expected, 1) + (error * state.expected) ** 2
    return replace(problem, roots=1 / np.sqrt(variance))


def _columns_of(
    candidates: Sequence[Candidate], model: Model, channels: tuple[int, int]
) -> np.ndarray:
    values = values_of(model) | {"shelf": 0.0, "escape": 0.0}
    return make_spectra(_lines_of(candidates, model.response), values, channels)


def _lines_of(candidates: Sequence[Candidate], response: Response) -> Lines:
    groups = [one.group for one in candidates]
    return gather_lines(groups, response, Scatter(), ())


def _best(trial: _Trial, candidates: list[Candidate]) -> int | None:
    """Return the candidate with the most evidence that is enough, or None."""
    factors = np.array([one.factor for one in candidates])
    needed = np.array([one.needed for one in candidates])
    is_enough = trial.allowed & (trial.gains > needed)
    if not is_enough.any():
        return None
    return int(np.argmax(np.where(is_enough, trial.gains * factors, -np.inf)))


def _strongest(
    model: Model, counts: np.ndarray, candidates: list[Candidate]
) -> bool:
    return _best(_tried(model, counts, candidates, _FINE), candidates) is not None


def _add_sure(model: Model, counts: np.ndarray, candidates: list[Candidate]) -> Model:
    """Add groups of more than 30 sigma, and move the scale as they come."""
    n_refined = 0
    while len(model.groups) < _MOST:
        trial = _tried(model, counts, candidates, _ROUGH)
        best = _best(trial, candidates)
        if best is None or trial.gains[best] < _SURE:
            break
        model = replace(model, groups=(*model.groups, candidates[best].group))
        if len(model.groups) >= 1.5 * n_refined:
            model = _refine(model, counts)
            n_refined = len(model.groups)
    return model


def _refine(model: Model, counts: np.ndarray) -> Model:
    """Fit zero, gain and width."""
    values = values_of(model)
    problem = make_problem(model, counts, values)
    state = solve_at(problem, values)
    problem = _less_sure(reweighted(problem, state), state, _ROUGH)
    values = minimise(replace(problem, names=_REFINED), values, _TOLERANCE)
    return apply_values(model, values)


def _add_all(model: Model, counts: np.ndarray, candidates: list[Candidate]) -> Model:
    """Add the others to a model that is calibrated, and calibrate it again."""
    if model.groups:
        model = calibrate(model, counts)
    known = model.groups
    while len(model.groups) < _MOST:
        trial = _tried(model, counts, candidates, _FINE)
        best = _best(trial, candidates)
        if best is None:
            break
        model = replace(model, groups=(*model.groups, candidates[best].group), fit=None)
    return model if model.groups == known else calibrate(model, counts)


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
    model: Model, parts: np.ndarray, candidates: list[Candidate]
) -> dict[int, int]:
    """Return candidates that are in a part only, and in which."""
    if not len(parts):
        return {}
    basis = calibrated(model).basis
    columns = basis.columns.T
    own = _columns_of(candidates, model, (basis.first, basis.stop))
    known = {one.name for one in model.groups}
    # So many tries, so much more by chance.
    extra = math.sqrt(USUAL_EVIDENCE**2 + 2 * math.log(len(parts))) - USUAL_EVIDENCE
    found: dict[int, int] = {}
    clearest = np.zeros(len(candidates))
    for number, part in enumerate(parts):
        gains, sigmas = _gains_in_part(part[basis.first : basis.stop], columns, own)
        finite = np.where(np.isfinite(sigmas), sigmas, 0.0)
        refused = contradicted(candidates, gains * finite, sigmas)
        for k, one in enumerate(candidates):
            is_new = one.group.name not in known and not refused[k]
            score = gains[k] * one.factor
            if is_new and gains[k] > one.needed + extra + 1 and score > clearest[k]:
                clearest[k], found[k] = score, number
    return _clearest_of_alike(found, clearest, own)


def _gains_in_part(
    part: np.ndarray, columns: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return evidence for candidates beside the components of the model."""
    variance = np.maximum(part.mean(), 1.0) + np.zeros_like(part)
    for _ in range(2):
        roots = 1 / np.sqrt(variance)
        solution = solve(columns * roots, part * roots, np.zeros(len(columns), dtype=bool))
        expected = solution.areas @ columns
        variance = np.maximum(expected, 1.0) + (_ROUGH * expected) ** 2
    roots = 1 / np.sqrt(variance)
    used = columns[solution.is_free] * roots
    weighted = own * roots
    return _gains(_without(used, weighted), weighted, (part - expected) * roots)


def _clearest_of_alike(
    found: dict[int, int], clearest: np.ndarray, own: np.ndarray
) -> dict[int, int]:
    """Return one of candidates whose columns are much the same."""
    sizes = np.sqrt(np.einsum("ij,ij->i", own, own))
    kept: dict[int, int] = {}
    for k in sorted(found, key=lambda k: -clearest[k]):
        alike = [own[k] @ own[j] / (sizes[k] * sizes[j]) for j in kept]
        if max(alike, default=0.0) < 0.3:
            kept[k] = found[k]
    return kept


# Backward, and what is said of each.


def _evidence(
    model: Model, counts: np.ndarray
) -> tuple[np.ndarray, Problem, State]:
    """Return the evidence for each group beside all others."""
    values = values_of(model)
    problem = make_problem(model, counts, values)
    state = solve_at(problem, values)
    problem = _less_sure(reweighted(problem, state), state, _FINE)
    state = solve_at(problem, values)
    found = np.zeros(len(model.groups))
    for k in range(len(found)):
        column = state.columns[k] * problem.roots
        left = project_out(problem, _free_but(state, k), column[None])[0]
        found[k] = state.solution.areas[k] * np.sqrt(left @ left)
    return found, problem, state


def _free_but(state: State, k: int) -> State:
    """Return a state in which one component is held at 0."""
    free = state.solution.is_free.copy()
    free[k] = False
    return replace(state, solution=replace(state.solution, is_free=free))


def _drop_weak(
    model: Model,
    counts: np.ndarray,
    candidates: list[Candidate],
    kept: dict[str, int],
) -> tuple[Model, np.ndarray]:
    """Drop groups that are not needed, one by one, and calibrate again if there were any."""
    needed = {one.group.name: one.needed for one in candidates}
    before = model.groups
    evidence = np.zeros(0)
    while model.groups:
        evidence, *_ = _evidence(model, counts)
        limits = np.array([needed[g.name] if g.name not in kept else -1e9 for g in model.groups])
        weakest = int(np.argmin(evidence - limits))
        if evidence[weakest] >= limits[weakest]:
            break
        groups = model.groups[:weakest] + model.groups[weakest + 1 :]
        model = replace(model, groups=groups, fit=None)
    if model.groups and model.groups != before:
        model = calibrate(model, counts)
        evidence, *_ = _evidence(model, counts)
    return model, evidence


def _describe(
    model: Model,
    counts: np.ndarray,
    candidates: list[Candidate],
    evidence: np.ndarray,
    kept: dict[str, int],
) -> list[Found]:
    if not model.groups:
        return []
    _, problem, state = _evidence(model, counts)
    columns = _columns_of(candidates, model, problem.channels) * problem.roots
    areas = calibrated(model).areas
    found = []
    for k, group in enumerate(model.groups):
        area, sigma = areas[group.name]
        found.append(
            Found(
                group.element,
                group.shell,
                _telling(group),
                float(evidence[k]),
                area,
                sigma,
                _alternatives(k, model, problem, state, columns, candidates),
                kept.get(group.name),
            )
        )
    return sorted(found, key=lambda one: -one.evidence)


def _telling(group: Group) -> tuple[float, ...]:
    """Return the energies of the stronger lines, those within 0.05 keV of another as one."""
    strong = group.weights > _TELLING * group.weights.max()
    energies, weights = group.energies[strong], group.weights[strong]
    told: list[float] = []
    for energy, _ in sorted(zip(energies, weights, strict=True), key=lambda pair: -pair[1]):
        if all(abs(energy - other) > 0.05 for other in told):
            told.append(float(energy))
    return tuple(told)


def _alternatives(
    k: int,
    model: Model,
    problem: Problem,
    state: State,
    columns: np.ndarray,
    candidates: list[Candidate],
) -> tuple[str, ...]:
    """Return groups that explain most of what one group does, were it not there."""
    without = _free_but(state, k)
    free = without.solution.is_free
    used = state.columns[free] * problem.roots
    target = problem.spectrum * problem.roots
    solution = solve(used, target, np.zeros(len(used), dtype=bool))
    residual = target - solution.areas @ used
    rest = _without(used[solution.is_free], columns)
    gains, _ = _gains(rest, columns, residual)
    names = [one.group.name for one in candidates]
    own = gains[names.index(model.groups[k].name)]
    taken = {group.element for group in model.groups}
    order = np.argsort(-gains)
    alike = [
        names[j]
        for j in order
        if gains[j] > _ALIKE * own and candidates[j].group.element not in taken
    ]
    return tuple(alike[:_N_ALIKE])
