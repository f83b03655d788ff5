"""What makes a sample emit X-rays, and what is between it, the source and the detector."""

import functools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rsciio_xfm.core.extras import require

EXTRA = "fit"
_KISSEL, _NEAR = (14, 22, 24), 3.0  # elements, and how far above the K edge
_AIR = "Air, Dry (near sea level)"
_ELECTRON_KEV = 510.99895


@dataclass(frozen=True)
class Excitation:
    """What makes a sample emit X-rays.

    Attributes
    ----------
    kind
        ``"monochromatic"``, ``"tube"`` or ``"electrons"``.
    highest
        Energy that no photon exceeds, keV: the photons', or the voltage.
    energies, shares
        Of the radiation that reaches the sample, keV; the shares add up to 1. Of electrons
        their energy.
    anode
        Of a tube: a symbol.
    angle
        By which radiation from the source to the detector is scattered, degrees.
    """

    kind: str
    highest: float
    energies: tuple[float, ...] = field(repr=False)  # hundreds, of a tube
    shares: tuple[float, ...] = field(repr=False)
    anode: str | None = None
    angle: float = 90.0

    def __str__(self) -> str:
        """Return what :func:`.sources.parse_excitation` takes."""
        if self.kind == "tube":
            return f"{self.anode} {self.highest:g} kV"
        return f"{'electrons ' * (self.kind == 'electrons')}{self.highest:g} " + (
            "kV" if self.kind == "electrons" else "keV"
        )


def one_energy(kind: str, energy: float, angle: float = 90.0) -> Excitation:
    """Return photons (``"monochromatic"``) or ``"electrons"`` of one energy, keV."""
    return Excitation(kind, energy, (energy,), (1.0,), None, angle)


@dataclass(frozen=True)
class Layer:
    """A layer that absorbs: a formula or element, g/cm3 and cm."""

    formula: str
    density: float
    thickness: float


AIR_DENSITY = 0.0012048  # g/cm3, dry, near sea level


def air(centimetres: float) -> Layer:
    """Return a path through dry air near sea level."""
    return Layer("air", AIR_DENSITY, centimetres)


def beryllium(micrometres: float) -> Layer:
    """Return a window of beryllium."""
    return Layer("Be", 1.848, 1e-4 * micrometres)


def xraylib() -> Any:
    """Return the module; the error names the extra that installs it."""
    return require("xraylib", EXTRA)


def transmission(layers: tuple[Layer, ...], energies: np.ndarray) -> np.ndarray:
    """Return which share of photons passes some layers.

    Parameters
    ----------
    layers
        They add up.
    energies
        keV.
    """
    passed = np.ones(len(energies))
    for layer in layers:
        mu = attenuation(layer.formula, energies)
        passed *= np.exp(-mu * layer.density * layer.thickness)
    return passed


def attenuation(formula: str, energies: np.ndarray) -> np.ndarray:
    """Return the mass attenuation coefficient of an element, a formula or a named material.

    Parameters
    ----------
    formula
        ``"Si"``, ``"SiO2"``, ``"air"``.
    energies
        keV; below 0.1 the coefficient is that at 0.1.

    Returns
    -------
    numpy.ndarray
        cm2/g.

    Raises
    ------
    ValueError
        It is no formula.
    """
    shares = composition(formula).items()
    each = [[w * attenuation_of(z, float(e)) for z, w in shares] for e in energies]
    return np.array(each, float).sum(axis=-1) if each else np.zeros(0)


@functools.lru_cache(maxsize=1024)
def composition(formula: str) -> dict[int, float]:
    """Return the atomic numbers of an element, a formula or a named material.

    Parameters
    ----------
    formula
        ``"Si"``, ``"SiO2"``, ``"air"``, or a name of xraylib's list of NIST materials.

    Returns
    -------
    dict
        Mass fractions by atomic number; they add up to 1.

    Raises
    ------
    ValueError
        It is no formula.
    """
    own = xraylib()
    try:
        found = own.CompoundParser(formula)
    except (TypeError, ValueError):
        name = _AIR if formula == "air" else formula
        try:
            found = own.GetCompoundDataNISTByName(name)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{formula!r} is no material, expected a formula like 'SiO2'."
            ) from error
    shares = np.array(found["massFractions"]) / sum(found["massFractions"])
    return dict(zip(found["Elements"], shares.tolist(), strict=True))


@functools.lru_cache(maxsize=32768)  # a search asks for the same lines again and again
def attenuation_of(element: int, energy: float) -> float:
    """Return the mass attenuation coefficient of an element, cm2/g.

    Parameters
    ----------
    element
        Atomic number.
    energy
        keV; below 0.1 the coefficient is that at 0.1.

    Notes
    -----
    Above the K edges of Si, Ti and Cr the totals of xraylib 4.3 are up to 5, 5 and 14 % above
    those of fisx, and of Kissel's tables, which are taken there.
    """
    own = xraylib()
    energy = max(0.1, energy)
    if element in _KISSEL and 1 < energy / own.EdgeEnergy(element, own.K_SHELL) < _NEAR:
        return float(own.CS_Total_Kissel(element, energy))
    return float(own.CS_Total(element, energy))


def compton_energy(energy: float | np.ndarray, angle: float) -> Any:
    """Return the energy of a photon after Compton scattering from an electron at rest.

    Parameters
    ----------
    energy
        keV.
    angle
        Degrees.

    Examples
    --------
    >>> round(compton_energy(17.44, 90.0), 3)
    16.864
    """
    return energy / (1 + energy / _ELECTRON_KEV * (1 - math.cos(math.radians(angle))))
