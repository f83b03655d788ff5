"""``file_writer`` for NCEM's EMD files."""

import io
import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import dask
import dask.array as da
import h5py
import numpy as np
from dask.system import CPU_COUNT

from rsciio_xfm._io.atomic import replacing_path
from rsciio_xfm._io.compiled import kernel
from rsciio_xfm._io.progress import bytes_bar
from rsciio_xfm._io.warning import warn
from rsciio_xfm.emd._layout import (
    EXTRA,
    EXTRA_VERSION,
    GROUP_TYPE,
    ROOT_GROUPS,
    SIGNALS,
    UNNAMED,
    VERSION,
)
from rsciio_xfm.emd._ncem import KINDS
from rsciio_xfm.emd._tree import encode

# Spectra that lie together: much less makes an index of chunks that is slow, much more is
# read for one pixel.
_CHUNK_BYTES = 2**19
_BATCH_BYTES = 64 * 2**20  # blocks of a dask array that are computed together
_CHUNK_CACHE_BYTES = 2**25


def file_writer(
    filename: str | Path,
    signal: dict[str, Any],
    chunks: tuple[int, ...] | bool | None = None,
    **kwds: Any,
) -> None:
    """Write a signal to an EMD file of NCEM's specification.

    Parameters
    ----------
    filename
        Path of the file. It is replaced when the new one is whole; until then it is as it was.
    signal
        Dictionary of a signal, as :meth:`hyperspy.api.signals.BaseSignal.save` passes it. Its
        data may be a dask array, which is computed block by block.
    chunks
        Of the dataset, in the order of the array's axes. By default those of spectra hold
        whole spectra of neighbouring pixels of a row, those of others are the dask array's;
        True leaves them to h5py.
    **kwds
        Of :meth:`h5py.Group.create_dataset`, such as ``compression="gzip"``.

    Raises
    ------
    ValueError
        The chunks do not suit the data.
    OSError
        The file cannot be written; what was there is as it was.

    Warns
    -----
    UserWarning
        Something in the metadata cannot be written: neither numbers, text, arrays, nor
        dictionaries and lists of these.

    Notes
    -----
    The file is what RosettaSciIO writes: version 0.2 of the specification, axes in reverse
    order. What the specification has no place for (signal type, which axes are navigated,
    metadata, exact steps) is in a group ``rsciio_xfm`` beside the data, from which
    :func:`rsciio_xfm.emd.file_reader` restores it.

    Source of the format: see ``_layout.py``.

    Examples
    --------
    >>> s = hs.load("map.GeoPIXE", lazy=True)  # doctest: +SKIP
    >>> s.save("map.emd", compression="gzip")  # doctest: +SKIP
    """
    path = Path(filename)
    data = signal["data"]
    with replacing_path(path) as temporary:
        if data.dtype.kind not in KINDS or 0 in data.shape:
            from rsciio.emd import file_writer as write_others

            write_others(str(temporary), signal, chunks=chunks, **kwds)
            return
        with open(temporary, "x+b", buffering=0) as raw:
            sink = _Sink(raw)
            with h5py.File(sink, "w", rdcc_nbytes=_CHUNK_CACHE_BYTES) as file:
                _write_file(file, path, signal, chunks, kwds, sink)
            sink.check()


class _Sink(io.RawIOBase):
    """A file that HDF5 writes to, and that it never sees fail.

    If the disk is full, HDF5 cannot close its file, and ends the process later. So the
    error is kept here, and what is written after it goes nowhere.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the error, if there was one."""
        if self._error is not None:
            raise self._error

    def write(self, data: memoryview) -> int:
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view) and self._error is None:
            try:
                done += self._file.write(view[done:])
            except OSError as exc:
                self._error = exc
        return len(view)

    def truncate(self, size: int) -> int:
        try:
            return self._file.truncate(size)
        except OSError as exc:
            self._error = self._error or exc
            return size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: memoryview) -> int:
        return self._file.readinto(buffer)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _write_file(
    file: h5py.File,
    path: Path,
    signal: dict[str, Any],
    chunks: tuple[int, ...] | bool | None,
    kwds: dict[str, Any],
    sink: _Sink,
) -> None:
    file.attrs["version_major"], file.attrs["version_minor"] = VERSION
    original = signal.get("original_metadata", {})
    for name in ROOT_GROUPS:
        group = file.create_group(name)
        section = original.get(name)
        for key, value in section.items() if isinstance(section, dict) else ():
            _put_attribute(group, key, value)
    signals = file.create_group(SIGNALS)
    signals.attrs[GROUP_TYPE] = 1
    title = str(signal["metadata"].get("General", {}).get("title") or UNNAMED)
    # A slash would make groups of it; the title itself is in the metadata.
    title = title.replace("/", "_").replace("\0", "_")
    group = signals.create_group(UNNAMED if title in (".", "..") else title)
    group.attrs[GROUP_TYPE] = 1
    for key, value in signal["metadata"].get("Signal", {}).items():
        if isinstance(value, bool | int | float | str | np.generic):
            _put_attribute(group, key, value)
    axes = sorted(signal["axes"], key=lambda axis: axis.get("index_in_array", 0))
    _write_extra(group, path, signal, axes)
    for i, axis in enumerate(axes):
        _write_dimension(group, len(axes) - i, axis)
    stored = _choose_chunks(path, signal["data"], axes, chunks)
    _write_data(group, path, signal["data"], stored, kwds, sink)


def _put_attribute(group: h5py.Group, key: str, value: Any) -> None:
    """Write an attribute; what HDF5 cannot hold as text, as everything is beside the data."""
    if value is None:
        value = ""
    if isinstance(value, dict | list | tuple):
        text, arrays, _ = encode(value)
        value = text if not arrays else str(value)
    try:
        group.attrs[str(key)] = value
    except (OSError, RuntimeError, TypeError, ValueError):
        group.attrs[str(key)] = str(value)[:60000]


def _write_extra(
    group: h5py.Group, path: Path, signal: dict[str, Any], axes: list[dict[str, Any]]
) -> None:
    """Write what the specification has no place for."""
    kept = ("name", "size", "offset", "scale", "units", "navigate", "is_binned")
    tree = {
        "axes": [
            {key: _plain_units(axis[key]) for key in kept if key in axis}
            | {"index_in_array": i}
            for i, axis in enumerate(axes)
        ],
        "metadata": signal["metadata"],
        "original_metadata": signal.get("original_metadata", {}),
    }
    results = signal.get("learning_results") or {}
    if any(value is not None for value in results.values()):
        tree["learning_results"] = results
    text, arrays, left_out = encode(tree)
    if left_out:
        warn(
            f"{path}: {', '.join(left_out)} cannot be written, expected numbers, text, "
            "arrays, or dictionaries and lists of these: left out."
        )
    extra = group.create_group(EXTRA)
    extra.attrs["version"] = EXTRA_VERSION
    extra.create_dataset("signal", data=np.frombuffer(text.encode("utf-8"), np.uint8))
    stored = extra.create_group("arrays")
    for i, array in enumerate(arrays):
        stored.create_dataset(str(i), data=array)


def _plain_units(value: Any) -> Any:
    """Turn the value of what was never set into None."""
    return None if type(value).__name__ == "_Undefined" else value


def _write_dimension(group: h5py.Group, number: int, axis: dict[str, Any]) -> None:
    """Write the coordinates of an axis, at least two: a reader takes their difference."""
    coordinates = axis["offset"] + axis["scale"] * np.arange(max(2, axis["size"]))
    dimension = group.create_dataset(f"dim{number}", data=coordinates)
    dimension.attrs["name"] = axis["name"] if isinstance(axis["name"], str) else ""
    units = axis["units"] if isinstance(axis["units"], str) else ""
    # As the specification spells units.
    dimension.attrs["units"] = f"[{'_'.join(units)}]" if units else ""


# The data.


def _write_data(
    group: h5py.Group,
    path: Path,
    data: np.ndarray | da.Array,
    stored: tuple[int, ...] | None,
    kwds: dict[str, Any],
    sink: _Sink,
) -> None:
    dataset = group.create_dataset(
        "data",
        shape=data.shape[::-1],
        dtype=data.dtype.newbyteorder("="),
        maxshape=(None,) * data.ndim,
        chunks=True if stored is None else stored[::-1],
        **kwds,
    )
    has_filters = dataset.id.get_create_plist().get_nfilters() > 0
    # Chunks of spectra go into the file as they are: HDF5 would move them number by number.
    is_direct = not has_filters and dataset.chunks[2:] == (1,) * (data.ndim - 2)
    is_direct = is_direct and data.ndim > 1 and dataset.chunks[0] == data.shape[-1]
    with bytes_bar(data.nbytes, f"Writing {path.name}") as bar:
        for place, block in _blocks(data):
            if is_direct and _holds_chunks(place, data.shape, dataset.chunks[1]):
                spectra = np.ascontiguousarray(block, dtype=dataset.dtype)
                _write_spectra(dataset, place, spectra)
            else:
                dataset[tuple(reversed(place))] = block.T
            sink.check()
            bar.update(block.nbytes)


def _holds_chunks(place: tuple[slice, ...], shape: tuple[int, ...], width: int) -> bool:
    """Tell whether a block of spectra holds whole chunks of the dataset."""
    pixels = place[-2]
    is_whole = pixels.stop % width == 0 or pixels.stop == shape[-2]
    return is_whole and pixels.start % width == 0 and place[-1] == slice(0, shape[-1])


def _choose_chunks(
    path: Path,
    data: np.ndarray | da.Array,
    axes: list[dict[str, Any]],
    chunks: tuple[int, ...] | bool | None,
) -> tuple[int, ...] | None:
    """Return the chunks of the dataset in the order of the array's axes, None for h5py's."""
    if chunks is True:
        return None
    if chunks:
        if len(chunks) != data.ndim or not all(
            1 <= c <= size for c, size in zip(chunks, data.shape, strict=True)
        ):
            raise ValueError(
                f"{path}: chunks is {chunks}, expected {data.ndim} sizes of at most "
                f"{data.shape}."
            )
        return tuple(chunks)
    navigates = [axis["navigate"] for axis in axes]
    if data.ndim > 1 and navigates == [True] * (data.ndim - 1) + [False]:
        spectrum_bytes = data.shape[-1] * data.dtype.itemsize
        n_spectra = max(1, min(data.shape[-2], _CHUNK_BYTES // spectrum_bytes))
        if spectrum_bytes <= 2**31:
            return (*[1] * (data.ndim - 2), n_spectra, data.shape[-1])
    if isinstance(data, da.Array):
        chosen = tuple(sizes[0] for sizes in data.chunks)
        if math.prod(chosen) * data.dtype.itemsize < 2**32:  # HDF5's limit
            return chosen
    return None


def _blocks(
    data: np.ndarray | da.Array,
) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    """Yield an array block by block, with its place; few are in memory at a time."""
    if not isinstance(data, da.Array):
        row_bytes = max(1, data[:1].nbytes)
        height = max(1, _BATCH_BYTES // row_bytes)
        for start in range(0, len(data), height):
            rows = slice(start, min(start + height, len(data)))
            rest = (slice(0, size) for size in data.shape[1:])
            yield (rows, *rest), data[rows]
        return
    edges = [np.cumsum((0, *sizes)).tolist() for sizes in data.chunks]
    places = itertools.product(
        *([slice(*pair) for pair in itertools.pairwise(e)] for e in edges)
    )
    blocks = data.to_delayed().ravel()
    largest = math.prod(max(sizes) for sizes in data.chunks) * data.dtype.itemsize
    n_at_once = max(1, min(2 * CPU_COUNT, _BATCH_BYTES // max(1, largest)))
    for start in range(0, len(blocks), n_at_once):
        for block in dask.compute(*blocks[start : start + n_at_once]):
            yield next(places), np.asarray(block)


def _write_spectra(
    dataset: h5py.Dataset, place: tuple[slice, ...], block: np.ndarray
) -> None:
    """Write whole spectra, row by row and chunk by chunk."""
    n_channels, width = dataset.chunks[:2]
    tile = np.zeros((n_channels, width), dtype=dataset.dtype)
    for index in np.ndindex(block.shape[:-2]):
        outer = [s.start + i for s, i in zip(place, index, strict=False)]
        for start in range(0, block.shape[-2], width):
            spectra = block[index][start : start + width]
            _transpose(spectra, tile)
            offset = (0, place[-2].start + start, *reversed(outer))
            dataset.id.write_direct_chunk(offset, tile)


@kernel
def _transpose(source, target):
    """Copy columns to rows, in squares that stay in the cache."""
    n_rows, n_columns = source.shape
    for column in range(0, n_columns, 32):
        for row in range(0, n_rows, 32):
            for i in range(row, min(n_rows, row + 32)):
                for j in range(column, min(n_columns, column + 32)):
                    target[j, i] = source[i, j]
