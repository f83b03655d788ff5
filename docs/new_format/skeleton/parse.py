"""The header of a newformat file, checked."""

from dataclasses import dataclass
from pathlib import Path

from rsciio_xfm.core.source import Source


@dataclass(frozen=True)
class Header:
    """What a file says of itself, and how much of it is there.

    Attributes
    ----------
    source
        The file, as it was when the header was read.
    shape
        Rows, columns and channels.
    kev_per_channel
        Energy scale.
    """

    source: Source
    shape: tuple[int, int, int]
    kev_per_channel: float


def read_header(filename: str | Path) -> Header:
    """Read and check the header; nothing is believed that the file's size contradicts."""
    # FILL IN: LocalFile.of(filename) is the source. rsciio_xfm.core.fields reads records of a
    # header from it and checks what is in them. Hold each count and offset against source.size
    # before anything is allocated, and raise FileFormatError or TruncatedFileError:
    # "<file>: <field> is <found>, expected <expected> (byte <offset>)."
    raise NotImplementedError("rsciio_xfm/formats/newformat/parse.py: read the header")
