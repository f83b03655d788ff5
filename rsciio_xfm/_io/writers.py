"""What writers of RosettaSciIO need to write our signals well.

They know the signal types of exspy only. With any other, the MSA writer leaves out signal
type, beam energy and live time, and the one for ripple files fails. So each is given a copy
of the signal in a form that it knows.
"""

from collections.abc import Callable
from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsciio_xfm._io.atomic import replacing
from rsciio_xfm._io.metadata import INSTRUMENT

if TYPE_CHECKING:
    from hyperspy.signal import BaseSignal

_MSA = ("msa", "ems", "mas", "emsa")
_RIPPLE = ("rpl", "raw", "ripple")
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
# Those of a file that was loaded which are not in metadata.
_KEPT = ("OWNER", "COMMENT")
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


def find_preparation(
    signal: "BaseSignal", filename: Any, extension: str | None, file_format: str | None
) -> "Callable[[BaseSignal], None] | None":
    """Find what a signal needs before it is saved.

    Parameters
    ----------
    signal
        The signal.
    filename, extension, file_format
        As of :meth:`hyperspy.api.signals.BaseSignal.save`.

    Returns
    -------
    callable or None
        Changes a copy of the signal; None if the writer takes it as it is.
    """
    kind = _find_format(signal, filename, extension, file_format)
    axes = signal.axes_manager
    if kind in _MSA and axes.navigation_dimension == 0 and axes.signal_dimension == 1:
        return prepare_msa
    return _prepare_ripple if kind in _RIPPLE else None


def _find_format(
    signal: "BaseSignal", filename: Any, extension: str | None, file_format: str | None
) -> str:
    """Return the format's name or extension, found as HyperSpy finds it."""
    if file_format is not None:
        return file_format.lower()
    is_path = isinstance(filename, str | Path)
    if extension is None and is_path and not Path(filename).is_dir():
        extension = Path(filename).suffix
    if extension is None:
        extension = signal.tmp_parameters.get_item("extension", "")
    return extension.lstrip(".").lower()


def _prepare_ripple(signal: "BaseSignal") -> None:
    signal.metadata.Signal.signal_type = "EDS_SEM"


def prepare_msa(signal: "BaseSignal") -> None:
    """Give a spectrum the form in which RosettaSciIO's MSA writer keeps its metadata.

    Parameters
    ----------
    signal
        A copy of what is saved; it is changed.
    """
    if signal._lazy:
        signal.compute(show_progressbar=False)
    metadata = signal.metadata
    # The writer looks at the TEM node, or at the SEM node once it wrote an EDS_SEM signal.
    metadata.Signal.signal_type = "EDS_TEM"
    metadata.set_item(_TEM, metadata.get_item(INSTRUMENT).deepcopy())
    # It fills in what it knows, in the order in which it finds the keywords, and takes over
    # all others of metadata that come from an MSA file.
    keywords = dict.fromkeys(_KEYWORDS, "")
    original = signal.original_metadata
    if original.get_item("FORMAT") == _FORMAT:
        keywords |= {k: original.get_item(k) for k in _KEPT if original.has_item(k)}
    keywords["FORMAT"] = _FORMAT
    keywords["DATE"] = _format_date(metadata.General.get_item("date"))
    keywords["TIME"] = _format_time(metadata.General.get_item("time"))
    keywords["YUNITS"] = "Counts"
    signal._original_metadata = type(original)(keywords)


def count_operations(signal: "BaseSignal") -> int:
    """Return how often a signal was loaded and saved: after it was, it is one more."""
    return len(signal.metadata.get_item("General.FileIO", {}).keys())


def write_counts_of_msa(
    signal: "BaseSignal",
    format: str = "Y",
    separator: str = ", ",
    encoding: str = "latin-1",
) -> None:
    """Write the counts of an MSA file again, exactly.

    RosettaSciIO writes 6 digits of each in XY form, and 6 decimals in Y form.

    Parameters
    ----------
    signal
        The spectrum that was just saved.
    format, separator, encoding
        Those it was saved with.
    """
    saved = signal.tmp_parameters
    path = Path(saved.folder) / f"{saved.filename}.{saved.extension.lstrip('.')}"
    # newline: as they are, carriage returns included
    with path.open(encoding=encoding, errors="ignore", newline="") as file:
        lines = file.readlines()
    first = 1 + next(i for i, text in enumerate(lines) if text.startswith("#SPECTRUM "))
    counts = signal.data.tolist()
    if format == "XY":
        energies = signal.axes_manager.signal_axes[0].axis
        rows = [f"{x:.10g}{separator}{y}" for x, y in zip(energies, counts, strict=True)]
    else:
        rows = [f"{y}{separator}" for y in counts]
    body = [f"{row}\r\n" for row in rows]
    text = "".join([*lines[:first], *body, lines[-1]])
    with replacing(path) as file:
        file.write(text.encode(encoding, "ignore"))


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
