"""Axes and metadata of a set of data."""

from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.dates import parse_date, parse_time
from rsciio_xfm.core.eds import (
    ELECTRONS,
    ELEMENTS,
    MOST_SEM_KV,
    build_axis,
    order_axes,
    put,
)
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.hmsa.layout import (
    ELECTRON_PROBES,
    KEPT,
    OF_DETECTOR,
    OF_POSITION,
    OF_PROBE,
    OF_TIMES,
    PREFIXES,
    SIGNAL_TYPES,
    XEDS,
    XRAYS,
)
from rsciio_xfm.formats.hmsa.parse import (
    DataSet,
    Document,
    is_list,
    is_spectral,
    measured,
    numbers,
    tree,
)

_EVEN = 1e-6  # of a step, by which steps may differ on an even axis
_SEM = "Acquisition_instrument.SEM"


def describe(
    path: Path, document: Document, data_set: DataSet, is_one: bool
) -> dict[str, Any]:
    """Make a signal without its data.

    Parameters
    ----------
    path
        That was asked for.
    document, data_set
        From :mod:`rsciio_xfm.formats.hmsa.parse`.
    is_one
        Whether the pair holds no other: the title is that of the pair.
    """
    title = document.header("Title") or path.stem
    title = title if is_one else f"{title} {data_set.name}"
    spectral = is_spectral(data_set)
    n_channels = data_set.datum[0][1] if spectral else None
    detector = data_set.find("Detector", n_channels)
    kind = _signal_type(detector) if spectral else ""
    axes = _space(document, data_set)
    if n_channels is not None:
        where = f"{document.xml}: {data_set.name}"
        axes.append(_channels(where, detector, n_channels, kind == "EDS"))
    signal = _build(path, document, data_set, title, axes, kind)
    _add_microscope(signal["metadata"], document, data_set, detector)
    signal["original_metadata"] = {
        "Header": tree(document.root.find("Header")),
        "Conditions": tree(document.root.find("Conditions")),
        "Data": data_set.name,
    }
    return signal


def _signal_type(detector: Element | None) -> str:
    """Return ``EDS`` of X-rays, and the type of other spectra if there is one for them."""
    if detector is None:
        return ""
    kind = (detector.findtext("SignalType") or "").strip()
    if kind in XRAYS or (not kind and detector.get("Class") == XEDS):
        return "EDS"
    if kind:
        return SIGNAL_TYPES.get(kind, "")
    is_energy = (detector.findtext("./Calibration/Quantity") or "").strip() == "Energy"
    return "EDS" if is_energy else ""


# Axes.


def _space(document: Document, data_set: DataSet) -> list[dict[str, Any]]:
    """Describe all axes but that of the channels, slowest first."""
    acquisition = data_set.find("Acquisition")
    axes = []
    for name, size in reversed(data_set.collection):
        tag = "StepSize" if is_list(data_set) else f"{name}StepSize"
        step = measured(document, acquisition, tag, "um")
        step = step if step is not None and 0 < step < 1e9 else None
        label = "x" if is_list(data_set) else name.lower() or "axis"
        _check_count(document, acquisition, name, size)
        axes.append(build_axis(label, size, step, "µm", navigate=not data_set.is_image))
    if not is_spectral(data_set):
        for name, size in reversed(data_set.datum):
            label = name.lower() or "axis"
            axes.append(build_axis(label, size, None, None, navigate=False))
    return axes


def _check_count(
    document: Document, acquisition: Element | None, name: str, size: int
) -> None:
    """Say so if the raster was of another size."""
    text = None if acquisition is None else acquisition.findtext(f"{name}StepCount")
    count = meta.number(text)
    if count is not None and count != size:
        warn(
            f"{document.xml}: {name}StepCount is {count:g}, expected {size}, as the numbers "
            "have: check the sizes of the map."
        )


def _channels(
    where: str, detector: Element | None, n: int, is_energy: bool
) -> dict[str, Any]:
    """Describe the axis of the channels: of X-rays a straight one in keV."""
    node = None if detector is None else detector.find("Calibration")
    quantity = "" if node is None else (node.findtext("Quantity") or "").strip()
    unit = "" if node is None else (node.findtext("Unit") or "").strip()
    values = None if node is None else _calibrated(where, node, n)
    prefix = unit[:-2] if unit.endswith("eV") else None
    if values is not None and prefix in PREFIXES:
        values, unit = values * (PREFIXES[prefix] / PREFIXES["k"]), "keV"
    elif is_energy and values is not None:
        warn(f"{where}: the energies have the unit {unit!r:.40}, expected eV: left out.")
        values = None
    if is_energy:
        return meta.energy_axis(where, n, _line(where, values))
    name = quantity or "Channel"
    axis = build_axis(name, n, None, None, navigate=False)
    if values is None or n < 2:
        return axis
    scale = float(values[-1] - values[0]) / (n - 1)
    even = values[0] + scale * np.arange(n)
    if scale and np.abs(values - even).max() <= _EVEN * abs(scale):
        own = {"scale": meta.rounded(scale), "offset": meta.rounded(values[0])}
        return axis | own | {"units": unit or None}
    return {"name": name, "axis": values, "units": unit or None, "navigate": False}


@np.errstate(over="ignore", invalid="ignore")  # of what is refused here
def _calibrated(where: str, node: Element, n: int) -> np.ndarray | None:
    """Return what each channel stands for; None, with a warning, if that cannot be."""
    kind, channels = node.get("Class"), np.arange(n)
    if kind == "Constant":  # all channels are at one energy, or wavelength
        return None
    if kind == "Linear":
        gain, offset = (meta.number(node.findtext(tag)) for tag in ("Gain", "Offset"))
        values = (
            np.empty(0) if gain is None or offset is None else offset + gain * channels
        )
    elif kind == "Polynomial":  # the highest power first
        terms = numbers(node.findtext("Coefficients"))
        values = np.polyval(terms, channels) if terms.size else terms
    else:
        values = numbers(node.findtext("Values")) if kind == "Explicit" else np.empty(0)
    steps = np.diff(values)
    is_sound = values.size == n and np.isfinite(values).all()
    if not is_sound or not ((steps > 0).all() or (steps < 0).all()):
        warn(
            f"{where}: the calibration of the class {kind!r:.40} has {values.size} values or "
            f"is none, expected {n} that ascend: channels are numbered."
        )
        return None
    return values


def _line(where: str, energies: np.ndarray | None) -> tuple[float, float] | None:
    """Return the straight line nearest to energies, with a warning if they bend."""
    if energies is None:
        return None
    if energies.size < 2:
        return float(energies[0]), 1.0
    offset, scale, bent = meta.nearest_line(energies)
    meta.warn_of_bent(where, bent)
    return offset, scale


# Metadata.


def _build(
    path: Path,
    document: Document,
    data_set: DataSet,
    title: str,
    axes: list[dict[str, Any]],
    kind: str,
) -> dict[str, Any]:
    acquisition = data_set.find("Acquisition")
    real, live = (
        measured(document, acquisition, *OF_TIMES[name])
        for name in ("real_time", "live_time")
    )
    date = _date(document)
    if kind == "EDS":
        signal = meta.build_map(
            path,
            title,
            axes,
            real_time=real if real and real > 0 else None,
            live_time=live if live and live > 0 else None,
            date=date,
        )
        signal["metadata"].setdefault("Acquisition_instrument", {})
    else:
        metadata = {
            "General": meta.build_general(path, title, date),
            "Signal": {"signal_type": kind},
        }
        signal = {"axes": order_axes(axes), "metadata": metadata}
    general = signal["metadata"]["General"]
    for key, tag in (("authors", "Author"), ("time_zone", "Timezone")):
        if document.header(tag):
            general[key] = document.header(tag)
    day = parse_date(document.header("Date"))
    if date is None and day is not None:
        general["date"] = day.isoformat()
    return signal


def _date(document: Document) -> datetime | None:
    day, time = parse_date(document.header("Date")), parse_time(document.header("Time"))
    return None if day is None or time is None else datetime.combine(day, time)


def _add_microscope(
    metadata: dict[str, Any],
    document: Document,
    data_set: DataSet,
    detector: Element | None,
) -> None:
    """Put probe, detector, stage and sample where exspy looks for them."""
    probe = data_set.find("Probe")
    for name, (tag, unit) in OF_PROBE.items():
        value = measured(document, probe, tag, unit)
        if value is not None and value > 0:
            put(metadata, f"{_SEM}.{name}", value)
    for name, (tag, unit) in OF_DETECTOR.items():
        value = measured(document, detector, tag, unit)
        if value is not None and abs(value) <= 360:
            put(metadata, f"{_SEM}.Detector.EDS.{name}", value)
    acquisition = data_set.find("Acquisition")
    position = None if acquisition is None else acquisition.find("SpecimenPosition")
    for name, (tag, unit) in OF_POSITION.items():
        value = measured(document, position, tag, unit)
        if value is not None:
            put(metadata, f"{_SEM}.Stage.{name}", value)
    kept = {} if detector is None else _kept(detector)
    if probe is not None and probe.get("Class") in ELECTRON_PROBES:
        kept["source"] = ELECTRONS
        _choose_tem(metadata, probe)
    if kept:
        put(metadata, "Acquisition_instrument.XRF", kept)
    for path, value in _sample(data_set).items():
        put(metadata, f"Sample.{path}", value)


def _kept(detector: Element) -> dict[str, Any]:
    texts = {name: (detector.findtext(tag) or "").strip() for name, tag in KEPT.items()}
    return {"detector": detector.get("ID") or "detector"} | {
        name: text for name, text in texts.items() if text
    }


def _choose_tem(metadata: dict[str, Any], probe: Element) -> None:
    """Make X-ray spectra of a transmission microscope what exspy takes for these."""
    instrument = metadata.get("Acquisition_instrument", {}).get("SEM", {})
    beam = instrument.get("beam_energy", 0)
    is_tem = probe.get("Class") != "EM" or beam > MOST_SEM_KV
    if is_tem and metadata["Signal"]["signal_type"].startswith("EDS"):
        metadata["Signal"]["signal_type"] = "EDS_TEM"


def _sample(data_set: DataSet) -> dict[str, Any]:
    """Return description and elements of the sample."""
    found: dict[str, Any] = {}
    specimen = data_set.find("Specimen")
    name = "" if specimen is None else (specimen.findtext("Name") or "").strip()
    if name:
        found["description"] = name
    symbols = set()
    for node in data_set.conditions:
        z = meta.number(node.findtext("Element")) if node.tag == "ElementalID" else None
        if z is not None and z == int(z) and 0 < z < len(ELEMENTS):
            symbols.add(int(z))
    if symbols:
        found["elements"] = [str(ELEMENTS[z]) for z in sorted(symbols)]
    return found
