"""``file_reader`` for EMD files."""

from pathlib import Path
from typing import Any

from rsciio_xfm.core.checks import check_choice
from rsciio_xfm.core.hdf5.audit import check_links
from rsciio_xfm.core.hdf5.links import open_checked
from rsciio_xfm.core.hdf5.sizes import check_all_sizes
from rsciio_xfm.core.source import identify, open_unbuffered
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.ncem.api import is_ncem, read_ncem, read_others
from rsciio_xfm.formats.ncem.write import file_writer
from rsciio_xfm.formats.velox.api import read_velox
from rsciio_xfm.formats.velox.parse import is_velox

__all__ = ["file_reader", "file_writer"]

_SELECTIONS = (None, "image", "images", "single_spectrum", "spectrum_image")


def file_reader(
    filename: str | Path,
    lazy: bool = False,
    chunks: Any = "auto",
    dataset_path: str | list[str] | None = None,
    stack_group: bool | None = None,
    select_type: str | None = None,
    first_frame: int = 0,
    last_frame: int | None = None,
    sum_frames: bool = True,
    sum_EDS_detectors: bool = True,
    rebin_energy: int = 1,
    SI_dtype: Any = None,
    load_SI_image_stack: bool = False,
    cache: bool = True,
) -> list[dict[str, Any]]:
    """Read an EMD file, Velox's or NCEM's.

    Maps of X-rays in Velox's files, and signals saved by :func:`file_writer`, are read here;
    images, single spectra, energy-loss maps and all other kinds of EMD files by RosettaSciIO.

    Parameters
    ----------
    filename
        Path of the file.
    lazy
        If True, ``data`` are dask arrays; now the streams of a map are counted once, for
        where its rows start in them.
    chunks
        Of the dask arrays of what is read here. ``"auto"`` makes chunks of whole rows with all
        channels, at most 128 MiB, of maps; of other signals, those of the file, unless they
        are more than 10 000, which are put together. Anything else goes to
        :func:`dask.array.core.normalize_chunks`.
    dataset_path
        NCEM only: path of the dataset, or several; None is all.
    stack_group
        NCEM only: whether datasets in groups of like names are stacked, as RosettaSciIO does.
    select_type
        Velox only: ``"image"`` (or ``"images"``), ``"single_spectrum"`` or
        ``"spectrum_image"`` reads only these.
    first_frame
        Velox only: the first frame of a map that is read.
    last_frame
        Velox only: the first frame that is not read any more; None reads all to the end.
    sum_frames
        Velox only: sum the frames of a map; if False, they are the first axis.
    sum_EDS_detectors
        Velox only: sum the detectors of a map; if False, each is a signal of its own, in the
        order of the file, with the detector's name as title.
    rebin_energy
        Velox only: sum so many channels of a map into one; a divisor of their number.
    SI_dtype
        Velox only: integer type of the counts of a map, uint16 by default.
    load_SI_image_stack
        Velox only: read all frames of the images that were acquired with a map, not the first
        alone.
    cache
        Velox only: keep the index of a file above 64 MiB in the user's cache, and take it
        from there when the same file is opened again.

    Returns
    -------
    list of dict
        Signals. ``data`` of a map of X-rays: counts, shape ``(y, x, E)``, or
        ``(frame, y, x, E)`` if `sum_frames` is False. ``axes``: x and y in a unit of length
        that suits the map, X-ray energy in keV, Time in s. ``metadata``: as exspy wants them,
        signal type EDS_TEM.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no EMD file, or holds nothing of what was asked for.
    rsciio_xfm.exceptions.CorruptFileError
        HDF5 cannot read the file; a stream has channels that its spectra do not have, or more
        spectra than the map; a dataset claims to be larger than what is stored of it.
    OverflowError
        Sums of counts do not fit `SI_dtype`; for a lazy array, when it is computed.
    MemoryError
        A map is larger than the available memory and `lazy` is False.
    FileNotFoundError
        The file has no such dataset.
    ValueError
        An argument does not suit the file.

    Warns
    -----
    UserWarning
        There is no map to read (the file was pruned, its streams are empty); a stream ends
        early or is not what Velox counted; its table of frames is wrong; metadata are missing.

    Notes
    -----
    Live and real time in the metadata of a map are those of one spectrum, the mean over the
    detectors that were added.

    Source of the format: see ``layout.py``.

    Examples
    --------
    >>> from rsciio_xfm.formats.emd import file_reader
    >>> signals = file_reader("map.emd", lazy=True)
    >>> signals[-1]["data"].shape
    (16, 20, 4096)
    """
    path = Path(filename)
    check_choice("select_type", select_type, _SELECTIONS)
    with open_unbuffered(path) as file:
        identity = identify(file)
    options = {
        "first_frame": first_frame,
        "last_frame": last_frame,
        "sum_frames": sum_frames,
        "sum_EDS_detectors": sum_EDS_detectors,
        "rebin_energy": rebin_energy,
        "SI_dtype": SI_dtype,
        "cache": cache,
    }
    others: list[str] | bool = []
    with open_checked(path, identity) as file:
        if is_velox(path, file):
            check_links(path)  # for RosettaSciIO, which follows all of them
            signals = read_velox(
                path,
                identity,
                file,
                lazy,
                chunks,
                select_type,
                load_SI_image_stack,
                options,
            )
        elif is_ncem(file):
            names = [dataset_path] if isinstance(dataset_path, str) else dataset_path
            signals, others = [], True  # what is stacked is read by RosettaSciIO
            if not stack_group:
                signals, others = read_ncem(path, file, names, lazy, chunks)
            if others:
                check_links(path)
                if not lazy:
                    check_all_sizes(path, file)
        else:
            raise FileFormatError(
                f"{path}: the file is no EMD file: its root holds "
                f"{', '.join(list(file)[:8]) or 'nothing'}, expected Velox's Version, or "
                "version_major and version_minor among the attributes (byte 0)."
            )
    if others:
        signals += read_others(path, lazy, others, names, stack_group)
    if not signals:
        raise FileFormatError(
            f"{path}: the file holds nothing of select_type={select_type!r}, expected at "
            "least one (byte 0, the whole file)."
        )
    return signals
