"""What commands share that draw maps."""

from pathlib import Path
from typing import Any

import click

VECTOR = (".pdf", ".svg")
PICTURES = (".png", *VECTOR)


def check_folder_of(output: Path) -> None:
    """Refuse a picture in a folder that is not there; HyperSpy makes those of its files."""
    if output.suffix.lower() in PICTURES and not output.parent.is_dir():
        raise click.ClickException(f"{output}: there is no folder {output.parent}")


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
        if not axis.is_uniform:
            axis.convert_to_uniform_axis(log_scale_error=False)
        axis.scale, axis.units, axis.offset = scale, units, 0.0


def write_figure(axes: Any, path: Path) -> None:
    """Write a figure, when it is whole."""
    from rsciio_xfm.core.atomic import replacing_in
    from rsciio_xfm.signals.folders import save_figure

    with replacing_in(path.parent, path) as temporary:
        save_figure(axes, temporary / path.name)
