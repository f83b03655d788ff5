"""Lines, and the spectra that a detector makes of them: against scipy and xraylib."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from rsciio_xfm.analysis.fit.background import make_splines
from rsciio_xfm.analysis.fit.columns import (
    gather_lines,
    make_spectra,
    start_values,
)
from rsciio_xfm.analysis.fit.excitation import Layer, air
from rsciio_xfm.analysis.fit.lines import Group, group
from rsciio_xfm.analysis.fit.response import Response, escape_peaks
from rsciio_xfm.analysis.fit.scatter import Scatter, make_scatter
from rsciio_xfm.analysis.fit.sources import parse_excitation, tube
from rsciio_xfm.kernels.peaks import add_lines

xraylib = pytest.importorskip("xraylib")

CHANNELS = 2048
ENERGIES = -0.1 + 0.01 * np.arange(CHANNELS)
BESIDE_0 = np.abs(ENERGIES) > 0.005  # where the shelf ends, in this channel or the next
MO = parse_excitation("Mo 50 kV")


def one_line(energy):
    one = np.array([1.0])
    return Group("Xx1", "K", np.array([energy]), one, ("a",), energy)


def make_columns(groups, response, n_channels):
    lines = gather_lines(groups, response, Scatter(), ())
    return make_spectra(lines, start_values(response, Scatter()), (0, n_channels))


def draw(energy, sigma, tail=0.0, length=0.2, shelf=0.0):
    columns = np.zeros((1, CHANNELS))
    lines = np.array([[energy, sigma, 1.0]])
    add_lines(columns, -0.1, 0.01, lines, np.array([0]), tail, length, shelf)
    return columns[0]


def test_gaussian_is_scipys():
    expected = 0.01 * scipy.stats.norm(6.4, 0.06).pdf(ENERGIES)
    np.testing.assert_allclose(draw(6.4, 0.06), expected, atol=1e-11)


@pytest.mark.parametrize("length", [0.03, 0.2, 1.0])
def test_tail_is_an_exponential_convolved_with_the_gaussian(length):
    # scipy has it with the tail on the other side.
    shape = scipy.stats.exponnorm(length / 0.06, loc=-6.4, scale=0.06)
    expected = 0.01 * shape.pdf(-ENERGIES)
    np.testing.assert_allclose(draw(6.4, 0.06, 1.0, length), expected, atol=1e-10)


def test_shelf_is_a_step_convolved_with_the_gaussian():
    expected = 0.01 / 6.4 * scipy.stats.norm(6.4, 0.06).sf(ENERGIES)
    expected[ENERGIES < 0] = 0
    found = draw(6.4, 0.06, shelf=1.0)
    np.testing.assert_allclose(found[BESIDE_0], expected[BESIDE_0], atol=1e-11)


@pytest.mark.parametrize("energy", [0.2, 6.4, 20.3, 30.0])
def test_lines_at_the_ends_of_a_spectrum(energy):
    whole = np.zeros((1, 4 * CHANNELS))
    lines = np.array([[energy, 0.06, 1.0]])
    add_lines(whole, -0.1 - 0.01 * 2000, 0.01, lines, np.array([0]), 0.1, 0.3, 0.05)
    part = whole[0, 2000 : 2000 + CHANNELS]
    found = draw(energy, 0.06, 0.1, 0.3, 0.05)
    np.testing.assert_allclose(found[BESIDE_0], part[BESIDE_0], atol=1e-12)


def test_columns_add_up_to_one():
    groups = [group("Fe", "K", MO), group("Pb", "L", MO)]
    response = Response(
        zero=-0.1, gain=0.01, tail=0.05, shelf=0.01, escape=0, satellite=0
    )
    columns = make_columns(groups, response, 4000)
    np.testing.assert_allclose(columns.sum(axis=1), 1, atol=1e-4)


def test_widths_are_those_of_noise_and_fano():
    response = Response(noise=0.08, fano=0.115)
    expected = np.sqrt(0.08**2 + 2.3548200450309493**2 * 0.115 * 0.00385 * 5.8951)
    assert response.fwhm == pytest.approx(expected, rel=1e-12)


def test_ratios_in_a_group_are_xraylibs():
    """Kissel's cross sections with cascades, for monochromatic radiation."""
    beam = parse_excitation(17.44)
    iron = group("Fe", "K", beam)
    is_beta = np.array([family == "b" for family in iron.families])
    lines = {
        name: xraylib.CS_FluorLine_Kissel_Cascade(
            26, getattr(xraylib, f"{name}_LINE"), 17.44
        )
        for name in ("KL2", "KL3", "KM2", "KM3")
    }
    expected = (lines["KM2"] + lines["KM3"]) / (lines["KL2"] + lines["KL3"])
    found = iron.weights[is_beta].sum() / iron.weights[~is_beta].sum()
    assert found == pytest.approx(expected, rel=1e-3)


def test_subshells_are_excited_as_xraylib_says():
    beam = parse_excitation(17.44)
    lead = group("Pb", "L", beam)
    of = {f: lead.weights[[g == f for g in lead.families]].sum() for f in ("L2", "L3")}
    shells = {"L2": xraylib.L2_SHELL, "L3": xraylib.L3_SHELL}
    expected = {
        name: xraylib.CS_FluorShell_Kissel_Cascade(82, shell, 17.44)
        for name, shell in shells.items()
    }
    assert of["L2"] / of["L3"] == pytest.approx(expected["L2"] / expected["L3"], rel=2e-3)


def test_what_is_not_excited_has_no_group():
    assert group("Mo", "K", parse_excitation(17.44)) is None


def test_escape_is_that_of_photons_integrated_over_depth_and_angle():
    energy = 6.4039
    z = 14
    rho = 2.33
    absorbed = xraylib.CS_Total_CP("Si", energy) * rho
    back = xraylib.CS_Total_CP("Si", xraylib.LineEnergy(z, xraylib.KA_LINE)) * rho
    yield_ = xraylib.FluorYield(z, xraylib.K_SHELL) * xraylib.RadRate(z, xraylib.KA_LINE)
    jump = 1 - 1 / xraylib.JumpFactor(z, xraylib.K_SHELL)

    def leaves(cosine, depth):
        return absorbed * np.exp(-absorbed * depth) * 0.5 * np.exp(-back * depth / cosine)

    share = scipy.integrate.dblquad(leaves, 0, 0.2, 0, 1)[0] * yield_ * jump
    position, found = escape_peaks(np.array([energy]), "Si")[0]
    assert found[0] == pytest.approx(share / (1 - share), rel=1e-3)
    assert position[0] == pytest.approx(energy - 1.74, abs=0.001)


def test_layers_and_crystal_change_ratios_of_lines():
    copper = group("Cu", "K", MO)
    layers = (air(50.0), Layer("Al", 2.7, 0.01))
    plain = {"escape": 0, "satellite": 0, "shelf": 0}
    response = Response(thickness=0.01, layers=layers, **plain)
    columns = make_columns([copper], response, CHANNELS)[0]
    seen = {}
    for name, energy in (("a", 8.041), ("b", 8.905)):
        air_mu, al, si = (
            xraylib.CS_Total_CP(material, energy)
            for material in ("Air, Dry (near sea level)", "Al", "Si")
        )
        seen[name] = np.exp(-air_mu * 0.0012048 * 50 - al * 2.7 * 0.01)
        seen[name] *= 1 - np.exp(-si * 2.33 * 0.01)
    emitted = {f: copper.weights[[g == f for g in copper.families]].sum() for f in "ab"}
    expected = emitted["b"] * seen["b"] / (emitted["a"] * seen["a"])
    assert columns[845:].sum() / columns[:845].sum() == pytest.approx(expected, rel=3e-3)


def test_satellites_are_below_k_beta_and_go_away():
    iron = group("Fe", "K", MO)
    responses = [Response(satellite=factor) for factor in (1, 0)]
    with_them, without = (make_columns([iron], r, CHANNELS)[0] for r in responses)
    more = with_them - without
    assert more.sum() == pytest.approx(0.1 * 0.12, rel=0.1)  # a tenth of K-beta
    assert 6.85 < (more * np.arange(CHANNELS) * 0.01).sum() / more.sum() < 7.0


def test_sum_of_components_is_that_of_the_columns():
    groups = [group("Fe", "K", MO), group("Pb", "L", MO), group("Ca", "K", MO)]
    scatter = make_scatter(MO, (1.0, 20.0), set())
    response = Response(zero=0.0, gain=0.01, tail=0.03, shelf=0.005)
    lines = gather_lines(groups, response, scatter, ())
    values = start_values(response, scatter)
    columns = make_spectra(lines, values, (100, 2000))
    areas = np.arange(1.0, len(columns) + 1)
    whole = make_spectra(lines, values, (100, 2000), areas)
    np.testing.assert_allclose(whole[0], areas @ columns, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("angle", [45.0, 90.0, 140.0])
def test_compton_lines_have_lost_what_xraylib_says(angle):
    beam = parse_excitation(17.44, angle)
    scatter = make_scatter(beam, (1.0, 20.0), set())
    expected = xraylib.ComptonEnergy(17.44, np.radians(angle))
    assert scatter.energies(np.array([17.44]))[0] == pytest.approx(expected, abs=1e-6)
    names = [one.name for one in (*scatter.rayleigh, *scatter.compton)]
    assert names == ["Rayleigh", "Compton"]


def test_lines_of_a_tube_are_scattered():
    scatter = make_scatter(MO, (1.0, 25.0), set())
    assert [one.name for one in scatter.rayleigh] == ["Rayleigh_K", "Rayleigh_L"]
    assert [one.name for one in scatter.compton] == ["Compton_Ka", "Compton_Kb"]
    assert scatter.rayleigh[0].energy == pytest.approx(17.4793, abs=0.001)


def test_an_element_of_the_anode_takes_the_place_of_its_rayleigh_lines():
    scatter = make_scatter(MO, (1.0, 25.0), {"Mo_K"})
    assert [one.name for one in scatter.rayleigh] == ["Rayleigh_L"]


def test_electrons_are_not_scattered():
    beam = parse_excitation("electrons 20 kV")
    scatter = make_scatter(beam, (0.2, 20.0), set())
    assert scatter.rayleigh == scatter.compton == ()


def test_a_window_takes_soft_radiation_from_a_tube():
    soft = []
    for beam in (tube("Mo", 50.0, ()), tube("Mo", 50.0)):
        pairs = zip(beam.energies, beam.shares, strict=True)
        soft.append(sum(share for energy, share in pairs if energy < 2))
        assert sum(beam.shares) == pytest.approx(1)
    assert soft[1] < 0.2 * soft[0]


def test_splines_are_closer_together_where_the_continuum_is_steep():
    energies = np.linspace(0.2, 10, 981)
    plain, soft = make_splines(energies), make_splines(energies, soft=1.0)
    for splines in (plain, soft):
        np.testing.assert_allclose(splines.sum(axis=0), 1)
        assert splines.min() >= 0
    below = [np.sum(splines.argmax(axis=1) < 80) for splines in (plain, soft)]
    assert below[1] > below[0]
    # They follow what falls by a factor of 20 within 1 keV.
    steep = np.exp(-energies / 0.3) + 0.01
    misfits = [np.linalg.lstsq(s.T, steep, rcond=None)[1][0] for s in (plain, soft)]
    assert misfits[1] < 0.1 * misfits[0]
