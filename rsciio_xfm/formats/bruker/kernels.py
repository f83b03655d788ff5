"""What the records of a ``.bcf`` stream say: kernels on their bytes.

Records begin at any byte, so that numbers are put together of their bytes; the compiler makes
one instruction of that.
"""

import functools
from collections import namedtuple
from typing import Any

import numpy as np

from rsciio_xfm.core.fields import field_offset
from rsciio_xfm.core.stream import (
    DAMAGED,
    DONE,
    END,
    OVERFLOW,
    ROW,
    Box,
    Kernels,
)
from rsciio_xfm.formats.bruker.layout import (
    ADDED,
    EVENTS_12,
    EVENTS_16,
    INSTRUCTIONS,
    INSTRUCTIONS_TOO,
    RECORD,
)
from rsciio_xfm.kernels.compiled import kernel

PACKED_AT = field_offset(RECORD, "n_packed")
PACKING_AT = field_offset(RECORD, "packing")
EVENTS_AT = field_offset(RECORD, "n_events")
SIZE_AT = field_offset(RECORD, "size")
RECORD_BYTES = RECORD.itemsize
ADDED_BYTES = ADDED.itemsize
_BITS = 31  # of a count, so that the events that are added to it fit 32
_MANY = 32  # counts of an instruction, from which on vectors are faster
SPARE = 8  # channels that a spectrum has to have beyond the last one

WRONG_PACKING, WRONG_SIZE, WRONG_CHANNEL, WRONG_COUNTS = range(DAMAGED, DAMAGED + 4)

# The part that is asked for, and how many pixels, down and across, are one of the array.
_NAMES = (*Box._fields, "downsample")
DownsampledBox: Any = namedtuple("DownsampledBox", _NAMES)  # type: ignore[misc]


@kernel
def u2(raw, at):
    """Return the 16-bit number at a byte."""
    # An unsigned index saves the compiler to ask whether it counts from the end.
    return np.int64(raw[np.uint64(at)]) | np.int64(raw[np.uint64(at + 1)]) << 8


@kernel
def u4(raw, at):
    """Return the 32-bit number at a byte."""
    return u2(raw, at) | u2(raw, at + 2) << 16


@kernel
def stored_stop(raw, at):
    """Return where a record ends, without the events behind its instructions."""
    return at + RECORD_BYTES + u4(raw, at + SIZE_AT)


@kernel
def has_added(raw, at):
    """Tell whether events come behind the instructions of a record."""
    return u2(raw, at + PACKING_AT) >= INSTRUCTIONS and u2(raw, at + EVENTS_AT) > 0


@kernel
def record_stop(raw, at):
    """Return where a record ends, whose bytes up to :func:`stored_stop` are there."""
    stop = stored_stop(raw, at)
    if has_added(raw, at) and stop - ADDED_BYTES >= at + RECORD_BYTES:
        return stop + u4(raw, stop - ADDED_BYTES)
    return stop


@kernel
def unpack(raw, at, stop, counts, n_channels):
    """Add the counts of a record to a spectrum.

    Parameters
    ----------
    raw
        uint8.
    at, stop
        Where the record begins and ends.
    counts
        Unsigned integers, shape (at least `n_channels` + :data:`SPARE`,).
    n_channels
        That the file can have.

    Returns
    -------
    top
        One more than the highest channel that was added to.
    status
        :data:`rsciio_xfm.core.stream.DONE`, or what is wrong.
    """
    packing, n_events = u2(raw, at + PACKING_AT), u2(raw, at + EVENTS_AT)
    start, end = at + RECORD_BYTES, stored_stop(raw, at)
    if packing == EVENTS_16:
        return _add_events(raw, start, (end - start) // 2, counts, n_channels)
    if packing == EVENTS_12:
        if 3 * n_events > 2 * (end - start) or (end - start) % 2:
            return 0, WRONG_SIZE
        return _add_events_12(raw, start, n_events, counts, n_channels)
    if packing > INSTRUCTIONS_TOO:
        return 0, WRONG_PACKING
    if end - ADDED_BYTES < start:
        return 0, WRONG_SIZE
    n_packed = u2(raw, at + PACKED_AT)
    if n_packed > n_channels:
        return 0, WRONG_CHANNEL
    status = _follow(raw, start, end - ADDED_BYTES, counts, n_packed)
    if status != DONE or n_events == 0:
        return n_packed, status
    if stop - end != 2 * n_events:
        return n_packed, WRONG_SIZE
    top, status = _add_events(raw, end, n_events, counts, n_channels)
    return max(top, n_packed), status


@kernel
def _add_events(raw, start, n, counts, n_channels):
    """Count events of 16 bits."""
    top = np.int64(0)
    for i in range(n):
        channel = u2(raw, start + 2 * i)
        if channel >= n_channels:
            return top, WRONG_CHANNEL
        counts[np.uint64(channel)] += counts.dtype.type(1)
        top = max(top, channel + 1)
    return top, DONE


@kernel
def _add_events_12(raw, start, n, counts, n_channels):
    """Count events of 12 bits, in pairs of bytes that are swapped: four in three pairs."""
    one, top = counts.dtype.type(1), np.int64(0)
    for i in range(0, n - 3, 4):
        at = start + (3 * i >> 1)
        x, y, z = u2(raw, at), u2(raw, at + 2), u2(raw, at + 4)
        a, b = x >> 4, (x & 15) << 8 | y >> 8
        c, d = (y & 255) << 4 | z >> 12, z & 4095
        top = max(top, a, b, c, d)
        if top >= n_channels:
            return np.int64(0), WRONG_CHANNEL
        counts[np.uint64(a)] += one
        counts[np.uint64(b)] += one
        counts[np.uint64(c)] += one
        counts[np.uint64(d)] += one
    for i in range(n - n % 4, n):
        byte = 3 * i >> 1
        high = np.int64(raw[start + (byte ^ 1)])
        low = np.int64(raw[start + ((byte + 1) ^ 1)])
        channel = (high & 15) << 8 | low if i % 2 else high << 4 | low >> 4
        if channel >= n_channels:
            return np.int64(0), WRONG_CHANNEL
        counts[np.uint64(channel)] += one
        top = max(top, channel)
    return top + (n > 0), DONE


@kernel
def _follow(raw, at, end, counts, n_packed):
    """Follow the instructions of a record, which tell the counts of its channels."""
    channel = np.int64(0)
    while at + 2 <= end:
        size, n = np.int64(raw[np.uint64(at)]), np.int64(raw[np.uint64(at + 1)])
        at, begin = at + 2, channel
        channel += n
        if channel > n_packed:
            return WRONG_CHANNEL
        if size == 0:
            continue
        if size != 1:
            at, status = _add_numbers(raw, at, end, size, counts[begin:channel])
            if status != DONE:
                return status
            continue
        stop = at + 1 + (n + 1 >> 1)
        if stop > end:
            return WRONG_SIZE
        gain = counts.dtype.type(raw[np.uint64(at)])
        if n > _MANY:
            _add_many(raw, at + 1, gain, counts, begin, n)
        else:
            _add_few(raw, at + 1, n, counts, begin)
            if gain:
                for i in range(begin, channel):
                    counts[np.uint64(i)] += gain
        at = stop
    return DONE if at == end and channel == n_packed else WRONG_SIZE


# Without a call of its own, and with whole arrays in the call of the next one, records of
# instructions are decoded nearly twice as fast.
@functools.partial(kernel, inline="always")
def _add_few(raw, at, n, counts, channel):
    """Add counts of four bits, the lower ones of a byte first.

    Eight are added without asking how many these are: those beyond are zeros, and of a record
    :data:`layout.ADDED` follows.
    """
    while n > 0:
        mask = np.uint32(0xFFFFFFFF) >> np.uint32(32 - 4 * min(n, 8))
        word = np.uint32(u4(raw, at)) & mask
        for i in range(8):
            nibble = (word >> np.uint32(4 * i)) & np.uint32(15)
            counts[np.uint64(channel + i)] += counts.dtype.type(nibble)
        n, at, channel = n - 8, at + 4, channel + 8


@kernel
def _add_many(raw, at, gain, counts, channel, n):
    """Add the same in a loop that the compiler turns into vectors."""
    pairs, target = raw[at : at + (n + 1 >> 1)], counts[channel : channel + n]
    for i in range(target.size // 2):
        pair = pairs[i]
        target[2 * i] += gain + target.dtype.type(pair & np.uint8(15))
        target[2 * i + 1] += gain + target.dtype.type(pair >> np.uint8(4))
    if target.size % 2:
        target[-1] += gain + target.dtype.type(pairs[-1] & np.uint8(15))


@kernel
def _add_numbers(raw, at, end, size, target):
    """Add counts of 8, 16 or 32 bits; return where the instruction ends, and a status."""
    if size not in (2, 4, 8):
        return at, WRONG_PACKING
    stop = at + size + target.size * size // 2
    if stop > end:
        return at, WRONG_SIZE
    gain = u2(raw, at) if size == 2 else u4(raw, at)
    if size == 8 and u4(raw, at + 4):
        return at, WRONG_COUNTS
    part = raw[at + size : stop]
    if size == 2:
        for i in range(target.size):
            target[i] += target.dtype.type(gain) + target.dtype.type(part[i])
        return stop, DONE
    for i in range(target.size):
        number = gain + (u2(part, 2 * i) if size == 4 else u4(part, 4 * i))
        if number >> _BITS:
            return stop, WRONG_COUNTS
        target[i] += target.dtype.type(number)
    return stop, DONE


@kernel
def _check(words, block, longest):
    """Return how many bytes are whole records, see :class:`rsciio_xfm.core.stream.Kernels`."""
    raw, runs = words[0], block.runs
    at, i = np.int64(0), 0
    while at + RECORD_BYTES <= block.n_bytes:
        end = runs[i, END] - block.base
        if stored_stop(raw, at) > min(end, at + longest):
            return 0
        if stored_stop(raw, at) > block.n_bytes:
            break
        stop = record_stop(raw, at)
        if stop > min(end, at + longest):
            return 0
        if stop > block.n_bytes:
            break
        at = stop
        i += at == end
    return at


@kernel
def _next(raw, block, box, at, i):
    """Return where a record ends, its run, and its place (row, column) in a box or -1."""
    stop = record_stop(raw, at)
    column = u4(raw, at) // box.downsample - box.first_column
    row = block.runs[i, ROW] - box.first_row
    if not 0 <= column < box.last_column - box.first_column:
        row = np.int64(-1)
    return stop, i + (block.base + stop == block.runs[i, END]), row, column


@kernel
def _new_spectrum(box):
    """Make room for all channels of the file, and for what is wanted beyond."""
    n = max(box.n_channels, box.first_channel + box.n_wanted)
    return np.zeros(n + SPARE, np.uint32)


@kernel
def _decode(words, block, box, dense, is_clear, limit):
    """Add the counts of whole records to a block (0, y, x, E)."""
    raw, spectrum = words[0], _new_spectrum(box)
    first, n = box.first_channel, box.n_wanted
    at, i = np.int64(0), np.int64(0)
    while at < block.n_bytes:
        begin = at
        at, i, row, column = _next(raw, block, box, begin, i)
        if row < 0:
            continue
        top, status = unpack(raw, begin, at, spectrum, box.n_channels)
        if status != DONE:
            return begin, status
        target = dense[0, row, column]
        if is_clear[0, row, column]:
            if not _add(spectrum[first : min(top, first + n)], target, limit):
                return begin, OVERFLOW
        else:
            is_clear[0, row, column] = True
            if not _put(spectrum[first : first + n], target, limit):
                return begin, OVERFLOW
        spectrum[:top] = 0
    return at, DONE


@kernel
def _put(counts, target, limit):
    """Copy counts; return whether all of them are within the limit."""
    bits = np.uint32(0)
    for j in range(counts.size):
        bits |= counts[j]
        target[j] = counts[j]
    return bits <= limit  # which is 2**n - 1


@kernel
def _add(counts, target, limit):
    """Add counts; return whether all sums are within the limit."""
    bits = np.uint64(0)
    for j in range(counts.size):
        total = np.uint64(target[j]) + np.uint64(counts[j])
        bits |= total
        target[j] = total
    return bits <= limit


@kernel
def _sum_spectra(words, block, box, total):
    """Add the counts of whole records to one spectrum."""
    raw, first = words[0], box.first_channel
    n = max(box.n_channels, first + box.n_wanted)
    partial = np.zeros(n + SPARE, np.uint64)
    at, i = np.int64(0), np.int64(0)
    while at < block.n_bytes:
        begin = at
        at, i, row, _ = _next(raw, block, box, begin, i)
        if row >= 0:
            _, status = unpack(raw, begin, at, partial, box.n_channels)
            if status != DONE:
                return begin, status
    for j in range(total.size):
        total[j] += partial[first + j]
    return at, DONE


@kernel
def _sum_channels(words, block, box, dense):
    """Add the counts of whole records to a map (0, y, x)."""
    raw, spectrum = words[0], _new_spectrum(box)
    first, last = box.first_channel, box.first_channel + box.n_wanted
    at, i = np.int64(0), np.int64(0)
    while at < block.n_bytes:
        begin = at
        at, i, row, column = _next(raw, block, box, begin, i)
        if row < 0:
            continue
        top, status = unpack(raw, begin, at, spectrum, box.n_channels)
        if status != DONE:
            return begin, status
        counts = np.uint64(0)
        for j in range(first, min(top, last)):
            counts += np.uint64(spectrum[j])
        dense[0, row, column] += counts
        spectrum[:top] = 0
    return at, DONE


KERNELS = Kernels(
    types=(np.uint8,),
    check=_check,
    decode=_decode,
    sum_spectra=_sum_spectra,
    sum_channels=_sum_channels,
)
