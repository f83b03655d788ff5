"""What the records of a ``.GeoPIXE`` file say: kernels on their bytes."""

import numpy as np

from rsciio_xfm.core.fields import field_offset
from rsciio_xfm.core.stream import (
    DAMAGED,
    DONE,
    END,
    OVERFLOW,
    ROW,
    SCATTERED,
    Kernels,
)
from rsciio_xfm.formats.geopixe.layout import ENTRY, RECORD, RECORD_MARK
from rsciio_xfm.kernels.compiled import kernel
from rsciio_xfm.kernels.project import multiply_sparse

# Positions of the fields in 16-bit and 32-bit words.
WORD = np.dtype(np.uint16).itemsize
MARK_WORD = field_offset(RECORD, "mark") // WORD
LENGTH_WORD = field_offset(RECORD, "length") // WORD
X_WORD = field_offset(RECORD, "x") // WORD
Y_WORD = field_offset(RECORD, "y") // WORD
DETECTOR_WORD = field_offset(RECORD, "detector") // WORD
RECORD_BYTES = RECORD.itemsize
ENTRY_BYTES = ENTRY.itemsize
# An entry as one 32-bit number: kernels load it at once.
CHANNEL_BITS = np.uint32(0xFFFF)
COUNTS_SHIFT = np.uint32(8 * field_offset(ENTRY, "counts"))
# As many records as 32-bit sums of their counts hold.
_MOST_RECORDS = 2**16

WRONG_CHANNEL = DAMAGED


@kernel
def record_length(words, at):
    """Return the length of the record at a byte."""
    word = at // WORD + LENGTH_WORD
    return np.int64(words[word]) | (np.int64(words[word + 1]) << 16)


@kernel
def _check(words, block, longest):
    """Return how many bytes are whole records, see :class:`rsciio_xfm.core.stream.Kernels`.

    Each record has to be of the row that was indexed at its place, and the last one of a run
    has to end where the run does.
    """
    words = words[0]
    runs, base = block.runs, block.base
    at = np.int64(0)
    i = 0
    while at + RECORD_BYTES <= block.n_bytes:
        length = record_length(words, at)
        if words[at // WORD + MARK_WORD] != RECORD_MARK:
            return 0
        if length < RECORD_BYTES or length > longest or length % ENTRY_BYTES:
            return 0
        if np.int64(words[at // WORD + Y_WORD]) != runs[i, ROW]:
            return 0
        if base + at + length > runs[i, END]:
            return 0
        if at + length > block.n_bytes:
            break
        at += length
        if base + at == runs[i, END]:
            i += 1
    return at


@kernel
def next_record(words, at, box):
    """Return the end of a record and its place (detector, y, x) in a box, or -1."""
    word = at // WORD
    x = np.int64(words[word + X_WORD]) - box.first_column
    y = np.int64(words[word + Y_WORD]) - box.first_row
    detector = np.int64(words[word + DETECTOR_WORD])
    place = np.int64(-1)
    is_inside = 0 <= y < box.last_row - box.first_row
    is_inside &= 0 <= x < box.last_column - box.first_column
    if is_inside and detector < box.places.size:
        place = box.places[detector]
    return at + record_length(words, at), place, y, x


@kernel
def _are_channels_valid(entries, n_channels):
    """Tell whether the channels of a record's entries ascend and are within the map.

    The difference of two channels has its highest bit set if the second is larger; a
    loop without branches, which the compiler makes one of vectors.
    """
    order = np.uint32(0xFFFFFFFF)
    for i in range(entries.size - 1):
        order &= (entries[i] & CHANNEL_BITS) - (entries[i + 1] & CHANNEL_BITS)
    is_ascending = order >> np.uint32(31) == 1
    return entries.size == 0 or (
        is_ascending and (entries[-1] & CHANNEL_BITS) < n_channels
    )


@kernel
def _entries_of(entries, at, stop):
    return entries[(at + RECORD_BYTES) // ENTRY_BYTES : stop // ENTRY_BYTES]


@kernel
def _is_whole(box):
    """Tell whether all channels are wanted, each for itself: none has to be compared."""
    return box.rebin == 1 and box.n_wanted == box.n_channels


@kernel
def _put_all(entries, spectrum):
    """Put the entries of a record into a spectrum of zeros; see :func:`_add_all`."""
    bits = np.uint32(0)
    for i in range(entries.size):
        bits |= entries[i]
        spectrum[np.uint64(entries[i] & CHANNEL_BITS)] = entries[i] >> COUNTS_SHIFT
    return np.uint64(bits >> COUNTS_SHIFT)


@kernel
def _add_all(entries, spectrum):
    """Add the entries of a record to a spectrum; return all sums, combined bit by bit.

    As no sum is tested by itself, the loop has no branch for it.
    """
    sums = np.uint64(0)
    for i in range(entries.size):
        channel = np.uint64(entries[i] & CHANNEL_BITS)
        counts = np.uint64(spectrum[channel]) + np.uint64(entries[i] >> COUNTS_SHIFT)
        sums |= counts
        spectrum[channel] = counts
    return sums


@kernel
def _add_window(entries, spectrum, box):
    """Add the entries of a window of the channels, some of them to a bin."""
    first, n_wanted = np.uint32(box.first_channel), np.uint32(box.n_wanted)
    rebin = np.uint32(box.rebin)
    sums = np.uint64(0)
    for i in range(entries.size):
        channel = (entries[i] & CHANNEL_BITS) - first  # wraps around below the window
        if channel < n_wanted:
            bin_ = np.uint64(channel if rebin == 1 else channel // rebin)
            counts = np.uint64(spectrum[bin_]) + np.uint64(entries[i] >> COUNTS_SHIFT)
            sums |= counts
            spectrum[bin_] = counts
    return sums


@kernel
def _decode(words, block, box, dense, is_clear, limit):
    """Add the counts of whole records to a block (detector, y, x, E).

    A spectrum is cleared when its first record comes, while it is on its way to the
    cache anyway; that is a third faster than a block of zeros.
    """
    words, entries = words
    is_whole = _is_whole(box)
    at = np.int64(0)
    while at < block.n_bytes:
        stop, place, row, column = next_record(words, at, box)
        if place >= 0:
            record = _entries_of(entries, at, stop)
            if not _are_channels_valid(record, box.n_channels):
                return at, WRONG_CHANNEL
            spectrum = dense[place, row, column]
            is_first = not is_clear[place, row, column]
            if is_first:
                is_clear[place, row, column] = True
                spectrum[:] = 0
            if not is_whole:
                sums = _add_window(record, spectrum, box)
            elif is_first:
                sums = _put_all(record, spectrum)
            else:
                sums = _add_all(record, spectrum)
            if sums > limit:  # limit is 2**n - 1: only a sum above it has a higher bit
                return at, OVERFLOW
        at = stop
    return at, DONE


@kernel
def _sum_spectra(words, block, box, total):
    """Add the counts of whole records to one spectrum.

    They are added up as 32-bit numbers, which fit the cache better, and moved to the total
    before one more record could overflow them. A bin of several channels could overflow
    earlier: its counts are added up channel by channel.
    """
    words, entries = words
    first, last = box.first_channel, box.first_channel + box.n_wanted
    partial = np.zeros(box.n_channels, dtype=np.uint32)
    n_records = 0
    at = np.int64(0)
    while at < block.n_bytes:
        stop, place, _, _ = next_record(words, at, box)
        if place >= 0:
            record = _entries_of(entries, at, stop)
            if not _are_channels_valid(record, box.n_channels):
                return at, WRONG_CHANNEL
            for i in range(record.size):
                channel = np.uint64(record[i] & CHANNEL_BITS)
                partial[channel] += record[i] >> COUNTS_SHIFT
            n_records += 1
            if n_records == _MOST_RECORDS:
                _move(partial[first:last], box.rebin, total)
                partial[:] = 0
                n_records = 0
        at = stop
    _move(partial[first:last], box.rebin, total)
    return at, DONE


@kernel
def _move(partial, rebin, total):
    for i in range(partial.size):
        total[i // rebin] += np.uint64(partial[i])


@kernel
def _sum_channels(words, block, box, dense):
    """Add the counts of whole records to a map (detector, y, x)."""
    words, entries = words
    first, n_wanted = np.uint32(box.first_channel), np.uint32(box.n_wanted)
    at = np.int64(0)
    while at < block.n_bytes:
        stop, place, row, column = next_record(words, at, box)
        if place >= 0:
            record = _entries_of(entries, at, stop)
            if not _are_channels_valid(record, box.n_channels):
                return at, WRONG_CHANNEL
            counts = np.uint64(0)
            for i in range(record.size):
                if (record[i] & CHANNEL_BITS) - first < n_wanted:
                    counts += np.uint64(record[i] >> COUNTS_SHIFT)
            dense[place, row, column] += counts
        at = stop
    return at, DONE


@kernel
def _multiply(words, block, box, matrices, pixel, out):
    """Put products of spectra into `out`; see :class:`rsciio_xfm.core.stream.Kernels`."""
    words, entries = words
    first, n_wanted = np.uint32(box.first_channel), np.uint32(box.n_wanted)
    spectrum, bins, filled = pixel.counts, pixel.bins, pixel.filled
    n, held = pixel.state[0], pixel.state[1]
    held_row, held_column = pixel.state[2], pixel.state[3]
    at = np.int64(0)
    while at < block.n_bytes:
        stop, place, row, column = next_record(words, at, box)
        if place >= 0:
            record = _entries_of(entries, at, stop)
            if not _are_channels_valid(record, box.n_channels):
                return at, WRONG_CHANNEL
            if row != held_row or column != held_column or place != held:
                if n > 0:
                    target = out[held, held_row, held_column]
                    multiply_sparse(
                        spectrum,
                        filled[:n],
                        matrices.products,
                        matrices.squares,
                        target,
                    )
                if pixel.is_done[place, row, column]:
                    return at, SCATTERED
                pixel.is_done[place, row, column] = True
                n, held, held_row, held_column = np.int64(0), place, row, column
            for i in range(record.size):
                channel = (record[i] & CHANNEL_BITS) - first
                counts = record[i] >> COUNTS_SHIFT
                if channel < n_wanted:
                    bin_ = bins[channel]
                    filled[n] = bin_
                    n += np.int64((spectrum[bin_] == 0) & (counts > 0))
                    spectrum[bin_] += counts
        at = stop
    pixel.state[0], pixel.state[1] = n, held
    pixel.state[2], pixel.state[3] = held_row, held_column
    return at, DONE


KERNELS = Kernels(
    types=(np.uint16, np.uint32),
    check=_check,
    decode=_decode,
    sum_spectra=_sum_spectra,
    sum_channels=_sum_channels,
    multiply=_multiply,
)
