"""The spectra that a fit needs of a map, in one pass: all, blocks, classes and regions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.maps import Regions
from rsciio_xfm.core.eds import DETECTOR_AXIS
from rsciio_xfm.core.progress import progress
from rsciio_xfm.core.reduce import run
from rsciio_xfm.core.sums import can_sum, sum_spectrum
from rsciio_xfm.core.to_dask import take
from rsciio_xfm.core.warning import warn
from rsciio_xfm.signals import timekeeping
from rsciio_xfm.signals.checks import check_axes, check_spectra

_N_BLOCKS = 8  # along y and along x
# Counts in which a channel that does not count is seen: more than 30 are expected of each that
# has a hundred thousandth of them, a tenth of the smallest peaks that are detected.
_ENOUGH = 3e6
_FIRST_PIXELS = 1024  # that are looked at, of a map


@dataclass(frozen=True)
class Wish:
    """What :func:`sum_up` adds up besides all spectra.

    Attributes
    ----------
    blocks
        Whether there are sums of the blocks of the map, at most 8 x 8.
    classes, regions
        Boolean maps of x and y, or positions in the flattened one.
    """

    blocks: bool = False
    classes: Sequence[np.ndarray] = ()
    regions: Sequence[np.ndarray] = ()


@dataclass(frozen=True)
class Sums:
    """Sums of spectra of a map, float64.

    Attributes
    ----------
    total
        Of all spectra, shape (channels,).
    n_pixels
        How many there are.
    detectors
        Those of each detector, shape (detectors, channels); one if they were summed.
    blocks
        Shape (blocks, channels), all detectors together; None if they were not wanted.
    classes, regions
        Shape (detectors, classes or regions, channels).
    live_times
        Of a spectrum of each detector, s, the mean of all pixels, shape (detectors,). None:
        they are not known.
    """

    total: np.ndarray
    n_pixels: int
    detectors: np.ndarray
    blocks: np.ndarray | None = None
    classes: np.ndarray = field(default_factory=lambda: np.zeros((1, 0, 0)))
    regions: np.ndarray = field(default_factory=lambda: np.zeros((1, 0, 0)))
    live_times: np.ndarray | None = None

    @property
    def live_time(self) -> float | None:
        """Of a spectrum, s, added up over detectors; None: it is not known."""
        return None if self.live_times is None else float(self.live_times.sum())


def is_stack(signal: BaseSignal) -> bool:
    """Tell whether the first axis of the array are detectors, with x and y after it."""
    axes = signal.axes_manager._axes
    return len(axes) > 2 and axes[0].name == DETECTOR_AXIS and axes[0].navigate


def sum_up(signal: BaseSignal, wish: Wish, show_progressbar: bool | None = None) -> Sums:
    """Add up spectra of a map in one pass, or take those of a single spectrum.

    Raises
    ------
    ValueError
        There is no count, or there are numbers that no spectrum has.
    """
    check_spectra(signal)
    if not signal.axes_manager.navigation_dimension:
        total = np.asarray(signal.data, dtype=float)
        check_counts(total)
        return Sums(total, 1, total[np.newaxis], live_times=_live_times_of(signal))
    check_axes(signal)
    with progress(show_progressbar, "adding up the spectra"):
        sums = _sum_up(signal.data, wish, 1 + is_stack(signal))
    check_counts(sums.total)
    return replace(sums, live_times=_live_times_of(signal))


def sum_sample(signal: BaseSignal, counts: float = 0.0) -> np.ndarray:
    """Add up spectra of rows in the middle of a map: as many as tell which channels count.

    Parameters
    ----------
    signal
        A map; its detectors may be apart.
    counts
        Of a spectrum, about, where that is known: then one look is mostly enough.

    Returns
    -------
    numpy.ndarray
        float64, shape (detectors, channels): of 3 million counts of each, or of all rows.
    """
    axis = int(is_stack(signal))
    shape = signal.data.shape[axis:-1]
    n_pixels = max(_FIRST_PIXELS, 1.5 * _ENOUGH / counts) if counts > 0 else _FIRST_PIXELS
    wanted = math.ceil(n_pixels / math.prod(shape[1:]))
    while True:
        n = min(wanted, shape[0])
        first = (shape[0] - n) // 2
        key = (*[slice(None)] * axis, slice(first, first + n))
        found = _sum_up(take(signal.data, key), Wish(), 1 + axis).detectors
        seen = float(np.nan_to_num(found.sum(axis=1)).min())
        if n == shape[0] or seen >= _ENOUGH:
            return found
        # Half as many again as it takes if the map is everywhere as it is here.
        wanted = math.ceil(n * max(2, 1.5 * _ENOUGH / max(seen, 1)))


def live_map_of(signal: BaseSignal) -> np.ndarray | None:
    """Return the live time of each pixel, s, added up over detectors; None: not known."""
    found = timekeeping.live_map(signal)
    return found.sum(axis=0) if found is not None and is_stack(signal) else found


def _live_times_of(signal: BaseSignal) -> np.ndarray | None:
    found = timekeeping.live_map(signal)
    n_detectors = len(found) if found is not None and is_stack(signal) else 1
    return None if found is None else found.reshape(n_detectors, -1).mean(axis=1)


def _sum_up(data: Any, wish: Wish, n_before: int) -> Sums:
    """Add up an array; of detectors apart `n_before` is 2: they are the first axis."""
    shape = data.shape[n_before - 1 : -1]
    n_detectors, n_pixels = math.prod(data.shape[: n_before - 1]), math.prod(shape)
    is_simple = not (wish.blocks or wish.classes or wish.regions or n_detectors > 1)
    if is_simple and can_sum(data):
        total = np.asarray(sum_spectrum(data), dtype=float)
        none: np.ndarray = np.zeros((1, 0, total.size))
        return Sums(total, n_pixels, total[np.newaxis], None, none, none)
    # Blocks cover the map, so that they give the sum of all too.
    blocks = _blocks_of(shape)
    own = [_positions(region) for region in (*wish.classes, *wish.regions)]
    lists = [each + k * n_pixels for k in range(n_detectors) for each in (*blocks, *own)]
    (found,) = run(data, Regions.of(lists, data.shape[:-1]))
    found = np.asarray(found, dtype=float).reshape(n_detectors, -1, data.shape[-1])
    ends = np.cumsum([len(blocks), len(wish.classes)])
    of_blocks, classes, regions = np.split(found, ends, axis=1)
    detectors = of_blocks.sum(axis=1)
    return Sums(
        detectors.sum(axis=0),
        n_pixels,
        detectors,
        of_blocks.sum(axis=0),
        classes,
        regions,
    )


def _positions(region: np.ndarray) -> np.ndarray:
    return np.flatnonzero(region) if region.dtype == bool else region


def check_counts(total: np.ndarray) -> None:
    """Refuse a sum of spectra that nothing can be fitted to.

    Raises
    ------
    ValueError
        There are NaN or infinite numbers, or no counts.

    Warns
    -----
    UserWarning
        Channels are negative.
    """
    n_wrong = int(np.count_nonzero(~np.isfinite(total)))
    if n_wrong:
        raise ValueError(
            f"The sum of the spectra is NaN or infinite in {n_wrong} of {total.size} channels,"
            " expected counts: replace what is missing, as with numpy.nan_to_num, or crop it."
        )
    if not (total > 0).any():
        raise ValueError("The spectra have no counts, expected some to be fitted.")
    n_negative = int(np.count_nonzero(total < 0))
    if n_negative:
        warn(
            f"The sum of the spectra is negative in {n_negative} channels, expected counts as "
            "they were measured: of spectra whose background was subtracted, or that were "
            "scaled, sigma and detection limits are wrong."
        )


def _blocks_of(shape: tuple[int, ...]) -> list[np.ndarray]:
    """Return the positions of the pixels of each block of a map."""
    number = np.zeros(shape, dtype=np.intp)
    for axis in range(max(0, len(shape) - 2), len(shape)):
        n = min(_N_BLOCKS, shape[axis])
        own = np.arange(shape[axis]) * n // shape[axis]
        along = [1] * len(shape)
        along[axis] = shape[axis]
        number = number * n + own.reshape(along)
    flat = number.ravel()
    order = np.argsort(flat, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(flat[order])) + 1)
