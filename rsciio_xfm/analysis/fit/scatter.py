"""Radiation of the source that the sample scatters into the detector."""

import math
from dataclasses import dataclass

import numpy as np

from rsciio_xfm.analysis.fit.excitation import (
    Excitation,
    compton_energy,
    one_energy,
    xraylib,
)
from rsciio_xfm.analysis.fit.lines import Group, group

_LEAST_SHARE = 1e-3  # of the radiation: lines of the anode that are weaker are left out
_LEAST_LOSS = 0.05  # keV: a smaller one cannot be told from none
_SCATTERER = 8  # atomic number that stands for a light sample


@dataclass(frozen=True, eq=False)
class Scatter:
    """Lines of the source as they are found in a spectrum.

    Attributes
    ----------
    rayleigh
        For each shell of the anode, or for the one line of monochromatic radiation.
    compton
        For each line, K-alpha and K-beta apart: the energies are those *before* scattering.
    angle
        Of scattering, degrees.
    shift
        Factor on the energy that is lost: the angle is not exact.
    width
        Standard deviation that is added to the detector's, keV for a loss of 1 keV: the
        electrons move, and angles differ.
    tail, tail_length
        Share of the counts in an exponential tail, and its length in keV: photons that were
        scattered more than once.
    offset
        By which the energy of monochromatic radiation differs from what was said, keV.
    """

    rayleigh: tuple[Group, ...] = ()
    compton: tuple[Group, ...] = ()
    angle: float = 90.0
    shift: float = 1.0
    width: float = 0.15
    tail: float = 0.1
    tail_length: float = 0.5
    offset: float = 0.0

    def energies(self, energies: np.ndarray) -> np.ndarray:
        """Return the energies of photons after Compton scattering, keV."""
        return energies - self.shift * (energies - compton_energy(energies, self.angle))


def make_scatter(
    excitation: Excitation, energy_range: tuple[float, float], without: set[str]
) -> Scatter:
    """Return what of the source is seen within a range of energies.

    Parameters
    ----------
    excitation
        Of electrons nothing is scattered.
    energy_range
        keV.
    without
        Names of element groups that are fitted: where the anode is one of them, its Rayleigh
        lines are not to be told from it and are left out.
    """
    rayleigh, compton = [], []
    for shell, lines in _source_lines(excitation).items():
        seen = _scattered(lines, "Rayleigh", excitation.angle)
        is_twin = f"{excitation.anode}_{shell}" in without
        if energy_range[0] < seen.energy < energy_range[1] and not is_twin:
            rayleigh.append(seen)
        for family in sorted(set(lines.families)):
            part = _scattered(lines, "Compton", excitation.angle).part(family)
            energy = compton_energy(part.energy, excitation.angle)
            if (
                energy_range[0] < energy < energy_range[1]
                and part.energy - energy > _LEAST_LOSS
            ):
                compton.append(part)
    return Scatter(tuple(rayleigh), tuple(compton), excitation.angle)


def _source_lines(excitation: Excitation) -> dict[str, Group]:
    """Return the lines of a source by their shell."""
    if excitation.kind == "monochromatic":
        one, energies = np.array([1.0]), np.array([excitation.highest])
        return {"": Group("", "", energies, one, ("",), excitation.highest)}
    if excitation.kind != "tube" or excitation.anode is None:
        return {}
    beam = one_energy("electrons", excitation.highest)
    found = {}
    for shell in "KL":
        lines = group(excitation.anode, shell, beam)
        if lines is not None and _share(lines, excitation) > _LEAST_SHARE:
            found[shell] = lines
    return found


def _share(lines: Group, excitation: Excitation) -> float:
    """Return the share that some lines have in the radiation."""
    both = zip(excitation.energies, excitation.shares, strict=True)
    own = set(lines.energies.tolist())
    return sum(share for energy, share in both if energy in own)


def _scattered(lines: Group, kind: str, angle: float) -> Group:
    """Return lines as strong as a light sample scatters them."""
    own, radians = xraylib(), math.radians(angle)
    cross = own.DCS_Rayl if kind == "Rayleigh" else own.DCS_Compt
    factors = [cross(_SCATTERER, float(energy), radians) for energy in lines.energies]
    weights = lines.weights * factors
    return Group(
        kind,
        lines.shell,
        lines.energies,
        weights / weights.sum(),
        lines.families,
        lines.edge,
    )
