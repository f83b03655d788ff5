"""What a user, or the metadata, say of the source of radiation."""

import functools
import math
import re
from typing import Any

import numpy as np

from rsciio_xfm.analysis.fit.excitation import Excitation, Layer, beryllium, one_energy
from rsciio_xfm.analysis.fit.lines import atomic_number
from rsciio_xfm.analysis.fit.tube import TAKEOFF, radiation

_MOST_KEV = 500.0
_FORMS = '17.44 (keV), "17.44 keV", "Mo 50 kV" or "electrons 20 kV"'
TUBE_WINDOW = beryllium(125)


def parse_excitation(given: Any, angle: float = 90.0) -> Excitation:
    """Return what a user, or the metadata, say of the excitation.

    Parameters
    ----------
    given
        An :class:`Excitation`, energy of photons in keV, or text: ``"17.44 keV"``,
        ``"Mo 50 kV"``, ``"electrons 20 kV"``.
    angle
        See :class:`Excitation`.

    Raises
    ------
    ValueError
        It is none of these.

    Examples
    --------
    >>> parse_excitation(17.44).kind, parse_excitation("Mo 50 kV").anode
    ('monochromatic', 'Mo')
    """
    if isinstance(given, Excitation):
        return given
    if isinstance(given, int | float | np.number) and not isinstance(given, bool):
        given = f"{float(given)!r} keV"
    found = re.fullmatch(
        r"\s*(?:([A-Za-z]+)[\s,]+)?([0-9.]+(?:e[+-]?\d+)?)\s*(keV|kV)\s*", str(given)
    )
    if found is None:
        raise ValueError(f"The excitation is {given!r}, expected one like {_FORMS}.")
    source, number, unit = found.groups()
    try:
        highest = float(number)
    except ValueError:
        highest = math.nan
    if not 0 < highest <= _MOST_KEV:
        raise ValueError(
            f"The excitation is {given!r}, expected an energy of up to {_MOST_KEV:g} keV."
        )
    if source is None and unit == "keV":
        return one_energy("monochromatic", highest, angle)
    if source is not None and source.lower() in ("electron", "electrons"):
        return one_energy("electrons", highest, angle)
    if source is None or unit != "kV":
        raise ValueError(f"The excitation is {given!r}, expected one like {_FORMS}.")
    return tube(source, highest, angle=angle)


@functools.lru_cache(maxsize=32)
def tube(
    anode: str,
    voltage: float,
    filters: tuple[Layer, ...] = (TUBE_WINDOW,),
    angle: float = 90.0,
    takeoff: float = TAKEOFF,
) -> Excitation:
    """Return the radiation of an X-ray tube, compressed to a few energies.

    Parameters
    ----------
    anode
        Symbol of its target.
    voltage
        kV.
    filters
        What is in the way, window included: of 125 um of beryllium if nothing is said.
    angle
        See :class:`Excitation`.
    takeoff
        Degrees between the surface of the anode and the radiation that is used.

    Raises
    ------
    ValueError
        The anode is no element, or nothing passes the filters.

    Notes
    -----
    Ebel's spectrum, see :mod:`rsciio_xfm.analysis.fit.tube`.
    """
    atomic_number(anode)
    energies, photons = radiation(anode, voltage, filters, takeoff)
    if not photons.sum() > 0:
        raise ValueError(
            f"Nothing of an {anode} tube at {voltage:g} kV passes {filters}."
        )
    shares = photons / photons.sum()
    return Excitation(
        "tube", voltage, tuple(energies.tolist()), tuple(shares.tolist()), anode, angle
    )
