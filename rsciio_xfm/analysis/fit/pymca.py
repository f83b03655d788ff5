"""Models as configurations of PyMca."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rsciio_xfm.analysis.fit.excitation import AIR_DENSITY, Layer, one_energy
from rsciio_xfm.analysis.fit.model import Model
from rsciio_xfm.analysis.fit.response import DENSITY, Response

_GAUSSIAN, _TAIL, _STEP = 1, 2, 8  # bits of PyMca's choice of a shape
_LEAST_SHARE = 1e-3  # of the radiation of a tube
_PLACES = ("window", "deadlayer", "absorber", "contact", "kapton", "Filter 6", "Filter 7")
_NONE = (0, "-", 0.0, 0.0, 1.0)
_WATER = {
    "Comment": "Water",
    "Density": 1.0,
    "Thickness": 1.0,
    "CompoundFraction": 1.0,
    "CompoundList": "H2O1",
}
_AIR = {
    "Comment": "Dry Air (Near sea level)",
    "Density": AIR_DENSITY,
    "Thickness": 1.0,
    "CompoundFraction": (0.000124, 0.75527, 0.23178, 0.012827, 3.2e-06),
    "CompoundList": ("C1", "N1", "O1", "Ar1", "Kr1"),
}


def to_pymca(model: Model) -> str:
    """Return a model as the text of a configuration file of PyMca.

    Parameters
    ----------
    model
        Calibrated, best.

    Returns
    -------
    str
        For a ``.cfg`` file: elements, energies, detector, shape of peaks, excitation, layers.
        PyMca has ratios of lines, a background (SNIP) and escape peaks of its own, its step is
        as high at all energies, and it knows no satellites: counts differ by some per cent.

    Raises
    ------
    ValueError
        The model has more layers than PyMca has places for.
    """
    response = model.response
    sections: dict[str, Mapping[str, Any]] = {
        "attenuators": _attenuators(model),
        "peaks": _peaks(model),
        "fit": _fit(model),
        "detector": {
            **_free("zero", response.zero, 0.1),
            **_free("gain", response.gain, 0.001),
            **_free("noise", response.noise, 0.05),
            **_free("fano", response.fano, 0.114),
            **_free("sum", 1e-8, 1e-8),
            "detele": response.material,
            "ethreshold": 0.020,
            "ithreshold": 1e-7,
            "nthreshold": 4,
        },
        "peakshape": _shape(model),
        "materials": {},
        "materials.Air": _AIR,
        "materials.Water": _WATER,
        "concentrations": {
            "distance": 10.0,
            "area": 30.0,
            "flux": 1e10,
            "time": 1.0,
            "useattenuators": 1,
            "usematrix": 0,
        },
    }
    for layer in response.layers:
        if layer.formula != "air":
            sections |= {f"materials.{_material(layer)}": _as_material(layer)}
    return "\n".join(_section(name, values) for name, values in sections.items())


def _section(name: str, values: Mapping[str, Any]) -> str:
    lines = [f"[{name}]", *(f"{key} = {_text(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(_text(one) for one in value)
    return repr(float(value)) if isinstance(value, float | np.floating) else str(value)


def _free(name: str, value: float, delta: float) -> dict[str, Any]:
    return {name: float(value), f"delta{name}": delta, f"fixed{name}": 0}


def _peaks(model: Model) -> dict[str, tuple[str, ...]]:
    """Return the shells of each element."""
    found: dict[str, tuple[str, ...]] = {}
    for group in model.groups:
        found[group.element] = (*found.get(group.element, ()), group.shell)
    return found


def _fit(model: Model) -> dict[str, Any]:
    first, stop = model.channels
    found: dict[str, Any] = {
        "xmin": first,
        "xmax": stop - 1,
        "use_limit": 1,
        "linearfitflag": 0,
        "hypermetflag": _flags(model.response),
        "escapeflag": 1,
        "sumflag": int(bool(model.sum_peaks.peaks)),
        "scatterflag": int(bool(model.scatter.rayleigh)),
        "stripflag": 1,
        "stripalgorithm": 1,
        "snipwidth": round(5 * model.response.fwhm / model.response.gain / 2),
        "stripwidth": 1,
        "stripconstant": 1.0,
        "stripiterations": 20000,
        "stripfilterwidth": 1,
        "stripanchorsflag": 0,
        "stripanchorslist": (0, 0, 0, 0),
        "continuum": 0,
        "linpolorder": 5,
        "exppolorder": 6,
        "fitfunction": 0,
        "fitweight": 1,
        "maxiter": 10,
        "deltachi": 0.001,
        "deltaonepeak": 0.01,
        "strategyflag": 0,
        "strategy": "SingleLayerStrategy",
    }
    return found | _energies(model)


def _energies(model: Model) -> dict[str, Any]:
    """Return the excitation: PyMca takes energies with weights."""
    beam = model.excitation or one_energy("monochromatic", model.energy_range[1])
    pairs = zip(beam.energies, beam.shares, strict=True)
    kept = [(energy, share) for energy, share in pairs if share > _LEAST_SHARE]
    scattered = {e for group in model.scatter.rayleigh for e in group.energies.tolist()}
    offset = model.scatter.offset
    return {
        "energy": [energy + offset for energy, _ in kept],
        "energyweight": [share for _, share in kept],
        "energyflag": [1] * len(kept),
        "energyscatter": [int(energy in scattered) for energy, _ in kept],
    }


def _flags(response: Response) -> int:
    return _GAUSSIAN + _TAIL * (response.tail > 0) + _STEP * (response.shelf > 0)


def _shape(model: Model) -> dict[str, Any]:
    """Return tail and step relative to the Gaussian, as PyMca has them."""
    response = model.response
    gaussian = 1 - response.tail - response.shelf
    energy = max(group.energy for group in model.groups)
    sigma = float(response.sigma(np.array([energy]))[0])
    step = response.shelf / energy * sigma * math.sqrt(2 * math.pi) / gaussian
    return {
        **_free("st_arearatio", response.tail / gaussian, 0.03),
        **_free("st_sloperatio", response.tail_length, 0.49),
        **_free("lt_arearatio", 0.0, 0.015),
        **_free("lt_sloperatio", 10.0, 7.0),
        **_free("step_heightratio", step, 5e-05),
        **_free("eta_factor", 0.0, 0.02),
    }


def _attenuators(model: Model) -> dict[str, tuple[Any, ...]]:
    response = model.response
    angle = 90.0 if model.excitation is None else model.excitation.angle
    found: dict[str, tuple[Any, ...]] = dict.fromkeys(_PLACES, _NONE)
    found["atmosphere"] = _NONE
    # With more than one energy PyMca needs a sample: water, thin enough to absorb nothing.
    found["Matrix"] = (1, "Water", 1.0, 1e-5, 45.0, 45.0, 1, angle)
    found["Detector"] = (0, response.material + "1", DENSITY[response.material], 0.0, 1.0)
    if math.isfinite(response.thickness):
        found["Detector"] = (1, *found["Detector"][1:3], response.thickness, 1.0)
    others = [layer for layer in response.layers if layer.formula != "air"]
    airs = [layer.thickness for layer in response.layers if layer.formula == "air"]
    if len(others) > len(_PLACES):
        raise ValueError(
            f"PyMca has places for {len(_PLACES)} layers before the detector, and there "
            f"are {len(others)}."
        )
    if airs:
        found["atmosphere"] = (1, "Air", AIR_DENSITY, sum(airs), 1.0)
    for place, layer in zip(_PLACES, others, strict=False):
        found[place] = (1, _material(layer), layer.density, layer.thickness, 1.0)
    return found


def _material(layer: Layer) -> str:
    """Return the name of a material; one that is an element's symbol is that element."""
    return f"Layer of {layer.formula}"


def _as_material(layer: Layer) -> dict[str, Any]:
    return {
        "Comment": layer.formula,
        "Density": layer.density,
        "Thickness": layer.thickness,
        "CompoundFraction": 1.0,
        "CompoundList": layer.formula,
    }
