"""Maps of XIA electronics in EDF files: one file of spectra for each row and detector."""

import math
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.array import FileArray, Range
from rsciio_xfm.core.checks import is_whole
from rsciio_xfm.core.chunks import NO_CHUNK, ChunkedArray, Table
from rsciio_xfm.core.codecs import Decoder, Padded, Place
from rsciio_xfm.core.detectors import StackedMaps, SummedMaps
from rsciio_xfm.core.eds import build_axis
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.core.to_dask import check_worth_reading, load
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.xrf import INPUT_RATE, OUTPUT_RATE
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.edf.images import Frame, find_calibration, find_frames, opened
from rsciio_xfm.formats.edf.layout import FIRST_CHANNEL
from rsciio_xfm.formats.xia.layout import XIA, XIA_CORRECTED, XIA_SINGLE, XIA_STATISTICS
from rsciio_xfm.kernels.sums import is_counts

_MOST_GAPS = 100  # rows that are missing for each one that is there
_LEAST_SHARE = 0.01
_STORAGE = re.compile(
    rb"^\s*(Dim_1|Dim_2|DataType|ByteOrder)\s*=\s*(\S+?)\s*;", re.MULTILINE
)
_ROWS_KEPT = 2**24  # numbers of rows beyond this are none


@dataclass(frozen=True)
class Files:
    """The files of a map.

    Attributes
    ----------
    folder, prefix
        Where they are, and what comes before ``_xia``.
    detectors
        Files of spectra by detector (its number as text, or ``s1``) and row.
    statistics
        Files of statistics by row.
    rows
        The first row, and the one after the last.
    """

    folder: Path
    prefix: str
    detectors: dict[str, dict[int, Path]]
    statistics: dict[int, Path]
    rows: Range


def is_xia(path: Path) -> bool:
    """Tell from its name whether a file is a row of a map, or its statistics."""
    match = XIA.fullmatch(path.name)
    return match is not None and match["kind"].lower() != "ct"


def is_single(path: Path) -> bool:
    """Tell from its name whether a file is a single acquisition."""
    return XIA_SINGLE.fullmatch(path.name) is not None


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

    rates = {INPUT_RATE: values("xicr"), OUTPUT_RATE: values("xocr")}
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
    if lazy:
        counts = da.from_array(counts, chunks=chunks)
    return [signal | {"data": counts, "original_metadata": {"header": frame.header}}]


def load_once(path: Path) -> None:
    """Let ``hs.load`` of several files of a map load it once.

    It calls the reader for each of them, and stacks what it gets: as many maps as the map has
    rows. The reader has no say in that, so the files that the map was made of are taken from
    the list of those that are still to be loaded. Nothing is done if there is no such list.

    Parameters
    ----------
    path
        Of the file that is being read.
    """
    frame = sys._getframe()
    while frame is not None and (
        frame.f_globals.get("__name__") != "hyperspy.io" or frame.f_code.co_name != "load"
    ):
        frame = frame.f_back
    waiting = None if frame is None else frame.f_locals.get("filenames")
    if not isinstance(waiting, list) or str(path) not in waiting:
        return
    own = _map_of(path)
    after = waiting.index(str(path)) + 1
    waiting[after:] = [name for name in waiting[after:] if _map_of(Path(name)) != own]


def _map_of(path: Path) -> tuple[str, ...] | None:
    """Return what the files of a map have in common; None for a file of none."""
    match = XIA.fullmatch(path.name)
    if match is None or not is_xia(path):
        return None
    folder = os.path.abspath(path.parent)
    return (folder, *(match[key] for key in ("prefix", "scan", "part")))


def find_files(path: Path) -> Files:
    """Find the files of a map by the name of one of them.

    Raises
    ------
    FileFormatError
        None of them has spectra, or the numbers of rows are far apart.
    """
    own = XIA.fullmatch(path.name)
    found: dict[str, dict[int, Path]] = {}
    folder = path.parent
    for entry in os.scandir(folder):
        match = XIA.fullmatch(entry.name)
        is_same = match is not None and all(
            match[key] == own[key] for key in ("prefix", "scan", "part")
        )
        is_same = is_same and entry.is_file()
        if is_same and int(match["row"]) < _ROWS_KEPT:
            kind = match["kind"].lower()
            found.setdefault(kind, {})[int(match["row"])] = folder / entry.name
    statistics = found.pop("st", {})
    found.pop("ct", None)
    kind = own["kind"].lower()
    # Sums of detectors only if there is nothing else, or if one of them is asked for.
    numbered = {key: files for key, files in found.items() if key.isdecimal()}
    if kind.startswith("s") and kind in found:
        numbered = {kind: found[kind]}
    detectors = dict(sorted((numbered or found).items()))
    if not detectors:
        raise FileFormatError(
            f"{path}: no files of spectra {own['prefix']}_xia00_{own['scan']}_{own['part']}"
            "_*.edf are beside it, expected at least one (of statistics alone no map is made)."
        )
    rows = sorted({row for files in detectors.values() for row in files})
    first, last = rows[0], rows[-1] + 1
    # Rows are numbered from 0 on: a few that are missing at the start leave their place.
    first = 0 if first < len(rows) else first
    if last - first > _MOST_GAPS * len(rows):
        raise FileFormatError(
            f"{path}: {len(rows)} rows are there, numbered {first} to {last - 1}, expected "
            f"at least one of {_MOST_GAPS} of these (names of the files in {folder})."
        )
    return Files(folder, own["prefix"], detectors, statistics, (first, last))


@dataclass(frozen=True, eq=False)
class Row(Decoder):
    """A file of spectra, which has to hold the same as those of other rows.

    Attributes
    ----------
    offsets
        int64, shape (rows,): byte at which the numbers begin; `NO_CHUNK`: fabio reads the
        file.
    shape, dtype
        Of the numbers: pixels and channels; as they are stored.
    """

    offsets: np.ndarray
    shape: tuple[int, ...]
    dtype: np.dtype

    def decode(self, raw: np.ndarray, out: np.ndarray, place: Place) -> None:
        """Check the header, and copy what is there of the row; the rest is zeros."""
        offset = int(self.offsets[place.index[0]])
        if offset == NO_CHUNK:
            found = self._read_with_fabio(place.name)
        else:
            self._check_header(place.name, raw[:offset].tobytes())
            found = raw[offset:]
        Padded().decode(found[: out.size], out, place)

    def _read_with_fabio(self, path: str) -> np.ndarray:
        with opened(path) as image:
            data = np.asarray(image.data)
        if data.shape[-1] != self.shape[-1] or data.dtype.newbyteorder("=") != self.dtype:
            raise CorruptFileError(
                f"{path}: the file holds {data.shape} of {data.dtype}, expected {self.shape} "
                f"of {self.dtype} as in the other rows (byte 0)."
            )
        return np.ascontiguousarray(data, dtype=self.dtype).reshape(-1).view(np.uint8)

    def _check_header(self, path: str, header: bytes) -> None:
        """Refuse a file of the usual size that holds something else."""
        fields = dict(_STORAGE.findall(header))
        order = "<" if b"low" in fields.get(b"ByteOrder", b"").lower() else ">"
        n_channels, dims = self.shape[-1], (fields.get(b"Dim_1"), fields.get(b"Dim_2"))
        is_same_order = self.dtype.itemsize == 1 or (
            self.dtype == self.dtype.newbyteorder(order)
        )
        kind = fields.get(b"DataType", b"")
        if dims[0] != b"%d" % n_channels or not is_same_order or not self._is_type(kind):
            raise CorruptFileError(
                f"{path}: the header says {dims[1]} x {dims[0]} of {kind!r}, expected "
                f"{self.shape[0]} x {n_channels} of {self.dtype} as in the other rows "
                "(byte 0)."
            )

    def _is_type(self, kind: bytes) -> bool:
        from fabio.edfimage import DATA_TYPES

        known = DATA_TYPES.get(kind.decode("ascii", "replace"))
        return known is not None and np.dtype(known) == self.dtype.newbyteorder("=")


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
    rows = _find_rows(files, chosen, first)
    is_summed = sum_detectors or len(chosen) == 1
    source = rows.of_all(files.folder, is_summed)
    n_rows, n_columns, n_channels = source.shape[-3:]
    axes = [
        build_axis("y", n_rows, None, None) | {"offset": float(files.rows[0])},
        build_axis("x", n_columns, None, None),
    ]
    statistics = _read_statistics(path, files, n_columns)
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
    dead_time = _dead_times(path, statistics, chosen, source, bits)
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
        real_time = _elapsed(statistics, chosen)
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


@dataclass(frozen=True)
class Rows:
    """Spectra of the detectors of a map.

    Attributes
    ----------
    maps
        ``(y, x, E)``, one for each detector.
    n_pixels
        int64, shape (detectors, rows): how many pixels of each row are there.
    """

    maps: tuple[ChunkedArray, ...]
    n_pixels: np.ndarray

    def of_all(self, folder: Path, is_summed: bool) -> FileArray:
        """Return the sum of the detectors, or these along a first axis."""
        if not is_summed:
            return StackedMaps(self.maps)
        return self.maps[0] if len(self.maps) == 1 else SummedMaps(self.maps, str(folder))


def _find_rows(files: Files, chosen: list[str], first: Frame) -> Rows:
    """Find where the spectra of all rows are."""
    n_rows = files.rows[1] - files.rows[0]
    n_pixels = np.zeros((len(chosen), n_rows), dtype=np.int64)
    maps = []
    for own, key in zip(n_pixels, chosen, strict=True):
        begin = np.zeros(n_rows, dtype=np.int64)
        there = {
            row - files.rows[0]: LocalFile.of(path)
            for row, path in sorted(files.detectors[key].items())
        }
        for row, source in there.items():
            begin[row], own[row] = _place_in(source, first)
        kept = {row: source for row, source in there.items() if own[row]}
        maps.append(_make_map(kept, begin, own, first))
    return Rows(tuple(maps), n_pixels)


def _make_map(
    there: dict[int, LocalFile], begin: np.ndarray, n_pixels: np.ndarray, first: Frame
) -> ChunkedArray:
    """Make the array-like of one detector, of the files of its rows."""
    cells = (len(n_pixels), 1, 1)
    offsets, n_bytes = np.full(cells, NO_CHUNK), np.zeros(cells, dtype=np.int64)
    numbers = np.zeros(cells, dtype=np.int32)
    pixel_bytes = first.shape[1] * first.dtype.itemsize
    for i, (row, source) in enumerate(there.items()):
        offsets[row], numbers[row] = 0, i
        n_bytes[row] = source.size
        if begin[row] != NO_CHUNK:
            n_bytes[row] = begin[row] + n_pixels[row] * pixel_bytes
    shape = (len(n_pixels), *first.shape)
    table = Table(
        tuple(there.values()),
        shape,
        (1, *first.shape),
        first.dtype,
        offsets,
        n_bytes,
        numbers,
    )
    return ChunkedArray(table, Row(begin, first.shape, first.dtype))


def _place_in(source: LocalFile, first: Frame) -> tuple[int, int]:
    """Return where the spectra of a row begin in its file, and how many there are."""
    whole = max(0, first.offset) + math.prod(first.shape) * first.dtype.itemsize
    if source.size == whole and first.offset != NO_CHUNK:
        return first.offset, first.shape[0]
    file = source.name
    try:
        frame = find_frames(Path(file))[0]
    except FileFormatError as exc:
        warn(f"{exc} The row is left out.")
        return 0, 0
    is_same = frame.shape[1:] == first.shape[1:] and frame.dtype == first.dtype
    if len(frame.shape) != 2 or not is_same:
        raise CorruptFileError(
            f"{file}: the file holds {frame.shape} of {frame.dtype}, expected "
            f"{first.shape} of {first.dtype} as in other rows (byte 0)."
        )
    return frame.offset, min(frame.n_rows, first.shape[0])


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


def _read_statistics(path: Path, files: Files, n_columns: int) -> dict[str, np.ndarray]:
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


def _dead_times(
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
        dead_time[i], _ = meta.find_dead_time(
            {
                INPUT_RATE: values["input_rate"],
                OUTPUT_RATE: values["output_rate"],
            }.get
        )
    return dead_time


def _elapsed(statistics: dict[str, np.ndarray], chosen: list[str]) -> float | None:
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
    scale = abs(own[1]) or math.inf
    apart = max(
        abs(c[0] - own[0] + (c[1] - own[1]) * n_channels) / scale for c in known.values()
    )
    if apart > 0.5:
        warn(
            f"{path}: the calibrations of the detectors differ by up to {apart:.2g} channels, "
            "expected the same: that of the first one is used. Use detector=... for one."
        )
    return meta.energy_axis(str(path), n_channels, own, start or 0.0)
