"""Geometry factors from samples that are known."""

import math

import numpy as np
import pytest

pytest.importorskip("xraylib")

from rsciio_xfm.analysis.fit.excitation import Layer
from rsciio_xfm.analysis.fit.lines import group
from rsciio_xfm.analysis.fit.sources import parse_excitation
from rsciio_xfm.analysis.quantify.compose import Measured, solve, thin
from rsciio_xfm.analysis.quantify.enhancement import yields
from rsciio_xfm.analysis.quantify.primary import Sample, sensitivities
from rsciio_xfm.analysis.quantify.setup import Setup
from rsciio_xfm.analysis.quantify.standards import Factor, absolute, combine, factor_of

STEEL = {"Cr": 0.18, "Fe": 0.70, "Ni": 0.12}
NAMES = ("Cr_K", "Fe_K", "Ni_K")
SETUP = Setup(parse_excitation(17.44), 60.0, 40.0, (Layer("Be", 1.848, 8e-4),))
TRUE = 3e5  # photons/s


def groups_of(names):
    return [group(*name.split("_"), SETUP.excitation) for name in names]


def measure(known, thickness=math.inf, names=NAMES, live_time=20.0, factor=TRUE):
    """Counts without noise that a sample gives."""
    if thickness is None:
        densities = np.array([known.get(name.split("_")[0], 0.0) for name in names])
        seen = densities * sensitivities(SETUP, groups_of(names))
    else:
        seen = yields(Sample(known, thickness), SETUP, groups_of(names)).total
    counts = factor * live_time * seen
    sigma = np.sqrt(counts + 100)
    return Measured(names, counts, sigma, 3.29 * np.full(len(names), 10.0), live_time)


@pytest.mark.parametrize("thickness", [math.inf, 2e-3])
def test_closed_loop(thickness):
    """A standard gives the factor that it was made with, and itself back."""
    measured = measure(STEEL, thickness)
    factor = factor_of(measured, SETUP, STEEL, thickness, "steel")
    assert factor.value == pytest.approx(TRUE, rel=1e-9)
    assert factor.spread == pytest.approx(0, abs=1e-9)
    assert set(factor.per_group) == set(NAMES) and factor.source == "steel"
    relative = measured.sigma / measured.counts
    for name, own in zip(NAMES, relative, strict=True):
        assert factor.relative_sigma(name) == pytest.approx(own)
    assert 0 < factor.sigma / factor.value < relative.max()
    found = solve(measured, SETUP, factor, None, thickness)
    np.testing.assert_allclose(found.fractions, list(STEEL.values()), rtol=1e-4)


def test_film():
    known = {"Cr": 2e-6, "Fe": 5e-6}
    measured = measure(known, None)
    factor = factor_of(measured, SETUP, known, None)
    assert set(factor.per_group) == {"Cr_K", "Fe_K"}
    assert factor.value == pytest.approx(TRUE, rel=1e-9)
    found = thin(measured, SETUP, factor)
    np.testing.assert_allclose(found.densities, [2e-6, 5e-6, 0], atol=1e-12)


def test_lines_of_a_subshell():
    """As a composition, a standard takes counts of subshells, as other programs give them."""
    setup, known = Setup(parse_excitation(17.44)), {"Pb": 0.4, "Fe": 0.6}
    measured = Measured(("Pb_L3", "Fe_K"), [4e4, 9e4], [200, 300], [30, 30], 10.0)
    factor = factor_of(measured, setup, known)
    assert set(factor.per_group) == {"Pb_L3", "Fe_K"}
    found = solve(measured, setup, factor)
    np.testing.assert_allclose(found.fractions, [0.4, 0.6], rtol=1e-4)


def test_rest_that_is_not_known():
    """Amounts are those of the certificate, though they do not add up to 1."""
    known = {name: 0.98 * part for name, part in STEEL.items()}
    factor = factor_of(measure(STEEL), SETUP, known)
    assert factor.value == pytest.approx(TRUE / 0.98, rel=1e-9)


def test_own_factor_and_mean():
    """Lines that the standard has take their own errors out."""
    measured = measure(STEEL)
    measured.counts[0] *= 1.1  # tables of Cr are wrong, say
    factor = factor_of(measured, SETUP, STEEL)
    assert factor.of("Cr_K") == pytest.approx(1.1 * TRUE, rel=1e-9)
    assert TRUE < factor.of("Mn_K") == factor.value < 1.05 * TRUE
    assert factor.spread == pytest.approx(0.055, abs=0.01)


def test_few_counts():
    """A trace of the standard tells less than the mean of its other lines."""
    known = STEEL | {"Fe": 0.698, "Cu": 0.002}
    measured = measure(known, names=(*NAMES, "Cu_K"))
    measured.counts[3] *= 1.3
    measured.sigma[3] = 0.1 * measured.counts[3]
    measured.limits[:] = 0
    factor = factor_of(measured, SETUP, known)
    assert factor.per_group["Cu_K"] == pytest.approx(1.3 * TRUE)
    assert factor.of("Cu_K") == factor.value == pytest.approx(TRUE, rel=0.02)
    assert factor.relative_sigma("Cu_K") < 0.02
    assert factor.has_own("Fe_K") and not factor.has_own("Cu_K")


def test_not_detected_is_left_out():
    measured = measure(STEEL | {"Fe": 0.6999, "Cu": 0.0001}, names=(*NAMES, "Cu_K"))
    measured.counts[3] = measured.limits[3] - 1
    assert "Cu_K" not in factor_of(measured, SETUP, STEEL | {"Cu": 1e-4}).per_group


@pytest.mark.parametrize("known", [{"Ti": 1.0}, {"Fe": 0.0}])
def test_no_line_of_the_standard(known):
    with pytest.raises(ValueError, match="Expected a fit with the lines of the standard"):
        factor_of(measure(STEEL), SETUP, known)


class TestSeveral:
    def test_combined(self):
        first = factor_of(measure(STEEL), SETUP, STEEL, source="steel")
        bronze = {"Cu": 0.9, "Sn": 0.1}
        names = ("Cu_K",)
        second = factor_of(
            measure(bronze, names=names, factor=1.1 * TRUE),
            SETUP,
            bronze,
            source="bronze",
        )
        both = combine([first, second])
        assert both.source == "steel; bronze"
        assert both.of("Cu_K") == pytest.approx(1.1 * TRUE)
        assert both.of("Fe_K") == pytest.approx(TRUE)
        assert both.value == pytest.approx(1.025 * TRUE, rel=2e-3)
        assert both.spread == pytest.approx(0.05, abs=0.005)
        assert combine([first]) is first

    def test_same_lines(self):
        both = combine(
            [
                Factor(k, 0.01 * k, per_group={"Fe_K": k}, sigmas={"Fe_K": 0.01 * k})
                for k in (1.0, 1.2)
            ]
        )
        assert (
            both.of("Fe_K") == pytest.approx(both.value) == pytest.approx(1.1, rel=0.02)
        )
        assert both.relative_sigma("Fe_K") == pytest.approx(0.01 / math.sqrt(2), rel=0.05)
        assert both.spread == pytest.approx(0.13, abs=0.02)

    def test_none(self):
        with pytest.raises(ValueError, match="There is no standard"):
            combine([])


class TestAbsolute:
    def test_value(self):
        setup = Setup(SETUP.excitation, flux=4e8, solid_angle=0.01 * math.pi)
        factor = absolute(setup)
        assert factor.value == pytest.approx(1e6)
        assert factor.relative_sigma("Fe_K") == 0 and math.isnan(factor.spread)

    @pytest.mark.parametrize(
        ("given", "match"),
        [
            ({}, "no flux and no solid_angle"),
            ({"flux": 1e9}, "no solid_angle, and there is no standard"),
            ({"solid_angle": 0.1}, "no flux, and there is no standard"),
        ],
    )
    def test_missing(self, given, match):
        with pytest.raises(ValueError, match=match):
            absolute(Setup(SETUP.excitation, **given))
