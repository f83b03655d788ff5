"""Drawing of a fit: the spectrum, its components, and what is left."""

import itertools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from rsciio_xfm.analysis.fit.basis import BACKGROUND, ELEMENT, SCATTER
from rsciio_xfm.drawing.page import PAGE
from rsciio_xfm.drawing.peak_names import name_peaks
from rsciio_xfm.drawing.spectra import COLOURS
from rsciio_xfm.drawing.texts import verbatim

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OF_FIT = "black"
_DASHES = {ELEMENT: "-", SCATTER: "--", BACKGROUND: "-"}


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
