"""``file_reader`` for ``.HDF5`` files of CRONO."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.checks import check_choice
from rsciio_xfm.core.dates import parse_datetime
from rsciio_xfm.core.dead_time import dead_time_of_times
from rsciio_xfm.core.eds import build_axis, order_axes
from rsciio_xfm.core.hdf5.links import get, open_checked
from rsciio_xfm.core.hdf5.stored import make_source
from rsciio_xfm.core.scan import fit_line
from rsciio_xfm.core.to_dask import in_memory, load
from rsciio_xfm.core.views import Unsigned
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.crono import layout
from rsciio_xfm.formats.crono.data import Selected
from rsciio_xfm.formats.crono.parse import File, find_spectra, read_index, recognizes

__all__ = ["file_reader", "recognizes"]

_SELECTIONS = (None, "spectrum_image", "counters", "window_integral")
_MOST_WINDOWS = 1000


@dataclass(frozen=True, eq=False)
class _Pixels:
    """What is read: the map, or all spectra in the order of time.

    Attributes
    ----------
    shape
        Of the map, or of the line of all spectra.
    index
        int64, of that shape: number of the spectrum of each pixel; None for all of them.
    axes
        Slowest first.
    """

    shape: tuple[int, ...]
    index: np.ndarray | None
    axes: list[dict[str, Any]]

    def pick(self, values: np.ndarray) -> np.ndarray:
        """Return the values of the pixels from those of all spectra."""
        return values if self.index is None else values[self.index]


def file_reader(
    filename: str | Path,
    lazy: bool = False,
    chunks: Any = "auto",
    dataset_path: str | None = None,
    select_type: str | None = None,
) -> list[dict[str, Any]]:
    """Read an ``.HDF5`` file of CRONO, the scanner of XGLab and Bruker.

    Parameters
    ----------
    filename
        Path of the file.
    lazy
        If True, ``data`` are dask arrays. Of spectra each chunk is read when it is needed;
        images, which are small, are read now.
    chunks
        Of the dask arrays. ``"auto"`` makes chunks of whole rows with all channels, 128 MiB at
        most; anything else goes to :func:`dask.array.core.normalize_chunks`.
    dataset_path
        None reads the map, with the spectrum that the program chose for each of its pixels.
        ``"XRF/Spectra"`` reads all spectra that were measured, one after the other.
    select_type
        ``"spectrum_image"`` or None reads spectra. ``"counters"`` reads times, rates and
        positions of the motors as a stack of images; ``"window_integral"`` the images of
        windows that the program computed.

    Returns
    -------
    list of dict
        One signal. ``data`` of a map: counts as they are stored, uint16, shape ``(y, x, E)``,
        ``(x, E)`` of all spectra. ``axes``: x and y in mm where the file has coordinates,
        Energy in keV. ``metadata``: signal type EDS_XFM; dead times in percent. Images are
        float64, ``(counter, y, x)``, with their names in ``General.counters``.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no HDF5 file, or none of CRONO's; it does not hold what is read.
    rsciio_xfm.exceptions.CorruptFileError
        A pixel has a spectrum that is not there; a dataset cannot be read, or claims to be
        larger than what is stored of it.
    MemoryError
        The map is larger than the available memory and `lazy` is False.
    ValueError
        An argument does not suit the file.

    Warns
    -----
    UserWarning
        Many pixels have the spectrum 0; times differ from spectrum to spectrum; energies do
        not ascend, or bend.

    Notes
    -----
    Dead time of a pixel = 1 - live time / real time, of its spectrum. Live and real time in
    the metadata are those of one spectrum, the mean. What the program stored as objects of its
    own (settings, photographs) is not read.

    Source of the format: see ``layout.py``. No file of the scanner was at hand.

    Examples
    --------
    >>> from rsciio_xfm.formats.crono import file_reader
    >>> (map_,) = file_reader("painting.HDF5", lazy=True)
    >>> map_["data"].shape
    (20, 30, 1024)
    """
    path = Path(filename)
    check_choice("select_type", select_type, _SELECTIONS)
    if dataset_path is not None and _strip(dataset_path) != layout.SPECTRA:
        raise ValueError(
            f"{path}: dataset_path is {dataset_path!r:.60}, expected None or "
            f"{layout.SPECTRA!r}."
        )
    with open_checked(path) as root, np.errstate(all="ignore"):
        file = find_spectra(path, root)
        pixels = _find_pixels(file, is_all=dataset_path is not None)
        if select_type == "counters":
            signal = _read_counters(file, pixels)
        elif select_type == "window_integral":
            signal = _read_images(file, pixels)
        else:
            signal = _read_spectra(file, pixels, lazy, chunks)
        if isinstance(signal["data"], np.ndarray) and lazy:
            signal["data"] = in_memory(signal["data"], chunks)
        signal["original_metadata"] = _original(file)
    return [signal]


def _strip(name: Any) -> str:
    return name.strip("/") if isinstance(name, str) else ""


def _find_pixels(file: File, is_all: bool) -> _Pixels:
    if is_all:
        n = file.spectra.shape[0]
        return _Pixels((n,), None, [build_axis("x", n, None, None)])
    index = read_index(file)
    axes = []
    for axis, (name, size) in enumerate(zip("yx", index.shape, strict=True)):
        own = build_axis(name, size, None, None)
        places = file.numbers(layout.COORDINATES[name], (*index.shape, 1), index.shape)
        if places is not None:
            line = fit_line(places.reshape(index.shape).astype(np.float64), axis)
            if line is not None and line[1]:
                own |= {"offset": line[0], "scale": line[1], "units": "mm"}
        axes.append(own)
    return _Pixels(index.shape, index, axes)


# Spectra.


def _read_spectra(file: File, pixels: _Pixels, lazy: bool, chunks: Any) -> dict[str, Any]:
    source: FileArray = make_source(file.path, file.spectra)
    if source.dtype.kind == "i":
        source = Unsigned(source, f"{file.path}: {layout.SPECTRA}")
    if pixels.index is not None:
        source = Selected(source, pixels.index)
    live, real = (_read_times(file, pixels, name) for name in (layout.LIVE, layout.REAL))
    dead = None
    if live is not None and real is not None:
        dead = dead_time_of_times(live, real).astype(np.float32)
    else:
        meta.warn_of_uneven(str(file.path), live, is_live=True)
    meta.warn_of_uneven(str(file.path), real)
    texts = file.texts()
    instrument = {"scanner": "CRONO"}
    if dead is not None:
        instrument["dead_time_from"] = "live time / real time"
    signal = meta.build_map(
        file.path,
        file.path.stem
        if pixels.index is not None
        else f"{file.path.stem} {layout.SPECTRA}",
        [*pixels.axes, _energy_axis(file)],
        dead,
        meta.mean_time(real),
        instrument=instrument,
        date=_date(texts),
        live_time=meta.mean_time(live),
    )
    signal["data"] = load(source, file.path, lazy, chunks)
    return signal


def _read_times(file: File, pixels: _Pixels, name: str) -> np.ndarray | None:
    """Return times of the pixels, s."""
    n = file.spectra.shape[0]
    values = file.numbers(name, (n,), (n, 1))
    if values is None:
        return None
    return pixels.pick(values.reshape(n).astype(np.float64) * layout.US)


def _energy_axis(file: File) -> dict[str, Any]:
    """Make the energy axis from the energies of the channels, else from two of them."""
    n = file.spectra.shape[1]
    energies = file.numbers(layout.ENERGIES, (n,))
    line = None
    if energies is not None:
        line = meta.calibration_of(energies)
        if line is None:
            warn(
                f"{file.path}: {layout.ENERGIES} does not ascend, expected keV of each "
                f"channel: it is not used {file.place(layout.ENERGIES)}."
            )
    if line is None:
        points = file.numbers(layout.POINTS, (2, 2))
        if points is not None:
            (first, low), (last, high) = points.astype(np.float64).tolist()
            scale = (high - low) / (last - first) if last != first else 0.0
            line = (low - scale * first, scale) if scale > 0 else None
    return meta.energy_axis(str(file.path), n, line)


def _date(texts: dict[str, Any]) -> Any:
    """Return when it was measured."""
    status = (texts.get(name, {}).get(layout.DATE) for name in layout.STATUS)
    found = (parse_datetime(text) for text in (*status, texts.get("created")))
    return next((date for date in found if date is not None), None)


# Images.


def _read_counters(file: File, pixels: _Pixels) -> dict[str, Any]:
    """Read what was recorded with each spectrum."""
    n = file.spectra.shape[0]
    counters = {}
    for key, name in (("live_time", layout.LIVE), ("real_time", layout.REAL)):
        times = _read_times(file, pixels, name)
        if times is not None:
            counters[key] = times
    for key, name in layout.COUNTERS.items():
        values = file.numbers(name, (n,), (n, 1))
        if values is not None:
            counters[key] = pixels.pick(values.reshape(n))
    places = file.numbers(layout.MOTORS, (n, len(layout.AXES)))
    if places is not None:
        moved = zip(layout.AXES, places.T, strict=True)
        counters |= {f"motor_{axis}": pixels.pick(values) for axis, values in moved}
    return _stack(file, pixels, "counters", counters)


def _read_images(file: File, pixels: _Pixels) -> dict[str, Any]:
    """Read the images of windows."""
    if pixels.index is None:
        raise ValueError(
            f"{file.path}: dataset_path and select_type='window_integral' are given, expected "
            "one of them: images are of the map."
        )
    images = None
    n = (getattr(get(file.root, layout.IMAGES), "shape", None) or ())[-1:]
    if n:
        images = file.numbers(layout.IMAGES, (*pixels.shape, *n))
    found: dict[str, np.ndarray] = {}
    if images is not None:
        for i, name in enumerate(file.names(images.shape[-1])):
            found[meta.new_name(name, found)] = images[..., i]
    signal = _stack(file, pixels, "window_integral", found)
    signal["metadata"]["Signal"]["quantity"] = "X-rays (Counts)"
    return signal


def _stack(
    file: File, pixels: _Pixels, kind: str, found: dict[str, np.ndarray]
) -> dict[str, Any]:
    title = f"{file.path.stem} {kind}"
    date = _date(file.texts())
    instrument = {"scanner": "CRONO"}
    signal = meta.build_counters(file.path, title, found, pixels.axes, instrument, date)
    if signal is None:
        expected = layout.IMAGES if kind == "window_integral" else layout.REAL
        raise FileFormatError(
            f"{file.path}: the file holds nothing that select_type={kind!r} reads, "
            f"expected {expected} (byte 0, the whole file)."
        )
    signal["axes"] = order_axes(signal["axes"])
    return signal


def _original(file: File) -> dict[str, Any]:
    """Return what the file says of itself."""
    found: dict[str, Any] = file.texts()
    found["n_spectra"] = int(file.spectra.shape[0])
    points = file.numbers(layout.POINTS, (2, 2))
    if points is not None:
        found["calibration_points"] = points.tolist()
    shape = getattr(get(file.root, layout.WINDOWS), "shape", None)
    n = shape[0] if shape else 0
    if 0 < n <= _MOST_WINDOWS:
        windows = file.numbers(layout.WINDOWS, (n, 2))
        if windows is not None:
            names = file.names(n)
            found["windows"] = {
                n: w.tolist() for n, w in zip(names, windows, strict=True)
            }
    return meta.clean(found)
