"""MSA files: single spectra as text (EMSA/MAS, ISO 22029)."""

from rsciio_xfm.formats.msa.api import file_reader
from rsciio_xfm.formats.msa.write import file_writer

__all__ = ["file_reader", "file_writer"]


def __dir__() -> list[str]:
    return sorted(__all__)
