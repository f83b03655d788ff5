"""Peaks that are wider than a detector makes lines: diffraction, bends of the background.

A crystal sends each energy of a tube's continuum into other directions. What reaches the
detector of that are bumps, some 0.2 keV wide, anywhere in the spectrum, and L lines of some
rare earth are always near. Their width tells them from lines, whatever their places.
"""

import math

import numpy as np

from rsciio_xfm.analysis.fit.columns import gather_lines, make_spectra
from rsciio_xfm.analysis.fit.doubt import Doubted
from rsciio_xfm.analysis.fit.model import Model
from rsciio_xfm.analysis.fit.response import FWHM
from rsciio_xfm.analysis.fit.scatter import Scatter

_MORE_KEV = 0.06  # in quadrature, of a change of the width that is tried
# By what a peak is no line: excess of the square of its width, in sigma, and relative to that
# of a line. Elements of phantoms and of a steel beside far stronger ones reach 3.8 sigma, or
# 0.43; bumps in spectra of pure metals begin at 0.7.
_CLEAR, _MUCH = 3.0, 0.5
# Below it peaks are wider than their formula: charge is not all collected.
_FIRST_KEV = 1.0


def too_wide(model: Model, fitted: Doubted) -> np.ndarray:
    """Tell which groups have peaks that are wider than lines.

    Parameters
    ----------
    model
        Its groups.
    fitted
        The fit of the spectrum by it.

    Returns
    -------
    numpy.ndarray
        bool, shape (groups,): they are 1.2 times as wide as lines, or wider, and that is
        sure.
    """
    energies = np.array([group.energy for group in model.groups])
    lines = gather_lines(model.groups, model.response, Scatter(), ())
    values = fitted.values
    wider = values | {"noise": math.hypot(values["noise"], _MORE_KEV)}
    change = make_spectra(lines, wider, fitted.channels)
    change -= make_spectra(lines, values, fitted.channels)
    clear, sigmas = fitted.gains(change)
    counts = np.maximum(fitted.areas[: len(energies)], 1.0)
    more = clear * np.where(np.isfinite(sigmas), sigmas, 0.0) / counts * _MORE_KEV**2
    much = more > _MUCH * (FWHM * model.response.sigma(energies)) ** 2
    found: np.ndarray = much & (clear > _CLEAR) & (energies > _FIRST_KEV)
    return found
