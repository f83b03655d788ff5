"""Raw files of a scanner into ``.datastack`` files, in one pass."""

import math
import operator
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from dask.system import CPU_COUNT

from rsciio_xfm.core.array import ArrayLike, Range
from rsciio_xfm.core.atomic import check_destination, locked_if_there, replacing
from rsciio_xfm.core.chunks import ChunkedArray
from rsciio_xfm.core.progress import bytes_bar, is_wanted
from rsciio_xfm.formats.datastack.layout import ATTRIBUTES, ATTRIBUTES_VERSION, ENERGIES
from rsciio_xfm.formats.datastack.raw import energies, parse_map, raw_array
from rsciio_xfm.formats.datastack.write import (
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
    dst: str | Path | None = None,
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
    dst
        Path of the new file; by default that of `raw` with the extension ``.datastack``.
    sigma
        Standard deviation of the Gaussian by which spectra are smoothed, in channels; 7 is
        maxrf4u's. 0 stores the counts as they are.
    flip_horizontal, flip_vertical
        Mirror the map left to right, top to bottom.
    chunks
        Sizes along y, x and energy; ``"auto"`` makes chunks of whole spectra, 4 MiB each.
    compressor
        ``"blosc"`` (LZ4 after the bytes were sorted), ``"zstd"`` (what zarr 3 and so maxrf4u
        choose), ``"gzip"``, such a compressor of numcodecs, or None.
    show_progressbar
        Show a bar on standard error, if it takes longer than two seconds; None shows it if
        that is a terminal.
    keep_integers
        Store integers rather than float32; only with ``sigma=0``.
    zarr_format
        2 writes what zarr 2 reads, and maxrf4u's versions of that time.
    overwrite
        Replace `dst` if it is there.

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
        An argument does not suit the map; `dst` is one of the files that are read, or a stack
        that was not written here.
    FileExistsError
        `dst` exists.
    OSError
        A file cannot be read or written; `dst` is as it was.

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
    raw = Path(raw)
    dst = raw.with_suffix(EXTENSION) if dst is None else Path(dst)
    if dst.suffix.lower() != EXTENSION:
        raise ValueError(f"{dst}: the extension is {dst.suffix!r}, expected {EXTENSION}.")
    sigma = _check_sigma(sigma)
    if keep_integers and sigma:
        raise ValueError(
            f"keep_integers is True and sigma {sigma:g}, expected sigma=0: smoothed counts "
            "are no integers."
        )
    check_format(zarr_format)
    codec = make_codec(compressor)
    for read in (raw, rpl):
        check_destination(read, dst, overwrite, is_original)
    ripple = parse_map(rpl)
    source: Any = raw_array(raw, ripple)
    dtype = np.dtype(np.float32)
    if keep_integers and ripple.dtype.kind in "iu":
        dtype = ripple.dtype.newbyteorder("=")
    rows = {} if source.is_as_stored else {"rows": _image_rows(source)}
    chosen = choose_chunks(source.shape, dtype, chunks, **rows)
    if flip_horizontal or flip_vertical:
        source = Flipped(source, (bool(flip_vertical), bool(flip_horizontal), False))
    kev = energies(ripple)
    own = {"version": ATTRIBUTES_VERSION, "sigma": sigma, "rpl": ripple.fields}
    own |= {
        "flip_horizontal": bool(flip_horizontal),
        "flip_vertical": bool(flip_vertical),
    }
    n_bytes = math.prod(source.shape) * source.dtype.itemsize
    with (
        locked_if_there(dst),
        replacing(dst) as file,
        zipfile.ZipFile(file, "w") as archive,
        bytes_bar(n_bytes, f"Converting {raw.name}", is_wanted(show_progressbar)) as bar,
    ):
        write_root(archive, zarr_format)
        write_cube(
            archive,
            source,
            chosen,
            dtype,
            sigma=sigma,
            codec=codec,
            zarr_format=zarr_format,
            attributes={ATTRIBUTES: own},
            arrays={} if kev is None else {ENERGIES: kev},
            advance=bar.update,
            path=raw,
        )
    return dst


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
    return max(1, _IMAGES_BYTES // CPU_COUNT // row_bytes)


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
