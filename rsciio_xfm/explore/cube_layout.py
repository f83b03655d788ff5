"""How the cache of a map is laid out: cells of the map, and chunks of each cell."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from rsciio_xfm.core.array import Range
from rsciio_xfm.core.config import MOST_STRIP_BYTES, STRIP_BYTES

GROUP = (
    8  # channels, or sums of channels, that are summed; blocks along a side of a field
)
_TILE = 4, 16  # block rows of a tile at most, blocks of a tile
_FIELDS = 16  # that are kept together


@dataclass(frozen=True)
class Layout:
    """Of the cache of a map.

    A map is cut into cells, strips of rows wherever rows are not very long. Of each cell there
    are chunks: a plane of each channel, planes of the sums of 8 and of 64 channels and of all,
    the sum and the maximum of its spectra, and spectra of blocks of pixels, some blocks to a
    tile. Of some maps there are the pixels of each block as well. Spectra of 8 x 8 blocks are
    the fields, that come after all cells. All chunks have numbers.

    Attributes
    ----------
    shape
        Of the map: rows, columns, channels.
    dtype
        Name of its type.
    cell
        Rows and columns of a cell.
    block
        Rows and columns of a block.
    keeps_pixels
        Whether the pixels of blocks are kept.
    """

    shape: tuple[int, int, int]
    dtype: str
    cell: tuple[int, int]
    block: tuple[int, int]
    keeps_pixels: bool = False

    @classmethod
    def of(
        cls,
        shape: tuple[int, int, int],
        dtype: str,
        itemsize: int,
        keeps_pixels: bool = False,
    ) -> "Layout":
        """Lay out the cache of a map.

        Parameters
        ----------
        shape, dtype, keeps_pixels
            See :class:`Layout`.
        itemsize
            Bytes of a number.
        """
        height, width, n_channels = shape
        block = (8, 8) if height > 1 else (1, 64)
        pixel = n_channels * min(itemsize, 2)  # counts hardly ever need more
        rows, columns = block[0], width
        while rows < height and 2 * rows * width * pixel <= STRIP_BYTES:
            rows *= 2
        if rows * width * pixel > MOST_STRIP_BYTES:
            unit = GROUP * block[1]
            columns = max(1, MOST_STRIP_BYTES // (rows * pixel * unit)) * unit
        return cls(shape, dtype, (rows, columns), block, keeps_pixels)

    @cached_property
    def grid(self) -> tuple[int, int]:
        """How many cells there are along the rows and the columns."""
        (height, width, _), (rows, columns) = self.shape, self.cell
        return -(-height // rows), -(-width // columns)

    @property
    def n_cells(self) -> int:
        """How many cells there are."""
        return math.prod(self.grid)

    def place(self, cell: int) -> tuple[Range, Range]:
        """Return the rows and columns of a cell."""
        at = divmod(cell, self.grid[1])
        ends = zip(at, self.cell, self.shape, strict=False)
        first, second = ((i * n, min(size, (i + 1) * n)) for i, n, size in ends)
        return first, second

    def size(self, cell: int) -> tuple[int, int]:
        """Return how many rows and columns a cell has."""
        (top, bottom), (left, right) = self.place(cell)
        return bottom - top, right - left

    # Planes: those of channels, of the sums of 8, of 64, and of all.

    @cached_property
    def levels(self) -> tuple[Range, ...]:
        """Numbers within a cell of planes of channels, of sums of 8, of sums of 64."""
        levels, first, n = [], 0, self.shape[2]
        for _ in range(3):
            levels.append((first, first + n))
            first, n = first + n, -(-n // GROUP)
        return tuple(levels)

    @property
    def counts(self) -> int:
        """Number within a cell of the plane of the sum of all channels."""
        return self.levels[-1][1]

    @property
    def spectra(self) -> int:
        """Number within a cell of the sum and the maximum of its spectra."""
        return self.counts + 1

    # Blocks, tiles of them, and fields.

    @cached_property
    def blocks(self) -> tuple[int, int]:
        """How many blocks there are along the rows and the columns of the map."""
        (height, width, _), (rows, columns) = self.shape, self.block
        return -(-height // rows), -(-width // columns)

    @cached_property
    def cell_blocks(self) -> tuple[int, int]:
        """How many blocks there are along the rows and the columns of a whole cell."""
        return self.cell[0] // self.block[0], -(-self.cell[1] // self.block[1])

    @cached_property
    def tile(self) -> tuple[int, int]:
        """How many blocks there are along the rows and the columns of a tile."""
        rows = min(_TILE[0], self.cell_blocks[0])
        return rows, _TILE[1] // rows

    @cached_property
    def tiles(self) -> tuple[int, int]:
        """How many tiles there are along the rows and the columns of a whole cell."""
        (rows, columns), (down, across) = self.cell_blocks, self.tile
        return -(-rows // down), -(-columns // across)

    def tile_place(self, cell: int, tile: int) -> tuple[Range, Range]:
        """Return which blocks of a cell, along the rows and the columns, a tile has.

        One that is outside of the map has none.
        """
        at = zip(divmod(tile, self.tiles[1]), self.tile, self._present(cell), strict=True)
        rows, columns = ((min(i * n, m), min((i + 1) * n, m)) for i, n, m in at)
        return rows, columns

    def _present(self, cell: int) -> tuple[int, int]:
        """Return how many blocks a cell has along the rows and the columns."""
        (rows, columns), (down, across) = self.size(cell), self.block
        return -(-rows // down), -(-columns // across)

    def tile_blocks(self, cell: int) -> Iterator[tuple[int, Range, Range]]:
        """Yield the number within a cell of each tile that it has, and its blocks."""
        for tile in range(math.prod(self.tiles)):
            rows, columns = self.tile_place(cell, tile)
            if rows[0] < rows[1] and columns[0] < columns[1]:
                yield self.first_tile + tile, rows, columns

    @property
    def first_tile(self) -> int:
        """Number within a cell of the first tile."""
        return self.spectra + 1

    @property
    def first_pixels(self) -> int:
        """Number within a cell of the pixels of its first block, if any are kept."""
        return self.first_tile + math.prod(self.tiles)

    @property
    def end(self) -> int:
        """Number within a cell of the mark that it is finished."""
        n_blocks = math.prod(self.cell_blocks) if self.keeps_pixels else 0
        return self.first_pixels + n_blocks

    @property
    def n_chunks(self) -> int:
        """How many numbers a cell has."""
        return self.end + 1

    @cached_property
    def fields(self) -> tuple[int, int]:
        """How many fields there are along the rows and the columns of the map."""
        down, across = self.blocks
        return -(-down // GROUP), -(-across // GROUP)

    @cached_property
    def field_groups(self) -> int:
        """How many chunks the fields of a row of them make."""
        return -(-self.fields[1] // _FIELDS)

    def field_chunks(self) -> Iterator[tuple[int, int, Range]]:
        """Yield the number of each chunk of fields, its row of them, and its columns."""
        first = self.n_cells * self.n_chunks
        for row in range(self.fields[0]):
            for group in range(self.field_groups):
                stop = min((group + 1) * _FIELDS, self.fields[1])
                columns = (group * _FIELDS, stop)
                yield first + row * self.field_groups + group, row, columns

    @property
    def n_all(self) -> int:
        """How many numbers there are."""
        return self.n_cells * self.n_chunks + self.fields[0] * self.field_groups


def split_window(layout: Layout, first: int, stop: int) -> list[tuple[int, int]]:
    """Return which planes make a window of channels, the fewest.

    Parameters
    ----------
    layout
        Of the cache.
    first, stop
        Channels, half-open.

    Returns
    -------
    list of (int, int)
        Number of a plane within a cell, and 1 if it is added or -1 if it is taken away.
    """
    inside = _split(layout, first, stop)
    outside = [(layout.counts, 1)]  # less what is outside of the window
    for low, high in ((0, first), (stop, layout.shape[2])):
        outside += [(plane, -sign) for plane, sign in _split(layout, low, high)]
    return min(inside, outside, key=len)


def change_window(layout: Layout, made: Range, wanted: Range) -> list[tuple[int, int]]:
    """Return which planes make a window of channels of another; see :func:`split_window`.

    Parameters
    ----------
    layout
        Of the cache.
    made, wanted
        Channels, half-open, of windows that overlap.
    """
    signs: Counter[int] = Counter()
    for low, high in ((wanted[0], made[0]), (made[1], wanted[1])):
        is_more = 1 if low < high else -1
        for plane, sign in _split(layout, min(low, high), max(low, high)):
            signs[plane] += sign * is_more
    planes: list[tuple[int, int]] = []
    for plane, n in signs.items():
        planes += [(plane, 1 if n > 0 else -1)] * abs(n)
    return planes


def _split(layout: Layout, low: int, high: int) -> list[tuple[int, int]]:
    planes: list[tuple[int, int]] = []
    for level, (base, end) in enumerate(layout.levels):
        is_last = level == len(layout.levels) - 1
        inner = (0, 0) if is_last else _widen(low, high, end - base)
        planes += _differences(base, (low, high), inner)
        low, high = inner[0] // GROUP, -(-inner[1] // GROUP)
        if low >= high:
            break
    return planes


def _widen(low: int, high: int, n: int) -> Range:
    """Return whole groups that differ from a range by few."""
    inner = [min(n, (end + GROUP // 2) // GROUP * GROUP) for end in (low, high)]
    if n - high < high % GROUP:  # the last group may have fewer
        inner[1] = n
    n_others = abs(inner[0] - low) + abs(inner[1] - high)
    return (inner[0], inner[1]) if n_others + 1 < high - low else (0, 0)


def _differences(base: int, wanted: Range, inner: Range) -> list[tuple[int, int]]:
    """Return what one range has more than another, and less."""
    if inner[0] >= inner[1]:
        return [(base + i, 1) for i in range(*wanted)]
    (low, high), (first, stop) = wanted, inner
    more = [*range(low, first), *range(stop, high)]
    less = [*range(first, low), *range(high, stop)]
    return [(base + i, 1) for i in more] + [(base + i, -1) for i in less]
