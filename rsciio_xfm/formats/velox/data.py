"""The counts of a Velox map as an array-like over its streams."""

from typing import Any, ClassVar

import numpy as np

from rsciio_xfm.core.array import Range
from rsciio_xfm.core.runs import DatasetBytes, Stream
from rsciio_xfm.core.stream import Grid, Kernels, Nouns, RecordStream
from rsciio_xfm.formats.velox.count import Index
from rsciio_xfm.formats.velox.kernels import KERNELS
from rsciio_xfm.formats.velox.layout import VALUE


class VeloxArray(RecordStream):
    """Counts of a map, ``(y, x, E)``, or with its frames, ``(frame, y, x, E)``."""

    kernels: ClassVar[Kernels] = KERNELS
    nouns: ClassVar[Nouns] = Nouns(
        summed_over="frames, detectors or channels",
        dtype="SI_dtype",
        record="row of the stream",
    )

    def longest_record(self) -> int:
        """Return the size of a value."""
        return VALUE.itemsize

    @property
    def frames(self) -> Range:
        """Half-open range of the frames that are read."""
        frames = np.flatnonzero(np.array(self.places) >= 0)
        return int(frames[0]), int(frames[-1]) + 1


def velox_array(
    index: Index,
    n_channels: int,
    detectors: tuple[int, ...],
    frames: Range,
    **binning: Any,
) -> VeloxArray:
    """Make the array-like over indexed streams.

    Parameters
    ----------
    index
        Of the file.
    n_channels
        Of the spectra.
    detectors
        Streams to add up.
    frames
        Half-open range of the frames to read.
    **binning
        ``is_summed`` (the frames), ``rebin_energy`` and ``dtype``, see
        :class:`rsciio_xfm.core.stream.RecordStream`.
    """
    streams = [index.streams[i] for i in detectors]
    n_frames, n_rows, n_columns = index.shape
    rebin_energy, n_read = binning["rebin_energy"], frames[1] - frames[0]
    total = None
    # Values beyond the map's last pixel were counted too.
    if frames == (0, n_frames) and all(s.row_start[-1] == s.values.size for s in streams):
        counted = np.sum([s.histogram[:n_channels] for s in streams], axis=0)
        total = counted.reshape(-1, rebin_energy).sum(axis=1).astype(np.uint64)
    places = np.full(n_frames, -1)
    places[slice(*frames)] = 0 if binning["is_summed"] else np.arange(n_read)
    return VeloxArray(
        streams=tuple(Stream(DatasetBytes(s.values), s.runs) for s in streams),
        grid=Grid(n_rows, n_columns, n_channels),
        places=tuple(places.tolist()),
        n_bins=n_channels // rebin_energy,
        total=total,
        **binning,
    )
