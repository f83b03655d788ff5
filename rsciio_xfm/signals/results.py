"""What a classification gives: classes as a map, in an embedding, and their spectra.

Some of it goes to ``learning_results`` too, where methods of HyperSpy look.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from hyperspy.signals import Signal2D

from rsciio_xfm.analysis.classify.features import Features
from rsciio_xfm.analysis.classify.methods import Components
from rsciio_xfm.core.atomic import replacing_in
from rsciio_xfm.core.eds import DETECTOR_NODES
from rsciio_xfm.signals import drawing
from rsciio_xfm.signals.saving import fit_tiff

_DPI = 150
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
        return drawing.draw_classes(
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
        with replacing_in(folder) as temporary:
            self._write([temporary / name for name in names])
            figure.savefig(temporary / names[-1], dpi=_DPI)
        plt.close(figure)
        for path in set(old) - set(paths):  # there may have been more classes
            path.unlink(missing_ok=True)
        return paths

    def _write(self, paths: list[Path]) -> None:
        """Write all but the picture."""
        for spectrum, path in zip(self.sums, paths, strict=False):
            spectrum.save(path)
        labels = self.labels.deepcopy()
        labels.data = np.atleast_2d(labels.data)
        if labels.axes_manager.signal_dimension == 1:  # a line is an image of one row
            labels = Signal2D(labels.data)
        fit_tiff(labels)
        labels.save(paths[-4])
        self._write_table(paths[-3])
        text = "".join(f"{key}: {value}\n" for key, value in self.parameters.items())
        paths[-2].write_text(text, encoding="utf-8")

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


def _live_time(signal: BaseSignal) -> float | None:
    for node in DETECTOR_NODES:
        found = signal.metadata.get_item(f"{node}.live_time")
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
