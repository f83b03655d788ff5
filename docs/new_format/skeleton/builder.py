"""Files of newformat, with ``struct`` alone: the second opinion, so nothing is imported."""

from pathlib import Path


def write_map(path):
    """Write a small map, of which no two pixels are alike, and return its path."""
    # FILL IN: struct.pack and Path(path).write_bytes.
    raise NotImplementedError("tests/builders/newformat.py: write a small file")


def find_parts(path):
    """Tell where the parts of such a file are, and where something begins: for the battery."""
    size = Path(path).stat().st_size
    # FILL IN: ranges of bytes of the header, of indices, and of the counts ("data").
    return {"data": [(0, size)]}, [0, size]
