"""Classes of spectra: principal components, UMAP and clusters, out of core.

Spectra become features (a window of channels, rebinned and scaled), which are never kept: each
pass over the map makes them again, piece by piece. Features are whole multiples of a step, so
small that it drowns in counting noise, and all sums over pixels are sums of whole numbers
below 2**53: they are exact in float64, and so the same whatever the chunks, the scheduler and
the order of work. (Of spectra that are floats the weights of the features come from sums that
are not exact; they are rounded to 32 bits.)
"""

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask.array as da
import numpy as np

from rsciio_xfm._io.compiled import kernel
from rsciio_xfm._io.lazy import Range, place_in, take
from rsciio_xfm._io.passes import Pieces, over_pieces
from rsciio_xfm._io.warning import warn
from rsciio_xfm.analysis.extras import require
from rsciio_xfm.analysis.sums import is_counts

SCALINGS = ("poisson", "sqrt", "log", "none")
CLASSIFIERS = ("kmeans", "hdbscan")
REDUCERS = ("pca", "umap")
MASKED = -1

MAX_FEATURES = 512  # that "auto" rebins to
MAX_SAMPLES = 200_000
_UMAP_SAMPLES = 20_000
MOST_COMPONENTS = 50  # that UMAP starts from
_EXACT_BITS = 53  # of float64
_FEATURE_BITS = 16
_COMPONENT_BITS = 26
# Of a step, in standard deviations of the features. What is then beyond the highest multiple
# of the step, at least 500 of them, is cut off: it is a fault, not a phase.
_MOST_STEP = 1 / 16
_TRANSFORMED_AT_ONCE = 20_000
_CELLS = 64  # of a coarse clustering that samples are drawn from
_N_INIT = 5


@dataclass(frozen=True)
class Features:
    """How the spectra of a map become features; see :func:`prepare`.

    Attributes
    ----------
    data
        The spectra, channels along the last axis.
    used
        bool, shape of the navigation axes: False for what is masked.
    start, rebin, n_features
        First channel, channels that make a feature, how many features.
    scaling
        Of :data:`SCALINGS`.
    weights
        float64, shape (n_features,): what a feature is multiplied by after scaling.
    step, limit
        What the features are whole multiples of, and the highest multiple.
    """

    data: Any
    used: np.ndarray
    start: int
    rebin: int
    n_features: int
    scaling: str
    weights: np.ndarray
    step: float
    limit: float

    @property
    def n_used(self) -> int:
        """How many spectra are not masked."""
        return int(np.count_nonzero(self.used))


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


def prepare(
    data: np.ndarray | da.Array,
    channels: tuple[int, int] | None = None,
    rebin: int | str = "auto",
    scaling: str = "poisson",
    navigation_mask: np.ndarray | None = None,
    min_counts: float = 1,
) -> Features:
    """Choose features of the spectra of a map, in one pass.

    Parameters
    ----------
    data
        Spectra, channels along the last axis.
    channels
        Window of channels, half-open; None takes all.
    rebin
        How many channels make one feature; ``"auto"`` makes at most 512 features. Channels
        that are left over at the end are left out.
    scaling
        ``"poisson"``: divided by the square root of their mean, so that counting noise is the
        same in all features; ``"sqrt"`` of the counts, so that it is the same in all
        spectra too; ``"log"`` of 1 + counts; or ``"none"``.
    navigation_mask
        bool, shape of the navigation axes; True leaves a spectrum out.
    min_counts
        Spectra with fewer counts in the window are left out, and those with any NaN or
        infinity.

    Returns
    -------
    Features
        What the other functions need to go through the map.

    Raises
    ------
    ValueError
        An argument does not suit the map, or all spectra are masked.

    Examples
    --------
    >>> import numpy as np
    >>> features = prepare(np.array([[4, 1, 0], [0, 0, 0]], dtype=np.uint8), scaling="sqrt")
    >>> features.used.tolist(), features.n_features
    ([True, False], 3)
    """
    start, rebin, n_features = _check_features(data, channels, rebin, scaling, min_counts)
    used = _check_mask(data, navigation_mask)
    blank = Features(
        data=_crop(data, start, start + n_features * rebin),
        used=used,
        start=start,
        rebin=rebin,
        n_features=n_features,
        scaling=scaling,
        weights=np.ones(n_features),
        step=1.0,
        limit=1.0,
    )
    total, squares, peak, counts = _survey(blank, min_counts)
    used = used & (counts >= min_counts)
    n_used = np.count_nonzero(used)
    if not n_used:
        raise ValueError(
            f"All {used.size} spectra are masked, empty or have fewer counts than "
            f"{min_counts} in channels {start} to {start + n_features * rebin - 1}, expected "
            "some to classify."
        )
    moments = total / n_used, squares / n_used, peak
    weights, step, limit = _choose_steps(blank, n_used, *moments)
    return _replace(blank, used=used, weights=weights, step=step, limit=limit)


def _check_features(
    data: np.ndarray | da.Array,
    channels: tuple[int, int] | None,
    rebin: int | str,
    scaling: str,
    min_counts: float,
) -> tuple[int, int, int]:
    """Return the first channel, how many make a feature, and how many features there are."""
    if data.dtype.kind not in "biuf":
        raise ValueError(f"The spectra are {data.dtype}, expected real numbers.")
    if not isinstance(min_counts, int | float | np.number) or isinstance(
        min_counts, bool
    ):
        raise ValueError(f"min_counts is {min_counts!r}, expected a number.")
    if scaling not in SCALINGS:
        raise ValueError(
            f"scaling is {scaling!r}, expected one of {', '.join(SCALINGS)}."
        )
    start, stop = (0, data.shape[-1]) if channels is None else channels
    if not 0 <= start < stop <= data.shape[-1]:
        raise ValueError(
            f"channels is ({start}, {stop}), expected start < stop within 0 and "
            f"{data.shape[-1]}, the number of channels."
        )
    if rebin == "auto":
        rebin = max(1, math.ceil((stop - start) / MAX_FEATURES))
    is_whole = isinstance(rebin, int | np.integer) and not isinstance(rebin, bool)
    if not is_whole or not 1 <= rebin <= stop - start:
        raise ValueError(
            f"rebin is {rebin!r}, expected 'auto' or a whole number from 1 to {stop - start}."
        )
    return int(start), int(rebin), int((stop - start) // rebin)


def _check_mask(data: np.ndarray | da.Array, navigation_mask: Any) -> np.ndarray:
    """Return which spectra may be used."""
    used = np.ones(data.shape[:-1], dtype=bool)
    if navigation_mask is not None:
        mask = np.asarray(navigation_mask)
        if mask.dtype != bool or mask.shape != used.shape:
            raise ValueError(
                f"navigation_mask is a map of {mask.dtype}, shape {mask.shape}, expected a "
                f"boolean one of shape {used.shape}."
            )
        used &= ~mask
    if data.dtype.kind == "f":  # NaN and infinity, in the window or not
        with np.errstate(all="ignore"):
            used &= np.isfinite(np.asarray(data.sum(axis=-1)))
    return used


def _choose_steps(
    features: Features,
    n_used: int,
    mean: np.ndarray,
    mean_square: np.ndarray,
    peak: np.ndarray,
) -> tuple[np.ndarray, float, float]:
    """Return weights, step and limit of the features, from their moments and maxima."""
    scaling, kind = features.scaling, features.data.dtype.kind
    variance = np.maximum(mean_square - mean**2, 0)
    bits = min(_FEATURE_BITS, (_EXACT_BITS - math.ceil(math.log2(n_used + 1))) // 2)
    limit = 2.0**bits - 1
    weights = np.ones(features.n_features)
    if scaling == "poisson":
        weights = _weights(mean, variance, kind == "f", n_used)
    highest = peak.copy()
    _scale(highest, scaling)
    step = max(float((highest * weights).max()), 1e-300) / limit
    if scaling in ("poisson", "none"):  # one hot pixel must not make the steps coarse
        spread = np.sqrt(variance) * weights
        spread = spread[spread > 0]
        if spread.size:
            noise = np.percentile(spread, 50 if scaling == "poisson" else 95)
            step = min(step, _MOST_STEP * float(noise))
    if scaling == "none" and kind in "biu":
        step = max(step, 1.0)  # counts are whole numbers already
    # Whatever the order in which floats were added up.
    return weights, float(np.float32(step)), limit


def reduce_pca(features: Features, n_components: int = 10) -> Components:
    """Find principal components, in two passes over the map.

    The first pass adds up the products of all pairs of features, from which the components
    follow; the second makes the scores.

    Parameters
    ----------
    features
        From :func:`prepare`.
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
    The products are exact (see the module), and the components their eigenvectors, with the
    sign that makes the largest element of each positive. The mean is not subtracted, as in
    HyperSpy's ``decomposition``: it is about the first component.

    Examples
    --------
    >>> import numpy as np
    >>> data = np.random.default_rng(0).poisson(5, (20, 30, 8)).astype(np.uint16)
    >>> reduce_pca(prepare(data), n_components=3).scores.shape
    (600, 3)
    """
    check_whole("n_components", n_components)
    n_used = features.n_used
    n_components = min(n_components, features.n_features, n_used)
    products = over_pieces(
        features.data, partial(_add_products, features=_bare(features)), _add
    )
    values, vectors = np.linalg.eigh(products / n_used)
    variance = np.maximum(values[::-1], 0) * features.step**2
    components = vectors[:, ::-1][:, :n_components].T
    largest = np.abs(components).argmax(axis=1)
    signs = np.sign(components[np.arange(n_components), largest])
    components = components * np.where(signs == 0, 1, signs)[:, np.newaxis]
    parts = over_pieces(
        features.data,
        partial(_project, features=_bare(features), components=components),
        _join,
    )
    places = np.concatenate([place for place, _ in parts])
    scores = np.concatenate([found for _, found in parts])
    scores = scores[np.argsort(places, kind="stable")]
    scores = (scores * features.step).astype(np.float32)
    ratio = variance / variance.sum() if variance.sum() > 0 else variance
    return Components(scores, components, variance, ratio)


def reduce_umap(
    scores: np.ndarray,
    n_components: int = 2,
    random_state: int = 0,
    max_samples: int = _UMAP_SAMPLES,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    show_progressbar: bool = False,
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
    show_progressbar
        While the others are embedded.

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
    """
    umap = require("umap", "learning")
    from tqdm import tqdm

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
    model = umap.UMAP(
        n_components=n_components,
        n_neighbors=min(n_neighbors, len(chosen) - 1),
        min_dist=min_dist,
        random_state=random_state,
        n_jobs=1,  # what a seed needs
        init="spectral" if len(chosen) > 10 * n_components else "random",
    )
    embedding = np.empty((len(scores), n_components), dtype=np.float32)
    embedding[chosen] = model.fit_transform(scores[chosen])
    rest = np.ones(len(scores), dtype=bool)
    rest[chosen] = False
    places = np.flatnonzero(rest)
    blocks = range(0, len(places), _TRANSFORMED_AT_ONCE)
    for start in tqdm(blocks, desc="UMAP", disable=not show_progressbar):
        block = places[start : start + _TRANSFORMED_AT_ONCE]
        embedding[block] = model.transform(scores[block])
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
    is_whole = isinstance(n_classes, int | np.integer) and not isinstance(n_classes, bool)
    if classifier == "kmeans" and not (is_whole and 1 <= n_classes <= len(points)):
        raise ValueError(
            f"n_classes is {n_classes!r}, expected a whole number from 1 to the "
            f"{len(points)} spectra that are not masked."
        )
    check_whole("min_class_size", min_class_size, 2)
    least = n_classes if classifier == "kmeans" else 20 * min_class_size
    check_whole("max_samples", max_samples, int(least))
    require("sklearn", "learning")
    if classifier == "kmeans":
        labels = _kmeans(points, int(n_classes), random_state, max_samples)
    else:
        labels = _hdbscan(points, random_state, max_samples // 10, min_class_size)
    labels = _by_size(labels)
    n_found = int(labels.max(initial=-1)) + 1
    if classifier == "kmeans" and n_found < n_classes:
        warn(
            f"There are {n_found} classes, expected {n_classes}: the spectra differ too "
            "little."
        )
    return labels


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
    with threadpool_limits(1):
        for n in range(2, min(max_classes, len(chosen) - 1) + 1):
            labels = _kmeans(chosen, n, random_state, len(chosen))
            n_found = len(np.unique(labels))
            found[n] = float(silhouette_score(chosen, labels)) if n_found > 1 else -1.0
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


def check_whole(name: str, value: Any, least: int = 1) -> None:
    """Refuse a number that is not whole, or too small.

    Parameters
    ----------
    name, value
        Of an argument.
    least
        That it may be.

    Raises
    ------
    ValueError
        It names the argument, and what it is.
    """
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < least:
        raise ValueError(
            f"{name} is {value!r}, expected a whole number, at least {least}."
        )


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

    # One thread: several add up in an order that changes.
    with threadpool_limits(1), warnings.catch_warnings():
        # Of points that are equal: there are fewer classes then.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = KMeans(n_classes, n_init=n_init, random_state=random_state)
        return model.fit(np.ascontiguousarray(points, dtype=np.float64)).cluster_centers_


def _assign(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the nearest centre of each point, in blocks."""
    labels = np.empty(len(points), dtype=np.int16)
    half = (centres**2).sum(axis=1) / 2
    for start in range(0, len(points), 2**16):
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
        labels[start : start + 2**16] = near.predict(points[start : start + 2**16])
    labels[chosen] = found
    return labels


def _by_size(labels: np.ndarray) -> np.ndarray:
    """Give classes numbers, from the largest to the smallest."""
    found, sizes = np.unique(labels[labels >= 0], return_counts=True)
    numbers = np.full(int(labels.max(initial=0)) + 2, MASKED, dtype=np.int16)
    numbers[found[np.argsort(-sizes, kind="stable")]] = np.arange(len(found))
    return numbers[labels]  # -1 is the last one


def _crop(data: np.ndarray | da.Array, start: int, stop: int) -> np.ndarray | da.Array:
    key = (..., slice(start, stop))
    return take(data, key) if isinstance(data, da.Array) else data[key]


def _replace(features: Features, **changes: Any) -> Features:
    return Features(**vars(features) | changes)


def _bare(features: Features) -> Features:
    """Return the features without the map, which a task is given in pieces."""
    return _replace(features, data=None)


# What is done with the pieces of a part of the map.


def _survey(
    features: Features, min_counts: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return sum, sum of squares and maximum of each feature, and each spectrum's counts."""
    total, squares, peak, parts = over_pieces(
        features.data,
        partial(_survey_part, features=_bare(features), min_counts=min_counts),
        _merge_survey,
    )
    counts = np.zeros(features.used.shape)
    for ranges, part in parts:
        counts[tuple(slice(*r) for r in ranges)] = part
    return total, squares, peak, counts


def _survey_part(
    pieces: Pieces, ranges: tuple[Range, ...], features: Features, min_counts: float
) -> Any:
    total, squares, peak = np.zeros((3, features.n_features))
    counts = np.zeros([stop - start for start, stop in ranges[:-1]])
    for held, spectra, place, inside in _spectra(pieces, ranges, features):
        binned = _bin(spectra, -held[-1][0], features)
        sums = binned.sum(axis=1)
        counts[place] = sums.reshape(counts[place].shape)
        wanted = binned[inside.ravel() & (sums >= min_counts)]
        if len(wanted):
            total += wanted.sum(axis=0)
            squares += np.einsum("ij,ij->j", wanted, wanted)
            np.maximum(peak, wanted.max(axis=0), out=peak)
    return total, squares, peak, [(ranges[:-1], counts)]


def _merge_survey(results: list[Any]) -> Any:
    totals, squares, peaks, parts = zip(*results, strict=True)
    return (
        np.sum(totals, axis=0),
        np.sum(squares, axis=0),
        np.max(peaks, axis=0),
        [part for several in parts for part in several],
    )


def _add_products(
    pieces: Pieces, ranges: tuple[Range, ...], features: Features
) -> np.ndarray:
    products = np.zeros((features.n_features, features.n_features))
    with _one_thread():
        for held, spectra, _, inside in _spectra(pieces, ranges, features):
            steps = _in_steps(spectra[inside.ravel()], -held[-1][0], features)
            products += steps.T @ steps
    return products


def _project(
    pieces: Pieces, ranges: tuple[Range, ...], features: Features, components: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    whole = np.round(components * 2.0**_COMPONENT_BITS)  # so that sums are exact
    results = []
    with _one_thread():
        for held, spectra, _, inside in _spectra(pieces, ranges, features):
            if not inside.any():
                continue
            steps = _in_steps(spectra[inside.ravel()], -held[-1][0], features)
            at = zip(np.nonzero(inside), held[:-1], strict=True)
            places = np.ravel_multi_index(
                [i + start for i, (start, _) in at], features.used.shape
            )
            results.append((places, (steps @ whole.T) / 2.0**_COMPONENT_BITS))
    return results


def _spectra(
    pieces: Pieces, ranges: tuple[Range, ...], features: Features
) -> Iterable[tuple[tuple[Range, ...], np.ndarray, tuple[slice, ...], np.ndarray]]:
    """Yield pieces as lists of spectra, where they lie, and which are not masked."""
    for held, block in pieces:
        inside = features.used[tuple(slice(*r) for r in held[:-1])]
        yield held, block.reshape(-1, block.shape[-1]), place_in(held, ranges), inside


def _bin(spectra: np.ndarray, first: int, features: Features) -> np.ndarray:
    """Return the counts of each feature, float64."""
    binned = np.empty((len(spectra), features.n_features))
    if is_counts(spectra):
        _add_bins(spectra, first, features.rebin, binned)
    else:
        wanted = spectra[:, first : first + features.n_features * features.rebin]
        shape = (len(spectra), features.n_features, features.rebin)
        wanted.reshape(shape).sum(axis=2, dtype=float, out=binned)
    return binned


def _in_steps(spectra: np.ndarray, first: int, features: Features) -> np.ndarray:
    """Return the features as whole numbers of steps, float64."""
    values = _bin(spectra, first, features)
    _scale(values, features.scaling)
    values *= features.weights / features.step
    np.clip(values, -features.limit, features.limit, out=values)
    return np.rint(values, out=values)


def _scale(values: np.ndarray, scaling: str) -> None:
    if scaling == "sqrt":
        np.sqrt(np.maximum(values, 0, out=values), out=values)
    elif scaling == "log":
        np.log1p(np.maximum(values, 0, out=values), out=values)


def _weights(
    mean: np.ndarray, variance: np.ndarray, is_float: bool, n_spectra: int
) -> np.ndarray:
    """Return what gives all features the same counting noise.

    Numbers that are no counts have noise of another origin too. The least variance of a
    feature is about that; where the mean does not stand out, the variance is the noise.
    """
    noise = mean
    if is_float:
        error = np.sqrt(variance / n_spectra)
        if (mean < -5 * error).any():
            warn(
                "The means of spectra are below 0, which counts are not: for what is left "
                "after a subtraction use scaling='none'."
            )
        there = variance > 1e-12 * variance.max(initial=0.0)
        floor = variance[there].min(initial=np.inf)
        noise = np.where(mean > 5 * error, np.maximum(mean, floor), variance)
        noise = np.where(there, noise, 0) if there.any() else mean
    is_there = noise > 0
    weights = np.where(is_there, 1 / np.sqrt(np.where(is_there, noise, 1)), 0)
    # Whatever the order in which floats were added up.
    return weights.astype(np.float32).astype(np.float64)


def _add(results: list[np.ndarray]) -> np.ndarray:
    return np.sum(results, axis=0)


def _join(results: list[list]) -> list:
    return [part for parts in results for part in parts]


def _one_thread() -> Any:
    """Leave the processors to dask's threads, each of which multiplies its own matrices."""
    from contextlib import nullcontext

    try:
        from threadpoolctl import threadpool_limits
    except ImportError:  # of an extra; slower without it
        return nullcontext()
    return threadpool_limits(1)


@kernel
def _add_bins(spectra, first, rebin, binned):
    for i in range(spectra.shape[0]):
        for k in range(binned.shape[1]):
            total = np.uint64(0)
            for j in range(first + k * rebin, first + (k + 1) * rebin):
                total += np.uint64(spectra[i, j])
            binned[i, k] = total
