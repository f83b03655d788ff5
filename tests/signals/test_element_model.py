"""Models of elements of signals: made, fitted, shown, saved, loaded and used again."""

import copy
import math
import pickle
import re

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
import yaml

import rsciio_xfm
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.signals import fit_sums
from rsciio_xfm.signals.excitation import (
    excitation_of,
    has_excitation,
    response_of,
)
from rsciio_xfm.signals.fit_sums import Wish, sum_up
from tests.builders import xrf

pytest.importorskip("xraylib")
ELEMENTS = ["Ti", "Cr", "Mn", "Fe", "Ni", "Cu", "Zn"]
RANGE = (4.2, 9.6)
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
ENERGY = 17.44


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def phantom():
    return xrf.make((24, 20), counts=600, excitation=ENERGY)


def make(counts, signal_type="EDS_XFM", zero=0.0, gain=0.01):
    """A signal whose axis is as a file has it: about right."""
    s = hs.signals.Signal1D(counts)
    energy = s.axes_manager[-1]
    energy.name, energy.units, energy.scale, energy.offset = "Energy", "keV", gain, zero
    for axis, name in zip(s.axes_manager.navigation_axes, "xyz", strict=False):
        axis.name, axis.scale, axis.units = name, 0.05, "mm"
    s.metadata.General.title = "phantom"
    s.set_signal_type(signal_type)
    return s


@pytest.fixture
def signal(phantom):
    return make(phantom.counts)


@pytest.fixture(scope="module")
def fitted(phantom):
    return make(phantom.counts).create_element_model(ELEMENTS, ENERGY, RANGE).fit()


class TestModel:
    def test_before_the_fit(self, signal):
        model = signal.create_element_model(["Fe_Ka", "Cu", "Fe"], ENERGY, RANGE)
        assert model.elements == ["Fe_K", "Cu_K"]
        assert str(model.excitation) == "17.44 keV"
        assert "not fitted yet: model.fit()" in repr(model)
        for ask in (lambda: model.areas, lambda: model.unexplained, model.plot):
            with pytest.raises(ValueError, match=r"not fitted yet: call model\.fit\(\)"):
                ask()

    def test_what_is_found(self, fitted, phantom):
        """Calibration and counts are those that the phantom was made with."""
        own = fitted.model.response
        assert own.zero == pytest.approx(phantom.detector.zero, abs=3e-3)
        assert own.gain == pytest.approx(phantom.detector.gain, rel=5e-4)
        assert 1000 * own.fwhm == pytest.approx(138, abs=4)
        areas = fitted.areas
        for name in ("Ti_K", "Fe_K", "Cu_K"):
            counts, sigma = areas[name]
            assert counts == pytest.approx(phantom.map(name).sum(), abs=4 * sigma)
        assert areas.is_detected("Mn_K") and not areas.is_detected("Ni_K")
        assert areas["Fe"] == areas["Fe_K"]
        with pytest.raises(KeyError, match="'Ag' is not fitted, expected one of Ti_K"):
            areas["Ag"]

    def test_shown(self, fitted):
        text = repr(fitted)
        assert text.startswith(
            "ElementModel of phantom: 17.44 keV, 4.2 to 9.6 keV, 7 groups"
        )
        for part in ("zero -1", "FWHM of Mn Ka 13", "chi2/n 1.", "6.404", "not detected"):
            assert part in text
        assert [
            line.split()[0] for line in text.splitlines() if "not detected" in line
        ] == ["Ni_K"]

    def test_fit_again(self, signal, fitted):
        """On another spectrum, with what is known kept."""
        model = signal.create_element_model(ELEMENTS, ENERGY, RANGE)
        model.model = fitted.model
        zero = fitted.model.response.zero
        part = signal.inav[:10]
        assert model.fit(part, fixed=["zero", "gain"]) is model
        assert model.model.response.zero == zero
        assert model.areas.n_pixels == 240

    def test_of_a_spectrum(self, signal, fitted):
        total = signal.sum()
        model = total.create_element_model(ELEMENTS, ENERGY, RANGE).fit()
        assert model.areas["Fe_K"] == pytest.approx(fitted.areas["Fe_K"])
        assert model.areas.n_pixels == 1

    def test_plot(self, fitted):
        upper, lower = fitted.plot()
        assert upper.get_yscale() == "log"
        said = {text.get_text() for text in upper.texts}
        assert {"Fe K", "Cu K", "Zn K"} <= said
        labels = [line.get_label() for line in upper.get_lines()]
        assert {"measured", "fit", "background"} <= set(labels)
        (residual,) = [line for line in lower.get_lines() if len(line.get_xdata()) > 9]
        assert np.abs(residual.get_ydata()).mean() == pytest.approx(0.8, abs=0.1)

    @pytest.mark.parametrize(
        ("elements", "match"),
        [
            ([], "There is no element"),
            (["fe"], "'fe' is no element, expected Fe"),
            (["Fe_N"], "'Fe_N' is no group of lines, expected Fe_K, Fe_L or Fe_M"),
            ([26], "An element is 26, expected one like 'Fe'"),
            (["Si"], "Si has no lines at"),
            (["Sr"], "Sr has no lines at"),
        ],
    )
    def test_wrong_elements(self, signal, elements, match):
        with pytest.raises(ValueError, match=match):
            signal.create_element_model(elements, ENERGY, RANGE)

    @pytest.mark.parametrize(
        ("energies", "match"),
        [
            ((9.0, 4.0), "energy_range is 9 to 4 keV, expected some of 0 to"),
            ((4.0, 400.0), "energy_range is 4 to 400 keV"),
            (5.0, r"energy_range is 5\.0, expected two energies"),
        ],
    )
    def test_wrong_energies(self, signal, energies, match):
        with pytest.raises(ValueError, match=match):
            signal.create_element_model(["Fe"], ENERGY, energies)

    def test_range_without_elements(self, signal, fitted):
        """Those that are found, and have lines in it."""
        model = signal.create_element_model(None, ENERGY, (5.0, 8.2))
        assert model.is_fitted and model.model.energy_range == (5.0, 8.2)
        assert set(model.elements) == {"Cr_K", "Fe_K", "Cu_K", "Mn_K", "Ni_K"} & set(
            signal.create_element_model(None, ENERGY).elements
        )
        count, sigma = model.areas["Fe_K"]
        assert count == pytest.approx(fitted.areas["Fe_K"][0], abs=4 * sigma)
        maps = signal.get_element_maps(excitation=ENERGY, energy_range=(5.0, 8.2))
        assert maps.model.elements == model.elements
        with pytest.raises(ValueError, match=r"energy_range is 0\.3 to 0\.4 keV"):
            signal.create_element_model(None, ENERGY, (0.3, 0.4))

    def test_above_the_excitation(self, signal):
        with pytest.raises(ValueError, match=r"Fe_K has no lines .* that 6 keV excite"):
            signal.create_element_model(["Fe_K"], 6.0)

    def test_in_ev(self, phantom, fitted):
        s = make(phantom.counts, gain=10.0)
        s.axes_manager[-1].units = "eV"
        model = s.create_element_model(ELEMENTS, ENERGY, (4200, 9600)).fit()
        assert model.areas["Fe_K"] == pytest.approx(fitted.areas["Fe_K"])

    def test_without_xraylib(self, signal, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "xraylib", None)
        with pytest.raises(ImportError, match=r'pip install "rsciio-xfm\[fit\]"'):
            signal.create_element_model(["Fe"], 17.3)


class TestFiles:
    def test_round_trip(self, fitted, signal, tmp_path):
        path = tmp_path / "models" / "model.yaml"
        fitted.save(path)
        again = rsciio_xfm.load_element_model(path)
        assert repr(again) == repr(fitted)
        basis, own = again.model.fit.basis, fitted.model.fit.basis
        np.testing.assert_allclose(basis.columns, own.columns, rtol=1e-9, atol=1e-15)
        assert again.axis == fitted.axis
        maps = signal.get_element_maps(path)
        expected = signal.get_element_maps(fitted)
        np.testing.assert_allclose(maps["Fe"].data, expected["Fe"].data, atol=1e-3)
        held = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert held["kind"] == "rsciio_xfm element model" and held["version"] == 1

    def test_not_fitted(self, signal, tmp_path):
        model = signal.create_element_model(ELEMENTS, ENERGY, RANGE)
        model.save(tmp_path / "model.yml")
        again = rsciio_xfm.load_element_model(tmp_path / "model.yml")
        assert not again.is_fitted and again.elements == model.elements
        with pytest.raises(ValueError, match=r"expected one: model\.fit\(s\)"):
            again.fit()
        assert again.fit(signal).is_fitted

    def test_overwrite(self, fitted, tmp_path):
        path = tmp_path / "model.yaml"
        fitted.save(path)
        with pytest.raises(FileExistsError, match="use overwrite=True"):
            fitted.save(path)
        fitted.save(path, overwrite=True)
        path.write_text("a: 1\n")
        with pytest.raises(FileFormatError, match="its kind is None"):
            fitted.save(path, overwrite=True)
        assert path.read_text() == "a: 1\n"
        with pytest.raises(
            ValueError, match=r"the extension is '\.txt', expected \.yaml"
        ):
            fitted.save(tmp_path / "model.txt")

    @pytest.mark.parametrize(
        ("content", "match"),
        [
            (b"", "its kind is 'NoneType', expected an element model"),
            (b"- 1\n", "its kind is 'list'"),
            (b"kind: other\n", "its kind is 'other'"),
            (b"a: [1,\n", "no YAML"),
            (b"\xff\xfe\x00", "no YAML"),
            (b"kind: !!python/object/apply:os.system ['true']\n", "no YAML"),
            (b"[" * 5000, "no YAML"),
            (
                b"kind: rsciio_xfm element model\nversion: 2\n",
                "version is 2, expected 1: a newer rsciio-xfm wrote it",
            ),
            (
                b"kind: rsciio_xfm element model\nversion: 0\n",
                "version is 0, expected 1: an older rsciio-xfm wrote it: make the model anew",
            ),
            (
                b"kind: rsciio_xfm element model\nversion: one\n",
                "version is 'one', expected 1: no version of rsciio-xfm wrote it",
            ),
            (b"kind: rsciio_xfm element model\nversion: 1\n", "the model is damaged"),
        ],
    )
    def test_wrong_files(self, tmp_path, content, match):
        path = tmp_path / "model.yaml"
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=match) as caught:
            rsciio_xfm.load_element_model(path)
        assert str(path) in str(caught.value)

    def test_flipped_values(self, fitted, tmp_path):
        """Whatever is taken out of a model, or is of another kind: one error, at once."""
        path = tmp_path / "model.yaml"
        fitted.save(path)
        whole = yaml.safe_load(path.read_text(encoding="utf-8"))
        for keys in places(whole):
            for wrong in ("text", -1.0, math.nan, 10**12):
                _is_loaded_or_refused(path, changed(whole, keys, wrong))
        path.write_text(yaml.safe_dump(whole | {"axis": {"zero_keV": 0, "gain_keV": 0}}))
        with pytest.raises(FileFormatError, match="axis is"):
            rsciio_xfm.load_element_model(path)
        for wrong in ([], {"tilt": 3}, {"takeoff": 91}, {"takeoff": "x"}, {"air_mm": -1}):
            path.write_text(yaml.safe_dump(whole | {"geometry": wrong}))
            with pytest.raises(FileFormatError, match=r"geometry.* expected"):
                rsciio_xfm.load_element_model(path)

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            rsciio_xfm.load_element_model(tmp_path / "nowhere.yaml")

    def test_to_pymca(self, fitted, tmp_path):
        path = tmp_path / "model.cfg"
        fitted.to_pymca(path)
        text = path.read_text(encoding="utf-8")
        assert "[peaks]" in text and "Fe" in text
        with pytest.raises(FileExistsError):
            fitted.to_pymca(path)
        with pytest.raises(ValueError, match=r"expected \.cfg"):
            fitted.to_pymca(tmp_path / "model.yaml")


def places(held, keys=()):
    """Where there is something in nested dictionaries and lists; the first of a list."""
    items = held.items() if isinstance(held, dict) else enumerate(held[:1])
    for key, value in items:
        yield (*keys, key)
        if isinstance(value, dict | list):
            yield from places(value, (*keys, key))


def changed(held, keys, value):
    """A copy with another value in a place."""
    if not keys:
        return value
    copied = copy.copy(held)
    copied[keys[0]] = changed(held[keys[0]], keys[1:], value)
    return copied


def _is_loaded_or_refused(path, held):
    path.write_text(yaml.dump(held, Dumper=DUMPER), encoding="utf-8")
    try:
        model = rsciio_xfm.load_element_model(path)
    except FileFormatError as error:
        assert str(path) in str(error)
    else:
        assert repr(model)


class TestOtherMaps:
    def test_other_channels(self, signal, fitted):
        with pytest.raises(
            ValueError, match="The spectra have 1024 channels, the model 2048"
        ):
            signal.isig[:1024].get_element_maps(fitted)

    def test_other_energies(self, phantom, fitted):
        with pytest.raises(
            ValueError, match=r"differ from the model's .* by up to \d+ eV"
        ):
            make(phantom.counts, gain=0.02).get_element_maps(fitted)
        with pytest.warns(UserWarning, match="If it is another set-up"):
            make(phantom.counts, gain=0.0101).get_element_maps(fitted)

    def test_calibrated_since(self, phantom, fitted):
        """A map whose axis is what the fit has found is one of the same set-up."""
        own = fitted.model.response
        make(phantom.counts, zero=own.zero, gain=own.gain).get_element_maps(fitted)


class TestSums:
    def test_blocks_classes_regions(self, signal, phantom):
        data = phantom.counts.astype(float)
        region = np.zeros(data.shape[:2], dtype=bool)
        region[3:9, 2] = True
        found = sum_up(signal, Wish(True, [np.array([0, 25])], [region]))
        np.testing.assert_array_equal(found.total, data.sum((0, 1)))
        np.testing.assert_array_equal(found.blocks.sum(0), data.sum((0, 1)))
        assert found.blocks.shape == (64, 2048) and found.n_pixels == 480
        np.testing.assert_array_equal(found.classes[0, 0], data[0, 0] + data[1, 5])
        np.testing.assert_array_equal(found.regions[0, 0], data[3:9, 2].sum(0))

    def test_one_pass(self, signal, monkeypatch):
        ran = []
        monkeypatch.setattr(fit_sums, "run", lambda *a: ran.append(a) or fit_sums_run(*a))
        sum_up(signal.as_lazy(), Wish(True, [np.array([1])], [np.array([2])]))
        assert len(ran) == 1

    def test_detectors(self, phantom):
        stack = np.stack([phantom.counts, 2 * phantom.counts])
        s = make(stack)
        s.axes_manager._axes[0].name = "detector"
        found = sum_up(s, Wish(regions=[np.array([7])]))
        total = phantom.counts.sum((0, 1), dtype=float)
        np.testing.assert_array_equal(found.detectors, [total, 2 * total])
        np.testing.assert_array_equal(found.total, 3 * total)
        np.testing.assert_array_equal(found.regions[1, 0], 2.0 * phantom.counts[0, 7])

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            (lambda data: data * 0, "no counts"),
            (lambda data: np.where(data > 3, np.nan, data), r"NaN or infinite in \d+ of"),
        ],
    )
    def test_nothing_to_fit(self, phantom, change, match):
        s = make(change(phantom.counts.astype(float)))
        with pytest.raises(ValueError, match=match):
            s.get_element_maps(ELEMENTS, excitation=ENERGY, energy_range=RANGE)

    def test_negative(self, phantom):
        s = make(phantom.counts.astype(float) - 1)
        with pytest.warns(UserWarning, match=r"negative in \d+ channels"):
            sum_up(s, Wish())


fit_sums_run = fit_sums.run


class TestExcitation:
    def test_of_a_tube(self, signal):
        xrf_node = "Acquisition_instrument.XRF"
        signal.metadata.set_item(f"{xrf_node}.tube_target", "Rh")
        signal.metadata.set_item(f"{xrf_node}.tube_voltage", 40.0)
        signal.metadata.set_item(f"{xrf_node}.scattering_angle", 120.0)
        found = excitation_of(signal)
        assert (found.kind, found.anode, found.highest) == ("tube", "Rh", 40.0)
        assert found.angle == 120.0 and has_excitation(signal)
        # What is given comes first.
        assert excitation_of(signal, 17.44).kind == "monochromatic"
        assert excitation_of(signal, "Mo 50 kV").anode == "Mo"

    @pytest.mark.parametrize("signal_type", ["EDS_SEM", "EDS_TEM"])
    def test_of_electrons(self, phantom, signal_type):
        s = make(phantom.counts, signal_type)
        node = signal_type.partition("_")[2]
        s.metadata.set_item(f"Acquisition_instrument.{node}.beam_energy", 20.0)
        assert str(excitation_of(s)) == "electrons 20 kV"
        made = rsciio_xfm.create_element_model(s, ["Fe"])
        assert not made.model.scatter.rayleigh and not made.model.scatter.compton

    def test_of_a_microscope(self, signal):
        """An EDAX map has a working distance: it is no synchrotron's."""
        signal.metadata.set_item("Acquisition_instrument.SEM.beam_energy", 20.0)
        assert excitation_of(signal).kind == "monochromatic"
        signal.metadata.set_item("Acquisition_instrument.SEM.working_distance", 10.0)
        assert excitation_of(signal).kind == "electrons"

    def test_of_a_magnification(self, signal):
        """A Bruker map that is loaded as EDS_XFM has no distance; a tube's is no SEM's."""
        node = "Acquisition_instrument"
        signal.metadata.set_item(f"{node}.SEM.beam_energy", 20.0)
        signal.metadata.set_item(f"{node}.SEM.magnification", 600)
        signal.metadata.set_item(f"{node}.XRF.process_time", 4)
        assert str(excitation_of(signal)) == "electrons 20 kV"
        signal.metadata.set_item(f"{node}.XRF.tube_voltage", 20.0)
        assert excitation_of(signal).kind == "monochromatic"

    def test_angle_between_beam_and_detector(self, signal):
        """That of the metadata; else the sum of their angles to the surface."""
        xrf_node = "Acquisition_instrument.XRF"
        for name, value in (("tube_target", "Rh"), ("tube_voltage", 40.0),
                            ("incidence_angle", 90.0), ("take_off_angle", 60.0)):  # fmt: skip
            signal.metadata.set_item(f"{xrf_node}.{name}", value)
        assert excitation_of(signal).angle == 150.0
        signal.metadata.set_item(f"{xrf_node}.scattering_angle", 120.0)
        assert excitation_of(signal).angle == 120.0

    def test_unknown(self, signal):
        with pytest.warns(UserWarning, match=r'as in excitation="Rh 50 kV", 17\.44'):
            found = excitation_of(signal)
        assert found.highest == pytest.approx(20.48) and not has_excitation(signal)
        with pytest.warns(UserWarning, match="do not say what excites"):
            made = signal.create_element_model(["Fe"])
        assert not made.model.scatter.rayleigh

    @pytest.mark.parametrize("given", ["Mo", "50", "Xx 50 kV", -3, "electrons"])
    def test_wrong(self, signal, given):
        with pytest.raises(ValueError, match="expected"):
            excitation_of(signal, given)

    @pytest.mark.parametrize("value", [None, "none", 0, -1, 1e6, math.nan])
    def test_wrong_metadata(self, signal, value):
        signal.metadata.set_item("Acquisition_instrument.XRF.tube_target", "Mo")
        signal.metadata.set_item("Acquisition_instrument.XRF.tube_voltage", value)
        assert not has_excitation(signal)


class TestResponse:
    def test_from_metadata(self, signal):
        node = "Acquisition_instrument.SEM.Detector.EDS"
        signal.metadata.set_item(f"{node}.energy_resolution_MnKa", 150.0)
        found = response_of(signal)
        assert 1000 * found.fwhm == pytest.approx(150)
        assert (found.zero, found.gain) == (0.0, 0.01)

    def test_of_a_geopixe_map(self, real_geopixe):
        s = hs.load(real_geopixe, lazy=True)
        found = response_of(s)
        assert (found.material, found.thickness) == ("Si", pytest.approx(0.045))
        kinds = [(layer.formula, layer.thickness) for layer in found.layers]
        assert kinds == [("air", pytest.approx(3.0)), ("Be", pytest.approx(7.5e-4))]
        beam = excitation_of(s)
        assert (beam.anode, beam.highest, beam.angle) == ("Mo", 50.0, 140.0)

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            (
                {"units": ""},
                r"has no units.* not calibrated\. .* rsciio_xfm\.calibrate_energy",
            ),
            ({"units": "nm"}, "units of the energy axis are nm, expected keV or eV"),
            ({"scale": -0.01}, "scale of -0.01"),
        ],
    )
    def test_no_energies(self, signal, change, match):
        for name, value in change.items():
            setattr(signal.axes_manager[-1], name, value)
        with pytest.raises(ValueError, match=match):
            signal.get_element_maps(["Fe"], excitation=ENERGY)


class TestDoubtfulFits:
    """Spectra that no model describes, and what is no counts, are said so."""

    def test_missing_elements(self, signal):
        with pytest.warns(UserWarning, match="does not describe the spectrum: chi2/n"):
            signal.create_element_model(["Fe"], ENERGY, RANGE).fit()

    def test_wrong_energies(self, phantom):
        s = make(phantom.counts, gain=0.0105)
        with pytest.warns(UserWarning) as said:
            s.create_element_model(ELEMENTS, ENERGY, RANGE).fit()
        assert any("energies, excitation" in str(one.message) for one in said)

    @pytest.mark.parametrize("factor", [1e-6, 0.01])
    def test_scaled(self, phantom, factor):
        s = make(factor * phantom.counts)
        with pytest.warns(UserWarning, match="times the variance that counts have"):
            s.create_element_model(ELEMENTS, ENERGY, RANGE).fit()

    @pytest.mark.parametrize("n", [1, 30, 300])
    def test_few_counts_are_none_of_these(self, phantom, n):
        rng = np.random.default_rng(n)
        total = phantom.counts.sum((0, 1))
        spectrum = rng.multinomial(n, total / total.sum())
        spectrum[640] += 1
        made = make(spectrum).create_element_model(ELEMENTS, ENERGY, RANGE).fit()
        assert made.is_fitted

    def test_one_name_of_a_parameter(self, signal):
        model = signal.create_element_model(ELEMENTS, ENERGY, RANGE).fit(fixed="zero")
        assert model.model.response.zero == 0


@pytest.mark.parametrize("name", ["Fe_Kq", "Fe_", "Fe_KL"])
def test_misspelt_shells(signal, name):
    with pytest.raises(ValueError, match="is no group of lines, expected Fe_K"):
        signal.create_element_model([name], ENERGY, RANGE)


@pytest.mark.parametrize("elements", [5, b"Fe"])
def test_no_names(signal, elements):
    with pytest.raises(ValueError, match=r"The elements are .*expected some like"):
        signal.create_element_model(elements, ENERGY, RANGE)
    with pytest.raises(ValueError, match=r"The elements are .*expected some like"):
        signal.find_elements(elements, excitation=ENERGY)


@pytest.mark.parametrize(
    "name",
    ["find_elements", "create_element_model", "get_element_maps", "calibrate_energy"],
)
def test_no_spectra(phantom, name):
    function = getattr(rsciio_xfm, name)
    counts = phantom.counts[:2, :2]
    with pytest.raises(TypeError, match="This is a ndarray, expected a HyperSpy signal"):
        function(counts, ["Fe"])
    several = [hs.signals.Signal2D(counts), hs.signals.Signal1D(counts)]
    with pytest.raises(
        TypeError, match=r"This is a list.* these are spectra: s\[1\], <S"
    ):
        function(several, ["Fe"])
    with pytest.raises(TypeError, match=r"This is a list, expected a HyperSpy signal\.$"):
        function(several[:1], ["Fe"])
    for s in (hs.signals.Signal2D(counts), hs.signals.BaseSignal(counts)):
        with pytest.raises(ValueError, match="expected spectra"):
            function(s, ["Fe"])
    with pytest.raises(ValueError, match="complex128, expected real numbers"):
        function(hs.signals.ComplexSignal1D(counts.astype(complex)), ["Fe"])


def test_a_pickled_model_leaves_the_map_behind(signal):
    model = signal.create_element_model(ELEMENTS, ENERGY, RANGE)
    assert len(pickle.dumps(model)) < signal.data.nbytes / 10
    again = pickle.loads(pickle.dumps(model))
    with pytest.raises(ValueError, match=r"expected one: model\.fit\(s\)"):
        again.fit()
    assert again.fit(signal).is_fitted


def _bomb():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k + 1}: &a{k + 1} [{', '.join([f'*a{k}'] * 9)}]" for k in range(9)]
    return "\n".join(lines) + "\nkind: *a9\n"


@pytest.mark.parametrize(
    "text", [_bomb(), "kind: &k [*k]", "[" * 100_000, "[" * 30 + "]" * 30]
)
def test_yaml_without_end(tmp_path, text):
    path = tmp_path / "model.yaml"
    path.write_text(text)
    with pytest.raises(
        FileFormatError, match=r"no YAML \((an alias|more than 20|.*depth)"
    ):
        rsciio_xfm.load_element_model(path)


class TestDoubtfulSpectra:
    """Of which a user has to be told what to do."""

    def test_of_no_energies_those_of_the_model_are_taken(self, phantom, signal, fitted):
        expected = signal.get_element_maps(fitted)
        bare = hs.signals.Signal1D(phantom.counts)
        with pytest.warns(UserWarning, match="have no energies: those of the model"):
            found = rsciio_xfm.get_element_maps(bare, fitted)
        np.testing.assert_array_equal(found["Fe_K"].data, expected["Fe_K"].data)
        assert repr(found).startswith("ElementMaps: ")
        assert "chi2/n of the sum " + f"{fitted.chi2:.2f}" in repr(found)
        assert "chi2/n of the sum " + f"{fitted.chi2:.2f}" in repr(expected)

    def test_energies_of_another_unit_are_not_ignored(self, signal, fitted):
        signal.axes_manager[-1].units = ""  # and a scale of 0.01
        with pytest.raises(ValueError, match="not calibrated"):
            signal.get_element_maps(fitted)

    def test_what_is_missing_is_told_once(self, signal, fitted):
        """By a warning that names it; tables have what chi2 should be."""
        assert "expected about" not in repr(fitted)
        with pytest.warns(UserWarning) as said:
            maps = signal.get_element_maps(["Ti", "Cr", "Cu"], excitation=ENERGY)
        (told,) = [str(one.message) for one in said]
        assert re.search(
            r"not describe the spectrum: chi2/n is .*; most is left at 6.40 keV \(Fe_K",
            told,
        )
        chi2 = f"{maps.model.chi2:.2f}, expected about 1.1"
        assert f"chi2/n of the sum {chi2}\n" in repr(maps)
        assert f"chi2/n {chi2}\n" in repr(maps.model)
        assert "more is in the spectrum" not in repr(maps)

    def test_smoothed(self, signal, fitted):
        signal.metadata.set_item("Signal.smoothed", True)
        for use in (
            lambda: signal.create_element_model(["Fe"], ENERGY, RANGE),
            lambda: signal.find_elements(["Fe", "Cu"], excitation=ENERGY),
            lambda: signal.get_element_maps(fitted),
        ):
            with pytest.warns(UserWarning, match="smoothed: they do not scatter"):
                use()

    def test_doubts_are_saved(self, fitted, tmp_path):
        path = tmp_path / "model.yaml"
        made = copy.copy(fitted)
        made.doubts = {"Fe_K": "possible, or Eu_L"}
        made.save(path)
        again = rsciio_xfm.load_element_model(path)
        assert again.doubts == made.doubts
        assert "possible, or Eu_L" in repr(again)
        held = yaml.safe_load(path.read_text()) | {"doubts": {"Fe_K": 3, "Cu_K": "no"}}
        path.write_text(yaml.safe_dump(held))
        assert rsciio_xfm.load_element_model(path).doubts == {"Cu_K": "no"}


@pytest.mark.parametrize(
    ("node", "name", "value", "match"),
    [
        ("response", "tail", 5, "tail is 5, expected 0 to 0.4"),
        ("response", "noise", -1, "noise is -1, expected"),
        ("response", "gain", -0.01, "gain is -0.01, expected a number above 0"),
        ("response", "thickness", -1, "stopping is -1.0, expected"),
        ("response", "gain", 0.02, "something was changed"),
        ("fit", "spectrum", [5] * 2048, "something was changed"),
        ("fit", "spectrum", [-1] * 2048, "something was changed"),
    ],
)
def test_changed_files(fitted, tmp_path, node, name, value, match):
    """What was damaged, or changed by hand, makes no maps."""
    path = tmp_path / "model.yaml"
    held = yaml.safe_load(fitted.to_yaml())
    held[node][name] = value
    path.write_text(yaml.dump(held, Dumper=DUMPER))
    with pytest.raises(FileFormatError, match=match):
        rsciio_xfm.load_element_model(path)


def test_a_part_of_the_channels(phantom, fitted):
    """The energy of the first channel may be anywhere."""
    model = (
        make(phantom.counts)
        .isig[560:]
        .create_element_model(["Fe", "Ni", "Cu", "Zn"], ENERGY, (6.0, 9.6))
    )
    areas = model.fit().areas
    for name in ("Fe_K", "Cu_K"):
        assert areas[name][0] == pytest.approx(fitted.areas[name][0], rel=0.03)


def test_channels_wider_than_peaks():
    counts = xrf.make((6, 8), counts=600, excitation=ENERGY).counts
    wide = counts.reshape(6, 8, -1, 16).sum(axis=-1)
    s = make(wide, zero=0.075, gain=0.16)
    with pytest.warns(
        UserWarning, match=r"A channel is 1[56]\d eV wide, expected at most"
    ):
        s.create_element_model(["Ti", "Cr", "Fe", "Cu"], ENERGY, RANGE).fit()
