"""Profiles of X-ray lines as an energy-dispersive detector sees them."""

import math

from rsciio_xfm.kernels.compiled import kernel

_SIGMAS = 7.0  # beyond which a Gaussian is below 1e-10 of its height
_LENGTHS = 25.0  # after which a tail is below 1e-10
_ROOT = math.sqrt(2.0)


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
    for k in range(lines.shape[0]):
        energy, sigma, area = lines[k, 0], lines[k, 1], lines[k, 2] * gain
        column = columns[owners[k]]
        place = ((zero - energy) / sigma, gain / sigma)
        _add_gaussian(column, place, area * (1 - tail - shelf) / sigma)
        if tail > 0:
            _add_tail(column, place, sigma / length, area * tail / length)
        if shelf > 0 and energy > 0:
            _add_shelf(column, place, energy / sigma, area * shelf / energy)


@kernel
def _add_gaussian(column, place, height):
    start, step = place
    height = height / math.sqrt(2 * math.pi)
    for i in range(*_channels(column, place, -_SIGMAS, _SIGMAS)):
        x = start + step * i
        column[i] += height * math.exp(-0.5 * x * x)


@kernel
def _add_tail(column, place, ratio, height):
    """Add an exponential that is as wide as the line at its upper end."""
    start, step = place
    low, high = _channels(column, place, -_SIGMAS - ratio, _SIGMAS)
    for i in range(low, high):
        x = start + step * i
        slope = math.exp(ratio * (x + 0.5 * ratio))
        column[i] += 0.5 * height * slope * math.erfc((x + ratio) / _ROOT)
    # Further down the error function is 2, and each channel a fixed share of the one above.
    value = height * math.exp(ratio * (start + step * (low - 1) + 0.5 * ratio))
    fall = math.exp(-ratio * step)
    end = _channels(column, place, -_SIGMAS - _LENGTHS / ratio, 0.0)[0]
    for i in range(low - 1, end - 1, -1):
        column[i] += value
        value *= fall


@kernel
def _add_shelf(column, place, length, height):
    """Add a step down to 0 keV."""
    start, step = place
    low, high = _channels(column, place, -_SIGMAS, _SIGMAS)
    end = _channels(column, place, -length, 0.0)[0]
    for i in range(max(low, end), high):
        column[i] += 0.5 * height * math.erfc((start + step * i) / _ROOT)
    for i in range(end, low):
        column[i] += height


@kernel
def _channels(column, place, low, high):
    """Return the channels between two distances from a line, in standard deviations."""
    start, step = place
    first = math.ceil((low - start) / step)
    stop = math.ceil((high - start) / step)
    n = column.shape[0]
    return int(min(max(first, 0), n)), int(min(max(stop, 0), n))
