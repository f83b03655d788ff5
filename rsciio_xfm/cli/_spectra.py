"""``rsciio-xfm spectrum`` and ``image``."""

import math
from pathlib import Path
from typing import Any

import click
import numpy as np

from rsciio_xfm.cli._common import (
    FILE,
    Finite,
    FiniteRange,
    check_extension,
    check_outputs,
    compute,
    errors_as_messages,
    load_map,
    output_options,
    region_options,
    region_size,
    select,
)
from rsciio_xfm.core.names import unique
from rsciio_xfm.core.warning import warn

_PICTURE_PIXELS = 800  # of the longer side of a picture, at least
_SPECTRA = (".msa", ".hspy")
_IMAGES = (".tif", ".tiff", ".png", ".hspy")


@click.command()
@click.argument("file", type=FILE)
@region_options
@click.option(
    "--mask",
    "masks",
    multiple=True,
    type=FILE,
    help="Image (.npy, .png, .tif, .bmp) of the size of the map whose pixels that are not "
    "0 make a region. Several give several spectra, in one pass over FILE.",
)
@click.option(
    "--statistic",
    type=click.Choice(["sum", "mean", "max"]),
    default="sum",
    show_default=True,
    help="What of all spectra: sum, mean or, of each channel, maximum.",
)
@click.option(
    "--format",
    "msa_format",
    type=click.Choice(["Y", "XY"], case_sensitive=False),
    help="Of .msa: counts only, or a column of energies too; without it as there is need, "
    "XY where the energies are uneven.",
)
@output_options
def spectrum(
    file: Path,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
    detector: int | str | None,
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
    with errors_as_messages():
        check_extension(output, _SPECTRA)
        if masks and (x or y or statistic != "sum"):
            raise click.ClickException(
                "--mask gives sums of its own regions: leave out --x, --y and --statistic"
            )
        if msa_format is not None and output.suffix.lower() != ".msa":
            raise click.ClickException(f"--format is for .msa, and OUTPUT is {output}")
        names = unique([mask.stem for mask in masks])
        outputs = check_outputs(file, output, names, overwrite)
        signal = load_map(file, detector)
        options = {} if msa_format is None else {"format": msa_format.upper()}
        # A map of an electron microscope was made one of X-ray fluorescence to be summed: its
        # spectrum is saved as what it was.
        held = signal.tmp_parameters.get_item("type_of_file")
        kind = held if output.suffix.lower() == ".msa" else None
        if masks:
            regions = [_read_mask(mask, signal) for mask in masks]
            found = signal.get_region_spectra(dict(zip(names, regions, strict=True)))
            sizes = [f"{np.count_nonzero(region)}" for region in regions]
            totals = list(found.values())
        else:
            region = select(signal, x, y)
            sizes = [region_size(region)]
            if statistic == "sum":
                totals = [compute(region.sum(), "adding up the spectra")]
            else:
                found = region.get_summary()
                totals = [found[statistic]]
        for path, total, size in zip(outputs, totals, sizes, strict=True):
            if kind:
                total.set_signal_type(kind)
            total.save(path, overwrite=overwrite, **options)
            click.echo(
                f"{path}: {_show_counts(total.data.sum())} counts of {size} pixels"
            )
            if not total.data.any():
                warn(f"there are no counts in this region: {path}")


@click.command()
@click.argument("file", type=FILE)
@region_options
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
    type=Finite(),
    metavar="A B",
    help="Window of energies, keV.",
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
    type=FiniteRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    help="Of the window of a line, in its full widths at half maximum.",
)
@click.option("--scale-bar", is_flag=True, help="Draw a scale bar into a .png picture.")
@output_options
def image(
    file: Path,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
    detector: int | str | None,
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
    with errors_as_messages():
        check_extension(output, _IMAGES)
        if scale_bar and output.suffix.lower() != ".png":
            raise click.ClickException(f"--scale-bar is for .png, and OUTPUT is {output}")
        windows: dict[str, Any] = {line: line for line in lines}
        pairs = {f"{a:.10g}-{b:.10g}_keV": (a, b) for a, b in energies}
        windows |= pairs
        windows |= {f"channels_{a}-{b}": (a, b) for a, b in channels}
        if len(windows) < len(lines) + len(energies) + len(channels):
            raise click.ClickException("a window is given twice")
        for a, b in channels:
            if a < 0 or b < 0:
                raise click.ClickException(f"--channels is {a} {b}, expected 0 or more")
        outputs = check_outputs(file, output, list(windows), overwrite)
        region = select(load_map(file, detector, n_axes=(2,)), x, y)
        steps = [(a.scale, a.units) for a in region.axes_manager.navigation_axes]
        if scale_bar and not (
            steps[0][1] == steps[1][1]
            and math.isclose(steps[0][0], steps[1][0], rel_tol=1e-4)
        ):
            raise click.ClickException(
                f"--scale-bar needs pixels that are as wide as high, and these are "
                f"{steps[0][0]:g} by {steps[1][0]:g} {steps[0][1] or ''}"
            )
        if region.axes_manager.signal_axes[0].units == "eV":
            windows |= {name: (1000 * a, 1000 * b) for name, (a, b) in pairs.items()}
        windows = windows or {"counts": (0, region.axes_manager.signal_size)}
        found = region.get_window_images(windows, width)
        images = list(found.values())
        for path, picture in zip(outputs, images, strict=True):
            _save_image(picture, path, scale_bar, overwrite)
            total, low, high = (
                _show_counts(number)
                for number in (picture.data.sum(), picture.data.min(), picture.data.max())
            )
            click.echo(f"{path}: {total} counts, {low} to {high} a pixel")


def _show_counts(number: Any) -> str:
    """Show all digits of an integer, and those of other numbers that mean something."""
    return f"{number:.7g}" if isinstance(number, np.floating) else str(number)


def _save_image(picture: Any, path: Path, scale_bar: bool, overwrite: bool) -> None:
    options: dict[str, Any] = {}
    if path.suffix.lower() == ".png":
        rows, columns = picture.data.shape
        factor = max(1, math.ceil(_PICTURE_PIXELS / max(rows, columns)))
        options["output_size"] = (columns * factor, rows * factor)
        if scale_bar:
            options["scalebar"] = True
    from rsciio_xfm.signals.saving import fit_tiff, save

    if not options:
        fit_tiff(picture)
    save(picture, path, overwrite, **options)


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
