"""The header of a toymap file, checked."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsciio_xfm.core.fields import check_fields, read_fields
from rsciio_xfm.core.source import LocalFile, Source
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.toymap import layout


@dataclass(frozen=True)
class Header:
    """What a file says of itself: the file, its map, and the ends of its rows, in bytes."""

    source: Source
    shape: tuple[int, int, int]
    kev_per_channel: float
    edges: np.ndarray


def read_header(filename: str | Path) -> Header:
    """Read and check the header; nothing is believed that the file's size contradicts."""
    source = LocalFile.of(filename)
    (header,) = read_fields(source, 0, layout.HEADER)
    check_fields(source, header, layout.BOUNDS)
    n_rows, n_columns, n_channels = (int(header[name]) for name in layout.SIZES)
    sizes = read_fields(source, layout.HEADER.itemsize, layout.ROW_BYTES, n_rows)
    start = layout.HEADER.itemsize + sizes.nbytes
    edges = start + np.append(0, np.cumsum(sizes, dtype=np.int64))
    most = layout.MAX_RATIO * int(sizes.max())
    if edges[-1] < source.size or n_columns * n_channels * layout.COUNTS.itemsize > most:
        raise FileFormatError(
            f"{source.name}: the rows end at byte {edges[-1]}, expected the end of the file, "
            f"and enough for {n_columns} x {n_channels} counts (byte {start})."
        )
    shape = (n_rows, n_columns, n_channels)
    return Header(source, shape, float(header["ev_per_channel"]) / 1000, edges)
