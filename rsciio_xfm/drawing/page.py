"""The page that figures are drawn for: its size, and sizes of text; lengths are inches."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LARGE, MIDDLE, SMALL = 8.5, 8.0, 7.0  # points of text: titles, labels, numbers
RAISED = 5.0  # points, of text above a map
TICKS: dict[str, Any] = {"labelsize": SMALL, "length": 2.5, "width": 0.6, "pad": 2}
PAGE = (180 / 25.4, 236 / 25.4)  # inches of width and height
PANEL = 3.4  # inches
MOST_POINTS = 20_000  # of a scatter plot: more would not be seen, and take long


def new_axes(is_wide: bool = False) -> "Axes":
    """Make axes for a graph, of which wide ones are twice as wide as high."""
    import matplotlib.pyplot as plt

    height = 2 * PANEL * (0.5 if is_wide else 0.75) + 0.7
    return plt.subplots(figsize=(2 * PANEL, height), layout="constrained")[1]


def set_text_sizes(ax: "Axes") -> None:
    """Give the text of a graph the sizes that it has in print."""
    ax.title.set_fontsize(LARGE)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_fontsize(MIDDLE)
    ax.tick_params(labelsize=SMALL)


def size_of(ax: "Axes") -> tuple[float, float]:
    """Return width and height of axes."""
    return ax.bbox.width / ax.figure.dpi, ax.bbox.height / ax.figure.dpi


def shifted(ax: "Axes", x: float, y: float) -> Any:
    """Return what moves a place on a figure by inches."""
    from matplotlib.transforms import ScaledTranslation

    return ScaledTranslation(x, y, ax.figure.dpi_scale_trans)
