"""Lines with known energies, and the energies of channels by the peaks that they are."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rsciio_xfm.analysis.fit.excitation import xraylib
from rsciio_xfm.analysis.fit.lines import SHELLS, atomic_number
from rsciio_xfm.analysis.fit.peaks import Peaks, fit_one
from rsciio_xfm.analysis.fit.response import FWHM, Response
from rsciio_xfm.kernels.peaks import add_lines

Axis = tuple[float, float]  # energy of channel 0 and width of a channel, keV
# What peaks are compared with, and how many times as wide they are at least and most.
DETECTOR = Response(noise=0.09)
NARROWEST, WIDEST = 0.7, 3.2
MOST_ZERO = 2.0  # keV, that channel 0 is from 0
LEAST_KEV = 0.2  # of lines
# Lines by the names of Siegbahn, the transitions that they consist of, and about how strong
# they are, relative to the strongest of the shell.
_FAMILIES = {
    "Ka": ("KL3 KL2", 1.0),
    "Kb": ("KM3 KM2", 0.15),
    "La": ("L3M5 L3M4", 1.0),
    "Lb1": ("L2M4", 0.6),
    "Lb2": ("L3N5 L3N4", 0.2),
    "Lb3": ("L1M3", 0.06),
    "Lb4": ("L1M2", 0.04),
    "Lg1": ("L2N4", 0.1),
    "Lg3": ("L1N3", 0.02),
    "Ll": ("L3M1", 0.05),
    "Ln": ("L2M1", 0.02),
    "Ma": ("M5N7 M5N6", 1.0),
    "Mb": ("M4N6", 0.6),
    "Mg": ("M3N5", 0.05),
}
_LEAST_TOLD = 1.0  # keV, of lines that elements are matched by
_TOLD = 0.12  # relative strength of lines that elements are matched by
_SAID = {
    "channels": "numbers taken as channels",
    "energies": "numbers taken as energies in keV on the axis as it was",
    "elements": "peaks matched to the elements",
}


@dataclass(frozen=True)
class MatchedLine:
    """A line that was found in a spectrum.

    Attributes
    ----------
    name
        ``"Fe_Ka"``.
    energy
        Where its peak is by tables, keV.
    channel, error
        Where it is in the spectrum, and the standard deviation of that.
    residual
        Energy of that channel by the calibration, less `energy`, keV.
    """

    name: str
    energy: float
    channel: float
    error: float
    residual: float


@dataclass(frozen=True)
class Calibration:
    """Energies of the channels of a spectrum.

    Attributes
    ----------
    zero, gain
        Energy of channel 0 and width of a channel, keV.
    lines
        That they were fitted to.
    taken_as
        What the numbers given were taken as: ``"channels"``, ``"energies"``, or
        ``"elements"`` without any.
    missing
        Elements of which no line is a peak of its own.
    explained
        Share of the peaks that the lines of the elements explain, 0 to 1; None if lines were
        given.
    """

    zero: float
    gain: float
    lines: tuple[MatchedLine, ...]
    taken_as: str
    missing: tuple[str, ...] = ()
    explained: float | None = None

    def __str__(self) -> str:
        """Return a table of the lines."""
        rows = [
            f"Energy = {self.zero:.5g} keV + {1000 * self.gain:.6g} eV x channel, from "
            f"{len(self.lines)} lines ({_SAID[self.taken_as]})"
        ]
        rows += [
            f"  {line.name:<7} {line.energy:9.4f} keV at channel {line.channel:9.2f} "
            f"+- {line.error:.2f}, off by {1000 * line.residual:+.1f} eV"
            for line in self.lines
        ]
        if self.explained is not None:
            rows.append(
                f"  {self.explained:.0%} of the peaks are lines of these elements"
            )
        if self.missing:
            rows.append(f"  No peak of its own: {', '.join(self.missing)}")
        return "\n".join(rows)


@dataclass(frozen=True, eq=False)
class Line:
    """A line of an element: transitions that a detector sees as one peak.

    Attributes
    ----------
    element, letters
        ``"Fe"`` and ``"Ka"``.
    energies, weights
        Of its transitions, keV; the weights add up to 1.
    strength
        Relative to the strongest line of the shell, about.
    """

    element: str
    letters: str
    energies: np.ndarray
    weights: np.ndarray
    strength: float

    @property
    def name(self) -> str:
        """``"Fe_Ka"``."""
        return f"{self.element}_{self.letters}"

    @property
    def energy(self) -> float:
        """Mean of its transitions, keV."""
        return float(self.energies @ self.weights)


def line_of(name: str) -> Line:
    """Return a line by its name, ``"Fe_Ka"``; of a shell, ``"Fe_K"``, the strongest.

    Raises
    ------
    ValueError
        There is none; it names those that peaks are looked for.
    """
    element, _, letters = str(name).partition("_")
    letters = letters if letters not in SHELLS or not letters else f"{letters}a"
    atomic_number(element)
    if letters not in _FAMILIES:
        raise ValueError(
            f"{name!r} is no line that peaks are looked for, expected one like "
            f"{element}_Ka: {', '.join(_FAMILIES)}."
        )
    line = _family(element, letters)
    if line is None:
        raise ValueError(f"{name!r} is no line: {element} has none of this kind.")
    return line


def telling_lines(elements: Sequence[str]) -> Iterator[Line]:
    """Yield the lines that elements are recognised by: strong ones above 1 keV."""
    for element in elements:
        for letters, (_, strength) in _FAMILIES.items():
            line = _family(element, letters) if strength > _TOLD else None
            if line is not None and line.energy > _LEAST_TOLD:
                yield line


def _family(element: str, letters: str) -> Line | None:
    own, z = xraylib(), atomic_number(element)
    transitions, strength = _FAMILIES[letters]
    found = []
    for transition in transitions.split():
        number = getattr(own, f"{transition}_LINE")
        try:
            found.append((own.LineEnergy(z, number), own.RadRate(z, number)))
        except ValueError:
            continue
    known = [(e, rate) for e, rate in found if e > LEAST_KEV and rate > 0]
    if not known:
        return None
    energies, rates = np.array(known).T
    return Line(element, letters, energies, rates / rates.sum(), strength)


def usual_width(energies: np.ndarray) -> np.ndarray:
    """Return the full width at half maximum that detectors usually have, keV."""
    return FWHM * DETECTOR.sigma(energies)


def fit_axis(
    found: Peaks, energies: np.ndarray, lines: Sequence[Line], start: Axis | None
) -> Axis:
    """Fit zero and gain to peaks.

    Parameters
    ----------
    found, energies, lines
        Peaks, the energy of each, and the line that each is.
    start
        Its zero is kept if there is one peak only; None keeps 0.
    """
    if len(found) == 1:
        zero = 0.0 if start is None else start[0]
        return zero, float((energies[0] - zero) / found.channels[0])
    strengths = np.array([line.strength for line in lines])
    # Strong lines are less in the way of others.
    weights = 1 / np.hypot(found.errors, (0.02 + 0.08 * (1 - strengths)) * found.sigmas)
    matrix = np.stack([np.ones(len(found)), found.channels], axis=1)
    (zero, gain), *_ = np.linalg.lstsq(
        matrix * weights[:, None], energies * weights, rcond=None
    )
    return float(zero), float(gain)


def seen_energies(lines: Sequence[Line], found: Peaks, axis: Axis) -> np.ndarray:
    """Return the energies at which fits of a Gaussian see lines of several transitions."""
    pairs = zip(lines, found.sigmas, strict=True)
    return np.array([_seen_energy(line, axis, sigma) for line, sigma in pairs])


def _seen_energy(line: Line, axis: Axis, sigma: float) -> float:
    zero, gain = axis
    if len(line.energies) == 1 or not gain > 0:
        return line.energy
    channels = (line.energies - zero) / gain
    middle = float(channels @ line.weights)
    first = math.floor(middle - 8 * sigma)
    peaks = np.stack([channels - first, np.full(len(channels), sigma), line.weights], 1)
    peaks[:, 2] *= 1e6  # counts
    profile = draw_peaks(peaks, np.zeros(len(peaks), int), math.ceil(16 * sigma) + 2)
    fit = fit_one(profile[0], middle - first, sigma)
    return line.energy if fit is None else zero + gain * (first + fit[0])


def draw_peaks(peaks: np.ndarray, rows: np.ndarray, n_channels: int) -> np.ndarray:
    """Return spectra of Gaussians.

    Parameters
    ----------
    peaks
        Centre, standard deviation (channels) and counts of each, shape (peaks, 3).
    rows
        Which spectrum each is of, ascending from 0.
    n_channels
        Of each spectrum.
    """
    spectra = np.zeros((int(rows[-1]) + 1 if len(rows) else 0, n_channels))
    add_lines(spectra, 0.0, 1.0, peaks, rows, 0.0, 1.0, 0.0)
    return spectra


def matched(
    lines: Sequence[Line], found: Peaks, energies: np.ndarray, axis: Axis
) -> tuple[MatchedLine, ...]:
    """Return lines with the peaks that they were matched to, ascending."""
    zero, gain = axis
    rows = zip(lines, energies, found.channels, found.errors, strict=True)
    pairs = [
        MatchedLine(line.name, float(e), float(c), float(s), float(zero + gain * c - e))
        for line, e, c, s in rows
    ]
    return tuple(sorted(pairs, key=lambda line: line.energy))


def list_channels(channels: Sequence[float] | np.ndarray) -> str:
    """Return channels as text."""
    return ", ".join(f"{channel:.1f}" for channel in channels)
