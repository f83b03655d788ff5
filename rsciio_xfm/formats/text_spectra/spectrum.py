"""A spectrum as text, whatever its dialect, and what stands in its header."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from rsciio_xfm.core.dates import parse_datetime

_MOST_KEYWORDS = 2**12
_MOST_TIME = 1e9  # s

_NUMBER = re.compile(r"[+-]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eEdD][+-]?\d+)?", re.ASCII)
# Date as 11/10/2020, perhaps with a time.
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


def number(text: str) -> float | None:
    """Return the number that a text begins with, with a decimal comma or point."""
    found = _NUMBER.match(text.strip())
    if found is None:
        return None
    value = float(found[0].replace(",", ".").replace("D", "e").replace("d", "e"))
    return value if np.isfinite(value) else None


def leading_numbers(text: str) -> list[float]:
    """Return numbers that blanks divide, up to what is none."""
    values = []
    for word in text.replace("&", " ").split():
        value = number(word)
        if value is None:
            break
        values.append(value)
    return values


def sound_times(values: list[float]) -> list[float]:
    """Return times in s, or nothing if one of them cannot be any."""
    return values if all(0 <= v < _MOST_TIME for v in values) else []


def pairs_in(text: bytes, mark: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give what is before and behind a mark in each line that has it."""
    for line in text.splitlines():
        key, found, value = line.partition(mark)
        if found:
            yield key, value


def as_texts(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, Any]:
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


def first_text(value: Any) -> str:
    """Return the value of a keyword, the first one of several; nothing if there is none."""
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
