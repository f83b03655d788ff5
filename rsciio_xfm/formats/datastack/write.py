"""Writing arrays into the zip of a ``.datastack``: a cube with its spectra in one pass."""

from __future__ import annotations

import itertools
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.array import ArrayLike
from rsciio_xfm.core.atomic import CREATOR
from rsciio_xfm.core.extras import require
from rsciio_xfm.core.later import cpu_count, da, dask
from rsciio_xfm.core.to_dask import source_of, take
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.wide import add_spectra
from rsciio_xfm.formats.datastack.codecs import EXTRA, encode_chunk
from rsciio_xfm.formats.datastack.layout import (
    ATTRIBUTES_OF_2,
    CUBE,
    LOCAL_SIGNATURE,
    MAX_SPECTRUM,
    ROOT,
    SUM_SPECTRUM,
)
from rsciio_xfm.formats.datastack.parse import (
    MAX_CHUNK_BYTES,
    Definition,
    array_text,
    group_text,
    read_json,
)
from rsciio_xfm.kernels.smooth import smooth_spectra
from rsciio_xfm.kernels.sums import is_counts

# Chunks hold some of the channels of pixels that lie together, so that neither a region nor a
# window takes all of the map. Those of a large map are larger: each has an entry in the
# directory, and programs that use zarr take each as a task.
_CHUNK_BYTES = 2**20
_MOST_CHUNK_BYTES = 4 * 2**20
_MOST_CHUNKS = 2048  # until they are of that size
_CHUNK_ROWS = 8
_CHANNEL_CUTS, _LEAST_CHANNELS = 6, 256
# What one task encodes, and all tasks of a batch together.
_GROUP_BYTES = 8 * 2**20
_BATCH_BYTES = 128 * 2**20
_MOST_ATTRIBUTES = 2**24  # bytes of a root's, as text
_MOST_IN_FLOAT32 = 2**24  # integers up to this one are exact
_COMPRESSORS: dict[str, dict[str, Any]] = {
    # Of smoothed counts about as small as zstd alone, and several times faster.
    "blosc": {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0},
    "zstd": {"id": "zstd", "level": 0, "checksum": False},  # zarr 3's own choice
    "gzip": {"id": "gzip", "level": 1},
}

Box = tuple[tuple[int, int], ...]


def make_codec(compressor: Any) -> Any:
    """Return a compressor of numcodecs, None if there is none.

    Parameters
    ----------
    compressor
        ``"blosc"``, ``"zstd"``, ``"gzip"``, one of these of numcodecs or its configuration,
        or None.

    Raises
    ------
    ValueError
        It is none of these.
    """
    if compressor is None:
        return None
    numcodecs = require("numcodecs", EXTRA)
    known = ", ".join(repr(name) for name in _COMPRESSORS)
    if isinstance(compressor, str):
        compressor = _COMPRESSORS.get(compressor, {"id": compressor})
    if hasattr(compressor, "get_config"):
        compressor = compressor.get_config()
    if not isinstance(compressor, Mapping) or compressor.get("id") not in _COMPRESSORS:
        raise ValueError(
            f"compressor is {compressor!r:.80}, expected {known}, one of these compressors of "
            "numcodecs, or None."
        )
    return numcodecs.get_codec(dict(compressor))


def check_format(zarr_format: int) -> None:
    """Refuse formats of zarr that there are not."""
    if zarr_format not in (2, 3):
        raise ValueError(f"zarr_format is {zarr_format!r:.40}, expected 2 or 3.")


def put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Write a file into a zip."""
    archive.writestr(name, data, compress_type=zipfile.ZIP_STORED)


@dataclass(frozen=True)
class Store:
    """Where arrays are written.

    Attributes
    ----------
    archive
        The zip.
    zarr_format
        2 or 3.
    codec
        From :func:`make_codec`.
    """

    archive: zipfile.ZipFile
    zarr_format: int
    codec: Any

    def define(
        self, name: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: np.dtype
    ) -> Definition:
        """Describe an array that will be written."""
        is_old = self.zarr_format == 2
        return Definition(
            zarr_format=self.zarr_format,
            name=name,
            shape=tuple(shape),
            chunks=chunks,
            dtype=dtype.newbyteorder("<"),
            codec=None if self.codec is None else self.codec.get_config(),
            fill_value=dtype.type(0),
            separator="." if is_old else "/",
            prefix="" if is_old else "c",
        )

    def put_all(self, files: dict[str, bytes]) -> None:
        """Write files."""
        for name, data in files.items():
            put(self.archive, name, data)


@dataclass(frozen=True)
class Cube:
    """A map that is written.

    Attributes
    ----------
    data
        ``(y, x, E)``.
    chunks, dtype
        As it is stored.
    attributes
        Of the array.
    sigma
        Of the Gaussian in channels; 0 stores the numbers as they are.
    path
        Named in errors.
    """

    data: np.ndarray | da.Array | ArrayLike
    chunks: tuple[int, ...]
    dtype: np.dtype
    attributes: dict[str, Any]
    sigma: float
    path: str | Path


def write_root(
    store: Store, attributes: dict[str, Any] | None = None, is_ours: bool = True
) -> None:
    """Write the description of the root, and in it that the file was written here."""
    mark = {"creator": CREATOR} if is_ours else {}
    store.put_all(group_text(store.zarr_format, (attributes or {}) | mark))


def is_original(path: Path) -> bool:
    """Tell whether a file is a stack that was not written here.

    Parameters
    ----------
    path
        Of a file. A zip that is damaged, or no stack, is an original too.
    """
    with open(path, "rb") as file:
        if file.read(len(LOCAL_SIGNATURE)) != LOCAL_SIGNATURE:
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            texts = [
                archive.open(name).read(_MOST_ATTRIBUTES)
                for name in (ATTRIBUTES_OF_2, ROOT[3])
                if name in archive.namelist()
            ]
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error):
        return True
    trees = [read_json(text) for text in texts]
    roots = trees + [tree.get("attributes") for tree in trees]
    return not any(isinstance(r, dict) and r.get("creator") == CREATOR for r in roots)


def write_array(store: Store, name: str, data: np.ndarray | da.Array) -> None:
    """Write an array of any shape, a lazy one chunk by chunk."""
    array = store.define(name, data.shape, _any_chunks(data), data.dtype)
    store.put_all(array_text(array))
    n_at_once = max(1, min(2 * cpu_count(), _BATCH_BYTES // max(1, array.chunk_bytes)))
    encode = dask.delayed(_encode_cells, pure=False)
    shared = dask.delayed(array, traverse=False, pure=False)
    lazy = (
        data if isinstance(data, da.Array) else da.from_array(data, chunks=-1, name=False)
    )
    blocks = lazy.rechunk(array.chunks).to_delayed()
    for batch in _batched(array.indices(), n_at_once):
        tasks = [
            encode(blocks[index], _box_of(array, index), shared, store.codec)
            for index in batch
        ]
        for cells in dask.compute(*tasks):
            store.put_all(cells)


def _any_chunks(data: np.ndarray | da.Array) -> tuple[int, ...]:
    """Choose chunks: the dask array's, or whole trailing axes, of a size that suits."""
    chunks = [max(1, size) for size in data.shape]
    if isinstance(data, da.Array):
        chunks = [max(1, *sizes) for sizes in data.chunks]
    for axis in range(data.ndim):
        rest = math.prod(chunks[:axis] + chunks[axis + 1 :]) * data.dtype.itemsize
        if rest * chunks[axis] > 4 * _MOST_CHUNK_BYTES:
            chunks[axis] = max(1, 4 * _MOST_CHUNK_BYTES // rest)
    return tuple(chunks)


# The cube.


def choose_chunks(
    shape: tuple[int, ...], dtype: np.dtype, chunks: Any, rows: int = _CHUNK_ROWS
) -> tuple[int, ...]:
    """Choose the chunks of a cube.

    Parameters
    ----------
    shape, dtype
        Of the cube, as it is stored.
    chunks
        ``"auto"``: some channels of pixels of some rows; or three sizes.
    rows
        How many rows, if they are as long.

    Raises
    ------
    ValueError
        They do not suit the cube.
    """
    if not (isinstance(chunks, str) and chunks == "auto"):
        is_known = isinstance(chunks, tuple | list) and len(chunks) == len(shape)
        if not is_known or not all(
            isinstance(c, int | np.integer) and c > 0 for c in chunks
        ):
            raise ValueError(
                f"chunks is {chunks!r:.80}, expected 'auto' or {len(shape)} sizes above 0, "
                f"for y, x and energy of {shape}."
            )
        chosen = tuple(
            min(int(c), max(1, size)) for c, size in zip(chunks, shape, strict=True)
        )
        if math.prod(chosen) * dtype.itemsize > MAX_CHUNK_BYTES:
            raise ValueError(
                f"chunks is {chunks!r}, {math.prod(chosen) * dtype.itemsize} bytes each, "
                f"expected at most {MAX_CHUNK_BYTES}."
            )
        return chosen
    height, width, depth = (max(1, size) for size in shape)
    map_bytes = height * width * depth * dtype.itemsize
    chunk_bytes = max(_CHUNK_BYTES, min(map_bytes // _MOST_CHUNKS, _MOST_CHUNK_BYTES))
    channels = min(depth, max(_LEAST_CHANNELS, math.ceil(depth / _CHANNEL_CUTS)))
    n_pixels = max(1, chunk_bytes // (channels * dtype.itemsize))
    rows = min(rows, height, n_pixels)
    columns = min(width, max(1, n_pixels // rows))
    columns = math.ceil(width / math.ceil(width / columns))  # all alike
    if columns == width:  # of narrow maps more rows
        rows = min(height, n_pixels // (columns * rows) * rows)
    return (rows, columns, channels)


def write_cube(
    store: Store,
    cube: Cube,
    arrays: Mapping[str, np.ndarray],
    advance: Callable[[int], Any],
) -> None:
    """Write a cube, its maximum and mean spectra, and other arrays.

    Parameters
    ----------
    store
        Has a root.
    cube
        What is written.
    arrays
        Others, by name.
    advance
        Called with the bytes of the data that were done.

    Raises
    ------
    OverflowError
        Counts are not exact in the cube's type.

    Warns
    -----
    UserWarning
        Other numbers are rounded to it, and not because they are smoothed.
    """
    array = store.define(CUBE, cube.data.shape, cube.chunks, cube.dtype)
    array = replace(array, attributes=cube.attributes)
    store.put_all(array_text(array))
    highest, total = _write_spectra(store, cube, array, advance)
    mean = total / math.prod(cube.data.shape[:2])
    if cube.sigma:
        from scipy.ndimage import gaussian_filter1d

        mean = gaussian_filter1d(mean, cube.sigma)
    spectra = {MAX_SPECTRUM: highest, SUM_SPECTRUM: mean}
    others = {name: values.astype(np.float32) for name, values in spectra.items()}
    for name, values in (others | dict(arrays)).items():
        write_array(store, name, values)


def _write_spectra(
    store: Store, cube: Cube, array: Definition, advance: Callable[[int], Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Write all chunks of a cube, and return maximum and sum of what was written.

    The sum is that before smoothing: it is smoothed as a whole.
    """
    source = None if isinstance(cube.data, ArrayLike) else source_of(cube.data)
    data = cube.data if source is None else source
    shared = (replace(array, attributes={}), store.codec, cube.sigma, str(cube.path))
    highest = total = None
    is_rounded = False
    encode = dask.delayed(_encode_spectra, pure=False)
    shared = dask.delayed(shared, traverse=False, pure=False)
    where = {}
    if not isinstance(data, da.Array):
        # To workers elsewhere, and back, all of it would be sent.
        where = {"scheduler": "threads"}
        whole = dask.delayed(data, traverse=False, pure=False)
        read = partial(dask.delayed(_read, pure=False), whole)
    with ThreadPoolExecutor(1) as writer:
        previous = None
        for batch in _batches(data, array):
            if isinstance(data, da.Array):
                blocks = _blocks(data, batch)
            else:
                blocks = [read(box) for box in batch]
            tasks = [encode(*pair, shared) for pair in zip(blocks, batch, strict=True)]
            done = dask.compute(*tasks, **where)
            if previous is not None:
                previous.result()
            cells = {name: raw for held, *_ in done for name, raw in held.items()}
            previous = writer.submit(store.put_all, cells)
            is_rounded |= any(rounds for *_, rounds in done)
            for _, peak, part, _ in done:
                highest = peak if highest is None else np.maximum(highest, peak)
                total = part if total is None else total + part
            n_pixels = sum(math.prod(b - a for a, b in box[:2]) for box in batch)
            advance(n_pixels * data.shape[2] * data.dtype.itemsize)
        if previous is not None:
            previous.result()
    if is_rounded:
        warn(
            f"{cube.path}: numbers of {data.dtype} are rounded to {array.dtype.name}, the "
            "type of the format: 7 digits of each are kept. Save as .emd or .hspy to keep all."
        )
    if highest is None or total is None:
        raise ValueError(f"{cube.path}: the map has no pixels, expected at least one.")
    return highest, total


def _read(source: np.ndarray | ArrayLike, box: Box) -> np.ndarray:
    return source[tuple(slice(*ends) for ends in box)]


def _batches(
    data: np.ndarray | da.Array | ArrayLike, array: Definition
) -> Iterator[list[Box]]:
    """Yield the boxes that are encoded together, each of whole chunks of the cube.

    What dask computes is computed once, if rows of its chunks end where those of the cube do.
    """
    height, width, depth = array.shape
    rows, columns, _ = array.chunks
    spectrum_bytes = depth * max(array.dtype.itemsize, data.dtype.itemsize)
    tile_bytes = rows * columns * spectrum_bytes
    across = columns * max(
        1, min(_GROUP_BYTES, _BATCH_BYTES // cpu_count()) // tile_bytes
    )
    whole = (0, depth)
    boxes = (
        ((y, min(y + rows, height)), (x, min(x + across, width)), whole)
        for y in range(0, height, rows)
        for x in range(0, width, across)
    )
    if not isinstance(data, da.Array):
        group_bytes = min(width, across) * rows * spectrum_bytes
        n_at_once = max(1, min(2 * cpu_count(), _BATCH_BYTES // group_bytes))
        yield from _batched(boxes, n_at_once)
        return
    batch: list[Box] = []
    ends = set(np.cumsum(data.chunks[0]).tolist())
    for y, row in itertools.groupby(boxes, key=lambda box: box[0]):
        batch.extend(row)
        n_bytes = (y[1] - batch[0][0][0]) * width * spectrum_bytes
        # Where rows of chunks never end with those of the cube, each is computed twice.
        if n_bytes >= (_BATCH_BYTES if y[1] in ends else 4 * _BATCH_BYTES):
            yield batch
            batch = []
    if batch:
        yield batch


def _batched(items: Iterator, n: int) -> Iterator[list]:
    while batch := list(itertools.islice(items, n)):
        yield batch


def _blocks(data: da.Array, batch: list[Box]) -> list[Any]:
    """Return the blocks of whole rows of boxes, to be computed together."""
    rows, columns, (whole,) = (sorted({box[axis] for box in batch}) for axis in range(3))
    part = take(data, (slice(rows[0][0], rows[-1][1]),))
    sizes = tuple(tuple(b - a for a, b in ends) for ends in (rows, columns, [whole]))
    return part.rechunk(sizes).to_delayed().ravel().tolist()


def _encode_spectra(
    block: np.ndarray, box: Box, shared: tuple[Definition, Any, float, str]
) -> tuple[dict[str, bytes], np.ndarray, np.ndarray, bool]:
    """Encode the chunks of a box of a cube.

    Returns
    -------
    cells : dict of str to bytes
        What is written, by its name in the zip.
    highest, total : numpy.ndarray
        Of the spectra, shape (channels,): of what is written, and before it was smoothed.
    is_rounded : bool
        Whether numbers are others than they were, and not because they are smoothed.
    """
    array, codec, sigma, path = shared
    block = np.ascontiguousarray(block, dtype=block.dtype.newbyteorder("="))
    spectra = block.reshape(-1, block.shape[-1])
    _check_range(spectra, array.dtype, bool(sigma), path)
    if is_counts(spectra):
        total = np.zeros(spectra.shape[1], dtype=np.uint64)
        add_spectra(spectra, total)
    else:
        # Sums of integers of 64 bits do not fit such integers.
        is_wide = spectra.dtype.kind == "f" or spectra.dtype.itemsize > 4
        total = spectra.sum(axis=0, dtype=np.float64 if is_wide else np.int64)
    if sigma:
        stored = smooth_spectra(spectra, sigma)
    else:
        stored = spectra.astype(array.dtype, copy=False)
    highest = stored.max(axis=0)
    is_rounded = not sigma and not _is_equal(stored, spectra)
    cells = _encode_cells(stored.reshape(block.shape), box, array, codec)
    return cells, highest, total, is_rounded


def _is_equal(stored: np.ndarray, spectra: np.ndarray) -> bool:
    """Tell whether numbers are as they were; of integers this was seen to before."""
    if spectra.dtype.kind != "f" or stored.dtype.itemsize >= spectra.dtype.itemsize:
        return True
    return bool(np.array_equal(stored, spectra, equal_nan=True))


def _check_range(
    spectra: np.ndarray, dtype: np.dtype, is_smoothed: bool, path: str
) -> None:
    """Refuse numbers that float32 cannot hold: counts exactly, others at all."""
    if dtype.kind != "f" or spectra.dtype.itemsize <= 2:
        return
    if spectra.dtype.kind == "f":
        finite = spectra[np.isfinite(spectra)] if spectra.dtype.itemsize > 4 else []
        largest = np.abs(finite).max(initial=0)
        if largest > np.finfo(np.float32).max:
            raise OverflowError(
                f"{path}: numbers are up to {largest:g}, expected at most "
                f"{np.finfo(np.float32).max:g}, float32's largest."
            )
    elif not is_smoothed:
        largest = max(int(spectra.max()), -int(spectra.min()))
        if largest > _MOST_IN_FLOAT32:
            raise OverflowError(
                f"{path}: counts are up to {largest}, expected at most {_MOST_IN_FLOAT32} "
                "for float32 to be exact. Use keep_integers=True to store them as they are."
            )


def _encode_cells(
    block: np.ndarray, box: Box, array: Definition, codec: Any
) -> dict[str, bytes]:
    """Encode the chunks that a block consists of; those at the edges are filled up."""
    block = np.asarray(block)
    cells = {}
    pairs = list(zip(box, array.chunks, strict=True))
    ranges = [range(a // chunk, math.ceil(b / chunk)) for (a, b), chunk in pairs]
    for index in itertools.product(*ranges):
        place = tuple(
            slice(i * chunk - a, min((i + 1) * chunk, b) - a)
            for i, ((a, b), chunk) in zip(index, pairs, strict=True)
        )
        part = block[place]
        if part.shape != array.chunks:
            whole = np.zeros(array.chunks, dtype=array.dtype)
            whole[tuple(slice(0, n) for n in part.shape)] = part
            part = whole
        part = np.ascontiguousarray(part, dtype=array.dtype)
        cells[array.key(index)] = encode_chunk(codec, part)
    return cells


def _box_of(array: Definition, index: tuple[int, ...]) -> Box:
    """Return where a chunk lies in the array."""
    return tuple(
        (i * chunk, min((i + 1) * chunk, size))
        for i, chunk, size in zip(index, array.chunks, array.shape, strict=True)
    )
