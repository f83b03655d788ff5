"""Concentrations of models and maps: against what spectra were made of, and bad input."""

import copy
import csv
import math
import pickle
from dataclasses import replace

import dask.array as da
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
import yaml

pytest.importorskip("xraylib")

import rsciio_xfm
from rsciio_xfm.analysis.fit.lines import group
from rsciio_xfm.analysis.quantify.enhancement import yields
from rsciio_xfm.analysis.quantify.primary import Sample, sensitivities
from rsciio_xfm.core.eds import DETECTOR_AXIS
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.signals.concentrations import results_in
from rsciio_xfm.signals.layers import parse_layer
from rsciio_xfm.signals.quantify import make_plan, quantify
from rsciio_xfm.signals.setups import describe
from tests.builders import xrf
from tests.signals.test_element_model import ENERGY, RANGE, make

ELEMENTS = ["Ti", "Cr", "Mn", "Fe", "Ni", "Cu", "Zn"]
STEEL = {"Cr": 18.0, "Mn": 2.0, "Fe": 68.0, "Ni": 12.0}  # mass %
ALLOY = {"Cr": 10.0, "Mn": 5.0, "Fe": 80.0, "Cu": 5.0}
BRASS = {"Cu": 62.0, "Zn": 36.0, "Fe": 2.0}
FLUX, ANGLE, LIVE = 2e10, 0.01, 0.02  # photons/s, sr, s of a pixel
GIVEN = {"incidence": 60, "takeoff": 40, "atmosphere": "air", "distance": 1.0,
         "window": "Be 8 um", "crystal": "Si 0.5 mm"}  # fmt: skip
SETUP = {"atmosphere": "vacuum", "window": "Be 8 um"}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def fitted():
    """A model whose columns are those of the spectra here."""
    counts = xrf.make((24, 20), counts=600, excitation=ENERGY).counts
    return make(counts).create_element_model(ELEMENTS, ENERGY, RANGE).fit()


@pytest.fixture(scope="module")
def setup():
    return rsciio_xfm.make_setup(ENERGY, **GIVEN, flux=FLUX, solid_angle=ANGLE)


@pytest.fixture(scope="module")
def expect(fitted, setup):
    """Return a function that makes the spectrum of a pixel."""
    names = [f"{name}_K" for name in ELEMENTS]
    groups = [group(name, "K", setup.excitation) for name in ELEMENTS]
    basis = fitted.basis

    def spectrum(known, thickness=math.inf, live_time=LIVE):
        parts = {name: part / 100 for name, part in known.items()}
        if thickness is None:  # ug/cm2
            seen = np.array([1e-6 * known.get(name, 0.0) for name in ELEMENTS])
            seen = seen * sensitivities(setup, groups)
        else:
            seen = yields(Sample(parts, thickness), setup, groups).total
        areas = np.zeros(len(basis.names))
        for name, photons in zip(names, seen, strict=True):
            rate = FLUX * ANGLE / (4 * math.pi) * photons
            areas[basis.names.index(name)] = rate * live_time
        areas[basis.names.index("background")] = 0.03 * areas.sum()
        whole = np.zeros(fitted.model.n_channels)
        whole[basis.first : basis.stop] = np.maximum(basis.columns @ areas, 0)
        return whole

    return spectrum


def make_map(expected, shape=(10, 8), seed=0, live_time=LIVE, **options):
    """A map of noisy spectra; `expected` is one spectrum, or one for each pixel."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(np.broadcast_to(expected, (*shape, expected.shape[-1])))
    s = make(counts.astype(np.uint32), **options)
    if live_time is not None:
        node = "Acquisition_instrument.SEM.Detector.EDS"
        s.metadata.set_item(f"{node}.live_time", live_time)
    return s


@pytest.fixture(scope="module")
def standard(fitted, expect, setup):
    maps = make_map(expect(STEEL), seed=1).get_element_maps(fitted)
    return maps.as_standard(STEEL, setup=setup)


@pytest.fixture(scope="module")
def labels():
    return (np.arange(80).reshape(10, 8) % 8 > 3).astype(int)


@pytest.fixture(scope="module")
def two(expect, labels):
    """Alloy on the left, brass on the right."""
    return np.array([expect(ALLOY), expect(BRASS)])[labels]


@pytest.fixture(scope="module")
def maps(two, fitted):
    return make_map(two).get_element_maps(fitted)


@pytest.fixture(scope="module")
def alloy(expect):
    """The spectrum of a pixel of one alloy."""
    return expect(ALLOY)


@pytest.fixture(scope="module")
def whole(alloy, fitted):
    """Maps of one alloy all over."""
    return make_map(alloy).get_element_maps(fitted)


def check(amounts, known, rel=0.01):
    for name, part in known.items():
        value, sigma = amounts[name]
        assert value == pytest.approx(part, rel=rel, abs=4 * sigma)
        assert 0 < sigma < 0.1 * max(part, 5)


class TestRightAnswers:
    def test_standard(self, standard):
        factor = standard.factor
        assert factor.value == pytest.approx(FLUX * ANGLE / (4 * math.pi), rel=0.01)
        assert set(factor.per_group) == {"Cr_K", "Mn_K", "Fe_K", "Ni_K"}
        assert factor.spread < 0.02

    def test_classes(self, maps, standard, labels):
        parts = {"alloy": labels == 0, "brass": labels == 1}
        found = maps.quantify(standard, per=parts)
        check(found["alloy"], ALLOY)
        check(found["brass"], BRASS, rel=0.02)
        assert found.regions["alloy"].sum == pytest.approx(100, abs=1.5)
        assert found["alloy"].n_pixels == 40
        assert found["alloy"].live_time == pytest.approx(40 * LIVE)
        assert found["brass"].found.enhancement[0] >= 0

    def test_absolute(self, maps, setup, labels):
        found = maps.quantify(setup=setup, per={"alloy": labels == 0})
        check(found["alloy"], ALLOY)
        assert "by flux and solid angle" in repr(found)

    def test_normalise(self, maps, labels):
        """Nothing but angles and the air is needed."""
        bare = rsciio_xfm.make_setup(ENERGY, **GIVEN)
        found = maps.quantify(setup=bare, matrix="normalise", per={"alloy": labels == 0})
        check(found["alloy"], ALLOY)
        assert "taken to add up to 100 %" in repr(found)
        maps.quantify(matrix="normalise", per={"alloy": labels == 0})
        assert "nan" not in repr(found) and "\nsum" not in repr(found)

    @pytest.mark.parametrize("live_time", [None, 0.0])
    def test_normalise_without_a_live_time(self, two, fitted, labels, live_time):
        """It changes no ratio; with one there is nothing else."""
        maps = make_map(two, live_time=live_time).get_element_maps(fitted)
        timed = make_map(two).get_element_maps(fitted)
        bare = rsciio_xfm.make_setup(ENERGY, **GIVEN)
        given = {"setup": bare, "matrix": "normalize", "per": {"alloy": labels == 0}}
        found, expected = maps.quantify(**given), timed.quantify(**given)
        check(found["alloy"], ALLOY)
        assert found["alloy"]["Fe"] == pytest.approx(expected["alloy"]["Fe"], rel=1e-3)
        images = [own.maps["Fe"].data for own in (found, expected)]
        np.testing.assert_allclose(*images, rtol=1e-3)
        assert "The live time is not known" in repr(found) and "s live" not in repr(found)
        maps.model.live_time = live_time
        alone = maps.model.quantify(setup=bare, matrix="normalise")
        assert math.isnan(alone[""].live_time)

    def test_negative_amounts(self, alloy, fitted, standard):
        """Of an element that is not there: what counts say, with its uncertainty."""
        found = make_map(alloy, seed=7).get_element_maps(fitted).quantify(standard)
        absent = [found[name] for name in ("Ti", "Ni", "Zn")]
        assert any(value < 0 for value, _ in absent)
        for value, sigma in absent:
            assert abs(value) < 4 * sigma
        mean = found.maps["Ti"].data.mean()
        assert mean == pytest.approx(found["Ti"][0], rel=1e-4)

    def test_what_the_sum_is_of(self, maps, setup, labels):
        """Rows above it that were assumed, or scaled to 100 %, are not in the sum."""

        def last(matrix, live_time=2 * LIVE):
            given = {"live_time": live_time, "per": {"alloy": labels == 0}}
            found = maps.quantify(setup=setup, matrix=matrix, **given)
            (line,) = [one for one in repr(found).splitlines() if one.startswith("sum")]
            return line

        assert last("SiO2").endswith("  without what is assumed")
        assert last("normalise").endswith("  before it was normalised")
        assert len(last(None, LIVE).split()) == 2

    def test_setup_is_short(self):
        """The hundreds of energies of a tube are not printed."""
        assert len(repr(rsciio_xfm.make_setup("Mo 50 kV"))) < 500

    def test_noise_of_the_standard(self, maps, setup, labels, monkeypatch):
        """It cancels in what is normalised, as far as all lines have the same factor."""
        from rsciio_xfm.analysis.quantify.standards import Factor
        from rsciio_xfm.signals import quantify

        def sigma(factor, matrix):
            monkeypatch.setattr(quantify, "absolute", lambda _: factor)
            found = maps.quantify(setup=setup, matrix=matrix, per={"": labels == 0})
            amount, noise = found[""]["Fe"]
            return noise / amount

        value = FLUX * ANGLE / (4 * math.pi)
        none, mean = Factor(value), Factor(value, 0.1 * value)
        own = Factor(value, 0.1 * value, 0.2, {"Fe_K": value}, {"Fe_K": 0.1 * value})
        exact = sigma(none, "normalise")
        assert sigma(mean, None) == pytest.approx(0.1, rel=0.1)
        assert sigma(mean, "normalise") == pytest.approx(exact, rel=1e-6)
        others = 1 - ALLOY["Fe"] / 100
        expected = math.hypot(exact, 0.1 * others, 0.1 * others)
        assert sigma(own, "normalise") == pytest.approx(expected, rel=0.05)

    def test_spectrum(self, expect, fitted, standard):
        s = make_map(expect(ALLOY, live_time=1.0), (), live_time=1.0)
        model = copy.copy(fitted).fit(s)
        assert model.live_time == 1.0
        found = model.quantify(standard)
        check(found.regions[""], ALLOY)
        assert found["Fe"] == found.regions[""]["Fe_K"]
        assert found[""]["Fe"] == found["Fe"]

    def test_thickness(self, expect, fitted, setup):
        s = make_map(expect(STEEL, 2e-3))
        found = s.get_element_maps(fitted).quantify(setup=setup, sample=2e-3)
        check(found.regions[""], STEEL)

    def test_film(self, expect, fitted, setup):
        film, other = {"Fe": 30.0, "Cu": 20.0}, {"Fe": 90.0, "Ti": 10.0, "Cu": 5.0}
        maps = [
            make_map(expect(known, None), seed=k).get_element_maps(fitted)
            for k, known in enumerate((film, other))
        ]
        standard = maps[0].as_standard(film, "thin", setup=setup)
        found = maps[1].quantify(standard, sample="thin")
        check(found.regions[""], other, rel=0.02)
        assert "µg/cm2" in repr(found) and found.table[0]["ug_cm2"] > 9
        image = found.maps["Fe"]
        assert image.data.mean() == pytest.approx(found["Fe"][0], rel=1e-4)
        assert image.metadata.Signal.quantity == "Areal density (ug/cm2)"

    def test_dark_matrix(self, expect, fitted, setup):
        known = {"Fe": 8.0, "Ti": 4.0, "Si": 88.0 * 0.4674, "O": 88.0 * 0.5326}
        s = make_map(expect(known))
        found = s.get_element_maps(fitted).quantify(setup=setup, matrix="SiO2")
        check(found.regions[""], {"Fe": 8.0, "Ti": 4.0})
        rest = found.regions[""].matrix
        assert rest["O"] == pytest.approx(46.9, abs=0.5)
        row = [row for row in found.table if row["element"] == "Si"]
        assert row[0]["remark"] == "assumed: matrix"

    def test_oxides(self, expect, fitted, setup):
        """What is assumed is of the same whole as what was measured."""
        s = make_map(expect({"Fe": 20.0, "Cr": 5.0, "O": 75.0}))
        match = "If it is a film: sample='thin'"
        with pytest.warns(UserWarning, match=match):
            found = s.get_element_maps(fitted).quantify(setup=setup, matrix="oxides")
        own = found.regions[""]
        assert own.matrix["O"] == pytest.approx(0.4297 * own["Fe"][0]
                                                + 0.4616 * own["Cr"][0], rel=0.05)  # fmt: skip
        every = sum(own[name][0] for name in own) + own.matrix["O"]
        assert own.sum == pytest.approx(every, rel=1e-3)

    def test_several_standards(self, maps, standard, expect, fitted, setup, labels):
        other = make_map(expect(BRASS), seed=5).get_element_maps(fitted)
        brass = other.as_standard(BRASS, setup=setup)
        found = maps.quantify([standard, brass], per={"brass": labels == 1})
        check(found["brass"], BRASS)
        assert "Zn_K" in found.factor.per_group and "Cr_K" in found.factor.per_group
        assert "not by their own: Ti_K" in repr(found)


class TestSignals:
    """The same of every kind of signal."""

    def test_lazy(self, alloy, fitted, standard, whole):
        lazy = make_map(alloy).as_lazy()
        found = lazy.get_element_maps(fitted).quantify(standard)
        assert found["Fe"] == pytest.approx(whole.quantify(standard)["Fe"], rel=1e-4)

    def test_other_type(self, alloy, fitted, standard, whole):
        s = make_map(alloy, signal_type="")
        own = rsciio_xfm.get_element_maps(s, fitted)
        found = own.quantify(standard, live_time=LIVE)
        assert found["Fe"] == pytest.approx(whole.quantify(standard)["Fe"], rel=1e-4)

    def test_detectors(self, alloy, fitted, standard, whole):
        """Live times add up over detectors, summed or apart."""
        every = make_map(alloy).data
        half = np.random.default_rng(3).binomial(every, 0.5)
        s = make(np.stack([half, every - half]).astype(np.uint32))
        s.axes_manager._axes[0].name = DETECTOR_AXIS
        node = "Acquisition_instrument.SEM.Detector.EDS.live_time"
        s.metadata.set_item(node, LIVE / 2)
        apart = s.get_element_maps(fitted)
        assert apart.live_time == pytest.approx(LIVE)
        found = apart.quantify(standard)
        assert found["Fe"][0] == pytest.approx(
            whole.quantify(standard)["Fe"][0], rel=1e-3
        )
        summed = s.sum(DETECTOR_AXIS).get_element_maps(fitted)
        assert summed.live_time == pytest.approx(LIVE)

    def test_models_of_detectors(self, alloy):
        """Each has the counts and the live time of its own detector, and the map's angles."""
        every = make_map(alloy).data
        half = np.random.default_rng(3).binomial(every, 0.5)
        s = make(np.stack([half, every - half]).astype(np.uint32))
        s.axes_manager._axes[0].name = DETECTOR_AXIS
        node = "Acquisition_instrument.SEM.Detector.EDS.live_time"
        s.metadata.set_item(node, LIVE / 2)
        s.metadata.set_item("Acquisition_instrument.SEM.beam_energy", ENERGY)
        s.metadata.set_item("Acquisition_instrument.XRF.incidence_angle", 60.0)
        maps = s.get_element_maps(ELEMENTS, excitation=ENERGY, energy_range=RANGE)
        standard = maps.as_standard(ALLOY)
        assert standard.setup.incidence == 60.0
        assert maps.quantify(matrix="normalise").setup.incidence == 60.0
        for model in maps.models:
            assert model.live_time == pytest.approx(LIVE / 2)
            check(model.quantify(standard).regions[""], ALLOY, rel=0.03)

    def test_dead_time(self, expect, fitted, standard, labels):
        """Each pixel has its own live time."""
        share = np.where(labels, 0.4, 0.9)
        s = make_map(expect(STEEL) * share[..., None], live_time=None)
        s.metadata.set_item("Acquisition_instrument.SEM.Detector.EDS.real_time", LIVE)
        s.set_dead_time(100 * (1 - share))
        maps = s.get_element_maps(fitted)
        np.testing.assert_allclose(maps.live_time, LIVE * share)
        found = maps.quantify(standard, per={"0": labels == 0, "1": labels == 1})
        for name in "01":
            check(found[name], STEEL, rel=0.02)
        image = maps.quantify(standard).maps["Fe"].data
        for k in (0, 1):
            assert image[labels == k].mean() == pytest.approx(68, rel=0.02)

    def test_line(self, expect, fitted, standard, tmp_path):
        found = make_map(expect(STEEL), (40,)).get_element_maps(fitted).quantify(standard)
        assert found.maps["Fe"].data.shape == (40,)
        found.save(tmp_path / "r")
        assert hs.load(tmp_path / "r" / "Fe_K_mass_percent.tif").data.shape == (1, 40)

    def test_pickle(self, whole, standard):
        again = pickle.loads(pickle.dumps(whole)).quantify(standard)
        image = pickle.loads(pickle.dumps(again)).maps["Fe"]
        np.testing.assert_array_equal(image.data, again.maps["Fe"].data)
        assert again["Fe"] == whole.quantify(standard)["Fe"]

    def test_nonnegative(self, alloy, fitted, standard, labels):
        maps = make_map(alloy).get_element_maps(fitted, nonnegative=True)
        assert maps.quantify(standard)["Fe"][0] == pytest.approx(80, rel=0.02)
        with pytest.raises(ValueError, match="nonnegative=True"):
            maps.quantify(standard, per=labels)

    def test_model_that_was_saved(self, alloy, fitted, standard, tmp_path):
        s = make_map(alloy)
        model = copy.copy(fitted).fit(s)
        model.save(tmp_path / "model.yaml")
        again = rsciio_xfm.load_element_model(tmp_path / "model.yaml")
        assert again.live_time == pytest.approx(LIVE)
        expected = model.quantify(standard)["Fe"]
        assert again.quantify(standard)["Fe"] == pytest.approx(expected, rel=1e-6)


class TestMaps:
    def test_by_class(self, maps, standard, labels):
        found = maps.quantify(standard, per={"alloy": labels == 0})
        image = found.maps["Fe_K"]
        assert list(found.maps) == [f"{name}_K" for name in ELEMENTS]
        assert image.data.dtype == np.float32
        assert np.isnan(image.data[labels == 1]).all()
        assert image.data[labels == 0].mean() == pytest.approx(found["alloy"]["Fe"][0])
        assert (image.axes_manager[0].name, image.axes_manager[0].scale) == ("x", 0.05)
        metadata = image.metadata
        assert metadata.Signal.quantity == "Mass fraction (%)"
        assert metadata.Sample.elements == ["Fe"]
        assert metadata.Quantification.sample == "thick"
        assert any("Sigma is" in note for note in metadata.Quantification.notes)

    def test_labels(self, maps, standard, labels):
        found = maps.quantify(standard, per=labels + 1)
        assert list(found.regions) == ["1", "2"]
        with pytest.raises(KeyError, match="'alloy' is no region, expected one of 1, 2"):
            found["alloy"]

    def test_classification(self, standard, two, fitted, labels):
        s = make_map(two)
        classes = s.classify(reducer="pca", classifier="kmeans", n_classes=2)
        found = s.get_element_maps(fitted).quantify(standard, per=classes)
        assert sorted(own["Cu"][0] > 30 for own in found.regions.values()) == [
            False,
            True,
        ]

    def test_pixels_without_live_time(self, alloy, fitted, standard):
        s = make_map(alloy, live_time=None)
        s.metadata.set_item("Acquisition_instrument.SEM.Detector.EDS.real_time", LIVE)
        dead = np.zeros((10, 8))
        dead[0, 0] = np.nan
        s.set_dead_time(dead)
        image = s.get_element_maps(fitted).quantify(standard).maps["Fe"].data
        assert np.isnan(image[0, 0]) and np.isfinite(image[1:]).all()

    def test_of_a_spectrum(self, fitted, setup):
        found = fitted.quantify(setup=setup, live_time=1.0, matrix="SiO2")
        with pytest.raises(ValueError, match="concentrations of a spectrum"):
            _ = found.maps


class TestShown:
    def test_repr(self, maps, standard, labels):
        text = repr(maps.quantify(standard, per={"alloy": labels == 0}))
        lines = text.splitlines()
        assert lines[0] == "Concentrations of phantom: mass %, thick sample"
        assert lines[1].startswith(
            "17.44 keV, incidence 60 and take-off 40 degrees, air 1"
        )
        assert lines[3] == "alloy, 40 pixels, 0.8 s live"
        assert lines[4].split() == ["mass", "%", "sigma", "limit", "enhanced"]
        assert any(line.startswith("Zn_K") and "not detected" in line for line in lines)
        assert any(line.startswith("sum ") for line in lines)
        assert "flux x solid angle / 4 pi: " in text
        assert "photons/s by phantom" in text and "between lines" in text

    def test_remarks_of_the_fit(self, fitted, setup):
        """What was only possible in the fit is so in mass %, too."""
        notes = {"Fe_K": "possible, or Mn_K", "Zn_K": "possible"}
        names = fitted.areas.names
        counts = np.array([0.0 if name == "Zn_K" else 900.0 for name in names])
        sigma = np.full(len(names), 30.0)
        areas = replace(fitted.areas, counts=counts, sigma=sigma, notes=notes)
        plan = make_plan(fitted, None, setup, "thick", "SiO2")
        found = quantify(plan, "alloy", {"": areas}, {"": 1.0})
        said = {row["lines"]: row["remark"] for row in found.table}
        assert said["Fe_K"] == "possible, or Mn_K" and said["Cr_K"] == ""
        assert said["Zn_K"] == "not detected; possible"

    def test_what_was_assumed(self, maps, labels):
        bare = rsciio_xfm.make_setup(ENERGY, flux=FLUX, solid_angle=ANGLE)
        found = maps.quantify(setup=bare, matrix="normalise")
        for words in ("45 degrees of incidence", "45 degrees of take-off",
                      "nothing absorbs between", "no window", "of 0.5 mm"):  # fmt: skip
            assert f"{words}" in repr(found)
            assert any(words in note for note in found.notes)

    def test_standard(self, standard):
        text = repr(standard)
        assert text.startswith("Standard phantom: 17.44 keV, incidence 60")
        assert "Cr_K 18 mass %" in text and "between lines" in text


class TestFiles:
    def test_table(self, maps, standard, labels, tmp_path):
        found = maps.quantify(standard, per={"a, b": labels == 0, "c": labels == 1})
        paths = found.save(tmp_path / "r")
        assert [path.name for path in paths[:3]] == [
            "concentrations.csv", "notes.txt", "Ti_K_mass_percent.tif"
        ]  # fmt: skip
        with (tmp_path / "r" / "concentrations.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0])[:4] == ["region", "element", "lines", "mass_percent"]
        assert {"sigma_mass_percent", "detection_limit_mass_percent"} < set(rows[0])
        (row,) = [r for r in rows if (r["region"], r["element"]) == ("a, b", "Fe")]
        assert float(row["mass_percent"]) == pytest.approx(80, abs=1)
        assert len(rows) == len(found.table) == 14
        image = hs.load(tmp_path / "r" / "Fe_K_mass_percent.tif").data
        np.testing.assert_array_equal(image, found.maps["Fe"].data)
        assert "Geometry factor" in (tmp_path / "r" / "notes.txt").read_text(
            encoding="utf-8"
        )

    def test_pandas(self, maps, standard, labels, tmp_path):
        pandas = pytest.importorskip("pandas")
        found = maps.quantify(standard, per={"a, b": labels == 0, "c": labels == 1})
        found.save(tmp_path)
        frame = pandas.read_csv(tmp_path / "concentrations.csv")
        assert frame.mass_percent.dtype == float and set(frame.region) == {"a, b", "c"}
        made = pandas.DataFrame(found.table)
        assert list(made.columns) == list(frame.columns) and len(made) == len(frame)
        numbers = made.select_dtypes("number").columns
        assert list(numbers) == list(frame.select_dtypes("number").columns)
        np.testing.assert_allclose(frame[numbers], made[numbers], rtol=1e-5)
        rows = frame.set_index(["region", "element"])
        assert rows.loc[("a, b", "Fe"), "mass_percent"] == pytest.approx(80, abs=1)

    def test_pandas_of_a_matrix(self, maps, setup, tmp_path):
        """What was assumed has no sigma: NaN there, and a number beside it."""
        pandas = pytest.importorskip("pandas")
        given = {"matrix": "SiO2", "per": {"": np.ones((10, 8), bool)}}
        maps.quantify(setup=setup, live_time=3 * LIVE, **given).save(tmp_path)
        frame = pandas.read_csv(tmp_path / "concentrations.csv")
        (row,) = frame[frame.element == "O"].to_dict("records")
        assert row["mass_percent"] > 1 and np.isnan(row["sigma_mass_percent"])
        assert row["remark"] == "assumed: matrix"

    def test_film(self, maps, standard, tmp_path):
        with pytest.warns(UserWarning, match="said to be thin"):
            found = maps.quantify(standard, sample="thin")
        found.save(tmp_path)
        with (tmp_path / "concentrations.csv").open(encoding="utf-8") as file:
            row = next(csv.DictReader(file))
        assert row["ug_cm2"] and row["enhancement_percent"] == "" and row["region"] == ""

    def test_overwrite(self, maps, standard, labels, tmp_path):
        found = maps.quantify(standard, per={"alloy": labels == 0})
        old = found.save(tmp_path / "r")
        with pytest.raises(FileExistsError, match="use overwrite=True"):
            found.save(tmp_path / "r")
        with pytest.warns(UserWarning, match="said to be thin"):
            film = maps.quantify(standard, sample="thin")
        new = film.save(tmp_path / "r", overwrite=True)
        assert (
            set((tmp_path / "r").iterdir()) == set(new) == set(results_in(tmp_path / "r"))
        )
        assert not set(new) & set(old[2:])

    def test_of_others(self, whole, standard, tmp_path):
        """What we have not written stays, or is refused."""
        (tmp_path / "concentrations.csv").write_text("a,b\n", encoding="utf-8")
        (tmp_path / "Fe_K_mass_percent.tif").write_bytes(b"")
        assert results_in(tmp_path) == []
        found = whole.quantify(standard)
        with pytest.raises(FileExistsError):
            found.save(tmp_path)
        (tmp_path / "r").write_bytes(b"")
        with pytest.raises(NotADirectoryError, match="is a file"):
            found.save(tmp_path / "r")


class TestStandardFile:
    def test_saved_and_loaded(self, standard, tmp_path):
        standard.save(tmp_path / "steel.yaml")
        again = rsciio_xfm.load_standard(tmp_path / "steel.yaml")
        assert again.factor == standard.factor and again.setup == standard.setup
        assert again.known == pytest.approx(standard.known)
        assert repr(again) == repr(standard)
        with pytest.raises(FileExistsError):
            standard.save(tmp_path / "steel.yaml")
        standard.save(tmp_path / "steel.yaml", overwrite=True)
        with pytest.raises(ValueError, match=r"expected \.yaml or \.yml"):
            standard.save(tmp_path / "steel.txt")

    @pytest.mark.parametrize("sample", ["thin", 0.002])
    def test_other_samples(self, fitted, expect, setup, sample, tmp_path):
        known = {"Fe": 60.0, "Cu": 40.0}
        thickness = None if sample == "thin" else sample
        maps = make_map(expect(known, thickness)).get_element_maps(fitted)
        own = maps.as_standard(known, sample, setup=setup)
        own.save(tmp_path / "a.yaml")
        again = rsciio_xfm.load_standard(tmp_path / "a.yaml")
        assert again.thickness == thickness
        assert again.factor.value == pytest.approx(own.factor.value)

    def test_not_over_a_model(self, standard, fitted, tmp_path):
        fitted.save(tmp_path / "a.yaml")
        with pytest.raises(
            FileFormatError, match=r"expected a standard, as standard\.save"
        ):
            standard.save(tmp_path / "a.yaml", overwrite=True)
        with pytest.raises(
            FileFormatError, match="its kind is 'rsciio_xfm element model'"
        ):
            rsciio_xfm.load_standard(tmp_path / "a.yaml")

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("version", 2),
            ("counts", {}),
            ("counts", {"Fe_K": [1.0]}),
            ("counts", {"Fe_K": [math.nan, 1.0, 1.0]}),
            ("counts", {"Fe": [1.0, 1.0, 1.0]}),
            ("live_time_s", 0),
            ("live_time_s", "x"),
            ("known", {"Ti": 100}),
            ("known", [1]),
            ("sample", "thicc"),
            ("setup", {}),
            ("setup.incidence", "x"),
            ("setup.takeoff", 120),
            ("setup.excitation", None),
            ("setup.excitation.energies", [1, 2, 3]),
            ("setup.path", [{"formula": "Be"}]),
            ("setup.detector.thickness", "thick"),
            ("setup.detector.thickness", -0.05),
            ("setup.flux", -1.0),
            ("setup.solid_angle", 100.0),
            ("known", {"Fe": math.nan, "Cr": 95.0}),
            ("known", {"Fe": -1.0, "Cr": 101.0}),
            ("known", {"Fe": 64.0, "Xy": 36.0}),
            ("known", {"Fe": 0.64, "Cr": 0.36}),
            ("unit", "µg/cm2"),
            ("sample", "thin"),
        ],
    )
    def test_damaged(self, standard, tmp_path, path, value):
        standard.save(tmp_path / "a.yaml")
        held = yaml.safe_load((tmp_path / "a.yaml").read_text(encoding="utf-8"))
        *nodes, last = path.split(".")
        node = held
        for name in nodes:
            node = node[name]
        node[last] = value
        (tmp_path / "a.yaml").write_text(yaml.safe_dump(held), encoding="utf-8")
        with pytest.raises(FileFormatError, match=r"a\.yaml: the standard is damaged"):
            rsciio_xfm.load_standard(tmp_path / "a.yaml")

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            rsciio_xfm.load_standard(tmp_path / "none.yaml")


class TestBadInput:
    def test_no_standard_and_no_geometry(self, maps, fitted):
        for one in (maps, fitted):
            with pytest.raises(ValueError, match="no standard and no geometry, expected"):
                one.quantify()
        bare = rsciio_xfm.make_setup(ENERGY)
        with pytest.raises(ValueError, match="no flux and no solid_angle"):
            maps.quantify(setup=bare)

    def test_another_energy(self, maps, standard, setup):
        other = rsciio_xfm.make_setup(20.0, **GIVEN)
        with pytest.raises(
            ValueError, match=r"has 20 keV, and the fit was made for 17\.44"
        ):
            maps.quantify(standard, other)
        with pytest.raises(
            ValueError, match=r"has 20 keV, and the fit was made for 17\.44"
        ):
            maps.as_standard(STEEL, setup=other)
        tube = rsciio_xfm.make_setup("Mo 17.44 kV", **GIVEN)
        with pytest.raises(ValueError, match="expected the same excitation"):
            maps.quantify(setup=tube)
        held = standard.__class__(
            standard.measured, other, standard.known, standard.thickness, "steel"
        )
        with pytest.raises(ValueError, match="expected the same excitation"):
            maps.quantify(held)
        with pytest.raises(ValueError, match="expected the same excitation"):
            maps.quantify(held, setup)

    def test_other_angles(self, whole, standard):
        other = rsciio_xfm.make_setup(ENERGY, **(GIVEN | {"takeoff": 38}))
        with pytest.warns(UserWarning, match="standard phantom differs .* in takeoff"):
            whole.quantify(standard, other, matrix="normalise")
        other = rsciio_xfm.make_setup(ENERGY, **(GIVEN | {"distance": 1.2}))
        with pytest.warns(UserWarning, match="air, window or crystal"):
            whole.quantify(standard, other, matrix="normalise")

    def test_not_converged(self, maps, standard, labels, monkeypatch):
        from rsciio_xfm.analysis.quantify import compose

        monkeypatch.setattr(compose, "_MOST_STEPS", 2)
        parts = {"alloy": labels == 0}
        with pytest.warns(UserWarning, match=r"alloy: Not converged after 2 steps: .*Fe"):
            found = maps.quantify(standard, per=parts, matrix="normalise")
        assert any("Not converged" in note for note in found.notes)

    def test_above_100_percent(self, maps, setup, labels):
        weak = rsciio_xfm.make_setup(ENERGY, **GIVEN, flux=0.8 * FLUX, solid_angle=ANGLE)
        with pytest.warns(
            UserWarning, match=r"alloy: The elements add up to 1[12]\d\.\d %"
        ):
            found = maps.quantify(setup=weak, per={"alloy": labels == 0})
        assert found.regions["alloy"].sum > 110  # not normalised
        with pytest.warns(UserWarning, match="matrix is wrong. They were normalised"):
            maps.quantify(setup=weak, per={"alloy": labels == 0}, matrix="normalise")

    def test_lines_of_the_standard(self, whole, setup):
        with pytest.raises(ValueError, match="name its elements in the model"):
            whole.as_standard({"SiO2": 100.0}, setup=setup)
        with pytest.warns(
            UserWarning, match=r"standard has V \(2 mass %\), with lines in"
        ):
            whole.as_standard(ALLOY | {"Fe": 78.0, "V": 2.0}, setup=setup)

    def test_lines_that_disagree(self, maps, setup):
        with pytest.warns(UserWarning, match="lines of the standard do not agree"):
            maps.as_standard({"Fe": 50.0, "Cr": 20.0, "Cu": 30.0}, setup=setup)

    def test_film_called_thick(self, expect, fitted, setup):
        maps = make_map(expect({"Fe": 90.0, "Cu": 50.0}, None)).get_element_maps(fitted)
        with pytest.warns(UserWarning, match="If it is a film: sample='thin'"):
            maps.quantify(setup=setup)
        with pytest.raises(ValueError, match='µg/cm2 of a film, sample="thin"'):
            maps.as_standard({"Fe": 1.9, "Cu": 0.5}, setup=setup)

    def test_thick_called_thin(self, maps, setup):
        with pytest.warns(UserWarning, match="would absorb .* amounts are too low"):
            maps.quantify(setup=setup, sample="thin")
        with pytest.raises(ValueError, match="matrix is 'SiO2', and the sample thin"):
            maps.quantify(setup=setup, sample="thin", matrix="SiO2")

    def test_live_time(self, alloy, fitted, standard, labels):
        maps = make_map(alloy, live_time=None).get_element_maps(fitted)
        with pytest.raises(ValueError, match="live time is not known, expected seconds"):
            maps.quantify(standard)
        with pytest.raises(ValueError, match="live time is not known, expected seconds"):
            maps.as_standard(ALLOY)
        assert maps.quantify(standard, live_time=LIVE)["Fe"][0] > 10
        for wrong in (0, -1, math.nan, math.inf, "x", True):
            with pytest.raises(ValueError, match="expected seconds of one spectrum"):
                maps.quantify(standard, live_time=wrong)
        zero = make_map(alloy, live_time=0.0).get_element_maps(fitted)
        with pytest.raises(ValueError, match="live time is 0 s, expected more than 0"):
            zero.quantify(standard)

    def test_live_time_of_a_part(self, two, fitted, standard, labels):
        s = make_map(two, live_time=None)
        s.metadata.set_item("Acquisition_instrument.SEM.Detector.EDS.real_time", LIVE)
        s.set_dead_time(np.where(labels, np.nan, 0.0))
        maps = s.get_element_maps(fitted)
        with pytest.raises(ValueError, match="live time of brass is 0 s"):
            maps.quantify(standard, per={"alloy": labels == 0, "brass": labels == 1})

    def test_live_time_that_is_no_number(self, alloy, fitted, standard):
        maps = make_map(alloy, live_time="short").get_element_maps(fitted)
        with pytest.raises(ValueError, match="live time is not known, expected seconds"):
            maps.quantify(standard)

    def test_region_without_counts(self, alloy, fitted, standard, labels):
        spectra = np.broadcast_to(alloy, (10, 8, alloy.shape[-1])).copy()
        spectra[labels == 1] = 0
        maps = make_map(spectra).get_element_maps(fitted)
        parts = {"alloy": labels == 0, "hole": labels == 1}
        with pytest.warns(UserWarning, match="hole: no counts in its spectra, left out"):
            found = maps.quantify(standard, per=parts)
        check(found["alloy"], ALLOY)
        assert list(found.regions) == ["alloy"]
        image = found.maps["Fe"].data
        assert (
            np.isnan(image[labels == 1]).all() and np.isfinite(image[labels == 0]).all()
        )
        with pytest.raises(ValueError, match="spectra of hole have no counts, expected"):
            maps.quantify(standard, per={"hole": labels == 1})

    def test_thickness_in_micrometres(self, whole, setup):
        """30 is no thickness of a section in g/cm2."""
        bare = rsciio_xfm.make_setup(ENERGY, **GIVEN)
        given = {"setup": bare, "matrix": "normalise"}
        with pytest.warns(
            UserWarning, match=r"30 g/cm2, as 11 cm of rock .* If that is µm"
        ):
            whole.quantify(sample=30, **given)
        with pytest.warns(UserWarning, match=r"sample is 30 g/cm2"):
            whole.as_standard(ALLOY, "30", setup=setup)
        found = whole.quantify(sample="SiO2 2.2 g/cm3 30 um", **given)
        assert found["Fe"] == whole.quantify(sample=2.2 * 30e-4, **given)["Fe"]

    def test_the_same_standard_twice(self, whole, standard, tmp_path):
        """Also if it is loaded again: its counts are no more for that."""
        standard.save(tmp_path / "steel.yaml")
        again = rsciio_xfm.load_standard(tmp_path / "steel.yaml")
        with pytest.warns(
            UserWarning, match="There are 3 standards, 2 of them given before"
        ):
            found = whole.quantify([standard, again, standard])
        assert found["Fe"] == whole.quantify(standard)["Fe"]
        assert found.factor.sigma == standard.factor.sigma

    def test_lines_that_are_none(self, whole):
        for wrong in ([3], 3, None, ["Fe_Ka", None]):
            with pytest.raises(TypeError, match=r"lines are .*, expected some like"):
                whole.intensities(wrong)
        with pytest.raises(ValueError, match="The line is 'Fe', expected one like"):
            whole.intensities("Fe")

    @pytest.mark.parametrize("name", ["", " "])
    def test_saved_under_no_name(self, whole, standard, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        found = whole.quantify(standard)
        for own in (found, whole, standard, whole.model):
            with pytest.raises(ValueError, match=r"expected a name|expected one that"):
                own.save(name)
        assert not list(tmp_path.iterdir())

    def test_standards_that_disagree(self, maps, standard, setup):
        film = maps.as_standard({"Fe": 20.0}, "thin", setup=setup)
        with pytest.warns(UserWarning, match=r"standards do not agree: .* photons/s"):
            maps.quantify([standard, film], matrix="normalise")

    @pytest.mark.parametrize("amount", [2e-5, 2e7])
    def test_film_in_another_unit(self, maps, setup, amount):
        with pytest.warns(UserWarning, match="are they of another unit"):
            maps.as_standard({"Fe": amount}, "thin", setup=setup)

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"takeoff": "flat"}, "takeoff is 'flat', expected degrees"),
            ({"flux": True}, "flux is True, expected photons/s"),
            ({"solid_angle": 100.0}, "solid_angle is 100, expected sr"),
        ],
    )
    def test_setup_that_cannot_be(self, options, match):
        with pytest.raises(ValueError, match=match):
            rsciio_xfm.make_setup(ENERGY, **options)

    def test_matrix_and_sample_of_other_types(self, maps, standard):
        with pytest.raises(ValueError, match="The matrix is 3, expected a formula"):
            maps.quantify(standard, matrix=3)
        with pytest.raises(ValueError, match=r"sample is array\(\[1, 2\]\), expected"):
            maps.quantify(standard, sample=np.array([1, 2]))

    @pytest.mark.parametrize("node", ["SEM", "TEM"])
    def test_electrons(self, node, fitted, setup, standard):
        s = make(np.ones((3, 2, 1024), np.uint8), signal_type=f"EDS_{node}")
        s.metadata.set_item(f"Acquisition_instrument.{node}.beam_energy", 20.0)
        model = rsciio_xfm.create_element_model(s, ["Fe"])
        for ask in (
            lambda: rsciio_xfm.make_setup(s),
            lambda: rsciio_xfm.make_setup(model),
            lambda: rsciio_xfm.make_setup("electrons 20 kV"),
            lambda: model.quantify(standard),
            lambda: model.quantify(setup=setup, live_time=1.0),
        ):
            with pytest.raises(ValueError, match=r"maps\.intensities.* DTSA-II or NeXL"):
                ask()

    def test_nan(self, expect, fitted, standard):
        spectra = np.broadcast_to(expect(STEEL), (10, 8, fitted.model.n_channels)).copy()
        spectra[0, 0] = np.nan
        with pytest.warns(UserWarning, match="have NaN"):
            maps = make(spectra.astype(np.float32)).get_element_maps(fitted)
        with pytest.raises(ValueError, match="Counts are NaN"):
            maps.quantify(standard, live_time=LIVE)

    @pytest.mark.parametrize(
        ("known", "match"),
        [
            ({}, "The standard is {}, expected amounts in mass %"),
            ([1], "expected amounts in mass %"),
            ({"Fe": "x"}, "Fe of the standard is 'x'"),
            ({"Fe": -1.0}, "Fe of the standard is -1.0"),
            ({"Fe": math.nan}, "Fe of the standard is nan"),
            ({"Xy": 100.0}, "'Xy' is no material, expected a formula"),
            ({"Fe": 120.0}, "add up to 120 mass %, expected 100"),
            ({"Fe": 50.0}, "name what the rest is"),
        ],
    )
    def test_what_is_known(self, maps, setup, known, match):
        with pytest.raises(ValueError, match=match):
            maps.as_standard(known, setup=setup)

    def test_rest_of_a_standard(self, whole, setup):
        with pytest.warns(UserWarning, match="rest is taken to absorb as what is known"):
            whole.as_standard(ALLOY | {"Fe": 76.0}, setup=setup)

    @pytest.mark.parametrize("sample", ["thicc", 0, -1, math.nan, math.inf, True, None])
    def test_sample(self, maps, setup, sample):
        with pytest.raises(ValueError, match="expected 'thick', 'thin' or a thickness"):
            maps.quantify(setup=setup, sample=sample)

    def test_matrix(self, maps, setup):
        with pytest.raises(ValueError, match="The matrix is 'glas'"):
            maps.quantify(setup=setup, matrix="glas")

    @pytest.mark.parametrize("wrong", ["steel.yaml", 3, [], ["a"]])
    def test_no_standard(self, maps, wrong):
        with pytest.raises(TypeError, match=r"expected model\.as_standard"):
            maps.quantify(wrong)

    def test_no_setup(self, maps):
        with pytest.raises(
            TypeError, match=r"expected what rsciio_xfm\.make_setup returns"
        ):
            maps.quantify(setup={"takeoff": 45})

    def test_not_fitted(self, maps, standard):
        model = make(np.ones((3, 2, 1024), np.uint8)).create_element_model(
            ["Fe"], ENERGY, RANGE
        )
        for ask in (lambda: model.as_standard(STEEL), lambda: model.quantify(standard)):
            with pytest.raises(ValueError, match="not fitted yet"):
                ask()


class TestSetup:
    def test_of_text(self):
        setup = rsciio_xfm.make_setup("Rh 50 kV", **GIVEN)
        assert setup.assumed == () and setup.excitation.anode == "Rh"
        assert [one.formula for one in setup.path] == ["air", "Be"]
        assert describe(setup) == (
            "Rh 50 kV, incidence 60 and take-off 40 degrees, air 1 cm, Be 8 µm, crystal Si "
            "500 µm"
        )

    def test_helium(self):
        setup = rsciio_xfm.make_setup(9.0, atmosphere="helium", distance=2)
        (layer,) = setup.path
        assert (layer.formula, layer.thickness) == ("He", 2.0)
        assert layer.density < 2e-4

    def test_of_a_map(self, real_geopixe, tmp_path):
        """Angles, tube, window and crystal of a header."""
        s = hs.load(real_geopixe, lazy=True)
        setup = rsciio_xfm.make_setup(s)
        xrf_node = s.metadata.Acquisition_instrument.XRF
        assert setup.incidence == xrf_node.incidence_angle
        assert setup.takeoff == xrf_node.take_off_angle
        assert str(setup.excitation) == "Mo 50 kV"
        assert "Be" in [one.formula for one in setup.path]
        model = s.create_element_model(["Fe"])
        assert rsciio_xfm.make_setup(model) == setup
        # What is saved, or sent to another process, knows the same.
        model.save(tmp_path / "model.yaml")
        again = rsciio_xfm.load_element_model(tmp_path / "model.yaml")
        assert rsciio_xfm.make_setup(again) == setup
        assert rsciio_xfm.make_setup(pickle.loads(pickle.dumps(model))) == setup
        assert again.with_model(again.model, 1.0).geometry == model.geometry
        # Angles of the map that it is used for come first, but for those that exspy makes up.
        assert (
            again.with_geometry_of(make(np.ones((2, 8), "u1"))).geometry == model.geometry
        )
        tilted = s.deepcopy()
        tilted.metadata.set_item("Acquisition_instrument.XRF.incidence_angle", 50.0)
        assert again.with_geometry_of(tilted).geometry["incidence"] == 50
        with pytest.raises(ValueError, match=r"expected one: model\.fit\(s\)"):
            again.fit()
        other = rsciio_xfm.make_setup(s, takeoff=30, crystal="Ge 1 mm", window="Be 25 um")
        assert other.takeoff == 30 and other.detector.formula == "Ge"

    def test_crystal_of_a_model(self, fitted):
        """Its material is known without the spectra, its thickness is not."""
        model = pickle.loads(pickle.dumps(fitted))
        assert model.geometry == {"takeoff": 35.0}
        response = replace(model.model.response, material="Ge")
        model.model = replace(model.model, response=response)
        setup = rsciio_xfm.make_setup(model)
        assert setup.detector.formula == "Ge"
        assert "a crystal of Ge of 0.5 mm" in setup.assumed

    def test_angle_of_exspy(self):
        s = make(np.ones((3, 2, 64), np.uint8))
        s.metadata.set_item("Acquisition_instrument.SEM.beam_energy", 17.0)
        assert any("what exspy takes" in one for one in rsciio_xfm.make_setup(s).assumed)

    @pytest.mark.parametrize(
        ("given", "match"),
        [
            ({"incidence": 0}, "angle of incidence is 0 degrees"),
            ({"takeoff": 91}, "angle of takeoff is 91 degrees"),
            (
                {"atmosphere": "argon", "distance": 1},
                "expected 'air', 'helium' or 'vacuum'",
            ),
            ({"atmosphere": "air"}, "expected distance with it"),
            ({"distance": -1}, "distance is -1, expected cm, above 0"),
            ({"window": "Be"}, "A layer is 'Be', expected one like 'Be 8 um'"),
            ({"window": "SiO2 8 um"}, "expected one like 'Be 8 um' or 'SiO2 2.2 g/cm3"),
            ({"window": "Xy 1 g/cm3 8 um"}, "'Xy' is no material"),
            ({"window": ["Be 8 um", 3]}, "A layer is 3"),
            ({"crystal": "Si 0 mm"}, "expected numbers above 0"),
            ({"flux": 0}, r"flux is 0, expected photons/s, above 0"),
            ({"solid_angle": "x"}, "solid_angle is 'x', expected sr"),
        ],
    )
    def test_wrong(self, given, match):
        with pytest.raises(ValueError, match=match):
            rsciio_xfm.make_setup(17.44, **given)

    def test_unknown_excitation(self):
        s = make(np.ones((3, 2, 64), np.uint8))
        with pytest.raises(ValueError, match="not known what excites the sample"):
            rsciio_xfm.make_setup(s)
        with pytest.raises(ValueError, match=r"The excitation is 'Mo', expected"):
            rsciio_xfm.make_setup("Mo")

    def test_layers(self):
        assert parse_layer("kapton 25 µm").density == 1.42
        assert parse_layer("SiO2 2.2 g/cm3 1 mm").thickness == pytest.approx(0.1)
        assert parse_layer(parse_layer("Be 8 um")).formula == "Be"


class TestIntensities:
    def test_share_of_a_line(self, maps):
        """K-alpha and K-beta are the whole group."""
        alpha, beta = maps.intensities(["Fe_Ka", "Fe_Kb"])
        whole = maps["Fe_K"].data
        np.testing.assert_allclose(alpha.data + beta.data, whole, rtol=1e-5, atol=1e-3)
        assert beta.data.sum() / alpha.data.sum() == pytest.approx(0.135, abs=0.02)
        assert alpha.axes_manager.navigation_shape == (8, 10)
        assert alpha.metadata.Sample.xray_lines == ["Fe_Ka"]

    def test_wrong(self, maps):
        with pytest.raises(KeyError, match="'Ag_L' is not fitted"):
            maps.intensities(["Ag_La"])
        with pytest.raises(
            ValueError, match="The line is Fe_Kc, expected one of Fe_Ka, Fe_Kb"
        ):
            maps.intensities(["Fe_Kc"])

    @pytest.mark.parametrize("is_lazy", [False, True])
    def test_quantification_of_exspy(self, is_lazy):
        """Of a TEM: the counts of lines / k-factors, as it normalises them."""
        counts = xrf.make((6, 5), counts=4000, excitation=ENERGY).counts
        s = make(counts, signal_type="EDS_TEM")
        s.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 200.0)
        s = s.as_lazy() if is_lazy else s
        maps = rsciio_xfm.get_element_maps(s, ["Cu", "Fe", "Zn"], energy_range=(5.8, 9.6))
        lines = ["Cu_Ka", "Fe_Ka"]
        intensities = maps.intensities(lines)
        found = s.quantification(
            intensities,
            "CL",
            [1.5, 1.2],
            composition_units="weight",
            navigation_mask=None,
        )
        parts = [k * own.data for k, own in zip((1.5, 1.2), intensities, strict=True)]
        is_clear = (parts[0] > 50) & (parts[1] > 50)
        expected = 100 * parts[0] / (parts[0] + parts[1])
        assert is_clear.any()
        np.testing.assert_allclose(found[0].data[is_clear], expected[is_clear], rtol=1e-4)
        assert found[0].metadata.Sample.xray_lines == ["Cu_Ka"]


def test_lazy_array_is_not_computed_twice(alloy, fitted, standard):
    """Quantification reads no spectrum: all is in the maps."""
    counts = make_map(alloy).data
    passes = []

    def read(block):
        passes.append(block.shape)
        return block

    s = make(counts)
    s.data = da.from_array(counts, chunks=(5, 8, -1)).map_blocks(
        read, dtype=counts.dtype, meta=np.empty((0, 0, 0), counts.dtype)
    )
    s = s.as_lazy()
    maps = s.get_element_maps(fitted)
    n = len(passes)
    maps.quantify(standard, live_time=LIVE).maps["Fe"]
    assert len(passes) == n > 0
