"""Reading HDF5 files: opened for each call, and past HDF5 where numbers lie as they are.

HDF5 lets one thread in at a time. The numbers of a dataset without filters stand in the
file as they are, at places that HDF5 tells: :class:`Values` keeps these places, and reads
from the file itself, in any number of threads.
"""

import itertools
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from rsciio_xfm.core.hdf5.links import DAMAGED, stands_alone
from rsciio_xfm.core.hdf5.safety import GuardedFile
from rsciio_xfm.core.source import (
    advise_on_zeros,
    check_unchanged,
    identify,
    open_unbuffered,
    read_into,
)
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# A dataset that claims to be larger than this is compared with what is stored of it.
_UNCHECKED_BYTES = 2**26
_MOST_CHUNKS = 100_000
_MOST_COMPRESSION = 1100  # deflate's is 1032
# How HDF5's errors begin, and h5py's of types that are damaged.
_CANNOT = (
    "Unable to",
    "Can't",
    "Couldn't",
    "Insufficient precision",
    "data type",
    "No NumPy equivalent",
    "Unknown string encoding",
    "Python int too large",
)
_LEAST_CHUNK, _MANY = 2**8, 2**24  # numbers
_NUMBERS = "biuf"


@contextmanager
def open_hdf5(
    filename: str | Path, identity: tuple[int, ...] | None = None, **options: Any
) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading.

    Parameters
    ----------
    filename
        Path of the file.
    identity
        From :func:`rsciio_xfm.core.source.identify`, if it has to be the file that was opened
        before.
    **options
        Of :class:`h5py.File`.

    Yields
    ------
    h5py.File
        Open for reading.

    Raises
    ------
    FileFormatError
        The file is no HDF5 file.
    CorruptFileError
        HDF5 cannot read what it points to, now or within the ``with`` block; or the file is
        not the one that was opened before.
    """
    with GuardedFile(filename) as raw:
        found = raw.read(len(_SIGNATURE))
        size = identify(raw)[0]
        if identity is not None:
            check_unchanged(raw, filename, identity)
        # Of files with a block for the user before it, the signature is at a power of 2.
        if found != _SIGNATURE and not h5py.is_hdf5(filename):
            raise FileFormatError(
                f"{filename}: the file begins with {found!r}, expected {_SIGNATURE!r}, the "
                f"signature of HDF5 (byte 0; the file has {size} bytes)."
            )
        try:
            # Given a file rather than its name, HDF5 does not share with others of this
            # process what it read of it before it was changed, and does not ask for a lock.
            given = raw
            if not stands_alone(filename, identify(raw)):
                given, options = filename, {"locking": False} | options
            with h5py.File(given, "r", **options) as file:
                yield file
        except FileFormatError:
            raise
        except DAMAGED as exc:
            if not _is_of_hdf5(exc):
                raise
            raise CorruptFileError(
                f"{filename}: HDF5 cannot read it: {exc} (the file has {size} bytes, expected "
                f"a whole HDF5 file from byte 0). {raw.why_damaged()}"
                + advise_on_zeros(filename)
            ) from exc


def _is_of_hdf5(exc: Exception) -> bool:
    """Tell what HDF5 says of a file from the system's errors, which have a number."""
    if isinstance(exc, OSError):
        return exc.errno is None
    text = str(exc.args[0]) if exc.args else ""
    return isinstance(exc, RuntimeError | UnicodeDecodeError) or text.startswith(_CANNOT)


def check_size(
    path: str | Path, dataset: h5py.Dataset, unchecked_bytes: int = _UNCHECKED_BYTES
) -> None:
    """Refuse a dataset that claims to hold far more than is in the file, or such texts.

    Parameters
    ----------
    path
        Of the file, for the error.
    dataset
        What will be read whole. Parts of it that nobody has written are not stored.
    unchecked_bytes
        What it may hold anyway, as it may four times the file.

    Raises
    ------
    CorruptFileError
        It is larger than what is stored of it; its chunks are not whole; a text in it is
        larger than the file.
    """
    if h5py.check_vlen_dtype(dataset.dtype) or h5py.check_string_dtype(dataset.dtype):
        _check_lengths(path, dataset)
    _check_chunks(path, dataset)
    claimed = dataset.nbytes
    if claimed <= unchecked_bytes or dataset.is_virtual or dataset.external:
        return
    creation = dataset.id.get_create_plist()
    stored = dataset.id.get_storage_size()
    most = stored * (_MOST_COMPRESSION if creation.get_nfilters() else 1)
    most = max(most, 4 * dataset.file.id.get_filesize() + unchecked_bytes)
    if claimed > most:
        raise CorruptFileError(
            f"{path}: the dataset {dataset.name} is {dataset.shape} of {dataset.dtype}, "
            f"{claimed} bytes, expected at most {most}: {stored} are stored "
            f"({_where(dataset)})."
        )


def _check_chunks(path: str | Path, dataset: h5py.Dataset) -> None:
    """Refuse chunks that are there twice, or not whole: HDF5 reads on behind them."""
    if not dataset.chunks or not hasattr(dataset.id, "chunk_iter"):
        return
    grid = zip(dataset.shape, dataset.chunks, strict=True)
    if math.prod(-(-size // chunk) for size, chunk in grid) > _MOST_CHUNKS:
        return  # this would take longer than reading what is wanted of them
    n_bytes = math.prod(dataset.chunks) * dataset.id.get_type().get_size()
    is_compressed = dataset.id.get_create_plist().get_nfilters() > 0
    is_plain = not is_compressed and dataset.dtype.kind != "O"
    seen: set[tuple[int, ...]] = set()
    starts: set[int] = set()
    wrong: list[h5py.h5d.StoreInfo] = []

    def visit(info: h5py.h5d.StoreInfo) -> bool | None:
        is_twice = info.chunk_offset in seen or info.byte_offset in starts
        if is_twice or (is_plain and info.size != n_bytes):
            wrong.append(info)
            return True
        seen.add(info.chunk_offset)
        starts.add(info.byte_offset)
        return None

    dataset.id.chunk_iter(visit)
    if wrong:
        raise CorruptFileError(
            f"{path}: the chunk {wrong[0].chunk_offset} of {dataset.name} has "
            f"{wrong[0].size} bytes or stands twice, expected it once, with "
            f"{n_bytes if is_plain else 'its'} bytes (byte {wrong[0].byte_offset})."
        )


def _check_lengths(path: str | Path, dataset: h5py.Dataset) -> None:
    """Refuse texts, or lists, of a dataset that claim more than the file has.

    HDF5 makes room for them before it looks for them. References to them that are compressed
    are not looked at.
    """
    creation, variable = dataset.id.get_create_plist(), h5py.h5t.VLEN
    kind = dataset.id.get_type()
    is_variable = kind.get_class() == variable or (
        isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str()
    )
    layout, n_bytes = creation.get_layout(), dataset.id.get_storage_size()
    if not is_variable or not n_bytes or creation.get_nfilters():
        return
    with GuardedFile(file_of(path, dataset)) as file:
        if layout == h5py.h5d.CONTIGUOUS and not dataset.external:
            at = dataset.id.get_offset()
            file.seek(at)
            file.check_references(file.read(n_bytes), dataset.name, at)
        elif layout == h5py.h5d.CHUNKED:
            for i in range(dataset.id.get_num_chunks()):
                chunk = dataset.id.get_chunk_info(i)
                _, raw = dataset.id.read_direct_chunk(chunk.chunk_offset)
                file.check_references(raw, dataset.name, chunk.byte_offset)


def file_of(path: str | Path, dataset: h5py.Dataset) -> str:
    """Return the path of the file that a dataset is in, which links may have led to.

    Parameters
    ----------
    path
        Of the file that was opened.
    dataset
        That was found in it.
    """
    own = dataset.file.filename
    return os.path.abspath(own if own and os.path.isfile(own) else path)


def is_plain_type(dataset: h5py.Dataset) -> bool:
    """Tell whether numbers stand in the file as numpy holds them.

    HDF5 knows integers of fewer bits than their bytes have, and floats of any kind, which it
    converts.

    Parameters
    ----------
    dataset
        Of numbers.
    """
    return dataset.id.get_type().equal(h5py.h5t.py_create(dataset.dtype, logical=True))


def check_all_sizes(path: str | Path, group: h5py.Group) -> None:
    """Do :func:`check_size` for each dataset of a group, for who reads them unchecked."""

    def visit(_: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            check_size(path, item)

    group.visititems(visit)


def _where(dataset: h5py.Dataset) -> str:
    """Return where a dataset's description is in the file."""
    return f"byte {h5py.h5o.get_info(dataset.id).addr}"


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
            with open_hdf5(self.path, self.identity, locking=None) as file:
                dataset = file[self.name]
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
    # Workers and later calls may have another working folder.
    common = (os.path.abspath(path), identity, name, size, dataset.dtype)
    is_here = dataset.file.id == file.id and dataset.dtype.isnative
    is_plain = is_here and is_plain_type(dataset)
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
    if creation.get_nfilters() or dataset.external or has_user_block:
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


def is_numeric(dataset: h5py.Dataset) -> bool:
    """Tell whether a dataset holds plain numbers that are not complex."""
    return dataset.shape is not None and dataset.dtype.kind in _NUMBERS
