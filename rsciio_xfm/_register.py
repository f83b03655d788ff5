"""Tell RosettaSciIO and HyperSpy what this package reads.

RosettaSciIO has no entry point for readers, and HyperSpy opens the list
``rsciio.IO_PLUGINS`` that is in memory when ``hs.load`` is called. HyperSpy looks for
extensions through the entry point group ``hyperspy.extensions``: it calls
:func:`importlib.util.find_spec` with the entry point's name and opens
``hyperspy_extension.yaml`` beside the module found. For a dotted name ``find_spec``
imports the parent package first. The entry point is therefore named
``rsciio_xfm._register``: HyperSpy imports ``rsciio_xfm``, which calls
:func:`register`, before the first file is opened.

Two readers for one extension make ``hs.load`` refuse to choose. A format of ours that
RosettaSciIO reads too names RosettaSciIO's module in its specification (``replaces``): the
existing entry is pointed to our module. RosettaSciIO's stays within reach,
``hs.load(name, file_format=rsciio.edax)``, and the environment variable
``RSCIIO_XFM_TAKE_OVER=0`` leaves it where it was.

All this runs inside ``import hyperspy.api``. So only the standard library, PyYAML and
RosettaSciIO are imported here, and a failure is a warning: it must not keep anybody
from opening a file of another format.
"""

import copy
import functools
import importlib
import os
from pathlib import Path
from typing import Any

import yaml

from rsciio_xfm.core.warning import warn

_PACKAGE = Path(__file__).parent
_SWITCH = "RSCIIO_XFM_TAKE_OVER"
_PACKED = (".gz", ".bz2")  # of a file that fabio unpacks


def read_specifications() -> list[dict]:
    """Read the ``specifications.yaml`` of each format of this package.

    Returns
    -------
    list of dict
        RosettaSciIO's description of a format, with ``api``, the name of the module
        that holds ``file_reader``. They are the caller's own.
    """
    return copy.deepcopy(_read_specifications())


@functools.cache
def _read_specifications() -> list[dict]:
    specifications = []
    for path in sorted(_PACKAGE.glob("formats/*/specifications.yaml")):
        specification = yaml.safe_load(path.read_text(encoding="utf-8"))
        specification["api"] = f"{_PACKAGE.name}.formats.{path.parent.name}"
        specifications.append(specification)
    return specifications


def extension(file: Path) -> str:
    """Return the extension of a file without a point, in small letters."""
    name = file.with_suffix("") if file.suffix.lower() in _PACKED else file
    return name.suffix.lstrip(".").lower()


@functools.cache
def readers() -> dict[str, str]:
    """Return the modules of ours that read lazily, by extension in small letters."""
    found: dict[str, str] = {}
    # What is told by its content comes last: it is not the usual reader of an extension.
    for specification in sorted(
        read_specifications(), key=lambda one: bool(one.get("by_content"))
    ):
        others = specification.get("other_extensions", [])
        for one in [*specification["file_extensions"], *others]:
            if specification["lazy"]:
                found.setdefault(one.lower(), specification["api"])
    return found


@functools.cache
def _readers_by_content() -> dict[str, list[str]]:
    """Return the modules that tell their files from others of the same extension."""
    found: dict[str, list[str]] = {}
    for specification in read_specifications():
        if specification.get("by_content"):
            others = specification.get("other_extensions", [])
            for one in {*specification["file_extensions"], *others}:
                found.setdefault(one.lower(), []).append(specification["api"])
    return found


def find_reader(file: Path) -> Any:
    """Return the module of ours that reads a file, or None.

    The extension tells; where formats share it, one that recognizes the file by its content
    comes first; where none has it, another file beside this one tells.
    """
    suffix = extension(file)
    for name in _readers_by_content().get(suffix, []):
        module = importlib.import_module(name)
        if readers()[suffix] != name and module.recognizes(file):
            return module
    usual = readers().get(suffix) or _reader_of_pair(file)
    return None if usual is None else importlib.import_module(usual)


def _reader_of_pair(file: Path) -> str | None:
    """Return the module that reads a file only because of another beside it, or None."""
    from rsciio_xfm.core.source import find_beside

    for specification in read_specifications():
        other = specification.get("beside", {}).get(extension(file))
        if other is not None and find_beside(file, f".{other}").is_file():
            return specification["api"]
    return None


def takes_over() -> bool:
    """Tell whether our readers take the place of RosettaSciIO's for the same formats."""
    return os.environ.get(_SWITCH, "1").strip().lower() not in ("0", "false", "no", "off")


def register() -> None:
    """Add the formats of this package to ``rsciio.IO_PLUGINS``, each once."""
    try:
        from rsciio import IO_PLUGINS

        specifications = read_specifications()
        for specification in specifications:
            _register_one(IO_PLUGINS, specification)
    except (
        AttributeError,
        ImportError,
        OSError,
        LookupError,
        TypeError,
        ValueError,
        yaml.YAMLError,
    ) as exc:
        warn(
            f"rsciio_xfm could not register its file formats ({exc!r}); other formats "
            "are not affected. Reinstall rsciio_xfm to repair it.",
            RuntimeWarning,
        )


def _register_one(plugins: list[dict], specification: dict) -> None:
    if any(plugin["api"] == specification["api"] for plugin in plugins):
        return
    replaced = specification.get("replaces")
    if replaced is None:
        plugins.append(specification)
    elif takes_over():
        # In place, and the same object: whoever keeps the entry sees ours too.
        for plugin in plugins:
            if plugin["api"] == replaced:
                plugin.update(specification)
                return
        plugins.append(specification)
