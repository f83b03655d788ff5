"""Detectors of a scan that are datasets of their own, added up."""

from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.detectors import SummedMaps
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.esrf import metadata as meta
from rsciio_xfm.formats.esrf.data import load, sum_of_detectors
from rsciio_xfm.formats.esrf.find import Found

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
        Maps are not of unsigned integers of at most 32 bits.
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


def add_maps(
    path: Path, title: str, parts: list[dict[str, Any]], lazy: bool, chunks: Any
) -> dict[str, Any]:
    """Add up the lazy maps of the detectors of one scan.

    Parameters
    ----------
    path, title
        Of the file and the scan.
    parts
        Signals, of one detector each.
    lazy, chunks
        See :func:`rsciio_xfm.esrf.file_reader`.

    Raises
    ------
    ValueError
        They are not of unsigned integers of at most 32 bits, or of several sizes.
    """
    shapes = {part["data"].shape for part in parts}
    if len(shapes) > 1:
        raise ValueError(
            f"{path}: sum_detectors is True and the detectors have the shapes "
            f"{', '.join(map(str, sorted(shapes)))}, expected one."
        )
    xrf = [part["metadata"]["Acquisition_instrument"]["XRF"] for part in parts]
    names = [
        found.get("dataset") or str(found.get("mark", found.get("mca"))) for found in xrf
    ]
    sources = [source_of(part["data"]) for part in parts]
    for name, source, part in zip(names, sources, parts, strict=True):
        if source is None:
            raise ValueError(
                f"{path}: sum_detectors is True and {name} is of {part['data'].dtype}, "
                "expected unsigned integers of at most 32 bits, in a map of points."
            )
    eds = [
        part["metadata"]["Acquisition_instrument"]
        .get("SEM", {})
        .get("Detector", {})
        .get("EDS", {})
        for part in parts
    ]
    carried = [
        found["_sig_dead_time"]["data"] for found in eds if "_sig_dead_time" in found
    ]
    if 0 < len(carried) < len(parts):
        warn(
            f"{path}: only {len(carried)} of {len(parts)} detectors have dead times: none of "
            "them is used."
        )
    has_dead_times = len(carried) == len(parts)
    real = [found["real_time"] for found in eds if "real_time" in found]
    first = parts[0]
    signal = meta.build_map(
        path,
        f"{title} {len(parts)} detectors" if len(parts) > 1 else title,
        [dict(axis) for axis in first["axes"]],
        np.stack(carried) if has_dead_times else None,
        sum(real) / len(real) if len(real) == len(parts) else None,
        n_detectors=len(parts) if len(parts) > 1 else 0,
        instrument=_instrument_of_sum(xrf[0], names),
        beam_energy=first["metadata"]["Acquisition_instrument"]
        .get("SEM", {})
        .get("beam_energy"),
    )
    for key in ("date", "time", "time_zone"):
        if key in first["metadata"]["General"]:
            signal["metadata"]["General"][key] = first["metadata"]["General"][key]
    source = sum_of_detectors(sources) or SummedMaps(tuple(sources), str(path))
    signal["data"] = load(source, path, lazy, chunks)
    signal["original_metadata"] = first["original_metadata"]
    return signal


def _instrument_of_sum(first: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Return what is kept of the instrument: of the first detector, but for its name."""
    kept = {k: v for k, v in first.items() if k not in ("mca", "mark", "detector")}
    if "dataset" in first:
        return kept | {"dataset": ", ".join(dict.fromkeys(names))}
    return kept | {"detectors": names}
