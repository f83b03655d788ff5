"""What the file says of a map, and its counts, as plain text."""

import platform
from importlib import metadata
from typing import Any

import numpy as np

from rsciio_xfm._register import read_specifications
from rsciio_xfm.core.eds import DETECTOR_NODES, PER_KEV, XRF
from rsciio_xfm.drawing.lengths import METRES
from rsciio_xfm.report.content import Content
from rsciio_xfm.report.texts import TIMES, length, seconds, show
from rsciio_xfm.signals.excitation import has_excitation
from rsciio_xfm.signals.timekeeping import times_of

_NODES = ("Acquisition_instrument.SEM", "Acquisition_instrument.TEM", XRF)
_PACKAGES = (
    "rsciio_xfm", "hyperspy", "exspy", "rosettasciio", "numpy", "dask", "numba",
    "matplotlib", "xraylib", "scikit-learn",
)  # fmt: skip
Fact = tuple[str, str]


def title_of(content: Content) -> str:
    """Return what the report is called."""
    said = str(content.source.signal.metadata.get_item("General.title", "")).strip()
    path = content.source.path
    if path is None:
        return said or "Map of X-ray spectra"
    if path.stem in said:
        return said
    # Programs give the same name, such as EDX, to each map that they save.
    return f"{path.stem}: {said}" if said else path.name


def facts_of(content: Content) -> list[Fact]:
    """Return what the file says of a map, and its counts: names and values."""
    rows = [
        ("File", _file(content)),
        ("Format", _format(content)),
        ("Measured", _date(content)),
        ("Instrument", _instrument(content)),
        ("Source", _source(content)),
        ("Size", _size(content)),
        ("Time per pixel", _times(content)),
        ("Detectors", _detectors(content)),
        ("Channels", _channels(content)),
        ("Counts", _counts(content)),
    ]
    return [(name, value) for name, value in rows if value]


def get_item(content: Content, name: str) -> Any:
    """Return what the metadata of the map say, or None."""
    return content.source.signal.metadata.get_item(name)


def _of_instrument(content: Content, *names: str) -> list[str]:
    """Return what the metadata say of some names, wherever an instrument has them."""
    found = [get_item(content, f"{node}.{name}") for name in names for node in _NODES]
    texts = [str(value).strip() for value in found if value not in (None, "")]
    return list(dict.fromkeys(text for text in texts if text))


def _file(content: Content) -> str:
    path = content.source.path
    if path is None:
        return str(get_item(content, "General.original_filename") or "none: of a signal")
    files = [path]
    if path.suffix.lower() == ".rpl":
        beside = (path.with_suffix(".raw"), path.with_suffix(".RAW"))
        files += [counts for counts in beside if counts.is_file()][:1]
    return " and ".join(f"{one.name}, {_bytes(one.stat().st_size)}" for one in files)


def _bytes(size: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _format(content: Content) -> str:
    plugin = str(get_item(content, "General.FileIO.0.io_plugin") or "")
    for one in read_specifications():
        if one["api"] == plugin:
            return str(one["name"])
    return plugin


def _date(content: Content) -> str:
    parts = [
        get_item(content, f"General.{name}") for name in ("date", "time", "time_zone")
    ]
    return " ".join(str(part) for part in parts if part) or "not recorded"


def _instrument(content: Content) -> str:
    names = "microscope", "instrument", "manufacturer", "model"
    found = _of_instrument(content, *names)
    for node in DETECTOR_NODES:
        found.append(str(get_item(content, f"{node}.detector_type") or ""))
    return ", ".join(filter(None, found)) or "not recorded"


def _source(content: Content) -> str:
    """Return what excites the sample, and who says so."""
    if not isinstance(content.fitted, str):
        own = content.fitted.model.excitation
        if own is not None:
            return f"{own}, {who_says(content)}"
    if content.asked.excitation is not None:
        return str(content.asked.excitation)
    energy = _of_instrument(content, "beam_energy")
    anode = _of_instrument(content, "tube_target")
    return " ".join([*anode[:1], *(f"{e} kV" for e in energy[:1])]) or "not recorded"


def who_says(content: Content) -> str:
    """Return who says what excites the sample."""
    if content.asked.excitation is not None:
        return "as it was given"
    if has_excitation(content.source.signal):
        return "as the file says"
    return "which was assumed: the file does not say it"


def _size(content: Content) -> str:
    axes = content.source.signal.axes_manager.navigation_axes
    if not axes:
        return "one spectrum"
    pixels = TIMES.join(str(axis.size) for axis in axes)
    text = f"{pixels} pixels"
    steps = [_mm(axis) for axis in axes]
    if any(step is None for step in steps):
        return f"{text}; how large a pixel is, the file does not say"
    lengths = [abs(s or 0) * a.size for s, a in zip(steps, axes, strict=True)]
    each = TIMES.join(dict.fromkeys(length(abs(step or 0)) for step in steps))
    unit, per_mm = ("mm", 1.0) if max(lengths) >= 1 else ("µm", 1e3)
    whole = TIMES.join(f"{per_mm * one:.4g}" for one in lengths)
    return f"{text}, {whole} {unit}; a pixel is {each}"


def _mm(axis: Any) -> float | None:
    metres = METRES.get(axis.units) if isinstance(axis.units, str) else None
    return None if metres is None or not axis.is_uniform else 1000 * metres * axis.scale


def _times(content: Content) -> str:
    own = times_of(content.source.signal)
    parts = []
    if own.real is not None:
        parts.append(f"{seconds(own.real)} real time")
    if own.live is not None:
        parts.append(f"{seconds(own.live)} live time")
    n_detectors = get_item(content, f"{XRF}.n_detectors")
    several = isinstance(n_detectors, int) and n_detectors > 1
    of = f", on average, of {n_detectors} detectors together" if several else ""
    return " and ".join(parts) + of if parts else "not recorded"


def _detectors(content: Content) -> str:
    numbers = get_item(content, f"{XRF}.detectors")
    n_detectors = get_item(content, f"{XRF}.n_detectors")
    if isinstance(numbers, list) and numbers:
        listed = ", ".join(map(str, numbers))
        if len(numbers) > 1:
            return f"{len(numbers)}, added up (numbers {listed})"
        return f"number {listed}"
    return f"{n_detectors}" if n_detectors else ""


def _channels(content: Content) -> str:
    (axis,) = content.source.signal.axes_manager.signal_axes
    if axis.units not in PER_KEV:
        return f"{axis.size}, of unknown energies"
    if not axis.is_uniform:
        return f"{axis.size}, {axis.axis[0]:.4g} to {axis.axis[-1]:.4g} {axis.units}"
    ev = 1000 * axis.scale / PER_KEV[axis.units]
    ends = f"{axis.low_value:.4g} to {axis.high_value:.4g} {axis.units}"
    return f"{axis.size} of {ev:.4g} eV, {ends}"


def _counts(content: Content) -> str:
    whole = float(np.asarray(content.total.data, dtype=float).sum())
    if content.counts is None:
        return show(whole)
    image = np.asarray(content.counts.data)
    each = f"{show(image.mean(dtype=float))} a pixel on average"
    return f"{show(whole)} in all, {each}, {show(image.min())} to {show(image.max())}"


def versions() -> str:
    """Return the versions of Python and of the packages that the results come from."""
    found = [f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)
