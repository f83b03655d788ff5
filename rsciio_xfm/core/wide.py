"""Sums of numbers of any type, in a type that is wide enough, or an error."""

from __future__ import annotations

from typing import overload

import numpy as np

from rsciio_xfm.core.later import da
from rsciio_xfm.kernels.sums import add_rows, add_windows

# A sum that does not fit differs from what is kept of it by a multiple of 2**64.
_WRAPPED = 2.0**62
_MOST_SPECTRA = 2**16  # of 16 bits, in a 32-bit sum


def wide_dtype(dtype: np.dtype) -> np.dtype:
    """Return the type for sums: uint64 of unsigned integers, int64, or float64."""
    kind = np.result_type(dtype).kind
    return np.dtype({"b": "u8", "u": "u8", "i": "i8"}.get(kind, "f8"))


def is_wide(dtype: np.dtype) -> bool:
    """Tell whether numbers are integers of 64 bits, few of which can be too many."""
    return dtype.kind in "iu" and dtype.itemsize == 8


def check_unsigned(dtype: np.dtype) -> None:
    """Refuse numbers that would be something else as uint64.

    Raises
    ------
    TypeError
        They are no unsigned integers.
    """
    if dtype.kind != "u":
        raise TypeError(f"The spectra are {dtype}, expected unsigned integers.")


@overload
def sum_exactly(array: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray: ...


@overload
def sum_exactly(array: da.Array, axis: int | tuple[int, ...]) -> da.Array: ...


def sum_exactly(
    array: np.ndarray | da.Array, axis: int | tuple[int, ...]
) -> np.ndarray | da.Array:
    """Sum an array along some of its axes.

    Returns
    -------
    numpy.ndarray or dask.array.Array
        Of :func:`wide_dtype`; lazy if `array` is.

    Raises
    ------
    OverflowError
        A sum of 64-bit integers does not fit 64 bits; of a lazy array, when it is computed.

    Examples
    --------
    >>> import numpy as np
    >>> sum_exactly(np.array([[-1, 2], [3, 4]], dtype=np.int8), 0)
    array([2, 6])
    """
    total = array.sum(axis=axis, dtype=wide_dtype(array.dtype))
    if not is_wide(array.dtype):
        return total
    estimate = array.sum(axis=axis, dtype=np.float64)
    if isinstance(total, da.Array):
        return da.map_blocks(_check_sum, total, estimate, dtype=total.dtype)
    return _check_sum(total, estimate)


def sum_runs_exactly(rows: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """Sum runs of rows, which follow each other.

    Parameters
    ----------
    rows
        Of one type of :func:`wide_dtype`.
    firsts
        Where each run begins.

    Returns
    -------
    numpy.ndarray
        A row for each run.

    Raises
    ------
    OverflowError
        A sum of integers does not fit 64 bits.
    """
    total = np.add.reduceat(rows, firsts, axis=0)
    if not is_wide(rows.dtype):
        return total
    return _check_sum(total, np.add.reduceat(rows, firsts, axis=0, dtype=np.float64))


def add_exactly(total: np.ndarray, part: np.ndarray, where: str = "The array") -> None:
    """Add numbers to others in place.

    Parameters
    ----------
    total, part
        Of one shape, and of one type of :func:`wide_dtype`.
    where
        Named in the error.

    Raises
    ------
    OverflowError
        A sum does not fit the type.
    """
    if not add_in_place(total, part):
        raise _too_large(np.subtract(total, part).astype(np.float64) + part, total, where)


def add_in_place(total: np.ndarray, part: np.ndarray) -> bool:
    """Add numbers to others in place, and tell whether all sums fit their type.

    Parameters
    ----------
    total, part
        Of one shape; unsigned integers both, signed ones, or real numbers.
    """
    before = total.copy()
    np.add(total, part, out=total, casting="unsafe")
    if total.dtype.kind == "u":
        return bool((total >= before).all())
    if total.dtype.kind == "i":  # a sum that does not fit has another sign than both
        return not (((before ^ total) & (part ^ total)) < 0).any()
    return True


def _check_sum(total: np.ndarray, estimate: np.ndarray) -> np.ndarray:
    if (abs(total - estimate) > _WRAPPED).any():
        raise _too_large(estimate, total)
    return total


def _too_large(
    estimate: np.ndarray, total: np.ndarray, where: str = "The array"
) -> OverflowError:
    return OverflowError(
        f"{where}: a sum is about {np.max(abs(estimate)):.3g}, expected one that fits "
        f"{total.dtype}: convert the numbers first, as with s.change_dtype('float64')."
    )


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
