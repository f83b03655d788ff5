"""Metadata and the axis of a spectrum, from its keywords."""

import re
from typing import Any

import numpy as np

from rsciio_xfm.core.dates import parse_date, parse_time
from rsciio_xfm.core.eds import put
from rsciio_xfm.formats.msa import layout
from rsciio_xfm.formats.msa.parse import Spectrum, follows

_TYPE_NAME = re.compile(r"[A-Za-z][\w-]{0,31}", re.ASCII)
_FACTORS = {"k": 1e3, "": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "p": 1e-12}
_SECONDS = ("sec", "secs", "second", "seconds")
_ELECTRONVOLTS = {"ev": 1.0, "kev": 1000.0}
_EVEN = 0.01  # of a step, between energies that are written with few digits


def build_metadata(spectrum: Spectrum) -> dict[str, Any]:
    """Return metadata as RosettaSciIO makes them, with what our own keywords say.

    Parameters
    ----------
    spectrum
        What the file holds; what cannot be read is added to its problems.
    """
    metadata: dict[str, Any] = {}
    signal_type = find_signal_type(spectrum)
    instrument = "TEM" if signal_type != "EDS_XFM" else "SEM"
    for name, value in spectrum.keywords.items():
        path = _find_path(spectrum.names[name][0], instrument)
        if path is not None and value is not None and str(value):
            _put_value(metadata, path, name, value, spectrum)
    if spectrum.keywords.get("TITLE"):
        put(metadata, "General.title", spectrum.keywords["TITLE"])
    for name, text in find_moment(spectrum).items():
        put(metadata, f"General.{name}", text)
    put(metadata, "Signal.signal_type", signal_type)
    quantity = _build_quantity(spectrum.keywords, signal_type)
    if quantity:
        put(metadata, "Signal.quantity", quantity)
    return metadata


def _find_path(keyword: str, instrument: str) -> str | None:
    if keyword == layout.THICKNESS:
        return layout.THICKNESS_PATH
    path = layout.OF_INSTRUMENT.get(keyword)
    return None if path is None else f"Acquisition_instrument.{instrument}.{path}"


def _put_value(
    metadata: dict[str, Any], path: str, name: str, value: Any, spectrum: Spectrum
) -> None:
    """Set an item, and its units beside it where the file has them as RosettaSciIO does."""
    keyword, units = spectrum.names[name]
    if isinstance(value, str) and keyword in layout.NUMBERS:
        return  # no number, which was said
    behind = (spectrum.units.get(name) or "").partition(" ")[0]
    factor = _find_factor(units or behind, layout.UNITS.get(keyword))
    if factor is None:
        if units:
            spectrum.problems.append(
                f"#{keyword} is in {units:.40}, expected {layout.UNITS[keyword]}"
            )
        factor = 1.0
    elif factor != 1 and units:
        units = layout.UNITS[keyword]
    put(metadata, path, value * factor if factor != 1 else value)
    if units is not None:
        put(metadata, f"{path}_units", units)


def _find_factor(units: str, expected: str | None) -> float | None:
    """Return what a number in some units is multiplied with; None if it is of another kind."""
    if not units or expected is None:
        return 1.0
    found, own = (_split_prefix(text) for text in (units, expected))
    if found is None or own is None or found[1] != own[1]:
        return 1.0 if units.lower() == expected.lower() else None
    return 1.0 if found[0] == own[0] else _FACTORS[found[0]] / _FACTORS[own[0]]


def _split_prefix(units: str) -> tuple[str, str] | None:
    """Return the prefix of units, and what is behind it: V, A, s, m."""
    text = "s" if units.lower() in _SECONDS else units.replace("eV", "V")
    found = re.fullmatch(r"([kmuµnp]?)([VAsm])", text)
    return None if found is None else (found[1], found[2])


def find_moment(spectrum: Spectrum) -> dict[str, str]:
    """Return date and time as metadata have them, as far as there are any.

    Parameters
    ----------
    spectrum
        What the file holds; what is not understood is added to its problems.
    """
    moment = {}
    readings = (
        ("DATE", layout.OWN_DATE, parse_date),
        ("TIME", layout.OWN_TIME, parse_time),
    )
    for keyword, own, parse in readings:
        text = str(spectrum.keywords.get(keyword) or "")
        found = parse(text) if text else None
        if spectrum.own.get(own):
            moment[keyword.lower()] = spectrum.own[own]
        elif found is not None:
            moment[keyword.lower()] = found.isoformat()
        elif text:
            spectrum.problems.append(
                f"#{keyword} is {text!r:.40}, which is not understood and in "
                f"original_metadata.{keyword} only"
            )
    return moment


def find_signal_type(spectrum: Spectrum) -> str:
    """Return HyperSpy's type of a spectrum; see :func:`find_moment`."""
    own = spectrum.own.get(layout.OWN_SIGNAL, "")
    if _TYPE_NAME.fullmatch(own):
        return own
    keyword = str(spectrum.keywords.get("SIGNALTYPE") or "")
    if keyword.upper() not in ("", *layout.KNOWN_SIGNAL_TYPES):
        spectrum.problems.append(
            f"#SIGNALTYPE is {keyword!r:.40}, expected one of "
            f"{', '.join(layout.KNOWN_SIGNAL_TYPES)}"
        )
    if keyword.upper() == "EDS":
        beam = number_of(spectrum, "BEAMKV") or 0.0
        return "EDS_TEM" if beam > layout.MOST_OF_SEM else "EDS_SEM"
    return layout.SIGNAL_TYPES.get(keyword.upper(), "")


def number_of(spectrum: Spectrum, keyword: str) -> float | None:
    """Return the number of a keyword in the units of the standard; None if there is none.

    Parameters
    ----------
    spectrum
        What the file holds.
    keyword
        In capitals, without units, as they may stand behind it: ``#LIVETIME  -ms``.
    """
    for name, value in spectrum.keywords.items():
        own, units = spectrum.names[name]
        if own == keyword and isinstance(value, float):
            behind = (spectrum.units.get(name) or "").partition(" ")[0]
            factor = _find_factor(units or behind, layout.UNITS.get(keyword))
            return value * (factor or 1.0)
    return None


def _build_quantity(keywords: dict[str, Any], signal_type: str) -> str:
    units = f"({keywords['YUNITS']})" if keywords.get("YUNITS") else ""
    if "YLABEL" in keywords:
        return f"{keywords['YLABEL']} {units}".strip()
    of_type = {"EELS": "Electrons"}.get(signal_type, "")
    if "EDS" in signal_type:
        of_type = "X-rays"
    return f"{of_type} {units or (of_type and '(Counts)')}".strip()


# Axis -----------------------------------------------------------------------------------


def build_axis(spectrum: Spectrum) -> dict[str, Any]:
    """Return the axis of energies: the header's, or that of the data where they have another.

    Parameters
    ----------
    spectrum
        What the file holds; contradictions are added to its problems.
    """
    keywords = spectrum.keywords
    size = len(spectrum.tokens)
    units = str(keywords.get("XUNITS") or "")
    calibration, units = _calibrate(spectrum, units)
    axis: dict[str, Any] = {
        "size": size,
        "index_in_array": 0,
        "name": str(keywords.get("XLABEL") or ""),
        "scale": calibration[0],
        "offset": calibration[1],
        "units": units,
        "navigate": False,
    }
    x = spectrum.energies
    if x is None or size < 2:
        return axis
    is_said = keywords.get("XPERCHAN") not in (None, "")
    is_uneven = spectrum.own.get(layout.OWN_AXIS) == layout.UNEVEN
    if is_said and not is_uneven and follows(x, axis["scale"], axis["offset"]):
        return axis
    return _axis_of_data(axis, x, is_said and not is_uneven, spectrum.problems)


def _axis_of_data(
    axis: dict[str, Any], x: np.ndarray, is_said: bool, problems: list[str]
) -> dict[str, Any]:
    with np.errstate(all="ignore"):
        steps = np.diff(x)
    if not np.all(np.isfinite(x)) or not (np.all(steps > 0) or np.all(steps < 0)):
        problems.append("the energies neither rise nor fall from line to line: left out")
        return axis
    if is_said:
        problems.append("the energies are others than #XPERCHAN and #OFFSET say: taken")
    scale = float((x[-1] - x[0]) / (x.size - 1))
    line = x[0] + scale * np.arange(x.size)
    if np.all(np.abs(x - line) < _EVEN * abs(scale)):
        return axis | {"scale": scale, "offset": float(x[0])}
    others = {k: v for k, v in axis.items() if k not in ("scale", "offset")}
    return others | {"axis": x}


def _calibrate(spectrum: Spectrum, units: str) -> tuple[list[float], str]:
    """Return scale and offset in the units of the axis, and these."""
    found = []
    for keyword, default in (("XPERCHAN", 1.0), ("OFFSET", 0.0)):
        value = spectrum.keywords.get(keyword)
        behind = (spectrum.units.get(keyword) or "").partition(" ")[0]
        if behind.lower() in _ELECTRONVOLTS:
            units = units or behind
        if not isinstance(value, float) or not np.isfinite(value):
            value = default
        elif units.lower() in _ELECTRONVOLTS and behind.lower() in _ELECTRONVOLTS:
            factor = _ELECTRONVOLTS[behind.lower()] / _ELECTRONVOLTS[units.lower()]
            value = value if factor == 1 else value * factor
        found.append(value)
    if found[0] == 0:
        spectrum.problems.append("#XPERCHAN is 0, expected the width of a channel")
        found = [1.0, 0.0]
    return found, units
