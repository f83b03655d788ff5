"""``rsciio-xfm convert`` of a folder of spectra."""

from pathlib import Path
from typing import Any

import click

from rsciio_xfm._register import extension
from rsciio_xfm.cli._options import given_options, refuse_given
from rsciio_xfm.cli._outputs import check_extension, refuse_existing
from rsciio_xfm.cli._reader_options import together
from rsciio_xfm.cli._says import show_size, timed
from rsciio_xfm.cli._values import SHAPE

_OWN = {"shape", "snake", "pattern", "unfinished"}
_COMMON = {"file", "output", "overwrite", "kev_per_channel", "kev_of_channel_0"}
# Of the writer of .datastack.
_OF_DATASTACK = {"integers", "compressor", "zarr_format"}


# What a folder of spectra is the map of.
folder_options = together(
    click.option(
        "--shape",
        type=SHAPE,
        metavar="WxH",
        help="Columns and rows of the map that a folder's spectra make: 40x30.",
    ),
    click.option(
        "--snake/--no-snake",
        default=None,
        help="Every other row of a folder's spectra was measured backwards.",
    ),
    click.option(
        "--pattern",
        help='Names of the spectra of a folder, if there are others, too: "scan_*.mca".',
    ),
    click.option(
        "--unfinished",
        is_flag=True,
        help="The scan was stopped: pixels that are missing at its end are zeros.",
    ),
)


def refuse_folder_options(file: Path) -> None:
    """Refuse options of folders for a file."""
    refuse_given(_OWN, file, "for folders of spectra")


def convert_folder(folder: Path, output: Path | None, options: dict[str, Any]) -> Path:
    """Convert a folder of spectra to a map; return its file."""
    from rsciio_xfm import text_spectra
    from rsciio_xfm.formats.text_spectra.convert import DESTINATIONS

    output = Path(f"{folder.resolve()}.datastack") if output is None else output
    check_extension(output, DESTINATIONS)
    is_stack = extension(output) == "datastack"
    allowed = _COMMON | _OWN | ({*_OF_DATASTACK, "calibrate"} if is_stack else set())
    why = f"not for a folder of spectra and {output.suffix}, whose counts are not changed"
    refuse_given(given_options() - allowed, folder, why)
    refuse_existing([output], options["overwrite"])
    kev = options["kev_per_channel"]
    compressor = options["compressor"]
    writer = {
        "keep_integers": options["integers"],
        "compressor": None if compressor == "none" else compressor,
        "zarr_format": int(options["zarr_format"]),
    }
    with timed() as took:
        text_spectra.convert(
            folder,
            output,
            options["shape"],
            options["snake"],
            options["pattern"],
            unfinished=options["unfinished"],
            calibration=None if kev is None else (options["kev_of_channel_0"], kev),
            options=writer if is_stack else None,
            overwrite=options["overwrite"],
        )
    size = sum(p.stat().st_size for p in [output, *output.rglob("*")] if p.is_file())
    click.echo(f"{output}: {show_size(size)}, {took[0]:.1f} s")
    return output
