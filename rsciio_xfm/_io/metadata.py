"""Metadata in HyperSpy's form, and the one place that knows where each item lies."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hyperspy.signal import BaseSignal

SIGNAL_TYPE = "EDS_XFM"
DETECTOR_AXIS = "detector"

# exspy looks for these.
INSTRUMENT = "Acquisition_instrument.SEM"
EDS_DETECTOR = f"{INSTRUMENT}.Detector.EDS"
LIVE_TIME = f"{EDS_DETECTOR}.live_time"
REAL_TIME = f"{EDS_DETECTOR}.real_time"
# Percent, a signal with the navigation axes of the map (and perhaps detectors) only.
DEAD_TIME = f"{EDS_DETECTOR}.dead_time"


def build_axis(
    name: str, size: int, scale: float | None, units: str | None, *, navigate: bool = True
) -> dict[str, Any]:
    """Describe a uniform axis as RosettaSciIO does.

    Parameters
    ----------
    name, size, units
        Of the axis.
    scale
        Step in `units`; None leaves the axis uncalibrated: scale 1, no units.
    navigate
        False for the energy axis.

    Returns
    -------
    dict
        An axis with offset 0; ``index_in_array`` is set by :func:`order_axes`.
    """
    return {
        "name": name,
        "size": size,
        "offset": 0.0,
        "scale": 1.0 if scale is None else scale,
        "units": None if scale is None else units,
        "navigate": navigate,
    }


def order_axes(axes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give axes the numbers of the array's axes.

    Parameters
    ----------
    axes
        From :func:`build_axis`, slowest first.
    """
    return [axis | {"index_in_array": i} for i, axis in enumerate(axes)]


def build_dead_time(dead_time: np.ndarray, axes: list[dict[str, Any]]) -> dict[str, Any]:
    """Describe a dead-time map; under the key ``_sig_dead_time`` HyperSpy makes it a signal.

    Parameters
    ----------
    dead_time
        Percent.
    axes
        One for each axis of `dead_time`, all of them navigation axes.
    """
    return {
        "data": dead_time,
        "axes": order_axes(axes),
        "metadata": {
            "General": {"title": "Dead time"},
            "Signal": {"quantity": "Dead time (%)", "signal_type": ""},
        },
        # Held in memory, lazy spectra or not: it is a thousandth of their size.
        "attributes": {"_lazy": False},
    }


def keep_dead_time_with_its_class(signal: "BaseSignal") -> "BaseSignal":
    """Take the dead-time map off a signal of another class, which would not crop it."""
    if signal.metadata.get_item("Signal.signal_type") != SIGNAL_TYPE:
        drop_dead_time(signal.metadata)
    return signal


def drop_dead_time(metadata: Any) -> None:
    """Delete the dead-time map from metadata that have one."""
    if metadata.has_item(DEAD_TIME):
        del metadata.get_item(EDS_DETECTOR).dead_time
