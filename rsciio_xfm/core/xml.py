"""XML of a file that nobody vouches for."""

from typing import Any
from xml.etree import ElementTree

from rsciio_xfm.exceptions import FileFormatError

# Of the nodes of XML, and of the attributes: each takes some hundred bytes of memory.
_MOST_NODES = 2**20
_DECLARES = "declares a type of its own, or is UTF-16"
_EXPECTED = "expected XML without declarations of its own"


class _Builder(ElementTree.TreeBuilder):
    """As of the standard library, but for declarations, in whatever encoding they are."""

    def doctype(self, *_: Any) -> None:
        raise ValueError(_DECLARES)


def parse_xml(text: bytes, name: str, byte: int = 0) -> ElementTree.Element:
    """Parse XML that declares nothing, so that it cannot become larger than it is.

    Parameters
    ----------
    text
        The XML.
    name, byte
        Of the file, and where the text begins in it.

    Raises
    ------
    FileFormatError
        It is none, or has entities or a document type.
    """
    problem = _DECLARES
    n_nodes = max(text.count(b"<"), text.count(b"="))
    if n_nodes > _MOST_NODES:
        problem = f"has {n_nodes} tags or attributes, more than {_MOST_NODES}"
    elif not any(part in text for part in (b"<!DOCTYPE", b"<!ENTITY", b"\0")):
        try:
            parser = ElementTree.XMLParser(target=_Builder())  # noqa: S314
            parser.feed(text)
            return parser.close()
        except (ElementTree.ParseError, LookupError, ValueError) as exc:
            problem = f"cannot be read ({exc})"
    raise FileFormatError(
        f"{name}: the XML {problem}, {_EXPECTED} (byte {byte}). The file is damaged, or of "
        "another program."
    )
