"""Linear fits with weights: the inner part of a calibration."""

from dataclasses import dataclass

import numpy as np

from rsciio_xfm.core.watch import go_on

_RIDGE = 1e-11  # of a column's square: keeps components that are alike apart


@dataclass(frozen=True, eq=False)
class Solution:
    """A weighted linear fit.

    Attributes
    ----------
    areas
        Of all components.
    is_free
        Which of them are not held at 0.
    """

    areas: np.ndarray
    is_free: np.ndarray


def solve(
    weighted: np.ndarray, target: np.ndarray, may_be_negative: np.ndarray
) -> Solution:
    """Fit a spectrum by columns, some or all of which must not be negative.

    Parameters
    ----------
    weighted
        float64, shape (components, channels): columns, times the roots of the weights.
    target
        float64, shape (channels,): the spectrum, likewise.
    may_be_negative
        bool, shape (components,).

    Raises
    ------
    rsciio_xfm.exceptions.PassCancelledError
        Who waits for it, see :func:`rsciio_xfm.core.watch.watched`, wants it no more.
    """
    go_on()
    gram, scale = scaled_gram(weighted)
    right = (weighted @ target) / scale
    free = np.ones(len(gram), bool)
    if not may_be_negative.all():
        free = _free(gram, right, may_be_negative)
    areas = np.zeros(len(gram))
    if free.any():
        areas[free] = np.linalg.solve(gram[np.ix_(free, free)], right[free])
    return Solution(areas / scale, free)


def scaled_gram(weighted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the products of columns scaled to a length of 1, and the scale of each."""
    gram = weighted @ weighted.T
    scale = np.sqrt(np.diag(gram))
    scale[scale == 0] = 1.0
    gram = gram / np.multiply.outer(scale, scale)
    gram[np.diag_indices_from(gram)] += _RIDGE
    return gram, scale


def _free(gram: np.ndarray, right: np.ndarray, may_be_negative: np.ndarray) -> np.ndarray:
    """Return which components are not 0 where none of the others is below it."""
    from scipy.optimize import nnls

    # A component of either sign is the difference of two that are not negative.
    signs = np.concatenate([np.ones(len(gram)), -np.ones(int(may_be_negative.sum()))])
    owners = np.concatenate([np.arange(len(gram)), np.flatnonzero(may_be_negative)])
    root = np.linalg.cholesky(gram)
    found = nnls(root.T[:, owners] * signs, np.linalg.solve(root, right))[0]
    free = may_be_negative.copy()
    free[owners[found > 0]] = True
    return free
