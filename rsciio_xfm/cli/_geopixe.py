"""``rsciio-xfm index``, ``crop`` and ``fill-dead-time``, for ``.GeoPIXE`` files."""

import math
from pathlib import Path

import click

from rsciio_xfm._register import extension
from rsciio_xfm.cli._errors import errors_as_messages
from rsciio_xfm.cli._files import wrong_extension
from rsciio_xfm.cli._options import output_options, range_options
from rsciio_xfm.cli._outputs import check_extension, check_outputs
from rsciio_xfm.cli._says import show_size, timed
from rsciio_xfm.cli._values import FILE, Finite


@click.command()
@click.argument("file", type=FILE)
def index(file: Path) -> None:
    """Index FILE, a .GeoPIXE map, and keep the index for the next time it is opened.

    That is done anyway when a file of more than 64 MiB is opened.
    """
    with errors_as_messages():
        _check_geopixe(file)
        from rsciio_xfm.core import cache
        from rsciio_xfm.formats.geopixe.index import cached_at, read_index
        from rsciio_xfm.formats.geopixe.parse import read_header

        header = read_header(file)
        with timed() as took:
            found = read_index(file, header)
        shape = (
            f"{header.n_columns} x {header.n_rows} pixels, {header.n_detectors} detectors"
        )
        n_records, n_spectra = found.n_records.sum(), math.prod(header.map_shape)
        click.echo(
            f"{file}: {shape}, {n_records} of {n_spectra} spectra, {took[0]:.2f} s"
        )
        entry = cached_at(header)
        if entry is not None:
            click.echo(f"{entry}: the index, {show_size(entry.stat().st_size)}")
        else:
            click.echo(
                "The index is not kept: the file is small (less than "
                f"{show_size(cache.CACHED_FILE_BYTES)}), was written just now, or the cache "
                "is off or cannot be written"
            )


@click.command()
@click.argument("file", type=FILE)
@range_options
@click.option(
    "--detector",
    "detectors",
    multiple=True,
    type=int,
    help="Detector to keep, 0 being the first; may be given several times.",
)
@output_options()
def crop(
    file: Path,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
    detectors: tuple[int, ...],
    output: Path,
    overwrite: bool,
) -> None:
    """Copy a part of FILE, a .GeoPIXE map, to OUTPUT, record by record."""
    with errors_as_messages():
        _check_geopixe(file)
        _check_output(output)
        from rsciio_xfm import geopixe
        from rsciio_xfm.formats.geopixe.parse import read_header

        check_outputs(file, output, [], overwrite)
        geopixe.crop(
            file, output, x=x, y=y, detectors=detectors or None, overwrite=overwrite
        )
        header = read_header(output)
        click.echo(
            f"{output}: {header.n_columns} x {header.n_rows} pixels, {header.n_detectors} "
            f"detectors, {show_size(header.file_size)}"
        )


@click.command("fill-dead-time")
@click.argument("file", type=FILE)
@click.option(
    "--model",
    type=click.Choice(["fit", "constant", "polynomial"]),
    help="fit (the default): learn from the spectra whose dead time is known; constant: "
    "--value; polynomial: of the counts per ms.",
)
@click.option("--value", type=Finite(), help="Constant dead time in percent.")
@click.option(
    "--preset",
    type=click.Choice(["cubic", "linear"]),
    help="Published polynomial; cubic by default.",
)
@click.option(
    "--coefficient",
    "coefficients",
    multiple=True,
    type=Finite(),
    help="Of a polynomial of your own, for percent, that of power 0 first.",
)
@output_options()
def fill_dead_time(
    file: Path,
    model: str | None,
    value: float | None,
    preset: str | None,
    coefficients: tuple[float, ...],
    output: Path,
    overwrite: bool,
) -> None:
    """Copy FILE, a .GeoPIXE map, to OUTPUT and fill in dead times that were not recorded."""
    with errors_as_messages():
        _check_geopixe(file)
        _check_output(output)
        is_polynomial = preset is not None or bool(coefficients)
        if preset is not None and coefficients:
            raise click.ClickException("--preset and --coefficient are both given")
        if is_polynomial and model not in (None, "polynomial"):
            raise click.ClickException(
                f"--preset and --coefficient are of a polynomial, and --model is {model}"
            )
        if model is None:
            model = (
                "polynomial" if is_polynomial else "fit" if value is None else "constant"
            )
        from rsciio_xfm import geopixe

        check_outputs(file, output, [], overwrite)
        report = geopixe.fill_dead_time(
            file,
            output,
            model,
            value=value,
            coefficients=coefficients or preset or "cubic",
            overwrite=overwrite,
        )
        for detector, entry in enumerate(report):
            text = f"Detector {detector}  {entry['n_filled']} dead times filled in by "
            text += f"{entry['model']}, {entry['n_known']} known"
            if "error" in entry:
                text += (
                    f"; median error of known ones left out {entry['error']:.2f} % points"
                )
            click.echo(text)
        click.echo(f"{output}: {show_size(output.stat().st_size)}")


def _check_geopixe(file: Path) -> None:
    if extension(file) != "geopixe":
        raise wrong_extension(file, {"GeoPIXE"})


def _check_output(output: Path) -> None:
    check_extension(output, (".GeoPIXE",))
