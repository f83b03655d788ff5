"""``file_reader`` for toymap files, in RosettaSciIO's form."""

from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.chunks import NO_CHUNK, ChunkedArray, Table
from rsciio_xfm.core.codecs import Deflate
from rsciio_xfm.core.eds import SIGNAL_TYPE, build_axis, order_axes
from rsciio_xfm.core.to_dask import from_source, read_all
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.toymap.layout import COUNTS
from rsciio_xfm.formats.toymap.parse import Header, read_header


def file_reader(
    filename: str | Path, lazy: bool = False, chunks: Any = "auto"
) -> list[dict[str, Any]]:
    """Read a toymap map.

    Parameters
    ----------
    filename
        Path of the file.
    lazy
        If True, ``data`` is a dask array; now only the header is read.
    chunks
        Of the dask array; ``"auto"`` makes chunks of whole rows with all channels.

    Returns
    -------
    list of dict
        One map. ``data``: counts, uint16, shape ``(y, x, E)``; Energy in keV.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no toymap file, or its header cannot be true.

    Warns
    -----
    UserWarning
        The file ends early: rows are missing, their counts are zero.

    Examples
    --------
    >>> from rsciio_xfm.formats.toymap import file_reader
    >>> (map_,) = file_reader("map.toymap", lazy=True)
    """
    path = Path(filename)
    header = read_header(path)
    source = make_array(header)
    n_rows, n_columns, n_channels = header.shape
    kev = header.kev_per_channel
    axes = [
        build_axis("y", n_rows, None, None),
        build_axis("x", n_columns, None, None),
        build_axis("Energy", n_channels, kev, "keV", navigate=False),
    ]
    return [
        {
            "data": from_source(source, chunks) if lazy else read_all(source, str(path)),
            "axes": order_axes(axes),
            "metadata": {
                "General": {"title": path.stem, "original_filename": path.name},
                "Signal": {"signal_type": SIGNAL_TYPE, "quantity": "X-rays (Counts)"},
            },
            "original_metadata": {},
        }
    ]


def make_array(header: Header) -> ChunkedArray:
    """Tell where the counts are: a chunk is a row."""
    n_bytes = np.diff(header.edges)
    is_cut = header.edges[1:] > header.source.size
    if is_cut.any():
        warn(
            f"{header.source.name}: the file ends early: {np.count_nonzero(is_cut)} rows are "
            "missing, their counts are zero."
        )
    offsets = np.where((n_bytes == 0) | is_cut, NO_CHUNK, header.edges[:-1])
    grid = (len(n_bytes), 1, 1)
    places = offsets.reshape(grid), n_bytes.reshape(grid)
    chunks = (1, *header.shape[1:])
    table = Table((header.source,), header.shape, chunks, COUNTS, *places)
    return ChunkedArray(table, Deflate())
