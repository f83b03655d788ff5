"""Headers and counters of scans, as silx reads them."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ENOENT
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.dates import parse_datetime
from rsciio_xfm.core.extras import require
from rsciio_xfm.core.scan import Grid, make_grid
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.spec.index import Index

_BLOCK_BYTES = 16 * 2**20
_SHOWN = 12


@contextmanager
def _opened(path: Path, is_text: bool, lacks_blank: bool) -> Iterator[Any]:
    """Open a SPEC file, or a copy of one that it would not read, with silx.

    Raises
    ------
    FileFormatError
        It has no scan, or silx cannot read it.
    """
    specfile = require("silx.io.specfile", "esrf")
    with contextlib.ExitStack() as stack:
        name = str(path)
        is_copied = not is_text or lacks_blank
        if not is_copied and not name.isascii():  # which silx does not take
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            name = os.path.join(folder, "a.spec")
            try:
                os.symlink(os.path.abspath(path), name)
            except OSError:  # not on Windows
                shutil.copyfile(path, name)
        if is_copied:
            encoding = "utf-8" if is_text else "latin-1"  # that of an old computer
            copy = stack.enter_context(tempfile.NamedTemporaryFile(suffix=".spec"))
            with open(path, encoding=encoding, newline="") as text:
                while part := text.read(_BLOCK_BYTES):
                    copy.write(part.encode("utf-8"))
            copy.write(b"   \n" if lacks_blank else b"")
            copy.flush()
            name = copy.name
        try:
            file = specfile.SpecFile(name)
            n_scans = len(file)
        except Exception as exc:
            if getattr(exc, "errno", None) is not None:
                raise
            raise FileFormatError(
                f"{path}: silx cannot read it: {exc!r}. Expected a SPEC file (byte 0)."
            ) from exc
        stack.callback(file.close)
        if not n_scans:
            raise FileFormatError(f"{path}: it has no line that begins with #S (byte 0).")
        yield file


def read_scans(
    path: Path, index: Index, wanted: list[str] | None = None, has_data: bool = True
) -> tuple[list[str], dict[int, "SpecScan | CorruptFileError"]]:
    """Read all but the spectra with silx.

    Parameters
    ----------
    path, index
        The file, and its spectra.
    wanted
        Which scans; None is all.
    has_data
        Whether counters are read too.

    Returns
    -------
    keys : list of str
        Of all scans.
    scans : dict
        Those that are wanted by their number in the file, or what is wrong with them.
    """
    with _opened(path, index.is_text, index.lacks_blank) as file:
        keys = list(file.keys())
        if len(keys) != len(index.n_lines):
            raise CorruptFileError(
                f"{path}: silx finds {len(keys)} scans, expected {len(index.n_lines)}, as "
                "many as lines that begin with #S (byte 0, the whole file)."
            )
        scans: dict[int, SpecScan | CorruptFileError] = {}
        for i in _choose(path, keys, wanted):
            n_lines = int(index.n_lines[i])
            try:
                scan = _read_scan(path, keys[i], file[i], n_lines, has_data)
                is_last = i == len(keys) - 1
                if is_last and index.cut_in == "counters" and scan.data.size:
                    scan.data[-1, -1] = np.nan
                    warn(
                        f"{path}: the file ends within a line, of counters of scan "
                        f"{keys[i]}, whose last number may go on: it is left out."
                    )
                scans[i] = scan
            except Exception as exc:  # silx raises many of them
                scans[i] = CorruptFileError(
                    f"{path}: silx cannot read scan {keys[i]}: {exc!r} (its spectra begin "
                    f"with number {int(index.first[i])} of the file)."
                )
        return keys, scans


def _read_scan(
    path: Path, key: str, scan: Any, n_lines: int, has_data: bool
) -> "SpecScan":
    data = np.empty((0, 0))
    if n_lines and has_data:
        data = np.asarray(scan.data, dtype=np.float64)
        data = data if data.ndim == 2 else data.reshape(1, -1)
    return SpecScan(
        path,
        key,
        n_lines,
        [*scan.labels] if n_lines else [],
        data,
        dict(scan.scan_header_dict),
        dict(scan.mca_header_dict),
        dict(scan.file_header_dict),
        {str(name) for name in scan.motor_names},
    )


def _choose(path: Path, keys: list[str], wanted: list[str] | None) -> list[int]:
    """Return which scans are read."""
    if wanted is None:
        return list(range(len(keys)))
    chosen = []
    for name in wanted:
        key = str(name).strip("/")
        key = key if "." in key else f"{key}.1"
        if key not in keys:
            shown = ", ".join(keys[:_SHOWN]) + (" ..." if len(keys) > _SHOWN else "")
            raise FileNotFoundError(
                ENOENT,
                f"The file has no scan {name!r}, expected as dataset_path one of {shown}",
                str(path),
            )
        chosen.append(keys.index(key))
    return chosen


@dataclass(frozen=True)
class SpecScan:
    """What silx reads of a scan.

    Attributes
    ----------
    path, key
        The file, and the number of the scan in it, as ``"94.1"``.
    n_lines
        How many lines of counters are in the file.
    labels, data
        Names of the counters, and float64 of shape (counters, points).
    scan_header, mca_header, file_header
        Lines by their key.
    motors
        Names.
    """

    path: Path
    key: str
    n_lines: int
    labels: list[str]
    data: np.ndarray
    scan_header: dict[str, str]
    mca_header: dict[str, str]
    file_header: dict[str, str]
    motors: set[str]

    @property
    def command(self) -> str:
        """As it was typed."""
        words = self.scan_header.get("S", "").split(maxsplit=1)
        return words[1] if len(words) > 1 else ""

    @property
    def is_whole(self) -> bool:
        """Whether silx has read all lines of counters, and nothing else for such."""
        return self.data.shape[1] == self.n_lines

    def grid(self, n_points: int, navigation_shape: tuple[int, ...] | None) -> Grid:
        """Find where its points lie."""
        command = self.command
        # Counters are no motors; those that the command names are.
        named = set(re.findall(r"[^\s,()]+", command)) | self.motors
        positions = {}
        if self.is_whole:
            pairs = zip(self.labels, self.data, strict=False)
            positions = {name: (p, None) for name, p in pairs if name in named}
        where = f"{self.path}: scan {self.key}"
        return make_grid(
            where, n_points, command, positions, navigation_shape=navigation_shape
        )

    def date(self) -> Any:
        """Return when it began."""
        return parse_datetime(self.scan_header.get("D"))

    def tree(self) -> dict[str, Any]:
        """Return headers and the motors at the start, for original metadata."""
        return meta.clean(
            {
                "scan": self.key,
                "motors": self.positions(),
                "scan_header": self.scan_header,
                "mca_header": self.mca_header,
                "file_header": self.file_header,
            }
        )

    def positions(self) -> dict[str, float]:
        """Return the positions of the motors at the start.

        Line by line, as silx counts blanks at an end as a position.
        """
        found: dict[str, float | None] = {}
        for key, line in self.file_header.items():
            number = re.fullmatch(r"O(\d+)", key)
            if number is None:
                continue
            values = self.scan_header.get(f"P{number[1]}", "").split()
            # Names may hold a blank: two of them are between names.
            names = re.split(r"\s{2,}", line.strip())
            names = names if len(names) == len(values) else line.split()
            if len(names) == len(values):
                found |= zip(names, map(meta.number, values), strict=True)
        return {name: value for name, value in found.items() if value is not None}

    def read_counters(
        self, navigation_shape: tuple[int, ...] | None
    ) -> dict[str, Any] | None:
        """Make a signal of the counters; None if it has no points."""
        if not self.n_lines:
            return None
        if not self.is_whole:
            raise CorruptFileError(
                f"{self.path}: scan {self.key} has {self.n_lines} lines of counters, of which "
                f"silx reads {self.data.shape[1]}, expected numbers for each of "
                f"{len(self.labels)} labels (byte 0, the whole file)."
            )
        grid = self.grid(self.n_lines, navigation_shape)
        labels = [*self.labels, *map(str, range(len(self.data)))][: len(self.data)]
        counters: dict[str, np.ndarray] = {}
        for label, column in zip(labels, self.data, strict=True):
            counters[meta.new_name(label, counters)] = grid.place(column)
        signal = meta.build_counters(
            self.path,
            f"{self.path.stem} {self.key} counters",
            counters,
            grid.axes,
            {"command": self.command},
            self.date(),
        )
        return None if signal is None else signal | {"original_metadata": self.tree()}


def planned_channels(scan: SpecScan) -> float | None:
    """Return how many channels #@CHANN says a spectrum has."""
    return next(iter(mca_numbers(scan, "CHANN", 0)), None)


def mca_numbers(scan: SpecScan, key: str, number: int) -> list[float | None]:
    """Return the numbers of a line of the header, of a detector if there is one for each."""
    lines = scan.mca_header.get(key, "").splitlines()
    line = lines[min(number, len(lines) - 1)] if lines else ""
    return [meta.number(word) for word in line.split()]


def times_of(scan: SpecScan) -> tuple[float | None, float | None, float | None]:
    """Return preset, live and real time in s from #@CTIME, None for what is not there."""
    values = [*mca_numbers(scan, "CTIME", 0)[:3], None, None, None][:3]
    preset, live, real = (v if v is not None and v > 0 else None for v in values)
    return preset, live, real
