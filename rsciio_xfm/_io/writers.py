"""What writers of RosettaSciIO need to write our signals well.

They know the signal types of exspy only. With any other, the one for ripple files fails. So
it is given a copy of the signal in a form that it knows.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperspy.signal import BaseSignal

_RIPPLE = ("rpl", "raw", "ripple")


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
