"""A picture of all energies: each channel has a hue, each spectrum is their mixture."""

from functools import partial

import dask.array as da
import numpy as np

from rsciio_xfm.core.array import Range, place_in
from rsciio_xfm.core.reduce import Pieces, join, over_pieces
from rsciio_xfm.core.to_dask import take
from rsciio_xfm.kernels.compiled import kernel
from rsciio_xfm.kernels.sums import is_counts

SCALES = ("linear", "log")
# Red to magenta: on the whole circle the highest energies would be as red as the lowest.
_LAST_HUE = 5 / 6
_TABLE = 2**16  # counts whose logarithms are looked up


def channel_colours(n_channels: int) -> np.ndarray:
    """Return the colours of channels, along the circle of hues.

    Parameters
    ----------
    n_channels
        How many.

    Returns
    -------
    numpy.ndarray
        float64, shape (n_channels, 3): red, green and blue from 0 to 1; the first channel
        is red, the last one magenta (300 degrees).

    Examples
    --------
    >>> channel_colours(6).round(6).tolist()[:3]
    [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    """
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
    if scale not in SCALES:
        raise ValueError(f"scale is {scale!r}, expected one of {', '.join(SCALES)}.")
    if not 1 <= len(colours) <= data.shape[-1]:
        raise ValueError(
            f"There are {len(colours)} colours, expected 1 to {data.shape[-1]}, the number "
            "of channels."
        )
    data = take(data, (..., slice(0, len(colours))))
    consume = partial(_mix, colours=np.asarray(colours, float), is_log=scale == "log")
    mixed = np.zeros((*data.shape[:-1], 3))
    for ranges, part in over_pieces(data, consume, join):
        mixed[tuple(slice(*r) for r in ranges)] = part
    return mixed


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


_Parts = list[tuple[tuple[Range, ...], np.ndarray]]


def _mix(
    pieces: Pieces, ranges: tuple[Range, ...], colours: np.ndarray, is_log: bool
) -> _Parts:
    mixed = np.zeros((*(stop - start for start, stop in ranges[:-1]), 3))
    table = np.log1p(np.arange(_TABLE)) if is_log else np.arange(_TABLE, dtype=float)
    for held, block in pieces:
        first = -held[-1][0]
        spectra = block.reshape(-1, block.shape[-1])
        if is_counts(block):
            part = np.zeros((len(spectra), 3))
            _add_colours(spectra, first, colours, table, is_log, part)
        else:
            wanted = spectra[:, first : first + len(colours)].astype(float)
            with np.errstate(invalid="ignore"):  # no number gives no number
                weights = np.log1p(np.maximum(wanted, 0)) if is_log else wanted
                part = weights @ colours
        mixed[place_in(held, ranges)] = part.reshape(*block.shape[:-1], 3)
    return [(ranges[:-1], mixed)]


@kernel
def _add_colours(spectra, first, colours, table, is_log, mixed):
    for i in range(spectra.shape[0]):
        red, green, blue = 0.0, 0.0, 0.0
        for j in range(colours.shape[0]):
            counts = spectra[i, first + j]
            if counts:
                if counts < table.size:
                    weight = table[counts]
                else:
                    weight = np.log1p(float(counts)) if is_log else float(counts)
                red += weight * colours[j, 0]
                green += weight * colours[j, 1]
                blue += weight * colours[j, 2]
        mixed[i, 0], mixed[i, 1], mixed[i, 2] = red, green, blue
