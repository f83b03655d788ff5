"""``.h5oina`` files of Oxford Instruments' AZtec: EDS maps and electron images."""

from rsciio_xfm.formats.oxford.api import file_reader

__all__ = ["file_reader"]


def __dir__() -> list[str]:
    return sorted(__all__)
