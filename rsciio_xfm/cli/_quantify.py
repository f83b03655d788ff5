"""``rsciio-xfm standard`` and ``quantify``."""

from pathlib import Path
from typing import Any

import click

from rsciio_xfm.cli._errors import errors_as_messages
from rsciio_xfm.cli._files import load_spectra
from rsciio_xfm.cli._options import (
    chosen_model,
    model_options,
    output_options,
    region_options,
    together,
)
from rsciio_xfm.cli._outputs import check_folder, refuse_existing
from rsciio_xfm.cli._values import FILE, FiniteRange, Parsed

_ABOVE_0 = FiniteRange(min=0, min_open=True)
_SETUP = ("incidence", "takeoff", "atmosphere", "distance", "window", "crystal", "flux",
          "solid_angle")  # fmt: skip
_KNOWN = "amounts like Fe=64.3,Cr=18.4,SiO2=1.1"


def _parse_amounts(text: str) -> dict[str, float]:
    """Return elements or compounds, and how much there is of each."""
    pairs = [part.partition("=") for part in text.split(",")]
    try:
        known = {name.strip(): float(amount) for name, _, amount in pairs}
    except ValueError:
        known = {}
    if len(known) != len(pairs) or not all(known):
        raise ValueError(f"{text!r} is not {_KNOWN}")
    return known


def _parse_sample(text: str) -> str:
    """Return what ``sample`` may be, as it is: thick, thin, or a thickness."""
    from rsciio_xfm.signals.standards import thickness_of

    thickness_of(text)
    return text


_DEGREES = FiniteRange(0, 90, min_open=True)
# How the sample was excited and seen, and what it is.
setup_options = together(
    click.option("--incidence", type=_DEGREES, metavar="DEGREES",
                 help="Between surface and beam."),
    click.option("--takeoff", type=_DEGREES, metavar="DEGREES",
                 help="Between surface and detector."),
    click.option("--atmosphere", type=click.Choice(["air", "helium", "vacuum"]),
                 help="Between sample and detector."),
    click.option("--distance", type=_ABOVE_0, metavar="CM",
                 help="From sample to detector, with --atmosphere."),
    click.option("--window", multiple=True,
                 help='Before the detector: "Be 8 um". Repeat it for several.'),
    click.option("--crystal", help='Of the detector: "Si 0.5 mm".'),
    click.option("--sample", type=Parsed("sample", _parse_sample), default="thick",
                 show_default=True, help="thick, thin (absorbs nothing), or g/cm2."),
    click.option("--live-time", type=_ABOVE_0, metavar="S",
                 help="Of one spectrum, of a map the mean; what FILE says by default."),
)  # fmt: skip


@click.command()
@click.argument("file", type=FILE)
@click.argument("known", type=Parsed("amounts", _parse_amounts), metavar="AMOUNTS")
@region_options
@model_options
@setup_options
@output_options("A .yaml file.")
def standard(
    file: Path, known: dict[str, float], output: Path, overwrite: bool, **options: Any
) -> None:
    """Measure a standard: fit FILE, a sample that is known, and write what it tells.

    AMOUNTS are mass % of elements or compounds, Fe=64.3,Cr=18.4,SiO2=1.1, or µg/cm2 with
    --sample thin. The file is for rsciio-xfm quantify --standard.
    """
    with errors_as_messages():
        refuse_existing([output], overwrite)
        found, own, signal = _fitted(file, options)
        setup = _setup(own, signal, options)
        result = found.as_standard(
            known, options["sample"], live_time=options["live_time"], setup=setup
        )
        click.echo(repr(result))
        result.save(output, overwrite=overwrite)
        click.echo(f"Wrote  {output}")


@click.command()
@click.argument("file", type=FILE)
@region_options
@model_options
@click.option(
    "--standard",
    "standards",
    type=FILE,
    multiple=True,
    help="Of rsciio-xfm standard. Repeat it for several.",
)
@setup_options
@click.option(
    "--flux",
    type=_ABOVE_0,
    metavar="PHOTONS/S",
    help="At the sample; without --standard.",
)
@click.option(
    "--solid-angle", type=_ABOVE_0, metavar="SR", help="Of a detector; with --flux."
)
@click.option(
    "--matrix",
    help='What has no lines: "SiO2", "oxides", "oxides + H2O", or "normalise": there is '
    "nothing else.",
)
@click.option(
    "--classes",
    type=FILE,
    help="A labels.tif of rsciio-xfm classify: each class has a composition of its own.",
)
@output_options("Folder.")
def quantify(
    file: Path,
    standards: tuple[Path, ...],
    matrix: str | None,
    classes: Path | None,
    output: Path,
    overwrite: bool,
    **options: Any,
) -> None:
    """Fit FILE, a map or a spectrum, and write how much of each element there is.

    Mass %, or µg/cm2 with --sample thin, by a --standard, or by --flux and --solid-angle. Of
    a map of X-rays, not of electrons. A table, what was assumed, and a .tif of each element.
    """
    with errors_as_messages():
        from rsciio_xfm import load_standard
        from rsciio_xfm.signals.concentrations import results_in

        check_folder(output, results_in(output), overwrite)
        known = [load_standard(path) for path in standards]
        found, own, signal = _fitted(file, options)
        more: dict[str, Any] = {}
        if classes is not None:
            more["per"] = _classes(file, found, own, classes)
        needs_setup = not known and matrix is not None
        setup = _setup(own, signal, options, needs_setup)
        result = found.quantify(
            known or None,
            setup,
            options["sample"],
            matrix,
            live_time=options["live_time"],
            **more,
        )
        click.echo(repr(result))
        for path in result.save(output, overwrite=overwrite):
            click.echo(f"Wrote  {path}")


def _fitted(file: Path, options: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return the element maps of a file, or the model of a spectrum; model and spectra."""
    from rsciio_xfm import create_element_model, get_element_maps

    excitation, energy = options["excitation"], options["energy"]
    chosen = chosen_model(options["elements"], excitation, energy, options["model"])
    signal = load_spectra(file, options["x"], options["y"], options["detector"])
    own = {"excitation": excitation, "energy_range": energy}
    if signal.axes_manager.navigation_dimension:
        maps = get_element_maps(signal, chosen, **own)
        return maps, maps.model, signal
    model = chosen
    if not hasattr(chosen, "fit"):
        model = create_element_model(signal, chosen, **own)
    if not model.is_fitted or chosen is model:
        model.fit(signal)
    return model, model, signal


def _setup(
    model: Any, signal: Any, options: dict[str, Any], is_needed: bool = True
) -> Any:
    """Return the set-up that the user and the file say; None: the standard's is taken."""
    from rsciio_xfm import make_setup
    from rsciio_xfm.signals.excitation import has_excitation

    # A model that was saved without any does not know angles and crystal.
    is_of_file = model.source is None and has_excitation(signal)
    given = {name: options.get(name) for name in _SETUP}
    given = {name: value for name, value in given.items() if value not in (None, ())}
    if not given and not is_needed:
        return None
    return make_setup(signal if is_of_file else model, **given)


def _classes(file: Path, found: Any, model: Any, classes: Path) -> dict[str, Any]:
    """Return the pixels of each class of a label image."""
    import hyperspy.api as hs
    import numpy as np

    if found is model:
        raise click.ClickException(f"{file} is one spectrum: --classes is for maps")
    labels = np.asarray(hs.load(classes).data)
    shape = next(iter(found.values())).data.shape
    labels = labels.reshape(shape) if labels.size == np.prod(shape) else labels
    if labels.shape != shape or labels.dtype.kind not in "iu":
        raise click.ClickException(
            f"{classes} is an image of {labels.dtype}, {labels.shape}, expected whole "
            f"numbers, {shape}: labels.tif of rsciio-xfm classify"
        )
    return {f"class {k}": labels == k for k in np.unique(labels) if k >= 0}
