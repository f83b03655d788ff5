"""EMD files: maps of Velox's spectrum streams, and NCEM's, with all that was saved."""

from rsciio_xfm.formats.emd.api import file_reader, file_writer

__all__ = ["file_reader", "file_writer"]


def __dir__() -> list[str]:
    return sorted(__all__)
