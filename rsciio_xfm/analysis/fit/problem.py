"""The fit of a spectrum by a model whose parameters may change: variable projection."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rsciio_xfm.analysis.fit.background import KNOT_KEV, make_splines
from rsciio_xfm.analysis.fit.columns import (
    ABSORPTION_POWER,
    LINEAR,
    Lines,
    changed_by,
    family_spectra,
    gather_lines,
    make_spectra,
    partner_spectra,
)
from rsciio_xfm.analysis.fit.model import Model, channels_of, floored
from rsciio_xfm.analysis.fit.parameters import Prior, prior, values_of
from rsciio_xfm.analysis.fit.solve import Solution, scaled_gram, solve

# Of the spectrum that lines are somewhere, if their ratio is to be fitted: of K-beta; of a
# subshell, whose lines make no shoulders of others.
_LEAST_K, _LEAST_PART = 0.2, 0.05
SIGNIFICANT = 5.0  # standard deviations of what is believed to be there
_MODEL_ERROR = 0.01  # of the counts, when something is looked for
# Channels without counts are dead if those beside them have more, or if more are expected,
# which chance does once in 1e13.
_DEAD_COUNTS = 30
_LEAST_KEV, _LEAST_PASSING = 0.05, 1e-4  # where nothing is known of absorption any more
_SOFT_KEV = 1.0  # below which the continuum of electrons is steep
# Sigma of the prior: at a limit a search would stay where it starts, all parameters of it.
_OFF_LIMITS = 0.1
_SMOOTHING = 15  # channels: weights before there is a model


@dataclass(frozen=True, eq=False)
class Problem:
    """A spectrum and what it is fitted by.

    Attributes
    ----------
    lines, splines
        Of all components: those with lines, then the background.
    spectrum
        Counts in the channels that are fitted.
    channels
        First of them, and the one after the last.
    roots
        Of the weights; 0 in dead channels.
    start
        Values of all parameters, and the middle of their priors.
    names
        Of the parameters that are fitted.
    """

    lines: Lines
    splines: np.ndarray
    spectrum: np.ndarray
    channels: tuple[int, int]
    roots: np.ndarray
    start: dict[str, float]
    names: tuple[str, ...] = ()

    def weighted_by(self, variance: np.ndarray) -> "Problem":
        """Return a problem with other variances of the channels; dead ones stay so."""
        roots = np.where(self.roots > 0, 1 / np.sqrt(variance), 0.0)
        return replace(self, roots=roots)

    def priors(self) -> list[Prior]:
        """Return what is known of the parameters that are fitted."""
        return [prior(name, self.start["gain"]) for name in self.names]

    def values(self, changes: np.ndarray) -> dict[str, float]:
        """Return the values of all parameters, some changed, in sigma of their priors."""
        pairs = zip(self.names, self.priors(), changes.tolist(), strict=True)
        changed = {n: self.middle(n) + known.sigma * x for n, known, x in pairs}
        return self.start | changed

    def middle(self, name: str) -> float:
        """Return where a prior has its middle; ratios have it at 1."""
        return self.start.get(name, 1.0)


@dataclass(frozen=True, eq=False)
class State:
    """A problem with its parameters at some values, solved for the areas.

    Attributes
    ----------
    columns
        float64, shape (components, channels).
    solution
        Areas of them.
    expected
        Counts of each channel.
    """

    values: dict[str, float]
    columns: np.ndarray
    solution: Solution
    expected: np.ndarray


def make_problem(model: Model, spectrum: np.ndarray, values: dict[str, float]) -> Problem:
    """Return the problem of a model, with weights from the spectrum itself.

    Parameters
    ----------
    model
        Its parameters are the middles of the priors.
    spectrum
        Counts of all channels.
    values
        Of all parameters as far as they are known: they say where the channels are.
    """
    first, stop = channels_of(model, values)
    peaks = model.sum_peaks.peaks
    lines = gather_lines(model.groups, model.response, model.scatter, peaks)
    splines = splines_of(model, values, KNOT_KEV)
    splines = absorbed(splines, model, values, model.response.continuum)
    counts = spectrum[first:stop]
    box = np.ones(min(_SMOOTHING, len(counts)))
    smooth = np.convolve(counts, box, "same") / np.convolve(
        np.ones(len(counts)), box, "same"
    )
    # The larger of the smooth and the measured counts: low ones do not get all the weight.
    roots = 1 / np.sqrt(floored(np.maximum(smooth, counts)))
    roots[find_dead(counts)] = 0
    return Problem(lines, splines, counts, (first, stop), roots, values_of(model))


def splines_of(model: Model, values: dict[str, float], step: float) -> np.ndarray:
    """Return splines within the channels that are fitted, their knots so many keV apart."""
    energies = values["zero"] + values["gain"] * np.arange(*channels_of(model, values))
    beam = model.excitation
    soft = _SOFT_KEV if beam is not None and beam.kind == "electrons" else 0.0
    return make_splines(energies, step, soft)


def absorbed(
    splines: np.ndarray, model: Model, values: dict[str, float], edge: float
) -> np.ndarray:
    """Return splines of a continuum that is absorbed, of one count each.

    Parameters
    ----------
    splines
        From :func:`splines_of`.
    model, values
        They say where the channels are.
    edge
        See :attr:`rsciio_xfm.analysis.fit.response.Response.continuum`, keV.
    """
    energies = values["zero"] + values["gain"] * np.arange(*channels_of(model, values))
    depth = (edge / np.maximum(energies, _LEAST_KEV)) ** ABSORPTION_POWER
    # A little always passes.
    passing = splines * np.maximum(np.exp(-depth), _LEAST_PASSING)
    cut: np.ndarray = passing / passing.sum(axis=1, keepdims=True)
    return cut


def find_dead(counts: np.ndarray, expected: np.ndarray | None = None) -> np.ndarray:
    """Return the channels without counts beside others with many, bool.

    No peak ends so suddenly, on both sides or at an end of the spectrum: that is a channel
    that does not count, a gap, or a threshold of the electronics. Where a model tells what is
    expected, channels without any of many counts are dead too.
    """
    dead: np.ndarray = counts == 0
    is_missing = False if expected is None else dead & (expected > _DEAD_COUNTS)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], dead, [False]]).astype(int)))
    for first, stop in edges.reshape(-1, 2):
        beside = [counts[k] for k in (first - 1, stop) if 0 <= k < len(counts)]
        dead[first:stop] = bool(beside) and min(beside) > _DEAD_COUNTS
    return dead | is_missing


def reweighted(problem: Problem, state: State) -> Problem:
    """Return a problem with the weights of what is expected."""
    return problem.weighted_by(floored(state.expected))


def less_sure(problem: Problem, state: State, error: float = _MODEL_ERROR) -> Problem:
    """Return a problem whose weights allow for a relative error of the model."""
    variance = floored(state.expected) + (error * state.expected) ** 2
    return problem.weighted_by(variance)


def solve_at(problem: Problem, values: dict[str, float], signed: bool = False) -> State:
    """Return the best areas with the parameters at some values.

    Parameters
    ----------
    problem
        Of a spectrum.
    values
        Of all parameters.
    signed
        Whether all components but the background may be negative.
    """
    return solve_by(problem, values, line_columns(problem, values), signed)


def line_columns(problem: Problem, values: dict[str, float]) -> np.ndarray:
    """Return the columns of all components but the background."""
    return make_spectra(problem.lines, values, problem.channels)


def solve_by(
    problem: Problem, values: dict[str, float], columns: np.ndarray, signed: bool = False
) -> State:
    """Return the best areas, of columns that :func:`line_columns` has made."""
    columns = np.concatenate([columns, problem.splines])
    may_be_negative = np.full(len(columns), signed)
    may_be_negative[problem.lines.n_columns :] = False
    target = problem.spectrum * problem.roots
    solution = solve(columns * problem.roots, target, may_be_negative)
    return State(values, columns, solution, solution.areas @ columns)


def slopes_at(problem: Problem, state: State, names: Sequence[str]) -> np.ndarray:
    """Return how the expected spectrum changes with parameters, with the areas as they are."""
    found = np.empty((len(names), len(problem.spectrum)))
    lines, values = problem.lines, state.values
    n_lines, of_ratios = lines.n_columns, {}
    if not set(lines.ratio_names).isdisjoint(names):
        of_ratios = ratio_slopes(problem, state, names)
    for k, name in enumerate(names):
        areas = state.solution.areas[:n_lines]
        if name in of_ratios:
            owner, slope = of_ratios[name]
            found[k] = areas[owner] * slope
        elif name in LINEAR:
            found[k] = areas @ partner_spectra(lines, values, problem.channels, name)
        else:
            is_changed = changed_by(lines, name)
            areas = np.where(is_changed, areas, 0.0)
            step = prior(name, problem.start["gain"]).step
            moved = values | {name: values.get(name, 1.0) + step}
            now = areas[is_changed] @ state.columns[:n_lines][is_changed]
            found[k] = (
                make_spectra(lines, moved, problem.channels, areas)[0] - now
            ) / step
    return found


def ratio_slopes(
    problem: Problem, state: State, names: Sequence[str]
) -> dict[str, tuple[int, np.ndarray]]:
    """Return which column each ratio among some names changes, and how, per count.

    A family grows at the cost of the others, as a column is one count: all of them are told
    by the spectra of the families, which are made at once.
    """
    lines = problem.lines
    spectra, shares = family_spectra(lines, state.values, problem.channels)
    found = {}
    for name in names:
        if name in lines.ratio_names:
            k = lines.ratio_names.index(name)
            owner = int(lines.owners[np.argmax(lines.ratios == k)])
            change = spectra[k] - shares[k] * state.columns[owner]
            found[name] = owner, change / state.values.get(name, 1.0)
    return found


def project_out(problem: Problem, state: State, spectra: np.ndarray) -> np.ndarray:
    """Return weighted spectra without what the components can take up."""
    weighted = state.columns[state.solution.is_free] * problem.roots
    gram, scale = scaled_gram(weighted)
    parts = np.linalg.solve(gram, (weighted @ spectra.T) / scale[:, None])
    return spectra - parts.T @ (weighted / scale[:, None])


def chi2_of(problem: Problem, state: State) -> float:
    """Return chi2 per channel, of those that are not dead."""
    misfit = (problem.spectrum - state.expected) * problem.roots
    return float(misfit @ misfit / np.count_nonzero(problem.roots))


def significances(problem: Problem, state: State, which: Iterable[int]) -> np.ndarray:
    """Return the areas of some components in standard deviations, all others being there."""
    found = []
    for k in which:
        others = state.solution.is_free.copy()
        others[k] = False
        rest = replace(state, solution=replace(state.solution, is_free=others))
        column = state.columns[k] * problem.roots
        left = project_out(problem, rest, column[None])[0]
        found.append(state.solution.areas[k] * np.sqrt(left @ left))
    return np.array(found)


def informed(problem: Problem, state: State, names: Sequence[str]) -> tuple[str, ...]:
    """Return the parameters that matter: within their priors they change the spectrum.

    Those that areas can make up for are among them (a shelf is like a background), as areas
    are as uncertain then. Ratios are told only by lines that are a good part of the spectrum
    somewhere: K-beta of Mn beside K-alpha of Fe says more of the shape of the latter.
    """
    slopes = slopes_at(problem, state, names)
    parts = (slopes / floored(state.expected)).max(axis=1, initial=0.0)
    sizes = np.sqrt(((slopes * problem.roots) ** 2).sum(axis=1))
    found = []
    for name, part, size in zip(names, parts, sizes, strict=True):
        least = _LEAST_K if "_K " in name else _LEAST_PART
        is_seen = " " not in name or part > least
        if is_seen and size * prior(name, problem.start["gain"]).sigma > 1:
            found.append(name)
    return tuple(found)


def minimise(
    problem: Problem, values: dict[str, float], tolerance: float
) -> dict[str, float]:
    """Return the values of the parameters that fit best, each with the best areas.

    Parameters
    ----------
    problem
        Its names are fitted.
    values
        To start from.
    tolerance
        Relative change of chi2 that is small.
    """
    from scipy.optimize import least_squares

    if not problem.names:
        return values
    known = problem.priors()
    middles = np.array([problem.middle(name) for name in problem.names])
    sigmas = np.array([one.sigma for one in known])
    low = (np.array([one.low for one in known]) - middles) / sigmas
    high = (np.array([one.high for one in known]) - middles) / sigmas
    first = np.array([values.get(name, 1.0) for name in problem.names])
    first = np.clip((first - middles) / sigmas, low + _OFF_LIMITS, high - _OFF_LIMITS)
    states: dict[bytes, State] = {}

    def state_at(x: np.ndarray) -> State:
        key = x.tobytes()
        if key not in states:
            states.clear()
            states[key] = solve_at(problem, problem.values(x))
        return states[key]

    def residual(x: np.ndarray) -> np.ndarray:
        state = state_at(x)
        return np.append((problem.spectrum - state.expected) * problem.roots, x)

    def jacobian(x: np.ndarray) -> np.ndarray:
        state = state_at(x)
        slopes = slopes_at(problem, state, problem.names) * problem.roots
        slopes = project_out(problem, state, slopes) * sigmas[:, None]
        return np.concatenate([-slopes.T, np.eye(len(x))])

    found = least_squares(
        residual, first, jacobian, (low, high), ftol=tolerance, xtol=1e-7, max_nfev=30
    )
    return problem.values(found.x)
