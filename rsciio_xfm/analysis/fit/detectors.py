"""Models of several detectors that see the same sample: the same components in all."""

from dataclasses import replace

import numpy as np

from rsciio_xfm.analysis.fit.calibrate import calibrate, finish
from rsciio_xfm.analysis.fit.model import Model


def calibrate_each(model: Model, spectra: np.ndarray, n_pixels: int = 1) -> list[Model]:
    """Fit a model to the spectrum of each detector, each with its own calibration.

    Parameters
    ----------
    model
        As of :func:`~rsciio_xfm.analysis.fit.calibrate.calibrate`; best one that is
        calibrated on their sum.
    spectra
        Counts, shape (detectors, channels).
    n_pixels
        Spectra that were added up in each.

    Returns
    -------
    list of Model
        Their components are the same, and in the same order: sum peaks that stand out in one
        detector only are fitted in all.

    Raises
    ------
    ValueError
        As of :func:`~rsciio_xfm.analysis.fit.calibrate.calibrate`; it names the detector.
    """
    models = []
    for k, counts in enumerate(spectra):
        try:
            models.append(calibrate(model, counts, n_pixels))
        except ValueError as error:
            raise ValueError(
                f"Detector {k} of {len(spectra)}: {error} Leave it out if it is off."
            ) from error
    peaks = {peak.name: peak for one in models for peak in one.sum_peaks.peaks}
    names = [one.names for one in models]
    if all(own == names[0] for own in names):
        return models
    return [_with_peaks(one, tuple(peaks.values())) for one in models]


def _with_peaks(model: Model, peaks: tuple) -> Model:
    """Return a calibrated model with other sum peaks, its parameters as they are."""
    fit = model.fit
    assert fit is not None
    every = replace(model, sum_peaks=replace(model.sum_peaks, peaks=peaks))
    return finish(every, fit.spectrum, fit.n_pixels, tuple(fit.parameters))
