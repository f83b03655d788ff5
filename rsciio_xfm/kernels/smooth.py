"""Smoothing of spectra along their channels."""

import numpy as np

from rsciio_xfm.kernels.compiled import kernel

_TRUNCATE = 4.0  # standard deviations, as scipy.ndimage
_TAPS = 4  # weights that are applied at once


def smooth_spectra(spectra: np.ndarray, sigma: float) -> np.ndarray:
    """Convolve spectra with a Gaussian.

    Parameters
    ----------
    spectra
        Numbers, shape (spectra, channels), C-contiguous.
    sigma
        Standard deviation in channels, above 0.

    Returns
    -------
    numpy.ndarray
        float32, shape of `spectra`: what :func:`scipy.ndimage.gaussian_filter1d` gives with
        its mode ``"reflect"``, to some parts in a million of the largest number.

    Examples
    --------
    >>> import numpy as np
    >>> spectrum = np.array([[0, 0, 10, 0, 0, 0, 0]], dtype=np.uint16)
    >>> smooth_spectra(spectrum, 0.5).round(2)
    array([[0.  , 1.06, 7.87, 1.06, 0.  , 0.  , 0.  ]], dtype=float32)
    """
    n_channels = spectra.shape[1]
    weights = _half_gaussian(sigma)
    # Where channels come from that lie beyond the ends: d c b a | a b c d | d c b a.
    beyond = np.arange(-weights.size + 1, n_channels + weights.size - 1)
    mirrored = np.mod(beyond, 2 * n_channels)
    mirrored = np.minimum(mirrored, 2 * n_channels - 1 - mirrored)
    smoothed = np.empty(spectra.shape, dtype=np.float32)
    _smooth(spectra, weights, mirrored, smoothed)
    return smoothed


def _half_gaussian(sigma: float) -> np.ndarray:
    """Return the weights from the centre outwards, with zeros to fill up the last taps."""
    radius = int(_TRUNCATE * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    weights /= weights[0] + 2 * weights[1:].sum()
    missing = -radius % _TAPS
    return np.concatenate([weights, np.zeros(missing)]).astype(np.float32)


@kernel
def _smooth(spectra, weights, mirrored, smoothed):
    """Convolve, with `weights` of which all but the first are a multiple of four."""
    radius = weights.size - 1
    n_channels = spectra.shape[1]
    padded = np.empty(n_channels + 2 * radius, dtype=np.float32)
    for i in range(spectra.shape[0]):
        spectrum, target = spectra[i], smoothed[i]
        is_empty = True
        for j in range(n_channels):
            is_empty &= spectrum[j] == 0
        if is_empty:
            target[:] = 0
            continue
        for j in range(n_channels):
            padded[radius + j] = spectrum[j]
        for j in range(radius):
            padded[j] = spectrum[mirrored[j]]
            padded[radius + n_channels + j] = spectrum[mirrored[radius + n_channels + j]]
        centre = padded[radius : radius + n_channels]
        weight = weights[0]
        for j in range(n_channels):
            target[j] = weight * centre[j]
        for k in range(1, radius + 1, 4):
            w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            # Views from the leftmost and the rightmost of the eight.
            left, right = padded[radius - k - 3 :], padded[radius + k :]
            for j in range(n_channels):
                target[j] += (
                    w0 * (left[j + 3] + right[j])
                    + w1 * (left[j + 2] + right[j + 1])
                    + w2 * (left[j + 1] + right[j + 2])
                    + w3 * (left[j] + right[j + 3])
                )
