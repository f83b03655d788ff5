"""Live and real time of each pixel of a ``.bcf`` map.

Bruker's electronics are given a pulse ``ZeroPeakFrequency`` times a second, which they count
at 0 keV, unless they are busy: so many of them as are counted, divided by the frequency, is
the live time. (Proposed in hyperspy issue 2898, checked here against the live times of single
spectra, which have both.) The real time is what the scan spent on a pixel: how often its line
was scanned, times the dwell time, unless the file has a table, ``PixelTimes``.
"""

import math
from dataclasses import dataclass

import numpy as np

from rsciio_xfm.core.array import Range
from rsciio_xfm.formats.bruker.index import NOT_STORED

_HALF_KEV = 0.15  # of the window around 0 keV
_MOST_HZ = 1e7
# Pulses of a pixel on average, below which rows are taken together, and of a row, below which
# all of the map is: 25 tell a live time to some 10 %.
_LEAST_PULSES = 25
# By which times are taken for the same: pulses tell them to about 0.5 %.
_ALIKE = 0.02
# Pixels without a count are that much more common than if all pixels were alike.
_MOST_CHANCE = 10
_AT_ONCE = 2**14  # pixels of which dead times are calculated


@dataclass(frozen=True)
class PixelTimes:
    """Times of the pixels of a map.

    Attributes
    ----------
    real
        Of each pixel in s, 0 where nothing was measured; None if it is not known.
    dead_time
        Percent, NaN where it is not known; None if it is not known anywhere.
    real_from, dead_from
        From what, in words; empty without.
    """

    real: np.ndarray | None
    dead_time: np.ndarray | None
    real_from: str
    dead_from: str


def zero_peak(scale: float | None, offset: float | None, n_channels: int) -> Range:
    """Return the channels of the peak at 0 keV.

    Parameters
    ----------
    scale, offset
        keV of a channel, and of the first one; None if the spectrum has no energies.
    n_channels
        How many there are.

    Returns
    -------
    tuple of int
        First, and last + 1; nothing in between if there are no such channels.

    Examples
    --------
    >>> zero_peak(0.01, -0.48, 2048)
    (33, 64)
    """
    if scale is None or offset is None or not 0 < scale < _HALF_KEV:
        return 0, 0
    first = round((-_HALF_KEV - offset) / scale)
    last = round((_HALF_KEV - offset) / scale)
    return (first, last + 1) if first >= 0 and last < n_channels else (0, 0)


def live_time(
    pulses: np.ndarray | float, frequency: float | None
) -> np.ndarray | float | None:
    """Return the live time of spectra in s, None if it cannot be known.

    Parameters
    ----------
    pulses
        Counts around 0 keV.
    frequency
        Of the pulses, in Hz.

    Examples
    --------
    >>> live_time(27975, 1000)
    27.975
    """
    if frequency is None or not 0 < frequency < _MOST_HZ:
        return None
    return pulses / frequency


def find_times(
    pulses: np.ndarray,
    n_counts: int,
    frequency: float | None,
    scanned: np.ndarray | None,
    table: np.ndarray | None,
) -> PixelTimes:
    """Find real and dead time of each pixel.

    Parameters
    ----------
    pulses
        Integers, shape (y, x): counts around 0 keV, -1 where nothing is stored.
    n_counts
        Of all pixels.
    frequency
        Of the pulses in Hz.
    scanned
        What the scan spent on a pixel of each row in s, shape (y,).
    table
        PixelTimes in s, shape (y, x).

    Notes
    -----
    What the table holds is decided for the map as a whole: real times, if they are those of
    the scan, or more than the live times of the pulses; live times, if they are these.
    """
    is_stored = pulses != NOT_STORED
    is_measured = find_measured(is_stored, n_counts)
    by_scan = None
    if scanned is not None and np.any(scanned > 0):
        by_scan = np.broadcast_to(scanned[:, np.newaxis], pulses.shape)
    if table is not None and not np.any(table[is_stored] > 0):
        table = None
    n_left = pulses.size - np.count_nonzero(is_stored)
    n_pulses = float(pulses.sum(dtype=np.int64) - NOT_STORED * n_left)
    live_of_map = live_time(n_pulses, frequency) if n_pulses else None
    kind = _kind_of_table(table, by_scan, live_of_map, is_stored)
    real, real_from = by_scan, "LineCounter" if by_scan is not None else ""
    if kind == "real":
        real, real_from = table, "PixelTimes"
    if real is None:
        return PixelTimes(None, None, "", "")
    are_all = bool(is_measured.all())
    real = real if are_all else np.where(is_measured, real, 0.0)
    if kind == "live" and table is not None:
        dead, dead_from = _dead_time(table, real), "PixelTimes"
    elif live_of_map is None:
        return PixelTimes(real, None, real_from, "")
    else:
        dead, of = _dead_time_of_pulses(pulses, real, float(frequency or 0))
        dead_from = f"zero peak {of}"
    if not are_all:
        dead[~is_measured] = np.nan
    return PixelTimes(real, dead, real_from, dead_from)


def find_measured(is_stored: np.ndarray, n_counts: int) -> np.ndarray:
    """Tell which pixels were measured: those that are stored, and some without a count.

    Parameters
    ----------
    is_stored
        bool, shape (y, x).
    n_counts
        Of all pixels.

    Notes
    -----
    A pixel without a count is not stored, nor is one that was not measured. In rows of which
    some pixels are stored, the others were measured if there are not many more of them than
    chance leaves without a count.

    Examples
    --------
    >>> is_stored = np.array([[True, False, True], [False, False, False]])
    >>> find_measured(is_stored, n_counts=2)
    array([[ True,  True,  True],
           [False, False, False]])
    >>> find_measured(is_stored, n_counts=2000)[0]
    array([ True, False,  True])
    """
    n_stored = int(np.count_nonzero(is_stored))
    if n_stored == is_stored.size:
        return is_stored
    rows = is_stored.any(axis=1, keepdims=True)
    n_left = is_stored.shape[1] * int(rows.sum()) - n_stored
    by_chance = n_stored * math.exp(-n_counts / max(1, n_stored))
    if n_left > _MOST_CHANCE * by_chance:
        return is_stored
    return np.array(np.broadcast_to(rows, is_stored.shape))


def _kind_of_table(
    table: np.ndarray | None,
    by_scan: np.ndarray | None,
    live: np.ndarray | float | None,
    is_stored: np.ndarray,
) -> str:
    """Return what PixelTimes hold: ``"real"`` or ``"live"`` times, or nothing known."""
    if table is None:
        return ""
    sum_of_table = float(table[is_stored].sum())
    if by_scan is not None:
        sum_of_scan = float(by_scan[is_stored].sum())
        if math.isclose(sum_of_table, sum_of_scan, rel_tol=_ALIKE):
            return "real"
    if live is None:
        return ""
    if math.isclose(sum_of_table, float(live), rel_tol=_ALIKE):
        return "live" if by_scan is not None else ""
    return "real" if sum_of_table > live else ""


def _dead_time(live: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Return dead times in percent: at least 0, NaN without a real time."""
    return _dead_time_of_counts(live, 1, real)


def _dead_time_of_counts(
    pulses: np.ndarray, frequency: float, real: np.ndarray
) -> np.ndarray:
    """Return dead times in percent, of pulses that come at a frequency of live time.

    Some rows at a time, so that they stay in the processor's cache.
    """
    dead = np.empty(pulses.shape, dtype=np.float32)
    step = max(1, _AT_ONCE // pulses.shape[-1])
    for first in range(0, len(dead), step):
        rows = slice(first, first + step)
        part = np.maximum(pulses[rows], 0) / frequency
        with np.errstate(divide="ignore", invalid="ignore"):
            part /= real[rows]
        np.subtract(1, part, out=part)
        part *= 100
        np.clip(part, 0, 100, out=dead[rows], casting="same_kind")
        np.putmask(dead[rows], real[rows] <= 0, np.nan)
    return dead


def _dead_time_of_pulses(
    pulses: np.ndarray, real: np.ndarray, frequency: float
) -> tuple[np.ndarray, str]:
    """Return dead times, and of what: of pixels, or of rows or the map if pulses are few."""
    is_stored = pulses != NOT_STORED
    total = pulses.sum(dtype=np.int64) - NOT_STORED * np.count_nonzero(~is_stored)
    if total >= _LEAST_PULSES * np.count_nonzero(real):
        return _dead_time_of_counts(pulses, frequency, real), "of each pixel"
    n = np.maximum(pulses, 0)
    axis: tuple[int, ...] = (1,)
    of = "of each row"
    if total < _LEAST_PULSES * np.count_nonzero(real.any(axis=1)):
        axis, of = (0, 1), "of the map"
    times = real.sum(axis=axis, keepdims=True)
    dead = _dead_time(n.sum(axis=axis, keepdims=True, dtype=np.int64) / frequency, times)
    return np.array(np.broadcast_to(dead, pulses.shape)), of


def add_pixels(values: np.ndarray, downsample: int) -> np.ndarray:
    """Add up so many pixels, down and across, of a map; the last ones may be fewer.

    Examples
    --------
    >>> add_pixels(np.ones((3, 4)), 2)
    array([[4., 4.],
           [2., 2.]])
    """
    if downsample == 1:
        return values
    rows, columns = (np.arange(0, size, downsample) for size in values.shape)
    return np.add.reduceat(np.add.reduceat(values, rows, axis=0), columns, axis=1)
