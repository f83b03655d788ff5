"""A table of the records of a ``.GeoPIXE`` file."""

from pathlib import Path

import numpy as np

from rsciio_xfm.core.atomic import check_destination, replacing
from rsciio_xfm.core.progress import bytes_bar
from rsciio_xfm.formats.geopixe.data import geopixe_array
from rsciio_xfm.formats.geopixe.index import read_index
from rsciio_xfm.formats.geopixe.kernels import (
    COUNTS_SHIFT,
    ENTRY_BYTES,
    RECORD_BYTES,
    record_length,
)
from rsciio_xfm.formats.geopixe.layout import RECORD
from rsciio_xfm.formats.geopixe.parse import read_header
from rsciio_xfm.kernels.compiled import kernel

_HEADING = "x,y,detector,dead_time_percent,counts,record_bytes"


def write_table(
    filename: str | Path,
    destination: str | Path,
    *,
    overwrite: bool = False,
    cache: bool = True,
) -> None:
    """Write a line for each record of a ``.GeoPIXE`` map as CSV.

    Parameters
    ----------
    filename
        Path of the map.
    destination
        Path of the table: x, y, detector, dead time in percent, counts of all channels
        and length in bytes of each record, in the order of the file.
    overwrite
        Replace `destination` if it is there.
    cache
        As of :func:`rsciio_xfm.geopixe.file_reader`.

    Raises
    ------
    ValueError
        The destination is the map.
    FileExistsError
        The destination is there, and `overwrite` is False.
    rsciio_xfm.exceptions.FileFormatError
        The file is no GeoPIXE map, is damaged, or was changed meanwhile.
    OSError
        The destination cannot be written; what was there is as it was.

    Examples
    --------
    >>> from rsciio_xfm import geopixe
    >>> geopixe.write_table("map.GeoPIXE", "map.csv")
    """
    path = Path(filename)
    header = read_header(path)
    check_destination(path, destination, overwrite)
    index = read_index(path, header, cache)
    source = geopixe_array(header, index)
    counted = bytes_bar(source.count_bytes((0, header.n_rows)), f"Writing {destination}")
    with counted as bar, replacing(destination) as file:
        file.write(f"{_HEADING}\n".encode())
        for raw, words in source.blocks((0, header.n_rows)):
            file.write(_to_text(raw, *words).encode())
            bar.update(raw.size)


def _to_text(raw: np.ndarray, words: np.ndarray, entries: np.ndarray) -> str:
    """Return the lines of whole records."""
    most = raw.size // RECORD_BYTES
    starts, counts = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.uint64)
    n_records = _sum_records(words, entries, raw.size, starts, counts)
    starts, counts = starts[:n_records], counts[:n_records]
    records = raw[starts[:, np.newaxis] + np.arange(RECORD_BYTES)].view(RECORD)[:, 0]
    columns = [records[name].tolist() for name in ("x", "y", "detector", "dead_time")]
    rows = zip(*columns, counts.tolist(), records["length"].tolist(), strict=True)
    # 9 digits tell any two 32-bit floats apart.
    return "".join(map("%d,%d,%d,%.9g,%d,%d\n".__mod__, rows))


@kernel
def _sum_records(
    words: np.ndarray,
    entries: np.ndarray,
    n_bytes: int,
    starts: np.ndarray,
    counts: np.ndarray,
) -> int:
    """Find the records of a block and sum the counts of each; return how many there are."""
    n = 0
    at = np.int64(0)
    while at < n_bytes:
        stop = at + record_length(words, at)
        total = np.uint64(0)
        for i in range((at + RECORD_BYTES) // ENTRY_BYTES, stop // ENTRY_BYTES):
            total += np.uint64(entries[i] >> COUNTS_SHIFT)
        starts[n] = at
        counts[n] = total
        n += 1
        at = stop
    return n
