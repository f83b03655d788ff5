"""What a map's files of statistics say of each pixel."""

from pathlib import Path

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.xrf import INPUT_RATE, OUTPUT_RATE
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.edf.fabio_files import opened
from rsciio_xfm.formats.xia.find import Files
from rsciio_xfm.formats.xia.layout import XIA_STATISTICS


def read_statistics(path: Path, files: Files, n_columns: int) -> dict[str, np.ndarray]:
    """Read the statistics of each detector, shape (6, y, x); NaN where there are none."""
    n_rows = files.rows[1] - files.rows[0]
    found: dict[str, np.ndarray] = {}
    n_columns_each = len(XIA_STATISTICS)
    for row, file in sorted(files.statistics.items()):
        j = row - files.rows[0]
        if not 0 <= j < n_rows:
            continue
        try:
            with opened(file) as image:
                table = np.asarray(image.data, dtype=np.float64)
        except FileFormatError as exc:
            warn(f"{exc} Dead times of row {row} are not known.")
            continue
        if table.ndim != 2 or table.shape[1] % n_columns_each or not table.size:
            warn(
                f"{file}: the statistics are {table.shape}, expected {n_columns_each} columns "
                f"for each detector (byte 0): dead times of row {row} are not known."
            )
            continue
        width = min(n_columns, len(table))
        for start in range(0, table.shape[1], n_columns_each):
            part = table[:width, start : start + n_columns_each].T
            number = np.nanmax(part[0]) if np.isfinite(part[0]).any() else start
            key = f"{int(number):02d}"
            if key not in found:
                found[key] = np.full((n_columns_each, n_rows, n_columns), np.nan)
            found[key][:, j, :width] = part
    return found


def dead_times(
    path: Path,
    statistics: dict[str, np.ndarray],
    chosen: list[str],
    source: FileArray,
    corrected: int,
) -> np.ndarray | None:
    """Return dead times in percent, shape (detectors, y, x); None if nothing tells."""
    if corrected:
        warn(
            f"{path}: xcorr in the header says that the counts are corrected for the "
            f"{'live' if corrected == 2 else 'dead'} time already: no dead times are given."
        )
        return None
    if not statistics:
        return None
    dead_time = np.full((len(chosen), *source.shape[-3:-1]), np.nan)
    for i, key in enumerate(chosen):
        if key not in statistics:
            continue
        values = dict(zip(XIA_STATISTICS, statistics[key], strict=True))
        rates: dict[tuple[str, ...], np.ndarray] = {
            INPUT_RATE: values["input_rate"],
            OUTPUT_RATE: values["output_rate"],
        }
        dead_time[i], _ = meta.find_dead_time(rates.get)
    return dead_time


def elapsed(statistics: dict[str, np.ndarray], chosen: list[str]) -> float | None:
    """Return the real time of a pixel from events / OCR, the median of all."""
    found = []
    for key in chosen:
        if key in statistics:
            values = dict(zip(XIA_STATISTICS, statistics[key], strict=True))
            rate, events = values["output_rate"], values["events"]
            is_known = (rate > 0) & (events > 0)
            found.append(events[is_known] / rate[is_known])
    every = np.concatenate(found) if found else np.empty(0)
    return float(np.median(every)) if every.size else None
