"""Maps (``.pts``) and projects (``.asw``) of JEOL's Analysis Station, and what is beside."""

from rsciio_xfm.formats.jeol.api import file_reader

__all__ = ["file_reader"]


def __dir__() -> list[str]:
    return sorted(__all__)
