"""How the chunks of an array are encoded, by numcodecs and zlib."""

import zlib
from typing import Any

import numpy as np

from rsciio_xfm.core.extras import require
from rsciio_xfm.exceptions import CorruptFileError

EXTRA = "datastack"
# Inflated here, as far as a chunk is long.
_ZLIB = {"zlib", "gzip"}
# By how much what is stored of a chunk can grow at most, by what the codecs can express.
_MOST_GROWTH = {None: 1, "gzip": 1100, "zlib": 1100, "lz4": 260}
_MOST_GROWTH_OF_OTHERS = 10**6  # zstd, and Blosc with it: runs of zeros
DECODERS = ("blosc", "zstd", "lz4", *sorted(_ZLIB))


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


def decode_chunk(
    path: str, name: str, codec: dict[str, Any] | None, raw: np.ndarray, chunk: np.ndarray
) -> None:
    """Decode a chunk.

    Parameters
    ----------
    path, name
        Of the file and of the chunk, for messages.
    codec
        See :class:`Definition`.
    raw
        uint8, as it is in the file.
    chunk
        uint8, C-contiguous: where it goes, as long as it has to be.

    Raises
    ------
    CorruptFileError
        It cannot be decoded, or not to this length.
    """
    try:
        n_bytes = _decode(codec, raw, chunk)
    except ImportError:
        raise
    # numcodecs raises RuntimeError and ValueError for what its libraries report.
    except (ArithmeticError, RuntimeError, TypeError, ValueError, zlib.error) as exc:
        raise CorruptFileError(
            f"{path}: {name} cannot be decoded by {codec and codec['id']}: {exc}. Expected "
            f"{chunk.size} bytes from its {raw.size} (byte 0 of it)."
        ) from exc
    if n_bytes != chunk.size:
        raise CorruptFileError(
            f"{path}: {name} holds {n_bytes} bytes, expected {chunk.size}, the size of a "
            "chunk (byte 0 of it)."
        )


def _decode(codec: dict[str, Any] | None, raw: np.ndarray, chunk: np.ndarray) -> int:
    """Decode without taking more memory than a chunk; return how many bytes there were."""
    if codec is None:
        chunk[: raw.size] = raw[: chunk.size]
        return raw.size
    kind = codec["id"]
    if kind in _ZLIB:
        inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
        inflated = inflater.decompress(raw, chunk.size + 1)
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
