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


# What eyes without red or green cones see, of linear RGB: G. M. Machado et al., IEEE Trans.
# Vis. Comput. Graph. 15, 1291 (2009), severity 1.
PROTANOPIA = np.array(
    [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]
)
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
# Of sRGB, IEC 61966-2-1, and its white, D65.
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


def as_seen(colours, eyes):
    """Return CIELAB (CIE 15:2004) of sRGB from 0 to 1, as some eyes see it."""
    low = colours / 12.92
    linear = np.where(colours <= 0.04045, low, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ eyes.T, 0, 1)
    x, y, z = (seen @ TO_XYZ.T / TO_XYZ.sum(axis=1)).T
    cubes = [
        np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
        for t in (x, y, z)
    ]
    fx, fy, fz = cubes
    return np.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], axis=-1)


def least_difference(colours, eyes, apart):
    """The least distance in a* and b* of energies that are a share of the range apart."""
    plane = as_seen(colours, eyes)[:, 1:]
    distances = np.linalg.norm(plane[:, np.newaxis] - plane, axis=-1)
    places = np.linspace(0, 1, len(colours))
    return distances[np.abs(places[:, np.newaxis] - places) >= apart - 1e-9].min()


def test_what_the_simulation_is():
    """White stays white, and CIELAB of red is as published: 53.2, 80.1, 67.2."""
    for eyes in (np.eye(3), PROTANOPIA, DEUTERANOPIA):
        np.testing.assert_allclose(
            as_seen(np.ones((1, 3)), eyes), [[100, 0, 0]], atol=0.1
        )
    red = as_seen(np.array([[1.0, 0, 0]]), np.eye(3))
    np.testing.assert_allclose(red, [[53.24, 80.09, 67.20]], atol=0.05)


@pytest.mark.parametrize("eyes", [np.eye(3), PROTANOPIA, DEUTERANOPIA])
def test_safe_colours_are_told_apart(eyes):
    """By their colour, whatever their brightness, which counts have."""
    colours = channel_colours(61, "safe")
    assert least_difference(colours, eyes, 1 / 3) > 43
    assert least_difference(colours, eyes, 1 / 5) > 15
    assert colours.min() >= 0 and colours.max() == 1
    # None is so dark that its counts would look fewer.
    assert colours.max(axis=1).min() > 0.65


def test_hues_are_not_told_apart_by_all():
    """Why there is a second scheme."""
    assert least_difference(channel_colours(61), np.eye(3), 1 / 3) > 55
    for eyes in (PROTANOPIA, DEUTERANOPIA):
        assert least_difference(channel_colours(61), eyes, 1 / 3) < 2


def test_other_colours():
    with pytest.raises(
        ValueError, match="colours is 'viridis', expected one of hue, safe"
    ):
        channel_colours(3, "viridis")
