"""EDAX APEX: ``.edaxh5`` files."""

from rsciio_xfm.formats.apex.api import file_reader

__all__ = ["file_reader"]


def __dir__() -> list[str]:
    return sorted(__all__)
