"""The geometry of a measurement, from the metadata and as a user says it."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.fit.excitation import (
    Excitation,
    Layer,
)
from rsciio_xfm.analysis.fit.response import DENSITY
from rsciio_xfm.analysis.fit.sources import parse_excitation
from rsciio_xfm.analysis.quantify.setup import SILICON, Setup
from rsciio_xfm.core.eds import DETECTOR_NODES, XRF
from rsciio_xfm.signals.excitation import (
    OF_EXSPY,
    crystal_of,
    excitation_of,
    has_excitation,
    is_evacuated,
    layers_of,
    unknown_optics,
)
from rsciio_xfm.signals.layers import GASES, gas_of, parse_layer

if TYPE_CHECKING:
    from rsciio_xfm.signals.element_model import ElementModel

_ANGLE = 45.0


def make_setup(
    excitation: Any,
    *,
    incidence: float | None = None,
    takeoff: float | None = None,
    atmosphere: str | None = None,
    distance: float | None = None,
    window: Any = None,
    crystal: Any = None,
    flux: float | None = None,
    solid_angle: float | None = None,
) -> Setup:
    """Describe how a sample is excited and seen: what concentrations need beside counts.

    Parameters
    ----------
    excitation
        What excites the sample: ``"Mo 50 kV"``, 17.44 (keV); or spectra or a model of
        elements that say it: then angles, air, window and crystal are theirs, too, if they
        have a GeoPIXE header or that of a Bruker micro-XRF.
    incidence, takeoff
        Degrees between the surface and the beam, and the surface and the direction of the
        detector.
    atmosphere
        Between sample and detector: ``"air"``, ``"helium"`` or ``"vacuum"``.
    distance
        From sample to detector, cm: the path through air or helium.
    window
        Of the detector, and whatever else is before it: ``"Be 8 um"``,
        ``"kapton 1.42 g/cm3 25 um"``, or several in a list. Of elements the density is known.
    crystal
        Of the detector: ``"Si 0.5 mm"``.
    flux, solid_angle
        Photons/s that reach the sample, and sr of one detector: with both of them no standard
        is needed. See :func:`rsciio_xfm.analysis.quantify.setup.solid_angle`.

    Returns
    -------
    rsciio_xfm.analysis.quantify.setup.Setup
        What is neither given nor in the metadata is assumed; its attribute ``assumed`` says
        so, and so do results.

    Raises
    ------
    ImportError
        xraylib is not installed; names the extra.
    ValueError
        Electrons excite the sample, or something is none of these.

    Examples
    --------
    >>> setup = make_setup("Rh 50 kV", atmosphere="vacuum", window="Be 8 um", takeoff=40)
    >>> setup.takeoff, setup.path
    (40.0, (Layer(formula='Be', density=1.848, thickness=0.0008),))
    >>> setup.assumed
    ('45 degrees of incidence', 'a crystal of Si of 0.5 mm')
    """
    signal, model = _parts_of(excitation)
    assumed: list[str] = []
    beam = _excitation(excitation, signal, model)
    check_photons(beam)
    if signal is not None:
        assumed += unknown_optics(signal)
    angles = {
        name: _angle(name, given, signal, assumed)
        for name, given in (("incidence", incidence), ("takeoff", takeoff))
    }
    path = _path(signal, model, atmosphere, distance, window, assumed)
    return Setup(
        beam,
        **angles,
        path=path,
        detector=_crystal(signal, model, crystal, assumed),
        flux=_above_zero("flux", flux, "photons/s"),
        solid_angle=_above_zero("solid_angle", solid_angle, "sr"),
        assumed=tuple(assumed),
    )


def check_photons(excitation: Excitation | None) -> None:
    """Refuse electrons: other programs know them.

    Raises
    ------
    ValueError
        It names them.
    """
    if excitation is not None and excitation.kind == "electrons":
        raise ValueError(
            "Electrons excite the sample, expected X-rays: concentrations of a TEM's thin "
            "sample are exspy's, s.quantification(maps.intensities([...]), ...); those of a "
            "SEM's bulk are for DTSA-II or NeXL."
        )


def describe(setup: Setup) -> str:
    """Return a set-up in a line.

    Examples
    --------
    >>> describe(make_setup(17.44, incidence=60, window="Be 8 um"))
    '17.44 keV, incidence 60 and take-off 45 degrees, Be 8 µm, crystal Si 500 µm'
    """
    layers = [f"{one.formula} {_length(one.thickness)}" for one in setup.path]
    crystal = f"crystal {setup.detector.formula} {_length(setup.detector.thickness)}"
    angles = f"incidence {setup.incidence:g} and take-off {setup.takeoff:g} degrees"
    return ", ".join([str(setup.excitation), angles, *layers, crystal])


def _parts_of(source: Any) -> tuple[BaseSignal | None, "ElementModel | None"]:
    """Return the signal and the model that a set-up is made from, as far as there are any."""
    if isinstance(source, BaseSignal):
        return source, None
    return (source.source, source) if hasattr(source, "source") else (None, None)


def _excitation(
    source: Any, signal: BaseSignal | None, model: "ElementModel | None"
) -> Excitation:
    """Return what excites a sample; it is not guessed."""
    if model is not None and model.excitation is not None:
        return model.excitation
    if model is None and signal is None:
        return parse_excitation(source)
    if model is None and signal is not None and has_excitation(signal):
        return excitation_of(signal)
    raise ValueError(
        "It is not known what excites the sample, expected it: "
        'make_setup("Rh 50 kV", ...), or excitation="Rh 50 kV" when the model is made.'
    )


def _angle(
    name: str, given: float | None, signal: BaseSignal | None, assumed: list[str]
) -> float:
    """Return an angle as it is given, of the metadata, or the usual one."""
    if given is not None:
        try:
            return float(given)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{name} is {given!r:.40}, expected degrees, above 0 and up to 90."
            ) from error
    paths = [f"{XRF}.incidence_angle"]
    if name == "takeoff":
        nodes = [f"{node}.elevation_angle" for node in DETECTOR_NODES]
        paths = [f"{XRF}.take_off_angle", *nodes]
    found = [] if signal is None else [signal.metadata.get_item(path) for path in paths]
    for angle in found:
        if isinstance(angle, int | float) and 0 < angle <= 90:
            if angle == OF_EXSPY:
                assumed.append(
                    f"{angle:g} degrees of take-off: what exspy takes for usual"
                )
            return float(angle)
    words = {"incidence": "incidence", "takeoff": "take-off"}[name]
    assumed.append(f"{_ANGLE:g} degrees of {words}")
    return _ANGLE


def _path(
    signal: BaseSignal | None,
    model: "ElementModel | None",
    atmosphere: str | None,
    distance: float | None,
    window: Any,
    assumed: list[str],
) -> tuple[Layer, ...]:
    """Return what absorbs between sample and crystal."""
    known = () if model is None else model.model.response.layers
    known = known if signal is None else layers_of(signal)
    formulas = [formula for formula, _ in GASES.values()]
    gas = [one for one in known if one.formula in formulas]
    windows = [one for one in known if one.formula not in formulas]
    if atmosphere is not None or distance is not None:
        gas = _gas(atmosphere or "air", distance)
    elif not gas and not is_evacuated(signal):
        assumed.append("nothing absorbs between sample and detector")
    if window is not None:
        is_one = isinstance(window, str | Layer) or not isinstance(window, Iterable)
        windows = [parse_layer(one) for one in ([window] if is_one else window)]
    elif not windows:
        assumed.append("no window of the detector")
    return (*gas, *windows)


def _gas(atmosphere: str, distance: float | None) -> list[Layer]:
    if atmosphere not in ("vacuum", *GASES):
        raise ValueError(
            f"atmosphere is {atmosphere!r:.40}, expected 'air', 'helium' or 'vacuum'."
        )
    if atmosphere == "vacuum":
        return []
    if distance is None:
        raise ValueError(
            f"atmosphere is {atmosphere!r}, expected distance with it: cm from sample to "
            "detector."
        )
    length = _above_zero("distance", distance, "cm")
    assert length is not None
    return [gas_of(atmosphere, length)]


def _crystal(
    signal: BaseSignal | None,
    model: "ElementModel | None",
    given: Any,
    assumed: list[str],
) -> Layer:
    """Return the crystal of the detector, as it is given, of a header, or the usual one."""
    if given is not None:
        return parse_layer(given)
    known = {} if signal is None else crystal_of(signal)
    usual = SILICON.formula if model is None else model.model.response.material
    material = known.get("material", usual)
    if "thickness" not in known:
        assumed.append(f"a crystal of {material} of {10 * SILICON.thickness:g} mm")
    return Layer(material, DENSITY[material], known.get("thickness", SILICON.thickness))


def _above_zero(name: str, value: Any, unit: str) -> float | None:
    """Return a number as a user gives it; None if it is not given."""
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"{name} is {value!r:.40}, expected {unit}, above 0.")
    return number


def _length(centimetres: float) -> str:
    """Return a length with its unit.

    Examples
    --------
    >>> _length(0.0008), _length(1.5)
    ('8 µm', '1.5 cm')
    """
    if centimetres < 0.1:
        return f"{1e4 * centimetres:.4g} µm"
    return f"{centimetres:.4g} cm"
