"""SPEC files: scans, their counters, and the spectra that stand between their lines.

silx reads headers and counters. Where the spectra are is found in one pass through the file,
so that each can be read without those before it.
"""

import codecs
import contextlib
import itertools
import os
import re
import shutil
import tempfile
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
from rsciio_xfm._io.lazy import ArrayLike, Range
from rsciio_xfm._io.warning import warn
from rsciio_xfm.analysis.extras import require
from rsciio_xfm.analysis.sums import is_counts
from rsciio_xfm.esrf import _metadata as meta
from rsciio_xfm.esrf._data import load
from rsciio_xfm.esrf._scan import Grid, make_grid
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError

_BLOCK_BYTES = 16 * 2**20
_MOST_BYTES = 2**28  # of a spectrum
_EXACT = 2.0**53
_SHOWN = 12
_MARK = re.compile(rb"^(?:(#)S(?=\s|\Z)|@[A-Z])", re.MULTILINE)
_LINE = re.compile(rb"^[ \t]*[^#@\s]", re.MULTILINE)  # of counters
_END = re.compile(rb"[^\\ \t\r\n][ \t]*\r?\n")  # of a line that is not continued


@dataclass(frozen=True)
class Index:
    """Where the spectra of a file are.

    Attributes
    ----------
    starts, stops
        int64, shape (spectra,): bytes of each text, from behind ``@A`` to its end.
    n_channels
        int64, shape (spectra,).
    lines
        int64, shape (spectra,): how many lines of counters of its scan come before each.
    first
        int64, shape (scans + 1,): number of the first spectrum of each scan.
    n_lines
        int64, shape (scans,): how many lines of counters each has.
    largest
        int64, shape (scans,): the largest number in the spectra of each scan.
    is_whole
        bool, shape (scans,): whether all of them are whole numbers of 32 bits.
    is_text
        Whether the file is UTF-8, as silx wants it.
    """

    starts: np.ndarray
    stops: np.ndarray
    n_channels: np.ndarray
    lines: np.ndarray
    first: np.ndarray
    n_lines: np.ndarray
    largest: np.ndarray
    is_whole: np.ndarray
    is_text: bool


@contextmanager
def _opened(path: Path, is_text: bool) -> Iterator[Any]:
    """Open a SPEC file with silx.

    Raises
    ------
    FileFormatError
        It has no scan, or silx cannot read it.
    """
    specfile = require("silx.io.specfile", "esrf")
    with contextlib.ExitStack() as stack:
        name = str(path)
        if is_text and not name.isascii():  # which silx does not take
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            name = os.path.join(folder, "a.spec")
            try:
                os.symlink(os.path.abspath(path), name)
            except OSError:  # not on Windows
                shutil.copyfile(path, name)
        if not is_text:  # in the encoding of an old computer
            copy = stack.enter_context(tempfile.NamedTemporaryFile(suffix=".spec"))
            with open(path, encoding="latin-1", newline="") as text:
                while part := text.read(_BLOCK_BYTES):
                    copy.write(part.encode("utf-8"))
            copy.flush()
            name = copy.name
        try:
            file = specfile.SpecFile(name)
            n_scans = len(file)
        except Exception as exc:
            if getattr(exc, "errno", None) is not None:
                raise
            raise FileFormatError(
                f"{path}: silx cannot read it: {exc!r}. Expected a SPEC file (byte 0)."
            ) from exc
        stack.callback(file.close)
        if not n_scans:
            raise FileFormatError(f"{path}: it has no line that begins with #S (byte 0).")
        yield file


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
    n_lines: list[int] = [0]
    is_text = True
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open_unbuffered(path) as file:
        identity = identify(file)
        for offset, text in _read_parts(path, file):
            is_text = is_text and _is_text(decoder, text)
            marks = [*_MARK.finditer(text)]
            n_lines[-1] += len(_LINE.findall(text[: marks[0].start() if marks else None]))
            for mark, end in zip_longest(marks, [m.start() for m in marks[1:]]):
                at, stop = offset + mark.end(), 0
                if mark[1] == b"#":
                    first.append(len(spectra))
                    n_lines.append(0)
                    stop = len(text[mark.end() : end].split(b"\n", 1)[0])
                else:
                    n, stop, largest = _measure(text[mark.end() : end])
                    spectra.append((at, at + stop, n, largest, n_lines[-1]))
                n_lines[-1] += len(_LINE.findall(text[mark.end() + stop : end]))
    first.append(len(spectra))
    table = np.array(spectra, dtype=np.int64).reshape(-1, 5)
    largest = [table[start:stop, 3] for start, stop in itertools.pairwise(first)]
    return Index(
        table[:, 0].copy(),
        table[:, 1].copy(),
        table[:, 2].copy(),
        table[:, 4].copy(),
        np.array(first, dtype=np.int64),
        np.array(n_lines[1:], dtype=np.int64),
        np.array([own.max(initial=0) for own in largest], dtype=np.int64),
        np.array([(own >= 0).all() for own in largest], dtype=bool),
        is_text,
    ), identity


def _is_text(decoder: Any, part: bytes) -> bool:
    """Tell whether a part of a file goes on as UTF-8."""
    try:
        decoder.decode(part)
    except UnicodeDecodeError:
        return False
    return True


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
                if any(b"_" in word for word in words):  # Python takes it in numbers
                    raise ValueError("an underscore")
                values = np.array(words, dtype=np.float64)
            except ValueError as exc:
                raise CorruptFileError(
                    f"{self.path}: a spectrum holds what is no number: {exc} (byte {start})."
                ) from exc
            if (np.abs(values) >= _EXACT).any():
                raise OverflowError(
                    f"{self.path}: a spectrum holds numbers above {_EXACT:.0f}, expected such "
                    f"as float64 holds exactly (byte {start})."
                )
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

    Warns
    -----
    UserWarning
        A scan is damaged, and left out.
    """
    index, identity = find_spectra(path)
    keys, scans = _read_scans(path, index)
    signals = []
    for i in _choose(path, keys, wanted):
        scan = scans[i]
        own = slice(*index.first[i : i + 2].tolist())
        try:
            if isinstance(scan, CorruptFileError):
                raise scan
            if own.stop > own.start and not is_counters:
                signals += _read_maps(
                    scan, index, own, i, identity, lazy, chunks, navigation_shape
                )
                continue
            signal = scan.read_counters(navigation_shape)
        except CorruptFileError as exc:
            if wanted is not None or len(keys) == 1:
                raise
            warn(f"{exc} The scan is left out.")
            continue
        if signal is not None:
            signals.append(signal)
        elif wanted is not None:
            raise FileFormatError(
                f"{path}: the scan {keys[i]} has neither spectra nor counters: it was "
                "stopped before its first point."
            )
    if not signals:
        raise FileFormatError(
            f"{path}: none of {len(keys)} scans has a point that can be read (byte 0, the "
            "whole file)."
        )
    return signals


def _read_scans(
    path: Path, index: Index
) -> tuple[list[str], list["SpecScan | CorruptFileError"]]:
    """Read all but the spectra with silx; what is wrong with a scan stands in its place."""
    with _opened(path, index.is_text) as file:
        keys = list(file.keys())
        if len(keys) != len(index.n_lines):
            raise CorruptFileError(
                f"{path}: silx finds {len(keys)} scans, expected {len(index.n_lines)}, as "
                "many as lines that begin with #S (byte 0, the whole file)."
            )
        scans: list[SpecScan | CorruptFileError] = []
        for i, key in enumerate(keys):
            try:
                found = file[i]
                n_lines = int(index.n_lines[i])
                data = np.empty((0, 0))
                if n_lines:
                    data = np.asarray(found.data, dtype=np.float64)
                    data = data if data.ndim == 2 else data.reshape(1, -1)
                scans.append(
                    SpecScan(
                        path,
                        key,
                        n_lines,
                        [*found.labels] if n_lines else [],
                        data,
                        dict(found.scan_header_dict),
                        dict(found.mca_header_dict),
                        dict(found.file_header_dict),
                        {str(name) for name in found.motor_names},
                    )
                )
            except Exception as exc:  # silx raises many of them
                fault = CorruptFileError(
                    f"{path}: silx cannot read scan {key}: {exc!r} (its spectra begin with "
                    f"number {int(index.first[i])} of the file)."
                )
                scans.append(fault)
        return keys, scans


def _choose(path: Path, keys: list[str], wanted: list[str] | None) -> list[int]:
    """Return which scans are read."""
    if wanted is None:
        return list(range(len(keys)))
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
        chosen.append(keys.index(key))
    return chosen


@dataclass(frozen=True)
class SpecScan:
    """What silx reads of a scan.

    Attributes
    ----------
    path, key
        The file, and the number of the scan in it, as ``"94.1"``.
    n_lines
        How many lines of counters are in the file.
    labels, data
        Names of the counters, and float64 of shape (counters, points).
    scan_header, mca_header, file_header
        Lines by their key.
    motors
        Names.
    """

    path: Path
    key: str
    n_lines: int
    labels: list[str]
    data: np.ndarray
    scan_header: dict[str, str]
    mca_header: dict[str, str]
    file_header: dict[str, str]
    motors: set[str]

    @property
    def command(self) -> str:
        """As it was typed."""
        words = self.scan_header.get("S", "").split(maxsplit=1)
        return words[1] if len(words) > 1 else ""

    @property
    def is_whole(self) -> bool:
        """Whether silx has read all lines of counters, and nothing else for such."""
        return self.data.shape[1] == self.n_lines

    def grid(self, n_points: int, navigation_shape: tuple[int, ...] | None) -> Grid:
        """Find where its points lie."""
        command = self.command
        # Counters are no motors; those that the command names are.
        named = set(re.findall(r"[^\s,()]+", command)) | self.motors
        positions = {}
        if self.is_whole:
            pairs = zip(self.labels, self.data, strict=False)
            positions = {name: (p, None) for name, p in pairs if name in named}
        where = f"{self.path}: scan {self.key}"
        return make_grid(
            where, n_points, command, positions, navigation_shape=navigation_shape
        )

    def date(self) -> Any:
        """Return when it began."""
        return meta.parse_date(self.scan_header.get("D"))

    def tree(self) -> dict[str, Any]:
        """Return headers and the motors at the start, for original metadata."""
        return meta.clean(
            {
                "scan": self.key,
                "motors": self.positions(),
                "scan_header": self.scan_header,
                "mca_header": self.mca_header,
                "file_header": self.file_header,
            }
        )

    def positions(self) -> dict[str, float]:
        """Return the positions of the motors at the start.

        Line by line, as silx counts blanks at an end as a position.
        """
        found: dict[str, float | None] = {}
        for key, line in self.file_header.items():
            number = re.fullmatch(r"O(\d+)", key)
            if number is None:
                continue
            values = self.scan_header.get(f"P{number[1]}", "").split()
            # Names may hold a blank: two of them are between names.
            names = re.split(r"\s{2,}", line.strip())
            names = names if len(names) == len(values) else line.split()
            if len(names) == len(values):
                found |= zip(names, map(meta.number, values), strict=True)
        return {name: value for name, value in found.items() if value is not None}

    def read_counters(
        self, navigation_shape: tuple[int, ...] | None
    ) -> dict[str, Any] | None:
        """Make a signal of the counters; None if it has no points."""
        if not self.n_lines:
            return None
        if not self.is_whole:
            raise CorruptFileError(
                f"{self.path}: scan {self.key} has {self.n_lines} lines of counters, of which "
                f"silx reads {self.data.shape[1]}, expected numbers for each of "
                f"{len(self.labels)} labels (byte 0, the whole file)."
            )
        grid = self.grid(self.n_lines, navigation_shape)
        labels = [*self.labels, *map(str, range(len(self.data)))][: len(self.data)]
        counters: dict[str, np.ndarray] = {}
        for label, column in zip(labels, self.data, strict=True):
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
    starts, stops, n_channels = _order_spectra(
        where, index, own, scan.n_lines, identity[0]
    )
    n_points, n_detectors = starts.shape
    if scan.n_lines and not scan.is_whole:
        warn(
            f"{where} has {scan.n_lines} lines of counters, of which silx reads "
            f"{scan.data.shape[1]}: positions of the motors are not used."
        )
    grid = scan.grid(n_points, navigation_shape)
    dtype = _dtype_for(index, number)
    kind: Any = SpecMap if is_counts(np.empty(0, dtype)) else SpecSpectra
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
        signal["data"] = load(source, path, lazy, chunks)
        signal["original_metadata"] = scan.tree()
        signals.append(signal)
    return signals


def _order_spectra(
    where: str, index: Index, own: slice, n_lines: int, size: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Put the spectra of a scan in order, by the lines of counters between them.

    Returns
    -------
    starts, stops : numpy.ndarray
        int64, shape (points, detectors); -1 for what is not there.
    n_channels : int
    """
    sizes, lines = index.n_channels[own], index.lines[own]
    n_channels = int(np.bincount(sizes).argmax())
    starts, stops = index.starts[own].copy(), index.stops[own].copy()
    wrong = np.flatnonzero(sizes != n_channels)
    if len(wrong) or not n_channels:
        at = int(starts[wrong[0]]) if len(wrong) else int(starts[0])
        if not n_channels or wrong.tolist() != [len(sizes) - 1] or stops[-1] != size:
            raise CorruptFileError(
                f"{where} has spectra of {sizes[wrong[0]] if len(wrong) else 0} and of "
                f"{n_channels} channels, expected the same for all (byte {at})."
            )
        warn(f"{where}: the file ends within a spectrum (byte {at}): it is left out.")
    starts[wrong], stops[wrong] = -1, -1
    # A line of counters stands before the spectra of its point, or behind them.
    point = lines if lines[0] == 0 else lines - 1
    n_points = max(n_lines, int(point[-1]) + 1)
    n_each = np.bincount(point, minlength=n_points)
    n_detectors = int(n_each.max())
    odd = np.flatnonzero((n_each != n_detectors) & (n_each > 0))
    if len(odd) and odd.tolist() != [point[-1]]:
        at = int(index.starts[own][np.searchsorted(point, odd[0])])
        raise CorruptFileError(
            f"{where} has {n_each[odd].min()} to {n_detectors} spectra for a point, expected "
            f"as many for each (byte {at})."
        )
    if len(odd):
        warn(
            f"{where}: the last point has {n_each[point[-1]]} of {n_detectors} spectra: the "
            "others are zeros."
        )
    n_missing = np.count_nonzero(n_each == 0)
    if n_missing:
        warn(f"{where}: {n_missing} of {n_points} points have no spectrum: zeros.")
    place = point * n_detectors + np.arange(len(lines)) - np.searchsorted(point, point)
    shape = (n_points, n_detectors)
    ordered = [np.full(shape, -1, dtype=np.int64) for _ in range(2)]
    for values, target in zip((starts, stops), ordered, strict=True):
        target.ravel()[place] = values
    return *ordered, n_channels


def _dtype_for(index: Index, number: int) -> np.dtype:
    """Return the type that holds the numbers of a scan."""
    if not index.is_whole[number]:
        return np.dtype(np.float64)
    return np.dtype(np.uint16 if index.largest[number] < 2**16 else np.uint32)


def _energy_axis(
    where: str, scan: SpecScan, number: int, n_channels: int
) -> dict[str, Any]:
    """Make the energy axis from #@CALIB and #@CHANN."""
    channels = _mca_numbers(scan, "CHANN", number)
    first, step = 0.0, 1.0
    if len(channels) >= 4 and None not in channels and channels[3]:
        first, step = channels[1], channels[3]
        if channels[0] != n_channels:
            warn(
                f"{where}: #@CHANN says {channels[0]:g} channels, expected {n_channels}, as "
                "the spectra have."
            )
    terms = _mca_numbers(scan, "CALIB", number)[:3]
    calibration = None if None in terms or len(terms) < 2 else terms
    return meta.energy_axis(where, n_channels, calibration, first, step)


def _mca_numbers(scan: SpecScan, key: str, number: int) -> list[float | None]:
    """Return the numbers of a line of the header, of a detector if there is one for each."""
    lines = scan.mca_header.get(key, "").splitlines()
    line = lines[min(number, len(lines) - 1)] if lines else ""
    return [meta.number(word) for word in line.split()]


def _times(scan: SpecScan) -> tuple[float | None, float | None, float | None]:
    """Return preset, live and real time in s from #@CTIME, None for what is not there."""
    values = [*_mca_numbers(scan, "CTIME", 0)[:3], None, None, None][:3]
    preset, live, real = (v if v is not None and v > 0 else None for v in values)
    return preset, live, real


def list_scans(path: Path) -> list[tuple[str, str, int, int]]:
    """Return key, command, points and spectra of each scan."""
    index, _ = find_spectra(path)
    keys, scans = _read_scans(path, index)
    n_spectra = np.diff(index.first).tolist()
    return [
        (
            key,
            str(scan) if isinstance(scan, CorruptFileError) else scan.command,
            n_lines,
            n,
        )
        for key, scan, n_lines, n in zip(
            keys, scans, index.n_lines.tolist(), n_spectra, strict=True
        )
    ]


def is_spec(head: bytes) -> bool:
    """Tell a SPEC file by its first bytes.

    Parameters
    ----------
    head
        A few kilobytes from the start of the file.
    """
    lines = head.lstrip(b"\xef\xbb\xbf \t\r\n").splitlines()
    return any(line.startswith((b"#F ", b"#S ")) for line in lines[:50])
