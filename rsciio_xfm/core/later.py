"""dask, imported when it is first used: what only looks at a file does without it."""

import functools
import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["cpu_count", "da", "dask"]


class _Later:
    """A module that is imported when something of it is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self._name), name)


if TYPE_CHECKING:
    import dask
    import dask.array as da
else:
    da, dask = _Later("dask.array"), _Later("dask")


@functools.cache
def cpu_count() -> int:
    """Return how many threads compute: as many as the processors that this process may use."""
    from dask.system import CPU_COUNT

    return CPU_COUNT
