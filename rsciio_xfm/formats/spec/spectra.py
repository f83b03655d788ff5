"""Spectra in the text of SPEC files: where they are, found in one pass, and their numbers.

So each can be read without those before it, which silx goes through.
"""

import codecs
import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rsciio_xfm.core.chunks import NO_CHUNK, ChunkedArray, Table
from rsciio_xfm.core.codecs import Decoder, Place
from rsciio_xfm.core.source import LocalFile, Source, identify, open_unbuffered, read_into
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.kernels.compiled import kernel

_BLOCK_BYTES = 16 * 2**20
_MOST_BYTES = 2**28  # of a spectrum
_MOST_DETECTORS = 1024  # a signal for each
_EXACT = 2.0**53
# silx 3.1 copies these to arrays of fixed size, and does not look how long they are: numbers
# of scans to 50 bytes, words of counters to 100; its memory was damaged by header lines from
# 6500 bytes on. It may be given a copy in UTF-8, with up to twice the bytes.
_MOST_NUMBER, _MOST_WORD, _MOST_HEADER = 20, 49, 3000
_MOST_HEADERS = 20_000
_LONG = re.compile(
    rb"^#[^\n]{%d}|[^\s]{%d}" % (_MOST_HEADER, _MOST_WORD + 1), re.MULTILINE
)
# Of a scan, or of a spectrum: @A as a rule; @A1, @B, where there are several detectors; @0,
# where the number as a rule is the first of the spectrum (APS 33-ID). What begins with a small
# letter may be other text: it is a mark if numbers follow.
_MARK = re.compile(
    rb"^(?:(#)S(?=\s|\Z)"
    rb"|@([A-Z][^\s\\]*|(?:[^-+.\d\s\\][^\s\\]*)?(?=[ \t]*\\|[ \t]+[-+.\d]))"
    rb"|@(?=([-+.\d][^\s\\]*)))",
    re.MULTILINE,
)
USUAL_MARK = "A"
_LINE = re.compile(rb"^[ \t]*[^#@\s]", re.MULTILINE)  # of counters
_END = re.compile(rb"[^\\ \t\r\n][ \t]*\r?\n")  # of a line that is not continued


@dataclass(frozen=True)
class Index:
    """Where the spectra of a file are.

    Attributes
    ----------
    starts, stops
        int64, shape (spectra,): bytes of each text, from behind its mark to its end.
    marks
        int64, shape (spectra,): number of the mark of each in `names`.
    names
        What stands behind the ``@`` of marks, each once. Of one that is a number, this
        belongs to the spectrum too.
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
    marks: np.ndarray
    names: tuple[str, ...]
    n_channels: np.ndarray
    lines: np.ndarray
    first: np.ndarray
    n_lines: np.ndarray
    largest: np.ndarray
    is_whole: np.ndarray
    is_text: bool
    cut_in: str
    lacks_blank: bool


def find_spectra(path: Path) -> tuple[Index, LocalFile]:
    """Find scans and spectra in a SPEC file, in one pass.

    Returns
    -------
    index : Index
    source : LocalFile
        The file.
    """
    spectra: list[tuple[int, ...]] = []
    names: dict[bytes, int] = {}
    first: list[int] = []
    n_lines: list[int] = [0]
    is_text = True
    decoder = codecs.getincrementaldecoder("utf-8")()
    text, lacks_blank = b"", False
    with open_unbuffered(path) as file:
        source = LocalFile(os.path.abspath(path), identify(file))
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
                    lacks_blank = at - 2 + len(line) == source.size and not _has_blank(
                        line
                    )
                    if not lacks_blank or len(line) > _MOST_NUMBER:
                        _check_scan(path, at, line)
                else:
                    n, stop, largest = _measure(text[mark.end() : end])
                    name = mark[3] if mark[2] is None else mark[2]
                    number = names.setdefault(name, len(names))
                    spectra.append((at, at + stop, n, largest, n_lines[-1], number))
                rest = text[mark.end() + stop : end]
                n_lines[-1] += _count_lines(path, at + stop, rest)
    first.append(len(spectra))
    table = np.array(spectra, dtype=np.int64).reshape(-1, 6)
    largest = [table[start:stop, 3] for start, stop in itertools.pairwise(first)]
    return Index(
        table[:, 0].copy(),
        table[:, 1].copy(),
        table[:, 5].copy(),
        tuple(name.decode("latin-1") for name in names),
        table[:, 2].copy(),
        table[:, 4].copy(),
        np.array(first, dtype=np.int64),
        np.array(n_lines[1:], dtype=np.int64),
        np.array([own.max(initial=0) for own in largest], dtype=np.int64),
        np.array([(own >= 0).all() for own in largest], dtype=bool),
        is_text,
        _cut_in(text, bool(spectra) and spectra[-1][1] == source.size),
        lacks_blank,
    ), source


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
        if not cut and not (marks and text.startswith(b"@")):
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


@dataclass(frozen=True)
class Numbers(Decoder):
    """The text of a spectrum.

    Attributes
    ----------
    dtype
        uint16 or uint32 of whole numbers, else float64.
    """

    dtype: np.dtype

    def decode(self, raw: np.ndarray, out: np.ndarray, place: Place) -> None:
        """Parse it."""
        values = out.view(self.dtype)
        values[:] = self._parse(raw, values.size, place)

    def _parse(self, raw: np.ndarray, n_channels: int, place: Place) -> np.ndarray:
        if self.dtype.kind == "u":
            spectrum = np.empty(n_channels, dtype=np.int64)
            n, _, _ = _read_whole(raw, spectrum)
            if n == n_channels:
                return spectrum
            found = f"{n} whole numbers" if n >= 0 else "other than whole numbers"
        else:
            values = _parse_real(raw, place)
            if values.size == n_channels:
                return values
            found = f"{values.size} numbers"
        raise CorruptFileError(
            f"{place.name}: a spectrum holds {found}, expected {n_channels} as in the others "
            f"of its scan (byte {place.offset})."
        )


def _parse_real(raw: np.ndarray, place: Place) -> np.ndarray:
    """Parse numbers that are not all whole ones."""
    words = raw.tobytes().replace(b"\\", b" ").split()
    try:
        if any(b"_" in word for word in words):  # Python takes it in numbers
            raise ValueError("an underscore")
        values = np.array(words, dtype=np.float64)
    except ValueError as exc:
        raise CorruptFileError(
            f"{place.name}: a spectrum holds what is no number: {exc} (byte {place.offset})."
        ) from exc
    if (np.abs(values) >= _EXACT).any():
        raise OverflowError(
            f"{place.name}: a spectrum holds numbers above {_EXACT:.0f}, expected such as "
            f"float64 holds exactly (byte {place.offset})."
        )
    return values


def make_source(
    file: Source, places: tuple[np.ndarray, np.ndarray], n_channels: int, dtype: np.dtype
) -> ChunkedArray:
    """Make the array-like over spectra of one detector, each of which is a chunk.

    Parameters
    ----------
    file
        The file.
    places
        int64, shape of the map: bytes at which the text of each spectrum begins and ends; -1
        where there is none.
    n_channels, dtype
        Of the spectra.
    """
    starts, stops = places
    shape = (*starts.shape, n_channels)
    chunks = (1,) * starts.ndim + (max(1, n_channels),)
    table = Table(
        (file,),
        shape,
        chunks,
        dtype,
        np.where(starts < 0, NO_CHUNK, starts)[..., np.newaxis],
        (stops - starts)[..., np.newaxis],
    )
    return ChunkedArray(table, Numbers(dtype))


@dataclass(frozen=True)
class Ordered:
    """The spectra of one detector in a scan.

    Attributes
    ----------
    mark
        What stands behind the ``@``; "" if the spectrum does.
    starts, stops
        int64, shape (points,): bytes of their text; -1 for what is not there.
    n_channels
        Of each.
    """

    mark: str
    starts: np.ndarray
    stops: np.ndarray
    n_channels: int


def order_spectra(
    where: str,
    index: Index,
    own: slice,
    n_lines: int,
    size: int,
    n_planned: float | None = None,
) -> list[Ordered]:
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
    n_planned
        Channels of a spectrum, as the header of the scan says.

    Returns
    -------
    list of Ordered
        One for each detector: spectra of a point are of several detectors if their marks
        differ, or if there are several of one mark, in their order.

    Raises
    ------
    CorruptFileError
        Spectra of a detector differ in their channels, or points in their detectors.

    Warns
    -----
    UserWarning
        The file ends within a spectrum; a point lacks spectra; some belong to no point.
    """
    own = _belonging(where, index, own, n_lines)
    points, n_points = _points(index.lines[own], n_lines)
    names, marks, starts, sizes = _settle_marks(index, own, points, n_planned)
    stops = index.stops[own]
    is_open = stops == size  # the file ends within its line
    is_cut = is_open & (index.cut_in == "spectrum")
    usual = _usual_size(where, sizes, starts, is_open, is_cut, size)
    detectors = _detectors(where, names, marks, starts, points, n_points)
    ordered = []
    for number in range(int(detectors.max()) + 1):
        mine = np.flatnonzero(detectors == number)
        n_channels = _check_sizes(where, sizes[mine], starts[mine], is_open[mine], usual)
        is_whole = (sizes[mine] == n_channels) & ~is_cut[mine]
        _warn_of_cut(where, starts[mine][~is_whole])
        kept = mine[is_whole]
        placed = [np.full(n_points, -1, dtype=np.int64) for _ in range(2)]
        for values, target in zip((starts, stops), placed, strict=True):
            target[points[kept]] = values[kept]
        ordered.append(Ordered(names[marks[mine[0]]], *placed, n_channels))
    return ordered


def _settle_marks(
    index: Index, own: slice, points: np.ndarray, n_planned: float | None
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]:
    """Tell of numbers behind an ``@`` whether they are detectors, or counts of channel 0.

    They are detectors if the header says one channel less than there are numbers, or, where
    it says nothing, if they go up by 1 in the same way at each of several points.

    Returns
    -------
    names : tuple of str
        As of the index, and "" for a mark that is part of its spectrum.
    marks, starts, sizes : numpy.ndarray
        int64, of each spectrum: number of its mark in `names`, byte at which it begins, and
        how many channels it has.
    """
    names, marks = (*index.names, ""), index.marks[own].copy()
    starts, sizes = index.starts[own].copy(), index.n_channels[own].copy()
    is_number = np.array([is_count(name) for name in names])[marks]
    if not is_number.any():
        return names, marks, starts, sizes
    are_detectors = is_number.all() and (
        _counts_up([names[mark] for mark in marks], points)
        if n_planned is None
        else bool((sizes == n_planned + 1).all())
    )
    if are_detectors:
        starts += np.array([len(name) for name in names])[marks]
        sizes -= 1
    else:
        marks[is_number] = len(index.names)
    return names, marks, starts, sizes


def is_count(mark: str) -> bool:
    """Tell whether a mark is a number, which may be that of channel 0."""
    return mark[:1] in {*"+-.0123456789"}


def _counts_up(marks: list[str], points: np.ndarray) -> bool:
    """Tell whether marks are 0, 1, 2, ... or 1, 2, ... at each of several points."""
    n_each = np.bincount(points)
    n = int(n_each[0])
    if n < 2 or len(n_each) < 2 or (n_each != n).any():
        return False
    ways = [[str(i) for i in range(first, first + n)] for first in (0, 1)]
    return marks[:n] in ways and marks == marks[:n] * len(n_each)


def usual_marks(
    where: str, index: Index, own: slice, n_lines: int, n_planned: float | None
) -> list[tuple[int, int, bytes]]:
    """Return how to write a scan with ``@A`` before each spectrum, as silx needs it.

    Parameters
    ----------
    where, index, own, n_lines, n_planned
        See :func:`order_spectra`.

    Returns
    -------
    list of (int, int, bytes)
        What stands from one byte to another, and what takes its place: none where all marks
        are ``@A``; nothing takes the place of spectra that belong to no point.
    """
    kept = _belonging(where, index, own, n_lines)
    edits = []
    if kept.stop > kept.start:
        points, _ = _points(index.lines[kept], n_lines)
        _, _, starts, _ = _settle_marks(index, kept, points, n_planned)
        for i, start in zip(range(kept.start, kept.stop), starts.tolist(), strict=True):
            if index.names[index.marks[i]] != USUAL_MARK:
                edits.append((_begin(index, i), start, b"@A "))
    left = range(kept.stop, own.stop)
    return edits + [(_begin(index, i), int(index.stops[i]), b"") for i in left]


def _begin(index: Index, i: int) -> int:
    """Return the byte of the ``@`` of a spectrum."""
    name = index.names[index.marks[i]]
    return int(index.starts[i]) - 1 - (0 if is_count(name) else len(name))


def belongs(index: Index, own: slice, n_lines: int) -> int:
    """Return how many spectra of a scan belong to its points, from the first one on.

    Where a spectrum stands before the counters of its point, those behind the last line of
    counters are of a point that was never finished.
    """
    lines = index.lines[own]
    if n_lines and len(lines) and lines[0] == 0:
        return int(np.searchsorted(lines, n_lines))
    # Behind the counters: what is more than other points have, all as many, is of none.
    n_each = np.bincount(lines - lines[0]) if len(lines) else np.empty(0, np.int64)
    usual = n_each[:-1]
    if len(usual) > 1 and (usual == usual[0]).all() and n_each[-1] > usual[0]:
        return len(lines) - int(n_each[-1] - usual[0])
    return len(lines)


def _belonging(where: str, index: Index, own: slice, n_lines: int) -> slice:
    """Leave out, with a warning, the spectra that belong to no point."""
    n_kept = belongs(index, own, n_lines)
    stop = own.start + n_kept
    if stop < own.stop:
        warn(
            f"{where}: {own.stop - stop} spectra behind the last of {n_lines} points belong "
            f"to no point (byte {index.starts[stop]}): they are left out."
        )
    return slice(own.start, stop)


def _points(lines: np.ndarray, n_lines: int) -> tuple[np.ndarray, int]:
    """Return to which point each spectrum belongs, and how many points there are."""
    # A line of counters stands before the spectra of its point, or behind them.
    points = lines if lines[0] == 0 else lines - 1
    return points, max(n_lines, int(points[-1]) + 1)


def _detectors(
    where: str,
    names: tuple[str, ...],
    marks: np.ndarray,
    starts: np.ndarray,
    points: np.ndarray,
    n_points: int,
) -> np.ndarray:
    """Return the number of the detector of each spectrum.

    Raises
    ------
    CorruptFileError
        Points have different numbers of spectra, or different marks, or too many spectra.
    """
    n_each = np.bincount(points, minlength=n_points)
    n_detectors = int(n_each.max())
    if n_detectors > _MOST_DETECTORS:
        at = int(starts[np.searchsorted(points, int(n_each.argmax()))])
        raise CorruptFileError(
            f"{where} has {n_detectors} spectra for a point, expected at most "
            f"{_MOST_DETECTORS}, one of each detector (byte {at}). Are there no lines of "
            "counters between them?"
        )
    # Spectra of a point that have the same mark are told apart by their order.
    key = points * len(names) + marks
    order = np.argsort(key, kind="stable")
    repeat = np.empty_like(key)
    repeat[order] = np.arange(len(key)) - np.searchsorted(key[order], key[order])
    kinds = marks * n_detectors + repeat
    whole = np.searchsorted(points, int(n_each.argmax()))
    known = kinds[whole : whole + n_detectors]
    sorter = np.argsort(known)
    place = np.searchsorted(known, kinds, sorter=sorter).clip(max=n_detectors - 1)
    detectors = sorter[place]
    other = np.flatnonzero(known[detectors] != kinds)
    if len(other):
        expected = [f"@{names[mark]}" for mark in marks[whole : whole + n_detectors]]
        raise CorruptFileError(
            f"{where} has a spectrum marked @{names[marks[other[0]]]}, expected "
            f"{', '.join(expected[:8])} as at other points (byte {starts[other[0]]})."
        )
    _check_points(where, n_each, points, starts, is_told=not repeat.any())
    return detectors


def _check_points(
    where: str, n_each: np.ndarray, points: np.ndarray, starts: np.ndarray, is_told: bool
) -> None:
    """Warn of points that lack spectra; refuse those of which it is open what they lack."""
    n_detectors, n_points = int(n_each.max()), len(n_each)
    odd = np.flatnonzero((n_each != n_detectors) & (n_each > 0))
    is_last = odd.tolist() == [points[-1]]
    if len(odd) and not is_last and not is_told:
        at = int(starts[np.searchsorted(points, odd[0])])
        raise CorruptFileError(
            f"{where} has {n_each[odd].min()} to {n_detectors} spectra for a point, expected "
            f"as many for each (byte {at})."
        )
    if len(odd):
        which = "the last point has" if is_last else f"{len(odd)} points have"
        n_there = f"{n_each[odd].min()} of {n_detectors} spectra"
        warn(f"{where}: {which} {n_there}: the others are zeros.")
    n_missing = np.count_nonzero(n_each == 0)
    if n_missing:
        warn(f"{where}: {n_missing} of {n_points} points have no spectrum: zeros.")


def _usual_size(
    where: str,
    sizes: np.ndarray,
    starts: np.ndarray,
    is_open: np.ndarray,
    is_cut: np.ndarray,
    size: int,
) -> int:
    """Return how many channels most spectra of a scan have; the last one may be cut."""
    if is_cut.all():
        raise CorruptFileError(
            f"{where}: the file ends within a line of its only spectrum, whose last number "
            f"may go on, expected a line that ends (byte {size}; the spectrum begins at byte "
            f"{starts[0]}). If all of it is there, add the end of the line."
        )
    return int(np.bincount(sizes if is_open.all() else sizes[~is_open]).argmax())


def _check_sizes(
    where: str, sizes: np.ndarray, starts: np.ndarray, is_open: np.ndarray, usual: int
) -> int:
    """Return how many channels the spectra of a detector have, all but an open one."""
    whole = sizes[~is_open]
    n_channels = int(np.bincount(whole).argmax()) if len(whole) else usual
    wrong = np.flatnonzero((sizes != n_channels) & ~is_open)
    if len(wrong) or not n_channels:
        at = wrong[0] if len(wrong) else 0
        raise CorruptFileError(
            f"{where} has spectra of {sizes[at] if len(wrong) else 0} and of "
            f"{n_channels} channels, expected the same for all of a detector (byte "
            f"{starts[at]})."
        )
    return n_channels


def _warn_of_cut(where: str, starts: np.ndarray) -> None:
    if len(starts):
        warn(
            f"{where}: the file ends within a spectrum (byte {starts[0]}): it is left out. "
            "If all of it is there, add the end of its line."
        )


def dtype_for(index: Index, number: int) -> np.dtype:
    """Return the type that holds the numbers of a scan, by its number in the file."""
    if not index.is_whole[number]:
        return np.dtype(np.float64)
    return np.dtype(np.uint16 if index.largest[number] < 2**16 else np.uint32)
