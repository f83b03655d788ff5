"""Ripple: ``.raw`` files of plain numbers, described by ``.rpl`` files."""

from rsciio_xfm.formats.ripple.api import file_reader
from rsciio_xfm.formats.ripple.write import file_writer

__all__ = ["file_reader", "file_writer"]


def __dir__() -> list[str]:
    return sorted(__all__)
