"""Whether a dataset can be as large as it claims, before room is made for it."""

import io
import math
import operator
from pathlib import Path

import h5py

from rsciio_xfm.core.hdf5.links import file_of
from rsciio_xfm.core.hdf5.open import GuardedFile
from rsciio_xfm.exceptions import CorruptFileError

# A dataset that claims to be larger than this is compared with what is stored of it.
_UNCHECKED_BYTES = 2**26
_MOST_CHUNKS = 100_000
_MOST_COMPRESSION = 1100  # deflate's is 1032
_NUMBERS = "biuf"


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
    most = max(
        most, 4 * h5py.h5i.get_file_id(dataset.id).get_filesize() + unchecked_bytes
    )
    if claimed > most:
        raise CorruptFileError(
            f"{path}: the dataset {dataset.name} is {dataset.shape} of {dataset.dtype}, "
            f"{claimed} bytes, expected at most {most}: {stored} are stored "
            f"({_where(dataset)})."
        )


def _check_chunks(path: str | Path, dataset: h5py.Dataset) -> None:
    """Refuse chunks that are there twice, not whole, or where no numbers can be.

    HDF5 reads on behind the first two, and has zeros in place of the last.
    """
    if not dataset.chunks or not hasattr(dataset.id, "chunk_iter"):
        return
    grid = zip(dataset.shape, dataset.chunks, strict=True)
    if math.prod(-(-size // chunk) for size, chunk in grid) > _MOST_CHUNKS:
        return  # this would take longer than reading what is wanted of them
    n_bytes = math.prod(dataset.chunks) * dataset.id.get_type().get_size()
    is_compressed = dataset.id.get_create_plist().get_nfilters() > 0
    is_plain = not is_compressed and dataset.dtype.kind != "O"
    most = [2**63 if size is None else size for size in dataset.maxshape]
    seen: set[tuple[int, ...]] = set()
    starts: set[int] = set()
    wrong: list[h5py.h5d.StoreInfo] = []

    def visit(info: h5py.h5d.StoreInfo) -> bool | None:
        at = info.chunk_offset  # None: it is nowhere
        is_twice = at in seen or info.byte_offset in starts
        is_outside = at is None or any(map(operator.ge, at, most))
        if is_twice or is_outside or (is_plain and info.size != n_bytes):
            wrong.append(info)
            return True
        seen.add(at)
        starts.add(info.byte_offset)
        return None

    dataset.id.chunk_iter(visit)
    if wrong:
        raise CorruptFileError(
            f"{path}: the chunk {wrong[0].chunk_offset} of {dataset.name} has "
            f"{wrong[0].size} bytes, stands twice or lies outside, expected it once, with "
            f"{n_bytes if is_plain else 'its'} bytes, within {dataset.shape} "
            f"(byte {wrong[0].byte_offset})."
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
            at, size = dataset.id.get_offset(), file.seek(0, io.SEEK_END)
            if at is None or n_bytes > size - at:
                raise CorruptFileError(
                    f"{path}: {dataset.name} claims {n_bytes} bytes, expected at most the "
                    f"{size} that the file has ({_where(dataset)})."
                )
            file.seek(at)
            file.check_references(file.read(n_bytes), dataset.name, at)
        elif layout == h5py.h5d.CHUNKED:
            for i in range(dataset.id.get_num_chunks()):
                chunk = dataset.id.get_chunk_info(i)
                _, raw = dataset.id.read_direct_chunk(chunk.chunk_offset)
                file.check_references(raw, dataset.name, chunk.byte_offset)


def is_plain_type(dataset: h5py.Dataset) -> bool:
    """Tell whether numbers stand in the file as numpy holds them.

    HDF5 knows integers of fewer bits than their bytes have, and floats of any kind, which it
    converts.
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


def is_numeric(dataset: h5py.Dataset) -> bool:
    """Tell whether a dataset holds plain numbers that are not complex."""
    return dataset.shape is not None and dataset.dtype.kind in _NUMBERS
