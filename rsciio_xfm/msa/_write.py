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
# What a file that was loaded says is old where metadata say it.
_IN_METADATA = (
    *(k for k in _KEYWORDS if k != "OWNER"),
    "XLABEL",
    "YLABEL",
    "SIGNALTYPE",
    "BEAMKV",
    "PROBECUR",
    "CONVANGLE",
    "THICKNESS",
    "XTILTSTGE",
    "ELEVANGLE",
    "AZIMANGLE",
    "SOLIDANGLE",
    "LIVETIME",
    "REALTIME",
    "FWHMMNKA",
    "EDSDET",
)
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
    EDS spectra of any type are written as such, with beam energy, angles, live and real time,
    and every digit of the counts. Of a file that was loaded, keywords that HyperSpy's metadata
    do not have are kept.

    Examples
    --------
    >>> s.sum().save("sum.msa")  # doctest: +SKIP
    """
    from rsciio.msa import file_writer as write_others

    if format not in ("Y", "XY"):
        raise ValueError(f"{filename}: format is {format!r}, expected 'Y' or 'XY'.")
    metadata = copy.deepcopy(signal["metadata"])
    original = dict(signal.get("original_metadata", {}))
    _put_instrument(metadata)
    is_eds = str(metadata["Signal"].get("signal_type", "")).startswith(_EDS)
    if is_eds:
        metadata["Signal"]["signal_type"] = "EDS_TEM"
        original = _build_keywords(metadata, original)
    given = signal | {
        "data": np.asarray(signal["data"]),
        "metadata": metadata,
        "original_metadata": original,
    }
    with replacing_path(filename) as temporary:
        write_others(str(temporary), given, format, separator, encoding)
        if is_eds:
            _write_counts(temporary, given, format, separator, encoding)


def _put_instrument(metadata: dict[str, Any]) -> None:
    """Put what is said of the instrument where the writer may look for it: at both places."""
    instruments = metadata.get("Acquisition_instrument", {})
    for name, other in (("TEM", "SEM"), ("SEM", "TEM")):
        if isinstance(instruments.get(name), dict):
            instruments.setdefault(other, instruments[name])


def _build_keywords(metadata: dict[str, Any], original: dict[str, Any]) -> dict[str, Any]:
    """Return keywords in the standard's order; the writer fills in those that it knows."""
    keywords = dict.fromkeys(_KEYWORDS, "")
    if original.get("FORMAT") == _FORMAT:
        # Some have their unit behind them: ELEVANGLE-dg.
        keywords |= {
            key: value
            for key, value in original.items()
            if key.partition("-")[0].strip() not in _IN_METADATA
        }
    general = metadata.get("General", {})
    return keywords | {
        "FORMAT": _FORMAT,
        "DATE": _format_date(general.get("date")),
        "TIME": _format_time(general.get("time")),
        "YUNITS": "Counts",
    }


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


def _format_time(text: Any) -> str:
    try:
        return time.fromisoformat(text).strftime("%H:%M")
    except (TypeError, ValueError):
        return ""
