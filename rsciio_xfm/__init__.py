"""X-ray spectrum maps larger than memory, in HyperSpy and RosettaSciIO.

Importing this package registers its file formats with RosettaSciIO and costs next to
nothing: HyperSpy, dask and numba are imported when a file is opened.
"""

import importlib
from typing import Any

from rsciio_xfm._register import register

__version__ = "0.1.0"

_FORMATS = (
    "apex",
    "bruker",
    "crono",
    "datastack",
    "edax",
    "emd",
    "esrf",
    "geopixe",
    "hmsa",
    "jeol",
    "mda",
    "msa",
    "oxford",
    "ripple",
    "text_spectra",
)
_MODULES = ("analysis", "data", "exceptions", "explore", "formats", "signals")
# Functions of signals of any type, by the module of signals that they are in.
_FUNCTIONS = {
    "calibrate_energy": "elements",
    "classify": "classify",
    "create_element_model": "fit",
    "estimate_n_classes": "classify",
    "find_elements": "elements",
    "get_element_maps": "fit",
    "kmeans": "classify",
    "load_element_model": "element_model",
    "load_standard": "standards",
    "make_setup": "setups",
    "pca": "components",
    "plot_maps": "map_plots",
    "plot_rgb": "map_plots",
    "plot_spectra": "spectrum_plots",
    "umap": "components",
}
_REPORT = "write_report"

__all__ = ["__version__", *_FORMATS, *_MODULES, *_FUNCTIONS, _REPORT]  # noqa: PLE0604


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    if name in _FORMATS:
        return importlib.import_module(f"{__name__}.formats.{name}")
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _FUNCTIONS:
        module = importlib.import_module(f"{__name__}.signals.{_FUNCTIONS[name]}")
        return getattr(module, name)
    if name == _REPORT:
        return importlib.import_module(f"{__name__}.report").write_report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


register()
