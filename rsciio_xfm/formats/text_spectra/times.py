"""Dead times, and the means of live and real times, of spectra as text."""

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.dead_time import dead_time_of_times, live_fraction
from rsciio_xfm.core.times import Times

_EVEN = 1e-5  # by which real times may differ


def combine(live: np.ndarray, real: np.ndarray) -> Times:
    """Make dead times of live and real times.

    Parameters
    ----------
    live, real
        In s, (detectors, spectra); NaN where they are not known.
    """
    dead = dead_time_of_times(live, real)
    if not np.isfinite(dead).any():
        return Times(None, meta.mean_time(real), meta.mean_time(live))
    # Of several detectors the mean, in which the dead times are then.
    n_known = np.isfinite(real).sum(axis=0)
    own = np.nansum(real, axis=0) / np.maximum(n_known, 1)
    dead = dead_time_of_times(live, own)
    is_measured = np.isfinite(dead).any(axis=0)
    own = np.where(is_measured, own, 0.0)
    mean = float(own[is_measured].mean())
    share = own / mean
    mean_live = mean * float((live_fraction(dead) * share).mean())
    if np.abs(share - 1).max() <= _EVEN:
        return Times(dead, mean, mean_live)
    return Times(dead, mean, mean_live, share)
