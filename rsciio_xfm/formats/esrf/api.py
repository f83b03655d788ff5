"""``file_reader`` for EDF, SPEC and HDF5 files of synchrotrons, and what fabio reads."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.checks import check_choice
from rsciio_xfm.core.hdf5.links import open_checked
from rsciio_xfm.core.source import identify, open_unbuffered
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.edf.api import read_images
from rsciio_xfm.formats.hdf5_maps.api import read_counters, read_hdf5
from rsciio_xfm.formats.hdf5_maps.axes import parse_axes
from rsciio_xfm.formats.hdf5_maps.options import Options
from rsciio_xfm.formats.hdf5_maps.series import list_series
from rsciio_xfm.formats.spec.api import Options as SpecOptions
from rsciio_xfm.formats.spec.api import is_spec, read_spec
from rsciio_xfm.formats.xia.api import read_single, read_xia
from rsciio_xfm.formats.xia.find import is_single, is_xia, load_once

__all__ = ["file_reader"]

_SELECTIONS = (None, "counters", "image", "spectrum_image")
_HDF5 = b"\x89HDF\r\n\x1a\n"
HEAD_BYTES = 8192
OUTSIDE_LINKS = (
    "If you trust where the file comes from, use allow_outside_links=True, or "
    "--allow-outside-links on the command line."
)
_OPTIONS = {
    "HDF5": {
        "allow_outside_links",
        "axes",
        "detector",
        "dataset_path",
        "navigation_shape",
        "select_type='counters'",
        "series",
        "sum_detectors",
    },
    "SPEC": {
        "dataset_path",
        "navigation_shape",
        "select_type='counters'",
        "sum_detectors",
    },
    "XIA": {"detector", "sum_detectors", "select_type='counters'"},
    "XIA, single": set(),
    "image": {"series", "select_type='image'"},
}


def file_reader(
    filename: str | Path,
    lazy: bool = False,
    chunks: Any = "auto",
    dataset_path: str | list[str] | None = None,
    select_type: str | None = None,
    navigation_shape: tuple[int, ...] | None = None,
    series: bool | str = False,
    detector: int | None = None,
    sum_detectors: bool | None = None,
    allow_outside_links: bool = False,
    axes: str | None = None,
) -> list[dict[str, Any]]:
    """Read a file of the ESRF or another synchrotron; what it is tells its content.

    Parameters
    ----------
    filename
        Path of an EDF file, or an image of any other format that fabio reads; of one of the
        files of an XIA map (``*_xia00_0001_0000_0003.edf``), which stands for all of them; of
        a SPEC file; or of an HDF5 file of Bliss, PyXRF, xraylarch, NeXus, or one of the
        layouts of beamlines (areaDetector, MAPS, NanoMAX, ...).
    lazy
        If True, ``data`` are dask arrays, of which each chunk is read when it is needed.
    chunks
        Of the dask arrays. ``"auto"`` makes chunks of whole rows with all channels, 128 MiB at
        most; anything else goes to :func:`dask.array.core.normalize_chunks`.
    dataset_path
        HDF5: path of a dataset, or of a group whose maps are read, or several. SPEC: number of
        a scan (``"94.1"``), or several. None reads all maps.
    select_type
        ``"counters"`` reads what was counted at each point (HDF5, SPEC, statistics of XIA
        maps) as a stack of images; ``"image"`` reads an EDF file that looks like spectra
        as an image; ``"spectrum_image"`` or None reads spectra where there are any.
    navigation_shape
        HDF5 and SPEC: sizes of the map, x first, where the command of the scan does not tell.
    series
        Images: True reads all files whose names differ from this one's in the last number; a
        pattern, such as ``"image_*.edf"``, those beside it that match. HDF5 of areaDetector
        and MAPS_RAW: the same, of files that are rows of one map.
    detector
        XIA maps, HDF5 datasets with an axis of detectors, and those of the layouts of
        beamlines: read this detector only. Of HDF5, numbers begin with 0.
    sum_detectors
        XIA maps: add the detectors up, which is done by default; if False, they are a further
        axis, the first one of the array. HDF5 of Bliss and NeXus, SPEC: if True, add up the
        maps of each scan that would be read.
    allow_outside_links
        HDF5: follow links, and virtual datasets, to files that are not in the folder of this
        file or below, as those of a master file in another tree of folders.
    axes
        HDF5: what the axes of the datasets are, in the order of the array, where nothing in
        the file tells: names of ``z``, ``y``, ``x`` (or ``point``, for those of a scan),
        ``detector`` and ``channel``, such as ``"y x detector channel"``. Each detector
        becomes a signal of its own, or they are added up with `sum_detectors`.

    Returns
    -------
    list of dict
        Signals. ``data`` of a map: counts as they are stored, shape ``(y, x, E)``; rows that
        were measured backwards are turned. ``axes``: positions of the motors where they are
        known, energy in keV where there is a calibration. ``metadata``: signal type EDS_XFM,
        dead times in percent where live times or rates are known.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is none of these, or holds no map; an option is not for files of its kind; a
        link leads out of its folder.
    rsciio_xfm.exceptions.CorruptFileError
        Its parts contradict each other, or cannot be read; for a lazy array, when it is
        computed.
    rsciio_xfm.exceptions.TruncatedFileError
        An image ends before its first row.
    FileNotFoundError
        There is no such dataset or scan, or a link points to a file that is not there.
    ImportError
        silx, fabio or hdf5plugin is needed and not installed; the message says how to.
    MemoryError
        A map is larger than the available memory and `lazy` is False.
    OverflowError
        The sum of detectors does not fit the type of their counts.
    ValueError
        An argument does not suit the file.

    Warns
    -----
    UserWarning
        A scan was stopped, rows are missing, a file is cut (what is missing are zeros without
        dead times); a calibration bends, and is straightened.

    Notes
    -----
    Dead time = 1 - live time / elapsed time; where the live time is missing, 1 - OCR / ICR.
    Of Xspress3 what the electronics say comes first: factor, percentage, ticks of the clock.
    The live time of the trigger is not used. Live and real time in the metadata are those of
    one spectrum, the mean.

    Source of the formats: see ``layout.py`` and ``hdf5_maps/layouts.py``.

    Examples
    --------
    >>> from rsciio_xfm.formats.esrf import file_reader
    >>> path = "1.1/measurement/fx1_det0"
    >>> (signal,) = file_reader("sample_0001.h5", dataset_path=path, lazy=True)
    >>> signal["data"].shape
    (20, 30, 1024)
    """
    path = Path(filename)
    check_choice("select_type", select_type, _SELECTIONS)
    if not isinstance(series, bool | str):
        raise ValueError(f"series is {series!r:.40}, expected True, False or a pattern.")
    if dataset_path is not None and not dataset_path:
        raise ValueError("dataset_path is empty, expected one path at least, or None.")
    with open_unbuffered(path) as file:
        identity, head = identify(file), file.read(HEAD_BYTES)
    kind = find_kind(path, head, select_type)
    _check_options(
        path,
        kind,
        {
            "dataset_path": dataset_path is not None,
            "navigation_shape": navigation_shape is not None,
            "series": series is not False,
            "detector": detector is not None,
            "sum_detectors": sum_detectors is not None,
            "allow_outside_links": allow_outside_links is not False,
            "axes": axes is not None,
            "select_type='counters'": select_type == "counters",
            "select_type='image'": select_type == "image",
        },
    )
    roles = parse_axes(axes)
    wanted = [dataset_path] if isinstance(dataset_path, str) else dataset_path
    is_counters = select_type == "counters"
    with np.errstate(all="ignore"):  # what is not finite is looked for
        if kind == "HDF5":
            options = Options(
                lazy,
                chunks,
                wanted,
                navigation_shape,
                roles,
                detector,
                bool(sum_detectors),
                series,
                allow_outside_links,
                OUTSIDE_LINKS,
            )
            read = read_counters if is_counters else read_hdf5
            with open_checked(path, identity, allow_outside_links, OUTSIDE_LINKS) as hdf5:
                signals = read(path, hdf5, options)
            if series:
                load_once(path, list_series(path, series))
            return signals
        if kind == "SPEC":
            is_sum = bool(sum_detectors) and not is_counters
            spec = (lazy, chunks, wanted, is_counters, navigation_shape, is_sum)
            return read_spec(path, SpecOptions(*spec))
        if kind == "XIA":
            is_sum = sum_detectors is not False
            signals = read_xia(path, lazy, chunks, detector, is_sum, is_counters)
            load_once(path)
            return signals
        if kind == "XIA, single":
            return read_single(path, lazy, chunks)
        return read_images(path, series, lazy, chunks, is_image=select_type == "image")


def find_kind(path: Path, head: bytes, select_type: str | None = None) -> str:
    """Tell what a file is.

    Parameters
    ----------
    path
        Its path.
    head
        Its first kilobytes.
    select_type
        See :func:`file_reader`.

    Returns
    -------
    str
        ``"HDF5"``, ``"SPEC"``, ``"XIA"``, ``"XIA, single"`` or ``"image"``.

    Raises
    ------
    FileFormatError
        The file is empty.
    """
    if not head:
        raise FileFormatError(
            f"{path}: the file is empty (0 bytes), expected EDF, SPEC, HDF5 or an image."
        )
    if head.startswith(_HDF5) or h5py.is_hdf5(path):  # of a user, something comes before
        return "HDF5"
    if is_spec(head):
        return "SPEC"
    if select_type == "image":
        return "image"
    if is_single(path):
        return "XIA, single"
    return "XIA" if is_xia(path) else "image"


def _check_options(path: Path, kind: str, given: dict[str, bool]) -> None:
    """Refuse options that would do nothing."""
    unused = [name for name, is_given in given.items() if is_given]
    unused = [name for name in unused if name not in _OPTIONS[kind]]
    if unused:
        raise FileFormatError(
            f"{path}: {', '.join(unused)} given, expected of these "
            f"{', '.join(sorted(_OPTIONS[kind])) or 'none'} only: the file is of the kind "
            f"{kind}."
        )
