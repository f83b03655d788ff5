"""A picture of a raw file that shows how the object lay, and its spectra."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from rsciio_xfm.analysis.maps import Highest, Total, Windows, window_images
from rsciio_xfm.core.atomic import check_destination, replacing
from rsciio_xfm.core.chunks import ChunkedArray
from rsciio_xfm.core.reduce import run
from rsciio_xfm.core.to_dask import from_source
from rsciio_xfm.formats.datastack.raw import parse_map, raw_array

# Channels on each side of the peak, as maxrf4u: 10 below it, itself and 9 above.
_HALF_WIDTH = 10
# The peak is guessed from some rows, and images are kept for so many channels on each side.
_MARGIN = 8
_MOST_SAMPLED = 16  # rows, of which there are at least as many that are not
_BINS = 256  # of the histogram
_IMAGES_BYTES = 32 * 2**20


class Preview(NamedTuple):
    """What :func:`preview` finds."""

    image: np.ndarray
    """float64, shape (y, x): counts around the peak, equalised to 0 to 1."""
    channel: int
    """Of the peak: where the maximum spectrum is highest."""
    max_spectrum: np.ndarray
    """Maximum of all spectra, in the type of the file."""
    sum_spectrum: np.ndarray
    """Sum of all spectra: exact integers of integers."""
    path: Path
    """The picture."""


def preview(
    raw: str | Path,
    rpl: str | Path,
    destination: str | Path | None = None,
    flip_horizontal: bool = False,
    flip_vertical: bool = False,
    *,
    overwrite: bool = True,
) -> Preview:
    """Make a picture of a raw file, to see whether the map has to be flipped.

    Parameters
    ----------
    raw, rpl
        See :func:`convert`.
    destination
        Path of the picture, a PNG; by default `raw` with ``_preview.png`` behind it.
    flip_horizontal, flip_vertical
        Mirror the picture, to see what :func:`convert` would do.
    overwrite
        Replace `destination` if it is there.

    Returns
    -------
    Preview
        The image, the spectra, and where the picture is.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The files cannot be read, see :func:`convert`.
    FileExistsError
        `destination` exists, and `overwrite` is False.

    Notes
    -----
    The file is read once. Only if the peak is not where some of the rows have it, twenty
    channels are read again.

    Examples
    --------
    >>> from rsciio_xfm import datastack
    >>> datastack.preview("scan.raw", "scan.rpl").path
    PosixPath('scan.raw_preview.png')
    """
    from matplotlib.image import imsave

    destination = Path(f"{raw}_preview.png" if destination is None else destination)
    for read in (raw, rpl):
        check_destination(read, destination, overwrite)
    source = raw_array(raw, parse_map(rpl))
    survey = _survey_spectra if source.is_as_stored else _survey_images
    highest, total, channel, counts = survey(source)
    image = _equalize(counts)
    image = image[:: -1 if flip_vertical else 1, :: -1 if flip_horizontal else 1]
    with replacing(destination) as file:
        imsave(file, image, cmap="gray", vmin=0, vmax=1, format="png")
    return Preview(image, channel, highest, total, destination)


def _equalize(counts: np.ndarray) -> np.ndarray:
    """Replace numbers by the share of pixels with fewer counts, interpolated between bins.

    Source: Gonzalez and Woods, Digital Image Processing, 3.3.1; bins as scikit-image has them.
    """
    counts = np.nan_to_num(counts, nan=0, posinf=0, neginf=0)
    numbers, edges = np.histogram(counts, bins=_BINS)
    shares = np.cumsum(numbers) / counts.size
    return np.interp(counts, (edges[:-1] + edges[1:]) / 2, shares)


def _window(channel: int, n_channels: int) -> tuple[int, int]:
    return max(0, channel - _HALF_WIDTH), min(n_channels, channel + _HALF_WIDTH)


def _survey_spectra(
    source: ChunkedArray,
) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
    """Return maximum, sum, channel of the peak and counts around it of a map of spectra."""
    n_channels = source.shape[-1]
    guess = _guess_peak(source)
    centres = range(max(0, guess - _MARGIN), min(n_channels, guess + _MARGIN + 1))
    windows = tuple(_window(c, n_channels) for c in centres)
    data = from_source(source)
    highest, total, images = run(data, Highest(), Total(), Windows(windows))
    channel = _peak(highest)
    if channel in centres:
        counts = images[channel - centres.start]
    else:
        counts = window_images(data, [_window(channel, n_channels)])[0]
    return highest, total, channel, counts


def _guess_peak(source: ChunkedArray) -> int:
    """Return where the maximum of some rows, spread over the map, is highest."""
    depth = source.shape[-1]
    n_rows = max(1, min(_MOST_SAMPLED, source.table.n_present // _MOST_SAMPLED))
    rows = np.linspace(0, source.table.n_present - 1, n_rows + 2)[1:-1].astype(int)
    peaks = [
        source[row : row + 1].reshape(-1, depth).max(axis=0)
        for row in dict.fromkeys(rows.tolist())
    ]
    return _peak(np.maximum.reduce(peaks))


def _peak(highest: np.ndarray) -> int:
    """Return where a spectrum is highest, and finite."""
    return int(np.where(np.isfinite(highest), highest, 0).argmax())


def _survey_images(
    source: ChunkedArray,
) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
    """Return the same of a map of images: each of them is a channel."""
    height, width, depth = source.shape
    wide = {"u": np.uint64, "i": np.int64}.get(source.dtype.kind, np.float64)
    highest = np.empty(depth, dtype=source.dtype)
    total = np.empty(depth, dtype=wide)
    n_at_once = max(1, _IMAGES_BYTES // (height * width * source.dtype.itemsize))
    for start in range(0, depth, n_at_once):
        channels = slice(start, min(start + n_at_once, depth))
        images = source.as_stored()[channels]
        images = images.reshape(len(images), -1)
        highest[channels] = images.max(axis=1)
        total[channels] = images.sum(axis=1, dtype=wide)
    channel = _peak(highest)
    counts = source.as_stored()[slice(*_window(channel, depth))].sum(axis=0, dtype=wide)
    return highest, total, channel, counts
