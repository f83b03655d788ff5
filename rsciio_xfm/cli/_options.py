"""Options of several commands, each of which is defined once."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from rsciio_xfm.cli._reader_options import (
    Decorator,
    detector_option,
    reader_options,
    together,
)
from rsciio_xfm.cli._values import COLOURS, FILE, KNOWN, Finite, NumberOrAuto


def _range_option(name: str, what: str) -> Decorator:
    text = f"{what} A to B - 1."
    return click.option(f"--{name}", nargs=2, type=int, metavar="A B", help=text)


range_options = together(_range_option("x", "Columns"), _range_option("y", "Rows"))
region_options = together(reader_options, range_options, detector_option)


def mask_option(what_for: str) -> Decorator:
    """Let the user name images of regions, which `read_masks` reads."""
    text = (
        "Image (.npy, .png, .tif, .bmp) of the size of the map whose pixels that are not 0 "
        f"make a region{what_for}"
    )
    return click.option("--mask", "masks", multiple=True, type=FILE, help=text)


# What is fitted, and what excites it.


def element_option(text: str) -> Decorator:
    return click.option("--element", "elements", multiple=True, help=text)


def energy_option(text: str) -> Decorator:
    return click.option("--energy", nargs=2, type=Finite(), metavar="A B", help=text)


excitation_option = click.option(
    "--excitation",
    help='What excites the sample: "Mo 50 kV", "17.44 keV", "electrons 20 kV"; what the file '
    "says by default.",
)
# What is fitted: see :func:`chosen_model`.
model_options = together(
    element_option(
        "Element, or group of its lines: Fe, Pb_L. Repeat it for several; those that are "
        "found by default."
    ),
    excitation_option,
    energy_option("Energies that are fitted; not with --model."),
    click.option(
        "--model",
        type=FILE,
        help="A model.yaml that was made with a map of the same set-up, instead of "
        "--element.",
    ),
)


def chosen_model(
    elements: tuple[str, ...],
    excitation: str | None,
    energy: tuple[float, float] | None,
    model: Path | None,
) -> Any:
    """Return what is fitted: elements, a model, or None to find them."""
    if model is not None and (elements or excitation or energy):
        raise click.ClickException(
            "--model is given, which has elements, excitation and energies of its own: "
            "leave out --element, --excitation and --energy"
        )
    if model is not None:
        from rsciio_xfm import load_element_model

        return load_element_model(model)
    return list(elements) or None


calibrate_option = click.option(
    "--calibrate",
    type=KNOWN,
    metavar="LINES",
    help="Calibrate the energy axis by lines: Fe_Ka=640,Ca_Ka=369 (channels), or elements, "
    "Fe,Ca. FILE stays as it is.",
)


def n_classes_option(least: int, default: int | str) -> Decorator:
    none = "" if least else "; 0: none"
    return click.option(
        "--n-classes",
        type=NumberOrAuto(min=least),
        default=default,
        show_default=True,
        metavar="N",
        help=f"How many classes; auto: as many as a sample of the map suggests{none}.",
    )


# Pictures.

pixel_size_option = click.option(
    "--pixel-size",
    metavar="SIZE",
    help="Size of a pixel with its unit, as 50um, or 50um,40um along x and y, instead of that "
    "of FILE, in all that is written.",
)


def rgb_option(text: str) -> Decorator:
    return click.option("--rgb", type=COLOURS, metavar="RED,GREEN,BLUE", help=text)


picture_options = together(
    click.option(
        "--cmap",
        metavar="NAME",
        help="Colours of the maps, by their name in matplotlib, as viridis or gray.",
    ),
    rgb_option(
        "What is red, green and blue in one picture, as Fe_Ka,Ca_Ka,Ti_Ka; a colour is left "
        "out by Fe_Ka,,Ti_Ka."
    ),
    pixel_size_option,
)

# What is written.


def output_options(text: str | None = None, *, is_required: bool = True) -> Decorator:
    """Let the user say where results go, and whether they may replace what is there."""
    path = click.Path(path_type=Path)
    return together(
        click.option("-o", "--output", required=is_required, type=path, help=text),
        click.option("--overwrite", is_flag=True, help="Replace what is there."),
    )


def given_options() -> set[str]:
    """Return the names of the options that the user gave."""
    context = click.get_current_context()
    return {
        name
        for name in context.params
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE
    }


def refuse_given(names: set[str], where: Path, why: str) -> None:
    """Refuse options that would do nothing, if the user gave some of them."""
    given = sorted(given_options() & names)
    if given:
        shown = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise click.ClickException(f"{where}: {shown} is {why}")
