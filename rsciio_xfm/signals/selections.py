"""What a user selects in a signal, energy windows and regions, as arrays."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.roi import BaseROI, Line2DROI
from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.maps import pixels_of_labels
from rsciio_xfm.core.eds import EDS_DETECTOR
from rsciio_xfm.signals.checks import check_uniform
from rsciio_xfm.signals.lines import check_element, check_line, warn_of_overlaps

if TYPE_CHECKING:
    from exspy.signals import EDSSEMSpectrum

# In the metadata of a label image: the lowest number that is a region.
FIRST_LABEL = "Signal.first_label"
_PAIR = 2
_NUMBERS = (int, float, np.integer, np.floating)


def resolve_windows(
    signal: "EDSSEMSpectrum", windows: Any, integration_windows: float
) -> dict[str, tuple[int, int]]:
    """Return first channel and the one after the last of energy windows, by name.

    See :func:`rsciio_xfm.signals.maps.get_window_images` for what they may be.
    """
    if not isinstance(integration_windows, _NUMBERS) or not integration_windows > 0:
        raise ValueError(
            f"integration_windows is {integration_windows!r:.60}, expected a number above 0. "
            "Several windows are a list."
        )
    check_uniform(signal.axes_manager.signal_axes)
    named = _named_windows(_lines_of(signal) if windows is None else windows)
    resolved: dict[str, tuple[int, int]] = {}
    lines: list[str] = []
    for name, window in named.items():
        if window is None and not isinstance(name, str):
            resolved |= _resolve_pair(signal, name)
        elif window is None or isinstance(window, str):
            pairs = _resolve_lines(signal, window or name, integration_windows)
            lines += pairs
            resolved |= pairs if window is None else {name: next(iter(pairs.values()))}
        else:
            resolved[name] = _channels(signal, *_pair(window))
    if not resolved:
        raise ValueError("There is no window: expected lines, elements or (start, stop).")
    if lines:
        warn_of_overlaps(signal, lines, integration_windows)
    return resolved


def _named_windows(windows: Any) -> dict[Any, Any]:
    """Return windows by name; those without one are names themselves, of None."""
    if not isinstance(windows, Mapping):
        return dict.fromkeys(_as_list(windows))
    named = {str(name): window for name, window in windows.items()}
    if len(named) < len(windows):
        raise ValueError(f"Names of windows repeat, expected each once: {[*windows]}.")
    return named


def _lines_of(signal: "EDSSEMSpectrum") -> list[str]:
    lines = signal.metadata.get_item("Sample.xray_lines", [])
    if not len(lines):
        lines = signal.metadata.get_item("Sample.elements", [])
    if not len(lines):
        raise ValueError(
            "windows is None, and the metadata have neither X-ray lines nor elements: name "
            "them, as in ['Fe_Ka', 'Ca'], or use set_elements or set_lines first."
        )
    return [str(line) for line in lines]


def _as_list(windows: Any) -> list[Any]:
    """Return windows in a list, pairs as tuples."""
    if isinstance(windows, str):
        return [windows]
    if not isinstance(windows, Iterable):
        raise _no_window(windows)
    windows = list(windows)
    if len(windows) == _PAIR and all(isinstance(w, _NUMBERS) for w in windows):
        return [tuple(windows)]  # a single pair
    return [w if isinstance(w, str) else _pair(w) for w in windows]


def _pair(window: Any) -> tuple[Any, Any]:
    if isinstance(window, str) or not isinstance(window, Iterable):
        raise _no_window(window)
    edges = tuple(window)
    if len(edges) != _PAIR:
        raise _no_window(window)
    return edges


def _no_window(window: Any) -> ValueError:
    return ValueError(
        f"A window is {window!r:.60}, expected an X-ray line, an element, or a pair "
        "(start, stop): numbers with a point are energies, whole numbers channels."
    )


def _resolve_pair(
    signal: "EDSSEMSpectrum", window: tuple[Any, Any]
) -> dict[str, tuple[int, int]]:
    start, stop = _channels(signal, *window)
    if all(isinstance(edge, float | np.floating) for edge in window):
        units = signal.axes_manager.signal_axes[0].units or ""
        return {f"{window[0]}-{window[1]} {units}".strip(): (start, stop)}
    return {f"channels {start}-{stop}": (start, stop)}


def _channels(signal: "EDSSEMSpectrum", start: Any, stop: Any) -> tuple[int, int]:
    """Return the channels of a pair, as ``isig[start:stop]`` takes it."""
    axis = signal.axes_manager.signal_axes[0]
    units = axis.units
    if not isinstance(units, str) or not units:
        units = "(channels: the energy axis has no units, so it is not calibrated)"
    _refuse_mixture(start, stop, units)
    for edge in (start, stop):
        is_energy = isinstance(edge, float | np.floating)
        if is_energy and not axis.low_value <= edge <= axis.high_value + abs(axis.scale):
            raise ValueError(
                f"A window is {start} to {stop}, expected {axis.low_value:g} to "
                f"{axis.high_value:g} {units}, where the spectra are."
            )
        if isinstance(edge, int | np.integer) and not -axis.size <= edge <= axis.size:
            raise ValueError(
                f"A window is channels {start} to {stop}, expected 0 to {axis.size}."
            )
    try:
        found = axis._get_array_slices(slice(start, stop)).indices(axis.size)
    except (AttributeError, TypeError, ValueError) as error:  # text that is no energy
        raise _no_window((start, stop)) from error
    if found[0] >= found[1]:
        raise ValueError(
            f"A window is {start} to {stop}, expected at least one of the {axis.size} "
            f"channels, {axis.low_value:g} to {axis.high_value:g} {units}. Numbers with a "
            "point are energies, whole numbers are channels."
        )
    return found[0], found[1]


def _refuse_mixture(start: Any, stop: Any, units: str) -> None:
    """Refuse a pair of a channel and an energy: it is not known which was forgotten."""
    are_channels = [
        isinstance(edge, int | np.integer) for edge in (start, stop) if edge is not None
    ]
    if len(set(are_channels)) < _PAIR:
        return
    edges = [edge if isinstance(edge, str) else float(edge) for edge in (start, stop)]
    readings = f"({edges[0]!r}, {edges[1]!r}), energies in {units}"
    if str not in map(type, edges):
        low, high = (int(edge) for edge in edges)
        readings += f", or ({low}, {high}), channels"
    raise ValueError(
        f"A window is ({start!s}, {stop!s}), a whole number and one with a point, expected "
        f"two of a kind: {readings}."
    )


def _resolve_lines(
    signal: "EDSSEMSpectrum", name: str, integration_windows: float
) -> dict[str, tuple[int, int]]:
    """Return the windows of a line, or of the line that exspy takes for an element."""
    lines = [name]
    if "_" in name:
        check_line(name)
    else:
        check_element(name)
        lines = signal._get_lines_from_elements([name], only_one=True, only_lines=("a",))
        if not len(lines):
            raise ValueError(
                f"{name} has no line in the spectra that the beam excites; name one, as in "
                f"'{name}_Ka'."
            )
    units = signal.axes_manager.signal_axes[0].units
    if not isinstance(units, str) or not units.endswith("eV"):
        said = repr(units) if isinstance(units, str) else "not known"
        raise ValueError(
            f"The line {name} has no window: the units of the energy axis are {said}, "
            "expected eV or keV. Calibrate it: s.calibrate_energy, in a terminal rsciio-xfm "
            "calibrate, or scale, offset and units of s.axes_manager.signal_axes[0]; or give "
            "channels."
        )
    resolution = f"{EDS_DETECTOR}.energy_resolution_MnKa"
    if not signal.metadata.get_item(
        resolution, signal.metadata.get_item(resolution.replace("SEM", "TEM"))
    ):
        raise ValueError(
            f"metadata.{resolution} is not known, expected eV: the window of a line is as "
            "wide as the detector makes it. Use set_microscope_parameters, or give pairs."
        )
    edges = signal.estimate_integration_windows(
        windows_width=integration_windows, xray_lines=lines
    )
    axis = signal.axes_manager.signal_axes[0]
    resolved = {}
    for line, (start, stop) in zip(lines, edges, strict=True):
        # The window of a line at the very end of the spectra may reach beyond it.
        first = max(float(start), axis.low_value)
        last = float(stop) if stop <= axis.high_value else None
        if first > axis.high_value or (last is not None and last <= axis.low_value):
            raise ValueError(
                f"The window of {line} is {start:.3f} to {stop:.3f} {axis.units or ''}, "
                f"expected some of {axis.low_value:g} to {axis.high_value:g}, where the "
                "spectra are."
            )
        resolved[str(line)] = _channels(signal, first, last)
    return resolved


def resolve_regions(signal: BaseSignal, regions: Any) -> dict[str, np.ndarray]:
    """Return regions by name: boolean maps, or positions of pixels in the flattened map.

    See :func:`rsciio_xfm.signals.maps.get_region_spectra` for what they may be.
    """
    shape = signal.data.shape[: signal.axes_manager.navigation_dimension]
    if np.ma.isMaskedArray(regions):
        regions = regions.filled(0)  # outside, as an array's first label is 1
    labels = _labels(regions, shape)
    if labels is not None:
        return _resolve_labels(labels, _first_label(regions))
    if isinstance(regions, Mapping):
        named = {str(name): region for name, region in regions.items()}
        if len(named) < len(regions):
            raise ValueError(
                f"Names of regions repeat, expected each once: {[*regions]}."
            )
    elif isinstance(regions, BaseROI | BaseSignal) or _is_mask(regions):
        named = {"0": regions}
    elif (
        isinstance(regions, Iterable)
        and not isinstance(regions, str)
        and getattr(regions, "ndim", 1) != 0
    ):
        named = {str(i): region for i, region in enumerate(regions)}
    else:
        raise ValueError(
            f"regions is {regions!r:.60}, expected boolean maps, lists of pixels, ROIs, or "
            "a label image."
        )
    if not named:
        raise ValueError("There is no region: expected boolean maps, pixels or ROIs.")
    found = {name: _region(signal, region, shape) for name, region in named.items()}
    for name, region in found.items():
        if not (region.any() if region.dtype == bool else region.size):
            raise ValueError(f"Region {name!r} has no pixel.")
    return found


def _labels(regions: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return a label image as an array of a shape, None if there is none."""
    data = regions.data if isinstance(regions, BaseSignal) else regions
    kind = getattr(getattr(data, "dtype", None), "kind", "")
    if kind == "f" and data.shape == shape:
        raise ValueError(
            f"regions is an image of {data.dtype}, expected whole numbers, that are labels, "
            "or a boolean map: as labels.astype(int), or image > 100."
        )
    if kind not in ("i", "u"):
        return None
    if data.shape == shape:
        return np.asarray(data)
    if data.ndim == _PAIR < len(shape) and data.shape == shape[-_PAIR:]:
        return np.broadcast_to(data, shape)  # the same of each detector
    if isinstance(regions, BaseSignal) or data.ndim == _PAIR:
        raise ValueError(
            f"regions is an image of {data.dtype}, shape {data.shape}, expected labels of "
            f"shape {shape}, the rows first."
        )
    return None  # lists of pixels


def _first_label(labels: Any) -> int:
    """Return the lowest label that is a region: 1, or what the image says."""
    if isinstance(labels, BaseSignal):
        return int(labels.metadata.get_item(FIRST_LABEL, 1))
    return 1


def _resolve_labels(labels: np.ndarray, first: int) -> dict[str, np.ndarray]:
    found = pixels_of_labels(labels, first)
    if not found:
        raise ValueError(
            f"The label image has no number from {first} on, expected some: what is below is "
            "outside."
        )
    return {str(label): pixels for label, pixels in found.items()}


def _is_mask(region: Any) -> bool:
    """Tell whether something is a single boolean map, perhaps as nested lists."""
    try:
        array = np.asarray(region)
    except ValueError:  # of parts of different lengths
        return False
    return array.dtype == bool and array.ndim <= _PAIR


def _region(signal: BaseSignal, region: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return a boolean map, or positions of pixels in the flattened map."""
    if isinstance(region, BaseROI):
        return _pixels_of_roi(signal, region, shape)
    region = _to_array(region.data if isinstance(region, BaseSignal) else region)
    if region.dtype == bool:
        if region.shape == shape:
            return region
        if region.ndim == _PAIR < len(shape) and region.shape == shape[-_PAIR:]:
            return np.broadcast_to(region, shape)  # the same of each detector
        raise ValueError(
            f"A region is a boolean map of shape {region.shape}, expected {shape}, the rows "
            "first."
        )
    n_axes = len(shape)
    is_pixels = region.ndim == _PAIR and region.shape[1] == n_axes
    if not is_pixels or region.dtype.kind not in "iu":
        raise ValueError(
            f"A region is an array of {region.dtype}, shape {region.shape}, expected a "
            f"boolean map of shape {shape}, or a list of pixels of {n_axes} whole numbers."
        )
    sizes = np.array(signal.axes_manager.navigation_shape)
    is_outside = ((region < 0) | (region >= sizes)).any(axis=1)
    if is_outside.any():
        raise IndexError(
            f"A pixel is {tuple(region[is_outside][0].tolist())}, expected x, y, ... within "
            f"0 and {tuple(sizes.tolist())}, the size of the map."
        )
    positions = np.ravel_multi_index(tuple(region.T[::-1].astype(np.intp)), shape)
    return np.unique(positions)


def _to_array(region: Any) -> np.ndarray:
    """Return a region as an array; of a boolean map, what was masked is outside."""
    if np.ma.isMaskedArray(region) and region.dtype == bool:
        return region.filled(False)
    if np.ma.is_masked(region):
        raise ValueError("A region is masked, expected a boolean map, or pixels without.")
    try:
        return np.asarray(region)
    except ValueError as error:
        raise ValueError("A region has rows of different lengths.") from error


def _pixels_of_roi(
    signal: BaseSignal, roi: BaseROI, shape: tuple[int, ...]
) -> np.ndarray:
    if isinstance(roi, Line2DROI):  # it interpolates and averages: no set of pixels
        raise ValueError(
            "A region is a Line2DROI, expected one that consists of pixels. For a profile "
            "apply it to the signal, roi(s)."
        )
    # What it picks of a map of the pixels' numbers.
    numbers = BaseSignal(
        np.arange(np.prod(shape, dtype=int), dtype=float).reshape(shape),
        axes=[
            a.get_axis_dictionary() | {"navigate": False}
            for a in signal.axes_manager._axes[: len(shape)]
        ],
    ).transpose(navigation_axes=len(shape))
    # The signal axes come in the order of the array; those of navigation have to be as ours.
    picked = np.asarray(roi(numbers).data)
    return np.unique(picked[np.isfinite(picked)].astype(np.intp))
