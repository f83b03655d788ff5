"""Which images are in a file, and where."""

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.chunks import NO_CHUNK
from rsciio_xfm.core.packed import EXTRA
from rsciio_xfm.core.series import find_matching, list_numbered, no_number
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from rsciio_xfm.formats.edf.fabio_files import opened
from rsciio_xfm.formats.edf.layout import (
    CALIBRATION_KEYS,
    CALIBRATION_LIST,
    CBF_TEXT,
    TIFF_TEXT,
)

_KINDS = "biufc"
_PADDING = 512  # bytes, to a multiple of which some programs round sizes
_LEAST_SHARE = 0.001  # of what a header promises: less is no image
_PACKED = ("GZIP", "BZ", "Z", "OFFSET")  # compressions that fabio knows


@dataclass(frozen=True)
class Frame:
    """Where an image is, and what its header says.

    Attributes
    ----------
    number
        Of the frame in its file.
    offset
        Byte at which its numbers begin, or `NO_CHUNK`: fabio reads it.
    n_rows
        How many of its rows are in the file.
    shape, dtype
        Of the image; the type as it is stored.
    header
        Its text.
    """

    number: int
    offset: int
    n_rows: int
    shape: tuple[int, ...]
    dtype: np.dtype
    header: dict[str, str]


def find_series(path: Path, series: bool | str) -> list[Path]:
    """Return the files of a series, in the order of their numbers.

    Parameters
    ----------
    path
        One of them.
    series
        True: all files whose names differ from this one's in the last number only; or a
        pattern such as ``"image_*.edf"``, for the same folder.

    Raises
    ------
    FileFormatError
        The name has no number; nothing matches the pattern.

    Warns
    -----
    UserWarning
        Numbers are missing between the first and the last one.
    """
    if isinstance(series, str):
        return find_matching(path, series)
    numbered = list_numbered(path)
    if not numbered:
        raise no_number(path, "image_0001.edf")
    numbers = [*numbered]
    n_missing = numbers[-1] - numbers[0] + 1 - len(numbers)
    if n_missing:
        warn(
            f"{path}: {n_missing} of the files numbered {numbers[0]} to {numbers[-1]} are not "
            "there: the others follow each other."
        )
    return [*numbered.values()]


def find_frames(path: Path) -> list[Frame]:
    """Find the images in a file.

    Raises
    ------
    TruncatedFileError
        The file ends before the first row of its first image.
    FileFormatError, CorruptFileError
        Fabio cannot read it, or it holds no image of numbers.

    Warns
    -----
    UserWarning
        The file ends within an image, whose other rows are zeros.
    """
    size = os.stat(path).st_size
    with opened(path) as image:
        is_edf = type(image).__name__ == "EdfImage"
        frames = []
        for number in range(image.nframes):
            if is_edf:
                frame = _describe_edf(path, image.get_frame(number), number, size)
            else:
                frame = _describe(path, image, number)
            if frame is not None:
                frames.append(frame)
    if not frames:
        raise TruncatedFileError(
            f"{path}: the file ends before the first row of an image (byte {size}, its end), "
            "expected at least one."
        )
    return frames


def _describe_edf(path: Path, frame: Any, number: int, size: int) -> Frame | None:
    """Find the numbers of an EDF frame; None if none of them are in the file."""
    header = {str(key): str(value) for key, value in frame.header.items()}
    folded = {key.lower(): value for key, value in header.items()}
    shape, dtype = tuple(int(n) for n in frame.shape), np.dtype(frame.dtype)
    _check_image(path, shape, dtype, number)
    compression = folded.get("compression", "none").strip().upper()
    is_plain = compression.startswith("NO") and "EDF_BinaryFileName" not in header
    if not compression.startswith("NO") and not any(c in compression for c in _PACKED):
        raise FileFormatError(
            f"{path}: the compression of frame {number} is {compression!r:.40}, expected none "
            f"or one of {', '.join(_PACKED)} (its header is before byte {frame.start})."
        )
    if not is_plain or Path(path).suffix.lower() in (".gz", ".bz2", ".xz"):
        return Frame(number, NO_CHUNK, shape[0], shape, dtype, header)
    n_bytes = math.prod(shape) * dtype.itemsize
    sizes = [meta.number(folded.get(key)) for key in ("size", "edf_binarysize")]
    promised = int(min((size for size in sizes if size is not None), default=n_bytes))
    start = int(frame.start)
    if promised < n_bytes:
        raise CorruptFileError(
            f"{path}: the header of frame {number} says {promised} bytes, expected {n_bytes} "
            f"for {shape} of {dtype} (the numbers begin at byte {start})."
        )
    is_padded = promised % _PADDING == 0 and promised - n_bytes < _PADDING
    if promised > n_bytes and not is_padded:
        warn(
            f"{path}: the header of frame {number} says {promised} bytes, expected {n_bytes} "
            f"for {shape} of {dtype}, which are read (byte {start}). It is damaged, if the "
            "image is larger."
        )
    present = max(0, min(n_bytes, size - start))
    n_rows = present // (n_bytes // shape[0])
    if n_rows < shape[0]:
        if n_rows == 0 or present < _LEAST_SHARE * n_bytes:
            if number == 0:
                raise TruncatedFileError(
                    f"{path}: the file has {present} of the {n_bytes} bytes of its first "
                    f"image, {shape} of {dtype}, expected at least {_LEAST_SHARE:.1%} and a "
                    f"row (byte {start}): it is cut, or its header is damaged."
                )
            warn(f"{path}: the file ends before frame {number} (byte {start}): left out.")
            return None
        warn(
            f"{path}: the file ends early: {n_rows} of {shape[0]} rows of frame {number} are "
            f"there (byte {size}, its end), the rest are zeros."
        )
    named = folded.get("byteorder", "")
    if dtype.itemsize > 1 and not any(word in named for word in ("Low", "High")):
        warn(
            f"{path}: the byte order of frame {number} is {named!r:.40}, expected "
            "LowByteFirst or HighByteFirst: the first is assumed, as by fabio."
        )
    order = ">" if "High" in named else "<"
    return Frame(number, start, n_rows, shape, dtype.newbyteorder(order), header)


def _describe(path: Path, image: Any, number: int) -> Frame:
    """Describe an image of another format, which fabio reads."""
    frame = image.get_frame(number) if image.nframes > 1 else image
    data = np.asarray(frame.data)
    _check_image(path, data.shape, data.dtype, number)
    header = {str(key): str(value) for key, value in frame.header.items()}
    header |= _saved_within(header)
    dtype = data.dtype.newbyteorder("=")
    return Frame(number, NO_CHUNK, data.shape[0], data.shape, dtype, header)


def _saved_within(header: dict[str, str]) -> dict[str, str]:
    """Return keys and values of a header that were saved here in one text of it."""
    text = header.get(CBF_TEXT) or header.get(TIFF_TEXT) or ""
    lines = (line.lstrip("# ").partition("=") for line in text.splitlines())
    found = {key.strip(): value.strip() for key, is_pair, value in lines if is_pair}
    return found if EXTRA in found else {}


def _check_image(
    path: Path, shape: tuple[int, ...], dtype: np.dtype, number: int
) -> None:
    if not shape or min(shape) <= 0 or dtype.kind not in _KINDS:
        raise FileFormatError(
            f"{path}: frame {number} is {shape} of {dtype}, expected an image of numbers that "
            "is not empty (byte 0, its header)."
        )


def find_calibration(header: dict[str, str]) -> tuple[float, ...] | None:
    """Return a, b, c of E = a + b channel + c channel squared from an EDF header.

    Returns
    -------
    tuple of float or None
        keV; None if there is none.
    """
    folded = fold(header)
    terms = [meta.number(folded.get(key.lower())) for key in CALIBRATION_KEYS]
    if terms[0] is not None and terms[1] is not None:
        return terms[0], terms[1], terms[2] or 0.0
    listed = re.findall(r"[^\s,\[\]()]+", folded.get(CALIBRATION_LIST.lower(), ""))
    values = [meta.number(word) for word in listed]
    known = tuple(value for value in values if value is not None)
    return known if len(known) == len(values) and len(known) in (2, 3) else None


def fold(header: dict[str, str]) -> dict[str, str]:
    """Return a header with its keys in small letters."""
    return {key.lower(): value for key, value in header.items()}
