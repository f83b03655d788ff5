"""``rsciio-xfm elements`` and ``calibrate``."""

import itertools
import shlex
from pathlib import Path
from typing import Any

import click
import numpy as np

from rsciio_xfm._register import extension
from rsciio_xfm.cli._errors import errors_as_messages
from rsciio_xfm.cli._files import load_map, load_spectra
from rsciio_xfm.cli._options import element_option, excitation_option, region_options
from rsciio_xfm.cli._reader_options import chosen_as_text, detector_option, reader_options
from rsciio_xfm.cli._values import FILE, KNOWN

_RIPPLE = ("rpl", "raw")


@click.command()
@click.argument("file", type=FILE)
@region_options
@element_option("Look for this one, and others that are named; for all by default.")
@click.option("--exclude", multiple=True, help="Element that is not there.")
@excitation_option
def elements(
    file: Path,
    x: tuple[int, int] | None,
    y: tuple[int, int] | None,
    detector: int | str | None,
    elements: tuple[str, ...],
    exclude: tuple[str, ...],
    excitation: str | None,
) -> None:
    """Find the elements in FILE, a map or a spectrum, and print how sure each is.

    Of each: evidence in standard deviations, its counts in the sum of all spectra, the lines
    that tell, and what else it could be.
    """
    with errors_as_messages():  # HyperSpy's warnings of its import too
        from rsciio_xfm.signals.elements import find_elements

        signal = load_spectra(file, x, y, detector)
        found = find_elements(signal, elements or None, exclude, excitation)
        click.echo(repr(found))


@click.command()
@click.argument("file", type=FILE)
@click.argument("known", type=KNOWN, metavar="LINES")
@click.option("--dry-run", is_flag=True, help="Print the calibration, write nothing.")
@click.option("--overwrite", is_flag=True, help="Replace the energies that the file has.")
@detector_option
@reader_options
def calibrate(
    file: Path, known: Any, dry_run: bool, overwrite: bool, detector: int | str | None
) -> None:
    """Find the energies of the channels of FILE by LINES, and write them into it.

    LINES are Fe_Ka=640,Ca_Ka=369: lines and their channels, or approximate energies in keV if
    the file has energies; or elements, Fe,Ca. A .datastack gets an array of energies, a .rpl
    (or the .rpl of a .raw) three lines of text; counts are not touched. Of other formats write
    a calibrated copy: rsciio-xfm export FILE --calibrate LINES -o COPY.
    """
    with errors_as_messages():
        kind = extension(file)
        if not dry_run and kind not in ("datastack", *_RIPPLE):
            raise click.ClickException(
                f"{file}: energies cannot be put into a .{kind} file: write a calibrated "
                f"copy, rsciio-xfm export {shlex.quote(str(file))}"
                f"{chosen_as_text(detector)} --calibrate {_as_text(known)} "
                f"-o {shlex.quote(file.stem)}_keV.h5"
            )
        signal = load_map(file, detector)
        (axis,) = signal.axes_manager.signal_axes
        has_energies = axis.units in ("keV", "eV")
        if has_energies and not (overwrite or dry_run):
            raise click.ClickException(
                f"{file} has energies, from {axis.offset:.6g} {axis.units} on in steps of "
                f"{axis.scale:.6g} {axis.units}; use --overwrite to replace them"
            )
        found = signal.calibrate_energy(known)
        click.echo(str(found))
        if not dry_run:
            write_energies(file, found.zero, found.gain, axis.size)


def _as_text(known: dict[str, float] | list[str]) -> str:
    """Return lines as they are given in a terminal."""
    places = (
        [f"={place:g}" for place in known.values()] if isinstance(known, dict) else []
    )
    pairs = itertools.zip_longest(known, places, fillvalue="")
    return ",".join(f"{name}{place}" for name, place in pairs)


def write_energies(file: Path, zero: float, gain: float, n_channels: int) -> None:
    """Put energies into a ``.datastack`` or a ``.rpl`` file, and say so."""
    from rsciio_xfm import datastack
    from rsciio_xfm.formats.ripple.energies import write_energies as write

    if extension(file) == "datastack":
        energies = zero + gain * np.arange(n_channels)
        name = datastack.append(energies, "maxrf_energies", file)
        click.echo(f"{file}: {name}")
    else:
        click.echo(f"{write(file, zero, gain)}: depth-scale, depth-origin, depth-units")
