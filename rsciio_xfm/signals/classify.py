"""Classes of the spectra of a signal; see :mod:`rsciio_xfm.analysis.classify`."""

import math
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from hyperspy.signals import Signal1D

from rsciio_xfm.analysis.classify import methods
from rsciio_xfm.analysis.maps import region_spectra
from rsciio_xfm.core.checks import check_whole
from rsciio_xfm.core.extras import require
from rsciio_xfm.core.progress import progress
from rsciio_xfm.core.warning import warn
from rsciio_xfm.signals import times
from rsciio_xfm.signals.components import PREPARATION, find_components
from rsciio_xfm.signals.made import image_of, map_of, spectrum_of
from rsciio_xfm.signals.maps import sums_of
from rsciio_xfm.signals.operations import times_of_regions
from rsciio_xfm.signals.results import Classification, keep_classes
from rsciio_xfm.signals.selections import FIRST_LABEL
from rsciio_xfm.signals.timekeeping import give
from rsciio_xfm.signals.times import Times

_KNOWN = {
    "reducer": methods.REDUCERS,
    "classifier": methods.CLASSIFIERS,
    "classify_on": ("pca", "embedding"),
}


def kmeans(
    signal: BaseSignal,
    n_classes: int = 6,
    n_components: int = 10,
    random_state: int = 0,
    max_samples: int = methods.MAX_SAMPLES,
    show_progressbar: bool | None = None,
    **preparation: Any,
) -> BaseSignal:
    """Find classes of the spectra of a map by K-means, from their principal components.

    Parameters
    ----------
    signal
        As of :func:`rsciio_xfm.pca`.
    n_classes
        How many.
    n_components
        Principal components that are looked at.
    random_state
        Seed: the same gives the same classes.
    max_samples
        How many pixels are fitted, at most; the others get the nearest class.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal or in a notebook.
    **preparation
        `energy_range`, `rebin`, `scaling`, `navigation_mask`, `min_counts` of
        :func:`rsciio_xfm.pca`.

    Returns
    -------
    hyperspy.api.signals.Signal2D
        The class of each pixel, int16, 0 being the largest; -1 where masked. Classes are in
        ``signal.learning_results`` too, where HyperSpy's ``plot_cluster_labels``,
        ``get_cluster_signals`` and saving find them.

    Raises
    ------
    ImportError
        scikit-learn is not installed; names the extra.
    ValueError
        As of :func:`rsciio_xfm.pca`, or there are fewer pixels than classes.
    """
    require("sklearn", "learning")
    features, found = find_components(
        "kmeans", signal, n_components, show_progressbar, preparation
    )
    points, used = found.scores, features.used
    labels = methods.cluster(points, n_classes, "kmeans", random_state, max_samples)
    label_map, regions = _regions_of(used, labels)
    with progress(show_progressbar, "adding up the classes"):
        totals = _sum_classes(signal, regions)
    keep_classes(signal, label_map, points, labels, totals)
    return image_of(signal, label_map, "Classes")


def classify(
    signal: BaseSignal,
    reducer: str = "umap",
    n_components: int = 2,
    classifier: str = "kmeans",
    n_classes: int | None = 6,
    random_state: int = 0,
    *,
    n_pca: int = 10,
    classify_on: str = "pca",
    max_samples: int = methods.MAX_SAMPLES,
    max_umap_samples: int = methods.MAX_UMAP_SAMPLES,
    min_class_size: int = 50,
    show_progressbar: bool | None = None,
    **preparation: Any,
) -> Classification:
    """Find classes of the spectra of a map, and what their spectra are.

    Parameters
    ----------
    signal
        As of :func:`rsciio_xfm.pca`.
    reducer
        How the map is reduced to the embedding: ``"umap"``, or ``"pca"``, which needs no more
        than the principal components.
    n_components
        Dimensions of the embedding.
    classifier
        ``"kmeans"`` or ``"hdbscan"``.
    n_classes
        How many; not of HDBSCAN.
    random_state
        Seed: the same gives the same result, whatever the chunks and the scheduler.
    n_pca
        Principal components that all else starts from.
    classify_on
        ``"pca"``: classes of the principal components, which were found to agree best with
        known phases; ``"embedding"``: classes of the embedding.
    max_samples, max_umap_samples
        How many pixels the classifier and UMAP are fitted to, at most.
    min_class_size
        Of HDBSCAN: how many pixels of the sample make a class.
    show_progressbar
        None is HyperSpy's preference, on a terminal or in a notebook.
    **preparation
        `energy_range`, `rebin`, `scaling`, `navigation_mask`, `min_counts` of
        :func:`rsciio_xfm.pca`.

    Returns
    -------
    Classification
        ``labels``, ``spectra``, ``sums``, ``embedding``, ``fractions``, ``parameters``; with
        ``plot()`` and ``save(folder)``.

    Raises
    ------
    ImportError
        A package is not installed; names the extra.
    ValueError
        As of :func:`rsciio_xfm.pca`, :func:`rsciio_xfm.umap` and :func:`rsciio_xfm.kmeans`,
        or an option is none of these.

    Examples
    --------
    >>> classes = s.classify(reducer="pca", n_classes=6)
    >>> axes = classes.plot()
    >>> paths = classes.save("classes")
    """
    _check_options(reducer=reducer, classifier=classifier, classify_on=classify_on)
    for module in ("sklearn", *(["umap"] if reducer == "umap" else [])):
        require(module, "learning")
    check_whole("n_components", n_components)
    check_whole("n_pca", n_pca)
    n_pca = max(min(n_pca, methods.MOST_COMPONENTS), n_components)
    features, found = find_components(
        "classify", signal, n_pca, show_progressbar, preparation
    )
    points, used = found.scores, features.used
    if reducer == "pca":
        embedding = points[:, :n_components]
    else:
        with progress(show_progressbar):
            embedding = methods.reduce_umap(
                points, n_components, random_state, max_umap_samples
            )
    with progress(show_progressbar, "sorting the pixels into classes"):
        labels = methods.cluster(
            points if classify_on == "pca" else embedding,
            n_classes,
            classifier,
            random_state,
            max_samples,
            min_class_size,
        )
    label_map, regions = _regions_of(used, labels)
    with progress(show_progressbar, "adding up the classes"):
        totals = _sum_classes(signal, regions)
    if classifier == "kmeans":
        keep_classes(signal, label_map, points, labels, totals)
    n_classes = len(totals)
    n_fitted = max_samples if classifier == "kmeans" else max_samples // 10
    parameters = {
        "reducer": reducer,
        "n_components": embedding.shape[1],
        "classifier": classifier,
        "n_classes": n_classes,
        "random_state": random_state,
        "n_pca": points.shape[1],
        "classify_on": classify_on,
        "energy_range": preparation.get("energy_range"),
        "rebin": features.rebin,
        "scaling": features.scaling,
        "min_counts": preparation.get("min_counts", PREPARATION["min_counts"]),
        "pixels": used.size,
        "pixels_masked": int(used.size - len(labels)),
        "pixels_fitted_by_classifier": min(n_fitted, len(labels)),
    }
    if classifier == "hdbscan":
        parameters["min_class_size"] = min_class_size
    if reducer == "umap":
        parameters["pixels_fitted_by_umap"] = min(max_umap_samples, len(labels))
    named = {f"class {k}": region for k, region in enumerate(regions)}
    sizes = np.array([region.size for region in regions])
    return Classification(
        labels=_image_of_labels(signal, label_map),
        spectra=_average_spectra(signal, totals, regions),
        sums=list(sums_of(signal, totals, named).values()),
        embedding=map_of(signal, used, embedding, reducer.upper()),
        fractions=sizes / max(1, len(labels)),
        parameters=parameters,
    )


def estimate_n_classes(
    signal: BaseSignal,
    max_classes: int = 12,
    n_components: int = 10,
    random_state: int = 0,
    show_progressbar: bool | None = None,
    **preparation: Any,
) -> int:
    """Guess how many classes the spectra of a map fall into.

    Parameters
    ----------
    signal
        As of :func:`rsciio_xfm.pca`.
    max_classes
        The most to be tried.
    n_components
        Principal components that are looked at.
    random_state
        Seed.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal or in a notebook.
    **preparation
        `energy_range`, `rebin`, `scaling`, `navigation_mask`, `min_counts` of
        :func:`rsciio_xfm.pca`.

    Returns
    -------
    int
        The number with the highest mean silhouette of a sample of 5000 pixels; 1 where counts
        are too few to tell pixels apart. All silhouettes are in
        ``signal.learning_results``: ``signal.plot_cluster_metric()`` draws them.

    Raises
    ------
    ImportError
        scikit-learn is not installed; names the extra.
    ValueError
        As of :func:`rsciio_xfm.pca`, or there are fewer than 3 pixels.

    Warns
    -----
    UserWarning
        Counts are too few. It says how many pixels to add up.
    """
    require("sklearn", "learning")
    features, found = find_components(
        "estimate_n_classes", signal, n_components, show_progressbar, preparation
    )
    points = found.scores
    with progress(show_progressbar):
        silhouettes = methods.estimate_n_classes(points, max_classes, random_state)
    best = max(silhouettes, key=lambda n: silhouettes[n]) if silhouettes else 1
    if silhouettes and silhouettes[best] <= 0:
        best = 1  # all spectra are the same
    contrast = methods.contrast(features, found)
    if best > 1 and contrast < methods.LEAST_CONTRAST:
        _warn_of_noise(signal, contrast)
        best = 1
    results = signal.learning_results
    results.cluster_metric = "silhouette"
    results.cluster_metric_index = list(silhouettes)
    results.cluster_metric_data = list(silhouettes.values())
    results.estimated_number_of_clusters = best
    return best


def _warn_of_noise(signal: BaseSignal, contrast: float) -> None:
    """Say that pixels are to be added up before they can be told apart."""
    n_axes = signal.axes_manager.navigation_dimension
    wanted = 2 * methods.LEAST_CONTRAST / max(contrast, 0.1)
    n = max(2, math.ceil(wanted ** (1 / n_axes)))
    scale = ", ".join([str(n)] * n_axes + ["1"])
    warn(
        "The counts of a pixel are too few to tell classes: spectra differ less by what is in "
        "the pixels than by counting noise, so that 1 class is suggested. Add up neighbouring "
        f"pixels, as s.rebin(scale=({scale})), or say how many classes there are."
    )


def _check_options(**options: str) -> None:
    """Refuse a way to classify that there is not."""
    for name, value in options.items():
        if value not in _KNOWN[name]:
            known = ", ".join(_KNOWN[name])
            raise ValueError(f"{name} is {value!r}, expected one of {known}.")


def _regions_of(
    used: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return classes as a map, and the positions of their pixels in the flattened map."""
    label_map = np.full(used.shape, methods.MASKED, dtype=np.int16)
    label_map[used] = labels
    n_classes = int(label_map.max(initial=-1)) + 1
    return label_map, [np.flatnonzero(label_map == k) for k in range(n_classes)]


def _image_of_labels(signal: BaseSignal, label_map: np.ndarray) -> BaseSignal:
    labels = image_of(signal, label_map, "Classes")
    labels.metadata.set_item(FIRST_LABEL, 0)
    return labels


def _sum_classes(signal: BaseSignal, regions: list[np.ndarray]) -> np.ndarray:
    if not regions:
        return np.zeros((0, signal.data.shape[-1]))
    return region_spectra(signal.data, regions)


def _average_spectra(
    signal: BaseSignal, totals: np.ndarray, regions: list[np.ndarray]
) -> BaseSignal:
    """Return the averages of the classes along an axis of their own."""
    one = spectrum_of(signal, np.zeros(signal.data.shape[-1]), "averages of classes")
    energy = one.axes_manager.signal_axes[0].get_axis_dictionary()
    axes = [
        {"size": len(totals), "name": "class", "navigate": True},
        energy | {"navigate": False},
    ]
    sizes = np.array([region.size for region in regions])
    averages = totals / np.maximum(sizes, 1)[:, np.newaxis]
    result = Signal1D(averages, axes=axes, metadata=one.metadata.as_dictionary())
    result.set_signal_type(signal.metadata.get_item("Signal.signal_type", ""))
    own = times_of_regions(signal, regions)
    parts = [times.divided(t, size) for t, size in zip(own, sizes, strict=True)]
    give(result, times.in_a_line(parts) if parts else Times())
    return result
