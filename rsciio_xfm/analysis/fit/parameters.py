"""What a calibration may change: names, priors and limits of all parameters."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rsciio_xfm.analysis.fit.columns import (
    OF_RESPONSE,
    OF_SCATTER,
    ratio_name,
    start_values,
)
from rsciio_xfm.analysis.fit.lines import Group

if TYPE_CHECKING:
    from rsciio_xfm.analysis.fit.model import Model

_LONGEST = 1e6  # cm: thicker is infinite


@dataclass(frozen=True)
class Prior:
    """What is known of a parameter before a spectrum is seen.

    Attributes
    ----------
    sigma
        How far it may be from its start.
    low, high
        Limits.
    step
        For numerical derivatives.
    """

    sigma: float
    low: float
    high: float
    step: float


# All of them are weak: a spectrum of some thousand counts says more.
PRIORS = {
    "zero": Prior(0.03, -500.0, 500.0, 1e-5),  # of a part of a spectrum it is anywhere
    "noise": Prior(0.03, 0.005, 0.5, 1e-5),
    "fano": Prior(0.015, 0.05, 0.25, 1e-5),
    "tail": Prior(0.05, 0.0, 0.4, 1e-4),
    "tail_length": Prior(0.15, 0.03, 3.0, 1e-4),
    "shelf": Prior(0.005, 0.0, 0.2, 1e-4),
    "escape": Prior(0.5, 0.0, 5.0, 1e-3),
    "satellite": Prior(0.5, 0.0, 5.0, 1e-3),
    "absorption": Prior(2.0, 0.0, 100.0, 1e-3),
    "stopping": Prior(15.0, 0.0, 1e3, 1e-2),
    "compton_shift": Prior(0.15, 0.5, 1.6, 1e-4),
    "compton_width": Prior(0.1, 0.0, 1.0, 1e-4),
    "compton_tail": Prior(0.15, 0.0, 0.7, 1e-4),
    "compton_tail_length": Prior(0.4, 0.05, 3.0, 1e-3),
    "scatter_offset": Prior(0.05, -0.5, 0.5, 1e-5),
    "sum_shift": Prior(0.02, -0.06, 0.06, 1e-5),
    "sum_width": Prior(0.15, 0.7, 1.5, 1e-4),
}
# Factors on the lines of a family: absorption in a sample changes K-beta/K-alpha by a third,
# tables of L1:L2:L3 differ by some per cent.
_RATIO_K = Prior(0.2, 0.7, 2.0, 1e-4)
_RATIO = Prior(0.1, 0.5, 2.0, 1e-4)
# What excites M1, M2 and M3 more than M5 is a tube's continuum at a few keV, which windows and
# filters change by factors; M4 and M5 are excited alike.
_RATIO_M4, _RATIO_M = Prior(0.03, 0.5, 2.0, 1e-4), Prior(1.0, 0.1, 8.0, 1e-4)


def prior(name: str, gain: float = 0.01) -> Prior:
    """Return the prior of a parameter, ``"zero"`` or ``"Fe_K b"``.

    Parameters
    ----------
    name
        Of the parameter.
    gain
        Width of a channel, keV: the prior of the gain is relative to it.
    """
    if name == "gain":
        return Prior(0.01 * gain, 0.5 * gain, 2 * gain, 1e-7 * gain)
    if name in PRIORS:
        return PRIORS[name]
    group, _, family = name.partition(" ")
    if group.endswith("_K"):
        return _RATIO_K
    if group.endswith("_M"):
        return _RATIO_M4 if family == "M4" else _RATIO_M
    return _RATIO


def values_of(model: "Model") -> dict[str, float]:
    """Return the values of all parameters but ratios, which are 1."""
    sums = model.sum_peaks
    values = start_values(model.response, model.scatter)
    return values | {"sum_shift": sums.shift, "sum_width": sums.width}


def held_ratios(model: "Model") -> tuple[str, ...]:
    """Return the names of the ratios of lines of elements."""
    every = [
        ratio_name(one.name, family)
        for one in model.groups
        for family in sorted(set(one.families))
    ]
    return tuple(every)


def apply_values(model: "Model", values: dict[str, float]) -> "Model":
    """Return a model with other values of the parameters, without a fit."""
    stopping = values["stopping"]
    thickness = 1 / stopping if stopping > 1 / _LONGEST else math.inf
    own: dict[str, Any] = {name: values[name] for name in OF_RESPONSE}
    compton: dict[str, Any] = {name: values[f"compton_{name}"] for name in OF_SCATTER}
    rayleigh = tuple(with_ratios(one, values) for one in model.scatter.rayleigh)
    ratios = {name: value for name, value in values.items() if " " in name}
    ratios = {n: model.ratios.get(n, 1.0) * value for n, value in ratios.items()}
    return replace(
        model,
        response=replace(model.response, **own, thickness=thickness),
        groups=tuple(with_ratios(one, values) for one in model.groups),
        scatter=replace(
            model.scatter, rayleigh=rayleigh, offset=values["scatter_offset"], **compton
        ),
        sum_peaks=replace(
            model.sum_peaks, shift=values["sum_shift"], width=values["sum_width"]
        ),
        ratios=model.ratios | ratios,
        fit=None,
    )


def with_ratios(group: Group, values: dict[str, float]) -> Group:
    """Return a group with the ratios of its families as they were fitted."""
    names = [ratio_name(group.name, family) for family in group.families]
    factors = np.array([values.get(name, 1.0) for name in names])
    if (factors == 1).all():
        return group
    weights = group.weights * factors
    return replace(group, weights=weights / weights.sum())
