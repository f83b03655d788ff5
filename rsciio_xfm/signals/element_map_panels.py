"""Maps of elements as they are drawn, with what is known of each."""

import math
from collections.abc import Sequence

import numpy as np

from rsciio_xfm.analysis.fit.project import Projected
from rsciio_xfm.drawing.lengths import Scale
from rsciio_xfm.drawing.panels import COUNTS, Panel
from rsciio_xfm.signals.areas import IN_PART, NOT_DETECTED, POSSIBLE


def panel_of(projected: Projected, name: str, note: str, steps: Sequence[Scale]) -> Panel:
    """Return the map of a component.

    Parameters
    ----------
    projected
        All maps.
    name
        Of the component.
    note
        What the table of the whole map says of it.
    steps
        Size and unit of a pixel along the axes of the map.
    """
    k = projected.names.index(name)
    variance = projected.own_variance[k]
    known = variance[np.isfinite(variance)]
    sigma = math.sqrt(max(0.0, float(known.mean()))) if known.size else 0.0
    remark, is_found = remark_of(note)
    image = projected.maps[k]
    return Panel(name, image, steps, "counts", COUNTS, sigma, remark, is_found)


def remark_of(note: str) -> tuple[str, bool]:
    """Return what of a table's note is said above a map, and whether there is something."""
    is_absent = note.startswith(NOT_DETECTED)
    if is_absent and IN_PART in note and POSSIBLE not in note:
        return IN_PART, True
    if is_absent:
        return NOT_DETECTED, False
    return POSSIBLE if note.startswith(POSSIBLE) else "", True
