"""What a signal does with a map: slices, sums, and dead times that fit or are gone."""

import dask.array as da
import exspy
import hyperspy.api as hs
import numpy as np
import pytest
from hyperspy.axes import UniformDataAxis

from rsciio_xfm.core import to_dask
from rsciio_xfm.signals import EDSXFMSpectrum, LazyEDSXFMSpectrum
from tests.builders import geopixe as builder

EDS = "Acquisition_instrument.SEM.Detector.EDS"
DEAD_TIME = f"{EDS}.dead_time"
DWELL = 0.1


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return builder.write_map(tmp_path_factory.mktemp("signals") / "map.GeoPIXE")


@pytest.fixture(params=["lazy", "eager"])
def is_lazy(request):
    return request.param == "lazy"


@pytest.fixture
def s(path, is_lazy):
    """Detectors summed: (7, 5|32), dead times (7, 5, 2|)."""
    return hs.load(path, lazy=is_lazy)


@pytest.fixture
def s4(path, is_lazy):
    """Detectors apart: (7, 5, 2|32)."""
    return hs.load(path, lazy=is_lazy, sum_detectors=False)


@pytest.fixture(scope="module")
def dead(path):
    """Dead times (detector, y, x), by the tests' own decoder."""
    dead_time = np.empty((2, 5, 7))
    for (x, y, detector), (raw, _) in builder.decode(path).items():
        dead_time[detector, y, x] = np.frombuffer(raw, dtype="<f4")[0]
    return dead_time


def values(signal):
    return np.asarray(signal.data)


def live(dead_time):
    return DWELL * (1 - dead_time / 100)


def times(signal):
    return (
        signal.metadata.get_item(f"{EDS}.live_time"),
        signal.metadata.get_item(f"{EDS}.real_time"),
    )


def carries(signal):
    return signal.metadata.has_item(DEAD_TIME)


class TestClass:
    def test_type(self, s, is_lazy):
        assert type(s) is (LazyEDSXFMSpectrum if is_lazy else EDSXFMSpectrum)
        assert isinstance(s, exspy.signals.EDSSEMSpectrum)
        assert s.metadata.Signal.signal_type == "EDS_XFM"
        assert isinstance(s.data, da.Array if is_lazy else np.ndarray)
        assert s.axes_manager.signal_axes[0].is_binned

    def test_as_lazy_and_back(self, s):
        there = s.as_lazy()
        assert type(there) is LazyEDSXFMSpectrum and carries(there)
        there.compute(show_progressbar=False)
        assert type(there) is EDSXFMSpectrum and carries(there)
        np.testing.assert_array_equal(there.data, values(s))

    def test_other_types_and_back(self, s):
        """Another class would not crop the dead times, so it does not get them."""
        for other in ("EDS_SEM", "EDS_TEM", ""):
            t = s.deepcopy()
            t.set_signal_type(other)
            assert not isinstance(t, EDSXFMSpectrum)
            assert not carries(t)
            t.set_signal_type("EDS_XFM")
            assert isinstance(t, EDSXFMSpectrum)
            assert not carries(t)
            if other != "":
                assert t.metadata.Acquisition_instrument.SEM.beam_energy == 50

    @pytest.mark.parametrize("other", ["EDS_SEM", "EDS_TEM", ""])
    def test_load_as_another_type(self, path, is_lazy, other, tmp_path):
        hs.load(path).save(tmp_path / "a.hspy")
        for file in (path, tmp_path / "a.hspy"):
            t = hs.load(file, lazy=is_lazy, signal_type=other)
            assert not isinstance(t, EDSXFMSpectrum)
            if file == path:
                assert "dead_time" not in str(t.metadata)
            # what another class carried along without cropping it is not taken over
            t = t.inav[::-1]
            t.set_signal_type("EDS_XFM")
            assert isinstance(t, EDSXFMSpectrum) and not carries(t)
            if is_lazy and file != path:
                t.close_file()

    def test_ripple(self, path, tmp_path):
        s = hs.load(path)
        s.save(tmp_path / "a.rpl")
        again = hs.load(tmp_path / "a.rpl")
        assert again._signal_type == "EDS_XFM"
        np.testing.assert_array_equal(again.data, values(s))
        assert again.metadata.Acquisition_instrument.SEM.beam_energy == 50
        assert times(again)[0] == pytest.approx(times(s)[0])

    def test_take_off_angle_and_resolution(self, s):
        assert s.get_take_off_angle() == pytest.approx(20)
        s.axes_manager[-1].scale = 0.1
        s.set_elements(["Si"])
        s.add_lines()
        ((low, high),) = s.estimate_integration_windows()
        assert low < 1.74 < high

    def test_lines_intensity(self, path, s):
        """An element's map is the sum of its window's channels."""
        s.axes_manager[-1].scale = 0.1
        s.set_elements(["Si"])
        (image,) = s.get_lines_intensity(["Si_Ka"], integration_windows=[[1.5, 2.0]])
        expected = values(s)[..., 15:20].sum(axis=-1)
        np.testing.assert_array_equal(values(image), expected)


class TestSlicesReachTheReader:
    @pytest.fixture
    def asked(self, monkeypatch):
        """The blocks that the reader was asked for: (method, ranges)."""
        from rsciio_xfm.formats.geopixe.data import GeoPIXEArray

        asked = []

        def spy_on(name):
            method = getattr(GeoPIXEArray, name)

            def spy(source, ranges):
                asked.append((name, ranges))
                return method(source, ranges)

            monkeypatch.setattr(GeoPIXEArray, name, spy)

        for name in ("read", "sum_navigation", "sum_signal"):
            spy_on(name)
        return asked

    def test_isig_sum(self, path, asked):
        hs.load(path, lazy=True).isig[10:13].sum(axis="Energy").data.compute()
        assert asked == [("sum_signal", ((0, 5), (0, 7), (10, 13)))]

    def test_inav_sum(self, path, asked):
        hs.load(path, lazy=True).inav[2:6, 1:3].sum().data.compute()
        assert asked == [("sum_navigation", ((1, 3), (2, 6), (0, 32)))]

    def test_isig_inav(self, path, asked):
        hs.load(path, lazy=True).isig[4:9].inav[2:6, 1:3].data.compute()
        assert asked == [("read", ((1, 3), (2, 6), (4, 9)))]

    def test_one_pixel(self, path, asked):
        hs.load(path, lazy=True).inav[3, 2].data.compute()
        assert asked == [("read", ((2, 3), (3, 4), (0, 32)))]

    def test_physical_units(self, path, asked):
        hs.load(path, lazy=True).isig[0.1:0.13].inav[0.2:, :].sum().data.compute()
        assert asked == [("sum_navigation", ((0, 5), (2, 7), (10, 13)))]

    def test_steps(self, path, asked):
        s = hs.load(path, lazy=True)
        found = s.inav[::2, ::-1].sum().data.compute()
        expected = values(hs.load(path))[::-1, ::2].sum(axis=(0, 1))
        np.testing.assert_array_equal(found, expected)

    def test_rows_only(self, path, monkeypatch):
        """Only the bytes of the rows that are asked for are read."""
        from rsciio_xfm.core import runs as runs_of

        read = []

        def spy(reader, offsets, sizes, out, read_ranges=runs_of.read_ranges):
            read.extend(zip(offsets, sizes, strict=True))
            return read_ranges(reader, offsets, sizes, out)

        s = hs.load(path, lazy=True)
        monkeypatch.setattr(runs_of, "read_ranges", spy)
        s.inav[:, 2:3].sum().data.compute()
        runs = to_dask.source_of(s.data).streams[0].runs
        assert read == [(runs.start[2], runs.length[2])]


class TestSums:
    @pytest.mark.parametrize("key", [slice(None), (slice(1, 4), slice(2, 5))])
    def test_spectrum(self, path, s, key):
        summed = s.inav[key].sum()
        y_key = (slice(None), slice(None)) if key == slice(None) else key[::-1]
        expected = values(s)[y_key].sum(axis=(0, 1))
        np.testing.assert_array_equal(values(summed), expected)
        assert summed.data.dtype == np.uint64
        assert isinstance(summed, EDSXFMSpectrum)
        assert summed.axes_manager.navigation_shape == ()

    def test_image(self, s):
        image = s.isig[3:9].sum(axis="Energy")
        np.testing.assert_array_equal(values(image), values(s)[..., 3:9].sum(axis=-1))
        assert image.axes_manager.navigation_shape == (7, 5)
        assert not carries(image)

    @pytest.mark.parametrize(
        "axis", [0, 1, "x", ("x", "y"), (1, 0), "Energy", ("x", "Energy"), (0, 1, 2)]
    )
    def test_any_axis_as_in_hyperspy(self, s, axis):
        plain = hs.signals.Signal1D(values(s))
        for mine, theirs in zip(
            s.axes_manager._axes, plain.axes_manager._axes, strict=True
        ):
            theirs.name = mine.name
        expected = plain.sum(axis)
        found = s.sum(axis)
        np.testing.assert_array_equal(values(found), expected.data)
        assert (
            found.axes_manager.navigation_shape == expected.axes_manager.navigation_shape
        )
        assert found.axes_manager.signal_shape == expected.axes_manager.signal_shape

    def test_out(self, s):
        out = s.sum()
        expected = values(out).copy()
        out.data = out.data * 0
        assert s.sum(out=out) is None
        np.testing.assert_array_equal(values(out), expected)

    def test_other_data(self, s):
        """The source of the file is not asked once the data are others."""
        s.data = s.data + np.uint16(1)
        expected = values(s).sum(axis=(0, 1))
        np.testing.assert_array_equal(values(s.sum()), expected)

    def test_floats_are_left_to_numpy(self, s):
        s.change_dtype("float32")
        np.testing.assert_allclose(values(s.sum()), values(s).sum(axis=(0, 1)))

    def test_detectors(self, path, s, s4):
        np.testing.assert_array_equal(values(s4.sum("detector")), values(s))
        np.testing.assert_array_equal(values(s4.sum()), values(s.sum()))


class TestDeadTime:
    def test_map(self, s, s4, dead):
        for signal in (s, s4):
            dead_time = signal.get_dead_time()
            assert dead_time.axes_manager.navigation_shape == (7, 5, 2)
            assert dead_time.axes_manager.signal_shape == ()
            np.testing.assert_array_equal(dead_time.data, dead)
            names = [axis.name for axis in dead_time.axes_manager.navigation_axes]
            assert names == ["x", "y", "detector"]
            assert dead_time.axes_manager["x"].units == "mm"

    def test_live_time(self, s, s4, dead):
        np.testing.assert_allclose(values(s.get_live_time()), live(dead).sum(axis=0))
        np.testing.assert_allclose(values(s4.get_live_time()), live(dead))
        total = s.sum().get_live_time()
        np.testing.assert_allclose(values(total), [live(dead).sum()])
        assert times(s) == pytest.approx((live(dead).sum(axis=0).mean(), 2 * DWELL))
        assert times(s4) == pytest.approx((live(dead).mean(), DWELL))

    def test_counts_per_second(self, s, dead, is_lazy):
        assert s.get_live_time()._lazy == is_lazy
        rate = s / s.get_live_time()
        assert rate._lazy == is_lazy
        expected = values(s) / live(dead).sum(axis=0)[..., np.newaxis]
        np.testing.assert_allclose(values(rate), expected)

    def test_one_detector(self, path, is_lazy, dead):
        s = hs.load(path, lazy=is_lazy, detector=1)
        assert s.get_dead_time().axes_manager.navigation_shape == (7, 5)
        np.testing.assert_array_equal(s.get_dead_time().data, dead[1])
        assert times(s) == pytest.approx((live(dead[1]).mean(), DWELL))
        assert times(s.sum()) == pytest.approx((live(dead[1]).sum(), 35 * DWELL))

    def test_the_copy_is_ones_own(self, s, dead):
        s.get_dead_time().data[:] = 0
        np.testing.assert_array_equal(s.get_dead_time().data, dead)

    def test_axes_calibrated_anew(self, s):
        s.axes_manager["x"].scale = 2
        s.axes_manager["x"].units = "µm"
        dead_time = s.get_dead_time()
        assert (dead_time.axes_manager["x"].scale, dead_time.axes_manager["x"].units) == (
            2,
            "µm",
        )
        cropped = s.inav[2.0:6.0]  # pixels 1 and 2
        assert cropped.get_dead_time().axes_manager.navigation_shape == (2, 5, 2)

    def test_axes_without_a_scale(self, path, dead):
        s = hs.load(path)
        s.axes_manager["x"].convert_to_non_uniform_axis()
        np.testing.assert_array_equal(s.get_dead_time().data, dead)

    def test_axes_renamed(self, s, dead):
        s.axes_manager["x"].name = "stage"
        np.testing.assert_array_equal(s.get_dead_time().data, dead)
        assert s.get_dead_time().axes_manager[0].name == "stage"

    def test_none(self):
        s = EDSXFMSpectrum(np.ones((3, 4)))
        for method in (s.get_dead_time, s.get_live_time):
            with pytest.raises(ValueError, match="carries no dead-time map"):
                method()

    def test_no_real_time(self, s):
        del s.metadata.Acquisition_instrument.SEM.Detector.EDS.real_time
        with pytest.raises(ValueError, match="The real time of the spectra is not known"):
            s.get_live_time()


class TestDeadTimeFollows:
    def check(self, signal, expected, n_pixels=1):
        """The map is the expected one (detector, y, x), the times are in line with it."""
        np.testing.assert_allclose(values(signal.get_dead_time()), expected)
        live_time, real_time = times(signal)
        assert real_time == pytest.approx(2 * DWELL * n_pixels)
        fraction = (1 - np.asarray(expected) / 100).mean()
        assert live_time == pytest.approx(real_time * fraction)

    def test_inav(self, s, dead):
        self.check(s.inav[2:6, 1:3], dead[:, 1:3, 2:6])
        self.check(s.inav[:, 3:], dead[:, 3:])
        self.check(s.inav[::-1, ::2], dead[:, ::2, ::-1])
        self.check(s.inav[..., 4], dead[:, 4])
        self.check(s.inav[3], dead[:, :, 3])
        self.check(s.inav[3, 2], dead[:, 2, 3])
        self.check(s.inav[0.2:0.5], dead[:, :, 2:5])
        self.check(s.inav[2:6, 1:3].inav[1:, 1], dead[:, 2, 3:6])

    def test_source_is_unchanged(self, s, dead):
        for change in (
            lambda: s.inav[2:4],
            s.sum,
            lambda: s.rebin(scale=(7, 5, 1)),
            lambda: s.swap_axes("x", "y"),
        ):
            change()
            self.check(s, dead)

    def test_isig(self, s, dead):
        self.check(s.isig[3:7], dead)
        self.check(s.isig[3:7].inav[1:3], dead[:, :, 1:3])

    def test_roi(self, s, dead):
        roi = hs.roi.RectangularROI(left=0.1, top=0.2, right=0.4, bottom=0.8)
        self.check(roi(s), dead[:, 1:4, 1:4])

    def test_slice_into_out(self, s, dead):
        out = s.inav[0:3]
        s.inav.__getitem__(slice(2, 5), out=out)
        self.check(out, dead[:, :, 2:5])

    def test_detector_slices(self, s4, dead):
        dead_time = s4.inav[:, :, 1].get_dead_time()
        np.testing.assert_array_equal(dead_time.data, dead[1])
        assert times(s4.inav[:, :, 1]) == pytest.approx((live(dead[1]).mean(), DWELL))

    def test_sum(self, s, dead):
        total = s.sum()
        self.check(total, dead.mean(axis=(1, 2)), 35)
        assert times(total)[0] == pytest.approx(live(dead).sum())
        self.check(s.sum("x"), dead.mean(axis=2), 7)
        self.check(s.sum("y"), dead.mean(axis=1), 5)
        self.check(s.sum("x").sum(), dead.mean(axis=(1, 2)), 35)
        self.check(s.inav[2:4, 3:].sum(), dead[:, 3:, 2:4].mean(axis=(1, 2)), 4)

    def test_sum_out(self, s, dead):
        out = s.inav[:3].sum("x")
        s.sum("x", out=out)
        self.check(out, dead.mean(axis=2), 7)

    def test_sum_of_detectors(self, s4, dead):
        self.check(s4.sum("detector"), dead)
        self.check(s4.sum(("x", "detector")), dead.mean(axis=2), 7)
        self.check(s4.sum(), dead.mean(axis=(1, 2)), 35)
        dead_time = s4.sum(("x", "y")).get_dead_time()
        np.testing.assert_allclose(dead_time.data, dead.mean(axis=(1, 2)))

    def test_mean(self, s, dead):
        self.check(s.mean(), dead.mean(axis=(1, 2)))
        self.check(s.mean("y"), dead.mean(axis=1))

    def test_rebin(self, s, dead):
        s = s.inav[:6, :4]
        blocks = dead[:, :4, :6].reshape(2, 2, 2, 3, 2).mean(axis=(2, 4))
        self.check(s.rebin(scale=(2, 2, 1)), blocks, 4)
        self.check(s.rebin(new_shape=(3, 2, 32)), blocks, 4)
        self.check(s.rebin(scale=(1, 1, 4)), dead[:, :4, :6])

    def test_rebin_by_a_fraction(self, path, dead):
        rebinned = hs.load(path).rebin(scale=(3.5, 1, 1))
        found = rebinned.get_dead_time().data
        first = (dead[..., :3].sum(axis=-1) + dead[..., 3] / 2) / 3.5
        np.testing.assert_allclose(found[..., 0], first)

    def test_rebin_out(self, s, dead):
        s = s.inav[:6, :4]
        out = s.rebin(scale=(2, 2, 1))
        s.rebin(scale=(2, 2, 1), out=out)
        blocks = dead[:, :4, :6].reshape(2, 2, 2, 3, 2).mean(axis=(2, 4))
        self.check(out, blocks, 4)
        s.rebin(scale=(2, 2, 1), out=out)
        self.check(out, blocks, 4)

    def test_mean_out(self, s, dead):
        out = s.inav[:3].mean("x")
        s.mean("x", out=out)
        self.check(out, dead.mean(axis=2))

    def test_out_without_a_map(self, s):
        """Times are set, not multiplied again and again."""
        s.metadata.get_item(EDS).__delattr__("dead_time")
        out = s.sum()
        expected = times(out)
        assert expected == pytest.approx((35 * times(s)[0], 35 * times(s)[1]))
        s.sum(out=out)
        assert times(out) == expected

    def test_out_of_another_class(self, s, dead):
        for other in ("", "EDS_SEM"):
            out = s.inav[:3]
            out.set_signal_type(other)
            s.inav.__getitem__(slice(2, 5), out=out)
            assert not carries(out)
            np.testing.assert_array_equal(values(out), values(s)[:, 2:5])
        out = s.rebin(scale=(7, 5, 1))
        out.set_signal_type("EDS_SEM")
        s.rebin(scale=(7, 5, 1), out=out)
        assert times(out)[1] == pytest.approx(35 * 2 * DWELL)

    def test_transposed(self, s, s4, dead):
        swapped = dead.transpose(0, 2, 1)
        self.check(s.swap_axes("x", "y"), swapped)
        self.check(s.transpose(navigation_axes=("y", "x")), swapped)
        self.check(s.rollaxis("y", "x"), swapped)
        self.check(s.inav[:5].swap_axes("x", "y"), dead[..., :5].transpose(0, 2, 1))
        found = s4.transpose(navigation_axes=("detector", "x", "y")).get_dead_time()
        np.testing.assert_array_equal(found.data, dead.transpose(1, 2, 0))

    def test_crop_in_place(self, s, dead):
        s.crop("x", 2, 6)
        s.crop("y", 0.2, 0.6)
        s.crop("Energy", 3, 10)
        self.check(s, dead[:, 1:3, 2:6])

    def test_renamed_and_transposed(self, tmp_path):
        """On a square map sizes do not tell, and names may be anything."""
        size = {"n_columns": 4, "n_rows": 4, "n_channels": 4}
        s = hs.load(builder.write_map(tmp_path / "a.GeoPIXE", **size))
        before = s.get_dead_time().data
        for names in (("stage", "y"), ("y", "x"), ("a", "a")):
            for axis, name in zip(s.axes_manager.navigation_axes, names, strict=True):
                axis.name = name
            np.testing.assert_array_equal(s.get_dead_time().data, before)
            swapped = s.swap_axes(0, 1)
            found = swapped.get_dead_time()
            np.testing.assert_array_equal(found.data, before.transpose(0, 2, 1))
            ours = [axis.name for axis in swapped.axes_manager.navigation_axes]
            assert ours == list(names[::-1])
            assert [axis.units for axis in swapped.axes_manager._axes] == ["mm"] * 2 + [
                "keV"
            ]
            assert [axis.units for axis in s.axes_manager._axes] == ["mm"] * 2 + ["keV"]

    def test_spectrum_at_the_indices(self, s, dead):
        s.axes_manager.indices = (3, 2)
        self.check(s.get_current_signal(), dead[:, 2, 3])
        found = [times(spectrum)[0] for spectrum in s.inav[0:2, 0]]
        assert found == pytest.approx(live(dead[:, 0, 0:2]).sum(axis=0))

    def test_interactive_region(self, s, dead):
        """HyperSpy's idiom: a region that is moved, and its sum that follows."""
        roi = hs.roi.RectangularROI(left=0.0, top=0.0, right=0.3, bottom=0.4)
        region = roi.interactive(s, navigation_signal=None)
        total = hs.interactive(
            region.sum,
            event=region.events.data_changed,
            recompute_out_event=region.axes_manager.events.any_axis_changed,
        )
        self.check(total, dead[:, :2, :3].mean(axis=(1, 2)), 6)
        roi.right = 0.6
        self.check(region, dead[:, :2, :6])
        self.check(total, dead[:, :2, :6].mean(axis=(1, 2)), 12)
        np.testing.assert_array_equal(
            np.asarray(total.data), values(s)[:2, :6].sum(axis=(0, 1))
        )
        roi.left, roi.right = 0.1, 0.7
        self.check(total, dead[:, :2, 1:7].mean(axis=(1, 2)), 12)

    @pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning")
    def test_circular_region(self, s, dead):
        region = hs.roi.CircleROI(cx=0.3, cy=0.4, r=0.21)(s)
        mask = np.isnan(values(region)[..., 0])
        assert 0 < mask.sum() < mask.size
        y, x = (round(a.offset / a.scale) for a in region.axes_manager._axes[:2])
        inside = dead[:, y : y + mask.shape[0], x : x + mask.shape[1]][:, ~mask]
        total = region.nansum()
        self.check(total, inside.mean(axis=1), inside.shape[1])
        self.check(region.nanmean(), inside.mean(axis=1))
        for partial in (region.nansum("x"), region.nanmean("y")):
            assert partial.axes_manager.navigation_dimension == 1
        self.check(region.nansum("x").nansum(), inside.mean(axis=1), inside.shape[1])
        per_column = region.nanmean("y")
        n_in = (~mask).sum(axis=0)
        found = values(per_column.get_live_time())[n_in > 0]
        kept = np.where(
            mask, 0, live(dead[:, y : y + mask.shape[0], x : x + mask.shape[1]])
        )
        np.testing.assert_allclose(
            found, (kept.sum(axis=(0, 1)) / np.maximum(n_in, 1))[n_in > 0]
        )

    def test_nansum_of_integers(self, s, dead):
        self.check(s.nansum(), dead.mean(axis=(1, 2)), 35)
        self.check(s.nanmean("x"), dead.mean(axis=2))

    def test_live_time_of_the_user(self, s, dead):
        """What the user sets is scaled as the dead times say, not set back."""
        s.set_microscope_parameters(live_time=7.0)
        s.crop("Energy", 2, 20)
        assert times(s)[0] == 7
        assert times(s.isig[2:5])[0] == 7
        assert times(s.inav[:])[0] == pytest.approx(7)
        share = live(dead[:, :, :3]).mean() / live(dead).mean()
        assert times(s.inav[:3])[0] == pytest.approx(7 * share)
        assert times(s.sum())[0] == pytest.approx(7 * 35)

    def test_a_crop_that_fails(self, s, dead):
        with pytest.raises(ValueError, match="need to be different"):
            s.crop("x", 3, 3)
        self.check(s, dead)

    def test_an_empty_crop(self, s):
        s.crop("x", 5, 2)
        assert s.axes_manager.navigation_shape == (0, 5)

    def test_an_out_that_does_not_fit(self, s, dead):
        out = s.sum("x")
        with pytest.raises(ValueError):
            s.sum("y", out=out)
        self.check(out, dead.mean(axis=2), 7)

    def test_arrays_in_memory_in_a_lazy_signal(self, s):
        """What numpy's functions make of a lazy signal."""
        root = np.sqrt(s)
        np.testing.assert_allclose(values(root.inav[1, 2]), np.sqrt(values(s)[2, 1]))
        assert times(root) == (None, None)
        root.metadata.set_item(f"{EDS}.real_time", 0.2)
        root.set_dead_time(10.0)
        assert values(root.get_live_time()).shape == (5, 7)

    def test_numpys_functions(self, s):
        """What they return is as of any other signal of HyperSpy's."""
        if s._lazy:
            s.compute()
        counts = s.data.copy()
        target = total = np.ones(counts.shape)
        total += s
        assert total is target
        np.testing.assert_array_equal(total, counts + 1)
        assert np.add(s, 1, out=target) is target
        assert [type(part) for part in np.modf(s)] == [EDSXFMSpectrum] * 2
        assert type(np.add.reduce(s)) is EDSXFMSpectrum
        assert np.hypot(s, 1).metadata.General.title == "hypot(map, 1)"
        with pytest.raises(TypeError, match="ArrayType"):
            np.add(counts, 1, out=s)
        np.testing.assert_array_equal(s.data, counts)

    def test_squeeze(self, s, dead):
        self.check(s.inav[2:3].squeeze(), dead[:, :, 2])
        self.check(s.inav[2:3, 1:2].squeeze(), dead[:, 1, 2])

    def test_unfold_and_fold(self, s, dead):
        s.unfold()
        self.check(s, dead.reshape(2, 35))
        self.check(s.inav[3:9], dead.reshape(2, 35)[:, 3:9])
        s.fold()
        self.check(s, dead)
        with s.unfolded():
            self.check(s.sum(), dead.mean(axis=(1, 2)), 35)
        self.check(s, dead)

    def test_decomposition(self, path, dead):
        s = hs.load(path)
        s.change_dtype("float64")
        s.decomposition(output_dimension=2, print_info=False)
        self.check(s, dead)

    def test_arithmetic_that_changes_nothing(self, s, dead):
        for same in (s + 0, 0 + s, s * 1, 1 * s, s / 1, s.as_signal1D("Energy")):
            self.check(same, dead)
            np.testing.assert_array_equal(values(same), values(s))

    def test_copies(self, s, dead):
        for copied in (s.deepcopy(), s.copy(), s.as_lazy()):
            self.check(copied, dead)

    def test_copies_are_independent(self, s, dead):
        copied = s.deepcopy()
        copied.metadata.get_item(DEAD_TIME).data[:] = 0
        self.check(s, dead)

    def test_map_function(self, s, dead):
        doubled = s.map(lambda spectrum: spectrum * 2, inplace=False, lazy_output=False)
        self.check(doubled, dead)

    def test_saved_and_loaded(self, s, dead, tmp_path, is_lazy):
        cropped = s.inav[2:6, 1:3]
        cropped.save(tmp_path / "crop.hspy")
        for lazily in (False, True):
            again = hs.load(tmp_path / "crop.hspy", lazy=lazily)
            assert isinstance(again, EDSXFMSpectrum)
            self.check(again, dead[:, 1:3, 2:6])
            assert again.get_dead_time().data.dtype == np.float32
            self.check(again.inav[1:3], dead[:, 1:3, 3:5])
            np.testing.assert_array_equal(values(again), values(cropped))
            entries = again.original_metadata.Detector
            assert [entry["Idx"] for entry in entries] == [0, 1]
            if lazily:
                again.close_file()


class TestDeadTimeIsGone:
    @pytest.mark.parametrize(
        "change",
        [
            lambda s: s.max("x"),
            lambda s: s.std(),
            lambda s: s.diff("x"),
            lambda s: s.sum("Energy"),
            lambda s: s.transpose(signal_axes=["x"]),
            lambda s: s.transpose(signal_axes=["x", "y"]),
            lambda s: s.as_signal2D(("x", "y")),
            lambda s: s.swap_axes("x", "Energy"),
            lambda s: hs.stack([s, s]),
            lambda s: hs.stack([s, s], lazy=True),
            lambda s: hs.stack([s, s], axis="x"),
            lambda s: s.split("x", step_sizes=[2])[0],
            lambda s: s.integrate1D("x"),
            lambda s: s.max(),
        ],
    )
    def test_gone(self, s, change):
        result = change(s)
        assert not carries(result)
        assert carries(s)
        if isinstance(result, EDSXFMSpectrum):
            assert times(result) == (None, None)

    @pytest.mark.parametrize("name", ["max", "min", "std", "var"])
    def test_statistics_of_detectors(self, s4, name):
        assert not carries(getattr(s4, name)("detector"))

    def test_stack_of_as_many_as_detectors(self, s, s4):
        """A stack of 2 is no second detector axis, though it has its size."""
        assert not carries(hs.stack([s, s], lazy=True))
        assert not carries(hs.stack([s.sum(), s.sum()]))
        assert not carries(hs.stack([s4, s4]))

    def test_interpolated(self, path):
        s = hs.load(path)
        axis = UniformDataAxis(offset=0.05, scale=0.05, size=7, navigate=True)
        assert not carries(s.interpolate_on_axis(axis, "x"))
        assert carries(s)
        s.interpolate_on_axis(axis, "x", inplace=True)
        assert not carries(s)

    def test_equal_lengths(self, tmp_path):
        """Axes of one length are told apart by their names."""
        size = {"n_columns": 4, "n_rows": 4, "n_channels": 4}
        s = hs.load(builder.write_map(tmp_path / "a.GeoPIXE", **size))
        assert not carries(s.transpose(signal_axes=["x"]))
        assert not carries(s.swap_axes("x", "Energy"))
        swapped = s.swap_axes("x", "y").get_dead_time()
        expected = s.get_dead_time().data.transpose(0, 2, 1)
        np.testing.assert_array_equal(swapped.data, expected)

    def test_calibration_from_a_reference(self, s, path, dead):
        """The reference's dead times are not ours, whatever its size."""
        reference = hs.load(path).inav[::-1]
        before = times(s)
        s.get_calibration_from(reference.sum(), nb_pix=35)
        np.testing.assert_array_equal(s.get_dead_time().data, dead)
        assert times(s) == before
        plain = EDSXFMSpectrum(np.ones((5, 7, 32)))
        plain.get_calibration_from(reference.sum(), nb_pix=35)
        assert not carries(plain)
        assert times(plain) == pytest.approx(before)


class TestMissingPixels:
    @pytest.fixture
    def s(self, tmp_path, is_lazy):
        records = builder.random_records()[:41]
        path = builder.write(tmp_path / "cut.GeoPIXE", builder.header_tree(), records)
        with pytest.warns(UserWarning, match="41 of 70 spectra"):
            return hs.load(path, lazy=is_lazy)

    def test_live_time_of_what_was_measured(self, s, dead):
        measured = live(dead.transpose(1, 2, 0).ravel()[:41]).sum()
        assert times(s.sum())[0] == pytest.approx(measured)
        for summed in (
            s.sum("x").sum(),
            s.rebin(scale=(7, 1, 1)).sum(),
            s.sum("y").sum(),
        ):
            assert times(summed)[0] == pytest.approx(measured)
        assert values(s.get_live_time()).sum() == pytest.approx(measured)

    def test_nothing_measured_stays_nothing(self, s):
        rows = s.sum("x").get_dead_time().data
        assert np.isnan(rows[:, 3:]).all()
        assert not np.isnan(rows[:, :3]).any()
        rebinned = s.rebin(scale=(7, 1, 1)).get_dead_time().data
        np.testing.assert_allclose(rebinned[..., 0], rows)
