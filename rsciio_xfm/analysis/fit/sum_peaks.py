"""Pile-up: peaks where two photons were counted as one of the sum of their energies."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np

from rsciio_xfm.analysis.fit.columns import (
    Lines,
    Values,
    gather_lines,
    line_shares,
    make_spectra,
    widths,
)
from rsciio_xfm.analysis.fit.excitation import compton_energy
from rsciio_xfm.analysis.fit.lines import Group
from rsciio_xfm.analysis.fit.model import Model, SumPeaks
from rsciio_xfm.analysis.fit.parameters import PRIORS
from rsciio_xfm.analysis.fit.problem import (
    SIGNIFICANT,
    Problem,
    State,
    less_sure,
    make_problem,
    project_out,
    significances,
    solve_at,
)
from rsciio_xfm.analysis.fit.response import FWHM

_MOST = 12  # peaks
_MOST_CLUSTERS = 8
_LEAST_PRODUCT = 1e-3  # of two clusters' counts, relative to the largest
_FIRST_PRODUCT = 0.05  # that the first peak to be found needs
_MOST_OVER = 5.0  # times what the peaks found so far make it
_MOST_PILE_UP = 0.3  # of all counts: more than any measurement has
_BELOW_COMPTON = 3.5  # widths: there, the tail of Compton scattering begins


@dataclass(frozen=True, eq=False)
class Cluster:
    """Lines that lie together, and their counts in the spectrum.

    Attributes
    ----------
    name
        ``"Ca_Ka"``.
    energies, counts
        Of the lines, keV.
    """

    name: str
    energies: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True, eq=False)
class Candidate:
    """A sum peak that may be there.

    Attributes
    ----------
    group
        Its lines.
    product
        Of the counts of its two clusters, twice for two that differ.
    column
        Its spectrum for one count.
    """

    group: Group
    product: float
    column: np.ndarray


def add_clusters(one: Cluster, other: Cluster) -> Group:
    """Return the lines of the sum peak of two clusters.

    Examples
    --------
    >>> import numpy as np
    >>> ca = Cluster("Ca_Ka", np.array([3.69]), np.array([100.0]))
    >>> peak = add_clusters(ca, ca)
    >>> peak.name, peak.energies.tolist()
    ('Ca_Ka+Ca_Ka', [7.38])
    """
    energies = np.add.outer(one.energies, other.energies).ravel()
    weights = np.multiply.outer(one.counts, other.counts).ravel()
    weights = weights / weights.sum()
    element, _, shell = f"{one.name}+{other.name}".rpartition("_")
    return Group(element, shell, energies, weights, ("",) * len(energies), 0.0)


def choose_sum_peaks(model: Model, counts: np.ndarray, values: Values) -> SumPeaks:
    """Return the sum peaks that a spectrum shows, by forward selection.

    Parameters
    ----------
    model
        With the elements, and sum peaks that were found before.
    counts
        The spectrum, all channels.
    values
        Of all parameters.

    Notes
    -----
    One at a time the peak is taken that reduces chi2 most, as long as that is 25 (5 sigma).
    Only pairs of strong clusters are tried, below the Compton peak of the source; and none
    that is far stronger than pile-up can be, as the peaks found before it say.
    """
    problem = make_problem(model, counts, values)
    state = solve_at(problem, values)
    problem = less_sure(problem, state)
    left = _candidates(model, problem, state)
    found: list[Candidate] = []
    for one in [c for c in left if c.group.name in model.sum_peaks.names]:
        found.append(one)
        left.remove(one)
    while left and len(found) < _MOST:
        state = solve_at(problem, values)
        best = _best(problem, state, left, found)
        if best is None:
            break
        left.remove(best)
        found.append(best)
        peaks = replace(model.sum_peaks, peaks=tuple(one.group for one in found))
        problem = replace(problem, lines=_lines_with(model, peaks))
    found = _of_one_rate(problem, solve_at(problem, values), found)
    return replace(model.sum_peaks, peaks=tuple(one.group for one in found))


def _of_one_rate(
    problem: Problem, state: State, found: Sequence[Candidate]
) -> list[Candidate]:
    """Leave out peaks that are far stronger than pile-up can be, as all others say.

    Before all elements are there they are taken for one that is missing: C + Si for P.
    """
    n = problem.lines.n_columns
    counts = dict(zip(found, state.solution.areas[n - len(found) : n], strict=True))
    while len(counts) > 1:
        strongest = max(counts, key=lambda one: counts[one] / one.product)
        others = [one for one in counts if one is not strongest]
        product = sum(one.product for one in others)
        rate = sum(counts[one] for one in others) / product
        is_told = product > strongest.product
        if not is_told or counts[strongest] <= _MOST_OVER * rate * strongest.product:
            break
        del counts[strongest]
    return list(counts)


def drop_weak(model: Model, counts: np.ndarray, values: Values) -> SumPeaks:
    """Return the sum peaks that are significant beside all others."""
    peaks = model.sum_peaks
    while peaks.peaks:
        trial = replace(model, sum_peaks=peaks)
        problem = make_problem(trial, counts, values)
        state = solve_at(problem, values)
        problem = less_sure(problem, state)
        n_lines = problem.lines.n_columns
        own = range(n_lines - len(peaks.peaks), n_lines)
        significance = significances(problem, state, own)
        weakest = int(np.argmin(significance))
        if significance[weakest] >= SIGNIFICANT:
            break
        kept = peaks.peaks[:weakest] + peaks.peaks[weakest + 1 :]
        peaks = replace(peaks, peaks=kept)
    return peaks


def is_pile_up(values: Values) -> bool:
    """Return whether sum peaks are where, and as wide as, those of pile-up can be."""
    for name in ("sum_shift", "sum_width"):
        known = PRIORS[name]
        margin = 1e-3 * (known.high - known.low)
        if not known.low + margin < values[name] < known.high - margin:
            return False
    return True


def _lines_with(model: Model, peaks: SumPeaks) -> Lines:
    return gather_lines(model.groups, model.response, model.scatter, peaks.peaks)


def _candidates(model: Model, problem: Problem, state: State) -> list[Candidate]:
    """Return all sum peaks that may be seen, the largest product first."""
    clusters = _clusters(model, problem, state)
    first, stop = problem.channels
    values = state.values
    low, high = (values["zero"] + values["gain"] * i for i in (first, stop))
    high = min(high, _limit(model, values))
    pairs = combinations_with_replacement(clusters, 2)
    made = [(add_clusters(a, b), _product(a, b)) for a, b in pairs]
    made = [(group, n) for group, n in made if low < group.energy < high]
    largest = max((n for _, n in made), default=0.0)
    kept = [pair for pair in made if pair[1] > _LEAST_PRODUCT * largest]
    lines = gather_lines(
        (),
        model.response,
        replace(model.scatter, rayleigh=(), compton=()),
        [g for g, _ in kept],
    )
    columns = make_spectra(lines, values, problem.channels)
    found = [Candidate(*pair, c) for pair, c in zip(kept, columns, strict=True)]
    return sorted(found, key=lambda one: -one.product)


def _product(one: Cluster, other: Cluster) -> float:
    return float(one.counts.sum() * other.counts.sum() * (1 if one is other else 2))


def _clusters(model: Model, problem: Problem, state: State) -> list[Cluster]:
    """Return the strongest clusters of lines of the elements."""
    lines = problem.lines
    counts = line_shares(lines, state.values) * state.solution.areas[lines.owners]
    found, at = [], 0
    for group in model.groups:
        own = slice(at, at + len(group.energies))
        at = own.stop
        for family in sorted(set(group.families)):
            part, of_part = group.part(family), counts[own][group.is_of(family)]
            found.append(Cluster(part.name, part.energies, of_part))
    strongest = sorted(found, key=lambda one: -one.counts.sum())[:_MOST_CLUSTERS]
    return [one for one in strongest if one.counts.sum() > 0]


def _limit(model: Model, values: Values) -> float:
    """Return the energy below which sum peaks are looked for, keV."""
    excitation = model.excitation
    if excitation is None or excitation.kind == "electrons":
        return np.inf
    energy = excitation.highest
    if model.scatter.compton:
        energy = min(one.energy for one in model.scatter.compton)
    energy = compton_energy(energy, excitation.angle)
    sigma = widths(values, np.array([energy]), model.response)[0]
    return energy - _BELOW_COMPTON * FWHM * sigma


def _best(
    problem: Problem, state: State, left: Sequence[Candidate], found: Sequence[Candidate]
) -> Candidate | None:
    """Return the peak that reduces chi2 most, if it does enough."""
    columns = np.stack([one.column for one in left]) * problem.roots
    columns = project_out(problem, state, columns)
    residual = (problem.spectrum - state.expected) * problem.roots
    sizes = np.maximum(np.sqrt((columns**2).sum(axis=1)), 1e-30)
    gains = columns @ residual / sizes
    possible = _most_counts(problem, state, left, found)
    gains = np.where(gains / sizes < possible, gains, 0.0)
    k = int(np.argmax(gains))
    return left[k] if gains[k] > SIGNIFICANT else None


def _most_counts(
    problem: Problem, state: State, left: Sequence[Candidate], found: Sequence[Candidate]
) -> np.ndarray:
    """Return the most counts that each peak can have.

    What is more is no pile-up, but an element that is missing in the model.
    """
    products = np.array([one.product for one in left])
    most = _MOST_PILE_UP * products / max(problem.spectrum.sum(), 1.0)
    if not found:
        return np.where(products > _FIRST_PRODUCT * products.max(), most, 0.0)
    areas = state.solution.areas[: problem.lines.n_columns][-len(found) :]
    rate = areas.sum() / sum(one.product for one in found)
    return np.minimum(most, _MOST_OVER * rate * products)
