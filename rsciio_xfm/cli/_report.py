"""``rsciio-xfm report``."""

import shlex
from pathlib import Path
from typing import Any

import click

from rsciio_xfm.cli._errors import errors_as_messages
from rsciio_xfm.cli._files import load_map, select
from rsciio_xfm.cli._masks import read_masks
from rsciio_xfm.cli._options import (
    calibrate_option,
    chosen_model,
    mask_option,
    model_options,
    n_classes_option,
    output_options,
    pixel_size_option,
    region_options,
    rgb_option,
)
from rsciio_xfm.cli._outputs import refuse_existing
from rsciio_xfm.cli._pictures import check_pictures, resize
from rsciio_xfm.cli._says import show_size
from rsciio_xfm.cli._values import AUTO, FILE

_ARGUMENTS = "rsciio_xfm.arguments"  # of the command, as they were typed


class _Remembering(click.Command):
    """A command that knows what was typed: the report says how to make it again."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)


@click.command(cls=_Remembering)
@click.argument("file", type=FILE)
@region_options
@calibrate_option
@model_options
@rgb_option(
    "What is red, green and blue in the first picture, as Fe_Ka,Ca_Ka,Ti_Ka; a colour is left "
    "out by Fe_Ka,,Ti_Ka; those whose maps show most contrast by default."
)
@pixel_size_option
@mask_option(", of which the report tells counts and spectrum. Repeat it for several.")
@n_classes_option(0, AUTO)
@output_options("The .html page.")
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
    rgb: tuple[str | None, ...] | None,
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
        with collected() as texts:
            signal = load_map(file, detector, (0, 1, 2))
            if rgb and signal.axes_manager.navigation_dimension < 2:
                raise click.ClickException(f"{file}: --rgb is for maps of x and y")
            regions = _regions(masks, signal, x, y)
            found = ""
            if calibrate:
                found = str(signal.calibrate_energy(calibrate))
            signal = select(signal, x, y)
            resize(signal, pixel_size)
        source = Source(signal, file, _command(), found, tuple(dict.fromkeys(texts)))
        asked = Asked(chosen, excitation, energy, regions, n_classes, rgb)
        content = write_page(source, asked, output)
        missing = [content.fitted] if isinstance(content.fitted, str) else []
        for text in (*content.warnings, *missing):
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
    regions = read_masks(masks, signal).items()
    named = {name: region[part[2 - n_axes :]] for name, region in regions}
    for mask, region in zip(masks, named.values(), strict=True):
        if not region.any():
            raise click.ClickException(f"{mask}: no pixel of the mask is in this part")
    return named
