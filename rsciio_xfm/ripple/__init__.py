"""Ripple: ``.raw`` files of plain numbers, described by ``.rpl`` files."""

from rsciio_xfm.ripple._api import file_reader
from rsciio_xfm.ripple._write import file_writer

__all__ = ["file_reader", "file_writer"]


def __dir__() -> list[str]:
    return sorted(__all__)
