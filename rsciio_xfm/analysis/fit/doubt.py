"""Fits that do not trust their model: what strong peaks' shapes may be wrong by is no element."""

from dataclasses import dataclass, replace

import numpy as np

from rsciio_xfm.analysis.fit.columns import gather_lines, make_spectra
from rsciio_xfm.analysis.fit.lines import Group
from rsciio_xfm.analysis.fit.model import Model
from rsciio_xfm.analysis.fit.parameters import values_of
from rsciio_xfm.analysis.fit.problem import make_problem, solve_at
from rsciio_xfm.analysis.fit.scatter import Scatter
from rsciio_xfm.analysis.fit.solve import scaled_gram, solve

_TOLD = 0.03  # of the square of a column that others may not take up
_STRONG = 20.0  # roots of its counts that a component has whose shape is doubted
_REWEIGHTINGS = 2


@dataclass(frozen=True)
class Doubts:
    """Standard deviations of what a model has wrong.

    Attributes
    ----------
    error
        Of each channel on its own, relative to what is expected.
    shift, noise
        Of places and widths of peaks, keV.
    tail, shelf
        Of these shares of a peak.
    escape, ratio
        Of escape peaks, and of K-beta beside K-alpha, relative.
    scatter
        Factor on those of scattered lines, whose shape is known less.
    """

    error: float
    shift: float
    noise: float
    tail: float
    shelf: float
    escape: float
    ratio: float
    scatter: float


ROUGH = Doubts(0.03, 0.008, 0.010, 0.03, 0.005, 0.3, 0.3, 4.0)
FINE = Doubts(0.005, 0.001, 0.003, 0.01, 0.001, 0.1, 0.05, 6.0)


@dataclass(frozen=True, eq=False)
class Doubted:
    """A spectrum fitted by components and by what may be wrong with them.

    Attributes
    ----------
    channels
        First that was fitted, and the one after the last.
    columns
        Of the components, shape (components, channels).
    wrongs, owners
        Change of a component of one count by one standard deviation of a doubt, and the number
        of the component.
    areas
        Of the components.
    used, residual
        Weighted columns that are free, and what is left, in the channels and in the doubts.
    roots
        Of the weights.
    error
        Of each channel, relative.
    """

    channels: tuple[int, int]
    columns: np.ndarray
    wrongs: np.ndarray
    owners: np.ndarray
    areas: np.ndarray
    used: np.ndarray
    residual: np.ndarray
    roots: np.ndarray
    spectrum: np.ndarray
    error: float

    def gains(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the evidence for more columns, in sigma, and the sigma of their areas."""
        weighted = _padded(columns * self.roots, len(self.owners))
        return gains_of(without(self.used, weighted), weighted, self.residual)

    def evidence(self, n: int) -> np.ndarray:
        """Return the evidence for each of the first components beside all others."""
        found = np.zeros(n)
        for k in range(n):
            if self.areas[k] > 0:
                found[k] = self.without(k).gains(self.columns[k : k + 1])[0][0]
        return found

    def without(self, k: int) -> "Doubted":
        """Return the fit without one component."""
        kept = np.arange(len(self.columns)) != k
        numbers = np.cumsum(kept) - 1
        own = kept[self.owners]
        return _solve(
            replace(
                self,
                columns=self.columns[kept],
                areas=self.areas[kept],
                wrongs=self.wrongs[own],
                owners=numbers[self.owners[own]],
            )
        )

    def of_part(self, spectrum: np.ndarray) -> "Doubted":
        """Return the fit of another spectrum by the same components.

        Parameters
        ----------
        spectrum
            Counts of all channels.
        """
        part = spectrum[slice(*self.channels)]
        share = part.sum() / max(self.spectrum.sum(), 1.0)
        found = replace(self, spectrum=part, areas=self.areas * share)
        expected = found.areas @ found.columns
        return _reweighted(replace(found, roots=_roots(expected, self.error)))


def fit_doubted(model: Model, counts: np.ndarray, doubts: Doubts) -> Doubted:
    """Fit a spectrum by a model with its parameters as they are.

    Parameters
    ----------
    model
        Groups, scatter and sum peaks.
    counts
        Of all channels.
    doubts
        What may be wrong with it. Each is a column that the spectrum is fitted with, times the
        counts of the component, with a penalty: as Bayes has it with a normal prior.
    """
    values = values_of(model)
    problem = make_problem(model, counts, values)
    state = solve_at(problem, values)
    wrongs, owners = _wrongs(
        model, values, state.solution.areas, problem.channels, doubts
    )
    start = Doubted(
        problem.channels,
        state.columns,
        wrongs,
        owners,
        state.solution.areas,
        np.zeros((0, 0)),
        np.zeros(0),
        _roots(state.expected, doubts.error),
        problem.spectrum,
        doubts.error,
    )
    return _reweighted(start)


def _roots(expected: np.ndarray, error: float) -> np.ndarray:
    return 1 / np.sqrt(np.maximum(expected, 1.0) + (error * expected) ** 2)


def _reweighted(doubted: Doubted) -> Doubted:
    for _ in range(_REWEIGHTINGS):
        doubted = _solve(doubted)
        expected = doubted.areas @ doubted.columns
        doubted = replace(doubted, roots=_roots(expected, doubted.error))
    return _solve(doubted)


def _solve(doubted: Doubted) -> Doubted:
    """Return the fit with the weights as they are."""
    n_doubts = len(doubted.owners)
    scaled = doubted.wrongs * np.abs(doubted.areas)[doubted.owners][:, None]
    rows = _padded(np.concatenate([doubted.columns, scaled]) * doubted.roots, n_doubts)
    n_components = len(doubted.columns)
    rows[range(n_components, len(rows)), range(-n_doubts, 0)] = 1.0
    target = np.append(doubted.spectrum * doubted.roots, np.zeros(n_doubts))
    may_be_negative = np.arange(len(rows)) >= n_components
    solution = solve(rows, target, may_be_negative)
    return replace(
        doubted,
        areas=solution.areas[:n_components],
        used=rows[solution.is_free],
        residual=target - solution.areas @ rows,
    )


def _padded(rows: np.ndarray, n: int) -> np.ndarray:
    return np.concatenate([rows, np.zeros((len(rows), n))], axis=1)


def _wrongs(
    model: Model,
    values: dict[str, float],
    areas: np.ndarray,
    channels: tuple[int, int],
    doubts: Doubts,
) -> tuple[np.ndarray, np.ndarray]:
    """Return changes of the strong components, by family, and their numbers."""
    n_groups, n_rayleigh = len(model.groups), len(model.scatter.rayleigh)
    n_plain = n_groups + n_rayleigh
    n_compton, n_sums = len(model.scatter.compton), len(model.sum_peaks.peaks)
    every = (*model.groups, *model.scatter.rayleigh)
    plain, compton, sums, owners, shares = [], [], [], [], []
    for k in range(n_plain + n_compton + n_sums):
        if areas[k] < _STRONG**2:
            continue
        if k < n_plain:
            parts = _families(every[k])
            plain += [part for part, _ in parts]
            owners += [k] * len(parts)
            shares += [share for _, share in parts]
        elif k < n_plain + n_compton:
            compton.append(model.scatter.compton[k - n_plain])
            owners.append(k)
            shares.append(1.0)
        else:
            sums.append(model.sum_peaks.peaks[k - n_plain - n_compton])
            owners.append(k)
            shares.append(1.0)
    if not owners:
        return np.zeros((0, channels[1] - channels[0])), np.zeros(0, dtype=int)
    own = np.array(owners)
    scatter = replace(model.scatter, rayleigh=(), compton=tuple(compton))
    lines = gather_lines(plain, model.response, scatter, sums)
    # gather_lines has those of Compton before the sums, as they are here.
    now = make_spectra(lines, values, channels)
    weight = np.array(shares)[:, None]
    is_scatter = (own >= n_groups) & (own < n_plain + n_compton)
    factor = np.where(is_scatter, doubts.scatter, 1.0)[:, None] * weight
    found = []
    for changed in _changes(values, doubts):
        found.append((make_spectra(lines, values | changed, channels) - now) * factor)
    minor = weight[:, 0] < 0.5
    found.append((now * weight * doubts.ratio)[minor])
    numbers = np.concatenate([*[own] * (len(found) - 1), own[minor]])
    rows = np.concatenate(found)
    is_any = np.abs(rows).max(axis=1) > 0
    return rows[is_any], numbers[is_any]


def _changes(values: dict[str, float], doubts: Doubts) -> list[dict[str, float]]:
    return [
        {"zero": values["zero"] + doubts.shift},
        {
            "noise": float(np.hypot(values["noise"], 0.03) + doubts.noise),
            "compton_width": values["compton_width"] * (1 + 10 * doubts.noise),
        },
        {
            "tail": values["tail"] + doubts.tail,
            "compton_tail": values["compton_tail"] + doubts.tail,
        },
        {"shelf": values["shelf"] + doubts.shelf},
        {"escape": values["escape"] + doubts.escape},
    ]


def _families(group: Group) -> list[tuple[Group, float]]:
    """Return the parts of a group that differ by family, and their shares."""
    found = []
    for family in sorted(set(group.families)):
        is_own = np.array([name == family for name in group.families])
        share = float(group.weights[is_own].sum())
        weights = group.weights[is_own] / share
        families = ("",) * int(is_own.sum())
        part = replace(
            group, energies=group.energies[is_own], weights=weights, families=families
        )
        found.append((part, share))
    return found


# Linear algebra of one more column.


def without(used: np.ndarray, spectra: np.ndarray) -> np.ndarray:
    """Return weighted spectra without what other weighted columns can take up."""
    gram, scale = scaled_gram(used)
    parts = np.linalg.solve(gram, (used @ spectra.T) / scale[:, None])
    return spectra - parts.T @ (used / scale[:, None])


def gains_of(
    rest: np.ndarray, columns: np.ndarray, residual: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the evidence for columns, in sigma, and the sigma of their areas.

    Parameters
    ----------
    rest, columns
        Of each, weighted, what others cannot take up, and the whole.
    residual
        What is left of the spectrum, weighted.
    """
    squares = np.einsum("ij,ij->i", rest, rest)
    whole = np.einsum("ij,ij->i", columns, columns)
    is_told = squares > _TOLD * np.maximum(whole, 1e-300)
    sizes = np.sqrt(np.where(is_told, squares, 1.0))
    gains = np.where(is_told, rest @ residual / sizes, 0.0)
    return gains, np.where(is_told, 1 / sizes, np.inf)
