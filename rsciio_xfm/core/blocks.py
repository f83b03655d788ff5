"""Going through an array of any kind block by block, to write it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rsciio_xfm.core.config import BATCH_BYTES, STORED_CHUNK_BYTES
from rsciio_xfm.core.later import cpu_count, da, dask

_COMPRESSED_BYTES = 2**19  # all of which is decompressed for one pixel


def blocks(
    data: np.ndarray | da.Array,
) -> Iterator[tuple[tuple[slice, ...], np.ndarray]]:
    """Yield an array block by block, with its place; few are in memory at a time.

    Parameters
    ----------
    data
        Any array; a dask array is computed chunk by chunk, in the order of its chunks.

    Yields
    ------
    place : tuple of slice
    block : numpy.ndarray
    """
    if not isinstance(data, da.Array):
        row_bytes = max(1, data[:1].nbytes)
        height = max(1, BATCH_BYTES // row_bytes)
        for start in range(0, len(data), height):
            rows = slice(start, min(start + height, len(data)))
            rest = (slice(0, size) for size in data.shape[1:])
            yield (rows, *rest), data[rows]
        return
    edges = [np.cumsum((0, *sizes)).tolist() for sizes in data.chunks]
    places = itertools.product(
        *([slice(*pair) for pair in itertools.pairwise(e)] for e in edges)
    )
    delayed = data.to_delayed().ravel()
    largest = math.prod(max(sizes) for sizes in data.chunks) * data.dtype.itemsize
    n_at_once = max(1, min(2 * cpu_count(), BATCH_BYTES // max(1, largest)))
    batches = (delayed[i : i + n_at_once] for i in range(0, len(delayed), n_at_once))
    for computed in _one_ahead(lambda batch: dask.compute(*batch), batches):
        for block in computed:
            yield next(places), np.asarray(block)


def _one_ahead(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """Call a function for each item in a thread, the next one while a result is used."""
    with ThreadPoolExecutor(1) as executor:
        waiting = None
        for item in items:
            following = executor.submit(function, item)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


def write_block(
    file: BinaryIO,
    shape: tuple[int, ...],
    place: tuple[slice, ...],
    block: np.ndarray,
    start: int = 0,
) -> None:
    """Write a block of an array where it belongs in a file, in runs as long as can be.

    Parameters
    ----------
    file
        That is written, at any place.
    shape
        Of the array.
    place, block
        From :func:`blocks`; `block` is C-contiguous, of the type and byte order of the file.
    start
        Byte at which the array begins.
    """
    partial = [i for i, n in enumerate(block.shape) if n < shape[i]]
    n_outer = max(partial, default=0)
    for index in np.ndindex(block.shape[:n_outer]):
        first = [p.start + i for p, i in zip(place, index, strict=False)]
        first += [p.start for p in place[n_outer:]]
        file.seek(start + int(np.ravel_multi_index(first, shape)) * block.itemsize)
        file.write(block[index].data.cast("B"))


def choose_stored(
    path: Path,
    data: np.ndarray | da.Array,
    axes: list[dict[str, Any]],
    chunks: tuple[int, ...] | bool | None,
    is_compressed: bool = True,
) -> tuple[int, ...] | None:
    """Choose chunks for a dataset.

    Parameters
    ----------
    path
        Of the file, for messages.
    data
        What will be written.
    axes
        Of it, in the order of the array's axes.
    chunks
        What the user asks for; None chooses whole spectra of neighbouring pixels of a row, of
        other signals the chunks of a dask array; True leaves it to h5py.

    is_compressed
        Whether chunks will be compressed: else parts of them can be read.

    Returns
    -------
    tuple of int or None
        In the order of the array's axes; None leaves it to h5py.

    Raises
    ------
    ValueError
        `chunks` does not suit the array.
    """
    if chunks is True:
        return None
    if chunks:
        fits = isinstance(chunks, tuple | list) and len(chunks) == data.ndim
        if not fits or not all(
            1 <= c <= size for c, size in zip(chunks, data.shape, strict=True)
        ):
            raise ValueError(
                f"{path}: chunks is {chunks}, expected {data.ndim} sizes from 1 to the "
                f"array's, {data.shape}."
            )
        return tuple(chunks)
    navigates = [axis["navigate"] for axis in axes]
    if data.ndim > 1 and navigates == [True] * (data.ndim - 1) + [False]:
        most = _COMPRESSED_BYTES if is_compressed else STORED_CHUNK_BYTES
        spectrum_bytes = data.shape[-1] * data.dtype.itemsize
        n_spectra = max(1, min(data.shape[-2], most // spectrum_bytes))
        if spectrum_bytes <= 2**31:
            return (*[1] * (data.ndim - 2), n_spectra, data.shape[-1])
    if isinstance(data, da.Array):
        chosen = tuple(sizes[0] for sizes in data.chunks)
        if math.prod(chosen) * data.dtype.itemsize < 2**32:  # HDF5's limit
            return chosen
    return None
