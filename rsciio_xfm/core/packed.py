"""What is kept of a signal as one value of a header that is text: axes and metadata."""

import base64
import binascii
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.eds import keep_dead_time_with_its_class
from rsciio_xfm.core.tree import decode_signal, digest, encode_signal
from rsciio_xfm.core.warning import warn

EXTRA = "rsciio_xfm"  # the key
_VERSION = 1
_MOST_UNPACKED = 2**26  # bytes
# Instead of what is too long: it tells that the file was written here.
LEFT_OUT = "left_out"


def pack(
    path: Path, signal: dict[str, Any], axes: list[dict[str, Any]], most_bytes: int
) -> str | None:
    """Turn all of a signal but its data into one value of a header.

    Parameters
    ----------
    path
        Of the file, for warnings.
    signal
        Dictionary of a signal, as HyperSpy passes it to a writer.
    axes
        Of it, in the order of the array's axes.
    most_bytes
        That the header has room for.

    Returns
    -------
    str or None
        Letters, digits, ``+/=`` only; None, with a warning, if it is too long.
    """
    text, arrays = encode_signal(path, signal, axes)
    tree = {
        "version": _VERSION,
        "signal": text.tobytes().decode("utf-8"),
        "sha256": digest(text, arrays),
        "arrays": [
            [
                a.dtype.str,
                a.shape,
                base64.b64encode(np.ascontiguousarray(a).data).decode(),
            ]
            for a in arrays
        ],
    }
    raw = json.dumps(tree).encode("utf-8")
    packed = base64.b64encode(zlib.compress(raw, 9)).decode()
    if len(packed) > most_bytes or len(raw) > _MOST_UNPACKED:
        warn(
            f"{path}: axes and metadata take {len(packed)} bytes, {len(raw)} unpacked, "
            f"expected at most {most_bytes} and {_MOST_UNPACKED} in its header: they are left "
            "out. Save as .emd or .hspy to keep them."
        )
        return None
    return packed


def restore(
    path: Path, packed: str | None, shape: tuple[int, ...]
) -> dict[str, Any] | None:
    """Return what :func:`pack` made; None if there is nothing or damage (with a warning)."""
    if packed is None or packed == LEFT_OUT:
        return None
    try:
        stream = zlib.decompressobj()
        raw = stream.decompress(base64.b64decode(packed, validate=True), _MOST_UNPACKED)
        if stream.unconsumed_tail or not stream.eof:
            raise ValueError("it is too long, or cut")
        tree = json.loads(raw)
        if tree["version"] > _VERSION:
            raise ValueError(f"it is of version {tree['version']}")
        arrays = [
            np.frombuffer(base64.b64decode(data), dtype=np.dtype(dtype)).reshape(size)
            for dtype, size, data in tree["arrays"]
        ]
        text = np.frombuffer(tree["signal"].encode("utf-8"), np.uint8)
        saved = decode_signal(text, arrays, tree["sha256"], shape)
    except (
        binascii.Error,
        KeyError,
        RecursionError,
        TypeError,
        ValueError,
        zlib.error,
    ) as exc:
        warn(
            f"{path}: {EXTRA} in the header cannot be read: {exc}. Expected what was "
            "saved with the data: axes and metadata are those of the rest of the header."
        )
        return None
    return saved | {"post_process": [keep_dead_time_with_its_class]}
