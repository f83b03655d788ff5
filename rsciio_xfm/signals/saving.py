"""Saving signals by writers of others: whole or not at all, and never over what was measured.

The writers here do that themselves. RosettaSciIO's write over the file that is there, byte by
byte: they are given another folder, from which what they wrote is moved when it is whole.
"""

import importlib
import math
import shutil
from pathlib import Path
from typing import Any

from hyperspy.signal import BaseSignal
from rsciio import IO_PLUGINS
from rsciio.utils.path import overwrite as ask
from traits.trait_base import Undefined

from rsciio_xfm._register import read_specifications
from rsciio_xfm.core.atomic import refuse_original, replacing_in
from rsciio_xfm.core.progress import progress
from rsciio_xfm.core.warning import warn
from rsciio_xfm.signals.timekeeping import give, is_ours, times_of
from rsciio_xfm.signals.times import Times

_OWN = "rsciio_xfm."
_RIPPLE = (".rpl", ".raw")
_FOLDERS = (".zspy",)
# The text of ours is RosettaSciIO's.
_KNOW_EXSPY = {"rsciio.msa", "rsciio.ripple", "rsciio_xfm.formats.ripple"}
_MOST_OF_TIFF = 42.9  # of the units of an axis, a pixel: its writer has 32 bits for 1e-8
_LARGER = {"nm": "µm", "µm": "mm", "mm": "m"}
_HAS_BAR = (".hspy", ".zspy")  # writers that show a bar of dask's, wherever that goes


def save(
    signal: BaseSignal,
    filename: Any = None,
    overwrite: bool | None = None,
    extension: str | None = None,
    file_format: str | None = None,
    replace_original: bool = False,
    **kwds: Any,
) -> None:
    """Save the signal; see :meth:`hyperspy.api.signals.BaseSignal.save`.

    Parameters
    ----------
    signal
        Of any type.
    filename, overwrite, extension, file_format
        As of HyperSpy's method.
    replace_original
        Replace a file that was not written here, such as the instrument's own, too. That
        is refused otherwise, even with ``overwrite=True``: it could hold more than what
        is saved.
    **kwds
        Of the format's writer.

    Raises
    ------
    ValueError
        The file that is there was not written here; the message says under which name to
        save.
    ImportError
        The writer needs another version of a package.
    OSError
        The file cannot be written; what was there is as it was.

    Notes
    -----
    Whatever the format, a file is written under a temporary name beside and moved in place
    when it is whole. Some of RosettaSciIO's writers know exspy's signal types only: they
    are given a copy in a form that they know.

    Examples
    --------
    >>> s = hs.load("map.GeoPIXE", lazy=True)
    >>> s.inav[20:40, 10:30].save("part.hspy")
    """
    path = find_path(signal, filename, extension, file_format)
    is_wrong = overwrite not in (None, True, False) or (extension and file_format)
    if path is None or is_wrong:  # HyperSpy says what is
        BaseSignal.save(signal, filename, overwrite, extension, file_format, **kwds)
        return
    signal = _in_known_type(signal, path, file_format)
    is_shown = kwds.pop("show_progressbar", None)
    with progress(is_shown):
        if is_own(path, file_format) and _is_written(path):
            insist = {"replace_original": True} if replace_original else {}
            kwds |= insist
            BaseSignal.save(signal, filename, overwrite, extension, file_format, **kwds)
        elif _may_write(path, overwrite, replace_original):
            _save_with_others(signal, path, file_format, kwds)


def _may_write(path: Path, overwrite: bool | None, replace_original: bool) -> bool:
    """Tell whether a file may be written; what is there may be the original."""
    is_there = path.is_file() or (path.is_dir() and path.suffix in _FOLDERS)
    if is_there and not (ask(path) if overwrite is None else overwrite):
        return False
    pair = [path.with_suffix(suffix) for suffix in _RIPPLE]
    for written in [path, *(pair if path.suffix.lower() in _RIPPLE else [])]:
        refuse_original(
            written, is_original, replace_original, None if _is_written(path) else ".hspy"
        )
    return True


def _save_with_others(
    signal: BaseSignal, path: Path, file_format: str | None, kwds: dict[str, Any]
) -> None:
    """Save with a writer of RosettaSciIO's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() in _HAS_BAR:
        kwds["show_progressbar"] = False
    is_told = progress(doing=f"writing {path.name}")
    with replacing_in(path.parent, path) as temporary, is_told:
        _write_to(temporary / path.name, path, signal, file_format, kwds)
    signal.tmp_parameters.set_item("folder", path.parent)


def fit_tiff(image: BaseSignal) -> None:
    """Give an image the units in which RosettaSciIO's writer of TIFF can hold its pixels.

    The sizes of pixels in it are above 0: where an axis descends, its places are left out,
    and where no unit does, its units, too, with a warning.
    """
    axes = image.axes_manager.signal_axes
    for axis in axes:
        if axis.scale < 0:
            axis.scale, axis.offset = -axis.scale, 0.0
    if all(axis.units in (*_LARGER, "m") for axis in axes):
        for axis in axes[1:]:
            axis.convert_to_units(axes[0].units)
    while (
        max(abs(axis.scale) for axis in axes) > _MOST_OF_TIFF
        and len({axis.units for axis in axes}) == 1
        and axes[0].units in _LARGER
    ):
        larger = _LARGER[axes[0].units]
        for axis in axes:
            axis.convert_to_units(larger)
    if not all(_is_held_by_tiff(axis.scale) for axis in axes):
        said = " by ".join(f"{axis.scale:g} {axis.units or ''}".strip() for axis in axes)
        warn(f"The pixels are {said}, which TIFF cannot hold: it has no size of pixels.")
        for axis in axes:
            axis.scale, axis.offset, axis.units = 1.0, 0.0, Undefined


def _is_held_by_tiff(scale: float) -> bool:
    """Tell whether RosettaSciIO's writer can write a size: as a ratio of two 32-bit numbers.

    Examples
    --------
    >>> [_is_held_by_tiff(scale) for scale in (0.05, 515.0, 515.887, 1e300, 1e-9)]
    [True, True, False, False, False]
    """
    steps = int(1e8 * scale) if math.isfinite(1e8 * scale) else 0
    return steps > 0 and steps // math.gcd(steps, 10**8) < 2**32


def _write_to(
    target: Path,
    path: Path,
    signal: BaseSignal,
    file_format: str | None,
    kwds: dict[str, Any],
) -> None:
    """Write to a temporary folder, into a copy of the file if only a part is written."""
    is_part = kwds.get("write_dataset") is False or kwds.get("mode") in ("a", "r+")
    if is_part and path.exists():
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, target)
    try:
        BaseSignal.save(signal, target, True, None, file_format, **kwds)
    except (AttributeError, ModuleNotFoundError) as exc:
        if "zarr" not in str(exc) and "numcodecs" not in str(exc):
            raise
        raise ImportError(
            f"{path}: RosettaSciIO's writer of .zspy needs zarr 2, and this is not here "
            f"({exc}): pip install 'rosettasciio[zspy]'. Formats that keep as much and need "
            f"nothing more: s.save({str(path.with_suffix('.hspy'))!r}) or "
            f"s.save({str(path.with_suffix('.emd'))!r})."
        ) from exc


def find_path(
    signal: BaseSignal, filename: Any, extension: str | None, file_format: str | None
) -> Path | None:
    """Return where HyperSpy saves a signal; None where that is no path, or not known."""
    known = signal.tmp_parameters
    stem, folder = known.get_item("filename"), known.get_item("folder")
    suffix = known.get_item("extension") or _suffix_of(file_format)
    if filename is None and stem is not None and folder is not None:
        filename = Path(folder, f"{stem}{suffix}")
        extension = extension or known.get_item("extension")
    if not isinstance(filename, str | Path):
        return None
    path = Path(filename)
    if path.is_dir() and path.suffix not in _FOLDERS and stem is not None:
        suffix = suffix if file_format is None else _suffix_of(file_format)
        suffix = suffix if extension is None else f".{extension.lstrip('.')}"
        path = path / f"{stem.removesuffix(suffix)}{suffix}"
    elif extension is not None:
        path = path.parent / f"{path.stem}.{extension.lstrip('.')}"
    path = path.resolve()
    return path if path.suffix else path.with_suffix(_suffix_of(file_format))


def _suffix_of(file_format: str | None) -> str:
    """Return the extension that a format has by default; without one HyperSpy's own."""
    if file_format is None:
        return ".hspy"
    for plugin in IO_PLUGINS:
        if file_format.lower() in _names(plugin):
            return f".{plugin['file_extensions'][plugin['default_extension']]}"
    return f".{file_format}"


def _names(plugin: dict[str, Any]) -> list[str]:
    """Return what a format may be called."""
    names = [plugin["name"], *plugin["name_aliases"], *plugin["file_extensions"]]
    return [name.lower() for name in names]


def _modules(path: Path, file_format: str | None) -> list[str]:
    """Return the modules of the formats that a file may be written in."""
    wanted = (file_format or path.suffix.lstrip(".")).lower()
    return [plugin["api"] for plugin in IO_PLUGINS if wanted in _names(plugin)]


def _in_known_type(signal: BaseSignal, path: Path, file_format: str | None) -> BaseSignal:
    """Return a signal as the writer of a file knows it: some know exspy's types only."""
    is_known = _KNOW_EXSPY.isdisjoint(_modules(path, file_format))
    if is_known or not is_ours(signal):
        return signal
    known, own = signal._deepcopy_with_new_data(signal.data), times_of(signal)
    give(known, Times(own.real, own.live))  # they take no maps of times
    known._metadata.Signal.signal_type = "EDS_SEM"
    known.tmp_parameters = signal.tmp_parameters  # where it was saved
    return known


def is_own(path: Path, file_format: str | None) -> bool:
    """Tell whether a writer of this package is asked to write a file."""
    return any(api.startswith(_OWN) for api in _modules(path, file_format))


def is_original(path: Path) -> bool:
    """Tell whether a file is of a format of instruments, and was not written here."""
    suffix = path.suffix.lstrip(".").lower()
    for plugin in read_specifications():
        extensions = plugin["file_extensions"] + plugin.get("other_extensions", [])
        if suffix in _lower(extensions):
            return _is_original_of(plugin, path)
    plugins = [p for p in IO_PLUGINS if suffix in _lower(p["file_extensions"])]
    return bool(plugins) and not _is_written(path)


def _is_written(path: Path) -> bool:
    """Tell whether there is a writer for the extension of a file."""
    suffix = path.suffix.lstrip(".").lower()
    return any(
        plugin["writes"]
        for plugin in IO_PLUGINS
        if suffix in _lower(plugin["file_extensions"])
    )


def _lower(names: list[str]) -> list[str]:
    return [name.lower() for name in names]


def _is_original_of(plugin: dict[str, Any], path: Path) -> bool:
    """Ask the writer of a format of ours; what has none was never written here."""
    if not plugin["writes"]:
        return True
    file_writer = importlib.import_module(plugin["api"]).file_writer
    writer = importlib.import_module(file_writer.__module__)
    return getattr(writer, "is_original", lambda path: False)(path)
