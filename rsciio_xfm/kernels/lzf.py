"""LZF, the compression that h5py brings along."""

import numpy as np

from rsciio_xfm.kernels.compiled import kernel

_LONG = 7  # a length that goes on in the next byte


@kernel
def decompress(raw, out):
    """Decompress a stream; return how many bytes it has, -1 if it is none of so many.

    A byte below 32 says how many follow as they are, less one. Any other has a length in its
    upper three bits and, with the next byte, how far back in what was decompressed the bytes
    begin that are repeated. Those may reach into what they are copied to.

    Source: Marc Lehmann's LibLZF 3.6, ``lzf_d.c`` (the format), which h5py's filter is.
    """
    at, to, n_raw, n_out = 0, 0, raw.size, out.size
    while at < n_raw:
        control = int(raw[at])
        at += 1
        if control < 32:
            n = control + 1
            if at + n > n_raw or to + n > n_out:
                return -1
            for i in range(np.uint64(n)):
                out[np.uint64(to) + i] = raw[np.uint64(at) + i]
            at += n
        else:
            n = control >> 5
            if n == _LONG:
                if at >= n_raw:
                    return -1
                n += int(raw[at])
                at += 1
            n += 2
            if at >= n_raw:
                return -1
            start = to - ((control & 31) << 8) - int(raw[at]) - 1
            at += 1
            if start < 0 or to + n > n_out:
                return -1
            for i in range(np.uint64(n)):
                out[np.uint64(to) + i] = out[np.uint64(start) + i]
        to += n
    return to
