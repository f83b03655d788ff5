"""A picture of all energies: each channel has a colour, each spectrum is their mixture."""

import functools
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np

from rsciio_xfm.core.array import Range
from rsciio_xfm.core.reduce import Images, Part, Piece, by_type, run
from rsciio_xfm.kernels.colours import mix_colours as mix_colours_of_counts

SCALES = ("linear", "log")
SCHEMES = ("hue", "safe")
# Red to magenta: on the whole circle the highest energies would be as red as the lowest.
_LAST_HUE = 5 / 6
# Yellow over green to blue, as in viridis turned round: eyes without red or green cones see
# yellow, grey and blue (H. Brettel et al., J. Opt. Soc. Am. A 14, 2647, 1997). Energies a
# third of the range apart differ by 44 or more in CIELAB's a* and b*, whatever the eyes (by
# the matrices of G. M. Machado et al., IEEE Trans. Vis. Comput. Graph. 15, 1291, 2009); some
# hues by less than 2.
_SAFE = np.array(
    [(1, 1, 0), (0.6, 1, 0.45), (0.25, 0.7, 0.65), (0.2, 0.35, 0.75), (0.1, 0, 0.75)]
)
_TABLE = 2**16  # counts whose logarithms are looked up


def channel_colours(n_channels: int, colours: str = "hue") -> np.ndarray:
    """Return the colours of channels.

    Parameters
    ----------
    n_channels
        How many.
    colours
        ``"hue"``: along the circle of hues, from red to magenta (300 degrees); ``"safe"``:
        from yellow over green to blue, which the colour-blind tell apart.

    Returns
    -------
    numpy.ndarray
        float64, shape (n_channels, 3): red, green and blue from 0 to 1.

    Raises
    ------
    ValueError
        The colours are none of these.

    Examples
    --------
    >>> channel_colours(6).round(6).tolist()[:3]
    [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    """
    if colours not in SCHEMES:
        raise ValueError(
            f"colours is {colours!r:.60}, expected one of {', '.join(SCHEMES)}."
        )
    if colours == "safe":
        places, stops = np.linspace(0, 1, n_channels), np.linspace(0, 1, len(_SAFE))
        return np.stack([np.interp(places, stops, one) for one in _SAFE.T], axis=-1)
    hue = 6 * np.linspace(0, _LAST_HUE, n_channels)[:, np.newaxis]
    # Red is full around 0, green around 2, blue around 4 sixths of the circle.
    distance = np.abs((hue - np.array([0, 2, 4]) + 3) % 6 - 3)
    return np.clip(2 - distance, 0, 1)


def mix_colours(
    data: np.ndarray | da.Array, colours: np.ndarray, scale: str = "linear"
) -> np.ndarray:
    """Add up the colours of the counts of each spectrum, in one pass.

    Parameters
    ----------
    data
        Spectra, channels along the last axis.
    colours
        Shape (channels, 3), those of the first channels; counts of further channels are
        left out.
    scale
        ``"linear"``: the counts of a channel are the weight of its colour; ``"log"``: the
        logarithm of 1 + counts.

    Returns
    -------
    numpy.ndarray
        float64, shape of the navigation axes, then red, green and blue.

    Raises
    ------
    ValueError
        The scale is none of these, or there are more colours than channels.

    Examples
    --------
    >>> import numpy as np
    >>> mix_colours(np.array([[3, 1]], dtype=np.uint8), np.eye(2, 3))
    array([[3., 1., 0.]])
    """
    if not 1 <= len(colours) <= data.shape[-1]:
        raise ValueError(
            f"There are {len(colours)} colours, expected 1 to {data.shape[-1]}, the number "
            "of channels."
        )
    return run(data, Colours(0, np.asarray(colours, float), scale))[0]


def to_rgb8(mixed: np.ndarray, percentile: float = 99.5) -> np.ndarray:
    """Scale mixed colours to 8 bits.

    Parameters
    ----------
    mixed
        From :func:`mix_colours`.
    percentile
        Of the pixels' largest components: what is there is as bright as can be. Brighter
        pixels keep their hue.

    Returns
    -------
    numpy.ndarray
        uint8, the same shape.

    Examples
    --------
    >>> import numpy as np
    >>> to_rgb8(np.array([[0.0, 2.0, 4.0], [0.0, 0.0, 2.0]]), percentile=100).tolist()
    [[0, 128, 255], [0, 0, 128]]
    """
    # What is below 0, or no number, is black, and does not matter to the rest.
    mixed = np.clip(np.where(np.isfinite(mixed), mixed, 0.0), 0.0, None)
    brightest = mixed.max(axis=-1)
    top = float(np.percentile(brightest, percentile)) if brightest.size else 0.0
    top = top or float(brightest.max(initial=0.0)) or 1.0
    # Pixels that are too bright by a factor are darkened by it.
    excess = np.maximum(brightest / top, 1.0)[..., np.newaxis]
    return np.round(255 * mixed / top / excess).astype(np.uint8)


@dataclass(frozen=True)
class Colours(Images):
    """Mixtures of the colours of channels; see :func:`mix_colours`.

    Attributes
    ----------
    start
        Channel of the first colour.
    colours
        float64, shape (channels, 3).
    scale
        Of :data:`SCALES`.

    Raises
    ------
    ValueError
        The scale is none of these.
    """

    start: int
    colours: np.ndarray
    scale: str = "linear"

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ValueError(
                f"scale is {self.scale!r}, expected one of {', '.join(SCALES)}."
            )

    def channels(self, n_channels: int) -> tuple[Range, ...]:
        """Return which channels are looked at."""
        return ((self.start, self.start + len(self.colours)),)

    def kind(self, dtype: np.dtype) -> tuple[int, np.dtype]:
        """Return how many images there are, and their type."""
        return 3, np.dtype(float)

    def make(self, piece: Piece) -> np.ndarray:
        """Return the numbers of each spectrum."""
        return _mix(piece.rows, piece.first, self.colours, self.scale == "log")

    def finish(self, state: Any, whole: Part) -> np.ndarray:
        """Return the result."""
        return np.ascontiguousarray(np.moveaxis(super().finish(state, whole), 0, -1))


def _mix_counts(
    rows: np.ndarray, first: int, colours: np.ndarray, is_log: bool
) -> np.ndarray:
    mixed = np.empty((3, len(rows)))
    mix_colours_of_counts(rows, first, colours, _weights(is_log), is_log, mixed)
    return mixed


@functools.cache
def _weights(is_log: bool) -> np.ndarray:
    counts = np.arange(_TABLE, dtype=float)
    return np.log1p(counts) if is_log else counts


def _mix_others(
    rows: np.ndarray, first: int, colours: np.ndarray, is_log: bool
) -> np.ndarray:
    wanted = rows[:, first : first + len(colours)].astype(float)
    with np.errstate(invalid="ignore"):  # no number gives no number
        weights = np.log1p(np.maximum(wanted, 0)) if is_log else wanted
        return (weights @ colours).T


_mix = by_type(_mix_counts, _mix_others)
