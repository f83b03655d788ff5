"""Options of the reader of HDF5 maps."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Options:
    """Options of :func:`rsciio_xfm.esrf.file_reader` that are for HDF5.

    Attributes
    ----------
    lazy, chunks, navigation_shape, detector
        As there.
    paths
        ``dataset_path``, as a list.
    axes
        From :func:`rsciio_xfm.formats.hdf5_maps.axes.parse_axes`.
    is_sum
        ``sum_detectors``.
    series
        As there: files that are rows or parts of one map.
    allow_outside, advice
        See :func:`rsciio_xfm.core.hdf5.links.open_checked`.
    """

    lazy: bool = False
    chunks: Any = "auto"
    paths: list[str] | None = None
    navigation_shape: tuple[int, ...] | None = None
    axes: tuple[str, ...] | None = None
    detector: int | None = None
    is_sum: bool = False
    series: bool | str = False
    allow_outside: bool = False
    advice: str = ""
