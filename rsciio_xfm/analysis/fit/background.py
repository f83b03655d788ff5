"""The background under the peaks: non-negative cubic B-splines."""

import numpy as np

KNOT_KEV = 2.0  # apart; 1 to 3 give the same


def make_splines(energies: np.ndarray, step: float = KNOT_KEV) -> np.ndarray:
    """Return cubic B-splines that span a range of energies.

    Parameters
    ----------
    energies
        Of the channels, keV, ascending.
    step
        Distance of the knots, keV, about.

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

    low, high = energies[0], energies[-1]
    n_spans = max(1, round((high - low) / step))
    inner = np.linspace(low, high, n_spans + 1)
    knots = np.concatenate([[low] * 3, inner, [high] * 3])
    return BSpline.design_matrix(energies, knots, 3).toarray().T
