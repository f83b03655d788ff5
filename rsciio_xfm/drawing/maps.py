"""Drawing of maps for print: arrays in, matplotlib's axes out.

Figures are as wide as a page of a journal at most, 180 mm, and their text is 7 to 9 points
then. Everything is placed in inches and points, so that colour bars are as tall as their maps.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rsciio_xfm.drawing.colour_bars import bar_width, draw_bar, has_bar
from rsciio_xfm.drawing.contrast import choose_limits
from rsciio_xfm.drawing.layout import Grid, Margins, Wanted, arrange
from rsciio_xfm.drawing.lengths import Scale, handy_unit, in_one_unit, with_unit
from rsciio_xfm.drawing.page import LARGE, RAISED, SMALL, TICKS, shifted, size_of
from rsciio_xfm.drawing.palette import SAFE, class_colours
from rsciio_xfm.drawing.panels import CLASSES, Panel, Style
from rsciio_xfm.drawing.scale_bar import BELOW, draw_scale_bar, is_within
from rsciio_xfm.drawing.texts import (
    power_of,
    show_name,
    show_number,
    text_width,
    verbatim,
    with_power,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAN = "0.75"
_LINE = 0.155  # inches, of a line of text above a map
_STRETCHED = 20.0  # a map that is longer than this is not drawn to scale
_LONGEST_NAME = 2.3  # inches: a longer one is written in lines
_LINE_RATIO = 0.45  # height to width of the graph of a line scan


def draw_maps(panels: Sequence[Panel], style: Style | None = None) -> np.ndarray:
    """Draw maps side by side, each with its name and colour bar, and a scale bar.

    Parameters
    ----------
    panels
        The maps, or lines. Maps of what was not found are grey.
    style
        How.

    Returns
    -------
    numpy.ndarray
        matplotlib's axes, one for each map, of a figure that is 180 mm wide at most.

    Raises
    ------
    ValueError
        There is no map.
    """
    import matplotlib.pyplot as plt

    if not panels:
        raise ValueError("There is no map to draw, expected one or more.")
    style = style or Style()
    panels = [as_drawn(one) for one in panels]
    grid, lines = _make_grid(panels, style)
    figure = plt.figure(figsize=grid.figsize)
    scales: set[tuple[float, str | None]] = set()
    axes = []
    for k, panel in enumerate(panels):
        ax = figure.add_axes(grid.place(k), anchor="NW")
        # One scale bar does for all maps that have one scale.
        own = _scale(panel, grid.size)
        draw_map(ax, panel, replace(style, scalebar=style.scalebar and own not in scales))
        scales.add(own)
        if lines > 1:
            _lift_name(ax, panel, grid.size[0] + grid.margins.right)
        axes.append(ax)
    return np.array(axes)


def draw_map(ax: "Axes", panel: Panel, style: Style | None = None) -> "Axes":
    """Draw a map, or a line, into axes.

    Parameters
    ----------
    ax
        Where to; for a map best as high to wide as it is.
    panel
        The map.
    style
        How.

    Returns
    -------
    matplotlib.axes.Axes
        The same. Its scale bar is there if both axes have one unit, and the map is drawn to
        scale; otherwise axes have ticks.
    """
    style = style or Style()
    panel = as_drawn(panel)
    _write_name(ax, panel, _drawn_size(panel, size_of(ax)))
    if panel.image.ndim == 1:
        return _draw_line(ax, panel)
    drawn = _draw_pixels(ax, panel, style)
    _draw_axes(ax, panel, style)
    if has_bar(panel, style):
        draw_bar(ax, drawn, panel, style)
    return ax


def as_drawn(panel: Panel) -> Panel:
    """Return a map with pixels of sizes above 0, in one unit if both are lengths."""
    steps = tuple((abs(size) or 1.0, unit) for size, unit in panel.steps)
    is_map = len(steps) > 1
    return replace(panel, steps=in_one_unit((steps[0], steps[1])) if is_map else steps)


# Where everything is.


def _ratio(panel: Panel) -> float:
    """Return height to width of a map as it is."""
    if panel.image.ndim == 1:
        return _LINE_RATIO
    n_rows, n_columns = panel.image.shape[:2]
    if not n_rows or not n_columns:
        raise ValueError(f"The map {panel.name!r} has no pixels.")
    return n_rows * panel.steps[1][0] / (n_columns * panel.steps[0][0])


def _is_to_scale(panel: Panel) -> bool:
    is_one_unit = panel.steps[0][1] == panel.steps[-1][1]
    return is_one_unit and 1 / _STRETCHED <= _ratio(panel) <= _STRETCHED


def shown_ratio(panel: Panel) -> float:
    """Return height to width of a map as it is drawn."""
    if not _is_to_scale(panel):
        n_rows, n_columns = panel.image.shape[:2]
        is_one_unit = panel.steps[0][1] == panel.steps[1][1]
        ratio = _ratio(panel) if is_one_unit else n_rows / n_columns
        return float(np.clip(ratio, 0.12, 4.0))
    return _ratio(panel)


def _make_grid(panels: Sequence[Panel], style: Style) -> tuple[Grid, int]:
    """Return where maps lie, and how many lines of text are above each."""
    ratio = max(shown_ratio(panel) for panel in panels)
    least = min(_LONGEST_NAME, max(_name_width(panel) for panel in panels))
    wanted = Wanted(len(panels), ratio, least, style.per_row)
    has_ticks = any(not _is_to_scale(panel) for panel in panels)
    has_axes = has_ticks or any(panel.image.ndim == 1 for panel in panels)
    margins = Margins(
        left=0.6 if has_ticks else 0.55 if has_axes else 0.04,
        right=max(
            0.08 + max(bar_width(panel, style) for panel in panels),
            0.2 if has_ticks else 0.0,  # half of the last number
        ),
        top=0.24 if least > 0.06 else 0.06,  # without names
        bottom=0.45 if has_axes else 0.08,
    )
    grid = arrange(wanted, margins)
    lines = max(_name_lines(panel, grid) for panel in panels)
    margins = replace(margins, top=margins.top + (lines - 1) * _LINE)
    if style.scalebar and not all(_is_bar_inside(panel, grid) for panel in panels):
        margins = replace(margins, bottom=max(margins.bottom, BELOW))
    return arrange(wanted, margins), lines


def _drawn_size(panel: Panel, size: Sequence[float]) -> tuple[float, float]:
    """Return width and height of a map in a place of a size, inches."""
    if panel.image.ndim == 1 or not _is_to_scale(panel):
        return size[0], size[1]
    width = min(size[0], size[1] / _ratio(panel))
    return width, width * _ratio(panel)


def _scale(panel: Panel, size: Sequence[float]) -> tuple[float, str | None]:
    """Return how long an inch of a map is, and the unit; 0 without a scale."""
    if panel.image.ndim == 1 or not _is_to_scale(panel):
        return 0.0, None
    length = panel.image.shape[1] * panel.steps[0][0]
    return float(f"{length / _drawn_size(panel, size)[0]:.6g}"), panel.steps[0][1]


def _name_width(panel: Panel) -> float:
    """Return the inches that the name of a map needs."""
    return text_width(show_name(panel.name), LARGE) + 0.06


def _name_lines(panel: Panel, grid: Grid) -> int:
    """Return how many lines of text are above a map, if the unit is one of them."""
    if _name_width(panel) <= grid.size[0]:
        return 1
    room = grid.size[0] + grid.margins.right - 0.06
    return 2 + wrapped(show_name(panel.name), room, LARGE).count("\n")


def _is_bar_inside(panel: Panel, grid: Grid) -> bool:
    if panel.image.ndim == 1 or not _is_to_scale(panel):
        return True
    own = _drawn_size(panel, grid.size)
    return is_within(own, panel.image.shape[1], panel.steps[0])


# Names, pixels, axes.


def _write_name(ax: "Axes", panel: Panel, size: tuple[float, float]) -> None:
    """Write the name of a map above it, and beside it, or into the map, what is said of it.

    Parameters
    ----------
    ax, panel
        As of :func:`draw_map`.
    size
        Width and height of the map, inches.
    """
    width = size[0]
    ax.set_title(verbatim(show_name(panel.name)), loc="left", fontsize=LARGE, pad=RAISED)
    if not panel.remark:
        return
    needed = text_width(panel.remark, SMALL)
    if _name_width(panel) + 0.1 + needed <= width:
        options: dict[str, Any] = {"fontsize": SMALL, "color": "0.35", "pad": RAISED}
        ax.set_title(verbatim(panel.remark), loc="right", **options)
        return
    # A map that is narrower than a word has it from below to above.
    longest = max(text_width(word, SMALL) for word in panel.remark.split())
    is_upright = longest > width - 0.1
    room = size[1] if is_upright else width
    text = verbatim(wrapped(panel.remark, room - 0.1, SMALL))
    ax.text(
        0, 1, text, va="top", color="white",
        transform=ax.transAxes + shifted(ax, 0.05, -0.05), fontsize=SMALL,
        rotation=90 if is_upright else 0,
        bbox={"facecolor": "black", "alpha": 0.5, "linewidth": 0, "pad": 1.5},
    )  # fmt: skip


def _lift_name(ax: "Axes", panel: Panel, width: float) -> None:
    """Put the name of a map one line higher than the unit beside it; a long one in lines."""
    name = verbatim(wrapped(show_name(panel.name), width - 0.06, LARGE))
    options: dict[str, Any] = {"fontsize": LARGE, "pad": RAISED + 72 * _LINE}
    if "\n" in name:
        options |= {"va": "bottom", "pad": options["pad"] - 2, "linespacing": 1.1}
    ax.set_title(name, loc="left", **options)


def _draw_pixels(ax: "Axes", panel: Panel, style: Style) -> Any:
    from matplotlib import colormaps

    (x_step, _), (y_step, _) = panel.steps
    n_rows, n_columns = panel.image.shape[:2]
    options: dict[str, Any] = {"interpolation": "antialiased"}
    if panel.kind == CLASSES:
        colours, n_classes = _colours_of(panel.image)
        options |= {"cmap": colours, "vmin": -0.5, "vmax": n_classes - 0.5}
        options["interpolation"] = "nearest"
    elif panel.image.ndim == 2:
        low, high, name = choose_limits(panel, style)
        colours = colormaps[name].with_extremes(bad=_NAN)
        options |= {"cmap": colours, "vmin": low, "vmax": high}
    extent = (0, n_columns * x_step, n_rows * y_step, 0)
    drawn = ax.imshow(panel.image, extent=extent, **options)
    if not _is_to_scale(panel):
        ax.set_aspect("auto")
    for side in ax.spines.values():
        side.set_linewidth(0.6)
    return drawn


def _colours_of(labels: np.ndarray) -> tuple[Any, int]:
    from matplotlib.colors import ListedColormap

    n_classes = max(1, int(labels.max(initial=0)) + 1)
    colours = ListedColormap(class_colours(n_classes))
    return colours.with_extremes(under="0.9"), n_classes  # grey: of no class


def _draw_axes(ax: "Axes", panel: Panel, style: Style) -> None:
    if not _is_to_scale(panel):
        _draw_ticks(ax, panel)
        return
    ax.set(xticks=[], yticks=[])
    if style.scalebar:
        own = _drawn_size(panel, size_of(ax))
        draw_scale_bar(ax, panel.image.shape[1], panel.steps[0], own)


def _draw_ticks(ax: "Axes", panel: Panel) -> None:
    """Draw the axes of a map that is not drawn to scale."""
    from matplotlib.ticker import MaxNLocator

    ax.tick_params(**TICKS)
    size = size_of(ax)
    each = zip((ax.xaxis, ax.yaxis), "xy", panel.steps, (1, 0), strict=True)
    for axis, name, step, along in each:
        if panel.image.shape[along] == 1 and panel.image.shape[1 - along] > 1:
            axis.set_ticks([])  # a single row, drawn as high as can be seen
            continue
        n = int(np.clip(size[1 - along] / 0.35, 1, 6))
        axis.set_major_locator(MaxNLocator(n, steps=[1, 2, 5, 10]))
        _label_axis(axis, name, step, panel.image.shape[along])


def _label_axis(axis: Any, name: str, step: Scale, n_pixels: int) -> None:
    """Write lengths on an axis, in a unit that makes them short."""
    factor, unit = handy_unit(n_pixels * step[0], step[1])
    if factor != 1:
        axis.set_major_formatter(lambda value, _: f"{value * factor:.6g}")
    axis.set_label_text(with_unit(name, unit), fontsize=SMALL)


def _draw_line(ax: "Axes", panel: Panel) -> "Axes":
    size, _ = panel.steps[0]
    colour = SAFE[0] if panel.is_found else "0.5"
    ax.axhline(0, color="0.8", lw=0.8, zorder=0)
    x = np.arange(panel.image.size) * size
    marker = "o" if panel.image.size == 1 else None
    ax.plot(x, panel.image, lw=1, color=colour, marker=marker, ms=3)
    ax.tick_params(**TICKS)
    _label_axis(ax.xaxis, "x", panel.steps[0], panel.image.size)
    low, high = ax.get_ylim()
    power = power_of(max(abs(low), abs(high)))
    ax.yaxis.set_major_formatter(lambda value, _: show_number(value, power))
    ax.set_ylabel(verbatim(with_power(panel.unit, power)), fontsize=SMALL)
    ax.xaxis.labelpad = ax.yaxis.labelpad = 2
    for side in ax.spines.values():
        side.set_linewidth(0.6)
    return ax
