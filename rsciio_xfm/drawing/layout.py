"""Where maps lie on a page: figures as wide as the columns of a journal."""

import math
from dataclasses import dataclass, replace

import numpy as np

from rsciio_xfm.drawing.page import PAGE

_LONGEST = 4.4  # inches, of the longer side of a map
_WIDE = 0.5  # height to width of a map that may be longer than that
_SMALLEST = 0.3  # inches, of a side of a map
_LEAST = 0.85  # inches of width of a map, if there is a choice
_RATIO = 0.65  # height to width that a figure should have


@dataclass(frozen=True)
class Margins:
    """Room around each map, inches."""

    left: float = 0.04
    right: float = 0.08
    top: float = 0.24
    bottom: float = 0.08

    @property
    def width(self) -> float:
        """Left and right together."""
        return self.left + self.right

    @property
    def height(self) -> float:
        """Top and bottom together."""
        return self.top + self.bottom


@dataclass(frozen=True)
class Grid:
    """Maps of one size in rows and columns.

    Attributes
    ----------
    rows, columns
        How many.
    size
        Width and height of each map, inches.
    margins
        Around each.
    """

    rows: int
    columns: int
    size: tuple[float, float]
    margins: Margins

    @property
    def figsize(self) -> tuple[float, float]:
        """Width and height of the figure, inches."""
        width = self.columns * (self.size[0] + self.margins.width)
        return width, self.rows * (self.size[1] + self.margins.height)

    def place(self, k: int) -> tuple[float, float, float, float]:
        """Return left, bottom, width and height of a map, in shares of the figure."""
        row, column = divmod(k, self.columns)
        width, height = self.figsize
        left = column * (self.size[0] + self.margins.width) + self.margins.left
        low = height - (row + 1) * (self.size[1] + self.margins.height)
        bottom = low + self.margins.bottom
        return left / width, bottom / height, self.size[0] / width, self.size[1] / height


@dataclass(frozen=True)
class Wanted:
    """What is to be arranged.

    Attributes
    ----------
    n
        How many maps.
    ratio
        Their height, of their width.
    least
        Inches of width that a map and what is right of it have at least: of its name.
    per_row
        How many are beside each other; None: as many as fill a page best.
    """

    n: int
    ratio: float
    least: float = 0.0
    per_row: int | None = None


def arrange(wanted: Wanted, margins: Margins) -> Grid:
    """Arrange maps on a page.

    Parameters
    ----------
    wanted
        What.
    margins
        Around each map.

    Returns
    -------
    Grid
        At most as wide as a page, and as high, unless `per_row` is given.

    Raises
    ------
    ValueError
        `per_row` is no number from 1 on.

    Examples
    --------
    >>> grid = arrange(Wanted(6, 0.75), Margins())
    >>> grid.rows, grid.columns, round(25.4 * grid.figsize[0])
    (2, 3, 180)
    """
    n, per_row = wanted.n, wanted.per_row
    if per_row is not None:
        if not (isinstance(per_row, int | np.integer) and per_row >= 1):
            raise ValueError(f"per_row is {per_row!r}, expected a number from 1 on.")
        return _fit(wanted, margins, min(n, int(per_row)))
    least = max(wanted.least + margins.left, margins.width + _SMALLEST)
    most = max(1, min(n, 8, int(PAGE[0] / least)))
    grids = [_fit(wanted, margins, columns) for columns in range(1, most + 1)]
    # Rows that are as full as can be: 4 maps are 2 x 2, not 3 and 1.
    full = [g for g in grids if g.columns == math.ceil(n / g.rows)]
    wide = [g for g in full if g.size[0] >= _LEAST] or full
    return min(wide, key=lambda grid: _badness(grid, n))


def _badness(grid: Grid, n: int) -> float:
    """Return how far a figure is from one that is good to look at."""
    width, height = grid.figsize
    excess = math.log(height / PAGE[0] / _RATIO)  # a low figure does less harm
    empty = 1 - n / (grid.rows * grid.columns)
    return max(excess, -0.4 * excess) - 0.5 * math.log(width / PAGE[0]) + 2.5 * empty


def _fit(wanted: Wanted, margins: Margins, columns: int) -> Grid:
    rows, ratio = math.ceil(wanted.n / columns), wanted.ratio
    width = max(PAGE[0] / columns - margins.width, _SMALLEST)
    height = max(PAGE[1] / rows - margins.height, _SMALLEST)
    # A map that is wide may be as wide as the page, one that is high not as high.
    longest = _LONGEST * max(1.0, math.sqrt(_WIDE / ratio)) / max(1.0, ratio)
    width = min(width, height / ratio, longest)
    right = max(margins.right, wanted.least - width)
    return Grid(rows, columns, (width, width * ratio), replace(margins, right=right))
