"""The parts of a map whose layout is known: files of a series, links of a master."""

from collections import Counter as Tally
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py

from rsciio_xfm.core.checks import is_whole
from rsciio_xfm.core.hdf5.links import Group, get, open_checked
from rsciio_xfm.core.hdf5.sizes import is_numeric
from rsciio_xfm.core.series import list_numbered
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.hdf5_maps.axes import POINT
from rsciio_xfm.formats.hdf5_maps.find import Found, Link
from rsciio_xfm.formats.hdf5_maps.layouts import FILES, PARTS
from rsciio_xfm.formats.hdf5_maps.match import match
from rsciio_xfm.formats.hdf5_maps.options import Options
from rsciio_xfm.formats.hdf5_maps.parts import (
    LEAST_TICKS,
    Part,
    Times,
    Whole,
    measure_part,
)
from rsciio_xfm.formats.hdf5_maps.series import find_rows

_SHOWN = 8
_MOST_GAP, _MOST_GAPS = 2**20, 100  # points that may be missing: at all, for each one


class _OtherFileError(FileFormatError):
    """A file is of something else."""


def collect(
    path: Path,
    found: Found,
    roles: tuple[str, ...],
    detectors: list[int | None],
    options: Options,
) -> list[Part | None]:
    """Measure all parts of a map: files of a series, links of a master, or the file alone."""

    def measure(one: Found, name: str) -> Part:
        _check_like(path, found, one, name)
        return measure_part(path, one, roles, detectors, name)

    layout = found.known.layout
    if found.rows:
        parts = [_follow(found, one, name, measure) for name, one in found.rows.items()]
        _warn_missing(path, found, [part is None for part in parts])
    elif options.series:
        if layout.rows not in (FILES, PARTS):
            raise FileFormatError(
                f"{path}: series is given, expected False for {found.name}: files of the "
                f"layout {layout.name} hold whole maps."
            )
        parts = []
        for file in find_rows(path, options.series):
            parts.append(
                None if file is None else _open(path, file, found, measure, options)
            )
    else:
        parts = [measure(found, path.name)]
        if layout.rows == PARTS and parts[0] is not None and parts[0].numbers:
            return _continue(path, found, parts[0], measure, options)
        if layout.rows == FILES and POINT in roles and options.navigation_shape is None:
            _tell_of_rows(path)
    if layout.rows == PARTS:
        return _in_sequence(path, parts)
    return parts


def _open(
    path: Path,
    file: Path,
    found: Found,
    measure: Callable[[Found, str], Part],
    options: Options,
) -> Part:
    """Measure another file of a series."""
    if file == path:
        return measure(found, path.name)
    with open_checked(file, None, options.allow_outside, options.advice) as root:
        dataset = get(root, found.name)
        if not isinstance(dataset, h5py.Dataset) or not is_numeric(dataset):
            raise _OtherFileError(
                f"{file}: {found.name} is not there, expected spectra as in {path}, whose "
                "row this file should be (byte 0, the whole file)."
            )
        way = found.name.rsplit("/", 1)
        parents = [get(root, way[0])] if len(way) > 1 else [root]
        one = Found(found.name, dataset, parents, None, found.layout, root)
        one.match = match(one) or found.known
        return measure(one, file.name)


def _check_like(path: Path, first: Found, one: Found, name: str) -> None:
    """Refuse parts of other detectors, channels or types."""
    shape, own = first.dataset.shape, one.dataset.shape
    roles = first.known.roles
    points = [i for i, role in enumerate(roles) if role in (POINT, "y")]
    alike = len(shape) == len(own) and all(
        a == b or i in points for i, (a, b) in enumerate(zip(shape, own, strict=True))
    )
    if not alike or first.dataset.dtype != one.dataset.dtype:
        raise FileFormatError(
            f"{path}: {first.name} of {name} is {own} of {one.dataset.dtype}, expected as in "
            f"the first part {shape} of {first.dataset.dtype}, but for the points (byte "
            f"{h5py.h5o.get_info(one.dataset.id).addr})."
        )
    if 0 in own:
        raise FileFormatError(
            f"{path}: {one.name} of {name} is {own}, expected no axis of 0 (byte "
            f"{h5py.h5o.get_info(one.dataset.id).addr})."
        )


def _follow(
    first: Found,
    one: Found | Link | None,
    name: str,
    measure: Callable[[Found, str], Part],
) -> Part | None:
    """Measure a row that a master links to, whose file may have to be opened."""
    if not isinstance(one, Link):
        return None if one is None else measure(one, name)
    with one.group.linked_briefly(one.name) as item:
        dataset = get(item, one.path) if isinstance(item, Group) else None
        if not isinstance(dataset, h5py.Dataset) or not is_numeric(dataset):
            return None
        parents = [dataset.parent]
        own = Found(first.name, dataset, parents, None, first.layout, first.root)
        own.match = first.match
        return measure(own, name)


def _warn_missing(path: Path, found: Found, is_gone: list[bool]) -> None:
    gone = [name for name, gone in zip(found.rows, is_gone, strict=True) if gone]
    if gone:
        warn(
            f"{path}: {len(gone)} of {len(found.rows)} parts of {found.layout} are not there: "
            f"{', '.join(gone[:_SHOWN])}{' ...' if len(gone) > _SHOWN else ''}. They are "
            "zeros without dead times."
        )


def _tell_of_rows(path: Path) -> None:
    """Say that files beside one that is a line may be rows of a map."""
    others = list_numbered(path)
    if len(others) > 1:
        warn(
            f"{path}: the spectra are a line, and the names of {len(others)} files differ in "
            "the last number only. If they are rows of one map, series=True reads it; if this "
            "is a whole map, navigation_shape=(x, y) gives its shape."
        )


def _continue(
    path: Path,
    found: Found,
    own: Part,
    measure: Callable[[Found, str], Part],
    options: Options,
) -> list[Part | None]:
    """Find the other parts of a scan, if the numbers of their points say that they are."""
    parts: list[Part | None] = []
    last = 0
    for file in list_numbered(path).values():
        try:
            part = own if file == path else _open(path, file, found, measure, options)
        except _OtherFileError:
            return [own]
        except (FileFormatError, OSError) as exc:
            warn(
                f"{path}: {file.name} beside it may hold more points of the scan, and cannot "
                f"be read with it: only the points of this file are read. {exc}"
            )
            return [own]
        if part.numbers is None or part.numbers[0] <= last:
            return [own]
        parts.append(part)
        last = part.numbers[1]
    return _in_sequence(path, parts or [own])


def _in_sequence(path: Path, parts: list[Part | None]) -> list[Part | None]:
    """Leave room for points whose numbers are missing, if points have numbers."""
    there = [part for part in parts if part is not None]
    if not all(part.numbers for part in there):
        return parts
    found: list[Part | None] = []
    last, n_missing, n_there = 0, 0, sum(part.size for part in there)
    for part in there:
        first, end = part.numbers or (0, 0)
        gap = first - 1 - last
        if gap < 0 or gap > max(_MOST_GAP, _MOST_GAPS * n_there):
            raise FileFormatError(
                f"{path}: the points of {part.name} are numbered {first} to {end}, expected "
                f"numbers from {last + 1} on, as {n_there} points are there (byte unknown)."
            )
        if gap:
            n_missing += gap
            times: list[Times] = [{} for _ in part.times]
            found.append(replace(part, times=times, start=0, stop=0, size=gap))
        found.append(part)
        last = end
    if n_missing:
        warn(
            f"{path}: {n_missing} points are in none of {len(there)} files, by their numbers: "
            "they are zeros without dead times."
        )
    return found


def make_rows(
    where: str, parts: list[Part | None], shape: tuple[int, ...] | None
) -> Whole:
    """Make parts as wide as most of them are; say which are not."""
    there = [part for part in parts if part is not None]
    sizes = Tally(part.size for part in there)
    width = max(sizes, key=lambda size: (sizes[size], size))
    if (
        shape is not None
        and len(shape) == 2
        and all(is_whole(n) and n > 0 for n in shape)
    ):
        width, n_rows = (int(n) for n in shape)
        if n_rows < len(parts):
            warn(
                f"{where}: {len(parts)} rows are there, navigation_shape {shape} has "
                f"{n_rows}: those after them are left out."
            )
        parts = [*parts[:n_rows], *[None] * (n_rows - len(parts))]
        there = [part for part in parts if part is not None]
    _warn_of_lengths(where, there, width)
    wide: list[Part | None] = []
    for part in parts:
        stop = 0 if part is None else min(part.stop, part.start + width)
        wide.append(None if part is None else replace(part, size=width, stop=stop))
    return Whole(wide, width)


def _warn_of_lengths(where: str, parts: list[Part], width: int) -> None:
    """Say which rows begin with a frame that was not measured, are short, or long."""
    kinds: dict[str, list[str]] = {
        f"begin with a frame of fewer than {LEAST_TICKS} ticks of the clock, which is left "
        "out": [p.name for p in parts if p.start],
        f"have fewer than {width} points: the rest of them are zeros without dead times": [
            p.name for p in parts if p.stop - p.start < width
        ],
        f"have more than {width} points: those after them are left out": [
            p.name for p in parts if p.stop - p.start > width
        ],
    }
    for text, names in kinds.items():
        if names:
            shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
            warn(f"{where}: {len(names)} of {len(parts)} rows {text} ({shown}).")


def check_alike(where: str, whole: Whole) -> None:
    """Refuse a series with gaps if its files have several rows: they may differ in number."""
    if any(part is None for part in whole.parts) and whole.first.size > 1:
        raise FileFormatError(
            f"{where}: files of {whole.first.size} rows are a series and some are missing, "
            "expected all (names of the files)."
        )
