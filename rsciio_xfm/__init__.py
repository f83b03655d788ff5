"""X-ray spectrum maps larger than memory, in HyperSpy and RosettaSciIO.

Importing this package registers its file formats with RosettaSciIO and costs next to
nothing: HyperSpy, dask and numba are imported when a file is opened.
"""

import importlib
from types import ModuleType

from rsciio_xfm._register import register

__version__ = "0.1.0"

__all__ = ["__version__", "analysis", "edax", "exceptions", "geopixe", "signals"]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


register()
