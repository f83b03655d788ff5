"""The command line: ``rsciio-xfm info``, ``spectrum``, ``image`` and ``demo``."""

import contextlib
import math
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml

import rsciio_xfm
from rsciio_xfm._io.progress import bar_options, shown

# What is wrong with a file, an argument or the machine, rather than with this program.
_ERRORS = (
    EOFError,
    ImportError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    TypeError,
    ValueError,
)
_PICTURE_PIXELS = 800  # of the longer side of a picture, at least
_SPECTRA = (".msa", ".hspy")
_IMAGES = (".tif", ".tiff", ".png", ".hspy")
_MOST_SHOWN = 16  # numbers of an array in the header
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


def _region_options(command: Callable) -> Callable:
    for option in (
        click.option(
            "--detector", type=int, help="This detector only, 0 being the first."
        ),
        click.option("--y", nargs=2, type=int, metavar="A B", help="Rows A to B - 1."),
        click.option("--x", nargs=2, type=int, metavar="A B", help="Columns A to B - 1."),
    ):
        command = option(command)
    return command


def _output_options(command: Callable) -> Callable:
    for option in (
        click.option("--overwrite", is_flag=True, help="Replace what is there."),
        click.option("-o", "--output", required=True, type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


@main.command()
@click.argument("file", type=_FILE)
@_region_options
@click.option(
    "--mask",
    "masks",
    multiple=True,
    type=_FILE,
    help="Image (.npy, .png, .tif, .bmp) of the size of the map whose pixels that are not "
    "0 make a region. Several give several spectra, in one pass over FILE.",
)
@click.option(
    "--statistic",
    type=click.Choice(["sum", "mean", "max"]),
    default="sum",
    help="What of all spectra: sum (the default), mean or, of each channel, maximum.",
)
@click.option(
    "--format",
    "msa_format",
    type=click.Choice(["Y", "XY"], case_sensitive=False),
    help="Of .msa: counts only, or a column of energies too.",
)
@_output_options
def spectrum(
    file: Path,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
    detector: int | None,
    masks: tuple[Path, ...],
    statistic: str,
    msa_format: str | None,
    output: Path,
    overwrite: bool,
) -> None:
    """Sum the spectra of FILE, or of regions of it, and write the sum to OUTPUT.

    The extension of OUTPUT chooses the format: .msa, or .hspy to go on with HyperSpy. With
    several masks, their names are added to the name of OUTPUT.
    """
    with _errors_as_messages():
        _check_extension(output, _SPECTRA)
        if masks and (x or y or statistic != "sum"):
            raise click.ClickException(
                "--mask gives sums of its own regions: leave out --x, --y and --statistic"
            )
        if msa_format is not None and output.suffix.lower() != ".msa":
            raise click.ClickException(f"--format is for .msa, and OUTPUT is {output}")
        names = _unique([mask.stem for mask in masks])
        outputs = _check_outputs(file, output, names, overwrite)
        signal = _load_map(file, detector)
        options = {} if msa_format is None else {"format": msa_format.upper()}
        if masks:
            regions = [_read_mask(mask, signal) for mask in masks]
            with _bar("Summing spectra"):
                found = signal.get_region_spectra(
                    dict(zip(names, regions, strict=True)), show_progressbar=False
                )
            sizes = [f"{np.count_nonzero(region)}" for region in regions]
            totals = list(found.values())
        else:
            region = _select(signal, x, y)
            sizes = [_region_size(region)]
            if statistic == "sum":
                totals = [_compute(region.sum(), "Summing spectra")]
            else:
                with _bar("Summing spectra"):
                    found = region.get_summary(show_progressbar=False)
                totals = [found[statistic]]
        for path, total, size in zip(outputs, totals, sizes, strict=True):
            total.save(path, overwrite=overwrite, **options)
            click.echo(f"{path}: {total.data.sum():.12g} counts of {size} pixels")
            if not total.data.any():
                warnings.warn(f"there are no counts in this region: {path}", stacklevel=1)


@main.command()
@click.argument("file", type=_FILE)
@_region_options
@click.option(
    "--line",
    "lines",
    multiple=True,
    metavar="LINE",
    help="X-ray line like Fe_Ka, or element like Fe: the line that its beam excites best.",
)
@click.option(
    "--energy",
    "energies",
    multiple=True,
    nargs=2,
    type=float,
    metavar="A B",
    help="Window of energies.",
)
@click.option(
    "--channels",
    multiple=True,
    nargs=2,
    type=int,
    metavar="A B",
    help="Window of channels A to B - 1.",
)
@click.option(
    "--width",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="Of the window of a line, in its full widths at half maximum.",
)
@click.option("--scale-bar", is_flag=True, help="Draw a scale bar into a .png picture.")
@_output_options
def image(
    file: Path,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
    detector: int | None,
    lines: tuple[str, ...],
    energies: tuple[tuple[float, float], ...],
    channels: tuple[tuple[int, int], ...],
    width: float,
    scale_bar: bool,
    output: Path,
    overwrite: bool,
) -> None:
    """Write images of energy windows of FILE, all of them in one pass over it.

    Without a window it is the image of all counts. The extension of OUTPUT chooses the
    format: .tif has the counts, .png is a picture, .hspy is to go on with HyperSpy. With
    several windows, their names are added to the name of OUTPUT.
    """
    with _errors_as_messages():
        _check_extension(output, _IMAGES)
        if scale_bar and output.suffix.lower() != ".png":
            raise click.ClickException(f"--scale-bar is for .png, and OUTPUT is {output}")
        windows: dict[str, Any] = {line: line for line in lines}
        windows |= {f"{a:.10g}-{b:.10g}_keV": (a, b) for a, b in energies}
        windows |= {f"channels_{a}-{b}": (a, b) for a, b in channels}
        if len(windows) < len(lines) + len(energies) + len(channels):
            raise click.ClickException("a window is given twice")
        for a, b in channels:
            if a < 0 or b < 0:
                raise click.ClickException(f"--channels is {a} {b}, expected 0 or more")
        outputs = _check_outputs(file, output, list(windows), overwrite)
        region = _select(_load_map(file, detector, n_axes=(2,)), x, y)
        steps = [(a.scale, a.units) for a in region.axes_manager.navigation_axes]
        if scale_bar and not (
            steps[0][1] == steps[1][1]
            and math.isclose(steps[0][0], steps[1][0], rel_tol=1e-4)
        ):
            raise click.ClickException(
                f"--scale-bar needs pixels that are as wide as high, and these are "
                f"{steps[0][0]:g} by {steps[1][0]:g} {steps[0][1] or ''}"
            )
        with _bar("Images"):
            windows = windows or {"counts": (0, region.axes_manager.signal_size)}
            found = region.get_window_images(windows, width, show_progressbar=False)
        images = list(found.values())
        for path, picture in zip(outputs, images, strict=True):
            _save_image(picture, path, scale_bar, overwrite)
            low, high = picture.data.min(), picture.data.max()
            click.echo(f"{path}: {picture.data.sum()} counts, {low} to {high} a pixel")


def _save_image(picture: Any, path: Path, scale_bar: bool, overwrite: bool) -> None:
    options: dict[str, Any] = {}
    if path.suffix.lower() == ".png":
        rows, columns = picture.data.shape
        factor = max(1, math.ceil(_PICTURE_PIXELS / max(rows, columns)))
        options["output_size"] = (columns * factor, rows * factor)
        if scale_bar:
            options["scalebar"] = True
    picture.save(path, overwrite=overwrite, **options)


def _check_extension(output: Path, known: tuple[str, ...]) -> None:
    if not output.suffix:
        raise click.ClickException(
            f"{output} has no extension to choose the format by; use {' or '.join(known)}"
        )
    if output.suffix.lower() not in known:
        raise click.ClickException(
            f"the extension of {output} is {output.suffix}, expected {' or '.join(known)}"
        )


def _check_outputs(
    file: Path, output: Path, names: list[str], overwrite: bool
) -> list[Path]:
    """Return the names of what is written, if it may be."""
    outputs = [output]
    if len(names) > 1:
        outputs = [output.with_stem(f"{output.stem}_{name}") for name in names]
    _refuse_existing(outputs, overwrite)
    for path in outputs:
        if path.exists() and path.samefile(file):
            raise click.ClickException(f"{path} is the map itself")
    return outputs


def _unique(names: list[str]) -> list[str]:
    """Add a number to names that repeat."""
    unique: list[str] = []
    for name in names:
        n, found = 1, name
        while found in unique:
            n += 1
            found = f"{name}_{n}"
        unique.append(found)
    return unique


def _load_map(file: Path, detector: int | None, n_axes: tuple[int, ...] = (1, 2)) -> Any:
    """Load a map of x and y, or a line scan."""
    if detector is not None and _extension(file) != "geopixe":
        raise click.ClickException(f"{file}: --detector is for maps of several detectors")
    signal = _load(file, **({} if detector is None else {"detector": detector}))
    shape = signal.axes_manager.navigation_shape
    if len(shape) not in n_axes:
        expected = "x and y" if n_axes == (2,) else "x, or x and y"
        raise click.ClickException(
            f"{file} has {len(shape)} axes to navigate, not {expected}"
        )
    if not hasattr(signal, "get_window_images"):
        signal.set_signal_type("EDS_XFM")
    return signal


def _select(signal: Any, x: tuple[int, int] | None, y: tuple[int, int] | None) -> Any:
    columns, *rows = signal.axes_manager.navigation_shape
    if not rows:
        if y is not None:
            raise click.ClickException("--y is given, and a line scan has x only")
        return signal.inav[_half_open("x", x, columns)]
    return signal.inav[_half_open("x", x, columns), _half_open("y", y, rows[0])]


def _read_mask(path: Path, signal: Any) -> np.ndarray:
    from PIL import Image

    if path.suffix.lower() == ".npy":
        values = np.load(path, allow_pickle=False)
    else:
        try:
            with Image.open(path) as picture:
                # Black is outside, in colours too; transparency does not matter.
                is_grey = picture.mode in ("1", "L", "F") or picture.mode.startswith("I")
                values = np.asarray(picture if is_grey else picture.convert("RGB"))
        except Image.DecompressionBombError as error:
            raise click.ClickException(f"{path}: {error}") from error
        if values.ndim == 3:
            values = values.any(axis=-1)
    expected = signal.axes_manager.navigation_shape[::-1]
    if values.shape != expected:
        raise click.ClickException(
            f"{path}: the mask has {values.shape} rows and columns, the map has {expected}"
        )
    if values.dtype.kind not in "biuf":
        raise click.ClickException(f"{path}: the mask is of {values.dtype}, not numbers")
    return (values != 0) & ~np.isnan(values)


@contextlib.contextmanager
def _bar(label: str) -> Iterator[None]:
    from tqdm.dask import TqdmCallback

    with TqdmCallback(desc=label, **bar_options()):
        yield


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
    reader = _find_reader(file)
    if reader is None:
        raise _wrong_extension(file, _own_extensions())
    return reader.file_reader(file, lazy=True)[0]


def _find_reader(file: Path) -> Any:
    """Return the module of ours that reads files of an extension, or None."""
    import importlib

    from rsciio_xfm._register import read_specifications

    for specification in read_specifications():
        if _extension(file) in specification["file_extensions"]:
            return importlib.import_module(specification["api"])
    return None


def _own_extensions() -> set[str]:
    from rsciio_xfm._register import read_specifications

    return {e.lower() for s in read_specifications() for e in s["file_extensions"]}


def _extension(file: Path) -> str:
    return file.suffix.lstrip(".").lower()


def _wrong_extension(file: Path, known: set[str]) -> click.ClickException:
    return click.ClickException(
        f"{file}: the extension is {file.suffix!r}, expected "
        f"{' or '.join(f'.{e}' for e in sorted(known))}"
    )


def _describe(file: Path, map_: dict[str, Any]) -> Iterator[str]:
    data = map_["data"]
    instrument = map_["metadata"].get("Acquisition_instrument", {}).get("SEM", {})
    eds = instrument.get("Detector", {}).get("EDS", {})
    yield f"File        {file} ({file.stat().st_size} bytes)"
    yield f"Counts      {data.dtype}, {_size(data.nbytes)} if dense"
    for axis in reversed(map_["axes"]):
        first = axis["offset"]
        last = first + axis["scale"] * (axis["size"] - 1)
        unit = axis["units"] or "(uncalibrated)"
        step = f"step {axis['scale']:.6g} {unit}"
        yield f"{axis['name']:<11} {axis['size']} from {first:.6g} to {last:.6g}, {step}"
    if "beam_energy" in instrument:
        yield f"beam_energy {instrument['beam_energy']:.6g} keV"
    elements = map_["metadata"].get("Sample", {}).get("elements")
    if elements:
        yield f"elements    {', '.join(elements)}"
    for name in ("real_time", "live_time"):
        if name in eds:
            of = "per spectrum, detectors added, mean"
            if "n_spectra_of_map" in eds:
                of = f"of all {eds['n_spectra_of_map']} spectra together"
            yield f"{name:<11} {eds[name]:.6g} s {of}"
    if "_sig_dead_time" in eds:
        yield from _describe_dead_times(eds["_sig_dead_time"]["data"])
    yield "Header"
    tree = _plain(map_["original_metadata"])
    text = yaml.safe_dump(tree, allow_unicode=True, sort_keys=False)
    yield from (f"  {line}" for line in text.splitlines())


def _plain(value: Any) -> Any:
    """Turn numpy's values into Python's, which YAML can show."""
    if isinstance(value, dict):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        shown = [str(v) for v in value.ravel()[:_MOST_SHOWN].tolist()]
        return ", ".join([*shown, *(["..."] if value.size > _MOST_SHOWN else [])])
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.rstrip(b"\0").decode("latin-1")
    return value


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
        raise _wrong_extension(file, _own_extensions() | {"hspy"})
    # Ours, even where it does not take the place of RosettaSciIO's.
    return hs.load(file, lazy=True, file_format=_find_reader(file), **kwds)


def _compute(signal: Any, label: str) -> Any:
    """Compute a lazy signal, with a progress bar."""
    with _bar(label):
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
    if n_bytes < 2**20:
        return f"{n_bytes / 2**10:.0f} KiB"
    if n_bytes < 2**30:
        return f"{n_bytes / 2**20:.0f} MiB"
    return f"{n_bytes / 2**30:.1f} GiB"


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
        except BrokenPipeError:  # into head, say: click ends quietly
            raise
        except _ERRORS as error:
            raise click.ClickException(str(error)) from error
        finally:
            for warning in caught:
                if warning.category is UserWarning:
                    click.echo(f"Warning: {warning.message}", err=True)
