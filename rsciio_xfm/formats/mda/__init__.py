"""``.mda`` files of EPICS' scans (sscan, saveData): maps of spectra, and counters."""

from rsciio_xfm.formats.mda.api import file_reader

__all__ = ["file_reader"]


def __dir__() -> list[str]:
    return sorted(__all__)
