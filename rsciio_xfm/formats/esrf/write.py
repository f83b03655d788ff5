"""``file_writer`` for images, and for HDF5 files that PyMca and silx open as maps."""

import re
from pathlib import Path
from typing import Any

from rsciio_xfm.core.atomic import refuse_original
from rsciio_xfm.core.hdf5.write import is_original_hdf5
from rsciio_xfm.core.packed import EXTRA
from rsciio_xfm.core.writers import check_plain
from rsciio_xfm.formats.edf.write import write_edf
from rsciio_xfm.formats.edf.write_others import KINDS, write_other
from rsciio_xfm.formats.hdf5_maps.write import write_hdf5

_HDF5 = (".h5", ".hdf5", ".nxs", ".nx")
_EDF = ".edf"
_IMAGES = (_EDF, *KINDS)
_MOST_EDF_HEADER = 2**18  # bytes that fabio looks at
# The key that only our images have, in the header of the first one.
_OUR_KEY = re.compile(rf"(^|[\n;])[\s#]*{EXTRA}\s*=".encode())


def file_writer(
    filename: str | Path,
    signal: dict[str, Any],
    chunks: tuple[int, ...] | bool | None = None,
    replace_original: bool = False,
    **kwds: Any,
) -> None:
    """Write images as EDF, CBF or TIFF, or any signal as an HDF5 file in NeXus form.

    Parameters
    ----------
    filename
        Path of the file; its extension chooses: ``.edf``; ``.cbf``, ``.tif``, ``.tiff``,
        ``.pgm`` or ``.sfrm``; or ``.h5``, ``.hdf5``, ``.nxs``. It is replaced when the new one
        is whole; until then it is as it was.
    signal
        Dictionary of a signal, as :meth:`hyperspy.api.signals.BaseSignal.save` passes it. Its
        data may be a dask array, which is computed block by block.
    chunks
        HDF5: of the dataset. By default the numbers follow each other without chunks, which is
        read fastest; with a compression, whole spectra of neighbouring pixels make a chunk.
    replace_original
        Replace a file that was not written here, too; the files of formats without a place
        for a mark (``.pgm``, ``.sfrm``) look as if they were not.
    **kwds
        HDF5: of :meth:`h5py.Group.create_dataset`, such as ``compression="gzip"``.

    Raises
    ------
    TypeError
        The data are masked, or of a type that the format does not have; the message says
        which it has.
    ValueError
        The signal is no image, or no stack of images (EDF only); it is empty; an option is
        not for this format; the destination is an EDF or HDF5 file that was not written here.
    ImportError
        fabio is not installed (images).
    OSError
        The file cannot be written; what was there is as it was.

    Warns
    -----
    UserWarning
        Something in the metadata cannot be written.

    Notes
    -----
    EDF: one frame for each image, the header that the images were loaded with, and axes and
    metadata in one key ``rsciio_xfm``, from which :func:`file_reader` restores them.

    CBF and TIFF hold one image, and that header with title and pixel size as a text, which
    is read again; ``.pgm`` and ``.sfrm`` hold one image and nothing else. What was written is
    read back and compared before it is moved in place: numbers are exact or there is an error.

    HDF5: ``entry/instrument/mca00/data`` with the attribute ``interpretation="spectrum"``,
    ``live_time`` and ``elapsed_time`` (s), ``calibration`` (keV) and ``channels`` beside it;
    ``entry/map`` is the default plot (NXdata) with the axes. Axes and metadata are kept too.

    Source: what PyMca 5.9 looks for in HDF5 files; the NeXus definition of NXdata.

    Examples
    --------
    >>> s = hs.load("map.GeoPIXE", lazy=True)
    >>> s.save("map.h5", file_format="ESRF")
    """
    path = Path(filename)
    data = signal["data"]
    axes = sorted(signal["axes"], key=lambda axis: axis.get("index_in_array", 0))
    extension = path.suffix.lower()
    if extension not in (*_HDF5, *_IMAGES):
        raise ValueError(
            f"{path}: the extension is {path.suffix!r}, expected {', '.join(_IMAGES)} for "
            f"images or {', '.join(_HDF5[:3])} for anything."
        )
    check_plain(path, data)
    if 0 in data.shape or not data.ndim:
        raise ValueError(f"{path}: the array is {data.shape}, expected some numbers.")
    refuse_original(path, is_original, replace_original)
    if extension in _IMAGES:
        if chunks is not None or kwds:
            given = [*(["chunks"] if chunks is not None else []), *kwds]
            raise ValueError(
                f"{path}: {', '.join(given)} given, expected none for images."
            )
        write = write_edf if extension == _EDF else write_other
        write(path, signal, data, axes)
    else:
        write_hdf5(path, signal, data, axes, chunks, kwds)


def is_original(path: Path) -> bool:
    """Tell whether a file is an image or HDF5 file that was not written here.

    Parameters
    ----------
    path
        Of a file. One with an extension that is never written here is an original too.
    """
    if path.suffix.lower() not in (*_HDF5, *_IMAGES):
        return True
    with open(path, "rb") as file:
        head = file.read(_MOST_EDF_HEADER)
    if path.suffix.lower() in KINDS:
        return not _OUR_KEY.search(head)
    if not head.lstrip().startswith(b"{"):
        return is_original_hdf5(path)
    return not _OUR_KEY.search(head.partition(b"}")[0])
