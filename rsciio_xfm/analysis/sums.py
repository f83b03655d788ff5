"""Sums of counts over pixels and over channels, exact and without copies of the map."""

import math
from concurrent.futures import ThreadPoolExecutor

import dask.array as da
import numpy as np
from dask.system import CPU_COUNT

from rsciio_xfm._io import lazy
from rsciio_xfm._io.compiled import kernel
from rsciio_xfm._io.wide import add_exactly, check_unsigned, is_wide, sum_exactly

_BLOCK_BYTES = 16 * 2**20
_DTYPES = ("uint8", "uint16", "uint32")
_MOST_SPECTRA = 2**16  # of 16 bits, in a 32-bit sum


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


def is_counts(data: np.ndarray | da.Array) -> bool:
    """Tell whether kernels take numbers: unsigned integers of at most 32 bits."""
    return data.dtype.name in _DTYPES and data.dtype.isnative


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
    return _sum(data, lazy.sum_navigation, tuple(range(data.ndim - 1)))


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
    return _sum(data, lazy.sum_signal, (data.ndim - 1,))


def _sum(data, sum_source, axis):
    source = lazy.source_of(data)
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
    n_blocks = math.ceil(spectra.nbytes / _BLOCK_BYTES)
    blocks = np.array_split(spectra, min(n_blocks, len(spectra)))
    is_map = axis == (data.ndim - 1,)
    with ThreadPoolExecutor(CPU_COUNT) as executor:
        axis = (1,) if is_map else (0,)
        sums = list(executor.map(lambda b: _sum_block(b, axis, keepdims=False), blocks))
    if is_map:
        return np.concatenate(sums, axis=None).reshape(data.shape[:-1])
    return np.sum(sums, axis=0, dtype=np.uint64)[0]


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
    return np.sum(block, axis=axis, keepdims=keepdims, dtype=np.uint64)


def add_spectra(spectra: np.ndarray, total: np.ndarray) -> None:
    """Add spectra up.

    Parameters
    ----------
    spectra
        Unsigned integers, shape (spectra, channels), C-contiguous.
    total
        uint64, shape (channels,); the sum is added to it.

    Raises
    ------
    OverflowError
        A sum of 64-bit integers does not fit 64 bits.
    TypeError
        The numbers are others.
    """
    check_unsigned(spectra.dtype)
    if is_wide(spectra.dtype):
        add_exactly(total, sum_exactly(spectra, 0))
        return
    if spectra.dtype.itemsize == total.dtype.itemsize // 2:
        add_rows(spectra, total)
        return
    # As 32-bit numbers they are added twice as fast, as many as cannot overflow.
    for start in range(0, len(spectra), _MOST_SPECTRA):
        partial = np.zeros(total.shape, dtype=np.uint32)
        add_rows(spectra[start : start + _MOST_SPECTRA], partial)
        total += partial


def add_channels(spectra: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Add channels of each spectrum up.

    Parameters
    ----------
    spectra
        Unsigned integers, shape (spectra, channels), C-contiguous.
    start, stop
        The channels, half-open.

    Returns
    -------
    numpy.ndarray
        uint64, shape (spectra,).

    Raises
    ------
    OverflowError, TypeError
        See :func:`add_spectra`.
    """
    check_unsigned(spectra.dtype)
    if is_wide(spectra.dtype):
        return sum_exactly(spectra[:, start:stop], 1)
    total = np.empty((1, len(spectra)), dtype=np.uint64)
    windows = np.array([[start, stop]], dtype=np.int64)
    add_windows(spectra, windows, total)
    return total[0]


@kernel
def add_windows(spectra, windows, total):
    """Sum each spectrum over several windows of channels, ``total[window, spectrum]``."""
    for i in range(spectra.shape[0]):
        for k in range(windows.shape[0]):
            window = spectra[i, windows[k, 0] : windows[k, 1]]
            counts = np.uint64(0)
            for j in range(window.size):
                counts += np.uint64(window[j])
            total[k, i] = counts


@kernel
def add_rows(spectra, total):
    """Add spectra to a total, four at a time: it is loaded and stored less often."""
    n_fours = spectra.shape[0] // 4
    for i in range(n_fours):
        a, b = spectra[4 * i], spectra[4 * i + 1]
        c, d = spectra[4 * i + 2], spectra[4 * i + 3]
        for j in range(total.size):
            total[j] += (
                np.uint64(a[j]) + np.uint64(b[j]) + np.uint64(c[j]) + np.uint64(d[j])
            )
    for i in range(4 * n_fours, spectra.shape[0]):
        row = spectra[i]
        for j in range(total.size):
            total[j] += np.uint64(row[j])


@kernel
def raise_to(spectra, highest):
    """Raise each channel of a spectrum to the highest of several, if that is more."""
    for i in range(spectra.shape[0]):
        spectrum = spectra[i]
        for j in range(highest.size):
            highest[j] = max(highest[j], spectrum[j])
