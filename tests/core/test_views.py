"""Points in their places, and detectors, against numpy."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsciio_xfm.core.chunks import ChunkedArray, Table
from rsciio_xfm.core.detectors import Detectors
from rsciio_xfm.core.source import Memory
from rsciio_xfm.core.views import Placed, add_detectors

N_CHANNELS = 9


def stored(counts):
    table = Table.of_run(Memory.of(counts.tobytes()), 0, counts.shape, counts.dtype)
    return ChunkedArray(table)


def block_of(data, shape):
    bounds = [sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))) for n in shape]
    return tuple(map(tuple, bounds))


def compare(array, expected, ranges):
    part = expected[tuple(slice(*r) for r in ranges)]
    np.testing.assert_array_equal(array.read(ranges), part)
    spectra = part.reshape(-1, part.shape[-1]) if part.size else part.sum((0, 1))[None]
    np.testing.assert_array_equal(array.sum_navigation(ranges), spectra.sum(0))
    np.testing.assert_array_equal(array.sum_signal(ranges), part.sum(-1))
    found = np.zeros_like(part)
    for held, counts in array.pieces(ranges):
        at = zip(held, ranges, strict=True)
        place = tuple(slice(a - origin, b - origin) for (a, b), (origin, _) in at)
        first = ranges[-1][0] - held[-1][0]
        found[place[:-1]] = counts[..., first : first + part.shape[-1]]
    np.testing.assert_array_equal(found, part)


@given(st.data())
def test_points(data):
    grid = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 4)))
    n_points = data.draw(st.integers(1, grid[0] * grid[1]))
    turned = tuple(data.draw(st.lists(st.booleans(), min_size=grid[0], max_size=grid[0])))
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 99, (n_points + 2, N_CHANNELS)).astype("u2")
    expected = np.zeros((grid[0] * grid[1], N_CHANNELS), "u2")
    expected[:n_points] = counts[:n_points]
    expected = expected.reshape(*grid, N_CHANNELS)
    for i in np.flatnonzero(turned):
        expected[i] = expected[i, ::-1]
    array = Placed(stored(counts), grid, n_points, turned)
    compare(array, expected, block_of(data, array.shape))
    assert pickle.loads(pickle.dumps(array))._token == array._token


@given(st.data(), st.sampled_from(["u1", "u2", "u4", "u8"]))
def test_detectors(data, dtype):
    counts = (
        np.random.default_rng(0).integers(0, 200, (4, 3, 5, N_CHANNELS)).astype(dtype)
    )
    first = data.draw(st.integers(0, 3))
    numbers = tuple(range(first, data.draw(st.integers(first, 3)) + 1))
    array = Detectors(stored(counts), numbers)
    expected = counts[list(numbers)].sum(0).astype(array.dtype)
    compare(array, expected, block_of(data, array.shape))
    apart = array.by_detector()
    assert (apart is None) is (len(numbers) == 1)
    if apart is not None:
        np.testing.assert_array_equal(apart[:], counts[list(numbers)])


def test_sums_that_do_not_fit():
    counts = np.full((2, 1, 3, N_CHANNELS), 2**31 + 1, "u4")
    array = Detectors(stored(counts), (0, 1), "here")
    for read in (array.read, array.sum_navigation, array.sum_signal):
        with pytest.raises(OverflowError, match=r"here: the sum of the detectors"):
            read(((0, 1), (0, 3), (0, N_CHANNELS)))


def test_detectors_of_one_array_are_read_together():
    counts = np.random.default_rng(0).integers(0, 99, (3, 4, N_CHANNELS)).astype("u2")
    source = stored(counts)
    parts = [Placed(Detectors(source, (i,)), (2, 2), 4, (False, True)) for i in range(3)]
    both = add_detectors(parts[:2])
    assert both.source.numbers == (0, 1)
    expected = counts[:2].sum(0).reshape(2, 2, N_CHANNELS)
    expected[1] = expected[1, ::-1].copy()
    np.testing.assert_array_equal(both[:], expected)
    assert add_detectors([parts[0], parts[2]]) is None
    other = Placed(Detectors(stored(counts + 1), (1,)), (2, 2), 4, (False, True))
    assert add_detectors([parts[0], other]) is None
    assert add_detectors([parts[0], source]) is None
