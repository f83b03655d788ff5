"""``file_reader`` for newformat files, in RosettaSciIO's form."""

from pathlib import Path
from typing import Any

from rsciio_xfm.core.chunks import ChunkedArray, Table
from rsciio_xfm.core.eds import SIGNAL_TYPE, build_axis, order_axes
from rsciio_xfm.core.to_dask import from_source, read_all
from rsciio_xfm.formats.newformat.layout import COUNTS, HEADER
from rsciio_xfm.formats.newformat.parse import Header, read_header


def file_reader(
    filename: str | Path, lazy: bool = False, chunks: Any = "auto"
) -> list[dict[str, Any]]:
    """Read a newformat map.

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
        One map. ``data``: FILL IN: type, shape ``(y, x, E)``, units of the axes.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        FILL IN: what it refuses. The file is no newformat file, or its header cannot be true.

    Examples
    --------
    >>> from rsciio_xfm.formats.newformat import file_reader
    >>> (map_,) = file_reader("map.newformat", lazy=True)
    """
    path = Path(filename)
    header = read_header(path)
    source = make_array(header)
    n_rows, n_columns, n_channels = header.shape
    kev = header.kev_per_channel
    axes = [
        build_axis(
            "y", n_rows, None, None
        ),  # FILL IN: step and units, if the file has them
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
    """Tell where the counts are."""
    # FILL IN: spectra one after the other, row by row, are a table of one run. Other tables
    # say of each chunk where it lies, and have a decoder: see rsciio_xfm.core.chunks.
    table = Table.of_run(header.source, HEADER.itemsize, header.shape, COUNTS)
    return ChunkedArray(table)
