"""``file_writer`` for EDF images, and for HDF5 files that PyMca and silx open as maps."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np

from rsciio_xfm.analysis.dead_time import live_time
from rsciio_xfm.core.atomic import refuse_original, replacing
from rsciio_xfm.core.blocks import blocks, choose_stored
from rsciio_xfm.core.eds import with_times_of_one_spectrum
from rsciio_xfm.core.extras import require
from rsciio_xfm.core.hdf5.extra import write_extra
from rsciio_xfm.core.hdf5.write import is_original_hdf5, replacing_hdf5
from rsciio_xfm.core.progress import bytes_bar
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.writers import check_plain
from rsciio_xfm.formats.esrf import layout as names
from rsciio_xfm.formats.esrf.header import LEFT_OUT, pack

_HDF5 = (".h5", ".hdf5", ".nxs", ".nx")
_EDF = ".edf"
# Of numbers that the format has names for.
_EDF_TYPES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"]
_METRES = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "nm": 1e-9}
_KEV = {"keV": 1.0, "eV": 1e-3}
_MOST_HEADER = (
    2**15
)  # bytes of what is kept of the header: fabio gives up at 2**18 in all
_MOST_EDF_HEADER = 2**18  # bytes that fabio looks at
_MOST_TITLE = 1000
# The key that only our images have, in the header of the first one.
_OUR_KEY = re.compile(rf"[\n;]\s*{names.EXTRA}\s*=".encode())
_KEPT = names.EXTRA, *names.PIXEL_SIZES, "title"


def file_writer(
    filename: str | Path,
    signal: dict[str, Any],
    chunks: tuple[int, ...] | bool | None = None,
    replace_original: bool = False,
    **kwds: Any,
) -> None:
    """Write images as EDF, or any signal as an HDF5 file in NeXus form.

    Parameters
    ----------
    filename
        Path of the file; its extension chooses: ``.edf``, or ``.h5``, ``.hdf5``, ``.nxs``. It
        is replaced when the new one is whole; until then it is as it was.
    signal
        Dictionary of a signal, as :meth:`hyperspy.api.signals.BaseSignal.save` passes it. Its
        data may be a dask array, which is computed block by block.
    chunks
        HDF5: of the dataset. By default the numbers follow each other without chunks, which is
        read fastest; with a compression, whole spectra of neighbouring pixels make a chunk.
    replace_original
        Replace a file that was not written here, too.
    **kwds
        HDF5: of :meth:`h5py.Group.create_dataset`, such as ``compression="gzip"``.

    Raises
    ------
    TypeError
        The data are masked, or of a type that the format does not have.
    ValueError
        The signal is no image, or no stack of images (EDF); it is empty; an option is not for
        this format; the destination is an EDF or HDF5 file that was not written here.
    ImportError
        fabio is not installed (EDF).
    OSError
        The file cannot be written; what was there is as it was.

    Warns
    -----
    UserWarning
        Something in the metadata cannot be written.

    Notes
    -----
    EDF: one frame for each image, the header that the images were loaded with, and axes and
    metadata in one key ``rsciio_xfm``, from which :func:`file_reader` restores them.

    HDF5: ``entry/instrument/mca00/data`` with the attribute ``interpretation="spectrum"``,
    ``live_time`` and ``elapsed_time`` (s), ``calibration`` (keV) and ``channels`` beside it;
    ``entry/map`` is the default plot (NXdata) with the axes. Axes and metadata are kept too.

    Source: what PyMca 5.9 looks for in HDF5 files; the NeXus definition of NXdata.

    Examples
    --------
    >>> s = hs.load("map.GeoPIXE", lazy=True)
    >>> s.save("map.h5", file_format="ESRF")
    """
    path = Path(filename)
    data = signal["data"]
    axes = sorted(signal["axes"], key=lambda axis: axis.get("index_in_array", 0))
    extension = path.suffix.lower()
    if extension not in (*_HDF5, _EDF):
        raise ValueError(
            f"{path}: the extension is {path.suffix!r}, expected {_EDF} for images or "
            f"{', '.join(_HDF5[:3])} for anything."
        )
    check_plain(path, data)
    if 0 in data.shape or not data.ndim:
        raise ValueError(f"{path}: the array is {data.shape}, expected some numbers.")
    refuse_original(path, is_original, replace_original)
    if extension == _EDF:
        if chunks is not None or kwds:
            given = [*(["chunks"] if chunks is not None else []), *kwds]
            raise ValueError(f"{path}: {', '.join(given)} given, expected none for EDF.")
        _write_edf(path, signal, data, axes)
    else:
        _write_hdf5(path, signal, data, axes, chunks, kwds)


def is_original(path: Path) -> bool:
    """Tell whether a file is an EDF or HDF5 file that was not written here.

    Parameters
    ----------
    path
        Of a file. One with an extension that is never written here is an original too.
    """
    if path.suffix.lower() not in (*_HDF5, _EDF):
        return True
    with open(path, "rb") as file:
        head = file.read(_MOST_EDF_HEADER)
    if not head.lstrip().startswith(b"{"):
        return is_original_hdf5(path)
    return not _OUR_KEY.search(head.partition(b"}")[0])


# EDF.


def _write_edf(
    path: Path, signal: dict[str, Any], data: Any, axes: list[dict[str, Any]]
) -> None:
    edfimage = require("fabio.edfimage", "esrf")
    roles = [axis["navigate"] for axis in axes]
    if roles not in ([False, False], [True, False, False]):
        raise ValueError(
            f"{path}: the signal has {roles.count(True)} axes to navigate and "
            f"{roles.count(False)} of the signal, expected an image, or images along one "
            'axis: EDF holds images. Save spectra as .h5 with file_format="ESRF".'
        )
    if data.dtype.str[1:] not in _EDF_TYPES:
        raise TypeError(
            f"{path}: the data are {data.dtype}, expected real numbers of 8 to 64 bits: "
            "convert them with the signal's change_dtype."
        )
    header = _edf_header(path, signal, axes)
    changing = _changing(signal, data.shape[0] if data.ndim == 3 else 1)
    with (
        replacing(path) as file,
        bytes_bar(data.nbytes, f"Writing {path.name}") as bar,
    ):
        for i, image in enumerate(_images(data)):
            own = header if i == 0 else {}
            own = own | {key: values[i] for key, values in changing.items()}
            native = np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("="))
            frame = edfimage.EdfFrame(data=native, header=dict(own))
            frame._index = i  # the argument for it raises an error in fabio 2026.6
            file.write(frame.get_edf_block())
            bar.update(native.nbytes)


def _images(data: np.ndarray | da.Array) -> Iterator[np.ndarray]:
    """Yield images one by one; of a dask array, few of its chunks are in memory."""
    if data.ndim == 2:
        data = data[np.newaxis]
    if isinstance(data, da.Array):
        data = data.rechunk({1: -1, 2: -1})
    for _, block in blocks(data):
        yield from block


def _edf_header(
    path: Path, signal: dict[str, Any], axes: list[dict[str, Any]]
) -> dict[str, str]:
    """Make the header of the first frame."""
    original = signal.get("original_metadata", {})
    held = original.get("header", {}) if isinstance(original, dict) else {}
    header: dict[str, str] = {}
    left_out = []
    n_bytes = 0
    for key, value in held.items() if isinstance(held, dict) else ():
        if not isinstance(value, str) or _is_storage(key):
            continue
        n_bytes += len(key) + len(value) + 6
        if _fits(key) and _fits(value) and n_bytes <= _MOST_HEADER:
            header[key] = value
        else:
            left_out.append(key)
    if left_out:
        warn(
            f"{path}: {', '.join(left_out[:8])} of the header cannot be written, expected "
            f"ASCII text without braces and semicolons, {_MOST_HEADER} bytes in all: they are "
            "kept in the metadata only."
        )
    title = str(signal["metadata"].get("General", {}).get("title") or "")
    if len(title) <= _MOST_TITLE and _fits(title):
        header["title"] = title
    for key, axis in zip(names.PIXEL_SIZES, reversed(axes[-2:]), strict=True):
        metres = _METRES.get(axis.get("units"))
        if metres is not None:
            header[key] = f"{axis['scale'] * metres:.12g}"
    return header | {names.EXTRA: pack(path, signal, axes) or LEFT_OUT}


def _is_storage(key: str) -> bool:
    folded = key.lower()
    own = {kept.lower() for kept in _KEPT}
    return folded in names.STORAGE_KEYS | own or folded.startswith("edf_")


def _fits(text: str) -> bool:
    """Tell whether text can stand in an EDF header."""
    is_printed = text.isascii() and text.isprintable()
    return is_printed and bool(text.strip()) and not set(text) & set("{};=")


def _changing(signal: dict[str, Any], n_frames: int) -> dict[str, list[str]]:
    """Return values of the headers that change from frame to frame."""
    original = signal.get("original_metadata", {})
    held = original.get("frames", {}) if isinstance(original, dict) else {}
    return {
        key: values
        for key, values in (held.items() if isinstance(held, dict) else ())
        if isinstance(values, list)
        and len(values) == n_frames
        and not _is_storage(key)
        and _fits(key)
        and all(isinstance(v, str) and _fits(v) for v in values)
    }


# HDF5.


def _write_hdf5(
    path: Path,
    signal: dict[str, Any],
    data: Any,
    axes: list[dict[str, Any]],
    chunks: tuple[int, ...] | bool | None,
    kwds: dict[str, Any],
) -> None:
    if data.dtype.kind not in "biufc":
        raise TypeError(f"{path}: the data are {data.dtype}, expected numbers.")
    with replacing_hdf5(path) as (file, do):
        dataset = do(_write_header, file, path, signal, data, axes, chunks, kwds)
        with bytes_bar(data.nbytes, f"Writing {path.name}") as bar:
            for place, block in blocks(data):
                do(dataset.__setitem__, place, block)
                bar.update(block.nbytes)


def _write_header(
    file: h5py.File,
    path: Path,
    signal: dict[str, Any],
    data: Any,
    axes: list[dict[str, Any]],
    chunks: tuple[int, ...] | bool | None,
    kwds: dict[str, Any],
) -> h5py.Dataset:
    """Write everything but the data, and return where they go."""
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
    if chunks is not None or kwds:
        kwds = kwds | {"chunks": choose_stored(path, data, axes, chunks) or True}
    dataset = detector.create_dataset(
        "data", shape=data.shape, dtype=data.dtype.newbyteorder("="), **kwds
    )
    if is_spectra or is_images:
        dataset.attrs[names.INTERPRETATION] = "spectrum" if is_spectra else "image"
    if is_spectra:
        _write_times(detector, signal, axes)
        _write_calibration(detector, axes[-1])
    plot = _group(entry, "map", "NXdata")
    plot["data"] = h5py.SoftLink(dataset.name)
    plot.attrs["signal"] = "data"
    plot.attrs[names.INTERPRETATION] = dataset.attrs.get(names.INTERPRETATION, "scalar")
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
    eds = next((node for node in found if node), {})
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
    unit = _KEV.get(energy.get("units"))
    if unit is not None:
        detector["calibration"] = [unit * energy["offset"], unit * energy["scale"], 0.0]
    elif float(energy["offset"]).is_integer() and float(energy["scale"]).is_integer():
        numbers = int(energy["offset"]) + int(energy["scale"]) * numbers
    detector["channels"] = numbers
