"""Images that fabio reads: EDF, one or several frames, series of files, and all its others."""

import bz2
import logging
import math
import os
import re
import threading
import traceback
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.array import ArrayLike, Range
from rsciio_xfm.core.chunks import NO_CHUNK, ChunkedArray, Table
from rsciio_xfm.core.codecs import Padded, Plain
from rsciio_xfm.core.eds import build_axis, order_axes
from rsciio_xfm.core.extras import require
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.core.to_dask import default_chunks, from_source, read_all
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from rsciio_xfm.formats.edf.header import restore
from rsciio_xfm.formats.edf.layout import (
    CALIBRATION_KEYS,
    CALIBRATION_LIST,
    EXTRA,
    FIRST_CHANNEL,
    PAIRS,
    PIXEL_SIZES,
)

_KINDS = "biufc"
_PADDING = 512  # bytes, to a multiple of which some programs round sizes
_MOST_AXES = 32  # that numpy has everywhere
_LEAST_SHARE = 0.001  # of what a header promises: less is no image
_SERIES = re.compile(
    r"(?P<prefix>.*?)(?P<number>\d+)(?P<suffix>\.[^.\d][^.]*(\.gz|\.bz2)?)"
)
_PACKED = ("GZIP", "BZ", "Z", "OFFSET")  # compressions that fabio knows
_logging = threading.Lock()
_levels: list[int] = []  # of fabio's logger: its own, and one for each who keeps it quiet
_PLAIN = -1  # instead of the number of a frame that fabio reads
_PIXEL_SIZE = {"x": PIXEL_SIZES[0].lower(), "y": PIXEL_SIZES[1].lower()}


@dataclass(frozen=True)
class Frame:
    """Where an image is, and what its header says.

    Attributes
    ----------
    number
        Of the frame in its file.
    offset
        Byte at which its numbers begin, or `NO_CHUNK`: fabio reads it.
    n_rows
        How many of its rows are in the file.
    shape, dtype
        Of the image; the type as it is stored.
    header
        Its text.
    """

    number: int
    offset: int
    n_rows: int
    shape: tuple[int, ...]
    dtype: np.dtype
    header: dict[str, str]


@dataclass(frozen=True, eq=False)
class FabioFrames(ArrayLike):
    """Images of one size, ``(frame, y, x)``, some of which fabio reads.

    Attributes
    ----------
    plain
        The images, without those that fabio reads.
    sources
        The files.
    places
        int64, shape (frames, 2): number of the file and of the frame in it; -1 of the frame
        if it is among the plain ones.
    """

    plain: ChunkedArray
    sources: tuple[LocalFile, ...]
    places: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all."""
        return self.plain.shape

    @property
    def dtype(self) -> np.dtype:
        """Of the numbers, in the byte order of this machine."""
        return self.plain.dtype

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Read a block; see :meth:`ArrayLike.read`."""
        block = self.plain.read(ranges)
        if block.size == 0:
            return block
        inner = tuple(slice(*r) for r in ranges[1:])
        places = self.places[slice(*ranges[0])]
        mine = np.flatnonzero(places[:, 1] != _PLAIN)
        for number in np.unique(places[mine, 0]).tolist():
            source = self.sources[number]
            # Once for all frames: it may have to unpack those before them.
            with source.open(), opened(source.name) as image:
                for i in mine[places[mine, 0] == number].tolist():
                    frame = self._take_frame(image, source.name, int(places[i, 1]))
                    block[i] = frame[inner]
        return block

    def _take_frame(self, image: Any, path: str, number: int) -> np.ndarray:
        """Take a frame of what fabio has opened."""
        frame = image.get_frame(number)
        if type(image).__name__ == "EdfImage":
            _check_packed(path, frame, number)
        data = np.asarray(frame.data)
        if data.shape != self.shape[1:] or data.dtype.newbyteorder("=") != self.dtype:
            raise CorruptFileError(
                f"{path}: frame {number} is {data.shape} of {data.dtype}, expected "
                f"{self.shape[1:]} of {self.dtype} (byte 0, the whole file)."
            )
        return data


def make_source(
    sources: tuple[LocalFile, ...], group: list[tuple[int, Frame]]
) -> ArrayLike:
    """Make the array-like over images of one size and type.

    Parameters
    ----------
    sources
        The files.
    group
        Number of the file, and each image.
    """
    frame = group[0][1]
    numbers, frames = zip(*group, strict=True)
    row_bytes = math.prod(frame.shape[1:]) * frame.dtype.itemsize
    cells = (len(frames),) + (1,) * len(frame.shape)

    def column(values: Iterable[int]) -> np.ndarray:
        return np.array(list(values), dtype=np.int64).reshape(cells)

    table = Table(
        sources,
        (len(frames), *frame.shape),
        (1, *frame.shape),
        frame.dtype,
        column(f.offset for f in frames),
        column(f.n_rows * row_bytes for f in frames),
        column(numbers),
    )
    is_cut = any(f.n_rows < frame.shape[0] for f in frames)
    plain = ChunkedArray(table, Padded() if is_cut else Plain())
    if all(f.offset != NO_CHUNK for f in frames):
        return plain
    own = [f.number if f.offset == NO_CHUNK else _PLAIN for f in frames]
    return FabioFrames(plain, sources, np.stack([numbers, own], axis=1))


def _check_packed(path: str, frame: Any, number: int) -> None:
    """Refuse a frame that unpacks to more than its header says: fabio unpacks all of it."""
    packing = str(frame.header.get("COMPRESSION", frame.header.get("Compression", "")))
    unpack: Any = None
    if "GZIP" in packing.upper():
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    elif "BZ" in packing.upper():
        unpack = bz2.BZ2Decompressor()
    elif packing.upper().startswith("Z"):
        unpack = zlib.decompressobj()
    if unpack is None:
        return
    with frame.file.lock:
        frame.file.seek(frame.start)
        raw = frame.file.read(frame.blobsize)
    expected = math.prod(frame.shape) * np.dtype(frame.dtype).itemsize
    with suppress(OSError, zlib.error):  # fabio says what is wrong
        if len(unpack.decompress(raw, expected + 1)) > expected:
            raise CorruptFileError(
                f"{path}: frame {number} unpacks to more than the {expected} bytes of "
                f"{tuple(frame.shape)} of {frame.dtype}, expected these (byte {frame.start})."
            )


@contextmanager
def opened(path: str | Path) -> Iterator[Any]:
    """Open an image with fabio, and turn what it raises into our errors.

    Yields
    ------
    fabio.fabioimage.FabioImage

    Raises
    ------
    FileFormatError
        It is no image that fabio knows.
    CorruptFileError
        Fabio cannot read it, now or within the ``with`` block.
    """
    fabio = require("fabio", "esrf")
    _bound_ranks(require("fabio.edfimage", "esrf").EdfFrame)
    size = os.stat(path).st_size
    with _quiet():
        try:
            image = fabio.open(str(path))
        except Exception as exc:
            if _is_own(exc, path):
                raise
            traceback.clear_frames(exc.__traceback__)  # they keep the file open
            raise FileFormatError(
                f"{path}: fabio cannot read it: {exc or type(exc).__name__} (byte 0; the file "
                f"has {size} bytes). Expected an image of one of its formats."
            ) from exc
        try:
            with image:
                yield image
        except (FileFormatError, ImportError):
            raise
        except Exception as exc:
            if _is_own(exc, path):
                raise
            raise CorruptFileError(
                f"{path}: fabio cannot read it: {exc!r} (byte 0; the file has {size} bytes). "
                "Expected a whole image."
            ) from exc


def _bound_ranks(frame_class: Any) -> None:
    """Let fabio refuse an EDF header with a key such as Dim_99999999.

    It makes a list as long as that number, in a time that grows with its square.
    """
    find_rank = frame_class.get_data_rank
    if find_rank.__module__ == __name__:
        return

    def get_data_rank(*arguments: Any, **keywords: Any) -> int:
        rank = find_rank(*arguments, **keywords)
        if rank > _MOST_AXES:
            raise ValueError(
                f"the header of a frame has a key Dim_{rank}, expected at most "
                f"Dim_{_MOST_AXES}"
            )
        return rank

    frame_class.get_data_rank = staticmethod(get_data_rank)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep fabio from logging what is said here, in any number of threads."""
    logger = logging.getLogger("fabio")
    with _logging:
        if not _levels:
            _levels.append(logger.level)
            logger.setLevel(logging.CRITICAL)
        _levels.append(logger.level)
    try:
        yield
    finally:
        with _logging:
            _levels.pop()
            if len(_levels) == 1:
                logger.setLevel(_levels.pop())


def _is_own(exc: Exception, path: str | Path) -> bool:
    """Tell the system's errors about a file: that it may not be read, say."""
    name = getattr(exc, "filename", None)
    return getattr(exc, "errno", None) is not None and str(name) == str(path)


def read_images(
    path: Path, series: bool | str, lazy: bool, chunks: Any, is_image: bool = False
) -> list[dict[str, Any]]:
    """Read the images of a file, or of a series of files.

    Parameters
    ----------
    path, series, lazy, chunks
        See :func:`rsciio_xfm.esrf.file_reader`.
    is_image
        Whether what looks like spectra is an image all the same.

    Returns
    -------
    list of dict
        One signal for each size and type of images.
    """
    paths = find_series(path, series) if series else [path]
    sources, frames = [], []
    for number, one in enumerate(paths):
        sources.append(LocalFile.of(one))
        frames += [(number, frame) for frame in find_frames(one)]
    groups: dict[tuple, list[tuple[int, Frame]]] = {}
    for number, frame in frames:
        groups.setdefault((frame.shape, frame.dtype.str), []).append((number, frame))
    signals = []
    for group in groups.values():
        source = make_source(tuple(sources), group)
        headers = [frame.header for _, frame in group]
        signals.append(_build(path, source, headers, series, lazy, chunks, is_image))
    return signals


def find_series(path: Path, series: bool | str) -> list[Path]:
    """Return the files of a series, in the order of their numbers.

    Parameters
    ----------
    path
        One of them.
    series
        True: all files whose names differ from this one's in the last number only; or a
        pattern such as ``"image_*.edf"``, for the same folder.

    Raises
    ------
    FileFormatError
        The name has no number; nothing matches the pattern.

    Warns
    -----
    UserWarning
        Numbers are missing between the first and the last one.
    """
    if isinstance(series, str):
        if Path(series).is_absolute():
            raise ValueError(
                f"{path}: series is {series!r}, expected a pattern for files beside it."
            )
        found = [p for p in path.parent.glob(series) if p.is_file()]
        if not found:
            raise FileFormatError(
                f"{path}: no file beside it matches the pattern {series!r}, expected some."
            )
        return sorted(found, key=lambda p: _numbers(p.name))
    own = _SERIES.fullmatch(path.name)
    if own is None:
        raise FileFormatError(
            f"{path}: its name has no number before the extension, expected one as in "
            "image_0001.edf for series=True."
        )
    found_by_number = {}
    for other in path.parent.iterdir():
        match = _SERIES.fullmatch(other.name)
        if match and (match["prefix"], match["suffix"]) == (own["prefix"], own["suffix"]):
            found_by_number[int(match["number"])] = other
    numbers = sorted(found_by_number)
    n_missing = numbers[-1] - numbers[0] + 1 - len(numbers)
    if n_missing:
        warn(
            f"{path}: {n_missing} of the files numbered {numbers[0]} to {numbers[-1]} are not "
            "there: the others follow each other."
        )
    return [found_by_number[n] for n in numbers]


def _numbers(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts]


def find_frames(path: Path) -> list[Frame]:
    """Find the images in a file.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    TruncatedFileError
        The file ends before the first row of its first image.
    FileFormatError, CorruptFileError
        Fabio cannot read it, or it holds no image of numbers.

    Warns
    -----
    UserWarning
        The file ends within an image, whose other rows are zeros.
    """
    size = os.stat(path).st_size
    with opened(path) as image:
        is_edf = type(image).__name__ == "EdfImage"
        frames = []
        for number in range(image.nframes):
            if is_edf:
                frame = _describe_edf(path, image.get_frame(number), number, size)
            else:
                frame = _describe(path, image, number)
            if frame is not None:
                frames.append(frame)
    if not frames:
        raise TruncatedFileError(
            f"{path}: the file ends before the first row of an image (byte {size}, its end), "
            "expected at least one."
        )
    return frames


def _describe_edf(path: Path, frame: Any, number: int, size: int) -> Frame | None:
    """Find the numbers of an EDF frame; None if none of them are in the file."""
    header = {str(key): str(value) for key, value in frame.header.items()}
    folded = {key.lower(): value for key, value in header.items()}
    shape, dtype = tuple(int(n) for n in frame.shape), np.dtype(frame.dtype)
    _check_image(path, shape, dtype, number)
    compression = folded.get("compression", "none").strip().upper()
    is_plain = compression.startswith("NO") and "EDF_BinaryFileName" not in header
    if not compression.startswith("NO") and not any(c in compression for c in _PACKED):
        raise FileFormatError(
            f"{path}: the compression of frame {number} is {compression!r:.40}, expected none "
            f"or one of {', '.join(_PACKED)} (its header is before byte {frame.start})."
        )
    if not is_plain or Path(path).suffix.lower() in (".gz", ".bz2", ".xz"):
        return Frame(number, NO_CHUNK, shape[0], shape, dtype, header)
    n_bytes = math.prod(shape) * dtype.itemsize
    sizes = [meta.number(folded.get(key)) for key in ("size", "edf_binarysize")]
    promised = int(min((size for size in sizes if size is not None), default=n_bytes))
    start = int(frame.start)
    if promised < n_bytes:
        raise CorruptFileError(
            f"{path}: the header of frame {number} says {promised} bytes, expected {n_bytes} "
            f"for {shape} of {dtype} (the numbers begin at byte {start})."
        )
    is_padded = promised % _PADDING == 0 and promised - n_bytes < _PADDING
    if promised > n_bytes and not is_padded:
        warn(
            f"{path}: the header of frame {number} says {promised} bytes, expected {n_bytes} "
            f"for {shape} of {dtype}, which are read (byte {start}). It is damaged, if the "
            "image is larger."
        )
    present = max(0, min(n_bytes, size - start))
    n_rows = present // (n_bytes // shape[0])
    if n_rows < shape[0]:
        if n_rows == 0 or present < _LEAST_SHARE * n_bytes:
            if number == 0:
                raise TruncatedFileError(
                    f"{path}: the file has {present} of the {n_bytes} bytes of its first "
                    f"image, {shape} of {dtype}, expected at least {_LEAST_SHARE:.1%} and a "
                    f"row (byte {start}): it is cut, or its header is damaged."
                )
            warn(f"{path}: the file ends before frame {number} (byte {start}): left out.")
            return None
        warn(
            f"{path}: the file ends early: {n_rows} of {shape[0]} rows of frame {number} are "
            f"there (byte {size}, its end), the rest are zeros."
        )
    named = folded.get("byteorder", "")
    if dtype.itemsize > 1 and not any(word in named for word in ("Low", "High")):
        warn(
            f"{path}: the byte order of frame {number} is {named!r:.40}, expected "
            "LowByteFirst or HighByteFirst: the first is assumed, as by fabio."
        )
    order = ">" if "High" in named else "<"
    return Frame(number, start, n_rows, shape, dtype.newbyteorder(order), header)


def _describe(path: Path, image: Any, number: int) -> Frame:
    """Describe an image of another format, which fabio reads."""
    frame = image.get_frame(number) if image.nframes > 1 else image
    data = np.asarray(frame.data)
    _check_image(path, data.shape, data.dtype, number)
    header = {str(key): str(value) for key, value in frame.header.items()}
    dtype = data.dtype.newbyteorder("=")
    return Frame(number, NO_CHUNK, data.shape[0], data.shape, dtype, header)


def _check_image(
    path: Path, shape: tuple[int, ...], dtype: np.dtype, number: int
) -> None:
    if not shape or min(shape) <= 0 or dtype.kind not in _KINDS:
        raise FileFormatError(
            f"{path}: frame {number} is {shape} of {dtype}, expected an image of numbers that "
            "is not empty (byte 0, its header)."
        )


def _build(
    path: Path,
    source: ArrayLike,
    headers: list[dict[str, str]],
    series: bool | str,
    lazy: bool,
    chunks: Any,
    is_image: bool,
) -> dict[str, Any]:
    """Make a signal of images, or of the spectra that a header with a calibration has."""
    is_one = source.shape[0] == 1 and not series
    auto = isinstance(chunks, str) and chunks == "auto"
    if auto:
        chunks = default_chunks(source.shape, source.dtype, 0)
    elif is_one and isinstance(chunks, tuple | list):
        chunks = (1, *chunks)
    data = from_source(source, chunks) if lazy else read_all(source, str(path), chunks)
    data = data[0] if is_one else data
    saved = restore(path, headers[0], data.shape)
    if saved is not None:
        return saved | {"data": data}
    calibration = find_calibration(headers[0])
    if calibration is not None and not is_image:
        return _build_spectra(path, data, headers[0], calibration)
    n_image = min(2, len(source.shape) - 1)
    labels = ["y", "x"][-n_image:]
    n_outer = data.ndim - n_image
    axes = [
        build_axis("frame" if i == 0 and not is_one else f"axis{i}", n, None, None)
        for i, n in enumerate(data.shape[:n_outer])
    ]
    for label, size in zip(labels, data.shape[n_outer:], strict=True):
        axis = build_axis(label, size, None, None, navigate=False)
        step = meta.number(_folded(headers[0]).get(_PIXEL_SIZE[label]))
        if step is not None and step > 0:
            axis |= {"scale": step * 1e6, "units": "µm"}
        axes.append(axis)
    title = path.stem
    if isinstance(series, str):
        title = re.split(r"[*?\[]", series)[0].rstrip("_-. ") or title
    elif series:
        title = _SERIES.fullmatch(path.name)["prefix"].rstrip("_-. ") or title
    folded = _folded(headers[0])
    date = meta.parse_date(folded.get("date")) or meta.parse_date(folded.get("time"))
    instrument = {kind: _pairs(headers, *keys) for kind, keys in PAIRS.items()}
    instrument = {kind: values for kind, values in instrument.items() if values}
    metadata = {
        "General": meta.build_general(path, title, date),
        "Signal": {"signal_type": ""},
    }
    if instrument:
        metadata["Acquisition_instrument"] = meta.clean({"ESRF": instrument})
    return {
        "data": data,
        "axes": order_axes(axes),
        "metadata": metadata,
        "original_metadata": _original(headers),
    }


def _build_spectra(
    path: Path, data: Any, header: dict[str, str], calibration: tuple[float, ...]
) -> dict[str, Any]:
    """Make a signal of spectra, one in each row of the image."""
    first = meta.number(_folded(header).get(FIRST_CHANNEL.lower())) or 0.0
    energy = meta.energy_axis(str(path), data.shape[-1], calibration, first)
    outer = data.shape[:-1]
    labels = ("x", "y", "z")
    axes = [
        build_axis(labels[len(outer) - 1 - i], size, None, None)
        for i, size in enumerate(outer)
    ]
    signal = meta.build_map(path, path.stem, [*axes, energy])
    return signal | {"data": data, "original_metadata": _original([header])}


def find_calibration(header: dict[str, str]) -> tuple[float, ...] | None:
    """Return a, b, c of E = a + b channel + c channel squared from an EDF header.

    Parameters
    ----------
    header
        Its text.

    Returns
    -------
    tuple of float or None
        keV; None if there is none.
    """
    folded = _folded(header)
    terms = [meta.number(folded.get(key.lower())) for key in CALIBRATION_KEYS]
    if terms[0] is not None and terms[1] is not None:
        return terms[0], terms[1], terms[2] or 0.0
    listed = re.findall(r"[^\s,\[\]()]+", folded.get(CALIBRATION_LIST.lower(), ""))
    values = [meta.number(word) for word in listed]
    if len(values) in (2, 3) and None not in values:
        return tuple(values)
    return None


def _folded(header: dict[str, str]) -> dict[str, str]:
    return {key.lower(): value for key, value in header.items()}


def _pairs(headers: list[dict[str, str]], key: str, values_key: str) -> dict[str, Any]:
    """Return numbers by name, one for each frame where they change."""
    found: dict[str, list[float]] = {}
    for i, header in enumerate(headers):
        folded = _folded(header)
        # Frames need not repeat the names.
        labels = folded.get(key, _folded(headers[0]).get(key, "")).split()
        for label, word in zip(labels, folded.get(values_key, "").split(), strict=False):
            value = meta.number(word)
            column = found.setdefault(label, [math.nan] * len(headers))
            column[i] = math.nan if value is None else value
    return {
        label: column[0] if len(set(column)) == 1 else np.array(column)
        for label, column in found.items()
    }


def _original(headers: list[dict[str, str]]) -> dict[str, Any]:
    """Return the first header, and of further ones what differs."""
    first = {k: v for k, v in headers[0].items() if k != EXTRA}
    tree: dict[str, Any] = {"header": first}
    changing = {
        key: [header.get(key, "") for header in headers]
        for key in dict.fromkeys(key for header in headers for key in header)
        if key != EXTRA and any(h.get(key) != headers[0].get(key) for h in headers)
    }
    if changing:
        tree["frames"] = changing
    return meta.clean(tree)
