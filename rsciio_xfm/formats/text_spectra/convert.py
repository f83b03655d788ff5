"""A folder of spectra, one file a pixel, into a map: each file is read once."""

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.atomic import check_destination, replacing_in
from rsciio_xfm.core.chunks import ChunkedArray
from rsciio_xfm.core.eds import build_axis
from rsciio_xfm.core.later import cpu_count
from rsciio_xfm.core.progress import count_bar
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.core.table import Table
from rsciio_xfm.core.times import put_share
from rsciio_xfm.core.to_dask import from_source
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.text_spectra.api import dtype_of
from rsciio_xfm.formats.text_spectra.folder import (
    NAMED,
    Family,
    Grid,
    Wanted,
    and_more,
    check_shape,
    find_files,
    place,
    read_shape,
)
from rsciio_xfm.formats.text_spectra.kernels import describe
from rsciio_xfm.formats.text_spectra.parse import read_spectrum
from rsciio_xfm.formats.text_spectra.spectrum import Spectrum, parse_moment
from rsciio_xfm.formats.text_spectra.times import combine

DESTINATIONS = (".datastack", ".h5", ".rpl", ".GeoPIXE", ".hspy", ".zspy", ".emd")
_BATCH_BYTES = 4 * 2**20
_MOST_FILES = 512  # of a batch
_SAMPLE = 9  # files by which most are told
_APART = 0.5  # channels by which energies of files may differ without a warning


def convert(
    folder: str | Path,
    destination: str | Path,
    navigation_shape: tuple[int, int] | None = None,
    snake: bool | None = None,
    pattern: str | None = None,
    show_progressbar: bool | None = None,
    *,
    unfinished: bool = False,
    calibration: tuple[float, float] | None = None,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Convert a folder of spectra as text, one file a pixel, to a map.

    Parameters
    ----------
    folder
        Holds files of any dialect that :func:`file_reader` knows, or MSA files. Their order is
        that of the numbers in their names, whatever zeros these begin with: a counter, which
        begins with 0 or 1 or any other number, or row and column.
    destination
        The new file; its extension chooses the format: ``.datastack``, ``.h5``, ``.rpl``,
        ``.GeoPIXE``, ``.hspy``, ``.zspy`` or ``.emd``.
    navigation_shape
        Columns and rows. None if the names have row and column, or if the folder has a
        ``colonneXrighe.txt`` of XISMuS.
    snake
        Every other row, the second one first, was measured backwards (XISMuS: ping-pong).
        None takes what a ``config.cfg`` in the folder says, which is no if there is none.
    pattern
        Of the names of the files, such as ``"scan_*.mca"``, if there are others, too.
    show_progressbar
        Say how far it is, if it takes longer than two seconds; None is HyperSpy's
        preference, on a terminal or in a notebook.
    unfinished
        The scan was stopped: pixels that are missing at its end are zeros. Otherwise they are
        an error, since then the shape may be wrong.
    calibration
        keV of channel 0, and keV from one channel to the next; None takes the calibration of
        the files.
    options
        Of the writer of the format, such as ``{"keep_integers": True}`` of ``.datastack``.
    overwrite
        Replace `destination` if it is there.

    Returns
    -------
    pathlib.Path
        The new file: a map ``(y, x, E)`` with the live and real time of each file as those of
        its pixel. Detectors of one file are added up.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The folder has no spectra, or those of several maps; most of them cannot be read.
    rsciio_xfm.exceptions.CorruptFileError
        Files have other numbers of channels, or of detectors, than the others.
    ValueError
        The shape does not fit the files, the message says which ones do; an argument is wrong.
    FileExistsError
        `destination` exists.
    OSError
        The destination cannot be written; what was there is as it was.

    Warns
    -----
    UserWarning
        Numbers are missing, or files cannot be read: their pixels are zeros without dead
        times. Calibrations of files differ: that of the first one holds.

    Notes
    -----
    Files are read once, in threads, into a temporary file beside `destination`, of 2 bytes for
    each channel of each pixel if no count is above 65535. Memory does not depend on how many
    files there are, but for some tens of bytes of each.

    Source of XISMuS' files: ``Engine/SpecRead.py`` of https://github.com/linssab/XISMuS.

    Examples
    --------
    >>> from rsciio_xfm import text_spectra
    >>> text_spectra.convert("spectra", "spectra.datastack", navigation_shape=(6, 4))
    PosixPath('spectra.datastack')
    """
    folder, destination = Path(folder), Path(destination)
    _check(folder, destination, calibration)
    check_destination(folder, destination, overwrite)
    said = read_shape(folder)
    wanted = Wanted(
        check_shape(navigation_shape) or said.shape,
        said.is_snake if snake is None else bool(snake),
        bool(unfinished),
    )
    family = find_files(folder, pattern)
    grid = place(folder, family, wanted)
    with (
        replacing_in(destination.parent, destination) as temporary,
        _scratch(temporary / "counts") as scratch,
        np.errstate(all="ignore"),
    ):
        files = _Files(folder, family, grid)
        pass_ = _Pass(files, _look_at_some(files), scratch)
        _read_all(pass_, show_progressbar)
        signal = _build_signal(pass_, calibration)
        _save(signal, destination, dict(options or {}))
    return destination


def _check(folder: Path, destination: Path, calibration: Any) -> None:
    """Refuse what is no folder, no name of a map, or no calibration."""
    if not folder.is_dir():
        kind = "is a file" if folder.exists() else "is not there"
        raise NotADirectoryError(f"{folder} {kind}, expected a folder of spectra.")
    if destination.suffix.lower() not in [one.lower() for one in DESTINATIONS]:
        raise ValueError(
            f"{destination}: the extension is {destination.suffix!r}, expected "
            f"{' or '.join(DESTINATIONS)}."
        )
    if calibration is not None and not (
        np.shape(calibration) == (2,)
        and np.isfinite(calibration).all()
        and calibration[1] > 0
    ):
        raise ValueError(
            f"calibration is {calibration!r:.40}, expected keV of channel 0, and keV from one "
            "channel to the next."
        )


# Reading --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Files:
    """The files of a map, by pixel."""

    folder: Path
    family: Family
    grid: Grid

    def path(self, pixel: int) -> Path:
        return self.folder / self.family.name(int(self.grid.files[pixel]))

    def pixels(self) -> np.ndarray:
        """Return the pixels that have a file, in the order of the numbers in the names."""
        there = np.flatnonzero(self.grid.files >= 0)
        if not self.family.n_numbers:
            return there
        numbers = self.family.table[self.grid.files[there]]
        return there[np.lexsort(numbers.T[::-1])]


@dataclass
class _Scratch:
    """Counts in a temporary file, in a type that all of them fit."""

    path: Path
    file: BinaryIO
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.uint16))

    def append(self, counts: np.ndarray, dtype: np.dtype) -> None:
        # Where one has a sign and the other 64 bits, float64 holds what is up to 2**53.
        wider = np.result_type(self.dtype, dtype)
        if wider != self.dtype:
            self._widen(wider)
        self.file.write(np.ascontiguousarray(counts.astype(self.dtype)).data)

    def _widen(self, dtype: np.dtype) -> None:
        old, new = self.path, self.path.with_name(f"counts_{dtype.name}")
        self.file.close()
        with open(old, "rb") as source, open(new, "xb") as target:
            while part := source.read(_BATCH_BYTES):
                target.write(np.frombuffer(part, self.dtype).astype(dtype).data)
        old.unlink()
        self.path, self.dtype, self.file = new, dtype, open(new, "ab")  # noqa: SIM115


@contextmanager
def _scratch(path: Path) -> Iterator[_Scratch]:
    """Give a file for counts, which is gone afterwards."""
    scratch = _Scratch(path, open(path, "xb"))  # noqa: SIM115
    try:
        yield scratch
    finally:
        scratch.file.close()
        scratch.path.unlink(missing_ok=True)


class _Pass:
    """What a pass over the files finds.

    Attributes
    ----------
    files
        The files.
    first
        The spectrum by which others are judged.
    n_channels, n_detectors
        That most files have.
    scratch
        Where counts go.
    live, real
        float64, (detectors, pixels), s; NaN where they are not known.
    n_others, others
        Files that have another calibration, and the first of them.
    n_unread, unread
        Files that cannot be read, and the first of them.
    n_said, said
        Files of which something is wrong, and what it is of the first of them.
    odd
        Files that have other channels or detectors.
    """

    def __init__(self, files: _Files, first: Spectrum, scratch: _Scratch) -> None:
        self.files, self.first, self.scratch = files, first, scratch
        self.n_channels, self.n_detectors = first.counts.shape
        self.n_pixels = math.prod(files.grid.shape)
        self.live = np.full((self.n_detectors, self.n_pixels), np.nan)
        self.real = self.live.copy()
        self.n_others, self.others = 0, list[str]()
        self.n_unread, self.unread = 0, list[str]()
        self.n_said, self.said = 0, ""
        self.odd = list[str]()
        self.lock = threading.Lock()

    def read_batch(self, start: int, stop: int) -> tuple[np.ndarray, np.dtype]:
        """Read the files of some pixels; return their counts and the type that holds them."""
        counts = np.zeros((stop - start, self.n_channels))
        for pixel in range(start, stop):
            if self.files.grid.files[pixel] < 0:
                continue
            spectrum = self._read_one(pixel)
            if spectrum is not None:
                own = spectrum.counts
                counts[pixel - start] = (
                    own[:, 0] if own.shape[1] == 1 else own.sum(axis=1)
                )
                if spectrum.live:
                    self.live[:, pixel] = spectrum.live
                if spectrum.real:
                    self.real[:, pixel] = spectrum.real
        least, most, is_whole = describe(counts)
        is_narrow = is_whole and least == 0 and most < 2**16
        dtype = np.dtype(np.uint16) if is_narrow else dtype_of(least, most, is_whole)
        return counts, dtype

    def _read_one(self, pixel: int) -> Spectrum | None:
        path = self.files.path(pixel)
        try:
            spectrum = read_spectrum(path)
        except (FileFormatError, OSError) as exc:
            self._note_unread(path, str(exc))
            return None
        if spectrum.counts.shape != self.first.counts.shape:
            if spectrum.is_cut and spectrum.counts.shape[1] == self.n_detectors:
                self._note_unread(path, spectrum.problems[0])
                return None
            with self.lock:
                n_channels, n_detectors = spectrum.counts.shape
                self.odd.append(f"{path.name} has {n_channels} x {n_detectors}")
            return None
        if spectrum.problems:
            with self.lock:
                self.n_said += 1
                self.said = self.said or f"{path.name}, {'; '.join(spectrum.problems)}"
        if spectrum.calibrations != self.first.calibrations and self._is_apart(spectrum):
            with self.lock:
                self.n_others += 1
                self.others = sorted([*self.others, path.name])[:NAMED]
        return spectrum

    def _is_apart(self, spectrum: Spectrum) -> bool:
        """Tell whether energies differ from those of the first spectrum."""
        ours, first = spectrum.calibrations, self.first.calibrations
        if len(ours) != len(first):
            return True
        last = np.array([1.0, self.n_channels, self.n_channels**2])
        for own, other in zip(ours, first, strict=True):
            n = min(len(own), len(other))
            steps = np.abs((np.subtract(own[:n], other[:n])) * last[:n])
            if not steps.sum() <= _APART * abs(other[1]):
                return True
        return False

    def _note_unread(self, path: Path, problem: str) -> None:
        with self.lock:
            self.n_unread += 1
            text = problem.removeprefix(f"{path}: ").partition("(byte")[0].rstrip(" .")
            self.unread = [*self.unread, f"{path.name} ({text})"][:NAMED]


def _look_at_some(files: _Files) -> Spectrum:
    """Return the spectrum by which others are judged: of the shape that most of some have."""
    found: list[Spectrum] = []
    problem: Exception | None = None
    pixels = files.pixels()
    some = np.unique(np.linspace(0, len(pixels) - 1, _SAMPLE).astype(int))
    for pixel in pixels[some].tolist():
        try:
            found.append(read_spectrum(files.path(pixel)))
        except (FileFormatError, OSError) as exc:
            problem = problem or exc
    if not found and problem is not None:
        raise problem
    shapes = [spectrum.counts.shape for spectrum in found if not spectrum.is_cut]
    shapes = shapes or [spectrum.counts.shape for spectrum in found]
    usual = max(shapes, key=shapes.count)
    return next(s for s in found if s.counts.shape == usual)


def _read_all(pass_: _Pass, show_progressbar: bool | None) -> None:
    """Read all files, in threads, and write their counts in the order of the pixels."""
    n_bytes = 8 * pass_.n_channels
    step = max(1, min(_MOST_FILES, _BATCH_BYTES // n_bytes))
    n_pixels = pass_.n_pixels
    name = pass_.files.folder.name
    counted = count_bar(n_pixels, f"Reading {name}", show_progressbar)
    waiting: deque[Future] = deque()
    with counted as bar, ThreadPoolExecutor(_n_threads()) as threads:
        try:
            for start in range(0, n_pixels, step):
                stop = min(start + step, n_pixels)
                waiting.append(threads.submit(pass_.read_batch, start, stop))
                if len(waiting) > _n_threads() + 1:
                    _take(waiting, pass_, bar.update)
            while waiting:
                _take(waiting, pass_, bar.update)
        finally:
            for future in waiting:
                future.cancel()
    pass_.scratch.file.flush()
    _warn(pass_)


def _n_threads() -> int:
    # Those that wait for a disk or a server do not keep others waiting.
    return min(16, cpu_count() + 2)


def _take(waiting: deque[Future], pass_: _Pass, advance: Callable[[int], Any]) -> None:
    counts, dtype = waiting.popleft().result()
    _check_shapes(pass_)
    pass_.scratch.append(counts, dtype)
    advance(len(counts))


def _check_shapes(pass_: _Pass) -> None:
    """Refuse files of other channels or detectors, as soon as some were found."""
    if pass_.odd:
        n_channels, n_detectors = pass_.n_channels, pass_.n_detectors
        more = and_more(len(pass_.odd) - NAMED)
        raise CorruptFileError(
            f"{pass_.files.folder}: {', '.join(pass_.odd[:NAMED])}{more}, expected "
            f"{n_channels} channels x {n_detectors} detectors, as others of "
            f"{pass_.files.family.pattern} have (the whole files). Choose those of one map by "
            "pattern=, or --pattern on the command line."
        )


def _warn(pass_: _Pass) -> None:
    """Say what files differ, and which cannot be read."""
    folder, n_files = pass_.files.folder, len(pass_.files.family)
    unread, n = "; ".join(pass_.unread), pass_.n_unread
    more = and_more(n - NAMED)
    if 2 * n > n_files:
        raise FileFormatError(
            f"{folder}: {n} of {n_files} files cannot be read, expected most of them to be "
            f"spectra: {unread}{more} (the whole files)."
        )
    if n:
        warn(
            f"{folder}: {n} of {n_files} files cannot be read, {unread}{more}: their pixels "
            "are zeros without dead times."
        )
    if pass_.n_said:
        warn(
            f"{folder}: something is wrong with {pass_.n_said} of {n_files} files, as "
            f"{pass_.said}."
        )
    if pass_.n_others:
        n = pass_.n_others
        more = and_more(n - NAMED)
        warn(
            f"{folder}: the calibration of {n} of {n_files} files, {', '.join(pass_.others)}"
            f"{more}, is another than {pass_.first.calibrations} of the others: that is used "
            "for all."
        )


# The map --------------------------------------------------------------------------------


def _build_signal(
    pass_: _Pass, calibration: tuple[float, float] | None
) -> dict[str, Any]:
    folder, first = pass_.files.folder, pass_.first
    height, width = pass_.files.grid.shape
    terms = calibration or (first.calibrations[0] if first.calibrations else None)
    if calibration is None and len(first.calibrations) > 1:
        meta.warn_of_calibrations(str(folder), first.calibrations, pass_.n_channels)
    axes = [
        build_axis("y", height, None, None),
        build_axis("x", width, None, None),
        meta.energy_axis(str(folder), pass_.n_channels, terms, first.first),
    ]
    times = combine(pass_.live, pass_.real)
    if times.dead is None:
        for values, is_live in ((pass_.real, False), (pass_.live, True)):
            meta.warn_of_uneven(
                str(folder), values.ravel(), is_live, "in the files, and not in the map"
            )
    signal = meta.build_map(
        folder,
        folder.resolve().name,
        axes,
        None
        if times.dead is None
        else times.dead.reshape(-1, height, width).astype(np.float32),
        times.real,
        n_detectors=pass_.n_detectors if pass_.n_detectors > 1 else 0,
        instrument={"file": first.dialect, "files": pass_.files.family.pattern},
        beam_energy=first.beam_energy,
        date=parse_moment(first.date),
        live_time=times.live,
    )
    put_share(signal, times)
    scratch = pass_.scratch
    table = Table.of_run(
        LocalFile.of(scratch.path), 0, (height, width, pass_.n_channels), scratch.dtype
    )
    signal["data"] = from_source(ChunkedArray(table))
    signal["original_metadata"] = meta.clean(first.keywords())
    return signal


def _save(signal: dict[str, Any], destination: Path, options: dict[str, Any]) -> None:
    """Write a map as HyperSpy does, which chooses the writer by the extension."""
    from hyperspy.io import dict2signal

    if destination.suffix.lower() == ".h5":  # several writers have it
        options = {"file_format": "ESRF"} | options
    if destination.suffix.lower() in (".hspy", ".zspy"):
        options = {"show_progressbar": False} | options
    dict2signal(signal, lazy=True).save(destination, overwrite=True, **options)
