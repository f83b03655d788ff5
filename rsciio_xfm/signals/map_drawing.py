"""Drawing of maps for print: arrays in, matplotlib's axes out.

Figures are as wide as a page of a journal at most, 180 mm, and their text is 7 to 9 points
then. Everything is placed in inches and points, so that colour bars are as tall as their maps.
"""

import difflib
import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rsciio_xfm.signals.map_layout import Grid, Margins, Wanted, arrange
from rsciio_xfm.signals.scale_bar import (
    BELOW,
    Scale,
    draw_scale_bar,
    in_one_unit,
    is_within,
    text_width,
    verbatim,
    with_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

PERCENTILE = 99.5
COUNTS, DIFFERENCE, CLASSES = "counts", "difference", "classes"  # kinds of images

_SIGMAS = 4.0  # of a pixel: the least that is as bright as can be
_STRONG, _FEW = 6.0, 4  # sigma, and how many such pixels are no accident
_EVEN = 0.5  # what is nowhere below this share of its highest values does not start at 0
_COLOURS, _GREY, _AROUND_0 = "inferno", "gray", "RdBu_r"
_DIVERGING = (
    "BrBG", "PRGn", "PiYG", "PuOr", "RdBu", "RdGy", "RdYlBu", "RdYlGn", "Spectral", "berlin",
    "bwr", "coolwarm", "managua", "seismic", "vanimo",
)  # fmt: skip
_NAN = "0.75"
_NAME, _SMALL, _RAISED = 8.5, 7.0, 5.0  # points of text, and above a map
_TICKS: dict[str, Any] = {"labelsize": _SMALL, "length": 2.5, "width": 0.6, "pad": 2}
_BAR, _PAD, _TICK = 0.085, 0.05, 0.06  # inches: colour bar, beside its map, its ticks
_APART = 0.11  # inches from number to number, at least
_LINE = 0.155  # inches, of a line of text above a map
_STRETCHED = 20.0  # a map that is longer than this is not drawn to scale
_LINE_RATIO = 0.45  # height to width of the graph of a line scan
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_GREEK = {"a": "α", "b": "β", "g": "γ", "l": "ℓ", "n": "η"}  # noqa: RUF001
_RGB = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_NAME_OF_LINE = re.compile(r"(\w+)_([KLMN])([abgln]?)(\d*)")
# Of Okabe and Ito, https://jfly.uni-koeln.de/color: told apart whatever the eyes. Their
# yellow is too pale for lines on white; brown is in its place.
SAFE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5F3F")
# The first six of them, and others as far from these and each other as can be, as they are
# seen with all cones, without red and without green ones (Machado et al. 2009).
_CLASSES = (
    *SAFE[:6], "#331A00", "#8066FF", "#4DFF99", "#803300", "#E61A4D", "#000080", "#E6E666",
    "#804D66", "#4D1ACC", "#004DB3",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Panel:
    """A map to be drawn.

    Attributes
    ----------
    name, remark
        What is written above the map, and what in grey beside it.
    image
        Shape (y, x), or (y, x, 3) for colours, or (x,) of a line.
    steps
        Size and unit of a pixel along x and y; of a line along x.
    unit
        Of its values: ``"counts"``.
    kind
        ``"counts"``: from 0 on, and what is below is noise; ``"difference"``: around 0;
        ``"classes"``: whole numbers, negative for none; ``""``: as its values ask for.
    sigma
        The standard deviation of a pixel, if it is known.
    is_found
        False draws the map in grey.
    """

    name: str
    image: np.ndarray
    steps: Sequence[Scale] = ((1.0, None), (1.0, None))
    unit: str = ""
    kind: str = ""
    sigma: float = 0.0
    remark: str = ""
    is_found: bool = True


@dataclass(frozen=True)
class Style:
    """How maps are drawn: parameters of :func:`rsciio_xfm.plot_maps`."""

    cmap: str | None = None
    percentile: float = PERCENTILE
    per_row: int | None = None
    scalebar: bool = True
    colorbar: bool = True

    def __post_init__(self) -> None:
        check_percentile(self.percentile)
        check_cmap(self.cmap)


def check_percentile(percentile: Any) -> None:
    """Refuse what is no percentile.

    Raises
    ------
    ValueError
        It is none.
    """
    if not (isinstance(percentile, int | float) and 0 <= percentile <= 100):
        raise ValueError(f"percentile is {percentile!r}, expected 0 to 100.")


def check_cmap(name: Any) -> None:
    """Refuse what is no colour map of matplotlib.

    Raises
    ------
    ValueError
        It says which may be meant.
    """
    from matplotlib import colormaps

    if name is None or (isinstance(name, str) and name in colormaps):
        return
    by_lower = {known.lower(): known for known in colormaps}
    near = difflib.get_close_matches(str(name).lower(), by_lower, 3)
    meant = [by_lower[one] for one in near] or ["inferno", "viridis", "cividis", "gray"]
    raise ValueError(
        f"cmap is {name!r}, expected the name of a colour map of matplotlib, like "
        f"{', '.join(meant)}."
    )


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
    panels = [replace(one, steps=_steps(one)) for one in panels]
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
            _lift_name(ax)
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
    panel = replace(panel, steps=_steps(panel))
    _write_name(ax, panel, _drawn_size(panel, _inches(ax)))
    if panel.image.ndim == 1:
        return _draw_line(ax, panel)
    drawn = _draw_pixels(ax, panel, style)
    _draw_axes(ax, panel, style)
    if style.colorbar and panel.image.ndim == 2:
        _draw_bar(ax, drawn, panel, style)
    return ax


def _steps(panel: Panel) -> tuple[Scale, ...]:
    steps = tuple((abs(size) or 1.0, unit) for size, unit in panel.steps)
    return in_one_unit((steps[0], steps[1])) if len(steps) > 1 else steps


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


def _shown_ratio(panel: Panel) -> float:
    """Return height to width of a map as it is drawn."""
    if not _is_to_scale(panel):
        n_rows, n_columns = panel.image.shape[:2]
        is_one_unit = panel.steps[0][1] == panel.steps[1][1]
        ratio = _ratio(panel) if is_one_unit else n_rows / n_columns
        return float(np.clip(ratio, 0.12, 4.0))
    return _ratio(panel)


def _make_grid(panels: Sequence[Panel], style: Style) -> tuple[Grid, int]:
    """Return where maps lie, and how many lines of text are above each."""
    ratio = max(_shown_ratio(panel) for panel in panels)
    least = max(_name_width(panel) for panel in panels)
    wanted = Wanted(len(panels), ratio, least, style.per_row)
    has_ticks = any(p.image.ndim == 1 or not _is_to_scale(p) for p in panels)
    margins = Margins(
        left=0.55 if has_ticks else 0.04,
        right=0.08 + max(_bar_width(panel, style) for panel in panels),
        top=0.24 if least > 0.06 else 0.06,  # without names
        bottom=0.45 if has_ticks else 0.08,
    )
    grid = arrange(wanted, margins)
    lines = 2 if any(_name_width(panel) > grid.size[0] for panel in panels) else 1
    if lines > 1:
        margins = replace(margins, top=margins.top + _LINE)
    if style.scalebar and not all(_is_bar_inside(panel, grid) for panel in panels):
        margins = replace(margins, bottom=max(margins.bottom, BELOW))
    return arrange(wanted, margins), lines


def _drawn_size(panel: Panel, size: Sequence[float]) -> tuple[float, float]:
    """Return width and height of a map in a place of a size, inches."""
    if panel.image.ndim == 1 or not _is_to_scale(panel):
        return size[0], size[1]
    width = min(size[0], size[1] / _ratio(panel))
    return width, width * _ratio(panel)


def _inches(ax: "Axes") -> tuple[float, float]:
    """Return width and height of axes."""
    return ax.bbox.width / ax.figure.dpi, ax.bbox.height / ax.figure.dpi


def _scale(panel: Panel, size: Sequence[float]) -> tuple[float, str | None]:
    """Return how long an inch of a map is, and the unit; 0 without a scale."""
    if panel.image.ndim == 1 or not _is_to_scale(panel):
        return 0.0, None
    length = panel.image.shape[1] * panel.steps[0][0]
    return float(f"{length / _drawn_size(panel, size)[0]:.6g}"), panel.steps[0][1]


def _name_width(panel: Panel) -> float:
    """Return the inches that the name of a map needs."""
    return text_width(show_name(panel.name), _NAME) + 0.06


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
    ax.set_title(verbatim(show_name(panel.name)), loc="left", fontsize=_NAME, pad=_RAISED)
    if not panel.remark:
        return
    needed = text_width(panel.remark, _SMALL)
    if _name_width(panel) + 0.1 + needed <= width:
        options: dict[str, Any] = {"fontsize": _SMALL, "color": "0.35", "pad": _RAISED}
        ax.set_title(verbatim(panel.remark), loc="right", **options)
        return
    # A map that is narrower than a word has it from below to above.
    longest = max(text_width(word, _SMALL) for word in panel.remark.split())
    is_upright = longest > width - 0.1
    room = size[1] if is_upright else width
    n_letters = int((room - 0.1) / needed * len(panel.remark))
    text = verbatim(textwrap.fill(panel.remark, max(8, n_letters)))
    ax.text(
        0, 1, text, va="top", color="white",
        transform=ax.transAxes + _translation(ax, 0.05, -0.05), fontsize=_SMALL,
        rotation=90 if is_upright else 0,
        bbox={"facecolor": "black", "alpha": 0.5, "linewidth": 0, "pad": 1.5},
    )  # fmt: skip


def _translation(ax: "Axes", x: float, y: float) -> Any:
    """Return what moves a place on a figure by inches."""
    from matplotlib.transforms import ScaledTranslation

    return ScaledTranslation(x, y, ax.figure.dpi_scale_trans)


def _lift_name(ax: "Axes") -> None:
    """Put the name of a map one line higher than the unit beside it."""
    title = ax.get_title(loc="left")
    ax.set_title(title, loc="left", fontsize=_NAME, pad=_RAISED + 72 * _LINE)


def _is_bar_inside(panel: Panel, grid: Grid) -> bool:
    if panel.image.ndim == 1 or not _is_to_scale(panel):
        return True
    own = _drawn_size(panel, grid.size)
    return is_within(own, panel.image.shape[1], panel.steps[0])


# Axes and scale bars.


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


def _draw_axes(ax: "Axes", panel: Panel, style: Style) -> None:
    if not _is_to_scale(panel):
        _draw_ticks(ax, panel)
        return
    ax.set(xticks=[], yticks=[])
    if style.scalebar:
        own = _drawn_size(panel, _inches(ax))
        draw_scale_bar(ax, panel.image.shape[1], panel.steps[0], own)


def _draw_ticks(ax: "Axes", panel: Panel) -> None:
    """Draw the axes of a map that is not drawn to scale."""
    from matplotlib.ticker import MaxNLocator

    ax.tick_params(**_TICKS)
    size = _inches(ax)
    each = zip((ax.xaxis, ax.yaxis), "xy", panel.steps, (1, 0), strict=True)
    for axis, name, (_, unit), along in each:
        if panel.image.shape[along] == 1 and panel.image.shape[1 - along] > 1:
            axis.set_ticks([])  # a single row, drawn as high as can be seen
            continue
        n = int(np.clip(size[1 - along] / 0.35, 1, 6))
        axis.set_major_locator(MaxNLocator(n, steps=[1, 2, 5, 10]))
        axis.set_label_text(with_unit(name, unit), fontsize=_SMALL)


def _draw_line(ax: "Axes", panel: Panel) -> "Axes":
    size, unit = panel.steps[0]
    colour = SAFE[0] if panel.is_found else "0.5"
    ax.axhline(0, color="0.8", lw=0.8, zorder=0)
    x = np.arange(panel.image.size) * size
    marker = "o" if panel.image.size == 1 else None
    ax.plot(x, panel.image, lw=1, color=colour, marker=marker, ms=3)
    ax.tick_params(**_TICKS)
    ax.set_xlabel(with_unit("x", unit), fontsize=_SMALL, labelpad=2)
    ax.set_ylabel(verbatim(panel.unit), fontsize=_SMALL, labelpad=2)
    for side in ax.spines.values():
        side.set_linewidth(0.6)
    return ax


# Contrast.


def brightest(image: np.ndarray, sigma: float, percentile: float = PERCENTILE) -> float:
    """Return the counts that are drawn as bright as can be, whatever a few pixels have.

    Examples
    --------
    >>> import numpy as np
    >>> brightest(np.array([0.0, 1.0, 2.0]), sigma=3.0)
    12.0
    """
    check_percentile(percentile)
    finite = image[np.isfinite(image)]
    highest = float(np.percentile(finite, percentile)) if finite.size else 0.0
    strong = finite[finite > _STRONG * sigma]
    if strong.size >= _FEW:  # grains that are fewer than the percentile leaves out
        highest = max(highest, float(np.median(strong)))
    return max(highest, _SIGMAS * sigma) or 1.0


def choose_limits(panel: Panel, style: Style) -> tuple[float, float, str]:
    """Return the values at the ends of a scale of colours, and which colours.

    Parameters
    ----------
    panel
        A map of numbers.
    style
        A diverging `cmap` asks for a scale around 0.
    """
    image, percentile = panel.image, style.percentile
    finite = image[np.isfinite(image)]
    lowest = float(finite.min(initial=0.0))
    is_free = panel.kind not in (COUNTS, DIFFERENCE)
    asked = (style.cmap or "").removesuffix("_r") in _DIVERGING
    if panel.kind == DIFFERENCE or asked or (is_free and lowest < 0):
        limit = float(np.percentile(np.abs(finite), percentile)) if finite.size else 0.0
        limit = limit or float(np.abs(finite).max(initial=0.0)) or 1.0
        return -limit, limit, style.cmap or _AROUND_0
    high = brightest(image, panel.sigma, percentile)
    low = float(np.percentile(finite, 100 - percentile)) if finite.size else 0.0
    if not is_free or low <= _EVEN * high or low >= high:
        low = 0.0
    if high <= low:  # noise of counts alone
        high = low + 1.0
    return low, high, style.cmap or (_COLOURS if panel.is_found else _GREY)


# Colour bars.


def _bar_width(panel: Panel, style: Style) -> float:
    """Return the inches that a colour bar needs beside its map."""
    if not style.colorbar or panel.image.ndim != 2:
        return 0.0
    unit, ticks = _bar_texts(panel, style)
    widest = max((text_width(text, _SMALL) for text in ticks), default=0.0)
    return _PAD + max(_BAR + _TICK + widest, text_width(unit, _SMALL)) + 0.02


def _bar_texts(panel: Panel, style: Style) -> tuple[str, list[str]]:
    if panel.kind == CLASSES:
        return "", [str(max(0, int(panel.image.max(initial=0))))]
    low, high, _ = choose_limits(panel, style)
    power = _power(max(abs(low), abs(high)))
    ticks = [v for v in _locator(5).tick_values(low, high) if low <= v <= high]
    return _unit(panel.unit, power), [_show(value, power) for value in ticks]


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
    # The bar is as low as the text is high: its ends do, or its upper one.
    return [low, high] if height > 2 * _APART else [high]


def _power(highest: float) -> int:
    """Return the power of ten that numbers on a scale are written in."""
    if not highest or 0.01 <= highest < 10_000:
        return 0
    return 3 * math.floor(math.log10(highest) / 3)


def _show(value: float, power: int) -> str:
    return f"{value / 10.0**power:.6g}".replace("-", "−")  # noqa: RUF001


def _unit(unit: str, power: int) -> str:
    factor = f"10{str(power).translate(_SUPERSCRIPTS)}" if power else ""
    return f"{factor} {unit}".strip()


def _draw_bar(ax: "Axes", drawn: Any, panel: Panel, style: Style) -> None:
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
    bar.ax.tick_params(**_TICKS)


def _numbers_bar(ax: "Axes", bar_axes: "Axes", drawn: Any, panel: Panel) -> Any:
    low, high = drawn.get_clim()
    finite = panel.image[np.isfinite(panel.image)]
    is_more = bool(finite.max(initial=low) > high)
    # Noise of counts is below 0 everywhere, and worth no arrow.
    is_less = bool(finite.min(initial=high) < low) and panel.kind != COUNTS
    extend = {(0, 0): "neither", (0, 1): "max", (1, 0): "min", (1, 1): "both"}
    height = _inches(ax)[1]
    power = _power(max(abs(low), abs(high)))
    bar = ax.figure.colorbar(
        drawn,
        cax=bar_axes,
        extend=extend[is_less, is_more],
        extendfrac=float(np.clip(0.07 / height, 0.02, 0.15)),
        ticks=_ticks(low, high, height),
        format=lambda value, _: _show(value, power),
    )
    bar.ax.set_title(
        verbatim(_unit(panel.unit, power)), loc="left", fontsize=_SMALL, pad=_RAISED
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


# Classes.


def class_colours(n_classes: int) -> list[tuple[float, float, float]]:
    """Return colours of classes; the first 16 are far from each other for all eyes.

    Examples
    --------
    >>> len(set(class_colours(40)))
    40
    """
    from matplotlib.colors import to_rgb

    colours = []
    for k in range(n_classes):
        turn, place = divmod(k, len(_CLASSES))
        share = 0.7**turn  # of more classes each turn is paler
        red, green, blue = (1 - share * (1 - one) for one in to_rgb(_CLASSES[place]))
        colours.append((red, green, blue))
    return colours


def _colours_of(labels: np.ndarray) -> tuple[Any, int]:
    from matplotlib.colors import ListedColormap

    n_classes = max(1, int(labels.max(initial=0)) + 1)
    colours = ListedColormap(class_colours(n_classes))
    return colours.with_extremes(under="0.9"), n_classes  # grey: of no class


# Red, green and blue.


@dataclass(frozen=True, eq=False)
class Composite:
    """Up to three maps, whose counts are red, green and blue.

    Attributes
    ----------
    panels
        Of red, green and blue; None leaves a colour out.
    percentile
        What of each map is as bright as can be.
    """

    panels: Sequence[Panel | None]
    percentile: float = PERCENTILE

    def __post_init__(self) -> None:
        own = self.own
        if not own:
            raise ValueError(
                "There is no map to draw, expected one for a colour or more."
            )
        shapes = {panel.image.shape for panel in own}
        if len(shapes) > 1 or any(panel.image.ndim != 2 for panel in own):
            said = ", ".join(f"{p.name!r} {p.image.shape}" for p in own)
            raise ValueError(
                f"The maps are {said}, expected maps of x and y of one size."
            )

    @cached_property
    def own(self) -> list[Panel]:
        """The maps that there are."""
        return [panel for panel in self.panels if panel is not None]

    @cached_property
    def limits(self) -> list[float]:
        """What is as bright as can be, of each map."""
        return [brightest(one.image, one.sigma, self.percentile) for one in self.own]

    @property
    def colours(self) -> np.ndarray:
        """The picture: uint8, shape (y, x, 3)."""
        limits = iter(self.limits)
        made = np.zeros((*self.own[0].image.shape, 3), dtype=np.uint8)
        for k, panel in enumerate(self.panels):
            if panel is not None:
                share = np.clip(np.nan_to_num(panel.image / next(limits)), 0, 1)
                made[..., k] = np.round(255 * share)
        return made


def draw_rgb(composite: Composite, scalebar: bool = True) -> "Axes":
    """Draw a composite, with a legend of what is red, green and blue.

    Parameters
    ----------
    composite
        Of maps.
    scalebar
        Whether there is one.

    Returns
    -------
    matplotlib.axes.Axes
        Those of the picture.
    """
    from matplotlib.patches import Patch

    first = composite.own[0]
    panel = Panel("", composite.colours, first.steps)
    handles, limits = [], iter(composite.limits)
    for one, colour in zip(composite.panels, _RGB, strict=True):
        if one is not None:
            text = f"{show_name(one.name)}, to {_bright(next(limits), one.unit)}"
            handles.append(
                Patch(facecolor=colour, edgecolor="black", lw=0.5, label=verbatim(text))
            )
    widths = [text_width(str(one.get_label()), _NAME) + 0.45 for one in handles]
    (ax,) = draw_maps([panel], Style(scalebar=scalebar))
    width = _inches(ax)[0]
    columns = len(handles) if sum(widths) < width else 1
    # Below the scale bar, if that is not in the map.
    height = ax.figure.bbox.height / ax.figure.dpi
    down = ax.get_position(original=True).y0 * height - Margins().bottom
    _make_room(ax, 0.04 + 0.17 * math.ceil(len(handles) / columns), max(widths))
    ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0, 0), ncols=columns,
        bbox_transform=ax.transAxes + _translation(ax, 0, -down),
        frameon=False, fontsize=_NAME, borderpad=0.4, borderaxespad=0, handlelength=1,
        handleheight=1, labelspacing=0.3, columnspacing=1.2, handletextpad=0.5,
    )  # fmt: skip
    return ax


def _bright(limit: float, unit: str) -> str:
    number = f"{limit:.0f}" if limit >= 100 else f"{limit:.3g}"
    return f"{number} {unit}".strip()


def _make_room(ax: "Axes", below: float, width: float) -> None:
    """Make a figure higher at its lower end, and at least as wide as text."""
    figure: Figure = ax.figure  # type: ignore[assignment]
    old = figure.get_size_inches()
    new = np.array([max(old[0], width + 0.1), old[1] + below])
    place = ax.get_position(original=True)
    left, width_, height = place.x0 * old[0], place.width * old[0], place.height * old[1]
    bottom = place.y0 * old[1] + below
    figure.set_size_inches(*new)
    ax.set_position((left / new[0], bottom / new[1], width_ / new[0], height / new[1]))


def show_name(name: str) -> str:
    """Return the name of a line as it is printed; other names stay.

    Examples
    --------
    >>> show_name("Fe_Ka"), show_name("Pb_Lb1"), show_name("Fe_K"), show_name("zircon")
    ('Fe Kα', 'Pb Lβ1', 'Fe K', 'zircon')
    """  # noqa: RUF002
    match = _NAME_OF_LINE.fullmatch(name)
    if match is None:
        return name
    element, shell, line, number = match.groups()
    return f"{element} {shell}{_GREEK.get(line, line)}{number}"
