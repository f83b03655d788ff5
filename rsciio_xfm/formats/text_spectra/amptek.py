"""Spectra of Amptek."""

import re
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from rsciio_xfm.exceptions import CorruptFileError, TruncatedFileError
from rsciio_xfm.formats.text_spectra import layout
from rsciio_xfm.formats.text_spectra.numbers import (
    LINE,
    SHOWN,
    Block,
    no_numbers,
    read_block,
    strange,
)
from rsciio_xfm.formats.text_spectra.spectrum import (
    Calibration,
    Spectrum,
    as_texts,
    first_text,
    fit_calibration,
    leading_numbers,
    pairs_in,
    sound_times,
)

_AMPTEK_DIVIDES = re.compile(rb"[,;]")
_AMPTEK_SECTION = re.compile(rb"<<([^<>\r\n]{1,80})>>")
_MOST_OFF_KEV = 0.2  # of pairs of a calibration from their line
_DASH = b" -"


def parse(path: Path, content: bytes) -> Spectrum:
    """Read a spectrum of Amptek.

    Parameters
    ----------
    path
        Of the file.
    content
        All of it, from :func:`rsciio_xfm.formats.text_spectra.parse.read_text`.

    Raises
    ------
    rsciio_xfm.exceptions.CorruptFileError
        Something else stands in place of a number.
    rsciio_xfm.exceptions.TruncatedFileError
        The file ends before its first number.
    """
    at = content.find(layout.AMPTEK_DATA)
    if at < 0:
        raise TruncatedFileError(
            f"{path}: the file ends before <<DATA>>, expected it and counts (byte "
            f"{len(content)}). Copy it again."
        )
    end = content.find(layout.AMPTEK_END, at)
    start = at + len(layout.AMPTEK_DATA)
    found = read_block(path, content, start, len(content) if end < 0 else end)
    # Another section, without <<END>>.
    is_next = content[found.at : found.at + 2] == b"<<"
    if not found.is_done and not is_next:
        raise strange(path, content, found.at)
    if not found.values.size:
        raise no_numbers(path, content, "<<DATA>>")
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


def _check_one_a_line(path: Path, content: bytes, start: int, found: Block) -> None:
    """Refuse several numbers in a line, as of a decimal comma: the first such is shown."""
    lines = LINE.finditer(content, start, found.at)
    if found.width == 1 and found.ragged < 0:
        return
    line = next(
        one for one in lines if len(_AMPTEK_DIVIDES.sub(b" ", one[0]).split()) > 1
    )
    number = 1 + content.count(b"\n", 0, line.start())
    raise CorruptFileError(
        f"{path}: line {number} of the file is {line[0][:SHOWN]!r}, expected one count, "
        f"without a comma (byte {line.start()}). Correct it, or export the spectrum again."
    )


def _after(header: bytes, name: bytes) -> str:
    """Return the value of a keyword."""
    at = header.find(b"\n" + name + _DASH)
    if at < 0:
        return ""
    return LINE.match(header, at + 1)[0][len(name) + len(_DASH) :].decode("latin-1")  # type: ignore[index]


def _amptek_time(header: bytes, name: bytes) -> list[float]:
    return sound_times(leading_numbers(_after(header, name))[:1])


@lru_cache(maxsize=64)
def _amptek_calibration(text: bytes) -> tuple[list[Calibration], str]:
    """Return the line through the pairs of a header, and what is wrong with it.

    Of one and the same header it is asked often.
    """
    sections = _amptek_sections(text)
    own = sections.get("CALIBRATION", b"")
    pairs = _pairs_of(own)
    if first_text(as_texts(pairs_in(own, _DASH)).get("LABEL")).lower() == "ev":
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
    return [leading_numbers(line.decode("latin-1")) for line in LINE.findall(section)]


def _amptek_keywords(header: bytes, tail: bytes) -> dict[str, Any]:
    """Return all that is in a file but the counts."""
    sections = _amptek_sections(header)
    found = as_texts(pairs_in(sections.pop("PMCA SPECTRUM", b""), _DASH))
    for name, text in sections.items():
        found[name] = as_texts(pairs_in(text, _DASH)) | {"pairs": _pairs_of(text)}
    # What the electronics say of themselves.
    for name, text in _amptek_sections(tail).items():
        mark = b"=" if b"=" in text else b":"
        pairs = as_texts((k, v.partition(b";")[0]) for k, v in pairs_in(text, mark))
        if pairs:
            found[name] = pairs
    return found
