"""Scale bars of a round length."""

import math
from typing import TYPE_CHECKING, Any

from rsciio_xfm.drawing.lengths import PIXELS, Scale, show_length
from rsciio_xfm.drawing.texts import text_width, verbatim

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHARE, _NARROW = 0.3, 1.2  # of the width of the map, twice as much below these inches
_POINTS, _THICK = 7.5, 2.2  # of its text, and of the bar
_ROOM = 0.42  # inches of height that a bar and its text need within a map
BELOW = 0.24  # inches that they need below it


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
    if unit in PIXELS:
        length = round_length(share * n_columns)
        if length < 1:
            return None
        return length * size, f"{length:g} pixel{'s' if length > 1 else ''}"
    length = round_length(share * n_columns * size)
    return length, show_length(length, unit)


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
