"""Drawing of spectra over each other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rsciio_xfm.drawing.page import LARGE, SMALL, set_text_sizes
from rsciio_xfm.drawing.palette import SAFE
from rsciio_xfm.drawing.texts import verbatim

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NORMS = ("log", "linear")
COLOURS = (*SAFE[:3], "black", SAFE[3], SAFE[5], SAFE[4], SAFE[6])
# Told apart where there are no colours.
_STYLES: tuple[Any, ...] = (
    "-",
    (0, (6, 1.5)),
    (0, (1.5, 1)),
    (0, (7, 1.5, 1.5, 1.5)),
    (0, (12, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (3, 3)),
    (0, (1, 2.5)),
)
_MOST_COLUMNS = 8  # of a legend


@dataclass(frozen=True, eq=False)
class Curve:
    """A spectrum to be drawn.

    Attributes
    ----------
    name
        For the legend; of a single spectrum it is written above.
    energy, counts
        Of each channel.
    """

    name: str
    energy: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class Frame:
    """What spectra are drawn into.

    Attributes
    ----------
    units
        Of the energies; without, they are channels.
    ylabel
        What is counted.
    norm
        Of :data:`NORMS`.
    energy_range
        Energies that are drawn; None: from the first channel to the last that has counts.
    """

    units: str | None
    ylabel: str = "Counts"
    norm: str = "log"
    energy_range: tuple[float, float] | None = None


def draw_spectra(
    ax: "Axes", curves: Sequence[Curve], frame: Frame, colours: Sequence[Any] = ()
) -> "Axes":
    """Draw spectra, which colours and dashes tell apart.

    Parameters
    ----------
    ax
        Where to.
    curves
        The spectra. On a logarithmic scale channels without counts lie at half of the least
        counts that their spectrum has.
    frame
        Scales, and what is written on them.
    colours
        Of the spectra, which are all solid then.
    """
    left, right = frame.energy_range or _filled_range(curves)
    is_log = frame.norm == "log"
    shown = [_above_zero(c.counts) if is_log else c.counts for c in curves]
    for k, (curve, counts) in enumerate(zip(curves, shown, strict=True)):
        ax.plot(
            curve.energy,
            counts,
            drawstyle="steps-mid",
            color=colours[k] if len(colours) else COLOURS[k % len(COLOURS)],
            # Of more spectra than colours, those of one colour have other dashes.
            ls="-" if len(colours) else _STYLES[(k + k // len(COLOURS)) % len(_STYLES)],
            lw=0.9,
            label=verbatim(curve.name),
        )
    ax.set(
        yscale=frame.norm,
        xlabel=verbatim(f"Energy ({frame.units})") if frame.units else "Channel",
        ylabel=verbatim(frame.ylabel),
        xlim=(left, right),
    )
    set_text_sizes(ax)
    inside = [(c.energy >= left) & (c.energy <= right) for c in curves]
    drawn = [counts[is_in] for counts, is_in in zip(shown, inside, strict=True)]
    bottom, top = _count_range(np.concatenate(drawn), is_log)
    ax.set_ylim(bottom, top)
    if frame.norm == "linear" and top > 1:
        ax.ticklabel_format(axis="y", style="plain")  # no factor among the names above
    if len(curves) == 1:
        ax.set_title(verbatim(curves[0].name), loc="left", fontsize=LARGE)
    else:
        _draw_legend(ax, len(curves))
    return ax


def _draw_legend(ax: "Axes", n: int) -> None:
    """Write a legend above, in as many columns as there is room for."""
    for most in range(min(n, _MOST_COLUMNS), 0, -1):
        columns = math.ceil(n / math.ceil(n / most))  # of about the same length
        legend = ax.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=columns,
            fontsize=SMALL + 0.5,
            frameon=False,
            handlelength=3.5,
            columnspacing=1.5,
            borderaxespad=0.2,
        )
        if legend.get_window_extent().width <= ax.bbox.width:
            return


def _filled_range(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the energies of the first channel and of the last one that has counts."""
    last = [c.energy[f[-1]] for c in curves if len(f := np.flatnonzero(c.counts))]
    start = min(float(curve.energy[0]) for curve in curves)
    stop = float(max(last, default=max(curve.energy[-1] for curve in curves)))
    step = (
        float(curves[0].energy[1] - curves[0].energy[0])
        if len(curves[0].energy) > 1
        else 1
    )
    return (start, stop) if stop > start else (start, start + abs(step))


def _above_zero(counts: np.ndarray) -> np.ndarray:
    """Return counts with half of the least ones in channels that have none."""
    positive = counts[counts > 0]
    least = float(positive.min()) if len(positive) else 1.0
    return np.where(counts <= 0, least / 2, counts)


def _count_range(counts: np.ndarray, is_log: bool) -> tuple[float, float]:
    """Return the ends of a scale for counts, those of no channel included."""
    counts = counts[np.isfinite(counts)]
    if is_log:
        low, high = (float(f(counts)) if len(counts) else 1.0 for f in (np.min, np.max))
        return low / 1.3, 2 * high
    low, high = float(counts.min(initial=0)), float(counts.max(initial=0))
    return 1.05 * low, 1.05 * high or 1.0
