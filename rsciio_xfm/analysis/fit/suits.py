"""Whether a model that was fitted to some spectra suits others: those of a map."""

from dataclasses import dataclass, replace

import numpy as np

from rsciio_xfm.analysis.fit.calibrate import find_scale, finish
from rsciio_xfm.analysis.fit.matrix import dead_channels
from rsciio_xfm.analysis.fit.model import Model, calibrated, floored
from rsciio_xfm.analysis.fit.parameters import apply_values, values_of
from rsciio_xfm.analysis.fit.problem import Problem, make_problem, minimise, solve_at
from rsciio_xfm.analysis.fit.response import FWHM
from rsciio_xfm.analysis.fit.solve import solve
from rsciio_xfm.core.one_thread import one_thread

_ROUNDS = 2  # of the weights
_TOLERANCE = 1e-4
_MOVING = "zero", "gain", "noise"


@dataclass(frozen=True, eq=False)
class Comparison:
    """A spectrum as a model of other ones describes it, its areas apart.

    Attributes
    ----------
    dead
        bool, of all channels: those that are not used, see
        :func:`rsciio_xfm.analysis.fit.matrix.dead_channels`.
    excess
        By how much the weighted squares of what is left are more than the channels.
    n_channels
        That are used.
    misfit
        Root mean square of what is left, of the counts, what noise leaves aside.
    """

    dead: np.ndarray
    excess: float
    n_channels: int
    misfit: float


@dataclass(frozen=True)
class Move:
    """How peaks differ from those of a model.

    Attributes
    ----------
    energy
        The line with the most counts, keV.
    shift
        By how much the energies of the model are too low there, keV.
    share
        Root mean square of the shifts of all lines, of the width of a peak at half its height.
    wider
        By how much peaks are wider there, of the model's width.
    explained
        Which part of the excess of the weighted squares that explains.
    model
        With peaks there, fitted.
    """

    energy: float
    shift: float
    share: float
    wider: float
    explained: float
    model: Model


@one_thread()
def compare(model: Model, spectrum: np.ndarray) -> Comparison:
    """Fit a spectrum by the columns of a model that was calibrated on another one.

    Parameters
    ----------
    model
        Calibrated.
    spectrum
        The sum of some spectra, shape (channels,).
    """
    fit = calibrated(model)
    basis, dead = fit.basis, dead_channels(fit.basis, fit.spectrum)
    inside = slice(basis.first, basis.stop)
    counts, columns = spectrum[inside], basis.resolved.T
    scale = max(counts.sum(), 0.0) / max(basis.expected.sum(), 1e-300)
    expected = basis.expected * scale
    for _ in range(_ROUNDS):
        roots = ~dead[inside] / np.sqrt(floored(expected))
        areas = solve(columns * roots, counts * roots, np.ones(len(columns), bool)).areas
        own = replace(basis, areas=np.maximum(areas @ basis.adding, 0))
        dead = dead | dead_channels(own, spectrum)
        expected = areas @ columns
    used = ~dead[inside]
    squares = (counts - expected)[used] ** 2 / floored(expected[used])
    excess, total = float(squares.sum()) - len(squares), float(np.abs(counts[used]).sum())
    misfit = np.sqrt(max(0.0, excess) / total) if total else 0.0
    return Comparison(dead, excess, len(squares), float(misfit))


@one_thread()
def find_move(model: Model, spectrum: np.ndarray, n_pixels: int, excess: float) -> Move:
    """Return how the peaks of a spectrum differ from a model's in place and width.

    Parameters
    ----------
    model
        Calibrated on another spectrum.
    spectrum, n_pixels
        The sum of some spectra, and how many they are.
    excess
        Of :func:`compare`.
    """
    known, start = values_of(model), find_scale(model, spectrum, ())
    problem = replace(make_problem(model, spectrum, start), names=_MOVING)
    both = [minimise(problem, one, _TOLERANCE) for one in (known, start)]
    values = min(both, key=lambda one: _squares(problem, one))
    moved = finish(apply_values(model, values), spectrum, n_pixels, ())
    fit = calibrated(moved)
    energies = np.array([group.energy for group in model.groups])
    areas = np.maximum(fit.basis.areas[: len(energies)], 0)
    channels = (energies - known["zero"]) / known["gain"]
    shifts = energies - values["zero"] - values["gain"] * channels
    widths = FWHM * model.response.sigma(energies)
    k = int(np.argmax(areas))
    share = np.sqrt(areas @ (shifts / widths) ** 2 / max(areas.sum(), 1e-300))
    left = (fit.chi2 - 1) * len(fit.basis.columns)
    return Move(
        energy=float(energies[k]),
        shift=float(shifts[k]),
        share=float(share),
        wider=float(FWHM * moved.response.sigma(energies)[k] / widths[k] - 1),
        explained=1 - max(0.0, left) / max(excess, 1e-300),
        model=moved,
    )


def _squares(problem: Problem, values: dict[str, float]) -> float:
    state = solve_at(problem, values)
    misfit = (problem.spectrum - state.expected) * problem.roots
    return float(misfit @ misfit)
