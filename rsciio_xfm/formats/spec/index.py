"""Where the scans and spectra of a SPEC file are, found in one pass.

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

from rsciio_xfm.core.source import LocalFile, identify, open_unbuffered, read_into
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.kernels.compiled import kernel

_BLOCK_BYTES = 16 * 2**20
_MOST_BYTES = 2**28  # of a spectrum
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
    """Find scans and spectra in a SPEC file, in one pass."""
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
    numbers = [table[start:stop, 3] for start, stop in itertools.pairwise(first)]
    return Index(
        table[:, 0].copy(),
        table[:, 1].copy(),
        table[:, 5].copy(),
        tuple(name.decode("latin-1") for name in names),
        table[:, 2].copy(),
        table[:, 4].copy(),
        np.array(first, dtype=np.int64),
        np.array(n_lines[1:], dtype=np.int64),
        np.array([own.max(initial=0) for own in numbers], dtype=np.int64),
        np.array([(own >= 0).all() for own in numbers], dtype=bool),
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
    n, stop, largest = read_whole(np.frombuffer(text, np.uint8), np.empty(0, np.int64))
    if n >= 0:
        return n, stop, largest
    end = _END.search(text)
    stop = len(text) if end is None else end.start() + 1
    return len(text[:stop].replace(b"\\", b" ").split()), stop, -1


@kernel
def read_whole(  # pragma: no cover
    text: np.ndarray, out: np.ndarray
) -> tuple[int, int, int]:
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


def dtype_for(index: Index, number: int) -> np.dtype:
    """Return the type that holds the numbers of a scan, by its number in the file."""
    if not index.is_whole[number]:
        return np.dtype(np.float64)
    return np.dtype(np.uint16 if index.largest[number] < 2**16 else np.uint32)
