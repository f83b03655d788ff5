"""HMSA: pairs of ``.hmsa`` and ``.xml`` files, an exchange format of microscopy."""

from rsciio_xfm.formats.hmsa.api import file_reader
from rsciio_xfm.formats.hmsa.write import file_writer

__all__ = ["file_reader", "file_writer"]


def __dir__() -> list[str]:
    return sorted(__all__)
