"""Images of energy windows, spectra of regions and summaries of a map, in one pass."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rsciio_xfm.analysis.colour import Colours
from rsciio_xfm.core.array import Range
from rsciio_xfm.core.config import BOX_PIXELS, OTHER_BYTES, SHARED_BYTES
from rsciio_xfm.core.later import da
from rsciio_xfm.core.reduce import Images, Part, Piece, Ranges, Reduction, by_type, run
from rsciio_xfm.core.wide import (
    add_exactly,
    add_spectra,
    sum_exactly,
    sum_runs_exactly,
    wide_dtype,
)
from rsciio_xfm.kernels import regions as kernels_of_regions
from rsciio_xfm.kernels import windows as kernels_of_windows
from rsciio_xfm.kernels.sums import raise_to

# Threads that add up the spectra of regions take turns in so many ranges of channels.
_STRIPES = 16
_LEAST_STRIPE = 64  # channels


@dataclass(frozen=True)
class Wanted:
    """What :func:`make_maps` makes.

    Attributes
    ----------
    windows
        See :func:`window_images`; None makes no images.
    regions
        See :func:`region_spectra`; None makes no spectra of regions.
    summary
        Whether sum, maximum and the map of all counts are made, see :func:`summarise`.
    colours
        How colours are mixed, or None.
    """

    windows: Sequence[Range] | None = None
    regions: np.ndarray | Sequence[np.ndarray] | None = None
    summary: bool = False
    colours: Colours | None = None


def make_maps(
    data: np.ndarray | da.Array, wanted: Wanted, **watch: Any
) -> dict[str, Any]:
    """Make all that is wanted of a map, in one pass.

    Parameters
    ----------
    data
        Spectra, channels along the last axis.
    wanted
        What is made.
    **watch
        ``progress``, ``cancel`` and ``partial`` of :func:`rsciio_xfm.core.reduce.run`;
        `partial` is called with what this function returns, so far.

    Returns
    -------
    dict of str to object
        Of what is wanted: ``"windows"``, what :func:`window_images` returns; ``"regions"``,
        what :func:`region_spectra` returns; ``"summary"``, what :func:`summarise` returns;
        ``"colours"``, what :func:`rsciio_xfm.analysis.colour.mix_colours` returns.

    Raises
    ------
    ValueError
        Nothing is wanted, or what is wanted does not suit the map; see these functions.

    Examples
    --------
    >>> import numpy as np
    >>> data = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)
    >>> found = make_maps(data, Wanted(windows=[(0, 2)], summary=True))
    >>> found["windows"].tolist(), found["summary"]["sum"].tolist()
    ([[3, 9]], [5, 7, 9])
    """
    parts: dict[str, dict[str, Reduction]] = {}
    if wanted.windows is not None:
        parts["windows"] = {"": _checked_windows(wanted.windows, data.shape[-1])}
    if wanted.regions is not None:
        parts["regions"] = {"": Regions.of(wanted.regions, data.shape[:-1])}
    if wanted.summary:
        if 0 in data.shape:
            raise ValueError(f"The map is empty: its shape is {data.shape}.")
        parts["summary"] = {"sum": Total(), "max": Highest(), "counts": Counts()}
    if wanted.colours is not None:
        parts["colours"] = {"": wanted.colours}
    if not parts:
        raise ValueError(
            "Nothing is wanted of the map, expected windows, regions or other."
        )

    def named(results: tuple) -> dict[str, Any]:
        of_each = iter(results)
        found = {name: {key: next(of_each) for key in own} for name, own in parts.items()}
        return {name: own.get("", own) for name, own in found.items()}

    partial = watch.pop("partial", None)
    if partial is not None:
        watch["partial"] = lambda results: partial(named(results))
    return named(run(data, *(r for own in parts.values() for r in own.values()), **watch))


def window_images(
    data: np.ndarray | da.Array, windows: Sequence[tuple[int, int]]
) -> np.ndarray:
    """Sum a map over several windows of channels, in one pass.

    Parameters
    ----------
    data
        Spectra, channels along the last axis.
    windows
        ``(start, stop)`` for each window, half-open; they may overlap.

    Returns
    -------
    numpy.ndarray
        First axis the windows, then the navigation axes. For counts uint32, or uint64 if
        that cannot hold every sum of such numbers; else int64 or float64.

    Raises
    ------
    ValueError
        A window is empty or beyond the channels, or there is none.

    Examples
    --------
    >>> import numpy as np
    >>> data = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)
    >>> window_images(data, [(0, 2), (2, 3)])
    array([[3, 9],
           [3, 6]], dtype=uint32)
    """
    return make_maps(data, Wanted(windows=windows))["windows"]


def region_spectra(
    data: np.ndarray | da.Array, regions: np.ndarray | Sequence[np.ndarray]
) -> np.ndarray:
    """Sum the spectra of several regions of a map, in one pass.

    Parameters
    ----------
    data
        Spectra, channels along the last axis.
    regions
        Of each region a boolean map of the shape of the navigation axes, or the positions of
        its pixels in the flattened map, whole numbers; they may overlap. Or an array of
        whole numbers of the shape of the navigation axes: a label image, see
        :func:`pixels_of_labels`.

    Returns
    -------
    numpy.ndarray
        Shape (regions, channels): uint64 for counts, else int64 or float64. Of a label image
        in the order of its labels.

    Raises
    ------
    ValueError
        A region is none of these, or beyond the map, or there is none.

    Notes
    -----
    Memory is that of the result, whatever the number of threads, and some 24 bytes for each
    position or labelled pixel.

    Examples
    --------
    >>> import numpy as np
    >>> data = np.array([[1, 2], [4, 5], [7, 8]], dtype=np.uint8)
    >>> region_spectra(data, [np.array([True, False, True]), np.array([1, 2])])
    array([[ 8, 10],
           [11, 13]], dtype=uint64)
    >>> region_spectra(data, np.array([2, 0, 1]))
    array([[7, 8],
           [1, 2]], dtype=uint64)
    """
    return make_maps(data, Wanted(regions=regions))["regions"]


def pixels_of_labels(labels: np.ndarray, first: int = 1) -> dict[int, np.ndarray]:
    """Return where the pixels of each label of a label image are.

    Parameters
    ----------
    labels
        Whole numbers, one for each pixel, as scikit-image and scipy label grains.
    first
        Labels from this one on are regions; what is below is outside of all. 1, so that 0
        and negative numbers are outside, or 0 for maps of classes.

    Returns
    -------
    dict of int to numpy.ndarray
        Of each label that occurs, in their order, the positions of its pixels in the
        flattened image, ascending.

    Examples
    --------
    >>> import numpy as np
    >>> found = pixels_of_labels(np.array([[7, 7, 0], [2, -1, 7]]))
    >>> {label: pixels.tolist() for label, pixels in found.items()}
    {2: [3], 7: [0, 1, 5]}
    """
    flat = np.asarray(labels).reshape(-1)
    pixels: np.ndarray = np.flatnonzero(flat >= first).astype(_position_dtype(flat.size))
    inside = flat[pixels]
    if inside.size and int(inside.max()) < 2**16:  # numpy sorts small numbers faster
        inside = inside.astype(np.uint16)
    order = np.argsort(inside, kind="stable")
    pixels, inside = pixels[order], inside[order]
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    found = inside[[0, *edges]] if inside.size else inside
    return dict(zip(found.tolist(), np.split(pixels, edges), strict=False))


def summarise(data: np.ndarray | da.Array) -> dict[str, np.ndarray]:
    """Return sum and maximum of the spectra, and the sum of each one, in one pass.

    Parameters
    ----------
    data
        Spectra, channels along the last axis.

    Returns
    -------
    dict of str to numpy.ndarray
        ``"sum"`` and ``"max"``, shape (channels,), and ``"counts"``, the shape of the
        navigation axes. Sums are uint64 for counts, else int64 or float64.

    Raises
    ------
    ValueError
        The map is empty.

    Examples
    --------
    >>> import numpy as np
    >>> found = summarise(np.array([[1, 5], [4, 2]], dtype=np.uint8))
    >>> found["sum"].tolist(), found["max"].tolist(), found["counts"].tolist()
    ([5, 7], [4, 5], [6, 6])
    """
    return make_maps(data, Wanted(summary=True))["summary"]


@dataclass(frozen=True)
class Total(Reduction):
    """The sum of all spectra, of the type of :func:`rsciio_xfm.core.wide.wide_dtype`."""

    def begin(self, part: Part) -> np.ndarray:
        """Return the state of nothing."""
        return np.zeros(part.n_channels, dtype=wide_dtype(part.dtype))

    def add(self, state: np.ndarray, piece: Piece) -> np.ndarray:
        """Add the spectra of a piece."""
        _add_total(piece.rows, piece.first, state)
        return state

    def merge(self, states: list[np.ndarray]) -> np.ndarray:
        """Put states together."""
        return sum_exactly(np.stack(states), 0)


@dataclass(frozen=True)
class Highest(Reduction):
    """The maximum of each channel of all spectra."""

    def begin(self, part: Part) -> tuple[np.ndarray, int]:
        """Return the lowest numbers there are, and how many spectra they are of."""
        dtype = part.dtype.newbyteorder("=")
        lowest = {"f": -np.inf, "b": False}.get(dtype.kind)
        lowest = np.iinfo(dtype).min if lowest is None else lowest
        return np.full(part.n_channels, lowest, dtype=dtype), 0

    def add(self, state: tuple[np.ndarray, int], piece: Piece) -> tuple[np.ndarray, int]:
        """Add the spectra of a piece."""
        highest, n_spectra = state
        _raise(piece.rows, piece.first, highest)
        return highest, n_spectra + len(piece.rows)

    def merge(self, states: list[tuple[np.ndarray, int]]) -> tuple[np.ndarray, int]:
        """Put states together."""
        highest, n_spectra = zip(*states, strict=True)
        return np.maximum.reduce(highest), sum(n_spectra)

    def finish(self, state: tuple[np.ndarray, int], whole: Part) -> np.ndarray:
        """Return the result."""
        highest, n_spectra = state
        if n_spectra < math.prod(whole.shape):  # spectra that are left out are zero
            return np.maximum(highest, highest.dtype.type(0))
        return highest


@dataclass(frozen=True)
class Windows(Images):
    """Images of windows of channels, ``(start, stop)`` each; see :func:`window_images`."""

    windows: tuple[Range, ...]

    def channels(self, n_channels: int) -> tuple[Range, ...]:
        """Return which channels are looked at."""
        return self.windows

    def kind(self, dtype: np.dtype) -> tuple[int, np.dtype]:
        """Return how many images there are, and their type."""
        widest = max(stop - start for start, stop in self.windows)
        is_small = dtype.kind == "u" and np.iinfo(dtype).max * widest < 2**32
        return len(self.windows), np.dtype("u4") if is_small else wide_dtype(dtype)

    def make(self, piece: Piece) -> np.ndarray:
        """Return the numbers of each spectrum."""
        n_windows, dtype = self.kind(piece.rows.dtype)
        sums = np.empty((n_windows, len(piece.rows)), dtype=dtype)
        windows = np.array(self.windows)
        _sum_windows(piece.rows, windows - windows.min() + piece.first, sums)
        return sums


@dataclass(frozen=True)
class Counts(Images):
    """The sum of each spectrum."""

    def kind(self, dtype: np.dtype) -> tuple[int, np.dtype]:
        """Return how many images there are, and their type."""
        return 1, wide_dtype(dtype)

    def make(self, piece: Piece) -> np.ndarray:
        """Return the numbers of each spectrum."""
        sums = np.empty((1, len(piece.rows)), dtype=wide_dtype(piece.rows.dtype))
        _sum_windows(piece.rows, [(piece.first, piece.stop)], sums)
        return sums

    def finish(self, state: Any, whole: Part) -> np.ndarray:
        """Return the result."""
        return super().finish(state, whole)[0]


def _checked_windows(windows: Sequence[Range], n_channels: int) -> Windows:
    if not len(windows):
        raise ValueError("There is no window, expected at least one (start, stop).")
    for start, stop in windows:
        if not 0 <= start < stop <= n_channels:
            raise ValueError(
                f"A window is {start} to {stop}, expected start < stop within 0 and "
                f"{n_channels}, the number of channels."
            )
    return Windows(tuple((int(start), int(stop)) for start, stop in windows))


def _add_counts(rows: np.ndarray, first: int, total: np.ndarray) -> None:
    whole = np.zeros(rows.shape[1], dtype=np.uint64)
    add_spectra(rows, whole)
    total += whole[first : first + total.size]


def _add_others(rows: np.ndarray, first: int, total: np.ndarray) -> None:
    add_exactly(total, sum_exactly(rows[:, first : first + total.size], 0))


def _raise_others(rows: np.ndarray, first: int, highest: np.ndarray) -> None:
    peak = rows[:, first : first + highest.size].max(axis=0)
    np.maximum(highest, peak, out=highest)


def _sum_windows_of_others(rows: np.ndarray, windows: Any, sums: np.ndarray) -> None:
    for k, (start, stop) in enumerate(windows):
        sums[k] = sum_exactly(rows[:, start:stop], 1)


_add_total = by_type(_add_counts, _add_others)
_raise = by_type(raise_to, _raise_others)
_sum_windows = by_type(kernels_of_windows.sum_windows, _sum_windows_of_others)


# Regions.


def _position_dtype(n_pixels: int) -> type:
    return np.int32 if n_pixels < 2**31 else np.int64


def _check_shape(region: np.ndarray, shape: tuple[int, ...], expected: str) -> None:
    if region.shape != shape:
        raise ValueError(
            f"A region is a map of {region.dtype}, shape {region.shape}, expected "
            f"{expected} of shape {shape}."
        )


def check_region(region: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a boolean map, or positions of pixels, each once, ascending.

    Parameters
    ----------
    region
        What :func:`region_spectra` takes as one region.
    shape
        Of the navigation axes.

    Raises
    ------
    ValueError
        It is none, or beyond the map.
    """
    region = np.asarray(region)
    if region.dtype.kind not in "iu" or region.ndim != 1:
        if region.dtype != bool:
            raise ValueError(
                f"A region is an array of {region.dtype}, shape {region.shape}, expected a "
                f"boolean map of shape {shape}, or positions in the flattened map."
            )
        _check_shape(region, shape, "a boolean one")
        return region
    if not (region[1:] > region[:-1]).all():
        region = np.unique(region)
    n_pixels = math.prod(shape)
    if region.size and not 0 <= region[0] <= region[-1] < n_pixels:
        raise ValueError(
            f"A region has the pixels {region[0]} to {region[-1]}, expected positions "
            f"within 0 and {n_pixels}, in the flattened map."
        )
    return region.astype(_position_dtype(n_pixels), copy=False)


@dataclass(frozen=True)
class Regions(Reduction):
    """Sums of the spectra of regions.

    Of many regions the totals are large: the threads of this process share them. Of a few,
    in another process, and for partial results, each part of the map has its own totals,
    of which the rows leave it that are not zero.

    Attributes
    ----------
    n_regions
        How many.
    shape
        Of the navigation axes.
    masks
        Boolean maps, by the number of the region.
    pixels, owners
        Of all other regions, each pair of a pixel and the number of a region, by pixel.
    """

    n_regions: int
    shape: tuple[int, ...]
    masks: Mapping[int, np.ndarray] = field(repr=False)
    pixels: np.ndarray = field(repr=False)
    owners: np.ndarray = field(repr=False)

    @classmethod
    def of(
        cls, regions: np.ndarray | Sequence[np.ndarray], shape: tuple[int, ...]
    ) -> Regions:
        """Make it of what :func:`region_spectra` takes."""
        if isinstance(regions, np.ndarray) and regions.dtype.kind in "iu":
            _check_shape(regions, shape, "one of whole numbers")
            regions = list(pixels_of_labels(regions).values())
        if len(regions) == 0:
            raise ValueError("There is no region, expected at least one.")
        checked = [check_region(region, shape) for region in regions]
        masks = {k: r for k, r in enumerate(checked) if r.dtype == bool}
        lists = {k: r for k, r in enumerate(checked) if r.dtype != bool}
        empty: np.ndarray = np.empty(0, dtype=_position_dtype(math.prod(shape)))
        pixels = np.concatenate([empty, *lists.values()])
        sizes = [len(r) for r in lists.values()]
        owners = np.repeat(np.array([*lists], dtype=np.int32), sizes)
        if len(lists) > 1:
            order = np.argsort(pixels, kind="stable")
            pixels, owners = pixels[order], owners[order]
        return cls(len(checked), shape, masks, pixels, owners)

    def area(self, shape: tuple[int, ...]) -> Ranges:
        """Return the smallest ranges of the map that hold all regions."""
        boxes = [_box_of(mask) for mask in self.masks.values() if mask.any()]
        for start in range(0, self.pixels.size, BOX_PIXELS):
            part = self.pixels[start : start + BOX_PIXELS]
            where = np.unravel_index(part, shape)
            boxes.append([(int(i.min()), int(i.max()) + 1) for i in where])
        if not boxes:
            return tuple((0, 0) for _ in shape)
        ends = np.array(boxes)
        low, high = ends[..., 0].min(axis=0), ends[..., 1].max(axis=0)
        return tuple(zip(low.tolist(), high.tolist(), strict=True))

    def share(self, whole: Part) -> _SharedTotals | None:
        """Return totals that threads add to in turns, if these are large."""
        n_bytes = self.n_regions * whole.n_channels * wide_dtype(whole.dtype).itemsize
        return _SharedTotals(self.blank(whole)) if n_bytes > SHARED_BYTES else None

    def blank(self, part: Part) -> np.ndarray:
        """Return totals of nothing."""
        shape = (self.n_regions, part.n_channels)
        return np.zeros(shape, dtype=wide_dtype(part.dtype))

    def begin(self, part: Part) -> Any:
        """Return the state of nothing."""
        return self.blank(part) if part.shared is None else part.shared

    def add(self, state: Any, piece: Piece) -> Any:
        """Add the spectra of a piece."""
        pairs = self.find_pairs(piece.ranges)
        if not pairs[0].size:
            return state
        if isinstance(state, _SharedTotals):
            state.add(piece, pairs)
        else:
            channels = (0, state.shape[1])
            _add_regions(piece.rows, piece.first, pairs, channels, state)
        return state

    def find_pairs(self, ranges: Ranges) -> tuple[np.ndarray, np.ndarray]:
        """Return which spectra of a piece belong to which regions, in pairs by spectrum."""
        position = np.zeros((), dtype=self.pixels.dtype)
        for (start, stop), size in zip(ranges, self.shape, strict=True):
            along = np.arange(start, stop, dtype=self.pixels.dtype)
            position = position[..., np.newaxis] * self.pixels.dtype.type(size) + along
        position = position.reshape(-1)
        first = np.searchsorted(self.pixels, position)
        n_pairs = np.searchsorted(self.pixels, position, side="right") - first
        spectrum = np.repeat(np.arange(position.size), n_pairs)
        before = np.cumsum(n_pairs) - n_pairs
        owner = self.owners[np.arange(spectrum.size) + (first - before)[spectrum]]
        if not self.masks:
            return spectrum, owner
        here = tuple(slice(*r) for r in ranges)
        inside = np.stack([mask[here].reshape(-1) for mask in self.masks.values()])
        at, k = np.nonzero(inside.T)
        spectrum = np.concatenate([spectrum, at])
        owner = np.concatenate([owner, np.array([*self.masks], dtype=np.int32)[k]])
        order = np.argsort(spectrum, kind="stable")
        return spectrum[order], owner[order]

    def merge(self, states: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of the totals that are not zero, and their numbers."""
        packed = [_pack(state) for state in states]
        if len(packed) == 1:
            return packed[0]
        numbers = np.unique(np.concatenate([found for found, _ in packed]))
        totals = packed[0][1]
        merged = np.zeros((len(numbers), totals.shape[1]), dtype=totals.dtype)
        for found, rows in packed:
            _add_rows(merged, np.searchsorted(numbers, found), rows)
        return numbers, merged

    def finish(self, state: tuple[np.ndarray, np.ndarray], whole: Part) -> np.ndarray:
        """Return the result."""
        is_shared = isinstance(whole.shared, _SharedTotals)
        totals = whole.shared.totals if is_shared else self.blank(whole)
        _add_rows(totals, *state)
        return totals


class _SharedTotals:
    """Totals that threads add to; they take turns in ranges of channels."""

    def __init__(self, totals: np.ndarray) -> None:
        self.totals = totals
        n_channels = totals.shape[1]
        n_stripes = max(1, min(_STRIPES, n_channels // _LEAST_STRIPE))
        self.edges = [n_channels * i // n_stripes for i in range(n_stripes + 1)]
        self.locks = [threading.Lock() for _ in range(n_stripes)]
        self.turns = itertools.count()

    def add(self, piece: Piece, pairs: tuple[np.ndarray, np.ndarray]) -> None:
        n_stripes = len(self.locks)
        turn = next(self.turns)
        for i in range(n_stripes):
            k = (turn + i) % n_stripes
            channels = (self.edges[k], self.edges[k + 1])
            with self.locks[k]:
                _add_regions(piece.rows, piece.first, pairs, channels, self.totals)


def _pack(state: Any) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(state, _SharedTotals):
        return np.empty(0, dtype=np.intp), state.totals[:0]
    if isinstance(state, np.ndarray):
        numbers = np.flatnonzero(state.any(axis=1))
        return numbers, state[numbers]
    return state


def _box_of(mask: np.ndarray) -> list[Range]:
    """Return the smallest ranges that hold a region of a boolean map."""
    ends = []
    for axis in range(mask.ndim):
        others = tuple(i for i in range(mask.ndim) if i != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        ends.append((int(inside[0]), int(inside[-1]) + 1))
    return ends


def _add_rows(totals: np.ndarray, numbers: np.ndarray, sums: np.ndarray) -> None:
    """Add to some rows of totals, each of them once."""
    rows = totals[numbers]
    add_exactly(rows, sums)
    totals[numbers] = rows


def _add_regions_of_others(
    spectra: np.ndarray,
    first: int,
    pairs: tuple[np.ndarray, np.ndarray],
    channels: Range,
    totals: np.ndarray,
) -> None:
    """Do what the kernel does for numbers that it does not take."""
    (spectrum, owner), (start, stop) = pairs, channels
    part = spectra[:, first + start : first + stop]
    at_once = max(1, OTHER_BYTES // (8 * (stop - start)))
    for begin in range(0, spectrum.size, at_once):
        chosen = slice(begin, begin + at_once)
        order = np.argsort(owner[chosen], kind="stable")
        numbers, firsts = np.unique(owner[chosen][order], return_index=True)
        wanted = part[spectrum[chosen][order]].astype(totals.dtype)
        _add_rows(totals[:, start:stop], numbers, sum_runs_exactly(wanted, firsts))


_add_regions = by_type(kernels_of_regions.add_regions, _add_regions_of_others)
