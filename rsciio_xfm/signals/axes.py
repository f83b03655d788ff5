"""The axes of a signal that its times belong to, and whether those of two are the same."""

from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal


def navigating(signal: BaseSignal) -> list[Any]:
    """Return the navigation axes in the order of the array."""
    return [axis for axis in signal.axes_manager._axes if axis.navigate]


def shape_of(signal: BaseSignal) -> tuple[int, ...]:
    """Return the shape of the navigation axes in the order of the array."""
    return tuple(axis.size for axis in navigating(signal))


def is_same_axis(axis: Any, other: Any) -> bool:
    """Tell whether two axes have one size, calibration and, if they have one, name."""
    if axis.size != other.size or not has_same_name(axis, other):
        return False
    tolerance = 1e-6 * (abs(np.ptp(axis.axis)) or 1.0) / max(axis.size - 1, 1)
    return bool(np.allclose(axis.axis, other.axis, rtol=1e-9, atol=tolerance))


def has_same_name(axis: Any, other: Any) -> bool:
    """Tell whether two axes have one name, as far as they have any."""
    names = {a.name for a in (axis, other) if isinstance(a.name, str) and a.name}
    return len(names) < 2
