"""``file_reader`` for ``.mda`` files."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.checks import check_choice, is_whole
from rsciio_xfm.core.chunks import NO_CHUNK
from rsciio_xfm.core.dates import parse_datetime
from rsciio_xfm.core.detectors import StackedMaps
from rsciio_xfm.core.eds import DETECTOR_AXIS, build_axis
from rsciio_xfm.core.to_dask import in_memory, load
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.xrf import ELAPSED, INPUT_RATE, LIVE, OUTPUT_RATE
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.mda import layout
from rsciio_xfm.formats.mda.data import make_spectra
from rsciio_xfm.formats.mda.override import Override, find_override
from rsciio_xfm.formats.mda.parse import (
    File,
    Scan,
    opened,
    read_extra,
    read_scan,
)
from rsciio_xfm.formats.mda.pixels import (
    Rows,
    count_all,
    drop_beyond,
    find_rows,
    first_record,
    unique_names,
)

_SELECTIONS = (None, "spectrum_image", "counters")
_BESIDE = (".h5", ".hdf5", ".nc", ".nxs")  # where spectra of fly scans are


@dataclass(frozen=True)
class _Options:
    lazy: bool
    chunks: Any
    detector: int | str | None
    sum_detectors: bool
    calibration: str | Path | None


def file_reader(
    filename: str | Path,
    lazy: bool = False,
    chunks: Any = "auto",
    select_type: str | None = None,
    detector: int | str | None = None,
    sum_detectors: bool = True,
    calibration: str | Path | None = None,
) -> list[dict[str, Any]]:
    """Read an ``.mda`` file of a scan by EPICS.

    Parameters
    ----------
    filename
        Path of the file.
    lazy
        If True, ``data`` are dask arrays. Of spectra each chunk is read when it is needed: now
        only positions and the counters of dead times are read.
    chunks
        Of the dask arrays. ``"auto"`` makes chunks of whole rows with all channels, 128 MiB at
        most; anything else goes to :func:`dask.array.core.normalize_chunks`.
    select_type
        ``"counters"`` reads what was counted at each point as a stack of images;
        ``"spectrum_image"`` spectra, which None reads too. None reads counters, with a
        warning, where there are no spectra.
    detector
        Read this detector only, 0 being the first; or its name, such as ``"mca2"``.
    sum_detectors
        Of spectra: sum all detectors; if False, they are the first axis.
    calibration
        Path of a text file as MAPS and XRF-Maps have it; by default
        ``maps_fit_parameters_override.txt`` beside the scan, if it is there.

    Returns
    -------
    list of dict
        One signal. ``data`` of spectra: counts, uint32, shape ``(y, x, E)``, ``(x, E)`` of a
        line, ``(E,)`` of a point; ``(detector, y, x, E)`` of several detectors if
        `sum_detectors` is False. Rows that were measured backwards are turned. ``axes``:
        positions in the units of the file, Energy in keV. ``metadata``: signal type EDS_XFM,
        dead times in percent. Counters are float64, ``(counter, y, x)``, with their names in
        ``General.counters``.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no ``.mda`` file, its header cannot be true, or it does not hold what is
        read.
    rsciio_xfm.exceptions.CorruptFileError
        Its parts contradict each other, or values are no counts: negative, or not whole; for
        a lazy array, when it is computed.
    rsciio_xfm.exceptions.TruncatedFileError
        It ends before its first spectrum.
    FileNotFoundError
        `calibration` is not there.
    MemoryError
        The map is larger than the available memory and `lazy` is False.
    ValueError
        An argument does not suit the file.

    Warns
    -----
    UserWarning
        The scan was stopped, or the file is cut (what is missing are zeros without dead
        times); the calibration is of another number of detectors; there are no spectra.

    Notes
    -----
    Dead time of a pixel = 1 - OCR / ICR; where there are no rates, 1 - live / real time.

    Source of the format: see ``layout.py``.

    Examples
    --------
    >>> from rsciio_xfm.formats.mda import file_reader
    >>> (map_,) = file_reader("scan_0001.mda", lazy=True)
    >>> map_["data"].shape
    (20, 30, 1024)
    """
    path = Path(filename)
    check_choice("select_type", select_type, _SELECTIONS)
    options = _Options(lazy, chunks, detector, sum_detectors, calibration)
    with opened(path) as file, np.errstate(all="ignore"):
        scans = _first_of_each_rank(file)
        innermost = scans[-1]
        # Who asks for spectra has those of detectors with any name.
        found = _find_spectra(innermost, is_forced=select_type == "spectrum_image")
        if select_type == "counters" or (found is None and select_type is None):
            signal = _read_counters(path, file, options, n_more=0 if found is None else 1)
            if found is None and select_type is None:
                _warn_of_no_spectra(path)
        elif found is None:
            raise FileFormatError(
                f"{path}: the file holds no spectra, expected a scan of channels without "
                f"positioners (byte {innermost.at}).{_say_where(path)}"
            )
        else:
            signal = _read_spectra(path, file, found, options)
        signal["original_metadata"] = _original(file, scans)
    return [signal]


# What is in a file.


def _first_of_each_rank(file: File) -> list[Scan]:
    """Return the first scan of each rank, outermost first, as far as they were begun."""
    scans = [file.scan]
    while scans[-1].rank > 1:
        inner = scans[-1].inner
        known = inner[(inner > 0) & (inner < file.source.size)]
        if not known.size:
            break
        at, rank = int(known[0]), scans[-1].rank - 1
        scans.append(read_scan(file.source, file.reader, at, rank))
    return scans


def _find_spectra(innermost: Scan, is_forced: bool) -> dict[str, int] | None:
    """Return numbers of the detectors with spectra by their names, None if there are none."""
    if innermost.rank > 1 or innermost.positioners or not innermost.detectors:
        return None
    if not innermost.n_points:
        return None
    names = unique_names(innermost.detectors)
    known = {
        name: i
        for name, i in names.items()
        if layout.SPECTRUM.fullmatch(name) and not layout.NO_SPECTRUM.search(name)
    }
    return known or (names if is_forced else None)


def _warn_of_no_spectra(path: Path) -> None:
    warn(
        f"{path}: the file holds no spectra, only counters, which are read as images."
        f"{_say_where(path)}"
    )


def _say_where(path: Path) -> str:
    """Say where the spectra of a fly scan are."""
    beside = sorted(
        other.name
        for folder in (
            path.parent,
            path.parent.parent / "flyXRF.h5",
            path.parent / "flyXRF",
        )
        if folder.is_dir()
        for other in folder.glob(f"{_escape(path.stem)}*")
        if other.suffix.lower() in _BESIDE
    )
    if beside:
        shown = ", ".join(beside[:4]) + (" ..." if len(beside) > 4 else "")
        return f" Spectra of a fly scan may be in {shown}."
    return " Spectra of a fly scan are in netCDF or HDF5 files of the detector's."


def _escape(stem: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", stem)


# Spectra.


def _read_spectra(
    path: Path, file: File, found: dict[str, int], options: _Options
) -> dict[str, Any]:
    n_axes = file.scan.rank - 1
    rows = find_rows(path, file, n_axes)
    places = rows.places() if n_axes else np.array(file.scan.at, dtype=np.int64)
    at = first_record(rows, file, places)
    first = read_scan(file.source, file.reader, at, 1)
    places = drop_beyond(path, places, first.end - first.at, file.source.size)
    first_record(rows, file, places)
    _warn_of_repeats(path, first)
    names = _choose(path, list(found), options.detector)
    numbers = [found[name] for name in names]
    order = [list(found).index(name) for name in names]
    override = find_override(path, options.calibration, order, len(found))
    is_sum = options.sum_detectors and len(names) > 1
    source: FileArray
    if is_sum or len(names) == 1:
        source = make_spectra(file.source, places, first, tuple(numbers))
    else:
        each = (make_spectra(file.source, places, first, (i,)) for i in numbers)
        source = StackedMaps(tuple(each))
    axes = rows.axes(file)
    if not is_sum and len(names) > 1:
        axes.insert(0, build_axis(DETECTOR_AXIS, len(names), None, None))
    energy = _energy_axis(path, file, names, override, first.n_points)
    times = [
        _read_times(file, rows, n, i, override) for n, i in zip(names, order, strict=True)
    ]
    dead, origin = _dead_times(times, places)
    real = [meta.mean_time(own.get(ELAPSED)) for own in times]
    known = [seconds for seconds in real if seconds is not None]
    instrument = {
        "scan": file.number,
        "detectors": names,
        "positioners": [_describe(scan) for scan in _each_level(rows)],
    }
    if origin:
        instrument["dead_time_from"] = origin
    if override.path is not None and override.terms is not None:
        instrument["calibration"] = override.path.name
    title = path.stem if len(names) == len(found) else f"{path.stem} {_short(names[0])}"
    signal = meta.build_map(
        path,
        title,
        [*axes, energy],
        dead,
        sum(known) / len(known) if len(known) == len(times) else None,
        n_detectors=len(names) if is_sum else 0,
        instrument=instrument,
        beam_energy=override.beam_energy,
        date=parse_datetime(file.scan.time),
    )
    signal["data"] = load(source, path, options.lazy, options.chunks)
    return signal


def _warn_of_repeats(path: Path, first: Scan) -> None:
    """Say so if a detector is there twice: it would be added up twice."""
    names = [item.name for item in first.detectors]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        warn(
            f"{path}: {', '.join(repeated[:4])} is there more than once, expected each "
            f"detector once: the first one is read (byte {first.at})."
        )


def _short(name: str) -> str:
    """Return the name of a detector without its crate, ``mca1``."""
    return name.removesuffix(".VAL").removesuffix(":ArrayData").rsplit(":", 1)[-1]


def _choose(path: Path, names: list[str], detector: int | str | None) -> list[str]:
    if detector is None:
        return names
    if is_whole(detector) and 0 <= detector < len(names):
        return [names[detector]]
    same = [n for n in names if detector in (n, n.removesuffix(".VAL"), _short(n))]
    if not isinstance(detector, str) or len(same) != 1:
        short = [_short(name) for name in names]
        shown = short if len(set(short)) == len(short) else names
        raise ValueError(
            f"{path}: detector is {detector!r:.40}, expected 0 to {len(names) - 1}, or "
            f"{', '.join(shown)}."
        )
    return same


def _each_level(rows: Rows) -> list[Scan]:
    """Return a scan for each axis, slowest first."""
    if not rows.shape:
        return []
    return [*(next(iter(level.values())) for level in rows.outer), rows.first]


def _describe(scan: Scan) -> str:
    """Name what moved."""
    return ", ".join(
        f"{item.name} ({item.description})" if item.description else item.name
        for item in scan.positioners
    )


def _energy_axis(
    path: Path,
    file: File,
    names: list[str],
    override: Override,
    n_channels: int,
) -> dict[str, Any]:
    """Make the energy axis from the file beside the scan, else from what the scan recorded."""
    if override.terms is not None:
        return meta.energy_axis(str(override.path), n_channels, override.terms)
    terms = [_recorded_terms(file, name) for name in names]
    known = [own for own in terms if own is not None]
    meta.warn_of_calibrations(str(path), known, n_channels)
    return meta.energy_axis(str(path), n_channels, known[0] if known else None)


def _recorded_terms(file: File, name: str) -> tuple[float, ...] | None:
    """Return a, b and c of a detector's energies, if the outermost scan recorded them."""
    scan, parts = file.scan, _parts(name)
    if not parts or not scan.n_done or scan.end > file.source.size:
        return None
    numbers = unique_names(scan.detectors)
    wanted = [numbers.get(text.format(**parts)) for text in layout.CALIBRATION]
    found = [
        float(file.numbers(scan.value_at(i), 1, layout.VALUE)[0])
        for i in wanted
        if i is not None
    ]
    is_known = len(found) == len(wanted) and np.isfinite(found).all() and found[1] > 0
    # As they were written: float32 has some further digits.
    return tuple(float(f"{term:.7g}") for term in found) if is_known else None


def _parts(name: str) -> dict[str, str]:
    match = layout.SPECTRUM.fullmatch(name)
    return {} if match is None else match.groupdict()


def _read_times(
    file: File, rows: Rows, name: str, number: int, override: Override
) -> dict[tuple[str, ...], np.ndarray]:
    """Return times and rates of a detector at each pixel, by what find_dead_time asks for."""
    if not rows.shape:
        return {}
    parts = _parts(name)
    own = (layout.LIVE, layout.REAL, layout.INPUT, layout.OUTPUT)
    found: dict[tuple[str, ...], np.ndarray] = {}
    for key, text, label in zip(
        (LIVE, ELAPSED, INPUT_RATE, OUTPUT_RATE),
        own,
        layout.OVERRIDE_COUNTERS,
        strict=True,
    ):
        names = [text.format(**parts)] if parts else []
        if key == ELAPSED and parts:
            names.append(layout.ELAPSED.format(**parts))
        names.append(override.counters.get(f"{label}{number + 1}", ""))
        values = next(
            (v for n in names if n and (v := rows.values(file, n)) is not None), None
        )
        if values is not None:
            found[key] = values
    return found


def _dead_times(
    times: list[dict[tuple[str, ...], np.ndarray]], places: np.ndarray
) -> tuple[np.ndarray | None, str]:
    """Return dead times, (detector, y, x): by the rates, else by the times."""
    found, origin = [], ""
    for own in times:
        rates: dict[tuple[str, ...], np.ndarray] = {
            key: own[key] for key in (INPUT_RATE, OUTPUT_RATE) if key in own
        }
        dead, source = meta.find_dead_time(rates.get)
        if dead is None or np.isnan(dead).all():
            dead, source = meta.find_dead_time(own.get)
        if dead is None:
            return None, ""
        origin = origin or source
        found.append(np.where(places == NO_CHUNK, np.nan, dead))
    return np.stack(found).astype(np.float32), origin


# Counters.


def _read_counters(
    path: Path, file: File, options: _Options, n_more: int
) -> dict[str, Any]:
    """Read what was counted; `n_more`: how many ranks there are that are not of pixels."""
    if options.detector is not None:
        raise ValueError(f"{path}: detector is given, expected None for counters.")
    n_axes = file.scan.rank - n_more
    if n_axes < 1:
        raise FileFormatError(
            f"{path}: the file is one spectrum without counters, expected counters of points "
            f"(byte {file.scan.at})."
        )
    rows = find_rows(path, file, n_axes)
    counters = count_all(rows, file)
    signal = meta.build_counters(
        path,
        path.stem,
        counters,
        rows.axes(file),
        {
            "scan": file.number,
            "positioners": [_describe(s) for s in _each_level(rows)],
        },
        parse_datetime(file.scan.time),
    )
    if signal is None:
        raise FileFormatError(
            f"{path}: nothing was counted at the points, expected detectors of the scans "
            f"(byte {rows.first.at})."
        )
    if options.lazy:
        signal["data"] = in_memory(signal["data"], options.chunks)
    return signal


def _original(file: File, scans: list[Scan]) -> dict[str, Any]:
    """Return the headers as they are."""
    described = {
        scan.name or f"rank {scan.rank}": {
            "time": scan.time,
            "points": scan.n_points,
            "done": scan.n_done,
            "positioners": [[v.name, v.description, v.units] for v in scan.positioners],
            "detectors": [[v.name, v.description, v.units] for v in scan.detectors],
        }
        for scan in scans
    }
    head = {
        "version": round(file.version, 4),
        "scan": file.number,
        "shape": list(file.shape),
    }
    variables = [[name, value] for name, value in read_extra(file).items()]
    found = {"scans": described, "variables": dict(enumerate(variables))}
    return meta.clean(head | found)
