"""Dead and live time by their definitions."""

import numpy as np
import pytest

from rsciio_xfm.analysis.deadtime import (
    combine_dead_time,
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
    monkeypatch.setattr("rsciio_xfm.analysis.deadtime._PART", part)
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
