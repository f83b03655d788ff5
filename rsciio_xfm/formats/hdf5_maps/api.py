"""Maps and counters of an HDF5 file."""

from pathlib import Path
from typing import Any

from rsciio_xfm.core.hdf5.links import Group
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.hdf5_maps.bliss import Scan, read_counters
from rsciio_xfm.formats.hdf5_maps.find import choose, find_contents
from rsciio_xfm.formats.hdf5_maps.programs import read_scalers
from rsciio_xfm.formats.hdf5_maps.spectra import read_dataset
from rsciio_xfm.formats.hdf5_maps.sum import add_detectors, check_parts


def read_hdf5(
    path: Path,
    file: Group,
    lazy: bool,
    chunks: Any,
    wanted: list[str] | None,
    is_counters: bool,
    navigation_shape: tuple[int, ...] | None,
    is_sum: bool,
    axes: tuple[str, ...] | None,
    detector: int | None,
) -> list[dict[str, Any]]:
    """Read maps, or counters, of an HDF5 file; see :func:`rsciio_xfm.esrf.file_reader`."""
    contents = find_contents(file, wanted)
    if is_counters:
        if axes is not None or detector is not None:
            raise ValueError(
                f"{path}: {'axes' if axes is not None else 'detector'} is given, expected "
                "None for counters."
            )
        signals = read_counters(path, contents, wanted, navigation_shape)
        signals = signals or read_scalers(path, file)
        if not signals:
            raise FileFormatError(
                f"{path}: the file holds no counters of a scan, expected a group "
                "measurement, or scalers of PyXRF, xraylarch or MAPS (byte 0, the whole "
                "file)."
            )
        return signals
    chosen = choose(path, contents, wanted, file)
    if is_sum:
        check_parts(path, chosen)
    scans: dict[int, Scan] = {}
    is_lazy = lazy or is_sum
    pairs = [
        (found, signal)
        for found in chosen
        for signal in read_dataset(
            path, found, is_lazy, chunks, navigation_shape, scans, axes, detector
        )
    ]
    return (
        add_detectors(path, pairs, lazy, chunks)
        if is_sum
        else [signal for _, signal in pairs]
    )
