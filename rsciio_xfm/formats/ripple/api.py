"""``file_reader`` for pairs of ``.rpl`` and ``.raw`` files."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rsciio.exceptions import VisibleDeprecationWarning

from rsciio_xfm.core.chunks import ChunkedArray
from rsciio_xfm.core.eds import SIGNAL_TYPE, order_axes
from rsciio_xfm.core.source import find_beside
from rsciio_xfm.core.to_dask import (
    check_worth_reading,
    from_source,
    in_memory,
    read_all,
)
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.ripple.parse import (
    build_axes,
    build_metadata,
    build_original,
    check_complete,
    find_signal_type,
    read_values,
)
from rsciio_xfm.formats.ripple.rpl import (
    Ripple,
    make_ripple,
    parse_rpl,
    raw_array,
)

if TYPE_CHECKING:
    from hyperspy.signal import BaseSignal

# A map of which less is there is read lazily only, unless it is small.
_LEAST_SHARE = 0.25
_EXTENSIONS = (".rpl", ".raw")


def file_reader(
    filename: str | Path,
    lazy: bool = False,
    chunks: Any = "auto",
    rpl_info: Mapping[str, Any] | None = None,
    encoding: str | None = None,
    distributed: Any = None,
    mmap_mode: Any = None,
) -> list[dict[str, Any]]:
    """Read a ``.raw`` file that a ``.rpl`` file beside it describes.

    Parameters
    ----------
    filename
        Path of one of the two; the other has the same name, in capitals or not.
    lazy
        If True, ``data`` is a dask array; now only the text is read.
    chunks
        Of the dask array. ``"auto"`` makes chunks of whole rows with all channels, at
        most 128 MiB. Anything else goes to :func:`dask.array.core.normalize_chunks`.
    rpl_info
        What the ``.rpl`` file would say, if there is none.
    encoding
        Of the ``.rpl`` file. None takes it for UTF-8, or for Latin-1 if it is not that.
    distributed
        RosettaSciIO's of older versions; it does nothing.
    mmap_mode
        Likewise.

    Returns
    -------
    list of dict
        One signal. ``data``: numbers of the type of the file, in the byte order of this
        machine; axes of size 1 are left out. Spectra, ``(height, width, depth)``, or
        images, ``(depth, height, width)``, as the file says; X-ray spectra are ``(y, x, E)``
        however they are ordered in the file.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The text lacks a key or contradicts itself.
    rsciio_xfm.exceptions.CorruptFileError
        The ``.raw`` file is longer than the text says.
    rsciio_xfm.exceptions.TruncatedFileError
        Too little of it is there.
    FileNotFoundError
        The other file is not there.
    MemoryError
        The map is larger than the available memory and `lazy` is False.
    ValueError
        The extension is another.

    Warns
    -----
    UserWarning
        The ``.raw`` file ends early: whole rows are read, the rest are zeros; a value of the
        text is no number.

    Notes
    -----
    The signal type is what the text names, but ``EDS_XFM`` where it speaks of X-rays of no
    transmission microscope.

    Examples
    --------
    >>> from rsciio_xfm.formats.ripple import file_reader
    >>> (map_,) = file_reader("scan.rpl", lazy=True)
    >>> map_["data"].shape
    (120, 160, 1024)
    """
    for name, value in (("distributed", distributed), ("mmap_mode", mmap_mode)):
        if value is not None:
            warn(
                f"{name} is given, which does nothing: leave it out.",
                VisibleDeprecationWarning,
            )
    path = Path(filename)
    rpl, raw = _find_pair(path, is_described=bool(rpl_info))
    ripple = make_ripple(raw, rpl_info) if rpl_info else parse_rpl(rpl, encoding)
    check_complete(ripple)
    values = read_values(ripple)
    signal_type = find_signal_type(ripple)
    is_xray = signal_type == SIGNAL_TYPE
    axes = _choose_axes(ripple, values, is_xray)
    shape = tuple(axis["size"] for axis in axes)
    is_stack = ripple.is_images and ripple.shape[2] > 1
    is_reordered = is_stack and is_xray
    source: Any = _make_array(raw, ripple, shape, is_reordered)
    signal = {
        "data": _load(source, shape, lazy, chunks),
        "axes": order_axes(axes),
        "metadata": build_metadata(path, values, signal_type),
        "original_metadata": build_original(ripple, values),
    }
    if is_stack and not is_xray and len(shape) > 1:
        signal["post_process"] = [partial(_as_asked_for, source=source)]
    return [signal]


def _find_pair(path: Path, is_described: bool) -> tuple[Path, Path]:
    """Return the paths of the text, which may not be needed, and of the numbers."""
    extension = path.suffix.lower()
    if extension not in _EXTENSIONS:
        raise ValueError(
            f"{path}: the extension is {path.suffix!r}, expected .rpl or .raw."
        )
    if extension == ".raw":
        return (path if is_described else _find_beside(path, ".rpl")), path
    if not (is_described or path.exists()):
        raise FileNotFoundError(f"{path}: there is no such file.")
    return path, _find_beside(path, ".raw")


def _find_beside(path: Path, extension: str) -> Path:
    """Return the path of the other file, in capitals or not."""
    other = find_beside(path, extension)
    if other.is_file():
        return other
    what = {
        ".rpl": "the text that says how many numbers of which type there are. With hs.load, "
        "rpl_info={'width': ..., 'height': ..., 'depth': ..., 'data-length': ...} takes its "
        "place",
        ".raw": "the numbers that the text describes",
    }[extension]
    raise FileNotFoundError(
        f"{path}: {path.with_suffix(extension).name} is not there, expected beside it: {what}."
    )


def _choose_axes(
    ripple: Ripple, values: dict[str, Any], is_xray: bool
) -> list[dict[str, Any]]:
    """Return the axes of the array, those of more than one number, slowest first."""
    height, width, depth = build_axes(ripple, values, is_xray).values()
    if depth["size"] == 1:  # an image
        height["navigate"] = height["size"] > 1 and width["size"] == 1
        width["navigate"] = False
    elif ripple.is_images and not is_xray:  # a stack of them
        height["navigate"] = width["navigate"] = False
        depth["navigate"] = True
        return [axis for axis in (depth, height, width) if axis["size"] > 1]
    return [axis for axis in (height, width, depth) if axis["size"] > 1] or [width]


def _make_array(
    raw: Path, ripple: Ripple, shape: tuple[int, ...], is_reordered: bool
) -> ChunkedArray:
    """Make the array-like; numbers along one axis are rows of one number each."""
    height, width, depth = ripple.shape
    if len(shape) == 1:
        return raw_array(raw, ripple, (*shape, 1), what="numbers")
    what = "rows" if depth == 1 or 1 not in (height, width) else "spectra"
    if depth > 1 and ripple.is_images:
        what = "images"
    return raw_array(raw, ripple, shape, is_reordered, what)


def _load(source: ChunkedArray, shape: tuple[int, ...], lazy: bool, chunks: Any) -> Any:
    if lazy and len(shape) > 1:
        return from_source(source, chunks)
    table, (file,) = source.table, source.table.sources
    if source.is_as_stored:
        check_worth_reading(
            file.name, source, table.n_present, shape[0], "rows", _LEAST_SHARE, file.size
        )
    numbers = read_all(source, file.name).reshape(shape)
    return in_memory(numbers, chunks) if lazy else numbers


def _as_asked_for(signal: "BaseSignal", source: ChunkedArray) -> "BaseSignal":
    """Make spectra of a stack of images, if the user asks for X-ray spectra."""
    if signal.metadata.get_item("Signal.signal_type") != SIGNAL_TYPE:
        return signal
    spectra = signal.as_signal1D(0)
    if not spectra._lazy:
        spectra.data = np.ascontiguousarray(spectra.data)
    elif source.table.n_present == source.shape[0]:
        order = (*range(1, source.ndim), 0)
        spectra.data = from_source(ChunkedArray(source.table, order=order))
    return spectra
