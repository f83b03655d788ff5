"""Filling in, correcting, describing and drawing dead times of signals."""

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

from rsciio_xfm import geopixe
from tests.analysis.test_fill_dead_time import DWELL_MS, TUBE, hide, simulate
from tests.builders import geopixe as builder


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def simulated():
    """Counts (detector, y, x, E), dead times as they are, as they were recorded, hidden."""
    counts, truth = simulate((2, 12, 15))
    truth[1] *= 0.8  # so that the detectors differ
    known, missing = hide(truth)
    return counts, truth, known, missing


@pytest.fixture(scope="module")
def path(simulated, tmp_path_factory):
    counts, _, known, _ = simulated
    records = [
        builder.record(
            x,
            y,
            d,
            [(c, int(counts[d, y, x, c])) for c in np.flatnonzero(counts[d, y, x])],
            known[d, y, x],
        )
        for y in range(12)
        for x in range(15)
        for d in range(2)
    ]
    tree = builder.header_tree(15, 12, 2, counts.shape[-1])
    tree["File Header"]["Dwell (mS)"] = DWELL_MS
    tree["X-ray Source"]["KV"] = (TUBE - 1) * 0.01
    return builder.write(tmp_path_factory.mktemp("fill") / "map.GeoPIXE", tree, records)


pytestmark = pytest.mark.filterwarnings(
    "ignore:.*dead times are not recorded:UserWarning"
)


def load(path, **kwds):
    return hs.load(path, **kwds)


def eds(signal):
    return signal.metadata.Acquisition_instrument.SEM.Detector.EDS


class TestFill:
    @pytest.mark.parametrize("is_lazy", [False, True])
    def test_is_that_of_the_file(self, path, simulated, tmp_path, is_lazy):
        _, truth, known, missing = simulated
        s = load(path, lazy=is_lazy, sum_detectors=False)
        filled = s.fill_dead_time(show_progressbar=False)
        found = filled.get_dead_time().data
        np.testing.assert_array_equal(found[~missing], known[~missing])
        assert np.median(np.abs(found - truth)[missing]) < 1
        geopixe.fill_dead_time(path, tmp_path / "f.GeoPIXE")
        of_file = load(tmp_path / "f.GeoPIXE", sum_detectors=False).get_dead_time().data
        np.testing.assert_array_equal(found, of_file)
        # The signal itself is as it was, the spectra are shared.
        np.testing.assert_array_equal(s.get_dead_time().data, known)
        assert filled.data is s.data

    def test_sum_of_a_file_is_filled_by_its_detectors(self, path, tmp_path):
        filled = load(path, lazy=True).fill_dead_time(show_progressbar=False)
        geopixe.fill_dead_time(path, tmp_path / "f.GeoPIXE")
        expected = load(tmp_path / "f.GeoPIXE", lazy=True)
        np.testing.assert_array_equal(
            filled.get_dead_time().data, expected.get_dead_time().data
        )
        np.testing.assert_allclose(eds(filled).live_time, eds(expected).live_time)

    def test_crop_of_a_sum(self, path, simulated):
        _, truth, _, missing = simulated
        filled = (
            load(path, lazy=True).inav[2:14, 1:].fill_dead_time(show_progressbar=False)
        )
        error = np.abs(filled.get_dead_time().data - truth[:, 1:, 2:14])
        assert np.median(error[missing[:, 1:, 2:14]]) < 1

    def test_sum_in_memory(self, path, simulated):
        """Its detectors cannot be read apart: the sum stands for both."""
        _, _, known, missing = simulated
        with pytest.warns(UserWarning, match="sums of detectors"):
            found = load(path).fill_dead_time().get_dead_time().data
        np.testing.assert_array_equal(found[~missing], known[~missing])
        assert np.all((found > 0) & (found < 100))

    def test_report(self, path, simulated, tmp_path):
        _, _, _, missing = simulated
        filled = load(path, lazy=True).fill_dead_time(show_progressbar=False)
        node = filled.metadata.Acquisition_instrument.XRF.dead_time_fill
        for d in (0, 1):
            entry = node.get_item(f"detector_{d}")
            assert entry.model == "fit"
            assert entry.n_filled == missing[d].sum()
            assert entry.n_known == 180 - missing[d].sum()
            assert 0 < entry.error < 2
        filled.save(tmp_path / "f.hspy")
        again = hs.load(tmp_path / "f.hspy")
        np.testing.assert_array_equal(
            again.get_dead_time().data, filled.get_dead_time().data
        )
        again.plot_filled_dead_time()

    def test_constant(self, path, simulated):
        _, _, known, missing = simulated
        filled = load(path).fill_dead_time("constant", value=40)
        expected = np.where(missing, np.float32(40), known)
        np.testing.assert_array_equal(filled.get_dead_time().data, expected)
        live = (1 - expected.astype(float) / 100).mean()
        assert eds(filled).live_time == pytest.approx(2 * DWELL_MS / 1000 * live)

    def test_polynomial_of_a_sum_is_per_detector(self, path, simulated):
        counts, _, _, missing = simulated
        filled = load(path, lazy=True).fill_dead_time(
            "polynomial", coefficients=[0, 0.1], show_progressbar=False
        )
        expected = 0.1 * counts.sum(axis=-1) / DWELL_MS
        found = filled.get_dead_time().data
        np.testing.assert_allclose(found[missing], expected[missing], rtol=1e-5)

    def test_what_was_not_measured_stays_nan(self, tmp_path):
        records = [
            builder.record(x, y, d, [(3, 9)], 0.0)
            for y in range(5)
            for x in range(7)
            for d in range(2)
            if (x, d) != (2, 1)
        ]
        records.append(
            builder.record(2, 4, 1, [(3, 9)], np.nan)
        )  # measured, dead time lost
        path = builder.write(tmp_path / "map.GeoPIXE", builder.header_tree(), records)
        with pytest.warns(UserWarning, match="missing"):
            s = load(path, lazy=True)
        found = s.fill_dead_time("constant", value=5).get_dead_time().data
        assert np.isnan(found[1, :4, 2]).all()
        assert np.count_nonzero(found == 5) == 70 - 4

    def test_after_unusual_operations(self, path):
        s = load(path, sum_detectors=False)
        for made in (
            s.rebin(scale=(3, 2, 1, 1)),
            s.sum("detector"),
            s.swap_axes("x", "y"),
            s.inav[3, :, :],
            s.inav[:, :, 1],
            s.isig[:200],
        ):
            filled = made.fill_dead_time("constant", value=7.0)
            assert not np.any(filled.get_dead_time().data == 0)
            np.testing.assert_array_equal(filled.data, made.data)

    def test_without_dead_times(self, path):
        s = load(path)
        del s.metadata.Acquisition_instrument.SEM.Detector.EDS.dead_time
        for use in (
            s.fill_dead_time,
            s.apply_live_time_correction,
            s.get_dead_time_statistics,
            s.plot_dead_time,
            s.plot_dead_time_histogram,
            s.plot_dead_time_against_counts,
            s.plot_detector_difference,
        ):
            with pytest.raises(ValueError, match="carries no dead-time map"):
                use()

    def test_of_one_spectrum(self, path):
        with pytest.raises(ValueError, match="axes to navigate"):
            load(path).inav[2, 3].fill_dead_time()


class TestCorrection:
    @pytest.mark.parametrize("is_lazy", [False, True])
    @pytest.mark.parametrize("is_sum", [False, True])
    def test_is_the_quotient(self, path, is_lazy, is_sum):
        s = load(path, lazy=is_lazy, sum_detectors=is_sum)
        s = s.fill_dead_time("constant", value=30)
        corrected = s.apply_live_time_correction()
        assert corrected._lazy == is_lazy
        assert corrected.data.dtype == np.float32
        live = 1 - s.get_dead_time().data.astype(float) / 100
        live = live.mean(axis=0) if is_sum else live
        expected = np.asarray(s.data) / live[..., np.newaxis]
        np.testing.assert_allclose(np.asarray(corrected.data), expected, rtol=1e-6)
        assert eds(corrected).live_time == eds(s).real_time

    def test_rates_agree(self, path):
        """Counts per second of live time, whichever way."""
        s = load(path).fill_dead_time("constant", value=20)
        corrected = s.apply_live_time_correction()
        rate = s / s.get_live_time()
        np.testing.assert_allclose(
            corrected.data / eds(corrected).live_time, rate.data, rtol=1e-6
        )

    def test_only_once(self, path):
        corrected = load(path).fill_dead_time("constant", value=5)
        corrected = corrected.apply_live_time_correction()
        with pytest.raises(ValueError, match="corrected already"):
            corrected.apply_live_time_correction()
        total = corrected.sum()
        assert eds(total).live_time == pytest.approx(180 * 2 * DWELL_MS / 1000)

    def test_never_infinite(self, tmp_path):
        dead = [100.0, 50.0, 120.0, 0.0, -1.0]
        records = [
            builder.record(x, 0, 0, [(1, 10)], value) for x, value in enumerate(dead)
        ]
        tree = builder.header_tree(6, 1, 1)
        path = builder.write(tmp_path / "map.GeoPIXE", tree, records, 1)
        with pytest.warns(UserWarning, match="missing"):
            s = load(path)
        with pytest.warns(UserWarning) as caught:
            corrected = s.apply_live_time_correction()
        texts = [str(w.message) for w in caught]
        assert any("2 of 6 dead times are not recorded" in text for text in texts)
        assert any("3 of 6 spectra have no live time" in text for text in texts)
        counts = corrected.data[0, :, 1]
        np.testing.assert_array_equal(counts, [np.nan, 20, np.nan, 10, 10, np.nan])

    def test_lazy_reads_nothing(self, path, monkeypatch):
        s = load(path, lazy=True).fill_dead_time("constant", value=5)
        path_of_source = []
        monkeypatch.setattr("builtins.open", path_of_source.append)
        s.apply_live_time_correction()
        assert not path_of_source


class TestStatistics:
    def test_of_each_detector(self, path, simulated):
        _, _, known, _ = simulated
        for s in (load(path, lazy=True), load(path, sum_detectors=False)):
            found = s.get_dead_time_statistics(saturation=50)
            assert list(found) == ["Detector 0", "Detector 1"]
            for values, entry in zip(known, found.values(), strict=True):
                assert entry["n_recorded"] == np.count_nonzero(values)
                assert entry["median"] == pytest.approx(np.median(values[values > 0]))
                assert entry["n_saturated"] == np.count_nonzero(values >= 50)

    def test_names_are_those_of_the_file(self, path):
        assert list(load(path, detector=1).get_dead_time_statistics()) == ["Detector 1"]


class TestPlots:
    def test_maps(self, path, simulated):
        _, _, known, _ = simulated
        axes = load(path, lazy=True).plot_dead_time()
        assert len(axes) == 2
        for ax, values in zip(axes, known, strict=True):
            (image,) = ax.get_images()
            np.testing.assert_array_equal(image.get_array(), values)
            np.testing.assert_allclose(image.get_extent(), [0, 0.7, 1.0, 0])
            assert ax.child_axes[0].get_title(loc="left") == "%"
        assert [bar.txt_label.get_text() for bar in axes[0].artists] == ["200 µm"]

    def test_histogram(self, path, simulated):
        _, _, known, _ = simulated
        ax = load(path, lazy=True).plot_dead_time_histogram()
        for values, patch in zip(known, ax.patches, strict=True):
            assert patch.get_data().values.sum() == np.count_nonzero(values)

    def test_against_counts(self, path, simulated):
        counts, _, known, _ = simulated
        _, given = plt.subplots()
        for s in (load(path, lazy=True), load(path, sum_detectors=False)):
            ax = s.plot_dead_time_against_counts(given, show_progressbar=False)
            assert ax is given
            for d, points in enumerate(ax.collections):
                expected = np.stack([counts[d].sum(axis=-1), known[d]], axis=-1)
                expected = expected.reshape(-1, 2)[known[d].ravel() > 0]
                np.testing.assert_allclose(points.get_offsets(), expected)
            ax.clear()

    def test_against_counts_of_a_sum_in_memory(self, path):
        s = load(path).fill_dead_time("constant", value=30)
        (points,) = s.plot_dead_time_against_counts().collections
        expected = s.get_dead_time().data.mean(axis=0).ravel()
        np.testing.assert_allclose(points.get_offsets()[:, 1], expected, rtol=1e-5)
        np.testing.assert_array_equal(points.get_offsets()[:, 0], s.data.sum(-1).ravel())

    def test_against_counts_of_one_detector(self, path):
        ax = load(path, lazy=True, detector=1).plot_dead_time_against_counts()
        assert len(ax.collections) == 1

    def test_difference(self, path, simulated):
        _, _, known, _ = simulated
        (ax,) = load(path, lazy=True).plot_detector_difference()
        (image,) = ax.get_images()
        np.testing.assert_allclose(image.get_array(), known[0] - known[1], rtol=1e-5)
        assert image.norm.vmin == -image.norm.vmax

    def test_difference_of_three(self, tmp_path):
        path = builder.write_map(tmp_path / "three.GeoPIXE", n_detectors=3)
        s = load(path)
        axes = s.plot_detector_difference()
        values = s.get_dead_time().data
        for ax, own in zip(axes, values, strict=True):
            (image,) = ax.get_images()
            expected = own - values.mean(axis=0)
            np.testing.assert_allclose(image.get_array(), expected, atol=1e-4)

    def test_difference_of_one(self, path):
        with pytest.raises(ValueError, match="one detector"):
            load(path, detector=0).plot_detector_difference()

    def test_filled(self, path):
        s = load(path, lazy=True)
        with pytest.raises(ValueError, match="fill_dead_time first"):
            s.plot_filled_dead_time()
        filled = s.fill_dead_time(show_progressbar=False)
        ax = filled.plot_filled_dead_time()
        assert len(ax.collections) == 2

    def test_of_lines(self, path):
        line = load(path, sum_detectors=False).inav[:, 3]
        line.plot_dead_time_histogram()
        line.plot_dead_time_against_counts()
        for use in (line.plot_dead_time, line.plot_detector_difference):
            with pytest.raises(ValueError, match="expected a map of x and y"):
                use()

    def test_one_pixel(self, path):
        s = load(path).inav[3:4, 2:3]
        s.plot_dead_time()
        s.plot_dead_time_histogram()


class TestColours:
    @pytest.mark.parametrize("is_lazy", [False, True])
    @pytest.mark.parametrize("scale", ["linear", "log"])
    def test_picture(self, path, tmp_path, is_lazy, scale):
        s = load(path, lazy=is_lazy)
        picture = s.get_colour_map(scale, show_progressbar=False)
        assert picture.data.shape == (12, 15)
        assert picture.data.dtype.names == ("R", "G", "B")
        assert picture.axes_manager.signal_shape == (15, 12)
        assert picture.axes_manager["x"].units == "mm"
        picture.save(tmp_path / "c.png", overwrite=True)
        again = hs.load(tmp_path / "c.png")
        assert again.data.shape == (12, 15)
        axes = s.plot_colour_map(scale, show_progressbar=False)
        assert axes[0].get_images()[0].get_array().shape == (12, 15, 3)

    def test_range(self, path):
        s = load(path)
        # 3 kV do not excite Mo Ka, but La, 2.29 keV.
        assert s.get_colour_map().metadata.Signal.energy_range == pytest.approx([0, 2.3])
        del s.metadata.Acquisition_instrument.XRF.tube_target
        last = np.flatnonzero(s.data.sum(axis=(0, 1)))[-1]
        found = s.get_colour_map().metadata.Signal.energy_range
        assert found == pytest.approx([0, last / 100])
        picture = s.get_colour_map(energy_range=(0.8, 1.2))
        assert picture.metadata.Signal.energy_range == pytest.approx([0.8, 1.19])

    def test_range_of_the_real_file(self, real_geopixe):
        s = load(real_geopixe, lazy=True)
        picture = s.get_colour_map(show_progressbar=False)
        assert picture.metadata.Signal.energy_range == pytest.approx([0, 17.48])

    def test_hue_is_the_energy_s(self, path):
        s = load(path)
        data = np.zeros_like(s.data)
        data[0, 0, 0] = data[0, 1, 199] = data[0, 2, 398] = 5
        s.data = data
        rgb = s.get_colour_map(energy_range=(0.0, 3.99)).data
        assert rgb[0, 0].tolist() == (255, 0, 0)
        assert rgb[0, 1].tolist() == (0, 255, 128)  # 150 degrees
        assert rgb[0, 2].tolist() == (255, 0, 255)

    def test_colours_for_all_eyes(self, path):
        s = load(path)
        data = np.zeros_like(s.data)
        data[0, 0, 0] = data[0, 2, 398] = 5
        s.data = data
        options = {"energy_range": (0.0, 3.99), "colours": "safe", "percentile": 100}
        rgb = s.get_colour_map(**options).data
        # Yellow and blue, as the colour-blind see them too.
        assert rgb[0, 0].tolist() == (255, 255, 0)
        assert rgb[0, 2].tolist() == (26, 0, 191)
        picture = s.get_maps(colours=options)["colours"]
        np.testing.assert_array_equal(picture.data, rgb)
        shown, below = s.plot_colour_map(**options)
        assert (shown.get_images()[0].get_array()[0, 0] == (255, 255, 0)).all()
        np.testing.assert_allclose(below.get_images()[0].get_array()[0, 0], (1, 1, 0))
        with pytest.raises(
            ValueError, match="colours is 'grey', expected one of hue, safe"
        ):
            s.get_colour_map(colours="grey")

    @pytest.mark.parametrize("energies", [(3.0, 1.0), (7.0, 9.0)])
    def test_wrong_ranges(self, path, energies):
        with pytest.raises((ValueError, IndexError)):
            load(path).get_colour_map(energy_range=energies)

    def test_no_map(self, path):
        for s in (load(path).inav[2], load(path, sum_detectors=False)):
            with pytest.raises(ValueError, match="expected a map of x and y"):
                s.get_colour_map()

    def test_of_any_spectra(self):
        """Without a tube, and with what a background subtraction leaves."""
        s = hs.signals.Signal1D(np.full((2, 3, 4), 5, "f4"))
        s.set_signal_type("EDS_XFM")
        s.data[0, 0] = -50
        s.data[1, 2, 1] = np.inf
        rgb = s.get_colour_map().data
        assert rgb[0, 0].tolist() == rgb[1, 2].tolist() == (0, 0, 0)
        assert max(rgb[0, 1].tolist()) == 255


class TestDetectors:
    """Wherever the axis of the detectors is, and whichever are left."""

    def test_missing_in_one_detector(self, tmp_path):
        records = [
            builder.record(x, y, d, [(3, 9)], 10.0)
            for y in range(5)
            for x in range(7)
            for d in range(2)
            if d == 0 or y < 3
        ]
        path = builder.write(tmp_path / "half.GeoPIXE", builder.header_tree(), records)
        for is_lazy in (False, True):
            with pytest.warns(UserWarning, match="missing"):
                s = load(path, lazy=is_lazy)
            found = s.fill_dead_time("constant", value=20).get_dead_time().data
            assert (
                np.isnan(found[1, 3:]).all() and np.count_nonzero(np.isnan(found)) == 14
            )

    def test_last_in_the_array(self, path, simulated):
        _, _, known, _ = simulated
        s = load(path, lazy=True, sum_detectors=False)
        moved = s.transpose(navigation_axes=[2, 0, 1])  # detector, x, y
        assert moved.data.shape[:3] == (12, 15, 2)
        statistics = moved.get_dead_time_statistics()
        assert statistics == s.get_dead_time_statistics()
        expected = s.fill_dead_time(show_progressbar=False).get_dead_time().data
        found = moved.fill_dead_time(show_progressbar=False).get_dead_time().data
        np.testing.assert_allclose(found, np.moveaxis(expected, 0, -1), rtol=1e-4)
        for ax, values in zip(moved.plot_dead_time(), known, strict=True):
            np.testing.assert_array_equal(ax.get_images()[0].get_array(), values)
        assert len(moved.plot_detector_difference()) == 1
        assert (
            len(moved.plot_dead_time_against_counts(show_progressbar=False).collections)
            == 2
        )

    def test_names_after_cropping(self, path):
        s = load(path, sum_detectors=False)
        assert list(s.inav[:, :, 1:2].get_dead_time_statistics()) == ["Detector 1"]
        assert list(s.inav[:, :, ::-1].get_dead_time_statistics()) == [
            "Detector 1",
            "Detector 0",
        ]

    def test_a_second_fill(self, path):
        s = load(path, lazy=True).fill_dead_time(show_progressbar=False)
        again = s.fill_dead_time("constant", value=5)
        entry = again.metadata.Acquisition_instrument.XRF.dead_time_fill.detector_0
        assert (entry.model, entry.n_filled) == ("constant", 0)
        with pytest.raises(ValueError, match="fill_dead_time first"):
            again.plot_filled_dead_time()

    def test_exact_numbers_of_rebinned_maps(self, path):
        s = load(path, lazy=True).rebin(scale=(3, 2, 1))
        values = s.get_dead_time().data
        assert values.dtype == np.float64
        found = s.fill_dead_time("constant", value=5).get_dead_time().data
        np.testing.assert_array_equal(found, np.where(values == 0, 5, values))
