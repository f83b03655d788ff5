"""Synthetic maps: files that independent readers open, and a truth that agrees with them."""

import importlib
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import data, datastack

MADE = {
    "section.GeoPIXE": data.thin_section,
    "joint.spd": data.sem_map,
    "scan.raw": data.painting,
}
SHAPE = (36, 60)


@pytest.fixture(params=MADE)
def made(request, tmp_path):
    return MADE[request.param](tmp_path / request.param, SHAPE)


def counts_of(phantom):
    """The counts of a map, as another reader gives them where there is one."""
    if phantom.path.suffix == ".GeoPIXE":
        return hs.load(phantom.path).data
    if phantom.path.suffix == ".raw":
        reader = importlib.import_module("rsciio.ripple")
        rpl = phantom.path.with_suffix(".rpl")
        return reader.file_reader(str(rpl))[0]["data"][::-1]  # it lay upside down
    reader = importlib.import_module("rsciio.edax")
    return reader.file_reader(str(phantom.path))[0]["data"]


def test_truth(made):
    """Mean spectra of the phases are those that are expected, within their noise."""
    counts = counts_of(made)
    assert counts.shape == (*SHAPE, made.spectra.shape[1])
    assert made.labels.shape == SHAPE
    assert len(made.phases) == len(made.compositions) == len(made.spectra)
    for phase in np.unique(made.labels):
        inside = made.labels == phase
        expected = made.spectra[phase] * made.brightness[inside].sum()
        # The detectors of one pixel are not as bright to a thousandth.
        noise = 6 * np.sqrt(expected + 1) + 10 + 0.001 * expected
        assert (np.abs(counts[inside].sum(axis=0) - expected) < noise).all()


def test_noise_is_that_of_counting(made):
    """The variance of the counts of a channel is what is expected, in all pixels."""
    counts = counts_of(made).reshape(-1, made.spectra.shape[1])
    expected = made.spectra[made.labels] * made.brightness[..., np.newaxis]
    expected = expected.reshape(counts.shape)
    strong = expected.mean(axis=0) > 1
    assert strong.sum() > 20
    misfit = ((counts - expected)[:, strong] ** 2).sum() / expected[:, strong].sum()
    assert misfit == pytest.approx(1, abs=0.04)
    # Pixels have noise of their own.
    difference = (counts[:-1] - counts[1:].astype(float))[:, strong]
    assert (np.abs(difference).max(axis=1) > 0).all()


def test_same_every_time(made, tmp_path):
    again = MADE[made.path.name](tmp_path / f"again{made.path.suffix}", SHAPE)
    assert again.path.stat().st_size == made.path.stat().st_size
    np.testing.assert_array_equal(counts_of(again), counts_of(made))
    np.testing.assert_array_equal(again.labels, made.labels)


def test_all_phases_are_in_the_map(tmp_path):
    """At the default size."""
    for name, make in MADE.items():
        made = make(tmp_path / name)
        assert set(made.labels.flat) == set(range(len(made.phases)))
        made.path.unlink()


def test_share(made):
    for phase, parts in enumerate(made.compositions):
        for element, share in parts.items():
            assert (made.share(element)[made.labels == phase] == share).all()
    assert (made.share("U") == 0).all()
    with pytest.raises(ValueError, match="element is 'fe', expected a symbol"):
        made.share("fe")


def test_counts(made):
    """Areas are those of lines alone: less than the spectra, and as the shares have it."""
    assert set(made.areas) > {f"{e}_K" for e in ("Cu",)}
    for k, parts in enumerate(made.compositions):
        main = {}
        for name, areas in made.areas.items():
            main.setdefault(name.split("_")[0], areas[k])  # K before L before M
        assert {element for element, area in main.items() if area > 0} == set(parts)
        ratios = [main[element] / share for element, share in parts.items()]
        # Lines weaker than a thousandth of a group are left out.
        np.testing.assert_allclose(ratios, ratios[0], rtol=6e-3)
        assert sum(areas[k] for areas in made.areas.values()) < made.spectra[k].sum()
    for name, areas in made.areas.items():
        found = made.counts(name)
        np.testing.assert_allclose(found, areas[made.labels] * made.brightness)
    assert (made.counts("U_L") == 0).all()
    with pytest.raises(ValueError, match="element is 'fe', expected a symbol"):
        made.counts("fe_K")
    with pytest.raises(ValueError, match="group is 'Fe', expected one like 'Fe_K'"):
        made.counts("Fe")


def test_table_of_lines():
    """It is what xraylib says, by the code that has made it."""
    pytest.importorskip("xraylib")
    lines = importlib.import_module("tests.builders.lines")
    made = "".join(f"{row}\n" for row in lines.rows())
    table = Path(data.__file__).with_name("lines.csv").read_text(encoding="ascii")
    names = [row.split(",")[:3] for row in table.splitlines()]
    assert [row.split(",")[:3] for row in made.splitlines()] == names
    for ours, theirs in zip(numbers_of(table), numbers_of(made), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_counts_of_minerals():
    """They are what follows from the mass fractions, which are whole."""
    pytest.importorskip("xraylib")
    minerals = importlib.import_module("tests.builders.minerals")
    computed = minerals.shares()
    for mineral in minerals.rock.MINERALS:
        assert sum(mineral.fractions.values()) == pytest.approx(1)
        assert list(mineral.counts) == list(computed[mineral.name])
        for element, share in mineral.counts.items():
            assert share == pytest.approx(computed[mineral.name][element], rel=0.01)


def numbers_of(table):
    """Energies and counts of each row."""
    pairs = [row.split(",")[3:] for row in table.splitlines()]
    return [np.array([pair.split(":") for pair in row], dtype=float) for row in pairs]


def test_response():
    """One line: its peak, tail, shelf and escape peak are where they should be."""
    spectra = importlib.import_module("rsciio_xfm.data._spectra")
    energies = 0.01 * np.arange(2048)
    none = np.where(energies > 15, 1.0, 0.0)
    mixture = spectra.expect(energies, {"Fe": 1e6}, none, "Mo 50 kV")
    spectrum = mixture.spectrum / mixture.areas["Fe_K"]
    assert energies[spectrum.argmax()] == pytest.approx(6.4, abs=0.011)
    assert spectrum[energies < 7.5].sum() == pytest.approx(1.004, abs=0.002)
    escape = spectrum[(energies > 4.4) & (energies < 4.95)].sum()
    beside = spectrum[(energies > 3.8) & (energies < 4.35)].sum()
    assert escape - beside == pytest.approx(0.0033, rel=0.25)  # Reed and Ware
    shelf = spectrum[(energies > 1) & (energies < 3)].sum()
    assert shelf == pytest.approx(0.004 * 2 / 6.4, rel=0.05)
    doubled = spectra.pile_up(mixture, 0.01)
    assert doubled.areas["Fe_K"] == pytest.approx(0.99 * mixture.areas["Fe_K"])
    assert doubled.spectrum.sum() == pytest.approx(mixture.spectrum.sum(), rel=2e-3)
    both = (energies > 12.5) & (energies < 14.5)
    assert doubled.spectrum[both].sum() == pytest.approx(0.0094, rel=0.05)


def test_drawing_from_a_table():
    """As often as numpy draws: the mean and the variance of each channel are right."""
    draw = importlib.import_module("rsciio_xfm.kernels.draw")
    shares = np.array([0.5, 0.0, 0.2, 0.05, 0.25])
    table = draw.make_alias(shares)
    spectra = np.zeros((2000, 5), np.uint16)
    kinds, totals = np.zeros(2000, np.intp), np.full(2000, 400)
    draw.draw_spectra(np.uint64(7), table[None], kinds, totals, spectra)
    assert (spectra.sum(axis=1) == 400).all() and (spectra[:, 1] == 0).all()
    seen = shares > 0
    np.testing.assert_allclose(spectra.mean(axis=0)[seen], 400 * shares[seen], rtol=0.02)
    variance = 400 * shares * (1 - shares)
    np.testing.assert_allclose(spectra.var(axis=0)[seen], variance[seen], rtol=0.15)


def test_one_pixel(tmp_path):
    for name, make in MADE.items():
        made = make(tmp_path / name, (1, 1))
        assert made.labels.shape == (1, 1)
        assert counts_of(made).size == made.spectra.shape[1]


def test_files_that_are_there(made):
    before = made.path.read_bytes()
    with pytest.raises(FileExistsError, match="use overwrite=True"):
        MADE[made.path.name](made.path, (2, 2))
    assert made.path.read_bytes() == before
    MADE[made.path.name](made.path, (2, 2), overwrite=True)
    assert made.path.stat().st_size < len(before)


def test_file_beside_that_is_there(tmp_path):
    (tmp_path / "joint.ipr").write_text("mine")
    with pytest.raises(FileExistsError, match=r"joint\.ipr exists"):
        data.sem_map(tmp_path / "joint.spd")
    assert [path.name for path in tmp_path.iterdir()] == ["joint.ipr"]


def test_folder_beside(tmp_path):
    (tmp_path / "joint.bmp").mkdir()
    with pytest.raises(ValueError, match="a folder has this name"):
        data.sem_map(tmp_path / "joint.spd", SHAPE, overwrite=True)
    assert not (tmp_path / "joint.spd").exists()


@pytest.mark.parametrize("make", MADE.values())
def test_other_extension(make, tmp_path):
    with pytest.raises(ValueError, match=r"extension is '\.h5', expected '\."):
        make(tmp_path / "map.h5")


@pytest.mark.parametrize("make", MADE.values())
@pytest.mark.parametrize("shape", [(0, 3), (3, -1), (2.0, 3), (3,), (1, 2**16 + 1)])
def test_other_shapes(make, shape, tmp_path):
    name = next(name for name, function in MADE.items() if function is make)
    with pytest.raises(ValueError, match=r"shape is .*, expected two whole numbers"):
        make(tmp_path / name, shape)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "name", "arguments", "match"),
    [
        (data.thin_section, "a.GeoPIXE", {"n_detectors": 0}, "n_detectors is 0"),
        (data.thin_section, "a.GeoPIXE", {"unrecorded": 2}, "unrecorded is 2, expected"),
        (data.thin_section, "a.GeoPIXE", {"unrecorded": np.nan}, "unrecorded is nan"),
        (data.painting, "a.raw", {"n_channels": 10}, "n_channels is 10, expected"),
    ],
)
def test_other_arguments(make, name, arguments, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        make(tmp_path / name, (2, 3), **arguments)
    assert not list(tmp_path.iterdir())


def test_fewest_channels(tmp_path):
    picture = data.painting(tmp_path / "a.raw", (2, 3), n_channels=64)
    assert np.isfinite(picture.spectra).all()


class TestThinSection:
    def test_dead_times(self, tmp_path):
        rock = data.thin_section(tmp_path / "a.GeoPIXE", SHAPE)
        s = hs.load(rock.path, lazy=True)
        np.testing.assert_array_equal(s.get_dead_time().data, rock.dead_time)
        assert (rock.dead_time > 5).all() and (rock.dead_time < 50).all()
        first, second = rock.dead_time
        assert (first > second).mean() > 0.85  # which sees less

    def test_unrecorded(self, tmp_path):
        rock = data.thin_section(tmp_path / "a.GeoPIXE", SHAPE, unrecorded=0.25)
        with pytest.warns(UserWarning, match="dead times are not recorded"):
            s = hs.load(rock.path, lazy=True)
        found = s.get_dead_time().data
        missing = found == 0
        assert 0.2 < missing.mean() < 0.3
        np.testing.assert_array_equal(found[~missing], rock.dead_time[~missing])

    @pytest.mark.parametrize("n_detectors", [1, 3])
    def test_detectors(self, tmp_path, n_detectors):
        rock = data.thin_section(tmp_path / "a.GeoPIXE", (3, 4), n_detectors=n_detectors)
        s = hs.load(rock.path, lazy=True, sum_detectors=False)
        assert s.data.size == n_detectors * 12 * 4096
        assert rock.dead_time.shape == (n_detectors, 3, 4)


def test_sem_map_is_calibrated(tmp_path):
    joint = data.sem_map(tmp_path / "joint.spd", SHAPE)
    s = hs.load(joint.path, lazy=True)
    assert s.axes_manager["Energy"].scale == pytest.approx(0.01)
    assert [axis.scale for axis in s.axes_manager.navigation_axes] == [0.25, 0.25]
    assert s.metadata.Acquisition_instrument.SEM.beam_energy == 20
    image = hs.load(joint.path, select_type="image")
    assert image.data.shape == SHAPE
    assert image.axes_manager[0].scale == 0.25
    # The spectrum beside it is that of the map.
    total = hs.load(joint.path.with_suffix(".spc"))
    np.testing.assert_array_equal(total.data, counts_of(joint).sum(axis=(0, 1)))


def test_painting_lies_upside_down(tmp_path):
    picture = data.painting(tmp_path / "scan.raw", SHAPE)
    path = datastack.convert(
        picture.path, picture.path.with_suffix(".rpl"), sigma=0, flip_vertical=True
    )
    counts = hs.load(path, lazy=True).data.sum(axis=-1).compute()
    black = picture.phases.index("bone black")
    white = picture.phases.index("lead white")
    mean = [counts[picture.labels == phase].mean() for phase in (black, white)]
    expected = picture.spectra[[black, white]].sum(axis=1)
    np.testing.assert_allclose(mean, expected, rtol=0.06)
