"""The matrix of a model as products of float32 take it."""

import functools
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from rsciio_xfm.analysis.fit.matrix import Projection
from rsciio_xfm.core.array import Matrices
from rsciio_xfm.core.source import scratch
from rsciio_xfm.kernels.project import BINNED, LANES


@dataclass(frozen=True, eq=False)
class Tables:
    """The arrays of a :class:`Projection` as products take them, by class.

    Attributes
    ----------
    weights
        float32, shape (classes, channels).
    areas
        float32, shape (classes, channels and zeros, components + 2): what makes areas, the
        weighted squares that are expected to be left, and counts.
    variances
        float32, shape (classes, bins of channels, components).
    grams
        float64, see :class:`Projection`.
    binned
        How many channels make a bin: as many as the kernel adds up, or 1 if these are too
        wide for the peaks.
    """

    weights: np.ndarray
    areas: np.ndarray
    variances: np.ndarray
    grams: np.ndarray
    binned: int

    @classmethod
    def of(cls, own: Projection) -> "Tables":
        """Make them of a matrix."""
        ones = np.ones_like(own.leverages)
        columns = np.concatenate([own.gammas, np.stack([own.leverages, ones], -1)], -1)
        squares, binned = _padded(own.gammas**2), 1
        # The mean of a bin's channels, as many counts as are expected of each.
        least = 1e-6 * own.expected.max(axis=1, keepdims=True)
        counts = np.maximum(np.maximum(own.expected, least), np.finfo(np.float32).tiny)
        counts = _padded(counts[..., np.newaxis])
        means = _binned(counts * squares) / np.maximum(_binned(counts), 1e-300)
        if _is_fine(own, squares, means):
            squares, binned = means, BINNED
        return cls(
            weights=own.weights.astype(np.float32),
            areas=_padded(columns).astype(np.float32),
            variances=squares.astype(np.float32),
            grams=own.grams,
            binned=binned,
        )

    @functools.cached_property
    def matrices(self) -> Matrices:
        """All numbers of the weights of the whole, side by side."""
        areas, variances = (
            self.areas[0],
            np.repeat(self.variances[0], self.binned, axis=0),
        )
        together = np.concatenate([areas, variances], axis=1)[: self.weights.shape[1]]
        missing = -together.shape[1] % LANES
        products = np.pad(together, ((0, 0), (0, missing)))
        return Matrices(np.ascontiguousarray(products), self.weights[0].copy())

    @contextmanager
    def buffers(self, n_spectra: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Lend arrays for :func:`~rsciio_xfm.kernels.project.prepare_spectra`."""
        n_fitted, n_channels = self.weights.shape[1], self.areas.shape[1]
        sizes = n_channels, n_channels // BINNED, 2
        edges = np.cumsum([0, *sizes]) * n_spectra
        with scratch(int(4 * edges[-1])) as memory:
            words = memory.view(np.float32)
            floats, bins, squares = (
                words[a:b].reshape(n_spectra, -1) for a, b in itertools.pairwise(edges)
            )
            floats[:, n_fitted:] = 0
            yield floats, bins, squares.view(np.float64)[:, 0]


def _padded(columns: np.ndarray) -> np.ndarray:
    """Append channels of zeros, up to a whole number of bins."""
    missing = -columns.shape[1] % BINNED
    return np.pad(columns, ((0, 0), (0, missing), (0, 0)))


def _binned(columns: np.ndarray) -> np.ndarray:
    n_classes, n_channels, n_components = columns.shape
    shape = (n_classes, n_channels // BINNED, BINNED, n_components)
    return columns.reshape(shape).sum(axis=2)


def _is_fine(own: Projection, squares: np.ndarray, means: np.ndarray) -> bool:
    """Tell whether bins give the variance that counts of any component make, to 10 %."""
    columns = _padded(own.columns[np.newaxis])
    exact = columns[0].T @ squares
    found = _binned(columns)[0].T @ means
    own_part = np.abs(np.diagonal(exact, axis1=1, axis2=2))[:, np.newaxis]
    return bool((np.abs(found - exact) <= 0.1 * exact + 0.01 * own_part).all())
