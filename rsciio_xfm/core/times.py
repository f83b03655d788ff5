"""Live and real times of the spectra of a map, as a reader finds them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsciio_xfm.core.eds import build_share


@dataclass(frozen=True)
class Times:
    """Times of the spectra of some detectors.

    Attributes
    ----------
    dead
        Percent, shape (detectors, spectra); NaN where nothing was measured. None if live or
        real times are not there.
    real, live
        Of a spectrum of one detector in s, the means of those that were measured.
    share
        Real time of each spectrum / `real`, shape (spectra,), if they differ.
    """

    dead: np.ndarray | None
    real: float | None
    live: float | None
    share: np.ndarray | None = None


def put_share(signal: dict[str, Any], times: Times) -> None:
    """Put real times of spectra that differ into the metadata of a map.

    Parameters
    ----------
    signal
        From :func:`rsciio_xfm.core.xrf.build_map`; it is changed in place, unless it has no
        dead times.
    times
        Of its spectra.
    """
    instrument = signal["metadata"]["Acquisition_instrument"]
    node = instrument.get("SEM", {}).get("Detector", {}).get("EDS", {})
    if times.share is None or "_sig_dead_time" not in node:
        return
    axes = [dict(axis) for axis in signal["axes"] if axis["navigate"]]
    shape = [axis["size"] for axis in axes]
    n = times.share.size
    # Detectors that are an axis of the map have the same real times.
    share = np.broadcast_to(times.share, (math.prod(shape) // n, n)).reshape(shape)
    node["_sig_relative_real_time"] = build_share(np.ascontiguousarray(share), axes)
    node["live_time"] = node["real_time"] * (times.live or 0.0) / (times.real or 1.0)
