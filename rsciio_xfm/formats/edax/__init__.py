"""EDAX ``.spd`` maps, ``.lsd`` line scans and ``.spc`` spectra."""

from rsciio_xfm.formats.edax.api import file_reader

__all__ = ["file_reader"]


def __dir__() -> list[str]:
    return sorted(__all__)
