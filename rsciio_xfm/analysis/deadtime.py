"""Dead time and live time.

The dead time of a measurement is the part of its real time, in percent, during which the
detector could not count. NaN stands for a measurement that was not made.
"""

from collections.abc import Iterator

import numpy as np

_PART = 2**20


def live_fraction(dead_time: np.ndarray) -> np.ndarray:
    """Turn dead times into live fractions.

    Parameters
    ----------
    dead_time
        Percent, any shape.

    Returns
    -------
    numpy.ndarray
        float64, ``1 - dead_time / 100``, within 0 and 1; 0 where `dead_time` is NaN:
        what was not measured has no live time.

    Examples
    --------
    >>> import numpy as np
    >>> live_fraction(np.array([25.0, 100.0, np.nan]))
    array([0.75, 0.  , 0.  ])
    """
    fraction = 1 - np.asarray(dead_time, dtype=np.float64) / 100
    return np.clip(np.nan_to_num(fraction, nan=0.0), 0.0, 1.0)


def mean_live_fraction(dead_time: np.ndarray) -> float:
    """Average :func:`live_fraction` over all measurements, in bounded memory.

    Parameters
    ----------
    dead_time
        Percent, any shape.

    Returns
    -------
    float
        From 0 to 1; 0 for an empty array.
    """
    total = sum(live_fraction(part).sum() for part in _parts(dead_time))
    return float(total / dead_time.size) if dead_time.size else 0.0


def count_recorded(dead_time: np.ndarray) -> int:
    """Count the dead times that an instrument recorded, in bounded memory.

    Parameters
    ----------
    dead_time
        Percent, any shape.

    Returns
    -------
    int
        How many are above 0 and at most 100: instruments write 0 where they have none.
    """
    return sum(np.count_nonzero((p > 0) & (p <= 100)) for p in _parts(dead_time))


def _parts(dead_time: np.ndarray) -> Iterator[np.ndarray]:
    flat = np.ravel(dead_time)
    return (flat[i : i + _PART] for i in range(0, flat.size, _PART))


def combine_dead_time(dead_time: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
    """Dead time of measurements of equal real time that are added up.

    Live times add up, and so do real times: the dead time of the sum is the mean of the
    dead times. A measurement that was not made counts as dead all the time, so that real
    time x (1 - dead time) is the true live time of the sum.

    Parameters
    ----------
    dead_time
        Percent, any shape.
    axis
        Axes that are summed over.

    Returns
    -------
    numpy.ndarray
        float64, percent; NaN where nothing at all was measured.

    Examples
    --------
    >>> import numpy as np
    >>> combine_dead_time(np.array([[10.0, 20.0], [np.nan, 40.0]]), axis=(0,))
    array([55., 30.])
    """
    combined = 100 * (1 - live_fraction(dead_time).mean(axis=axis))
    return np.where(np.isnan(dead_time).all(axis=axis), np.nan, combined)
