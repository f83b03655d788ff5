"""A map as a plain array on disk."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.atomic import replacing
from rsciio_xfm.core.later import da


def write_npy(data: np.ndarray | da.Array, destination: str | Path) -> None:
    """Write an array as ``.npy``, chunk by chunk.

    Parameters
    ----------
    data
        Any array; a lazy one is never in memory as a whole.
    destination
        Path of the file, for ``numpy.load(..., mmap_mode="r")``.

    Raises
    ------
    OSError
        There is no space for all of it, or it cannot be written; what was there is as it
        was.

    Examples
    --------
    >>> write_npy(s.data, "map.npy")
    """
    with replacing(destination) as file:
        head = {"descr": data.dtype.str, "fortran_order": False, "shape": data.shape}
        np.lib.format.write_array_header_2_0(file, head)
        file.flush()
        if not data.nbytes:
            return
        _reserve(file.fileno(), file.tell(), int(data.nbytes), file.name)
        target: Any = _Slots(file.name)
        if isinstance(data, da.Array):
            da.store(data, target, lock=False)
        else:
            target[...] = data


class _Slots:
    """An ``.npy`` file that is mapped for as long as a chunk is written to it.

    What is mapped counts as resident: so no more of it than is in work.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def __setitem__(self, key: Any, values: np.ndarray) -> None:
        np.lib.format.open_memmap(self.path, mode="r+")[key] = values


def _reserve(descriptor: int, offset: int, n_bytes: int, path: str) -> None:
    """Make room before anything is written: a map of a full disk would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, offset, n_bytes)
        return
    free = shutil.disk_usage(Path(path).parent).free
    if free < n_bytes:
        raise OSError(errno.ENOSPC, f"{n_bytes} bytes are needed, {free} are free", path)
    os.ftruncate(descriptor, offset + n_bytes)
