"""Metadata of ``.pts`` maps, as RosettaSciIO has them and exspy wants them."""

import math
from typing import Any

from rsciio_xfm.core.eds import MOST_SEM_KV, build_dead_time, build_share
from rsciio_xfm.core.xrf import number
from rsciio_xfm.formats.jeol.parse import Header
from rsciio_xfm.formats.jeol.times import Times

# Names in Detector.EDS for keys of the header.
_ANGLES = {
    "azimuth_angle": "DirAng",
    "elevation_angle": "ElevAng",
    "energy_resolution_MnKa": "MnKaRES",
}


def instrument_of(header: Header) -> str:
    """Return ``"SEM"`` or ``"TEM"``, as RosettaSciIO does: by the energy of the beam."""
    beam = header.beam_energy
    return "TEM" if beam is not None and beam > MOST_SEM_KV else "SEM"


def build_metadata(
    header: Header, filename: str, eds: dict[str, Any] | None
) -> dict[str, Any]:
    """Describe a map, or the image beside it.

    Parameters
    ----------
    header, filename
        Of the file.
    eds
        Times of the spectra, for ``Detector.EDS``; None for the image.
    """
    instrument = instrument_of(header)
    what = "S(T)EM Image" if eds is None else "EDS"
    general = {
        "original_filename": filename,
        "title": f"{what} extracted from {filename}",
    }
    if header.date is not None:
        general["date"] = header.date.date().isoformat()
        general["time"] = header.date.time().isoformat()
    node: dict[str, Any] = {}
    if header.beam_energy is not None:
        node["beam_energy"] = header.beam_energy
    if header.magnification is not None:
        node["magnification"] = header.magnification
    signal = {}
    if eds is not None:
        node["Detector"] = {"EDS": _describe_detector(header) | eds}
        signal = {"quantity": "X-rays (Counts)", "signal_type": f"EDS_{instrument}"}
    return {
        "General": general,
        "Signal": signal,
        "Acquisition_instrument": {instrument: node},
    }


def _describe_detector(header: Header) -> dict[str, Any]:
    microscope = header.microscope
    found = {name: number(microscope.get(key)) for name, key in _ANGLES.items()}
    eds: dict[str, Any] = {
        name: value for name, value in found.items() if value is not None
    }
    if isinstance(microscope.get("DetT"), str):
        eds["detector_type"] = microscope["DetT"]
    return eds


def describe_times(times: Times, axes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return times for ``Detector.EDS``: those of one spectrum, and of the whole map.

    Parameters
    ----------
    times
        Of the map.
    axes
        Its navigation axes.
    """
    eds: dict[str, Any] = {}
    n_spectra = math.prod(axis["size"] for axis in axes)
    named = {"real_time": times.real, "live_time": times.live}
    for name, seconds in named.items():
        if seconds is not None:
            eds |= {name: seconds / n_spectra, f"{name}_of_map": seconds}
    if times.real_from:
        eds["real_time_from"] = times.real_from
    if times.share is not None:
        eds["_sig_relative_real_time"] = build_share(times.share, _copies(axes))
    if times.dead_time is not None:
        eds["dead_time_from"] = times.dead_from
        eds["_sig_dead_time"] = build_dead_time(times.dead_time, _copies(axes), False)
    return eds


def _copies(axes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [dict(axis) for axis in axes]
