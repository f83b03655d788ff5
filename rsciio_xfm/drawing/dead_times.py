"""Graphs of dead times."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rsciio_xfm.core.dead_time import SATURATION, is_recorded
from rsciio_xfm.drawing.page import MOST_POINTS, SMALL, set_text_sizes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    label = f"{SATURATION:g} %: saturated"
    ax.axvline(SATURATION, color="0.5", ls=":", lw=1, label=label)
    ax.set(
        xlabel="Dead time (%)",
        ylabel="Spectra per 1 %",
        title="Dead times",
        xlim=(0, 100),
    )
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=SMALL)
    set_text_sizes(ax)
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
        if known.size > MOST_POINTS:
            known = rng.choice(known, MOST_POINTS, replace=False)
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
    ax.legend(fontsize=SMALL, markerscale=1 if size > 3 else 3)
    set_text_sizes(ax)
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
    ax.legend(loc="upper left", fontsize=SMALL)
    set_text_sizes(ax)
    return ax
