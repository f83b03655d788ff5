"""Signals as HDF5 files that PyMca and silx open as maps."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.blocks import blocks, choose_stored
from rsciio_xfm.core.dead_time import live_time
from rsciio_xfm.core.eds import TO_KEV, with_times_of_one_spectrum
from rsciio_xfm.core.hdf5.extra import write_extra
from rsciio_xfm.core.hdf5.write import replacing_hdf5
from rsciio_xfm.core.progress import bytes_bar
from rsciio_xfm.formats.hdf5_maps.layout import INTERPRETATION


def write_hdf5(
    path: Path,
    signal: dict[str, Any],
    data: Any,
    axes: list[dict[str, Any]],
    chunks: tuple[int, ...] | bool | None,
    kwds: dict[str, Any],
) -> None:
    """Write any signal as HDF5; see :func:`rsciio_xfm.esrf.file_writer`."""
    if data.dtype.kind not in "biufc":
        raise TypeError(f"{path}: the data are {data.dtype}, expected numbers.")
    if chunks is not None or kwds:
        kwds = kwds | {"chunks": choose_stored(path, data, axes, chunks) or True}
    layout = kwds | {"shape": data.shape, "dtype": data.dtype.newbyteorder("=")}
    with replacing_hdf5(path) as (file, do):
        dataset = do(_write_header, file, path, signal, axes, layout)
        with bytes_bar(data.nbytes, f"Writing {path.name}") as bar:
            for place, block in blocks(data):
                do(dataset.__setitem__, place, block)
                bar.update(block.nbytes)


def _write_header(
    file: h5py.File,
    path: Path,
    signal: dict[str, Any],
    axes: list[dict[str, Any]],
    layout: dict[str, Any],
) -> h5py.Dataset:
    """Write everything but the data, and return where they go, in a dataset laid out so."""
    n_signal = sum(not axis["navigate"] for axis in axes)
    roles = [axis["navigate"] for axis in axes]
    is_spectra = n_signal == 1 and not roles[-1]
    is_images = n_signal == 2 and roles[-2:] == [False, False]
    detector_name = "mca00" if is_spectra else "image00" if is_images else "data00"
    file.attrs["NX_class"] = "NXroot"
    file.attrs["default"] = "entry"
    entry = _group(file, "entry", "NXentry")
    entry.attrs["default"] = "map"
    title = str(signal["metadata"].get("General", {}).get("title") or path.stem)
    entry["title"] = title.replace("\0", " ")
    detector = _group(
        _group(entry, "instrument", "NXinstrument"), detector_name, "NXdetector"
    )
    dataset = detector.create_dataset("data", **layout)
    if is_spectra or is_images:
        dataset.attrs[INTERPRETATION] = "spectrum" if is_spectra else "image"
    if is_spectra:
        _write_times(detector, signal, axes)
        _write_calibration(detector, axes[-1])
    plot = _group(entry, "map", "NXdata")
    plot["data"] = h5py.SoftLink(dataset.name)
    plot.attrs["signal"] = "data"
    plot.attrs[INTERPRETATION] = dataset.attrs.get(INTERPRETATION, "scalar")
    plot.attrs["axes"] = [_write_axis(plot, i, axis) for i, axis in enumerate(axes)]
    write_extra(detector, path, signal, axes)
    return dataset


def _group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group


def _write_axis(plot: h5py.Group, i: int, axis: dict[str, Any]) -> str:
    """Write the coordinates of an axis, and return their name."""
    name = axis.get("name")
    name = name if isinstance(name, str) else ""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)
    if not name or name in plot:
        name = f"axis{i}"
    plot[name] = axis["offset"] + axis["scale"] * np.arange(axis["size"])
    units = axis.get("units")
    if isinstance(units, str) and units:
        plot[name].attrs["units"] = units.replace("\0", " ")
    return name


def _write_times(
    detector: h5py.Group, signal: dict[str, Any], axes: list[dict[str, Any]]
) -> None:
    """Write live and real time of each spectrum, where they are known, in s."""
    metadata = with_times_of_one_spectrum(signal["metadata"])
    instruments = metadata.get("Acquisition_instrument", {})
    nodes = [instruments.get(kind, {}) for kind in ("SEM", "TEM")]
    found = [node.get("Detector", {}).get("EDS", {}) for node in nodes]
    eds: dict[str, Any] = next((node for node in found if node), {})
    shape = tuple(axis["size"] for axis in axes[:-1])
    real, live = eds.get("real_time"), eds.get("live_time")
    carried = eds.get("_sig_dead_time")
    times = {}
    if real is not None:
        times["elapsed_time"] = np.full(shape, float(real))
        if carried is not None:
            dead_time = np.asarray(carried["data"])
            has_detectors = carried["metadata"]["Signal"].get("has_detectors", False)
            values = live_time(dead_time, real, 0 if has_detectors else None)
            if values.shape == shape:
                times["live_time"] = values
    if live is not None and carried is None and "n_spectra_of_map" not in eds:
        times["live_time"] = np.full(shape, float(live))
    for name, values in times.items():
        detector[name] = values
        detector[name].attrs["units"] = "s"


def _write_calibration(detector: h5py.Group, energy: dict[str, Any]) -> None:
    """Write channels and what turns them into keV: channels alone if the axis is of these."""
    numbers = np.arange(energy["size"])
    unit = TO_KEV.get(energy.get("units") or "")
    if unit is not None:
        detector["calibration"] = [unit * energy["offset"], unit * energy["scale"], 0.0]
    elif float(energy["offset"]).is_integer() and float(energy["scale"]).is_integer():
        numbers = int(energy["offset"]) + int(energy["scale"]) * numbers
    detector["channels"] = numbers
