"""The maps that a server shows: one file, or those of a folder, each with a number."""

import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsciio_xfm._register import extension, readers

MOST_MAPS = 2000
_MOST_FOLDERS = 20_000
_FRESH = 2.0  # seconds
# What lies beside a map and is not one: counts of a Ripple header, the sum of EDAX's maps.
_BESIDE = {"raw": "rpl", "spc": "spd"}


@dataclass
class Listing:
    """Files by their numbers, which no path can be made of.

    Attributes
    ----------
    root
        Of the folder, or the file.
    options
        Of readers.
    """

    root: Path
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = self.root.resolve(strict=True)
        self._found: dict[str, Path] = {}
        self._looked = -_FRESH

    @property
    def is_folder(self) -> bool:
        """Whether there may be several maps."""
        return self.root.is_dir()

    def files(self) -> dict[str, Path]:
        """Return the files that are there, by number."""
        if time.monotonic() - self._looked >= _FRESH:
            found = list_files(self.root) if self.is_folder else [self.root]
            self._found = {self.number(path): path for path in found}
            self._looked = time.monotonic()
        return self._found

    def number(self, path: Path) -> str:
        """Return the number of a file: the same whenever the server starts."""
        return hashlib.sha256(os.fsencode(self.name(path))).hexdigest()[:12]

    def name(self, path: Path) -> str:
        """Return what people see: the path within the folder."""
        if path == self.root:
            return path.name
        return path.relative_to(self.root).as_posix()

    def size(self, path: Path) -> int:
        """Return how many bytes a map has, with the counts that lie beside it.

        Raises
        ------
        OSError
            It is not there any more.
        """
        size = path.stat().st_size
        if extension(path) == "rpl":
            for counts in (path.with_suffix(".raw"), path.with_suffix(".RAW")):
                if counts.is_file():
                    return size + counts.stat().st_size
        return size

    def path(self, number: str) -> Path | None:
        """Return a file, None if there is none of this number, or it leads out."""
        path = self.files().get(number)
        if path is None or not is_inside(path, self.root):
            return None
        return path


def list_files(root: Path) -> list[Path]:
    """Return the files of our formats in a folder and below, without those that lead out."""
    known, found = set(readers()), []
    for n_folders, (folder, folders, names) in enumerate(os.walk(root)):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if n_folders >= _MOST_FOLDERS:
            folders.clear()
        held = {name.lower() for name in names}
        for name in sorted(names):
            path = Path(folder, name)
            is_ours = not name.startswith(".") and extension(path) in known
            if is_ours and not _is_beside(path, held) and is_inside(path, root):
                found.append(path)
                if len(found) >= MOST_MAPS:
                    return found
    return found


def _is_beside(path: Path, names: set[str]) -> bool:
    """Tell whether a file goes with a map that is there, and is none of its own."""
    of = _BESIDE.get(extension(path))
    return of is not None and f"{path.stem.lower()}.{of}" in names


def is_inside(path: Path, root: Path) -> bool:
    """Tell whether a file is regular and lies within a folder, links followed."""
    try:
        real = path.resolve(strict=True)
        return real.is_file() and (real == root or real.is_relative_to(root))
    except (OSError, RuntimeError):  # a circle of links
        return False
