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
    parts
        float64, shape (channels, parts): what the last column, the background, is the sum of.
        Each spectrum has an own amount of each of them. Empty: all backgrounds have one shape.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    first: int
    columns: np.ndarray
    areas: np.ndarray
    slopes: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    covariance: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    parts: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        if not self.parts.size:
            object.__setattr__(self, "parts", np.zeros((len(self.columns), 0)))

    @property
    def stop(self) -> int:
        """The channel after the last row of `columns`."""
        return self.first + len(self.columns)

    @property
    def expected(self) -> np.ndarray:
        """The spectrum that was fitted, as the components make it, shape (channels,)."""
        return self.columns @ self.areas

    @property
    def resolved(self) -> np.ndarray:
        """The columns with the background in its parts, shape (channels, more components)."""
        if not self.parts.size:
            return np.asarray(self.columns, dtype=np.float64)
        return np.concatenate([self.columns[:, :-1], self.parts], axis=1)

    @property
    def adding(self) -> np.ndarray:
        """What adds counts of :attr:`resolved` up to those of the components, a matrix."""
        n = len(self.names)
        if not self.parts.size:
            return np.eye(n)
        found = np.zeros((n - 1 + self.parts.shape[1], n))
        found[: n - 1, : n - 1] = np.eye(n - 1)
        # A count of the background has so much of each part.
        found[n - 1 :, -1] = self.parts.sum(axis=0) / self.columns[:, -1].sum()
        return found
