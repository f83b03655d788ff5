"""Lengths on maps: pixel sizes as users write them, and numbers with units."""

import math
import re

from rsciio_xfm.drawing.texts import verbatim

Scale = tuple[float, str | None]  # of an axis: step and units
METRES = {  # of lengths, by their unit
    "pm": 1e-12,
    "Å": 1e-10,
    "nm": 1e-9,
    "um": 1e-6,
    "µm": 1e-6,
    "μm": 1e-6,  # another letter that looks the same
    "micron": 1e-6,
    "mm": 1e-3,
    "cm": 1e-2,
    "m": 1.0,
    "km": 1e3,
}
_SHOWN = {"pm": 1e-12, "nm": 1e-9, "µm": 1e-6, "mm": 1e-3, "m": 1.0, "km": 1e3}
_LEAST, _MOST = 1e-15, 1e6  # metres, of a pixel
PIXELS = ("", "px", "pix", "pixel", "pixels")
_SIZE = re.compile(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([^\W\d_]*)\s*")


def parse_pixel_size(text: str) -> tuple[Scale, Scale]:
    """Return the size of a pixel along x and y.

    Parameters
    ----------
    text
        A number with its unit, ``"50um"``, or one for each axis, ``"50um,40um"``.

    Returns
    -------
    tuple of tuple
        Step and unit of x and of y.

    Raises
    ------
    TypeError
        It is no text.
    ValueError
        It has no unit, or one that is no length, or is not above 0.

    Examples
    --------
    >>> parse_pixel_size("50um")
    ((50.0, 'µm'), (50.0, 'µm'))
    >>> parse_pixel_size("0.5 mm, 400 µm")
    ((0.5, 'mm'), (400.0, 'µm'))
    """
    expected = "expected a length with its unit, like '50um', or two, '50um,40um'"
    if not isinstance(text, str):
        raise TypeError(f"pixel_size is {text!r}, {expected}.")
    parts = text.split(",")
    found = [_SIZE.fullmatch(part) for part in parts]
    if len(parts) > 2 or None in found:
        raise ValueError(f"pixel_size is {text!r}, {expected}.")
    sizes = [_checked(text, *match.groups()) for match in found if match]
    return sizes[0], sizes[-1]


def _checked(text: str, number: str, unit: str) -> Scale:
    if not unit:
        raise ValueError(
            f"pixel_size is {text!r}, which has no unit, expected one like '50um'."
        )
    if unit not in METRES:
        raise ValueError(
            f"pixel_size is {text!r}, and {unit!r} is no unit of length that is known "
            "here, expected nm, um, mm, cm or m."
        )
    try:
        size = float(number)
    except ValueError:
        size = math.nan
    if not (math.isfinite(size) and size > 0):
        raise ValueError(f"pixel_size is {text!r}, expected a number above 0.")
    if not _LEAST <= size * METRES[unit] <= _MOST:
        raise ValueError(f"pixel_size is {text!r}, expected one of 0.001 pm to 1000 km.")
    return size, "µm" if METRES[unit] == 1e-6 else unit


def in_one_unit(steps: tuple[Scale, Scale]) -> tuple[Scale, Scale]:
    """Return sizes of a pixel in the unit of x, if both units are lengths.

    Examples
    --------
    >>> in_one_unit(((0.5, "mm"), (400.0, "µm")))
    ((0.5, 'mm'), (0.4, 'mm'))
    """
    (x, x_unit), (y, y_unit) = steps
    if x_unit == y_unit or x_unit not in METRES or y_unit not in METRES:
        return steps
    factor = METRES[y_unit] / METRES[x_unit]
    return (x, x_unit), (float(f"{y * factor:.12g}"), x_unit)


def show_length(length: float, unit: str) -> str:
    """Show a length in the unit that makes its number 1 to 999.

    Examples
    --------
    >>> show_length(0.05, "mm"), show_length(2.0, "deg")
    ('50 µm', '2 deg')
    """
    if unit not in METRES:
        return f"{length:g} {unit}"
    metres = float(f"{length * METRES[unit]:.6g}")
    name = _unit_of(metres)
    return f"{metres / _SHOWN[name]:.6g} {name}"


def handy_unit(length: float, unit: str | None) -> tuple[float, str | None]:
    """Return another unit for an axis of which the numbers would be long.

    Parameters
    ----------
    length
        Of the axis, in its unit.
    unit
        Its unit.

    Returns
    -------
    tuple of float and str
        What a number is multiplied by, and the unit then: the same unless the unit is one of
        length, and the axis 10 000 of them or more, or less than 0.01.

    Examples
    --------
    >>> handy_unit(20_000.0, "um")
    (0.001, 'mm')
    >>> handy_unit(500.0, "um"), handy_unit(1e6, None)
    ((1.0, 'um'), (1.0, None))
    """
    if unit not in METRES or 0.01 <= length < 10_000:
        return 1.0, unit
    name = _unit_of(length * METRES[unit])
    return float(f"{METRES[unit] / _SHOWN[name]:.6g}"), name


def _unit_of(metres: float) -> str:
    """Return the unit that makes the number of a length 1 to 999."""
    fitting = [name for name, size in _SHOWN.items() if size <= metres * (1 + 1e-9)]
    return fitting[-1] if fitting else "pm"


def with_unit(name: str, unit: str | None) -> str:
    """Return the label of an axis.

    Examples
    --------
    >>> with_unit("x", "um"), with_unit("y", None)
    ('x (µm)', 'y (pixels)')
    """
    if (unit or "") in PIXELS:
        return f"{name} (pixels)"
    return verbatim(f"{name} ({'µm' if METRES.get(unit or '') == 1e-6 else unit})")
