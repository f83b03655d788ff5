"""Changing a JSON header where it must change, and nowhere else.

A header that is parsed and written again loses all values but one of keys that stand more
than once (``"Detector"`` does) and the form of its numbers. So the text is edited.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.atomic import CREATOR
from rsciio_xfm.formats.geopixe.layout import HEADER_LENGTH
from rsciio_xfm.formats.geopixe.parse import FILE

DETECTOR = "Detector"
_MARK = "Written by"
MAX_HEADER_BYTES = int(np.iinfo(HEADER_LENGTH).max)

_SPACE = " \t\n\r"
_decoder = json.JSONDecoder()


@dataclass(frozen=True)
class _Member:
    """A key and its value in the text of an object: where the key, and the value, are."""

    key: str
    start: int
    value_start: int
    stop: int


def edit_header(text: str, changes: dict[str, dict[str, Any]]) -> str:
    """Change fields of a header; all else stays as it is, character by character.

    Parameters
    ----------
    text
        The header, JSON that was parsed before.
    changes
        For each section of the header (``"File Header"``) the fields to be changed and their
        new values. What is not there is added at the start; None removes a field.

    Examples
    --------
    >>> text = '{"File Header": {"Xres": 20, "Chan": 4096}}'
    >>> edit_header(text, {"File Header": {"Xres": 5}})
    '{"File Header": {"Xres": 5, "Chan": 4096}}'
    """
    for section, fields in changes.items():
        if not any(m.key == section for m in _members(text, _skip(text, 0))):
            text = _insert(text, _skip(text, 0), section, {})
        for name, value in fields.items():
            (place, *_) = (m for m in _members(text, _skip(text, 0)) if m.key == section)
            if text[place.value_start] != "{":  # null, say
                text = text[: place.value_start] + "{}" + text[place.stop :]
            text = _set_field(text, place.value_start, name, value)
    return text


def is_original(path: Path) -> bool:
    """Tell whether a file is a GeoPIXE map that was not written here.

    Parameters
    ----------
    path
        Of a file. One of which the header is damaged is an original too.
    """
    with open(path, "rb") as file:
        header = file.read(HEADER_LENGTH.itemsize + MAX_HEADER_BYTES)
    length = int.from_bytes(header[: HEADER_LENGTH.itemsize], "little")
    text = header[HEADER_LENGTH.itemsize :][:length]
    if not text.lstrip().startswith(b"{"):
        return False
    try:
        fields = json.loads(text).get(FILE)
    except (RecursionError, ValueError):
        return True
    return not isinstance(fields, dict) or fields.get(_MARK) != CREATOR


def keep_detectors(text: str, kept: list[int], n_detectors: int) -> str:
    """Leave the ``"Detector"`` entries of some detectors, in their order.

    Parameters
    ----------
    text
        The header.
    kept
        Detectors to keep, in the order that they are to have.
    n_detectors
        Of the map. If there is not one entry for each, none is removed.
    """
    members = list(_members(text, _skip(text, 0)))
    entries = [i for i, m in enumerate(members) if m.key == DETECTOR]
    if len(entries) != n_detectors:
        return text
    values = [text[members[i].value_start : members[i].stop] for i in entries]
    # From the last one on, so that what comes before stays where it is.
    for n, i in reversed(list(enumerate(entries))):
        if n < len(kept):
            member = members[i]
            text = text[: member.value_start] + values[kept[n]] + text[member.stop :]
        else:
            text = _remove(text, members, i)
            members = list(_members(text, _skip(text, 0)))
    return text


def dump_header(tree: dict[str, Any]) -> str:
    """Write a header as the instrument does, lists of objects as keys that are repeated.

    Returns
    -------
    str
        JSON, indented with tabs, ASCII only.
    """
    members = []
    for key, value in tree.items():
        is_repeated = isinstance(value, list) and all(isinstance(v, dict) for v in value)
        for one in value if is_repeated else [value]:
            text = json.dumps(one, indent="\t", default=_to_python)
            members.append(f"\t{json.dumps(key)}: " + text.replace("\n", "\n\t"))
    return "{\n" + ",\n".join(members) + "\n}"


def encode_header(text: str, path: str | Path) -> bytes:
    """Return a header as the first bytes of a file, its length before it.

    Its first field says that the file was written here; the longest headers have no room
    for that.

    Raises
    ------
    ValueError
        It is longer than the format allows.
    """
    marked = edit_header(text, {FILE: {_MARK: CREATOR}}).encode("utf-8")
    header = marked if len(marked) <= MAX_HEADER_BYTES else text.encode("utf-8")
    if len(header) > MAX_HEADER_BYTES:
        raise ValueError(
            f"{path}: the header has {len(header)} bytes, expected at most "
            f"{MAX_HEADER_BYTES}: the format cannot hold more. Delete what is not needed "
            "from original_metadata."
        )
    return np.array(len(header), dtype=HEADER_LENGTH).tobytes() + header


def _set_field(text: str, start: int, name: str, value: Any) -> str:
    """Set a field of the object that starts somewhere in the text."""
    for member in _members(text, start):
        if member.key == name:
            if value is None:
                members = list(_members(text, start))
                return _remove(text, members, members.index(member))
            return text[: member.value_start] + _dump(value) + text[member.stop :]
    return text if value is None else _insert(text, start, name, value)


def _remove(text: str, members: list[_Member], i: int) -> str:
    """Remove a member of an object, and the comma before it, or else after it."""
    if i > 0:
        return text[: members[i - 1].stop] + text[members[i].stop :]
    stop = members[1].start if len(members) > 1 else members[0].stop
    return text[: members[0].start] + text[stop:]


def _insert(text: str, start: int, name: str, value: Any) -> str:
    """Add a field as the first one of an object, set like the one that was first."""
    first = _skip(text, start + 1)
    space = text[start + 1 : first]
    comma = "" if text[first] == "}" else "," + (space or " ")
    field = f"{json.dumps(name)}: {_dump(value)}{comma}"
    return text[:first] + field + text[first:]


def _members(text: str, start: int) -> Iterator[_Member]:
    """Yield the members of an object; the text is known to be JSON."""
    at = _skip(text, start + 1)
    while text[at] != "}":
        key, key_stop = _decoder.raw_decode(text, at)
        value_start = _skip(text, _skip(text, key_stop) + 1)
        _, stop = _decoder.raw_decode(text, value_start)
        yield _Member(key, at, value_start, stop)
        at = _skip(text, stop)
        if text[at] == ",":
            at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    while text[at] in _SPACE:
        at += 1
    return at


def _dump(value: Any) -> str:
    if isinstance(value, float):
        # 15 digits: a tenth stays a tenth, however it was calculated.
        value = float(f"{value:.15g}")
    return json.dumps(value, default=_to_python)


def _to_python(value: Any) -> Any:
    """Turn numpy's numbers, which come from saved signals, into Python's."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
