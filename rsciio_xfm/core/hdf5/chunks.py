"""Datasets whose numbers are read past HDF5, which lets one thread in at a time.

Chunks, and numbers without chunks, stand in the file at places that HDF5 tells. They are read
from the file and decompressed in any number of threads.
"""

import math
import zlib
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.chunks import NO_CHUNK, ChunkedArray, Table
from rsciio_xfm.core.codecs import Deflate, Place, Plain
from rsciio_xfm.core.hdf5.open import is_elsewhere, open_dataset
from rsciio_xfm.core.hdf5.sizes import is_plain_type
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.exceptions import CorruptFileError

_DEFLATE, _SHUFFLE = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE
_KNOWN: tuple[tuple[int, ...], ...] = ((), (_SHUFFLE,), (_DEFLATE,), (_SHUFFLE, _DEFLATE))
_MOST_CHUNKS = 2**22
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
        None if HDF5 has to read it: it went through other filters than shuffle and deflate,
        is made of others, or holds no plain numbers.

    Raises
    ------
    CorruptFileError
        The file ends before the numbers do.
    """
    if not _is_plain(dataset):
        return None
    shape = dataset.shape if n_rows is None else (n_rows, *dataset.shape[1:])
    if dataset.chunks is None:
        table = find_run(file, dataset, shape, n_rows)
        return None if table is None else ChunkedArray(table, Plain(), order)
    filters = _filters_of(dataset)
    table = _find_table(file, dataset, shape) if filters in _KNOWN else None
    if table is None:
        return None
    if not filters:
        is_whole = table.n_bytes[table.offsets != NO_CHUNK] == table.chunk_bytes
        return ChunkedArray(table, Plain(), order) if is_whole.all() else None
    width = dataset.dtype.itemsize if _SHUFFLE in filters else 1
    decoder = Filtered(width, _DEFLATE in filters, file=file, dataset=dataset.name)
    return ChunkedArray(table, decoder, order)


def _is_plain(dataset: h5py.Dataset) -> bool:
    """Tell whether a dataset holds numbers as numpy does, in this file."""
    creation = h5py.h5i.get_file_id(dataset.id).get_create_plist()
    return (
        bool(dataset.shape)
        and 0 not in dataset.shape
        and dataset.dtype.kind in _NUMBERS
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
    end = offset + n_rows * math.prod(shape[1:]) * dataset.dtype.itemsize
    if end > file.size:
        raise CorruptFileError(
            f"{file.name}: {dataset.name} ends at byte {end}, expected at most {file.size}, "
            f"the size of the file: it is cut (the numbers begin at byte {offset})."
        )
    return Table.of_run(file, offset, shape, dataset.dtype, n_rows)


def _find_table(
    file: LocalFile, dataset: h5py.Dataset, shape: tuple[int, ...]
) -> Table | None:
    """Find where the chunks of a dataset are; None if they are too many, or unusual."""
    pairs = zip(shape, dataset.chunks, strict=True)
    grid = tuple(-(-whole // size) for whole, size in pairs)
    if math.prod(grid) > _MOST_CHUNKS or not hasattr(dataset.id, "chunk_iter"):
        return None
    offsets = np.full(grid, NO_CHUNK, dtype=np.int64)
    n_bytes = np.zeros(grid, dtype=np.int64)
    masks = set()

    def visit(info: Any) -> None:
        pairs = zip(info.chunk_offset, dataset.chunks, strict=True)
        index = tuple(at // size for at, size in pairs)
        if all(i < n for i, n in zip(index, grid, strict=True)):
            offsets[index] = info.byte_offset
            n_bytes[index] = info.size
        masks.add(info.filter_mask)

    dataset.id.chunk_iter(visit)
    is_beyond = (offsets + n_bytes > file.size).any()
    most = 2 * math.prod(dataset.chunks) * dataset.dtype.itemsize + 2**16
    is_filtered = masks <= {0}  # else a filter was left out of some chunk
    if not is_filtered or is_beyond or n_bytes.max(initial=0) > most:
        return None
    return Table(
        (file,),
        tuple(shape),
        dataset.chunks,
        dataset.dtype,
        offsets,
        n_bytes,
        fill=dataset.fillvalue.item(),
    )
