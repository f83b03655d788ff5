"""Principal components and UMAP of the spectra of a signal."""

from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.classify import methods
from rsciio_xfm.analysis.classify.features import Features, prepare
from rsciio_xfm.core.checks import check_whole
from rsciio_xfm.core.eds import DETECTOR_AXIS
from rsciio_xfm.core.extras import require
from rsciio_xfm.core.progress import progress
from rsciio_xfm.core.watch import begin
from rsciio_xfm.signals.checks import check_axes
from rsciio_xfm.signals.made import map_of
from rsciio_xfm.signals.results import keep_components
from rsciio_xfm.signals.selections import resolve_windows

PREPARATION = {
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
        Of lazy signals; None is HyperSpy's preference, on a terminal or in a notebook.

    Returns
    -------
    hyperspy.api.signals.Signal1D
        The scores of each pixel, float32, NaN where masked. Components and scores are in
        ``signal.learning_results`` too, where HyperSpy's ``plot_scree_plot``,
        ``plot_decomposition_results`` and saving find them.

    Raises
    ------
    ValueError
        The signal is no map, has an axis of detectors, or all of it is masked.

    Examples
    --------
    >>> import rsciio_xfm
    >>> scores = rsciio_xfm.pca(s, n_components=8)
    >>> ax = s.plot_scree_plot(n=20)
    """
    features, found = find_components(
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
    max_samples: int = methods.MAX_UMAP_SAMPLES,
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
        None is HyperSpy's preference, on a terminal or in a notebook.
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
    n_pca = min(n_pca, methods.MOST_COMPONENTS)
    features, found = find_components(
        "umap", signal, n_pca, show_progressbar, preparation
    )
    points, used = found.scores, features.used
    with progress(show_progressbar):
        embedding = methods.reduce_umap(
            points, n_components, random_state, max_samples, n_neighbors, min_dist
        )
    return map_of(signal, used, embedding, "UMAP")


def find_components(
    caller: str,
    signal: BaseSignal,
    n_components: int,
    show_progressbar: bool | None,
    preparation: dict[str, Any],
) -> tuple[Features, methods.Components]:
    """Find the components of a signal, and put them where HyperSpy looks for them."""
    for name in preparation:
        if name not in PREPARATION:
            raise TypeError(
                f"{caller}() got an unexpected option {name!r}; those of the preparation are "
                f"{', '.join(PREPARATION)}."
            )
    with progress(show_progressbar, "comparing the spectra"):
        features = _prepare(signal, **PREPARATION | preparation)
        begin("finding what they differ in")
        found = methods.reduce_pca(features, n_components)
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
