"""Raw files of a scanner into ``.datastack`` files, in one pass."""

import math
import operator
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.array import ArrayLike, Range
from rsciio_xfm.core.atomic import check_destination, locked_if_there, replacing
from rsciio_xfm.core.chunks import ChunkedArray
from rsciio_xfm.core.eds import TO_KEV
from rsciio_xfm.core.later import cpu_count
from rsciio_xfm.core.progress import bytes_bar
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.formats.datastack.layout import ATTRIBUTES, ATTRIBUTES_VERSION, ENERGIES
from rsciio_xfm.formats.datastack.raw import energies, parse_map, raw_array
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

EXTENSION = ".datastack"
_MOST_SIGMA = 10_000.0
# Of images, so many bytes are read at a time: the more, the longer are their parts.
_IMAGES_BYTES = 192 * 2**20


def convert(
    raw: str | Path,
    rpl: str | Path,
    destination: str | Path | None = None,
    sigma: float = 7,
    flip_horizontal: bool = False,
    flip_vertical: bool = False,
    chunks: Any = "auto",
    compressor: Any = "blosc",
    show_progressbar: bool | None = None,
    *,
    keep_integers: bool = False,
    zarr_format: int = 3,
    overwrite: bool = False,
) -> Path:
    """Convert a ``.raw`` and ``.rpl`` pair into a ``.datastack`` file, in one pass.

    Parameters
    ----------
    raw, rpl
        Paths of the numbers and of the text that describes them; see the documentation of the
        format for what it may say.
    destination
        Path of the new file; by default that of `raw` with the extension ``.datastack``.
    sigma
        Standard deviation of the Gaussian by which spectra are smoothed, in channels; 7 is
        maxrf4u's. 0 stores the counts as they are.
    flip_horizontal, flip_vertical
        Mirror the map left to right, top to bottom.
    chunks
        Sizes along y, x and energy; ``"auto"`` cuts spectra into six parts at most, of pixels
        that lie together: 1 MiB each, up to 4 MiB of large maps.
    compressor
        ``"blosc"`` (LZ4 after the bytes were sorted), ``"zstd"`` (what zarr 3 and so maxrf4u
        choose), ``"gzip"``, such a compressor of numcodecs, or None.
    show_progressbar
        Say how far it is, if it takes longer than two seconds; None is HyperSpy's
        preference, on a terminal or in a notebook.
    keep_integers
        Store integers rather than float32; only with ``sigma=0``.
    zarr_format
        2 writes what zarr 2 reads, and maxrf4u's versions of that time.
    overwrite
        Replace `destination` if it is there.

    Returns
    -------
    pathlib.Path
        The new file: ``maxrf_cube`` ``(y, x, E)``, ``maxrf_maxspectrum`` and
        ``maxrf_sumspectrum`` (which is the mean), float32 all of them, and ``maxrf_energies``
        in keV if the ``.rpl`` file has a calibration.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The ``.rpl`` file lacks a key or contradicts itself.
    rsciio_xfm.exceptions.CorruptFileError
        The raw file is longer than the ``.rpl`` file says.
    rsciio_xfm.exceptions.TruncatedFileError
        Too little of the raw file is there.
    OverflowError
        Counts above 16777216 are not exact in float32, and are not smoothed; floating-point
        numbers are too large for it. Nothing is written.
    ValueError
        An argument does not suit the map; `destination` is one of the files that are read, or
        a stack that was not written here.
    FileExistsError
        `destination` exists.
    OSError
        A file cannot be read or written; `destination` is as it was.

    Warns
    -----
    UserWarning
        The raw file ends early; rows that are not there are zeros.

    Notes
    -----
    Rows are read once, in threads. Memory does not depend on the size of the map. Sums of
    integers are exact before they are divided by the number of spectra.

    Examples
    --------
    >>> from rsciio_xfm import datastack
    >>> datastack.convert("scan.raw", "scan.rpl", flip_vertical=True)
    PosixPath('scan.datastack')
    """
    flips = bool(flip_vertical), bool(flip_horizontal), False
    of_counts = _check_sigma(sigma), flips, keep_integers
    how = _How(*of_counts, chunks, compressor, zarr_format, show_progressbar)
    raw = Path(raw)
    destination = _checked(raw, destination, how)
    for read in (raw, rpl):
        check_destination(read, destination, overwrite, is_original)
    ripple = parse_map(rpl)
    source = raw_array(raw, ripple)
    _write(_Map(source, energies(ripple), {"rpl": ripple.fields}, raw), destination, how)
    return destination


def convert_map(
    filename: str | Path,
    signal: dict[str, Any],
    destination: str | Path | None = None,
    sigma: float = 7,
    flip_horizontal: bool = False,
    flip_vertical: bool = False,
    chunks: Any = "auto",
    compressor: Any = "blosc",
    show_progressbar: bool | None = None,
    *,
    keep_integers: bool = False,
    zarr_format: int = 3,
    overwrite: bool = False,
) -> Path:
    """Convert a map of another format into a ``.datastack`` file, in one pass.

    Parameters
    ----------
    filename
        Path of the file that the map is in.
    signal
        Dictionary of its lazy map, from a reader of this package.
    destination
        Path of the new file; by default `filename` with the extension ``.datastack``.
    sigma, flip_horizontal, flip_vertical, chunks, compressor, show_progressbar
        See :func:`convert`.
    keep_integers, zarr_format, overwrite
        See :func:`convert`.

    Returns
    -------
    pathlib.Path
        The new file, as of :func:`convert`; ``maxrf_energies`` are those of the map.

    Raises
    ------
    ValueError
        The signal is no map of x, y and energy, or not of a file; see :func:`convert`.

    Examples
    --------
    >>> from rsciio_xfm import crono, datastack
    >>> (map_,) = crono.file_reader("painting.HDF5", lazy=True)
    >>> datastack.convert_map("painting.HDF5", map_, "map.datastack")
    PosixPath('map.datastack')
    """
    flips = bool(flip_vertical), bool(flip_horizontal), False
    of_counts = _check_sigma(sigma), flips, keep_integers
    how = _How(*of_counts, chunks, compressor, zarr_format, show_progressbar)
    path = Path(filename)
    destination = _checked(path, destination, how)
    check_destination(path, destination, overwrite, is_original)
    source, energy = source_of(signal["data"]), signal["axes"][-1]
    if source is None or source.ndim != 3 or energy["navigate"]:
        raise ValueError(
            f"{path}: the signal is {signal['data'].shape}, expected the lazy map of a file "
            "with the axes y, x and energy."
        )
    kev = None
    if energy["units"] in TO_KEV:
        channels = np.arange(source.shape[-1])
        kev = (energy["offset"] + energy["scale"] * channels) * TO_KEV[energy["units"]]
    _write(_Map(source, kev, {"file": path.name}, path), destination, how)
    return destination


@dataclass(frozen=True)
class _How:
    """Options of :func:`convert`: what is made of counts, and how it is stored.

    `flips` are of each axis.
    """

    sigma: float
    flips: tuple[bool, bool, bool]
    keep_integers: bool
    chunks: Any
    compressor: Any
    zarr_format: int
    show_progressbar: bool | None


@dataclass(frozen=True, eq=False)
class _Map:
    """What is converted: counts, energies in keV, what is kept of its file, and that."""

    source: ArrayLike
    kev: np.ndarray | None
    about: dict[str, Any]
    path: Path


def _checked(path: Path, destination: str | Path | None, how: _How) -> Path:
    """Return the path of the new file, if all that is asked for can be."""
    destination = (
        path.with_suffix(EXTENSION) if destination is None else Path(destination)
    )
    if destination.suffix.lower() != EXTENSION:
        raise ValueError(
            f"{destination}: the extension is {destination.suffix!r}, expected {EXTENSION}."
        )
    if how.keep_integers and how.sigma:
        raise ValueError(
            f"keep_integers is True and sigma {how.sigma:g}, expected sigma=0: smoothed "
            "counts are no integers."
        )
    check_format(how.zarr_format)
    make_codec(how.compressor)
    return destination


def _write(map_: _Map, destination: Path, how: _How) -> None:
    source: Any = map_.source
    dtype = np.dtype(np.float32)
    if how.keep_integers and source.dtype.kind in "iu":
        dtype = source.dtype.newbyteorder("=")
    is_images = isinstance(source, ChunkedArray) and not source.is_as_stored
    rows = {"rows": _image_rows(source)} if is_images else {}
    chosen = choose_chunks(source.shape, dtype, how.chunks, **rows)
    if any(how.flips):
        source = Flipped(source, how.flips)
    own = {
        "version": ATTRIBUTES_VERSION,
        "sigma": how.sigma,
        **map_.about,
        "flip_horizontal": how.flips[1],
        "flip_vertical": how.flips[0],
    }
    cube = Cube(source, chosen, dtype, {ATTRIBUTES: own}, how.sigma, map_.path)
    n_bytes = math.prod(source.shape) * source.dtype.itemsize
    with (
        locked_if_there(destination),
        replacing(destination) as file,
        zipfile.ZipFile(file, "w") as archive,
        bytes_bar(n_bytes, f"Converting {map_.path.name}", how.show_progressbar) as bar,
    ):
        store = Store(archive, how.zarr_format, make_codec(how.compressor))
        write_root(store)
        energies_of = {} if map_.kev is None else {ENERGIES: map_.kev}
        write_cube(store, cube, energies_of, bar.update)


def _check_sigma(sigma: Any) -> float:
    try:
        value = float(operator.pos(sigma))
    except (TypeError, ValueError):
        value = -1.0
    if not 0 <= value <= _MOST_SIGMA:
        raise ValueError(
            f"sigma is {sigma!r:.40}, expected a number of channels from 0 to {_MOST_SIGMA:g}."
        )
    return value


def _image_rows(source: ChunkedArray) -> int:
    """Return how many rows are read at a time of each image."""
    row_bytes = math.prod(source.shape[1:]) * source.dtype.itemsize
    return max(1, _IMAGES_BYTES // cpu_count() // row_bytes)


@dataclass(frozen=True)
class Flipped(ArrayLike):
    """An array-like of which some axes run backwards.

    Attributes
    ----------
    source
        The array-like.
    axes
        Of each axis, whether it does.
    """

    source: ArrayLike
    axes: tuple[bool, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype:
        """Of the numbers."""
        return self.source.dtype

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Read a block; see :meth:`ArrayLike.read`."""
        mirrored = tuple(
            (size - stop, size - start) if is_flipped else (start, stop)
            for (start, stop), size, is_flipped in zip(
                ranges, self.shape, self.axes, strict=True
            )
        )
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in self.axes)
        return np.ascontiguousarray(self.source.read(mirrored)[steps])
