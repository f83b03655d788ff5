"""To which point and detector of a scan each spectrum belongs."""

from dataclasses import dataclass

import numpy as np

from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.formats.spec.index import Index

_MOST_DETECTORS = 1024  # a signal for each
USUAL_MARK = "A"


@dataclass(frozen=True)
class Ordered:
    """The spectra of one detector in a scan.

    Attributes
    ----------
    mark
        What stands behind the ``@``; "" if the spectrum does.
    starts, stops
        int64, shape (points,): bytes of their text; -1 for what is not there.
    n_channels
        Of each.
    """

    mark: str
    starts: np.ndarray
    stops: np.ndarray
    n_channels: int


def order_spectra(
    where: str,
    index: Index,
    own: slice,
    n_lines: int,
    size: int,
    n_planned: float | None = None,
) -> list[Ordered]:
    """Put the spectra of a scan in order, by the lines of counters between them.

    Parameters
    ----------
    where
        Named in messages.
    index, own
        Of the file, and which spectra are those of the scan.
    n_lines
        How many lines of counters the scan has.
    size
        Of the file in bytes.
    n_planned
        Channels of a spectrum, as the header of the scan says.

    Returns
    -------
    list of Ordered
        One for each detector: spectra of a point are of several detectors if their marks
        differ, or if there are several of one mark, in their order.

    Raises
    ------
    CorruptFileError
        Spectra of a detector differ in their channels, or points in their detectors.

    Warns
    -----
    UserWarning
        The file ends within a spectrum; a point lacks spectra; some belong to no point.
    """
    own = _belonging(where, index, own, n_lines)
    points, n_points = _points(index.lines[own], n_lines)
    names, marks, starts, sizes = _settle_marks(index, own, points, n_planned)
    stops = index.stops[own]
    is_open = stops == size  # the file ends within its line
    is_cut = is_open & (index.cut_in == "spectrum")
    usual = _usual_size(where, sizes, starts, is_open, is_cut, size)
    detectors = _detectors(where, names, marks, starts, points, n_points)
    ordered = []
    for number in range(int(detectors.max()) + 1):
        mine = np.flatnonzero(detectors == number)
        n_channels = _check_sizes(where, sizes[mine], starts[mine], is_open[mine], usual)
        is_whole = (sizes[mine] == n_channels) & ~is_cut[mine]
        _warn_of_cut(where, starts[mine][~is_whole])
        kept = mine[is_whole]
        placed = [np.full(n_points, -1, dtype=np.int64) for _ in range(2)]
        for values, target in zip((starts, stops), placed, strict=True):
            target[points[kept]] = values[kept]
        ordered.append(Ordered(names[marks[mine[0]]], placed[0], placed[1], n_channels))
    return ordered


def _settle_marks(
    index: Index, own: slice, points: np.ndarray, n_planned: float | None
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray]:
    """Tell of numbers behind an ``@`` whether they are detectors, or counts of channel 0.

    They are detectors if the header says one channel less than there are numbers, or, where
    it says nothing, if they go up by 1 in the same way at each of several points.

    Returns
    -------
    names : tuple of str
        As of the index, and "" for a mark that is part of its spectrum.
    marks, starts, sizes : numpy.ndarray
        int64, of each spectrum: number of its mark in `names`, byte at which it begins, and
        how many channels it has.
    """
    names, marks = (*index.names, ""), index.marks[own].copy()
    starts, sizes = index.starts[own].copy(), index.n_channels[own].copy()
    is_number = np.array([is_count(name) for name in names])[marks]
    if not is_number.any():
        return names, marks, starts, sizes
    are_detectors = is_number.all() and (
        _counts_up([names[mark] for mark in marks], points)
        if n_planned is None
        else bool((sizes == n_planned + 1).all())
    )
    if are_detectors:
        starts += np.array([len(name) for name in names])[marks]
        sizes -= 1
    else:
        marks[is_number] = len(index.names)
    return names, marks, starts, sizes


def is_count(mark: str) -> bool:
    """Tell whether a mark is a number, which may be that of channel 0."""
    return mark[:1] in {*"+-.0123456789"}


def _counts_up(marks: list[str], points: np.ndarray) -> bool:
    """Tell whether marks are 0, 1, 2, ... or 1, 2, ... at each of several points."""
    n_each = np.bincount(points)
    n = int(n_each[0])
    if n < 2 or len(n_each) < 2 or (n_each != n).any():
        return False
    ways = [[str(i) for i in range(first, first + n)] for first in (0, 1)]
    return marks[:n] in ways and marks == marks[:n] * len(n_each)


def usual_marks(
    where: str, index: Index, own: slice, n_lines: int, n_planned: float | None
) -> list[tuple[int, int, bytes]]:
    """Return how to write a scan with ``@A`` before each spectrum, as silx needs it.

    Parameters
    ----------
    where, index, own, n_lines, n_planned
        See :func:`order_spectra`.

    Returns
    -------
    list of (int, int, bytes)
        What stands from one byte to another, and what takes its place: none where all marks
        are ``@A``; nothing takes the place of spectra that belong to no point.
    """
    kept = _belonging(where, index, own, n_lines)
    edits = []
    if kept.stop > kept.start:
        points, _ = _points(index.lines[kept], n_lines)
        _, _, starts, _ = _settle_marks(index, kept, points, n_planned)
        for i, start in zip(range(kept.start, kept.stop), starts.tolist(), strict=True):
            if index.names[index.marks[i]] != USUAL_MARK:
                edits.append((_begin(index, i), start, b"@A "))
    left = range(kept.stop, own.stop)
    return edits + [(_begin(index, i), int(index.stops[i]), b"") for i in left]


def _begin(index: Index, i: int) -> int:
    """Return the byte of the ``@`` of a spectrum."""
    name = index.names[index.marks[i]]
    return int(index.starts[i]) - 1 - (0 if is_count(name) else len(name))


def belongs(index: Index, own: slice, n_lines: int) -> int:
    """Return how many spectra of a scan belong to its points, from the first one on.

    Where a spectrum stands before the counters of its point, those behind the last line of
    counters are of a point that was never finished.
    """
    lines = index.lines[own]
    if n_lines and len(lines) and lines[0] == 0:
        return int(np.searchsorted(lines, n_lines))
    # Behind the counters: what is more than other points have, all as many, is of none.
    n_each = np.bincount(lines - lines[0]) if len(lines) else np.empty(0, np.int64)
    usual = n_each[:-1]
    if len(usual) > 1 and (usual == usual[0]).all() and n_each[-1] > usual[0]:
        return len(lines) - int(n_each[-1] - usual[0])
    return len(lines)


def _belonging(where: str, index: Index, own: slice, n_lines: int) -> slice:
    """Leave out, with a warning, the spectra that belong to no point."""
    n_kept = belongs(index, own, n_lines)
    stop = own.start + n_kept
    if stop < own.stop:
        warn(
            f"{where}: {own.stop - stop} spectra behind the last of {n_lines} points belong "
            f"to no point (byte {index.starts[stop]}): they are left out."
        )
    return slice(own.start, stop)


def _points(lines: np.ndarray, n_lines: int) -> tuple[np.ndarray, int]:
    """Return to which point each spectrum belongs, and how many points there are."""
    # A line of counters stands before the spectra of its point, or behind them.
    points = lines if lines[0] == 0 else lines - 1
    return points, max(n_lines, int(points[-1]) + 1)


def _detectors(
    where: str,
    names: tuple[str, ...],
    marks: np.ndarray,
    starts: np.ndarray,
    points: np.ndarray,
    n_points: int,
) -> np.ndarray:
    """Return the number of the detector of each spectrum.

    Raises
    ------
    CorruptFileError
        Points have different numbers of spectra, or different marks, or too many spectra.
    """
    n_each = np.bincount(points, minlength=n_points)
    n_detectors = int(n_each.max())
    if n_detectors > _MOST_DETECTORS:
        at = int(starts[np.searchsorted(points, int(n_each.argmax()))])
        raise CorruptFileError(
            f"{where} has {n_detectors} spectra for a point, expected at most "
            f"{_MOST_DETECTORS}, one of each detector (byte {at}). Are there no lines of "
            "counters between them?"
        )
    # Spectra of a point that have the same mark are told apart by their order.
    key = points * len(names) + marks
    order = np.argsort(key, kind="stable")
    repeat = np.empty_like(key)
    repeat[order] = np.arange(len(key)) - np.searchsorted(key[order], key[order])
    kinds = marks * n_detectors + repeat
    whole = np.searchsorted(points, int(n_each.argmax()))
    known = kinds[whole : whole + n_detectors]
    sorter = np.argsort(known)
    place = np.searchsorted(known, kinds, sorter=sorter).clip(max=n_detectors - 1)
    detectors = sorter[place]
    other = np.flatnonzero(known[detectors] != kinds)
    if len(other):
        expected = [f"@{names[mark]}" for mark in marks[whole : whole + n_detectors]]
        raise CorruptFileError(
            f"{where} has a spectrum marked @{names[marks[other[0]]]}, expected "
            f"{', '.join(expected[:8])} as at other points (byte {starts[other[0]]})."
        )
    _check_points(where, n_each, points, starts, is_told=not repeat.any())
    return detectors


def _check_points(
    where: str, n_each: np.ndarray, points: np.ndarray, starts: np.ndarray, is_told: bool
) -> None:
    """Warn of points that lack spectra; refuse those of which it is open what they lack."""
    n_detectors, n_points = int(n_each.max()), len(n_each)
    odd = np.flatnonzero((n_each != n_detectors) & (n_each > 0))
    is_last = odd.tolist() == [points[-1]]
    if len(odd) and not is_last and not is_told:
        at = int(starts[np.searchsorted(points, odd[0])])
        raise CorruptFileError(
            f"{where} has {n_each[odd].min()} to {n_detectors} spectra for a point, expected "
            f"as many for each (byte {at})."
        )
    if len(odd):
        which = "the last point has" if is_last else f"{len(odd)} points have"
        n_there = f"{n_each[odd].min()} of {n_detectors} spectra"
        warn(f"{where}: {which} {n_there}: the others are zeros.")
    n_missing = np.count_nonzero(n_each == 0)
    if n_missing:
        warn(f"{where}: {n_missing} of {n_points} points have no spectrum: zeros.")


def _usual_size(
    where: str,
    sizes: np.ndarray,
    starts: np.ndarray,
    is_open: np.ndarray,
    is_cut: np.ndarray,
    size: int,
) -> int:
    """Return how many channels most spectra of a scan have; the last one may be cut."""
    if is_cut.all():
        raise CorruptFileError(
            f"{where}: the file ends within a line of its only spectrum, whose last number "
            f"may go on, expected a line that ends (byte {size}; the spectrum begins at byte "
            f"{starts[0]}). If all of it is there, add the end of the line."
        )
    return int(np.bincount(sizes if is_open.all() else sizes[~is_open]).argmax())


def _check_sizes(
    where: str, sizes: np.ndarray, starts: np.ndarray, is_open: np.ndarray, usual: int
) -> int:
    """Return how many channels the spectra of a detector have, all but an open one."""
    whole = sizes[~is_open]
    n_channels = int(np.bincount(whole).argmax()) if len(whole) else usual
    wrong = np.flatnonzero((sizes != n_channels) & ~is_open)
    if len(wrong) or not n_channels:
        at = wrong[0] if len(wrong) else 0
        raise CorruptFileError(
            f"{where} has spectra of {sizes[at] if len(wrong) else 0} and of "
            f"{n_channels} channels, expected the same for all of a detector (byte "
            f"{starts[at]})."
        )
    return n_channels


def _warn_of_cut(where: str, starts: np.ndarray) -> None:
    if len(starts):
        warn(
            f"{where}: the file ends within a spectrum (byte {starts[0]}): it is left out. "
            "If all of it is there, add the end of its line."
        )
