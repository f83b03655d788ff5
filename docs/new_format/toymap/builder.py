"""Files of toymap, with ``struct`` alone: the second opinion, so nothing is imported."""

import struct
import zlib
from pathlib import Path

HEADER = "<8sIIIf"


def write_map(path, shape=(5, 7, 64), left_out=(), **changes):
    """Write a small map, of which no two pixels are alike, and return its path."""
    fields = dict(zip(("n_rows", "n_columns", "n_channels"), shape, strict=True))
    header = {"mark": b"TOYMAP01", **fields, "ev_per_channel": 20.0} | changes
    n_columns, n_channels = shape[1:]
    rows = [
        zlib.compress(
            struct.pack(f"<{n_columns * n_channels}H", *counts_of_row(y, shape))
        )
        for y in range(shape[0])
    ]
    rows = [b"" if y in left_out else row for y, row in enumerate(rows)]
    sizes = struct.pack(f"<{shape[0]}I", *map(len, rows))
    raw = struct.pack(HEADER, *header.values()) + sizes + b"".join(rows)
    Path(path).write_bytes(raw)
    return Path(path)


def counts_of_row(y, shape):
    """Counts of a row, pixel by pixel."""
    n_columns, n_channels = shape[1:]
    pixels = [(x, e) for x in range(n_columns) for e in range(n_channels)]
    return [(1 + 7 * y + 3 * x + 5 * e) ** 2 % 997 for x, e in pixels]


def find_parts(path):
    """Tell where the parts of such a file are, and where something begins: for the battery."""
    content = Path(path).read_bytes()
    n_rows = struct.unpack_from(HEADER, content)[1]
    start = struct.calcsize(HEADER)
    edges = [start + 4 * n_rows]
    for size in struct.unpack_from(f"<{n_rows}I", content, start):
        edges.append(edges[-1] + size)
    parts = {"header": [(0, start)], "sizes": [(start, edges[0])]}
    return parts | {"data": [(edges[0], edges[-1])]}, [start, *edges]
