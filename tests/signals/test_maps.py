"""Window images, region spectra and summaries as methods of a signal."""

import exspy
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
AXIS = {"name": "Energy", "size": 2048, "scale": 0.01, "offset": 0.0, "units": "keV"}


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

    @pytest.mark.filterwarnings("ignore:Windows of X-ray lines overlap")  # O Ka, Fe Ll
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
            (
                [(6, 7.5)],
                r"\(6.0, 7.5\), energies in keV, or \(6, 7\), channels",
            ),
            ((6, 7.5), r"is \(6, 7.5\), .*two of a kind"),
            ([(6.0, np.int16(7))], "two of a kind"),
            ([(np.float32(6), 7)], "two of a kind"),
            ({"iron": (6, 7.5)}, "two of a kind"),
            (np.array([6, 7.5], dtype=object), "two of a kind"),
            ([("6.3 keV", 7)], r"two of a kind: \('6.3 keV', 7.0\), energies"),
            ([("fe",)], "expected an X-ray line"),
            ("fe", "'fe' is no element, expected Fe. Lines of Fe: Fe_Ka, Fe_Kb"),
            (
                "Fe_KA",
                "'Fe_KA' is no X-ray line, expected Fe_Ka. Lines of Fe: Fe_Ka, Fe_Kb",
            ),
            ("Fe_K\u03b1", "expected Fe_Ka"),
            ("FeKb", "'FeKb' is no element, expected Fe_Kb"),
            (["iron"], "expected Fe"),
            (["Fe_Xa"], "expected Fe. Lines of Fe: Fe_Ka"),
            ([(-1.0, 1.0)], "expected 0 to 9.99 keV"),
            ([(float("nan"), 1.0)], "expected 0 to 9.99 keV"),
        ],
    )
    def test_wrong_windows(self, s, windows, match):
        with pytest.raises(ValueError, match=match):
            s.get_window_images(windows, **QUIET)

    @pytest.mark.parametrize(
        ("names", "method"),
        [
            (["fe"], "set_elements"),
            (["Al", "fe"], "add_elements"),
            (["Fe_KA"], "set_lines"),
            (["Fe_KA"], "add_lines"),
        ],
    )
    def test_wrong_names_in_exspys_methods(self, s, names, method):
        """What was set before stays."""
        s.set_elements(["Ca"])
        with pytest.raises(ValueError, match=r"expected Fe.* Lines of Fe: Fe_Ka, Fe_Kb"):
            getattr(s, method)(names)
        assert list(s.metadata.Sample.elements) == ["Ca"]
        if "lines" in method:
            with pytest.raises(
                ValueError, match="'Fe' is no X-ray line, expected one of Fe"
            ):
                getattr(s, method)(["Fe"])
        getattr(s, method)(iter(["Fe" if "elements" in method else "Fe_Ka"]))
        assert "Fe" in s.metadata.Sample.elements

    def test_overlapping_lines(self, path):
        """One warning for all pairs, which points here."""
        s = hs.load(path).isig[:641]
        s.set_elements(["Mn", "Fe", "Al"])
        with pytest.warns(UserWarning, match="Windows of X-ray lines overlap") as caught:
            s.get_window_images({"a": "Ti_Ka", "b": "Ba_La", "c": "Fe_Ka"}, **QUIET)
        (warning,) = caught
        # Ti Ka 4.5109, Ba La 4.4663 keV, windows of some 0.23 keV each.
        text = str(warning.message)
        assert "Ti_Ka and Ba_La (8" in text and text.count(" and ") == 1
        assert warning.filename == __file__

    def test_line_of_an_element_of_the_metadata(self, path):
        """Strong lines of others, not those of the element itself, nor weak ones."""
        s = hs.load(path).isig[:800]
        s.set_elements(["Mn", "Fe", "Cr"])
        with pytest.warns(UserWarning, match=r"overlap.*: Fe_Ka and Mn_Kb \(\d\d %\)\. "):
            s.get_window_images(["Fe_Ka"], **QUIET)
        s.get_window_images(["Fe_Kb"], **QUIET)

    def test_narrow_windows_do_not_overlap(self, s):
        with pytest.warns(UserWarning, match=r"Ca_Ka and Sn_La \(\d+ %\)"):
            s.get_window_images(["Ca_Ka", "Sn_La"], 3.0, **QUIET)
        s.get_window_images(["Ca_Ka", "Sn_La"], 1.0, **QUIET)

    def test_energies_in_ev(self, s):
        """Windows are the same channels, whatever the units of the axis."""
        expected = s.get_window_images(["Fe_Ka", "Ca_Ka"], **QUIET)
        energy = s.axes_manager.signal_axes[0]
        energy.scale, energy.offset, energy.units = 10.0, 0.0, "eV"
        found = s.get_window_images(["Fe_Ka", "Ca_Ka"], **QUIET)
        for line, image in expected.items():
            np.testing.assert_array_equal(found[line].data, image.data)
        pair = s.get_window_images((6300.0, 6500.0), **QUIET)
        assert list(pair) == ["6300.0-6500.0 eV"]
        np.testing.assert_array_equal(
            pair["6300.0-6500.0 eV"].data, np.asarray(s.isig[630:650].sum("Energy").data)
        )

    def test_colours_in_ev(self, s):
        """They end at the tube's line, Cr Ka, 5.4147 keV, whatever the units."""
        s.metadata.set_item("Acquisition_instrument.XRF.tube_target", "Cr")
        s.metadata.set_item("Acquisition_instrument.XRF.tube_voltage", 30.0)
        expected = s.get_colour_map(**QUIET)
        assert expected.metadata.Signal.energy_range == pytest.approx([0, 5.42])
        energy = s.axes_manager.signal_axes[0]
        energy.scale, energy.offset, energy.units = 10.0, 0.0, "eV"
        found = s.get_colour_map(**QUIET)
        assert found.metadata.Signal.energy_range == pytest.approx([0, 5420])
        np.testing.assert_array_equal(found.data, expected.data)
        part = s.get_colour_map(energy_range=(1000, 2000), **QUIET)
        assert part.metadata.Signal.energy_range == pytest.approx([1000, 1990])

    def test_axis_that_is_not_uniform(self, s):
        s.axes_manager[-1].convert_to_non_uniform_axis()
        for method in (s.get_window_images, s.get_colour_map, s.plot_colour_map):
            with pytest.raises(ValueError, match="axis Energy is not uniform"):
                method()
        summary = s.get_summary(**QUIET)
        assert not summary["sum"].axes_manager[-1].is_uniform
        np.testing.assert_array_equal(summary["counts"].data, np.asarray(s.data).sum(-1))

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

    def test_windows_that_are_no_list(self, s):
        with pytest.raises(ValueError, match=r"is 'Ca_Ka', .*Several windows are a list"):
            s.get_window_images("Fe_Ka", "Ca_Ka")

    def test_names_of_pairs(self, s):
        pairs = [(-10, -1), (100, 500), ("6300 eV", "6.5 keV")]
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

    def test_label_image(self, s, counts):
        """0 and negative numbers are outside, as scikit-image and scipy have it."""
        labels = np.zeros((5, 7), dtype=np.int32)
        labels[0, 1:3] = labels[4, 6] = 12
        labels[1:3, 4:] = 3
        labels[3, 0] = -1
        for image in (labels, BaseSignal(labels), hs.signals.Signal2D(labels)):
            found = s.get_region_spectra(image, **QUIET)
            assert list(found) == ["3", "12"]
            masks = {k: labels == int(k) for k in found}
            expected = s.get_region_spectra(masks, **QUIET)
            for name, spectrum in found.items():
                np.testing.assert_array_equal(
                    spectrum.data, counts[masks[name]].sum(axis=0)
                )
                assert spectrum.metadata.General.title == f"map: {name}"
                theirs = expected[name].metadata
                for item in (f"{EDS}.live_time", f"{EDS}.real_time"):
                    assert spectrum.metadata.get_item(item) == theirs.get_item(item)

    def test_labels_that_are_no_whole_numbers(self, s):
        for image in (np.ones((5, 7)), BaseSignal(np.ones((5, 7)))):
            with pytest.raises(
                ValueError, match=r"float64, expected whole numbers.*astype"
            ):
                s.get_region_spectra(image, **QUIET)

    def test_times_of_labels(self, s):
        """Those of a rectangle are those that `inav` gives."""
        labels = np.zeros((5, 7), dtype=np.uint8)
        labels[1:4, 2:6] = 1
        labels[labels == 0] = 2
        found = s.get_region_spectra(labels, **QUIET)["1"]
        expected = s.inav[2:6, 1:4].sum()
        for item in (f"{EDS}.live_time", f"{EDS}.real_time"):
            theirs = expected.metadata.get_item(item)
            assert found.metadata.get_item(item) == (theirs and pytest.approx(theirs))
        if s.metadata.has_item(f"{EDS}.dead_time"):
            theirs = expected.get_dead_time().data
            np.testing.assert_allclose(found.get_dead_time().data, theirs)
        assert not s.get_region_spectra(labels, **QUIET)[
            "2"
        ].data.flags.owndata  # no copies

    def test_classes(self, s, counts):
        """The map of classes has 0 for the first of them."""
        classes = s.classify("pca", n_classes=2, **QUIET)
        found = s.get_region_spectra(classes.labels, **QUIET)
        assert list(found) == ["0", "1"]
        for spectrum, total in zip(found.values(), classes.sums, strict=True):
            np.testing.assert_array_equal(spectrum.data, total.data)
            theirs = total.metadata.get_item(f"{EDS}.live_time")
            assert spectrum.metadata.get_item(f"{EDS}.live_time") == theirs
        plain = s.get_region_spectra(classes.labels.data + 1, **QUIET)
        np.testing.assert_array_equal(plain["1"].data, found["0"].data)

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
            (np.zeros((5, 7), dtype=int), ValueError, "no number from 1 on"),
            (np.ones((7, 5), dtype=int), ValueError, r"labels of shape \(5, 7\)"),
            (BaseSignal(np.ones((5, 7))), ValueError, "float64"),
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
        labels = s.get_region_spectra(mask.astype(int), **QUIET)["1"]
        np.testing.assert_array_equal(labels.data, together.data)
        assert labels.metadata.get_item(item) == pytest.approx(expected)
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


# Counts of lines, in a spectrum of neighbours.
AREAS = {"K": 2e5, "Ca": 4e6, "Ti": 1.8e6, "Cr": 4e5, "Mn": 3e5, "Fe": 7e6, "Cu": 1e6}


class TestNetCounts:
    """The recipe of the documentation, on spectra whose counts are known."""

    @pytest.fixture
    def total(self):
        """Gaussian lines of a detector of 145 eV whose file says 130, and a continuum."""
        energy = np.arange(2048) * 0.01
        expected = 3e3 * np.exp(-(((energy - 9) / 6) ** 2))
        for element, area in AREAS.items():
            lines = exspy.material.elements[element].Atomic_properties.Xray_lines
            for name in ("Ka", "Kb"):
                centre = lines[name]["energy (keV)"]
                # Fiori and Newbury, Scanning Electron Microscopy 1978/I.
                width = np.sqrt(0.145**2 + 0.0025 * (centre - 5.8987)) / 2.3548
                shape = np.exp(-(((energy - centre) / width) ** 2) / 2)
                peak = area * lines[name].weight * 0.01 / (width * np.sqrt(2 * np.pi))
                expected += peak * shape
        counts = np.random.default_rng(0).poisson(expected)
        s = EDSXFMSpectrum(counts, axes=[AXIS])
        s.set_microscope_parameters(beam_energy=50.0, energy_resolution_MnKa=130.0)
        return s

    def test_fit(self, total):
        found, errors = fit(total, [*AREAS, "Ni"])
        for element, area in AREAS.items():
            assert found[element] == pytest.approx(area, rel=0.05), element
        assert abs(found["Ni"]) < 2 * errors["Ni"]  # it is not there

    def test_windows_do_not_give_them(self, total):
        """Why there is no method: the background is looked for under neighbours."""
        total.set_elements([*AREAS])
        total.set_lines([f"{element}_Ka" for element in AREAS])
        background = total.estimate_background_windows(line_width=[3.0, 3.0])
        intensities = total.get_lines_intensity(background_windows=background)
        net = {i.metadata.Sample.xray_lines[0]: float(i.data[0]) for i in intensities}
        assert net["Cr_Ka"] < 0

    def test_measured(self, real_geopixe):
        """All lines that are there have counts, those that are not have none."""
        total = hs.load(real_geopixe).sum()
        found, errors = fit(total, ["K", "Ca", "Ti", "V", "Cr", "Mn", "Fe", "Ni", "Cu"])
        for element in ("K", "Ca", "Ti", "Mn", "Fe", "Cu"):
            assert found[element] > 2 * errors[element]
        for element in ("V", "Cr", "Ni"):
            assert abs(found[element]) < 2 * errors[element]


def fit(total, elements):
    """Return what docs/maps.rst tells to do."""
    total.set_elements(elements)
    total.add_lines()
    model = total.isig[3.0:10.5].create_model()
    model.fit()
    model.calibrate_energy_axis(calibrate="resolution", xray_lines=["Ca_Ka", "Fe_Ka"])
    model.fit()
    lines = model.get_lines_intensity(plot_result=False)
    names = [line.metadata.Sample.xray_lines[0] for line in lines]
    found = {n.split("_")[0]: float(i.data[0]) for n, i in zip(names, lines, strict=True)}
    return found, {name.split("_")[0]: model[name].A.std for name in names}


def test_progress_bar(path, capsys, monkeypatch):
    """On a terminal, or where it was asked for: output that goes to a file has none."""
    monkeypatch.setattr("rsciio_xfm.core.progress._DELAY", 0)
    s, in_memory = hs.load(path, lazy=True), hs.load(path)
    for one in (s, in_memory):
        one.get_summary(show_progressbar=True)
        assert "Adding up the spectra: 100%" in capsys.readouterr().err
    s.get_summary(show_progressbar=False)
    s.get_summary()
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    s.get_summary()
    assert "Adding up the spectra: 100%" in capsys.readouterr().err


def test_masked_numbers(path):
    s = hs.load(path)
    s.data = np.ma.masked_array(s.data, mask=s.data > 5)
    for method in (s.get_summary, lambda: s.get_window_images((1, 5))):
        with pytest.raises(TypeError, match="masked"):
            method()


def test_masked_regions():
    """What was masked was counted."""
    s = EDSXFMSpectrum(np.ones((6, 7, 64), dtype=np.uint16))
    s.metadata.set_item(f"{EDS}.live_time", 1.5)
    labels = np.arange(42).reshape(6, 7) % 4
    upper = np.arange(42).reshape(6, 7) < 20
    for kind in (np.int64, np.uint8, np.uint64):
        masked = np.ma.masked_array(labels.astype(kind), labels == 1)
        assert [*s.get_region_spectra(masked)] == ["2", "3"]
    found = s.get_region_spectra({"a": np.ma.masked_array(labels == 1, upper)})
    assert found["a"].data[0] == np.count_nonzero((labels == 1) & ~upper)
    with pytest.raises(ValueError, match="A region is masked"):
        s.get_region_spectra(
            {"a": np.ma.masked_array([[0, 1], [2, 3]], [[1, 0], [0, 0]])}
        )
    product = s * np.ma.masked_array(labels == 1, upper)[..., np.newaxis]
    assert not product.metadata.has_item(f"{EDS}.live_time")
    with pytest.raises(ValueError, match="expected boolean maps, lists of pixels"):
        s.get_region_spectra(np.array(1))
