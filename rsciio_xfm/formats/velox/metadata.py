"""Metadata of Velox files in HyperSpy's form.

What is where in Velox's JSON: facts measured on files of versions 4, 6, 11 and 13. Angles
are in rad there, times in s, energies of channels in eV, lengths in m.
"""

import math
from datetime import UTC, datetime
from typing import Any

from rsciio_xfm.core.eds import ELEMENTS
from rsciio_xfm.core.tree import get
from rsciio_xfm.formats.velox.parse import get_number

_EV_PER_KEV = 1000.0


def find_detectors(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a stream's or spectrum's metadata say of its detector; perhaps nothing.

    In format version 4 one stream holds the counts of a group of detectors: it is named
    ``SuperXG2``, they are ``SuperXG21`` to ``SuperXG24``. Then all of them are returned.
    """
    result = metadata.get("BinaryResult")
    detectors = metadata.get("Detectors")
    found = get(detectors, f"Detector-{get(result, 'DetectorIndex')}")
    name = get(result, "Detector")
    if isinstance(found, dict) and get(found, "DetectorName") in (None, name):
        return [found]
    candidates = detectors.values() if isinstance(detectors, dict) else ()
    named = [d for d in candidates if isinstance(get(d, "DetectorName"), str)]
    exact = [d for d in named if d["DetectorName"] == name]
    if exact or not isinstance(name, str) or not name:
        return exact[:1]
    return [d for d in named if d["DetectorName"].startswith(name)]


def energy_scales(metadata: dict[str, Any]) -> list[tuple[float, float]]:
    """Return width and start of the channels in keV, of each detector that has others."""
    scales = []
    for detector in find_detectors(metadata):
        width = get_number(detector, "Dispersion")
        start = get_number(detector, "OffsetEnergy")
        if width is not None and start is not None and width > 0:
            scales.append((width / _EV_PER_KEV, start / _EV_PER_KEV))
    return list(dict.fromkeys(scales))


def energy_scale(metadata: dict[str, Any]) -> tuple[float, float] | None:
    """Return width and start of the channels in keV, None if they are not known."""
    return next(iter(energy_scales(metadata)), None)


def detector_angles(metadata: dict[str, Any]) -> dict[str, float]:
    """Return elevation and azimuth of a detector in degrees, as exspy names them."""
    angles = {}
    for name, key in (
        ("elevation_angle", "ElevationAngle"),
        ("azimuth_angle", "AzimuthAngle"),
    ):
        values = {get_number(detector, key) for detector in find_detectors(metadata)}
        # Detectors around the sample have no azimuth together.
        value = values.pop() if len(values) == 1 else None
        if value is not None and abs(value) <= 2 * math.pi:
            angles[name] = round(math.degrees(value), 3)
    return angles


def detector_times(metadata: dict[str, Any]) -> dict[str, float]:
    """Return live and real time of a detector in seconds, since the acquisition began.

    Nothing for a group of detectors: nothing says whether their times are those of each.
    """
    found = find_detectors(metadata)
    detector = found[0] if len(found) == 1 else {}
    times = {
        "live_time": get_number(detector, "LiveTime"),
        "real_time": get_number(detector, "RealTime"),
    }
    return {
        name: value for name, value in times.items() if value is not None and value >= 0
    }


def frame_times(metadata: dict[str, Any], n_spectra: int) -> dict[str, float]:
    """Return the times of a detector when a frame was over, see :func:`detector_times`.

    Returns
    -------
    dict
        Empty where they are much shorter than the beam dwelt on the pixels: up to format
        version 6 those of all frames but the last are of a moment.
    """
    times = detector_times(metadata)
    dwell = get_number(metadata, "Scan", "DwellTime")
    real = times.get("real_time")
    if dwell is not None and real is not None and real < n_spectra * dwell / 2:
        return {}
    return times


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
    if seconds is None:
        return {}
    try:
        moment = datetime.fromtimestamp(seconds, tz=UTC).astimezone()
    except (OSError, OverflowError, ValueError):
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
        if number is None or not 1 <= number < len(ELEMENTS):
            continue
        if (symbol := ELEMENTS[int(number)]) is not None:
            elements.append(symbol)
    return elements
