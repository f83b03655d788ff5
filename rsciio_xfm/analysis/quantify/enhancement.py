"""Fluorescence that fluorescence excites, and the yields of groups of lines.

The sample is plane, homogeneous and wider than the beam, so that all depends on the depth
alone. It is cut into layers. Each layer emits each exciting line evenly into all directions;
how much of it every other layer absorbs follows from the exponential integral E3 of the
optical distance between their boundaries (as in the collision probabilities of reactor
physics: Carlvik, Nukleonik 10 (1967) 104). What they absorb makes the fluorescence of the next
order. No photon is made or lost on the way; all orders are added up. Radiation of the source
that was scattered once, as if evenly into all directions, excites as well.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expn

from rsciio_xfm.analysis.fit.lines import Group
from rsciio_xfm.analysis.quantify.primary import (
    Sample,
    Tables,
    per_group,
    primary,
    tables,
)
from rsciio_xfm.analysis.quantify.setup import Setup

_N_LAYERS = 48
_THINNEST = 0.03  # optical depth of the first layer, for what is absorbed most
_DEEPEST = 14.0  # optical depth where a thick sample ends, for what is absorbed least
_ENOUGH = 1e-7  # of the primary: weaker orders are left out
_MOST_ORDERS = 20


@dataclass(frozen=True, eq=False)
class Yields:
    """Photons that are detected of groups of lines.

    Attributes
    ----------
    primary, enhanced
        float64, shape (groups,): per incident photon, as if the detector saw all directions;
        excited by the source, and by the sample's own fluorescence.
    """

    primary: np.ndarray
    enhanced: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Both together."""
        return self.primary + self.enhanced


def yields(
    sample: Sample, setup: Setup, groups: Sequence[Group], orders: int = _MOST_ORDERS
) -> Yields:
    """Return how many photons of each group are detected.

    Parameters
    ----------
    sample
        Composition and thickness.
    setup
        Angles, excitation, path, detector.
    groups
        Of lines. Their element and shell are what matters, the ratios of their lines follow
        from the physics.
    orders
        1: primary fluorescence only; 2: secondary as well, and so on. Those that add less
        than 1e-7 are left out.

    Returns
    -------
    found : Yields
        0 for elements that the sample does not have.

    Examples
    --------
    >>> from rsciio_xfm.analysis.fit.sources import parse_excitation
    >>> from rsciio_xfm.analysis.fit.lines import group
    >>> beam = parse_excitation(16.0)
    >>> steel = Sample({"Cr": 0.18, "Fe": 0.72, "Ni": 0.10})
    >>> found = yields(steel, Setup(beam), [group("Cr", "K", beam)])
    >>> (found.enhanced / found.primary).round(2)
    array([0.75])
    """
    own = tables(sample.fractions, setup, groups)
    fractions = np.array([sample.fractions.get(name, 0.0) for name in own.elements])
    unit = unit_yields(own, setup, fractions, sample.thickness, orders)
    ours = np.array([sample.fractions.get(group.element, 0.0) for group in groups])
    return Yields(unit.primary * ours, unit.enhanced * ours)


def unit_yields(
    own: Tables,
    setup: Setup,
    fractions: np.ndarray,
    thickness: float,
    orders: int = _MOST_ORDERS,
) -> Yields:
    """Return the yields per unit of mass fraction, also for fractions of 0.

    Parameters
    ----------
    own
        Cross sections.
    setup
        Of which they are.
    fractions
        Of the elements of the tables.
    thickness
        g/cm2.
    orders
        See :func:`yields`.
    """
    first = per_group(own, primary(own, setup, fractions, thickness))
    if orders < 2 or not len(own.exciting.energies):
        return Yields(first, np.zeros_like(first))
    bounds = _bounds(own, setup, fractions, thickness)
    layers = _secondary(own, setup, fractions, bounds, orders)
    lines = own.lines
    out = fractions @ lines.absorption / setup.sines[1]
    depths = np.exp(-np.outer(out, bounds))
    seen = -np.diff(depths, axis=1) / np.outer(out, np.diff(bounds))
    emitted = (layers[lines.subshells] * seen).sum(axis=1) * lines.rates
    return Yields(first, per_group(own, emitted))


def absorbed(bounds: np.ndarray) -> np.ndarray:
    """Return which share of the photons of each layer is absorbed in each.

    Parameters
    ----------
    bounds
        Optical depths of the boundaries of the layers, shape (..., layers + 1).

    Returns
    -------
    numpy.ndarray
        float64, shape (..., layers, layers): from, to. A row adds up to 1 less what leaves
        the sample.
    """
    distance = np.abs(bounds[..., :, np.newaxis] - bounds[..., np.newaxis, :])
    upper = np.triu_indices(distance.shape[-1], 1)
    kernel = np.full_like(distance, 0.5)
    values = expn(3, distance[..., upper[0], upper[1]])
    kernel[..., upper[0], upper[1]] = kernel[..., upper[1], upper[0]] = values
    shared = -0.5 * np.diff(np.diff(kernel, axis=-1), axis=-2)
    widths = np.diff(bounds, axis=-1)
    diagonal = np.arange(widths.shape[-1])
    shared[..., diagonal, diagonal] += widths
    return shared / widths[..., np.newaxis]


def _secondary(
    own: Tables, setup: Setup, fractions: np.ndarray, bounds: np.ndarray, orders: int
) -> np.ndarray:
    """Return the photons of secondary and higher orders, shape (subshells, layers).

    Per incident photon and unit of mass fraction of the subshell's element.
    """
    lines = own.exciting
    mu = fractions @ lines.absorption
    share = absorbed(np.outer(mu, bounds))
    strength = fractions[own.owners[lines.subshells]] * lines.rates
    excited = own.secondary / mu
    layers, scattered = _primary_in(own, setup, fractions, bounds)
    total, least = np.zeros_like(layers), _ENOUGH * layers.sum(axis=1)
    for order in range(1, orders):
        source = layers[lines.subshells] * strength[:, np.newaxis]
        if order == 1:
            source += scattered
        layers = excited @ (source[:, np.newaxis, :] @ share)[:, 0, :]
        total += layers
        if (layers.sum(axis=1) <= least).all():
            break
    return total


def _primary_in(
    own: Tables, setup: Setup, fractions: np.ndarray, bounds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the primary photons of each subshell, and scattered ones, in each layer."""
    mu = fractions @ own.absorption
    left = np.exp(-np.outer(mu / setup.sines[0], bounds))
    stopped = -np.diff(left, axis=1)
    rates = own.shares / mu
    scattered = own.merge * (fractions @ own.scattering * np.tile(rates, 2))
    return (own.production * rates) @ stopped, scattered @ np.tile(stopped, (2, 1))


def _bounds(
    own: Tables, setup: Setup, fractions: np.ndarray, thickness: float
) -> np.ndarray:
    """Return the boundaries of layers, g/cm2: thin at the surface."""
    into = (fractions @ own.absorption)[own.production.any(axis=0)] / setup.sines[0]
    out = fractions @ own.lines.absorption / setup.sines[1]
    own_lines = fractions @ own.exciting.absorption
    if not len(into):
        return np.array([0.0, min(thickness, 1.0)])
    # Nothing comes from where neither the radiation of the source nor that of lines gets to,
    # or whence none gets out.
    reach = 1 / into.min() + 1 / own_lines.min(initial=math.inf)
    deepest = min(thickness, _DEEPEST * min(reach, 2 / out.min()))
    thinnest = _THINNEST / max(into.max(), out.max(), own_lines.max())
    first = min(thinnest, deepest / _N_LAYERS)
    return np.concatenate([[0.0], np.geomspace(first, deepest, _N_LAYERS)])
