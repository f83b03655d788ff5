"""A map is an array-like over its file, and dask asks it only for what is needed.

A format provides one subclass of :class:`FileArray`. Everything else, lazy arrays,
eager reading and sums that never build the map, follows from it.
"""

import itertools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import dask
import dask.array as da
import numpy as np
import psutil

# Chunks from 32 MiB on are slower, as each time their memory is fresh from the system;
# smaller ones only cost dask more. Resident memory is (threads + 1) chunks.
CHUNK_BYTES = 16 * 2**20
MAX_CHUNK_BYTES = 128 * 2**20
# How much of the file one task reads for a sum that builds no chunk of the map, and how
# many tasks there are at most.
_SUM_FILE_BYTES = 32 * 2**20
_SUM_MAX_TASKS = 1024

Range = tuple[int, int]


class FileArray(ABC):
    """An array in a file: shape, dtype and ``[slices]``.

    It holds the path of the file and where the data lie in it, never an open file, so
    that it can be pickled and read by any number of threads and processes at once.
    Subclasses are dataclasses with these attributes.

    Attributes
    ----------
    path : str
        The file.
    shape : tuple of int
        Navigation axes first, the spectrum's channels last.
    dtype : numpy.dtype
        Of the counts.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @abstractmethod
    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Read a block.

        Parameters
        ----------
        ranges
            ``(start, stop)`` for each axis, within the shape.

        Returns
        -------
        numpy.ndarray
            The counts of the block, C-contiguous.
        """

    @abstractmethod
    def sum_navigation(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the spectra of a block without building it.

        Returns
        -------
        numpy.ndarray
            uint64, shape (channels of the block,).
        """

    @abstractmethod
    def sum_signal(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the channels of a block for each pixel without building it.

        Returns
        -------
        numpy.ndarray
            uint64, shape of the navigation axes of the block.
        """

    @abstractmethod
    def row_axis(self) -> int:
        """Return the axis along which the file can be read piece by piece."""

    @abstractmethod
    def file_bytes(self) -> int:
        """Return how many bytes of the file the array takes up."""

    def __getitem__(self, key: Any) -> np.ndarray:
        ranges, rest = split_key(key, self.shape)
        return self.read(ranges)[rest]


@dataclass(frozen=True)
class View(FileArray):
    """A block of a :class:`FileArray`, itself one.

    Attributes
    ----------
    source
        The whole.
    ranges
        ``(start, stop)`` of the block for each axis.
    """

    source: FileArray
    ranges: tuple[Range, ...]

    @property
    def path(self) -> str:
        """The file."""
        return self.source.path

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of the block."""
        return tuple(stop - start for start, stop in self.ranges)

    @property
    def dtype(self) -> np.dtype:
        """Of the counts."""
        return self.source.dtype

    def _shifted(self, ranges: tuple[Range, ...]) -> tuple[Range, ...]:
        return tuple(
            (origin + start, origin + stop)
            for (origin, _), (start, stop) in zip(self.ranges, ranges, strict=True)
        )

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Read a block of the view."""
        return self.source.read(self._shifted(ranges))

    def sum_navigation(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the spectra of a block of the view."""
        return self.source.sum_navigation(self._shifted(ranges))

    def sum_signal(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the channels of a block of the view for each pixel."""
        return self.source.sum_signal(self._shifted(ranges))

    def row_axis(self) -> int:
        """Return the axis along which the file can be read piece by piece."""
        return self.source.row_axis()

    def file_bytes(self) -> int:
        """Estimate the bytes in the file of the rows of the view."""
        axis = self.row_axis()
        whole = self.source.shape[axis]
        return math.ceil(self.source.file_bytes() * self.shape[axis] / whole)

    def __dask_tokenize__(self) -> tuple:
        return ("rsciio_xfm-view", self.source.__dask_tokenize__(), self.ranges)


# The array-like behind a lazy array, by the array's name; dask's names are unique.
_SOURCES: WeakValueDictionary[str, FileArray] = WeakValueDictionary()


def from_source(source: FileArray, chunks: Any = "auto") -> da.Array:
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
    if isinstance(chunks, str) and chunks == "auto":
        chunks = default_chunks(source.shape, source.dtype, source.row_axis())
    array = da.from_array(
        source,
        chunks=chunks,
        name="rsciio_xfm-" + dask.base.tokenize(source, chunks),
        asarray=True,
        fancy=False,
        meta=np.empty((0,) * source.ndim, dtype=source.dtype),
    )
    _SOURCES[array.name] = source
    return array


def source_of(array: da.Array) -> FileArray | None:
    """Return the array-like that a dask array is the whole of, None if there is none."""
    return _SOURCES.get(array.name)


def take(array: da.Array, key: tuple) -> da.Array:
    """Slice a dask array; the slice of a file's array is again a file's array.

    Parameters
    ----------
    array
        Any dask array.
    key
        Integers and slices, one for each axis.

    Returns
    -------
    dask.array.Array
        ``array[key]``. If `array` is the whole of an array-like and the slices have a
        step of 1, then so is the result, and its sums are fast as well.
    """
    sliced = array[key]
    source = source_of(array)
    if source is None or sliced.ndim != array.ndim or 0 in sliced.shape:
        return sliced
    ranges, rest = split_key(key, source.shape)
    if any(part != slice(None) for part in rest):
        return sliced
    if isinstance(source, View):
        ranges, source = source._shifted(ranges), source.source
    return from_source(View(source, ranges), sliced.chunks)


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
    shape = source.shape[-1:]
    parts = _delay_rows(source, source.sum_navigation.__name__)
    return da.stack([da.from_delayed(p, shape, np.uint64) for p, _ in parts]).sum(axis=0)


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
    axis, shape = source.row_axis(), source.shape[:-1]
    parts = [
        da.from_delayed(part, (*shape[:axis], n_rows, *shape[axis + 1 :]), np.uint64)
        for part, n_rows in _delay_rows(source, source.sum_signal.__name__)
    ]
    return da.concatenate(parts, axis=axis)


def _delay_rows(source: FileArray, method: str) -> list[tuple[Any, int]]:
    """Delay a method of a source for each range of rows; return it with their number."""
    axis = source.row_axis()
    n_rows = source.shape[axis]
    n_tasks = math.ceil(source.file_bytes() / _SUM_FILE_BYTES)
    n_tasks = min(n_tasks, n_rows, _SUM_MAX_TASKS) or 1
    edges = [n_rows * i // n_tasks for i in range(n_tasks + 1)]
    whole = [(0, size) for size in source.shape]
    delayed = dask.delayed(source, pure=True, traverse=False)
    return [
        (
            getattr(delayed, method)(
                (*whole[:axis], (start, stop), *whole[axis + 1 :]), pure=True
            ),
            stop - start,
        )
        for start, stop in itertools.pairwise(edges)
    ]


def default_chunks(
    shape: tuple[int, ...], dtype: np.dtype, row_axis: int
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

    Returns
    -------
    tuple of int
        Size of a chunk along each axis.
    """
    chunk = list(shape)
    chunk[row_axis] = 1
    row_bytes = math.prod(chunk) * dtype.itemsize
    if row_bytes <= MAX_CHUNK_BYTES:
        chunk[row_axis] = min(shape[row_axis], max(1, CHUNK_BYTES // row_bytes))
        return tuple(chunk)
    # A row is too large: cut the axis after the rows, the pixels of a row.
    pixel_bytes = row_bytes // shape[row_axis + 1]
    chunk[row_axis + 1] = max(1, MAX_CHUNK_BYTES // pixel_bytes)
    return tuple(chunk)


def read_all(source: FileArray, path: str) -> np.ndarray:
    """Read the whole of an array-like into memory, in threads.

    Parameters
    ----------
    source
        The array-like.
    path
        Named in the error.

    Returns
    -------
    numpy.ndarray
        The counts.

    Raises
    ------
    MemoryError
        The array is larger than the memory that is available.
    """
    n_bytes = math.prod(source.shape) * source.dtype.itemsize
    available = psutil.virtual_memory().available
    if n_bytes > available:
        raise MemoryError(
            f"{path}: the map {source.shape} of {source.dtype} needs "
            f"{n_bytes / 2**30:.1f} GiB of memory, {available / 2**30:.1f} GiB are "
            "available. Use lazy=True to read it chunk by chunk, or rebin_energy, "
            "cutoff_at_kV or detector to read less of it."
        )
    data = np.empty(source.shape, dtype=source.dtype)
    da.store(from_source(source), data, lock=False, scheduler="threads")
    return data


def split_key(
    key: Any, shape: tuple[int, ...]
) -> tuple[tuple[Range, ...], tuple[slice | int, ...]]:
    """Split numpy-style slices into the block to read and what to take from it.

    Parameters
    ----------
    key
        Integers, slices (of any step) and an ellipsis.
    shape
        Of the array.

    Returns
    -------
    ranges : tuple of (int, int)
        The smallest block that holds what `key` asks for.
    rest : tuple of slice or int
        ``block[rest]`` is ``array[key]``.

    Raises
    ------
    IndexError
        There are more indices than axes, or one is out of bounds.
    """
    key = key if isinstance(key, tuple) else (key,)
    if Ellipsis in key:
        at = key.index(Ellipsis)
        fill = (slice(None),) * (len(shape) - len(key) + 1)
        key = key[:at] + fill + key[at + 1 :]
    if len(key) > len(shape):
        raise IndexError(f"{len(key)} indices for {len(shape)} axes")
    key += (slice(None),) * (len(shape) - len(key))
    split = [_split_one(k, size) for k, size in zip(key, shape, strict=True)]
    return tuple(r for r, _ in split), tuple(rest for _, rest in split)


def _split_one(key: slice | int, size: int) -> tuple[Range, slice | int]:
    if not isinstance(key, slice):
        index = range(size)[key]
        return (index, index + 1), 0
    picked = range(size)[key]
    if not picked:
        return (0, 0), slice(None)
    low, high = min(picked[0], picked[-1]), max(picked[0], picked[-1])
    return (low, high + 1), slice(None) if picked.step == 1 else slice(
        None, None, picked.step
    )
