"""From EDF and SPEC files to HDF5."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.atomic import check_destination
from rsciio_xfm.core.extras import require
from rsciio_xfm.core.hdf5.write import is_original_hdf5, replacing_hdf5
from rsciio_xfm.core.source import open_unbuffered
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.edf.fabio_files import opened
from rsciio_xfm.formats.esrf.api import HEAD_BYTES, file_reader, find_kind
from rsciio_xfm.formats.esrf.write import file_writer
from rsciio_xfm.formats.spec.api import list_scans, with_usual_marks

_EXTENSIONS = (".h5", ".hdf5", ".nxs")


def convert(
    filename: str | Path,
    destination: str | Path | None = None,
    *,
    overwrite: bool = False,
    **kwds: Any,
) -> Path:
    """Convert an EDF or SPEC file to HDF5.

    Parameters
    ----------
    filename
        Of an EDF file, a SPEC file, or one of the files of an XIA map.
    destination
        Path of the new file; by default `filename` with the extension ``.h5``.
    overwrite
        Whether it may be there.
    **kwds
        Of :meth:`h5py.Group.create_dataset`, such as ``compression="gzip"``.

    Returns
    -------
    pathlib.Path
        The new file.

    Raises
    ------
    FileFormatError
        The file is neither EDF nor SPEC; points of a SPEC scan have different numbers of
        spectra.
    FileExistsError
        The destination is there, and `overwrite` is False.
    ImportError
        silx or fabio is not installed.
    ValueError
        The destination is the file itself, has another extension, or is an HDF5 file that was
        not written here.

    Notes
    -----
    A map of many files becomes one dataset, with its times: see :func:`file_writer`. All
    others are converted by silx, which keeps what they hold: each scan, or image, is an entry.

    Examples
    --------
    >>> from rsciio_xfm import esrf
    >>> esrf.convert("scans.dat", "scans.h5")
    PosixPath('scans.h5')
    """
    path = Path(filename)
    destination = path.with_suffix(".h5") if destination is None else Path(destination)
    if destination.suffix.lower() not in _EXTENSIONS:
        raise ValueError(
            f"{destination}: the extension is {destination.suffix!r}, expected "
            f"{' or '.join(_EXTENSIONS)}."
        )
    with open_unbuffered(path) as file:
        kind = find_kind(path, file.read(HEAD_BYTES))
    if kind == "HDF5":
        raise FileFormatError(
            f"{path}: the file is an HDF5 file already, expected EDF or SPEC (byte 0)."
        )
    check_destination(path, destination, overwrite, is_original_hdf5)
    if kind == "XIA":
        (signal,) = file_reader(path, lazy=True)
        file_writer(destination, signal, **kwds)
        return destination
    _check_readable(path, kind)
    source = (
        with_usual_marks(path, destination) if kind == "SPEC" else nullcontext(str(path))
    )
    with source as name, replacing_hdf5(destination) as (file, do):
        do(_write_with_silx, name, file, kwds)
    return destination


def _write_with_silx(path: str, file: h5py.File, options: dict[str, Any]) -> None:
    """Write all that silx finds in a file."""
    silx_convert = require("silx.io.convert", "esrf")

    # silx is imported only now, so that for mypy its class is a value.
    class Writer(silx_convert.Hdf5Writer):  # type: ignore[name-defined]
        """As silx's, but for text of several frames, for which HDF5 has no type."""

        def append_member_to_h5(self, h5like_name: str, obj: Any) -> None:
            if getattr(getattr(obj, "dtype", None), "kind", "") == "U" and obj.shape:
                name = self.h5path + h5like_name.lstrip("/")
                file[name] = np.char.encode(obj[()], "utf-8")
            else:
                super().append_member_to_h5(h5like_name, obj)

    with require("silx.io", "esrf").open(path) as source:
        Writer(create_dataset_args=options or None).write(source, file)


def _check_readable(path: Path, kind: str) -> None:
    """Raise our own error for what silx would fail at."""
    if kind == "SPEC":
        list_scans(path)
        return
    with opened(path) as image:
        if type(image).__name__ != "EdfImage":
            raise FileFormatError(
                f"{path}: the file is of the kind {type(image).__name__}, expected EDF or "
                "SPEC (byte 0)."
            )
