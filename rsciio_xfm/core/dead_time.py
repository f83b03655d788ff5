"""Dead time and live time.

The dead time of a measurement is the part of its real time, in percent, during which the
detector could not count. NaN stands for a measurement that was not made.
"""

from collections.abc import Iterator

import numpy as np

# Above about this dead time, in percent, detectors count fewer photons the more arrive.
SATURATION = 65.0

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
    with np.errstate(invalid="ignore"):  # some NaN of files are of the signalling kind
        fraction = np.array(dead_time, dtype=np.float64)
    fraction /= -100
    fraction += 1
    np.nan_to_num(fraction, copy=False, nan=0.0, posinf=1.0, neginf=0.0)
    return np.clip(fraction, 0.0, 1.0, out=fraction)


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
    return sum(int(np.count_nonzero(is_recorded(p))) for p in _parts(dead_time))


def is_recorded(dead_time: np.ndarray) -> np.ndarray:
    """Tell which dead times an instrument recorded.

    Parameters
    ----------
    dead_time
        Percent, any shape.

    Returns
    -------
    numpy.ndarray
        bool, False for what is 0, NaN, or beyond 0 to 100.

    Examples
    --------
    >>> import numpy as np
    >>> is_recorded(np.array([12.5, 0.0, np.nan, 100.0, 130.0]))
    array([ True, False, False,  True, False])
    """
    return (dead_time > 0) & (dead_time <= 100)


def _parts(dead_time: np.ndarray) -> Iterator[np.ndarray]:
    flat = np.ravel(dead_time)
    return (flat[i : i + _PART] for i in range(0, flat.size, _PART))


def combine_dead_time(
    dead_time: np.ndarray, axis: tuple[int, ...], real_time: np.ndarray | None = None
) -> np.ndarray:
    """Dead time of measurements that are added up.

    Live times add up, and so do real times: the dead time of the sum is the mean of the
    dead times, each with its real time as its weight. A measurement that was not made counts
    as dead all the time, so that real time x (1 - dead time) is the true live time of the sum.

    Parameters
    ----------
    dead_time
        Percent, any shape.
    axis
        Axes that are summed over.
    real_time
        Of the measurements, in any unit, a shape that broadcasts to that of `dead_time`; None
        if all are equal.

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
    axis = tuple(i % dead_time.ndim for i in axis)
    shape = [n for i, n in enumerate(dead_time.shape) if i not in axis]
    live, measured = np.zeros(shape), np.zeros(shape, dtype=bool)
    weights = np.float64(1) if real_time is None else real_time
    weights = np.broadcast_to(weights, dead_time.shape)
    # A range of rows at a time; rows are the last axis but one.
    rows = max(0, dead_time.ndim - 2)
    before = [i for i in range(rows) if i not in axis]
    for (part, values), (_, weight) in zip(
        _row_parts(dead_time), _row_parts(weights), strict=True
    ):
        kept = (slice(None),) * len(before) + (() if rows in axis else (part,))
        live[kept] += (live_fraction(values) * weight).sum(axis=axis)
        measured[kept] |= (~np.isnan(values) & (weight > 0)).any(axis=axis)
    real = weights.sum(axis=axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(measured, 100 * (1 - live / real), np.nan)


def live_time(
    dead_time: np.ndarray, real_time: float, detector_axis: int | None
) -> np.ndarray:
    """Live time of each spectrum.

    Parameters
    ----------
    dead_time
        Percent.
    real_time
        Of one spectrum in s, all its detectors together.
    detector_axis
        Axis of the detectors that were summed, if any.

    Returns
    -------
    numpy.ndarray
        float64, s, without the axis of the detectors.

    Examples
    --------
    >>> import numpy as np
    >>> live_time(np.array([[10.0, 20.0], [30.0, 40.0]]), 0.2, detector_axis=0)
    array([0.16, 0.14])
    """
    if detector_axis is None:
        live = live_fraction(dead_time)
    else:
        live = live_fraction(np.take(dead_time, 0, axis=detector_axis))
        for i in range(1, dead_time.shape[detector_axis]):
            live += live_fraction(np.take(dead_time, i, axis=detector_axis))
        live /= dead_time.shape[detector_axis]
    live *= real_time
    return live


def _row_parts(dead_time: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield ranges along the last axis but one (or the only one), and their values."""
    axis = max(0, dead_time.ndim - 2)
    n_rows = dead_time.shape[axis]
    step = max(1, _PART * n_rows // max(1, dead_time.size))
    for start in range(0, n_rows, step):
        part = slice(start, start + step)
        yield part, dead_time[(slice(None),) * axis + (part,)]


def dead_time_of_times(live_time: np.ndarray, real_time: np.ndarray) -> np.ndarray:
    """Dead time from live and real times.

    Parameters
    ----------
    live_time, real_time
        In the same unit, shapes that fit each other.

    Returns
    -------
    numpy.ndarray
        float64, percent, from 0 to 100; NaN where one of them is missing: NaN, or not above 0.

    Examples
    --------
    >>> import numpy as np
    >>> dead_time_of_times(np.array([0.5, 0.0]), np.array([1.0, 1.0]))
    array([50., nan])
    """
    return _percent_dead(live_time, real_time)


def dead_time_of_rates(input_rate: np.ndarray, output_rate: np.ndarray) -> np.ndarray:
    """Dead time from the rates of photons that arrive (ICR) and that are counted (OCR).

    Parameters
    ----------
    input_rate, output_rate
        In the same unit, shapes that fit each other.

    Returns
    -------
    numpy.ndarray
        float64, percent, from 0 to 100; NaN where one of them is missing: NaN, or not above 0.

    Notes
    -----
    Live time = real time x OCR / ICR.

    Source: Ketek, in the thread "Dead time correction" of PyMca's mailing list
    (https://sourceforge.net/p/pymca/mailman/message/37330604).

    Examples
    --------
    >>> import numpy as np
    >>> dead_time_of_rates(np.array([1000.0, 0.0]), np.array([800.0, 0.0])).round(9)
    array([20., nan])
    """
    return _percent_dead(output_rate, input_rate)


def _percent_dead(live: np.ndarray, all_: np.ndarray) -> np.ndarray:
    live, all_ = (np.asarray(values, dtype=np.float64) for values in (live, all_))
    is_known = (live > 0) & (all_ > 0) & np.isfinite(live) & np.isfinite(all_)
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = 100 * (1 - live / all_)
    # What was counted can be a little more than what arrived, where both are few.
    return np.where(is_known, np.clip(percent, 0, 100), np.nan)
