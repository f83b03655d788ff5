"""How a detector sees lines: energies, widths, tail, shelf, escape, efficiency."""

import math
from dataclasses import dataclass, field

import numpy as np

from rsciio_xfm.analysis.fit.excitation import Layer, attenuation, transmission, xraylib
from rsciio_xfm.analysis.fit.lines import Group

PAIR_KEV = {"Si": 0.00385, "Ge": 0.00296}  # energy of an electron-hole pair
DENSITY = {"Si": 2.33, "Ge": 5.32}
# Thickness where nothing says it: silicon drift detectors have 0.45 to 0.5 mm.
CRYSTAL_CM = 0.05
FWHM = 2 * math.sqrt(2 * math.log(2))
MN_KA = 5.8951  # keV
# The lines of xraylib in those that microscopists name; of K all from L, and all from above.
_LINES: dict[str, tuple[str, ...]] = {
    "Ka": (),
    "Kb": (),
    "La": ("L3M4", "L3M5"),
    "Ma": ("M5N6", "M5N7"),
}


@dataclass(frozen=True)
class Response:
    """Calibration of a detector, and what shapes its peaks.

    Attributes
    ----------
    zero, gain
        Energy of channel 0 and width of a channel, keV.
    noise
        Full width at half maximum of a line of 0 keV.
    fano
        Fano factor.
    tail, tail_length
        Share of a peak in an exponential tail, and its length in keV.
    shelf
        Share of a peak in a shelf down to 0 keV.
    escape
        Factor on the escape peaks that are expected of a thick detector.
    satellite
        Factor on the satellites of K-beta that are expected.
    absorption
        Of the sample, how much more of a line of 5 keV it absorbs than of a hard one: soft
        lines of a group are weaker beside hard ones, as far as its share 1 / (1 + a (5 keV /
        energy)^2.8) goes. 0: a thin sample.
    continuum
        Energy E0 in keV, of electrons: of their continuum exp(-(E0 / energy)^2.8) is not
        absorbed. 0: all of it.
    material, thickness
        Of the crystal: ``"Si"`` or ``"Ge"``, and cm; math.inf stops everything.
    layers
        What absorbs on the way from the sample into the crystal.
    """

    zero: float = 0.0
    gain: float = 0.01
    noise: float = 0.08
    fano: float = 0.115
    tail: float = 0.0
    tail_length: float = 0.2
    shelf: float = 0.003
    escape: float = 1.0
    satellite: float = 1.0
    absorption: float = 0.0
    continuum: float = 0.0
    material: str = "Si"
    thickness: float = CRYSTAL_CM
    layers: tuple[Layer, ...] = field(default=())

    def sigma(self, energies: np.ndarray) -> np.ndarray:
        """Return the standard deviation of lines, keV."""
        own = (self.noise / FWHM) ** 2
        return np.sqrt(own + self.fano * PAIR_KEV[self.material] * np.abs(energies))

    def efficiency(self, energies: np.ndarray) -> np.ndarray:
        """Return the share of photons that reach the crystal and stop in it."""
        seen = transmission(self.layers, energies)
        if math.isfinite(self.thickness):
            mu = attenuation(self.material, energies)
            seen *= -np.expm1(-mu * DENSITY[self.material] * self.thickness)
        return seen

    @property
    def fwhm(self) -> float:
        """Full width at half maximum of Mn Ka, keV."""
        return float(FWHM * self.sigma(np.array([MN_KA]))[0])


def line_share(group: Group, line: str, response: Response) -> float:
    """Return which share of the counts of a group is that of a line as microscopists name it.

    Parameters
    ----------
    group
        Of an element.
    line
        ``"Ka"``, ``"Kb"``, ``"La"`` or ``"Ma"``.
    response
        Of the detector, which sees lines of other energies less.

    Raises
    ------
    ValueError
        It is none of these.
    """
    if line not in _LINES or line[0] != group.shell[0]:
        known = [name for name in _LINES if name[0] == group.shell[0]]
        raise ValueError(
            f"The line is {group.element}_{line}, expected one of "
            f"{', '.join(f'{group.element}_{name}' for name in known)}."
        )
    own, energies = xraylib(), group.energies
    numbers = [getattr(own, f"{name}_LINE") for name in _LINES[line]]
    z = own.SymbolToAtomicNumber(group.element)
    if group.shell == "K":
        is_own = group.is_of(line[1])
    else:
        lines = [own.LineEnergy(z, number) for number in numbers]
        is_own = np.isclose(energies[:, np.newaxis], lines, rtol=1e-9).any(axis=1)
    seen = group.weights * response.efficiency(energies)
    return float(seen[is_own].sum() / seen.sum())


def escape_peaks(
    energies: np.ndarray, material: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return energies and shares of the escape peaks of some lines.

    Parameters
    ----------
    energies
        Of the lines, keV.
    material
        Of the crystal.

    Returns
    -------
    list of (numpy.ndarray, numpy.ndarray)
        For each line of the crystal: energies of the peaks, keV, and their counts relative to
        those of the peaks they belong to.

    Notes
    -----
    Reed and Ware, J. Phys. E 5 (1972) 582: of photons that enter a thick crystal at a right
    angle ``0.5 w r (1 - m_k / m_e ln(1 + m_e / m_k))`` escape, with the fluorescence yield w,
    the share r of the K shell in the absorption, and the attenuation m_k and m_e of the
    crystal's own line and of the incoming one.
    """
    own = xraylib()
    z = own.SymbolToAtomicNumber(material)
    edge = own.EdgeEnergy(z, own.K_SHELL)
    jump = 1 - 1 / own.JumpFactor(z, own.K_SHELL)
    found = []
    absorbed = attenuation(material, energies)
    for line in (own.KA_LINE, own.KB_LINE):
        energy, rate = own.LineEnergy(z, line), own.RadRate(z, line)
        ratio = attenuation(material, np.array([energy]))[0] / absorbed
        share = 0.5 * own.FluorYield(z, own.K_SHELL) * rate * jump
        share = share * (1 - ratio * np.log1p(1 / ratio))
        share = np.where(energies > edge, share / (1 - share), 0.0)
        found.append((energies - energy, share))
    return found
