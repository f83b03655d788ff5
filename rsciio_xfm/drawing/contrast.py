"""Contrast of maps: which values are as dark and as bright as can be."""

import numpy as np

from rsciio_xfm.drawing.panels import (
    COUNTS,
    DIFFERENCE,
    PERCENTILE,
    Panel,
    Style,
    check_percentile,
)

_SIGMAS = 4.0  # of a pixel: the least that is as bright as can be
_STRONG, _FEW = 6.0, 4  # sigma, and how many such pixels are no accident
_EVEN = 0.5  # what is nowhere below this share of its highest values does not start at 0
_COLOURS, _GREY, _AROUND_0 = "inferno", "gray", "RdBu_r"
_DIVERGING = (
    "BrBG", "PRGn", "PiYG", "PuOr", "RdBu", "RdGy", "RdYlBu", "RdYlGn", "Spectral", "berlin",
    "bwr", "coolwarm", "managua", "seismic", "vanimo",
)  # fmt: skip


def brightest(image: np.ndarray, sigma: float, percentile: float = PERCENTILE) -> float:
    """Return the counts that are drawn as bright as can be, whatever a few pixels have.

    Examples
    --------
    >>> import numpy as np
    >>> brightest(np.array([0.0, 1.0, 2.0]), sigma=3.0)
    12.0
    """
    check_percentile(percentile)
    finite = image[np.isfinite(image)]
    highest = float(np.percentile(finite, percentile)) if finite.size else 0.0
    strong = finite[finite > _STRONG * sigma]
    if strong.size >= _FEW:  # grains that are fewer than the percentile leaves out
        highest = max(highest, float(np.median(strong)))
    return max(highest, _SIGMAS * sigma) or 1.0


def choose_limits(panel: Panel, style: Style) -> tuple[float, float, str]:
    """Return the values at the ends of a scale of colours, and which colours.

    Parameters
    ----------
    panel
        A map of numbers.
    style
        A diverging `cmap` asks for a scale around 0.
    """
    image, percentile = panel.image, style.percentile
    finite = image[np.isfinite(image)]
    lowest = float(finite.min(initial=0.0))
    is_free = panel.kind not in (COUNTS, DIFFERENCE)
    asked = (style.cmap or "").removesuffix("_r") in _DIVERGING
    if panel.kind == DIFFERENCE or asked or (is_free and lowest < 0):
        limit = float(np.percentile(np.abs(finite), percentile)) if finite.size else 0.0
        limit = limit or float(np.abs(finite).max(initial=0.0)) or 1.0
        return -limit, limit, style.cmap or _AROUND_0
    high = brightest(image, panel.sigma, percentile)
    low = float(np.percentile(finite, 100 - percentile)) if finite.size else 0.0
    if not is_free or low <= _EVEN * high or low >= high:
        low = 0.0
    if high <= low:  # noise of counts alone
        high = low + 1.0
    return low, high, style.cmap or (_COLOURS if panel.is_found else _GREY)
