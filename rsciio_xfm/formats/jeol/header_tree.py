"""The tree of a header: names, and values of a few types, as all of JEOL's files have it.

An entry is a mark (1), the length of its name, the name, its type, the length of its value,
and the value; entries within it follow until a mark that is another one.
"""

import struct
from typing import Any

import numpy as np

from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError, TruncatedFileError

_ENTRY, _END = 1, -1
_MARK = struct.Struct("<b")
_LENGTH = struct.Struct("<i")
_TYPE = struct.Struct("<ii")
# By the number of a type; those of text are lists that zeros separate.
_NUMBERS = {
    1: "u1",
    2: "<u2",
    3: "<i4",
    4: "<f4",
    5: "<f8",
    6: "u1",
    7: "<u2",
    8: "<i4",
    9: "<f4",
    10: "<f8",
    11: "?",
    14: "<u2",
    65552: "?",
    65553: "?",
}
_GROUP, _INDEX, _TEXTS = 0, 14, (12, 13, 20)
# Values that have entries within them: the name of the value.
_WITH_VALUE = ("CountRate", "DeadTime")
_PORT = b"\xce\xdf\xb0\xc4"  # in half-width Katakana
_STRAY = 0xDE  # a byte that follows some names and is no part of them
# This entry stands within a number, which is no group; what it means is not known.
_SKIPPED = "Limits"
_MOST_NAME, _MOST_DEPTH, _MOST_ENTRIES = 256, 32, 100_000
_CUT = "The file is cut, or damaged."


def read_tree(name: str, raw: bytes, offset: int, n_bytes: int) -> dict[str, Any]:
    """Read a tree.

    Parameters
    ----------
    name
        Of the file, for messages.
    raw
        Bytes that begin with the tree.
    offset
        Byte of the file at which they begin.
    n_bytes
        That the tree should have.

    Returns
    -------
    dict
        As RosettaSciIO's reader has it: numpy's numbers and arrays, and text.

    Raises
    ------
    FileFormatError
        An entry cannot be one, or there are more than any file has.
    TruncatedFileError
        The bytes end within the tree.

    Warns
    -----
    UserWarning
        The tree is not as long as it should be.
    """
    cursor = _Cursor(name, raw, offset)
    root: dict[str, Any] = {}
    path: list[Any] = [root]  # the groups that are open
    for _ in range(_MOST_ENTRIES):
        mark = cursor.unpack(_MARK)[0]
        if mark != _ENTRY:
            path.pop()
            if not path or mark != _END:
                cursor.check_end(n_bytes)
                return root
            continue
        path.append(_read_entry(cursor, path[-1]))
        if len(path) > _MOST_DEPTH:
            cursor.refuse(f"{len(path)} groups are open", f"at most {_MOST_DEPTH}")
    return cursor.refuse(f"more than {_MOST_ENTRIES} entries", "fewer")


def _read_entry(cursor: "_Cursor", group: Any) -> Any:
    """Read an entry into its group; return what the entries within it go to."""
    n_bytes = cursor.unpack(_LENGTH)[0]
    if not 0 <= n_bytes <= _MOST_NAME:
        cursor.refuse(f"a name has {n_bytes} bytes", f"0 to {_MOST_NAME}", -4)
    key = _decode_name(cursor.take(n_bytes).rstrip(b"\0"))
    kind, n_bytes = cursor.unpack(_TYPE)
    if key == _SKIPPED:
        cursor.take(max(0, n_bytes))
        return group
    if not isinstance(group, dict):
        cursor.refuse(f"{key!r} is within a number or text", "a group")
    if kind == _GROUP:
        group[key] = {}
        return group[key]
    if kind not in _NUMBERS and kind not in _TEXTS:
        cursor.refuse(f"the type of {key!r} is {kind}", f"one of {sorted(_NUMBERS)}", -8)
    if n_bytes < 0:
        cursor.refuse(f"{key!r} has {n_bytes} bytes", "0 or more", -4)
    raw = cursor.take(n_bytes)
    value = _read_text(raw) if kind in _TEXTS else _read_numbers(raw, _NUMBERS[kind])
    if key[-5:-1] == "PAGE":
        key, value = f"{key}_{value}", {}
    elif key in _WITH_VALUE:
        value = {"value": value}
    elif kind == _INDEX:
        value = {"index": value}
    group[key] = value
    return value


def _read_numbers(raw: bytes, name: str) -> Any:
    dtype = np.dtype(name)
    n = len(raw) // dtype.itemsize
    found = np.frombuffer(raw, dtype=dtype, count=n).astype(dtype.newbyteorder("="))
    return found[0] if n == 1 else found


def _read_text(raw: bytes) -> str | list[str]:
    found = decode(raw.rstrip(b"\0")).split("\0")
    return found[0] if len(found) == 1 else found


def _decode_name(raw: bytes) -> str:
    if raw == _PORT:
        return "Port"
    return decode(raw[:-1] if raw and raw[-1] == _STRAY else raw)


def decode(raw: bytes) -> str:
    """Return text, of which some is in the encoding of a Japanese Windows."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("shift_jis", errors="replace")


class _Cursor:
    """Bytes of a tree, and how many of them are read."""

    def __init__(self, name: str, raw: bytes, offset: int) -> None:
        self._name, self._raw, self._offset, self._at = name, raw, offset, 0

    def take(self, n_bytes: int) -> bytes:
        """Return the next bytes."""
        found = self._raw[self._at : self._at + n_bytes]
        if len(found) < n_bytes:
            place = self._offset + self._at
            raise TruncatedFileError(
                f"{self._name}: {n_bytes} bytes of the header are expected here, found "
                f"{len(found)} (byte {place}). {_CUT}"
            )
        self._at += n_bytes
        return found

    def unpack(self, form: struct.Struct) -> tuple[int, ...]:
        """Return the next numbers."""
        return form.unpack(self.take(form.size))

    def check_end(self, n_bytes: int) -> None:
        """Warn if another number of bytes was read."""
        if self._at != n_bytes:
            warn(
                f"{self._name}: the header's tree ends at byte {self._offset + self._at}, "
                f"expected byte {self._offset + n_bytes}. It may be damaged: check what is "
                "read."
            )

    def refuse(self, found: str, expected: str, back: int = 0) -> Any:
        """Raise the error of an entry that cannot be one."""
        raise FileFormatError(
            f"{self._name}: {found} in the header, expected {expected} (byte "
            f"{self._offset + self._at + back}). The file is damaged, or of a variant that is "
            "not known."
        )
