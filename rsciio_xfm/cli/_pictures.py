"""Options of the commands that draw maps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

VECTOR = (".pdf", ".svg")
PICTURES = (".png", *VECTOR)


class Colours(click.ParamType):
    """Up to three names between commas: what is red, green and blue."""

    name = "red,green,blue"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        names = [name.strip() for name in value.split(",")]
        if len(names) > 3 or not any(names):
            self.fail(
                f"{value!r} is not what is red, green and blue: expected up to three "
                "names, like Fe_Ka,Ca_Ka,Ti_Ka",
                param,
                ctx,
            )
        return tuple(name or None for name in (*names, "", ""))[:3]


size_option = click.option(
    "--pixel-size",
    metavar="SIZE",
    help="Of a pixel, with its unit, as 50um, or 50um,40um along x and y; instead of that of "
    "FILE.",
)


def picture_options(command: Callable) -> Callable:
    """Add the options of the commands that draw maps."""
    for option in (
        size_option,
        click.option(
            "--rgb",
            type=Colours(),
            metavar="RED,GREEN,BLUE",
            help="What is red, green and blue in one picture, as Fe_Ka,Ca_Ka,Ti_Ka; a colour "
            "is left out by Fe_Ka,,Ti_Ka.",
        ),
        click.option(
            "--cmap",
            metavar="NAME",
            help="Colours of the maps, by their name in matplotlib, as viridis or gray.",
        ),
    ):
        command = option(command)
    return command


def check_pictures(cmap: str | None, pixel_size: str | None) -> None:
    """Refuse options before anything is read."""
    from rsciio_xfm.drawing.lengths import parse_pixel_size
    from rsciio_xfm.drawing.panels import check_cmap

    check_cmap(cmap)
    if pixel_size is not None:
        parse_pixel_size(pixel_size)


def resize(signal: Any, pixel_size: str | None) -> None:
    """Give a map the size of pixels that was asked for."""
    from rsciio_xfm.drawing.lengths import parse_pixel_size

    if pixel_size is None:
        return
    steps = parse_pixel_size(pixel_size)
    axes = signal.axes_manager.navigation_axes
    for axis, (scale, units) in zip(axes, steps, strict=False):
        axis.scale, axis.units, axis.offset = scale, units, 0.0


def write_figure(axes: Any, path: Path) -> None:
    """Write a figure, when it is whole."""
    from rsciio_xfm.core.atomic import replacing_in
    from rsciio_xfm.signals.folders import save_figure

    with replacing_in(path.parent, path) as temporary:
        save_figure(axes, temporary / path.name)
