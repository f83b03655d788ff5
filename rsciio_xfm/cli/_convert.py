"""``rsciio-xfm convert`` of any map to a format that another program asks for."""

import importlib
from pathlib import Path
from typing import Any

import click

from rsciio_xfm._register import extension
from rsciio_xfm.cli._esrf import refuse_other_options
from rsciio_xfm.cli._files import one_map, read_lazily
from rsciio_xfm.cli._info import is_map
from rsciio_xfm.cli._outputs import refuse_existing
from rsciio_xfm.cli._says import show_size, timed
from rsciio_xfm.core.atomic import check_destination

# Modules of formats by extension; each has a writer, and `write.is_original`.
IMAGES = ("edf", "cbf", "tif", "tiff", "pgm", "sfrm")
OTHERS = {"hmsa": "hmsa"} | dict.fromkeys(IMAGES, "esrf")


def convert_to_other(file: Path, output: Path, overwrite: bool) -> None:
    """Convert the one map, spectrum or image of a file."""
    refuse_other_options(file)
    refuse_existing([output], overwrite)
    name = f"rsciio_xfm.formats.{OTHERS[extension(output)]}"
    is_original = importlib.import_module(f"{name}.write").is_original
    check_destination(file, output, overwrite, is_original)
    signal = read_one(file)
    with timed() as took:
        importlib.import_module(name).file_writer(output, signal)
    size = " x ".join(str(n) for n in signal["data"].shape[::-1])
    click.echo(f"{output}: {size}, {show_size(output.stat().st_size)}, {took[0]:.1f} s")


def read_one(file: Path) -> dict[str, Any]:
    """Return the one map of a file, or the one signal that it holds, lazily."""
    signals = read_lazily(file)
    found: dict[str, Any] | None = one_map(signals, is_map)
    if found is None:
        raise click.ClickException(
            f"{file} holds {len(signals)} signals, expected one map of X-ray spectra, or one "
            "signal: choose one with hs.load, and save that"
        )
    return found
