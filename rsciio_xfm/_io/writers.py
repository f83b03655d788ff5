"""Which of RosettaSciIO's writers cannot take our signals as they are."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperspy.signal import BaseSignal

_RIPPLE = ("rpl", "raw", "ripple")


def is_ripple(
    signal: "BaseSignal", filename: Any, extension: str | None, file_format: str | None
) -> bool:
    """Tell whether a signal is saved as ripple file, whose writer knows exspy's types only.

    Parameters
    ----------
    signal
        The signal.
    filename, extension, file_format
        As of :meth:`hyperspy.api.signals.BaseSignal.save`.
    """
    return _find_format(signal, filename, extension, file_format) in _RIPPLE


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
