"""What a classification gives: classes as a map, in an embedding, and their spectra.

Some of it goes to ``learning_results`` too, where methods of HyperSpy look.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.classify.features import Features
from rsciio_xfm.analysis.classify.methods import Components
from rsciio_xfm.core.eds import DETECTOR_NODES, PER_KEV
from rsciio_xfm.drawing.classes import draw_classes
from rsciio_xfm.signals.folders import (
    Writers,
    save_figure,
    save_files,
    save_image,
    save_lines,
)

_FILES = ("labels.tif", "classes.csv", "parameters.txt", "classes.png")
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


@dataclass(frozen=True)
class Classification:
    """Classes of the spectra of a map; see :func:`rsciio_xfm.classify`.

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
        return draw_classes(
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
            Replace files that are there, when all the new ones are whole; and then remove what
            is there of more classes than there are now.

        Returns
        -------
        list of pathlib.Path
            What was written.

        Raises
        ------
        FileExistsError
            A file is there, and `overwrite` is False.
        NotADirectoryError
            The folder is a file.
        """
        return save_files(folder, self._writers(), results_in(Path(folder)), overwrite)

    def _writers(self) -> Writers:
        """Return what writes each file, by its name."""
        found: dict[str, Callable[[Path], None]] = {
            f"class_{k}.msa": spectrum.save for k, spectrum in enumerate(self.sums)
        }
        text = [f"{key}: {value}" for key, value in self.parameters.items()]
        writers = (
            partial(save_image, self.labels),
            lambda path: save_lines(self._rows(), path),
            partial(save_lines, text),
            lambda path: save_figure(self.plot(), path),
        )
        return found | dict(zip(_FILES, writers, strict=True))

    def _rows(self) -> list[str]:
        rows = ["class,pixels,fraction,counts,live_time_s"]
        for k, spectrum in enumerate(self.sums):
            n_pixels = np.count_nonzero(self.labels.data == k)
            live_time = live_time_of(spectrum)
            seconds = "" if live_time is None else f"{live_time:.6g}"
            counts = spectrum.data.sum()
            rows.append(f"{k},{n_pixels},{self.fractions[k]:.6g},{counts:.12g},{seconds}")
        return rows


def results_in(folder: Path) -> list[Path]:
    """Return what :meth:`Classification.save` has written to a folder before."""
    found = [folder / name for name in _FILES if (folder / name).exists()]
    return sorted(folder.glob("class_[0-9]*.msa")) + found


def _text(units: Any) -> str | None:
    return units if isinstance(units, str) else None


def _lines_of(signal: BaseSignal) -> dict[str, float]:
    """Return the X-ray lines of the metadata, and energies in units of the axis."""
    from exspy.material import elements

    names = signal.metadata.get_item("Sample.xray_lines", [])
    factor = PER_KEV.get(signal.axes_manager.signal_axes[0].units)
    if factor is None:
        return {}
    found = {}
    for name in names:
        element, line, *_ = f"{name}_".split("_")
        path = f"{element}.Atomic_properties.Xray_lines.{line}"
        if line and elements.has_item(path):
            energy = float(elements.get_item(path)["energy (keV)"])
            found[str(name)] = factor * energy
    return found


def live_time_of(spectrum: BaseSignal) -> float | None:
    """Return the live time of a sum of spectra, s; None if it is not known."""
    for node in DETECTOR_NODES:
        found = spectrum.metadata.get_item(f"{node}.live_time")
        if found is not None:
            return float(found)
    return None


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
