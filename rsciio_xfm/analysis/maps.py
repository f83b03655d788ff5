"""Images of energy windows, spectra of regions and both of a whole map, in one pass each."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import dask.array as da
import numpy as np

from rsciio_xfm._io.compiled import kernel
from rsciio_xfm._io.lazy import Range, place_in, take
from rsciio_xfm._io.passes import Pieces, join, over_pieces
from rsciio_xfm._io.wide import add_exactly, sum_exactly, wide_dtype
from rsciio_xfm.analysis.sums import (
    add_channels,
    add_spectra,
    add_windows,
    is_counts,
    raise_to,
)


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
    data: np.ndarray | da.Array, regions: Sequence[np.ndarray]
) -> np.ndarray:
    """Sum the spectra of several regions of a map, in one pass.

    Parameters
    ----------
    data
        Spectra, channels along the last axis.
    regions
        Boolean maps, of the shape of the navigation axes; they may overlap.

    Returns
    -------
    numpy.ndarray
        Shape (regions, channels): uint64 for counts, else int64 or float64.

    Raises
    ------
    ValueError
        A region is no boolean map of the right shape, or there is none.

    Examples
    --------
    >>> import numpy as np
    >>> data = np.array([[1, 2], [4, 5], [7, 8]], dtype=np.uint8)
    >>> region_spectra(data, [np.array([True, False, True]), np.array([False, True, True])])
    array([[ 8, 10],
           [11, 13]], dtype=uint64)
    """
    if not len(regions):
        raise ValueError("There is no region, expected at least one boolean map.")
    for region in map(np.asarray, regions):
        if region.dtype != bool or region.shape != data.shape[:-1]:
            raise ValueError(
                f"A region is a map of {region.dtype}, shape {region.shape}, expected a "
                f"boolean one of shape {data.shape[:-1]}."
            )
    masks = np.stack(regions)
    dtype = wide_dtype(data.dtype)
    inside = np.nonzero(masks.any(axis=0))
    if not inside[0].size:
        return np.zeros((len(masks), data.shape[-1]), dtype=dtype)
    # Only what lies within the box of all regions is read.
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in inside)
    consume = partial(_sum_regions, masks=masks[(slice(None), *box)], dtype=dtype)
    return over_pieces(take(data, (*box, slice(None))), consume, _add)


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


def _sum_regions(
    pieces: Pieces, ranges: tuple[Range, ...], masks: np.ndarray, dtype: np.dtype
) -> np.ndarray:
    n_channels = ranges[-1][1] - ranges[-1][0]
    totals = np.zeros((len(masks), n_channels), dtype=dtype)
    for held, block in pieces:
        inside = masks[(slice(None), *(slice(*r) for r in held[:-1]))]
        inside = inside.reshape(len(masks), -1)
        if not inside.any():
            continue
        spectra = block.reshape(-1, block.shape[-1])
        first = ranges[-1][0] - held[-1][0]
        if is_counts(block):
            _add_regions(spectra, np.ascontiguousarray(inside), first, totals)
        else:
            for k, mask in enumerate(inside):
                wanted = spectra[mask, first : first + n_channels]
                add_exactly(totals[k], sum_exactly(wanted, 0))
    return totals


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
def _add_regions(spectra, inside, first, totals):
    for i in range(spectra.shape[0]):
        for k in range(inside.shape[0]):
            if inside[k, i]:
                total = totals[k]
                spectrum = spectra[i, first : first + total.size]
                for j in range(total.size):
                    total[j] += np.uint64(spectrum[j])
