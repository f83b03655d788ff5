"""Counts of elements in a map, in regions and in blocks of it, and which of them are there."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from rsciio_xfm.analysis.fit.basis import ELEMENT
from rsciio_xfm.analysis.fit.limits import detection_limits
from rsciio_xfm.analysis.fit.matrix import Projection, shares_of
from rsciio_xfm.analysis.fit.project import Projected
from rsciio_xfm.signals.areas import IN_PART, Areas, order_of

_BLOCK_COUNTS = 3000  # at least, where an element is looked for in parts of a map
_MOST_BLOCKS = 32  # along an axis
# Sigma in a block: none of some 20 000 blocks of 20 elements has it by chance.
_LOCAL = 6.0


def areas_of_regions(
    projected: Projected,
    notes: Mapping[str, str],
    regions: Mapping[str, np.ndarray],
) -> dict[str, Areas]:
    """Return the counts of regions: boolean maps, or positions in the flattened map."""
    counts, sigma = projected.sum_regions(list(regions.values()))
    each = zip(regions.items(), counts, sigma, strict=True)
    return {
        name: name_areas(
            projected.projections, notes, own, deviation, size_of_region(region)
        )
        for (name, region), own, deviation in each
    }


def name_areas(
    projections: Sequence[Projection],
    notes: Mapping[str, str],
    counts: np.ndarray,
    sigma: np.ndarray,
    n_pixels: int,
) -> Areas:
    """Return counts of components, shape (components,), as a table, with their limits."""
    limits = detection_limits(projections, shares_of(projections), counts)
    own = projections[0]
    shown = order_of(own.names, own.kinds)
    names = tuple(own.names[k] for k in shown)
    quiet = frozenset(own.names[k] for k in shown if own.kinds[k] != ELEMENT)
    counts, sigma, limits = (np.asarray(a, float)[shown] for a in (counts, sigma, limits))
    return Areas(names, counts, sigma, limits, n_pixels, dict(notes), quiet)


def _moved(projection: Projection, areas: np.ndarray, which: list[int]) -> np.ndarray:
    """Return the variance by the calibration of some areas, shape (sums, which).

    That of all of them with each other, which :meth:`Projection.calibration_covariance` gives,
    would take most of the time of the maps.
    """
    changes = np.tensordot(areas, projection.tilts[0][:, which], axes=([1], [2]))
    spread = np.tensordot(changes, projection.covariance, axes=([1], [0]))
    return np.einsum("spk,skp->sk", changes, spread)


def find_in_parts(projected: Projected, totals: Areas) -> dict[str, str]:
    """Return a note for each element that is not there on the whole, but in some blocks."""
    absent = [
        k for k, name in enumerate(projected.names)
        if projected.kinds[k] == ELEMENT and not totals.is_detected(name)
    ]  # fmt: skip
    edges = _edges_of(projected)
    if not absent or edges is None:
        return {}
    areas = _sum_blocks(projected.maps, edges)
    noise = _sum_blocks(projected.own_variance[absent], edges)
    with np.errstate(invalid="ignore"):  # of blocks with NaN or infinity
        for projection in projected.projections:
            noise = noise + _moved(projection, areas, absent)
        evidence = areas[:, absent] / np.sqrt(np.maximum(noise, 1.0))
    each = zip(absent, evidence.max(axis=0), strict=True)
    return {projected.names[k]: IN_PART for k, highest in each if highest > _LOCAL}


def _edges_of(projected: Projected) -> list[np.ndarray] | None:
    """Return where blocks of enough counts begin along each axis."""
    counts = projected.counts
    total = max(0.0, float(counts.sum(dtype=float, where=np.isfinite(counts))))
    shape = projected.chi2.shape
    n_axes = len(shape)
    n_each = min(_MOST_BLOCKS, int((total / _BLOCK_COUNTS) ** (1 / n_axes)))
    if n_each < 2 or n_axes > 2:
        return None
    return [np.arange(min(n_each, n)) * n // min(n_each, n) for n in shape]


def _sum_blocks(maps: np.ndarray, edges: Sequence[np.ndarray]) -> np.ndarray:
    """Return sums of blocks, float64, shape (blocks, components)."""
    summed = maps
    for axis, starts in reversed([*enumerate(edges, 1)]):
        summed = np.add.reduceat(summed, starts, axis=axis, dtype=np.float64)
    return summed.reshape(len(maps), -1).T


def size_of_region(region: np.ndarray) -> int:
    """Return how many pixels a region has, a boolean map or positions."""
    return int(region.sum()) if region.dtype == bool else math.prod(region.shape)
