"""Spectra of all components of a model, fast: they are made hundreds of times in a fit."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsciio_xfm.analysis.fit.excitation import attenuation, transmission
from rsciio_xfm.analysis.fit.lines import (
    SATELLITE_LENGTH,
    SATELLITE_LOSS,
    Group,
    satellite_shares,
)
from rsciio_xfm.analysis.fit.response import DENSITY, Response, escape_peaks
from rsciio_xfm.analysis.fit.scatter import Scatter
from rsciio_xfm.kernels.peaks import add_lines

Values = dict[str, float]
PLAIN, RAYLEIGH, COMPTON, SUM = range(4)  # kinds of lines
# Tail, its length and shelf of the peaks beside lines.
_SHAPES = {"escape": (0.0, 1.0, 0.0), "satellite": (1.0, SATELLITE_LENGTH, 0.0)}
LINEAR = tuple(_SHAPES)  # parameters that are factors on peaks beside lines
_ABSORPTION_KEV, ABSORPTION_POWER = 5.0, 2.8
# Parameters that are fields of a Response, and of Scatter (there with "compton_" before them).
OF_RESPONSE = (
    "zero",
    "gain",
    "noise",
    "fano",
    "tail",
    "tail_length",
    "shelf",
    "escape",
    "satellite",
    "absorption",
)
OF_SCATTER = ("shift", "width", "tail", "tail_length")


def ratio_name(group: str, family: str) -> str:
    """Return the name of the parameter that changes a family of lines: ``"Fe_K b"``."""
    return f"{group} {family}"


def start_values(response: Response, scatter: Scatter) -> dict[str, float]:
    """Return the values of all parameters but ratios and those of sum peaks."""
    values = {name: getattr(response, name) for name in OF_RESPONSE}
    values["stopping"] = 1 / response.thickness
    values |= {f"compton_{name}": getattr(scatter, name) for name in OF_SCATTER}
    values["scatter_offset"] = scatter.offset
    return values | {"sum_shift": 0.0, "sum_width": 1.0}


@dataclass(frozen=True, eq=False)
class Partners:
    """Peaks that lines have in addition to their own.

    Attributes
    ----------
    parents
        Indices of the lines they belong to.
    losses, shares
        How far below them they are, keV, and their counts relative to them.
    """

    parents: np.ndarray
    losses: np.ndarray
    shares: np.ndarray


@dataclass(frozen=True, eq=False)
class Lines:
    """All lines of a model, with what of them does not change in a fit.

    Attributes
    ----------
    energies, weights
        Of each line, keV; photons that arrive at the crystal.
    owners, kinds
        The column of each, and PLAIN, RAYLEIGH, COMPTON or SUM.
    crystal
        Absorption of the crystal at the lines, 1/cm.
    ratios
        Index into `ratio_names` of the factor on each line; -1: none.
    escapes, satellites
        Peaks that lines have in addition.
    scatter
        Gives the energies of Compton lines.
    """

    energies: np.ndarray
    weights: np.ndarray
    owners: np.ndarray
    kinds: np.ndarray
    crystal: np.ndarray
    ratios: np.ndarray
    ratio_names: tuple[str, ...]
    escapes: Partners
    satellites: Partners
    response: Response
    scatter: Scatter
    n_columns: int


def gather_lines(
    groups: Sequence[Group],
    response: Response,
    scatter: Scatter,
    sums: Sequence[Group],
) -> Lines:
    """Return the lines of all components, in the order of the columns of a basis."""
    plain, compton = (*groups, *scatter.rayleigh), scatter.compton
    every = (*plain, *compton, *sums)
    kinds = [PLAIN] * len(groups) + [RAYLEIGH] * len(scatter.rayleigh)
    kinds += [COMPTON] * len(compton) + [SUM] * len(sums)
    counts = [len(group.energies) for group in every]
    energies = _join([group.energies for group in every])
    kind = np.repeat(np.array(kinds, int), counts)
    arriving = np.where(kind == COMPTON, scatter.energies(energies), energies)
    weights = _join([group.weights for group in every])
    crystal = np.zeros(len(energies))
    photons = kind != SUM  # two at once are one photon of neither layers nor crystal
    weights[photons] *= transmission(response.layers, arriving[photons])
    absorbed = attenuation(response.material, arriving[photons])
    crystal[photons] = absorbed * DENSITY[response.material]
    names, ratios = _ratios(plain, len(energies))
    return Lines(
        energies,
        weights,
        np.repeat(np.arange(len(every)), counts),
        kind,
        crystal,
        ratios,
        names,
        _escapes(arriving, photons, response.material),
        _satellites(plain),
        response,
        scatter,
        len(every),
    )


def _join(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *arrays])


def _ratios(groups: Sequence[Group], n_lines: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Return which lines a factor on their family changes: all but the strongest family's."""
    names: list[str] = []
    found = np.full(n_lines, -1)
    at = 0
    for group in groups:
        strength = dict.fromkeys(group.families, 0.0)
        for family, weight in zip(group.families, group.weights, strict=True):
            strength[family] += weight
        strongest = max(strength, key=lambda family: strength[family])
        for family in sorted(set(strength) - {strongest}):
            is_own = group.is_of(family)
            found[at : at + len(is_own)][is_own] = len(names)
            names.append(ratio_name(group.name, family))
        at += len(group.energies)
    return tuple(names), found


def _escapes(energies: np.ndarray, photons: np.ndarray, material: str) -> Partners:
    """Return the escape peaks of those lines that are no sums."""
    numbers, energies = np.flatnonzero(photons), energies[photons]
    parents, losses, shares = [], [], []
    for energy, share in escape_peaks(energies, material):
        is_seen = share > 0
        parents.append(numbers[is_seen])
        losses.append((energies - energy)[is_seen])
        shares.append(share[is_seen])
    return Partners(*(np.concatenate(one) for one in (parents, losses, shares)))


def _satellites(groups: Sequence[Group]) -> Partners:
    """Return the satellites of the lines of elements, which are the first of all."""
    shares = _join([satellite_shares(group) for group in groups])
    parents = np.flatnonzero(shares)
    return Partners(parents, np.full(len(parents), SATELLITE_LOSS), shares[parents])


def make_spectra(
    lines: Lines,
    values: Values,
    channels: tuple[int, int],
    areas: np.ndarray | None = None,
) -> np.ndarray:
    """Return the columns of all components, or their sum.

    Parameters
    ----------
    lines
        From :func:`gather_lines`.
    values
        Of all parameters.
    channels
        First and the one after the last.
    areas
        Counts of each component: then one spectrum is returned, their sum.

    Returns
    -------
    numpy.ndarray
        float64, shape (components, channels) or (1, channels).
    """
    shares = line_shares(lines, values)
    owners, n_columns = lines.owners, lines.n_columns
    if areas is not None:
        shares, owners, n_columns = shares * areas[owners], np.zeros_like(owners), 1
    return _draw(lines, values, channels, (shares, owners, n_columns))


def family_spectra(
    lines: Lines, values: Values, channels: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what each family with a ratio is of the column of its component.

    Returns
    -------
    spectra
        float64, shape (families, channels), in the order of `ratio_names`.
    shares
        float64, shape (families,): of the counts of the component.
    """
    shares = np.where(lines.ratios >= 0, line_shares(lines, values), 0.0)
    owners, n = np.maximum(lines.ratios, 0), len(lines.ratio_names)
    spectra = _draw(lines, values, channels, (shares, owners, n))
    return spectra, np.bincount(owners, shares, n)[:n]


def partner_spectra(
    lines: Lines, values: Values, channels: tuple[int, int], name: str
) -> np.ndarray:
    """Return the peaks of one of :data:`LINEAR` in the columns, their factor being 1."""
    columns = np.zeros((lines.n_columns, channels[1] - channels[0]))
    places = (_places(lines, values)[0], line_shares(lines, values), lines.owners)
    _add_partners(columns, lines, values | {name: 1.0}, (name, channels[0], places))
    return columns


def _draw(
    lines: Lines,
    values: Values,
    channels: tuple[int, int],
    counts: tuple[np.ndarray, np.ndarray, int],
) -> np.ndarray:
    """Return columns to which each line gives its counts: these, their columns, how many."""
    shares, owners, n_columns = counts
    first, stop = channels
    columns = np.zeros((n_columns, stop - first))
    scale = (values["zero"] + values["gain"] * first, values["gain"])
    energies, sigma = _places(lines, values)
    table = np.stack([energies, sigma, shares], axis=1)
    tails = (values["tail"], values["tail_length"], values["shelf"])
    compton = (values["compton_tail"], values["compton_tail_length"], values["shelf"])
    is_compton, is_there = lines.kinds == COMPTON, shares != 0
    for is_kind, shape in ((~is_compton, tails), (is_compton, compton)):
        own = is_kind & is_there
        add_lines(columns, *scale, table[own], owners[own], *shape)
    for name in _SHAPES:
        _add_partners(columns, lines, values, (name, first, (energies, shares, owners)))
    return columns


def _add_partners(
    columns: np.ndarray,
    lines: Lines,
    values: Values,
    which: tuple[str, int, tuple[np.ndarray, ...]],
) -> None:
    """Add the peaks beside lines: their name, the first channel, and places of the lines."""
    name, first, places = which
    partners = lines.escapes if name == "escape" else lines.satellites
    more, of = _partner_lines(partners, places, values[name])
    more[:, 1] = widths(values, more[:, 0], lines.response)
    scale = (values["zero"] + values["gain"] * first, values["gain"])
    add_lines(columns, *scale, more, of, *_SHAPES[name])


def _partner_lines(
    partners: Partners, places: tuple[np.ndarray, ...], factor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the peaks beside lines as a table, widths left out, and their owners."""
    energies, shares, owners = places
    counts = shares[partners.parents] * partners.shares * factor
    is_there = counts != 0
    parents = partners.parents[is_there]
    table = np.zeros((len(parents), 3))
    table[:, 0] = energies[parents] - partners.losses[is_there]
    table[:, 2] = counts[is_there]
    return table, owners[parents]


def changed_by(lines: Lines, name: str) -> np.ndarray:
    """Return which components a parameter changes, bool."""
    found = np.zeros(lines.n_columns, bool)
    kinds = {"compton": COMPTON, "sum": SUM}
    kind = kinds.get(name.split("_", maxsplit=1)[0])
    if name in lines.ratio_names:
        found[lines.owners[lines.ratios == lines.ratio_names.index(name)]] = True
    elif kind is not None:
        found[lines.owners[lines.kinds == kind]] = True
    else:
        found[:] = True
    return found


def line_shares(lines: Lines, values: Values) -> np.ndarray:
    """Return the counts of each line in one count of its component."""
    shares = lines.weights.copy()
    stopping = values["stopping"]
    if stopping > 0:
        seen = -np.expm1(-lines.crystal / stopping)
        shares *= np.where(lines.kinds == SUM, 1.0, seen)
    softness = (_ABSORPTION_KEV / lines.energies) ** ABSORPTION_POWER
    own = 1 / (1 + values["absorption"] * softness)
    shares *= np.where(lines.kinds == PLAIN, own, 1.0)
    factors = np.array([*(values.get(name, 1.0) for name in lines.ratio_names), 1.0])
    shares *= factors[lines.ratios]
    totals = np.bincount(lines.owners, shares, lines.n_columns)
    return shares / totals[lines.owners]


def _places(lines: Lines, values: Values) -> tuple[np.ndarray, np.ndarray]:
    """Return energies and standard deviations of all lines."""
    energies = lines.energies.copy()
    is_compton, is_sum = lines.kinds == COMPTON, lines.kinds == SUM
    scatter = lines.scatter
    is_scatter = is_compton | (lines.kinds == RAYLEIGH)
    lost = energies[is_compton] - scatter.energies(energies[is_compton])
    lost = lost / scatter.shift
    energies[is_compton] -= values["compton_shift"] * lost
    energies[is_scatter] += values["scatter_offset"]
    energies[is_sum] += values["sum_shift"]
    sigma = widths(values, energies, lines.response)
    sigma[is_compton] = np.hypot(sigma[is_compton], values["compton_width"] * lost)
    sigma[is_sum] *= values["sum_width"]
    return energies, sigma


def widths(values: Values, energies: np.ndarray, response: Response) -> np.ndarray:
    """Return standard deviations of lines, keV."""
    trial = Response(
        noise=values["noise"], fano=values["fano"], material=response.material
    )
    return trial.sigma(energies)
