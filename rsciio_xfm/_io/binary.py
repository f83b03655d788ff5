"""Reading ranges of bytes into a buffer that is used again."""

from pathlib import Path
from typing import BinaryIO

import numpy as np

# Blocks of this size, read into memory that is already touched, stream a file as fast as
# larger ones and keep resident memory flat.
BLOCK_BYTES = 4 * 2**20


def open_unbuffered(filename: str | Path) -> BinaryIO:
    """Open a file for :func:`read_into`, without Python's own buffer."""
    return open(filename, "rb", buffering=0)


def read_into(file: BinaryIO, offset: int, buffer: np.ndarray, n_bytes: int) -> int:
    """Read bytes of a file into the start of a buffer.

    Parameters
    ----------
    file
        From :func:`open_unbuffered`.
    offset
        Of the first byte in the file.
    buffer
        uint8, shape (at least `n_bytes`,).
    n_bytes
        How many to read.

    Returns
    -------
    int
        How many were read: fewer than `n_bytes` only at the end of the file.
    """
    view = memoryview(buffer)[:n_bytes]
    file.seek(offset)
    done = 0
    while done < n_bytes:
        read = file.readinto(view[done:])
        if not read:
            break
        done += read
    return done


def little_endian(buffer: np.ndarray, dtype: type[np.generic]) -> np.ndarray:
    """View little-endian bytes as numbers that kernels can read.

    Parameters
    ----------
    buffer
        uint8, C-contiguous; bytes after the last whole number are left out.
    dtype
        Of the numbers.

    Returns
    -------
    numpy.ndarray
        A view; on a big-endian machine a copy.
    """
    native = np.dtype(dtype)
    whole = buffer[: buffer.size // native.itemsize * native.itemsize]
    return whole.view(native.newbyteorder("<")).astype(native, copy=False)
