"""Maps of XIA electronics in EDF files: one file of spectra for each row and detector."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.checks import is_whole
from rsciio_xfm.core.eds import build_axis
from rsciio_xfm.core.to_dask import check_worth_reading, in_memory, load
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.xrf import INPUT_RATE, OUTPUT_RATE
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.edf.fabio_files import opened
from rsciio_xfm.formats.edf.layout import FIRST_CHANNEL
from rsciio_xfm.formats.edf.parse import Frame, find_calibration, find_frames
from rsciio_xfm.formats.xia.find import Files, find_files
from rsciio_xfm.formats.xia.layout import XIA_CORRECTED, XIA_STATISTICS
from rsciio_xfm.formats.xia.rows import find_rows
from rsciio_xfm.formats.xia.statistics import dead_times, elapsed, read_statistics
from rsciio_xfm.kernels.sums import is_counts

_LEAST_SHARE = 0.01


def read_single(path: Path, lazy: bool, chunks: Any) -> list[dict[str, Any]]:
    """Read a single acquisition: a spectrum of each detector.

    Parameters
    ----------
    path, lazy, chunks
        See :func:`rsciio_xfm.esrf.file_reader`.

    Raises
    ------
    FileFormatError
        The first row does not hold the numbers of the channels.
    """
    (frame, *_) = find_frames(path)
    with opened(path) as image:
        data = np.asarray(image.data)
    steps = np.diff(data[0].astype(np.float64)) if data.ndim == 2 else np.empty(0)
    if len(data) < 2 or not steps.size or (steps != steps[0]).any() or steps[0] <= 0:
        raise FileFormatError(
            f"{path}: the file holds {data.shape}, expected a row of channel numbers and the "
            f"spectrum of each detector below it (the numbers begin at byte {frame.offset}). "
            'select_type="image" reads it as an image.'
        )
    counts = data[1:].astype(data.dtype.newbyteorder("="))
    header = {key.lower(): value for key, value in frame.header.items()}

    def values(key: str) -> np.ndarray:
        found = [meta.number(header.get(f"{key}{i:02d}")) for i in range(len(counts))]
        return np.array([math.nan if value is None else value for value in found])

    rates: dict[tuple[str, ...], np.ndarray] = {
        INPUT_RATE: values("xicr"),
        OUTPUT_RATE: values("xocr"),
    }
    dead_time, origin = meta.find_dead_time(rates.get)
    calibration = find_calibration(frame.header)
    signal = meta.build_map(
        path,
        path.stem,
        [
            build_axis("detector", len(counts), None, None),
            meta.energy_axis(
                str(path),
                counts.shape[1],
                calibration,
                float(data[0, 0]),
                float(steps[0]),
            ),
        ],
        dead_time,
        meta.number(header.get("time")),
        instrument={"dead_time_from": origin} if origin else None,
    )
    own: Any = in_memory(counts, chunks) if lazy else counts
    return [signal | {"data": own, "original_metadata": {"header": frame.header}}]


def read_xia(
    path: Path,
    lazy: bool,
    chunks: Any,
    detector: int | None,
    sum_detectors: bool,
    is_counters: bool,
) -> list[dict[str, Any]]:
    """Read a map of XIA files.

    Parameters
    ----------
    path
        Of one of its files.
    lazy, chunks, detector, sum_detectors
        See :func:`rsciio_xfm.esrf.file_reader`.
    is_counters
        Read the statistics as images instead.

    Returns
    -------
    list of dict
        One signal.
    """
    files = find_files(path)
    chosen = _choose_detectors(path, files, detector)
    first = _describe_first(files, chosen)
    rows = find_rows(files, chosen, first)
    is_summed = sum_detectors or len(chosen) == 1
    source = rows.of_all(files.folder, is_summed)
    n_rows, n_columns, n_channels = source.shape[-3:]
    axes = [
        build_axis("y", n_rows, None, None) | {"offset": float(files.rows[0])},
        build_axis("x", n_columns, None, None),
    ]
    statistics = read_statistics(path, files, n_columns)
    if is_counters:
        counters = {
            f"{key} {label}": values[i]
            for label, values in statistics.items()
            for i, key in enumerate(XIA_STATISTICS)
            if i
        }
        signal = meta.build_counters(path, f"{files.prefix} statistics", counters, axes)
        if signal is None:
            raise FileFormatError(
                f"{path}: no files of statistics {files.prefix}_xiast_*.edf are beside it, "
                "expected them for its counters."
            )
        return [signal]
    header = {key.lower(): value for key, value in first.header.items()}
    bits = int(meta.number(header.get("xcorr")) or 0) & XIA_CORRECTED
    dead_time = dead_times(path, statistics, chosen, source, bits)
    is_present = rows.n_pixels[..., np.newaxis] > np.arange(n_columns)
    if dead_time is not None:
        dead_time = np.where(is_present, dead_time, np.nan)
    is_sum = is_summed and len(chosen) > 1
    energy = _energy_axis(path, files, chosen, first, n_channels)
    nav = axes
    if not is_summed:
        nav = [build_axis("detector", len(chosen), None, None), *axes]
    instrument: dict[str, Any] = {"detectors": list(chosen)}
    if bits:
        instrument["dead_time_corrected"] = True
    elif dead_time is not None:
        instrument["dead_time_from"] = "OCR / ICR"
    real_time = meta.number(header.get("time"))
    if real_time is None or real_time <= 0:
        real_time = elapsed(statistics, chosen)
    signal = meta.build_map(
        path,
        files.prefix or path.stem,
        [*nav, energy],
        dead_time,
        real_time,
        n_detectors=len(chosen) if is_sum else 0,
        instrument=instrument,
    )
    _check_present(path, source, is_present, lazy)
    signal["data"] = load(source, path, lazy, chunks)
    signal["original_metadata"] = meta.clean({"header": first.header})
    return [signal]


def _choose_detectors(path: Path, files: Files, detector: int | None) -> list[str]:
    if detector is None:
        return list(files.detectors)
    key = f"{detector:02d}" if is_whole(detector) else str(detector)
    if key not in files.detectors:
        raise ValueError(
            f"{path}: detector is {detector!r}, expected one of "
            f"{', '.join(str(int(d)) if d.isdecimal() else d for d in files.detectors)}."
        )
    return [key]


def _describe_first(files: Files, chosen: list[str]) -> Frame:
    """Describe the largest file, as others may be cut."""
    every = [path for key in chosen for _, path in sorted(files.detectors[key].items())]
    largest = max(every, key=lambda path: path.stat().st_size)
    (frame, *_) = find_frames(largest)
    if len(frame.shape) != 2:
        raise FileFormatError(
            f"{largest}: the file holds {frame.shape}, expected pixels and channels (byte 0)."
        )
    return frame


def _check_present(
    path: Path, source: FileArray, is_present: np.ndarray, lazy: bool
) -> None:
    """Say what is missing; refuse to fill memory with zeros."""
    missing = ~is_present.any(axis=-1)
    n_missing = int(missing.any(axis=0).sum())
    n_rows = missing.shape[1]
    if n_missing:
        rows = np.flatnonzero(missing.any(axis=0)).tolist()
        shown = ", ".join(map(str, rows[:8])) + (" ..." if n_missing > 8 else "")
        some = " of some detector" if missing.shape[0] > 1 else ""
        warn(
            f"{path}: files of {n_missing} of {n_rows} rows{some} are not there (from the "
            f"first one, rows {shown}): they are zeros without dead times."
        )
    n_cut = int((is_present.any(axis=-1) & ~is_present.all(axis=-1)).sum())
    if n_cut:
        warn(
            f"{path}: {n_cut} files have fewer pixels than others: the rest of their rows are "
            "zeros without dead times."
        )
    if not lazy and is_counts(np.empty(0, source.dtype)):
        check_worth_reading(
            path, source, n_rows - n_missing, n_rows, "rows", _LEAST_SHARE, byte=0
        )


def _energy_axis(
    path: Path, files: Files, chosen: list[str], first: Frame, n_channels: int
) -> dict[str, Any]:
    """Make the energy axis; warn if detectors that are added up differ in it."""
    start = meta.number(
        {key.lower(): v for key, v in first.header.items()}.get(FIRST_CHANNEL.lower())
    )
    calibrations = {}
    for key in chosen:
        file = next(iter(files.detectors[key].values()))
        try:
            calibrations[key] = find_calibration(find_frames(file)[0].header)
        except FileFormatError:
            continue
    known = {key: c for key, c in calibrations.items() if c is not None}
    if not known:
        return meta.energy_axis(str(path), n_channels, None, start or 0.0)
    own = next(iter(known.values()))
    meta.warn_of_calibrations(str(path), known.values(), n_channels)
    return meta.energy_axis(str(path), n_channels, own, start or 0.0)
