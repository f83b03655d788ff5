"""What RosettaSciIO reads of JEOL's files: images, and single spectra."""

import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.faults import UPSTREAM
from rsciio_xfm.core.fields import read_fields
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.jeol import layout
from rsciio_xfm.formats.jeol.header_tree import read_tree
from rsciio_xfm.formats.jeol.parse import find

_NUMBER = np.dtype("<u4")
_MOST_BYTES = 2**28  # of an image
_PIXEL_UM = (1e-6, 1e6)  # what the size of a pixel can be


def read_other(path: Path, lazy: bool) -> list[dict[str, Any]]:
    """Read an image (``.img``, ``.map``) or spectrum (``.eds``).

    Parameters
    ----------
    path
        Of the file.
    lazy
        As of its reader.

    Raises
    ------
    FileFormatError
        It cannot be read.
    """
    from rsciio.jeol import file_reader

    # So that nothing can become larger than it is, and nothing is read without end.
    if path.suffix.lower() == ".eds":
        _check_spectrum(path)
    else:
        _check_image(path)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # It leaves the closing of a spectrum's file to Python.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            signals = file_reader(str(path), lazy=lazy)
        except (*UPSTREAM, UnboundLocalError) as exc:
            traceback.clear_frames(exc.__traceback__)
            raise FileFormatError(
                f"{path}: the file cannot be read: {exc!r:.200}. Expected what Analysis "
                "Station writes (byte 0)."
            ) from exc
    for signal in signals:
        for i, axis in enumerate(signal["axes"]):
            axis["index_in_array"] = i
        if path.suffix.lower() != ".eds":
            _check_pixels(path, signal["axes"])
    return signals


def _check_pixels(path: Path, axes: list[dict[str, Any]]) -> None:
    """Leave out sizes of pixels that cannot be true: no magnification, say."""
    least, most = _PIXEL_UM
    given = [axis["scale"] for axis in axes]
    scales = [float(one) if np.ndim(one) == 0 else np.nan for one in given]
    if all(least <= scale <= most for scale in scales):
        return
    warn(
        f"{path}: the pixels have the sizes {scales} µm by ScanSize and Mag, expected "
        f"{least:g} to {most:g}. They are left out."
    )
    for axis in axes:
        axis.update(scale=1.0, units="")


def _check_image(path: Path) -> None:
    source = LocalFile.of(path)
    (magic,) = read_fields(source, 0, _NUMBER)
    if magic != layout.MAGIC_IMG or source.size > _MOST_BYTES:
        raise FileFormatError(
            f"{path}: the file begins with {magic} and has {source.size} bytes, expected "
            f"{layout.MAGIC_IMG} and at most {_MOST_BYTES} (byte 0). It is no image of "
            "Analysis Station."
        )
    (place,) = read_fields(source, layout.IMG_DATA, _NUMBER)
    start = int(place) + layout.TREE_START
    n_bytes = max(0, source.size - start)
    raw = read_fields(source, min(start, source.size), np.dtype("u1"), n_bytes).tobytes()
    tree = read_tree(str(path), raw, start, n_bytes)
    size, bits = find(tree, "Image", "Size"), find(tree, "Image", "Bits")
    n_pixels = np.prod(np.asarray(size, dtype=float)) if np.size(size) == 2 else np.nan
    if not isinstance(bits, np.ndarray) or bits.size != n_pixels:
        raise FileFormatError(
            f"{path}: the image has the Size {size!r:.60}, expected as many pixels as its "
            f"{np.size(bits)} Bits (byte {start}). The file is damaged."
        )


def _check_spectrum(path: Path) -> None:
    source = LocalFile.of(path)
    (n,) = read_fields(source, layout.EDS_CHANNELS, np.dtype("<i4"))
    most = (source.size - layout.EDS_COUNTS) // _NUMBER.itemsize
    if not 1 <= n <= most:
        raise FileFormatError(
            f"{path}: the spectrum has {n} channels, expected 1 to {most}, as the file has "
            f"{source.size} bytes (byte {layout.EDS_CHANNELS}). It is no spectrum of Analysis "
            "Station, or damaged."
        )
