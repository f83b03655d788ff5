"""Chunks of HDF5 datasets read past HDF5, which lets one thread in at a time.

Compressed chunks stand in the file as they are, at places that HDF5 tells. They are read
from the file and decompressed in any number of threads.
"""

import itertools
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from rsciio_xfm.core.hdf5.open import open_dataset
from rsciio_xfm.core.hdf5.sizes import is_plain_type
from rsciio_xfm.core.source import check_unchanged, open_unbuffered, read_into
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.kernels.transpose import unshuffle

_DEFLATE, _SHUFFLE = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE
_KNOWN = ((), (_SHUFFLE,), (_DEFLATE,), (_SHUFFLE, _DEFLATE))
_MOST_CHUNKS = 2**22
_NO_PLACE = -1


@dataclass(frozen=True, eq=False)
class Chunks:
    """A dataset whose chunks are read one by one.

    Attributes
    ----------
    path, identity
        The file, see :func:`rsciio_xfm.core.source.identify`.
    name
        Of the dataset.
    shape, dtype
        Of it, as it is stored.
    chunks
        Sizes of a chunk.
    filters
        What its bytes went through: shuffled, deflated.
    offsets, n_bytes
        int64, one for each chunk along each axis: byte at which it begins, -1 where there is
        none, and how many it has.
    fill
        What stands where there is no chunk.
    """

    path: str
    identity: tuple[int, ...]
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    chunks: tuple[int, ...]
    filters: tuple[int, ...]
    offsets: np.ndarray
    n_bytes: np.ndarray
    fill: int | float

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        """Read a block: slices with start and stop, without a step, in memory's byte order."""
        ranges = [(part.start, part.stop) for part in key]
        block = np.full(
            [stop - start for start, stop in ranges],
            self.fill,
            dtype=self.dtype.newbyteorder("="),
        )
        if block.size == 0:
            return block
        grid = [
            range(start // size, -(-stop // size))
            for (start, stop), size in zip(ranges, self.chunks, strict=True)
        ]
        with open_unbuffered(self.path) as file:
            check_unchanged(file, self.path, self.identity)
            for index in itertools.product(*grid):
                offset = int(self.offsets[index])
                if offset == _NO_PLACE:
                    continue
                n_bytes = int(self.n_bytes[index])
                raw = np.empty(n_bytes, dtype=np.uint8)
                chunk = None
                if read_into(file, offset, raw, n_bytes) == n_bytes:
                    chunk = self._decode(raw, offset)
                if chunk is None:  # damaged, or unusual: HDF5 says so, or knows better
                    chunk = self._read_with_hdf5(index)
                into, out_of = [], []
                for i, (start, stop), size in zip(
                    index, ranges, self.chunks, strict=True
                ):
                    first, last = max(start, i * size), min(stop, (i + 1) * size)
                    into.append(slice(first - start, last - start))
                    out_of.append(slice(first - i * size, last - i * size))
                block[tuple(into)] = chunk[tuple(out_of)]
        return block

    def _decode(self, raw: np.ndarray, offset: int) -> np.ndarray | None:
        """Decompress a chunk; None if it is no such chunk."""
        n_bytes = math.prod(self.chunks) * self.dtype.itemsize
        if _DEFLATE in self.filters:
            stream = zlib.decompressobj()
            try:
                # No more than is due, and the checksum behind it.
                plain = stream.decompress(raw, n_bytes + 1)
            except zlib.error:
                return None
            if len(plain) != n_bytes or not stream.eof:
                # HDF5 would give what was in memory before.
                raise CorruptFileError(
                    f"{self.path}: a chunk of {self.name} has {len(plain)} bytes when it is "
                    f"decompressed, or more, expected {n_bytes} (byte {offset})."
                )
            raw = np.frombuffer(plain, dtype=np.uint8)
        if raw.size != n_bytes:
            return None
        if _SHUFFLE in self.filters and self.dtype.itemsize > 1:
            ordered = np.empty(n_bytes, dtype=np.uint8)
            width = self.dtype.itemsize
            unshuffle(raw.reshape(width, -1), ordered.reshape(-1, width))
            raw = ordered
        return raw.view(self.dtype).reshape(self.chunks)

    def _read_with_hdf5(self, index: tuple[int, ...]) -> np.ndarray:
        """Read a chunk as HDF5 does; at the edges, what is beyond is not read."""
        key = tuple(
            slice(i * size, min((i + 1) * size, whole))
            for i, size, whole in zip(index, self.chunks, self.shape, strict=True)
        )
        with open_dataset(self.path, self.identity, self.name) as dataset:
            return dataset[key]


def find_chunks(
    path: str | Path, identity: tuple[int, ...], dataset: h5py.Dataset
) -> Chunks | None:
    """Find where the chunks of a dataset are.

    Parameters
    ----------
    path, identity
        The file that the dataset is in.
    dataset
        Of numbers.

    Returns
    -------
    Chunks or None
        None if it has no chunks, or went through other filters than shuffle and deflate.
    """
    creation = dataset.id.get_create_plist()
    if creation.get_layout() != h5py.h5d.CHUNKED or not is_plain_type(dataset):
        return None
    filters = tuple(creation.get_filter(i)[0] for i in range(creation.get_nfilters()))
    if filters not in _KNOWN or not hasattr(dataset.id, "chunk_iter"):
        return None
    if h5py.h5i.get_file_id(dataset.id).get_create_plist().get_userblock():
        return None
    pairs = zip(dataset.shape, dataset.chunks, strict=True)
    grid = tuple(-(-whole // size) for whole, size in pairs)
    if math.prod(grid) > _MOST_CHUNKS:
        return None
    offsets = np.full(grid, _NO_PLACE, dtype=np.int64)
    n_bytes = np.zeros(grid, dtype=np.int64)
    is_plain = True

    def visit(info: h5py.h5d.StoreInfo) -> None:
        nonlocal is_plain
        pairs = zip(info.chunk_offset, dataset.chunks, strict=True)
        index = tuple(at // size for at, size in pairs)
        if all(i < n for i, n in zip(index, grid, strict=True)):
            offsets[index] = info.byte_offset
            n_bytes[index] = info.size
        is_plain &= info.filter_mask == 0  # a filter was left out

    if offsets.size:
        dataset.id.chunk_iter(visit)
    is_beyond = (offsets + n_bytes > identity[0]).any()
    most = 2 * math.prod(dataset.chunks) * dataset.dtype.itemsize + 2**16
    if not is_plain or is_beyond or n_bytes.max(initial=0) > most:
        return None
    return Chunks(
        str(path),
        identity,
        dataset.name,
        dataset.shape,
        dataset.dtype,
        dataset.chunks,
        filters,
        offsets,
        n_bytes,
        dataset.fillvalue.item(),
    )
