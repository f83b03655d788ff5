"""Classes of spectra: principal components, UMAP and clusters, out of core.

What they start from, features of the spectra, is in
:mod:`rsciio_xfm.analysis.classify.features`.
"""

import math
import threading
import warnings
from dataclasses import dataclass

import numpy as np

from rsciio_xfm.analysis.classify.features import Features, in_steps
from rsciio_xfm.core.checks import check_whole, is_whole
from rsciio_xfm.core.extras import require
from rsciio_xfm.core.one_thread import one_thread
from rsciio_xfm.core.progress import count_bar
from rsciio_xfm.core.reduce import Images, Part, Piece, Reduction, run
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.watch import begin, go_on

CLASSIFIERS = ("kmeans", "hdbscan")
REDUCERS = ("pca", "umap")
MASKED = -1

MAX_SAMPLES = 200_000
MAX_UMAP_SAMPLES = 20_000
MOST_COMPONENTS = 50  # that UMAP starts from
_COMPONENT_BITS = 26
_TRANSFORMED_AT_ONCE = 20_000
_CELLS = 64  # of a coarse clustering that samples are drawn from
_N_INIT = 5
LEAST_CONTRAST = 2.0  # of spectra whose classes are not classes of noise
_fitting = threading.Lock()


@dataclass(frozen=True)
class Components:
    """Principal components; see :func:`reduce_pca`.

    Attributes
    ----------
    scores
        float32, shape (spectra that are not masked, components), in the map's order.
    components
        float64, shape (components, features), of length 1.
    explained_variance, explained_variance_ratio
        float64, shape (features,), of all components.
    """

    scores: np.ndarray
    components: np.ndarray
    explained_variance: np.ndarray
    explained_variance_ratio: np.ndarray


def reduce_pca(features: Features, n_components: int = 10) -> Components:
    """Find principal components, in two passes over the map.

    The first pass adds up the products of all pairs of features, from which the components
    follow; the second makes the scores.

    Parameters
    ----------
    features
        From :func:`rsciio_xfm.analysis.classify.features.prepare`.
    n_components
        How many; as many as there can be if that is less.

    Returns
    -------
    Components
        The components and the scores of the spectra that are not masked.

    Raises
    ------
    ValueError
        The number is less than 1.

    Notes
    -----
    The products are exact (see :mod:`rsciio_xfm.analysis.classify.features`), and the
    components their eigenvectors, with the sign that makes the largest element of each
    positive. The mean is not subtracted, as in HyperSpy's ``decomposition``: it is about the
    first component.

    Examples
    --------
    >>> import numpy as np
    >>> from rsciio_xfm.analysis.classify.features import prepare
    >>> data = np.random.default_rng(0).poisson(5, (20, 30, 8)).astype(np.uint16)
    >>> reduce_pca(prepare(data), n_components=3).scores.shape
    (600, 3)
    """
    check_whole("n_components", n_components)
    n_used = features.n_used
    n_components = min(n_components, features.n_features, n_used)
    (products,) = run(features.data, _Products(features.bare()))
    with one_thread():  # several add up in an order that changes
        values, vectors = np.linalg.eigh(products / n_used)
    variance = np.maximum(values[::-1], 0) * features.step**2
    components = vectors[:, ::-1][:, :n_components].T
    largest = np.abs(components).argmax(axis=1)
    signs = np.sign(components[np.arange(n_components), largest])
    components = components * np.where(signs == 0, 1, signs)[:, np.newaxis]
    (images,) = run(features.data, _Scores(features.bare(), components))
    scores = np.ascontiguousarray(images[:, features.used].T)
    ratio = variance / variance.sum() if variance.sum() > 0 else variance
    return Components(scores, components, variance, ratio)


def contrast(features: Features, found: Components) -> float:
    """Tell how much spectra of single pixels differ by more than their counting noise.

    Parameters
    ----------
    features, found
        Counts, scaled by ``"poisson"``, and all of their components.

    Returns
    -------
    float
        The variance of what they differ in most, in units of the variance of the noise, which
        is 1 along each component. Below about 2, classes of pixels are classes of noise.
        Infinite where the noise is not known: of other scalings, and of what are no counts.

    Notes
    -----
    With this scaling, noise has a variance of 1 whatever the channel (Keenan & Kotula, Surface
    and Interface Analysis 36 (2004) 203). Of few spectra it makes the variances of components
    larger than they are; this is taken away (Baik & Silverstein, Journal of Multivariate
    Analysis 97 (2006) 1382). The first component is the mean: that it differs from pixel to
    pixel is looked at, not that it is there.
    """
    if features.scaling != "poisson" or features.data.dtype.kind not in "biu":
        return math.inf
    ratio = np.count_nonzero(features.weights) / features.n_used
    brightness = float(np.var(found.scores[:, 0], dtype=float)) - 1
    if len(found.explained_variance) < 2:
        return brightness
    variance = float(found.explained_variance[1])
    half = (1 + variance - ratio) / 2
    if variance <= (1 + math.sqrt(ratio)) ** 2:  # as noise alone would have it
        return max(brightness, 0.0)
    return max(brightness, half + math.sqrt(max(0.0, half**2 - variance)) - 1)


def reduce_umap(
    scores: np.ndarray,
    n_components: int = 2,
    random_state: int = 0,
    max_samples: int = MAX_UMAP_SAMPLES,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
) -> np.ndarray:
    """Embed points with UMAP: fitted to a sample, then all others block by block.

    Parameters
    ----------
    scores
        Shape (points, dimensions), as of :func:`reduce_pca`.
    n_components
        Dimensions of the embedding.
    random_state
        Seed of the sample and of UMAP.
    max_samples
        How many points it is fitted to, at most; see :func:`choose_samples`.
    n_neighbors, min_dist
        Of :class:`umap.UMAP`.

    Returns
    -------
    numpy.ndarray
        float32, shape (points, n_components).

    Raises
    ------
    ImportError
        umap-learn is not installed; names the extra.
    ValueError
        There are too few points.

    Notes
    -----
    UMAP starts from the principal components: these always exist, and keep what is far apart
    in the spectra far apart in the embedding (Kobak & Linderman, Nature Biotechnology 39
    (2021) 156).
    """
    umap = require("umap", "learning")
    check_whole("n_components", n_components)
    check_whole("random_state", random_state, 0)
    check_whole("max_samples", max_samples, n_components + 3)
    check_whole("n_neighbors", n_neighbors, 2)
    if len(scores) < n_components + 3:
        raise ValueError(
            f"There are {len(scores)} spectra, expected at least {n_components + 3} for an "
            f"embedding in {n_components} dimensions. Use reducer='pca'."
        )
    chosen = choose_samples(scores, max_samples, random_state)
    can_start = scores.shape[1] >= n_components and np.ptp(scores[chosen], axis=0).any()
    model = umap.UMAP(
        n_components=n_components,
        n_neighbors=min(n_neighbors, len(chosen) - 1),
        min_dist=min_dist,
        random_state=random_state,
        n_jobs=1,  # what a seed needs
        # Not spectral: phases that have nothing between them are apart in the graph of
        # neighbours, of which the eigenvectors are then arbitrary, or are not found.
        init="pca" if can_start else "random",
    )
    embedding = np.empty((len(scores), n_components), dtype=np.float32)
    begin(f"embedding {len(chosen)} pixels with UMAP")
    embedding[chosen] = model.fit_transform(scores[chosen])
    rest = np.ones(len(scores), dtype=bool)
    rest[chosen] = False
    places = np.flatnonzero(rest)
    with count_bar(len(places), "Embedding the other pixels") as bar:
        for start in range(0, len(places), _TRANSFORMED_AT_ONCE):
            block = places[start : start + _TRANSFORMED_AT_ONCE]
            embedding[block] = model.transform(scores[block])
            bar.update(len(block))
    return embedding


def cluster(
    points: np.ndarray,
    n_classes: int | None = 6,
    classifier: str = "kmeans",
    random_state: int = 0,
    max_samples: int = MAX_SAMPLES,
    min_class_size: int = 50,
) -> np.ndarray:
    """Find classes of points: fitted to a sample, then told for all.

    Parameters
    ----------
    points
        Shape (points, dimensions).
    n_classes
        How many, for K-means; HDBSCAN finds out itself.
    classifier
        ``"kmeans"`` or ``"hdbscan"``.
    random_state
        Seed of the sample and of K-means.
    max_samples
        How many points are fitted, at most; of HDBSCAN a tenth of that.
    min_class_size
        Of HDBSCAN: points of the sample that make a class.

    Returns
    -------
    numpy.ndarray
        int16, shape (points,): 0 for the largest class, 1 for the next, ...; -1 for what
        HDBSCAN finds in no class. There are fewer classes than asked for if there are fewer
        different points.

    Raises
    ------
    ImportError
        scikit-learn is not installed; names the extra.
    ValueError
        There are fewer points than classes, or the classifier is none of these.
    """
    if classifier not in CLASSIFIERS:
        raise ValueError(
            f"classifier is {classifier!r}, expected one of {', '.join(CLASSIFIERS)}."
        )
    check_whole("random_state", random_state, 0)
    is_kmeans = classifier == "kmeans"
    n_asked = _check_n_classes(n_classes, len(points)) if is_kmeans else 0
    check_whole("min_class_size", min_class_size, 2)
    check_whole("max_samples", max_samples, n_asked or 20 * min_class_size)
    require("sklearn", "learning")
    if is_kmeans:
        labels = _kmeans(points, n_asked, random_state, max_samples)
    else:
        labels = _hdbscan(points, random_state, max_samples // 10, min_class_size)
    labels = _by_size(labels)
    n_found = int(labels.max(initial=-1)) + 1
    if n_found < n_asked:
        warn(
            f"There are {n_found} classes, expected {n_asked}: the spectra differ too "
            "little."
        )
    return labels


def _check_n_classes(n_classes: int | None, n_points: int) -> int:
    """Refuse a number of classes that points cannot have."""
    if not is_whole(n_classes) or not 1 <= n_classes <= n_points:
        raise ValueError(
            f"n_classes is {n_classes!r}, expected a whole number from 1 to the "
            f"{n_points} spectra that are not masked."
        )
    return int(n_classes)


def estimate_n_classes(
    points: np.ndarray,
    max_classes: int = 12,
    random_state: int = 0,
    max_samples: int = 5000,
) -> dict[int, float]:
    """Tell how well points fall into 2, 3, ... classes, from a sample.

    Parameters
    ----------
    points
        Shape (points, dimensions).
    max_classes
        The most to be tried.
    random_state
        Seed of the sample and of K-means.
    max_samples
        Size of the sample.

    Returns
    -------
    dict of int to float
        The mean silhouette for each number of classes, from -1 to 1; the number with the
        highest is the best guess.

    Raises
    ------
    ImportError
        scikit-learn is not installed; names the extra.
    ValueError
        There are fewer than 3 points.
    """
    require("sklearn", "learning")
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    check_whole("max_classes", max_classes, 2)
    check_whole("random_state", random_state, 0)
    if len(points) < 3:
        raise ValueError(f"There are {len(points)} spectra, expected at least 3.")
    chosen = points[choose_samples(points, max_samples, random_state)]
    found = {}
    numbers = range(2, min(max_classes, len(chosen) - 1) + 1)
    with (
        threadpool_limits(1),
        count_bar(len(numbers), "Trying numbers of classes") as bar,
    ):
        for n in numbers:
            labels = _kmeans(chosen, n, random_state, len(chosen))
            n_found = len(np.unique(labels))
            found[n] = float(silhouette_score(chosen, labels)) if n_found > 1 else -1.0
            bar.update(1)
    return found


def choose_samples(points: np.ndarray, max_samples: int, random_state: int) -> np.ndarray:
    """Choose points at random, so that small groups of them are there too.

    Parameters
    ----------
    points
        Shape (points, dimensions).
    max_samples
        How many, at most.
    random_state
        Seed.

    Returns
    -------
    numpy.ndarray
        Their places, ascending: all if there are no more. Else three quarters are drawn from
        all, the rest in equal numbers from each of 64 cells of a coarse clustering.
    """
    if len(points) <= max_samples:
        return np.arange(len(points))
    require("sklearn", "learning")
    rng = np.random.default_rng(random_state)
    order = rng.permutation(len(points))
    chosen = np.zeros(len(points), dtype=bool)
    chosen[order[: max_samples * 3 // 4]] = True
    coarse = _fit_kmeans(
        points[order[:20_000]], min(_CELLS, max_samples // 8 or 1), 1, random_state
    )
    cells = _assign(points, coarse)
    rest = order[~chosen[order]]
    turn = np.empty(len(rest), dtype=np.int64)
    for cell in range(len(coarse)):
        own = cells[rest] == cell
        turn[own] = np.arange(np.count_nonzero(own))
    n_left = max_samples - np.count_nonzero(chosen)
    chosen[rest[np.argsort(turn, kind="stable")[:n_left]]] = True
    return np.flatnonzero(chosen)


def _kmeans(
    points: np.ndarray, n_classes: int, random_state: int, max_samples: int
) -> np.ndarray:
    chosen = choose_samples(points, max_samples, random_state)
    centres = _fit_kmeans(points[chosen], n_classes, _N_INIT, random_state)
    return _assign(points, centres)


def _fit_kmeans(
    points: np.ndarray, n_classes: int, n_init: int, random_state: int
) -> np.ndarray:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    go_on()
    # One thread: several add up in an order that changes. What another thread of this package
    # limits and gives back meanwhile changes nothing then.
    with _fitting, one_thread(), threadpool_limits(1), warnings.catch_warnings():
        # Of points that are equal: there are fewer classes then.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = KMeans(n_classes, n_init=n_init, random_state=random_state)
        return model.fit(np.ascontiguousarray(points, dtype=np.float64)).cluster_centers_


def _assign(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the nearest centre of each point, in blocks."""
    labels = np.empty(len(points), dtype=np.int16)
    half = (centres**2).sum(axis=1) / 2
    for start in range(0, len(points), 2**16):
        go_on()
        part = points[start : start + 2**16].astype(np.float64)
        labels[start : start + 2**16] = np.argmax(part @ centres.T - half, axis=1)
    return labels


def _hdbscan(
    points: np.ndarray, random_state: int, max_samples: int, min_class_size: int
) -> np.ndarray:
    from sklearn.cluster import HDBSCAN
    from sklearn.neighbors import KNeighborsClassifier

    chosen = choose_samples(points, max_samples, random_state)
    size = max(2, min(min_class_size, len(chosen) // 2))
    found = HDBSCAN(min_cluster_size=size, copy=True).fit(points[chosen]).labels_
    labels = np.empty(len(points), dtype=np.int16)
    near = KNeighborsClassifier(1).fit(points[chosen], found)
    for start in range(0, len(points), 2**16):
        go_on()
        labels[start : start + 2**16] = near.predict(points[start : start + 2**16])
    labels[chosen] = found
    return labels


def _by_size(labels: np.ndarray) -> np.ndarray:
    """Give classes numbers, from the largest to the smallest."""
    found, sizes = np.unique(labels[labels >= 0], return_counts=True)
    numbers = np.full(int(labels.max(initial=0)) + 2, MASKED, dtype=np.int16)
    numbers[found[np.argsort(-sizes, kind="stable")]] = np.arange(len(found))
    return numbers[labels]  # -1 is the last one


@dataclass(frozen=True)
class _Products(Reduction):
    """Sums of the products of all pairs of features."""

    features: Features

    def begin(self, part: Part) -> np.ndarray:
        n = self.features.n_features
        return np.zeros((n, n))

    def add(self, state: np.ndarray, piece: Piece) -> np.ndarray:
        inside = self.features.used[piece.place].ravel()
        with one_thread():
            steps = in_steps(piece.rows[inside], piece.first, self.features)
            state += steps.T @ steps
        return state

    def merge(self, states: list[np.ndarray]) -> np.ndarray:
        return np.sum(states, axis=0)


@dataclass(frozen=True)
class _Scores(Images):
    """The scores of components, zero where spectra are masked."""

    features: Features
    components: np.ndarray

    def kind(self, dtype: np.dtype) -> tuple[int, np.dtype]:
        return len(self.components), np.dtype(np.float32)

    def make(self, piece: Piece) -> np.ndarray | None:
        inside = self.features.used[piece.place].ravel()
        if not inside.any():
            return None
        whole = np.round(self.components * 2.0**_COMPONENT_BITS)  # so that sums are exact
        scores = np.zeros((len(whole), inside.size), dtype=np.float32)
        with one_thread():
            steps = in_steps(piece.rows[inside], piece.first, self.features)
            found = (steps @ whole.T) / 2.0**_COMPONENT_BITS
        scores[:, inside] = (found * self.features.step).T
        return scores
