"""Datasets of HDF5 files as array-likes: past HDF5 where that can be, else through it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOENT
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.array import CountedArray, FileArray, Pieces, Range
from rsciio_xfm.core.chunks import ChunkedArray
from rsciio_xfm.core.config import HDF5_CACHE_BYTES, PIECE_BYTES
from rsciio_xfm.core.extras import require
from rsciio_xfm.core.hdf5.chunks import find_chunks, find_run
from rsciio_xfm.core.hdf5.links import Dataset, file_of
from rsciio_xfm.core.hdf5.open import open_dataset
from rsciio_xfm.core.hdf5.sizes import check_size
from rsciio_xfm.core.scan import Grid
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.core.views import Detectors, Placed
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.kernels.transpose import copy

Ranges = tuple[Range, ...]


@dataclass(frozen=True, eq=False)
class Hdf5Array(CountedArray):
    """A dataset that HDF5 reads: of other filters, of other types, or made of others.

    Attributes
    ----------
    file, name
        The file, and the path of the dataset in it.
    stored_shape
        Of the dataset, or of the first rows of it.
    dtype
        Of the numbers, in the byte order of this machine.
    chunks
        Of the dataset; the whole if it has none.
    axes
        The axis of the dataset of each axis of the array.
    sources
        Of a virtual dataset, the files that it is made of.
    """

    file: LocalFile
    name: str
    stored_shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...]
    axes: tuple[int, ...]
    sources: tuple[LocalFile, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return tuple(self.stored_shape[axis] for axis in self.axes)

    @property
    def stored_chunks(self) -> tuple[int, ...]:
        """Size of a chunk along each axis."""
        return tuple(self.chunks[axis] for axis in self.axes)

    def row_axis(self) -> int:
        """Return the first axis."""
        return 0

    def row_step(self) -> int:
        """Return how many rows a chunk has."""
        return self.stored_chunks[0]

    def file_bytes(self) -> int:
        """Return the size of the array."""
        return int(np.prod(self.shape, dtype=float)) * self.dtype.itemsize

    def read(self, ranges: Ranges) -> np.ndarray:
        """Read a block; see :meth:`ArrayLike.read`."""
        with self._opened() as dataset:
            return self._read(dataset, ranges)

    @contextmanager
    def _opened(self) -> Iterator[h5py.Dataset]:
        for source in self.sources:
            with source.open():  # refuses it if it was changed
                pass
        options = {"rdcc_nbytes": HDF5_CACHE_BYTES}
        with open_dataset(
            self.file.name, self.file.version, self.name, **options
        ) as dataset:
            check_filters(self.file.name, dataset)
            yield dataset

    def _read(self, dataset: h5py.Dataset, ranges: Ranges) -> np.ndarray:
        stored = [slice(*ranges[self.axes.index(i)]) for i in range(len(ranges))]
        found = np.asarray(dataset[tuple(stored)], dtype=self.dtype)
        turned = found.transpose(self.axes)
        if turned.flags.c_contiguous:
            return turned
        block = np.empty(turned.shape, dtype=self.dtype)
        copy(turned, block)
        return block

    def pieces(self, ranges: Ranges) -> Pieces:
        """Read a block piece by piece, the file open; see :meth:`FileArray.pieces`."""
        row = int(np.prod([b - a for a, b in ranges[1:]])) * self.dtype.itemsize
        step = self.row_step()
        # Chunks of the file as they are, rather than each of them several times.
        height = -(-max(1, PIECE_BYTES // max(1, row)) // step) * step
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


def find_sources(path: str | Path, dataset: h5py.Dataset) -> tuple[LocalFile, ...]:
    """Return the files that a virtual dataset is made of.

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
    return tuple(LocalFile(*found) for found in dataset.parts.files)


@dataclass(frozen=True)
class Arrangement:
    """How a dataset lies in the array that is made of it.

    Attributes
    ----------
    order
        The axis of the dataset of each axis of the array, the first one that of the points if
        there is a grid, and without that of the detectors; as they are if empty.
    grid
        Where the points are, if an axis of the dataset are points.
    detector_axis, detectors
        The axis of the dataset that is of detectors, and which are read; several are added
        up.
    n_rows
        How many entries of the first axis of the dataset are taken; all if None.
    """

    order: tuple[int, ...] = ()
    grid: Grid | None = None
    detector_axis: int | None = None
    detectors: tuple[int, ...] = ()
    n_rows: int | None = None


AS_STORED = Arrangement()


def make_source(
    path: str | Path, dataset: h5py.Dataset, arrangement: Arrangement = AS_STORED
) -> FileArray:
    """Make the array-like over a dataset.

    Parameters
    ----------
    path
        Of the file that was opened; the dataset may be in another one.
    dataset
        Any.
    arrangement
        How it lies in the array.

    Raises
    ------
    CorruptFileError, FileFormatError, FileNotFoundError, ImportError
        It cannot be read: see :func:`rsciio_xfm.core.hdf5.sizes.check_size`,
        :func:`check_filters` and :func:`find_sources`.
    """
    check_size(path, dataset)
    check_filters(path, dataset)
    sources = find_sources(path, dataset)
    file = LocalFile.of(file_of(path, dataset))
    grid, detector_axis = arrangement.grid, arrangement.detector_axis
    order = arrangement.order or tuple(range(dataset.ndim))
    # A line is its points, unless some of them were never measured.
    if grid is not None and grid.shape == (dataset.shape[order[0]],):
        grid = None
    if grid is not None and detector_axis is None:
        whole = _find_whole_rows(file, dataset, order, grid)
        if whole is not None:
            return whole
    stored = order if detector_axis is None else (detector_axis, *order)
    source: FileArray = find_chunks(
        file, dataset, stored, arrangement.n_rows
    ) or _through_hdf5(file, dataset, stored, arrangement.n_rows, sources)
    if detector_axis is not None:
        where = f"{file.name}: {dataset.name}"
        source = Detectors(source, arrangement.detectors, where)
    if grid is not None:
        turned = tuple(grid.is_reversed.tolist()) if grid.is_reversed.any() else ()
        source = Placed(source, grid.shape, grid.n_points, turned)
    return source


def _through_hdf5(
    file: LocalFile,
    dataset: h5py.Dataset,
    order: tuple[int, ...],
    n_rows: int | None,
    sources: tuple[LocalFile, ...],
) -> Hdf5Array:
    shape: Any = dataset.shape if n_rows is None else (n_rows, *dataset.shape[1:])
    dtype = dataset.dtype.newbyteorder("=")
    chunks = dataset.chunks or dataset.shape
    return Hdf5Array(file, dataset.name, shape, dtype, chunks, order, sources)


def _find_whole_rows(
    file: LocalFile, dataset: h5py.Dataset, order: tuple[int, ...], grid: Grid
) -> ChunkedArray | None:
    """Return points that lie in the file one after the other, as the rows of a map."""
    is_plain = order == tuple(range(dataset.ndim)) and len(grid.shape) == 2
    n_rows, rest = divmod(grid.n_points, grid.shape[-1])
    if not is_plain or rest or grid.is_reversed.any():
        return None
    table = find_run(file, dataset, (*grid.shape, *dataset.shape[1:]), n_rows)
    return None if table is None else ChunkedArray(table)
