"""Statistics of dead times."""

import math

import numpy as np

from rsciio_xfm.core.dead_time import SATURATION, is_recorded

_PERCENTILES = (5, 25, 75, 95)


def summarise_dead_time(
    dead_time: np.ndarray, saturation: float = SATURATION
) -> dict[str, int | float]:
    """Return the statistics of dead times.

    Parameters
    ----------
    dead_time
        Percent, any shape.
    saturation
        Percent from which a spectrum counts as saturated.

    Returns
    -------
    dict
        ``n_spectra`` that were measured (not NaN), ``n_recorded`` of them whose dead time is
        above 0 and at most 100, and of these ``mean``, ``median``, ``min``, ``max`` and the
        percentiles ``p5``, ``p25``, ``p75`` and ``p95`` (NaN if there are none), and
        ``n_saturated``.

    Raises
    ------
    ValueError
        The limit is not within 0 and 100.

    Examples
    --------
    >>> import numpy as np
    >>> found = summarise_dead_time(np.array([10.0, 20.0, 90.0, 0.0, np.nan]))
    >>> found["n_spectra"], found["n_recorded"], found["median"], found["n_saturated"]
    (4, 3, 20.0, 1)
    """
    if not 0 <= saturation <= 100:
        raise ValueError(f"saturation is {saturation!r}, expected 0 to 100 %.")
    values = dead_time[is_recorded(dead_time)]
    names = ["min", *(f"p{p}" for p in _PERCENTILES), "median", "max"]
    found = dict.fromkeys(["mean", *names], math.nan)
    if values.size:
        levels = np.percentile(values, [0, *_PERCENTILES, 50, 100]).tolist()
        found = {"mean": float(values.mean(dtype=float))}
        found |= dict(zip(names, levels, strict=True))
    return {
        "n_spectra": int(dead_time.size - np.count_nonzero(np.isnan(dead_time))),
        "n_recorded": int(values.size),
        **{name: found[name] for name in ("mean", "median", "min", *names[1:-2], "max")},
        "n_saturated": int(np.count_nonzero(values >= saturation)),
    }
