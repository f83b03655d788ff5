"""Coarse images of the explorer: sums of counts, and small enough to follow the mouse."""

import zlib

import numpy as np
import pytest

from rsciio_xfm.explore.coarse import MOST_BYTES, MOST_STEP, coarsen, sent_bytes
from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.messages import as_binary
from rsciio_xfm.explore.opened import Opened
from tests.explore.asking import Asking, unpack

MOST = 150_000  # bytes, of what is sent while the mouse is dragged


def noise(shape, mean, dtype=np.uint32):
    rng = np.random.default_rng(1)
    return rng.poisson(mean, shape).astype(dtype)


def blocks(image, step):
    """Sums of blocks, by another way."""
    rows, columns = (-(-size // step) * step for size in image.shape)
    padded = np.zeros((rows, columns), dtype=float)
    padded[: image.shape[0], : image.shape[1]] = image
    return padded.reshape(rows // step, step, columns // step, step).sum(axis=(1, 3))


@pytest.mark.parametrize("step", [2, 3, 7, 64])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.float32])
def test_sums(step, dtype):
    image = noise((50, 61), 100, dtype)
    found, own = coarsen(image, step, True)
    assert own == step
    assert (found == blocks(image, step)).all()


def test_sums_that_are_large():
    image = np.full((4, 6), 2**32 - 1, dtype=np.uint32)
    found, _ = coarsen(image, 2, True)
    assert (found == 4 * (2**32 - 1)).all()


def test_what_is_not_added_up():
    image = np.arange(30, dtype=np.int16).reshape(5, 6) - 1
    found, _ = coarsen(image, 2, False)
    assert found.tolist() == image[::2, ::2].tolist()


@pytest.mark.parametrize(
    ("shape", "mean"),
    [((400, 512), 0.3), ((400, 512), 1e6), ((2400, 1024), 30), ((1, 10**6), 3000)],
)
def test_noise_is_small_enough(shape, mean):
    image = noise(shape, mean)
    found, step = coarsen(image, 2, True)
    sent = as_binary({"image": found}, {"step": step}).gzipped
    assert len(sent) < MOST
    assert (found == blocks(image, step)).all()
    if 2 < step < MOST_STEP:  # and not much coarser than it need be
        assert len(sent) > MOST / 6


def test_estimates_are_those_of_the_codes():
    for mean in (0.01, 1, 100, 10000):
        image = noise((400, 400), mean, np.uint16)
        pack = zlib.compressobj(1, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
        n_bytes = len(pack.compress(image.tobytes()) + pack.flush())
        assert sent_bytes(image) == pytest.approx(n_bytes, rel=0.1)


def test_answers_say_their_step(tmp_path):
    data = noise((700, 900, 4), 400, np.uint16)
    even = {"offset": 0, "scale": 1}
    axes = [
        {"name": name, "size": size, "navigate": name != "E", **even}
        for name, size in zip("yxE", data.shape, strict=True)
    ]
    signal = {"data": data, "axes": axes, "metadata": {}}
    with Asking(Explorer({"map": Opened(signal, "map")})) as ask:
        found = ask.raw("image", of="w:0:2", step="2")
        header, arrays = unpack(found.body)
        expected = data[..., :2].sum(axis=-1)
        assert header["step"] > 2
        assert not header["exact"]
        assert len(found.gzipped) < MOST
        assert (arrays["image"] == blocks(expected, header["step"])).all()
        header, arrays = ask.arrays("image", of="w:0:2")
        assert (header["step"], header["exact"]) == (1, True)
        assert (arrays["image"] == expected).all()


def test_small_images_stay_as_fine_as_they_were_asked():
    assert coarsen(noise((300, 300), 100), 2, True)[1] == 2
    assert sent_bytes(np.zeros((0, 0), np.uint8)) == 0
    assert MOST_BYTES < MOST
