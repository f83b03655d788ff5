"""The explorer: maps in the browser, for one person or a class."""

import sys
import types
from typing import Any

__all__ = ["serve"]


class _Callable(types.ModuleType):
    """A module that can be called: ``rsciio_xfm.explore(path)`` opens the browser."""

    def __call__(self, what: Any, **options: Any) -> Any:
        """Explore a map in the browser; see :func:`rsciio_xfm.explore.start.explore`."""
        from rsciio_xfm.explore.start import explore

        return explore(what, **options)


def serve(folder: Any, **options: Any) -> Any:
    """Let others explore a folder; see :func:`rsciio_xfm.explore.start.serve`."""
    from rsciio_xfm.explore.start import serve as start

    return start(folder, **options)


sys.modules[__name__].__class__ = _Callable
