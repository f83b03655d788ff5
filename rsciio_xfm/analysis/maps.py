"""Images of energy windows, spectra of regions and both of a whole map, in one pass each."""

import itertools
import math
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import dask.array as da
import numpy as np

from rsciio_xfm.core.array import Range, place_in
from rsciio_xfm.core.reduce import Pieces, join, over_pieces
from rsciio_xfm.core.to_dask import take
from rsciio_xfm.core.wide import (
    add_channels,
    add_exactly,
    add_spectra,
    sum_exactly,
    sum_runs_exactly,
    wide_dtype,
)
from rsciio_xfm.kernels.compiled import kernel
from rsciio_xfm.kernels.sums import add_windows, is_counts, raise_to

# Threads that add up the spectra of regions take turns in so many ranges of channels.
_STRIPES = 16
_SHARED_BYTES = 4 * 2**20  # of totals that each thread may have for itself
_LEAST_STRIPE = 64  # channels
_BOX_PIXELS = 2**20  # looked at together
_OTHER_BYTES = 16 * 2**20  # of spectra that are no counts, copied together


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
    if not len(windows):
        raise ValueError("There is no window, expected at least one (start, stop).")
    for start, stop in windows:
        if not 0 <= start < stop <= data.shape[-1]:
            raise ValueError(
                f"A window is {start} to {stop}, expected start < stop within 0 and "
                f"{data.shape[-1]}, the number of channels."
            )
    edges = np.array(windows, dtype=np.int64)
    first = edges.min()
    data = take(data, (..., slice(int(first), int(edges.max()))))
    dtype = _window_dtype(data.dtype, int(np.diff(edges).max()))
    consume = partial(_sum_windows, windows=edges - first, dtype=dtype)
    parts = over_pieces(data, consume, join)
    return _place(parts, (len(edges), *data.shape[:-1]), dtype)


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
    shape = data.shape[:-1]
    if isinstance(regions, np.ndarray) and regions.dtype.kind in "iu":
        _check_shape(regions, shape, "one of whole numbers")
        regions = list(pixels_of_labels(regions).values())
    if len(regions) == 0:
        raise ValueError("There is no region, expected at least one.")
    consume = _RegionSums([_checked(region, shape) for region in regions], data)
    if consume.box is None:  # no region has a pixel
        return consume.totals
    # Only what lies within the box of all regions is read.
    part = take(data, (*(slice(*ends) for ends in consume.box), slice(None)))
    numbers, totals = over_pieces(part, consume, _merge_regions)
    _add_rows(consume.totals, numbers, totals)  # what other processes have added up
    return consume.totals


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
    pixels = np.flatnonzero(flat >= first).astype(_position_dtype(flat.size))
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
    if 0 in data.shape:
        raise ValueError(f"The map is empty: its shape is {data.shape}.")
    dtype = wide_dtype(data.dtype)
    total, highest, parts = over_pieces(
        data, partial(_summarise, dtype=dtype, kind=data.dtype), _merge
    )
    counts = _place(parts, (1, *data.shape[:-1]), dtype)[0]
    return {"sum": total, "max": highest, "counts": counts}


def _window_dtype(dtype: np.dtype, n_channels: int) -> np.dtype:
    is_small = dtype.kind == "u" and np.iinfo(dtype).max * n_channels < 2**32
    return np.dtype("u4") if is_small else wide_dtype(dtype)


# What is done with the pieces of a part of the map.

_Parts = list[tuple[tuple[Range, ...], np.ndarray]]


def _sum_windows(
    pieces: Pieces, ranges: tuple[Range, ...], windows: np.ndarray, dtype: np.dtype
) -> _Parts:
    images = None
    for held, block in pieces:
        if images is None:
            images = _zeros(ranges, len(windows), dtype)
        spectra = block.reshape(-1, block.shape[-1])
        edges = windows - held[-1][0]
        if is_counts(block):
            sums = np.empty((len(edges), len(spectra)), dtype=dtype)
            add_windows(spectra, edges, sums)
        else:
            sums = np.stack([sum_exactly(spectra[:, a:b], 1) for a, b in edges])
        place = (slice(None), *place_in(held, ranges))
        images[place] = sums.reshape(len(edges), *block.shape[:-1])
    return [] if images is None else [(ranges[:-1], images)]


def _position_dtype(n_pixels: int) -> type:
    return np.int32 if n_pixels < 2**31 else np.int64


def _check_shape(region: np.ndarray, shape: tuple[int, ...], expected: str) -> None:
    if region.shape != shape:
        raise ValueError(
            f"A region is a map of {region.dtype}, shape {region.shape}, expected "
            f"{expected} of shape {shape}."
        )


def _checked(region: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a boolean map, or positions of pixels, each once, ascending."""
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


class _RegionSums:
    """Adds the spectra of regions up; if these are many, all threads into the same totals.

    Totals of their own would cost each thread the memory of the whole result. Threads take
    turns in ranges of channels instead. Of a few regions, and in another process, each part
    of the map has its own totals, and returns the rows that are not zero.
    """

    def __init__(self, regions: list[np.ndarray], data: np.ndarray | da.Array) -> None:
        self.shape = data.shape[:-1]
        self.size = (len(regions), data.shape[-1])
        self.dtype = wide_dtype(data.dtype)
        self.masks = {k: r for k, r in enumerate(regions) if r.dtype == bool}
        lists = {k: r for k, r in enumerate(regions) if r.dtype != bool}
        # Of lists all pairs of pixel and region, by pixel.
        empty = np.empty(0, dtype=_position_dtype(math.prod(self.shape)))
        self.pixels = np.concatenate([empty, *lists.values()])
        self.owners = np.repeat(
            np.array([*lists], dtype=np.int32), [len(r) for r in lists.values()]
        )
        if len(lists) > 1:
            order = np.argsort(self.pixels, kind="stable")
            self.pixels, self.owners = self.pixels[order], self.owners[order]
        self.box = self._find_box()
        self.totals = np.zeros(self.size, dtype=self.dtype)
        self.is_shared = self.totals.nbytes > _SHARED_BYTES
        n_stripes = max(1, min(_STRIPES, self.size[1] // _LEAST_STRIPE))
        self.edges = [self.size[1] * i // n_stripes for i in range(n_stripes + 1)]
        self.locks = [threading.Lock() for _ in range(n_stripes)]
        self.turns = itertools.count()

    def __getstate__(self) -> dict[str, Any]:
        own = ("totals", "edges", "locks", "turns")
        state = {key: value for key, value in vars(self).items() if key not in own}
        return state | {"is_shared": False}

    def _find_box(self) -> list[Range] | None:
        """Return the smallest ranges of the map that hold all regions."""
        boxes = [_box_of(mask) for mask in self.masks.values() if mask.any()]
        for start in range(0, self.pixels.size, _BOX_PIXELS):
            part = self.pixels[start : start + _BOX_PIXELS]
            where = np.unravel_index(part, self.shape)
            boxes.append([(int(i.min()), int(i.max()) + 1) for i in where])
        if not boxes:
            return None
        ends = np.array(boxes)
        low, high = ends[..., 0].min(axis=0), ends[..., 1].max(axis=0)
        return list(zip(low.tolist(), high.tolist(), strict=True))

    def __call__(
        self, pieces: Pieces, ranges: tuple[Range, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        # Several threads call one object, in other processes too.
        own = None if self.is_shared else np.zeros(self.size, dtype=self.dtype)
        for held, block in pieces:
            spectra = block.reshape(-1, block.shape[-1])
            spectrum, owner = self._find_pairs(held[:-1])
            if spectrum.size:
                offset = ranges[-1][0] - held[-1][0]
                add = _add_regions if is_counts(spectra) else _add_other_regions
                arguments = (spectra, offset, spectrum, owner)
                if own is None:
                    self._add_in_turns(add, arguments)
                else:
                    add(*arguments, 0, self.size[1], own)
        if own is None:
            return np.empty(0, dtype=np.intp), self.totals[:0]
        numbers = np.flatnonzero(own.any(axis=1))
        return numbers, own[numbers]

    def _find_pairs(self, held: tuple[Range, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return which spectra of a piece belong to which regions, in pairs by spectrum."""
        ranges = [
            (origin + start, origin + stop)
            for (start, stop), (origin, _) in zip(held, self.box, strict=True)
        ]
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

    def _add_in_turns(self, add: Callable[..., None], arguments: tuple) -> None:
        n_stripes = len(self.locks)
        turn = next(self.turns)
        for i in range(n_stripes):
            k = (turn + i) % n_stripes
            with self.locks[k]:
                add(*arguments, self.edges[k], self.edges[k + 1], self.totals)


def _box_of(mask: np.ndarray) -> list[Range]:
    """Return the smallest ranges that hold a region of a boolean map."""
    ends = []
    for axis in range(mask.ndim):
        others = tuple(i for i in range(mask.ndim) if i != axis)
        inside = np.flatnonzero(mask.any(axis=others))
        ends.append((int(inside[0]), int(inside[-1]) + 1))
    return ends


def _merge_regions(
    results: list[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Add totals of several processes up, each those of some of the regions."""
    numbers = np.unique(np.concatenate([found for found, _ in results]))
    merged = np.zeros((len(numbers), results[0][1].shape[1]), dtype=results[0][1].dtype)
    for found, totals in results:
        _add_rows(merged, np.searchsorted(numbers, found), totals)
    return numbers, merged


def _add_rows(totals: np.ndarray, numbers: np.ndarray, sums: np.ndarray) -> None:
    """Add to some rows of totals, each of them once."""
    rows = totals[numbers]
    add_exactly(rows, sums)
    totals[numbers] = rows


def _add_other_regions(spectra, offset, spectrum, owner, start, stop, totals):
    """Do what `_add_regions` does for numbers that kernels do not take."""
    part = spectra[:, offset + start : offset + stop]
    at_once = max(1, _OTHER_BYTES // (8 * (stop - start)))
    for begin in range(0, spectrum.size, at_once):
        chosen = slice(begin, begin + at_once)
        order = np.argsort(owner[chosen], kind="stable")
        numbers, firsts = np.unique(owner[chosen][order], return_index=True)
        wanted = part[spectrum[chosen][order]].astype(totals.dtype)
        _add_rows(totals[:, start:stop], numbers, sum_runs_exactly(wanted, firsts))


def _summarise(
    pieces: Pieces, ranges: tuple[Range, ...], dtype: np.dtype, kind: np.dtype
) -> tuple[np.ndarray, np.ndarray, _Parts]:
    n_channels = ranges[-1][1] - ranges[-1][0]
    total = np.zeros(n_channels, dtype=dtype)
    highest = None
    counts = _zeros(ranges, 1, dtype)
    n_seen = 0
    for held, block in pieces:
        first = ranges[-1][0] - held[-1][0]
        spectra = block.reshape(-1, block.shape[-1])
        n_seen += len(spectra)
        place = (0, *place_in(held, ranges))
        if is_counts(block):
            whole = np.zeros(spectra.shape[1], dtype=np.uint64)
            add_spectra(spectra, whole)
            total += whole[first : first + n_channels]
            peak = np.zeros(spectra.shape[1], dtype=spectra.dtype)
            raise_to(spectra, peak)
            peak = peak[first : first + n_channels]
            sums = add_channels(spectra, first, first + n_channels)
        else:
            spectra = spectra[:, first : first + n_channels]
            add_exactly(total, sum_exactly(spectra, 0))
            peak = spectra.max(axis=0)
            sums = sum_exactly(spectra, 1)
        counts[place] = sums.reshape(block.shape[:-1])
        highest = peak if highest is None else np.maximum(highest, peak)
    if highest is None:
        highest = np.zeros(n_channels, dtype=kind.newbyteorder("="))
    elif n_seen < counts.size:  # pieces that are left out are zero
        highest = np.maximum(highest, highest.dtype.type(0))
    return total, highest, [(ranges[:-1], counts)]


def _zeros(ranges: tuple[Range, ...], n_images: int, dtype: np.dtype) -> np.ndarray:
    return np.zeros(
        (n_images, *(stop - start for start, stop in ranges[:-1])), dtype=dtype
    )


def _add(results: list[np.ndarray]) -> np.ndarray:
    return sum_exactly(np.stack(results), 0)


def _merge(results: list[tuple[np.ndarray, np.ndarray, _Parts]]) -> Any:
    totals, peaks, parts = zip(*results, strict=True)
    return _add(list(totals)), np.maximum.reduce(peaks), join(list(parts))


def _place(parts: _Parts, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Put parts of images together; where there is none, they are zero."""
    images = np.zeros(shape, dtype=dtype)
    for ranges, part in parts:
        images[(slice(None), *(slice(*r) for r in ranges))] = part
    return images


@kernel
def _add_regions(spectra, offset, spectrum, owner, start, stop, totals):
    for i in range(spectrum.size):
        total = totals[owner[i], start:stop]
        counts = spectra[spectrum[i], offset + start : offset + stop]
        for j in range(total.size):
            total[j] += np.uint64(counts[j])
