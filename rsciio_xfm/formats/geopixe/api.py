"""``file_reader`` for ``.GeoPIXE`` maps."""

import math
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.checks import is_whole
from rsciio_xfm.core.dead_time import count_recorded, mean_live_fraction
from rsciio_xfm.core.eds import (
    DETECTOR_AXIS,
    SIGNAL_TYPE,
    build_axis,
    build_dead_time,
    keep_dead_time_with_its_class,
    order_axes,
)
from rsciio_xfm.core.to_dask import check_worth_reading, from_source, read_all
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.geopixe.data import geopixe_array
from rsciio_xfm.formats.geopixe.index import Index, read_index
from rsciio_xfm.formats.geopixe.parse import (
    HEADER_TEXT,
    TIMESTAMP,
    Header,
    file_fields,
    is_number,
    read_header,
    source_fields,
)

_DTYPES = ("uint8", "uint16", "uint32", "uint64")

# A map of which less is there is read lazily only, unless it is small.
_LEAST_SHARE = 0.01

# Names in metadata.Acquisition_instrument.XRF for keys of the header's "X-ray Source".
_SOURCE_ITEMS = {
    "tube_target": "Elt",
    "tube_voltage": "KV",  # kV
    "tube_current": "UA (µA)",  # µA
    "tube_filter": "Filter",
    "spot_size": "Spot (µm)",  # µm
    "incidence_angle": "Incid (°)",  # degrees
    "take_off_angle": "Take (°)",  # degrees
    "scattering_angle": "Scat (°)",  # degrees
}


def file_reader(
    filename: str | Path,
    lazy: bool = False,
    chunks: Any = "auto",
    detector: int | None = None,
    sum_detectors: bool = True,
    dtype: Any = None,
    rebin_energy: int = 1,
    cutoff_at_kV: float | None = None,
    cache: bool = True,
) -> list[dict[str, Any]]:
    """Read an IXRF/CSIRO ``.GeoPIXE`` map.

    Parameters
    ----------
    filename
        Path of the file.
    lazy
        If True, ``data`` is a dask array; now only the header and the headers of the
        records are read, and their dead times kept.
    chunks
        Of the dask array. ``"auto"`` makes chunks of whole rows with all channels, at
        most 128 MiB. Anything else goes to :func:`dask.array.core.normalize_chunks`.
    detector
        Read this detector only, 0 being the first.
    sum_detectors
        Sum all detectors; if False, they are the first axis.
    dtype
        Of the counts: ``uint8``, ``uint16`` (the default), ``uint32`` or ``uint64``.
    rebin_energy
        Sum so many channels into one; has to be a divisor of the number of channels.
    cutoff_at_kV
        Read only channels up to this energy, in keV.
    cache
        Keep the index of a file above 64 MiB in the user's cache, and take it from there
        when the same file is opened again.

    Returns
    -------
    list of dict
        One map. ``data``: counts, shape ``(y, x, E)``, or ``(detector, y, x, E)`` if
        `sum_detectors` is False. ``axes``: x and y in mm, Energy in keV. ``metadata``:
        as exspy wants them, the dead time in percent, ``(detector, y, x)``, included.
        ``original_metadata``: the header; ``"Detector"`` is a list, as the key stands
        once for each detector. ``_header_text`` is the header as it stands in the file.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no GeoPIXE map, or its header cannot be true.
    rsciio_xfm.exceptions.CorruptFileError
        A record contradicts the header or stands twice; for a lazy array, what is wrong
        within a record is raised when it is computed.
    OverflowError
        Sums of counts do not fit `dtype`; for a lazy array, when it is computed.
    MemoryError
        The map is larger than the available memory and `lazy` is False.
    ValueError
        An argument does not suit the map.

    Warns
    -----
    UserWarning
        Spectra are missing (a scan was stopped, a file cut off), dead times were not
        recorded, or a scale is missing in the header.

    Notes
    -----
    Live and real time in the metadata are those of one spectrum of the map: the sum over
    the detectors that were added, the mean over the map's pixels.

    Source of the format: see ``layout.py``.

    Examples
    --------
    >>> from rsciio_xfm.formats.geopixe import file_reader
    >>> (map_,) = file_reader("map.GeoPIXE", lazy=True)
    >>> map_["data"].shape
    (96, 160, 4096)
    """
    path = Path(filename)
    header = read_header(path)
    detectors = _choose_detectors(header, detector)
    n_bins = _count_bins(header, rebin_energy, cutoff_at_kV)
    index = read_index(path, header, cache)
    source = geopixe_array(
        header,
        index,
        detectors,
        is_summed=sum_detectors or detector is not None,
        rebin_energy=rebin_energy,
        n_bins=n_bins,
        dtype=_choose_dtype(dtype),
    )
    if not lazy:
        check_worth_reading(
            path,
            source,
            int(index.n_records.sum()),
            math.prod(header.map_shape),
            "spectra",
            _LEAST_SHARE,
            byte=header.data_offset,
        )
    data = from_source(source, chunks) if lazy else read_all(source, str(path))
    axes = _build_axes(header, rebin_energy, n_bins)
    if source.ndim == 4:
        axes.insert(0, _detector_axis(len(detectors)))
    return [
        {
            "data": data,
            "axes": order_axes(axes),
            "metadata": _build_metadata(path, header, index, detectors, source.is_summed),
            "original_metadata": header.tree | {HEADER_TEXT: header.text},
            "post_process": [keep_dead_time_with_its_class],
        }
    ]


def _choose_detectors(header: Header, detector: int | None) -> tuple[int, ...]:
    if detector is None:
        return tuple(range(header.n_detectors))
    if not is_whole(detector) or not 0 <= detector < header.n_detectors:
        raise ValueError(
            f"detector is {detector!r}, expected 0 to {header.n_detectors - 1}: the map has "
            f"{header.n_detectors} detectors."
        )
    return (int(detector),)


def _choose_dtype(dtype: Any) -> np.dtype:
    chosen = np.dtype("uint16" if dtype is None else dtype).newbyteorder("=")
    if chosen.name not in _DTYPES:
        raise ValueError(
            f"dtype is {chosen.name}, expected one of {', '.join(_DTYPES)}: counts are "
            "whole numbers. Convert the signal with its change_dtype method."
        )
    return chosen


def _count_bins(header: Header, rebin_energy: int, cutoff: float | None) -> int:
    is_size = is_whole(rebin_energy) and rebin_energy >= 1
    if not is_size or header.n_channels % rebin_energy:
        raise ValueError(
            f"rebin_energy is {rebin_energy!r}, expected a divisor of the map's "
            f"{header.n_channels} channels."
        )
    n_bins = header.n_channels // rebin_energy
    if cutoff is None:
        return n_bins
    if header.ev_per_channel is None:
        raise ValueError("cutoff_at_kV needs a header with Gain (eV), and this has none.")
    kev_per_bin = header.ev_per_channel / 1000 * rebin_energy
    if not is_number(cutoff) or round(cutoff / kev_per_bin) < 1:
        raise ValueError(
            f"cutoff_at_kV is {cutoff!r}, expected at least one channel, {kev_per_bin} keV."
        )
    return min(n_bins, round(cutoff / kev_per_bin))


def _detector_axis(n_detectors: int) -> dict[str, Any]:
    return build_axis(DETECTOR_AXIS, n_detectors, None, None)


def _build_axes(header: Header, rebin_energy: int, n_bins: int) -> list[dict[str, Any]]:
    width, height = header.width_mm, header.height_mm
    x_scale = None if width is None else width / header.n_columns
    y_scale = None if height is None else height / header.n_rows
    gain = header.ev_per_channel
    e_scale = None if gain is None else gain / 1000 * rebin_energy
    energy = build_axis("Energy", n_bins, e_scale, "keV", navigate=False)
    # A bin of several channels lies at the mean of their energies.
    energy["offset"] = energy["scale"] * (rebin_energy - 1) / 2 / rebin_energy
    return [
        build_axis("y", header.n_rows, y_scale, "mm"),
        build_axis("x", header.n_columns, x_scale, "mm"),
        energy,
    ]


def _build_metadata(
    path: Path, header: Header, index: Index, detectors: tuple[int, ...], is_summed: bool
) -> dict[str, Any]:
    # One detector, or all of them: a view, as the map may be large.
    dead_time = index.dead_time[detectors[0] : detectors[-1] + 1]
    _warn_unrecorded(path, dead_time, index.n_records[list(detectors)].sum())
    axes = _build_axes(header, 1, 1)[:2]
    if len(detectors) > 1 or not is_summed:
        axes.insert(0, _detector_axis(len(detectors)))
    else:
        dead_time = dead_time[0]
    eds: dict[str, Any] = {
        "_sig_dead_time": build_dead_time(
            dead_time, axes, has_detectors=is_summed and len(detectors) > 1
        )
    }
    if header.dwell_s is not None:
        eds["real_time"] = header.dwell_s * (len(detectors) if is_summed else 1)
        eds["live_time"] = eds["real_time"] * mean_live_fraction(dead_time)
    xrf = _build_xrf(path, header, detectors)
    # Other angles than these would be the preferences of exspy, not the instrument's.
    if _is_angle(xrf.get("take_off_angle")):
        eds["elevation_angle"] = xrf["take_off_angle"]
    azimuth = _detector_field(header, detectors[0], "Azim (°)")
    if _is_angle(azimuth):
        eds["azimuth_angle"] = azimuth
    sem: dict[str, Any] = {"Detector": {"EDS": eds}}
    if "tube_voltage" in xrf:
        sem["beam_energy"] = xrf["tube_voltage"]
    return {
        "General": _build_general(path, header),
        "Signal": {"signal_type": SIGNAL_TYPE, "quantity": "X-rays (Counts)"},
        "Acquisition_instrument": {"SEM": sem, "XRF": xrf},
    }


def _build_general(path: Path, header: Header) -> dict[str, Any]:
    general = {"title": path.stem, "original_filename": path.name}
    try:
        stamp = file_fields(header).get("Timestamp", "")
        moment = datetime.strptime(stamp, TIMESTAMP)
    except (TypeError, ValueError):
        return general  # as text it stays in original_metadata
    return general | {
        "date": moment.date().isoformat(),
        "time": moment.time().isoformat(),
    }


def _build_xrf(path: Path, header: Header, detectors: tuple[int, ...]) -> dict[str, Any]:
    source = source_fields(header)
    xrf = {name: source[key] for name, key in _SOURCE_ITEMS.items() if key in source}
    voltage = xrf.pop("tube_voltage", None)
    if is_number(voltage) and voltage > 0:
        xrf["tube_voltage"] = float(voltage)
    else:
        warn(
            f"{path}: the header's KV is {voltage!r:.40}, expected the tube's voltage in "
            "kV: the beam energy stays unknown. Set it with set_microscope_parameters."
        )
    if header.dwell_s is not None:
        xrf["dwell_time"] = header.dwell_s
    return xrf | {"n_detectors": header.n_detectors, "detectors": list(detectors)}


def _detector_field(header: Header, detector: int, name: str) -> Any:
    """Return a field of a detector; a single entry in the header stands for all."""
    entries = header.tree.get("Detector", [])
    if not entries:
        return None
    entry = entries[detector] if detector < len(entries) else entries[-1]
    return entry.get(name) if isinstance(entry, dict) else None


def _is_angle(value: Any) -> bool:
    """Tell an angle from what uninitialised memory left in some headers."""
    return is_number(value) and abs(value) <= 360


def _warn_unrecorded(path: Path, dead_time: np.ndarray, n_records: int) -> None:
    unrecorded = n_records - count_recorded(dead_time)
    if unrecorded:
        warn(
            f"{path}: {unrecorded} of {n_records} dead times are not recorded (0, NaN or "
            "beyond 0-100 %), and the live times of these pixels are wrong: 0 counts as "
            "no dead time; NaN, as where nothing was measured, as no live time. Fill them, "
            "s.fill_dead_time(), or in a terminal: rsciio-xfm fill-dead-time."
        )
