"""XML of a file that nobody vouches for."""

from xml.etree import ElementTree

from rsciio_xfm.exceptions import FileFormatError

# Of the nodes of XML, and of the attributes: each takes some hundred bytes of memory.
_MOST_NODES = 2**20
_EXPECTED = "expected XML without declarations of its own"


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
    problem = "declares a type of its own, or is UTF-16"
    n_nodes = max(text.count(b"<"), text.count(b"="))
    if n_nodes > _MOST_NODES:
        problem = f"has {n_nodes} tags or attributes, more than {_MOST_NODES}"
    # Expat takes encodings only in which these are the same bytes as in ASCII, and UTF-16.
    elif not any(part in text for part in (b"<!DOCTYPE", b"<!ENTITY", b"\0")):
        try:
            return ElementTree.fromstring(text)  # noqa: S314
        except (ElementTree.ParseError, LookupError, ValueError) as exc:
            problem = f"cannot be read ({exc})"
    raise FileFormatError(
        f"{name}: the XML {problem}, {_EXPECTED} (byte {byte}). The file is damaged, or of "
        "another program."
    )
