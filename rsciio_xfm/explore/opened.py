"""A map that is open in the explorer: read by this package alone, without HyperSpy."""

import functools
import importlib.util
import inspect
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm._register import find_reader
from rsciio_xfm.core import beam
from rsciio_xfm.core.beam import find
from rsciio_xfm.core.cache import Entry
from rsciio_xfm.core.dead_time import (
    combine_dead_time,
    live_fraction,
    mean_live_fraction,
)
from rsciio_xfm.core.eds import DETECTOR_NODES, PER_KEV, with_times_of_one_spectrum
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.core.warning import collected
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.explore.cube_identity import sources_of
from rsciio_xfm.explore.lines import RESOLUTION, Axis, window_of
from rsciio_xfm.explore.overview import Overview

_MOST_FILES = 16  # of a map of many files, that are looked at whether they have changed
_PART = 2**20  # dead times that are looked at together
_OWN = {"filename", "lazy"}  # options of a reader that the explorer gives


def read_signals(path: Path, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Read what a file holds, lazily, by the reader of this package for it.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        There is no reader for it, or it is damaged.
    """
    reader = find_reader(path)
    if reader is None:
        raise FileFormatError(
            f"{path}: the extension is {path.suffix!r}, expected one of a format that "
            "this package reads. Open it in HyperSpy and call s.explore()."
        )
    return reader.file_reader(path, lazy=True, **options)


def check_options(path: Path, options: Mapping[str, Any]) -> None:
    """Refuse options that the reader of a file does not have.

    Raises
    ------
    TypeError
        It does not have one of them; the message names those that it has.
    """
    reader = find_reader(path)
    if reader is None:
        return
    known = inspect.signature(reader.file_reader).parameters.keys() - _OWN
    wrong = options.keys() - known
    if wrong:
        raise TypeError(
            f"{path}: its reader has no option {', '.join(sorted(wrong))}, expected some of "
            f"{', '.join(sorted(known))}."
        )


def choose_map(signals: list[dict[str, Any]], path: Path | str) -> dict[str, Any]:
    """Return the map of X-ray spectra of a file, the largest of several.

    Raises
    ------
    NoMapError
        There is none.
    """

    def is_spectra(signal: dict[str, Any]) -> bool:
        roles = [axis["navigate"] for axis in signal["axes"]]
        return bool(roles) and roles == [True] * (len(roles) - 1) + [False]

    def rank(signal: dict[str, Any]) -> tuple[bool, int]:
        kind = find(signal["metadata"], "Signal.signal_type") or ""
        return kind.startswith("EDS"), math.prod(signal["data"].shape)

    found = [signal for signal in signals if is_spectra(signal)]
    if not found:
        raise NoMapError(f"{path}: it holds no map of spectra, expected one.")
    return max(found, key=rank)


class NoMapError(FileFormatError):
    """A file that is read, but holds no map of spectra.

    Attributes
    ----------
    hint
        What the reader said of it.
    """

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


class Opened:
    """A map that is open.

    Parameters
    ----------
    signal
        Dictionary of a signal, as readers return it.
    name
        What people call it.
    path
        Of its file; None if it has none.

    Attributes
    ----------
    shape
        Rows, columns and channels; a line scan has one row, a spectrum one pixel, and
        further axes are rows below each other.
    data
        The spectra, with the axes that they have in the file.
    overview
        Counts of each pixel, sum and maximum of the spectra.
    """

    def __init__(
        self, signal: dict[str, Any], name: str, path: Path | None = None
    ) -> None:
        self.signal, self.name, self.path = signal, name, path
        self.options: Mapping[str, Any] = {}  # of the reader
        self.number: int | None = None  # of the signal, if the file has several
        self.warnings: tuple[str, ...] = ()  # of the reader
        data = signal["data"]
        self.data = data[np.newaxis] if data.ndim == 1 else data
        self.nav_shape, n_channels = tuple(self.data.shape[:-1]), self.data.shape[-1]
        if 0 in self.data.shape:
            raise FileFormatError(f"{path or name}: the map is empty.")
        n_columns = self.nav_shape[-1]
        n_rows = math.prod(self.nav_shape[:-1])
        self.shape = (n_rows, n_columns, n_channels)
        self.metadata: dict[str, Any] = signal["metadata"]
        self.source = source_of(self.data)
        self.files: tuple[LocalFile, ...] = ()
        if path is not None:
            own = LocalFile.of(path)
            others = {f for f in sources_of(self.source) if isinstance(f, LocalFile)}
            self.files = (own, *sorted(others - {own}, key=str)[:_MOST_FILES])
        self.is_broken = False  # whether reading it has failed
        self.overview = Overview(self.data, self.shape)

    @classmethod
    def read(cls, path: Path, options: Mapping[str, Any], name: str = "") -> "Opened":
        """Open a file."""
        with collected() as warnings:
            signals = read_signals(path, options)
        try:
            signal = choose_map(signals, path)
        except NoMapError as error:
            raise NoMapError(str(error), " ".join(dict.fromkeys(warnings))) from None
        opened = cls(signal, name or path.name, path)
        opened.warnings = tuple(dict.fromkeys(warnings))
        opened.options = dict(options)
        if len(signals) > 1:
            opened.number = next(i for i, one in enumerate(signals) if one is signal)
        return opened

    @property
    def reader_name(self) -> str:
        """Of the format: ``"edax"``; empty without a file."""
        reader = None if self.path is None else find_reader(self.path)
        return "" if reader is None else reader.__name__.rpartition(".")[2]

    @property
    def is_eds(self) -> bool:
        """Whether the signal is one that knows X-ray lines."""
        kind = find(self.metadata, "Signal.signal_type")
        return isinstance(kind, str) and kind.startswith("EDS")

    def window_of(self, line: str, given: tuple[float, float] | None) -> tuple[int, int]:
        """Return the channels of a line's window; see :func:`lines.window_of`."""
        axis = self.energies(given)
        if axis is None:
            raise ValueError(
                f"The line {line} has no window: the energy axis is not even."
            )
        return window_of(line, axis, self.resolution)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.shape[:2]

    @property
    def identity(self) -> str:
        """Tells this map from what the file held before or holds later."""
        return "-".join(map(str, self.files[0].version)) if self.files else ""

    def is_changed(self) -> bool:
        """Tell whether the file was written again, replaced or deleted."""
        return any(map(_is_changed, self.files))

    def is_gone(self) -> bool:
        """Tell whether the file, or one that goes with it, is not there any more."""
        return not all(Path(file.name).exists() for file in self.files)

    @cached_property
    def axis(self) -> Axis | None:
        """Energies of the channels; None if they are not even."""
        own = self.signal["axes"][-1]
        if "scale" not in own:
            return None
        units = own.get("units")
        units = units if isinstance(units, str) else ""
        return Axis(float(own["offset"]), float(own["scale"]), units, self.shape[2])

    def energies(self, given: tuple[float, float] | None) -> Axis | None:
        """Return the energies of the channels, or those that are given, keV."""
        if given is not None:
            return Axis(*given, "keV", self.shape[2])
        return self.axis

    @cached_property
    def resolution(self) -> float:
        """Full width at half maximum of Mn Ka, eV."""
        for node in DETECTOR_NODES:
            value = find(self.metadata, f"{node}.energy_resolution_MnKa")
            if isinstance(value, int | float) and 1 < value < 1000:
                return float(value)
        return RESOLUTION

    @cached_property
    def pixel(self) -> dict[str, Any] | None:
        """Sizes of a pixel and their unit; None if they are not known or not alike."""
        axes = self.signal["axes"][:-1][-2:]
        steps = [
            (axis.get("scale"), axis.get("units"))
            for axis in axes
            if isinstance(axis.get("units"), str) and axis.get("scale")
        ]
        if len(steps) != len(axes) or not steps or len({u for _, u in steps}) > 1:
            return None
        sizes = [abs(float(scale)) for scale, _ in steps]
        return {"size_y": sizes[0], "size_x": sizes[-1], "units": steps[0][1]}

    def area(self, n_pixels: int) -> float | None:
        """Return the area of pixels, in the square of their unit; None if not known."""
        if self.pixel is None or len(self.nav_shape) != 2:
            return None
        return n_pixels * self.pixel["size_y"] * self.pixel["size_x"]

    @cached_property
    def _eds(self) -> dict[str, Any]:
        """What the metadata say of the detector, times being those of one spectrum."""
        try:
            metadata = with_times_of_one_spectrum(self.metadata)
        except (KeyError, TypeError, ValueError, AttributeError):
            metadata = self.metadata
        for node in DETECTOR_NODES:
            found = find(metadata, node)
            if isinstance(found, Mapping):
                return dict(found)
        return {}

    @cached_property
    def _dead(self) -> np.ndarray | None:
        """Dead times, percent, with the detectors first if there are several."""
        carried = self._eds.get("_sig_dead_time")
        if carried is None:
            return None
        values = np.asarray(carried["data"])
        return values if values.shape[-len(self.nav_shape) :] == self.nav_shape else None

    def dead_time(self) -> np.ndarray | None:
        """Return the dead time of each pixel, percent; None if it is not known."""
        dead = self._dead
        if dead is None:
            return None
        if dead.ndim > len(self.nav_shape):
            dead = combine_dead_time(dead, (0,))
        return dead.reshape(self.image_shape)

    @cached_property
    def times(self) -> tuple[float | None, float | None]:
        """Mean real and live time of a spectrum, s."""

        def number(name: str) -> float | None:
            value = self._eds.get(name)
            if isinstance(value, int | float | np.number) and value > 0:
                return float(value)
            return None

        return number("real_time"), number("live_time")

    @cached_property
    def _mean_live(self) -> float:
        """Mean live fraction of all pixels; 1 without dead times."""
        return 1.0 if self._dead is None else mean_live_fraction(self._dead)

    def times_of(self, mask: np.ndarray | None) -> tuple[float | None, float | None]:
        """Return real and live time of some pixels together, s; of all with None.

        No image of live times is kept: of a large map it would be larger than its counts.
        """
        real, live = self.times
        n_pixels = math.prod(self.image_shape) if mask is None else int(mask.sum())
        total = None if real is None else real * n_pixels
        mean = self._mean_live
        fractions = mean * n_pixels if mask is None else self._live_fractions(mask)
        if live is not None:
            return total, fractions * (live / mean) if mean else 0.0
        if real is not None and self._dead is not None:
            return total, fractions * real
        return total, None

    def _live_fractions(self, mask: np.ndarray) -> float:
        """Return the sum of the live fractions of some pixels."""
        if self._dead is None:
            return float(mask.sum())
        height, width = self.image_shape
        detectors = self._dead.reshape(-1, height, width)  # one, if they were not apart
        step = max(1, _PART // (width * len(detectors)))
        total = 0.0
        for first in range(0, height, step):
            rows = slice(first, first + step)
            total += float(live_fraction(detectors[:, rows][:, mask[rows]]).sum())
        return total / len(detectors)

    def info(self) -> dict[str, Any]:
        """Return what the page is told of the map."""
        axis, seen = self.axis, self.overview
        has_energies = axis is not None and axis.units in PER_KEV
        real, live = self.times_of(None)
        detector = self._eds.get("detector_type")
        said = beam.describe(functools.partial(find, self.metadata))
        return {
            "name": self.name,
            "title": str(find(self.metadata, "General.title") or ""),
            "shape": list(self.shape),
            "dtype": self.data.dtype.name,
            "energy": {"offset": axis.offset, "scale": axis.scale, "units": axis.units}
            if axis is not None and has_energies
            else None,
            "resolution": self.resolution,
            "pixel": self.pixel,
            "detector": detector if isinstance(detector, str) else None,
            "live_time": live,
            "real_time": real,
            "overview": seen.state(),
            "dead_time": self._dead is not None,
            "fit": has_all("xraylib", "threadpoolctl"),
            "classify": has_all("sklearn"),
            "excitation": {"text": said, "source": "none" if said is None else "file"},
            "elements": [str(e) for e in find(self.metadata, "Sample.elements") or ()],
            "identity": self.identity,
            "file_changed": self.is_changed(),
            "file_gone": self.is_gone(),
            "error": seen.error,
            "warnings": list(self.warnings),
        }

    def overview_entry(self) -> Entry | None:
        """Return where the overview is kept for the next time; None if there is no file."""
        if not self.files or self.source is None:
            return None
        # What the array is tells other files too that it is made of.
        return Entry.of("overview-1", self.files[0], str(getattr(self.data, "name", "")))

    @property
    def nbytes(self) -> int:
        """How much memory it holds, about."""
        seen = self.overview
        held = [seen.counts, seen.total, seen.highest]
        held += [] if self._dead is None else [self._dead]
        n_bytes = sum(array.nbytes for array in held)
        if not seen.is_done:
            # Counts are as wide as can be, and there are several of them.
            n_bytes = max(n_bytes, math.prod(self.image_shape) * 16)
        return n_bytes + 2**20


def _is_changed(file: LocalFile) -> bool:
    try:
        version = LocalFile.of(file.name).version
    except (OSError, FileFormatError):
        return True
    return version[0] < file.size if file.may_grow else version != file.version


def has_all(*modules: str) -> bool:
    """Tell whether optional packages are installed."""
    return all(importlib.util.find_spec(module) is not None for module in modules)
