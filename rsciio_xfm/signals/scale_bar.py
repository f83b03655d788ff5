"""Lengths on maps: pixel sizes as users write them, and scale bars of a round length."""

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
_PIXELS = ("", "px", "pix", "pixel", "pixels")
_SIZE = re.compile(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([^\W\d_]*)\s*")
_SHARE, _NARROW = 0.3, 1.2  # of the width of the map, twice as much below these inches
_POINTS, _THICK = 7.5, 2.2  # of its text, and of the bar
_ROOM = 0.42  # inches of height that a bar and its text need within a map
BELOW = 0.24  # inches that they need below it


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


def round_length(most: float) -> float:
    """Return 1, 2 or 5 times a power of ten, the largest that is not above a length.

    Examples
    --------
    >>> round_length(0.37), round_length(64)
    (0.2, 50.0)
    """
    power = 10.0 ** math.floor(math.log10(most))
    best = max(n for n in (1, 2, 5) if n * power <= most * (1 + 1e-9))
    return float(f"{best * power:.3g}")


def choose_bar(
    n_columns: int, step: Scale, share: float = _SHARE
) -> tuple[float, str] | None:
    """Choose a scale bar of a round length for a map.

    Parameters
    ----------
    n_columns
        Of the map.
    step
        Size and unit of a pixel along x.
    share
        Of the width of the map: the most that it is long.

    Returns
    -------
    tuple of float and str
        Its length in the unit of the axis, and its text, in a unit that makes the number
        handy. None: the map has no unit, and is less than a few pixels wide.

    Examples
    --------
    >>> choose_bar(1000, (1e-4, "mm"))
    (0.02, '20 µm')
    >>> choose_bar(100, (1.0, None))
    (20.0, '20 pixels')
    """
    size, unit = abs(step[0]), step[1] or ""
    if unit in _PIXELS:
        length = round_length(share * n_columns)
        if length < 1:
            return None
        return length * size, f"{length:g} pixel{'s' if length > 1 else ''}"
    length = round_length(share * n_columns * size)
    return length, show_length(length, unit)


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
    fitting = [name for name, size in _SHOWN.items() if size <= metres * (1 + 1e-9)]
    name = fitting[-1] if fitting else "pm"
    return f"{metres / _SHOWN[name]:.6g} {name}"


def with_unit(name: str, unit: str | None) -> str:
    """Return the label of an axis.

    Examples
    --------
    >>> with_unit("x", "um"), with_unit("y", None)
    ('x (µm)', 'y (pixels)')
    """
    if (unit or "") in _PIXELS:
        return f"{name} (pixels)"
    return verbatim(f"{name} ({'µm' if METRES.get(unit or '') == 1e-6 else unit})")


def verbatim(text: str) -> str:
    r"""Return text as matplotlib draws it letter by letter, whatever a file has as a name.

    Between two dollar signs it takes text for mathematics, which it may not be able to read,
    and what begins with an underscore it leaves out of a legend.

    Examples
    --------
    >>> print(verbatim("$5 and $6"), verbatim("zircon"), verbatim("_1"), sep="|")
    \$5 and \$6|zircon| _1
    """
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def text_width(text: str, points: float) -> float:
    """Return the width of a line of text, inches."""
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    return (
        float(TextPath((0, 0), text.replace("$", ""), size=points).get_extents().x1) / 72
    )


def is_within(size: tuple[float, float], n_columns: int, step: Scale) -> bool:
    """Tell whether a scale bar and its text fit into a map, width and height in inches."""
    chosen = choose_bar(n_columns, step, _share(size[0]))
    if chosen is None:
        return True
    share = _share(size[0]) * size[0]
    return (
        size[1] >= _ROOM and max(text_width(chosen[1], _POINTS), share) < size[0] - 0.16
    )


def _share(width: float) -> float:
    return _SHARE if width >= _NARROW else 2 * _SHARE


def draw_scale_bar(
    ax: "Axes", n_columns: int, step: Scale, size: tuple[float, float]
) -> None:
    """Draw a bar of a round length into the lower left corner of a map, or below it.

    Parameters
    ----------
    ax
        Of an image whose extent is in the unit.
    n_columns, step
        As of :func:`choose_bar`.
    size
        Width and height of the map, inches: where there is room in it, the bar is white on
        a dark ground.
    """
    from matplotlib.font_manager import FontProperties
    from mpl_toolkits.axes_grid1.anchored_artists import (  # type: ignore[import-untyped]
        AnchoredSizeBar,
    )

    chosen = choose_bar(n_columns, step, _share(size[0]))
    if chosen is None:
        return
    length, text = chosen
    is_inside = is_within(size, n_columns, step)
    place: dict[str, Any] = {}
    if not is_inside:
        place = {"bbox_to_anchor": (0, 0), "bbox_transform": ax.transAxes}
    bar = AnchoredSizeBar(
        ax.transData,
        length,
        verbatim(text),
        loc="lower left" if is_inside else "upper left",
        pad=0.35 if is_inside else 0.0,
        borderpad=0.35,
        sep=2.5,
        frameon=is_inside,
        size_vertical=_THICK / 72 / size[0] * n_columns * abs(step[0]),
        color="white" if is_inside else "black",
        label_top=is_inside,
        fontproperties=FontProperties(size=_POINTS),
        **place,
    )
    # What is drawn over the map is legible on any colour.
    bar.patch.set(facecolor="black", alpha=0.5, linewidth=0)
    ax.add_artist(bar)
