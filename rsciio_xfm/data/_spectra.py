"""Spectra that are expected of a composition: lines, scatter, continuum, pile-up."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from rsciio_xfm.kernels.draw import draw_spectra, make_alias
from rsciio_xfm.kernels.peaks import add_lines

# The width of a line: noise of the electronics, keV, and keV per keV of energy.
_NOISE, _FANO = 0.03, 0.00044
# Shares of a line in an exponential tail of this length (keV), and in a shelf.
_TAIL, _TAIL_KEV, _SHELF = 0.02, 0.15, 0.004
# Of what electrons scatter: width and length of its tail relative to the energy.
_COMPTON_WIDTH, _COMPTON_TAIL, _COMPTON_LENGTH = 0.011, 0.3, 0.015
_ELECTRON_KEV = 510.99895
# Silicon: its line and edge, keV; half of the share of photons that escape from its surface;
# how much more it absorbs above the edge than of its own line, and the power of the energy.
_SI_KA, _SI_EDGE, _SI_ESCAPE, _SI_JUMP, _SI_POWER = 1.74, 1.839, 0.0222, 9.8, 2.75


@dataclass(frozen=True)
class Mixture:
    """What a detector sees of a composition.

    Attributes
    ----------
    spectrum
        float64, shape (channels,).
    areas
        For each group of lines, like ``"Fe_K"``, the counts of all its lines, with their tail
        and shelf, without escape peaks: also those beyond the channels, without those that
        piled up.
    """

    spectrum: np.ndarray
    areas: dict[str, float]

    def times(self, counts: float) -> "Mixture":
        """Return as much of it."""
        areas = {name: counts * area for name, area in self.areas.items()}
        return Mixture(counts * self.spectrum, areas)


def expect(
    energies: np.ndarray,
    composition: Mapping[str, float],
    continuum: np.ndarray,
    beam: str,
    scatter: tuple[float, float] = (0.0, 0.0),
) -> Mixture:
    """Return the spectrum of a composition, with a sum of 1.

    Parameters
    ----------
    energies
        Of the channels, keV.
    composition
        Elements with the counts of the lines of their innermost shell that is excited,
        relative to those of the continuum.
    continuum
        Of any sum, for each channel.
    beam
        What excites, as ``lines.csv`` has it: ``"Mo 50 kV"``.
    scatter
        Counts of the tube's lines that the sample scatters, relative to the continuum:
        elastically, and by electrons at a right angle.
    """
    spectrum, areas = continuum / continuum.sum(), {}
    table = _read_lines()[beam]
    for element, share in composition.items():
        for shell, (lines, counts) in table[element].items():
            areas[f"{element}_{shell}"] = share * counts.sum()
            spectrum += share * _see(energies, lines, counts)
    if any(scatter):
        lines, counts = table["anode"]["K"]
        counts = counts / counts.sum()
        spectrum += scatter[0] * _see(energies, lines, counts)
        shifted = lines / (1 + lines / _ELECTRON_KEV)
        sigma = np.hypot(_width(shifted), _COMPTON_WIDTH * shifted)
        shape = (_COMPTON_TAIL, _COMPTON_LENGTH * lines.max(), _SHELF)
        spectrum += scatter[1] * _draw_lines(energies, shifted, sigma, counts, shape)
    return Mixture(spectrum, areas).times(1 / spectrum.sum())


def pile_up(mixture: Mixture, share: float, channel_of_0: int = 0) -> Mixture:
    """Let a share of the counts of a spectrum be two photons each.

    Parameters
    ----------
    mixture
        The photons that are recorded one by one.
    share
        Of the counts.
    channel_of_0
        The channel of 0 keV.
    """
    spectrum, n = mixture.spectrum, mixture.spectrum.size
    both = np.convolve(spectrum, spectrum)[channel_of_0 : channel_of_0 + n]
    single = mixture.times(1 - share)
    return Mixture(single.spectrum + share * both / spectrum.sum(), single.areas)


@functools.cache
def _read_lines() -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """Return energies and counts of lines by beam, element and shell: shape (2, lines).

    They are xraylib's, which is not needed to read them: tests/builders/lines.py has made the
    table, and says of what it is.
    """
    found: dict = {}
    text = files("rsciio_xfm.data").joinpath("lines.csv").read_text(encoding="ascii")
    for row in text.splitlines():
        beam, element, shell, *pairs = row.split(",")
        lines = np.array([pair.split(":") for pair in pairs], dtype=float).T
        found.setdefault(beam, {}).setdefault(element, {})[shell] = lines
    return found


def _see(energies: np.ndarray, lines: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return lines as a silicon detector sees them, with their escape peaks."""
    shape = (_TAIL, _TAIL_KEV, _SHELF)
    whole = _draw_lines(energies, lines, _width(lines), counts, shape)
    # Reed and Ware, J. Phys. E 5 (1972) 582.
    ratio = (np.maximum(lines, _SI_EDGE) / _SI_EDGE) ** _SI_POWER / _SI_JUMP
    escapes = _SI_ESCAPE * (1 - ratio * np.log1p(1 / ratio)) * (lines > _SI_EDGE)
    peaks = np.maximum(lines - _SI_KA, 0)
    escaped = counts * escapes / (1 - escapes)
    return whole + _draw_lines(energies, peaks, _width(peaks), escaped, (0.0, 1.0, 0.0))


def _width(energies: np.ndarray) -> np.ndarray:
    """Return the standard deviation of lines, keV."""
    return np.sqrt(_NOISE**2 + _FANO * energies)


def _draw_lines(
    energies: np.ndarray,
    lines: np.ndarray,
    sigma: np.ndarray,
    counts: np.ndarray,
    shape: tuple[float, float, float],
) -> np.ndarray:
    """Return lines as far as they lie within the channels."""
    spectrum = np.zeros((1, energies.size))
    owners = np.zeros(lines.size, dtype=np.intp)
    gain = (energies[-1] - energies[0]) / (energies.size - 1)
    add_lines(
        spectrum, energies[0], gain, np.stack([lines, sigma, counts], 1), owners, *shape
    )
    return spectrum[0]


class Source:
    """Draws spectra of some kinds.

    Parameters
    ----------
    spectra
        Shape (kinds, channels): what is expected of each.
    rng
        Of the numbers of photons, and the seed of their energies.
    """

    def __init__(self, spectra: np.ndarray, rng: np.random.Generator) -> None:
        self._rng = rng
        self._totals = spectra.sum(axis=1)
        self._tables = np.array([make_alias(row / row.sum()) for row in spectra])

    def draw(self, kinds: np.ndarray, bright: np.ndarray | float = 1.0) -> np.ndarray:
        """Return spectra with the noise of counting: uint16, shape (spectra, channels).

        Parameters
        ----------
        kinds
            Shape (spectra,), integers.
        bright
            Counts of each relative to what is expected of its kind.
        """
        totals = self._rng.poisson(bright * self._totals[kinds])
        seed = self._rng.integers(2**63, dtype=np.uint64)
        spectra = np.zeros((kinds.size, self._tables.shape[1]), dtype=np.uint16)
        draw_spectra(seed, self._tables, kinds, totals, spectra)
        return spectra
