"""Maps of X-rays in Velox files, as dictionaries of signals."""

import math
import operator
import os
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.array import Range
from rsciio_xfm.core.checks import is_whole
from rsciio_xfm.core.eds import order_axes
from rsciio_xfm.core.hdf5.values import find_values
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.core.to_dask import (
    check_worth_reading,
    default_chunks,
    from_source,
    in_memory,
    read_all,
)
from rsciio_xfm.core.tree import get
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.velox import metadata as metadata_of
from rsciio_xfm.formats.velox.count import count_marks
from rsciio_xfm.formats.velox.data import VeloxArray, velox_array
from rsciio_xfm.formats.velox.index import read_index
from rsciio_xfm.formats.velox.layout import EELS, SPECTRUM_IMAGES
from rsciio_xfm.formats.velox.parse import (
    Stream,
    VeloxHeader,
    get_number,
    read_metadata,
    read_velox_header,
    stream_names,
)
from rsciio_xfm.formats.velox.upstream import read_energy_loss, read_with_rosettasciio

# As of RosettaSciIO: exspy's quantification is a method of this type.
_SIGNAL_TYPE = "EDS_TEM"
_TITLE = "EDS"
_UNIT = re.compile("(1/)?[A-Za-zµμÅ]{1,12}")
# A map of which less is there is read lazily only, unless it is small.
_LEAST_SHARE = 0.01
_PRUNED = (
    "No spectrum stream is present in the file, so that there is no map of X-rays to read: "
    'the file was pruned (Velox\'s "reduced data"), or another program than Velox wrote '
    "it. What it has of the map is in a compression that is not published. Save it from "
    "Velox without pruning."
)


def read_velox(
    path: Path,
    identity: tuple[int, ...],
    file: h5py.File,
    lazy: bool,
    chunks: Any,
    select_type: str | None,
    load_image_stack: bool,
    options: dict[str, Any],
) -> list[dict[str, Any]]:
    """Read a file that Velox wrote.

    Parameters
    ----------
    path, identity, file
        The file, see :func:`rsciio_xfm.core.source.identify`.
    lazy, chunks, select_type, load_image_stack
        See :func:`rsciio_xfm.emd.file_reader`.
    options
        Those of the map: ``first_frame``, ``last_frame``, ``sum_frames``,
        ``sum_EDS_detectors``, ``rebin_energy``, ``SI_dtype`` and ``cache``.

    Returns
    -------
    list of dict
        Spectra, images, maps of energy loss, maps of X-rays.
    """
    select_type = "images" if select_type == "image" else select_type
    wants_maps = select_type in (None, "spectrum_image")
    has_streams = len(stream_names(file)) > 0
    if wants_maps and SPECTRUM_IMAGES in file and not has_streams:
        warn(f"{path}: {_PRUNED}")
    kinds = ("single_spectrum", "images") if has_streams else (select_type,)
    # Lazily RosettaSciIO keeps the file open, which is worth it for stacks of images alone.
    is_large = lazy and (load_image_stack or SPECTRUM_IMAGES not in file)
    is_optional = has_streams and select_type is None
    signals = []
    for kind in kinds:
        if select_type in (None, kind):
            signals += read_with_rosettasciio(
                path,
                file,
                is_large and kind != "single_spectrum",
                is_optional,
                select_type=kind,
                load_SI_image_stack=load_image_stack,
            )
    for signal in signals:
        _add_detector(signal)
        if lazy and isinstance(signal["data"], np.ndarray):
            signal["data"] = in_memory(signal["data"])
    if wants_maps and has_streams:
        if EELS in file:
            signals += read_energy_loss(path, file, is_optional)
        signals += _read_maps(path, identity, file, lazy, chunks, options)
    return signals


def _add_detector(signal: dict[str, Any]) -> None:
    """Add angles and times of the detector to the metadata of a single spectrum."""
    if signal["metadata"]["Signal"]["signal_type"] == _SIGNAL_TYPE:
        original = signal["original_metadata"]
        eds = metadata_of.detector_angles(original) | metadata_of.detector_times(original)
        signal["metadata"]["Acquisition_instrument"] = {"TEM": {"Detector": {"EDS": eds}}}


def _read_maps(
    path: Path,
    identity: tuple[int, ...],
    file: h5py.File,
    lazy: bool,
    chunks: Any,
    options: dict[str, Any],
) -> list[dict[str, Any]]:
    """Read the map of X-rays: the sum of all detectors, or one of each."""
    header = read_velox_header(path, file)
    streams = header.streams
    if not any(stream.n_values for stream in streams):
        warn(
            f"{path}: the spectrum streams of all {len(streams)} detectors are empty, so that "
            "there is no map of X-rays to read."
        )
        return []
    if _is_single_spectrum(path, identity, file, header):
        return []
    everything = tuple(range(len(streams)))
    is_summed = options["sum_EDS_detectors"]
    groups = [everything] if is_summed else [(i,) for i in everything]
    for group in groups:
        _check_alike(path, [streams[i] for i in group])
    rebin = _check_rebin(path, options["rebin_energy"], streams)
    dtype = _check_dtype(options["SI_dtype"])
    location = LocalFile(os.path.abspath(path), identity)
    index = read_index(path, location, header, file, options["cache"])
    frames = _check_frames(path, options, index.shape[0])
    signals = []
    for group in groups:
        source = velox_array(
            index,
            n_channels=streams[group[0]].n_channels,
            detectors=group,
            frames=frames,
            is_summed=options["sum_frames"],
            rebin_energy=rebin,
            dtype=dtype,
        )
        chosen = _choose_chunks(source, chunks if lazy else "auto")
        if not lazy:
            check_worth_reading(
                path,
                source,
                max(stream.n_marks for stream in index.streams) + 1,
                math.prod(index.shape),
                "spectra",
                _LEAST_SHARE,
                byte=index.streams[0].values.byte_of(0),
            )
        data = (
            from_source(source, chosen) if lazy else read_all(source, str(path), chosen)
        )
        members = [streams[i] for i in group]
        title = _TITLE if is_summed else members[0].detector
        original = _build_original(header, members[0], index.shape[0], source)
        signals.append(
            {
                "data": data,
                "axes": _build_axes(path, members[0], source),
                "metadata": _build_metadata(path, file, title, header, members, source),
                "original_metadata": original,
            }
        )
    return signals


def _is_single_spectrum(
    path: Path, identity: tuple[int, ...], file: h5py.File, header: VeloxHeader
) -> bool:
    """Tell whether the streams are those of spectra, which the file holds too, not of a map.

    Then no mark moves on to a next pixel.
    """
    if header.shapes or not header.spectra or SPECTRUM_IMAGES in file:
        return False
    names = [f"{stream.name}/Data" for stream in header.streams]
    values = [find_values(path, identity, file, name) for name in names]
    return not any(count_marks(v, v.size) for v in values)


# Options.


def _check_alike(path: Path, streams: list[Stream]) -> None:
    """Refuse to add up spectra of other channels; warn of other energies."""
    sizes = {s.n_channels for s in streams}
    if len(sizes) > 1:
        raise ValueError(
            f"{path}: the detectors have {sorted(sizes)} channels, expected as many of each "
            "for their sum. Use sum_EDS_detectors=False."
        )
    scales: set[tuple[float, float] | None] = set()
    for s in streams:
        scales.update(metadata_of.energy_scales(s.metadata) or [None])
    if len(scales) > 1:
        warn(
            f"{path}: the detectors have different energy scales (width, start in keV): "
            f"{sorted(scales, key=str)}. The first one's is used for their sum"
            + ("; sum_EDS_detectors=False keeps them apart." if streams[1:] else ".")
        )


def _check_rebin(path: Path, rebin_energy: int, streams: list[Stream]) -> int:
    is_size = is_whole(rebin_energy) and rebin_energy >= 1
    for stream in streams:
        if not is_size or stream.n_channels % rebin_energy:
            raise ValueError(
                f"{path}: rebin_energy is {rebin_energy!r}, expected a divisor of the "
                f"{stream.n_channels} channels of {stream.detector}."
            )
    return int(rebin_energy)


def _check_dtype(dtype: Any) -> np.dtype:
    chosen = np.dtype("uint16" if dtype is None else dtype).newbyteorder("=")
    if chosen.kind not in "iu":
        raise ValueError(
            f"SI_dtype is {chosen.name}, expected one of integers: counts are whole numbers. "
            "Convert the signal with its change_dtype method."
        )
    return chosen


def _check_frames(path: Path, options: dict[str, Any], n_frames: int) -> Range:
    first = operator.index(options["first_frame"])
    last = options["last_frame"]
    last = n_frames if last is None else operator.index(last)
    if not 0 <= first < last <= n_frames:
        raise ValueError(
            f"{path}: first_frame is {first} and last_frame {last}, expected 0 <= first_frame "
            f"< last_frame <= {n_frames}, the number of frames: last_frame is not read."
        )
    return first, last


def _choose_chunks(source: VeloxArray, chunks: Any) -> Any:
    if not source.is_summed and isinstance(chunks, str) and chunks == "auto":
        # A frame lies in one piece, and a row of all of them does not.
        return (1, *default_chunks(source.shape[1:], source.dtype, 0))
    return chunks


# Axes and metadata.


def _build_axes(path: Path, stream: Stream, source: VeloxArray) -> list[dict[str, Any]]:
    """Describe the axes, units as RosettaSciIO chooses them."""
    result = get(stream.metadata, "BinaryResult")
    unit = get(result, "PixelUnitX")
    *_, n_rows, n_columns, n_bins = source.shape
    # A unit for which half of the width is 1 to 1000, for x and y alike.
    width = get_number(result, "PixelSize", "width")
    unit, factor = _choose_unit(path, unit, width, n_columns)

    def space(name: str, size: int, extent: str) -> dict[str, Any]:
        step = get_number(result, "PixelSize", extent)
        if step is None or unit is None or not 0 < step * factor < math.inf:
            return _axis(name, size, 1.0, 0.0, None)
        offset = get_number(result, "Offset", name) or 0.0
        offset = offset * factor if math.isfinite(offset * factor) else 0.0
        return _axis(name, size, step * factor, offset, unit)

    axes = [space("y", n_rows, "height"), space("x", n_columns, "width")]
    scale = metadata_of.energy_scale(stream.metadata)
    rebin = source.rebin_energy
    if scale is None:
        warn(
            f"{path}: {stream.name} has no Dispersion and OffsetEnergy: no energy scale."
        )
        energy = _axis("X-ray energy", n_bins, float(rebin), 0.0, None)
    else:
        kev, start = scale
        energy = _axis("X-ray energy", n_bins, kev * rebin, start, "keV")
    # A bin of several channels lies at the mean of their energies.
    energy["offset"] += energy["scale"] * (rebin - 1) / 2 / rebin
    axes.append(energy | {"navigate": False})
    if not source.is_summed:
        seconds = get_number(stream.metadata, "Scan", "FrameTime")
        unit, factor = _choose_unit(path, "s", seconds, source.shape[0])
        step = 1.0 if seconds is None else seconds * factor
        axes.insert(0, _axis("Time", source.shape[0], step, 0.0, unit))
    return order_axes(axes)


def _axis(
    name: str, size: int, scale: float, offset: float, units: str | None
) -> dict[str, Any]:
    return {
        "name": name,
        "size": size,
        "scale": scale,
        "offset": offset,
        "units": units,
        "navigate": True,
    }


def _choose_unit(
    path: Path, unit: Any, step: float | None, size: int
) -> tuple[str | None, float]:
    """Return a unit in which half of an axis is 1 to 1000, and the factor to it."""
    if step is None or not step > 0 or not isinstance(unit, str) or not unit:
        return None, 1.0
    if _UNIT.fullmatch(unit) is None:  # what else is there would be computed
        warn(f"{path}: {unit!r:.40} is no unit, expected one as m: it is kept as it is.")
        return unit, 1.0
    import pint

    registry = pint.get_application_registry()
    try:
        extent = registry.Quantity(step * size / 2, unit)
        compact = extent.to_compact()
        factor = float(registry.Quantity(1.0, unit).to(compact.units).magnitude)
        return f"{compact.units:~}", factor
    except (
        pint.PintError,
        ArithmeticError,
        AttributeError,
        TypeError,
        ValueError,
    ) as exc:
        warn(
            f"{path}: {unit!r:.40} is no unit that is known ({exc}): it is kept as it is."
        )
        return unit, 1.0


def _build_original(
    header: VeloxHeader, stream: Stream, n_frames: int, source: VeloxArray
) -> dict[str, Any]:
    """Return what RosettaSciIO has as original metadata of a map."""
    first, last = source.frames
    imported = {
        "First_frame": first,
        "Last_frame": last,
        "Number_of_frames": n_frames,
        "Rebin_energy": source.rebin_energy,
        "Number_of_channels": source.grid.n_channels,
    }
    return stream.metadata | {"ImportedDataParameter": imported} | header.tree


def _build_metadata(
    path: Path,
    file: h5py.File,
    title: str,
    header: VeloxHeader,
    streams: list[Stream],
    source: VeloxArray,
) -> dict[str, Any]:
    first = streams[0].metadata
    eds: dict[str, Any] = {"number_of_frames": source.frames[1] - source.frames[0]}
    angles = [metadata_of.detector_angles(s.metadata) for s in streams]
    for name in ("elevation_angle", "azimuth_angle"):
        values = {angle.get(name) for angle in angles}
        # Detectors around the sample have no azimuth together.
        if len(values) == 1 and None not in values:
            eds[name] = values.pop()
    eds |= _times_of_spectrum(path, file, header, streams, source)
    eds["detectors"] = [s.detector for s in streams]
    metadata = {
        "General": {
            "title": title,
            "original_filename": path.name,
            **metadata_of.start_of_acquisition(first),
        },
        "Signal": {"signal_type": _SIGNAL_TYPE, "quantity": "X-rays (Counts)"},
        "Acquisition_instrument": {
            "TEM": metadata_of.instrument(first) | {"Detector": {"EDS": eds}}
        },
    }
    elements = metadata_of.chosen_elements(header.version, header.tree)
    if elements is not None:
        metadata["Sample"] = {"elements": elements}
    return metadata


def _times_of_spectrum(
    path: Path,
    file: h5py.File,
    header: VeloxHeader,
    streams: list[Stream],
    source: VeloxArray,
) -> dict[str, float]:
    """Return live and real time of one spectrum of the map, the mean over detectors.

    In the file they are those of a detector since the acquisition began, when each frame
    was over. exspy multiplies them by the number of spectra that it adds up.
    """
    first, last = source.frames
    n_pixels = source.grid.n_rows * source.grid.n_columns
    n_spectra = n_pixels * (last - first if not source.is_summed else 1)
    times: dict[str, list[float]] = {}
    for stream in streams:
        seconds = _times_between(path, file[stream.name], stream, source.frames, n_pixels)
        if not seconds and stream.detector in header.spectra:
            # Of the whole acquisition, as its spectrum is.
            whole = metadata_of.detector_times(header.spectra[stream.detector][1])
            share = (last - first) / max([*header.frame_counts[:1], last])
            seconds = {name: value * share for name, value in whole.items()}
        for name, value in seconds.items():
            times.setdefault(name, []).append(value)
    return {
        name: float(np.mean(values)) / n_spectra
        for name, values in times.items()
        if len(values) == len(streams) and min(values) >= 0
    }


def _times_between(
    path: Path, group: h5py.Group, stream: Stream, frames: Range, n_pixels: int
) -> dict[str, float]:
    """Return the times of a detector during some frames, nothing if they are not known."""
    first, last = frames
    if stream.n_metadata < last or stream.n_metadata == 1:
        return {}

    def until(frame: int) -> dict[str, float]:
        metadata = read_metadata(path, group, frame - 1)
        return metadata_of.frame_times(metadata, frame * n_pixels)

    after = until(last)
    if not first:
        return after
    before = until(first)
    return {name: after[name] - before[name] for name in after if name in before}
