"""Which files of a folder are the pixels of a map, and where each of them lies."""

import fnmatch
import os
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.source import is_file
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.text_spectra import layout

_DIGITS = re.compile(r"(\d{1,18})", re.ASCII)
_MOST_FAMILIES = 2**10
NAMED = 5  # of several, in a message
_MOST_TEXT = 2**16  # bytes of a file that says the shape
_MOST_MISSING = 64  # pixels for each file
_LEAST_PIXELS = 2**10
_MOST_DIVIDED = 2**40


@dataclass
class Family:
    """Files whose names differ in their numbers only; a million of them are some megabytes.

    Attributes
    ----------
    parts
        What stands before, between and behind the numbers.
    numbers, widths
        The numbers of all names one after the other, and how many digits each has.
    """

    parts: tuple[str, ...]
    numbers: array = field(default_factory=lambda: array("q"))
    widths: array = field(default_factory=lambda: array("B"))

    @property
    def pattern(self) -> str:
        """The names, with an asterisk for each number."""
        return "*".join(self.parts)

    @property
    def n_numbers(self) -> int:
        """How many a name has."""
        return len(self.parts) - 1

    def __len__(self) -> int:
        return len(self.numbers) // self.n_numbers if self.n_numbers else 1

    @cached_property
    def table(self) -> np.ndarray:
        """The numbers, (files, numbers)."""
        return np.frombuffer(self.numbers, np.int64).reshape(-1, self.n_numbers)

    @cached_property
    def varying(self) -> list[int]:
        """Which of the numbers are not the same in all names."""
        return [i for i in range(self.n_numbers) if np.ptp(self.table[:, i])]

    def name(self, i: int) -> str:
        """Return the name of a file, by its number in the table."""
        at = i * self.n_numbers
        own = slice(at, at + self.n_numbers)
        return self._join(self.numbers[own], self.widths[own])

    def name_of(self, numbers: Iterable[int]) -> str:
        """Return what a file would be called that has other numbers; for messages."""
        return self._join(numbers, self._padding)

    def _join(self, numbers: Iterable[int], widths: Iterable[int]) -> str:
        digits = map("{:0{}d}".format, numbers, widths)
        pairs = zip(digits, self.parts[1:], strict=True)
        return self.parts[0] + "".join(a + b for a, b in pairs)

    @cached_property
    def _padding(self) -> list[int]:
        """How many digits each number has at least: that of one with zeros before it."""
        widths = np.frombuffer(self.widths, np.uint8).reshape(-1, self.n_numbers)
        least = np.maximum(self.table, 1)
        is_padded = (widths > 1) & (least < 10.0 ** (widths - 1.0))
        return np.where(is_padded, widths, 1).max(axis=0).tolist()


def find_files(folder: Path, pattern: str | None) -> Family:
    """Find the spectra of a folder.

    Parameters
    ----------
    folder
        Where they are; what is in folders below is not looked at.
    pattern
        Of their names, as of a shell; None takes all that can be spectra.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        There are none, or several families of them.

    Warns
    -----
    UserWarning
        Single files beside them are left out.
    """
    families: dict[tuple[str, ...], Family] = {}
    for name in _names(folder, pattern):
        pieces = _DIGITS.split(name)
        parts = tuple(pieces[::2])
        family = families.get(parts)
        if family is None:
            family = families[parts] = Family(parts)
            if len(families) > _MOST_FAMILIES:
                raise FileFormatError(
                    f"{folder}: the names of its files differ in more than numbers, as "
                    f"{_join(f.pattern for f in families.values())}, expected those of one "
                    f"map (in the folder). {_ADVICE}"
                )
        digits = pieces[1::2]
        family.numbers.extend(map(int, digits))
        family.widths.extend(map(len, digits))
    return _choose(folder, [*families.values()], pattern)


_ADVICE = "Choose them by pattern=, or --pattern on the command line."


def _names(folder: Path, pattern: str | None) -> Iterator[str]:
    """Yield the names of files, as the folder has them."""
    left_out = {layout.SHAPE_FILE.lower(), layout.CONFIG_FILE}
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if pattern is not None:
                is_wanted = fnmatch.fnmatch(name, pattern)
            else:
                low = name.lower()
                is_wanted = low.endswith(layout.EXTENSIONS) and low not in left_out
            if is_wanted and is_file(entry):
                yield name


def _choose(folder: Path, families: list[Family], pattern: str | None) -> Family:
    """Return the one family that has several files, or the only one."""
    if not families:
        what = (
            f"files {pattern}" if pattern else f"files *{', *'.join(layout.EXTENSIONS)}"
        )
        raise FileFormatError(
            f"{folder}: the folder has no {what}, expected spectra, one file a pixel."
        )
    large = [f for f in families if len(f) > 1] or families
    if len(large) > 1:
        large.sort(key=len, reverse=True)
        found = _join(f"{f.pattern} ({len(f)} files)" for f in large)
        raise FileFormatError(
            f"{folder}: the folder has spectra of several kinds, {found}, expected those of "
            f"one map. {_ADVICE}"
        )
    others = [f.name(0) for f in families if f is not large[0]]
    if others:
        warn(f"{folder}: {_join(others)} left out: the map is of {large[0].pattern}.")
    return large[0]


def _join(names: Iterable[Any], most: int = NAMED) -> str:
    """Return the first of some names, and how many more there are."""
    every = [str(name) for name in names]
    return ", ".join(every[:most]) + and_more(len(every) - most)


def and_more(n: int) -> str:
    """Say behind some names how many there are beside them, if there are any."""
    return f" and {n} more" if n > 0 else ""


# The map --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grid:
    """Which file is which pixel.

    Attributes
    ----------
    shape
        Rows and columns.
    files
        int64, (pixels,) row by row: number of the file in the family, -1 where it is missing.
    """

    shape: tuple[int, int]
    files: np.ndarray


@dataclass(frozen=True)
class Wanted:
    """What is said of a map.

    Attributes
    ----------
    shape
        Rows and columns; None if nobody says.
    is_snake
        Whether every other row was measured backwards.
    is_unfinished
        Whether pixels may be missing at the end.
    """

    shape: tuple[int, int] | None
    is_snake: bool = False
    is_unfinished: bool = False


def read_shape(folder: Path) -> Wanted:
    """Return what XISMuS' files in a folder say of the map."""
    found: dict[str, str] = {}
    for name in (layout.SHAPE_FILE, layout.CONFIG_FILE):
        for line in _lines_of(folder / name):
            key, *rest = re.split(r"[\s=:]+", line.strip().lower(), maxsplit=1)
            found.setdefault(key.replace("-", "").replace("_", ""), "".join(rest))
    sizes = [_size(found.get(name, "")) for name in (layout.ROWS, layout.COLUMNS)]
    shape = None if None in sizes else tuple(sizes)
    is_snake = any(found.get(name) in ("true", "1", "yes", "on") for name in layout.SNAKE)
    return Wanted(shape, is_snake)  # type: ignore[arg-type]


def _lines_of(path: Path) -> list[str]:
    try:
        with open(path, encoding="latin-1") as file:
            return file.read(_MOST_TEXT).splitlines()
    except OSError:
        return []


def _size(text: str) -> int | None:
    found = re.match(r"\d{1,9}", text.strip(), re.ASCII)
    return int(found[0]) or None if found else None


def place(folder: Path, family: Family, wanted: Wanted) -> Grid:
    """Tell which file is which pixel.

    Raises
    ------
    ValueError
        The shape does not fit the files, or is not known.

    Warns
    -----
    UserWarning
        Numbers are missing.
    """
    rows_and_columns = _find_grid(family)
    if rows_and_columns is not None:
        grid = _place_by_two(folder, family, rows_and_columns, wanted)
    else:
        grid = _place_by_one(folder, family, wanted)
    height, width = grid.shape
    if wanted.is_snake:
        rows = grid.files.reshape(height, width)
        rows[1::2] = rows[1::2, ::-1].copy()
    return grid


def _find_grid(family: Family) -> tuple[int, int] | None:
    """Return which two numbers are row and column; None if one tells all files apart."""
    varying = family.varying
    if len(varying) != 2 or _find_counter(family) is not None:
        return None
    return varying[0], varying[1]


def _find_counter(family: Family) -> int | None:
    """Return the number that differs from file to file, that with the fewest gaps."""
    n = len(family)
    spans = {
        i: int(np.ptp(family.table[:, i]))
        for i in family.varying
        if np.unique(family.table[:, i]).size == n
    }
    return min(spans, key=lambda i: (spans[i], i)) if spans else None


def _place_by_two(
    folder: Path, family: Family, columns: tuple[int, int], wanted: Wanted
) -> Grid:
    """Place files whose names have row and column."""
    numbers = family.table[:, list(columns)]
    first = numbers.min(axis=0)
    y, x = (numbers - first).T
    shape = (int(y.max()) + 1, int(x.max()) + 1)
    if wanted.shape is not None and wanted.shape != shape:
        raise ValueError(
            f"{folder}: the shape is {_as_text(wanted.shape)}, expected {_as_text(shape)}: in "
            f"the names {family.pattern} are rows {first[0]} to {first[0] + shape[0] - 1} and "
            f"columns {first[1]} to {first[1] + shape[1] - 1}. {_ADVICE}"
        )
    if _is_empty(shape, len(family)):
        raise ValueError(
            f"{folder}: the names {family.pattern} have two numbers, which would be those of "
            f"{_as_text(shape)} pixels, and there are {len(family)} files, expected as many. "
            f"{_ADVICE}"
        )
    files = np.full(shape, -1, np.int64)
    files[y, x] = np.arange(len(family))
    missing = np.argwhere(files < 0)
    others = family.table[0].copy()

    def name(at: np.ndarray) -> str:
        others[list(columns)] = at + first
        return family.name_of(others.tolist())

    _warn_of_missing(folder, [name(at) for at in missing[:NAMED]], len(missing))
    return Grid(shape, files.ravel())


def _place_by_one(folder: Path, family: Family, wanted: Wanted) -> Grid:
    """Place files whose names have a counter."""
    n = len(family)
    counter = _find_counter(family)
    if counter is None and n > 1:
        raise ValueError(
            f"{folder}: no number in the names {family.pattern} tells all of the {n} files "
            f"apart, nor do two, expected that of the pixel or of row and column. {_ADVICE}"
        )
    numbers = np.zeros(1, np.int64) if counter is None else family.table[:, counter]
    step = int(np.gcd.reduce(numbers - numbers.min())) or 1
    places = (numbers - numbers.min()) // step
    span = int(places.max()) + 1
    if wanted.shape is None:
        raise ValueError(
            f"{folder}: the folder has {_count(n, span)}, and nothing says of how many rows "
            f"and columns; possible are {_possible(span, n)}. Give navigation_shape=, or "
            "--shape on the command line."
        )
    n_pixels = wanted.shape[0] * wanted.shape[1]
    if step == 1 and numbers.min() > 1 and numbers.max() == n_pixels:
        # It counts from 1, and its first are missing.
        places, span = numbers - 1, n_pixels
    if span > n_pixels == n:  # the numbers are no counts
        places, span = np.argsort(np.argsort(numbers)), n
    is_short = span < n_pixels and not (
        wanted.is_unfinished and not _is_empty(wanted.shape, n)
    )
    if span > n_pixels or is_short:
        advice = " If the scan was stopped, say so: unfinished=True, or --unfinished."
        raise ValueError(
            f"{folder}: the shape is {_as_text(wanted.shape)}, {n_pixels} pixels, and the "
            f"folder has {_count(n, span)}, expected as many; possible are "
            f"{_possible(span, n)}.{advice if is_short else ''}"
        )
    files = np.full(n_pixels, -1, np.int64)
    files[places] = np.arange(n)
    missing = np.flatnonzero(files < 0)
    names: list[str] = []
    if counter is not None:
        base = int(numbers[0] - places[0] * step)
        others = family.table[0].tolist()
        for at in missing[:NAMED].tolist():
            others[counter] = base + at * step
            names.append(family.name_of(others))
    _warn_of_missing(folder, names, len(missing))
    return Grid(wanted.shape, files)


def _is_empty(shape: tuple[int, int], n_files: int) -> bool:
    """Tell whether nearly all pixels of a map would be missing."""
    return shape[0] * shape[1] > max(_LEAST_PIXELS, _MOST_MISSING * n_files)


def _warn_of_missing(folder: Path, names: list[str], n: int) -> None:
    if n:
        shown = ", ".join(names) + and_more(n - len(names))
        warn(f"{folder}: missing: {shown}. Their pixels are zeros without dead times.")


def _count(n: int, span: int) -> str:
    return f"{n} files" + (f" with numbers of {span}" if span != n else "")


def _as_text(shape: tuple[int, int]) -> str:
    """Return a shape as users write it, columns first."""
    return f"{shape[1]}x{shape[0]}"


def _possible(*sizes: int) -> str:
    """Return the shapes that so many pixels have, those most like a square first."""
    found = []
    for n in dict.fromkeys(n for n in sizes if n < _MOST_DIVIDED):
        divisors = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
        for low in divisors[::-1]:
            pair = dict.fromkeys([(low, n // low), (n // low, low)])
            found += [_as_text(shape) for shape in pair]
    return _join(found, 8)


def check_shape(navigation_shape: Any) -> tuple[int, int] | None:
    """Return rows and columns of what a user gave, columns first.

    Raises
    ------
    ValueError
        It is no pair of sizes.
    """
    if navigation_shape is None:
        return None
    is_pair = isinstance(navigation_shape, tuple | list) and len(navigation_shape) == 2
    if not is_pair or not all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0
        for n in navigation_shape
    ):
        raise ValueError(
            f"navigation_shape is {navigation_shape!r:.40}, expected columns and rows, such "
            "as (40, 30)."
        )
    width, height = map(int, navigation_shape)
    return height, width
