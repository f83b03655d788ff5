"""Maps of elements of signals: of every format and kind of array, and what is made of them."""

import csv
import importlib
import pickle
import re
import threading
import warnings

import dask
import dask.array as da
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

import rsciio_xfm
from rsciio_xfm._register import read_specifications
from rsciio_xfm.core.eds import DETECTOR_AXIS
from rsciio_xfm.drawing import contrast
from rsciio_xfm.exceptions import PassCancelledError
from rsciio_xfm.signals import fit, fit_sums
from rsciio_xfm.signals.areas import Areas
from rsciio_xfm.signals.element_map_files import Pictures
from rsciio_xfm.signals.element_map_panels import remark_of
from tests.builders import xrf
from tests.signals.test_element_model import (  # noqa: F401 (fixtures)
    ELEMENTS,
    ENERGY,
    RANGE,
    close_figures,
    fitted,
    make,
    phantom,
    signal,
)
from tests.test_contract import BUILDERS, short_name

GIVEN = {"excitation": ENERGY, "energy_range": RANGE}


@pytest.fixture(scope="module")
def maps(phantom, fitted):  # noqa: F811
    return make(phantom.counts).get_element_maps(fitted)


class TestMaps:
    def test_like_the_truth(self, maps, phantom):  # noqa: F811
        assert list(maps) == [f"{name}_K" for name in ELEMENTS] and len(maps) == 7
        for name in ("Ti_K", "Fe_K", "Cu_K"):
            image, sigma = maps[name].data, maps.sigma[name].data
            assert image.dtype == sigma.dtype == np.float32
            pull = (image - phantom.map(name)) / sigma
            assert np.std(pull) == pytest.approx(1, abs=0.15)
            assert abs(pull.mean()) < 0.2
        assert maps["Ni"].data.min() < 0
        assert abs(maps["Ni"].data.mean()) < 0.01 * phantom.counts.sum(-1).mean()

    def test_signals(self, maps):
        image = maps["Fe"]
        assert image.axes_manager.signal_shape == (20, 24)
        x, y = image.axes_manager.signal_axes
        assert (x.name, x.scale, x.units, y.name) == ("x", 0.05, "mm", "y")
        metadata = image.metadata
        assert metadata.General.title == "phantom: Fe_K"
        assert metadata.Sample.elements == ["Fe"]
        assert metadata.Sample.xray_lines == ["Fe_Ka"]
        assert metadata.Signal.quantity == "X-rays (Counts)"
        assert maps.sigma["Fe"].metadata.General.title == "phantom: Fe_K sigma"
        assert list(maps.sigma) == list(maps.names) and len(maps.sigma) == len(maps.names)
        assert not maps.background.metadata.has_item("Sample.elements")

    def test_other_images(self, maps, phantom):  # noqa: F811
        first, stop = maps.model.basis.first, maps.model.basis.stop
        counts = phantom.counts[..., first:stop].sum(-1)
        explained = maps.background.data + sum(maps[name].data for name in maps.names)
        # Escape peaks and what lies beyond the range are not counts of a peak.
        assert explained.sum() == pytest.approx(counts.sum(), rel=0.02)
        assert np.nanmean(maps.chi2.data) == pytest.approx(1, abs=0.1)
        assert maps.chi2.metadata.Signal.quantity == "chi2/n"

    def test_no_such_component(self, maps):
        for images in (maps, maps.sigma):
            with pytest.raises(
                KeyError, match="'Ag' is not fitted, expected one of Ti_K"
            ):
                images["Ag"]
        assert "Ag" not in maps and "Fe_K" in maps

    def test_shown(self, maps):
        lines = repr(maps).splitlines()
        assert lines[0].startswith(
            "ElementMaps of phantom: 7 groups of lines, 20 x 24 pixels"
        )
        assert lines[1].split() == ["counts", "sigma", "limit"]
        assert [line.split()[0] for line in lines if "not detected" in line] == ["Ni_K"]

    def test_limits(self, maps):
        """The same as the model's: there is one definition."""
        own = dict(zip(maps.totals.names, maps.totals.limits, strict=True))
        expected = maps.model.model.fit.detection_limits
        assert {n: own[n] for n in expected} == pytest.approx(expected, rel=0.05)


class TestRegions:
    def test_like_a_fit_of_the_spectrum(self, maps, phantom, signal, fitted):  # noqa: F811
        from rsciio_xfm.analysis.fit.matrix import make_projection, region_areas

        mask = phantom.labels == phantom.labels[5, 5]
        found = maps.get_region({"grain": mask, "spot": [(3, 4), (4, 4)]})
        spectrum = signal.get_region_spectra({"grain": mask})["grain"].data
        counts, sigma = region_areas(make_projection(fitted.basis), spectrum)
        names = fitted.basis.names
        for name in maps.names:
            k = names.index(name)
            assert found["grain"][name][0] == pytest.approx(
                counts[k], abs=0.01 * sigma[k]
            )
            assert found["grain"][name][1] == pytest.approx(sigma[k], rel=0.02)
        assert found["grain"].n_pixels == mask.sum() and found["spot"].n_pixels == 2
        assert "limit" in repr(found["spot"])

    def test_whole(self, maps):
        (whole,) = maps.get_region(np.ones((24, 20), bool)).values()
        assert whole["Fe"] == pytest.approx(maps.totals["Fe"])

    def test_kinds(self, maps, phantom):  # noqa: F811
        labels = phantom.labels + 1
        found = maps.get_region(labels)
        assert set(found) == {str(n) for n in np.unique(labels)}
        total = sum(areas["Fe_K"][0] for areas in found.values())
        assert total == pytest.approx(maps.totals["Fe_K"][0], rel=1e-6)
        roi = hs.roi.RectangularROI(left=0, right=0.5, top=0, bottom=0.5)
        assert maps.get_region({"roi": roi})["roi"].n_pixels == 100
        with pytest.raises(IndexError, match="within"):
            maps.get_region([[(50, 50)]])

    def test_asked_for(self, signal, fitted, phantom):  # noqa: F811
        mask = phantom.labels == 0
        made = signal.get_element_maps(fitted, regions={"silicate": mask})
        assert made.regions["silicate"]["Fe"] == made.get_region({"s": mask})["s"]["Fe"]

    def test_nonnegative(self, signal, fitted, phantom, maps):  # noqa: F811
        mask = phantom.labels == 0
        made = signal.get_element_maps(fitted, nonnegative=True, regions={"a": mask})
        assert made["Ni"].data.min() == 0
        assert made["Ni"].data.sum() > maps["Ni"].data.sum()
        expected = maps.get_region({"a": mask})["a"]
        for name in maps:
            counts, sigma = expected[name]
            assert made.regions["a"][name][0] == pytest.approx(counts, abs=0.01 * sigma)
            assert made.totals[name] == pytest.approx(maps.totals[name], rel=1e-3, abs=1)
        with pytest.raises(ValueError, match="sums of them are too high"):
            made.get_region({"a": mask})
        assert "No pixel is negative" in repr(made)

    def test_in_a_few_pixels(self, phantom):  # noqa: F811
        """What is in one grain only is said, and drawn, though the sum does not tell."""
        p = phantom
        rng = np.random.default_rng(0)
        counts = np.tile(p.counts, (6, 6, 1)).astype(np.uint16)
        column = rng.multinomial(600, np.ones(12) / 12)
        channels = np.arange(int(7.42 / 0.01003), int(7.42 / 0.01003) + 12)
        for y in range(2):
            counts[y, :2, channels] += (column // 4)[:, np.newaxis].astype(np.uint16)
        s = make(counts)
        model = s.create_element_model(ELEMENTS, ENERGY, RANGE).fit(make(p.counts))
        found = s.get_element_maps(model)
        assert not found.totals.is_detected("Ni_K")
        assert "in a part of the map" in found.totals.note("Ni_K")
        (ax,) = found.plot(["Ni"])
        assert ax.get_title(loc="right") == "in a part of the map"


class TestWays:
    def test_of_elements(self, phantom, maps):  # noqa: F811
        made = make(phantom.counts).get_element_maps(ELEMENTS, **GIVEN)
        assert made["Fe"].data == pytest.approx(maps["Fe"].data)

    def test_of_a_model_that_is_not_fitted(self, signal, maps):  # noqa: F811
        model = signal.create_element_model(ELEMENTS, ENERGY, RANGE)
        made = signal.get_element_maps(model)
        assert model.is_fitted and made.model is model
        assert made["Fe"].data == pytest.approx(maps["Fe"].data)

    def test_passes(self, signal, fitted, monkeypatch):  # noqa: F811
        """Two passes; one with a model that is fitted."""
        passes = []

        def counting(name):
            function = getattr(fit, name)
            return lambda *a, **k: passes.append(name) or function(*a, **k)

        for name in ("sum_up", "project"):
            monkeypatch.setattr(fit, name, counting(name))
        s = signal.as_lazy()
        s.get_element_maps(fitted, regions={"a": [(1, 1)]})
        assert passes == ["project"]
        s.get_element_maps(ELEMENTS, **GIVEN)
        assert passes[1:] == ["sum_up", "project"]

    @pytest.mark.parametrize("kind", ["lazy", "one chunk", "cut", "processes"])
    def test_lazy(self, signal, fitted, maps, kind):  # noqa: F811
        chunks = {"one chunk": (-1, -1, -1), "cut": (5, 7, 300)}.get(kind, (8, 20, -1))
        s = make(da.from_array(signal.data, chunks=chunks)).as_lazy()
        scheduler = "processes" if kind == "processes" else "threads"
        with dask.config.set(scheduler=scheduler, num_workers=2):
            made = s.get_element_maps(fitted, show_progressbar=False)
        np.testing.assert_allclose(made["Fe"].data, maps["Fe"].data, atol=1e-3)
        assert not made["Fe"]._lazy

    @pytest.mark.parametrize("signal_type", ["EDS_SEM", "EDS_TEM", ""])
    def test_of_any_type(self, phantom, fitted, maps, signal_type):  # noqa: F811
        s = make(phantom.counts, signal_type)
        made = rsciio_xfm.get_element_maps(s, fitted)
        np.testing.assert_array_equal(made["Fe"].data, maps["Fe"].data)

    def test_of_floats(self, phantom, fitted, maps):  # noqa: F811
        made = make(phantom.counts.astype(np.float64)).get_element_maps(fitted)
        np.testing.assert_allclose(made["Fe"].data, maps["Fe"].data, atol=1e-2)

    def test_line(self, signal, fitted, maps, tmp_path):  # noqa: F811
        made = signal.inav[:, 3].get_element_maps(fitted)
        np.testing.assert_allclose(made["Fe"].data, maps["Fe"].data[3], atol=1e-3)
        assert len(made.plot()) == 7
        assert hs.load(made.save(tmp_path)[0]).data.shape == (1, 20)
        with pytest.raises(ValueError, match="expected a map of x and y"):
            made.rgb("Fe")

    def test_one_pixel(self, signal, fitted, maps):  # noqa: F811
        made = signal.inav[2:3, 3:4].get_element_maps(fitted)
        assert made["Fe"].data.item() == pytest.approx(maps["Fe"].data[3, 2], abs=1e-3)
        made.plot()

    def test_empty_pixels(self, phantom, fitted):  # noqa: F811
        data = phantom.counts.copy()
        data[:3] = 0
        made = make(data).get_element_maps(fitted)
        assert not made["Fe"].data[:3].any() and np.isnan(made.chi2.data[:3]).all()
        made.plot()

    def test_detectors(self, phantom, fitted):  # noqa: F811
        """Each detector has a calibration of its own; maps are those of all."""
        rng = np.random.default_rng(1)
        half = rng.binomial(phantom.counts, 0.6)
        stack = np.stack([half, phantom.counts - half]).astype(np.uint16)
        s = make(stack)
        for axis, name in zip(s.axes_manager._axes, ("detector", "y", "x"), strict=False):
            axis.name = name
        made = s.get_element_maps(ELEMENTS, **GIVEN, regions={"spot": [(1, 2)]})
        assert len(made.models) == 2 and made["Fe"].data.shape == (24, 20)
        assert made.regions["spot"]["Fe"][0] == pytest.approx(
            made["Fe"].data[2, 1], abs=0.1
        )
        counts, sigma = made.totals["Fe"]
        assert counts == pytest.approx(phantom.map("Fe_K").sum(), abs=4 * sigma)
        again = s.get_element_maps(made.models)
        np.testing.assert_allclose(again["Fe"].data, made["Fe"].data, atol=1e-3)
        shared = s.get_element_maps(fitted)
        assert shared["Fe"].data == pytest.approx(made["Fe"].data, abs=15)
        with pytest.raises(ValueError, match="There are 1 models, expected 2"):
            s.get_element_maps([fitted])
        positive = s.get_element_maps(made.models, nonnegative=True)
        assert positive.totals["Fe"] == pytest.approx(made.totals["Fe"], rel=1e-3)

    def test_classes(self, signal, fitted, phantom, maps):  # noqa: F811
        made = signal.get_element_maps(fitted, classes=phantom.labels + 1)
        for name in ("Fe_K", "Ti_K"):
            error = made[name].data - phantom.map(name)
            own = maps[name].data - phantom.map(name)
            assert np.std(error) < 1.03 * np.std(own)
        masks = [phantom.labels == k for k in np.unique(phantom.labels)]
        again = signal.get_element_maps(fitted, classes=masks)
        np.testing.assert_allclose(again["Fe"].data, made["Fe"].data, atol=1e-3)
        classes = signal.classify("pca", n_classes=3, show_progressbar=False)
        assert signal.get_element_maps(fitted, classes=classes)["Fe"].data.shape == (
            24,
            20,
        )

    def test_cancelled(self, signal, fitted):  # noqa: F811
        stop = threading.Event()
        stop.set()
        with pytest.raises(PassCancelledError):
            signal.get_element_maps(fitted, cancel=stop)
        done = []
        signal.get_element_maps(fitted, progress=lambda *n: done.append(n))
        assert done[-1][0] == done[-1][1]

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"energy_range": (4, 90)}, "expected some of 0 to 20.47"),
            ({"model": [], **GIVEN}, "There is no element"),
            ({"model": ["Fe"], "classes": "all", **GIVEN}, "regions is 'all'"),
            ({"model": ["Fe"], "regions": [[]], **GIVEN}, "no pixel|array of float64"),
        ],
    )
    def test_wrong(self, signal, options, match):  # noqa: F811
        with pytest.raises(ValueError, match=match):
            signal.get_element_maps(**options)

    def test_model_and_excitation(self, signal, fitted):  # noqa: F811
        with pytest.raises(ValueError, match="the model has its own"):
            signal.get_element_maps(fitted, excitation="Mo 50 kV")

    def test_no_map(self, signal, fitted):  # noqa: F811
        with pytest.raises(ValueError, match="expected spectra with axes to navigate"):
            signal.sum().get_element_maps(fitted)


SINGLE = ("msa", "text_spectra")  # formats of one spectrum a file


@pytest.mark.parametrize(
    "specification",
    [s for s in read_specifications() if s["lazy"] and short_name(s) not in SINGLE],
    ids=lambda s: s["name"],
)
@pytest.mark.filterwarnings("ignore:A channel is:UserWarning")  # maps are small
@pytest.mark.filterwarnings("ignore:.*experimental. Hold:UserWarning")
def test_formats(specification, tmp_path):
    """Maps of each format, lazy and not: those of its counts as an array."""
    name = short_name(specification)
    builder = importlib.import_module(f"tests.builders.{name}")
    extension = specification["file_extensions"][specification["default_extension"]]
    write = getattr(builder, BUILDERS.get(name, "write_map"))
    path = write(tmp_path / f"map.{extension}")
    reader = importlib.import_module(specification["api"])
    s = hs.load(path, lazy=True, file_format=reader)
    energy = s.axes_manager[-1]
    # Few channels: wide ones, so that lines lie in them.
    energy.scale, energy.offset, energy.units = 12.0 / energy.size, 0.0, "keV"
    try:
        model = rsciio_xfm.create_element_model(s, ["Fe"], 20.0).fit()
    except ValueError as error:  # fewer channels than that takes
        assert "channels" in str(error)
        return
    lazy = rsciio_xfm.get_element_maps(s, model, show_progressbar=False)
    s.compute(show_progressbar=False)
    eager = rsciio_xfm.get_element_maps(s, model)
    np.testing.assert_allclose(lazy["Fe"].data, eager["Fe"].data, rtol=1e-4, atol=1e-3)
    assert eager["Fe"].data.shape == s.data.shape[:-1]


@pytest.mark.parametrize(
    ("counts", "said", "note", "remark"),
    [
        (90.0, "", "", ("", True)),
        (90.0, "possible, or Sb_L", "possible, or Sb_L", ("possible", True)),
        (9.0, "", "not detected", ("not detected", False)),
        (
            9.0,
            "in a part of the map",
            "not detected in the sum; in a part of the map",
            ("in a part of the map", True),
        ),
        (
            9.0,
            "possible, in a part of the map",
            "not detected in the sum; possible, in a part of the map",
            ("not detected", False),
        ),
    ],
)
def test_what_is_said_of_an_element(counts, said, note, remark):
    """A map of what is in a few grains is drawn, though its sum does not tell."""
    each = (np.array([n]) for n in (counts, 5.0, 30.0))
    areas = Areas(("Y_K",), *each, 12, {"Y_K": said} if said else {})
    assert areas.note("Y_K") == note
    assert remark_of(areas.note("Y_K")) == remark


class TestPictures:
    def test_plot(self, maps):
        axes = maps.plot()
        assert [ax.get_title(loc="left") for ax in axes] == [
            name.replace("_", " ") for name in maps
        ]
        remarks = [ax.get_title(loc="right") for ax in axes]
        assert remarks == ["not detected" if name == "Ni_K" else "" for name in maps]
        assert {ax.images[0].get_cmap().name for ax in axes} == {"inferno", "gray"}
        (bar,) = axes[0].artists
        assert bar.txt_label.get_text() == "200 µm"
        assert all(ax.images[0].get_clim()[0] == 0 for ax in axes)
        units = {ax.child_axes[0].get_title(loc="left") for ax in axes}
        assert units == {"counts"}

    def test_chosen(self, maps):
        assert len(maps.plot(["Fe"])) == 1
        with pytest.raises(KeyError, match="'Ag' is not fitted"):
            maps.plot(["Ag"])
        with pytest.raises(ValueError, match="no map to draw"):
            maps.plot([])

    def test_contrast(self):
        """A few bright pixels do not make the rest dark, nor noise bright."""
        image = np.ones((50, 50))
        image[0, 0] = 1e6
        assert contrast.brightest(image, 0.1) == 1.0
        assert contrast.brightest(image * 0, 2.0) == 8.0
        assert contrast.brightest(image * np.nan, 0.0) == 1.0
        image[0, :6] = [400, 410, 420, 430, 440, 1e6]  # grains that are few
        assert contrast.brightest(image, 10.0) == 425.0

    def test_options(self, maps):
        axes = maps.plot(
            ["Fe", "Ti"], cmap="viridis", per_row=1, labels=["iron", "titanium"]
        )
        assert [ax.get_title(loc="left") for ax in axes] == ["iron", "titanium"]
        assert {ax.images[0].get_cmap().name for ax in axes} == {"viridis"}
        same = rsciio_xfm.plot_maps(maps)
        assert [ax.get_title(loc="left") for ax in same] == [
            ax.get_title(loc="left") for ax in maps.plot()
        ]
        assert {ax.images[0].get_cmap().name for ax in same} == {"inferno", "gray"}

    def test_plot_rgb(self, maps):
        ax = maps.plot_rgb("Fe", None, "Ti_K")
        expected = maps.rgb("Fe", None, "Ti_K").data
        for k, colour in enumerate("RGB"):
            np.testing.assert_array_equal(
                ax.images[0].get_array()[..., k], expected[colour]
            )
        texts = [text.get_text() for text in ax.get_legend().get_texts()]
        assert [text.partition(",")[0] for text in texts] == ["Fe K", "Ti K"]
        with pytest.raises(KeyError, match="'Ag' is not fitted"):
            maps.plot_rgb("Ag")
        with pytest.raises(ValueError, match="no map to draw"):
            maps.plot_rgb()

    def test_wrong_format(self):
        with pytest.raises(
            ValueError, match="format is 'jpg', expected png or pdf or svg"
        ):
            Pictures("jpg")

    def test_rgb(self, maps, tmp_path):
        picture = maps.rgb("Fe_K", "Ti", "Cu_K")
        assert picture.data.dtype.names == ("R", "G", "B") and picture.data.shape == (
            24,
            20,
        )
        assert (
            picture.metadata.General.title == "phantom: red Fe_K, green Ti_K, blue Cu_K"
        )
        red = picture.data["R"].astype(float)
        assert np.corrcoef(red.ravel(), maps["Fe"].data.ravel())[0, 1] > 0.95
        picture.save(tmp_path / "rgb.png")
        assert not maps.rgb("Fe").data["B"].any()


class TestSaving:
    def test_files(self, signal, fitted, tmp_path):  # noqa: F811
        made = signal.get_element_maps(fitted, regions={'a "b", c': [(1, 2), (3, 4)]})
        folder = tmp_path / "maps"
        paths = made.save(folder)
        assert sorted(paths) == sorted(folder.iterdir())
        names = {path.name for path in paths}
        assert {"Fe_K.tif", "maps.png", "fit.png", "elements.csv", "regions.csv"} < names
        image = hs.load(folder / "Fe_K.tif")
        np.testing.assert_array_equal(image.data, made["Fe"].data)
        assert image.data.dtype == np.float32
        assert image.axes_manager[0].scale == pytest.approx(0.05)
        with (folder / "elements.csv").open(newline="") as file:
            rows = {row["component"]: row for row in csv.DictReader(file)}
        counts, sigma = made.totals["Fe"]
        assert float(rows["Fe_K"]["counts"]) == pytest.approx(counts)
        assert float(rows["Fe_K"]["sigma"]) == pytest.approx(sigma, rel=1e-5)
        assert rows["Ni_K"]["remark"] == "not detected"
        assert {name: row["kind"] for name, row in rows.items()} == made.kinds
        with (folder / "regions.csv").open(newline="") as file:
            row = next(csv.DictReader(file))
        assert row["region"] == 'a "b", c' and row["pixels"] == "2"
        again = rsciio_xfm.load_element_model(folder / "model.yaml")
        assert again.elements == made.model.elements

    def test_overwrite(self, maps, signal, fitted, tmp_path):  # noqa: F811
        maps.save(tmp_path)
        (tmp_path / "notes.tif").write_bytes(b"mine")
        with pytest.raises(FileExistsError, match="use overwrite=True"):
            maps.save(tmp_path)
        with pytest.warns(UserWarning, match=r"most is left at 4\.51 keV \(Ti_K"):
            fewer = signal.get_element_maps(["Fe", "Cr", "Cu"], **GIVEN)
        fewer.save(tmp_path, overwrite=True)
        assert not (tmp_path / "Ti_K.tif").exists() and (tmp_path / "Fe_K.tif").exists()
        assert (tmp_path / "notes.tif").read_bytes() == b"mine"

    def test_sigma(self, maps, tmp_path):
        """They are written if asked for, and go with the maps they are of."""
        maps.save(tmp_path, sigma=True)
        image = hs.load(tmp_path / "Fe_K_sigma.tif")
        np.testing.assert_array_equal(image.data, maps.sigma["Fe"].data)
        maps.save(tmp_path, overwrite=True)
        assert not [*tmp_path.glob("*_sigma.tif")]

    @pytest.mark.parametrize("name", ["Fe_K.tif", "maps.png", "model.yaml"])
    def test_files_of_others(self, maps, tmp_path, name):
        """They are not replaced unasked, though there is no table of ours."""
        (tmp_path / name).write_bytes(b"mine")
        with pytest.raises(FileExistsError, match=rf"{name} exists; use overwrite=True"):
            maps.save(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_similar_names(self, maps, tmp_path):
        """What we have not written is never removed."""
        others = ["fit_mine.png", "model_of_a_bridge.yaml", "fit_1.png", "regions.csv"]
        for name in others:
            (tmp_path / name).write_bytes(b"mine")
        maps.save(tmp_path, overwrite=True)
        assert all((tmp_path / name).read_bytes() == b"mine" for name in others)
        maps.save(tmp_path, overwrite=True)
        assert [(tmp_path / name).exists() for name in others] == [1, 1, 0, 0]

    def test_a_folder_in_the_way(self, maps, tmp_path):
        (tmp_path / "Fe_K.tif").mkdir()
        with pytest.raises(ValueError, match=r"Fe_K\.tif: a folder has this name"):
            maps.save(tmp_path, overwrite=True)
        assert len([*tmp_path.iterdir()]) == 1

    def test_a_new_folder_is_not_left_empty(self, maps, tmp_path, monkeypatch):
        monkeypatch.setattr(type(maps), "plot", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            maps.save(tmp_path / "new")
        assert not (tmp_path / "new").exists()

    def test_more_axes(self, phantom, fitted, tmp_path):  # noqa: F811
        stack = make(np.stack([phantom.counts[:2]] * 3)).get_element_maps(fitted)
        names = {path.name for path in stack.save(tmp_path)}
        assert "maps.png" not in names
        assert hs.load(tmp_path / "Fe_K.tif").data.shape == (3, 2, 20)

    def test_whole_or_not_at_all(self, maps, tmp_path, monkeypatch):
        maps.save(tmp_path)
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}

        def fails(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(type(maps.model), "plot", fails)
        with pytest.raises(OSError, match="No space left"):
            maps.save(tmp_path, overwrite=True)
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_no_folder(self, maps, tmp_path):
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(NotADirectoryError, match="expected a folder or none"):
            maps.save(tmp_path / "file")

    def test_figures_are_closed(self, maps, tmp_path):
        before = plt.get_fignums()
        maps.save(tmp_path)
        assert plt.get_fignums() == before


def test_windows_name_the_fit(phantom):  # noqa: F811
    s = make(phantom.counts)
    s.metadata.set_item(
        "Acquisition_instrument.SEM.Detector.EDS.energy_resolution_MnKa", 138.0
    )
    s.metadata.set_item("Acquisition_instrument.SEM.beam_energy", ENERGY)
    with pytest.warns(
        UserWarning, match=r"let a fit tell them apart: s\.get_element_maps"
    ):
        s.get_window_images(["As_Ka", "Pb_La"])


class TestDoubtfulMaps:
    """Spectra that are not what they should be: right, or said so."""

    @pytest.mark.parametrize("dead", [slice(640, 641), slice(600, 640)])
    def test_dead_channels(self, phantom, maps, dead):  # noqa: F811
        counts = phantom.counts.copy()
        counts[..., dead] = 0
        with pytest.warns(UserWarning, match=f"no counts in channels {dead.start}"):
            made = make(counts).get_element_maps(ELEMENTS, **GIVEN)
        (own, sigma), (expected, _) = made.totals["Fe_K"], maps.totals["Fe_K"]
        assert abs(own - expected) < 3 * sigma < 0.1 * expected
        assert made["Fe"].data.sum() == pytest.approx(own, rel=1e-5)

    def test_a_threshold_that_cuts(self, phantom, maps):  # noqa: F811
        counts = phantom.counts.copy()
        counts[..., 860:] = 0
        with pytest.warns(UserWarning, match="no counts in channels 860 to"):
            made = make(counts).get_element_maps(ELEMENTS, **GIVEN)
        (own, sigma), (expected, _) = made.totals["Cu_K"], maps.totals["Cu_K"]
        assert abs(own - expected) < 3 * sigma

    @pytest.mark.parametrize("dead", [slice(640, 641), slice(600, 640)])
    @pytest.mark.parametrize("n_detectors", [0, 2])
    def test_dead_channels_of_another_map(self, phantom, fitted, maps, dead, n_detectors):  # noqa: F811
        """A model that is there already, of a map that had them all."""
        counts = phantom.counts.copy()
        counts[..., dead] = 0
        s = make(np.stack([counts] * n_detectors) if n_detectors else counts)
        s.axes_manager._axes[0].name = DETECTOR_AXIS if n_detectors else "y"
        with pytest.warns(UserWarning, match=f"in channels {dead.start}.* of the map"):
            made = s.get_element_maps(fitted)
        (own, sigma), (expected, _) = made.totals["Fe_K"], maps.totals["Fe_K"]
        assert abs(own / max(n_detectors, 1) - expected) < 3 * sigma < 0.1 * expected

    def test_dead_channels_below_many_pixels(self, phantom, fitted, monkeypatch):  # noqa: F811
        """Not all of the map is read: as much as it takes."""
        monkeypatch.setattr(fit_sums, "_FIRST_PIXELS", 20)
        monkeypatch.setattr(fit_sums, "_ENOUGH", 3e4)
        counts = phantom.counts.copy()
        counts[..., 640] = 0
        found = fit_sums.sum_sample(make(counts))
        assert 3e4 <= found.sum() < 0.5 * counts.sum()
        with pytest.warns(UserWarning, match="in channels 640 of the map"):
            make(counts).as_lazy().get_element_maps(fitted)

    def test_the_same_with_few_counts(self, phantom, fitted):  # noqa: F811
        """Noise is not taken for another instrument: there is no warning."""
        counts = np.random.default_rng(1).binomial(phantom.counts, 0.02)
        make(counts).get_element_maps(fitted)

    @pytest.mark.parametrize("wrong", [np.nan, np.inf])
    def test_no_numbers(self, phantom, fitted, wrong):  # noqa: F811
        counts = phantom.counts.astype(float)
        counts[3, 4, 700] = wrong
        with pytest.warns(UserWarning, match="Spectra of 1 of 480 pixels have NaN"):
            made = make(counts).get_element_maps(fitted)
        assert made.totals.note("Fe_K") == "NaN in the spectra"
        assert np.isfinite(made["Fe"].data).sum() == 479
        made.plot()
        assert made.rgb("Fe").data.shape == (24, 20)
        (rest,) = made.get_region(phantom.labels != phantom.labels[3, 4]).values()
        assert np.isfinite(rest["Fe_K"]).all()

    def test_a_subtracted_background(self, phantom):  # noqa: F811
        """Without a background at all there are maps nevertheless."""
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            made = make(phantom.counts - 0.5).get_element_maps(ELEMENTS, **GIVEN)
        assert np.isfinite(made["Fe"].data).all()
        assert any("is negative in" in str(one.message) for one in said)

    def test_a_detector_that_is_off(self, phantom):  # noqa: F811
        s = make(np.stack([phantom.counts, 0 * phantom.counts]))
        s.axes_manager._axes[0].name = DETECTOR_AXIS
        with pytest.raises(
            ValueError, match="Detector 1 of 2: The spectrum has no counts"
        ):
            s.get_element_maps(ELEMENTS, **GIVEN)


class TestArguments:
    def test_models(self, signal, fitted):  # noqa: F811
        with pytest.raises(
            ValueError, match="The model is 5, expected a model, the path"
        ):
            signal.get_element_maps(5)
        with pytest.raises(ValueError, match="Models and elements are given"):
            signal.get_element_maps([fitted, "Fe"])

    def test_options(self, signal, monkeypatch):  # noqa: F811
        """One that there is not is refused before the file is read."""
        monkeypatch.setattr(fit, "sum_up", lambda *_: pytest.fail("was read"))
        with pytest.raises(TypeError, match=r"no option 'region', expected .* cancel"):
            signal.get_element_maps(ELEMENTS, **GIVEN, region=None)

    def test_pictures(self, maps):
        assert len(maps.plot("Fe")) == 1
        for percentile in (101, -1, np.nan, "all"):
            with pytest.raises(ValueError, match=r"percentile is .*, expected 0 to 100"):
                maps.plot(percentile=percentile)
            with pytest.raises(ValueError, match=r"percentile is .*, expected 0 to 100"):
                maps.rgb("Fe", percentile=percentile)


def test_a_model_of_another_map_says_how_well_it_fits_this_one(maps, phantom, fitted):  # noqa: F811
    assert f"chi2/n of the sum {fitted.chi2:.2f}" in repr(maps)
    part = make(phantom.counts[:8]).get_element_maps(fitted)
    mean = np.mean(part.chi2.data, dtype=float)
    said = f"chi2/n of a pixel {mean:.2f} on average, with the model of phantom"
    assert said in repr(part) and "of the sum" not in repr(part)


@pytest.mark.parametrize("energy", [20.0, 200.0])
def test_a_model_of_another_voltage_is_told(phantom, energy):  # noqa: F811
    """A model of 20 kV, with the map of a microscope."""
    s = make(phantom.counts[:8])
    s.metadata.set_item("Acquisition_instrument.SEM.beam_energy", energy)
    s.metadata.set_item("Acquisition_instrument.SEM.magnification", 600)
    model = s.create_element_model(["Fe", "Cu"], "electrons 20 kV", RANGE)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        s.get_element_maps(model.fit())
    told = [text for one in said if "by its metadata" in (text := str(one.message))]
    assert len(told) == (energy == 200.0)
    assert all("electrons 200 kV" in t and "of electrons 20 kV" in t for t in told)


def test_pickled(maps):
    again = pickle.loads(pickle.dumps(maps))
    np.testing.assert_array_equal(again["Fe"].data, maps["Fe"].data)
    x, y = again["Fe"].axes_manager.signal_axes
    assert (x.name, x.scale, x.units, x.size, y.size) == ("x", 0.05, "mm", 20, 24)
    assert repr(again) == repr(maps)
    mask = np.arange(20) > 5
    assert again.get_region(mask & np.ones((24, 1), bool))


def test_a_model_of_found_elements_knows_how_many_spectra_it_is_of(phantom):  # noqa: F811
    found = make(phantom.counts).get_element_maps(excitation=ENERGY)
    n_pixels = phantom.counts[..., 0].size
    assert found.model.model.fit.n_pixels == found.model.areas.n_pixels == n_pixels


def warnings_of_maps(fitted, **phantom_options):  # noqa: F811
    """What is said of a map that was made with other options."""
    options = {"shape": (24, 20), "counts": 600, "excitation": ENERGY, "seed": 5}
    counts = xrf.make(**options | phantom_options).counts
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        make(counts).get_element_maps(fitted)
    return [str(one.message) for one in said]


@pytest.mark.parametrize(
    ("detector", "words"),
    [
        ({"zero": 0.004}, r"\d+ % of their width .* keV is -1[56]\.\d eV from"),
        ({"gain": 0.010005}, r"\d+ % of their width .* keV is \+1\d\.\d eV from"),
        ({"fwhm": 0.158}, r"its peaks are 1[3-7] % wider than the model's"),
    ],
)
def test_a_model_of_another_instrument_is_told_once(fitted, detector, words):  # noqa: F811
    (said,) = warnings_of_maps(fitted, detector=xrf.Detector(**detector))
    assert re.search(f"The model does not suit the map: .*{words}", said)
    assert "model.fit(s)" in said and "s.calibrate_energy" in said


def test_of_several_detectors_the_one_that_is_off_is_told(phantom, fitted):  # noqa: F811
    off = xrf.make((24, 20), 600, xrf.Detector(zero=0.008), ENERGY, seed=5)
    s = make(np.stack([phantom.counts, off.counts]))
    s.axes_manager._axes[0].name = DETECTOR_AXIS
    with pytest.warns(
        UserWarning, match="does not suit detector 1 of the map: its peaks"
    ):
        s.get_element_maps(fitted)


def only(*names):
    return {name: own for name, own in xrf.PHASES.items() if name in names}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"phases": only("silicate")},
        {"phases": only("oxide")},
        {"phases": only("steel", "sulphide")},
        {"detector": xrf.Detector(zero=-0.010)},
        {"counts": 20},
        {"counts": 2, "detector": xrf.Detector(zero=0.004)},
        {"counts": 5000, "pile_up": 0.008},
        {"counts": 5000, "sample": 3.5},
    ],
)
def test_other_maps_of_the_same_instrument_are_not_told(fitted, options):  # noqa: F811
    assert warnings_of_maps(fitted, **options) == []


def test_other_elements_are_told_as_such(fitted):  # noqa: F811
    cobalt = {name: ({**a, "Co": 0.5}, b, c) for name, (a, b, c) in xrf.PHASES.items()}
    (said,) = warnings_of_maps(fitted, phases=cobalt)
    assert "does not suit the map: chi2/n is" in said and "Co_K" in said
    assert "Has it other elements than the model?" in said
