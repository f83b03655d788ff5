"""Dates and times as programs write them."""

import re
import unicodedata
from datetime import date, datetime, time
from typing import Any

# As files have them, whatever the user's language.
MONTHS = (
    "JAN",
    "FEB",
    "MAR",
    "APR",
    "MAY",
    "JUN",
    "JUL",
    "AUG",
    "SEP",
    "OCT",
    "NOV",
    "DEC",
)
# The first letters of months in German and French, where they are others than the English.
_FOREIGN = {
    "MRZ": 3,
    "MAE": 3,
    "MAI": 5,
    "OKT": 10,
    "DEZ": 12,
    "FEV": 2,
    "AVR": 4,
    "JUIN": 6,
    "JUIL": 7,
    "AOU": 8,
}
_YEAR_FIRST = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?=$|[T\s])")
_COMPACT = re.compile(r"((?:19|20)\d{2})(\d{2})(\d{2})(?=$|T)")
_BY_NAME = re.compile(r"(?:^|\s)(\d{1,2})\.?[-/\s]*([^\W\d_]{3,})\.?,?[-/\s]*(\d{4})\b")
_NAME_FIRST = re.compile(
    r"\b([^\W\d_]{3,})\.?\s+(\d{1,2}),?(?:\s+[\d:]{5,8})?\s+(\d{4})\b"
)
_WITH_DOTS = re.compile(r"^(\d{1,2})\.\s*(\d{1,2})\.\s*(\d{4})\b")
_WITH_SLASHES = re.compile(r"^(\d{1,2})[-/](\d{1,2})[-/](\d{4})\b")
_TIME = re.compile(
    r"(\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:[.,](\d+))?)?(?:\s*([AP])\.?M\.?)?(?:Z|[+-]\d{2}:\d{2})?",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"\d+:\d+(:\d+([.,]\d+)?)?")  # within a date


def parse_date(text: str) -> date | None:
    """Read a date in any form that has one reading.

    Parameters
    ----------
    text
        As ``12-MAR-2009``, ``2009-03-12``, ``2009/03/12``, ``12.03.2009``, ``12 March 2009``,
        ``12-Mrz-2009``, ``Mar 12, 2009``; with months in English, German or French.

    Returns
    -------
    datetime.date or None
        None if it is no date, or could be one of two, as ``03/12/2009``.
    """
    text = text.strip()
    try:
        return _parse_date(text)
    except ValueError:  # as of 31 February
        return None


def _parse_date(text: str) -> date | None:
    if found := _YEAR_FIRST.match(text) or _COMPACT.match(text):
        year, month, day = map(int, found.groups())
        return date(year, month, day)
    if found := _WITH_DOTS.match(text):
        day, month, year = map(int, found.groups())
        return date(year, month, day)
    if found := _WITH_SLASHES.match(text):
        return _without_order(*map(int, found.groups()))
    if found := _BY_NAME.search(text):
        day_text, name, year_text = found.groups()
    elif found := _NAME_FIRST.search(text):
        name, day_text, year_text = found.groups()
    else:
        return None
    month = _month(name)
    return None if month is None else date(int(year_text), month, int(day_text))


def _without_order(first: int, second: int, year: int) -> date | None:
    """Return the date if only one of day and month can be the month."""
    if first == second or first > 12:
        return date(year, second, first)
    return date(year, first, second) if second > 12 else None


def _month(name: str) -> int | None:
    plain = unicodedata.normalize("NFKD", name.upper()).encode("ascii", "ignore").decode()
    for length in (4, 3):
        if plain[:length] in _FOREIGN:
            return _FOREIGN[plain[:length]]
    return MONTHS.index(plain[:3]) + 1 if plain[:3] in MONTHS else None


def parse_time(text: str) -> time | None:
    """Read a time of the day, with seconds or without, of 24 hours or with AM and PM.

    Parameters
    ----------
    text
        As ``12:00``, ``12:00:30``, ``12:00:30.5``, ``1:05 PM``; the offset of a time zone
        behind it is left out.

    Returns
    -------
    datetime.time or None
        None if it is none.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, seconds, fraction, half = found.groups()
    hour = int(hours)
    if half is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in "Pp" else 0)
    microseconds = int((fraction or "0")[:6].ljust(6, "0"))
    try:
        return time(hour, int(minutes), int(seconds or 0), microseconds)
    except ValueError:
        return None


def parse_datetime(text: Any) -> datetime | None:
    """Read a date, and the time of the day if there is one, as SPEC, EDF or Bliss write it.

    Parameters
    ----------
    text
        As ``2024-03-05T12:30:00+01:00``, ``Thu Feb 10 12:30:00 2011`` or a date that
        :func:`parse_date` takes.

    Returns
    -------
    datetime.datetime or None
        None if it is none.
    """
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        pass
    day, clock = parse_date(text), _CLOCK.search(text)
    moment = time() if clock is None else parse_time(clock[0])
    return None if day is None or moment is None else datetime.combine(day, moment)


def format_date(day: date) -> str:
    """Return a date as MSA files have it, ``12-MAR-2009``."""
    return f"{day.day:02d}-{MONTHS[day.month - 1]}-{day.year:04d}"
