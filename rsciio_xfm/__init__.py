"""X-ray spectrum maps larger than memory, in HyperSpy and RosettaSciIO.

Importing this package registers its file formats with RosettaSciIO and costs next to
nothing: HyperSpy, dask and numba are imported when a file is opened.
"""

import importlib
from typing import Any

from rsciio_xfm._register import register

__version__ = "0.1.0"

_MODULES = (
    "analysis",
    "data",
    "datastack",
    "edax",
    "emd",
    "esrf",
    "exceptions",
    "geopixe",
    "msa",
    "ripple",
    "signals",
)
# Functions of signals of any type.
_FUNCTIONS = ("classify", "estimate_n_classes", "kmeans", "pca", "umap")

__all__ = ["__version__", *_MODULES, *_FUNCTIONS]  # noqa: PLE0604


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"{__name__}._classify"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


register()
