"""Spectra as EMSA/MAS (ISO 22029) text files, written by RosettaSciIO.

RosettaSciIO's writer knows the signal types of exspy only, and with any other it leaves
out the signal type, the beam energy and the live time; it never writes the time. It also
takes over keywords from original metadata that come from an MSA file. So it is given a
copy of the signal in the form that it knows.
"""

from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsciio_xfm._io.metadata import INSTRUMENT

if TYPE_CHECKING:
    from hyperspy.signal import BaseSignal

_EXTENSIONS = ("msa", "ems", "mas", "emsa")
_FORMAT = "EMSA/MAS Spectral Data File"
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
_TEM = "Acquisition_instrument.TEM"
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


def is_msa(filename: Any, extension: str | None, file_format: str | None) -> bool:
    """Tell whether arguments of ``save`` mean an MSA file.

    Parameters
    ----------
    filename, extension, file_format
        As of :meth:`hyperspy.api.signals.BaseSignal.save`.
    """
    if file_format is not None:
        return file_format.lower() in _EXTENSIONS
    if extension is None and isinstance(filename, str | Path):
        extension = Path(filename).suffix
    return extension is not None and extension.lstrip(".").lower() in _EXTENSIONS


def prepare(signal: "BaseSignal") -> None:
    """Change a copy of an EDS signal into the form that the MSA writer knows.

    Parameters
    ----------
    signal
        One spectrum; lazy data are computed.
    """
    if signal._lazy:
        signal.compute(show_progressbar=False)
    metadata = signal.metadata
    # The writer looks at the TEM node, or at the SEM node once it wrote an EDS_SEM signal.
    metadata.Signal.signal_type = "EDS_TEM"
    metadata.set_item(_TEM, metadata.get_item(INSTRUMENT).deepcopy())
    # The writer fills in what it knows, in the order in which it finds the keywords.
    keywords = dict.fromkeys(_KEYWORDS, "")
    keywords["FORMAT"] = _FORMAT
    keywords["DATE"] = _format_date(metadata.General.get_item("date"))
    keywords["TIME"] = _format_time(metadata.General.get_item("time"))
    keywords["YUNITS"] = "Counts"
    signal._original_metadata = type(signal.original_metadata)(keywords)


def _format_date(text: str | None) -> str:
    try:
        day = date.fromisoformat(text or "")
    except ValueError:
        return ""
    return f"{day.day:02d}-{_MONTHS[day.month - 1]}-{day.year}"


def _format_time(text: str | None) -> str:
    try:
        return time.fromisoformat(text or "").strftime("%H:%M")
    except ValueError:
        return ""
