"""Images that fabio reads: EDF, one or several frames, series of files, and all its others."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.array import ArrayLike, Range
from rsciio_xfm.core.chunks import NO_CHUNK, ChunkedArray, Table
from rsciio_xfm.core.codecs import PLAIN, Padded
from rsciio_xfm.core.dates import parse_datetime
from rsciio_xfm.core.eds import build_axis, order_axes
from rsciio_xfm.core.packed import EXTRA, restore
from rsciio_xfm.core.series import split_number
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.core.to_dask import default_chunks, from_source, read_all
from rsciio_xfm.core.warning import collected, warn
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.formats.edf.fabio_files import check_packed, opened
from rsciio_xfm.formats.edf.layout import (
    FIRST_CHANNEL,
    PAIRS,
    PIXEL_SIZES,
)
from rsciio_xfm.formats.edf.parse import (
    Frame,
    find_calibration,
    find_frames,
    find_series,
    fold,
)

_PLAIN = -1  # instead of the number of a frame that fabio reads
_PIXEL_SIZE = {"x": PIXEL_SIZES[0].lower(), "y": PIXEL_SIZES[1].lower()}


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
            check_packed(path, frame, number)
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
    plain = ChunkedArray(table, Padded() if is_cut else PLAIN)
    if all(f.offset != NO_CHUNK for f in frames):
        return plain
    own = [f.number if f.offset == NO_CHUNK else _PLAIN for f in frames]
    return FabioFrames(plain, sources, np.stack([numbers, own], axis=1))


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
        data = _load(path, source, lazy, chunks, bool(series))
        signals.append(_build(path, data, headers, series, is_image))
    return signals


def _load(path: Path, source: ArrayLike, lazy: bool, chunks: Any, is_series: bool) -> Any:
    """Read frames, or make a lazy array of them; of a single one, without their axis."""
    is_one = source.shape[0] == 1 and not is_series
    auto = isinstance(chunks, str) and chunks == "auto"
    if auto:
        chunks = default_chunks(source.shape, source.dtype, 0)
    elif is_one and isinstance(chunks, tuple | list):
        chunks = (1, *chunks)
    data = from_source(source, chunks) if lazy else read_all(source, str(path), chunks)
    return data[0] if is_one else data


def _build(
    path: Path,
    data: Any,
    headers: list[dict[str, str]],
    series: bool | str,
    is_image: bool,
) -> dict[str, Any]:
    """Make a signal of images, or of the spectra that a header with a calibration has."""
    is_one = len(headers) == 1 and not series
    with collected() as texts:
        saved = restore(path, headers[0].get(EXTRA), data.shape)
    for text in texts if not series else ():  # of which an image was saved alone
        warn(text)
    if saved is not None:
        return saved | {"data": data}
    calibration = find_calibration(headers[0])
    if calibration is not None and not is_image:
        return _build_spectra(path, data, headers[0], calibration)
    n_image = min(2, data.ndim - (not is_one))
    labels = ["y", "x"][-n_image:]
    n_outer = data.ndim - n_image
    axes = [
        build_axis("frame" if i == 0 and not is_one else f"axis{i}", n, None, None)
        for i, n in enumerate(data.shape[:n_outer])
    ]
    for label, size in zip(labels, data.shape[n_outer:], strict=True):
        axis = build_axis(label, size, None, None, navigate=False)
        step = meta.number(fold(headers[0]).get(_PIXEL_SIZE[label]))
        if step is not None and step > 0:
            axis |= {"scale": step * 1e6, "units": "µm"}
        axes.append(axis)
    title = (headers[0].get("title") if EXTRA in headers[0] else "") or path.stem
    if isinstance(series, str):
        title = re.split(r"[*?\[]", series)[0].rstrip("_-. ") or title
    elif series and (own := split_number(path.name)):
        title = own[0].rstrip("_-. ") or title
    folded = fold(headers[0])
    date = parse_datetime(folded.get("date")) or parse_datetime(folded.get("time"))
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
    first = meta.number(fold(header).get(FIRST_CHANNEL.lower())) or 0.0
    energy = meta.energy_axis(str(path), data.shape[-1], calibration, first)
    outer = data.shape[:-1]
    labels = ("x", "y", "z")
    axes = [
        build_axis(labels[len(outer) - 1 - i], size, None, None)
        for i, size in enumerate(outer)
    ]
    signal = meta.build_map(path, path.stem, [*axes, energy])
    return signal | {"data": data, "original_metadata": _original([header])}


def _pairs(headers: list[dict[str, str]], key: str, values_key: str) -> dict[str, Any]:
    """Return numbers by name, one for each frame where they change."""
    found: dict[str, list[float]] = {}
    for i, header in enumerate(headers):
        folded = fold(header)
        # Frames need not repeat the names.
        labels = folded.get(key, fold(headers[0]).get(key, "")).split()
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
