"""Spectra as text: Amptek and EPICS ``.mca``, AXIL ``.spe``, columns of numbers."""

from rsciio_xfm.formats.text_spectra.api import file_reader
from rsciio_xfm.formats.text_spectra.convert import convert
from rsciio_xfm.formats.text_spectra.parse import recognizes

__all__ = ["convert", "file_reader", "recognizes"]


def __dir__() -> list[str]:
    return sorted(__all__)
