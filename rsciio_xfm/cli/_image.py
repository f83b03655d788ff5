"""``rsciio-xfm image``."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from rsciio_xfm.cli._errors import errors_as_messages
from rsciio_xfm.cli._files import load_map, select
from rsciio_xfm.cli._options import output_options, picture_options, region_options
from rsciio_xfm.cli._outputs import check_extension, check_outputs
from rsciio_xfm.cli._pictures import (
    PICTURES,
    VECTOR,
    check_folder_of,
    check_pictures,
    resize,
    write_figure,
)
from rsciio_xfm.cli._says import show_counts
from rsciio_xfm.cli._values import FILE, Finite, FiniteRange

_PIXELS = 800  # of the longer side of a plain picture, at least
_IMAGES = (".tif", ".tiff", *PICTURES, ".hspy")


@dataclass(frozen=True)
class _Asked:
    """How images are written."""

    output: Path
    overwrite: bool
    cmap: str | None
    rgb: tuple[str | None, ...] | None
    plain: bool
    scale_bar: bool
    separate: bool

    @property
    def is_drawn(self) -> bool:
        """Whether there are names, colour bars and a scale bar."""
        suffix = self.output.suffix.lower()
        return suffix in VECTOR or (suffix == ".png" and not self.is_plain)

    @property
    def is_plain(self) -> bool:
        """Whether it is a picture of the pixels alone."""
        return self.plain or self.scale_bar

    @property
    def is_one(self) -> bool:
        """Whether all windows are in one picture."""
        return self.is_drawn and not self.separate

    def check(self) -> None:
        """Refuse options that do not go with each other."""
        check_extension(self.output, _IMAGES)
        check_folder_of(self.output)
        plain = "--scale-bar" if self.scale_bar else "--plain"
        if self.is_plain and self.output.suffix.lower() != ".png":
            raise click.ClickException(
                f"{plain} is for .png, and OUTPUT is {self.output}"
            )
        drawn = {"--cmap": self.cmap, "--rgb": self.rgb, "--separate": self.separate}
        given = [name for name, value in drawn.items() if value]
        if given and not self.is_drawn:
            why = (
                f"together with {plain}"
                if self.is_plain
                else f"and OUTPUT is {self.output}"
            )
            raise click.ClickException(
                f"{given[0]} is for pictures that are drawn, .png, .pdf or .svg, {why}"
            )
        if self.rgb and len(given) > 1:
            raise click.ClickException(f"--rgb is one picture: leave out {given[0]}")


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
@picture_options
@click.option("--separate", is_flag=True, help="Draw a picture for each window.")
@click.option(
    "--plain",
    is_flag=True,
    help="Of a .png: the pixels alone, in grey, without name and colour bar.",
)
@click.option(
    "--scale-bar", is_flag=True, help="Of a .png: as --plain, with a scale bar."
)
@output_options()
def image(
    file: Path,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
    detector: int | str | None,
    lines: tuple[str, ...],
    energies: tuple[tuple[float, float], ...],
    channels: tuple[tuple[int, int], ...],
    width: float,
    pixel_size: str | None,
    **how: Any,
) -> None:
    """Write images of energy windows of FILE, all of them in one pass over it.

    Without a window it is the image of all counts. The extension of OUTPUT chooses the
    format: .png (300 dpi), .pdf and .svg are drawn for print, with names, colour bars and a
    scale bar, all windows in one picture. .tif has the counts, .hspy is to go on with
    HyperSpy; with several windows, their names are added to the name of OUTPUT then.
    """
    asked = _Asked(**how)
    with errors_as_messages():
        asked.check()
        check_pictures(asked.cmap, pixel_size)
        if asked.rgb and (lines or energies or channels):
            raise click.ClickException(
                "--rgb names its own lines: leave out --line, --energy and --channels"
            )
        windows = _windows(lines or _named(asked.rgb), energies, channels)
        names = [] if asked.is_one else list(windows)
        outputs = check_outputs(file, asked.output, names, asked.overwrite)
        region = select(load_map(file, detector, n_axes=(2,)), x, y)
        resize(region, pixel_size)
        if asked.scale_bar:
            _check_square(region)
        if region.axes_manager.signal_axes[0].units == "eV":
            windows |= {
                name: (1000 * a, 1000 * b)
                for name, (a, b) in zip(_pairs(energies), energies, strict=True)
            }
        windows = windows or {"counts": (0, region.axes_manager.signal_size)}
        found = region.get_window_images(windows, width)
        if asked.is_one:
            write_figure(_draw(found, asked), asked.output)
        for k, (name, picture) in enumerate(found.items()):
            path = outputs[k % len(outputs)]
            if not asked.is_one:
                _save_image(name, picture, path, asked)
            total, low, high = (
                show_counts(number)
                for number in (picture.data.sum(), picture.data.min(), picture.data.max())
            )
            of = f"{name}, " if asked.is_one and len(found) > 1 else ""
            click.echo(f"{path}: {of}{total} counts, {low} to {high} a pixel")


def _named(rgb: tuple[str | None, ...] | None) -> tuple[str, ...]:
    return tuple(name for name in rgb or () if name)


def _pairs(energies: tuple[tuple[float, float], ...]) -> list[str]:
    return [f"{a:.10g}-{b:.10g}_keV" for a, b in energies]


def _windows(
    lines: tuple[str, ...],
    energies: tuple[tuple[float, float], ...],
    channels: tuple[tuple[int, int], ...],
) -> dict[str, Any]:
    """Return the windows that were asked for, by their names."""
    windows: dict[str, Any] = {line: line for line in lines}
    windows |= dict(zip(_pairs(energies), energies, strict=True))
    windows |= {f"channels_{a}-{b}": (a, b) for a, b in channels}
    if len(windows) < len(lines) + len(energies) + len(channels):
        raise click.ClickException("a window is given twice")
    for a, b in channels:
        if a < 0 or b < 0:
            raise click.ClickException(f"--channels is {a} {b}, expected 0 or more")
    return windows


def _check_square(region: Any) -> None:
    from rsciio_xfm.signals.checks import steps_of_axes

    steps = steps_of_axes(region.axes_manager.navigation_axes)
    if steps[0][1] != steps[1][1] or not math.isclose(
        steps[0][0], steps[1][0], rel_tol=1e-4
    ):
        raise click.ClickException(
            f"--scale-bar needs pixels that are as wide as high, and these are "
            f"{steps[0][0]:g} by {steps[1][0]:g} {steps[0][1] or ''}; without it, a picture "
            "is drawn with the sizes that they have"
        )


def _draw(images: Mapping[str, Any], asked: _Asked) -> Any:
    """Draw images in one picture."""
    from rsciio_xfm.signals.map_plots import plot_maps, plot_rgb

    if asked.rgb:
        each = [None if name is None else images[name] for name in asked.rgb]
        return plot_rgb(*each, labels=list(images))
    labels = ["All counts" if n == "counts" else n for n in images]
    names = [n.replace("_keV", " keV").replace("channels_", "channels ") for n in labels]
    return plot_maps(images, cmap=asked.cmap, labels=names)


def _save_image(name: str, picture: Any, path: Path, asked: _Asked) -> None:
    from rsciio_xfm.signals.saving import fit_tiff, save

    if asked.is_drawn:
        write_figure(_draw({name: picture}, asked), path)
        return
    options: dict[str, Any] = {}
    if path.suffix.lower() == ".png":
        rows, columns = picture.data.shape
        factor = max(1, math.ceil(_PIXELS / max(rows, columns)))
        options["output_size"] = (columns * factor, rows * factor)
        if asked.scale_bar:
            options["scalebar"] = True
    else:
        fit_tiff(picture)
    save(picture, path, asked.overwrite, **options)
