"""Sums of counts over pixels and over channels, exact and without copies of the map."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from rsciio_xfm.core import to_dask
from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.config import SUM_BLOCK_BYTES
from rsciio_xfm.core.later import cpu_count, da
from rsciio_xfm.core.wide import add_channels, add_spectra, is_wide, sum_exactly
from rsciio_xfm.kernels.sums import is_counts


def can_sum(data: np.ndarray | da.Array) -> bool:
    """Tell whether :func:`sum_spectrum` and :func:`sum_map` take an array.

    Parameters
    ----------
    data
        Any array.

    Returns
    -------
    bool
        True for unsigned integers of at most 32 bits, and for integers of 64 bits, in a plain
        numpy or dask array of two axes or more. Others are left to numpy and dask, whose sums
        of them cannot overflow.
    """
    if isinstance(data, da.Array):
        is_plain = type(data._meta) is np.ndarray  # a masked array is not
    else:
        is_plain = type(data) is np.ndarray
        if is_counts(data):
            is_plain = is_plain and data.flags.c_contiguous
    is_summed = is_counts(data) or is_wide(data.dtype)
    return is_plain and is_summed and data.ndim > 1 and data.size > 0


def sum_spectrum(data: np.ndarray | da.Array) -> np.ndarray | da.Array:
    """Sum the spectra of a map.

    Parameters
    ----------
    data
        Counts, channels along the last axis; see :func:`can_sum`.

    Returns
    -------
    numpy.ndarray or dask.array.Array
        uint64 (int64 of signed integers), shape (channels,); lazy if `data` is.

    Raises
    ------
    OverflowError
        A sum of 64-bit integers does not fit 64 bits; of a lazy map, when it is computed.

    Examples
    --------
    >>> import numpy as np
    >>> sum_spectrum(np.array([[1, 2], [3, 4]], dtype=np.uint16))
    array([4, 6], dtype=uint64)
    """
    return _sum(data, to_dask.sum_navigation, tuple(range(data.ndim - 1)))


def sum_map(data: np.ndarray | da.Array) -> np.ndarray | da.Array:
    """Sum the channels of each spectrum of a map.

    Parameters
    ----------
    data
        Counts, channels along the last axis; see :func:`can_sum`.

    Returns
    -------
    numpy.ndarray or dask.array.Array
        uint64 (int64 of signed integers), the shape of `data` without its last axis; lazy if
        `data` is.

    Raises
    ------
    OverflowError
        See :func:`sum_spectrum`.

    Examples
    --------
    >>> import numpy as np
    >>> sum_map(np.array([[1, 2], [3, 4]], dtype=np.uint16))
    array([3, 7], dtype=uint64)
    """
    return _sum(data, to_dask.sum_signal, (data.ndim - 1,))


def _sum(
    data: np.ndarray | da.Array,
    sum_source: Callable[[FileArray], da.Array],
    axis: tuple[int, ...],
) -> np.ndarray | da.Array:
    source = to_dask.source_of(data)
    if source is not None and source.dtype.kind == "u":
        return sum_source(source)
    if is_wide(data.dtype):
        return sum_exactly(data, axis)
    if not isinstance(data, da.Array):
        return _sum_in_threads(data, axis)
    return _reduce(data, axis)


def _sum_in_threads(data: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
    """Sum an array in memory; dask would copy it first."""
    spectra = data.reshape(-1, data.shape[-1])
    n_blocks = math.ceil(spectra.nbytes / SUM_BLOCK_BYTES)
    blocks = np.array_split(spectra, min(n_blocks, len(spectra)))
    is_map = axis == (data.ndim - 1,)
    with ThreadPoolExecutor(cpu_count()) as executor:
        axis = (1,) if is_map else (0,)
        sums = list(executor.map(lambda b: _sum_block(b, axis, keepdims=False), blocks))
    if is_map:
        return np.concatenate(sums, axis=None).reshape(data.shape[:-1])
    return np.stack(sums).sum(axis=0, dtype=np.uint64)[0]


def _reduce(data: da.Array, axis: tuple[int, ...]) -> da.Array:
    return da.reduction(
        data, _sum_block, _sum_partial, axis=axis, dtype=np.uint64, concatenate=True
    )


def _sum_block(block: np.ndarray, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    spectra = np.ascontiguousarray(block).reshape(-1, block.shape[-1])
    if axis == (block.ndim - 1,):
        total = add_channels(spectra, 0, spectra.shape[1])
    else:
        total = np.zeros(spectra.shape[1], dtype=np.uint64)
        add_spectra(spectra, total)
    return total.reshape([1 if i in axis else n for i, n in enumerate(block.shape)])


def _sum_partial(block: np.ndarray, axis: tuple[int, ...], keepdims: bool) -> np.ndarray:
    return block.sum(axis=axis, keepdims=keepdims, dtype=np.uint64)
