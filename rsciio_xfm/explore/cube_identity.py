"""Which map a cache is of: what tells it, and the files that it is in, from any other."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any

from rsciio_xfm.core import faults
from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.config import SETTLED_S
from rsciio_xfm.core.source import LocalFile, Source
from rsciio_xfm.explore.cube_layout import Layout

KIND = "cube-2"  # and the version of the files
_PLAIN = frozenset((str, bytes, bool, int, float, type(None)))


def sources_of(value: Any) -> Iterator[Source]:
    """Yield the files that are somewhere in the fields of an array."""
    if isinstance(value, Source):
        yield value
    elif isinstance(value, dict):
        yield from sources_of(tuple(value.values()))
    elif isinstance(value, tuple | list):
        if not _PLAIN.issuperset(map(type, value)):  # as large indices have them
            for item in value:
                yield from sources_of(item)
    elif is_dataclass(value) and not isinstance(value, type):
        found = getattr(value, "source", None)
        if isinstance(found, Source):
            yield found
        for field in fields(value):
            yield from sources_of(getattr(value, field.name))


@dataclass(frozen=True)
class Identity:
    """What tells a map, and the file that it is in, from any other.

    Attributes
    ----------
    token
        Of the array: of the paths of its files, their sizes and times, and what is read.
    files
        Name, size (bytes), and times of modification and of change (ns) of each file.
    """

    token: str
    files: tuple[tuple[str, int, int, int], ...]

    @classmethod
    def of(cls, source: FileArray) -> "Identity":
        """Identify the map of an array as its file is now.

        Raises
        ------
        CorruptFileError
            The file is not the one that was opened.
        OSError
            It is not there any more.
        """
        found = []
        for _, one in sorted({s.name: s for s in sources_of(source)}.items()):
            if isinstance(one, LocalFile):
                now = os.stat(one.name)
                identity = (now.st_size, now.st_mtime_ns)
                if identity != one.version[:2]:
                    raise faults.changed(one.name, identity, one.version)
                found.append((one.name, *identity, now.st_ctime_ns))
        return cls(source.__dask_tokenize__(), tuple(found))

    def wait_until_settled(self) -> None:
        """Wait while the file could be written again without its time changing."""
        newest = max((modified for _, _, modified, _ in self.files), default=0)
        left = newest / 1e9 + SETTLED_S - time.time()
        time.sleep(min(max(0.0, left), SETTLED_S))

    @cached_property
    def name(self) -> str:
        """Of the folder: one path's begin alike."""
        return f"{self._path_hash}-{self.token[:16]}"

    @property
    def _path_hash(self) -> str:
        path = self.files[0][0] if self.files else ""
        return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]

    def stamp(self, layout: Layout) -> dict[str, Any]:
        """Return what is written with the cache."""
        own = {"kind": KIND, "token": self.token, "files": self.files}
        return json.loads(json.dumps({**own, "layout": asdict(layout)}))


def are_current(files: Iterable) -> bool:
    """Tell whether files are still those that they were.

    Parameters
    ----------
    files
        As of :class:`Identity`.
    """
    try:
        for name, *expected in files:
            now = os.stat(name)
            if [now.st_size, now.st_mtime_ns, now.st_ctime_ns] != expected:
                return False
    except (OSError, TypeError, ValueError):
        return False
    return True
