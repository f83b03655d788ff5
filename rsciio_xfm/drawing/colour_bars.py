"""Colour bars beside maps, as tall as they are."""

from typing import TYPE_CHECKING, Any

import numpy as np

from rsciio_xfm.drawing.contrast import choose_limits
from rsciio_xfm.drawing.page import RAISED, SMALL, TICKS, size_of
from rsciio_xfm.drawing.panels import CLASSES, COUNTS, Panel, Style
from rsciio_xfm.drawing.texts import (
    power_of,
    show_number,
    text_width,
    verbatim,
    with_power,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

_BAR, _PAD, _TICK = 0.085, 0.05, 0.06  # inches: colour bar, beside its map, its ticks
_APART = 0.11  # inches from number to number, at least


def has_bar(panel: Panel, style: Style) -> bool:
    """Tell whether a map has a colour bar: pictures in colours, and maps of NaN, have none."""
    is_of_numbers = panel.image.ndim == 2 and bool(np.isfinite(panel.image).any())
    return style.colorbar and is_of_numbers


def bar_width(panel: Panel, style: Style) -> float:
    """Return the inches that a colour bar needs beside its map."""
    if not has_bar(panel, style):
        return 0.0
    unit, ticks = _bar_texts(panel, style)
    widest = max((text_width(text, SMALL) for text in ticks), default=0.0)
    return _PAD + max(_BAR + _TICK + widest, text_width(unit, SMALL)) + 0.02


def draw_bar(ax: "Axes", drawn: Any, panel: Panel, style: Style) -> None:
    """Draw a colour bar beside a map, as tall as it is."""
    bar_axes = ax.inset_axes((1.02, 0, 0.05, 1))
    bar_axes.set_axes_locator(_Beside(ax))
    if panel.kind == CLASSES:
        n_classes = round(drawn.norm.vmax + 0.5)
        bar = ax.figure.colorbar(
            drawn, cax=bar_axes, ticks=range(0, n_classes, max(1, n_classes // 12))
        )
        bar.ax.minorticks_off()
    else:
        bar = _numbers_bar(ax, bar_axes, drawn, panel)
    bar.outline.set_linewidth(0.6)
    bar.ax.tick_params(**TICKS)


def _bar_texts(panel: Panel, style: Style) -> tuple[str, list[str]]:
    if panel.kind == CLASSES:
        return "", [str(max(0, int(panel.image.max(initial=0))))]
    low, high, _ = choose_limits(panel, style)
    power = power_of(max(abs(low), abs(high)))
    ticks = [v for v in _locator(5).tick_values(low, high) if low <= v <= high]
    return with_power(panel.unit, power), [show_number(value, power) for value in ticks]


def _numbers_bar(ax: "Axes", bar_axes: "Axes", drawn: Any, panel: Panel) -> Any:
    low, high = drawn.get_clim()
    finite = panel.image[np.isfinite(panel.image)]
    is_more = bool(finite.max(initial=low) > high)
    # Noise of counts is below 0 everywhere, and worth no arrow.
    is_less = bool(finite.min(initial=high) < low) and panel.kind != COUNTS
    extend = {(0, 0): "neither", (0, 1): "max", (1, 0): "min", (1, 1): "both"}
    height = size_of(ax)[1]
    power = power_of(max(abs(low), abs(high)))
    bar = ax.figure.colorbar(
        drawn,
        cax=bar_axes,
        extend=extend[is_less, is_more],
        extendfrac=float(np.clip(0.07 / height, 0.02, 0.15)),
        ticks=_ticks(low, high, height),
        format=lambda value, _: show_number(value, power),
    )
    bar.ax.set_title(
        verbatim(with_power(panel.unit, power)), loc="left", fontsize=SMALL, pad=RAISED
    )
    return bar


class _Beside:
    """Places axes beside a map: as tall as it is drawn, and of a fixed width."""

    def __init__(self, ax: "Axes") -> None:
        self._ax = ax

    def __call__(self, ax: Any, renderer: Any) -> "Bbox":
        from matplotlib.transforms import Bbox

        # The place of the map that keeps the ratio of its sides.
        self._ax.apply_aspect()
        place = self._ax.get_position()
        width = ax.figure.bbox.width / ax.figure.dpi
        left = place.x1 + _PAD / width
        return Bbox.from_extents(left, place.y0, left + _BAR / width, place.y1)


def _locator(n: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(n, steps=[1, 2, 2.5, 5, 10])


def _ticks(low: float, high: float, height: float) -> Any:
    """Return what places ticks on a colour bar of a height, inches."""
    locator = _locator(int(np.clip(height / 0.24, 1, 5)))
    places = [v for v in locator.tick_values(low, high) if low <= v <= high]
    gaps = np.diff(places) * height / (high - low)
    if gaps.min(initial=1.0) > _APART:
        return locator
    # There is room for the numbers of both ends only, or for that of the upper one.
    return [low, high] if height > 2 * _APART else [high]
