"""Drawing of dead times and classes: arrays in, matplotlib's axes out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rsciio_xfm.core.dead_time import SATURATION, is_recorded
from rsciio_xfm.signals.map_drawing import (
    CLASSES,
    Panel,
    class_colours,
    draw_map,
)
from rsciio_xfm.signals.map_layout import PAGE
from rsciio_xfm.signals.scale_bar import Scale
from rsciio_xfm.signals.spectrum_drawing import Curve, Frame, draw_spectra, name_peaks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_POINTS = 20_000  # of a scatter plot, per detector
_PANEL = 3.4  # inches


def new_axes(is_wide: bool = False) -> "Axes":
    """Make axes for a graph, of which wide ones are twice as wide as high."""
    import matplotlib.pyplot as plt

    height = 2 * _PANEL * (0.5 if is_wide else 0.75) + 0.7
    return plt.subplots(figsize=(2 * _PANEL, height), layout="constrained")[1]


def draw_histogram(
    ax: "Axes", dead_time: Sequence[np.ndarray], names: Sequence[str]
) -> "Axes":
    """Draw how often each dead time occurs, a line for each detector.

    Parameters
    ----------
    ax
        Where to.
    dead_time
        Percent, of each detector; what was not recorded is left out.
    names
        Of the detectors.
    """
    edges = np.linspace(0, 100, 101)
    for values, name in zip(dead_time, names, strict=True):
        known = values[is_recorded(values)]
        counts, _ = np.histogram(known, edges)
        median = f", median {np.median(known):.1f} %" if known.size else ", none recorded"
        ax.stairs(counts, edges, label=f"{name}{median}", lw=1.5)
    ax.axvline(SATURATION, color="0.5", ls=":", lw=1)
    ax.set(
        xlabel="Dead time (%)",
        ylabel="Spectra per 1 %",
        title="Dead times",
        xlim=(0, 100),
    )
    ax.set_ylim(bottom=0)
    ax.legend()
    return ax


def draw_against_counts(
    ax: "Axes",
    dead_time: Iterable[np.ndarray],
    counts: Iterable[np.ndarray],
    names: Sequence[str],
) -> "Axes":
    """Draw a point for each spectrum: its dead time against its counts.

    Parameters
    ----------
    ax
        Where to.
    dead_time, counts
        Percent and counts, of each detector; what was not recorded is left out. Of many
        spectra 20 000 are drawn.
    names
        Of the detectors.
    """
    rng = np.random.default_rng(0)
    size = 12
    for values, total, name in zip(dead_time, counts, names, strict=True):
        known = np.flatnonzero(is_recorded(values))
        if known.size > _MOST_POINTS:
            known = rng.choice(known, _MOST_POINTS, replace=False)
        size = min(size, 12 if known.size < 1000 else 3)
        ax.scatter(
            total.ravel()[known],
            values.ravel()[known],
            s=size,
            alpha=0.6,
            linewidths=0,
            label=name,
        )
    ax.set(
        xlabel="Counts of the spectrum",
        ylabel="Dead time (%)",
        title="Dead time against counts",
        ylim=(0, 100),
    )
    ax.set_xlim(left=0)
    ax.legend(markerscale=1 if size > 3 else 3)
    return ax


def draw_predicted(
    ax: "Axes",
    measured: Sequence[np.ndarray],
    predicted: Sequence[np.ndarray],
    names: Sequence[str],
) -> "Axes":
    """Draw the dead times that a fit gives to spectra it had not seen, against theirs.

    Parameters
    ----------
    ax
        Where to.
    measured, predicted
        Percent, of each detector.
    names
        Of the detectors.
    """
    for known, found, name in zip(measured, predicted, names, strict=True):
        error = np.median(np.abs(found - known))
        label = f"{name}, median error {error:.1f} % points"
        ax.scatter(known, found, s=12, alpha=0.7, linewidths=0, label=label)
    top = min(100.0, 1.1 * max(v.max() for v in (*measured, *predicted)))
    ax.plot([0, top], [0, top], color="0.4", lw=1, zorder=0)
    ax.set(
        xlabel="Measured dead time (%)",
        ylabel="Filled in when left out (%)",
        title="Filled against measured",
        xlim=(0, top),
        ylim=(0, top),
        aspect="equal",
    )
    ax.legend(loc="upper left", fontsize="small")
    return ax


def draw_colour_map(
    picture: np.ndarray,
    steps: Sequence[Scale],
    title: str,
    colours: np.ndarray,
    energies: tuple[float, float, str],
) -> np.ndarray:
    """Draw a picture, and below it which colour each energy has.

    Parameters
    ----------
    picture
        uint8, shape (y, x, 3).
    steps, title
        Size and unit of a pixel along x and y; what is written above it.
    colours
        Of the channels, shape (channels, 3).
    energies
        Of the first and of the last channel, and their unit.

    Returns
    -------
    numpy.ndarray
        Axes of the picture and of the colours.
    """
    import matplotlib.pyplot as plt

    start, stop, units = energies
    height = float(np.clip(2 * _PANEL * picture.shape[0] / picture.shape[1], 1.6, 12))
    _, axes = plt.subplots(
        2,
        1,
        figsize=(2 * _PANEL, height + 1.3),
        height_ratios=(height, 0.25),
        layout="constrained",
    )
    draw_map(axes[0], Panel(title, picture, steps))
    axes[1].imshow(colours[np.newaxis], extent=(start, stop, 0, 1), aspect="auto")
    axes[1].set(yticks=[])
    axes[1].set_xlabel(f"Energy ({units})" if units else "Channel", fontsize=8)
    axes[1].tick_params(labelsize=7)
    return axes


def draw_classes(
    labels: np.ndarray,
    embedding: np.ndarray,
    spectra: np.ndarray,
    energy: np.ndarray,
    units: str | None,
    steps: Sequence[Scale],
    fractions: np.ndarray,
    lines: Mapping[str, float],
) -> np.ndarray:
    """Draw classes as a map, in an embedding, and their spectra.

    Parameters
    ----------
    labels
        Class of each pixel, shape (y, x) or (x,); -1 for none.
    embedding
        Shape (pixels, dimensions), in the order of `labels`; NaN where masked.
    spectra
        Of the classes, shape (classes, channels).
    energy, units
        Of the channels.
    steps
        Size and unit of a pixel along the axes of the map.
    fractions
        Of the classes.
    lines
        What is written over X-ray lines, and their energies.

    Returns
    -------
    numpy.ndarray
        Axes of map, embedding and spectra.
    """
    colours = class_colours(len(spectra))
    axes = _class_axes(labels.shape, steps, len(spectra))
    if labels.ndim == 1:
        labels, steps = labels[np.newaxis], (steps[0], (1.0, ""))  # no length
    draw_map(axes[0], Panel("Classes", labels, steps, kind=CLASSES))
    _draw_embedding(axes[1], embedding, labels.ravel(), colours)
    shares = [f"{k}: {100 * share:.1f} %" for k, share in enumerate(fractions)]
    each = zip(shares, spectra, strict=True)
    curves = [Curve(name, energy, counts) for name, counts in each]
    if curves:
        draw_spectra(axes[2], curves, Frame(units, "Counts per pixel"), colours)
        name_peaks(axes[2], lines.items())
    return axes


def _class_axes(
    shape: tuple[int, ...], steps: Sequence[Scale], n_classes: int
) -> np.ndarray:
    """Make axes for a map, an embedding beside it, or below a wide one, and spectra."""
    import matplotlib.pyplot as plt

    ratio = 0.0
    if len(shape) == 2:
        ratio = shape[0] * abs(steps[1][0]) / (shape[1] * abs(steps[0][0]))
    is_wide = ratio < 0.4
    ratio = float(np.clip(ratio, 0.06, 4.0))
    # Inches: room for the labels of an axis, a colour bar, the width of the page.
    room, bar, page = 0.62, 0.45, PAGE[0]
    width = page - bar - 0.1 if is_wide else min(3.3, 3.4 / ratio)
    top, low = width * ratio if is_wide else max(2.1, width * ratio), 2.0
    between = 0.55 + 0.17 * -(-n_classes // (4 if is_wide else 8))  # legend, labels
    height = 0.25 + top + between + low + 0.45
    first = height - 0.25 - top
    edge = 0.06 if len(shape) == 2 else 0.25  # a line has ticks
    boxes = [(edge, first, width - edge + 0.06, top)]
    if is_wide:
        boxes += [(room, 0.45, 1.9, low), (3.2, 0.45, page - 3.3, low)]
    else:
        left = 0.06 + width + bar + room
        boxes += [
            (left, first, page - left - 0.1, top),
            (room, 0.45, page - room - 0.1, low),
        ]
    figure = plt.figure(figsize=(page, height))
    size = np.array([page, height, page, height])
    axes = [figure.add_axes(tuple(np.array(box) / size), anchor="NW") for box in boxes]
    for ax in axes:
        ax.tick_params(labelsize=7)
    return np.array(axes)


def _draw_embedding(
    ax: "Axes",
    embedding: np.ndarray,
    labels: np.ndarray,
    colours: Sequence[tuple[float, float, float]],
) -> None:
    shown = np.flatnonzero(np.isfinite(embedding[:, 0]))
    if shown.size > _MOST_POINTS:
        shown = np.random.default_rng(0).choice(shown, _MOST_POINTS, replace=False)
    second = embedding[:, 1] if embedding.shape[1] > 1 else np.zeros(len(embedding))
    known = [(0.85, 0.85, 0.85), *colours]
    ax.scatter(
        embedding[shown, 0], second[shown], s=2, linewidths=0, rasterized=True,
        c=[known[k + 1] for k in labels[shown]],
    )  # fmt: skip
    ax.set_title("Embedding", loc="left", fontsize=8.5)
    ax.set_xlabel("Component 0", fontsize=8)
    ax.set_ylabel("Component 1", fontsize=8)
