"""Drawing of maps of elements: arrays in, matplotlib's axes out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rsciio_xfm.signals.drawing import Scale
from rsciio_xfm.signals.spectrum_drawing import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL = 3.0  # inches, the longer side of a map
_MOST_COLUMNS = 6
_PERCENTILE = 99.5
_SIGMAS = 4.0  # of a pixel: the least that is white
_STRONG, _FEW = 6.0, 4  # sigma, and how many such pixels are no accident
_FOUND, _NOT_FOUND = "inferno", "gray"


@dataclass(frozen=True, eq=False)
class Panel:
    """A map of an element to be drawn.

    Attributes
    ----------
    name, remark
        What is written above the map, to the left and to the right.
    image
        Shape (y, x), or (x,) of a line.
    sigma
        The standard deviation of a pixel.
    is_found
        False draws the map in grey.
    """

    name: str
    image: np.ndarray
    sigma: float
    remark: str = ""
    is_found: bool = True


def draw_maps(
    panels: Sequence[Panel], steps: Sequence[Scale], percentile: float = _PERCENTILE
) -> np.ndarray:
    """Draw maps of elements side by side, with a scale bar in the first one.

    Parameters
    ----------
    panels
        The maps. Those of what was not found are grey.
    steps
        Size and unit of a pixel along x and y, or along x.
    percentile
        Of the pixels: what is as bright as can be, if it is above 4 sigma of a pixel. Zero
        and what is below it is black.

    Returns
    -------
    numpy.ndarray
        matplotlib's axes, one for each map.
    """
    import matplotlib.pyplot as plt

    is_map = panels[0].image.ndim == 2
    shape = panels[0].image.shape if is_map else (1, 2)
    ratio = (
        shape[0] * abs(steps[-1][0]) / (shape[1] * abs(steps[0][0])) if is_map else 0.5
    )
    ratio = float(np.clip(ratio, 0.2, 5.0))
    n = len(panels)
    side = _PANEL * (2.0 if n == 1 else 1.4 if n <= 4 else 1.0)
    width, height = (side, side * ratio) if ratio <= 1 else (side / ratio, side)
    width, height = width + 0.9, height + 0.45  # colour bar and title
    columns = min(n, _MOST_COLUMNS, max(1, round(math.sqrt(2.0 * n * height / width))))
    rows = math.ceil(n / columns)
    _, axes = plt.subplots(
        rows,
        columns,
        figsize=(max(3.5, width * columns), max(2.0, height * rows)),
        squeeze=False,
        layout="constrained",
    )
    axes = axes.ravel()
    for ax in axes[n:]:
        ax.set_axis_off()
    for ax, panel in zip(axes, panels, strict=False):
        if is_map:
            _draw_map(ax, panel, steps, percentile)
        else:
            _draw_line(ax, panel, steps[0])
    if is_map:
        draw_scale_bar(axes[0], steps[0])
    return axes[:n]


def _draw_map(
    ax: "Axes", panel: Panel, steps: Sequence[Scale], percentile: float
) -> None:
    (x_step, x_units), (y_step, y_units) = steps
    n_rows, n_columns = panel.image.shape
    highest = brightest(panel.image, panel.sigma, percentile)
    drawn = ax.imshow(
        panel.image,
        extent=(0, n_columns * abs(x_step), n_rows * abs(y_step), 0),
        cmap=_FOUND if panel.is_found else _NOT_FOUND,
        vmin=0,
        vmax=highest,
        interpolation="nearest",
    )
    if x_units != y_units:
        ax.set_aspect("auto")
    ax.set(xticks=[], yticks=[])
    _name(ax, panel)
    is_more = bool(np.nanmax(panel.image, initial=0.0) > highest)
    bar = ax.figure.colorbar(
        drawn, ax=ax, pad=0.02, extend="max" if is_more else "neither", label="counts"
    )
    bar.ax.tick_params(labelsize="small")


def _draw_line(ax: "Axes", panel: Panel, step: Scale) -> None:
    size, units = step
    colour = COLOURS[0] if panel.is_found else "0.5"
    ax.axhline(0, color="0.8", lw=0.8, zorder=0)
    ax.plot(np.arange(panel.image.size) * size, panel.image, lw=1, color=colour)
    ax.set_xlabel(f"x ({units or 'pixels'})")
    _name(ax, panel)


def _name(ax: "Axes", panel: Panel) -> None:
    ax.set_title(panel.name, loc="left", fontsize="medium")
    if panel.remark:
        ax.set_title(panel.remark, loc="right", fontsize="small", color="0.35")


def brightest(image: np.ndarray, sigma: float, percentile: float = _PERCENTILE) -> float:
    """Return the counts that are drawn as bright as can be, whatever a few pixels have.

    Examples
    --------
    >>> import numpy as np
    >>> brightest(np.array([0.0, 1.0, 2.0]), sigma=3.0)
    12.0
    """
    if not (isinstance(percentile, int | float) and 0 <= percentile <= 100):
        raise ValueError(f"percentile is {percentile!r}, expected 0 to 100.")
    finite = image[np.isfinite(image)]
    highest = float(np.percentile(finite, percentile)) if finite.size else 0.0
    strong = finite[finite > _STRONG * sigma]
    if strong.size >= _FEW:  # grains that are fewer than the percentile leaves out
        highest = max(highest, float(np.median(strong)))
    return max(highest, _SIGMAS * sigma) or 1.0


def draw_scale_bar(ax: "Axes", step: Scale) -> None:
    """Draw a bar of a round length, in its unit, into the corner of a map.

    Parameters
    ----------
    ax
        Of an image whose extent is in the unit.
    step
        Size and unit of a pixel along x.
    """
    from matplotlib.patheffects import withStroke

    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    length = round_length(0.3 * abs(right - left))
    x = left + 0.05 * (right - left)
    y = bottom + 0.07 * (top - bottom)
    edge = [withStroke(linewidth=2, foreground="black")]
    ax.plot(
        [x, x + length], [y, y], color="white", lw=3, solid_capstyle="butt",
        path_effects=[withStroke(linewidth=5, foreground="black")],
    )  # fmt: skip
    text = f"{length:g} {step[1] or ('pixel' if length == 1 else 'pixels')}"
    ax.annotate(
        text, (x + length / 2, y), (0, 4), textcoords="offset points", color="white",
        ha="center", va="bottom", fontsize="small", path_effects=edge,
    )  # fmt: skip
    ax.set(xlim=(left, right), ylim=(bottom, top))


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


def as_colours(images: Sequence[np.ndarray], limits: Sequence[float]) -> np.ndarray:
    """Return up to three images as red, green and blue.

    Parameters
    ----------
    images
        Counts, of one shape.
    limits
        Counts that are as bright as can be, of each; 0 and below is dark.

    Returns
    -------
    numpy.ndarray
        uint8, the shape of the images and 3.
    """
    made = np.zeros((*images[0].shape, 3), dtype=np.uint8)
    for k, (image, limit) in enumerate(zip(images, limits, strict=True)):
        share = np.clip(np.nan_to_num(image) / limit, 0, 1)
        made[..., k] = np.round(255 * share)
    return made
