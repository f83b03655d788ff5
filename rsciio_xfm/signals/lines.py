"""Names of X-ray lines and elements, and which lines cannot be told apart."""

import difflib
import itertools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rsciio_xfm.core.eds import XRF
from rsciio_xfm.core.warning import warn

if TYPE_CHECKING:
    from exspy.signals import EDSSEMSpectrum

# What is said of lines of other elements: overlap times weight, relative to the strongest
# line of the shell, of at least this. Kb of the transition metals has a weight of 0.13.
_NOTED = 0.05
_GREEK = str.maketrans("\u03b1\u03b2\u03b3", "abg")  # alpha, beta, gamma


def is_line(name: str) -> bool:
    """Tell whether a name is that of an X-ray line, as exspy writes it."""
    from exspy.material import elements

    element, _, line = name.partition("_")
    return element in elements and line in _lines_of(element)


def check_line(name: str) -> None:
    """Refuse what is no X-ray line; the error says which may be meant.

    Raises
    ------
    ValueError
        It is none.

    Examples
    --------
    >>> check_line("Fe_KA")
    Traceback (most recent call last):
    ...
    ValueError: 'Fe_KA' is no X-ray line, expected Fe_Ka? Lines of Fe: Fe_Ka, Fe_Kb, Fe_La, \
Fe_Lb3, Fe_Ll, Fe_Ln.
    """
    if not is_line(name):
        raise ValueError(f"{name!r} is no X-ray line, expected {_meant(name, 'Fe_Ka')}")


def check_element(name: str) -> None:
    """Refuse what is no element; the error says which may be meant.

    Raises
    ------
    ValueError
        It is none.

    Examples
    --------
    >>> check_element("fe")
    Traceback (most recent call last):
    ...
    ValueError: 'fe' is no element, expected Fe? Lines of Fe: Fe_Ka, Fe_Kb, Fe_La, Fe_Lb3, \
Fe_Ll, Fe_Ln.
    """
    from exspy.material import elements

    if name not in elements:
        raise ValueError(
            f"{name!r} is no element, expected {_meant(name, 'the symbol Fe')}"
        )


def check_each(names: Any, check: Callable[[str], None]) -> Any:
    """Check all names of a list, and return it; of anything else exspy says what is wrong."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        return names
    names = list(names)
    for name in names:
        if isinstance(name, str):
            check(name)
    return names


def _meant(name: str, example: str) -> str:
    """Return what is to follow "expected": what a wrong name may mean."""
    found = _find_meant(name)
    if found is None:
        return f"one like {example}."
    element = found.partition("_")[0]
    lines = ", ".join(f"{element}_{line}" for line in _lines_of(element))
    lines = f"of {element}: {lines or 'none are known'}."
    return f"one {lines}" if found == name else f"{found}? Lines {lines}"


def _find_meant(name: str) -> str | None:
    """Return the line or the element that is nearest to a name, or None."""
    from exspy.material import elements

    symbols: dict[str, str] = {}
    names: dict[str, str] = {}
    lines: dict[str, tuple[str, str]] = {}
    for element, properties in elements:
        symbols[_plain(element)] = element
        names[_plain(properties.get_item("General_properties.name", ""))] = element
        lines |= {
            _plain(f"{element}{line}"): (element, line) for line in _lines_of(element)
        }
    plain = _plain(name)
    if plain in lines and plain not in symbols:
        return "_".join(lines[plain])
    near = difflib.get_close_matches(plain, names, 1, 0.8)
    of_line = symbols.get(_plain(re.split(r"[_\W]", name)[0]))
    return symbols.get(plain) or of_line or (names[near[0]] if near else None)


def _plain(name: str) -> str:
    """Return letters and digits of a name, as "FeKa", "fe ka" and "Fe-Ka" share."""
    return "".join(filter(str.isalnum, name.translate(_GREEK).lower()))


def _lines_of(element: str) -> list[str]:
    from exspy.material import elements

    lines = elements[element].get_item("Atomic_properties.Xray_lines")
    return [] if lines is None else sorted(lines.as_dictionary())


def warn_of_overlaps(
    signal: "EDSSEMSpectrum", lines: Iterable[str], integration_windows: float
) -> None:
    """Warn once of all lines whose windows overlap others."""
    lines = list(dict.fromkeys(lines))
    weights = {k: v for k, v in _weights(signal).items() if k not in lines}
    names = [*lines, *weights]
    edges = signal.estimate_integration_windows(integration_windows, names)
    windows = dict(zip(names, edges, strict=True))
    overlaps = {
        pair: share
        for pair in itertools.combinations(lines, 2)
        if (share := _overlap(windows, *pair)) >= 0.005  # 1 % as it is shown
    }
    overlaps |= {
        (line, other): share
        for line, (other, weight) in itertools.product(lines, weights.items())
        if line.partition("_")[0] != other.partition("_")[0]
        and (share := _overlap(windows, line, other)) * weight >= _NOTED
    }
    if overlaps:
        found = [f"{a} and {b} ({100 * s:.0f} %)" for (a, b), s in overlaps.items()]
        warn(
            f"Windows of X-ray lines overlap, by so much of the narrower one: "
            f"{', '.join(found)}. Counts of one line are in the image of the other too: "
            "choose other lines or narrower windows (integration_windows), or let a fit tell "
            "them apart: s.get_element_maps()."
        )


def _overlap(windows: Mapping[str, tuple[float, float]], a: str, b: str) -> float:
    """Return how much of the narrower one of two windows lies in the other."""
    starts, stops = np.array([windows[a], windows[b]], dtype=float).T
    return (stops.min() - starts.max()) / (stops - starts).min()


def _weights(signal: "EDSSEMSpectrum") -> dict[str, float]:
    """Return the weights of the lines, within the spectra, of elements in the metadata."""
    from exspy.material import elements

    names = [str(name) for name in signal.metadata.get_item("Sample.elements", [])]
    listed = signal.metadata.get_item("Sample.xray_lines", [])
    names += [str(line).partition("_")[0] for line in listed]
    weights = {
        f"{element}_{line}": elements[element].Atomic_properties.Xray_lines[line].weight
        for element in dict.fromkeys(names)
        if element in elements
        for line in _lines_of(element)
    }
    within = signal._get_xray_lines_in_spectral_range(list(weights))[0]
    return {line: weights[line] for line in within}


def scattered_line(metadata: Any) -> float | None:
    """Return the energy of the line of an X-ray tube that samples scatter most, keV.

    Ka of the target, as exspy has it; La if the tube's voltage is too low for that; None if
    the target or the voltage is not known.
    """
    from exspy.material import elements

    target = metadata.get_item(f"{XRF}.tube_target")
    voltage = metadata.get_item(f"{XRF}.tube_voltage")
    is_known = isinstance(target, str) and target in elements
    if not is_known or voltage is None:
        return None
    lines = elements[target].Atomic_properties.Xray_lines
    for name in ("Ka", "La"):
        if name in lines and lines[name]["energy (keV)"] < voltage:
            return float(lines[name]["energy (keV)"])
    return None
