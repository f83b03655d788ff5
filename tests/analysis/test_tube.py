"""Spectra of X-ray tubes: against PyMca's, and what taking energies together changes."""

import numpy as np
import pytest

pytest.importorskip("xraylib")
import xraylib

from rsciio_xfm.analysis.fit.excitation import Layer, transmission
from rsciio_xfm.analysis.fit.sources import TUBE_WINDOW, parse_excitation, tube
from rsciio_xfm.analysis.fit.tube import characteristic, continuum

# PyMca 5.9.7, XRayTubeEbel.continuumEbel(anode, kV, energies, alphae=75, alphax=15) and the
# sum of characteristicEbel(...) over K, whose constant is 6e13, that of Ebel 5e13.
ENERGIES = np.array([2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0])
PYMCA = {
    ("Rh", 50.0): [
        1.09401e11,
        7.90911e10,
        1.52619e11,
        1.21961e11,
        8.55664e10,
        3.63002e10,
    ],
    ("W", 50.0): [3.77950e10, 1.19578e11, 2.20976e11, 1.19795e11, 1.10015e11, 6.51816e10],
    ("Cr", 20.0): [9.94777e10, 9.08283e10, 2.88805e10, 1.00932e10],
}
K_LINES = {("Rh", 50.0): 5.76745e11, ("Cr", 20.0): 1.48422e12}


@pytest.mark.parametrize(("anode", "voltage"), PYMCA)
def test_pymca(anode, voltage):
    expected = PYMCA[anode, voltage]
    found = continuum(anode, voltage, ENERGIES[: len(expected)])
    np.testing.assert_allclose(found, expected, rtol=2e-4)
    energies, photons = characteristic(anode, voltage)
    if (anode, voltage) in K_LINES:
        edge = xraylib.EdgeEnergy(xraylib.SymbolToAtomicNumber(anode), xraylib.L1_SHELL)
        total = photons[energies > 1.2 * edge].sum()
        assert total == pytest.approx(5 / 6 * K_LINES[anode, voltage], rel=2e-3)


@pytest.mark.parametrize(
    ("anode", "voltage"), [("Rh", 50.0), ("Mo", 40.0), ("W", 50.0), ("Cr", 30.0)]
)
def test_energies_taken_together_excite_as_all(anode, voltage):
    """Photoelectric production above K and L edges of Na to U, not those near the voltage."""
    beam = tube(anode, voltage)
    assert sum(beam.shares) == pytest.approx(1)
    own, shares = np.array(beam.energies), np.array(beam.shares)
    assert len(own) < 300
    bounds = np.linspace(1.0, voltage, 100001)
    fine = 0.5 * (bounds[1:] + bounds[:-1])
    step = bounds[1] - bounds[0]
    photons = continuum(anode, voltage, fine) * transmission((TUBE_WINDOW,), fine) * step
    lines, of_lines = characteristic(anode, voltage)
    of_lines = of_lines * transmission((TUBE_WINDOW,), lines)
    every = np.concatenate([fine, lines])
    all_photons = np.concatenate([photons, of_lines]) / (photons.sum() + of_lines.sum())
    for z in range(11, 93):
        for shell in range(4):  # K, L1, L2, L3
            edge = xraylib.EdgeEnergy(z, shell) if z > 18 or shell == 0 else 0.0
            if 1.0 < edge < 0.6 * voltage:
                found = (shares * own**-2.8)[own > edge].sum()
                expected = (all_photons * every**-2.8)[every > edge].sum()
                assert found == pytest.approx(expected, rel=0.01), (z, shell)


def test_lines_of_a_rhodium_tube():
    """L lines are there too, and soft radiation does not get through a window."""
    energies, photons = characteristic("Rh", 50.0)
    is_l = energies < 4
    assert 2 < photons[is_l].sum() / photons[~is_l].sum() < 5
    low, _ = characteristic("Rh", 20.0)
    assert (low < 4).all()
    open_tube, closed = (
        tube("Rh", 50.0, ()),
        tube("Rh", 50.0, (Layer("Be", 1.848, 0.05),)),
    )
    soft = [
        sum(s for e, s in zip(b.energies, b.shares, strict=True) if e < 4)
        for b in (open_tube, closed)
    ]
    assert soft[1] < 0.3 * soft[0]
    assert str(parse_excitation("Rh 50 kV")) == "Rh 50 kV"


@pytest.mark.parametrize(
    ("anode", "filters", "words"),
    [("Xx", (), "no element"), ("Rh", (Layer("Pb", 11.3, 100.0),), "passes")],
)
def test_no_tube(anode, filters, words):
    with pytest.raises(ValueError, match=words):
        tube(anode, 50.0, filters)
