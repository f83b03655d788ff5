"""Spectra on their way into matrix products, positive areas, and smooth images."""

import functools

import numpy as np

from rsciio_xfm.kernels.compiled import kernel

LANES = 64  # numbers that a loop of known length goes through
_SWEEPS = 1000  # of coordinate descent, at most


# Sums in any order, so that they are made of vectors; NaN and infinity are kept.
_reordered = functools.partial(kernel, fastmath={"reassoc", "contract"})


@functools.partial(kernel, fastmath={"reassoc", "contract"}, inline="always")
def _add_bins(spectrum, binned, values):
    """Add up so many channels at a time; each loop is of vectors, as its step is known."""
    n_whole = spectrum.size // binned
    if binned == 1:
        for j in range(n_whole):
            values[j] = np.float32(spectrum[j])
    elif binned == 2:
        for j in range(n_whole):
            values[j] = np.float32(spectrum[2 * j]) + np.float32(spectrum[2 * j + 1])
    elif binned == 3:
        for j in range(n_whole):
            a, b = np.float32(spectrum[3 * j]), np.float32(spectrum[3 * j + 1])
            values[j] = a + b + np.float32(spectrum[3 * j + 2])
    else:
        for j in range(n_whole):
            a, b = np.float32(spectrum[4 * j]), np.float32(spectrum[4 * j + 1])
            c, d = np.float32(spectrum[4 * j + 2]), np.float32(spectrum[4 * j + 3])
            values[j] = (a + b) + (c + d)
    if n_whole * binned < spectrum.size:
        total = np.float32(0)
        for j in range(n_whole * binned, spectrum.size):
            total += np.float32(spectrum[j])
        values[n_whole] = total


@_reordered
def _add_pairs(sums, pairs):
    """Add up two sums at a time, vectors of them as these are other arrays."""
    n_whole = sums.size // 2
    for j in range(n_whole):
        pairs[j] = sums[2 * j] + sums[2 * j + 1]
    if sums.size % 2:
        pairs[n_whole] = sums[sums.size - 1]


@_reordered
def prepare_spectra(rows, channels, order, bins, out):
    """Make spectra ready for matrix products.

    Parameters
    ----------
    rows
        Numbers, shape (spectra, channels).
    channels
        First and last that are fitted, half-open; and how many are added up at least, 1 to 4.
    order
        Numbers of the spectra, in the order in which they are wanted, and those of the
        weights of each.
    bins
        The number of each bin among all sums of so many channels, then of two of these, and
        so on; and its weights, float32, shape (classes, bins).
    out
        Arrays that are filled: the bins as float32, shape (n, bins), and the weighted sum of
        the squares of each spectrum, float64, shape (n,).
    """
    floats, squares = out
    (start, stop, base), (wanted, which), (picks, weights) = channels, order, bins
    n_first, n_sums = -(-(stop - start) // base), picks.max() + 1
    sums = np.empty(2 * max(n_first, n_sums) + 1, dtype=np.float32)
    for i in range(wanted.size):
        weight, values = weights[which[i]], floats[i]
        _add_bins(rows[wanted[i], start:stop], base, sums)
        begin, end = 0, n_first
        while end < n_sums:
            n_pairs = (end - begin + 1) // 2
            _add_pairs(sums[begin:end], sums[end : end + n_pairs])
            begin, end = end, end + n_pairs
        total = np.float32(0)
        for j in range(picks.size):
            value = sums[picks[j]]
            values[j] = value
            total += weight[j] * value * value
        squares[i] = total


@_reordered
def multiply_sparse(spectrum, filled, matrix, weights, out):
    """Multiply a spectrum by a matrix, of which only some bins have counts; clear it.

    Parameters
    ----------
    spectrum
        Numbers, shape (bins,); zero everywhere afterwards.
    filled
        All its bins that are not zero, each once.
    matrix
        float32, shape (bins, numbers), a multiple of :data:`LANES` numbers.
    weights
        float32, shape (bins,).
    out
        float32, shape (numbers + 1,): it is filled with the product and, last, with the
        weighted sum of the squares.
    """
    n_numbers = matrix.shape[1]
    sums = np.zeros(n_numbers, dtype=np.float32)
    squares = np.float32(0)
    n_fours = filled.size // 4 * 4
    for i in range(0, n_fours, 4):
        j0, j1, j2, j3 = filled[i], filled[i + 1], filled[i + 2], filled[i + 3]
        a, b = np.float32(spectrum[j0]), np.float32(spectrum[j1])
        c, d = np.float32(spectrum[j2]), np.float32(spectrum[j3])
        spectrum[j0] = spectrum[j1] = spectrum[j2] = spectrum[j3] = 0
        squares += (weights[j0] * a * a + weights[j1] * b * b) + (
            weights[j2] * c * c + weights[j3] * d * d
        )
        m0, m1, m2, m3 = matrix[j0], matrix[j1], matrix[j2], matrix[j3]
        for first in range(0, n_numbers, LANES):
            for k in range(first, first + LANES):
                sums[k] += (a * m0[k] + b * m1[k]) + (c * m2[k] + d * m3[k])
    for i in range(n_fours, filled.size):
        j0 = filled[i]
        a = np.float32(spectrum[j0])
        spectrum[j0] = 0
        squares += weights[j0] * a * a
        m0 = matrix[j0]
        for k in range(n_numbers):
            sums[k] += a * m0[k]
    out[:n_numbers] = sums
    out[n_numbers] = squares


@_reordered
def make_positive(areas, spread, tolerance):
    """Turn the areas of least squares into those of which none is negative.

    Parameters
    ----------
    areas
        float64, shape (spectra, components): of least squares; changed in place.
    spread
        float64, shape (components, components): the inverse of the products of the weighted
        columns, which is the covariance of areas.
    tolerance
        float64, shape (spectra,): by how much a step changes the weighted squares at least.

    Notes
    -----
    An area is held at 0 by a force that is 0 or more, and `spread` says what a force on one
    area does to all. Coordinate descent in the forces: one after the other is set to what
    holds its area, until no step of a sweep is larger than the tolerance. Areas without a
    force are those of least squares at any time, however alike their columns are; descent in
    the areas themselves takes hundreds of sweeps of parts of a background.
    """
    n_components = spread.shape[0]
    forces = np.zeros(n_components)
    for i in range(areas.shape[0]):
        area = areas[i]
        if not np.isfinite(area.sum()):
            area[:] = np.nan
            continue
        forces[:] = 0.0
        for _ in range(_SWEEPS):
            largest = 0.0
            for k in range(n_components):
                step = max(forces[k] - area[k] / spread[k, k], 0.0) - forces[k]
                if step != 0:
                    forces[k] += step
                    for j in range(n_components):
                        area[j] += step * spread[k, j]
                    largest = max(largest, step * step * spread[k, k])
            if largest <= tolerance[i]:
                break
        for k in range(n_components):
            area[k] = 0.0 if forces[k] > 0 else max(area[k], 0.0)


@kernel
def smooth_images(images):
    """Replace each number of images by the mean of itself and its neighbours, 3 x 3.

    Parameters
    ----------
    images
        float32, shape (images, rows, columns); changed in place. Beyond the edges there is
        nothing, nor where a number is NaN or infinite, which stays as it is.
    """
    n_rows, n_columns = images.shape[1:]
    # Of a row each: the one before, this one, the next.
    sums = np.zeros((3, n_columns + 2))
    counts = np.zeros((3, n_columns + 2))
    for k in range(images.shape[0]):
        sums[:] = 0
        counts[:] = 0
        for i in range(n_rows + 1):
            new = i % 3
            sums[new] = 0
            counts[new] = 0
            if i < n_rows:
                for j in range(n_columns):
                    value = images[k, i, j]
                    is_there = np.isfinite(value)
                    sums[new, j + 1] = value if is_there else 0.0
                    counts[new, j + 1] = 1.0 if is_there else 0.0
            if i > 0:
                for j in range(n_columns):
                    total, n = 0.0, 0.0
                    for m in range(3):
                        total += sums[m, j] + sums[m, j + 1] + sums[m, j + 2]
                        n += counts[m, j] + counts[m, j + 1] + counts[m, j + 2]
                    if counts[(i - 1) % 3, j + 1] > 0:
                        images[k, i - 1, j] = total / n
