"""Spectra that are expected of a composition: lines, scatter, continuum."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

# Of the lines of a shell when one of higher energy is excited too.
_OUTER_SHELL = 0.1
# The width of a line: noise of the electronics, keV, and keV per keV of energy.
_NOISE, _FANO = 0.03, 0.00044


def expect(
    energies: np.ndarray,
    composition: Mapping[str, float],
    continuum: np.ndarray,
    scatter: Iterable[tuple[float, float, float]] = (),
) -> np.ndarray:
    """Return the spectrum of a composition, with a sum of 1.

    Parameters
    ----------
    energies
        Of the channels, keV.
    composition
        Elements with the counts of the lines of their strongest shell, relative to those
        of the continuum.
    continuum
        Of any sum, for each channel.
    scatter
        Peaks of the tube that the sample scatters: energy in keV, counts relative to those of
        the continuum, standard deviation in keV.

    Returns
    -------
    numpy.ndarray
        Shape (channel,), float64.
    """
    spectrum = continuum / continuum.sum()
    for energy, share, sigma in scatter:
        spectrum = spectrum + share * _peak(energies, energy, sigma)
    for element, share in composition.items():
        for energy, weight in _lines(element, energies[-1]):
            sigma = np.sqrt(_NOISE**2 + _FANO * energy)
            spectrum = spectrum + share * weight * _peak(energies, energy, sigma)
    return spectrum / spectrum.sum()


def _lines(element: str, highest: float) -> Iterator[tuple[float, float]]:
    """Yield energy and relative counts of each line whose shell lies below an energy."""
    from exspy.material import elements

    lines = elements[element].Atomic_properties.Xray_lines.as_dictionary()
    share = 1.0
    for shell in "KLM":
        inside = [line for name, line in lines.items() if name.startswith(shell)]
        if inside and max(line["energy (keV)"] for line in inside) < highest:
            for line in inside:
                yield line["energy (keV)"], share * line["weight"]
            share = _OUTER_SHELL


def _peak(energies: np.ndarray, centre: float, sigma: float) -> np.ndarray:
    """Return a line of one count, as far as it lies within the channels."""
    step = energies[1] - energies[0]
    profile = np.exp(-(((energies - centre) / sigma) ** 2) / 2)
    return profile * step / (sigma * np.sqrt(2 * np.pi))
