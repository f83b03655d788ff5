"""X-ray lines as exspy has them, without the two seconds that importing it takes."""

import ast
import functools
import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.eds import PER_KEV

RESOLUTION = 130.0  # eV, full width at half maximum of Mn Ka where nothing says it
WIDTH = 2.0  # of the window of a line, in multiples of its full width at half maximum
_MN_KA = "Mn_Ka"
# Of elements nobody finds unless they were put there; see analysis.fit.candidates.
_RARE = {*"Ne Kr Xe Tc Pm Po At Rn Fr Ra Ac Pa Ar He".split()}  # noqa: SIM905
_UNUSUAL = {
    *"Sc Ru Rh In Te Cs Pr Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta Re Os Ir Tl Th".split()  # noqa: SIM905
}
_FAR = 2.0  # full widths at half maximum, between a peak and what it may be
_PEAK = 5.0  # standard deviations, of a peak that nobody doubts
_MOST = 12  # candidates that are said
_REACH = 0.005  # of the channels, within which a peak is that somebody has pointed at


@dataclass(frozen=True)
class Axis:
    """Energies of channels: ``offset + scale * channel``.

    Attributes
    ----------
    offset, scale
        In `units`.
    units
        ``"keV"`` or ``"eV"``; anything else is no energy.
    size
        How many channels.
    """

    offset: float
    scale: float
    units: str
    size: int

    @property
    def per_kev(self) -> float:
        """How many of the units are a keV."""
        return float(PER_KEV[self.units])

    def kev(self, channel: float | np.ndarray) -> Any:
        """Return the energy of a channel, keV."""
        return (self.offset + self.scale * channel) / self.per_kev

    def channel(self, kev: float) -> float:
        """Return the channel of an energy in keV, not rounded."""
        return (kev * self.per_kev - self.offset) / self.scale

    def index(self, value: float) -> int | None:
        """Return the nearest channel to an energy as HyperSpy rounds; None outside."""
        exact = np.trunc((value - self.offset) / self.scale * 1e12) / 1e12
        low, high = math.ceil(exact - 0.5), math.floor(exact + 0.5)
        towards, away = (low, high) if exact >= 0 else (high, low)
        found = towards if value >= 0 else away
        return found if 0 <= found < self.size else None


@functools.cache
def table() -> dict[str, dict[str, tuple[float, float]]]:
    """Return energy (keV) and weight of all lines: ``table()["Fe"]["Ka"]``."""
    found = {}
    for element, properties in _elements().items():
        lines = properties.get("Atomic_properties", {}).get("Xray_lines", {})
        found[element] = {
            name: (float(own["energy (keV)"]), float(own["weight"]))
            for name, own in lines.items()
        }
    return found


def _elements() -> dict[str, Any]:
    """Return exspy's table: from its source, or by importing it."""
    spec = importlib.util.find_spec("exspy")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder, "_misc", "elements.py")
        if not path.is_file():
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Dict):
                continue
            if [getattr(one, "id", "") for one in node.targets] == ["elements"]:
                return ast.literal_eval(node.value)
    from rsciio_xfm.core.exspy import elements

    return {name: own.as_dictionary() for name, own in elements}


def energy_of(line: str) -> float:
    """Return the energy of a line, ``"Fe_Ka"``, keV.

    Raises
    ------
    ValueError
        It is none; says which there are.
    """
    element, _, name = line.partition("_")
    own = table().get(element)
    if own is None:
        raise ValueError(f"{element!r:.20} is no element, expected a symbol like Fe.")
    if name not in own:
        known = ", ".join(f"{element}_{other}" for other in sorted(own))
        raise ValueError(f"{line!r:.20} is no X-ray line, expected one of {known}.")
    return own[name][0]


def width_at(kev: float, resolution: float) -> float:
    """Return the full width at half maximum of a line, keV, as exspy estimates it."""
    square = 2.5 * (kev - energy_of(_MN_KA)) * 1000 + resolution * resolution
    return math.sqrt(max(square, 1.0)) / 1000.0


def window_of(line: str, axis: Axis, resolution: float) -> tuple[int, int]:
    """Return first channel and the one after the last of the window of a line.

    Raises
    ------
    ValueError
        It is no line, the axis has no energies, or the line is not within them.

    Notes
    -----
    The channels are those of :func:`rsciio_xfm.signals.maps.get_window_images`.
    """
    energy = energy_of(line)
    if axis.units not in PER_KEV or not axis.scale > 0:
        raise ValueError(
            f"The line {line} has no window: the energy axis is not calibrated. Calibrate it "
            "by two peaks, or choose a window of channels."
        )
    factor = axis.per_kev
    half = WIDTH * (width_at(energy, resolution) * factor) / 2.0
    energy *= factor
    low = axis.offset
    high = low + axis.scale * (axis.size - 1)
    start, stop = max(energy - half, low), energy + half
    if start > high or stop <= low:
        raise ValueError(
            f"{line} is at {energy:.3f} {axis.units}, expected {low:g} to {high:g}, where the "
            "spectra are."
        )
    first = axis.index(start) or 0
    last = None if stop > high else axis.index(stop)
    last = axis.size if last is None else last
    if first >= last:
        raise ValueError(f"The window of {line} is narrower than a channel.")
    return first, last


def lines_of(element: str, axis: Axis | None = None) -> list[dict[str, Any]]:
    """Return the lines of an element, by energy, within an axis if there is one.

    Raises
    ------
    ValueError
        It is no element.
    """
    if element not in table():
        raise ValueError(f"{element!r:.20} is no element, expected a symbol like Fe.")
    found = [
        {"line": f"{element}_{name}", "energy": energy, "weight": weight}
        for name, (energy, weight) in table()[element].items()
        if axis is None or 0 <= axis.channel(energy) <= axis.size - 1
    ]
    return sorted(found, key=lambda line: line["energy"])


def candidates(
    kev: float, axis: Axis, resolution: float, spectrum: np.ndarray
) -> list[dict[str, Any]]:
    """Return which lines a peak may be, the likeliest first.

    Parameters
    ----------
    kev
        Where the peak is.
    axis, resolution
        Of the spectra, and of the detector, eV.
    spectrum
        Sum of the spectra: a line is unlikely where stronger ones of its shell are missing.

    Returns
    -------
    list of dict
        ``line``, ``element``, ``energy`` (keV), ``distance`` (keV), ``likely`` (which adds up
        to 1 over all where there is a peak, and to less as it drowns in its noise) and
        ``others``, the other lines of the element.
    """
    width = width_at(kev, resolution)
    found = []
    for element, lines in table().items():
        for name, (energy, weight) in lines.items():
            if weight <= 0 or abs(energy - kev) > _FAR * width:
                continue
            score = math.exp(-4 * math.log(2) * ((energy - kev) / width) ** 2)
            score *= math.sqrt(weight) * _plausible(element)
            score *= _shown(lines, name, axis, resolution, spectrum)
            if score > 1e-4:
                found.append((score, element, name, energy))
    found.sort(reverse=True)
    net, sigma = net_counts(kev, axis, resolution, spectrum)
    peak = min(1.0, max(0.0, net / sigma / _PEAK))
    total = sum(score for score, *_ in found) or 1.0
    return [
        {
            "line": f"{element}_{name}",
            "element": element,
            "energy": energy,
            "distance": energy - kev,
            "likely": peak * score / total,
            "others": [
                other
                for other in lines_of(element, axis)
                if other["line"] != f"{element}_{name}"
            ],
        }
        for score, element, name, energy in found[:_MOST]
    ]


def _plausible(element: str) -> float:
    return 0.05 if element in _RARE else 0.3 if element in _UNUSUAL else 1.0


def _shown(
    lines: dict[str, tuple[float, float]],
    name: str,
    axis: Axis,
    resolution: float,
    spectrum: np.ndarray,
) -> float:
    """Tell how well the stronger lines of the shell, and an inner one, are seen."""
    own, found = net_counts(lines[name][0], axis, resolution, spectrum)[0], 1.0
    shells = {"M": "LK", "L": "K", "K": ""}
    for other, (energy, weight) in lines.items():
        is_stronger = other[0] == name[0] and weight > 1.5 * lines[name][1]
        is_inner = other[0] in shells[name[0]] and weight >= 1
        if not (is_stronger or is_inner) or not 0 <= axis.channel(energy) < axis.size - 1:
            continue
        net, sigma = net_counts(energy, axis, resolution, spectrum)
        if net < 3 * sigma:  # of inner shells it may be that nothing excites them
            found *= 0.1 if is_stronger else 0.6
        elif is_stronger and net < 0.3 * own * weight / lines[name][1]:
            found *= 0.5
    return found


def net_counts(
    kev: float, axis: Axis, resolution: float, spectrum: np.ndarray
) -> tuple[float, float]:
    """Return the counts of a peak over what is beside it, and their standard deviation."""
    half = width_at(kev, resolution) / 2
    edges = [
        round(min(max(axis.channel(kev + k * half), 0), axis.size))
        for k in (-3, -2, -1, 1, 2, 3)
    ]
    own = spectrum[edges[2] : edges[3] + 1]
    beside = np.concatenate(
        [spectrum[edges[0] : edges[1] + 1], spectrum[edges[4] : edges[5] + 1]]
    )
    if not own.size or not beside.size:
        return 0.0, 1.0
    total, below = float(own.sum()), float(beside.mean()) * own.size
    # What tells a peak from a slope is more than statistics: 2 % of what lies below.
    error = max(total, 1.0) + below * own.size / beside.size + (0.02 * below) ** 2
    return total - below, math.sqrt(error)


def calibrate(
    pairs: list[tuple[str, float]], axis: Axis | None, spectrum: np.ndarray
) -> dict[str, Any]:
    """Return the energies of channels by lines that somebody has pointed at.

    Parameters
    ----------
    pairs
        Lines and about the channels of their peaks. With one, the offset stays as it is.
    axis
        As it was; None without energies.
    spectrum
        Sum of the spectra: places are those of its peaks.

    Returns
    -------
    dict
        ``offset`` and ``scale``, keV, ``units``, ``channels`` of the peaks and ``residuals``,
        keV, by line; ``uncertainty``, the standard deviation of `scale` as a part of it, None
        where it is not known.

    Raises
    ------
    ValueError
        A name is no line, or the lines contradict each other.
    """
    energies = np.array([energy_of(line) for line, _ in pairs])
    fitted = _fitted(pairs, spectrum)
    if fitted is not None:
        return fitted
    places = np.array([_centre(spectrum, channel) for _, channel in pairs])
    if len(pairs) == 1:
        is_known = axis is not None and axis.units in PER_KEV
        offset = axis.offset / axis.per_kev if axis is not None and is_known else 0.0
        if places[0] == 0:
            raise ValueError("The peak is at channel 0, expected one further on.")
        scale = float((energies[0] - offset) / places[0])
    else:
        if np.ptp(places) < 1 or np.ptp(energies) == 0:
            raise ValueError("The peaks are at one place, expected two apart.")
        scale, offset = (float(v) for v in np.polyfit(places, energies, 1))
    if not scale > 0 or not math.isfinite(scale):
        raise ValueError(
            "The lines contradict the places of their peaks: energies would fall with the "
            "channels. Choose the lines anew."
        )
    left = offset + scale * places - energies
    names = [line for line, _ in pairs]
    return {
        "offset": offset,
        "scale": scale,
        "units": "keV",
        "channels": dict(zip(names, places.tolist(), strict=True)),
        "residuals": dict(zip(names, left.tolist(), strict=True)),
        "uncertainty": None,
    }


def _fitted(
    pairs: list[tuple[str, float]], spectrum: np.ndarray
) -> dict[str, Any] | None:
    """Calibrate by a fit of the peaks; None without xraylib, or if they hardly stand out."""
    known = dict(pairs)
    if len(known) < max(2, len(pairs)) or not importlib.util.find_spec("xraylib"):
        return None
    from rsciio_xfm.analysis.fit.energy import calibrate_energy

    try:
        found = calibrate_energy(spectrum, known)
    except ValueError:  # it is weaker than what the fit takes for a peak, or contradicts
        return None
    places = np.array([line.channel for line in found.lines])
    errors = np.array([line.error for line in found.lines])
    apart = places - places.mean()
    return {
        "offset": found.zero,
        "scale": found.gain,
        "units": "keV",
        "channels": {line.name: line.channel for line in found.lines},
        "residuals": {line.name: line.residual for line in found.lines},
        "uncertainty": float(np.linalg.norm(apart * errors) / (apart @ apart)),
    }


def _centre(spectrum: np.ndarray, channel: float) -> float:
    """Return the centre of the peak nearest to a channel, or the channel itself."""
    reach = max(3, round(_REACH * spectrum.size))
    middle = round(channel)
    low, high = max(0, middle - reach), min(spectrum.size, middle + reach + 1)
    part = np.asarray(spectrum[low:high], dtype=float)
    if part.size < 3 or part.max() <= part.min():
        return float(channel)
    top = low + int(part.argmax())
    if abs(top - middle) >= reach:  # it rises out of the range: no peak here
        return float(channel)
    most = float(part.max())
    left, right = top, top
    while left > low and spectrum[left - 1] > 0.6 * most:
        left -= 1
    while right < high - 1 and spectrum[right + 1] > 0.6 * most:
        right += 1
    weights = np.asarray(spectrum[left : right + 1], dtype=float) - 0.6 * most
    return float(np.average(np.arange(left, right + 1), weights=weights))
