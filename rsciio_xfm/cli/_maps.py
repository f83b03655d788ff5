"""``rsciio-xfm maps``."""

from pathlib import Path
from typing import Any

import click

from rsciio_xfm.cli._common import (
    FILE,
    Finite,
    errors_as_messages,
    excitation_option,
    load_map,
    refuse_existing,
    region_options,
    region_size,
    select,
)


@click.command()
@click.argument("file", type=FILE)
@region_options
@click.option(
    "--element",
    "elements",
    multiple=True,
    help="Element, or group of its lines: Fe, Pb_L. Repeat it for several; those that are "
    "found by default.",
)
@excitation_option
@click.option(
    "--energy",
    nargs=2,
    type=Finite(),
    metavar="A B",
    help="Energies that are fitted; with --element.",
)
@click.option(
    "--model",
    type=FILE,
    help="A model.yaml that was made with a map of the same set-up, instead of --element.",
)
@click.option(
    "--nonnegative", is_flag=True, help="No pixel is below 0: for pictures, not for sums."
)
@click.option(
    "--sigma", is_flag=True, help="Standard deviations of the pixels, as .tif, too."
)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder."
)
@click.option("--overwrite", is_flag=True, help="Replace results that are there.")
def maps(
    file: Path,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
    detector: int | None,
    elements: tuple[str, ...],
    excitation: str | None,
    energy: tuple[float, float] | None,
    model: Path | None,
    nonnegative: bool,
    sigma: bool,
    output: Path,
    overwrite: bool,
) -> None:
    """Fit the spectra in FILE and write maps of its elements to a folder.

    For each element a .tif with its counts, a picture of all of them, a table of their counts,
    uncertainties and detection limits, a picture of the fit, and the model, which other maps
    of the same set-up can be made with.
    """
    with errors_as_messages():
        chosen = _chosen(elements, excitation, energy, model)
        if output.exists() and not output.is_dir():
            raise click.ClickException(f"{output} is a file, expected a folder or none")
        import matplotlib as mpl

        from rsciio_xfm.signals.element_maps import results_in

        refuse_existing(results_in(output), overwrite)
        mpl.use("agg")
        region = select(load_map(file, detector), x, y)
        found = region.get_element_maps(
            chosen,
            excitation=excitation,
            energy_range=energy,
            nonnegative=nonnegative,
            show_progressbar=False,
        )
        head, _, table = repr(found).partition("\n")
        quality = head.partition(" pixels, ")[2]
        shape = region_size(region)
        click.echo(f"{file}: {len(found)} groups of lines, {shape} pixels, {quality}")
        click.echo(table)
        for path in found.save(output, overwrite, sigma):
            click.echo(f"Wrote  {path}")


def _chosen(
    elements: tuple[str, ...],
    excitation: str | None,
    energy: tuple[float, float] | None,
    model: Path | None,
) -> Any:
    """Return what the maps are made of: elements, a model, or None to find them."""
    if model is not None and (elements or excitation or energy):
        raise click.ClickException(
            "--model is given, which has elements, excitation and energies of its own: "
            "leave out --element, --excitation and --energy"
        )
    if energy is not None and not elements:
        raise click.ClickException("--energy is given, expected --element with it")
    if model is not None:
        from rsciio_xfm import load_element_model

        return load_element_model(model)
    return list(elements) or None
