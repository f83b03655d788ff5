"""What excited a sample, as metadata in HyperSpy's form say it."""

from collections.abc import Callable, Mapping
from typing import Any

from rsciio_xfm.core.eds import ELECTRONS, ELEMENTS, XRF

_INSTRUMENTS = ("SEM", "TEM")
_TUBE = ("tube_voltage", "tube_target", "tube_current", "tube_type")
_ELECTRONS = ("EDS_SEM", "EDS_TEM")
_MOST_KEV = 500.0
# Returns the item of metadata at a path, None if there is none.
Get = Callable[[str], Any]


def find(tree: Any, path: str) -> Any:
    """Return an item of nested dictionaries; None if it is not there."""
    for name in path.split("."):
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def positive(value: Any, most: float) -> float | None:
    """Return a number above 0 and up to another, None of anything else.

    Examples
    --------
    >>> positive("50", 500), positive(0, 500), positive("unknown", 500)
    (50.0, None, None)
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 < number <= most else None


def source_of(get: Get) -> tuple[str | None, float | None]:
    """Return the anode of a tube and its kV, or the energy of a beam; None of neither."""
    anode = get(f"{XRF}.tube_target")
    voltage = positive(get(f"{XRF}.tube_voltage"), _MOST_KEV)
    if anode in ELEMENTS[1:] and voltage is not None:
        return str(anode), voltage
    for name in _INSTRUMENTS:
        energy = get(f"Acquisition_instrument.{name}.beam_energy")
        found = positive(energy, _MOST_KEV)
        if found is not None:
            return None, found
    return None, None


def is_electrons(get: Get, of_file: Any = "") -> bool:
    """Tell whether electrons excite: by signal type, or by what only a microscope has.

    Parameters
    ----------
    get
        Of the metadata.
    of_file
        Signal type that the file had, if another was chosen.
    """
    if get("Signal.signal_type") in _ELECTRONS or of_file in _ELECTRONS:
        return True
    if get(f"{XRF}.source") == ELECTRONS:
        return True
    if get("Acquisition_instrument.SEM.working_distance") is not None:
        return True
    # Bruker's maps, loaded as EDS_XFM. Those of a micro-XRF have a tube beside it.
    magnification = get("Acquisition_instrument.SEM.magnification")
    has_tube = any(get(f"{XRF}.{name}") is not None for name in _TUBE)
    return magnification is not None and not has_tube


def describe(get: Get) -> str | None:
    """Return what excites as users say it, ``"Mo 50 kV"``; None if nothing says it.

    Examples
    --------
    >>> describe({"Acquisition_instrument.SEM.beam_energy": 17.44}.get)
    '17.44 keV'
    """
    anode, energy = source_of(get)
    if energy is None:
        return None
    if anode is not None:
        return f"{anode} {energy:g} kV"
    return f"electrons {energy:g} kV" if is_electrons(get) else f"{energy:g} keV"
