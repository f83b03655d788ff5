"""Classification of signals; what it computes is in :mod:`rsciio_xfm.analysis.classify`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from hyperspy.signals import Signal1D, Signal2D

from rsciio_xfm import _plots
from rsciio_xfm._checks import check_axes, progress
from rsciio_xfm._io.metadata import DETECTOR_AXIS
from rsciio_xfm._io.progress import bar_options
from rsciio_xfm._selections import resolve_windows
from rsciio_xfm.analysis import classify as functions
from rsciio_xfm.analysis.extras import require
from rsciio_xfm.analysis.maps import region_spectra

_DPI = 150
_FILES = ("labels.tif", "classes.csv", "parameters.txt", "classes.png")


@dataclass(frozen=True)
class Classification:
    """Classes of the spectra of a map; see :func:`classify`.

    Attributes
    ----------
    labels
        Signal2D (of a line Signal1D) of int16: the class of each pixel, 0 being the largest;
        -1 where it was masked, or belongs to none.
    spectra
        The average spectrum of each class, along an axis ``class``, with its dead time.
    sums
        The sum of each class, a signal each, with its own live time: for quantification.
    embedding
        Signal1D of float32: where each pixel lies in the reduced space; NaN where masked.
    fractions
        Of the pixels that are not masked, in each class.
    parameters
        What it was made with, how many spectra were fitted included.
    """

    labels: BaseSignal
    spectra: BaseSignal
    sums: list[BaseSignal]
    embedding: BaseSignal
    fractions: np.ndarray
    parameters: dict[str, Any]

    def plot(self) -> np.ndarray:
        """Draw the classes as a map, in the embedding, and their spectra.

        Returns
        -------
        numpy.ndarray
            matplotlib's axes: map, embedding, spectra. X-ray lines of the metadata
            (``set_lines``, ``set_elements``) are marked.

        Raises
        ------
        ValueError
            The signal had more than two axes to navigate.
        """
        axes = self.spectra.axes_manager
        energy = axes.signal_axes[0]
        labels = self.labels.data
        if labels.ndim > 2 and labels.size == np.prod(labels.shape[-2:]):
            labels = labels.reshape(labels.shape[-2:])
        if labels.ndim > 2:
            raise ValueError(
                f"The labels are {self.labels}, expected those of a map or of a line to plot."
            )
        steps = tuple(
            (getattr(axis, "scale", 1.0), _text(axis.units))
            for axis in self.labels.axes_manager.signal_axes
        )
        return _plots.draw_classes(
            labels,
            self.embedding.data.reshape(-1, self.embedding.data.shape[-1]),
            self.spectra.data.reshape(-1, energy.size),
            energy.axis,
            _text(energy.units),
            steps,
            self.fractions,
            _lines_of(self.spectra),
        )

    def save(self, folder: str | Path, overwrite: bool = False) -> list[Path]:
        """Write the classes to a folder.

        Parameters
        ----------
        folder
            Made if it is not there. Files: ``class_0.msa``, ... (sums, with their live times),
            ``labels.tif``, ``classes.csv`` (pixels, fractions, counts, live times),
            ``classes.png`` and ``parameters.txt``.
        overwrite
            Replace files that are there.

        Returns
        -------
        list of pathlib.Path
            What was written.

        Raises
        ------
        FileExistsError
            A file is there, and `overwrite` is False.
        """
        import matplotlib.pyplot as plt

        folder = Path(folder)
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{folder} is a file, expected a folder or none.")
        names = [f"class_{k}.msa" for k in range(len(self.sums))]
        names += _FILES
        paths = [folder / name for name in names]
        old = results_in(folder)
        if old and not overwrite:
            raise FileExistsError(f"{old[0]} exists; use overwrite=True to replace it.")
        figure = self.plot()[0].figure
        folder.mkdir(parents=True, exist_ok=True)
        for path in old:  # there may have been more classes
            path.unlink()
        for spectrum, path in zip(self.sums, paths, strict=False):
            spectrum.save(path, overwrite=True)
        labels = self.labels.deepcopy()
        labels.data = np.atleast_2d(labels.data)
        if labels.axes_manager.signal_dimension == 1:  # a line is an image of one row
            labels = Signal2D(labels.data)
        labels.save(paths[-4], overwrite=True)
        self._write_table(paths[-3])
        text = "".join(f"{key}: {value}\n" for key, value in self.parameters.items())
        paths[-2].write_text(text, encoding="utf-8")
        figure.savefig(paths[-1], dpi=_DPI)
        plt.close(figure)
        return paths

    def _write_table(self, path: Path) -> None:
        rows = ["class,pixels,fraction,counts,live_time_s"]
        for k, spectrum in enumerate(self.sums):
            n_pixels = np.count_nonzero(self.labels.data == k)
            live_time = _live_time(spectrum)
            seconds = "" if live_time is None else f"{live_time:.6g}"
            counts = spectrum.data.sum()
            rows.append(f"{k},{n_pixels},{self.fractions[k]:.6g},{counts:.12g},{seconds}")
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def results_in(folder: Path) -> list[Path]:
    """Return what :meth:`Classification.save` has written to a folder before."""
    found = [folder / name for name in _FILES if (folder / name).exists()]
    return sorted(folder.glob("class_[0-9]*.msa")) + found


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
        Of lazy signals; None is HyperSpy's preference.

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
    >>> scores = rsciio_xfm.pca(s, n_components=8)  # doctest: +SKIP
    >>> s.plot_explained_variance_ratio(n=20)  # doctest: +SKIP
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
    return _map_of(signal, features.used, found.scores, "Principal components")


def umap(
    signal: BaseSignal,
    n_components: int = 2,
    n_pca: int = 10,
    random_state: int = 0,
    max_samples: int = 20_000,
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
        None is HyperSpy's preference.
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
    functions.check_whole("n_pca", n_pca)
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
        _is_shown(show_progressbar),
    )
    return _map_of(signal, used, embedding, "UMAP")


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
        Of lazy signals; None is HyperSpy's preference.
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
    _keep_classes(signal, label_map, points, labels, sums)
    return _image_of(signal, label_map, "Classes")


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
    max_umap_samples: int = 20_000,
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
        None is HyperSpy's preference.
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
    >>> classes = s.classify(n_classes=6)  # doctest: +SKIP
    >>> classes.plot()  # doctest: +SKIP
    >>> classes.save("classes")  # doctest: +SKIP
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
    functions.check_whole("n_components", n_components)
    functions.check_whole("n_pca", n_pca)
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
            show_progressbar=_is_shown(show_progressbar),
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
        _keep_classes(signal, label_map, points, labels, totals)
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
        labels=_image_of(signal, label_map, "Classes"),
        spectra=_average_spectra(signal, totals, sizes, label_map),
        sums=sums,
        embedding=_map_of(signal, used, embedding, reducer.upper()),
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
        Of lazy signals; None is HyperSpy's preference.
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

_PREPARATION = {
    "energy_range": None,
    "rebin": "auto",
    "scaling": "poisson",
    "navigation_mask": None,
    "min_counts": 1,
}


def _find_components(
    caller: str,
    signal: BaseSignal,
    n_components: int,
    show_progressbar: bool | None,
    preparation: dict[str, Any],
) -> tuple[functions.Features, functions.Components]:
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
    _keep_pca(signal, features, found)
    return features, found


def _prepare(
    signal: BaseSignal,
    energy_range: tuple[float, float] | None,
    rebin: int | str,
    scaling: str,
    navigation_mask: Any,
    min_counts: float,
) -> functions.Features:
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
    return functions.prepare(
        signal.data, channels, rebin, scaling, navigation_mask, min_counts
    )


def _is_shown(show_progressbar: bool | None) -> bool:
    from hyperspy.api import preferences

    if show_progressbar is None:
        show_progressbar = preferences.General.show_progressbar
    return bool(show_progressbar) or not bar_options()["disable"]


def _text(units: Any) -> str | None:
    return units if isinstance(units, str) else None


def _lines_of(signal: BaseSignal) -> dict[str, float]:
    """Return the X-ray lines of the metadata and their energies."""
    from exspy.material import elements

    names = signal.metadata.get_item("Sample.xray_lines", [])
    found = {}
    for name in names:
        element, line, *_ = f"{name}_".split("_")
        path = f"{element}.Atomic_properties.Xray_lines.{line}"
        if line and elements.has_item(path):
            found[str(name)] = float(elements.get_item(path)["energy (keV)"])
    return found


# Results as signals.


def _navigation_axes(signal: BaseSignal) -> list[dict[str, Any]]:
    axes = [axis.get_axis_dictionary() for axis in signal.axes_manager._axes]
    n = signal.axes_manager.navigation_dimension
    return axes[:n]


def _title(signal: BaseSignal, what: str) -> dict[str, Any]:
    title = signal.metadata.get_item("General.title", "")
    return {"General": {"title": f"{title}: {what}" if title else what}}


def _map_of(
    signal: BaseSignal, used: np.ndarray, points: np.ndarray, what: str
) -> BaseSignal:
    data = np.full((*used.shape, points.shape[1]), np.nan, dtype=np.float32)
    data[used] = points
    axes = [axis | {"navigate": True} for axis in _navigation_axes(signal)]
    axes.append({"size": points.shape[1], "name": "component", "navigate": False})
    return Signal1D(data, axes=axes, metadata=_title(signal, what))


def _label_map(used: np.ndarray, labels: np.ndarray) -> np.ndarray:
    label_map = np.full(used.shape, functions.MASKED, dtype=np.int16)
    label_map[used] = labels
    return label_map


def _image_of(signal: BaseSignal, data: np.ndarray, what: str) -> BaseSignal:
    axes = _navigation_axes(signal)
    for axis in axes[-2:]:
        axis["navigate"] = False
    kind = Signal1D if data.ndim == 1 else Signal2D
    return kind(data, axes=axes, metadata=_title(signal, what))


def _sum_classes(signal: BaseSignal, label_map: np.ndarray) -> np.ndarray:
    n_classes = int(label_map.max(initial=-1)) + 1
    if not n_classes:
        return np.zeros((0, signal.data.shape[-1]))
    return region_spectra(signal.data, [label_map == k for k in range(n_classes)])


def _sum_spectrum(
    signal: BaseSignal, total: np.ndarray, mask: np.ndarray, name: str
) -> BaseSignal:
    """Return the sum of a class as a signal, with its live time if that is known."""
    if hasattr(signal, "_sum_of"):
        return signal._sum_of(total, mask, name)
    result = _without_navigation(signal, total)
    result.metadata.add_dictionary(_title(signal, name))
    n_pixels = float(np.count_nonzero(mask))
    for node in ("SEM", "TEM"):
        for item in ("live_time", "real_time"):
            path = f"Acquisition_instrument.{node}.Detector.EDS.{item}"
            if result.metadata.has_item(path):
                result.metadata.set_item(path, result.metadata.get_item(path) * n_pixels)
    return result


def _without_navigation(signal: BaseSignal, data: np.ndarray) -> BaseSignal:
    result = signal._deepcopy_with_new_data(data)
    result._lazy = False
    axes = signal.axes_manager.navigation_axes
    result._remove_axis([axis.index_in_axes_manager for axis in axes])
    result._assign_subclass()
    return result


def _live_time(signal: BaseSignal) -> float | None:
    for node in ("SEM", "TEM"):
        found = signal.metadata.get_item(
            f"Acquisition_instrument.{node}.Detector.EDS.live_time"
        )
        if found is not None:
            return float(found)
    return None


def _average_spectra(
    signal: BaseSignal, totals: np.ndarray, sizes: np.ndarray, label_map: np.ndarray
) -> BaseSignal:
    """Return the averages of the classes along an axis of their own."""
    one = _without_navigation(signal, np.zeros(signal.data.shape[-1]))
    energy = one.axes_manager.signal_axes[0].get_axis_dictionary()
    axes = [
        {"size": len(totals), "name": "class", "navigate": True},
        energy | {"navigate": False},
    ]
    metadata = one.metadata.as_dictionary()
    metadata.update(_title(signal, "averages of classes"))
    averages = totals / np.maximum(sizes, 1)[:, np.newaxis]
    result = Signal1D(averages, axes=axes, metadata=metadata)
    result.set_signal_type(signal.metadata.get_item("Signal.signal_type", ""))
    if hasattr(signal, "_carry_to_averages"):
        masks = [label_map == k for k in range(len(totals))]
        signal._carry_to_averages(result, masks)
    return result


# What HyperSpy's own methods look at.


def _keep_pca(
    signal: BaseSignal, features: functions.Features, found: functions.Components
) -> None:
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


def _keep_classes(
    signal: BaseSignal,
    label_map: np.ndarray,
    points: np.ndarray,
    labels: np.ndarray,
    totals: np.ndarray,
) -> None:
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
