"""Elements and energies of signals: find_elements, calibrate_energy."""

from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest

pytest.importorskip("xraylib")
import rsciio_xfm
from rsciio_xfm.analysis.fit.doubt import _root
from rsciio_xfm.core import extras
from rsciio_xfm.signals.elements import labels_of
from tests.builders import xrf

MAJOR = {"Fe", "Pb", "Ti", "Ca", "Cu", "Cr", "Si", "K", "Sr"}


@pytest.fixture(scope="module")
def counts():
    return xrf.make((16, 16), counts=600).counts


def make(counts, units="keV", scale=0.01, tube="Mo"):
    """A signal as a file has it: with about the right axis and a tube."""
    s = hs.signals.Signal1D(counts)
    energy = s.axes_manager[-1]
    energy.name = "Energy"
    if units:
        energy.units, energy.scale = units, scale
    s.metadata.General.title = "phantom"
    s.set_signal_type("EDS_XFM")
    if tube:
        s.metadata.set_item("Acquisition_instrument.XRF.tube_target", tube)
        s.metadata.set_item("Acquisition_instrument.XRF.tube_voltage", 50.0)
    return s


@pytest.fixture(scope="module")
def found(counts):
    return make(counts).find_elements()


def test_found(found):
    assert set(found.elements) >= MAJOR
    assert len(found) >= len(MAJOR)
    assert found[0].evidence >= found[-1].evidence
    assert found.model.fit is not None


def test_found_prints_as_a_table(found):
    text = repr(found)
    assert "elements found in phantom, excited by Mo 50 kV" in text
    (iron,) = (line for line in text.splitlines() if line.startswith("Fe_K"))
    assert "6.40" in iron
    assert iron.endswith("sure")


def test_how_many_are_not_sure(found):
    weak = replace(found[-1], evidence=7.0)
    text = repr(replace(found, found=(*found[:2], weak)))
    assert text.startswith(
        "3 elements found in phantom, excited by Mo 50 kV; 1 of them no"
    )
    assert repr(replace(found, found=found[:1])).startswith("1 element found in phantom")
    assert "no more than possible" not in repr(replace(found, found=found[:1]))


def test_the_tube_is_named_if_nobody_said_what_it_is(found):
    anode = replace(found[0], element="Rh", shell="K")
    unknown = replace(found, found=(anode,), is_excitation_known=False)
    assert "Rh_K may be the tube's, scattered" in repr(unknown)
    assert "may be the tube's" not in repr(replace(unknown, is_excitation_known=True))
    assert "may be the tube's" not in repr(replace(unknown, found=found[:1]))


def test_the_tube_is_asked_for(counts):
    cut = counts[:, :, :2000]
    with pytest.warns(UserWarning, match="a tube has scattered is taken for elements"):
        unknown = make(cut, tube=None).find_elements(["Fe", "Mo"])
    assert not unknown.is_excitation_known
    assert make(cut).find_elements(["Fe"]).is_excitation_known


def test_lazy_is_the_same(counts, found):
    lazy = make(counts).as_lazy().find_elements(show_progressbar=False)
    assert [one.name for one in lazy] == [one.name for one in found]
    np.testing.assert_allclose(
        [one.evidence for one in lazy], [one.evidence for one in found]
    )


def test_metadata_are_set_if_asked(counts):
    s = make(counts)
    options = {"elements": ["Fe", "Ca", "Ti"]}
    s.find_elements(**options)
    assert not s.metadata.has_item("Sample.elements")
    s.find_elements(set_elements=True, **options)
    assert s.metadata.Sample.elements == ["Ca", "Fe", "Ti"]


def test_a_spectrum_of_any_type(counts):
    s = make(counts).sum()
    s.set_signal_type("")
    found = rsciio_xfm.find_elements(s, elements="Fe", excitation="Mo 50 kV")
    assert found.elements == ["Fe"]


def test_units_of_ev(counts):
    found = make(counts, "eV", 10.0).find_elements(["Fe", "Ca"])
    assert found.elements == ["Fe", "Ca"]


def test_without_calibration(counts):
    with pytest.raises(ValueError, match=r"not calibrated.*calibrate_energy"):
        make(counts, units=None).find_elements()


def test_nothing_is_found():
    empty = make(np.zeros((3, 4, 2048), dtype=np.uint8))
    with pytest.raises(ValueError, match="no counts"):
        empty.find_elements()
    rng = np.random.default_rng(0)
    s = make(rng.poisson(np.full((3, 4, 2048), 5.0)))
    found = s.find_elements()
    assert len(found) == 0
    assert repr(found) == "No element was found in phantom, excited by Mo 50 kV."


def test_excitation_that_is_not_known(counts):
    with pytest.warns(UserWarning, match="do not say what excites"):
        make(counts, tube=None).find_elements(["Fe"])


def test_without_xraylib(counts, monkeypatch):
    from rsciio_xfm.analysis.fit import excitation

    def missing(module, extra):
        return extras.require("not_there_at_all", extra)

    monkeypatch.setattr(excitation, "require", missing)
    match = r'pip install "rsciio-xfm\[fit\]"'
    with pytest.raises(ImportError, match=match):
        make(counts).find_elements()
    with pytest.raises(ImportError, match=match):
        make(counts).calibrate_energy(["Fe", "Ca"])


def test_labels(counts):
    labels = labels_of(make(counts).sum())
    assert {name for name, _ in labels} >= {"Fe_Ka", "Ca_Ka", "Pb_La"}
    assert abs(dict(labels)["Fe_Ka"] - 6.404) < 0.01
    assert labels_of(make(counts, units=None).sum()) == []
    unknown = make(counts, tube=None).sum()
    assert labels_of(unknown) == []
    assert labels_of(unknown, "Mo 50 kV") == labels
    assert labels_of(make(np.zeros((2, 2, 2048), dtype=int)).sum()) == []


# Energies.


@pytest.mark.parametrize("is_lazy", [False, True])
def test_calibrate_in_place(counts, is_lazy):
    s = make(counts, units=None)
    s = s.as_lazy() if is_lazy else s
    before = s.data.sum()
    found = s.calibrate_energy({"Fe_Ka": 639, "Ca_Ka": 369}, show_progressbar=False)
    axis = s.axes_manager[-1]
    assert (axis.offset, axis.scale, axis.units) == (found.zero, found.gain, "keV")
    assert abs(axis.offset + 0.012) < 0.01
    assert abs(axis.scale - 0.01003) < 2e-5
    assert s._lazy == is_lazy
    assert before == s.data.sum()


def test_calibrate_an_axis_that_has_energies(counts):
    s = make(counts, "eV", 10.1)
    found = s.calibrate_energy({"Fe_Ka": 6.4, "Ca_Ka": 3.7})
    assert found.taken_as == "energies"
    assert s.axes_manager[-1].units == "keV"
    assert abs(s.axes_manager[-1].scale - 0.01003) < 2e-5
    found = s.calibrate_energy(["Fe", "Ca", "Cu"])
    assert abs(s.axes_manager[-1].scale - 0.01003) < 2e-5


def test_a_failure_leaves_the_axis(counts):
    s = make(counts, units=None)
    with pytest.raises(ValueError, match="no peak"):
        s.calibrate_energy({"Fe_Ka": 1350, "Ca_Ka": 369})
    assert s.axes_manager[-1].scale == 1
    with pytest.raises(ValueError, match="no counts"):
        make(np.zeros((3, 4, 64), dtype=int)).calibrate_energy(["Fe"])


def test_calibrate_any_type(counts):
    s = hs.signals.Signal1D(counts.sum(axis=(0, 1)))
    rsciio_xfm.calibrate_energy(s, {"Fe_Ka": 639, "Ca_Ka": 369})
    assert s.axes_manager[-1].units == "keV"


def test_more_counts_than_there_are():
    """Where rounding makes an end of the fit it is said so."""
    with pytest.raises(ValueError, match="There are too many counts for elements"):
        _root(-np.eye(3))
    almost = np.array([[1, 1 + 1e-6], [1 + 1e-6, 1]])
    assert np.isfinite(_root(almost)).all()
