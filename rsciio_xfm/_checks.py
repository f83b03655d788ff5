"""What several methods of the signals need before they begin."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from dask.diagnostics import ProgressBar

from rsciio_xfm._io.metadata import DETECTOR_AXIS

if TYPE_CHECKING:
    from hyperspy.signal import BaseSignal


def check_axes(signal: "BaseSignal") -> None:
    """Refuse a signal that is no map of spectra.

    Parameters
    ----------
    signal
        Any.

    Raises
    ------
    ValueError
        It has no axes to navigate, or its channels are not last in the array.
    """
    last = signal.data.ndim - 1
    in_array = [axis.index_in_array for axis in signal.axes_manager.signal_axes]
    if in_array != [last] or not signal.axes_manager.navigation_dimension:
        raise ValueError(
            f"The signal is {signal}, expected spectra with axes to navigate, and their "
            "channels last in the array."
        )


def steps_of(signal: "BaseSignal") -> tuple[tuple[float, str | None], ...]:
    """Return step and unit of the axes of a map that is drawn: x, y.

    Parameters
    ----------
    signal
        A map; detectors may be an axis of it.

    Raises
    ------
    ValueError
        It is no map of x and y, or its axes are not uniform.
    """
    axes = signal.axes_manager.navigation_axes
    axes = [axis for axis in axes if axis.name != DETECTOR_AXIS]
    if len(axes) != 2:
        raise ValueError(f"The signal is {signal}, expected a map of x and y.")
    for axis in axes:
        if not axis.is_uniform:
            raise ValueError(
                f"The axis {axis.name} is not uniform, expected equal steps: a picture has "
                "pixels of one size. Use interpolate_on_axis first."
            )
    known = [axis.units if isinstance(axis.units, str) else None for axis in axes]
    return tuple((a.scale, units) for a, units in zip(axes, known, strict=True))


def is_shown(show_progressbar: bool | None) -> bool:
    """Tell whether progress is shown; None is HyperSpy's preference."""
    from hyperspy.api import preferences

    if show_progressbar is None:
        show_progressbar = preferences.General.show_progressbar
    return bool(show_progressbar)


def progress(
    signal: "BaseSignal", show_progressbar: bool | None
) -> AbstractContextManager:
    """Return what shows the progress of dask's computations.

    Parameters
    ----------
    signal
        If it is not lazy, nothing is shown.
    show_progressbar
        None is HyperSpy's preference.
    """
    is_lazy = signal._lazy
    return ProgressBar() if is_lazy and is_shown(show_progressbar) else nullcontext()
