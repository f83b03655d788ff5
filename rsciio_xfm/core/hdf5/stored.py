"""Spectra and images in HDF5 files as array-likes."""

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOENT
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.array import PIECE_BYTES, ArrayLike, CountedArray, Range
from rsciio_xfm.core.detectors import StackedMaps, add_to, sum_dtype
from rsciio_xfm.core.extras import require
from rsciio_xfm.core.hdf5.chunks import Chunks, find_chunks
from rsciio_xfm.core.hdf5.links import Dataset
from rsciio_xfm.core.hdf5.open import open_dataset
from rsciio_xfm.core.hdf5.sizes import check_size, file_of, is_plain_type
from rsciio_xfm.core.raw_map import RawMap
from rsciio_xfm.core.scan import Grid
from rsciio_xfm.core.source import check_unchanged, identify, open_unbuffered
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.kernels.sums import is_counts

_CACHE_BYTES = 2**25


@dataclass(frozen=True)
class Turned:
    """A dataset with its axes in another order, of one detector or the sum of several.

    Attributes
    ----------
    dataset
        What gives blocks for slices along all of its axes.
    where
        Named in errors.
    order, detector_axis, detectors, dtype
        See :class:`Stored`.
    """

    dataset: h5py.Dataset | Chunks
    where: str
    order: tuple[int, ...]
    detector_axis: int | None
    detectors: tuple[int, ...]
    dtype: np.dtype

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        """Read a block: a slice along each axis, with start and stop."""
        index = dict(zip(self.order, key, strict=True))
        if self.detector_axis is None:
            block = self.dataset[tuple(index[i] for i in range(len(index)))]
            return block.transpose(self.order)
        total = None
        for start, stop in self._groups():
            index[self.detector_axis] = slice(start, stop)
            block = self.dataset[tuple(index[i] for i in range(len(index)))]
            for part in block.transpose(self.detector_axis, *self.order):
                if total is None:
                    total = part.astype(self.dtype)
                else:
                    add_to(total, part, self.where)
        return total

    def _groups(self) -> Iterator[Range]:
        """Yield the detectors that are read together: those of a chunk of the file."""
        first, stop = self.detectors[0], self.detectors[-1] + 1
        chunks = self.dataset.chunks
        step = 1 if chunks is None else chunks[self.detector_axis]
        while first < stop:
            end = min(stop, (first // step + 1) * step)
            yield first, end
            first = end


@dataclass(frozen=True, eq=False)
class Stored(ArrayLike):
    """A dataset, with its axes in HyperSpy's order.

    Attributes
    ----------
    path, identity
        The file, see :func:`rsciio_xfm.core.source.identify`.
    name
        Of the dataset.
    shape
        Of the array: channels last; perhaps fewer rows than the dataset.
    dtype
        Of the numbers, in the byte order of this machine; of sums of short ones, of 32 bits.
    stored_chunks
        Of the dataset, in the order of the array's axes; the whole if it has none.
    order
        The axis of the dataset of each axis of the array, or that of the points in place of
        those of pixels.
    detector_axis, detectors
        The axis of the dataset that is of detectors, if there is one, and which of them are
        read; several are added up.
    n_points, n_grid, is_reversed
        Of a dataset whose first axis are points: how many there are (None if the axes are
        those of the dataset), how many axes of the array they make, and, of two, the rows
        that were measured from their end.
    past
        Its chunks, if they can be read past HDF5.
    sources
        Of a virtual dataset, the files that it is made of.
    stored_dtype
        Of the numbers of one detector.
    """

    path: str
    identity: tuple[int, ...]
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    stored_chunks: tuple[int, ...]
    order: tuple[int, ...]
    detector_axis: int | None = None
    detectors: tuple[int, ...] = ()
    n_points: int | None = None
    n_grid: int = 2
    is_reversed: tuple[bool, ...] = ()
    past: Chunks | None = None
    sources: tuple[tuple[str, tuple[int, ...]], ...] = ()
    stored_dtype: np.dtype | None = None

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Read a block; see :meth:`ArrayLike.read`."""
        with self._opened() as dataset:
            return self._read(dataset, ranges)

    @contextmanager
    def _opened(self) -> Iterator[Turned]:
        """Give what slices are read of."""
        if self.past is not None:
            yield self._turn(self.past)
            return
        for path, identity in self.sources:
            with open_unbuffered(path) as file:
                check_unchanged(file, path, identity)
        options = {"rdcc_nbytes": _CACHE_BYTES}
        with open_dataset(self.path, self.identity, self.name, **options) as dataset:
            check_filters(self.path, dataset)
            yield self._turn(dataset)

    def _turn(self, dataset: h5py.Dataset | Chunks) -> Turned:
        where = f"{self.path}: {self.name}"
        return Turned(
            dataset, where, self.order, self.detector_axis, self.detectors, self.dtype
        )

    def _read(self, dataset: Turned, ranges: tuple[Range, ...]) -> np.ndarray:
        shape = [stop - start for start, stop in ranges]
        if 0 in shape:
            return np.empty(shape, dtype=self.dtype)
        if self.n_points is not None:
            block = self._read_points(dataset, ranges)
        else:
            block = dataset[tuple(slice(*r) for r in ranges)]
        return np.ascontiguousarray(block, dtype=self.dtype)

    def _read_points(self, dataset: Turned, ranges: tuple[Range, ...]) -> np.ndarray:
        """Read points to their places in the map."""
        if self.n_grid != 2:
            return self._read_runs(dataset, ranges)
        (first, last), (left, right), *rest = ranges
        width = self.shape[1]
        block = np.zeros([stop - start for start, stop in ranges], dtype=self.dtype)
        inner = tuple(slice(*r) for r in rest)
        # Chunks that hold more than a row would be read once for each row.
        is_whole = (left, right) == (0, width) or self.stored_chunks[0] > width
        if is_whole and last - first > 1:
            start, stop = first * width, min(last * width, self.n_points)
            if stop > start:
                rows = np.zeros((last - first, width, *block.shape[2:]), self.dtype)
                flat = rows.reshape(-1, *block.shape[2:])
                flat[: stop - start] = dataset[(slice(start, stop), *inner)]
                for i in range(last - first):
                    row = rows[i, ::-1] if self.is_reversed[first + i] else rows[i]
                    block[i] = row[left:right]
            return block
        for i in range(last - first):
            origin, ends = (first + i) * width, (left, right)
            if self.is_reversed[first + i]:
                ends = (width - right, width - left)
            start, stop = origin + ends[0], min(origin + ends[1], self.n_points)
            if stop <= start:
                continue
            points = dataset[(slice(start, stop), *inner)]
            if self.is_reversed[first + i]:
                block[i, right - left - len(points) :] = points[::-1]
            else:
                block[i, : len(points)] = points
        return block

    def _read_runs(self, dataset: Turned, ranges: tuple[Range, ...]) -> np.ndarray:
        """Read points of a line, or of a map of more axes, a run along the last at a time."""
        block = np.zeros([stop - start for start, stop in ranges], dtype=self.dtype)
        *outer, (left, right) = ranges[: self.n_grid]
        inner = tuple(slice(*r) for r in ranges[self.n_grid :])
        shape = self.shape[: self.n_grid]
        for index in np.ndindex(block.shape[: self.n_grid - 1]):
            place = [start + i for i, (start, _) in zip(index, outer, strict=True)]
            start = int(np.ravel_multi_index((*place, left), shape))
            stop = min(start + right - left, self.n_points)
            if stop > start:
                block[index][: stop - start] = dataset[(slice(start, stop), *inner)]
        return block


class StoredMap(Stored, CountedArray):
    """A dataset of counts."""

    def by_detector(self) -> StackedMaps | None:
        """Return the same with the detectors apart."""
        if len(self.detectors) < 2:
            return None
        return StackedMaps(tuple(self._of(i) for i in self.detectors))

    def _of(self, detector: int) -> "StoredMap":
        dtype = self.stored_dtype
        return dataclasses.replace(self, detectors=(detector,), dtype=dtype)

    def row_axis(self) -> int:
        """Return the first axis."""
        return 0

    def row_step(self) -> int:
        """Return how many rows a chunk of the file has."""
        if self.n_points is not None:
            return 1
        return self.stored_chunks[0]

    def file_bytes(self) -> int:
        """Return the size of the array."""
        return math.prod(self.shape) * self.dtype.itemsize

    def pieces(
        self, ranges: tuple[Range, ...]
    ) -> Iterator[tuple[tuple[Range, ...], np.ndarray]]:
        """Read a block piece by piece, the file open; see :meth:`FileArray.pieces`."""
        row = [stop - start for start, stop in ranges]
        row_bytes = max(1, math.prod(row[1:]) * self.dtype.itemsize)
        step = self.row_step()
        if self.n_points is not None:
            width = math.prod(self.shape[1 : self.n_grid])
            step = max(1, self.stored_chunks[0] // width)
        height = max(1, PIECE_BYTES // row_bytes)
        # Chunks of the file as they are, rather than each of them several times.
        height = -(-height // step) * step
        with self._opened() as dataset:
            start, stop = ranges[0]
            while start < stop:
                end = min(stop, (start // height + 1) * height)
                held = ((start, end), *ranges[1:])
                yield held, self._read(dataset, held)
                start = end


def check_filters(path: str | Path, dataset: h5py.Dataset) -> None:
    """Load what decompresses a dataset.

    Raises
    ------
    ImportError
        It is not installed.
    FileFormatError
        Nothing that is known decompresses it.
    """
    creation = dataset.id.get_create_plist()
    for i in range(creation.get_nfilters()):
        code, _, _, label = creation.get_filter(i)
        if h5py.h5z.filter_avail(code):
            continue
        require("hdf5plugin", "esrf")  # registers its filters when it is imported
        if not h5py.h5z.filter_avail(code):
            raise FileFormatError(
                f"{path}: {dataset.name} is compressed with filter {code} "
                f"({label.decode('latin-1')}), which neither HDF5 nor hdf5plugin has, "
                f"expected one of theirs (byte {h5py.h5o.get_info(dataset.id).addr})."
            )


def find_sources(
    path: str | Path, dataset: h5py.Dataset
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return path and identity of the files that a virtual dataset is made of.

    Raises
    ------
    FileNotFoundError
        Some of the files, or datasets in them, are not there: HDF5 gives zeros for them.
    """
    if not isinstance(dataset, Dataset):
        return ()
    missing = dataset.parts.missing
    if missing:
        raise FileNotFoundError(
            ENOENT,
            f"{dataset.name} is made of {', '.join(missing[:8])}"
            f"{' ...' if len(missing) > 8 else ''}, which "
            f"{'are' if len(missing) > 1 else 'is'} not there, expected beside it",
            str(path),
        )
    return dataset.parts.files


def make_source(
    path: str | Path,
    dataset: h5py.Dataset,
    shape: tuple[int, ...],
    grid: Grid | None = None,
    order: tuple[int, ...] | None = None,
    detector_axis: int | None = None,
    detectors: tuple[int, ...] = (),
    is_spectra: bool = True,
) -> ArrayLike:
    """Make the array-like over a dataset.

    Parameters
    ----------
    path
        Of the file that was opened; the dataset may be in another one.
    dataset
        Of numbers.
    shape
        Of the array.
    grid
        Where the points are, if an axis of the dataset are points.
    order
        The axis of the dataset of each axis of the array, but for those of a grid; as they
        are if None.
    detector_axis, detectors
        The axis of the dataset that is of detectors, and which are read; several are added
        up.
    is_spectra
        Whether the last axis of the array are channels.

    Raises
    ------
    CorruptFileError, FileFormatError, FileNotFoundError, ImportError
        It cannot be read: see :func:`rsciio_xfm.core.hdf5.sizes.check_size`,
        :func:`check_filters` and :func:`find_sources`.
    """
    check_size(path, dataset)
    check_filters(path, dataset)
    sources = find_sources(path, dataset)
    own = file_of(path, dataset)
    with open_unbuffered(own) as file:
        identity = identify(file)
    order = tuple(range(dataset.ndim)) if order is None else order
    is_map = is_spectra and len(shape) > 1
    # A line is its points, unless some of them were never measured.
    is_points = grid is not None and grid.shape != (dataset.shape[order[0]],)
    dtype = dataset.dtype.newbyteorder("=")
    counted = is_map and is_counts(np.empty(0, dtype))
    if counted and order == tuple(range(dataset.ndim)):
        raw = _find_raw(own, identity, dataset, shape, grid)
        if raw is not None:
            return raw
    stored = dataset.chunks or dataset.shape
    kind: Any = StoredMap if counted else Stored
    return kind(
        own,
        identity,
        dataset.name,
        tuple(shape),
        sum_dtype(dtype, len(detectors)),
        tuple(stored[axis] for axis in order),
        order,
        detector_axis,
        detectors,
        grid.n_points if is_points else None,
        len(grid.shape) if is_points else 2,
        tuple(grid.is_reversed.tolist()) if is_points else (),
        find_chunks(own, identity, dataset),
        sources,
        dtype,
    )


def sum_of_detectors(sources: list[ArrayLike]) -> StoredMap | None:
    """Return the sum of what is read of one dataset, so that its chunks are read once.

    None if they are of several datasets, or do not follow each other.
    """
    first = sources[0]
    if len(sources) < 2 or not all(isinstance(s, StoredMap) for s in sources):
        return None
    if first.detector_axis is None:
        return None
    one = {
        (s.path, s.identity, s.name, s.shape, s.order, s.detector_axis) for s in sources
    }
    numbers = tuple(number for source in sources for number in source.detectors)
    is_range = numbers == tuple(range(numbers[0], numbers[0] + len(sources)))
    if len(one) > 1 or not is_range:
        return None
    dtype = sum_dtype(first.dtype, len(sources))
    return dataclasses.replace(first, detectors=numbers, dtype=dtype)


def _find_raw(
    path: str,
    identity: tuple[int, ...],
    dataset: h5py.Dataset,
    shape: tuple[int, ...],
    grid: Grid | None,
) -> RawMap | None:
    """Return spectra that lie in the file one after the other: read past HDF5, in threads."""
    creation = dataset.id.get_create_plist()
    is_plain = (
        creation.get_layout() == h5py.h5d.CONTIGUOUS
        and is_plain_type(dataset)
        and not dataset.external
        and len(shape) in (2, 3)
        and not h5py.h5i.get_file_id(dataset.id).get_create_plist().get_userblock()
    )
    offset = dataset.id.get_offset() if is_plain else None
    if offset is None or math.prod(shape) == 0:
        return None
    n_rows = min(shape[0], dataset.shape[0])
    if grid is not None and len(grid.shape) > 1:
        n_rows, rest = divmod(grid.n_points, grid.shape[-1])
        if rest or grid.is_reversed.any() or len(grid.shape) != 2:
            return None
    elif shape[1:] != dataset.shape[1:]:
        return None
    end = offset + n_rows * math.prod(shape[1:]) * dataset.dtype.itemsize
    if end > identity[0]:
        raise CorruptFileError(
            f"{path}: {dataset.name} ends at byte {end}, expected at most {identity[0]}, the "
            f"size of the file: it is cut (the numbers begin at byte {offset})."
        )
    return RawMap(path, identity, offset, n_rows, tuple(shape), dataset.dtype)
