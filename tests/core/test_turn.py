"""Numbers in another order, against numpy."""

import numpy as np
import pytest

from rsciio_xfm.kernels.transpose import copy
from rsciio_xfm.kernels.turn import turn


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4", "u8", "f2", "c16", "S3"])
@pytest.mark.parametrize(
    "shape",
    [
        (2, 8, 16),
        (1, 13, 40),
        (3, 64, 27),
        (2, 1, 9),
        (1, 7, 7),
        (1, 46, 54),
        (1, 522, 12),
    ],
)
def test_turned(dtype, shape):
    rng = np.random.default_rng(0)
    n_bytes = np.prod(shape) * np.dtype(dtype).itemsize
    source = rng.integers(0, 256, n_bytes, np.uint8).view(dtype).reshape(shape)
    target = np.zeros((shape[0], shape[2], shape[1]), dtype)
    copy(source.transpose(0, 2, 1), target)
    assert target.tobytes() == source.transpose(0, 2, 1).tobytes()


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_parts_of_larger_arrays(dtype):
    """What is beside them is left alone, wherever they begin."""
    whole = np.arange(40 * 48, dtype="u8").astype(dtype).reshape(40, 48)
    for first in (0, 1, 8):
        source, out = whole[3:35, first : first + 40], np.full((64, 64), 9, dtype)
        target = out[first : first + 40, 8:40]
        copy(source.T, target)
        np.testing.assert_array_equal(target, source.T)
        target[...] = 9
        assert (out == 9).all()


@pytest.mark.parametrize(
    ("dtype", "done"), [("u1", (16, 24)), ("u2", (20, 28)), ("u8", (0, 0))]
)
def test_only_whole_words(dtype, done):
    source = np.zeros((1, 21, 32), dtype)[:, :, :30]
    assert turn(source, np.zeros((1, 30, 24), dtype)[:, :, :21]) == done
