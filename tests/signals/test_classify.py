"""Classification of signals: what HyperSpy makes of it, live times, other types."""

import dask
import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import rsciio_xfm
from tests.builders import edax as edax_builder
from tests.builders import geopixe as builder
from tests.builders import phantom


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def phases():
    return phantom.make(40, 50, counts=600, n_grains=20)


def make(data, signal_type="EDS_XFM"):
    s = hs.signals.Signal1D(data)
    s.metadata.General.title = "phantom"
    energy = s.axes_manager[-1]
    energy.name, energy.scale, energy.units = "Energy", phantom.KEV, "keV"
    for axis, name in zip(s.axes_manager.navigation_axes, "xyz", strict=False):
        axis.name, axis.scale, axis.units = name, 0.5, "mm"
    s.set_signal_type(signal_type)
    return s


@pytest.fixture
def signal(phases):
    return make(phases[0])


@pytest.fixture(scope="module")
def path(phases, tmp_path_factory):
    """The phantom as a GeoPIXE map of two detectors, with dead times."""
    rng = np.random.default_rng(0)
    half = rng.binomial(phases[0], 0.5)
    counts = np.stack([half, phases[0] - half])
    records = [
        builder.record(
            x,
            y,
            d,
            [(int(c), int(counts[d, y, x, c])) for c in np.flatnonzero(counts[d, y, x])],
            10.0 + 5 * phases[1][y, x] + d,
        )
        for y in range(40)
        for x in range(50)
        for d in range(2)
    ]
    tree = builder.header_tree(50, 40, 2, phantom.N_CHANNELS)
    tree["File Header"]["Gain (eV)"] = 1000 * phantom.KEV
    return builder.write(tmp_path_factory.mktemp("classify") / "m.GeoPIXE", tree, records)


def load(path, **kwds):
    return hs.load(path, lazy=True, **kwds)


def eds(signal):
    return signal.metadata.Acquisition_instrument.SEM.Detector.EDS


class TestHyperSpy:
    def test_components(self, signal, phases, tmp_path):
        scores = signal.pca(8)
        assert scores.data.shape == (40, 50, 8)
        assert scores.axes_manager["x"].scale == 0.5
        signal.plot_explained_variance_ratio(n=20)
        signal.plot_decomposition_results()
        signal.plot_decomposition_loadings(3)
        signal.plot_decomposition_factors(3)
        model = signal.get_decomposition_model(7)
        # The model is the map without noise.
        smooth = phases[0].mean(axis=(0, 1))
        np.testing.assert_allclose(model.data.mean(axis=(0, 1)), smooth, atol=0.1)
        noise = np.abs(model.data - phases[0]).mean()
        assert noise < np.abs(smooth - phases[0]).mean()
        signal.save(tmp_path / "s.hspy")
        again = hs.load(tmp_path / "s.hspy")
        again.plot_decomposition_results()
        np.testing.assert_array_equal(
            again.learning_results.loadings, signal.learning_results.loadings
        )

    def test_classes(self, signal, phases, tmp_path):
        labels = signal.kmeans(6)
        assert labels.data.dtype == np.int16
        assert adjusted_rand_score(phases[1].ravel(), labels.data.ravel()) > 0.95
        np.testing.assert_array_equal(
            signal.get_cluster_labels(merged=True).data, labels.data
        )
        sums = signal.get_cluster_signals("sum")
        for k in range(6):
            np.testing.assert_array_equal(
                sums.data[k], phases[0][labels.data == k].sum(axis=0)
            )
        signal.plot_cluster_labels()
        signal.plot_cluster_signals()
        signal.plot_cluster_distances()
        signal.save(tmp_path / "s.hspy")
        again = hs.load(tmp_path / "s.hspy")
        np.testing.assert_array_equal(
            again.get_cluster_labels(merged=True).data, labels.data
        )

    def test_how_many(self, signal):
        assert signal.estimate_n_classes() == 6
        assert signal.learning_results.estimated_number_of_clusters == 6
        signal.plot_cluster_metric()

    def test_masked(self, signal):
        mask = np.zeros((40, 50), bool)
        mask[:5] = True
        for form in (mask, hs.signals.Signal2D(mask), hs.signals.BaseSignal(mask).T):
            labels = signal.kmeans(6, navigation_mask=form)
            assert (labels.data[:5] == -1).all() and labels.data[5:].min() == 0
            merged = signal.get_cluster_labels(merged=True).data
            np.testing.assert_array_equal(merged, labels.data)
            signal.plot_cluster_labels()
            signal.plot_decomposition_results()


class TestResult:
    def test_times_and_spectra(self, path, phases):
        s = load(path)
        found = s.classify("pca", show_progressbar=False)
        labels = found.labels.data
        assert adjusted_rand_score(phases[1].ravel(), labels.ravel()) > 0.95
        live = np.asarray(s.get_live_time().data)
        for k, total in enumerate(found.sums):
            inside = labels == k
            np.testing.assert_array_equal(total.data, phases[0][inside].sum(axis=0))
            assert eds(total).live_time == pytest.approx(live[inside].sum())
            assert eds(total).real_time == pytest.approx(0.2 * inside.sum())
            average = found.spectra.inav[k]
            np.testing.assert_allclose(average.data, total.data / inside.sum())
            assert eds(average).live_time == pytest.approx(live[inside].mean())
            assert found.fractions[k] == pytest.approx(inside.mean())
        assert found.spectra.metadata.Signal.signal_type == "EDS_XFM"
        assert found.spectra.axes_manager.navigation_axes[0].name == "class"
        assert found.embedding.data.shape == (40, 50, 2)
        assert found.parameters["pixels"] == 2000

    @pytest.mark.thorough
    def test_the_same_whatever_the_chunks(self, path, phases):
        expected = make(phases[0]).classify("pca").labels.data
        for s in (
            load(path),
            load(path, chunks=(7, 9, 100)),
            load(path, sum_detectors=False).sum("detector"),
            load(path).swap_axes("x", "y").swap_axes("x", "y"),
            make(phases[0].astype(float)),
            make(phases[0].astype(">u2")),
        ):
            found = s.classify("pca", show_progressbar=False)
            np.testing.assert_array_equal(found.labels.data, expected)

    @pytest.mark.parametrize("scheduler", ["synchronous", "processes"])
    def test_schedulers(self, path, scheduler):
        expected = load(path).kmeans(6, show_progressbar=False).data
        with dask.config.set(scheduler=scheduler):
            found = load(path).kmeans(6, show_progressbar=False).data
        np.testing.assert_array_equal(found, expected)

    @pytest.mark.thorough
    @pytest.mark.filterwarnings("ignore")
    def test_cluster(self, path):
        distributed = pytest.importorskip("distributed")
        expected = load(path).kmeans(6, show_progressbar=False).data
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
            ) as cluster,
            distributed.Client(cluster),
        ):
            found = load(path).kmeans(6, show_progressbar=False).data
        np.testing.assert_array_equal(found, expected)

    def test_saved(self, path, tmp_path):
        found = load(path).classify("pca", show_progressbar=False)
        written = found.save(tmp_path / "r")
        assert {p.name for p in written} == {p.name for p in (tmp_path / "r").iterdir()}
        assert {"class_5.msa", "labels.tif", "classes.csv", "classes.png"} < {
            p.name for p in written
        }
        again = hs.load(tmp_path / "r" / "class_0.msa", signal_type="EDS_XFM")
        np.testing.assert_array_equal(again.data, found.sums[0].data)
        assert eds(again).live_time == pytest.approx(eds(found.sums[0]).live_time)
        np.testing.assert_array_equal(
            hs.load(tmp_path / "r" / "labels.tif").data, found.labels.data
        )
        table = np.genfromtxt(tmp_path / "r" / "classes.csv", delimiter=",", names=True)
        assert table["pixels"].sum() == 2000
        with pytest.raises(FileExistsError, match="overwrite=True"):
            found.save(tmp_path / "r")
        found.labels.axes_manager[0].scale = found.labels.axes_manager[1].scale = 515.887
        found.save(tmp_path / "r", overwrite=True)
        assert found.labels.axes_manager[0].scale == 515.887

    @pytest.mark.parametrize("name", ["labels.tif", "classes.png", "class_1.msa"])
    def test_saving_that_fails_leaves_what_was_there(
        self, path, tmp_path, monkeypatch, name
    ):
        folder = tmp_path / "r"
        load(path).classify("pca", n_classes=5, show_progressbar=False).save(folder)
        (folder / "notes.txt").write_text("mine")
        before = {p.name: p.read_bytes() for p in folder.iterdir()}
        found = load(path).classify("pca", n_classes=3, show_progressbar=False)
        where = {
            "labels.tif": "hyperspy.signals.Signal2D.save",
            "classes.png": "matplotlib.figure.Figure.savefig",
            "class_1.msa": "rsciio_xfm.formats.msa.write._encode",
        }

        def interrupt(*arguments, **kwds):
            raise KeyboardInterrupt

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(where[name], interrupt)
            found.save(folder, overwrite=True)
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
        found.save(folder, overwrite=True)
        assert not (folder / "class_3.msa").exists()
        assert (folder / "notes.txt").read_text() == "mine"

    def test_plot(self, path):
        s = load(path)
        s.set_elements(["Fe", "Ca"])
        s.set_lines(["Fe_Ka", "Ca_Ka"])
        axes = s.classify("pca", show_progressbar=False).plot()
        (image,) = axes[0].get_images()
        np.testing.assert_allclose(image.get_extent(), [0, 0.7, 1.0, 0])
        assert len(axes[1].collections[0].get_offsets()) == 2000
        assert len(axes[2].get_lines()) == 6
        assert {t.get_text() for t in axes[2].texts} == {"Ca K\u03b1", "Fe K\u03b1"}

    def test_lines(self, path, tmp_path):
        found = (
            load(path).inav[:, 20].classify("pca", n_classes=3, show_progressbar=False)
        )
        assert found.labels.data.shape == (50,)
        found.plot()
        found.save(tmp_path / "line")
        assert hs.load(tmp_path / "line" / "labels.tif").data.shape[-1] == 50

    @pytest.mark.thorough
    def test_umap(self, phases):
        s = make(phases[0][:25, :30])
        first = s.classify(n_classes=4, show_progressbar=False)
        second = s.as_lazy().classify(n_classes=4, show_progressbar=False)
        np.testing.assert_array_equal(first.embedding.data, second.embedding.data)
        np.testing.assert_array_equal(first.labels.data, second.labels.data)
        on = s.classify(n_classes=4, classify_on="embedding", show_progressbar=False)
        np.testing.assert_array_equal(on.embedding.data, first.embedding.data)
        embedding = s.umap(show_progressbar=False)
        np.testing.assert_array_equal(embedding.data, first.embedding.data)

    def test_hdbscan(self, path):
        found = load(path).classify(
            "pca", 3, "hdbscan", None, n_pca=5, show_progressbar=False
        )
        assert len(found.sums) == found.labels.data.max() + 1
        found.plot()

    def test_energy_range(self, path):
        s = load(path)
        expected = s.isig[2.0:10.0].kmeans(4, show_progressbar=False).data
        found = s.kmeans(4, energy_range=(2.0, 10.0), show_progressbar=False).data
        np.testing.assert_array_equal(found, expected)


class TestOtherTypes:
    @pytest.mark.thorough
    @pytest.mark.parametrize("signal_type", ["EDS_TEM", "EDS_SEM", ""])
    def test_type_stays(self, phases, signal_type):
        s = make(phases[0], signal_type)
        kind = type(s)
        found = rsciio_xfm.classify(s, "pca")
        assert type(s) is kind
        assert found.spectra.metadata.get_item("Signal.signal_type", "") == signal_type
        expected = make(phases[0]).classify("pca").labels.data
        np.testing.assert_array_equal(found.labels.data, expected)
        for name in ("pca", "estimate_n_classes", "kmeans"):
            getattr(rsciio_xfm, name)(s)
        s.plot_cluster_labels()

    def test_live_time_of_tem(self, phases):
        s = make(phases[0], "EDS_TEM")
        s.set_microscope_parameters(live_time=0.5, real_time=0.6, beam_energy=200)
        found = rsciio_xfm.classify(s, "pca")
        node = found.sums[0].metadata.Acquisition_instrument.TEM.Detector.EDS
        n_pixels = np.count_nonzero(found.labels.data == 0)
        assert node.live_time == pytest.approx(0.5 * n_pixels)


class TestBadInput:
    def test_detectors(self, path):
        with pytest.raises(ValueError, match=r"s.sum\('detector'\)"):
            load(path, sum_detectors=False).classify()

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"n_classes": 10**6}, "n_classes is 1000000, .* 2000 spectra"),
            ({"n_classes": 0}, "n_classes is 0"),
            ({"reducer": "tsne"}, "reducer is 'tsne', expected one of pca, umap"),
            ({"classifier": "x"}, "classifier is 'x'"),
            ({"classify_on": "x"}, "classify_on is 'x'"),
            ({"scaling": "x"}, "scaling is 'x'"),
            ({"min_counts": 1e9}, "All 2000 spectra"),
            ({"navigation_mask": np.ones((3, 3), bool)}, r"shape \(3, 3\)"),
            ({"energy_range": (300.0, 400.0)}, "where the spectra are"),
        ],
    )
    def test_options(self, signal, options, match):
        with pytest.raises((ValueError, IndexError), match=match):
            signal.classify(**{"reducer": "pca"} | options)

    def test_misspelt(self, signal):
        with pytest.raises(
            TypeError, match=r"classify.*'min_count'; those of .*min_counts"
        ):
            signal.classify("pca", min_count=3)

    def test_empty_and_nan(self, phases):
        with pytest.raises(ValueError, match="All 12 spectra"):
            make(np.zeros((3, 4, 9), np.uint8)).classify("pca")
        data = phases[0].astype(float)
        data[0, :3] = np.nan
        labels = make(data).classify("pca").labels.data
        assert (labels[0, :3] == -1).all() and np.count_nonzero(labels < 0) == 3

    def test_one_pixel_and_one_channel(self):
        with pytest.raises(ValueError, match="n_classes is 6"):
            make(np.ones((1, 1, 9), np.uint8)).classify("pca")
        found = make(np.ones((1, 1, 9), np.uint8)).classify("pca", n_classes=1)
        assert found.labels.data.tolist() == [[0]]
        # One channel, all the same: one class, however many are asked for.
        with pytest.warns(UserWarning, match="1 classes, expected 6"):
            found = rsciio_xfm.classify(make(np.ones((5, 4, 1), np.uint8), ""), "pca")
        assert len(found.sums) == 1 and not found.labels.data.any()

    def test_one_spectrum(self, signal):
        with pytest.raises(ValueError, match="axes to navigate"):
            signal.inav[1, 2].classify("pca")

    def test_missing_extra(self, signal, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "umap", None)
        with pytest.raises(ImportError, match=r'pip install "rsciio-xfm\[learning\]"'):
            signal.classify()
        signal.classify("pca")


class TestAgain:
    """What comes after something else."""

    def test_other_components(self, signal):
        signal.kmeans(4)
        signal.pca(3)
        assert signal.learning_results.cluster_labels is None
        signal.estimate_n_classes()
        signal.kmeans(4)
        signal.plot_cluster_metric()
        signal.classify("pca", classifier="hdbscan", n_classes=None)
        assert signal.learning_results.cluster_labels is None

    def test_fewer_classes_in_a_folder(self, signal, tmp_path):
        signal.classify("pca", n_classes=5).save(tmp_path / "r")
        (tmp_path / "r" / "mine.txt").write_text("stays")
        signal.classify("pca", n_classes=2).save(tmp_path / "r", overwrite=True)
        names = sorted(p.name for p in (tmp_path / "r").iterdir())
        assert [n for n in names if n.endswith(".msa")] == ["class_0.msa", "class_1.msa"]
        assert "mine.txt" in names
        with pytest.raises(NotADirectoryError, match="is a file"):
            signal.classify("pca", n_classes=2).save(tmp_path / "r" / "mine.txt")

    def test_parameters_say_it_all(self, signal):
        found = signal.classify(
            "pca", classifier="hdbscan", max_samples=1000, min_class_size=5
        )
        said = found.parameters
        assert (said["rebin"], said["scaling"], said["min_counts"]) == (1, "poisson", 1)
        assert said["pixels_fitted_by_classifier"] == 100

    def test_mask_of_another_shape(self, signal):
        with pytest.raises(ValueError, match=r"shape \(50, 40\), expected .* \(40, 50\)"):
            signal.pca(navigation_mask=np.zeros((50, 40), bool))

    def test_nan_beyond_the_window(self, phases):
        data = phases[0].astype(float)
        data[3, 3, 400] = np.nan
        found = make(data).classify("pca", energy_range=(0.4, 12.0))
        assert found.labels.data[3, 3] == -1
        assert np.isfinite(found.spectra.data).all()

    def test_lines_that_are_none(self, signal):
        signal.metadata.set_item("Sample.xray_lines", ["foo", "Fe_Kz", "Fe_Ka"])
        axes = signal.classify("pca").plot()
        assert [t.get_text() for t in axes[2].texts] == ["Fe K\u03b1"]

    def test_structureless(self):
        s = make(np.full((10, 12, 20), 3, np.uint8))
        assert s.estimate_n_classes() == 1

    def test_three_axes(self, phases):
        s = make(phases[0].reshape(4, 10, 50, -1))
        found = s.classify("pca")
        with pytest.raises(ValueError, match="expected those of a map or of a line"):
            found.plot()

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"n_components": 0}, "n_components is 0"),
            ({"n_pca": -3}, "n_pca is -3"),
            ({"n_pca": 2.5}, "n_pca is 2.5"),
            ({"energy_range": 5}, "energy_range is 5"),
            ({"min_counts": "a"}, "min_counts is 'a'"),
        ],
    )
    def test_numbers(self, signal, options, match):
        with pytest.raises(ValueError, match=match):
            signal.classify("pca", **options)


@pytest.mark.filterwarnings("ignore:.*live time:UserWarning")
def test_live_times_of_an_edax_map(tmp_path):
    """Its own is that of the whole map; those of averages and sums are not."""
    path = edax_builder.write_map(tmp_path / "m.spd", (12, 14, 64), 2)
    s = load(path)
    seconds = eds(s).live_time
    assert eds(s.inav[0, 0]).live_time == pytest.approx(seconds / 168)
    found = s.classify("pca", n_classes=2, show_progressbar=False)
    assert eds(found.spectra).live_time == pytest.approx(seconds / 168)
    assert eds(found.spectra.inav[0]).live_time == pytest.approx(seconds / 168)
    assert sum(eds(one).live_time for one in found.sums) == pytest.approx(seconds)


@pytest.fixture(scope="module")
def rock(tmp_path_factory):
    return rsciio_xfm.data.thin_section(tmp_path_factory.mktemp("rock") / "a.GeoPIXE")


@pytest.mark.thorough
class TestFewCounts:
    """Of a thin section whose minerals are known."""

    @staticmethod
    def measured(rock, counts):
        spectra = rock.spectra.reshape(len(rock.spectra), 256, -1).sum(axis=-1)
        expected = spectra[rock.labels] * rock.brightness[..., np.newaxis]
        expected *= counts / expected.sum(axis=-1).mean()
        return make(np.random.default_rng(0).poisson(expected).astype(np.uint16))

    @staticmethod
    def likeness(classes, truth):
        found = classes.labels.data
        return adjusted_rand_score(truth[found >= 0], found[found >= 0])

    def test_classes_of_noise(self, rock):
        s = self.measured(rock, 1)
        hint = r"too few .* s.rebin\(scale=\((\d), \1, 1\)\)"
        with pytest.warns(UserWarning, match=hint) as said:
            assert s.estimate_n_classes() == 1
        assert self.likeness(s.classify("pca", n_classes=6), rock.labels) < 0.1
        n = int(str(said[0].message).partition("scale=(")[2][0])
        assert 3 <= n <= 6
        # What it says is done.
        coarse = s.rebin(scale=(n, n, 1))
        shape = coarse.data.shape[:2]
        middle = rock.labels[n // 2 :: n, n // 2 :: n][: shape[0], : shape[1]]
        n_classes = coarse.estimate_n_classes()
        assert n_classes > 1
        assert self.likeness(coarse.classify("pca", n_classes=6), middle) > 0.2

    @pytest.mark.parametrize(("counts", "least"), [(10, 0.2), (100, 0.7), (1000, 0.8)])
    def test_enough(self, rock, counts, least):
        s = self.measured(rock, counts)
        assert s.estimate_n_classes() > 1
        assert self.likeness(s.classify("pca", n_classes=7), rock.labels) > least

    def test_what_differs_in_thickness_only(self):
        thick = np.where(np.arange(400).reshape(20, 20) % 20 < 10, 50.0, 200.0)
        counts = thick[..., np.newaxis] * np.full(32, 1 / 32)
        s = make(np.random.default_rng(0).poisson(counts).astype(np.uint16))
        assert s.estimate_n_classes() == 2
