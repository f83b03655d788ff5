"""The reader of toy maps, in RosettaSciIO's form."""

from pathlib import Path
from typing import Any

from rsciio_xfm.core.chunks import ChunkedArray, Table
from rsciio_xfm.core.eds import build_axis, order_axes
from rsciio_xfm.core.to_dask import from_source, read_all
from rsciio_xfm.core.warning import warn
from toymap._layout import COUNTS, HEADER
from toymap._parse import read_header


def file_reader(
    filename: str | Path, lazy: bool = False, chunks: Any = "auto"
) -> list[dict[str, Any]]:
    """Read a toy map.

    Parameters
    ----------
    filename
        Path of the file.
    lazy
        If True, ``data`` is a dask array; now only the header is read.
    chunks
        Of the dask array; by default whole rows with all channels.

    Returns
    -------
    list of dict
        One map. ``data``: uint16, shape (y, x, E). Energy in keV.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no toy map, or its header cannot be true.

    Warns
    -----
    UserWarning
        The file ends early: rows are missing, their counts are zero.
    """
    path = Path(filename)
    header = read_header(path)
    if header.n_rows_present < header.shape[0]:
        warn(f"{path}: {header.shape[0] - header.n_rows_present} rows are missing.")
    table = Table.of_run(
        header.source, HEADER.itemsize, header.shape, COUNTS, header.n_rows_present
    )
    source = ChunkedArray(table)
    energy = build_axis(
        "Energy", header.shape[2], header.kev_per_channel, "keV", navigate=False
    )
    axes = [
        build_axis("y", header.shape[0], None, None),
        build_axis("x", header.shape[1], None, None),
        energy,
    ]
    return [
        {
            "data": from_source(source, chunks) if lazy else read_all(source, str(path)),
            "axes": order_axes(axes),
            "metadata": {
                "General": {"title": path.stem, "original_filename": path.name},
                "Signal": {"signal_type": "EDS_XFM", "quantity": "X-rays (Counts)"},
                "Acquisition_instrument": {"SEM": {"beam_energy": header.beam_kv}},
            },
            "original_metadata": {},
        }
    ]
