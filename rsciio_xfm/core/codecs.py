"""What turns the bytes of a chunk into its numbers."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from rsciio_xfm.core.workplace import scratch
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.kernels.lzf import decompress
from rsciio_xfm.kernels.transpose import unshuffle


class Place(NamedTuple):
    """Where a chunk is, for messages.

    Attributes
    ----------
    name
        Of the file.
    index
        Number of the chunk along each axis.
    offset
        Its first byte.
    """

    name: str
    index: tuple[int, ...]  # type: ignore[assignment]  # in place of tuple.index
    offset: int


class Decoder(ABC):
    """Turns the bytes of a chunk into its numbers.

    Its classes are frozen dataclasses, as those of arrays, so that they can be pickled and
    compared.

    Attributes
    ----------
    is_plain
        Whether the bytes are the numbers as they are: then parts of a chunk are read, and
        sums run over the file.
    """

    is_plain: ClassVar[bool] = False

    @abstractmethod
    def decode(self, raw: np.ndarray, out: np.ndarray, place: Place) -> None:
        """Decode a chunk.

        Parameters
        ----------
        raw
            uint8: the bytes in the file.
        out
            uint8: the bytes of the numbers as they are stored, all of which are set.
        place
            For messages.

        Raises
        ------
        CorruptFileError
            The bytes are not those of such a chunk.
        """

    def decode_each(self, chunks: Iterable[tuple[np.ndarray, np.ndarray, Place]]) -> None:
        """Decode chunks one after the other.

        Parameters
        ----------
        chunks
            Of each, what :meth:`decode` is given.
        """
        for raw, out, place in chunks:
            self.decode(raw, out, place)


@dataclass(frozen=True)
class Plain(Decoder):
    """Numbers as they are."""

    is_plain: ClassVar[bool] = True

    def decode(self, raw: np.ndarray, out: np.ndarray, place: Place) -> None:
        """Copy them."""
        check_size(raw.size, out.size, place)
        out[:] = raw


PLAIN = Plain()


@dataclass(frozen=True)
class Padded(Decoder):
    """Numbers as they are, of which the last ones may not be there: they are zeros."""

    def decode(self, raw: np.ndarray, out: np.ndarray, place: Place) -> None:
        """Copy them."""
        if raw.size > out.size:
            check_size(raw.size, out.size, place)
        out[: raw.size] = raw
        out[raw.size :] = 0


@dataclass(frozen=True)
class Deflate(Decoder):
    """Numbers that went through HDF5's filters: shuffled, then deflated, or one of both.

    Attributes
    ----------
    width
        Bytes of a number, if they were shuffled, else 1.
    is_deflated
        Whether they were deflated.
    """

    width: int = 1
    is_deflated: bool = True

    def decode(self, raw: np.ndarray, out: np.ndarray, place: Place) -> None:
        """Inflate them and put the bytes of each number together."""
        try:
            plain = inflate(raw, out.size, place) if self.is_deflated else raw
        except CorruptFileError as error:
            self.decode_damaged(out, place, error)
            return
        check_size(plain.size, out.size, place)
        if self.width > 1:
            unshuffle(plain.reshape(self.width, -1), out.reshape(-1, self.width))
        else:
            out[:] = plain

    def decode_damaged(
        self, out: np.ndarray, place: Place, error: CorruptFileError
    ) -> None:
        """Decode a chunk that cannot be inflated in another way; here there is none.

        Parameters
        ----------
        out, place
            See :meth:`decode`.
        error
            What was found.
        """
        raise error


@dataclass(frozen=True)
class Lzf(Decoder):
    """Numbers that went through h5py's filter LZF, shuffled before or not.

    It leaves chunks as they are that would not become shorter.

    Attributes
    ----------
    width
        Bytes of a number, if they were shuffled, else 1.
    """

    width: int = 1

    def decode(self, raw: np.ndarray, out: np.ndarray, place: Place) -> None:
        """Decompress them and put the bytes of each number together."""
        if self.width == 1:
            self._decompress(raw, out, place)
            return
        with scratch(out.size) as plain:
            self._decompress(raw, plain, place)
            unshuffle(plain.reshape(self.width, -1), out.reshape(-1, self.width))

    @staticmethod
    def _decompress(raw: np.ndarray, out: np.ndarray, place: Place) -> None:
        if raw.size == out.size:
            out[:] = raw
        elif decompress(raw, out) != out.size:
            raise CorruptFileError(
                f"{place.name}: chunk {place.index} cannot be decompressed, expected a stream "
                f"of LZF of {out.size} bytes (byte {place.offset})."
            )


def inflate(raw: np.ndarray, n_bytes: int, place: Place) -> np.ndarray:
    """Decompress a stream of zlib, no more of it than is due, and check its checksum.

    Parameters
    ----------
    raw
        uint8.
    n_bytes
        How many bytes it has when it is decompressed.
    place
        For messages.

    Raises
    ------
    CorruptFileError
        It is no such stream.
    """
    stream = zlib.decompressobj()
    try:
        plain = stream.decompress(raw.data, n_bytes + 1)
    except zlib.error as error:
        raise CorruptFileError(
            f"{place.name}: chunk {place.index} cannot be decompressed ({error}), expected "
            f"a stream of zlib (byte {place.offset})."
        ) from error
    if not stream.eof:
        raise CorruptFileError(
            f"{place.name}: chunk {place.index} has {len(plain)} bytes or more when it is "
            f"decompressed, expected {n_bytes} and an end (byte {place.offset})."
        )
    return np.frombuffer(plain, dtype=np.uint8)


def check_size(found: int, expected: int, place: Place) -> None:
    """Refuse a chunk of another size.

    Parameters
    ----------
    found, expected
        Bytes of its numbers.
    place
        For messages.

    Raises
    ------
    CorruptFileError
        They differ.
    """
    if found != expected:
        raise CorruptFileError(
            f"{place.name}: chunk {place.index} has {found} bytes, expected {expected} (byte "
            f"{place.offset})."
        )
