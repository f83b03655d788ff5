"""What a user selects in a signal, energy windows and regions, as arrays."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.roi import BaseROI
from hyperspy.signal import BaseSignal

if TYPE_CHECKING:
    from exspy.signals import EDSSEMSpectrum

_PAIR = 2
_NUMBERS = (int, float, np.integer, np.floating)


def resolve_windows(
    signal: "EDSSEMSpectrum", windows: Any, integration_windows: float
) -> dict[str, tuple[int, int]]:
    """Return the channels of energy windows, by name.

    Parameters
    ----------
    signal
        EDS spectra.
    windows
        See :meth:`rsciio_xfm.signals.EDSXFMSpectrum.get_window_images`.
    integration_windows
        Width of the window of a line, in FWHM of that line.

    Returns
    -------
    dict of str to (int, int)
        First channel and the one after the last.

    Raises
    ------
    ValueError
        A window is no line, element or pair, or is not within the spectra.
    """
    if windows is None:
        windows = _lines_of(signal)
    elif isinstance(windows, str):
        windows = [windows]
    named = windows.items() if isinstance(windows, Mapping) else _name(signal, windows)
    resolved: dict[str, tuple[int, int]] = {}
    for name, window in named:
        if isinstance(window, str):
            pairs = _resolve_lines(signal, window, integration_windows)
            if isinstance(windows, Mapping) and len(pairs) == 1:
                pairs = {name: next(iter(pairs.values()))}
            resolved |= pairs
        else:
            resolved[name] = _channels(signal, window)
    if not resolved:
        raise ValueError("There is no window: expected lines, elements or (start, stop).")
    return resolved


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


def _name(signal: "EDSSEMSpectrum", windows: Iterable[Any]) -> Iterable[tuple[str, Any]]:
    windows = list(windows)
    if len(windows) == _PAIR and all(isinstance(w, _NUMBERS) for w in windows):
        windows = [tuple(windows)]  # a single pair
    units = signal.axes_manager.signal_axes[0].units or ""
    for window in windows:
        if isinstance(window, str):
            yield window, window
            continue
        start, stop = _pair(window)
        if all(isinstance(w, int | np.integer) for w in (start, stop)):
            yield f"channels {start}-{stop}", window
        else:
            yield f"{start}-{stop} {units}".strip(), window


def _pair(window: Any) -> tuple[Any, Any]:
    try:
        start, stop = window
    except (TypeError, ValueError):
        raise ValueError(
            f"A window is {window!r:.60}, expected an X-ray line, an element, or a pair "
            "(start, stop): numbers with a point are energies, whole numbers channels."
        ) from None
    return start, stop


def _channels(signal: "EDSSEMSpectrum", window: Any) -> tuple[int, int]:
    start, stop = _pair(window)
    axis = signal.axes_manager.signal_axes[0]
    for edge in (start, stop):
        is_energy = isinstance(edge, float | np.floating)
        if is_energy and not axis.low_value <= edge <= axis.high_value + axis.scale:
            raise ValueError(
                f"A window is {start} to {stop}, expected {axis.low_value:g} to "
                f"{axis.high_value:g} {axis.units or ''}, where the spectra are."
            )
    # As isig[start:stop] takes them.
    found = axis._get_array_slices(slice(start, stop)).indices(axis.size)
    if found[0] >= found[1]:
        raise ValueError(
            f"A window is {start} to {stop}, expected at least one of the {axis.size} "
            "channels. Numbers with a point are energies, whole numbers are channels."
        )
    return found[0], found[1]


def _resolve_lines(
    signal: "EDSSEMSpectrum", name: str, integration_windows: float
) -> dict[str, tuple[int, int]]:
    """Return the windows of a line, or of the line that exspy takes for an element."""
    from exspy.material import elements

    lines = [name]
    if "_" in name and not is_line(name):
        raise ValueError(f"{name!r} is no X-ray line, expected one like Fe_Ka.")
    if "_" not in name:
        if name not in elements:
            raise ValueError(f"{name!r} is no element, expected a symbol like Fe.")
        lines = signal._get_lines_from_elements([name], only_one=True, only_lines=("a",))
        if not len(lines):
            raise ValueError(
                f"{name} has no line in the spectra that the beam excites; name one, as in "
                f"'{name}_Ka'."
            )
    edges = signal.estimate_integration_windows(
        windows_width=integration_windows, xray_lines=lines
    )
    axis = signal.axes_manager.signal_axes[0]
    resolved = {}
    for line, (start, stop) in zip(lines, edges, strict=True):
        # The window of a line at the very end of the spectra may reach beyond it.
        inside = max(float(start), axis.low_value), min(float(stop), axis.high_value)
        if inside[0] >= inside[1]:
            raise ValueError(
                f"The window of {line} is {start:.3f} to {stop:.3f} {axis.units or ''}, "
                f"expected some of {axis.low_value:g} to {axis.high_value:g}, where the "
                "spectra are."
            )
        resolved[str(line)] = _channels(signal, inside)
    return resolved


def is_line(name: str) -> bool:
    """Tell whether a name is that of an X-ray line, as exspy writes it."""
    from exspy.material import elements

    element, _, line = name.partition("_")
    return element in elements and line in elements[element].Atomic_properties.Xray_lines


def resolve_regions(signal: BaseSignal, regions: Any) -> dict[str, np.ndarray]:
    """Return boolean maps of regions, by name.

    Parameters
    ----------
    signal
        Spectra.
    regions
        See :meth:`rsciio_xfm.signals.EDSXFMSpectrum.get_region_spectra`.

    Returns
    -------
    dict of str to numpy.ndarray
        The shape of the navigation axes in the array.

    Raises
    ------
    ValueError
        A region is none, or has no pixel.
    IndexError
        A pixel is not in the map.
    """
    if isinstance(regions, BaseROI | BaseSignal | np.ndarray):
        regions = [regions]
    if not isinstance(regions, Mapping):
        regions = {str(i): region for i, region in enumerate(regions)}
    if not regions:
        raise ValueError("There is no region: expected boolean maps, pixels or ROIs.")
    masks = {str(name): _mask(signal, region) for name, region in regions.items()}
    for name, mask in masks.items():
        if not mask.any():
            raise ValueError(f"Region {name!r} has no pixel.")
    return masks


def _mask(signal: BaseSignal, region: Any) -> np.ndarray:
    shape = signal.data.shape[: signal.axes_manager.navigation_dimension]
    if isinstance(region, BaseROI):
        return _mask_of_roi(signal, region, shape)
    if isinstance(region, BaseSignal):
        region = region.data
    region = np.asarray(region)
    if region.dtype == bool:
        if region.shape == shape:
            return region
        if region.shape == shape[-region.ndim :]:
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
    mask = np.zeros(shape, dtype=bool)
    sizes = np.array(signal.axes_manager.navigation_shape)
    is_outside = ((region < 0) | (region >= sizes)).any(axis=1)
    if is_outside.any():
        raise IndexError(
            f"A pixel is {tuple(region[is_outside][0].tolist())}, expected x, y, ... within "
            f"0 and {tuple(sizes.tolist())}, the size of the map."
        )
    mask[tuple(region.T[::-1])] = True
    return mask


def _mask_of_roi(signal: BaseSignal, roi: BaseROI, shape: tuple[int, ...]) -> np.ndarray:
    # What it picks of a map of the pixels' numbers.
    numbers = BaseSignal(
        np.arange(np.prod(shape, dtype=int), dtype=float).reshape(shape),
        axes=[
            {k: getattr(a, k) for k in ("name", "size", "scale", "offset", "units")}
            for a in signal.axes_manager._axes[: len(shape)]
        ],
    ).transpose(navigation_axes=len(shape))
    # The signal axes come in the order of the array; those of navigation have to be as ours.
    picked = np.asarray(roi(numbers).data)
    mask = np.zeros(shape, dtype=bool)
    mask.ravel()[picked[np.isfinite(picked)].astype(int)] = True
    return mask
