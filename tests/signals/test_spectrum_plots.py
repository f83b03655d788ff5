"""Spectra as they are drawn: what matplotlib has of them."""

import itertools

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

import rsciio_xfm
from rsciio_xfm.drawing.peak_names import name_peaks
from rsciio_xfm.drawing.spectra import Curve, Frame, draw_spectra
from rsciio_xfm.signals import EDSXFMSpectrum, spectrum_plots

TOP = np.arange(12).reshape(3, 4) < 5
KEV = 0.02 * np.arange(600)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def make_map(shape=(3, 4), dead=20.0):
    """A map with peaks of iron and calcium, 2 s of real time per pixel."""
    expected = 2 + 80 * np.exp(-(((KEV - 6.4) / 0.07) ** 2))
    expected += 30 * np.exp(-(((KEV - 3.69) / 0.06) ** 2))
    counts = np.random.default_rng(1).poisson(expected, (*shape, KEV.size))
    counts[..., 550:] = 0
    s = EDSXFMSpectrum(counts.astype(np.uint32))
    energy = s.axes_manager.signal_axes[0]
    energy.name, energy.scale, energy.units = "Energy", 0.02, "keV"
    s.metadata.General.title = "rock"
    s.set_microscope_parameters(beam_energy=30, live_time=2.0)
    s.metadata.Acquisition_instrument.SEM.Detector.EDS.real_time = 2.0
    if dead is not None:
        s.set_dead_time(np.linspace(0, dead, int(np.prod(shape))).reshape(shape))
    return s


@pytest.fixture
def s():
    return make_map()


@pytest.fixture
def regions(s):
    return s.get_region_spectra({"top": TOP, "rest": ~TOP}, show_progressbar=False)


def curves_of(ax):
    return {line.get_label(): line.get_ydata() for line in ax.get_lines()}


def boxes_of(ax):
    ax.figure.canvas.draw()
    return {text.get_text(): text.get_window_extent() for text in ax.texts}


# What is drawn.


def test_regions(s, regions):
    ax = rsciio_xfm.plot_spectra(regions)
    found = curves_of(ax)
    assert list(found) == ["top", "rest"]
    for name, where in (("top", TOP), ("rest", ~TOP)):
        counts = s.data[where].sum(axis=0).astype(float)
        np.testing.assert_array_equal(found[name][counts > 0], counts[counts > 0])
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("Counts", "Energy (keV)")
    assert ax.get_yscale() == "log"
    last = np.flatnonzero(s.data.sum(axis=(0, 1)))[-1]
    assert ax.get_xlim() == pytest.approx((0, KEV[last]))
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["top", "rest"]


def test_per_pixel(s, regions):
    ax = rsciio_xfm.plot_spectra(regions, per="pixel", norm="linear")
    found = curves_of(ax)
    np.testing.assert_allclose(found["top"], s.data[TOP].sum(axis=0) / 5, rtol=1e-15)
    np.testing.assert_allclose(found["rest"], s.data[~TOP].sum(axis=0) / 7, rtol=1e-15)
    assert ax.get_ylabel() == "Counts per pixel"
    assert ax.get_yscale() == "linear"


def test_per_live_time(s, regions):
    found = curves_of(rsciio_xfm.plot_spectra(regions, per="live_time", norm="linear"))
    live = 2 * (1 - np.linspace(0, 20, 12).reshape(3, 4) / 100)
    for name, where in (("top", TOP), ("rest", ~TOP)):
        expected = s.data[where].sum(axis=0) / live[where].sum()
        np.testing.assert_allclose(found[name], expected, rtol=1e-12)


def test_channels_without_counts():
    """They lie at half of the least counts, not below everything."""
    counts = np.array([0.0, 0.2, 5.0, 0.0, np.nan, 0.4, 0.0])
    _, ax = plt.subplots()
    draw_spectra(ax, [Curve("a", np.arange(7.0), counts)], Frame(None))
    (line,) = ax.get_lines()
    np.testing.assert_array_equal(line.get_ydata(), [0.1, 0.2, 5, 0.1, np.nan, 0.4, 0.1])
    low, high = ax.get_ylim()
    assert 0 < low < 0.1 and high > 5
    assert ax.get_xlabel() == "Channel" and ax.get_xlim() == (0, 5)
    _, ax = plt.subplots()
    draw_spectra(ax, [Curve("none", np.arange(7.0), np.zeros(7))], Frame("keV"))
    assert ax.get_xlim() == (0, 6) and 0 < ax.get_ylim()[0] < ax.get_ylim()[1]


def test_energies(regions):
    ax = rsciio_xfm.plot_spectra(regions, norm="linear", energy_range=(2, 5))
    assert ax.get_xlim() == (2, 5)
    highest = max(
        y[(KEV >= 2) & (KEV <= 5)].max() for y in curves_of(ax).values()
    )  # not that of iron
    assert highest < ax.get_ylim()[1] < 1.2 * highest
    regions["rest"].axes_manager[-1].convert_to_units("eV")
    ax = rsciio_xfm.plot_spectra(regions)
    first, second = ax.get_lines()
    np.testing.assert_allclose(first.get_xdata(), second.get_xdata())


def test_names_of_spectra(s, regions):
    classes = s.classify(reducer="pca", n_classes=2, show_progressbar=False)
    for spectra in (classes.sums, classes.spectra):
        ax = rsciio_xfm.plot_spectra(spectra, per="pixel")
        assert list(curves_of(ax)) == ["class 0", "class 1"]
        expected = [one.data.sum() for one in classes.spectra]
        sums = [y[y >= 1e-9].sum() for y in curves_of(ax).values()]
        assert sums == pytest.approx(expected, rel=0.05)
    assert rsciio_xfm.plot_spectra(classes.spectra).get_ylabel() == "Counts per pixel"
    rates = [
        np.concatenate(list(curves_of(ax).values()))
        for ax in (
            rsciio_xfm.plot_spectra(spectra, per="live_time", norm="linear")
            for spectra in (classes.sums, classes.spectra)
        )
    ]
    np.testing.assert_allclose(*rates, rtol=1e-9)
    ax = rsciio_xfm.plot_spectra(list(regions.values()), labels=["a", "b"])
    assert list(curves_of(ax)) == ["a", "b"]
    assert list(curves_of(rsciio_xfm.plot_spectra([s.sum(), s.sum()]))) == ["0", "1"]
    ax = rsciio_xfm.plot_spectra(s.sum())
    assert ax.get_title(loc="left") == "rock" and ax.get_legend() is None


def test_on_axes_of_ones_own(regions):
    _, axes = plt.subplots(2)
    assert rsciio_xfm.plot_spectra(regions, ax=axes[1]) is axes[1]
    assert not axes[0].lines


def test_many_are_told_apart(s):
    """By colours and dashes, also in print without colours, and by both of more than 8."""
    some = {f"region {k}": s.inav[k % 4, k // 4].squeeze() for k in range(12)}
    lines = rsciio_xfm.plot_spectra(some).get_lines()
    dashes = [(line.get_linestyle(), line._dash_pattern) for line in lines]
    assert len(set(map(str, dashes[:8]))) == 8
    assert len({to_hex(line.get_color()) for line in lines[:8]}) == 8
    looks = {
        (to_hex(line.get_color()), str(dash))
        for line, dash in zip(lines, dashes, strict=True)
    }
    assert len(looks) == 12


def test_lazy_and_other_types(s):
    lazy = s.as_lazy().sum()
    other = s.sum()
    other.set_signal_type("")
    found = curves_of(rsciio_xfm.plot_spectra({"a": lazy, "b": other}))
    np.testing.assert_array_equal(found["a"], found["b"])


# Names of lines.


def test_names_of_lines(regions):
    ax = rsciio_xfm.plot_spectra(regions, lines=["Fe", "Ca_Ka", "Cu_Ka", "Pb_La"])
    # Copper has no peak, and is named all the same; lead is beyond what is drawn.
    assert set(boxes_of(ax)) == {"Fe K\u03b1", "Ca K\u03b1", "Cu K\u03b1", "Pb L\u03b1"}
    with pytest.warns(
        UserWarning, match=r"^Pb_La, 10\.55 keV, lies outside of the 1 to 7 keV that are"
    ):
        ax = rsciio_xfm.plot_spectra(
            regions, lines=["Fe", "Ca", "Pb_La"], energy_range=(1, 7)
        )
    assert set(boxes_of(ax)) == {"Fe K\u03b1", "Ca K\u03b1"}
    match = r"^Fe_Ka, 6\.404 keV, and Pb_La, 10\.55 keV, lie outside of the 1 to 5 keV"
    with pytest.warns(UserWarning, match=match):
        rsciio_xfm.plot_spectra(regions, lines=["Fe", "Pb_La"], energy_range=(1, 5))
    boxes = boxes_of(rsciio_xfm.plot_spectra(regions, lines={"sum peak": 10.0}))
    assert list(boxes) == ["sum peak"]


def test_places_of_names(regions):
    """A name is over its peak, above the highest spectrum."""
    ax = rsciio_xfm.plot_spectra(regions, lines="Fe")
    (box,) = boxes_of(ax).values()
    assert not ax.collections[0].get_segments()
    (x, y) = ax.transData.transform((6.404, max(y.max() for y in curves_of(ax).values())))
    assert abs((box.x0 + box.x1) / 2 - x) < 1.5
    assert y < box.y0 < y + 10


@pytest.mark.parametrize("norm", ["log", "linear"])
@pytest.mark.parametrize("spacing", [0.02, 0.12, 0.35])
def test_thirty_names(regions, norm, spacing):
    """Whatever is near, no name covers another, or a spectrum, or is outside."""
    lines = {f"Line{k} Ka": 0.5 + spacing * k + 0.05 * (k % 3) for k in range(30)}
    ax = rsciio_xfm.plot_spectra(regions, norm=norm, lines=lines)
    boxes = boxes_of(ax)
    assert len(boxes) == 30
    for one, other in itertools.combinations(boxes.values(), 2):
        assert not one.overlaps(other)
    # Those of lines stay in their order.
    assert sorted(boxes, key=lambda name: boxes[name].x0) == sorted(lines, key=lines.get)
    segments = ax.collections[0].get_segments()
    assert segments
    for line in ax.get_lines():
        x, y = ax.transData.transform(line.get_xydata()).T
        for box in boxes.values():
            below = y[(x >= box.x0) & (x <= box.x1)]
            assert below.max(initial=0) <= box.y0
        for segment in segments:  # from the peak, above the spectra
            (x0, y0), *_, (_, y1) = ax.transData.transform(segment)
            assert y1 > y0 >= np.interp(x0, x, y) - 1.5
    frame = ax.bbox
    for box in boxes.values():
        assert frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1
        assert frame.y0 <= box.y0 and box.y1 <= frame.y1 + 1


def test_no_room_for_names(regions):
    lines = {f"Line {k}": 0.1 * k for k in range(100)}
    with pytest.warns(UserWarning, match="no room for the names of Line"):
        ax = rsciio_xfm.plot_spectra(regions, lines=lines)
    assert 30 < len(ax.texts) < 60
    kept = {text.get_text() for text in ax.texts}
    assert "Line 64" in kept  # the highest peaks are named


def test_no_names():
    _, ax = plt.subplots()
    ax.set_xlim(0, 5)
    assert name_peaks(ax, []) == [] and name_peaks(ax, [("Fe_Ka", 6.4)]) == []
    assert not ax.texts


def test_lines_of_the_metadata_come_first(s):
    s.metadata.set_item("Sample.elements", ["Ca", "Li"])  # which has no line
    ax = rsciio_xfm.plot_spectra(s.sum(), lines="auto")
    assert set(boxes_of(ax)) == {"Ca K\u03b1"}
    s.metadata.set_item("Sample.xray_lines", ["Fe_Kb"])
    ax = rsciio_xfm.plot_spectra(s.sum(), lines="auto")
    assert set(boxes_of(ax)) == {"Fe K\u03b2"}


def test_lines_that_are_found(regions, monkeypatch):
    asked = []

    def found(spectrum, excitation):
        asked.append((spectrum.data, excitation))
        return [("Fe_Ka", 6.4)]

    monkeypatch.setattr(spectrum_plots, "labels_of", found)
    ax = rsciio_xfm.plot_spectra(regions, lines="auto", excitation="Mo 50 kV")
    assert set(boxes_of(ax)) == {"Fe K\u03b1"}
    ((counts, excitation),) = asked
    np.testing.assert_array_equal(counts, sum(one.data for one in regions.values()))
    assert excitation == "Mo 50 kV"

    monkeypatch.setattr(spectrum_plots, "labels_of", lambda *_: [])
    with pytest.warns(UserWarning, match="no line is named: no element is found"):
        rsciio_xfm.plot_spectra(regions, lines="auto")

    def missing(*_):
        raise ImportError("xraylib is needed")

    monkeypatch.setattr(spectrum_plots, "labels_of", missing)
    with pytest.warns(UserWarning, match="no line is named: xraylib is needed"):
        rsciio_xfm.plot_spectra(regions, lines="auto")


# What is refused.


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"norm": "sqrt"}, "norm is 'sqrt', expected one of 'log', 'linear'"),
        (
            {"per": "second"},
            "per is 'second', expected one of None, 'pixel', 'live_time'",
        ),
        ({"energy_range": (5, 2)}, "energy_range is 5 to 2, expected some of 0 to 11.98"),
        ({"energy_range": (20, 30)}, "energy_range is 20 to 30"),
        ({"energy_range": 7}, "energy_range is 7, expected two energies"),
        ({"labels": ["a"]}, "There are 1 labels, expected 2"),
        ({"lines": ["Fe_KA"]}, "'Fe_KA' is no X-ray line, expected Fe_Ka?"),
        ({"lines": ["iron"]}, "'iron' is no element, expected Fe?"),
        ({"lines": ["Li"]}, "Li has no line in the spectra"),
    ],
)
def test_wrong_options(regions, options, match):
    with pytest.raises(ValueError, match=match.replace("?", r"\?")):
        rsciio_xfm.plot_spectra(regions, **options)


def test_wrong_spectra(s, regions):
    with pytest.raises(ValueError, match="at most 32: sum the map"):
        rsciio_xfm.plot_spectra(make_map((5, 7)))
    with pytest.raises(ValueError, match="There is no spectrum"):
        rsciio_xfm.plot_spectra({})
    with pytest.raises(TypeError, match="expected a HyperSpy signal"):
        rsciio_xfm.plot_spectra(s.data)
    bare = s.sum()
    bare.axes_manager[-1].units = ""
    with pytest.raises(
        ValueError, match="are in channels, those of the first spectrum in"
    ):
        rsciio_xfm.plot_spectra({**regions, "bare": bare})
    with pytest.raises(
        ValueError, match="the units of the energy axis are None, expected eV"
    ):
        rsciio_xfm.plot_spectra(bare, lines=["Fe_Ka"])
    with pytest.warns(UserWarning, match="the energy axis is not calibrated"):
        rsciio_xfm.plot_spectra(bare, lines="auto")
    other = s.sum()
    other.set_signal_type("")
    with pytest.raises(ValueError, match="known of signals of EDS only"):
        rsciio_xfm.plot_spectra(other, lines=["Fe"])


def test_what_is_not_known(s):
    with pytest.raises(
        ValueError, match="How many pixels were added up in 'rock' is not"
    ):
        rsciio_xfm.plot_spectra(s.sum(), per="pixel")
    timeless = make_map(dead=None)
    del timeless.metadata.Acquisition_instrument.SEM.Detector.EDS.live_time
    with pytest.raises(ValueError, match="The live time of 'rock' is not known"):
        rsciio_xfm.plot_spectra(timeless.sum(), per="live_time")
    total = s.sum()
    total.metadata.Acquisition_instrument.SEM.Detector.EDS.live_time = 0.0
    with pytest.raises(ValueError, match="The live time of 'rock' is 0 s"):
        rsciio_xfm.plot_spectra(total, per="live_time")


# How many pixels are in a spectrum.

N_PIXELS = "Acquisition_instrument.SEM.Detector.EDS.n_pixels"


def n_pixels_of(signal):
    return signal.metadata.get_item(N_PIXELS)


def test_numbers_of_pixels(s, regions):
    assert [n_pixels_of(one) for one in regions.values()] == [5, 7]
    labels = s.get_region_spectra(TOP + 1, show_progressbar=False)
    assert [n_pixels_of(one) for one in labels.values()] == [7, 5]
    (spot,) = s.get_region_spectra([[(0, 0), (1, 2)]], show_progressbar=False).values()
    assert n_pixels_of(spot) == 2
    summary = s.get_summary(show_progressbar=False)
    assert [n_pixels_of(summary[name]) for name in ("sum", "mean", "max")] == [
        12,
        1,
        None,
    ]
    assert n_pixels_of(s) is None and n_pixels_of(s.sum()) is None


def test_numbers_of_pixels_of_detectors():
    s = make_map((2, 3, 4))
    s.axes_manager[2].name = "detector"
    found = s.get_region_spectra({"top": TOP, "all": TOP | ~TOP}, show_progressbar=False)
    assert [n_pixels_of(one) for one in found.values()] == [5, 12]
    one = s.get_region_spectra(
        [[(0, 0, 0), (0, 0, 1), (1, 0, 1)]], show_progressbar=False
    )
    assert n_pixels_of(one["0"]) == 2
    assert n_pixels_of(s.get_summary(show_progressbar=False)["sum"]) == 12


def test_numbers_of_pixels_follow(regions, tmp_path):
    """They stay as long as the counts are those of the pixels."""
    top = regions["top"]
    top.save(tmp_path / "top.hspy")
    same = (top.deepcopy(), top.isig[10:90], top * 1, hs.load(tmp_path / "top.hspy"))
    assert [n_pixels_of(one) for one in same] == [5] * 4
    as_tem = top.deepcopy()
    as_tem.set_signal_type("EDS_TEM")
    ax = rsciio_xfm.plot_spectra(as_tem, per="pixel", norm="linear")
    np.testing.assert_allclose(curves_of(ax)["rock: top"], top.data / 5)
    changed = (top * 2, top + regions["rest"], top - 1)
    assert [n_pixels_of(one) for one in changed] == [None] * 3
    top.save(tmp_path / "top.msa")
    assert hs.load(tmp_path / "top.msa").data.sum() == top.data.sum()


def test_numbers_of_pixels_of_other_types():
    s = make_map(dead=None)
    s.set_signal_type("EDS_TEM")
    found = rsciio_xfm.signals.maps.get_region_spectra(
        s, {"top": TOP}, show_progressbar=False
    )
    ax = rsciio_xfm.plot_spectra(found, per="pixel", norm="linear")
    np.testing.assert_allclose(curves_of(ax)["top"], s.data[TOP].sum(axis=0) / 5)
