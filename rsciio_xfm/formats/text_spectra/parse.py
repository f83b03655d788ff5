"""The dialects of spectra as text: what each begins with, and how it is read."""

import itertools
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.dates import parse_datetime
from rsciio_xfm.core.source import open_unbuffered
from rsciio_xfm.core.xrf import nearest_line
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from rsciio_xfm.formats.msa.parse import parse as parse_msa
from rsciio_xfm.formats.spec.api import is_spec
from rsciio_xfm.formats.text_spectra import layout
from rsciio_xfm.formats.text_spectra.kernels import DECIMAL, DIVIDES, LONG, read_numbers

# More is no spectrum: 2^24 channels of one digit.
_MOST_BYTES = 2**25
_USUAL_BYTES = 2**16
_MOST_KEYWORDS = 2**12
_MOST_TIME = 1e9  # s
_SHOWN = 24
# What DOS ends a file with, and what a file that was not copied whole ends with.
_PADDING = b"\x1a\0"

_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eEdD][+-]?\d+)?", re.ASCII)
_BYTES_OF_NUMBER = re.compile(rb"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
# Also what stands in the place of one, and is refused there.
_LIKE_A_NUMBER = re.compile(
    _BYTES_OF_NUMBER.pattern + rb"|[+-]?(?:nan|inf|infinity)", re.IGNORECASE
)
_AMPTEK_DIVIDES = re.compile(rb"[,;]")
_AMPTEK_SECTION = re.compile(rb"<<([^<>\r\n]{1,80})>>")
_EPICS_START = re.compile(rb"(?:^|[\r\n])DATA:[ \t]*(?=[\r\n]|\Z)")
_AXIL_SECTION = re.compile(rb"(?:^|(?<=[\r\n]))[ \t]*\$([A-Za-z_0-9]+):?[ \t]*")
_LINE = re.compile(rb"[^\r\n]+")
_MOST_OFF_KEV = 0.2  # of pairs of a calibration from their line
_DASH = b" -"
# By which a file of another dialect is told whose beginning is damaged.
_MARKS = re.compile(
    rb"<<DATA>>|(?:^|[\r\n])(?:DATA:|[ \t]*\$DATA|#SPECTRUM)", re.IGNORECASE
)
_TIMES = {
    "live": re.compile(r"\blive[ _]?time\b[^\d\r\n+-]*([\d.,]+)\s*(ms)?", re.I),
    "real": re.compile(r"\breal[ _]?time\b[^\d\r\n+-]*([\d.,]+)\s*(ms)?", re.I),
}
_AMERICAN = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?:[ T]+(\d{1,2}:\d{2}(?::\d{2})?))?")

Calibration = tuple[float, ...]


@dataclass
class Spectrum:
    """What a file holds.

    Attributes
    ----------
    dialect
        Its name.
    counts
        float64, shape (channels, detectors).
    live, real
        Times of each detector in s; empty where there are none.
    calibrations
        Of each detector: terms a, b, c of keV = a + b channel + c channel squared; empty where
        there are none.
    first
        Number of the first channel.
    keywords
        Returns those of the file: of the thousands of a map they are not asked for.
    date
        When it was measured.
    beam_energy
        keV.
    problems
        What is wrong, in words.
    is_cut
        Whether the file ends before its last channel.
    """

    dialect: str
    counts: np.ndarray
    live: list[float] = field(default_factory=list)
    real: list[float] = field(default_factory=list)
    calibrations: list[Calibration] = field(default_factory=list)
    first: float = 0.0
    keywords: Callable[[], dict[str, Any]] = dict
    date: str = ""
    beam_energy: float | None = None
    problems: list[str] = field(default_factory=list)
    is_cut: bool = False


@dataclass(frozen=True)
class Dialect:
    """One way to write a spectrum.

    Attributes
    ----------
    name
        As errors and metadata have it.
    is_like
        Tells it by the first bytes of a file.
    parse
        Reads it.
    """

    name: str
    is_like: Callable[[bytes], bool]
    parse: Callable[[Path, bytes], Spectrum]


def read_spectrum(path: Path) -> Spectrum:
    """Read a file of any dialect.

    Parameters
    ----------
    path
        Of the file.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        It is of none of them.
    rsciio_xfm.exceptions.CorruptFileError
        Something else stands in place of a number.
    rsciio_xfm.exceptions.TruncatedFileError
        It ends before its first number.
    """
    content = read_text(path)
    return find_dialect(path, content).parse(path, content)


def read_text(path: Path) -> bytes:
    """Read a file, but none that is larger than any spectrum."""
    with open_unbuffered(path) as file:
        content = file.read(_USUAL_BYTES)
        if len(content) == _USUAL_BYTES:
            content += file.read(_MOST_BYTES + 1 - _USUAL_BYTES)
    if len(content) > _MOST_BYTES:
        raise FileFormatError(
            f"{path}: the file has more than {_MOST_BYTES} bytes, expected a spectrum as "
            "text, which has less (byte 0)."
        )
    content = content.removeprefix(BOM_UTF8).rstrip(_PADDING)
    return content if b"\n" in content else content.replace(b"\r", b"\n")


def find_dialect(path: Path, content: bytes) -> Dialect:
    """Tell by its content how a file is written.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        In no way that is known.
    """
    found = _find_dialect(content)
    if found is not None:
        return found
    if not content.strip():
        said = f"the file is empty ({len(content)} bytes)"
    else:
        said = f"the file begins with {content[:_SHOWN]!r}"
    names = ", ".join(f"{d.name} ({_BEGINNINGS[d.name]})" for d in DIALECTS)
    raise FileFormatError(
        f"{path}: {said}, expected a spectrum as text: {names} (byte 0)."
    )


def _find_dialect(content: bytes) -> Dialect | None:
    start = content.lstrip()
    return next((dialect for dialect in DIALECTS if dialect.is_like(start)), None)


def recognizes(filename: str | Path) -> bool:
    """Tell by its content whether a file is a spectrum as text, or else can be nothing other.

    Parameters
    ----------
    filename
        Path of the file. Of one that cannot be opened, and of a SPEC file, the answer is no;
        of others that are called ``.mca`` or ``.spe`` it is yes.

    Examples
    --------
    >>> from rsciio_xfm import text_spectra
    >>> text_spectra.recognizes("point.mca")
    True
    """
    try:
        with open_unbuffered(filename) as file:
            content = file.read(_USUAL_BYTES)
    except (OSError, ValueError):
        return False
    content = content.removeprefix(BOM_UTF8)
    if is_spec(content):
        return False
    is_called_so = Path(filename).suffix.lower() in layout.OWN_EXTENSIONS
    return is_called_so or _find_dialect(content) is not None


# Numbers --------------------------------------------------------------------------------


def number(text: str) -> float | None:
    """Return the number that a text begins with, with a decimal comma or point."""
    found = _NUMBER.match(text.strip())
    if found is None:
        return None
    value = float(found[0].replace(",", ".").replace("D", "e").replace("d", "e"))
    return value if np.isfinite(value) else None


def _numbers(text: str) -> list[float]:
    """Return numbers that blanks divide, up to what is none."""
    values = []
    for word in text.replace("&", " ").split():
        value = number(word)
        if value is None:
            break
        values.append(value)
    return values


def _times(values: list[float]) -> list[float]:
    """Return times in s, or nothing if one of them cannot be any."""
    return values if all(0 <= v < _MOST_TIME for v in values) else []


@dataclass(frozen=True)
class _Block:
    """Numbers of a part of a file, how they are in lines, and the byte that ended it."""

    values: np.ndarray
    width: int
    ragged: int
    last: int
    at: int
    is_done: bool

    def without_cut(self, content: bytes, n: int = 1) -> list[str]:
        """Take the last numbers for 0 if the file may have been cut within them; say so."""
        if not self.is_done or self.at < len(content) or content[-1:].isspace():
            return []
        self.values[-n:] = 0
        return [
            "the file ends without the end of a line: its last number, which may have been "
            f"longer, is taken for 0 (byte {len(content)})"
        ]


def _read_block(
    path: Path, content: bytes, start: int, stop: int, comma: int = DIVIDES
) -> _Block:
    """Read the numbers of a range of bytes, up to what is none."""
    text = np.frombuffer(content, np.uint8)
    values = np.empty((stop - start) // 2 + 1)
    n, status, at, width, ragged, last = read_numbers(text, start, stop, comma, values)
    if status == LONG:
        return _read_long(path, content, start, stop, comma)
    return _Block(values[:n], width, ragged, last, at, status == 0)


def _read_long(path: Path, content: bytes, start: int, stop: int, comma: int) -> _Block:
    """Read numbers of more digits than the kernel does."""
    text = content[start:stop].replace(b"D", b"e").replace(b"d", b"e")
    text = text.replace(b";", b" ").replace(b",", b"." if comma == DECIMAL else b" ")
    values: list[float] = []
    width, ragged, last = 0, -1, 0
    for line in _LINE.finditer(text):
        words = line[0].split()
        for word in words:
            if _BYTES_OF_NUMBER.fullmatch(word) is None:
                at = start + line.start() + line[0].find(word)
                return _Block(np.array(values), width, ragged, last, at, False)
            values.append(float(word))
        if words:
            width, last = width or len(words), len(words)
            if last != width and ragged < 0:
                ragged = start + line.start()
    found = np.array(values)
    if not np.isfinite(found).all():
        raise CorruptFileError(
            f"{path}: a count is infinite, expected a number (byte {start} or behind it)."
        )
    return _Block(found, width, ragged, last, stop, True)


def _strange(path: Path, content: bytes, at: int, what: str = "a number") -> Exception:
    found = content[at : at + _SHOWN].split(b"\n")[0].rstrip()
    return CorruptFileError(
        f"{path}: the data have {found!r}, expected {what} (byte {at}). Copy the file again, "
        "or correct it."
    )


def _no_numbers(path: Path, content: bytes, mark: str) -> Exception:
    return TruncatedFileError(
        f"{path}: the file has no numbers behind {mark} (byte {len(content)}). Copy it again."
    )


def _pairs_in(text: bytes, mark: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give what is before and behind a mark in each line that has it."""
    for line in text.splitlines():
        key, found, value = line.partition(mark)
        if found:
            yield key, value


def _texts(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, Any]:
    """Return keywords and values as text; those that come again as a list."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        name, text = key.decode("latin-1").strip(), value.decode("latin-1").strip()
        held = found.get(name)
        if isinstance(held, list):
            held.append(text)
        elif name in found:
            found[name] = [held, text]
        elif name and len(found) < _MOST_KEYWORDS:
            found[name] = text
    return found


def _first_text(value: Any) -> str:
    return str(value[0] if isinstance(value, list) else value or "")


def fit_calibration(pairs: list[list[float]]) -> list[Calibration]:
    """Return the line through pairs of channel and energy; of one pair, that through 0."""
    points = np.array(pairs + ([[0.0, 0.0]] if len(pairs) == 1 else []))
    if len(points) < 2 or np.ptp(points[:, 0]) == 0:
        return []
    channels, energies = points.T
    middle = channels.mean()
    from_middle = channels - middle
    gain = from_middle @ energies / (from_middle @ from_middle)
    return [(float(energies.mean() - gain * middle), float(gain), 0.0)]


# Amptek ---------------------------------------------------------------------------------


def _parse_amptek(path: Path, content: bytes) -> Spectrum:
    at = content.find(layout.AMPTEK_DATA)
    if at < 0:
        raise TruncatedFileError(
            f"{path}: the file ends before <<DATA>>, expected it and counts (byte "
            f"{len(content)}). Copy it again."
        )
    end = content.find(layout.AMPTEK_END, at)
    start = at + len(layout.AMPTEK_DATA)
    found = _read_block(path, content, start, len(content) if end < 0 else end)
    # Another section, without <<END>>.
    is_next = content[found.at : found.at + 2] == b"<<"
    if not found.is_done and not is_next:
        raise _strange(path, content, found.at)
    if not found.values.size:
        raise _no_numbers(path, content, "<<DATA>>")
    _check_one_a_line(path, content, start, found)
    header = content[:at]
    spectrum = Spectrum(
        "Amptek",
        found.values.reshape(-1, 1),
        _amptek_time(header, b"LIVE_TIME"),
        _amptek_time(header, b"REAL_TIME"),
        keywords=partial(_amptek_keywords, header, content[found.at :]),
        date=_after(header, b"START_TIME"),
        problems=found.without_cut(content),
        is_cut=end < 0 and not is_next,
    )
    n = found.values.size
    if spectrum.is_cut:
        spectrum.problems.append(
            f"the file has no <<END>>: it may have had more than {n} channels (byte "
            f"{len(content)})"
        )
    elif n & (n - 1):
        spectrum.problems.append(
            f"the file has {n} channels, expected a power of 2, as Amptek's have"
        )
    begin = header.find(layout.AMPTEK_CALIBRATION)
    if begin >= 0:
        spectrum.calibrations, problem = _amptek_calibration(header[begin:])
        spectrum.problems += [problem] if problem else []
    return spectrum


def _check_one_a_line(path: Path, content: bytes, start: int, found: _Block) -> None:
    """Refuse several numbers in a line, as of a decimal comma: the first such is shown."""
    lines = _LINE.finditer(content, start, found.at)
    if found.width == 1 and found.ragged < 0:
        return
    line = next(
        one for one in lines if len(_AMPTEK_DIVIDES.sub(b" ", one[0]).split()) > 1
    )
    number = 1 + content.count(b"\n", 0, line.start())
    raise CorruptFileError(
        f"{path}: line {number} of the file is {line[0][:_SHOWN]!r}, expected one count, "
        f"without a comma (byte {line.start()}). Correct it, or export the spectrum again."
    )


def _after(header: bytes, name: bytes) -> str:
    """Return the value of a keyword."""
    at = header.find(b"\n" + name + _DASH)
    if at < 0:
        return ""
    return _LINE.match(header, at + 1)[0][len(name) + len(_DASH) :].decode("latin-1")  # type: ignore[index]


def _amptek_time(header: bytes, name: bytes) -> list[float]:
    return _times(_numbers(_after(header, name))[:1])


@lru_cache(maxsize=64)
def _amptek_calibration(text: bytes) -> tuple[list[Calibration], str]:
    """Return the line through the pairs of a header, and what is wrong with it.

    Of one and the same header it is asked often.
    """
    sections = _amptek_sections(text)
    own = sections.get("CALIBRATION", b"")
    pairs = _pairs_of(own)
    if _first_text(_texts(_pairs_in(own, _DASH)).get("LABEL")).lower() == "ev":
        pairs = [[channel, energy / 1000] for channel, energy in pairs]
    found = fit_calibration(pairs) if pairs else []
    if any(len(row) == 1 for row in _rows_of(own)):
        return found, "a line of its <<CALIBRATION>> is no channel and energy: left out"
    for zero, gain, _ in found:
        off = max(abs(zero + gain * channel - energy) for channel, energy in pairs)
        energies = [energy for _, energy in pairs]
        if off > max(_MOST_OFF_KEV, 0.05 * (max(energies) - min(energies))):
            return found, (
                f"the pairs of its <<CALIBRATION>> are up to {off:.3g} keV off the line "
                f"through them, {zero:.4g} + {gain:.4g} keV of the channel"
            )
    return found, ""


def _amptek_sections(text: bytes) -> dict[str, bytes]:
    _, *parts = _AMPTEK_SECTION.split(text)
    names = [name.decode("latin-1") for name in parts[::2]]
    return dict(zip(names, parts[1::2], strict=True))


def _pairs_of(section: bytes) -> list[list[float]]:
    return [row for row in _rows_of(section) if len(row) == 2]


def _rows_of(section: bytes) -> list[list[float]]:
    return [_numbers(line.decode("latin-1")) for line in _LINE.findall(section)]


def _amptek_keywords(header: bytes, tail: bytes) -> dict[str, Any]:
    """Return all that is in a file but the counts."""
    sections = _amptek_sections(header)
    found = _texts(_pairs_in(sections.pop("PMCA SPECTRUM", b""), _DASH))
    for name, text in sections.items():
        found[name] = _texts(_pairs_in(text, _DASH)) | {"pairs": _pairs_of(text)}
    # What the electronics say of themselves.
    for name, text in _amptek_sections(tail).items():
        mark = b"=" if b"=" in text else b":"
        pairs = _texts((k, v.partition(b";")[0]) for k, v in _pairs_in(text, mark))
        if pairs:
            found[name] = pairs
    return found


# EPICS ----------------------------------------------------------------------------------


def _parse_epics(path: Path, content: bytes) -> Spectrum:
    mark = _EPICS_START.search(content)
    if mark is None:
        raise TruncatedFileError(
            f"{path}: the file ends before DATA:, expected it and counts (byte "
            f"{len(content)}). Copy it again."
        )
    found = _read_block(path, content, mark.end(), len(content))
    if not found.is_done:
        raise _strange(path, content, found.at)
    keywords = _texts(_pairs_in(content[: mark.start()], b":"))
    problems = found.without_cut(content, max(1, found.last))
    values, is_cut = found.values, False
    if not values.size:
        raise _no_numbers(path, content, "DATA:")
    n_elements = found.width
    said = number(_first_text(keywords.get("ELEMENTS")))
    if said is not None and said != n_elements:
        raise CorruptFileError(
            f"{path}: ELEMENTS is {said:g}, expected {n_elements}, as many as the first line "
            f"of data has numbers (byte {mark.end()})."
        )
    if values.size % n_elements or found.ragged >= 0:
        n_whole = values.size // n_elements * n_elements
        if content[found.ragged :].strip().count(b"\n"):
            raise _strange(path, content, found.ragged, f"{n_elements} numbers in a line")
        values, is_cut = values[:n_whole], True
        problems.append(
            f"the last line has {found.last} numbers, expected {n_elements}: it was left "
            f"out (byte {found.ragged})"
        )
    counts = values.reshape(-1, n_elements)
    planned = number(_first_text(keywords.get("CHANNELS")))
    if planned is not None and planned != len(counts):
        is_cut |= planned > len(counts)
        problems.append(f"CHANNELS is {planned:g}, and {len(counts)} are there")
    lists = {key: _of_each(keywords, key, n_elements) for key in _EPICS_NUMBERS}
    terms = [lists[key] for key in ("CAL_OFFSET", "CAL_SLOPE", "CAL_QUAD")]
    terms[2] = terms[2] or [0.0] * n_elements
    is_known = bool(terms[0] and terms[1])
    return Spectrum(
        "EPICS",
        counts,
        _times(lists["LIVE_TIME"]),
        _times(lists["REAL_TIME"]),
        [tuple(own) for own in zip(*terms, strict=True)] if is_known else [],
        keywords=lambda: keywords,
        date=_first_text(keywords.get("DATE")),
        beam_energy=_beam_energy(keywords.get("ENVIRONMENT")),
        problems=problems,
        is_cut=is_cut,
    )


_EPICS_NUMBERS = ("LIVE_TIME", "REAL_TIME", "CAL_OFFSET", "CAL_SLOPE", "CAL_QUAD")
_MONO = re.compile(r'="\s*([\d.eE+]+)\s*"\s*\(.*mono.*energy', re.I)


def _of_each(keywords: dict[str, Any], name: str, n_elements: int) -> list[float]:
    """Return one number for each detector; a single one holds for all."""
    values = _numbers(_first_text(keywords.get(name)))
    if len(values) == 1:
        return values * n_elements
    return values if len(values) == n_elements else []


def _beam_energy(lines: Any) -> float | None:
    """Return the energy of the monochromator in keV; the file has it in eV."""
    for line in [lines] if isinstance(lines, str) else lines or ():
        found = _MONO.search(line[:1000])
        value = number(found[1]) if found else None
        if value:
            return value / 1000
    return None


# AXIL -----------------------------------------------------------------------------------


def _parse_axil(path: Path, content: bytes) -> Spectrum:
    marks = list(_AXIL_SECTION.finditer(content))
    data = next((m for m in marks if m[1].upper() == b"DATA"), None)
    if data is None:
        raise TruncatedFileError(
            f"{path}: the file has no $DATA:, expected it and counts (byte {len(content)}). "
            "Copy it again."
        )
    ends = [m.start() for m in marks[1:]] + [len(content)]
    sections = [(m[1].upper(), content[m.end() : e]) for m, e in zip(marks, ends)]  # noqa: B905
    stop = ends[marks.index(data)]
    found = _read_block(path, content, data.end(), stop)
    if not found.is_done:
        raise _strange(path, content, found.at)
    if found.values.size < 3:
        raise _no_numbers(path, content, "$DATA:")
    first, last = found.values[:2].tolist()
    counts = found.values[2:]
    planned = last - first + 1
    keywords = _texts(sections)
    keywords["DATA"] = f"{first:g} {last:g}"
    problems = found.without_cut(content)
    n_data = sum(name == b"DATA" for name, _ in sections)
    if n_data > 1:
        problems.append(f"$DATA: is there {n_data} times: the first one is read")
    if planned != counts.size:
        problems.append(
            f"$DATA: is {first:g} to {last:g}, {planned:g} channels, and {counts.size} are "
            "there"
        )
    times = _numbers(_first_text(keywords.get("MEAS_TIM")))
    return Spectrum(
        "AXIL",
        counts.reshape(-1, 1),
        _times(times[:1]),
        _times(times[1:2]),
        _axil_calibration(keywords),
        first if 0 <= first < 2**31 else 0.0,
        lambda: keywords,
        date=_first_text(keywords.get("DATE_MEA")),
        problems=problems,
        is_cut=planned > counts.size,
    )


def _axil_calibration(keywords: dict[str, Any]) -> list[Calibration]:
    lines = _first_text(keywords.get("MCA_CAL")).splitlines()
    terms = _numbers(lines[1])[:3] if len(lines) > 1 else []
    if len(terms) < 2 or not any(terms):
        terms = _numbers(_first_text(keywords.get("ENER_FIT")))[:3]
    return [tuple([*terms, 0.0][:3])] if len(terms) >= 2 and any(terms) else []


# Columns --------------------------------------------------------------------------------


def _is_columns(start: bytes) -> bool:
    """Tell whether numbers follow, behind lines of words at most."""
    head = start[: 2**16]
    if b"\0" in head or _MARKS.search(head) is not None:
        return False
    return _find_columns(head) is not None


def _find_columns(content: bytes) -> int | None:
    """Return the byte at which the first line begins that is of numbers only."""
    for line in _LINE.finditer(content):
        words = line[0].translate(_COMMAS).split()
        if words and all(_LIKE_A_NUMBER.fullmatch(word) for word in words):
            return line.start()
    return None


_COMMAS = bytes.maketrans(b",;\t", b"   ")


def _parse_columns(path: Path, content: bytes) -> Spectrum:
    start = _find_columns(content)
    if start is None:  # beyond where it was looked for
        raise FileFormatError(f"{path}: the file has no line of numbers (byte 0).")
    comma = _meaning_of_comma(content[start : start + 2**16])
    found = _read_block(path, content, start, len(content), comma)
    if not found.is_done:
        raise _strange(path, content, found.at)
    if found.ragged >= 0:
        raise _strange(path, content, found.ragged, f"{found.width} numbers in a line")
    table = found.values.reshape(-1, found.width)
    header = content[:start].decode("latin-1")
    comments = [line.strip() for line in header.splitlines() if line.strip()]
    times = {name: _time_in(header, pattern) for name, pattern in _TIMES.items()}
    spectrum = Spectrum(
        "columns",
        table,
        times["live"],
        times["real"],
        keywords=lambda: {"comments": comments} if comments else {},
    )
    if not content[-1:].isspace():
        spectrum.problems.append(
            f"the file ends with its last number, which may have been longer (byte "
            f"{len(content)})"
        )
    if found.width > 1:
        _take_second_column(path, spectrum, start)
    return spectrum


def _meaning_of_comma(text: bytes) -> int:
    """Tell whether commas divide numbers, or their decimals.

    Where numbers are divided by something else, a comma is a decimal point; else it divides,
    if what is before it counts up.
    """
    lines = [line.strip() for line in _LINE.findall(text)[:64]]
    if not any(b"," in line for line in lines):
        return DIVIDES
    if any(re.search(rb"\d,?[ \t]+\d|;", line) for line in lines):
        is_followed = any(re.search(rb",[ \t]", line) for line in lines)
        return DIVIDES if is_followed else DECIMAL
    if any(line.count(b",") > 1 or b"." in line for line in lines):
        return DIVIDES
    before = [number(line.split(b",")[0].decode("latin-1")) for line in lines]
    known = [value for value in before if value is not None]
    steps = {b - a for a, b in itertools.pairwise(known)}
    return DIVIDES if len(steps) == 1 and steps != {0.0} else DECIMAL


def _time_in(text: str, pattern: re.Pattern[str]) -> list[float]:
    found = pattern.search(text[: 2**16])
    value = number(found[1]) if found else None
    if value is None or found is None:
        return []
    return _times([value / 1000 if found[2] else value])


def _take_second_column(path: Path, spectrum: Spectrum, start: int) -> None:
    """Take the second of two columns for the counts, the first for channels or energies."""
    x = spectrum.counts[:, 0]
    steps = np.diff(x)
    is_axis = bool((steps > 0).all()) and len(x) > 1
    if spectrum.counts.shape[1] != 2 or not is_axis:
        raise FileFormatError(
            f"{path}: the file has {spectrum.counts.shape[1]} columns of numbers, expected "
            f"one of counts, or two of which the first rises: channels or energies (byte "
            f"{start})."
        )
    spectrum.counts = spectrum.counts[:, 1:]
    if (steps == 1).all() and x[0] == np.floor(x[0]):
        spectrum.first = float(x[0])
        return
    if steps.min() == 1 and (x == np.floor(x)).all():
        gap = int(np.argmax(steps > 1))
        raise FileFormatError(
            f"{path}: the first column counts channels, and {x[gap + 1]:g} follows on "
            f"{x[gap]:g}, expected each channel (byte {start})."
        )
    zero, gain, bent = nearest_line(x)
    off = bent * gain / steps.min()
    if off > 1:
        raise FileFormatError(
            f"{path}: the energies are up to {off:.2g} channels off a straight line, expected "
            f"steps of one size (byte {start})."
        )
    spectrum.calibrations = [(zero, gain, 0.0)]


# MSA ------------------------------------------------------------------------------------


def _parse_msa(path: Path, content: bytes) -> Spectrum:
    """Read what a folder's map needs of an MSA file."""
    found = parse_msa(path, None)
    keywords = found.keywords
    times = {}
    for name in ("LIVETIME", "REALTIME"):
        value = keywords.get(name)
        times[name] = _times([value]) if isinstance(value, float) else []
    terms = [keywords.get(name) for name in ("OFFSET", "XPERCHAN")]
    unit = {"ev": 1e-3, "kev": 1.0}.get(str(keywords.get("XUNITS") or "").lower())
    numbers = [term for term in terms if isinstance(term, float)]
    is_known = unit is not None and len(numbers) == 2
    planned = keywords.get("NPOINTS")
    return Spectrum(
        "MSA",
        np.array(found.tokens, dtype=float).reshape(-1, 1),
        times["LIVETIME"],
        times["REALTIME"],
        [tuple(term * (unit or 1.0) for term in numbers)] if is_known else [],
        keywords=lambda: dict(keywords),
        date=f"{keywords.get('DATE') or ''} {keywords.get('TIME') or ''}",
        problems=found.problems,
        is_cut=isinstance(planned, float) and planned > len(found.tokens),
    )


DIALECTS = (
    Dialect("Amptek", lambda start: start.startswith(layout.AMPTEK), _parse_amptek),
    Dialect("EPICS", lambda start: start.startswith(layout.EPICS), _parse_epics),
    Dialect("AXIL", lambda start: start.startswith(layout.AXIL), _parse_axil),
    Dialect("MSA", lambda start: start[:8].upper().startswith(layout.MSA), _parse_msa),
    Dialect("columns", _is_columns, _parse_columns),
)
_BEGINNINGS = {
    "Amptek": "<<PMCA SPECTRUM>>",
    "EPICS": "VERSION:",
    "AXIL": "$SPEC_ID: or another $ keyword",
    "MSA": "#FORMAT",
    "columns": "lines of numbers",
}


def parse_moment(text: str) -> datetime | None:
    """Return a date and time; of 11/10/2020 the month is first, as Amptek writes it."""
    found = _AMERICAN.match(text.strip())
    if found is None:
        return parse_datetime(text.strip())
    month, day, year, clock = found.groups()
    if int(month) > 12:
        month, day = day, month
    return parse_datetime(
        f"{year}-{month:0>2}-{day:0>2}" + (f" {clock}" if clock else "")
    )
