"""What is sent back: JSON, arrays, errors in words."""

import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

_GZIP = 16 + zlib.MAX_WBITS
JSON, BINARY = "application/json", "application/octet-stream"


@dataclass(frozen=True)
class Answer:
    """What is sent back.

    Attributes
    ----------
    media_type, body, status
        As HTTP has them.
    filename
        Of what is downloaded.
    """

    media_type: str
    body: bytes
    status: int = 200
    filename: str | None = None

    @cached_property
    def gzipped(self) -> bytes:
        """The body, compressed fast: counts are few numbers that seldom repeat in order."""
        pack = zlib.compressobj(1, zlib.DEFLATED, _GZIP, 9, zlib.Z_HUFFMAN_ONLY)
        return pack.compress(self.body) + pack.flush()


class QuestionError(Exception):
    """A question that has no answer, in words for people.

    Attributes
    ----------
    status
        As HTTP has it.
    hint
        What to do.
    again
        Task that has to be asked again, for what it made is not there: ``"fit"`` or
        ``"classify"``.
    """

    def __init__(self, status: int, error: str, hint: str = "", again: str = "") -> None:
        super().__init__(error)
        self.status, self.hint, self.again = status, hint, again

    def answer(self) -> Answer:
        """Return what is sent back."""
        said = {"error": str(self), "hint": self.hint}
        return as_json(said | ({"again": self.again} if self.again else {}), self.status)


def file_is_gone(status: int, name: str) -> QuestionError:
    """Return what is said of a file that was there before."""
    return QuestionError(
        status,
        f"The file is not there any more: {name or 'it'} was deleted, moved or renamed, or "
        "its drive is not connected.",
        "Bring it back, then open it again.",
    )


def is_closed() -> QuestionError:
    """Return what is said to those who ask when all is closed."""
    return QuestionError(503, "The explorer was closed.", "Start it again.")


def as_json(value: Any, status: int = 200) -> Answer:
    """Return a value as JSON; numbers that JSON does not have are null."""
    return Answer(JSON, to_json(value), status)


def to_json(value: Any, indent: int | None = None) -> bytes:
    """Return a value as text of JSON; numbers that JSON does not have are null."""
    plain = _plain(value)
    return _encoded(json.dumps(plain, indent=indent, ensure_ascii=False, allow_nan=False))


def as_binary(arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> Answer:
    """Return arrays with a header: its length, itself, and the arrays, at multiples of 8."""
    named = {name: _little(array) for name, array in arrays.items()}
    described = [
        {"name": name, "dtype": array.dtype.name, "shape": list(array.shape)}
        for name, array in named.items()
    ]
    text = json.dumps(_plain({**header, "arrays": described}), ensure_ascii=False)
    head = _encoded(text)
    head += b" " * (-(4 + len(head)) % 8)
    parts = [struct.pack("<I", len(head)), head]
    for array in named.values():
        parts += [array.tobytes(), b"\0" * (-array.nbytes % 8)]
    return Answer(BINARY, b"".join(parts))


def _encoded(text: str) -> bytes:
    """Return text as UTF-8; what names of files have that is none becomes "?"."""
    return text.encode(errors="replace")


def _little(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
