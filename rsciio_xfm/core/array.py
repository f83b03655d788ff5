"""A map is an array-like over its file, and dask asks it only for what is needed.

A format provides one subclass of :class:`FileArray`. Everything else, lazy arrays,
eager reading and sums that never build the map, follows from it.
"""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from dataclasses import Field, fields, is_dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from rsciio_xfm.core.config import PIECE_BYTES
from rsciio_xfm.core.wide import add_channels, add_spectra
from rsciio_xfm.core.workplace import workplace

# What repr tells apart, and what it says of it in any process.
_PLAIN = str, bytes, bool, int, float, complex, type(None), np.generic
_PLAIN_TYPES = frozenset(_PLAIN)

Range = tuple[int, int]
Pieces = Generator[tuple[tuple[Range, ...], np.ndarray], None, None]


class Matrices(NamedTuple):
    """What spectra are multiplied by, see :meth:`FileArray.multiply`.

    Attributes
    ----------
    products
        float32, shape (bins, numbers), a multiple of
        :data:`rsciio_xfm.kernels.project.LANES` numbers.
    squares
        float32, shape (bins,): weights of the squares of the counts.
    bins
        Whole numbers, shape (channels,): the bin of each channel.
    """

    products: np.ndarray
    squares: np.ndarray
    bins: np.ndarray


class ArrayLike(ABC):
    """What dask needs of an array: shape, dtype and ``[slices]``.

    Its classes are frozen dataclasses: two are the same array for dask if they are of one
    class and equal in each field, in whatever process they were made.
    """

    __dataclass_fields__: ClassVar[dict[str, Field]]
    __dataclass_params__: ClassVar[Any]

    if TYPE_CHECKING:
        # Properties in most classes and fields in some, of which a property here would be
        # the default value.
        @property
        @abstractmethod
        def shape(self) -> tuple[int, ...]:
            """Size along each axis."""

        @property
        @abstractmethod
        def dtype(self) -> np.dtype:
            """Of the numbers, in the byte order of this machine."""

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the numbers take in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def stored_chunks(self) -> tuple[int, ...] | None:
        """Size along each axis of what is read as a whole; None if nothing has to be."""
        return None

    def row_axis(self) -> int:
        """Return the axis along which a block is best cut."""
        return 0

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

    @cached_property
    def _token(self) -> str:
        """Hash of all fields; kept, as there can be large indices among them."""
        kind = type(self)
        others = vars(self).keys() - {field.name for field in fields(self)}
        # What is kept of a property follows from the fields.
        others = {
            n for n in others if not isinstance(getattr(kind, n, 0), cached_property)
        }
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
        return repr(value.dtype), value.shape, hashlib.blake2b(raw.data).hexdigest()
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

    def pieces(self, ranges: tuple[Range, ...]) -> Pieces:
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

    def pieces_for(self, ranges: tuple[Range, ...], looked_at: Sequence[Range]) -> Pieces:
        """Read a block piece by piece for somebody who looks at some of its channels only.

        Parameters
        ----------
        ranges
            See :meth:`pieces`, whose pieces these are unless a format has faster ones.
        looked_at
            Ranges of channels of the array, within `ranges`, in any order.
        """
        return self.pieces(ranges)

    def multiply(
        self, ranges: tuple[Range, ...], matrices: Matrices
    ) -> np.ndarray | None:
        """Multiply the spectra of a block without building it, where that is faster.

        Parameters
        ----------
        ranges
            See :meth:`pieces`.
        matrices
            Of the channels of the block.

        Returns
        -------
        numpy.ndarray or None
            float32, shape of the navigation axes of the block and then numbers + 1: the
            products and, last, the weighted sum of the squares. None where it is not faster.
        """
        return None

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
        """Return how many bytes, of the file or decoded from it, a sum goes through."""


def place_in(held: tuple[Range, ...], ranges: tuple[Range, ...]) -> tuple[slice, ...]:
    """Return where a piece lies in its part, along the navigation axes.

    Parameters
    ----------
    held, ranges
        Of the piece, see :meth:`FileArray.pieces`, and of the part.
    """
    at = zip(held[:-1], ranges[:-1], strict=True)
    return tuple(slice(a - origin, b - origin) for (a, b), (origin, _) in at)


def channels_in(
    piece: np.ndarray, held: tuple[Range, ...], ranges: tuple[Range, ...]
) -> np.ndarray:
    """Return what a piece has of the channels of its part: it may have more.

    Parameters
    ----------
    piece
        See :meth:`FileArray.pieces`.
    held, ranges
        Of the piece and of the part.

    Returns
    -------
    numpy.ndarray
        C-contiguous.
    """
    first = held[-1][0]
    start, stop = (edge - first for edge in ranges[-1])
    return np.ascontiguousarray(piece[..., start:stop])


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


class CountedArray(FileArray):
    """Counts in a file whose sums are made of its pieces."""

    def sum_navigation(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the spectra of a block; see :meth:`FileArray.sum_navigation`."""
        total = np.zeros(self.shape[-1], dtype=np.uint64)
        for held, block in self.pieces(ranges):
            spectra = block.reshape(-1, block.shape[-1])
            add_spectra(spectra, total[slice(*held[-1])])
        return total[slice(*ranges[-1])]

    def sum_signal(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the channels of a block; see :meth:`FileArray.sum_signal`."""
        total = np.zeros([stop - start for start, stop in ranges[:-1]], dtype=np.uint64)
        for held, block in self.pieces_for(ranges, ranges[-1:]):
            start, stop = (edge - held[-1][0] for edge in ranges[-1])
            sums = add_channels(block.reshape(-1, block.shape[-1]), start, stop)
            total[place_in(held, ranges)] = sums.reshape(block.shape[:-1])
        return total


def read_rows(
    array: ArrayLike,
    ranges: tuple[Range, ...],
    step: int,
    read: Callable[[tuple[Range, ...]], np.ndarray] | None = None,
) -> Pieces:
    """Read a block piece by piece along its first axis.

    Parameters
    ----------
    array
        What is read.
    ranges
        Of the block.
    step
        How many rows are read together at least, from a multiple of it on: those of a chunk
        of the file, which would be read several times otherwise.
    read
        What reads a piece; by default that of the array.
    """
    read = array.read if read is None else read
    row_bytes = math.prod(b - a for a, b in ranges[1:]) * array.dtype.itemsize
    height = -(-max(1, PIECE_BYTES // max(1, row_bytes)) // step) * step
    start, stop = ranges[0]
    while start < stop and row_bytes:
        end = min(stop, (start // height + 1) * height)
        held = ((start, end), *ranges[1:])
        yield held, read(held)
        start = end
