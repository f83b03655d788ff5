"""Drawing of fits: arrays in, matplotlib's axes out."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from rsciio_xfm.analysis.fit.basis import BACKGROUND, ELEMENT, SCATTER
from rsciio_xfm.signals.drawing import name_peaks
from rsciio_xfm.signals.map_drawing import SAFE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
        figsize=(11, 6.2),
        sharex=True,
        height_ratios=(4, 1),
        layout="constrained",
    )
    whole = np.sum(list(spectra.values()), axis=0)
    positive = counts[counts > 0]
    floor = max(0.5, float(np.percentile(positive, 1)) / 30) if positive.size else 0.5
    _draw_components(axes[0], energies, spectra, kinds, floor)
    axes[0].step(
        energies, np.maximum(counts, floor), where="mid", color="0.55", lw=1.2,
        label="measured", zorder=2.5,
    )  # fmt: skip
    axes[0].plot(energies, np.maximum(whole, floor), color="black", lw=0.8, label="fit",
                 zorder=2.6)  # fmt: skip
    axes[0].set(yscale="log", ylabel="Counts per channel")
    axes[0].set_ylim(floor, 4 * max(counts.max(), whole.max(), 2 * floor))
    axes[0].set_title(title, loc="left", fontsize="medium")
    axes[0].legend(loc="upper right", ncols=4, fontsize="small", framealpha=0.9)
    residual = (counts - whole) / np.sqrt(np.maximum(whole, 1))
    _draw_residual(axes[1], energies, residual)
    return axes


def _draw_components(
    ax: "Axes",
    energies: np.ndarray,
    spectra: Mapping[str, np.ndarray],
    kinds: Mapping[str, str],
    floor: float,
) -> None:
    """Draw components that reach above the floor, with their names over their peaks."""
    splines = [s for name, s in spectra.items() if kinds[name] == BACKGROUND]
    base = np.sum(splines, axis=0) if splines else np.zeros(len(energies))
    ax.plot(
        energies, np.maximum(base, floor), color="0.3", lw=1, ls=":", label="background"
    )
    names = [n for n in spectra if kinds[n] != BACKGROUND and spectra[n].max() > floor]
    names.sort(key=lambda n: int(np.argmax(spectra[n])))
    colours = [SAFE[k % len(SAFE)] for k in range(len(names))]
    whole = np.maximum(np.sum(list(spectra.values()), axis=0), floor)
    peaks = []
    for name, colour in zip(names, colours, strict=True):
        own = np.where(spectra[name] > floor, spectra[name], np.nan)
        style = _DASHES.get(kinds[name], "-.")
        ax.plot(energies, own, color=colour, lw=1, ls=style)
        peak = int(np.argmax(spectra[name]))
        peaks.append((_short(name), float(energies[peak]), float(whole[peak])))
    ax.set_xlim(energies[0], energies[-1])
    name_peaks(ax, peaks, floor, colours)


def _short(name: str) -> str:
    """Return the name of a sum peak without its lines: ``"Ca+Cu"``."""
    return re.sub(r"_\w+", "", name) if "+" in name else name


def _draw_residual(ax: "Axes", energies: np.ndarray, residual: np.ndarray) -> None:
    ax.axhspan(-2, 2, color="0.9", zorder=0)
    ax.axhline(0, color="0.5", lw=0.8)
    ax.step(energies, residual, where="mid", lw=0.7, color=SAFE[0])
    limit = max(5.0, 1.2 * float(np.percentile(np.abs(residual), 99.5)))
    ax.set(xlabel="Energy (keV)", ylabel="Residual (sigma)", ylim=(-limit, limit))
