"""Spectra of AXIL and QXAS."""

import re
from pathlib import Path
from typing import Any

from rsciio_xfm.exceptions import TruncatedFileError
from rsciio_xfm.formats.text_spectra.numbers import no_numbers, read_block, strange
from rsciio_xfm.formats.text_spectra.spectrum import (
    Calibration,
    Spectrum,
    as_texts,
    first_text,
    leading_numbers,
    sound_times,
)

_AXIL_SECTION = re.compile(rb"(?:^|(?<=[\r\n]))[ \t]*\$([A-Za-z_0-9]+):?[ \t]*")


def parse(path: Path, content: bytes) -> Spectrum:
    """Read a spectrum of AXIL.

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
    found = read_block(path, content, data.end(), stop)
    if not found.is_done:
        raise strange(path, content, found.at)
    if found.values.size < 3:
        raise no_numbers(path, content, "$DATA:")
    first, last = found.values[:2].tolist()
    counts = found.values[2:]
    planned = last - first + 1
    keywords = as_texts(sections)
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
    times = leading_numbers(first_text(keywords.get("MEAS_TIM")))
    return Spectrum(
        "AXIL",
        counts.reshape(-1, 1),
        sound_times(times[:1]),
        sound_times(times[1:2]),
        _axil_calibration(keywords),
        first if 0 <= first < 2**31 else 0.0,
        lambda: keywords,
        date=first_text(keywords.get("DATE_MEA")),
        problems=problems,
        is_cut=planned > counts.size,
    )


def _axil_calibration(keywords: dict[str, Any]) -> list[Calibration]:
    lines = first_text(keywords.get("MCA_CAL")).splitlines()
    terms = leading_numbers(lines[1])[:3] if len(lines) > 1 else []
    if len(terms) < 2 or not any(terms):
        terms = leading_numbers(first_text(keywords.get("ENER_FIT")))[:3]
    return [tuple([*terms, 0.0][:3])] if len(terms) >= 2 and any(terms) else []
