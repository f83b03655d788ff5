"""``rsciio-xfm spectrum``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from rsciio_xfm.cli._errors import errors_as_messages
from rsciio_xfm.cli._files import load_map, select
from rsciio_xfm.cli._masks import names_of, read_masks
from rsciio_xfm.cli._options import (
    energy_option,
    excitation_option,
    mask_option,
    output_options,
    refuse_given,
    region_options,
)
from rsciio_xfm.cli._outputs import check_extension, check_outputs
from rsciio_xfm.cli._pictures import PICTURES, check_folder_of, write_figure
from rsciio_xfm.cli._says import compute, region_size, show_counts
from rsciio_xfm.cli._values import AUTO, FILE, LINES
from rsciio_xfm.core.warning import warn

_SPECTRA = (".msa", ".hspy")


@click.command()
@click.argument("file", type=FILE)
@region_options
@mask_option(". Several give several spectra, in one pass over FILE.")
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
@click.option(
    "--lines",
    type=LINES,
    metavar="LINES",
    help="Names over the peaks of a picture: lines or elements, like Fe_Ka,Ca, or auto, "
    "those of FILE or else the elements that are found.",
)
@click.option(
    "--per",
    type=click.Choice(["pixel", "live-time"]),
    help="Divide the counts in a picture by the pixels of a region, or its live time.",
)
@click.option(
    "--norm",
    type=click.Choice(["log", "linear"]),
    default="log",
    show_default=True,
    help="Scale of the counts in a picture.",
)
@energy_option("Energies that a picture shows, keV.")
@excitation_option
@output_options()
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
    excitation: str | None,
    **look: Any,
) -> None:
    """Sum the spectra of FILE, or of regions of it, and write the sum to OUTPUT.

    The one spectrum of a file that is no map is written, or drawn, as it is.
    The extension of OUTPUT chooses the format: .msa, or .hspy to go on with HyperSpy; with
    several masks, their names are added to the name of OUTPUT. Or it is a picture for print,
    .png, .pdf or .svg, in which the spectra of several masks are compared.
    """
    with errors_as_messages():
        is_picture = _check(output, masks, statistic, x or y, msa_format)
        if look["per"] and statistic != "sum":
            raise click.ClickException("--per divides sums: leave out --statistic")
        source = _excitation(excitation, look["lines"])
        names = names_of(masks)
        outputs = check_outputs(file, output, [] if is_picture else names, overwrite)
        signal = load_map(file, detector, (0, 1, 2))
        is_map = signal.axes_manager.navigation_dimension > 0
        if masks and not is_map:
            raise click.ClickException(f"{file} is one spectrum: --mask is for maps")
        if look["per"] == "pixel" and not is_map:
            raise click.ClickException(f"{file} is one spectrum: --per pixel is for maps")
        if masks:
            sums = _sum_masks(signal, masks)
        else:
            sums = _sum_region(select(signal, x, y), statistic)
        if is_picture:
            _draw(sums, output, look, source)
        else:
            # A map of an electron microscope was made one of X-ray fluorescence to be summed:
            # its spectrum is saved as what it was.
            held = signal.tmp_parameters.get_item("type_of_file")
            options = {} if msa_format is None else {"format": msa_format.upper()}
            for path, one in zip(outputs, sums, strict=True):
                if held and path.suffix.lower() == ".msa":
                    one.total.set_signal_type(held)
                one.total.save(path, overwrite=overwrite, **options)
        where = [f"{output}: {one.name}".removesuffix(": ") for one in sums]
        for said, one in zip(where if is_picture else outputs, sums, strict=True):
            counts = one.total.data.sum()
            click.echo(f"{said}: {show_counts(counts)} counts of {one.size}")
            if not counts:
                warn(f"there are no counts in this region: {said}")


def _check(
    output: Path,
    masks: tuple[Path, ...],
    statistic: str,
    is_part: Any,
    msa_format: str | None,
) -> bool:
    """Refuse options that do not go together; tell whether OUTPUT is a picture."""
    check_extension(output, _SPECTRA + PICTURES)
    check_folder_of(output)
    if masks and (is_part or statistic != "sum"):
        raise click.ClickException(
            "--mask gives sums of its own regions: leave out --x, --y and --statistic"
        )
    suffix = output.suffix.lower()
    if msa_format is not None and suffix != ".msa":
        raise click.ClickException(f"--format is for .msa, and OUTPUT is {output}")
    if suffix not in PICTURES:
        of_pictures = {"lines", "per", "norm", "energy", "excitation"}
        refuse_given(of_pictures, output, "for pictures, .png, .pdf or .svg")
    return suffix in PICTURES


@dataclass(frozen=True, eq=False)
class _Sum:
    """A spectrum that was added up: of what, as a signal, and of how many pixels."""

    name: str
    total: Any
    size: str  # with its unit


def _sum_masks(signal: Any, masks: tuple[Path, ...]) -> list[_Sum]:
    regions = read_masks(masks, signal)
    found = signal.get_region_spectra(regions)
    sizes = {name: np.count_nonzero(region) for name, region in regions.items()}
    return [_Sum(name, total, f"{sizes[name]} pixels") for name, total in found.items()]


def _sum_region(region: Any, statistic: str) -> list[_Sum]:
    from rsciio_xfm.signals.operations import with_n_pixels

    if not region.axes_manager.navigation_dimension:
        return [_Sum("", compute(region, "reading the spectrum"), "one spectrum")]
    if statistic == "sum":
        total = compute(region.sum(), "adding up the spectra")
        with_n_pixels(total, region.axes_manager.navigation_size)
    else:
        total = region.get_summary()[statistic]
    return [_Sum("", total, f"{region_size(region)} pixels")]


def _excitation(text: str | None, lines: list[str] | str | None) -> Any:
    """Return what excites the sample, which is of use where elements are looked for."""
    if text is None:
        return None
    if lines != AUTO:
        raise click.ClickException(f"--excitation is for --lines {AUTO}")
    from rsciio_xfm.analysis.fit.sources import parse_excitation

    return parse_excitation(text)


def _draw(sums: list[_Sum], output: Path, look: dict[str, Any], excitation: Any) -> None:
    """Draw spectra in one picture for print."""
    from rsciio_xfm import plot_spectra
    from rsciio_xfm.core.eds import PER_KEV

    spectra = {one.name or output.stem: one.total for one in sums}
    (axis,) = sums[0].total.axes_manager.signal_axes
    energy = look["energy"]
    if energy is not None:
        energy = [PER_KEV.get(axis.units, 1) * end for end in energy]
    per = look["per"] and look["per"].replace("-", "_")
    axes = plot_spectra(
        spectra,
        norm=look["norm"],
        per=per,
        lines=look["lines"],
        energy_range=energy,
        excitation=excitation,
    )
    write_figure(axes, output)
