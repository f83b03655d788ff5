"""Metadata of Velox files in HyperSpy's form.

What is where in Velox's JSON: facts measured on files of versions 11 and 13. Angles are in
rad there, times in s, energies of channels in eV, lengths in m.
"""

import math
from datetime import UTC, datetime
from typing import Any

from rsciio_xfm._io.metadata import ELEMENTS
from rsciio_xfm.emd._parse import get, get_number

_EV_PER_KEV = 1000.0


def find_detector(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what a stream's or spectrum's metadata say of its detector; perhaps nothing."""
    result = metadata.get("BinaryResult")
    detectors = metadata.get("Detectors")
    found = get(detectors, f"Detector-{get(result, 'DetectorIndex')}")
    name = get(result, "Detector")
    if found is None or get(found, "DetectorName") not in (None, name):
        candidates = detectors.values() if isinstance(detectors, dict) else ()
        named = [d for d in candidates if get(d, "DetectorName") == name]
        found = named[0] if named else None
    return found if isinstance(found, dict) else {}


def energy_scale(metadata: dict[str, Any]) -> tuple[float, float] | None:
    """Return width and start of the channels in keV, None if they are not known."""
    detector = find_detector(metadata)
    width = get_number(detector, "Dispersion")
    start = get_number(detector, "OffsetEnergy")
    if width is None or start is None or width <= 0:
        return None
    return width / _EV_PER_KEV, start / _EV_PER_KEV


def detector_angles(metadata: dict[str, Any]) -> dict[str, float]:
    """Return elevation and azimuth of a detector in degrees, as exspy names them."""
    detector = find_detector(metadata)
    angles = {}
    for name, key in (
        ("elevation_angle", "ElevationAngle"),
        ("azimuth_angle", "AzimuthAngle"),
    ):
        value = get_number(detector, key)
        if value is not None and abs(value) <= 2 * math.pi:
            angles[name] = round(math.degrees(value), 3)
    return angles


def detector_times(metadata: dict[str, Any]) -> dict[str, float]:
    """Return live and real time of a detector in seconds, since the acquisition began."""
    detector = find_detector(metadata)
    times = {
        "live_time": get_number(detector, "LiveTime"),
        "real_time": get_number(detector, "RealTime"),
    }
    return {
        name: value for name, value in times.items() if value is not None and value >= 0
    }


def instrument(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what belongs into ``Acquisition_instrument.TEM``.

    Returns
    -------
    dict
        As RosettaSciIO has it: ``beam_energy`` in keV, ``camera_length`` in mm,
        ``magnification``, ``microscope``, and the stage's tilts in degrees and position in m.
    """
    tem: dict[str, Any] = {}

    def put(node: dict, name: str, factor: float, digits: int | None, *keys: str) -> None:
        value = get_number(metadata, *keys)
        if value is not None and math.isfinite(value * factor):
            value *= factor
            node[name] = value if digits is None else round(value, digits)

    put(tem, "beam_energy", 1e-3, None, "Optics", "AccelerationVoltage")
    put(tem, "camera_length", 1e3, None, "Optics", "CameraLength")
    put(tem, "magnification", 1, None, "CustomProperties", "StemMagnification", "value")
    name = get(metadata, "Instrument", "InstrumentClass")
    if isinstance(name, str):
        tem["microscope"] = name
    stage: dict[str, Any] = {}
    put(stage, "tilt_alpha", math.degrees(1), 3, "Stage", "AlphaTilt")
    put(stage, "tilt_beta", math.degrees(1), 3, "Stage", "BetaTilt")
    for axis in "xyz":
        put(stage, axis, 1, 6, "Stage", "Position", axis)
    return tem | ({"Stage": stage} if stage else {})


def start_of_acquisition(metadata: dict[str, Any]) -> dict[str, str]:
    """Return date, time and time zone, local as RosettaSciIO has them."""
    seconds = get_number(metadata, "Acquisition", "AcquisitionStartDatetime", "DateTime")
    try:
        moment = datetime.fromtimestamp(seconds, tz=UTC).astimezone()
    except (OSError, OverflowError, TypeError, ValueError):
        return {}
    return {
        "date": moment.date().isoformat(),
        "time": moment.time().isoformat(),
        "time_zone": moment.tzname() or "",
    }


def chosen_elements(version: int, tree: dict[str, Any]) -> list[str] | None:
    """Return the elements that were chosen in Velox, None if nothing is said of them."""
    if version >= 11:
        settings = get(tree, "SharedProperties", "EDSSpectrumQuantificationSettings")
    else:
        settings = get(tree, "Operations", "ImageQuantificationOperation")
    if not isinstance(settings, dict) or not settings:
        return None
    chosen = get(next(iter(settings.values())), "elementSelection")
    elements = []
    for item in chosen if isinstance(chosen, list) else ():
        number = get_number({"Z": item}, "Z")
        if number is not None and 1 <= number < len(ELEMENTS):
            elements.append(ELEMENTS[int(number)])
    return elements
