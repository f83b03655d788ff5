"""From counts to compositions: closed loops, uncertainty, what a matrix is, bad input."""

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("xraylib")
from rsciio_xfm.analysis.fit.excitation import Layer, air, one_energy
from rsciio_xfm.analysis.fit.lines import group
from rsciio_xfm.analysis.fit.sources import parse_excitation
from rsciio_xfm.analysis.quantify import compose
from rsciio_xfm.analysis.quantify.compose import (
    Matrix,
    Measured,
    parse_matrix,
    solve,
    thin,
)
from rsciio_xfm.analysis.quantify.enhancement import yields
from rsciio_xfm.analysis.quantify.materials import oxygen_of, parse_formula
from rsciio_xfm.analysis.quantify.primary import Sample, sensitivities
from rsciio_xfm.analysis.quantify.setup import Setup
from rsciio_xfm.analysis.quantify.standards import Factor, combine, factor_of

FACTOR, SECONDS = 1e8, 20.0
MONO = Setup(one_energy("monochromatic", 17.44), path=(air(2.0),))
TUBE = Setup(parse_excitation("Rh 40 kV"), 60.0, 50.0, (Layer("Be", 1.848, 8e-4),))
STEEL = {"Cr": 0.18, "Mn": 0.016, "Fe": 0.67, "Ni": 0.12, "Cu": 0.004, "Nb": 0.01}


def measure(fractions, setup, names, thickness=math.inf, sigma=None):
    """Return the counts of a sample as they are expected."""
    groups = [group(*name.split("_"), setup.excitation) for name in names]
    counts = FACTOR * SECONDS * yields(Sample(fractions, thickness), setup, groups).total
    spread = np.sqrt(counts + 100) if sigma is None else np.asarray(sigma, float)
    return Measured(tuple(names), counts, spread, 3.29 * np.sqrt(counts + 100), SECONDS)


def with_oxygen(fractions):
    """Return elements with the oxygen of their oxides, adding up to 1."""
    every = dict(fractions)
    every["O"] = sum(share * oxygen_of(name) for name, share in fractions.items())
    total = sum(every.values())
    return {name: share / total for name, share in every.items()}


def expected_of(found, fractions):
    return [fractions[name] for name in found.names]


NAMES = ["Cr_K", "Mn_K", "Fe_K", "Ni_K", "Cu_K"]


@pytest.mark.parametrize("setup", [MONO, TUBE], ids=["mono", "tube"])
@pytest.mark.parametrize("thickness", [math.inf, 4e-3])
@pytest.mark.parametrize("matrix", [None, "normalise"])
def test_closed_loop_of_a_steel(setup, thickness, matrix):
    steel = {name: share / 0.99 for name, share in STEEL.items() if name != "Nb"}
    measured = measure(steel, setup, NAMES, thickness)
    found = solve(measured, setup, FACTOR, matrix, thickness)
    assert found.is_converged
    assert found.n_iterations < 15
    assert found.names == ("Cr", "Mn", "Fe", "Ni", "Cu")
    assert found.groups == tuple(NAMES)
    np.testing.assert_allclose(found.fractions, expected_of(found, steel), rtol=1e-4)
    assert found.sum == pytest.approx(1, abs=1e-4)
    assert found.matrix == {}
    assert found.enhancement[0] > 0.1
    assert found.enhancement[3] < 0.02
    np.testing.assert_allclose(found.per_count * measured.counts, found.fractions)


@pytest.mark.parametrize("setup", [MONO, TUBE], ids=["mono", "tube"])
@pytest.mark.parametrize(
    ("fractions", "names", "matrix"),
    [
        ({"Fe": 0.02, "Zn": 0.01, "Pb": 0.005}, ["Fe_K", "Zn_K", "Pb_L"], "SiO2"),
        ({"Ca": 0.3, "Fe": 0.02, "Sr": 0.01}, ["Ca_K", "Fe_K"], None),
        ({"Si": 0.35, "K": 0.05, "Ca": 0.05}, ["Si_K", "K_K", "Ca_K"], "oxides"),
        ({"Ca": 0.2, "Fe": 0.1}, ["Ca_K", "Fe_K"], "CO2"),
    ],
    ids=["compound", "none", "oxides", "difference"],
)
def test_closed_loop_of_a_matrix(setup, fractions, names, matrix):
    if matrix == "oxides":
        fractions = with_oxygen(fractions)
    elif matrix is None:
        fractions = {"Ca": 0.8, "Fe": 0.2}
    else:
        rest = 1 - sum(fractions.values())
        others = {name: rest * w for name, w in parse_formula(matrix).items()}
        fractions = fractions | others
    measured = measure(fractions, setup, names)
    found = solve(measured, setup, FACTOR, matrix)
    assert found.is_converged
    np.testing.assert_allclose(found.fractions, expected_of(found, fractions), rtol=1e-3)
    for name, share in found.matrix.items():
        assert share == pytest.approx(fractions[name], rel=1e-3)


def test_oxides_and_water():
    dry = with_oxygen({"Si": 0.3, "Ca": 0.1, "Fe": 0.05})
    wet = {name: 0.9 * share for name, share in dry.items()}
    wet["H"] = 0.1 * parse_formula("H2O")["H"]
    wet["O"] += 0.1 * parse_formula("H2O")["O"]
    measured = measure(wet, TUBE, ["Si_K", "Ca_K", "Fe_K"])
    found = solve(measured, TUBE, FACTOR, "oxides + H2O")
    np.testing.assert_allclose(found.fractions, expected_of(found, wet), rtol=2e-3)
    assert found.sum == pytest.approx(0.9, abs=2e-3)
    assert found.matrix["O"] == pytest.approx(wet["O"], rel=1e-2)
    assert "What is not seen is taken for H2O." in found.notes


def test_elements_of_the_compound_that_are_measured():
    """Their lines tell how much of them there is; the rest are the other elements."""
    calcite = parse_formula("CaCO3")
    names = ["Ca_K", "Fe_K"]
    fractions = {name: 0.98 * share for name, share in calcite.items()} | {"Fe": 0.02}
    found = solve(measure(fractions, MONO, names), MONO, FACTOR, "CaCO3")
    np.testing.assert_allclose(found.fractions, expected_of(found, fractions), rtol=1e-3)
    assert found.matrix["C"] == pytest.approx(fractions["C"], rel=1e-2)
    found = solve(measure({"Fe": 0.3, "Ca": 0.7}, MONO, names), MONO, FACTOR, "Ca")
    assert found.matrix == {}
    assert any("nothing else is assumed" in note for note in found.notes)


def test_factor_is_not_needed_to_normalise():
    steel = {name: share / 0.99 for name, share in STEEL.items() if name != "Nb"}
    measured = measure(steel, MONO, NAMES)
    found = solve(measured, MONO, None, "normalise")
    np.testing.assert_allclose(found.fractions, expected_of(found, steel), rtol=1e-4)
    assert math.isnan(found.sum)
    with pytest.raises(ValueError, match="geometry factor is missing"):
        solve(measured, MONO, None)


def test_each_group_has_its_factor():
    class Factor:
        def of(self, name):
            return {"Cr_K": 2.0}.get(name, 1.0) * FACTOR

    steel = {"Cr": 0.2, "Fe": 0.8}
    measured = measure(steel, MONO, ["Cr_K", "Fe_K"])
    doubled = replace(measured, counts=measured.counts * [2, 1])
    found = solve(doubled, MONO, Factor())
    np.testing.assert_allclose(found.fractions, [0.2, 0.8], rtol=1e-4)
    plain = thin(measured, MONO, FACTOR).densities
    np.testing.assert_allclose(thin(doubled, MONO, Factor()).densities, plain)


@pytest.mark.parametrize("matrix", [None, "normalise", "C"])
def test_uncertainty_follows_the_counts(matrix):
    """Sigma of one group alone moves all fractions as the solution moves."""
    rest = {} if matrix != "C" else {"C": 0.3}
    scale = 1 - sum(rest.values())
    steel = {"Cr": 0.2 * scale, "Fe": 0.7 * scale, "Ni": 0.1 * scale} | rest
    names = ["Cr_K", "Fe_K", "Ni_K"]
    for k in range(3):
        measured = measure(steel, TUBE, names, sigma=[1e-9] * 3)
        delta = 1e-3 * measured.counts[k]
        sigma = measured.sigma.copy()
        sigma[k] = delta
        found = solve(replace(measured, sigma=sigma), TUBE, FACTOR, matrix)
        counts = measured.counts.copy()
        counts[k] += delta
        moved = solve(replace(measured, counts=counts), TUBE, FACTOR, matrix)
        change = np.abs(moved.fractions - found.fractions)
        np.testing.assert_allclose(found.sigma, change, rtol=0.1, atol=2e-6)


def test_absent_elements():
    """Negative and no counts: so are fractions, with a sigma and a limit."""
    steel = {"Cr": 0.2, "Fe": 0.8}
    measured = measure(steel, MONO, ["Cr_K", "Fe_K", "Ni_K", "Cu_K", "As_K"])
    counts = measured.counts + np.array([0, 0, -50, 0, 30])
    found = solve(replace(measured, counts=counts), MONO, FACTOR)
    assert found.is_converged
    np.testing.assert_allclose(found.fractions[:2], [0.2, 0.8], rtol=1e-3)
    counted = found.per_count * counts
    np.testing.assert_allclose(found.fractions[2:], counted[2:], rtol=1e-4, atol=1e-12)
    assert found.fractions[2] < 0 == found.fractions[3]
    # What is negative absorbs nothing, and is not in the sum.
    assert found.sum == pytest.approx(np.maximum(found.fractions, 0).sum(), rel=1e-4)
    assert (found.sigma > 0).all()
    assert (found.limits > 0).all()
    assert (found.per_count > 0).all()
    assert found.fractions[4] < found.limits[4]


def test_nothing_but_noise():
    measured = Measured(("Fe_K", "Cu_K"), [-5.0, 0.0], [3.0, 3.0], [10.0, 10.0], 1.0)
    for matrix in (None, "SiO2", "oxides"):
        found = solve(measured, MONO, FACTOR, matrix)
        assert found.fractions[0] < 0 == found.fractions[1]
        assert (found.sigma > 0).all()
    found = solve(measured, MONO, FACTOR, "normalise")
    assert np.isnan(found.fractions).all()
    assert "No element was found that could make up the whole." in found.notes
    assert (thin(measured, MONO, FACTOR).densities <= 0).all()


def test_without_a_live_time():
    """Ratios need none; absolute amounts do."""
    steel = {"Cr": 0.2, "Fe": 0.8}
    measured = replace(measure(steel, MONO, ["Cr_K", "Fe_K"]), live_time=None)
    for factor in (None, FACTOR):
        for word in ("normalise", "normalize"):
            found = solve(measured, MONO, factor, word)
            np.testing.assert_allclose(found.fractions, [0.2, 0.8], rtol=1e-3)
            assert np.isnan(found.sum)
    for ask in (
        lambda: solve(measured, MONO, FACTOR, "SiO2"),
        lambda: thin(measured, MONO, FACTOR),
        lambda: factor_of(measured, MONO, steel),
    ):
        with pytest.raises(
            ValueError, match=r"live time .*is not known, expected seconds"
        ):
            ask()


def test_the_same_standard_twice():
    own = Factor(2.0, 0.02, 0.1, {"Fe_K": 2.0}, {"Fe_K": 0.02})
    assert combine([own, replace(own)]) == own
    other = Factor(3.0, 0.02, 0.1, {"Fe_K": 3.0}, {"Fe_K": 0.02})
    assert combine([own, other, replace(own)]) == combine([own, other])


def test_a_film():
    names = ["Ca_K", "Fe_K", "Cu_K"]
    groups = [group(*name.split("_"), TUBE.excitation) for name in names]
    densities = np.array([1.931e-6, 0.504e-6, 0.284e-6])
    counts = sensitivities(TUBE, groups) * FACTOR * SECONDS * densities
    measured = Measured(tuple(names), counts, 0.01 * counts, 0.05 * counts, SECONDS)
    found = thin(measured, TUBE, FACTOR)
    np.testing.assert_allclose(found.densities, densities)
    np.testing.assert_allclose(found.sigma, 0.01 * densities)
    np.testing.assert_allclose(found.limits, 0.05 * densities)
    np.testing.assert_allclose(found.per_count * counts, densities)
    # A thick sample of so little is the same.
    share = densities.sum()
    fractions = dict(zip(found.names, densities / share, strict=True))
    same = measure(fractions, TUBE, names, thickness=share)
    np.testing.assert_allclose(same.counts, counts, rtol=5e-3)


def test_several_groups_of_an_element():
    lead = {"Pb": 0.1, "Si": 0.4, "O": 0.5}
    names = ["Pb_L", "Pb_M"]
    measured = measure(lead, TUBE, names)
    found = solve(measured, TUBE, FACTOR, "SiO2")
    assert found.names == ("Pb",)
    assert found.groups == ("Pb_L",)
    assert len(found.notes) == 2
    assert any("agrees" in note for note in found.notes)
    more = replace(measured, counts=measured.counts * [1, 1.5])
    found = solve(more, TUBE, FACTOR, "SiO2")
    assert any("Pb_M would give 1.4" in note for note in found.notes)
    # M where it is much surer.
    sure = replace(measured, sigma=measured.sigma * [100, 1])
    assert solve(sure, TUBE, FACTOR, "SiO2").groups == ("Pb_M",)
    # Behind 20 cm of air next to nothing is seen of M, however strong it is.
    far = replace(TUBE, path=(air(20.0),))
    measured = measure(lead, far, names)
    exact = replace(measured, sigma=np.array([100.0, 1e-6]))
    assert solve(exact, far, FACTOR, "SiO2").groups == ("Pb_L",)


def test_what_cannot_be_seen():
    fractions = {"Al": 0.1, "Fe": 0.9}
    low = Setup(one_energy("monochromatic", 8.0), path=(Layer("Al", 2.7, 0.03),))
    measured = measure(fractions, low, ["Al_K", "Fe_K"])
    counts = np.append(measured.counts, 100.0)
    both = Measured(("Al_K", "Fe_K", "Zn_K"), counts, counts + 1, counts + 1, SECONDS)
    found = solve(both, low, FACTOR)
    assert found.names == ("Fe",)
    notes = " ".join(found.notes)
    assert "Zn_K is not excited by 8 keV" in notes
    assert "Nothing of Al_K gets through" in notes
    none = Measured(("Zn_K",), [1.0], [1.0], [1.0], 1.0)
    for function in (solve, thin):
        with pytest.raises(ValueError, match="No group tells anything"):
            function(none, low, FACTOR)


def test_too_much():
    """A sum above 1 is told, and not normalised."""
    steel = {"Cr": 0.2, "Fe": 0.8}
    measured = measure(steel, MONO, ["Cr_K", "Fe_K"])
    found = solve(measured, MONO, 0.5 * FACTOR)
    assert found.sum > 1.5
    assert any("add up to" in note for note in found.notes)
    runaway = solve(measured, MONO, 1e-6 * FACTOR, "C")
    assert np.isfinite(runaway.fractions).all()
    assert any("add up to" in note for note in runaway.notes)
    assert (found.fractions > steel["Cr"]).all()


def test_too_little():
    """A sum far below 1 is told: something that is not seen absorbs."""
    measured = measure({"Fe": 0.1, "Si": 0.4, "O": 0.5}, MONO, ["Fe_K"])
    found = solve(measured, MONO, FACTOR)
    assert found.sum < 0.9
    assert any("say what the rest is" in note for note in found.notes)
    found = solve(measured, MONO, FACTOR, "SiO2")
    assert not any("say what the rest is" in note for note in found.notes)


def test_not_converged(monkeypatch):
    monkeypatch.setattr(compose, "_MOST_STEPS", 1)
    found = solve(measure({"Cr": 0.2, "Fe": 0.8}, MONO, ["Cr_K", "Fe_K"]), MONO, FACTOR)
    assert not found.is_converged
    assert any("Not converged after 1 steps: Cr, Fe." in note for note in found.notes)


def test_what_was_assumed_comes_first():
    setup = replace(MONO, assumed=("45 degrees of incidence",))
    measured = measure({"Fe": 1.0}, setup, ["Fe_K"])
    assert solve(measured, setup, FACTOR, "SiO2").notes[0] == "45 degrees of incidence"
    assert thin(measured, setup, FACTOR).notes == ("45 degrees of incidence",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, Matrix()),
        ("SiO2", Matrix("compound", "SiO2")),
        ("normalise", Matrix("normalise")),
        (" oxides ", Matrix("oxides")),
        ("oxides + CO2", Matrix("oxides", "CO2")),
        (Matrix("oxides"), Matrix("oxides")),
    ],
)
def test_matrix(text, expected):
    assert parse_matrix(text) == expected


@pytest.mark.parametrize("text", ["glass of mine", "normalise + C", "", "oxides + Xx"])
def test_no_matrix(text):
    with pytest.raises(ValueError, match="The matrix is"):
        parse_matrix(text)


GOOD = {
    "names": ("Fe_K",),
    "counts": [10.0],
    "sigma": [3.0],
    "limits": [9.0],
    "live_time": 1.0,
}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"names": ("Fe",)}, "no group"),
        ({"names": ("Rayleigh_K",)}, "no group"),
        ({"names": ("Fe_K", "Fe_K")}, "each once"),
        ({"names": ("Pu_L",)}, "up to U"),
        ({"names": ("Xx_L",)}, "no element"),
        ({"counts": [1.0, 2.0]}, "shape"),
        ({"counts": [math.nan]}, "finite"),
        ({"sigma": [0.0]}, "above 0"),
        ({"live_time": 0.0}, "live time"),
        ({"live_time": math.nan}, "live time"),
        ({"live_time": math.inf}, "live time"),
    ],
)
def test_wrong_counts(wrong, words):
    with pytest.raises(ValueError, match=words):
        Measured(**(GOOD | wrong))


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_wrong_factor(factor):
    for function in (solve, thin):
        with pytest.raises(ValueError, match="geometry factor"):
            function(Measured(**GOOD), MONO, factor)


def test_wrong_thickness():
    for thickness in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="thickness"):
            solve(Measured(**GOOD), MONO, FACTOR, None, thickness)
