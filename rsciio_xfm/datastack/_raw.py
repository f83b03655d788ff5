"""Raw files that a ``.rpl`` file describes: spectra one after the other, or images."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm._io.binary import check_unchanged, identify, open_unbuffered, read_into
from rsciio_xfm._io.compiled import transpose
from rsciio_xfm._io.lazy import ArrayLike, Range
from rsciio_xfm._io.raw_map import RawMap
from rsciio_xfm._io.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError

_MOST_RPL = 2**20  # bytes
_MOST_PIXELS = 2**24  # along an axis
# Less of the map than this makes its header unlikely.
_LEAST_SHARE = 0.001
# A key, then tabs, spaces, a colon or an equals sign, then the value.
_LINE = re.compile(r"(?:MLX::)?([\w-]+)[\s:=]*(?:MLX::)?(.*)")
_KINDS = {"signed": "i", "unsigned": "u", "float": "f"}
_LENGTHS = {"signed": (1, 2, 4, 8), "unsigned": (1, 2, 4, 8), "float": (4, 8)}
# As maxrf4u, which knows no others, and of one byte there is no order.
_DEFAULTS = {
    "offset": "0",
    "data-type": "unsigned",
    "byte-order": "dont-care",
    "record-by": "vector",
}
_DECISIVE = {"width", "height", "depth", "data-length", *_DEFAULTS}
_ORDERS = {"little-endian": "<", "big-endian": ">", "dont-care": "<"}
_TO_KEV = {"ev": 1e-3, "kev": 1.0}


@dataclass(frozen=True)
class Ripple:
    """What a ``.rpl`` file says.

    Attributes
    ----------
    fields
        All of its keys, in small letters, and their values as text.
    shape
        ``(y, x, E)``.
    dtype
        Of the numbers, in the byte order of the file.
    offset
        Byte at which they begin.
    is_images
        Whether they are ordered ``(E, y, x)``.
    scale, origin
        Of the energy axis in keV; None if they are not given.
    """

    fields: dict[str, str]
    shape: tuple[int, int, int]
    dtype: np.dtype
    offset: int
    is_images: bool
    scale: float | None
    origin: float | None

    def energies(self) -> np.ndarray | None:
        """Return the energy of each channel in keV, if it is known."""
        if self.scale is None:
            return None
        return (self.origin or 0.0) + self.scale * np.arange(self.shape[2])


def parse_rpl(filename: str | Path) -> Ripple:
    """Read a ``.rpl`` file.

    Parameters
    ----------
    filename
        Path of the file. Keys may be spelt in any case and be followed by tabs or spaces;
        comments begin with a semicolon.

    Returns
    -------
    Ripple
        What it says, checked for contradictions.

    Raises
    ------
    FileFormatError
        A key is missing, or has a value that it cannot have, or two that differ.
    """
    with open_unbuffered(filename) as file:
        raw = file.read(_MOST_RPL + 1)
    if len(raw) > _MOST_RPL or b"\0" in raw:
        raise FileFormatError(
            f"{filename}: the file is no text of at most {_MOST_RPL} bytes, expected a .rpl "
            "file (byte 0). Are raw and rpl exchanged?"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:  # as RosettaSciIO writes it
        text = raw.decode("latin-1")
    fields = _read_fields(filename, text)
    given = _DEFAULTS | fields
    sizes = {}
    for name, least, most in (
        ("width", 1, _MOST_PIXELS),
        ("height", 1, _MOST_PIXELS),
        ("depth", 1, _MOST_PIXELS),
        ("data-length", 1, 8),
        ("offset", 0, 2**62),
    ):
        sizes[name] = _read_integer(filename, given, name, least, most)
    for name, known in (
        ("data-type", _KINDS),
        ("byte-order", _ORDERS),
        ("record-by", ("vector", "image")),
    ):
        if given[name].lower() not in known:
            raise FileFormatError(
                f"{filename}: {name} is {given[name]!r:.40}, expected {' or '.join(known)}."
            )
    kind = given["data-type"].lower()
    if sizes["data-length"] not in _LENGTHS[kind]:
        raise FileFormatError(
            f"{filename}: data-length is {sizes['data-length']} and data-type {kind}, "
            f"expected a length of {', '.join(map(str, _LENGTHS[kind]))} bytes."
        )
    if sizes["depth"] == 1:
        raise FileFormatError(
            f"{filename}: depth is 1: it describes an image, expected spectra."
        )
    scale, origin = _read_calibration(filename, fields)
    order = _ORDERS[given["byte-order"].lower()]
    return Ripple(
        fields=fields,
        shape=(sizes["height"], sizes["width"], sizes["depth"]),
        dtype=np.dtype(f"{order}{_KINDS[kind]}{sizes['data-length']}"),
        offset=sizes["offset"],
        is_images=given["record-by"].lower() == "image",
        scale=scale,
        origin=origin,
    )


def _read_fields(filename: str | Path, text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        content = line.split(";")[0].strip(" \t\x1a")
        if content.startswith(("(", ")")):  # Oxford's INCA writes a list in parentheses
            content = content.lstrip("(").rstrip(")").strip()
        if not content or content.startswith("#"):
            continue
        found = _LINE.fullmatch(content)
        if "\t" in content and not content.startswith("MLX::"):
            # The format's own separator: key and value may hold anything else.
            name, value = (part.strip(" :=") for part in content.split("\t", 1))
            value = value.strip("\t").split("\t")[0].strip()
        elif found is not None:
            name, value = found[1], found[2].strip()
        else:
            raise FileFormatError(
                f"{filename}: line {number} is {content!r:.60}, expected a key and a value."
            )
        name = name.lower()
        if fields.setdefault(name, value) != value and name in _DECISIVE:
            raise FileFormatError(
                f"{filename}: {name} is {value!r:.40} in line {number}, and "
                f"{fields[name]!r:.40} before, expected one value."
            )
    return fields


def _read_integer(
    filename: str | Path, fields: dict[str, str], name: str, least: int, most: int
) -> int:
    if name not in fields:
        raise FileFormatError(
            f"{filename}: the key {name} is missing, found {', '.join(fields) or 'none'}."
        )
    text = fields[name]
    value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else None
    if value is None or not least <= value <= most:
        raise FileFormatError(
            f"{filename}: {name} is {text!r:.40}, expected an integer from {least} to {most}."
        )
    return value


def _read_calibration(
    filename: str | Path, fields: dict[str, str]
) -> tuple[float | None, float | None]:
    """Return step and origin of the energy axis in keV, where they are given."""
    # HyperSpy's keys, in a unit of their own, come before those of the format.
    unit = _TO_KEV.get(fields.get("depth-units", "").lower())
    if unit is not None and "depth-scale" in fields:
        found = fields["depth-scale"], fields.get("depth-origin", "0")
    elif fields.get("ev-per-chan"):
        unit, found = _TO_KEV["ev"], (fields["ev-per-chan"], "0")
    else:
        found = None
    ignored = [key for key in ("depth-scale", "depth-origin") if key in fields]
    if ignored and "depth-units" not in fields:
        warn(
            f"{filename}: {' and '.join(ignored)} without depth-units, expected eV or keV: "
            "ignored."
        )
    if found is None:
        return None, None
    try:
        scale, origin = (float(text) * unit for text in found)
    except ValueError:
        scale, origin = np.nan, np.nan
    if not (np.isfinite(origin) and 0 < scale < np.inf):
        warn(
            f"{filename}: the calibration of the energy axis is {' and '.join(found)}, "
            "expected numbers, the first of them above 0: it is ignored."
        )
        return None, None
    return scale, origin


def raw_array(filename: str | Path, ripple: Ripple) -> "RawMap | RawImages":
    """Make the array-like over a raw file.

    Parameters
    ----------
    filename
        Path of the file.
    ripple
        What its ``.rpl`` file says.

    Returns
    -------
    RawMap or RawImages
        ``(y, x, E)``, in the byte order of this machine.

    Raises
    ------
    CorruptFileError
        The file is longer than it should be by a spectrum or more.
    TruncatedFileError
        Less than a row of spectra, or of images not all of them are there.

    Warns
    -----
    UserWarning
        The file ends early: rows that are not there are zeros; or there are a few bytes more.
    """
    with open_unbuffered(filename) as file:
        identity = identify(file)
    height, width, depth = ripple.shape
    spectrum_bytes = depth * ripple.dtype.itemsize
    row_bytes = width * spectrum_bytes
    expected = ripple.offset + height * row_bytes
    described = (
        f"{height} x {width} spectra of {depth} channels of {ripple.dtype.itemsize} bytes "
        f"from byte {ripple.offset} on"
    )
    if identity[0] >= expected + spectrum_bytes:
        raise CorruptFileError(
            f"{filename}: the file has {identity[0]} bytes, expected {expected}: by the .rpl "
            f"file, {described}. What is behind byte {expected}? Correct the .rpl file."
        )
    n_rows = min(height, max(0, identity[0] - ripple.offset) // row_bytes)
    if n_rows < max(1, _LEAST_SHARE * height) or (ripple.is_images and n_rows < height):
        raise TruncatedFileError(
            f"{filename}: the file ends at byte {identity[0]}, expected {expected}: by the "
            f".rpl file, {described}"
            f"{', ordered as images' if ripple.is_images else ''}. Too little is there."
        )
    if identity[0] != expected:
        warn(
            f"{filename}: the file has {identity[0]} bytes, expected {expected} by the .rpl "
            f"file: {described}. "
            + (
                f"{n_rows} rows are there; the others are zeros."
                if n_rows < height
                else "The last ones are ignored."
            )
        )
    common: dict[str, Any] = {
        "path": os.path.abspath(filename),
        "identity": identity,
        "data_offset": ripple.offset,
        "shape": ripple.shape,
        "stored_dtype": ripple.dtype,
    }
    if ripple.is_images:
        return RawImages(**common)
    return RawMap(n_rows_present=n_rows, **common)


@dataclass(frozen=True)
class RawImages(ArrayLike):
    """A map that lies in its file as images, one of each channel: ``(E, y, x)``.

    Attributes
    ----------
    path, identity, data_offset, shape, stored_dtype
        See :class:`rsciio_xfm._io.raw_map.RawMap`.
    """

    path: str
    identity: tuple[int, ...]
    data_offset: int
    shape: tuple[int, ...]
    stored_dtype: np.dtype

    @property
    def dtype(self) -> np.dtype:
        """Of the numbers, in the byte order of this machine."""
        return self.stored_dtype.newbyteorder("=")

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Read a block; see :meth:`ArrayLike.read`."""
        rows, columns, channels = ranges
        shape = [stop - start for start, stop in ranges]
        images = self.read_images(channels, rows, columns).reshape(shape[2], -1)
        spectra = np.empty((images.shape[1], shape[2]), dtype=self.dtype)
        transpose(images, spectra)
        return spectra.reshape(shape)

    def read_images(
        self, channels: Range, rows: Range | None = None, columns: Range | None = None
    ) -> np.ndarray:
        """Read images, or a part of each, as they are ordered: ``(E, y, x)``."""
        rows = rows or (0, self.shape[0])
        columns = columns or (0, self.shape[1])
        shape = [stop - start for start, stop in (channels, rows, columns)]
        images = np.empty(shape, dtype=self.stored_dtype)
        if images.size:
            with open_unbuffered(self.path) as file:
                check_unchanged(file, self.path, self.identity)
                for i, channel in enumerate(range(*channels)):
                    self._read_image(file, channel, rows, columns, images[i])
        return images.astype(self.dtype, copy=False)

    def _read_image(
        self, file: Any, channel: int, rows: Range, columns: Range, image: np.ndarray
    ) -> None:
        """Read a part of an image, at once if it is of whole rows."""
        height, width = self.shape[:2]
        flat = image.reshape(-1).view(np.uint8)
        at, n_runs = (channel * height + rows[0]) * width + columns[0], len(image)
        if image.shape[1] == width:
            n_runs = 1
        n_bytes = flat.size // n_runs
        for i in range(n_runs):
            start = self.data_offset + (at + i * width) * self.dtype.itemsize
            n_read = read_into(
                file, start, flat[i * n_bytes : (i + 1) * n_bytes], n_bytes
            )
            if n_read < n_bytes:
                raise CorruptFileError(
                    f"{self.path}: the file ends here, expected {n_bytes - n_read} bytes "
                    f"more (byte {start + n_read}). It was cut since it was opened."
                )
