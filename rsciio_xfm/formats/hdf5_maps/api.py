"""Maps and counters of an HDF5 file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rsciio_xfm.core.hdf5.links import Group
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.hdf5_maps import bliss
from rsciio_xfm.formats.hdf5_maps.bliss import Scan
from rsciio_xfm.formats.hdf5_maps.find import choose, find_contents
from rsciio_xfm.formats.hdf5_maps.options import Options
from rsciio_xfm.formats.hdf5_maps.programs import read_scalers
from rsciio_xfm.formats.hdf5_maps.spectra import read_dataset
from rsciio_xfm.formats.hdf5_maps.sum import add_detectors, check_parts


def read_hdf5(path: Path, file: Group, options: Options) -> list[dict[str, Any]]:
    """Read maps of an HDF5 file.

    Parameters
    ----------
    path, file
        The file, from :func:`rsciio_xfm.core.hdf5.links.open_checked`.
    options
        Which, and how.
    """
    contents = find_contents(file, options.paths)
    chosen = choose(path, contents, options.paths, file)
    if options.is_sum:
        check_parts(path, chosen)
    scans: dict[int, Scan] = {}
    each = replace(options, lazy=options.lazy or options.is_sum)
    pairs = [
        (found, signal)
        for found in chosen
        for signal in read_dataset(path, found, scans, each)
    ]
    if options.is_sum:
        return add_detectors(path, pairs, options.lazy, options.chunks)
    return [signal for _, signal in pairs]


def read_counters(path: Path, file: Group, options: Options) -> list[dict[str, Any]]:
    """Read what was counted at each point, see :func:`read_hdf5`."""
    if options.axes is not None or options.detector is not None:
        raise ValueError(
            f"{path}: {'axes' if options.axes is not None else 'detector'} is given, expected "
            "None for counters."
        )
    contents = find_contents(file, options.paths)
    signals = bliss.read_counters(path, contents, options.paths, options.navigation_shape)
    signals = signals or read_scalers(path, file)
    if not signals:
        raise FileFormatError(
            f"{path}: the file holds no counters of a scan, expected a group measurement, or "
            "scalers of PyXRF, xraylarch or MAPS (byte 0, the whole file)."
        )
    return signals
