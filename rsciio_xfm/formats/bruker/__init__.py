"""Bruker ``.bcf`` maps and ``.spx`` spectra, of SEM, TEM and micro-XRF."""

from rsciio_xfm.formats.bruker.api import file_reader

__all__ = ["file_reader"]


def __dir__() -> list[str]:
    return sorted(__all__)
