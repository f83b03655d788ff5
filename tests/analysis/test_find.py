"""Elements of spectra: those that are there, and no others."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("xraylib")
from rsciio_xfm import text_spectra
from rsciio_xfm.analysis.fit.background import make_splines
from rsciio_xfm.analysis.fit.calibrate import finish
from rsciio_xfm.analysis.fit.candidates import make_candidates
from rsciio_xfm.analysis.fit.excitation import Layer, air
from rsciio_xfm.analysis.fit.find import find_elements
from rsciio_xfm.analysis.fit.found import describe
from rsciio_xfm.analysis.fit.lines import emission, group
from rsciio_xfm.analysis.fit.model import calibrated
from rsciio_xfm.analysis.fit.pool import Pool
from rsciio_xfm.analysis.fit.response import Response
from rsciio_xfm.analysis.fit.scale import _explain
from rsciio_xfm.analysis.fit.sources import parse_excitation
from rsciio_xfm.analysis.fit.sum_peaks import Candidate, _of_one_rate
from rsciio_xfm.kernels.peaks import add_lines
from rsciio_xfm.signals.fit_checks import fair_chi2
from tests.builders import xrf
from tests.conftest import DATA

TUBE = parse_excitation("Mo 50 kV")
LAYERS = (air(1.0), Layer("Be", 1.85, 0.0025))
RARE = {"Ne", "Kr", "Xe", "Rn", "Fr", "At", "Po", "Pm", "Tc", "Ra", "Ac", "Pa"}


def blocks_of(counts, n=8):
    y, x, depth = counts.shape
    parts = counts.astype(float).reshape(n, y // n, n, x // n, depth)
    return parts.sum(axis=(1, 3)).reshape(-1, depth)


def symbols(found):
    return {one.element for one in found}


@pytest.fixture(scope="module")
def phantom():
    return xrf.make((48, 48), counts=400)


@pytest.fixture(scope="module")
def found(phantom):
    total = phantom.counts.sum(axis=(0, 1), dtype=float)
    return find_elements(total, TUBE, Response(layers=LAYERS), blocks_of(phantom.counts))


def test_all_are_found_and_no_others(phantom, found):
    got = symbols(found[0])
    expected = {e for e in phantom.elements if e != "As"}  # As is a twentieth of Pb
    assert expected <= got
    assert len(got - set(phantom.elements)) <= 1
    assert not got & RARE


def test_what_is_said_of_each(phantom, found):
    each, model = found
    iron = next(one for one in each if one.name == "Fe_K")
    assert abs(iron.lines[0] - 6.404) < 0.01
    assert iron.evidence > 100
    assert iron.alternatives == ()
    assert abs(iron.counts / phantom.map("Fe_K").sum() - 1) < 0.03
    assert [one.evidence for one in each] == sorted(
        [one.evidence for one in each], reverse=True
    )
    assert (
        not {name.partition("_")[0] for one in each for name in one.alternatives} & RARE
    )
    assert {g.name for g in model.groups} == {one.name for one in each}
    assert abs(model.response.zero + 0.012) < 0.002
    assert abs(model.response.gain / 0.01003 - 1) < 2e-4


def test_few_counts():
    phantom = xrf.make((32, 32), counts=50)
    total = phantom.counts.sum(axis=(0, 1), dtype=float)
    each, _ = find_elements(total, TUBE, Response(layers=LAYERS))
    got = symbols(each)
    assert {"Fe", "Pb", "Ti", "Ca", "Cu", "Cr", "Si", "Ar", "K", "Sr"} <= got
    assert len(got - set(phantom.elements)) <= 1


@pytest.mark.parametrize(("counts", "seed"), [(600, 20), (5000, 3)])
def test_what_lies_under_lead_and_chromium(counts, seed):
    """As K-alpha is Pb L-alpha and Mn K-alpha Cr K-beta: free ratios would take them up."""
    phantom = xrf.make((64, 64), counts, seed=seed)
    total = phantom.counts.sum(axis=(0, 1), dtype=float)
    each, model = find_elements(total, TUBE, Response(), blocks_of(phantom.counts))
    found = {one.name: one for one in each}
    assert set(phantom.elements) <= symbols(each)
    assert len(symbols(each) - set(phantom.elements)) <= 1
    for name, most in (("As_K", 0.05), ("Mn_K", 0.05), ("Zn_K", 0.05), ("Pb_L", 0.01)):
        off = found[name].counts - phantom.map(name).sum()
        assert abs(off) < 3 * found[name].sigma
        if counts == 5000:
            assert abs(off) < most * phantom.map(name).sum()
    assert model.fit.chi2 < 1.3


def test_what_lies_beside_m_lines_of_bismuth():
    """S K-alpha is 0.1 keV beside them: of so many counts, doubts of M lines take it up."""
    phases = {
        "bronze": ({"Cu": 1.5, "Pb": 0.2}, 1.2, 0.25),
        "feldspar": ({"Si": 0.5, "K": 0.8, "Ca": 0.1, "Fe": 0.05}, 0.9, 0.35),
        "bismuthinite": ({"Bi": 1.5, "S": 0.3}, 1.3, 0.15),
        "ilmenite": ({"Ti": 1.0, "Fe": 1.2, "Mn": 0.06}, 1.0, 0.25),
    }
    detector = xrf.Detector(
        zero=-0.007, gain=0.00997, fwhm=0.133, tail=0.04, shelf=0.004, escape=0.9
    )
    own = {"excitation": ("Mo", 45.0), "phases": phases, "detector": detector}
    phantom = xrf.make((64, 64), 5000, seed=20, **own)
    counts = phantom.counts.sum((0, 1), float)
    found, model = find_elements(
        counts, parse_excitation("Mo 45 kV"), Response(0.0, 0.01)
    )
    assert {"S", "K", "Ca", "Ti", "Fe", "Cu", "Pb", "Bi"} <= symbols(found)
    assert model.fit.chi2 < 3


def test_lead_alone_hides_nothing():
    phases = {"lead": ({"Pb": 2.0, "Ca": 0.3, "Cr": 0.5, "Fe": 1.0}, 1.0, 1.0)}
    phantom = xrf.make((8, 8), counts=20000, phases=phases, seed=1)
    total = phantom.counts.sum(axis=(0, 1), dtype=float)
    each, _ = find_elements(total, TUBE, Response())
    assert {"Pb", "Ca", "Cr", "Fe"} <= symbols(each) <= {"Pb", "Ca", "Cr", "Fe", "Ar"}


def test_the_error_of_a_model_is_the_same_on_any_grid():
    """3 % of the counts in each 10 eV are wrong: chi2 of a whole model is one a channel."""
    rng = np.random.default_rng(1)
    energies = 1 + 0.01 * np.arange(1500)
    fine = 1e7 * np.exp(-energies / 8) * (1 + 0.03 * rng.normal(size=1500))
    target = fine.reshape(-1, 3).sum(axis=1)  # channels of the grid have 30 eV
    splines = make_splines(energies[1::3])
    chi2 = _explain(splines, len(splines), target, np.zeros(0))
    assert chi2 / len(target) == pytest.approx(1, abs=0.15)


def test_photons_of_one_energy_and_a_start_that_is_off():
    phantom = xrf.make((32, 32), counts=300, excitation=17.44)
    total = phantom.counts.sum(axis=(0, 1), dtype=float)
    start = Response(zero=0.008, gain=0.01003 * 1.01, layers=LAYERS)
    each, model = find_elements(total, parse_excitation(17.44), start)
    got = symbols(each)
    assert {"Fe", "Pb", "Ti", "Ca", "Cu", "Cr", "Si", "Ar", "K", "Sr", "Mn"} <= got
    assert len(got - set(phantom.elements)) <= 1
    assert abs(model.response.zero + 0.012) < 0.002


def test_a_grain_is_found_in_its_block():
    phases = {
        "matrix": ({"Ca": 0.6, "Fe": 0.4, "Si": 0.3}, 1.0, 1.0),
        "zircon": ({"Ga": 1.5, "Fe": 0.1}, 1.0, 0.0),
    }
    phantom = xrf.make((32, 32), counts=300, phases=phases)
    detector = phantom.detector
    matrix = phantom.expected[0] * 300 / phantom.expected[0].sum()
    grain = phantom.expected[1] * 300 / phantom.expected[1].sum()
    rng = np.random.default_rng(1)
    parts = rng.poisson(np.tile(16 * matrix, (64, 1))).astype(float)
    parts[13] = rng.poisson(14 * matrix + 2 * grain)
    response = Response(detector.zero, detector.gain, layers=LAYERS)
    each, _ = find_elements(parts.sum(axis=0), TUBE, response, parts)
    assert "Ga" in symbols(each)
    alone, _ = find_elements(parts.sum(axis=0), TUBE, response)
    assert "Ga" not in symbols(alone)
    gallium = next(one for one in each if one.element == "Ga")
    assert gallium.in_part == 13
    # Its counts are those of the block.
    total = phantom.expected[1].sum()
    truth = 2 * 300 * phantom.areas["Ga_K"][1] / total
    assert abs(gallium.counts - truth) < 3 * gallium.sigma
    assert gallium.sigma < 0.25 * truth


def test_sulphur_is_not_taken_for_lead():
    # Where there are both the lines of a blend fit the sum; where lead is not they do not.
    phases = {
        "sulphide": ({"S": 0.4, "Fe": 0.8, "Cu": 1.2}, 1.0, 0.5),
        "lead": ({"Pb": 2.0, "Ca": 0.3}, 1.0, 0.5),
    }
    phantom = xrf.make((8, 8), counts=5000, phases=phases)
    shares = np.array([[0.2, 0.8], [0.6, 0.4], [0.0, 1.0], [0.9, 0.1]] * 4)
    rng = np.random.default_rng(1)
    parts = rng.poisson(64 * shares @ phantom.expected).astype(float)
    own = phantom.detector
    response = Response(own.zero, own.gain, layers=LAYERS)
    each, model = find_elements(parts.sum(axis=0), TUBE, response, parts)
    assert {"S", "Pb", "Fe", "Cu", "Ca"} <= symbols(each)
    assert not symbols(each) - {"S", "Pb", "Fe", "Cu", "Ca", "Ar"}
    truth = (64 * shares @ phantom.areas["S_K"]).sum()
    sulphur = next(one for one in each if one.element == "S")
    assert abs(sulphur.counts / truth - 1) < 0.05
    assert model.fit.chi2 < 1.6


def test_what_varies_as_a_strong_element_does_is_said():
    # Mn goes with Fe; Zn is in half of what has Cu.
    phases = {
        "iron": ({"Fe": 2.0, "Mn": 0.02}, 1.0, 0.4),
        "glass": ({"Ca": 2.0, "Si": 0.5}, 1.0, 0.3),
        "copper": ({"Cu": 2.0}, 1.0, 0.3),
        "brass": ({"Cu": 2.0, "Zn": 0.1}, 1.0, 0.1),
    }
    phantom = xrf.make((8, 8), counts=800, phases=phases)
    rng = np.random.default_rng(1)
    shares = rng.dirichlet((0.7,) * 4, 24)
    parts = rng.poisson(64 * shares @ phantom.expected).astype(float)
    own = phantom.detector
    response = Response(own.zero, own.gain, layers=LAYERS)
    each, _ = find_elements(parts.sum(axis=0), TUBE, response, parts)
    found = {one.element: one.same_map for one in each}
    assert found["Mn"] == "Fe_K"
    assert not found["Fe"] and not found["Zn"]


def test_elements_and_exclude(phantom):
    total = phantom.counts.sum(axis=(0, 1), dtype=float)
    response = Response(layers=LAYERS)
    each, _ = find_elements(total, TUBE, response, elements=["Fe", "Ca", "Ti", "Co"])
    assert symbols(each) <= {"Fe", "Ca", "Ti", "Co"}
    assert {"Fe", "Ca", "Ti"} <= symbols(each)
    each, _ = find_elements(total, TUBE, response, exclude=["Sr"])
    assert "Sr" not in symbols(each)
    with pytest.raises(ValueError, match="'Xx' is no element"):
        find_elements(total, TUBE, response, elements=["Xx"])
    with pytest.raises(ValueError, match="'Xx' is no element"):
        find_elements(total, TUBE, response, exclude=["Xx"])


def test_rare_gases_need_more_evidence_unless_they_are_named():
    response, limits = Response(), (1.0, 20.0)
    every = {c.group.name: c for c in make_candidates(TUBE, response, limits)}
    assert every["Xe_L"].needed == 10 * every["Ca_K"].needed
    assert every["Xe_L"].factor < 0.5 < every["Sm_L"].factor < every["Ca_K"].factor
    assert every["Ar_K"].factor == 1
    named = make_candidates(TUBE, response, limits, ["Xe"])
    assert [c.needed for c in named] == [every["Ca_K"].needed]
    assert "Mo_L" not in every  # the anode's own lines are scattered
    assert make_candidates(TUBE, response, limits, ["Mo"])


def test_nothing_is_found_in_a_background():
    x = np.arange(2048)
    expected = 50 * np.exp(-(((x - 1000) / 600) ** 2))
    spectrum = np.random.default_rng(0).poisson(expected).astype(float)
    each, model = find_elements(spectrum, parse_excitation(30.0), Response())
    assert each == []
    assert model.fit is None


@pytest.mark.parametrize(
    ("spectrum", "match"),
    [
        (np.zeros(2048), "no counts"),
        (np.full(2048, np.nan), "not finite"),
        (np.ones((2, 2048)), "shape"),
        (np.append(np.full(40, 1e3), np.zeros(2008)), "nothing can be found"),
    ],
)
def test_no_spectrum(spectrum, match):
    with pytest.raises(ValueError, match=match):
        find_elements(spectrum, TUBE, Response())


def test_sum_peaks_have_one_rate():
    """C + Si may be P: it is no pile-up if all others of larger products are far weaker."""

    def kept(areas, products):
        found = [Candidate(None, product, None) for product in products]
        solution = SimpleNamespace(areas=np.array([1e6, *areas, 5e4]))
        problem = SimpleNamespace(lines=SimpleNamespace(n_columns=1 + len(areas)))
        left = _of_one_rate(problem, SimpleNamespace(solution=solution), found)
        return [one.product for one in left]

    assert kept([240, 140, 4000], [5.6e10, 3.2e10, 1.2e10]) == [5.6e10, 3.2e10]
    assert kept([240, 140, 200], [5.6e10, 3.2e10, 1.2e10]) == [5.6e10, 3.2e10, 1.2e10]
    # The largest product, or one alone, says itself what the rate is.
    assert kept([4000, 0], [5.6e10, 1.2e10]) == [5.6e10, 1.2e10]
    assert kept([4000], [1.2e10]) == [1.2e10]


def test_a_good_fit_has_a_larger_chi2_the_more_counts_there_are():
    def of(total):
        expected = np.full(2000, total / 2000)
        return fair_chi2(SimpleNamespace(basis=SimpleNamespace(expected=expected)))

    assert [of(n) for n in (0, 1e5, 1e7)] == pytest.approx([1, 1.02, 3])


def test_a_hundred_counts():
    spectrum = np.zeros(2048)
    spectrum[np.random.default_rng(0).integers(300, 700, 100)] += 1
    each, _ = find_elements(spectrum, TUBE, Response())
    assert len(each) <= 1


def test_one_line_alone():
    x = np.arange(1024)
    expected = 2000 * np.exp(-0.5 * ((x - 174) / 4) ** 2) + 3
    spectrum = np.random.default_rng(0).poisson(expected).astype(float)
    each, _ = find_elements(spectrum, parse_excitation("electrons 15 kV"), Response())
    assert each[0].name == "Si_K"
    assert not symbols(each) & RARE


def test_a_steel():
    """SRM 1155, 16 keV: what was published, without what is below its detection limit."""
    path = DATA / "fit" / "Steel.spe"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    spectrum = text_spectra.file_reader(path)[0]["data"].astype(float)
    response = Response(gain=0.012, layers=(air(1.0),))
    each, _ = find_elements(spectrum, parse_excitation(16.0), response)
    got = symbols(each)
    assert {"Cr", "Mn", "Fe", "Ni", "Cu", "W", "As"} <= got
    assert (
        len(got - {"V", "Cr", "Mn", "Fe", "Ni", "Cu", "As", "Mo", "W", "Pb", "Ar"}) <= 1
    )


def test_a_steel_of_a_tube_in_vacuum():
    """NIST's, Rh tube: diffraction bends the background, and shapes are seen to 0.1 %."""
    each, model = of_rh_steel("Steel")
    got = symbols(each)
    assert {"Cr", "Mn", "Fe", "Ni", "Mo"} <= got
    steel = {"Si", "P", "S", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Mo", "W"}
    assert len(got - steel) <= 1
    assert model.fit.chi2 < 5


@pytest.mark.parametrize("metal", ["Cr", "Ti", "Fe"])
def test_diffraction_in_pure_metals_is_no_rare_earth(metal):
    """Its peaks are wider than lines. Iron and the like are scattered by what is around."""
    got = symbols(of_rh_steel(metal)[0]) - {metal, "Si", "Mn", "Fe", "Ni", "Cu", "Zn"}
    assert len(got) <= 1


def test_a_crystal_whose_diffraction_is_far_larger_than_its_background():
    """Silicon: one bump, 20 000 counts at 5.5 keV, is neither Cr and Sm together nor one."""
    assert symbols(of_rh_steel("Si")[0]) == {"Si"}


def of_rh_steel(name):
    path = DATA / "fit" / "rh_steel" / f"{name}_50kv_50_ma_Rh_vac_D1.msa"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    body = path.read_text(encoding="latin-1").split("#SPECTRUM")[1].splitlines()[1:]
    rows = [line for line in body if line.strip() and not line.startswith("#")]
    spectrum = np.array(" ".join(rows).replace(",", " ").split(), dtype=float)
    response = Response(zero=-0.9553, gain=0.009999)
    return find_elements(spectrum, parse_excitation("Rh 50 kV"), response)


@pytest.mark.parametrize("fwhm", [0.0, 0.3])
def test_a_bump_is_no_element(phantom, fwhm):
    """Of the width of a line it would be one: K-alpha of germanium, with its K-beta."""
    total = phantom.counts.sum(axis=(0, 1), dtype=float)
    own = phantom.detector
    energies = own.zero + own.gain * np.arange(total.size)
    for energy, counts in ((9.876, 3000), (10.98, 420)):
        sigma = np.hypot(fwhm, 0.155 * np.sqrt(energy / 9.876)) / xrf.FWHM
        shape = np.exp(-0.5 * ((energies - energy) / sigma) ** 2)
        total += np.random.default_rng(1).poisson(counts * shape / shape.sum())
    each, _ = find_elements(total, TUBE, Response(layers=LAYERS))
    assert ("Ge" in symbols(each)) == (fwhm == 0)
    assert len(symbols(each) - {*phantom.elements, "Ge"}) <= 1


def test_more_channels_of_a_larger_gain():
    detector = xrf.Detector(gain=0.02, zero=0.01, n_channels=1024)
    phantom = xrf.make((24, 24), counts=300, detector=detector)
    total = phantom.counts.sum(axis=(0, 1), dtype=float)
    each, _ = find_elements(total, TUBE, Response(gain=0.02, layers=LAYERS))
    got = symbols(each)
    assert {"Fe", "Pb", "Ti", "Ca", "Cu", "Cr", "Si", "K", "Sr"} <= got
    assert len(got - set(phantom.elements)) <= 1


def test_another_element_that_is_missing_is_no_alternative(phantom, found):
    """It explains as much with the one as without it, but elsewhere."""
    counts = phantom.counts.sum(axis=(0, 1), dtype=float)
    model = found[1]
    groups = tuple(one for one in model.groups if one.element != "Cu")
    names = tuple(calibrated(model).parameters)
    left = finish(replace(model, groups=groups, fit=None), counts, 1, names)
    candidates = make_candidates(TUBE, left.response, left.energy_range)
    each = describe(left, counts, Pool.of(candidates, left, counts), {})
    alternatives = {one.name: one.alternatives for one in each}
    assert all("Cu_K" not in alternatives[name] for name in ("Sr_K", "Zr_K", "Ti_K"))


def test_electrons_of_half_a_kilovolt():
    """Splines that have no counts to explain make the equations singular."""
    counts = xrf.make((6, 8), counts=600, excitation=17.44).counts.sum((0, 1), float)
    excitation = parse_excitation("electrons 0.5 kV")
    chosen, _ = find_elements(counts, excitation, Response(gain=0.01, zero=0.0))
    assert chosen == []


@pytest.mark.parametrize(
    ("parts", "most_off"),
    [
        ({"Zn": 0.8, "Cu": 1.2}, {"Cu_L": 0.02, "Zn_L": 0.03, "Zn_K": 0.02}),
        (
            {"Pb": 0.6, "S": 1.0, "Zn": 0.2, "O": 0.1},
            {"S_K": 0.03, "Pb_M": 0.02, "Zn_L": 0.03, "O_K": 0.05},
        ),
        (
            {"Ce": 0.5, "La": 0.3, "Nd": 0.2, "P": 1.0, "O": 1.0, "F": 0.1},
            {"O_K": 0.02, "Ce_M": 0.1, "La_M": 0.15, "F_K": 0.15, "P_K": 0.02},
        ),
        (
            {"Fe": 1.4, "Cr": 0.4, "Ni": 0.2, "Mn": 0.05, "O": 0.2},
            {"O_K": 0.05, "Fe_L": 0.05, "Cr_L": 0.05, "Fe_K": 0.02},
        ),
    ],
    ids=["brass", "galena", "monazite", "steel"],
)
def test_other_shells_under_electrons(parts, most_off):
    """Another element takes their place else: S K that of Pb M, F K that of Mn L."""
    beam = parse_excitation("electrons 20 kV")
    spectrum, truth = electron_spectrum(parts, beam)
    found, model = find_elements(spectrum, beam, Response())
    areas = {one.name: one.counts for one in found}
    assert set(areas) == set(truth)
    assert model.fit.chi2 < 1.3
    for name, most in most_off.items():
        assert areas[name] == pytest.approx(truth[name], rel=most)


def electron_spectrum(parts, beam):
    """Counts of elements, outer shells a half as strong as in a thin sample, and the truth."""
    energies, areas = 0.01 * np.arange(2048), {}
    soft = np.maximum(energies, 0.1)
    expected = np.clip(20 - energies, 0, None) / soft * np.exp(-((0.9 / soft) ** 2))
    expected = (expected / expected.sum())[None]
    for element, share in parts.items():
        shells = [shell for shell in "KLM" if group(element, shell, beam) is not None]
        inner = emission(element, shells[0], beam)
        for shell in shells:
            own = group(element, shell, beam)
            if own.energy < 0.22:  # windows absorb them
                continue
            times = min(emission(element, shell, beam) / inner, 6.0) / 2
            area = share * (1 if shell == shells[0] else times)
            sigma = np.sqrt(0.03**2 + 0.00044 * own.energies)
            lines = np.stack([own.energies, sigma, area * own.weights], axis=1)
            owners = np.zeros(len(lines), dtype=int)
            add_lines(expected, 0.0, 0.01, lines, owners, 0.02, 0.15, 0.004)
            areas[own.name] = area
    scale = 3e6 / expected.sum()
    spectrum = np.random.default_rng(1).poisson(scale * expected[0]).astype(float)
    return spectrum, {name: scale * area for name, area in areas.items()}
