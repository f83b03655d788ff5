"""The XML of a pair of files: which sets of data there are, and what applies to each."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.packed import EXTRA
from rsciio_xfm.core.source import LocalFile, find_beside, read_head
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.xml import parse_xml
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.hmsa.layout import (
    ANALYSIS,
    CHANNEL,
    DATA,
    DEGREES,
    EXTENSIONS,
    FASTEST,
    PREFIXES,
    ROOT,
    TYPES,
    UID_BYTES,
)

_MOST_BYTES = 2**26  # of the XML
_MOST_TEXT = 4096  # letters of a list that are kept there
_MOST_DEPTH = 16  # of what is kept in original_metadata
_WHOLE = re.compile(r"\s*\+?([0-9]{1,18})\s*", re.ASCII)
_UID = re.compile(r"[0-9A-Fa-f]{16}", re.ASCII)


@dataclass(frozen=True)
class Document:
    """A pair of files.

    Attributes
    ----------
    xml
        Path of the text.
    source
        The numbers.
    root
        Of the XML.
    """

    xml: Path
    source: LocalFile
    root: Element

    def header(self, tag: str) -> str:
        """Return a text of the header, empty if there is none."""
        return (self.root.findtext(f"./Header/{tag}") or "").strip()

    @property
    def extra(self) -> str | None:
        """Axes and metadata as they were saved here."""
        return self.root.findtext(f"./Header/{EXTRA}")

    def elements(self) -> dict[str, Element]:
        """Return the sets of data by their names."""
        found: dict[str, Element] = {}
        for element in self.root.findall("./Data/*"):
            if element.tag in DATA and element.get("Class") != "0D":
                name = meta.new_name(element.get("Name") or element.tag, found)
                found[name] = element
        return found


@dataclass(frozen=True)
class DataSet:
    """A set of data.

    Attributes
    ----------
    name
        Of it.
    offset
        Byte at which it begins.
    dtype
        Of the numbers, as they are stored.
    collection, datum
        Names and sizes of the axes, fastest first.
    conditions
        What applies to it.
    """

    name: str
    offset: int
    dtype: np.dtype
    collection: tuple[tuple[str, int], ...]
    datum: tuple[tuple[str, int], ...]
    conditions: tuple[Element, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array, slowest axis first."""
        return tuple(size for _, size in reversed((*self.datum, *self.collection)))

    @property
    def n_bytes(self) -> int:
        """Of all numbers."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def is_image(self) -> bool:
        """Whether each point of the collection is one number."""
        return not self.datum

    def find(self, tag: str, n_channels: int | None = None) -> Element | None:
        """Return a condition, the detector with so many channels before others."""
        found = [node for node in self.conditions if node.tag == tag]
        if n_channels is not None:
            text = str(n_channels)
            fitting = [n for n in found if (n.findtext("ChannelCount") or "") == text]
            found = fitting or found
        return found[0] if found else None


def find_pair(path: Path) -> tuple[Path, Path]:
    """Return the paths of numbers and text.

    Raises
    ------
    FileNotFoundError
        One of them is not there.
    ValueError
        The extension is another.
    """
    own = path.suffix.lower()
    if own not in EXTENSIONS:
        raise ValueError(
            f"{path}: the extension is {path.suffix!r}, expected .hmsa or .xml."
        )
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file.")
    (extension,) = set(EXTENSIONS) - {own}
    other = find_beside(path, extension)
    if not other.is_file():
        what = {".xml": "the text that says what the numbers are", ".hmsa": "the numbers"}
        raise FileNotFoundError(
            f"{path}: {other.name} is not there, expected beside it: {what[extension]}."
        )
    return (path, other) if own == ".hmsa" else (other, path)


def read_document(path: Path) -> Document:
    """Read the XML of a pair, and hold it against the numbers.

    Raises
    ------
    FileFormatError
        They are none, or do not belong to each other.
    """
    hmsa, xml = find_pair(path)
    source, begin = read_head(hmsa, UID_BYTES)
    text, content = read_head(xml, _MOST_BYTES + 1)
    if text.size > _MOST_BYTES:
        raise FileFormatError(
            f"{xml}: the XML has {text.size} bytes, expected at most {_MOST_BYTES} "
            f"(byte {_MOST_BYTES})."
        )
    root = parse_xml(content, str(xml))
    if root.tag != ROOT:
        raise FileFormatError(
            f"{xml}: the XML is a {root.tag!r:.60}, expected {ROOT} (byte 0): it says nothing "
            f"of {hmsa.name}."
        )
    uid = root.get("UID", "")
    if not _UID.fullmatch(uid) or begin != bytes.fromhex(uid):
        raise FileFormatError(
            f"{hmsa}: the file begins with {begin.hex().upper() or 'nothing'}, expected the "
            f"UID of {xml.name}, {uid!r:.40} (byte 0): the two files do not belong to each "
            "other, or one is damaged."
        )
    return Document(xml, source, root)


def parse_data_set(document: Document, name: str, element: Element) -> DataSet:
    """Take from the XML where a set of data is.

    Raises
    ------
    FileFormatError
        It contradicts itself.
    """
    where = f"{document.xml}: {name}"
    node = element.find("DatumType")
    kind = ("" if node is None else node.text or "").strip()
    if node is None or kind not in TYPES:
        raise FileFormatError(
            f"{where}: DatumType is {kind!r:.40}, expected {', '.join(TYPES)} (byte 0, the "
            "whole XML)."
        )
    dtype = TYPES[kind]
    if node.get("SizeInBytes", str(dtype.itemsize)).strip() != str(dtype.itemsize):
        raise FileFormatError(
            f"{where}: SizeInBytes is {node.get('SizeInBytes')!r:.40}, expected "
            f"{dtype.itemsize} of {kind} (byte 0, the whole XML)."
        )
    data_set = DataSet(
        name,
        _whole(where, element, "DataOffset", UID_BYTES),
        dtype,
        _dimensions(where, element, "CollectionDimensions"),
        _dimensions(where, element, "DatumDimensions"),
        tuple(_conditions(document, element)),
    )
    length = _whole(where, element, "DataLength", 0)
    if not data_set.shape or length != data_set.n_bytes:
        raise FileFormatError(
            f"{where}: DataLength is {length}, expected {data_set.n_bytes} of the dimensions "
            f"{data_set.shape} of {kind} (byte 0, the whole XML)."
        )
    return data_set


def _whole(where: str, element: Element, tag: str, least: int) -> int:
    return _number(where, tag, element.findtext(tag), least)


def _number(where: str, what: str, text: str | None, least: int) -> int:
    """Return a whole number that the numbers cannot be found without."""
    found = _WHOLE.fullmatch(text or "")
    if found is None or int(found[1]) < least:
        raise FileFormatError(
            f"{where}: {what} is {text!r:.40}, expected a whole number, at least {least} "
            "(byte 0, the whole XML)."
        )
    return int(found[1])


def _dimensions(where: str, element: Element, tag: str) -> tuple[tuple[str, int], ...]:
    """Return names and sizes of axes, fastest first."""
    found: dict[str, int] = {}
    for node in element.findall(f"./{tag}/Dimension"):
        name = node.get("Name") or ""
        if name in found or len(found) > len(FASTEST):
            raise FileFormatError(
                f"{where}: {tag} has the dimension {name!r:.40} again, or more than "
                f"{len(FASTEST)} dimensions, expected each once (byte 0, the whole XML)."
            )
        found[name] = _number(where, f"dimension {name!r:.40}", node.text, 1)
    if all(name in FASTEST for name in found):
        return tuple((name, found[name]) for name in FASTEST if name in found)
    return tuple(found.items())


def _conditions(document: Document, element: Element) -> Iterator[Element]:
    """Yield the conditions that a set of data names; of a kind of which it names none, all."""
    every = document.root.findall("./Conditions/*")
    named = {
        (node.text or "").strip() for node in element.findall("./IncludeConditions/*")
    }
    chosen = [node for node in every if node.get("ID") in named]
    yield from chosen
    kinds = {node.tag for node in chosen}
    yield from (node for node in every if node.tag not in kinds)


def is_spectral(data_set: DataSet) -> bool:
    """Tell whether each point of the collection is a spectrum."""
    return [name for name, _ in data_set.datum] == [CHANNEL]


def is_list(data_set: DataSet) -> bool:
    """Tell whether the points of the collection are a list, or a line."""
    return [name for name, _ in data_set.collection] == [ANALYSIS]


def measured(
    document: Document, node: Element | None, tag: str, unit: str
) -> float | None:
    """Return a quantity in a unit; None if there is none, or in a unit that is none of it.

    Parameters
    ----------
    document
        For the warning.
    node, tag
        Of which element, and its child.
    unit
        With prefix, such as kV; ``degrees`` of angles; empty of a number.
    """
    child = None if node is None else node.find(tag)
    value = None if child is None else meta.number(child.text)
    if child is None or value is None:
        return None
    factor = factor_of((child.get("Unit") or unit).strip(), unit)
    if factor is None:
        warn(
            f"{document.xml}: {tag} has the unit {child.get('Unit')!r:.40}, expected "
            f"{unit or 'none'}: left out."
        )
        return None
    return value * factor


def factor_of(found: str, unit: str) -> float | None:
    """Return how many of one unit another is, None if they measure other things."""
    if not unit or found == unit:
        return 1.0
    if unit == "degrees":
        return DEGREES.get(found)
    base = unit[1:] if unit[:1] in PREFIXES and len(unit) > 1 else unit
    if not found.endswith(base) or found[: -len(base)] not in PREFIXES:
        return None
    return PREFIXES[found[: -len(base)]] / PREFIXES[unit[: -len(base)]]


def numbers(text: str | None) -> np.ndarray:
    """Return the numbers of a list with commas; empty if something else is in it."""
    try:
        return np.array([float(word) for word in (text or "").split(",")])
    except ValueError:
        return np.empty(0)


def tree(node: Element | None, depth: int = 0) -> dict[str, Any]:
    """Return what is in an element as a dictionary, but what was saved here."""
    found: dict[str, Any] = {}
    for child in () if node is None else node:
        if child.tag == EXTRA:
            continue
        name = " ".join(str(part) for part in (child.tag, child.get("ID")) if part)
        name = meta.new_name(name.replace(".", "_"), found)
        if child.get("Class"):
            found[name] = {"Class": child.get("Class")}
        if len(child):
            inner = tree(child, depth + 1) if depth < _MOST_DEPTH else {}
            found[name] = found.get(name, {}) | inner
        elif child.get("DataType", "").startswith("array"):
            found[name] = (child.text or "")[:_MOST_TEXT]
        elif not child.get("Class"):
            found[name] = _value(child)
        if child.get("Unit") and name in found and not len(child):
            found[f"{name}_units"] = child.get("Unit")
    return meta.clean(found)


def _value(node: Element) -> Any:
    """Return a number if it is said to be one, else the text."""
    text = (node.text or "").strip()
    if "DataType" not in node.attrib:
        return text
    if _WHOLE.fullmatch(text):
        return int(text)
    value = meta.number(text)
    return text if value is None else value
