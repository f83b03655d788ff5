"""The image of the sample that is saved with a map."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from rsciio_xfm.core.eds import build_axis, order_axes
from rsciio_xfm.core.source import open_unbuffered
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.edax import sidecars
from rsciio_xfm.formats.edax.parse import Header

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


def image_names(path: Path, header: Header, extension: str) -> list[str]:
    """Return the names under which a map's image or its description may lie.

    The name in the header is what the map had when it was measured, and in a folder of
    several maps perhaps another's by now: the map's own name comes first.
    """
    stem = Path(header.image_name).stem
    names = [f"{path.stem}{extension}", f"{path.stem}_Img{extension}"]
    return list(dict.fromkeys([*names, *([f"{stem}{extension}"] if stem else [])]))


def read_image(
    path: Path,
    header: Header,
    ipr: tuple[dict[str, Any], float, float] | None,
    given: str | Path | None,
) -> dict[str, Any]:
    """Make the signal of a map's image.

    Parameters
    ----------
    path, header
        The map.
    ipr
        From the description of the image: its fields, and the size of a pixel in µm.
    given
        Path of the image, if it is not beside the map.
    """
    names = image_names(path, header, ".bmp")
    beside = Path(given) if given else sidecars.find_file(path.parent, names)
    if beside is None or not beside.is_file():
        looked_for = given or " or ".join(names)
        raise FileNotFoundError(f"{path}: no image {looked_for} beside it.")
    image = read_bmp(beside)
    n_rows, n_columns = image.shape[:2]
    x_scale = y_scale = None
    original = {"spd_header": header.tree}
    if ipr is not None:
        # The image shows what the map does, perhaps in other pixels.
        original["ipr_header"], x_um, y_um = ipr
        x_scale = x_um * header.n_columns / n_columns
        y_scale = y_um * header.n_rows / n_rows
    axes = [
        build_axis("y", n_rows, y_scale, "µm", navigate=False),
        build_axis("x", n_columns, x_scale, "µm", navigate=False),
    ]
    return {
        "data": image,
        "axes": order_axes(axes),
        "metadata": {
            "General": {"title": beside.stem, "original_filename": beside.name},
            "Signal": {"signal_type": ""},
        },
        "original_metadata": original,
    }
