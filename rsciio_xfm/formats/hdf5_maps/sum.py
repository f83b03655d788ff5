"""Detectors of a scan that are datasets of their own, added up."""

from pathlib import Path
from typing import Any

from rsciio_xfm.core.xrf import add_maps
from rsciio_xfm.formats.hdf5_maps.find import Found

_OWN_SUMS = ("map", "MAPS", "saved")


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
