"""Groups of X-ray lines that are fitted as one: their energies and relative intensities."""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rsciio_xfm.analysis.fit.excitation import Excitation, xraylib

SHELLS = "KLM"
_SUBSHELLS = {
    "K": ("K",),
    "L": ("L1", "L2", "L3"),
    "M": ("M1", "M2", "M3", "M4", "M5"),
}
_ELECTRONS = {
    "K": 2,
    "L1": 2,
    "L2": 2,
    "L3": 4,
    "M1": 2,
    "M2": 2,
    "M3": 4,
    "M4": 4,
    "M5": 6,
}
_LEAST_WEIGHT = 1e-4  # of the lines of a group: weaker ones are left out
_MOST_Z = 98
_TABLES_END = 25.0  # K edges: beyond, Kissel's tables are extrapolated and far too low
# Radiative Auger effect: a K vacancy is filled from M, and another M electron takes up some of
# the energy, less often the more. Fitted to pure Ti, Cr, Fe, Ni, Cu (Rh tube, NIST), where it
# brings chi2 per channel from 21-74 down to 1.0-3.3 at 4 to 7 million counts.
SATELLITE_LOSS = 0.03  # keV below K-beta, at least
SATELLITE_LENGTH = 0.08  # keV, of the exponential below
_SATELLITE_SHARE = 0.1  # of K-beta
_SATELLITE_Z = (18, 32)
# Lines of xraylib that are no sums of others: KL3, L3M5, L3O45.
_LINE = re.compile(r"(K|L[123]|M[1-5])([LMNOP]\d\d?)_LINE")


@dataclass(frozen=True, eq=False)
class Group:
    """Lines of one shell of an element, with fixed relative intensities.

    Attributes
    ----------
    element, shell
        ``"Pb"`` and ``"L"``.
    energies
        float64, keV.
    weights
        float64, photons emitted in each line; they add up to 1.
    families
        Which lines can be told apart if their ratios are fitted: for K ``"a"`` and ``"b"``
        (from L and from higher shells), else the subshell, ``"L1"``.
    edge
        Energy that the lowest subshell needs, keV.
    """

    element: str
    shell: str
    energies: np.ndarray
    weights: np.ndarray
    families: tuple[str, ...]
    edge: float

    @functools.cached_property
    def name(self) -> str:
        """``"Pb_L"``."""
        return f"{self.element}_{self.shell}" if self.shell else self.element

    @functools.cached_property
    def energy(self) -> float:
        """Energy of the strongest line, keV."""
        return float(self.energies[np.argmax(self.weights)])

    def is_of(self, family: str) -> np.ndarray:
        """Tell which lines are of a family, bool."""
        return np.array([own == family for own in self.families])

    def part(self, family: str) -> "Group":
        """Return the lines of one family as a group of its own: ``Compton_Ka``, ``Pb_L1``."""
        is_own = self.is_of(family)
        weights = self.weights[is_own]
        return replace(
            self,
            shell=family if family.startswith(self.shell) else self.shell + family,
            energies=self.energies[is_own],
            weights=weights / weights.sum(),
            families=("",) * len(weights),
        )


def atomic_number(element: str) -> int:
    """Return the atomic number of a symbol.

    Raises
    ------
    ValueError
        It is none.
    """
    try:
        return int(xraylib().SymbolToAtomicNumber(element))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{element!r} is no element, expected a symbol like 'Fe'."
        ) from error


@functools.cache
def symbols() -> tuple[str, ...]:
    """Return the elements that have lines: Be to Cf."""
    return tuple(xraylib().AtomicNumberToSymbol(z) for z in range(4, _MOST_Z + 1))


def is_symbol(name: str) -> bool:
    """Tell the names of elements in groups, ``"Fe"``, from others, ``"Rayleigh"``."""
    return len(name) < 3


@functools.lru_cache(maxsize=4096)
def group(element: str, shell: str, excitation: Excitation) -> Group | None:
    """Return the lines of a shell, as strong as the excitation makes them.

    Parameters
    ----------
    element, shell
        A symbol and ``"K"``, ``"L"`` or ``"M"``.
    excitation
        Photons ionise subshells as Kissel's photoelectric cross sections and the cascades of
        xraylib say. Electrons do in proportion to the number of electrons of the subshell,
        divided by its energy, times the logarithm of the overvoltage (Bethe); Coster-Kronig
        transitions follow.

    Returns
    -------
    Group or None
        None if nothing of the shell is excited.
    """
    own, z = xraylib(), atomic_number(element)
    of_subshells = _vacancies(element, shell, excitation)
    found: list[tuple[float, float, str]] = []
    for subshell, vacancy in of_subshells.items():
        for number, upper in _lines_of(subshell):
            rate = _try(own.RadRate, z, number)
            energy = _try(own.LineEnergy, z, number)
            if vacancy * rate > 0 and energy > 0:
                family = ("a" if upper[0] == "L" else "b") if shell == "K" else subshell
                found.append((energy, vacancy * rate, family))
    total = sum(weight for _, weight, _ in found)
    found = sorted(line for line in found if line[1] > _LEAST_WEIGHT * total)
    if not found:
        return None
    energies, weights, families = zip(*found, strict=True)
    edges = [edge_of(element, name) for name, n in of_subshells.items() if n]
    shares = np.array(weights) / sum(weights)
    return Group(element, shell, np.array(energies), shares, families, min(edges))


def emission(element: str, shell: str, excitation: Excitation) -> float:
    """Return how many photons a shell emits, relative to others; of any unit.

    Parameters
    ----------
    element, shell, excitation
        See :func:`group`.
    """
    return float(sum(_vacancies(element, shell, excitation).values()))


def subshells_of(shell: str) -> tuple[str, ...]:
    """Return the names of the subshells of a shell; a subshell is its own only one."""
    return _SUBSHELLS.get(shell, (shell,))


@functools.lru_cache(maxsize=4096)
def edge_of(element: str, subshell: str) -> float:
    """Return the energy that ionises a subshell, keV; 0 if the element has none."""
    return _try(xraylib().EdgeEnergy, atomic_number(element), _shell(subshell))


@functools.lru_cache(maxsize=4096)
def lines_of(element: str, subshell: str) -> tuple[tuple[float, float], ...]:
    """Return energies (keV) and shares of the photons of a subshell."""
    own, z = xraylib(), atomic_number(element)
    lines = (
        (_try(own.LineEnergy, z, number), _try(own.RadRate, z, number))
        for number, _ in _lines_of(subshell)
    )
    return tuple(sorted((e, rate) for e, rate in lines if e > 0 and rate > 0))


def vacancies(element: str, subshell: str, energies: Sequence[float]) -> np.ndarray:
    """Return the photons of a subshell that photons of some energies make, cm2/g.

    Kissel's photoelectric cross sections, the cascade from inner shells, and the fluorescence
    yield; 0 below the edge. Where these tables of K shells end, at about 30 times the edge,
    they follow the photoelectric cross section.
    """
    own, z, edge = xraylib(), atomic_number(element), edge_of(element, subshell)
    number, cross = _shell(subshell), own.CS_FluorShell_Kissel_Cascade
    last = _TABLES_END * edge if subshell == "K" else np.inf
    found = [
        _try(cross, z, number, min(e, last)) if 0 < edge < e else 0.0 for e in energies
    ]
    for i, energy in enumerate(energies):
        if energy > last > 0:
            known = _try(own.CS_Photo, z, last)
            found[i] *= _try(own.CS_Photo, z, energy) / known if known else 0.0
    return np.array(found)


def satellite_shares(group: Group) -> np.ndarray:
    """Return the satellites of lines, relative to them: those of K-beta of Ar to Ge have one.

    Parameters
    ----------
    group
        Of an element.

    Returns
    -------
    numpy.ndarray
        float64, for each line: the photons of its satellite, an exponential that begins
        :data:`SATELLITE_LOSS` below it.

    Notes
    -----
    K-MM radiative Auger satellites: Campbell, Perujo, Teesdale and Millman, Phys. Rev. A 33
    (1986) 2410. Without them there would be Sb beside Ca.
    """
    if group.shell != "K" or not is_symbol(group.element):
        return np.zeros(len(group.energies))
    low, high = _SATELLITE_Z
    is_seen = low <= atomic_number(group.element) <= high
    return np.where(group.is_of("b") & is_seen, _SATELLITE_SHARE, 0.0)


@functools.lru_cache(maxsize=4096)
def _vacancies(element: str, shell: str, excitation: Excitation) -> dict[str, float]:
    """Return the vacancies of each subshell that give a photon, of any unit."""
    if excitation.kind == "electrons":
        return _vacancies_by_electrons(atomic_number(element), shell, excitation.highest)
    energies, shares = excitation.energies, np.array(excitation.shares)
    return {
        name: float(vacancies(element, name, energies) @ shares)
        for name in _SUBSHELLS[shell]
    }


def _vacancies_by_electrons(z: int, shell: str, energy: float) -> dict[str, float]:
    own, found = xraylib(), {}
    names = _SUBSHELLS[shell]
    for name in names:
        edge = _try(own.EdgeEnergy, z, _shell(name))
        found[name] = (
            _ELECTRONS[name] / edge * np.log(energy / edge) if 0 < edge < energy else 0.0
        )
    for i, inner in enumerate(names):  # Coster-Kronig transitions, from the innermost on
        for outer in names[i + 1 :]:
            transition = getattr(own, f"F{shell}{inner[1]}{outer[1]}_TRANS", None)
            if transition is not None and found[inner] and found[outer]:
                found[outer] += found[inner] * _try(own.CosKronTransProb, z, transition)
    return {n: v * _try(own.FluorYield, z, _shell(n)) for n, v in found.items()}


@functools.cache
def _lines_of(subshell: str) -> tuple[tuple[int, str], ...]:
    """Return xraylib's numbers of the lines of a subshell, and the other subshells."""
    own, found = xraylib(), []
    for name in dir(own):
        match = _LINE.fullmatch(name)
        if match and match[1] == subshell and match[2][0] > subshell[0]:
            found.append((getattr(own, name), match[2]))
    return tuple(found)


def _shell(name: str) -> int:
    return getattr(xraylib(), f"{name}_SHELL")


def _try(function: Callable, *arguments: Any) -> float:
    """Return a number of xraylib's tables; 0 where there is none."""
    try:
        return float(function(*arguments))
    except ValueError:
        return 0.0
