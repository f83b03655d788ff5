"""``rsciio-xfm export``."""

from pathlib import Path
from typing import Any

import click

from rsciio_xfm._register import extension, find_reader
from rsciio_xfm.cli._errors import errors_as_messages
from rsciio_xfm.cli._files import load_map, select
from rsciio_xfm.cli._options import calibrate_option, output_options, region_options
from rsciio_xfm.cli._outputs import check_extension, check_outputs
from rsciio_xfm.cli._reader_options import has_option
from rsciio_xfm.cli._says import show_size
from rsciio_xfm.cli._values import FILE
from rsciio_xfm.core.progress import progress

_FORMATS = (
    ".npy",
    ".csv",
    ".hspy",
    ".zspy",
    ".emd",
    ".GeoPIXE",
    ".datastack",
    ".h5",
    ".hmsa",
)
# Written here; HyperSpy's writers have bars of their own.
_MAPS_ONLY = {"npy", "geopixe", "datastack"}
_OWN = ("geopixe", "emd", "datastack", "h5", "hmsa")


@click.command()
@click.argument("file", type=FILE)
@region_options
@click.option(
    "--separate-detectors",
    is_flag=True,
    help="Keep the detectors of a .GeoPIXE or EDF map apart, as an axis, not their sum.",
)
@calibrate_option
@output_options()
def export(
    file: Path,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
    detector: int | str | None,
    separate_detectors: bool,
    calibrate: Any,
    output: Path,
    overwrite: bool,
) -> None:
    """Write the map of FILE, or a part of it, or its spectrum, to OUTPUT, chunk by chunk.

    The extension of OUTPUT chooses the format: .npy is a plain array, .hspy, .zspy and .emd
    are HyperSpy's, .GeoPIXE holds any map of counts, .datastack is maxrf4u's, .h5 is for
    PyMca and silx, .hmsa for programs of microscopists. .csv is a table of x, y, detector,
    dead time, counts and length of each record of a whole .GeoPIXE map.
    """
    with errors_as_messages():
        check_extension(output, _FORMATS)
        check_outputs(file, output, [], overwrite)
        kind = extension(output)
        if kind == "csv":
            if x or y or detector is not None or separate_detectors or calibrate:
                raise click.ClickException(
                    "a .csv is of all records: use crop for a part of them"
                )
            _write_table(file, output, overwrite)
        else:
            separate = {"sum_detectors": False} if separate_detectors else {}
            if separate and not has_option(find_reader(file), "sum_detectors"):
                raise click.ClickException(
                    f"{file}: --separate-detectors is for .GeoPIXE and maps of EDF files"
                )
            if separate and detector is not None:
                raise click.ClickException(
                    "--separate-detectors and --detector are given"
                )
            if calibrate and kind == "npy":
                raise click.ClickException("--calibrate: a .npy has no energies")
            n_axes = (1, 2, 3) if kind in _MAPS_ONLY else (0, 1, 2, 3)
            signal = load_map(file, detector, n_axes=n_axes, **separate)
            if calibrate:
                found = signal.calibrate_energy(calibrate)
                click.echo(str(found))
            _write(select(signal, x, y), output, overwrite)
        click.echo(f"{output}: {show_size(_output_bytes(output))}")


def _output_bytes(output: Path) -> int:
    """Return the size of a file, or of all files in a folder."""
    if output.is_file():
        return output.stat().st_size
    return sum(part.stat().st_size for part in output.rglob("*") if part.is_file())


def _write_table(file: Path, output: Path, overwrite: bool) -> None:
    if extension(file) != "geopixe":
        raise click.ClickException(f"{file}: a .csv is made of .GeoPIXE files only")
    from rsciio_xfm import geopixe

    geopixe.write_table(file, output, overwrite=overwrite)


def _write(signal: Any, output: Path, overwrite: bool) -> None:
    if extension(output) == "npy":
        from rsciio_xfm.core.export import write_npy

        with progress(doing=f"writing {output.name}"):
            write_npy(signal.data, output)
    else:
        options: dict[str, Any] = (
            {} if extension(output) in _OWN else {"show_progressbar": False}
        )
        if extension(output) == "h5":  # several writers have it
            options["file_format"] = "ESRF"
        signal.save(output, overwrite=overwrite, **options)
