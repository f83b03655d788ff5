"""The one place that opens HDF5 files for reading."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from rsciio_xfm.core.hdf5.safety import GuardedFile
from rsciio_xfm.core.source import advise_on_zeros, check_unchanged, identify
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError

# What is raised of damaged files, among it what others raise too.
DAMAGED = (KeyError, OSError, OverflowError, RuntimeError, TypeError, ValueError)
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# How HDF5's errors begin, and h5py's of types that are damaged.
_CANNOT = (
    "Unable to",
    "Can't",
    "Couldn't",
    "Insufficient precision",
    "data type",
    "No NumPy equivalent",
    "Unknown string encoding",
    "Python int too large",
)


@contextmanager
def open_hdf5(
    filename: str | Path,
    identity: tuple[int, ...] | None = None,
    by_name: bool = False,
    **options: Any,
) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, through a :class:`GuardedFile`.

    Parameters
    ----------
    filename
        Path of the file.
    identity
        From :func:`rsciio_xfm.core.source.identify`, if it has to be the file that was opened
        before.
    by_name
        Whether HDF5 opens the file itself, past the guard. Only then it finds other files
        that the data lie in, and it follows links to any file.
    **options
        Of :class:`h5py.File`.

    Yields
    ------
    h5py.File
        Open for reading. Links are followed by :class:`rsciio_xfm.core.hdf5.links.Group`.

    Raises
    ------
    FileFormatError
        The file is no HDF5 file.
    CorruptFileError
        HDF5 cannot read what it points to, now or within the ``with`` block; or the file is
        not the one that was opened before.
    """
    with GuardedFile(filename) as raw:
        found = raw.read(len(_SIGNATURE))
        size = identify(raw)[0]
        if identity is not None:
            check_unchanged(raw, filename, identity)
        # Of files with a block for the user before it, the signature is at a power of 2.
        if found != _SIGNATURE and not h5py.is_hdf5(filename):
            raise FileFormatError(
                f"{filename}: the file begins with {found!r}, expected {_SIGNATURE!r}, the "
                f"signature of HDF5 (byte 0; the file has {size} bytes)."
            )
        try:
            # Given a file rather than its name, HDF5 does not share with others of this
            # process what it read of it before it was changed, and does not ask for a lock.
            given = filename if by_name else raw
            options = {"locking": False} | options if by_name else options
            with h5py.File(given, "r", **options) as file:
                yield file
        except FileFormatError:
            raise
        except DAMAGED as exc:
            if not _is_of_hdf5(exc):
                raise
            raise CorruptFileError(
                f"{filename}: HDF5 cannot read it: {exc} (the file has {size} bytes, expected "
                f"a whole HDF5 file from byte 0). {raw.why_damaged()}"
                + advise_on_zeros(filename)
            ) from exc


@contextmanager
def open_dataset(
    path: str, identity: tuple[int, ...], name: str, **options: Any
) -> Iterator[h5py.Dataset]:
    """Open a dataset whose links, and parts in other files, were checked before.

    Parameters
    ----------
    path, identity
        The file that it is in.
    name
        Its path in the file, without links.
    **options
        Of :class:`h5py.File`.

    Raises
    ------
    CorruptFileError
        See :func:`open_hdf5`.
    """
    with open_hdf5(path, identity, **options) as file:
        dataset = file[name]
        if not is_elsewhere(dataset):
            yield dataset
            return
    with open_hdf5(path, identity, by_name=True, **options) as file:
        yield file[name]


def is_elsewhere(dataset: h5py.Dataset) -> bool:
    """Tell whether the numbers of a dataset are in other files, or in other datasets."""
    return dataset.is_virtual or bool(dataset.external)


def _is_of_hdf5(exc: Exception) -> bool:
    """Tell what HDF5 says of a file from the system's errors, which have a number."""
    if isinstance(exc, OSError):
        return exc.errno is None
    text = str(exc.args[0]) if exc.args else ""
    return isinstance(exc, RuntimeError | UnicodeDecodeError) or text.startswith(_CANNOT)
