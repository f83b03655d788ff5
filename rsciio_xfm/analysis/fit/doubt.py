"""Fits that doubt their model: what shapes of strong peaks may be wrong by is no element."""

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rsciio_xfm.analysis.fit.background import make_splines
from rsciio_xfm.analysis.fit.columns import Values, gather_lines, make_spectra
from rsciio_xfm.analysis.fit.lines import Group
from rsciio_xfm.analysis.fit.model import Model
from rsciio_xfm.analysis.fit.parameters import values_of
from rsciio_xfm.analysis.fit.problem import make_problem, solve_at
from rsciio_xfm.analysis.fit.scatter import Scatter
from rsciio_xfm.analysis.fit.solve import solve

_TOLD = 0.03  # of the square of a column that others may not take up
_STRONG = 50.0  # roots of its counts that a component has whose shape is doubted
_CHANNEL_KEV = 0.02
_ERROR_KEV = 0.01  # width of the channels that the error is of
_RIDGE = 1e-9  # of the square of a column
_RIDGES = (1.0, 1e2, 1e4, 1e6)  # times that, as it is needed


@dataclass(frozen=True)
class Doubts:
    """Standard deviations of what a model has wrong.

    Attributes
    ----------
    error
        Of each 10 eV on their own, relative to what is expected.
    shift, width
        Of places of peaks, and of what widens them in quadrature, keV; the latter also of
        Compton peaks, relative.
    tail, shelf
        Of these shares of a peak; and, as much as of the shelf, of longer tails: radiative
        Auger lines, what is scattered in the sample.
    escape
        Of escape peaks, relative.
    ratios
        By shell, of a family of lines beside the strongest one, relative.
    scatter
        Factor on those of scattered lines, whose shape is known less.
    background
        Of the background within 0.5 keV, relative.
    is_whole
        Whether the model is about whole, so that a misfit is its fault, and not that of an
        element that is still missing.
    """

    error: float
    shift: float
    width: float
    tail: float
    shelf: float
    escape: float
    ratios: Mapping[str, float]
    scatter: float
    background: float
    is_whole: bool

    def error_of(self, width: float) -> float:
        """Return the error of channels of a width, keV: of more of 10 eV it is less.

        Examples
        --------
        >>> round(ROUGH.error_of(0.04), 3)
        0.015
        """
        return self.error * math.sqrt(_ERROR_KEV / width)


# Phases absorb K-beta less than K-alpha by 5 % more or less; tables of subshells differ by 2 %
# for L, and by far more for M, whose yields and Coster-Kronig transitions are hardly measured.
_RATIOS = {"K": 0.05, "L": 0.02, "M": 0.1}
# Before a calibration the ratio is not doubted, or Mn would be taken for K-beta of Cr.
ROUGH = Doubts(0.03, 0.008, 0.05, 0.03, 0.005, 0.3, {}, 4.0, 0.05, False)
FINE = Doubts(0.01, 0.0015, 0.04, 0.01, 0.002, 0.15, _RATIOS, 6.0, 0.03, True)
_LONG_TAILS = (0.25, 0.8)  # keV
_BACKGROUND_STEP = 0.5  # keV
_NEAR = 0.5  # keV
_MEDIAN = 0.455  # of chi2 with one degree of freedom
_LIMITS_OF_BENDS = (0.2, 6.0)
_SOFT = 0.1  # of scattered L lines of an anode, relative to its K lines


@dataclass(frozen=True, eq=False)
class Doubted:
    """A spectrum fitted by components and by what may be wrong with them.

    Attributes
    ----------
    values, step
        Of all parameters, and how many channels of the spectrum are one here.
    channels
        First that was fitted, and the one after the last.
    spectrum
        Counts in them.
    columns
        Of the components, shape (components, channels).
    wrongs, owners
        Change of a component of one count by one standard deviation of a doubt, and the number
        of the component.
    n_bends
        How many of them, the last ones, are bends of the background.
    areas, is_free
        Of the components, and which of them are not held at 0.
    roots
        Of the weights.
    doubts, inverse
        Weighted doubts that matter, and the inverse of their products plus 1: what they take
        up is taken off products of spectra.
    error
        Of each channel, relative.
    window
        Channels on both sides of a line in which the misfit is looked at; 0: it is not.
    """

    values: Values
    step: int
    channels: tuple[int, int]
    spectrum: np.ndarray
    columns: np.ndarray
    wrongs: np.ndarray
    owners: np.ndarray
    n_bends: int
    areas: np.ndarray
    is_free: np.ndarray
    roots: np.ndarray
    doubts: np.ndarray
    inverse: np.ndarray
    error: float
    window: int

    def products(self, spectra: np.ndarray) -> np.ndarray:
        """Return all scalar products of spectra, shape (n, channels), weighted and doubted."""
        weighted = spectra * self.roots
        taken = weighted @ self.doubts.T
        return weighted @ weighted.T - taken @ self.inverse @ taken.T

    def gains(self, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the evidence for more columns, in sigma, and the sigma of their areas."""
        used = self.columns[self.is_free]
        misfit = (self.spectrum - self.areas @ self.columns)[None]
        weighted = np.concatenate([used, columns, misfit]) * self.roots
        taken = weighted @ self.doubts.T
        spread = taken @ self.inverse
        n, own = len(used), slice(len(used), -1)
        known = weighted[:n] @ weighted.T - spread[:n] @ taken.T
        gram, both, left = known[:, :n], known[:, own], known[:, -1]
        whole = np.einsum("ij,ij->i", weighted[own], weighted[own])
        squares = whole - np.einsum("ij,ij->i", spread[own], taken[own])
        parts = np.linalg.solve(gram + _ridge(gram), both).T
        squares -= np.einsum("ij,ji->i", parts, both)
        right = weighted[own] @ weighted[-1] - spread[own] @ taken[-1] - parts @ left
        is_told = squares > _TOLD * np.maximum(whole, 1e-300)
        sizes = np.sqrt(np.where(is_told, squares, 1.0))
        gains = np.where(is_told, right / sizes, 0.0)
        worse = self.misfit_at(columns, gains)
        return gains / worse, np.where(is_told, worse / sizes, np.inf)

    def misfit_at(self, columns: np.ndarray, gains: np.ndarray) -> np.ndarray:
        """Return by how much the fit is worse than statistics near the tops of columns.

        Parameters
        ----------
        columns
            Shape (columns, channels).
        gains
            Evidence for each that is still in the residual.

        Returns
        -------
        numpy.ndarray
            Root of chi2 per channel, at least 1: where a model is wrong nothing is sure.
        """
        if not self.window:
            return np.ones(len(columns))
        left = (self.spectrum - self.areas @ self.columns) * self.roots
        left = left - (self.inverse @ (self.doubts @ left)) @ self.doubts
        total = np.concatenate([[0.0], np.cumsum(left**2)])
        tops = np.argmax(columns, axis=1)
        low = np.maximum(tops - self.window, 0)
        high = np.minimum(tops + self.window + 1, len(left))
        near = total[high] - total[low] - gains**2
        return np.sqrt(np.maximum(near / (high - low - 1), 1.0))

    def evidence(self, n: int) -> np.ndarray:
        """Return the evidence for each of the first components beside all others."""
        used = np.flatnonzero(self.is_free)
        gram = self.products(self.columns[used])
        spread = np.sqrt(np.abs(np.diag(np.linalg.inv(gram + _ridge(gram)))))
        found = np.zeros(len(self.columns))
        worse = self.misfit_at(self.columns[used], np.zeros(len(used)))
        found[used] = self.areas[used] / (spread * worse)
        return found[:n]

    def screen(self, parts: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return evidence for columns in parts of a map, with no doubts: more than there is.

        Parameters
        ----------
        parts
            Shape (parts, all channels).
        columns
            Shape (columns, channels).
        """
        used, more = self.columns * self.roots, columns * self.roots
        gram = used @ used.T
        left = more - np.linalg.solve(gram + _ridge(gram), used @ more.T).T @ used
        rows = left * self.roots
        first, stop = self.channels
        spectra = np.array([_binned(part, self.step)[first:stop] for part in parts])
        noise = np.maximum(spectra, 0.0) @ (rows**2).T
        return spectra @ rows.T / np.sqrt(np.maximum(noise, 1e-300))

    def without(self, *which: int) -> "Doubted":
        """Return the fit without some components."""
        kept = ~np.isin(np.arange(len(self.columns)), which)
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
        part = _binned(spectrum, self.step)[slice(*self.channels)]
        share = part.sum() / max(self.spectrum.sum(), 1.0)
        start = replace(self, spectrum=part, areas=self.areas * share)
        # Doubts cost the most, and change the weights little.
        plain = _weighted(replace(start, owners=self.owners[:0], wrongs=self.wrongs[:0]))
        areas = _solve(plain).areas
        return _solve(_weighted(replace(start, areas=areas)))


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

    Notes
    -----
    Channels are added up to at most 20 eV, a sixth of a peak's width: as much is seen of peaks
    that are 3 sigma wide and more, in a half or a quarter of the time.
    """
    step = max(1, int(_CHANNEL_KEV / model.response.gain + 1e-3))
    model, counts = _in_channels(model, step), _binned(counts, step)
    values = values_of(model)
    full = model.scatter.rayleigh
    rayleigh = _without_soft(full)
    model = replace(model, scatter=replace(model.scatter, rayleigh=rayleigh))
    problem = make_problem(model, counts, values)
    state = solve_at(problem, values)
    areas = state.solution.areas
    rows = [_wrongs(model, values, areas, problem.channels, doubts)]
    if len(full) > len(rayleigh):
        soft = [one for one in full if one not in rayleigh]
        lines = gather_lines(soft, model.response, Scatter(), ())
        spectra = _SOFT * make_spectra(lines, values, problem.channels)
        rows.append((spectra, np.full(len(soft), len(model.groups))))
    rows.append(_bends(state.columns, areas, problem.lines.n_columns, model, doubts))
    wrongs, owners = (np.concatenate(parts) for parts in zip(*rows, strict=True))
    start = Doubted(
        values,
        step,
        problem.channels,
        problem.spectrum,
        state.columns,
        wrongs,
        owners,
        len(rows[-1][1]),
        areas,
        state.solution.is_free,
        problem.roots,
        wrongs,
        np.zeros((0, 0)),
        doubts.error_of(values["gain"]),
        max(5, round(_NEAR / values["gain"])) if doubts.is_whole else 0,
    )
    return _reweighted(start)


def _without_soft(rayleigh: tuple[Group, ...]) -> tuple[Group, ...]:
    """Return what is scattered without the L lines of an anode whose K lines are there.

    A tube's window and the sample absorb them: they are a tenth of the others at most, and
    would be taken for S (of Mo) or Cl (of Rh) otherwise.
    """
    return rayleigh[:1] if rayleigh and rayleigh[0].shell == "K" else rayleigh


def _in_channels(model: Model, step: int) -> Model:
    """Return a model of spectra of which so many channels were added up to one."""
    own = model.response
    zero, gain = own.zero + 0.5 * (step - 1) * own.gain, step * own.gain
    response = replace(own, zero=zero, gain=gain)
    return replace(model, response=response, n_channels=model.n_channels // step)


def _binned(spectrum: np.ndarray, step: int) -> np.ndarray:
    n = len(spectrum) // step
    return spectrum[: n * step].reshape(n, step).sum(axis=1)


def _reweighted(doubted: Doubted) -> Doubted:
    doubted = _solve(_weighted(doubted))
    bent = _bent(doubted) if doubted.window else doubted
    return _solve(_weighted(bent))


def _bent(doubted: Doubted) -> Doubted:
    """Return a fit whose background may bend as much as it does in the spectrum itself.

    Diffraction and the edges of a sample bend it by more than splines 2 keV wide follow. The
    standard deviation is that of its own bends (one step of expectation and maximisation); by
    their median, as an element that is missing bends a few of them.
    """
    n = doubted.n_bends
    if not n or len(doubted.doubts) < n:
        return doubted
    left = (doubted.spectrum - doubted.areas @ doubted.columns) * doubted.roots
    found = (doubted.inverse @ (doubted.doubts @ left))[-n:]
    unknown = np.diag(doubted.inverse)[-n:].mean()
    factor = np.sqrt(unknown + np.median(found**2) / _MEDIAN)
    wrongs = doubted.wrongs.copy()
    wrongs[-n:] *= np.clip(factor, *_LIMITS_OF_BENDS)
    return replace(doubted, wrongs=wrongs)


def _weighted(doubted: Doubted) -> Doubted:
    expected = doubted.areas @ doubted.columns
    variance = np.maximum(expected, 1.0) + (doubted.error * expected) ** 2
    return replace(doubted, roots=1 / np.sqrt(variance))


def _solve(doubted: Doubted) -> Doubted:
    """Return the fit with the weights as they are."""
    counts = np.maximum(doubted.areas, 0.0)[doubted.owners]
    matter = counts > _STRONG**2
    doubts = doubted.wrongs[matter] * counts[matter, None] * doubted.roots
    inverse = np.linalg.inv(doubts @ doubts.T + np.eye(len(doubts)))
    doubted = replace(doubted, doubts=doubts, inverse=inverse)
    # A matrix with the same products as the columns have, and a target likewise.
    every = np.concatenate([doubted.columns, doubted.spectrum[None]])
    products = doubted.products(every)[:-1]
    gram, right = products[:, :-1], products[:, -1]
    small = _root(gram)
    target = np.linalg.solve(small, right)
    solution = solve(small, target, np.zeros(len(small), dtype=bool))
    return replace(doubted, areas=solution.areas, is_free=solution.is_free)


def _root(gram: np.ndarray) -> np.ndarray:
    """Return the Cholesky factor; of 1e10 counts and more rounding asks for a higher ridge."""
    for times in _RIDGES:
        with contextlib.suppress(np.linalg.LinAlgError):
            return np.linalg.cholesky(gram + times * _ridge(gram))
    raise ValueError(
        "There are too many counts for elements to be told apart, expected up to some 1e10 "
        "in all: are these counts? If they are scaled, divide them."
    )


def _ridge(gram: np.ndarray) -> np.ndarray:
    return np.diag(_RIDGE * np.maximum(np.diag(gram), 1e-300))


def _bends(
    columns: np.ndarray, areas: np.ndarray, first: int, model: Model, doubts: Doubts
) -> tuple[np.ndarray, np.ndarray]:
    """Return bends of the background; they belong to the strongest of its splines."""
    start, _ = model.channels
    n = columns.shape[1]
    background = areas[first:] @ columns[first:]
    strongest = first + int(np.argmax(areas[first:]))
    if not areas[strongest] > 0:
        return np.zeros((0, n)), np.zeros(0, dtype=int)
    energies = model.response.zero + model.response.gain * np.arange(start, start + n)
    fine = make_splines(energies, _BACKGROUND_STEP)
    bends = fine * background * doubts.background / areas[strongest]
    return bends, np.full(len(bends), strongest)


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
    shells = [every[k].shell if k < n_plain else "" for k in owners]
    scatter = replace(model.scatter, rayleigh=(), compton=tuple(compton))
    lines = gather_lines(plain, model.response, scatter, sums)
    # gather_lines has those of Compton before the sums, as they are here.
    now = make_spectra(lines, values, channels)
    weight = np.array(shares)[:, None]
    is_scatter = (own >= n_groups) & (own < n_plain + n_compton)
    factor = np.where(is_scatter, doubts.scatter, 1.0)[:, None] * weight
    found = [
        (make_spectra(lines, values | changed, channels) - now) * factor
        for changed in _changes(values, doubts)
    ]
    untailed = make_spectra(lines, values | {"tail": 0.0, "shelf": 0.0}, channels)
    for length in _LONG_TAILS:
        long = {"tail": doubts.shelf, "tail_length": length, "shelf": 0.0}
        tailed = make_spectra(lines, values | long, channels)
        found.append((tailed - (1 - doubts.shelf) * untailed) * factor)
    minor = weight[:, 0] < 0.5
    ratios = [doubts.ratios.get(s, 0.0) for s in shells]
    found.append((now * weight * np.array(ratios)[:, None])[minor])
    numbers = np.concatenate([*[own] * (len(found) - 1), own[minor]])
    rows = np.concatenate(found)
    is_any = np.abs(rows).max(axis=1) > 0
    return rows[is_any], numbers[is_any]


def _changes(values: dict[str, float], doubts: Doubts) -> list[dict[str, float]]:
    return [
        {"zero": values["zero"] + doubts.shift},
        {
            "noise": math.hypot(values["noise"], doubts.width),
            "compton_width": values["compton_width"] * (1 + doubts.width),
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
    return [
        (group.part(family), float(group.weights[group.is_of(family)].sum()))
        for family in sorted(set(group.families))
    ]
