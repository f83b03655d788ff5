"""Composites: up to three maps in one picture, as red, green and blue."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rsciio_xfm.drawing.contrast import brightest
from rsciio_xfm.drawing.layout import Margins
from rsciio_xfm.drawing.maps import draw_maps
from rsciio_xfm.drawing.page import LARGE, shifted, size_of
from rsciio_xfm.drawing.panels import PERCENTILE, Panel, Style
from rsciio_xfm.drawing.texts import show_name, text_width, verbatim

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RGB = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


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
    widths = [text_width(str(one.get_label()), LARGE) + 0.45 for one in handles]
    (ax,) = draw_maps([panel], Style(scalebar=scalebar))
    width = size_of(ax)[0]
    columns = len(handles) if sum(widths) < width else 1
    # Below the scale bar, if that is not in the map.
    height = ax.figure.bbox.height / ax.figure.dpi
    down = ax.get_position(original=True).y0 * height - Margins().bottom
    _make_room(ax, 0.04 + 0.17 * math.ceil(len(handles) / columns), max(widths))
    ax.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0, 0), ncols=columns,
        bbox_transform=ax.transAxes + shifted(ax, 0, -down),
        frameon=False, fontsize=LARGE, borderpad=0.4, borderaxespad=0, handlelength=1,
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
    place = ax.get_position(original=True)
    left, width_, height = place.x0 * old[0], place.width * old[0], place.height * old[1]
    new = np.array([max(old[0], left + width + 0.06), old[1] + below])
    bottom = place.y0 * old[1] + below
    figure.set_size_inches(*new)
    ax.set_position((left / new[0], bottom / new[1], width_ / new[0], height / new[1]))
