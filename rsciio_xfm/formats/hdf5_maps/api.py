"""Maps and counters of an HDF5 file, and sums of detectors that are datasets of their own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from rsciio_xfm.core.checks import is_whole
from rsciio_xfm.core.hdf5.links import Group
from rsciio_xfm.core.warning import told_together
from rsciio_xfm.core.xrf import add_maps
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.hdf5_maps import bliss
from rsciio_xfm.formats.hdf5_maps.bliss import Scan
from rsciio_xfm.formats.hdf5_maps.find import Found, choose, find_contents, join_rows
from rsciio_xfm.formats.hdf5_maps.known import check_kinds
from rsciio_xfm.formats.hdf5_maps.options import Options
from rsciio_xfm.formats.hdf5_maps.programs import read_scalers
from rsciio_xfm.formats.hdf5_maps.spectra import read_dataset

_OWN_SUMS = ("map", "MAPS", "saved")


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
    chosen = choose_detector(path, join_rows(contents, chosen), options.detector)
    if options.series:
        check_kinds(path, chosen)
    if options.is_sum:
        check_parts(path, chosen)
    scans: dict[int, Scan] = {}
    each = replace(options, lazy=options.lazy or options.is_sum)
    with told_together():
        pairs = [
            (found, signal)
            for found in chosen
            for signal in read_dataset(path, found, scans, _for_one(found, each))
        ]
    if options.is_sum:
        return add_detectors(path, pairs, options.lazy, options.chunks)
    return [signal for _, signal in pairs]


def _for_one(found: Found, options: Options) -> Options:
    """Return the options for a dataset, of one that was chosen by its detector without it."""
    is_own = found.match is not None and "detector" in found.match.groups
    return replace(options, detector=None) if is_own else options


def choose_detector(path: Path, chosen: list[Found], number: Any) -> list[Found]:
    """Leave out the other detectors, where each is a dataset of its own.

    Raises
    ------
    ValueError
        There is no such detector.
    """
    own = [f for f in chosen if f.match is not None and "detector" in f.match.groups]
    if number is None or not own:
        return chosen
    names = [f.match.detector for f in own if f.match is not None]
    numbers = [i if n is None else n for i, n in enumerate(names)]
    kept = [
        f for f, n in zip(own, numbers, strict=True) if is_whole(number) and n == number
    ]
    if not kept:
        raise ValueError(
            f"{path}: detector is {number!r}, expected one of "
            f"{', '.join(map(str, dict.fromkeys(numbers)))}."
        )
    return kept


def read_counters(path: Path, file: Group, options: Options) -> list[dict[str, Any]]:
    """Read what was counted at each point, see :func:`read_hdf5`."""
    given = {
        "axes": options.axes is not None,
        "detector": options.detector is not None,
        "series": bool(options.series),
    }
    for name, is_given in given.items():
        if is_given:
            raise ValueError(f"{path}: {name} is given, expected None for counters.")
    contents = find_contents(file, options.paths)
    signals = bliss.read_counters(path, contents, options.paths, options.navigation_shape)
    signals = signals or read_scalers(path, file)
    if not signals:
        raise FileFormatError(
            f"{path}: the file holds no counters of a scan, expected a group measurement, or "
            "scalers of PyXRF, xraylarch or MAPS (byte 0, the whole file)."
        )
    return signals


def check_parts(path: Path, chosen: list[Found]) -> None:
    """Refuse to add up maps of programs that keep the sum beside them.

    Raises
    ------
    ValueError
        It names the first of them.
    """
    for found in chosen:
        if found.layout in _OWN_SUMS:
            raise ValueError(
                f"{path}: sum_detectors is True, expected None for {found.name}: such files "
                "hold sums of their own."
            )


def add_detectors(
    path: Path,
    pairs: list[tuple[Found, dict[str, Any]]],
    lazy: bool,
    chunks: Any,
) -> list[dict[str, Any]]:
    """Add up the maps of each scan.

    Parameters
    ----------
    path
        Of the file.
    pairs
        Datasets, and the lazy maps that were made of them.
    lazy, chunks
        See :func:`rsciio_xfm.esrf.file_reader`.

    Returns
    -------
    list of dict
        One signal for each scan, or group of the root of a file without scans, with the dead
        times of each detector.

    Raises
    ------
    ValueError
        Maps are not of integers.
    """
    scans: dict[tuple, list[dict[str, Any]]] = {}
    for found, signal in pairs:
        axes = tuple((a["name"], a["size"], a["scale"]) for a in signal["axes"])
        # Scans of several files that are linked to may have one name.
        root = found.name.split("/")[0] if found.entry is None else id(found.entry)
        scans.setdefault((root, axes), []).append(signal)
    return [
        add_maps(path, _title(parts[0]).rsplit(" ", 1)[0], parts, lazy, chunks)
        for parts in scans.values()
    ]


def _title(signal: dict[str, Any]) -> str:
    return signal["metadata"]["General"]["title"]
