"""Concentrations of measured samples that are known, and of spectra made for a composition.

What is off by more than 3 % is said where it is tested: no code was tuned to these samples.
"""

import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest

from rsciio_xfm.analysis.fit.calibrate import calibrate
from rsciio_xfm.analysis.fit.excitation import Layer, air, one_energy, transmission
from rsciio_xfm.analysis.fit.lines import group
from rsciio_xfm.analysis.fit.model import make_model
from rsciio_xfm.analysis.fit.response import Response
from rsciio_xfm.analysis.fit.sources import parse_excitation, tube
from rsciio_xfm.analysis.quantify.compose import Measured, solve, thin
from rsciio_xfm.analysis.quantify.enhancement import yields
from rsciio_xfm.analysis.quantify.primary import Sample
from rsciio_xfm.analysis.quantify.setup import Setup, solid_angle
from rsciio_xfm.analysis.quantify.standards import Factor, absolute, combine, factor_of
from tests.builders import fisx_samples, standards
from tests.conftest import DATA

pytest.importorskip("xraylib")
xrf = pytest.importorskip("tests.builders.xrf")

RH_STEEL = ("Si", "S", "P", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Mo_L")


def measured(fit, names, live_time):
    """The areas of groups as what is quantified."""
    areas = np.array([fit.areas[name] for name in names])
    limits = np.array([fit.detection_limits[name] for name in names])
    return Measured(tuple(names), areas[:, 0], areas[:, 1], limits, live_time)


def layers(known):
    return tuple(Layer(*one) for one in known)


def by_element(found):
    return dict(zip(found.names, found.fractions, strict=True))


def need(*parts):
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path.parent


# SRM 1155: a steel, 16 keV, flux and solid angle known.


def model_of_steel():
    known = standards.read_steel(DATA / "fit")
    beam = parse_excitation(known.energy)
    response = Response(**known.scale, thickness=0.035, layers=layers(known.path))
    elements = ["Ar", "V", "Cr", "Mn", "Fe", "Ni", "Cu", "As", "Mo_L", "W_L"]
    return known, make_model(elements, beam, response, len(known.counts), (2.0, 17.0))


@functools.cache
def fit_of_steel():
    known, model = model_of_steel()
    return known, calibrate(model, known.counts).fit


@pytest.fixture
def steel():
    need("fit", "Steel.spe")
    known, fit = fit_of_steel()
    beam = parse_excitation(known.energy)
    passed = transmission(layers(known.filters), np.array([known.energy]))[0]
    setup = Setup(
        beam,
        *known.angles,
        layers(known.path),
        Layer(*known.detector),
        known.flux * passed,
        solid_angle(known.area, known.distance),
    )
    names = ("V_K", "Cr_K", "Mn_K", "Fe_K", "Ni_K", "Cu_K", "As_K", "W_L")
    return setup, measured(fit, names, known.time)


def test_srm_1155(steel):
    """Absolute. Cu is a fifth below the certificate, and so is its undisturbed line.

    See :func:`test_copper_of_srm_1155`. Ni is 5 % low, with PyMca and fisx (11.77 %) as well:
    by K-alpha and by K-beta, and whatever the angles are. Mo K is not excited, and of Mo L 230
    counts are expected beside 6 million.
    """
    setup, counts = steel
    found = solve(counts, setup, absolute(setup))
    assert found.is_converged
    assert found.sum == pytest.approx(0.97, abs=0.02)  # Mo, Si and others are not seen
    tolerances = {"Cr": 0.03, "Fe": 0.03, "Mn": 0.06, "Ni": 0.05, "Cu": 0.25}
    for name, tolerance in tolerances.items():
        percent = 100 * by_element(found)[name]
        assert percent == pytest.approx(standards.SRM_1155[name], rel=tolerance)


def test_copper_of_srm_1155(steel):
    """K-beta of Cu, which lies free, says as little Cu as the fit of both lines does.

    K-alpha is in the wing of Ni K-beta and its radiative Auger satellite. Without the
    satellite 2400 counts of it are taken for Cu, and K-alpha agrees with the certificate by
    chance, as PyMca's does: but then not with K-beta. PyMca 5.9.7 with both apart has 983 +-
    40 counts of K-beta: 0.131 %, and 0.180 % by K-alpha. Expected of K-beta / K-alpha is
    0.149: 0.1338 of Scofield's table, absorption in the steel and in the air.
    """
    _, counts = steel
    expected, pymca, certified = 0.149, 983, 1310
    alpha, beta = lines_of_copper(with_satellites=True)
    assert beta[0] == pytest.approx(pymca, abs=2 * beta[1])
    assert beta[0] < certified - 3.5 * beta[1]
    assert beta[0] / alpha[0] == pytest.approx(expected, rel=2 * beta[1] / beta[0])
    both = counts.counts[counts.names.index("Cu_K")]
    assert alpha[0] + beta[0] == pytest.approx(both, rel=0.01)
    alone, beta = lines_of_copper(with_satellites=False)
    assert alone[0] - alpha[0] > 8 * alpha[1]
    assert beta[0] / alone[0] < expected * (1 - 3 * beta[1] / beta[0])


def lines_of_copper(with_satellites):
    """Fit the steel with K-alpha and K-beta of Cu apart."""
    known, model = model_of_steel()
    apart = ("Cu_K",) if with_satellites else ("Cu_K", "Ni_K")  # a part has no satellite
    parts = [
        [one.part("a"), one.part("b")] if one.name in apart else [one]
        for one in model.groups
    ]
    model = replace(model, groups=tuple(itertools.chain(*parts)))
    fit = calibrate(model, known.counts).fit
    return fit.areas["Cu_Ka"], fit.areas["Cu_Kb"]


def test_srm_1155_without_a_flux(steel):
    """All that is seen adds up to 100 %: wrong by what is not seen, 3.5 %."""
    setup, counts = steel
    found = solve(counts, setup, None, "normalise")
    for name, tolerance in {"Cr": 0.06, "Fe": 0.05, "Ni": 0.05}.items():
        percent = 100 * by_element(found)[name]
        assert percent == pytest.approx(standards.SRM_1155[name], rel=tolerance)
    assert found.fractions.sum() == pytest.approx(1)


def test_error_without_enhancement_is_as_said(steel):
    """The share that is said to be enhanced is the error that its neglect would make."""
    setup, counts = steel
    found = solve(counts, setup, absolute(setup))
    shares = dict(zip(found.names, found.enhancement, strict=True))
    assert 0.35 < shares["Cr"] < 0.45 and shares["Ni"] < 0.02
    every = {name: part / found.sum for name, part in by_element(found).items()}
    for name in ("Cr", "Mn", "Fe", "Ni"):
        own = [group(name, "K", setup.excitation)]
        whole, first = (
            yields(Sample(every), setup, own, orders).total[0] for orders in (12, 1)
        )
        too_much = whole / first - 1
        assert too_much == pytest.approx(shares[name] / (1 - shares[name]), rel=0.01)
    # What PyMca's documentation shows as well: 32.8 % of Cr in place of 18.4.
    assert by_element(found)["Cr"] / (1 - shares["Cr"]) == pytest.approx(0.31, abs=0.02)


# The AXO film of 2-ID-E: 10 keV, Ca, Fe, Cu.


@functools.cache
def film():
    known = standards.read_film(DATA / "mda")
    beam = parse_excitation(known.energy)
    path = (Layer("Be", 1.848, 0.0025),)
    elements = ["Si", "Cl", "Ar", "K", "Ca", "Ti", "Cr", "Mn", "Fe", "Ni", "Cu", "Zn"]
    # Of the film's other elements the file says nothing; Pd L looks like Ar.
    elements += ["Mo_L", "Pd_L", "La_L", "Pb_M"]
    response = Response(known.zero, known.gain, 0.1, thickness=0.035, layers=path)
    model = make_model(elements, beam, response, 2000, (1.2, 11.0))
    fit = calibrate(model, known.counts[3], known.n_pixels).fit
    setup = Setup(beam, 75.0, 15.0, path, Layer("Si", 2.33, 0.035))
    live = known.rates["dxpXMAP2xfm3:mca4.ELTM"].sum()
    return known, fit, setup, measured(fit, ("Ca_K", "Fe_K", "Cu_K"), live)


def test_film():
    """Elements of the standard give themselves back."""
    need("mda", "axo_std.mda")
    known, fit, setup, counts = film()
    assert fit.chi2 < 2
    areal = {name: 1e-6 * density for name, density in known.known.items()}
    factor = factor_of(counts, setup, areal, thickness=None)
    found = thin(counts, setup, factor)
    for name, density in zip(found.names, found.densities, strict=True):
        assert density == pytest.approx(areal[name], rel=1e-6)


def test_leave_one_out():
    """Nominal areal densities of a film are no better than 20 %, and the spread says so.

    The three elements differ by -15 to +20 % from what their mean gives, which no energy of
    the beam (9.1 to 12 keV), window (0 to 50 um of Be), crystal (0.1 to 0.5 mm) or air
    explains: Ca and Fe stay a third apart. PyMca's fit has the same counts: Ca / Fe 1.308
    against 1.319 here, Cu / Fe 1.005 against 0.996. Another piece of the same wafer is
    published with 2.51, 0.41 and 0.26 ug/cm2 in place of 1.931, 0.504, 0.284.
    """
    need("mda", "axo_std.mda")
    known, _, setup, counts = film()
    areal = {name: 1e-6 * density for name, density in known.known.items()}
    errors = {}
    for left, density in areal.items():
        others = {name: own for name, own in areal.items() if name != left}
        found = thin(counts, setup, factor_of(counts, setup, others, thickness=None))
        densities = dict(zip(found.names, found.densities, strict=True))
        errors[left] = densities[left] / density - 1
    assert 0.2 < errors["Ca"] < 0.4
    assert -0.25 < errors["Fe"] < -0.1
    assert abs(errors["Cu"]) < 0.1
    spread = factor_of(counts, setup, areal, thickness=None).spread
    assert 0.1 < spread < 0.25


def test_counts_of_the_film():
    """It is not the fit: PyMca 5.9.7 has 90 403, 69 125 and 69 489 counts of Ca, Fe, Cu."""
    need("mda", "axo_std.mda")
    _, _, _, counts = film()
    assert counts.counts[0] / counts.counts[1] == pytest.approx(90_403 / 69_125, rel=0.02)
    assert counts.counts[2] / counts.counts[1] == pytest.approx(69_489 / 69_125, rel=0.02)


@pytest.mark.parametrize("changed", [
    {"excitation": one_energy("monochromatic", 9.1)},
    {"excitation": one_energy("monochromatic", 12.0)},
    {"path": ()},
    {"path": (Layer("Be", 1.848, 0.005),)},
    {"path": (Layer("Be", 1.848, 0.0025), air(3.0))},
    {"detector": Layer("Si", 2.33, 0.01)},
])  # fmt: skip
def test_no_setup_explains_the_film(changed):
    """Ca by Fe stays more than 25 % off, whatever was not known of the set-up."""
    need("mda", "axo_std.mda")
    known, _, setup, counts = film()
    areal = {name: 1e-6 * density for name, density in known.known.items()}
    own = factor_of(counts, replace(setup, **changed), areal, thickness=None).per_group
    assert own["Ca_K"] / own["Fe_K"] > 1.25


# A steel and pure metals under a Rh tube, 50 kV, in vacuum.


@functools.cache
def rh_fit(name, elements):
    path = DATA / "fit" / "rh_steel" / f"{name}_50kv_50_ma_Rh_vac_D1.msa"
    text = path.read_text().splitlines()
    rows = [line.split(",") for line in text if not line.startswith("#")]
    counts = np.array([float(word) for row in rows for word in row if word.strip()])
    (live,) = [line.split(":")[1] for line in text if line.startswith("#LIVETIME")]
    window = (Layer("Be", 1.848, 0.0008),)
    response = Response(zero=-0.9553045, gain=0.009999, layers=window)
    model = make_model(elements, tube("Rh", 50.0), response, 4096, (1.2, 16.0))
    return calibrate(model, counts).fit, float(live), window


def test_steel_by_pure_metals():
    """Nothing is normalised, and the sum is 100 %: each metal has a factor of its own."""
    need("fit", "rh_steel", "Steel_50kv_50_ma_Rh_vac_D1.msa")
    fit, live, window = rh_fit("Steel", RH_STEEL)
    setup = Setup(tube("Rh", 50.0), 50.0, 50.0, window, Layer("Si", 2.33, 0.045))
    factors = []
    for name in ("Cr", "Fe", "Ni"):
        pure, time, _ = rh_fit(name, (name, "Si"))
        own = measured(pure, (f"{name}_K",), time)
        factors.append(factor_of(own, setup, {name: 1.0}))
    counts = measured(fit, ("Cr_K", "Mn_K", "Fe_K", "Ni_K"), live)
    found = solve(counts, setup, combine(factors))  # the mean, of Mn
    assert found.sum == pytest.approx(1.0, abs=0.02)
    for name, expected in {"Cr": 15.4, "Fe": 71.0, "Ni": 12.2}.items():
        assert 100 * by_element(found)[name] == pytest.approx(expected, rel=0.04)


# Spectra that are made for a composition, by other code.


def spectrum_of(sample, factor_and_time):
    """The counts of fisx as the detector of the phantoms sees them, with their noise."""
    ((energy, _),) = sample.beam
    detector = xrf.Detector(escape=1.0)
    spectrum = 3e5 * xrf.continuum(detector, 0) + 2e5 * xrf.scattered(detector, energy)
    for name, (_, emitted) in fisx_samples.read()[sample.name].items():
        element, shell = name.split("_")
        lines = xrf.emitted(detector, energy, element, shell, 0.0)
        rates = [
            xrf.cross_section(element, number, energy)
            for _, number in xrf.lines_of(element, shell)
        ]
        seen = sum(count for _, count in lines) / sum(rates)
        lost = 1 + sum(share for _, share in xrf.escaped(detector, lines[0][0]))
        _, column = xrf.groups(detector, energy, element, 0.0)[name]
        spectrum = spectrum + factor_and_time * emitted * seen / lost * column
    return np.random.default_rng(3).poisson(spectrum).astype(float)


@pytest.mark.parametrize(
    ("name", "rest"), [("steel", "Mo"), ("brass", None), ("sulphide", "S")]
)
def test_spectrum_of_a_composition(name, rest):
    """Counts by fisx, detector and noise by the phantom: fitted, then solved."""
    (sample,) = [one for one in fisx_samples.SAMPLES if one.name == name]
    factor, live = 1e5, 1000.0
    counts = spectrum_of(sample, factor * live)
    path = (air(1.0), Layer("Be", 1.848, 0.0025))
    beam = parse_excitation(sample.beam[0][0])
    response = Response(layers=path)
    limits = (1.3, beam.highest + 1)
    fit = calibrate(
        make_model(sample.groups, beam, response, len(counts), limits), counts
    ).fit
    setup = Setup(beam, *sample.angles, path, Layer("Si", 2.33, 0.045))
    # A weak line on the shelf of others, as that of S is, is not fitted as well.
    known = [one for one in sample.groups if one != f"{rest}_K"]
    found = solve(measured(fit, known, live), setup, Factor(factor), rest)
    for element, part in by_element(found).items():
        assert part == pytest.approx(sample.fractions[element], rel=0.015)
    if rest:
        assert found.matrix[rest] == pytest.approx(sample.fractions[rest], abs=0.01)
