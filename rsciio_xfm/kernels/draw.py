"""Random spectra, drawn photon by photon: fast where a spectrum has fewer than channels."""

import numpy as np

from rsciio_xfm.kernels.compiled import kernel


@kernel
def make_alias(shares):
    """Return the table from which a channel is drawn in one step.

    Parameters
    ----------
    shares
        float64, shape (channels,): of the photons; they add up to 1, none is negative.

    Returns
    -------
    numpy.ndarray
        uint64, shape (channels,). If the lower half of a random number is below the upper half
        of this, the channel is taken, otherwise that in the lower half.

    Notes
    -----
    Walker, ACM Trans. Math. Softw. 3 (1977) 253; made as Vose, IEEE Trans. Softw. Eng. 17
    (1991) 972, has it.
    """
    n = len(shares)
    table = np.full(n, np.uint64(0xFFFFFFFF) << np.uint64(32), np.uint64)
    for i in range(n):
        table[i] |= np.uint64(i)
    scaled = shares * n
    small, large = np.empty(n, np.int64), np.empty(n, np.int64)
    n_small, n_large = 0, 0
    for i in range(n):
        if scaled[i] < 1:
            small[n_small] = i
            n_small += 1
        else:
            large[n_large] = i
            n_large += 1
    while n_small > 0 and n_large > 0:
        n_small -= 1
        low, high = small[n_small], large[n_large - 1]
        limit = np.uint64(scaled[low] * 0xFFFFFFFF)
        table[low] = (limit << np.uint64(32)) | np.uint64(high)
        scaled[high] -= 1 - scaled[low]
        if scaled[high] < 1:
            n_large -= 1
            small[n_small] = high
            n_small += 1
    return table


@kernel
def draw_spectra(seed, tables, kinds, totals, spectra):
    """Add photons to spectra at random.

    Parameters
    ----------
    seed
        uint64.
    tables
        uint64, shape (kinds, channels): of :func:`make_alias` for each kind of spectrum.
    kinds, totals
        Integers, shape (spectra,): the kind of each and its number of photons.
    spectra
        uint16, shape (spectra, channels), to which they are added.

    Notes
    -----
    Random numbers are those of splitmix64 (Steele, Lea and Flood, Proc. OOPSLA 2014, 453).
    """
    state = np.uint64(seed)
    n_channels = np.uint64(spectra.shape[1])
    for i in range(spectra.shape[0]):
        table, spectrum = tables[kinds[i]], spectra[i]
        for _ in range(totals[i]):
            state += np.uint64(0x9E3779B97F4A7C15)
            z = state
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
            channel = ((z >> np.uint64(32)) * n_channels) >> np.uint64(32)
            entry = table[channel]
            if (z & np.uint64(0xFFFFFFFF)) >= (entry >> np.uint64(32)):
                channel = entry & np.uint64(0xFFFFFFFF)
            spectrum[channel] += 1


@kernel
def count_channels(spectra):
    """Return how many channels of each spectrum have counts.

    Parameters
    ----------
    spectra
        uint16, shape (spectra, channels).
    """
    found = np.zeros(spectra.shape[0], np.int64)
    for i in range(spectra.shape[0]):
        n = 0
        for channel in range(spectra.shape[1]):
            n += spectra[i, channel] > 0
        found[i] = n
    return found


@kernel
def pack_spectra(spectra, heads, words):
    """Write for each spectrum its head, then its channels that have counts.

    Parameters
    ----------
    spectra
        uint16, shape (spectra, channels).
    heads
        uint32, shape (spectra, words of a head).
    words
        uint32, one more than are filled: a channel takes one, its number in the lower half,
        the counts in the upper one.
    """
    n = 0
    for i in range(spectra.shape[0]):
        for k in range(heads.shape[1]):
            words[n] = heads[i, k]
            n += 1
        for channel in range(spectra.shape[1]):
            counts = spectra[i, channel]  # written in any case: branches cost more
            words[n] = (np.uint32(counts) << np.uint32(16)) | np.uint32(channel)
            n += counts > 0
