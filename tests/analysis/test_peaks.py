"""Peaks of one spectrum, whatever their width and however many counts there are."""

import numpy as np
import pytest

from rsciio_xfm.analysis.fit.peaks import find_peaks, gaussian_width

PLACES = (0.2, 0.27, 0.33, 0.5, 0.62, 0.8)  # of the channels
SHARES = (0.1, 0.25, 0.05, 0.3, 0.2, 0.1)


def make(total, sigma=5.0, n_channels=2048, seed=0, slope=0.0):
    """Peaks whose width grows, on a background of a third of the counts."""
    x = np.arange(n_channels)
    centres = np.array(PLACES) * n_channels + 0.3
    sigmas = sigma * np.sqrt(1 + slope * np.array(PLACES))
    peaks = [
        share / s * np.exp(-0.5 * ((x - c) / s) ** 2) / np.sqrt(2 * np.pi)
        for share, c, s in zip(SHARES, centres, sigmas, strict=True)
    ]
    background = np.exp(-(((x / n_channels - 0.5) / 0.4) ** 2))
    expected = total * (np.sum(peaks, axis=0) + 0.3 * background / background.sum())
    return np.random.default_rng(seed).poisson(expected), centres, sigmas


@pytest.mark.parametrize("sigma", [1.5, 5.0, 16.0])
@pytest.mark.parametrize("total", [1e4, 1e6, 1e8])
def test_all_are_found_at_their_places(total, sigma):
    spectrum, centres, _ = make(total, sigma)
    found = find_peaks(spectrum)
    strong = [c for c, share in zip(centres, SHARES, strict=True) if share >= 0.1]
    for centre in centres if total > 1e4 else strong:
        nearest = np.argmin(np.abs(found.channels - centre))
        off = found.channels[nearest] - centre
        assert abs(off) < max(5 * found.errors[nearest], 0.02 * sigma)
    assert len(found) <= len(centres)


def test_a_thousand_counts():
    spectrum, centres, _ = make(1e3)
    found = find_peaks(spectrum).channels
    assert len(found) >= 2
    assert np.abs(found[:, None] - centres).min(axis=1).max() < 3


def test_width_grows_as_that_of_a_detector():
    spectrum, centres, sigmas = make(1e7, 4.0, slope=3.0)
    width = gaussian_width(spectrum.astype(float))
    np.testing.assert_allclose(width(centres), sigmas, rtol=0.05)


@pytest.mark.parametrize("total", [1e3, 1e5, 1e8])
def test_nothing_is_found_in_noise(total):
    expected = np.full(4096, total / 4096)
    n_found = sum(
        len(find_peaks(np.random.default_rng(seed).poisson(expected), sigma=5.0))
        for seed in range(5)
    )
    assert n_found <= 1


def test_peaks_that_are_near_are_told_apart():
    x = np.arange(500)
    spectrum = 1e4 * np.exp(-0.5 * ((x - 200) / 5) ** 2)
    spectrum += 3e3 * np.exp(-0.5 * ((x - 217) / 5) ** 2) + 10
    found = find_peaks(np.round(spectrum))
    np.testing.assert_allclose(found.channels, [200, 217], atol=0.1)
    areas = np.array([1e4, 3e3]) * 5 * np.sqrt(2 * np.pi)
    np.testing.assert_allclose(found.areas, areas, rtol=0.02)


@pytest.mark.parametrize(
    ("spectrum", "match"),
    [
        (np.zeros(100), "no counts"),
        (-np.ones(100), "no counts"),
        (np.ones((3, 100)), "shape"),
        (np.ones(5), "16 channels"),
        (np.append(np.ones(99), np.nan), "1 channels that are not finite"),
    ],
)
def test_no_spectrum(spectrum, match):
    with pytest.raises(ValueError, match=match):
        find_peaks(spectrum)


def test_a_flat_spectrum_has_none():
    assert len(find_peaks(np.full(200, 100.0))) == 0
