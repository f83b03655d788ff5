"""``rsciio-xfm spectrum``."""

from pathlib import Path
from typing import Any

import click
import numpy as np

from rsciio_xfm.cli._common import (
    FILE,
    check_extension,
    check_outputs,
    compute,
    dask_bar,
    errors_as_messages,
    load_map,
    output_options,
    region_options,
    region_size,
    select,
)
from rsciio_xfm.core.names import unique
from rsciio_xfm.core.warning import warn

_SPECTRA = (".msa", ".hspy")


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
            with dask_bar("Summing spectra"):
                found = signal.get_region_spectra(
                    dict(zip(names, regions, strict=True)), show_progressbar=False
                )
            sizes = [f"{np.count_nonzero(region)}" for region in regions]
            totals = list(found.values())
        else:
            region = select(signal, x, y)
            sizes = [region_size(region)]
            if statistic == "sum":
                totals = [compute(region.sum(), "Summing spectra")]
            else:
                with dask_bar("Summing spectra"):
                    found = region.get_summary(show_progressbar=False)
                totals = [found[statistic]]
        for path, total, size in zip(outputs, totals, sizes, strict=True):
            if kind:
                total.set_signal_type(kind)
            total.save(path, overwrite=overwrite, **options)
            click.echo(f"{path}: {show_counts(total.data.sum())} counts of {size} pixels")
            if not total.data.any():
                warn(f"there are no counts in this region: {path}")


def show_counts(number: Any) -> str:
    """Show all digits of an integer, and those of other numbers that mean something."""
    return f"{number:.7g}" if isinstance(number, np.floating) else str(number)


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
