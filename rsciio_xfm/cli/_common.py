"""What the commands share: options, loading, names of results, messages."""

import contextlib
import inspect
import math
import re
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from rsciio_xfm._register import extension, find_reader, readers
from rsciio_xfm.core.progress import progress

# What is wrong with a file, an argument or the machine, rather than with this program.
ERRORS = (
    EOFError,
    ImportError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    TypeError,
    ValueError,
)


class _File(click.Path):
    """A file that is there; of a folder, the error says what makes a map of one."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if Path(value).is_dir():
            self.fail(
                f"{value} is a folder, expected a file. If its files are spectra as text, one "
                "a pixel, rsciio-xfm convert makes a map of them.",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


FILE = _File(exists=True, dir_okay=False, path_type=Path)
SUM = "sum"  # of detectors
_CHOSEN = {
    "dataset_path": "--dataset is for files of several maps",
    "axes": "--axes is for HDF5 files",
    "allow_outside_links": "--allow-outside-links is for HDF5 files",
    "series": "--series is for HDF5 files and images",
    "navigation_shape": "--navigation-shape is for HDF5 and SPEC files",
}


class Finite(click.types.FloatParamType):
    """A number: neither NaN nor an infinite one, which no option has a use for."""

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class FiniteRange(Finite, click.FloatRange):
    """Such a number in a range: NaN compares with no end of it."""


def range_options(command: Callable) -> Callable:
    for name, what in (("y", "Rows"), ("x", "Columns")):
        command = click.option(
            f"--{name}", nargs=2, type=int, metavar="A B", help=f"{what} A to B - 1."
        )(command)
    return command


def region_options(command: Callable) -> Callable:
    return dataset_option(range_options(detector_option(command)))


class _Detector(click.ParamType):
    """A number, or all detectors added up."""

    name = "detector"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int | str:
        if value == SUM:
            return SUM
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor {SUM!r}.", param, ctx)


def detector_option(command: Callable) -> Callable:
    text = (
        f"This detector only, 0 being the first; {SUM}: all of them added up, which HDF5 maps "
        "are not without it."
    )
    return click.option("--detector", type=_Detector(), metavar="N", help=text)(command)


def excitation_option(command: Callable) -> Callable:
    text = (
        'What excites the sample: "Mo 50 kV", "17.44 keV", "electrons 20 kV"; what the file '
        "says by default."
    )
    return click.option("--excitation", help=text)(command)


def model_options(command: Callable) -> Callable:
    """Let the user choose what is fitted: see :func:`chosen_model`."""
    for option in (
        click.option(
            "--model",
            type=FILE,
            help="A model.yaml that was made with a map of the same set-up, instead of "
            "--element.",
        ),
        click.option(
            "--energy",
            nargs=2,
            type=Finite(),
            metavar="A B",
            help="Energies that are fitted; not with --model.",
        ),
        excitation_option,
        click.option(
            "--element",
            "elements",
            multiple=True,
            help="Element, or group of its lines: Fe, Pb_L. Repeat it for several; those "
            "that are found by default.",
        ),
    ):
        command = option(command)
    return command


def chosen_model(
    elements: tuple[str, ...],
    excitation: str | None,
    energy: tuple[float, float] | None,
    model: Path | None,
) -> Any:
    """Return what is fitted: elements, a model, or None to find them."""
    if model is not None and (elements or excitation or energy):
        raise click.ClickException(
            "--model is given, which has elements, excitation and energies of its own: "
            "leave out --element, --excitation and --energy"
        )
    if model is not None:
        from rsciio_xfm import load_element_model

        return load_element_model(model)
    return list(elements) or None


def dataset_option(command: Callable) -> Callable:
    """Let the user choose a map of a file, and say what its axes are: used by `load`."""
    command = _reader_option(
        "--axes",
        "axes",
        "NAMES",
        'What the axes of HDF5 datasets are, where nothing tells: "y x detector channel".',
    )(command)
    command = _reader_option(
        "--dataset",
        "dataset_path",
        "PATH",
        "This map of a file that holds several, as `tree` lists them.",
    )(command)
    command = _reader_option(
        "--navigation-shape",
        "navigation_shape",
        "XxY",
        "Columns and rows of an HDF5 or SPEC map that does not say them: 201x101.",
        Shape(),
    )(command)
    command = _flag_option(
        "--series", "series", "Files whose names differ in the last number are one map."
    )(command)
    return outside_links_option(command)


class Shape(click.ParamType):
    """Columns and rows of a map, as 40x30."""

    name = "shape"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        sizes = re.fullmatch(r"([1-9]\d{0,8})[xX,]([1-9]\d{0,8})", str(value), re.ASCII)
        if sizes is None:
            text = f"{value!r} is no shape, expected columns and rows, 40x30"
            self.fail(text, param, ctx)
        return int(sizes[1]), int(sizes[2])


def _reader_option(
    option: str,
    name: str,
    metavar: str,
    text: str,
    kind: click.ParamType = click.STRING,
) -> Callable:
    """Make an option whose value is kept for `chosen_options`."""

    def keep(context: click.Context, _: click.Parameter, value: Any) -> None:
        options = context.find_object(dict)
        if value is not None and options is not None:
            options[name] = value

    return click.option(
        option, type=kind, metavar=metavar, expose_value=False, callback=keep, help=text
    )


def outside_links_option(command: Callable) -> Callable:
    """Let the user allow links out of the folder of a file: used by `load`."""
    text = "Follow links of HDF5 files out of the file's folder."
    return _flag_option("--allow-outside-links", "allow_outside_links", text)(command)


def _flag_option(option: str, name: str, text: str) -> Callable:
    """Make an option that is kept for `chosen_options`, as True."""

    def keep(context: click.Context, _: click.Parameter, value: bool) -> None:
        options = context.find_object(dict)
        if value and options is not None:
            options[name] = True

    return click.option(
        option, is_flag=True, expose_value=False, callback=keep, help=text
    )


def chosen_options(file: Path, reader: Any) -> dict[str, Any]:
    """Return what the user chose as options of the reader."""
    settings = _settings()
    chosen = {name: settings[name] for name in _CHOSEN if name in settings}
    for name in chosen:
        if not has_option(reader, name):
            raise click.ClickException(f"{file}: {_CHOSEN[name]}")
    return chosen


def chosen_as_text(detector: int | str | None = None) -> str:
    """Return options of the reader as the user gave them, for a command that is suggested."""
    settings = _settings()
    words = []
    for name in _CHOSEN:
        value = settings.get(name)
        if value is None:
            continue
        words.append(_CHOSEN[name].partition(" ")[0])
        if value is not True:
            is_shape = isinstance(value, tuple)
            words.append("x".join(map(str, value)) if is_shape else str(value))
    if detector is not None:
        words += ["--detector", str(detector)]
    return "".join(f" {shlex.quote(word)}" for word in words)


def has_option(reader: Any, name: str) -> bool:
    """Tell whether a reader of ours has an option; None has none."""
    return reader is not None and name in inspect.signature(reader.file_reader).parameters


def _settings() -> dict[str, Any]:
    """Return what belongs to the command line as a whole."""
    context = click.get_current_context(silent=True)
    return (context.find_object(dict) if context else None) or {}


def output_options(command: Callable) -> Callable:
    for option in (
        click.option("--overwrite", is_flag=True, help="Replace what is there."),
        click.option("-o", "--output", required=True, type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


def check_extension(output: Path, known: tuple[str, ...]) -> None:
    if not output.suffix:
        raise click.ClickException(
            f"{output} has no extension to choose the format by; use {' or '.join(known)}"
        )
    if output.suffix.lower() not in [one.lower() for one in known]:
        raise click.ClickException(
            f"the extension of {output} is {output.suffix}, expected {' or '.join(known)}"
        )


def check_outputs(
    file: Path, output: Path, names: list[str], overwrite: bool
) -> list[Path]:
    """Return the names of what is written, if it may be."""
    outputs = [output]
    if len(names) > 1:
        outputs = [output.with_stem(f"{output.stem}_{name}") for name in names]
    refuse_existing(outputs, overwrite)
    for path in outputs:
        if path.exists() and path.samefile(file):
            raise click.ClickException(f"{path} is the map itself")
    return outputs


def detector_options(
    file: Path, reader: Any, detector: int | str | None
) -> dict[str, int | str]:
    """Return the detector that the user chose as an option of the reader."""
    if detector is None:
        return {}
    option = "sum_detectors" if detector == SUM else "detector"
    if not has_option(reader, option):
        raise click.ClickException(f"{file}: --detector is for maps of several detectors")
    return {option: True if detector == SUM else detector}


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
            "with --dataset"
            + (
                f" or --detector, a number or {SUM}"
                if has_option(reader, "detector")
                else ""
            )
        )
    shape = signal.axes_manager.navigation_shape
    if not shape and 0 not in n_axes:
        raise click.ClickException(
            f"{file} is one spectrum, expected a map of them. In Python, "
            'hs.load(...).save("spectrum.msa") writes it in another format'
        )
    if len(shape) not in n_axes:
        expected = "x and y" if n_axes == (2,) else "x, or x and y"
        raise click.ClickException(
            f"{file} has {len(shape)} axes to navigate, not {expected}"
        )
    if signal.axes_manager.signal_dimension != 1:
        raise click.ClickException(f"{file} holds images, expected X-ray spectra")
    if not hasattr(signal, "get_window_images"):
        held = signal.metadata.get_item("Signal.signal_type")
        signal.set_signal_type("EDS_XFM")
        signal.tmp_parameters.set_item("type_of_file", held)
    return signal


def select(signal: Any, x: tuple[int, int] | None, y: tuple[int, int] | None) -> Any:
    """Crop a signal along x and y, which come before all other axes to navigate."""
    columns, *rows = signal.axes_manager.navigation_shape
    if not rows:
        if y is not None:
            raise click.ClickException("--y is given, and a line scan has x only")
        return signal.inav[half_open("x", x, columns)]
    return signal.inav[half_open("x", x, columns), half_open("y", y, rows[0])]


def load_spectra(
    file: Path,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
    detector: int | str | None,
) -> Any:
    """Load a map, or a part of it, or the one spectrum of a file."""
    signal = load_map(file, detector, (0, 1, 2))
    if signal.axes_manager.navigation_dimension:
        return select(signal, x, y)
    if x or y:
        raise click.ClickException(f"{file}: --x and --y are for maps")
    return signal


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
    from rsciio import IO_PLUGINS

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

    chunk_bytes = _settings().get("chunk_bytes")
    if chunk_bytes is None:
        return
    data: Any = getattr(signal, "data", None)
    source = source_of(data)
    if source is not None:
        chunks = default_chunks(
            source.shape, source.dtype, source.row_axis(), chunk_bytes
        )
        signal.data = from_source(source, chunks)


def find_peaks_of(total: Any, excitation: Any = None) -> list[tuple[str, float]]:
    """Return names and energies, keV, of the elements' peaks in a spectrum.

    There are none where the extra for it is not installed, where nothing says what excites
    the sample, or where no element is found.
    """
    from rsciio_xfm.signals.elements import labels_of

    try:
        return labels_of(total, excitation)
    except ImportError:
        return []


def compute(signal: Any, doing: str) -> Any:
    """Compute a lazy signal, and show its progress: `doing` says what it is, in words."""
    with progress(doing=doing):
        signal.compute(show_progressbar=False)
    return signal


def half_open(name: str, ends: tuple[int, int] | None, size: int) -> slice:
    if ends is None:
        return slice(None)
    if not 0 <= ends[0] < ends[1] <= size:
        raise click.ClickException(
            f"--{name} is {ends[0]} {ends[1]}, expected A < B within 0 and {size}: the "
            f"map has {size} pixels along {name}"
        )
    return slice(*ends)


def region_size(region: Any) -> str:
    return " x ".join(str(n) for n in region.axes_manager.navigation_shape)


def given_options() -> set[str]:
    """Return the names of the options that the user gave."""
    context = click.get_current_context()
    return {
        name
        for name in context.params
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE
    }


def refuse_given(names: set[str], where: Path, why: str) -> None:
    """Refuse options that would do nothing, if the user gave some of them."""
    given = sorted(given_options() & names)
    if given:
        shown = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise click.ClickException(f"{where}: {shown} is {why}")


def refuse_existing(paths: list[Path], overwrite: bool) -> None:
    for path in paths:
        if path.exists() and not overwrite:
            raise click.ClickException(f"{path} exists; use --overwrite to replace it")


def show_size(n_bytes: int) -> str:
    if n_bytes < 2**20:
        return f"{n_bytes / 2**10:.0f} KiB"
    if n_bytes < 2**30:
        return f"{n_bytes / 2**20:.0f} MiB"
    return f"{n_bytes / 2**30:.1f} GiB"


def peak_memory() -> int:
    """Return the largest resident memory that this process has had, in bytes."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextlib.contextmanager
def timed() -> Iterator[list[float]]:
    took = [time.perf_counter()]
    yield took
    took[0] = time.perf_counter() - took[0]


def _message(error: Exception) -> str:
    """Return what an error says, without the system's number."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


@contextlib.contextmanager
def errors_as_messages() -> Iterator[None]:
    """Print this package's warnings and what is wrong with a file in a line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except BrokenPipeError:  # into head, say: click ends quietly
            raise
        except ERRORS as error:
            raise click.ClickException(_message(error)) from error
        finally:
            own = [w for w in caught if w.category is UserWarning]
            for text in dict.fromkeys(str(warning.message) for warning in own):
                click.echo(f"Warning: {text}", err=True)
