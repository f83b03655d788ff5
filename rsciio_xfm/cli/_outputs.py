"""Names of what is written: whether they may be, before anything is read."""

from collections.abc import Iterable
from pathlib import Path

import click


def check_extension(output: Path, known: tuple[str, ...]) -> None:
    if not output.suffix:
        raise click.ClickException(
            f"{output} has no extension to choose the format by; use {' or '.join(known)}"
        )
    if output.suffix.lower() not in [one.lower() for one in known]:
        raise click.ClickException(
            f"the extension of {output} is {output.suffix}, expected {' or '.join(known)}"
        )


def check_outputs(
    file: Path, output: Path, names: list[str], overwrite: bool
) -> list[Path]:
    """Return the names of what is written, if it may be."""
    outputs = [output]
    if len(names) > 1:
        outputs = [output.with_stem(f"{output.stem}_{name}") for name in names]
    refuse_existing(outputs, overwrite)
    for path in outputs:
        if path.exists() and path.samefile(file):
            raise click.ClickException(f"{path} is the map itself")
    return outputs


def check_folder(output: Path, results: Iterable[Path], overwrite: bool) -> None:
    """Refuse a folder that is none, or has results that are not to be replaced."""
    if output.exists() and not output.is_dir():
        raise click.ClickException(f"{output} is a file, expected a folder or none")
    refuse_existing(results, overwrite)


def refuse_existing(paths: Iterable[Path], overwrite: bool) -> None:
    for path in paths:
        if path.exists() and not overwrite:
            raise click.ClickException(f"{path} exists; use --overwrite to replace it")
