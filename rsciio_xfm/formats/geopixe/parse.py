"""The JSON header of a ``.GeoPIXE`` file, checked."""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from rsciio_xfm.core.source import LocalFile, Source, identify, open_unbuffered
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError, TruncatedFileError
from rsciio_xfm.formats.geopixe.layout import HEADER_LENGTH, MAX_INDEX, RECORD

FILE = "File Header"
SOURCE = "X-ray Source"
TIMESTAMP = "%m/%d/%Y at %I:%M %p"  # of "Timestamp"
# Of original_metadata: the header as it stands in the file. HyperSpy does not show names
# that begin with an underscore.
HEADER_TEXT = "_header_text"
_MAX_DEPTH = 20  # of the header's tree; 2 in the files seen
_SCALES = 1e-9, 1e9  # mm, ms, eV


@dataclass(frozen=True)
class Header:
    """What the header of a map says; see :func:`read_header`.

    Attributes
    ----------
    text
        The whole JSON header as it stands in the file.
    tree
        The same, parsed. A key that stands more than once holds the list of its
        values; ``"Detector"`` always holds a list.
    n_rows, n_columns, n_detectors, n_channels
        Size of the map.
    ev_per_channel
        Energy of channel 1 in eV; channel 0 is 0 eV. None where the header has none.
    width_mm, height_mm
        Size of the map, None where the header has none.
    dwell_s
        Real time per pixel, None where the header has none.
    data_offset
        Byte at which the records begin.
    source
        The file.
    """

    text: str
    tree: dict[str, Any]
    n_rows: int
    n_columns: int
    n_detectors: int
    n_channels: int
    ev_per_channel: float | None
    width_mm: float | None
    height_mm: float | None
    dwell_s: float | None
    data_offset: int
    source: Source

    @property
    def file_size(self) -> int:
        """Of the file, in bytes."""
        return self.source.size

    @property
    def map_shape(self) -> tuple[int, int, int]:
        """``(n_detectors, n_rows, n_columns)``."""
        return (self.n_detectors, self.n_rows, self.n_columns)


def read_header(filename: str | Path) -> Header:
    """Read and check the header of a ``.GeoPIXE`` file.

    Returns
    -------
    Header
        Sizes that the file's own size can justify.

    Raises
    ------
    TruncatedFileError
        The file ends within its header.
    FileFormatError
        The header is not the JSON of a map, or describes a map that the file cannot hold.
    """
    path = Path(filename)
    with open_unbuffered(path) as file:
        source = LocalFile(os.path.abspath(path), identify(file))
        start = file.read(HEADER_LENGTH.itemsize)
        if len(start) < HEADER_LENGTH.itemsize:
            raise TruncatedFileError(
                f"{path}: the file has {len(start)} bytes, expected at least the "
                f"{HEADER_LENGTH.itemsize} of the header's length (byte 0). "
                "It is not a GeoPIXE map."
            )
        length = int.from_bytes(start, "little")
        text = file.read(length)
    if len(text) < length:
        raise TruncatedFileError(
            f"{path}: the header's length is {length} bytes, expected at most the "
            f"{len(text)} that follow (byte 0). It is no GeoPIXE map, or is cut off."
        )
    tree = parse_tree(text, path)
    return parse_header(text.decode("utf-8"), tree, path, source)


def parse_tree(text: bytes, path: Path) -> dict[str, Any]:
    """Parse the JSON of the header and keep all values of keys that are repeated.

    Parameters
    ----------
    text
        The bytes of the header, without the two of its length.
    path
        Named in errors.

    Returns
    -------
    dict
        The tree, as described for :class:`Header`.

    Raises
    ------
    FileFormatError
        The text is no UTF-8, no JSON, or its outermost value no object.
    """
    start = HEADER_LENGTH.itemsize
    try:
        tree = json.loads(text.decode("utf-8"), object_pairs_hook=_merge_repeated)
    except UnicodeDecodeError as exc:
        raise FileFormatError(
            f"{path}: the header is not UTF-8 text: {text[exc.start : exc.start + 16]!r} "
            f"(byte {start + exc.start}). It is not a GeoPIXE map."
        ) from exc
    except (ValueError, RecursionError) as exc:  # JSON errors and endless numbers
        at = len(text.decode("utf-8")[: getattr(exc, "pos", 0)].encode("utf-8"))
        raise FileFormatError(
            f"{path}: the header is not JSON: {exc}, found {text[at : at + 16]!r} "
            f"(byte {start + at}). It is not a GeoPIXE map, or is damaged."
        ) from exc
    if not isinstance(tree, dict):
        raise FileFormatError(
            f"{path}: the header is a JSON {type(tree).__name__}, expected an object "
            f"with {FILE!r} (byte {start})."
        )
    tree = _clean(tree, path)
    if "Detector" in tree and not isinstance(tree["Detector"], list):
        tree["Detector"] = [tree["Detector"]]
    return tree


def parse_header(text: str, tree: dict[str, Any], path: Path, source: Source) -> Header:
    """Take the sizes and scales of a map from its header.

    Raises
    ------
    FileFormatError
        A size is missing or absurd.

    Warns
    -----
    UserWarning
        A scale is missing or no positive number; it is then None.
    """
    fields = tree.get(FILE)
    if not isinstance(fields, dict):
        raise FileFormatError(
            f"{path}: the header's {FILE!r} is {fields!r:.40}, expected an object with "
            f"Xres, Yres and Chan (byte {HEADER_LENGTH.itemsize}). It is not a GeoPIXE map."
        )
    dwell_ms = _scale(fields, "Dwell (mS)", path, "live and real time stay unknown")
    header = Header(
        text=text,
        tree=tree,
        n_rows=_size(fields, "Yres", path),
        n_columns=_size(fields, "Xres", path),
        n_detectors=_size(
            fields, "Dets", path, default=len(tree.get("Detector", [])) or 1
        ),
        n_channels=_size(fields, "Chan", path),
        ev_per_channel=_scale(
            fields, "Gain (eV)", path, "the energy axis stays uncalibrated"
        ),
        width_mm=_scale(fields, "Width (mm)", path, "x stays uncalibrated"),
        height_mm=_scale(fields, "Height (mm)", path, "y stays uncalibrated"),
        dwell_s=None if dwell_ms is None else dwell_ms / 1000,
        data_offset=HEADER_LENGTH.itemsize + len(text.encode("utf-8")),
        source=source,
    )
    _check_map_size(header, path)
    return header


def source_fields(header: Header) -> dict[str, Any]:
    """Return the header's ``"X-ray Source"``, empty where there is none."""
    fields = header.tree.get(SOURCE)
    return fields if isinstance(fields, dict) else {}


def file_fields(header: Header) -> dict[str, Any]:
    """Return the header's ``"File Header"``."""
    return header.tree[FILE]


def _merge_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; the values of a repeated key become a list."""
    merged: dict[str, Any] = {}
    repeated = set()
    for key, value in pairs:
        if key not in merged:
            merged[key] = value
        elif key in repeated:
            merged[key].append(value)
        else:
            merged[key] = [merged[key], value]
            repeated.add(key)
    return merged


def _clean(value: Any, path: Path, depth: int = 0) -> Any:
    """Replace what cannot be saved as text, and refuse what is nested without end."""
    if depth > _MAX_DEPTH:
        raise FileFormatError(
            f"{path}: the header is nested more than {_MAX_DEPTH} levels deep, expected 2 "
            f"(byte {HEADER_LENGTH.itemsize})."
        )
    if isinstance(value, dict):
        return {_clean(k, path): _clean(v, path, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_clean(v, path, depth + 1) for v in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "?")
    return value


def is_number(value: Any) -> TypeGuard[float]:
    """Tell whether a JSON value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of floats
        return False


def _size(
    fields: dict[str, Any], name: str, path: Path, default: int | None = None
) -> int:
    value = fields.get(name, default)
    if not is_number(value) or value != int(value) or not 1 <= value <= MAX_INDEX:
        raise FileFormatError(
            f"{path}: the header's {name} is {value!r:.40}, expected a whole number from "
            f"1 to {MAX_INDEX} (byte {HEADER_LENGTH.itemsize})."
        )
    return int(value)


def _scale(fields: dict[str, Any], name: str, path: Path, lost: str) -> float | None:
    value = fields.get(name)
    if is_number(value) and _SCALES[0] <= value <= _SCALES[1]:
        return float(value)
    found = "missing" if value is None else f"{value!r:.40}"
    warn(f"{path}: the header's {name} is {found}, expected a positive number: {lost}.")
    return None


def _check_map_size(header: Header, path: Path) -> None:
    """Refuse a map whose dead times alone need more memory than the file justifies.

    A scan that was stopped early leaves a file shorter than its header says, so a header
    may promise more than the file holds; 64 MiB are granted to any file.
    """
    n_spectra = math.prod(header.map_shape)
    needed = n_spectra * RECORD["dead_time"].itemsize
    if needed > max(header.file_size, 64 * 2**20):
        held = (header.file_size - header.data_offset) // RECORD.itemsize
        raise FileFormatError(
            f"{path}: the header's Xres x Yres x Dets is {header.n_columns} x "
            f"{header.n_rows} x {header.n_detectors}, {n_spectra} spectra, expected at "
            f"most the {held} that the file's {header.file_size} bytes can hold (byte "
            f"{HEADER_LENGTH.itemsize}). The header is wrong, or nearly all of the file "
            "is missing."
        )
