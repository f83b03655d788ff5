"""What HyperSpy's own methods look at: a signal's ``learning_results``."""

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.classify.features import Features
from rsciio_xfm.analysis.classify.methods import Components

# Of learning_results, what was found from other components before.
_OF_COMPONENTS = (
    "bss_algorithm",
    "bss_factors",
    "bss_loadings",
    "cluster_algorithm",
    "cluster_centers",
    "cluster_centroid_signals",
    "cluster_centroids",
    "cluster_distances",
    "cluster_labels",
    "cluster_membership",
    "cluster_sum_signals",
    "number_of_clusters",
    "unmixing_matrix",
)


def keep_components(signal: BaseSignal, features: Features, found: Components) -> None:
    """Put components into the results of a signal, and drop what came from others."""
    results = signal.learning_results
    k, n_channels = found.scores.shape[1], signal.data.shape[-1]
    start, rebin = features.start, features.rebin
    stop = start + rebin * features.n_features
    # Of spectra again: the scaling is undone, and bins are spread over their channels.
    undo = np.zeros(features.n_features)
    np.divide(1, features.weights, where=features.weights > 0, out=undo)
    factors = np.zeros((n_channels, k))
    factors[start:stop] = np.repeat((found.components * undo).T / rebin, rebin, axis=0)
    loadings = np.full((features.used.size, k), np.nan, dtype=np.float32)
    loadings[features.used.ravel()] = found.scores
    results.factors, results.loadings = factors, loadings
    results.mean = results.centre = None
    results.explained_variance = found.explained_variance
    results.explained_variance_ratio = found.explained_variance_ratio
    results.decomposition_algorithm = "PCA"
    results.poissonian_noise_normalized = features.scaling == "poisson"
    results.output_dimension = results.number_significant_components = k
    results.unfolded, results.original_shape = False, None
    results.navigation_mask = None if features.used.all() else ~features.used
    results.signal_mask = None
    # What was found from other components.
    for name in _OF_COMPONENTS:
        setattr(results, name, None)


def keep_classes(
    signal: BaseSignal,
    label_map: np.ndarray,
    points: np.ndarray,
    labels: np.ndarray,
    totals: np.ndarray,
) -> None:
    """Put classes, their components and sums of spectra into the results of a signal."""
    results = signal.learning_results
    n_classes = len(totals)
    flat = label_map.ravel()
    results.cluster_labels = np.stack([flat == k for k in range(n_classes)])
    results.cluster_algorithm = "kmeans"
    results.number_of_clusters = n_classes
    results.cluster_sum_signals = totals.astype(float)
    centres = np.stack(
        [points[labels == k].mean(axis=0, dtype=float) for k in range(n_classes)]
    )
    distances = np.full((n_classes, flat.size), np.nan, dtype=np.float32)
    nearest = np.empty((n_classes, signal.data.shape[-1]))
    used = np.flatnonzero(flat >= 0)
    for k, centre in enumerate(centres):
        found = np.linalg.norm(points - centre.astype(points.dtype), axis=1)
        distances[k, used] = found
        place = np.unravel_index(used[np.argmin(found)], label_map.shape)
        nearest[k] = np.asarray(signal.data[place])
    results.cluster_distances = distances
    results.cluster_centroids = results.cluster_centers = centres
    results.cluster_centroid_signals = nearest
