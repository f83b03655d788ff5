"""Regions as text, and the pixels that belong to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsciio_xfm.explore.regions import parse, parse_all, polygon_mask, to_mask

SHAPE = (9, 12)
Y, X = np.indices(SHAPE) + 0.5


def inside_of(vertices, y, x):
    """Whether a point is inside, by the rays of the even-odd rule, one at a time."""
    is_inside = False
    for (ya, xa), (yb, xb) in zip(vertices, vertices[1:] + vertices[:1], strict=True):
        if (ya > y) != (yb > y) and x < (xb - xa) * (y - ya) / (yb - ya) + xa:
            is_inside = not is_inside
    return is_inside


def test_rectangle():
    expected = np.zeros(SHAPE, dtype=bool)
    expected[2:5, 3:7] = True
    assert (to_mask("r:2,3,5,7", SHAPE) == expected).all()
    assert (to_mask("r:1.6,2.6,4.6,6.6", SHAPE) == expected)[2:5, 3:7].all()
    assert to_mask("r:-5,-5,99,99", SHAPE).all()
    assert not to_mask("r:5,5,2,2", SHAPE).any()


def test_ellipse():
    expected = ((Y - 4) / 2.5) ** 2 + ((X - 5) / 4) ** 2 <= 1
    assert (to_mask("o:4,5,2.5,4", SHAPE) == expected).all()
    far = ((Y + 1) / 3) ** 2 + ((X - 13) / 4) ** 2 <= 1
    assert (to_mask("o:-1,13,3,4", SHAPE) == far).all()


# No pixel's centre is on an edge, whose side is a matter of rounding.
rows = st.integers(-8, 44).map(lambda n: n / 4 + 0.0625)
columns = st.integers(-8, 40).map(lambda n: n * 0.3771 + 0.1234)


@settings(max_examples=25)
@given(st.lists(st.tuples(rows, columns), min_size=3, max_size=8))
def test_polygon(vertices):
    expected = [
        [inside_of(vertices, y + 0.5, x + 0.5) for x in range(12)] for y in range(9)
    ]
    assert (polygon_mask(vertices, SHAPE) == np.array(expected)).all()
    text = "p:" + ";".join(f"{y},{x}" for y, x in vertices)
    assert (to_mask(text, SHAPE) == np.array(expected)).all()


def test_union_and_difference():
    found = to_mask("r:0,0,4,4|r:2,2,6,6|-r:1,1,3,3|r:1,1,2,2", SHAPE)
    expected = np.zeros(SHAPE, dtype=bool)
    expected[0:4, 0:4] = expected[2:6, 2:6] = True
    expected[1:3, 1:3] = False
    expected[1, 1] = True
    assert (found == expected).all()
    assert not to_mask("-r:0,0,4,4", SHAPE).any()
    assert to_mask("", SHAPE).all()


def test_images():
    images = {
        "counts": np.arange(108).reshape(SHAPE),
        "e:Fe_Ka": X,
        "class": Y.astype(int),
    }
    images["e:Fe_Ka"][0, 0] = np.nan
    found = to_mask("t:counts@10,20", SHAPE, images.__getitem__)
    assert found.sum() == 11
    found = to_mask("b:counts@0,50@e:Fe_Ka@0,3", SHAPE, images.__getitem__)
    assert (found == ((images["counts"] <= 50) & (X <= 3))).all()
    assert not found[0, 0]
    assert (to_mask("c:3", SHAPE, images.__getitem__) == (Y.astype(int) == 3)).all()
    with pytest.raises(ValueError, match="images"):
        to_mask("c:3", SHAPE)


@pytest.mark.parametrize(
    "text",
    [
        "r:1,2,3",
        "r:1,2,3,4,5",
        "r:1,2,3,inf",
        "r:1,2,3,1e99",
        "p:1,1;2,2",
        "o:1,1,-1,1",
        "q:1",
        "t:counts",
        "t:counts@1",
        "b:counts@1,2",
        "c:1.5",
        "|",
        "r:1,2,3,4|",
        "--r:1,2,3,4",
        "\0",
        "p:" + ";".join(["1,1"] * 2001),
        "|".join(["r:0,0,1,1"] * 65),
        "x" * 10**6,
    ],
)
def test_what_is_none(text):
    with pytest.raises(ValueError, match=r"expected|more than"):
        parse(text)


def test_limits_of_a_question():
    parse_all(["p:" + ";".join(["1,1"] * 250)] * 8)
    with pytest.raises(ValueError, match="vertices"):
        parse_all(["p:" + ";".join(["1,1"] * 251)] * 8)
    with pytest.raises(ValueError, match="at most 8"):
        parse_all([""] * 9)
