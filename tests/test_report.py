"""What a report says, and that its page stands alone; without a fit, which takes long."""

from pathlib import Path
from types import SimpleNamespace

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

import rsciio_xfm
from rsciio_xfm.drawing.panels import Panel
from rsciio_xfm.report import facts, pictures, words
from rsciio_xfm.signals.areas import Areas
from tests.reading import Page

SECTIONS = [
    "Sum spectrum",
    "Elements",
    "Element maps",
    "Classes",
    "Dead times",
    "Calibration",
    "What was assumed",
    "Warnings",
    "How to make it again",
]
EVIL = """<script>alert("1")</script> & 'more' <b>"""


def signal(counts, title="map", units=None):
    s = hs.signals.Signal1D(np.asarray(counts))
    s.set_signal_type("EDS_XFM")
    s.metadata.General.title = title
    (axis,) = s.axes_manager.signal_axes
    axis.scale, axis.units = (0.01, units) if units else (1.0, "")
    return s


@pytest.fixture
def report(tmp_path):
    """Write a report, and read it as a browser does."""

    def report(s, **options):
        path = rsciio_xfm.write_report(s, tmp_path / "report.html", **options)
        page = Page(path.read_text(encoding="utf-8"))
        page.check_alone()
        return page

    plt.close("all")  # of other tests
    yield report
    assert not plt.get_fignums()


def test_escaped(report):
    counts = np.random.default_rng(0).poisson(1, (5, 6, 80))
    s = signal(counts, EVIL)
    s.metadata.set_item("Acquisition_instrument.SEM.microscope", EVIL)
    found = report(s, regions={EVIL: counts.sum(axis=-1) > 80}, n_classes=0)
    assert EVIL in found.text and "script" not in found.tags
    expected = [*SECTIONS[:4], "Regions", *SECTIONS[4:]]
    assert found.headings == [EVIL, *expected]
    assert "energies of the channels are not known" in found.text
    assert "There are none, as no elements were fitted" in found.text
    assert "The file records no dead time" in found.text
    assert "No classes were asked for" in found.text
    assert f"{counts.sum()}inall" in found.bare
    assert "6 × 5 pixels" in found.text  # noqa: RUF001


@pytest.mark.parametrize("shape", [(64,), (1, 1, 64)])
def test_few_spectra(report, shape):
    """One spectrum, and one pixel; neither has a count."""
    found = report(signal(np.zeros(shape, np.uint16), units="keV"))
    assert found.headings == ["map", *SECTIONS]
    assert "There are no counts, so no elements were looked for" in found.text
    assert "too few to look for classes" in found.text


def test_without_an_extra(report, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    counts = np.random.default_rng(0).poisson(1, (4, 5, 80))
    assert "pip install" in report(signal(counts)).text


def test_axes(tmp_path):
    with pytest.raises(ValueError, match="expected a map of x and y"):
        rsciio_xfm.write_report(signal(np.ones((2, 3, 4, 9))), tmp_path / "r.html")
    with pytest.raises(ValueError, match="there is one spectrum: no map"):
        rsciio_xfm.write_report(signal(np.ones(9)), tmp_path / "r.html", regions=[(0, 0)])
    with pytest.raises(TypeError, match="expected a HyperSpy signal"):
        rsciio_xfm.write_report(np.ones((2, 9)), tmp_path / "r.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("EDX", "grain_7: EDX"),
        ("EDS of grain_7.pts", "EDS of grain_7.pts"),
        ("", "grain_7.bcf"),
    ],
)
def test_title(title, expected):
    """Many programs give all of their maps one title."""
    source = SimpleNamespace(signal=signal(np.ones(9), title), path=Path("grain_7.bcf"))
    assert facts.title_of(SimpleNamespace(source=source)) == expected


@pytest.mark.parametrize(
    ("fair", "expected"),
    [(1.0, "of so few counts has about 1,"), (11.0, "up to about 11.0,")],
)
def test_quality(monkeypatch, fair, expected):
    """What is said of a good fit is true of one that is better than that."""
    monkeypatch.setattr(words, "fair_chi2", lambda fit: fair)
    monkeypatch.setattr(words, "is_bad", lambda fit: False)
    fit = SimpleNamespace(chi2=1.3)
    said = words.quality(
        SimpleNamespace(model=SimpleNamespace(model=SimpleNamespace(fit=fit)))
    )
    assert expected in said and said.startswith("χ² per channel is 1.30; a good fit")


def test_destination(tmp_path):
    s, path = signal(np.ones(64)), tmp_path / "r.html"
    with pytest.raises(ValueError, match=r"the extension is '.txt', expected .html"):
        rsciio_xfm.write_report(s, tmp_path / "r.txt")
    path.write_text("old", encoding="utf-8")
    with pytest.raises(FileExistsError, match="use overwrite=True"):
        rsciio_xfm.write_report(s, path)
    wrong = signal(np.full(64, np.nan), units="keV")
    with pytest.raises(ValueError, match="NaN"):
        rsciio_xfm.write_report(wrong, path, excitation=20.0, overwrite=True)
    assert path.read_text(encoding="utf-8") == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["r.html"]


AREAS = Areas(
    ("Ca_K", "Fe_K", "Zn_K", "Y_K", "Ga_K", "Compton_Ka"),
    np.array([900.0, 5000.0, 70.0, 3.0, -8.0, 2.0]),
    np.array([30.0, 80.0, 12.0, 9.0, 9.0, 5.0]),
    np.array([60.0, 90.0, 40.0, 30.0, 30.0, 20.0]),
    12,
    {
        "Fe_K": "with Mn_K (r = 0.93)",
        "Zn_K": "possible, map like Cu_K's, or Re_L, W_L",
        "Y_K": "in a part of the map",
    },
    frozenset(["Compton_Ka"]),
)


@pytest.mark.parametrize(
    ("name", "verdict", "remark"),
    [
        ("Ca_K", "detected", ""),
        ("Fe_K", "detected", "It can hardly be told apart from Mn K (r = 0.93)."),
        (
            "Zn_K",
            "possible",
            "Weak: an error of the model can look like this. Its map is like that of Cu K: it "
            "goes with that element, or makes up for a wrong shape of its lines. It could be "
            "Re L, W L as well.",
        ),
        ("Y_K", "in a part of the map", "It was found in a part of the map: see where."),
        ("Ga_K", "not detected", ""),
        ("Compton_Ka", "", ""),
    ],
)
def test_verdicts(name, verdict, remark):
    assert words.verdict(AREAS, name) == verdict
    assert words.remark(AREAS, name) == remark


def test_means_of_blocks():
    image = np.random.default_rng(0).random((70, 51))
    small = pictures.coarse(Panel("Fe", image, [(2.0, "mm"), (3.0, "mm")]), side=10)
    assert small.image.shape == (10, 8) and small.steps == [(14.0, "mm"), (21.0, "mm")]
    expected = image[:, :49].reshape(10, 7, 7, 7).mean(axis=(1, 3))
    np.testing.assert_allclose(small.image[:, :7], expected, rtol=1e-5)
    np.testing.assert_allclose(small.image[-1, 7], image[-7:, 49:].mean(), rtol=1e-5)
    assert pictures.coarse(small, 10) is small


def test_sizes_of_pixels(tmp_path, monkeypatch):
    """They are known by every unit that has a scale bar; without a unit pixels are counted."""
    shown = []
    draw = pictures.draw_map
    monkeypatch.setattr(
        pictures, "draw_map", lambda ax, panel: shown.append(panel) or draw(ax, panel)
    )
    s = signal(np.ones((4, 5, 80), dtype=np.uint16))
    node = "Acquisition_instrument.SEM.Detector.EDS.dead_time"
    s.metadata.set_item(node, hs.signals.BaseSignal(np.full((4, 5), 12.0)).T)
    path = rsciio_xfm.write_report(s, tmp_path / "plain.html", n_classes=0)
    assert "how large a pixel is, the file does not say" in path.read_text("utf-8")
    (panel,) = [one for one in shown if one.unit == "%"]
    assert panel.steps == ((1.0, None), (1.0, None))
    for axis in s.axes_manager.navigation_axes:
        axis.scale, axis.units = 5.0, "micron"
    path = rsciio_xfm.write_report(s, tmp_path / "microns.html", n_classes=0)
    assert "a pixel is 5 µm" in path.read_text("utf-8")
