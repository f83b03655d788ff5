"""Mixtures of the colours of channels."""

import numpy as np

from rsciio_xfm.kernels.compiled import kernel


@kernel
def mix_colours(spectra, first, colours, table, is_log, mixed):
    """Add up the colours of the counts of each spectrum.

    Parameters
    ----------
    spectra
        Unsigned integers, shape (spectra, channels).
    first
        Channel of the first colour.
    colours
        Shape (channels, 3).
    table
        Weights of the counts 0, 1, ...; of more counts these, or their logarithm.
    is_log
        Which of both.
    mixed
        Shape (3, spectra).
    """
    for i in range(spectra.shape[0]):
        red, green, blue = 0.0, 0.0, 0.0
        for j in range(colours.shape[0]):
            counts = spectra[i, first + j]
            if counts:
                if counts < table.size:
                    weight = table[counts]
                else:
                    weight = np.log1p(float(counts)) if is_log else float(counts)
                red += weight * colours[j, 0]
                green += weight * colours[j, 1]
                blue += weight * colours[j, 2]
        mixed[0, i], mixed[1, i], mixed[2, i] = red, green, blue
