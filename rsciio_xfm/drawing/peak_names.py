"""Names of lines over the peaks of spectra, which avoid each other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rsciio_xfm.drawing.page import MIDDLE
from rsciio_xfm.drawing.texts import show_name, verbatim

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GAP, _RISE, _TIP = 3.0, 7.0, 1.5  # points: below a name, of a slanted line, above a peak
_LEAST_SHARE = 0.3  # of the height, that the spectra keep whatever is written above them


def name_peaks(
    ax: "Axes", peaks: Iterable[tuple[str, float]], colours: Sequence[Any] = ()
) -> list[str]:
    """Write names over the peaks of spectra: beside each other, and above all spectra.

    A name that is not straight above its peak has a line to it. The scale of counts gets a
    higher end where that is needed; the limits of the energies are to be set before.

    Parameters
    ----------
    ax
        With spectra, on any scale.
    peaks
        Names, those of lines as ``"Fe_Ka"``, and where they are along the axis of energies.
    colours
        Of the names; black by default.

    Returns
    -------
    list of str
        Names for which there is no room: those of the lowest peaks.
    """
    left, right = sorted(ax.get_xlim())
    peaks = list(peaks)
    each = zip(peaks, list(colours) or ["black"] * len(peaks), strict=True)
    texts = [
        ax.text(x, 0, verbatim(show_name(name)), rotation=90, ha="center", va="bottom",
                fontsize=MIDDLE, color=colour, clip_on=True)
        for (name, x), colour in each if left <= x <= right
    ]  # fmt: skip
    if not texts:
        return []
    for text in texts:
        text.set_transform(ax.get_xaxis_transform())
    ax.figure.canvas.figure.draw_without_rendering()  # tells how large everything is
    names, left_out = _that_fit(_measure(ax, texts), ax.bbox.width)
    for name in left_out:
        name.text.remove()
    _place(ax, names)
    return [name.text.get_text() for name in left_out]


@dataclass(frozen=True, eq=False)
class _Name:
    """A name that is to be written over a peak; lengths are pixels, from the axes' corner.

    Attributes
    ----------
    text
        Of matplotlib.
    x, tip
        Of the peak.
    width, height
        Of the text.
    """

    text: Any
    x: float
    tip: float
    width: float
    height: float


def _measure(ax: "Axes", texts: Sequence[Any]) -> list[_Name]:
    """Return names from left to right, with the heights of their peaks."""
    skyline, found, point = _skyline(ax), [], ax.figure.canvas.figure.dpi / 72
    for text in texts:
        box = text.get_window_extent()
        x = (box.x0 + box.x1) / 2 - ax.bbox.x0
        tip = _highest(skyline, x - 1, x + 1)
        found.append(_Name(text, x, tip, box.width + point, box.height))
    return sorted(found, key=lambda name: name.x)


def _skyline(ax: "Axes") -> np.ndarray:
    """Return how high the spectra are in each column of pixels."""
    columns = np.arange(int(ax.bbox.width) + 2, dtype=float)
    highest = np.zeros(len(columns))
    for line in ax.get_lines():
        if line.get_transform() != ax.transData:  # across all of the axes
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            x, y = (ax.transData.transform(line.get_xydata()) - ax.bbox.p0).T
        is_known = np.isfinite(x) & np.isfinite(y)
        x, y = x[is_known], y[is_known]
        if not len(x):
            continue
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
        after = np.searchsorted(x, columns).clip(1, len(x) - 1) if len(x) > 1 else 0
        around = np.maximum(y[after - 1], y[after])
        is_in = (columns >= x[0] - 1) & (columns <= x[-1] + 1)
        np.maximum(highest, around, out=highest, where=is_in)
        nearest = np.round(x).clip(0, len(columns) - 1).astype(int)
        np.maximum.at(highest, nearest, y)
    return highest.clip(0, ax.bbox.height)


def _highest(skyline: np.ndarray, left: float, right: float) -> float:
    first, last = (round(np.clip(e, 0, len(skyline) - 1)) for e in (left, right))
    return float(skyline[first : last + 1].max())


def _that_fit(names: list[_Name], width: float) -> tuple[list[_Name], list[_Name]]:
    """Return the names for which a width is enough, and the others, of lower peaks."""
    kept = list(names)
    while sum(name.width for name in kept) > width:
        kept.remove(min(kept, key=lambda name: name.tip))
    return kept, [name for name in names if name not in kept]


def _place(ax: "Axes", names: Sequence[_Name]) -> None:
    """Move names to where they are beside each other and above the spectra."""
    from matplotlib.collections import LineCollection

    if not names:
        return
    point = ax.figure.canvas.figure.dpi / 72
    corner, height = ax.bbox.p0, ax.bbox.height
    places = _spread(names, ax.bbox.width)
    groups = _side_by_side(names, places)
    bases = _bases(names, places, groups, _skyline(ax))
    shifts = np.array([abs(p - name.x) for name, p in zip(names, places, strict=True)])
    is_moved = [shifts[groups == group].max() > point for group in groups]
    offsets = [point * (_GAP + _RISE * moved) for moved in is_moved]
    lengths = [o + n.height + _GAP * point for o, n in zip(offsets, names, strict=True)]
    room = height - np.array(lengths)
    shares = [r / base for r, base in zip(room, bases, strict=True) if base > 0]
    share = float(np.clip(min(shares, default=1.0), _LEAST_SHARE, 1.0))
    _raise_top(ax, share)
    to_data = ax.transData.inverted().transform
    leaders = []
    for name, place, base, offset in zip(names, places, bases, offsets, strict=True):
        elbow, bottom = share * base + point * _GAP, share * base + offset
        name.text.set_transform(ax.transData)
        name.text.set_position(to_data(corner + np.array([place, bottom])))
        start = share * name.tip + point * _TIP
        if bottom - start > 2 * point * _GAP:
            corners = [(name.x, start), (name.x, elbow), (place, bottom - 2 * point)]
            leaders.append(to_data(corner + np.array(corners)))
    ax.add_collection(
        LineCollection(leaders, linewidths=0.5, colors="0.4"), autolim=False
    )


def _spread(names: Sequence[_Name], width: float) -> np.ndarray:
    """Return where names are beside each other, as near to their peaks as can be.

    Moves are least in the sum of their squares: pools of those that would overlap are moved
    together (R. E. Barlow et al., Statistical Inference under Order Restrictions, 1972).
    """
    widths = np.array([name.width for name in names])
    # Distances of the middles from that of the first, if all are side by side.
    starts = np.concatenate([[0], np.cumsum((widths[1:] + widths[:-1]) / 2)])
    pools: list[list[float]] = []  # mean place of the first, and how many there are
    for name, start in zip(names, starts, strict=True):
        pools.append([name.x - start, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            place, n = pools.pop()
            mean, m = pools[-1]
            pools[-1] = [(place * n + mean * m) / (n + m), n + m]
    firsts = np.repeat([p for p, _ in pools], [int(n) for _, n in pools])
    low, high = widths[0] / 2, width - widths[-1] / 2 - starts[-1]
    return np.clip(firsts, low, max(low, high)) + starts


def _side_by_side(names: Sequence[_Name], places: np.ndarray) -> np.ndarray:
    """Return a number for each name, the same of those that are without a gap between."""
    halves = np.array([name.width / 2 for name in names])
    gaps = (places - halves)[1:] - (places + halves)[:-1]
    return np.concatenate([[0], np.cumsum(gaps > 0.5)])


def _bases(
    names: Sequence[_Name], places: np.ndarray, groups: np.ndarray, skyline: np.ndarray
) -> list[float]:
    """Return how high spectra are below each name and its line; the same in a group."""
    bases = []
    for group in groups:
        members = np.flatnonzero(groups == group).tolist()
        left = min(min(names[k].x, places[k] - names[k].width / 2) for k in members)
        right = max(max(names[k].x, places[k] + names[k].width / 2) for k in members)
        bases.append(_highest(skyline, left, right))
    return bases


def _raise_top(ax: "Axes", share: float) -> None:
    """Let the spectra have only a share of the height that they have had."""
    scale = ax.yaxis.get_transform()
    bottom, top = ax.get_ylim()
    low, high = scale.transform([bottom, top])
    (raised,) = scale.inverted().transform([low + (high - low) / share])
    ax.set_ylim(bottom, raised)
