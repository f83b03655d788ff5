"""``.datastack`` files of MA-XRF scans: maxrf4u's zip of zarr arrays, and raw files."""

from rsciio_xfm.formats.datastack.api import file_reader, file_writer
from rsciio_xfm.formats.datastack.convert import convert, convert_map
from rsciio_xfm.formats.datastack.grow import (
    append,
    append_list,
    latest,
    read,
    read_list,
    repack,
)
from rsciio_xfm.formats.datastack.preview import Preview, preview
from rsciio_xfm.formats.datastack.tree import tree

__all__ = [
    "Preview",
    "append",
    "append_list",
    "convert",
    "convert_map",
    "file_reader",
    "file_writer",
    "latest",
    "preview",
    "read",
    "read_list",
    "repack",
    "tree",
]


def __dir__() -> list[str]:
    return sorted(__all__)
