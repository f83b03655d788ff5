"""From the command of a scan, or the positions of its motors, to the shape of a map."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rsciio_xfm.core.eds import build_axis, clean_units
from rsciio_xfm.core.warning import warn

_MOST_POINTS = 2**31
_MOST_EMPTY = 2**20  # points that may be missing, whatever was measured
_JITTER = 0.75  # of a step: positions further off the line are no axis
_NAMES = ("x", "y", "z")  # where the motor is not known


@dataclass(frozen=True)
class Planned:
    """An axis of a scan, as its command says.

    Attributes
    ----------
    motor
        Its name.
    start, step
        Of its positions; step is None if the command gives the end instead.
    end
        The last position; None if the command gives the step.
    n
        How many points there are; intervals if `is_intervals`.
    is_intervals
        None if the command does not tell.
    """

    motor: str
    start: float
    step: float | None
    end: float | None
    n: int
    is_intervals: bool | None

    def size(self, is_intervals: bool) -> int:
        """Return the number of points."""
        return self.n + 1 if is_intervals else self.n

    def line(self, size: int) -> tuple[float, float]:
        """Return offset and scale."""
        if self.step is not None:
            return self.start, self.step
        if self.end is None:
            raise ValueError(
                f"{self.motor} has no step and no end, expected one of them."
            )
        return self.start, (self.end - self.start) / max(1, size - 1)


@dataclass(frozen=True)
class Grid:
    """How the points of a scan, in the order of acquisition, lie in a map.

    Attributes
    ----------
    shape
        ``(y, x)``, or ``(x,)`` of a line; slowest first.
    n_points
        How many were measured and belong to it; the rest is not there.
    is_reversed
        bool, shape (y,): rows that were measured from their end.
    axes
        One dictionary for each axis, as :func:`rsciio_xfm.core.eds.build_axis` makes it.
    """

    shape: tuple[int, ...]
    n_points: int
    is_reversed: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    axes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def n_planned(self) -> int:
        """How many points the map has."""
        return math.prod(self.shape)

    def place(self, values: np.ndarray, fill: float = np.nan) -> np.ndarray:
        """Put values of the points to their places.

        Parameters
        ----------
        values
            First axis: points.
        fill
            For what was not measured; of integers, 0.

        Returns
        -------
        numpy.ndarray
            Shape of the map, and what further axes `values` has.
        """
        values = values[: self.n_points]
        fill = fill if values.dtype.kind in "fc" else 0
        full = np.full((self.n_planned, *values.shape[1:]), fill, dtype=values.dtype)
        full[: len(values)] = values
        placed = full.reshape(*self.shape, *values.shape[1:])
        if self.is_reversed.any():
            rows = placed[self.is_reversed]
            placed[self.is_reversed] = rows[:, ::-1]
        return placed


def parse_command(text: str) -> list[Planned]:
    """Read the axes of a scan from its command.

    Parameters
    ----------
    text
        As ``amesh sampy 0 1 10 sampz 0 1 10 0.1``.

    Returns
    -------
    list of Planned
        Slowest first; empty if the command is not known.

    Notes
    -----
    ``mesh``, ``amesh``, ``dmesh``, and ``npointflyscan`` of MAX IV: motor, start, end,
    intervals for each axis, the fastest one first. ``fscan2d``: motor, start, step, points,
    the slowest one first. ``ascan``, ``dscan``: a line, intervals; ``fscan``: a line, points.
    ``loopscan``, ``timescan``: points without a motor.

    Examples
    --------
    >>> [(axis.motor, axis.n) for axis in parse_command("amesh sy 0 1 10 sz 0 1 5 0.1")]
    [('sz', 5), ('sy', 10)]
    """
    words = re.findall(r"[^\s,()]+", text)
    if len(words) > 1 and words[0].isdecimal():  # the number of the scan
        words = words[1:]
    if not words:
        return []
    name, *rest = words
    name = name.lower().rsplit(".", 1)[-1]
    if re.fullmatch(r"(loop|time)scan\w*|ct", name):
        n = _whole(rest[0]) if name != "ct" and rest else 1
        return [] if n is None or n < 1 else [Planned("", 0.0, 1.0, None, n, False)]
    if re.fullmatch(r"[ad][2-9]scan", name):  # several motors at a time
        n_motors = int(name[1])
        rest = [*rest[:3], *rest[3 * n_motors : 3 * n_motors + 1]]
    groups = _groups(rest)
    is_fly = re.fullmatch(r"fscan(\dd)?", name) is not None
    is_mesh = name.endswith("mesh") or name == "npointflyscan"
    is_line = re.fullmatch(r"(a|d|a\d|d\d)scan(ct)?|lup", name) is not None
    if not is_fly and not is_mesh and len(groups) < 2 and not is_line:
        return []
    planned = []
    for motor, start, second, n in groups:
        if n < 0 or n > _MOST_POINTS or not all(map(math.isfinite, (start, second))):
            return []
        if is_fly:
            planned.append(Planned(motor, start, second, None, n, False))
        else:
            is_intervals = True if is_mesh or is_line else None
            planned.append(Planned(motor, start, None, second, n, is_intervals))
    return planned if is_fly else planned[::-1]


def _groups(words: list[str]) -> list[tuple[str, float, float, int]]:
    """Take groups of a name, two numbers and a whole one from the start of a list."""
    groups = []
    while len(words) >= 4 and _number(words[0]) is None:
        start, second, n = _number(words[1]), _number(words[2]), _whole(words[3])
        if start is None or second is None or n is None:
            break
        groups.append((words[0], start, second, n))
        words = words[4:]
    return groups


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _whole(word: str) -> int | None:
    value = _number(word)
    if value is None or not math.isfinite(value) or value != int(value):
        return None
    return int(value)


def make_grid(
    where: str,
    n_points: int,
    command: str = "",
    positions: Mapping[str, tuple[np.ndarray, str | None]] | None = None,
    planned: list[Planned] | None = None,
    is_zigzag: bool = False,
    navigation_shape: tuple[int, ...] | None = None,
) -> Grid:
    """Find the shape of a map that is stored point by point.

    Parameters
    ----------
    where
        Named in warnings: file and dataset.
    n_points
        How many were measured.
    command
        Of the scan.
    positions
        Of motors at each point, and their units.
    planned
        Axes that are known better than from the command; slowest first.
    is_zigzag
        Whether every other row is measured backwards, where no positions tell.
    navigation_shape
        Sizes, x first, if the user knows them.

    Returns
    -------
    Grid
        Of two axes at most, unless `navigation_shape` has more. A line where nothing tells.

    Raises
    ------
    ValueError
        `navigation_shape` is none.

    Warns
    -----
    UserWarning
        Points are missing (the scan was stopped), or there are more than planned.
    """
    found = _Positions({} if positions is None else positions, n_points)
    planned = planned or parse_command(command)
    if navigation_shape is not None:
        shape = _check_shape(navigation_shape)
        if not planned or _choose_sizes(planned, n_points) != shape:
            guessed, planned = _guess(found, n_points)
            planned = planned if guessed == shape else []
    elif planned:
        shape = _choose_sizes(planned, n_points)
    else:
        shape = ()
    if not shape:
        shape, planned = _guess(found, n_points)
    plan = f"the command {command!r:.60}"
    if navigation_shape is not None:
        plan = f"navigation_shape {navigation_shape}"
    shape, planned = _bound(where, shape, planned, n_points, plan)
    n_planned = math.prod(shape)
    if n_points < n_planned:
        warn(
            f"{where}: {n_points} of {n_planned} points are there: the scan was stopped, and "
            "the rest of the map is zeros without dead times."
        )
    elif n_points > n_planned:
        warn(
            f"{where}: {n_points} points are there, {n_planned} were planned "
            f"({plan}): those after them are left out."
        )
    n_points = min(n_points, n_planned)
    motors = [axis.motor for axis in planned] or [""] * len(shape)
    is_reversed = np.zeros(shape[0], dtype=bool)
    if len(shape) == 2:
        fast = found.get(motors[-1])
        is_reversed = _find_reversed(
            None if fast is None else fast[0][:n_points],
            shape,
            n_points,
            is_zigzag,
            planned[-1] if planned and planned[-1].motor else None,
        )
    grid = Grid(shape, n_points, is_reversed)
    axes = [
        _make_axis(grid, i, planned[i] if planned else None, found.get(motors[i]))
        for i in range(len(shape))
    ]
    return Grid(shape, n_points, is_reversed, axes)


class _Positions(Mapping[str, tuple[np.ndarray, str | None]]):
    """Positions of motors, as many as points; each is read when it is asked for."""

    def __init__(
        self, found: Mapping[str, tuple[np.ndarray, str | None]], n_points: int
    ) -> None:
        self._found, self._n_points = found, n_points

    def __getitem__(self, name: str) -> tuple[np.ndarray, str | None]:
        values, units = self._found[name]
        values = np.asarray(values, dtype=float).ravel()[: self._n_points]
        # Of a scan that was stopped, positions may be fewer than spectra.
        n_missing = self._n_points - len(values)
        return np.pad(values, (0, n_missing), constant_values=np.nan), units

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def _make_axis(
    grid: Grid,
    i: int,
    planned: Planned | None,
    position: tuple[np.ndarray, str | None] | None,
) -> dict[str, Any]:
    """Describe an axis of a grid by where its motor was, or else where it should have been."""
    size, place = grid.shape[i], len(grid.shape) - 1 - i
    name = planned.motor if planned is not None else ""
    fallback = _NAMES[place] if place < len(_NAMES) else f"axis{i}"
    axis = build_axis(name or fallback, size, None, None)
    line = _measured_line(grid, i, position)
    if line is None and planned is not None and name:
        line = planned.line(size)
    if line is not None and math.isfinite(line[1]) and line[1] != 0:
        units = None if position is None else clean_units(position[1])
        axis |= {"offset": float(line[0]), "scale": float(line[1]), "units": units}
    return axis


def _bound(
    where: str,
    shape: tuple[int, ...],
    planned: list[Planned],
    n_points: int,
    plan: str,
) -> tuple[tuple[int, ...], list[Planned]]:
    """Bound a map by what was measured of it: nobody needs zeros out of proportion."""
    if len(shape) == 1 and n_points > shape[0]:
        return (n_points,), planned  # a line goes on
    most = max(_MOST_EMPTY, 4 * n_points)
    if math.prod(shape) <= most:
        return shape, planned
    n_fast = math.prod(shape[1:])
    n_rows = -(-n_points // n_fast)
    if len(shape) > 1 and n_rows * n_fast <= most:
        warn(
            f"{where}: {n_points} points are there, {math.prod(shape)} were planned "
            f"({plan}): {shape[0] - n_rows} rows that were not begun are left out."
        )
        return (n_rows, *shape[1:]), planned
    warn(
        f"{where}: {plan} is of {math.prod(shape)} points and {n_points} are there: it is not "
        "used, the points are a line."
    )
    return (n_points,), []


def _check_shape(navigation_shape: tuple[int, ...]) -> tuple[int, ...]:
    shape = tuple(navigation_shape)[::-1] if np.iterable(navigation_shape) else ()
    is_whole = all(isinstance(n, int | np.integer) and n > 0 for n in shape)
    if not shape or not is_whole:
        raise ValueError(
            f"navigation_shape is {navigation_shape!r}, expected sizes of at least 1, x first."
        )
    return tuple(int(n) for n in shape)


def _choose_sizes(planned: list[Planned], n_points: int) -> tuple[int, ...]:
    """Return the sizes of the axes; () if it is open whether they are intervals."""
    known = [axis.is_intervals for axis in planned]
    for is_intervals in (True, False):
        sizes = tuple(axis.size(is_intervals) for axis in planned)
        if set(known) == {is_intervals}:
            return sizes if min(sizes) > 0 else ()
        if math.prod(sizes) == n_points and set(known) == {None}:
            return sizes
    return ()


def _guess(
    positions: Mapping[str, tuple[np.ndarray, str | None]], n_points: int
) -> tuple[tuple[int, ...], list[Planned]]:
    """Find two motors that make a grid, by how their positions change; else a line."""
    moving = {
        name: values[:n_points]
        for name, (values, _) in positions.items()
        if np.isfinite(values[:n_points]).all() and np.ptp(values[:n_points]) > 0
    }
    for slow, values in moving.items():
        n_fast = _find_period(values)
        if n_fast is None:
            continue
        n_rows = -(-n_points // n_fast)
        for fast, others in moving.items():
            if fast != slow and _covers(others, n_fast):
                # Steps of 0: only their positions tell.
                planned = [
                    Planned(slow, 0.0, 0.0, None, n_rows, False),
                    Planned(fast, 0.0, 0.0, None, n_fast, False),
                ]
                return (n_rows, n_fast), planned
    if len(moving) == 1:
        (name,) = moving
        return (n_points,), [Planned(name, 0.0, 0.0, None, n_points, False)]
    return (n_points,), []


def _find_period(values: np.ndarray) -> int | None:
    """Return after how many points a motor jumps, if it hardly moves between."""
    steps = np.abs(np.diff(values))
    jumps = np.flatnonzero(steps > 0.5 * steps.max()) + 1
    n_fast = int(jumps[0])
    if n_fast < 2 or (np.diff(jumps) != n_fast).any() or len(values) - jumps[-1] > n_fast:
        return None
    rows = np.split(values, jumps)
    within = max(np.ptp(row) for row in rows)
    return n_fast if within < 0.3 * steps[jumps - 1].min() else None


def _covers(values: np.ndarray, n_fast: int) -> bool:
    """Tell whether a motor goes all of its way in each row."""
    n_rows = len(values) // n_fast
    rows = values[: n_rows * n_fast].reshape(n_rows, n_fast)
    way = np.abs(rows[:, -1] - rows[:, 0])
    return bool((way > 0.5 * np.ptp(rows)).all())


def _find_reversed(
    fast: np.ndarray | None,
    shape: tuple[int, ...],
    n_points: int,
    is_zigzag: bool,
    planned: Planned | None,
) -> np.ndarray:
    """Tell which rows were measured in the direction opposite to that of the others."""
    n_rows, n_fast = shape
    is_reversed = np.zeros(n_rows, dtype=bool)
    if n_fast == 1 or n_points <= n_fast:
        return is_reversed
    known = 0 if fast is None else int(np.isfinite(fast[:n_points]).cumprod().sum())
    n_whole, rest = divmod(known, n_fast)
    rows = np.empty((0, n_fast)) if fast is None else fast[: n_whole * n_fast]
    rows = rows.reshape(n_whole, n_fast)
    # Of most steps: one reading may be wrong.
    direction = np.sign(np.median(np.diff(rows, axis=1), axis=1))
    if not direction.any():
        return np.arange(n_rows) % 2 == 1 if is_zigzag else is_reversed
    forward = direction[direction != 0][0]
    if len(set(direction.tolist())) > 1 and planned is not None:
        forward = np.sign(planned.line(n_fast)[1]) or forward
    is_reversed[:n_whole] = direction == -forward
    if fast is not None and rest and n_whole < n_rows:
        # A row that has just begun: where the others begin, or where they end.
        ahead = np.where(direction[:, None] == -forward, rows[:, ::-1], rows)
        first, last = np.median(ahead[:, 0]), np.median(ahead[:, -1])
        start = fast[n_whole * n_fast]
        is_reversed[n_whole] = abs(start - last) < abs(start - first)
    return is_reversed


def _measured_line(
    grid: Grid, i: int, position: tuple[np.ndarray, str | None] | None
) -> tuple[float, float] | None:
    """Return offset and scale of an axis from the positions of its motor."""
    size = grid.shape[i]
    if position is None or size < 2 or grid.n_points < 2:
        return None
    return fit_line(grid.place(position[0][: grid.n_points]), i)


def fit_line(placed: np.ndarray, i: int) -> tuple[float, float] | None:
    """Return offset and scale of the line along which positions are.

    Parameters
    ----------
    placed
        Position of each pixel, NaN where it is not known.
    i
        The axis along which they change; of the others, the mean is taken.

    Returns
    -------
    tuple of float or None
        None if there is none, or positions are off it by most of a step.
    """
    others = tuple(axis for axis in range(placed.ndim) if axis != i)
    count = np.isfinite(placed).sum(axis=others)
    index = np.flatnonzero(count)
    if len(index) < 2:
        return None
    means = np.nansum(placed, axis=others)[index] / count[index]
    scale, offset = np.polyfit(index, means, 1)
    off = np.abs(offset + scale * index - means).max()
    if not np.isfinite(off) or off > _JITTER * abs(scale):
        return None
    # Rounding of what was even before.
    return float(np.round(offset, 12)), float(np.round(scale, 12))
