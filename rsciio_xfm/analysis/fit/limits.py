"""Detection limits: one definition, for spectra, maps and regions."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from rsciio_xfm.analysis.fit.basis import DETECTION


class AreaMatrix(Protocol):
    """What makes areas of spectra: :class:`rsciio_xfm.analysis.fit.matrix.Projection`."""

    @property
    def columns(self) -> np.ndarray:
        """Spectra of the components, shape (channels, components)."""

    @property
    def gamma(self) -> np.ndarray:
        """Of the areas, shape (channels, components)."""

    @property
    def tilts(self) -> np.ndarray:
        """How areas change with the parameters, shape (1, parameters, components, other)."""

    @property
    def covariance(self) -> np.ndarray:
        """Of the parameters."""


def detection_limits(
    matrices: Sequence[AreaMatrix], shares: np.ndarray, areas: np.ndarray
) -> np.ndarray:
    """Return the counts of each component that are 3.29 sigma were there nothing of it.

    Sigma is that of counting all else and of the calibration, as it is for areas.

    Parameters
    ----------
    matrices
        One, or one for each detector.
    shares
        Of the areas that each detector has, shape (detectors, components).
    areas
        Counts of all components, shape (components,).
    """
    n = len(areas)
    variance: np.ndarray = np.zeros(n)
    for own, share in zip(matrices, shares, strict=True):
        others = np.where(np.eye(n, dtype=bool), 0.0, areas * share)
        # What a count of each component adds to the variance of each area.
        noise = own.columns.T @ own.gamma**2
        variance += np.einsum("kj,jk->k", np.maximum(others, 0), noise)
        changes = np.einsum("pkj,kj->kp", own.tilts[0], others)
        variance += np.einsum(
            "kp,pq,kq->k", changes, own.covariance, changes, optimize=True
        )
    limits: np.ndarray = DETECTION * np.sqrt(variance)
    return limits
