"""Images, and maps, as EDF files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.atomic import replacing
from rsciio_xfm.core.blocks import blocks
from rsciio_xfm.core.extras import require
from rsciio_xfm.core.later import da
from rsciio_xfm.core.packed import EXTRA, LEFT_OUT, pack
from rsciio_xfm.core.progress import bytes_bar
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.edf.layout import (
    MOST_EXTRA,
    PIXEL_SIZES,
    STORAGE_KEYS,
    STORAGE_WORDS,
    TEXTS,
)

# Of numbers that the format has names for.
_EDF_TYPES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"]
_METRES = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "nm": 1e-9}
# Bytes of what is kept of the header: fabio gives up at 2**18 in all.
_MOST_HEADER = 2**15
_MOST_TITLE = 1000
_KEPT = EXTRA, *PIXEL_SIZES, "title"


def write_edf(
    path: Path, signal: dict[str, Any], data: Any, axes: list[dict[str, Any]]
) -> None:
    """Write images as EDF; see :func:`rsciio_xfm.esrf.file_writer`."""
    edfimage = require("fabio.edfimage", "esrf")
    roles = [axis["navigate"] for axis in axes]
    if roles not in ([False, False], [True, False, False]):
        raise ValueError(
            f"{path}: the signal has {roles.count(True)} axes to navigate and "
            f"{roles.count(False)} of the signal, expected an image, or images along one "
            'axis: EDF holds images. Save spectra as .h5 with file_format="ESRF".'
        )
    if data.dtype.str[1:] not in _EDF_TYPES:
        raise TypeError(
            f"{path}: the data are {data.dtype}, expected real numbers of 8 to 64 bits: "
            "convert them with the signal's change_dtype."
        )
    header = make_header(path, signal, axes)
    header[EXTRA] = pack(path, signal, axes, MOST_EXTRA) or LEFT_OUT
    changing = _changing(signal, data.shape[0] if data.ndim == 3 else 1)
    with (
        replacing(path) as file,
        bytes_bar(data.nbytes, f"Writing {path.name}") as bar,
    ):
        for i, image in enumerate(_images(data)):
            own = header if i == 0 else {}
            own = own | {key: values[i] for key, values in changing.items()}
            native = np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("="))
            frame = edfimage.EdfFrame(data=native, header=dict(own))
            frame._index = i  # the argument for it raises an error in fabio 2026.6
            file.write(frame.get_edf_block())
            bar.update(native.nbytes)


def _images(data: np.ndarray | da.Array) -> Iterator[np.ndarray]:
    """Yield images one by one; of a dask array, few of its chunks are in memory."""
    if data.ndim == 2:
        data = data[np.newaxis]
    if isinstance(data, da.Array):
        data = data.rechunk({1: -1, 2: -1})
    for _, block in blocks(data):
        yield from block


def make_header(
    path: Path, signal: dict[str, Any], axes: list[dict[str, Any]]
) -> dict[str, str]:
    """Make the header of the first frame: that it was loaded with, title and pixel sizes."""
    header: dict[str, str] = {}
    left_out = []
    n_bytes = 0
    for key, value in held_header(signal).items():
        # A text that was saved here is there in pairs, too.
        is_ours = key.endswith(TEXTS) and EXTRA in value
        if _is_storage(key) or is_ours:
            continue
        n_bytes += len(key) + len(value) + 6
        if _fits(key) and _fits(value) and n_bytes <= _MOST_HEADER:
            header[key] = value
        else:
            left_out.append(key)
    if left_out:
        warn(
            f"{path}: {', '.join(left_out[:8])} of the header cannot be written, expected "
            f"ASCII text without braces and semicolons, {_MOST_HEADER} bytes in all: they are "
            "kept in the metadata only."
        )
    title = str(signal["metadata"].get("General", {}).get("title") or "")
    if len(title) <= _MOST_TITLE and _fits(title):
        header["title"] = title
    for key, axis in zip(PIXEL_SIZES, reversed(axes[-2:]), strict=True):
        metres = _METRES.get(axis.get("units"))
        if metres is not None:
            header[key] = f"{axis['scale'] * metres:.12g}"
    return header


def held_header(signal: dict[str, Any]) -> dict[str, str]:
    """Return the texts of the header that images were loaded with."""
    original = signal.get("original_metadata", {})
    held = original.get("header", {}) if isinstance(original, dict) else {}
    pairs = held.items() if isinstance(held, dict) else ()
    return {key: value for key, value in pairs if isinstance(value, str)}


def _is_storage(key: str) -> bool:
    folded = key.lower()
    own = {kept.lower() for kept in _KEPT}
    return folded in STORAGE_KEYS | own or folded.startswith(STORAGE_WORDS)


def _fits(text: str) -> bool:
    """Tell whether text can stand in an EDF header."""
    is_printed = text.isascii() and text.isprintable()
    return is_printed and bool(text.strip()) and not set(text) & set("{};=")


def _changing(signal: dict[str, Any], n_frames: int) -> dict[str, list[str]]:
    """Return values of the headers that change from frame to frame."""
    original = signal.get("original_metadata", {})
    held = original.get("frames", {}) if isinstance(original, dict) else {}
    return {
        key: values
        for key, values in (held.items() if isinstance(held, dict) else ())
        if isinstance(values, list)
        and len(values) == n_frames
        and not _is_storage(key)
        and _fits(key)
        and all(isinstance(v, str) and _fits(v) for v in values)
    }
