"""Live and real times of the detectors of spectra, as metadata have them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.dead_time import dead_time_of_times, live_fraction
from rsciio_xfm.core.eds import build_share

_EVEN = 1e-5  # by which real times may differ


@dataclass(frozen=True)
class Times:
    """Times of spectra of some detectors.

    Attributes
    ----------
    dead
        float64, percent, (detectors, spectra); NaN where nothing was measured. None if live or
        real times are not there.
    real, live
        Of a spectrum of one detector in s, the mean.
    share
        Real time of each spectrum / `real`, (spectra,), if they differ: 0 where there is none.
    """

    dead: np.ndarray | None
    real: float | None
    live: float | None
    share: np.ndarray | None = None


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


def put_share(signal: dict[str, Any], times: Times) -> None:
    """Put real times of spectra that differ into the metadata of a map."""
    instrument = signal["metadata"]["Acquisition_instrument"]
    node = instrument.get("SEM", {}).get("Detector", {}).get("EDS", {})
    if times.share is None or "_sig_dead_time" not in node:
        return
    axes = [dict(axis) for axis in signal["axes"] if axis["navigate"]]
    shape = [axis["size"] for axis in axes]
    n = times.share.size
    share = np.broadcast_to(times.share, (math.prod(shape) // n, n)).reshape(shape)
    node["_sig_relative_real_time"] = build_share(np.ascontiguousarray(share), axes)
    node["live_time"] = node["real_time"] * (times.live or 0.0) / (times.real or 1.0)
