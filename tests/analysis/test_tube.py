"""Spectra of X-ray tubes: against PyMca's, and what taking energies together changes."""

import numpy as np
import pytest

pytest.importorskip("xraylib")
import xraylib

from rsciio_xfm.analysis.fit.excitation import Layer, transmission
from rsciio_xfm.analysis.fit.sources import TUBE_WINDOW, parse_excitation, tube
from rsciio_xfm.analysis.fit.tube import (
    _strength,
    characteristic,
    continuum,
    mean_l_yield,
)

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


# Mean yields of the L shell: J. H. Hubbell et al., J. Phys. Chem. Ref. Data 23 (1994) 339,
# table 8.
MEAN_YIELDS = {"Rh": 0.0459, "Ag": 0.0534, "W": 0.269, "Au": 0.331}
# H. Ebel, X-Ray Spectrom. 32 (2003) 46: constants of the subshells.
SUBSHELLS = {"L1": 0.71e13, "L2": 2.70e13, "L3": 4.94e13}
# What leaves L1 for L3, up to 3 % and soft, is shared by its other lines here.
LINES = {"L3M5": 0.01, "L2M4": 0.01, "L2N4": 0.01, "L1M3": 0.03}


def l_line(anode, voltage, line):
    """Photons per s, sr and mA of a line, step by step as Ebel's papers have it."""
    z, subshell = xraylib.SymbolToAtomicNumber(anode), line[:2]
    number = getattr(xraylib, f"{line}_LINE")
    energy = xraylib.LineEnergy(z, number)
    edge = xraylib.EdgeEnergy(z, getattr(xraylib, f"{subshell}_SHELL"))
    j, u = 0.0135 * z, voltage / edge
    ionised = u * np.log(u) + 1 - u
    slowed = np.sqrt(u) * np.log(u) + 2 * (1 - np.sqrt(u))
    stopping = 8 * 0.25 / z * (ionised + 16.05 * np.sqrt(j / edge) * slowed)
    back = 1 - 0.0081517 * z + 3.613e-5 * z**2 + 0.009583 * z * np.exp(-u)
    back += 0.001141 * voltage
    log_z = np.log(z)
    eta = 0.1904 - 0.2236 * log_z + 0.1292 * log_z**2 - 0.0149 * log_z**3
    eta *= voltage ** (0.1382 - 0.9211 / np.sqrt(z))
    deepest = 0.787e-5 * np.sqrt(j) * voltage**1.5 + 0.735e-6 * voltage**2
    deepest *= xraylib.AtomicWeight(z) / z
    depth = deepest * np.log(u) * (0.49269 - 1.0987 * eta + 0.78557 * eta**2)
    depth /= 0.70256 - 1.09865 * eta + 1.0046 * eta**2 + np.log(u)
    path = 2 * depth * xraylib.CS_Photo(z, energy) / np.sin(np.radians(15))
    path *= np.sin(np.radians(75))
    constant = SUBSHELLS[subshell]
    if subshell != "L3":
        constant *= -0.4814 + 0.03781 * z - 2.413e-4 * z**2
    escaping = (1 - np.exp(-path)) / path
    made = constant * stopping * back * MEAN_YIELDS[anode] * escaping
    return energy, made * xraylib.RadRate(z, number)


@pytest.mark.parametrize(
    ("anode", "voltage"), [("Rh", 50.0), ("Ag", 40.0), ("W", 50.0), ("Au", 30.0)]
)
def test_l_lines(anode, voltage):
    """With the mean yield of the shell, up to 5 % above that of L3."""
    energies, photons = characteristic(anode, voltage)
    for line, error in LINES.items():
        energy, expected = l_line(anode, voltage, line)
        is_own = np.isclose(energies, energy, rtol=1e-9)
        assert photons[is_own].sum() == pytest.approx(expected, rel=error), line


def test_l_lines_of_heavy_anodes_are_not_corrected():
    """From Z = 80 on; the parabola has its maximum, 1, there and falls beyond."""
    assert _strength(92, "L2") == pytest.approx(2.70e13 * mean_l_yield(92))
    assert _strength(79, "L2") == pytest.approx(2.70e13 * mean_l_yield(79), rel=1e-3)


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
