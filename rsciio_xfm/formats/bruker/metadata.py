"""Metadata of ``.bcf`` maps, as RosettaSciIO has them and exspy wants them."""

from pathlib import Path
from typing import Any

from rsciio_xfm.core.eds import ELEMENTS, MOST_SEM_KV, SIGNAL_TYPE
from rsciio_xfm.core.xrf import clean, number
from rsciio_xfm.formats.bruker.parse import Header, Spectrum

_TITLE = "EDX"  # as of RosettaSciIO
_MOST_KV = 3000.0
# Names in metadata.Acquisition_instrument.XRF for keys of the header of a tube.
_TUBE_ITEMS = {
    "tube_voltage": "Voltage",  # kV
    "tube_current": "Current",  # µA
    "tube_type": "TubeType",
    "tube_take_off_angle": "TubeTakeOffAngle",  # degrees
    "optic": "Optic",
    "spot_size": "SpotSize",  # µm
    "incidence_angle": "ExcitationAngle",  # degrees
    "take_off_angle": "DetectionAngle",  # degrees
    "atmosphere": "Atmosphere",
    "chamber_pressure": "ChamberPressure",  # mbar
}


def instrument_of(header: Header, spectrum: Spectrum, given: str | None) -> str:
    """Return ``"SEM"``, ``"TEM"`` or ``"XRF"``, which nothing in the file says.

    Notes
    -----
    As RosettaSciIO does: a beam of more than 30 kV is that of a TEM. An X-ray tube is neither.
    """
    if given is not None:
        return given
    if spectrum.tube:
        return "XRF"
    volts = number(header.microscope.get("HV"))
    return "TEM" if volts is not None and volts > MOST_SEM_KV else "SEM"


def _kilovolts(value: Any) -> float | None:
    """Return a voltage that a beam or a tube may have, or None."""
    found = number(value)
    return found if found is not None and 0 < found <= _MOST_KV else None


def build_metadata(
    path: Path,
    header: Header,
    spectrum: Spectrum,
    instrument: str,
    detector: dict[str, Any],
) -> dict[str, Any]:
    """Describe a map.

    Parameters
    ----------
    path, header, spectrum
        The file, and what it says.
    instrument
        From :func:`instrument_of`.
    detector
        Times of the spectra, for ``Detector.EDS``.
    """
    is_xrf = instrument == "XRF"
    node: dict[str, Any] = {}
    beam = _kilovolts(spectrum.analysis.get("PrimaryEnergy"))
    beam = _kilovolts(spectrum.tube.get("Voltage")) if spectrum.tube else beam
    beam = _kilovolts(header.microscope.get("HV")) if beam is None else beam
    if beam is not None:
        node["beam_energy"] = beam
    if "Mag" in header.microscope:
        node["magnification"] = header.microscope["Mag"]
    node["Detector"] = {"EDS": _describe_detector(spectrum) | detector}
    nodes = {"SEM" if is_xrf else instrument: node}
    if is_xrf:
        nodes["XRF"] = describe_tube(spectrum)
    general = {"original_filename": path.name, "title": _TITLE}
    if header.date is not None:
        general["date"] = header.date.date().isoformat()
        general["time"] = header.date.time().isoformat()
    lines = (f"{name}_{_line(line)}" for name, line in header.elements.items())
    return {
        "General": general,
        "Sample": {
            "name": header.name,
            "elements": sorted(header.elements),
            "xray_lines": sorted(lines),
        },
        "Signal": {
            "signal_type": SIGNAL_TYPE if is_xrf else f"EDS_{instrument}",
            "quantity": "X-rays (Counts)",
        },
        "Acquisition_instrument": nodes,
    }


def build_original(header: Header, spectrum: Spectrum) -> dict[str, Any]:
    """Return the trees of the header that RosettaSciIO keeps, and that of a tube."""
    original = {
        "Hardware": spectrum.hardware,
        "Detector": spectrum.detector,
        "Analysis": spectrum.analysis,
        "Spectrum": spectrum.spectrum,
        "DSP Configuration": header.scan,
        "Line counter": header.line_counter,
        "Stage": header.stage,
        "Microscope": header.microscope,
    }
    original = {
        key: clean(v) if isinstance(v, dict) else v for key, v in original.items()
    }
    return original | ({"Tube": clean(spectrum.tube)} if spectrum.tube else {})


def build_mapping(instrument: str) -> dict[str, tuple[str, None]]:
    """Return which original metadata of the stage HyperSpy takes over."""
    node = f"Acquisition_instrument.{'SEM' if instrument == 'XRF' else instrument}.Stage"
    names = {"Rotation": "rotation", "Tilt": "tilt_alpha", "X": "x", "Y": "y", "Z": "z"}
    return {f"Stage.{key}": (f"{node}.{name}", None) for key, name in names.items()}


def describe_tube(spectrum: Spectrum) -> dict[str, Any]:
    """Return what is known of an X-ray tube and its optics."""
    tube = spectrum.tube
    found = {name: tube[key] for name, key in _TUBE_ITEMS.items() if key in tube}
    anode = number(tube.get("Anode"))
    if anode is not None and 0 < anode < len(ELEMENTS):
        found["tube_target"] = ELEMENTS[int(anode)]
    found["tube_filter"] = _filter(tube.get("ExcitationFilter"))
    found |= _layers(spectrum)
    return clean({name: value for name, value in found.items() if value is not None})


def _layers(spectrum: Spectrum) -> dict[str, str | float | None]:
    """Return what the radiation passes, as :func:`rsciio_xfm.make_setup` takes it."""
    tube, detector = spectrum.tube, spectrum.detector
    thick = number(detector.get("DetectorThickness"))
    found = {
        "tube_window": _layer(tube.get("TubeWindow")),
        "tube_filter_layer": _layer(tube.get("ExcitationFilter")),
        "detector_distance": number(tube.get("DetectionPathLength")),  # mm
        "detector_crystal": f"Si {thick:g} mm" if thick and thick > 0 else None,
    }
    windows: Any = detector.get("WindowLayers")
    names = list(windows) if isinstance(windows, dict) else []
    if detector.get("WindowType") == "Beryllium" and names == ["Layer0"]:
        own = windows["Layer0"]
        own = own if isinstance(own, dict) else {}
        held = {"AtomicNumber": own.get("Atom"), "Thickness": own.get("Thickness")}
        found["detector_window"] = _layer(held)
    return found


def _layer(tree: Any) -> str | None:
    """Return a layer of one element, ``"Al 100 um"``; None if it is none, or of several."""
    if not isinstance(tree, dict) or (number(tree.get("NofLayer")) or 1) != 1:
        return None
    z, thick = number(tree.get("AtomicNumber")), number(tree.get("Thickness"))
    if z is None or thick is None or not 0 < z < len(ELEMENTS) or not thick > 0:
        return None
    return f"{ELEMENTS[int(z)]} {thick:g} um"


def _filter(tree: Any) -> str | None:
    name = tree.get("FilterId") if isinstance(tree, dict) else None
    return None if name is None else str(name)


def _describe_detector(spectrum: Spectrum) -> dict[str, Any]:
    angles = {
        "elevation_angle": spectrum.analysis.get("ElevationAngle"),
        "azimuth_angle": spectrum.analysis.get("AzimutAngle"),
    }
    if spectrum.tube:
        angles = {
            "elevation_angle": spectrum.tube.get("DetectionAngle"),
            "azimuth_angle": spectrum.tube.get("DetAzimutAngle"),
        }
    found = {name: number(value) for name, value in angles.items()}
    eds: dict[str, Any] = {k: v for k, v in found.items() if v is not None}
    if "Type" in spectrum.detector:
        eds["detector_type"] = spectrum.detector["Type"]
    return eds


def _line(name: str) -> str:
    """Return a line as exspy names it: Bruker leaves alpha away where it has one line."""
    return (f"{name}a" if len(name) == 1 else name[:2]).capitalize()
