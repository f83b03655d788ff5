"""Drawing of dead times and colour maps: arrays in, matplotlib's axes out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rsciio_xfm.core.dead_time import SATURATION, is_recorded
from rsciio_xfm.signals.spectrum_drawing import Curve, Frame, draw_spectra, name_peaks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Scale = tuple[float, str | None]  # of an axis: step and units

_MOST_POINTS = 20_000  # of a scatter plot, per detector
_PANEL = 3.4  # inches


def new_axes(
    n_panels: int = 1, shape: tuple[int, int] | None = None, is_wide: bool = False
) -> np.ndarray:
    """Make axes side by side.

    Parameters
    ----------
    n_panels
        How many.
    shape
        Rows and columns of the map that each shows; None for a graph.
    is_wide
        Of a graph: twice as wide as high.

    Returns
    -------
    numpy.ndarray
        Of axes, shape (`n_panels`,).
    """
    import matplotlib.pyplot as plt

    ratio = (0.5 if is_wide else 0.75) if shape is None else shape[0] / shape[1]
    is_flat = shape is not None and ratio < 0.5  # one above the other
    width = 2 * _PANEL
    height = np.clip(width * ratio * (1 if is_flat or n_panels == 1 else 0.6), 1.6, 12)
    rows, columns = (n_panels, 1) if is_flat else (1, n_panels)
    _, axes = plt.subplots(
        rows,
        columns,
        figsize=(
            width if columns == 1 else _PANEL * 1.25 * columns,
            (height + 0.7) * rows,
        ),
        squeeze=False,
        layout="constrained",
    )
    return axes.ravel()


def draw_map(
    ax: "Axes",
    image: np.ndarray,
    steps: Sequence[Scale],
    title: str,
    label: str | None = None,
    **options: Any,
) -> "Axes":
    """Draw an image with its axes in their units.

    Parameters
    ----------
    ax
        Where to.
    image
        Shape (y, x), or (y, x, 3) for colours.
    steps
        Size and unit of a pixel along x and y.
    title
        Above it.
    label
        Of the colour bar; None leaves that out.
    options
        Of :meth:`matplotlib.axes.Axes.imshow`.
    """
    (x_step, x_units), (y_step, y_units) = steps
    extent = (0, image.shape[1] * x_step, image.shape[0] * y_step, 0)
    options = {"interpolation": "nearest"} | options
    drawn = ax.imshow(image, extent=extent, **options)
    if x_units != y_units:
        ax.set_aspect("auto")
    ax.set(title=title, xlabel=_with_unit("x", x_units), ylabel=_with_unit("y", y_units))
    if label is not None:
        ax.figure.colorbar(drawn, ax=ax, label=label)
    return ax


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
    """Draw a picture, and below it which hue each energy has.

    Parameters
    ----------
    picture
        uint8, shape (y, x, 3).
    steps, title
        As of :func:`draw_map`.
    colours
        Of the channels, shape (channels, 3).
    energies
        Of the first and of the last channel, and their unit.

    Returns
    -------
    numpy.ndarray
        Axes of the picture and of the hues.
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
    draw_map(axes[0], picture, steps, title)
    axes[1].imshow(colours[np.newaxis], extent=(start, stop, 0, 1), aspect="auto")
    axes[1].set(yticks=[], xlabel=_with_unit("Energy", units))
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
        Of the axes of the map, see :func:`draw_map`.
    fractions
        Of the classes.
    lines
        What is written over X-ray lines, and their energies.

    Returns
    -------
    numpy.ndarray
        Axes of map, embedding and spectra.
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import ListedColormap

    n_classes = len(spectra)
    wheel = plt.get_cmap("tab10" if n_classes <= 10 else "turbo", max(n_classes, 1))
    colours = [(0.85, 0.85, 0.85, 1.0), *(wheel(k) for k in range(n_classes))]
    figure = plt.figure(figsize=(10, 7.5), layout="constrained")
    axes = figure.subplot_mosaic(
        [["map", "embedding"], ["spectra", "spectra"]], height_ratios=[3, 2]
    )
    image = np.atleast_2d(labels)
    if labels.ndim == 1:
        steps = (steps[0], (1.0, None))
    draw_map(
        axes["map"],
        image,
        steps,
        "Classes",
        cmap=ListedColormap(colours),
        vmin=-1.5,
        vmax=n_classes - 0.5,
        aspect="auto" if labels.ndim == 1 else None,
    )
    flat = labels.ravel()
    shown = np.flatnonzero(np.isfinite(embedding[:, 0]))
    if shown.size > _MOST_POINTS:
        shown = np.random.default_rng(0).choice(shown, _MOST_POINTS, replace=False)
    second = embedding[:, 1] if embedding.shape[1] > 1 else np.zeros(len(embedding))
    axes["embedding"].scatter(
        embedding[shown, 0],
        second[shown],
        s=2,
        linewidths=0,
        c=[colours[k + 1] for k in flat[shown]],
    )
    axes["embedding"].set(title="Embedding", xlabel="Component 0", ylabel="Component 1")
    shares = [f"{k}: {100 * share:.1f} %" for k, share in enumerate(fractions)]
    each = zip(shares, spectra, strict=True)
    curves = [Curve(name, energy, counts) for name, counts in each]
    if curves:
        frame = Frame(units, "Counts per pixel")
        draw_spectra(axes["spectra"], curves, frame, colours[1:])
        name_peaks(axes["spectra"], lines.items())
    return np.array([axes["map"], axes["embedding"], axes["spectra"]])


def difference_limit(image: np.ndarray) -> float:
    """Return the value that a scale around 0 should end at, whatever a few pixels do."""
    finite = np.abs(image[np.isfinite(image)])
    return float(np.percentile(finite, 99)) or 1.0 if finite.size else 1.0


def _with_unit(name: str, units: str | None) -> str:
    return f"{name} ({units})" if units else f"{name} (pixels)"
