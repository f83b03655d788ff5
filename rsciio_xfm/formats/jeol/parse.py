"""The header of a ``.pts`` file, checked."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from rsciio_xfm.core.fields import check_fields, field_offset, read_fields
from rsciio_xfm.core.source import LocalFile, Source
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.xrf import number
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.jeol import layout
from rsciio_xfm.formats.jeol.header_tree import read_tree

_MOST_BYTES = 2**24  # of a header; 32 KiB in the files seen
_SIZE = re.compile(r"\s*(\d{1,5})\s*x\s*(\d{1,5})\s*", re.IGNORECASE)
_DATA = "PTTD Data", "AnalyzableMap MeasData"
_PARAMS = "PTTD Param", "Params"
_SEM = (*_PARAMS, "PARAMPAGE0_SEM")
_MICRO = 1e3  # µm in the mm that ScanSize is given in


@dataclass(frozen=True)
class Header:
    """What the header of a map says; numbers that it does not have are None.

    Attributes
    ----------
    source
        The file.
    tree
        All of it.
    date
        When it was measured.
    n_rows, n_columns
        Of the map.
    start
        Byte at which the stream begins.
    area
        First column and row of what was scanned, last column and row.
    scale, offset
        keV of a channel, and of the first one.
    pixel_um
        Size of a pixel in µm.
    dwell_s
        Of a pixel in a frame.
    is_dwell_live
        Whether that is live time.
    real_time, live_time
        Of the map in s.
    beam_energy, magnification
        keV; what the microscope shows.
    """

    source: Source
    tree: dict[str, Any]
    date: datetime | None
    n_rows: int
    n_columns: int
    start: int
    area: tuple[int, int, int, int]
    scale: float | None
    offset: float | None
    pixel_um: float | None
    dwell_s: float | None
    is_dwell_live: bool
    real_time: float | None
    live_time: float | None
    beam_energy: float | None
    magnification: Any

    @property
    def microscope(self) -> dict[str, Any]:
        """What the header says of microscope and detector."""
        found = find(self.tree, *_SEM)
        return found if isinstance(found, dict) else {}


def find(tree: Any, *path: str) -> Any:
    """Return an item of a tree, None if it is not there."""
    for name in path:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def read_header(path: Path) -> Header:
    """Read the header of a ``.pts`` file.

    Raises
    ------
    FileFormatError
        It is none, or does not say how large the map is.
    TruncatedFileError
        The file ends within it.

    Warns
    -----
    UserWarning
        The file is not as long as the header says; energies or sizes are missing.
    """
    source = LocalFile.of(path)
    (head,) = read_fields(source, 0, layout.HEAD)
    check_fields(source, head, layout.HEAD_BOUNDS)
    first, start = int(head["head"]) + layout.TREE_START, int(head["data"])
    at = field_offset(layout.HEAD, "data")
    n_bytes = start - first
    if first < layout.HEAD.itemsize or not 0 < n_bytes <= _MOST_BYTES:
        _refuse(
            source,
            f"the header begins at byte {first} and the stream at byte {start}",
            f"1 to {_MOST_BYTES} bytes of header between them",
            at,
        )
    # A header that is cut off is an error of the tree, which says where.
    n_bytes = min(n_bytes, max(0, source.size - first))
    raw = read_fields(source, first, np.dtype("u1"), n_bytes).tobytes()
    n_said = int(head["head_bytes"]) - layout.TREE_START
    tree = read_tree(source.name, raw, first, n_said)
    if source.size < start:
        _refuse(
            source, f"the stream begins at byte {start}", f"{source.size} or less", at
        )
    _check_size(source, start, int(head["data_bytes"]))
    return _make_header(source, tree, start, first, float(head["days"]))


def _make_header(
    source: Source, tree: dict[str, Any], start: int, first: int, days: float
) -> Header:
    conditions = find(tree, *_DATA, "Meas Cond")
    n_columns, n_rows = _read_size(source, find(conditions, "Pixels"), first)
    scale, offset = _read_energies(source, tree)
    beam, size = find(tree, *_DATA, "MeasCond"), number(find(tree, *_SEM, "ScanSize"))
    magnification = find(beam, "Mag")
    times = magnification if number(magnification) else None
    dwell = _positive(find(tree, *_DATA, "Doc", "DwellTime(msec)"))
    pixel = None if size is None or times is None else size / float(times) * _MICRO
    pixel = None if pixel is None else _positive(pixel / n_columns)
    return Header(
        source=source,
        tree=tree,
        date=date_of(days),
        n_rows=n_rows,
        n_columns=n_columns,
        start=start,
        area=_read_area(find(conditions, "Aim Area"), n_rows, n_columns),
        scale=scale,
        offset=offset,
        pixel_um=pixel,
        dwell_s=None if dwell is None else dwell / 1000,
        is_dwell_live=bool(find(conditions, "LTDwellT") is np.True_),
        real_time=_positive(find(tree, *_DATA, "Doc", "RealTime")),
        live_time=_positive(find(tree, *_DATA, "Doc", "LiveTime")),
        beam_energy=_positive(find(beam, "AccKV")),
        magnification=magnification,
    )


def date_of(days: float) -> datetime | None:
    """Return a date that is so many days after that from which JEOL counts."""
    try:
        return datetime(*layout.EPOCH) + timedelta(days=days)
    except (OverflowError, ValueError):
        return None


def _positive(value: Any) -> float | None:
    found = number(value)
    return found if found is not None and 0 < found < 1e12 else None


def _read_size(source: Source, text: Any, first: int) -> tuple[int, int]:
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    sizes = [int(n) for n in found.groups()] if found else [0, 0]
    if not all(1 <= n <= layout.N_VALUES for n in sizes):
        _refuse(
            source,
            f"Pixels of the map is {text!r:.40}",
            f"columns x rows, 1 to {layout.N_VALUES} of each, as of '512x512'",
            first,
        )
    return sizes[0], sizes[1]


def _read_area(found: Any, n_rows: int, n_columns: int) -> tuple[int, int, int, int]:
    """Return what was scanned: all of the map, unless the header says less."""
    whole = 0, 0, n_columns - 1, n_rows - 1
    if not isinstance(found, np.ndarray) or found.shape != (4,):
        return whole
    left, top, right, bottom = (int(n) for n in found)
    is_within = 0 <= left <= right < n_columns and 0 <= top <= bottom < n_rows
    return (left, top, right, bottom) if is_within else whole


def _read_energies(
    source: Source, tree: dict[str, Any]
) -> tuple[float | None, float | None]:
    """Return keV of a channel and of the first one, which is some channels below 0 keV."""
    doc = find(tree, *_DATA, "Doc")
    scale, at_zero = _positive(find(doc, "CoefA")), number(find(doc, "CoefB"))
    mode = find(tree, *_DATA, "Meas Cond", "Tpl")
    setup = find(tree, *_PARAMS, "PARAMPAGE1_EDXRF", "Tpl", str(mode), "DigZ")
    zero = number(setup["index"] if isinstance(setup, dict) else setup)
    if scale is None or at_zero is None or zero is None:
        warn(
            f"{source.name}: the header does not say all of CoefA, CoefB and DigZ of {mode}: "
            "the spectra have no energies."
        )
        return None, None
    return scale, at_zero - scale * zero


def _check_size(source: Source, start: int, n_bytes: int) -> None:
    """Warn of a file that has not as many bytes as its header says, in either way."""
    if n_bytes not in (source.size, source.size - start):
        warn(
            f"{source.name}: the header says that the stream, or the file, has {n_bytes} "
            f"bytes; from byte {start} on {source.size - start} are there. They are read as "
            "far as they go: the file may be cut."
        )


def _refuse(source: Source, found: str, expected: str, byte: int) -> NoReturn:
    raise FileFormatError(
        f"{source.name}: {found}, expected {expected} (byte {byte}). The file is damaged, or "
        "no map of Analysis Station."
    )
