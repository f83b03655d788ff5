"""Packages that not everybody needs."""

import importlib
import sys
import warnings
from types import ModuleType

_PACKAGES = {"sklearn": "scikit-learn", "umap": "umap-learn"}


def require(module: str, extra: str) -> ModuleType:
    """Import a module of an optional package.

    Parameters
    ----------
    module
        Its name.
    extra
        The extra of rsciio_xfm that installs it.

    Raises
    ------
    ImportError
        It is not installed; the message says how to install it.
    """
    imported = sys.modules.get(module)
    specification = getattr(imported, "__spec__", None)
    if imported is not None and not getattr(specification, "_initializing", False):
        return imported  # asked for by each of many small steps
    package = module.split(".", maxsplit=1)[0]
    try:
        with warnings.catch_warnings():
            # Of what the packages do not find themselves.
            warnings.simplefilter("ignore", ImportWarning)
            return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.split(".")[0] != package:
            raise
        raise ImportError(
            f"{_PACKAGES.get(package, package)} is needed for this and not installed: "
            f'pip install "rsciio-xfm[{extra}]"'
        ) from exc
