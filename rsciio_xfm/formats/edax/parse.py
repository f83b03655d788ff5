"""The header of a ``.spd`` map or ``.lsd`` line scan, checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.fields import field_offset
from rsciio_xfm.core.source import LocalFile, read_head
from rsciio_xfm.exceptions import FileFormatError, TruncatedFileError
from rsciio_xfm.formats.edax.layout import COUNT_BYTES, SPD_HEADER, SPD_TAG, ByteOrder

# A header that promises a thousand times what is in the file is damaged, not that of a
# scan that was stopped.
_LEAST_SHARE = 1e-3
# Pixels along an axis, or channels; microscopes have thousands.
_MAX_SIZE = 2**20
_OTHER: dict[ByteOrder, ByteOrder] = {"<": ">", ">": "<"}


@dataclass(frozen=True)
class Header:
    """What the header of a map says; see :func:`read_header`.

    Attributes
    ----------
    tree
        Its fields, EDAX's names.
    n_rows, n_columns, n_channels
        Size of the map.
    count_bytes
        Bytes of a channel.
    data_offset
        Byte at which the counts begin.
    n_rows_present
        Rows that are whole in the file, fewer than `n_rows` if it ends early.
    n_bytes_left
        Bytes that follow the map.
    is_line_scan
        Whether the file is a line scan: `n_rows` are its spectra, `n_columns` is 1.
    source
        The file.
    """

    tree: dict[str, Any]
    n_rows: int
    n_columns: int
    n_channels: int
    count_bytes: int
    data_offset: int
    n_rows_present: int
    n_bytes_left: int
    is_line_scan: bool
    source: LocalFile

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.n_columns * self.n_channels * self.count_bytes

    @property
    def image_name(self) -> str:
        """Name of the sample's image when the map was measured, without its folder."""
        # A path of Windows, in the code page of that computer.
        name = self.tree["fName"].split(b"\0")[0].decode("latin-1")
        return name.replace("\\", "/").rsplit("/", 1)[-1].strip()


def read_header(filename: str | Path, endianness: ByteOrder) -> Header:
    """Read and check the header of a ``.spd`` or ``.lsd`` file.

    Returns
    -------
    Header
        Sizes that the file's own size can justify.

    Raises
    ------
    TruncatedFileError
        The file ends before its first row does.
    FileFormatError
        The file is no map, or its header cannot be true.
    """
    source, raw = read_head(filename, SPD_HEADER.itemsize)
    if len(raw) < SPD_HEADER.itemsize:
        raise TruncatedFileError(
            f"{filename}: the file has {source.size} bytes, expected at least the "
            f"{SPD_HEADER.itemsize} of an EDAX header (byte {len(raw)})."
        )
    is_line = Path(filename).suffix.lower() == ".lsd"
    header = _decode(raw, endianness)
    _check_tag(filename, header["tag"], is_line)
    _check_fields(filename, raw, endianness)
    fields = {name: header[name] for name in SPD_HEADER.names or () if name != "filler"}
    n_rows, n_columns = int(header["nLines"]), int(header["nPoints"])
    if is_line:
        n_rows, n_columns = _count_spectra(n_rows * n_columns, int(header["nSpectra"])), 1
    n_channels, count_bytes = int(header["nChannels"]), int(header["countBytes"])
    offset = int(header["dataOffset"])
    row_bytes = n_columns * n_channels * count_bytes
    there = max(0, source.size - offset)
    _check_size(filename, (n_rows, n_columns, n_channels), count_bytes, offset, there)
    return Header(
        tree=fields,
        n_rows=n_rows,
        n_columns=n_columns,
        n_channels=n_channels,
        count_bytes=count_bytes,
        data_offset=offset,
        n_rows_present=min(n_rows, there // row_bytes),
        n_bytes_left=max(0, there - n_rows * row_bytes),
        is_line_scan=is_line,
        source=source,
    )


def _decode(raw: bytes, endianness: ByteOrder) -> np.void:
    return np.frombuffer(raw, dtype=SPD_HEADER.newbyteorder(endianness))[0]


def _check_tag(filename: str | Path, tag: bytes, is_line: bool) -> None:
    # What line scans have there is not known: any text will do.
    is_text = tag != b"" and tag.isascii() and tag.decode("ascii").isprintable()
    if tag.strip() != SPD_TAG and not (is_line and is_text):
        raise FileFormatError(
            f"{filename}: the file begins with {bytes(tag)!r}, expected {SPD_TAG!r} (byte 0). "
            "It is no EDAX map."
        )


def _check_fields(filename: str | Path, raw: bytes, endianness: ByteOrder) -> None:
    wrong = _find_wrong_field(_decode(raw, endianness))
    if wrong is None:
        return
    name, found, expected = wrong
    advice = "The header is damaged."
    if _find_wrong_field(_decode(raw, _OTHER[endianness])) is None:
        advice = f"Load the map with endianness={_OTHER[endianness]!r}."
    raise FileFormatError(
        f"{filename}: {name} is {found}, expected {expected} (byte "
        f"{field_offset(SPD_HEADER, name)}). {advice}"
    )


def _find_wrong_field(header: np.void) -> tuple[str, int, str] | None:
    for name in ("nPoints", "nLines", "nChannels"):
        if not 1 <= header[name] <= _MAX_SIZE:
            return name, int(header[name]), f"1 to {_MAX_SIZE}"
    if header["countBytes"] not in COUNT_BYTES:
        return "countBytes", int(header["countBytes"]), "1, 2 or 4"
    if header["dataOffset"] < SPD_HEADER.itemsize:
        expected = f"at least {SPD_HEADER.itemsize}, the length of the header"
        return "dataOffset", int(header["dataOffset"]), expected
    return None


def _count_spectra(n_places: int, n_spectra: int) -> int:
    return n_spectra if 0 < n_spectra < n_places else n_places


def _check_size(
    filename: str | Path,
    shape: tuple[int, int, int],
    count_bytes: int,
    offset: int,
    there: int,
) -> None:
    n_rows, n_columns, n_channels = shape
    row_bytes = n_columns * n_channels * count_bytes
    if there < max(row_bytes, _LEAST_SHARE * n_rows * row_bytes):
        raise TruncatedFileError(
            f"{filename}: {there} bytes of counts follow, expected {n_rows * row_bytes} for "
            f"{n_rows} x {n_columns} spectra of {n_channels} channels of {count_bytes} "
            f"bytes, and at least a row and {_LEAST_SHARE:.1%} of that (byte {offset}). The "
            "header is damaged, or next to nothing of the map is there."
        )
