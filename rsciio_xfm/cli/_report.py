"""``rsciio-xfm report``."""

import shlex
from pathlib import Path
from typing import Any

import click

from rsciio_xfm.cli._classify import ClassesOrAuto
from rsciio_xfm.cli._common import (
    FILE,
    chosen_model,
    errors_as_messages,
    load_map,
    model_options,
    refuse_existing,
    region_options,
    select,
    show_size,
)
from rsciio_xfm.cli._elements import KNOWN
from rsciio_xfm.cli._pictures import check_pictures, resize, size_option
from rsciio_xfm.cli._spectra import read_mask
from rsciio_xfm.core.names import unique

_ARGUMENTS = "rsciio_xfm.arguments"  # of the command, as they were typed


class _Remembering(click.Command):
    """A command that knows what was typed: the report says how to make it again."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)


@click.command(cls=_Remembering)
@click.argument("file", type=FILE)
@region_options
@click.option(
    "--calibrate",
    type=KNOWN,
    metavar="LINES",
    help="Calibrate the energy axis by lines first: Fe_Ka=640,Ca_Ka=369 (channels), or "
    "elements, Fe,Ca. FILE stays as it is.",
)
@model_options
@size_option
@click.option(
    "--mask",
    "masks",
    multiple=True,
    type=FILE,
    help="Image (.npy, .png, .tif, .bmp) of the size of the map whose pixels that are not "
    "0 make a region, of which the report tells counts and spectrum. Repeat it for several.",
)
@click.option(
    "--n-classes",
    type=ClassesOrAuto(min=0),
    default="auto",
    show_default=True,
    metavar="N",
    help="How many classes; auto: as many as a sample of the map suggests; 0: none.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The .html page.",
)
@click.option("--overwrite", is_flag=True, help="Replace a page that is there.")
def report(
    file: Path,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
    detector: int | str | None,
    calibrate: Any,
    elements: tuple[str, ...],
    excitation: str | None,
    energy: tuple[float, float] | None,
    model: Path | None,
    pixel_size: str | None,
    masks: tuple[Path, ...],
    n_classes: int | str,
    output: Path,
    overwrite: bool,
) -> None:
    """Write what is known of the map in FILE to one page, to be handed on or printed.

    Elements with their counts, uncertainties and maps, the fit, classes, regions, dead times,
    calibration, what was assumed, and every warning. Pictures are in the page, and nothing
    else is needed to read it: any browser opens it, and prints it on A4 or letter.
    """
    with errors_as_messages():
        chosen = chosen_model(elements, excitation, energy, model)
        check_pictures(None, pixel_size)
        from rsciio_xfm.core.warning import collected
        from rsciio_xfm.report.content import Asked, Source
        from rsciio_xfm.report.write import check_page, write_page

        refuse_existing([output], overwrite)
        check_page(output, overwrite)
        import matplotlib as mpl

        mpl.use("agg")
        with collected() as texts:
            signal = load_map(file, detector, (0, 1, 2))
            regions = _regions(masks, signal, x, y)
            found = ""
            if calibrate:
                found = str(signal.calibrate_energy(calibrate))
            if signal.axes_manager.navigation_dimension:
                signal = select(signal, x, y)
            elif x or y:
                raise click.ClickException(f"{file}: --x and --y are for maps")
            resize(signal, pixel_size)
        source = Source(signal, file, _command(), found, tuple(dict.fromkeys(texts)))
        asked = Asked(chosen, excitation, energy, regions, n_classes)
        for text in write_page(source, asked, output):
            click.echo(f"Warning: {text}", err=True)
        click.echo(f"Wrote  {output}, {show_size(output.stat().st_size)}")


def _command() -> str:
    """Return what was typed."""
    arguments = click.get_current_context().meta[_ARGUMENTS]
    return shlex.join(["rsciio-xfm", "report", *arguments])


def _regions(
    masks: tuple[Path, ...],
    signal: Any,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
) -> dict[str, Any] | None:
    """Return the regions of masks, within the part of the map that is looked at."""
    if not masks:
        return None
    part = tuple(slice(*ends) if ends else slice(None) for ends in (y, x))
    n_axes = signal.axes_manager.navigation_dimension
    names = unique([mask.stem for mask in masks])
    named = {}
    for name, mask in zip(names, masks, strict=True):
        named[name] = read_mask(mask, signal)[part[2 - n_axes :]]
        if not named[name].any():
            raise click.ClickException(f"{mask}: no pixel of the mask is in this part")
    return named
