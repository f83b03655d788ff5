"""Fluorescence that the radiation of the source itself excites."""

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rsciio_xfm.analysis.fit.excitation import attenuation_of, compton_energy, xraylib
from rsciio_xfm.analysis.fit.lines import (
    Group,
    atomic_number,
    edge_of,
    lines_of,
    subshells_of,
    vacancies,
)
from rsciio_xfm.analysis.quantify.materials import check_element
from rsciio_xfm.analysis.quantify.setup import Setup, efficiency

_SUM_TOLERANCE = 1e-6
# Lines of a subshell that excite others are taken together where nothing is between them.
_LEAST_RATE = 2e-3
_TOGETHER = 1.08
_MEAN_ANGLE = 90.0  # by which Compton scattering turns photons, degrees
Key = tuple[str, str]  # element and shell, or one of its subshells


@dataclass(frozen=True)
class Sample:
    """What is analysed: plane, homogeneous, wider than the beam.

    Attributes
    ----------
    fractions
        Mass fractions of all elements, also of those that are not seen; they add up to 1.
    thickness
        Mass per area, g/cm2; math.inf: thick.

    Raises
    ------
    ValueError
        A fraction is negative, they do not add up to 1, there is no such element, or the
        thickness is not above 0.
    """

    fractions: dict[str, float]
    thickness: float = math.inf

    def __post_init__(self) -> None:
        for element, fraction in self.fractions.items():
            check_element(element)
            if not fraction >= 0:
                raise ValueError(f"The fraction of {element} is {fraction:g}.")
        total = sum(self.fractions.values())
        if not abs(total - 1) <= _SUM_TOLERANCE:
            raise ValueError(f"The fractions add up to {total:.6g}, expected 1.")
        if not self.thickness > 0:
            raise ValueError(
                f"The thickness is {self.thickness:g} g/cm2, expected one above 0."
            )


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines of subshells.

    Attributes
    ----------
    subshells
        int, shape (lines,): of which subshell of the tables each is.
    energies
        keV.
    rates
        Of the photons of the subshell.
    absorption
        cm2/g, shape (elements, lines).
    """

    subshells: np.ndarray
    energies: np.ndarray
    rates: np.ndarray
    absorption: np.ndarray


@dataclass(frozen=True, eq=False)
class Tables:
    """Cross sections of some elements for a setup: what does not depend on the composition.

    Attributes
    ----------
    elements
        Symbols.
    owners
        int, shape (subshells,): the element of each subshell.
    production
        Photons of a subshell that an incident photon of each energy makes, cm2/g, shape
        (subshells, energies); the cascade of the element included.
    shares
        Of the incident energies.
    absorption
        cm2/g, shape (elements, energies).
    lines
        Of the groups that are analysed.
    groups
        int, shape (lines,): the group of each of them.
    seen
        Share of them that the detector sees in the peak.
    exciting
        Lines of all elements that excite what is analysed, and scattered radiation (whose
        rates are 0).
    secondary
        As production, by what is exciting, shape (subshells, exciting).
    scattering
        Rayleigh and then Compton, cm2/g, shape (elements, 2 energies).
    merge
        1 where scattered photons are of what is exciting, shape (exciting, 2 energies).
    n_groups
        How many are analysed.
    """

    elements: tuple[str, ...]
    owners: np.ndarray
    production: np.ndarray
    shares: np.ndarray
    absorption: np.ndarray
    lines: Lines
    groups: np.ndarray
    seen: np.ndarray
    exciting: Lines
    secondary: np.ndarray
    scattering: np.ndarray
    merge: np.ndarray
    n_groups: int


def sensitivities(setup: Setup, groups: Sequence[Group]) -> np.ndarray:
    """Return how many photons of an element in a thin film are detected.

    Parameters
    ----------
    setup
        Angles, excitation, path, detector.
    groups
        Of lines. Their element and shell are what matters.

    Returns
    -------
    numpy.ndarray
        float64, shape (groups,): counts per incident photon and g/cm2 of the element, as if
        the detector saw all directions; 0 for what is not excited.
    """
    own = tables(tuple(group.element for group in groups), setup, groups)
    excited = own.production @ own.shares / setup.sines[0]
    lines = own.lines
    return per_group(own, excited[lines.subshells] * lines.rates)


def primary(
    own: Tables, setup: Setup, fractions: np.ndarray, thickness: float
) -> np.ndarray:
    """Return the photons of each line per unit of mass fraction of its element.

    Parameters
    ----------
    own
        Cross sections.
    setup
        Angles.
    fractions
        Of the elements of the tables: what absorbs.
    thickness
        g/cm2.

    Returns
    -------
    numpy.ndarray
        float64, shape (lines,): that leave towards the detector, per incident photon.

    Notes
    -----
    Sherman, Spectrochim. Acta 7 (1955) 283; for a sample of mass per area t:
    ``w s (1 - exp(-x t)) / (x sin a)`` with ``x = m(E0) / sin a + m(E) / sin b``.
    """
    into, out = setup.sines
    depth = fractions @ own.absorption / into
    chi = depth + (fractions @ own.lines.absorption / out)[:, np.newaxis]
    through = -np.expm1(-chi * thickness) / chi
    excited = own.production[own.lines.subshells] * own.shares
    return (excited * through).sum(axis=1) * own.lines.rates / into


def per_group(own: Tables, emitted: np.ndarray) -> np.ndarray:
    """Return the detected photons of groups, from those of their lines."""
    return np.bincount(own.groups, emitted * own.seen, minlength=own.n_groups)


def tables(elements: Iterable[str], setup: Setup, groups: Sequence[Group]) -> Tables:
    """Return the cross sections of elements for a setup; they are kept.

    Parameters
    ----------
    elements
        Of the sample; those of the groups are added.
    setup
        Excitation, path, detector.
    groups
        That are analysed.
    """
    keys = tuple((group.element, group.shell) for group in groups)
    names = dict.fromkeys([*elements, *(element for element, _ in keys)])
    return _tables(tuple(map(check_element, names)), setup, keys)


@functools.lru_cache(maxsize=64)
def _tables(elements: tuple[str, ...], setup: Setup, keys: tuple[Key, ...]) -> Tables:
    beam = setup.excitation
    incident = np.array(beam.energies)
    # A subshell may be of several groups: Pb_L and Pb_L1.
    pairs = [
        (i, (e, s)) for i, (e, shell) in enumerate(keys) for s in subshells_of(shell)
    ]
    edges = [edge_of(*key) for _, key in pairs]
    least = min((edge for edge in edges if 0 < edge < beam.highest), default=math.inf)
    # Other subshells are those whose lines can excite what is analysed.
    others = [
        (element, subshell)
        for element, shell in itertools.product(elements, "KLM")
        for subshell in subshells_of(shell)
        if 0 < edge_of(element, subshell) < beam.highest
        and any(energy > least for energy, _ in lines_of(element, subshell))
    ]
    subshells = tuple(dict.fromkeys([*(key for _, key in pairs), *others]))
    numbers = [(subshells.index(key), key) for _, key in pairs]
    lines = _lines(elements, numbers)
    of_group = [i for i, key in pairs for _ in lines_of(*key)]
    exciting, merge = _exciting(elements, subshells, incident, least)
    return Tables(
        elements,
        np.array([elements.index(element) for element, _ in subshells], int),
        _production(subshells, incident),
        np.array(beam.shares),
        _cross(attenuation_of, elements, incident),
        lines,
        np.array(of_group, int),
        efficiency(setup, lines.energies),
        exciting,
        _production(subshells, exciting.energies),
        _scattering(elements, incident),
        merge,
        len(keys),
    )


def _lines(elements: tuple[str, ...], subshells: Iterable[tuple[int, Key]]) -> Lines:
    found = [(i, *line) for i, key in subshells for line in lines_of(*key)]
    numbers, energies, rates = np.array(found, float).reshape(-1, 3).T
    absorption = _cross(attenuation_of, elements, energies)
    return Lines(numbers.astype(int), energies, rates, absorption)


def _exciting(
    elements: tuple[str, ...],
    subshells: Sequence[Key],
    incident: np.ndarray,
    least: float,
) -> tuple[Lines, np.ndarray]:
    """Return what excites inside of the sample: lines, and after these scattered radiation.

    Those close to each other are one, unless an edge is between them. Also which share of
    Rayleigh- and then of Compton-scattered photons of each energy is in each, bool, shape
    (exciting, 2 energies).
    """
    own = _lines(elements, enumerate(subshells))
    is_strong = (own.rates > _LEAST_RATE) & (own.energies > least)
    numbers, energies, rates = (
        values[is_strong] for values in (own.subshells, own.energies, own.rates)
    )
    scattered = np.concatenate([incident, compton_energy(incident, _MEAN_ANGLE)])
    edges = sorted(
        edge_of(e, s) for e in elements for t in "KLM" for s in subshells_of(t)
    )
    labels = _together(numbers, energies, edges)
    n_lines = labels.max(initial=-1) + 1
    others = _together(np.full(len(scattered), -1), scattered, edges) + n_lines
    is_seen = scattered > least
    others = np.unique(others[is_seen], return_inverse=True)[1] + n_lines
    merge = np.zeros((others.max(initial=n_lines - 1) + 1, len(scattered)))
    merge[others, np.flatnonzero(is_seen)] = 1
    every = np.concatenate([labels, others])
    weights = np.concatenate([rates, np.ones(len(others))])
    total = np.bincount(every, weights)
    moments = weights * np.concatenate([energies, scattered[is_seen]])
    mean = np.bincount(every, moments) / total
    total[n_lines:] = 0
    owners = np.zeros(len(mean), int)
    owners[labels] = numbers
    return Lines(owners, mean, total, _cross(attenuation_of, elements, mean)), merge


def _together(
    numbers: np.ndarray, energies: np.ndarray, edges: list[float]
) -> np.ndarray:
    """Return labels of lines: the same for those of a subshell that are close."""
    below = np.searchsorted(edges, energies)
    labels = np.zeros(len(energies), int)
    label, last, first = -1, (-2, -2), 0.0
    for i in np.lexsort((energies, numbers)):
        key = int(numbers[i]), int(below[i])
        if key != last or energies[i] > _TOGETHER * first:
            label, last, first = label + 1, key, energies[i]
        labels[i] = label
    return labels


def _cross(
    function: Callable, elements: tuple[str, ...], energies: np.ndarray
) -> np.ndarray:
    """Return cross sections, cm2/g, shape (elements, energies)."""
    numbers = [atomic_number(element) for element in elements]
    found = [[function(z, float(energy)) for energy in energies] for z in numbers]
    return np.array(found).reshape(len(elements), len(energies))


def _scattering(elements: tuple[str, ...], energies: np.ndarray) -> np.ndarray:
    own = xraylib()
    both = [_cross(f, elements, energies) for f in (own.CS_Rayl, own.CS_Compt)]
    return np.concatenate(both, axis=1)


def _production(subshells: Sequence[Key], energies: np.ndarray) -> np.ndarray:
    found = [vacancies(*key, energies.tolist()) for key in subshells]
    return np.array(found).reshape(len(subshells), len(energies))
