"""Numbers in another order."""

from rsciio_xfm.kernels.compiled import kernel


@kernel
def transpose(source, target):
    """Copy columns to rows, in squares that stay in the cache."""
    n_rows, n_columns = source.shape
    for column in range(0, n_columns, 32):
        for row in range(0, n_rows, 32):
            for i in range(row, min(n_rows, row + 32)):
                for j in range(column, min(n_columns, column + 32)):
                    target[j, i] = source[i, j]


@kernel
def unshuffle(source, target):  # pragma: no cover
    """Put the bytes of numbers together again: first all first ones, then all second ones."""
    width, n = source.shape
    for start in range(0, n, 4096):
        stop = min(n, start + 4096)
        for j in range(width):
            for i in range(start, stop):
                target[i, j] = source[j, i]
