"""New ``.GeoPIXE`` files from old ones by copying records: no spectrum is decoded."""

import operator
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.analysis import fill_dead_time as filling
from rsciio_xfm.core.atomic import check_destination, replacing
from rsciio_xfm.core.dead_time import is_recorded
from rsciio_xfm.core.fields import field_offset
from rsciio_xfm.core.progress import bytes_bar
from rsciio_xfm.core.to_dask import from_source
from rsciio_xfm.formats.geopixe.data import GeoPIXEArray, geopixe_array
from rsciio_xfm.formats.geopixe.header import (
    edit_header,
    encode_header,
    is_original,
    keep_detectors,
)
from rsciio_xfm.formats.geopixe.index import read_index
from rsciio_xfm.formats.geopixe.kernels import ENTRY_BYTES, next_record
from rsciio_xfm.formats.geopixe.layout import RECORD
from rsciio_xfm.formats.geopixe.parse import (
    FILE,
    Header,
    is_number,
    read_header,
    source_fields,
)
from rsciio_xfm.kernels.compiled import kernel

# Where the fields of a record are, in bytes.
_X = field_offset(RECORD, "x")
_Y = field_offset(RECORD, "y")
_DETECTOR = field_offset(RECORD, "detector")
_DEAD_TIME = field_offset(RECORD, "dead_time")


def crop(
    filename: str | Path,
    destination: str | Path,
    x: tuple[int, int] | None = None,
    y: tuple[int, int] | None = None,
    detectors: int | Sequence[int] | None = None,
    *,
    overwrite: bool = False,
    cache: bool = True,
) -> None:
    """Write a part of a ``.GeoPIXE`` map as a new file, record by record.

    Parameters
    ----------
    filename
        Path of the map.
    destination
        Path of the new one.
    x, y
        Half-open ranges of columns and rows, ``(20, 40)`` being 20 pixels; None keeps all.
    detectors
        Those to keep, numbered anew from 0 in the same order; None keeps all.
    overwrite
        Replace `destination` if it is there.
    cache
        As of :func:`rsciio_xfm.geopixe.file_reader`.

    Raises
    ------
    ValueError
        A range is empty, reversed or not within the map; the destination is the map, or a map
        that was not written here.
    FileExistsError
        The destination is there, and `overwrite` is False.
    rsciio_xfm.exceptions.FileFormatError
        The file is no GeoPIXE map, is damaged, or was changed meanwhile.
    OSError
        The destination cannot be written; what was there is as it was.

    Warns
    -----
    UserWarning
        Spectra are missing, or the file ends within a record, which is left out.

    Notes
    -----
    Spectra and dead times are copied byte by byte, in their order; x, y and detector are
    counted from the new origin. In the header Xres, Yres, Dets, Width (mm) and Height (mm)
    are changed if they differ, and the ``"Detector"`` entries of detectors that are left out
    are removed, and ``"Written by"`` is added, by which the file is told from the instrument's
    own; all else is as it was, character by character. The format has no place for where the
    part was in the whole.

    Examples
    --------
    >>> from rsciio_xfm import geopixe
    >>> geopixe.crop(
    ...     "map.GeoPIXE", "part.GeoPIXE", x=(20, 40), y=(10, 30)
    ... )
    """
    path = Path(filename)
    header = read_header(path)
    columns = _half_open("x", x, header.n_columns, path, header)
    rows = _half_open("y", y, header.n_rows, path, header)
    kept = _choose(detectors, header.n_detectors, path)
    check_destination(path, destination, overwrite, is_original)
    text = _crop_header(header, columns, rows, kept)
    encoded = encode_header(text, destination)
    source = geopixe_array(header, read_index(path, header, cache), kept)
    box = source.box(((0, len(kept)), rows, columns, (0, header.n_channels)))
    _copy(
        source,
        destination,
        encoded,
        rows,
        lambda raw, words: _pack_records(raw, raw.view(np.uint32), words[0], box),
    )


def fill_dead_time(
    filename: str | Path,
    destination: str | Path,
    model: str = "fit",
    *,
    value: float | None = None,
    coefficients: str | Sequence[float] = "cubic",
    overwrite: bool = False,
    cache: bool = True,
) -> list[dict[str, Any]]:
    """Write a ``.GeoPIXE`` map with the dead times filled in that were not recorded.

    Parameters
    ----------
    filename
        Path of the map.
    destination
        Path of the new one: a copy but for the dead times that are missing, which are 0,
        NaN, or beyond 0 to 100 %.
    model
        ``"fit"``: learn for each detector from the spectra of the map whose dead time is
        known. ``"constant"``: a value. ``"polynomial"``: of the counts per ms.
    value
        The constant, percent.
    coefficients
        Of the polynomial, for percent, that of power 0 first; or ``"cubic"`` or ``"linear"``,
        which were published.
    overwrite
        Replace `destination` if it is there.
    cache
        As of :func:`rsciio_xfm.geopixe.file_reader`.

    Returns
    -------
    list of dict
        For each detector the ``model`` that was used, ``n_filled``, ``n_known``, and of a fit
        the cross-validated median absolute ``error`` in percent points, and what it was
        calculated from, ``measured`` and ``predicted``.

    Raises
    ------
    ValueError
        The model is none of these, its value is missing or absurd, the dwell is not in
        the header for a polynomial; the destination is the map, or a map that was not written
        here.
    FileExistsError
        The destination is there, and `overwrite` is False.
    rsciio_xfm.exceptions.FileFormatError
        The file is no GeoPIXE map, is damaged, or was changed meanwhile.
    OSError
        The destination cannot be written; what was there is as it was.

    Warns
    -----
    UserWarning
        Too few dead times are known for a fit, or spectra are missing.

    See Also
    --------
    rsciio_xfm.analysis.fill_dead_time.fill_dead_time : what the models are

    Examples
    --------
    >>> from rsciio_xfm import geopixe
    >>> report = geopixe.fill_dead_time("map.GeoPIXE", "filled.GeoPIXE")
    >>> [(detector["n_filled"], detector["n_known"]) for detector in report]
    [(1560, 13800), (1522, 13838)]
    """
    filling.check_model(model, value, coefficients)
    path = Path(filename)
    header = read_header(path)
    check_destination(path, destination, overwrite, is_original)
    index = read_index(path, header, cache)
    source = geopixe_array(header, index)
    missing = ~is_recorded(index.dead_time)
    is_nan = np.isnan(index.dead_time)
    if np.count_nonzero(~is_nan) == index.n_records.sum():
        missing &= ~is_nan  # none of them has a record
    filled, report = filling.fill_dead_time(
        from_source(source),
        index.dead_time,
        missing,
        model,
        has_detectors=True,
        value=value,
        coefficients=coefficients,
        dwell_ms=None if header.dwell_s is None else header.dwell_s * 1000,
        tube_channel=tube_channel(header),
    )
    n_filled = np.zeros(header.n_detectors, dtype=np.int64)
    raw_values = filled.astype("<f4", copy=False).view(np.uint8)
    values = raw_values.reshape(*filled.shape, filled.itemsize)
    box = source.box()
    _copy(
        source,
        destination,
        encode_header(header.text, destination),
        (0, header.n_rows),
        lambda raw, words: _fill_records(raw, words[0], box, values, missing, n_filled),
    )
    # Of pixels without a record there is nothing to fill.
    for entry, n in zip(report, n_filled.tolist(), strict=True):
        entry["n_filled"] = n
    return report


def tube_channel(header: Header) -> int | None:
    """Return the first channel above the tube's voltage, None if that is not known."""
    voltage = source_fields(header).get("KV")
    if not (is_number(voltage) and voltage > 0) or header.ev_per_channel is None:
        return None
    return int(min(voltage * 1000 / header.ev_per_channel, 2**31)) + 1


def _half_open(
    name: str, ends: tuple[int, int] | None, size: int, path: Path, header: Header
) -> tuple[int, int]:
    if ends is None:
        return (0, size)
    try:
        start, stop = map(operator.index, ends)
    except (TypeError, ValueError):
        raise TypeError(
            f"{path}: {name} is {ends!r:.40}, expected two whole numbers, (start, stop)."
        ) from None
    if not 0 <= start < stop <= size:
        raise ValueError(
            f"{path}: {name} is ({start}, {stop}), expected start < stop within 0 and "
            f"{size}: the map has {header.n_columns} columns (x) and {header.n_rows} rows (y)."
        )
    return (start, stop)


def _choose(
    detectors: int | Sequence[int] | None, n_detectors: int, path: Path
) -> tuple[int, ...]:
    if detectors is None:
        return tuple(range(n_detectors))
    wanted = detectors if isinstance(detectors, Iterable) else [detectors]
    try:
        kept = sorted({operator.index(d) for d in wanted})
    except TypeError:
        raise TypeError(
            f"{path}: detectors is {detectors!r:.40}, expected whole numbers."
        ) from None
    if not kept or kept[0] < 0 or kept[-1] >= n_detectors:
        raise ValueError(
            f"{path}: detectors is {detectors!r}, expected some of 0 to {n_detectors - 1}: "
            f"the map has {n_detectors} detectors."
        )
    return tuple(kept)


def _crop_header(
    header: Header, columns: tuple[int, int], rows: tuple[int, int], kept: tuple[int, ...]
) -> str:
    """Return the text of the header of a part, or of all of it."""
    n_columns, n_rows = columns[1] - columns[0], rows[1] - rows[0]
    fields: dict[str, Any] = {}
    if n_columns != header.n_columns:
        fields["Xres"] = n_columns
        if header.width_mm is not None:
            fields["Width (mm)"] = header.width_mm * n_columns / header.n_columns
    if n_rows != header.n_rows:
        fields["Yres"] = n_rows
        if header.height_mm is not None:
            fields["Height (mm)"] = header.height_mm * n_rows / header.n_rows
    text = header.text
    if len(kept) != header.n_detectors:
        fields["Dets"] = len(kept)
        text = keep_detectors(text, list(kept), header.n_detectors)
    return edit_header(text, {FILE: fields})


def _copy(
    source: GeoPIXEArray,
    destination: str | Path,
    header: bytes,
    rows: tuple[int, int],
    change: Callable[[np.ndarray, tuple[np.ndarray, ...]], int],
) -> None:
    """Write a header and the records of some rows, as a function leaves them.

    Parameters
    ----------
    change
        Is given whole records as bytes and as numbers; changes the bytes, and
        returns how many from the start are to be written.
    """
    counted = bytes_bar(source.count_bytes(rows), f"Writing {Path(destination).name}")
    with counted as bar, replacing(destination) as file:
        file.write(header)
        for raw, words in source.blocks(rows):
            n_bytes = change(raw, words)
            file.write(raw[:n_bytes].data)
            bar.update(raw.size)


@kernel
def _put_number(raw: np.ndarray, at: int, number: int) -> None:
    raw[at] = number & 0xFF
    raw[at + 1] = number >> 8


@kernel
def _pack_records(
    raw: np.ndarray, quads: np.ndarray, words: np.ndarray, box: Any
) -> np.int64:
    """Move the records within a box to the start, with their places in it; return the end."""
    at = np.int64(0)
    end = np.int64(0)
    while at < raw.size:
        stop, place, row, column = next_record(words, at, box)
        if place >= 0:
            if end != at:
                for i in range((stop - at) // ENTRY_BYTES):
                    quads[end // ENTRY_BYTES + i] = quads[at // ENTRY_BYTES + i]
            _put_number(raw, end + _X, column)
            _put_number(raw, end + _Y, row)
            _put_number(raw, end + _DETECTOR, place)
            end += stop - at
        at = stop
    return end


@kernel
def _fill_records(
    raw: np.ndarray,
    words: np.ndarray,
    box: Any,
    values: np.ndarray,
    missing: np.ndarray,
    n_filled: np.ndarray,
) -> np.int64:
    """Put dead times into the records where they are missing; return the end."""
    at = np.int64(0)
    while at < raw.size:
        stop, detector, row, column = next_record(words, at, box)
        if detector >= 0 and missing[detector, row, column]:
            for i in range(values.shape[-1]):
                raw[at + _DEAD_TIME + i] = values[detector, row, column, i]
            n_filled[detector] += 1
        at = stop
    return at
