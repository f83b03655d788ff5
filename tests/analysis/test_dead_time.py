"""Dead and live time by their definitions."""

import numpy as np
import pytest

from rsciio_xfm.analysis.dead_time import summarise_dead_time
from rsciio_xfm.core.dead_time import (
    combine_dead_time,
    dead_time_of_rates,
    dead_time_of_times,
    live_fraction,
    live_time,
    mean_live_fraction,
)


def test_live_fraction():
    dead_time = np.array([0.0, 10.0, 100.0, 130.0, -5.0, np.nan])
    np.testing.assert_allclose(live_fraction(dead_time), [1, 0.9, 0, 0, 1, 0])
    assert live_fraction(dead_time.astype(np.float32)).dtype == np.float64


def test_mean_live_fraction():
    dead_time = np.random.default_rng(0).uniform(0, 100, (3, 1100, 1000))
    expected = 1 - dead_time.mean() / 100
    assert mean_live_fraction(dead_time) == pytest.approx(expected)
    assert mean_live_fraction(np.array([])) == 0


def test_combined_dead_time_keeps_the_live_time():
    dead_time = np.array([[10.0, 30.0, np.nan], [np.nan, np.nan, np.nan]])
    combined = combine_dead_time(dead_time, axis=(1,))
    # 0.9 + 0.7 of 3 real times
    assert combined[0] == pytest.approx(100 * (1 - 1.6 / 3))
    assert np.isnan(combined[1])


@pytest.mark.parametrize("part", [1, 7, 2**20])
@pytest.mark.parametrize("axis", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)])
def test_combined_in_parts(monkeypatch, part, axis):
    monkeypatch.setattr("rsciio_xfm.core.dead_time._PART", part)
    dead_time = np.random.default_rng(0).uniform(0, 100, (2, 5, 3))
    dead_time[:, 2] = np.nan
    dead_time[0, 0, 0] = np.nan
    expected = 100 * (1 - live_fraction(dead_time).mean(axis=axis))
    expected = np.where(np.isnan(dead_time).all(axis=axis), np.nan, expected)
    np.testing.assert_allclose(combine_dead_time(dead_time, axis), expected)


@pytest.mark.parametrize("axis", [None, 0, 2])
def test_live_time(axis):
    dead_time = np.random.default_rng(0).uniform(0, 100, (2, 5, 3))
    fraction = live_fraction(dead_time)
    expected = 0.3 * (fraction if axis is None else fraction.mean(axis=axis))
    np.testing.assert_allclose(live_time(dead_time, 0.3, axis), expected)


def test_statistics():
    values = np.concatenate([np.arange(1.0, 100.0), [0, -5, 130, np.inf, np.nan]])
    found = summarise_dead_time(values.reshape(8, 13))
    known = np.arange(1.0, 100.0)
    assert found == {
        "n_spectra": 103,
        "n_recorded": 99,
        "mean": 50.0,
        "median": 50.0,
        "min": 1.0,
        "p5": np.percentile(known, 5),
        "p25": np.percentile(known, 25),
        "p75": np.percentile(known, 75),
        "p95": np.percentile(known, 95),
        "max": 99.0,
        "n_saturated": 35,
    }
    assert summarise_dead_time(values, saturation=99)["n_saturated"] == 1


def test_statistics_of_nothing():
    found = summarise_dead_time(np.array([0.0, np.nan]))
    assert (found["n_spectra"], found["n_recorded"], found["n_saturated"]) == (1, 0, 0)
    assert np.isnan(found["median"]) and np.isnan(found["p95"])
    with pytest.raises(ValueError, match="saturation is 120"):
        summarise_dead_time(np.ones(3), saturation=120)


def test_dead_time_of_times():
    live = np.array([[0.08, 0.1], [0.0, -1.0], [np.nan, 0.11], [np.inf, 0.05]])
    found = dead_time_of_times(live, np.array([0.1]))
    expected = [[20, 0], [np.nan, np.nan], [np.nan, 0], [np.nan, 50]]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found.dtype == np.float64


def test_dead_time_of_rates():
    """Live time = elapsed time x OCR / ICR; rates of zero are missing."""
    icr = np.array([1000, 1000, 0, 0, 1000, 100, 2**31], dtype=np.uint32)
    ocr = np.array([800, 0, 0, 800, 1000, 101, 2**30], dtype=np.uint32)
    found = dead_time_of_rates(icr, ocr)
    expected = [20, np.nan, np.nan, np.nan, 0, 0, 50]
    np.testing.assert_allclose(found, expected, atol=1e-12)
