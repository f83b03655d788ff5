"""The numbers of a long dataset, read past HDF5 where they lie as they are.

HDF5 lets one thread in at a time. The numbers of a dataset without filters stand in the file
as they are, at places that HDF5 tells: :class:`Values` keeps these places, and reads from the
file itself, in any number of threads.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from rsciio_xfm.core.hdf5.links import file_of
from rsciio_xfm.core.hdf5.open import is_elsewhere, open_dataset
from rsciio_xfm.core.hdf5.sizes import is_plain_type
from rsciio_xfm.core.source import (
    check_unchanged,
    identify,
    open_unbuffered,
    read_into,
)
from rsciio_xfm.exceptions import CorruptFileError

_LEAST_CHUNK, _MANY = 2**8, 2**24  # numbers


@dataclass(frozen=True, eq=False)
class Values:
    """The numbers of a dataset along its first axis, and where they are in the file.

    Attributes
    ----------
    path, identity
        The file, see :func:`rsciio_xfm.core.source.identify`.
    name
        Of the dataset, whose shape is (size,) or (size, 1).
    size
        How many numbers there are.
    dtype
        Of the numbers in the file.
    chunk_size
        How many a chunk has; 0 if they are read by HDF5, as they are compressed, say.
    offsets
        int64, byte at which each chunk begins, -1 where there is none.
    fill
        What stands for numbers that are not stored.
    """

    path: str
    identity: tuple[int, ...]
    name: str
    size: int
    dtype: np.dtype
    chunk_size: int
    offsets: np.ndarray
    fill: int

    @contextmanager
    def opened(self) -> Iterator[Callable[[int, int, np.ndarray], None]]:
        """Open the file for reading.

        Yields
        ------
        callable
            ``read(start, stop, out)`` fills `out`, of this dtype, with a range of numbers.
        """
        if self.chunk_size:
            with open_unbuffered(self.path) as file:
                check_unchanged(file, self.path, self.identity)
                yield lambda start, stop, out: self._read_past(file, start, stop, out)
                check_unchanged(file, self.path, self.identity)
        else:
            with open_dataset(self.path, self.identity, self.name) as dataset:
                # Reading [:, 0] into one dimension is far faster than into two.
                rest = (0,) * (dataset.ndim - 1)

                def read(start: int, stop: int, out: np.ndarray) -> None:
                    if stop > start:
                        dataset.read_direct(out, np.s_[(slice(start, stop), *rest)])

                yield read

    def byte_of(self, position: int) -> int:
        """Return the byte of the file at which a number is, or its chunk's; -1 if unknown."""
        if not self.chunk_size or position >= self.size:
            return -1
        chunk, inside = divmod(position, self.chunk_size)
        return int(self.offsets[chunk]) + inside * self.dtype.itemsize

    def _read_past(self, file: BinaryIO, start: int, stop: int, out: np.ndarray) -> None:
        """Read from the file itself, neighbouring chunks together."""
        if stop <= start:
            return
        width, n_bytes = self.chunk_size, self.dtype.itemsize
        first, last = start // width, (stop - 1) // width
        offsets = self.offsets[first : last + 1]
        is_next = offsets[1:] - offsets[:-1] == width * n_bytes
        is_next &= offsets[:-1] >= 0
        breaks = (np.flatnonzero(~is_next) + 1).tolist()
        raw = out.view(np.uint8)
        at = start
        for begin, end in itertools.pairwise([0, *breaks, len(offsets)]):
            until = min(stop, (first + end) * width)
            part = raw[(at - start) * n_bytes : (until - start) * n_bytes]
            if offsets[begin] < 0:
                out[at - start : until - start] = self.fill
            else:
                place = int(offsets[begin]) + (at - (first + begin) * width) * n_bytes
                n_read = read_into(file, place, part, part.size)
                if n_read < part.size:
                    raise CorruptFileError(
                        f"{self.path}: the file ends here, expected {part.size - n_read} "
                        f"bytes more of {self.name} (byte {place + n_read})."
                    )
            at = until


def find_values(
    path: str | Path, identity: tuple[int, ...], file: h5py.File, name: str
) -> Values:
    """Find where the numbers of a dataset are.

    Parameters
    ----------
    path, identity, file
        The file.
    name
        Of a dataset of integers of shape (n,) or (n, 1), in this file.

    Returns
    -------
    Values
        Read by HDF5 if they are compressed, or lie elsewhere than in this file.

    Raises
    ------
    CorruptFileError
        A chunk is beyond the end of the file.
    """
    dataset = file[name]
    size = dataset.shape[0]
    own = file_of(path, dataset)
    if own != os.path.abspath(path):
        with open_unbuffered(own) as linked:
            identity = identify(linked)
    # Workers and later calls may have another working folder.
    common = (own, identity, dataset.name.strip("/"), size, dataset.dtype)
    is_plain = dataset.dtype.isnative and is_plain_type(dataset)
    places = _find_places(dataset) if is_plain else None
    if places is None:
        return Values(*common, 0, np.empty(0, np.int64), 0)
    chunk_size, offsets = places
    stops = offsets + chunk_size * dataset.dtype.itemsize
    if len(offsets) and offsets[-1] >= 0 and dataset.chunks is None:
        stops[-1] = offsets[-1] + size * dataset.dtype.itemsize
    beyond = np.flatnonzero((offsets >= 0) & (stops > identity[0]))
    if len(beyond):
        at = offsets[beyond[0]]
        raise CorruptFileError(
            f"{path}: values {beyond[0] * chunk_size} on of {name} are beyond the "
            f"end of the file, {identity[0]} bytes, expected within it (byte {at})."
        )
    return Values(*common, chunk_size, offsets, int(dataset.fillvalue))


def _find_places(dataset: h5py.Dataset) -> tuple[int, np.ndarray] | None:
    """Return the size of a chunk, and the byte of each, if the numbers lie there as such."""
    creation = dataset.id.get_create_plist()
    layout = creation.get_layout()
    has_user_block = h5py.h5i.get_file_id(dataset.id).get_create_plist().get_userblock()
    if creation.get_nfilters() or is_elsewhere(dataset) or has_user_block:
        return None
    if layout == h5py.h5d.CONTIGUOUS:
        offset = dataset.id.get_offset()
        # None is stored of a dataset that nobody has written to.
        places = [-1 if offset is None else offset] if dataset.shape[0] else []
        return max(1, dataset.shape[0]), np.array(places, np.int64)
    if layout != h5py.h5d.CHUNKED or not hasattr(dataset.id, "chunk_iter"):
        return None
    if dataset.chunks[1:] != dataset.shape[1:]:
        return None
    chunk_size = dataset.chunks[0]
    if chunk_size < _LEAST_CHUNK and dataset.shape[0] > _MANY:
        return None  # the list of places would be as large as the numbers
    offsets = np.full(-(-dataset.shape[0] // chunk_size), -1, dtype=np.int64)

    def visit(info: h5py.h5d.StoreInfo) -> None:
        index = info.chunk_offset[0] // chunk_size
        if index < len(offsets):
            offsets[index] = info.byte_offset

    if len(offsets):
        dataset.id.chunk_iter(visit)
    return chunk_size, offsets
