"""Spectra of EPICS, as GSECARS' programs write them."""

import re
from pathlib import Path
from typing import Any

from rsciio_xfm.exceptions import CorruptFileError, TruncatedFileError
from rsciio_xfm.formats.text_spectra.numbers import no_numbers, read_block, strange
from rsciio_xfm.formats.text_spectra.spectrum import (
    Spectrum,
    as_texts,
    first_text,
    leading_numbers,
    number,
    pairs_in,
    sound_times,
)

_EPICS_START = re.compile(rb"(?:^|[\r\n])DATA:[ \t]*(?=[\r\n]|\Z)")


def parse(path: Path, content: bytes) -> Spectrum:
    """Read the spectra of EPICS that are in a file, one of each detector.

    Parameters
    ----------
    path
        Of the file.
    content
        All of it, from :func:`rsciio_xfm.formats.text_spectra.parse.read_text`.

    Raises
    ------
    rsciio_xfm.exceptions.CorruptFileError
        Something else stands in place of a number; the header contradicts them.
    rsciio_xfm.exceptions.TruncatedFileError
        The file ends before its first number.
    """
    mark = _EPICS_START.search(content)
    if mark is None:
        raise TruncatedFileError(
            f"{path}: the file ends before DATA:, expected it and counts (byte "
            f"{len(content)}). Copy it again."
        )
    found = read_block(path, content, mark.end(), len(content))
    if not found.is_done:
        raise strange(path, content, found.at)
    keywords = as_texts(pairs_in(content[: mark.start()], b":"))
    problems = found.without_cut(content, max(1, found.last))
    values, is_cut = found.values, False
    if not values.size:
        raise no_numbers(path, content, "DATA:")
    n_elements = found.width
    said = number(first_text(keywords.get("ELEMENTS")))
    if said is not None and said != n_elements:
        raise CorruptFileError(
            f"{path}: ELEMENTS is {said:g}, expected {n_elements}, as many as the first line "
            f"of data has numbers (byte {mark.end()})."
        )
    if values.size % n_elements or found.ragged >= 0:
        n_whole = values.size // n_elements * n_elements
        if content[found.ragged :].strip().count(b"\n"):
            raise strange(path, content, found.ragged, f"{n_elements} numbers in a line")
        values, is_cut = values[:n_whole], True
        problems.append(
            f"the last line has {found.last} numbers, expected {n_elements}: it was left "
            f"out (byte {found.ragged})"
        )
    counts = values.reshape(-1, n_elements)
    planned = number(first_text(keywords.get("CHANNELS")))
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
        sound_times(lists["LIVE_TIME"]),
        sound_times(lists["REAL_TIME"]),
        [tuple(own) for own in zip(*terms, strict=True)] if is_known else [],
        keywords=lambda: keywords,
        date=first_text(keywords.get("DATE")),
        beam_energy=_beam_energy(keywords.get("ENVIRONMENT")),
        problems=problems,
        is_cut=is_cut,
    )


_EPICS_NUMBERS = ("LIVE_TIME", "REAL_TIME", "CAL_OFFSET", "CAL_SLOPE", "CAL_QUAD")
_MONO = re.compile(r'="\s*([\d.eE+]+)\s*"\s*\(.*mono.*energy', re.I)


def _of_each(keywords: dict[str, Any], name: str, n_elements: int) -> list[float]:
    """Return one number for each detector; a single one holds for all."""
    values = leading_numbers(first_text(keywords.get(name)))
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
