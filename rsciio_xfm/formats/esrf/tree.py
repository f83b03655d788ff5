"""What is in an EDF, SPEC or HDF5 file."""

import math
from pathlib import Path
from typing import Any

from rsciio_xfm.core.hdf5.links import open_checked
from rsciio_xfm.core.source import identify, open_unbuffered
from rsciio_xfm.formats.edf.parse import find_frames
from rsciio_xfm.formats.esrf.api import HEAD_BYTES, OUTSIDE_LINKS, find_kind
from rsciio_xfm.formats.hdf5_maps.bliss import Scan
from rsciio_xfm.formats.hdf5_maps.find import Found, find_contents
from rsciio_xfm.formats.spec.api import list_scans
from rsciio_xfm.formats.xia.find import find_files

_LOADED = ("map", "signal")


def tree(
    filename: str | Path, allow_outside_links: bool = False
) -> dict[str, dict[str, Any]]:
    """List what a file holds, without reading it.

    Parameters
    ----------
    filename
        Of an EDF, SPEC or HDF5 file, or another image that fabio reads.
    allow_outside_links
        See :func:`file_reader`.

    Returns
    -------
    dict of str to dict
        By the name that ``dataset_path`` takes: ``kind`` (``"map"`` for spectra that are
        loaded when no path is given, ``"signal"`` for what was saved here,
        ``"dataset"``, ``"scan"``, ``"image"``, ``"missing"`` for
        links to what is not there), ``shape``, ``dtype`` and ``n_bytes`` (in memory; None
        where they do not apply), ``text`` (the command of a scan, what a link points to); of
        a scan in a SPEC file also ``n_spectra``. Frames and detectors of EDF files are
        numbered; ``dataset_path`` is not for these.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is none of these; a link leads out of its folder.

    Examples
    --------
    >>> from rsciio_xfm import esrf
    >>> found = esrf.tree("sample_0001.h5")
    >>> [name for name, item in found.items() if item["kind"] == "map"]
    ['1.1/measurement/fx1_det0', '1.1/measurement/fx1_det1']
    """
    path = Path(filename)
    with open_unbuffered(path) as file:
        identity, head = identify(file), file.read(HEAD_BYTES)
    kind = find_kind(path, head)
    if kind == "HDF5":
        with open_checked(path, identity, allow_outside_links, OUTSIDE_LINKS) as file:
            contents = find_contents(file)
            listed = {
                found.name: _describe(path, found) for found in contents.datasets.values()
            }
            missing = {
                name: _item("missing", to) for name, to in contents.missing.items()
            }
        maps = {n: item for n, item in listed.items() if item["kind"] in _LOADED}
        return maps | missing | listed
    if kind == "SPEC":
        return {
            key: _item("scan", command, (n_points,)) | {"n_spectra": n_spectra}
            for key, command, n_points, n_spectra in list_scans(path)
        }
    if kind == "XIA":
        files = find_files(path)
        n_rows = files.rows[1] - files.rows[0]
        return {
            f"detector {int(key) if key.isdecimal() else key}": _item(
                "map", f"{len(rows)} of {n_rows} rows in {files.folder}"
            )
            for key, rows in files.detectors.items()
        }
    return {
        f"frame {frame.number}": _item("image", "", frame.shape, frame.dtype)
        for frame in find_frames(path)
    }


def _describe(path: Path, found: Found) -> dict[str, Any]:
    dataset = found.dataset
    kind = "map" if found.layout else "dataset"
    kind = "signal" if found.layout == "saved" else kind
    is_measured = found.layout and found.entry is not None
    text = Scan(path, found.entry).title if is_measured else ""
    return _item(kind, text, dataset.shape, dataset.dtype)


def _item(
    kind: str, text: str, shape: tuple[int, ...] | None = None, dtype: Any = None
) -> dict[str, Any]:
    return {
        "kind": kind,
        "shape": shape,
        "dtype": None if dtype is None else str(dtype),
        "n_bytes": None
        if dtype is None or shape is None
        else math.prod(shape) * dtype.itemsize,
        "text": text,
    }
