"""SPEC files: scans, their counters, and the spectra that stand between their lines.

silx reads headers and counters. Where the spectra are is found in one pass through the file,
so that each can be read without those before it.
"""

import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOENT
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rsciio_xfm._io.binary import (
    check_unchanged,
    identify,
    open_unbuffered,
    read_into,
)
from rsciio_xfm._io.compiled import kernel
from rsciio_xfm._io.counted import CountedArray
from rsciio_xfm._io.lazy import ArrayLike, Range, default_chunks, from_source, read_all
from rsciio_xfm._io.warning import warn
from rsciio_xfm.analysis.extras import require
from rsciio_xfm.analysis.sums import is_counts
from rsciio_xfm.esrf import _metadata as meta
from rsciio_xfm.esrf._scan import Grid, make_grid
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError

_BLOCK_BYTES = 16 * 2**20
_MOST_BYTES = 2**28  # of a spectrum
_SHOWN = 12
_MARK = re.compile(rb"^(?:(#)S[ \t]|@A)", re.MULTILINE)
_END = re.compile(rb"[^\\\r]\r?\n")  # of a line that is not continued


@dataclass(frozen=True)
class Index:
    """Where the spectra of a file are.

    Attributes
    ----------
    starts, stops
        int64, shape (spectra,): bytes of each text, from behind ``@A`` to its end.
    n_channels
        int64, shape (spectra,).
    first
        int64, shape (scans + 1,): number of the first spectrum of each scan.
    largest
        int64, shape (scans,): the largest number in the spectra of each scan.
    is_whole
        bool, shape (scans,): whether all of them are whole numbers of 32 bits.
    """

    starts: np.ndarray
    stops: np.ndarray
    n_channels: np.ndarray
    first: np.ndarray
    largest: np.ndarray
    is_whole: np.ndarray


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a SPEC file with silx.

    Raises
    ------
    FileFormatError
        It has no scan, or silx cannot read it.
    """
    specfile = require("silx.io.specfile", "esrf")
    try:
        file = specfile.SpecFile(str(path))
        if not len(file):
            raise FileFormatError(f"{path}: it has no line that begins with #S (byte 0).")
    except FileFormatError:
        raise
    except Exception as exc:
        if getattr(exc, "errno", None) is not None:
            raise
        raise FileFormatError(
            f"{path}: silx cannot read it: {exc!r}. Expected a SPEC file (byte 0)."
        ) from exc
    try:
        yield file
    except (FileFormatError, OSError, ImportError):
        raise
    except specfile.SfError as exc:
        raise CorruptFileError(
            f"{path}: silx cannot read it: {exc!r}. Expected a SPEC file (byte 0, the whole "
            "file)."
        ) from exc
    finally:
        file.close()


def find_spectra(path: Path) -> tuple[Index, tuple[int, ...]]:
    """Find scans and spectra in a SPEC file, in one pass.

    Returns
    -------
    index : Index
    identity : tuple of int
        Of the file, see :func:`rsciio_xfm._io.binary.identify`.
    """
    spectra: list[tuple[int, ...]] = []
    first: list[int] = []
    with open_unbuffered(path) as file:
        identity = identify(file)
        for offset, text in _read_parts(path, file):
            marks = [*_MARK.finditer(text)]
            for mark, end in zip_longest(marks, [m.start() for m in marks[1:]]):
                if mark[1] == b"#":
                    first.append(len(spectra))
                else:
                    n, stop, largest = _measure(text[mark.end() : end])
                    at = offset + mark.end()
                    spectra.append((at, at + stop, n, largest))
    first.append(len(spectra))
    table = np.array(spectra, dtype=np.int64).reshape(-1, 4)
    largest = [table[start:stop, 3] for start, stop in itertools.pairwise(first)]
    return Index(
        table[:, 0].copy(),
        table[:, 1].copy(),
        table[:, 2].copy(),
        np.array(first, dtype=np.int64),
        np.array([own.max(initial=0) for own in largest], dtype=np.int64),
        np.array([(own >= 0).all() for own in largest], dtype=bool),
    ), identity


def _read_parts(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield parts of a file that begin with a scan or a spectrum, and where they begin."""
    rest, offset = b"", 0
    while True:
        buffer = np.empty(_BLOCK_BYTES, dtype=np.uint8)
        n_read = read_into(file, offset + len(rest), buffer, _BLOCK_BYTES)
        text = rest + buffer[:n_read].tobytes()
        if n_read < _BLOCK_BYTES:
            yield offset, text
            return
        # The last one may go on in what follows; a header may be cut after any of its lines.
        last = max(text.rfind(b"\n#S"), text.rfind(b"\n@A"))
        if last < 0 and not text.startswith(b"@A"):
            last = text.rfind(b"\n")
        cut = last + 1
        if cut:
            yield offset, text[:cut]
        elif len(text) > _MOST_BYTES:
            raise CorruptFileError(
                f"{path}: a spectrum, or a line, has more than {_MOST_BYTES} bytes, expected "
                f"less (byte {offset})."
            )
        rest, offset = text[cut:], offset + cut


def _measure(text: bytes) -> tuple[int, int, int]:
    """Return how many numbers a spectrum has, its length in bytes, and its largest number.

    The largest number is -1 if they are not all whole numbers of 32 bits.
    """
    n, stop, largest = _read_whole(np.frombuffer(text, np.uint8), np.empty(0, np.int64))
    if n >= 0:
        return n, stop, largest
    end = _END.search(text)
    stop = len(text) if end is None else end.start() + 1
    return len(text[:stop].replace(b"\\", b" ").split()), stop, -1


@kernel
def _read_whole(text, out):  # pragma: no cover
    """Parse whole numbers to the end of the line that is not continued by a backslash.

    Returns how many there are (-1 if there is anything else), the bytes that were read, and
    the largest number. Those for which `out` has no room are only counted.
    """
    n, number, largest, is_continued = 0, -1, 0, False
    for i in range(text.size + 1):
        byte = text[i] if i < text.size else 10
        if 48 <= byte <= 57:
            number = max(number, 0) * 10 + (byte - 48)
            if number > 4294967295:
                return -1, i, 0
            continue
        if number >= 0:
            if n < out.size:
                out[n] = number
            n, largest, number = n + 1, max(largest, number), -1
        if byte == 92:
            is_continued = True
        elif byte == 10:
            if not is_continued or i == text.size:
                return n, i, largest
            is_continued = False
        elif byte not in (32, 9, 13):
            return -1, i, 0
    return n, text.size, largest


@dataclass(frozen=True, eq=False)
class SpecSpectra(ArrayLike):
    """Spectra of one detector in a scan, in the shape of its map.

    Attributes
    ----------
    path, identity
        The file, see :func:`rsciio_xfm._io.binary.identify`.
    starts, stops
        int64, shape of the map: bytes of the text of each spectrum; -1 where there is none.
    shape, dtype
        Of the array.
    """

    path: str
    identity: tuple[int, ...]
    starts: np.ndarray
    stops: np.ndarray
    shape: tuple[int, ...]
    dtype: np.dtype

    def __dask_tokenize__(self) -> tuple:
        return (
            "rsciio_xfm-spec",
            self.path,
            self.identity,
            self.starts.tobytes(),
            self.dtype.str,
        )

    def read(self, ranges: tuple[Range, ...]) -> np.ndarray:
        """Read a block; see :meth:`ArrayLike.read`."""
        block = np.zeros([stop - start for start, stop in ranges], dtype=self.dtype)
        nav = tuple(slice(*r) for r in ranges[:-1])
        starts, stops = self.starts[nav], self.stops[nav]
        channels = slice(*ranges[-1])
        spectrum = np.zeros(self.shape[-1], dtype=np.int64)
        with open_unbuffered(self.path) as file:
            check_unchanged(file, self.path, self.identity)
            for index in np.ndindex(starts.shape):
                start, stop = int(starts[index]), int(stops[index])
                if start < 0:
                    continue
                raw = np.empty(stop - start, dtype=np.uint8)
                if read_into(file, start, raw, raw.size) < raw.size:
                    raise CorruptFileError(
                        f"{self.path}: the file ends within a spectrum, expected it to byte "
                        f"{stop} (it begins at byte {start})."
                    )
                values = self._parse(raw, spectrum, start)
                block[index] = values[channels]
        return block

    def _parse(self, raw: np.ndarray, spectrum: np.ndarray, start: int) -> np.ndarray:
        """Parse the text of a spectrum."""
        if self.dtype.kind == "u":
            n, _, _ = _read_whole(raw, spectrum)
            if n == spectrum.size:
                return spectrum
            found = f"{n} whole numbers" if n >= 0 else "other than whole numbers"
        else:
            words = raw.tobytes().replace(b"\\", b" ").split()
            try:
                values = np.array(words, dtype=np.float64)
            except ValueError as exc:
                raise CorruptFileError(
                    f"{self.path}: a spectrum holds what is no number: {exc} (byte {start})."
                ) from exc
            if values.size == self.shape[-1]:
                return values
            found = f"{values.size} numbers"
        raise CorruptFileError(
            f"{self.path}: a spectrum holds {found}, expected {self.shape[-1]} as in the "
            f"others of its scan (byte {start})."
        )


class SpecMap(SpecSpectra, CountedArray):
    """Counts of one detector in a scan."""

    def row_axis(self) -> int:
        """Return the first axis."""
        return 0

    def file_bytes(self) -> int:
        """Return the size of their text."""
        return int((self.stops - self.starts).sum())


def read_spec(
    path: Path,
    lazy: bool,
    chunks: Any,
    wanted: list[str] | None,
    is_counters: bool,
    navigation_shape: tuple[int, ...] | None,
) -> list[dict[str, Any]]:
    """Read the scans of a SPEC file.

    Parameters
    ----------
    path
        Of the file.
    lazy, chunks, navigation_shape
        See :func:`rsciio_xfm.esrf.file_reader`.
    wanted
        Scans, as ``"94.1"``; None is all.
    is_counters
        Read counters, not spectra.

    Returns
    -------
    list of dict
        For each scan its spectra, one signal for each detector, or else its counters.
    """
    index, identity = find_spectra(path)
    signals = []
    with _opened(path) as file:
        keys = list(file.keys())
        if len(keys) != len(index.first) - 1:
            raise CorruptFileError(
                f"{path}: silx finds {len(keys)} scans, expected {len(index.first) - 1}, as "
                "many as lines that begin with #S (byte 0, the whole file)."
            )
        for key in _choose(path, keys, wanted):
            scan = SpecScan(path, key, file[key])
            own = slice(*index.first[keys.index(key) : keys.index(key) + 2].tolist())
            has_spectra = own.stop > own.start
            if has_spectra and not is_counters:
                number = keys.index(key)
                signals += _read_maps(
                    scan, index, own, number, identity, lazy, chunks, navigation_shape
                )
            else:
                signal = scan.read_counters(navigation_shape)
                if signal is not None:
                    signals.append(signal)
                elif wanted is not None:
                    raise FileFormatError(
                        f"{path}: the scan {key} has neither spectra nor counters: it was "
                        "stopped before its first point."
                    )
    if not signals:
        raise FileFormatError(
            f"{path}: none of {len(keys)} scans has a point (byte 0, the whole file)."
        )
    return signals


def _choose(path: Path, keys: list[str], wanted: list[str] | None) -> list[str]:
    if wanted is None:
        return keys
    chosen = []
    for name in wanted:
        key = str(name).strip("/")
        key = key if "." in key else f"{key}.1"
        if key not in keys:
            shown = ", ".join(keys[:_SHOWN]) + (" ..." if len(keys) > _SHOWN else "")
            raise FileNotFoundError(
                ENOENT,
                f"The file has no scan {name!r}, expected as dataset_path one of {shown}",
                str(path),
            )
        chosen.append(key)
    return chosen


@dataclass(frozen=True)
class SpecScan:
    """A scan.

    Attributes
    ----------
    path, key
        The file, and the number of the scan in it, as ``"94.1"``.
    scan
        silx's.
    """

    path: Path
    key: str
    scan: Any

    @property
    def command(self) -> str:
        """As it was typed."""
        words = self.scan.scan_header_dict.get("S", "").split(maxsplit=1)
        return words[1] if len(words) > 1 else ""

    def data(self) -> np.ndarray:
        """Return what the counters counted, shape (counters, points)."""
        try:
            data = np.asarray(self.scan.data, dtype=np.float64)
        except Exception as exc:
            raise CorruptFileError(
                f"{self.path}: silx cannot read the counters of scan {self.key}: {exc!r} "
                "(byte 0, the whole file)."
            ) from exc
        return data if data.ndim == 2 else np.zeros((len(self.scan.labels), 0))

    def grid(self, n_points: int, navigation_shape: tuple[int, ...] | None) -> Grid:
        """Find where its points lie."""
        values = self.data()
        labels = [*self.scan.labels][: len(values)]
        columns = {label: (values[i], None) for i, label in enumerate(labels)}
        motors = {str(name) for name in self.scan.motor_names}
        command = self.command
        # Counters are no motors; those that the command names are.
        named = set(command.replace(",", " ").split())
        motors = {name: p for name, p in columns.items() if name in motors | named}
        where = f"{self.path}: scan {self.key}"
        return make_grid(
            where, n_points, command, motors, navigation_shape=navigation_shape
        )

    def date(self) -> Any:
        """Return when it began."""
        return meta.parse_date(self.scan.scan_header_dict.get("D"))

    def tree(self) -> dict[str, Any]:
        """Return headers and the motors at the start, for original metadata."""
        return meta.clean(
            {
                "scan": self.key,
                "motors": self.motors(),
                "scan_header": dict(self.scan.scan_header_dict),
                "mca_header": dict(self.scan.mca_header_dict),
                "file_header": dict(self.scan.file_header_dict),
            }
        )

    def motors(self) -> dict[str, float]:
        """Return the positions of the motors at the start.

        Line by line, as silx counts blanks at an end as a position.
        """
        motors = {}
        for key, line in self.scan.file_header_dict.items():
            number = re.fullmatch(r"O(\d+)", key)
            if number is None:
                continue
            values = self.scan.scan_header_dict.get(f"P{number[1]}", "").split()
            # Names may hold a blank: two of them are between names.
            names = re.split(r"\s{2,}", line.strip())
            names = names if len(names) == len(values) else line.split()
            if len(names) == len(values):
                found = (meta.number(value) for value in values)
                motors |= dict(zip(names, found, strict=True))
        return {name: value for name, value in motors.items() if value is not None}

    def read_counters(
        self, navigation_shape: tuple[int, ...] | None
    ) -> dict[str, Any] | None:
        """Make a signal of the counters; None if it has no points."""
        values = self.data()
        if values.size == 0:
            return None
        grid = self.grid(values.shape[1], navigation_shape)
        labels = [*self.scan.labels, *map(str, range(len(values)))][: len(values)]
        counters: dict[str, np.ndarray] = {}
        for label, column in zip(labels, values, strict=True):
            name = label
            while name in counters:
                name += "_"
            counters[name] = grid.place(column)
        signal = meta.build_counters(
            self.path,
            f"{self.path.stem} {self.key} counters",
            counters,
            grid.axes,
            {"command": self.command},
            self.date(),
        )
        return None if signal is None else signal | {"original_metadata": self.tree()}


def _read_maps(
    scan: SpecScan,
    index: Index,
    own: slice,
    number: int,
    identity: tuple[int, ...],
    lazy: bool,
    chunks: Any,
    navigation_shape: tuple[int, ...] | None,
) -> list[dict[str, Any]]:
    """Make a signal of the spectra of each detector of a scan."""
    path, where = scan.path, f"{scan.path}: scan {scan.key}"
    sizes = index.n_channels[own]
    n_channels = int(np.bincount(sizes).argmax())
    n_spectra, n_lines = len(sizes), scan.data().shape[1]
    n_detectors, rest = divmod(n_spectra, n_lines) if n_lines else (1, 0)
    is_cut = False
    if rest or n_detectors == 0:
        # The last point was not written to its end, or spectra stand alone.
        n_detectors = max(1, -(-n_spectra // max(1, n_lines)))
        is_cut = True
    n_points = -(-n_spectra // n_detectors)
    if is_cut:
        warn(
            f"{where} has {n_spectra} spectra for {n_lines} points, expected as many for "
            f"each: {n_detectors} are taken for one point, and the last one is not whole."
        )
    wrong = np.flatnonzero(sizes != n_channels)
    if len(wrong):
        at = int(index.starts[own][wrong[0]])
        is_last = (
            wrong.tolist() == [n_spectra - 1] and index.stops[own][-1] == identity[0]
        )
        if not is_last:
            raise CorruptFileError(
                f"{where} has spectra of {sizes[wrong[0]]} and of {n_channels} channels, "
                f"expected the same for all (byte {at})."
            )
        warn(f"{where}: the file ends within a spectrum (byte {at}): it is left out.")
    grid = scan.grid(n_points, navigation_shape)
    dtype = _dtype_for(index, number)
    kind: Any = SpecMap if is_counts(np.empty(0, dtype)) else SpecSpectra
    starts, stops = (values[own].copy() for values in (index.starts, index.stops))
    starts[wrong], stops[wrong] = -1, -1
    padding = n_points * n_detectors - n_spectra
    starts, stops = (
        np.pad(values, (0, padding), constant_values=-1).reshape(n_points, n_detectors)
        for values in (starts, stops)
    )
    signals = []
    for i in range(n_detectors):
        # Byte 0 is never one of a spectrum: what is not there is marked by it, then by -1.
        placed = [grid.place(values[:, i] + 1) - 1 for values in (starts, stops)]
        shape = (*grid.shape, n_channels)
        source = kind(os.path.abspath(path), identity, *placed, shape, dtype)
        energy = _energy_axis(where, scan, i, n_channels)
        title = f"{path.stem} {scan.key}" + (f" MCA {i}" if n_detectors > 1 else "")
        preset, live, real = _times(scan)
        instrument: dict[str, Any] = {"command": scan.command, "mca": i}
        if preset:
            instrument["preset_time"] = preset
        # One triple for all of the scan: only of a single spectrum it is its own.
        is_single = n_points == 1
        signal = meta.build_map(
            path,
            title,
            [*(dict(axis) for axis in grid.axes), energy],
            real_time=real if is_single else None,
            instrument=instrument,
            date=scan.date(),
        )
        if is_single and live and real:
            sem = signal["metadata"]["Acquisition_instrument"]["SEM"]
            sem["Detector"]["EDS"]["live_time"] = live
        own_chunks = chunks
        if isinstance(chunks, str) and chunks == "auto":
            own_chunks = default_chunks(shape, dtype, 0)
        signal["data"] = (
            from_source(source, own_chunks)
            if lazy
            else read_all(source, str(path), own_chunks)
        )
        signal["original_metadata"] = scan.tree()
        signals.append(signal)
    return signals


def _dtype_for(index: Index, number: int) -> np.dtype:
    """Return the type that holds the numbers of a scan."""
    if not index.is_whole[number]:
        return np.dtype(np.float64)
    return np.dtype(np.uint16 if index.largest[number] < 2**16 else np.uint32)


def _energy_axis(
    where: str, scan: SpecScan, number: int, n_channels: int
) -> dict[str, Any]:
    """Make the energy axis from #@CALIB and #@CHANN."""
    header = scan.scan.mca_header_dict
    calibrations = [line.split() for line in header.get("CALIB", "").splitlines()]
    first, step = 0.0, 1.0
    channels = [line.split() for line in header.get("CHANN", "").splitlines()]
    if channels:
        words = [meta.number(word) for word in channels[min(number, len(channels) - 1)]]
        if len(words) >= 4 and None not in words and words[3]:
            first, step = words[1], words[3]
            if int(words[0]) != n_channels:
                warn(
                    f"{where}: #@CHANN says {int(words[0])} channels, expected "
                    f"{n_channels}, as the spectra have."
                )
    calibration = None
    if calibrations:
        words = [
            meta.number(w) for w in calibrations[min(number, len(calibrations) - 1)][:3]
        ]
        calibration = None if None in words or len(words) < 2 else words
    return meta.energy_axis(where, n_channels, calibration, first, step)


def _times(scan: SpecScan) -> tuple[float | None, float | None, float | None]:
    """Return preset, live and real time in s from #@CTIME, None for what is not there."""
    words = scan.scan.mca_header_dict.get("CTIME", "").split()
    values = [meta.number(word) for word in words[:3]]
    values += [None] * (3 - len(values))
    preset, live, real = (v if v is not None and v > 0 else None for v in values)
    return preset, live, real


def list_scans(path: Path) -> list[tuple[str, str, int, int]]:
    """Return key, command, points and spectra of each scan."""
    index, _ = find_spectra(path)
    counts = np.diff(index.first).tolist()
    with _opened(path) as file:
        rows = []
        for i, key in enumerate(file.keys()):
            scan = SpecScan(path, key, file[key])
            n_spectra = counts[i] if i < len(counts) else 0
            rows.append((key, scan.command, scan.data().shape[1], n_spectra))
        return rows


def is_spec(head: bytes) -> bool:
    """Tell a SPEC file by its first bytes.

    Parameters
    ----------
    head
        A few kilobytes from the start of the file.
    """
    lines = head.lstrip(b"\xef\xbb\xbf \t\r\n").splitlines()
    return any(line.startswith((b"#F ", b"#S ")) for line in lines[:50])
