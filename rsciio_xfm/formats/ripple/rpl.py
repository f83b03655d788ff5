"""Raw files that a ``.rpl`` file describes: what it says, and the array over the numbers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.chunks import ChunkedArray, Table
from rsciio_xfm.core.eds import PER_KEV
from rsciio_xfm.core.source import LocalFile, open_unbuffered
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError

_MOST_RPL = 2**20  # bytes
_MOST_PIXELS = 2**24  # along an axis
_MOST_OTHERS = 8  # calibrations that a warning names
# Less of the map than this makes its header unlikely.
_LEAST_SHARE = 0.001
# A key, then tabs, spaces, a colon or an equals sign, then the value.
_LINE = re.compile(r"(?:MLX::)?([\w-]+)[\s:=]*(?:MLX::)?(.*)")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_KINDS = {"signed": "i", "unsigned": "u", "float": "f"}
_LENGTHS = {"signed": (1, 2, 4, 8), "unsigned": (1, 2, 4, 8), "float": (4, 8)}
_RECORDS = ("vector", "image", "dont-care")
# What maxrf4u, which knows four keys, takes for granted.
DEFAULTS = {
    "offset": "0",
    "data-type": "unsigned",
    "byte-order": "dont-care",
    "record-by": "vector",
}
_CALIBRATION = re.compile(r"ev-per-chan|live-time|.*scale|.*origin|depthscaleincrement")
_DECISIVE = {"width", "height", "depth", "data-length", *DEFAULTS}
_ORDERS = {"little-endian": "<", "big-endian": ">", "dont-care": "<"}
_PER_KEV = {units.lower(): number for units, number in PER_KEV.items()}
# HyperSpy's keys, and those of Bruker's M4 and M6. Source: RosettaSciIO's description of the
# format; files of an M6 Jetstream.
_HYPERSPY = ("depth-scale", "depth-origin", "depth-units")
BRUKER = ("depthscaleincrement", "depthscaleorigin", "depthscaleunits")


@dataclass(frozen=True)
class Ripple:
    """What a ``.rpl`` file says.

    Attributes
    ----------
    path
        Of the file, for messages.
    fields
        All of its keys, in small letters, and their values as text.
    spelled
        The keys in small letters, and as they are spelt.
    shape
        ``(height, width, depth)``, or ``(y, x, E)``.
    dtype
        Of the numbers, in the byte order of the file.
    offset
        Byte at which they begin.
    is_images
        Whether they are ordered ``(depth, height, width)``.
    """

    path: str
    fields: dict[str, str]
    spelled: dict[str, str]
    shape: tuple[int, int, int]
    dtype: np.dtype
    offset: int
    is_images: bool


def parse_rpl(filename: str | Path, encoding: str | None = None) -> Ripple:
    """Read a ``.rpl`` file.

    Parameters
    ----------
    filename
        Path of the file. Keys may be spelt in any case and be followed by tabs or spaces;
        comments begin with a semicolon.
    encoding
        Of the text; None takes it for UTF-8, or for Latin-1 if it is not that.

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
    text = _decode(raw, encoding)
    if len(raw) > _MOST_RPL or "\0" in text:
        raise FileFormatError(
            f"{filename}: the file is no text of at most {_MOST_RPL} bytes, expected a .rpl "
            "file (byte 0). Are raw and rpl exchanged?"
        )
    return make_ripple(filename, _read_fields(filename, text))


def make_ripple(filename: str | Path, given: Mapping[str, Any]) -> Ripple:
    """Check what a ``.rpl`` file says, or a user instead of it.

    Parameters
    ----------
    filename
        Named in errors.
    given
        Keys, spelt in any case, and their values, as text or numbers.

    Raises
    ------
    FileFormatError
        See :func:`parse_rpl`.
    """
    fields = {str(name).lower(): str(value) for name, value in given.items()}
    known = DEFAULTS | fields
    height, width, depth = (
        _read_integer(filename, known, name, 1, _MOST_PIXELS)
        for name in ("height", "width", "depth")
    )
    record = _read_word(filename, known, "record-by", _RECORDS)
    if record == "dont-care" and depth > 1 and height * width > 1:
        raise FileFormatError(
            f"{filename}: record-by is 'dont-care', expected vector or image (byte 0, the "
            f"whole text): {depth} numbers of {height} x {width} pixels can be ordered by "
            "pixels or by images. Correct the .rpl file."
        )
    return Ripple(
        path=str(filename),
        fields=fields,
        spelled={str(name).lower(): str(name) for name in given},
        shape=(height, width, depth),
        dtype=_read_dtype(filename, known),
        offset=_read_integer(filename, known, "offset", 0, 2**62),
        is_images=record == "image",
    )


def _decode(raw: bytes, encoding: str | None) -> str:
    if encoding is not None:
        return raw.decode(encoding, errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:  # as RosettaSciIO writes it
        return raw.decode("latin-1")


def _read_fields(filename: str | Path, text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    seen: dict[str, str] = {}
    others = []  # calibrations that are given twice
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        content = line.split(";")[0].strip(" \t\x1a")
        if content.startswith(("(", ")")):  # Oxford's INCA writes a list in parentheses
            content = content.lstrip("(").rstrip(")").strip()
        if not content or content.startswith("#"):
            continue
        found = _LINE.fullmatch(content)
        if "\t" in content and not content.startswith("MLX::"):
            # The format's own separator: key and value may hold anything else.
            name, value = content.split("\t", 1)
            name = name.strip().rstrip(" :=")
            value = value.lstrip("\t :=").split("\t")[0].strip()
        elif found is not None:
            name, value = found[1], found[2].strip()
        else:
            raise FileFormatError(
                f"{filename}: line {number} is {content!r:.60}, expected a key and a value "
                "(byte 0, the whole text)."
            )
        small = name.lower()
        if small not in seen:
            fields[name] = seen[small] = value
        elif value != seen[small] and small in _DECISIVE:
            raise FileFormatError(
                f"{filename}: {small} is {value!r:.40} in line {number}, and "
                f"{seen[small]!r:.40} before, expected one value."
            )
        elif _CALIBRATION.fullmatch(small) and to_number(value) != to_number(seen[small]):
            others.append(
                f"{small} is {seen[small]!r:.40} and, in line {number}, {value!r:.40}"
            )
    if others:
        warn(
            f"{filename}: {'; '.join(others[:_MOST_OTHERS])}, expected one value: the first "
            "is taken."
        )
    return fields


def _read_integer(
    filename: str | Path, fields: dict[str, str], name: str, least: int, most: int
) -> int:
    if name not in fields:
        raise FileFormatError(
            f"{filename}: the key {name} is missing, found {', '.join(fields):.200} (byte 0, "
            "the whole text). Is this a .rpl file?"
        )
    text = fields[name]
    value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else None
    if value is None or not least <= value <= most:
        raise FileFormatError(
            f"{filename}: {name} is {text!r:.40}, expected an integer from {least} to {most}."
        )
    return value


def _read_word(
    filename: str | Path, fields: dict[str, str], name: str, known: Any
) -> str:
    word = fields[name].lower()
    if word not in known:
        raise FileFormatError(
            f"{filename}: {name} is {fields[name]!r:.40}, expected {' or '.join(known)}."
        )
    return word


def _read_dtype(filename: str | Path, fields: dict[str, str]) -> np.dtype:
    length = _read_integer(filename, fields, "data-length", 1, 8)
    kind = _read_word(filename, fields, "data-type", _KINDS)
    order = _ORDERS[_read_word(filename, fields, "byte-order", _ORDERS)]
    if length not in _LENGTHS[kind]:
        raise FileFormatError(
            f"{filename}: data-length is {length} and data-type {kind}, expected a length of "
            f"{', '.join(map(str, _LENGTHS[kind]))} bytes."
        )
    return np.dtype(f"{order}{_KINDS[kind]}{length}")


def to_number(text: str) -> float | None:
    """Return the number that a text is, perhaps with a decimal comma, or None."""
    if _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def energy_scale(ripple: Ripple) -> tuple[float, float] | None:
    """Return step and first energy of the channels in keV.

    Returns
    -------
    tuple of float or None
        None if they are not known.

    Warns
    -----
    UserWarning
        They are given without a unit, or are no numbers.
    """
    fields = ripple.fields
    found = None
    # Those in a unit of their own come before that of the format.
    for keys in (_HYPERSPY, BRUKER):
        scale, origin, units = keys
        unit = _PER_KEV.get(fields.get(units, "").lower())
        if found is None and unit is not None and scale in fields:
            found = unit, fields[scale], fields.get(origin, "0")
        ignored = [key for key in (scale, origin) if key in fields]
        if ignored and units not in fields:
            warn(
                f"{ripple.path}: {' and '.join(ignored)} without {units}, expected eV or "
                "keV: ignored."
            )
    if found is None and fields.get("ev-per-chan"):
        found = _PER_KEV["ev"], fields["ev-per-chan"], "0"
    if found is None:
        return None
    unit, *texts = found
    step, first = map(to_number, texts)
    if first is None or step is None or step <= 0:
        warn(
            f"{ripple.path}: the calibration of the energy axis is {' and '.join(texts)}, "
            "expected numbers, the first of them above 0: it is ignored."
        )
        return None
    return step / unit, first / unit


def raw_array(
    filename: str | Path,
    ripple: Ripple,
    shape: tuple[int, ...],
    is_images: bool = False,
    what: str = "rows",
) -> ChunkedArray:
    """Make the array-like over a raw file.

    Parameters
    ----------
    filename
        Path of the file.
    ripple
        What its ``.rpl`` file says.
    shape
        Of the array: that of the numbers in the file, but axes of size 1, or channels last.
    is_images
        Whether the numbers are ordered as an image of each channel, and `shape` has the
        channels last.
    what
        The first axis of `shape` has, for messages.

    Returns
    -------
    ChunkedArray
        In the byte order of this machine.

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
    source = LocalFile.of(filename)
    height, width, depth = ripple.shape
    item_bytes = ripple.dtype.itemsize
    n_bytes = height * width * depth * item_bytes
    expected = ripple.offset + n_bytes
    described = (
        f"{height} x {width} spectra of {depth} channels of {item_bytes} bytes"
        if depth > 1
        else f"an image of {height} x {width} pixels of {item_bytes} bytes"
    ) + f" from byte {ripple.offset} on"
    if source.size >= expected + (depth if depth > 1 else width) * item_bytes:
        raise CorruptFileError(
            f"{filename}: the file has {source.size} bytes, expected {expected}: by the .rpl "
            f"file, {described}. What is behind byte {expected}? Correct the .rpl file."
        )
    n_rows = shape[0]
    n_present = min(n_rows, max(0, source.size - ripple.offset) // (n_bytes // n_rows))
    if n_present < max(1, _LEAST_SHARE * n_rows) or (is_images and n_present < n_rows):
        raise TruncatedFileError(
            f"{filename}: the file ends at byte {source.size}, expected {expected}: by the "
            f".rpl file, {described}{', ordered as images' if is_images else ''}. Too little "
            "is there."
        )
    if source.size != expected:
        warn(
            f"{filename}: the file has {source.size} bytes, expected {expected} by the .rpl "
            f"file: {described}. "
            + (
                f"{n_present} {what} are there; the others are zeros."
                if n_present < n_rows
                else "The last ones are ignored."
            )
        )
    place = source, ripple.offset
    if is_images:
        stored = (shape[-1], *shape[:-1])
        order = (*range(1, len(shape)), 0)
        return ChunkedArray(Table.of_run(*place, stored, ripple.dtype), order=order)
    return ChunkedArray(Table.of_run(*place, shape, ripple.dtype, n_present))
