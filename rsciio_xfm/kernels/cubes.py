"""Sums for the cache of the explorer: of blocks of pixels, of planes, of masks."""

import numpy as np

from rsciio_xfm.kernels.compiled import kernel


@kernel
def add_blocks(spectra, corner, block, totals):
    """Add the spectra of some rows to those of the blocks of pixels that they lie in.

    Parameters
    ----------
    spectra
        Shape (rows, columns, channels).
    corner
        Row and column of the first one.
    block
        Rows and columns of a block.
    totals
        Shape (blocks, blocks, channels).
    """
    n_rows, n_columns, n_channels = spectra.shape
    for i in range(n_rows):
        blocks = totals[(corner[0] + i) // block[0]]
        x = 0
        while x < n_columns:
            total = blocks[(corner[1] + x) // block[1]]
            left = block[1] - (corner[1] + x) % block[1]
            if left >= 4 and x + 4 <= n_columns:
                a, b = spectra[i, x], spectra[i, x + 1]
                c, d = spectra[i, x + 2], spectra[i, x + 3]
                for j in range(n_channels):
                    total[j] += (
                        total.dtype.type(a[j])
                        + total.dtype.type(b[j])
                        + total.dtype.type(c[j])
                        + total.dtype.type(d[j])
                    )
                x += 4
            else:
                a = spectra[i, x]
                for j in range(n_channels):
                    total[j] += total.dtype.type(a[j])
                x += 1


@kernel
def sum_planes(planes, total, highest):
    """Sum planes, shape (planes, pixels), and find the highest number of each."""
    for k in range(planes.shape[0]):
        plane = planes[k]
        high = plane[0]
        for i in range(plane.size):
            total[i] += plane[i]
            high = max(high, plane[i])
        highest[k] = high


@kernel
def add_plane(plane, total):
    """Add a plane to a total of any wider type."""
    for i in range(plane.shape[0]):
        for j in range(plane.shape[1]):
            total[i, j] += plane[i, j]


@kernel
def take_plane(plane, total):
    """Take a plane from a total of any wider type."""
    for i in range(plane.shape[0]):
        for j in range(plane.shape[1]):
            total[i, j] -= plane[i, j]


_ONES = np.uint64(0x0101010101010101)
_LAST = np.uint64(56)


@kernel
def _count_words(words, block, counts):
    for i in range(words.shape[0]):
        row, own = words[i], counts[i // block[0]]
        for k in range(row.size):
            if row[k]:
                own[k // block[1]] += np.int64((row[k] * _ONES) >> _LAST)


@kernel
def _count_pixels(mask, block, counts):
    for i in range(mask.shape[0]):
        row, own = mask[i], counts[i // block[0]]
        for j in range(row.size):
            own[j // block[1]] += row[j]


def count_blocks(mask: np.ndarray, block: tuple[int, int], counts: np.ndarray) -> None:
    """Count the pixels of a mask in each block of pixels, eight at a time where that goes.

    Parameters
    ----------
    mask
        bool, shape (rows, columns).
    block
        Rows and columns of a block; of the latter a multiple of 8.
    counts
        int64, shape (blocks, blocks), to which they are added.
    """
    mask = np.ascontiguousarray(mask)
    if mask.shape[1] % 8 == 0:
        # The bytes of a word are added up in the highest one.
        _count_words(mask.view(np.uint64), (block[0], block[1] // 8), counts)
    else:
        _count_pixels(mask, block, counts)


@kernel
def add_chosen(spectra, weights, total):
    """Add spectra times their weights to a total, those of weight 0 not at all."""
    for i in range(spectra.shape[0]):
        weight = weights[i]
        if weight == 0:
            continue
        row = spectra[i]
        for j in range(total.size):
            total[j] += total.dtype.type(row[j]) * weight
