"""Channels that are added up before spectra are fitted: as many as peaks allow.

A bin that takes in several channels loses what tells them apart. With e counts expected in a
channel and the row g of the matrix that makes areas of channels, the variance of an area is
the sum of ``e g^2``, and what a bin adds to it is, to first order, the sum of
``e (g - mean)^2`` over its channels, of the mean of g weighted with e: much on the flanks of
peaks, next to nothing between them. Bins are as wide as they can be for the same loss in all.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from rsciio_xfm.analysis.fit.basis import Basis

# Below this share of the mean of a spectrum, or one count, no channel is expected to be: what
# is left of a model there is not right to better than that.
_LEAST_SHARE = 1e-3
_WORSE = 1.01  # sigma in bins, relative to that in channels, at most
_SINGULAR = 1e-12  # the square of the shortest sum of columns of length 1, told from 0
MOST_BINNED = 16  # channels of a bin
_BASES = 1, 2, 3, 4  # channels that are always added up, as kernels.project has them
_N_STEPS = 8  # of bisection, for how much a bin may lose
# A bin costs as much of the time of a pass as so many sums of channels that bins are made of.
_PER_BIN = 8


@dataclass(frozen=True, eq=False)
class Bins:
    """Channels that are fitted, some of them added up.

    Attributes
    ----------
    base
        How many channels are added up at least; the last one of them may have fewer.
    picks
        Of each bin its number among all sums of `base` channels, then of two of these, of
        four, and so on.
    inside
        bool, shape (channels,): which of them are used. Bins with others are left out.
    """

    base: int
    picks: np.ndarray = field(repr=False)
    inside: np.ndarray = field(repr=False)

    @classmethod
    def even(cls, size: int, inside: np.ndarray) -> "Bins":
        """Make bins of 1 to 4 channels, all alike."""
        return cls(size, np.arange(-(-len(inside) // size)), inside)

    @cached_property
    def firsts(self) -> np.ndarray:
        """The first channel of each bin."""
        n_sums, size = -(-len(self.inside) // self.base), self.base
        firsts: list[np.ndarray] = []
        while n_sums:
            firsts.append(size * np.arange(n_sums))
            n_sums, size = (n_sums + 1) // 2 * (n_sums > 1), 2 * size
        return np.concatenate(firsts)[self.picks]

    @cached_property
    def numbers(self) -> np.ndarray:
        """The bin of each channel."""
        sizes = np.diff(self.firsts, append=len(self.inside))
        return np.repeat(np.arange(len(sizes)), sizes)

    @cached_property
    def used(self) -> np.ndarray:
        """Which bins are used, bool."""
        return self.add(~self.inside) == 0

    def add(self, columns: np.ndarray) -> np.ndarray:
        """Add up channels, along the first axis."""
        return np.add.reduceat(columns, self.firsts, axis=0)

    def spread(self, gammas: np.ndarray) -> np.ndarray:
        """Give each channel what its bin has, along the second axis."""
        return gammas[:, self.numbers]

    def weights(self, expected: np.ndarray) -> np.ndarray:
        """Return the weights of bins: 1 / expected counts, of a spectrum with a sum of 1.

        Parameters
        ----------
        expected
            Of channels.
        """
        used, expected = self.used, self.add(expected)
        n_channels = self.add(np.ones(len(self.inside)))
        total = float(expected[used].sum())
        mean = total / max(float(n_channels[used].sum()), 1.0)
        if not mean > 0:
            return np.where(used, len(self.inside) / n_channels, 0)
        least = max(_LEAST_SHARE * mean, min(1.0, mean))
        return np.where(used, total / np.maximum(expected, least * n_channels), 0)


def best_bins(basis: Basis, inside: np.ndarray) -> Bins:
    """Return the fewest bins that make no component noticeably less sure.

    Parameters
    ----------
    basis
        Of the model.
    inside
        bool, shape (channels,): which channels are used.
    """
    one = Bins.even(1, inside)
    areas, least = _areas_of(basis, one)
    if areas is None:
        return one
    weights = one.weights(basis.expected)
    counts = np.divide(1, weights, out=np.zeros_like(weights), where=weights > 0)
    relative = areas / np.sqrt(least)
    best, allowed = one, _WORSE**2 - 1
    for base in _BASES:
        losses = _losses_of(base, inside, (counts, relative))
        if (losses[0].sum(axis=0) > allowed).any():
            break  # and of more channels too
        bins = Bins(base, _picks_of(base, losses, allowed), inside)
        if _cost(bins) < _cost(best) and _are_fine(basis, bins, least):
            best = bins
    return best


def _cost(bins: Bins) -> float:
    return _PER_BIN * len(bins.picks) + len(bins.inside) / bins.base


def _are_fine(basis: Basis, bins: Bins, least: np.ndarray) -> bool:
    """Tell whether components are as sure in bins as they should be."""
    _, variances = _areas_of(basis, bins)
    # What is lost is known to first order only.
    return bool((variances <= (_WORSE + 0.002) ** 2 * least).all())


def _areas_of(basis: Basis, bins: Bins) -> tuple[np.ndarray | None, np.ndarray]:
    """Return what makes areas of bins, and their variances for the calibration's spectrum."""
    nothing = None, np.full(len(basis.names), np.inf)
    weights, columns = bins.weights(basis.expected), bins.add(basis.resolved)
    scaled = np.sqrt(weights)[:, np.newaxis] * columns
    lengths = np.sqrt((scaled**2).sum(axis=0))
    if not lengths.all():
        return nothing
    gram = (scaled / lengths).T @ (scaled / lengths)
    if np.linalg.eigvalsh(gram)[0] < _SINGULAR:
        return nothing
    adding = basis.adding / lengths[:, np.newaxis]
    solved = np.linalg.solve(gram, adding) / lengths[:, np.newaxis]
    variances = np.einsum("ji,ji->i", basis.adding, solved)
    return weights[:, np.newaxis] * (columns @ solved), variances


def _picks_of(base: int, losses: list[np.ndarray], allowed: float) -> np.ndarray:
    """Return which bins add a share of its variance to each area, all about as much."""
    worst = [own.max(axis=1) for own in losses]
    low, high = 1e-4 * allowed, allowed
    for _ in range(_N_STEPS):
        middle = float(np.sqrt(low * high))
        chosen = _chosen_of(worst, middle)
        pairs = zip(losses, chosen, strict=True)
        total = sum(own[which].sum(axis=0) for own, which in pairs)
        low, high = (middle, high) if (total <= allowed).all() else (low, middle)
    chosen = _chosen_of(worst, low)
    firsts = [base * 2**i * np.flatnonzero(which) for i, which in enumerate(chosen)]
    picks: np.ndarray = np.flatnonzero(np.concatenate(chosen))
    return picks[np.argsort(np.concatenate(firsts))]


def _losses_of(
    base: int, inside: np.ndarray, given: tuple[np.ndarray, np.ndarray]
) -> list[np.ndarray]:
    """Return what bins of each size lose, shape (bins, components); infinity: not allowed."""
    counts, relative = given
    counted = counts[:, np.newaxis] * relative
    sums = [counts[:, np.newaxis], counted, counted * relative, inside[:, np.newaxis]]
    sums, sizes = [own.astype(float) for own in sums], np.ones(len(counts))
    losses: list[np.ndarray] = []
    step = size = base
    while True:
        starts = np.arange(0, len(sizes), step)
        *sums, sizes = (np.add.reduceat(own, starts, axis=0) for own in (*sums, sizes))
        n, first, second, used = sums
        mean = np.divide(first**2, n, out=np.zeros_like(first), where=n > 0)
        lost = np.maximum(second - mean, 0)
        # The smallest bins are there in any case, and left out if they are mixed.
        is_mixed = (used[:, 0] > 0) & (used[:, 0] < sizes)
        lost[is_mixed] = np.inf if losses else 0
        losses.append(lost)
        step, size = 2, 2 * size
        if size > MOST_BINNED or len(sizes) == 1:
            return losses


def _chosen_of(worst: list[np.ndarray], most: float) -> list[np.ndarray]:
    """Return which bins of each size are the largest that lose at most so much each."""
    allowed = [np.ones(len(worst[0]), dtype=bool), *(own <= most for own in worst[1:])]
    within = [np.repeat(larger, 2) for larger in allowed[1:]]
    return [
        own & ~larger[: len(own)] for own, larger in zip(allowed, within, strict=False)
    ] + allowed[-1:]
