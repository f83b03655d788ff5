"""``file_reader`` and ``file_writer`` for ``.datastack`` files."""

from __future__ import annotations

import zipfile
from errno import ENOENT
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.atomic import locked_if_there, refuse_original, replacing
from rsciio_xfm.core.checks import check_choice
from rsciio_xfm.core.eds import TO_KEV
from rsciio_xfm.core.later import da
from rsciio_xfm.core.progress import bytes_bar
from rsciio_xfm.core.tree import digest, encode_signal
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.writers import check_plain
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.datastack.copy import copy, plan_copy, root_attributes
from rsciio_xfm.formats.datastack.data import Stack, first_version, read_stack
from rsciio_xfm.formats.datastack.layout import (
    ATTRIBUTES,
    ATTRIBUTES_VERSION,
    CUBE,
    ENERGIES,
    EXTRA_ARRAY,
    MAX_SPECTRUM,
    SUM_SPECTRUM,
)
from rsciio_xfm.formats.datastack.metadata import (
    classify,
    find_cube,
    pack,
    read_signal,
)
from rsciio_xfm.formats.datastack.write import (
    Cube,
    Store,
    check_format,
    choose_chunks,
    is_original,
    make_codec,
    write_cube,
    write_root,
)

__all__ = ["file_reader", "file_writer"]

_SELECTIONS = (None, "all", "spectrum_image", "single_spectrum", "image")


def file_reader(
    filename: str | Path,
    lazy: bool = False,
    chunks: Any = "auto",
    dataset_path: str | list[str] | None = None,
    select_type: str | None = None,
    latest: bool = True,
) -> list[dict[str, Any]]:
    """Read a ``.datastack`` file, of maxrf4u or of this package.

    Parameters
    ----------
    filename
        Path of the file.
    lazy
        If True, ``data`` are dask arrays, of which each chunk is read when it is needed.
    chunks
        Of the dask arrays. ``"auto"`` makes chunks that hold whole chunks of the file, and of
        a map rows of pixels with all channels, 128 MiB at most; anything else goes to
        :func:`dask.array.core.normalize_chunks`.
    dataset_path
        Name of an array in the file, or several. None reads the map, ``maxrf_cube``.
    select_type
        ``"all"`` reads all arrays, ``"spectrum_image"``, ``"single_spectrum"`` or ``"image"``
        those that are maps, spectra or images of the same sizes as the map.
    latest
        Read the newest version of each array, that with most underscores behind its name; if
        False, the one that is called so.

    Returns
    -------
    list of dict
        Signals. ``data`` of a map: shape ``(y, x, E)``, float32 in maxrf4u's files.
        ``axes``: the energy in keV if the file has ``maxrf_energies``, else in channels.
        ``metadata``: signal type EDS_XFM; ``Signal.smoothed`` is True if the counts were
        smoothed, and ``Signal.smoothing_sigma`` says by how many channels where it is known.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no zip with a zarr store; it has no map; an array is of a kind that is
        not read here.
    rsciio_xfm.exceptions.CorruptFileError
        The zip is cut or damaged: :func:`rsciio_xfm.datastack.repack` keeps what is whole.
        The description of an array or one of its chunks is damaged; for a lazy array, when it
        is computed.
    FileNotFoundError
        There is no such array.
    MemoryError
        An array is larger than the available memory and `lazy` is False.
    ValueError
        `select_type` is none of those, or given with `dataset_path`.

    Warns
    -----
    UserWarning
        The energies are no straight line; chunks were missing when a damaged file was mended.

    Notes
    -----
    zarr itself is not needed: zarr's formats 2 and 3 are read, compressed with Blosc, zstd,
    LZ4, gzip or zlib.

    Source of the format: see ``layout.py``.

    Examples
    --------
    >>> from rsciio_xfm.formats.datastack import file_reader
    >>> (signal,) = file_reader("painting.datastack", lazy=True)
    >>> signal["data"].shape
    (120, 160, 1024)
    """
    path = Path(filename)
    check_choice("select_type", select_type, _SELECTIONS)
    if select_type is not None and dataset_path is not None:
        raise ValueError("dataset_path and select_type are both given, expected one.")
    stack = read_stack(path)
    names = _choose(path, stack, dataset_path, select_type, latest)
    versions = stack.versions(CUBE)
    newest = stack.latest(CUBE) if latest and versions else CUBE
    cube = newest if newest in stack.arrays else None
    if not names:
        raise FileFormatError(
            f"{path}: the file holds nothing of select_type={select_type!r}, found "
            f"{', '.join(stack.names) or 'no array'} (in the zip)."
        )
    return [read_signal(path, stack, name, cube, lazy, chunks) for name in names]


def _choose(
    path: Path,
    stack: Stack,
    dataset_path: str | list[str] | None,
    select_type: str | None,
    latest: bool,
) -> list[str]:
    """Return the names of the arrays that are read."""
    if dataset_path is not None:
        wanted = [dataset_path] if isinstance(dataset_path, str) else list(dataset_path)
        wanted = [name.strip("/") for name in wanted]
        check_names(path, stack, wanted, latest)
        return [stack.latest(name) if latest else name for name in wanted]
    if select_type is None:
        return [find_cube(path, stack, latest)]
    names = []
    for name in stack.newest() if latest else stack.names:
        if name in stack.faults:
            warn(f"{stack.faults[name]} It is left out.")
        elif not name.startswith(EXTRA_ARRAY):
            names.append(name)
    if select_type == "all":
        return names
    cube = find_cube(path, stack, latest)
    return [name for name in names if classify(stack, name, cube) == select_type]


def check_names(
    path: str | Path, stack: Stack, names: list[str], latest: bool = True
) -> None:
    """Refuse names of arrays that are not there."""
    missing = [
        name
        for name in names
        if not (stack.versions(name) if latest else name in stack.names)
    ]
    if missing:
        raise FileNotFoundError(
            ENOENT,
            f"The file has no {', '.join(map(repr, missing))}, expected one of "
            f"{', '.join(stack.names) or 'nothing'}",
            str(path),
        )


def file_writer(
    filename: str | Path,
    signal: dict[str, Any],
    chunks: Any = "auto",
    compressor: Any = "blosc",
    keep_integers: bool = False,
    zarr_format: int = 3,
    replace_original: bool = False,
) -> None:
    """Write a map as a ``.datastack`` file that maxrf4u reads.

    Parameters
    ----------
    filename
        Path of the file. It is replaced when the new one is whole; until then it is as it was.
    signal
        Dictionary of a map, as :meth:`hyperspy.api.signals.BaseSignal.save` passes it. Its
        data may be a dask array, which is computed in parts.
    chunks, compressor, keep_integers, zarr_format
        See :func:`rsciio_xfm.datastack.convert`. Counts are not smoothed.
    replace_original
        Replace a stack of a map of another size that was not written here, too.

    Raises
    ------
    TypeError
        The data are masked, or no numbers.
    ValueError
        The signal is no map of spectra, or is empty; an argument does not suit it. Or the file
        is a stack of a map of another size that was not written here.
    OverflowError
        Counts above 16777216 are not exact in float32, and `keep_integers` is False.
    OSError
        The file cannot be written; what was there is as it was.

    Warns
    -----
    UserWarning
        Something in the metadata cannot be written; numbers of float64 that are no counts
        are rounded to float32.

    Notes
    -----
    ``maxrf_maxspectrum`` and ``maxrf_sumspectrum`` (which is the mean) are made while the map
    is written. Axes and metadata go into the attributes of the map, arrays among them into
    arrays of their own; :func:`file_reader` restores them. If the file is a stack of a map of
    the same size, its other arrays are kept, the newest version of each, and what else is in
    the zip.

    Examples
    --------
    >>> s = hs.load("map.GeoPIXE", lazy=True)
    >>> s.save("map.datastack")
    """
    path = Path(filename)
    data = signal["data"]
    axes = sorted(signal["axes"], key=lambda axis: axis.get("index_in_array", 0))
    _check(path, data, axes)
    check_format(zarr_format)
    codec = make_codec(compressor)
    dtype = np.dtype(np.float32)
    if keep_integers and data.dtype.kind in "iu":
        dtype = data.dtype.newbyteorder("=")
    chosen = choose_chunks(data.shape, dtype, chunks, **_rows_of(data))
    text, arrays = encode_signal(path, signal, axes)
    own = {
        "version": ATTRIBUTES_VERSION,
        "signal": text.tobytes().decode("utf-8"),
        "n_arrays": len(arrays),
        "sha256": digest(text, arrays),
    }
    others = {f"{EXTRA_ARRAY}{i}": pack(array) for i, array in enumerate(arrays)}
    energy = axes[-1]
    if energy["units"] in TO_KEV:
        steps = energy["offset"] + energy["scale"] * np.arange(energy["size"])
        others[ENERGIES] = TO_KEV[energy["units"]] * steps
    cube = Cube(data, chosen, dtype, {ATTRIBUTES: own}, 0.0, path)
    with locked_if_there(path):
        kept, plan, root = _stack_to_keep(path, data.shape), None, None
        if kept is None:
            refuse_original(path, is_original, replace_original)
        if kept is not None:
            names = _to_keep(kept, {CUBE, MAX_SPECTRUM, SUM_SPECTRUM, *others})
            plan = plan_copy(path, kept, names, zarr_format, is_all=True)
            root = root_attributes(path, kept)
        with (
            replacing(path) as file,
            zipfile.ZipFile(file, "w") as archive,
            bytes_bar(data.nbytes, f"Writing {path.name}") as bar,
        ):
            store = Store(archive, zarr_format, codec)
            write_root(store, root)
            write_cube(store, cube, others, bar.update)
            if kept is not None and plan is not None:
                copy(path, kept, plan, archive, lambda n_bytes: None)


def _stack_to_keep(path: Path, shape: tuple[int, ...]) -> Stack | None:
    """Return the stack that will be overwritten, if its map is of the same size."""
    if not path.is_file():
        return None
    try:
        stack = read_stack(path)
        is_same = stack.arrays[stack.latest(CUBE)].shape == shape
    except (FileFormatError, LookupError):  # no stack, or without a map
        return None
    return stack if is_same else None


def _to_keep(stack: Stack, own: set[str]) -> list[str]:
    """Return the newest version of each array that is not written anew."""
    return [
        name
        for name in stack.newest()
        if first_version(name) not in own and not name.startswith(EXTRA_ARRAY)
    ]


def _check(path: Path, data: np.ndarray | da.Array, axes: list[dict[str, Any]]) -> None:
    """Refuse what is no map of numbers."""
    check_plain(path, data)
    if data.dtype.kind not in "biuf":
        raise TypeError(f"{path}: the data are {data.dtype}, expected numbers.")
    if 0 in data.shape:
        raise ValueError(f"{path}: the array is {data.shape}, expected none of them 0.")
    if [axis["navigate"] for axis in axes] != [True, True, False]:
        raise ValueError(
            f"{path}: the signal has {len(axes)} axes, expected y, x and energy: sum the "
            "detectors of a map first."
        )


def _rows_of(data: np.ndarray | da.Array) -> dict[str, int]:
    """Return how many rows suit a dask array: those of its chunks, or a part of them."""
    if not isinstance(data, da.Array) or len(set(data.chunks[0][:-1])) != 1:
        return {}
    height = data.chunks[0][0]
    return {"rows": next(n for n in range(min(8, height), 0, -1) if height % n == 0)}
