"""``file_writer`` for NCEM's EMD files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.atomic import refuse_original
from rsciio_xfm.core.blocks import blocks, choose_stored
from rsciio_xfm.core.hdf5.extra import write_extra
from rsciio_xfm.core.hdf5.write import is_original_hdf5, replacing_hdf5
from rsciio_xfm.core.later import da
from rsciio_xfm.core.progress import bytes_bar
from rsciio_xfm.core.tree import encode
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.writers import check_plain
from rsciio_xfm.formats.ncem.data import KINDS
from rsciio_xfm.formats.ncem.layout import (
    GROUP_TYPE,
    ROOT_GROUPS,
    SIGNALS,
    UNNAMED,
    VERSION,
)
from rsciio_xfm.kernels.transpose import copy

_CHUNK_CACHE_BYTES = 2**25
_WORD_BYTES = 8
_MOST_ATTRIBUTE = 60000  # bytes; HDF5's limit is 65536 with what belongs to it
is_original = is_original_hdf5


def file_writer(
    filename: str | Path,
    signal: dict[str, Any],
    chunks: tuple[int, ...] | bool | None = None,
    replace_original: bool = False,
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
    replace_original
        Replace an HDF5 file that was not written here, one of Velox say, too.
    **kwds
        Of :meth:`h5py.Group.create_dataset`, such as ``compression="gzip"``.

    Raises
    ------
    TypeError
        The data are masked, or neither numbers nor text.
    ValueError
        The data are empty, the chunks do not suit them, or the file that is there was not
        written here.
    OSError
        The file cannot be written; what was there is as it was.

    Warns
    -----
    UserWarning
        Something in the metadata cannot be written: neither numbers, text, arrays of these,
        nor dictionaries and lists. Of text data, all metadata.

    Notes
    -----
    The file is what RosettaSciIO writes: version 0.2 of the specification, axes in reverse
    order. What the specification has no place for (signal type, which axes are navigated,
    metadata, exact steps) is in a group ``rsciio_xfm`` beside the data, from which
    :func:`rsciio_xfm.emd.file_reader` restores it.

    Source of the format: see ``layout.py``.

    Examples
    --------
    >>> s = hs.load("map.GeoPIXE", lazy=True)
    >>> s.save("copy.emd", compression="gzip")
    """
    path = Path(filename)
    data = signal["data"]
    _check(path, data)
    refuse_original(path, is_original, replace_original)
    with replacing_hdf5(path, rdcc_nbytes=_CHUNK_CACHE_BYTES) as (file, do):
        if data.dtype.kind not in KINDS:
            from rsciio.emd import file_writer as write_others

            warn(
                f"{path}: the data are {data.dtype}, expected numbers: of text, the title is "
                "kept and neither axes' roles nor metadata."
            )
            do(write_others, file, signal, chunks=chunks, **kwds)
            return
        dataset = do(_write_header, file, path, signal, chunks, kwds)
        with bytes_bar(data.nbytes, f"Writing {path.name}") as bar:
            for place, block in blocks(data):
                do(_write_block, dataset, place, block)
                bar.update(block.nbytes)


def _check(path: Path, data: np.ndarray | da.Array) -> None:
    """Refuse data that the format cannot hold."""
    check_plain(path, data)
    is_known = data.dtype.kind in KINDS + "SU"
    if not is_known or (data.dtype.kind == "V" and not data.dtype.names):
        raise TypeError(f"{path}: the data are {data.dtype}, expected numbers or text.")
    if 0 in data.shape:
        raise ValueError(
            f"{path}: the array is {data.shape}, expected one that is not empty."
        )


def _write_header(
    file: h5py.File,
    path: Path,
    signal: dict[str, Any],
    chunks: tuple[int, ...] | bool | None,
    kwds: dict[str, Any],
) -> h5py.Dataset:
    """Write everything but the data, and return where they go."""
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
    title = _clean(title).replace("/", "_")
    group = signals.create_group(UNNAMED if title in (".", "..") else title)
    group.attrs[GROUP_TYPE] = 1
    for key, value in signal["metadata"].get("Signal", {}).items():
        if isinstance(value, bool | int | float | str | np.generic):
            _put_attribute(group, key, value)
    axes = sorted(signal["axes"], key=lambda axis: axis.get("index_in_array", 0))
    write_extra(group, path, signal, axes)
    for i, axis in enumerate(axes):
        _write_dimension(group, len(axes) - i, axis)
    data = signal["data"]
    stored = choose_stored(path, data, axes, chunks, is_compressed=bool(kwds))
    return group.create_dataset(
        "data",
        shape=data.shape[::-1],
        dtype=data.dtype.newbyteorder("="),
        maxshape=(None,) * data.ndim,
        chunks=True if stored is None else stored[::-1],
        **kwds,
    )


def _put_attribute(group: h5py.Group, key: Any, value: Any) -> None:
    """Write an attribute; as text what HDF5 cannot hold, as all of it is beside the data."""
    if value is None:
        value = ""
    if isinstance(value, dict | list | tuple):
        text, arrays, _ = encode(value)
        value = text if not arrays else str(value)
    if isinstance(value, str):
        value = _clean(value)
    name = _clean(str(key)) or "_"
    try:
        group.attrs[name] = value
    except (OSError, RuntimeError, TypeError, ValueError):
        group.attrs[name] = _clean(str(value))[:_MOST_ATTRIBUTE]


def _clean(text: str) -> str:
    """Return text that HDF5 can hold."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")


def _write_dimension(group: h5py.Group, number: int, axis: dict[str, Any]) -> None:
    """Write the coordinates of an axis, at least two: a reader takes their difference."""
    coordinates = axis["offset"] + axis["scale"] * np.arange(max(2, axis["size"]))
    dimension = group.create_dataset(f"dim{number}", data=coordinates)
    name, units = (
        _clean(axis[key]) if isinstance(axis[key], str) else ""
        for key in ("name", "units")
    )
    dimension.attrs["name"] = name
    # As the specification spells units.
    dimension.attrs["units"] = f"[{'_'.join(units)}]" if units else ""


# The data.


def _write_block(
    dataset: h5py.Dataset, place: tuple[slice, ...], block: np.ndarray
) -> None:
    """Write a block of the array to its place."""
    if _holds_chunks(dataset, place):
        _write_spectra(dataset, place, np.ascontiguousarray(block, dtype=dataset.dtype))
    else:
        dataset[tuple(reversed(place))] = block.T


def _holds_chunks(dataset: h5py.Dataset, place: tuple[slice, ...]) -> bool:
    """Tell whether a block holds whole chunks of spectra, without filters.

    They go into the file as they are: HDF5 would move them number by number.
    """
    n_channels, *rest = dataset.shape
    depth, *others = dataset.chunks
    if not rest or dataset.dtype.kind == "V" or set(others[1:]) - {1}:
        return False
    if depth != n_channels or dataset.id.get_create_plist().get_nfilters():
        return False
    pixels = place[-2]
    is_whole = pixels.stop % others[0] == 0 or pixels.stop == rest[0]
    return (
        is_whole and pixels.start % others[0] == 0 and place[-1] == slice(0, n_channels)
    )


def _write_spectra(
    dataset: h5py.Dataset, place: tuple[slice, ...], block: np.ndarray
) -> None:
    """Write whole spectra, row by row and chunk by chunk."""
    n_channels, width = dataset.chunks[:2]
    tile = np.zeros((n_channels, width), dtype=dataset.dtype)
    # Rows that begin at whole words are turned much faster than others.
    in_words = width + -width % max(1, _WORD_BYTES // tile.itemsize)
    wide = tile if in_words == width else np.zeros((n_channels, in_words), tile.dtype)
    for index in np.ndindex(block.shape[:-2]):
        outer = [s.start + i for s, i in zip(place, index, strict=False)]
        for start in range(0, block.shape[-2], width):
            spectra = block[index][start : start + width]
            copy(spectra.T, wide[:, : len(spectra)])
            if wide is not tile:
                tile[...] = wide[:, :width]
            offset = (0, place[-2].start + start, *reversed(outer))
            dataset.id.write_direct_chunk(offset, tile)
