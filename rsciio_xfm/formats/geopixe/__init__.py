"""IXRF/CSIRO ``.GeoPIXE`` maps: sparse spectra, dead time for each pixel and detector."""

from rsciio_xfm.formats.geopixe.api import file_reader
from rsciio_xfm.formats.geopixe.copy import crop, fill_dead_time
from rsciio_xfm.formats.geopixe.table import write_table
from rsciio_xfm.formats.geopixe.write import file_writer

__all__ = ["crop", "file_reader", "file_writer", "fill_dead_time", "write_table"]


def __dir__() -> list[str]:
    return sorted(__all__)
