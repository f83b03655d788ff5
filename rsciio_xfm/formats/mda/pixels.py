"""Where the pixels of a scan are, and what was counted and read at each."""

import itertools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.chunks import NO_CHUNK
from rsciio_xfm.core.eds import build_axis, clean_units
from rsciio_xfm.core.scan import fit_line
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.mda.layout import POSITION, VALUE
from rsciio_xfm.formats.mda.parse import File, Scan, Variable, check_positions, find_inner

_MOST_EMPTY = 2**20  # pixels that may be missing, whatever was measured
_NAMES = ("x", "y", "z")


@dataclass(frozen=True, eq=False)
class Rows:
    """Scans whose points are the pixels, the rows of a map, or its only one.

    Attributes
    ----------
    path
        Of the file.
    shape
        Of the map, slowest axis first; () of a single pixel.
    scans
        By the place of the row in the map; those that were begun.
    outer
        Scans around them, the outermost first, one for each slow axis.
    is_reversed
        Places of rows that were measured from their end.
    """

    path: Path
    shape: tuple[int, ...]
    scans: dict[tuple[int, ...], Scan]
    outer: list[dict[tuple[int, ...], Scan]]
    is_reversed: frozenset[tuple[int, ...]] = frozenset()

    @property
    def first(self) -> Scan:
        """Of the rows."""
        return next(iter(self.scans.values()))

    def put(self, place: tuple[int, ...], values: np.ndarray, into: np.ndarray) -> None:
        """Put values of the points of a row to their places in a map."""
        row = into[place] if self.shape else into.reshape(-1)
        if place in self.is_reversed:
            row = row[::-1]
        row[: len(values)] = values

    def places(self) -> np.ndarray:
        """Return where the scan of each pixel begins, `NO_CHUNK` for none."""
        found = np.full(self.shape, NO_CHUNK, dtype=np.int64)
        for place, scan in self.scans.items():
            inner = scan.inner[: scan.n_done]
            check_positions(self.path, scan, inner)
            self.put(place, np.where(inner > 0, inner, NO_CHUNK), found)
        check_positions(self.path, self.first, found[found != NO_CHUNK])
        return found

    def values(
        self, file: File, name: str, is_positioner: bool = False
    ) -> np.ndarray | None:
        """Return what was counted at each pixel, NaN where nothing was; None if never."""
        found = None
        for place, scan in self.scans.items():
            items = scan.positioners if is_positioner else scan.detectors
            i = next((i for i, item in enumerate(items) if item.name == name), None)
            if i is None:
                continue
            at = scan.position_at(i) if is_positioner else scan.value_at(i)
            dtype = POSITION if is_positioner else VALUE
            n = min(scan.n_done, (file.source.size - at) // dtype.itemsize)
            if n > 0:
                found = np.full(self.shape, np.nan) if found is None else found
                self.put(place, file.numbers(at, n, dtype), found)
        return found

    def axes(self, file: File) -> list[dict[str, Any]]:
        """Describe the axes by where the positioners were."""
        axes = []
        for i, size in enumerate(self.shape):
            is_fast = i == len(self.shape) - 1
            scans = self.scans if is_fast else self.outer[i]
            place = len(self.shape) - 1 - i
            label = _NAMES[place] if place < len(_NAMES) else f"axis{i}"
            axis = build_axis(label, size, None, None)
            for item in next(iter(scans.values())).positioners:
                found = self._positions(file, item, i)
                line = None if found is None else fit_line(found, i)
                if line is not None and line[1]:
                    units = clean_units(item.units)
                    axis |= {"offset": line[0], "scale": line[1], "units": units}
                    break
            else:
                self._warn_of_positions(file, i, label)
            axes.append(axis)
        return axes

    def _positions(self, file: File, item: Variable, i: int) -> np.ndarray | None:
        """Return positions along an axis, those of axes within it left out."""
        rows = self
        if i < len(self.shape) - 1:
            rows = Rows(self.path, self.shape[: i + 1], self.outer[i], [])
        return rows.values(file, item.name, is_positioner=True)

    def _warn_of_positions(self, file: File, i: int, label: str) -> None:
        """Say so if positioners moved, and not along a line."""
        scans = self.scans if i == len(self.shape) - 1 else self.outer[i]
        first = next(iter(scans.values()))
        for item in first.positioners:
            found = self._positions(file, item, i)
            known = np.empty(0) if found is None else found[np.isfinite(found)]
            if self.shape[i] > 2 and known.size > 2 and np.ptp(known) > 0:
                warn(
                    f"{self.path}: positions of {item.name} are not evenly spaced, expected "
                    f"an axis: {label} is counted in pixels (byte {first.data})."
                )
                return


def find_rows(path: Path, file: File, n_axes: int) -> Rows:
    """Find the scans whose points are the pixels.

    Parameters
    ----------
    path, file
        The file.
    n_axes
        Of the map; 0: the file is of a single pixel, whose scan is the outermost.

    Raises
    ------
    FileFormatError
        No pixel was measured; the map is nearly empty, and larger than anybody needs.
    """
    level: dict[tuple[int, ...], Scan] = {(): file.scan}
    outer = []
    for _ in range(n_axes - 1):
        outer.append(level)
        level = {
            (*place, i): inner
            for place, scan in level.items()
            for i, inner in enumerate(find_inner(file, scan))
            if inner is not None
        }
    n_there = sum(_n_there(scan) for scan in level.values())
    if not n_there and n_axes:
        raise FileFormatError(
            f"{path}: no point of the scan was measured, expected one at least (byte "
            f"{file.scan.at})."
        )
    shape = _shape(path, outer, level, n_there) if n_axes else ()
    level = {
        place: scan for place, scan in level.items() if place[:1] < shape[:1] or not place
    }
    _warn_of_missing(path, shape, level, n_there, file.scan.at)
    rows = Rows(path, shape, level, outer)
    return replace(rows, is_reversed=_find_reversed(file, rows))


def _n_there(scan: Scan) -> int:
    if not scan.inner.size:
        return scan.n_done
    return int((scan.inner[: scan.n_done] > 0).sum())


def _shape(
    path: Path,
    outer: list[dict[tuple[int, ...], Scan]],
    level: dict[tuple[int, ...], Scan],
    n_there: int,
) -> tuple[int, ...]:
    """Return the sizes of the map; rows that were not begun are left out of a huge one."""
    sizes = [max(scan.n_points for scan in scans.values()) for scans in (*outer, level)]
    n_all = math.prod(sizes)
    most = max(_MOST_EMPTY, 4 * n_there)
    if n_all > most and len(sizes) > 1:
        n_rows = max(place[0] for place in level) + 1
        warn(
            f"{path}: {n_there} points are there, {n_all} were planned: "
            f"{sizes[0] - n_rows} rows that were not begun are left out."
        )
        n_all, sizes[0] = n_all // sizes[0] * n_rows, n_rows
    if n_all > most:
        raise FileFormatError(
            f"{path}: {n_there} of {n_all} points are there, expected at least a fourth of "
            f"them (byte {next(iter(level.values())).at})."
        )
    return tuple(sizes)


def _warn_of_missing(
    path: Path,
    shape: tuple[int, ...],
    level: dict[tuple[int, ...], Scan],
    n_there: int,
    at: int,
) -> None:
    lengths = {scan.n_points for scan in level.values()}
    if len(lengths) > 1:
        warn(
            f"{path}: rows have {min(lengths)} to {max(lengths)} points, expected the same "
            f"(byte {at}): what shorter ones lack is zeros without dead times."
        )
    n_all = math.prod(shape)
    if n_there < n_all and len(lengths) == 1:
        warn(
            f"{path}: {n_there} of {n_all} points are there: the scan was stopped, and the "
            f"rest of the map is zeros without dead times (byte {at})."
        )


def _find_reversed(file: File, rows: Rows) -> frozenset[tuple[int, ...]]:
    """Return the rows in which the positioner moved the other way than in the first."""
    if len(rows.shape) < 2:
        return frozenset()
    directions = {}
    for place, scan in rows.scans.items():
        n = min(scan.n_done, (file.source.size - scan.data) // POSITION.itemsize)
        if scan.positioners and n > 1:
            steps = np.diff(file.numbers(scan.data, n, POSITION))
            directions[place] = float(np.sign(np.median(steps)))
    forward = next((sign for sign in directions.values() if sign), 1.0)
    return frozenset(place for place, sign in directions.items() if sign == -forward)


def drop_beyond(
    path: Path, places: np.ndarray, record_bytes: int, size: int
) -> np.ndarray:
    """Leave out records that are beyond the end of the file, and say how many."""
    is_beyond = places + record_bytes > size
    if is_beyond.any():
        warn(
            f"{path}: the file ends early: the spectra of {np.count_nonzero(is_beyond)} "
            f"points are missing, and are zeros without dead times (byte {size})."
        )
    return np.where(is_beyond, NO_CHUNK, places)


def first_record(rows: Rows, file: File, places: np.ndarray) -> int:
    """Return where the first record of a pixel begins."""
    known = places[(places != NO_CHUNK) & (places < file.source.size)]
    if not known.size:
        raise FileFormatError(
            f"{rows.path}: the file ends before the first spectrum, expected it (byte "
            f"{file.source.size})."
        )
    return int(known.min())


def unique_names(items: tuple[Variable, ...]) -> dict[str, int]:
    """Return the numbers of variables by name; of those that repeat, the first."""
    found: dict[str, int] = {}
    for i, item in enumerate(items):
        found.setdefault(item.name, i)
    return found


def count_all(rows: Rows, file: File) -> dict[str, np.ndarray]:
    """Return all that was counted at each pixel, by name, in the order of the first row."""
    names = dict.fromkeys(
        itertools.chain.from_iterable(
            (item.name for item in scan.detectors) for scan in rows.scans.values()
        )
    )
    found = {name: rows.values(file, name) for name in names}
    return {name or "unnamed": own for name, own in found.items() if own is not None}
