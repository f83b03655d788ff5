"""Components and classes, against dense linear algebra, scikit-learn and known phases."""

import dask
import dask.array as da
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from rsciio_xfm.analysis.classify.features import SCALINGS, prepare
from rsciio_xfm.analysis.classify.methods import (
    choose_samples,
    cluster,
    estimate_n_classes,
    reduce_pca,
    reduce_umap,
)
from tests.builders import phantom

# Dense decompositions take long: those of one type stand for all.
DTYPES = [
    "uint16",
    *(
        pytest.param(name, marks=pytest.mark.thorough)
        for name in ("uint8", "uint32", "int64", "float32")
    ),
]


@pytest.fixture(scope="module")
def phases():
    return phantom.make()


def scaled(data, scaling, used=None):
    """The features by their definitions, dense."""
    spectra = data.reshape(-1, data.shape[-1]).astype(float)
    if used is not None:
        spectra = spectra[used.ravel()]
    if scaling == "poisson":
        mean = spectra.mean(axis=0)
        return np.divide(
            spectra, np.sqrt(mean), where=mean > 0, out=np.zeros_like(spectra)
        )
    return {"sqrt": np.sqrt, "log": np.log1p, "none": np.asarray}[scaling](spectra)


class TestComponents:
    @pytest.mark.parametrize("scaling", SCALINGS)
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_are_those_of_a_dense_decomposition(self, phases, scaling, dtype):
        data = phases[0].astype(dtype)
        found = reduce_pca(prepare(data, scaling=scaling), 6)
        dense = scaled(data, scaling)
        _, values, vectors = np.linalg.svd(dense, full_matrices=False)
        np.testing.assert_allclose(
            found.explained_variance[:6], values[:6] ** 2 / len(dense), rtol=1e-3
        )
        for k in range(5):  # the sixth is next to noise
            assert abs(found.components[k] @ vectors[k]) > 0.999
        np.testing.assert_allclose(
            found.scores,
            dense @ found.components.T,
            rtol=1e-3,
            atol=0.05 * np.abs(dense).max(),
        )
        assert found.explained_variance_ratio.sum() == pytest.approx(1)

    @pytest.mark.thorough
    @pytest.mark.parametrize("dtype", ["uint16", "uint8"])
    def test_are_the_same_to_the_last_bit(self, phases, dtype):
        data = phases[0].astype(dtype)
        expected = reduce_pca(prepare(data), 5)
        for chunks in [(7, 11, 512), (80, 100, 37), (1, 100, 512), (80, 1, 512)]:
            found = reduce_pca(prepare(da.from_array(data, chunks)), 5)
            np.testing.assert_array_equal(found.scores, expected.scores)
            np.testing.assert_array_equal(found.components, expected.components)

    @pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
    def test_schedulers(self, phases, scheduler):
        expected = reduce_pca(prepare(phases[0]), 5).scores
        with dask.config.set(scheduler=scheduler):
            found = reduce_pca(prepare(da.from_array(phases[0], (30, 40, 512))), 5).scores
        np.testing.assert_array_equal(found, expected)

    def test_window_and_bins(self, phases):
        features = prepare(phases[0], channels=(20, 121), rebin=4, scaling="none")
        assert features.n_features == 25
        found = reduce_pca(features, 3)
        binned = phases[0][..., 20:120].reshape(-1, 25, 4).sum(axis=2)
        _, values, _ = np.linalg.svd(binned.astype(float), full_matrices=False)
        np.testing.assert_allclose(
            found.explained_variance[:3], values[:3] ** 2 / len(binned), rtol=1e-6
        )

    def test_mask(self, phases):
        data = phases[0].copy()
        data[3:5] = 0
        mask = np.zeros(data.shape[:2], bool)
        mask[:, :7] = True
        features = prepare(data, navigation_mask=mask)
        expected = ~mask
        expected[3:5] = False
        np.testing.assert_array_equal(features.used, expected)
        found = reduce_pca(features, 3)
        dense = scaled(data, "poisson", expected)
        _, values, _ = np.linalg.svd(dense, full_matrices=False)
        np.testing.assert_allclose(
            found.explained_variance[:3], values[:3] ** 2 / len(dense), rtol=1e-3
        )

    def test_min_counts_and_nan(self):
        data = np.ones((3, 4, 5))
        data[0, 0, 2] = np.nan
        data[1, 1] = 0.1
        used = prepare(data, min_counts=2).used
        assert not used[0, 0] and not used[1, 1] and used.sum() == 10

    def test_auto_rebin(self):
        assert prepare(np.ones((2, 4096), np.uint8)).rebin == 8
        assert prepare(np.ones((2, 3000), np.uint8)).n_features == 500
        assert prepare(np.ones((2, 7), np.uint8)).rebin == 1

    def test_as_many_as_there_can_be(self):
        data = np.random.default_rng(0).poisson(3, (2, 2, 9)).astype(np.uint8)
        assert reduce_pca(prepare(data), 20).scores.shape == (4, 4)
        assert reduce_pca(prepare(data[..., :1]), 20).scores.shape == (4, 1)

    def test_one_hot_pixel(self, phases):
        """It does not make the steps so coarse that the rest is lost."""
        data = phases[0].copy()
        data[0, 0, 500] = 65535
        found = reduce_pca(prepare(data), 8)
        labels = cluster(found.scores, 7)
        assert adjusted_rand_score(phases[1].ravel(), labels) > 0.9

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"scaling": "cube"}, "scaling is 'cube', expected one of poisson"),
            ({"channels": (5, 3)}, r"channels is \(5, 3\)"),
            ({"channels": (0, 99)}, r"within 0 and 9"),
            ({"rebin": 0}, "rebin is 0"),
            ({"rebin": 10}, "whole number from 1 to 9"),
            ({"rebin": 1.5}, "rebin is 1.5"),
            ({"navigation_mask": np.ones((2, 3))}, "map of float64"),
            ({"navigation_mask": np.ones((3, 2), bool)}, r"shape \(3, 2\)"),
            ({"navigation_mask": np.ones((2, 3), bool)}, "All 6 spectra are masked"),
            ({"min_counts": 100}, "fewer counts than 100"),
        ],
    )
    def test_wrong(self, options, match):
        with pytest.raises(ValueError, match=match):
            prepare(np.ones((2, 3, 9), np.uint8), **options)

    def test_no_components(self):
        with pytest.raises(ValueError, match="n_components is 0"):
            reduce_pca(prepare(np.ones((2, 3, 9), np.uint8)), 0)


class TestClasses:
    @pytest.mark.parametrize("counts", [300, 1000, 5000])
    def test_known_phases(self, counts):
        """The bar: 0.95 from 300 counts a pixel on, and no worse than dense scikit-learn."""
        from sklearn.decomposition import PCA

        data, truth = phantom.make(counts=counts)
        labels = cluster(reduce_pca(prepare(data), 10).scores, 6)
        found = adjusted_rand_score(truth.ravel(), labels)
        dense = PCA(10, random_state=0).fit_transform(data.reshape(truth.size, -1))
        dense_labels = KMeans(6, n_init=5, random_state=0).fit_predict(dense)
        assert found >= 0.95
        assert found >= adjusted_rand_score(truth.ravel(), dense_labels)

    def test_largest_first(self, phases):
        labels = cluster(reduce_pca(prepare(phases[0]), 10).scores, 6)
        sizes = np.bincount(labels)
        assert labels.dtype == np.int16
        assert sizes.tolist() == sorted(sizes.tolist(), reverse=True)

    def test_samples(self, phases):
        """Fitted to an eighth of the points, the result is nearly the same."""
        scores = reduce_pca(prepare(phases[0]), 10).scores
        labels = cluster(scores, 6, max_samples=1000)
        assert adjusted_rand_score(phases[1].ravel(), labels) > 0.95
        np.testing.assert_array_equal(labels, cluster(scores, 6, max_samples=1000))
        other = cluster(scores, 6, max_samples=1000, random_state=1)
        assert adjusted_rand_score(labels, other) > 0.95

    def test_small_groups_are_in_the_sample(self):
        rng = np.random.default_rng(0)
        points = rng.normal(0, 0.1, (50_000, 3))
        points[123:143] += 5
        chosen = choose_samples(points, 1000, 0)
        assert len(chosen) == len(set(chosen.tolist())) == 1000
        assert np.count_nonzero((chosen >= 123) & (chosen < 143)) >= 3
        np.testing.assert_array_equal(choose_samples(points[:50], 1000, 0), np.arange(50))

    def test_hdbscan(self):
        rng = np.random.default_rng(0)
        points = np.concatenate([rng.normal(c, 0.1, (400, 2)) for c in (0, 3, 6)])
        points = np.concatenate([points, rng.uniform(-20, 20, (20, 2))])
        labels = cluster(points, None, "hdbscan")
        assert labels.max() == 2 and labels.min() == -1
        assert adjusted_rand_score(np.repeat([0, 1, 2], 400), labels[:1200]) > 0.95

    @pytest.mark.parametrize(
        ("n_classes", "classifier", "match"),
        [
            (0, "kmeans", "n_classes is 0"),
            (11, "kmeans", "from 1 to the 10 spectra"),
            (None, "kmeans", "n_classes is None"),
            (2.5, "kmeans", "n_classes is 2.5"),
            (2, "magic", "classifier is 'magic', expected one of kmeans, hdbscan"),
        ],
    )
    def test_wrong(self, n_classes, classifier, match):
        with pytest.raises(ValueError, match=match):
            cluster(np.ones((10, 2)), n_classes, classifier)

    def test_as_many_classes_as_points(self):
        assert sorted(cluster(np.arange(5.0).reshape(5, 1), 5)) == [0, 1, 2, 3, 4]

    def test_how_many(self, phases):
        found = estimate_n_classes(reduce_pca(prepare(phases[0]), 10).scores)
        assert max(found, key=found.get) == 6
        with pytest.raises(ValueError, match="at least 3"):
            estimate_n_classes(np.ones((2, 2)))

    def test_how_many_of_equal_points(self):
        assert set(estimate_n_classes(np.ones((20, 2)), 4)) == {2, 3, 4}


@pytest.mark.thorough
class TestUMAP:
    def test_embedding(self, phases):
        scores = reduce_pca(prepare(phases[0]), 10).scores[:1500]
        found = reduce_umap(scores, max_samples=800)
        assert found.shape == (1500, 2) and np.isfinite(found).all()
        np.testing.assert_array_equal(found, reduce_umap(scores, max_samples=800))
        # Neighbours of one phase: what is near in the embedding is near in the map's phases.
        truth = phases[1].ravel()[:1500]
        distance = np.linalg.norm(found[:, None] - found[None], axis=-1)
        np.fill_diagonal(distance, np.inf)
        assert np.mean(truth[distance.argmin(axis=1)] == truth) > 0.9

    @pytest.mark.parametrize("n_points", [6, 20, 21, 200])
    @pytest.mark.parametrize("n_phases", [1, 2, 6])
    def test_phases_that_are_far_apart(self, n_points, n_phases):
        """Their graph falls into pieces, which is no reason for a warning."""
        rng = np.random.default_rng(0)
        phase = np.arange(n_points) % n_phases
        points = rng.normal(size=(n_phases, 5))[phase] * 100
        points = (points + rng.normal(size=(n_points, 5))).astype(np.float32)
        found = reduce_umap(points)
        assert np.isfinite(found).all()
        if n_points == 200:
            distance = np.linalg.norm(found[:, None] - found[None], axis=-1)
            np.fill_diagonal(distance, np.inf)
            np.testing.assert_array_equal(phase[distance.argmin(axis=1)], phase)

    @pytest.mark.parametrize("points", [np.ones((30, 3)), np.arange(30.0)[:, None]])
    def test_fewer_components_than_dimensions(self, points):
        assert np.isfinite(reduce_umap(points.astype(np.float32))).all()

    def test_few_points(self):
        points = np.random.default_rng(0).normal(size=(6, 3))
        assert reduce_umap(points).shape == (6, 2)
        with pytest.raises(ValueError, match=r"4 spectra.*reducer='pca'"):
            reduce_umap(points[:4])


@pytest.mark.parametrize(
    ("module", "package", "use"),
    [
        ("umap", "umap-learn", lambda: reduce_umap(np.ones((9, 3)))),
        ("sklearn", "scikit-learn", lambda: cluster(np.ones((9, 3)), 2)),
        ("sklearn", "scikit-learn", lambda: estimate_n_classes(np.ones((9, 3)))),
    ],
)
def test_missing_packages(monkeypatch, module, package, use):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(
        ImportError, match=rf'{package} .* pip install "rsciio-xfm\[learning\]"'
    ):
        use()


class TestFloats:
    """Numbers that are no counts: readout noise, other units, faults."""

    @pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0])
    def test_readout_noise(self, phases, sigma):
        data = phases[0] + np.random.default_rng(0).normal(0, sigma, phases[0].shape)
        labels = cluster(reduce_pca(prepare(data), 10).scores, 6)
        assert adjusted_rand_score(phases[1].ravel(), labels) > 0.9
        found = reduce_pca(prepare(da.from_array(data, (13, 50, 100))), 10).scores
        np.testing.assert_array_equal(cluster(found, 6), labels)

    def test_channels_of_mean_zero(self, phases):
        data = phases[0].astype(float)
        noise = np.random.default_rng(0).normal(0, 1, (*data.shape[:2], 40))
        data[..., 470:510] = noise - noise.mean(axis=(0, 1))
        labels = cluster(reduce_pca(prepare(data), 10).scores, 6)
        assert adjusted_rand_score(phases[1].ravel(), labels) > 0.9
        for chunks in [(7, 9, 512), (13, 50, 100), (1, 50, 512)]:
            found = reduce_pca(prepare(da.from_array(data, chunks)), 10).scores
            np.testing.assert_array_equal(cluster(found, 6), labels)

    def test_below_zero(self, phases):
        with pytest.warns(UserWarning, match="scaling='none'"):
            prepare(phases[0].astype(float) - 5, min_counts=-1e9)

    @pytest.mark.parametrize("factor", [1e-6, 1e6, 1e12])
    @pytest.mark.parametrize("scaling", ["poisson", "none"])
    def test_units_do_not_matter(self, phases, factor, scaling):
        data = phases[0] * factor
        expected = reduce_pca(
            prepare(phases[0].astype(float), scaling=scaling), 10
        ).scores
        found = reduce_pca(prepare(data, scaling=scaling, min_counts=0), 10).scores
        labels = [cluster(scores, 6) for scores in (expected, found)]
        assert adjusted_rand_score(*labels) > 0.98

    @pytest.mark.parametrize("scaling", SCALINGS)
    @pytest.mark.parametrize("hot", [10**5, 10**7])
    def test_a_hot_value(self, phases, scaling, hot):
        data = phases[0].astype(np.uint32)
        data[3, 3, 100] = hot
        labels = cluster(reduce_pca(prepare(data, scaling=scaling), 10).scores, 7)
        assert adjusted_rand_score(phases[1].ravel(), labels) > 0.85

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_faults_are_masked(self, phases, value):
        data = phases[0].astype(np.float32)
        data[3, 3, 400] = value
        used = prepare(data, channels=(10, 300)).used
        assert not used[3, 3] and np.count_nonzero(~used) == 1

    def test_complex(self):
        with pytest.raises(ValueError, match="expected real numbers"):
            prepare(np.ones((2, 3), complex))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"random_state": -1}, "random_state is -1"),
        ({"random_state": "a"}, "random_state is 'a'"),
        ({"max_samples": 1}, "max_samples is 1, expected a whole number, at least 2"),
        ({"max_samples": 5.5}, "max_samples is 5.5"),
        ({"min_class_size": 0}, "min_class_size is 0"),
        ({"n_classes": True}, "n_classes is True"),
    ],
)
def test_wrong_numbers(options, match):
    with pytest.raises(ValueError, match=match):
        cluster(np.arange(20.0).reshape(10, 2), **{"n_classes": 2} | options)
