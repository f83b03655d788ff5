"""Spectra of ``.mda`` files as array-likes: a chunk is the record of a pixel."""

import sys
from dataclasses import dataclass, replace

import numpy as np

from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.chunks import ChunkedArray, Table
from rsciio_xfm.core.codecs import Decoder, Place
from rsciio_xfm.core.detectors import StackedMaps
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.formats.mda.kernels import add_counts
from rsciio_xfm.formats.mda.layout import MOST_EXACT, VALUE
from rsciio_xfm.formats.mda.parse import Scan

COUNTS = np.dtype(np.uint32)
_IS_LITTLE = sys.byteorder == "little"
_MOST_ADDED = 2**32 // MOST_EXACT - 1  # detectors, of which no sum overflows


@dataclass(frozen=True)
class Record(Decoder):
    """The record of a pixel: the header of a scan, and the spectra of its detectors.

    Attributes
    ----------
    head
        The header of the first one, which those of others are like but for the time.
    time_at
        Range of its bytes that is the time.
    n_channels
        Of a spectrum.
    detectors
        Numbers of those that are added up.
    """

    head: bytes
    time_at: tuple[int, int]
    n_channels: int
    detectors: tuple[int, ...]

    def decode(self, raw: np.ndarray, out: np.ndarray, place: Place) -> None:
        """Check the header, turn float32 into whole numbers, and add detectors up."""
        n_head = len(self.head)
        start, stop = self.time_at
        head = raw[:n_head].tobytes()
        if head[:start] != self.head[:start] or head[stop:] != self.head[stop:]:
            raise CorruptFileError(
                f"{place.name}: the scan of pixel {place.index[:-1]} has another header than "
                f"that of the first one, expected the same detectors and channels (byte "
                f"{place.offset})."
            )
        stored = raw[n_head:].view(VALUE).reshape(-1, self.n_channels)
        counts = out.view(COUNTS)
        words = stored.view(COUNTS)
        is_fast = (
            _IS_LITTLE and words.flags.aligned and len(self.detectors) <= _MOST_ADDED
        )
        if not is_fast or not add_counts(words, np.array(self.detectors), counts):
            self._add_exactly(stored[list(self.detectors)], counts, place)

    def _add_exactly(self, stored: np.ndarray, counts: np.ndarray, place: Place) -> None:
        """Add up what the kernel does not, or say what is wrong with it."""
        found = stored.astype(np.float32)
        most = self._check(found, place)
        total = found.astype(COUNTS).sum(axis=0, dtype=np.uint64)
        if most * len(found) >= 2**32 and total.max() >= 2**32:
            raise OverflowError(
                f"{place.name}: the sum of the detectors does not fit {COUNTS}, expected at "
                f"most {2**32 - 1}: load with sum_detectors=False, or one detector."
            )
        counts[:] = total

    def _check(self, found: np.ndarray, place: Place) -> float:
        """Refuse what are no counts; return the largest."""
        least, most = float(found.min()), float(found.max())
        if not 0 <= least <= most < 2**32 or not np.array_equal(found, np.floor(found)):
            is_wrong = ~((found >= 0) & (found < 2**32) & (found == np.floor(found)))
            row, channel = np.unravel_index(int(is_wrong.argmax()), found.shape)
            number = self.detectors[row]
            at = place.offset + len(self.head)
            at += (number * self.n_channels + int(channel)) * VALUE.itemsize
            raise CorruptFileError(
                f"{place.name}: channel {channel} of detector {number} of pixel "
                f"{place.index[:-1]} is {found[row, channel]:.9g}, expected counts, whole and "
                f"0 or more (byte {at})."
            )
        if most > MOST_EXACT:
            warn(
                f"{place.name}: a channel of pixel {place.index[:-1]} has {most:.0f} counts, "
                f"expected at most {MOST_EXACT}: above, float32 rounds them (byte "
                f"{place.offset})."
            )
        return most


@dataclass(frozen=True, eq=False)
class Spectra(ChunkedArray):
    """Spectra of a detector, or the sums of several."""

    def by_detector(self) -> FileArray | None:
        """Return the same with the detectors apart."""
        record = self.decoder
        if not isinstance(record, Record) or len(record.detectors) < 2:
            return None
        parts = (replace(record, detectors=(i,)) for i in record.detectors)
        return StackedMaps(tuple(replace(self, decoder=part) for part in parts))


def make_spectra(
    source: LocalFile, places: np.ndarray, first: Scan, detectors: tuple[int, ...]
) -> Spectra:
    """Make the array-like over the spectra of detectors, added up.

    Parameters
    ----------
    source
        The file.
    places
        int64, of the shape of the map: where the record of each pixel begins; `NO_CHUNK`
        where there is none.
    first
        One of them.
    detectors
        Numbers.
    """
    shape = (*places.shape, first.n_points)
    chunks = (*(1 for _ in places.shape), first.n_points)
    n_bytes = np.array(first.end - first.at)
    offsets = np.ascontiguousarray(places[..., np.newaxis])
    table = Table((source,), shape, chunks, COUNTS, offsets, n_bytes)
    return Spectra(table, Record(first.head, first.time_at, first.n_points, detectors))
