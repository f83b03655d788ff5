"""IXRF/CSIRO ``.GeoPIXE`` maps: sparse spectra, dead time for each pixel and detector."""

import importlib
from typing import TYPE_CHECKING, Any

from rsciio_xfm.formats.geopixe.api import file_reader

if TYPE_CHECKING:
    from rsciio_xfm.formats.geopixe.copy import crop, fill_dead_time
    from rsciio_xfm.formats.geopixe.table import write_table
    from rsciio_xfm.formats.geopixe.write import file_writer

__all__ = ["crop", "file_reader", "file_writer", "fill_dead_time", "write_table"]

# In which modules they are, which who only reads a map does without.
_LATER = {
    "crop": "copy",
    "file_writer": "write",
    "fill_dead_time": "copy",
    "write_table": "table",
}


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
