"""The files of a map, by their names."""

import os
import sys
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rsciio_xfm.core.array import Range
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.xia.layout import XIA, XIA_SINGLE

_MOST_GAPS = 100  # rows that are missing for each one that is there
_ROWS_KEPT = 2**24  # numbers of rows beyond this are none


@dataclass(frozen=True)
class Files:
    """The files of a map.

    Attributes
    ----------
    folder, prefix
        Where they are, and what comes before ``_xia``.
    detectors
        Files of spectra by detector (its number as text, or ``s1``) and row.
    statistics
        Files of statistics by row.
    rows
        The first row, and the one after the last.
    """

    folder: Path
    prefix: str
    detectors: dict[str, dict[int, Path]]
    statistics: dict[int, Path]
    rows: Range


def is_xia(path: Path) -> bool:
    """Tell from its name whether a file is a row of a map, or its statistics."""
    match = XIA.fullmatch(path.name)
    return match is not None and match["kind"].lower() != "ct"


def is_single(path: Path) -> bool:
    """Tell from its name whether a file is a single acquisition."""
    return XIA_SINGLE.fullmatch(path.name) is not None


def load_once(path: Path, own: Container[Path] = ()) -> None:
    """Let ``hs.load`` of several files of a map load it once.

    It calls the reader for each of them, and stacks what it gets: as many maps as the map has
    rows. The reader has no say in that, so the files that the map was made of are taken from
    the list of those that are still to be loaded. Nothing is done if there is no such list.

    Parameters
    ----------
    path
        Of the file that was loaded.
    own
        The other files of the map, where they are not those of an XIA map.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None and (
        frame.f_globals.get("__name__") != "hyperspy.io" or frame.f_code.co_name != "load"
    ):
        frame = frame.f_back
    waiting = None if frame is None else frame.f_locals.get("filenames")
    if not isinstance(waiting, list) or str(path) not in waiting:
        return
    same = _map_of(path)
    after = waiting.index(str(path)) + 1
    waiting[after:] = [
        name
        for name in waiting[after:]
        if (Path(name) not in own if same is None else _map_of(Path(name)) != same)
    ]


def _map_of(path: Path) -> tuple[str, ...] | None:
    """Return what the files of a map have in common; None for a file of none."""
    match = XIA.fullmatch(path.name)
    if match is None or not is_xia(path):
        return None
    folder = os.path.abspath(path.parent)
    return (folder, *(match[key] for key in ("prefix", "scan", "part")))


def find_files(path: Path) -> Files:
    """Find the files of a map by the name of one of them.

    Raises
    ------
    FileFormatError
        None of them has spectra, or the numbers of rows are far apart.
    """
    own = XIA.fullmatch(path.name)
    if own is None:
        raise FileFormatError(
            f"{path}: the name of the file is {path.name!r}, expected that of a row of a map, "
            "as prefix_xia00_0001_0000_0000.edf."
        )
    found: dict[str, dict[int, Path]] = {}
    folder = path.parent
    for entry in os.scandir(folder):
        match = XIA.fullmatch(entry.name)
        if match is None:
            continue
        is_same = all(match[key] == own[key] for key in ("prefix", "scan", "part"))
        if is_same and entry.is_file() and int(match["row"]) < _ROWS_KEPT:
            kind = match["kind"].lower()
            found.setdefault(kind, {})[int(match["row"])] = folder / entry.name
    statistics = found.pop("st", {})
    found.pop("ct", None)
    kind = own["kind"].lower()
    # Sums of detectors only if there is nothing else, or if one of them is asked for.
    numbered = {key: files for key, files in found.items() if key.isdecimal()}
    if kind.startswith("s") and kind in found:
        numbered = {kind: found[kind]}
    detectors = dict(sorted((numbered or found).items()))
    if not detectors:
        raise FileFormatError(
            f"{path}: no files of spectra {own['prefix']}_xia00_{own['scan']}_{own['part']}"
            "_*.edf are beside it, expected at least one (of statistics alone no map is made)."
        )
    rows = sorted({row for files in detectors.values() for row in files})
    first, last = rows[0], rows[-1] + 1
    # Rows are numbered from 0 on: a few that are missing at the start leave their place.
    first = 0 if first < len(rows) else first
    if last - first > _MOST_GAPS * len(rows):
        raise FileFormatError(
            f"{path}: {len(rows)} rows are there, numbered {first} to {last - 1}, expected "
            f"at least one of {_MOST_GAPS} of these (names of the files in {folder})."
        )
    return Files(folder, own["prefix"], detectors, statistics, (first, last))
