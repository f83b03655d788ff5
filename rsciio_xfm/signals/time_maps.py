"""Times of the spectra as signals, as they are in the metadata and as users have them."""

from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.core.eds import DETECTOR_AXIS, EDS_DETECTOR, HAS_DETECTORS, TIME_MAPS
from rsciio_xfm.signals.times import Times, navigating, shape_of


def build(
    signal: BaseSignal,
    values: np.ndarray,
    title: str,
    quantity: str,
    detectors: dict[str, Any] | None,
) -> BaseSignal:
    """Return a map as a signal."""
    entries: dict[str, str | bool] = {"quantity": quantity, "signal_type": ""}
    if title == "Dead time":
        entries["has_detectors"] = detectors is not None
    return BaseSignal(
        values,
        axes=_axes_of(signal, values.shape, detectors),
        metadata={"General": {"title": title}, "Signal": entries},
    )


def map_of_spectra(
    signal: BaseSignal, values: np.ndarray, title: str, quantity: str
) -> BaseSignal:
    """Return one value for each spectrum as a signal with the axes of the spectra."""
    return build(signal, values, title, quantity, None)


def map_of_dead_times(signal: BaseSignal, times: Times) -> BaseSignal:
    """Return dead times as a signal of one's own, with the axes of the spectra."""
    values = np.array(times.dead)
    return build(signal, values, "Dead time", "Dead time (%)", times.detectors)


def complete(dictionary: dict[str, Any], signal: BaseSignal, times: Times) -> None:
    """Give the maps in a signal's dictionary the axes that the signal has now."""
    node = dictionary["metadata"]
    for name in EDS_DETECTOR.split("."):
        node = node.get(name, {})
    for name in TIME_MAPS:
        found = node.get(f"_sig_{name}")
        if found is not None:
            detectors = times.detectors if name == "dead_time" else None
            found["axes"] = _axes_of(signal, np.shape(found["data"]), detectors)


def _axes_of(
    signal: BaseSignal, shape: tuple[int, ...], detectors: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """Describe the axes of a map; without names while a signal is given other axes."""
    ours = [axis.get_axis_dictionary() for axis in navigating(signal)]
    ours = ours if detectors is None else [detectors, *ours]
    has_shape = shape[len(shape) - len(shape_of(signal)) :] == shape_of(signal)
    # HyperSpy has no signals without axes: one number has one of size 1.
    if not shape or not has_shape or len(ours) != len(shape):
        ours = [{"size": size} for size in (shape or (1,))]
    return [axis | {"navigate": True, "is_binned": False} for axis in ours]


def read(
    signal: BaseSignal, found: BaseSignal
) -> tuple[np.ndarray, dict[str, Any] | None] | None:
    """Return the dead times of a map, and the axis of its detectors, if it fits."""
    data, shape, detectors = np.asarray(found.data), shape_of(signal), None
    if found.metadata.get_item(HAS_DETECTORS, False):
        detectors = found.axes_manager._axes[0].get_axis_dictionary()
    elif not shape and data.shape == (1,):  # HyperSpy has no signals without axes
        data = data.reshape(shape)
    has_shape = (data.shape if detectors is None else data.shape[1:]) == shape
    return (data, detectors) if has_shape else None


def has_axes_of(signal: BaseSignal, found: BaseSignal) -> bool:
    """Tell whether a map that was saved has the axes of the spectra."""
    ours, theirs = navigating(signal), list(found.axes_manager._axes)
    if found.metadata.get_item(HAS_DETECTORS, False):
        theirs = theirs[1:]
    if not ours:
        return [axis.size for axis in theirs] in ([], [1])
    is_same = (is_same_axis(*pair) for pair in zip(ours, theirs, strict=False))
    return len(ours) == len(theirs) and all(is_same)


def read_dead_time(
    signal: BaseSignal, dead_time: Any, times: Times
) -> tuple[np.ndarray, dict[str, Any] | None]:
    """Return the dead times that a user gives, and the axis of detectors that were summed.

    Parameters
    ----------
    signal
        Whose they will be.
    dead_time
        See :meth:`rsciio_xfm.signals.EDSXFMSpectrum.set_dead_time`.
    times
        Of the signal so far.

    Raises
    ------
    ValueError
        They are no numbers from 0 to 100 or NaN, or have another shape than the spectra.
    """
    shape, detectors = shape_of(signal), None
    if isinstance(dead_time, BaseSignal):
        axes = dead_time.axes_manager._axes
        detectors = axes[0].get_axis_dictionary() if len(axes) > len(shape) else None
        dead_time = dead_time.data
    values = np.asarray(dead_time)
    if values.dtype.kind not in "iuf":
        raise ValueError(f"dead_time is {dead_time!r:.60}, expected numbers (percent).")
    values = values if values.dtype.kind == "f" else values.astype(np.float32)
    if count_wrong(values):
        wrong = ~((values >= 0) & (values <= 100)) & ~np.isnan(values)
        raise ValueError(
            f"{np.count_nonzero(wrong)} of {values.size} dead times are not within 0 and "
            f"100 %; the first is {values[wrong][0]:g}."
        )
    if not values.ndim:
        expected = shape if times.dead is None else times.dead.shape
        return np.full(expected, values), times.detectors
    if values.shape == shape or (not shape and values.shape == (1,)):
        return np.array(values).reshape(shape), None
    if values.shape[1:] == shape and values.size:
        if times.dead is not None and detectors is None and times.detectors is not None:
            detectors = times.detectors if len(times.dead) == len(values) else None
        if detectors is None:
            detectors = {"size": len(values), "name": DETECTOR_AXIS, "navigate": True}
        return np.array(values), detectors
    raise ValueError(
        f"dead_time has the shape {values.shape}, expected one number, or {shape}, that of "
        "the spectra (rows first), or with an axis of detectors before these."
    )


def describe(found: Any) -> str:
    """Return what is wrong with dead times that a user gave."""
    if not isinstance(found, BaseSignal):
        return f"are {found!r:.40}"
    data = np.asarray(found.data)
    n_wrong = count_wrong(data)
    return f"have the shape {data.shape}" + (
        f", and {n_wrong} of them are no percentages" if n_wrong else ""
    )


def count_wrong(dead: np.ndarray) -> int:
    """Return how many dead times are none; NaN is one that was not measured."""
    if dead.dtype.kind not in "iuf":
        return dead.size
    return int(np.count_nonzero(~((dead >= 0) & (dead <= 100)) & ~np.isnan(dead)))


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
