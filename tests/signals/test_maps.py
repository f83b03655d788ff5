"""Window images, region spectra and summaries as methods of a signal."""

import hyperspy.api as hs
import numpy as np
import pint
import pytest
from hyperspy.signal import BaseSignal

from rsciio_xfm.signals import EDSXFMSpectrum
from tests.builders import edax as edax_builder
from tests.builders import geopixe as geopixe_builder

EDS = "Acquisition_instrument.SEM.Detector.EDS"
QUIET = {"show_progressbar": False}


@pytest.fixture(params=["edax", "geopixe"])
def path(request, tmp_path):
    if request.param == "geopixe":
        return geopixe_builder.write_map(tmp_path / "map.GeoPIXE", n_channels=1000)
    path = edax_builder.write_map(tmp_path / "map.spd", (5, 7, 1000), 2)
    edax_builder.write_spc(path.with_suffix(".spc"), 1000, kV=15.0)
    return path


@pytest.fixture(params=[False, True], ids=["eager", "lazy"])
def s(request, path):
    return hs.load(path, lazy=request.param)


@pytest.fixture
def counts(path):
    return hs.load(path).data


class TestWindowImages:
    def test_as_isig(self, s, counts):
        windows = [(1.0, 2.0), (3, 90), (2.505, 2.515), (np.float32(4), np.float64(4.5))]
        images = s.get_window_images(windows, **QUIET)
        assert list(images)[:2] == ["1.0-2.0 keV", "channels 3-90"]
        for image, (start, stop) in zip(images.values(), windows, strict=True):
            expected = s.isig[start:stop].sum("Energy")
            np.testing.assert_array_equal(image.data, np.asarray(expected.data))
            assert repr(image).startswith("<Signal2D")
            for ours, theirs in zip(
                image.axes_manager.signal_axes,
                s.axes_manager.navigation_axes,
                strict=True,
            ):
                for key in ("name", "size", "scale", "offset", "units"):
                    assert getattr(ours, key) == getattr(theirs, key)

    def test_as_exspys_lines(self, s):
        lines = ["Fe_Ka", "Ca_Ka", "Si_Ka"]
        images = s.get_window_images(lines, **QUIET)
        s.set_lines(lines)
        expected = s.get_lines_intensity()
        assert set(images) == set(lines)
        assert images["Si_Ka"].data.any()
        for theirs in expected:
            (line,) = theirs.metadata.Sample.xray_lines
            if line not in lines:  # of an element that the file names
                continue
            np.testing.assert_array_equal(images[line].data, np.asarray(theirs.data))
        again = s.get_window_images(**QUIET)  # those of the metadata
        assert set(again) >= set(lines)
        for name, image in images.items():
            np.testing.assert_array_equal(image.data, again[name].data)
            assert again[name].metadata.Sample.xray_lines == [name]
        wide = s.get_window_images(["Fe_Ka"], integration_windows=3.5, **QUIET)
        theirs = s.get_lines_intensity(["Fe_Ka"], integration_windows=3.5)[0]
        np.testing.assert_array_equal(wide["Fe_Ka"].data, np.asarray(theirs.data))

    def test_elements(self, s):
        assert list(s.get_window_images(["Fe", "Si"], **QUIET)) == ["Fe_Ka", "Si_Ka"]
        assert list(s.get_window_images("Fe", **QUIET)) == ["Fe_Ka"]
        s.set_elements(["Ca", "Fe"])
        assert list(s.get_window_images(**QUIET)) == ["Ca_Ka", "Fe_Ka"]

    def test_names(self, s):
        windows = {"iron": "Fe", "low": (0, 9), "high": (8.0, 9.0)}
        images = s.get_window_images(windows, **QUIET)
        assert list(images) == list(windows)
        assert images["iron"].metadata.General.title == "map: iron"
        expected = s.get_window_images(["Fe_Ka"], **QUIET)["Fe_Ka"]
        np.testing.assert_array_equal(images["iron"].data, expected.data)

    def test_one_pair(self, s):
        for pair in ((3, 9), [1.0, 2.0]):
            assert len(s.get_window_images(pair, **QUIET)) == 1

    @pytest.mark.parametrize(
        ("windows", "match"),
        [
            ([], "no window"),
            ({}, "no window"),
            (["Xx"], "'Xx' is no element"),
            (["Fe_Qa"], "'Fe_Qa' is no X-ray line"),
            (["Xx_Ka"], "'Xx_Ka' is no X-ray line"),
            (["Sr_Ka"], "window of Sr_Ka is .*where the spectra are"),
            ([(1, 2, 3)], "expected an X-ray line"),
            ([5], "expected an X-ray line"),
            (5, "expected an X-ray line"),
            ([("6.3", "6.5")], "expected an X-ray line"),
            ({"a": ["Fe", "Al"]}, "expected an X-ray line"),
            ([(5, 1001)], "channels 5 to 1001, expected 0 to 1000"),
            ({1: (0, 5), "1": (2, 3)}, "repeat"),
            ([(5, 5)], "at least one of the 1000 channels"),
            ([(2.0, 1.0)], "at least one of the 1000 channels"),
            ([(1.0, 11.0)], "expected 0 to 9.99 keV"),
            ([(-1.0, 1.0)], "expected 0 to 9.99 keV"),
            ([(float("nan"), 1.0)], "expected 0 to 9.99 keV"),
        ],
    )
    def test_wrong_windows(self, s, windows, match):
        with pytest.raises(ValueError, match=match):
            s.get_window_images(windows, **QUIET)

    def test_line_at_the_end(self, s, counts):
        """Its window is cut where the spectra end, the last channel is in it."""
        part = s.isig[:641]
        start, stop = part.estimate_integration_windows(xray_lines=["Fe_Ka"])[0]
        assert stop > part.axes_manager[-1].high_value
        (image,) = part.get_window_images(["Fe_Ka"], **QUIET).values()
        first = round(float(start) / 0.01)
        np.testing.assert_array_equal(image.data, counts[..., first:641].sum(axis=2))

    def test_resolution_is_not_known(self, s):
        del s.metadata.Acquisition_instrument.SEM.Detector.EDS.energy_resolution_MnKa
        with pytest.raises(ValueError, match="energy_resolution_MnKa is not known"):
            s.get_window_images(["Fe_Ka"])

    @pytest.mark.parametrize("width", [0, -1, float("nan")])
    def test_wrong_width(self, s, width):
        with pytest.raises(ValueError, match="integration_windows is"):
            s.get_window_images(["Fe_Ka"], integration_windows=width)

    def test_names_of_pairs(self, s):
        pairs = [(-10, -1), (100, 5.0), ("6300 eV", "6.5 keV")]
        names = list(s.get_window_images(pairs, **QUIET))
        assert names == ["channels 990-999", "channels 100-500", "channels 630-650"]

    def test_nothing_to_map(self, s):
        for item in ("Sample.elements", "Sample.xray_lines"):
            if s.metadata.has_item(item):
                delattr(s.metadata.Sample, item.split(".")[1])
        with pytest.raises(ValueError, match="neither X-ray lines nor elements"):
            s.get_window_images()

    def test_saved(self, s, tmp_path):
        image = s.get_window_images(["Fe_Ka"], **QUIET)["Fe_Ka"]
        image.save(tmp_path / "fe.tif")
        found = hs.load(tmp_path / "fe.tif")
        np.testing.assert_array_equal(found.data, image.data)
        x, y = found.axes_manager.signal_axes
        assert x.scale == pytest.approx(s.axes_manager[0].scale)
        assert y.units == s.axes_manager[1].units
        image.axes_manager[1].scale = image.axes_manager[0].scale
        # 2026-11: Pint 0.26 writes µ as another letter, which matplotlib-scalebar 0.9 refuses.
        is_known = tuple(map(int, pint.__version__.split(".")[:2])) < (0, 26)
        image.save(tmp_path / "fe.png", scalebar=is_known, output_size=400)
        assert (tmp_path / "fe.png").stat().st_size > 500


class TestRegionSpectra:
    def test_as_inav(self, s, counts):
        box = np.zeros((5, 7), dtype=bool)
        box[1:4, 2:6] = True
        spectra = s.get_region_spectra({"box": box, "rest": ~box}, **QUIET)
        expected = s.inav[2:6, 1:4].sum()
        found = spectra["box"]
        assert type(found) is EDSXFMSpectrum and found.axes_manager.shape == (1000,)
        np.testing.assert_array_equal(found.data, np.asarray(expected.data))
        np.testing.assert_array_equal(spectra["rest"].data, counts[~box].sum(axis=0))
        for item in (f"{EDS}.live_time", f"{EDS}.real_time"):
            theirs = expected.metadata.get_item(item)
            assert found.metadata.get_item(item) == (theirs and pytest.approx(theirs))
        if s.metadata.has_item(f"{EDS}.dead_time"):
            theirs = expected.get_dead_time().data
            np.testing.assert_allclose(found.get_dead_time().data, theirs)
        assert found.metadata.Acquisition_instrument.SEM.beam_energy > 0

    def test_kinds_of_regions(self, s, counts):
        mask = np.zeros((5, 7), dtype=bool)
        mask[2, 3] = mask[4, 6] = True
        for region in (
            mask,
            BaseSignal(mask),
            [(3, 2), (6, 4)],
            [(3, 2), (6, 4), (3, 2)],
            np.array([[3, 2], [6, 4]], dtype=np.uint8),
        ):
            spectrum = s.get_region_spectra([region], **QUIET)["0"]
            np.testing.assert_array_equal(spectrum.data, counts[mask].sum(axis=0))
        for alone in (mask, mask.tolist()):
            (found,) = s.get_region_spectra(alone, **QUIET).values()
            np.testing.assert_array_equal(found.data, counts[mask].sum(axis=0))

    def test_rois(self, s):
        x, y = s.axes_manager.navigation_axes
        for roi in (
            hs.roi.RectangularROI(x.scale, y.scale, 4 * x.scale, 3 * y.scale),
            hs.roi.CircleROI(3 * x.scale, 2 * y.scale, 2.1 * x.scale),
            hs.roi.PolygonROI([(0, 0), (5 * x.scale, 0), (0, 4 * y.scale)]),
        ):
            expected = roi(s).nansum((0, 1))
            found = s.get_region_spectra(roi, **QUIET)["0"]
            np.testing.assert_array_equal(found.data, np.asarray(expected.data))
            live_time = expected.metadata.get_item(f"{EDS}.live_time")
            assert found.metadata.get_item(f"{EDS}.live_time") == pytest.approx(live_time)

    @pytest.mark.parametrize(
        ("regions", "error", "match"),
        [
            ({}, ValueError, "no region"),
            ({"a": np.zeros((5, 7), dtype=bool)}, ValueError, "'a' has no pixel"),
            ([np.ones((7, 5), dtype=bool)], ValueError, r"expected \(5, 7\)"),
            ([np.ones((5, 7))], ValueError, "expected a boolean map"),
            ([[(1, 2, 3)]], ValueError, "pixels of 2 whole numbers"),
            ([[(1.0, 2.0)]], ValueError, "float64"),
            ([[(7, 0)]], IndexError, r"pixel is \(7, 0\).*\(7, 5\)"),
            ([[(0, -1)]], IndexError, r"pixel is \(0, -1\)"),
            (["iron"], ValueError, "A region is"),
            ("iron", ValueError, "expected boolean maps"),
            (None, ValueError, "expected boolean maps"),
            ([np.ones(7, dtype=bool)], ValueError, r"expected \(5, 7\)"),
            ([[(1, 2), (3,)]], ValueError, "different lengths"),
            ({1: [(0, 0)], "1": [(0, 1)]}, ValueError, "repeat"),
            (hs.roi.Line2DROI(0, 0.1, 0.2, 0.1, 0.1), ValueError, "Line2DROI"),
        ],
    )
    def test_wrong_regions(self, s, regions, error, match):
        with pytest.raises(error, match=match):
            s.get_region_spectra(regions, **QUIET)

    def test_detectors_apart(self, tmp_path):
        path = geopixe_builder.write_map(tmp_path / "map.GeoPIXE")
        s = hs.load(path, sum_detectors=False, lazy=True)
        mask = np.zeros((5, 7), dtype=bool)
        mask[1:3] = True
        found = s.get_region_spectra(mask, **QUIET)["0"]
        together = hs.load(path).get_region_spectra(mask)["0"]
        np.testing.assert_array_equal(found.data, together.data)
        item = f"{EDS}.live_time"
        expected = together.metadata.get_item(item)
        assert found.metadata.get_item(item) == pytest.approx(expected)
        image = s.get_window_images((3, 9), **QUIET)["channels 3-9"]
        assert image.axes_manager.shape == (2, 7, 5)


class TestSummary:
    def test_as_hyperspy(self, s):
        summary = s.get_summary(**QUIET)
        for name in ("sum", "mean", "max"):
            expected = getattr(s, name)()
            np.testing.assert_allclose(
                summary[name].data, np.asarray(expected.data), rtol=1e-14
            )
            assert type(summary[name]) is EDSXFMSpectrum
            live_time = summary[name].metadata.get_item(f"{EDS}.live_time")
            if name == "max":
                assert live_time is None and not summary[name]._lazy
            else:
                theirs = expected.metadata.get_item(f"{EDS}.live_time")
                assert live_time == pytest.approx(theirs)
        expected = np.asarray(s.sum("Energy").data)
        np.testing.assert_array_equal(summary["counts"].data, expected)
        assert repr(summary["counts"]).startswith("<Signal2D")
        assert s.metadata.has_item(f"{EDS}.live_time")  # the map's are as they were

    def test_of_a_spectrum(self, s):
        for method in (s.sum().get_summary, s.T.T.sum().get_window_images):
            with pytest.raises(
                ValueError, match="expected spectra with axes to navigate"
            ):
                method()


def test_progress_bar(path, capsys, monkeypatch):
    """On a terminal, or where it was asked for: output that goes to a file has none."""
    s = hs.load(path, lazy=True)
    s.get_summary(show_progressbar=True)
    assert "100% Completed" in capsys.readouterr().err
    s.get_summary(show_progressbar=False)
    s.get_summary()
    hs.load(path).get_summary(show_progressbar=True)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    s.get_summary()
    assert "100% Completed" in capsys.readouterr().err


def test_masked_numbers(path):
    s = hs.load(path)
    s.data = np.ma.masked_array(s.data, mask=s.data > 5)
    for method in (s.get_summary, lambda: s.get_window_images((1, 5))):
        with pytest.raises(TypeError, match="masked"):
            method()
