"""What spectra are made of: one column for each component that is fitted."""

from dataclasses import dataclass, field

import numpy as np

ELEMENT, SCATTER, SUM_PEAK, BACKGROUND = "element", "scatter", "sum peak", "background"

# Standard deviations of a detection limit: 5 % false alarms and 5 % missed, L. A. Currie,
# Anal. Chem. 40 (1968) 586.
DETECTION = 3.29


@dataclass(frozen=True, eq=False)
class Basis:
    """Spectra of the components of a calibrated model, within the channels that are fitted.

    Attributes
    ----------
    names
        Of the components: ``"Fe_K"``, ``"Rayleigh_K"``, ``"Compton_Ka"``, ``"Ca+Ca"``,
        ``"background"``.
    kinds
        Of each of them: ``"element"``, ``"scatter"``, ``"sum peak"`` or ``"background"``.
    first
        Channel of the first row of `columns`.
    columns
        float64, shape (channels, components). One count of a component; the escape peaks, and
        what lies beyond the channels, are in addition to or missing from the sum of 1.
    areas
        float64, shape (components,): counts of each in the spectrum that was fitted.
    slopes
        float64, shape (parameters, channels, components): how the columns change with each
        parameter of the calibration. Empty if that is taken as exact.
    covariance
        float64, shape (parameters, parameters), of the calibration; times chi2 per channel
        where that is above 1.
    bends
        float64, shape (parameters,): standard deviation by which a parameter may differ in a
        part of the map from that of the whole: the background has another shape there. Empty:
        no part differs.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    first: int
    columns: np.ndarray
    areas: np.ndarray
    slopes: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    covariance: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    bends: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def stop(self) -> int:
        """The channel after the last row of `columns`."""
        return self.first + len(self.columns)

    @property
    def expected(self) -> np.ndarray:
        """The spectrum that was fitted, as the components make it, shape (channels,)."""
        return self.columns @ self.areas
