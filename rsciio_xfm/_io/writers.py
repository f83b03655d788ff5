"""What no writer takes, and which of RosettaSciIO's cannot take our signals as they are."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import dask.array as da
    from hyperspy.signal import BaseSignal

_RIPPLE = ("rpl", "raw", "ripple")


def check_plain(path: str | Path, data: "np.ndarray | da.Array") -> None:
    """Refuse arrays that no format here can hold.

    Parameters
    ----------
    path
        Of the file that is written, for messages.
    data
        Any array.

    Raises
    ------
    TypeError
        It is masked.
    ValueError
        The sizes of its chunks are unknown.
    """
    if isinstance(getattr(data, "_meta", data), np.ma.MaskedArray):
        raise TypeError(
            f"{path}: the array is masked, expected a plain one: what is masked would be "
            "valid when it is loaded. Fill it, as with numpy.ma.filled."
        )
    if any(np.isnan(size) for size in data.shape):
        raise ValueError(
            f"{path}: the sizes of the array's chunks are unknown, expected known ones: use "
            "its compute_chunk_sizes method."
        )


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
