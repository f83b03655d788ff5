"""Each option of ``rsciio-xfm maps``."""

import csv

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

import rsciio_xfm
from rsciio_xfm.cli._pictures import resize
from tests.builders import esrf, xrf
from tests.builders import geopixe as builder

pytest.importorskip("xraylib")
FIT = ["--energy", 4.2, 9.6, "--excitation", "17.44 keV"]
CHOSEN = [p for name in ("Ti", "Fe", "Cr", "Mn", "Cu", "Zn") for p in ("--element", name)]


@pytest.fixture(autouse=True)
def close_figures():
    plt.close("all")  # of other tests
    yield
    assert not plt.get_fignums()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A phantom as a GeoPIXE map of two detectors, 12 x 10 pixels."""
    counts = xrf.make((10, 12), counts=600, excitation=17.44).counts
    half = np.random.default_rng(0).binomial(counts, 0.5)
    path = tmp_path_factory.mktemp("maps") / "map.GeoPIXE"
    return builder.write_counts(path, [half, counts - half])


def table_of(folder):
    with (folder / "elements.csv").open(newline="") as file:
        return {row["component"]: row for row in csv.DictReader(file)}


def test_chosen(run, path, tmp_path):
    said = run("maps", path, *CHOSEN, *FIT, "--sigma", "-o", tmp_path / "r")
    assert (tmp_path / "r" / "Fe_K_sigma.tif").is_file()
    assert "6 groups of lines, 12 x 10 pixels" in said and "sigma limit" in said
    assert f"Wrote  {tmp_path / 'r' / 'Fe_K.tif'}" in said
    expected = hs.load(path, lazy=True).get_element_maps(
        ["Ti", "Fe", "Cr", "Mn", "Cu", "Zn"], excitation=17.44, energy_range=(4.2, 9.6)
    )
    image = hs.load(tmp_path / "r" / "Fe_K.tif").data
    np.testing.assert_allclose(image, expected["Fe"].data, atol=1e-3)
    counts = float(table_of(tmp_path / "r")["Fe_K"]["counts"])
    assert counts == pytest.approx(expected.totals["Fe"][0], rel=1e-6)
    assert (tmp_path / "r" / "maps.png").stat().st_size > 10_000


def test_found(run, path, tmp_path):
    run("maps", path, "--excitation", "17.44 keV", "-o", tmp_path / "r")
    assert {"Ca_K", "Ti_K", "Fe_K", "Cu_K"} < set(table_of(tmp_path / "r"))


def test_model_and_part(run, path, tmp_path):
    run("maps", path, *CHOSEN, *FIT, "-o", tmp_path / "a")
    model = tmp_path / "a" / "model.yaml"
    part = ["--x", 2, 8, "--y", 1, 9, "--detector", 1]
    said = run("maps", path, "--model", model, *part, "-o", tmp_path / "b")
    assert "6 x 8 pixels" in said
    s = hs.load(path, lazy=True, detector=1).inav[2:8, 1:9]
    expected = s.get_element_maps(rsciio_xfm.load_element_model(model))
    image = hs.load(tmp_path / "b" / "Cu_K.tif").data
    np.testing.assert_allclose(image, expected["Cu"].data, atol=1e-3)


def test_nonnegative(run, path, tmp_path):
    said = run("maps", path, *CHOSEN, *FIT, "--nonnegative", "-o", tmp_path / "r")
    assert "No pixel is negative" in said
    assert hs.load(tmp_path / "r" / "Zn_K.tif").data.min() == 0


def test_overwrite(run, path, tmp_path):
    few = ["--element", "Fe", "--element", "Cu", *FIT]
    run("maps", path, *few, "-o", tmp_path / "r")
    assert "use --overwrite" in run("maps", path, *few, "-o", tmp_path / "r", code=1)
    run("maps", path, *few, "-o", tmp_path / "r", "--overwrite")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--element", "fe"], "'fe' is no element, expected Fe"),
        (["--element", "Fe", "--excitation", "Mo"], "expected one like 17.44"),
        (["--element", "Fe", "--energy", 9, 4], "energy_range is 9 to 4"),
        (["--energy", 4, 90], "energy_range is 4 to 90"),
        (["--element", "Fe", "--x", 3, 1], "--x is 3 1"),
        (["--element", "Fe_K", "--excitation", "6 keV"], "Fe_K has no lines"),
    ],
)
def test_wrong(run, path, tmp_path, arguments, match):
    assert match in run("maps", path, *arguments, "-o", tmp_path / "r", code=1)
    assert not (tmp_path / "r").exists()


def test_wrong_model(run, path, tmp_path):
    model = tmp_path / "model.yaml"
    model.write_text("a: 1\n", encoding="utf-8")
    said = run("maps", path, "--model", model, "-o", tmp_path / "r", code=1)
    assert f"{model}: its kind is None, expected an element model" in said
    given = ["--model", model, "--element", "Fe"]
    assert "leave out --element" in run(
        "maps", path, *given, "-o", tmp_path / "r", code=1
    )


def test_a_file_is_there(run, path, tmp_path):
    (tmp_path / "r").write_bytes(b"")
    said = run("maps", path, "--element", "Fe", "-o", tmp_path / "r", code=1)
    assert "is a file, expected a folder or none" in said


def test_pictures(run, path, tmp_path):
    chosen = ["--rgb", "Fe,,Ti_Ka", "--cmap", "viridis", "--pixel-size", "50um,40um"]
    run("maps", path, *CHOSEN, *FIT, *chosen, "--format", "svg", "-o", tmp_path / "r")
    names = {file.name for file in (tmp_path / "r").iterdir()}
    assert {"maps.svg", "rgb.svg", "fit.svg"} < names and "maps.png" not in names
    assert "100 µm" in (tmp_path / "r" / "maps.svg").read_text("utf-8")
    text = (tmp_path / "r" / "rgb.svg").read_text("utf-8")
    assert "Fe K, to " in text and "Ti K, to " in text
    axes = hs.load(tmp_path / "r" / "Fe_K.tif").axes_manager
    assert [(round(a.scale, 6), a.units) for a in axes._axes] == [
        (0.04, "mm"),
        (0.05, "mm"),
    ]
    run("maps", path, *CHOSEN, *FIT, "--overwrite", "-o", tmp_path / "r")
    names = {file.name for file in (tmp_path / "r").iterdir()}
    assert "maps.png" in names and not {"maps.svg", "rgb.svg", "fit.svg"} & names


def test_rgb_of_what_is_not_there(run, path, tmp_path):
    """The fit takes long: all that is whole is written."""
    given = (*CHOSEN, *FIT, "--rgb", "Fe,Ag", "-o", tmp_path / "r")
    assert "'Ag' is not fitted" in run("maps", path, *given)
    names = {file.name for file in (tmp_path / "r").iterdir()}
    assert {"maps.png", "elements.csv"} <= names and "rgb.png" not in names


def test_rgb_of_a_line(run, tmp_path):
    """It is refused before the fit."""
    path = tmp_path / "line.h5"
    esrf.write_bliss(path, shape=(9,), scan="ascan", detectors=("det0",))
    said = run("maps", path, *FIT, "--rgb", "Fe", "-o", tmp_path / "r", code=1)
    assert "--rgb is for maps of x and y, and this has 1 axes" in said


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--cmap", "virids"), "like viridis"),
        (("--pixel-size", "5"), "'5', which has no unit"),
    ],
)
def test_wrong_pictures(run, path, tmp_path, options, match):
    given = [*CHOSEN, *FIT, *options, "-o", tmp_path / "r"]
    assert match in run("maps", path, *given, code=1)
    assert not (tmp_path / "r").exists()


def test_pixel_size_of_uneven_steps():
    """One size is said, so the steps are even from then on."""
    x = {"name": "x", "axis": [0.0, 1.0, 3.0, 7.0], "navigate": True}
    axes = [{"name": "y", "size": 3}, x, {"name": "Energy", "size": 5}]
    s = hs.signals.Signal1D(np.ones((3, 4, 5)), axes=axes)
    resize(s, "50um,40um")
    found = [(a.axis.tolist(), a.units) for a in s.axes_manager.navigation_axes]
    assert found == [([0.0, 50.0, 100.0, 150.0], "µm"), ([0.0, 40.0, 80.0], "µm")]
