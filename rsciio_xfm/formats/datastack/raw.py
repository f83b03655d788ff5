"""Raw scans that are converted: maps of spectra."""

from pathlib import Path

import numpy as np

from rsciio_xfm.core.chunks import ChunkedArray
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.ripple import rpl as pair
from rsciio_xfm.formats.ripple.rpl import Ripple, energy_scale


def parse_map(filename: str | Path) -> Ripple:
    """Read a ``.rpl`` file of spectra; see :func:`rsciio_xfm.formats.ripple.rpl.parse_rpl`.

    Raises
    ------
    FileFormatError
        It describes an image.
    """
    ripple = pair.parse_rpl(filename)
    if ripple.shape[2] == 1:
        raise FileFormatError(
            f"{filename}: depth is 1: it describes an image, expected spectra."
        )
    return ripple


def raw_array(filename: str | Path, ripple: Ripple) -> ChunkedArray:
    """Make the array-like; see :func:`rsciio_xfm.formats.ripple.rpl.raw_array`."""
    return pair.raw_array(filename, ripple, ripple.shape, ripple.is_images)


def energies(ripple: Ripple) -> np.ndarray | None:
    """Return the energy of each channel in keV, if it is known."""
    found = energy_scale(ripple)
    if found is None:
        return None
    scale, origin = found
    return origin + scale * np.arange(ripple.shape[2])
