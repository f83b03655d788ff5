"""``rsciio-xfm maps``."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from rsciio_xfm.cli._errors import errors_as_messages
from rsciio_xfm.cli._files import load_map, select
from rsciio_xfm.cli._options import (
    chosen_model,
    model_options,
    output_options,
    picture_options,
    region_options,
)
from rsciio_xfm.cli._outputs import check_folder
from rsciio_xfm.cli._pictures import check_pictures, resize
from rsciio_xfm.cli._says import region_size
from rsciio_xfm.cli._values import FILE
from rsciio_xfm.core.warning import warn


@click.command()
@click.argument("file", type=FILE)
@region_options
@model_options
@click.option(
    "--nonnegative", is_flag=True, help="No pixel is below 0: for pictures, not for sums."
)
@click.option(
    "--sigma", is_flag=True, help="Standard deviations of the pixels, as .tif, too."
)
@picture_options
@click.option(
    "--format",
    type=click.Choice(["png", "pdf", "svg"], case_sensitive=False),
    default="png",
    show_default=True,
    help="Of the pictures.",
)
@output_options("Folder.")
def maps(
    file: Path,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
    detector: int | str | None,
    elements: tuple[str, ...],
    excitation: str | None,
    energy: tuple[float, float] | None,
    model: Path | None,
    nonnegative: bool,
    sigma: bool,
    pixel_size: str | None,
    output: Path,
    overwrite: bool,
    **pictures: Any,
) -> None:
    """Fit the spectra in FILE and write maps of its elements to a folder.

    For each element a .tif with its counts, a picture of all of them, a table of their counts,
    uncertainties and detection limits, a picture of the fit, and the model, which other maps
    of the same set-up can be made with.
    """
    with errors_as_messages():
        check_pictures(pictures["cmap"], pixel_size)
        chosen = chosen_model(elements, excitation, energy, model)
        from rsciio_xfm.signals.element_maps import Pictures, results_in

        how = Pictures(**pictures)
        check_folder(output, results_in(output), overwrite)
        region = select(load_map(file, detector), x, y)
        resize(region, pixel_size)
        n_axes = region.axes_manager.navigation_dimension
        if how.rgb is not None and n_axes != 2:
            raise click.ClickException(
                f"{file}: --rgb is for maps of x and y, and this has {n_axes} axes"
            )
        found = region.get_element_maps(
            chosen,
            excitation=excitation,
            energy_range=energy,
            nonnegative=nonnegative,
        )
        missing = [name for name in how.rgb or () if name and name not in found]
        if missing:  # the fit has taken its time: what is whole is written
            warn(
                f"--rgb: {missing[0]!r} is not fitted, expected some of "
                f"{', '.join(found.names)}: rgb.{how.format} is not written."
            )
            how = replace(how, rgb=None)
        head, _, table = repr(found).partition("\n")
        quality = head.partition(" pixels, ")[2]
        shape = region_size(region)
        click.echo(f"{file}: {len(found)} groups of lines, {shape} pixels, {quality}")
        click.echo(table)
        for path in found.save(output, overwrite, sigma, how):
            click.echo(f"Wrote  {path}")
