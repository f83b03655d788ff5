"""Layers that absorb, as users and headers name them: windows, filters, gases."""

import math
import re
from typing import Any

import numpy as np

from rsciio_xfm.analysis.fit.excitation import (
    AIR_DENSITY,
    Layer,
    attenuation,
    xraylib,
)
from rsciio_xfm.analysis.fit.response import DENSITY

# Formula, and g/cm3 at 20 degrees and NORMAL_MBAR.
GASES = {"air": ("air", AIR_DENSITY), "helium": ("He", 1.663e-4)}
NORMAL_MBAR = 1013.25
# Of windows that are sold under a name: formula and g/cm3.
_NAMED = {"kapton": ("C22H10N2O5", 1.42), "mylar": ("C10H8O4", 1.38)}
_CENTIMETRES = {"nm": 1e-7, "um": 1e-4, "µm": 1e-4, "μm": 1e-4, "mm": 0.1, "cm": 1.0}
_LAYER = re.compile(r"\s*(\S+)\s+(?:([0-9.eE+-]+)\s*g/cm3\s+)?([0-9.eE+-]+)\s*(\wm)\s*")


def gas_of(name: str, centimetres: float, pressure: float = NORMAL_MBAR) -> Layer:
    """Return a path through a gas of :data:`GASES`, at a pressure in mbar."""
    formula, density = GASES[name]
    return Layer(formula, density * pressure / NORMAL_MBAR, centimetres)


def parse_layer(given: Any) -> Layer:
    """Return a layer as a user says it.

    Parameters
    ----------
    given
        A :class:`~rsciio_xfm.analysis.fit.excitation.Layer`, or text: ``"Be 8 um"``,
        ``"SiO2 2.2 g/cm3 1 mm"``.

    Raises
    ------
    ValueError
        It is none, or the density of a compound is not said.

    Examples
    --------
    >>> parse_layer("Si 0.5 mm")
    Layer(formula='Si', density=2.33, thickness=0.05)
    """
    if isinstance(given, Layer):
        return given
    expected = "expected one like 'Be 8 um' or 'SiO2 2.2 g/cm3 1 mm'."
    found = _LAYER.fullmatch(given) if isinstance(given, str) else None
    if found is None or found[4] not in _CENTIMETRES:
        raise ValueError(f"A layer is {given!r:.60}, {expected}")
    material, density, number, unit = found.groups()
    material, usual = _NAMED.get(material.lower(), (material, None))
    try:
        thickness = float(number) * _CENTIMETRES[unit]
        known = float(density) if density else usual or _density_of(material)
    except ValueError as error:
        raise ValueError(f"A layer is {given!r:.60}, {expected}") from error
    if not (0 < thickness < math.inf and 0 < known < math.inf):
        raise ValueError(f"A layer is {given!r:.60}, expected numbers above 0.")
    attenuation(material, np.array([10.0]))  # refuses what is no material
    return Layer(material, known, thickness)


def _density_of(material: str) -> float:
    """Return the density of an element, g/cm3."""
    if material in DENSITY:
        return DENSITY[material]
    own = xraylib()
    try:
        return round(float(own.ElementDensity(own.SymbolToAtomicNumber(material))), 6)
    except ValueError as error:
        raise ValueError(f"The density of {material} is not known.") from error
