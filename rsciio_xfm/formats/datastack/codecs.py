"""How the chunks of an array are encoded, by numcodecs and zlib."""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsciio_xfm.core.codecs import Decoder, Place
from rsciio_xfm.core.extras import require
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.formats.datastack.index import Member, unwrap
from rsciio_xfm.formats.datastack.parse import Definition

EXTRA = "datastack"
# Inflated here, as far as a chunk is long.
_ZLIB = {"zlib", "gzip"}
# By how much what is stored of a chunk can grow at most, by what the codecs can express.
_MOST_GROWTH = {None: 1, "gzip": 1100, "zlib": 1100, "lz4": 260}
_MOST_GROWTH_OF_OTHERS = 10**6  # zstd, and Blosc with it: runs of zeros


def can_grow_to(codec: dict[str, Any] | None, n_stored: int, n_bytes: int) -> bool:
    """Tell whether so many bytes can be stored in so few."""
    kind = None if codec is None else codec["id"]
    growth = _MOST_GROWTH.get(kind, _MOST_GROWTH_OF_OTHERS)
    return n_bytes <= growth * n_stored + 2**16


def encode_chunk(codec: Any, chunk: np.ndarray) -> bytes:
    """Encode a chunk.

    Parameters
    ----------
    codec
        Of numcodecs; None leaves it as it is.
    chunk
        C-contiguous, in the byte order of the file.
    """
    return chunk.tobytes() if codec is None else bytes(codec.encode(chunk))


# What a directory says of a chunk, see :class:`~rsciio_xfm.formats.datastack.index.Member`.
ENTRY_OF_CHUNK = np.dtype(
    [
        ("offset", "i8"),
        ("size", "i8"),
        ("n_bytes", "i8"),
        ("crc", "u4"),
        ("is_deflated", "?"),
        ("span", "i8"),
    ]
)


@dataclass(frozen=True, eq=False)
class ZarrChunks(Decoder):
    """Chunks of zarr with the header that each has as a file of a zip.

    Attributes
    ----------
    array
        Its description.
    entries
        Of each chunk, of `ENTRY_OF_CHUNK`.

    Notes
    -----
    A chunk that is not compressed is read as a whole too, as its checksum is that of all.
    """

    array: Definition
    entries: np.ndarray

    def decode(self, raw: np.ndarray, out: np.ndarray, place: Place) -> None:
        """Check the file of a zip, and decode what it holds."""
        array = self.array
        index = place.index[::-1] if array.order == "F" else place.index
        member = Member(*self.entries[index].item())
        name = array.key(index if array.shape else ())
        # A little more than the chunk: what cannot be compressed grows.
        if member.n_bytes > 2 * array.chunk_bytes + 2**16:
            raise CorruptFileError(
                f"{place.name}: {name} has {member.n_bytes} bytes, expected those of a chunk "
                f"of {array.chunk_bytes} (byte {member.offset})."
            )
        content = unwrap(raw, place.name, name, member)
        try:
            n_bytes = _decode(array.codec, content, out)
        except ImportError:
            raise
        # numcodecs raises RuntimeError and ValueError for what its libraries report.
        except (ArithmeticError, RuntimeError, TypeError, ValueError, zlib.error) as exc:
            raise CorruptFileError(
                f"{place.name}: {name} cannot be decoded by "
                f"{array.codec and array.codec['id']}: {exc}. Expected {out.size} bytes from "
                f"its {content.size} (byte {member.offset})."
            ) from exc
        if n_bytes != out.size:
            raise CorruptFileError(
                f"{place.name}: {name} holds {n_bytes} bytes, expected {out.size}, the size "
                f"of a chunk (byte {member.offset})."
            )


def _decode(codec: dict[str, Any] | None, raw: np.ndarray, chunk: np.ndarray) -> int:
    """Decode without taking more memory than a chunk; return how many bytes there were."""
    if codec is None:
        chunk[: raw.size] = raw[: chunk.size]
        return raw.size
    kind = codec["id"]
    if kind in _ZLIB:
        inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
        inflated = inflater.decompress(raw.data, chunk.size + 1)
        n_bytes = len(inflated)
        chunk[:n_bytes] = np.frombuffer(inflated, np.uint8)[: chunk.size]
        return n_bytes
    numcodecs = require("numcodecs", EXTRA)
    # The libraries fill what they get, and Blosc reads beyond the end of its input.
    n_bytes = _claimed_bytes(kind, raw[:18].tobytes())
    if kind == "blosc" and (size := int.from_bytes(raw[12:16], "little")) != raw.size:
        raise ValueError(f"its header says that it is of {size} bytes")
    if n_bytes == chunk.size:
        numcodecs.get_codec({"id": kind}).decode(raw, out=chunk)
    return n_bytes


def _claimed_bytes(kind: str, head: bytes) -> int:
    """Return how many bytes an encoded chunk makes by its header."""
    if kind != "zstd":  # RFC 8878, 3.1.1.1
        first, length = {"blosc": (4, 4), "lz4": (0, 4)}[kind]
        more = 0
    else:
        descriptor = head[4] if len(head) > 4 else 0  # of no size
        is_single = bool(descriptor & 32)
        length = (int(is_single), 2, 4, 8)[descriptor >> 6]
        first = 5 + (not is_single) + (0, 1, 2, 4)[descriptor & 3]
        more = 256 if length == 2 else 0
    if length == 0 or len(head) < first + length:
        raise ValueError("its header does not say its size")
    return int.from_bytes(head[first : first + length], "little") + more
