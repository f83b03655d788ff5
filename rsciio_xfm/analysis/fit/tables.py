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
from rsciio_xfm.kernels.project import LANES, PAIRED


@dataclass(frozen=True, eq=False)
class Tables:
    """The arrays of a :class:`Projection` as products take them, by class.

    Attributes
    ----------
    weights
        float32, shape (classes, bins).
    areas
        float32, shape (classes, bins and zeros, all columns + 2): what makes areas, parts of
        the background apart, the weighted squares that are expected to be left, and counts.
    variances
        float32, shape (classes, bins or pairs of them, components).
    grams, adding
        float64, see :class:`Projection`.
    binned
        How many channels make a bin.
    is_paired
        Whether variances are those of pairs of bins, which are not too wide for the peaks.
    """

    weights: np.ndarray
    areas: np.ndarray
    variances: np.ndarray
    grams: np.ndarray
    adding: np.ndarray
    binned: int
    is_paired: bool

    @classmethod
    def of(cls, own: Projection) -> "Tables":
        """Make them of a matrix."""
        ones = np.ones_like(own.leverages)
        columns = np.concatenate([own.resolved, np.stack([own.leverages, ones], -1)], -1)
        squares = _padded((own.resolved @ own.adding) ** 2)
        # The mean of a pair of bins, as many counts as are expected of each.
        least = 1e-6 * own.expected.max(axis=1, keepdims=True)
        counts = np.maximum(np.maximum(own.expected, least), np.finfo(np.float32).tiny)
        counts = _padded(_add(counts[..., np.newaxis], own.binned))
        means = _add(counts * squares, PAIRED) / np.maximum(_add(counts, PAIRED), 1e-300)
        is_paired = _is_fine(own, squares, means)
        return cls(
            weights=own.weights.astype(np.float32),
            areas=_padded(columns).astype(np.float32),
            variances=(means if is_paired else squares).astype(np.float32),
            grams=own.grams,
            adding=own.adding,
            binned=own.binned,
            is_paired=is_paired,
        )

    @property
    def n_columns(self) -> int:
        """How many columns there are, those of the parts of the background apart."""
        return self.adding.shape[0]

    @functools.cached_property
    def spreads(self) -> np.ndarray:
        """The inverses of `grams`."""
        scale = 1 / np.sqrt(np.diagonal(self.grams, axis1=1, axis2=2))
        both = scale[:, :, np.newaxis] * scale[:, np.newaxis]
        spreads: np.ndarray = both * np.linalg.inv(both * self.grams)
        return spreads

    @functools.cached_property
    def matrices(self) -> Matrices:
        """All numbers of the weights of the whole, side by side."""
        areas, variances = self.areas[0], self.variances[0]
        if self.is_paired:
            variances = np.repeat(variances, PAIRED, axis=0)
        together = np.concatenate([areas, variances], axis=1)[: self.weights.shape[1]]
        missing = -together.shape[1] % LANES
        products = np.pad(together, ((0, 0), (0, missing)))
        weights = self.weights[0].copy()
        return Matrices(np.ascontiguousarray(products), weights, self.binned)

    @contextmanager
    def buffers(self, n_spectra: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Lend arrays for :func:`~rsciio_xfm.kernels.project.prepare_spectra`."""
        n_fitted, n_bins = self.weights.shape[1], self.areas.shape[1]
        sizes = n_bins, n_bins // PAIRED, 2
        edges = np.cumsum([0, *sizes]) * n_spectra
        with scratch(int(4 * edges[-1])) as memory:
            words = memory.view(np.float32)
            floats, pairs, squares = (
                words[a:b].reshape(n_spectra, -1) for a, b in itertools.pairwise(edges)
            )
            floats[:, n_fitted:] = 0
            yield floats, pairs, squares.view(np.float64)[:, 0]


def _padded(columns: np.ndarray) -> np.ndarray:
    """Append bins of zeros, up to a whole number of pairs."""
    missing = -columns.shape[1] % PAIRED
    return np.pad(columns, ((0, 0), (0, missing), (0, 0)))


def _add(columns: np.ndarray, size: int) -> np.ndarray:
    """Add up so many rows at a time, along the second axis."""
    return np.add.reduceat(columns, np.arange(0, columns.shape[1], size), axis=1)


def _is_fine(own: Projection, squares: np.ndarray, means: np.ndarray) -> bool:
    """Tell whether pairs give the variance that counts of any component make, to 10 %."""
    columns = _padded(_add(own.columns[np.newaxis], own.binned))
    exact = columns[0].T @ squares
    found = _add(columns, PAIRED)[0].T @ means
    own_part = np.abs(np.diagonal(exact, axis1=1, axis2=2))[:, np.newaxis]
    return bool((np.abs(found - exact) <= 0.1 * exact + 0.01 * own_part).all())
