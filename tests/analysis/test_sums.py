"""Sums of counts against numpy's, for all that ``can_sum`` accepts."""

import dask.array as da
import numpy as np
import pytest

from rsciio_xfm.core import sums


@pytest.fixture(params=["uint8", "uint16", "uint32"])
def counts(request):
    dtype = np.dtype(request.param)
    rng = np.random.default_rng(0)
    shape = (13, 7, 50)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("chunks", [None, (13, 7, 50), (2, 3, 50), (5, 7, 11)])
@pytest.mark.parametrize("block_bytes", [1, 3000, 2**24])
def test_sums_are_exact(counts, chunks, block_bytes, monkeypatch):
    monkeypatch.setattr(sums, "SUM_BLOCK_BYTES", block_bytes)
    data = counts if chunks is None else da.from_array(counts, chunks=chunks)
    assert sums.can_sum(data)
    spectrum, total = sums.sum_spectrum(data), sums.sum_map(data)
    for found, axis in ((spectrum, (0, 1)), (total, 2)):
        assert isinstance(found, type(data))
        assert found.dtype == np.uint64
        expected = counts.sum(axis=axis, dtype=np.uint64)
        np.testing.assert_array_equal(np.asarray(found), expected)


def test_extremes_do_not_overflow():
    data = np.full((70000, 3), 65535, dtype=np.uint16)
    np.testing.assert_array_equal(sums.sum_spectrum(data), [70000 * 65535] * 3)
    data = np.full((2, 3), 2**32 - 1, dtype=np.uint32)
    np.testing.assert_array_equal(sums.sum_map(data), [3 * (2**32 - 1)] * 2)


@pytest.mark.parametrize("shape", [(5, 9), (2, 3, 4, 9), (1, 1)])
def test_any_number_of_axes(shape):
    data = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    nav = tuple(range(len(shape) - 1))
    np.testing.assert_array_equal(sums.sum_spectrum(data), data.sum(axis=nav))
    np.testing.assert_array_equal(sums.sum_map(data), data.sum(axis=-1))


@pytest.mark.parametrize(
    "data",
    [
        np.ones((3, 4)),
        np.ones((3, 4), dtype=np.int16),
        np.ones((3, 4), dtype=">u2"),
        np.ones(4, dtype=np.uint16),
        np.ones((0, 4), dtype=np.uint16),
        np.ones((3, 4), dtype=np.uint16).T,
        np.ma.masked_array(np.ones((3, 4), dtype=np.uint16)),
        da.ones((3, 4)),
        da.ma.masked_array(da.ones((3, 4), dtype="uint16"), da.zeros((3, 4), dtype=bool)),
    ],
    ids=[
        "float",
        "signed",
        "swapped",
        "1d",
        "empty",
        "strided",
        "masked",
        "lazy float",
        "lazy masked",
    ],
)
def test_what_is_left_to_numpy(data):
    assert not sums.can_sum(data)
