"""Sums and maxima of spectra, in memory or read and added in one kernel.

Of twenty users in threads of one process, each would wait for the interpreter after every
piece that it read. Where there is ``pread``, on all systems but Windows, a kernel calls it.
"""

import ctypes
import os
from typing import Any

import numpy as np

from rsciio_xfm.kernels.compiled import kernel

# Spectra that are read at once stay in the cache of a processor until they are added.
STREAM_BYTES = 2**19
# As many spectra of 16 bits as fit a 32-bit sum.
_MOST_SPECTRA = 2**16


def is_counts(data: Any) -> bool:
    """Tell whether kernels take numbers: unsigned integers of at most 32 bits."""
    # Not by its name, which numpy makes anew each time: this is asked for each piece of a map.
    return data.dtype.kind == "u" and data.dtype.itemsize <= 4 and data.dtype.isnative


@kernel
def add_windows(spectra, windows, total):
    """Sum each spectrum over several windows of channels, ``total[window, spectrum]``."""
    for i in range(spectra.shape[0]):
        for k in range(windows.shape[0]):
            window = spectra[i, windows[k, 0] : windows[k, 1]]
            counts = np.uint64(0)
            for j in range(window.size):
                counts += np.uint64(window[j])
            total[k, i] = counts


@kernel
def add_rows(spectra, total):
    """Add spectra to a total, four at a time: it is loaded and stored less often."""
    n_fours = spectra.shape[0] // 4
    for i in range(n_fours):
        a, b = spectra[4 * i], spectra[4 * i + 1]
        c, d = spectra[4 * i + 2], spectra[4 * i + 3]
        for j in range(total.size):
            total[j] += (
                np.uint64(a[j]) + np.uint64(b[j]) + np.uint64(c[j]) + np.uint64(d[j])
            )
    for i in range(4 * n_fours, spectra.shape[0]):
        row = spectra[i]
        for j in range(total.size):
            total[j] += np.uint64(row[j])


@kernel
def raise_to(spectra, first, highest):
    """Raise each channel of a spectrum to the highest of several, if that is more."""
    for i in range(spectra.shape[0]):
        spectrum = spectra[i, first : first + highest.size]
        for j in range(highest.size):
            highest[j] = max(highest[j], spectrum[j])


can_stream = os.name == "posix"


class _Pread:
    """``pread`` of the C library, for kernels that call it."""

    @property
    def _numba_type_(self) -> Any:
        from numba import types

        taken = types.int32, types.voidptr, types.uintp, types.int64
        return types.ExternalFunction("pread", types.intp(*taken))

    def __call__(self, descriptor: Any, pointer: Any, n_bytes: Any, offset: Any) -> int:
        """Do the same where nothing is compiled."""
        try:
            found = os.pread(int(descriptor), int(n_bytes), int(offset))
        except OSError:
            return -1
        ctypes.memmove(pointer.data, found, len(found))
        return len(found)


_pread: Any = _Pread()


def spectra_at_once(spectrum_bytes: int) -> int:
    """Return how many spectra a buffer holds."""
    return min(_MOST_SPECTRA, max(1, STREAM_BYTES // spectrum_bytes))


@kernel
def stream_spectra(descriptor, start, stride, n_runs, n_spectra, buffer, total):
    """Add spectra up that lie in the file in runs, each so far from the next.

    Parameters
    ----------
    descriptor
        Of the open file.
    start, stride
        Byte of the first run, bytes from one to the next.
    n_runs, n_spectra
        Runs, and spectra of each.
    buffer
        Shape (spectra at once, channels).
    total
        uint64, shape (channels,).

    Returns
    -------
    bool
        False if the file could not be read.
    """
    spectrum_bytes = buffer.shape[1] * buffer.itemsize
    partial = np.zeros(total.size, dtype=np.uint32)
    for run in range(n_runs):
        done = 0
        while done < n_spectra:
            n = min(buffer.shape[0], n_spectra - done)
            offset = start + run * stride + done * spectrum_bytes
            if _pread(descriptor, buffer.ctypes, n * spectrum_bytes, offset) != (
                n * spectrum_bytes
            ):
                return False
            if buffer.itemsize == total.itemsize // 2:
                add_rows(buffer[:n], total)
            else:
                partial[:] = 0
                add_rows(buffer[:n], partial)
                total += partial
            done += n
    return True


@kernel
def stream_channels(descriptor, start, stride, n_runs, n_spectra, buffer, window, total):
    """Add channels of each spectrum up; see :func:`stream_spectra`.

    `window` has shape (1, 2), `total` (1, spectra of all runs).
    """
    spectrum_bytes = buffer.shape[1] * buffer.itemsize
    for run in range(n_runs):
        done = 0
        while done < n_spectra:
            n = min(buffer.shape[0], n_spectra - done)
            offset = start + run * stride + done * spectrum_bytes
            if _pread(descriptor, buffer.ctypes, n * spectrum_bytes, offset) != (
                n * spectrum_bytes
            ):
                return False
            at = run * n_spectra + done
            add_windows(buffer[:n], window, total[:, at : at + n])
            done += n
    return True


@kernel
def stream_runs(descriptor, runs, buffer, totals):
    """Add runs of spectra up that lie anywhere in the file, each to one of the totals.

    Parameters
    ----------
    descriptor
        Of the open file.
    runs
        int64, of each its byte, how many spectra it has, and the number of its total.
    buffer
        Shape (spectra at once, channels).
    totals
        uint64, shape (totals, channels).

    Returns
    -------
    bool
        False if the file could not be read.
    """
    spectrum_bytes = buffer.shape[1] * buffer.itemsize
    for i in range(runs.shape[0]):
        done = 0
        while done < runs[i, 1]:
            n = min(buffer.shape[0], runs[i, 1] - done)
            offset = runs[i, 0] + done * spectrum_bytes
            if _pread(descriptor, buffer.ctypes, n * spectrum_bytes, offset) != (
                n * spectrum_bytes
            ):
                return False
            add_rows(buffer[:n], totals[runs[i, 2]])
            done += n
    return True


@kernel
def pread_ranges(descriptor, offsets, sizes, buffer):
    """Read ranges of bytes one behind the other; return how many were.

    Parameters
    ----------
    descriptor
        Of the open file.
    offsets, sizes
        int64, of each range in the file, in bytes. One at -1 is left out of the buffer.
    buffer
        uint8.
    """
    at = 0
    for i in range(offsets.size):
        done = 0
        while offsets[i] >= 0 and done < sizes[i]:
            n = _pread(
                descriptor, buffer[at + done :].ctypes, sizes[i] - done, offsets[i] + done
            )
            if n <= 0:
                return i
            done += n
        at += sizes[i]
    return offsets.size
