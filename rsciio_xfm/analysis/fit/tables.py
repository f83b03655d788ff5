"""The matrix of a model as products of float32 take it."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from rsciio_xfm.analysis.fit.bins import Bins
from rsciio_xfm.analysis.fit.matrix import Projection
from rsciio_xfm.core.array import Matrices
from rsciio_xfm.core.workplace import scratch
from rsciio_xfm.kernels.project import LANES

_AT_ONCE = 8  # numbers that products of float32 make side by side


@dataclass(frozen=True, eq=False)
class Tables:
    """The arrays of a :class:`Projection` as products take them, by class.

    Attributes
    ----------
    bins
        See :class:`Projection`.
    weights
        float32, shape (classes, bins).
    products
        float32, shape (classes, bins, numbers): what makes areas, parts of the background
        apart, the weighted squares that are expected to be left, counts, and variances of
        components; and as many zeros as products are fastest with.
    grams, adding
        float64, see :class:`Projection`.
    """

    bins: Bins
    weights: np.ndarray
    products: np.ndarray
    grams: np.ndarray
    adding: np.ndarray

    @classmethod
    def of(cls, own: Projection) -> "Tables":
        """Make them of a matrix."""
        others = np.stack([own.leverages, np.ones_like(own.leverages)], axis=-1)
        squares = (own.resolved @ own.adding) ** 2
        products = np.concatenate([own.resolved, others, squares], axis=-1)
        return cls(
            bins=own.bins,
            weights=own.weights.astype(np.float32),
            products=_padded(products, _AT_ONCE).astype(np.float32),
            grams=own.grams,
            adding=own.adding,
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
        return Matrices(
            _padded(self.products, LANES)[0], self.weights[0].copy(), self.bins.numbers
        )

    @contextmanager
    def buffers(self, n_spectra: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Lend arrays for :func:`~rsciio_xfm.kernels.project.prepare_spectra`."""
        n_bins = self.weights.shape[1]
        with scratch(4 * (n_bins + 2) * n_spectra) as memory:
            words = memory.view(np.float32)
            squares = words[: 2 * n_spectra].view(np.float64)
            floats = words[2 * n_spectra : (n_bins + 2) * n_spectra]
            yield floats.reshape(n_spectra, n_bins), squares


def _padded(products: np.ndarray, size: int) -> np.ndarray:
    """Append zeros along the last axis, up to a multiple of a size."""
    missing = -products.shape[-1] % size
    return np.pad(products, ((0, 0), (0, 0), (0, missing)))
