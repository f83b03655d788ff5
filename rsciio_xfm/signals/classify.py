"""Classification of signals; what it computes is in :mod:`rsciio_xfm.analysis.classify`."""

from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from hyperspy.signals import Signal1D

from rsciio_xfm.analysis.classify import methods as functions
from rsciio_xfm.analysis.classify.features import Features, prepare
from rsciio_xfm.analysis.maps import region_spectra
from rsciio_xfm.core.checks import check_whole
from rsciio_xfm.core.eds import DETECTOR_AXIS, DETECTOR_NODES
from rsciio_xfm.core.extras import require
from rsciio_xfm.signals.checks import check_axes, is_shown, progress
from rsciio_xfm.signals.classification import Classification
from rsciio_xfm.signals.learning import keep_classes, keep_components
from rsciio_xfm.signals.made import image_of, map_of, spectrum_of
from rsciio_xfm.signals.selections import FIRST_LABEL, resolve_windows

_PREPARATION = {
    "energy_range": None,
    "rebin": "auto",
    "scaling": "poisson",
    "navigation_mask": None,
    "min_counts": 1,
}


def pca(
    signal: BaseSignal,
    n_components: int = 10,
    energy_range: tuple[float, float] | None = None,
    rebin: int | str = "auto",
    scaling: str = "poisson",
    navigation_mask: Any = None,
    min_counts: float = 1,
    show_progressbar: bool | None = None,
) -> BaseSignal:
    """Find the principal components of the spectra of a map, out of core.

    Parameters
    ----------
    signal
        Spectra with axes to navigate, lazy or not, of any type.
    n_components
        How many are kept.
    energy_range
        Energies that are looked at, as ``isig`` takes them; None takes all.
    rebin
        Channels that make one feature; ``"auto"`` makes at most 512 features.
    scaling
        ``"poisson"`` (by the square root of the mean spectrum), ``"sqrt"``, ``"log"`` or
        ``"none"``. Of ``"sqrt"`` and ``"log"``, HyperSpy's ``get_decomposition_model`` is a
        model of these, not of the counts.
    navigation_mask
        Boolean map or signal; True leaves a pixel out.
    min_counts
        Pixels with fewer counts are left out.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal.

    Returns
    -------
    hyperspy.api.signals.Signal1D
        The scores of each pixel, float32, NaN where masked. Components and scores are in
        ``signal.learning_results`` too, where HyperSpy's ``plot_explained_variance_ratio``,
        ``plot_decomposition_results`` and saving find them.

    Raises
    ------
    ValueError
        The signal is no map, has an axis of detectors, or all of it is masked.

    Examples
    --------
    >>> import rsciio_xfm
    >>> scores = rsciio_xfm.pca(s, n_components=8)
    >>> ax = s.plot_explained_variance_ratio(n=20)
    """
    features, found = _find_components(
        "pca",
        signal,
        n_components,
        show_progressbar,
        {
            "energy_range": energy_range,
            "rebin": rebin,
            "scaling": scaling,
            "navigation_mask": navigation_mask,
            "min_counts": min_counts,
        },
    )
    return map_of(signal, features.used, found.scores, "Principal components")


def umap(
    signal: BaseSignal,
    n_components: int = 2,
    n_pca: int = 10,
    random_state: int = 0,
    max_samples: int = functions.MAX_UMAP_SAMPLES,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    show_progressbar: bool | None = None,
    **preparation: Any,
) -> BaseSignal:
    """Embed the spectra of a map with UMAP, from their principal components.

    Parameters
    ----------
    signal
        As of :func:`pca`.
    n_components
        Dimensions of the embedding.
    n_pca
        Principal components that it starts from, at most 50.
    random_state
        Seed: the same gives the same embedding.
    max_samples
        How many pixels UMAP is fitted to, at most; the others are put into the embedding.
    n_neighbors, min_dist
        Of :class:`umap.UMAP`.
    show_progressbar
        None is HyperSpy's preference, on a terminal.
    **preparation
        `energy_range`, `rebin`, `scaling`, `navigation_mask`, `min_counts` of :func:`pca`.

    Returns
    -------
    hyperspy.api.signals.Signal1D
        Where each pixel lies, float32, NaN where masked.

    Raises
    ------
    ImportError
        umap-learn is not installed; names the extra.
    ValueError
        As of :func:`pca`, or there are too few pixels.
    """
    require("umap", "learning")
    check_whole("n_pca", n_pca)
    n_pca = min(n_pca, functions.MOST_COMPONENTS)
    features, found = _find_components(
        "umap", signal, n_pca, show_progressbar, preparation
    )
    points, used = found.scores, features.used
    embedding = functions.reduce_umap(
        points,
        n_components,
        random_state,
        max_samples,
        n_neighbors,
        min_dist,
        is_shown(show_progressbar),
    )
    return map_of(signal, used, embedding, "UMAP")


def kmeans(
    signal: BaseSignal,
    n_classes: int = 6,
    n_components: int = 10,
    random_state: int = 0,
    max_samples: int = functions.MAX_SAMPLES,
    show_progressbar: bool | None = None,
    **preparation: Any,
) -> BaseSignal:
    """Find classes of the spectra of a map by K-means, from their principal components.

    Parameters
    ----------
    signal
        As of :func:`pca`.
    n_classes
        How many.
    n_components
        Principal components that are looked at.
    random_state
        Seed: the same gives the same classes.
    max_samples
        How many pixels are fitted, at most; the others get the nearest class.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal.
    **preparation
        `energy_range`, `rebin`, `scaling`, `navigation_mask`, `min_counts` of :func:`pca`.

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
        As of :func:`pca`, or there are fewer pixels than classes.
    """
    require("sklearn", "learning")
    features, found = _find_components(
        "kmeans", signal, n_components, show_progressbar, preparation
    )
    points, used = found.scores, features.used
    labels = functions.cluster(points, n_classes, "kmeans", random_state, max_samples)
    label_map = _label_map(used, labels)
    with progress(signal, show_progressbar):
        sums = _sum_classes(signal, label_map)
    keep_classes(signal, label_map, points, labels, sums)
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
    max_samples: int = functions.MAX_SAMPLES,
    max_umap_samples: int = functions.MAX_UMAP_SAMPLES,
    min_class_size: int = 50,
    show_progressbar: bool | None = None,
    **preparation: Any,
) -> Classification:
    """Find classes of the spectra of a map, and what their spectra are.

    Parameters
    ----------
    signal
        As of :func:`pca`.
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
        None is HyperSpy's preference, on a terminal.
    **preparation
        `energy_range`, `rebin`, `scaling`, `navigation_mask`, `min_counts` of :func:`pca`.

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
        As of :func:`pca`, :func:`umap` and :func:`kmeans`, or an option is none of these.

    Examples
    --------
    >>> classes = s.classify(reducer="pca", n_classes=6)
    >>> axes = classes.plot()
    >>> paths = classes.save("classes")
    """
    for name, value, known in (
        ("reducer", reducer, functions.REDUCERS),
        ("classifier", classifier, functions.CLASSIFIERS),
        ("classify_on", classify_on, ("pca", "embedding")),
    ):
        if value not in known:
            raise ValueError(f"{name} is {value!r}, expected one of {', '.join(known)}.")
    for module in ("sklearn", *(["umap"] if reducer == "umap" else [])):
        require(module, "learning")
    check_whole("n_components", n_components)
    check_whole("n_pca", n_pca)
    n_pca = max(min(n_pca, functions.MOST_COMPONENTS), n_components)
    features, found = _find_components(
        "classify", signal, n_pca, show_progressbar, preparation
    )
    points, used = found.scores, features.used
    if reducer == "pca":
        embedding = points[:, :n_components]
    else:
        embedding = functions.reduce_umap(
            points,
            n_components,
            random_state,
            max_umap_samples,
            show_progressbar=is_shown(show_progressbar),
        )
    labels = functions.cluster(
        points if classify_on == "pca" else embedding,
        n_classes,
        classifier,
        random_state,
        max_samples,
        min_class_size,
    )
    label_map = _label_map(used, labels)
    with progress(signal, show_progressbar):
        totals = _sum_classes(signal, label_map)
    if classifier == "kmeans":
        keep_classes(signal, label_map, points, labels, totals)
    sums = [
        _sum_spectrum(signal, total, label_map == k, f"class {k}")
        for k, total in enumerate(totals)
    ]
    sizes = np.array([np.count_nonzero(labels == k) for k in range(len(totals))])
    parameters = {
        "reducer": reducer,
        "n_components": embedding.shape[1],
        "classifier": classifier,
        "n_classes": len(totals),
        "random_state": random_state,
        "n_pca": points.shape[1],
        "classify_on": classify_on,
        "energy_range": preparation.get("energy_range"),
        "rebin": features.rebin,
        "scaling": features.scaling,
        "min_counts": preparation.get("min_counts", _PREPARATION["min_counts"]),
        "pixels": used.size,
        "pixels_masked": int(used.size - len(labels)),
        "pixels_fitted_by_classifier": min(
            max_samples if classifier == "kmeans" else max_samples // 10, len(labels)
        ),
    }
    if classifier == "hdbscan":
        parameters["min_class_size"] = min_class_size
    if reducer == "umap":
        parameters["pixels_fitted_by_umap"] = min(max_umap_samples, len(labels))
    return Classification(
        labels=_image_of_labels(signal, label_map),
        spectra=_average_spectra(signal, totals, sizes, label_map),
        sums=sums,
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
        As of :func:`pca`.
    max_classes
        The most to be tried.
    n_components
        Principal components that are looked at.
    random_state
        Seed.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal.
    **preparation
        `energy_range`, `rebin`, `scaling`, `navigation_mask`, `min_counts` of :func:`pca`.

    Returns
    -------
    int
        The number with the highest mean silhouette of a sample of 5000 pixels. All of
        them are in ``signal.learning_results``: ``signal.plot_cluster_metric()`` draws them.

    Raises
    ------
    ImportError
        scikit-learn is not installed; names the extra.
    ValueError
        As of :func:`pca`, or there are fewer than 3 pixels.
    """
    require("sklearn", "learning")
    _, found = _find_components(
        "estimate_n_classes", signal, n_components, show_progressbar, preparation
    )
    points = found.scores
    silhouettes = functions.estimate_n_classes(points, max_classes, random_state)
    best = max(silhouettes, key=silhouettes.get) if silhouettes else 1
    if silhouettes and silhouettes[best] <= 0:
        best = 1  # all spectra are the same
    results = signal.learning_results
    results.cluster_metric = "silhouette"
    results.cluster_metric_index = list(silhouettes)
    results.cluster_metric_data = list(silhouettes.values())
    results.estimated_number_of_clusters = best
    return best


def _find_components(
    caller: str,
    signal: BaseSignal,
    n_components: int,
    show_progressbar: bool | None,
    preparation: dict[str, Any],
) -> tuple[Features, functions.Components]:
    """Find the components of a signal, and put them where HyperSpy looks for them."""
    for name in preparation:
        if name not in _PREPARATION:
            raise TypeError(
                f"{caller}() got an unexpected option {name!r}; those of the preparation are "
                f"{', '.join(_PREPARATION)}."
            )
    with progress(signal, show_progressbar):
        features = _prepare(signal, **_PREPARATION | preparation)
        found = functions.reduce_pca(features, n_components)
    keep_components(signal, features, found)
    return features, found


def _prepare(
    signal: BaseSignal,
    energy_range: tuple[float, float] | None,
    rebin: int | str,
    scaling: str,
    navigation_mask: Any,
    min_counts: float,
) -> Features:
    check_axes(signal)
    names = [axis.name for axis in signal.axes_manager.navigation_axes if axis.size > 1]
    if DETECTOR_AXIS in names:
        raise ValueError(
            f"The signal is {signal}, one of its axes the detectors, expected their sum: use "
            "s.sum('detector')."
        )
    channels = None
    if energy_range is not None:
        try:
            window = tuple(energy_range)
        except TypeError:
            raise ValueError(
                f"energy_range is {energy_range!r}, expected a pair (start, stop)."
            ) from None
        ((channels),) = resolve_windows(signal, [window], 1.0).values()
    if isinstance(navigation_mask, BaseSignal):
        navigation_mask = np.asarray(navigation_mask.data)
    return prepare(signal.data, channels, rebin, scaling, navigation_mask, min_counts)


def _label_map(used: np.ndarray, labels: np.ndarray) -> np.ndarray:
    label_map = np.full(used.shape, functions.MASKED, dtype=np.int16)
    label_map[used] = labels
    return label_map


def _image_of_labels(signal: BaseSignal, label_map: np.ndarray) -> BaseSignal:
    labels = image_of(signal, label_map, "Classes")
    labels.metadata.set_item(FIRST_LABEL, 0)
    return labels


def _sum_classes(signal: BaseSignal, label_map: np.ndarray) -> np.ndarray:
    n_classes = int(label_map.max(initial=-1)) + 1
    if not n_classes:
        return np.zeros((0, signal.data.shape[-1]))
    regions = [np.flatnonzero(label_map == k) for k in range(n_classes)]
    return region_spectra(signal.data, regions)


def _sum_spectrum(
    signal: BaseSignal, total: np.ndarray, mask: np.ndarray, name: str
) -> BaseSignal:
    """Return the sum of a class as a signal, with its live time if that is known."""
    if hasattr(signal, "_sum_of"):
        return signal._sum_of(total, mask, name)
    result = spectrum_of(signal, total, name)
    n_pixels = float(np.count_nonzero(mask))
    for node in DETECTOR_NODES:
        for item in ("live_time", "real_time"):
            path = f"{node}.{item}"
            if result.metadata.has_item(path):
                result.metadata.set_item(path, result.metadata.get_item(path) * n_pixels)
    return result


def _average_spectra(
    signal: BaseSignal, totals: np.ndarray, sizes: np.ndarray, label_map: np.ndarray
) -> BaseSignal:
    """Return the averages of the classes along an axis of their own."""
    one = spectrum_of(signal, np.zeros(signal.data.shape[-1]), "averages of classes")
    energy = one.axes_manager.signal_axes[0].get_axis_dictionary()
    axes = [
        {"size": len(totals), "name": "class", "navigate": True},
        energy | {"navigate": False},
    ]
    averages = totals / np.maximum(sizes, 1)[:, np.newaxis]
    result = Signal1D(averages, axes=axes, metadata=one.metadata.as_dictionary())
    result.set_signal_type(signal.metadata.get_item("Signal.signal_type", ""))
    if hasattr(signal, "_carry_to_averages"):
        masks = [label_map == k for k in range(len(totals))]
        signal._carry_to_averages(result, masks)
    return result
