"""IXRF/CSIRO ``.GeoPIXE`` maps: sparse spectra, dead time for each pixel and detector."""

from rsciio_xfm.geopixe._api import file_reader

__all__ = ["file_reader"]


def __dir__() -> list[str]:
    return sorted(__all__)
