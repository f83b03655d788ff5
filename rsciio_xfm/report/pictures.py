"""Pictures of a report: drawn as everywhere, made small enough, and put into the page."""

import base64
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rsciio_xfm.core.eds import PER_KEV
from rsciio_xfm.drawing.contrast import brightest
from rsciio_xfm.drawing.dead_times import draw_histogram
from rsciio_xfm.drawing.maps import draw_map
from rsciio_xfm.drawing.panels import Panel
from rsciio_xfm.report import words
from rsciio_xfm.report.content import Content, Fitted
from rsciio_xfm.signals.checks import steps_of_axes
from rsciio_xfm.signals.map_plots import panels_of, plot_rgb
from rsciio_xfm.signals.results import Classification
from rsciio_xfm.signals.spectrum_plots import plot_spectra

_DPI, _PER_INCH = 160, 96  # pixels of pictures, and those of a page, by inch
_PAGE, _COLUMN = 7.08, 3.42  # inches: of A4 between its margins, and of half of it
_SIDE = 420  # pixels of a map that are shown along its longer side, at most
_ALL_MAPS = 1_200_000  # pixels of all maps of elements together, at most
_LEAST_SIDE = 160
_COLOURS = 256
_TEXT = 8.0  # points
_HIGHEST = 4.4  # inches, of a map
_LEAST_SEEN = 0.03  # of the range of colours, of what a map shows that others do not
_MOST_CHOSEN = 20_000  # pixels that the choice of three elements looks at


@dataclass(frozen=True)
class Picture:
    """A picture as a page has it.

    Attributes
    ----------
    png
        The file.
    width, height
        As it is shown and printed, in 96ths of an inch.
    alt
        What it shows, for who does not see it.
    """

    png: bytes
    width: int
    height: int
    alt: str

    @property
    def uri(self) -> str:
        """The file as text, for the page."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"


def picture_of(axes: Any, alt: str, is_rgb: bool = False) -> Picture:
    """Make a picture of the figure of some axes, and close it.

    But for composites, colours are brought down to 256, which is all that a map has: the file
    is a quarter as large.
    """
    import matplotlib.pyplot as plt
    from PIL import Image

    figure = np.ravel(axes)[0].figure
    drawn = io.BytesIO()
    try:
        figure.savefig(
            drawn, format="png", dpi=_DPI, facecolor="white", bbox_inches="tight",
            pad_inches=0.04,
        )  # fmt: skip
    finally:
        plt.close(figure)
    with Image.open(drawn) as picture:
        small = picture.convert("RGB")
    if not is_rgb:
        small = small.quantize(_COLOURS, dither=Image.Dither.NONE)
    packed = io.BytesIO()
    small.save(packed, format="png", optimize=True)
    width, height = (round(side * _PER_INCH / _DPI) for side in small.size)
    return Picture(packed.getvalue(), width, height, alt)


def side_of(n_maps: int) -> int:
    """Return how many pixels along a side each of some maps is shown with."""
    return max(_LEAST_SIDE, min(_SIDE, math.isqrt(_ALL_MAPS // max(1, n_maps))))


def step_of(shape: Sequence[int], side: int) -> int:
    """Return how many pixels of a map become one that is shown.

    Examples
    --------
    >>> step_of((96, 160), 420), step_of((3000, 4000), 420)
    (1, 10)
    """
    return max(1, math.ceil(max(shape) / side))


def coarse(panel: Panel, side: int = _SIDE) -> Panel:
    """Return a map with no more pixels than are shown: means of blocks of pixels.

    Examples
    --------
    >>> import numpy as np
    >>> small = coarse(Panel("Fe_K", np.ones((900, 600)), sigma=3.0), 300)
    >>> small.image.shape, small.steps[0], small.sigma
    ((300, 200), (3.0, None), 1.0)
    """
    step = step_of(panel.image.shape, side)
    if step == 1:
        return panel
    means = np.asarray(panel.image, dtype=np.float32)
    for axis, size in enumerate(means.shape):
        starts = np.arange(0, size, step)
        means = np.add.reduceat(means, starts, axis=axis, dtype=np.float32)
        sizes = np.diff([*starts, size]).astype(np.float32)
        means /= sizes.reshape([-1 if k == axis else 1 for k in range(means.ndim)])
    steps = [(size * step, unit) for size, unit in panel.steps]
    # Of a line, there are fewer pixels to each mean.
    sigma = panel.sigma / math.sqrt(step**means.ndim)
    return replace(panel, image=means, steps=steps, sigma=sigma)


def counts(content: Content) -> Picture:
    """Draw the counts of each pixel."""
    (panel,) = panels_of({"": content.counts})
    return _map(coarse(panel), "Counts of each pixel")


def composite(content: Content) -> tuple[Picture, list[str]] | None:
    """Draw three elements as red, green and blue: those that the user names, or that tell.

    None where there are not two that tell.
    """
    fitted = content.fitted
    if isinstance(fitted, str) or fitted.maps is None:
        return None
    each = content.rgb or telling(fitted)
    if content.rgb is None and len(each) < 2:
        return None
    named = zip(each, ("red", "green", "blue"), strict=False)
    names = {name: colour for name, colour in named if name}
    maps = fitted.maps
    ax = plot_rgb(*(name and coarse(maps.as_panels(name)[0]) for name in each))
    said = ", ".join(map(" ".join, names.items()))
    return picture_of(ax, f"Composite of maps: {said}", is_rgb=True), list(names)


def telling(fitted: Fitted, most: int = 3) -> list[str]:
    """Return elements whose maps show most, and different things.

    Each is the one of which most is seen that those before it do not show: how much its
    colours vary, beyond its noise.
    """
    maps = fitted.maps
    if maps is None or maps.background.data.ndim != 2:
        return []
    names, side = words.shown_elements(fitted), math.isqrt(_MOST_CHOSEN)
    panels = maps.as_panels(names) if names else []
    rows = [_as_seen(coarse(panel, side)) for panel in panels]
    return [names[k] for k in _pivots(rows, most)]


def _as_seen(panel: Panel) -> np.ndarray:
    """Return a map as its colours are, 0 to 1, less its mean and as far as it is no noise."""
    limit = brightest(panel.image, panel.sigma)
    shown = np.clip(np.nan_to_num(panel.image) / limit, 0, 1).astype(float).ravel()
    shown -= shown.mean()
    variance = float(np.mean(shown**2))
    noise = min((panel.sigma / limit) ** 2, variance)
    return shown * math.sqrt(1 - noise / variance) if variance else shown


def _pivots(rows: list[np.ndarray], most: int) -> list[int]:
    """Return the places of the rows that are longest when those before are taken out."""
    left = np.array(rows)
    chosen: list[int] = []
    while len(left) and len(chosen) < min(most, len(rows)):
        sizes = np.linalg.norm(left, axis=1)
        sizes[chosen] = 0.0
        k = int(np.argmax(sizes))
        if not sizes[k] > _LEAST_SEEN * math.sqrt(left.shape[1]):
            break
        chosen.append(k)
        unit = left[k] / sizes[k]
        left = left - np.outer(left @ unit, unit)
    return chosen


def spectrum(content: Content) -> Picture:
    """Draw the sum of all spectra: with its fit, or else alone."""
    if not isinstance(content.fitted, str):
        axes = content.fitted.model.plot()
        axes[0].set_title("", loc="left")  # the page says what it would
        return picture_of(axes, "Sum of all spectra, its fit, and what is left of it")
    name = "Sum of all spectra"
    return picture_of(plot_spectra({name: content.total}, ax=_wide_axes()), name)


def regions(content: Content) -> Picture:
    """Draw the spectra of the regions, a pixel of each."""
    lines = None
    if not isinstance(content.fitted, str):
        lines = _lines_of(content.fitted)
    ax = plot_spectra(content.regions, per="pixel", lines=lines, ax=_wide_axes())
    return picture_of(ax, "Spectra of the regions")


def _lines_of(fitted: Fitted) -> dict[str, float] | None:
    """Return the lines of what was found, and their energies in the units of the axis."""
    found = set(words.shown_elements(fitted))
    source = fitted.model.source
    units = "keV" if source is None else source.axes_manager.signal_axes[0].units
    factor = PER_KEV.get(str(units), 1)
    groups = [group for group in fitted.model.model.groups if group.name in found]
    return {group.name: factor * group.energy for group in groups} or None


def elements(fitted: Fitted, names: Sequence[str]) -> Iterator[tuple[str, Picture]]:
    """Draw the maps of some elements, one after the other."""
    assert fitted.maps is not None
    side = side_of(len(names))
    for name in names:
        (panel,) = fitted.maps.as_panels([name])
        yield name, _map(coarse(panel, side), f"Map of {name}")


def classes(found: Classification) -> Picture:
    """Draw classes as a map, in the embedding, and their spectra."""
    step = step_of(found.labels.data.shape, _SIDE)
    if step > 1:
        key = (slice(None, None, step),) * found.labels.data.ndim
        labels, embedding = found.labels.isig[key], found.embedding.inav[key]
        found = replace(found, labels=labels, embedding=embedding)
    return picture_of(found.plot(), "Map of the classes and their average spectra")


def dead_times(content: Content) -> Iterator[tuple[str, Picture]]:
    """Draw the dead times of each detector as a map, and how often each occurs."""
    steps = steps_of_axes(content.source.signal.axes_manager.navigation_axes)
    each, side = content.dead_times, side_of(len(content.dead_times))
    for name, values in each.items():
        if values.ndim == 2:
            panel = Panel(name, values, steps, "%")
            yield name, _map(coarse(panel, side), f"Dead times of {name}")
    ax = _wide_axes(0.5, _COLUMN / _PAGE)
    draw_histogram(ax, list(each.values()), list(each))
    ax.set_title("")
    ax.legend(fontsize=_TEXT - 1)
    yield "How often each dead time occurs", picture_of(ax, "Histogram of the dead times")


# What is drawn into.


def _wide_axes(ratio: float = 0.5, share: float = 1.0) -> Any:
    """Make axes for a graph, of a share of the width of a page."""
    import matplotlib.pyplot as plt

    width = share * _PAGE
    height = width * ratio / math.sqrt(share)
    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def _map(panel: Panel, alt: str) -> Picture:
    """Draw a map that is half a page wide, with its colour bar; its name is below it."""
    import matplotlib.pyplot as plt

    width, ratio = _COLUMN - 0.7, 0.5
    if panel.image.ndim == 2:
        (x_step, _), (y_step, _) = panel.steps
        n_rows, n_columns = panel.image.shape
        ratio = abs(n_rows * y_step / (n_columns * x_step)) if x_step else 1.0
        ratio = float(np.clip(ratio, 0.08, _HIGHEST / width))
    height = width * ratio
    figure = plt.figure(figsize=(_COLUMN, height + 0.7))
    box = (0.05, 0.35, width, height)
    size = np.tile(figure.get_size_inches(), 2)
    ax = figure.add_axes(tuple(np.array(box) / size), anchor="NW")
    return picture_of(draw_map(ax, replace(panel, name="", remark="")), alt)
