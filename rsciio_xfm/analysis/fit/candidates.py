"""Groups of lines that may be in a spectrum: which are likely, and how strong they are."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from rsciio_xfm.analysis.fit.excitation import Excitation, xraylib
from rsciio_xfm.analysis.fit.lines import (
    SHELLS,
    Group,
    atomic_number,
    emission,
    group,
)
from rsciio_xfm.analysis.fit.response import Response

_SODIUM = 11
_FIRST_Z, _LAST_Z = {"electrons": 6}, 92
# What is known before a spectrum is seen: factors on the evidence that elements compete with,
# and the evidence, in sigma, that they need. Argon is in air, where electrons are not; the
# other rare gases and what is radioactive and not in nature are in hardly any sample.
_IMPLAUSIBLE = "Ne Kr Xe Tc Pm Po At Rn Fr Ra Ac Pa"
_UNUSUAL = "Sc Ru Rh In Te Cs Pr Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta Re Os Ir Tl"
USUAL_EVIDENCE, UNUSUAL_EVIDENCE, IMPLAUSIBLE_EVIDENCE = 5.0, 7.0, 50.0
_UNUSUAL_FACTOR, _IMPLAUSIBLE_FACTOR = 0.65, 0.25
# Energy over an edge, from which a shell is excited well.
_OVERVOLTAGE_OF_PHOTONS, _OVERVOLTAGE = 1.3, {"electrons": 2.0}
_LEAST_RATIO = 0.1  # of lines of an inner shell that is, to those of an outer one
# Shells of heavier elements compete with K lines of lighter ones, which are more common.
_BY_SHELL = {"K": 1.0, "L": 0.9, "M": 0.8}


@dataclass(frozen=True, eq=False)
class Candidate:
    """A group of lines that may be in a spectrum.

    Attributes
    ----------
    group
        Its lines.
    strength
        Counts of a thin sample, relative to those of other groups of the same element.
    factor
        On its evidence, when it competes with others.
    needed
        Evidence without which it is not believed, in sigma.
    is_excited
        Whether the source has far more energy than its edge.
    """

    group: Group
    strength: float
    factor: float
    needed: float
    is_excited: bool = False


def make_candidates(
    excitation: Excitation,
    response: Response,
    energy_range: tuple[float, float],
    elements: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
) -> list[Candidate]:
    """Return all groups whose strongest line is excited and within a range.

    Parameters
    ----------
    excitation
        Of the sample; lines of a tube's own anode are left out, as the sample scatters them,
        unless they are asked for.
    response
        Of the detector.
    energy_range
        keV.
    elements
        That may be there; all from sodium, or of electrons from carbon, to uranium if None.
        Those that are named are as likely as any.
    exclude
        That are not there.

    Raises
    ------
    ValueError
        A name is no element.
    """
    named = None if elements is None else {_element(name) for name in elements}
    left_out = {_element(name) for name in exclude}
    if named is None and excitation.anode is not None:
        left_out.add(excitation.anode)
    found = []
    for z in range(_FIRST_Z.get(excitation.kind, _SODIUM), _LAST_Z + 1):
        element = xraylib().AtomicNumberToSymbol(z)
        if element in left_out or (named is not None and element not in named):
            continue
        for shell in SHELLS:
            own = group(element, shell, excitation)
            if own is None or not energy_range[0] < own.energy < energy_range[1]:
                continue
            seen = own.weights @ response.efficiency(own.energies)
            strength = float(emission(element, shell, excitation) * seen)
            is_vacuum = excitation.kind == "electrons"
            factor, needed = _likely(element, named is not None, is_vacuum)
            is_excited = excitation.highest > own.edge * _OVERVOLTAGE.get(
                excitation.kind, _OVERVOLTAGE_OF_PHOTONS
            )
            factor *= _BY_SHELL[shell]
            found.append(Candidate(own, strength, factor, needed, is_excited))
    return found


def _element(name: str) -> str:
    element = str(name).partition("_")[0]
    atomic_number(element)
    return element


def _likely(element: str, is_named: bool, is_vacuum: bool) -> tuple[float, float]:
    if element == "Ar" and is_vacuum and not is_named:
        return _IMPLAUSIBLE_FACTOR, IMPLAUSIBLE_EVIDENCE
    if is_named or element not in f"{_UNUSUAL} {_IMPLAUSIBLE}".split():
        return 1.0, USUAL_EVIDENCE
    if element in _UNUSUAL.split():
        return _UNUSUAL_FACTOR, UNUSUAL_EVIDENCE
    return _IMPLAUSIBLE_FACTOR, IMPLAUSIBLE_EVIDENCE


def contradicted(
    candidates: list[Candidate], areas: np.ndarray, sigmas: np.ndarray
) -> np.ndarray:
    """Tell which groups cannot be as strong as it seems: another of the element is missing.

    Parameters
    ----------
    candidates
        All groups.
    areas, sigmas
        Of each, were it in the spectrum besides what is known to be.

    Returns
    -------
    numpy.ndarray
        bool. The sample absorbs lines of lower energy more, so those of higher energy are
        at least as strong, relative to them, as in a thin sample. A group is contradicted
        where they would be seen and are not a sixth of that.
    """
    found = np.zeros(len(candidates), dtype=bool)
    of: dict[str, list[int]] = {}
    for k, one in enumerate(candidates):
        of.setdefault(one.group.element, []).append(k)
    for numbers in of.values():
        for k in numbers:
            for other in numbers:
                if candidates[other].group.energy <= candidates[k].group.energy:
                    continue
                ratio = candidates[other].strength / candidates[k].strength
                if candidates[other].is_excited:
                    ratio = max(ratio, _LEAST_RATIO)
                expected = max(areas[k], 0.0) * ratio
                most = areas[other] + 2 * sigmas[other]
                if expected > 6 * sigmas[other] and most < expected / 6:
                    found[k] = True
    return found
