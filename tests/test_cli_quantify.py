"""Each option of ``rsciio-xfm standard`` and ``quantify``."""

import csv

import hyperspy.api as hs
import numpy as np
import pytest
import tifffile

import rsciio_xfm
from tests.builders import bruker, xrf
from tests.test_cli_maps import CHOSEN, FIT

pytest.importorskip("xraylib")
FILM = "Ti=8,Fe=20,Cr=1,Cu=12"
SETUP = ["--incidence", 60, "--takeoff", 40, "--atmosphere", "air", "--distance", 1]
SETUP += ["--window", "Be 8 um", "--window", "kapton 10 um", "--crystal", "Si 0.5 mm"]
THIN = ["--sample", "thin"]


def save(s, path):
    energy = s.axes_manager[-1]
    energy.name, energy.units, energy.scale, energy.offset = "Energy", "keV", 0.01, 0.0
    s.set_signal_type("EDS_XFM")
    s.metadata.set_item("Acquisition_instrument.SEM.Detector.EDS.live_time", 0.02)
    s.save(path)
    return path


@pytest.fixture(scope="module")
def counts():
    return xrf.make((10, 12), counts=600, excitation=17.44).counts


@pytest.fixture(scope="module")
def path(counts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantify")
    return save(hs.signals.Signal1D(counts), folder / "map.rpl")


@pytest.fixture(scope="module")
def spectrum(counts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantify")
    whole = counts.sum((0, 1), dtype=float)
    return save(hs.signals.Signal1D(whole), folder / "sum.msa")


@pytest.fixture
def standard(run, path, tmp_path):
    run("standard", path, FILM, *CHOSEN, *FIT, *SETUP, *THIN, "-o", tmp_path / "a.yaml")
    return tmp_path / "a.yaml"


def table_of(folder):
    with (folder / "concentrations.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_standard(standard):
    found = rsciio_xfm.load_standard(standard)
    assert found.known["Fe"] == pytest.approx(2e-5) and found.thickness is None
    setup = found.setup
    assert (setup.incidence, setup.takeoff, setup.assumed) == (60, 40, ())
    assert [one.formula for one in setup.path] == ["air", "Be", "C22H10N2O5"]
    assert found.measured.live_time == pytest.approx(120 * 0.02)


def test_map(run, path, standard, tmp_path):
    folder = tmp_path / "r"
    said = run(
        "quantify", path, "--standard", standard, *CHOSEN, *FIT, *THIN, "-o", folder
    )
    assert "µg/cm2" in said and f"Wrote  {folder / 'Fe_K_ug_cm2.tif'}" in said
    rows = {row["element"]: float(row["ug_cm2"]) for row in table_of(folder)}
    assert rows["Fe"] == pytest.approx(20, rel=1e-4)
    assert rows["Cu"] == pytest.approx(12, rel=1e-4)
    image = hs.load(folder / "Fe_K_ug_cm2.tif").data
    assert image.shape == (10, 12) and image.mean() == pytest.approx(20, rel=1e-3)
    given = ["quantify", path, "--standard", standard, *CHOSEN, *FIT, *THIN, "-o", folder]
    assert "use --overwrite" in run(*given, code=1)
    run(*given, "--overwrite", "--live-time", 0.04)
    rows = {row["element"]: float(row["ug_cm2"]) for row in table_of(folder)}
    assert rows["Fe"] == pytest.approx(10, rel=1e-4)


def test_spectrum(run, spectrum, standard, tmp_path):
    """By elements, and by a model that was saved, which is fitted again."""
    given = ["--standard", standard, *THIN, "--live-time", 2.4]
    run("quantify", spectrum, *given, *CHOSEN, *FIT, "-o", tmp_path / "r")
    rows = {row["element"]: float(row["ug_cm2"]) for row in table_of(tmp_path / "r")}
    assert rows["Fe"] == pytest.approx(20, rel=0.01)
    s = hs.load(spectrum)
    model = rsciio_xfm.create_element_model(s, ["Fe", "Cu"], 17.44, (5.8, 9.6)).fit()
    model.save(tmp_path / "model.yaml")
    run("quantify", spectrum, *given, "--model", tmp_path / "model.yaml",
        "-o", tmp_path / "b")  # fmt: skip
    assert [row["element"] for row in table_of(tmp_path / "b")] == ["Fe", "Cu"]


@pytest.mark.parametrize("name", ["one.spx", "one.rpl"])
def test_any_file_of_one_spectrum(run, counts, standard, name, tmp_path):
    """Not .msa alone."""
    whole = counts.sum((0, 1), dtype=np.int32)
    if name.endswith("spx"):
        tube = bruker.TUBE.replace("<Atmosphere>Air</Atmosphere>", "")
        node = bruker.spectrum(len(whole), whole.tolist(), scale="1E-2", tube=tube)
        node = node.replace("-0,48", "0")
        (tmp_path / name).write_text(f"<TRTSpectrum>{node}</TRTSpectrum>")
    else:
        save(hs.signals.Signal1D(whole), tmp_path / name)
    given = [tmp_path / name, "--live-time", 2.4, *CHOSEN, *FIT, *SETUP, *THIN]
    run("standard", *given[:1], FILM, *given[1:], "-o", tmp_path / "b.yaml")
    run("quantify", *given, "--standard", standard, "-o", tmp_path / "r")
    rows = {row["element"]: float(row["ug_cm2"]) for row in table_of(tmp_path / "r")}
    assert rows["Fe"] == pytest.approx(20, rel=0.01)
    said = run("quantify", *given, "--x", 0, 1, "-o", tmp_path / "c", code=1)
    assert "--x and --y are for maps" in said


def test_file_of_images(run, standard, tmp_path):
    hs.signals.Signal2D(np.ones((3, 4), np.uint8)).save(tmp_path / "a.png")
    given = ["--standard", standard, *CHOSEN, *FIT, *THIN, "-o", tmp_path / "r"]
    said = run("quantify", tmp_path / "a.png", *given, code=1)
    assert "expected X-ray spectra" in said


def test_energies_without_elements(run, path, tmp_path):
    given = ["--excitation", "17.44 keV", "--energy", 5, 8.2, "--matrix", "normalise"]
    run("quantify", path, *given, "-o", tmp_path / "r")
    assert {row["element"] for row in table_of(tmp_path / "r")} >= {"Fe", "Cu"}


def test_thickness_in_micrometres(run, path, tmp_path):
    given = [*CHOSEN, *FIT, "--matrix", "normalise", "--sample"]
    said = run("quantify", path, *given, "30", "-o", tmp_path / "r")
    assert "sample is 30 g/cm2" in said and "If that is µm" in said
    run("quantify", path, *given, "SiO2 2.2 g/cm3 30 um", "-o", tmp_path / "b")


def test_absolute(run, path, tmp_path):
    geometry = [*SETUP, "--flux", 1e9, "--solid-angle", 0.01, "--matrix", "SiO2"]
    run("quantify", path, *CHOSEN, *FIT, *geometry, "-o", tmp_path / "r")
    (oxygen,) = [row for row in table_of(tmp_path / "r") if row["element"] == "O"]
    assert oxygen["remark"] == "assumed: matrix"
    assert "flux and solid angle" in (tmp_path / "r" / "notes.txt").read_text("utf-8")


def test_normalise(run, path, tmp_path):
    run("quantify", path, *CHOSEN, *FIT, "--matrix", "normalise", "-o", tmp_path / "r")
    total = sum(float(row["mass_percent"]) for row in table_of(tmp_path / "r"))
    assert total == pytest.approx(100, rel=1e-3)


def test_classes(run, path, standard, tmp_path):
    labels = np.repeat(np.array([[-1, 0, 1]], np.int16), 4, axis=1).repeat(10, axis=0)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    given = ["--standard", standard, *CHOSEN, *FIT, *THIN]
    run(
        "quantify",
        path,
        *given,
        "--classes",
        tmp_path / "labels.tif",
        "-o",
        tmp_path / "r",
    )
    rows = table_of(tmp_path / "r")
    assert {row["region"] for row in rows} == {"class 0", "class 1"}
    image = hs.load(tmp_path / "r" / "Fe_K_ug_cm2.tif").data
    np.testing.assert_array_equal(np.isnan(image), labels < 0)
    tifffile.imwrite(tmp_path / "small.tif", labels[1:])
    said = run("quantify", path, *given, "--classes", tmp_path / "small.tif",
               "-o", tmp_path / "b", code=1)  # fmt: skip
    assert "expected whole numbers, (10, 12)" in said


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ([], "no standard and no geometry"),
        (["--flux", 1e9], "no solid_angle, and there is no standard"),
        (["--sample", "thicc"], "expected 'thick', 'thin' or a thickness"),
        (["--window", "Be"], "A layer is 'Be'"),
        (["--atmosphere", "air"], "expected distance with it"),
        (["--takeoff", 95], "95"),
    ],
)
def test_wrong(run, path, tmp_path, arguments, match):
    code = 2 if arguments[:1] in (["--sample"], ["--takeoff"]) else 1
    given = [*CHOSEN, *FIT, *arguments]
    said = run("quantify", path, *given, "-o", tmp_path / "r", code=code)
    assert match in " ".join(said.split())
    assert not (tmp_path / "r").exists()


def test_electrons(run, path, tmp_path):
    given = ["--element", "Fe", "--excitation", "electrons 20 kV"]
    said = run("quantify", path, *given, "-o", tmp_path / "r", code=1)
    assert "DTSA-II or NeXL" in said


@pytest.mark.parametrize("known", ["Fe", "Fe=x", "=3", "Fe=1,Fe=2", ""])
def test_wrong_amounts(run, path, tmp_path, known):
    said = run("standard", path, known, "-o", tmp_path / "a.yaml", code=2)
    assert "is not amounts like" in " ".join(said.split())


def test_wrong_files(run, path, spectrum, standard, tmp_path):
    given = [*CHOSEN, *FIT, *THIN]
    said = run(
        "quantify", path, "--standard", spectrum, *given, "-o", tmp_path / "r", code=1
    )
    assert "expected a standard" in said
    assert "use --overwrite" in run(
        "standard", path, FILM, *given, "-o", standard, code=1
    )
    run("standard", path, FILM, *given, "-o", standard, "--overwrite")
    (tmp_path / "file").write_bytes(b"")
    said = run("quantify", path, *given, "-o", tmp_path / "file", code=1)
    assert "is a file, expected a folder or none" in said
    labels = tmp_path / "labels.tif"
    tifffile.imwrite(labels, np.zeros((10, 12), np.int16))
    said = run("quantify", spectrum, "--standard", standard, *given, "--classes", labels,
               "-o", tmp_path / "r", code=1)  # fmt: skip
    assert "--classes is for maps" in said
