"""Tell RosettaSciIO and HyperSpy what this package reads.

RosettaSciIO has no entry point for readers, and HyperSpy opens the list
``rsciio.IO_PLUGINS`` that is in memory when ``hs.load`` is called. HyperSpy looks for
extensions through the entry point group ``hyperspy.extensions``: it calls
:func:`importlib.util.find_spec` with the entry point's name and opens
``hyperspy_extension.yaml`` beside the module found. For a dotted name ``find_spec``
imports the parent package first. The entry point is therefore named
``rsciio_xfm._register``: HyperSpy imports ``rsciio_xfm``, which calls
:func:`register`, before the first file is opened.

All this runs inside ``import hyperspy.api``. So only the standard library, PyYAML and
RosettaSciIO are imported here, and a failure is a warning: it must not keep anybody
from opening a file of another format.
"""

import warnings
from pathlib import Path

import yaml

_PACKAGE = Path(__file__).parent


def read_specifications() -> list[dict]:
    """Read the ``specifications.yaml`` of each format of this package.

    Returns
    -------
    list of dict
        RosettaSciIO's description of a format, with ``api``, the name of the module
        that holds ``file_reader``.
    """
    specifications = []
    for path in sorted(_PACKAGE.glob("*/specifications.yaml")):
        specification = yaml.safe_load(path.read_text(encoding="utf-8"))
        specification["api"] = f"{_PACKAGE.name}.{path.parent.name}"
        specifications.append(specification)
    return specifications


def register() -> None:
    """Add the formats of this package to ``rsciio.IO_PLUGINS``, each once."""
    try:
        from rsciio import IO_PLUGINS

        known = {plugin["api"] for plugin in IO_PLUGINS}
        IO_PLUGINS.extend(s for s in read_specifications() if s["api"] not in known)
    except (
        ImportError,
        OSError,
        LookupError,
        TypeError,
        ValueError,
        yaml.YAMLError,
    ) as exc:
        warnings.warn(
            f"rsciio_xfm could not register its file formats ({exc!r}); other formats "
            "are not affected. Reinstall rsciio_xfm to repair it.",
            RuntimeWarning,
            stacklevel=2,
        )
