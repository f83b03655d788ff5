"""Profiles of X-ray lines as an energy-dispersive detector sees them."""

import math

import numpy as np

from rsciio_xfm.kernels.compiled import kernel

_SIGMAS = 7.0  # beyond which a Gaussian is below 1e-10 of its height
_LENGTHS = 25.0  # after which a tail is below 1e-10


@kernel
def add_lines(columns, zero, gain, lines, owners, tail, length, shelf):
    """Add lines to the columns they belong to.

    Parameters
    ----------
    columns
        float64, shape (columns, channels).
    zero, gain
        Energy of the first channel and its width, keV.
    lines
        float64, shape (lines, 3): energy (keV), standard deviation (keV), area (counts).
    owners
        Integers: the column of each line.
    tail, length
        Share of the area in an exponential tail on the low side, and its length in keV.
    shelf
        Share of the area in a flat shelf from the line down to 0 keV.

    Notes
    -----
    Gaussian, exponential tail and error-function shelf of Phillips and Marlow, Nucl. Instrum.
    Methods 137 (1976) 525, each normalised to its share of the area. Values are those at the
    middle of the channels.
    """
    n_channels = columns.shape[1]
    root = math.sqrt(2.0)
    for k in range(lines.shape[0]):
        energy, sigma, area = lines[k, 0], lines[k, 1], lines[k, 2]
        column = columns[owners[k]]
        height = area * gain * (1 - tail - shelf) / (sigma * math.sqrt(2 * math.pi))
        low = _channel(energy - _SIGMAS * sigma, zero, gain, n_channels)
        high = _channel(energy + _SIGMAS * sigma, zero, gain, n_channels)
        for i in range(low, high):
            x = (zero + gain * i - energy) / sigma
            column[i] += height * math.exp(-0.5 * x * x)
        if tail > 0:
            height = area * gain * tail / (2 * length)
            ratio = sigma / length
            start = energy - _SIGMAS * sigma - _LENGTHS * length
            for i in range(_channel(start, zero, gain, n_channels), high):
                x = (zero + gain * i - energy) / sigma
                column[i] += (
                    height
                    * math.exp(ratio * (x + 0.5 * ratio))
                    * math.erfc((x + ratio) / root)
                )
        if shelf > 0 and energy > 0:
            height = area * gain * shelf / (2 * energy)
            for i in range(_channel(0.0, zero, gain, n_channels), high):
                x = (zero + gain * i - energy) / sigma
                column[i] += height * math.erfc(x / root)


@kernel
def _channel(energy, zero, gain, n_channels):
    """Return the first channel at or above an energy, within the spectrum."""
    channel = math.ceil((energy - zero) / gain)
    return int(min(max(channel, 0), n_channels))


def gaussian(energies, centre, sigma):
    """Return a Gaussian of unit area, per keV, at some energies.

    Parameters
    ----------
    energies
        Array, keV.
    centre, sigma
        Energy and standard deviation, keV.

    Examples
    --------
    >>> import numpy as np
    >>> float(gaussian(np.arange(-1, 1, 0.01), 0.0, 0.1).sum() * 0.01).__round__(6)
    1.0
    """
    x = (energies - centre) / sigma
    return np.exp(-0.5 * x * x) / (sigma * np.sqrt(2 * np.pi))
