"""The command line: ``rsciio-xfm info``, ``spectrum`` and ``demo``."""

import contextlib
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml

import rsciio_xfm
from rsciio_xfm._io.progress import bar_options, shown

# What is wrong with a file, an argument or the machine, rather than with this program.
_ERRORS = (
    ImportError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    TypeError,
    ValueError,
)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rsciio_xfm.__version__)
def main() -> None:
    """Read maps of X-ray spectra that are larger than memory."""


@main.command()
@click.argument("file", type=_FILE)
def info(file: Path) -> None:
    """Print header, size, detectors and dead times of FILE, without reading counts."""
    with _errors_as_messages():
        for line in _describe(file, _read_lazily(file)):
            click.echo(line)


@main.command()
@click.argument("file", type=_FILE)
@click.option("--x", nargs=2, type=int, metavar="A B", help="Columns A to B - 1.")
@click.option("--y", nargs=2, type=int, metavar="A B", help="Rows A to B - 1.")
@click.option("--detector", type=int, help="This detector only, 0 being the first.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path))
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT if it is there.")
def spectrum(
    file: Path,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
    detector: int | None,
    output: Path,
    overwrite: bool,
) -> None:
    """Sum the spectra of FILE, or of a region of it, and write the sum to OUTPUT.

    The extension of OUTPUT chooses the format: .msa, or .hspy to go on with HyperSpy.
    """
    with _errors_as_messages():
        if not output.suffix:
            raise click.ClickException(
                f"{output} has no extension to choose the format by; use .msa or .hspy"
            )
        _refuse_existing([output], overwrite)
        if output.exists() and output.samefile(file):
            raise click.ClickException(f"{output} is the map itself")
        signal = _load(file, **({} if detector is None else {"detector": detector}))
        shape = signal.axes_manager.navigation_shape
        if len(shape) != 2:
            raise click.ClickException(
                f"{file} has {len(shape)} axes to navigate, not x and y"
            )
        columns, rows = shape
        region = signal.inav[_half_open("x", x, columns), _half_open("y", y, rows)]
        total = _compute(region.sum(), "Summing spectra")
        total.save(output, overwrite=overwrite)
        text = f"{total.data.sum()} counts of {_region_size(region)} pixels"
        click.echo(f"{output}: {text}")
        if not total.data.any():
            warnings.warn(f"there are no counts in this region of {file}", stacklevel=1)


@main.command()
@click.argument("file", type=_FILE, required=False)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Folder for results."
)
@click.option("--element", help="Element to map; the strongest peak's by default.")
@click.option("--overwrite", is_flag=True, help="Replace results that are there.")
def demo(
    file: Path | None, output: Path | None, element: str | None, overwrite: bool
) -> None:
    """Open FILE (without one, a map made for this) and write a spectrum and a picture.

    The results go to a new temporary folder unless --output names one.
    """
    with _errors_as_messages(), tempfile.TemporaryDirectory(prefix="rsciio-xfm-") as made:
        _check_element(element)
        if file is None:
            file = Path(made) / "demo.GeoPIXE"
            _make_map(file)
        names = [f"{file.stem}_spectrum.msa", f"{file.stem}.png"]
        if output is not None:
            _refuse_existing([output / name for name in names], overwrite)
        total, figure = _run_demo(file, element)
        if output is None:
            output = Path(tempfile.mkdtemp(prefix="rsciio-xfm-results-"))
        output.mkdir(parents=True, exist_ok=True)
        msa, png = (output / name for name in names)
        total.save(msa, overwrite=True)
        figure.savefig(png, dpi=150)
        click.echo(f"Wrote     {msa}")
        click.echo(f"Wrote     {png}")


def _make_map(file: Path) -> None:
    from rsciio_xfm._demo import ELEMENTS, write_demo_map

    with _timed() as took:
        write_demo_map(file)
    size = _size(file.stat().st_size)
    click.echo(
        f"Made      {file.name}, {size} with {', '.join(ELEMENTS)}, in {took[0]:.1f} s"
    )


def _check_element(element: str | None) -> None:
    from exspy.material import elements

    if element is not None and element not in elements:
        raise click.ClickException(f"--element is {element}, expected a symbol like Fe")


def _run_demo(file: Path, element: str | None) -> tuple[Any, Any]:
    """Open a map and return its total spectrum and a picture."""
    import hyperspy.api as hs  # noqa: F401 (imported before memory and time are counted)

    import rsciio_xfm.signals  # noqa: F401

    before = _peak_memory()
    with _timed() as took:
        signal = _load(file)
    dense = math.prod(signal.data.shape) * signal.data.dtype.itemsize
    click.echo(f"Opened    {signal} in {took[0]:.2f} s; dense it is {_size(dense)}")
    with _timed() as took:
        total = _compute(signal.sum(), "Total spectrum")
    click.echo(f"Spectrum  {total.data.sum()} counts summed in {took[0]:.2f} s")
    total.set_elements([element or _strongest_element(total)])
    with _timed() as took:
        counts = _compute(signal.sum("Energy"), "Total counts")
        line, window = _line_window(total)
        image = _compute(signal.isig[window[0] : window[1]].sum("Energy"), line)
    click.echo(f"Images    total counts and {line} in {took[0]:.2f} s")
    memory = _peak_memory() - before
    click.echo(f"Memory    {_size(memory)} at most for all of this, beyond the imports")
    return total, _draw(total, counts, image, line, window)


def _strongest_element(total: Any) -> str:
    """Name the element whose line is nearest to the highest peak of a spectrum.

    Only lines that the beam can excite count, and none of the scattered tube lines, which
    lie in the upper half of the spectrum.
    """
    from exspy.utils.eds import get_xray_lines_near_energy

    energy = total.axes_manager[-1].axis
    beam = total.metadata.get_item("Acquisition_instrument.SEM.beam_energy", energy[-1])
    is_line = (energy > 1) & (energy < 0.3 * beam)
    if not is_line.any() or not total.data[is_line].any():
        raise click.ClickException("no peak found in the spectrum; use --element")
    peak = energy[is_line][np.argmax(total.data[is_line])]
    lines = get_xray_lines_near_energy(peak, width=0.5, only_lines=("Ka",))
    if not len(lines):
        raise click.ClickException(f"no K line near {peak:.2f} keV; use --element")
    return str(lines[0]).split("_")[0]


def _line_window(total: Any) -> tuple[str, list[float]]:
    total.add_lines()
    lines = total.metadata.get_item("Sample.xray_lines", [])
    if not len(lines):
        elements = total.metadata.Sample.elements
        raise click.ClickException(f"no line of {', '.join(elements)} in the spectrum")
    (window,) = total.estimate_integration_windows(xray_lines=lines[:1])
    return str(lines[0]), [float(edge) for edge in window]


def _draw(total: Any, counts: Any, image: Any, line: str, window: list[float]) -> Any:
    """Draw spectrum, total-counts map and one element's map."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = figure.subplot_mosaic(
        [["spectrum", "spectrum"], ["counts", "image"]], height_ratios=[3, 2]
    )
    energy = total.axes_manager[-1]
    axes["spectrum"].semilogy(energy.axis, np.maximum(total.data, 0.5), lw=0.8)
    axes["spectrum"].axvspan(
        *window, color="tab:orange", alpha=0.4, label=f"{line} window"
    )
    axes["spectrum"].set(
        xlabel=f"Energy ({energy.units})",
        ylabel="Counts per channel",
        title=total.metadata.General.title,
        xlim=(
            0,
            energy.axis[np.flatnonzero(total.data)[-1]] if total.data.any() else None,
        ),
        ylim=(0.5, None),
    )
    axes["spectrum"].legend()
    for name, signal, title in (
        ("counts", counts, "Total counts"),
        ("image", image, f"{line} counts"),
    ):
        x, y = signal.axes_manager.navigation_axes
        extent = (0, x.size * x.scale, y.size * y.scale, 0)
        drawn = axes[name].imshow(signal.data, extent=extent, cmap="viridis")
        axes[name].set(xlabel=f"x ({x.units})", ylabel=f"y ({y.units})", title=title)
        beside = axes[name].inset_axes((1.03, 0, 0.04, 1))
        figure.colorbar(drawn, cax=beside, label="Counts")
    return figure


def _read_lazily(file: Path) -> dict[str, Any]:
    """Read a map with the reader of its extension, without HyperSpy."""
    import importlib

    from rsciio_xfm._register import read_specifications

    extension = _extension(file)
    known = set()
    for specification in read_specifications():
        known |= {e.lower() for e in specification["file_extensions"]}
        if extension in known:
            reader = importlib.import_module(specification["api"])
            return reader.file_reader(file, lazy=True)[0]
    raise _wrong_extension(file, known)


def _extension(file: Path) -> str:
    return file.suffix.lstrip(".").lower()


def _wrong_extension(file: Path, known: set[str]) -> click.ClickException:
    return click.ClickException(
        f"{file}: the extension is {file.suffix!r}, expected "
        f"{' or '.join(f'.{e}' for e in sorted(known))}"
    )


def _describe(file: Path, map_: dict[str, Any]) -> Iterator[str]:
    data = map_["data"]
    instrument = map_["metadata"]["Acquisition_instrument"]
    eds = instrument["SEM"]["Detector"]["EDS"]
    yield f"File        {file} ({file.stat().st_size} bytes)"
    yield f"Counts      {data.dtype}, {_size(data.nbytes)} if dense"
    for axis in reversed(map_["axes"]):
        first = axis["offset"]
        last = first + axis["scale"] * (axis["size"] - 1)
        unit = axis["units"] or "(uncalibrated)"
        step = f"step {axis['scale']:.6g} {unit}"
        yield f"{axis['name']:<11} {axis['size']} from {first:.6g} to {last:.6g}, {step}"
    for name in ("real_time", "live_time"):
        if name in eds:
            yield f"{name:<11} {eds[name]:.6g} s per spectrum, detectors added, mean"
    yield from _describe_dead_times(eds["_sig_dead_time"]["data"])
    yield "Header"
    text = yaml.safe_dump(map_["original_metadata"], allow_unicode=True, sort_keys=False)
    yield from (f"  {line}" for line in text.splitlines())


def _describe_dead_times(dead_time: np.ndarray) -> Iterator[str]:
    for number, values in enumerate(dead_time.reshape(-1, *dead_time.shape[-2:])):
        known = values[(values > 0) & (values <= 100)]
        missing = np.count_nonzero(np.isnan(values))
        unrecorded = values.size - known.size - missing
        text = f"Detector {number}  {values.size - missing} spectra"
        if known.size:
            low, median, high = np.percentile(known, [5, 50, 95])
            text += (
                f"; dead time {known.mean(dtype=float):.2f} % on average, median "
                f"{median:.2f} %, 5th to 95th percentile {low:.2f} to {high:.2f} %, "
                f"{known.min():.2f} to {known.max():.2f} % in all"
            )
        yield f"{text}; {unrecorded} dead times not recorded, {missing} spectra missing"


def _load(file: Path, **kwds: Any) -> Any:
    import hyperspy.api as hs
    from rsciio import IO_PLUGINS

    # Its loggers tell users to report what is wrong with a file to RosettaSciIO.
    hs.set_log_level("CRITICAL")
    if not any(_extension(file) in plugin["file_extensions"] for plugin in IO_PLUGINS):
        raise _wrong_extension(file, {"geopixe", "hspy"})
    return hs.load(file, lazy=True, **kwds)


def _compute(signal: Any, label: str) -> Any:
    """Compute a lazy signal, with a progress bar."""
    from tqdm.dask import TqdmCallback

    with TqdmCallback(desc=label, **bar_options()):
        signal.compute(show_progressbar=False)
    return signal


def _half_open(name: str, ends: tuple[int, int] | None, size: int) -> slice:
    if ends is None:
        return slice(None)
    if not 0 <= ends[0] < ends[1] <= size:
        raise click.ClickException(
            f"--{name} is {ends[0]} {ends[1]}, expected A < B within 0 and {size}: the "
            f"map has {size} pixels along {name}"
        )
    return slice(*ends)


def _region_size(region: Any) -> str:
    return " x ".join(str(n) for n in region.axes_manager.navigation_shape)


def _refuse_existing(paths: list[Path], overwrite: bool) -> None:
    for path in paths:
        if path.exists() and not overwrite:
            raise click.ClickException(f"{path} exists; use --overwrite to replace it")


def _size(n_bytes: int) -> str:
    return (
        f"{n_bytes / 2**20:.0f} MiB" if n_bytes < 2**30 else f"{n_bytes / 2**30:.1f} GiB"
    )


def _peak_memory() -> int:
    """Return the largest resident memory that this process has had, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return psutil.Process().memory_info().peak_wset
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextlib.contextmanager
def _timed() -> Iterator[list[float]]:
    took = [time.perf_counter()]
    yield took
    took[0] = time.perf_counter() - took[0]


@contextlib.contextmanager
def _errors_as_messages() -> Iterator[None]:
    """Print this package's warnings and what is wrong with a file in a line each."""
    with shown(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except _ERRORS as error:
            raise click.ClickException(str(error)) from error
        finally:
            for warning in caught:
                if warning.category is UserWarning:
                    click.echo(f"Warning: {warning.message}", err=True)
