"""FILL IN: whose files these are, and what they hold."""

from rsciio_xfm.formats.newformat.api import file_reader

__all__ = ["file_reader"]


def __dir__() -> list[str]:
    return sorted(__all__)
