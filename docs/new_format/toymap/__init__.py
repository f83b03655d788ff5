"""Maps of the toy format: a header, then the counts of each spectrum, row by row."""

from toymap._api import file_reader

__all__ = ["file_reader"]


def __dir__() -> list[str]:
    return sorted(__all__)
