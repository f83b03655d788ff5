"""The header of a toy map, checked."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsciio_xfm.core.source import LocalFile, read_head
from rsciio_xfm.exceptions import FileFormatError, TruncatedFileError
from toymap._layout import COUNTS, HEADER, MARK, MAX_SIZE


@dataclass(frozen=True)
class Header:
    """What a file says of itself, and how much of it is there."""

    shape: tuple[int, int, int]
    kev_per_channel: float
    beam_kv: float
    n_rows_present: int
    source: LocalFile


def read_header(filename: str | Path) -> Header:
    """Read and check the header; nothing is believed that the file's size contradicts."""
    source, raw = read_head(filename, HEADER.itemsize)
    if len(raw) < HEADER.itemsize:
        raise TruncatedFileError(
            f"{filename}: the file has {len(raw)} bytes, expected the {HEADER.itemsize} of "
            f"a header (byte {len(raw)})."
        )
    header = np.frombuffer(raw, HEADER)[0]
    if header["mark"] != MARK:
        raise FileFormatError(
            f"{filename}: the file begins with {bytes(header['mark'])!r}, expected "
            f"{MARK!r} (byte 0)."
        )
    for name in ("n_rows", "n_columns", "n_channels"):
        if not 1 <= header[name] <= MAX_SIZE:
            raise FileFormatError(
                f"{filename}: {name} is {header[name]}, expected 1 to {MAX_SIZE} "
                f"(byte {HEADER.fields[name][1]})."
            )
    if not 0 < header["ev_per_channel"] < 1000:
        raise FileFormatError(
            f"{filename}: ev_per_channel is {header['ev_per_channel']}, expected 0 to 1000 "
            f"(byte {HEADER.fields['ev_per_channel'][1]})."
        )
    shape = tuple(int(header[name]) for name in ("n_rows", "n_columns", "n_channels"))
    row_bytes = math.prod(shape[1:]) * COUNTS.itemsize
    n_rows_present = (source.size - HEADER.itemsize) // row_bytes
    if n_rows_present < 1:
        raise TruncatedFileError(
            f"{filename}: the file has {source.size} bytes, expected at least "
            f"{HEADER.itemsize + row_bytes}: a header and a row (byte {source.size})."
        )
    return Header(
        shape=shape,
        kev_per_channel=float(header["ev_per_channel"]) / 1000,
        beam_kv=float(header["beam_kv"]),
        n_rows_present=min(n_rows_present, shape[0]),
        source=source,
    )
