"""Masks: images whose pixels that are not 0 make a region."""

from pathlib import Path
from typing import Any

import click
import numpy as np

from rsciio_xfm.core.names import unique


def names_of(masks: tuple[Path, ...]) -> list[str]:
    """Return the names of regions, each another one."""
    return unique([mask.stem for mask in masks])


def read_masks(masks: tuple[Path, ...], signal: Any) -> dict[str, np.ndarray]:
    """Return the pixels of each region of a map, by its name."""
    return {
        name: _read(mask, signal)
        for name, mask in zip(names_of(masks), masks, strict=True)
    }


def _read(path: Path, signal: Any) -> np.ndarray:
    from PIL import Image

    if path.suffix.lower() == ".npy":
        try:
            values = np.load(path, allow_pickle=False)
        except (EOFError, ValueError) as error:
            raise click.ClickException(
                f"{path}: no array of numbers can be read from it: {error}"
            ) from error
    else:
        try:
            with Image.open(path) as picture:
                # Black is outside, in colours too; transparency does not matter.
                is_grey = picture.mode in ("1", "L", "F") or picture.mode.startswith("I")
                values = np.asarray(picture if is_grey else picture.convert("RGB"))
        except Image.DecompressionBombError as error:
            raise click.ClickException(f"{path}: {error}") from error
        if values.ndim == 3:
            values = values.any(axis=-1)
    expected = signal.axes_manager.navigation_shape[::-1]
    if values.shape != expected:
        raise click.ClickException(
            f"{path}: the mask has {values.shape} rows and columns, the map has {expected}"
        )
    if values.dtype.kind not in "biuf":
        raise click.ClickException(f"{path}: the mask is of {values.dtype}, not numbers")
    return (values != 0) & ~np.isnan(values)
