"""What the keys of a ``.rpl`` file mean: kind of signal, axes, metadata."""

from pathlib import Path
from typing import Any

from rsciio_xfm.core.eds import INSTRUMENT as SEM
from rsciio_xfm.core.eds import SIGNAL_TYPE, put
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.ripple.layout import (
    AXES,
    INSTRUMENT,
    INTEGERS,
    NUMBERS,
    TEXTS,
    UNDEFINED,
    XRAY_KEYS,
    XRAY_SIGNALS,
)
from rsciio_xfm.formats.ripple.rpl import (
    BRUKER,
    DEFAULTS,
    Ripple,
    energy_scale,
    to_number,
)

_TEM = "Acquisition_instrument.TEM"
_XRAY_NAMES = {"height": "y", "width": "x", "depth": "Energy"}
_ENERGY_UNITS = ("ev", "kev")


def check_complete(ripple: Ripple) -> None:
    """Refuse a text that was cut, which would say something else about the numbers.

    Raises
    ------
    FileFormatError
        Some of the keys that say how the numbers are stored are there, and others are not.

    Warns
    -----
    UserWarning
        None of them is there.
    """
    height, width, depth = ripple.shape
    needed = set(DEFAULTS)
    if ripple.dtype.itemsize == 1:
        needed.discard("byte-order")
    if depth == 1 or height * width == 1:
        needed.discard("record-by")
    missing = sorted(needed - set(ripple.fields))
    if not missing:
        return
    names = ", ".join(missing)
    guess = ", ".join(f"{name} {DEFAULTS[name]}" for name in missing)
    if set(ripple.fields) & set(DEFAULTS):
        raise FileFormatError(
            f"{ripple.path}: {names} not given, expected it like the other keys (byte 0, the "
            f"whole text): is it cut? If the numbers are so, add the usual ones: {guess}."
        )
    warn(f"{ripple.path}: {names} not given, taken for the usual: {guess}.")


def find_signal_type(ripple: Ripple) -> str:
    """Return the signal type that a ``.rpl`` file names or implies.

    Returns
    -------
    str
        ``"EDS_XFM"`` of X-ray spectra, else as the file has it, perhaps empty.
    """
    fields = ripple.fields
    given = fields.get("signal", "")
    if ripple.shape[2] == 1:
        return given
    if given:
        return SIGNAL_TYPE if given.upper() in XRAY_SIGNALS else given
    units = fields.get("depth-units") or fields.get(BRUKER[2])
    in_ev = "ev-per-chan" in fields and units is None
    is_energy = in_ev or (units or "").lower() in _ENERGY_UNITS
    is_xray = BRUKER[0] in fields or any(key in fields for key in XRAY_KEYS)
    return SIGNAL_TYPE if is_energy and is_xray else ""


def read_values(ripple: Ripple) -> dict[str, Any]:
    """Return all keys, in small letters, with numbers where there should be some.

    Returns
    -------
    dict
        What is no number, though it should be one, is text.

    Warns
    -----
    UserWarning
        There is such a text.
    """
    values: dict[str, Any] = dict(ripple.fields)
    wrong = []
    for key in INTEGERS:
        if key in values:
            values[key] = int(values[key])
    for key in NUMBERS:
        if key in values:
            number = to_number(values[key])
            if number is None or (number == 0 and key.endswith("-scale")):
                wrong.append(f"{key} is {values[key]!r:.40}")
            else:
                values[key] = number
    if wrong:
        warn(
            f"{ripple.path}: {', '.join(wrong)}, expected numbers, scales other than 0. They "
            "are left out."
        )
    return values


def build_axes(ripple: Ripple, values: dict[str, Any], is_xray: bool) -> dict[str, Any]:
    """Describe the axes as RosettaSciIO does.

    Parameters
    ----------
    ripple, values
        What a ``.rpl`` file says, see :func:`read_values`.
    is_xray
        Whether they are those of X-ray spectra: x, y and Energy, unless the file names them.

    Returns
    -------
    dict of str to dict
        By ``"height"``, ``"width"`` and ``"depth"``; the depth is not navigated.
    """
    axes = {}
    for name, size in zip(AXES, ripple.shape, strict=True):
        scale, origin = (
            _number(values, f"{name}-{item}") for item in ("scale", "origin")
        )
        units = values.get(f"{name}-units", None if is_xray else "")
        axes[name] = {
            "name": values.get(f"{name}-name", _XRAY_NAMES[name] if is_xray else name),
            "size": size,
            "offset": 0.0 if origin is None else origin,
            "scale": 1.0 if scale is None else scale,
            "units": None if units == UNDEFINED else units,
            "navigate": name != "depth",
        }
    if "depth-scale" not in values:
        axes["depth"].update(_calibrate(ripple, values, is_xray))
    return axes


def _calibrate(ripple: Ripple, values: dict[str, Any], is_xray: bool) -> dict[str, Any]:
    """Return what Bruker's keys or ``ev-per-chan`` say of the axis of energies."""
    if is_xray:
        found = energy_scale(ripple)
        if found is None:
            return {}
        return {"scale": found[0], "offset": found[1], "units": "keV"}
    step = _number(values, "ev-per-chan")
    if not step:
        return {}
    has_more = "depth-origin" in values or "depth-units" in values
    return {"scale": step} | ({} if has_more else {"units": "eV"})


def _number(values: dict[str, Any], key: str) -> float | None:
    value = values.get(key)
    return value if isinstance(value, float) else None


def build_metadata(
    path: Path, values: dict[str, Any], signal_type: str
) -> dict[str, Any]:
    """Make the metadata of a signal.

    Parameters
    ----------
    path
        Of the file that is loaded.
    values
        See :func:`read_values`.
    signal_type
        See :func:`find_signal_type`.

    Returns
    -------
    dict
        The instrument is ``TEM``, as RosettaSciIO has it, but of X-ray fluorescence; exspy
        moves it where another signal type looks for it.
    """
    is_xray = signal_type == SIGNAL_TYPE
    general = {name: values.get(name, "") for name in ("date", "time", "title")}
    if is_xray:
        general["title"] = general["title"] or path.stem
    metadata: dict[str, Any] = {
        "General": {"original_filename": path.name} | general,
        "Signal": {"signal_type": signal_type},
    }
    if is_xray:
        metadata["Signal"]["quantity"] = "X-rays (Counts)"
    for key, place in INSTRUMENT.items():
        value = _number(values, key)
        if value is not None:
            put(metadata, f"{SEM if is_xray else _TEM}.{place}", value)
    return metadata


def build_original(ripple: Ripple, values: dict[str, Any]) -> dict[str, Any]:
    """Return the original metadata, as RosettaSciIO has them.

    Returns
    -------
    dict
        Keys of the format in small letters, others as they are spelt.
    """
    known = {*INTEGERS, *NUMBERS, *TEXTS, "data-length", "data-type", "byte-order"}
    tree = {
        key if key in known else ripple.spelled[key]: value
        for key, value in values.items()
    }
    return dict.fromkeys(TEXTS, "") | tree
