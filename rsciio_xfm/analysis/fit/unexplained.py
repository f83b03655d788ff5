"""What is left of a spectrum when a model has been fitted."""

import numpy as np

from rsciio_xfm.analysis.fit.basis import BACKGROUND
from rsciio_xfm.analysis.fit.columns import widths
from rsciio_xfm.analysis.fit.excitation import Excitation, one_energy
from rsciio_xfm.analysis.fit.lines import SHELLS, group, symbols
from rsciio_xfm.analysis.fit.model import Model, calibrated
from rsciio_xfm.analysis.fit.parameters import values_of
from rsciio_xfm.analysis.fit.problem import less_sure, make_problem, project_out, solve_at
from rsciio_xfm.kernels.peaks import add_lines

_STEP = 0.5  # standard deviations of a line between the energies that are tried
_LEAST = 5.0  # sigma
_APART = 2.0  # standard deviations of a line between what is told
_NEAR = 1.0  # standard deviations of a line, within which an element may be meant
_MOST_NAMES = 4  # of elements, for each peak
_LEAST_PART = 0.2  # of the counts, where the shape of a peak may be wrong
_ANY_KEV = 60.0  # excites what is meant, if nobody says what does


def unexplained(model: Model) -> list[tuple[float, float, str]]:
    """Return the peaks and dips that a calibrated model does not explain.

    Parameters
    ----------
    model
        Calibrated.

    Returns
    -------
    list of (float, float, str)
        Energy in keV, how many sigma too many counts there are (too few: negative), and what
        it may be; the largest first. Only what is above 5 sigma and 1 % of the counts is told.
    """
    fit = calibrated(model)
    values = values_of(model)
    problem = make_problem(model, fit.spectrum, values)
    state = solve_at(problem, values, signed=True)
    problem = less_sure(problem, state)
    energies = _energies(model)
    sigma = widths(values, energies, model.response)
    lines = np.stack([energies, sigma, np.ones(len(energies))], axis=1)
    first, stop = problem.channels
    peaks = np.zeros((len(energies), stop - first))
    scale = (values["zero"] + values["gain"] * first, values["gain"])
    add_lines(peaks, *scale, lines, np.arange(len(energies)), 0.0, 1.0, 0.0)
    peaks = project_out(problem, state, peaks * problem.roots)
    residual = (problem.spectrum - state.expected) * problem.roots
    sizes = np.sqrt((peaks**2).sum(axis=1))
    found = np.where(sizes > 0, peaks @ residual / np.maximum(sizes, 1e-300), 0.0)
    told = [k for k in range(len(found)) if abs(found[k]) > _LEAST and _is_top(found, k)]
    told.sort(key=lambda k: -abs(found[k]))
    return [
        (float(energies[k]), float(found[k]), _words(model, energies[k], found[k]))
        for k in told
    ]


def _energies(model: Model) -> np.ndarray:
    """Return energies from end to end, keV, as close together as the lines' widths ask for."""
    low, high = model.energy_range
    energies = [low]
    while energies[-1] < high:
        sigma = model.response.sigma(np.array(energies[-1:]))[0]
        energies.append(energies[-1] + _STEP * float(sigma))
    return np.array(energies[1:-1])


def _is_top(found: np.ndarray, k: int) -> bool:
    """Tell whether nothing within two standard deviations of a line is larger."""
    reach = round(_APART / _STEP)
    around = found[max(0, k - reach) : k + reach + 1]
    return bool(abs(found[k]) == np.abs(around).max())


def _words(model: Model, energy: float, sigma: float) -> str:
    """Return what a peak at an energy may be."""
    own = _groups_at(model, energy)
    parts = [f"the shape of {', '.join(own)}"] if own else []
    if sigma > 0:
        beam = model.excitation or one_energy("monochromatic", _ANY_KEV)
        width = float(model.response.sigma(np.array([energy]))[0])
        names = _elements_at(beam, energy, width, set(model.names))
        parts += [", ".join(names)] if names else []
    return " or ".join(parts) or (
        "no line that is excited" if sigma > 0 else "background"
    )


def _groups_at(model: Model, energy: float) -> list[str]:
    """Return the components that are a good part of the spectrum at an energy."""
    basis = calibrated(model).basis
    channel = round((energy - model.response.zero) / model.response.gain) - basis.first
    parts = basis.columns[channel] * basis.areas / max(basis.expected[channel], 1.0)
    every = zip(basis.names, basis.kinds, parts.tolist(), strict=True)
    return [n for n, kind, part in every if kind != BACKGROUND and part > _LEAST_PART]


def _elements_at(
    excitation: Excitation, energy: float, width: float, known: set[str]
) -> list[str]:
    """Return the groups whose strongest line is near, the nearest first."""
    found = []
    for symbol in symbols():
        for shell in SHELLS:
            own = group(symbol, shell, excitation)
            if own is not None and own.name not in known:
                distance = abs(own.energy - energy)
                if distance < _NEAR * width:
                    found.append((distance, own.name))
    return [name for _, name in sorted(found)[:_MOST_NAMES]]
