"""What is in a ``.datastack`` file."""

import math
from pathlib import Path
from typing import Any

from rsciio_xfm.formats.datastack.data import find_members, read_stack


def tree(filename: str | Path) -> dict[str, dict[str, Any]]:
    """Describe the arrays of a ``.datastack`` file, without reading them.

    Parameters
    ----------
    filename
        Of the file.

    Returns
    -------
    dict of str to dict
        By name: ``shape``, ``dtype``, ``chunks`` (sizes), ``n_bytes`` (in memory),
        ``n_bytes_stored`` (in the file), ``compression``, ``is_latest`` (whether it is the
        newest version). Of an array that cannot be read, all but the last are None, and
        ``fault`` says why.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no zip with a zarr store.

    Examples
    --------
    >>> from rsciio_xfm import datastack
    >>> datastack.tree("painting.datastack")["maxrf_cube"]["shape"]
    (120, 160, 1024)
    """
    stack = read_stack(filename)
    newest = set(stack.newest())
    members = stack.directory.members
    unread = dict.fromkeys(
        ("shape", "dtype", "chunks", "n_bytes", "n_bytes_stored", "compression")
    )
    return {
        name: unread | {"is_latest": name in newest, "fault": str(fault)}
        for name, fault in stack.faults.items()
    } | {
        name: {
            "shape": array.shape,
            "dtype": array.dtype.name,
            "chunks": array.chunks,
            "n_bytes": math.prod(array.shape) * array.dtype.itemsize,
            "n_bytes_stored": sum(
                members[member].size for member in find_members(stack.directory, name)
            ),
            "compression": array.compression,
            "is_latest": name in newest,
        }
        for name, array in stack.arrays.items()
    }
