"""Spectra of one file for each row and detector, as array-likes over the files."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.chunks import NO_CHUNK, ChunkedArray, Table
from rsciio_xfm.core.codecs import Decoder, Padded, Place
from rsciio_xfm.core.detectors import StackedMaps, SummedMaps
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.edf.fabio_files import opened
from rsciio_xfm.formats.edf.parse import Frame, find_frames
from rsciio_xfm.formats.xia.find import Files

_STORAGE = re.compile(
    rb"^\s*(Dim_1|Dim_2|DataType|ByteOrder)\s*=\s*(\S+?)\s*;", re.MULTILINE
)


@dataclass(frozen=True, eq=False)
class Row(Decoder):
    """A file of spectra, which has to hold the same as those of other rows.

    Attributes
    ----------
    offsets
        int64, shape (rows,): byte at which the numbers begin; `NO_CHUNK`: fabio reads the
        file.
    shape, dtype
        Of the numbers: pixels and channels; as they are stored.
    """

    offsets: np.ndarray
    shape: tuple[int, ...]
    dtype: np.dtype

    def decode(self, raw: np.ndarray, out: np.ndarray, place: Place) -> None:
        """Check the header, and copy what is there of the row; the rest is zeros."""
        offset = int(self.offsets[place.index[0]])
        if offset == NO_CHUNK:
            found = self._read_with_fabio(place.name)
        else:
            self._check_header(place.name, raw[:offset].tobytes())
            found = raw[offset:]
        Padded().decode(found[: out.size], out, place)

    def _read_with_fabio(self, path: str) -> np.ndarray:
        with opened(path) as image:
            data = np.asarray(image.data)
        if data.shape[-1] != self.shape[-1] or data.dtype.newbyteorder("=") != self.dtype:
            raise CorruptFileError(
                f"{path}: the file holds {data.shape} of {data.dtype}, expected {self.shape} "
                f"of {self.dtype} as in the other rows (byte 0)."
            )
        return np.ascontiguousarray(data, dtype=self.dtype).reshape(-1).view(np.uint8)

    def _check_header(self, path: str, header: bytes) -> None:
        """Refuse a file of the usual size that holds something else."""
        fields = dict(_STORAGE.findall(header))
        order: Literal["<", ">"]
        order = "<" if b"low" in fields.get(b"ByteOrder", b"").lower() else ">"
        n_channels, dims = self.shape[-1], (fields.get(b"Dim_1"), fields.get(b"Dim_2"))
        is_same_order = self.dtype.itemsize == 1 or (
            self.dtype == self.dtype.newbyteorder(order)
        )
        kind = fields.get(b"DataType", b"")
        if dims[0] != b"%d" % n_channels or not is_same_order or not self._is_type(kind):
            raise CorruptFileError(
                f"{path}: the header says {dims[1]} x {dims[0]} of {kind!r}, expected "
                f"{self.shape[0]} x {n_channels} of {self.dtype} as in the other rows "
                "(byte 0)."
            )

    def _is_type(self, kind: bytes) -> bool:
        from fabio.edfimage import DATA_TYPES

        known = DATA_TYPES.get(kind.decode("ascii", "replace"))
        return known is not None and np.dtype(known) == self.dtype.newbyteorder("=")


@dataclass(frozen=True)
class Rows:
    """Spectra of the detectors of a map.

    Attributes
    ----------
    maps
        ``(y, x, E)``, one for each detector.
    n_pixels
        int64, shape (detectors, rows): how many pixels of each row are there.
    """

    maps: tuple[ChunkedArray, ...]
    n_pixels: np.ndarray

    def of_all(self, folder: Path, is_summed: bool) -> FileArray:
        """Return the sum of the detectors, or these along a first axis."""
        if not is_summed:
            return StackedMaps(self.maps)
        return self.maps[0] if len(self.maps) == 1 else SummedMaps(self.maps, str(folder))


def find_rows(files: Files, chosen: list[str], first: Frame) -> Rows:
    """Find where the spectra of all rows are."""
    n_rows = files.rows[1] - files.rows[0]
    n_pixels = np.zeros((len(chosen), n_rows), dtype=np.int64)
    maps = []
    for own, key in zip(n_pixels, chosen, strict=True):
        begin = np.zeros(n_rows, dtype=np.int64)
        there = {
            row - files.rows[0]: LocalFile.of(path)
            for row, path in sorted(files.detectors[key].items())
        }
        for row, source in there.items():
            begin[row], own[row] = _place_in(source, first)
        kept = {row: source for row, source in there.items() if own[row]}
        maps.append(_make_map(kept, begin, own, first))
    return Rows(tuple(maps), n_pixels)


def _make_map(
    there: dict[int, LocalFile], begin: np.ndarray, n_pixels: np.ndarray, first: Frame
) -> ChunkedArray:
    """Make the array-like of one detector, of the files of its rows."""
    cells = (len(n_pixels), 1, 1)
    offsets, n_bytes = np.full(cells, NO_CHUNK), np.zeros(cells, dtype=np.int64)
    numbers = np.zeros(cells, dtype=np.int32)
    pixel_bytes = first.shape[1] * first.dtype.itemsize
    for i, (row, source) in enumerate(there.items()):
        offsets[row], numbers[row] = 0, i
        n_bytes[row] = source.size
        if begin[row] != NO_CHUNK:
            n_bytes[row] = begin[row] + n_pixels[row] * pixel_bytes
    shape = (len(n_pixels), *first.shape)
    table = Table(
        tuple(there.values()),
        shape,
        (1, *first.shape),
        first.dtype,
        offsets,
        n_bytes,
        numbers,
    )
    return ChunkedArray(table, Row(begin, first.shape, first.dtype))


def _place_in(source: LocalFile, first: Frame) -> tuple[int, int]:
    """Return where the spectra of a row begin in its file, and how many there are."""
    whole = max(0, first.offset) + math.prod(first.shape) * first.dtype.itemsize
    if source.size == whole and first.offset != NO_CHUNK:
        return first.offset, first.shape[0]
    file = source.name
    try:
        frame = find_frames(Path(file))[0]
    except FileFormatError as exc:
        warn(f"{exc} The row is left out.")
        return 0, 0
    is_same = frame.shape[1:] == first.shape[1:] and frame.dtype == first.dtype
    if len(frame.shape) != 2 or not is_same:
        raise CorruptFileError(
            f"{file}: the file holds {frame.shape} of {frame.dtype}, expected "
            f"{first.shape} of {first.dtype} as in other rows (byte 0)."
        )
    return frame.offset, min(frame.n_rows, first.shape[0])
