"""MSA files (EMSA/MAS, ISO 22029): RosettaSciIO's, with spectra written whole and exact."""

from rsciio.msa import file_reader

from rsciio_xfm.msa._write import file_writer

__all__ = ["file_reader", "file_writer"]


def __dir__() -> list[str]:
    return sorted(__all__)
