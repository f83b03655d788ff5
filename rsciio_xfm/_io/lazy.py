"""A map is an array-like over its file, and dask asks it only for what is needed.

A format provides one subclass of :class:`FileArray`. Everything else, lazy arrays,
eager reading and sums that never build the map, follows from it.
"""

import functools
import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import psutil
from dask.system import CPU_COUNT

from rsciio_xfm._io.binary import workplace
from rsciio_xfm._io.wide import is_wide, sum_exactly
from rsciio_xfm.exceptions import FileFormatError

# Chunks whose memory is used again: from 32 MiB on, glibc asks the system for
# fresh memory each time, which is slower; smaller chunks only cost dask more. Resident
# memory is (threads + 1) chunks.
CHUNK_BYTES = 22 * 2**20
MAX_CHUNK_BYTES = 128 * 2**20
PIECE_BYTES = 4 * 2**20  # of counts that are looked at before the next are read
# How much of the file one task goes through for a sum that builds no chunk of the map, and
# how many tasks there are: enough for all processors, and few, as each takes dask time.
_SUM_FILE_BYTES = 32 * 2**20, 256 * 2**20
_SUM_TASKS = max(16, 4 * CPU_COUNT)
_SUM_MAX_TASKS = 1024
_EMPTY_BYTES = 64 * 2**20  # a map that is small may be empty
_MEMORY_SHARE = 0.9  # of what is available, for reading eagerly
# What repr tells apart, and what it says of it in any process.
_PLAIN = str, bytes, bool, int, float, complex, type(None), np.generic
_PLAIN_TYPES = frozenset(_PLAIN)

Range = tuple[int, int]


class ArrayLike(ABC):
    """What dask needs of an array: shape, dtype and ``[slices]``.

    Its classes are frozen dataclasses: two are the same array for dask if they are of one
    class and equal in each field, in whatever process they were made.
    """

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
            The block, C-contiguous.
        """

    def __dask_tokenize__(self) -> str:
        return self._token

    @functools.cached_property
    def _token(self) -> str:
        """Hash of all fields; kept, as there can be large indices among them."""
        kind = type(self)
        others = vars(self).keys() - {field.name for field in fields(self)}
        if others or not kind.__dataclass_params__.frozen:
            raise TypeError(
                f"{kind.__qualname__} is no frozen dataclass, or holds what is no field of "
                f"it: {sorted(others)}. Expected all that tells its arrays apart in fields."
            )
        text = repr(_describe_fields(self))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def __getitem__(self, key: Any) -> np.ndarray:
        ranges, rest = split_key(key, self.shape)
        with workplace():
            return self.read(ranges)[rest]


def _describe_fields(value: Any) -> tuple:
    kind = type(value)
    held = (_describe(getattr(value, field.name)) for field in fields(value))
    return f"{kind.__module__}.{kind.__qualname__}", *held


def _describe(value: Any) -> Any:
    """Turn a value into what `repr` tells from any other, and says alike in any process.

    Raises
    ------
    TypeError
        It is of a kind whose `repr` may not say all of it.
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, ArrayLike):
        return "array", value._token
    if isinstance(value, np.dtype):
        return "dtype", repr(value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        raw = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        return repr(value.dtype), value.shape, hashlib.blake2b(raw).hexdigest()
    if isinstance(value, dict):
        return "dict", _describe(tuple(value)), _describe(tuple(value.values()))
    if isinstance(value, tuple | list):
        if _PLAIN_TYPES.issuperset(map(type, value)):
            return value  # as nearly all are, and large indices have many
        return type(value).__name__, *map(_describe, value)
    if is_dataclass(value):
        return _describe_fields(value)
    raise TypeError(
        f"{value!r:.80} is a {type(value).__qualname__}, expected numbers, texts, arrays, "
        "dataclasses, or tuples, lists and dictionaries of them in the fields of an array."
    )


class FileArray(ArrayLike):
    """The counts in a file as an array: navigation axes first, channels last.

    It holds the path of the file and where the data lie in it, never an open file, so
    that it can be pickled and read by any number of threads and processes at once.
    """

    @abstractmethod
    def sum_navigation(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the spectra of a block of unsigned integers without building it.

        Returns
        -------
        numpy.ndarray
            uint64, shape (channels of the block,).

        Raises
        ------
        TypeError
            The numbers are signed or real: they are summed by dask.
        """

    @abstractmethod
    def sum_signal(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the channels of a block of unsigned integers for each pixel without building it.

        Returns
        -------
        numpy.ndarray
            uint64, shape of the navigation axes of the block.

        Raises
        ------
        TypeError
            See :meth:`sum_navigation`.
        """

    def pieces(
        self, ranges: tuple[Range, ...]
    ) -> Iterator[tuple[tuple[Range, ...], np.ndarray]]:
        """Read a block piece by piece, in memory that may be used again.

        Parameters
        ----------
        ranges
            ``(start, stop)`` for each axis, within the shape.

        Yields
        ------
        held : tuple of (int, int)
            The ranges that the piece holds: of the navigation axes a part of `ranges`, of
            the channels all of them, and perhaps more.
        counts : numpy.ndarray
            The piece, C-contiguous, valid until the next one is asked for.

        Notes
        -----
        Pieces that are zero throughout may be left out.
        """
        axis = self.row_axis()
        row = [stop - start for start, stop in ranges]
        row[axis] = 1
        row_bytes = max(1, math.prod(row) * self.dtype.itemsize)
        n_at_once = max(1, PIECE_BYTES // row_bytes)
        for start in range(*ranges[axis], n_at_once):
            rows = (start, min(start + n_at_once, ranges[axis][1]))
            held = (*ranges[:axis], rows, *ranges[axis + 1 :])
            yield held, self.read(held)

    def known_total(self) -> np.ndarray | None:
        """Return the sum of all spectra, where it is known without reading them.

        Returns
        -------
        numpy.ndarray or None
            uint64, shape (channels,).
        """
        return None

    def by_detector(self) -> "FileArray | None":
        """Return the same with the detectors that it is the sum of along the first axis.

        Returns
        -------
        FileArray or None
            None if it is no such sum, or the file does not hold its parts.
        """
        return None

    @abstractmethod
    def row_axis(self) -> int:
        """Return the axis along which the file can be read piece by piece."""

    def row_step(self) -> int:
        """Return how many rows, from the first one on, are read as well as one of them."""
        return 1

    @abstractmethod
    def file_bytes(self) -> int:
        """Return how many bytes of the file the array takes up."""


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
    def shape(self) -> tuple[int, ...]:
        """Size of the block."""
        return tuple(stop - start for start, stop in self.ranges)

    @property
    def dtype(self) -> np.dtype:
        """Of the counts."""
        return self.source.dtype

    def shifted(self, ranges: tuple[Range, ...]) -> tuple[Range, ...]:
        """Turn ranges within the view into those of the whole."""
        return tuple(
            (origin + start, origin + stop)
            for (origin, _), (start, stop) in zip(self.ranges, ranges, strict=True)
        )

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Read a block of the view."""
        return self.source.read(self.shifted(ranges))

    def sum_navigation(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the spectra of a block of the view."""
        return self.source.sum_navigation(self.shifted(ranges))

    def sum_signal(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the channels of a block of the view for each pixel."""
        return self.source.sum_signal(self.shifted(ranges))

    def pieces(
        self, ranges: tuple[Range, ...]
    ) -> Iterator[tuple[tuple[Range, ...], np.ndarray]]:
        """Read a block of the view piece by piece."""
        for held, counts in self.source.pieces(self.shifted(ranges)):
            own = zip(held, self.ranges, strict=True)
            yield tuple((a - origin, b - origin) for (a, b), (origin, _) in own), counts

    def known_total(self) -> np.ndarray | None:
        """Return that of the whole, if no pixel is left out."""
        total = self.source.known_total()
        whole = tuple((0, size) for size in self.source.shape[:-1])
        if total is None or self.ranges[:-1] != whole:
            return None
        return total[slice(*self.ranges[-1])]

    def by_detector(self) -> FileArray | None:
        """Return the same block of each detector."""
        source = self.source.by_detector()
        if source is None:
            return None
        return View(source, ((0, source.shape[0]), *self.ranges))

    def row_axis(self) -> int:
        """Return the axis along which the file can be read piece by piece."""
        return self.source.row_axis()

    def row_step(self) -> int:
        """Return that of the whole, if the view begins at such a step."""
        step = self.source.row_step()
        return step if self.ranges[self.row_axis()][0] % step == 0 else 1

    def file_bytes(self) -> int:
        """Estimate the bytes in the file of the rows of the view."""
        axis = self.row_axis()
        whole = self.source.shape[axis]
        return math.ceil(self.source.file_bytes() * self.shape[axis] / whole)


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
    return _from_array(source, chunks)


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
    # dask keeps what an array is made from in a layer of its own.
    if not isinstance(array, da.Array):  # HyperSpy leaves numpy's in some lazy signals
        return None
    key = f"original-{array.name}"
    layer = getattr(array.dask, "layers", {}).get(key, {})
    source = layer.get(key)
    return source if isinstance(source, FileArray) else None


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
    if source is None:
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
    return parts.sum(axis=0, split_every=_SUM_MAX_TASKS)


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
    chunks: list[Any] = [-1] * (source.ndim - 1)
    chunks[source.row_axis()] = tuple(np.diff(split_rows(source)).tolist())
    return _from_array(_PixelSums(source), tuple(chunks))


@dataclass(frozen=True)
class _PartSums(ArrayLike):
    """Sum spectra of ranges of rows, shape (ranges, channels)."""

    source: FileArray
    edges: tuple[int, ...]
    dtype = np.dtype(np.uint64)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.edges) - 1, self.source.shape[-1])

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        parts, channels = ranges
        whole: list[Range] = [(0, size) for size in self.source.shape]
        whole[-1] = channels
        totals = np.empty([stop - start for start, stop in ranges], dtype=self.dtype)
        for i, part in enumerate(range(*parts)):
            whole[self.source.row_axis()] = self.edges[part], self.edges[part + 1]
            totals[i] = self.source.sum_navigation(tuple(whole))
        return totals


@dataclass(frozen=True)
class _PixelSums(ArrayLike):
    """Total counts of each pixel."""

    source: FileArray
    dtype = np.dtype(np.uint64)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape[:-1]

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        return self.source.sum_signal((*ranges, (0, self.source.shape[-1])))


def place_in(held: tuple[Range, ...], ranges: tuple[Range, ...]) -> tuple[slice, ...]:
    """Return where a piece lies in its part, along the navigation axes.

    Parameters
    ----------
    held, ranges
        Of the piece, see :meth:`FileArray.pieces`, and of the part.
    """
    at = zip(held[:-1], ranges[:-1], strict=True)
    return tuple(slice(a - origin, b - origin) for (a, b), (origin, _) in at)


def split_rows(source: FileArray) -> tuple[int, ...]:
    """Return the edges of the ranges of rows that one task each goes through."""
    n_rows = source.shape[source.row_axis()]
    most, least = (math.ceil(source.file_bytes() / size) for size in _SUM_FILE_BYTES)
    n_tasks = min(most, max(least, _SUM_TASKS))
    step = source.row_step()
    n_steps = math.ceil(n_rows / step)
    n_tasks = max(1, min(n_tasks, n_steps, _SUM_MAX_TASKS))
    edges = (step * (n_steps * i // n_tasks) for i in range(n_tasks + 1))
    return tuple(min(edge, n_rows) for edge in edges)


def _from_array(source: ArrayLike, chunks: Any) -> da.Array:
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
    if n_bytes > _EMPTY_BYTES and n_present < least_share * n_all:
        raise FileFormatError(
            f"{path}: the file holds {n_present} of {n_all} {what}, expected at least "
            f"{least_share:.0%} for reading all {n_bytes / 2**20:.0f} MiB of the map (byte "
            f"{byte}). Use lazy=True."
        )


def read_all(source: FileArray, path: str, chunks: Any = "auto") -> np.ndarray:
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
    n_bytes = math.prod(source.shape) * source.dtype.itemsize
    available = psutil.virtual_memory().available
    if n_bytes > _MEMORY_SHARE * available:
        raise MemoryError(
            f"{path}: the map {source.shape} of {source.dtype} needs "
            f"{n_bytes / 2**30:.1f} GiB of memory, {available / 2**30:.1f} GiB are "
            "available. Use lazy=True to read it chunk by chunk."
        )
    data = np.empty(source.shape, dtype=source.dtype)
    da.store(from_source(source, chunks), data, lock=False, scheduler="threads")
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
