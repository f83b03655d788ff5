"""Dask arrays over files: whoever slices or sums one has just that read."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from rsciio_xfm.core.array import ArrayLike, FileArray, Range, split_key
from rsciio_xfm.core.config import (
    CHUNK_BYTES,
    EMPTY_BYTES,
    MAX_CHUNK_BYTES,
    MEMORY_SHARE,
    SUM_FILE_BYTES,
    SUM_MAX_TASKS,
    SUM_TASKS,
    SUM_TASKS_EACH,
)
from rsciio_xfm.core.later import cpu_count, da, dask
from rsciio_xfm.core.views import View
from rsciio_xfm.core.wide import is_wide, sum_exactly
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.kernels.ahead import compile_ahead, of_source

Ranges = tuple[Range, ...]

_is_described = ContextVar("is_described", default=False)


@contextmanager
def described() -> Iterator[None]:
    """Let readers that are asked for lazy signals inside put array-likes into them.

    Those tell shape and type, for which dask is not imported.
    """
    token = _is_described.set(True)
    try:
        yield
    finally:
        _is_described.reset(token)


def from_source(source: ArrayLike, chunks: Any = "auto") -> Any:
    """Make a dask array of an array-like over a file.

    Parameters
    ----------
    source
        The array-like.
    chunks
        ``"auto"``: whole rows with all channels, at most 128 MiB; anything else is passed
        to :func:`dask.array.core.normalize_chunks`.

    Returns
    -------
    dask.array.Array
        Whoever slices it reads only the slice.
    """
    if _is_described.get():
        return source
    # What sums of it call is compiled while the user looks at the file.
    compile_ahead(of_source(source))
    return _from_array(source, _chosen(source, chunks))


def source_of(array: np.ndarray | da.Array) -> FileArray | None:
    """Return the array-like that a dask array is the whole of.

    Parameters
    ----------
    array
        Any array.

    Returns
    -------
    FileArray or None
        None if the array is not from :func:`from_source`, or no longer: if it was
        computed from it, persisted, rechunked or sliced (but see :func:`take`).
    """
    if isinstance(array, FileArray):  # of a signal that is only described
        return array
    if "dask.array" not in sys.modules:
        return None
    # dask keeps what an array is made from in a layer of its own.
    if not isinstance(array, da.Array):  # HyperSpy leaves numpy's in some lazy signals
        return None
    key = f"original-{array.name}"
    layer = getattr(array.dask, "layers", {}).get(key, {})
    source = layer.get(key)
    return source if isinstance(source, FileArray) else None


@overload
def take(array: np.ndarray, key: tuple) -> np.ndarray: ...
@overload
def take(array: da.Array, key: tuple) -> da.Array: ...
def take(array: np.ndarray | da.Array, key: tuple) -> np.ndarray | da.Array:
    """Slice an array; the slice of a file's array is again a file's array.

    Parameters
    ----------
    array
        Any dask or numpy array.
    key
        Integers, slices and an ellipsis.

    Returns
    -------
    numpy.ndarray or dask.array.Array
        ``array[key]``. If `array` is the whole of an array-like, the file is asked for
        just this block; and if the slices have a step of 1, the result is the whole of an
        array-like too, and its sums are as fast.
    """
    source = source_of(array)
    if source is None or not isinstance(array, da.Array):
        return array[key]
    ranges, rest = split_key(key, source.shape)
    block = array[tuple(slice(*r) for r in ranges)]
    if 0 in block.shape:
        return array[key]
    if isinstance(source, View):
        ranges, source = source.shifted(ranges), source.source
    block = from_source(View(source, ranges), block.chunks)
    return block if all(r == slice(None) for r in rest) else block[rest]


def sum_navigation(source: FileArray) -> da.Array:
    """Sum all spectra of an array-like, a range of rows at a time.

    Parameters
    ----------
    source
        The array-like.

    Returns
    -------
    dask.array.Array
        uint64, shape (channels,).
    """
    total = source.known_total()
    if total is not None:
        return da.from_array(total, chunks=-1)
    parts = _from_array(_PartSums(source, split_rows(source)), (1, -1))
    if is_wide(source.dtype):
        return sum_exactly(parts, 0)
    return parts.sum(axis=0, split_every=SUM_MAX_TASKS)


def sum_signal(source: FileArray) -> da.Array:
    """Sum all channels of an array-like for each pixel, a range of rows at a time.

    Parameters
    ----------
    source
        The array-like.

    Returns
    -------
    dask.array.Array
        uint64, shape of the navigation axes.
    """
    axis, chunks = source.row_axis(), [-1] * (source.ndim - 1)
    edges = [ranges[axis] for ranges in split_rows(source)]
    rows = tuple(stop - start for start, stop in edges)
    return _from_array(_PixelSums(source), (*chunks[:axis], rows, *chunks[axis + 1 :]))


@dataclass(frozen=True)
class _PartSums(ArrayLike):
    """Sum the spectra of parts, shape (parts, channels)."""

    source: FileArray
    parts: tuple[Ranges, ...]
    dtype = np.dtype(np.uint64)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.parts), self.source.shape[-1])

    def read(self, ranges: Ranges) -> np.ndarray:
        wanted, channels = ranges
        totals = np.empty([stop - start for start, stop in ranges], dtype=self.dtype)
        for i, part in enumerate(self.parts[slice(*wanted)]):
            totals[i] = self.source.sum_navigation((*part[:-1], channels))
        return totals


@dataclass(frozen=True)
class _PixelSums(ArrayLike):
    """Total counts of each pixel."""

    source: FileArray
    dtype = np.dtype(np.uint64)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape[:-1]

    def read(self, ranges: Ranges) -> np.ndarray:
        return self.source.sum_signal((*ranges, (0, self.source.shape[-1])))


def split_rows(source: FileArray) -> tuple[Ranges, ...]:
    """Return the ranges of the parts, some rows each, that one task each goes through."""
    axis, n_bytes = source.row_axis(), source.file_bytes()
    n_rows = source.shape[axis]
    most, least = (math.ceil(n_bytes / size) for size in SUM_FILE_BYTES)
    n_tasks = min(most, max(least, SUM_TASKS, SUM_TASKS_EACH * cpu_count()))
    step = source.row_step()
    n_steps = math.ceil(n_rows / step)
    n_tasks = max(1, min(n_tasks, n_steps, SUM_MAX_TASKS))
    edges = (step * (n_steps * i // n_tasks) for i in range(n_tasks + 1))
    rows = itertools.pairwise(min(edge, n_rows) for edge in edges)
    whole = tuple((0, size) for size in source.shape)
    return tuple((*whole[:axis], ends, *whole[axis + 1 :]) for ends in rows)


def in_memory(array: np.ndarray, chunks: Any = "auto") -> Any:
    """Make a dask array of one that was read already, with the chunks that the user chose."""
    if _is_described.get():
        return array
    return da.from_array(array, chunks=_checked(chunks, array))


def _chosen(source: ArrayLike, chunks: Any) -> Any:
    if isinstance(chunks, str) and chunks == "auto":
        return default_chunks(source.shape, source.dtype, source.row_axis())
    return chunks


def _checked(chunks: Any, array: ArrayLike | np.ndarray) -> Any:
    """Return what the user chose, if dask can make chunks of it."""
    if isinstance(chunks, str) and chunks == "auto":
        return chunks
    try:
        sizes = da.core.normalize_chunks(chunks, array.shape, dtype=array.dtype)
        if not all(all(size >= 0 for size in axis) for axis in sizes):
            raise ValueError("chunks are below 0")
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"chunks is {chunks!r:.60}, and the array {array.shape}: {error}. Expected "
            "'auto', or what dask.array.core.normalize_chunks takes: numbers above 0 of rows, "
            "columns and channels, -1 for all of them."
        ) from error
    return chunks


def _from_array(source: ArrayLike, chunks: Any) -> da.Array:
    chunks = _checked(chunks, source)
    return da.from_array(
        source,
        chunks=chunks,
        name="rsciio_xfm-" + dask.base.tokenize(source, chunks),
        asarray=True,
        fancy=False,
        meta=np.empty((0,) * source.ndim, dtype=source.dtype),
    )


def default_chunks(
    shape: tuple[int, ...],
    dtype: np.dtype,
    row_axis: int,
    chunk_bytes: int = CHUNK_BYTES,
) -> tuple[int, ...]:
    """Choose chunks of whole rows with all channels.

    Parameters
    ----------
    shape
        Of the array; all axes but the rows are kept whole where 128 MiB allow.
    dtype
        Of the array.
    row_axis
        Axis of the rows.
    chunk_bytes
        Size of a chunk, unless that is less than a row.

    Returns
    -------
    tuple of int
        Size of a chunk along each axis.
    """
    chunk = list(shape)
    chunk[row_axis] = 1
    row_bytes = math.prod(chunk) * dtype.itemsize
    if row_bytes <= max(chunk_bytes, MAX_CHUNK_BYTES):
        chunk[row_axis] = min(shape[row_axis], max(1, chunk_bytes // row_bytes))
        return tuple(chunk)
    # A row is too large: cut its pixels, and if need be what comes before the rows.
    for axis in (row_axis + 1, *range(row_axis)):
        rest = math.prod(chunk) * dtype.itemsize // chunk[axis]
        chunk[axis] = max(1, min(chunk[axis], MAX_CHUNK_BYTES // rest))
    return tuple(chunk)


def align_chunks(
    shape: tuple[int, ...], dtype: np.dtype, row_axis: int, stored: tuple[int, ...]
) -> tuple[int, ...]:
    """Choose chunks that hold whole chunks of the file, and rows of pixels if they can.

    Parameters
    ----------
    shape, dtype, row_axis
        As of :func:`default_chunks`.
    stored
        Chunks of the file.

    Returns
    -------
    tuple of int
        Size of a chunk along each axis.
    """
    chosen = list(default_chunks(shape, dtype, row_axis))
    for i in range(len(shape) - 1):
        if chosen[i] < shape[i]:
            chosen[i] = max(stored[i], chosen[i] // stored[i] * stored[i])
    if math.prod(chosen) * dtype.itemsize > MAX_CHUNK_BYTES:
        chosen = [*stored[:-1], shape[-1]]
    return tuple(chosen)


def check_worth_reading(
    path: str | Path,
    source: FileArray,
    n_present: int,
    n_all: int,
    what: str,
    least_share: float,
    byte: int,
) -> None:
    """Refuse to fill memory with the zeros of a map of which little is there.

    Parameters
    ----------
    path, source
        The file and its array-like.
    n_present, n_all, what
        How many are there, of how many, of what: rows, spectra.
    least_share
        Of a map that is not small, to be read eagerly.
    byte
        Where in the file they are, or end.

    Raises
    ------
    FileFormatError
        Less is there.
    """
    n_bytes = math.prod(source.shape) * source.dtype.itemsize
    if n_bytes > EMPTY_BYTES and n_present < least_share * n_all:
        raise FileFormatError(
            f"{path}: the file holds {n_present} of {n_all} {what}, expected at least "
            f"{least_share:.0%} for reading all {n_bytes / 2**20:.0f} MiB of the map (byte "
            f"{byte}). Use lazy=True."
        )


def read_all(source: ArrayLike, path: str, chunks: Any = "auto") -> np.ndarray:
    """Read the whole of an array-like into memory, in threads.

    Parameters
    ----------
    source
        The array-like.
    path
        Named in the error.
    chunks
        That are read at a time, see :func:`from_source`.

    Returns
    -------
    numpy.ndarray
        The counts.

    Raises
    ------
    MemoryError
        The array is larger than the memory that is available.
    """
    import psutil

    n_bytes = math.prod(source.shape) * source.dtype.itemsize
    available = psutil.virtual_memory().available
    if n_bytes > MEMORY_SHARE * available:
        raise MemoryError(
            f"{path}: the map {source.shape} of {source.dtype} needs "
            f"{n_bytes / 2**30:.1f} GiB of memory, {available / 2**30:.1f} GiB are "
            "available. Use lazy=True to read it chunk by chunk."
        )
    data = np.empty(source.shape, dtype=source.dtype)
    if n_bytes <= CHUNK_BYTES:
        _checked(chunks, source)
        data[...] = source[...]
        return data
    lazy = _from_array(source, _chosen(source, chunks))
    da.store(lazy, data, lock=False, scheduler="threads")
    return data


def load(source: ArrayLike, path: str | Path, lazy: bool, chunks: Any) -> Any:
    """Make the data of a signal.

    Parameters
    ----------
    source
        The array-like.
    path
        Named in errors.
    lazy, chunks
        See :func:`rsciio_xfm.esrf.file_reader`.
    """
    if isinstance(chunks, str) and chunks == "auto":
        rows, stored = source.row_axis(), source.stored_chunks
        if stored is not None and len(stored) == source.ndim:
            chunks = align_chunks(source.shape, source.dtype, rows, stored)
        else:
            chunks = default_chunks(source.shape, source.dtype, rows)
    return from_source(source, chunks) if lazy else read_all(source, str(path), chunks)
