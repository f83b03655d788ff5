"""Counts of elements in a spectrum, a map or a region of it, as a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rsciio_xfm.analysis.fit.basis import BACKGROUND, ELEMENT
from rsciio_xfm.core.eds import ELEMENTS

NOT_DETECTED, POSSIBLE = "not detected", "possible"
NO_NUMBER = "NaN in the spectra"
IN_PART = "in a part of the map"


@dataclass(frozen=True, eq=False)
class Areas(Mapping[str, tuple[float, float]]):
    """Counts of the components of a spectrum, a map or a region: name -> (counts, sigma).

    Attributes
    ----------
    names
        Of the components: ``"Fe_K"``.
    counts, sigma
        float64, of each: counts of all lines of the group (peak, tail and shelf, without
        escape peaks), and their standard deviation.
    limits
        Detection limits, counts, 3.29 times the sigma that an element has that is not there.
    n_pixels
        Spectra that were added up.
    notes
        What is to be said of some components, by name.
    others
        Components that are no elements: of these it is not said that they are not there.

    Examples
    --------
    >>> Areas(("Fe_K",), np.array([900.0]), np.array([35.0]), np.array([60.0]), 12)
          counts sigma limit
    Fe_K     900    35    60
    """

    names: tuple[str, ...]
    counts: np.ndarray
    sigma: np.ndarray
    limits: np.ndarray
    n_pixels: int
    notes: Mapping[str, str] = field(default_factory=dict)
    others: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> tuple[float, float]:
        k = index_of(name, self.names)
        return float(self.counts[k]), float(self.sigma[k])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def is_detected(self, name: str) -> bool:
        """Tell whether there are more counts of a component than its detection limit."""
        k = index_of(name, self.names)
        return bool(self.counts[k] > self.limits[k])

    def note(self, name: str) -> str:
        """Return what is to be said of a component; empty if nothing."""
        is_fine = name in self.others or self.is_detected(name)
        is_known = bool(np.isfinite(self.counts[index_of(name, self.names)]))
        said = self.notes.get(name, "")
        absent = f"{NOT_DETECTED} in the sum" if IN_PART in said else NOT_DETECTED
        absent = absent if is_known else NO_NUMBER
        return "; ".join([absent] * (not is_fine) + [said] * bool(said))

    def __repr__(self) -> str:
        rows = [["", "counts", "sigma", "limit", ""]]
        for name, *numbers in zip(
            self.names, self.counts, self.sigma, self.limits, strict=True
        ):
            rows.append([name, *map(show, numbers), self.note(name)])
        return as_table(rows)


def index_of(name: str, names: Sequence[str]) -> int:
    """Return the place of a component among others: ``"Fe_K"``, or ``"Fe"`` for its first.

    Raises
    ------
    KeyError
        There is none; the names that there are are listed.

    Examples
    --------
    >>> index_of("Pb", ("Fe_K", "Pb_L"))
    1
    """
    if name in names:
        return names.index(name)
    for k, own in enumerate(names):
        if own.partition("_")[0] == name and "_" in own:
            return k
    raise KeyError(f"{name!r} is not fitted, expected one of {', '.join(names)}.")


def group_of(line: str, names: Sequence[str]) -> str:
    """Return the component that has a line, or is named as of :func:`index_of`.

    Raises
    ------
    KeyError
        As of :func:`index_of`.

    Examples
    --------
    >>> group_of("Pb_La", ("Fe_K", "Pb_L", "Pb_M")), group_of("Fe", ("Fe_K", "Pb_L"))
    ('Pb_L', 'Fe_K')
    """
    has_line = (name for name in names if "_" in name and line.startswith(name))
    return next(has_line, None) or names[index_of(line, names)]


def order_of(names: Sequence[str], kinds: Sequence[str]) -> list[int]:
    """Return the places of all components but the background: elements first, by their number.

    Examples
    --------
    >>> order_of(("Fe_K", "Ca+Ca", "Ca_K"), ("element", "sum peak", "element"))
    [2, 0, 1]
    """
    shown = [k for k, kind in enumerate(kinds) if kind != BACKGROUND]

    def rank(k: int) -> tuple[bool, int, str]:
        element, _, shell = names[k].partition("_")
        is_element = kinds[k] == ELEMENT and element in ELEMENTS
        return (
            not is_element,
            ELEMENTS.index(element) if is_element else 0,
            shell * is_element,
        )

    return sorted(shown, key=rank)


def show(number: float) -> str:
    """Return a number of counts as text, thousands apart.

    Examples
    --------
    >>> show(1234567.8), show(0.034)
    ('1 234 568', '0.034')
    """
    if not np.isfinite(number):
        return "-"
    if number and abs(number) < 10:
        return f"{number:.2g}"
    return f"{number:,.0f}".replace(",", " ")


def as_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text: names to the left, numbers to the right, remarks after them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *middle, last in rows:
        cells = [
            cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True)
        ]
        lines.append(" ".join([first.ljust(widths[0]), *cells, f" {last}"]).rstrip())
    return "\n".join(lines)
