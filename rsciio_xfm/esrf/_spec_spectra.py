"""Spectra in the text of SPEC files: where they are, found in one pass, and their numbers.

So each can be read without those before it, which silx goes through.
"""

import codecs
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
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
from rsciio_xfm.exceptions import CorruptFileError

_BLOCK_BYTES = 16 * 2**20
_MOST_BYTES = 2**28  # of a spectrum
_EXACT = 2.0**53
# silx 3.1 copies these to arrays of fixed size, and does not look how long they are: numbers
# of scans to 50 bytes, words of counters to 100; its memory was damaged by header lines from
# 6500 bytes on. It may be given a copy in UTF-8, with up to twice the bytes.
_MOST_NUMBER, _MOST_WORD, _MOST_HEADER = 20, 49, 3000
_MOST_HEADERS = 20_000
_LONG = re.compile(
    rb"^#[^\n]{%d}|[^\s]{%d}" % (_MOST_HEADER, _MOST_WORD + 1), re.MULTILINE
)
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
    cut_in
        ``"spectrum"`` or ``"counters"`` if the file ends within a line of such, and its last
        number may go on: SPEC ends all lines, and only a zero of its own cannot go on.
    lacks_blank
        Whether the file ends before the blank behind the number of its last scan.
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
    cut_in: str
    lacks_blank: bool


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
    text, lacks_blank = b"", False
    with open_unbuffered(path) as file:
        identity = identify(file)
        for offset, text, marks in _read_parts(path, file):
            is_text = is_text and _is_text(decoder, text)
            head = text[: marks[0].start() if marks else None]
            n_lines[-1] += _count_lines(path, offset, head)
            for mark, end in zip_longest(marks, [m.start() for m in marks[1:]]):
                at, stop = offset + mark.end(), 0
                if mark[1] == b"#":
                    first.append(len(spectra))
                    n_lines.append(0)
                    stop = len(text[mark.end() : end].split(b"\n", 1)[0])
                    line = text[mark.start() :][:_MOST_HEADER]
                    lacks_blank = at - 2 + len(line) == identity[0] and not _has_blank(
                        line
                    )
                    if not lacks_blank or len(line) > _MOST_NUMBER:
                        _check_scan(path, at, line)
                else:
                    n, stop, largest = _measure(text[mark.end() : end])
                    spectra.append((at, at + stop, n, largest, n_lines[-1]))
                rest = text[mark.end() + stop : end]
                n_lines[-1] += _count_lines(path, at + stop, rest)
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
        _cut_in(text, bool(spectra) and spectra[-1][1] == identity[0]),
        lacks_blank,
    ), identity


def _count_lines(path: Path, offset: int, text: bytes) -> int:
    """Count lines of counters; refuse those, and headers, that silx has no room for."""
    n_headers = text.count(b"\n#")
    if n_headers > _MOST_HEADERS:  # silx' time grows with the square
        raise CorruptFileError(
            f"{path}: {n_headers} lines of a header follow each other, expected at most "
            f"{_MOST_HEADERS} (byte {offset})."
        )
    stop = -1
    for found in _LONG.finditer(text):
        if found.start() < stop:
            continue  # of the same line
        start = text.rfind(b"\n", 0, found.start() + 1) + 1
        stop = text.find(b"\n", found.end())
        stop = len(text) if stop < 0 else stop
        if text[start:stop].lstrip()[:1] == b"#" and stop - start <= _MOST_HEADER:
            continue
        raise CorruptFileError(
            f"{path}: the line begins with {text[start : start + 40]!r} and is too long, "
            f"expected at most {_MOST_HEADER} bytes of a header, and {_MOST_WORD} of a number "
            f"(byte {offset + start})."
        )
    return len(_LINE.findall(text))


def _has_blank(line: bytes) -> bool:
    """Tell whether a blank follows the number of a scan, before long."""
    return b" " in line[3 : 3 + _MOST_NUMBER]


def _check_scan(path: Path, at: int, line: bytes) -> None:
    """Refuse a scan whose number silx, which looks for a blank, would not find the end of."""
    first = line.split(b"\n", 1)[0]
    if not _has_blank(line) or len(first) == _MOST_HEADER:
        raise CorruptFileError(
            f"{path}: a scan begins with {first[:40]!r}, expected #S, a number of at most "
            f"{_MOST_NUMBER} digits, a blank and a command of at most {_MOST_HEADER} bytes "
            f"(byte {at - 2})."
        )


def _cut_in(text: bytes, is_spectrum: bool) -> str:
    """Return in what the text of a file ends, if it ends within a line."""
    last = text.rpartition(b"\n")[2]
    if last.split()[-1:] in ([], [b"0"]):
        return ""
    if is_spectrum:
        return "spectrum"
    return "counters" if _LINE.match(last) else ""


def _is_text(decoder: Any, part: bytes) -> bool:
    """Tell whether a part of a file goes on as UTF-8."""
    try:
        decoder.decode(part)
    except UnicodeDecodeError:
        return False
    return True


def _read_parts(
    path: Path, file: BinaryIO
) -> Iterator[tuple[int, bytes, list[re.Match[bytes]]]]:
    """Yield parts of a file, where they begin, and where in them scans and spectra do.

    No spectrum is cut.
    """
    rest, offset = b"", 0
    while True:
        buffer = np.empty(_BLOCK_BYTES, dtype=np.uint8)
        n_read = read_into(file, offset + len(rest), buffer, _BLOCK_BYTES)
        text = rest + buffer[:n_read].tobytes()
        marks = [*_MARK.finditer(text)]
        if n_read < _BLOCK_BYTES:
            yield offset, text, marks
            return
        # The last one may go on in what follows; a header may be cut after any of its lines.
        cut = marks[-1].start() if marks else 0
        if not cut and not text.startswith(b"@"):
            cut = text.rfind(b"\n") + 1
        if cut:
            yield offset, text[:cut], [mark for mark in marks if mark.start() < cut]
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


def order_spectra(
    where: str, index: Index, own: slice, n_lines: int, size: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Put the spectra of a scan in order, by the lines of counters between them.

    Parameters
    ----------
    where
        Named in messages.
    index, own
        Of the file, and which spectra are those of the scan.
    n_lines
        How many lines of counters the scan has.
    size
        Of the file in bytes.

    Returns
    -------
    starts, stops : numpy.ndarray
        int64, shape (points, detectors); -1 for what is not there.
    n_channels : int
    """
    sizes, lines = index.n_channels[own], index.lines[own]
    starts, stops = index.starts[own].copy(), index.stops[own].copy()
    is_last_cut = index.cut_in == "spectrum" and stops[-1] == size
    n_whole = len(sizes) - is_last_cut
    if not n_whole:
        raise CorruptFileError(
            f"{where}: the file ends within a line of its only spectrum, whose last number "
            f"may go on, expected a line that ends (byte {size}; the spectrum begins at byte "
            f"{starts[0]}). If all of it is there, add the end of the line."
        )
    n_channels = int(np.bincount(sizes[:n_whole]).argmax())
    is_wrong = sizes != n_channels
    is_wrong[n_whole:] = True
    wrong = np.flatnonzero(is_wrong)
    if len(wrong) or not n_channels:
        at = int(starts[wrong[0]]) if len(wrong) else int(starts[0])
        if not n_channels or wrong.tolist() != [len(sizes) - 1] or stops[-1] != size:
            raise CorruptFileError(
                f"{where} has spectra of {sizes[wrong[0]] if len(wrong) else 0} and of "
                f"{n_channels} channels, expected the same for all (byte {at})."
            )
        warn(
            f"{where}: the file ends within a spectrum (byte {at}): it is left out. If all "
            "of it is there, add the end of its line."
        )
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


def dtype_for(index: Index, number: int) -> np.dtype:
    """Return the type that holds the numbers of a scan, by its number in the file."""
    if not index.is_whole[number]:
        return np.dtype(np.float64)
    return np.dtype(np.uint16 if index.largest[number] < 2**16 else np.uint32)
