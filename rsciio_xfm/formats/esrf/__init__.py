"""Files of the ESRF and other synchrotrons: EDF, SPEC, HDF5; and images that fabio reads."""

from rsciio_xfm.formats.esrf.api import file_reader
from rsciio_xfm.formats.esrf.convert import convert
from rsciio_xfm.formats.esrf.tree import tree
from rsciio_xfm.formats.esrf.write import file_writer

__all__ = ["convert", "file_reader", "file_writer", "tree"]


def __dir__() -> list[str]:
    return sorted(__all__)
