"""A picture of a raw file that shows how the object lay, and its spectra."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rsciio_xfm.analysis.maps import window_images
from rsciio_xfm.core.array import Range, place_in
from rsciio_xfm.core.atomic import check_destination, replacing
from rsciio_xfm.core.chunks import ChunkedArray
from rsciio_xfm.core.reduce import Pieces, over_pieces
from rsciio_xfm.core.to_dask import from_source
from rsciio_xfm.core.wide import add_spectra
from rsciio_xfm.formats.datastack.raw import parse_map, raw_array
from rsciio_xfm.kernels.sums import add_windows, is_counts, raise_to

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
    dst: str | Path | None = None,
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
    dst
        Path of the picture, a PNG; by default `raw` with ``_preview.png`` behind it.
    flip_horizontal, flip_vertical
        Mirror the picture, to see what :func:`convert` would do.
    overwrite
        Replace `dst` if it is there.

    Returns
    -------
    Preview
        The image, the spectra, and where the picture is.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The files cannot be read, see :func:`convert`.
    FileExistsError
        `dst` exists, and `overwrite` is False.

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

    dst = Path(f"{raw}_preview.png" if dst is None else dst)
    for read in (raw, rpl):
        check_destination(read, dst, overwrite)
    source = raw_array(raw, parse_map(rpl))
    survey = _survey_spectra if source.is_as_stored else _survey_images
    highest, total, channel, counts = survey(source)
    image = _equalize(counts)
    image = image[:: -1 if flip_vertical else 1, :: -1 if flip_horizontal else 1]
    with replacing(dst) as file:
        imsave(file, image, cmap="gray", vmin=0, vmax=1, format="png")
    return Preview(image, channel, highest, total, dst)


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
    windows = np.array([_window(c, n_channels) for c in centres], dtype=np.int64)
    data = from_source(source)
    highest, total, parts = over_pieces(data, partial(_survey, windows=windows), _merge)
    channel = _peak(highest)
    if channel in centres:
        place = channel - centres.start
        counts = np.zeros(source.shape[:2], dtype=parts[0][1].dtype if parts else float)
        for held, images in parts:
            counts[tuple(slice(*ends) for ends in held)] = images[place]
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


_Parts = list[tuple[tuple[Range, ...], np.ndarray]]


def _survey(
    pieces: Pieces, ranges: tuple[Range, ...], windows: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray, _Parts]:
    """Return maximum and sum of a part, and images of it, one for each window."""
    highest = images = None
    total: Any = 0
    for held, block in pieces:
        spectra = block.reshape(-1, block.shape[-1])
        if is_counts(block):
            peak = np.zeros(spectra.shape[1], dtype=spectra.dtype)
            raise_to(spectra, peak)
            part = np.zeros(spectra.shape[1], dtype=np.uint64)
            add_spectra(spectra, part)
            small = spectra.dtype.itemsize < 4
            sums = np.empty(
                (len(windows), len(spectra)), np.uint32 if small else np.uint64
            )
            add_windows(spectra, windows, sums)
        else:
            wide = {"u": np.uint64, "i": np.int64}.get(block.dtype.kind, np.float64)
            peak, part = spectra.max(axis=0), spectra.sum(axis=0, dtype=wide)
            sums = np.stack([spectra[:, a:b].sum(axis=1, dtype=wide) for a, b in windows])
        highest = peak if highest is None else np.maximum(highest, peak)
        total = total + part
        if images is None:
            shape = [stop - start for start, stop in ranges[:-1]]
            images = np.zeros((len(windows), *shape), dtype=sums.dtype)
        place = (slice(None), *place_in(held, ranges))
        images[place] = sums.reshape(-1, *block.shape[:-1])
    return highest, total, [] if images is None else [(ranges[:-1], images)]


def _merge(results: list[tuple[np.ndarray | None, np.ndarray, _Parts]]) -> Any:
    results = [one for one in results if one[0] is not None] or results[:1]
    peaks, totals, parts = zip(*results, strict=True)
    return np.maximum.reduce(peaks), sum(totals), [p for one in parts for p in one]


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
