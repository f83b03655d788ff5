"""Files of maps: opened, the one map in them, and parts of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rsciio_xfm._register import extension, find_reader, readers
from rsciio_xfm.cli._errors import ERRORS
from rsciio_xfm.cli._reader_options import (
    chosen_options,
    detector_options,
    find_settings,
    has_option,
)
from rsciio_xfm.cli._values import SUM


def load_map(
    file: Path, detector: int | str | None, n_axes: tuple[int, ...] = (1, 2), **kwds: Any
) -> Any:
    """Load a map of x and y, or a line scan; with 0 among `n_axes` one spectrum, too."""
    reader = find_reader(file)
    found = load(file, **kwds | detector_options(file, reader, detector))
    signals = found if isinstance(found, list) else [found]
    signal = one_map(signals, _is_map)
    if signal is None and 0 in n_axes:
        signal = one_map(signals, _is_spectrum)
    if signal is None:
        raise click.ClickException(
            f"{file} holds {len(signals)} signals, "
            f"{sum(map(_is_map, signals))} of them maps of X-ray spectra, not one: choose "
            f"{_how_to_choose(reader)}"
        )
    if signal.axes_manager.signal_dimension != 1:
        raise click.ClickException(f"{file} holds images, expected X-ray spectra")
    shape = signal.axes_manager.navigation_shape
    if not shape and 0 not in n_axes:
        raise click.ClickException(
            f"{file} is one spectrum, expected a map of them. `spectrum`, `elements`, "
            "`report`, `quantify` and `export` take it, too"
        )
    if len(shape) not in n_axes:
        is_line = len(shape) == 1
        found = "is a line scan" if is_line else f"has {len(shape)} axes to navigate"
        expected = "x and y" if is_line or n_axes == (2,) else "x, or x and y"
        raise click.ClickException(f"{file} {found}, expected {expected}")
    if not hasattr(signal, "get_window_images"):
        held = signal.metadata.get_item("Signal.signal_type")
        signal.set_signal_type("EDS_XFM")
        signal.tmp_parameters.set_item("type_of_file", held)
    return signal


def _how_to_choose(reader: Any) -> str:
    """Return options that choose one of the maps of a file."""
    options = {
        "dataset_path": "--dataset",
        "detector": f"--detector, a number or {SUM}",
    }
    found = [text for name, text in options.items() if has_option(reader, name)]
    return f"with {' or '.join(found)}" if found else "one in Python"


def select(signal: Any, x: tuple[int, int] | None, y: tuple[int, int] | None) -> Any:
    """Crop a signal along x and y, which come before all other axes to navigate."""
    sizes = signal.axes_manager.navigation_shape
    if not sizes:
        if x or y:
            raise click.ClickException("--x and --y are for maps, and this is a spectrum")
        return signal
    columns, *rows = sizes
    if not rows:
        if y is not None:
            raise click.ClickException("--y is given, and a line scan has x only")
        return signal.inav[_half_open("x", x, columns)]
    return signal.inav[_half_open("x", x, columns), _half_open("y", y, rows[0])]


def load_spectra(
    file: Path,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
    detector: int | str | None,
) -> Any:
    """Load a map, or a part of it, or the one spectrum of a file."""
    return select(load_map(file, detector, (0, 1, 2)), x, y)


def read_lazily(file: Path, **options: Any) -> list[dict[str, Any]]:
    """Read signals as `load` does, without HyperSpy if the reader is ours."""
    reader = find_reader(file)
    if reader is None:
        found = load(file, **options)
        return [
            s._to_dictionary() for s in (found if isinstance(found, list) else [found])
        ]
    return reader.file_reader(file, lazy=True, **options, **chosen_options(file, reader))


def one_map(signals: list[Any], is_map: Callable[[Any], bool]) -> Any:
    """Return the one map of spectra among what a file holds, or all that it holds."""
    maps = signals if len(signals) == 1 else [s for s in signals if is_map(s)]
    return maps[0] if len(maps) == 1 else None


def _is_map(signal: Any) -> bool:
    axes = signal.axes_manager
    is_eds = signal.metadata.get_item("Signal.signal_type", "").startswith("EDS")
    return is_eds and axes.signal_dimension == 1 and axes.navigation_dimension > 0


def _is_spectrum(signal: Any) -> bool:
    """Tell whether it is the spectrum of a point, of whatever type."""
    axes = signal.axes_manager
    is_one = axes.signal_dimension == 1 and axes.navigation_dimension == 0
    return is_one and axes.signal_axes[0].size > 1


def own_extensions() -> set[str]:
    """Return the extensions of the formats that are read here."""
    return set(readers())


def wrong_extension(file: Path, known: set[str]) -> click.ClickException:
    return click.ClickException(
        f"{file}: the extension is {file.suffix!r}, expected "
        f"{' or '.join(f'.{e}' for e in sorted(known))}"
    )


def load(file: Path, **kwds: Any) -> Any:
    import hyperspy.api as hs
    import matplotlib as mpl
    from rsciio import IO_PLUGINS

    # No command has windows: what is drawn of what is loaded goes to files. HyperSpy
    # imports matplotlib when it loads something.
    mpl.use("agg")
    # Its loggers tell users to report what is wrong with a file to RosettaSciIO.
    hs.set_log_level("CRITICAL")
    # Ours, even where it does not take the place of RosettaSciIO's.
    reader = find_reader(file)
    known = {e for plugin in IO_PLUGINS for e in plugin["file_extensions"]}
    if reader is None and extension(file) not in known:
        raise wrong_extension(file, own_extensions() | {"hspy"})
    kwds |= chosen_options(file, reader)
    if reader is None:
        found = _load_upstream(file, **kwds)
    else:
        found = hs.load(file, lazy=True, file_format=reader, **kwds)
    for signal in found if isinstance(found, list) else [found]:
        _choose_chunks(signal)
    return found


def _load_upstream(file: Path, **kwds: Any) -> Any:
    """Load with a reader of RosettaSciIO's; its errors do not name the file."""
    import hyperspy.api as hs

    try:
        try:
            return hs.load(file, lazy=True, **kwds)
        except (NotImplementedError, TypeError):  # some of them read at once only
            return hs.load(file, **kwds)
    except (*ERRORS, AttributeError, LookupError, NameError) as error:
        raise click.ClickException(
            f"{file}: RosettaSciIO cannot read it: {type(error).__name__}: {error}"
        ) from error


def _choose_chunks(signal: Any) -> None:
    """Give a lazy signal chunks of the size that the user chose."""
    from rsciio_xfm.core.to_dask import default_chunks, from_source, source_of

    chunk_bytes = find_settings().get("chunk_bytes")
    if chunk_bytes is None:
        return
    data: Any = getattr(signal, "data", None)
    source = source_of(data)
    if source is not None:
        chunks = default_chunks(
            source.shape, source.dtype, source.row_axis(), chunk_bytes
        )
        signal.data = from_source(source, chunks)


def _half_open(name: str, ends: tuple[int, int] | None, size: int) -> slice:
    if ends is None:
        return slice(None)
    if not 0 <= ends[0] < ends[1] <= size:
        raise click.ClickException(
            f"--{name} is {ends[0]} {ends[1]}, expected A < B within 0 and {size}: the "
            f"map has {size} pixels along {name}"
        )
    return slice(*ends)
