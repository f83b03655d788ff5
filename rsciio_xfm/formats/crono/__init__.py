"""``.HDF5`` files of CRONO, the scanner of paintings of XGLab, now Bruker's."""

from rsciio_xfm.formats.crono.api import file_reader, recognizes

__all__ = ["file_reader", "recognizes"]


def __dir__() -> list[str]:
    return sorted(__all__)
