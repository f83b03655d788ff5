"""Element maps against numpy's weighted least squares in float64."""

import pickle
import tracemalloc

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from threadpoolctl import threadpool_info

from rsciio_xfm import edax, geopixe
from rsciio_xfm.analysis.fit import bins as binning
from rsciio_xfm.analysis.fit import project as projecting
from rsciio_xfm.analysis.fit.background import cut_background, make_splines
from rsciio_xfm.analysis.fit.basis import Basis
from rsciio_xfm.analysis.fit.bins import MOST_BINNED, Bins
from rsciio_xfm.analysis.fit.matrix import (
    Projection,
    dead_channels,
    make_projection,
    region_areas,
)
from rsciio_xfm.analysis.fit.project import ElementMaps, project
from rsciio_xfm.analysis.fit.projected import Projected
from rsciio_xfm.analysis.maps import Regions, Total, Windows
from rsciio_xfm.core.one_thread import _matrix_libraries, one_thread
from rsciio_xfm.core.reduce import run
from rsciio_xfm.core.stream import RecordStream
from rsciio_xfm.core.to_dask import take
from rsciio_xfm.exceptions import CorruptFileError, PassCancelledError
from rsciio_xfm.kernels.project import prepare_spectra
from tests.builders import edax as edax_builder
from tests.builders import geopixe as geopixe_builder

N_CHANNELS, FIRST, STOP = 203, 11, 190
NAMES = ("Ca_K", "Ti_K", "Fe_K", "Ni_K", "background")
KINDS = ("element",) * 4 + ("background",)


def peak(centre, sigma=4.0):
    x = np.arange(N_CHANNELS) - centre
    return np.exp(-0.5 * (x / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


def make_basis(areas=(900, 40, 2000, 0, 5000), shift=0.0, **fields):
    """Two peaks each, of which Ti's and Ca's overlap, on a background that falls."""
    pairs = ((40, 52), (50, 63), (90, 105), (140, 160))
    columns = [0.9 * peak(a + shift) + 0.1 * peak(b + shift) for a, b in pairs]
    background = np.exp(-np.arange(N_CHANNELS) / 60)
    columns.append(background / background.sum())
    columns = np.array(columns).T[FIRST:STOP]
    return Basis(NAMES, KINDS, FIRST, columns, np.array(areas, dtype=float), **fields)


def make_fine(basis, n=4):
    """The same with so many times more channels."""
    columns = np.repeat(basis.columns, n, axis=0)
    smooth = np.ones(2 * n + 1) / (2 * n + 1)
    columns = np.stack([np.convolve(c, smooth, "same") for c in columns.T], axis=1)
    return replaced(columns=columns / n, first=0)


def replaced(**fields):
    return Basis(**vars(make_basis()) | fields)


def make_counts(basis, shape, counts=300.0, dtype="u2", seed=0):
    """Poisson counts, with areas that vary from pixel to pixel; and what was expected."""
    rng = np.random.default_rng(seed)
    shares = basis.areas / basis.areas.sum() * rng.gamma(4, 0.25, (*shape, len(NAMES)))
    truth = counts * shares
    expected = np.full((*shape, N_CHANNELS), 0.1)
    expected[..., FIRST:STOP] = truth @ basis.columns.T
    return rng.poisson(expected).astype(dtype), truth


def in_bins(columns, bins):
    """Channels along the first axis, added up as bins say."""
    ends = [*bins.firsts[1:], len(columns)]
    return np.array([columns[a:b].sum(0) for a, b in zip(bins.firsts, ends, strict=True)])


def is_binned(projection):
    return len(projection.bins.firsts) < projection.stop - projection.first


def reference(basis, projection, spectra, weights=None):
    """Areas by numpy, float64, shape (components, ...), from the same bins."""
    root = np.sqrt(projection.weights[0] if weights is None else weights)[:, np.newaxis]
    own = np.asarray(spectra, dtype=float)[..., FIRST:STOP]
    columns = np.concatenate([basis.columns[:, :-1], basis.parts], axis=1)
    columns = columns if basis.parts.size else basis.columns
    flat, columns = (
        in_bins(c, projection.bins) for c in (own.reshape(-1, STOP - FIRST).T, columns)
    )
    areas = np.linalg.lstsq(root * columns, root * flat, rcond=None)[0]
    n = len(NAMES) - 1
    if basis.parts.size:
        total = basis.parts.sum(axis=0) / basis.columns[:, -1].sum() @ areas[n:]
        areas = np.concatenate([areas[:n], total[np.newaxis]])
    return areas.reshape(-1, *own.shape[:-1])


def sigma_of(projection, spectra):
    own = np.asarray(spectra, dtype=float)[..., FIRST:STOP]
    return np.moveaxis(np.sqrt(own @ projection.gamma**2), -1, 0)


def poisson_weights(basis, bins):
    """What is said to be the weights, written down again."""
    expected = basis.columns @ basis.areas
    least = np.full(len(expected), max(1e-3 * expected.mean(), 1.0))
    return 1 / np.maximum(in_bins(expected, bins), in_bins(least, bins))


def with_parts(basis, n=3):
    """The same, with a background of any shape that is the other's times a line or so."""
    x = np.linspace(0, 1, len(basis.columns))[:, np.newaxis]
    hats = np.clip(1 - np.abs(x * (n - 1) - np.arange(n)), 0, None)
    return Basis(**vars(basis) | {"parts": hats * basis.columns[:, -1:]})


@pytest.fixture(params=[1, 3], ids=["one background", "parts of it"])
def basis(request):
    basis = make_basis()
    return basis if request.param == 1 else with_parts(basis, request.param)


@pytest.fixture
def projection(basis):
    return make_projection(basis)


def test_the_matrix_is_weighted_least_squares(basis, projection):
    counts, _ = make_counts(basis, (4, 5))
    assert is_binned(projection)
    weights = poisson_weights(basis, projection.bins)
    expected = reference(basis, projection, counts, weights)
    found = counts[..., FIRST:STOP] @ projection.gamma
    np.testing.assert_allclose(np.moveaxis(found, -1, 0), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(projection.gamma.T @ basis.columns, np.eye(5), atol=1e-12)


@pytest.mark.parametrize(
    "dtype", ["u1", "u2", "u4", "u8", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">f4"]
)
def test_maps_of_any_type_are_least_squares(basis, projection, dtype):
    counts, _ = make_counts(basis, (7, 9), counts=150, dtype=dtype)
    found = project(counts, projection)
    expected = reference(basis, projection, counts)
    sigma = sigma_of(projection, counts)
    assert found.maps.dtype == found.own_variance.dtype == found.chi2.dtype == np.float32
    assert found.maps.shape == (5, 7, 9)
    assert np.abs((found.maps - expected) / sigma).max() < 1e-3
    own = np.asarray(counts, dtype=float)[..., FIRST:STOP]
    np.testing.assert_allclose(found.counts, own.sum(axis=-1), rtol=1e-6)
    np.testing.assert_allclose(found.own_variance, sigma**2, rtol=1e-5)


def test_bool_spectra(basis, projection):
    counts, _ = make_counts(basis, (3, 4), counts=40, dtype=bool)
    found = project(counts, projection)
    expected = reference(basis, projection, counts)
    np.testing.assert_allclose(found.maps, expected, atol=1e-4)


@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    block=st.integers(1, 40),
    chunks=st.integers(1, 5),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=25)
def test_any_shape_and_chunks(shape, block, chunks, seed):
    basis = make_basis()
    projection = make_projection(basis)
    counts, _ = make_counts(basis, tuple(shape), seed=seed)
    expected = reference(basis, projection, counts)
    held = da.from_array(counts, chunks=(chunks,) * len(shape) + (50,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(projecting, "_LEAST_SPECTRA", block)
        patch.setattr(projecting, "_BLOCK_BYTES", 1)
        for data in (counts, held):
            found = project(data, projection)
            np.testing.assert_allclose(found.maps, expected, atol=2e-3)


@pytest.fixture
def path(tmp_path):
    return edax_builder.write_map(tmp_path / "a.spd", (23, 17, N_CHANNELS), 2)


@pytest.mark.parametrize("scheduler", ["threads", "synchronous", "processes"])
def test_files_and_schedulers_give_the_same(path, projection, scheduler):
    data = edax.file_reader(path, lazy=True)[0]["data"]
    counts = data.compute()
    expected = project(counts, projection)
    labels = np.arange(23 * 17).reshape(23, 17) % 3
    with dask.config.set(scheduler=scheduler):
        found = project(data, projection, labels=labels)
        rechunked = project(data.rechunk((5, 4, 60)), projection)
    for other in (found, rechunked):
        scale = np.abs(expected.maps).max()
        np.testing.assert_allclose(other.maps, expected.maps, atol=1e-5 * scale)
        np.testing.assert_allclose(other.own_variance, expected.own_variance, rtol=1e-4)
        np.testing.assert_allclose(other.chi2, expected.chi2, rtol=1e-4)


def test_several_results_of_one_pass(path, basis, projection):
    data = edax.file_reader(path, lazy=True)[0]["data"]
    counts = data.compute()
    mask = np.zeros(counts.shape[:2], dtype=bool)
    mask[4:9, 3:11] = True
    found = run(
        data,
        Windows(((3, 9), (0, 2))),
        ElementMaps.of(data, projection),
        Regions.of([mask], mask.shape),
        Total(),
    )
    images, maps, spectra, total = found
    np.testing.assert_array_equal(images[0], counts[..., 3:9].sum(axis=-1))
    np.testing.assert_array_equal(total, counts.sum(axis=(0, 1)))
    np.testing.assert_array_equal(spectra[0], counts[mask].sum(axis=0))
    expected = reference(basis, projection, counts)
    assert np.abs((maps.maps - expected) / sigma_of(projection, counts)).max() < 1e-3


def test_partial_progress_and_cancel(path, projection):
    data = edax.file_reader(path, lazy=True)[0]["data"]
    done, partial = [], []
    found = project(
        data,
        projection,
        progress=lambda *numbers: done.append(numbers),
        partial=partial.append,
    )
    assert done[-1][0] == done[-1][1]
    assert isinstance(partial[0], Projected)
    np.testing.assert_array_equal(partial[-1].maps, found.maps)
    with pytest.raises(PassCancelledError):
        project(data, projection, cancel=lambda: True)


def test_projections_and_maps_can_be_pickled(basis, projection):
    counts, _ = make_counts(basis, (3, 4))
    again = pickle.loads(pickle.dumps(projection))
    assert isinstance(again, Projection)
    found = project(counts, again)
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.maps, project(counts, projection).maps)
    reduction = ElementMaps.of(counts, projection)
    assert run(counts, reduction)[0].names == NAMES
    run(counts, pickle.loads(pickle.dumps(reduction)))


# Regions.


def test_sums_of_maps_are_fits_of_sums(basis, projection):
    counts, _ = make_counts(basis, (60, 50), counts=2000)
    found = project(counts, projection)
    rng = np.random.default_rng(1)
    masks = [rng.random((60, 50)) < share for share in (0.02, 0.3, 1.1)]
    masks.append(np.flatnonzero(masks[1].ravel()))
    areas, sigma = found.sum_regions(masks)
    flat = counts.reshape(-1, N_CHANNELS)
    for i, mask in enumerate(masks):
        inside = np.flatnonzero(mask) if mask.dtype == bool else mask
        spectrum = flat[inside].sum(axis=0, dtype="u8")
        expected = reference(basis, projection, spectrum)
        noise = sigma_of(projection, spectrum)
        assert np.abs((areas[i] - expected) / noise).max() < 0.01
        own, own_sigma = region_areas(projection, spectrum)
        np.testing.assert_allclose(own, expected, rtol=1e-8, atol=1e-6)
        np.testing.assert_allclose(own_sigma, noise, rtol=1e-9)
        np.testing.assert_allclose(sigma[i], noise, rtol=0.02)


def test_regions_that_are_none(basis, projection):
    counts, _ = make_counts(basis, (4, 5))
    found = project(counts, projection)
    with pytest.raises(ValueError, match=r"expected a boolean one of shape \(4, 5\)"):
        found.sum_regions([np.ones((5, 4), dtype=bool)])
    with pytest.raises(ValueError, match="within 0 and 20"):
        found.sum_regions([np.array([3, 20])])
    areas, sigma = found.sum_regions([np.zeros((4, 5), dtype=bool), np.array([3, 3, 1])])
    assert not areas[0].any()
    assert not sigma[0].any()
    np.testing.assert_allclose(areas[1], found.maps[:, 0, [1, 3]].sum(axis=1), rtol=1e-5)


def slopes_of(basis, step=0.01):
    """How the columns change with a shift of the peaks, by differences."""
    up, down = make_basis(shift=step), make_basis(shift=-step)
    return ((up.columns - down.columns) / (2 * step))[np.newaxis]


def test_sigma_of_sums_has_the_calibration(basis):
    spread = 0.02  # of the shift, channels
    calibrated = make_basis(slopes=slopes_of(basis), covariance=np.array([[spread**2]]))
    projection = make_projection(calibrated)
    spectrum = np.zeros(N_CHANNELS)
    spectrum[FIRST:STOP] = basis.columns @ (1e6 * np.array([5.0, 1.0, 8.0, 0.0, 20.0]))
    areas, sigma = region_areas(projection, spectrum)
    # By hand: the same spectrum through the matrix of a model that is a bit wrong.
    moved = make_projection(make_basis(shift=spread))
    wrong = spectrum[FIRST:STOP] @ moved.gamma - areas
    noise = sigma_of(projection, spectrum)
    np.testing.assert_allclose(sigma, np.hypot(noise, wrong), rtol=0.05)
    assert sigma[1] > 2 * noise[1]  # Ti beside Ca
    # And of the maps.
    counts, _ = make_counts(calibrated, (30, 30), counts=5000)
    found = project(counts, projection)
    summed = counts.sum(axis=(0, 1))
    expected = region_areas(projection, summed)
    whole = found.sum_regions([np.ones((30, 30), dtype=bool)])
    np.testing.assert_allclose(whole[0][0], expected[0], rtol=1e-5, atol=0.5)
    np.testing.assert_allclose(whole[1][0], expected[1], rtol=0.02)


def test_the_background_of_a_part_has_another_shape():
    """Peaks that are not there are not found on a background that is tilted."""
    basis = make_basis(areas=(900, 0, 2000, 0, 50000))
    tilted = np.linspace(0.7, 1.3, len(basis.columns)) * basis.columns[:, -1]
    spectrum = np.zeros(N_CHANNELS)
    spectrum[FIRST:STOP] = 1e5 * tilted
    areas, sigma = region_areas(make_projection(with_parts(basis)), spectrum)
    np.testing.assert_allclose(areas[:-1], 0, atol=1e-6 * 1e5)
    whole = spectrum.sum() / basis.columns[:, -1].sum()
    np.testing.assert_allclose(areas[-1], whole, rtol=1e-9)
    stiff, own_sigma = region_areas(make_projection(basis), spectrum)
    assert np.abs(stiff / own_sigma)[:-1].max() > 4
    # It costs a little.
    assert (sigma < 1.2 * own_sigma).all()
    # And says so where each pixel is fitted, by its chi2.
    found = project(np.round(spectrum)[np.newaxis], make_projection(with_parts(basis)))
    wrong = project(np.round(spectrum)[np.newaxis], make_projection(basis))
    assert found.chi2[0] < 0.05
    assert wrong.chi2[0] > 1


def test_narrow_peaks_are_not_binned():
    """Bins are as wide as peaks allow: no component is 2 % less sure."""
    sizes = []
    for sigma in (0.5, 1.0, 2.0, 6.0):
        pairs = ((40, 52), (50, 63), (90, 105), (140, 160))
        columns = [0.9 * peak(a, sigma) + 0.1 * peak(b, sigma) for a, b in pairs]
        columns.append(make_basis().columns[:, -1])
        columns = np.array([np.resize(c, N_CHANNELS)[FIRST:STOP] for c in columns[:4]]
                           + [columns[4]]).T  # fmt: skip
        basis = replaced(columns=columns)
        projection = make_projection(basis)
        n_channels = np.diff(projection.bins.firsts, append=STOP - FIRST)
        sizes.append(len(n_channels))
        root = 1 / np.sqrt(
            np.maximum(basis.expected, max(1e-3 * basis.expected.mean(), 1))
        )
        scaled = root[:, np.newaxis] * columns
        bound = np.sqrt(np.diag(np.linalg.inv(scaled.T @ scaled)))
        sigmas = np.sqrt(basis.expected @ projection.gamma**2)
        assert (sigmas < 1.025 * bound).all()
        assert (bound < 1.0001 * sigmas).all()
        first, widest = projection.bins.firsts[n_channels.argmax()], n_channels.max()
        assert (np.diff(projection.gamma[first : first + widest], axis=0) == 0).all()
        assert 3 < widest <= MOST_BINNED
    assert max(sizes) < 100
    assert sizes[-1] < sizes[0]


@pytest.mark.parametrize("n_channels", [1, 2, 3, 37, 64, 101])
@pytest.mark.parametrize("base", [1, 2, 3, 4])
def test_bins_cover_channels_once(n_channels, base):
    rng = np.random.default_rng(n_channels)
    inside = rng.random(n_channels) < 0.9
    counts = rng.uniform(1, 9, n_channels) * inside
    areas = np.cumsum(rng.normal(size=(n_channels, 3)), axis=0)
    for allowed in (0.0, 0.1, 100.0):
        losses = binning._losses_of(base, inside, (counts, areas))
        picks = binning._picks_of(base, losses, allowed)
        bins = Bins(base, picks, inside)
        sizes = np.bincount(bins.numbers)
        assert (np.sort(bins.firsts) == bins.firsts).all()
        assert (np.cumsum(sizes)[:-1] == bins.firsts[1:]).all()
        assert sizes.sum() == n_channels
        assert (sizes <= MOST_BINNED).all()
        # What the kernel picks of all sums.
        rows = rng.integers(0, 200, (3, n_channels + 2)).astype("u1")
        weights = rng.random((1, len(sizes))).astype("f4")
        out = np.empty((3, len(sizes)), "f4"), np.empty(3)
        which = np.arange(3), np.zeros(3, dtype=int)
        channels = 1, 1 + n_channels, base
        prepare_spectra(rows, channels, which, (bins.picks, weights), out)
        expected = in_bins(rows[:, 1:-1].T.astype(float), bins).T
        np.testing.assert_array_equal(out[0], expected)
        np.testing.assert_allclose(out[1], expected**2 @ weights[0], rtol=1e-5)
        # Channels that are not used cost no others than those of the smallest bins.
        lost = np.repeat(bins.used, sizes) < inside
        assert (sizes[np.unique(bins.numbers[lost])] <= base).all()
        if base == 1:
            assert not lost.any()


def test_classes_have_weights_of_their_own(basis):
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 3, (40, 30))
    bases = [make_basis(areas) for areas in ((9, 1, 0, 0, 9), (1, 1, 90, 5, 9))]
    counts, _ = make_counts(basis, labels.shape, counts=400)
    for k, own in enumerate(bases):
        counts[labels == k] = make_counts(own, labels.shape, 400, seed=k)[0][labels == k]
    sums = np.stack([counts[labels == k].sum(axis=0) for k in range(3)])
    projection = make_projection(basis, sums)
    assert projection.n_classes == 3
    found = project(counts, projection, labels=labels)
    for k in range(-1, 3):
        inside = labels == k
        expected = reference(basis, projection, counts[inside], projection.weights[k + 1])
        np.testing.assert_allclose(found.maps[:, inside], expected, atol=1e-3)
    # Class weights are those of what was fitted to the class, and make less noise.
    whole = make_projection(basis)
    inside = labels == 1
    own = found.own_variance[:, inside].mean(axis=1)
    other = project(counts, whole).own_variance[:, inside].mean(axis=1)
    assert (own < 1.01 * other).all()
    assert own[3] < 0.97 * other[3]
    # Without labels all spectra have the weights of the whole.
    np.testing.assert_array_equal(
        project(counts, projection).maps, project(counts, whole).maps
    )
    areas, sigma = found.sum_regions([labels == 1, labels >= 0])
    np.testing.assert_allclose(
        areas[0], found.maps[:, labels == 1].sum(axis=1), rtol=1e-4
    )
    assert (sigma > 0).all()


def test_calibrations_of_detectors_are_added_up(basis):
    other = make_basis(shift=3.0)
    counts = np.stack(
        [make_counts(b, (9, 8), seed=i)[0] for i, b in enumerate((basis, other))]
    )
    projections = [make_projection(basis), make_projection(other)]
    each = [project(c, p) for c, p in zip(counts, projections, strict=True)]
    chunked = da.from_array(counts, chunks=(1, 2, 3, 100))
    for data in (counts, chunked, da.from_array(counts, chunks=(2, 4, 8, -1))):
        found = project(data, projections)
        assert found.maps.shape == (5, 9, 8)
        np.testing.assert_allclose(found.maps, each[0].maps + each[1].maps, atol=1e-3)
        variance = each[0].own_variance + each[1].own_variance
        np.testing.assert_allclose(found.own_variance, variance, rtol=1e-5)
        np.testing.assert_allclose(found.counts, each[0].counts + each[1].counts)
    spectra = counts.sum(axis=(1, 2))
    areas, sigma = region_areas(projections, spectra)
    whole, whole_sigma = found.sum_regions([np.ones((9, 8), dtype=bool)])
    np.testing.assert_allclose(whole[0], areas, atol=0.01)
    np.testing.assert_allclose(whole_sigma[0], sigma, rtol=0.02)
    # One calibration for all, detectors apart.
    apart = project(counts, projections[0])
    assert apart.maps.shape == (5, 2, 9, 8)
    np.testing.assert_allclose(apart.maps[:, 0], each[0].maps, atol=1e-4)


# Accuracy.


@pytest.mark.parametrize("counts", [50, 5000])
def test_noise_is_the_bound_and_known(basis, counts):
    shape = (64, 64)
    rng = np.random.default_rng(3)
    truth = counts * basis.areas / basis.areas.sum()
    truth[1] = truth.sum() / 50  # what is not in the sum costs nothing much
    expected = np.full(N_CHANNELS, 0.1)
    expected[FIRST:STOP] = basis.columns @ truth
    data = rng.poisson(expected, (*shape, N_CHANNELS)).astype("u2")
    found = project(data, make_projection(basis))
    errors = (found.maps - truth[:, np.newaxis, np.newaxis]).reshape(5, -1)
    columns = basis.resolved
    information = columns.T @ (columns / expected[FIRST:STOP, np.newaxis])
    least = basis.adding.T @ np.linalg.inv(information) @ basis.adding
    bound = np.sqrt(np.diag(least))
    assert np.median(np.sqrt((errors**2).mean(axis=1)) / bound) < 1.03
    assert np.abs(errors.mean(axis=1) / bound).max() < 4 / 64
    pull = errors / np.sqrt(found.variance.reshape(5, -1))
    assert 0.95 < np.median(pull.std(axis=1)) < 1.05
    assert abs(found.chi2.mean() - 1) < 0.01


def test_chi2_tells_what_does_not_fit(basis, projection):
    counts, _ = make_counts(basis, (20, 20), counts=1000)
    own = np.asarray(counts, dtype=float)[..., FIRST:STOP]
    bins, weights = projection.bins, projection.weights[0]
    # By hand, from each spectrum: what is left of it, and what is expected to be left of
    # independent counts.
    root = np.sqrt(weights)[:, np.newaxis]
    columns, left = in_bins(basis.resolved, bins), np.empty((len(weights), 400))
    flat = in_bins(own.reshape(400, -1).T, bins)
    hat = columns @ np.linalg.pinv(root * columns) @ np.diag(root[:, 0])
    left = flat - hat @ flat
    kept = np.eye(len(weights)) - hat
    expected = flat.T @ (weights @ kept**2)
    found = project(counts, projection)
    ratio = ((left.T**2 @ weights) / expected).reshape(20, 20)
    np.testing.assert_allclose(found.chi2, ratio, rtol=1e-4)
    counts[3, 4, 120:124] += 40
    found = project(counts, projection)
    assert found.chi2[3, 4] > 3
    assert found.chi2[3, 5] < 2


def test_positive_areas_are_those_of_nnls(basis, projection):
    counts, _ = make_counts(basis, (6, 5), counts=60)
    found = project(counts, projection, nonnegative=True)
    root, bins = np.sqrt(projection.weights[0]), projection.bins
    columns = root[:, np.newaxis] * in_bins(basis.resolved, bins)
    for place in np.ndindex(6, 5):
        own = in_bins(counts[(*place, slice(FIRST, STOP))].astype(float), bins)
        expected = nnls(columns, root * own)[0] @ basis.adding
        np.testing.assert_allclose(found.maps[(slice(None), *place)], expected, atol=2e-3)
    assert (found.maps >= 0).all()
    assert (found.maps == 0).any()
    assert 0.8 < np.median(found.chi2) < 1.2


def test_positive_areas_of_a_background_of_many_parts():
    """Parts that are hardly told apart: descent in the areas themselves stops too early."""
    basis = make_basis()
    splines = make_splines(np.linspace(0, 30, len(basis.columns)))
    parts = cut_background(basis.columns[:, -1], splines)
    own = Basis(**vars(basis) | {"parts": parts})
    projection = make_projection(own)
    counts, _ = make_counts(basis, (8, 8), counts=600)
    found = project(counts, projection, nonnegative=True)
    root, bins = np.sqrt(projection.weights[0]), projection.bins
    columns = root[:, np.newaxis] * in_bins(own.resolved, bins)
    for place in np.ndindex(8, 8):
        binned = in_bins(counts[(*place, slice(FIRST, STOP))].astype(float), bins)
        expected = nnls(columns, root * binned)[0] @ own.adding
        np.testing.assert_allclose(found.maps[(slice(None), *place)], expected, atol=0.01)


def test_weights_of_classes_are_the_best_for_them(basis):
    """The noise that the weights make, without any chance, beside the least there can be."""
    rng = np.random.default_rng(2)
    shares = basis.areas * rng.gamma(0.7, 1, (5, len(NAMES))) + 1
    truth = 300 * shares / shares.sum(axis=1, keepdims=True)
    expected = truth @ basis.columns.T
    spectra = np.zeros((5, N_CHANNELS))
    spectra[:, FIRST:STOP] = rng.poisson(1000 * expected)
    whole = make_projection(replaced(areas=truth.sum(axis=0)), spectra)
    ratios = []
    for k, mean in enumerate(expected):
        information = basis.columns.T @ (basis.columns / mean[:, np.newaxis])
        bound = np.diag(np.linalg.inv(information))
        ratios.append([np.sqrt(mean @ whole.gammas[i] ** 2 / bound) for i in (0, k + 1)])
    of_whole, of_classes = np.array(ratios).transpose(1, 0, 2)
    assert of_whole.min() > 0.9999
    assert np.median(of_classes) < 1.01
    assert of_classes.max() < 1.1
    assert (of_classes < of_whole + 0.01).all()


# Variances of pixels.


def test_variances_are_those_of_channels(basis):
    fine = make_fine(basis)
    rng = np.random.default_rng(0)
    truth = 600 * rng.gamma(4, 0.25, (20, 20, 5)) * basis.areas / basis.areas.sum()
    counts = rng.poisson(truth @ fine.columns.T).astype("u2")
    found = project(counts, make_projection(fine))
    exact = np.moveaxis(counts @ make_projection(fine).gamma ** 2, -1, 0)
    np.testing.assert_allclose(found.own_variance, exact, rtol=1e-5)
    # A pixel that is nothing like the sum: only iron.
    lonely = np.round(5000 * fine.columns[:, 2]).astype("u2")[np.newaxis]
    found = project(lonely, make_projection(fine))
    exact = lonely @ make_projection(fine).gamma ** 2
    np.testing.assert_allclose(found.own_variance, exact.T, rtol=1e-5)


def mean_of_neighbours(images):
    padded = np.pad(np.asarray(images, dtype=float), ((0, 0), (1, 1), (1, 1)))
    n_rows, n_columns = images.shape[1:]
    n = np.pad(np.ones((n_rows, n_columns)), 1)
    shifts = [
        (slice(i, i + n_rows), slice(j, j + n_columns))
        for i in range(3)
        for j in range(3)
    ]
    return sum(padded[:, a, b] for a, b in shifts) / sum(n[a, b] for a, b in shifts)


def smoothed_variance(found):
    """What is said to be the variance, written down again."""
    counts = 9 * mean_of_neighbours(found.counts[np.newaxis])[0]
    own = found.own_variance.astype(float)
    per_count = own.sum(axis=(1, 2)) / found.counts.sum(dtype=float)
    total = 9 * mean_of_neighbours(own) + 5 * per_count[:, np.newaxis, np.newaxis]
    return total / (counts + 5) * counts / 9


def test_variance_is_smoothed(basis, projection):
    counts, _ = make_counts(basis, (12, 13), counts=50)
    found = project(counts, projection)
    expected = smoothed_variance(found)
    np.testing.assert_allclose(found.variance, expected, rtol=1e-5)
    np.testing.assert_allclose(found.sigma("Fe_K"), np.sqrt(expected[2]), rtol=1e-5)
    pixel = project(counts, projection, variance="pixel")
    np.testing.assert_array_equal(pixel.variance, pixel.own_variance)
    # Next to 5000 counts, 5 are nothing.
    counts, _ = make_counts(basis, (12, 13), counts=5000)
    found = project(counts, projection)
    plain = mean_of_neighbours(found.own_variance)
    np.testing.assert_allclose(found.variance, plain, rtol=0.005)


def test_variance_by_class(basis, projection):
    counts, _ = make_counts(basis, (12, 13), counts=50)
    labels = np.arange(12 * 13).reshape(12, 13) % 2
    found = project(counts, projection, variance="class", labels=labels)
    for k in range(2):
        inside = labels == k
        per_count = found.own_variance[:, inside].sum(axis=1) / found.counts[inside].sum()
        expected = np.outer(per_count, found.counts[inside])
        np.testing.assert_allclose(found.variance[:, inside], expected, rtol=1e-4)


def test_one_row_of_pixels_is_smoothed_along_it(basis, projection):
    counts, _ = make_counts(basis, (4,), counts=50)
    found = project(counts, projection)
    own = found.own_variance
    few = 5 * own.sum(axis=1) / found.counts.sum()
    for pixel, seen in ((0, slice(0, 2)), (1, slice(0, 3))):
        n = found.counts[seen].mean()
        expected = (9 * own[:, seen].mean(axis=1) + few) / (9 * n + 5) * n
        np.testing.assert_allclose(found.variance[:, pixel], expected, rtol=1e-5)


# Bad input.


def test_nan_stays_where_it_is(basis, projection):
    counts, _ = make_counts(basis, (5, 6), dtype="f4")
    expected = project(counts, projection)
    counts[2, 3, 50] = np.nan
    counts[0, 0, 60] = np.inf
    counts[4, 5, :FIRST] = np.nan  # beyond the model
    for nonnegative in (False, True):
        found = project(counts, projection, nonnegative)
        is_nan = np.isnan(found.maps).all(axis=0)
        assert is_nan[2, 3]
        assert not np.isfinite(found.maps[:, 0, 0]).all()
        assert np.isfinite(found.maps).all(axis=0).sum() == 28
    found = project(counts, projection)
    fine = np.isfinite(found.maps).all(axis=0)
    np.testing.assert_array_equal(found.maps[:, fine], expected.maps[:, fine])
    assert np.isnan(found.variance[:, 2, 3]).all()
    assert np.isfinite(found.variance[:, 2, 2]).all()


def test_negative_numbers_are_fitted_without_a_sigma(basis, projection):
    counts, _ = make_counts(basis, (5, 6), counts=900, dtype="i4")
    counts[1:4, 1:4] -= 40
    with pytest.warns(UserWarning, match="below 0"):
        found = project(counts, projection)
    expected = reference(basis, projection, counts)
    np.testing.assert_allclose(found.maps, expected, atol=0.1)
    assert np.isnan(found.sigma("Ni_K")[2, 2])
    assert np.isnan(found.chi2[2, 2])


@pytest.mark.parametrize("lazy", [False, True])
def test_nothing_counted(projection, lazy):
    counts = np.zeros((4, 5, N_CHANNELS), dtype="u2")
    found = project(da.from_array(counts) if lazy else counts, projection)
    assert not found.maps.any()
    assert not found.variance.any()
    assert np.isnan(found.chi2).all()


def test_one_pixel(basis, projection):
    counts, _ = make_counts(basis, (1, 1))
    found = project(counts, projection)
    expected = reference(basis, projection, counts)
    np.testing.assert_allclose(found.maps, expected, atol=1e-3)


def test_dead_channels_are_left_out(basis):
    counts, _ = make_counts(basis, (40, 40), counts=2000)
    counts[..., 88:93] = 0
    total = counts.sum(axis=(0, 1))
    found = dead_channels(make_basis(np.array([900, 40, 2000, 0, 5000]) * 400.0), total)
    assert np.flatnonzero(found).tolist() == [88, 89, 90, 91, 92]
    projection = make_projection(basis, used=~found)
    assert not projection.gamma[88 - FIRST : 93 - FIRST].any()
    whole, _ = make_counts(basis, (40, 40), counts=2000)
    expected, sigma = region_areas(make_projection(basis), whole.sum(axis=(0, 1)))
    areas, _ = region_areas(projection, total)
    assert (np.abs(areas - expected) < 4 * sigma).all()
    wrong, _ = region_areas(make_projection(basis), total)
    assert np.abs(wrong - expected)[2] > 20 * sigma[2]


def test_models_that_cannot_be_fitted():
    columns = make_basis().columns
    twice = columns.copy()
    twice[:, 3] = 2 * twice[:, 2]
    with pytest.raises(ValueError, match="Fe_K and Ni_K cannot be told apart"):
        make_projection(replaced(columns=twice))
    gone = columns.copy()
    gone[:, 3] = 0
    with pytest.raises(
        ValueError, match="Ni_K: nothing of it is within channels 11 to 189"
    ):
        make_projection(replaced(columns=gone))
    with pytest.raises(ValueError, match="4 channels and 5 components"):
        make_projection(replaced(columns=columns[:4]))
    with pytest.raises(ValueError, match="one for each of 5 components"):
        make_projection(replaced(columns=columns[:, :4]))
    gone[3, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        make_projection(replaced(columns=gone))
    with pytest.raises(ValueError, match="class has the shape"):
        make_projection(make_basis(), np.ones((2, 50)))


def test_a_spectrum_of_few_counts_has_even_weights():
    few, many = (
        make_projection(make_basis(n * np.array([1, 0, 2, 0, 5]))) for n in (1, 1e6)
    )
    each = [own.weights[0] * np.bincount(own.bins.numbers) for own in (few, many)]
    ratio = [own.max() / own.min() for own in each]
    assert ratio[0] < 10
    assert ratio[1] > 20
    nothing = make_projection(make_basis(np.zeros(5)))
    each = nothing.weights[0] * np.bincount(nothing.bins.numbers)
    np.testing.assert_allclose(each, each[0])


def test_maps_that_do_not_suit(basis, projection):
    counts, _ = make_counts(basis, (4, 5))
    with pytest.raises(ValueError, match="have 100 channels, expected at least 190"):
        project(counts[..., :100], projection)
    with pytest.raises(ValueError, match=r"empty: its shape is \(0, 5, 203\)"):
        project(counts[:0], projection)
    with pytest.raises(ValueError, match="complex"):
        project(counts.astype(complex), projection)
    with pytest.raises(ValueError, match="one spectrum"):
        project(counts[0, 0], projection)
    with pytest.raises(ValueError, match="variance is 'none'"):
        project(counts, projection, variance="none")
    with pytest.raises(ValueError, match=r"whole numbers of shape \(4, 5\)"):
        project(counts, projection, labels=np.zeros((5, 4), dtype=int))
    with pytest.raises(ValueError, match="3 calibrations"):
        project(np.stack([counts, counts]), [projection] * 3)
    other = make_projection(
        replaced(names=("Ca_K", "Ti_K", "Fe_K", "Cu_K", "background"))
    )
    with pytest.raises(ValueError, match="expected the same ones"):
        project(np.stack([counts, counts]), [projection, other])
    with pytest.raises(ValueError, match="2 detectors, expected 1"):
        region_areas([projection], counts[:2, 0])
    with pytest.raises(ValueError, match="have 203 channels, expected at least 230"):
        region_areas(make_projection(replaced(first=51)), counts)


def test_matrix_libraries_have_their_threads_again(basis, projection):
    counts, _ = make_counts(basis, (30, 30))

    def threads():
        return [(own["filepath"], own["num_threads"]) for own in threadpool_info()]

    # What other tests have loaded since it was first looked for.
    _matrix_libraries.cache_clear()
    before = threads()
    with one_thread(), one_thread():
        assert all(n == 1 for _, n in threads())
    project(counts, projection)
    assert threads() == before


@pytest.mark.parametrize("n_rows", [50, 200])
def test_memory_is_that_of_the_result(tmp_path, projection, n_rows):
    shape = (n_rows, 1000, N_CHANNELS)
    header = edax_builder.spd_header(shape, 2)
    line = np.random.default_rng(0).integers(0, 9, shape[1:], dtype="u2").tobytes()
    with open(tmp_path / "a.spd", "wb") as file:
        file.write(header)
        for _ in range(n_rows):
            file.write(line)
    edax_builder.write_map(tmp_path / "b.spd", (1, 1, N_CHANNELS), 2)
    for sidecar in tmp_path.glob("b.*"):
        if sidecar.suffix != ".spd":
            sidecar.rename(sidecar.with_stem("a"))
    data = edax.file_reader(tmp_path / "a.spd", lazy=True)[0]["data"]
    project(data[:2], projection)
    tracemalloc.start()
    try:
        found = project(data, projection)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - found.maps.base.nbytes < 40 * 2**20


# Records: products are made straight from them.


@pytest.fixture
def multiplied(monkeypatch):
    """What products were made of, and whether they were."""
    seen = []

    def note(self, ranges, matrices, original=RecordStream.multiply):
        found = original(self, ranges, matrices)
        seen.append((ranges, found is not None))
        return found

    monkeypatch.setattr(RecordStream, "multiply", note)
    return seen


def write_records(path, **options):
    size = {"n_columns": 13, "n_rows": 11, "n_channels": N_CHANNELS} | options
    return geopixe_builder.write_map(path / "a.GeoPIXE", **size)


def check_same(found, expected):
    for name in ("maps", "own_variance", "chi2", "counts"):
        a, b = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * np.nanmax(np.abs(b)))


@pytest.mark.parametrize(
    ("block", "is_smooth"), [(64, False), (64, True), (1500, True), (2**22, False)]
)
@pytest.mark.parametrize("piece", [1, 2**22])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sum_detectors": False},
        {"detector": 1},
        {"rebin_energy": 2},
        {"rebin_energy": 7},
        {"cutoff_at_kV": 1.93, "dtype": "uint32"},
    ],
)
def test_records_give_what_spectra_give(
    tmp_path, multiplied, monkeypatch, block, piece, options, is_smooth
):
    monkeypatch.setattr("rsciio_xfm.core.stream.BLOCK_BYTES", block)
    monkeypatch.setattr("rsciio_xfm.core.reduce.PIECE_BYTES", piece)
    n_channels = N_CHANNELS * (2 if options.get("rebin_energy") == 2 else 1)
    path = write_records(tmp_path, n_detectors=3, n_channels=n_channels)
    data = geopixe.file_reader(path, lazy=True, **options)[0]["data"]
    n_fitted = min(STOP, data.shape[-1]) - FIRST
    columns = np.random.default_rng(0).random((n_fitted, len(NAMES)))
    if is_smooth:
        x = np.linspace(0, np.pi, n_fitted)[:, np.newaxis]
        columns = 1.1 + np.cos(x * np.arange(len(NAMES)))
    own = replaced(columns=columns)
    projection = make_projection(with_parts(own, 2) if is_smooth else own)
    is_coarse = 2 * len(projection.bins.firsts) < n_fitted
    assert is_coarse == (is_smooth and n_fitted > 50)
    found = project(data, projection)
    assert multiplied
    assert all(is_made for _, is_made in multiplied)
    check_same(found, project(data.compute(), projection))
    positive = project(data, projection, nonnegative=True)
    expected = project(data.compute(), projection, nonnegative=True)
    np.testing.assert_allclose(positive.maps, expected.maps, rtol=1e-3, atol=0.1)


def test_parts_of_records(tmp_path, multiplied, projection):
    data = geopixe.file_reader(write_records(tmp_path), lazy=True)[0]["data"]
    counts = data.compute()
    partial, done = [], []
    found = project(
        data, projection, partial=partial.append, progress=lambda *n: done.append(n)
    )
    check_same(found, project(counts, projection))
    check_same(partial[-1], found)
    inner = take(data, (slice(2, 7), slice(3, 12)))
    check_same(project(inner, projection), project(counts[2:7, 3:12], projection))
    assert all(is_made for _, is_made in multiplied)
    with pytest.raises(PassCancelledError):
        project(data, projection, cancel=lambda: True)


def test_records_in_processes(tmp_path, projection):
    data = geopixe.file_reader(write_records(tmp_path), lazy=True)[0]["data"]
    expected = project(data, projection)
    with dask.config.set(scheduler="processes", num_workers=2):
        check_same(project(data, projection), expected)


def test_records_are_decoded_where_that_is_better(
    tmp_path, multiplied, projection, monkeypatch
):
    # One detector behind the other, and not pixel by pixel.
    path = write_records(tmp_path, order=lambda r: r[::2] + r[1::2], n_rows=1)
    data = geopixe.file_reader(path, lazy=True)[0]["data"]
    check_same(project(data, projection), project(data.compute(), projection))
    assert [is_made for _, is_made in multiplied] == [False]
    # Classes, several results, and spectra of many counts.
    path = write_records(tmp_path)
    data = geopixe.file_reader(path, lazy=True)[0]["data"]
    counts = data.compute()
    labels = np.arange(counts[..., 0].size).reshape(counts.shape[:2]) % 2
    sums = [counts[labels == k].sum(axis=0) for k in range(2)]
    classes = make_projection(make_basis(), sums)
    multiplied.clear()
    found = project(data, classes, labels=labels)
    check_same(found, project(counts, classes, labels=labels))
    maps, _ = run(data, ElementMaps.of(data, projection), Total())
    check_same(maps, project(counts, projection))
    assert not multiplied
    monkeypatch.setattr("rsciio_xfm.core.stream._SPARSE_BYTES", 0.01)
    check_same(project(data, projection), project(counts, projection))
    assert not any(is_made for _, is_made in multiplied)


def test_damaged_records_are_told(tmp_path, multiplied, projection):
    channels = [[(5, 1), (3, 2)], [(3, 1), (900, 2)]]
    for entries in channels:
        records = [geopixe_builder.record(0, 0, 0, entries)]
        tree = geopixe_builder.header_tree(1, 1, 1, N_CHANNELS)
        path = geopixe_builder.write(tmp_path / "a.GeoPIXE", tree, records, 1)
        data = geopixe.file_reader(path, lazy=True, cache=False)[0]["data"]
        with pytest.raises(CorruptFileError, match="channels of a record are"):
            project(data, projection)
