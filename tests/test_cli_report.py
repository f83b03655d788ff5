"""``rsciio-xfm report``: its numbers are those of the element maps."""

import re

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

import rsciio_xfm
from tests.builders import geopixe as builder
from tests.builders import xrf
from tests.chromium import CHROMIUM, start_chromium
from tests.reading import Page

pytest.importorskip("xraylib")
FIT = ["--energy", 4.2, 9.6, "--excitation", "17.44 keV"]
NAMES = ["Ti", "Cr", "Mn", "Fe", "Cu", "Zn", "Ga"]
CHOSEN = [part for name in NAMES for part in ("--element", name)]


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


def read(path):
    page = Page(path.read_text(encoding="utf-8"))
    page.check_alone()
    return page


def number(text):
    return float(text.replace("\u202f", ""))


def table_of(page, first):
    """Return rows of the table whose first column is called so, by what that says."""
    (found,) = [table for table in page.tables if table[0][0] == first]
    return {row[0]: dict(zip(found[0], row, strict=True)) for row in found[1:]}


def test_numbers(run, path, tmp_path):
    output = tmp_path / "r.html"
    said = run("report", path, *CHOSEN, *FIT, "--n-classes", 3, "-o", output)
    assert f"Wrote  {output}" in said
    page = read(output)
    s = hs.load(path, lazy=True)
    maps = s.get_element_maps(NAMES, excitation=17.44, energy_range=(4.2, 9.6))
    rows = table_of(page, "Lines")
    names = [name for name in maps.totals if name not in maps.totals.others]
    assert list(rows) == [name.replace("_", " ") for name in names]
    for row in rows.values():
        name = row["Lines"].replace(" ", "_")
        counts, sigma = maps.totals[name]
        assert number(row["Counts"]) == pytest.approx(counts, abs=0.51)
        assert number(row["Sigma"]) == pytest.approx(sigma, abs=0.51, rel=0.05)
        limit = maps.totals.limits[maps.totals.names.index(name)]
        assert number(row["Detection limit"]) == pytest.approx(limit, abs=0.51)
        is_found = maps.totals.is_detected(name)
        assert (row["Verdict"] == "not detected") == (not is_found)
        assert (f"Map of {name}" in page.values("alt")) == is_found
    assert "Not detected, and not shown: Ga K." in page.text
    whole = int(np.asarray(s.data.sum()))
    assert f"{whole}inall" in page.bare
    classes = table_of(page, "Class")
    assert sum(number(row["Pixels"]) for row in classes.values()) == 120
    assert any(
        "Ti K" in row["Richer than the map on average in"] for row in classes.values()
    )
    dead = table_of(page, "Detector")
    assert [row["Median"] for row in dead.values()] == ["10.0 %", "11.0 %"]
    assert f"rsciio-xfm report {path}" in page.text
    assert "17.44 keV, as it was given" in page.text


def test_regions_of_a_part(run, path, tmp_path):
    """Masks are those of the whole map; their counts are those of the part."""
    mask = np.zeros((10, 12), bool)
    mask[2:6, 3:9] = True
    np.save(tmp_path / "grain & co.npy", mask)
    np.save(tmp_path / "beyond.npy", ~mask & (np.arange(12) > 9))
    part = ["--x", 2, 8, "--y", 1, 9, "--n-classes", 0, *CHOSEN, *FIT]
    masks = ["--mask", tmp_path / "grain & co.npy"]
    run("report", path, *part, *masks, "-o", tmp_path / "r.html")
    page = read(tmp_path / "r.html")
    s = hs.load(path, lazy=True).inav[2:8, 1:9]
    maps = s.get_element_maps(NAMES, excitation=17.44, energy_range=(4.2, 9.6))
    (areas,) = maps.get_region({"": mask[1:9, 2:8]}).values()
    rows = next(table for table in page.tables if table[0][-1] == "Counts a pixel")
    for shown, _, counts, sigma, *_ in rows[1:]:
        name = shown.replace(" ", "_")
        assert number(counts) == pytest.approx(areas[name][0], abs=0.51)
        assert number(sigma) == pytest.approx(areas[name][1], abs=0.51)
    assert "20 pixels" in page.text and "grain & co" in page.text
    assert "No classes were asked for" in page.text
    wrong = ["--mask", tmp_path / "beyond.npy", "-o", tmp_path / "w.html"]
    assert "no pixel of the mask" in run("report", path, *part, *wrong, code=1)


def test_detector_and_model(run, path, tmp_path):
    fast = ["--n-classes", 0, "--detector", 1]
    run("maps", path, *CHOSEN[:8], *FIT, "-o", tmp_path / "m")
    model = tmp_path / "m" / "model.yaml"
    run("report", path, *fast, "--model", model, "-o", tmp_path / "r.html")
    page = read(tmp_path / "r.html")
    assert list(table_of(page, "Detector")) == ["Detector 1"]
    assert "Elements: those of a model that was given" in page.text
    said = run("report", path, "-o", tmp_path / "r.html", code=1)
    assert "use --overwrite to replace it" in said
    said = run("report", path, "-o", tmp_path / "r.pdf", code=1)
    assert "expected .html" in said


def test_electrons(tmp_path):
    """A map of an electron microscope, by its path; its energies begin below 0."""
    made = rsciio_xfm.data.sem_map(tmp_path / "map.spd", (12, 16))
    page = rsciio_xfm.write_report(made.path, tmp_path / "r.html", n_classes=0)
    found = read(page)
    assert re.search(r"electrons \d+ kV, as the file says", found.text)
    assert "rsciio_xfm.write_report(" in found.text and "n_classes=0" in found.text
    assert "Detected: " in found.text


def test_line_and_spectrum(path, tmp_path):
    s = hs.load(path, lazy=True)
    options = {
        "model": ["Fe", "Ti", "Cu"],
        "excitation": 17.44,
        "energy_range": (4.2, 9.6),
    }
    line = rsciio_xfm.write_report(s.inav[:, 2], tmp_path / "line.html", **options)
    assert "Map of Fe_K" in read(line).values("alt")
    one = rsciio_xfm.write_report(s.sum(), tmp_path / "one.html", **options)
    found = read(one)
    assert "this is one spectrum, not a map" in found.text
    model = s.create_element_model(["Fe", "Ti", "Cu"], 17.44, (4.2, 9.6)).fit()
    counts = number(table_of(found, "Lines")["Fe K"]["Counts"])
    assert counts == pytest.approx(model.areas["Fe_K"][0], abs=0.51)


def test_wrong_elements_are_an_error(run, path, tmp_path):
    said = run("report", path, "--element", "fe", "-o", tmp_path / "r.html", code=1)
    assert "'fe' is no element, expected Fe" in said
    assert not list(tmp_path.iterdir())


def test_warnings_are_told(run, path, tmp_path):
    few = ["--element", "Ti", *FIT, "--n-classes", 0]
    said = run("report", path, *few, "-o", tmp_path / "r.html")
    assert "Warning: The model does not describe the spectrum" in said
    page = read(tmp_path / "r.html")
    assert "The model does not describe the spectrum" in page.text
    assert "1 warning was given" in page.text


def test_elements_without_energies(run, tmp_path):
    """What was asked for is an error; what was not is told, and there is a report."""
    s = hs.signals.Signal1D(np.ones((3, 4, 64), np.uint16))
    s.set_signal_type("EDS_XFM")
    s.save(tmp_path / "map.h5", file_format="ESRF")
    common = [tmp_path / "map.h5", "--n-classes", 0, "-o", tmp_path / "r.html"]
    for asked in (["--element", "Fe"], ["--rgb", "Fe_Ka,Ca_Ka"], ["--energy", 1, 9]):
        said = run("report", *common, *asked, code=1)
        assert "Error: The energies of the channels are not known" in said
        assert "--calibrate Fe_Ka=640,Ca_Ka=369" in said
    assert not (tmp_path / "r.html").exists()
    said = run("report", *common)
    assert "Warning: The energies of the channels are not known" in said
    assert "No warning was given" in read(tmp_path / "r.html").text


def test_composite_of_what_is_named(run, path, tmp_path):
    common = [*CHOSEN[:6], *FIT, "--n-classes", 0, "-o", tmp_path / "r.html"]
    run("report", path, *common, "--rgb", "Mn_Ka,,Ti")
    page = read(tmp_path / "r.html")
    assert "Composite of maps: Mn_K red, Ti_K blue" in page.values("alt")
    assert "Mn K, Ti K together: as was asked for" in page.text
    said = run("report", path, *common, "--rgb", "Mn_Ka,Ag", "--overwrite")
    assert "Warning: rgb: 'Ag' is not fitted, expected one of Ti_K, Cr_K, Mn_K" in said
    assert "together: elements whose maps show most contrast" in (
        read(tmp_path / "r.html").text
    )
    said = run("report", path, *common, "--rgb", "a,b,c,d", code=2)
    assert "expected up to three names" in said


@pytest.mark.parametrize("rgb", ["Fe_K", ("a", "b", "c", "d"), (None,), (1, 2)])
def test_no_names_of_colours(path, tmp_path, rgb):
    with pytest.raises(ValueError, match=r"expected up to three names"):
        rsciio_xfm.write_report(path, tmp_path / "r.html", rgb=rgb)


def test_colours_of_a_line_scan(path, tmp_path):
    line = hs.load(path, lazy=True).inav[:, 2]
    with pytest.raises(ValueError, match=r"rgb is given .* expected a map of x and y"):
        rsciio_xfm.write_report(line, tmp_path / "r.html", rgb=("Fe_K",))


def test_colours_of_a_spectrum(run, path, tmp_path):
    spectrum = tmp_path / "sum.msa"
    hs.load(path).sum().save(spectrum)
    said = run("report", spectrum, "--rgb", "Fe_K", "-o", tmp_path / "r.html", code=1)
    assert f"Error: {spectrum}: --rgb is for maps of x and y" in said


def test_energies_by_lines(run, tmp_path):
    made = rsciio_xfm.data.painting(tmp_path / "scan.raw", (24, 32))
    options = ["--excitation", "Rh 50 kV", "--n-classes", 0]
    lines = ["--calibrate", "Cu_Ka=342,Fe_Ka=276"]
    size = ["--pixel-size", "500um"]
    path = made.path.with_suffix(".rpl")
    run("report", path, *lines, *size, *options, "-o", tmp_path / "r.html")
    page = read(tmp_path / "r.html")
    assert "a pixel is 500 µm" in page.text
    assert "scan.raw, 1.57 MB" in page.text  # not the few bytes of the .rpl alone
    assert "from 2 lines (numbers taken as channels)" in page.text
    assert {"Cu K", "Pb L", "Fe K"} < set(table_of(page, "Lines"))


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_printed(run, path, tmp_path):
    """On paper it is black on white, and the pictures are no wider than the page."""
    pytest.importorskip("playwright")
    few = [*CHOSEN, *FIT, "--n-classes", 2]
    run("report", path, *few, "-o", tmp_path / "r.html")
    widths = (
        "[...document.querySelectorAll('img')].map(i => i.getBoundingClientRect().right)"
    )
    with start_chromium() as browser:
        asked = []
        for width, scheme in ((400, "light"), (1400, "dark")):
            size = {"width": width, "height": 900}
            context = browser.new_context(viewport=size, color_scheme=scheme)
            tab = context.new_page()
            tab.on("request", lambda request: asked.append(request.url))
            tab.goto((tmp_path / "r.html").as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            body = "getComputedStyle(document.body).backgroundColor"
            is_light = tab.evaluate(body) == "rgb(255, 255, 255)"
            assert is_light == (scheme == "light")
            tab.emulate_media(media="print")
            assert tab.evaluate(body) == "rgb(255, 255, 255)"
        pdf = tab.pdf(prefer_css_page_size=True)
        tab.set_viewport_size({"width": 703, "height": 900})  # A4 within its margins
        assert max(tab.evaluate(widths)) <= 704
    assert pdf.startswith(b"%PDF") and 2 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 5
    assert all(url.startswith(("file:", "data:")) for url in asked)


def test_folder_of_the_page_is_not_there(run, path, tmp_path):
    """It is said before anything is computed."""
    text = run("report", path, "-o", tmp_path / "none" / "report.html", code=1)
    assert f"{tmp_path / 'none'}" in text
    assert "there is no such folder" in text
    with pytest.raises(FileNotFoundError, match="no such folder"):
        rsciio_xfm.write_report(path, tmp_path / "none" / "report.html")
