"""Spectra that lie in a file as images, one of each channel: an array-like over the file."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from rsciio_xfm.core.array import PIECE_BYTES, FileArray, Range
from rsciio_xfm.core.source import check_unchanged, open_unbuffered, read_into
from rsciio_xfm.core.wide import add_exactly, check_unsigned, sum_exactly
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.kernels.transpose import transpose


@dataclass(frozen=True)
class RawImages(FileArray):
    """A map, ``(y, x, E)``, or a line, ``(x, E)``, that lies in its file channels first.

    Attributes
    ----------
    path, identity, data_offset, shape, stored_dtype
        See :class:`rsciio_xfm.core.raw_map.RawMap`.
    """

    path: str
    identity: tuple[int, ...]
    data_offset: int
    shape: tuple[int, ...]
    stored_dtype: np.dtype

    @property
    def dtype(self) -> np.dtype:
        """Of the numbers, in the byte order of this machine."""
        return self.stored_dtype.newbyteorder("=")

    def row_axis(self) -> int:
        """Return the first axis: a range of rows is a run of bytes of each image."""
        return 0

    def file_bytes(self) -> int:
        """Return the size of the array."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Read a block; see :meth:`ArrayLike.read`."""
        *inner, channels = ranges
        shape = [stop - start for start, stop in ranges]
        images = self.read_images(channels, *inner).reshape(shape[-1], -1)
        spectra = np.empty((images.shape[1], shape[-1]), dtype=self.dtype)
        transpose(images, spectra)
        return spectra.reshape(shape)

    def sum_navigation(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum each image of a block; see :meth:`FileArray.sum_navigation`."""
        total = np.zeros(ranges[-1][1] - ranges[-1][0], dtype=np.uint64)
        for place, images in self._images_of(ranges):
            total[place] = sum_exactly(images.reshape(len(images), -1), 1)
        return total

    def sum_signal(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Sum the images of a block; see :meth:`FileArray.sum_signal`."""
        total = np.zeros([stop - start for start, stop in ranges[:-1]], dtype=np.uint64)
        for _, images in self._images_of(ranges):
            add_exactly(total, sum_exactly(images, 0).reshape(total.shape), self.path)
        return total

    def _images_of(self, ranges: tuple[Range, ...]) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield some channels at a time of a block, and which of its channels they are."""
        check_unsigned(self.dtype)
        *inner, (first, last) = ranges
        image_bytes = math.prod(b - a for a, b in inner) * self.dtype.itemsize
        n_at_once = max(1, PIECE_BYTES // max(1, image_bytes))
        for start in range(first, last, n_at_once):
            stop = min(start + n_at_once, last)
            images = self.read_images((start, stop), *inner)
            yield slice(start - first, stop - first), images

    def read_images(
        self, channels: Range, rows: Range | None = None, columns: Range | None = None
    ) -> np.ndarray:
        """Read images, or a part of each, as they are ordered: ``(E, y, x)``."""
        height, width = self._size()
        rows = rows or (0, height)
        columns = columns or (0, width)
        shape = [stop - start for start, stop in (channels, rows, columns)]
        images = np.empty(shape, dtype=self.stored_dtype)
        if images.size:
            with open_unbuffered(self.path) as file:
                check_unchanged(file, self.path, self.identity)
                for i, channel in enumerate(range(*channels)):
                    self._read_image(file, channel, rows, columns, images[i])
        return images.astype(self.dtype, copy=False)

    def _size(self) -> tuple[int, int]:
        """Return height and width of an image; that of a line has one column."""
        height, width = (*self.shape[:-1], 1)[:2]
        return height, width

    def _read_image(
        self,
        file: BinaryIO,
        channel: int,
        rows: Range,
        columns: Range,
        image: np.ndarray,
    ) -> None:
        """Read a part of an image, at once if it is of whole rows."""
        height, width = self._size()
        flat = image.reshape(-1).view(np.uint8)
        at, n_runs = (channel * height + rows[0]) * width + columns[0], len(image)
        if image.shape[1] == width:
            n_runs = 1
        n_bytes = flat.size // n_runs
        for i in range(n_runs):
            start = self.data_offset + (at + i * width) * self.dtype.itemsize
            n_read = read_into(
                file, start, flat[i * n_bytes : (i + 1) * n_bytes], n_bytes
            )
            if n_read < n_bytes:
                raise CorruptFileError(
                    f"{self.path}: the file ends here, expected {n_bytes - n_read} bytes "
                    f"more (byte {start + n_read}). It was cut since it was opened."
                )
