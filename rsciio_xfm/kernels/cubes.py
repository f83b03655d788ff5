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
def add_plane(plane, is_less, place, total):
    """Add a plane of a cell to sums of blocks of pixels, or take it away.

    Parameters
    ----------
    plane
        Shape (rows, columns).
    is_less
        Whether it is taken away.
    place
        First row and column of the cell, and pixels along a side of a block.
    total
        Of any wider type, shape (blocks, blocks).
    """
    top, left, step = place
    zero = total.dtype.type(0)
    for i in range(plane.shape[0]):
        row, at, rest = total[(top + i) // step], left // step, left % step
        for j in range(plane.shape[1]):
            number = total.dtype.type(plane[i, j])
            row[at] += zero - number if is_less else number
            rest += 1
            if rest == step:
                rest, at = 0, at + 1


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


# The pixels of a block are the bits of a word of 64 bits: one word for each channel and bit of
# the counts, so that counts of any of the pixels are counted bits.

_EIGHT = np.uint64(8)
# Times this, the lowest bits of eight bytes come to the highest byte.
_GATHER = np.uint64(0x0102040810204080)
_BYTE = np.uint64(255)


@kernel
def _low_bytes(row, x, n, byte):
    """Return one byte of each of eight numbers, and whatever bits any of them has."""
    found, any_ = np.uint64(0), np.uint64(0)
    if n >= 8 and byte == 0:
        eight = row[x : x + 8]
        for j in range(8):
            number = np.uint64(eight[j])
            any_ |= number
            found |= (number & _BYTE) << np.uint64(8 * j)
    else:
        for j in range(min(8, n)):
            number = np.uint64(row[x + j]) >> np.uint64(8 * byte)
            any_ |= number
            found |= (number & _BYTE) << np.uint64(8 * j)
    return found, any_


@kernel
def pack_pixels(planes, place, block, words, seen):
    """Put some blocks of pixels into words.

    Parameters
    ----------
    planes
        Counts, shape (channels, rows, columns).
    place
        First row and column of the first block, and end of the columns.
    block
        Rows and columns of a block, 64 pixels; of the latter a multiple of 8.
    words
        uint64 zeros, shape (blocks, bits, channels).
    seen
        uint64 zeros, shape (blocks,): all counts of a block, or'ed.
    """
    top, left, end = place
    # Eight pixels of a row are a group: one byte of each of their counts fits a word.
    groups = block[1] // 8  # of eight pixels, in each row of a block
    held = np.zeros(8, dtype=np.uint64)
    for c in range(planes.shape[0]):
        for b in range(words.shape[0]):
            byte, rest = 0, np.uint64(1)
            while rest != 0:  # one byte of the counts after the other
                rest = np.uint64(0)
                for i in range(8):
                    y, x = top + i // groups, left + b * block[1] + 8 * (i % groups)
                    held[i] = 0
                    if y < planes.shape[1] and x < end:
                        held[i], any_ = _low_bytes(planes[c, y], x, end - x, byte)
                        rest |= any_
                seen[b] |= rest << np.uint64(8 * byte)
                bit = 8 * byte
                for k in range(8):
                    if rest >> np.uint64(k) == 0:
                        break
                    word = np.uint64(0)
                    for i in range(8):
                        bits = ((held[i] >> np.uint64(k)) & _ONES) * _GATHER >> _LAST
                        word |= bits << np.uint64(8 * i)
                    words[b, bit + k, c] = word
                rest >>= _EIGHT
                byte += 1


_PAIRS = np.uint64(1), np.uint64(0x5555555555555555)
_FOURS = np.uint64(2), np.uint64(0x3333333333333333)
_EIGHTS = np.uint64(4), np.uint64(0x0F0F0F0F0F0F0F0F)
_MOST = np.uint64(127)
_HALF, _QUARTER = np.uint64(32), np.uint64(16)


@kernel
def add_pixels(words, chosen, is_less, total):
    """Add the spectra of pixels of a block to a total, or take them away.

    Parameters
    ----------
    words
        uint64, shape (bits, channels).
    chosen
        uint64, the pixels.
    is_less
        Whether they are taken away.
    total
        uint64, shape (channels,).
    """
    for k in range(words.shape[0]):
        row, bit = words[k], np.uint64(k)
        for c in range(total.size):
            n = row[c] & chosen
            n -= (n >> _PAIRS[0]) & _PAIRS[1]
            n = (n & _FOURS[1]) + ((n >> _FOURS[0]) & _FOURS[1])
            n = (n + (n >> _EIGHTS[0])) & _EIGHTS[1]
            n += n >> _EIGHT
            n += n >> _QUARTER
            n = ((n + (n >> _HALF)) & _MOST) << bit
            total[c] += -n if is_less else n


# Planes of counts as they lie in the cache: of 64 pixels a word for each bit. Many of them are
# added 64 pixels at a time, and turned to numbers once.

# The bits of a byte, each as a byte.
_SPREAD = np.array(
    [sum((byte >> j & 1) << 8 * j for j in range(8)) for byte in range(256)],
    dtype=np.uint64,
)


@kernel
def add_bits(bits, total, carry):
    """Add counts to others, both given by their bits.

    Parameters
    ----------
    bits
        uint64, shape (bits, words): the lowest ones first.
    total
        The same with more bits, so many as the sum has.
    carry
        Memory, shape (words,).

    Returns
    -------
    bool
        False if there are bits beyond the sixteenth: then nothing is added.
    """
    n = 0
    for k in range(bits.shape[0]):
        for i in range(bits.shape[1]):
            if bits[k, i] != 0:
                n = k + 1
                break
    if n > 16:
        return False
    carry[:] = 0
    for k in range(total.shape[0]):
        own, left = total[k], np.uint64(0)
        if k < n:
            row = bits[k]
            for i in range(own.size):
                a, b, c = own[i], row[i], carry[i]
                own[i] = a ^ b ^ c
                carry[i] = (a & b) | (c & (a ^ b))
                left |= carry[i]
        else:
            for i in range(own.size):
                a, c = own[i], carry[i]
                own[i] = a ^ c
                carry[i] = a & c
                left |= carry[i]
        if k + 1 >= n and left == 0:
            break
    return True


@kernel
def _spread(bits, w, n_bits, numbers):
    """Put the 64 numbers of a word together from their bits."""
    words = np.empty(8, dtype=np.uint64)
    small = words.view(np.uint8)
    numbers[:] = 0
    for first in range(0, n_bits, 8):
        n = 0
        for k in range(min(8, n_bits - first)):
            if bits[first + k, w] != 0:
                n = k + 1
        if n == 0:
            continue
        words[:] = 0
        for k in range(n):
            word, bit = bits[first + k, w], np.uint64(k)
            for g in range(8):
                words[g] |= _SPREAD[(word >> np.uint64(8 * g)) & _BYTE] << bit
        # Apart from the above, so that several of them are added at a time.
        for j in range(64):
            numbers[j] += numbers.dtype.type(small[j]) << first


@kernel
def _add_in_row(numbers, x, step, row):
    """Add the numbers of 64 pixels of a row, from one on, to sums of so many pixels each."""
    at, rest = x // step, x % step
    if step == 1:
        own = row[at : at + 64]
        for j in range(64):
            own[j] += numbers[j]
    elif step == 2 and rest == 0:
        own = row[at : at + 32]
        for j in range(32):
            own[j] += numbers[2 * j] + numbers[2 * j + 1]
    else:
        for j in range(64):
            row[at] += numbers[j]
            rest += 1
            if rest == step:
                rest, at = 0, at + 1


@kernel
def add_numbers(bits, is_less, place, total):
    """Add numbers that are given by their bits to sums of blocks of pixels.

    Parameters
    ----------
    bits
        uint64, shape (bits, words), 64 pixels to a word, row by row; zeros afterwards.
    is_less
        Whether they are taken away.
    place
        First row and column of the cell, its columns, and pixels along a side of a block.
    total
        uint32 or uint64, shape (blocks, blocks).
    """
    top, left, width, step = place
    zero = total.dtype.type(0)
    numbers = np.empty(64, dtype=total.dtype)
    n_bits = 0
    for k in range(bits.shape[0]):
        if bits[k].any():
            n_bits = k + 1
    for w in range(bits.shape[1]):
        _spread(bits, w, n_bits, numbers)
        if is_less:
            for j in range(64):
                numbers[j] = zero - numbers[j]
        y, x = divmod(64 * w, width)
        if x + 64 <= width:
            _add_in_row(numbers, left + x, step, total[(top + y) // step])
            continue
        for j in range(64):
            total[(top + y) // step, (left + x) // step] += numbers[j]
            x += 1
            if x == width:
                x, y = 0, y + 1
    bits[:n_bits] = 0
