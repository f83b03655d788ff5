"""``rsciio-xfm convert`` and ``tree`` of EDF, SPEC and HDF5 files."""

from collections.abc import Iterator
from pathlib import Path

import click

from rsciio_xfm._register import find_reader
from rsciio_xfm.cli._options import given_options, refuse_given
from rsciio_xfm.cli._outputs import check_extension, refuse_existing
from rsciio_xfm.cli._reader_options import chosen_options
from rsciio_xfm.cli._says import show_size, timed

_HDF5 = (".h5", ".hdf5", ".nxs")
_LONGEST_TYPE = 40
_COMMON = {"file", "output", "overwrite"}


def is_esrf(file: Path) -> bool:
    """Tell by its extension whether a file is one of :mod:`rsciio_xfm.esrf`."""
    reader = find_reader(file)
    return reader is not None and reader.__name__ == "rsciio_xfm.formats.esrf"


def is_hdf5(file: Path) -> bool:
    """Tell by its first bytes whether a file is HDF5, whatever its extension."""
    with open(file, "rb") as opened:
        return opened.read(8) == b"\x89HDF\r\n\x1a\n"


def convert_to_hdf5(file: Path, output: Path | None, overwrite: bool) -> None:
    """Convert an EDF or SPEC file, or a map of EDF files."""
    refuse_other_options(file)
    if file.suffix.lower() in _HDF5:
        raise click.ClickException(f"{file} is an HDF5 file already")
    output = file.with_suffix(".h5") if output is None else output
    check_extension(output, _HDF5)
    refuse_existing([output], overwrite)
    from rsciio_xfm import esrf

    with timed() as took:
        esrf.convert(file, output, overwrite=overwrite)
    click.echo(f"{output}: {show_size(output.stat().st_size)}, {took[0]:.1f} s")


def refuse_other_options(file: Path) -> None:
    """Refuse options of `convert` that would do nothing."""
    refuse_given(given_options() - _COMMON, file, "for .raw and .rpl")


def describe_tree(file: Path) -> Iterator[tuple[str, ...]]:
    """Yield a row of cells for each thing in a file."""
    from rsciio_xfm import esrf

    yield ("name", "kind", "shape", "type", "size", "scan or link")
    for name, item in esrf.tree(file, **chosen_options(file, esrf)).items():
        shape = "" if item["shape"] is None else " x ".join(map(str, item["shape"]))
        size = "" if item["n_bytes"] is None else show_size(item["n_bytes"])
        text = item["text"]
        if item.get("n_spectra"):
            text += f" ({item['n_spectra']} spectra)"
        dtype = item["dtype"] or ""
        if len(dtype) > _LONGEST_TYPE:  # of records, which names all of their fields
            dtype = dtype[:_LONGEST_TYPE] + "..."
        yield (name, item["kind"], shape, dtype, size, text)
