"""What the header and the dead times of a ``.GeoPIXE`` file say of a signal that is saved."""

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.dates import parse_date, parse_time
from rsciio_xfm.core.dead_time import combine_dead_time, is_recorded
from rsciio_xfm.core.eds import REAL_TIME
from rsciio_xfm.core.tree import get
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.geopixe.header import (
    DETECTOR,
    dump_header,
    edit_header,
    keep_detectors,
)
from rsciio_xfm.formats.geopixe.parse import (
    FILE,
    HEADER_TEXT,
    SOURCE,
    TIMESTAMP,
    is_number,
    parse_tree,
)

_MM = {"m": 1e3, "cm": 10.0, "mm": 1.0, "µm": 1e-3, "μm": 1e-3, "um": 1e-3, "nm": 1e-6}
_EV = {"eV": 1.0, "keV": 1e3, "MeV": 1e6}
_SAME = 1e-6  # relative difference of numbers that say the same


def build_header(path: Path, signal: dict[str, Any], axes: list[dict[str, Any]]) -> str:
    """Return the header that was loaded, or a new one, with what is different now.

    Parameters
    ----------
    path
        Of the file that is written, for messages.
    signal
        Dictionary of a signal.
    axes
        Of it, in the order of the array's axes.
    """
    metadata = signal["metadata"]
    text = _find_text(path, signal.get("original_metadata", {}))
    tree = parse_tree(text.encode("utf-8"), path)
    n_detectors = axes[0]["size"] if len(axes) == 4 else 1
    text = _arrange_detectors(text, tree, metadata, axes)
    y, x, energy = axes[-3:]
    # exspy moves the node when a signal becomes one of a TEM.
    node = "SEM" if _get(metadata, "SEM") else "TEM"
    real_time = _get(metadata, node, "Detector", "EDS", "real_time")
    wanted = {
        FILE: {
            "Timestamp": _format_time(path, metadata, tree),
            "Dwell (mS)": _times(real_time, 1e3),
            "Xres": x["size"],
            "Yres": y["size"],
            "Width (mm)": _times(_step(path, x, _MM), x["size"]),
            "Height (mm)": _times(_step(path, y, _MM), y["size"]),
            "Dets": n_detectors,
            "Chan": energy["size"],
            "Gain (eV)": _step(path, energy, _EV),
        },
        SOURCE: {"KV": _times(_get(metadata, node, "beam_energy"), 1.0)},
    }
    changes = {}
    for section, fields in wanted.items():
        held = tree.get(section)
        held = held if isinstance(held, dict) else {}
        changes[section] = {
            name: value
            for name, value in fields.items()
            if not _says(tree, held.get(name), name, value)
        }
    # A field that is added comes first: so that new ones come in this order.
    changes = {
        s: dict(reversed(fields.items())) for s, fields in changes.items() if fields
    }
    return edit_header(text, changes)


def _find_text(path: Path, original: dict[str, Any]) -> str:
    """Return the header that was loaded, if the metadata still say what it says."""
    text = original.get(HEADER_TEXT)
    tree = {key: value for key, value in original.items() if key != HEADER_TEXT}
    if isinstance(text, str):
        try:
            held = parse_tree(text.encode("utf-8"), path)
            if _as_text(held) == _as_text(_plain(tree)):
                return text
        except (TypeError, ValueError):  # somebody changed it
            pass
    if isinstance(tree.get(FILE), dict):
        try:
            return dump_header(_plain(tree))
        except TypeError as exc:
            raise TypeError(f"{path}: original_metadata: {exc}, expected text.") from exc
    return "{\n\t" + f'"{FILE}": {{\n\t}},\n\t"{SOURCE}": {{\n\t}}\n' + "}"


def _as_text(tree: dict[str, Any]) -> str:
    """Return what two trees can be compared by; in this, NaN is NaN."""
    return json.dumps(tree, sort_keys=True)


def _plain(value: Any) -> Any:
    """Turn what metadata hold, perhaps loaded from a file, into what JSON gives."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return value


def _arrange_detectors(
    text: str, tree: dict[str, Any], metadata: dict[str, Any], axes: list[dict[str, Any]]
) -> str:
    """Leave the entries of the detectors that are written, in their order."""
    entries = tree.get(DETECTOR, [])
    if len(axes) == 4:
        # The axis counts them, however it was cropped or reversed.
        axis = axes[0]
        kept = [axis["offset"] + axis["scale"] * i for i in range(axis["size"])]
    else:
        kept = _plain(_get(metadata, "XRF", "detectors")) or []
        if len(kept) != 1:  # the sum of several
            return text
    numbers = [round(number) for number in kept]
    if numbers != kept or not set(numbers) <= set(range(len(entries))):
        return text
    return keep_detectors(text, numbers, len(entries))


def _get(metadata: dict[str, Any], *names: str) -> Any:
    return get(metadata, "Acquisition_instrument", *names)


def _times(value: Any, factor: float) -> float | None:
    value = _plain(value)
    return float(value * factor) if is_number(value) else None


def _step(path: Path, axis: dict[str, Any], units: dict[str, float]) -> float | None:
    """Return the step of an axis in the header's unit, None if it is not calibrated."""
    factor = units.get(str(axis["units"]))
    if factor is None:
        if axis["scale"] != 1:
            warn(
                f"{path}: the unit of {axis['name']} is {axis['units']!s:.40}, expected one "
                f"of {', '.join(units)}: its step is not written."
            )
        return None
    return float(axis["scale"] * factor)


def _says(tree: dict[str, Any], held: Any, name: str, value: Any) -> bool:
    """Tell whether a field of the header may stay as it is."""
    if value is None:
        # What is not known any more must go, if it would be taken for a number.
        return name == "Timestamp" or not (is_number(held) and held > 0)
    if name == "Dets" and held is None and tree.get(FILE):
        # Of a header without it the entries were counted.
        held = len(tree.get(DETECTOR, [])) or 1
    if is_number(held) and is_number(value):
        return math.isclose(held, value, rel_tol=_SAME)
    return held == value


def _format_time(
    path: Path, metadata: dict[str, Any], tree: dict[str, Any]
) -> str | None:
    """Return the date and time, unless the header's says the same."""
    general = metadata.get("General", {})
    day, hour = (str(general.get(name) or "") for name in ("date", "time"))
    date, time = parse_date(day), parse_time(hour)
    if date is None or time is None:
        if day or hour:
            warn(
                f"{path}: General.date is {day!r} and General.time {hour!r}, expected one day "
                "and one time, as 2009-03-12 and 12:00:00: they are not written."
            )
        return None
    moment = datetime.combine(date, time).replace(second=0, microsecond=0)
    held = tree.get(FILE, {}).get("Timestamp")
    try:
        if datetime.strptime(held, TIMESTAMP) == moment:
            return held
    except (TypeError, ValueError):
        pass
    # Names of locales must not get into the file.
    half = "am" if moment.hour < 12 else "pm"
    return f"{moment:%m/%d/%Y} at {moment:%I:%M} {half}"


def find_dead_time(
    path: Path, metadata: dict[str, Any], shape: tuple[int, ...]
) -> np.ndarray:
    """Return the dead times of the records, float32, (detector, y, x)."""
    carried = _get(metadata, "SEM", "Detector", "EDS", "_sig_dead_time")
    if carried is None:
        return np.full(shape, _mean_dead_time(path, metadata), dtype=np.float32)
    values = np.asarray(carried["data"])
    if carried["metadata"]["Signal"].get("has_detectors", False) and len(values) > 1:
        is_known = (is_recorded(values) | np.isnan(values)).all(axis=0)
        mean = combine_dead_time(values, axis=(0,))
        # One that was not recorded leaves the mean unknown.
        values = np.where(is_known | np.isnan(mean), mean, 0)
    return np.asarray(values, dtype=np.float32).reshape(shape)


def _mean_dead_time(path: Path, metadata: dict[str, Any]) -> float:
    """Return the dead time that live and real time give, 0 without these."""
    node = "SEM" if _get(metadata, "SEM") else "TEM"
    real, live = (
        _get(metadata, node, "Detector", "EDS", f"{kind}_time")
        for kind in ("real", "live")
    )
    if live is not None and not real:
        warn(
            f"{path}: the live time of the spectra is not saved: the format has dead times "
            "and the real time of a spectrum, which is not known. Set metadata."
            f"{REAL_TIME} (s, of one spectrum) to keep it."
        )
    is_known = live is not None and real and 0 < live <= real
    return 100 * (1 - live / real) if is_known else 0.0
