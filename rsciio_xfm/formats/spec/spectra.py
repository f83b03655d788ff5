"""The spectra of a scan as an array-like over the file."""

from dataclasses import dataclass

import numpy as np

from rsciio_xfm.core.chunks import NO_CHUNK, ChunkedArray, Table
from rsciio_xfm.core.codecs import Decoder, Place
from rsciio_xfm.core.source import Source
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.formats.spec.index import read_whole

_EXACT = 2.0**53


@dataclass(frozen=True)
class Numbers(Decoder):
    """The text of a spectrum.

    Attributes
    ----------
    dtype
        uint16 or uint32 of whole numbers, else float64.
    """

    dtype: np.dtype

    def decode(self, raw: np.ndarray, out: np.ndarray, place: Place) -> None:
        """Parse it."""
        spectrum = out.view(self.dtype)
        if self.dtype.kind == "u":
            n, _, largest = read_whole(raw, spectrum)
            if n == spectrum.size and largest <= np.iinfo(self.dtype).max:
                return
            found = f"{n} whole numbers" if n >= 0 else "other than whole numbers"
        else:
            values = _parse_real(raw, place)
            if values.size == spectrum.size:
                spectrum[:] = values
                return
            found = f"{values.size} numbers"
        raise CorruptFileError(
            f"{place.name}: a spectrum holds {found}, expected {spectrum.size} of "
            f"{self.dtype} as in the others of its scan (byte {place.offset})."
        )


def _parse_real(raw: np.ndarray, place: Place) -> np.ndarray:
    """Parse numbers that are not all whole ones."""
    words = raw.tobytes().replace(b"\\", b" ").split()
    try:
        if any(b"_" in word for word in words):  # Python takes it in numbers
            raise ValueError("an underscore")
        values = np.array(words, dtype=np.float64)
    except ValueError as exc:
        raise CorruptFileError(
            f"{place.name}: a spectrum holds what is no number: {exc} (byte {place.offset})."
        ) from exc
    if (np.abs(values) >= _EXACT).any():
        raise OverflowError(
            f"{place.name}: a spectrum holds numbers above {_EXACT:.0f}, expected such as "
            f"float64 holds exactly (byte {place.offset})."
        )
    return values


def make_source(
    file: Source, places: tuple[np.ndarray, np.ndarray], n_channels: int, dtype: np.dtype
) -> ChunkedArray:
    """Make the array-like over spectra of one detector, each of which is a chunk.

    Parameters
    ----------
    file
        The file.
    places
        int64, shape of the map: bytes at which the text of each spectrum begins and ends; -1
        where there is none.
    n_channels, dtype
        Of the spectra.
    """
    starts, stops = places
    shape = (*starts.shape, n_channels)
    chunks = (1,) * starts.ndim + (max(1, n_channels),)
    table = Table(
        (file,),
        shape,
        chunks,
        dtype,
        np.where(starts < 0, NO_CHUNK, starts)[..., np.newaxis],
        (stops - starts)[..., np.newaxis],
    )
    return ChunkedArray(table, Numbers(dtype))
