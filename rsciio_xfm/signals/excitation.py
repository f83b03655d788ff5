"""What excites a sample and how its detector sees it, from the metadata or as it is given."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.fit.excitation import Excitation, Layer, air, beryllium
from rsciio_xfm.analysis.fit.response import FWHM, MN_KA, PAIR_KEV, Response
from rsciio_xfm.analysis.fit.sources import TUBE_WINDOW, parse_excitation, tube
from rsciio_xfm.core.eds import DETECTOR_NODES, ELEMENTS, PER_KEV, XRF
from rsciio_xfm.core.warning import warn
from rsciio_xfm.signals.checks import check_spectra, check_uniform

_INSTRUMENTS = ("SEM", "TEM")
_TUBE = ("tube_voltage", "tube_target", "tube_current", "tube_type")
_ELECTRONS = ("EDS_SEM", "EDS_TEM")
_ANGLE = 90.0  # degrees, between source and detector, where nothing says it
_MOST_WINDOW_UM = 1000.0
_MOST_AIR_CM = 100.0
_MOST_CRYSTAL_MM = 50.0
OF_EXSPY = 35.0  # degrees of take-off, put into metadata that have no angle
_ANGLES = {
    "incidence": (f"{XRF}.incidence_angle",),
    "takeoff": (
        f"{XRF}.take_off_angle",
        *(f"{node}.elevation_angle" for node in DETECTOR_NODES),
    ),
}
# Of a GeoPIXE header: node, field and the most that it may be.
_FIELDS = {
    "air_mm": ("X-ray Source", "STD (mm)", 10 * _MOST_AIR_CM),
    "window_um": ("Detector", "WThick (µm)", _MOST_WINDOW_UM),
    "crystal": ("Detector", "Elt", len(ELEMENTS) - 1),
    "crystal_mm": ("Detector", "Thick (mm)", _MOST_CRYSTAL_MM),
}


def excitation_of(signal: BaseSignal, given: Any = None) -> Excitation:
    """Return what excites the sample of a signal.

    Parameters
    ----------
    signal
        Spectra whose metadata are looked at.
    given
        What the user says, as :func:`rsciio_xfm.analysis.fit.sources.parse_excitation`
        takes it; it comes first.

    Returns
    -------
    Excitation
        Of a tube (``Acquisition_instrument.XRF``: ``tube_target``, ``tube_voltage``,
        ``scattering_angle``), of electrons (signals of electron microscopes with a
        ``beam_energy``), or monochromatic photons of the ``beam_energy``.

    Raises
    ------
    ImportError
        xraylib is not installed; names the extra.
    ValueError
        What is given is no excitation.

    Warns
    -----
    UserWarning
        Neither is known: photons of the highest energy of the axis stand for it.
    """
    check_spectra(signal)
    metadata = signal.metadata
    angle = _number(metadata.get_item(f"{XRF}.scattering_angle"), 180) or _ANGLE
    if given is not None:
        return parse_excitation(given, angle)
    anode, energy = _source_of(metadata)
    if anode is not None and energy is not None:
        return tube(anode, energy, _filters_of(signal), angle)
    if energy is not None:
        is_electrons = _is_electron_microscope(signal)
        source = f"electrons {energy!r} kV" if is_electrons else energy
        return parse_excitation(source, angle)
    zero, gain = calibration_of(signal)
    highest = zero + gain * signal.axes_manager.signal_axes[0].size
    warn(
        "The metadata do not say what excites the sample: lines up to the end of the "
        f"spectra are taken for possible, as if photons of {highest:.4g} keV excited them, "
        "and what a tube has scattered is taken for elements. "
        'Say it, as in excitation="Rh 50 kV", 17.44 (keV) or "electrons 20 kV".'
    )
    return parse_excitation(highest, angle)


def has_excitation(signal: BaseSignal) -> bool:
    """Tell whether the metadata say what excites the sample."""
    _, energy = _source_of(signal.metadata)
    return energy is not None


def _source_of(metadata: Any) -> tuple[str | None, float | None]:
    """Return the anode of a tube and its kV, or the energy of a beam; None of neither."""
    anode = metadata.get_item(f"{XRF}.tube_target")
    voltage = _number(metadata.get_item(f"{XRF}.tube_voltage"), 500)
    if anode in ELEMENTS[1:] and voltage is not None:
        return str(anode), voltage
    return None, _beam_energy(metadata)


def warn_if_smoothed(signal: BaseSignal) -> None:
    """Warn if the spectra are no counts any more: neighbouring channels go together then."""
    if signal.metadata.get_item("Signal.smoothed", False):
        warn(
            "The spectra were smoothed: they do not scatter as counts do, so that elements "
            "are found that are not there, and uncertainties are wrong. Take the counts: the "
            "raw scan, or one that was converted with sigma=0."
        )


def response_of(signal: BaseSignal) -> Response:
    """Return what is known of the detector of a signal: where a calibration starts.

    Parameters
    ----------
    signal
        Spectra with a calibrated energy axis. The resolution is the metadata's
        ``energy_resolution_MnKa``; crystal and what is before it are those of a GeoPIXE
        header.

    Raises
    ------
    ValueError
        The energy axis is not calibrated, not uniform, or descends.
    """
    zero, gain = calibration_of(signal)
    known: dict[str, Any] = {"zero": zero, "gain": gain}
    own = Response()
    for node in DETECTOR_NODES:
        width = _number(signal.metadata.get_item(f"{node}.energy_resolution_MnKa"), 1000)
        if width is not None:
            noise = (1e-3 * width) ** 2 - FWHM**2 * own.fano * PAIR_KEV["Si"] * MN_KA
            known["noise"] = math.sqrt(max(noise, 0.02**2))
            break
    return Response(**known, **crystal_of(signal), layers=layers_of(signal))


def is_uncalibrated(signal: BaseSignal) -> bool:
    """Tell whether the axis of the spectra counts channels, and says nothing of energies."""
    (axis,) = signal.axes_manager.signal_axes
    has_units = isinstance(axis.units, str) and axis.units.strip()
    return not has_units and axis.is_uniform and (axis.offset, axis.scale) == (0, 1)


def calibration_of(signal: BaseSignal) -> tuple[float, float]:
    """Return the energy of channel 0 and the width of a channel, keV.

    Raises
    ------
    ValueError
        As of :func:`response_of`.
    """
    check_spectra(signal)
    (axis,) = signal.axes_manager.signal_axes
    check_uniform([axis])
    if axis.units not in PER_KEV:
        said = f"The units of the energy axis are {axis.units!s:.20}"
        if not isinstance(axis.units, str) or not axis.units:
            said = "The energy axis has no units"
        raise ValueError(
            f"{said}, expected keV or eV: the spectra are not calibrated. Calibrate them "
            "first: rsciio_xfm.calibrate_energy(s, ...), in a terminal rsciio-xfm calibrate, "
            "or scale, offset and units of s.axes_manager.signal_axes[0]."
        )
    if not (axis.scale > 0 and math.isfinite(axis.scale) and math.isfinite(axis.offset)):
        raise ValueError(
            f"The energy axis has a scale of {axis.scale:g} {axis.units} and an offset of "
            f"{axis.offset:g}, expected energies that ascend."
        )
    factor = PER_KEV[axis.units]
    return float(axis.offset) / factor, float(axis.scale) / factor


def _beam_energy(metadata: Any) -> float | None:
    for name in _INSTRUMENTS:
        energy = metadata.get_item(f"Acquisition_instrument.{name}.beam_energy")
        found = _number(energy, 500)
        if found is not None:
            return found
    return None


def _is_electron_microscope(signal: BaseSignal) -> bool:
    """Tell whether electrons excite: by signal type, or by what only a microscope has."""
    metadata = signal.metadata
    own = metadata.get_item("Signal.signal_type", "")
    # What the command line has made an EDS_XFM signal of.
    of_file = signal.tmp_parameters.get_item("type_of_file", own)
    if own in _ELECTRONS or of_file in _ELECTRONS:
        return True
    if metadata.get_item("Acquisition_instrument.SEM.working_distance") is not None:
        return True
    # Bruker's maps, loaded as EDS_XFM. Those of a micro-XRF have a tube beside it.
    magnification = metadata.get_item("Acquisition_instrument.SEM.magnification")
    has_tube = any(metadata.get_item(f"{XRF}.{name}") is not None for name in _TUBE)
    return magnification is not None and not has_tube


def _header(signal: BaseSignal, node: str) -> Any:
    """Return a node of a GeoPIXE header, of the first detector that was read."""
    found = signal.original_metadata.get_item(node)
    if not isinstance(found, list):
        return found if hasattr(found, "get_item") else None
    numbers = signal.metadata.get_item(f"{XRF}.detectors")
    number = numbers[0] if isinstance(numbers, list) and numbers else 0
    entry = found[min(int(number), len(found) - 1)] if found else None
    return entry if hasattr(entry, "get") or hasattr(entry, "get_item") else None


def _field(node: Any, name: str, most: float) -> float | None:
    get = getattr(node, "get_item", None) or getattr(node, "get", None)
    return None if get is None else _number(get(name), most)


def geometry_of(signal: BaseSignal) -> dict[str, float]:
    """Return what spectra say of angles, air, window and crystal, as a model keeps it.

    Returns
    -------
    dict
        What is known of ``"incidence"`` and ``"takeoff"``, degrees, ``"air_mm"``,
        ``"window_um"`` of beryllium, ``"crystal"``, its atomic number, and ``"crystal_mm"``.
    """
    get = signal.metadata.get_item
    angles = {
        name: next((a for a in (_number(get(p), 90) for p in paths) if a), None)
        for name, paths in _ANGLES.items()
    }
    fields = {
        name: _field(_header(signal, node), field, most)
        for name, (node, field, most) in _FIELDS.items()
    }
    return {name: value for name, value in (angles | fields).items() if value is not None}


def check_geometry(given: Any) -> dict[str, float]:
    """Return what :func:`geometry_of` has made, of a file.

    Raises
    ------
    ValueError
        There is something else in it.
    """
    limits = dict.fromkeys(_ANGLES, 90.0) | {k: most for k, (*_, most) in _FIELDS.items()}
    if not isinstance(given, dict) or not given.keys() <= limits.keys():
        raise ValueError(f"geometry is {given!r:.60}, expected some of {list(limits)}.")
    for name, value in given.items():
        if isinstance(value, bool) or _number(value, limits[name]) is None:
            raise ValueError(
                f"geometry.{name} is {value!r:.40}, expected up to {limits[name]:g}."
            )
    return {name: float(value) for name, value in given.items()}


def spectrum_that_says(geometry: Mapping[str, float]) -> BaseSignal:
    """Return a spectrum without counts that says what :func:`geometry_of` has found."""
    found = BaseSignal(np.zeros(1))
    for name, value in geometry.items():
        if name in _ANGLES:
            found.metadata.set_item(_ANGLES[name][0], value)
        else:
            node, field, _ = _FIELDS[name]
            found.original_metadata.set_item(f"{node}.{field}", value)
    return found


def _filters_of(signal: BaseSignal) -> tuple[Layer, ...]:
    """Return the window of the tube, of beryllium, of a GeoPIXE header or a usual one."""
    thick = _field(_header(signal, "X-ray Source"), "WThick (µm)", _MOST_WINDOW_UM)
    return (TUBE_WINDOW if thick is None else beryllium(thick),)


def layers_of(signal: BaseSignal) -> tuple[Layer, ...]:
    """Return air and window, of beryllium, before the detector of a GeoPIXE header."""
    window = _field(_header(signal, "Detector"), "WThick (µm)", _MOST_WINDOW_UM)
    path = _field(_header(signal, "X-ray Source"), "STD (mm)", 10 * _MOST_AIR_CM)
    layers = [] if path is None else [air(0.1 * path)]
    if window is not None:
        layers.append(beryllium(window))
    return tuple(layers)


def crystal_of(signal: BaseSignal) -> dict[str, Any]:
    """Return material and thickness of the crystal of a GeoPIXE header."""
    node = _header(signal, "Detector")
    number = _field(node, "Elt", len(ELEMENTS) - 1)
    thick = _field(node, "Thick (mm)", _MOST_CRYSTAL_MM)
    found: dict[str, Any] = {} if thick is None else {"thickness": 0.1 * thick}
    material = ELEMENTS[int(number)] if number is not None else None
    return found | ({"material": material} if material in PAIR_KEV else {})


def _number(value: Any, most: float) -> float | None:
    """Return a number above 0 and up to another, None of anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number <= most else None
