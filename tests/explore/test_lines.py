"""Which lines a peak may be."""

import numpy as np
import pytest

from rsciio_xfm.explore.lines import Axis, calibrate, candidates, table


def test_lines_that_nobody_sees():
    """Tables have lines of weight 0: where the others of the shell are seen, they are none."""
    axis = Axis(0.0, 0.01, "keV", 3000)
    unseen = [
        (element, name, energy)
        for element, lines in table().items()
        for name, (energy, weight) in lines.items()
        if weight == 0
    ]
    assert unseen
    for element, name, energy in unseen[:40]:
        spectrum = np.zeros(3000)
        for other, weight in table()[element].values():
            peak = np.exp(-(((axis.kev(np.arange(3000)) - other) / 0.05) ** 2))
            spectrum += 10**6 * weight * peak
        found = candidates(energy, axis, 130.0, spectrum.astype(np.uint64))
        assert f"{element}_{name}" not in [one["line"] for one in found]


@pytest.mark.parametrize("width", [3.0, 5.5, 14.0])
def test_places_of_peaks(width):
    """Wherever in a channel a peak is, its place is found, and with it the energies."""
    channels = np.arange(4096)
    for part in np.linspace(0, 1, 11):
        places = {"Fe_Ka": 639.0 + part, "Cu_Ka": 803.3}
        peaks = [
            np.exp(-4 * np.log(2) * ((channels - at) / width) ** 2)
            for at in places.values()
        ]
        pointed = [(line, round(at)) for line, at in places.items()]
        found = calibrate(pointed, None, 1e5 * sum(peaks))
        for line, at in places.items():
            assert found["channels"][line] == pytest.approx(at, abs=0.11)


# keV, of K-alpha 1 and 2 (Deslattes et al., 2003).
DOUBLETS = {
    "Fe_Ka": (6.40401, 6.39103),
    "Mn_Ka": (5.89880, 5.88769),
    "Ca_Ka": (3.69172, 3.68813),
}


@pytest.mark.parametrize(("name", "off"), [("Ca_Ka", 0.0004), ("Mn_Ka", 0.003)])
def test_how_sure_the_gain_is(name, off):
    """Doublets do no harm; the closer two lines are, the less sure is the gain."""
    pytest.importorskip("xraylib", reason="the extra fit is not installed")
    energies = 0.01 * np.arange(2048)
    spectrum = np.full(2048, 50.0)
    for energy in (DOUBLETS["Fe_Ka"], DOUBLETS[name]):
        for part, height in zip(energy, (20_000, 10_000), strict=True):
            spectrum += height * np.exp(-0.5 * ((energies - part) / 0.055) ** 2)
    spectrum = np.random.default_rng(4).poisson(spectrum)
    pointed = [("Fe_Ka", 641.0), (name, round(100 * DOUBLETS[name][0]))]
    found = calibrate(pointed, None, spectrum)
    assert found["scale"] == pytest.approx(0.01, rel=off)
    assert abs(found["scale"] / 0.01 - 1) < 4 * found["uncertainty"] < 4 * off


def test_lines_that_hardly_stand_out():
    """Where somebody sees a peak, it is taken; nothing says how sure it is."""
    spectrum = np.random.default_rng(5).poisson(np.full(2048, 4.0))
    spectrum[[300, 301, 640, 641]] += 9
    found = calibrate([("Ca_Ka", 300), ("Fe_Ka", 640)], None, spectrum)
    assert found["uncertainty"] is None
    assert found["scale"] == pytest.approx(0.008, rel=0.02)
