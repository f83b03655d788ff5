"""Maps that are to be drawn, and how."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsciio_xfm.drawing.lengths import Scale

PERCENTILE = 99.5
COUNTS, DIFFERENCE, CLASSES = "counts", "difference", "classes"  # kinds of images


@dataclass(frozen=True, eq=False)
class Panel:
    """A map to be drawn.

    Attributes
    ----------
    name, remark
        What is written above the map, and what in grey beside it.
    image
        Shape (y, x), or (y, x, 3) for colours, or (x,) of a line.
    steps
        Size and unit of a pixel along x and y; of a line along x.
    unit
        Of its values: ``"counts"``.
    kind
        ``"counts"``: from 0 on, and what is below is noise; ``"difference"``: around 0;
        ``"classes"``: whole numbers, negative for none; ``""``: as its values ask for.
    sigma
        The standard deviation of a pixel, if it is known.
    is_found
        False draws the map in grey.
    """

    name: str
    image: np.ndarray
    steps: Sequence[Scale] = ((1.0, None), (1.0, None))
    unit: str = ""
    kind: str = ""
    sigma: float = 0.0
    remark: str = ""
    is_found: bool = True


@dataclass(frozen=True)
class Style:
    """How maps are drawn: parameters of :func:`rsciio_xfm.plot_maps`."""

    cmap: str | None = None
    percentile: float = PERCENTILE
    per_row: int | None = None
    scalebar: bool = True
    colorbar: bool = True

    def __post_init__(self) -> None:
        check_percentile(self.percentile)
        check_cmap(self.cmap)


def check_percentile(percentile: Any) -> None:
    """Refuse what is no percentile.

    Raises
    ------
    ValueError
        It is none.
    """
    if not (isinstance(percentile, int | float) and 0 <= percentile <= 100):
        raise ValueError(f"percentile is {percentile!r}, expected 0 to 100.")


def check_cmap(name: Any) -> None:
    """Refuse what is no colour map of matplotlib.

    Raises
    ------
    ValueError
        It says which may be meant.
    """
    from matplotlib import colormaps

    if name is None or (isinstance(name, str) and name in colormaps):
        return
    by_lower = {known.lower(): known for known in colormaps}
    near = difflib.get_close_matches(str(name).lower(), by_lower, 3)
    meant = [by_lower[one] for one in near] or ["inferno", "viridis", "cividis", "gray"]
    raise ValueError(
        f"cmap is {name!r}, expected the name of a colour map of matplotlib, like "
        f"{', '.join(meant)}."
    )
