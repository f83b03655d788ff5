"""Scans of SPEC files: silx reads headers and counters, spectra are read here."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.atomic import replacing_in
from rsciio_xfm.core.source import LocalFile, open_unbuffered
from rsciio_xfm.core.to_dask import load
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.xrf import add_maps
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.spec.index import Index, dtype_for, find_spectra
from rsciio_xfm.formats.spec.order import (
    USUAL_MARK,
    Ordered,
    belongs,
    order_spectra,
    usual_marks,
)
from rsciio_xfm.formats.spec.scan import (
    _BLOCK_BYTES,
    SpecScan,
    mca_numbers,
    planned_channels,
    read_scans,
    times_of,
)
from rsciio_xfm.formats.spec.spectra import make_source


@dataclass(frozen=True)
class Options:
    """Options of :func:`rsciio_xfm.esrf.file_reader` that are for SPEC files.

    Attributes
    ----------
    lazy, chunks, navigation_shape
        As there.
    wanted
        Scans, as ``"94.1"``; None is all.
    is_counters
        Read counters, not spectra.
    is_sum
        Add up the detectors of each scan.
    """

    lazy: bool = False
    chunks: Any = "auto"
    wanted: list[str] | None = None
    is_counters: bool = False
    navigation_shape: tuple[int, ...] | None = None
    is_sum: bool = False


def read_spec(path: Path, options: Options) -> list[dict[str, Any]]:
    """Read the scans of a SPEC file.

    Parameters
    ----------
    path, options
        The file, and how it is read.

    Returns
    -------
    list of dict
        For each scan its spectra, one signal for each detector or their sum, or else its
        counters.

    Warns
    -----
    UserWarning
        A scan is damaged, and left out.
    """
    index, source = find_spectra(path)
    keys, scans = read_scans(path, index, options.wanted)
    signals = []
    for i, scan in scans.items():
        try:
            if isinstance(scan, CorruptFileError):
                raise scan
            if index.first[i + 1] > index.first[i] and not options.is_counters:
                signals += _read_maps(scan, index, i, source, options)
                continue
            signal = scan.read_counters(options.navigation_shape)
        except CorruptFileError as exc:
            if options.wanted is not None or len(keys) == 1:
                raise
            warn(f"{exc} The scan is left out.")
            continue
        if signal is not None:
            signals.append(signal)
        elif options.wanted is not None:
            raise FileFormatError(
                f"{path}: the scan {keys[i]} has neither spectra nor counters: it was "
                "stopped before its first point."
            )
    if not signals:
        raise FileFormatError(
            f"{path}: none of {len(keys)} scans has a point that can be read (byte 0, the "
            "whole file)."
        )
    return signals


def _read_maps(
    scan: SpecScan, index: Index, number: int, file: LocalFile, options: Options
) -> list[dict[str, Any]]:
    """Read the spectra of a scan: of each detector, or their sum."""
    if not options.is_sum:
        return _read_detectors(scan, index, number, file, options)
    parts = replace(options, lazy=True)
    found = _read_detectors(scan, index, number, file, parts)
    title = f"{scan.path.stem} {scan.key}"
    return [add_maps(scan.path, title, found, options.lazy, options.chunks)]


def _read_detectors(
    scan: SpecScan, index: Index, number: int, file: LocalFile, options: Options
) -> list[dict[str, Any]]:
    """Make a signal of the spectra of each detector of a scan."""
    path, where = scan.path, f"{scan.path}: scan {scan.key}"
    own = slice(*index.first[number : number + 2].tolist())
    detectors = _order(scan, index, own, file)
    n_points = len(detectors[0].starts)
    if scan.n_lines and not scan.is_whole:
        warn(
            f"{where} has {scan.n_lines} lines of counters, of which silx reads "
            f"{scan.data.shape[1]}: positions of the motors are not used."
        )
    grid = scan.grid(n_points, options.navigation_shape)
    dtype = dtype_for(index, number)
    energies = _energy_axes(where, scan, [found.n_channels for found in detectors])
    is_named = len({found.mark for found in detectors}) > 1
    signals = []
    for i, (found, energy) in enumerate(zip(detectors, energies, strict=True)):
        # Byte 0 is never one of a spectrum: what is not there is marked by it, then by -1.
        places = grid.place(found.starts + 1) - 1, grid.place(found.stops + 1) - 1
        source = make_source(file, places, found.n_channels, dtype)
        name = found.mark if is_named else str(i)
        title = f"{path.stem} {scan.key}" + (f" MCA {name}" if len(detectors) > 1 else "")
        preset, live, real = times_of(scan)
        instrument: dict[str, Any] = {"command": scan.command, "mca": i}
        if found.mark != USUAL_MARK:
            instrument["mark"] = f"@{found.mark}"
        if preset:
            instrument["preset_time"] = preset
        # One triple for all of the scan: only of a single spectrum it is its own.
        is_single = n_points == 1
        signal = meta.build_map(
            path,
            title,
            [*(dict(axis) for axis in grid.axes), energy],
            real_time=real if is_single else None,
            instrument=instrument,
            date=scan.date(),
        )
        if is_single and live and real:
            sem = signal["metadata"]["Acquisition_instrument"]["SEM"]
            sem["Detector"]["EDS"]["live_time"] = live
        signal["data"] = load(source, path, options.lazy, options.chunks)
        signal["original_metadata"] = scan.tree()
        signals.append(signal)
    return signals


def _order(scan: SpecScan, index: Index, own: slice, file: LocalFile) -> list[Ordered]:
    where, n_planned = f"{scan.path}: scan {scan.key}", planned_channels(scan)
    return order_spectra(where, index, own, scan.n_lines, file.size, n_planned)


def _energy_axes(
    where: str, scan: SpecScan, n_channels: list[int]
) -> list[dict[str, Any]]:
    """Make the energy axis of each detector from #@CALIB and #@CHANN.

    What is wrong with a line that stands for several detectors is said once.
    """
    made: dict[tuple, dict[str, Any]] = {}
    axes = []
    for i, n in enumerate(n_channels):
        channels, terms = (mca_numbers(scan, key, i) for key in ("CHANN", "CALIB"))
        key = (n, *channels, "", *terms)
        if key not in made:
            made[key] = _energy_axis(
                where, n, _all_or_none(channels), _all_or_none(terms[:3])
            )
        axes.append(dict(made[key]))
    return axes


def _energy_axis(
    where: str,
    n_channels: int,
    channels: list[float],
    terms: list[float],
) -> dict[str, Any]:
    first, step = 0.0, 1.0
    if len(channels) >= 4 and channels[3]:
        first, step = channels[1], channels[3]
        if channels[0] != n_channels:
            warn(
                f"{where}: #@CHANN says {channels[0]:g} channels, expected {n_channels}, as "
                "the spectra have."
            )
    calibration = terms if len(terms) >= 2 else None
    return meta.energy_axis(where, n_channels, calibration, first, step)


def _all_or_none(numbers: list[float | None]) -> list[float]:
    """Return numbers, none of them if one is not known."""
    known = [number for number in numbers if number is not None]
    return known if len(known) == len(numbers) else []


def list_scans(path: Path) -> list[tuple[str, str, int, int]]:
    """Return key, command, points and spectra of each scan."""
    index, _ = find_spectra(path)
    keys, scans = read_scans(path, index, has_data=False)
    n_spectra = np.diff(index.first).tolist()
    return [
        (
            key,
            str(scan) if isinstance(scan, CorruptFileError) else scan.command,
            n_lines,
            n,
        )
        for key, scan, n_lines, n in zip(
            keys, scans.values(), index.n_lines.tolist(), n_spectra, strict=True
        )
    ]


@contextmanager
def with_usual_marks(path: Path, destination: Path) -> Iterator[str]:
    """Give the name of a SPEC file that silx does not take amiss: all spectra marked ``@A``.

    It is the file itself, or else a copy, beside the file that is made of it, without the
    spectra that belong to no point.

    Raises
    ------
    CorruptFileError
        Points of a scan have different numbers of spectra.
    OSError
        There is no room for the copy; it names the destination.
    """
    index, _ = find_spectra(path)
    _, scans = read_scans(path, index, has_data=False)
    edits = []
    for i, scan in scans.items():
        own = slice(*index.first[i : i + 2].tolist())
        if isinstance(scan, SpecScan) and own.stop > own.start:
            where, n_planned = f"{path}: scan {scan.key}", planned_channels(scan)
            n_kept = belongs(index, own, scan.n_lines)
            if scan.n_lines and n_kept % scan.n_lines:
                raise CorruptFileError(
                    f"{where} has {n_kept} spectra at {scan.n_lines} points, expected as many "
                    "at each, so that silx can convert it (the first one begins at byte "
                    f"{index.starts[own.start]}). Load it and save it as .h5 with "
                    'file_format="ESRF" instead.'
                )
            edits += usual_marks(where, index, own, scan.n_lines, n_planned)
    if not edits:
        yield str(path)
        return
    with replacing_in(destination.parent, destination) as folder:
        copy = folder / path.name
        with open_unbuffered(path) as file, open(copy, "xb") as edited:
            for start, stop, text in edits:
                _copy(file, edited, start - file.tell())
                edited.write(text)
                file.seek(stop)
            _copy(file, edited, os.stat(path).st_size)
        try:
            yield str(copy)
        finally:
            copy.unlink()  # it is not moved beside the destination


def _copy(source: BinaryIO, target: Any, n_bytes: int) -> None:
    """Copy so many bytes, or what is there."""
    while n_bytes > 0 and (part := source.read(min(n_bytes, _BLOCK_BYTES))):
        target.write(part)
        n_bytes -= len(part)


def is_spec(head: bytes) -> bool:
    """Tell a SPEC file by its first bytes.

    Parameters
    ----------
    head
        A few kilobytes from the start of the file.
    """
    lines = head.lstrip(b"\xef\xbb\xbf \t\r\n").splitlines()
    return any(line.startswith((b"#F ", b"#S ")) for line in lines[:50])
