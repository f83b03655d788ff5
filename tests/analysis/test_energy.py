"""Energies of channels from lines, and from elements alone."""

import numpy as np
import pytest

pytest.importorskip("xraylib")
from rsciio_xfm import data
from rsciio_xfm.analysis.fit.energy import calibrate_energy
from tests.builders import xrf

ZERO, GAIN = -0.012, 0.01003  # keV, of the phantom's detector
FE, CA, CU = 6.4, 3.691, 8.041


def channel(energy, zero=ZERO, gain=GAIN):
    return (energy - zero) / gain


@pytest.fixture(scope="module")
def spectrum():
    return xrf.make((16, 16), counts=4000).counts.sum(axis=(0, 1), dtype=float)


def check(found, zero=ZERO, gain=GAIN, within=0.004):
    """Energies of 3 to 10 keV are right."""
    at = channel(np.array([3.0, 10.0]), zero, gain)
    np.testing.assert_allclose(found.zero + found.gain * at, [3, 10], atol=within)


def test_channels(spectrum):
    known = {"Fe_Ka": round(channel(FE)) + 4, "Ca_Ka": channel(CA) - 2.5}
    found = calibrate_energy(spectrum, known)
    assert found.taken_as == "channels"
    check(found)
    assert [line.name for line in found.lines] == ["Ca_Ka", "Fe_Ka"]
    assert "numbers taken as channels" in str(found)
    assert max(abs(line.residual) for line in found.lines) < 1e-6


def test_three_lines_have_residuals(spectrum):
    known = {"Fe_Ka": channel(FE), "Ca_Ka": channel(CA), "Cu_Ka": channel(CU)}
    found = calibrate_energy(spectrum, known)
    check(found)
    residuals = [line.residual for line in found.lines]
    assert 0 < max(map(abs, residuals)) < 0.003


def test_energies_on_the_axis_as_it_is(spectrum):
    found = calibrate_energy(spectrum, {"Fe_Ka": 6.5, "Ca_Ka": 3.75}, (0.02, 0.0101))
    assert found.taken_as == "energies"
    check(found)


def test_one_line_keeps_the_zero(spectrum):
    found = calibrate_energy(spectrum, {"Fe_K": channel(FE)}, (ZERO, 0.0101))
    assert found.zero == ZERO
    check(found)
    assert calibrate_energy(spectrum, {"Fe_Ka": channel(FE)}).zero == 0


@pytest.mark.parametrize(
    "elements", [["Fe", "Ca"], ["Fe", "Ca", "Cu", "Ti"], ["Pb", "Fe", "Si"]]
)
def test_elements(spectrum, elements):
    found = calibrate_energy(spectrum, elements)
    assert found.taken_as == "elements"
    assert not found.missing
    assert found.explained > 0.1
    check(found, within=0.02)


@pytest.fixture(scope="module")
def painting(tmp_path_factory):
    """Return 8 million counts, most of them of copper, at -0.5 keV and 25 eV a channel."""
    path = data.painting(tmp_path_factory.mktemp("painting") / "scan.raw").path
    return np.fromfile(path, "<u2").reshape(-1, 1024).sum(axis=0, dtype=float)


@pytest.mark.parametrize(
    ("elements", "missing"),
    [
        (["Fe", "Ca"], ()),
        (["Fe", "Ca", "Pb"], ()),
        (["Pb", "Cu", "Fe", "Ca", "Sn"], ()),
        (["Ca", "Cu", "Pb", "Zn"], ("Zn",)),
    ],
)
def test_elements_without_the_strongest(painting, elements, missing):
    found = calibrate_energy(painting, elements)
    assert found.missing == missing
    check(found, -0.5, 0.025, within=0.01)


def test_one_element_is_not_enough(painting):
    with pytest.raises(ValueError, match=r"no way that is sure.*Give two lines"):
        calibrate_energy(painting, ["Fe"])


@pytest.mark.parametrize(
    ("zero", "gain", "n_channels"),
    [
        pytest.param(-0.96, 0.01, 2048, marks=pytest.mark.thorough),
        (0.05, 0.02, 1024),
        pytest.param(-0.5, 0.005, 4096, marks=pytest.mark.thorough),
    ],
)
@pytest.mark.parametrize("counts", [40, 4000])
def test_elements_of_other_detectors(zero, gain, n_channels, counts):
    detector = xrf.Detector(zero=zero, gain=gain, n_channels=n_channels)
    phantom = xrf.make((16, 16), counts=counts, detector=detector)
    total = phantom.counts.sum(axis=(0, 1), dtype=float)
    found = calibrate_energy(total, ["Fe", "Ca", "Cu", "Pb"])
    check(found, zero, gain, within=0.03)


def test_an_element_that_is_missing_is_named(spectrum):
    found = calibrate_energy(spectrum, ["Fe", "Ca", "Cu", "Ti", "Co"], (ZERO, GAIN))
    check(found, within=0.02)
    assert "Co" in found.missing
    assert "No peak of its own: Co" in str(found)


@pytest.mark.parametrize(
    ("known", "match"),
    [
        ({"Fe_Ka": 1350}, "no peak at channel 1350.*nearest are at"),
        ({"Fe_Ka": 639, "Ca_Ka": 3.7}, "mixed"),
        ({"Fe_Ka": 6.4, "Ca_Ka": 3.7}, "channels have none yet"),
        ({"Fe_Ka": 639, "Cu_Ka": 640}, "same peak"),
        ({"Fe_Ka": 369, "Ca_Ka": 639}, "exchanged"),
        ({"Fe_Ka": 639, "Ca_Ka": 369, "Cu_Ka": 449}, "no straight line"),
        ({"Fe_Ka": 639, "Ca_Ka": 502}, "channel 0 would be at -"),
        ({"Fe_Ka": 1e5}, "within the 2048 channels"),
        ({"Fe_Ka": -5}, "within the 2048 channels"),
        ({"Fe_Ka": float("nan")}, "expected a channel"),
        ({"Fe_Ka": "here"}, "expected a channel"),
        ({"Xx_Ka": 639}, "no element"),
        ({"Fe_Zz": 639}, "no line that peaks"),
        ({"Fe_Ma": 639}, "has none of this kind"),
        (["Qq"], "no element"),
        ([], "expected lines"),
        ({}, "expected lines"),
        ("Fe", "expected lines"),
        (["Na"], "in no way"),
    ],
)
def test_what_cannot_be(spectrum, known, match):
    with pytest.raises(ValueError, match=match):
        calibrate_energy(spectrum, known)


def test_several_ways_are_told():
    x = np.arange(2048)
    spectrum = sum(
        1000 * h * np.exp(-0.5 * ((x - c) / 5) ** 2)
        for c, h in [(500, 1), (551.5, 0.15), (640, 1), (705.9, 0.15)]
    )
    with pytest.raises(ValueError, match=r"several ways.*Fe_Ka=500,.*; or .*Fe_Ka=640,"):
        calibrate_energy(np.round(spectrum + 5), ["Fe"])


@pytest.mark.parametrize("start", [(0, 0), (0, -0.01), (np.nan, 0.01)])
def test_no_start(spectrum, start):
    with pytest.raises(ValueError, match="The start is"):
        calibrate_energy(spectrum, ["Fe"], start)


@pytest.mark.parametrize(
    ("bad", "match"),
    [(np.zeros(512), "no counts"), (np.full(512, np.nan), "not finite")],
)
def test_no_spectrum(bad, match):
    with pytest.raises(ValueError, match=match):
        calibrate_energy(bad, ["Fe", "Ca"])


def test_no_peaks():
    with pytest.raises(ValueError, match="no peak in the spectrum"):
        calibrate_energy(np.full(512, 10.0), ["Fe", "Ca"])
