"""What excites a sample and how its detector sees it, from the metadata or as it is given."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.fit.excitation import Excitation, Layer, air, beryllium
from rsciio_xfm.analysis.fit.response import FWHM, MN_KA, PAIR_KEV, Response
from rsciio_xfm.analysis.fit.sources import (
    TUBE_WINDOW,
    parse_excitation,
    tube,
)
from rsciio_xfm.analysis.fit.tube import TAKEOFF
from rsciio_xfm.core.beam import is_electrons, positive, source_of
from rsciio_xfm.core.eds import DETECTOR_NODES, ELEMENTS, PER_KEV, XRF
from rsciio_xfm.core.warning import warn
from rsciio_xfm.signals.checks import check_spectra, check_uniform
from rsciio_xfm.signals.layers import GASES, NORMAL_MBAR, gas_of, parse_layer

_ANGLE = 90.0  # degrees, between source and detector, where nothing says it
_MOST_WINDOW_UM = 1000.0
_MOST_AIR_CM = 100.0
_MOST_CRYSTAL_MM = 50.0
_MOST_MBAR = 1e4
_NO_FILTER = ("", "empty", "none", "no filter", "0")  # as headers name it
_LENSES = ("lens", "polycapillary")
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
# Of a Bruker header, in the metadata of an X-ray tube.
_NUMBERS = {"chamber_pressure": _MOST_MBAR, "detector_distance": 10 * _MOST_AIR_CM}
_TEXTS = ("atmosphere", "detector_window", "detector_crystal", "optic", "tube_filter",
          "tube_filter_layer")  # fmt: skip
_LONGEST = 60
_SAME_SOURCE = 0.05  # relative, of voltages


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
    angle = _scattering_angle(metadata)
    if given is not None:
        return parse_excitation(given, angle)
    anode, energy = source_of(metadata.get_item)
    if anode is not None and energy is not None:
        takeoff = positive(metadata.get_item(f"{XRF}.tube_take_off_angle"), 90)
        return tube(anode, energy, _filters_of(signal), angle, takeoff or TAKEOFF)
    if energy is not None:
        is_microscope = _is_electron_microscope(signal)
        source = f"electrons {energy!r} kV" if is_microscope else energy
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


def _scattering_angle(metadata: Any) -> float:
    """Return the angle between beam and detector: that of the metadata, or the usual one.

    Where beam and detector face each other it is the sum of their angles to the surface, and
    so it is, wherever the detector stands, if the beam is normal to it.
    """
    names = ("scattering_angle", "incidence_angle", "take_off_angle")
    known, incidence, takeoff = (
        positive(metadata.get_item(f"{XRF}.{name}"), 180) for name in names
    )
    if known is None and incidence is not None and takeoff is not None:
        return min(incidence + takeoff, 180.0)
    return known or _ANGLE


def has_excitation(signal: BaseSignal) -> bool:
    """Tell whether the metadata say what excites the sample."""
    _, energy = source_of(signal.metadata.get_item)
    return energy is not None


def warn_of_another_source(signal: BaseSignal, own: Excitation) -> None:
    """Warn of a map whose metadata say another tube or beam than that of a model.

    Of another kind (photons of one energy rather than electrons) nothing is said: that is
    guessed from the metadata, and the user may have said it when the model was made.

    Warns
    -----
    UserWarning
        The anode is another one, or the voltage differs by more than 5 %.
    """
    anode, energy = source_of(signal.metadata.get_item)
    kind = "electrons" if _is_electron_microscope(signal) else "monochromatic"
    if energy is None or own.kind != ("tube" if anode else kind):
        return
    if anode == own.anode and math.isclose(energy, own.highest, rel_tol=_SAME_SOURCE):
        return
    name = anode or ("electrons" if kind == "electrons" else "photons")
    said = f"{name} {energy:g} {'keV' if name == 'photons' else 'kV'}"
    warn(
        f"The map was measured with {said} by its metadata, and the model is of {own}: "
        "expected the same excitation. Which lines there are, and how strong, may be wrong; "
        "make a model for this map, s.create_element_model(model.elements)."
    )


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
        width = positive(signal.metadata.get_item(f"{node}.energy_resolution_MnKa"), 1000)
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


def _is_electron_microscope(signal: BaseSignal) -> bool:
    """Tell whether electrons excite."""
    # What the command line has made an EDS_XFM signal of.
    of_file = signal.tmp_parameters.get_item("type_of_file")
    return is_electrons(signal.metadata.get_item, of_file)


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
    return None if get is None else positive(get(name), most)


def geometry_of(signal: BaseSignal) -> dict[str, Any]:
    """Return what spectra say of angles, air, window and crystal, as a model keeps it.

    Returns
    -------
    dict
        What is known of ``"incidence"`` and ``"takeoff"``, degrees, ``"air_mm"``,
        ``"window_um"`` of beryllium, ``"crystal"``, its atomic number, ``"crystal_mm"``; of
        a Bruker header numbers and texts, by their names in ``Acquisition_instrument.XRF``.
    """
    get = signal.metadata.get_item
    angles = {
        name: next((a for a in (positive(get(p), 90) for p in paths) if a), None)
        for name, paths in _ANGLES.items()
    }
    fields = {
        name: _field(_header(signal, node), field, most)
        for name, (node, field, most) in _FIELDS.items()
    }
    own = {name: positive(get(f"{XRF}.{name}"), most) for name, most in _NUMBERS.items()}
    texts = {name: get(f"{XRF}.{name}") for name in _TEXTS}
    own |= {name: text for name, text in texts.items() if _is_short(text)}
    found = angles | fields | own
    return {name: value for name, value in found.items() if value is not None}


def _is_short(text: Any) -> bool:
    return isinstance(text, str) and 0 < len(text) <= _LONGEST


def check_geometry(given: Any) -> dict[str, Any]:
    """Return what :func:`geometry_of` has made, of a file.

    Raises
    ------
    ValueError
        There is something else in it.
    """
    limits = dict.fromkeys(_ANGLES, 90.0) | {k: most for k, (*_, most) in _FIELDS.items()}
    limits |= _NUMBERS
    known = [*limits, *_TEXTS]
    if not isinstance(given, dict) or not set(given) <= set(known):
        raise ValueError(f"geometry is {given!r:.60}, expected some of {known}.")
    texts = {name: value for name, value in given.items() if name in _TEXTS}
    if not all(map(_is_short, texts.values())):
        raise ValueError(f"geometry has {texts!r:.80}, expected short texts.")
    numbers = {name: value for name, value in given.items() if name in limits}
    for name, value in numbers.items():
        if isinstance(value, bool) or positive(value, limits[name]) is None:
            raise ValueError(
                f"geometry.{name} is {value!r:.40}, expected up to {limits[name]:g}."
            )
    return {name: float(value) for name, value in numbers.items()} | texts


def spectrum_that_says(geometry: Mapping[str, Any]) -> BaseSignal:
    """Return a spectrum without counts that says what :func:`geometry_of` has found."""
    found = BaseSignal(np.zeros(1))
    for name, value in geometry.items():
        if name in _ANGLES:
            found.metadata.set_item(_ANGLES[name][0], value)
        elif name not in _FIELDS:
            found.metadata.set_item(f"{XRF}.{name}", value)
        else:
            node, field, _ = _FIELDS[name]
            found.original_metadata.set_item(f"{node}.{field}", value)
    return found


def _filters_of(signal: BaseSignal) -> tuple[Layer, ...]:
    """Return the window of the tube, of a header or a usual one, and a filter of a header."""
    thick = _field(_header(signal, "X-ray Source"), "WThick (µm)", _MOST_WINDOW_UM)
    usual = TUBE_WINDOW if thick is None else beryllium(thick)
    window = _layer(signal, "tube_window") or (usual,)
    return *window, *_layer(signal, "tube_filter_layer")


def _layer(signal: BaseSignal, name: str) -> tuple[Layer, ...]:
    """Return the layers that the metadata name, ``"Al 100 um + Ti 50 um"``; none of others."""
    held = signal.metadata.get_item(f"{XRF}.{name}")
    try:
        parts = held.split(" + ") if isinstance(held, str) else ()
        return tuple(parse_layer(part) for part in parts)
    except ValueError:
        return ()


def unknown_optics(signal: BaseSignal) -> list[str]:
    """Return in words what shapes the radiation of a tube and is not computed."""
    named = signal.metadata.get_item(f"{XRF}.tube_filter")
    is_named = isinstance(named, str) and named.strip().lower() not in _NO_FILTER
    found = []
    if is_named and not _layer(signal, "tube_filter_layer"):
        found.append(f"no filter in the beam: what {named!r:.40} is made of is not known")
    if str(signal.metadata.get_item(f"{XRF}.optic")).lower() in _LENSES:
        found.append(
            "the radiation of the tube as if there were no lens: a polycapillary lens takes "
            "away hard radiation"
        )
    return found


def is_evacuated(signal: BaseSignal | None) -> bool:
    """Tell whether the metadata say that there is vacuum."""
    if signal is None:
        return False
    said = signal.metadata.get_item(f"{XRF}.atmosphere")
    return isinstance(said, str) and said.lower() == "vacuum"


def layers_of(signal: BaseSignal) -> tuple[Layer, ...]:
    """Return gas and window before the detector, of the header of GeoPIXE or Bruker."""
    metadata = signal.metadata
    gas = str(metadata.get_item(f"{XRF}.atmosphere")).lower()
    distance = positive(metadata.get_item(f"{XRF}.detector_distance"), 10 * _MOST_AIR_CM)
    if gas in GASES and distance is not None:
        pressure = positive(metadata.get_item(f"{XRF}.chamber_pressure"), _MOST_MBAR)
        own = gas_of(gas, 0.1 * distance, pressure or NORMAL_MBAR)
        return own, *_layer(signal, "detector_window")
    return _layers_of_geopixe(signal) or _layer(signal, "detector_window")


def _layers_of_geopixe(signal: BaseSignal) -> tuple[Layer, ...]:
    """Return air and window, of beryllium."""
    window = _field(_header(signal, "Detector"), "WThick (µm)", _MOST_WINDOW_UM)
    path = _field(_header(signal, "X-ray Source"), "STD (mm)", 10 * _MOST_AIR_CM)
    layers = [] if path is None else [air(0.1 * path)]
    if window is not None:
        layers.append(beryllium(window))
    return tuple(layers)


def crystal_of(signal: BaseSignal) -> dict[str, Any]:
    """Return material and thickness of the crystal, of the header of GeoPIXE or Bruker."""
    for layer in _layer(signal, "detector_crystal"):
        return {"material": layer.formula, "thickness": layer.thickness}
    node = _header(signal, "Detector")
    number = _field(node, "Elt", len(ELEMENTS) - 1)
    thick = _field(node, "Thick (mm)", _MOST_CRYSTAL_MM)
    found: dict[str, Any] = {} if thick is None else {"thickness": 0.1 * thick}
    material = ELEMENTS[int(number)] if number is not None else None
    return found | ({"material": material} if material in PAIR_KEV else {})
