"""The pixels of each block in the cache, for files of which single pixels are slow to read.

Of a file that lies compressed, or as records one behind the other, the pixels at the border of
a region take nearly as long as the whole region. Of these the cache keeps each block of 64
pixels as words of 64 bits, one for each channel and bit of the counts, compressed: a region
takes some of the bits, and to count them is fast.
"""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from rsciio_xfm.core.array import FileArray, Range
from rsciio_xfm.core.stream import RecordStream
from rsciio_xfm.explore.cube_border import Border, check_cancel
from rsciio_xfm.explore.cube_chunks import FAST, SMALL, ChunkReader, ChunkWriter
from rsciio_xfm.explore.cube_layout import Layout
from rsciio_xfm.kernels.cubes import add_pixels, pack_pixels

# Of the bytes that a file takes up, or is decoded to, a cache with pixels has at most so many.
MOST_SHARE = 0.3
_AT_ONCE = 16  # blocks
_WORD = 8  # bytes


def most_bytes(source: FileArray, place: tuple[Range, Range]) -> int:
    """Return how large a part of the cache may become with its pixels.

    Parameters
    ----------
    source
        The map.
    place
        Rows and columns of the part.
    """
    (top, bottom), (left, right) = place
    height, width = source.shape[:2]
    if isinstance(source, RecordStream):  # there are more records where there is more
        whole = source.count_bytes((top, bottom))
    else:
        whole = source.file_bytes() * (bottom - top) // height
    return int(MOST_SHARE * whole * (right - left) / width)


def put_pixels(
    planes: np.ndarray, n_bits: int, writer: ChunkWriter, layout: Layout, most: int
) -> bool:
    """Write the pixels of all blocks of a cell, or none if they are too many bytes.

    Parameters
    ----------
    planes
        Of the cell, shape (channels, rows, columns).
    n_bits
        That the highest count has.
    writer
        Of the cache.
    layout
        Of the cache.
    most
        Bytes that the pixels may take up.

    Returns
    -------
    bool
        Whether they were written.
    """
    across = -(-planes.shape[2] // layout.block[1])
    for codec in (FAST, SMALL):
        blocks = _pack(planes, n_bits, layout.block)
        packed = _within((writer.pack_words(words, codec) for words in blocks), most)
        for k, raw in enumerate(packed or ()):
            row, column = divmod(k, across)
            number = layout.first_pixels + row * layout.cell_blocks[1] + column
            writer.put_packed(number, raw)
        if packed is not None:
            return True
    return False


def _within(chunks: Iterable[bytes], most: int) -> list[bytes] | None:
    """Return chunks, None if they have more bytes than they may together."""
    found = []
    for raw in chunks:
        found.append(raw)
        most -= len(raw)
        if most < 0:
            return None
    return found


def _pack(
    planes: np.ndarray, n_bits: int, block: tuple[int, int]
) -> Iterator[np.ndarray]:
    """Yield the words of each block, row by row."""
    n_channels, height, width = planes.shape
    step = _AT_ONCE * block[1]
    for top, left in itertools.product(range(0, height, block[0]), range(0, width, step)):
        end = min(width, left + step)
        n_blocks = -(-(end - left) // block[1])
        words = np.zeros((n_blocks, n_bits, n_channels), dtype=np.uint64)
        seen = np.zeros(n_blocks, dtype=np.uint64)
        pack_pixels(planes, (top, left, end), block, words, seen)
        for own, bits in zip(words, seen.tolist(), strict=True):
            yield own[: bits.bit_length()]


def add_kept(
    reader: ChunkReader, layout: Layout, border: Border, total: np.ndarray
) -> np.ndarray:
    """Add the pixels of a border that the cache has to a sum, or take them away.

    Parameters
    ----------
    reader
        Of the cache.
    layout
        Of the cache.
    border
        Which pixels.
    total
        uint64, shape (channels,).

    Returns
    -------
    numpy.ndarray
        bool: which blocks at the border are left, as the cache has no pixels of them.
    """
    left = border.is_border.copy()
    rows, columns = np.nonzero(left)
    words, (down, across) = _words_of(border), layout.cell_blocks
    cells = rows // down * layout.grid[1] + columns // across
    numbers = rows % down * across + columns % across + layout.first_pixels
    shape = (-1, _WORD * total.size)
    for cell in np.unique(cells).tolist():
        check_cancel(border.cancel)
        if not reader.has_pixels(layout, cell):
            continue
        own = np.flatnonzero(cells == cell)
        for k in own.tolist():
            found = reader.chunk(cell * layout.n_chunks + int(numbers[k]), shape)
            if found is not None:
                is_less = border.is_taken[rows[k], columns[k]]
                add_pixels(found.view(np.uint64), words[k], is_less, total)
        left[rows[own], columns[own]] = False
    return left


def _words_of(border: Border) -> np.ndarray:
    """Return the pixels of each block at the border that are added, or taken away."""
    down, across = border.block
    n_rows, n_columns = border.is_border.shape
    mask = border.mask
    beyond = n_rows * down - mask.shape[0], n_columns * across - mask.shape[1]
    if any(beyond):
        mask = np.pad(mask, ((0, beyond[0]), (0, beyond[1])))
    blocks = mask.reshape(n_rows, down, n_columns, across).transpose(0, 2, 1, 3)
    chosen = blocks[border.is_border].reshape(-1, down * across)
    is_taken = border.is_taken[border.is_border]
    bits = np.packbits(chosen ^ is_taken[:, np.newaxis], axis=1, bitorder="little")
    words: np.ndarray = np.ascontiguousarray(bits).view("<u8").reshape(-1)
    return words.astype(np.uint64, copy=False)
