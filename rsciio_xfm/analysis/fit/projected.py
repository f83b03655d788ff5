"""Element maps, how sure they are, and their sums over regions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsciio_xfm.analysis.fit.matrix import Projection, shares_of
from rsciio_xfm.analysis.maps import check_region
from rsciio_xfm.kernels.project import smooth_images

_NEIGHBOURS = 9  # and itself
_PRIOR_COUNTS = np.float32(5)


@dataclass(frozen=True, eq=False)
class Projected:
    """Element maps.

    Attributes
    ----------
    names, kinds
        Of the components, see :class:`rsciio_xfm.analysis.fit.basis.Basis`.
    maps
        float32, shape (components, navigation axes): counts, not rounded, that may be
        negative where there is little. Of detectors with calibrations of their own the sum.
    own_variance
        float32, of the same shape: the variance by counting noise as the spectrum of each
        pixel alone tells it.
    chi2
        float32, shape of the navigation axes: weighted squares of what the fit leaves of a
        spectrum, relative to what counting noise is expected to leave. NaN where there are
        no counts.
    counts
        float32, shape of the navigation axes: of the channels that are fitted.
    projections
        What the maps were made with, one for each detector that has its own.
    labels
        Which class each pixel is of, or None.
    smoothing
        ``"smoothed"``, ``"class"`` or ``"pixel"``, see
        :func:`rsciio_xfm.analysis.fit.project.project`.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    maps: np.ndarray
    own_variance: np.ndarray
    chi2: np.ndarray
    counts: np.ndarray
    projections: tuple[Projection, ...]
    labels: np.ndarray | None = None
    smoothing: str = "smoothed"

    @property
    def variance(self) -> np.ndarray:
        """The variance of each pixel, smoothed; made anew each time, float32."""
        return _smoothed(self, self.own_variance)

    def sigma(self, name: str) -> np.ndarray:
        """Return the standard deviation of a map, by counting noise.

        Parameters
        ----------
        name
            Of a component.
        """
        k = self.names.index(name)
        return np.sqrt(_smoothed(self, self.own_variance[k : k + 1])[0])

    def sum_regions(self, regions: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the counts of components in regions.

        Parameters
        ----------
        regions
            Each a boolean map of the shape of the maps, or positions in the flattened map.

        Returns
        -------
        areas : numpy.ndarray
            float64, shape (regions, components): what a fit of the region's spectrum gives.
        sigma : numpy.ndarray
            float64, of the same shape: the standard deviation by counting noise and by the
            uncertainty of the calibration.

        Raises
        ------
        ValueError
            A region is none of these, or beyond the map.

        Notes
        -----
        Both are NaN if a pixel of the region is. Maps without negative areas add up to too
        much.
        """
        checked = [check_region(region, self.counts.shape) for region in regions]
        summed = [self._sum(region) for region in checked]
        n_components = len(self.names)
        areas, sigma = np.reshape(summed, (-1, 2, n_components)).transpose(1, 0, 2)
        return areas, sigma

    def _sum(self, region: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inside: np.ndarray | slice
        inside = np.flatnonzero(region) if region.dtype == bool else region
        if region.dtype == bool and region.all():
            inside = slice(None)  # which is much faster
        parts = self._sum_classes(inside)
        variance = np.maximum(_sum_pixels(self.own_variance, inside), 0)
        for own, share in zip(self.projections, shares_of(self.projections), strict=True):
            tilted = own.calibration_covariance(parts[: own.n_classes + 1] * share)
            variance = variance + np.diagonal(tilted)
        return parts.sum(axis=0), np.sqrt(variance)

    def _sum_classes(self, inside: np.ndarray | slice) -> np.ndarray:
        """Return the areas of some pixels, of each set of weights."""
        n_classes = max(own.n_classes for own in self.projections)
        if self.labels is None or not n_classes:
            parts = np.zeros((n_classes + 1, len(self.names)))
            parts[0] = _sum_pixels(self.maps, inside)
            return parts
        which = weights_of(self.labels.reshape(-1)[inside], n_classes)
        pixels = [
            np.arange(self.chi2.size)[inside][which == k] for k in range(n_classes + 1)
        ]
        return np.stack([_sum_pixels(self.maps, own) for own in pixels])


def weights_of(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the number of the weights of each label: 0, those of the whole, of others.

    Parameters
    ----------
    labels
        Whole numbers.
    n_classes
        How many classes have weights: those with the labels from 0 on.
    """
    is_class = (labels >= 0) & (labels < n_classes)
    return np.where(is_class, labels, -1).astype(np.int64) + 1


def _sum_pixels(images: np.ndarray, inside: np.ndarray | slice) -> np.ndarray:
    """Return the sums of some pixels of images, float64."""
    return np.array([image.reshape(-1)[inside].sum(dtype=np.float64) for image in images])


def _smoothed(projected: Projected, images: np.ndarray) -> np.ndarray:
    """Return variances that are smoothed; NaN where there is none."""
    smoothed = images.astype(np.float32)
    with np.errstate(all="ignore"):  # of infinity
        if projected.smoothing == "smoothed":
            _smooth(smoothed)
            _add_prior(smoothed, images, projected.counts)
        elif projected.smoothing == "class":
            _share_by_class(smoothed, projected.counts, projected.labels)
    smoothed[smoothed < 0] = np.nan
    return smoothed


def _add_prior(smoothed: np.ndarray, own: np.ndarray, counts: np.ndarray) -> None:
    """Add a few counts of the mean of the map: nothing beside others, but no variance is 0."""
    near = counts[np.newaxis].copy()
    _smooth(near)
    seen = _NEIGHBOURS * near[0]
    weight = np.where(seen < 0, 1, seen / (seen + _PRIOR_COUNTS))
    total = _total(counts)
    for i, image in enumerate(own):
        per_count = np.float32(_total(image) / total if total > 0 else 0)
        smoothed[i] *= weight
        smoothed[i] += (1 - weight) * near[0] * per_count


def _share_by_class(
    variances: np.ndarray, counts: np.ndarray, labels: np.ndarray | None
) -> None:
    """Give each pixel its share of the variance of its class, by its counts."""
    labels = np.zeros(counts.shape, dtype=int) if labels is None else labels
    for k in np.unique(labels):
        inside = labels == k
        total = _total(counts[inside])
        for image in variances:
            of_class = _total(image[inside])
            per_count = np.float32(of_class / total if total > 0 else 0)
            image[inside] = counts[inside] * per_count


def _total(numbers: np.ndarray) -> float:
    """Return the sum of those that are finite."""
    return float(numbers.sum(dtype=np.float64, where=np.isfinite(numbers)))


def _smooth(images: np.ndarray) -> None:
    """Replace each number by the mean of its neighbours along the last two axes, in place."""
    shape = images.shape
    rows = shape[-2] if len(shape) > 2 else 1
    smooth_images(images.reshape(-1, rows, shape[-1]))
