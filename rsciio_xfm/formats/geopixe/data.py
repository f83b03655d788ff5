"""The counts of a ``.GeoPIXE`` map as an array-like over the file."""

from typing import Any, ClassVar

import numpy as np

from rsciio_xfm.core.runs import FileBytes, Stream
from rsciio_xfm.core.source import Source
from rsciio_xfm.core.stream import Grid, Kernels, Nouns, RecordStream
from rsciio_xfm.formats.geopixe.index import Index
from rsciio_xfm.formats.geopixe.kernels import ENTRY_BYTES, KERNELS, RECORD_BYTES
from rsciio_xfm.formats.geopixe.layout import ENTRY, RECORD
from rsciio_xfm.formats.geopixe.parse import Header


class GeoPIXEArray(RecordStream):
    """Counts of a map: ``(y, x, E)``, or ``(detector, y, x, E)`` if not summed."""

    kernels: ClassVar[Kernels] = KERNELS
    nouns: ClassVar[Nouns] = Nouns(
        summed_over="detectors or channels", dtype="dtype", record="record of the map"
    )

    def longest_record(self) -> int:
        """Return the length of a record with counts in all channels."""
        return RECORD_BYTES + ENTRY_BYTES * self.grid.n_channels

    def by_detector(self) -> "GeoPIXEArray | None":
        """Return the same, not summed."""
        return self.unsummed() if self.is_summed else None

    def file_bytes(self) -> int:
        """Return the size of the file."""
        return self.streams[0].data.source.size

    def describe_damage(self, stream: Stream, status: int, position: int) -> str:
        """Return which of the channels of a record do not ascend."""
        n_channels = self.grid.n_channels
        found, at = _find_wrong_channel(stream.data.source, position, n_channels)
        return (
            f"the channels of a record are {found}, expected ascending channels less than "
            f"{n_channels}, the header's Chan (byte {at})"
        )


def geopixe_array(
    header: Header,
    index: Index,
    detectors: tuple[int, ...] | None = None,
    is_summed: bool = False,
    **binning: Any,
) -> GeoPIXEArray:
    """Make the array-like over an indexed file, by default over all that it holds.

    Parameters
    ----------
    header, index
        Of the file.
    detectors
        Those to read; None is all.
    is_summed
        Sum them, or keep them along the first axis.
    **binning
        ``rebin_energy``, ``n_bins`` and ``dtype``, see
        :class:`rsciio_xfm.core.stream.RecordStream`.
    """
    places = np.full(header.n_detectors, -1)
    chosen = list(range(header.n_detectors) if detectors is None else detectors)
    places[chosen] = 0 if is_summed else np.arange(len(chosen))
    whole: dict[str, Any] = {
        "rebin_energy": 1,
        "n_bins": header.n_channels,
        "dtype": np.dtype(np.uint16),
    }
    return GeoPIXEArray(
        streams=(Stream(FileBytes(header.source), index.runs),),
        grid=Grid(header.n_rows, header.n_columns, header.n_channels),
        places=tuple(places.tolist()),
        is_summed=is_summed,
        **whole | binning,
    )


def _find_wrong_channel(
    source: Source, position: int, n_channels: int
) -> tuple[str, int]:
    """Return what is wrong with the channels of a record, and at which byte."""
    head = np.empty(RECORD_BYTES, np.uint8)
    with source.open() as reader:
        reader.read(position, head)
        raw = np.empty(int(head.view(RECORD)["length"][0]) - RECORD_BYTES, np.uint8)
        reader.read(position + RECORD_BYTES, raw)
    channels = raw.view(ENTRY)["channel"].astype(np.int64)
    is_wrong = (channels >= n_channels) | (np.diff(channels, prepend=-1) <= 0)
    wrong = int(np.flatnonzero(is_wrong)[0])
    found = ", ".join(str(c) for c in channels[max(0, wrong - 1) : wrong + 1])
    return f"..., {found}, ...", position + RECORD_BYTES + wrong * ENTRY_BYTES
