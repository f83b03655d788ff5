"""Datasets of HDF5 files as array-likes: past HDF5 where that can be, else through it.

HDF5 lets one thread in at a time. Chunks, and numbers without chunks, stand in the file at
places that HDF5 tells. They are read from the file and decompressed in any number of threads.
"""

import itertools
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from errno import ENOENT
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.array import CountedArray, FileArray, Pieces, Range, read_rows
from rsciio_xfm.core.chunks import NO_CHUNK, ChunkedArray, Table
from rsciio_xfm.core.codecs import PLAIN, Deflate, Lzf, Place
from rsciio_xfm.core.config import HDF5_CACHE_BYTES
from rsciio_xfm.core.detectors import Detectors
from rsciio_xfm.core.extras import require
from rsciio_xfm.core.hdf5.links import Dataset, file_of
from rsciio_xfm.core.hdf5.open import is_elsewhere, open_dataset
from rsciio_xfm.core.hdf5.sizes import check_size, is_plain_type
from rsciio_xfm.core.scan import Grid
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.core.views import Joined, Placed
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.kernels.transpose import copy

_DEFLATE, _SHUFFLE = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE
_LZF = h5py.h5z.FILTER_LZF
_KNOWN: tuple[tuple[int, ...], ...] = (
    (),
    (_SHUFFLE,),
    (_DEFLATE,),
    (_SHUFFLE, _DEFLATE),
    (_LZF,),
    (_SHUFFLE, _LZF),
)
_MOST_CHUNKS = 2**22
_LEAST_RUN = 8  # chunks that follow each other, on average
_NUMBERS = "iufc"


@dataclass(frozen=True)
class Filtered(Deflate):
    """Chunks of a dataset that went through shuffle and deflate; HDF5 is asked if need be.

    Attributes
    ----------
    file, dataset
        The file, and the path of the dataset in it.
    """

    file: LocalFile = field(kw_only=True)
    dataset: str = field(kw_only=True)

    def decode_damaged(
        self, out: np.ndarray, place: Place, error: CorruptFileError
    ) -> None:
        """Read a chunk with HDF5, which says what is wrong with it, or knows better.

        At the edges, what is beyond is not read.
        """
        # Of a stream of another length, HDF5 would give what was in memory before.
        if not isinstance(error.__cause__, zlib.error):
            raise error
        with open_dataset(self.file.name, self.file.version, self.dataset) as dataset:
            chunk = out.view(dataset.dtype).reshape(dataset.chunks)
            pairs = [*zip(place.index, dataset.chunks, strict=True)]
            found = dataset[tuple(slice(i * size, (i + 1) * size) for i, size in pairs)]
            chunk[tuple(map(slice, found.shape))] = found


def find_chunks(
    file: LocalFile,
    dataset: h5py.Dataset,
    order: tuple[int, ...] = (),
    n_rows: int | None = None,
) -> ChunkedArray | None:
    """Find where the numbers of a dataset are.

    Parameters
    ----------
    file
        That the dataset is in.
    dataset
        Any.
    order
        The axis of the dataset of each axis of the array; as they are if empty.
    n_rows
        How many entries of the first axis are taken; all if None.

    Returns
    -------
    ChunkedArray or None
        None if HDF5 has to read it: it went through filters that are not known here,
        is made of others, or holds no plain numbers.

    Raises
    ------
    CorruptFileError
        The file ends before the numbers do.
    """
    if not _is_plain(dataset):
        return None
    shape = shape_of(dataset)
    shape = shape if n_rows is None else (n_rows, *shape[1:])
    if dataset.chunks is None:
        table = find_run(file, dataset, shape, n_rows)
        return None if table is None else ChunkedArray(table, PLAIN, order)
    filters = _filters_of(dataset)
    # LZF is left out of a chunk that it does not make shorter.
    left_out = 1 << filters.index(_LZF) if _LZF in filters else 0
    table = _find_table(file, dataset, shape, left_out) if filters in _KNOWN else None
    if table is None:
        return None
    if not filters:
        is_whole = table.n_bytes[table.offsets != NO_CHUNK] == table.chunk_bytes
        return ChunkedArray(table, PLAIN, order) if is_whole.all() else None
    width = dataset.dtype.itemsize if _SHUFFLE in filters else 1
    if _LZF in filters:
        return ChunkedArray(table, Lzf(width), order)
    if dataset.dtype.subdtype is not None:
        return ChunkedArray(table, Deflate(width, _DEFLATE in filters), order)
    decoder = Filtered(width, _DEFLATE in filters, file=file, dataset=dataset.name)
    return ChunkedArray(table, decoder, order)


def number_type(dataset: h5py.Dataset) -> np.dtype:
    """Return the type of the numbers of a dataset, whose elements may be arrays of them."""
    return dataset.dtype.base


def shape_of(dataset: h5py.Dataset) -> tuple[int, ...]:
    """Return the shape of the numbers of a dataset; axes of its elements are the last."""
    return (*dataset.shape, *dataset.dtype.shape)


def _is_plain(dataset: h5py.Dataset) -> bool:
    """Tell whether a dataset holds numbers as numpy does, in this file."""
    creation = h5py.h5i.get_file_id(dataset.id).get_create_plist()
    return (
        bool(dataset.shape)
        and 0 not in dataset.shape
        and number_type(dataset).kind in _NUMBERS
        and not is_elsewhere(dataset)
        and not creation.get_userblock()
        and is_plain_type(dataset)
    )


def _filters_of(dataset: h5py.Dataset) -> tuple[int, ...]:
    creation = dataset.id.get_create_plist()
    return tuple(creation.get_filter(i)[0] for i in range(creation.get_nfilters()))


def find_run(
    file: LocalFile,
    dataset: h5py.Dataset,
    shape: tuple[int, ...],
    n_present: int | None = None,
) -> Table | None:
    """Find where the numbers of a dataset without chunks are.

    Parameters
    ----------
    file, dataset
        See :func:`find_chunks`.
    shape
        That they are given.
    n_present
        How many entries of the first axis are there; the rest are zeros.

    Returns
    -------
    Table or None
        None if nothing of it is stored, or it lies otherwise.

    Raises
    ------
    CorruptFileError
        The file ends before they do.
    """
    is_run = dataset.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
    offset = dataset.id.get_offset() if is_run and _is_plain(dataset) else None
    if offset is None:
        return None
    n_rows = shape[0] if n_present is None else n_present
    dtype = number_type(dataset)
    end = offset + n_rows * math.prod(shape[1:]) * dtype.itemsize
    if end > file.size:
        raise CorruptFileError(
            f"{file.name}: {dataset.name} ends at byte {end}, expected at most {file.size}, "
            f"the size of the file: it is cut (the numbers begin at byte {offset})."
        )
    return Table.of_run(file, offset, shape, dtype, n_rows)


def _find_table(
    file: LocalFile, dataset: h5py.Dataset, shape: tuple[int, ...], left_out: int
) -> Table | None:
    """Find where the chunks of a dataset are; None if they are too many, or unusual.

    `left_out` is the mask of the filter that whole chunks, and no others, may lack.
    """
    inner = dataset.dtype.shape  # of each element: all of them are in a chunk
    chunks = (*dataset.chunks, *inner)
    grid = tuple(-(-whole // size) for whole, size in zip(shape, chunks, strict=True))
    if math.prod(grid) > _MOST_CHUNKS or not hasattr(dataset.id, "chunk_iter"):
        return None
    offsets = np.full(grid, NO_CHUNK, dtype=np.int64)
    n_bytes = np.zeros(grid, dtype=np.int64)
    masks = set()
    chunk_bytes = math.prod(dataset.chunks) * dataset.dtype.itemsize

    def visit(info: Any) -> None:
        pairs = zip(info.chunk_offset, dataset.chunks, strict=True)
        index = (*(at // size for at, size in pairs), *(0 for _ in inner))
        if all(i < n for i, n in zip(index, grid, strict=True)):
            offsets[index] = info.byte_offset
            n_bytes[index] = info.size
        is_whole = left_out > 0 and info.size == chunk_bytes
        masks.add(info.filter_mask - left_out if is_whole else info.filter_mask)

    dataset.id.chunk_iter(visit)
    is_beyond = (offsets + n_bytes > file.size).any()
    most = 2 * chunk_bytes + 2**16
    is_filtered = masks <= {0}  # else another filter was left out of some chunk
    fill = np.asarray(dataset.fillvalue)
    is_even = not inner or not fill.any()
    if not is_filtered or is_beyond or not is_even or n_bytes.max(initial=0) > most:
        return None
    return Table(
        (file,),
        tuple(shape),
        chunks,
        number_type(dataset),
        offsets,
        n_bytes,
        fill=0 if inner else fill.item(),
    )


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
        outer, inner = stored[: dataset.ndim], stored[dataset.ndim :]
        found = np.asarray(dataset[tuple(outer)][(..., *inner)], dtype=self.dtype)
        turned = found.transpose(self.axes)
        if turned.flags.c_contiguous:
            return turned
        block = np.empty(turned.shape, dtype=self.dtype)
        copy(turned, block)
        return block

    def pieces(self, ranges: Ranges) -> Pieces:
        """Read a block piece by piece, the file open; see :meth:`FileArray.pieces`."""
        with self._opened() as dataset:
            yield from read_rows(
                self, ranges, self.row_step(), partial(self._read, dataset)
            )


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
    is_unsigned
        Whether signed integers are counts that went beyond the largest of them.
    """

    order: tuple[int, ...] = ()
    grid: Grid | None = None
    detector_axis: int | None = None
    detectors: tuple[int, ...] = ()
    n_rows: int | None = None
    is_unsigned: bool = False


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
    order = arrangement.order or tuple(range(len(shape_of(dataset))))
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
    if arrangement.is_unsigned:
        source = _as_unsigned(source)
    if detector_axis is not None:
        where = f"{file.name}: {dataset.name}"
        runs = _find_runs(source) if isinstance(source, ChunkedArray) else [source]
        each = tuple(Detectors(run, arrangement.detectors, where) for run in runs)
        places = tuple((0, run.shape[0], run.shape[0]) for run in each)
        source = each[0] if len(each) == 1 else Joined(each, places)
    if grid is not None:
        turned = tuple(grid.is_reversed.tolist()) if grid.is_reversed.any() else ()
        source = Placed(source, grid.shape, grid.n_points, turned)
    return source


def _find_runs(source: ChunkedArray) -> list[ChunkedArray]:
    """Put small plain chunks together that follow each other in the file.

    Those that areaDetector writes are a point each; to go through them one by one takes longer
    than to read them.
    """
    table = source.table
    n_rows, offsets = table.chunks[0], table.offsets.ravel()
    is_whole = table.chunks[1:] == table.shape[1:] and source.axes[1:2] == (0,)
    is_plain = source.decoder.is_plain and not (offsets == NO_CHUNK).any()
    if not is_whole or not is_plain or len(offsets) < _LEAST_RUN:
        return [source]
    starts = np.flatnonzero(np.diff(offsets) != table.chunk_bytes) + 1
    if _LEAST_RUN * (len(starts) + 1) > len(offsets):
        return [source]
    runs = []
    edges = [0, *starts.tolist(), len(offsets)]
    for start, stop in itertools.pairwise(edges):
        shape = (min(stop * n_rows, table.shape[0]) - start * n_rows, *table.shape[1:])
        offset = int(offsets[start])
        run = Table.of_run(table.sources[0], offset, shape, table.dtype)
        runs.append(ChunkedArray(run, PLAIN, source.order))
    return runs


def _as_unsigned(source: FileArray) -> FileArray:
    """Take the bits of signed integers for unsigned ones."""
    if source.dtype.kind != "i":
        return source
    if isinstance(source, ChunkedArray):
        stored = source.table.dtype
        dtype = np.dtype(f"u{stored.itemsize}").newbyteorder(stored.byteorder)
        fill = int(source.table.fill) % 2 ** (8 * stored.itemsize)
        return replace(source, table=replace(source.table, dtype=dtype, fill=fill))
    if isinstance(source, Hdf5Array):
        return replace(source, dtype=np.dtype(f"u{source.dtype.itemsize}"))
    return source


def _through_hdf5(
    file: LocalFile,
    dataset: h5py.Dataset,
    order: tuple[int, ...],
    n_rows: int | None,
    sources: tuple[LocalFile, ...],
) -> Hdf5Array:
    shape: Any = shape_of(dataset)
    shape = shape if n_rows is None else (n_rows, *shape[1:])
    dtype = number_type(dataset).newbyteorder("=")
    chunks = (*(dataset.chunks or dataset.shape), *dataset.dtype.shape)
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
