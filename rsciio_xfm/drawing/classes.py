"""Drawing of classes: as a map, in an embedding, and their spectra."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rsciio_xfm.drawing.lengths import Scale
from rsciio_xfm.drawing.maps import draw_map
from rsciio_xfm.drawing.page import LARGE, MOST_POINTS, PAGE, SMALL, set_text_sizes
from rsciio_xfm.drawing.palette import class_colours
from rsciio_xfm.drawing.panels import CLASSES, Panel
from rsciio_xfm.drawing.peak_names import name_peaks
from rsciio_xfm.drawing.spectra import Curve, Frame, draw_spectra

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    between = 0.55 + 0.17 * -(-n_classes // (3 if is_wide else 6))  # legend, labels
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
        ax.tick_params(labelsize=SMALL)
    return np.array(axes)


def _draw_embedding(
    ax: "Axes",
    embedding: np.ndarray,
    labels: np.ndarray,
    colours: Sequence[tuple[float, float, float]],
) -> None:
    shown = np.flatnonzero(np.isfinite(embedding[:, 0]))
    if shown.size > MOST_POINTS:
        shown = np.random.default_rng(0).choice(shown, MOST_POINTS, replace=False)
    second = embedding[:, 1] if embedding.shape[1] > 1 else np.zeros(len(embedding))
    known = [(0.85, 0.85, 0.85), *colours]
    ax.scatter(
        embedding[shown, 0], second[shown], s=2, linewidths=0, rasterized=True,
        c=[known[k + 1] for k in labels[shown]],
    )  # fmt: skip
    ax.set_title("Embedding", loc="left", fontsize=LARGE)
    ax.set(xlabel="Component 0", ylabel="Component 1")
    set_text_sizes(ax)
