"""The counts of a ``.bcf`` map as an array-like over the file."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from rsciio_xfm.core.array import FileArray, Range
from rsciio_xfm.core.detectors import StackedMaps
from rsciio_xfm.core.runs import Stream
from rsciio_xfm.core.stream import Grid, Kernels, Nouns, RecordStream
from rsciio_xfm.formats.bruker.container import read_part
from rsciio_xfm.formats.bruker.index import Data, Index, Shape, describe_record
from rsciio_xfm.formats.bruker.kernels import KERNELS, RECORD_BYTES, DownsampledBox


@dataclass(frozen=True, eq=False)
class BrukerArray(RecordStream):
    """Counts of a map, ``(y, x, E)``, the sum of its detectors.

    Attributes
    ----------
    longest
        Bytes of the longest record.
    downsample
        How many pixels, down and across, are one of the array.
    """

    kernels: ClassVar[Kernels] = KERNELS
    nouns: ClassVar[Nouns] = Nouns(
        summed_over="pixels or detectors", dtype="dtype", record="record of the map"
    )

    longest: int = RECORD_BYTES
    downsample: int = 1

    def longest_record(self) -> int:
        """Return the length of the longest record."""
        return self.longest

    def box(self, ranges: tuple[Range, ...] | None = None) -> Any:
        """Return a part of the map as kernels want it, with how many pixels are one."""
        return DownsampledBox(*super().box(ranges), self.downsample)  # type: ignore[call-arg]

    def by_detector(self) -> FileArray | None:
        """Return the detectors along a first axis."""
        if len(self.streams) == 1:
            return None
        parts = (replace(self, streams=(one,), total=None) for one in self.streams)
        return StackedMaps(tuple(parts))

    def describe_damage(self, stream: Stream, status: int, position: int) -> str:
        """Return what is wrong with a record."""
        raw = read_part(stream.data, position, RECORD_BYTES)
        problem = describe_record(raw, status, self.grid.n_channels)
        return f"{problem} (byte {stream.data.byte_of(position)})"


def bruker_array(
    shape: Shape,
    streams: list[tuple[Data, Index]],
    n_bins: int,
    downsample: int,
    dtype: np.dtype,
) -> BrukerArray:
    """Make the array-like over indexed streams, whose counts are added up.

    Parameters
    ----------
    shape
        Of each of them.
    streams
        Of the detectors.
    n_bins
        Channels of the array; those that the file does not have are zero.
    downsample
        How many pixels, down and across, are one of the array.
    dtype
        An unsigned integer.
    """
    n_rows, n_columns = (-(-n // downsample) for n in (shape.n_rows, shape.n_columns))
    total = np.zeros(max(n_bins, shape.n_channels), dtype=np.uint64)
    for _, index in streams:
        total[: index.total.size] += index.total
    return BrukerArray(
        streams=tuple(Stream(data, index.runs(downsample)) for data, index in streams),
        grid=Grid(n_rows, n_columns, shape.n_channels),
        places=(0,),
        is_summed=True,
        rebin_energy=1,
        n_bins=n_bins,
        dtype=dtype,
        total=total[:n_bins],
        longest=max(index.longest for _, index in streams),
        downsample=downsample,
    )


def smallest_dtype(highest: int) -> np.dtype:
    """Return the smallest unsigned integer that holds a count."""
    return np.dtype(np.min_scalar_type(highest))
