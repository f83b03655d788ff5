"""Arrays of a stack as signals: roles of their axes, calibration, metadata."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.chunks import ChunkedArray
from rsciio_xfm.core.eds import (
    EDS_DETECTOR,
    SIGNAL_TYPE,
    TO_KEV,
    build_axis,
    build_live_time,
    keep_dead_time_with_its_class,
    order_axes,
)
from rsciio_xfm.core.to_dask import align_chunks, from_source, read_all
from rsciio_xfm.core.tree import decode_signal
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.datastack.data import (
    Stack,
    first_version,
    open_array,
    read_array,
)
from rsciio_xfm.formats.datastack.layout import (
    ATTRIBUTES,
    ATTRIBUTES_VERSION,
    CUBE,
    ENERGIES,
    EXTRA_ARRAY,
    MAX_SPECTRUM,
)

# How far energies may be from a line, in channels, without a word.
_STRAIGHT = 0.01
_MOST_BENT = 0.5
_CUBE_AXES = 3
_MOST_KEV = 250.0  # what ends above is no X-ray spectrum in keV
_SIGMA_OF_MAXRF4U = 7.0  # channels; its files do not say
_FWHM = 2 * np.sqrt(2 * np.log(2))  # of a Gaussian, by its standard deviation
_RESOLUTION = 130.0  # eV at Mn Ka, what exspy takes if it is not known


def find_cube(path: Path, stack: Stack, latest: bool = True) -> str:
    """Return the name of the cube of a stack, of the newest or of the first one.

    Raises
    ------
    FileFormatError
        There is none.
    CorruptFileError
        It is no map of spectra.
    """
    if not stack.versions(CUBE) or not (latest or CUBE in stack.names):
        raise FileFormatError(
            f"{path}: the file has no {CUBE!r}, expected it beside "
            f"{', '.join(map(repr, stack.names)) or 'nothing'} (in the zip). Read others by "
            "dataset_path."
        )
    name = stack.latest(CUBE) if latest else CUBE
    check_cube(path, stack, name)
    return name


def check_cube(path: Path, stack: Stack, name: str) -> None:
    """Refuse an array that is no map of spectra."""
    if name in stack.faults:
        raise stack.faults[name]
    array = stack.arrays[name]
    if (
        len(array.shape) != _CUBE_AXES
        or 0 in array.shape
        or array.dtype.kind not in "iuf"
    ):
        raise CorruptFileError(
            f"{path}: {name!r} is {array.dtype} of shape {array.shape}, expected numbers of "
            f"shape (y, x, E), none of them 0 (in the zip, {name}/)."
        )


def classify(stack: Stack, name: str, cube: str | None) -> str:
    """Return ``"spectrum_image"``, ``"single_spectrum"``, ``"image"`` or ``"other"``."""
    shape = stack.arrays[name].shape
    if first_version(name) == CUBE:
        return "spectrum_image"
    if cube is None or not shape or len(stack.arrays[cube].shape) != _CUBE_AXES:
        return "other"
    *pixels, depth = stack.arrays[cube].shape
    if shape == (*pixels, depth):
        return "spectrum_image"
    if shape[-1] == depth and len(shape) <= 2 and first_version(name) != ENERGIES:
        return "single_spectrum"
    if list(shape[-2:]) == pixels and len(shape) in (2, 3):
        return "image"
    return "other"


def read_signal(
    path: Path, stack: Stack, name: str, cube: str | None, lazy: bool, chunks: Any
) -> dict[str, Any]:
    """Read an array as a signal.

    Parameters
    ----------
    path, stack, name
        The file, what it holds, and the name of the array.
    cube
        Name of the map that the other arrays belong to; None if there is none.
    lazy, chunks
        See :func:`rsciio_xfm.datastack.file_reader`.
    """
    if name in stack.faults:
        raise stack.faults[name]
    kind = classify(stack, name, cube)
    is_map = kind == "spectrum_image"
    if is_map:
        check_cube(path, stack, name)
    source = open_array(stack, name)
    signal = _restore(path, stack, name) if is_map else None
    is_restored = signal is not None
    if signal is None:
        signal = _describe(path, stack, name, kind, cube)
    if is_map or kind == "single_spectrum":
        energy = signal["axes"][-1]
        before = energy.copy() if is_restored else None
        # The file's own energies may have been calibrated since it was saved.
        energy |= _energy_axis(path, stack, energy, is_restored) or {}
        if energy != before:
            _widen_lines(signal, energy, before)
    return signal | {"data": _read_data(path, source, lazy, chunks)}


def _widen_lines(
    signal: dict[str, Any], energy: dict[str, Any], before: dict[str, Any] | None
) -> None:
    """Make the resolution that of the smoothed spectra: exspy's windows are as wide.

    Both widths add in squares, as they do for each line. What was saved with the energy axis
    `before` has the width that belongs to that.
    """
    kind = signal["metadata"]["Signal"]
    if not kind.get("smoothed") or energy["units"] not in TO_KEV:
        return
    sigma = kind.get("smoothing_sigma", _SIGMA_OF_MAXRF4U)

    def added(axis: dict[str, Any]) -> float:  # eV
        return float(_FWHM * sigma * axis["scale"] * TO_KEV[axis["units"]] * 1000)

    node = signal["metadata"]
    for name in EDS_DETECTOR.split("."):
        node = node.setdefault(name, {})
    own = node.get("energy_resolution_MnKa", _RESOLUTION)
    if before is not None and before["units"] in TO_KEV:
        own = max(0.0, own**2 - added(before) ** 2) ** 0.5
    node["energy_resolution_MnKa"] = float(np.hypot(own, added(energy)))


def _read_data(path: Path, source: ChunkedArray, lazy: bool, chunks: Any) -> Any:
    sizes = zip(source.stored_chunks or source.shape, source.shape, strict=True)
    stored = tuple(min(chunk, max(1, size)) for chunk, size in sizes)
    if isinstance(chunks, str) and chunks == "auto":
        chunks = stored
        if source.ndim > 1 and 0 not in source.shape:
            chunks = align_chunks(source.shape, source.dtype, 0, stored)
    return from_source(source, chunks) if lazy else read_all(source, str(path), chunks)


def _describe(
    path: Path, stack: Stack, name: str, kind: str, cube: str | None
) -> dict[str, Any]:
    """Describe an array by its shape; spectra are smoothed if those of the map are."""
    array = stack.arrays[name]
    map_ = stack.arrays[cube] if kind == "single_spectrum" and cube else array
    own = map_.attributes.get(ATTRIBUTES)
    own = own if isinstance(own, dict) else {}
    rpl = own.get("rpl")
    rpl = rpl if isinstance(rpl, dict) else {}
    is_map = kind == "spectrum_image"
    is_spectra = is_map or kind == "single_spectrum"
    title = path.stem if is_map else f"{path.stem} {name}"
    metadata: dict[str, Any] = {
        "General": {"title": str((is_map and rpl.get("title")) or title)},
        "Signal": {"signal_type": SIGNAL_TYPE if is_spectra else ""},
    }
    metadata["General"]["original_filename"] = path.name
    if is_spectra:
        sigma = own.get("sigma")
        if sigma is None and map_.dtype.kind == "f" and _looks_smoothed(stack):
            metadata["Signal"]["smoothed"] = True
        elif isinstance(sigma, float) and sigma > 0:
            metadata["Signal"] |= {"smoothed": True, "smoothing_sigma": sigma}
        if "smoothed" in metadata["Signal"]:
            metadata["General"]["title"] += " (smoothed)"
    if is_map:
        _add_times(metadata, rpl)
    return {
        "axes": order_axes(_build_axes(array.shape, kind, rpl, own)),
        "metadata": metadata,
        "original_metadata": {
            "array": name,
            "arrays": stack.names,
            "attributes": array.attributes,
            "compression": array.compression,
        },
    }


def _build_axes(
    shape: tuple[int, ...], kind: str, rpl: dict[str, Any], own: dict[str, Any]
) -> list[dict[str, Any]]:
    names, n_signal = [f"index {i}" for i in range(len(shape) - 1)] + ["index"], 1
    if kind == "spectrum_image":
        names = ["y", "x", "Energy"]
    elif kind == "single_spectrum":
        names[-1] = "Energy"
    elif kind == "image":
        names[-2:], n_signal = ["y", "x"], 2
    if not shape:
        shape, names = (1,), ["index"]
    axes = [
        build_axis(axis, size, None, None, navigate=i < len(shape) - n_signal)
        for i, (axis, size) in enumerate(zip(names, shape, strict=True))
    ]
    if kind == "spectrum_image":
        for axis, key in zip(axes, ("height", "width"), strict=False):
            axis.update(_calibrate_pixels(rpl, key))
            if own.get({"height": "flip_vertical", "width": "flip_horizontal"}[key]):
                axis["offset"] = 0.0  # that of the other end
    return axes


def _calibrate_pixels(rpl: dict[str, Any], key: str) -> dict[str, Any]:
    """Return scale, offset and units of an axis of pixels by HyperSpy's keys."""
    units = rpl.get(f"{key}-units")
    try:
        scale = float(rpl[f"{key}-scale"])
        offset = float(rpl.get(f"{key}-origin", 0))
    except (KeyError, TypeError, ValueError):
        return {}
    if not units or units == "<undefined>" or not 0 < scale < np.inf:
        return {}
    return {
        "scale": scale,
        "units": units,
        "offset": offset if np.isfinite(offset) else 0.0,
    }


def _looks_smoothed(stack: Stack) -> bool:
    """Tell whether maxrf4u smoothed a cube, as it does: maxima of counts are integers."""
    versions = stack.versions(MAX_SPECTRUM)
    if not versions or versions[-1] in stack.faults:
        return True
    values = read_array(stack, stack.latest(MAX_SPECTRUM))
    return not np.array_equal(values, np.round(values))


def _add_times(metadata: dict[str, Any], rpl: dict[str, Any]) -> None:
    """Add what a ``.rpl`` file says of the acquisition."""
    for key, section, item in (
        ("beam-energy", "SEM", "beam_energy"),
        ("live-time", "live_time", None),
        ("date", "General", "date"),
        ("time", "General", "time"),
    ):
        value = rpl.get(key)
        if not value:
            continue
        if section == "General":
            metadata["General"][item] = str(value)
            continue
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if not 0 < number < np.inf:
            continue
        if item is None:
            build_live_time(metadata, number)
        else:
            instrument = metadata.setdefault("Acquisition_instrument", {})
            instrument.setdefault(section, {})[item] = number


def _energy_axis(
    path: Path, stack: Stack, axis: dict[str, Any], is_restored: bool
) -> dict[str, Any] | None:
    """Return offset, scale and units of the energy axis by the energies in the file.

    Returns
    -------
    dict or None
        None if there are none, or the axis was saved with them.
    """
    versions = stack.versions(ENERGIES)
    if not versions or stack.latest(ENERGIES) in stack.faults:
        return None
    name, depth = stack.latest(ENERGIES), axis["size"]
    energies = read_array(stack, name)
    where = f"{path}: {name!r}"
    if energies.shape != (depth,) or energies.dtype.kind not in "iuf":
        warn(
            f"{where} is {energies.dtype} of shape {energies.shape}, expected one energy for "
            f"each of {depth} channels: it is ignored."
        )
        return None
    energies = energies.astype(float)
    if is_restored and axis["units"] in TO_KEV:
        saved = TO_KEV[axis["units"]] * (
            axis["offset"] + axis["scale"] * np.arange(depth)
        )
        if np.allclose(energies, saved, rtol=1e-12, atol=1e-9):
            return None
    if not np.isfinite(energies).all() or depth < 2 or (np.diff(energies) <= 0).any():
        warn(f"{where} does not ascend, expected energies in keV: it is ignored.")
        return None
    if energies[-1] > _MOST_KEV:
        warn(
            f"{where} ends with {energies[-1]:g}, expected energies in keV, below "
            f"{_MOST_KEV:g}: it is ignored. Is it in eV?"
        )
        return None
    scale = (energies[-1] - energies[0]) / (depth - 1)
    offset = energies[0]
    bent = np.abs(offset + scale * np.arange(depth) - energies).max() / scale
    if bent > _STRAIGHT:
        warn(
            f"{where} is no straight line: it is off by up to {bent:.2g} channels, expected a "
            f"uniform axis: it is {'ignored' if bent > _MOST_BENT else 'taken for one'}."
        )
    if bent > _MOST_BENT:
        return None
    return {"offset": float(offset), "scale": float(scale), "units": "keV"}


def pack(array: np.ndarray) -> np.ndarray:
    """Turn an array of any type into bytes, as zarr has no common form of text."""
    memory = io.BytesIO()
    np.save(memory, array, allow_pickle=False)
    return np.frombuffer(memory.getvalue(), np.uint8)


def _unpack(packed: np.ndarray) -> np.ndarray:
    return np.load(io.BytesIO(packed.tobytes()), allow_pickle=False)


def _restore(path: Path, stack: Stack, name: str) -> dict[str, Any] | None:
    """Return axes and metadata of a signal that was saved here; None if it was not."""
    array = stack.arrays[name]
    own = array.attributes.get(ATTRIBUTES)
    if not isinstance(own, dict) or "signal" not in own:
        return None
    try:
        if own.get("version", 0) > ATTRIBUTES_VERSION:
            raise ValueError(
                f"it is of version {own['version']}, {ATTRIBUTES_VERSION} is known"
            )
        text = np.frombuffer(own["signal"].encode("utf-8"), np.uint8)
        arrays = [
            _unpack(read_array(stack, f"{EXTRA_ARRAY}{i}"))
            for i in range(own["n_arrays"])
        ]
        signal = decode_signal(text, arrays, own["sha256"], array.shape)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as exc:
        warn(
            f"{path}: what was saved with {name!r} cannot be read: {exc}. Axes and metadata "
            "are those of the array alone."
        )
        return None
    return signal | {"post_process": [keep_dead_time_with_its_class]}
