"""A file as keywords and numbers, with what is wrong with it."""

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from rsciio_xfm.core.source import check_regular
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from rsciio_xfm.formats.msa.layout import (
    END,
    IN_SEVERAL_LINES,
    KNOWN,
    NUMBERS,
    OWN,
    REQUIRED,
    SPECTRUM,
)

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What DOS ends a file with, and what a file that was not copied whole ends with.
_PADDING = b"\x1a\0"
_BEGINNING = 4096  # bytes
# More is no spectrum, and takes some hundred bytes of memory for each line.
_MOST_BYTES, _MOST_LINES = 2**25, 2**21
_LINE = re.compile(rb"[^\r\n]+")
# Each digit can be matched in one way only: else a long number takes the square of its time.
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_ENTRY = re.compile(rf"{_NUMBER}|[+-]?(?:nan|inf)", re.ASCII | re.IGNORECASE)
# "2.0 E-06" is a common misspelling.
_LEADING = re.compile(
    r"([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+))(?:\s*[eEdD]([+-]?\d+))?(?![\w.])\s*(.*)",
    re.ASCII,
)
_DECIMAL_COMMA = re.compile(r"(\d),(\d+)", re.ASCII)
_EVIDENCE = 3  # pairs in which energies are told from counts

Rows = list[tuple[int, list[str]]]
Value = float | str | None | list[float | str | None]


@dataclass(frozen=True)
class Spectrum:
    """What a file holds.

    Attributes
    ----------
    keywords
        As RosettaSciIO has them: name, with its units, without ``#``; numbers where the
        standard has numbers, else texts, or a list of those of several lines; None of a line
        that has no value.
    units
        Keyword -> what stands behind it, or behind its number.
    own
        Keywords of ours.
    tokens
        The counts, as they are written.
    energies
        Of each channel, float64, if the file has them.
    problems
        What is wrong, in words.
    """

    keywords: dict[str, Value]
    units: dict[str, str]
    own: dict[str, str]
    tokens: list[str]
    energies: np.ndarray | None
    problems: list[str]

    @cached_property
    def names(self) -> dict[str, tuple[str, str | None]]:
        """Of each keyword its name in capitals, and its units or None."""
        return split_names(self.keywords)


@dataclass
class _Header:
    keywords: dict[str, Value] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    # Of keywords in several lines; put together when all are read.
    parts: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    has_decimal_comma: bool = False

    def number(self, name: str) -> float | None:
        value = self.keywords.get(name)
        return value if isinstance(value, float) and np.isfinite(value) else None


def parse(path: Path, encoding: str | None) -> Spectrum:
    """Read a file.

    Parameters
    ----------
    path
        Of the file.
    encoding
        Of its text. None: UTF-8 if it is that, or has its mark, else Latin-1.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no MSA file, or has something else in place of numbers.
    rsciio_xfm.exceptions.TruncatedFileError
        The file ends before the first number.
    """
    return parse_text(path, *_read(path, encoding))


def parse_text(path: Path, content: bytes, encoding: str | None) -> Spectrum:
    """Read a file whose bytes are there; see :func:`parse`.

    Parameters
    ----------
    path
        Of the file, for messages.
    content
        Its text, without a mark of the encoding before it, and without padding behind it.
    encoding
        See :func:`parse`.
    """
    n_lines = content.count(b"\n") + content.count(b"\r")
    if len(content) > _MOST_BYTES or n_lines > 2 * _MOST_LINES:  # two marks end a line
        raise FileFormatError(
            f"{path}: the file has more than {_MOST_BYTES} bytes or {_MOST_LINES} lines, "
            "expected a spectrum, which has less (byte 0)."
        )
    lines = [(found.start(), found.group()) for found in _LINE.finditer(content)]
    lines = [(at, line) for at, line in lines if line.strip()]
    start = next((i for i, (_, line) in enumerate(lines) if _is(line, SPECTRUM)), None)
    header = _read_header(lines[:start], _choose_encoding(lines[:start], encoding))
    if not KNOWN & {_split_name(name)[0] for name in header.keywords}:
        raise _no_msa(path, content)
    if start is None:
        raise TruncatedFileError(
            f"{path}: the file ends within its keywords, expected #{SPECTRUM} and numbers "
            f"(byte {len(content)}). Copy it again."
        )
    return _read_data(path, header, lines[start + 1 :], content)


def _read(path: Path, encoding: str | None) -> tuple[bytes, str | None]:
    """Return the text as bytes without mark and padding, and its encoding if it is known."""
    check_regular(path)
    with path.open("rb") as file:
        # Not all of it: it may be a large file of another kind.
        content = file.read(_BEGINNING)
        found = next((pair for pair in _MARKS if content.startswith(pair[0])), None)
        if found is None and not content.lstrip().startswith(b"#"):
            raise _no_msa(path, content)
        content += file.read(_MOST_BYTES + 1 - len(content))
    if found is not None:
        mark, encoding = found
        content = content[len(mark) :].decode(encoding, "replace").encode()
        encoding = "utf-8"
    return content.rstrip(_PADDING), encoding


def _is(line: bytes, name: str) -> bool:
    key = line.strip().lstrip(b"#").partition(b":")[0].strip().upper()
    return line.lstrip().startswith(b"#") and key == name.encode()


def _no_msa(path: Path, content: bytes) -> FileFormatError:
    found = repr(content.lstrip()[:24])[1:] if content else "empty"
    return FileFormatError(
        f"{path}: the file is no MSA file: its beginning is {found}, expected "
        "'#FORMAT      : EMSA/MAS Spectral Data File' (byte 0)."
    )


# Keywords -------------------------------------------------------------------------------


def _choose_encoding(lines: list[tuple[int, bytes]], encoding: str | None) -> str:
    if encoding is not None:
        return encoding
    try:
        b"\n".join(line for _, line in lines).decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _read_header(lines: list[tuple[int, bytes]], encoding: str) -> _Header:
    header = _Header()
    others = []
    for at, line in lines:
        text = line.decode(encoding, "replace").strip()
        if text.startswith("#"):
            _read_keyword(header, text)
        else:
            others.append(at)
    if others:
        which = "a line" if len(others) == 1 else f"{len(others)} lines"
        are = (
            "is no keyword" if len(others) == 1 else "are no keywords, from the first on"
        )
        header.problems.append(f"{which} before the data {are} (byte {others[0]})")
    for name, parts in header.parts.items():
        header.keywords[name] = "".join(parts)
    return header


def _read_keyword(header: _Header, text: str) -> None:
    name, value = _split_line(text)
    clean, units = _split_name(name)
    is_users = text.startswith("##")
    if is_users and name.startswith(OWN):
        header.own[name] = (value or "").strip()
    elif clean in KNOWN and not is_users:
        if units is None or clean in REQUIRED:
            name = clean  # in capitals; what RosettaSciIO looks for has no units
        _read_known(header, name, clean, value)
        if units:
            header.units[name] = units
    else:
        # Of a user's keyword that is called like one of the standard, the marks tell.
        name = f"##{name}" if clean in KNOWN else name
        _add_text(header.keywords, name, None if value is None else value.strip())


def _add_text(keywords: dict[str, Value], name: str, text: str | None) -> None:
    """Add what a user's keyword says; there may be several of one name, as of labels."""
    held = keywords.get(name)
    if name not in keywords or held == text:
        keywords[name] = text
    elif isinstance(held, list):
        held.append(text)
    else:
        keywords[name] = [held, text]


def _split_line(text: str) -> tuple[str, str | None]:
    """Return keyword and value; of a line without colon the value is None, if it has none."""
    name, colon, value = text.lstrip("#").partition(":")
    name = name.strip()
    if colon:
        return name, value.removeprefix(" ").rstrip()
    first, _, rest = name.partition(" ")
    return (first, rest.strip()) if first.upper() in KNOWN and rest else (name, None)


def split_names(names: Iterable[str]) -> dict[str, tuple[str, str | None]]:
    """Return of each keyword its name in capitals, and its units or None.

    Parameters
    ----------
    names
        As in the file: ``"BEAMKV   -kV"``.
    """
    return {name: _split_name(name) for name in names}


def _split_name(name: str) -> tuple[str, str | None]:
    clean, dash, units = name.partition("-")
    return clean.strip().upper(), units.strip() if dash else None


def _read_known(header: _Header, name: str, clean: str, value: str | None) -> None:
    if clean in IN_SEVERAL_LINES and header.keywords.get(name):
        parts = header.parts.setdefault(name, [str(header.keywords[name])])
        parts.append(value or "")
        return
    found: float | str = (value or "").strip()
    if clean in NUMBERS and found:
        found = _read_number(header, name, clean, str(found))
    held = header.keywords.get(name)
    if isinstance(held, float) and held != found:
        header.problems.append(
            f"#{clean} is {held:g} and, in a later line, {found!s:.40}"
        )
    header.keywords[name] = found


def _read_number(header: _Header, name: str, clean: str, text: str) -> float | str:
    """Return a number, whatever its units behind it, or the text if it is none."""
    found = _LEADING.match(text)
    if found is None:
        header.problems.append(f"#{clean} is {text!r:.40}, expected a number")
        return text
    mantissa, exponent, rest = found.groups()
    header.has_decimal_comma |= "," in mantissa
    header.units[name] = rest.strip()
    return float(f"{mantissa.replace(',', '.')}e{exponent or 0}")


# Numbers --------------------------------------------------------------------------------


def _read_data(
    path: Path, header: _Header, lines: list[tuple[int, bytes]], content: bytes
) -> Spectrum:
    end = next((i for i, (_, line) in enumerate(lines) if _is(line, END)), None)
    problems = header.problems
    if end is not None and lines[end + 1 :]:
        problems.append(
            f"what is behind #{END} was left out (byte {lines[end + 1][0]}): the format "
            "has one spectrum a file"
        )
    entries = [
        (at, line.decode("ascii", "replace"))
        for at, line in lines[:end]
        if not line.lstrip().startswith(b"#")
    ]
    n_points = _read_n_points(header)
    declared = _read_datatype(header)
    rows = _split_rows(entries, n_points, declared, header.has_decimal_comma)
    if end is None:
        rows = _without_cut(rows, content, n_points, problems)
    if not rows:
        raise TruncatedFileError(
            f"{path}: the file has no numbers behind #{SPECTRUM} (byte {len(content)}). "
            "Copy it again."
        )
    _check_numbers(path, rows)
    kind = _decide(rows, declared, n_points, header)
    if declared is not None and kind != declared:
        problems.append(f"#DATATYPE is {declared}, and the data are {kind}")
    tokens = [token for _, row in rows for token in row]
    energies = None
    if kind == "XY":
        if end is None and len(tokens) % 2:  # an energy whose counts were cut
            rows[-1][1].pop()
            tokens.pop()
        _check_pairs(path, rows)
        energies = np.array(tokens[::2], dtype=float)
        tokens = tokens[1::2]
    if n_points is not None and n_points != len(tokens):
        problems.append(f"#NPOINTS is {n_points}, and {len(tokens)} channels are there")
    elif end is None and n_points is None:
        problems.append(f"the file has no #{END}: there may be more than is read")
    return Spectrum(header.keywords, header.units, header.own, tokens, energies, problems)


def _read_n_points(header: _Header) -> int | None:
    number = header.number("NPOINTS")
    if number is not None and number >= 1 and number == int(number):
        return int(number)
    if header.keywords.get("NPOINTS"):
        header.problems.append(
            f"#NPOINTS is {header.keywords['NPOINTS']!s:.40}, expected a whole number"
        )
    return None


def _read_datatype(header: _Header) -> str | None:
    text = str(header.keywords.get("DATATYPE") or "").upper()
    if text in ("Y", "XY"):
        header.keywords["DATATYPE"] = text
        return text
    if text:
        header.problems.append(f"#DATATYPE is {text!r:.40}, expected Y or XY")
    return None


def _split_rows(
    entries: list[tuple[int, str]],
    n_points: int | None,
    declared: str | None,
    comma: bool,
) -> Rows:
    """Split lines into numbers; a comma between digits divides them or their decimals."""
    rows = _to_rows(entries)
    text = [text for _, text in entries]
    if any("." in t for t in text) or not any(_DECIMAL_COMMA.search(t) for t in text):
        return rows
    other = _to_rows([(at, _DECIMAL_COMMA.sub(r"\1.\2", t)) for at, t in entries])
    if n_points is None:
        return other if comma else rows
    columns = {"Y": (1,), "XY": (2,), None: (1, 2)}[declared]
    fits = [_count(found) in [n_points * n for n in columns] for found in (rows, other)]
    if fits[0] != fits[1]:
        return rows if fits[0] else other
    return other if comma else rows


def _to_rows(entries: list[tuple[int, str]]) -> Rows:
    # Fortran writes exponents with D.
    plain = str.maketrans(",;Dd", "  ee")
    rows = [(at, text.translate(plain).split()) for at, text in entries]
    return [(at, tokens) for at, tokens in rows if tokens]


def _count(rows: Rows) -> int:
    return sum(len(tokens) for _, tokens in rows)


def _without_cut(
    rows: Rows, content: bytes, n_points: int | None, problems: list[str]
) -> Rows:
    """Leave out the last number of a file without end, if there may have been more of it."""
    if not rows or content[-1:] in b" \t\r\n,;" or content.rfind(b"#") > rows[-1][0]:
        return rows
    *others, (at, tokens) = rows
    is_divided = any(_ends_divided(content, place) for place, _ in others)
    if _count(rows) in (n_points, 2 * (n_points or 0)) and not is_divided:
        problems.append("the file ends with its last number, which may have been longer")
        return rows
    problems.append(
        f"the file ends within a number, which was left out (byte {len(content)})"
    )
    return [*others, *([(at, tokens[:-1])] if tokens[1:] else [])]


def _ends_divided(content: bytes, at: int) -> bool:
    found = _LINE.match(content, at)
    return found is not None and found.group().rstrip()[-1:] in (b",", b";")


def _check_numbers(path: Path, rows: Rows) -> None:
    for at, tokens in rows:
        for token in tokens:
            if not _ENTRY.fullmatch(token):
                raise CorruptFileError(
                    f"{path}: the data have {token[:40]!r}, expected a number (byte {at} and "
                    "the rest of its line). Copy the file again, or correct it."
                )


def _decide(
    rows: Rows, declared: str | None, n_points: int | None, header: _Header
) -> str:
    """Tell what the data are, ``"Y"`` or ``"XY"``; they may be other than declared."""
    widths = {len(tokens) for _, tokens in rows}
    n = _count(rows)
    if declared == "XY":
        return "Y" if widths == {1} and n_points in (None, n) else "XY"
    is_like_axis = widths == {2} and _follow_axis(rows, header)
    if declared == "Y":
        is_double = n_points is not None and n == 2 * n_points
        return "XY" if is_double and is_like_axis else "Y"
    if is_like_axis:
        return "XY"
    if n_points is not None and n in (n_points, 2 * n_points):
        return "Y" if n == n_points else "XY"
    return "XY" if widths == {2} and _are_even(rows) else "Y"


def _first_column(rows: Rows) -> np.ndarray:
    return np.array([float(tokens[0]) for _, tokens in rows])


def _follow_axis(rows: Rows, header: _Header) -> bool:
    """Tell whether the first numbers of the lines are the energies of the header."""
    scale, offset = header.number("XPERCHAN"), header.number("OFFSET")
    if scale is None or offset is None or len(rows) < _EVIDENCE:
        return False
    return follows(_first_column(rows), scale, offset)


def follows(x: np.ndarray, scale: float, offset: float) -> bool:
    """Tell whether energies are those of an axis, to a channel."""
    with np.errstate(all="ignore"):
        return bool(np.all(np.abs(x - offset - scale * np.arange(x.size)) < abs(scale)))


def _are_even(rows: Rows) -> bool:
    with np.errstate(all="ignore"):
        steps = np.diff(_first_column(rows))
    return steps.size + 1 >= _EVIDENCE and bool(
        np.all(steps > 0) and np.ptp(steps) < 0.01 * steps.mean()
    )


def _check_pairs(path: Path, rows: Rows) -> None:
    for at, tokens in rows:
        if len(tokens) % 2:
            raise CorruptFileError(
                f"{path}: a line has {len(tokens)} numbers, expected pairs of energy and "
                f"counts, as #DATATYPE is XY (byte {at}). Correct the line, or #DATATYPE."
            )
