"""Maps of the toy format: a header, sizes, and rows of spectra, each compressed."""

from rsciio_xfm.formats.toymap.api import file_reader

__all__ = ["file_reader"]


def __dir__() -> list[str]:
    return sorted(__all__)
