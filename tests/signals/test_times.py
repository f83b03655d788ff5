"""Live and real times: of masks, sums of signals, what a user sets, other readers."""

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask.array as da
import exspy
import hyperspy.api as hs
import numpy as np
import pytest
import rsciio.bruker
import rsciio.jeol

from rsciio_xfm.signals import EDSXFMSpectrum
from rsciio_xfm.signals.dead_time import _tube_channel
from tests.builders import edax
from tests.builders import geopixe as builder
from tests.conftest import DATA

EDS = "Acquisition_instrument.SEM.Detector.EDS"
DEAD_TIME = f"{EDS}.dead_time"
DWELL = 0.1  # of each of two detectors


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return builder.write_map(tmp_path_factory.mktemp("times") / "map.GeoPIXE")


@pytest.fixture(params=["lazy", "eager"])
def is_lazy(request):
    return request.param == "lazy"


@pytest.fixture
def s(path, is_lazy):
    """Detectors summed: (7, 5|32)."""
    return hs.load(path, lazy=is_lazy)


@pytest.fixture(scope="module")
def live(path):
    """Live times (y, x) of both detectors, s, by the tests' own decoder."""
    seconds = np.zeros((5, 7))
    for (x, y, _), (raw, _) in builder.decode(path).items():
        seconds[y, x] += DWELL * (1 - np.frombuffer(raw, dtype="<f4")[0] / 100)
    return seconds


@pytest.fixture
def mask():
    kept = np.zeros((5, 7), dtype=bool)
    kept[1:3, 2:5] = kept[4, 0] = True
    return kept


def times(signal):
    """Live and real time."""
    metadata = signal.metadata
    return tuple(metadata.get_item(f"{EDS}.{kind}_time") for kind in ("live", "real"))


def totals(signal):
    """Live and real time of all spectra of a signal."""
    return tuple(t * max(1, signal.axes_manager.navigation_size) for t in times(signal))


def is_gone(signal):
    return times(signal) == (None, None) and not signal.metadata.has_item(DEAD_TIME)


class TestMasks:
    FORMS = (
        lambda m: m[..., np.newaxis],
        lambda m: m[..., np.newaxis].astype(np.int64),
        lambda m: da.from_array(m[..., np.newaxis]),
        lambda m: hs.signals.BaseSignal(m).T,
        lambda m: hs.signals.BaseSignal(m.astype("uint8")).T,
        lambda m: hs.signals.BaseSignal(m[..., np.newaxis]).transpose(signal_axes=1),
    )

    def check(self, signal, live, mask):
        """The spectra of the mask are left, and their times."""
        assert totals(signal) == pytest.approx((live[mask].sum(), 0.2 * mask.sum()))
        total = signal.sum()
        assert times(total) == pytest.approx((live[mask].sum(), 0.2 * mask.sum()))
        return total

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("order", ["s * m", "m * s", "s *= m"])
    def test_is_a_region(self, s, live, mask, form, order):
        m = form(mask)
        region = s.get_region_spectra({"m": mask}, show_progressbar=False)["m"]
        before = np.asarray(s.data).copy()
        if order == "s *= m":
            kept = s
            kept *= m
            assert kept is s
        else:
            kept = s * m if order == "s * m" else m * s
            np.testing.assert_array_equal(np.asarray(s.data), before)
        assert type(kept) is type(s) and isinstance(kept.data, type(s.data))
        assert kept.data.dtype == np.uint16
        expected = np.where(mask[..., np.newaxis], before, 0)
        np.testing.assert_array_equal(np.asarray(kept.data), expected)
        total = self.check(kept, live, mask)
        np.testing.assert_array_equal(np.asarray(total.data), region.data)
        assert times(total) == pytest.approx(times(region))
        np.testing.assert_allclose(
            total.get_dead_time().data, region.get_dead_time().data
        )

    @pytest.mark.parametrize("has_dead_times", [True, False])
    @pytest.mark.parametrize(
        ("change", "of_array"),
        [
            (lambda s: s.inav[1:5, ::2], lambda a: a[::2, 1:5]),
            (lambda s: s.inav[::-1, 1], lambda a: a[1, ::-1]),
            (lambda s: s.inav[3, 2], lambda a: a[2, 3]),
            (lambda s: s.inav[0, 0], lambda a: a[0, 0]),
            (lambda s: s.isig[3:9], lambda a: a),
            (lambda s: s.sum("x"), lambda a: a),
            (lambda s: s.mean("y").sum() * 1, lambda a: a / 5),
            (lambda s: s.rebin(scale=(7, 1, 1)), lambda a: a),
            (lambda s: s.swap_axes("x", "y").inav[:2], lambda a: a[:2]),
            (lambda s: s.transpose(navigation_axes=["y", "x"]), lambda a: a),
            (lambda s: s.flip("x").inav[:2], lambda a: a[:, -2:]),
            (lambda s: s.flip(("x", "y")).inav[:3, :1], lambda a: a[-1:, -3:]),
            (lambda s: unfolded(s).inav[3:20], lambda a: a.ravel()[3:20]),
            (lambda s: folded(unfolded(s)).inav[:, 1], lambda a: a[1]),
            (lambda s: s * (np.arange(7)[:, np.newaxis] < 4)[np.newaxis].repeat(5, 0),
             lambda a: a[:, :4]),
            (lambda s: s.deepcopy().inav[2:], lambda a: a[:, 2:]),
            (lambda s: pickle.loads(pickle.dumps(s)).inav[2:], lambda a: a[:, 2:]),
            (lambda s: s.map(lambda spectrum: spectrum * 2, inplace=False, lazy_output=False,
                             show_progressbar=False).inav[3:], lambda a: a[:, 3:]),
            (lambda s: s + s.inav[::1, :], lambda a: 2 * a),
        ],
    )  # fmt: skip
    def test_what_is_made_of_it(self, s, live, mask, change, of_array, has_dead_times):
        if not has_dead_times:
            del s.metadata.get_item(EDS).dead_time
            live = np.full_like(live, live.mean())
        made = change(s * mask[..., np.newaxis])
        expected = of_array(live * mask).sum(), of_array(0.2 * mask).sum()
        assert totals(made) == pytest.approx(expected)
        assert times(made.sum()) == pytest.approx(expected)

    def test_pixels(self, s, live, mask):
        masked = s * mask[..., np.newaxis]
        found = np.asarray(masked.get_live_time().data)
        np.testing.assert_allclose(found, live * mask)
        assert np.isnan(masked.get_dead_time().data[:, ~mask]).all()
        for x, y in ((0, 0), (3, 2)):
            expected = (live * mask)[y, x], 0.2 * mask[y, x]
            assert times(masked.inav[x, y]) == pytest.approx(expected)
        corrected = masked.apply_live_time_correction()
        assert totals(corrected) == pytest.approx((0.2 * mask.sum(), 0.2 * mask.sum()))
        assert not np.isnan(np.asarray(corrected.data)).any()

    def test_one_detector_left_out(self, path, is_lazy, live):
        s4 = hs.load(path, lazy=is_lazy, sum_detectors=False)
        kept = np.ones((2, 5, 7, 1), dtype=bool)
        kept[1, :3] = False
        expected = totals((s4 * kept).sum())
        for total in (
            (s4 * kept).sum("detector").sum(),
            (s4 * kept).sum(("x", "detector")),
            s4.get_region_spectra({"m": kept[..., 0]}, show_progressbar=False)["m"],
        ):
            assert totals(total) == pytest.approx(expected)
        assert expected[1] == pytest.approx(DWELL * kept.sum())

    def test_saved(self, s, live, mask, tmp_path):
        masked = s * mask[..., np.newaxis]
        masked.save(tmp_path / "m.hspy")
        for lazily in (False, True):
            again = hs.load(tmp_path / "m.hspy", lazy=lazily)
            self.check(again, live, mask)
            assert times(again.inav[0, 0]) == (0, 0)
            if lazily:
                again.close_file()
        masked.save(tmp_path / "m.GeoPIXE")
        with pytest.warns(UserWarning, match="missing"):
            again = hs.load(tmp_path / "m.GeoPIXE")
        np.testing.assert_allclose(again.get_live_time().data, live * mask, rtol=1e-6)

    @pytest.mark.parametrize(
        "factor",
        [
            lambda m: m[..., np.newaxis] * 2,
            lambda m: m[..., np.newaxis] * 1.0,
            lambda m: m[..., np.newaxis].repeat(32, -1),
            lambda m: m[0, :, np.newaxis],
            lambda m: np.arange(32) > 3,
        ],
    )
    def test_what_is_no_mask(self, s, mask, factor):
        assert is_gone(s * factor(mask))

    def test_all_left_out(self, s):
        nothing = s * np.zeros((5, 7, 1), dtype=bool)
        assert times(nothing) == times(nothing.sum()) == (0, 0)
        assert times(nothing.inav[1:3].sum() + s.sum()) == times(s.sum())

    def test_nan_is_zero_outside(self, path, mask):
        s = hs.load(path)
        s.change_dtype("float32")
        s.data[0, 0, 3] = np.nan
        assert not np.isnan((s * mask[..., np.newaxis]).data).any()


def unfolded(signal):
    signal = signal.deepcopy()
    signal.unfold()
    return signal


def folded(signal):
    signal.fold()
    return signal


class TestSumsOfSignals:
    def test_in_a_loop(self, s, live):
        pixels = [(x, y) for x in range(3) for y in (1, 4)]
        expected = sum(live[y, x] for x, y in pixels), 0.2 * len(pixels)
        total = sum(s.inav[x, y] for x, y in pixels)
        assert times(total) == pytest.approx(expected)
        total = s.inav[pixels[0]].deepcopy()
        for pixel in pixels[1:]:
            total += s.inav[pixel]
        assert times(total) == pytest.approx(expected)
        of_region = s.get_region_spectra([pixels], show_progressbar=False)["0"]
        np.testing.assert_array_equal(np.asarray(total.data), of_region.data)
        np.testing.assert_allclose(
            total.get_dead_time().data, of_region.get_dead_time().data
        )

    def test_of_maps(self, s, live, tmp_path):
        other = hs.load(builder.write_map(tmp_path / "other.GeoPIXE", seed=3))
        both = s + other
        second = np.asarray(other.get_live_time().data)
        assert times(both) == pytest.approx(((live + second).mean(), 0.4))
        np.testing.assert_allclose(np.asarray(both.get_live_time().data), live + second)
        assert times(both.inav[2, 3])[0] == pytest.approx((live + second)[3, 2])
        first = both.get_dead_time().data, s.get_dead_time().data
        np.testing.assert_allclose(
            first[0], (first[1].astype(float) + other.get_dead_time().data) / 2
        )

    def test_of_masked_and_whole(self, s, live, mask):
        both = s + s * mask[..., np.newaxis]
        assert totals(both) == pytest.approx(
            (live.sum() + live[mask].sum(), 7 + 0.2 * mask.sum())
        )
        assert times(both.inav[3, 2]) == pytest.approx((2 * live[2, 3], 0.4))
        assert times(both.inav[0, 0]) == pytest.approx((live[0, 0], 0.2))

    def test_one_without_dead_times(self, s, live):
        other = s.deepcopy()
        del other.metadata.get_item(EDS).dead_time
        both = s + other
        assert times(both) == pytest.approx((2 * live.mean(), 0.4))
        assert times(both.inav[3, 2])[0] == pytest.approx(live[2, 3] + live.mean())

    @pytest.mark.parametrize(
        "combine",
        [
            lambda s: s - s,
            lambda s: s * 2,
            lambda s: s / (s + 1),
            lambda s: s // 2,
            lambda s: s + 5,
            lambda s: 5 + s,
            lambda s: s + s.inav[0, 0],
            lambda s: s + s.inav[0, 0] + s,
            lambda s: s + s.isig[::-1].data,
            lambda s: s.inav[:3] + s.inav[2:5],  # other pixels
            lambda s: s.inav[:5] + s.inav[:5].swap_axes("x", "y"),
            lambda s: s > 3,
            lambda s: -s,
            np.sqrt,
            lambda s: np.add(s, 1),
            lambda s: np.float64(2) * s,
        ],
    )
    def test_others_have_no_times(self, s, combine):
        before = times(s)
        assert is_gone(combine(s))
        assert times(s) == before

    def test_detectors_that_do_not_agree(self, path):
        s4 = hs.load(path, sum_detectors=False)
        assert is_gone(s4.inav[:, :, 0] + hs.load(path))

    def test_in_place(self, path, live):
        s = hs.load(path)
        s.change_dtype("uint64")
        s += hs.load(path)
        assert times(s) == pytest.approx((2 * live.mean(), 0.4))
        s += 0
        s *= 1
        assert times(s) == pytest.approx((2 * live.mean(), 0.4))
        s *= 2
        assert is_gone(s)

    def test_arrays_on_the_left_stay_lazy(self, path, mask):
        s = hs.load(path, lazy=True)
        for made in (mask[..., np.newaxis] * s, np.ones(32) + s, 0 + s):
            assert isinstance(made.data, da.Array)


class TestOfTheUser:
    """Dead times that are set; 4.69 s is 35 pixels x 0.2 s x 67 %."""

    def check(self, s, mask, seconds=4.69):
        assert totals(s) == pytest.approx((seconds, 7.0))
        assert times(s.sum()) == pytest.approx((seconds, 7.0))
        assert times(s.inav[3, 2])[0] == pytest.approx(seconds / 35)
        region = s.get_region_spectra({"m": mask}, show_progressbar=False)["m"]
        assert times(region)[0] == pytest.approx(seconds * mask.sum() / 35)
        np.testing.assert_allclose(np.asarray(s.get_live_time().data), seconds / 35)

    def test_number(self, s, mask, tmp_path):
        s.set_dead_time(33)
        self.check(s, mask)
        assert s.get_dead_time().data.shape == (2, 5, 7)
        s.sum().save(tmp_path / "total.msa")
        (line,) = (t for t in (tmp_path / "total.msa").read_text().splitlines()
                   if t.startswith("#LIVETIME"))  # fmt: skip
        assert float(line.split(":")[1]) == pytest.approx(4.69)

    def test_recipe_of_the_documentation(self, s, mask):
        dead_time = s.get_dead_time().deepcopy()
        dead_time.data = np.full_like(dead_time.data, 33.0)
        s.metadata.set_item(DEAD_TIME, dead_time)
        self.check(s, mask)

    def test_new_values_of_the_map_in_the_metadata(self, s, mask):
        carried = s.metadata.get_item(DEAD_TIME)
        carried.data = np.full_like(carried.data, 33.0)
        self.check(s, mask)

    def test_array(self, s):
        percent = np.linspace(0, 100, 35).reshape(5, 7)
        s.set_dead_time(percent)
        np.testing.assert_allclose(
            np.asarray(s.get_live_time().data), 0.2 * (1 - percent / 100)
        )
        assert s.get_dead_time().axes_manager.navigation_shape == (7, 5)
        of_detectors = np.stack([percent, 100 - percent])
        s.set_dead_time(of_detectors)
        np.testing.assert_allclose(np.asarray(s.get_live_time().data), 0.1)
        assert list(s.get_dead_time_statistics()) == ["Detector 0", "Detector 1"]

    def test_signal(self, s, live):
        before = s.get_dead_time()
        s.set_dead_time(50)
        s.set_dead_time(before)
        np.testing.assert_allclose(np.asarray(s.get_live_time().data), live)
        s.set_dead_time(before.mean("detector"))  # float32
        np.testing.assert_allclose(np.asarray(s.get_live_time().data), live, rtol=1e-6)

    def test_of_one_spectrum(self, s):
        total = s.sum()
        for dead_time in (20, [20.0], [10.0, 30.0], total.get_dead_time() * 0 + 20):
            total.set_dead_time(dead_time)
            assert times(total) == pytest.approx((5.6, 7.0))

    def test_of_a_map_without(self):
        s = EDSXFMSpectrum(np.ones((3, 4, 8), dtype=np.uint8))
        s.metadata.set_item(f"{EDS}.real_time", 0.5)
        s.set_dead_time(20)
        assert times(s.sum()) == pytest.approx((4.8, 6.0))

    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            (101, "not within 0 and 100 %"),
            (-1, "not within 0 and 100 %"),
            (np.full((5, 7), np.inf), "35 of 35"),
            (np.zeros((7, 5)), r"\(7, 5\), expected one number, or \(5, 7\)"),
            (np.zeros((2, 7, 5)), "expected one number"),
            ("much", "expected numbers"),
            (1j, "expected numbers"),
        ],
    )
    def test_wrong(self, s, wrong, says):
        before = times(s)
        with pytest.raises(ValueError, match=says):
            s.set_dead_time(wrong)
        assert times(s) == before

    def test_a_map_of_another_size(self, s):
        s.metadata.set_item(DEAD_TIME, s.inav[:3].get_dead_time())
        assert s.metadata.has_item(DEAD_TIME)  # to look at them changes nothing
        with pytest.warns(UserWarning, match="expected .*, that of the spectra"):
            assert is_gone(s.inav[:3])
        assert is_gone(s)

    def test_deleted(self, s):
        before = times(s)
        del s.metadata.get_item(EDS).dead_time
        assert times(s) == before
        with pytest.raises(ValueError, match="set_dead_time"):
            s.get_dead_time()


class TestFlip:
    def test_map(self, s, live):
        mirrored = s.flip("x")
        np.testing.assert_array_equal(
            np.asarray(mirrored.data), np.asarray(s.data)[:, ::-1]
        )
        np.testing.assert_allclose(
            np.asarray(mirrored.get_live_time().data), live[:, ::-1]
        )
        assert mirrored.axes_manager["x"].scale == s.axes_manager["x"].scale
        assert type(mirrored) is type(s)
        both = s.flip((0, 1))
        np.testing.assert_allclose(
            np.asarray(both.get_live_time().data), live[::-1, ::-1]
        )

    def test_wrong(self, s):
        with pytest.raises(ValueError, match="expected uniform navigation axes"):
            s.flip("Energy")


class TestWithoutThisPackage:
    """A file that was changed where nothing keeps dead times in line with spectra."""

    @pytest.fixture
    def saved(self, tmp_path):
        size = {"n_columns": 4, "n_rows": 4, "n_channels": 8}
        s = hs.load(builder.write_map(tmp_path / "a.GeoPIXE", **size))
        s.save(tmp_path / "a.hspy")
        return tmp_path / "a.hspy"

    def elsewhere(self, path, change):
        """HyperSpy's own class, which it takes if it does not know the signal's type."""
        plain = hs.load(path, signal_type="")
        assert type(plain) is hs.signals.Signal1D
        changed = change(plain)
        changed.metadata.Signal.signal_type = "EDS_XFM"
        changed.save(path, overwrite=True)

    @pytest.mark.parametrize("lazily", [False, True])
    @pytest.mark.parametrize(
        "change",
        [
            lambda s: s.inav[::-1],
            lambda s: s.swap_axes(0, 1),
            lambda s: s.rebin(scale=(2, 2, 1)),
            lambda s: s.inav[1:],
        ],
    )
    def test_old_dead_times_are_gone(self, saved, change, lazily):
        self.elsewhere(saved, change)
        with pytest.warns(UserWarning, match="those of other axes"):
            again = hs.load(saved, lazy=lazily)
        assert type(again).__name__.endswith("EDSXFMSpectrum")
        assert is_gone(again)
        if lazily:
            again.close_file()

    def test_unchanged(self, saved):
        before = hs.load(saved)
        self.elsewhere(saved, lambda s: s)
        again = hs.load(saved)
        assert times(again) == times(before)
        np.testing.assert_array_equal(
            again.get_dead_time().data, before.get_dead_time().data
        )

    def test_calibrated_here(self, saved):
        """Axes that are calibrated in memory are those of the dead times, too."""
        s = hs.load(saved)
        s.axes_manager["x"].scale = 2
        s.axes_manager["y"].name = "stage"
        s.save(saved, overwrite=True)
        again = hs.load(saved)
        assert times(again) == times(s)
        assert again.get_dead_time().axes_manager["x"].scale == 2


class TestTimesOfAMap:
    """Other readers give times of a whole map: these are never multiplied by its pixels."""

    FILES = (
        ("bruker/Hitachi_TM3030Plus.bcf", 35.0976),
        ("bruker/bcf_v2_50x50px.bcf", 19.2),
        ("jeol/View000_0000006.pts", 366.9),
    )

    @pytest.mark.parametrize(("name", "seconds"), FILES)
    @pytest.mark.parametrize("at_loading", [True, False])
    def test_readers_of_rosettasciio(self, name, seconds, at_loading):
        if not (DATA / name).is_file():
            pytest.skip(f"{DATA / name} is not there")
        kwds = {}
        if name.endswith("bcf"):  # ours has the times of a spectrum
            kwds = {"select_type": "spectrum_image", "file_format": rsciio.bruker}
        if name.endswith("pts"):
            kwds = {"file_format": rsciio.jeol}
        if at_loading:
            kwds["signal_type"] = "EDS_XFM"
        s = hs.load(DATA / name, lazy=True, **kwds)
        if not at_loading:
            s.set_signal_type("EDS_XFM")
        self.check(s, seconds)
        self.check(s.deepcopy(), seconds)

    def check(self, s, seconds):
        n_spectra = s.axes_manager.navigation_size
        assert times(s)[1] == pytest.approx(seconds)
        assert times(s.sum())[1] == pytest.approx(seconds)
        assert times(s.inav[1, 2])[1] == pytest.approx(seconds / n_spectra)
        half = s.inav[: s.axes_manager.navigation_shape[0] // 2]
        assert times(half.sum())[1] == pytest.approx(seconds / 2)
        parts = s.split(0, number_of_parts=2)
        assert times(parts[1].sum())[1] == pytest.approx(seconds / 2)

    @pytest.fixture
    def of_bcf(self, tmp_path):
        """What RosettaSciIO's reader of Bruker's maps leaves in the metadata."""
        eds = {"real_time": 35.1, "live_time": 30.0}
        s = exspy.signals.EDSSEMSpectrum(
            np.ones((3, 4, 8), dtype=np.uint8),
            metadata={
                "General": {"FileIO": {"0": {"operation": "load",
                                             "io_plugin": "rsciio.bruker"}}},
                "Acquisition_instrument": {"SEM": {"Detector": {"EDS": eds}}},
            },
        )  # fmt: skip
        s.save(tmp_path / "map.hspy")
        return tmp_path / "map.hspy"

    def test_saved_by_others(self, of_bcf):
        """HyperSpy's notes say who read the map first."""
        s = hs.load(of_bcf, signal_type="EDS_XFM")
        assert times(s.sum()) == pytest.approx((30.0, 35.1))
        assert times(s.inav[0, 0]) == pytest.approx((2.5, 2.925))
        s.inav[:2].save(of_bcf, overwrite=True)
        assert times(hs.load(of_bcf).sum()) == pytest.approx((15.0, 17.55))

    @pytest.mark.parametrize("at_loading", [True, False])
    def test_set_by_the_user(self, of_bcf, at_loading):
        """That is one spectrum's, as of any other signal."""
        s = hs.load(of_bcf, signal_type="EDS_XFM" if at_loading else "EDS_SEM")
        s.set_signal_type("EDS_XFM")
        s.set_microscope_parameters(live_time=2.0)
        assert times(s.sum()) == pytest.approx((24.0, 35.1))
        s.set_dead_time(50)
        assert times(s.sum()) == pytest.approx((17.55, 35.1))

    def test_back_and_forth(self, of_bcf):
        s = hs.load(of_bcf, signal_type="EDS_XFM")
        s.set_signal_type("EDS_SEM")
        assert times(s) == pytest.approx((2.5, 2.925))  # exspy multiplies it
        s.set_signal_type("EDS_XFM")
        assert times(s.sum()) == pytest.approx((30.0, 35.1))

    def test_as_geopixe(self, of_bcf, tmp_path):
        s = hs.load(of_bcf, signal_type="EDS_XFM")
        for axis in s.axes_manager.navigation_axes:
            axis.units = "mm"
        s.axes_manager[-1].units = "keV"
        s.set_microscope_parameters(beam_energy=20.0)
        s.save(tmp_path / "a.GeoPIXE")
        again = hs.load(tmp_path / "a.GeoPIXE")
        assert times(again.sum()) == pytest.approx((30.0, 35.1), rel=1e-5)

    def test_of_our_readers(self, path, live):
        """Another class and back: still those of one spectrum."""
        s = hs.load(path)
        s.set_signal_type("EDS_SEM")
        s.set_signal_type("EDS_XFM")
        assert times(s.sum()) == pytest.approx((live.sum(), 7.0))

    def test_of_no_reader(self):
        """As exspy has it: those of one spectrum."""
        s = hs.signals.Signal1D(np.ones((3, 4, 8)))
        s.set_signal_type("EDS_XFM")
        s.set_microscope_parameters(live_time=0.5)
        assert times(s.sum())[0] == pytest.approx(6.0)


class TestEDAXAsGeoPIXE:
    @pytest.fixture
    def s(self, tmp_path):
        edax.write_map(tmp_path / "map.spd")
        edax.write_spc(tmp_path / "map.spc", liveTime=70.0)
        s = hs.load(tmp_path / "map.spd")
        for axis in s.axes_manager.navigation_axes:
            axis.scale, axis.units = 0.1, "mm"
        return s

    def test_says_that_it_cannot(self, s, tmp_path):
        with pytest.warns(UserWarning, match="live time of the spectra is not saved"):
            s.save(tmp_path / "a.GeoPIXE")

    @pytest.mark.filterwarnings("ignore:.*dead times are not recorded:UserWarning")
    def test_keeps_it_with_a_real_time(self, s, tmp_path):
        s.metadata.set_item(f"{EDS}.real_time", 4.0)
        s.save(tmp_path / "a.GeoPIXE")
        again = hs.load(tmp_path / "a.GeoPIXE")
        assert times(again.sum()) == pytest.approx((70.0, 140.0), rel=1e-5)


class TestOneOfMany:
    """One channel, spectrum, pixel or region: type and times stay."""

    def test_one_channel(self, s, live, mask):
        channel = s.isig[5:6]
        for made, seconds in (
            (channel, live.mean()),
            (channel.inav[3, 2], live[2, 3]),
            (s.inav[3, 2].isig[5:6], live[2, 3]),
            (s.inav[3, 2].isig[5], live[2, 3]),
            (s.inav[3:4, 2:3].isig[5:6], live[2, 3]),
            (channel.sum(), live.sum()),
            (channel.rebin(scale=(7, 5, 1)), live.sum()),
            (s.rebin(scale=(1, 1, 32)), live.mean()),
            (channel.swap_axes("x", "y"), live.mean()),
            (channel.get_region_spectra({"m": mask}, show_progressbar=False)["m"],
             live[mask].sum()),
            (channel.get_summary(show_progressbar=False)["sum"], live.sum()),
        ):  # fmt: skip
            assert isinstance(made, EDSXFMSpectrum)
            assert times(made)[0] == pytest.approx(seconds)
            made.get_dead_time()

    def test_computed(self, path, live):
        channel = hs.load(path, lazy=True).isig[5:6]
        channel.compute(show_progressbar=False)
        assert type(channel) is EDSXFMSpectrum
        assert times(channel.as_lazy().sum())[0] == pytest.approx(live.sum())

    def test_a_channel_by_its_number(self, s, live):
        """HyperSpy's rule: without an energy axis it is a plain signal; the times stay."""
        image = s.isig[5]
        assert not isinstance(image, EDSXFMSpectrum)
        assert times(image)[0] == pytest.approx(live.mean())


class TestCopies:
    def test_pickled(self, s, live):
        again = pickle.loads(pickle.dumps(s))
        assert type(again) is type(s) and isinstance(again.data, type(s.data))
        np.testing.assert_array_equal(np.asarray(again.data), np.asarray(s.data))
        assert times(again.inav[3, 2])[0] == pytest.approx(live[2, 3])
        assert again.metadata.General.title == s.metadata.General.title
        assert again.axes_manager["x"].units == "mm"

    def test_shallow(self, s):
        for copied in (s.copy(), copy.copy(s)):
            assert copied.data is s.data and copied.metadata is s.metadata
            assert times(copied) == times(s)

    def test_pickled_for_another_process(self, path, live, tmp_path):
        (tmp_path / "s.pickle").write_bytes(pickle.dumps(hs.load(path, lazy=True)))
        code = (
            "import pickle, sys; s = pickle.load(open(sys.argv[1], 'rb'));"
            f"print(s.sum().metadata.get_item('{EDS}.live_time'))"
        )
        found = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, tmp_path / "s.pickle"],
            capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
        assert float(found.stdout.splitlines()[-1]) == pytest.approx(live.sum())


class TestThreads:
    """One signal, used by several threads at once."""

    def test_each_has_its_own_times(self, s, live, mask, tmp_path):
        def saved(i):
            s.inav[1, 2].save(tmp_path / f"{i}.msa")
            return (tmp_path / f"{i}.msa").read_text().split("LIVETIME")[1][:20]

        def region(i):
            return s.get_region_spectra({"m": mask}, show_progressbar=False)["m"]

        tasks = [
            lambda i: times(region(i)),
            lambda i: times(s.inav[1:3, 2]),
            lambda i: times(s.sum()),
            lambda i: times(s.rebin(scale=(7, 5, 1))),
            lambda i: times(s.swap_axes("x", "y").inav[0, 1]),
            saved,
            lambda i: times(s.isig[3:4].sum("x")),
            lambda i: times(s * mask[..., np.newaxis]),
            lambda i: times(s.deepcopy()),
            lambda i: np.asarray(s.get_live_time().data).sum(),
            lambda i: s.data.shape,
            lambda i: times(s),
        ]
        expected = [task(-1 - k) for k, task in enumerate(tasks)]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            with ThreadPoolExecutor(8) as pool:
                numbers = range(25 * len(tasks))
                found = list(pool.map(lambda i: tasks[i % len(tasks)](i), numbers))
        finally:
            sys.setswitchinterval(interval)
        assert found == 25 * expected
        assert times(s) == pytest.approx((live.mean(), 0.2))


class TestAxes:
    @pytest.mark.parametrize("units", ["eV", "keV"])
    def test_units_of_the_energy(self, path, units):
        """The spectra behind the beam's energy are told apart in either unit."""
        s = hs.load(path)
        energy, factor = s.axes_manager[-1], 1000 if units == "eV" else 1
        energy.scale, energy.units = 0.01 * factor, units
        s.metadata.Acquisition_instrument.SEM.beam_energy = 0.2
        assert _tube_channel(s) == 21
        s.axes_manager[-1].convert_to_non_uniform_axis()
        assert _tube_channel(s) == 21

    @pytest.mark.filterwarnings("ignore:You are summing over:UserWarning")
    def test_not_uniform(self, s, live):
        s.axes_manager["x"].convert_to_non_uniform_axis()
        assert times(s.inav[3, 2])[0] == pytest.approx(live[2, 3])
        assert times(s.sum("x").inav[1])[0] == pytest.approx(live[1].sum())
        assert s.get_live_time().axes_manager["x"].is_uniform is False
        region = s.get_region_spectra(
            [hs.roi.RectangularROI(0.1, 0.2, 0.3, 0.6)], show_progressbar=False
        )
        assert times(region["0"])[0] == pytest.approx(live[1:3, 1:3].sum())
        for use in (
            s.plot_dead_time,
            s.plot_detector_difference,
            s.plot_colour_map,
            lambda: s.rebin(scale=(7, 1, 1)),
            lambda: s.flip("x"),
        ):
            with pytest.raises((ValueError, NotImplementedError), match="uniform"):
                use()

    def test_energies_not_uniform(self, s, live):
        s.axes_manager[-1].convert_to_non_uniform_axis()
        assert times(s.sum())[0] == pytest.approx(live.sum())
        for use in (
            lambda: s.get_window_images([(3, 5)]),
            s.get_colour_map,
            s.plot_colour_map,
        ):
            with pytest.raises(ValueError, match="not uniform"):
                use()


@pytest.mark.parametrize("make", [lambda s: s.sum(), lambda s: s.inav[1, 2]])
def test_a_single_spectrum_of_one_detector_is_saved(path, tmp_path, make):
    """HyperSpy has no signals without axes: its map of dead times has one of size 1."""
    spectrum = make(hs.load(path, detector=1))
    spectrum.save(tmp_path / "a.hspy")
    again = hs.load(tmp_path / "a.hspy")
    assert times(again) == times(spectrum)
    expected = spectrum.get_dead_time().data
    np.testing.assert_array_equal(again.get_dead_time().data, expected)


@pytest.mark.parametrize("wrong", [30, "a", np.ones((4, 5)), "map of text", "map to 200"])
def test_metadata_that_are_no_dead_times(wrong):
    """Each operation failed with an AttributeError; 200 % was taken as no live time."""
    maps = {"map of text": np.full((4, 5), "a"), "map to 200": np.full((4, 5), 200.0)}
    s = EDSXFMSpectrum(np.ones((4, 5, 64), dtype=np.uint16))
    s.metadata.set_item("Acquisition_instrument.SEM.Detector.EDS.live_time", 1.5)
    if isinstance(wrong, str) and wrong in maps:
        wrong = hs.signals.BaseSignal(maps[wrong])
    s.metadata.set_item("Acquisition_instrument.SEM.Detector.EDS.dead_time", wrong)
    with pytest.warns(UserWarning, match="expected a map of numbers from 0 to 100"):
        total = s.sum()
    assert is_gone(total) and is_gone(s)


def test_dead_time_of_other_programs_is_left_out():
    """A number in the metadata of a file: the signal could not be made."""
    node = {"dead_time": 30, "live_time": 1.5}
    metadata = {"Acquisition_instrument": {"SEM": {"Detector": {"EDS": node}}}}
    with pytest.warns(
        UserWarning, match="dead_time in the metadata is 30, expected a map"
    ):
        s = EDSXFMSpectrum(np.ones((4, 5, 64), dtype=np.uint16), metadata=metadata)
    live = s.sum().metadata.Acquisition_instrument.SEM.Detector.EDS.live_time
    assert live == pytest.approx(30)


def test_dead_times_of_no_detector():
    s = EDSXFMSpectrum(np.ones((4, 5, 64), dtype=np.uint16))
    with pytest.raises(ValueError, match=r"has the shape \(0, 4, 5\)"):
        s.set_dead_time(np.ones((0, 4, 5)))
