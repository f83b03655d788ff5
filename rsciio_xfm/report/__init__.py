"""A map on one page that can be handed on or printed: :func:`rsciio_xfm.write_report`."""

from rsciio_xfm.report.write import write_report

__all__ = ["write_report"]


def __dir__() -> list[str]:
    return sorted(__all__)
