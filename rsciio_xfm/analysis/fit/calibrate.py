"""Calibration of a model on a spectrum: nothing is assumed that the spectrum can tell."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rsciio_xfm.analysis.fit.background import KNOT_KEV, WIDE_KEV, cut_background
from rsciio_xfm.analysis.fit.basis import (
    BACKGROUND,
    ELEMENT,
    SCATTER,
    SUM_PEAK,
    Basis,
)
from rsciio_xfm.analysis.fit.columns import (
    LINEAR,
    make_spectra,
    partner_spectra,
    widths,
)
from rsciio_xfm.analysis.fit.limits import detection_limits
from rsciio_xfm.analysis.fit.model import Fit, Model, SumPeaks, floored
from rsciio_xfm.analysis.fit.parameters import apply_values, prior, values_of
from rsciio_xfm.analysis.fit.problem import (
    SIGNIFICANT,
    Problem,
    State,
    absorbed,
    chi2_of,
    informed,
    less_sure,
    line_columns,
    make_problem,
    minimise,
    ratio_slopes,
    reweighted,
    significances,
    slopes_at,
    solve_at,
    solve_by,
    splines_of,
)
from rsciio_xfm.analysis.fit.scatter import Scatter
from rsciio_xfm.analysis.fit.solve import scaled_gram
from rsciio_xfm.analysis.fit.sum_peaks import choose_sum_peaks, drop_weak, is_pile_up
from rsciio_xfm.core.one_thread import one_thread
from rsciio_xfm.core.warning import warn

GAINS = np.linspace(-0.012, 0.012, 9)  # relative changes that are tried first
ZEROS = (-0.02, 0.0, 0.02)  # keV
EDGES = np.arange(0, 1.35, 0.1)  # keV, of the absorption of a continuum that are tried
BLUR = 0.16  # keV added to the widths then
_ALIKE = 0.8  # correlation of components that can hardly be told apart
_TOLERANCES = (1e-3, 1e-4, 1e-5)  # of the rounds of a calibration
_ROUNDS = 2  # until a model is about right
_REWEIGHTINGS = 3
_LEAST_SPLINES = 4  # that a background has
_ABOVE = 5  # standard deviations above the excitation: from there on, no lines are seen
_EXCESS_SIGMA = 7
_LEAST_EXCESS = 0.003  # of all counts: a peak there that is no pile-up


@one_thread()
def calibrate(
    model: Model, spectrum: np.ndarray, n_pixels: int = 1, fixed: Sequence[str] = ()
) -> Model:
    """Fit a model to a spectrum.

    Parameters
    ----------
    model
        From :func:`~rsciio_xfm.analysis.fit.model.make_model`; its energies may be 20 eV and
        1 % off.
    spectrum
        Counts, shape (channels,): best that of a whole map.
    n_pixels
        Spectra that were added up in it.
    fixed
        Names of parameters that stay as they are: ``"zero"``, ``"gain"``, ``"noise"``,
        ``"fano"``, ``"tail"``, ``"tail_length"``, ``"shelf"``, ``"escape"``, ``"stopping"``
        (1 / thickness of the crystal), ``"compton_shift"``, ``"Fe_K b"`` (K-beta of iron).

    Returns
    -------
    Model
        With all parameters as they were found, and its `fit`.

    Raises
    ------
    ValueError
        The spectrum has other channels, is empty, or not finite; or there are fewer channels
        than components.

    Warns
    -----
    UserWarning
        Counts are negative, or there is a peak above what the excitation can excite.
    """
    counts = check_spectrum(model, spectrum)
    if fixed:
        check_names(model, fixed)
    values = find_scale(model, counts, fixed)
    return _from_values(model, counts, values, (n_pixels, fixed))


@one_thread()
def calibrate_again(model: Model, spectrum: np.ndarray) -> Model:
    """Fit a model, as :func:`calibrate`, whose energies are right within a tenth of a peak."""
    counts = check_spectrum(model, spectrum)
    return _from_values(model, counts, values_of(model), (1, ()))


def _from_values(
    model: Model,
    counts: np.ndarray,
    values: dict[str, float],
    asked: tuple[int, Sequence[str]],
) -> Model:
    """Return the fit from some values on; `asked` are pixels, and parameters that stay."""
    n_pixels, fixed = asked
    for tolerance in _TOLERANCES:
        model, values, names = _round(model, counts, values, (tolerance, fixed))
    if not is_pile_up(values):
        model = replace(model, sum_peaks=SumPeaks())
        values |= {
            name: value for name, value in values_of(model).items() if "sum" in name
        }
        values, names = refine(model, counts, values, (tolerance, fixed))
    model = replace(model, sum_peaks=drop_weak(model, counts, values))
    check_excitation(model, counts, values)
    names = _left(model, counts, values, names)
    return finish(apply_values(model, values), counts, n_pixels, names)


def approach(model: Model, counts: np.ndarray, fixed: Sequence[str]) -> Model:
    """Return a model with parameters that are about right, and sum peaks, without a fit.

    Parameters
    ----------
    model
        Its energies are right within a tenth of the width of a peak.
    counts
        The spectrum, all channels.
    fixed
        Names of parameters that stay as they are.
    """
    values = values_of(model)
    for _ in range(_ROUNDS):
        model, values, _ = _round(model, counts, values, (_TOLERANCES[0], fixed))
    return apply_values(model, values)


def _round(
    model: Model,
    counts: np.ndarray,
    values: dict[str, float],
    rules: tuple[float, Sequence[str]],
) -> tuple[Model, dict[str, float], tuple[str, ...]]:
    """Fit the parameters, then choose the scatter and sum peaks that are seen."""
    model = with_continuum(model, counts, values)
    values, names = refine(model, counts, values, rules)
    model = replace(model, scatter=seen_scatter(model, counts, values))
    model = replace(model, sum_peaks=choose_sum_peaks(model, counts, values))
    return model, values, names


def _left(
    model: Model, counts: np.ndarray, values: dict[str, float], names: Sequence[str]
) -> tuple[str, ...]:
    """Return the parameters of which something is left, when peaks have been dropped."""
    lines = make_problem(model, counts, values).lines
    gone = set() if model.sum_peaks.peaks else {"sum_shift", "sum_width"}
    kept = [name for name in names if " " not in name or name in lines.ratio_names]
    return tuple(name for name in kept if name not in gone)


def refine(
    model: Model,
    counts: np.ndarray,
    values: dict[str, float],
    rules: tuple[float, Sequence[str]],
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return better values, and the names of the parameters that were fitted.

    Parameters
    ----------
    model
        Its parameters are the middles of the priors.
    counts
        The spectrum, all channels.
    values
        To start from.
    rules
        Relative change of chi2 that is small, and names of parameters to leave alone.
    """
    tolerance, fixed = rules
    problem = make_problem(model, counts, values)
    state = solve_at(problem, values)
    problem = reweighted(problem, state)
    every = dict.fromkeys([*problem.start, *problem.lines.ratio_names])
    left_out = {*fixed, *_known(model)}
    names = informed(problem, state, [name for name in every if name not in left_out])
    return minimise(replace(problem, names=names), values, tolerance), names


def with_continuum(model: Model, counts: np.ndarray, values: dict[str, float]) -> Model:
    """Return a model of electrons with the absorption of the continuum that fits best.

    Splines alone do not follow it below 1 keV, and lines of O and M lines make up for that.
    """
    if model.excitation is None or model.excitation.kind != "electrons":
        return model
    problem = make_problem(model, counts, values)
    splines = splines_of(model, values, KNOT_KEV)
    columns, found = line_columns(problem, values), {}
    for edge in EDGES.tolist():
        trial = replace(problem, splines=absorbed(splines, model, values, edge))
        state = solve_by(trial, values, columns)
        misfit = (trial.spectrum - state.expected) * trial.roots
        found[float(misfit @ misfit)] = edge
    return replace(model, response=replace(model.response, continuum=found[min(found)]))


def seen_scatter(model: Model, counts: np.ndarray, values: dict[str, float]) -> Scatter:
    """Return the scatter of a model without L lines of the source that are not significant.

    Windows, air and filters stop them, and they lie where S, Cl and Pb M do.
    """
    rayleigh, n_groups = model.scatter.rayleigh, len(model.groups)
    problem = make_problem(model, counts, values)
    state = solve_at(problem, values)
    problem = less_sure(problem, state)
    own = range(n_groups, n_groups + len(rayleigh))
    found = zip(rayleigh, significances(problem, state, own), strict=True)
    kept = tuple(g for g, n in found if g.shell != "L" or n > SIGNIFICANT)
    return replace(model.scatter, rayleigh=kept)


def _known(model: Model) -> tuple[str, ...]:
    """Return the parameters that are no question with an excitation."""
    beam = model.excitation
    is_free = beam is not None and beam.kind == "monochromatic"
    return () if is_free else ("scatter_offset",)


def check_spectrum(model: Model, spectrum: np.ndarray) -> np.ndarray:
    """Return a spectrum that can be fitted."""
    counts = np.asarray(spectrum, float)
    if counts.shape != (model.n_channels,):
        raise ValueError(
            f"The spectrum has the shape {counts.shape}, expected ({model.n_channels},)."
        )
    first, stop = model.channels
    part = counts[first:stop]
    if not np.isfinite(part).all():
        where = first + int(np.argmin(np.isfinite(part)))
        raise ValueError(f"The spectrum is {counts[where]} in channel {where}.")
    if not (part > 0).any():
        raise ValueError(
            f"The spectrum has no counts in its channels {first} to {stop}, "
            f"{model.energy_range[0]:.4g} to {model.energy_range[1]:.4g} keV."
        )
    n_components = len(model.names) + _LEAST_SPLINES
    if len(part) <= n_components:
        raise ValueError(
            f"There are {len(part)} channels at {model.energy_range[0]:.4g} to "
            f"{model.energy_range[1]:.4g} keV for {n_components} components, those of "
            "the background included: fit fewer elements or a wider range."
        )
    if (part < 0).any():
        warn(
            "The spectrum has negative counts: uncertainties are those of counts that "
            "nothing was subtracted from, and too small."
        )
    return counts


def check_names(model: Model, fixed: Sequence[str]) -> None:
    """Raise a ValueError if a parameter is not one."""
    problem = make_problem(model, np.zeros(model.n_channels), values_of(model))
    known = [*problem.start, *problem.lines.ratio_names]
    unknown = [name for name in fixed if name not in known]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no parameter, expected one of {known}.")


def check_excitation(model: Model, counts: np.ndarray, values: dict[str, float]) -> None:
    """Warn if there are peaks that the excitation cannot make."""
    beam = model.excitation
    if beam is None:
        return
    sigma = widths(values, np.array([beam.highest]), model.response)[0]
    margin = values["scatter_offset"] + _ABOVE * sigma
    first = round((beam.highest + margin - values["zero"]) / values["gain"])
    half = max(1, round(2 * sigma / values["gain"]))
    above = np.maximum(counts[max(first, 0) :], 0.0)
    if len(above) < 6 * half:
        return
    # The counts in the middle third of a window, and those of the two thirds beside it.
    total = np.convolve(above, np.ones(2 * half), "valid")
    middle = total[half:-half]
    beside = np.convolve(above, np.ones(4 * half), "valid")[: len(middle)] - middle
    excess = middle - beside
    least = _LEAST_EXCESS * counts.sum() + _EXCESS_SIGMA * np.sqrt(middle + beside + 1)
    k = first + 2 * half + int(np.argmax(excess - least))
    if (excess > least).any():
        warn(
            f"The spectrum has a peak at {values['zero'] + values['gain'] * k:.2f} keV, and "
            f"the excitation is said to be {beam}: nothing above it is seen."
        )


def find_scale(
    model: Model, counts: np.ndarray, fixed: Sequence[str]
) -> dict[str, float]:
    """Return values with a zero and gain such that peaks lie about where they should."""
    start = values_of(model)
    problem = make_problem(model, counts, start)
    blurred = start | {"tail": 0.0, "shelf": 0.0, "compton_tail": 0.0}
    blurred["noise"] = float(np.hypot(start["noise"], BLUR))
    found = {}
    for zero in (0.0,) if "zero" in fixed else ZEROS:
        for change in (0.0,) if "gain" in fixed else GAINS:
            scale = {"zero": start["zero"] + zero, "gain": start["gain"] * (1 + change)}
            state = solve_at(problem, blurred | scale)
            misfit = (problem.spectrum - state.expected) * problem.roots
            found[float(misfit @ misfit)] = scale
    return start | found[min(found)]


def finish(
    model: Model, counts: np.ndarray, n_pixels: int, names: Sequence[str]
) -> Model:
    """Return a model with its fit, the parameters left as they are.

    Parameters
    ----------
    model
        With the parameters as they were found.
    counts
        The spectrum, all channels.
    n_pixels
        Spectra that were added up in it.
    names
        Of the parameters that were fitted.
    """
    values = values_of(model)
    problem = replace(make_problem(model, counts, values), names=tuple(names))
    made = line_columns(problem, values)
    state = solve_by(problem, values, made, signed=True)
    for _ in range(_REWEIGHTINGS):
        problem = reweighted(problem, state)
        state = solve_by(problem, values, made, signed=True)
    chi2 = chi2_of(problem, state)
    # Where the model is not right its parameters are not known as well as the counts tell.
    covariance = joint_covariance(problem, state) * max(chi2, 1.0)
    basis = _basis(model, problem, state, covariance)
    n_lines, n_names = problem.lines.n_columns, len(names)
    spread = _spread(covariance, n_names, n_lines)
    fit = Fit(
        counts,
        n_pixels,
        basis,
        np.sqrt(np.diag(spread)),
        chi2,
        _parameters(model, values, names, covariance),
        _correlations(basis),
        _detection_limits(basis),
    )
    return replace(model, fit=fit)


def joint_covariance(problem: Problem, state: State) -> np.ndarray:
    """Return the covariance of parameters, areas and counts of splines, all at once.

    It is the inverse of the Fisher matrix at the minimum, with the priors of the parameters.
    Splines that are held at 0 have none.
    """
    n_lines, n_names = problem.lines.n_columns, len(problem.names)
    slopes = slopes_at(problem, state, problem.names)
    rows = np.concatenate([slopes, state.columns]) * problem.roots
    known = [1 / one.sigma for one in problem.priors()]
    rows = np.concatenate([rows, np.zeros((len(rows), n_names))], axis=1)
    rows[:n_names, len(problem.spectrum) :] = np.diag(known)
    free = np.concatenate([np.ones(n_names, bool), state.solution.is_free])
    free[n_names : n_names + n_lines] = True
    gram, scale = scaled_gram(rows[free])
    covariance = np.zeros((len(rows), len(rows)))
    scaled = np.linalg.inv(gram) / np.multiply.outer(scale, scale)
    covariance[np.ix_(free, free)] = scaled
    return covariance


def _spread(covariance: np.ndarray, n_names: int, n_lines: int) -> np.ndarray:
    """Return the covariance of the components, the splines added up to one."""
    own = covariance[n_names:, n_names:]
    adding = np.zeros((n_lines + 1, len(own)))
    adding[range(n_lines), range(n_lines)] = 1
    adding[n_lines, n_lines:] = 1
    return adding @ own @ adding.T


def _basis(model: Model, problem: Problem, state: State, covariance: np.ndarray) -> Basis:
    n_lines, n_names = problem.lines.n_columns, len(problem.names)
    areas = state.solution.areas
    total = areas[n_lines:].sum()
    # Nothing of a background has a shape too: pixels may have some of it, or less.
    shape = areas[n_lines:] @ problem.splines / total if total > 0 else flat(problem)
    columns = np.concatenate([state.columns[:n_lines], shape[None]])
    slopes = _slopes(problem, state)
    if total > 0:  # the shape of the background is a part of the calibration
        bends = np.zeros((len(problem.splines), *slopes.shape[1:]))
        bends[:, :, n_lines] = problem.splines / total
        slopes = np.concatenate([slopes, bends])
    kept = [*range(n_names), *range(n_names + n_lines, len(covariance))][: len(slopes)]
    return Basis(
        (*model.names, BACKGROUND),
        _kinds(model),
        problem.channels[0],
        np.ascontiguousarray(columns.T),
        np.append(areas[:n_lines], total),
        slopes,
        covariance[np.ix_(kept, kept)],
        cut_background(shape, splines_of(model, state.values, WIDE_KEV)),
    )


def flat(problem: Problem) -> np.ndarray:
    """Return a background of one count that is the same in all channels."""
    n_channels = len(problem.spectrum)
    return np.full(n_channels, 1 / n_channels)


def _slopes(problem: Problem, state: State) -> np.ndarray:
    """Return how the columns change with each parameter; that of the background does not."""
    lines, channels = problem.lines, problem.channels
    n_lines = lines.n_columns
    found = np.zeros((len(problem.names), len(problem.spectrum), n_lines + 1))
    of_ratios = ratio_slopes(problem, state, problem.names)
    for k, name in enumerate(problem.names):
        if name in of_ratios:
            owner, slope = of_ratios[name]
            found[k, :, owner] = slope
        elif name in LINEAR:
            made = partner_spectra(lines, state.values, channels, name)
            found[k, :, :n_lines] = made.T
        else:
            step = prior(name, problem.start["gain"]).step
            at = state.values.get(name, 1.0)
            ends = [
                make_spectra(lines, state.values | {name: at + change}, channels)
                for change in (-step, step)
            ]
            found[k, :, :n_lines] = (ends[1] - ends[0]).T / (2 * step)
    return found


def _kinds(model: Model) -> tuple[str, ...]:
    n_scatter = len(model.scatter.rayleigh) + len(model.scatter.compton)
    return (
        (ELEMENT,) * len(model.groups)
        + (SCATTER,) * n_scatter
        + (SUM_PEAK,) * len(model.sum_peaks.peaks)
        + (BACKGROUND,)
    )


def _parameters(
    model: Model, values: dict[str, float], names: Sequence[str], covariance: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Return the parameters as they are reported: ratios are those to the tables."""
    found = {}
    for name, variance in zip(names, np.diag(covariance), strict=False):
        value, sigma = values.get(name, 1.0), float(np.sqrt(variance))
        factor = model.ratios.get(name, 1.0)
        found[name] = (value * factor, sigma * factor)
    return found


def _correlations(basis: Basis) -> list[tuple[str, str, float]]:
    """Return which components take counts from each other, the calibration left aside."""
    gram, _ = scaled_gram(basis.resolved.T / np.sqrt(floored(basis.expected)))
    spread = np.linalg.inv(gram)
    sigma = np.sqrt(np.diag(spread))
    related = spread / np.multiply.outer(sigma, sigma)
    found = []
    for i, kind in enumerate(basis.kinds[:-1]):
        for j in range(i + 1, len(basis.kinds) - 1):
            is_element = ELEMENT in (kind, basis.kinds[j])
            if is_element and abs(related[i, j]) > _ALIKE:
                found.append((basis.names[i], basis.names[j], float(related[i, j])))
    return sorted(found, key=lambda pair: -abs(pair[2]))


@dataclass(frozen=True, eq=False)
class _AreaMatrix:
    """The matrix of the spectrum that was fitted, see :class:`.limits.AreaMatrix`."""

    columns: np.ndarray
    gamma: np.ndarray
    tilts: np.ndarray
    covariance: np.ndarray


def _detection_limits(basis: Basis) -> dict[str, float]:
    weights = 1 / floored(basis.expected)
    gram, scale = scaled_gram(basis.resolved.T * np.sqrt(weights))
    inverse = np.linalg.inv(gram) / np.multiply.outer(scale, scale)
    gamma = weights[:, None] * basis.resolved @ inverse @ basis.adding
    tilts = -np.matmul(gamma.T, basis.slopes)[None]
    own = _AreaMatrix(basis.columns, gamma, tilts, basis.covariance)
    limits = detection_limits([own], np.ones((1, len(basis.areas))), basis.areas)
    each = zip(basis.names, basis.kinds, limits.tolist(), strict=True)
    return {name: limit for name, kind, limit in each if kind == ELEMENT}
