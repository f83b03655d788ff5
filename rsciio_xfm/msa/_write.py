"""``file_writer`` for MSA files: RosettaSciIO's, given what it needs.

It asks a lazy spectrum for one channel after the other, knows the signal types of exspy only,
looks for the instrument of the type that it wrote first in a process, and keeps 6 digits of
the counts.
"""

import copy
from datetime import date, time
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm._io.atomic import replacing_path

_FORMAT = "EMSA/MAS Spectral Data File"
_EDS = "EDS"
# Those that the standard requires, in its order.
_KEYWORDS = (
    "FORMAT",
    "VERSION",
    "TITLE",
    "DATE",
    "TIME",
    "OWNER",
    "NPOINTS",
    "NCOLUMNS",
    "XUNITS",
    "YUNITS",
    "DATATYPE",
    "XPERCHAN",
    "OFFSET",
)
_YUNITS = "Counts"
# Where metadata have what a keyword says.
_IN_METADATA = {
    "BEAMKV": "Acquisition_instrument.TEM.beam_energy",
    "PROBECUR": "Acquisition_instrument.TEM.beam_current",
    "CONVANGLE": "Acquisition_instrument.TEM.convergence_angle",
    "XTILTSTGE": "Acquisition_instrument.TEM.Stage.tilt_alpha",
    "ELEVANGLE": "Acquisition_instrument.TEM.Detector.EDS.elevation_angle",
    "AZIMANGLE": "Acquisition_instrument.TEM.Detector.EDS.azimuth_angle",
    "SOLIDANGLE": "Acquisition_instrument.TEM.Detector.EDS.solid_angle",
    "LIVETIME": "Acquisition_instrument.TEM.Detector.EDS.live_time",
    "REALTIME": "Acquisition_instrument.TEM.Detector.EDS.real_time",
    "FWHMMNKA": "Acquisition_instrument.TEM.Detector.EDS.energy_resolution_MnKa",
    "EDSDET": "Acquisition_instrument.TEM.Detector.EDS.EDS_det",
    "THICKNESS": "Sample.thickness",
}
# The standard's names, whatever the user's language.
_MONTHS = [
    "JAN",
    "FEB",
    "MAR",
    "APR",
    "MAY",
    "JUN",
    "JUL",
    "AUG",
    "SEP",
    "OCT",
    "NOV",
    "DEC",
]


def file_writer(
    filename: str | Path,
    signal: dict[str, Any],
    format: str = "Y",
    separator: str = ", ",
    encoding: str = "latin-1",
) -> None:
    """Write a spectrum as MSA file.

    Parameters
    ----------
    filename
        Path of the file. It is replaced when the new one is whole; until then it is as it was.
    signal
        Dictionary of a signal, as :meth:`hyperspy.api.signals.BaseSignal.save` passes it. A
        dask array is computed once.
    format
        ``"Y"``: counts; ``"XY"``: with the energies as first column.
    separator
        Of the columns. With another one the file does not comply with the standard.
    encoding
        Of the text.

    Raises
    ------
    ValueError
        The format is neither.
    OSError
        The file cannot be written; what was there is as it was.

    Notes
    -----
    EDS spectra of any type are written as such, with beam energy, angles, live and real time.
    Every digit of real numbers is written. Of a file that was loaded, keywords that HyperSpy's
    metadata do not have are kept.

    Examples
    --------
    >>> s.sum().save("sum.msa")
    """
    from rsciio.msa import file_writer as write_others

    if format not in ("Y", "XY"):
        raise ValueError(f"{filename}: format is {format!r}, expected 'Y' or 'XY'.")
    metadata = copy.deepcopy(signal["metadata"])
    original = dict(signal.get("original_metadata", {}))
    _put_instrument(metadata)
    _shorten_title(metadata)
    is_eds = str(metadata["Signal"].get("signal_type", "")).startswith(_EDS)
    if is_eds:
        metadata["Signal"]["signal_type"] = "EDS_TEM"
        original = _build_keywords(metadata, original)
    data = np.asarray(signal["data"])
    given = signal | {
        "data": data.astype(np.uint8) if data.dtype.kind == "b" else data,
        "axes": [_without_gaps(axis) for axis in signal["axes"]],
        "metadata": metadata,
        "original_metadata": original,
    }
    with replacing_path(filename) as temporary:
        write_others(str(temporary), given, format, separator, encoding)
        if given["data"].dtype.kind in "iuf":
            _write_counts(temporary, given, format, separator, encoding)


def _without_gaps(axis: dict[str, Any]) -> dict[str, Any]:
    """Leave the name and units of an axis empty that it does not have."""
    empty = {k: "" for k in ("name", "units") if not isinstance(axis.get(k), str)}
    return axis | empty


def _shorten_title(metadata: dict[str, Any]) -> None:
    """Make a title one line: others would be read as keywords."""
    general = metadata.get("General", {})
    if isinstance(general.get("title"), str):
        general["title"] = " ".join(general["title"].split())


def _put_instrument(metadata: dict[str, Any]) -> None:
    """Put what is said of the instrument where the writer may look for it: at both places."""
    instruments = metadata.get("Acquisition_instrument")
    if not isinstance(instruments, dict):
        return
    for name, other in (("TEM", "SEM"), ("SEM", "TEM")):
        if isinstance(instruments.get(name), dict):
            instruments.setdefault(other, instruments[name])


def _build_keywords(metadata: dict[str, Any], original: dict[str, Any]) -> dict[str, Any]:
    """Return keywords in the standard's order; the writer fills in those that it knows."""
    keywords = dict.fromkeys(_KEYWORDS, "")
    if original.get("FORMAT") == _FORMAT:
        keywords |= {k: v for k, v in original.items() if not _is_old(metadata, k, v)}
    general = metadata.get("General", {})
    return keywords | {
        "FORMAT": _FORMAT,
        "DATE": _format_date(general.get("date")) or keywords["DATE"],
        "TIME": _format_time(general.get("time"), str(keywords["TIME"])),
        "YUNITS": keywords["YUNITS"] or _YUNITS,
    }


def _is_old(metadata: dict[str, Any], keyword: str, value: Any) -> bool:
    """Tell whether metadata do not say any more what a file said that was loaded."""
    # Some have their unit behind them: "ELEVANGLE-dg".
    path = _IN_METADATA.get(keyword.partition("-")[0].strip())
    if path is None:
        return False
    found: Any = metadata
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return not np.array_equal(found, value)


def _write_counts(
    path: Path, signal: dict[str, Any], format: str, separator: str, encoding: str
) -> None:
    """Write the counts again, exactly."""
    # newline: as they are, carriage returns included
    with path.open(encoding=encoding, errors="ignore", newline="") as file:
        lines = file.readlines()
    first = 1 + next(i for i, text in enumerate(lines) if text.startswith("#SPECTRUM "))
    counts = signal["data"].tolist()
    if format == "XY":
        axis = signal["axes"][0]
        energies = axis["offset"] + axis["scale"] * np.arange(axis["size"])
        rows = [f"{x:.10g}{separator}{y}" for x, y in zip(energies, counts, strict=True)]
    else:
        rows = [f"{y}{separator}" for y in counts]
    body = [f"{row}\r\n" for row in rows]
    text = "".join([*lines[:first], *body, lines[-1]])
    path.write_bytes(text.encode(encoding, "ignore"))


def _format_date(text: Any) -> str:
    try:
        day = date.fromisoformat(text)
    except (TypeError, ValueError):
        return ""
    return f"{day.day:02d}-{_MONTHS[day.month - 1]}-{day.year}"


def _format_time(text: Any, held: str) -> str:
    """Return the time as the standard has it, unless that of the file says the same."""
    moment = _parse_time(text)
    if moment is None or moment == _parse_time(held):
        return held
    return moment.strftime("%H:%M")


def _parse_time(text: Any) -> time | None:
    try:
        return time.fromisoformat(text)
    except (TypeError, ValueError):
        return None
