"""Spectra of one file for each row and detector, as array-likes over the files."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.chunks import NO_CHUNK, ChunkedArray, Table
from rsciio_xfm.core.codecs import PLAIN, Decoder, Padded, Place
from rsciio_xfm.core.detectors import StackedMaps, SummedMaps
from rsciio_xfm.core.source import LocalFile, Reader
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.edf.fabio_files import opened
from rsciio_xfm.formats.edf.parse import Frame, find_frames
from rsciio_xfm.formats.xia.find import Files

_STORAGE = re.compile(
    rb"^\s*(Dim_1|Dim_2|DataType|ByteOrder)\s*=\s*(\S+?)\s*;", re.MULTILINE
)


@dataclass(frozen=True, eq=False)
class Stored:
    """What a file of spectra has to hold, as those of other rows do.

    Attributes
    ----------
    shape, dtype
        Of the numbers: pixels and channels; as they are stored.
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    def check(self, path: str, header: bytes) -> None:
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
class RowFile(LocalFile):
    """A file of a row that is whole: its spectra are read as they lie behind the header.

    Attributes
    ----------
    offset, stored
        Byte at which the numbers begin, and what they have to be.
    """

    offset: int = field(kw_only=True)
    stored: Stored = field(kw_only=True)

    @contextmanager
    def open(self) -> Iterator[Reader]:
        """Open it, and check its header; see :meth:`Source.open`."""
        with super().open() as reader:
            header = np.empty(self.offset, dtype=np.uint8)
            reader.read(0, header)
            self.stored.check(self.name, header.tobytes())
            yield reader


@dataclass(frozen=True, eq=False)
class Row(Decoder):
    """A file of spectra some of which may not be there, or that fabio reads.

    Attributes
    ----------
    offsets
        int64, shape (rows,): byte at which the numbers begin; `NO_CHUNK`: fabio reads the
        file.
    stored
        What they have to be.
    """

    offsets: np.ndarray
    stored: Stored

    def decode(self, raw: np.ndarray, out: np.ndarray, place: Place) -> None:
        """Check the header, and copy what is there of the row; the rest is zeros."""
        offset = int(self.offsets[place.index[0]])
        if offset == NO_CHUNK:
            found = self._read_with_fabio(place.name)
        else:
            self.stored.check(place.name, raw[:offset].tobytes())
            found = raw[offset:]
        Padded().decode(found[: out.size], out, place)

    def _read_with_fabio(self, path: str) -> np.ndarray:
        with opened(path) as image:
            data = np.asarray(image.data)
        shape, dtype = self.stored.shape, self.stored.dtype
        if data.shape[-1] != shape[-1] or data.dtype.newbyteorder("=") != dtype:
            raise CorruptFileError(
                f"{path}: the file holds {data.shape} of {data.dtype}, expected {shape} "
                f"of {dtype} as in the other rows (byte 0)."
            )
        return np.ascontiguousarray(data, dtype=dtype).reshape(-1).view(np.uint8)


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
    rows, stored = [*there], Stored(first.shape, first.dtype)
    cells = (len(n_pixels), 1, 1)
    offsets, n_bytes = np.full(cells, NO_CHUNK), np.zeros(cells, dtype=np.int64)
    numbers = np.zeros(cells, dtype=np.int32)
    numbers[rows, 0, 0] = np.arange(len(rows))
    files: list[LocalFile] = [*there.values()]
    is_whole = (begin[rows] != NO_CHUNK).all() and (
        n_pixels[rows] == first.shape[0]
    ).all()
    row_bytes = n_pixels * first.shape[1] * first.dtype.itemsize
    decoder: Decoder = PLAIN
    if is_whole:
        offsets[rows, 0, 0], n_bytes[:, 0, 0] = begin[rows], row_bytes
        files = [
            RowFile(file.name, file.version, offset=int(begin[row]), stored=stored)
            for row, file in there.items()
        ]
    else:
        decoder = Row(begin, stored)
        sizes = [file.size for file in files]
        offsets[rows, 0, 0] = 0
        n_bytes[rows, 0, 0] = np.where(
            begin[rows] == NO_CHUNK, sizes, begin[rows] + row_bytes[rows]
        )
    shape = (len(n_pixels), *first.shape)
    chunks = (1, *first.shape)
    table = Table(tuple(files), shape, chunks, first.dtype, offsets, n_bytes, numbers)
    return ChunkedArray(table, decoder)


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
