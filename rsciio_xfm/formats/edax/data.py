"""The counts of a ``.spd`` map as an array-like over the file."""

import os
from pathlib import Path

import numpy as np

from rsciio_xfm.core.raw_map import RawMap
from rsciio_xfm.formats.edax.parse import Header


def edax_array(filename: str | Path, header: Header, endianness: str) -> RawMap:
    """Make the array-like over a file.

    Parameters
    ----------
    filename, header
        The file and its header.
    endianness
        ``"<"`` or ``">"``.
    """
    shape: tuple[int, ...] = (header.n_rows, header.n_columns, header.n_channels)
    if header.is_line_scan:
        shape = (header.n_rows, header.n_channels)
    return RawMap(
        # Workers and later calls may have another working folder.
        path=os.path.abspath(filename),
        identity=header.identity,
        data_offset=header.data_offset,
        n_rows_present=header.n_rows_present,
        shape=shape,
        stored_dtype=np.dtype(f"{endianness}u{header.count_bytes}"),
    )
