"""Models of spectra: what is in them, and what was found by a fit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rsciio_xfm.analysis.fit.basis import Basis
from rsciio_xfm.analysis.fit.excitation import Excitation, one_energy
from rsciio_xfm.analysis.fit.lines import SHELLS, Group, group
from rsciio_xfm.analysis.fit.response import Response
from rsciio_xfm.analysis.fit.scatter import Scatter, make_scatter

_MARGIN = 0.5  # keV beside the outermost lines
_ANY_KEV = 200.0  # excites all lines
_LEAST_KEV = 0.05
# keV, of spectra under electrons: below are the noise peak and no K lines but that of B,
# below which so much is fitted.
_NOISE_KEV, _BESIDE_KEV = 0.2, 0.08


@dataclass(frozen=True, eq=False)
class SumPeaks:
    """Sum peaks of a model.

    Attributes
    ----------
    peaks
        With the sums of the lines of two clusters, K-alpha and K-beta apart.
    width
        Factor on the standard deviation that a line of that energy has.
    shift
        Of all of them, keV.
    """

    peaks: tuple[Group, ...] = ()
    width: float = 1.0
    shift: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """Such as ``"Ca_Ka+Ca_Kb"``."""
        return tuple(one.name for one in self.peaks)


@dataclass(frozen=True, eq=False)
class Fit:
    """What a calibration found.

    Attributes
    ----------
    spectrum
        float64, all channels: what was fitted.
    n_pixels
        Spectra that were added up in it.
    basis
        Columns, areas and the calibration's covariance.
    sigma
        Standard deviations of the areas, those of the calibration included; times the root of
        `chi2` where that is above 1.
    chi2
        Per channel.
    parameters
        Of the calibration: value and standard deviation of each that was fitted.
    correlations
        Pairs of components that can hardly be told apart, with their correlation.
    detection_limits
        Counts of each element: 3.29 standard deviations were it absent, those of the
        calibration included.
    """

    spectrum: np.ndarray
    n_pixels: int
    basis: Basis
    sigma: np.ndarray
    chi2: float
    parameters: dict[str, tuple[float, float]] = field(default_factory=dict)
    correlations: list[tuple[str, str, float]] = field(default_factory=list)
    detection_limits: dict[str, float] = field(default_factory=dict)

    @property
    def areas(self) -> dict[str, tuple[float, float]]:
        """Counts and standard deviation of each component by its name."""
        both = zip(self.basis.areas.tolist(), self.sigma.tolist(), strict=True)
        return dict(zip(self.basis.names, both, strict=True))


@dataclass(frozen=True, eq=False)
class Model:
    """What spectra are made of, and how the detector sees it.

    Attributes
    ----------
    excitation
        None: unknown, nothing is scattered.
    response
        Of the detector.
    groups
        Of the elements, their ratios as they were fitted.
    energy_range
        That is fitted, keV.
    n_channels
        Of the spectra.
    scatter, sum_peaks
        What else makes peaks.
    ratios
        Factors by which lines of groups differ from the tables: ``{"Fe_K b": 1.3}`` if
        K-beta of iron is 1.3 times as strong beside K-alpha.
    fit
        None before :func:`~rsciio_xfm.analysis.fit.calibrate.calibrate`.
    """

    excitation: Excitation | None
    response: Response
    groups: tuple[Group, ...]
    energy_range: tuple[float, float]
    n_channels: int
    scatter: Scatter = field(default_factory=Scatter)
    sum_peaks: SumPeaks = field(default_factory=SumPeaks)
    ratios: dict[str, float] = field(default_factory=dict)
    fit: Fit | None = None

    @property
    def channels(self) -> tuple[int, int]:
        """First channel that is fitted, and the one after the last."""
        return channels_of(self, {"zero": self.response.zero, "gain": self.response.gain})

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all components but the background, in the order of the columns."""
        scatter = (*self.scatter.rayleigh, *self.scatter.compton)
        return tuple(one.name for one in (*self.groups, *scatter, *self.sum_peaks.peaks))


def make_model(
    elements: Sequence[str],
    excitation: Excitation | None,
    response: Response,
    n_channels: int,
    energy_range: tuple[float, float] | None = None,
    scatter: bool = True,
) -> Model:
    """Return a model of spectra that is not calibrated yet.

    Parameters
    ----------
    elements
        ``"Ca"``, ``"Fe_K"``, ``"Pb_L"``. Of an element alone all shells are taken that are
        excited and have their strongest line in the range.
    excitation
        None if it is unknown.
    response
        Of the detector, about: the calibration starts from it.
    n_channels
        Of the spectra.
    energy_range
        To fit, keV. None: 0.5 keV more on either side than the lines of the elements (K lines,
        else L lines, else M lines) and those of the source; under electrons nothing below
        0.2 keV, where the noise peak of the detector is, but for lines that are there.
    scatter
        Whether lines of the source are looked for.

    Raises
    ------
    ValueError
        An element is none, or has no lines that are excited and in the range: the error
        names those it has.
    """
    limits = _limits(response, n_channels, energy_range)
    beam = excitation or one_energy("monochromatic", limits[1])
    seen = [_groups_of(name, beam, limits) for name in elements]
    if not seen:
        raise ValueError("There are no elements to fit, expected symbols like 'Fe'.")
    without = {one.name for groups in seen for one in groups}
    found = make_scatter(beam, limits, without) if scatter and excitation else Scatter()
    if energy_range is None:
        first = [groups[0] for groups in seen]
        limits = _around((*first, *found.rayleigh, *found.compton), limits)
        if beam.kind == "electrons":
            limits = _above_noise(limits, min(one.energy for one in first))
    every = {one.name: one for groups in seen for one in groups}
    inside = tuple(g for g in every.values() if limits[0] < g.energy < limits[1])
    return Model(excitation, response, inside, limits, n_channels, found)


def _above_noise(limits: tuple[float, float], least: float) -> tuple[float, float]:
    """Return limits that leave out the noise peak of the detector, below all lines."""
    return max(limits[0], min(_NOISE_KEV, least - _BESIDE_KEV)), limits[1]


def _limits(
    response: Response, n_channels: int, energy_range: tuple[float, float] | None
) -> tuple[float, float]:
    """Return the range of energies that may be fitted, keV."""
    end = response.zero + response.gain * n_channels
    low, high = energy_range or (_LEAST_KEV, end)
    low, high = max(low, response.zero, _LEAST_KEV), min(high, end)
    if low >= high:
        raise ValueError(
            f"The range to fit is {energy_range} keV, and the channels lie at "
            f"{response.zero:.4g} to {end:.4g} keV."
        )
    return low, high


def _groups_of(
    name: str, excitation: Excitation, limits: tuple[float, float]
) -> list[Group]:
    """Return the groups that a user means by ``"Pb"`` or ``"Pb_L"``, the hardest first."""
    element, _, shell = name.partition("_")
    if shell not in ("", *SHELLS):
        raise ValueError(f"The lines are {name!r}, expected some like 'Pb' or 'Pb_L'.")
    every = [group(element, one, excitation) for one in shell or SHELLS]
    seen = [g for g in every if g is not None and limits[0] < g.energy < limits[1]]
    if not seen:
        raise ValueError(
            f"{name} has no lines at {limits[0]:.4g} to {limits[1]:.4g} keV that "
            f"{excitation.highest:g} keV excite; it has {_lines_of(element)}."
        )
    return seen


def _lines_of(element: str) -> str:
    """Return the lines of an element and what excites them, in words."""
    beam = one_energy("electrons", _ANY_KEV)
    found = [group(element, shell, beam) for shell in SHELLS]
    words = [
        f"{one.shell} at {one.energy:.2f} keV (excited above {one.edge:.2f} keV)"
        for one in found
        if one is not None
    ]
    return ", ".join(words) or "none that are known"


def _around(groups: Sequence[Group], limits: tuple[float, float]) -> tuple[float, float]:
    """Return a range that holds the stronger lines."""
    strong = [one.energies[one.weights > 0.02 * one.weights.max()] for one in groups]
    energies = np.concatenate(strong)
    low, high = energies.min() - _MARGIN, energies.max() + _MARGIN
    return max(limits[0], float(low)), min(limits[1], float(high))


def calibrated(model: Model) -> Fit:
    """Return the fit of a model that has one."""
    if model.fit is None:
        raise ValueError("The model is not calibrated: fit it first.")
    return model.fit


def channels_of(model: Model, scale: Mapping[str, float]) -> tuple[int, int]:
    """Return the channels of the range to fit, by ``"zero"`` and ``"gain"``."""
    low, high = (
        round((energy - scale["zero"]) / scale["gain"]) for energy in model.energy_range
    )
    return max(low, 0), min(high + 1, model.n_channels)


def floored(expected: np.ndarray) -> np.ndarray:
    """Return counts that are expected, at least 1: variances of channels."""
    return np.maximum(expected, 1.0)
