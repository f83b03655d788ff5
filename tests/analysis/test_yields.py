"""Yields of lines: against fisx, closed formulas and limits."""

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("xraylib")
from scipy.special import exp1, expn

from rsciio_xfm.analysis.fit.excitation import (
    Excitation,
    Layer,
    air,
    attenuation_of,
    one_energy,
)
from rsciio_xfm.analysis.fit.lines import group, vacancies
from rsciio_xfm.analysis.fit.sources import parse_excitation
from rsciio_xfm.analysis.quantify import enhancement
from rsciio_xfm.analysis.quantify.enhancement import absorbed, unit_yields, yields
from rsciio_xfm.analysis.quantify.materials import oxygen_of, parse_formula
from rsciio_xfm.analysis.quantify.primary import Sample, sensitivities, tables
from rsciio_xfm.analysis.quantify.setup import Setup, efficiency, solid_angle

ALL = Layer("Si", 2.329, math.inf)  # a crystal that stops everything
BEAMS = {
    "mono": one_energy("monochromatic", 17.44),
    "several": Excitation(
        "tube", 35.0, (9.0, 12.0, 18.0, 25.0, 35.0), (0.15, 0.3, 0.35, 0.15, 0.05)
    ),
}
SAMPLES = {
    "steel": {
        "Cr": 0.1837,
        "Mn": 0.0162,
        "Fe": 0.6519,
        "Ni": 0.1235,
        "Cu": 0.002,
        "Mo": 0.0227,
    },
    "brass": {"Cu": 0.6, "Zn": 0.37, "Pb": 0.02, "Fe": 0.01},
    "glass": {
        "Si": 0.33,
        "O": 0.46,
        "Na": 0.1,
        "Ca": 0.07,
        "K": 0.02,
        "Fe": 0.005,
        "Sr": 0.01,
        "Zr": 0.005,
    },
    "hematite": {"Fe": 0.69, "O": 0.3, "Co": 0.002, "Ni": 0.002, "Mn": 0.006},
}
GROUPS = {
    "steel": ("Cr", "Mn", "Fe", "Ni"),
    "brass": ("Fe", "Cu", "Zn"),
    "glass": ("K", "Ca", "Fe", "Sr"),
    "hematite": ("Mn", "Fe", "Ni"),
}
# fisx 1.3.2, its tables as PyMca has them; a material of density 1 of these fractions,
# XRF.setBeam, setSample([[material, 1, thickness]]), setGeometry(incidence, takeoff) and
# getMultilayerFluorescence(["Cr K", ...], elements, secondary=0 and 2, useMassFractions=1):
# the sums of "rate" over the lines. It lets coherently scattered radiation excite, and no
# incoherently scattered.
FISX = [
    (
        *("steel", "mono", 5, (45, 45)),
        [0.0091577, 0.0011141, 0.042494, 0.0063649],
        [0.015433, 0.0012672, 0.045261, 0.0064113],
    ),
    (
        *("steel", "mono", 0.002, (90, 30)),
        [0.0021556, 0.00024016, 0.01121, 0.0024107],
        [0.0027817, 0.00025487, 0.011599, 0.0024162],
    ),
    (
        *("steel", "several", 5, (45, 45)),
        [0.012912, 0.0015079, 0.061633, 0.010413],
        [0.020723, 0.0016946, 0.065314, 0.010478],
    ),
    (
        *("brass", "mono", 5, (45, 45)),
        [0.00075066, 0.10563, 0.077669],
        [0.0018967, 0.11041, 0.079194],
    ),
    (
        *("brass", "mono", 0.002, (90, 30)),
        [0.00018194, 0.01977, 0.014215],
        [0.00026664, 0.020117, 0.014311],
    ),
    (
        *("brass", "several", 5, (45, 45)),
        [0.0010721, 0.1333, 0.068057],
        [0.002279, 0.13708, 0.068986],
    ),
    (
        *("glass", "mono", 5, (45, 45)),
        [0.00010338, 0.00063895, 0.00064457, 0.036052],
        [0.00011365, 0.00067913, 0.00068471, 0.036864],
    ),
    (
        *("glass", "mono", 0.002, (90, 30)),
        [4.1154e-05, 0.00022924, 9.8262e-05, 0.0010426],
        [4.2406e-05, 0.00023116, 9.8827e-05, 0.0010438],
    ),
    (
        *("glass", "several", 5, (45, 45)),
        [0.00022497, 0.001364, 0.001176, 0.014929],
        [0.00023888, 0.0014017, 0.001208, 0.015351],
    ),
    (
        *("hematite", "mono", 5, (45, 45)),
        [0.00058508, 0.09861, 0.0001256],
        [0.0006826, 0.099679, 0.0001265],
    ),
    (
        *("hematite", "mono", 0.002, (90, 30)),
        [9.5039e-05, 0.014074, 4.268e-05],
        [9.8795e-05, 0.014108, 4.2757e-05],
    ),
    (
        *("hematite", "several", 5, (45, 45)),
        [0.00078649, 0.12585, 0.00021007],
        [0.00089643, 0.12692, 0.00021117],
    ),
]


def groups_of(elements, beam, shell="K"):
    return [group(element, shell, beam) for element in elements]


def without_compton(own):
    merge = own.merge.copy()
    merge[:, merge.shape[1] // 2 :] = 0
    return replace(own, merge=merge)


def without_scattering(own):
    return replace(own, merge=np.zeros_like(own.merge))


@pytest.mark.parametrize(
    ("sample", "beam", "thickness", "angles", "first", "total"),
    FISX,
    ids=[f"{name}-{beam}-{thickness}" for name, beam, thickness, *_ in FISX],
)
def test_fisx(sample, beam, thickness, angles, first, total):
    excitation, fractions = BEAMS[beam], SAMPLES[sample]
    setup = Setup(excitation, *angles, detector=ALL)
    groups = groups_of(GROUPS[sample], excitation)
    own = tables(fractions, setup, groups)
    own = without_compton(replace(own, seen=np.ones_like(own.seen)))
    shares = np.array([fractions[name] for name in own.elements])
    found = unit_yields(own, setup, shares, thickness)
    ours = np.array([fractions[one.element] for one in groups])
    np.testing.assert_allclose(found.primary * ours, first, rtol=6e-3)
    np.testing.assert_allclose(found.total * ours, total, rtol=8e-3)


def test_steel_of_pymca():
    """SRM 1155 at 16 keV: PyMca finds 32.7 % Cr without enhancement, 20.0 with it."""
    steel = {"Cr": 0.1837, "Mn": 0.01619, "Fe": 0.6547, "Ni": 0.1235}
    steel |= {"Cu": 0.00175, "Mo": 0.02016}
    beam = parse_excitation(16.0)
    found = yields(Sample(steel), Setup(beam), groups_of(["Cr"], beam), orders=2)
    assert 1 + found.enhanced[0] / found.primary[0] == pytest.approx(
        32.7 / 20.0, rel=0.01
    )


def test_sherman():
    """Secondary fluorescence of a thick sample has a closed formula."""
    fractions = {"Fe": 0.5, "Ni": 0.5}
    beam = one_energy("monochromatic", 20.0)
    setup = Setup(beam, 60.0, 30.0)
    own = without_scattering(tables(fractions, setup, groups_of(["Fe"], beam)))
    shares = np.array([fractions[name] for name in own.elements])
    found = unit_yields(own, setup, shares, math.inf, orders=2)
    sine_in, sine_out = setup.sines
    into = (shares @ own.absorption)[0] / sine_in
    is_k = own.production[:, 0] > 0
    expected = 0.0
    for i in range(len(own.lines.energies)):
        out = shares @ own.lines.absorption[:, i] / sine_out
        of_line = 0.0
        for j in np.flatnonzero(own.exciting.rates > 0):
            mu = shares @ own.exciting.absorption[:, j]
            source = own.exciting.subshells[j]
            made = shares[own.owners[source]] * own.production[source, 0]
            made = made * own.exciting.rates[j] / sine_in
            again = own.secondary[own.lines.subshells[i], j]
            logs = np.log1p(into / mu) / into + np.log1p(out / mu) / out
            of_line += 0.5 * made * again * logs / (into + out)
        expected += of_line * own.lines.rates[i] * own.seen[i]
    assert is_k.any()
    assert found.enhanced[0] == pytest.approx(expected, rel=5e-3)
    assert found.enhanced[0] > 0.1 * found.primary[0]


def test_a_foil_by_brute_force():
    """Depth by depth, with E1 between them: iron that nickel excites, 5 mg/cm2."""
    fractions, thickness = {"Fe": 0.1, "Ni": 0.9}, 5e-3
    beam = one_energy("monochromatic", 12.0)
    setup = Setup(beam, detector=ALL)
    own = without_scattering(tables(fractions, setup, groups_of(["Fe"], beam)))
    shares = np.array([fractions[name] for name in own.elements])
    found = unit_yields(own, setup, shares, thickness, orders=2)
    a, b = (np.polynomial.legendre.leggauss(n) for n in (300, 301))
    (deep, weight_a), (shallow, weight_b) = (
        (0.5 * thickness * (x + 1), 0.5 * thickness * w) for x, w in (a, b)
    )
    sine_in, sine_out = setup.sines
    left = np.exp(-(shares @ own.absorption)[0] * deep / sine_in) / sine_in
    distance = np.abs(deep[:, np.newaxis] - shallow)
    expected = 0.0
    for j in np.flatnonzero(own.exciting.rates > 0):
        mu = shares @ own.exciting.absorption[:, j]
        source = own.exciting.subshells[j]
        made = shares[own.owners[source]] * own.production[source, 0] * left
        there = 0.5 * (made * weight_a) @ exp1(mu * distance) * own.exciting.rates[j]
        for i in range(len(own.lines.energies)):
            out = np.exp(-shares @ own.lines.absorption[:, i] * shallow / sine_out)
            again = own.secondary[own.lines.subshells[i], j] * own.lines.rates[i]
            expected += again * own.seen[i] * (there * out) @ weight_b
    assert found.enhanced[0] == pytest.approx(expected, rel=5e-3)


def test_no_photon_is_lost():
    """What a layer emits is absorbed in some layer, or leaves through one of the surfaces."""
    bounds = np.concatenate([[0.0], np.geomspace(1e-3, 8.0, 30)])
    share = absorbed(bounds)
    widths = np.diff(bounds)
    through_front = -0.5 * np.diff(expn(3, bounds)) / widths
    through_back = 0.5 * np.diff(expn(3, bounds[-1] - bounds)) / widths
    total = share.sum(axis=1) + through_front + through_back
    np.testing.assert_allclose(total, 1, rtol=1e-12)
    # As much from one to another as back, per thickness.
    there = share * widths[:, np.newaxis]
    np.testing.assert_allclose(there, there.T, rtol=1e-9, atol=1e-15)
    assert (share > 0).all()


def test_limits():
    fractions = SAMPLES["steel"]
    setup = Setup(BEAMS["several"])
    groups = groups_of(GROUPS["steel"], BEAMS["several"])
    ours = np.array([fractions[one.element] for one in groups])
    film = yields(Sample(fractions, 1e-8), setup, groups)
    expected = sensitivities(setup, groups) * ours * 1e-8
    np.testing.assert_allclose(film.total, expected, rtol=1e-3)
    assert (film.enhanced < 2e-4 * film.primary).all()
    thick, slab = (yields(Sample(fractions, t), setup, groups) for t in (math.inf, 10.0))
    np.testing.assert_allclose(thick.total, slab.total, rtol=1e-6)
    first, second, all_orders = (
        yields(Sample(fractions), setup, groups, orders).total for orders in (1, 2, 20)
    )
    assert (first < second).all()
    assert (second <= all_orders).all()
    assert all_orders[0] > 1.01 * second[0]  # Ni excites Fe, and Fe Cr
    none = yields(Sample({"Ca": 1.0}), setup, groups)
    assert (none.total == 0).all()


@pytest.mark.parametrize("thickness", [math.inf, 3e-3])
def test_layers_are_thin_enough(thickness, monkeypatch):
    fractions, beam = SAMPLES["steel"], parse_excitation("Rh 40 kV")
    groups = groups_of(GROUPS["steel"], beam)
    found = yields(Sample(fractions, thickness), Setup(beam), groups).total
    monkeypatch.setattr(enhancement, "_N_LAYERS", 250)
    fine = yields(Sample(fractions, thickness), Setup(beam), groups).total
    np.testing.assert_allclose(found, fine, rtol=1.5e-3)


def test_subshells():
    """L1 of lead, and all of L, are what their parts are."""
    beam = one_energy("monochromatic", 20.0)
    setup, sample = Setup(beam), Sample({"Pb": 0.5, "O": 0.5})
    whole = group("Pb", "L", beam)
    parts = [whole.part(name) for name in ("L1", "L2", "L3")]
    found = yields(sample, setup, parts).total
    expected = yields(sample, setup, [whole]).total
    assert found.sum() == pytest.approx(expected[0], rel=1e-3)
    both = yields(sample, setup, [parts[0], whole]).total
    np.testing.assert_allclose(both, [found[0], expected[0]], rtol=1e-3)


def test_what_is_not_excited():
    beam = one_energy("monochromatic", 8.0)
    groups = [group("Fe", "K", beam), group("Zn", "K", one_energy("monochromatic", 20.0))]
    setup = Setup(beam)
    found = yields(Sample({"Fe": 0.5, "Zn": 0.5}), setup, groups)
    assert found.total[0] > 0
    assert found.total[1] == sensitivities(setup, groups)[1] == 0
    found = yields(Sample({"Fe": 0.5, "Zn": 0.5}), setup, groups[1:])
    assert found.total[0] == 0


def test_efficiency():
    beam = one_energy("monochromatic", 20.0)
    energies = np.array([1.5, 6.4, 25.0])
    near, far = (Setup(beam, path=(air(cm), Layer("Be", 1.848, 8e-4))) for cm in (1, 5))
    assert (efficiency(far, energies) < efficiency(near, energies)).all()
    thin = replace(near, detector=Layer("Si", 2.329, 0.01))
    assert efficiency(thin, energies)[2] < 0.3 * efficiency(near, energies)[2]
    full = efficiency(Setup(beam, detector=ALL), np.array([1.5, 3.0, 6.4]))
    assert full[0] == 1  # below the edge of silicon nothing escapes
    # 0.5 w r (1 - m_k / m_e ln(1 + m_e / m_k)) with w = 0.047, r = 0.92, and XCOM's 354 (Si
    # Ka), 978 (3 keV) and 122 cm2/g (6.4 keV).
    np.testing.assert_allclose(1 - full[1:], [0.0112, 0.0031], rtol=0.1)
    assert efficiency(Setup(beam, detector=Layer("CdTe", 5.85, 0.1)), energies)[2] > 0.9
    assert (efficiency(Setup(beam, path=(Layer("Pb", 11.3, 1),)), energies) < 1e-99).all()


def test_solid_angle():
    assert solid_angle(0.5, 100.0) == pytest.approx(0.5 / 100.0**2, rel=1e-4)
    assert solid_angle(1e9, 1e-3) == pytest.approx(2 * math.pi, rel=1e-4)
    with pytest.raises(ValueError, match="above 0"):
        solid_angle(0.3, 0.0)


def test_formulas():
    water = parse_formula("H2O")
    assert water["O"] == pytest.approx(15.999 / 18.015, rel=1e-3)
    assert sum(parse_formula("air").values()) == pytest.approx(1)
    assert parse_formula("air")["N"] == pytest.approx(0.755, abs=1e-3)
    assert oxygen_of("Fe") == pytest.approx(1.5 * 15.999 / 55.845, rel=1e-3)
    for wrong in ("", "Si2X", "unobtainium", "PuO2"):
        with pytest.raises(ValueError, match=r"no material|up to U"):
            parse_formula(wrong)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"incidence": 0.0}, "incidence"),
        ({"takeoff": 120.0}, "takeoff"),
        ({"takeoff": math.nan}, "takeoff"),
        ({"excitation": parse_excitation("electrons 20 kV")}, "DTSA-II"),
    ],
)
def test_wrong_setups(keywords, words):
    with pytest.raises(ValueError, match=words):
        Setup(**({"excitation": BEAMS["mono"]} | keywords))


@pytest.mark.parametrize(
    ("fractions", "thickness", "words"),
    [
        ({"Fe": 0.5}, math.inf, "add up to 0.5"),
        ({"Fe": 1.5, "Cr": -0.5}, math.inf, "Cr is -0.5"),
        ({"Fe": math.nan}, math.inf, "Fe is nan"),
        ({"Pu": 1.0}, math.inf, "up to U"),
        ({"Xx": 1.0}, math.inf, "no element"),
        ({"Fe": 1.0}, 0.0, "thickness"),
        ({}, 1.0, "add up to 0"),
    ],
)
def test_wrong_samples(fractions, thickness, words):
    with pytest.raises(ValueError, match=words):
        Sample(fractions, thickness)


@pytest.mark.parametrize("element", ["O", "Na", "Si", "Ca", "Fe"])
def test_hard_radiation_excites_light_elements(element):
    """In proportion to the photoelectric cross section, also where Kissel's tables end."""
    import xraylib

    z = xraylib.SymbolToAtomicNumber(element)
    energies = [10.0, 17.44, 30.0, 60.0, 110.0]
    photo = np.array([xraylib.CS_Photo(z, energy) for energy in energies])
    ratio = vacancies(element, "K", energies) / photo
    np.testing.assert_allclose(ratio, ratio[0], rtol=0.03)


def test_absorption_of_chromium():
    """XCOM has 404 cm2/g at 6.6 keV, fisx 407; xraylib 4.3 in CS_Total 464."""
    assert attenuation_of(24, 6.6) == pytest.approx(404, rel=0.025)
    assert attenuation_of(26, 6.404) == pytest.approx(70.8, rel=0.01)
