"""What the axes of a dataset are: pixels or points, detectors, channels.

An array of numbers does not say. Where names or what lies beside it do not say either, it is
refused: detectors or energies that are opened as if they were pixels look like a map.
"""

import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.hdf5.links import get
from rsciio_xfm.core.hdf5.sizes import is_numeric
from rsciio_xfm.core.hdf5.small import text_of
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.hdf5_maps.find import Found, listed_axes
from rsciio_xfm.formats.hdf5_maps.layout import CHANNELS_FIRST, MEASUREMENT

PIXELS = ("z", "y", "x")  # slowest first, as in the arrays that are made of them
POINT, DETECTOR, CHANNEL = "point", "detector", "channel"
ROLES = (*PIXELS, POINT, DETECTOR, CHANNEL)
EXAMPLE = "y x detector channel"
_EXAMPLES = {
    3: ["y x channel", "point detector channel", "channel y x"],
    4: [EXAMPLE, "detector y x channel", "channel y x detector"],
    5: ["z y x detector channel"],
}
_LEAST_CHANNELS = 64  # fewer are no spectrum
_MOST_DETECTORS = 32  # of an axis that a name says to be theirs
_LEAST_PIXELS = 17  # along an axis that cannot be one of detectors
_LEAST_COUNTERS = 2
_CHANNEL_NAMES = re.compile(r"(energ(y|ies)|channels?|bins?|mca)(_.*)?", re.IGNORECASE)
_DETECTOR_NAMES = re.compile(r"(det|detectors?|elements?|sensors?)(_.*)?", re.IGNORECASE)
_OF_DETECTORS = re.compile(r"xspress3?|xsp3", re.IGNORECASE)
_ATTRIBUTES = "NDAttributes"  # beside the spectra that areaDetector writes
_ENERGIES = ("channels", "energy", "energies", "Energy")


def parse_axes(axes: Any) -> tuple[str, ...] | None:
    """Read the option `axes` of :func:`rsciio_xfm.esrf.file_reader`.

    Parameters
    ----------
    axes
        Names in the order of the array's axes, as ``"y x detector channel"``; or None.

    Returns
    -------
    tuple of str or None

    Raises
    ------
    ValueError
        A name is not known or stands twice, or there are no channels.

    Examples
    --------
    >>> parse_axes("point, detector, channel")
    ('point', 'detector', 'channel')
    """
    if axes is None:
        return None
    roles = tuple(re.findall(r"[^\s,]+", axes)) if isinstance(axes, str) else ()
    is_mixed = POINT in roles and bool(set(roles) & set(PIXELS))
    is_known = set(roles) <= set(ROLES) and len(set(roles)) == len(roles)
    if not is_known or is_mixed or CHANNEL not in roles:
        raise ValueError(
            f"axes is {axes!r:.60}, expected one text with the names of the array's axes in "
            f"their order, each once, with blanks between, as {EXAMPLE!r}: z, y and x, or "
            "point, for what was measured at; detector; channel, which has to be there."
        )
    return roles


def find_axes(path: Path, found: Found, given: tuple[str, ...] | None) -> tuple[str, ...]:
    """Tell what the axes of a dataset of spectra are.

    Parameters
    ----------
    path, found
        The file, and the dataset, of one axis at least.
    given
        From :func:`parse_axes`.

    Returns
    -------
    tuple of str
        One of `ROLES` for each axis of the dataset; ``axis0``, ... for pixels of more than
        three axes.

    Raises
    ------
    FileFormatError
        Nothing tells, or `given` is of another number of axes.

    Notes
    -----
    In this order: what the user says; names of axes (``axes`` of an NXdata, labels of
    dimensions) that are of detectors or energies; the name ``mca_arr``, and the numbers of the
    channels (``channels``) beside the spectra, where they are as many as another axis than
    the last one has entries; other names, or coordinates, of all axes but the last one, which
    are pixels then. Detectors are told by names of what writes all of them at each point, or
    by counters beside the spectra, of as many points as the first axis has; pixels by
    ``interpretation="spectrum"``, a name that begins with ``mca`` as PyMca looks for it, and
    energies where no axis is so short that it could be of detectors. Arrays of three axes and
    more of which none, or both, is told are refused if they have an axis of 64 or more:
    others hold no spectra.
    """
    dataset = found.dataset
    if given is not None:
        if len(given) != dataset.ndim:
            raise FileFormatError(
                f"{path}: {found.name} is {dataset.shape}, expected {len(given)} axes, as "
                f"axes is {' '.join(given)!r} {_place(dataset)}."
            )
        return given
    labels, plain = _labels(found), _as_pixels(dataset.ndim)
    roles = _of_names(labels) or _of_channels(found)
    if roles is not None or dataset.ndim < 3 or _are_placed(found, labels):
        return roles or plain
    roles, is_map = _of_detectors(found) or _of_counters(found), _is_map(found)
    # Of more axes, detectors are among what seem to be pixels.
    are_both = is_map and roles is not None and dataset.ndim == 3
    if are_both or not (is_map or roles):
        raise FileFormatError(_unknown(path, found))
    return roles or plain


def _unknown(path: Path, found: Found) -> str:
    shape = found.dataset.shape
    ways = _EXAMPLES.get(len(shape), [EXAMPLE])
    return (
        f"{path}: {found.name} is {shape} and nothing tells which of its axes are pixels, "
        f"detectors or channels, expected names, an axes attribute or energies that do "
        f"{_place(found.dataset)}. Say it, in the order of the array, with "
        f"{', or '.join(f'axes={way!r}' for way in ways)} (--axes on the command line)."
    )


def _place(dataset: h5py.Dataset) -> str:
    return f"(byte {h5py.h5o.get_info(dataset.id).addr})"


def _as_pixels(n_axes: int, channel: int = -1) -> tuple[str, ...]:
    """Return names where all axes but one are pixels."""
    n = n_axes - 1
    pixels = [*PIXELS[-n:]] if 0 < n <= len(PIXELS) else []
    pixels = pixels or [f"axis{i}" for i in range(n)]
    pixels.insert(channel % n_axes, CHANNEL)
    return tuple(pixels)


def _with_detectors(n_axes: int, detector: int, channel: int) -> tuple[str, ...]:
    """Return names where one axis is that of detectors."""
    outer = [POINT] if n_axes == 3 else list(_as_pixels(n_axes - 1)[:-1])
    for place, role in sorted(
        [(detector % n_axes, DETECTOR), (channel % n_axes, CHANNEL)]
    ):
        outer.insert(place, role)
    return tuple(outer)


def _labels(found: Found) -> list[str]:
    """Return what the axes are called: by an NXdata, or the labels of the dimensions."""
    n_axes = found.dataset.ndim
    for group in found.parents:
        listed = listed_axes(group)
        if len(listed) == n_axes:
            return ["" if name == "." else name for name in listed]
    return [_dimension_label(found.dataset, i) for i in range(n_axes)]


def _dimension_label(dataset: h5py.Dataset, i: int) -> str:
    with suppress(RuntimeError, UnicodeDecodeError):  # spectra can be read without it
        return text_of(dataset.dims[i].label)
    return ""


def _of_names(labels: list[str]) -> tuple[str, ...] | None:
    """Tell by the names of the axes, if there are detectors, or channels that are not last."""
    n = len(labels)
    channels = [i for i, name in enumerate(labels) if _CHANNEL_NAMES.fullmatch(name)]
    detectors = [i for i, name in enumerate(labels) if _DETECTOR_NAMES.fullmatch(name)]
    unnamed = [i for i, name in enumerate(labels) if not name]
    if not channels or (n - 1 in unnamed and channels != [n - 1]):
        # Energies before an axis without a name may be those of the beam.
        channels = unnamed[-1:] if n - 1 in unnamed or len(unnamed) == 1 else []
    rest = [i for i in unnamed if i not in channels]
    if not detectors and len(rest) == 1 and n > 3:
        detectors = rest  # as two or more axes of pixels have names
    if len(channels) != 1 or len(detectors) > 1 or channels == detectors:
        return None
    if detectors:
        return _with_detectors(n, detectors[0], channels[0])
    return None if channels == [n - 1] else _as_pixels(n, channels[0])


def _of_channels(found: Found) -> tuple[str, ...] | None:
    """Tell channels that are not last by a name, or by their numbers beside the spectra.

    Not by energies: these may be those of the beam at each point.
    """
    shape = found.dataset.shape
    if found.name.rsplit("/", 1)[-1] == CHANNELS_FIRST and len(shape) > 1:
        return _as_pixels(len(shape), 0)
    for size in _sizes(found, ("channels",)):
        places = [i for i, n in enumerate(shape) if n == size]
        if len(places) == 1 and places[0] != len(shape) - 1:
            return _as_pixels(len(shape), places[0])
    return None


def _sizes(found: Found, keys: tuple[str, ...]) -> list[int]:
    items = [get(group, key) for group in found.parents for key in keys]
    return [
        item.shape[0]
        for item in items
        if isinstance(item, h5py.Dataset) and item.ndim == 1
    ]


def _of_detectors(found: Found) -> tuple[str, ...] | None:
    """Tell by the names of what writes all detectors of a point together."""
    groups = [outer for group in found.parents for outer in (group, group.parent)]
    has_attributes = any(
        isinstance(get(group, _ATTRIBUTES), h5py.Group) for group in groups
    )
    *outer, n_detectors, n_channels = found.dataset.shape
    is_named = has_attributes or _OF_DETECTORS.search(found.name) is not None
    is_likely = n_detectors <= _MOST_DETECTORS < _LEAST_CHANNELS <= n_channels
    if not is_named or not is_likely:
        return None
    return _with_detectors(len(outer) + 2, -2, -1)


def _of_counters(found: Found) -> tuple[str, ...] | None:
    """Tell by counters of as many points as the first axis has: the second are detectors."""
    shape = found.dataset.shape
    if len(shape) != 3 or any(any(listed_axes(group)) for group in found.parents):
        return None
    n_points, n_detectors, n_channels = shape
    groups = list(found.parents)
    if found.entry is not None:
        groups.append(get(found.entry, MEASUREMENT))
    sizes = [size for group in groups for size in _counter_sizes(group)]
    is_point = sizes.count(n_points) >= _LEAST_COUNTERS and n_detectors not in sizes
    is_likely = n_detectors <= _MOST_DETECTORS < n_channels
    if not is_point or not is_likely or n_points in (n_detectors, n_channels):
        return None
    return POINT, DETECTOR, CHANNEL


def _counter_sizes(group: Any) -> list[int]:
    """Return the sizes of what has one number for each point."""
    if not isinstance(group, h5py.Group):
        return []
    items = [
        get(group, key)
        for key in group
        if isinstance(key, str) and key not in _ENERGIES and not key.startswith("dim")
    ]
    return [
        item.shape[0]
        for item in items
        if isinstance(item, h5py.Dataset) and is_numeric(item) and item.ndim == 1
    ]


def _is_map(found: Found) -> bool:
    """Tell whether the last axis are channels, and the others seem to be pixels."""
    dataset = found.dataset
    if found.interpretation == "spectrum" or max(dataset.shape) < _LEAST_CHANNELS:
        return True
    *pixels, n_channels = dataset.shape
    if found.layout:  # by its name
        return n_channels >= min(_LEAST_CHANNELS, max(pixels))
    has_energies = n_channels in _sizes(found, _ENERGIES) or any(
        isinstance(get(group, "calibration"), h5py.Dataset) for group in found.parents
    )
    return has_energies and min(pixels) >= _LEAST_PIXELS


def _are_placed(found: Found, labels: list[str]) -> bool:
    """Tell whether all axes but the last one have names or coordinates, as pixels have."""
    return all(label or _has_coordinates(found, i) for i, label in enumerate(labels[:-1]))


def _has_coordinates(found: Found, i: int) -> bool:
    """Tell whether there is a position for each pixel along an axis, as PyMca looks for it."""
    keys = f"dim{i}", f"map/dim{i}"
    items = [get(group, key) for group in found.parents for key in keys]
    return any(
        isinstance(item, h5py.Dataset) and item.shape == found.dataset.shape[i : i + 1]
        for item in items
    )


def order_of(roles: tuple[str, ...]) -> tuple[int, ...]:
    """Return the axes of a dataset in the order of the signal: pixels, channels last.

    Without that of the detectors.
    """
    pixels = [role for role in roles if role not in (DETECTOR, CHANNEL)]
    pixels.sort(key=lambda role: PIXELS.index(role) if role in PIXELS else 0)
    return tuple(roles.index(role) for role in (*pixels, CHANNEL))


def detector_axis(roles: tuple[str, ...]) -> int | None:
    """Return the axis of the detectors; None if there is none."""
    return roles.index(DETECTOR) if DETECTOR in roles else None


def take_detector(
    values: np.ndarray,
    roles: tuple[str, ...],
    shape: tuple[int, ...],
    number: int | None,
) -> np.ndarray:
    """Return the values of one detector, of those that were measured at each point.

    Parameters
    ----------
    values
        Numbers, one for each spectrum of the dataset, or for each point.
    roles, shape
        Of the dataset.
    number
        Of the detector, if there is an axis of them.

    Returns
    -------
    numpy.ndarray
        In the order of the signal; as they are if they are not as many as the spectra.
    """
    axis = detector_axis(roles)
    outer = [i for i, role in enumerate(roles) if role != CHANNEL]
    sizes = [shape[i] for i in outer]
    if values.size != math.prod(sizes) or values.size == 1:
        return values
    values = values.reshape(sizes)
    *pixels, _ = order_of(roles)
    if axis is not None and number is not None:
        values = np.take(values, number, axis=outer.index(axis))
        outer.remove(axis)
    return values.transpose([outer.index(i) for i in pixels])
