"""``file_reader`` for Bruker's maps and spectra."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.checks import check_number_of, is_whole
from rsciio_xfm.core.dead_time import live_fraction
from rsciio_xfm.core.detectors import StackedMaps
from rsciio_xfm.core.eds import (
    DETECTOR_AXIS,
    build_axis,
    build_dead_time,
    build_share,
    keep_dead_time_with_its_class,
    order_axes,
)
from rsciio_xfm.core.to_dask import check_worth_reading, from_source, in_memory, read_all
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.xrf import number
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.bruker import metadata as metadata_of
from rsciio_xfm.formats.bruker.container import Container, open_item, read_container
from rsciio_xfm.formats.bruker.data import bruker_array, smallest_dtype
from rsciio_xfm.formats.bruker.index import Data, Index, Shape, read_index, read_shape
from rsciio_xfm.formats.bruker.parse import Header, Spectrum, find_spectra, read_header
from rsciio_xfm.formats.bruker.times import (
    PixelTimes,
    add_pixels,
    find_times,
    zero_peak,
)
from rsciio_xfm.formats.bruker.upstream import read_images, read_spectrum

_SELECTIONS = (None, "spectrum_image", "image")
_INSTRUMENTS = (None, "SEM", "TEM")
_CUTOFFS = ("zealous", "auto")
_DTYPES = ("uint8", "uint16", "uint32", "uint64")
_MICRO = 1e-6
_MOST_CHANNELS = 2**16
_MOST_PIXELS = 2**16  # down and across
# A map of which less is there is read lazily only, unless it is small.
_LEAST_SHARE = 0.01
_EVEN = 1e-6  # by which real times may differ


@dataclass(frozen=True)
class _Map:
    """A map of spectra: those of its detectors, of one size."""

    header: Header
    spectrum: Spectrum
    shape: Shape
    streams: list[tuple[Data, Index]]
    times: list[PixelTimes]


@dataclass(frozen=True)
class _Options:
    """Of the reader, for maps."""

    detector: int | None
    sum_detectors: bool
    downsample: int
    cutoff: float | str | None
    instrument: str | None
    dtype: Any
    cache: bool


def file_reader(
    filename: str | Path,
    lazy: bool = False,
    chunks: Any = "auto",
    select_type: str | None = None,
    index: int | str | None = None,
    downsample: int = 1,
    cutoff_at_kV: float | str | None = None,
    instrument: str | None = None,
    detector: int | None = None,
    sum_detectors: bool = True,
    dtype: Any = None,
    cache: bool = True,
) -> list[dict[str, Any]]:
    """Read a Bruker ``.bcf`` map or ``.spx`` spectrum.

    Parameters
    ----------
    filename
        Path of the file.
    lazy
        If True, ``data`` is a dask array; now the header is read, and one pass made over the
        records, in bounded memory, that indexes them and counts the pulses of which the live
        times are made.
    chunks
        Of the dask array. ``"auto"`` makes chunks of whole rows with all channels, at
        most 128 MiB. Anything else goes to :func:`dask.array.core.normalize_chunks`.
    select_type
        ``"spectrum_image"`` reads the maps only, ``"image"`` the images of the sample only,
        None both: the images first.
    index
        Number of the spectra in a file that holds several: these only. ``"all"`` reads each
        of them as a map of its own. None reads the first, or, if they are those of several
        detectors, all of them.
    downsample
        Sum so many pixels, down and across, into one.
    cutoff_at_kV
        Read channels up to this energy, in keV; zeros follow beyond those of the file.
        ``"zealous"``: up to the last channel that is not zero; ``"auto"``: up to the energy
        of the beam.
    instrument
        ``"SEM"`` or ``"TEM"``. None is a TEM for a beam of more than 30 kV, otherwise a SEM,
        and neither if the header describes an X-ray tube.
    detector
        Read this detector only, 0 being the first.
    sum_detectors
        Sum all detectors; if False, they are the first axis.
    dtype
        Of the counts: ``uint8``, ``uint16``, ``uint32`` or ``uint64``. None takes the smallest
        that holds all of them.
    cache
        Keep the index of a file above 64 MiB in the user's cache, and take it from there
        when the same file is opened again.

    Returns
    -------
    list of dict
        Images and maps, or the spectrum. ``data`` of a map: counts, shape ``(y, x, E)``, or
        ``(detector, y, x, E)`` if `sum_detectors` is False. ``axes``: height and width in µm
        (pixels, if the file does not say), Energy in keV. ``metadata``: as RosettaSciIO has
        them, with the dead time in percent, ``(detector, y, x)``, included. Signals of the
        type EDS_XFM keep that, see Notes.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no file of Bruker, or its header cannot be true.
    rsciio_xfm.exceptions.CorruptFileError
        A record contradicts the format, lies outside the map, or stands twice.
    OverflowError
        Counts do not fit `dtype`; for a lazy array, when it is computed.
    MemoryError
        The map is larger than the available memory and `lazy` is False.
    ValueError
        An argument does not suit the file.

    Warns
    -----
    UserWarning
        The map ends early; images cannot be read; the header says less than it should.

    Notes
    -----
    The signal type is EDS_SEM or EDS_TEM, as of RosettaSciIO, and EDS_XFM of maps that an
    X-ray tube excited. ``hs.load("map.bcf", signal_type="EDS_XFM",
    select_type="spectrum_image")`` makes any map one with the methods of this package, and
    keeps the dead time of each pixel.

    Live and real time in the metadata are those of one spectrum of the map: the sum over
    the detectors that were added, the mean over the map's pixels.

    Source of the format: see ``layout.py``.

    Examples
    --------
    >>> from rsciio_xfm.formats.bruker import file_reader
    >>> (map_,) = file_reader("map.bcf", lazy=True, select_type="spectrum_image")
    >>> map_["data"].shape
    (5, 7, 512)
    """
    path = Path(filename)
    if select_type not in _SELECTIONS or instrument not in _INSTRUMENTS:
        raise ValueError(
            f"{path}: select_type is {select_type!r} and instrument {instrument!r}, expected "
            f"one of {_SELECTIONS} and one of {_INSTRUMENTS}."
        )
    if not is_whole(downsample) or not 1 <= downsample <= _MOST_PIXELS:
        raise ValueError(
            f"{path}: downsample is {downsample!r:.40}, expected a whole number of pixels, 1 "
            f"to {_MOST_PIXELS}."
        )
    options = _Options(
        detector, sum_detectors, downsample, cutoff_at_kV, instrument, dtype, cache
    )
    if path.suffix.lower() == ".spx":
        return _read_spx(path, lazy, options, select_type, index)
    if path.suffix.lower() != ".bcf":
        raise ValueError(
            f"{path}: the extension is {path.suffix!r}, expected .bcf or .spx."
        )
    container = read_container(path)
    names = find_spectra(container)
    header = read_header(container, list(names))
    signals = _read_images(path, header, select_type, instrument)
    if lazy:
        for signal in signals:
            signal["data"] = in_memory(signal["data"])
    if select_type == "image":
        return signals
    for group in _choose_spectra(path, header, list(names), index, options):
        map_ = _read_map(container, header, {i: names[i] for i in group}, cache)
        signals.append(_build_signal(path, map_, options, lazy, chunks))
    return signals


def _read_images(
    path: Path, header: Header, select_type: str | None, instrument: str | None
) -> list[dict[str, Any]]:
    """Read the images of a map, if they are wanted."""
    if select_type == "spectrum_image":
        return []
    if header.has_images:
        return read_images(path, instrument, select_type is None, header.problem)
    if select_type == "image":
        warn(f"{path}: there are no images in the file, expected some to be read.")
    return []


def _read_spx(
    path: Path, lazy: bool, options: _Options, select_type: str | None, index: Any
) -> list[dict[str, Any]]:
    """Read a spectrum, for which no option of a map has a meaning."""
    plain = _Options(None, True, 1, None, None, None, options.cache)
    if options != plain or select_type is not None or index is not None:
        raise ValueError(
            f"{path}: options of maps are given, expected none: the file is a single spectrum."
        )
    return read_spectrum(path, lazy)


def _choose_spectra(
    path: Path, header: Header, numbers: list[int], index: Any, options: _Options
) -> list[list[int]]:
    """Return of which spectra each map is made."""
    if index is not None and options.detector is not None:
        raise ValueError(f"{path}: index and detector are given, expected one of them.")
    if isinstance(index, str) and index == "all":
        return [[i] for i in numbers]
    if index is not None:
        if not is_whole(index):
            raise ValueError(
                f"{path}: index is {index!r:.40}, expected one of {numbers}, or 'all'."
            )
        if index not in numbers:
            raise IndexError(
                f"{path}: index is {index}, expected one of {numbers}, or 'all'."
            )
        return [[index]]
    are_detectors = header.n_detectors == len(numbers) > 1
    group = numbers if are_detectors else numbers[:1]
    if len(numbers) > 1 and not are_detectors:
        warn(
            f"{path}: the file holds {len(numbers)} maps, {numbers}: the first is read. "
            "index='all' reads each."
        )
    if options.detector is None:
        return [group]
    n = len(group)
    more = f": the map has {n} detectors"
    number = check_number_of(str(path), "detector", options.detector, n, more)
    return [[group[number]]]


def _read_map(
    container: Container, header: Header, names: dict[int, str], cache: bool
) -> _Map:
    """Index the spectra of a map, and find the times of its pixels."""
    path, first = container.source.name, next(iter(names))
    nothing = Spectrum({}, {}, {}, {}, {}, 0)
    if first not in header.spectra:
        warn(
            f"{path}: the header does not describe {names[first]}: its energies, detector and "
            "live times stay unknown."
        )
    spectra = [header.spectra.get(i, nothing) for i in names]
    data = [open_item(container, name) for name in names.values()]
    shapes = [read_shape(*pair) for pair in zip(data, names.values(), strict=True)]
    if len(set(shapes)) > 1:
        raise FileFormatError(
            f"{path}: the detectors have maps of {shapes}, expected one size (byte "
            f"{data[1].byte_of(0)}). Use index='all'."
        )
    streams, times = [], []
    for spectrum, stream, name in zip(spectra, data, names.values(), strict=True):
        window = zero_peak(spectrum.scale, spectrum.offset, shapes[0].n_channels)
        index = read_index(stream, name, shapes[0], window, cache)
        streams.append((stream, index))
        frequency = spectrum.frequency if window[1] else None
        scanned, table = _times_of_scan(path, header, shapes[0])
        n_counts = int(index.total.sum())
        times.append(find_times(index.pulses, n_counts, frequency, scanned, table))
    return _Map(header, spectra[0], shapes[0], streams, times)


def _times_of_scan(
    path: str, header: Header, shape: Shape
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return what the scan spent on a pixel of each row, and the table of times, in s."""
    factors = [
        number(header.scan.get(key))
        for key in ("LineAverage", "PixelAverage", "PixelTime")
    ]
    counter, scanned = header.line_counter, None
    if len(counter) != shape.n_rows:
        warn(
            f"{path}: the header counts the scans of {len(counter)} rows, expected "
            f"{shape.n_rows}: they are not used for the real times."
        )
    elif None not in factors:
        seconds = float(np.prod([factor for factor in factors if factor is not None]))
        scanned = np.array(counter, dtype=np.float64) * seconds * _MICRO
    table = header.pixel_times
    if table is not None and table.shape != (shape.n_rows, shape.n_columns):
        warn(
            f"{path}: PixelTimes are of {table.shape} pixels, expected "
            f"{(shape.n_rows, shape.n_columns)}: they are not used."
        )
        table = None
    return scanned, None if table is None else table * _MICRO


def _build_signal(
    path: Path, map_: _Map, options: _Options, lazy: bool, chunks: Any
) -> dict[str, Any]:
    n_bins = _count_bins(path, map_, options.cutoff)
    highest = sum(index.highest for _, index in map_.streams) * options.downsample**2
    dtype = _choose_dtype(path, options.dtype, highest)
    total = sum(int(index.total[n_bins:].sum()) for _, index in map_.streams)
    if total and options.cutoff is None:
        warn(
            f"{path}: {total} counts are in channels beyond the {n_bins} of the sum spectrum: "
            "they are left out. cutoff_at_kV reads more channels."
        )
    source: FileArray = bruker_array(
        map_.shape, map_.streams, n_bins, options.downsample, dtype
    )
    is_stack = not options.sum_detectors and options.detector is None
    if is_stack and len(map_.streams) > 1:
        source = source.by_detector() or source
    elif is_stack and map_.header.n_detectors > 1:
        source = StackedMaps((source,))
    if not lazy:
        n_pixels = map_.shape.n_rows * map_.shape.n_columns
        data, index = map_.streams[0]
        check_worth_reading(
            path,
            source,
            index.n_records,
            n_pixels,
            "spectra",
            _LEAST_SHARE,
            byte=data.byte_of(0),
        )
    instrument = metadata_of.instrument_of(map_.header, map_.spectrum, options.instrument)
    axes = _build_axes(map_, source, options.downsample)
    eds = _describe_times(map_, axes, options.downsample)
    return {
        "data": from_source(source, chunks) if lazy else read_all(source, str(path)),
        "axes": order_axes(axes),
        "metadata": metadata_of.build_metadata(
            path, map_.header, map_.spectrum, instrument, eds
        ),
        "original_metadata": metadata_of.build_original(map_.header, map_.spectrum),
        "mapping": metadata_of.build_mapping(instrument),
        "post_process": [keep_dead_time_with_its_class],
    }


def _count_bins(path: Path, map_: _Map, cutoff: float | str | None) -> int:
    """Return how many channels are read."""
    spectrum, stored = map_.spectrum, map_.shape.n_channels
    n_all = spectrum.n_channels or stored
    if not 0 < n_all <= _MOST_CHANNELS:
        raise FileFormatError(
            f"{path}: the sum spectrum has {n_all} channels, expected 1 to {_MOST_CHANNELS} "
            f"(byte {map_.streams[0][0].byte_of(0)})."
        )
    declared = number(spectrum.spectrum.get("ChannelCount"))
    if spectrum.n_channels and declared not in (None, n_all):
        warn(
            f"{path}: the sum spectrum has {n_all} channels, expected the {declared:g} of "
            "its ChannelCount: the header is damaged, or the energies are wrong."
        )
    if cutoff is None:
        return n_all
    if cutoff == "zealous":
        total = sum(index.total for _, index in map_.streams)
        return int(np.flatnonzero(total)[-1]) + 1 if np.any(total) else n_all
    if cutoff == "auto":
        beam = number(map_.header.microscope.get("HV"))
        full = number(spectrum.hardware.get("Amplification"))
        if beam is None or full is None or not 0 < beam < full / 1000:
            return n_all
        cutoff = beam
    if spectrum.scale is None or spectrum.offset is None:
        raise ValueError(f"{path}: cutoff_at_kV is given, and the file has no energies.")
    energy = number(cutoff)
    n = 0.0 if energy is None else round((energy - spectrum.offset) / spectrum.scale)
    if not 1 <= n <= _MOST_CHANNELS:
        raise ValueError(
            f"{path}: cutoff_at_kV is {cutoff!r}, expected an energy of 1 to {_MOST_CHANNELS} "
            f"channels of {spectrum.scale} keV, or one of {_CUTOFFS}."
        )
    return int(n)


def _choose_dtype(path: Path, dtype: Any, highest: int) -> np.dtype:
    if dtype is None:
        return smallest_dtype(highest)
    try:
        chosen = np.dtype(dtype).newbyteorder("=")
    except TypeError as exc:
        raise ValueError(
            f"{path}: dtype is {dtype!r:.40}, expected one of {', '.join(_DTYPES)}."
        ) from exc
    if chosen.name not in _DTYPES:
        raise ValueError(
            f"{path}: dtype is {chosen.name}, expected one of {', '.join(_DTYPES)}: counts "
            "are whole numbers. Convert the signal with its change_dtype method."
        )
    return chosen


def _build_axes(map_: _Map, source: FileArray, downsample: int) -> list[dict[str, Any]]:
    """Describe the axes, named as RosettaSciIO does."""
    microscope, spectrum = map_.header.microscope, map_.spectrum
    steps = [number(microscope.get(key)) for key in ("DY", "DX")]
    steps = [None if step is not None and step < 0 else step for step in steps]
    units = "µm" if None not in steps else "pix"
    steps = [1.0 if None in steps else step for step in steps]
    *detectors, n_rows, n_columns, n_bins = source.shape
    axes = [
        build_axis("height", n_rows, (steps[0] or 1.0) * downsample, units),
        build_axis("width", n_columns, (steps[1] or 1.0) * downsample, units),
        build_axis("Energy", n_bins, spectrum.scale, "keV", navigate=False),
    ]
    if spectrum.scale is not None and spectrum.offset is not None:
        axes[-1]["offset"] = spectrum.offset
    return [build_axis(DETECTOR_AXIS, n, None, None) for n in detectors] + axes


def _describe_times(
    map_: _Map, axes: list[dict[str, Any]], downsample: int
) -> dict[str, Any]:
    """Return live and real time of one spectrum, and the maps of them, for metadata."""
    first = map_.times[0]
    if first.real is None:
        return {}
    real = add_pixels(first.real, downsample)
    mean = float(real.mean())
    n_detectors = len(map_.times)
    navigation = [dict(axis) for axis in axes[:-1]]
    is_summed = n_detectors > 1 and len(navigation) == 2
    n_added = n_detectors if is_summed else 1
    if not mean > 0:
        return {}
    eds: dict[str, Any] = {"real_time": mean * n_added, "real_time_from": first.real_from}
    if np.ptp(real) > _EVEN * mean:
        share = np.broadcast_to(real / mean, [axis["size"] for axis in navigation])
        eds["_sig_relative_real_time"] = build_share(np.array(share), navigation)
    dead = [times.dead_time for times in map_.times]
    if any(d is None for d in dead):
        return eds
    stack = np.stack([_combine(d, first.real, downsample) for d in dead if d is not None])
    eds["live_time"] = _mean_live_time(stack, real) * n_added
    eds["dead_time_from"] = ", ".join(dict.fromkeys(t.dead_from for t in map_.times))
    if is_summed:
        navigation = [build_axis(DETECTOR_AXIS, n_detectors, None, None), *navigation]
    stack = stack if is_summed or len(navigation) == stack.ndim else stack[0]
    eds["_sig_dead_time"] = build_dead_time(stack, navigation, has_detectors=is_summed)
    return eds


def _mean_live_time(dead: np.ndarray, real: np.ndarray) -> float:
    """Return the mean live time of pixels: row by row, as maps may have millions."""
    rows = ((live_fraction(dead[:, y]) * real[y]).sum() for y in range(len(real)))
    return float(sum(rows)) / dead.size


def _combine(dead: np.ndarray, real: np.ndarray, downsample: int) -> np.ndarray:
    """Return the dead times of pixels that are added up; NaN where none is known."""
    if downsample == 1:
        return dead
    live = add_pixels(live_fraction(dead) * real, downsample)
    total = add_pixels(real, downsample)
    is_known = add_pixels(np.isfinite(dead).astype(float), downsample) > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(is_known, 100 * (1 - live / total), np.nan).astype(np.float32)
