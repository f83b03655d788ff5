"""Filling in dead times, on a detector whose behaviour is known."""

import dask.array as da
import numpy as np
import pytest

from rsciio_xfm.analysis import fill_dead_time as filling
from rsciio_xfm.analysis.fill_dead_time import evaluate_polynomial, fill_dead_time

N_CHANNELS = 400
TUBE = 300  # the first channel above the tube's voltage
DWELL_MS = 50.0


def simulate(shape, seed=0, saturated=0.2):
    """Spectra of a detector that counts fewer photons the more arrive, with pile-up.

    Returns counts (*shape, channels) and dead times; the rate of each spectrum is drawn so
    that some of them are beyond the maximum, where counts fall again.
    """
    rng = np.random.default_rng(seed)
    rate = rng.uniform(0.02, 1.0, shape)  # photons in the detector's dead time
    rate = np.where(rng.random(shape) < saturated, rng.uniform(1.2, 2.0, shape), rate)
    live = np.exp(-rate)
    channel = np.arange(N_CHANNELS)
    peak = np.exp(-(((channel - 90) / 6) ** 2)) + 0.2 * np.exp(
        -(((channel - 160) / 9) ** 2)
    )
    peak += 0.002 * (channel < TUBE)
    double = np.convolve(peak / peak.sum(), peak / peak.sum())[:N_CHANNELS]
    piled = 1 - live
    shape_ = (1 - piled[..., None]) * peak / peak.sum() + piled[..., None] * double
    counts = rng.poisson(6000 * (rate * live)[..., None] * shape_).astype(np.uint16)
    return counts, (100 * (1 - live)).astype(np.float32)


def hide(dead_time, share=0.5, seed=1):
    missing = np.random.default_rng(seed).random(dead_time.shape) < share
    return np.where(missing, np.float32(0), dead_time), missing


def fill(data, dead_time, missing, *rest, **kwds):
    return fill_dead_time(data, dead_time, missing, *rest, dwell_ms=DWELL_MS, **kwds)


class TestFit:
    def test_saturated_spectra_are_told_apart(self):
        counts, truth = simulate((2, 20, 25))
        # The same counts belong to two dead times.
        total = counts.sum(axis=-1)
        assert np.percentile(total[truth > 70], 50) < total[truth > 50].max()
        known, missing = hide(truth)
        filled, report = fill(
            counts, known, missing, has_detectors=True, tube_channel=TUBE
        )
        error = np.abs(filled - truth)[missing]
        assert np.median(error) < 1
        assert np.percentile(error, 95) < 5
        for entry in report:
            assert entry["model"] == "fit"
            assert entry["error"] == pytest.approx(np.median(error), abs=0.5)
            assert entry["measured"].shape == entry["predicted"].shape
        # Counts alone cannot: that is what the cubic does.
        cubic, _ = fill(counts, known, missing, "polynomial", has_detectors=True)
        assert np.median(np.abs(cubic - truth)[missing]) > 5

    def test_what_is_known_stays(self):
        counts, truth = simulate((10, 12))
        known, missing = hide(truth)
        known[0, 0] = np.float32(33.333)
        filled, _ = fill(counts, known, missing)
        assert filled.dtype == np.float32
        np.testing.assert_array_equal(filled[~missing], known[~missing])
        assert np.all((filled > 0) & (filled < 100))

    @pytest.mark.parametrize("chunks", [(2, 20, 25, 400), (1, 3, 7, 33), (2, 20, 25, 1)])
    def test_lazy_is_eager(self, chunks):
        counts, truth = simulate((2, 20, 25))
        known, missing = hide(truth)
        expected, report = fill(counts, known, missing, has_detectors=True)
        lazy, lazy_report = fill(
            da.from_array(counts, chunks), known, missing, has_detectors=True
        )
        np.testing.assert_array_equal(lazy, expected)
        assert lazy_report[0]["error"] == report[0]["error"]

    def test_floats(self):
        counts, truth = simulate((10, 12))
        known, missing = hide(truth)
        expected, _ = fill(counts, known, missing)
        found, _ = fill(counts.astype(float), known, missing)
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_detectors_apart(self):
        """Each learns from its own: the other one's say something else."""
        counts, truth = simulate((2, 20, 25))
        truth[1] /= 2
        known, missing = hide(truth)
        filled, _ = fill(counts, known, missing, has_detectors=True)
        error = np.abs(filled - truth)
        assert all(np.median(e[m]) < 1 for e, m in zip(error, missing, strict=True))

    def test_sum_of_detectors(self):
        """Of one rate in all detectors the sum is as good as each."""
        counts, truth = simulate((20, 25))
        known, missing = hide(np.stack([truth, truth / 2]))
        filled, _ = fill(2 * counts, known, missing, has_detectors=True)
        error = np.abs(filled - np.stack([truth, truth / 2]))
        assert all(np.median(e[m]) < 1 for e, m in zip(error, missing, strict=True))

    def test_outliers(self):
        counts, truth = simulate((20, 25))
        known, missing = hide(truth)
        wrong = known.copy()
        spoilt = np.random.default_rng(5).random(truth.shape) < 0.05
        wrong[spoilt & ~missing] = 99.0
        filled, _ = fill(counts, wrong, missing)
        assert np.median(np.abs(filled - truth)[missing]) < 1

    def test_many_known(self, monkeypatch):
        """Only some are learnt from, of all dead times."""
        monkeypatch.setattr(filling, "_MOST_KNOWN", 100)
        counts, truth = simulate((60, 50), saturated=0.01)
        known, missing = hide(truth, 0.1)
        filled, report = fill(counts, known, missing)
        assert len(report[0]["measured"]) == 100
        assert np.count_nonzero(report[0]["measured"] > 75) > 5
        assert np.median(np.abs(filled - truth)[missing]) < 2

    def test_same_result_each_time(self):
        counts, truth = simulate((30, 50))
        known, missing = hide(truth)
        first, _ = fill(counts, known, missing)
        second, _ = fill(counts, known, missing)
        np.testing.assert_array_equal(first, second)

    @pytest.mark.parametrize("n_channels", [1, 2, 16, 100])
    def test_few_channels(self, n_channels):
        counts, truth = simulate((12, 12), saturated=0)
        counts = counts.reshape(12, 12, -1)[..., : N_CHANNELS // n_channels * n_channels]
        counts = counts.reshape(12, 12, n_channels, -1).sum(axis=-1).astype(np.uint16)
        known, missing = hide(truth)
        filled, _ = fill(
            counts, known, missing, tube_channel=TUBE * n_channels // N_CHANNELS
        )
        assert np.median(np.abs(filled - truth)[missing]) < 2

    def test_spectra_that_are_all_the_same(self):
        counts = np.full((10, 10, 20), 3, np.uint8)
        dead_time = np.linspace(9, 11, 100, dtype=np.float32).reshape(10, 10)
        dead_time[3:5] = 0
        filled, _ = fill(counts, dead_time, dead_time == 0)
        assert np.all((filled[3:5] > 9) & (filled[3:5] < 11))

    def test_spectra_without_counts(self):
        counts, truth = simulate((10, 12))
        counts[2] = 0
        known, missing = hide(truth)
        missing[2, :3], known[2, :3] = True, 0
        filled, _ = fill(counts, known, missing)
        assert np.all(np.isfinite(filled)) and np.all(filled < 100)

    def test_a_line(self):
        counts, truth = simulate((120,))
        known, missing = hide(truth)
        filled, report = fill(counts, known, missing)
        assert len(report) == 1
        assert np.median(np.abs(filled - truth)[missing]) < 2

    def test_lines_of_detectors(self):
        counts, truth = simulate((2, 120))
        known, missing = hide(truth)
        filled, report = fill(counts, known, missing, has_detectors=True)
        assert len(report) == 2
        assert np.median(np.abs(filled - truth)[missing]) < 2


class TestFallBack:
    def test_other_detectors(self):
        counts, truth = simulate((2, 20, 25))
        known, missing = hide(truth)
        missing[1], known[1] = True, 0
        with pytest.warns(UserWarning, match="Detector 1: 0 dead times are known, fewer"):
            filled, report = fill(counts, known, missing, has_detectors=True)
        assert report[1]["model"] == "fit of all detectors"
        assert np.median(np.abs(filled - truth)[1]) < 1

    def test_rescaled_cubic(self):
        counts, truth = simulate((10, 12), saturated=0)
        missing = np.ones_like(truth, dtype=bool)
        missing[0, :6] = False
        known = np.where(missing, np.float32(0), truth)
        with pytest.warns(UserWarning, match=r"6 dead times .* cubic is used, times"):
            filled, report = fill(counts, known, missing)
        rate = counts.sum(axis=-1) / DWELL_MS
        ratio = filled[missing] / evaluate_polynomial(rate)[missing]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
        assert report[0]["model"].startswith("published cubic x ")

    def test_cubic(self):
        counts, truth = simulate((10, 12))
        with pytest.warns(UserWarning, match=r"0 dead times .* cubic is used as it is"):
            filled, report = fill(counts, 0 * truth, truth > 0)
        expected = evaluate_polynomial(counts.sum(axis=-1) / DWELL_MS)
        np.testing.assert_allclose(filled, expected, rtol=1e-5)
        assert report[0]["model"] == "published cubic"

    def test_nothing_to_go_by(self):
        counts, truth = simulate((10, 12))
        with pytest.raises(ValueError, match=r"is None ms.*fewer than 25.*'constant'"):
            fill_dead_time(counts, 0 * truth, truth > 0)


class TestPolynomial:
    def test_published_cubic(self):
        published = np.polynomial.Polynomial(
            [0.23438781, 0.21464015, 0.05402071, 0.02689396],
            domain=[4.08008563, 99.727441],
            window=[-1, 1],
        )
        rate = np.linspace(0, 105, 50)
        expected = np.clip(100 * published(rate), 0, 100)
        np.testing.assert_allclose(evaluate_polynomial(rate), expected, rtol=1e-6)

    def test_is_clipped(self):
        assert evaluate_polynomial(np.array([1e4]))[0] < 100
        assert evaluate_polynomial(np.array([1.0]), [-5.0])[0] == 0
        assert evaluate_polynomial(np.array([1e4]), "linear")[0] == 95

    def test_wrong_shape(self):
        with pytest.raises(ValueError, match="missing has the shape"):
            fill_dead_time(np.ones((2, 3)), np.ones(2), np.ones(3, bool))


@pytest.mark.parametrize("value", [99.9999999, 1e-50, 100, 0, -1, "33", None, np.nan])
def test_constants_that_would_be_missing_again(value):
    with pytest.raises(ValueError, match="value is"):
        fill_dead_time(
            np.ones((2, 3)), np.zeros(2), np.ones(2, bool), "constant", value=value
        )


@pytest.mark.parametrize(
    "coefficients", [5.0, [[1, 2], [3, 4]], ["a"], [], [np.nan], "x"]
)
def test_coefficients_that_are_none(coefficients):
    with pytest.raises(ValueError, match="coefficients is"):
        filling.check_model("polynomial", None, coefficients)


@pytest.mark.parametrize("counts", [[0, 0], [5, 0], [5, 50]])
def test_maps_of_hardly_any_difference(counts):
    data = np.zeros((12, 10, 40), np.uint16)
    data[::2, :, 3], data[1::2, :, 3] = counts
    dead_time = np.full((12, 10), 100, np.float32)
    dead_time[:, ::3] = 0
    filled, _ = fill(data, dead_time, dead_time == 0)
    assert np.all((filled > 0) & (filled <= 100))


def test_filled_is_never_missing_again():
    data = np.zeros((3, 4, 10), np.uint8)
    missing = np.ones((3, 4), bool)
    for coefficients in ([-5.0], "linear"):
        filled, _ = fill(
            data, np.zeros((3, 4)), missing, "polynomial", coefficients=coefficients
        )
        assert np.all(filled.astype(np.float32) > 0)
