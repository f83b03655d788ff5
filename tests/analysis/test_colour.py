"""Colours of energies, against the plain formula."""

import colorsys

import dask.array as da
import numpy as np
import pytest

from rsciio_xfm.analysis.colour import channel_colours, mix_colours, to_rgb8


def test_hues():
    colours = channel_colours(301)
    assert colours.shape == (301, 3)
    for i, colour in enumerate(colours):
        expected = colorsys.hsv_to_rgb(5 / 6 * i / 300, 1, 1)
        np.testing.assert_allclose(colour, expected, atol=1e-12)
    assert channel_colours(1).tolist() == [[1, 0, 0]]


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "uint32", "int64", "float32", ">u2"]
)
@pytest.mark.parametrize("chunks", [None, (2, 3, 17), (5, 6, 40)])
def test_is_the_product(scale, dtype, chunks):
    data = np.random.default_rng(0).integers(0, 200, (5, 6, 40)).astype(dtype)
    if dtype == "uint32":
        data *= 10**6  # beyond the table
    colours = channel_colours(30)
    weights = data[..., :30].astype(float)
    weights = np.log1p(weights) if scale == "log" else weights
    lazy = data if chunks is None else da.from_array(data, chunks)
    np.testing.assert_allclose(mix_colours(lazy, colours, scale), weights @ colours)


@pytest.mark.parametrize(
    ("colours", "scale", "match"),
    [(4, "sqrt", "scale is 'sqrt'"), (9, "log", "9 colours"), (0, "log", "0 colours")],
)
def test_wrong(colours, scale, match):
    with pytest.raises(ValueError, match=match):
        mix_colours(np.ones((2, 3, 8)), np.ones((colours, 3)), scale)


def test_brightness():
    mixed = np.zeros((10, 10, 3))
    mixed[..., 1] = np.arange(100).reshape(10, 10)
    mixed[9, 9] = (1000, 500, 0)  # too bright, keeps its hue
    rgb = to_rgb8(mixed, percentile=98)
    assert rgb.dtype == np.uint8
    assert rgb[9, 9].tolist() == [255, 128, 0]
    assert rgb[0, 0].tolist() == [0, 0, 0]
    assert rgb[9, 8, 1] == 255
    assert not to_rgb8(np.zeros((3, 4, 3))).any()
    assert not to_rgb8(np.full((3, 4, 3), np.nan)).any()
    # One bright pixel in the dark is seen.
    mixed = np.zeros((100, 10, 3))
    mixed[3, 3, 0] = 7
    assert to_rgb8(mixed, percentile=50).max() == 255
