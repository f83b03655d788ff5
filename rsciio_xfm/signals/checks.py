"""What several methods of the signals need before they begin."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rsciio_xfm.core.eds import DETECTOR_AXIS

if TYPE_CHECKING:
    from hyperspy.signal import BaseSignal


def check_axes(signal: "BaseSignal") -> None:
    """Refuse a signal that is no map of spectra.

    Raises
    ------
    ValueError
        It has no axes to navigate, or its channels are not last in the array.
    TypeError
        It is no signal.
    """
    check_signal(signal)
    last = signal.data.ndim - 1
    in_array = [axis.index_in_array for axis in signal.axes_manager.signal_axes]
    if in_array != [last] or not signal.axes_manager.navigation_dimension:
        raise ValueError(
            f"The signal is {signal}, expected spectra with axes to navigate, and their "
            "channels last in the array."
        )


def check_signal(signal: Any) -> None:
    """Refuse what is no signal, such as an array, or the list of a file with images.

    Raises
    ------
    TypeError
        It says what it is, and which signals of a list are spectra.
    """
    if not hasattr(signal, "axes_manager"):
        said = f"This is a {type(signal).__name__}, expected a HyperSpy signal"
        raise TypeError(f"{said}{_spectra_of(signal)}.")


def _spectra_of(given: Any) -> str:
    """Return in words which signals of a list are spectra, "" if none."""
    if not isinstance(given, (list, tuple)):
        return ""
    found = [
        f"s[{k}], {each}"
        for k, each in enumerate(given)
        if hasattr(each, "axes_manager") and each.axes_manager.signal_dimension == 1
    ]
    if not found:
        return ""
    return (
        ". hs.load gives a list where a file holds several signals, such as images of "
        f"the microscope; these are spectra: {'; '.join(found)}"
    )


def check_spectra(signal: Any) -> None:
    """Refuse what are no spectra that elements can be fitted to.

    Raises
    ------
    TypeError
        It is no signal.
    ValueError
        It has not one axis of channels, or its numbers are not real.
    """
    check_signal(signal)
    if signal.axes_manager.signal_dimension != 1:
        raise ValueError(f"The signal is {signal}, expected spectra: one signal axis.")
    if signal.data.dtype.kind not in "biuf":
        raise ValueError(f"The spectra are {signal.data.dtype}, expected real numbers.")


def check_labels(labels: str | Iterable[str], n: int) -> list[str]:
    """Return names of what is drawn, if there is one for each.

    Raises
    ------
    ValueError
        There are more, or fewer.
    """
    names = [labels] if isinstance(labels, str) else [str(one) for one in labels]
    if len(names) != n:
        raise ValueError(f"There are {len(names)} labels, expected {n}, one for each.")
    return names


def check_uniform(axes: Iterable[Any]) -> None:
    """Refuse axes whose steps are not all of one size.

    Raises
    ------
    ValueError
        It names the axis.
    """
    for axis in axes:
        if not axis.is_uniform:
            raise ValueError(
                f"The axis {axis.name} is not uniform, expected steps of one size. If they "
                f"are, but for rounding: s.axes_manager[{axis.name!r}]."
                "convert_to_uniform_axis()."
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
    return steps_of_axes(axes)


def steps_of_axes(axes: Sequence[Any]) -> tuple[tuple[float, str | None], ...]:
    """Return step and unit of axes of what is drawn.

    Raises
    ------
    ValueError
        One is not uniform.
    """
    check_uniform(axes)
    known = [axis.units if isinstance(axis.units, str) else None for axis in axes]
    return tuple((a.scale, units) for a, units in zip(axes, known, strict=True))
