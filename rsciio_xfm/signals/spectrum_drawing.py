"""Drawing of spectra, and of the names of their lines: arrays in, matplotlib's axes out."""

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rsciio_xfm.analysis.fit.basis import BACKGROUND, ELEMENT, SCATTER
from rsciio_xfm.signals.map_drawing import SAFE, show_name
from rsciio_xfm.signals.map_layout import PAGE
from rsciio_xfm.signals.scale_bar import verbatim

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NORMS = ("log", "linear")
COLOURS = (*SAFE[:3], "black", SAFE[3], SAFE[5], SAFE[4], SAFE[6])
_OF_FIT = "black"
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
_LARGE, _SIZE, _SMALL = 8.5, 8.0, 7.0  # points: title, names and labels, numbers
_GAP, _RISE, _TIP = 3.0, 7.0, 1.5  # points: below a name, of a slanted line, above a peak
_LEAST_SHARE = 0.3  # of the height, that the spectra keep whatever is written above them
_DASHES = {ELEMENT: "-", SCATTER: "--", BACKGROUND: "-"}


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
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set_fontsize(_SIZE)
    ax.tick_params(labelsize=_SMALL)
    inside = [(c.energy >= left) & (c.energy <= right) for c in curves]
    drawn = [counts[is_in] for counts, is_in in zip(shown, inside, strict=True)]
    bottom, top = _count_range(np.concatenate(drawn), is_log)
    ax.set_ylim(bottom, top)
    if frame.norm == "linear" and top > 1:
        ax.ticklabel_format(axis="y", style="plain")  # no factor among the names above
    if len(curves) == 1:
        ax.set_title(verbatim(curves[0].name), loc="left", fontsize=_LARGE)
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
            fontsize=_SMALL + 0.5,
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


# Names over peaks.


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
                fontsize=_SIZE, color=colour, clip_on=True)
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


# Fits.


def draw_fit(
    energies: np.ndarray,
    counts: np.ndarray,
    spectra: Mapping[str, np.ndarray],
    kinds: Mapping[str, str],
    title: str,
) -> np.ndarray:
    """Draw a spectrum, its fit, what that consists of, and what is left.

    Parameters
    ----------
    energies
        Of the channels that were fitted, keV.
    counts
        That were measured.
    spectra, kinds
        Of the components, by name: counts, and ``"element"``, ``"scatter"``, ``"sum peak"``
        or ``"background"``.
    title
        Above it.

    Returns
    -------
    numpy.ndarray
        Axes of the spectra and of the residual.
    """
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(
        2,
        1,
        figsize=(PAGE[0], 4.9),
        sharex=True,
        height_ratios=(3.2, 1),
        layout="constrained",
    )
    whole = np.sum(list(spectra.values()), axis=0)
    positive = counts[counts > 0]
    floor = max(0.5, float(np.percentile(positive, 1)) / 30) if positive.size else 0.5
    peaks = _draw_components(axes[0], energies, spectra, kinds, floor)
    axes[0].step(
        energies, np.maximum(counts, floor), where="mid", color="0.55", lw=1.2,
        label="measured", zorder=2.5,
    )  # fmt: skip
    axes[0].plot(energies, np.maximum(whole, floor), color=_OF_FIT, lw=0.8, label="fit",
                 zorder=2.6)  # fmt: skip
    axes[0].set(yscale="log", ylabel="Counts per channel")
    axes[0].set_ylim(floor, 2 * max(counts.max(), whole.max(), 2 * floor))
    axes[0].set_title(
        verbatim(title), loc="left", fontsize="small", pad=18
    )  # above the legend
    axes[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, fontsize="small",
                   frameon=False, borderaxespad=0.2)  # fmt: skip
    residual = (counts - whole) / np.sqrt(np.maximum(whole, 1))
    _draw_residual(axes[1], energies, residual)
    name_peaks(axes[0], [(name, x) for name, x, _ in peaks], [c for *_, c in peaks])
    return axes


def _draw_components(
    ax: "Axes",
    energies: np.ndarray,
    spectra: Mapping[str, np.ndarray],
    kinds: Mapping[str, str],
    floor: float,
) -> list[tuple[str, float, str]]:
    """Draw components that reach above the floor; return names, peaks and colours."""
    splines = [s for name, s in spectra.items() if kinds[name] == BACKGROUND]
    base = np.sum(splines, axis=0) if splines else np.zeros(len(energies))
    ax.plot(
        energies, np.maximum(base, floor), color="0.3", lw=1, ls=":", label="background"
    )
    names = [n for n in spectra if kinds[n] != BACKGROUND and spectra[n].max() > floor]
    names.sort(key=lambda n: int(np.argmax(spectra[n])))
    colours = [colour for colour in COLOURS if colour != _OF_FIT]
    peaks = []
    for name, colour in zip(names, itertools.cycle(colours), strict=False):
        own = np.where(spectra[name] > floor, spectra[name], np.nan)
        style = _DASHES.get(kinds[name], "-.")
        ax.plot(energies, own, color=colour, lw=1, ls=style)
        peak = float(energies[np.argmax(spectra[name])])
        peaks.append((_short(name), peak, colour))
    ax.set_xlim(energies[0], energies[-1])
    return peaks


def _short(name: str) -> str:
    """Return the name of a sum peak without its lines: ``"Ca+Cu"``."""
    return re.sub(r"_\w+", "", name) if "+" in name else name


def _draw_residual(ax: "Axes", energies: np.ndarray, residual: np.ndarray) -> None:
    ax.axhspan(-2, 2, color="0.9", zorder=0)
    ax.axhline(0, color="0.5", lw=0.8)
    ax.step(energies, residual, where="mid", lw=0.7, color=COLOURS[0])
    limit = max(5.0, 1.2 * float(np.percentile(np.abs(residual), 99.5)))
    ax.set(xlabel="Energy (keV)", ylabel="Residual (sigma)", ylim=(-limit, limit))
