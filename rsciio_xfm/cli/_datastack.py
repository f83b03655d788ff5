"""``rsciio-xfm convert``, ``preview``, ``tree`` and ``repack``."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from rsciio_xfm._register import extension, find_reader
from rsciio_xfm.cli._convert import OTHERS, convert_to_other, read_one
from rsciio_xfm.cli._elements import write_energies
from rsciio_xfm.cli._errors import errors_as_messages
from rsciio_xfm.cli._esrf import convert_to_hdf5, describe_tree, is_esrf, is_hdf5
from rsciio_xfm.cli._files import load_map, wrong_extension
from rsciio_xfm.cli._folder import (
    convert_folder,
    folder_options,
    refuse_folder_options,
)
from rsciio_xfm.cli._options import calibrate_option, output_options
from rsciio_xfm.cli._outputs import check_extension, refuse_existing
from rsciio_xfm.cli._reader_options import chosen_options, outside_links_option, together
from rsciio_xfm.cli._says import show_size, timed
from rsciio_xfm.cli._values import FILE, Finite, FiniteRange

_RAW = {"raw", "rpl"}


_raw_options = together(
    click.option("--flip-vertical", is_flag=True, help="Mirror top to bottom."),
    click.option("--flip-horizontal", is_flag=True, help="Mirror left to right."),
    click.option(
        "--rpl",
        type=FILE,
        help="Text that describes FILE; by default that of the same name beside it.",
    ),
)


@click.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@folder_options
@_raw_options
@click.option(
    "--sigma",
    type=Finite(),
    default=7.0,
    show_default=True,
    help="Smooth spectra by a Gaussian of so many channels; 0 stores the counts.",
)
@click.option(
    "--integers",
    is_flag=True,
    help="Store counts as integers rather than float32; with --sigma 0.",
)
@click.option(
    "--kev-per-channel",
    type=FiniteRange(min=0, min_open=True),
    help="Calibration of the energy axis, where the .rpl has none.",
)
@click.option(
    "--kev-of-channel-0",
    type=Finite(),
    default=0.0,
    help="With --kev-per-channel; 0 by default.",
)
@calibrate_option
@click.option(
    "--compressor",
    type=click.Choice(["blosc", "zstd", "gzip", "none"]),
    default="blosc",
    show_default=True,
)
@click.option(
    "--zarr-format",
    type=click.Choice(["2", "3"]),
    default="3",
    show_default=True,
    help="2 is for programs that use zarr 2.",
)
@output_options(
    "By default FILE with the extension .datastack, or .h5.", is_required=False
)
def convert(
    file: Path,
    rpl: Path | None,
    sigma: float,
    flip_horizontal: bool,
    flip_vertical: bool,
    integers: bool,
    kev_per_channel: float | None,
    kev_of_channel_0: float,
    calibrate: Any,
    compressor: str,
    zarr_format: str,
    overwrite: bool,
    output: Path | None,
    **folder: Any,
) -> None:
    """Convert FILE, a .raw with its .rpl, to a .datastack of smoothed spectra.

    So is a map of CRONO, or, if -o is a .datastack, of any other format. An EDF or SPEC file,
    or one of the EDF files of a map, is converted to HDF5. Any map or spectrum is converted to
    HMSA if the extension of -o is .hmsa; an image to EDF, CBF, TIFF, PGM or SFRM if it is one
    of theirs. The options but -o and --overwrite are for the others.

    A folder of spectra as text, one file a pixel, is converted to a map of counts; the
    extension of -o chooses its format: .datastack, .h5, .rpl, .GeoPIXE, .hspy, .zspy or .emd.
    """
    with errors_as_messages():
        if kev_of_channel_0 and kev_per_channel is None:
            raise click.ClickException("--kev-of-channel-0 needs --kev-per-channel")
        if calibrate and kev_per_channel is not None:
            raise click.ClickException("--calibrate and --kev-per-channel are given")
        if file.is_dir():
            stack = convert_folder(file, output, click.get_current_context().params)
            if calibrate:
                _calibrate(stack, calibrate)
            return
        refuse_folder_options(file)
        if _converts_to_others(file, output, overwrite):
            return
        is_other = _is_map_of_other_format(file, output)
        raw, rpl = (file, rpl) if is_other else _find_pair(file, rpl)
        output = raw.with_suffix(".datastack") if output is None else output
        check_extension(output, (".datastack",))
        refuse_existing([output], overwrite)
        from rsciio_xfm import datastack

        if is_other:
            if rpl is not None:
                raise click.ClickException(f"{file}: --rpl is for a .raw file")
            write = partial(datastack.convert_map, file, read_one(file))
        else:
            write = partial(datastack.convert, raw, rpl)
        with timed() as took:
            write(
                output,
                sigma,
                flip_horizontal,
                flip_vertical,
                compressor=None if compressor == "none" else compressor,
                keep_integers=integers,
                zarr_format=int(zarr_format),
                overwrite=overwrite,
            )
        shape = datastack.tree(output)["maxrf_cube"]["shape"]
        if kev_per_channel is not None:
            channels = range(shape[2])
            energies = [kev_of_channel_0 + kev_per_channel * i for i in channels]
            datastack.append(energies, "maxrf_energies", output)
        if calibrate:
            _calibrate(output, calibrate)
        size = show_size(output.stat().st_size)
        click.echo(
            f"{output}: {shape[1]} x {shape[0]} pixels, {shape[2]} channels, {size}, "
            f"{took[0]:.1f} s"
        )


def _converts_to_others(file: Path, output: Path | None, overwrite: bool) -> bool:
    """Convert to another format than .datastack, or return False."""
    wanted = "" if output is None else extension(output)
    if output is not None and wanted in OTHERS:
        convert_to_other(file, output, overwrite)
    elif is_esrf(file) and wanted != "datastack":
        convert_to_hdf5(file, output, overwrite)
    else:
        return False
    return True


def _is_map_of_other_format(file: Path, output: Path | None) -> bool:
    """Tell whether a file is a map, rather than raw numbers, that a stack is made of."""
    reader = find_reader(file)
    if reader is None or extension(file) in _RAW:
        return False
    is_asked = output is not None and extension(output) == "datastack"
    return is_asked or reader.__name__ == "rsciio_xfm.formats.crono"


def _calibrate(output: Path, known: Any) -> None:
    """Put energies into a stack that was just written."""
    signal = load_map(output, None)
    try:
        found = signal.calibrate_energy(known)
    except ValueError as error:
        raise click.ClickException(
            f"{output} is written, without energies: {error} Then: rsciio-xfm calibrate "
            f"{output} LINES"
        ) from error
    click.echo(str(found))
    write_energies(output, found.zero, found.gain, signal.axes_manager[-1].size)


@click.command()
@click.argument("file", type=FILE)
@_raw_options
@output_options(
    "A PNG; by default FILE with _preview.png behind its name.", is_required=False
)
def preview(
    file: Path,
    rpl: Path | None,
    flip_horizontal: bool,
    flip_vertical: bool,
    overwrite: bool,
    output: Path | None,
) -> None:
    """Draw FILE, a .raw with its .rpl, around its highest peak, to see which way is up."""
    with errors_as_messages():
        raw, rpl = _find_pair(file, rpl)
        output = Path(f"{raw}_preview.png") if output is None else output
        check_extension(output, (".png",))
        refuse_existing([output], overwrite)
        from rsciio_xfm import datastack

        found = datastack.preview(
            raw, rpl, output, flip_horizontal, flip_vertical, overwrite=overwrite
        )
        height, width = found.image.shape
        click.echo(
            f"{output}: {width} x {height} pixels around channel {found.channel}, where the "
            f"maximum is {found.max_spectrum[found.channel]}"
        )


@click.command()
@click.argument("file", type=FILE)
@outside_links_option
def tree(file: Path) -> None:
    """List what is in FILE: a .datastack, or an EDF, SPEC or HDF5 file."""
    with errors_as_messages():
        if is_esrf(file) or is_hdf5(file):
            _print_table(list(describe_tree(file)))
            return
        if extension(file) != "datastack":
            raise click.ClickException(
                f"{file}: the extension is {file.suffix!r}, expected .datastack, or an EDF, "
                "SPEC or HDF5 file. Of others `rsciio-xfm info` tells what is in them."
            )
        from rsciio_xfm import datastack

        chosen_options(file, datastack)
        rows: list[tuple[str, ...]] = [
            ("name", "shape", "type", "chunks", "size", "in the file", "compression")
        ]
        faults = []
        for name, array in datastack.tree(file).items():
            if "fault" in array:
                faults.append(array["fault"])
                continue
            rows.append(
                (
                    name if array["is_latest"] else f"{name} (older)",
                    " x ".join(map(str, array["shape"])) or "1",
                    array["dtype"],
                    " x ".join(map(str, array["chunks"])) or "1",
                    show_size(array["n_bytes"]),
                    show_size(array["n_bytes_stored"]),
                    array["compression"],
                )
            )
        _print_table(rows)
        for fault in faults:
            click.echo(f"Warning: {fault}", err=True)


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--select",
    multiple=True,
    metavar="NAME",
    help="Array to keep; may be given several times. By default all of them.",
)
@output_options("The new file; by default it takes the place of FILE.", is_required=False)
def repack(
    file: Path, select: tuple[str, ...], overwrite: bool, output: Path | None
) -> None:
    """Write FILE, a .datastack, anew with the newest version of each array only."""
    with errors_as_messages():
        _check_datastack(file)
        if output is not None:
            check_extension(output, (".datastack",))
            refuse_existing([output], overwrite)
        from rsciio_xfm import datastack

        before = file.stat().st_size
        names = datastack.repack(
            file,
            select or None,
            output,
            overwrite=overwrite,
        )
        output = output or file
        click.echo(
            f"{output}: {', '.join(names)}; {show_size(before)} before, "
            f"{show_size(output.stat().st_size)} now"
        )


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _find_pair(file: Path, rpl: Path | None) -> tuple[Path, Path]:
    """Return the raw file and the text that describes it, one of which is `file`."""
    if extension(file) not in _RAW:
        said = wrong_extension(file, _RAW).message
        raise click.ClickException(f"{said}; rsciio-xfm export converts other maps")
    if rpl is not None:
        if extension(file) != "raw":
            raise click.ClickException(f"{file}: --rpl is for a .raw file")
        return file, rpl
    (other,) = _RAW - {extension(file)}
    beside = [
        path
        for path in sorted(file.parent.iterdir())
        if path.stem == file.stem and extension(path) == other
    ]
    if not beside:
        raise click.ClickException(
            f"{file.with_suffix('.' + other)} is not there, expected beside {file.name}"
        )
    return (file, beside[0]) if extension(file) == "raw" else (beside[0], file)


def _check_datastack(file: Path) -> None:
    if extension(file) != "datastack":
        raise wrong_extension(file, {"datastack"})
