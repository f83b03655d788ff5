"""The image of the sample that is saved with a map."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from rsciio_xfm.core.source import open_unbuffered
from rsciio_xfm.exceptions import FileFormatError

_RGB = np.dtype({"names": ["R", "G", "B"], "formats": ["u1", "u1", "u1"]})
_MOST_PIXELS = 8  # per byte of the file: those of two colours


def read_bmp(path: Path) -> np.ndarray:
    """Read a Windows bitmap.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    numpy.ndarray
        Shape (y, x): uint8 if all colours are grey, else HyperSpy's ``rgb8``.

    Raises
    ------
    FileFormatError
        The file is no whole bitmap.
    """
    try:
        with open_unbuffered(path) as file:
            with warnings.catch_warnings():
                # Of a size that is compared with that of the file, next.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(file, formats=["BMP"])
            _check_size(path, image.size)
            is_grey = image.mode in ("1", "L")
            colours = np.asarray(image.convert("L" if is_grey else "RGB"))
    except (FileNotFoundError, FileFormatError):
        raise
    except (
        Image.DecompressionBombError,
        OSError,
        SyntaxError,
        UnidentifiedImageError,
        ValueError,
    ) as error:
        raise FileFormatError(
            f"{path}: the file is no whole bitmap ({error}), expected one (byte 0)."
        ) from error
    if is_grey:
        return np.ascontiguousarray(colours)
    grey = colours[..., 0]
    if (colours == grey[..., np.newaxis]).all():
        return np.ascontiguousarray(grey)
    return np.ascontiguousarray(colours).view(_RGB)[..., 0]


def _check_size(path: Path, size: tuple[int, int]) -> None:
    """Refuse an image whose header promises more pixels than the file can hold."""
    n_pixels, n_bytes = size[0] * size[1], path.stat().st_size
    if n_pixels > _MOST_PIXELS * n_bytes:
        raise FileFormatError(
            f"{path}: the image has {size[0]} x {size[1]} pixels, expected what a file of "
            f"{n_bytes} bytes can hold (byte 18)."
        )
