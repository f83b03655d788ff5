"""The background under the peaks: non-negative cubic B-splines."""

import numpy as np

_LEAST_KEV = 0.1  # from where on knots are closer together
KNOT_KEV = 2.0  # apart; 1 to 3 give about the same
# Of the factors by which the background of a spectrum differs from that of the whole map.
WIDE_KEV = 10.0
_LEAST_PART = 1e-6  # of the background


def cut_background(shape: np.ndarray, splines: np.ndarray) -> np.ndarray:
    """Cut a background into parts that overlap and add up to it.

    Sums of them with weights that are not negative are nowhere negative either: backgrounds
    of another shape, by a smooth factor.

    Parameters
    ----------
    shape
        Of the background, (channels,).
    splines
        Shape (splines, channels), that add up to 1 in each channel.

    Returns
    -------
    numpy.ndarray
        float64, shape (channels, parts); parts of which nothing is there are left out.

    Examples
    --------
    >>> import numpy as np
    >>> shape = np.linspace(1, 0, 100)
    >>> parts = cut_background(shape, make_splines(np.linspace(1, 9, 100), WIDE_KEV))
    >>> parts.shape, bool(np.allclose(parts.sum(axis=1), shape))
    ((100, 4), True)
    """
    parts = splines * shape
    return parts[parts.sum(axis=1) > _LEAST_PART * shape.sum()].T


def make_splines(
    energies: np.ndarray, step: float = KNOT_KEV, soft: float = 0.0
) -> np.ndarray:
    """Return cubic B-splines that span a range of energies.

    Parameters
    ----------
    energies
        Of the channels, keV, ascending.
    step
        Distance of the knots, keV, about.
    soft
        Energy below which they are closer together, keV; at half of it, a third as far apart.

    Returns
    -------
    numpy.ndarray
        float64, shape (splines, channels); they add up to 1 in each channel. A sum of them
        with weights that are not negative is nowhere negative.

    Examples
    --------
    >>> import numpy as np
    >>> splines = make_splines(np.linspace(1, 9, 100))
    >>> len(splines), bool(np.allclose(splines.sum(axis=0), 1))
    (7, True)
    """
    from scipy.interpolate import BSpline

    places = energies
    if soft > 0:
        positive = np.maximum(energies, 0.5 * _LEAST_KEV)
        places = energies + soft * np.log(positive / soft)
    low, high = places[0], places[-1]
    n_spans = max(1, round((high - low) / step))
    inner = np.linspace(low, high, n_spans + 1)
    knots = np.concatenate([[low] * 3, inner, [high] * 3])
    return BSpline.design_matrix(places, knots, 3).toarray().T
