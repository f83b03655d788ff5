"""Drawing of the colours of energies."""

from collections.abc import Sequence

import numpy as np

from rsciio_xfm.drawing.lengths import Scale
from rsciio_xfm.drawing.maps import as_drawn, draw_map, shown_ratio
from rsciio_xfm.drawing.page import MIDDLE, PANEL, SMALL
from rsciio_xfm.drawing.panels import Panel


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
    panel = as_drawn(Panel(title, picture, steps))
    height = float(np.clip(2 * PANEL * shown_ratio(panel), 0.4, 12))
    _, axes = plt.subplots(
        2,
        1,
        figsize=(2 * PANEL, height + 1.3),
        height_ratios=(height, 0.25),
        layout="constrained",
    )
    draw_map(axes[0], panel)
    axes[1].imshow(colours[np.newaxis], extent=(start, stop, 0, 1), aspect="auto")
    axes[1].set(yticks=[])
    axes[1].set_xlabel(f"Energy ({units})" if units else "Channel", fontsize=MIDDLE)
    axes[1].tick_params(labelsize=SMALL)
    return axes
