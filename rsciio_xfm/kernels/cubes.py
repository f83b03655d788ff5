"""Sums for the cache of the explorer: of blocks of pixels, of planes, of masks."""

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


@kernel
def count_blocks(mask, block, counts):
    """Count the pixels of a mask in each block of pixels."""
    for i in range(mask.shape[0]):
        row, own = mask[i], counts[i // block[0]]
        for k in range(own.size):
            n = 0
            for j in range(k * block[1], min(row.size, (k + 1) * block[1])):
                n += row[j]
            own[k] += n


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
