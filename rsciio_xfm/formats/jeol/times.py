"""Real, live and dead time of a ``.pts`` map, from the clock in its stream.

Two kinds of words say that 10 ms of real and of live time are over. They stand among the
X-rays, so that they tell the times of each row, and of each pixel if that took long enough.
At the ends of a row a tick falls to this side or the other, and some come late: sums of ticks
over some rows of one frame are off by 0.6 ticks at each end (measured on a map of 14 frames of
512 rows, whose rows all took the same time).
"""

import math
from dataclasses import dataclass

import numpy as np

from rsciio_xfm.core.dead_time import live_fraction
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.jeol.data import JEOLArray
from rsciio_xfm.formats.jeol.frames import Chosen, Frames, Rows
from rsciio_xfm.formats.jeol.index import Index
from rsciio_xfm.formats.jeol.layout import TICK_S
from rsciio_xfm.formats.jeol.parse import Header

_OFF = 0.6  # ticks at each end
# By how much a dead time may be off: of rows, of which as many as that takes are taken
# together, and of pixels, which have their own if it is known so well.
_ROWS_OFF, _PIXELS_OFF = 0.01, 0.05
# By how much the ticks may differ from the times of the header.
_TIMES_OFF, _TIMES_OFF_S = 0.01, 0.5
_MOST_SPECTRA = 2**24  # of which maps of times are made
_EVEN = 1e-6  # by which real times may differ


@dataclass(frozen=True, eq=False)
class Times:
    """The times of a map.

    Attributes
    ----------
    real, live
        Of the whole map in s, None if they are not known.
    dead_time
        Percent, with the navigation axes; None if it is not known.
    share
        Real time of each spectrum / their mean, likewise; None if all are 1.
    real_from, dead_from
        From what, in words; empty without.
    """

    real: float | None = None
    live: float | None = None
    dead_time: np.ndarray | None = None
    share: np.ndarray | None = None
    real_from: str = ""
    dead_from: str = ""


def find_times(
    header: Header,
    index: Index,
    frames: Frames,
    chosen: Chosen,
    rows: Rows,
    array: JEOLArray,
) -> Times:
    """Find the times of a map.

    Parameters
    ----------
    header, index, frames
        Of the file.
    chosen, rows, array
        What is read of it.

    Warns
    -----
    UserWarning
        The ticks do not add up to the times of the header.
    """
    if not index.has_clock:
        is_all = len(chosen.numbers) == frames.n and not chosen.given
        if not is_all or chosen.is_moved:
            return Times()
        return Times(header.real_time, header.live_time, real_from="RealTime")
    _check_header(header, index)
    ticks, n_scans = rows.ticks, rows.n_scans
    if array.is_summed:
        ticks, n_scans = ticks.sum(axis=0, keepdims=True), n_scans.sum(axis=0)[np.newaxis]
    n_spectra = math.prod(array.shape[:-1])
    # Frames that are moved lose columns, whose ticks are not those of the map.
    all_columns = array.shape[-2] + chosen.crop[1]
    real, live = (
        ticks.sum(axis=(0, 1)) * TICK_S * array.shape[-2] / all_columns
    ).tolist()
    if not real:
        return Times()
    if not live or n_spectra > _MOST_SPECTRA:
        return Times(real, live or None, real_from="ticks")
    n_added = len(chosen.numbers) if array.is_summed else 1
    dead, of = _dead_time(ticks, n_added, array)
    share = n_scans[..., np.newaxis]
    if header.is_dwell_live:
        share = share / np.maximum(live_fraction(dead), TICK_S)
    dead = np.where(share > 0, dead, np.nan).astype(np.float32)
    is_even = np.ptp(share) <= _EVEN * share.max()
    return Times(
        real,
        live,
        _spread(dead, array),
        None if is_even else _spread(share / share.mean(), array),
        "ticks",
        f"ticks {of}",
    )


def _spread(values: np.ndarray, array: JEOLArray) -> np.ndarray:
    """Return values of rows, (planes, rows, 1), or of pixels as those of the spectra.

    Those of rows take no more memory: the array is a view of them.
    """
    shape = array.shape[:-1]
    return np.broadcast_to(values[0] if array.is_summed else values, shape)


def _check_header(header: Header, index: Index) -> None:
    """Warn if the ticks of all frames are not the times of the header."""
    found = index.ticks.sum(axis=0, dtype=np.int64) * TICK_S
    named = {"RealTime": header.real_time, "LiveTime": header.live_time}
    for seconds, (name, expected) in zip(found.tolist(), named.items(), strict=True):
        if expected is None:
            continue
        if abs(seconds - expected) > max(_TIMES_OFF * expected, _TIMES_OFF_S):
            warn(
                f"{header.source.name}: the ticks of the stream are {seconds:.2f} s, "
                f"expected the {expected:.2f} s of the header's {name} (byte "
                f"{header.start}). The stream may be cut; times are those of the ticks."
            )


def _dead_time(
    ticks: np.ndarray, n_frames: int, array: JEOLArray
) -> tuple[np.ndarray, str]:
    """Return dead times in percent, and of what: of pixels, or of as many rows as it takes.

    Parameters
    ----------
    ticks
        Shape (planes, rows, 2).
    n_frames
        That were summed in each plane.
    array
        The map.

    Returns
    -------
    dead_time : numpy.ndarray
        Shape (planes, rows, 1), (planes, 1, 1), or with all pixels.
    of
        In words.
    """
    off = _OFF * math.sqrt(2 * n_frames)
    mean = ticks[..., 0].sum() / math.prod(array.shape[:-1])
    if off <= _PIXELS_OFF * mean:
        found = dead_time_of(array.read_ticks())
        return found[np.newaxis] if array.is_summed else found, "of each pixel"
    n_rows = ticks.shape[1]
    n = math.ceil(off / _ROWS_OFF / max(ticks[..., 0].mean(), TICK_S))
    if n >= n_rows:
        of_map = dead_time_of(ticks.sum(axis=1, keepdims=True))
        return of_map[..., np.newaxis], "of the map"
    dead = dead_time_of(sum_rows(ticks, n))[..., np.newaxis]
    return dead, "of each row" if n == 1 else f"of {n} rows"


def dead_time_of(ticks: np.ndarray) -> np.ndarray:
    """Return dead times in percent; NaN without real time.

    Parameters
    ----------
    ticks
        Shape (..., 2): of real and of live time.

    Examples
    --------
    >>> dead_time_of(np.array([[100, 90], [10, 11], [0, 0]]))
    array([10.,  0., nan])
    """
    real, live = ticks[..., 0].astype(float), ticks[..., 1].astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        dead = np.where(real > 0, 100 * (1 - live / real), np.nan)
    return np.clip(dead, 0, 100)


def sum_rows(values: np.ndarray, n: int) -> np.ndarray:
    """Sum each row with those around it, so many in all; at the ends, with the last ones.

    Parameters
    ----------
    values
        Shape (planes, rows, ...).
    n
        At most the number of rows.

    Examples
    --------
    >>> sum_rows(np.array([[1, 2, 3, 4, 5]]), 3)
    array([[ 6,  6,  9, 12, 12]])
    """
    n_rows = values.shape[1]
    before = np.cumsum(values, axis=1)
    before = np.concatenate([np.zeros_like(before[:, :1]), before], axis=1)
    first = np.clip(np.arange(n_rows) - n // 2, 0, n_rows - n)
    return before[:, first + n] - before[:, first]
